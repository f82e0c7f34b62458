use authority::Opened;
use store::Key;
use vault::{RecoveryKey, Wrapping};
use zeroize::Zeroizing;

use crate::{Error, Site};

/// The open vault, and the wrapping of its key as it is to be.
pub struct Secrets {
    site: Site,
    opened: Opened,
    /// A new recovery key comes with the keys that it opens.
    keys: Option<Vec<(i64, Key)>>,
}

impl Site {
    /// What the ledger says of the secrets that open the authority.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub async fn wrapping(&self) -> Result<Wrapping, Error> {
        let site = self.store().site().await?;
        Ok(serde_json::from_str(&site.vault).map_err(store::Error::from)?)
    }

    /// Opens the vault with any one of the present secrets.
    ///
    /// # Errors
    ///
    /// The secret is another one, or the vault was tampered with.
    pub async fn secrets(&self, secret: &str) -> Result<Secrets, Error> {
        let opened = Opened::open(self.store(), secret).await?;
        Ok(Secrets { site: self.clone(), opened, keys: None })
    }
}

impl Secrets {
    /// The wrapping as it is to be.
    pub fn wrapping(&self) -> &Wrapping {
        &self.opened.wrapping
    }

    /// Another passphrase. Takes as long as a passphrase takes.
    ///
    /// # Errors
    ///
    /// There are no random numbers or too little memory.
    pub fn change_passphrase(&mut self, new: &str) -> Result<(), Error> {
        let Opened { vault, wrapping, .. } = &mut self.opened;
        Ok(tokio::task::block_in_place(|| vault.change_passphrase(wrapping, new))?)
    }

    /// Another recovery key, to be shown before it is stored: whatever happens in between, one that was seen opens the
    /// authority.
    ///
    /// # Errors
    ///
    /// A key of the authority cannot be opened.
    pub fn change_recovery_key(&mut self) -> Result<RecoveryKey, Error> {
        let Opened { vault, wrapping, .. } = &mut self.opened;
        let key = vault.change_recovery_key(wrapping)?;
        self.keys = Some(self.opened.keys()?);
        Ok(key)
    }

    /// The key of a key file, to be written before it is stored: a file that opens nothing yet does no harm, and a wrapping
    /// whose key is lost would have taken the place of one that opened.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub fn make_key_file(&mut self) -> Result<Zeroizing<String>, Error> {
        let Opened { vault, wrapping, .. } = &mut self.opened;
        Ok(vault.make_key_file(wrapping)?)
    }

    /// No key file any more.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn remove_key_file(&mut self) -> Result<(), Error> {
        let Opened { vault, wrapping, .. } = &mut self.opened;
        Ok(vault.remove_key_file(wrapping)?)
    }

    /// Stores what was changed, if what it was changed from is still there.
    ///
    /// # Errors
    ///
    /// Somebody else changed the secrets in the meantime, or the ledger cannot be written.
    pub async fn save(self) -> Result<(), Error> {
        let changed = serde_json::to_string(&self.opened.wrapping).map_err(store::Error::from)?;
        self.site.store().replace_vault(&self.opened.site.vault, &changed, self.keys.as_deref()).await?;
        Ok(())
    }
}
