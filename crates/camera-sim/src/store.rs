//! [`Store`]: what a camera keeps its certificates in.

use std::any::Any;

use crate::keys::Pair;
use crate::state::State;

/// The certificates of one camera and what belongs to them; part of what changes while it runs.
pub(crate) trait Store: Any + Send {
    /// What TLS is to serve: the chain, leaf first, and the leaf's key.
    fn identity(&self) -> Option<(Vec<Vec<u8>>, &Pair)>;

    /// What a test may see of it: keys, certificates, paths, and which of them are assigned.
    fn picture(&self) -> State;

    /// Puts in what the factory made, and assigns it. An empty store has room for it, so nothing can refuse it.
    fn install_factory(&mut self, certificate: Vec<u8>, pair: Pair);

    /// Takes one more certificate, if there is room. A model that can have [`crate::Fault::FullStore`] says how.
    fn take(&mut self, _certificate: Vec<u8>, _pair: &Pair) -> bool {
        false
    }
}
