//! What both ONVIF drivers do: calls to a device's services, and those operations of the device service
//! (devicemgmt.wsdl) that are about the device and not about certificates.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use domain::{AltName, Told};
use time::{
    Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, format_description::well_known::Rfc3339,
};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    Before, Credentials, DeviceInfo, Error,
    http::{Answer, Place, Request},
    random::random,
    session::Session,
    soap::{self, Element, Fault, Said, Service, TT},
    xsd,
};

/// Fixed by the Core specification, "Device service".
pub(crate) const DEVICE_PATH: &str = "/onvif/device_service";

const TDS: &str = "http://www.onvif.org/ver10/device/wsdl";

const GET_CLOCK: &str = "GetSystemDateAndTime";

/// An ONVIF device and a user of it.
pub(crate) struct Onvif {
    session: Session,
    device: Place,
    security: Place,
    /// Where the Media service is, once a picture was asked for.
    media: Option<Place>,
    /// The device's clock minus ours, if it told it.
    clock_offset: Option<Duration>,
    /// The device knows no Digest: each message carries the proof of the user.
    by_token: bool,
    /// One of those proofs was taken.
    token_taken: bool,
    /// It told nobody in particular what is for users alone: there is no user yet, whose proof it could judge.
    open: bool,
}

/// One entry of GetNetworkProtocols (tt:NetworkProtocol).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Protocol {
    pub(crate) enabled: bool,
    pub(crate) ports: Vec<u16>,
}

/// HTTP and HTTPS as a device has them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Protocols {
    pub(crate) http: Protocol,
    pub(crate) https: Protocol,
}

impl Onvif {
    /// See [`Session::expect`].
    pub(crate) fn expect(&self, certificate: &[u8]) {
        self.session.expect(certificate);
    }

    /// `security` is where the Security service lives; the old device service has no use for it.
    pub(crate) fn new(
        session: Session,
        device: Place,
        security: Option<Place>,
        clock_offset: Option<Duration>,
    ) -> Onvif {
        let security = security.unwrap_or_else(|| device.clone());
        Onvif {
            session,
            device,
            security,
            media: None,
            clock_offset,
            by_token: false,
            token_taken: false,
            open: false,
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.session.http().host
    }

    pub(crate) fn limits(&self) -> &crate::Limits {
        &self.session.http().limits
    }

    /// Whether nothing that was asked so far took a user.
    pub(crate) fn lets_everyone_in(&self) -> bool {
        !self.by_token && !self.session.challenged()
    }

    /// One operation; a fault is an error.
    pub(crate) async fn call(
        &mut self,
        service: Service,
        operation: &str,
        arguments: &str,
    ) -> Result<Element, Error> {
        self.ask(service, operation, arguments, false).await?.map_err(|fault| fault.into_error(operation))
    }

    /// One operation of whose faults some are expected.
    pub(crate) async fn try_call(
        &mut self,
        service: Service,
        operation: &str,
        arguments: &str,
    ) -> Result<Result<Element, Fault>, Error> {
        self.ask(service, operation, arguments, false).await
    }

    /// One operation whose arguments hold a private key.
    pub(crate) async fn try_call_secret(
        &mut self,
        service: Service,
        operation: &str,
        arguments: Zeroizing<String>,
    ) -> Result<Result<Element, Fault>, Error> {
        self.ask(service, operation, &arguments, true).await
    }

    async fn ask(
        &mut self,
        service: Service,
        operation: &str,
        arguments: &str,
        secret: bool,
    ) -> Result<Result<Element, Fault>, Error> {
        let place = match service {
            Service::Device => &self.device,
            Service::Security => &self.security,
            Service::Media => self.media.as_ref().unwrap_or(&self.device),
        };
        let mut under_basic = false;
        if !self.by_token {
            let mut request = soap::request(place, service, operation, arguments);
            request.secret = secret && !self.open;
            match self.session.send(&request).await {
                Ok(answer) => match read(&answer, service, operation)? {
                    Err(fault) if fault.is("NotAuthorized") && self.session.challenged() => {
                        return Err(self.session.not_allowed(operation));
                    }
                    Err(fault) if fault.may_be_of_login() => {}
                    other => return Ok(other),
                },
                // A refusal without a challenge.
                Err(Error::NoDigest { offered }) if offered == "none" => {}
                // The token does not show the password. Some take it, and still offer what HTTP has.
                Err(e) if e.offers_only_basic() => under_basic = true,
                Err(e) => return Err(e),
            }
        }
        // What devices had before Digest became the rule (Core specification, "Authentication").
        self.by_token = true;
        let offset = self.clock_offset.unwrap_or_default();
        // Whoever collects a proof dated years ahead can show it to the real device when that day comes. A day is what a
        // clock is off that tells its local time as UTC.
        if offset > Duration::DAY && !self.session.admission().is_known() {
            return Err(Error::ClockAhead { host: self.host().to_owned(), hours: offset.whole_hours() });
        }
        // Where that is past the last date that there is, there is none to write.
        let dated = self.session.now().checked_add(offset);
        let make = |by: &Credentials| {
            let header = username_token(by, dated)?;
            Ok(soap::request_of(place, service, operation, arguments, &header))
        };
        // Until one was taken, any fault that may be of the login is: no other token is sent to find out.
        let is_known = self.token_taken;
        let mut judged = false;
        let is_refused = |answer: &Answer| match soap::read(answer, service, operation) {
            Ok(Said::Fault(fault)) => {
                judged = true;
                fault.is("NotAuthorized") || !is_known && fault.may_be_of_login()
            }
            _ => answer.status == 401,
        };
        let answer = self.session.send_proven(make, is_refused).await;
        let answer = answer.map_err(|e| match e {
            // It has not said a word about the token: perhaps it never looked at it.
            Error::WrongPassword { user } if under_basic && !judged => Error::TokenUnderBasic { user },
            Error::WrongPassword { user } => self.token_refused(user),
            e => e,
        })?;
        self.token_taken = true;
        read(&answer, service, operation)
    }

    /// Why the first token may have been refused: a device takes none that its clock calls old or of the future.
    fn token_refused(&self, user: String) -> Error {
        match self.clock_offset {
            None => Error::ClockUnknown { user },
            Some(offset) if offset.abs() > Duration::MINUTE => {
                Error::ClockDoubtful { user, minutes: offset.whole_minutes() }
            }
            Some(_) => Error::WrongPassword { user },
        }
    }

    /// SetSystemDateAndTime, by hand: a device that asked a time server in vain stops asking. Its time zone and
    /// daylight saving stay as they are.
    pub(crate) async fn set_clock(&mut self) -> Result<Duration, Error> {
        let (saving, zone) = self.saving_and_zone().await?;
        let utc = self.session.now();
        let arguments = format!(
            "<tds:DateTimeType>Manual</tds:DateTimeType><tds:DaylightSavings>{saving}</tds:DaylightSavings>{zone}\
             <tds:UTCDateTime><tt:Time><tt:Hour>{}</tt:Hour><tt:Minute>{}</tt:Minute><tt:Second>{}</tt:Second></tt:Time>\
             <tt:Date><tt:Year>{}</tt:Year><tt:Month>{}</tt:Month><tt:Day>{}</tt:Day></tt:Date></tds:UTCDateTime>",
            utc.hour(),
            utc.minute(),
            utc.second(),
            utc.year(),
            u8::from(utc.month()),
            utc.day(),
        );
        self.call(Service::Device, "SetSystemDateAndTime", &arguments).await?;
        self.read_clock().await
    }

    /// SetNTP, and SetSystemDateAndTime by it. A device may ask the server only after a while: its clock is read until it is
    /// right, or the device had time enough.
    pub(crate) async fn follow_clock(&mut self, server: &AltName) -> Result<Duration, Error> {
        let (kind, name) = match server {
            AltName::Ip(IpAddr::V4(_)) => ("IPv4", "tt:IPv4Address"),
            AltName::Ip(IpAddr::V6(_)) => ("IPv6", "tt:IPv6Address"),
            AltName::Dns(_) => ("DNS", "tt:DNSname"),
        };
        let arguments = format!(
            "<tds:FromDHCP>false</tds:FromDHCP><tds:NTPManual>{}{}</tds:NTPManual>",
            soap::element("tt:Type", kind),
            soap::element(name, &server.plain()),
        );
        self.call(Service::Device, "SetNTP", &arguments).await?;
        let (saving, zone) = self.saving_and_zone().await?;
        let arguments = format!(
            "<tds:DateTimeType>NTP</tds:DateTimeType><tds:DaylightSavings>{saving}</tds:DaylightSavings>{zone}"
        );
        self.call(Service::Device, "SetSystemDateAndTime", &arguments).await?;
        let deadline = Instant::now() + self.limits().answer;
        loop {
            let offset = self.read_clock().await?;
            if offset.abs() <= Duration::MINUTE || Instant::now() >= deadline {
                return Ok(offset);
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    }

    /// The clock as it is told, minus ours. A token dated by the clock that it had before it was set is too old, or of the
    /// future.
    async fn read_clock(&mut self) -> Result<Duration, Error> {
        self.clock_offset = None;
        let told = self.call(Service::Device, GET_CLOCK, "").await?;
        let clock = clock(&told).ok_or_else(|| Error::UnexpectedAnswer {
            operation: GET_CLOCK.to_owned(),
            detail: "no time".into(),
        })?;
        let offset = clock - self.session.now();
        self.clock_offset = Some(offset);
        Ok(offset)
    }

    /// Whether it saves daylight, and the element of its time zone: SetSystemDateAndTime would take them away.
    async fn saving_and_zone(&mut self) -> Result<(bool, String), Error> {
        let now = self.call(Service::Device, GET_CLOCK, "").await?;
        let had = now.child(TDS, "SystemDateAndTime");
        let saving = had.and_then(|had| xsd::boolean(had.text_of(TT, "DaylightSavings")?)).unwrap_or(false);
        let zone = had.and_then(|had| had.child(TT, "TimeZone")?.text_of(TT, "TZ"));
        let zone = zone.map(|zone| format!("<tds:TimeZone>{}</tds:TimeZone>", soap::element("tt:TZ", zone)));
        Ok((saving, zone.unwrap_or_default()))
    }

    /// GetDeviceInformation: the first call of a user, because it is harmless and not open to everyone.
    pub(crate) async fn device_info(&mut self) -> Result<DeviceInfo, Error> {
        let answer = self.call(Service::Device, "GetDeviceInformation", "").await?;
        let field = |name| answer.text_of(TDS, name).map(Told::new).filter(|t| !t.is_empty());
        Ok(DeviceInfo {
            manufacturer: field("Manufacturer"),
            model: field("Model"),
            firmware: field("FirmwareVersion"),
            serial_number: field("SerialNumber"),
        })
    }

    /// The path of an address that the device gives, on the port that it answers on: behind a router it knows no other.
    fn here(&self, address: &str) -> Option<Place> {
        let http = self.session.http();
        http.followed(address).map(|place| Place { port: http.endpoint.port, ..place })
    }

    /// What the camera sees, in JPEG: of its smallest profile, which is enough to tell where it hangs. GetSnapshotUri of the
    /// Media service.
    pub(crate) async fn picture(&mut self) -> Result<Vec<u8>, Error> {
        let not_offered = || Error::NotOffered { operation: "picture".to_owned() };
        let arguments = "<tds:IncludeCapability>false</tds:IncludeCapability>";
        let services = self.call(Service::Device, "GetServices", arguments).await?;
        let namespace = Service::Media.namespace();
        let listed = services.all(TDS, "Service").find(|s| s.text_of(TDS, "Namespace") == Some(namespace));
        let address = listed.and_then(|service| service.text_of(TDS, "XAddr")).ok_or_else(not_offered)?;
        self.media = Some(self.here(address).ok_or_else(not_offered)?);
        let profiles = self.call(Service::Media, "GetProfiles", "").await?;
        let width = |profile: &Element| {
            let size = profile.child(TT, "VideoEncoderConfiguration")?.child(TT, "Resolution")?;
            size.text_of(TT, "Width")?.parse::<u32>().ok()
        };
        let smallest = profiles.all(namespace, "Profiles").min_by_key(|p| width(p).unwrap_or(u32::MAX));
        let token = smallest.and_then(|profile| profile.attribute(&["token"])).ok_or_else(not_offered)?;
        let token = soap::element("trt:ProfileToken", token);
        let answer = self.call(Service::Media, "GetSnapshotUri", &token).await?;
        let uri = answer.child(namespace, "MediaUri").and_then(|uri| uri.text_of(TT, "Uri"));
        let place = uri.and_then(|uri| self.here(uri)).ok_or_else(not_offered)?;
        let request = Request::get(place);
        let answer = self.session.send(&request).await?;
        // The first bytes of every JPEG file (ITU-T T.81, B.1.1.3).
        if !answer.status.is_success() || !answer.body.starts_with(&[0xff, 0xd8, 0xff]) {
            return Err(request.unexpected("no picture in JPEG"));
        }
        Ok(answer.body.to_vec())
    }

    /// GetNetworkProtocols. A device that does not list one has it switched off, on its usual port.
    pub(crate) async fn protocols(&mut self) -> Result<Protocols, Error> {
        let answer = self.call(Service::Device, "GetNetworkProtocols", "").await?;
        let of = |name: &str, default: u16| {
            let found = answer
                .all(TDS, "NetworkProtocols")
                .find(|p| p.text_of(TT, "Name").is_some_and(|n| n.eq_ignore_ascii_case(name)));
            let mut ports: Vec<u16> = found
                .into_iter()
                .flat_map(|p| p.all(TT, "Port"))
                .filter_map(|port| port.text().parse().ok().filter(|port| *port != 0))
                .take(8)
                .collect();
            if ports.is_empty() {
                ports.push(default);
            }
            let enabled = found.and_then(|p| xsd::boolean(p.text_of(TT, "Enabled")?)).unwrap_or(false);
            Protocol { enabled, ports }
        };
        Ok(Protocols { http: of("HTTP", 80), https: of("HTTPS", 443) })
    }

    /// SetNetworkProtocols for one of them; the other ones stay as they are.
    pub(crate) async fn set_protocol(&mut self, name: &str, to: &Protocol) -> Result<(), Error> {
        let ports: String = to.ports.iter().map(|port| soap::element("tt:Port", &port.to_string())).collect();
        let arguments = format!(
            "<tds:NetworkProtocols>{}{}{ports}</tds:NetworkProtocols>",
            soap::element("tt:Name", name),
            soap::element("tt:Enabled", if to.enabled { "true" } else { "false" }),
        );
        self.call(Service::Device, "SetNetworkProtocols", &arguments).await.map(drop)
    }

    /// Switches HTTPS on, on the port that the device has for it.
    pub(crate) async fn enable_https(&mut self) -> Result<u16, Error> {
        let now = self.protocols().await?.https;
        let port = now.ports.first().copied().unwrap_or(443);
        if !now.enabled {
            self.set_protocol("HTTPS", &Protocol { enabled: true, ..now }).await?;
        }
        Ok(port)
    }

    /// Switches plain HTTP on or off.
    pub(crate) async fn switch_http(&mut self, on: bool) -> Result<(), Error> {
        let now = self.protocols().await?.http;
        if now.enabled != on {
            self.set_protocol("HTTP", &Protocol { enabled: on, ..now }).await?;
        }
        Ok(())
    }

    /// SetUser, with the level that this user has: what is left out would be taken away. CreateUsers where there is no
    /// such user: on a device fresh from its box there may be none.
    pub(crate) async fn set_password(&mut self, new: &Zeroizing<String>) -> Result<(), Error> {
        let user = self.session.for_new_password()?.to_owned();
        let users = self.call(Service::Device, "GetUsers", "").await?;
        let known = users.all(TDS, "User").find(|known| known.text_of(TT, "Username") == Some(&user));
        let operation = if known.is_some() { "SetUser" } else { "CreateUsers" };
        let level = known.and_then(|known| known.text_of(TT, "UserLevel")).unwrap_or("Administrator");
        let arguments = Zeroizing::new(
            [
                "<tds:User>",
                &soap::element("tt:Username", &user),
                &Zeroizing::new(soap::element("tt:Password", new)),
                &soap::element("tt:UserLevel", level),
                "</tds:User>",
            ]
            .concat(),
        );
        self.ask(Service::Device, operation, &arguments, true)
            .await?
            .map(drop)
            .map_err(|fault| fault.into_error(operation))
    }

    /// First half of the way back: HTTP on again before anything else, so that the camera stays within
    /// reach, and HTTPS off if it was off, because a certificate in use cannot be taken away.
    pub(crate) async fn open_again(&mut self, before: &Before) -> Result<(), Error> {
        let now = self.protocols().await?;
        if before.http_on && !now.http.enabled {
            self.set_protocol("HTTP", &Protocol { enabled: true, ..now.http }).await?;
        }
        if !before.https_on && now.https.enabled {
            self.set_protocol("HTTPS", &Protocol { enabled: false, ..now.https }).await?;
        }
        Ok(())
    }

    /// Second half of the way back, after the old certificate is in its place: HTTPS on if it was on.
    pub(crate) async fn secure_again(&mut self, before: &Before) -> Result<(), Error> {
        if !before.https_on {
            return Ok(());
        }
        let now = self.protocols().await?.https;
        if !now.enabled {
            self.set_protocol("HTTPS", &Protocol { enabled: true, ..now }).await?;
        }
        Ok(())
    }

    /// What both dialects note: the device, and which protocols are on.
    pub(crate) async fn note(&mut self) -> Result<Before, Error> {
        let device = self.device_info().await?;
        self.open = self.lets_everyone_in();
        let now = self.protocols().await?;
        Ok(Before {
            device,
            https_on: now.https.enabled,
            https_port: now.https.ports.first().copied().unwrap_or(443),
            http_on: now.http.enabled,
            http_ports: now.http.ports,
            ..Before::default()
        })
    }
}

/// Response or fault.
fn read(answer: &Answer, service: Service, operation: &str) -> Result<Result<Element, Fault>, Error> {
    match soap::read(answer, service, operation)? {
        Said::Response(element) => Ok(Ok(element)),
        Said::Fault(fault) => Ok(Err(fault)),
        Said::NotSoap => Err(Error::UnexpectedAnswer {
            operation: operation.to_owned(),
            detail: format!("HTTP {}", answer.status).into(),
        }),
    }
}

/// The SOAP header that proves who sends it without showing the password: Web Services Security, Username Token
/// Profile 1.0, section 3.1. Dated by the device's clock, because it takes no old ones.
pub(crate) fn username_token(
    by: &Credentials,
    dated: Option<OffsetDateTime>,
) -> Result<Zeroizing<String>, Error> {
    let nonce = random::<16>()?;
    let made = dated.and_then(|at| at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok());
    let unusable = || Error::NoDigest { offered: "UsernameToken".into() };
    Ok(token(&by.user, &by.password, &nonce, &made.ok_or_else(unusable)?))
}

fn token(user: &str, password: &str, nonce: &[u8], created: &str) -> Zeroizing<String> {
    const WSS: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss";
    let proof = Zeroizing::new([nonce, created.as_bytes(), password.as_bytes()].concat());
    let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, &proof);
    Zeroizing::new(format!(
        r#"<s:Header><w:Security xmlns:w="{WSS}-wssecurity-secext-1.0.xsd" xmlns:u="{WSS}-wssecurity-utility-1.0.xsd" s:mustUnderstand="true"><w:UsernameToken>{}<w:Password Type="{WSS}-username-token-profile-1.0#PasswordDigest">{}</w:Password><w:Nonce EncodingType="{WSS}-soap-message-security-1.0#Base64Binary">{}</w:Nonce>{}</w:UsernameToken></w:Security></s:Header>"#,
        soap::element("w:Username", user),
        xsd::to_base64(proof.as_ref()),
        xsd::to_base64(nonce),
        soap::element("u:Created", created),
    ))
}

/// The time of a GetSystemDateAndTimeResponse: UTCDateTime, or, of a device that tells no other, LocalDateTime, which is
/// then what it dates by. `None` if the device does not tell it, or nonsense.
pub(crate) fn clock(answer: &Element) -> Option<OffsetDateTime> {
    let told = answer.child(TDS, "SystemDateAndTime")?;
    let utc = told.child(TT, "UTCDateTime").and_then(date_and_time);
    let local = || told.child(TT, "LocalDateTime").and_then(date_and_time);
    utc.or_else(local)
}

fn date_and_time(of: &Element) -> Option<OffsetDateTime> {
    let (date, time) = (of.child(TT, "Date")?, of.child(TT, "Time")?);
    let number = |of: &Element, name: &str| of.text_of(TT, name)?.parse::<u16>().ok();
    let small = |of: &Element, name: &str| u8::try_from(number(of, name)?).ok();
    let month = Month::try_from(small(date, "Month")?).ok()?;
    let date = Date::from_calendar_date(number(date, "Year")?.into(), month, small(date, "Day")?).ok()?;
    // The schema allows 61 seconds; the time crate knows no leap second.
    let second = small(time, "Second")?.min(59);
    let time = Time::from_hms(small(time, "Hour")?, small(time, "Minute")?, second).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_the_profile_says() {
        let nonce: Vec<u8> = (0..16).collect();
        let token = token("a<b", "open sesame", &nonce, "2026-11-28T12:00:00Z");
        // By Python's hashlib: SHA-1 over nonce, created and password.
        assert!(token.contains("#PasswordDigest\">otG4aPW9BbK6Uh2HIOsD4+p+1NU=</w:Password>"), "{}", *token);
        assert!(token.contains("<w:Username>a&lt;b</w:Username>") && !token.contains("sesame"));
        assert!(token.contains("<u:Created>2026-11-28T12:00:00Z</u:Created>"));
    }
}
