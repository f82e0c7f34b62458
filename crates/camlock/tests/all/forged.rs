//! A ledger that somebody else wrote to, from outside: nothing is ever encrypted to his recovery key, whether the authority
//! was locked then or open, and an older ledger is taken along once, and only if it is one.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use crate::common::{Site, text};
use pki::Certificate;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use vault::{RecoveryKey, Vault, Wrapping, escrow};

/// A site with its recovery key in the file `recovery`, and a key file `key`.
fn founded() -> Site {
    let site = Site::new();
    let made = site.json(&["init", "--site", "Test", "--key", "p256"], 0);
    std::fs::write(site.path("recovery"), made["recovery_key"].as_str().unwrap()).unwrap();
    site.json(&["vault", "key-file", "key"], 0);
    site
}

/// The recovery key of another: a real one.
fn thief() -> RecoveryKey {
    Vault::create("the thief's passphrase").unwrap().2
}

/// What somebody does who may write to the ledger.
struct Ledger(SqliteConnection);

impl Ledger {
    async fn of(site: &Site) -> Ledger {
        let options = SqliteConnectOptions::new().filename(site.path("data/camlock.db"));
        Ledger(SqliteConnection::connect_with(&options).await.unwrap())
    }

    async fn run(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await.unwrap();
    }

    async fn vault(&mut self) -> Value {
        let text: String = sqlx::query_scalar("SELECT vault FROM site").fetch_one(&mut self.0).await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    async fn set_vault(&mut self, vault: &Value) {
        let set = sqlx::query("UPDATE site SET vault = $1").bind(vault.to_string());
        assert_eq!(set.execute(&mut self.0).await.unwrap().rows_affected(), 1);
    }

    /// The recovery key of the thief stands where the owner's stood.
    async fn name(&mut self, thief: &RecoveryKey) {
        let mut vault = self.vault().await;
        vault["recovery_recipient"] = thief.recipient().into();
        self.set_vault(&vault).await;
    }

    /// Takes off what the present version binds with.
    async fn unbind(&mut self) {
        let mut vault = self.vault().await;
        vault.as_object_mut().unwrap().remove("mac");
        vault["version"] = 1.into();
        self.set_vault(&vault).await;
        self.run("UPDATE authority_key SET vouched = NULL").await;
    }

    async fn escrows(&mut self) -> Vec<Option<String>> {
        let all = sqlx::query_scalar("SELECT for_recovery FROM authority_key ORDER BY authority_id");
        all.fetch_all(&mut self.0).await.unwrap()
    }

    /// Makes of it what the version before would have written: only one who knows a secret can.
    async fn make_old(&mut self, secret: &str) {
        let vault: Wrapping = serde_json::from_value(self.vault().await).unwrap();
        let vault = Vault::open(&vault, secret).unwrap();
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT id, certificate, sealed FROM authority JOIN authority_key ON authority_id = id",
        )
        .fetch_all(&mut self.0)
        .await
        .unwrap();
        for (id, certificate, sealed) in rows {
            let sha256 = Certificate::from_der(&certificate).unwrap().sha256();
            let key = vault.unseal(&format!("authority key of a bound vault {sha256}"), &sealed).unwrap();
            let old = vault.seal(&format!("authority key {sha256}"), &key).unwrap();
            let set = sqlx::query("UPDATE authority_key SET sealed = $1 WHERE authority_id = $2");
            set.bind(old).bind(id).execute(&mut self.0).await.unwrap();
        }
        self.unbind().await;
        self.run(TO_VERSION_4).await;
    }
}

/// What the schemas after the fourth brought is gone.
const TO_VERSION_4: &str =
    "ALTER TABLE authority_key DROP COLUMN vouched; ALTER TABLE device DROP COLUMN verdict_since;
     ALTER TABLE backup DROP COLUMN root; ALTER TABLE backup DROP COLUMN recovery; ALTER TABLE backup DROP COLUMN tried;
     ALTER TABLE certificate DROP COLUMN laid_aside; PRAGMA user_version = 4";

fn secret(site: &Site, name: &str) -> String {
    std::fs::read_to_string(site.path(name)).unwrap().trim().to_owned()
}

/// Tries to issue with the secret in this file; the exit code, and what was said.
fn issues(site: &Site, secret: &str) -> (Option<i32>, String) {
    let _ = std::fs::remove_file(site.path("gate.pem"));
    let words = ["issue", "--name", "Gate", "--ip", "10.0.0.1", "--key", "p256", "--out", "gate.pem"];
    let output = site.run(&[&words[..], &["--passphrase-file", secret]].concat());
    (output.status.code(), text(&output))
}

const SECRETS: [&str; 3] = ["passphrase", "recovery", "key"];

fn opens_with_nothing(site: &Site) {
    for secret in SECRETS {
        let (code, said) = issues(site, secret);
        assert!(code == Some(3) && said.contains("somebody changed them"), "{secret}: {said}");
    }
}

/// A backup by one who knows no secret.
fn locked_backup(site: &Site) -> (Option<i32>, String) {
    let mut command = site.command(&["backup", "locked.age"]);
    let output = command.env_remove("CAMLOCK_PASSPHRASE_FILE").output().unwrap();
    assert_eq!(site.path("locked.age").exists(), output.status.success());
    let _ = std::fs::remove_file(site.path("locked.age"));
    (output.status.code(), text(&output))
}

/// The codes that the doctor says.
fn doctor(site: &Site) -> Vec<String> {
    let findings = crate::common::document(&site.run(&["doctor", "--json"]));
    let findings = findings["findings"].as_array().unwrap();
    findings.iter().map(|f| f["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_recovery_key_in_the_wrapping_gets_nothing() {
    let site = founded();
    let thief = thief();
    let mut ledger = Ledger::of(&site).await;
    let before = ledger.escrows().await;
    ledger.name(&thief).await;
    ledger.run("UPDATE authority_key SET for_recovery = NULL").await;

    opens_with_nothing(&site);
    assert_eq!(ledger.escrows().await, [None], "nothing was encrypted to it");
    let (code, said) = locked_backup(&site);
    assert!(code == Some(3) && said.contains(&escrow::short_form(thief.recipient())), "{said}");
    let codes = doctor(&site);
    assert!(["vault-damaged", "recovery-forged"].iter().all(|c| codes.contains(&(*c).into())), "{codes:?}");
    assert_eq!(site.run(&["vault", "show"]).status.code(), Some(3));
    for words in [&["vault", "recovery-key"][..], &["vault", "key-file", "new"], &["authority", "rollover"]] {
        let refused = site.run(words);
        assert!(refused.status.code() == Some(3) && text(&refused).contains("changed"), "{refused:?}");
    }

    // The wrapping as it was, and only the escrow gone or another's: nothing is refilled, and the owner can mend it.
    let junk = escrow::encrypt_text(thief.recipient(), b"key").unwrap();
    let site = founded();
    let mut ledger = Ledger::of(&site).await;
    for escrow in ["NULL".to_owned(), format!("'{junk}'"), format!("'{}'", before[0].as_ref().unwrap())] {
        ledger.run(&format!("UPDATE authority_key SET for_recovery = {escrow}")).await;
        let (code, said) = issues(&site, "passphrase");
        assert!(code == Some(3) && said.contains("has not signed"), "{said}");
        assert_eq!(locked_backup(&site).0, Some(3));
        assert!(doctor(&site).contains(&"recovery-forged".into()));
    }
    let made = site.json(&["vault", "recovery-key"], 0);
    assert_eq!((issues(&site, "passphrase").0, locked_backup(&site).0), (Some(0), Some(0)));
    let armored = ledger.escrows().await[0].clone().unwrap();
    let key = escrow::decrypt_text(made["recovery_key"].as_str().unwrap(), &armored).unwrap();
    assert!(key.starts_with(b"-----BEGIN PRIVATE KEY"));
}

/// Whatever is taken off a bound ledger, it does not become an old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_bound_is_never_bound_again() {
    for (schema, foreign) in [(5, false), (5, true), (4, true)] {
        let site = founded();
        let thief = thief();
        let mut ledger = Ledger::of(&site).await;
        if foreign {
            ledger.name(&thief).await;
            ledger.run("UPDATE authority_key SET for_recovery = NULL").await;
        }
        ledger.unbind().await;
        if schema == 4 {
            ledger.run(TO_VERSION_4).await;
        }
        let escrows = ledger.escrows().await;
        opens_with_nothing_old(&site, foreign);
        let (code, said) = locked_backup(&site);
        assert!(code == Some(3) && said.contains("not signed yet"), "{said}");
        let asked = site.run(&["backup", "asked.age"]);
        assert!(asked.status.code() == Some(3) && !site.path("asked.age").exists(), "{asked:?}");
        assert_eq!(ledger.escrows().await, escrows, "nothing was encrypted to it");
        assert_eq!(ledger.vault().await["version"], 1);
        let codes = doctor(&site);
        assert!(codes.contains(&"vault-damaged".into()), "{codes:?}");
    }
    // Nor where the keys are gone, which would tell it.
    let site = founded();
    let mut ledger = Ledger::of(&site).await;
    ledger.name(&thief()).await;
    ledger.unbind().await;
    ledger.run("DELETE FROM authority_key").await;
    assert_eq!((issues(&site, "passphrase").0, locked_backup(&site).0), (Some(3), Some(3)));
    assert_eq!(ledger.vault().await["version"], 1);
}

/// The authority that issues has to sign, whoever else does.
#[tokio::test(flavor = "multi_thread")]
async fn another_authority_does_not_sign_for_the_active_one() {
    let (site, other) = (founded(), founded());
    let recipient = other.json(&["vault", "show"], 0)["recovery_recipient"].as_str().unwrap().to_owned();
    let mut ledger = Ledger::of(&site).await;
    let foreign = other.path("data/camlock.db");
    ledger
        .run(&format!(
            "ATTACH '{}' AS other; DELETE FROM authority_key;
             INSERT INTO authority SELECT 7, certificate, permitted, constrained, created_at, NULL, 'old'
             FROM other.authority;
             INSERT INTO authority_key SELECT 7, sealed, for_recovery, vouched FROM other.authority_key;
             UPDATE site SET vault = json_set(vault, '$.recovery_recipient', '{recipient}')",
            foreign.display()
        ))
        .await;
    let (code, said) = locked_backup(&site);
    assert!(code == Some(3) && said.contains("has not signed"), "{said}");
}

fn opens_with_nothing_old(site: &Site, foreign: bool) {
    opens_with_nothing(site);
    let shown = site.run(&["vault", "show"]);
    assert!(shown.status.success() && text(&shown).contains("not signed yet"), "{foreign}: {shown:?}");
}

/// By whichever secret it is opened first; who knows none makes no backup before.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_ledger_is_bound_when_it_is_opened_first() {
    for (way, null) in SECRETS.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let site = founded();
        let mut ledger = Ledger::of(&site).await;
        ledger.make_old(&secret(&site, "passphrase")).await;
        if null {
            ledger.run("UPDATE authority_key SET for_recovery = NULL").await;
        }
        let before = ledger.escrows().await;
        let (code, said) = locked_backup(&site);
        assert!(code == Some(3) && said.contains("not signed yet"), "{said}");
        let mut command = site.command(&["doctor", "--json"]);
        let looked = command.env_remove("CAMLOCK_PASSPHRASE_FILE").output().unwrap();
        assert!(crate::common::document(&looked).to_string().contains("recovery-unsigned"), "{looked:?}");

        let (code, said) = issues(&site, way);
        assert_eq!(code, Some(0), "{way}: {said}");
        let vault = ledger.vault().await;
        assert!(vault["version"] == 2 && vault["mac"].is_string());
        let after = ledger.escrows().await;
        assert!(null || after == before, "what was encrypted before stays");
        let key = escrow::decrypt_text(&secret(&site, "recovery"), after[0].as_ref().unwrap()).unwrap();
        assert!(key.starts_with(b"-----BEGIN PRIVATE KEY"));
        for secret in SECRETS {
            assert_eq!(issues(&site, secret).0, Some(0), "{way}, then {secret}");
        }
        assert_eq!((locked_backup(&site).0, site.run(&["vault", "show"]).status.code()), (Some(0), Some(0)));
        assert!(doctor(&site).contains(&"recovery-signed".into()));
        // And it is no old one any more.
        ledger.unbind().await;
        opens_with_nothing(&site);
    }
}

/// Of several processes that open an old ledger at once each does its work.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_ledger_is_bound_once() {
    let site = founded();
    Ledger::of(&site).await.make_old(&secret(&site, "passphrase")).await;
    let started = ["a.pem", "b.pem", "c.pem"].map(|out| {
        let words = ["issue", "--name", "Gate", "--ip", "10.0.0.1", "--key", "p256", "--out", out];
        site.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for child in started {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!((issues(&site, "key").0, locked_backup(&site).0), (Some(0), Some(0)));
}

/// One who has the recovery key of an old ledger sees that another stands in its place.
#[tokio::test(flavor = "multi_thread")]
async fn the_recovery_key_knows_its_public_half() {
    let site = founded();
    let mut ledger = Ledger::of(&site).await;
    ledger.make_old(&secret(&site, "passphrase")).await;
    ledger.name(&thief()).await;
    let (code, said) = issues(&site, "recovery");
    assert!(code == Some(3) && said.contains("recovery recipient"), "{said}");
    assert_eq!(ledger.vault().await["version"], 1);
}

/// The service, open or locked, with a ledger that is changed while it runs or before it starts.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_encrypts_nothing_to_another() {
    let site = founded();
    let folder = site.path("backups");
    std::fs::create_dir(&folder).unwrap();
    let policy = format!("[backup]\nfolder = {:?}\ndays = 1\nkeep = 2\n", folder.to_str().unwrap());
    std::fs::write(site.path("data/policy.toml"), policy).unwrap();
    Ledger::of(&site).await.name(&thief()).await;
    let mut command = site.command(&["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
    let mut locked = command.env_remove("CAMLOCK_PASSPHRASE_FILE").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(locked.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("recovery-forged")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["level"], "error");
    locked.kill().unwrap();
    locked.wait().unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);

    let mut command = site.command(&["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
    let open = command.output().unwrap();
    assert!(open.status.code() == Some(3) && text(&open).contains("somebody changed"), "{open:?}");
}

/// The short form that is printed with the key is what the ledger says later.
#[test]
fn the_short_form_is_shown_with_the_key_and_by_vault_show() {
    let site = Site::new();
    let said = site.run(&["init", "--site", "Test", "--key", "p256"]);
    let said = String::from_utf8(said.stdout).unwrap();
    let shown = site.json(&["vault", "show"], 0);
    let short = shown["recovery_short"].as_str().unwrap();
    assert!(short.len() == 24 && said.contains(short), "{said}");
    assert!(shown["recovery_recipient"].as_str().unwrap()[4..].starts_with(&short.replace(' ', "")));
    assert_eq!(shown["passphrase_costs"], json!({"memory_kib": 65536, "passes": 3}));
    assert_eq!(shown["key_file"], false);
    let people = String::from_utf8(site.run(&["vault", "show"]).stdout).unwrap();
    assert!(people.contains(short) && people.contains("64 MiB"), "{people}");
    let made = site.json(&["vault", "recovery-key"], 0);
    assert_ne!(made["recovery_short"], short);
    assert_eq!(site.json(&["vault", "show"], 0)["recovery_short"], made["recovery_short"]);
    let findings = site.json(&["doctor"], 1)["findings"].to_string();
    assert!(findings.contains(made["recovery_short"].as_str().unwrap()), "{findings}");
}

/// What a backup holds, packed again with a ledger that was changed.
async fn repacked(site: &Site, change: &str) -> Vec<u8> {
    let bytes = std::fs::read(site.path("backup.age")).unwrap();
    let mut archive = Vec::new();
    let key = secret(site, "recovery");
    escrow::decrypt_stream(&key, bytes.as_slice()).unwrap().read_to_end(&mut archive).unwrap();
    let folder = tempfile::tempdir().unwrap();
    tar::Archive::new(archive.as_slice()).unpack(folder.path()).unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("camlock.db"));
    let mut ledger = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();

    let recipient = site.json(&["vault", "show"], 0)["recovery_recipient"].as_str().unwrap().to_owned();
    let mut packed = tar::Builder::new(escrow::encrypt_stream(&recipient, Vec::new()).unwrap());
    for name in ["README.txt", "root.pem", "page.pem", "camlock.db"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(1_800_000_000);
        packed.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    packed.into_inner().unwrap().finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_ledger_brings_nothing_foreign() {
    let site = founded();
    site.json(&["backup", "backup.age"], 0);
    let thief = thief();
    let named =
        format!("UPDATE site SET vault = json_set(vault, '$.recovery_recipient', '{}')", thief.recipient());
    let cases = [
        ("SELECT 1", 0, "Next:"),
        ("CREATE TRIGGER t AFTER INSERT ON backup BEGIN DELETE FROM device; END", 3, "trigger t"),
        ("CREATE VIEW v AS SELECT 1", 3, "view v"),
        ("CREATE TABLE more (x)", 3, "table more"),
        (named.as_str(), 3, "damaged"),
        ("UPDATE authority_key SET for_recovery = NULL", 3, "damaged"),
    ];
    for (change, code, said) in cases {
        let machine = Site::new();
        std::fs::copy(site.path("recovery"), machine.path("recovery")).unwrap();
        std::fs::write(machine.path("backup.age"), repacked(&site, change).await).unwrap();
        let restored = machine.run(&["restore", "backup.age", "--recovery-key-file", "recovery"]);
        assert_eq!(restored.status.code(), Some(code), "{change}: {restored:?}");
        assert!(text(&restored).contains(said), "{change}: {restored:?}");
        assert_eq!(machine.path("data/camlock.db").exists(), code == 0, "{change}");
    }
    // The same where it lies, for whoever looks after it.
    Ledger::of(&site)
        .await
        .run("CREATE TRIGGER t AFTER INSERT ON backup BEGIN DELETE FROM device; END")
        .await;
    for words in [&["doctor"][..], &["list"], &["backup", "other.age"]] {
        let refused = site.run(words);
        assert!(refused.status.code() == Some(3) && text(&refused).contains("trigger t"), "{refused:?}");
    }
}

#[test]
fn a_backup_with_an_endless_header_is_refused_at_once() {
    let site = founded();
    site.json(&["backup", "backup.age"], 0);
    let good = std::fs::read(site.path("backup.age")).unwrap();
    let (version, rest) = good.split_at(b"age-encryption.org/v1\n".len());
    let stanza = format!("-> X25519 {0}\n{0}\n", "A".repeat(43));
    let long = [version, stanza.repeat(192 * 1024 / stanza.len()).as_bytes(), rest].concat();
    let machine = Site::new();
    std::fs::copy(site.path("recovery"), machine.path("recovery")).unwrap();
    std::fs::write(machine.path("backup.age"), long).unwrap();
    let refused = machine.run(&["restore", "backup.age", "--recovery-key-file", "recovery"]);
    assert!(refused.status.code() == Some(2) && text(&refused).contains("header"), "{refused:?}");
}
