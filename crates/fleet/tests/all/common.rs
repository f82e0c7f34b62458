//! What the tests of `fleet` share: a site of their own, for cameras on loopback.

use std::path::Path;

use authority::{Founding, New};
use devices::Recipes;
use fleet::{Fleet, Limits};
use pki::{KeyKind, Permitted};
use store::Store;
use time::OffsetDateTime;

/// A ledger and an authority in `folder`.
pub async fn site(folder: &Path, two_tier: bool, limits: Limits, recipes: Recipes) -> Fleet {
    let store = Store::create(folder).await.unwrap();
    let mut permitted = Permitted::local(None);
    permitted.permit("127.0.0.1").unwrap();
    let founding =
        Founding { site: "Test".into(), key: KeyKind::P256, permitted, constrained: true, two_tier };
    let new = New::make(founding, "a passphrase", OffsetDateTime::now_utc()).await.unwrap();
    let (authority, _) = new.found(&store).await.unwrap();
    let public = authority.public().clone();
    Fleet { store, public, issuer: Some(authority.into()), limits, recipes, maker_roots: Vec::new() }
}

/// The example of the page for installers, put into `folder` as an installer would.
pub fn recipes(folder: &Path) -> Recipes {
    let (_, example) = include_str!("../../../../docs/recipes.md").split_once("```toml\n").unwrap();
    std::fs::create_dir(folder.join("recipes")).unwrap();
    std::fs::write(folder.join("recipes/form-page.toml"), example.split_once("```").unwrap().0).unwrap();
    Recipes::read(folder).unwrap()
}
