//! `find`: the devices on the network, which driver speaks to each, and what a browser says of it.

use std::{collections::BTreeSet, io::IsTerminal, time::Duration};

use comfy_table::{Cell, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use devices::{Credentials, DeviceInfo, Recipes};
use domain::{AltName, Named, Told};
use fleet::{KeepPicture, Known, Met, Search, SearchProgress, User};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use store::Store;
use words::Words;

use crate::{
    args::Find,
    failure::Failure,
    setting::{self, Setting},
    talk::{self, print, print_json, tell, verdict_cell},
    targets,
};

/// Characters of the table where no terminal has a width.
const TABLE_WIDTH: u16 = 120;

pub async fn run(find: &Find, setting: &Setting) -> Result<bool, Failure> {
    let mut ranges = BTreeSet::new();
    let mut named = Vec::new();
    for text in &find.targets {
        match domain::named(text)? {
            Named::Range(addresses) => ranges.extend(addresses),
            Named::One(target) => named.push(target),
        }
    }
    if let Some(file) = &find.list {
        named.extend(targets::read_addresses(file)?);
    }
    let (mut has_ledger, mut store, mut recipes) = (true, None, Recipes::default());
    if let Ok(directory) = setting.directory() {
        recipes = Recipes::read(&directory)?;
        match Store::open(&directory).await {
            Ok(opened) => store = Some(opened),
            // Looking around needs no authority.
            Err(store::Error::NoDataDirectory { .. }) => {}
            Err(e) => {
                talk::warn(&e);
                has_ledger = false;
            }
        }
    }
    let listens = find.targets.is_empty() && find.list.is_none();
    let search = Search { store, recipes, listens, ranges, named, user: user(find)? };
    let bar = bar();
    let shown = bar.clone();
    let found = search
        .run(move |progress| match progress {
            SearchProgress::Heard(devices) => shown.set_message(format!("listening: {devices} devices")),
            SearchProgress::Asked(done, of) => shown.set_message(format!("asked {done} of {of} addresses")),
            SearchProgress::Met(done, of, device) => {
                let (address, named) = (address(device), described(device));
                let line = format!("{address}  {named}  driver {}", driver_name(device));
                shown.suspend(|| tell(&line));
                shown.set_message(format!("asked {done} of {of} devices"));
            }
        })
        .await?;
    bar.finish_and_clear();
    if !found.has_network {
        talk::warn(&json!({"code": "no-network"}));
    }
    let words = Words::english();
    if setting.json {
        print_json(&found.devices.iter().map(|device| as_json(device, &words)).collect::<Vec<_>>());
    } else if found.devices.is_empty() {
        print("Nothing.");
    } else {
        print(&table(&found.devices, &words).to_string());
    }
    if found.is_silent {
        talk::warn(&json!({"code": "multicast-silent"}));
    }
    if let Some(e) = &found.not_noted {
        talk::warn(e);
    }
    if found.not_noted.is_some() || !has_ledger {
        talk::warn(&json!({"code": "not-noted"}));
    }
    Ok(has_ledger && found.not_noted.is_none())
}

/// The user that the operator named, if there is one.
fn user(find: &Find) -> Result<Option<User>, Failure> {
    let Some(user) = find.user.clone() else { return Ok(None) };
    let password = match &find.password_file {
        Some(file) => setting::first_line(file)?,
        None => setting::ask(&format!("Password of {user} on the devices: "), "password-missing")?,
    };
    let keep = find.pictures.clone().map(|folder| {
        std::fs::create_dir_all(&folder).map_err(|e| Failure::file("file-unwritable", &folder, &e))?;
        let keep: KeepPicture = Box::new(move |host, port, picture| {
            let file = folder.join(format!("{}-{port}.jpg", host.plain().replace(':', "-")));
            let failed = |e| serde_json::to_value(e).unwrap_or_default();
            site::write_over(&file, picture, 0o600).map(|()| file).map_err(failed)
        });
        Ok::<_, Failure>(keep)
    });
    Ok(Some(User { credentials: Credentials::new(user, password), keep: keep.transpose()? }))
}

fn driver_name(device: &Met) -> &str {
    device.driver.as_ref().map_or("none", |spoken| &spoken.driver)
}

fn address(device: &Met) -> String {
    match &device.seen.target {
        Some(target) => target.text.clone(),
        None if matches!(device.port, 80 | 443) => device.host.plain(),
        None => format!("{}:{}", device.host.plain(), device.port),
    }
}

fn described(device: &Met) -> String {
    let told = device.driver.as_ref().map(|spoken| told(&spoken.known)).filter(|text| !text.is_empty());
    let text = |told: &Option<Told>| told.as_ref().map(Told::to_string);
    let parts = [text(&device.seen.name), told.or(text(&device.seen.model))];
    let mut parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.dedup();
    parts.join(", ")
}

fn as_json(device: &Met, words: &Words) -> serde_json::Value {
    let spoken = device.driver.as_ref();
    let known = spoken.map(|spoken| &spoken.known);
    let mut shown = json!({
        "target": address(device),
        "addresses": device.seen.hosts.iter().map(AltName::plain).collect::<Vec<_>>(),
        "port": device.port,
        "name": device.seen.name,
        "model": known.and_then(|known| known.device.model.as_ref()).or(device.seen.model.as_ref()),
        "mac": device.seen.mac,
        "id": device.seen.id,
        "announces": device.seen.elsewhere,
        "seen_by": device.seen.by,
        "driver": spoken.map(|spoken| &spoken.driver),
        "abilities": spoken.map(|spoken| &spoken.abilities),
        "clock_offset": spoken.and_then(|spoken| spoken.clock_offset).map(time::Duration::whole_seconds),
        "verdict": device.report.verdict,
        "chromium": device.report.chromium,
        "firefox": device.report.firefox,
        "findings": talk::findings(&device.report.findings, &device.report.target, words),
        "reason": device.no_driver.as_ref().map(|why| words.say_of(why, &device.report.target)),
        "sign_in": known.and_then(|known| known.failed.as_ref()).map(|e| words.say_of(e, &device.report.target)),
        "device": device.who.as_ref().and_then(|who| Some(&who.device.as_ref()?.name)),
        "changed": device.changed.as_ref().map(|changed| words.say_of(changed, &device.report.target)),
        "moved": device.who.as_ref().and_then(|who| who.moved.as_ref()).map(|moved| words.say(moved)),
    });
    if let (Some(shown), Some(Value::Object(known))) = (shown.as_object_mut(), known.map(known_json)) {
        shown.extend(known);
    }
    shown
}

/// Maker, model, firmware and serial number, as far as they are told.
fn told(known: &Known) -> String {
    let DeviceInfo { manufacturer, model, firmware, serial_number } = &known.device;
    let labelled = |label: &str, text: &Option<Told>| text.as_ref().map(|text| format!("{label}{text}"));
    let parts = [
        labelled("", manufacturer),
        labelled("", model),
        labelled("firmware ", firmware),
        labelled("no. ", serial_number),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn known_json(known: &Known) -> Value {
    json!({
        "manufacturer": known.device.manufacturer,
        "firmware": known.device.firmware,
        "serial_number": known.device.serial_number,
        "picture": known.picture.as_ref().map(|file| file.display().to_string()),
    })
}

fn table(met: &[Met], words: &Words) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(TABLE_WIDTH);
    }
    table.set_header(["Address", "Device", "Driver", "Verdict"]);
    for device in met {
        let mut addresses = vec![address(device)];
        let others = device.seen.hosts.iter().filter(|host| **host != device.host);
        addresses.extend(others.map(|host| format!("also {}", host.plain())));
        let known = device.driver.as_ref().map(|spoken| &spoken.known);
        let mut named = vec![described(device)];
        named.extend(known.and_then(|known| known.picture.as_ref()).map(|file| file.display().to_string()));
        let failed = known.and_then(|known| known.failed.as_ref());
        named.extend(failed.or(device.no_driver.as_ref()).map(|why| words.say(why).text));
        named.extend(device.changed.as_ref().map(|changed| words.say(changed).text));
        let moved = device.who.as_ref().and_then(|who| who.moved.as_ref());
        named.extend(moved.map(|moved| words.say(moved).text));
        addresses.extend(device.seen.elsewhere.iter().map(|host| format!("says it is {host}")));
        table.add_row([
            Cell::new(addresses.join("\n")),
            Cell::new(named.join("\n")),
            Cell::new(driver_name(device)),
            verdict_cell(device.report.verdict, device.report.chromium.unwrap_or_default()),
        ]);
    }
    table
}

/// A line on the terminal that says what goes on.
fn bar() -> ProgressBar {
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
