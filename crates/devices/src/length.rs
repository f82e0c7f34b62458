//! Answers whose Content-Length is not true.
//!
//! Some firmware sends `Content-Length: -1`, two lengths, or a length that is more than it has. The answer ends where the
//! connection does, which is asked for with each request (RFC 9112, section 6.3, item 8).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::xml;

/// The longest head of an answer, bytes.
pub(crate) const HEAD_MAX: usize = 64 << 10;

/// A connection that leaves lengths out of the head of the answer if they are no number, or not one number.
pub(crate) struct Readable<S> {
    stream: S,
    state: State,
}

enum State {
    /// The head as far as it came.
    Head(Vec<u8>),
    /// What is to be handed on before the stream: all of it from that place on.
    Read(Vec<u8>, usize),
    Through,
}

impl<S> Readable<S> {
    pub(crate) fn new(stream: S) -> Readable<S> {
        Readable { stream, state: State::Head(Vec::new()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Readable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Readable { stream, state } = &mut *self;
        loop {
            match state {
                State::Head(head) => {
                    let mut piece = [0; 4096];
                    let mut piece = ReadBuf::new(&mut piece);
                    ready!(Pin::new(&mut *stream).poll_read(cx, &mut piece))?;
                    head.extend_from_slice(piece.filled());
                    // A head without an end is for the parser to refuse.
                    let is_over = piece.filled().is_empty() || head.len() > HEAD_MAX;
                    if let Some(end) = end_of_head(head) {
                        *state = State::Read(without_lies(head, end), 0);
                    } else if is_over {
                        *state = State::Read(std::mem::take(head), 0);
                    }
                }
                State::Read(bytes, from) if *from < bytes.len() => {
                    let rest = &bytes[*from..];
                    let count = rest.len().min(into.remaining());
                    into.put_slice(&rest[..count]);
                    *from += count;
                    return Poll::Ready(Ok(()));
                }
                State::Read(..) => *state = State::Through,
                State::Through => return Pin::new(stream).poll_read(cx, into),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Readable<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where the head ends: after its empty line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut line_is_empty = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if line_is_empty => return Some(at + 1),
            b'\n' => line_is_empty = true,
            b'\r' => {}
            _ => line_is_empty = false,
        }
    }
    None
}

/// The answer without its lengths, if they are not one number.
fn without_lies(answer: &[u8], end: usize) -> Vec<u8> {
    let (head, body) = answer.split_at(end);
    let lines: Vec<&[u8]> = head.split_inclusive(|byte| *byte == b'\n').collect();
    let length = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        name.trim_ascii().eq_ignore_ascii_case(b"content-length").then(|| value[1..].trim_ascii().to_vec())
    };
    let lengths: Vec<Vec<u8>> = lines.iter().filter_map(|line| length(line)).collect();
    let is_number =
        |value: &[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_digit) && value.len() < 19;
    if lengths.iter().all(|value| is_number(value) && *value == lengths[0]) {
        return answer.to_vec();
    }
    let kept = lines.into_iter().filter(|line| length(line).is_none());
    kept.chain([body]).flatten().copied().collect()
}

/// Whether nothing is missing in an answer that is shorter than it said: XML that ends, or a JPEG file with its last
/// marker (ITU-T T.81, B.1.1.3). Of any other form that cannot be known.
pub(crate) fn is_whole(body: &[u8]) -> bool {
    let body = body.strip_suffix(b"\0").unwrap_or(body);
    if body.starts_with(&[0xff, 0xd8, 0xff]) {
        return body.ends_with(&[0xff, 0xd9]);
    }
    body.trim_ascii().ends_with(b">") && xml::read(body, |_| ()).is_some()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_length_that_is_no_number_is_left_out() {
        for (head, kept) in [
            ("Content-Length: 2\r\nA: b\r\n", true),
            ("content-length:2\r\nContent-Length: 2\r\n", true),
            ("A: b\r\n", true),
            ("Content-Length: -1\r\n", false),
            ("Content-Length:\r\n", false),
            ("CONTENT-LENGTH: 2\r\nContent-Length: 3\r\n", false),
            ("Content-Length: 99999999999999999999\r\n", false),
            ("Content-Length: 2 bytes\n", false),
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\0 Content-Length: -1\r\n\r\n");
            let expected = if kept { answer.clone() } else { answer.replacen(head, "", 1) };
            let mut read = Vec::new();
            Readable::new(answer.as_bytes()).read_to_end(&mut read).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&read), expected, "{head}");
        }
        let no_head = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n";
        let mut read = Vec::new();
        Readable::new(no_head.as_bytes()).read_to_end(&mut read).await.unwrap();
        assert_eq!(read, no_head.as_bytes());
    }

    #[test]
    fn what_is_cut_off_is_not_whole() {
        for (body, whole) in [
            (&b"<a><b/></a>"[..], true),
            (b"<a><b/></a>\0", true),
            (b"<a><b/>", false),
            (b"<a><b></a>", false),
            (b"\xff\xd8\xff\xe0 picture \xff\xd9", true),
            (b"\xff\xd8\xff\xe0 picture", false),
            (b"{\"a\": 1}", false),
            (b"", false),
        ] {
            assert_eq!(is_whole(body), whole, "{body:?}");
        }
    }
}
