//! The certificates of a camera that has only the device service: each with its private key, one of them enabled.

use crate::keys::Pair;
use crate::state::CertificateSummary;
#[cfg(feature = "makers")]
use crate::state::KeySummary;
use crate::state::State;
use crate::store::Store;
use crate::{random, x509};

/// Most certificates kept.
const CERTIFICATES: usize = 6;

/// Why something was refused. `device_service` gives each its ONVIF code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    BadCertificate,
    BadKey,
    Full,
    IdTaken,
    InUse,
    KeysNotMatching,
    TwoEnabled,
    Unknown,
}

/// One certificate.
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) der: Vec<u8>,
    pub(crate) enabled: bool,
    pair: Pair,
}

/// All of them.
#[derive(Default)]
pub(crate) struct DeviceCertificates {
    pub(crate) entries: Vec<Entry>,
    /// Keys that a camera made itself and whose certificates are still to come, with their requests.
    #[cfg(feature = "makers")]
    pub(crate) pending: std::collections::BTreeMap<String, (Pair, Vec<u8>)>,
}

impl DeviceCertificates {
    /// Stores a certificate and its private key, not yet enabled (LoadCertificateWithPrivateKey).
    pub(crate) fn load(&mut self, id: Option<String>, der: Vec<u8>, key: &[u8]) -> Result<(), Refusal> {
        let public = x509::read(&der).ok_or(Refusal::BadCertificate)?.public_key;
        let pair = Pair::from_der(key).ok_or(Refusal::BadKey)?;
        if pair.public != public {
            return Err(Refusal::KeysNotMatching);
        }
        let id = id.unwrap_or_else(|| format!("cert-{}", random::hex_token::<4>()));
        if self.get(&id).is_ok() {
            return Err(Refusal::IdTaken);
        }
        if self.entries.len() >= CERTIFICATES {
            return Err(Refusal::Full);
        }
        self.entries.push(Entry { id, der, enabled: false, pair });
        Ok(())
    }

    /// Enables and disables (SetCertificatesStatus). Enabling one disables the others, since "typically only one"
    /// can be; a request that enables two is refused, and so is one that leaves HTTPS without any.
    pub(crate) fn set_status(&mut self, wanted: &[(String, bool)], https_on: bool) -> Result<(), Refusal> {
        for (id, _) in wanted {
            self.get(id)?;
        }
        let mut enabled = wanted.iter().filter(|(_, status)| *status).map(|(id, _)| id);
        let chosen = enabled.next();
        if enabled.any(|other| Some(other) != chosen) {
            return Err(Refusal::TwoEnabled);
        }
        let disabled = |id: &str| wanted.iter().any(|(other, status)| other == id && !status);
        let after = |entry: &Entry| match chosen {
            Some(chosen) => entry.id == *chosen,
            None => entry.enabled && !disabled(&entry.id),
        };
        if https_on && !self.entries.iter().any(after) {
            return Err(Refusal::InUse);
        }
        for entry in &mut self.entries {
            entry.enabled = after(entry);
        }
        Ok(())
    }

    /// Deletes, all or nothing; an enabled one is not deleted (DeleteCertificates).
    pub(crate) fn delete(&mut self, ids: &[String]) -> Result<(), Refusal> {
        for id in ids {
            if self.get(id)?.enabled {
                return Err(Refusal::InUse);
            }
        }
        self.entries.retain(|entry| !ids.contains(&entry.id));
        Ok(())
    }

    /// The certificate of this id.
    pub(crate) fn get(&self, id: &str) -> Result<&Entry, Refusal> {
        self.entries.iter().find(|entry| entry.id == id).ok_or(Refusal::Unknown)
    }

    /// Ids of what is enabled.
    pub(crate) fn enabled(&self) -> Vec<String> {
        self.entries.iter().filter(|entry| entry.enabled).map(|entry| entry.id.clone()).collect()
    }
}

impl Store for DeviceCertificates {
    /// The enabled leaf, never a chain.
    fn identity(&self) -> Option<(Vec<Vec<u8>>, &Pair)> {
        self.entries.iter().find(|entry| entry.enabled).map(|entry| (vec![entry.der.clone()], &entry.pair))
    }

    fn picture(&self) -> State {
        let summary = |entry: &Entry| CertificateSummary { id: entry.id.clone(), der: entry.der.clone() };
        State {
            #[cfg(feature = "makers")]
            keys: self
                .pending
                .keys()
                .map(|id| KeySummary { id: id.clone(), status: "ok", has_private_key: true })
                .collect(),
            certificates: self.entries.iter().map(summary).collect(),
            assigned: self.enabled(),
            ..State::default()
        }
    }

    fn install_factory(&mut self, der: Vec<u8>, pair: Pair) {
        self.entries.push(Entry { id: "factory".to_owned(), der, enabled: true, pair });
    }

    fn take(&mut self, der: Vec<u8>, pair: &Pair) -> bool {
        self.load(None, der, pair.private.secret_der()).is_ok()
    }
}
