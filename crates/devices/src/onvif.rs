//! What both ONVIF drivers do: calls to a device's services, and those operations of the device service
//! (devicemgmt.wsdl) that are about the device and not about certificates.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};
use zeroize::Zeroizing;

use crate::{
    Before, DeviceInfo, Error,
    error::shown,
    http::Place,
    session::Session,
    soap::{self, Element, Fault, Said, Service, TT},
    xsd,
};

/// Fixed by the Core specification, "Device service".
pub(crate) const DEVICE_PATH: &str = "/onvif/device_service";

const TDS: &str = "http://www.onvif.org/ver10/device/wsdl";

/// An ONVIF device and a user of it.
pub(crate) struct Onvif {
    session: Session,
    device: Place,
    security: Place,
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
    /// See [`crate::http::Http::expect`].
    pub(crate) fn expect(&self, certificate: &[u8]) {
        self.session.http().expect(certificate);
    }

    /// `security` is where the Security service lives; the old device service has no use for it.
    pub(crate) fn new(session: Session, device: Place, security: Option<Place>) -> Onvif {
        let security = security.unwrap_or_else(|| device.clone());
        Onvif { session, device, security }
    }

    pub(crate) fn host(&self) -> &str {
        &self.session.http().host
    }

    pub(crate) fn limits(&self) -> &crate::Limits {
        &self.session.http().limits
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
        };
        let mut request = soap::request(place, service, operation, arguments);
        request.secret = secret;
        let answer = self.session.send(&request).await?;
        match soap::read(&answer, service, operation)? {
            Said::Response(element) => Ok(Ok(element)),
            Said::Fault(fault) if fault.is("NotAuthorized") => Err(if self.session.challenged() {
                self.session.not_allowed(operation)
            } else {
                // Core specification, "Authentication": the answer of a device that knows no Digest.
                Error::NoDigest { offered: "UsernameToken".to_owned() }
            }),
            Said::Fault(fault) => Ok(Err(fault)),
            Said::NotSoap => Err(request.unexpected(&format!("HTTP {}", answer.status))),
        }
    }

    /// GetDeviceInformation: the first call of a user, because it is harmless and not open to everyone.
    pub(crate) async fn device_info(&mut self) -> Result<DeviceInfo, Error> {
        let answer = self.call(Service::Device, "GetDeviceInformation", "").await?;
        let field = |name| answer.text_of(TDS, name).filter(|t| !t.is_empty()).map(shown);
        Ok(DeviceInfo {
            manufacturer: field("Manufacturer"),
            model: field("Model"),
            firmware: field("FirmwareVersion"),
            serial_number: field("SerialNumber"),
        })
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

    /// Switches plain HTTP off.
    pub(crate) async fn disable_http(&mut self) -> Result<(), Error> {
        let now = self.protocols().await?.http;
        if now.enabled {
            self.set_protocol("HTTP", &Protocol { enabled: false, ..now }).await?;
        }
        Ok(())
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

/// UTCDateTime of a GetSystemDateAndTimeResponse; `None` if the device does not tell it, or nonsense.
pub(crate) fn clock(answer: &Element) -> Option<OffsetDateTime> {
    let utc = answer.child(TDS, "SystemDateAndTime")?.child(TT, "UTCDateTime")?;
    let (date, time) = (utc.child(TT, "Date")?, utc.child(TT, "Time")?);
    let number = |of: &Element, name: &str| of.text_of(TT, name)?.parse::<u16>().ok();
    let small = |of: &Element, name: &str| u8::try_from(number(of, name)?).ok();
    let month = Month::try_from(small(date, "Month")?).ok()?;
    let date = Date::from_calendar_date(number(date, "Year")?.into(), month, small(date, "Day")?).ok()?;
    // The schema allows 61 seconds; the time crate knows no leap second.
    let second = small(time, "Second")?.min(59);
    let time = Time::from_hms(small(time, "Hour")?, small(time, "Minute")?, second).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}
