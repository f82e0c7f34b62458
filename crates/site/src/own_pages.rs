//! The certificates of Camlock's own pages. Key and chain are one file, 0600, outside the vault: so the pages are
//! served while the authority is locked.

use std::{net::IpAddr, sync::Arc};

use authority::{Authority, Days, MANAGED_DAYS, Order, PAGE_NAME, PROOF_NAME, Policy, Public};
use domain::AltName;
use fleet::renew_from;
use pki::{Certificate, KeyKind, PrivateKey, Profile, chain, package};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::{
    DataDir, Error,
    data_dir::{PAGE, PROOF},
    disk, host,
};

/// Which of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// That of the site's page.
    Page,
    /// That by which browsers prove that they trust the newest root, which is in the file, too.
    Proof,
}

impl Kind {
    /// What its certificate is called.
    fn name(self) -> &'static str {
        match self {
            Kind::Page => PAGE_NAME,
            Kind::Proof => PROOF_NAME,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Kind::Page => PAGE,
            Kind::Proof => PROOF,
        }
    }
}

/// More addresses than any machine here has; a limit, because they come from outside.
const MAX_NAMES: usize = 32;

/// Key and chain of a page.
pub struct PageCertificate {
    kind: Kind,
    pem: Zeroizing<String>,
    leaf: Certificate,
}

impl PageCertificate {
    /// Issues one for `names`.
    pub async fn issue(
        authority: &Authority,
        kind: Kind,
        names: &[AltName],
    ) -> Result<PageCertificate, Error> {
        let policy = authority.policy()?;
        // Small and quick, unless the policy wants another.
        let kinds = [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096];
        let taken = kinds.into_iter().find(|kind| policy.takes(Profile::Server, *kind));
        let key = PrivateKey::generate(taken.unwrap_or(KeyKind::P256))?;
        let order = Order {
            profile: Profile::Server,
            key: &key.public_key()?,
            common_name: Some(kind.name()),
            names,
            days: Days::AtMost(MANAGED_DAYS),
            clock_behind: Duration::ZERO,
            device_id: None,
        };
        let now = authority.store().clock().now();
        let issued = match kind {
            Kind::Page => authority.issue(&order, now).await?,
            Kind::Proof => authority.issue_proof(&order, now).await?,
        };
        let mut pem = package::pem(&key, &issued.certificate, &issued.issuers)?;
        if kind == Kind::Proof {
            pem.push_str(&Public::newest(authority.store()).await?.root.to_pem());
        }
        Ok(PageCertificate { kind, pem, leaf: issued.certificate })
    }

    /// Reads the one of this data directory; `None` where there is none that can be used.
    pub fn load(files: &DataDir, kind: Kind) -> Option<PageCertificate> {
        let pem = Zeroizing::new(std::fs::read_to_string(files.join(kind.file())).ok()?);
        let leaf = Certificate::read_all(pem.as_bytes()).ok()?.into_iter().next()?;
        let page = PageCertificate { kind, pem, leaf };
        page.tls().is_ok().then_some(page)
    }

    /// Writes it into the data directory, over an older one.
    pub fn save(&self, files: &DataDir) -> Result<(), Error> {
        disk::write_over(&files.join(self.kind.file()), self.pem.as_bytes(), 0o600)
    }

    /// What the web server takes.
    pub fn tls(&self) -> Result<ServerConfig, Error> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(self.pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|e| Error::page_certificate(&e))?;
        let key =
            PrivateKeyDer::from_pem_slice(self.pem.as_bytes()).map_err(|e| Error::page_certificate(&e))?;
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|c| c.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|e| Error::page_certificate(&e))
    }

    /// The last second of its validity.
    pub fn not_after(&self) -> OffsetDateTime {
        self.leaf.not_after()
    }

    /// The last certificate of the file: with [`Kind::Proof`], the root that browsers prove to trust.
    pub fn root(&self) -> Option<Certificate> {
        Certificate::read_all(self.pem.as_bytes()).ok()?.pop()
    }

    /// The certificate.
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// Whether it is of this authority, for all of `names`, and is not due to be renewed, or lasts as long as its issuer.
    pub fn is_good(&self, public: &Public, names: &[AltName], now: OffsetDateTime) -> bool {
        let held = self.leaf.alt_names();
        let issuers: Vec<Vec<u8>> = public.issuers.iter().map(|i| i.der().to_vec()).collect();
        let issuer_ends = public.issuer().not_after().min(public.root.not_after());
        chain::verify(self.leaf.der(), &issuers, std::slice::from_ref(&public.root), now).is_ok()
            && names.iter().all(|n| held.contains(n))
            && (now < renew_from(self.leaf.not_before(), self.leaf.not_after())
                || self.leaf.not_after() == issuer_ends)
    }
}

/// The names by which this machine is reached and for which authority and policy allow a certificate: its host name, the
/// same as a name of the local network (mDNS), its addresses, and the one that it was told to listen on.
pub(crate) fn names(public: &Public, policy: &Policy, listen: Option<IpAddr>) -> Vec<AltName> {
    let allowed = |name: &AltName| {
        let alone = std::slice::from_ref(name);
        public.permitted.allows(name) && policy.permits_names(Profile::Server, alone).is_ok()
    };
    let host = host::host_name().and_then(|n| AltName::dns(&n).ok());
    let local = match &host {
        Some(AltName::Dns(name)) if !name.contains('.') => AltName::dns(&format!("{name}.local")).ok(),
        _ => None,
    };
    let addresses = host::addresses().into_iter().chain(listen).map(|ip| AltName::Ip(ip.to_canonical()));
    let mut names = Vec::new();
    for name in host.into_iter().chain(local).chain(addresses) {
        if allowed(&name) && !names.contains(&name) && names.len() < MAX_NAMES {
            names.push(name);
        }
    }
    if !names.iter().any(|n| matches!(n, AltName::Dns(_)))
        && let Some(name) = public.permitted.host_name("camlock")
        && allowed(&name)
    {
        names.push(name);
    }
    names
}
