//! Sees the request heads of a connection as they come, before the parser tidies them up: what is corrected in
//! silence there (RFC 9112 §6.3) is a request that two programs may read differently, and is refused.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// Longest head that is looked at; longer ones are refused by the parser.
const HEAD: usize = 64 * 1024;
/// Most headers of one.
const HEADERS: usize = 128;

/// What came in since the last head.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrived(Arc<Mutex<Bytes>>);

#[derive(Debug)]
struct Bytes {
    kept: Vec<u8>,
    /// A head is expected: what comes is kept.
    is_keeping: bool,
}

impl Default for Bytes {
    fn default() -> Self {
        Self { kept: Vec::new(), is_keeping: true }
    }
}

/// What two programs may read differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguity {
    LengthAndEncoding,
    SeveralLengths,
    SeveralEncodings,
    BareLineFeed,
    OldVersionWithEncoding,
}

impl Ambiguity {
    pub fn as_str(self) -> &'static str {
        match self {
            Ambiguity::LengthAndEncoding => {
                "the request has both Content-Length and Transfer-Encoding"
            }
            Ambiguity::SeveralLengths => "the request has more than one Content-Length",
            Ambiguity::SeveralEncodings => "the request has more than one Transfer-Encoding",
            Ambiguity::BareLineFeed => {
                "a line of the request's head ends without a carriage return"
            }
            Ambiguity::OldVersionWithEncoding => "HTTP/1.0 knows no Transfer-Encoding",
        }
    }
}

impl Arrived {
    /// Looks at the head that was parsed just now, and keeps nothing until the next one is expected.
    pub(super) fn take(&self) -> Option<Ambiguity> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.is_keeping = false;
        let found = ambiguity(&bytes.kept);
        bytes.kept.clear();
        found
    }

    /// The body of the last request has ended.
    pub(super) fn expect_head(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_keeping = true;
    }

    fn is_keeping(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_keeping
    }

    fn keep(&self, new: &[u8]) {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.kept.len() < HEAD {
            bytes.kept.extend_from_slice(new);
        }
    }
}

/// What is ambiguous about the head at the beginning of `bytes`.
fn ambiguity(bytes: &[u8]) -> Option<Ambiguity> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else { return None };
    let count = |name: &str| {
        request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count()
    };
    let (lengths, encodings) = (count("content-length"), count("transfer-encoding"));
    match (lengths, encodings) {
        (0 | 1, 0) | (0, 1) => {}
        (0, _) => return Some(Ambiguity::SeveralEncodings),
        (_, 0) => return Some(Ambiguity::SeveralLengths),
        (..) => return Some(Ambiguity::LengthAndEncoding),
    }
    if encodings == 1 && request.version == Some(0) {
        return Some(Ambiguity::OldVersionWithEncoding);
    }
    // Empty lines before the request are not part of it (RFC 9112 §2.2).
    let head = &bytes[..length];
    let bare = head
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r'));
    bare.then_some(Ambiguity::BareLineFeed)
}

/// A connection whose heads are seen.
pub(super) struct Watched<S> {
    pub stream: S,
    pub arrived: Arrived,
}

impl<S: Read + Unpin> Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.arrived.is_keeping() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        // The parser's buffer shows only what is free in it: the bytes of heads take a way of their own.
        let mut own = [const { MaybeUninit::uninit() }; 16 * 1024];
        let room = buffer.remaining().min(own.len());
        let mut read = ReadBuf::uninit(&mut own[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(context, read.unfilled()))?;
        self.arrived.keep(read.filled());
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_one_reading_is_unambiguous() {
        let of = |headers: &str| {
            ambiguity(format!("POST /x HTTP/1.1\r\nHost: x\r\n{headers}\r\nhello").as_bytes())
        };
        assert_eq!(of(""), None);
        assert_eq!(of("Content-Length: 5\r\n"), None);
        assert_eq!(of("Transfer-Encoding: chunked\r\n"), None);
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(of(both), Some(Ambiguity::LengthAndEncoding));
        let both = "transfer-encoding: chunked\r\ncontent-length: 5\r\n";
        assert_eq!(of(both), Some(Ambiguity::LengthAndEncoding));
        let twice = "Content-Length: 5\r\nContent-Length: 5\r\n";
        assert_eq!(of(twice), Some(Ambiguity::SeveralLengths));
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(of(twice), Some(Ambiguity::SeveralEncodings));
        assert_eq!(of("X: y\nZ: y\r\n"), Some(Ambiguity::BareLineFeed));
    }
}
