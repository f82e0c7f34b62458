//! The steps for each system, as codes of sentences.

use crate::{downloads::FIREFOX_POLICIES, visitor::System};

/// How a root comes onto one kind of system. Commands hold `{file}` where the name of the downloaded file goes.
pub(crate) struct Guide {
    pub(crate) title: &'static str,
    pub(crate) lead: &'static str,
    /// The ending of the file that is downloaded.
    pub(crate) kind: &'static str,
    /// How to see the fingerprint of what was downloaded.
    pub(crate) compare: &'static str,
    pub(crate) compare_command: Option<&'static str>,
    pub(crate) install: &'static [&'static str],
    pub(crate) install_command: Option<&'static str>,
    /// What to know before relying on it.
    pub(crate) notes: &'static [&'static str],
    pub(crate) other: &'static [Other],
    pub(crate) remove: &'static str,
    pub(crate) remove_command: Option<&'static str>,
}

impl Guide {
    /// Firefox's policy names the files of the roots, and finds them under no other name.
    pub(crate) fn names_files(&self) -> bool {
        self.other.iter().any(|other| other.file == FIREFOX_POLICIES)
    }
}

/// Another way to the same.
pub(crate) struct Other {
    pub(crate) what: &'static str,
    /// The ending of a file of each root, or the whole name of one that holds all.
    pub(crate) file: &'static str,
    pub(crate) command: Option<&'static str>,
}

/// The steps for a system, or what is the same everywhere.
pub(crate) fn guide(system: Option<System>) -> &'static Guide {
    match system {
        Some(System::Windows) => &WINDOWS,
        Some(System::Mac) => &MAC,
        Some(System::Phone) => &PHONE,
        Some(System::Android) => &ANDROID,
        Some(System::Linux) => &LINUX,
        Some(System::Firefox) => &FIREFOX,
        Some(System::Office) => &OFFICE,
        None => &UNKNOWN,
    }
}

static UNKNOWN: Guide = Guide {
    title: "trust-title-unknown",
    lead: "trust-lead-unknown",
    kind: "crt",
    compare: "trust-compare-file",
    compare_command: None,
    install: &["trust-unknown-choose"],
    install_command: None,
    notes: &[],
    other: &[],
    remove: "trust-unknown-remove",
    remove_command: None,
};

const POWERSHELL: &str = r#"powershell -ExecutionPolicy Bypass -File "%USERPROFILE%\Downloads\{file}""#;

static WINDOWS: Guide = Guide {
    title: "trust-title",
    lead: "trust-lead",
    kind: "crt",
    compare: "trust-compare-windows",
    compare_command: Some(r#"certutil -hashfile "%USERPROFILE%\Downloads\{file}" SHA256"#),
    install: &["trust-windows-open", "trust-windows-place", "trust-windows-finish"],
    install_command: None,
    notes: &["trust-firefox-follows"],
    other: &[Other { what: "trust-windows-script", file: "ps1", command: Some(POWERSHELL) }],
    remove: "trust-windows-remove",
    remove_command: None,
};

static MAC: Guide = Guide {
    title: "trust-title",
    lead: "trust-lead",
    kind: "crt",
    compare: "trust-compare-mac",
    compare_command: Some("shasum -a 256 ~/Downloads/{file}"),
    install: &["trust-mac-open", "trust-mac-trust", "trust-mac-finish"],
    install_command: None,
    notes: &["trust-firefox-follows", "trust-mac-ipad"],
    other: &[
        Other {
            what: "trust-mac-terminal",
            file: "pem",
            command: Some(
                "sudo security add-trusted-cert -d -r trustRoot \\\n  \
                 -k /Library/Keychains/System.keychain ~/Downloads/{file}",
            ),
        },
        Other { what: "trust-mac-profile", file: "mobileconfig", command: None },
    ],
    remove: "trust-mac-remove",
    remove_command: None,
};

static PHONE: Guide = Guide {
    title: "trust-title-phone",
    lead: "trust-lead-phone",
    kind: "mobileconfig",
    compare: "trust-compare-phone",
    compare_command: None,
    install: &["trust-phone-open", "trust-phone-install", "trust-phone-switch"],
    install_command: None,
    notes: &["trust-phone-apps"],
    other: &[],
    remove: "trust-phone-remove",
    remove_command: None,
};

static ANDROID: Guide = Guide {
    title: "trust-title-phone",
    lead: "trust-lead-phone",
    kind: "crt",
    compare: "trust-compare-android",
    compare_command: None,
    install: &["trust-android-settings", "trust-android-install", "trust-android-choose"],
    install_command: None,
    notes: &["trust-android-apps", "trust-android-browsers"],
    other: &[],
    remove: "trust-android-remove",
    remove_command: None,
};

static LINUX: Guide = Guide {
    title: "trust-title",
    lead: "trust-lead",
    kind: "sh",
    compare: "trust-compare-linux",
    compare_command: Some(
        "sed -n '/-BEGIN/,/-END/p' ~/Downloads/{file} | sed '/-----/d' | base64 -d | sha256sum",
    ),
    install: &["trust-linux-run"],
    install_command: Some("sh ~/Downloads/{file}"),
    notes: &["trust-linux-certutil", "trust-script"],
    other: &[Other {
        what: "trust-linux-system",
        file: "sh",
        command: Some("sudo sh ~/Downloads/{file} --system"),
    }],
    remove: "trust-linux-remove",
    remove_command: Some("sh ~/Downloads/{file} --remove"),
};

static FIREFOX: Guide = Guide {
    title: "trust-title-firefox",
    lead: "trust-lead",
    kind: "crt",
    compare: "trust-compare-firefox",
    compare_command: None,
    install: &["trust-firefox-settings", "trust-firefox-import", "trust-firefox-tick"],
    install_command: None,
    notes: &["trust-firefox-follows"],
    other: &[],
    remove: "trust-firefox-remove",
    remove_command: None,
};

static OFFICE: Guide = Guide {
    title: "trust-title-office",
    lead: "trust-lead-office",
    kind: "crt",
    compare: "trust-compare-file",
    compare_command: None,
    install: &["trust-office-policy", "trust-office-intune", "trust-office-test"],
    install_command: None,
    notes: &["trust-office-manage"],
    other: &[
        Other { what: "trust-office-firefox", file: FIREFOX_POLICIES, command: None },
        Other { what: "trust-office-chrome", file: "chrome-policy.json", command: None },
        Other { what: "trust-office-apple", file: "mobileconfig", command: None },
        Other {
            what: "trust-office-script",
            file: "ps1",
            command: Some("powershell -ExecutionPolicy Bypass -File {file} -Machine"),
        },
    ],
    remove: "trust-office-remove",
    remove_command: None,
};
