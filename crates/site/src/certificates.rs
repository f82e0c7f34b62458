use authority::{BY_HAND_DAYS, Change, Days, Effective, Issued, Order, Wish, effective};
use domain::RevocationReason;
use pki::{Certificate, KeyKind, PrivateKey, Profile, PublicKey, Request};
use time::{Duration, OffsetDateTime};

use crate::{Error, Site};

/// A certificate that somebody will carry to its device.
#[derive(Clone, Debug)]
pub struct Wanted {
    effective: Effective,
    profile: Profile,
    days: Days,
}

/// A certificate, and what is different from what was asked for.
#[derive(Debug)]
pub struct Certified {
    /// With the issuers below the root.
    pub issued: Issued,
    /// The root above them.
    pub root: Certificate,
    /// What the operator asked for and did not get.
    pub changes: Vec<Change>,
}

/// A certificate that is revoked.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// Lower-case hexadecimal.
    pub serial: String,
    /// When it was; `None` if the ledger does not say.
    pub at: Option<OffsetDateTime>,
    /// It was not before.
    pub is_new: bool,
    /// Where the list of revoked certificates is published, if it is.
    pub published: Option<String>,
}

impl Wanted {
    /// What is wished, and what a request asks for; without a number of days, as long as certificates carried by hand last.
    ///
    /// # Errors
    ///
    /// There is no name to issue for.
    pub fn new(
        request: Option<&Request>,
        wish: &Wish,
        profile: Profile,
        days: Option<i64>,
    ) -> Result<Wanted, Error> {
        let days = days.map_or(Days::AtMost(BY_HAND_DAYS), Days::Exactly);
        Ok(Wanted { effective: effective(request, wish)?, profile, days })
    }
}

impl Site {
    /// Issues a certificate for somebody's key.
    ///
    /// # Errors
    ///
    /// The authority is locked or refuses it.
    pub async fn sign(&self, key: &PublicKey, wanted: Wanted) -> Result<Certified, Error> {
        let authority = self.authority()?;
        let effective = wanted.effective.within(&authority.public().permitted);
        let order = Order {
            profile: wanted.profile,
            key,
            common_name: effective.common_name.as_deref(),
            names: &effective.names,
            days: wanted.days,
            clock_behind: Duration::ZERO,
            device_id: None,
        };
        let issued = authority.issue(&order, self.now()).await?;
        Ok(Certified { issued, root: authority.public().root.clone(), changes: effective.changes })
    }

    /// Makes a key of this kind, and issues a certificate for it.
    ///
    /// # Errors
    ///
    /// The authority is locked or refuses it.
    pub async fn issue(&self, kind: KeyKind, wanted: Wanted) -> Result<(PrivateKey, Certified), Error> {
        let key = PrivateKey::generate(kind)?;
        let certified = self.sign(&key.public_key()?, wanted).await?;
        Ok((key, certified))
    }

    /// Revokes the certificate of this serial number, as people copy it: in capitals, with colons or spaces.
    ///
    /// # Errors
    ///
    /// There is no such certificate, or the authority is locked.
    pub async fn revoke(&self, serial: &str, reason: RevocationReason) -> Result<Revoked, Error> {
        let serial = serial.replace([':', ' '], "").to_ascii_lowercase();
        let is_new = self.authority()?.revoke(&serial, reason, self.now()).await?;
        let published = self.files().policy().ok().and_then(|policy| policy.crl_url);
        let at = self.store().certificate(&serial).await?.and_then(|row| row.revoked_at);
        Ok(Revoked { serial, at, is_new, published })
    }
}
