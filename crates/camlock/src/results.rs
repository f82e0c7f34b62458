//! What `check` found, in the form that was asked for: for people, as a table, JSON, CSV or a report in HTML.

use comfy_table::{Cell, Table};
use domain::{Finding, Report, Severity, Verdict, visible};
use inspect::Options;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use web::{Sweep, SweptCertificate, SweptFinding, SweptPage};
use words::Words;

use crate::{
    args::Check,
    failure::Failure,
    out::{Out, is_standard_output},
    talk::{self, paint, print, verdict_cell},
};

/// Up to so many targets are told at length; of more there is a table.
const FEW: usize = 8;

const CSV_COLUMNS: [&str; 16] = [
    "target",
    "verdict",
    "chromium",
    "firefox",
    "findings",
    "why",
    "fix",
    "tls",
    "subject",
    "issuer",
    "sans",
    "not_before",
    "not_after",
    "serial",
    "sha256",
    "key",
];

/// Takes the reports one by one.
pub struct Results {
    words: Words,
    form: Form,
    csv: Option<Out>,
    html: Option<Html>,
    counts: Counts,
}

/// What goes to standard output.
enum Form {
    Json {
        is_first: bool,
    },
    AtLength,
    Table(Box<Table>),
    /// What would go to a file.
    Nothing,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    secure: usize,
    not_secure: usize,
    unreachable: usize,
    /// Addresses of ranges where no page is.
    silent: usize,
}

struct Html {
    out: Out,
    sweep: Sweep,
}

impl Results {
    /// For so many targets. Files that cannot be written are told before anything is looked at.
    pub fn new(check: &Check, json: bool, count: usize, options: &Options) -> Result<Results, Failure> {
        let files = [&check.csv, &check.html].into_iter().flatten();
        let form = match (json, files.filter(|file| is_standard_output(file)).count()) {
            (true, 0) => Form::Json { is_first: true },
            (false, 0) if count <= FEW => Form::AtLength,
            (false, 0) => Form::Table(Box::new(table())),
            (false, 1) => Form::Nothing,
            _ => return Err(Failure::usage("check-one-output")),
        };
        let mut csv = check.csv.as_deref().map(Out::create).transpose()?;
        if let Some(csv) = &mut csv {
            csv.row(CSV_COLUMNS.map(str::to_owned))?;
        }
        let html = check.html.as_deref().map(Out::create).transpose()?;
        let sweep = || Sweep {
            at: options.now,
            roots: options.roots.certificates().map(|root| visible(&root.subject())).collect(),
            pages: Vec::new(),
            silent: 0,
            left_out: 0,
        };
        let html = html.map(|out| Html { out, sweep: sweep() });
        Ok(Results { words: Words::english(), form, csv, html, counts: Counts::default() })
    }

    /// The next one; `is_swept` if its target is only an address of a range.
    pub fn add(&mut self, report: Report, is_swept: bool) -> Result<(), Failure> {
        let is_silent = is_swept && report.verdict == Verdict::Unreachable;
        let counts = &mut self.counts;
        *match report.verdict {
            _ if is_silent => &mut counts.silent,
            Verdict::Secure => &mut counts.secure,
            Verdict::NotSecure => &mut counts.not_secure,
            Verdict::Unreachable => &mut counts.unreachable,
        } += 1;
        if let Form::Json { is_first } = &mut self.form {
            // A line each, as soon as it is known.
            let before = if std::mem::take(is_first) { "[\n" } else { "," };
            print(&format!("{before}{}", as_json(&report, &self.words)));
        }
        if is_silent {
            return Ok(());
        }
        match &mut self.form {
            Form::AtLength => show(&report, &self.words),
            Form::Table(table) => {
                table.add_row(row(&report, &self.words));
            }
            Form::Json { .. } | Form::Nothing => {}
        }
        if let Some(csv) = &mut self.csv {
            csv.row(csv_row(&report, &self.words))?;
        }
        if let Some(html) = &mut self.html {
            html.sweep.pages.push(page(report, &self.words));
        }
        Ok(())
    }

    /// All were told but so many, which it was stopped before.
    pub fn end(&mut self, left_out: usize) -> Result<(), Failure> {
        let Counts { secure, not_secure, unreachable, silent } = self.counts;
        match &self.form {
            Form::Json { is_first: true } => print("[]"),
            Form::Json { is_first: false } => print("]"),
            Form::Table(table) => {
                if !table.is_empty() {
                    print(&table.to_string());
                }
                let count = secure + not_secure + unreachable;
                let counts = json!({"code": "check-counts", "count": count, "secure": secure, "not_secure": not_secure,
                    "unreachable": unreachable});
                print(&self.words.say(&counts).text);
            }
            Form::AtLength | Form::Nothing => {}
        }
        if silent > 0 && matches!(self.form, Form::AtLength | Form::Table(_)) {
            print(&self.words.say(&json!({"code": "check-silent", "count": silent})).text);
        }
        if let Some(csv) = &mut self.csv {
            csv.end()?;
        }
        if let Some(Html { out, sweep }) = &mut self.html {
            (sweep.silent, sweep.left_out) = (silent, left_out);
            out.with(|mut to| sweep.write(&mut to))?;
            out.end()?;
        }
        Ok(())
    }

    /// Whether every target is secure.
    pub fn all_secure(&self) -> bool {
        let Counts { secure: _, not_secure, unreachable, silent } = self.counts;
        not_secure + unreachable + silent == 0
    }
}

fn as_json(report: &Report, words: &Words) -> serde_json::Value {
    json!({
        "target": report.target,
        "verdict": report.verdict,
        "chromium": report.chromium,
        "firefox": report.firefox,
        "findings": talk::findings(&report.findings, &report.target, words),
        "certificate": report.certificate,
        "tls": report.tls,
    })
}

fn show(report: &Report, words: &Words) {
    print(&format!("{}  {}", paint("1", &report.target), talk::verdict(report.verdict)));
    for finding in &report.findings {
        talk::finding(finding.severity(), &words.say_of(finding, &report.target));
    }
    for (browser, page) in [("Chromium", report.chromium), ("Firefox", report.firefox)] {
        if let Some(page) = page {
            print(&format!("  {browser} shows {page}"));
        }
    }
    if let Some(certificate) = &report.certificate {
        let tls = report.tls.unwrap_or_default();
        let names = certificate.sans.join(", ");
        print(&visible(&format!("  {names} from {}, {tls}", certificate.issuer)));
        print(&format!("  valid until {}", certificate.not_after.date()));
    }
}

fn table() -> Table {
    talk::table(["Target", "Verdict", "Why", "Valid until"])
}

fn row(report: &Report, words: &Words) -> [Cell; 4] {
    let until = report.certificate.as_ref().map(|c| c.not_after.date().to_string()).unwrap_or_default();
    let told: Vec<&Finding> = report.findings.iter().filter(|f| f.severity() != Severity::Info).collect();
    let why: Vec<String> = told.iter().map(|finding| visible(&words.say(finding).text)).collect();
    [
        Cell::new(&report.target),
        verdict_cell(report.verdict, report.chromium.or(report.firefox).unwrap_or_default()),
        Cell::new(why.join("\n")),
        Cell::new(until),
    ]
}

fn csv_row(report: &Report, words: &Words) -> [String; 16] {
    let said: Vec<_> = report.findings.iter().map(|finding| words.say_of(finding, &report.target)).collect();
    let codes: Vec<&str> = said.iter().map(|s| s.code.as_str()).collect();
    let whys: Vec<&str> = said.iter().map(|s| s.text.as_str()).collect();
    let mut fixes: Vec<&str> = said.iter().filter_map(|s| s.fix.as_deref()).collect();
    fixes.dedup();
    let page = |page: Option<&str>| page.unwrap_or_default().to_owned();
    let date = |date: OffsetDateTime| date.format(&Rfc3339).unwrap_or_default();
    let of = |field: &dyn Fn(&domain::CertificateSummary) -> String| {
        report.certificate.as_ref().map(field).unwrap_or_default()
    };
    [
        report.target.clone(),
        report.verdict.name().to_owned(),
        page(report.chromium),
        page(report.firefox),
        codes.join(" "),
        whys.join(" "),
        fixes.join(" "),
        page(report.tls),
        of(&|c| c.subject.clone()),
        of(&|c| c.issuer.clone()),
        of(&|c| c.sans.join(" ")),
        of(&|c| date(c.not_before)),
        of(&|c| date(c.not_after)),
        of(&|c| c.serial.clone()),
        of(&|c| c.sha256.clone()),
        of(&|c| c.key.clone()),
    ]
}

/// As the report in HTML shows it.
fn page(report: Report, words: &Words) -> SweptPage {
    let finding = |finding: &Finding| {
        let said = words.say_of(finding, &report.target);
        SweptFinding {
            code: said.code,
            severity: finding.severity(),
            text: visible(&said.text),
            fix: said.fix.as_deref().map(visible),
        }
    };
    let findings = report.findings.iter().map(finding).collect();
    let tls = report.tls.unwrap_or_default();
    let pages = [("Chromium", report.chromium), ("Firefox", report.firefox)];
    SweptPage {
        target: report.target,
        verdict: report.verdict,
        errors: pages.into_iter().filter_map(|(browser, page)| Some((browser, page?))).collect(),
        findings,
        certificate: report.certificate.map(|certificate| SweptCertificate {
            names: visible(&certificate.sans.join(", ")),
            issuer: visible(&certificate.issuer),
            not_after: certificate.not_after,
            technique: format!("{}, {tls}", certificate.key),
        }),
    }
}
