//! [`crate::Model::OnvifSecurity`] and [`crate::Model::OnvifDevice`]: a SOAP message in, a SOAP message out.

use std::sync::Arc;

use hyper::Method;
use hyper::header::{self, HeaderMap};

use crate::core::{Core, SwitchRefusal};
use crate::device_certificates::DeviceCertificates;
use crate::device_service::{self, Outcome};
use crate::dialect::{Answering, Asked, Dialect};
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::keystore::Keystore;
use crate::kind::{Kind, Page};
use crate::options::{ELSEWHERE, Fault};
use crate::soap::{self, SoapFault, TAS, TDS, TRT};
use crate::store::Store;
use crate::tls::Arrival;
use crate::{media_service, security_service, username_token};

/// What an upload is recognised by before its body is whole.
const UPLOADS: [&str; 2] = ["UploadCertificate", "LoadCertificateWithPrivateKey"];

/// ONVIF, with the services of one of the models.
pub(crate) struct Onvif {
    kind: &'static Kind,
    services: &'static [(&'static str, Service)],
    store: fn() -> Box<dyn Store>,
}

/// With the Security service.
pub(crate) const SECURITY: Onvif = Onvif {
    kind: &Kind {
        name: "onvif-security",
        called: "Shop front",
        takes: "ONVIF Security service",
        page: Page { scene: include_str!("scenes/shop_front.svg"), ..PAGE },
        faults: &[
            Fault::AnnouncesElsewhere,
            Fault::BasicInsideTls,
            Fault::CsrFails,
            Fault::CsrKillsKey,
            Fault::FullStore,
            Fault::HttpsPretended,
            Fault::HttpsRefused,
            Fault::LocalTimeAsUtc,
            Fault::MalformedAnswers,
            Fault::NoKeyGeneration,
            Fault::NoPassword,
            #[cfg(feature = "makers")]
            Fault::Pkcs12Alone,
            Fault::RefusesChains,
            Fault::RsaOnly,
            Fault::Sha256Digest,
            Fault::ShortNonces,
            Fault::TlsPretended,
            Fault::UsernameToken,
            Fault::WrongClock,
        ],
        makes_key: true,
        ..KIND
    },
    services: &[
        (device_service::PATH, Service::Device),
        (security_service::PATH, Service::Security),
        (media_service::PATH, Service::Media),
    ],
    store: || Box::<Keystore>::default(),
};

/// With the device service alone.
pub(crate) const DEVICE: Onvif = Onvif {
    kind: &KIND,
    services: &[(device_service::PATH, Service::Device), (media_service::PATH, Service::Media)],
    store: || Box::<DeviceCertificates>::default(),
};

const KIND: Kind = Kind {
    name: "onvif-device",
    called: "Gate",
    realm: "Simulated camera",
    server: "SimCam/1.0",
    takes: "ONVIF device service",
    page: PAGE,
    faults: &[
        Fault::AnnouncesElsewhere,
        Fault::BasicInsideTls,
        Fault::FullStore,
        Fault::HttpsPretended,
        Fault::HttpsRefused,
        Fault::LocalTimeAsUtc,
        Fault::MalformedAnswers,
        Fault::NoPassword,
        Fault::RsaOnly,
        Fault::Sha256Digest,
        Fault::ShortNonces,
        Fault::UsernameToken,
        Fault::WrongClock,
    ],
    makes_key: false,
    comes_with_https: false,
    switches_http: true,
};
const PAGE: Page =
    Page { scene: include_str!("scenes/gate.svg"), menu: "", onvif: Some(device_service::PATH) };

const SOAP_XML: &str = "application/soap+xml; charset=utf-8";

impl Dialect for Onvif {
    fn kind(&self) -> &'static Kind {
        self.kind
    }

    fn store(&self) -> Box<dyn Store> {
        (self.store)()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a> {
        Box::pin(async move {
            let Asked { core, arrival, parts, login } = asked;
            let path = parts.uri.path();
            if let Some((_, service)) = self.services.iter().find(|(of, _)| *of == path) {
                if parts.method != Method::POST {
                    return Some((http::name(parts), http::not_allowed("POST")));
                }
                let base = base_url(core, arrival, &parts.headers);
                return Some(answer(core, *service, &base, login, body).await);
            }
            let reading = parts.method == Method::GET || parts.method == Method::HEAD;
            (path == media_service::SNAPSHOT && reading).then(|| (http::name(parts), snapshot(asked)))
        })
    }

    fn is_upload(&self, _asked: Asked<'_>, operation: &str) -> bool {
        UPLOADS.contains(&operation)
    }

    fn drop_at(&self, asked: Asked<'_>) -> &'static [&'static str] {
        let is_accepted = asked.login == Login::Accepted && asked.parts.method == Method::POST;
        if is_accepted { &UPLOADS } else { &[] }
    }
}

/// Scheme and host as the client named them, for the XAddrs it is to follow.
fn base_url(core: &Core, arrival: &Arrival, headers: &HeaderMap) -> String {
    if core.options.has(Fault::AnnouncesElsewhere) {
        return format!("http://{ELSEWHERE}");
    }
    let scheme = if arrival.tls.is_some() { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let sane = |host: &&str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        !host.is_empty() && host.len() <= 255 && host.chars().all(allowed)
    };
    format!("{scheme}://{}", host.filter(sane).unwrap_or(&arrival.local))
}

fn snapshot(Asked { core, parts, login, .. }: Asked<'_>) -> Answer {
    if login == Login::Accepted || login == Login::Absent && core.look(|live| live.guard.open) {
        return media_service::snapshot(parts.uri.query());
    }
    let mut answer = http::plain(401, "This needs the camera's user and password.\n");
    core.challenge(login, &mut answer);
    answer
}

/// A service of the camera.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Service {
    Device,
    Security,
    Media,
}

impl Service {
    fn namespace(self) -> &'static str {
        match self {
            Service::Device => TDS,
            Service::Security => TAS,
            Service::Media => TRT,
        }
    }

    /// Whether an operation is of the access class PRE_AUTH.
    fn needs_no_login(self, operation: &str) -> bool {
        match self {
            Service::Device => device_service::PRE_AUTH.contains(&operation),
            Service::Security | Service::Media => operation == "GetServiceCapabilities",
        }
    }
}

/// Answers one message; gives the operation's name too.
async fn answer(
    core: &Arc<Core>,
    service: Service,
    base: &str,
    login: Login,
    body: &[u8],
) -> (String, Answer) {
    let (operation, outcome) = dispatch(core, service, base, login, body);
    let record =
        core.transcript.as_ref().map(|transcript| (transcript, transcript.request(&operation, body)));
    let result = match outcome {
        Ok(Outcome { body, switch: Some((http, https)) }) => {
            core.switch(http, https).await.map(|()| body).map_err(|refusal| Refused::Fault(refusal.into()))
        }
        Ok(outcome) => Ok(outcome.body),
        Err(refused) => Err(refused),
    };
    let (status, text) = match &result {
        Ok(body) => (200, soap::envelope(body)),
        Err(Refused::Fault(fault)) => (fault.status(), fault.envelope()),
        Err(Refused::Login) => (
            if core.options.has(Fault::UsernameToken) { 400 } else { 401 },
            SoapFault::sender(&["NotAuthorized"], "This needs the camera's user and password.").envelope(),
        ),
    };
    if let Some((transcript, number)) = record {
        transcript.response(number, &operation, &text);
    }
    let mut answer = http::answer(status, SOAP_XML, text);
    if status == 401 {
        core.challenge(login, &mut answer);
    }
    (operation, answer)
}

/// Why an operation did not happen.
enum Refused {
    Fault(SoapFault),
    Login,
}

impl From<SoapFault> for Refused {
    fn from(fault: SoapFault) -> Self {
        Refused::Fault(fault)
    }
}

fn dispatch(
    core: &Arc<Core>,
    service: Service,
    base: &str,
    login: Login,
    body: &[u8],
) -> (String, Result<Outcome, Refused>) {
    let unreadable = || "unreadable".to_owned();
    let parsed = std::str::from_utf8(body)
        .map_err(|_| SoapFault::sender(&["WellFormed"], "The request is not UTF-8."))
        .and_then(soap::parse);
    let login = match &parsed {
        Ok(document) if core.options.has(Fault::UsernameToken) => username_token::judge(core, document),
        _ if login == Login::Absent && core.look(|live| live.guard.open) => Login::Accepted,
        _ => login,
    };
    // Wrong credentials are wrong whatever the message says, and a stale nonce must be told from them.
    let refused_login = matches!(login, Login::Refused | Login::Stale);
    let document = match parsed {
        Ok(document) => document,
        Err(_) if refused_login => return (unreadable(), Err(Refused::Login)),
        Err(fault) => return (unreadable(), Err(fault.into())),
    };
    let node = match soap::operation(&document) {
        Ok(node) => node,
        Err(_) if refused_login => return (unreadable(), Err(Refused::Login)),
        Err(fault) => return (unreadable(), Err(fault.into())),
    };
    let operation: String = node.tag_name().name().chars().take(64).collect();
    let outcome = if refused_login {
        Err(Refused::Login)
    } else if node.tag_name().namespace() != Some(service.namespace()) {
        Err(SoapFault::unsupported(&operation).into())
    } else if login == Login::Absent && !service.needs_no_login(&operation) {
        Err(Refused::Login)
    } else {
        match service {
            Service::Device => device_service::perform(core, base, node),
            Service::Security => security_service::perform(core, node).map(Outcome::from),
            Service::Media => media_service::perform(base, node).map(Outcome::from),
        }
        .map_err(Refused::from)
    };
    (operation, outcome)
}

impl From<SwitchRefusal> for SoapFault {
    /// SetNetworkProtocols: TLS that is not configured is ter:EnablingTlsFailed (Core specification).
    fn from(refusal: SwitchRefusal) -> Self {
        let enabling = ["ActionNotSupported", "EnablingTlsFailed"];
        match refusal {
            SwitchRefusal::NoCertificate => {
                SoapFault::receiver(&enabling, "HTTPS cannot be switched on: no certificate is assigned.")
            }
            SwitchRefusal::Refused => SoapFault::receiver(&enabling, "HTTPS cannot be switched on."),
            SwitchRefusal::LastDoor => SoapFault::sender(
                &["InvalidArgVal"],
                "One of HTTP and HTTPS must stay on, or nobody reaches this camera any more.",
            ),
            SwitchRefusal::PortTaken => SoapFault::invalid("PortAlreadyInUse", "The port is taken."),
        }
    }
}
