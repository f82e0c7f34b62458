//! Files in a form, as a browser sends it (RFC 7578).

use hyper::{Method, body::Bytes};
use zeroize::Zeroizing;

use crate::{
    Error,
    http::{Place, Request},
    random::random,
};

/// One file input of a form, and what is put into it.
pub(crate) struct File<'a> {
    /// The input's name.
    pub(crate) field: &'a str,
    /// What the file is called; some devices go by it.
    pub(crate) name: &'a str,
    /// Its media type.
    pub(crate) content_type: &'a str,
    pub(crate) content: &'a str,
}

/// The request that uploads the file. Secret, since it may hold a private key.
pub(crate) fn upload(place: Place, file: &File<'_>) -> Result<Request, Error> {
    upload_all(place, &[], std::slice::from_ref(file))
}

/// The request that uploads several files in one form, after its plain fields.
pub(crate) fn upload_all(
    place: Place,
    fields: &[(String, String)],
    files: &[File<'_>],
) -> Result<Request, Error> {
    let operation = place.path.clone();
    let boundary = boundary()?;
    let body = multipart(&boundary, fields, files);
    Ok(Request {
        operation,
        method: Method::POST,
        place,
        content_type: Some(format!("multipart/form-data; boundary={boundary}")),
        body: Bytes::from_owner(Zeroizing::new(body.into_bytes())),
        secret: true,
        patience: None,
    })
}

/// RFC 2046, section 5.1.1: random, so that it stands in no PEM.
pub(crate) fn boundary() -> Result<String, Error> {
    let random = random::<16>()?;
    Ok(random.iter().fold("camlock-".to_owned(), |text, byte| text + &format!("{byte:02x}")))
}

/// In one piece, so that no copy of a private key is left behind.
fn multipart(boundary: &str, fields: &[(String, String)], files: &[File<'_>]) -> String {
    let mut parts = Vec::new();
    for (name, value) in fields {
        let name = quoted(name);
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        parts.push((head, value.as_str()));
    }
    for File { field, name, content_type, content } in files {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: {content_type}\r\n\r\n"
        );
        parts.push((head, content));
    }
    let end = ["--", boundary, "--\r\n"];
    let mut all: Vec<&str> = parts.iter().flat_map(|(head, content)| [head, *content, "\r\n"]).collect();
    all.extend(end);
    all.concat()
}

/// As browsers write a name (WHATWG HTML, multipart form data): what would end it is escaped.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_into_its_form() {
        let content_type = "application/x-pem-file";
        let file = File { field: "certificate", name: "c.pem", content_type, content: "PEM" };
        assert_eq!(
            multipart("B", &[("a".to_owned(), "b".to_owned())], &[file]),
            "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n\
             --B\r\nContent-Disposition: form-data; name=\"certificate\"; filename=\"c.pem\"\r\n\
             Content-Type: application/x-pem-file\r\n\r\nPEM\r\n--B--\r\n"
        );
        assert_ne!(boundary(), boundary());
    }
}
