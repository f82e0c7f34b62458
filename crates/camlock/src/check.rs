//! `check`: what a browser would say.

use authority::Public;
use domain::{AltName, Named, Target};
use inspect::Options;
use pki::Certificate;
use serde_json::json;
use site::page_of;
use store::Store;
use time::OffsetDateTime;

use crate::{args::Check, failure::Failure, results::Results, setting::Setting, sweep, talk, targets};

/// Targets of one run: a bound on memory, of which each takes up to 2 kB.
const TARGETS_MAX: usize = 1 << 17;

pub async fn run(check: &Check, setting: &Setting) -> Result<bool, Failure> {
    let asked = asked(check, setting).await?;
    let mut options = Options::trusting(roots(check, setting).await?, OffsetDateTime::now_utc());
    options.name = check.name.as_deref().map(str::parse::<AltName>).transpose()?;
    let mut results = Results::new(check, setting.json, asked.len(), &options)?;
    let (targets, is_swept): (Vec<Target>, Vec<bool>) = asked.into_iter().unzip();
    let sweeping = async move {
        let count = targets.len();
        let seen =
            sweep::run(&targets, options, |index, report| results.add(report, is_swept[index])).await?;
        results.end(count - seen)?;
        if seen < count {
            talk::warn(&json!({"code": "check-stopped", "seen": seen, "count": count}));
        }
        Ok(seen == count && results.all_secure())
    };
    // Among the threads that look, or the end of each look would wake another one.
    tokio::spawn(sweeping).await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
}

/// The targets in the order in which they were named, and of each whether it is only an address of a range.
async fn asked(check: &Check, setting: &Setting) -> Result<Vec<(Target, bool)>, Failure> {
    let mut asked = Vec::new();
    let too_many = || {
        let said = json!({"code": "too-many-targets", "limit": TARGETS_MAX});
        Failure { said, exit: 2 }
    };
    for text in &check.targets {
        match domain::named(text)? {
            Named::Range(addresses) => asked.extend(addresses.into_iter().map(|address| {
                let host = AltName::Ip(address.into());
                (Target { text: address.to_string(), host, port: None, scheme: None }, true)
            })),
            Named::One(target) => asked.push((target, false)),
        }
        if asked.len() > TARGETS_MAX {
            return Err(too_many());
        }
    }
    if let Some(file) = &check.list {
        asked.extend(targets::read_addresses(file)?.into_iter().map(|target| (target, false)));
    }
    if check.all {
        let devices = setting.store().await?.devices(None).await?;
        let here = devices.iter().filter(|device| device.left_at.is_none());
        asked.extend(here.map(|device| (page_of(device), false)));
    }
    if asked.len() > TARGETS_MAX { Err(too_many()) } else { Ok(asked) }
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
