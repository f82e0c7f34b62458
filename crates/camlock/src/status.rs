//! `status`: how the site stands, in five lines, and what to do next.

use domain::{Severity, visible};
use serde_json::{Value, json};
use site::{Status, status};
use store::Store;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use words::Words;

use crate::{
    failure::Failure,
    setting::Setting,
    talk::{finding_json, paint, print, print_json},
};

pub async fn run(setting: &Setting) -> Result<bool, Failure> {
    // Whoever looks changes nothing.
    let store = Store::open_to_read(&setting.directory()?).await?;
    let read = status(&store, OffsetDateTime::now_utc()).await;
    store.close().await;
    let status = read?;
    let words = Words::english();
    if setting.json {
        print_json(&document(&status, &words));
    } else {
        show(&status, &words);
    }
    Ok(status.troubles.is_empty())
}

fn document(status: &Status, words: &Words) -> Value {
    let backup = status.backup.as_ref();
    let troubles =
        status.troubles.iter().map(|trouble| finding_json(trouble.severity(), &words.say(trouble)));
    json!({
        "site": status.site,
        "devices": status.devices,
        "backup": backup.map(|last| json!({"at": last.at.format(&Rfc3339).ok(), "file": last.file})),
        "served": status.is_served,
        "troubles": troubles.collect::<Vec<_>>(),
    })
}

fn show(status: &Status, words: &Words) {
    let say = |thing: &Value| words.say(thing).text;
    let (devices, count) = (&status.devices, status.troubles.len());
    let next = match status.troubles.first() {
        Some(trouble) => words.say(trouble),
        None if devices.count == 0 => words.say(&json!({"code": "no-device-known"})),
        None => words.say(&json!({"code": "nothing-wrong"})),
    };
    let told = json!({
        "code": "status-devices",
        "count": devices.count,
        "secure": devices.secure,
        "strange": devices.strange,
        "seen": devices.seen,
    });
    let backup = match &status.backup {
        Some(last) => json!({"code": "last-backup", "at": last.at.date(), "file": last.file}),
        None => json!({"code": "status-no-backup"}),
    };
    let served = if status.is_served { "status-served" } else { "status-not-served" };
    let mut lines = vec![
        ("devices", say(&told)),
        ("due", say(&json!({"code": "status-due", "count": devices.due}))),
        ("backup", say(&backup)),
        ("service", say(&json!({"code": served}))),
        ("next", next.text),
    ];
    lines.extend(next.fix.map(|fix| ("", format!("→ {fix}"))));
    if count > 1 {
        lines.push(("", say(&json!({"code": "status-more", "count": count - 1}))));
    }
    print(&paint("1", &status.site));
    for (name, text) in lines {
        let style = match status.troubles.first().map(site::Trouble::severity) {
            Some(Severity::Error) if name == "next" => "31",
            Some(_) if name == "next" => "33",
            _ => "",
        };
        print(&format!("  {name:9}{}", paint(style, &visible(&text))));
    }
}
