//! What the operator allows beyond what the root may speak for: `policy.toml` in the data directory. What may
//! stand in it is in docs/policy.md; reading it is in `policy_file`.

use std::path::PathBuf;

use domain::AltName;
use pki::{KeyKind, Permitted, Profile, PublicKey, profile::MAX_LEAF_DAYS};

use crate::Error;

/// What may be issued, and what belongs to the authority's running. Without a file it is [`Policy::default`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    pub(crate) names: Names,
    pub(crate) device: Rules,
    pub(crate) device_dual: Rules,
    pub(crate) server: Rules,
    /// The http address at which the lists of revoked certificates are published, without a slash at its end;
    /// certificates name it only if it is given.
    pub crl_url: Option<String>,
    /// The backups that `serve` makes, if any.
    pub backup: Option<BackupPlan>,
}

/// Backups made without being asked each time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BackupPlan {
    /// Where they go, absolute.
    pub folder: PathBuf,
    /// Days from one to the next.
    pub days: u32,
    /// How many are kept.
    pub keep: u32,
}

/// Two lists of names. Each entry is a [`Permitted`] of one range or domain, so that a refusal can name it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Names {
    /// If given, nothing else.
    pub(crate) permit: Option<Vec<Permitted>>,
    pub(crate) deny: Vec<Permitted>,
}

/// The rules of one profile; its names narrow what the whole policy allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rules {
    pub(crate) days: i64,
    pub(crate) keys: Vec<KeyKind>,
    pub(crate) names: Names,
}

/// Every kind of key that a certificate may hold.
pub(crate) const KEYS: [KeyKind; 5] =
    [KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096, KeyKind::P256, KeyKind::P384];

impl Default for Rules {
    fn default() -> Rules {
        Rules { days: MAX_LEAF_DAYS, keys: KEYS.to_vec(), names: Names::default() }
    }
}

impl Policy {
    /// Whether a certificate with these effective names may be issued, for this key and so many days. What the
    /// root itself may speak for is asked elsewhere, and always. A denied name is denied whatever permits it.
    pub fn permits(
        &self,
        profile: Profile,
        names: &[AltName],
        key: &PublicKey,
        days: i64,
    ) -> Result<(), Error> {
        self.permits_names(profile, names)?;
        let rules = self.rules(profile);
        let profile = profile.name().to_owned();
        if !rules.takes(key) {
            let allowed = rules.keys.iter().map(KeyKind::to_string).collect();
            return Err(Error::PolicyKey { profile, key: key.name().to_owned(), allowed });
        }
        if days > rules.days {
            return Err(Error::PolicyDays { profile, days, limit: rules.days });
        }
        Ok(())
    }

    /// Whether a certificate of this profile may hold these names.
    pub fn permits_names(&self, profile: Profile, names: &[AltName]) -> Result<(), Error> {
        let tables = [
            ("[names]".to_owned(), &self.names),
            (format!("[profile.{}]", profile.name()), &self.rules(profile).names),
        ];
        denied(&tables, names)?;
        permitted(&tables, names)
    }

    /// Whether a certificate of this profile may hold a key of this kind.
    pub fn takes(&self, profile: Profile, kind: KeyKind) -> bool {
        self.rules(profile).keys.contains(&kind)
    }

    /// The longest validity, days.
    pub(crate) fn max_days(&self, profile: Profile) -> i64 {
        self.rules(profile).days
    }

    fn rules(&self, profile: Profile) -> &Rules {
        match profile {
            Profile::Device => &self.device,
            Profile::DeviceDual => &self.device_dual,
            Profile::Server => &self.server,
        }
    }
}

fn denied(tables: &[(String, &Names)], names: &[AltName]) -> Result<(), Error> {
    let mut refused = Vec::new();
    for name in names {
        for (table, list) in tables {
            let by = list.deny.iter().filter(|entry| entry.allows(name));
            refused.extend(by.map(|entry| format!("{name} ({table} deny: {entry})")));
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Error::PolicyDenies { names: refused }) }
}

fn permitted(tables: &[(String, &Names)], names: &[AltName]) -> Result<(), Error> {
    let (mut refused, mut lists) = (Vec::new(), Vec::new());
    for (table, list) in tables {
        let Some(permit) = &list.permit else { continue };
        let outside: Vec<&AltName> =
            names.iter().filter(|name| !permit.iter().any(|entry| entry.allows(name))).collect();
        if !outside.is_empty() {
            let entries: Vec<String> = permit.iter().map(Permitted::to_string).collect();
            lists.push(format!("{table} permit: {}", entries.join(", ")));
        }
        refused.extend(outside.into_iter().map(|name| format!("{name} ({table} permit)")));
    }
    if refused.is_empty() { Ok(()) } else { Err(Error::PolicyPermits { names: refused, lists }) }
}

impl Rules {
    /// A listed kind, or RSA of at least the smallest listed size: a device may have made 2500 bits.
    fn takes(&self, key: &PublicKey) -> bool {
        let bits = |name: &str| name.strip_prefix("rsa-").and_then(|bits| bits.parse::<u32>().ok());
        let least = self.keys.iter().filter_map(|kind| bits(kind.name())).min();
        match (bits(key.name()), least) {
            (Some(bits), Some(least)) => bits >= least,
            _ => self.keys.iter().any(|kind| kind.name() == key.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use pki::PrivateKey;
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    fn key(kind: KeyKind) -> PublicKey {
        PrivateKey::generate(kind).unwrap().public_key().unwrap()
    }

    fn names(names: &[&str]) -> Vec<AltName> {
        names.iter().map(|n| n.parse().unwrap()).collect()
    }

    #[test]
    fn without_a_file_all_is_left_to_the_root() {
        let everything = names(&["8.8.8.8", "::1", "bank.com", "gate.lan"]);
        for leaf in [Profile::Device, Profile::DeviceDual, Profile::Server] {
            for kind in [KeyKind::Rsa2048, KeyKind::P384] {
                assert_eq!(Policy::default().permits(leaf, &everything, &key(kind), 824), Ok(()));
            }
        }
    }

    #[test]
    fn every_refused_name_is_listed_with_what_refuses_it() {
        let policy = Policy::parse(
            r#"
            [names]
            permit = ["192.168.0.0/16", "lan", "fd00::/8"]
            deny = ["192.168.7.0/24", ".Office.LAN"]
            [profile.server]
            permit = ["srv.lan", "192.168.0.0/16"]
            deny = ["192.168.7.1"]
            "#,
        )
        .unwrap();
        let p256 = key(KeyKind::P256);
        let ask = |leaf, list: &[&str]| policy.permits(leaf, &names(list), &p256, 30);

        assert_eq!(ask(Profile::Device, &["192.168.1.1", "gate.lan", "lan", "fd00::1"]), Ok(()));
        assert_eq!(ask(Profile::Server, &["192.168.1.1", "srv.lan"]), Ok(()));
        let denied =
            |list: &[&str]| Err(Error::PolicyDenies { names: list.iter().map(|n| (*n).into()).collect() });
        assert_eq!(
            ask(Profile::Device, &["192.168.7.1", "192.168.1.1", "pc.office.lan", "office.lan", "8.8.8.8"]),
            denied(&[
                "IP:192.168.7.1 ([names] deny: 192.168.7.0/24)",
                "DNS:pc.office.lan ([names] deny: office.lan)",
                "DNS:office.lan ([names] deny: office.lan)",
            ])
        );
        assert_eq!(
            ask(Profile::Server, &["192.168.7.1"]),
            denied(&[
                "IP:192.168.7.1 ([names] deny: 192.168.7.0/24)",
                "IP:192.168.7.1 ([profile.server] deny: 192.168.7.1/32)",
            ])
        );
        assert_eq!(
            ask(Profile::Server, &["gate.lan", "8.8.8.8", "srv.lan"]),
            Err(Error::PolicyPermits {
                names: ["IP:8.8.8.8 ([names] permit)", "DNS:gate.lan ([profile.server] permit)"]
                    .into_iter()
                    .chain(["IP:8.8.8.8 ([profile.server] permit)"])
                    .map(str::to_owned)
                    .collect(),
                lists: vec![
                    "[names] permit: 192.168.0.0/16, lan, fd00::/8".into(),
                    "[profile.server] permit: srv.lan, 192.168.0.0/16".into(),
                ],
            })
        );
    }

    #[test]
    fn an_empty_list_of_what_is_permitted_permits_nothing() {
        let policy = Policy::parse("[profile.server]\npermit = []").unwrap();
        let refused =
            policy.permits(Profile::Server, &names(&["a.lan"]), &key(KeyKind::P256), 1).unwrap_err();
        assert!(matches!(refused, Error::PolicyPermits { .. }), "{refused:?}");
        assert_eq!(policy.permits(Profile::Device, &names(&["a.lan"]), &key(KeyKind::P256), 1), Ok(()));
    }

    #[test]
    fn keys_and_days_are_each_profile_s_own() {
        let policy = Policy::parse(
            "[profile.device]\ndays = 90\nkeys = [\"rsa-3072\", \"p384\"]\n[profile.device-dual]\nkeys = [\"p256\"]",
        )
        .unwrap();
        let gate = names(&["gate.lan"]);
        let ask = |leaf, kind, days| policy.permits(leaf, &gate, &key(kind), days);
        for (kind, fits) in [
            (KeyKind::Rsa2048, false),
            (KeyKind::Rsa4096, true),
            (KeyKind::P256, false),
            (KeyKind::P384, true),
        ] {
            assert_eq!(ask(Profile::Device, kind, 90).is_ok(), fits, "{kind}");
        }
        assert_eq!(
            ask(Profile::DeviceDual, KeyKind::Rsa4096, 90),
            Err(Error::PolicyKey {
                profile: "device-dual".into(),
                key: "rsa-4096".into(),
                allowed: vec!["p256".into()]
            })
        );
        assert_eq!(
            ask(Profile::Device, KeyKind::P384, 91),
            Err(Error::PolicyDays { profile: "device".into(), days: 91, limit: 90 })
        );
        assert_eq!(ask(Profile::Server, KeyKind::Rsa2048, 824), Ok(()));
    }

    /// Entries, each with the names of `NAMES` that it covers.
    const ENTRIES: [(&str, &[usize]); 8] = [
        ("192.168.1.0/24", &[0]),
        ("192.168.0.0/16", &[0, 1]),
        ("192.168.2.5", &[1]),
        ("::ffff:192.168.1.0/120", &[0]),
        ("fd00::/8", &[2]),
        ("lan", &[3, 4]),
        (".GATE.lan", &[3]),
        ("an", &[]),
    ];
    const NAMES: [&str; 5] = ["192.168.1.64", "192.168.2.5", "fd00::1", "gate.lan", "yard.lan"];

    fn entries() -> impl Strategy<Value = Vec<(&'static str, &'static [usize])>> {
        subsequence(ENTRIES.to_vec(), 0..=ENTRIES.len())
    }

    proptest! {
        #[test]
        fn what_is_denied_is_denied_whatever_permits_it(
            permit in prop::option::of(entries()), deny in entries(),
            own_permit in prop::option::of(entries()), own_deny in entries(),
            name in 0..NAMES.len(),
        ) {
            let list = |word: &str, entries: &[(&str, &[usize])]| {
                format!("{word} = {:?}\n", entries.iter().map(|(text, _)| *text).collect::<Vec<_>>())
            };
            let table = |permit: &Option<Vec<_>>, deny: &[_]| {
                permit.as_ref().map(|p| list("permit", p)).unwrap_or_default() + &list("deny", deny)
            };
            let text = format!(
                "[names]\n{}[profile.device]\n{}", table(&permit, &deny), table(&own_permit, &own_deny)
            );
            let policy = Policy::parse(&text).unwrap();
            let covers = |list: &[(&str, &[usize])]| list.iter().any(|(_, names)| names.contains(&name));
            let result = policy.permits(Profile::Device, &names(&NAMES[name..=name]), &P256.with(Clone::clone), 1);
            let inside = [permit, own_permit].iter().flatten().all(|list| covers(list));
            if covers(&deny) || covers(&own_deny) {
                prop_assert!(matches!(result, Err(Error::PolicyDenies { .. })), "{text}{result:?}");
            } else if inside {
                prop_assert_eq!(result, Ok(()));
            } else {
                prop_assert!(matches!(result, Err(Error::PolicyPermits { .. })), "{text}{result:?}");
            }
        }
    }

    thread_local! {
        static P256: PublicKey = key(KeyKind::P256);
    }
}
