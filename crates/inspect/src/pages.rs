//! The error pages of browsers.

use domain::{Finding, Report};

pub(crate) const MISMATCH: &str = "ERR_SSL_VERSION_OR_CIPHER_MISMATCH";
pub(crate) const NO_OVERLAP: &str = "SSL_ERROR_NO_CYPHER_OVERLAP";

/// The error page of each browser.
pub(crate) type Pages = (Option<&'static str>, Option<&'static str>);

/// Puts the findings in order.
pub(crate) fn concluded(mut report: Report, found: Vec<Finding>, pages: Pages) -> Report {
    (report.chromium, report.firefox) = pages;
    report.findings = found;
    report.findings.sort_by_key(Finding::severity);
    report
}
