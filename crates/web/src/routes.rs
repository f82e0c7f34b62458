//! The documents and their answers.

use askama::Template;
use axum::{
    Json, Router,
    body::Bytes,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{
    page::{Root, Site},
    view::{NotFoundView, PageView, TrustView, UnavailableView},
};

/// Sent with every answer, whatever its status.
///
/// No Strict-Transport-Security: from a host name it would force https on *every* port of that name, also on
/// those of cameras that still speak only HTTP.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    // The page of a demonstration shows a password: no copy of it on the disk.
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const HTML: &str = "text/html; charset=utf-8";

/// The site's page as a router: `/`, `/health`, `/style.css`, `/favicon.svg`, `/root.crt` and `/root.pem`; anything
/// else is a small 404 page, and any method but GET and HEAD is refused.
pub fn router<S: Site>(root: &Root, site: S) -> Router {
    let page = async move |site: S| match site.page().await {
        Some(page) => document(&PageView::new(&page)).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, document(&UnavailableView)).into_response(),
    };
    let shown = site.clone();
    common(root, site).route("/", get(move || page(shown.clone()))).layer(from_fn(guard))
}

/// The trust page as a router, for plain HTTP: it shows the root and how to introduce it, and nothing else of the
/// site, since whoever listens reads it and whoever is in between may change it.
pub fn trust_router<S: Site>(root: &Root, name: &str, site: S) -> Router {
    let html = document(&TrustView::new(name, root));
    common(root, site).route("/", get(async || html)).layer(from_fn(guard))
}

fn common<S: Site>(root: &Root, site: S) -> Router {
    let not_found = document(&NotFoundView);
    let style = Document::inline("text/css; charset=utf-8", include_str!("../assets/style.css"));
    let icon = Document::inline("image/svg+xml", include_str!("../assets/favicon.svg"));
    let crt = Document::download("application/x-x509-ca-cert", "camlock-root.crt", root.der.clone());
    let pem = Document::download("application/x-pem-file", "camlock-root.pem", root.pem.clone());
    Router::new()
        .route("/health", get(move || health(site.clone())))
        .route("/style.css", get(async || style))
        .route("/favicon.svg", get(async || icon))
        .route("/root.crt", get(async || crt))
        .route("/root.pem", get(async || pem))
        .fallback(async || (StatusCode::NOT_FOUND, not_found))
}

/// For monitoring: 200 while the data can be read, else 503.
async fn health<S: Site>(site: S) -> Response {
    match site.health().await {
        Some(health) => Json(health).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
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
        response.headers_mut().insert(name, HeaderValue::from_static(value));
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

    fn download(content_type: &'static str, name: &str, body: impl Into<Bytes>) -> Document {
        let mut document = Document::inline(content_type, body);
        if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
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
