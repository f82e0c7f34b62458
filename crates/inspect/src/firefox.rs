//! What Firefox makes of a chain: it goes up from the leaf and reports the first fault of the first certificate that
//! has one, issuers before the leaf. Learned from Firefox ESR 153 (`tests/outside/test_verdicts.py`).

use domain::AltName;
use time::OffsetDateTime;
use x509_cert::ext::pkix::{NameConstraints, name::GeneralName};

use crate::{
    facts::{BadSignature, Facts, Key, SERVER_AUTH},
    names,
    paths::Pool,
};

const UNKNOWN_ISSUER: &str = "SEC_ERROR_UNKNOWN_ISSUER";
const UNKNOWN_CRITICAL: &str = "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION";
const BAD_SIGNATURE: &str = "SEC_ERROR_BAD_SIGNATURE";
const SIGNATURE_DISABLED: &str = "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED";
const INADEQUATE_USAGE: &str = "SEC_ERROR_INADEQUATE_KEY_USAGE";
const EXPIRED: &str = "SEC_ERROR_EXPIRED_CERTIFICATE";
const NOT_YET_VALID: &str = "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE";
const BAD_DOMAIN: &str = "SSL_ERROR_BAD_CERT_DOMAIN";

/// Authorities between a root and the leaf, at most.
pub(crate) const ISSUERS_MAX: usize = 6;
/// Steps in all; more are an unknown issuer.
const STEPS_MAX: usize = 2000;

/// The error page, if there is one.
pub(crate) fn page(
    pool: Pool<'_>,
    leaf: &Facts,
    name: &AltName,
    now: OffsetDateTime,
) -> Option<&'static str> {
    let mut search = Search { pool, now, steps: 0 };
    let found = match readable(leaf) {
        Ok(()) => search.up(&mut vec![leaf]),
        Err(page) => Err(page),
    };
    match found {
        Err(UNKNOWN_ISSUER | BAD_SIGNATURE)
            if leaf.is_self_issued() && leaf.check_signature(leaf).is_ok() =>
        {
            Some("MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT")
        }
        // Of these two the name is told.
        Ok(()) | Err(EXPIRED | NOT_YET_VALID) if !leaf.is_for(name) => Some(BAD_DOMAIN),
        found => found.err(),
    }
}

fn readable(certificate: &Facts) -> Result<(), &'static str> {
    if certificate.has_unknown_critical() { Err(UNKNOWN_CRITICAL) } else { Ok(()) }
}

struct Search<'a> {
    pool: Pool<'a>,
    now: OffsetDateTime,
    steps: usize,
}

impl<'a> Search<'a> {
    /// From the last certificate of the path up to a root.
    fn up(&mut self, path: &mut Vec<&'a Facts>) -> Result<(), &'static str> {
        let Some(last) = path.last().copied() else { return Ok(()) };
        let is_leaf = path.len() == 1;
        let is_root = self.pool.is_root(last);
        let own = self.own_faults(last, is_root, path.len());
        if is_root || !is_leaf && own.is_err() {
            return own;
        }
        // Authorities on the path, this one included.
        if path.len() > ISSUERS_MAX + 1 {
            return Err(UNKNOWN_ISSUER);
        }
        self.issuer(path)?;
        own
    }

    /// The first issuer that leads to a root. If each has the same fault it is that one, else the issuer is unknown.
    fn issuer(&mut self, path: &mut Vec<&'a Facts>) -> Result<(), &'static str> {
        let Some(last) = path.last().copied() else { return Ok(()) };
        let mut result = None;
        for issuer in self.pool.issuers_of(last) {
            // A sent root that nobody trusts is not tried.
            let is_stranger = || issuer.is_self_issued() && issuer.check_signature(issuer).is_ok();
            if !self.pool.is_root(issuer) && is_stranger() {
                continue;
            }
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(UNKNOWN_ISSUER);
            }
            let fault = match self.through(issuer, path) {
                Ok(()) => return Ok(()),
                Err(EXPIRED) => "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE",
                Err(NOT_YET_VALID) => "MOZILLA_PKIX_ERROR_NOT_YET_VALID_ISSUER_CERTIFICATE",
                Err(fault) => fault,
            };
            result = Some(if result.is_none_or(|known| known == fault) { fault } else { UNKNOWN_ISSUER });
        }
        Err(result.unwrap_or(UNKNOWN_ISSUER))
    }

    fn through(&mut self, issuer: &'a Facts, path: &mut Vec<&'a Facts>) -> Result<(), &'static str> {
        if let Err(fault) = readable(issuer) {
            return Err(if self.pool.is_root(issuer) { fault } else { UNKNOWN_ISSUER });
        }
        if path.iter().any(|p| p.subject == issuer.subject && p.public_key == issuer.public_key) {
            return Err(UNKNOWN_ISSUER);
        }
        if let Some(constraints) = &issuer.name_constraints
            && names::name_domains(constraints)
            && path.iter().any(|c| c.names.iter().any(is_malformed_domain))
        {
            return Err("SEC_ERROR_BAD_DER");
        }
        if let Some(constraints) = &issuer.name_constraints
            && path.iter().enumerate().any(|(n, c)| outside(constraints, c, n == 0))
        {
            return Err("SEC_ERROR_CERT_NOT_IN_NAME_SPACE");
        }
        let signed = path.last().copied();
        path.push(issuer);
        let above = self.up(path);
        path.pop();
        above?;
        match signed.map_or(Ok(()), |signed| signed.check_signature(issuer)) {
            Err(BadSignature::Forged) if signed.is_some_and(|s| !s.fits_key_of(issuer)) => {
                Err("SEC_ERROR_INVALID_KEY")
            }
            Err(BadSignature::Forged) => Err(BAD_SIGNATURE),
            Err(BadSignature::Algorithm) => Err(SIGNATURE_DISABLED),
            Ok(()) => Ok(()),
        }
    }

    /// The faults of one certificate, in Firefox's order. `depth` counts from the leaf, which has 1.
    fn own_faults(&self, certificate: &Facts, is_root: bool, depth: usize) -> Result<(), &'static str> {
        let is_leaf = depth == 1;
        if !is_root && !certificate.has_modern_signature() {
            return Err(SIGNATURE_DISABLED);
        }
        // An issuer's key is known by the size of its signatures, before the issuer is.
        if !is_root && certificate.rsa_signature_bits().is_some_and(|bits| bits < 1024) {
            return Err("MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE");
        }
        match certificate.key {
            Key::Rsa(..1024) => return Err("MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE"),
            Key::Other | Key::Ed25519 => return Err("SEC_ERROR_UNSUPPORTED_KEYALG"),
            _ => {}
        }
        if certificate.certificate.issuer().is_empty() {
            return Err("MOZILLA_PKIX_ERROR_EMPTY_ISSUER_NAME");
        }
        let later = self.later_faults(certificate, is_root, depth);
        match &certificate.usage {
            None => later,
            Some(usage) if !is_leaf && usage.key_cert_sign() => later,
            Some(usage) if is_leaf && (usage.digital_signature() || usage.key_encipherment()) => later,
            // Looked at last, when it is this or nothing.
            Some(usage) if is_leaf && usage.key_agreement() => later.map_err(|_| INADEQUATE_USAGE),
            Some(_) => Err(INADEQUATE_USAGE),
        }
    }

    /// Those that come after the key usage.
    fn later_faults(&self, certificate: &Facts, is_root: bool, depth: usize) -> Result<(), &'static str> {
        let is_leaf = depth == 1;
        let below = depth.saturating_sub(2);
        match &certificate.constraints {
            Some(constraints) if is_leaf && constraints.ca => {
                return Err("MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY");
            }
            _ if is_leaf => {}
            Some(constraints) if !constraints.ca => return Err("SEC_ERROR_CA_CERT_INVALID"),
            Some(constraints) if constraints.path_len_constraint.is_some_and(|l| below > usize::from(l)) => {
                return Err("SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID");
            }
            Some(_) => {}
            // Old roots could not say so.
            None if is_root && certificate.version() == 1 => {}
            None if certificate.version() == 1 => return Err("MOZILLA_PKIX_ERROR_V1_CERT_USED_AS_CA"),
            None => return Err("SEC_ERROR_CA_CERT_INVALID"),
        }
        if certificate.purposes.as_ref().is_some_and(|p| !p.contains(&SERVER_AUTH)) {
            return Err("SEC_ERROR_INADEQUATE_CERT_TYPE");
        }
        if self.now > certificate.certificate.not_after() {
            Err(EXPIRED)
        } else if self.now < certificate.certificate.not_before() {
            Err(NOT_YET_VALID)
        } else {
            Ok(())
        }
    }
}

/// All that name constraints are about: subjectAltNames, and the subject. An empty one, too, is outside of what others
/// are permitted.
pub(crate) fn names_of(certificate: &Facts) -> Vec<GeneralName> {
    let subject = GeneralName::DirectoryName(certificate.subject_name().clone());
    certificate.names.iter().cloned().chain([subject]).collect()
}

fn is_malformed_domain(name: &GeneralName) -> bool {
    let GeneralName::DnsName(name) = name else { return false };
    match name.as_str().strip_prefix("*.") {
        Some(behind) => AltName::dns(behind).is_err() || !behind.contains('.'),
        None => AltName::dns(name.as_str()).is_err(),
    }
}

pub(crate) fn excludes_everybody(constraints: &NameConstraints) -> bool {
    let mut excluded = constraints.excluded_subtrees.iter().flatten();
    excluded.any(|subtree| matches!(subtree.base, GeneralName::DirectoryName(_)))
}

/// Without a name in the leaf's subjectAltName, its common name is held against the constraints.
fn outside(constraints: &NameConstraints, certificate: &Facts, is_leaf: bool) -> bool {
    if excludes_everybody(constraints) {
        return true;
    }
    let mut names = names_of(certificate);
    let is_name = |n: &GeneralName| matches!(n, GeneralName::DnsName(_) | GeneralName::IpAddress(_));
    if is_leaf && !certificate.names.iter().any(is_name) {
        names.extend(certificate.common_name_as_name());
    }
    names::violate(constraints, &names)
}
