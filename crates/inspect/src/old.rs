//! Old servers, asked by a plain ClientHello (RFC 5246, section 7.4) for what browsers and our library no longer speak.
//! Up to the certificates all of it is in the clear before TLS 1.3, so it takes no old cryptography to read it.

use domain::{AltName, Target};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{Options, connect::connect};

/// The suites that are offered, newest first: whatever firmware may still have. IANA, "TLS Cipher Suites".
const SUITES: [(u16, &str); 26] = [
    (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    (0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    (0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0016, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
    (0x0004, "TLS_RSA_WITH_RC4_128_MD5"),
    (0x0009, "TLS_RSA_WITH_DES_CBC_SHA"),
    (0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5"),
];

/// So much of an answer is read: a chain of ten certificates with keys of 4096 bits fits.
const ANSWER_MAX: usize = 64 << 10;
const CERTIFICATES_MAX: usize = 10;

/// TLS 1.2 is 3.3 on the wire; 1.3 has another kind of hello.
const NEWEST: u8 = 3;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;

/// What an old server said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Old {
    /// The version that it chose: `SSLv3`, `TLSv1.0`, `TLSv1.1`, `TLSv1.2`.
    pub version: &'static str,
    /// The name of the cipher suite that it chose, or its number.
    pub suite: String,
    /// Its certificates in DER, in the order in which they came.
    pub chain: Vec<Vec<u8>>,
}

/// Those of the suites that Chromium 156 and Firefox ESR 153 still speak, and our library does not.
const STILL_SPOKEN: [u16; 6] = [0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035];

/// Asks; `None` if nothing came that can be read.
pub(crate) async fn look(target: &Target, port: u16, options: &Options) -> Option<Old> {
    read(&ask(target, port, options, NEWEST, |_| true).await?)
}

/// Whether the server takes a ClientHello that knows no version of TLS after this one: `1.0`, `1.1` or `1.2`.
pub async fn speaks(target: &Target, port: u16, version: &str, options: &Options) -> bool {
    let minor = match version {
        "1.0" => 1,
        "1.1" => 2,
        _ => NEWEST,
    };
    let answer = ask(target, port, options, minor, |_| true).await;
    answer.is_some_and(|answer| read(&answer).is_some())
}

/// Those that our library speaks, too.
const MODERN: [u16; 4] = [0xc02b, 0xc02f, 0xc02c, 0xc030];

/// Asks as browsers do; `None` if the server does not choose what they alone speak.
pub(crate) async fn look_as_browser(target: &Target, port: u16, options: &Options) -> Option<Old> {
    let offers = |suite| STILL_SPOKEN.contains(&suite) || MODERN.contains(&suite);
    let old = read(&ask(target, port, options, NEWEST, offers).await?)?;
    let is_modern = SUITES.iter().any(|(suite, name)| MODERN.contains(suite) && *name == old.suite);
    (old.version == "TLSv1.2" && !old.chain.is_empty() && !is_modern).then_some(old)
}

/// What stands where a record of TLS has its length, in the answer of something else.
pub(crate) async fn record_length(target: &Target, port: u16, options: &Options) -> Option<u16> {
    let answer = ask(target, port, options, NEWEST, |_| true).await?;
    let length = answer.get(3..5)?.try_into().ok()?;
    Some(u16::from_be_bytes(length))
}

/// The beginning of the answer to a hello of that version at most, with some of the suites.
async fn ask(
    target: &Target,
    port: u16,
    options: &Options,
    minor: u8,
    offers: fn(u16) -> bool,
) -> Option<Vec<u8>> {
    let name = match options.name.as_ref().unwrap_or(&target.host) {
        AltName::Dns(name) => Some(name.as_str()),
        AltName::Ip(_) => None,
    };
    let hello = client_hello(name, minor, offers)?;
    let mut stream = connect(target, port, options.connect).await.ok()?;
    let mut answer = Vec::new();
    // What came until then is read, however it ended.
    let _ = timeout(options.answer, async {
        stream.write_all(&hello).await?;
        let mut piece = [0; 4096];
        while answer.len() < ANSWER_MAX && read(&answer).is_none_or(|old| old.chain.is_empty()) {
            match stream.read(&mut piece).await? {
                0 => break,
                length => answer.extend_from_slice(piece.get(..length).unwrap_or_default()),
            }
        }
        Ok::<(), std::io::Error>(())
    })
    .await;
    Some(answer)
}

/// A ClientHello in a record of TLS 1.0, which every version takes. `minor` is that of its version on the wire.
fn client_hello(name: Option<&str>, minor: u8, offers: fn(u16) -> bool) -> Option<Vec<u8>> {
    let mut random = [0; 32];
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut random).ok()?;
    let mut extensions = Vec::new();
    if let Some(name) = name {
        let host = [&[0], &*with_length::<2>(name.as_bytes())?].concat();
        extensions.extend(extension(0, &with_length::<2>(&host)?)?);
    }
    // Groups secp256r1, secp384r1, secp521r1, x25519; points uncompressed.
    extensions.extend(extension(10, &[0, 8, 0, 23, 0, 24, 0, 25, 0, 29])?);
    extensions.extend(extension(11, &[1, 0])?);
    // Signatures: RSA (PKCS#1) and ECDSA with SHA-256, SHA-384, SHA-1, RSA-PSS with SHA-256.
    extensions.extend(extension(13, &[0, 14, 4, 1, 5, 1, 2, 1, 4, 3, 5, 3, 2, 3, 8, 4])?);
    let offered = SUITES.iter().map(|(suite, _)| *suite).filter(|suite| offers(*suite));
    let suites: Vec<u8> = offered.flat_map(u16::to_be_bytes).collect();
    let (suites, extensions) = (with_length::<2>(&suites)?, with_length::<2>(&extensions)?);
    // No session, no compression.
    let body = [&[3, minor], &random[..], &[0], &suites, &[1, 0], &extensions].concat();
    let message = [&[1], &*with_length::<3>(&body)?].concat();
    Some([&[HANDSHAKE, 3, 1], &*with_length::<2>(&message)?].concat())
}

fn extension(kind: u8, content: &[u8]) -> Option<Vec<u8>> {
    Some([&[0, kind], &*with_length::<2>(content)?].concat())
}

/// The content behind its length in `N` bytes.
fn with_length<const N: usize>(content: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(content.len()).ok()?.to_be_bytes();
    Some([length.get(4 - N..)?, content].concat())
}

/// Reads the beginning of a server's answer: as far as it goes, in bounded time and memory.
pub fn read(answer: &[u8]) -> Option<Old> {
    let mut messages = Vec::new();
    let mut rest = answer;
    while let Some((&[kind, major, _], after)) = rest.split_first_chunk::<3>() {
        if major != 3 || kind != HANDSHAKE {
            break;
        }
        let (record, is_whole) = taken::<2>(after);
        messages.extend_from_slice(record);
        if !is_whole {
            break;
        }
        rest = after.get(2 + record.len()..).unwrap_or_default();
    }
    let mut old = Old::default();
    let mut rest = messages.as_slice();
    while let Some((&kind, after)) = rest.split_first() {
        let (body, is_whole) = taken::<3>(after);
        if !is_whole {
            break;
        }
        match kind {
            SERVER_HELLO => (old.version, old.suite) = server_hello(body)?,
            CERTIFICATE => {
                old.chain = certificates(body)?;
                break;
            }
            // Before the certificates there is nothing else (section 7.3).
            _ => break,
        }
        rest = after.get(3 + body.len()..).unwrap_or_default();
    }
    (!old.version.is_empty()).then_some(old)
}

/// What stands behind a length of `N` bytes, and whether all of it is there.
fn taken<const N: usize>(bytes: &[u8]) -> (&[u8], bool) {
    let Some((length, rest)) = bytes.split_first_chunk::<N>() else { return (&[], false) };
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    match rest.get(..length) {
        Some(whole) => (whole, true),
        None => (rest, false),
    }
}

/// Version and suite of a ServerHello.
fn server_hello(body: &[u8]) -> Option<(&'static str, String)> {
    let (&[major, minor], rest) = body.split_first_chunk::<2>()?;
    let version = match (major, minor) {
        (3, 0) => "SSLv3",
        (3, 1) => "TLSv1.0",
        (3, 2) => "TLSv1.1",
        (3, 3) => "TLSv1.2",
        _ => return None,
    };
    let (_session, is_whole) = taken::<1>(rest.get(32..)?);
    let after = rest.get(33 + _session.len()..).filter(|_| is_whole)?;
    let (number, _) = after.split_first_chunk::<2>()?;
    let number = u16::from_be_bytes(*number);
    let named = SUITES.iter().find(|(suite, _)| *suite == number).map(|(_, name)| (*name).to_owned());
    Some((version, named.unwrap_or_else(|| format!("0x{number:04x}"))))
}

fn certificates(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut list, is_whole) = taken::<3>(body);
    let mut chain = Vec::new();
    while is_whole && !list.is_empty() && chain.len() < CERTIFICATES_MAX {
        let (certificate, is_whole) = taken::<3>(list);
        if !is_whole || certificate.is_empty() {
            return None;
        }
        chain.push(certificate.to_vec());
        list = list.get(3 + certificate.len()..)?;
    }
    is_whole.then_some(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind], &*with_length::<3>(body).unwrap()].concat()
    }

    fn record(messages: &[u8]) -> Vec<u8> {
        [&[HANDSHAKE, 3, 1], &*with_length::<2>(messages).unwrap()].concat()
    }

    fn hello(minor: u8, suite: u16) -> Vec<u8> {
        let suite = suite.to_be_bytes();
        message(SERVER_HELLO, &[&[3, minor], &[7; 32][..], &[2, 1, 2], &suite, &[0]].concat())
    }

    fn chain(certificates: &[&[u8]]) -> Vec<u8> {
        let list: Vec<u8> = certificates.iter().flat_map(|c| with_length::<3>(c).unwrap()).collect();
        message(CERTIFICATE, &with_length::<3>(&list).unwrap())
    }

    #[test]
    fn an_old_server_is_read_however_it_cuts_its_records() {
        let messages = [hello(1, 0x002f), chain(&[b"leaf", b"issuer"])].concat();
        let expected = Old {
            version: "TLSv1.0",
            suite: "TLS_RSA_WITH_AES_128_CBC_SHA".into(),
            chain: vec![b"leaf".to_vec(), b"issuer".to_vec()],
        };
        assert_eq!(read(&record(&messages)), Some(expected.clone()));
        let pieces: Vec<u8> = messages.chunks(5).flat_map(record).collect();
        assert_eq!(read(&pieces), Some(expected));
        assert_eq!(read(&record(&hello(0, 0x1234))).unwrap().suite, "0x1234");
    }

    #[test]
    fn nothing_makes_the_reader_panic() {
        let whole = record(&[hello(2, 0xc013), chain(&[b"leaf"])].concat());
        for cut in 0..whole.len() {
            let old = read(&whole[..cut]);
            assert!(old.is_none_or(|old| old.version == "TLSv1.1" && old.chain.is_empty()));
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[cut] = byte;
                read(&changed);
            }
        }
        for bad in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[21, 3, 1, 0, 2, 2, 70], &[]] {
            assert_eq!(read(bad), None);
        }
    }

    #[test]
    fn the_hello_is_one_record() {
        let hello = client_hello(Some("gate.lan"), NEWEST, |_| true).unwrap();
        let (message, is_whole) = taken::<2>(&hello[3..]);
        assert!(is_whole && message.len() + 5 == hello.len());
        let (body, is_whole) = taken::<3>(&message[1..]);
        assert!(is_whole && body.len() + 4 == message.len());
        assert!(hello.windows(8).any(|w| w == b"gate.lan"));
    }
}
