//! SOAP 1.2 as ONVIF uses it: document/literal, one operation in the body (Core specification, "SOAP faults").
//!
//! Requests are read strictly: right namespaces, the schema's order, nothing left over. Embedded SOAP stacks are
//! as strict, and a client that gets this wrong should fail here first.

use std::iter::Peekable;
use std::vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use roxmltree::{Document, Node, ParsingOptions};

/// SOAP 1.2 envelope.
pub(crate) const ENV: &str = "http://www.w3.org/2003/05/soap-envelope";
/// Device service.
pub(crate) const TDS: &str = "http://www.onvif.org/ver10/device/wsdl";
/// Security (advanced security) service.
pub(crate) const TAS: &str = "http://www.onvif.org/ver10/advancedsecurity/wsdl";
/// Media service.
pub(crate) const TRT: &str = "http://www.onvif.org/ver10/media/wsdl";
/// The common ONVIF schema.
pub(crate) const TT: &str = "http://www.onvif.org/ver10/schema";
/// ONVIF's error codes.
const TER: &str = "http://www.onvif.org/ver10/error";

/// Most nodes looked at in one request.
const NODES: u32 = 20_000;

/// Who is to blame (SOAP 1.2 part 1, section 5.4.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Code {
    /// The client.
    Sender,
    /// The camera.
    Receiver,
    /// Not SOAP 1.2.
    VersionMismatch,
}

/// A fault with up to two levels of ONVIF subcode.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SoapFault {
    pub(crate) code: Code,
    /// Outermost first, without the `ter:` prefix.
    pub(crate) subcodes: Vec<&'static str>,
    pub(crate) reason: String,
}

impl SoapFault {
    /// The client's mistake.
    pub(crate) fn sender(subcodes: &[&'static str], reason: impl Into<String>) -> Self {
        SoapFault { code: Code::Sender, subcodes: subcodes.to_vec(), reason: reason.into() }
    }

    /// The camera's failure.
    pub(crate) fn receiver(subcodes: &[&'static str], reason: impl Into<String>) -> Self {
        SoapFault { code: Code::Receiver, subcodes: subcodes.to_vec(), reason: reason.into() }
    }

    /// A value that is not acceptable, with the second level that names it.
    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        SoapFault::sender(&["InvalidArgVal", what], reason)
    }

    /// An operation this camera does not have.
    pub(crate) fn unsupported(operation: &str) -> Self {
        SoapFault::receiver(&["ActionNotSupported"], format!("{operation} is not supported by this camera."))
    }

    /// A message that is not what the schema asks for.
    fn malformed(subcode: &'static str, reason: impl Into<String>) -> Self {
        SoapFault::sender(&[subcode], reason)
    }

    /// 400 for the sender's faults, 500 for the receiver's (SOAP 1.2 part 2, table 20).
    pub(crate) fn status(&self) -> u16 {
        match self.code {
            Code::Sender => 400,
            Code::Receiver | Code::VersionMismatch => 500,
        }
    }

    /// The whole envelope.
    pub(crate) fn envelope(&self) -> String {
        let code = match self.code {
            Code::Sender => "env:Sender",
            Code::Receiver => "env:Receiver",
            Code::VersionMismatch => "env:VersionMismatch",
        };
        let nested = self.subcodes.iter().rev().fold(String::new(), |inner, subcode| {
            format!("<env:Subcode><env:Value>ter:{subcode}</env:Value>{inner}</env:Subcode>")
        });
        envelope(&format!(
            "<env:Fault><env:Code><env:Value>{code}</env:Value>{nested}</env:Code>\
             <env:Reason><env:Text xml:lang=\"en\">{}</env:Text></env:Reason></env:Fault>",
            escape(&self.reason)
        ))
    }
}

/// An envelope around one body element; the prefixes env, tds, tas, tt and ter are declared on it.
pub(crate) fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<env:Envelope xmlns:env=\"{ENV}\" xmlns:tds=\"{TDS}\" \
         xmlns:tas=\"{TAS}\" xmlns:tt=\"{TT}\" xmlns:ter=\"{TER}\"><env:Body>{body}</env:Body></env:Envelope>"
    )
}

/// One element with text in it.
pub(crate) fn element(name: &str, text: impl AsRef<str>) -> String {
    format!("<{name}>{}</{name}>", escape(text.as_ref()))
}

/// One element with bytes in it, as xs:base64Binary.
pub(crate) fn binary(name: &str, bytes: &[u8]) -> String {
    format!("<{name}>{}</{name}>", BASE64.encode(bytes))
}

/// An optional element: nothing if there is no text for it.
pub(crate) fn optional(name: &str, text: Option<&str>) -> String {
    text.map(|text| element(name, text)).unwrap_or_default()
}

/// Text made safe inside an element or a quoted attribute; what XML cannot hold is dropped.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(character),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {}
            other => safe.push(other),
        }
    }
    safe
}

/// Parses a request. No DTD, so no entities to explode.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, SoapFault> {
    let options = ParsingOptions { nodes_limit: NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options)
        .map_err(|_| SoapFault::malformed("WellFormed", "The request is not well-formed XML."))
}

/// The operation in a request's body.
pub(crate) fn operation<'a, 'i>(document: &'a Document<'i>) -> Result<Node<'a, 'i>, SoapFault> {
    let envelope = document.root_element();
    if envelope.tag_name().name() != "Envelope" {
        return Err(SoapFault::malformed("TagMismatch", "The request is not a SOAP envelope."));
    }
    if envelope.tag_name().namespace() != Some(ENV) {
        let reason = "This camera speaks SOAP 1.2 only.".to_owned();
        return Err(SoapFault { code: Code::VersionMismatch, subcodes: Vec::new(), reason });
    }
    envelope
        .children()
        .find(|child| child.has_tag_name((ENV, "Body")))
        .and_then(|body| body.children().find(Node::is_element))
        .ok_or_else(|| SoapFault::malformed("TagMismatch", "The request's body is empty."))
}

/// The text of an element, white space collapsed at its ends.
pub(crate) fn text(node: Node<'_, '_>) -> String {
    node.children().filter_map(|child| child.text()).collect::<String>().trim().to_owned()
}

/// The one argument of an operation that takes an id.
pub(crate) fn one_id(mut arguments: Children<'_, '_>, name: &str) -> Result<String, SoapFault> {
    let id = text(arguments.required(name)?);
    arguments.end()?;
    Ok(id)
}

/// A client's own name for a thing: unstructured data, says the specification. Kept short.
pub(crate) fn alias(arguments: &mut Children<'_, '_>, name: &str) -> Option<String> {
    arguments.optional(name).map(|node| text(node).chars().take(128).collect())
}

/// An xs:boolean.
pub(crate) fn boolean(node: Node<'_, '_>) -> Result<bool, SoapFault> {
    match text(node).as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad_value(node)),
    }
}

/// An xs:base64Binary; line breaks and spaces in it are allowed.
pub(crate) fn bytes(node: Node<'_, '_>) -> Result<Vec<u8>, SoapFault> {
    let mut compact = text(node);
    compact.retain(|character| !character.is_ascii_whitespace());
    BASE64.decode(compact).map_err(|_| bad_value(node))
}

/// A value of the wrong form.
pub(crate) fn bad_value(node: Node<'_, '_>) -> SoapFault {
    let name = node.tag_name().name();
    SoapFault::sender(&["InvalidArgVal"], format!("The value of {name} is not acceptable."))
}

/// The children of an element, taken in the order of the schema.
pub(crate) struct Children<'a, 'i> {
    parent: String,
    namespace: &'static str,
    rest: Peekable<vec::IntoIter<Node<'a, 'i>>>,
}

impl<'a, 'i> Children<'a, 'i> {
    /// The element children of `node`, expected in `namespace`.
    pub(crate) fn of(node: Node<'a, 'i>, namespace: &'static str) -> Self {
        let elements: Vec<_> = node.children().filter(Node::is_element).collect();
        let parent = node.tag_name().name().to_owned();
        Children { parent, namespace, rest: elements.into_iter().peekable() }
    }

    /// The next child, if it has this name.
    pub(crate) fn optional(&mut self, name: &str) -> Option<Node<'a, 'i>> {
        let namespace = self.namespace;
        self.rest.next_if(|node| node.has_tag_name((namespace, name)))
    }

    /// The next child, which must have this name.
    pub(crate) fn required(&mut self, name: &str) -> Result<Node<'a, 'i>, SoapFault> {
        self.optional(name).ok_or_else(|| {
            let found = self.rest.peek().map_or("nothing", |node| node.tag_name().name());
            let reason = format!("{} needs {name} here, but there is {found}.", self.parent);
            SoapFault::sender(&["InvalidArgs"], reason)
        })
    }

    /// All next children of this name.
    pub(crate) fn list(&mut self, name: &str) -> Vec<Node<'a, 'i>> {
        std::iter::from_fn(|| self.optional(name)).collect()
    }

    /// Nothing may be left.
    pub(crate) fn end(mut self) -> Result<(), SoapFault> {
        match self.rest.next() {
            None => Ok(()),
            Some(node) => {
                let name = node.tag_name().name();
                let reason = format!("{} has {name} where the schema has none.", self.parent);
                Err(SoapFault::sender(&["InvalidArgs"], reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Result<String, SoapFault> {
        let document = parse(text)?;
        operation(&document).map(|node| node.tag_name().name().to_owned())
    }

    #[test]
    fn hostile_requests_are_faults() {
        let deep = "<a>".repeat(50_000);
        let nested = format!("{}{}", "<a>".repeat(9_000), "</a>".repeat(9_000));
        for bad in ["", "<", "<a/>", "\u{0}", &deep, &nested, "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"] {
            assert!(first(bad).is_err());
        }
        let empty = format!("<e:Envelope xmlns:e=\"{ENV}\"><e:Body/></e:Envelope>");
        assert_eq!(first(&empty).unwrap_err().subcodes, ["TagMismatch"]);
        let soap_11 = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><x/></e:Body></e:Envelope>";
        assert_eq!(first(soap_11).unwrap_err().code, Code::VersionMismatch);
    }

    #[test]
    fn faults_nest_their_subcodes() {
        let fault = SoapFault::invalid("KeyID", "<no> such key");
        let text = fault.envelope();
        assert!(text.contains(
            "<env:Subcode><env:Value>ter:InvalidArgVal</env:Value>\
             <env:Subcode><env:Value>ter:KeyID</env:Value></env:Subcode></env:Subcode>"
        ));
        assert!(text.contains("&lt;no&gt; such key"));
        assert_eq!(fault.status(), 400);
        assert!(Document::parse(&text).is_ok());
    }

    #[test]
    fn children_keep_the_order_of_the_schema() {
        let text = format!("<t:Op xmlns:t=\"{TAS}\"><t:A/><t:B/><t:B/></t:Op>");
        let document = Document::parse(&text).unwrap();
        let mut children = Children::of(document.root_element(), TAS);
        assert!(children.required("B").is_err());
        assert!(children.required("A").is_ok());
        assert!(children.optional("C").is_none());
        assert_eq!(children.list("B").len(), 2);
        assert!(children.end().is_ok());
    }
}
