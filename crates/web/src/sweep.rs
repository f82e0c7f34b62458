//! The report of a sweep: one file with everything in it, to be looked at, sent on and printed.

use std::{cmp::Reverse, collections::BTreeMap, io};

use askama::Template;
use domain::{Severity, Verdict};
use time::{Date, Month, OffsetDateTime, macros::format_description};

use crate::view::{DateView, Ring};

/// What many targets showed. All text in it is shown as text, whatever it holds.
#[derive(Debug)]
pub struct Sweep {
    /// When it was looked.
    pub at: OffsetDateTime,
    /// The roots that the browser's computer trusts.
    pub roots: Vec<String>,
    /// The targets.
    pub pages: Vec<SweptPage>,
    /// Addresses of ranges at which no page is.
    pub silent: usize,
    /// So many targets were left out, since it was stopped.
    pub left_out: usize,
}

/// What one target showed.
#[derive(Debug)]
pub struct SweptPage {
    /// As the operator wrote it.
    pub target: String,
    /// The one word.
    pub verdict: Verdict,
    /// The error page of each browser, if it would show one.
    pub errors: Vec<(&'static str, &'static str)>,
    /// What was seen, the weightiest first.
    pub findings: Vec<SweptFinding>,
    /// The certificate, if one was served.
    pub certificate: Option<SweptCertificate>,
}

/// One thing that was seen.
#[derive(Debug)]
pub struct SweptFinding {
    /// Its code.
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What it is.
    pub text: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// What people want to know of a certificate.
#[derive(Debug)]
pub struct SweptCertificate {
    /// The names that it is for.
    pub names: String,
    /// Who issued it.
    pub issuer: String,
    /// Its last second.
    pub not_after: OffsetDateTime,
    /// Kind of key, and version of TLS.
    pub technique: String,
}

impl Sweep {
    /// Writes the document.
    pub fn write(&self, to: &mut impl io::Write) -> io::Result<()> {
        SweepView::new(self).write_into(to)
    }
}

#[derive(Template)]
#[template(path = "sweep.html")]
struct SweepView<'a> {
    sweep: &'a Sweep,
    style: &'static str,
    headline: String,
    made: DateView,
    clock: String,
    ring: Ring,
    all_secure: bool,
    tiles: Vec<Tile>,
    reasons: Vec<Reason<'a>>,
    columns: Vec<Column>,
    rows: Vec<Row<'a>>,
}

impl<'a> SweepView<'a> {
    fn new(sweep: &'a Sweep) -> SweepView<'a> {
        let total = sweep.pages.len();
        let of = |verdict| sweep.pages.iter().filter(|page| page.verdict == verdict).count();
        let secure = of(Verdict::Secure);
        let mut pages: Vec<&SweptPage> = sweep.pages.iter().collect();
        // What wants doing comes first.
        pages.sort_by_key(|page| Badge::of(page.verdict).place);
        SweepView {
            sweep,
            style: concat!(include_str!("../assets/style.css"), include_str!("../assets/sweep.css")),
            headline: match (secure, total) {
                (_, 0) => "No web page was found".to_owned(),
                (1, 1) => "The page is secure".to_owned(),
                (secure, total) if secure == total => format!("All {total} pages are secure"),
                (secure, total) => format!("{secure} of {total} pages are secure"),
            },
            made: DateView::new(sweep.at.date()),
            clock: sweep.at.format(format_description!("[hour]:[minute] UTC")).unwrap_or_default(),
            ring: Ring::new(secure, total),
            all_secure: secure == total,
            tiles: [Verdict::Secure, Verdict::NotSecure, Verdict::Unreachable]
                .into_iter()
                .map(|verdict| Tile {
                    badge: Badge::of(verdict),
                    count: of(verdict),
                    share: share(of(verdict), total),
                })
                .collect(),
            reasons: reasons(&sweep.pages),
            columns: columns(&sweep.pages, sweep.at),
            rows: pages.into_iter().map(Row::new).collect(),
        }
    }
}

/// Percent of all, as a length in a picture.
fn share(count: usize, all: usize) -> String {
    format!("{:.2}", 100.0 * count as f64 / all.max(1) as f64)
}

struct Badge {
    class: &'static str,
    icon: &'static str,
    word: &'static str,
    place: u8,
}

impl Badge {
    fn of(verdict: Verdict) -> Badge {
        let (place, class, icon, word) = match verdict {
            Verdict::NotSecure => (0, "bad", "warning", "not secure"),
            Verdict::Unreachable => (1, "gone", "gone", "unreachable"),
            Verdict::Secure => (2, "good", "lock", "secure"),
        };
        Badge { class, icon, word, place }
    }
}

struct Tile {
    badge: Badge,
    count: usize,
    share: String,
}

/// A kind of finding, and how many targets have it.
struct Reason<'a> {
    label: String,
    class: &'static str,
    count: usize,
    share: String,
    /// What to do, if that is the same for all of them.
    fix: Option<&'a str>,
}

/// The weightiest kinds first, and of equals the most frequent.
fn reasons(pages: &[SweptPage]) -> Vec<Reason<'_>> {
    // Of each kind what to do, once for each finding.
    let mut kinds: BTreeMap<(Severity, &str), Vec<Option<&str>>> = BTreeMap::new();
    for finding in pages.iter().flat_map(|page| &page.findings) {
        if finding.severity != Severity::Info {
            kinds.entry((finding.severity, &finding.code)).or_default().push(finding.fix.as_deref());
        }
    }
    let most = kinds.values().map(Vec::len).max().unwrap_or_default();
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|((severity, _), fixes)| (*severity, Reverse(fixes.len())));
    let kinds = kinds.into_iter();
    kinds
        .map(|((severity, code), fixes)| Reason {
            label: label(code),
            class: class(severity),
            count: fixes.len(),
            share: share(fixes.len(), most),
            fix: fixes.first().filter(|first| fixes.iter().all(|fix| fix == *first)).copied().flatten(),
        })
        .collect()
}

/// A code as words.
fn label(code: &str) -> String {
    let word = |word: &str| match word {
        "http" | "tls" => word.to_uppercase(),
        "apple" => "Apple".to_owned(),
        word => word.to_owned(),
    };
    code.split('-').map(word).collect::<Vec<_>>().join(" ")
}

fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "bad",
        Severity::Warning => "warn",
        Severity::Info => "info",
    }
}

/// A month in which certificates end.
struct Column {
    label: String,
    /// Said by a browser that reads aloud.
    title: String,
    class: &'static str,
    count: usize,
    height: String,
}

/// What has ended, what ends in each of twelve months, and what ends later.
fn columns(pages: &[SweptPage], now: OffsetDateTime) -> Vec<Column> {
    const MONTHS: usize = 12;
    let month = |date: Date| date.year() * 12 + i32::from(u8::from(date.month())) - 1;
    let first = month(now.date());
    let mut counts = [0; MONTHS + 2];
    for certificate in pages.iter().filter_map(|page| page.certificate.as_ref()) {
        let place = match certificate.not_after < now {
            true => 0,
            false => usize::try_from(month(certificate.not_after.date()) - first).unwrap_or(MONTHS) + 1,
        };
        counts[place.min(MONTHS + 1)] += 1;
    }
    let most = counts.into_iter().max().unwrap_or_default();
    let column = |(place, count): (usize, usize)| {
        let number = first + place as i32 - 1;
        let name = Month::January.nth_next(number.rem_euclid(12) as u8).to_string();
        let (label, title, class) = match place {
            0 => ("ended".to_owned(), "have ended".to_owned(), "bad"),
            13 => ("later".to_owned(), "end later".to_owned(), "good"),
            _ => {
                let year = number.div_euclid(12);
                let class = if place <= 2 { "warn" } else { "good" };
                (name.chars().take(3).collect(), format!("end in {name} {year}"), class)
            }
        };
        Column { label, title, class, count, height: share(count, most) }
    };
    counts.into_iter().enumerate().map(column).collect()
}

struct Row<'a> {
    page: &'a SweptPage,
    badge: Badge,
    findings: Vec<(&'static str, &'a SweptFinding)>,
    until: Option<DateView>,
}

impl<'a> Row<'a> {
    fn new(page: &'a SweptPage) -> Row<'a> {
        Row {
            page,
            badge: Badge::of(page.verdict),
            findings: page.findings.iter().map(|finding| (class(finding.severity), finding)).collect(),
            until: page.certificate.as_ref().map(|c| DateView::new(c.not_after.date())),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn page(
        verdict: Verdict,
        not_after: Option<OffsetDateTime>,
        findings: &[(&str, Severity, &str)],
    ) -> SweptPage {
        SweptPage {
            target: "gate.lan".into(),
            verdict,
            errors: Vec::new(),
            findings: findings
                .iter()
                .map(|(code, severity, fix)| SweptFinding {
                    code: (*code).into(),
                    severity: *severity,
                    text: String::new(),
                    fix: Some((*fix).into()),
                })
                .collect(),
            certificate: not_after.map(|not_after| SweptCertificate {
                names: String::new(),
                issuer: String::new(),
                not_after,
                technique: String::new(),
            }),
        }
    }

    #[test]
    fn certificates_are_counted_in_the_month_of_their_end() {
        let now = datetime!(2026-11-29 12:00 UTC);
        let ends = [
            datetime!(2026-11-29 11:59 UTC),
            datetime!(2026-11-30 23:59:59 UTC),
            datetime!(2026-12-01 0:00 UTC),
            datetime!(2027-10-31 0:00 UTC),
            datetime!(2027-11-01 0:00 UTC),
            datetime!(9999-12-31 23:59:59 UTC),
        ];
        let pages = ends.map(|end| page(Verdict::Secure, Some(end), &[]));
        let columns = columns(&pages, now);
        let counts: Vec<usize> = columns.iter().map(|column| column.count).collect();
        assert_eq!(counts, [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        let labels: Vec<&str> = columns.iter().map(|column| column.label.as_str()).collect();
        assert_eq!((labels[1], labels[2], labels[3], labels[12]), ("Nov", "Dec", "Jan", "Oct"));
        assert_eq!(columns[12].title, "end in October 2027");
        assert_eq!(columns[13].height, "100.00");
    }

    #[test]
    fn what_is_wrong_is_told_by_weight_and_number() {
        use Severity::{Error, Info, Warning};
        let pages = [
            page(Verdict::NotSecure, None, &[("wrong-name", Error, "to a"), ("http-open", Warning, "off")]),
            page(Verdict::NotSecure, None, &[("wrong-name", Error, "to b"), ("http-open", Warning, "off")]),
            page(Verdict::NotSecure, None, &[("expired", Error, "renew"), ("restarts", Info, "")]),
            page(Verdict::Secure, None, &[("http-open", Warning, "off")]),
        ];
        let reasons = reasons(&pages);
        let told: Vec<_> = reasons.iter().map(|r| (r.label.as_str(), r.count, r.fix)).collect();
        let expected =
            [("wrong name", 2, None), ("expired", 1, Some("renew")), ("HTTP open", 3, Some("off"))];
        assert_eq!(told, expected);
        assert_eq!(reasons[2].share, "100.00");
    }
}
