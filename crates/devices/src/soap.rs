//! SOAP 1.2 as ONVIF speaks it: document/literal, one element in the body, both ways.
//!
//! An answer becomes a small tree of owned elements, looked up by namespace and local name, because every
//! firmware has its own prefixes. What a hostile one may cost is limited by [`crate::http`] (bytes), [`crate::xml`] and
//! here (depth).

use domain::Told;
use hyper::{Method, body::Bytes};
use roxmltree::{Document, Node};
use zeroize::Zeroizing;

use crate::{
    Error,
    http::{Answer, Place, Request},
    xml, xsd,
};

pub(crate) const ENVELOPE: &str = "http://www.w3.org/2003/05/soap-envelope";
/// SOAP 1.1, in which some old devices answer faults.
const ENVELOPE_11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// Error codes of ONVIF (Core specification, "Error handling").
const TER: &str = "http://www.onvif.org/ver10/error";
/// ONVIF's own have 50 characters. Every element keeps its own copy.
const NAMESPACE_MAX: usize = 200;
const DEPTH_MAX: usize = 40;

/// The services that are spoken to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Service {
    /// devicemgmt.wsdl, prefix `tds`.
    Device,
    /// advancedsecurity.wsdl, prefix `tas`.
    Security,
    /// media.wsdl, prefix `trt`.
    Media,
}

impl Service {
    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Service::Device => "http://www.onvif.org/ver10/device/wsdl",
            Service::Security => "http://www.onvif.org/ver10/advancedsecurity/wsdl",
            Service::Media => "http://www.onvif.org/ver10/media/wsdl",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Service::Device => "tds",
            Service::Security => "tas",
            Service::Media => "trt",
        }
    }
}

/// Types that the services share: onvif.xsd, prefix `tt`.
pub(crate) const TT: &str = "http://www.onvif.org/ver10/schema";

/// The request for one operation. `arguments` are its child elements, with the prefixes `tds`, `tas`, `trt`, `tt`.
pub(crate) fn request(place: &Place, service: Service, operation: &str, arguments: &str) -> Request {
    request_of(place, service, operation, arguments, "")
}

/// The same with a SOAP header in front (`s:Header`).
pub(crate) fn request_of(
    place: &Place,
    service: Service,
    operation: &str,
    arguments: &str,
    header: &str,
) -> Request {
    let [tds, tas, trt] = [Service::Device, Service::Security, Service::Media].map(Service::namespace);
    let element = format!("{}:{operation}", service.prefix());
    let head = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{ENVELOPE}" xmlns:tds="{tds}" xmlns:tas="{tas}" xmlns:trt="{trt}" xmlns:tt="{TT}">{header}<s:Body><{element}>"#
    );
    // In one piece, since the arguments may hold a private key.
    let body = [&head, arguments, &format!("</{element}></s:Body></s:Envelope>")].concat();
    let action = format!("{}/{operation}", service.namespace());
    Request {
        operation: operation.to_owned(),
        method: Method::POST,
        place: place.clone(),
        content_type: Some(format!("application/soap+xml; charset=utf-8; action=\"{action}\"")),
        body: Bytes::from_owner(Zeroizing::new(body.into_bytes())),
        secret: false,
        patience: None,
    }
}

/// `<name>text</name>`, with `name` holding its prefix.
pub(crate) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", xsd::escape(text))
}

/// What a device said.
pub(crate) enum Said {
    /// The response element.
    Response(Element),
    /// A fault.
    Fault(Fault),
    /// Nothing in SOAP: a 404, a page, an empty body.
    NotSoap,
}

/// Reads the answer to an operation.
pub(crate) fn read(answer: &Answer, service: Service, operation: &str) -> Result<Said, Error> {
    read_in(answer, service.namespace(), operation)
}

/// Reads the answer to an operation of that namespace.
pub(crate) fn read_in(answer: &Answer, namespace: &str, operation: &str) -> Result<Said, Error> {
    match xml::read(&answer.body, |document| said(document, namespace, operation)) {
        Some(said) => said,
        // Of an answer that is broken in the middle nothing is believed; of a page nothing is to be had.
        None if answer.text().contains(ENVELOPE) => Err(unexpected(operation, "no XML")),
        None => Ok(Said::NotSoap),
    }
}

fn said(document: &Document<'_>, namespace: &str, operation: &str) -> Result<Said, Error> {
    let root = document.root_element();
    let in_envelope = |node: &Node<'_, '_>, name: &str| {
        let tag = node.tag_name();
        tag.name() == name && matches!(tag.namespace(), Some(ENVELOPE | ENVELOPE_11))
    };
    if !in_envelope(&root, "Envelope") {
        return Ok(Said::NotSoap);
    }
    let body = root.children().find(|n| in_envelope(n, "Body"));
    let Some(content) = body.and_then(|b| b.first_element_child()) else {
        return Err(unexpected(operation, "an empty SOAP body"));
    };
    if in_envelope(&content, "Fault") {
        return Ok(Said::Fault(Fault::of(content)));
    }
    let tag = content.tag_name();
    if tag.namespace() != Some(namespace) || tag.name() != format!("{operation}Response") {
        return Err(unexpected(operation, &format!("an answer called {}", tag.name())));
    }
    match Element::of(content, 0) {
        Some(element) => Ok(Said::Response(element)),
        None => Err(unexpected(operation, "nested too deep")),
    }
}

fn unexpected(operation: &str, detail: &str) -> Error {
    Error::UnexpectedAnswer { operation: operation.to_owned(), detail: Told::new(detail) }
}

/// A SOAP fault.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// From the outermost to the innermost: `env:Sender`, `ter:InvalidArgVal`, `ter:ReferenceExists`.
    pub(crate) codes: Vec<Told>,
    pub(crate) reason: Told,
}

impl Fault {
    /// Whether one of the codes is `ter:<name>`.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.codes.iter().any(|code| code.strip_prefix("ter:") == Some(name))
    }

    /// Whether it may be about who asks, though it does not say so by ONVIF's code: one of WS-Security's own, or that the
    /// sender is to blame and nothing more, as the crate `soap-server` has it.
    pub(crate) fn may_be_of_login(&self) -> bool {
        self.is("NotAuthorized")
            || self.codes == ["env:Sender"]
            || self.codes.iter().any(|code| code.starts_with("wsse:"))
    }

    pub(crate) fn into_error(self, operation: &str) -> Error {
        Error::Refused {
            operation: operation.to_owned(),
            fault: self.codes.last().cloned().unwrap_or_default(),
            reason: self.reason,
        }
    }

    fn of(fault: Node<'_, '_>) -> Fault {
        let mut codes = Vec::new();
        // Code { Value, Subcode { Value, Subcode { ... } } }
        let mut level = child(fault, "Code");
        while let Some(node) = level.filter(|_| codes.len() < 8) {
            codes.extend(child(node, "Value").and_then(|value| code(value)));
            level = child(node, "Subcode");
        }
        codes.extend(child(fault, "faultcode").and_then(|value| code(value)));
        let reason = child(fault, "Reason").and_then(|r| child(r, "Text")).or(child(fault, "faultstring"));
        Fault { codes, reason: Told::new(reason.and_then(|r| r.text()).unwrap_or_default()) }
    }
}

/// A QName in text, with the prefix that the namespace usually has: devices choose their own.
fn code(value: Node<'_, '_>) -> Option<Told> {
    let text = value.text()?.trim();
    let Some((prefix, name)) = text.split_once(':') else { return Some(Told::new(text)) };
    let usual = match value.lookup_namespace_uri(Some(prefix)) {
        Some(TER) => "ter",
        Some(ENVELOPE | ENVELOPE_11) => "env",
        _ => prefix,
    };
    Some(Told::new(&format!("{usual}:{name}")))
}

/// By local name alone: SOAP 1.1 has its fault's children in no namespace.
fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|n| n.is_element() && n.tag_name().name() == name)
}

/// An element of an answer.
#[derive(Debug)]
pub(crate) struct Element {
    namespace: String,
    name: String,
    text: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
}

impl Element {
    /// The first child of that name.
    pub(crate) fn child(&self, namespace: &str, name: &str) -> Option<&Element> {
        self.all(namespace, name).next()
    }

    /// All children of that name.
    pub(crate) fn all(&self, namespace: &str, name: &str) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(move |c| c.name == name && c.namespace == namespace)
    }

    /// The element of that name, this one or anywhere below.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<&Element> {
        if self.name == name && self.namespace == namespace {
            return Some(self);
        }
        self.children.iter().find_map(|c| c.find(namespace, name))
    }

    /// The character data, without white space around it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The character data of the first child of that name.
    pub(crate) fn text_of(&self, namespace: &str, name: &str) -> Option<&str> {
        self.child(namespace, name).map(Element::text)
    }

    /// As [`Element::text_of`], where the schema demands the child and its content.
    pub(crate) fn need(&self, namespace: &str, name: &str, operation: &str) -> Result<&str, Error> {
        self.text_of(namespace, name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| unexpected(operation, &format!("no {name}")))
    }

    /// The first attribute there is of these names.
    pub(crate) fn attribute(&self, names: &[&str]) -> Option<&str> {
        let mut all = names.iter().filter_map(|n| self.attributes.iter().find(|(name, _)| name == n));
        all.next().map(|(_, value)| value.as_str())
    }

    fn of(node: Node<'_, '_>, depth: usize) -> Option<Element> {
        if depth > DEPTH_MAX {
            return None;
        }
        let elements = node.children().filter(Node::is_element);
        let namespace = node.tag_name().namespace().filter(|n| n.len() <= NAMESPACE_MAX);
        let text: String = node.children().filter(Node::is_text).filter_map(|n| n.text()).collect();
        Some(Element {
            namespace: namespace.unwrap_or_default().to_owned(),
            name: node.tag_name().name().to_owned(),
            text: text.trim().to_owned(),
            attributes: node.attributes().map(|a| (a.name().to_owned(), a.value().to_owned())).collect(),
            children: elements.map(|e| Element::of(e, depth + 1)).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;

    const TDS: &str = "http://www.onvif.org/ver10/device/wsdl";

    fn said(body: impl Into<Vec<u8>>) -> Result<Said, Error> {
        let body = Bytes::from(body.into());
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body };
        read(&answer, Service::Device, "GetThing")
    }

    fn envelope(content: &str) -> String {
        format!(r#"<E:Envelope xmlns:E="{ENVELOPE}" xmlns:x="{TER}"><E:Body>{content}</E:Body></E:Envelope>"#)
    }

    fn response(content: &str) -> String {
        envelope(&format!(r#"<GetThingResponse xmlns="{TDS}">{content}</GetThingResponse>"#))
    }

    #[test]
    fn a_request_has_the_form_of_the_wsdl() {
        let place = Place { port: 80, path: "/onvif/device_service".into() };
        let request = request(&place, Service::Security, "DeleteKey", &element("tas:KeyID", "a<b"));
        assert_eq!(
            request.content_type.as_deref(),
            Some(
                r#"application/soap+xml; charset=utf-8; action="http://www.onvif.org/ver10/advancedsecurity/wsdl/DeleteKey""#
            )
        );
        let text = String::from_utf8(request.body.to_vec()).unwrap();
        assert!(text.contains("<tas:DeleteKey><tas:KeyID>a&lt;b</tas:KeyID></tas:DeleteKey>"), "{text}");
        Document::parse(&text).unwrap();
    }

    #[test]
    fn a_response_is_found_under_any_prefix() {
        let Ok(Said::Response(thing)) = said(response(r#"<Name Old="1" New="2"> x </Name><Name>y</Name>"#))
        else {
            panic!("no response")
        };
        assert_eq!(thing.text_of(TDS, "Name"), Some("x"));
        assert_eq!(thing.all(TDS, "Name").count(), 2);
        assert_eq!(thing.child(TDS, "Name").unwrap().attribute(&["New", "Old"]), Some("2"));
        assert_eq!(thing.text_of(TT, "Name"), None);
        assert!(thing.need(TDS, "Other", "GetThing").is_err());
    }

    #[test]
    fn a_fault_is_read_with_its_codes() {
        let fault = envelope(
            "<E:Fault><E:Code><E:Value>E:Sender</E:Value><E:Subcode><E:Value>x:InvalidArgVal</E:Value>\
             <E:Subcode><E:Value>x:ReferenceExists</E:Value></E:Subcode></E:Subcode></E:Code>\
             <E:Reason><E:Text>in\nuse</E:Text></E:Reason></E:Fault>",
        );
        let Ok(Said::Fault(fault)) = said(fault) else { panic!("no fault") };
        assert_eq!(fault.codes, ["env:Sender", "ter:InvalidArgVal", "ter:ReferenceExists"]);
        assert!(fault.is("InvalidArgVal") && !fault.is("Sender"));
        assert_eq!(
            fault.into_error("DeleteKey"),
            Error::Refused {
                operation: "DeleteKey".into(),
                fault: "ter:ReferenceExists".into(),
                reason: "in use".into()
            }
        );
        let old = format!(
            r#"<S:Envelope xmlns:S="{ENVELOPE_11}"><S:Body><S:Fault><faultcode>S:Client</faultcode>
               <faultstring>no</faultstring></S:Fault></S:Body></S:Envelope>"#
        );
        let Ok(Said::Fault(fault)) = said(old) else { panic!("no fault") };
        assert_eq!((&*fault.codes[0], &*fault.reason), ("env:Client", "no"));
    }

    #[test]
    fn what_is_no_soap_is_told_from_broken_soap() {
        for page in ["", "<html><body>Hi<br></body>", "<a/>", "{}", "\u{feff} <html/>"] {
            assert!(matches!(said(page), Ok(Said::NotSoap)), "{page}");
        }
        for broken in [
            envelope(""),
            envelope("<Other/>"),
            envelope(&format!(r#"<OtherResponse xmlns="{TDS}"/>"#)),
            response("")[..100].to_owned(),
            format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{}", response("&b;")),
            response(&"<a/>".repeat(60_000)),
            response(&format!("{}{}", "<a>".repeat(100), "</a>".repeat(100))),
            // Would overflow the stack of a parser that recurses without a limit.
            response(&format!("{}{}", "<a>".repeat(30_000), "</a>".repeat(30_000))),
        ] {
            assert!(matches!(said(broken.as_str()), Err(Error::UnexpectedAnswer { .. })), "{:.120}", broken);
        }
    }

    #[test]
    fn a_full_keystore_is_read() {
        let certificate = format!("<Certificate>{}</Certificate>", "TUlJ".repeat(600));
        let Ok(Said::Response(thing)) = said(response(&certificate.repeat(100))) else {
            panic!("no response")
        };
        assert_eq!(thing.all(TDS, "Certificate").count(), 100);
    }

    #[test]
    fn what_would_keep_the_parser_busy_is_refused_at_once() {
        let many = |each: &dyn Fn(usize) -> String, count| (0..count).map(each).collect::<String>();
        let namespaces = |count| many(&|i| format!(r#" xmlns:n{i:x}="u""#), count);
        let attributes = |count| many(&|i| format!(r#" a{i:x}="""#), count);
        let children = |count| r#"<a xmlns:z="u"/>"#.repeat(count);
        let long = response(&format!(r#"<a xmlns="{}">{}</a>"#, "u".repeat(100_000), "<b/>".repeat(30_000)));
        let began = std::time::Instant::now();
        for hostile in [
            response(&format!("<r{}>{}</r>", namespaces(37_000), children(30_000))),
            response(&format!("<r{}/>", attributes(130_000))),
            // The same within the limit of bytes.
            response(&format!("<r{}>{}</r>", namespaces(7_500), children(7_500))),
            response(&format!("<r{}/>", attributes(24_000))),
        ] {
            assert!(matches!(said(hostile), Err(Error::UnexpectedAnswer { .. })));
        }
        // A long namespace is not copied for each element.
        let Ok(Said::Response(thing)) = said(long) else { panic!("no response") };
        assert_eq!(thing.children[0].children[0].namespace, "");
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        let whole = response(r#"<Name a="&amp;"><![CDATA[x]]>é</Name>"#).into_bytes();
        for at in 0..whole.len() {
            drop(said(&whole[..at]));
            for byte in [0, b'<', b'&', b'"', b':', 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                drop(said(changed));
            }
        }
    }
}
