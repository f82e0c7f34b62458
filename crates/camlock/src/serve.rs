//! `serve`: the site's page over https, and the trust page over plain HTTP, until it is told to stop.

use std::{
    io::IsTerminal,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use authority::Policy;
use qrcode::{QrCode, render::unicode};
use serde_json::json;
use site::{Schedule, Tell, Upkeep};
use web::{Clients, LiveSite, Server};

use crate::{
    args,
    failure::Failure,
    setting::Setting,
    talk::{self, Level, log},
};

/// How often it is looked what the time or another process has changed.
const LOOK: Duration = Duration::from_secs(3600);

pub async fn run(serve: &args::Serve, setting: &Setting) -> Result<bool, Failure> {
    talk::be_the_service();
    let site = setting.site().await?;
    let _lease = site.lease_service()?;
    // Before anybody is asked for a passphrase.
    let https = listen(&serve.listen, 8443)?;
    let http = listen(&serve.http_listen, 8080)?;
    setting.unlock_if_told(&site).await?;

    let address = https.local_addr().map_err(cannot_serve)?;
    let named = Some(address.ip()).filter(|ip| !ip.is_unspecified());
    let tell: Tell = Arc::new(|notice| log(notice.severity().into(), &notice));
    let mut upkeep = Upkeep::new(site.clone(), named, tell.clone());
    upkeep.renew_certificate().await?;
    upkeep.begin_what_is_due().await;
    let Some(certificate) = upkeep.certificate() else {
        return Err(Failure::usage("page-certificate-missing"));
    };
    let tls = certificate.tls()?;
    let locked = site.authority().is_err();
    let reach = web::Reach {
        names: certificate.leaf().alt_names(),
        https_port: address.port(),
        http_port: http.local_addr().ok().map(|address| address.port()),
    };
    let shown = LiveSite::new(&site, reach, tell.clone());
    let clients = if serve.public { Clients::all() } else { Clients::private(refused) };
    let router = web::router(shown.clone());
    let server = Server::start(https, clients.clone(), tls, router).await.map_err(cannot_serve)?;
    let trust = Server::start_trust(http, clients, shown).await.map_err(cannot_serve)?;
    let trust_page = format!("http://{}/", reachable(trust.address()));
    // Whoever reads that it serves may ask it to end at once.
    let stopped = stopped();
    log(
        Level::Info,
        &json!({
            "code": if locked { "serving-locked" } else { "serving" },
            "page": format!("https://{}/", reachable(address)),
            "trust": trust_page,
        }),
    );
    if let Ok(code) = QrCode::new(&trust_page)
        && std::io::stderr().is_terminal()
    {
        // For the telephone in the hand of whoever has just started it.
        talk::tell(&code.render::<unicode::Dense1x2>().build());
    }

    // Locked, a mistake in the policy is no reason not to serve.
    let plan = site.files().policy().unwrap_or_else(|e| {
        log(Level::Error, &e);
        Policy::default()
    });
    let backups = plan.backup.map(|plan| tokio::spawn(Schedule::new(site.clone(), plan, tell).run()));
    let mut look = tokio::time::interval(LOOK);
    look.tick().await;
    tokio::select! {
        () = stopped => {}
        () = async {
            loop {
                look.tick().await;
                if let Some(tls) = upkeep.look().await {
                    server.replace_tls(tls);
                }
            }
        } => {}
    }
    log(Level::Info, &json!({"code": "stopping"}));
    if let Some(backups) = backups {
        backups.abort();
    }
    tokio::join!(server.stop(), trust.stop());
    site.close().await;
    Ok(true)
}

/// Where others reach what listens on this address: an address of this machine, if it listens on all of them.
fn reachable(listening: SocketAddr) -> SocketAddr {
    if !listening.ip().is_unspecified() {
        return listening;
    }
    let mut own: Vec<IpAddr> = site::addresses().into_iter().filter(|ip| !ip.is_loopback()).collect();
    own.sort_by_key(IpAddr::is_ipv6);
    let own = own.first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
    SocketAddr::new(own, listening.port())
}

/// Who is not answered is told once: whoever can reach us from outside could fill the log.
fn refused(address: IpAddr) {
    log(Level::Warning, &json!({"code": "client-refused", "address": address.to_string()}));
}

fn cannot_serve(e: std::io::Error) -> Failure {
    Failure::broken("cannot-serve", "reason", &e.to_string())
}

/// The named address, or every address of this machine at the default port: IPv6 and IPv4 where there is IPv6.
fn listen(named: &Option<SocketAddr>, port: u16) -> Result<TcpListener, Failure> {
    let everywhere = [IpAddr::from(Ipv6Addr::UNSPECIFIED), Ipv4Addr::UNSPECIFIED.into()];
    let addresses = match named {
        Some(address) => vec![*address],
        None => everywhere.map(|ip| SocketAddr::new(ip, port)).to_vec(),
    };
    TcpListener::bind(addresses.as_slice()).map_err(|e| Failure {
        said: json!({"code": "cannot-listen", "address": addresses[0].to_string(), "reason": e.to_string()}),
        exit: 3,
    })
}

/// Until Ctrl-C, or the system asks it to end; what comes from this call on counts.
#[cfg(unix)]
pub fn stopped() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        match signals {
            (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            // Without a place for a signal its default ends the program.
            _ => std::future::pending().await,
        }
    }
}

/// Until Ctrl-C.
#[cfg(not(unix))]
pub async fn stopped() {
    let _ = tokio::signal::ctrl_c().await;
}
