//! The keystore of the Security service: keys, certificates, certification paths, and what TLS is to serve.
//!
//! Its rules are those of the ONVIF Security Service Specification, "Keystore": ids never clash, a certificate is
//! linked to a key by its public key, nothing that something else refers to can be deleted.

use crate::keys::Pair;
use crate::state::{CertificateSummary, KeySummary, PathSummary, State};
use crate::store::Store;
use crate::{random, x509};

/// Most keys kept, public ones included.
pub(crate) const KEYS: usize = 8;
/// Most certificates kept.
pub(crate) const CERTIFICATES: usize = 8;
/// Most certification paths kept.
pub(crate) const PATHS: usize = 4;
/// Most paths assigned to the TLS server at once.
pub(crate) const ASSIGNMENTS: usize = 1;

/// Why the keystore refuses. Alphabetical; `security_service` gives each its ONVIF code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    BadCertificate,
    Duplicate,
    InvalidPath,
    KeyNotReady,
    NoMatchingPrivateKey,
    NoPrivateKey,
    ReferenceExists,
    TooManyAssignments,
    TooManyCertificates,
    TooManyKeys,
    TooManyPaths,
    UnknownCertificate,
    UnknownKey,
    UnknownNewPath,
    UnknownOldPath,
    UnknownPath,
}

/// Where a key is in its life (tas:KeyStatus).
#[derive(Clone, Debug)]
pub(crate) enum KeyLife {
    /// Could not be made.
    Corrupt,
    /// Not there yet.
    Generating,
    /// Private and public key.
    Pair(Pair),
    /// The public key of an uploaded certificate; in DER.
    Public(Vec<u8>),
}

/// A key in the keystore.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) alias: Option<String>,
    pub(crate) life: KeyLife,
}

impl Key {
    /// Its status as tas:KeyStatus spells it.
    pub(crate) fn status(&self) -> &'static str {
        match self.life {
            KeyLife::Corrupt => "corrupt",
            KeyLife::Generating => "generating",
            KeyLife::Pair(_) | KeyLife::Public(_) => "ok",
        }
    }

    /// Whether its private half is here.
    pub(crate) fn has_private_key(&self) -> bool {
        matches!(self.life, KeyLife::Pair(_))
    }

    fn public(&self) -> Option<&[u8]> {
        match &self.life {
            KeyLife::Pair(pair) => Some(&pair.public),
            KeyLife::Public(public) => Some(public),
            KeyLife::Corrupt | KeyLife::Generating => None,
        }
    }
}

/// A certificate in the keystore.
pub(crate) struct Certificate {
    pub(crate) id: String,
    pub(crate) alias: Option<String>,
    pub(crate) key_id: String,
    pub(crate) der: Vec<u8>,
}

/// A certification path, leaf first.
pub(crate) struct Path {
    pub(crate) id: String,
    pub(crate) alias: Option<String>,
    pub(crate) certificates: Vec<String>,
}

/// A passphrase for PKCS#12.
#[cfg(feature = "makers")]
pub(crate) struct Passphrase {
    pub(crate) id: String,
    pub(crate) alias: Option<String>,
    pub(crate) value: String,
}

/// The keystore and the TLS server's assignments.
#[derive(Default)]
pub(crate) struct Keystore {
    pub(crate) keys: Vec<Key>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) paths: Vec<Path>,
    pub(crate) assigned: Vec<String>,
    #[cfg(feature = "makers")]
    pub(crate) passphrases: Vec<Passphrase>,
}

impl Keystore {
    /// Makes room for a key that is still to be generated.
    pub(crate) fn begin_key(&mut self, alias: Option<String>) -> Result<String, Refusal> {
        self.add_key(alias, KeyLife::Generating)
    }

    /// Takes a key pair from outside.
    pub(crate) fn add_pair(&mut self, alias: Option<String>, pair: Pair) -> Result<String, Refusal> {
        self.add_key(alias, KeyLife::Pair(pair))
    }

    /// Generation is over. A key deleted meanwhile stays deleted: that is how DeleteKey aborts.
    pub(crate) fn finish_key(&mut self, id: &str, made: Option<Pair>) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.id == id) {
            key.life = made.map_or(KeyLife::Corrupt, KeyLife::Pair);
        }
    }

    /// The key of this id.
    pub(crate) fn key(&self, id: &str) -> Result<&Key, Refusal> {
        self.keys.iter().find(|key| key.id == id).ok_or(Refusal::UnknownKey)
    }

    /// A key pair ready to sign with.
    pub(crate) fn signing_pair(&self, id: &str) -> Result<&Pair, Refusal> {
        match &self.key(id)?.life {
            KeyLife::Pair(pair) => Ok(pair),
            KeyLife::Corrupt | KeyLife::Generating => Err(Refusal::KeyNotReady),
            // "or the key specified is not an asymmetric key pair": the unknown-key fault, says CreatePKCS10CSR.
            KeyLife::Public(_) => Err(Refusal::UnknownKey),
        }
    }

    /// Deletes a key nothing refers to, whatever its status.
    pub(crate) fn delete_key(&mut self, id: &str) -> Result<(), Refusal> {
        self.key(id)?;
        if self.certificates.iter().any(|certificate| certificate.key_id == id) {
            return Err(Refusal::ReferenceExists);
        }
        self.keys.retain(|key| key.id != id);
        Ok(())
    }

    /// Stores a certificate and links it to its key; gives the ids of both (UploadCertificate).
    pub(crate) fn add_certificate(
        &mut self,
        der: Vec<u8>,
        alias: Option<String>,
        key_alias: Option<String>,
        private_key_required: bool,
    ) -> Result<(String, String), Refusal> {
        let public = x509::read(&der).ok_or(Refusal::BadCertificate)?.public_key;
        if self.certificates.iter().any(|certificate| certificate.der == der) {
            return Err(Refusal::Duplicate);
        }
        let linked = self.keys.iter().find(|key| key.public() == Some(&public));
        if private_key_required && !linked.is_some_and(Key::has_private_key) {
            return Err(Refusal::NoMatchingPrivateKey);
        }
        if self.certificates.len() >= CERTIFICATES {
            return Err(Refusal::TooManyCertificates);
        }
        let key_id = match linked {
            Some(key) => key.id.clone(),
            None => self.add_key(key_alias, KeyLife::Public(public))?,
        };
        let id = format!("cert-{}", random::hex_token::<6>());
        self.certificates.push(Certificate { id: id.clone(), alias, key_id: key_id.clone(), der });
        Ok((id, key_id))
    }

    /// The certificate of this id.
    pub(crate) fn certificate(&self, id: &str) -> Result<&Certificate, Refusal> {
        self.certificates.iter().find(|certificate| certificate.id == id).ok_or(Refusal::UnknownCertificate)
    }

    /// Deletes a certificate that is in no path; its key stays.
    pub(crate) fn delete_certificate(&mut self, id: &str) -> Result<(), Refusal> {
        self.certificate(id)?;
        if self.paths.iter().any(|path| path.certificates.iter().any(|member| member == id)) {
            return Err(Refusal::ReferenceExists);
        }
        self.certificates.retain(|certificate| certificate.id != id);
        Ok(())
    }

    /// Makes a path of certificates each of which was signed by the next.
    pub(crate) fn create_path(
        &mut self,
        certificates: Vec<String>,
        alias: Option<String>,
    ) -> Result<String, Refusal> {
        let chain = self.chain(&certificates)?;
        let in_order = chain.iter().zip(chain.iter().skip(1)).all(|(this, next)| x509::signed_by(this, next));
        if chain.is_empty() || !in_order {
            return Err(Refusal::InvalidPath);
        }
        if self.paths.len() >= PATHS {
            return Err(Refusal::TooManyPaths);
        }
        let id = format!("path-{}", random::hex_token::<6>());
        self.paths.push(Path { id: id.clone(), alias, certificates });
        Ok(id)
    }

    /// The path of this id.
    pub(crate) fn path(&self, id: &str) -> Result<&Path, Refusal> {
        self.paths.iter().find(|path| path.id == id).ok_or(Refusal::UnknownPath)
    }

    /// Deletes a path that TLS does not use; its certificates stay.
    pub(crate) fn delete_path(&mut self, id: &str) -> Result<(), Refusal> {
        self.path(id)?;
        if self.assigned.iter().any(|assigned| assigned == id) {
            return Err(Refusal::ReferenceExists);
        }
        self.paths.retain(|path| path.id != id);
        Ok(())
    }

    /// Gives a path to the TLS server. A path it already has changes nothing.
    pub(crate) fn assign(&mut self, id: &str) -> Result<(), Refusal> {
        let leaf_key = self.leaf_key(self.path(id)?)?;
        if !leaf_key.has_private_key() {
            return Err(Refusal::NoPrivateKey);
        }
        if self.assigned.iter().any(|assigned| assigned == id) {
            return Ok(());
        }
        if self.assigned.len() >= ASSIGNMENTS {
            return Err(Refusal::TooManyAssignments);
        }
        self.assigned.push(id.to_owned());
        Ok(())
    }

    /// Puts a new path in the place of an old one.
    pub(crate) fn replace(&mut self, old: &str, new: &str) -> Result<(), Refusal> {
        let place = self.assigned.iter().position(|id| id == old).ok_or(Refusal::UnknownOldPath)?;
        let path = self.path(new).map_err(|_| Refusal::UnknownNewPath)?;
        if !self.leaf_key(path)?.has_private_key() {
            return Err(Refusal::NoPrivateKey);
        }
        if let Some(assigned) = self.assigned.get_mut(place) {
            *assigned = new.to_owned();
        }
        Ok(())
    }

    /// Takes a path from the TLS server, unless HTTPS is on.
    pub(crate) fn unassign(&mut self, id: &str, https_on: bool) -> Result<(), Refusal> {
        let place =
            self.assigned.iter().position(|assigned| assigned == id).ok_or(Refusal::UnknownOldPath)?;
        if https_on {
            return Err(Refusal::ReferenceExists);
        }
        self.assigned.remove(place);
        Ok(())
    }

    fn add_key(&mut self, alias: Option<String>, life: KeyLife) -> Result<String, Refusal> {
        if self.keys.len() >= KEYS {
            return Err(Refusal::TooManyKeys);
        }
        let id = format!("key-{}", random::hex_token::<6>());
        self.keys.push(Key { id: id.clone(), alias, life });
        Ok(id)
    }

    fn chain(&self, ids: &[String]) -> Result<Vec<Vec<u8>>, Refusal> {
        ids.iter().map(|id| Ok(self.certificate(id)?.der.clone())).collect()
    }

    fn leaf_key(&self, path: &Path) -> Result<&Key, Refusal> {
        let leaf = path.certificates.first().ok_or(Refusal::InvalidPath)?;
        self.key(&self.certificate(leaf)?.key_id)
    }
}

impl Store for Keystore {
    fn identity(&self) -> Option<(Vec<Vec<u8>>, &Pair)> {
        let path = self.path(self.assigned.first()?).ok()?;
        match &self.leaf_key(path).ok()?.life {
            KeyLife::Pair(pair) => Some((self.chain(&path.certificates).ok()?, pair)),
            _ => None,
        }
    }

    fn picture(&self) -> State {
        let keys = self.keys.iter().map(|key| KeySummary {
            id: key.id.clone(),
            status: key.status(),
            has_private_key: key.has_private_key(),
        });
        let certificates =
            self.certificates.iter().map(|c| CertificateSummary { id: c.id.clone(), der: c.der.clone() });
        let paths =
            self.paths.iter().map(|p| PathSummary { id: p.id.clone(), certificates: p.certificates.clone() });
        State {
            keys: keys.collect(),
            certificates: certificates.collect(),
            paths: paths.collect(),
            assigned: self.assigned.clone(),
            ..State::default()
        }
    }

    fn install_factory(&mut self, certificate: Vec<u8>, pair: Pair) {
        let alias = Some("factory".to_owned());
        let install = || {
            self.add_key(alias.clone(), KeyLife::Pair(pair))?;
            let (certificate, _) = self.add_certificate(certificate, alias.clone(), None, true)?;
            let path = self.create_path(vec![certificate], alias)?;
            self.assign(&path)
        };
        let _ = install();
    }

    fn take(&mut self, certificate: Vec<u8>, _pair: &Pair) -> bool {
        self.add_certificate(certificate, None, None, false).is_ok()
    }
}

#[cfg(test)]
#[path = "keystore_tests.rs"]
mod tests;
