use authority::{Ailment, examine};
use domain::{Severity, Verdict};
use serde::Serialize;
use store::{BackupRow, Store};
use time::{Date, OffsetDateTime};

use crate::{
    Error,
    in_use::{InUse, in_use, standing},
};

/// How a site stands, by what the ledger knows; no device is asked.
#[derive(Debug)]
pub struct Status {
    /// The site's name.
    pub site: String,
    /// How its devices stand.
    pub devices: Devices,
    /// The last backup.
    pub backup: Option<BackupRow>,
    /// A service runs on the data directory.
    pub is_served: bool,
    /// What somebody should see to, the weightiest first; without what is only good to know.
    pub troubles: Vec<Trouble>,
}

/// The devices of a site, counted.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Devices {
    /// All that the operator accepted.
    pub count: usize,
    /// Of those, what a browser would show no warning of.
    pub secure: usize,
    /// Of those, what needs another certificate now or soon.
    pub due: usize,
    /// Met by a search, and never accepted.
    pub strange: usize,
    /// When the one was looked at whose last look is the longest ago.
    pub seen: Option<Date>,
}

/// What is wrong with an authority or with something in use.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Trouble {
    /// With the authority.
    Ailment(Ailment),
    /// With a device, or with what was carried by hand.
    InUse(InUse),
}

impl Trouble {
    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        match self {
            Trouble::Ailment(ailment) => ailment.severity(),
            Trouble::InUse(in_use) => in_use.severity(),
        }
    }
}

/// How the site of this ledger stands.
///
/// # Errors
///
/// The ledger cannot be read.
pub async fn status(store: &Store, now: OffsetDateTime) -> Result<Status, Error> {
    let (mut devices, in_use) = (Devices::default(), in_use(store, now).await?);
    for device in store.devices(None).await? {
        if !device.accepted && device.serial.is_none() {
            devices.strange += 1;
            continue;
        }
        devices.count += 1;
        devices.secure += usize::from(standing(&device, now).0 == Verdict::Secure);
        let seen = device.verified_at.map(OffsetDateTime::date);
        devices.seen = devices.seen.into_iter().chain(seen).min();
    }
    devices.due = in_use.iter().filter(|trouble| trouble.wants_certificate()).count();
    let ailments = examine(store, now).await?.into_iter().map(Trouble::Ailment);
    let mut troubles: Vec<Trouble> = ailments.chain(in_use.into_iter().map(Trouble::InUse)).collect();
    troubles.retain(|trouble| trouble.severity() != Severity::Info);
    troubles.sort_by_key(Trouble::severity);
    Ok(Status {
        site: store.site().await?.name,
        devices,
        backup: store.last_backup().await?,
        is_served: store.is_served(),
        troubles,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use authority::{Authority, Founding, New, PAGE_NAME, Wish};
    use domain::{AltName, Clock};
    use pki::{KeyKind, Permitted, PrivateKey, Profile};
    use store::NewDevice;
    use time::Duration;

    use super::*;
    use crate::{DataDir, Site, Wanted};

    const YEAR: i64 = 365;

    /// What a person does in this site's life, by days since it was founded. Between them the service does nothing.
    const SECURED: [i64; 4] = [0, 360, 720, 1080];
    const ISSUED: [i64; 2] = [0, 690];
    const BACKED_UP_UNTIL: i64 = 1820;
    const ROLLED_OVER: i64 = 2920;
    const CONFIRMED: i64 = 3290;
    const END: i64 = 11 * YEAR;

    struct Life {
        site: Site,
        clock: Clock,
        camera: i64,
        begin: OffsetDateTime,
        folder: tempfile::TempDir,
    }

    impl Life {
        async fn begin() -> Life {
            let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::system());
            let store = Store::create(folder.path()).await.unwrap().with_clock(clock.clone());
            let founding = Founding {
                site: "Shop".into(),
                key: KeyKind::P256,
                permitted: Permitted::local(None),
                constrained: true,
                two_tier: false,
            };
            let begin = clock.now();
            let new = New::make(founding, "words", begin).await.unwrap();
            let (authority, _) = new.found(&store).await.unwrap();
            let host = "192.168.1.64".parse::<AltName>().unwrap();
            let device = NewDevice {
                id: None,
                host: &host,
                port: 80,
                name: "Gate",
                model: None,
                told: None,
                mac: None,
                driver: "onvif-device",
                makes_key: false,
                https_port: Some(443),
                accepted: true,
                first_verdict: Verdict::NotSecure,
                first_finding: None,
            };
            let camera = store.save_device(&device).await.unwrap();
            let site = Site::of(DataDir::new(folder.path()), store, Some(authority));
            Life { site, clock, camera, begin, folder }
        }

        fn day(&self) -> i64 {
            (self.clock.now() - self.begin).whole_days()
        }

        /// As an enrolment leaves it.
        async fn secure(&self) {
            let key = PrivateKey::generate(KeyKind::P256).unwrap().public_key().unwrap();
            let names = ["192.168.1.64".parse::<AltName>().unwrap(), "gate.home.arpa".parse().unwrap()];
            let order = authority::Order {
                profile: Profile::Device,
                key: &key,
                common_name: None,
                names: &names,
                days: authority::Days::AtMost(authority::MANAGED_DAYS),
                clock_behind: Duration::ZERO,
                device_id: Some(self.camera),
            };
            let issued = self.site.authority().unwrap().issue(&order, self.clock.now()).await.unwrap();
            let serial = issued.certificate.serial();
            let store = self.site.store();
            store.record_verdict(self.camera, Verdict::Secure, None, Some(&serial), None).await.unwrap();
        }

        async fn issue(&self, name: &str) {
            let wish = Wish { names: vec!["nas.lan".parse().unwrap()], common_name: Some(name.to_owned()) };
            let wanted = Wanted::new(None, &wish, Profile::Server, None).unwrap();
            self.site.issue(KeyKind::P256, wanted).await.unwrap();
        }

        async fn back_up(&self) {
            let file = self.folder.path().join(format!("{}.tar.age", self.day()));
            self.site.back_up(&file).await.unwrap();
        }

        async fn codes(&self) -> (Status, BTreeSet<String>) {
            let status = status(self.site.store(), self.clock.now()).await.unwrap();
            let code = |trouble| serde_json::to_value(trouble).unwrap()["code"].as_str().unwrap().to_owned();
            let codes = status.troubles.iter().map(code).collect();
            (status, codes)
        }
    }

    /// What is true on this day, from the dates alone.
    fn expected(day: i64) -> BTreeSet<&'static str> {
        let last = |days: &[i64]| *days.iter().filter(|done| **done <= day).max().unwrap();
        let mut expected = BTreeSet::new();
        let mut add = |is_true: bool, code| {
            if is_true {
                expected.insert(code);
            }
        };
        // Certificates begin a day earlier than they are made.
        let camera_ends = last(&SECURED) + 396;
        add(day >= camera_ends, "device-ended");
        add((camera_ends - 30..camera_ends).contains(&day), "device-due");
        let nas_ends = last(&ISSUED) + 729;
        add(day >= nas_ends, "certificate-ended");
        add((nas_ends - 30..nas_ends).contains(&day), "certificate-due");
        // The root begins a month earlier than it is made.
        let root_ends = 3652 - 31;
        let is_first = day < CONFIRMED;
        add(is_first && day >= root_ends - 4 * YEAR && day < ROLLED_OVER, "rollover-due");
        add(is_first && (ROLLED_OVER..root_ends).contains(&day), "next-root-due");
        let backed_up = day.min(BACKED_UP_UNTIL) / 10 * 10;
        add(day - backed_up > 31 && is_first, "backup-old");
        add(!is_first, "backup-of-other-root");
        // Without a service and with nobody at work, the ledger sees nothing happen.
        expected
    }

    #[tokio::test]
    async fn eleven_years_are_told_as_they_are() {
        let life = Life::begin().await;
        let mut seen = BTreeSet::new();
        for day in (0..END).step_by(10) {
            life.clock.advance(life.begin + Duration::days(day) + Duration::HOUR - life.clock.now());
            if SECURED.contains(&day) {
                life.secure().await;
            }
            if ISSUED.contains(&day) {
                life.issue("NAS").await;
            }
            if day <= BACKED_UP_UNTIL {
                life.back_up().await;
            }
            if day == ROLLED_OVER {
                let site = &life.site;
                let next = site.make_next(site.successor().await.unwrap()).await.unwrap();
                next.store(site.store()).await.unwrap();
            }
            if day == CONFIRMED {
                Authority::confirm_next(life.site.store()).await.unwrap();
            }
            let (status, mut codes) = life.codes().await;
            codes.remove("this-clock-ahead");
            let expected: BTreeSet<String> = expected(day).into_iter().map(str::to_owned).collect();
            assert_eq!(codes, expected, "day {day}");
            let is_secure = !codes.contains("device-ended");
            assert_eq!(status.devices.secure, usize::from(is_secure), "day {day}");
            let device = life.site.store().device(life.camera).await.unwrap().unwrap();
            let (verdict, why) = standing(&device, life.clock.now());
            assert_eq!((verdict == Verdict::Secure, why.is_none()), (is_secure, is_secure), "day {day}");
            seen.extend(codes);
        }
        assert_eq!(seen.len(), 8, "{seen:?}");
    }

    /// What somebody revokes, takes out of the list or makes again is no trouble any more, and a device that goes on with
    /// what was revoked is one.
    #[tokio::test]
    async fn what_is_out_of_use_is_not_asked_for() {
        let life = Life::begin().await;
        life.secure().await;
        life.issue("NAS").await;
        life.issue(PAGE_NAME).await;
        life.back_up().await;
        assert!(life.codes().await.1.is_empty());
        let device = || async { life.site.store().device(life.camera).await.unwrap().unwrap() };
        let revocable = life.site.revocable("Gate").await.unwrap();
        life.site.revoke(&revocable, domain::RevocationReason::Unspecified).await.unwrap();
        assert!(life.codes().await.1.contains("device-revoked"));
        assert_eq!(standing(&device().await, life.clock.now()).0, Verdict::NotSecure);
        life.secure().await;
        assert!(life.codes().await.1.is_empty());
        life.site.store().record_looks(&[(life.camera, Verdict::Unreachable)]).await.unwrap();
        assert!(life.codes().await.1.contains("device-unreachable"));
        let since = device().await.verdict_since;
        life.clock.advance(Duration::DAY);
        life.site.store().record_looks(&[(life.camera, Verdict::Unreachable)]).await.unwrap();
        assert_eq!(device().await.verdict_since, since);
        assert!(device().await.verified_at > since);

        life.site.forget_device(&device().await).await.unwrap();
        life.clock.advance(Duration::days(800));
        assert!(life.codes().await.1.contains("certificate-ended"));
        let all = life.site.store().certificates(None, None).await.unwrap();
        let nas = all.iter().find(|row| row.name.as_deref() == Some("NAS")).unwrap();
        let nas = life.site.revocable(&nas.serial).await.unwrap();
        life.site.revoke(&nas, domain::RevocationReason::CessationOfOperation).await.unwrap();
        let codes = life.codes().await.1;
        assert!(
            !codes.iter().any(|code| code.starts_with("certificate") || code.starts_with("device")),
            "{codes:?}"
        );
    }

    /// Advice is copied into a shell, and a name may come from somebody's request.
    #[tokio::test]
    async fn a_name_in_advice_is_no_command() {
        let life = Life::begin().await;
        life.issue("NAS'; $(reboot) `x` \"").await;
        life.clock.advance(Duration::days(800));
        let troubles = life.codes().await.0.troubles;
        let said = serde_json::to_value(&troubles).unwrap();
        let ended = said.as_array().unwrap().iter().find(|one| one["code"] == "certificate-ended").unwrap();
        let options = ended["options"].as_str().unwrap();
        let printed =
            std::process::Command::new("sh").args(["-c", &format!("printf '%s\\n' {options}")]).output();
        let printed = String::from_utf8(printed.unwrap().stdout).unwrap();
        let words: Vec<&str> = printed.lines().collect();
        assert_eq!(words, ["--name", "NAS'; $(reboot) `x` \"", "--dns", "nas.lan"]);
    }

    #[tokio::test]
    async fn a_certificate_is_named_by_its_beginning_or_by_its_number_if_it_was_lost() {
        let life = Life::begin().await;
        life.issue("NAS").await;
        let serial = life.site.store().certificates(None, None).await.unwrap()[0].serial.clone();
        let found = life.site.revocable(&format!("{}...", &serial[..8].to_uppercase())).await.unwrap();
        assert_eq!((found.serial.as_str(), found.by), (serial.as_str(), crate::By::Beginning));
        for unknown in ["5f3", "5f3a", "nobody", ""] {
            assert!(life.site.revocable(unknown).await.is_err(), "{unknown:?}");
        }
        let lost = "4".repeat(serial.len());
        let found = life.site.revocable(&lost).await.unwrap();
        assert!(found.by == crate::By::Lost && found.row.is_none());
        let reason = domain::RevocationReason::KeyCompromise;
        assert!(life.site.revoke(&found, reason).await.unwrap().is_new);
        let listed = life.site.store().revocations(1).await.unwrap();
        assert_eq!(listed.iter().map(|one| one.serial.as_str()).collect::<Vec<_>>(), [lost.as_str()]);
        let again = life.site.revocable(&lost).await.unwrap();
        assert!(!life.site.revoke(&again, reason).await.unwrap().is_new);
        let (_, flaws) = authority::check(life.site.store(), life.clock.now()).await.unwrap();
        assert!(flaws.is_empty(), "{flaws:?}");
    }
}
