//! The documents and their answers.

use askama::Template;
use axum::{
    Router,
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
    page::Page,
    view::{NotFoundView, PageView},
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

/// The whole page as a router: `/`, `/style.css`, `/favicon.svg`, `/root.crt` and `/root.pem`; anything else
/// is a small 404 page, and any method but GET and HEAD is refused.
pub fn router(page: Page) -> Router {
    let html = document(&PageView::new(&page));
    let not_found = document(&NotFoundView);
    let style = Document::inline("text/css; charset=utf-8", include_str!("../assets/style.css"));
    let icon = Document::inline("image/svg+xml", include_str!("../assets/favicon.svg"));
    let crt = Document::download("application/x-x509-ca-cert", "camlock-root.crt", page.root.der);
    let pem = Document::download("application/x-pem-file", "camlock-root.pem", page.root.pem);
    Router::new()
        .route("/", get(async || html))
        .route("/style.css", get(async || style))
        .route("/favicon.svg", get(async || icon))
        .route("/root.crt", get(async || crt))
        .route("/root.pem", get(async || pem))
        .fallback(async || (StatusCode::NOT_FOUND, not_found))
        .layer(from_fn(guard))
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

/// An answer that never changes.
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
