//! One connection of the origin: requests read by the letter of RFC 9112, answers written as they are told.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::{Seen, State};

/// How long a read waits before it looks whether the test has something to say.
pub const TICK: Duration = Duration::from_millis(20);

/// Longest head that is read.
const HEAD: usize = 1 << 20;

pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

pub struct Wire<'a> {
    stream: Box<dyn Stream>,
    control: TcpStream,
    number: usize,
    pub state: &'a State,
    /// Read and not yet used.
    buffer: Vec<u8>,
}

/// The head of a request, and how its body is framed.
#[derive(Debug, Clone)]
pub struct Request {
    pub target: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    body: Body,
    /// Its place among all requests.
    index: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunked,
}

impl Request {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

impl<'a> Wire<'a> {
    pub fn new(
        stream: Box<dyn Stream>,
        control: TcpStream,
        number: usize,
        state: &'a State,
    ) -> Self {
        Self { stream, control, number, state, buffer: Vec::new() }
    }

    /// The next request; its body is still to come.
    pub fn request(&mut self) -> io::Result<Option<Request>> {
        let mut searched = 0;
        let end = loop {
            let found = self.buffer[searched..].windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(found) = found {
                break searched + found + 4;
            }
            searched = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > HEAD {
                return self.complain("a head without an end");
            }
            if !self.more()? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    self.complain("bytes that are no request")
                };
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        match parse(&head) {
            Ok(mut request) => {
                request.index = self.note(head);
                Ok(Some(request))
            }
            Err(why) => self.complain(&format!("{why}: {}", head.escape_ascii())),
        }
    }

    fn note(&self, head: Vec<u8>) -> usize {
        let mut seen = self.state.seen.lock().unwrap();
        seen.push(Seen { connection: self.number, head, ..Seen::default() });
        seen.len() - 1
    }

    fn complain(&mut self, what: &str) -> io::Result<Option<Request>> {
        self.state.complaints.lock().unwrap().push(what.to_owned());
        self.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        Ok(None)
    }

    /// Reads the body of `request` to its end.
    pub fn body(&mut self, request: &Request) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        self.each_piece(request, |_, piece| {
            whole.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(whole)
    }

    /// The same piece by piece, as they come.
    pub fn each_piece(
        &mut self,
        request: &Request,
        mut take: impl FnMut(&mut Self, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut digest = Digest { context: Context::new(&SHA256), length: 0 };
        let mut trailers = Vec::new();
        match request.body {
            Body::Length(length) => self.exactly(length, &mut digest, &mut take)?,
            Body::Chunked => {
                while let length @ 1.. = self.chunk_length()? {
                    self.exactly(length, &mut digest, &mut take)?;
                    self.expect_line("")?;
                }
                loop {
                    let line = self.line()?;
                    if line.is_empty() {
                        break;
                    }
                    trailers.extend_from_slice(&line);
                    trailers.extend_from_slice(b"\r\n");
                }
            }
        }
        self.change(request, |seen| {
            seen.sha256 = hex(digest.context.finish().as_ref());
            seen.length = digest.length;
            seen.trailers = trailers;
            seen.is_whole = true;
        });
        Ok(())
    }

    /// The client went away before its answer had ended.
    pub fn abandoned(&self, request: &Request) {
        self.change(request, |seen| seen.is_abandoned = true);
    }

    fn change(&self, request: &Request, change: impl FnOnce(&mut Seen)) {
        change(&mut self.state.seen.lock().unwrap()[request.index]);
    }

    fn exactly(
        &mut self,
        mut length: u64,
        digest: &mut Digest,
        take: &mut impl FnMut(&mut Self, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while length > 0 {
            if self.buffer.is_empty() && !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let now = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            let piece: Vec<u8> = self.buffer.drain(..now).collect();
            digest.context.update(&piece);
            digest.length += piece.len() as u64;
            length -= piece.len() as u64;
            take(self, &piece)?;
        }
        Ok(())
    }

    fn chunk_length(&mut self) -> io::Result<u64> {
        let line = self.line()?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(&text, 16) {
            Ok(length) if is_hex => Ok(length),
            _ => self.broken(&format!("a chunk of {text:?} bytes")),
        }
    }

    fn expect_line(&mut self, expected: &str) -> io::Result<()> {
        let line = self.line()?;
        if line == expected.as_bytes() {
            return Ok(());
        }
        self.broken(&format!("after a chunk: {}", line.escape_ascii()))
    }

    fn broken<T>(&mut self, what: &str) -> io::Result<T> {
        self.complain(what)?;
        Err(io::ErrorKind::InvalidData.into())
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let mut line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            if !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads something; `false` at the end of the stream.
    pub fn more(&mut self) -> io::Result<bool> {
        loop {
            match self.glance()? {
                Some(read) => return Ok(read > 0),
                None if self.state.has_ended.load(Ordering::SeqCst) => return Ok(false),
                None => {}
            }
        }
    }

    /// Waits a tick for bytes; `None` when none came, 0 at the end.
    pub fn glance(&mut self) -> io::Result<Option<usize>> {
        let mut chunk = vec![0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(read) => {
                self.keep(&chunk[..read]);
                self.buffer.extend_from_slice(&chunk[..read]);
                Ok(Some(read))
            }
            Err(error) if is_early(&error) => Ok(None),
            // Without close_notify: as good as an end for whoever waits for the next request.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }

    /// Only the beginning of what is large.
    fn keep(&self, bytes: &[u8]) {
        let mut all = self.state.bytes.lock().unwrap();
        if all.len() <= self.number {
            all.resize(self.number + 1, Vec::new());
        }
        let room = HEAD.saturating_sub(all[self.number].len()).min(bytes.len());
        all[self.number].extend_from_slice(&bytes[..room]);
    }

    /// Takes exactly so many bytes.
    pub fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Writes a part of a body.
    pub fn write_body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)?;
        self.state.written.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    /// Has the connection broken off when it is closed, with RST where the system can.
    pub fn reset(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        rustix::net::sockopt::set_socket_linger(&self.control, Some(Duration::ZERO))?;
        Ok(())
    }
}

struct Digest {
    context: Context,
    length: u64,
}

fn is_early(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // into a string; cannot fail
        text
    })
}

/// RFC 9112, section 2 to 6, with nothing of what it lets a lenient server overlook.
fn parse(head: &[u8]) -> Result<Request, String> {
    let text = std::str::from_utf8(head).map_err(|_| "a head that is not UTF-8")?;
    let text = text.strip_suffix("\r\n\r\n").unwrap_or(text);
    if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Err("a bare CR, LF or NUL".into());
    }
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [_, target, "HTTP/1.1"] = words[..] else { return Err("a request line".into()) };
    let fields = lines.map(field).collect::<Result<Vec<_>, _>>()?;
    let body = framing(&fields)?;
    Ok(Request { target: target.into(), fields, body, index: 0 })
}

fn field(line: &str) -> Result<(String, String), String> {
    let is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
    };
    match line.split_once(':') {
        Some((name, value)) if is_token(name) => {
            Ok((name.to_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
        }
        _ => Err(format!("a field line {line:?}")),
    }
}

fn framing(fields: &[(String, String)]) -> Result<Body, String> {
    let of = |wanted: &str| {
        let same = fields.iter().filter(|(name, _)| name == wanted);
        same.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    if of("host").len() != 1 {
        return Err("not one Host".into());
    }
    match (&of("content-length")[..], &of("transfer-encoding")[..]) {
        ([], []) => Ok(Body::Length(0)),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Body::Length).map_err(|_| format!("a length of {length}"))
        }
        ([], ["chunked"]) => Ok(Body::Chunked),
        (lengths, codings) => Err(format!("lengths {lengths:?} with codings {codings:?}")),
    }
}
