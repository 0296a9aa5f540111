//! Reads along what comes on a connection, before the parser does: a request's head is let through once it is whole
//! and has one reading only. What the parser would correct in silence (RFC 9112 §6.3), or refuse without a word,
//! becomes a request that carries the reason, and nothing after it is read.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hyper::Uri;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::peer::Peer;

/// Longest head.
const HEAD: usize = 64 * 1024;
/// Most headers of one; the parser's own limit.
const HEADERS: usize = 100;
/// Longest line before a chunk.
const CHUNK_LINE: usize = 4 * 1024;
/// A head that is on its way is looked at again after a line, or after so many bytes.
const STEP: usize = 4 * 1024;
/// How long a client that is sending still gets to read why it was refused.
const LINGER: Duration = Duration::from_secs(1);
/// Most bytes that are read at once.
const PIECE: usize = 16 * 1024;
/// Most bytes that are put together before they are written: up to here that costs less than the other call.
const SHORT: usize = 2 * 1024;
/// How HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Stands for a request that cannot be read.
const UNREADABLE: &[u8] = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";

/// What a connection brings.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrived(Arc<Connection>);

#[derive(Debug, Default)]
struct Connection {
    incoming: Mutex<Incoming>,
    /// Somebody waits until everything has gone out.
    is_awaited: AtomicBool,
}

#[derive(Debug, Default)]
struct Incoming {
    next: Next,
    /// Not looked at yet, or not whole.
    held: Vec<u8>,
    /// So much of it has been looked at in vain.
    searched: usize,
    /// For the parser.
    released: BytesMut,
    /// The parser does not know yet that what came cannot be read.
    is_refused: bool,
    /// What was found in the heads that were released, in their order.
    verdicts: VecDeque<Option<Ambiguity>>,
    /// Waits for the decision about a change of protocol.
    waker: Option<Waker>,
    /// Waits until everything has gone out.
    behind: Option<Waker>,
}

/// What comes next.
#[derive(Debug, Default)]
enum Next {
    /// The first bytes of all.
    #[default]
    Beginning,
    Head,
    /// So many bytes of a body.
    Length(u64),
    ChunkLine,
    /// So many bytes of a chunk, with the end of its line.
    Chunk(u64),
    Trailers,
    /// Depends on the answer to a request to change the protocol.
    Undecided,
    /// Another protocol, or what the parser will refuse.
    Opaque,
    Nothing,
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguity {
    LengthAndEncoding,
    SeveralLengths,
    BadLength,
    SeveralEncodings,
    UnknownEncoding,
    BareLineFeed,
    OldVersionWithEncoding,
    BadRequestLine,
    BadHeader,
    TooManyHeaders,
    TooLong,
    /// It came in a way that nothing could be said about it.
    Unseen,
}

impl Ambiguity {
    pub fn as_str(self) -> &'static str {
        match self {
            Ambiguity::LengthAndEncoding => {
                "the request has both Content-Length and Transfer-Encoding"
            }
            Ambiguity::SeveralLengths => "the request has more than one Content-Length",
            Ambiguity::BadLength => "the Content-Length of the request is not a number",
            Ambiguity::SeveralEncodings => "the request has more than one Transfer-Encoding",
            Ambiguity::UnknownEncoding => "the Transfer-Encoding of the request is not chunked",
            Ambiguity::BareLineFeed => {
                "a line of the request's head ends without a carriage return"
            }
            Ambiguity::OldVersionWithEncoding => "HTTP/1.0 knows no Transfer-Encoding",
            Ambiguity::BadRequestLine => "the first line is not one of an HTTP/1.1 request",
            Ambiguity::BadHeader => "a header of the request is not well-formed",
            Ambiguity::TooManyHeaders => "the request has more than 100 headers",
            Ambiguity::TooLong => "the head of the request is longer than 64 KiB",
            Ambiguity::Unseen => "the request follows one whose end is unclear",
        }
    }

    /// Whether the request is merely too large.
    pub fn is_excess(self) -> bool {
        matches!(self, Ambiguity::TooManyHeaders | Ambiguity::TooLong)
    }

    /// Whether another request stands for it.
    pub fn is_unreadable(self) -> bool {
        !matches!(self, Ambiguity::Unseen)
    }
}

impl Arrived {
    fn lock(&self) -> MutexGuard<'_, Incoming> {
        self.0.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found in the next head that was parsed.
    pub(super) fn verdict(&self) -> Option<Ambiguity> {
        self.lock().verdicts.pop_front().unwrap_or(Some(Ambiguity::Unseen))
    }

    /// A request was answered: whether the connection changes its protocol.
    pub(super) fn decide(&self, is_switched: bool) {
        let mut incoming = self.lock();
        if is_switched {
            incoming.next = Next::Opaque;
        } else if matches!(incoming.next, Next::Undecided) {
            incoming.next = Next::Head;
        }
        incoming.sort();
        if let Some(waker) = incoming.waker.take() {
            waker.wake();
        }
    }

    /// Has the task woken once everything that it wrote has gone out.
    pub(super) fn await_end(&self, context: &Context<'_>) {
        self.lock().behind = Some(context.waker().clone());
        self.0.is_awaited.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.0.is_awaited.load(Ordering::Relaxed)
    }

    fn went_out(&self) {
        self.0.is_awaited.store(false, Ordering::Relaxed);
        if let Some(waker) = self.lock().behind.take() {
            waker.wake();
        }
    }
}

impl Incoming {
    /// Takes in what came and was not held; what of it can go on at once is its beginning, of the length that is
    /// handed back. The rest is kept here.
    fn take_in(&mut self, new: &[u8]) -> usize {
        if !(self.held.is_empty() && self.released.is_empty()) {
            self.held.extend_from_slice(new);
            self.sort();
            return 0;
        }
        let whole = self.sift(new);
        if !matches!(self.next, Next::Nothing) {
            self.held.extend_from_slice(&new[whole..]);
        }
        self.refuse_aloud();
        whole
    }

    /// Releases what of the held bytes is known to be whole.
    fn sort(&mut self) {
        let held = std::mem::take(&mut self.held);
        let whole = self.sift(&held);
        self.released.extend_from_slice(&held[..whole]);
        self.held = held;
        self.held.drain(..whole);
        if matches!(self.next, Next::Nothing) || self.held.is_empty() && self.held.capacity() > STEP
        {
            self.held = Vec::new();
        }
        self.refuse_aloud();
    }

    /// The length of what is known to be whole at the beginning of `bytes`.
    fn sift(&mut self, bytes: &[u8]) -> usize {
        let mut whole = 0;
        while whole < bytes.len() {
            let Some(count) = self.step(&bytes[whole..]) else { break };
            if count > 0 {
                self.searched = 0;
            }
            whole += count;
        }
        whole
    }

    /// How many of these bytes, of which there are some, may go on; `None`: more has to come.
    fn step(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.next {
            Next::Beginning => self.begin(bytes),
            Next::Head => self.head(bytes),
            Next::Length(left) => {
                let count = at_most(bytes, left);
                let left = left - count as u64;
                self.next = if left == 0 { Next::Head } else { Next::Length(left) };
                Some(count)
            }
            Next::ChunkLine => self.chunk_line(bytes),
            Next::Chunk(left) => {
                let count = at_most(bytes, left);
                let left = left - count as u64;
                self.next = if left == 0 { Next::ChunkLine } else { Next::Chunk(left) };
                Some(count)
            }
            Next::Trailers => self.trailer(bytes),
            Next::Opaque => Some(bytes.len()),
            Next::Undecided | Next::Nothing => None,
        }
    }

    fn begin(&mut self, bytes: &[u8]) -> Option<usize> {
        let known = bytes.len().min(PREFACE.len());
        if bytes[..known] != PREFACE[..known] {
            self.next = Next::Head;
        } else if known == PREFACE.len() {
            self.next = Next::Opaque;
        } else {
            return None;
        }
        Some(0)
    }

    fn head(&mut self, bytes: &[u8]) -> Option<usize> {
        let new = &bytes[self.searched..];
        let is_worth = self.searched == 0 || new.len() >= STEP || new.contains(&b'\n');
        if !is_worth {
            return None;
        }
        match read(bytes) {
            Ok(Some((length, next))) => {
                self.verdicts.push_back(None);
                self.next = next;
                Some(length)
            }
            Ok(None) if bytes.len() <= HEAD => {
                self.searched = bytes.len();
                None
            }
            Ok(None) => self.refuse(Ambiguity::TooLong),
            Err(ambiguity) => self.refuse(ambiguity),
        }
    }

    fn refuse(&mut self, ambiguity: Ambiguity) -> Option<usize> {
        self.verdicts.push_back(Some(ambiguity));
        self.next = Next::Nothing;
        self.is_refused = true;
        None
    }

    /// Lets a request stand for the one that was refused, once.
    fn refuse_aloud(&mut self) {
        if std::mem::take(&mut self.is_refused) {
            self.released.extend_from_slice(UNREADABLE);
        }
    }

    /// RFC 9112 §7.1
    fn chunk_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let Some(end) = line(bytes) else { return self.wait_or_spoil(bytes, CHUNK_LINE) };
        let digits = bytes[..end].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let is_fit =
            matches!(bytes[digits], b'\r' | b';' | b' ' | b'\t') && !bytes[..end].contains(&b'\n');
        let size = std::str::from_utf8(&bytes[..digits]).ok().filter(|_| is_fit);
        let size = size.and_then(|size| u64::from_str_radix(size, 16).ok());
        self.next = match size {
            Some(0) => Next::Trailers,
            Some(size) if size < u64::MAX - 2 => Next::Chunk(size + 2),
            _ => Next::Opaque,
        };
        Some(end + 2)
    }

    /// RFC 9112 §7.1.2
    fn trailer(&mut self, bytes: &[u8]) -> Option<usize> {
        let Some(end) = line(bytes) else { return self.wait_or_spoil(bytes, HEAD) };
        if end == 0 {
            self.next = Next::Head;
        }
        Some(end + 2)
    }

    /// A line that does not end is left to the parser, which refuses it.
    fn wait_or_spoil(&mut self, bytes: &[u8], longest: usize) -> Option<usize> {
        let is_spoilt = bytes.len() > longest;
        if is_spoilt {
            self.next = Next::Opaque;
        }
        is_spoilt.then_some(0)
    }
}

/// Of `wanted` bytes, how many are there.
fn at_most(bytes: &[u8], wanted: u64) -> usize {
    bytes.len().min(usize::try_from(wanted).unwrap_or(usize::MAX))
}

/// A line up to its end, if it is whole.
fn line(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|two| two == b"\r\n")
}

/// The length of the head at the beginning of `bytes`, and what follows it; `None` where it is not whole.
fn read(bytes: &[u8]) -> Result<Option<(usize, Next)>, Ambiguity> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Ambiguity::TooManyHeaders),
        Err(httparse::Error::Token | httparse::Error::Version) => {
            return Err(Ambiguity::BadRequestLine);
        }
        Err(_) => return Err(Ambiguity::BadHeader),
    };
    if length > HEAD {
        return Err(Ambiguity::TooLong);
    }
    let head = &bytes[..length];
    let feeds = head.iter().filter(|byte| **byte == b'\n').count();
    let ends = head.iter().zip(&head[1..]).filter(|pair| *pair == (&b'\r', &b'\n')).count();
    if feeds > ends {
        return Err(Ambiguity::BareLineFeed);
    }
    if request.path.is_none_or(|path| path.parse::<Uri>().is_err()) {
        return Err(Ambiguity::BadRequestLine);
    }
    let next = follows(&request)?;
    let may_change = request.method == Some("CONNECT")
        || matches!(next, Next::Head) && value(&request, "upgrade").is_some();
    Ok(Some((length, if may_change { Next::Undecided } else { next })))
}

fn value<'a>(request: &httparse::Request<'_, 'a>, name: &str) -> Option<&'a [u8]> {
    let mut headers = request.headers.iter();
    headers.find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The framing of the body (RFC 9112 §6.3), where it has one reading.
fn follows(request: &httparse::Request<'_, '_>) -> Result<Next, Ambiguity> {
    let count = |name: &str| {
        request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count()
    };
    match (count("content-length"), count("transfer-encoding")) {
        (0, 0) => Ok(Next::Head),
        (1, 0) => {
            let text = value(request, "content-length").unwrap_or_default();
            let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(text).ok().filter(|_| is_number);
            let length = length.and_then(|text| text.parse().ok()).ok_or(Ambiguity::BadLength)?;
            Ok(if length == 0 { Next::Head } else { Next::Length(length) })
        }
        (0, 1) if request.version == Some(0) => Err(Ambiguity::OldVersionWithEncoding),
        (0, 1) => {
            let coding = value(request, "transfer-encoding").unwrap_or_default();
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            if is_chunked { Ok(Next::ChunkLine) } else { Err(Ambiguity::UnknownEncoding) }
        }
        (0, _) => Err(Ambiguity::SeveralEncodings),
        (_, 0) => Err(Ambiguity::SeveralLengths),
        (..) => Err(Ambiguity::LengthAndEncoding),
    }
}

/// A connection whose heads are seen.
pub(super) struct Watched<S> {
    stream: S,
    arrived: Arrived,
    /// Until when the next head must be there, if that is not for the parser to say.
    deadline: Option<Deadline>,
    /// Until when a refused client may go on.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, arrived: Arrived) -> Self {
        Self { stream, arrived, deadline: None, linger: None }
    }

    /// Gives each head so much time, from the end of the answer before.
    pub(super) fn with_head_time(self, time: Duration, peer: Peer) -> Self {
        let beginning = Instant::now();
        let alarm = Box::pin(sleep_until(beginning + time));
        Self { deadline: Some(Deadline { time, peer, beginning, alarm }), ..self }
    }
}

/// Time for a head. The alarm is set anew only when it rings: most heads come long before.
struct Deadline {
    time: Duration,
    peer: Peer,
    beginning: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Deadline {
    fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let now = Instant::now();
            let since = self.peer.rests_since(self.beginning).unwrap_or(now);
            if since + self.time <= now {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(since + self.time);
        }
    }
}

impl<S: Read + Unpin> Watched<S> {
    /// Reads a piece and puts what can go on into `buffer`; hands back how long the piece was.
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        buffer: Option<&mut ReadBufCursor<'_>>,
    ) -> Poll<io::Result<usize>> {
        let mut own = [const { MaybeUninit::uninit() }; PIECE];
        let room = buffer.as_ref().map_or(PIECE, |buffer| buffer.remaining().min(PIECE));
        let mut read = ReadBuf::uninit(&mut own[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(context, read.unfilled()))?;
        let filled = read.filled();
        let whole = self.arrived.lock().take_in(filled);
        if let Some(buffer) = buffer {
            buffer.put_slice(&filled[..whole]);
        }
        Poll::Ready(Ok(filled.len()))
    }

    /// Lets a client that was refused while it was sending come to its end: closed too early, the connection would
    /// be reset, and the answer lost.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.arrived.lock().next, Next::Nothing) {
            return Poll::Ready(());
        }
        let linger = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if linger.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        while let Ok(1..) = ready!(self.poll_piece(context, None)) {}
        Poll::Ready(())
    }
}

impl<S: Read + Unpin> Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let wanted = buffer.remaining();
        loop {
            let mut incoming = self.arrived.lock();
            if !incoming.released.is_empty() {
                let count = incoming.released.len().min(buffer.remaining());
                buffer.put_slice(&incoming.released[..count]);
                incoming.released.advance(count);
                if incoming.released.is_empty() && incoming.released.capacity() > STEP {
                    incoming.released = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            match incoming.next {
                Next::Opaque => {
                    drop(incoming);
                    return Pin::new(&mut self.stream).poll_read(context, buffer);
                }
                Next::Undecided => {
                    incoming.waker = Some(context.waker().clone());
                    if incoming.held.len() > HEAD {
                        return Poll::Pending;
                    }
                }
                _ => {}
            }
            drop(incoming);
            match self.poll_piece(context, Some(&mut buffer))? {
                Poll::Ready(1..) if buffer.remaining() == wanted => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    let Some(deadline) = &mut self.deadline else { return Poll::Pending };
                    ready!(deadline.poll_passed(context));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
    }
}

impl<S: Read + Write + Unpin> Write for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        if self.arrived.is_awaited() {
            self.arrived.went_out();
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        self.poll_linger(context).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length > SHORT {
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        }
        let (mut whole, mut end) = ([0; SHORT], 0);
        for slice in slices {
            whole[end..end + slice.len()].copy_from_slice(slice);
            end += slice.len();
        }
        Pin::new(&mut self.stream).poll_write(context, &whole[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes on to the parser, and what was found.
    fn released(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Option<Ambiguity>>) {
        let (mut incoming, mut bytes) = (Incoming::default(), Vec::new());
        for piece in pieces {
            let whole = incoming.take_in(piece);
            bytes.extend_from_slice(&piece[..whole]);
            bytes.extend_from_slice(&incoming.released.split());
        }
        (bytes, incoming.verdicts.into())
    }

    fn found(headers: &str) -> Option<Ambiguity> {
        let text = format!("POST /x HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        released(&[text.as_bytes()]).1[0]
    }

    #[test]
    fn only_what_has_one_reading_is_unambiguous() {
        assert_eq!(found(""), None);
        assert_eq!(found("Content-Length: 5\r\n"), None);
        assert_eq!(found("Transfer-Encoding: Chunked\r\n"), None);
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(found(both), Some(Ambiguity::LengthAndEncoding));
        let both = "transfer-encoding: chunked\r\ncontent-length: 5\r\n";
        assert_eq!(found(both), Some(Ambiguity::LengthAndEncoding));
        let twice = "Content-Length: 5\r\nContent-Length: 5\r\n";
        assert_eq!(found(twice), Some(Ambiguity::SeveralLengths));
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(found(twice), Some(Ambiguity::SeveralEncodings));
        assert_eq!(found("X: y\nZ: y\r\n"), Some(Ambiguity::BareLineFeed));
        assert_eq!(found("Content-Length: +5\r\n"), Some(Ambiguity::BadLength));
        assert_eq!(found("Content-Length: 5, 5\r\n"), Some(Ambiguity::BadLength));
        assert_eq!(found("Transfer-Encoding: xchunked\r\n"), Some(Ambiguity::UnknownEncoding));
        assert_eq!(found("X : y\r\n"), Some(Ambiguity::BadHeader));
        assert_eq!(found(&"X: y\r\n".repeat(100)), Some(Ambiguity::TooManyHeaders));
        assert_eq!(found(&format!("X: {}\r\n", "y".repeat(70_000))), Some(Ambiguity::TooLong));
    }

    /// However the bytes are cut, the same heads are seen, and nothing is changed.
    #[test]
    fn heads_are_seen_wherever_they_begin() {
        let requests = [
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na\r\n",
            "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n",
            "GET /c HTTP/1.1\r\nHost: x\r\n\r\n",
        ];
        let whole = requests.concat();
        for size in [1, 2, 3, 7, 50, 1000] {
            let pieces: Vec<&[u8]> = whole.as_bytes().chunks(size).collect();
            let (bytes, verdicts) = released(&pieces);
            assert_eq!(
                bytes.escape_ascii().to_string(),
                whole.as_bytes().escape_ascii().to_string()
            );
            assert_eq!(verdicts, [None; 3], "{size}");
        }
        let bad = format!("{whole}GET /d HTTP/1.1\r\nX: y\n\r\nGET /e HTTP/1.1\r\n\r\n");
        let (bytes, verdicts) = released(&[bad.as_bytes()]);
        assert_eq!(bytes, [whole.as_bytes(), UNREADABLE].concat());
        assert_eq!(verdicts[3..], [Some(Ambiguity::BareLineFeed)]);
    }

    #[test]
    fn another_protocol_passes_once_it_is_agreed_on() {
        let arrived = Arrived::default();
        let head = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!(arrived.lock().take_in(head), head.len());
        assert_eq!(arrived.lock().take_in(b"\x81\x85\n\r\n"), 0);
        assert!(arrived.lock().released.is_empty());
        arrived.decide(true);
        assert!(arrived.lock().released.ends_with(b"\x81\x85\n\r\n"));
        let (bytes, verdicts) = released(&[&PREFACE[..10], &PREFACE[10..], b"\0\0"]);
        assert_eq!((&bytes[..], verdicts), (&[PREFACE, b"\0\0"].concat()[..], Vec::new()));
    }
}
