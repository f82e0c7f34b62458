//! Who reads the trust page: at which of our names, and on which system. What a visitor sends is only compared with
//! what is known here; none of it reaches a document.

use std::net::Ipv4Addr;

use axum::http::{HeaderMap, header, uri::Authority};
use domain::AltName;

/// What a request tells of its sender.
pub(crate) struct Visitor {
    /// Where the page was asked for, if that is an address or a host name.
    pub(crate) host: Option<AltName>,
    /// The port there; `None` is the usual one.
    pub(crate) port: Option<u16>,
    /// The system that it seems to have; `None` where no steps are known for it.
    pub(crate) system: Option<System>,
}

impl Visitor {
    pub(crate) fn new(headers: &HeaderMap) -> Visitor {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let authority: Option<Authority> = text(header::HOST.as_str()).and_then(|host| host.parse().ok());
        let host = authority.as_ref().and_then(|authority| name(authority.host()));
        let hint = text("sec-ch-ua-platform").and_then(hinted);
        let agent = text(header::USER_AGENT.as_str()).unwrap_or_default();
        Visitor {
            host,
            port: authority.as_ref().and_then(Authority::port_u16),
            system: hint.unwrap_or_else(|| System::of(agent)),
        }
    }
}

fn name(host: &str) -> Option<AltName> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare {
        "localhost" => Some(AltName::Ip(Ipv4Addr::LOCALHOST.into())),
        _ => bare.trim_end_matches('.').parse().ok(),
    }
}

/// The client hint that Chromium's family sends over https (User-Agent Client Hints, section 3.6): `None` if it says
/// nothing that is known, and then the user agent decides.
fn hinted(platform: &str) -> Option<Option<System>> {
    match platform.trim_matches('"') {
        "Windows" => Some(Some(System::Windows)),
        "macOS" => Some(Some(System::Mac)),
        "iOS" => Some(Some(System::Phone)),
        "Android" => Some(Some(System::Android)),
        "Linux" => Some(Some(System::Linux)),
        "Chrome OS" | "Chromium OS" => Some(None),
        _ => None,
    }
}

/// For what there are steps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum System {
    Windows,
    Mac,
    /// iPhone and iPad.
    Phone,
    Android,
    Linux,
    /// By hand in its own settings, on any computer.
    Firefox,
    /// Many computers at once.
    Office,
}

impl System {
    pub(crate) const ALL: [System; 7] = [
        System::Windows,
        System::Mac,
        System::Phone,
        System::Android,
        System::Linux,
        System::Firefox,
        System::Office,
    ];

    /// Its name in the page's address.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            System::Windows => "windows",
            System::Mac => "mac",
            System::Phone => "iphone",
            System::Android => "android",
            System::Linux => "linux",
            System::Firefox => "firefox",
            System::Office => "office",
        }
    }

    pub(crate) fn from_slug(slug: &str) -> Option<System> {
        System::ALL.into_iter().find(|system| system.slug() == slug)
    }

    /// By the user agent. The order matters: a phone with Android says Linux too, and one with Windows Phone all three.
    /// An iPad says that it is a Mac.
    fn of(agent: &str) -> Option<System> {
        let says = |word| agent.contains(word);
        match () {
            () if says("Windows NT") => Some(System::Windows),
            () if says("Windows") || says("CrOS") => None,
            () if says("Android") => Some(System::Android),
            () if says("iPhone") || says("iPad") || says("iPod") => Some(System::Phone),
            () if says("Macintosh") => Some(System::Mac),
            () if says("Linux") && !says("Tizen") && !says("Web0S") => Some(System::Linux),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(headers: &[(&'static str, &str)]) -> Visitor {
        Visitor::new(
            &headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
        )
    }

    #[test]
    fn a_visitor_is_known_by_what_the_browser_says() {
        for (agent, system) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/143.0.0.0 Safari/537.36 Edg/143.0",
                Some(System::Windows),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:146.0) Gecko/20100101 Firefox/146.0",
                Some(System::Windows),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15",
                Some(System::Mac),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
                Some(System::Phone),
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 15_0 like Mac OS X) AppleWebKit/605.1.15 CriOS/141.0 Safari/604.1",
                Some(System::Phone),
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/143.0.0.0 Mobile Safari/537.36",
                Some(System::Android),
            ),
            ("Mozilla/5.0 (Android 14; Mobile; rv:146.0) Gecko/146.0 Firefox/146.0", Some(System::Android)),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Some(System::Linux)),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/143.0.0.0 Safari/537.36",
                None,
            ),
            ("Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950)", None),
            ("Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36", None),
            ("curl/8.5.0", None),
            ("", None),
        ] {
            assert_eq!(visitor(&[("user-agent", agent)]).system, system, "{agent}");
        }
        // The hint is the better witness, and an unknown one is none.
        let windows = "Mozilla/5.0 (Windows NT 10.0)";
        for (hint, system) in [
            ("\"macOS\"", Some(System::Mac)),
            ("\"Chrome OS\"", None),
            ("\"Unknown\"", Some(System::Windows)),
            ("<b>", Some(System::Windows)),
        ] {
            let headers = [("user-agent", windows), ("sec-ch-ua-platform", hint)];
            assert_eq!(visitor(&headers).system, system, "{hint}");
        }
    }

    #[test]
    fn a_host_is_one_of_certificates_names_or_none() {
        for (host, name, port) in [
            ("nas.lan:8080", Some("DNS:nas.lan"), Some(8080)),
            ("NAS", Some("DNS:nas"), None),
            ("nas.lan.", Some("DNS:nas.lan"), None),
            ("192.168.1.5:80", Some("IP:192.168.1.5"), Some(80)),
            ("[fd00::5]:8080", Some("IP:fd00::5"), Some(8080)),
            ("localhost:8080", Some("IP:127.0.0.1"), Some(8080)),
            ("x\"><script>", None, None),
            ("a b", None, None),
            ("nas:99999", Some("DNS:nas"), None),
            ("user@nas:80", Some("DNS:nas"), Some(80)),
            ("*", None, None),
            ("", None, None),
        ] {
            let visitor = visitor(&[("host", host)]);
            assert_eq!(
                (visitor.host.map(|n| n.to_string()).as_deref(), visitor.port),
                (name, port),
                "{host}"
            );
        }
        assert!(visitor(&[]).host.is_none());
    }
}
