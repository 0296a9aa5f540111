//! The ways in which a server misbehaves, each a [`Fault`] with a name: on the wire, in the text of a
//! document, in its fields, in the address of a redirect.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::authorization_server::{Fault, Twist};
use crate::support::http::Answer;

pub type Deed = (&'static str, Fault);

// -------------------------------------------------------------------------------------- the document

/// Changes the text of an honest answer.
pub fn text(change: impl Fn(String) -> Vec<u8> + Send + Sync + 'static) -> Fault {
    Fault::Twist(Twist::new(move |answer| match answer {
        Answer::Reply { status, headers, body } => {
            Answer::Reply { status, headers, body: change(String::from_utf8(body).unwrap()) }
        }
        other => other,
    }))
}

/// Changes the fields of an honest answer.
pub fn fields(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Fault {
    text(move |text| {
        let mut document = serde_json::from_str(&text).unwrap();
        change(&mut document);
        document.to_string().into_bytes()
    })
}

/// One field of an honest answer gets another value.
pub fn field(key: &'static str, value: Value) -> Fault {
    fields(move |document| document[key] = value.clone())
}

pub fn without(key: &'static str) -> Fault {
    fields(move |document| drop(document.as_object_mut().unwrap().remove(key)))
}

/// What no strict reader takes for one JSON object (I6). `key` is the field that matters most.
pub fn unreadable(key: &'static str) -> Vec<Deed> {
    let wrapped = |before: &'static str, after: &'static str| {
        text(move |text| format!("{before}{text}{after}").into_bytes())
    };
    let inserted =
        |bytes: &'static [u8]| text(move |text| [b"{", bytes, &text.as_bytes()[1..]].concat());
    let whole = |bytes: &'static [u8]| text(move |_| bytes.to_vec());
    vec![
        (
            "a key twice",
            text(move |text| {
                format!("{{\"{key}\":\"https://evil.example\",{}", &text[1..]).into_bytes()
            }),
        ),
        (
            "a key twice, once in escapes",
            text(move |text| {
                let escaped = format!("\\u{:04x}{}", u32::from(key.as_bytes()[0]), &key[1..]);
                format!("{{\"{escaped}\":\"https://evil.example\",{}", &text[1..]).into_bytes()
            }),
        ),
        ("a second object", wrapped("", "{}")),
        ("garbage behind", wrapped("", "x")),
        ("a NUL behind", wrapped("", "\0")),
        ("cut by a byte", text(|text| text.as_bytes()[..text.len() - 1].to_vec())),
        ("cut in the middle", text(|text| text.as_bytes()[..text.len() / 2].to_vec())),
        ("not UTF-8", inserted(b"\"x\":\"\xff\",")),
        ("overlong UTF-8", inserted(b"\"x\":\"\xc0\xaf\",")),
        ("a byte order mark", wrapped("\u{feff}", "")),
        ("UTF-16", text(|text| text.encode_utf16().flat_map(u16::to_le_bytes).collect())),
        ("half a surrogate pair", inserted(br#""x":"\ud800","#)),
        ("a raw control character", inserted(b"\"x\":\"\x01\",")),
        (
            "nested 100,000 deep",
            text(|text| {
                let deep = "[".repeat(100_000) + &"]".repeat(100_000);
                format!("{{\"x\":{deep},{}", &text[1..]).into_bytes()
            }),
        ),
        ("a number beyond all numbers", inserted(b"\"x\":1e999,")),
        ("not a number", inserted(b"\"x\":NaN,")),
        ("a leading zero", inserted(b"\"x\":01,")),
        ("a comma too many", text(|text| format!("{},}}", &text[..text.len() - 1]).into_bytes())),
        ("a comment", inserted(b"/* x */")),
        ("single quotes", text(|text| text.replace('"', "'").into_bytes())),
        ("a list around it", wrapped("[", "]")),
        ("a JSON text", whole(b"\"x\"")),
        ("null", whole(b"null")),
        ("true", whole(b"true")),
        ("a number", whole(b"1e3")),
        ("an empty object", whole(b"{}")),
        ("an anti-hijacking prefix", wrapped(")]}'\n", "")),
        ("the field missing", without(key)),
        ("the field null", field(key, Value::Null)),
        ("the field empty", field(key, json!(""))),
        ("the field a number", field(key, json!(1))),
        ("the field a list", field(key, json!(["x"]))),
        ("the field an object", field(key, json!({ "x": "y" }))),
        ("the field true", field(key, json!(true))),
    ]
}

// ------------------------------------------------------------------------------------------ the wire

fn raw(bytes: impl Into<Vec<u8>>) -> Fault {
    Fault::Answer(Answer::Raw(bytes.into()))
}

fn act(act: fn(&mut &TcpStream) -> io::Result<()>) -> Fault {
    Fault::Answer(Answer::Act(act))
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/// Answers that end before they are complete, or are no HTTP (the client says: broke).
pub fn broken() -> Vec<Deed> {
    vec![
        ("no answer", Fault::Answer(Answer::HangUp)),
        ("shorter than its length", raw(format!("{HEAD}content-length: 999\r\n\r\n{{"))),
        ("half a head", raw("HTTP/1.1 200 OK\r\nconte")),
        (
            "a chunk without its end",
            raw(format!("{HEAD}transfer-encoding: chunked\r\n\r\n5\r\n{{")),
        ),
        (
            "a chunk size that overflows",
            raw(format!("{HEAD}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{{")),
        ),
        (
            "a chunk size that is no number",
            raw(format!("{HEAD}transfer-encoding: chunked\r\n\r\nx\r\n")),
        ),
        ("two lengths", raw(format!("{HEAD}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}} "))),
        ("a length below zero", raw(format!("{HEAD}content-length: -1\r\n\r\n{{}}"))),
        ("no HTTP", raw("SSH-2.0-OpenSSH_9.2\r\n")),
        ("HTTP/0.9", raw("{\"access_token\":\"x\"}")),
        ("HTTP/9.9", raw("HTTP/9.9 200 OK\r\n\r\n{}")),
        ("HTTP/2 unasked", raw(b"\0\0\0\x04\0\0\0\0\0".to_vec())),
        ("TLS on a plain port", raw(b"\x15\x03\x01\0\x02\x02\x46".to_vec())),
        ("status 99", raw("HTTP/1.1 99 No\r\n\r\n{}")),
        ("status 2000", raw("HTTP/1.1 2000 OK\r\n\r\n{}")),
        ("a NUL in a header", raw(format!("{HEAD}x: a\0b\r\ncontent-length: 2\r\n\r\n{{}}"))),
        ("a header without a name", raw(format!("{HEAD}: x\r\ncontent-length: 2\r\n\r\n{{}}"))),
    ]
}

/// Answers longer than any limit.
pub fn endless() -> Vec<Deed> {
    vec![
        ("a body of 2 MiB", raw(format!("{HEAD}\r\n{{\"x\":\"{}\"}}", "x".repeat(2 << 20)))),
        (
            "a body without end",
            act(|stream| {
                stream.write_all(HEAD.as_bytes())?;
                stream.write_all(b"\r\n")?;
                forever(stream, b"                ")
            }),
        ),
        (
            "chunks without end",
            act(|stream| {
                stream.write_all(HEAD.as_bytes())?;
                stream.write_all(b"transfer-encoding: chunked\r\n\r\n")?;
                forever(stream, b"1000\r\n")
            }),
        ),
        (
            "a header line without end",
            act(|stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\nx: ")?;
                forever(stream, b"xxxxxxxx")
            }),
        ),
        (
            "a million header lines",
            act(|stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                for _ in 0..1_000_000 {
                    stream.write_all(b"x: y\r\n")?;
                }
                stream.write_all(b"\r\n{}")
            }),
        ),
        (
            "90 headers of 8 KiB",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{}\r\n{{}}",
                format!("x: {}\r\n", "x".repeat(8000)).repeat(90)
            )),
        ),
        (
            "a status line without end",
            act(|stream| {
                stream.write_all(b"HTTP/1.1 200 ")?;
                forever(stream, b"OKOKOKOK")
            }),
        ),
    ]
}

fn forever(stream: &mut &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let chunk = bytes.repeat(4096 / bytes.len());
    // Far beyond every limit: a client that reads so much has none.
    for _ in 0..100_000 {
        stream.write_all(&chunk)?;
    }
    Ok(())
}

/// Answers that do not come, each with a wait that only a total deadline ends.
pub fn stalls() -> Vec<Deed> {
    fn drip(stream: &mut &TcpStream, head: &str, piece: &[u8]) -> io::Result<()> {
        stream.write_all(head.as_bytes())?;
        for _ in 0..120 {
            std::thread::sleep(Duration::from_secs(1));
            stream.write_all(piece)?;
        }
        Ok(())
    }
    vec![
        ("silence", act(|stream| drip(stream, "", b""))),
        ("a head and silence", act(|stream| drip(stream, HEAD, b""))),
        ("a body of a byte a second", act(|stream| drip(stream, "HTTP/1.1 200 OK\r\n\r\n{", b" "))),
        ("a header of a byte a second", act(|stream| drip(stream, "HTTP/1.1 200 OK\r\nx: ", b"x"))),
        ("a header line a second", act(|stream| drip(stream, "HTTP/1.1 200 OK\r\n", b"x: y\r\n"))),
        (
            "100 Continue each second",
            act(|stream| drip(stream, "", b"HTTP/1.1 100 Continue\r\n\r\n")),
        ),
    ]
}

/// Good manners, bad moment: 429 and 5xx.
pub fn unavailable() -> Vec<Deed> {
    let status = |status| Fault::Status(status);
    vec![
        ("429", status(429)),
        ("500", status(500)),
        ("502 with a web page", Fault::Html(502)),
        ("503", status(503)),
        ("503, retry after 0", Fault::RetryAfter(0)),
        ("504", status(504)),
        ("599", status(599)),
        ("temporarily_unavailable", Fault::Error("temporarily_unavailable")),
        ("server_error", Fault::Error("server_error")),
    ]
}

/// What is no document at all.
pub fn not_a_document() -> Vec<Deed> {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0".to_vec();
    vec![
        ("a web page", Fault::Html(200)),
        ("nothing", Fault::Status(200)),
        (
            "switching protocols",
            raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        ),
        ("204", Fault::Status(204)),
        ("400 without a word", Fault::Status(400)),
        ("401 without a word", Fault::Status(401)),
        ("403 with a web page", Fault::Html(403)),
        ("404", Fault::Status(404)),
        ("405", Fault::Status(405)),
        ("418", Fault::Status(418)),
        (
            "gzip unasked",
            Fault::Answer(
                Answer::new(200, "application/octet-stream", gzip)
                    .header("content-encoding", "gzip"),
            ),
        ),
    ]
}

/// Redirects to where nothing may arrive.
pub fn redirects(sink: &str) -> Vec<Deed> {
    [("301", 301), ("302", 302), ("303", 303), ("307", 307), ("308", 308)]
        .map(|(name, status)| (name, Fault::Answer(Answer::empty(status).header("location", sink))))
        .into()
}

// -------------------------------------------------------------------------------------- the redirect

/// Changes where the authorization endpoint sends the browser.
pub fn location(change: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static) -> Fault {
    Fault::Twist(Twist::new(move |answer| {
        let Answer::Reply { status, mut headers, body } = answer else { return answer };
        for (name, value) in &mut headers {
            if name == "location" {
                let mut url = url::Url::parse(value).unwrap();
                let mut pairs: Vec<_> = url.query_pairs().into_owned().collect();
                change(&mut pairs);
                url.query_pairs_mut().clear().extend_pairs(pairs);
                *value = url.into();
            }
        }
        Answer::Reply { status, headers, body }
    }))
}

/// Changes one parameter of that address; `None` takes it away.
pub fn parameter(
    name: &'static str,
    change: impl Fn(String) -> Option<String> + Send + Sync + 'static,
) -> Fault {
    location(move |pairs| {
        let place = pairs.iter().position(|(other, _)| other == name).unwrap();
        match change(pairs[place].1.clone()) {
            Some(value) => pairs[place].1 = value,
            None => drop(pairs.remove(place)),
        }
    })
}

/// Adds a parameter to that address.
pub fn added(name: &'static str, value: &'static str) -> Fault {
    location(move |pairs| pairs.push((name.into(), value.into())))
}
