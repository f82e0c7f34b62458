use std::sync::Arc;

use fleet::{Fleet, Limits};

use crate::{Error, Site};

impl Site {
    /// The fleet of this site, with what its operator put into the data directory. Locked, it looks and lists.
    ///
    /// # Errors
    ///
    /// The ledger, a recipe or a maker's root cannot be read.
    pub async fn fleet(&self) -> Result<Arc<Fleet>, Error> {
        let issuer = self.authority().ok();
        let public = match &issuer {
            Some(issuer) => issuer.public().clone(),
            None => self.public().await?,
        };
        Ok(Arc::new(Fleet {
            store: self.store().clone(),
            public,
            issuer,
            limits: Limits::default(),
            recipes: self.files().recipes()?,
            maker_roots: self.files().maker_roots()?,
        }))
    }
}
