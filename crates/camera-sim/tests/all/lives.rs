//! Each model from factory state to a renewed certificate, over real sockets.

use std::time::Duration;

use crate::common::{Authority, Client, DEVICE, PASSWORD, SECURITY, USER, served};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use camera_sim::{Camera, Model, OldTls, Options, Shown};
use tokio::net::TcpStream;

/// A SAN of IP address 192.0.2.10.
const NAMES: &str = "MAaHBMAAAgo=";
const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";

fn options(model: Model) -> Options {
    let mut options = Options::new(model, USER, PASSWORD);
    options.key_generation = Duration::ZERO;
    options
}

async fn start(model: Model) -> (Camera, Client) {
    let camera = Camera::start(options(model)).await.unwrap();
    let client = Client::new(&camera);
    (camera, client)
}

async fn refused(address: std::net::SocketAddr) -> bool {
    TcpStream::connect(address)
        .await
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn csr(key: &str, algorithm: &str) -> String {
    format!(
        "<tas:CreatePKCS10CSR><tas:Subject><tas:CommonName>Camera 1</tas:CommonName></tas:Subject>\
         <tas:KeyID>{key}</tas:KeyID><tas:CSRAttribute><tas:X509v3Extension><tas:extnOID>2.5.29.17</tas:extnOID>\
         <tas:critical>false</tas:critical><tas:extnValue>{NAMES}</tas:extnValue></tas:X509v3Extension>\
         </tas:CSRAttribute><tas:SignatureAlgorithm><tas:algorithm>{algorithm}</tas:algorithm>\
         </tas:SignatureAlgorithm></tas:CreatePKCS10CSR>"
    )
}

/// An operation with one id in it.
fn with_id(operation: &str, name: &str, id: &str) -> String {
    format!("<tas:{operation}><tas:{name}>{id}</tas:{name}></tas:{operation}>")
}

fn upload(der: &[u8], private: bool) -> String {
    format!(
        "<tas:UploadCertificate><tas:Certificate>{}</tas:Certificate><tas:Alias>test</tas:Alias>\
         <tas:PrivateKeyRequired>{private}</tas:PrivateKeyRequired></tas:UploadCertificate>",
        BASE64.encode(der)
    )
}

fn path(certificates: &[&str]) -> String {
    let ids: String =
        certificates.iter().map(|id| format!("<tas:CertificateID>{id}</tas:CertificateID>")).collect();
    format!(
        "<tas:CreateCertificationPath><tas:CertificateIDs>{ids}</tas:CertificateIDs></tas:CreateCertificationPath>"
    )
}

/// Key, request, certificate: what an enrolment does up to the upload. Gives key id, certificate id and bytes.
async fn enrol(
    camera: &Camera,
    client: &mut Client,
    authority: &Authority,
    create: &str,
    algorithm: &str,
) -> (String, String, Vec<u8>) {
    let reply = client.soap(SECURITY, create).await;
    let key = reply.text("KeyID");
    assert!(reply.text("EstimatedCreationTime").starts_with("PT"));
    camera.wait_for(|state| state.keys.iter().any(|k| k.id == key && k.status == "ok")).await;
    assert_eq!(client.soap(SECURITY, &with_id("GetKeyStatus", "KeyID", &key)).await.text("KeyStatus"), "ok");
    let request =
        BASE64.decode(client.soap(SECURITY, &csr(&key, algorithm)).await.text("PKCS10CSR")).unwrap();
    let certificate = authority.sign(&request);
    let reply = client.soap(SECURITY, &upload(&certificate, true)).await;
    assert_eq!(reply.text("KeyID"), key);
    (key, reply.text("CertificateID"), certificate)
}

#[tokio::test]
async fn onvif_security() {
    let (camera, mut client) = start(Model::OnvifSecurity).await;
    let authority = Authority::new();
    assert!(refused(camera.https_address()).await, "HTTPS is off, though its port is taken");
    assert!(std::net::TcpListener::bind(camera.https_address()).is_err());

    let services = client
        .anonymous(
            DEVICE,
            "<tds:GetServices><tds:IncludeCapability>true</tds:IncludeCapability></tds:GetServices>",
        )
        .await;
    assert!(services.texts("XAddr").contains(&format!("{}{SECURITY}", camera.http_url())));
    assert!(
        services.body.contains("KeyPairGeneration=\"RSA ECC\"")
            && services.body.contains("RSAKeyPairGeneration")
    );

    let anonymous = client.anonymous(DEVICE, "<tds:GetDeviceInformation/>").await;
    assert_eq!(anonymous.status, 401);
    assert!(anonymous.header("WWW-Authenticate").unwrap().starts_with("Digest realm="));
    assert_eq!(client.soap(DEVICE, "<tds:GetDeviceInformation/>").await.text("Model"), "onvif-security");
    client
        .switch("HTTPS", true)
        .await
        .expect_fault(500, &["Receiver", "ActionNotSupported", "EnablingTlsFailed"]);

    let rsa = "<tas:CreateRSAKeyPair><tas:KeyLength>2048</tas:KeyLength></tas:CreateRSAKeyPair>";
    let (old_key, old_leaf, old_der) = enrol(&camera, &mut client, &authority, rsa, RSA_SHA256).await;
    let mismatch = client.soap(SECURITY, &csr(&old_key, ECDSA_SHA256)).await;
    mismatch.expect_fault(400, &["Sender", "InvalidArgVal", "KeySignatureAlgorithmMismatch"]);
    let no_key = client.soap(SECURITY, &upload(&authority.root, true)).await;
    no_key.expect_fault(500, &["Receiver", "Action", "NoMatchingPrivateKey"]);
    let root = client.soap(SECURITY, &upload(&authority.root, false)).await.text("CertificateID");
    let wrong = client.soap(SECURITY, &path(&[&root, &old_leaf])).await;
    wrong.expect_fault(400, &["Sender", "InvalidArgVal", "InvalidCertificationPath"]);
    let old_path = client.soap(SECURITY, &path(&[&old_leaf, &root])).await.text("CertificationPathID");
    let assign = with_id("AddServerCertificateAssignment", "CertificationPathID", &old_path);
    assert_eq!(client.soap(SECURITY, &assign).await.status, 200);

    assert_eq!(client.switch("HTTPS", true).await.status, 200);
    assert_eq!(served(&camera).await.unwrap(), [old_der, authority.root.clone()]);
    client.tls = true;
    let page = client.send("GET", "/", "", b"").await.unwrap();
    assert!(page.body.contains("This page came over TLS") && page.body.contains("Test Root"));

    let ecc = "<tas:CreateECCKeyPair><tas:EllipticCurve>secp256r1</tas:EllipticCurve></tas:CreateECCKeyPair>";
    let (_, new_leaf, new_der) = enrol(&camera, &mut client, &authority, ecc, ECDSA_SHA256).await;
    let new_path = client.soap(SECURITY, &path(&[&new_leaf])).await.text("CertificationPathID");
    let replace = format!(
        "<tas:ReplaceServerCertificateAssignment><tas:OldCertificationPathID>{old_path}</tas:OldCertificationPathID>\
         <tas:NewCertificationPathID>{new_path}</tas:NewCertificationPathID></tas:ReplaceServerCertificateAssignment>"
    );
    assert_eq!(client.soap(SECURITY, &replace).await.status, 200);
    assert_eq!(served(&camera).await.unwrap(), std::slice::from_ref(&new_der));
    assert_eq!(camera.state().served_leaf(), Some(new_der.as_slice()));

    let remove = with_id("RemoveServerCertificateAssignment", "CertificationPathID", &new_path);
    client.soap(SECURITY, &remove).await.expect_fault(400, &["Sender", "InvalidArgVal", "ReferenceExists"]);
    for (operation, name, id) in
        [("DeleteKey", "KeyID", &old_key), ("DeleteCertificate", "CertificateID", &old_leaf)]
    {
        let reply = client.soap(SECURITY, &with_id(operation, name, id)).await;
        reply.expect_fault(400, &["Sender", "InvalidArgVal", "ReferenceExists"]);
    }
    for (operation, name, id) in [
        ("DeleteCertificationPath", "CertificationPathID", &old_path),
        ("DeleteCertificate", "CertificateID", &old_leaf),
        ("DeleteKey", "KeyID", &old_key),
    ] {
        assert_eq!(client.soap(SECURITY, &with_id(operation, name, id)).await.status, 200);
    }

    assert_eq!(client.switch("HTTP", false).await.status, 200);
    assert!(refused(camera.http_address()).await);
    client.switch("HTTPS", false).await.expect_fault(400, &["Sender", "InvalidArgVal"]);
    assert_eq!(client.switch("HTTP", true).await.status, 200);
    client.tls = false;
    assert_eq!(client.switch("HTTPS", false).await.status, 200);
    assert!(refused(camera.https_address()).await);
    let state = camera.state();
    assert!(state.http_on && !state.https_on && state.logins_refused == 0);
    assert_eq!(state.count("CreatePKCS10CSR"), 3);
    camera.stop().await;
}

#[tokio::test]
async fn a_key_takes_its_time() {
    let mut options = options(Model::OnvifSecurity);
    options.key_generation = Duration::from_secs(3600);
    let camera = Camera::start(options).await.unwrap();
    let mut client = Client::new(&camera);
    let ecc = "<tas:CreateECCKeyPair><tas:EllipticCurve>secp256r1</tas:EllipticCurve></tas:CreateECCKeyPair>";
    let reply = client.soap(SECURITY, ecc).await;
    let key = reply.text("KeyID");
    assert_eq!(reply.text("EstimatedCreationTime"), "PT3600.000S");
    let status = client.soap(SECURITY, &with_id("GetKeyStatus", "KeyID", &key)).await;
    assert_eq!(status.text("KeyStatus"), "generating");
    let early = client.soap(SECURITY, &csr(&key, ECDSA_SHA256)).await;
    early.expect_fault(400, &["Sender", "InvalidArgVal", "InvalidKeyStatus"]);
    assert_eq!(client.soap(SECURITY, &with_id("DeleteKey", "KeyID", &key)).await.status, 200);
    let gone = client.soap(SECURITY, &with_id("GetKeyStatus", "KeyID", &key)).await;
    gone.expect_fault(400, &["Sender", "InvalidArgVal", "KeyID"]);
    assert!(client.soap(SECURITY, "<tas:GetAllKeys/>").await.texts("KeyAttribute").is_empty());
}

#[tokio::test]
async fn a_self_signed_certificate() {
    let (camera, mut client) = start(Model::OnvifSecurity).await;
    let ecc = "<tas:CreateECCKeyPair><tas:EllipticCurve>secp256r1</tas:EllipticCurve></tas:CreateECCKeyPair>";
    let key = client.soap(SECURITY, ecc).await.text("KeyID");
    camera.wait_for(|state| state.keys.iter().all(|key| key.status == "ok")).await;
    let create = |dates: &str| {
        format!(
            "<tas:CreateSelfSignedCertificate><tas:X509Version>3</tas:X509Version><tas:Subject>\
             <tas:CommonName>Self</tas:CommonName></tas:Subject><tas:KeyID>{key}</tas:KeyID>{dates}\
             <tas:SignatureAlgorithm><tas:algorithm>{ECDSA_SHA256}</tas:algorithm></tas:SignatureAlgorithm>\
             </tas:CreateSelfSignedCertificate>"
        )
    };
    let id = client.soap(SECURITY, &create("")).await.text("CertificateID");
    let got = client.soap(SECURITY, &with_id("GetCertificate", "CertificateID", &id)).await;
    assert_eq!((got.text("CertificateID"), got.text("KeyID")), (id, key.clone()));
    let never = "<tas:notValidBefore>2020-02-30T00:00:00Z</tas:notValidBefore>";
    let reply = client.soap(SECURITY, &create(never)).await;
    reply.expect_fault(400, &["Sender", "InvalidArgVal", "InvalidDateTime"]);
    let all = client.soap(SECURITY, "<tas:GetAllCertificates/>").await;
    assert_eq!(all.texts("CertificateContent").len(), 1);
}

#[tokio::test]
async fn onvif_device() {
    let (camera, mut client) = start(Model::OnvifDevice).await;
    let authority = Authority::new();
    let services = "<tds:GetServices><tds:IncludeCapability>false</tds:IncludeCapability></tds:GetServices>";
    assert_eq!(client.anonymous(DEVICE, services).await.texts("Namespace").len(), 2);
    let capabilities = client.anonymous(DEVICE, "<tds:GetServiceCapabilities/>").await.body;
    assert!(
        capabilities.contains("TLS1.2=\"true\"") && capabilities.contains("OnboardKeyGeneration=\"false\"")
    );
    assert_eq!(client.send("POST", SECURITY, "", b"").await.unwrap().status, 404);

    let load = |id: &str, certificate: &[u8], key: &[u8]| {
        format!(
            "<tds:LoadCertificateWithPrivateKey><tds:CertificateWithPrivateKey><tt:CertificateID>{id}</tt:CertificateID>\
             <tt:Certificate><tt:Data>{}</tt:Data></tt:Certificate><tt:PrivateKey><tt:Data>{}</tt:Data></tt:PrivateKey>\
             </tds:CertificateWithPrivateKey></tds:LoadCertificateWithPrivateKey>",
            BASE64.encode(certificate),
            BASE64.encode(key)
        )
    };
    let status = |states: &[(&str, bool)]| {
        let states = states.iter().map(|(id, on)| {
            format!(
                "<tds:CertificateStatus><tt:CertificateID>{id}</tt:CertificateID><tt:Status>{on}</tt:Status>\
                 </tds:CertificateStatus>"
            )
        });
        format!("<tds:SetCertificatesStatus>{}</tds:SetCertificatesStatus>", states.collect::<String>())
    };
    let (key, first) = authority.package("gate.home.arpa");
    let (other, second) = authority.package("gate.home.arpa");
    let crossed = client.soap(DEVICE, &load("a", &first, other.serialized_der())).await;
    crossed.expect_fault(400, &["Sender", "InvalidArgVal", "KeysNotMatching"]);
    assert_eq!(client.soap(DEVICE, &load("a", &first, key.serialized_der())).await.status, 200);
    let again = client.soap(DEVICE, &load("a", &first, key.serialized_der())).await;
    again.expect_fault(400, &["Sender", "InvalidArgVal", "CertificateID"]);
    client
        .switch("HTTPS", true)
        .await
        .expect_fault(500, &["Receiver", "ActionNotSupported", "EnablingTlsFailed"]);
    assert_eq!(client.soap(DEVICE, &status(&[("a", true)])).await.status, 200);
    assert_eq!(client.switch("HTTPS", true).await.status, 200);
    assert_eq!(served(&camera).await.unwrap(), [first]);

    // The second one in PEM, as other clients send it.
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(&second));
    let loaded = client.soap(DEVICE, &load("b", pem.as_bytes(), other.serialize_pem().as_bytes())).await;
    assert_eq!(loaded.status, 200);
    let two = client.soap(DEVICE, &status(&[("a", true), ("b", true)])).await;
    two.expect_fault(400, &["Sender", "InvalidArgVal"]);
    assert_eq!(client.soap(DEVICE, &status(&[("a", false), ("b", true)])).await.status, 200);
    assert_eq!(served(&camera).await.unwrap(), [second]);

    let delete = |id: &str| {
        format!(
            "<tds:DeleteCertificates><tds:CertificateID>{id}</tds:CertificateID></tds:DeleteCertificates>"
        )
    };
    client.soap(DEVICE, &delete("b")).await.expect_fault(400, &["Sender", "OperationProhibited"]);
    assert_eq!(client.soap(DEVICE, &delete("a")).await.status, 200);
    let information = "<tds:GetCertificateInformation><tds:CertificateID>b</tds:CertificateID></tds:GetCertificateInformation>";
    assert_eq!(client.soap(DEVICE, information).await.text("IssuerDN"), "CN=Test Root");
    assert_eq!(client.soap(DEVICE, "<tds:GetCertificatesStatus/>").await.texts("Status"), ["true"]);
    assert_eq!(client.soap(DEVICE, "<tds:GetCertificates/>").await.texts("CertificateID"), ["b"]);
    client.soap(DEVICE, "<tds:SystemReboot/>").await.expect_fault(500, &["Receiver", "ActionNotSupported"]);
}

#[tokio::test]
async fn pem_page() {
    let (camera, mut client) = start(Model::PemPage).await;
    let authority = Authority::new();
    assert_eq!(client.send("POST", DEVICE, "", b"").await.unwrap().status, 404);
    let home = client.send("GET", "/", "", b"").await.unwrap();
    assert!(home.body.contains("This page came over plain HTTP"));
    assert_eq!(home.header("Server"), Some("PemCam/1.0"));
    let challenge = client.send("GET", "/settings", "", b"").await.unwrap();
    assert!(challenge.header("WWW-Authenticate").unwrap().contains("realm=\"PemCam\""));
    let index = client.login("GET", "/settings", "", b"").await.unwrap();
    assert!(index.body.contains("/settings/certificate") && index.body.contains("/settings/https"));

    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let on = client.login("POST", "/settings/https", form, b"https=on").await.unwrap();
    assert!(on.body.contains("<p class=\"error\">HTTPS needs a certificate first.</p>") && on.status == 200);

    let (key, certificate) = authority.package("yard.home.arpa");
    let pem =
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(&certificate));
    let upload = async |client: &mut Client, file: &str| {
        let body = format!(
            "--q\r\nContent-Disposition: form-data; name=\"certificate\"; filename=\"c.pem\"\r\n\
             Content-Type: application/x-pem-file\r\n\r\n{file}\r\n--q--\r\n"
        );
        let headers = "Content-Type: multipart/form-data; boundary=q\r\n";
        client.login("POST", "/settings/certificate", headers, body.as_bytes()).await.unwrap().body
    };
    let bad = upload(&mut client, &pem).await;
    assert!(bad.contains("<p class=\"error\">The file holds no private key.</p>"));
    let good = upload(&mut client, &(pem + &key.serialize_pem())).await;
    assert!(good.contains("<p class=\"done\">Certificate stored.</p>"));
    client.login("POST", "/settings/https", form, b"https=off&https=on").await.unwrap();
    assert_eq!(served(&camera).await.unwrap(), [certificate]);

    client.tls = true;
    let both = client.login("POST", "/settings/https", form, b"https=off&http=off").await.unwrap();
    assert!(both.body.contains("cannot both be off"));
    let page = client.login("GET", "/settings/https", "", b"").await.unwrap();
    let port = camera.https_address().port();
    assert!(page.body.contains(&format!("<input name=\"https_port\" value=\"{port}\"")));
    assert_eq!(page.body.matches(" checked").count(), 2);
    client.login("POST", "/settings/https", form, b"http=off").await.unwrap();
    assert!(refused(camera.http_address()).await);
    assert!(!camera.state().http_on);
}

/// Another camera stands in for one that was unplugged; afterwards that one is what it was.
#[tokio::test]
async fn a_camera_is_replaced_and_put_back() {
    let mut options = options(Model::OnvifDevice);
    options.factory_certificate = true;
    let camera = Camera::start(options.clone()).await.unwrap();
    let own = camera.state();
    let (http, https) = (camera.http_address(), camera.https_address());
    assert_eq!(served(&camera).await.unwrap(), own.served_chain);

    let other = camera.replace(options.clone()).await.unwrap();
    assert_eq!((other.http_address(), other.https_address()), (http, https));
    assert_eq!(served(&other).await.unwrap(), other.state().served_chain);
    assert_ne!(other.state().served_chain, own.served_chain);
    other.unplug().await;
    assert!(refused(http).await && refused(https).await);

    // It shows what is not its own, and cannot prove that it is: no handshake ends.
    options.shows = Some(Shown::only(own.served_chain.clone()));
    for old_tls in [None, Some(OldTls::Tls10), Some(OldTls::Tls12Rsa)] {
        options.old_tls = old_tls;
        let thief = camera.replace(options.clone()).await.unwrap();
        assert_eq!(thief.state().served_chain, own.served_chain);
        assert!(TcpStream::connect(https).await.is_ok());
        assert!(served(&thief).await.is_none());
        thief.unplug().await;
    }

    // With the key it can.
    (options.shows, options.old_tls) = (camera.shown().pop(), None);
    let thief = camera.replace(options.clone()).await.unwrap();
    assert_eq!(served(&thief).await.unwrap(), own.served_chain);
    thief.unplug().await;

    // Plain HTTP where the other one had HTTPS, and nothing beside it.
    (options.shows, options.https_off, options.http_port) = (None, true, https.port());
    let plain = camera.replace(options).await.unwrap();
    assert_eq!((plain.http_address(), plain.https_address()), (https, http));
    assert_eq!(Client::new(&plain).send("GET", "/", "", b"").await.unwrap().status, 200);
    assert!(refused(http).await);
    plain.unplug().await;

    camera.plug_in().await.unwrap();
    assert_eq!(served(&camera).await.unwrap(), own.served_chain);
    assert_eq!(camera.state(), own);
}
