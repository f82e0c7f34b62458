use domain::AltName;
use pki::{
    Certificate, Profile, PublicKey, Serial,
    profile::{self, MAX_LEAF_DAYS},
};
use store::{AuthorityState, Intent};
use time::{Duration, OffsetDateTime};

use crate::{Authority, Error, Policy, crl_path, recovery::unseal};

/// Validity of what Camlock installs and renews itself, days.
pub const MANAGED_DAYS: i64 = 397;
/// Validity of what people carry to the device, days: two years, so that they do it less often.
pub const BY_HAND_DAYS: i64 = 730;

/// How long a certificate is to be valid, days from first to last second.
#[derive(Clone, Copy, Debug)]
pub enum Days {
    /// As the operator asked: so long or not at all.
    Exactly(i64),
    /// As Camlock chose: shorter if the authority ends before or the policy says so.
    AtMost(i64),
}

/// A certificate to be issued: the effective names, after every merge.
#[derive(Debug)]
pub struct Order<'a> {
    /// What it is for.
    pub profile: Profile,
    /// The device's public key.
    pub key: &'a PublicKey,
    /// A name for people.
    pub common_name: Option<&'a str>,
    /// Addresses and host names.
    pub names: &'a [AltName],
    /// How long it is to be valid.
    pub days: Days,
    /// How far the device's clock is behind; the certificate is dated back so that it is valid there, too.
    pub clock_behind: Duration,
    /// The device that it is for, if Camlock installs it.
    pub device_id: Option<i64>,
}

/// A certificate that went through the door.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The leaf.
    pub certificate: Certificate,
    /// The issuers between leaf and root, none with one tier. The root itself goes to no device.
    pub issuers: Vec<Certificate>,
}

impl Authority {
    /// The one door: policy, intent, lint, signature, ledger, and only then the certificate.
    pub async fn issue(&self, order: &Order<'_>, now: OffsetDateTime) -> Result<Issued, Error> {
        let policy = self.policy()?;
        let days = self.permit(order, policy)?;
        let (not_before, not_after) = self.validity(order, days, now)?;
        let serial = Serial::random()?;
        self.store
            .intend(&Intent {
                serial: &serial.to_string(),
                authority_id: self.id,
                state: self.state,
                device_id: order.device_id,
                profile: order.profile.name(),
                name: order.common_name,
                names: order.names,
                not_before,
                not_after,
            })
            .await?;

        let crl = policy.crl_url.as_deref().map(|url| format!("{url}{}", crl_path(self.public.issuer())));
        let leaf = profile::Leaf {
            profile: order.profile,
            key: order.key,
            common_name: order.common_name,
            names: order.names,
            not_before,
            not_after,
            crl: crl.as_deref(),
        };
        let issuer = self.public.issuer();
        let unsigned = profile::leaf(&leaf, issuer, &self.key, serial)?;
        let linted = unsigned.lint_leaf(order.profile, issuer, &self.public.permitted)?;
        let certificate = linted.sign(&self.key)?;

        let (sha256, der) = (certificate.sha256(), certificate.der());
        self.store.record_certificate(&serial.to_string(), &sha256, der).await?;
        Ok(Issued { certificate, issuers: self.public.issuers.clone() })
    }

    /// The same under the root that computers are to have first: the next one, while there is one. It is for the one
    /// certificate by which browsers prove that they trust that root; everything else waits until it is confirmed.
    pub async fn issue_proof(&self, order: &Order<'_>, now: OffsetDateTime) -> Result<Issued, Error> {
        let site = self.store.site().await?;
        let Some(row) = site.authorities.iter().find(|a| a.state == AuthorityState::Next) else {
            return self.issue(order, now).await;
        };
        let next = Authority {
            public: self.public.clone().moved_to(&site, row)?,
            key: unseal(&self.vault, row)?,
            id: row.id,
            state: row.state,
            policy: self.policy.clone(),
            vault: self.vault.clone(),
            store: self.store.clone(),
        };
        next.issue(order, now).await
    }

    /// The authority's own limits, then the operator's; how many days it may be valid.
    fn permit(&self, order: &Order<'_>, policy: &Policy) -> Result<i64, Error> {
        self.may_speak_for(order.names)?;
        let (Days::Exactly(days) | Days::AtMost(days)) = order.days;
        if !(1..=MAX_LEAF_DAYS).contains(&days) {
            return Err(Error::Days { days, limit: MAX_LEAF_DAYS });
        }
        let days = match order.days {
            Days::Exactly(days) => days,
            Days::AtMost(days) => days.min(policy.max_days(order.profile)),
        };
        policy.permits(order.profile, order.names, order.key, days)?;
        Ok(days)
    }

    /// Whether a certificate for these names may be issued, by the authority's own limits and by the policy: asked before
    /// anything is changed on a device. The door asks again.
    pub fn may_issue(&self, profile: Profile, names: &[AltName]) -> Result<(), Error> {
        self.may_speak_for(names)?;
        self.policy()?.permits_names(profile, names)
    }

    /// Whether the authority may speak for all of these names.
    fn may_speak_for(&self, names: &[AltName]) -> Result<(), Error> {
        if names.is_empty() {
            return Err(Error::NoNames);
        }
        let permitted = &self.public.permitted;
        let outside: Vec<String> =
            names.iter().filter(|n| !permitted.allows(n)).map(AltName::to_string).collect();
        if outside.is_empty() {
            return Ok(());
        }
        Err(Error::NamesOutside { names: outside, permitted: permitted.entries() })
    }

    /// A day back, for clocks that differ a little; further, up to 30 days, for a device whose clock is behind;
    /// and never so far that a short validity is over at once.
    fn validity(
        &self,
        order: &Order<'_>,
        days: i64,
        now: OffsetDateTime,
    ) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
        let (issuer, root) = (self.public.issuer(), &self.public.root);
        // An issuer made elsewhere may outlive its root.
        let ends = issuer.not_after().min(root.not_after());
        let issuer_ends = ends.date();
        if ends - now < Duration::DAY {
            return Err(Error::IssuerEnds { issuer_ends });
        }
        let length = Duration::days(days);
        let behind = order.clock_behind.clamp(Duration::ZERO, Duration::days(29));
        let back = (Duration::DAY + behind).min(length / 10);
        // Whole seconds, as in the certificate.
        let now = now.replace_nanosecond(0).unwrap_or(now);
        let not_before = (now - back).max(issuer.not_before()).max(root.not_before());
        let mut not_after = not_before + length - Duration::SECOND;
        if let Days::AtMost(_) = order.days {
            not_after = not_after.min(ends);
        }
        if not_after > ends {
            return Err(Error::OutlivesIssuer { issuer_ends });
        }
        Ok((not_before, not_after))
    }
}
