//! The page's values as the templates print them: all choices of words and shapes that depend on a value.
//! Templates hold only what is the same for everybody.

use askama::Template;
use domain::{KeyTransport, Step, StepState, Verdict};
use serde_json::json;
use time::{Date, macros::format_description};
use words::Words;

use crate::page::{Camera, Count, Page, SignIn, StepLine};

/// The page itself.
#[derive(Template)]
#[template(path = "page.html")]
pub(crate) struct PageView<'a> {
    site: &'a str,
    sign_in: Option<&'a SignIn>,
    locked: bool,
    /// Cameras that are not shown, since there are too many for one page.
    more: usize,
    headline: String,
    all_secure: bool,
    ring: Ring,
    cameras: Vec<CameraView<'a>>,
    /// Whether the site moves to a new root.
    moving: bool,
    words: &'a Words,
}

/// What stands where the data cannot be read.
#[derive(Template)]
#[template(path = "unavailable.html")]
pub(crate) struct UnavailableView;

/// What stands where nothing is.
#[derive(Template)]
#[template(path = "not_found.html")]
pub(crate) struct NotFoundView;

impl<'a> PageView<'a> {
    pub(crate) fn new(page: &'a Page, words: &'a Words) -> PageView<'a> {
        let Count { secure, total } = page.count;
        PageView {
            site: &page.trust.site,
            sign_in: page.sign_in.as_ref(),
            locked: page.locked,
            more: total.saturating_sub(page.cameras.len()),
            headline: match total {
                0 => "No cameras yet".to_owned(),
                1 => format!("{secure} of 1 camera secure"),
                _ => format!("{secure} of {total} cameras secure"),
            },
            all_secure: secure == total && total > 0,
            ring: Ring::new(secure, total),
            cameras: page.cameras.iter().map(CameraView::new).collect(),
            moving: page.trust.next.is_some(),
            words,
        }
    }

    fn say(&self, code: &str) -> String {
        self.words.say(&json!({"code": code})).text
    }
}

/// The ring of the headline: one arc for each camera, as values of `stroke-dasharray`.
pub(crate) struct Ring {
    pub(crate) length: usize,
    /// Degrees that bring the last gap to the top.
    pub(crate) turn: f64,
    pub(crate) all: String,
    pub(crate) secure: String,
}

impl Ring {
    pub(crate) fn new(secure: usize, total: usize) -> Ring {
        let length = total.max(1);
        // So many arcs that the gaps would eat them: one arc is drawn instead.
        let (arc, gap) = if (2..=24).contains(&length) { (0.9, 0.1) } else { (1.0, 0.0) };
        let mut drawn = format!("{arc} {gap} ").repeat(secure);
        drawn.push_str(&format!("0 {length}"));
        Ring { length, turn: 180.0 * gap / length as f64 - 90.0, all: format!("{arc} {gap}"), secure: drawn }
    }
}

struct CameraView<'a> {
    camera: &'a Camera,
    badge: Badge,
    bars: [Bar<'a>; 2],
    open: Option<&'a str>,
    key: &'static str,
    key_clear: bool,
    track: Vec<Station>,
    lines: Vec<LineView<'a>>,
    took: String,
    valid_until: Option<DateView>,
    verified: Option<DateView>,
}

impl<'a> CameraView<'a> {
    fn new(camera: &'a Camera) -> CameraView<'a> {
        let before_url = camera.http_url.as_deref().unwrap_or(&camera.https_url);
        CameraView {
            camera,
            badge: Badge::new(camera.after),
            bars: [
                Bar::new("Before", camera.before, before_url, &camera.before_text),
                Bar::new("Now", camera.after, &camera.https_url, &camera.after_text),
            ],
            // A link goes to https or nowhere, whatever was given.
            open: (camera.after != Verdict::Unreachable && camera.https_url.starts_with("https://"))
                .then_some(&camera.https_url),
            key: key_sentence(camera.key_transport),
            key_clear: camera.key_transport == KeyTransport::Clear,
            track: Step::ALL.into_iter().map(|step| Station::new(step, &camera.steps)).collect(),
            lines: camera.steps.iter().map(LineView::new).collect(),
            took: duration(camera.seconds),
            valid_until: camera.valid_until.map(DateView::new),
            verified: camera.verified.map(DateView::new),
        }
    }
}

fn key_sentence(transport: KeyTransport) -> &'static str {
    match transport {
        KeyTransport::None => "The camera made its key itself; no secret crossed the network.",
        KeyTransport::PinnedTls => {
            "The key was sent inside TLS, to one public key that was held to throughout."
        }
        KeyTransport::ThrowAwayTls => "The key was sent inside TLS whose certificate served for this only.",
        KeyTransport::Clear => {
            "The key crossed plain HTTP once, and whoever recorded that moment on the network has it: do this on a \
             network that you trust."
        }
        KeyTransport::ByHand => "The package with the key was carried by a person.",
    }
}

/// A verdict as a word with a drawing.
struct Badge {
    class: &'static str,
    icon: &'static str,
    word: &'static str,
}

impl Badge {
    fn new(verdict: Verdict) -> Badge {
        match verdict {
            Verdict::Secure => Badge { class: "good", icon: "lock", word: "Secure" },
            Verdict::NotSecure => Badge { class: "bad", icon: "warning", word: "Not secure" },
            Verdict::Unreachable => Badge { class: "gone", icon: "gone", word: "Unreachable" },
        }
    }
}

/// A browser's address bar with what it says below.
struct Bar<'a> {
    when: &'static str,
    class: &'static str,
    icon: &'static str,
    /// The browser's own words inside the bar.
    chip: &'static str,
    scheme: &'static str,
    /// Browsers strike out an `https` that protects nothing.
    struck: bool,
    address: &'a str,
    /// The browser's own words below it.
    says: &'static str,
    says_icon: &'static str,
    text: &'a str,
}

impl<'a> Bar<'a> {
    fn new(when: &'static str, verdict: Verdict, url: &'a str, text: &'a str) -> Bar<'a> {
        let (scheme, address) = match url.strip_prefix("https://") {
            Some(rest) => ("https", rest),
            None => ("http", url.strip_prefix("http://").unwrap_or(url)),
        };
        let (class, icon, chip, says_icon, says) = match verdict {
            Verdict::Secure => ("good", "tune", "", "lock", "Connection is secure"),
            Verdict::NotSecure => ("bad", "warning", "Not secure", "warning", "Connection is not secure"),
            Verdict::Unreachable => ("gone", "gone", "No answer", "gone", "This site can’t be reached"),
        };
        Bar {
            when,
            class,
            icon,
            chip,
            scheme,
            struck: verdict == Verdict::NotSecure && scheme == "https",
            address: address.trim_end_matches('/'),
            says,
            says_icon,
            text,
        }
    }
}

/// A step on the track of eight: how it ended at last, or that it was never reached.
struct Station {
    name: &'static str,
    shape: Shape,
    /// Seconds if it was done, otherwise the word for its state.
    note: String,
}

impl Station {
    fn new(step: Step, lines: &[StepLine]) -> Station {
        let last = lines.iter().rfind(|line| line.step == step);
        let shape = Shape::new(last.map(|line| line.state));
        let note = match last {
            Some(line) if line.state == StepState::Done => duration(line.seconds),
            _ => shape.word.to_owned(),
        };
        Station { name: step.name(), shape, note }
    }
}

struct LineView<'a> {
    name: &'static str,
    shape: Shape,
    took: String,
    text: &'a str,
}

impl<'a> LineView<'a> {
    fn new(line: &'a StepLine) -> LineView<'a> {
        LineView {
            name: line.step.name(),
            shape: Shape::new(Some(line.state)),
            took: duration(line.seconds),
            text: &line.text,
        }
    }
}

/// A step's state: each has its own drawing and word, so that nothing hangs on a colour.
struct Shape {
    class: &'static str,
    icon: &'static str,
    word: &'static str,
}

impl Shape {
    fn new(state: Option<StepState>) -> Shape {
        let (class, icon, word) = match state {
            Some(StepState::Done) => ("done", "tick", "done"),
            Some(StepState::Skipped) => ("skipped", "dash", "skipped"),
            Some(StepState::Waiting) => ("waiting", "clock", "waiting"),
            Some(StepState::Failed) => ("failed", "cross", "failed"),
            Some(StepState::RolledBack) => ("back", "undo", "rolled back"),
            None => ("ahead", "dot", "not reached"),
        };
        Shape { class, icon, word }
    }
}

pub(crate) struct DateView {
    pub(crate) iso: String,
    pub(crate) long: String,
}

impl DateView {
    pub(crate) fn new(date: Date) -> DateView {
        let iso = date.to_string();
        let long = date
            .format(format_description!("[day padding:none] [month repr:long] [year]"))
            .unwrap_or_else(|_| iso.clone());
        DateView { iso, long }
    }
}

/// "35 ms", "1.4 s", "2 min 5 s".
fn duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s < 0.0 => "–".to_owned(),
        s if s < 0.0005 => "< 1 ms".to_owned(),
        s if s < 0.0995 => format!("{:.0} ms", s * 1000.0),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s => format!("{} min {} s", (s.round() / 60.0) as u64, s.round() as u64 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [
            (0.0001, "< 1 ms"),
            (0.0351, "35 ms"),
            (0.0999, "0.1 s"),
            (1.44, "1.4 s"),
            (9.97, "10 s"),
            (59.7, "1 min 0 s"),
            (125.0, "2 min 5 s"),
            (-1.0, "–"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn the_last_line_of_a_step_counts() {
        let line = |state| StepLine { step: Step::Install, state, seconds: 2.0, text: String::new() };
        let lines = [line(StepState::Done), line(StepState::RolledBack)];
        let station = |step| Station::new(step, &lines);
        assert_eq!(
            (station(Step::Install).shape.class, &*station(Step::Install).note),
            ("back", "rolled back")
        );
        assert_eq!(station(Step::Verify).note, "not reached");
    }

    #[test]
    fn an_address_is_shown_as_browsers_do() {
        let bar = |verdict, url| {
            let bar = Bar::new("Now", verdict, url, "");
            (bar.scheme, bar.struck, bar.address.to_owned())
        };
        assert_eq!(bar(Verdict::Secure, "https://a.lan:8443/"), ("https", false, "a.lan:8443".to_owned()));
        assert_eq!(bar(Verdict::NotSecure, "https://a.lan"), ("https", true, "a.lan".to_owned()));
        assert_eq!(bar(Verdict::NotSecure, "http://a.lan"), ("http", false, "a.lan".to_owned()));
    }

    #[test]
    fn the_ring_has_an_arc_for_each_camera() {
        let ring = Ring::new(2, 3);
        assert_eq!((ring.length, &*ring.all, &*ring.secure), (3, "0.9 0.1", "0.9 0.1 0.9 0.1 0 3"));
        assert_eq!(Ring::new(0, 0).secure, "0 1");
    }
}
