use authority::{BY_HAND_DAYS, Change, Days, Effective, Issued, Order, Wish, effective};
use domain::RevocationReason;
use pki::{Certificate, KeyKind, PrivateKey, Profile, PublicKey, Request};
use store::CertificateRow;
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

/// Hexadecimal digits by which a certificate may be named, at least.
const PREFIX: usize = 4;
/// Hexadecimal digits of a serial number that Camlock gives.
const SERIAL: std::ops::RangeInclusive<usize> = 30..=40;

/// What can be revoked.
#[derive(Clone, Debug)]
pub struct Revocable {
    /// Lower-case hexadecimal.
    pub serial: String,
    /// The certificate; `None` if the ledger does not know it.
    pub row: Option<CertificateRow>,
    /// How it was named.
    pub by: By,
}

/// How somebody named a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    /// By its whole serial number.
    Serial,
    /// By the beginning of that.
    Beginning,
    /// By its device.
    Device,
    /// By a serial number that the ledger does not know.
    Lost,
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
        let (public, mut changes) = (authority.public(), effective.changes);
        let ends = public.issuer().not_after().min(public.root.not_after());
        if issued.certificate.not_after() == ends {
            changes.push(Change::CutShort { ends: ends.date() });
        }
        Ok(Certified { issued, root: public.root.clone(), changes })
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

    /// What somebody means who wants to revoke this: a serial number as people copy it (in capitals, with colons or spaces),
    /// whole or its beginning; or the name or an address of a device.
    ///
    /// # Errors
    ///
    /// There is no such certificate or device, or several begin so.
    pub async fn revocable(&self, text: &str) -> Result<Revocable, Error> {
        let unknown = || authority::Error::UnknownSerial { serial: text.to_owned() };
        let serial = text.replace([':', ' '], "").trim_end_matches('.').to_ascii_lowercase();
        let is_serial = serial.len() >= PREFIX && serial.bytes().all(|b| b.is_ascii_hexdigit());
        let row = if is_serial { self.store().certificate(&serial).await? } else { None };
        if let Some(row) = row.filter(|row| row.der.is_some() || row.revoked_at.is_some()) {
            return Ok(Revocable { serial, row: Some(row), by: By::Serial });
        }
        match self.device(text).await {
            Ok(device) => {
                let serial = device.serial.ok_or_else(unknown)?;
                let row = self.store().certificate(&serial).await?;
                return Ok(Revocable { serial, row, by: By::Device });
            }
            Err(Error::DeviceUnknown { .. }) if is_serial => {}
            Err(e) => return Err(e),
        }
        match self.store().serials(&serial).await?.as_slice() {
            [whole] => {
                let row = self.store().certificate(whole).await?;
                Ok(Revocable { serial: whole.clone(), row, by: By::Beginning })
            }
            [] if SERIAL.contains(&serial.len()) => Ok(Revocable { serial, row: None, by: By::Lost }),
            [] => Err(unknown().into()),
            _ => Err(Error::SerialAmbiguous { serial }),
        }
    }

    /// Revokes what [`Site::revocable`] found.
    ///
    /// # Errors
    ///
    /// The authority is locked.
    pub async fn revoke(&self, found: &Revocable, reason: RevocationReason) -> Result<Revoked, Error> {
        let (authority, serial) = (self.authority()?, found.serial.clone());
        let is_new = match &found.row {
            Some(row) if row.der.is_some() => authority.revoke(&serial, reason, self.now()).await?,
            Some(_) => false,
            None => authority.revoke_lost(&serial, reason, self.now()).await.map(|()| true)?,
        };
        let published = self.files().policy().ok().and_then(|policy| policy.crl_url);
        let at = self.store().certificate(&serial).await?.and_then(|row| row.revoked_at);
        Ok(Revoked { serial, at, is_new, published })
    }
}
