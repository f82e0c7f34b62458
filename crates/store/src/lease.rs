use std::{fs::File, path::Path};

use domain::AltName;

use crate::{Error, Store};

/// The right to work on one device, to be the service, to make a backup or to restore one. Ends when dropped, and
/// with the process, however that ends: the operating system lets go of the lock, so a killed run blocks nobody.
#[derive(Debug)]
pub struct Lease {
    _lock: File,
}

impl Store {
    /// Takes the lease of the device at this host and port, or `None` if another run has it. It may not be in the
    /// ledger yet: the lease comes before the first word to it.
    pub fn lease_device(&self, host: &AltName, port: u16) -> Result<Option<Lease>, Error> {
        let host: String =
            host.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        // Two hosts with one such name would only wait for each other; a file name has 255 characters.
        self.lease(&format!("device-{}-{port}", &host[host.len().saturating_sub(200)..]))
    }

    /// Takes the lease of a device of the ledger, wherever it is, or `None` if another run has it.
    pub fn lease_known_device(&self, id: i64) -> Result<Option<Lease>, Error> {
        self.lease(&format!("known-device-{id}"))
    }

    /// Takes the lease of the service, or `None` if another one runs on this data directory.
    pub fn lease_service(&self) -> Result<Option<Lease>, Error> {
        self.lease("service")
    }

    /// Whether a service runs on this data directory. Nothing is written for it.
    pub fn is_served(&self) -> bool {
        // A shared lock, and only for this moment: whoever looks keeps no service from beginning.
        File::open(self.directory.join("leases/service"))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
    }

    fn lease(&self, name: &str) -> Result<Option<Lease>, Error> {
        Lease::take(&self.directory, name)
    }
}

impl Lease {
    /// Takes the right to restore into a data directory, which it makes where there is none, or `None` if another
    /// run has it.
    pub fn restoring(directory: &Path) -> Result<Option<Lease>, Error> {
        crate::must_be_own(directory)?;
        Lease::take(directory, "restore")
    }

    pub(crate) fn take(data: &Path, name: &str) -> Result<Option<Lease>, Error> {
        let failed = |e: std::io::Error| Error::DataDirectory {
            directory: data.display().to_string(),
            reason: e.to_string(),
        };
        let directory = data.join("leases");
        crate::make_private_directory(&directory).map_err(failed)?;
        let file = File::create(directory.join(name)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lease { _lock: file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(e)) => Err(failed(e)),
        }
    }
}
