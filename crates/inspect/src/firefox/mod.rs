//! What Firefox makes of a chain: it goes up from the leaf and reports the first fault of the first certificate that
//! has one, issuers before the leaf. Its rules are those of mozilla::pkix; what it does around it was learned from Firefox
//! ESR 153 (`tests/outside/test_verdicts.py`).

mod certificate;
mod checks;
mod decoder;
mod der;
mod dns;
mod keys;
mod names;

use domain::AltName;
use time::OffsetDateTime;

pub(crate) use certificate::Certificate;
use checks::{EXPIRED, INADEQUATE_USAGE, INVALID_TIME, NOT_YET_VALID, Place, Usage};
pub(crate) use decoder::subject;
use der::Page;

use crate::{der::OCTET_STRING, signature::Signed};

const UNDECODABLE: Page = "SEC_ERROR_LIBRARY_FAILURE";
/// This page has a name and no code.
pub(crate) const NO_CODE: Page = "nssBadCert";
const UNKNOWN_ISSUER: Page = "SEC_ERROR_UNKNOWN_ISSUER";
pub(crate) const BAD_SIGNATURE: Page = "SEC_ERROR_BAD_SIGNATURE";
const BAD_DOMAIN: Page = "SSL_ERROR_BAD_CERT_DOMAIN";

/// Authorities between a root and the leaf, at most.
pub(crate) const ISSUERS_MAX: usize = 6;
/// Steps in all; more are an unknown issuer.
const STEPS_MAX: usize = 2000;

/// A trusted root: its subject, and what Firefox reads of it.
pub(crate) type Root<'a> = (&'a [u8], Result<&'a Certificate, Page>);

/// A certificate that was served: its DER, and what Firefox reads of it.
pub(crate) type Served<'a> = (&'a [u8], Result<&'a Certificate, Page>);

/// The error page, if there is one, of a chain with the leaf first. Without `has_usual_key` nobody else could read the
/// leaf's key.
pub(crate) fn page(
    roots: &[Root<'_>],
    leaf: Served<'_>,
    has_usual_key: bool,
    others: &[Served<'_>],
    name: &AltName,
    now: OffsetDateTime,
) -> Option<Page> {
    let decodes = |served: &Served<'_>| subject(served.0).is_some();
    if !decodes(&leaf) {
        return Some(UNDECODABLE);
    }
    if let Ok(certificate) = leaf.1
        && !has_usual_key
        && let Some(page) = handshake_page(certificate)
    {
        return Some(page);
    }
    let readable: Vec<&Certificate> = others.iter().filter_map(|other| other.1.ok()).collect();
    match page_of_readable(roots, leaf.1, &readable, name, now) {
        // What is sent beside it harms nobody until an error is to be explained.
        Some(page) if page != UNDECODABLE && !others.iter().all(decodes) => Some(NO_CODE),
        page => page,
    }
}

fn page_of_readable(
    roots: &[Root<'_>],
    leaf: Result<&Certificate, Page>,
    others: &[&Certificate],
    name: &AltName,
    now: OffsetDateTime,
) -> Option<Page> {
    let leaf = match leaf {
        Ok(leaf) => leaf,
        Err(page) => return Some(page),
    };
    let is_namesake = |other: &&Certificate| {
        other.serial == leaf.serial && other.issuer == leaf.issuer && other.der != leaf.der
    };
    if roots.iter().filter_map(|(_, root)| root.ok()).any(|root| is_namesake(&root)) {
        return Some("SEC_ERROR_REUSED_ISSUER_AND_SERIAL");
    }
    let found = any_usage(|usage| {
        Search { roots, others, now: now.unix_timestamp(), usage, steps: 0, is_over: false }
            .up(&mut vec![leaf])
    });
    let wrong_name = !names::is_for(leaf.names.as_deref(), name).unwrap_or(false);
    match found {
        Err(UNKNOWN_ISSUER | BAD_SIGNATURE | INADEQUATE_USAGE) if is_self_signed(leaf) => {
            Some("MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT")
        }
        // Of these the name is told.
        Err(EXPIRED | NOT_YET_VALID | INVALID_TIME) if wrong_name => Some(BAD_DOMAIN),
        Err(page) => Some(page),
        Ok(()) => match leaf.tls_features.as_deref().map_or(Ok(()), checks::tls_features) {
            Err(page) => Some(page),
            Ok(()) => wrong_name.then_some(BAD_DOMAIN),
        },
    }
}

/// What the handshake makes of a key that it cannot take. Whether Chromium took it is known already, and costs no second look.
fn handshake_page(leaf: &Certificate) -> Option<Page> {
    match keys::public_key(&leaf.key_info) {
        Err(keys::UNSUPPORTED_KEY) => Some("SSL_ERROR_EXTRACT_PUBLIC_KEY_FAILURE"),
        Err(keys::UNSUPPORTED_CURVE) => Some("SSL_ERROR_WEAK_SERVER_CERT_KEY"),
        // No point of its curve.
        Err(der::BAD_DER) => Some(NO_CODE),
        Ok(key) if !key.is_on_curve() => Some(NO_CODE),
        _ => None,
    }
}

/// It tries each use of a key that a cipher may make, and of the last one it says nothing else than that it is wrong.
fn any_usage(mut search: impl FnMut(Usage) -> Result<(), Page>) -> Result<(), Page> {
    for usage in [Usage::DigitalSignature, Usage::KeyEncipherment] {
        match search(usage) {
            Err(INADEQUATE_USAGE) => {}
            found => return found,
        }
    }
    search(Usage::KeyAgreement).map_err(|_| INADEQUATE_USAGE)
}

fn is_self_signed(certificate: &Certificate) -> bool {
    certificate.is_self_issued() && is_signed_by(certificate, certificate).is_ok()
}

fn is_signed_by(certificate: &Certificate, issuer: &Certificate) -> Result<(), Page> {
    let scheme = keys::scheme(&certificate.algorithm)?;
    let key = keys::public_key(&issuer.key_info)?;
    let signed: &Signed = &certificate.signed;
    if !key.can_make(scheme) {
        Err("SEC_ERROR_INVALID_KEY")
    } else if signed.is_by(&key, scheme) {
        Ok(())
    } else if !key.is_on_curve() {
        Err("PR_UNKNOWN_ERROR")
    } else {
        Err(BAD_SIGNATURE)
    }
}

struct Search<'a> {
    roots: &'a [Root<'a>],
    others: &'a [&'a Certificate],
    now: i64,
    usage: Usage,
    steps: usize,
    /// Whatever else there is.
    is_over: bool,
}

impl<'a> Search<'a> {
    fn is_root(&self, certificate: &Certificate) -> bool {
        self.roots.iter().any(|(_, root)| root.is_ok_and(|root| root.der == certificate.der))
    }

    /// From the last certificate of the path up to a root.
    fn up(&mut self, path: &mut Vec<&'a Certificate>) -> Result<(), Page> {
        let Some(last) = path.last().copied() else { return Ok(()) };
        let is_leaf = path.len() == 1;
        let is_root = self.is_root(last);
        let usage = if is_leaf { self.usage } else { Usage::CertSign };
        let place = Place { is_leaf, is_root, below: path.len().saturating_sub(2), usage };
        let own = checks::check(last, place, self.now);
        if is_root || !is_leaf && own.is_err() {
            return own;
        }
        // Authorities on the path, this one included.
        if path.len() > ISSUERS_MAX + 1 {
            return Err(UNKNOWN_ISSUER);
        }
        self.issuer(path, own)?;
        own
    }

    /// The first issuer that leads to a root. If each has the same fault it is that one, else the issuer is unknown.
    fn issuer(&mut self, path: &mut Vec<&'a Certificate>, own: Result<(), Page>) -> Result<(), Page> {
        let Some(last) = path.last().copied() else { return Ok(()) };
        let mut result = None;
        for issuer in self.issuers_of(last) {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(UNKNOWN_ISSUER);
            }
            if issuer.is_ok_and(|issuer| subject(&issuer.der).is_none()) {
                return Err(UNDECODABLE);
            }
            let fault = match issuer.and_then(|issuer| self.through(issuer, path, own)) {
                Ok(()) => return Ok(()),
                Err(EXPIRED) => "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE",
                Err(NOT_YET_VALID) => "MOZILLA_PKIX_ERROR_NOT_YET_VALID_ISSUER_CERTIFICATE",
                Err(fault) => fault,
            };
            if self.is_over && own == Err(INVALID_TIME) {
                return own;
            }
            if self.is_over {
                return Err(result.filter(|known| *known != fault).map_or(fault, |_| UNKNOWN_ISSUER));
            }
            result = Some(if result.is_none_or(|known| known == fault) { fault } else { UNKNOWN_ISSUER });
        }
        Err(result.unwrap_or(UNKNOWN_ISSUER))
    }

    /// Roots, and what was sent but for strange roots: what signed itself and nobody trusts.
    fn issuers_of(&self, certificate: &Certificate) -> Vec<Result<&'a Certificate, Page>> {
        let roots =
            self.roots.iter().filter(|(subject, _)| *subject == certificate.issuer).map(|(_, root)| *root);
        let is_candidate = |other: &&&Certificate| {
            other.subject == certificate.issuer && !self.is_root(other) && !is_self_signed(other)
        };
        roots.chain(self.others.iter().filter(is_candidate).map(|other| Ok(*other))).collect()
    }

    fn through(
        &mut self,
        issuer: &'a Certificate,
        path: &mut Vec<&'a Certificate>,
        own: Result<(), Page>,
    ) -> Result<(), Page> {
        let Some(signed) = path.last().copied() else { return Ok(()) };
        if path.iter().any(|p| p.subject == issuer.subject && p.key_info == issuer.key_info) {
            return Err(UNKNOWN_ISSUER);
        }
        if let Some(constraints) = &issuer.name_constraints {
            for (n, below) in path.iter().enumerate().rev() {
                names::check(constraints, below.names.as_deref(), &below.subject, n == 0)?;
            }
        }
        if issuer.tls_features.is_some() && issuer.tls_features != signed.tls_features {
            return Err("MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING");
        }
        path.push(issuer);
        let above = self.up(path);
        path.pop();
        above?;
        is_signed_by(signed, issuer)?;
        if path.len() == 1 && own != Err(EXPIRED) {
            if own == Err(INVALID_TIME) {
                self.is_over = true;
                return own;
            }
            // It would ask whether the certificate was revoked; if it cannot, no other issuer is tried.
            let access = signed.access.as_deref().map_or(Ok(()), checks::access);
            let timestamps =
                signed.timestamps.as_deref().map_or(Ok(()), |t| der::only(t, OCTET_STRING).map(drop));
            self.is_over = access.and(timestamps).is_err();
            return access.and(timestamps);
        }
        Ok(())
    }
}
