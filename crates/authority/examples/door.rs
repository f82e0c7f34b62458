//! The one door, used hard. For tests of durability and for scripts/bench.
//!
//!     door issue DATA SECRET-FILE AT-ONCE [COUNT]   issues, until killed or so often; a line for each certificate
//!     door bench KEY AT-ONCE COUNT                  measures; one JSON object
//!     door bound KEY                                how fast its cryptography alone is; one JSON object
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use authority::{Authority, Days, Error, Founding, Issued, MANAGED_DAYS, New, Order, Wish};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1, KeyPair as _, RSA_PKCS1_SHA256, UnparsedPublicKey},
};
use pki::{KeyKind, Permitted, PrivateKey, Profile, Request};
use serde_json::{Value, json};
use store::Store;
use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// What the head of this file says.
pub async fn run(words: &[&str]) {
    match *words {
        ["issue", data, secret, at_once] => issue(data, secret, at_once, usize::MAX).await,
        ["issue", data, secret, at_once, count] => issue(data, secret, at_once, count.parse().unwrap()).await,
        ["bench", key, at_once, count] => {
            let (at_once, count) = (at_once.parse().unwrap(), count.parse().unwrap());
            println!("{}", bench(key.parse().unwrap(), at_once, count).await);
        }
        ["bound", key] => println!("{}", bound(key.parse().unwrap())),
        _ => panic!("see the head of this file"),
    }
}

/// What was handed out is on standard output; what was refused, on standard error.
async fn issue(data: &str, secret: &str, at_once: &str, count: usize) {
    let store = Store::open(Path::new(data)).await.unwrap();
    let secret = fs::read_to_string(secret).unwrap();
    let authority = Authority::open(&store, secret.trim_end()).await.unwrap();
    each(authority, at_once.parse().unwrap(), count, |result| match result {
        Ok(issued) => println!("{} {}", issued.certificate.serial(), issued.certificate.sha256()),
        Err(error) => eprintln!("{}", serde_json::to_string(&error).unwrap()),
    })
    .await;
    store.close().await;
}

/// Issues `count` certificates, so many at once, each for a request that is read and checked.
async fn each(
    authority: Authority,
    at_once: usize,
    count: usize,
    done: impl Fn(Result<Issued, Error>) + Send + Sync + 'static,
) {
    let shared = Arc::new((authority, requests(), AtomicUsize::new(0), done));
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let shared = shared.clone();
        tasks.spawn(async move {
            let (authority, requests, next, done) = &*shared;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                done(one(authority, &requests[number % requests.len()], number).await);
            }
        });
    }
    tasks.join_all().await;
}

async fn one(authority: &Authority, request: &str, number: usize) -> Result<Issued, Error> {
    let request = Request::read(request.as_bytes())?;
    let [_, a, b, c] = (number as u32).to_be_bytes();
    let wish = Wish {
        names: vec![format!("10.{a}.{b}.{c}").parse().unwrap()],
        common_name: Some(format!("Camera {number}")),
    };
    let effective = authority::effective(Some(&request), &wish)?;
    let order = Order {
        profile: Profile::Device,
        key: &request.key,
        common_name: effective.common_name.as_deref(),
        names: &effective.names,
        days: Days::AtMost(MANAGED_DAYS),
        clock_behind: Duration::ZERO,
        device_id: None,
    };
    authority.issue(&order, OffsetDateTime::now_utc()).await
}

/// As cameras write them: P-256, a common name, an address.
fn requests() -> Vec<String> {
    let request = |number: u8| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("IPC-{number}"));
        params.subject_alt_names = vec![rcgen::SanType::IpAddress([192, 168, 1, number].into())];
        params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    };
    (0..64).map(request).collect()
}

async fn bench(key: KeyKind, at_once: usize, count: usize) -> Value {
    let folder = tempfile::tempdir_in(".").unwrap();
    let store = Store::create(folder.path()).await.unwrap();
    let permitted = Permitted::local(None);
    let founding = Founding { site: "Bench".into(), key, permitted, constrained: true, two_tier: false };
    let new = New::make(founding, "words", OffsetDateTime::now_utc()).await.unwrap();
    let (_, recovery) = new.found(&store).await.unwrap();
    store.close().await;
    let empty = size(folder.path());
    let syncs = syncs(folder.path());

    let store = Store::open(folder.path()).await.unwrap();
    let authority = Authority::open(&store, recovery.text()).await.unwrap();
    let tally = Arc::new(Mutex::new((0, 0, vec![Used::now()])));
    let counted = tally.clone();
    let lap = LAP.min(count);
    each(authority, at_once, count, move |result| {
        let (issued, bytes, laps) = &mut *counted.lock().unwrap();
        *issued += 1;
        *bytes += result.unwrap().certificate.der().len();
        if *issued % lap == 0 {
            laps.push(Used::now());
        }
    })
    .await;
    store.close().await;
    let (_, bytes, laps) = &*tally.lock().unwrap();
    json!({
        "all": laps[0].rate(&Used::now(), count),
        "first": laps[0].rate(&laps[1], lap),
        "last": laps[laps.len() - 2].rate(&laps[laps.len() - 1], lap),
        "der": *bytes as f64 / count as f64,
        "beside": (size(folder.path()) - empty - *bytes) as f64 / count as f64,
        "syncs": syncs,
    })
}

/// So many are timed together.
const LAP: usize = 5000;

/// What this process has used of time until a moment.
struct Used {
    clock: Instant,
    /// Hundredths of a second on all processors together, in the program and in the kernel for it.
    cpu: u64,
}

impl Used {
    fn now() -> Used {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        // proc(5): utime and stime are the 14th and 15th; the 2nd, in parentheses, may hold spaces.
        let after = stat.rsplit(") ").next().unwrap().split(' ');
        let cpu = after.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Used { clock: Instant::now(), cpu }
    }

    /// How many of `count` things came to a second, and to a second of processor time.
    fn rate(&self, until: &Used, count: usize) -> Value {
        let seconds = (until.clock - self.clock).as_secs_f64();
        let cpu_seconds = (until.cpu - self.cpu) as f64 / 100.0;
        json!({ "per_second": count as f64 / seconds, "per_cpu_second": count as f64 / cpu_seconds })
    }
}

/// The ledger's size once it is closed, when it has no other file, bytes.
fn size(folder: &Path) -> usize {
    assert!(!folder.join("camlock.db-wal").exists());
    fs::metadata(folder.join("camlock.db")).unwrap().len() as usize
}

/// How often a second this disk makes a page durable.
fn syncs(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("syncs")).unwrap();
    let (since, count) = (Instant::now(), 200);
    for _ in 0..count {
        file.write_all(&[1; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    f64::from(count) / since.elapsed().as_secs_f64()
}

/// The check of a request's signature and the making of a certificate's, and nothing else.
fn bound(key: KeyKind) -> Value {
    let (random, message) = (SystemRandom::new(), [7; 600]);
    let PrivateKey::Ec(device, _) = PrivateKey::generate(KeyKind::P256).unwrap() else { panic!() };
    let signature = device.sign(&random, &message).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, device.public_key());
    let issuer = PrivateKey::generate(key).unwrap();
    let (since, count) = (Used::now(), 5000);
    for _ in 0..count {
        public.verify(&message, signature.as_ref()).unwrap();
        match &issuer {
            PrivateKey::Ec(key, _) => drop(key.sign(&random, &message).unwrap()),
            PrivateKey::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, &message, &mut signature).unwrap();
            }
        }
    }
    since.rate(&Used::now(), count)
}
