//! The ONVIF endpoints: a SOAP message in, a SOAP message out.

use std::sync::Arc;

use crate::core::{Core, SwitchRefusal};
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::options::Fault;
use crate::soap::{self, SoapFault, TAS, TDS, TRT};
use crate::{device_service, media_service, router, security_service, username_token};

/// Where the device service is, on every ONVIF device (Core specification).
pub(crate) const DEVICE_SERVICE: &str = "/onvif/device_service";
/// Where this camera has its Security service; a client finds it with GetServices.
pub(crate) const SECURITY_SERVICE: &str = "/onvif/security";

/// Where it has its Media service.
pub(crate) const MEDIA_SERVICE: &str = "/onvif/media";

const SOAP_XML: &str = "application/soap+xml; charset=utf-8";

/// A service of the camera.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Service {
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

/// Answers one message; gives the operation's name too.
pub(crate) async fn answer(
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
        router::challenge(core, login, &mut answer);
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
