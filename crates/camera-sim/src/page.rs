//! The camera's start page: its picture, and how the page came.

use time::OffsetDateTime;
use time::macros::format_description;

use crate::core::Core;
use crate::http::{self, Answer};
use crate::soap::escape;
use crate::tls::Arrival;

const STYLE: &str = include_str!("page.css");
/// A camera, for the tab and for the head of the page. Inline, so that no second request is made for it.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E%3Crect \
    width='24' height='24' rx='5' fill='%2328618f'/%3E%3Cpath fill='%23fff' d='M4 8h11a2 2 0 0 1 2 2v.6L20 \
    8.8v6.4l-3-1.8v.6a2 2 0 0 1-2 2H4z'/%3E%3C/svg%3E";
const CAMERA: &str = "<svg viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.7\" \
    stroke-linejoin=\"round\" stroke-linecap=\"round\" aria-hidden=\"true\"><path d=\"M3 6.5 17.5 3l1.6 6.4L4.6 \
    13z\"/><path d=\"m18 5.4 3-.7.8 3.2-3 .8M8.5 12.2l1.4 5H4M4 14v6.5\"/></svg>";
const OPEN_LOCK: &str = "<svg viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.9\" \
    stroke-linecap=\"round\" aria-hidden=\"true\"><rect x=\"5\" y=\"11\" width=\"14\" height=\"9.5\" rx=\"2\"/>\
    <path d=\"M8 11V7.5a4 4 0 0 1 7.7-1.6M12 15v2\"/></svg>";
const CLOSED_LOCK: &str = "<svg viewBox=\"0 0 24 24\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.9\" \
    stroke-linecap=\"round\" aria-hidden=\"true\"><rect x=\"5\" y=\"11\" width=\"14\" height=\"9.5\" rx=\"2\"/>\
    <path d=\"M8 11V7.5a4 4 0 0 1 8 0V11M12 15v2\"/></svg>";

/// Answers `GET /`, which anybody may see.
pub(crate) fn start(core: &Core, arrival: &Arrival) -> Answer {
    let name = escape(&core.options.name);
    let scene = core.kind.page.scene;
    let stamp = core.clock().format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC"));
    let body = format!(
        "<figure class=\"picture\">{scene}<span class=\"osd a\"><i class=\"dot\"></i>LIVE</span>\
         <span class=\"osd b\">{stamp}</span><span class=\"osd c\">{name}</span>\
         <span class=\"osd d\">1920\u{d7}1080 \u{b7} 25 fps</span></figure>{how}<dl>{facts}</dl>",
        stamp = stamp.unwrap_or_default(),
        how = how_it_came(arrival),
        facts = facts(core),
    );
    http::page(200, document(core, &core.options.name, &body))
}

/// A whole page around `body`.
pub(crate) fn document(core: &Core, title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <link rel=\"icon\" href=\"{ICON}\"><style>{STYLE}</style></head><body><main><header>{CAMERA}<div>\
         <h1>{title}</h1><p>Network camera \u{b7} {model}</p></div>{menu}</header>{body}\
         <footer>A simulated camera: the picture is drawn, the certificate is real.</footer></main></body></html>\n",
        title = escape(title),
        model = core.kind.name,
        menu = core.kind.page.menu,
    )
}

/// The line the whole simulator is about.
fn how_it_came(arrival: &Arrival) -> String {
    let Some(served) = &arrival.tls else {
        let text = "Whoever shares this network could read it, and change it on its way.";
        return note("open", OPEN_LOCK, "This page came over plain HTTP.", text);
    };
    let heading = "This page came over TLS.";
    let Some(facts) = &served.facts else {
        return note("open", CLOSED_LOCK, heading, "With a certificate this camera cannot read.");
    };
    // No browser believes a self-signed one: the page should not look as if all were well.
    let (class, signer) =
        if facts.subject == facts.issuer { ("open", ", which signed it itself") } else { ("closed", "") };
    let (issuer, day) = (escape(&facts.issuer_name), day(facts.not_after));
    let text = format!("With a certificate of <strong>{issuer}</strong>{signer}, valid until {day}.");
    note(class, CLOSED_LOCK, heading, &text)
}

fn note(class: &str, lock: &str, heading: &str, text: &str) -> String {
    format!("<div class=\"note {class}\">{lock}<p><b>{heading}</b> <span>{text}</span></p></div>")
}

fn facts(core: &Core) -> String {
    let (http_on, https_on) = core.look(|live| (live.http_on, live.https_on));
    let port = |on: bool, number: u16| {
        if on { format!("on, port {number}") } else { format!("off (port {number})") }
    };
    let fact = |name: &str, value: &str| format!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(value));
    let mut facts = fact("Takes its certificate by", core.kind.takes)
        + &fact("HTTP", &port(http_on, core.http.address().port()))
        + &fact("HTTPS", &port(https_on, core.https.address().port()))
        + &fact("Serial number", &core.serial);
    if let Some(address) = core.kind.page.onvif {
        facts += &fact("ONVIF address", address);
    }
    facts
}

/// A day as people write it.
pub(crate) fn day(date: OffsetDateTime) -> String {
    date.format(format_description!("[day padding:none] [month repr:long] [year]")).unwrap_or_default()
}
