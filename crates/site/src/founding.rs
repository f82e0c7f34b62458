use authority::{Authority, New, Public};
use store::Store;
use vault::RecoveryKey;

use crate::{
    DataDir, Error,
    own_pages::{self, Kind, PageCertificate},
    restore::must_not_be_unfinished,
};

/// An authority that is in a data directory now.
pub struct Founded {
    /// What everybody may know of it.
    pub public: Public,
    /// The recovery key, stored nowhere.
    pub recovery: RecoveryKey,
    /// Why Camlock's own page has no certificate yet: the service makes what is missing.
    pub page: Result<(), Error>,
}

/// Looks whether an authority can be founded there, before anybody is asked for a passphrase.
///
/// # Errors
///
/// There is one, or what a restore left; or the directory belongs to somebody else.
pub async fn must_be_vacant(files: &DataDir) -> Result<(), Error> {
    if let Ok(store) = Store::open(files.path()).await
        && let Ok(site) = store.site().await
    {
        return Err(store::Error::AuthorityExists { site: site.name }.into());
    }
    must_not_be_unfinished(files.path())?;
    Ok(store::must_be_own(files.path())?)
}

/// Whether nothing came of a founding that failed.
pub async fn is_vacant(files: &DataDir) -> bool {
    match Store::open(files.path()).await {
        Ok(store) => matches!(store.site().await, Err(store::Error::NoAuthority)),
        Err(e) => matches!(e, store::Error::NoDataDirectory { .. }),
    }
}

/// Stores a new authority, and gives Camlock's own pages their certificates while it is open.
///
/// What is stored nowhere, the recovery key and the key of an offline root, must have been handed out before: else a crash
/// would leave an authority without it.
///
/// # Errors
///
/// There is an authority, or it cannot be written.
pub async fn found(new: New, files: &DataDir) -> Result<Founded, Error> {
    let store = Store::create(files.path()).await?;
    let (authority, recovery) = new.found(&store).await?;
    let public = authority.public().clone();
    let page = own_pages(&authority, files).await;
    store.close().await;
    Ok(Founded { public, recovery, page })
}

async fn own_pages(authority: &Authority, files: &DataDir) -> Result<(), Error> {
    let names = own_pages::names(authority.public(), authority.policy()?, None);
    for kind in [Kind::Page, Kind::Proof] {
        PageCertificate::issue(authority, kind, &names).await?.save(files)?;
    }
    Ok(())
}
