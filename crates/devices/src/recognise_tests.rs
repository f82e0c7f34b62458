//! Recognising, and the first call of a driver, against devices that no simulator imitates.

use domain::Clock;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    Admission, Consent, Error, Expected, Limits, Recipes,
    fake::{Fake, answer, challenge, credentials, seen},
    recognise,
};

const TDS: &str = "http://www.onvif.org/ver10/device/wsdl";
const TAS: &str = "http://www.onvif.org/ver10/advancedsecurity/wsdl";

fn soap(content: &str) -> String {
    let body = format!(
        r#"<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:d="{TDS}" xmlns:a="{TAS}" xmlns:ter="http://www.onvif.org/ver10/error"><e:Body>{content}</e:Body></e:Envelope>"#
    );
    answer("200 OK", "Content-Type: application/soap+xml\r\n", &body)
}

fn fault(code: &str, status: &str) -> String {
    soap(&format!(
        "<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>{code}</e:Value></e:Subcode></e:Code>\
         <e:Reason><e:Text>no</e:Text></e:Reason></e:Fault>"
    ))
    .replacen("200 OK", status, 1)
}

fn clock() -> String {
    soap(
        "<d:GetSystemDateAndTimeResponse><d:SystemDateAndTime><tt:UTCDateTime><tt:Time><tt:Hour>12</tt:Hour>\
         <tt:Minute>0</tt:Minute><tt:Second>60</tt:Second></tt:Time><tt:Date><tt:Year>2001</tt:Year>\
         <tt:Month>2</tt:Month><tt:Day>28</tt:Day></tt:Date></tt:UTCDateTime></d:SystemDateAndTime>\
         </d:GetSystemDateAndTimeResponse>",
    )
}

/// A camera with a Security service at that address.
fn security_camera(request: &str, address: &str) -> String {
    match request {
        r if r.contains("<tds:GetSystemDateAndTime>") => clock(),
        r if r.contains("<tds:GetServices>") => soap(&format!(
            "<d:GetServicesResponse><d:Service><d:Namespace>{TDS}</d:Namespace><d:XAddr>http://x/</d:XAddr></d:Service>\
             <d:Service><d:Namespace>{TAS}</d:Namespace><d:XAddr>{address}</d:XAddr></d:Service></d:GetServicesResponse>"
        )),
        r if r.contains("<tas:GetServiceCapabilities>") => soap(
            r#"<a:GetServiceCapabilitiesResponse><a:Capabilities><a:KeystoreCapabilities RSAKeyPairGeneration="true"
               RSAKeyLengths="2048" PKCS10="true"/><a:TLSServerCapabilities TLSServerSupported="1.2"/>
               </a:Capabilities></a:GetServiceCapabilitiesResponse>"#,
        ),
        _ => challenge(r#"nonce="n""#),
    }
}

async fn found(fake: &Fake) -> Result<crate::Found, Error> {
    let (endpoint, recipes) = (fake.endpoint(None), Recipes::default());
    let recognised = recognise(&endpoint, &Limits::default(), &recipes, &Clock::system()).await?;
    let named = Consent { named: true, ..Consent::default() };
    let admission = Admission::decide(&seen(&endpoint), None, named)?;
    recognised.enter(&admission, &recipes, credentials()).await
}

#[tokio::test]
async fn a_foreign_host_in_an_address_is_not_followed() {
    let fake = Fake::start(|request| {
        let (_, own) = request.split_once("Host: ").unwrap();
        let port = own.split_once("\r\n").unwrap().0.split_once(':').unwrap().1;
        // A name that does not resolve: asking it would fail.
        security_camera(request, &format!("http://elsewhere.invalid:{port}/tas/here"))
    })
    .await;
    let found = found(&fake).await.unwrap();
    assert_eq!(found.driver(), "onvif-security");
    assert_eq!(found.abilities().key_kinds, ["rsa-2048"]);
    assert!(found.clock_offset().unwrap() < Duration::days(-9000));
    let last = fake.requests().pop().unwrap();
    assert!(last.starts_with("POST /tas/here HTTP/1.1\r\n"), "{last}");
    assert!(last.contains("Host: 127.0.0.1:"), "{last}");
    // The credentials go to that place on this host too.
    let wrong = Error::WrongPassword { user: "admin".into() };
    assert_eq!(found.connect().note().await, Err(wrong));
}

#[tokio::test]
async fn without_the_security_service_it_is_the_old_one() {
    let fake = Fake::start(|request| match request {
        r if r.contains("<tds:GetServices>") => fault("ter:ActionNotSupported", "500 Error"),
        r if r.contains("<tds:GetCapabilities>") => {
            soap("<d:GetCapabilitiesResponse><d:Capabilities/></d:GetCapabilitiesResponse>")
        }
        r if r.contains("<tds:GetDeviceInformation>") => soap(
            "<d:GetDeviceInformationResponse><d:Manufacturer>A</d:Manufacturer><d:Model/></d:GetDeviceInformationResponse>",
        ),
        r if r.contains("<tds:GetNetworkProtocols>") => soap("<d:GetNetworkProtocolsResponse/>"),
        _ => fault("ter:ActionNotSupported", "500 Error"),
    })
    .await;
    let found = found(&fake).await.unwrap();
    assert_eq!((found.driver(), found.clock_offset()), ("onvif-device", None));
    assert!(!found.abilities().makes_key);
    // And without that one too there is nothing to be done.
    let none = Error::NoCertificateService { host: "127.0.0.1".into() };
    assert_eq!(found.connect().note().await, Err(none));
}

/// Which services it has is asked again in the name of the user: a key that the camera can make itself must not
/// come from outside because of a missing login.
#[tokio::test]
async fn a_device_that_wants_a_login_is_asked_again_with_it() {
    for open in ["<tds:GetSystemDateAndTime>", "nothing"] {
        let fake = Fake::start(move |request| match request {
            r if r.contains(open) || r.contains("Authorization:") => security_camera(r, "https://x/tas"),
            r if r.contains("<tas:") => security_camera(r, ""),
            _ => challenge(r#"nonce="n""#),
        })
        .await;
        let found = found(&fake).await.unwrap();
        assert_eq!(found.driver(), "onvif-security", "{open}");
        assert!(found.clock_offset().is_some());
    }
    let fake = Fake::start(|request| match request {
        r if r.contains("<tds:GetSystemDateAndTime>") => clock(),
        _ => challenge(r#"nonce="n""#),
    })
    .await;
    let wrong = Error::WrongPassword { user: "admin".into() };
    assert_eq!(found(&fake).await.unwrap_err(), wrong);
    assert_eq!(fake.requests().iter().filter(|r| r.contains("Authorization:")).count(), 1);
}

/// A web server that is no camera gets no password, unless it asks for one itself.
#[tokio::test]
async fn a_server_that_does_not_ask_gets_no_credentials() {
    let fake = Fake::start(|_| answer("404 Not Found", "", "")).await;
    assert!(matches!(found(&fake).await, Err(Error::NotACamera { .. })));
    assert!(fake.requests().iter().all(|r| !r.contains("Authorization:")));
}

#[tokio::test]
async fn a_refused_token_is_tried_once_and_shows_no_password() {
    // With a challenge that nobody can answer, and with none.
    let fake = Fake::start(|_| fault("ter:NotAuthorized", "400 Bad Request")).await;
    let mut driver = found(&fake).await.unwrap().connect();
    for _ in 0..2 {
        assert_eq!(driver.note().await, Err(Error::ClockUnknown { user: "admin".into() }));
    }
    let requests = fake.requests();
    assert_eq!(requests.iter().filter(|r| r.contains("UsernameToken")).count(), 1);
    assert!(requests.iter().all(|r| !r.contains("sesame")));
}

/// A liar would collect proofs that are good in years to come.
#[tokio::test]
async fn a_token_is_not_dated_by_a_clock_far_ahead_of_a_stranger() {
    let fake = Fake::start(|request| match request {
        r if r.contains("<tds:GetSystemDateAndTime>") => clock().replace("2001", "2091"),
        _ => fault("ter:NotAuthorized", "400 Bad Request"),
    })
    .await;
    let noted = found(&fake).await.unwrap().connect().note().await;
    assert!(matches!(noted, Err(Error::ClockAhead { .. })), "{noted:?}");
    assert!(fake.requests().iter().all(|r| !r.contains("UsernameToken")));
}

/// A moment after the last date that there is.
#[tokio::test]
async fn a_clock_at_the_end_of_all_dates_gets_no_token() {
    let clock_of_9999 = [("12<", "23<"), ("0</tt:M", "59</tt:M"), ("60<", "59<"), ("2001", "9999")]
        .into_iter()
        .chain([(">2<", ">12<"), ("28<", "31<")])
        .fold(clock(), |clock, (from, to)| clock.replace(from, to));
    let (fake, pin) = Fake::start_tls(move |request| match request {
        r if r.contains("<tds:GetSystemDateAndTime>") => measured(&clock_of_9999),
        _ => fault("ter:NotAuthorized", "400 Bad Request"),
    })
    .await;
    let (endpoint, recipes, time) = (fake.endpoint(Some(pin)), Recipes::default(), Clock::system());
    let recognised = recognise(&endpoint, &Limits::default(), &recipes, &time).await.unwrap();
    let known = Expected { accepted: true, secured: true, keys: vec![pin], ..Expected::default() };
    let admission = Admission::decide(&seen(&endpoint), Some(&known), Consent::default()).unwrap();
    let found = recognised.enter(&admission, &recipes, credentials()).await.unwrap();
    assert!(found.clock_offset().unwrap() > Duration::days(2_500_000));
    time.advance(Duration::MINUTE);
    let noted = found.connect().note().await;
    assert_eq!(noted, Err(Error::NoDigest { offered: "UsernameToken".into() }));
}

/// Dated by the device's clock, since it takes no token that is some seconds old.
#[tokio::test]
async fn a_token_is_dated_by_the_clock_of_the_device() {
    let fake = Fake::start(|request| match request {
        r if r.contains("<tds:GetSystemDateAndTime>") => clock(),
        _ => fault("ter:NotAuthorized", "400 Bad Request"),
    })
    .await;
    let found = found(&fake).await.unwrap();
    let told = OffsetDateTime::now_utc() + found.clock_offset().unwrap();
    assert!(found.connect().note().await.is_err());
    let requests = fake.requests();
    let token = requests.iter().find(|r| r.contains("UsernameToken")).unwrap();
    let created = token.split_once("<u:Created>").unwrap().1.split_once('<').unwrap().0;
    let created = OffsetDateTime::parse(created, &Rfc3339).unwrap();
    assert!((created - told).abs() < Duration::seconds(5), "{created} {told}");
}

#[tokio::test]
async fn not_authorized_before_anything_else_ends_it() {
    let fake = Fake::start(|request| match request {
        r if r.contains("<tds:GetSystemDateAndTime>") => clock(),
        r if r.contains("Authorization:") => fault("ter:NotAuthorized", "400 Bad Request"),
        _ => challenge(r#"nonce="n""#),
    })
    .await;
    let mut driver = found(&fake).await.unwrap().connect();
    let not_allowed = Error::NotAllowed { user: "admin".into(), operation: "GetDeviceInformation".into() };
    assert_eq!(driver.note().await, Err(not_allowed.clone()));
    let sent = fake.requests().len();
    assert_eq!(driver.switch_http(false).await, Err(not_allowed));
    assert_eq!(fake.requests().len(), sent);
}

#[tokio::test]
async fn what_is_no_camera_is_named() {
    let page = |request: &str| match request {
        r if r.starts_with("POST") => answer("404 Not Found", "", "<html>nothing<br></html>"),
        _ => answer("200 OK", "Server: nginx\r\n", "<html>It works</html>"),
    };
    let fake = Fake::start(page).await;
    assert_eq!(
        found(&fake).await.unwrap_err(),
        Error::NotACamera { host: "127.0.0.1".into(), port: fake.port, server: "nginx".into() }
    );
    let fake =
        Fake::start(|_| answer("301 Moved Permanently", "Location: https://elsewhere.invalid:8443/\r\n", ""))
            .await;
    assert_eq!(found(&fake).await.unwrap_err(), Error::MovedToHttps { host: "127.0.0.1".into(), port: 8443 });
    for garbage in ["SSH-2.0-x\r\n", ""] {
        let fake = Fake::start(move |_| garbage.into()).await;
        let not_http = Error::NotHttp { host: "127.0.0.1".into(), port: fake.port };
        assert_eq!(found(&fake).await.unwrap_err(), not_http);
    }
}

/// Axis takes PEM where the type says DER.
#[tokio::test]
async fn a_certificate_that_is_refused_in_der_is_sent_in_pem() {
    let fake = Fake::start(|request| match request {
        r if r.contains("<tds:GetSystemDateAndTime>") => clock(),
        r if !r.contains("Authorization:") => challenge(r#"nonce="n""#),
        r if r.contains("<tds:GetCertificatesStatus>") => soap(
            "<d:GetCertificatesStatusResponse><d:CertificateStatus><tt:CertificateID>old</tt:CertificateID>\
             <tt:Status>true</tt:Status></d:CertificateStatus></d:GetCertificatesStatusResponse>",
        ),
        // "LS0tLS1" begins "-----" in base64.
        r if r.contains("<tds:LoadCertificateWithPrivateKey>") && !r.contains("<tt:Data>LS0tLS1") => {
            fault("ter:InvalidCertificate", "400 Bad Request")
        }
        r if r.contains("<tds:LoadCertificateWithPrivateKey>") => {
            soap("<d:LoadCertificateWithPrivateKeyResponse/>")
        }
        r if r.contains("<tds:SetCertificatesStatus>") => soap("<d:SetCertificatesStatusResponse/>"),
        _ => fault("ter:ActionNotSupported", "500 Error"),
    })
    .await;
    let mut driver = found(&fake).await.unwrap().connect();
    let package = crate::Package { certificate: b"leaf", issuers: &[], key: Some(b"key"), pem: "" };
    driver.install("mark", &package).await.unwrap();
    let requests = fake.requests();
    // No key without credentials.
    let with_key = |r: &&String| r.contains("PrivateKey>");
    assert_eq!(requests.iter().filter(with_key).count(), 2);
    assert!(requests.iter().filter(with_key).all(|r| r.contains("Authorization: Digest")));
    let statuses = requests.last().unwrap();
    assert!(
        statuses.contains(
            "<tds:CertificateStatus><tt:CertificateID>mark</tt:CertificateID><tt:Status>true</tt:Status></tds:CertificateStatus>\
             <tds:CertificateStatus><tt:CertificateID>old</tt:CertificateID><tt:Status>false</tt:Status></tds:CertificateStatus>"
        ),
        "{statuses}"
    );
}

/// The device's open answers and, to whoever `is_let_in` by the request, who it is; a refusal else.
fn camera(request: &str, time: &str, is_let_in: bool, refusal: &str) -> String {
    match request {
        r if r.contains("<tds:GetSystemDateAndTime>") => time.to_owned(),
        r if r.contains("<tds:GetServices>") => soap("<d:GetServicesResponse/>"),
        r if !r.starts_with("POST /onvif/") => String::new(),
        r if r.contains("<tds:GetDeviceInformation>") && is_let_in => soap(
            "<d:GetDeviceInformationResponse><d:Manufacturer>IPCAM</d:Manufacturer><d:Model>C-1</d:Model>\
             <d:FirmwareVersion>1.0</d:FirmwareVersion></d:GetDeviceInformationResponse>",
        ),
        _ => refusal.to_owned(),
    }
}

/// An answer whose body was changed, with its true length.
fn measured(changed: &str) -> String {
    answer("200 OK", "", changed.split_once("\r\n\r\n").unwrap().1)
}

async fn model(fake: &Fake) -> Result<Option<String>, Error> {
    let device = found(fake).await?.connect().identify().await?;
    Ok(device.model.map(|model| model.to_string()))
}

fn created(request: &str) -> Option<OffsetDateTime> {
    let created = request.split_once("<u:Created>")?.1.split_once('<')?.0;
    OffsetDateTime::parse(created, &Rfc3339).ok()
}

/// It has nothing to say to the questions of makers and of recipes.
#[tokio::test]
async fn what_closes_the_connection_elsewhere_is_still_a_device() {
    for refusal in [challenge(r#"nonce="n""#), fault("ter:NotAuthorized", "400 Bad Request")] {
        let fake = Fake::start(move |r| {
            let is_let_in = r.contains("Authorization: Digest") || r.contains("UsernameToken");
            camera(r, &clock(), is_let_in, &refusal)
        })
        .await;
        assert_eq!(model(&fake).await, Ok(Some("C-1".into())));
    }
}

/// A maker's device that knows no path of ONVIF, nor of the makers that are asked before.
#[tokio::test]
async fn a_maker_is_recognised_behind_connections_that_are_closed() {
    let fake = Fake::start(|request| match request {
        r if r.starts_with("GET / ") => answer("200 OK", "", "<html></html>"),
        r if r.contains("/webapi/query.cgi") => answer(
            "200 OK",
            "",
            r#"{"data":{"SYNO.API.Auth":{"path":"entry.cgi","minVersion":1,"maxVersion":7},
                "SYNO.Core.Certificate":{"path":"entry.cgi","minVersion":1,"maxVersion":1}},"success":true}"#,
        ),
        _ => String::new(),
    })
    .await;
    let (endpoint, recipes) = (fake.endpoint(None), Recipes::default());
    let recognised = recognise(&endpoint, &Limits::default(), &recipes, &Clock::system()).await.unwrap();
    assert_eq!(recognised.spoken().unwrap().driver(), "synology");
}

/// The token does not show the password: where only Basic is offered, some devices take it.
#[tokio::test]
async fn a_token_is_tried_where_only_basic_is_offered() {
    const BASIC: &str = "WWW-Authenticate: Basic realm=\"x\"\r\n";
    let takes_it = |r: &str| r.contains("UsernameToken");
    let fake = Fake::start(move |r| camera(r, &clock(), takes_it(r), &answer("401 No", BASIC, ""))).await;
    assert_eq!(model(&fake).await, Ok(Some("C-1".into())));
    // One that has never heard of it.
    let fake = Fake::start(|r| camera(r, &clock(), false, &answer("401 No", BASIC, ""))).await;
    assert_eq!(model(&fake).await, Err(Error::TokenUnderBasic { user: "admin".into() }));
    assert_eq!(fake.requests().iter().filter(|r| takes_it(r)).count(), 1);
    for request in fake.requests() {
        assert!(!request.contains("sesame") && !request.contains("Authorization:"), "{request}");
    }
}

/// Some tell their clock as LocalDateTime and date by that.
#[tokio::test]
async fn a_token_is_dated_by_the_only_clock_that_is_told() {
    let local = measured(&clock().replace("UTCDateTime", "LocalDateTime"));
    let fake = Fake::start(move |r| {
        let is_of_2001 = created(r).is_some_and(|at| at.year() == 2001);
        camera(r, &local, is_of_2001, &fault("ter:NotAuthorized", "400 Bad Request"))
    })
    .await;
    assert_eq!(model(&fake).await, Ok(Some("C-1".into())));
}

/// Of a refused token nobody knows whether password or date were wrong, unless the clock is right.
#[tokio::test]
async fn a_refused_token_names_the_clock_where_that_may_be_it() {
    let user = || "admin".to_owned();
    let now = OffsetDateTime::now_utc();
    let right = clock()
        .replace("<tt:Hour>12<", &format!("<tt:Hour>{}<", now.hour()))
        .replace("<tt:Minute>0<", &format!("<tt:Minute>{}<", now.minute()))
        .replace("<tt:Second>60<", &format!("<tt:Second>{}<", now.second()))
        .replace("<tt:Year>2001<", &format!("<tt:Year>{}<", now.year()))
        .replace("<tt:Month>2<", &format!("<tt:Month>{}<", u8::from(now.month())))
        .replace("<tt:Day>28<", &format!("<tt:Day>{}<", now.day()));
    for (time, expected) in [
        (fault("ter:ActionNotSupported", "500 Error"), Error::ClockUnknown { user: user() }),
        (measured(&right), Error::WrongPassword { user: user() }),
    ] {
        let fake = Fake::start(move |r| camera(r, &time, false, &fault("ter:NotAuthorized", "400 No"))).await;
        assert_eq!(model(&fake).await, Err(expected));
    }
    let fake = Fake::start(|r| camera(r, &clock(), false, &fault("ter:NotAuthorized", "400 No"))).await;
    assert!(matches!(model(&fake).await, Err(Error::ClockDoubtful { minutes, .. }) if minutes < -1_000_000));
}

/// An answer that is no XML is not a device without that service.
#[tokio::test]
async fn services_that_cannot_be_read_are_not_guessed() {
    let broken = measured(&soap("<d:GetServicesResponse>").replace("</e:Body>", ""));
    let fake = Fake::start(move |r| match r {
        r if r.contains("<tds:GetSystemDateAndTime>") => clock(),
        _ => broken.clone(),
    })
    .await;
    assert!(matches!(model(&fake).await, Err(Error::UnexpectedAnswer { .. })));
}
