//! `demo`: the whole loop on simulated cameras.

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::Path,
    sync::Arc,
};

use authority::{Authority, Founding, New};
use camera_sim::{Camera, Model, Options};
use comfy_table::{Cell, Table, presets::UTF8_FULL_CONDENSED};
use devices::Credentials;
use domain::{AltName, Finding, KeyTransport, Verdict};
use fleet::{Fleet, Limits, Order, Outcome, Way};
use pki::{KeyKind, Permitted, Serial};
use serde_json::json;
use site::{Kind, PageCertificate};
use store::Store;
use time::OffsetDateTime;
use words::Words;
use zeroize::Zeroizing;

use crate::{
    args,
    failure::Failure,
    secure, serve,
    talk::{self, grouped, print, print_json, tell},
};

const USER: &str = "admin";

pub async fn run(demo: &args::Demo, as_json: bool) -> Result<bool, Failure> {
    let folder = tempfile::Builder::new().prefix("camlock-demo-").tempdir().map_err(failed)?;
    let password = random()?;
    let cameras = plug_in(demo.cameras, &password).await?;
    tell(&format!("{} simulated cameras in factory state; making a throw-away authority", cameras.len()));

    let store = Store::create(&folder.path().join("data")).await?;
    let authority = found(&store).await?;
    let root_file = folder.path().join("root.pem");
    std::fs::write(&root_file, authority.public().root.to_pem()).map_err(failed)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let names = ["127.0.0.1".parse()?, "camlock.home.arpa".parse()?];
    let tls = PageCertificate::issue(&authority, Kind::Page, &names).await?.tls()?;
    let page_url = (!demo.once).then(|| format!("https://{address}/"));

    let credentials = Credentials::new(USER, Zeroizing::new(password.clone()));
    let mut orders = Vec::new();
    for (name, camera) in &cameras {
        let target = camera.http_url().parse()?;
        let credentials = credentials.clone();
        let order = Order::new(target, credentials);
        orders.push((name.clone(), Way::Driver(order)));
    }
    let public = authority.public().clone();
    let fleet = Arc::new(Fleet {
        store,
        public: public.clone(),
        issuer: Some(Arc::new(authority)),
        limits: Limits::default(),
        recipes: devices::Recipes::default(),
        maker_roots: Vec::new(),
    });
    let outcomes = secure::all(&fleet, orders).await?;
    let all_secure = outcomes.len() == cameras.len() && outcomes.iter().all(Outcome::is_done);

    let shown: Vec<Shown<'_>> = cameras
        .iter()
        .zip(&outcomes)
        .map(|((name, camera), outcome)| Shown { name, camera, outcome })
        .collect();
    if as_json {
        print_json(&document(&root_file, page_url.as_deref(), &shown));
    } else {
        table(&shown);
        print(&format!("Root     {}", root_file.display()));
        print(&format!("SHA-256  {}", grouped(&public.root.sha256())));
    }
    if demo.once {
        // Windows removes no file that is open.
        fleet.store.clone().close().await;
        keep_root(folder).map_err(failed)?;
        return Ok(all_secure);
    }

    let page = page(&public, (names.to_vec(), address.port()), &shown, &password);
    let server = web::Server::start(
        listener,
        web::Clients::all(),
        tls,
        web::router(Shop { page, words: Arc::new(Words::english()) }),
    )
    .await
    .map_err(failed)?;
    if !as_json {
        print(&format!("Cameras  sign in as {USER} with {password} (made for this run)"));
        print(&format!("Page     https://{address}/   (Ctrl-C ends all of it)"));
    }
    serve::stopped().await;
    server.stop().await;
    for (_, camera) in cameras {
        camera.stop().await;
    }
    Ok(all_secure)
}

/// What the page shows stays the same as long as the demonstration runs.
#[derive(Clone)]
struct Shop {
    page: web::Page,
    words: Arc<Words>,
}

impl web::Site for Shop {
    async fn page(&self) -> Result<web::Page, web::Unreadable> {
        Ok(self.page.clone())
    }

    async fn trust(&self) -> Result<web::Trust, web::Unreadable> {
        Ok(self.page.trust.clone())
    }

    async fn crl(&self, _path: &str) -> Result<Option<web::Crl>, web::Unreadable> {
        Ok(None)
    }

    async fn health(&self) -> Result<web::Health, web::Unreadable> {
        Ok(web::Health { locked: self.page.locked })
    }

    fn now(&self) -> OffsetDateTime {
        domain::Clock::system().now()
    }

    fn words(&self) -> &Words {
        &self.words
    }

    fn prover(&self) -> Option<Arc<web::Prover>> {
        None
    }

    async fn proven(&self, _root: &str, _address: IpAddr) {}
}

struct Shown<'a> {
    name: &'a str,
    camera: &'a Camera,
    outcome: &'a Outcome,
}

async fn plug_in(count: u8, password: &str) -> Result<Vec<(String, Camera)>, Failure> {
    let models = [Model::OnvifSecurity, Model::OnvifDevice, Model::PemPage];
    let mut cameras = Vec::new();
    for index in 0..usize::from(count) {
        let mut options = Options::new(models[index % models.len()], USER, password);
        if index >= models.len() {
            options.name = format!("{} {}", options.name, index / models.len() + 1);
        }
        let name = options.name.clone();
        cameras.push((name, Camera::start(options).await.map_err(failed)?));
    }
    Ok(cameras)
}

/// The authority of this run: its passphrase is random and known to nobody, so it ends with the program.
async fn found(store: &Store) -> Result<Authority, Failure> {
    let mut permitted = Permitted::local(None);
    permitted.permit("127.0.0.1")?;
    let founding = Founding {
        site: "Demo".into(),
        key: KeyKind::Rsa3072,
        permitted,
        constrained: true,
        two_tier: false,
    };
    let passphrase = Zeroizing::new(random()?);
    let new = New::make(founding, &passphrase, OffsetDateTime::now_utc()).await?;
    Ok(new.found(store).await?.0)
}

fn document(root: &Path, page: Option<&str>, shown: &[Shown<'_>]) -> serde_json::Value {
    let cameras: Vec<_> = shown
        .iter()
        .map(|s| {
            json!({
                "name": s.name,
                "url": s.outcome.url.clone().unwrap_or_else(|| format!("{}/", s.camera.https_url())),
                "http": format!("{}/", s.camera.http_url()),
                "model": s.camera.model().name(),
                "driver": s.outcome.driver,
                "before": s.outcome.before,
                "after": s.outcome.verdict,
                "seconds": seconds(s.outcome),
            })
        })
        .collect();
    json!({"root": root.display().to_string(), "page": page, "cameras": cameras})
}

fn table(shown: &[Shown<'_>]) {
    let words = Words::english();
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["Camera", "How", "Before", "After", "Seconds"]);
    for s in shown {
        table.add_row([
            Cell::new(s.name),
            Cell::new(way(s.camera.model())),
            talk::verdict_cell(s.outcome.before, &format!("{}/", s.camera.http_url())),
            talk::verdict_cell(s.outcome.verdict, s.outcome.url.as_deref().unwrap_or_default()),
            Cell::new(format!("{:.2}", seconds(s.outcome))),
        ]);
    }
    print(&table.to_string());
    for s in shown {
        for finding in s.outcome.findings.iter().filter(|f| matches!(f, Finding::FirstContactUnchecked)) {
            print(&format!("{}:", s.name));
            talk::finding(finding.severity(), &words.say(finding));
        }
        if let Some(error) = &s.outcome.error {
            print(&format!("{}:", s.name));
            talk::finding(domain::Severity::Error, &words.say(error));
        }
    }
}

fn page(
    public: &authority::Public,
    (names, https_port): (Vec<AltName>, u16),
    shown: &[Shown<'_>],
    password: &str,
) -> web::Page {
    let words = Words::english();
    let cameras: Vec<_> = shown.iter().map(|s| page_camera(s, &words)).collect();
    let mut trust = web::trust(public);
    trust.throw_away = true;
    trust.reach = web::Reach { names, https_port, http_port: None };
    web::Page {
        trust,
        count: web::Count::of(&cameras),
        cameras,
        locked: false,
        sign_in: Some(web::SignIn { user: USER.into(), password: password.to_owned() }),
    }
}

fn page_camera(s: &Shown<'_>, words: &Words) -> web::Camera {
    let steps = s.outcome.steps.iter().map(|step| web::StepLine {
        step: step.step,
        state: step.state,
        seconds: step.seconds,
        text: words.say(&step.text).text,
    });
    let warnings = s.outcome.findings.iter().filter(|f| f.severity() != domain::Severity::Info);
    let before = Finding::PlainHttp { port: s.camera.http_address().port() };
    web::Camera {
        name: s.name.to_owned(),
        model: s
            .outcome
            .model
            .as_ref()
            .map_or_else(|| format!("Simulated camera ({})", s.camera.model()), ToString::to_string),
        way: way(s.camera.model()).to_owned(),
        driver: s.outcome.driver.clone().unwrap_or_default(),
        before: s.outcome.before,
        before_text: words.say(&before).text,
        after: s.outcome.verdict,
        after_text: match (&s.outcome.error, s.outcome.verdict) {
            (Some(error), _) => words.say(error).text,
            (None, Verdict::Secure) => words.say(&json!({"code": "no-warning"})).text,
            (None, _) => String::new(),
        },
        http_url: Some(format!("{}/", s.camera.http_url())),
        https_url: s.outcome.url.clone().unwrap_or_else(|| format!("{}/", s.camera.https_url())),
        key_transport: s.outcome.key_transport.unwrap_or(KeyTransport::None),
        warnings: warnings.map(|f| words.say(f).text).collect(),
        steps: steps.collect(),
        seconds: seconds(s.outcome),
        valid_until: s.outcome.not_after.map(|d| d.date()),
        verified: None,
    }
}

fn way(model: Model) -> &'static str {
    match model {
        Model::OnvifSecurity => "makes its own key",
        Model::OnvifDevice => "takes key and certificate",
        Model::PemPage => "takes one PEM on its web page",
        _ => "speaks its maker's own dialect",
    }
}

fn seconds(outcome: &Outcome) -> f64 {
    outcome.steps.iter().map(|s| s.seconds).sum()
}

/// The root stays where the output says it is; everything else of the run goes.
fn keep_root(folder: tempfile::TempDir) -> std::io::Result<()> {
    let path = folder.keep();
    std::fs::remove_dir_all(path.join("data"))
}

fn random() -> Result<String, Failure> {
    Ok(Serial::random()?.to_string()[4..28].to_owned())
}

fn failed(e: impl std::fmt::Display) -> Failure {
    Failure::broken("demo-failed", "reason", &e.to_string())
}
