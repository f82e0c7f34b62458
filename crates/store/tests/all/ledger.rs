//! The ledger from outside: what is stored is there again, and what must not happen cannot.

use domain::{AltName, EnrolmentState, KeyTransport, RevocationReason, Step, StepState, Verdict};
use store::{
    AuthorityState, BackupRow, Error, Intent, Key, Lease, NewAuthority, NewDevice, NewSite, Proofs, StepRow,
    Store,
};
use time::{Duration, OffsetDateTime};

async fn ledger() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::create(&directory.path().join("data")).await.unwrap();
    (directory, store)
}

fn site(name: &str) -> NewSite<'_> {
    NewSite { name, vault: "{}", authority: &[ACTIVE] }
}

static KEY: Key = Key { sealed: Vec::new(), for_recovery: String::new(), vouched: Vec::new() };

const ACTIVE: NewAuthority<'static> = NewAuthority {
    certificate: b"root",
    key: Some(&KEY),
    permitted: "[]",
    constrained: true,
    state: AuthorityState::Active,
};

fn intent<'a>(serial: &'a str, names: &'a [AltName], days: i64) -> Intent<'a> {
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    Intent {
        serial,
        authority_id: 1,
        state: AuthorityState::Active,
        device_id: None,
        profile: "device",
        name: Some("Gate"),
        names,
        not_before: now,
        not_after: now + Duration::days(days),
    }
}

#[tokio::test]
async fn a_site_is_founded_once() {
    let (directory, store) = ledger().await;
    assert!(matches!(store.site().await, Err(Error::NoAuthority)));
    store.found_site(&site("Shop")).await.unwrap();
    assert_eq!(
        store.found_site(&site("Other")).await.unwrap_err(),
        Error::AuthorityExists { site: "Shop".into() }
    );
    store.close().await;

    let again = Store::open(&directory.path().join("data")).await.unwrap();
    let site = again.site().await.unwrap();
    assert_eq!((site.name.as_str(), site.authorities[0].certificate.as_slice()), ("Shop", &b"root"[..]));
    assert!(matches!(
        Store::open(&directory.path().join("none")).await.unwrap_err(),
        Error::NoDataDirectory { .. }
    ));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, store) = ledger().await;
    store.found_site(&site("Shop")).await.unwrap();
    let data = directory.path().join("data");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_empty_directory_is_closed_to_others_and_no_other_is_changed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let open_to_all = || std::fs::set_permissions(&data, PermissionsExt::from_mode(0o755)).unwrap();
    let mode = || std::fs::metadata(&data).unwrap().permissions().mode() & 0o7777;
    std::fs::create_dir(&data).unwrap();
    open_to_all();
    Store::create(&data).await.unwrap().close().await;
    assert_eq!(mode(), 0o700);
    // What somebody has opened since is their wish; the files are closed each by itself.
    open_to_all();
    Store::open(&data).await.unwrap().close().await;
    assert_eq!(mode(), 0o755);

    let theirs = data.join("photos");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::remove_file(data.join("camlock.db")).unwrap();
    let in_use = Error::DirectoryInUse { directory: data.display().to_string(), file: "photos".into() };
    assert_eq!(Store::create(&data).await.unwrap_err(), in_use);
    assert_eq!(Lease::restoring(&data).unwrap_err(), in_use);
    assert_eq!(mode(), 0o755);
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1);
}

/// Rows of each table, and the bytes of each file but SQLite's own log.
#[tokio::test]
async fn a_ledger_that_is_only_read_stays_as_it_is() {
    let (directory, store) = ledger().await;
    let data = directory.path().join("data");
    store.found_site(&site("Shop")).await.unwrap();
    store.close().await;
    let files = || {
        let files = std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().path());
        let mut read: Vec<_> = files.map(|file| (file.clone(), std::fs::read(file).unwrap())).collect();
        read.sort();
        read
    };
    let before = files();
    let reading = Store::open_to_read(&data).await.unwrap();
    assert_eq!(reading.site().await.unwrap().name, "Shop");
    assert!(
        reading
            .record_backup(&BackupRow {
                at: OffsetDateTime::now_utc(),
                file: "a".into(),
                root: None,
                recovery: None,
                tried: false
            })
            .await
            .is_err()
    );
    reading.close().await;
    assert_eq!(files(), before);
}

#[tokio::test]
async fn an_intent_becomes_a_certificate_once() {
    let (_directory, store) = ledger().await;
    store.found_site(&site("Shop")).await.unwrap();
    let names = ["192.168.1.64".parse().unwrap()];
    store.intend(&intent("aa", &names, 30)).await.unwrap();
    assert!(store.intend(&intent("aa", &names, 30)).await.is_err(), "a serial is never used twice");
    assert!(store.certificates(None, None).await.unwrap().is_empty());

    store.record_certificate("aa", "f00d", b"der").await.unwrap();
    assert!(store.record_certificate("aa", "beef", b"other").await.is_err());
    assert!(store.record_certificate("bb", "beef", b"other").await.is_err());
    let found = store.issued("aa", "f00d").await.unwrap().unwrap();
    assert_eq!((found.serial.as_str(), found.der.as_deref()), ("aa", Some(&b"der"[..])));
    assert_eq!(found.names, names);
    assert!(store.issued("aa", "beef").await.unwrap().is_none());
}

#[tokio::test]
async fn certificates_are_found_by_expiry_and_text() {
    let (_directory, store) = ledger().await;
    store.found_site(&site("Shop")).await.unwrap();
    for (serial, ip, days) in [("aa", "192.168.1.64", 30), ("bb", "192.168.1.65", 10), ("cc", "10.0.0.1", 90)]
    {
        let names = [ip.parse().unwrap()];
        store.intend(&intent(serial, &names, days)).await.unwrap();
        store.record_certificate(serial, serial, b"der").await.unwrap();
    }
    let serials = |rows: Vec<store::CertificateRow>| rows.into_iter().map(|r| r.serial).collect::<Vec<_>>();
    assert_eq!(serials(store.certificates(None, None).await.unwrap()), ["bb", "aa", "cc"]);
    let soon = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap() + Duration::days(31);
    assert_eq!(serials(store.certificates(Some(soon), None).await.unwrap()), ["bb", "aa"]);
    assert_eq!(serials(store.certificates(None, Some("1.65")).await.unwrap()), ["bb"]);
    assert_eq!(store.certificates(None, Some("GATE")).await.unwrap().len(), 3);
    for nothing in ["%", "_", "\\", "'; --"] {
        assert!(store.certificates(None, Some(nothing)).await.unwrap().is_empty(), "{nothing}");
    }
}

fn next(state: AuthorityState) -> NewAuthority<'static> {
    NewAuthority { certificate: b"next", state, ..ACTIVE }
}

async fn states(store: &Store) -> Vec<(AuthorityState, Option<i64>, bool)> {
    let authorities = store.site().await.unwrap().authorities;
    authorities.iter().map(|a| (a.state, a.root_id, a.sealed_key.is_some())).collect()
}

#[tokio::test]
async fn a_next_authority_waits_and_takes_over_or_goes() {
    use AuthorityState::{Active, Next, Offline, Old};
    let (_directory, store) = ledger().await;
    store.found_site(&site("Shop")).await.unwrap();
    assert_eq!(store.confirm_next().await.unwrap_err(), Error::NoRollover);
    assert_eq!(store.cancel_next().await.unwrap_err(), Error::NoRollover);

    let offline = NewAuthority { key: None, state: Offline, ..ACTIVE };
    store.add_next("{}", &[offline, next(Next)]).await.unwrap();
    assert_eq!(store.add_next("{}", &[next(Next)]).await.unwrap_err(), Error::RolloverUnderWay);
    let waiting = [(Active, None, true), (Offline, None, false), (Next, Some(2), true)];
    assert_eq!(states(&store).await, waiting);
    // What it issues has to say that it comes from the next one.
    let names = ["192.168.1.64".parse().unwrap()];
    let by_next = Intent { authority_id: 3, state: Next, ..intent("99", &names, 30) };
    for refused in [Intent { state: Active, ..intent("99", &names, 30) }, intent("99", &names, 30)] {
        let refused = Intent { authority_id: 3, ..refused };
        assert_eq!(store.intend(&refused).await.unwrap_err(), Error::NotTheIssuer);
    }
    store.intend(&by_next).await.unwrap();
    store.cancel_next().await.unwrap();
    assert!(store.certificate("99").await.unwrap().is_none());
    assert_eq!(states(&store).await, waiting[..1]);
    let other_vault = store.add_next("{\"changed\":1}", &[next(Next)]).await.unwrap_err();
    assert_eq!(other_vault, Error::SecretsChanged);

    store.add_next("{}", &[next(Next)]).await.unwrap();
    store.confirm_next().await.unwrap();
    assert_eq!(states(&store).await, [(Old, None, true), (Active, None, true)]);
    let refused = store.intend(&intent("aa", &names, 30)).await.unwrap_err();
    assert_eq!(refused, Error::NotTheIssuer, "an old authority issues no more");
    store.intend(&Intent { authority_id: 2, ..intent("aa", &names, 30) }).await.unwrap();
}

#[tokio::test]
async fn proofs_are_counted_by_address_and_never_without_end() {
    let (directory, store) = ledger().await;
    let day = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let proven = async |store: &Store, root: &str| store.proofs(root).await.unwrap();
    assert_eq!(proven(&store, "aa").await, None);
    let file = directory.path().join("data/camlock.db");
    for (root, address, after) in [
        ("aa", "192.168.1.7", Duration::ZERO),
        ("aa", "192.168.1.7", Duration::HOUR),
        ("aa", "fd00::7", Duration::DAY),
        ("bb", "192.168.1.7", Duration::ZERO),
    ] {
        store.record_proof(root, address.parse().unwrap(), day + after).await.unwrap();
    }
    let expected = Proofs { computers: 2, last: day.date() + Duration::DAY, at_limit: false };
    assert_eq!(proven(&store, "aa").await, Some(expected));
    assert_eq!(proven(&store, "bb").await.unwrap().computers, 1);

    // The same once more on that day touches no file.
    let written = || std::fs::metadata(file.with_extension("db-wal")).unwrap().len();
    let before = written();
    store.record_proof("aa", "fd00::7".parse().unwrap(), day + Duration::DAY).await.unwrap();
    assert_eq!(written(), before);

    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let many = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 998)
                INSERT INTO proof SELECT 'aa', 'made up ' || n, (SELECT max(day) FROM proof) FROM numbers";
    sqlx::query(many).execute(&pool).await.unwrap();
    let later = day + Duration::days(2);
    for address in ["10.0.0.1", "10.0.0.2", "192.168.1.7"] {
        store.record_proof("aa", address.parse().unwrap(), later).await.unwrap();
    }
    // One more is not counted; one that is known still is.
    assert_eq!(
        proven(&store, "aa").await,
        Some(Proofs { computers: 1000, last: later.date(), at_limit: true })
    );
    // Those of long ago are forgotten.
    store.record_proof("bb", "10.0.0.1".parse().unwrap(), day + Duration::days(402)).await.unwrap();
    assert_eq!(
        proven(&store, "aa").await,
        Some(Proofs { computers: 1, last: later.date(), at_limit: false })
    );
}

#[tokio::test]
async fn what_was_revoked_is_on_the_list_once() {
    let (_directory, store) = ledger().await;
    store.found_site(&site("Shop")).await.unwrap();
    let names = ["192.168.1.64".parse().unwrap()];
    for serial in ["aa", "bb"] {
        store.intend(&intent(serial, &names, 3650)).await.unwrap();
    }
    store.record_certificate("aa", "f00d", b"der").await.unwrap();
    assert!(store.revoke("aa", RevocationReason::KeyCompromise).await.unwrap());
    assert!(!store.revoke("aa", RevocationReason::Superseded).await.unwrap(), "the first reason stands");
    assert!(!store.revoke("bb", RevocationReason::Superseded).await.unwrap(), "an intent is no certificate");
    let list = store.revocations(1).await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].serial.as_str(), list[0].reason), ("aa", RevocationReason::KeyCompromise));

    let next_update = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    assert!(store.crl(1).await.unwrap().is_none());
    let numbers = [store.take_crl_number(1).await.unwrap(), store.take_crl_number(1).await.unwrap()];
    assert!(numbers[0] >= OffsetDateTime::now_utc().unix_timestamp() - 60 && numbers[1] > numbers[0]);
    store.save_crl(1, numbers[1], next_update, b"second").await.unwrap();
    store.save_crl(1, numbers[0], next_update, b"first").await.unwrap();
    assert_eq!(store.crl(1).await.unwrap(), Some((b"second".to_vec(), next_update)));
}

#[tokio::test]
async fn writes_at_once_are_each_answered() {
    let (_directory, store) = ledger().await;
    store.found_site(&site("Shop")).await.unwrap();
    let names = ["192.168.1.64".parse().unwrap()];
    let serials: Vec<String> = (0..200).map(|i| format!("{:02x}", i % 100)).collect();
    let writes = serials.iter().map(|serial| {
        let (store, names) = (store.clone(), &names);
        async move { store.intend(&intent(serial, names, 30)).await.is_ok() }
    });
    // Each serial comes twice; whatever else is in its group, exactly one of the two is stored.
    let done = futures(writes).await;
    assert_eq!(done.iter().filter(|done| **done).count(), 100);
    for serial in &serials[..100] {
        assert!(store.certificate(serial).await.unwrap().is_some());
    }

    // Every third is for another authority; every second certificate was never intended.
    let others: Vec<String> = (200..300).map(|i| format!("{i:04}")).collect();
    let intents = others.iter().enumerate().map(|(i, serial)| {
        let (store, names) = (store.clone(), &names);
        let authority_id = if i % 3 == 0 { 2 } else { 1 };
        async move { store.intend(&Intent { authority_id, ..intent(serial, names, 30) }).await }
    });
    for (i, done) in futures(intents).await.into_iter().enumerate() {
        assert_eq!(done, if i % 3 == 0 { Err(Error::NotTheIssuer) } else { Ok(()) });
    }
    let certificates = (0..100).map(|i| {
        let serial = if i % 2 == 0 { serials[i].clone() } else { format!("no{i}") };
        let store = store.clone();
        async move { store.record_certificate(&serial, &serial, b"der").await }
    });
    for (i, done) in futures(certificates).await.into_iter().enumerate() {
        assert_eq!(done.is_ok(), i % 2 == 0, "{i}: {done:?}");
    }
    assert_eq!(store.certificates(None, None).await.unwrap().len(), 50);
}

/// Runs them all at once.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in running.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// As the first released version wrote it, with more certificates than SQLite keeps in memory at once.
#[tokio::test]
async fn a_ledger_of_version_1_is_taken_along() {
    let directory = tempfile::tempdir().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(directory.path().join("camlock.db"));
    let pool = sqlx::SqlitePool::connect_with(options.clone().create_if_missing(true)).await.unwrap();
    sqlx::raw_sql(include_str!("../../src/schema/1.sql")).execute(&pool).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO site VALUES (1, 'Shop', '{}', 1);
         INSERT INTO authority VALUES (1, x'01', x'02', '[]', 1, 1);
         INSERT INTO certificate VALUES ('aa', 1, NULL, 'device', 'Gate', '[]', 1, 2, 1, 1, 'f00d', x'03');
         INSERT INTO device VALUES (1, 'IP:10.0.0.1', 80, 443, 'Gate', NULL, 'onvif-security', 'not-secure',
                                    NULL, 'none', 'secure', 'aa', 3);
         INSERT INTO enrolment VALUES (1, 'camlock-1', 1, 'done', '{}', 'aa', 'none', 1, 2);
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
         INSERT INTO certificate
         SELECT format('%x', 4096 + n), 1, 1, 'device', NULL, '[]', 1, n, n, NULL, NULL, NULL FROM numbers;
         UPDATE certificate SET issued_at = 4, sha256 = serial, der = randomblob(800) WHERE intended_at % 3 > 0
            AND serial != 'aa';
         PRAGMA user_version = 1;",
    )
    .execute(&pool)
    .await
    .unwrap();
    let all = async |pool: &sqlx::SqlitePool| -> Vec<String> {
        let rows = "SELECT json_array(serial, authority_id, device_id, profile, name, names, not_before, not_after,
                                      intended_at, issued_at, sha256, hex(der)) FROM certificate ORDER BY serial";
        sqlx::query_scalar(rows).fetch_all(pool).await.unwrap()
    };
    let before = all(&pool).await;
    pool.close().await;

    let store = Store::open(directory.path()).await.unwrap();
    let site = store.site().await.unwrap();
    let row = &site.authorities[0];
    assert_eq!((site.name.as_str(), row.certificate.as_slice()), ("Shop", &b"\x01"[..]));
    assert_eq!((row.sealed_key.as_deref(), row.state), (Some(&b"\x02"[..]), AuthorityState::Active));
    assert!(row.for_recovery.is_none() && row.vouched.is_none());
    let certificate = store.certificate("aa").await.unwrap().unwrap();
    assert_eq!((certificate.der.as_deref(), certificate.revoked_at), (Some(&b"\x03"[..]), None));
    store.close().await;

    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    assert_eq!((before.len(), all(&pool).await == before), (5001, true));
    let wrong: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM pragma_foreign_key_check").fetch_optional(&pool).await.unwrap();
    assert_eq!(wrong, None);
    // What refers to certificates refers to those in their new table.
    for statement in [
        "UPDATE device SET serial = 'nothing'",
        "UPDATE enrolment SET serial = 'nothing'",
        "DELETE FROM certificate WHERE serial = 'aa'",
    ] {
        assert!(sqlx::query(statement).execute(&pool).await.is_err(), "{statement}");
    }
}

/// A file that somebody else wrote does nothing of its own here, of whatever version it says it is.
#[tokio::test]
async fn a_ledger_with_anything_foreign_in_it_is_not_opened() {
    const SCHEMA: [&str; 5] = [
        include_str!("../../src/schema/1.sql"),
        include_str!("../../src/schema/2.sql"),
        include_str!("../../src/schema/3.sql"),
        include_str!("../../src/schema/4.sql"),
        include_str!("../../src/schema/5.sql"),
    ];
    let foreign = [
        ("", None),
        ("CREATE TRIGGER helper AFTER INSERT ON site BEGIN SELECT 1; END", Some("trigger helper")),
        ("CREATE VIEW helper AS SELECT * FROM site", Some("view helper")),
        ("CREATE TABLE helper (id INTEGER)", Some("table helper")),
        ("CREATE INDEX helper ON device (name)", Some("index helper")),
        ("DROP INDEX certificate_not_after", Some("index certificate_not_after")),
        ("ALTER TABLE site ADD COLUMN more TEXT", Some("table site")),
        (
            "DROP TABLE enrolment_step; CREATE VIEW enrolment_step AS SELECT 1 AS sequence",
            Some("view enrolment_step"),
        ),
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'TEXT NOT NULL', 'TEXT') \
          WHERE name = 'site'",
            Some("table site"),
        ),
        // As another version of SQLite, or a person's tool, may have written the same.
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, char(10), '  ' || char(13, 10)) \
          WHERE name = 'site'",
            None,
        ),
    ];
    let options = |folder: &std::path::Path| {
        sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("camlock.db")).create_if_missing(true)
    };
    for (version, (sql, object)) in (1..=SCHEMA.len()).flat_map(|v| foreign.map(|f| (v, f))) {
        let directory = tempfile::tempdir().unwrap();
        let pool = sqlx::SqlitePool::connect_with(options(directory.path())).await.unwrap();
        let known = SCHEMA[..version].concat();
        let number = format!("PRAGMA user_version = {version}");
        for sql in [known.as_str(), sql, &number] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        }
        pool.close().await;
        let before = std::fs::read(directory.path().join("camlock.db")).unwrap();
        let opened = Store::open(directory.path()).await;
        match object {
            None => opened.unwrap().close().await,
            Some(object) => {
                let error = opened.unwrap_err();
                assert_eq!(error, Error::ForeignSchema { object: object.into() }, "{version}: {sql}");
                assert_eq!(std::fs::read(directory.path().join("camlock.db")).unwrap().len(), before.len());
            }
        }
    }
}

#[tokio::test]
async fn an_enrolment_is_found_again_until_it_ended_well() {
    let (_directory, store) = ledger().await;
    store.found_site(&site("Shop")).await.unwrap();
    let host: AltName = "127.0.0.1".parse().unwrap();
    let new = NewDevice {
        id: None,
        host: &host,
        port: 8080,
        name: "127.0.0.1",
        model: Some("Sim 1"),
        told: None,
        mac: None,
        driver: "onvif-security",
        makes_key: true,
        https_port: None,
        accepted: true,
        first_verdict: domain::Verdict::NotSecure,
        first_finding: Some(r#"{"code":"plain-http","port":80}"#),
    };
    let id = store.save_device(&new).await.unwrap();
    // As an earlier version stored it.
    let told = NewDevice { name: "Gate\u{202e}", model: Some("Sim\u{200b} 2"), port: 80, ..new };
    let told = store.save_device(&told).await.unwrap();
    let told = store.device(told).await.unwrap().unwrap();
    assert_eq!((&*told.name, told.model.as_deref()), ("Gate", Some("Sim 2")));
    assert_eq!(store.save_device(&new).await.unwrap(), id);

    store.begin_enrolment("camlock-1", id, "{}").await.unwrap();
    let step = StepRow { step: Step::Install, state: StepState::Done, milliseconds: 12, text: "{}" };
    store.record_step("camlock-1", &step).await.unwrap();
    store.record_step("camlock-1", &step).await.unwrap();
    store.intend(&intent("aa", std::slice::from_ref(&host), 30)).await.unwrap();
    store.record_installing("camlock-1", "aa", KeyTransport::Clear).await.unwrap();
    let open = store.unfinished_enrolments(id).await.unwrap();
    assert_eq!((open[0].id.as_str(), open[0].serial.as_deref()), ("camlock-1", Some("aa")));

    store.end_enrolment("camlock-1", EnrolmentState::Done).await.unwrap();
    assert!(store.unfinished_enrolments(id).await.unwrap().is_empty());
    store
        .record_verdict(id, Verdict::Secure, Some(8443), Some("aa"), Some(KeyTransport::None))
        .await
        .unwrap();
    for port in [8080, 8443] {
        let device = store.device_at(&host, port).await.unwrap().unwrap();
        assert_eq!((device.verdict, device.https_port), (Verdict::Secure, Some(8443)));
        assert_eq!(device.not_after.unwrap().unix_timestamp(), 1_800_000_000 + 30 * 86400);
    }
    assert!(store.device_at(&host, 81).await.unwrap().is_none());
}

#[tokio::test]
async fn one_run_at_a_time_works_on_a_device() {
    let (_directory, store) = ledger().await;
    let hosts = ["10.0.0.1".to_owned(), "fe80::1".to_owned(), format!("{0}.{0}.{0}.lan", "a".repeat(63))];
    for host in hosts.map(|h| h.parse::<AltName>().unwrap()) {
        let lease = store.lease_device(&host, 80).unwrap().unwrap();
        assert!(store.lease_device(&host, 80).unwrap().is_none());
        assert!(store.lease_device(&host, 8080).unwrap().is_some());
        drop(lease);
        assert!(store.lease_device(&host, 80).unwrap().is_some());
    }
    let service = store.lease_service().unwrap();
    assert!(service.is_some() && store.lease_service().unwrap().is_none());
}

/// Two rows that were one camera, met by the port of http and by that of https, are one; so is what hangs on them.
#[tokio::test]
async fn a_device_that_stood_twice_in_an_older_ledger_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(directory.path().join("camlock.db"));
    let pool = sqlx::SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
    for schema in [
        include_str!("../../src/schema/1.sql"),
        include_str!("../../src/schema/2.sql"),
        include_str!("../../src/schema/3.sql"),
    ] {
        sqlx::raw_sql(schema).execute(&pool).await.unwrap();
    }
    sqlx::raw_sql(
        "PRAGMA foreign_keys = OFF;
         INSERT INTO site VALUES (1, 'Shop', '{}', 1);
         INSERT INTO authority (id, certificate, permitted, constrained, created_at) VALUES (1, x'01', '[]', 1, 1);
         INSERT INTO certificate (serial, authority_id, device_id, profile, names, not_before, not_after, intended_at,
                                  issued_at, sha256, der)
         VALUES ('aa', 1, 2, 'device', '[]', 1, 2, 1, 1, 'f00d', x'03'), ('bb', 1, 1, 'device', '[]', 1, 2, 1, 1, 'beef', x'04');
         INSERT INTO device (id, host, port, https_port, name, driver, first_verdict, verdict, serial, key_transport, verified_at)
         VALUES (1, 'IP:10.0.0.1', 80, NULL, '10.0.0.1', 'reolink', 'not-secure', 'not-secure', NULL, NULL, 9),
                (2, 'IP:10.0.0.1', 443, 443, 'Gate', 'reolink', 'not-secure', 'secure', 'aa', 'pinned-tls', 5),
                (3, 'IP:10.0.0.2', 8001, 8441, 'One', 'axis', 'not-secure', 'secure', NULL, 'none', 1),
                (4, 'IP:10.0.0.2', 8441, NULL, 'One again', 'axis', 'not-secure', 'not-secure', NULL, NULL, NULL),
                (5, 'IP:10.0.0.2', 8002, 8442, 'Two', 'axis', 'not-secure', 'secure', NULL, 'none', 1),
                (6, 'DNS:gate.lan', 80, 443, 'Gate by name', 'reolink', 'not-secure', 'secure', NULL, NULL, 1);
         INSERT INTO enrolment (id, device_id, state, before, serial, started_at)
         VALUES ('camlock-1', 1, 'failed', '{}', 'bb', 3), ('camlock-2', 2, 'done', '{}', 'aa', 4);
         PRAGMA user_version = 3;",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;

    let store = Store::open(directory.path()).await.unwrap();
    let mut devices = store.devices(None).await.unwrap();
    devices.sort_by_key(|device| device.id);
    let places: Vec<_> = devices
        .iter()
        .map(|d| (d.id, d.host.plain(), d.port, d.https_port, d.accepted, d.others.len()))
        .collect();
    assert_eq!(
        places,
        [
            (2, "10.0.0.1".into(), 80, Some(443), true, 0),
            (3, "10.0.0.2".into(), 8001, Some(8441), false, 0),
            (5, "10.0.0.2".into(), 8002, Some(8442), false, 0),
            (6, "gate.lan".into(), 80, Some(443), false, 0),
        ]
    );
    for port in [80, 443] {
        let device = store.device_at(&"10.0.0.1".parse().unwrap(), port).await.unwrap().unwrap();
        assert_eq!((device.id, device.serial.as_deref(), device.verdict), (2, Some("aa"), Verdict::Secure));
    }
    let certificates = store.device_certificates(2).await.unwrap();
    assert_eq!(certificates.len(), 2, "those of both rows");
    assert_eq!(store.unfinished_enrolments(2).await.unwrap().len(), 1);
    let joined = store.joined_devices().await.unwrap();
    let joined: Vec<_> = joined.iter().map(|j| (j.device.as_str(), j.host.plain(), j.port)).collect();
    assert_eq!(joined, [("Gate", "10.0.0.1".into(), 80), ("One", "10.0.0.2".into(), 8441)]);
}

/// Addresses come and go; the device is the row.
#[tokio::test]
async fn a_device_moves_with_its_row() {
    let (_directory, store) = ledger().await;
    let host = |text: &str| text.parse::<AltName>().unwrap();
    let (one, two, name) = (host("10.0.0.1"), host("10.0.0.2"), host("gate.lan"));
    let met = async |host: &AltName, accepted: bool| {
        let new = NewDevice {
            id: None,
            host,
            port: 80,
            name: &host.plain(),
            model: None,
            told: None,
            mac: None,
            driver: "axis",
            makes_key: true,
            https_port: Some(443),
            accepted,
            first_verdict: Verdict::NotSecure,
            first_finding: None,
        };
        store.save_device(&new).await.unwrap()
    };
    let at = async |host: &AltName| store.device_at(host, 443).await.unwrap().map(|device| device.id);
    let (first, second) = (met(&one, true).await, met(&two, true).await);
    store.move_device(first, &name, 80, Some(443), &[]).await.unwrap();
    assert_eq!((at(&one).await, at(&name).await), (Some(first), Some(first)));

    // The first one is where the second one was; the name still leads to it.
    let left =
        store.device(first).await.unwrap().unwrap().places().filter(|p| p.host == one).collect::<Vec<_>>();
    store.move_device(first, &two, 80, Some(443), &left).await.unwrap();
    assert_eq!((at(&one).await, at(&two).await, at(&name).await), (None, Some(first), Some(first)));
    let moved = store.device(first).await.unwrap().unwrap();
    assert_eq!((moved.host.clone(), &*moved.name, moved.places().count()), (two.clone(), "10.0.0.2", 2));
    let gone = store.device(second).await.unwrap().unwrap();
    assert!(gone.left_at.is_some() && gone.host == two && gone.verdict == Verdict::Unreachable, "{gone:?}");
    store.move_device(second, &one, 80, Some(443), &[]).await.unwrap();
    assert_eq!(at(&one).await, Some(second));

    // What was only noted, and is another device by now, was nobody.
    let noted = met(&host("10.0.0.3"), false).await;
    store.move_device(second, &host("10.0.0.3"), 443, Some(443), &[]).await.unwrap();
    assert!(store.device(noted).await.unwrap().is_none());
    store.forget_device(second).await.unwrap();
    assert_eq!(store.devices(None).await.unwrap().len(), 1);
}
