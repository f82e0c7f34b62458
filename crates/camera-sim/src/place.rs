//! [`Place`]: what a camera keeps that has room for one certificate.

use crate::core::{Core, Live};
use crate::keys::Pair;
use crate::pem_file::Installed;
use crate::state::{CertificateSummary, State};
use crate::store::Store;

/// The factory's certificate, and room for one other; with it what else its dialect keeps.
#[derive(Default)]
pub(crate) struct Place<M = ()> {
    factory: Option<Installed>,
    pub(crate) own: Option<Installed>,
    pub(crate) more: M,
}

impl<M: Send + 'static> Place<M> {
    /// The place of a camera.
    pub(crate) fn of(live: &mut Live) -> Option<&mut Self> {
        live.store_mut()
    }

    /// Changes what a camera keeps.
    pub(crate) fn change(core: &Core, change: impl FnOnce(&mut Self)) {
        core.change(|live| Self::of(live).map(change));
    }
}

impl<M: Send + 'static> Store for Place<M> {
    fn identity(&self) -> Option<(Vec<Vec<u8>>, &Pair)> {
        self.own.as_ref().or(self.factory.as_ref()).map(|shown| (shown.chain.clone(), &shown.pair))
    }

    /// What is shown.
    fn picture(&self) -> State {
        let id = if self.own.is_some() { "own" } else { "factory" };
        let (chain, _) = self.identity().unzip();
        let summary = |der| CertificateSummary { id: id.to_owned(), der };
        State {
            assigned: chain.iter().map(|_| id.to_owned()).collect(),
            certificates: chain.into_iter().flatten().map(summary).collect(),
            ..State::default()
        }
    }

    fn install_factory(&mut self, certificate: Vec<u8>, pair: Pair) {
        self.factory = Some(Installed { chain: vec![certificate], pair });
    }
}
