//! `list`: devices and certificates.

use comfy_table::Cell;
use domain::AltName;
use serde_json::json;
use site::standing;
use store::CertificateRow;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use words::Words;

use crate::{
    args::{List, What},
    failure::Failure,
    out::{Out, is_standard_output},
    setting::Setting,
    talk::{self, print, print_json, verdict_cell},
};

/// The columns of both as CSV.
const DEVICES: [&str; 9] =
    ["name", "addresses", "verdict", "why", "seen", "valid until", "driver", "model", "serial"];
const CERTIFICATES: [&str; 7] = ["name", "for", "valid from", "valid until", "revoked", "replaced", "serial"];

pub async fn run(list: &List, setting: &Setting) -> Result<bool, Failure> {
    let store = setting.store().await?;
    let before = list.expiring.map(|days| OffsetDateTime::now_utc() + Duration::days(days));
    let (now, words) = (store.clock().now(), Words::english());
    let search = list.search.as_deref();
    let date = |d: Option<OffsetDateTime>| d.and_then(|d| d.format(&Rfc3339).ok());
    let day = |d: Option<OffsetDateTime>| d.map(|d| d.date().to_string()).unwrap_or_default();
    let minute = |d: Option<OffsetDateTime>| {
        d.map(|d| format!("{} {:02}:{:02}", d.date(), d.hour(), d.minute())).unwrap_or_default()
    };
    let mut table;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let shown = match list.what {
        What::Devices => {
            let mut devices = store.devices(search).await?;
            devices.retain(|d| before.is_none_or(|b| d.not_after.is_some_and(|end| end < b)));
            table = talk::table(["Device", "Address", "Verdict", "Seen", "Valid until", "Driver"]);
            for d in &devices {
                let address = |host: &AltName, port: u16| format!("{}:{port}", host.plain());
                let mut addresses = vec![address(&d.host, d.https_port.unwrap_or(d.port))];
                if let Some(left) = d.left_at {
                    addresses = vec![format!("was {}, until {}", d.host.plain(), left.date())];
                }
                addresses.extend(d.others.iter().map(|p| address(&p.host, p.https_port.unwrap_or(p.port))));
                let (verdict, why) = standing(d, now);
                let why = why.map(|why| words.say(&why).code).unwrap_or_default();
                rows.push(vec![
                    d.name.to_string(),
                    addresses.join(" "),
                    verdict.name().to_owned(),
                    why.clone(),
                    date(d.verified_at).unwrap_or_default(),
                    date(d.not_after).unwrap_or_default(),
                    d.driver.clone(),
                    d.model.as_deref().unwrap_or_default().to_owned(),
                    d.serial.clone().unwrap_or_default(),
                ]);
                table.add_row([
                    Cell::new(&d.name),
                    Cell::new(addresses.join("\n")),
                    verdict_cell(verdict, &why),
                    Cell::new(minute(d.verified_at)),
                    Cell::new(day(d.not_after)),
                    Cell::new(&d.driver),
                ]);
            }
            json!(devices.iter().map(|d| json!({
                "name": d.name, "host": d.host.plain(), "port": d.port, "https_port": d.https_port,
                "addresses": d.places().map(|p| p.host.plain()).collect::<Vec<_>>(), "left_at": date(d.left_at),
                "accepted": d.accepted, "mac": d.mac, "sign_in": d.sign_in,
                "model": d.model, "driver": d.driver, "verdict": standing(d, now).0, "why": standing(d, now).1, "key_transport": d.key_transport,
                "serial": d.serial, "not_after": date(d.not_after), "verified_at": date(d.verified_at),
            })).collect::<Vec<_>>())
        }
        What::Certificates => {
            let replaced = store.replaced().await?;
            let mut certificates = store.certificates(before, search).await?;
            // What needs nothing any more is no part of what is to be done.
            let is_past = |c: &CertificateRow| c.revoked_at.is_some() || replaced.contains(&c.serial);
            certificates.retain(|c| before.is_none() || !is_past(c));
            table = talk::table(["Name", "For", "Valid until", "Serial"]);
            for c in &certificates {
                let names: Vec<String> = c.names.iter().map(AltName::to_string).collect();
                let name = c.name.clone().or_else(|| c.device.clone()).unwrap_or_default();
                let until = match c.revoked_at {
                    Some(_) => format!("revoked {}", day(c.revoked_at)),
                    None if replaced.contains(&c.serial) => format!("{}\nreplaced", day(Some(c.not_after))),
                    None if c.not_after < now => format!("ended {}", day(Some(c.not_after))),
                    None => day(Some(c.not_after)),
                };
                rows.push(vec![
                    name.clone(),
                    names.join(" "),
                    date(Some(c.not_before)).unwrap_or_default(),
                    date(Some(c.not_after)).unwrap_or_default(),
                    date(c.revoked_at).unwrap_or_default(),
                    replaced.contains(&c.serial).to_string(),
                    c.serial.clone(),
                ]);
                table.add_row([name, names.join("\n"), until, c.serial.clone()]);
            }
            json!(certificates.iter().map(|c| json!({
                "serial": c.serial, "name": c.name, "sans": c.names, "device": c.device,
                "profile": c.profile, "not_before": date(Some(c.not_before)), "not_after": date(Some(c.not_after)), "sha256": c.sha256,
                "revoked_at": date(c.revoked_at), "replaced": replaced.contains(&c.serial),
            })).collect::<Vec<_>>())
        }
    };
    if let Some(file) = &list.csv {
        let header: &[&str] = match list.what {
            What::Devices => &DEVICES,
            What::Certificates => &CERTIFICATES,
        };
        if setting.json && is_standard_output(file) {
            return Err(Failure::usage("check-one-output"));
        }
        let mut out = Out::create(file)?;
        out.row(header.iter().map(|name| (*name).to_owned()))?;
        rows.into_iter().try_for_each(|row| out.row(row))?;
        out.end()?;
    }
    if setting.json {
        print_json(&shown);
    } else if list.csv.as_deref().is_some_and(is_standard_output) {
        // It is there already.
    } else if table.is_empty() {
        print("Nothing.");
    } else {
        print(&table.to_string());
    }
    Ok(true)
}
