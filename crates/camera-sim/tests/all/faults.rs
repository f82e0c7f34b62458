//! What goes wrong when it is told to, and that nothing a stranger sends makes more go wrong.

use std::time::Duration;

use crate::common::{Authority, Client, DEVICE, PASSWORD, SECURITY, USER, envelope, served};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use camera_sim::{Camera, CapabilityNames, Fault, Model, Options};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const INFORMATION: &str = "<tds:GetDeviceInformation/>";

async fn start(model: Model, faults: &[Fault]) -> (Camera, Client) {
    let mut options = Options::new(model, USER, PASSWORD);
    options.faults = faults.to_vec();
    options.key_generation = Duration::ZERO;
    let camera = Camera::start(options).await.unwrap();
    let client = Client::new(&camera);
    (camera, client)
}

#[tokio::test]
async fn serves_old_certificate() {
    let (camera, mut client) = start(Model::OnvifDevice, &[Fault::ServesOldCertificate]).await;
    let old = served(&camera).await.unwrap();
    assert_eq!(camera.state().served_chain, old);
    let (key, der) = Authority::new().package("gate.home.arpa");
    let load = format!(
        "<tds:LoadCertificateWithPrivateKey><tds:CertificateWithPrivateKey><tt:CertificateID>n</tt:CertificateID>\
         <tt:Certificate><tt:Data>{}</tt:Data></tt:Certificate><tt:PrivateKey><tt:Data>{}</tt:Data></tt:PrivateKey>\
         </tds:CertificateWithPrivateKey></tds:LoadCertificateWithPrivateKey>",
        BASE64.encode(der),
        BASE64.encode(key.serialized_der())
    );
    let enable = "<tds:SetCertificatesStatus><tds:CertificateStatus><tt:CertificateID>n</tt:CertificateID>\
                  <tt:Status>true</tt:Status></tds:CertificateStatus></tds:SetCertificatesStatus>";
    assert_eq!(client.soap(DEVICE, &load).await.status, 200);
    assert_eq!(client.soap(DEVICE, enable).await.status, 200);
    assert_eq!(camera.state().assigned, ["n"]);
    assert_eq!(served(&camera).await.unwrap(), old);
}

#[tokio::test]
async fn a_factory_certificate_is_served_until_it_is_replaced() {
    for model in [Model::OnvifSecurity, Model::OnvifDevice, Model::PemPage, Model::Axis, Model::Hanwha] {
        let mut options = Options::new(model, USER, PASSWORD);
        options.factory_certificate = true;
        let camera = Camera::start(options).await.unwrap();
        assert!(camera.state().https_on && camera.state().assigned.len() == 1, "{model}");
        assert_eq!(served(&camera).await.unwrap().len(), 1, "{model}");
    }
}

#[tokio::test]
async fn drops_upload() {
    let (camera, mut client) = start(Model::OnvifSecurity, &[Fault::DropsUpload]).await;
    assert_eq!(client.soap(DEVICE, INFORMATION).await.status, 200);
    let (_, der) = Authority::new().package("shop.home.arpa");
    let upload = envelope(&format!(
        "<tas:UploadCertificate><tas:Certificate>{}</tas:Certificate></tas:UploadCertificate>",
        BASE64.encode(der)
    ));
    assert!(client.login("POST", SECURITY, "", upload.as_bytes()).await.is_err());
    let state = camera.wait_for(|state| state.uploads_dropped == 1).await;
    assert!(state.certificates.is_empty());
    assert_eq!(client.soap(DEVICE, INFORMATION).await.status, 200, "it lives on");

    let (camera, mut client) = start(Model::PemPage, &[Fault::DropsUpload]).await;
    assert_eq!(client.login("GET", "/settings", "", b"").await.unwrap().status, 200);
    assert!(client.login("POST", "/settings/certificate", "", b"--x").await.is_err());
    camera.wait_for(|state| state.uploads_dropped == 1).await;
}

#[tokio::test]
async fn hangs() {
    let (camera, _) = start(Model::PemPage, &[Fault::Hangs]).await;
    let mut stream = TcpStream::connect(camera.http_address()).await.unwrap();
    let mut answer = [0; 1];
    let silence = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut answer)).await;
    assert!(silence.is_err(), "it must say nothing");
    camera.stop().await;
    assert!(matches!(stream.read(&mut answer).await, Ok(0) | Err(_)), "unplugged, the connection ends");
}

#[tokio::test]
async fn short_nonces() {
    let (camera, mut client) = start(Model::OnvifSecurity, &[Fault::ShortNonces]).await;
    for _ in 0..7 {
        assert_eq!(client.soap(DEVICE, INFORMATION).await.status, 200);
    }
    assert_eq!(client.stale, 2);
    assert_eq!(camera.state().logins_refused, 0);
}

#[tokio::test]
async fn wrong_clock() {
    let day = async |faults: &[Fault]| {
        let (_camera, client) = start(Model::OnvifDevice, faults).await;
        let reply = client.anonymous(DEVICE, "<tds:GetSystemDateAndTime/>").await;
        let part = |name: &str| reply.text(name).parse::<u16>().unwrap();
        let month = time::Month::try_from(u8::try_from(part("Month")).unwrap()).unwrap();
        let day = u8::try_from(part("Day")).unwrap();
        time::Date::from_calendar_date(i32::from(part("Year")), month, day).unwrap()
    };
    let behind = day(&[]).await - day(&[Fault::WrongClock]).await;
    assert!((19..=20).contains(&behind.whole_days()), "{behind}");
}

#[tokio::test]
async fn https_refused() {
    let mut options = Options::new(Model::OnvifDevice, USER, PASSWORD);
    options.faults = vec![Fault::HttpsRefused];
    options.factory_certificate = true;
    let camera = Camera::start(options).await.unwrap();
    let mut client = Client::new(&camera);
    assert_eq!(client.switch("HTTPS", false).await.status, 200);
    client
        .switch("HTTPS", true)
        .await
        .expect_fault(500, &["Receiver", "ActionNotSupported", "EnablingTlsFailed"]);
    assert!(!camera.state().https_on);
}

#[tokio::test]
async fn csr_fails() {
    let (camera, mut client) = start(Model::OnvifSecurity, &[Fault::CsrFails]).await;
    let ecc = "<tas:CreateECCKeyPair><tas:EllipticCurve>secp256r1</tas:EllipticCurve></tas:CreateECCKeyPair>";
    let key = client.soap(SECURITY, ecc).await.text("KeyID");
    camera.wait_for(|state| state.keys.iter().all(|key| key.status == "ok")).await;
    let csr = format!(
        "<tas:CreatePKCS10CSR><tas:Subject/><tas:KeyID>{key}</tas:KeyID><tas:SignatureAlgorithm>\
         <tas:algorithm>1.2.840.10045.4.3.2</tas:algorithm></tas:SignatureAlgorithm></tas:CreatePKCS10CSR>"
    );
    client.soap(SECURITY, &csr).await.expect_fault(500, &["Receiver", "Action", "CSRCreationFailed"]);
}

#[tokio::test]
async fn locks() {
    let (camera, mut client) = start(Model::OnvifDevice, &[Fault::Locks]).await;
    client.password = "wrong".to_owned();
    for _ in 0..3 {
        assert_eq!(client.soap(DEVICE, INFORMATION).await.status, 401);
    }
    client.password = PASSWORD.to_owned();
    assert_eq!(client.soap(DEVICE, INFORMATION).await.status, 401);
    let state = camera.state();
    assert!(state.account_locked && state.logins_refused == 3);
    assert_eq!(client.anonymous(DEVICE, "<tds:GetHostname/>").await.status, 200, "PRE_AUTH still answers");
}

#[tokio::test]
async fn a_replay_and_a_readable_password_are_refused_and_counted() {
    let (camera, mut client) = start(Model::OnvifDevice, &[]).await;
    assert_eq!(client.soap(DEVICE, INFORMATION).await.status, 200);
    let replayed = format!("Authorization: {}\r\n", client.authorization("POST", DEVICE, 1));
    let body = envelope(INFORMATION);
    assert_eq!(client.send("POST", DEVICE, &replayed, body.as_bytes()).await.unwrap().status, 401);
    let basic = format!("Authorization: Basic {}\r\n", BASE64.encode(format!("{USER}:{PASSWORD}")));
    assert_eq!(client.send("POST", DEVICE, &basic, body.as_bytes()).await.unwrap().status, 401);
    let state = camera.state();
    assert_eq!((state.replays_refused, state.basic_credentials, state.logins_refused), (1, 1, 0));
}

#[tokio::test]
async fn capability_names() {
    for (names, new, old) in [
        (CapabilityNames::Both, true, true),
        (CapabilityNames::New, true, false),
        (CapabilityNames::Old, false, true),
    ] {
        let mut options = Options::new(Model::OnvifSecurity, USER, PASSWORD);
        options.capability_names = names;
        let camera = Camera::start(options).await.unwrap();
        let reply = Client::new(&camera).anonymous(SECURITY, "<tas:GetServiceCapabilities/>").await;
        assert_eq!(reply.body.contains(" PKCS10=\"true\""), new, "{names:?}");
        assert_eq!(reply.body.contains(" PKCS10ExternalCertificationWithRSA=\"true\""), old, "{names:?}");
    }
}

#[tokio::test]
async fn hostile_requests() {
    let (camera, mut client) = start(Model::OnvifSecurity, &[]).await;
    let bodies: [&[u8]; 5] = [b"", b"<", b"\xff\xfe", b"<a/>", b"<!DOCTYPE x><x/>"];
    for body in bodies {
        let reply = client.send("POST", DEVICE, "", body).await.unwrap();
        assert_eq!((reply.status, reply.codes()[0].as_str()), (400, "Sender"));
    }
    let long = vec![b'a'; 1024 * 1024 + 1];
    // The camera hangs up before it has all of it, so its answer may be lost on the way.
    let too_long = client.send("POST", DEVICE, "", &long).await;
    assert!(too_long.as_ref().is_ok_and(|reply| reply.status == 413) || too_long.is_err(), "{too_long:?}");
    let wrong_order = "<tds:SetNetworkProtocols><tds:NetworkProtocols><tt:Enabled>true</tt:Enabled>\
                       <tt:Name>HTTPS</tt:Name><tt:Port>1</tt:Port></tds:NetworkProtocols></tds:SetNetworkProtocols>";
    client.soap(DEVICE, wrong_order).await.expect_fault(400, &["Sender", "InvalidArgs"]);
    client.soap(SECURITY, INFORMATION).await.expect_fault(500, &["Receiver", "ActionNotSupported"]);
    let text = "<tas:UploadCertificate><tas:Certificate>AAAA</tas:Certificate></tas:UploadCertificate>";
    client.soap(SECURITY, text).await.expect_fault(400, &["Sender", "InvalidArgVal", "BadCertificate"]);
    for path in ["/../etc/passwd", "/settings", "/onvif/", "/%00"] {
        assert_eq!(client.send("GET", path, "", b"").await.unwrap().status, 404, "{path}");
    }
    assert_eq!(client.send("GET", DEVICE, "", b"").await.unwrap().status, 405);
    assert_eq!(client.send("GET", "/", "", b"").await.unwrap().status, 200);
    camera.stop().await;
}

#[tokio::test]
async fn a_transcript_holds_every_message_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::new(Model::OnvifDevice, USER, PASSWORD);
    options.transcript = Some(directory.path().join("t"));
    let camera = Camera::start(options).await.unwrap();
    let mut client = Client::new(&camera);
    let load = "<tds:LoadCertificateWithPrivateKey><tds:CertificateWithPrivateKey><tt:Certificate><tt:Data>AAAA\
                </tt:Data></tt:Certificate><tt:PrivateKey><tt:Data>U0VDUkVU</tt:Data></tt:PrivateKey>\
                </tds:CertificateWithPrivateKey></tds:LoadCertificateWithPrivateKey>";
    client.soap(DEVICE, load).await;
    let files = std::fs::read_dir(directory.path().join("t")).unwrap();
    let files: Vec<_> = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert_eq!(files.len(), 4, "the anonymous request, the real one, and their answers");
    assert!(files.iter().all(|file| !file.contains("U0VDUkVU") && !file.contains(PASSWORD)));
}

#[tokio::test]
async fn a_fault_that_cannot_happen_is_refused() {
    let mut options = Options::new(Model::Hanwha, USER, PASSWORD);
    options.faults = vec![Fault::CsrFails];
    let refused = Camera::start(options).await.err().unwrap();
    assert!(refused.to_string().contains("csr-fails"), "{refused}");
}

#[tokio::test]
async fn basic_inside_tls() {
    let mut options = Options::new(Model::OnvifDevice, USER, PASSWORD);
    (options.faults, options.factory_certificate) = (vec![Fault::BasicInsideTls], true);
    let camera = Camera::start(options).await.unwrap();
    let mut client = Client::new(&camera);
    assert_eq!(client.soap(DEVICE, INFORMATION).await.status, 200, "Digest over plain HTTP");
    client.tls = true;
    let body = envelope(INFORMATION);
    let refused = client.send("POST", DEVICE, "", body.as_bytes()).await.unwrap();
    assert_eq!(
        (refused.status, refused.header("WWW-Authenticate")),
        (401, Some("Basic realm=\"Simulated camera\""))
    );
    let basic = format!("Authorization: Basic {}\r\n", BASE64.encode(format!("{USER}:{PASSWORD}")));
    assert_eq!(client.send("POST", DEVICE, &basic, body.as_bytes()).await.unwrap().status, 200);
    let given = camera.state().given;
    assert_eq!((given.basic, given.digest, given.private_keys), (1, 1, 0));
}
