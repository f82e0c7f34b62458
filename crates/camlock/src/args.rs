//! The command line, as others rely on it: names, options, exit codes.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use domain::AltName;

/// In-house HTTPS for IP cameras: a local certificate authority that puts the padlock above every camera.
///
/// Exit codes: 0 done, and what was asked holds; 1 it does not hold; 2 wrong use; 3 something broke.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  camlock demo\n  camlock init --site Shop\n  camlock secure 192.168.1.64 --user admin"
)]
pub struct Args {
    /// Use this data directory [default: the platform's]
    #[arg(long, global = true, env = "CAMLOCK_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Read the passphrase (or the recovery key) from the first line of this file; a key file does, too
    #[arg(long, global = true, env = "CAMLOCK_PASSPHRASE_FILE", value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Answer every question with yes: init adds no names, import takes a CA that browsers refuse, secure may overwrite a
    /// certificate for good, show the password to a new device and follow a name out of the site, trust goes on
    #[arg(long, global = true)]
    pub yes: bool,
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything on simulated cameras: before, the eight steps, after
    #[command(after_help = "Example:\n  camlock demo --cameras 6\n  camlock demo --once --json")]
    Demo(Demo),
    /// Make the site's authority; never over an existing one
    #[command(
        after_help = "Example:\n  camlock init --site Shop --permit cams.example.com --permit 81.2.3.0/24"
    )]
    Init(Init),
    /// Show, import, replace the authority
    #[command(after_help = "Example:\n  camlock authority show")]
    Authority(Authority),
    /// Tell what a browser would say of a device
    #[command(after_help = CHECK_HELP)]
    Check(Check),
    /// List the devices on the network, which driver speaks to each, and what a browser says; needs no password
    #[command(
        after_help = "Example:\n  camlock find\n  camlock find 192.168.1.0/24\n  camlock find --list cameras.csv\n\nA device with a driver is noted. Name it once (camlock secure ADDRESS, or a range), and camlock secure --all takes it\nfrom then on."
    )]
    Find(Find),
    /// Secure devices: key, request, certificate, upload, HTTPS, proof
    #[command(after_help = SECURE_HELP)]
    Secure(Secure),
    /// Sign a certificate request made elsewhere
    #[command(after_help = "Example:\n  camlock sign camera.csr --ip 192.168.1.64")]
    Sign(Sign),
    /// Make key and certificate as a package, to upload by hand
    #[command(
        after_help = "Example:\n  camlock issue --name Gate --ip 192.168.1.65\n  camlock issue --name Gate --ip 192.168.1.65 --order separate --key-form traditional\n  camlock issue --name Gate --ip 192.168.1.65 --format p12 --package-passphrase-file secret"
    )]
    Issue(Issue),
    /// Name or forget a known device
    #[command(
        after_help = "Example:\n  camlock device name 192.168.1.64 \"Back door\"\n  camlock device forget \"Back door\" --revoke"
    )]
    Device(Device),
    /// Revoke a certificate, and sign the list of revoked ones again
    #[command(
        after_help = "Example:\n  camlock revoke 5f3a --reason key-compromise\n  camlock revoke \"Back door\" --reason cessation-of-operation"
    )]
    Revoke(Revoke),
    /// Tell in five lines how the site stands, and what to do next; camlock without a command does the same
    #[command(
        after_help = "Example:\n  camlock status\n\nIt asks no device: camlock check --all does. It needs no passphrase and changes nothing."
    )]
    Status,
    /// Look for what is wrong with this installation, and say what to do
    #[command(after_help = "Example:\n  camlock doctor\n\nIt needs no passphrase and changes nothing.")]
    Doctor,
    /// List devices or certificates
    #[command(
        after_help = "Example:\n  camlock list certificates --expiring 30d\n  camlock list devices --csv cameras.csv"
    )]
    List(List),
    /// Serve the site's page over https, and the page with the root over http
    #[command(
        after_help = "Example:\n  camlock serve --passphrase-file passphrase\n  camlock serve --listen 192.168.1.2:8443\n\nWithout a passphrase it serves locked: nothing is issued, all else goes on."
    )]
    Serve(Serve),
    /// Install or export the root, for browsers
    #[command(after_help = "Example:\n  camlock trust install\n  camlock trust export --out root.pem")]
    Trust(Trust),
    /// Show and change the secrets that open the authority
    #[command(after_help = "Example:\n  camlock vault show\n  camlock vault passphrase")]
    Vault(Vault),
    /// Back everything up into one file, encrypted to the recovery key; needs no passphrase
    #[command(
        after_help = "Example:\n  camlock backup /mnt/usb/camlock.tar.age\n\nOnly the recovery key opens it: camlock restore, or the age tool alone:\n  age --decrypt -i RECOVERY-KEY-FILE camlock.tar.age | tar x"
    )]
    Backup(Backup),
    /// Put a backup into a data directory without an authority, with the recovery key
    #[command(
        after_help = "Example:\n  camlock restore /mnt/usb/camlock.tar.age\n  camlock restore camlock.tar.age --recovery-key-file recovery-key\n  camlock restore camlock.tar.age --check"
    )]
    Restore(Restore),
}

/// `device`
#[derive(Debug, clap::Args)]
pub struct Device {
    #[command(subcommand)]
    pub action: DeviceAction,
}

/// What is done with a known device.
#[derive(Debug, clap::Subcommand)]
pub enum DeviceAction {
    /// Give a device a name for people
    #[command(after_help = "Example:\n  camlock device name 192.168.1.64 \"Back door\"")]
    Name {
        /// Its name or one of its addresses, as camlock list shows them
        device: String,
        /// The name from now on
        name: String,
    },
    /// Take a device out of the list; the device itself is not spoken to
    #[command(after_help = "Example:\n  camlock device forget \"Back door\" --revoke")]
    Forget {
        /// Its name or one of its addresses, as camlock list shows them
        device: String,
        /// Revoke its certificate, too
        #[arg(long)]
        revoke: bool,
    },
}

/// `demo`
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// How many cameras
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=30))]
    pub cameras: u8,
    /// End after the table
    #[arg(long)]
    pub once: bool,
}

/// `init`
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The site's name, part of the root's
    #[arg(long, default_value = "Home")]
    pub site: String,
    /// The kind of the root's key
    #[arg(long, value_enum, default_value_t = RootKey::Rsa3072)]
    pub key: RootKey,
    /// A further range, address or domain that the authority may speak for
    #[arg(long, value_name = "CIDR-or-NAME")]
    pub permit: Vec<String>,
    /// Leaves out this machine's own host name, which the authority may speak for otherwise
    #[arg(long)]
    pub no_host_name: bool,
    /// Whether the root itself says what it may speak for
    #[arg(long, value_enum, default_value_t = Constraints::Default)]
    pub constraints: Constraints,
    /// An issuer signs for the devices, and the root's key leaves this machine as an encrypted file
    #[arg(long)]
    pub two_tier: bool,
    /// Where that file goes [default: SITE-root-key.age]
    #[arg(long, value_name = "FILE", requires = "two_tier")]
    pub root_key_file: Option<PathBuf>,
}

/// Kinds of root keys.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs)]
pub enum RootKey {
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    P256,
    P384,
}

/// Kinds of leaf keys.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs)]
pub enum LeafKey {
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    P256,
    P384,
}

/// What a leaf is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Profile {
    /// A device's web page: TLS server
    Device,
    /// A device that also shows its certificate to others (802.1X, a recorder): TLS server and client
    DeviceDual,
    /// A NAS, a recorder, a web page: TLS server
    Server,
}

/// Name constraints in the root.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Constraints {
    /// Private addresses and local domains, critical
    Default,
    /// None, for devices that cannot read them (mbedTLS, strongSwan 5.9)
    None,
}

/// `authority`
#[derive(Debug, clap::Args)]
pub struct Authority {
    /// What to do with it
    #[command(subcommand)]
    pub action: AuthorityAction,
}

/// What to do with the authority.
#[derive(Debug, Subcommand)]
pub enum AuthorityAction {
    /// Shows the root, what it may speak for, and what depends on earlier ones
    #[command(after_help = "Example:\n  camlock authority show")]
    Show,
    /// Makes the site's authority out of a CA that there is already; never over an existing one
    #[command(
        after_help = "Example:\n  camlock authority import archive.zip                  (Synology DSM 6)\n  camlock authority import ca.crt ca.key                (two files, PEM or DER)\n  camlock authority import ca.p12 --import-passphrase-file secret\n  camlock authority import ~/.local/share/mkcert        (mkcert -CAROOT)\n  camlock authority import easy-rsa/pki\n  camlock authority import config.xml --ca \"Cameras\"     (OPNsense, pfSense)"
    )]
    Import(Import),
    /// Makes the next root; with --confirm, moves to it
    #[command(
        after_help = "Example:\n  camlock authority rollover\n  camlock trust export --out roots.pem   (to every computer)\n  camlock authority rollover --confirm\n  camlock secure ADDRESS...              (each device moves)"
    )]
    Rollover(Rollover),
    /// With two tiers: puts a new issuer in the place of the present one
    #[command(
        after_help = "Example:\n  camlock authority issuer --root-key shop-root-key.age --recovery-key-file paper.txt"
    )]
    Issuer(Issuer),
}

/// `authority import`
#[derive(Debug, clap::Args)]
pub struct Import {
    /// Files and directories with the CA's certificate and its private key
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The site's name
    #[arg(long, default_value = "Home")]
    pub site: String,
    /// Where the CA has no name constraints: a further range, address or domain that it may speak for
    #[arg(long, value_name = "CIDR-or-NAME")]
    pub permit: Vec<String>,
    /// Of several CAs the one with this name, or whose SHA-256 begins like this
    #[arg(long, value_name = "NAME")]
    pub ca: Option<String>,
    /// A file whose first line is the passphrase of the private key or package [default: asked for]
    #[arg(long, value_name = "FILE")]
    pub import_passphrase_file: Option<PathBuf>,
}

/// `authority rollover`
#[derive(Debug, clap::Args)]
pub struct Rollover {
    /// The new root is on the computers: everything is issued under it from now on
    #[arg(long, conflicts_with_all = ["cancel", "key", "permit", "constraints", "two_tier", "one_tier"])]
    pub confirm: bool,
    /// Forgets the next root, which has issued nothing
    #[arg(long, conflicts_with_all = ["key", "permit", "constraints", "two_tier", "one_tier"])]
    pub cancel: bool,
    /// The kind of the next root's key [default: as the present one's, RSA at least 3072 bits]
    #[arg(long, value_enum)]
    pub key: Option<RootKey>,
    /// A further range, address or domain, beside those of the present root
    #[arg(long, value_name = "CIDR-or-NAME")]
    pub permit: Vec<String>,
    /// Whether the root itself says what it may speak for [default: as the present one]
    #[arg(long, value_enum)]
    pub constraints: Option<Constraints>,
    /// An issuer signs for the devices, and the root's key leaves this machine as an encrypted file [default: as now]
    #[arg(long)]
    pub two_tier: bool,
    /// The root signs for the devices itself [default: as now]
    #[arg(long, conflicts_with_all = ["two_tier", "root_key_file"])]
    pub one_tier: bool,
    /// Where that file goes [default: SITE-root-key.age]
    #[arg(long, value_name = "FILE")]
    pub root_key_file: Option<PathBuf>,
}

/// `authority issuer`
#[derive(Debug, clap::Args)]
pub struct Issuer {
    /// The file with the root's key
    #[arg(long, value_name = "FILE")]
    pub root_key: PathBuf,
    /// A file whose first line is the recovery key [default: asked for]
    #[arg(long, value_name = "FILE")]
    pub recovery_key_file: Option<PathBuf>,
    /// The kind of the issuer's key
    #[arg(long, value_enum, default_value_t = RootKey::Rsa3072)]
    pub key: RootKey,
}

const CHECK_HELP: &str = "\
Example:
  camlock check 192.168.1.64 https://gate.lan:8443/
  camlock check 192.168.1.0/24 192.168.2.10-192.168.2.50
  camlock check --all --html report.html
  camlock check --list cameras.csv --csv results.csv

--list takes host[:port] or a URL on each line, or what a spreadsheet exports: the addresses in the column that is called \
so or that holds most of them, and a column for the port; - is standard input.

Many targets are looked at at once, as many as the limit on open files allows. An address of a range without a web page \
is counted and not shown, but in JSON. Ctrl-C ends it with what was seen so far.";

/// `check`
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Addresses, host names, URLs, or ranges of addresses
    #[arg(required_unless_present_any = ["all", "list"], value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Every known device
    #[arg(long)]
    pub all: bool,
    /// A file with a target on each line, or what a spreadsheet exports
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Writes a table for spreadsheets; - is standard output
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Writes a report with pictures, one page for any browser and to be printed; - is standard output
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The root (PEM or DER) that the browser's computer trusts [default: the authority's]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The host name to judge by, while TARGET is dialled
    #[arg(long)]
    pub name: Option<String>,
}

/// `find`
#[derive(Debug, clap::Args)]
pub struct Find {
    /// Ranges whose every address is asked, addresses, host names or URLs [default: whoever answers on this network]
    #[arg(value_name = "RANGE|ADDRESS")]
    pub targets: Vec<String>,
    /// A file with an address on each line, or what a spreadsheet exports
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Sign in to each device as this user, once, and ask for its maker, model, firmware and serial number
    #[arg(long)]
    pub user: Option<String>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// A folder for a picture of what each camera sees (ONVIF), by its address
    #[arg(long, value_name = "FOLDER", requires = "user")]
    pub pictures: Option<PathBuf>,
}

const SECURE_HELP: &str = "\
Example:
  camlock secure 192.168.1.64 192.168.1.65 --user admin
  camlock secure --list cameras.csv --user admin --password-file password
  camlock secure --all --user admin
  camlock secure 192.168.1.66 --by-hand     (a device that no driver speaks to)

One user and one password go for all devices; 32 are worked on at once, and what fails at one stops no other. A \
password that a device refused is not tried on it again under another of the targets: a name and its address, ports 80 \
and 443, an https URL and another port of one host, and the known ports of an enrolled device count as one.

--all takes every device that an earlier run got into, and that does not show its certificate now, whose enrolment \
failed or did not end, or whose certificate is due for renewal (30 days before its end), revoked or of an earlier \
authority; not those that are served by hand, and none that camlock find met and you never named: name those once, each \
or as a range.

A device that has a certificate of yours is known by its key, wherever it is. If another key answers in its place, or \
only plain http, nothing is sent; if you reset or replaced it yourself, say so with --new-device.

--list takes host[:port] or a URL on each line, or what a spreadsheet exports: the addresses in the column that is called \
so (in English, German or Hungarian) or that holds most of them. Columns for port, user and password are used, the latter \
two for that device alone and in place of --user. Empty lines and lines with # are passed over.

Press Ctrl-C once to finish the devices under way and begin no other; twice to stop at once. The next run takes up what \
was left, wherever that was.";

/// A SHA-256 as people copy it: with colons, spaces or neither, in any case.
fn fingerprint(text: &str) -> Result<String, String> {
    let plain = text.replace([':', ' '], "").to_ascii_lowercase();
    match plain.len() == 64 && plain.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(plain),
        false => Err("a SHA-256 has 64 hexadecimal digits".to_owned()),
    }
}

/// `secure`
#[derive(Debug, clap::Args)]
pub struct Secure {
    /// Addresses, host names or URLs; or a range, for the devices in it that camlock find noted
    #[arg(required_unless_present_any = ["all", "list"], value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Every device that you accepted and that is not secure with a fresh certificate
    #[arg(long, conflicts_with_all = ["targets", "list", "by_hand"])]
    pub all: bool,
    /// A file with a target on each line, or what a spreadsheet exports
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// At this one known address stands a new device, or the same after a reset: it is met for the first time. Never
    /// implied by --yes
    #[arg(long, conflicts_with_all = ["all", "list"])]
    pub new_device: bool,
    /// SHA-256 of the certificate that the device shows now, as you read it on the device itself: by it the device is known
    #[arg(long, value_name = "SHA256", value_parser = fingerprint, conflicts_with_all = ["all", "list", "by_hand"])]
    pub fingerprint: Option<String>,
    /// A user of the device with administrator's rights
    #[arg(long)]
    pub user: Option<String>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The one-time code that the account of a Synology NAS asks for; good for one run
    #[arg(long, value_name = "CODE", conflicts_with_all = ["all", "list", "by_hand"])]
    pub otp: Option<String>,
    /// Switch plain HTTP off once HTTPS is verified
    #[arg(long)]
    pub disable_http: bool,
    /// Switch plain HTTP on again: the way back from --disable-http
    #[arg(long, conflicts_with = "disable_http")]
    pub enable_http: bool,
    /// The oldest version of TLS that the device may speak from now on (ONVIF); a lower one is the way back
    #[arg(long, value_name = "VERSION", value_parser = ["1.0", "1.1", "1.2", "1.3"], conflicts_with = "all")]
    pub tls_floor: Option<String>,
    /// A file whose first line is another password for that user, or the first one; given to the device inside TLS, and
    /// tried
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "list"])]
    pub new_password_file: Option<PathBuf>,
    /// Give a device whose clock is more than an hour off this computer's time
    #[arg(long)]
    pub set_clock: bool,
    /// The NTP server from which the devices take their time from now on (ONVIF)
    #[arg(long, value_name = "SERVER")]
    pub ntp: Option<AltName>,
    /// Make the package, and watch until you have uploaded it on the device's own page
    #[arg(long, conflicts_with_all = ["user", "password_file", "disable_http", "enable_http", "new_password_file", "set_clock", "ntp", "tls_floor"])]
    pub by_hand: bool,
    /// By hand: where the package goes [default: the address and the serial number, .pem]
    #[arg(long, value_name = "FILE", requires = "by_hand")]
    pub out: Option<PathBuf>,
    /// By hand: how long to watch; what you upload later is seen by the next run
    #[arg(long, value_name = "MINUTES", requires = "by_hand", default_value_t = 30)]
    pub wait: u64,
}

/// `sign`
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// The request, PEM or DER; - is standard input
    #[arg(value_name = "CSR-FILE")]
    pub csr: PathBuf,
    /// An address of the device
    #[arg(long)]
    pub ip: Vec<std::net::IpAddr>,
    /// A host name of the device
    #[arg(long)]
    pub dns: Vec<String>,
    /// What the certificate is for
    #[arg(long, value_enum, default_value_t = Profile::Device)]
    pub profile: Profile,
    /// A name for people
    #[arg(long)]
    pub name: Option<String>,
    /// Validity [default: 730, less if the root ends before]
    #[arg(long)]
    pub days: Option<i64>,
    /// Where the certificate goes [default: the request's name with .crt]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `issue`
#[derive(Debug, clap::Args)]
pub struct Issue {
    /// A name for people
    #[arg(long)]
    pub name: String,
    /// An address of the device
    #[arg(long)]
    pub ip: Vec<std::net::IpAddr>,
    /// A host name of the device
    #[arg(long)]
    pub dns: Vec<String>,
    /// What the certificate is for
    #[arg(long, value_enum, default_value_t = Profile::Device)]
    pub profile: Profile,
    /// The kind of key
    #[arg(long, value_enum, default_value_t = LeafKey::Rsa2048)]
    pub key: LeafKey,
    /// Validity [default: 730, less if the root ends before]
    #[arg(long)]
    pub days: Option<i64>,
    /// The form that the device takes
    #[arg(long, value_enum, default_value_t = Format::Pem)]
    pub format: Format,
    /// Where key and certificate stand in PEM [default: key-first]
    #[arg(long, value_enum)]
    pub order: Option<Order>,
    /// How the key is written in PEM and DER [default: pkcs8]
    #[arg(long, value_enum)]
    pub key_form: Option<KeyForm>,
    /// A file whose first line is the passphrase of the PKCS#12 package
    #[arg(long, value_name = "FILE")]
    pub package_passphrase_file: Option<PathBuf>,
    /// The root goes into the package, too: for firmware that demands it
    #[arg(long)]
    pub with_root: bool,
    /// The certificate goes without its issuers, for firmware that stumbles over them
    #[arg(long, conflicts_with = "with_root")]
    pub no_chain: bool,
    /// Where the package goes; of several files the certificate, with the key beside it in .key [default: NAME with
    /// .pem, .crt, .p12 or .der]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `revoke`
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The certificate's serial number or its beginning, or a device as camlock list shows it
    #[arg(value_name = "SERIAL|DEVICE")]
    pub what: String,
    /// Why
    #[arg(long, value_enum, default_value_t = Reason::Unspecified)]
    pub reason: Reason,
}

/// Why a certificate is revoked (RFC 5280, section 5.3.1).
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Reason {
    /// No reason is given
    Unspecified,
    /// Somebody else has or may have the key
    KeyCompromise,
    /// The device belongs to somebody else now
    AffiliationChanged,
    /// Another certificate has taken its place
    Superseded,
    /// The device is out of use
    CessationOfOperation,
    /// It may no longer be what the certificate says
    PrivilegeWithdrawn,
}

/// Forms of packages.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Text, what most devices take
    Pem,
    /// PKCS#12 (.p12, .pfx), AES-256
    P12,
    /// PKCS#12 with triple DES and SHA-1, for old firmware and Windows
    P12Legacy,
    /// Binary, key and certificate in a file each
    Der,
}

/// Orders in PEM.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Order {
    /// One file: the key, its certificate, the issuers
    KeyFirst,
    /// One file: the certificate, the issuers, the key
    CertificateFirst,
    /// Certificates and key in a file each
    Separate,
}

/// How a key is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeyForm {
    /// BEGIN PRIVATE KEY
    Pkcs8,
    /// BEGIN RSA PRIVATE KEY or BEGIN EC PRIVATE KEY, for old firmware
    Traditional,
}

/// `list`
#[derive(Debug, clap::Args)]
pub struct List {
    /// Of which kind
    #[arg(value_enum, default_value_t = What::Devices)]
    pub what: What,
    /// Only what ends within this many days, such as 30d
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub expiring: Option<i64>,
    /// Only what holds this text
    #[arg(long)]
    pub search: Option<String>,
    /// Writes a table for spreadsheets; - is standard output
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
}

/// What `list` shows.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs)]
pub enum What {
    Devices,
    Certificates,
}

/// `serve`
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where the page is served over https [default: port 8443 of every address]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where the page with the root is served over http [default: port 8080 of every address]
    #[arg(long, value_name = "ADDR")]
    pub http_listen: Option<SocketAddr>,
    /// Answer whoever comes [default: private addresses only, as those of a house are]
    #[arg(long)]
    pub public: bool,
}

/// `trust`
#[derive(Debug, clap::Args)]
pub struct Trust {
    /// What to do with the root
    #[command(subcommand)]
    pub action: TrustAction,
}

/// What to do with the root.
#[derive(Debug, Subcommand)]
pub enum TrustAction {
    /// Gives the root in PEM
    #[command(after_help = "Example:\n  camlock trust export --out root.pem")]
    Export {
        /// Where it goes [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Puts the root into the trust stores of this computer: the system's, the browsers', Java's
    #[command(
        after_help = "Example:\n  camlock trust install --dry-run\n  camlock trust install --ca root.pem\n\nAs a user it changes the browsers of this user, as root those of all, the system's store and Java's."
    )]
    Install(TrustChange),
    /// Takes out of them what install put in, and nothing else
    #[command(
        after_help = "Example:\n  camlock trust uninstall\n  camlock trust uninstall --ca old-root.pem"
    )]
    Uninstall(TrustChange),
    /// Which trust stores there are, and whether the root is in each
    #[command(after_help = "Example:\n  camlock trust status")]
    Status {
        /// The root (PEM or DER) [default: the authority's]
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
}

/// `trust install`, `trust uninstall`
#[derive(Debug, clap::Args)]
pub struct TrustChange {
    /// The root (PEM or DER) [default: the authority's]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// `vault`
#[derive(Debug, clap::Args)]
pub struct Vault {
    /// What to do with the secrets
    #[command(subcommand)]
    pub action: VaultAction,
}

/// What to do with the secrets.
#[derive(Debug, Subcommand)]
pub enum VaultAction {
    /// Shows which secrets open the authority, and the recovery key's short form to compare with the print; needs no secret
    #[command(after_help = "Example:\n  camlock vault show")]
    Show,
    /// Another passphrase; the one before opens nothing from then on
    #[command(
        after_help = "Example:\n  camlock vault passphrase\n  camlock vault passphrase --passphrase-file old --new-passphrase-file new"
    )]
    Passphrase {
        /// A file whose first line is the new passphrase [default: asked for]
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Another recovery key, shown once; the one before opens only the backups made before
    #[command(after_help = "Example:\n  camlock vault recovery-key")]
    RecoveryKey,
    /// A file that opens the authority, so that the service starts without anybody
    #[command(
        after_help = "Example:\n  camlock vault key-file /mnt/usb/camlock.key\n  camlock serve --passphrase-file /mnt/usb/camlock.key\n  camlock vault key-file --remove"
    )]
    KeyFile {
        /// Where the key goes: a new file, for its owner alone
        #[arg(value_name = "FILE", required_unless_present = "remove")]
        file: Option<PathBuf>,
        /// No key file opens the authority from then on
        #[arg(long, conflicts_with = "file")]
        remove: bool,
    },
}

/// `backup`
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// Where it goes: a new file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `restore`
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Only prove that the recovery key opens it and that all in it is whole; nothing is restored
    #[arg(long)]
    pub check: bool,
    /// A file whose first line is the recovery key [default: the passphrase file if it holds one, else asked for]
    #[arg(long, value_name = "FILE")]
    pub recovery_key_file: Option<PathBuf>,
}

fn days(text: &str) -> Result<i64, String> {
    match text.strip_suffix('d').unwrap_or(text).parse() {
        Ok(days @ 0..=36_500) => Ok(days),
        _ => Err("a number of days, such as 30d".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOGUE: &str = include_str!("../../words/languages/en.ftl");
    /// Where the program itself is spoken of, and not something to type.
    const SPOKEN_OF: [&str; 2] = ["serve", "has the two"];

    /// The commands in a text: each goes on to the next punctuation, which a name in quotes or braces has not.
    fn commands(text: &str) -> Vec<String> {
        let ends = [". ", ", ", "; ", ": ", ")", " (", "*"];
        let rests = text.split("camlock ").skip(1);
        let until = |rest: &str| ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        rests.map(|rest| rest[..until(rest)].trim_end_matches('.').trim().to_owned()).collect()
    }

    /// What the catalogue advises to type is taken as it stands, with a name or a number in the place of each argument.
    #[test]
    fn advice_can_be_typed() {
        let mut refused = Vec::new();
        let mut checked = 0;
        for line in CATALOGUE
            .lines()
            .filter(|line| line.contains(".fix") || line.trim_start().starts_with(['[', '*']))
        {
            let text = line
                .replace("{ $options }", "--name NAS --ip 10.0.0.1 --dns a.lan")
                .replace("--ip IP", "--ip 10.0.0.1");
            let text =
                text.split("{ $").enumerate().map(|(index, part)| match (index, part.split_once('}')) {
                    (0, _) | (_, None) => part.to_owned(),
                    (_, Some((_, rest))) => format!("10.0.0.1{rest}"),
                });
            for command in commands(&text.collect::<String>()) {
                if SPOKEN_OF.iter().any(|spoken| command.starts_with(spoken)) {
                    continue;
                }
                let words = command.split('"').enumerate().flat_map(|(index, part)| match index % 2 {
                    0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
                    _ => vec![part.to_owned()],
                });
                checked += 1;
                let words: Vec<String> = std::iter::once("camlock".to_owned()).chain(words).collect();
                if let Err(e) = Args::try_parse_from(&words) {
                    refused.push(format!("{command}: {}", e.to_string().lines().next().unwrap_or_default()));
                }
            }
        }
        assert!(refused.is_empty() && checked > 100, "{checked}\n{}", refused.join("\n"));
    }
}
