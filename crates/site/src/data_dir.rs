use std::path::{Path, PathBuf};

use authority::Policy;
use devices::Recipes;
use pki::Certificate;

use crate::{Error, disk};

/// The ledger; names of files of a data directory, and in a backup of it.
pub const LEDGER: &str = "camlock.db";
/// Key and certificate of the site's page.
pub const PAGE: &str = "page.pem";
/// Key and certificate of the trust page's test, and the root that it tests.
pub const PROOF: &str = "proof.pem";
/// The operator's policy.
pub(crate) const POLICY: &str = "policy.toml";
/// The operator's own recipes.
pub(crate) const RECIPES: &str = "recipes";
/// The roots under which makers name their devices, as the operator put them there.
pub(crate) const MAKER_ROOTS: &str = "maker-roots";

/// The directory that holds all of a site: the ledger, and the files that are no part of it.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// It need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> DataDir {
        DataDir(directory.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The operator's policy, or the default one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has a mistake in it.
    pub fn policy(&self) -> Result<Policy, Error> {
        Ok(Policy::read(&self.0)?)
    }

    /// The recipes that come with Camlock, and the operator's own.
    ///
    /// # Errors
    ///
    /// One of them cannot be read, or has a mistake in it.
    pub fn recipes(&self) -> Result<Recipes, Error> {
        Ok(Recipes::read(&self.0)?)
    }

    /// The certificates of the folder `maker-roots`.
    ///
    /// # Errors
    ///
    /// A file cannot be read, holds no certificate, or there are too many.
    pub fn maker_roots(&self) -> Result<Vec<Certificate>, Error> {
        let mut roots = Vec::new();
        for file in disk::in_folder(&self.join(MAKER_ROOTS), "pem")? {
            let bytes = std::fs::read(&file).map_err(|e| Error::unreadable(&file, &e))?;
            roots.extend(Certificate::read_all(&bytes)?);
        }
        Ok(roots)
    }
}
