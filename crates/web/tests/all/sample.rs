//! A page with every kind of camera and of step on it.

use domain::{KeyTransport, Step, StepState, Verdict};
use time::macros::date;
use web::{Camera, Count, Page, Reach, Root, SignIn, StepLine, Trust};

pub(crate) const HOSTILE: &str = r#"Gate <script>alert(1)</script> " onmouseover='x'"#;

pub(crate) fn page(root: Root) -> Page {
    Page {
        trust: Trust {
            site: "Demo house".to_owned(),
            root,
            next: None,
            old: Vec::new(),
            reach: Reach {
                names: ["127.0.0.1", "192.168.1.5", "nas.lan"].map(|name| name.parse().unwrap()).to_vec(),
                https_port: 8443,
                http_port: Some(8080),
            },
            throw_away: false,
        },
        cameras: vec![makes_its_own_key(), takes_a_package(), rolled_back(), by_hand()],
        count: Count { secure: 0, total: 0 },
        locked: false,
        sign_in: Some(SignIn { user: "admin".to_owned(), password: "Tz4-mild-Kestrel".to_owned() }),
    }
}

/// A root that is known by its `digit`.
pub(crate) fn root(digit: char) -> Root {
    Root {
        der: vec![0x30, digit as u8],
        pem: format!("-----BEGIN CERTIFICATE-----\n{digit}\n-----END CERTIFICATE-----\n"),
        subject: format!("CN=Camlock Demo house {digit} 2036"),
        sha256: digit.to_string().repeat(64),
        not_after: date!(2046 - 1 - 31),
        constrained: true,
    }
}

fn steps(lines: &[(Step, StepState, f64, &str)]) -> Vec<StepLine> {
    lines
        .iter()
        .map(|&(step, state, seconds, text)| StepLine { step, state, seconds, text: text.to_owned() })
        .collect()
}

pub(crate) fn makes_its_own_key() -> Camera {
    Camera {
        name: "Front gate".to_owned(),
        model: "Simulated ONVIF camera, Profile T".to_owned(),
        way: "makes its own key".to_owned(),
        driver: "onvif".to_owned(),
        before: Verdict::NotSecure,
        before_text: "The page comes over HTTP without TLS: anyone on the network can read and change it."
            .to_owned(),
        after: Verdict::Secure,
        after_text: "The certificate is for 127.0.0.1 and chains to the root.".to_owned(),
        http_url: Some("http://127.0.0.1:8081/".to_owned()),
        https_url: "https://127.0.0.1:8441/".to_owned(),
        key_transport: KeyTransport::None,
        warnings: vec![],
        steps: steps(&[
            (Step::Find, StepState::Done, 0.041, "Answers as ONVIF device; driver onvif."),
            (Step::Inspect, StepState::Done, 0.012, "Port 8081 speaks HTTP without TLS."),
            (Step::Request, StepState::Done, 0.82, "The camera made an RSA-2048 key and a request (CSR)."),
            (
                Step::Sign,
                StepState::Done,
                0.009,
                "Signed for IP:127.0.0.1, DNS:front-gate.home.arpa, until 2027-12-25.",
            ),
            (
                Step::Package,
                StepState::Done,
                0.0001,
                "DER, the certificate alone: the key never left the camera.",
            ),
            (Step::Install, StepState::Done, 0.21, "Uploaded, assigned to the web server, HTTPS on."),
            (Step::Verify, StepState::Done, 0.034, "The new certificate is served; the verdict is secure."),
            (Step::Watch, StepState::Done, 0.002, "Expiry noted: 2027-12-25."),
        ]),
        seconds: 1.13,
        valid_until: Some(date!(2027 - 12 - 25)),
        verified: None,
    }
}

fn takes_a_package() -> Camera {
    Camera {
        name: "Warehouse, north wall, above the second loading door".to_owned(),
        model: "Simulated camera with PKCS#12 upload".to_owned(),
        way: "takes a package with key".to_owned(),
        driver: "isapi".to_owned(),
        http_url: Some("http://127.0.0.1:8082/".to_owned()),
        https_url: "https://127.0.0.1:8442/".to_owned(),
        key_transport: KeyTransport::Clear,
        warnings: vec!["HTTP without TLS still answers on port 8082 beside HTTPS.".to_owned()],
        ..makes_its_own_key()
    }
}

fn rolled_back() -> Camera {
    Camera {
        name: HOSTILE.to_owned(),
        before: Verdict::NotSecure,
        before_text:
            "The certificate is its own issuer and no browser trusts it (ERR_CERT_AUTHORITY_INVALID)."
                .to_owned(),
        after: Verdict::NotSecure,
        after_text: "The camera kept its old certificate, and has what it had before.".to_owned(),
        http_url: None,
        https_url: "https://127.0.0.1:8443/".to_owned(),
        steps: steps(&[
            (Step::Find, StepState::Done, 0.03, "Driver given by the operator."),
            (Step::Inspect, StepState::Skipped, 0.0, "Not needed."),
            (Step::Request, StepState::Done, 0.4, "Camlock made key and request."),
            (Step::Sign, StepState::Done, 0.01, "Signed."),
            (Step::Package, StepState::Done, 0.01, "PEM, key and certificate in one file."),
            (Step::Install, StepState::Done, 0.6, "Uploaded; HTTPS on."),
            (Step::Verify, StepState::Failed, 12.0, "Still the old certificate after 12 s."),
            (Step::Install, StepState::RolledBack, 0.3, "The setting from before is back."),
        ]),
        seconds: 71.2,
        valid_until: None,
        verified: None,
        ..makes_its_own_key()
    }
}

fn by_hand() -> Camera {
    Camera {
        name: "Cellar".to_owned(),
        way: "takes one PEM file on its web page".to_owned(),
        driver: "by-hand".to_owned(),
        after: Verdict::Unreachable,
        after_text: "Nothing accepts connections there.".to_owned(),
        // No caller gives such a thing; a link must not come of it all the same.
        https_url: "javascript:alert(1)".to_owned(),
        key_transport: KeyTransport::ByHand,
        steps: steps(&[
            (Step::Find, StepState::Done, 0.03, "By hand."),
            (Step::Install, StepState::Waiting, 0.0, "Upload the package on the camera's own page."),
        ]),
        valid_until: None,
        verified: None,
        ..makes_its_own_key()
    }
}
