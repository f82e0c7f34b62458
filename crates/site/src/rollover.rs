use authority::{Authority, Founding, Next};
use pki::KeyKind;
use zeroize::Zeroizing;

use crate::{Error, Site, upkeep::renew_proof};

impl Site {
    /// What the next authority would be if it were as the present one.
    ///
    /// # Errors
    ///
    /// There is a next one already.
    pub async fn successor(&self) -> Result<Founding, Error> {
        let public = self.public().await?;
        match public.next {
            Some(_) => Err(store::Error::RolloverUnderWay.into()),
            None => Ok(public.successor()),
        }
    }

    /// Makes the next authority and stores nothing of it: the key of an offline root has to be handed out first.
    ///
    /// # Errors
    ///
    /// The authority is locked, or a key cannot be made.
    pub async fn make_next(&self, founding: Founding) -> Result<Next, Error> {
        Ok(self.authority()?.make_next(founding, self.now()).await?)
    }

    /// Stores the next authority. The inner result: whether the trust page can test its root now. It should before the root
    /// comes to computers: a service, locked perhaps, finds what it needs in the data directory.
    ///
    /// # Errors
    ///
    /// There is another one by now, or it cannot be written.
    pub async fn store_next(&self, next: &Next) -> Result<Result<(), Error>, Error> {
        let authority = self.authority()?;
        next.store(self.store()).await?;
        Ok(renew_proof(self, &authority, None).await)
    }

    /// From now on the next authority issues: its root is on the computers.
    ///
    /// # Errors
    ///
    /// There is no next one.
    pub async fn confirm_next(&self) -> Result<(), Error> {
        Ok(Authority::confirm_next(self.store()).await?)
    }

    /// The next authority is not wanted after all.
    ///
    /// # Errors
    ///
    /// There is no next one.
    pub async fn cancel_next(&self) -> Result<(), Error> {
        Ok(self.store().cancel_next().await?)
    }

    /// Puts another issuer below an offline root, whose key was carried here.
    ///
    /// # Errors
    ///
    /// There is one tier, or the key or the recovery key is another one.
    pub async fn replace_issuer(
        &self,
        root_key: String,
        recovery_key: Zeroizing<String>,
        kind: KeyKind,
    ) -> Result<(), Error> {
        let now = self.now();
        Ok(self.authority()?.replace_issuer(root_key, recovery_key, kind, now).await?)
    }
}
