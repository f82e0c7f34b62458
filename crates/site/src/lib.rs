//! What an operator can do on one site, once, for the command line, the page and the service.
//!
//! Each operation is a plain function of [`Site`], a file for each noun. None of them asks, prints or makes sentences:
//! what they need is given to them, what they have to say is a value.

mod backup;
mod certificates;
mod data_dir;
mod devices;
mod disk;
mod error;
mod founding;
mod host;
mod in_use;
mod notice;
mod own_pages;
mod restore;
mod rollover;
mod secrets;
mod secure;
mod status;
mod upkeep;

use std::sync::{Arc, PoisonError, RwLock};

use authority::{Authority, Public};
use store::{Lease, Store};
use time::OffsetDateTime;

pub use backup::{BackedUp, Schedule, must_be_writable};
pub use certificates::{By, Certified, Revocable, Revoked, Wanted};
pub use data_dir::{DataDir, LEDGER, PAGE, PROOF};
pub use devices::{page_of, place_of, target_at};
pub use disk::{DiskTrouble, begin_over, examine_disk, must_be_new, write_all_new, write_new, write_over};
pub use error::Error;
pub use founding::{Founded, found, is_vacant, must_be_vacant};
pub use host::{addresses, host_name, search_domains};
pub use in_use::{InUse, in_use, standing};
pub use notice::{Notice, Tell};
pub use own_pages::{Kind, PageCertificate};
pub use restore::{Restore, Restored, check_backup};
pub use secrets::Secrets;
pub use status::{Devices, Status, Trouble, status};
pub use upkeep::Upkeep;

/// One site: its data directory, its ledger, and its authority while that is unlocked. Cheap to clone; all clones are the
/// same site.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    files: DataDir,
    store: Store,
    /// `None` while it is locked. Only one is open in a process, and all of it move on to another one together.
    open: RwLock<Option<Arc<Authority>>>,
}

impl Site {
    /// Opens the ledger of this data directory, locked.
    ///
    /// # Errors
    ///
    /// There is no authority, or the ledger cannot be used.
    pub async fn open(files: DataDir) -> Result<Site, Error> {
        let store = Store::open(files.path()).await?;
        store.site().await?;
        Ok(Site::of(files, store, None))
    }

    /// A site of what was opened or founded before.
    pub fn of(files: DataDir, store: Store, authority: Option<Authority>) -> Site {
        Site(Arc::new(Inner { files, store, open: RwLock::new(authority.map(Arc::new)) }))
    }

    /// The files of the data directory.
    pub fn files(&self) -> &DataDir {
        &self.0.files
    }

    /// The ledger.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What time it is, by the ledger's clock.
    pub fn now(&self) -> OffsetDateTime {
        self.store().clock().now()
    }

    /// What everybody may know of the authority.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub async fn public(&self) -> Result<Public, Error> {
        Ok(Public::read(self.store()).await?)
    }

    /// Opens the authority with the passphrase, the recovery key or the key of a key file.
    ///
    /// # Errors
    ///
    /// The secret is another one, or the vault was tampered with.
    pub async fn unlock(&self, secret: &str) -> Result<(), Error> {
        self.put(Authority::open(self.store(), secret).await?);
        Ok(())
    }

    /// The open authority.
    ///
    /// # Errors
    ///
    /// It is locked.
    pub fn authority(&self) -> Result<Arc<Authority>, Error> {
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        Ok(open.clone().ok_or(authority::Error::Locked)?)
    }

    /// Reads the ledger and the policy again, if the authority is open: another process may have moved it on to the next
    /// root, for example.
    ///
    /// # Errors
    ///
    /// Something cannot be read; then what was read before stays.
    pub async fn refresh(&self) -> Result<(), Error> {
        if let Ok(authority) = self.authority() {
            self.put(authority.reopened().await?);
        }
        Ok(())
    }

    /// The right to be the service of this data directory, while the value lives.
    ///
    /// # Errors
    ///
    /// There is a service.
    pub fn lease_service(&self) -> Result<Lease, Error> {
        let directory = || disk::shown(self.files().path());
        self.store().lease_service()?.ok_or_else(|| Error::AlreadyServing { directory: directory() })
    }

    /// Closes the ledger, whose log would stay behind otherwise.
    pub async fn close(&self) {
        self.store().clone().close().await;
    }

    fn put(&self, authority: Authority) {
        *self.0.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(authority));
    }
}
