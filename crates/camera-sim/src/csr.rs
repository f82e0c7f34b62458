//! Subjects, extensions and algorithms as the Security service is told them.

use std::collections::BTreeSet;

use rcgen::{CustomExtension, DistinguishedName, DnType, DnValue, SignatureAlgorithm};
use roxmltree::Node;
use x509_parser::extensions::SubjectAlternativeName;
use x509_parser::prelude::FromDer as _;

use crate::keys::{self, Pair};
use crate::soap::{self, Children, SoapFault, TAS, text};

/// The parts of tas:DistinguishedName in the schema's order, with their attribute types (X.520).
const PARTS: [(&str, &[u64]); 14] = [
    ("Country", &[2, 5, 4, 6]),
    ("Organization", &[2, 5, 4, 10]),
    ("OrganizationalUnit", &[2, 5, 4, 11]),
    ("DistinguishedNameQualifier", &[2, 5, 4, 46]),
    ("StateOrProvinceName", &[2, 5, 4, 8]),
    ("CommonName", &[2, 5, 4, 3]),
    ("SerialNumber", &[2, 5, 4, 5]),
    ("Locality", &[2, 5, 4, 7]),
    ("Title", &[2, 5, 4, 12]),
    ("Surname", &[2, 5, 4, 4]),
    ("GivenName", &[2, 5, 4, 42]),
    ("Initials", &[2, 5, 4, 43]),
    ("Pseudonym", &[2, 5, 4, 65]),
    ("GenerationQualifier", &[2, 5, 4, 44]),
];
/// Longest value of one part.
const VALUE_CHARACTERS: usize = 64;
/// Most extensions in one request.
const EXTENSIONS: usize = 16;
/// id-ce-subjectAltName.
const SUBJECT_ALT_NAME: [u64; 4] = [2, 5, 29, 17];

/// Reads a tas:DistinguishedName. This camera keeps one value of each type, as small firmware does.
pub(crate) fn subject(node: Node<'_, '_>) -> Result<DistinguishedName, SoapFault> {
    let mut parts = Children::of(node, TAS);
    let mut name = DistinguishedName::new();
    for (part, oid) in PARTS {
        for value in parts.list(part) {
            push(&mut name, oid, &text(value))?;
        }
    }
    for generic in parts.list("GenericAttribute") {
        let mut pair = Children::of(generic, TAS);
        let oid = oid(&text(pair.required("Type")?)).ok_or_else(invalid_subject)?;
        let value = text(pair.required("Value")?);
        pair.end()?;
        push(&mut name, &oid, &value)?;
    }
    if !parts.list("MultiValuedRDN").is_empty() || parts.optional("anyAttribute").is_some() {
        return Err(invalid_subject());
    }
    parts.end()?;
    Ok(name)
}

/// The extensions that a request is to ask for.
pub(crate) fn requested_extensions(attributes: &[Node<'_, '_>]) -> Result<Vec<CustomExtension>, SoapFault> {
    let mut nodes = Vec::new();
    for attribute in attributes {
        let mut choice = Children::of(*attribute, TAS);
        // BasicRequestAttribute, the other choice, this camera does not know.
        nodes.push(choice.optional("X509v3Extension").ok_or_else(invalid_attribute)?);
        choice.end()?;
    }
    extensions(&nodes)
}

/// Reads a list of tas:X509v3Extension; none may come twice (RFC 5280 section 4.2).
pub(crate) fn extensions(nodes: &[Node<'_, '_>]) -> Result<Vec<CustomExtension>, SoapFault> {
    if nodes.len() > EXTENSIONS {
        return Err(invalid_attribute());
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for node in nodes {
        let mut parts = Children::of(*node, TAS);
        let oid = oid(&text(parts.required("extnOID")?)).ok_or_else(invalid_attribute)?;
        let critical = soap::boolean(parts.required("critical")?)?;
        let value = soap::bytes(parts.required("extnValue")?)?;
        parts.end()?;
        if oid == SUBJECT_ALT_NAME && !is_names(&value) {
            return Err(invalid_attribute());
        }
        let mut extension = CustomExtension::from_oid_content(&oid, value);
        extension.set_criticality(critical);
        if !seen.insert(oid) {
            return Err(invalid_attribute());
        }
        found.push(extension);
    }
    Ok(found)
}

/// Reads a tas:AlgorithmIdentifier; its parameters are always those that belong to the algorithm.
pub(crate) fn algorithm(node: Node<'_, '_>) -> Result<&'static SignatureAlgorithm, SoapFault> {
    let oid = text(Children::of(node, TAS).required("algorithm")?);
    keys::signature(&oid).ok_or_else(|| {
        SoapFault::invalid("UnsupportedSignatureAlgorithm", "This signature algorithm is not supported.")
    })
}

/// Whether the key can sign this way.
pub(crate) fn must_match(pair: &Pair, algorithm: &'static SignatureAlgorithm) -> Result<(), SoapFault> {
    if pair.can_sign(algorithm) {
        return Ok(());
    }
    let reason = "The key cannot be used with this signature algorithm.";
    Err(SoapFault::invalid("KeySignatureAlgorithmMismatch", reason))
}

fn push(name: &mut DistinguishedName, oid: &[u64], value: &str) -> Result<(), SoapFault> {
    let kind = DnType::from_oid(oid);
    if value.is_empty() || value.chars().count() > VALUE_CHARACTERS || name.get(&kind).is_some() {
        return Err(invalid_subject());
    }
    // Country, serial number and qualifier are PrintableStrings by definition; the rest is UTF-8.
    let printable = matches!(oid, [2, 5, 4, 5 | 6 | 46]);
    let value = if printable {
        DnValue::PrintableString(value.try_into().map_err(|_| invalid_subject())?)
    } else {
        DnValue::Utf8String(value.to_owned())
    };
    name.push(kind, value);
    Ok(())
}

/// Reads an OID in dot-decimal form; only what can be written in DER again.
fn oid(text: &str) -> Option<Vec<u64>> {
    let arcs: Vec<u64> =
        text.split('.').take(32).map(|arc| arc.parse::<u32>().ok().map(u64::from)).collect::<Option<_>>()?;
    matches!(arcs.as_slice(), [0..=2, 0..=39, _, ..]).then_some(arcs)
}

fn is_names(value: &[u8]) -> bool {
    SubjectAlternativeName::from_der(value)
        .is_ok_and(|(rest, names)| rest.is_empty() && !names.general_names.is_empty())
}

fn invalid_subject() -> SoapFault {
    SoapFault::invalid("InvalidSubject", "The subject is not acceptable.")
}

fn invalid_attribute() -> SoapFault {
    SoapFault::invalid("InvalidAttribute", "An attribute is not acceptable.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_oids() {
        assert_eq!(oid("2.5.29.17"), Some(SUBJECT_ALT_NAME.to_vec()));
        for bad in ["", "2", "2.5", "3.1.1", "1.40.1", "1.2.x", "1.2.99999999999", "1..2", "-1.2.3"] {
            assert_eq!(oid(bad), None, "{bad}");
        }
    }

    #[test]
    fn subjects_are_read_in_the_order_of_the_schema() {
        let read = |inner: &str| {
            let text = format!("<t:Subject xmlns:t=\"{TAS}\">{inner}</t:Subject>");
            let document = roxmltree::Document::parse(&text).unwrap();
            subject(document.root_element())
        };
        let name = read("<t:Country>HU</t:Country><t:CommonName>Gate</t:CommonName>").unwrap();
        assert_eq!(name.iter().count(), 2);
        assert!(read("<t:CommonName>Gate</t:CommonName><t:Country>HU</t:Country>").is_err());
        assert!(read("<t:CommonName>a</t:CommonName><t:CommonName>b</t:CommonName>").is_err());
        assert!(read("<t:CommonName/>").is_err());
        assert!(read("<t:Country>\u{e9}</t:Country>").is_err());
        assert!(read("").is_ok());
    }
}
