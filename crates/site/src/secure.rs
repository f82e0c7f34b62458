use std::sync::Arc;

use fleet::{Fleet, Limits};

use crate::{Error, Site};

impl Site {
    /// The fleet of this site, with what its operator put into the data directory.
    ///
    /// # Errors
    ///
    /// The authority is locked, or a recipe or a maker's root cannot be read.
    pub fn fleet(&self) -> Result<Arc<Fleet>, Error> {
        Ok(Arc::new(Fleet {
            store: self.store().clone(),
            authority: self.authority()?,
            limits: Limits::default(),
            recipes: self.files().recipes()?,
            maker_roots: self.files().maker_roots()?,
        }))
    }
}
