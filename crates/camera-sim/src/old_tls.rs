//! The beginning of a TLS that no library speaks any more (RFC 5246, section 7.3): a ServerHello and the certificates, all
//! of it in the clear. Whoever has seen a certificate once can show it so.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::options::OldTls;

/// TLS_RSA_WITH_AES_128_CBC_SHA.
const SUITE: [u8; 2] = [0x00, 0x2f];

/// Shows these certificates, leaf first, and waits until the client has had enough.
pub(crate) async fn show(mut stream: TcpStream, old: OldTls, chain: &[Vec<u8>]) -> io::Result<()> {
    let minor = match old {
        OldTls::Tls10 => 1,
        OldTls::Tls12Rsa => 3,
    };
    let mut piece = [0; 4096];
    // A hello comes in one piece.
    let length = stream.read(&mut piece).await?;
    if !offers(piece.get(..length).unwrap_or_default()) {
        // handshake_failure
        return stream.write_all(&[21, 3, minor, 0, 2, 2, 40]).await;
    }
    let hello = [&[3, minor][..], &[7; 32], &[0], &SUITE, &[0]].concat();
    let list: Vec<u8> = chain.iter().flat_map(|der| with_length::<3>(der)).collect();
    let messages = [message(2, &hello), message(11, &with_length::<3>(&list)), message(14, &[])].concat();
    for part in messages.chunks(1 << 14) {
        stream.write_all(&[&[22, 3, minor][..], &with_length::<2>(part)].concat()).await?;
    }
    while stream.read(&mut piece).await? > 0 {}
    Ok(())
}

/// Whether a ClientHello offers the suite (section 7.4.1.2).
fn offers(record: &[u8]) -> bool {
    suites(record).is_some_and(|suites| suites.chunks(2).any(|suite| suite == SUITE))
}

/// They stand after record, message, version, random and, behind its length, a session.
fn suites(record: &[u8]) -> Option<&[u8]> {
    let (session, rest) = record.get(5 + 4 + 2 + 32..)?.split_first()?;
    let (length, rest) = rest.get(usize::from(*session)..)?.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &with_length::<3>(body)].concat()
}

/// The content behind its length in `N` bytes.
fn with_length<const N: usize>(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [length.get(length.len() - N..).unwrap_or_default(), content].concat()
}
