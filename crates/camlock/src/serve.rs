//! `serve`: the site's page over https, and the trust page over plain HTTP, until it is told to stop.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use authority::{Authority, Policy, Public};
use domain::{Finding, KeyTransport, Scheme, Target, Verdict};
use fleet::RENEW_DAYS;
use serde_json::{Value, json};
use store::{DeviceRow, Store};
use time::OffsetDateTime;
use web::Server;
use words::Words;

use crate::{
    args,
    backup::Schedule,
    failure::Failure,
    page_certificate::{self, PageCertificate},
    setting::Setting,
    talk::{Level, log},
};

/// So many cameras are on the page; more would make it slow to read, for people too.
const SHOWN: usize = 200;
/// How often it is looked whether the page's certificate still fits.
const LOOK: Duration = Duration::from_secs(3600);

pub async fn run(serve: &args::Serve, setting: &Setting) -> Result<bool, Failure> {
    let directory = setting.directory()?;
    let store = setting.store().await?;
    let public = Public::read(&store).await?;
    let plan = Policy::read(&directory)?.backup;
    let Some(_lease) = store.lease_service()? else {
        return Err(Failure::refused("already-serving", "directory", &directory.display().to_string()));
    };
    // Before anybody is asked for a passphrase.
    let https = listen(&serve.listen, 8443)?;
    let http = listen(&serve.http_listen, 8080)?;
    let authority = setting.authority_if_told(&store).await?;

    let address = https.local_addr().map_err(cannot_serve)?;
    let named = Some(address.ip()).filter(|ip| !ip.is_unspecified());
    let mut page =
        Page { directory: directory.clone(), public, authority, named, certificate: None, complained: false };
    page.refresh().await?;
    let Some(certificate) = &page.certificate else {
        return Err(Failure::usage("page-certificate-missing"));
    };
    let tls = certificate.tls()?;
    let site = LiveSite {
        store: store.clone(),
        public: page.public.clone(),
        locked: page.authority.is_none(),
        words: Arc::new(Words::english()),
    };
    let root = root(&page.public, None);
    let trust = web::trust_router(&root, &page.public.site, site.clone());
    let server = Server::start(https, tls, web::router(&root, site)).await.map_err(cannot_serve)?;
    let trust = Server::start_plain(http, trust).await.map_err(cannot_serve)?;
    log(
        Level::Info,
        &json!({
            "code": if page.authority.is_some() { "serving" } else { "serving-locked" },
            "page": format!("https://{address}/"),
            "trust": format!("http://{}/", trust.address()),
        }),
    );

    let backups = plan.map(|plan| tokio::spawn(Schedule::new(store.clone(), directory, plan).run()));
    let mut look = tokio::time::interval(LOOK);
    look.tick().await;
    tokio::select! {
        () = stopped() => {}
        () = async {
            loop {
                look.tick().await;
                match page.refresh().await {
                    Ok(true) => if let Some(Ok(tls)) = page.certificate.as_ref().map(PageCertificate::tls) {
                        server.replace_tls(tls);
                    },
                    Ok(false) => {}
                    Err(failure) => log(Level::Error, &failure.said),
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

/// The page's certificate, and what renews it.
struct Page {
    directory: PathBuf,
    public: Public,
    authority: Option<Authority>,
    /// The one address that it was told to listen on, if it was.
    named: Option<IpAddr>,
    certificate: Option<PageCertificate>,
    complained: bool,
}

impl Page {
    /// Sees that the certificate fits this machine's names and has time left; whether another one is there now.
    /// Locked, an old one is better than none, and the log says so once.
    async fn refresh(&mut self) -> Result<bool, Failure> {
        let names = page_certificate::names(&self.public, self.named);
        let loaded = self.certificate.is_none();
        if loaded {
            self.certificate = PageCertificate::load(&self.directory);
        }
        if self.certificate.as_ref().is_some_and(|c| c.is_good(&self.public, &names, RENEW_DAYS)) {
            return Ok(loaded);
        }
        let said: Vec<String> = names.iter().map(ToString::to_string).collect();
        match (&self.authority, &self.certificate) {
            (Some(authority), _) => {
                let certificate = PageCertificate::issue(authority, &names).await?;
                certificate.save(&self.directory)?;
                let until = certificate.not_after().date();
                log(Level::Info, &json!({"code": "page-certificate-issued", "names": said, "until": until}));
                self.certificate = Some(certificate);
                return Ok(true);
            }
            (None, Some(old)) if !self.complained => {
                self.complained = true;
                let until = old.not_after().date();
                log(Level::Warning, &json!({"code": "page-certificate-old", "names": said, "until": until}));
            }
            (None, _) => {}
        }
        Ok(loaded)
    }
}

/// The ledger, as the page shows it.
#[derive(Clone)]
struct LiveSite {
    store: Store,
    public: Public,
    locked: bool,
    words: Arc<Words>,
}

impl web::Site for LiveSite {
    async fn page(&self) -> Option<web::Page> {
        match self.read().await {
            Ok(page) => Some(page),
            Err(e) => {
                log(Level::Error, &e);
                None
            }
        }
    }

    async fn health(&self) -> Option<web::Health> {
        self.store.site().await.ok().map(|_| web::Health { locked: self.locked })
    }
}

impl LiveSite {
    async fn read(&self) -> Result<web::Page, store::Error> {
        let now = OffsetDateTime::now_utc();
        let devices = self.store.devices(None).await?;
        let secure = devices.iter().filter(|d| state(d, now).0 == Verdict::Secure).count();
        let mut cameras = Vec::new();
        for device in devices.iter().take(SHOWN) {
            cameras.push(self.camera(device, &self.words, now).await?);
        }
        Ok(web::Page {
            site: self.public.site.clone(),
            root: root(&self.public, None),
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
            name: device.name.clone(),
            model: device.model.clone().unwrap_or_default(),
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

/// The root as the pages hand it out.
pub fn root(public: &Public, file: Option<PathBuf>) -> web::Root {
    web::Root {
        der: public.root.der().to_vec(),
        pem: public.root.to_pem(),
        subject: public.root.subject(),
        sha256: public.root.sha256(),
        not_after: public.root.not_after().date(),
        file,
        constrained: public.constrained,
    }
}

/// Until Ctrl-C, or the system asks it to end.
pub async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
