//! `serve`: the site's page over https, and the trust page over plain HTTP, until it is told to stop.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use authority::{Policy, Public, crl_at};
use domain::{Finding, KeyTransport, Scheme, Target, Verdict};
use pki::Certificate;
use serde_json::{Value, json};
use store::{DeviceRow, Store};
use time::OffsetDateTime;
use web::{Clients, Server};
use words::Words;

use crate::{
    args,
    backup::Schedule,
    failure::Failure,
    page_certificate::Provers,
    setting::Setting,
    talk::{self, Level, log},
    upkeep::Upkeep,
};

/// So many cameras are on the page; more would make it slow to read, for people too.
const SHOWN: usize = 200;
/// How often it is looked what the time or another process has changed.
const LOOK: Duration = Duration::from_secs(3600);

pub async fn run(serve: &args::Serve, setting: &Setting) -> Result<bool, Failure> {
    talk::be_the_service();
    let directory = setting.directory()?;
    let store = setting.store().await?;
    store.site().await?;
    let Some(_lease) = store.lease_service()? else {
        return Err(Failure::refused("already-serving", "directory", &directory.display().to_string()));
    };
    // Before anybody is asked for a passphrase.
    let https = listen(&serve.listen, 8443)?;
    let http = listen(&serve.http_listen, 8080)?;
    let authority = setting.authority_if_told(&store).await?;

    let address = https.local_addr().map_err(cannot_serve)?;
    let named = Some(address.ip()).filter(|ip| !ip.is_unspecified());
    let mut upkeep = Upkeep::new(store.clone(), authority, named);
    upkeep.renew_certificate().await?;
    upkeep.begin_what_is_due().await;
    let Some(certificate) = &upkeep.certificate else {
        return Err(Failure::usage("page-certificate-missing"));
    };
    let tls = certificate.tls()?;
    let locked = upkeep.authority.is_none();
    let shown = LiveSite {
        store: store.clone(),
        locked,
        words: Arc::new(Words::english()),
        reach: web::Reach {
            names: certificate.leaf().alt_names(),
            https_port: address.port(),
            http_port: http.local_addr().ok().map(|address| address.port()),
        },
        provers: Arc::new(Provers::new(&directory)),
    };
    let clients = if serve.public { Clients::all() } else { Clients::private(refused) };
    let router = web::router(shown.clone());
    let server = Server::start(https, clients.clone(), tls, router).await.map_err(cannot_serve)?;
    let trust = Server::start_trust(http, clients, shown).await.map_err(cannot_serve)?;
    // Whoever reads that it serves may ask it to end at once.
    let stopped = stopped();
    log(
        Level::Info,
        &json!({
            "code": if locked { "serving-locked" } else { "serving" },
            "page": format!("https://{address}/"),
            "trust": format!("http://{}/", trust.address()),
        }),
    );

    // Locked, a mistake in the policy is no reason not to serve.
    let plan = Policy::read(&directory).unwrap_or_else(|e| {
        log(Level::Error, &e);
        Policy::default()
    });
    let backups = plan.backup.map(|plan| tokio::spawn(Schedule::new(store.clone(), directory, plan).run()));
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
    store.close().await;
    Ok(true)
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

/// The ledger, as the page shows it.
#[derive(Clone)]
struct LiveSite {
    store: Store,
    locked: bool,
    words: Arc<Words>,
    reach: web::Reach,
    provers: Arc<Provers>,
}

impl web::Site for LiveSite {
    async fn page(&self) -> Result<web::Page, web::Unreadable> {
        self.read().await.map_err(unreadable)
    }

    async fn trust(&self) -> Result<web::Trust, web::Unreadable> {
        Ok(self.reached(&Public::read(&self.store).await.map_err(unreadable)?))
    }

    async fn crl(&self, path: &str) -> Result<Option<web::Crl>, web::Unreadable> {
        let list = crl_at(&self.store, path).await.map_err(unreadable)?;
        Ok(list.map(|(der, next_update)| web::Crl { der, next_update }))
    }

    async fn health(&self) -> Result<web::Health, web::Unreadable> {
        // Who asks for it is told, and asks often: not for the log.
        self.store.site().await.map_err(|_| web::Unreadable)?;
        Ok(web::Health { locked: self.locked })
    }

    fn now(&self) -> OffsetDateTime {
        self.store.clock().now()
    }

    fn words(&self) -> &Words {
        &self.words
    }

    fn prover(&self) -> Option<Arc<web::Prover>> {
        self.provers.current()
    }

    async fn proven(&self, root: &str, address: IpAddr) {
        if let Err(e) = self.store.record_proof(root, address, OffsetDateTime::now_utc()).await {
            log(Level::Error, &e);
        }
    }
}

fn unreadable(e: authority::Error) -> web::Unreadable {
    log(Level::Error, &e);
    web::Unreadable
}

impl LiveSite {
    fn reached(&self, public: &Public) -> web::Trust {
        web::Trust { reach: self.reach.clone(), ..trust(public) }
    }

    async fn read(&self) -> Result<web::Page, authority::Error> {
        let now = OffsetDateTime::now_utc();
        let devices = self.store.devices(None).await?;
        let secure = devices.iter().filter(|d| state(d, now).0 == Verdict::Secure).count();
        let mut cameras = Vec::new();
        for device in devices.iter().take(SHOWN) {
            cameras.push(self.camera(device, &self.words, now).await?);
        }
        Ok(web::Page {
            trust: self.reached(&Public::read(&self.store).await?),
            cameras,
            count: web::Count { secure, total: devices.len() },
            locked: self.locked,
            sign_in: None,
        })
    }

    async fn camera(
        &self,
        device: &DeviceRow,
        words: &Words,
        now: OffsetDateTime,
    ) -> Result<web::Camera, store::Error> {
        let steps = self.store.latest_steps(device.id).await?.into_iter().map(|s| web::StepLine {
            step: s.step,
            state: s.state,
            seconds: s.milliseconds as f64 / 1000.0,
            text: said(words, &s.text),
        });
        let steps: Vec<_> = steps.collect();
        let host = Target { text: String::new(), host: device.host.clone(), port: None, scheme: None };
        let (after, finding) = state(device, now);
        Ok(web::Camera {
            name: device.name.to_string(),
            model: device.model.as_deref().unwrap_or_default().to_owned(),
            way: device.key_transport.map_or("", way).to_owned(),
            driver: device.driver.clone(),
            before: device.first_verdict,
            before_text: device.first_finding.as_deref().map(|f| said(words, f)).unwrap_or_default(),
            after,
            after_text: match finding {
                Some(finding) => words.say(&finding).text,
                None if after == Verdict::Secure => words.say(&json!({"code": "no-warning"})).text,
                None => String::new(),
            },
            http_url: Some(host.url(Scheme::Http, device.port)),
            https_url: host.url(Scheme::Https, device.https_port.unwrap_or(443)),
            key_transport: device.key_transport.unwrap_or(KeyTransport::None),
            warnings: Vec::new(),
            seconds: steps.iter().map(|s| s.seconds).sum(),
            steps,
            valid_until: device.not_after.map(OffsetDateTime::date),
            verified: device.verified_at.map(OffsetDateTime::date),
        })
    }
}

/// The verdict of the last verification, unless its certificate has ended since.
fn state(device: &DeviceRow, now: OffsetDateTime) -> (Verdict, Option<Finding>) {
    match device.not_after {
        Some(end) if device.verdict == Verdict::Secure && end < now => {
            (Verdict::NotSecure, Some(Finding::Expired { not_after: end.date() }))
        }
        _ => (device.verdict, None),
    }
}

fn said(words: &Words, stored: &str) -> String {
    words.say(&serde_json::from_str::<Value>(stored).unwrap_or_default()).text
}

fn way(transport: KeyTransport) -> &'static str {
    match transport {
        KeyTransport::None => "made on the camera",
        _ => "made by Camlock",
    }
}

/// The roots as the pages hand them out.
pub fn trust(public: &Public) -> web::Trust {
    web::Trust {
        site: public.site.clone(),
        root: root(&public.root),
        next: public.next.as_ref().map(root),
        old: public.old_roots().map(root).collect(),
        reach: web::Reach::default(),
        throw_away: false,
    }
}

fn root(root: &Certificate) -> web::Root {
    web::Root {
        der: root.der().to_vec(),
        pem: root.to_pem(),
        subject: root.subject(),
        sha256: root.sha256(),
        not_after: root.not_after().date(),
        constrained: root.has_name_constraints(),
    }
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
