//! `camera-sim`: one simulated camera or many alike, until it is told to stop.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use camera_sim::{Camera, CapabilityNames, Fault, Maker, Model, Options};
use clap::Parser;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  camera-sim onvif-security
      A camera that makes its own key; ports and password are in the line it prints.
  camera-sim pem-page --http-port 8080 --https-port 8443 --password-file /run/pw --name Yard
  camera-sim onvif-device --fault drops-upload --fault short-nonces
  camera-sim reolink --fault serves-old-certificate
  camera-sim onvif-device --count 200 --password-file /run/pw

Stops on SIGINT and SIGTERM.";

/// A simulated IP camera for testing Camlock.
///
/// Prints one line of JSON on standard output for each: model, http, https, user, password.
#[derive(Parser)]
#[command(name = "camera-sim", version, after_help = EXAMPLES)]
struct Arguments {
    /// How the camera takes its certificate
    #[arg(value_enum)]
    model: Model,
    /// So many cameras alike, in one process; each has ports that the system chooses
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..),
          conflicts_with_all = ["http_port", "https_port", "serial", "transcript"])]
    count: u16,
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// HTTP port; 0 lets the system choose
    #[arg(long, value_name = "N", default_value_t = 0)]
    http_port: u16,
    /// HTTPS port; 0 lets the system choose
    #[arg(long, value_name = "N", default_value_t = 0)]
    https_port: u16,
    /// Name of the one account
    #[arg(long, value_name = "U", default_value = "admin")]
    user: String,
    /// File with the account's password; without it a random one is made and printed
    #[arg(long, value_name = "F")]
    password_file: Option<PathBuf>,
    /// Something that goes wrong; may be given several times
    #[arg(long = "fault", value_name = "FAULT", value_enum)]
    faults: Vec<Fault>,
    /// The least time in which a key pair comes to be, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 300)]
    key_generation_ms: u64,
    /// Which names of the Security service's capabilities are answered
    #[arg(long, value_enum, default_value_t = CapabilityNames::Both)]
    capability_names: CapabilityNames,
    /// Leave the factory with a certificate and HTTPS on
    #[arg(long)]
    factory_certificate: bool,
    /// That certificate is signed by the root of a maker, which is written to this file (PEM)
    #[arg(long, value_name = "FILE", requires = "factory_certificate")]
    maker_root: Option<PathBuf>,
    /// Answer WS-Discovery on UDP port 3702
    #[arg(long)]
    discovery: bool,
    /// Write every SOAP message to this directory, without passwords and private keys
    #[arg(long, value_name = "DIR")]
    transcript: Option<PathBuf>,
    /// The camera's name for people
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The camera's serial number, such as it keeps over a reset; without it a random one
    #[arg(long, value_name = "TEXT")]
    serial: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("camera-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> io::Result<()> {
    let (password, printed) = match &arguments.password_file {
        Some(file) => {
            let read = tokio::fs::read_to_string(file).await;
            let text =
                read.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
            (text.trim_end_matches(['\r', '\n']).to_owned(), None)
        }
        None => {
            let password = random_password()?;
            (password.clone(), Some(password))
        }
    };
    let (user, count) = (arguments.user.clone(), arguments.count);
    let maker_root = arguments.maker_root.clone();
    let mut options = options(arguments, password);
    if let Some(file) = maker_root {
        let maker = Maker::new("Simulated Cameras Device Root").map_err(io::Error::other)?;
        tokio::fs::write(file, maker.root()).await?;
        options.maker = Some(Arc::new(maker));
    }
    let mut cameras = Vec::new();
    for _ in 0..count {
        let camera = Camera::start(options.clone()).await?;
        let line = json!({
            "model": camera.model().name(),
            "http": camera.http_url(),
            "https": camera.https_url(),
            "user": user,
            "password": printed,
        });
        writeln!(io::stdout().lock(), "{line}")?;
        cameras.push(camera);
    }
    wait_for_a_signal().await?;
    for camera in cameras {
        camera.stop().await;
    }
    Ok(())
}

fn options(arguments: Arguments, password: String) -> Options {
    let mut options = Options::new(arguments.model, arguments.user, password);
    options.bind = arguments.bind;
    options.http_port = arguments.http_port;
    options.https_port = arguments.https_port;
    options.faults = arguments.faults;
    options.key_generation = Duration::from_millis(arguments.key_generation_ms);
    options.capability_names = arguments.capability_names;
    options.factory_certificate = arguments.factory_certificate;
    options.discovery = arguments.discovery;
    options.transcript = arguments.transcript;
    options.serial = arguments.serial;
    if let Some(name) = arguments.name {
        options.name = name;
    }
    options
}

/// Twelve characters that are hard to mistake for each other.
fn random_password() -> io::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789X";
    let mut bytes = [0; 12];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[cfg(unix)]
async fn wait_for_a_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn wait_for_a_signal() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
