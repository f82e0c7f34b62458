//! `trust`: the root in this computer's trust stores, and as a file for others.

use std::{
    env,
    io::{IsTerminal, stdin},
    path::Path,
};

use authority::Public;
use comfy_table::{Cell, Color, Table, presets::UTF8_FULL_CONDENSED};
use domain::{Severity, visible};
use pki::Certificate;
use serde_json::{Value, json};
use trust::{Act, Kind, Machine, Mbedtls, Plan, Problem, Root, State, Store, Wish};
use words::Words;

use crate::{
    args::{Trust, TrustAction, TrustChange},
    authority_commands::description,
    failure::Failure,
    files,
    setting::{self, Setting},
    talk::{cell, finding, finding_json, grouped, paint, print, print_json, quoted, say, tell},
};

pub async fn run(trust: &Trust, setting: &Setting) -> Result<bool, Failure> {
    match &trust.action {
        TrustAction::Export { out } => export(out.as_deref(), setting).await,
        TrustAction::Install(change) => changed(Wish::Install, change, setting).await,
        TrustAction::Uninstall(change) => changed(Wish::Uninstall, change, setting).await,
        TrustAction::Status { ca } => {
            let machine = Machine::this();
            let chapters = chapters(ca.as_deref(), setting, &machine, |store, root| {
                let state = store.look(root, &machine)?;
                Ok(Plan { state, acts: Vec::new() })
            });
            let chapters = chapters.await?;
            show(&chapters, None, setting, Tense::Now);
            Ok(chapters.iter().flat_map(|c| &c.rows).all(|row| row.is_trusted() == Some(true)))
        }
    }
}

async fn export(out: Option<&Path>, setting: &Setting) -> Result<bool, Failure> {
    let public = Public::read(&setting.store().await?).await?;
    let roots = public.trusted();
    let pem: String = roots.iter().map(Certificate::to_pem).collect();
    let file = match out {
        Some(file) if !files::is_standard(file) => {
            site::write_new(file, pem.as_bytes(), 0o644)?;
            say(&json!({"code": "root-written", "file": file.display().to_string()}));
            for root in &roots {
                tell(&format!("SHA-256 {}  {}", grouped(&root.sha256()), root.subject()));
            }
            vec![file.display().to_string()]
        }
        _ if setting.json => Vec::new(),
        _ => {
            print(pem.trim_end());
            return Ok(true);
        }
    };
    if setting.json {
        let mut shown = description(&public);
        shown["pem"] = json!(pem);
        shown["files"] = json!(file);
        print_json(&shown);
    }
    Ok(true)
}

/// One root and what becomes of it in each store.
struct Chapter {
    certificate: Certificate,
    root: Root,
    rows: Vec<Row>,
}

struct Row {
    store: Store,
    plan: Result<Plan, Problem>,
    /// Something was done to the store.
    done: bool,
}

impl Row {
    fn is_trusted(&self) -> Option<bool> {
        match &self.plan {
            Ok(plan) => Some(plan.state.is_trusted()),
            Err(Problem::PutByAnother { .. }) => Some(true),
            Err(Problem::WithoutTrust { .. }) => Some(false),
            Err(_) => None,
        }
    }

    fn acts(&self) -> &[Act] {
        self.plan.as_ref().map(|plan| &plan.acts[..]).unwrap_or_default()
    }

    fn holds(&self, wish: Wish) -> bool {
        self.plan.as_ref().is_ok_and(|plan| plan.state.is_trusted() == (wish == Wish::Install))
    }
}

/// What a table tells of.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Tense {
    /// The stores as they are.
    Now,
    /// What will be done.
    Will(Wish),
    /// What was done.
    Did(Wish),
}

/// The roots, each with the stores of this computer.
async fn chapters(
    ca: Option<&Path>,
    setting: &Setting,
    machine: &Machine,
    look: impl Fn(&Store, &Root) -> Result<Plan, Problem>,
) -> Result<Vec<Chapter>, Failure> {
    let certificates = match ca {
        Some(file) => {
            let bytes = std::fs::read(file).map_err(|e| Failure::file("file-unreadable", file, &e))?;
            Certificate::read_all(&bytes)?
        }
        None => Public::read(&setting.store().await?).await?.trusted(),
    };
    let stores = trust::stores(machine);
    if stores.is_empty() {
        return Err(Failure { said: json!({"code": "no-trust-stores"}), exit: 1 });
    }
    let chapter = |certificate: Certificate| {
        let root = Root { der: certificate.der().to_vec(), sha256: certificate.sha256() };
        let row = |store: &Store| Row { plan: look(store, &root), store: store.clone(), done: false };
        Chapter { rows: stores.iter().map(row).collect(), root, certificate }
    };
    Ok(certificates.into_iter().map(chapter).collect())
}

async fn changed(wish: Wish, change: &TrustChange, setting: &Setting) -> Result<bool, Failure> {
    let machine = Machine::this();
    let mut chapters =
        chapters(change.ca.as_deref(), setting, &machine, |store, root| store.plan(wish, root, &machine))
            .await?;
    let mbedtls = endangered(wish, &chapters).then(|| trust::mbedtls(&machine));
    let idle = chapters.iter().flat_map(|c| &c.rows).all(|row| row.acts().is_empty());
    if !setting.json || change.dry_run {
        show(&chapters, mbedtls.as_ref(), setting, Tense::Will(wish));
    }
    if change.dry_run {
        tell_as_root(&chapters, wish, change, setting);
        return Ok(true);
    }
    if idle {
        if setting.json {
            show(&chapters, None, setting, Tense::Did(wish));
        } else {
            say(&json!({"code": "nothing-to-do"}));
        }
        tell_as_root(&chapters, wish, change, setting);
        return Ok(chapters.iter().flat_map(|c| &c.rows).all(|row| row.holds(wish)));
    }
    let with_system = consent(mbedtls.as_ref(), setting)?;
    for chapter in &mut chapters {
        for row in &mut chapter.rows {
            if with_system || !matches!(row.store.kind, Kind::System(_) | Kind::Java { derived: true }) {
                perform(row, wish, &chapter.root, &machine);
            }
        }
    }
    if !setting.json {
        print("");
    }
    show(&chapters, mbedtls.as_ref().filter(|_| setting.json), setting, Tense::Did(wish));
    tell_as_root(&chapters, wish, change, setting);
    let done = chapters.iter().flat_map(|c| &c.rows).any(|row| row.done);
    if done {
        say(&json!({"code": "restart-browsers"}));
    }
    let policy = |row: &Row| row.done && row.store.kind == Kind::FirefoxPolicy;
    if wish == Wish::Uninstall && chapters.iter().flat_map(|c| &c.rows).any(policy) {
        say(&json!({"code": "firefox-keeps"}));
    }
    Ok(chapters.iter().flat_map(|c| &c.rows).all(|row| row.holds(wish)))
}

/// Whether software with mbedTLS may lose all its roots by this one.
fn endangered(wish: Wish, chapters: &[Chapter]) -> bool {
    let writes = |row: &Row| matches!(row.store.kind, Kind::System(_)) && !row.acts().is_empty();
    wish == Wish::Install
        && chapters.iter().any(|c| c.certificate.has_name_constraints() && c.rows.iter().any(writes))
}

/// Asks for it; whether the system's store may be changed, too. Without a terminal, what is missing is wrong use.
fn consent(mbedtls: Option<&Mbedtls>, setting: &Setting) -> Result<bool, Failure> {
    if setting.yes {
        return Ok(true);
    }
    if !stdin().is_terminal() {
        return Err(Failure::usage("trust-consent"));
    }
    let agreed = |question: Value| setting::agrees(&question).unwrap_or(false);
    if !agreed(json!({"code": "ask-trust"})) {
        return Err(Failure::usage("nothing-done"));
    }
    Ok(mbedtls.is_none_or(|found| *found == Mbedtls::default()) || agreed(json!({"code": "ask-mbedtls"})))
}

/// Does what is to be done now, which another store's change may have made less, and looks at the outcome.
fn perform(row: &mut Row, wish: Wish, root: &Root, machine: &Machine) {
    if row.plan.is_err() {
        return;
    }
    let (mut done, mut acts) = (false, Vec::new());
    let outcome = row.store.plan(wish, root, machine).and_then(|plan| {
        acts = plan.acts;
        trust::perform(&acts)?;
        done = !acts.is_empty();
        row.store.verify(wish, root, machine)
    });
    row.done = done;
    row.plan = outcome.map(|state| Plan { state, acts });
}

fn show(chapters: &[Chapter], mbedtls: Option<&Mbedtls>, setting: &Setting, tense: Tense) {
    let words = Words::english();
    if setting.json {
        let roots: Vec<Value> = chapters.iter().map(|chapter| chapter_json(chapter, &words)).collect();
        let mut shown = json!({"roots": roots});
        if let Some(found) = mbedtls {
            shown["mbedtls"] = mbedtls_json(found);
        }
        return print_json(&shown);
    }
    for chapter in chapters {
        print(&paint("1", &visible(&chapter.certificate.subject())));
        print(&format!("  SHA-256  {}", grouped(&chapter.root.sha256)));
        print(&table(&chapter.rows, tense, &words).to_string());
        let mut said = Vec::new();
        for sentence in chapter.rows.iter().filter_map(|row| Some(words.say(row.plan.as_ref().err()?))) {
            // Stores with the same problem have one sentence.
            if !said.contains(&sentence) {
                finding(Severity::Warning, &sentence);
                said.push(sentence);
            }
        }
        if matches!(tense, Tense::Will(_)) && chapter.rows.iter().any(|row| !row.acts().is_empty()) {
            print("");
            chapter
                .rows
                .iter()
                .flat_map(Row::acts)
                .for_each(|act| print(&visible(&format!("  {}", act_text(act, &words)))));
        }
    }
    if let Some(found) = mbedtls {
        print("");
        let (severity, sentence) = match *found == Mbedtls::default() {
            true => (Severity::Info, words.say(&json!({"code": "mbedtls-not-found"}))),
            false => (Severity::Warning, words.say(&mbedtls_json(found))),
        };
        finding(severity, &sentence);
    }
}

fn table(rows: &[Row], tense: Tense, words: &Words) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["For", "Trust store", "Root"]);
    for row in rows {
        let (color, sign, code) = look(row, tense);
        let said = match (&row.plan, code) {
            (Err(problem), _) => words.say(problem).code,
            (Ok(_), code) => words.say(&json!({ "code": code })).text,
        };
        table.add_row([
            Cell::new(reader(&row.store, words)),
            Cell::new(short(&row.store.place)),
            cell(color, &format!("{sign} {said}")),
        ]);
    }
    table
}

/// Colour, sign and code of what a row says.
fn look(row: &Row, tense: Tense) -> (Color, char, &'static str) {
    let Ok(plan) = &row.plan else { return (Color::DarkYellow, '!', "") };
    let follows = matches!(row.store.kind, Kind::Java { derived: true }) && plan.acts.is_empty();
    match (tense, &plan.state) {
        (Tense::Will(Wish::Install), State::Absent) if follows => (Color::DarkCyan, '+', "trust-follows"),
        (Tense::Will(Wish::Uninstall), State::Ours) if follows => (Color::DarkCyan, '-', "trust-follows"),
        (Tense::Will(Wish::Install), _) if !plan.acts.is_empty() => (Color::DarkCyan, '+', "trust-will-add"),
        (Tense::Will(Wish::Uninstall), _) if !plan.acts.is_empty() => {
            (Color::DarkCyan, '-', "trust-will-remove")
        }
        (Tense::Did(Wish::Install), State::Ours) if row.done => (Color::DarkGreen, '✓', "trust-added"),
        (Tense::Did(Wish::Uninstall), State::Absent) if row.done => (Color::DarkGreen, '✓', "trust-removed"),
        (Tense::Now, State::Absent) => (Color::DarkRed, '✗', "trust-absent"),
        (_, State::Absent) => (Color::DarkGrey, '·', "trust-absent"),
        (_, State::Partial) => (Color::DarkYellow, '!', "trust-partial"),
        (_, State::Ours) => (Color::DarkGreen, '✓', "trust-ours"),
        (_, State::Foreign { .. }) => (Color::DarkGreen, '✓', "trust-foreign"),
    }
}

/// Who reads a store.
fn reader(store: &Store, words: &Words) -> String {
    match store.kind {
        Kind::System(_) => words.say(&json!({"code": "reader-system"})).text,
        Kind::Windows { .. } | Kind::Macos { .. } => words.say(&json!({"code": "reader-computer"})).text,
        Kind::FirefoxPolicy | Kind::ChromiumPolicy => {
            words.say(&json!({"code": "reader-policy", "program": store.reader})).text
        }
        Kind::Nss { .. } | Kind::Java { .. } => store.reader.to_owned(),
    }
}

/// A path with `~` for the home.
fn short(path: &Path) -> String {
    let home = env::home_dir().filter(|home| home.parent().is_some());
    match home.as_ref().and_then(|home| path.strip_prefix(home).ok()) {
        Some(below) => format!("~/{}", below.display()),
        None => path.display().to_string(),
    }
}

fn act_text(act: &Act, words: &Words) -> String {
    let said = match act {
        Act::MakeFolder(folder) => json!({"code": "act-make-folder", "file": folder.display().to_string()}),
        Act::WriteFile(file, _) => json!({"code": "act-write", "file": file.display().to_string()}),
        Act::RemoveFile(file) => json!({"code": "act-remove", "file": file.display().to_string()}),
        Act::RemoveFolder(folder) => {
            json!({"code": "act-remove-folder", "file": folder.display().to_string()})
        }
        Act::Run(tool, _) => json!({"code": "act-run", "command": tool.to_string()}),
        Act::Rewrite(file, tool) => {
            json!({"code": "act-rewrite", "file": file.display().to_string(), "tool": tool.name()})
        }
    };
    words.say(&said).text
}

fn chapter_json(chapter: &Chapter, words: &Words) -> Value {
    let stores: Vec<Value> = chapter.rows.iter().map(|row| row_json(row, words)).collect();
    json!({"subject": chapter.certificate.subject(), "sha256": chapter.root.sha256, "stores": stores})
}

fn row_json(row: &Row, words: &Words) -> Value {
    let name = match &row.plan {
        Ok(Plan { state: State::Foreign { name }, .. }) => Some(name),
        _ => None,
    };
    json!({
        "kind": row.store.kind.name(),
        "reader": reader(&row.store, words),
        "place": row.store.shown(),
        "trusted": row.is_trusted(),
        "by_another_hand": name,
        "acts": row.acts().iter().map(|act| act_text(act, words)).collect::<Vec<_>>(),
        "changed": row.done,
        "problem": row.plan.as_ref().err().map(|problem| finding_json(Severity::Warning, &words.say(problem))),
    })
}

fn mbedtls_json(found: &Mbedtls) -> Value {
    let libraries: Vec<String> = found.libraries.iter().map(|file| file.display().to_string()).collect();
    json!({"code": "mbedtls-found", "libraries": libraries, "packages": found.packages, "count": found.packages.len()})
}

/// The same command as root, if that is what is missing.
fn tell_as_root(chapters: &[Chapter], wish: Wish, change: &TrustChange, setting: &Setting) {
    let needed = chapters.iter().flat_map(|c| &c.rows).any(|row| row.plan == Err(Problem::NeedsRoot));
    let Ok(program) = env::current_exe() else { return };
    if !needed {
        return;
    }
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let source = match (&change.ca, setting.directory()) {
        (Some(file), _) => Some(("--ca", absolute(file))),
        (None, Ok(directory)) => Some(("--data", absolute(&directory))),
        (None, Err(_)) => None,
    };
    let action = if wish == Wish::Install { "install" } else { "uninstall" };
    let mut command = format!("sudo {} trust {action}", quoted(&program));
    if let Some((option, path)) = source {
        command += &format!(" {option} {}", quoted(&path));
    }
    say(&json!({"code": "as-root", "command": command}));
}
