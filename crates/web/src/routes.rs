//! The documents and their answers.

use askama::Template;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{
            ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use time::OffsetDateTime;

use crate::{
    downloads::{self, Download},
    page::{Crl, Site, Unreadable},
    proof::Proven,
    trust::TrustView,
    view::{NotFoundView, PageView, UnavailableView},
    visitor::{System, Visitor},
};

/// Sent with every answer, whatever its status.
///
/// No Strict-Transport-Security: from a host name it would force https on *every* port of that name, also on
/// those of cameras that still speak only HTTP.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    // Unless the answer says otherwise: the page of a demonstration shows a password, no copy of it on the disk.
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (CORP, "same-origin"),
];

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The same, and a style from one origin more.
fn policy(origin: &str) -> String {
    POLICY.replace("style-src 'self'", &format!("style-src 'self' {origin}"))
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// The site's page as a router: `/`, `/trust` and `/trust/<system>` (the trust page), `/health`, `/style.css`,
/// `/favicon.svg`, the roots (`/root.crt` the one in use, `/root-<first 16 digits of its SHA-256>.crt` each, and the same
/// as `.pem`, `.mobileconfig`, `.ps1` and `.sh`; `/roots.pem`, `/firefox-policies.json` and `/chrome-policy.json` all) and
/// the lists of revoked certificates below `/crl/`; anything else is a small 404 page, and any method but GET and HEAD is
/// refused.
pub fn router<S: Site>(site: S) -> Router {
    let shown = site.clone();
    common(site, false).route("/", get(move || page(shown.clone()))).layer(from_fn(guard))
}

/// The trust page as a router, for plain HTTP: it shows the roots and how to introduce them, and nothing else of the
/// site, since whoever listens reads it and whoever is in between may change it.
pub(crate) fn trust_router<S: Site>(site: S) -> Router {
    let (shown, proving) = (site.clone(), site.clone());
    common(site, true)
        .route("/", get(move |headers| trust_page(shown.clone(), headers, None, true)))
        .route("/trust/proof.css", get(move |request| proof(proving.clone(), request)))
        .layer(from_fn(guard))
}

fn common<S: Site>(site: S, plain: bool) -> Router {
    let style = Document::inline(CSS, include_str!("../assets/style.css"));
    let icon = Document::inline("image/svg+xml", include_str!("../assets/favicon.svg"));
    let (asked, shown, chosen) = (site.clone(), site.clone(), site.clone());
    Router::new()
        .route("/health", get(move || health(asked.clone())))
        .route("/style.css", get(async || style))
        .route("/favicon.svg", get(async || icon))
        .route("/trust", get(move |headers| trust_page(shown.clone(), headers, None, plain)))
        .route(
            "/trust/{system}",
            get(move |Path(system), headers| trust_page(chosen.clone(), headers, Some(system), plain)),
        )
        // The path as it was sent: a name is one of those known here, or nothing.
        .fallback(async move |uri: Uri| answer(by_name(&site, uri.path()).await))
}

async fn page<S: Site>(site: S) -> Response {
    answer(site.page().await.map(|page| Some(document(&PageView::new(&page, site.words())))))
}

/// The trust page, for the system of this `slug` or else the visitor's.
async fn trust_page<S: Site>(site: S, headers: HeaderMap, slug: Option<String>, plain: bool) -> Response {
    let chosen = slug.as_deref().map(System::from_slug);
    if chosen == Some(None) {
        return answer(Ok(None));
    }
    let page = site.trust().await.map(|trust| {
        let (prover, visitor) = (site.prover(), Visitor::new(&headers));
        let view = TrustView::new(
            &trust,
            prover.as_deref(),
            site.words(),
            &visitor,
            chosen.flatten(),
            plain,
            site.now(),
        );
        let mut page = document(&view);
        let policy = view.origin().and_then(|origin| HeaderValue::try_from(policy(origin)).ok());
        page.headers.extend(policy.map(|policy| (CONTENT_SECURITY_POLICY, policy)));
        Some(page)
    });
    answer(page)
}

/// What only a browser that trusts the root comes to read; and where it did, that is told on.
async fn proof<S: Site>(site: S, request: Request) -> Response {
    let Some(Some(Proven { root, address })) = request.extensions().get() else { return answer(Ok(None)) };
    site.proven(root, *address).await;
    let mut style = Document::inline(CSS, include_str!("../assets/proof.css"));
    // A page on plain HTTP is of another site in the eyes of Chromium, though of the same host.
    style.headers.insert(CORP, HeaderValue::from_static("cross-origin"));
    // The next test is another handshake: the root may be another one by then.
    style.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    style.into_response()
}

/// A root or a list of revoked certificates.
async fn by_name<S: Site>(site: &S, path: &str) -> Result<Option<Document>, Unreadable> {
    if path.starts_with("/crl/") {
        return Ok(site.crl(path).await?.map(|crl| list(crl, site.now())));
    }
    let Some(name) = path.strip_prefix('/').filter(|name| downloads::may_be(name)) else { return Ok(None) };
    Ok(downloads::by_name(&site.trust().await?, name).map(Document::download))
}

/// Caches may keep a list, since whoever asks for lists asks often; for an hour, so that a new one soon counts.
fn list(crl: Crl, now: OffsetDateTime) -> Document {
    let mut document = Document::inline("application/pkix-crl", crl.der);
    let seconds = (crl.next_update - now).whole_seconds().clamp(0, 3600);
    if let Ok(value) = HeaderValue::try_from(format!("public, max-age={seconds}")) {
        document.headers.insert(CACHE_CONTROL, value);
    }
    document
}

/// What was asked for; 404 if there is none, 503 while the data cannot be read.
fn answer(found: Result<Option<Document>, Unreadable>) -> Response {
    match found {
        Ok(Some(document)) => document.into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, document(&NotFoundView)).into_response(),
        Err(Unreadable) => (StatusCode::SERVICE_UNAVAILABLE, document(&UnavailableView)).into_response(),
    }
}

/// For monitoring: 200 while the data can be read, else 503.
async fn health<S: Site>(site: S) -> Response {
    match site.health().await {
        Ok(health) => Json(health).into_response(),
        Err(Unreadable) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Refuses what only reads nothing, and adds the security headers to every answer.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        next.run(request).await
    } else {
        (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response()
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A whole answer.
#[derive(Clone)]
struct Document {
    headers: HeaderMap,
    body: Bytes,
}

impl Document {
    fn inline(content_type: &'static str, body: impl Into<Bytes>) -> Document {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Document { headers, body: body.into() }
    }

    fn download(file: Download) -> Document {
        let mut document = Document::inline(file.content_type, file.body);
        if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{}\"", file.name)) {
            document.headers.insert(CONTENT_DISPOSITION, value);
        }
        document
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        (self.headers, self.body).into_response()
    }
}

/// A template, rendered.
fn document(template: &impl Template) -> Document {
    // Rendering into memory fails only if a value's own `Display` does, and ours are strings and numbers.
    let body = template.render().unwrap_or_else(|_| "The page could not be made.".to_owned());
    Document::inline(HTML, body)
}
