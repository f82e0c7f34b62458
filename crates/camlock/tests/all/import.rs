//! `authority import`: a CA that was made elsewhere becomes the site's authority, or nothing happens.

use crate::common::{Site, text};
use fuzz::roots;
use pki::{Certificate, PrivateKey, chain, package};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, DnValue, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints, PKCS_ED25519, date_time_ymd, string::PrintableString,
    string::TeletexString,
};
use serde_json::Value;
use time::OffsetDateTime;

type Made = CertifiedIssuer<'static, KeyPair>;

fn parameters(change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let name = &mut parameters.distinguished_name;
    // As old programs wrote names: several parts, in other kinds of strings.
    name.push(DnType::CountryName, DnValue::PrintableString(PrintableString::try_from("HU").unwrap()));
    name.push(DnType::OrganizationName, DnValue::TeletexString(TeletexString::try_from("Bolt").unwrap()));
    name.push(DnType::CommonName, "Bolt CA");
    parameters.not_after = date_time_ymd(2070, 1, 1);
    change(&mut parameters);
    parameters
}

fn root(change: impl Fn(&mut CertificateParams)) -> Made {
    Made::self_signed(parameters(change), KeyPair::generate().unwrap()).unwrap()
}

/// A site with the files of a CA: `ca.crt` and `ca.key`.
fn site_with(made: &Made) -> Site {
    let site = Site::new();
    std::fs::write(site.path("ca.crt"), made.pem()).unwrap();
    std::fs::write(site.path("ca.key"), made.key().serialize_pem()).unwrap();
    site
}

fn import(site: &Site, words: &[&str], exit: i32) -> Value {
    site.json(&[&["authority", "import"], words].concat(), exit)
}

/// A refusal: its exit code and message; nothing was stored, and nobody saw a recovery key.
fn refusal(site: &Site, words: &[&str]) -> (i32, String) {
    let output = site.run(&[&["authority", "import"], words].concat());
    assert!(!site.path("data").exists() && output.stdout.is_empty(), "{output:?}");
    (output.status.code().unwrap(), text(&output))
}

fn codes(imported: &Value) -> Vec<&str> {
    imported["weaknesses"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap()).collect()
}

fn issued(site: &Site, words: &[&str]) -> Vec<Certificate> {
    site.json(&[&["issue", "--key", "p256", "--out", "gate.pem", "--ip", "10.0.0.1"], words].concat(), 0);
    let pem = std::fs::read(site.path("gate.pem")).unwrap();
    std::fs::remove_file(site.path("gate.pem")).unwrap();
    Certificate::read_all(&pem).unwrap()
}

fn holds(chain: &[Certificate], root: &Certificate) -> bool {
    let others: Vec<Vec<u8>> = chain[1..].iter().map(|c| c.der().to_vec()).collect();
    chain::verify(chain[0].der(), &others, std::slice::from_ref(root), OffsetDateTime::now_utc()).is_ok()
}

#[test]
fn the_ca_becomes_the_authority_and_everything_works_under_it() {
    let made = root(|p| p.serial_number = Some(1_u64.into()));
    let site = site_with(&made);
    let before = std::fs::read(site.path("ca.key")).unwrap();
    let imported = import(&site, &["ca.crt", "ca.key", "--site", "Bolt", "--permit", "cams.example"], 0);
    let root = Certificate::from_der(made.der()).unwrap();
    assert_eq!(
        (imported["sha256"].as_str(), imported["site"].as_str()),
        (Some(&*root.sha256()), Some("Bolt"))
    );
    assert!(imported["recovery_key"].as_str().unwrap().starts_with("AGE-SECRET-KEY-1"));
    assert_eq!(imported["constrained"], false);
    assert!(imported["permitted"].as_array().unwrap().contains(&"cams.example".into()));
    let weak = codes(&imported);
    for code in ["unconstrained", "lint-serial", "lint-path-length", "lint-ca-purposes", "lint-root-long"] {
        assert!(weak.contains(&code), "{weak:?}");
    }
    assert_eq!(std::fs::read(site.path("ca.key")).unwrap(), before);

    let chain = issued(&site, &["--name", "Gate"]);
    assert!(holds(&chain, &root) && chain[0].names_as_issuer(&root));
    site.json(&["revoke", &chain[0].serial()], 0);
    let doctor = site.json(&["doctor"], 1);
    let said: Vec<_> =
        doctor["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert!(said.contains(&"unconstrained") && !said.contains(&"stored-lint"), "{said:?}");
    assert!(site.path("data/page.pem").exists());

    site.json(&["authority", "rollover", "--key", "p256"], 0);
    assert!(holds(&issued(&site, &["--name", "Gate"]), &root));
    site.json(&["authority", "rollover", "--confirm"], 0);
    let chain = issued(&site, &["--name", "Gate"]);
    assert!(!holds(&chain, &root));
    let all = site.json(&["trust", "export"], 0);
    let roots = Certificate::read_all(all["pem"].as_str().unwrap().as_bytes()).unwrap();
    assert!(holds(&chain, &roots[0]));
}

#[test]
fn an_authority_that_is_there_stays() {
    let site = Site::founded();
    let shown = site.json(&["authority", "show"], 0);
    // Known before the files are looked at.
    let output = site.run(&["authority", "import", "nothing.pem"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("There is an authority already"), "{output:?}");
    assert_eq!(site.json(&["authority", "show"], 0), shown);
}

#[test]
fn the_recovery_key_is_seen_before_anything_is_stored() {
    let site = site_with(&root(|_| {}));
    // A folder where the ledger would be: so it ends after that.
    std::fs::create_dir_all(site.path("data/camlock.db")).unwrap();
    let output = site.run(&["authority", "import", "ca.crt", "ca.key"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("AGE-SECRET-KEY-1"), "{output:?}");
}

#[test]
fn two_tiers_keep_the_root_s_key_away() {
    let top = root(|_| {});
    let issuer = Made::signed_by(
        parameters(|p| {
            p.distinguished_name.push(DnType::CommonName, "Bolt issuer");
            // Longer than its root, which is the end of what it issues, too.
            p.not_after = date_time_ymd(2090, 1, 1);
        }),
        KeyPair::generate().unwrap(),
        &top,
    )
    .unwrap();
    let site = site_with(&issuer);
    let (exit, said) = refusal(&site, &["ca.crt", "ca.key"]);
    assert!(exit == 1 && said.contains("is not among the files"), "{said}");
    std::fs::write(site.path("root.crt"), top.pem()).unwrap();
    let imported = import(&site, &["ca.crt", "ca.key", "root.crt"], 0);
    let issuers = imported["issuers"].as_array().unwrap();
    assert!(issuers.len() == 1 && issuers[0]["subject"].as_str().unwrap().contains("Bolt issuer"));
    assert!(codes(&imported).contains(&"lint-outlives-issuer"), "{imported}");
    let chain = issued(&site, &["--name", "Gate"]);
    assert_eq!(chain.len(), 2);
    assert!(holds(&chain, &Certificate::from_der(top.der()).unwrap()));
}

#[test]
fn a_ca_s_own_constraints_hold() {
    let made = root(|p| {
        let subtree = |name: &str| GeneralSubtree::DnsName(name.to_owned());
        p.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![subtree(".bolt.example")],
            excluded_subtrees: vec![],
        });
    });
    let site = site_with(&made);
    let (exit, said) = refusal(&site, &["ca.crt", "ca.key", "--permit", "other.example"]);
    assert!(exit == 2 && said.contains("do not allow other.example"), "{said}");
    assert_eq!(refusal(&site, &["ca.crt", "ca.key", "--permit", "*.x"]).0, 2);
    let imported = import(&site, &["ca.crt", "ca.key", "--permit", "81.2.3.0/24"], 0);
    assert_eq!(imported["constrained"], true);
    let permitted = imported["permitted"].to_string();
    assert!(permitted.contains("81.2.3.0/24") && permitted.contains(".bolt.example"), "{permitted}");
    assert!(!permitted.contains("home.arpa"), "{permitted}");
    // The host name that is added goes where the CA may speak.
    let chain = issued(&site, &["--name", "Gate"]);
    assert_eq!(chain[0].alt_names()[1].to_string(), "DNS:gate.bolt.example");
    assert!(holds(&chain, &Certificate::from_der(made.der()).unwrap()));
    let refused = site.run(&["issue", "--name", "x", "--dns", "x.lan"]);
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn what_is_encrypted_needs_its_passphrase() {
    let made = root(|_| {});
    let site = site_with(&made);
    let key = PrivateKey::read(made.key().serialize_pem().as_bytes(), None).unwrap();
    let certificate = Certificate::from_der(made.der()).unwrap();
    std::fs::write(site.path("secret"), "sesame\n").unwrap();
    for (protection, name) in
        [(package::Protection::Modern, "new.p12"), (package::Protection::Legacy, "old.p12")]
    {
        let form = package::Form::Pkcs12 { protection, passphrase: "sesame" };
        let parts = package::write(&key, &[&certificate], &form).unwrap();
        std::fs::write(site.path(name), &parts[0].bytes).unwrap();
    }
    let (exit, said) = refusal(&site, &["new.p12"]);
    assert!(exit == 2 && said.contains("--import-passphrase-file"), "{said}");
    let (exit, said) = refusal(&site, &["old.p12", "--import-passphrase-file", "passphrase"]);
    assert!(exit == 2 && said.contains("is wrong"), "{said}");
    for file in ["new.p12", "old.p12"] {
        import(&site, &[file, "--import-passphrase-file", "secret"], 0);
        std::fs::remove_dir_all(site.path("data")).unwrap();
    }
}

#[test]
fn what_cannot_be_taken_over_is_refused() {
    let good = root(|_| {});
    let site = site_with(&good);
    std::fs::write(site.path("other.crt"), root(|_| {}).pem()).unwrap();
    std::fs::write(site.path("leaf.pem"), {
        let leaf = root(|p| p.is_ca = IsCa::NoCa);
        leaf.pem() + &leaf.key().serialize_pem()
    })
    .unwrap();
    std::fs::write(site.path("ed25519.pem"), {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let made = Made::self_signed(parameters(|_| {}), key).unwrap();
        made.pem() + &made.key().serialize_pem()
    })
    .unwrap();
    std::fs::write(site.path("ca.xdb"), b"SQLite format 3\0").unwrap();
    std::fs::write(site.path("large"), vec![b'x'; (4 << 20) + 1]).unwrap();
    std::fs::write(site.path("two.pem"), {
        let other = root(|p| p.distinguished_name.push(DnType::CommonName, "Second"));
        other.pem() + &other.key().serialize_pem()
    })
    .unwrap();
    for (words, exit, said) in [
        (&["ca.crt"][..], 1, "no private key beside O=Bolt,C=HU,CN=Bolt CA (ca.crt)"),
        (&["ca.key"], 1, "no certificate beside the private key: p256 (ca.key)"),
        (
            &["other.crt", "ca.key"],
            1,
            "Keys: p256 (ca.key). Certificates: O=Bolt,C=HU,CN=Bolt CA (other.crt)",
        ),
        (&["leaf.pem"], 1, "basicConstraints"),
        (&["ed25519.pem"], 1, "(Ed25519)"),
        (&["ca.xdb"], 1, "export it as PEM + key"),
        (&["passphrase"], 2, "neither a certificate nor a private key"),
        (&["large"], 2, "4194304"),
        (&["none"], 2, "cannot be read"),
        (&["two.pem", "ca.crt", "ca.key"], 2, "--ca NAME"),
        (&["two.pem", "ca.crt", "ca.key", "--ca", "Third"], 2, "Second (until"),
        (&[], 2, "FILE"),
    ] {
        let refused = refusal(&site, words);
        assert!(refused.0 == exit && refused.1.contains(said), "{words:?}: {refused:?}");
    }
    let imported = import(&site, &["two.pem", "ca.crt", "ca.key", "--ca", "Second"], 0);
    assert!(imported["subject"].as_str().unwrap().contains("CN=Second"));
}

/// A root with its key, as `ca.crt` and `ca.key`.
fn site_of(case: &roots::Case) -> Site {
    let site = Site::new();
    std::fs::write(site.path("ca.crt"), &case.root).unwrap();
    std::fs::write(site.path("ca.key"), &case.key).unwrap();
    site
}

#[test]
fn a_ca_that_a_browser_refuses_is_told_before_it_is_taken() {
    let named = |name: &str| roots::cases().into_iter().find(|case| case.name == name).unwrap();
    let site = site_of(&named("PrintableString with an underscore"));
    let (exit, said) = refusal(&site, &["ca.crt", "ca.key"]);
    assert!(exit == 2 && said.contains("CN=Bolt_CA"), "{said}");
    assert!(said.contains("ERR_SSL_SERVER_CERT_BAD_FORMAT") && said.contains("--yes"), "{said}");

    let output = site.run(&["authority", "import", "ca.crt", "ca.key", "--yes", "--json"]);
    assert!(text(&output).contains("ERR_SSL_SERVER_CERT_BAD_FORMAT"), "{output:?}");
    let imported = crate::common::document(&output);
    assert_eq!(imported["subject"], "CN=Bolt_CA");
    let codes = codes(&imported);
    assert!(codes.contains(&"lint-name-characters") && !codes.contains(&"lint-no-common-name"), "{codes:?}");
    // And it goes on being said.
    let doctor = site.json(&["doctor"], 1);
    let findings = doctor["findings"].as_array().unwrap();
    let refused = findings.iter().find(|f| f["code"] == "browsers-refuse").unwrap();
    assert_eq!(refused["severity"], "error");

    let site = site_of(&named("TLS feature"));
    assert!(
        refusal(&site, &["ca.crt", "ca.key"]).1.contains("MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING")
    );
    let site = site_of(&named("an ordinary root"));
    let output = site.run(&["authority", "import", "ca.crt", "ca.key"]);
    assert!(output.status.success() && !text(&output).contains("browser"), "{output:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_person_is_asked_whether_it_is_wanted_all_the_same() {
    use std::{io::Write, process::Stdio};

    let case = roots::cases().into_iter().find(|c| c.name == "PrintableString with an ampersand").unwrap();
    // The last line leaves the recovery key for later.
    for (answer, exit) in [("n\n", 2), ("\n", 2), ("y\n\n", 0)] {
        let site = site_of(&case);
        let (mut person, program) = crate::common::terminal();
        person.write_all(answer.as_bytes()).unwrap();
        let mut command = site.command(&["authority", "import", "ca.crt", "ca.key"]);
        let output = command.stdin(Stdio::from(program)).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{output:?}");
        assert!(text(&output).contains("ERR_SSL_SERVER_CERT_BAD_FORMAT"), "{output:?}");
        assert_eq!(site.path("data").exists(), exit == 0, "{output:?}");
    }
}

#[test]
fn what_is_no_use_is_called_what_it_is() {
    let site = site_of(&roots::version_1());
    let (exit, said) = refusal(&site, &["ca.crt", "ca.key"]);
    assert!(exit == 1 && said.contains("version 1 cannot be") && said.contains("camlock init"), "{said}");
    assert!(!said.contains("that issued it"), "{said}");
    let site = site_of(&roots::curve_in_numbers());
    let (exit, said) = refusal(&site, &["ca.crt", "ca.key"]);
    assert!(exit == 1 && said.contains("curve is not named") && !said.contains("belongs"), "{said}");
    std::fs::write(site.path("ca.jks"), b"\xfe\xed\xfe\xed\0\0\0\x02").unwrap();
    let (exit, said) = refusal(&site, &["ca.jks"]);
    assert!(exit == 1 && said.contains("Java") && said.contains("keytool"), "{said}");
}

#[test]
fn a_directory_is_looked_through_and_links_lead_nowhere() {
    let made = root(|_| {});
    let site = site_with(&made);
    let other = root(|p| p.distinguished_name.push(DnType::CommonName, "Issued"));
    let layouts = ["easy/pki/private", "easy/pki/issued", "loose/a/b/c", "empty"];
    layouts.iter().for_each(|folder| std::fs::create_dir_all(site.path(folder)).unwrap());
    for (from, to) in [
        ("ca.crt", "easy/pki/ca.crt"),
        ("ca.key", "easy/pki/private/ca.key"),
        ("ca.crt", "loose/a/one"),
        ("ca.key", "loose/a/b/two"),
    ] {
        std::fs::copy(site.path(from), site.path(to)).unwrap();
    }
    // In a known layout all that the CA ever issued is not looked at: this would be a second one.
    std::fs::write(site.path("easy/pki/issued/x.pem"), other.pem() + &other.key().serialize_pem()).unwrap();
    for directory in ["easy", "easy/pki", "loose"] {
        import(&site, &[directory], 0);
        std::fs::remove_dir_all(site.path("data")).unwrap();
    }
    std::fs::rename(site.path("loose/a/b/two"), site.path("loose/a/b/c/two")).unwrap();
    assert!(refusal(&site, &["loose"]).1.contains("no private key beside"), "too deep");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(site.path("easy/pki"), site.path("empty/pki")).unwrap();
        symlink(site.path("ca.key"), site.path("empty/ca.key")).unwrap();
        symlink(site.path("ca.crt"), site.path("empty/ca.crt")).unwrap();
        assert!(refusal(&site, &["empty"]).1.contains("neither a certificate"));
        // What the operator names is followed.
        symlink(site.path("easy"), site.path("named")).unwrap();
        import(&site, &["named"], 0);
    }
}
