//! Talk goes to standard error, results to standard output.

use std::{
    io::{IsTerminal, Write},
    path::Path,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use comfy_table::{Cell, Color, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use domain::{Finding, Severity, Verdict, visible};
use serde::Serialize;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use words::{Sentence, Words};

use crate::failure::Failure;

/// Whether something of the result is on standard output.
static HAS_RESULT: AtomicBool = AtomicBool::new(false);

/// Says why a command ended without a result; where that would have been a document, so is this.
pub fn explain(failure: &Failure, json: bool) -> ExitCode {
    complain("error", &failure.said);
    if json && !HAS_RESULT.load(Ordering::Relaxed) {
        print_json(&json!({"error": Words::english().say(&failure.said)}));
    }
    ExitCode::from(failure.exit)
}

/// Whether this is the service, of which each line is one of its log.
static IS_SERVICE: AtomicBool = AtomicBool::new(false);

/// From now on what the operator should know goes to the log.
pub fn be_the_service() {
    IS_SERVICE.store(true, Ordering::Relaxed);
}

/// Says what the operator should know, and goes on.
pub fn warn(thing: &impl Serialize) {
    match IS_SERVICE.load(Ordering::Relaxed) {
        true => log(Level::Warning, thing),
        false => complain("warning", thing),
    }
}

fn complain(word: &str, thing: &impl Serialize) {
    let sentence = Words::english().say(thing);
    tell_all(&format!("{word}: {}", visible(&sentence.text)), &sentence);
}

fn tell_all(line: &str, sentence: &Sentence) {
    tell(line);
    if let Some(fix) = &sentence.fix {
        tell(&format!("  {} {}", paint_for(&std::io::stderr(), "2", "→"), visible(fix)));
    }
}

/// A line of talk.
pub fn tell(line: &str) {
    // Nobody can be told that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The sentence of a code, as talk.
pub fn say(thing: &impl Serialize) {
    tell(&visible(&Words::english().say(thing).text));
}

/// How much a line of the log weighs.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Level {
        match severity {
            Severity::Info => Level::Info,
            Severity::Warning => Level::Warning,
            Severity::Error => Level::Error,
        }
    }
}

/// A line of the service's log on standard error: the sentence for a person at a terminal; else one JSON object
/// with time, level, the code with its arguments, the sentence, and what to do.
pub fn log(level: Level, thing: &impl Serialize) {
    let said = Words::english().say(thing);
    if std::io::stderr().is_terminal() {
        return tell_all(&visible(&said.text), &said);
    }
    let mut line = serde_json::to_value(thing).unwrap_or_default();
    line["time"] = json!(OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default());
    line["level"] = json!(level);
    line["text"] = json!(said.text);
    if let Some(fix) = said.fix {
        line["fix"] = json!(fix);
    }
    tell(&line.to_string());
}

/// A line of the result.
pub fn print(line: &str) {
    HAS_RESULT.store(true, Ordering::Relaxed);
    // A reader that has gone away (`| head`) ends the talking, not the work.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The result as one JSON document.
pub fn print_json(value: &impl Serialize) {
    print(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// A line of the result in colour on a terminal, if NO_COLOR does not forbid it.
pub fn paint(style: &str, text: &str) -> String {
    paint_for(&std::io::stdout(), style, text)
}

fn paint_for(stream: &impl IsTerminal, style: &str, text: &str) -> String {
    match has_colour(stream) {
        true => format!("\x1b[{style}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

fn has_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A verdict for people.
pub fn verdict(verdict: Verdict) -> String {
    let (style, _, text) = look(verdict);
    paint(style, text)
}

/// A verdict's colour, as escape code and for a table, and its words.
fn look(verdict: Verdict) -> (&'static str, Color, &'static str) {
    match verdict {
        Verdict::Secure => ("32", Color::DarkGreen, "✓ secure"),
        Verdict::NotSecure => ("31", Color::DarkRed, "✗ not secure"),
        Verdict::Unreachable => ("33", Color::DarkYellow, "? unreachable"),
    }
}

/// A verdict in a table, with a line below it or none.
pub fn verdict_cell(verdict: Verdict, below: &str) -> Cell {
    let (_, color, text) = look(verdict);
    cell(color, format!("{text}\n{below}").trim_end())
}

/// Below this a terminal has no width that it knows of: some say that theirs is nothing.
const WIDTH_MIN: u16 = 60;

/// A table, as wide as the terminal if there is one.
pub fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    if table.width().is_some_and(|width| width >= WIDTH_MIN) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// A coloured text in a table. The table colours the cell itself: it would count the escape codes of a painted text as
/// letters.
pub fn cell(color: Color, text: &str) -> Cell {
    let cell = Cell::new(text);
    if has_colour(&std::io::stdout()) { cell.fg(color) } else { cell }
}

/// Findings at a device as JSON.
pub fn findings(findings: &[Finding], target: &str, words: &Words) -> Vec<Value> {
    findings.iter().map(|f| finding_json(f.severity(), &words.say_of(f, target))).collect()
}

/// A finding as JSON.
pub fn finding_json(severity: Severity, sentence: &Sentence) -> Value {
    json!({"code": sentence.code, "severity": severity, "text": sentence.text, "fix": sentence.fix})
}

/// A finding with what to do about it.
pub fn finding(severity: Severity, sentence: &Sentence) {
    let sign = match severity {
        Severity::Error => paint("31", "✗"),
        Severity::Warning => paint("33", "!"),
        Severity::Info => paint("36", "i"),
    };
    print(&format!("  {sign} {} {}", visible(&sentence.text), paint("2", &format!("({})", sentence.code))));
    if let Some(fix) = &sentence.fix {
        print(&format!("    {} {}", paint("2", "→"), visible(fix)));
    }
}

/// A fingerprint in groups that can be compared by eye.
pub fn grouped(hex: &str) -> String {
    let upper = hex.to_ascii_uppercase();
    let pairs: Vec<&str> = (0..upper.len() / 2).map(|i| &upper[2 * i..2 * i + 2]).collect();
    pairs.join(":")
}

/// A path as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "-_./+@%,:=".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
