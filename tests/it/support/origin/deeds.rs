//! What the origin does at each path. Every path but those below `/open` wants the credentials.
//!
//! | path | answer |
//! |---|---|
//! | `/echo`, `/pipe` | the body: once it has come, as it comes |
//! | `/digest` | JSON of its length and SHA-256 |
//! | `/big/N`, `/big-chunked/N` | N bytes of [`pattern`] |
//! | `/head` | the head of the request, in the body |
//! | `/events` | an event stream: the head at once, events when the test says |
//! | `/trailers` | chunks, with the trailer `x-checksum` |
//! | `/hints` | 103, then 200 |
//! | `/refuse` | 417 where `Expect` came, without the body |
//! | `/status/N` | that status; 401 and 407 with a challenge |
//! | `/scope` | 403 `insufficient_scope` |
//! | `/redirect?URL` | 307 to there |
//! | `/ws` | WebSocket: the same frames back |
//! | `/close` | a body without a length, ended by the connection's end |
//! | `/cut`, `/cut-chunked` | half of the body, then the end |
//! | `/die`, `/hang`, `/stall` | RST; nothing; half of the body and then nothing until the test says |
//! | `/wait`, `/unread` | 200 when the test says; the body is read only then |
//! | `/garbage` | what is not HTTP |

use std::io;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::json;

use super::State;
use super::wire::{Request, Wire, hex};

/// RFC 6455, section 1.3
const WEBSOCKET: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const TEXT: &str = "content-type: text/plain\r\n";
const CHUNKED: &str = "transfer-encoding: chunked\r\n";

/// The `count` bytes from `start` of a body that is the same everywhere, and the same nowhere inside.
pub fn pattern(start: u64, count: usize) -> Vec<u8> {
    (start..).take(count).map(|at| ((at * 31) ^ (at >> 8)).to_le_bytes()[0]).collect()
}

/// Answers; whether the connection goes on.
pub fn answer(wire: &mut Wire, request: &Request) -> io::Result<bool> {
    let stays = request.field("connection").is_none_or(|word| !word.eq_ignore_ascii_case("close"));
    Ok(answered(wire, request)? && stays)
}

fn answered(wire: &mut Wire, request: &Request) -> io::Result<bool> {
    let path = request.path();
    if path.starts_with("/die") {
        wire.reset()?;
        return Ok(false);
    }
    if path.starts_with("/refuse") && request.field("expect").is_some() {
        status(wire, 417, "", b"no")?;
        return Ok(false);
    }
    if path.starts_with("/unread") {
        wait(wire.state);
    }
    if request.field("expect").is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue")) {
        wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if path.starts_with("/pipe") && is_welcome(wire.state, request) {
        return pipe(wire, request).map(|()| true);
    }
    let body = wire.body(request)?;
    if take_one(wire.state) {
        return status(wire, 503, "retry-after: 0\r\n", b"busy").map(|()| true);
    }
    if !path.starts_with("/open") && !is_welcome(wire.state, request) {
        return status(wire, 401, challenge(), b"who are you?").map(|()| true);
    }
    deed(wire, request, &body)
}

fn take_one(state: &State) -> bool {
    let less = |left: usize| left.checked_sub(1);
    state.faults.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
}

/// Each header that is wanted is there once, with its value.
fn is_welcome(state: &State, request: &Request) -> bool {
    state.wanted.lock().unwrap().iter().all(|(name, value)| {
        let same = request.fields.iter().filter(|(field, _)| field == name);
        same.map(|(_, value)| value).collect::<Vec<_>>() == [value]
    })
}

fn challenge() -> &'static str {
    "www-authenticate: Bearer realm=\"origin\", error=\"invalid_token\"\r\n"
}

fn deed(wire: &mut Wire, request: &Request, body: &[u8]) -> io::Result<bool> {
    let mut parts = request.path().trim_start_matches("/open").split('/').skip(1);
    let (name, number) = (parts.next().unwrap_or_default(), parts.next());
    let number = number.and_then(|number| number.parse().ok()).unwrap_or(0);
    match name {
        "echo" => {
            let kind = request.field("content-type").unwrap_or("application/octet-stream");
            status(wire, 200, &format!("content-type: {kind}\r\n"), body)?;
        }
        "digest" => {
            let sha256 = hex(digest(&SHA256, body).as_ref());
            let said = json!({ "length": body.len(), "sha256": sha256 }).to_string();
            status(wire, 200, "content-type: application/json\r\n", said.as_bytes())?;
        }
        "head" => {
            let index = wire.state.seen.lock().unwrap().iter().rposition(|seen| seen.is_whole);
            let head = wire.state.seen.lock().unwrap()[index.unwrap_or(0)].head.clone();
            status(wire, 200, TEXT, &head)?;
        }
        "big" => big(wire, request, number, false)?,
        "big-chunked" => big(wire, request, number, true)?,
        "events" => return events(wire, request).map(|()| false),
        "trailers" => trailers(wire)?,
        "hints" => {
            wire.write(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n")?;
            status(wire, 200, TEXT, b"hinted")?;
        }
        "status" => {
            let code = u16::try_from(number).unwrap_or(500);
            status(wire, code, if code == 401 { challenge() } else { "" }, b"as you wish")?;
        }
        "scope" => {
            let said = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"write\"\r\n";
            status(wire, 403, said, b"not allowed")?;
        }
        "redirect" => {
            let to = request.target.split_once('?').map_or("", |(_, to)| to);
            status(wire, 307, &format!("location: {to}\r\n"), b"")?;
        }
        "ws" => return websocket(wire, request).map(|()| false),
        "close" => {
            wire.write(format!("HTTP/1.1 200 OK\r\n{TEXT}connection: close\r\n\r\n").as_bytes())?;
            wire.write_body(b"to the end")?;
            return Ok(false);
        }
        "cut" | "stall" => {
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n")?;
            wire.write_body(&pattern(0, 1000))?;
            if name == "cut" {
                return Ok(false);
            }
            wait(wire.state);
            wire.write_body(&pattern(1000, 1000))?;
        }
        "cut-chunked" => {
            wire.write(format!("HTTP/1.1 200 OK\r\n{CHUNKED}\r\n").as_bytes())?;
            chunk(wire, &pattern(0, 1000))?;
            return Ok(false);
        }
        "hang" => {
            while wire.glance()? != Some(0) && !wire.state.has_ended.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            wire.abandoned(request);
            return Ok(false);
        }
        "wait" => {
            wait(wire.state);
            status(wire, 200, TEXT, b"at last")?;
        }
        "garbage" => {
            wire.write(b"SSH-2.0-OpenSSH_9.2\r\n")?;
            return Ok(false);
        }
        _ => status(wire, 200, TEXT, b"here you are")?,
    }
    Ok(true)
}

fn status(wire: &mut Wire, code: u16, fields: &str, body: &[u8]) -> io::Result<()> {
    let length = match code {
        204 | 304 => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    wire.write(format!("HTTP/1.1 {code} Status\r\n{fields}{length}\r\n").as_bytes())?;
    if length.is_empty() { Ok(()) } else { wire.write_body(body) }
}

fn chunk(wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
    let framed = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    wire.write(&framed)?;
    wire.state.written.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    Ok(())
}

/// Waits for the test's [`go`](super::Origin::go).
fn wait(state: &State) {
    let mut events = state.events.lock().unwrap();
    while !state.has_gone.load(Ordering::SeqCst) {
        events = state.happened.wait(events).unwrap();
    }
}

fn big(wire: &mut Wire, request: &Request, length: u64, chunked: bool) -> io::Result<()> {
    let framing =
        if chunked { CHUNKED.to_owned() } else { format!("content-length: {length}\r\n") };
    wire.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n").as_bytes())?;
    let mut sent = 0;
    while sent < length {
        let piece = pattern(sent, usize::try_from(length - sent).unwrap().min(65_536));
        let done = if chunked { chunk(wire, &piece) } else { wire.write_body(&piece) };
        done.inspect_err(|_| wire.abandoned(request))?;
        sent += piece.len() as u64;
    }
    if chunked { wire.write(b"0\r\n\r\n") } else { Ok(()) }
}

/// The body back while it comes.
fn pipe(wire: &mut Wire, request: &Request) -> io::Result<()> {
    wire.write(format!("HTTP/1.1 200 OK\r\n{CHUNKED}\r\n").as_bytes())?;
    wire.each_piece(request, chunk)?;
    wire.write(b"0\r\n\r\n")
}

fn trailers(wire: &mut Wire) -> io::Result<()> {
    wire.write(format!("HTTP/1.1 200 OK\r\ntrailer: x-checksum\r\n{CHUNKED}\r\n").as_bytes())?;
    chunk(wire, b"with ")?;
    chunk(wire, b"trailers")?;
    wire.write(b"0\r\nx-checksum: 42\r\n\r\n")
}

/// Sends events as the test tells them, and looks in between, for a tick, whether the client is still there.
fn events(wire: &mut Wire, request: &Request) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n{CHUNKED}\r\n"
    );
    wire.write(head.as_bytes())?;
    let mut sent = 0;
    loop {
        let fresh: Vec<_> = wire.state.events.lock().unwrap()[sent..].to_vec();
        for event in fresh {
            sent += 1;
            let Some(event) = event else { return wire.write(b"0\r\n\r\n") };
            chunk(wire, event.as_bytes()).inspect_err(|_| wire.abandoned(request))?;
        }
        if wire.state.has_ended.load(Ordering::SeqCst) {
            return Ok(());
        }
        if !matches!(wire.glance(), Ok(None | Some(1..))) {
            wire.abandoned(request);
            return Ok(());
        }
    }
}

/// RFC 6455: the same messages back, until the client closes.
fn websocket(wire: &mut Wire, request: &Request) -> io::Result<()> {
    let Some(key) = request.field("sec-websocket-key") else {
        return status(wire, 426, "upgrade: websocket\r\n", b"a WebSocket");
    };
    let accept = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{WEBSOCKET}").as_bytes());
    let accept = STANDARD.encode(accept);
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    );
    wire.write(head.as_bytes())?;
    loop {
        let Ok((first, payload)) = frame(wire) else {
            wire.abandoned(request);
            return Ok(());
        };
        let first = if first & 0xf == 9 { first + 1 } else { first }; // a ping is answered by a pong
        wire.write(&unmasked(first, &payload))?;
        if first & 0xf == 8 {
            return Ok(());
        }
    }
}

fn frame(wire: &mut Wire) -> io::Result<(u8, Vec<u8>)> {
    let [first, second] = wire.take(2)?[..] else { unreachable!("two bytes") };
    let extended = match second & 0x7f {
        126 => wire.take(2)?,
        127 => wire.take(8)?,
        short => vec![short],
    };
    let length = extended.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let mask = wire.take(4)?;
    let payload = wire.take(length)?;
    Ok((first, payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()))
}

fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        short @ ..126 => vec![u8::try_from(short).unwrap()],
        middle @ ..65_536 => [&[126][..], &u16::try_from(middle).unwrap().to_be_bytes()].concat(),
        long => [&[127][..], &(long as u64).to_be_bytes()].concat(),
    };
    [&[first][..], &length, payload].concat()
}
