//! Snapshots of the ledger, the record of backups, and the change of secrets.

use std::{path::Path, time::Duration};

use store::{AuthorityState, BackupRow, Error, Intent, Key, NewAuthority, NewSite, Store};
use time::OffsetDateTime;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

const ACTIVE: NewAuthority<'static> = NewAuthority {
    certificate: b"root",
    key: None,
    permitted: "[]",
    constrained: true,
    state: AuthorityState::Active,
};

fn key(for_recovery: &str) -> Key {
    Key { sealed: b"sealed".into(), for_recovery: for_recovery.into(), vouched: for_recovery.into() }
}

async fn founded(directory: &Path) -> Store {
    let store = Store::create(directory).await.unwrap();
    let active = NewAuthority { key: Some(&key("first")), ..ACTIVE };
    store.found_site(&NewSite { name: "Shop", vault: "first", authority: &[active] }).await.unwrap();
    store
}

async fn write(store: &Store, number: usize) {
    let names = ["10.0.0.1".parse().unwrap()];
    let intent = Intent {
        serial: &format!("{number:04x}"),
        authority_id: 1,
        state: AuthorityState::Active,
        device_id: None,
        profile: "device",
        name: None,
        names: &names,
        not_before: now(),
        not_after: now(),
    };
    store.intend(&intent).await.unwrap();
    store.record_certificate(intent.serial, intent.serial, &[0; 900]).await.unwrap();
}

/// Each snapshot holds what was written up to one moment, and nothing of what came later.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_of_one_moment_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = founded(&data).await;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0.. {
                write(&store, number).await;
            }
        }
    });
    let mut before = 0;
    for round in 0..5 {
        while store.certificates(None, None).await.unwrap().len() < before + 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let snapshot = store.snapshot().await.unwrap().unwrap();
        assert!(store.snapshot().await.unwrap().is_none(), "one at a time");
        let copy = folder.path().join(format!("{round}"));
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(snapshot.path(), copy.join("camlock.db")).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(snapshot.path()).unwrap().permissions().mode() & 0o777, 0o600);
        }
        drop(snapshot);
        assert!(!data.join("snapshot.db").exists());

        let copy = Store::open(&copy).await.unwrap();
        copy.check_integrity().await.unwrap();
        assert_eq!(copy.site().await.unwrap().vault, "first");
        let certificates = copy.certificates(None, None).await.unwrap();
        let mut serials: Vec<_> = certificates.iter().map(|c| c.serial.clone()).collect();
        serials.sort();
        let expected: Vec<_> = (0..serials.len()).map(|n| format!("{n:04x}")).collect();
        assert_eq!(serials, expected);
        assert!(serials.len() >= before + 20);
        before = serials.len();
        copy.close().await;
    }
    writer.abort();
    // A killed backup leaves its copy; the next one is not kept from its work.
    std::fs::write(data.join("snapshot.db"), "left").unwrap();
    assert!(store.snapshot().await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_ledger_is_known_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    for number in 0..200 {
        write(&store, number).await;
    }
    store.check_integrity().await.unwrap();
    store.close().await;
    let file = folder.path().join("camlock.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x5a);
    std::fs::write(&file, bytes).unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    assert!(store.check_integrity().await.is_err());
}

#[tokio::test]
async fn the_last_backup_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    assert_eq!(store.last_backup().await.unwrap(), None);
    for (at, file) in [(now(), "one"), (now() + Duration::from_secs(60), "two")] {
        store
            .record_backup(&BackupRow { at, file: file.into(), root: None, recovery: None, tried: false })
            .await
            .unwrap();
        let last = store.last_backup().await.unwrap().unwrap();
        assert_eq!((last.at, last.file.as_str()), (at, file));
    }
}

#[tokio::test]
async fn of_two_changes_of_the_secrets_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let (one, two) =
        tokio::join!(store.replace_vault("first", "one", None), store.replace_vault("first", "two", None));
    let (held, other) = if one.is_ok() { ("one", two) } else { ("two", one) };
    assert_eq!(other.unwrap_err(), Error::SecretsChanged);
    assert_eq!(store.site().await.unwrap().vault, held);
    store.replace_vault(held, "three", None).await.unwrap();
}

/// With the recovery key all keys that it opens change, or nothing does.
#[tokio::test]
async fn a_new_recovery_key_takes_every_key_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let keys = async || {
        let site = store.site().await.unwrap();
        let rows = site.authorities.into_iter();
        let held = rows.filter_map(|a| {
            assert_eq!(a.for_recovery.as_ref().map(|text| text.as_bytes()), a.vouched.as_deref());
            a.for_recovery
        });
        (site.vault, held.collect::<Vec<_>>())
    };
    let escrowed = |ids: &[i64]| ids.iter().map(|id| (*id, key(&format!("second {id}")))).collect::<Vec<_>>();
    store.replace_vault("first", "second", Some(&escrowed(&[1]))).await.unwrap();
    assert_eq!(keys().await, ("second".into(), vec!["second 1".into()]));

    // A root that another command added meanwhile.
    let next = NewAuthority { key: Some(&key("first")), state: AuthorityState::Next, ..ACTIVE };
    store.add_next("second", &[next]).await.unwrap();
    for ids in [&[1][..], &[1, 3], &[]] {
        let refused = store.replace_vault("second", "third", Some(&escrowed(ids))).await;
        assert_eq!(refused, Err(Error::SecretsChanged));
        assert_eq!(keys().await, ("second".into(), vec!["second 1".into(), "first".into()]));
    }
    store.replace_vault("second", "third", Some(&escrowed(&[1, 2]))).await.unwrap();
    assert_eq!(keys().await.1, ["second 1", "second 2"]);
}
