//! The ONVIF device service (devicemgmt.wsdl 26.06), as far as certificates and the way to them need it.
//!
//! The certificate operations were dropped from the Core specification in 16.12 but are still in the WSDL. Their
//! fault codes are those of the old text as far as it is known, and this simulator's own choice beyond that.

use std::net::IpAddr;
use std::sync::Arc;

use roxmltree::Node;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use crate::core::Core;
use crate::device_certificates::{DeviceCertificates, Refusal};
use crate::keys::Pair;
use crate::keystore::Keystore;
use crate::options::CapabilityNames;
use crate::soap::{self, Children, SoapFault, TAS, TDS, TRT, TT, binary, element, text};
use crate::{media_service, security_service, x509};

/// Where it is, on every ONVIF device (Core specification).
pub(crate) const PATH: &str = "/onvif/device_service";

/// Operations of the access class PRE_AUTH, which need no credentials.
pub(crate) const PRE_AUTH: [&str; 5] =
    ["GetSystemDateAndTime", "GetServices", "GetServiceCapabilities", "GetCapabilities", "GetHostname"];

/// The device service's own capabilities. OnboardKeyGeneration is about CreateCertificate, which no model has.
const CAPABILITIES: &str = "<tds:Capabilities><tds:Network IPFilter=\"false\" IPVersion6=\"false\" DynDNS=\"false\"/>\
     <tds:Security TLS1.0=\"false\" TLS1.1=\"false\" TLS1.2=\"true\" OnboardKeyGeneration=\"false\" \
     AccessPolicyConfig=\"false\" Dot1X=\"false\" UsernameToken=\"false\" HttpDigest=\"true\" MaxUsers=\"1\"/>\
     <tds:System DiscoveryResolve=\"false\" DiscoveryBye=\"false\" SystemBackup=\"false\"/></tds:Capabilities>";

/// What an operation comes to.
pub(crate) struct Outcome {
    /// The response element.
    pub(crate) body: String,
    /// HTTP and HTTPS to switch before it is sent.
    pub(crate) switch: Option<(Option<bool>, Option<bool>)>,
}

impl From<String> for Outcome {
    fn from(body: String) -> Self {
        Outcome { body, switch: None }
    }
}

/// Performs one operation. `base` is scheme and host as the client named them.
pub(crate) fn perform(core: &Arc<Core>, base: &str, request: Node<'_, '_>) -> Result<Outcome, SoapFault> {
    let operation = request.tag_name().name();
    let arguments = Children::of(request, TDS);
    let mut switch = None;
    let content = match operation {
        "GetSystemDateAndTime" => nothing(arguments).map(|()| date_and_time(core))?,
        "SetSystemDateAndTime" => set_date_and_time(core, arguments)?,
        "GetServices" => get_services(core, base, arguments)?,
        "GetServiceCapabilities" => nothing(arguments).map(|()| CAPABILITIES.to_owned())?,
        "GetCapabilities" => get_capabilities(base, arguments)?,
        "GetNTP" => nothing(arguments).map(|()| ntp(core))?,
        "SetNTP" => set_ntp(core, arguments)?,
        "GetHostname" => nothing(arguments).map(|()| hostname(core))?,
        "GetDeviceInformation" => nothing(arguments).map(|()| device_information(core))?,
        "GetNetworkProtocols" => nothing(arguments).map(|()| network_protocols(core))?,
        "GetUsers" => nothing(arguments).map(|()| users(core))?,
        "CreateUsers" => set_user(core, arguments, true)?,
        "SetUser" => set_user(core, arguments, false)?,
        "SetNetworkProtocols" => {
            switch = Some(set_network_protocols(core, arguments)?);
            String::new()
        }
        _ if !has_security_service(core) => certificates(core, operation, arguments)?,
        other => return Err(SoapFault::unsupported(other)),
    };
    let body = format!("<tds:{operation}Response>{content}</tds:{operation}Response>");
    Ok(Outcome { body, switch })
}

/// A camera with the Security service keeps its certificates there, and has no other way to them.
fn has_security_service(core: &Core) -> bool {
    core.look(|live| live.store::<Keystore>().is_some())
}

/// The old certificate operations.
fn certificates(core: &Core, operation: &str, arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    match operation {
        "GetCertificates" => {
            nothing(arguments)?;
            with_store(core, |store| {
                Ok(store.entries.iter().map(|e| nvt_certificate(&e.id, &e.der)).collect())
            })
        }
        "GetCertificatesStatus" => {
            nothing(arguments)?;
            with_store(core, |store| Ok(store.entries.iter().map(|e| status(&e.id, e.enabled)).collect()))
        }
        "SetCertificatesStatus" => set_certificates_status(core, arguments),
        "LoadCertificateWithPrivateKey" => load_certificates(core, arguments),
        "DeleteCertificates" => delete_certificates(core, arguments),
        "GetCertificateInformation" => certificate_information(core, arguments),
        other => Err(SoapFault::unsupported(other)),
    }
}

fn date_and_time(core: &Core) -> String {
    let now = core.told_time();
    let date_time = format!(
        "<tt:Time><tt:Hour>{}</tt:Hour><tt:Minute>{}</tt:Minute><tt:Second>{}</tt:Second></tt:Time>\
         <tt:Date><tt:Year>{}</tt:Year><tt:Month>{}</tt:Month><tt:Day>{}</tt:Day></tt:Date>",
        now.hour(),
        now.minute(),
        now.second(),
        now.year(),
        u8::from(now.month()),
        now.day()
    );
    format!(
        "<tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>\
         <tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>UTC0</tt:TZ></tt:TimeZone>\
         <tt:UTCDateTime>{date_time}</tt:UTCDateTime><tt:LocalDateTime>{date_time}</tt:LocalDateTime>\
         </tds:SystemDateAndTime>"
    )
}

fn ntp(core: &Core) -> String {
    let server = core.look(|live| live.time_server.clone());
    let manual = server.map(|server| {
        let (kind, name) = match server.parse() {
            Ok(IpAddr::V4(_)) => ("IPv4", "tt:IPv4Address"),
            Ok(IpAddr::V6(_)) => ("IPv6", "tt:IPv6Address"),
            Err(_) => ("DNS", "tt:DNSname"),
        };
        format!("<tt:NTPManual><tt:Type>{kind}</tt:Type>{}</tt:NTPManual>", element(name, server))
    });
    format!(
        "<tds:NTPInformation><tt:FromDHCP>false</tt:FromDHCP>{}</tds:NTPInformation>",
        manual.unwrap_or_default()
    )
}

/// SetNTP, for one server.
fn set_ntp(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let by_dhcp = soap::boolean(arguments.required("FromDHCP")?)?;
    let manual = arguments.optional("NTPManual");
    arguments.end()?;
    let server = match manual {
        Some(manual) if !by_dhcp => {
            let mut parts = Children::of(manual, TT);
            let name = match text(parts.required("Type")?).as_str() {
                "IPv4" => "IPv4Address",
                "IPv6" => "IPv6Address",
                "DNS" => "DNSname",
                _ => return Err(SoapFault::sender(&["InvalidArgVal"], "There is no such kind of address.")),
            };
            let server = text(parts.required(name)?);
            parts.end()?;
            Some(server)
        }
        _ => None,
    };
    core.change(|live| live.time_server = server);
    Ok(String::new())
}

/// SetSystemDateAndTime: by hand, or by the time server, which this camera does not really ask: it knows the true time.
fn set_date_and_time(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let kind = text(arguments.required("DateTimeType")?);
    soap::boolean(arguments.required("DaylightSavings")?)?;
    let _ = arguments.optional("TimeZone");
    let utc = arguments.optional("UTCDateTime");
    arguments.end()?;
    if kind == "NTP" && core.look(|live| live.time_server.is_some()) {
        core.set_clock(OffsetDateTime::now_utc());
        return Ok(String::new());
    }
    let Some(utc) = utc.filter(|_| kind == "Manual") else {
        return Err(SoapFault::invalid("NtpServerUndefined", "There is no time server."));
    };
    let mut parts = Children::of(utc, TT);
    let (clock, calendar) = (parts.required("Time")?, parts.required("Date")?);
    parts.end()?;
    let [hour, minute, second] = numbers(clock, ["Hour", "Minute", "Second"])?;
    let [year, month, day] = numbers(calendar, ["Year", "Month", "Day"])?;
    let of = || {
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        let date = Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
        let [hour, minute, second] =
            [hour, minute, second].map(|number| u8::try_from(number).unwrap_or(u8::MAX));
        Some(PrimitiveDateTime::new(date, Time::from_hms(hour, minute, second).ok()?).assume_utc())
    };
    let utc = of().ok_or_else(|| SoapFault::invalid("InvalidDateTime", "There is no such time."))?;
    core.set_clock(utc);
    Ok(String::new())
}

fn numbers(node: Node<'_, '_>, names: [&str; 3]) -> Result<[i32; 3], SoapFault> {
    let mut parts = Children::of(node, TT);
    let mut found = [0; 3];
    for (name, number) in names.into_iter().zip(&mut found) {
        let child = parts.required(name)?;
        *number = text(child).parse().map_err(|_| soap::bad_value(child))?;
    }
    parts.end()?;
    Ok(found)
}

fn get_services(core: &Core, base: &str, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let include = soap::boolean(arguments.required("IncludeCapability")?)?;
    arguments.end()?;
    let names = core.options.capability_names;
    // Firmware that knows only the old names is of before 23.12.
    let version = if names == CapabilityNames::Old { (22, 12) } else { (26, 6) };
    let service = |namespace: &str, path: &str, capabilities: &str| {
        let capabilities = if include {
            format!("<tds:Capabilities>{capabilities}</tds:Capabilities>")
        } else {
            String::new()
        };
        format!(
            "<tds:Service>{}{}{capabilities}<tds:Version><tt:Major>{}</tt:Major><tt:Minor>{}</tt:Minor>\
             </tds:Version></tds:Service>",
            element("tds:Namespace", namespace),
            element("tds:XAddr", format!("{base}{path}")),
            version.0,
            version.1
        )
    };
    let media = "<trt:Capabilities xmlns:trt=\"http://www.onvif.org/ver10/media/wsdl\" SnapshotUri=\"true\">\
                 <trt:ProfileCapabilities MaximumNumberOfProfiles=\"2\"/><trt:StreamingCapabilities/></trt:Capabilities>";
    let mut services = service(TDS, PATH, CAPABILITIES) + &service(TRT, media_service::PATH, media);
    if has_security_service(core) {
        let capabilities = security_service::capabilities(&core.options);
        services += &service(TAS, security_service::PATH, &capabilities);
    }
    Ok(services)
}

fn get_capabilities(base: &str, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let categories = arguments.list("Category");
    arguments.end()?;
    let known = |node: &Node<'_, '_>| matches!(text(*node).as_str(), "All" | "Device");
    if !categories.iter().all(known) {
        let reason = "This camera has no service of that category.";
        return Err(SoapFault::receiver(&["ActionNotSupported", "NoSuchService"], reason));
    }
    let flags: String = ["AccessPolicyConfig", "X.509Token", "SAMLToken", "KerberosToken", "RELToken"]
        .iter()
        .map(|name| format!("<tt:{name}>false</tt:{name}>"))
        .collect();
    Ok(format!(
        "<tds:Capabilities><tt:Device>{}<tt:Security><tt:TLS1.1>false</tt:TLS1.1><tt:TLS1.2>true</tt:TLS1.2>\
         <tt:OnboardKeyGeneration>false</tt:OnboardKeyGeneration>{flags}</tt:Security></tt:Device>\
         </tds:Capabilities>",
        element("tt:XAddr", format!("{base}{PATH}"))
    ))
}

fn hostname(core: &Core) -> String {
    let letters = core.options.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let name: String = letters.take(63).collect::<String>().to_ascii_lowercase();
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "camera" } else { name };
    format!(
        "<tds:HostnameInformation><tt:FromDHCP>false</tt:FromDHCP>{}</tds:HostnameInformation>",
        element("tt:Name", name)
    )
}

fn device_information(core: &Core) -> String {
    element("tds:Manufacturer", "Simulated Cameras")
        + &element("tds:Model", core.options.model_told.as_deref().unwrap_or(core.kind.name))
        + &element("tds:FirmwareVersion", env!("CARGO_PKG_VERSION"))
        + &element("tds:SerialNumber", &core.serial)
        + &element("tds:HardwareId", "camera-sim")
}

fn users(core: &Core) -> String {
    let user = core.look(|live| live.guard.user().map(|user| element("tt:Username", user)));
    user.map(|user| format!("<tds:User>{user}<tt:UserLevel>Administrator</tt:UserLevel></tds:User>"))
        .unwrap_or_default()
}

/// CreateUsers for the one account there may be, or SetUser for the one there is.
fn set_user(core: &Core, mut arguments: Children<'_, '_>, create: bool) -> Result<String, SoapFault> {
    let mut user = Children::of(arguments.required("User")?, TT);
    arguments.end()?;
    let name = text(user.required("Username")?);
    let password = user.optional("Password").map(text);
    let level = text(user.required("UserLevel")?);
    let known = core.look(|live| live.guard.user().map(str::to_owned));
    match &known {
        Some(_) if create => {
            return Err(SoapFault::receiver(
                &["OperationProhibited", "MaximumUsers"],
                "There is a user already.",
            ));
        }
        None if create => {}
        Some(known) if *known == name => {}
        _ => return Err(SoapFault::invalid("UsernameMissing", "There is no such user.")),
    }
    if level != "Administrator" {
        return Err(SoapFault::invalid("FixedUser", "The one user stays an administrator."));
    }
    let Some(password) = password.filter(|password| password.len() >= 8) else {
        return Err(SoapFault::invalid("PasswordTooWeak", "A password has eight characters at least."));
    };
    core.change(|live| live.guard.set_account(name, password));
    Ok(String::new())
}

fn network_protocols(core: &Core) -> String {
    let (http_on, https_on) = core.look(|live| (live.http_on, live.https_on));
    let protocol = |name: &str, enabled: bool, port: u16| {
        format!(
            "<tds:NetworkProtocols><tt:Name>{name}</tt:Name><tt:Enabled>{enabled}</tt:Enabled>\
             <tt:Port>{port}</tt:Port></tds:NetworkProtocols>"
        )
    };
    protocol("HTTP", http_on, core.http.address().port())
        + &protocol("HTTPS", https_on, core.https.address().port())
        + &protocol("RTSP", false, 554)
}

/// What to switch. The port numbers cannot be changed, and a request that tries is refused.
fn set_network_protocols(
    core: &Core,
    mut arguments: Children<'_, '_>,
) -> Result<(Option<bool>, Option<bool>), SoapFault> {
    let first = arguments.required("NetworkProtocols")?;
    let rest = arguments.list("NetworkProtocols");
    arguments.end()?;
    let (mut http, mut https) = (None, None);
    for node in std::iter::once(first).chain(rest) {
        let mut parts = Children::of(node, TT);
        let name = text(parts.required("Name")?);
        let enabled = soap::boolean(parts.required("Enabled")?)?;
        let mut ports = vec![parts.required("Port")?];
        ports.extend(parts.list("Port"));
        let _ = parts.optional("Extension");
        parts.end()?;
        let port = match name.as_str() {
            "HTTP" => {
                http = Some(enabled);
                core.http.address().port()
            }
            "HTTPS" => {
                https = Some(enabled);
                core.https.address().port()
            }
            "RTSP" if !enabled => continue,
            _ => return Err(SoapFault::invalid("ServiceNotSupported", "This protocol is not supported.")),
        };
        if ports.iter().any(|node| text(*node) != port.to_string()) {
            let reason = format!("The {name} port of this camera is {port} and cannot be changed.");
            return Err(SoapFault::sender(&["InvalidArgVal"], reason));
        }
    }
    Ok((http, https))
}

fn set_certificates_status(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let mut wanted = Vec::new();
    for node in arguments.list("CertificateStatus") {
        let mut parts = Children::of(node, TT);
        let id = text(parts.required("CertificateID")?);
        wanted.push((id, soap::boolean(parts.required("Status")?)?));
        parts.end()?;
    }
    arguments.end()?;
    let https_on = core.look(|live| live.https_on);
    with_store(core, |store| store.set_status(&wanted, https_on))?;
    Ok(String::new())
}

fn load_certificates(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let first = arguments.required("CertificateWithPrivateKey")?;
    if !arguments.list("CertificateWithPrivateKey").is_empty() {
        return Err(SoapFault::sender(&["InvalidArgVal"], "This camera takes one certificate at a time."));
    }
    arguments.end()?;
    let mut parts = Children::of(first, TT);
    let id = parts.optional("CertificateID").map(|node| text(node).chars().take(64).collect());
    let certificate = data(parts.required("Certificate")?)?;
    let key = data(parts.required("PrivateKey")?)?;
    parts.end()?;
    if Pair::from_der(&key).is_some_and(|pair| !core.takes(&pair)) {
        return Err(Refusal::BadKey.into());
    }
    with_store(core, |store| store.load(id, certificate, &key))?;
    Ok(String::new())
}

fn delete_certificates(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let mut ids = vec![text(arguments.required("CertificateID")?)];
    ids.extend(arguments.list("CertificateID").into_iter().map(text));
    arguments.end()?;
    with_store(core, |store| store.delete(&ids))?;
    Ok(String::new())
}

fn certificate_information(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let id = text(arguments.required("CertificateID")?);
    arguments.end()?;
    let der = with_store(core, |store| store.get(&id).map(|entry| entry.der.clone()))?;
    let facts = x509::read(&der).ok_or(Refusal::BadCertificate)?;
    let date = |date: time::OffsetDateTime| date.format(&Rfc3339).unwrap_or_default();
    Ok(format!(
        "<tds:CertificateInformation>{}{}{}<tt:Version>3</tt:Version>{}<tt:Validity>{}{}</tt:Validity>\
         </tds:CertificateInformation>",
        element("tt:CertificateID", &id),
        element("tt:IssuerDN", facts.issuer),
        element("tt:SubjectDN", facts.subject),
        element("tt:SerialNum", facts.serial),
        element("tt:From", date(facts.not_before)),
        element("tt:Until", date(facts.not_after)),
    ))
}

/// The bytes in a tt:BinaryData: DER, or the one section of a PEM text (cameras are fed both).
fn data(node: Node<'_, '_>) -> Result<Vec<u8>, SoapFault> {
    let mut parts = Children::of(node, TT);
    let bytes = soap::bytes(parts.required("Data")?)?;
    parts.end()?;
    if !bytes.trim_ascii_start().starts_with(b"-----BEGIN ") {
        return Ok(bytes);
    }
    <(SectionKind, Vec<u8>)>::from_pem_slice(&bytes)
        .map(|(_, der)| der)
        .map_err(|_| SoapFault::invalid("CertificateFormat", "The PEM text cannot be read."))
}

fn nvt_certificate(id: &str, der: &[u8]) -> String {
    format!(
        "<tds:NvtCertificate>{}<tt:Certificate>{}</tt:Certificate></tds:NvtCertificate>",
        element("tt:CertificateID", id),
        binary("tt:Data", der)
    )
}

fn status(id: &str, enabled: bool) -> String {
    format!(
        "<tds:CertificateStatus>{}<tt:Status>{enabled}</tt:Status></tds:CertificateStatus>",
        element("tt:CertificateID", id)
    )
}

fn nothing(arguments: Children<'_, '_>) -> Result<(), SoapFault> {
    arguments.end()
}

fn with_store<R>(
    core: &Core,
    act: impl FnOnce(&mut DeviceCertificates) -> Result<R, Refusal>,
) -> Result<R, SoapFault> {
    core.change(|live| match live.store_mut() {
        Some(store) => act(store).map_err(SoapFault::from),
        None => Err(SoapFault::unsupported("This operation")),
    })
}

impl From<Refusal> for SoapFault {
    fn from(refusal: Refusal) -> Self {
        let invalid = SoapFault::invalid;
        match refusal {
            Refusal::BadCertificate => invalid("CertificateFormat", "The certificate cannot be read."),
            Refusal::BadKey => invalid("CertificateFormat", "The private key cannot be read."),
            Refusal::Full => SoapFault::receiver(
                &["Action", "MaxCertificates"],
                "There is no room for another certificate.",
            ),
            Refusal::IdTaken => invalid("CertificateID", "There is a certificate of this id already."),
            Refusal::InUse => SoapFault::sender(&["OperationProhibited"], "The certificate is in use."),
            Refusal::KeysNotMatching => {
                invalid("KeysNotMatching", "The private key does not belong to the certificate.")
            }
            Refusal::TwoEnabled => {
                SoapFault::sender(&["InvalidArgVal"], "Only one certificate can be enabled at a time.")
            }
            Refusal::Unknown => invalid("NoCertificate", "There is no certificate of this id."),
        }
    }
}
