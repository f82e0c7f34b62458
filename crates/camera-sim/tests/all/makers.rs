//! The makers' dialects: what such a camera refuses, and what it does when it starts again.

use crate::common::{Authority, Client, PASSWORD, USER};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use camera_sim::{Camera, Fault, Model, Options};
use rcgen::{CertificateParams, KeyPair, RsaKeySize};

async fn start(model: Model) -> (Camera, Client) {
    let camera = Camera::start(Options::new(model, USER, PASSWORD)).await.unwrap();
    let mut client = Client::new(&camera);
    client.tls = camera.state().https_on;
    (camera, client)
}

fn form(field: &str, name: &str, content: &str) -> (String, Vec<u8>) {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
         Content-Type: application/x-x509-ca-cert\r\n\r\n{content}\r\n--b--\r\n"
    );
    ("Content-Type: multipart/form-data; boundary=b\r\n".to_owned(), body.into_bytes())
}

/// A key of that kind and a certificate for it, in PEM.
fn pair(rsa: bool) -> (String, String) {
    let key = match rsa {
        true => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
        false => KeyPair::generate().unwrap(),
    };
    let certificate =
        CertificateParams::new(vec!["drive.home.arpa".into()]).unwrap().self_signed(&key).unwrap();
    (key.serialize_pem(), certificate.pem())
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_is_refused() {
    for (model, fault) in [
        (Model::Reolink, Fault::ShortNonces),
        (Model::Reolink, Fault::HttpsRefused),
        (Model::Mobotix, Fault::HttpsRefused),
        (Model::Uniview, Fault::CsrFails),
    ] {
        let mut options = Options::new(model, USER, PASSWORD);
        options.faults = vec![fault];
        let Err(error) = Camera::start(options).await else { panic!("{model} took {fault:?}") };
        assert!(error.to_string().contains(&fault.name()), "{error}");
    }
}

#[tokio::test]
async fn mobotix_takes_two_files_that_fit_and_starts_again() {
    let (camera, mut client) = start(Model::Mobotix).await;
    let factory = camera.state().served_chain;
    let (key, certificate) = pair(true);
    let media = "/config/camera/media";
    for (restart, (name, content)) in
        [(1, ("httpd_cert.pem", &certificate)), (2, ("httpd_privkey.pem", &key))]
    {
        let (headers, body) = form("some_file", name, content);
        assert_eq!(client.login("POST", media, &headers, &body).await.unwrap().status, 200);
        let reply = client.login("POST", "/admin/rcontrol?action=reboot", "", b"").await.unwrap();
        assert!(reply.body.contains("OK - Reboot"), "{}", reply.body);
        // Nothing answers meanwhile.
        camera.wait_for(|state| state.restarts == restart && !state.https_on && !state.http_on).await;
        assert!(client.send("GET", "/", "", b"").await.is_err());
        let state = camera.wait_for(|state| state.https_on && state.http_on).await;
        // A certificate without its key is not shown.
        assert_eq!(state.served_chain == factory, restart == 1);
    }
    let (headers, body) = form("some_file", "other.pem", &key);
    assert_eq!(client.login("POST", media, &headers, &body).await.unwrap().status, 400);
    assert_eq!(
        client.login("GET", &format!("{media}?file=httpd_privkey.pem"), "", b"").await.unwrap().status,
        404
    );
    let read = client.login("GET", &format!("{media}?file=httpd_cert.pem"), "", b"").await.unwrap();
    assert_eq!(read.body, certificate);
}

#[tokio::test]
async fn reolink_wants_a_token_exact_names_rsa_and_an_empty_place() {
    let (camera, client) = start(Model::Reolink).await;
    let call = async |name: &str, token: &str, param: &str| {
        let body = format!("[{{\"cmd\":\"{name}\",\"action\":0,\"param\":{param}}}]");
        let path = format!("/cgi-bin/api.cgi?cmd={name}&token={token}");
        client.send("POST", &path, "", body.as_bytes()).await.unwrap().body
    };
    let login = async || {
        let user = format!("{{\"User\":{{\"userName\":\"{USER}\",\"password\":\"{PASSWORD}\"}}}}");
        let reply: serde_json::Value = serde_json::from_str(&call("Login", "", &user).await).unwrap();
        reply[0]["value"]["Token"]["name"].as_str().unwrap().to_owned()
    };
    let import = |(key, certificate): &(String, String), name: &str| {
        let (key_size, size) = (key.len(), certificate.len());
        let (key, certificate) = (BASE64.encode(key), BASE64.encode(certificate));
        format!(
            "{{\"importCertificate\":{{\"crt\":{{\"size\":{size},\"name\":\"{name}\",\"content\":\"{certificate}\"}},\
             \"key\":{{\"size\":{key_size},\"name\":\"server.key\",\"content\":\"{key}\"}}}}}}"
        )
    };
    assert!(call("GetDevInfo", "", "{}").await.contains("please login first"));
    let token = login().await;
    let (rsa, other) = (pair(true), pair(false));
    assert!(call("ImportCertificate", &token, &import(&rsa, "drive.crt")).await.contains("param error"));
    assert!(call("ImportCertificate", &token, &import(&other, "server.crt")).await.contains("param error"));
    assert_eq!(camera.state().restarts, 0);
    assert!(call("ImportCertificate", &token, &import(&rsa, "server.crt")).await.contains("200"));
    camera.wait_for(|state| state.restarts == 1 && state.https_on).await;
    assert_eq!(camera.state().assigned, ["own"]);
    // The restart has ended the session, and the place is taken.
    assert!(call("GetNetPort", &token, "{}").await.contains("please login first"));
    let token = login().await;
    assert!(call("ImportCertificate", &token, &import(&rsa, "server.crt")).await.contains("param error"));
    call("CertificateClear", &token, "{}").await;
    camera.wait_for(|state| state.restarts == 2 && state.https_on).await;
    assert_eq!(camera.state().assigned, ["factory"]);
}

#[tokio::test]
async fn uniview_takes_one_file_and_then_https_can_be_switched_on() {
    let (camera, mut client) = start(Model::Uniview).await;
    let https = "/LAPI/V1.0/NetWork/HTTPS";
    let refused = client.login("PUT", https, "", b"{\"Enable\":1}").await.unwrap();
    assert!(refused.body.contains("\"StatusCode\":1"), "{}", refused.body);
    let (key, der) = Authority::new().package("hall.home.arpa");
    let certificate = BASE64.encode(&der);
    let pem = format!(
        "{}-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n",
        key.serialize_pem()
    );
    let (headers, body) = form("FileName", "hall.pem", &pem);
    let stored = client.login("POST", "/LAPI/V1.0/Network/HTTPS_SSLCERT", &headers, &body).await.unwrap();
    assert!(stored.body.contains("\"StatusCode\":0"), "{}", stored.body);
    client.login("PUT", https, "", b"{\"Enable\":1}").await.unwrap();
    let state = camera.wait_for(|state| state.https_on).await;
    assert_eq!(state.served_chain, [der]);
}

#[tokio::test]
async fn synology_does_as_it_is_known_to_do() {
    let (camera, client) = start(Model::Synology).await;
    let call = async |query: String, headers: &str, body: &[u8]| {
        let reply = client.send("POST", &format!("/webapi/entry.cgi?{query}"), headers, body).await.unwrap();
        serde_json::from_str::<serde_json::Value>(&reply.body).unwrap()
    };
    let list = "api=SYNO.Core.Certificate.CRT&method=list&version=1";
    assert_eq!(call(list.into(), "", b"").await["error"]["code"], 119);
    let login = format!("api=SYNO.API.Auth&method=login&version=7&account={USER}&enable_syno_token=yes");
    assert_eq!(call(format!("{login}&passwd=no"), "", b"").await["error"]["code"], 400);
    let password: String = PASSWORD.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let entered = call(format!("{login}&passwd={password}"), "", b"").await;
    let text = |name: &str| entered["data"][name].as_str().unwrap().to_owned();
    let (sid, token) = (format!("&_sid={}", text("sid")), format!("X-SYNO-TOKEN: {}\r\n", text("synotoken")));
    // The session alone is not enough.
    assert_eq!(call(format!("{list}{sid}"), "", b"").await["error"]["code"], 119);
    let certificates = async || {
        let told = call(format!("{list}{sid}"), &token, b"").await;
        told["data"]["certificates"].as_array().unwrap().clone()
    };
    let (factory, served) = (certificates().await.remove(0), camera.state().served_chain);

    let (key, certificate) = pair(false);
    let import = async |key: &str, more: &str| {
        let part = |name: &str, text: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
        };
        let body =
            [part("key", key), part("cert", &certificate), more.to_owned(), "--b--\r\n".into()].concat();
        let headers = format!("{token}Content-Type: multipart/form-data; boundary=b\r\n");
        let restarts = camera.state().restarts;
        let said =
            call(format!("api=SYNO.Core.Certificate&method=import{sid}"), &headers, body.as_bytes()).await;
        if said["data"]["restart_httpd"] == true {
            camera.wait_for(|state| state.restarts > restarts && state.https_on && state.http_on).await;
        }
        said
    };
    assert_eq!(import(&pair(false).0, "").await["success"], false);
    assert_eq!(import(&key, "").await["success"], true);
    assert_eq!(certificates().await[1]["is_default"], false);
    // The part counts, not what is in it. No service follows.
    let no = "--b\r\nContent-Disposition: form-data; name=\"as_default\"\r\n\r\nfalse\r\n";
    import(&key, no).await;
    let now = certificates().await;
    assert_eq!((now.len(), &now[2]["is_default"], &now[0]["is_default"]), (3, &true.into(), &false.into()));
    assert_eq!((&now[0]["services"], &camera.state().served_chain), (&factory["services"], &served));

    let bind = async |service: &serde_json::Value, from: &serde_json::Value, to: &serde_json::Value| {
        let settings = serde_json::json!([{ "service": service, "old_id": from["id"], "id": to["id"] }]);
        let settings: String = settings.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
        let said = call(
            format!("api=SYNO.Core.Certificate.Service&method=set&version=1{sid}&settings={settings}"),
            &token,
            b"",
        )
        .await;
        assert_eq!(said["success"], true);
    };
    let page = &factory["services"][0];
    bind(&serde_json::json!({ "service": "default" }), &now[0], &now[2]).await;
    assert_eq!(camera.state().served_chain, served);
    bind(page, &now[0], &now[2]).await;
    assert_eq!(
        camera.state().assigned,
        [&now[2]["id"], &now[0]["id"], &now[2]["id"]].map(|id| id.as_str().unwrap())
    );
    assert_ne!(camera.state().served_chain, served);

    let delete = async |id: &serde_json::Value| {
        let ids = format!("[{id}]").replace('"', "%22");
        call(format!("api=SYNO.Core.Certificate.CRT&method=delete{sid}&ids={ids}"), &token, b"").await
    };
    assert_eq!(delete(&now[2]["id"]).await["success"], false);
    assert_eq!(delete(&now[1]["id"]).await["success"], true);
    assert_eq!(camera.state().certificates.len(), 2);
    // Bound to where it is: it is bound to nothing, and nothing is shown.
    bind(page, &now[2], &now[2]).await;
    assert!(camera.state().served_chain.is_empty());
}

#[tokio::test]
async fn form_page_wants_its_token_a_login_both_files_a_choice_and_a_restart() {
    let (camera, client) = start(Model::FormPage).await;
    let factory = camera.state().served_chain;
    let send = async |method: &str, path: &str, cookie: &str, headers: &str, body: &[u8]| {
        let headers = format!("Cookie: {cookie}\r\n{headers}");
        client.send(method, path, &headers, body).await.unwrap()
    };
    let cookie_of = |reply: &crate::common::Reply| {
        reply.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned()
    };
    let token_of = |page: &str| {
        let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    // Nothing is behind the login for who is not logged in.
    let outside = send("GET", "/network/ports", "FORMCAM=0", "", b"").await;
    assert_eq!((outside.status, outside.header("Location")), (302, Some("/login")));

    let page = send("GET", "/login", "", "", b"").await;
    let (before, token) = (cookie_of(&page), token_of(&page.body));
    let password = PASSWORD.replace(' ', "+");
    for (cookie, token, password) in
        [("", token.as_str(), password.as_str()), (&before, "0", &password), (&before, &token, "wrong")]
    {
        let body = format!("user={USER}&password={password}&form_token={token}");
        let refused = send("POST", "/login", cookie, "", body.as_bytes()).await;
        assert_eq!(refused.status, 200);
        assert!(refused.body.contains("class=\"alert\""), "{}", refused.body);
    }
    let body = format!("user={USER}&password={password}&form_token={token}");
    let entered = send("POST", "/login", &before, "", body.as_bytes()).await;
    assert_eq!((entered.status, entered.header("Location")), (302, Some("/home")));
    let cookie = cookie_of(&entered);

    let (key, certificate) = pair(false);
    let upload = async |path: &str, kind: &str, field: &str, content: &str| {
        let (headers, body) = form(field, "any.pem", content);
        let kind = format!("--b\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\n{kind}\r\n");
        send("POST", path, &cookie, &headers, &[kind.as_bytes(), &body].concat()).await.body
    };
    let choose = async || send("POST", "/security/choice", &cookie, "", b"use=uploaded").await.body;
    assert!(upload("/security/certificate", "private", "crt", &certificate).await.contains("What kind"));
    assert!(upload("/security/certificate", "public", "crt", &certificate).await.contains("File stored."));
    assert!(choose().await.contains("no private key"));
    assert!(upload("/security/key", "private", "key", &key).await.contains("File stored."));
    assert!(choose().await.contains("Chosen."));
    assert_eq!(camera.state().served_chain, factory);

    assert!(send("POST", "/system/restart", &cookie, "", b"form_token=0").await.body.contains("too old"));
    let token = token_of(&send("GET", "/system/restart", &cookie, "", b"").await.body);
    let body = format!("form_token={token}");
    assert!(send("POST", "/system/restart", &cookie, "", body.as_bytes()).await.body.contains("restarts"));
    camera.wait_for(|state| state.restarts == 1 && state.https_on && state.served_chain != factory).await;
    // The restart has ended the session.
    assert_eq!(send("GET", "/network/ports", &cookie, "", b"").await.status, 302);
    let state = camera.state();
    assert_eq!((state.logins_refused, state.basic_credentials), (1, 0));
}
