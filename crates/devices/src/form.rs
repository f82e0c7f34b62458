//! Files in a form, as a browser sends it (RFC 7578).

use hyper::{Method, body::Bytes};
use zeroize::Zeroizing;

use crate::{
    Error,
    http::{Place, Request},
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
    upload_all(place, std::slice::from_ref(file), &[])
}

/// The request that uploads the files, with the fields after them. No name or value may hold a line break.
pub(crate) fn upload_all(
    place: Place,
    files: &[File<'_>],
    fields: &[(&str, &str)],
) -> Result<Request, Error> {
    let operation = place.path.clone();
    let Some(boundary) = boundary() else {
        let detail = "no random numbers for the form".to_owned();
        return Err(Error::UnexpectedAnswer { operation, detail });
    };
    let body = multipart(&boundary, files, fields);
    Ok(Request {
        operation,
        method: Method::POST,
        place,
        content_type: Some(format!("multipart/form-data; boundary={boundary}")),
        body: Bytes::from_owner(Zeroizing::new(body.into_bytes())),
        secret: true,
    })
}

/// RFC 2046, section 5.1.1: random, so that it stands in no PEM.
fn boundary() -> Option<String> {
    let mut random = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    Some(random.iter().fold("camlock-".to_owned(), |text, byte| text + &format!("{byte:02x}")))
}

/// In one piece, so that no copy of a private key is left behind.
fn multipart(boundary: &str, files: &[File<'_>], fields: &[(&str, &str)]) -> String {
    let mut heads = Vec::new();
    for File { field, name, content_type, content } in files {
        let disposition = format!("form-data; name=\"{field}\"; filename=\"{name}\"");
        let head = format!("Content-Disposition: {disposition}\r\nContent-Type: {content_type}\r\n\r\n");
        heads.push((head, *content));
    }
    for (name, value) in fields {
        heads.push((format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n"), *value));
    }
    let mut pieces = Vec::new();
    for (head, content) in &heads {
        pieces.extend(["--", boundary, "\r\n", head, content, "\r\n"]);
    }
    pieces.extend(["--", boundary, "--\r\n"]);
    pieces.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_into_its_form() {
        let content_type = "application/x-pem-file";
        let file = File { field: "certificate", name: "c.pem", content_type, content: "PEM" };
        assert_eq!(
            multipart("B", &[file], &[]),
            "--B\r\nContent-Disposition: form-data; name=\"certificate\"; filename=\"c.pem\"\r\n\
             Content-Type: application/x-pem-file\r\n\r\nPEM\r\n--B--\r\n"
        );
        assert_ne!(boundary(), boundary());
    }

    #[test]
    fn fields_follow_the_files() {
        let file = File { field: "key", name: "k", content_type: "a/b", content: "K" };
        let form = multipart("B", &[file], &[("id", ""), ("desc", "ours")]);
        assert_eq!(
            form.split_once("\r\n\r\nK\r\n").unwrap().1,
            "--B\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n\r\n\
             --B\r\nContent-Disposition: form-data; name=\"desc\"\r\n\r\nours\r\n--B--\r\n"
        );
    }
}
