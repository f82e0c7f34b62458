//! A certificate as each of those who judge it sees it.

use std::sync::Arc;

use crate::{chromium, facts::Facts, firefox, signature::Signed};

/// One certificate, read once for all of them: what one cannot read another one may.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) der: Vec<u8>,
    /// As the standard wants it.
    pub(crate) facts: Option<Facts>,
    pub(crate) chromium: Result<chromium::Certificate, chromium::Unreadable>,
    /// An error is the page that Firefox shows for it.
    pub(crate) firefox: Result<firefox::Certificate, &'static str>,
}

impl Seen {
    pub(crate) fn read(der: &[u8]) -> Seen {
        let mut seen = Seen {
            der: der.to_vec(),
            facts: Facts::read(der),
            chromium: chromium::Certificate::read(der),
            firefox: firefox::Certificate::read(der),
        };
        // All ask the same keys, and nothing costs more.
        let signed: Option<Arc<Signed>> = match (&seen.chromium, &seen.firefox) {
            (Ok(certificate), _) => Some(certificate.signed.clone()),
            (_, Ok(certificate)) => Some(certificate.signed.clone()),
            _ => None,
        };
        if let Some(signed) = signed {
            if let Ok(firefox) = &mut seen.firefox {
                firefox.signed = signed.clone();
            }
            if let Some(facts) = &mut seen.facts {
                facts.signed = signed;
            }
        }
        seen
    }

    pub(crate) fn for_firefox(&self) -> firefox::Served<'_> {
        (&self.der, self.firefox.as_ref().map_err(|page| *page))
    }
}

/// The facts of those that have some.
pub(crate) fn facts(seen: &[Seen]) -> Vec<&Facts> {
    seen.iter().filter_map(|seen| seen.facts.as_ref()).collect()
}
