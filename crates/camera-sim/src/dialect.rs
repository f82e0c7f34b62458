//! [`Dialect`]: what a model answers, and how it is made.

use std::pin::Pin;
use std::sync::Arc;

use hyper::http::request::Parts;

use crate::core::Core;
use crate::digest::Login;
use crate::http::Answer;
use crate::kind::Kind;
use crate::store::Store;
use crate::tls::Arrival;

/// A request, but for its body.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) arrival: &'a Arrival,
    pub(crate) parts: &'a Parts,
    pub(crate) login: Login,
}

/// The name of what was asked, and its answer; none if it does not belong to the dialect. Boxed, so that the router need not
/// know whose it is.
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Option<(String, Answer)>> + Send + 'a>>;

/// How the cameras of a model speak. It keeps nothing: what changes is in the camera, where [`Dialect::store`] is.
pub(crate) trait Dialect: Sync {
    /// What is known of such cameras.
    fn kind(&self) -> &'static Kind;

    /// What a new one keeps its certificates in.
    fn store(&self) -> Box<dyn Store>;

    /// Answers what belongs to the dialect.
    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a>;

    /// Whether this is the request that brings the certificate, made by somebody who may. The name of what was asked is
    /// known once it was answered.
    fn is_upload(&self, asked: Asked<'_>, operation: &str) -> bool;

    /// The words at which that request is known and dropped; an empty one means at the body's first byte.
    fn drop_at(&self, asked: Asked<'_>) -> &'static [&'static str] {
        if self.is_upload(asked, "") { &[""] } else { &[] }
    }

    /// Whether this is of somebody who is logged in, by whatever means.
    fn is_inside(&self, asked: Asked<'_>) -> bool {
        asked.login == Login::Accepted
    }

    /// Whether it asks for Basic here.
    fn takes_basic(&self, _arrival: &Arrival, _parts: &Parts) -> bool {
        false
    }
}
