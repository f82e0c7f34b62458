//! `check`: what a browser would say.

use authority::Public;
use domain::{AltName, Report, Target};
use inspect::Options;
use pki::Certificate;
use serde_json::json;
use store::Store;
use time::OffsetDateTime;
use words::Words;

use crate::{
    args::Check,
    failure::Failure,
    setting::Setting,
    talk::{self, paint, print, print_json},
};

pub async fn run(check: &Check, setting: &Setting) -> Result<bool, Failure> {
    let targets = check.targets.iter().map(|t| t.parse()).collect::<Result<Vec<Target>, _>>()?;
    let mut options = Options::trusting(roots(check, setting).await?, OffsetDateTime::now_utc());
    options.name = check.name.as_deref().map(str::parse::<AltName>).transpose()?;
    let words = Words::english();
    let mut reports = Vec::new();
    for target in &targets {
        reports.push(inspect::check(target, &options).await);
    }
    if setting.json {
        let shown: Vec<_> = reports.iter().map(|r| as_json(r, &words)).collect();
        print_json(&shown);
    } else {
        reports.iter().for_each(|r| show(r, &words));
    }
    Ok(reports.iter().all(|r| r.verdict == domain::Verdict::Secure))
}

async fn roots(check: &Check, setting: &Setting) -> Result<Vec<Certificate>, Failure> {
    if let Some(file) = &check.ca {
        let bytes = std::fs::read(file).map_err(|e| Failure::file("file-unreadable", file, &e))?;
        return Ok(Certificate::read_all(&bytes)?);
    }
    // `check` never needs a data directory.
    let Ok(directory) = setting.directory() else { return Ok(Vec::new()) };
    Ok(roots_of(Store::open(&directory).await.ok().as_ref()).await)
}

/// The roots of the site's authority; without one no root is trusted.
pub async fn roots_of(store: Option<&Store>) -> Vec<Certificate> {
    match store {
        Some(store) => Public::read(store).await.map(|p| p.roots()).unwrap_or_default(),
        None => Vec::new(),
    }
}

fn as_json(report: &Report, words: &Words) -> serde_json::Value {
    json!({
        "target": report.target,
        "verdict": report.verdict,
        "chromium": report.chromium,
        "firefox": report.firefox,
        "findings": talk::findings(&report.findings, words),
        "certificate": report.certificate,
        "tls": report.tls,
    })
}

fn show(report: &Report, words: &Words) {
    print(&format!("{}  {}", paint("1", &report.target), talk::verdict(report.verdict)));
    for finding in &report.findings {
        talk::finding(finding.severity(), &words.say(finding));
    }
    for (browser, page) in [("Chromium", report.chromium), ("Firefox", report.firefox)] {
        if let Some(page) = page {
            print(&format!("  {browser} shows {page}"));
        }
    }
    if let Some(certificate) = &report.certificate {
        let tls = report.tls.unwrap_or_default();
        print(&format!("  {} from {}, {tls}", certificate.sans.join(", "), certificate.issuer));
        print(&format!("  valid until {}", certificate.not_after.date()));
    }
}
