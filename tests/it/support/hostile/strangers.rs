//! What strangers send to a listener on loopback: requests that are malformed, foreign, huge, slow or
//! forged. `PORT` stands for the listener's port.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// About 200 requests that no browser sends, and none of which may have an effect.
pub fn corpus() -> Vec<Vec<u8>> {
    let mut corpus: Vec<Vec<u8>> = Vec::new();
    let mut add = |text: String| corpus.push(text.into_bytes());
    let host = "Host: 127.0.0.1:PORT\r\n";
    let target = "/callback?code=x&state=y";
    for method in [
        "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "G ET", "",
        "\0", "PRI", "GET\t", "ÄÖÜ",
    ] {
        add(format!("{method} {target} HTTP/1.1\r\n{host}\r\n"));
    }
    for version in [
        "HTTP/0.9",
        "HTTP/1.0",
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/9",
        "http/1.1",
        "HTTP/1.1x",
        "HTTP/1.",
        "",
        "ICY",
    ] {
        add(format!("GET {target} {version}\r\n{host}\r\n"));
    }
    for target in [
        "",
        "callback",
        "http://127.0.0.1:PORT/callback?code=x",
        "//evil.example/callback",
        "*",
        "/../callback",
        "/callback%00",
        "/%63allback?code=x",
        "/callback/",
        "/CALLBACK?code=x",
        "/callback;x?code=x",
        "/callback#code=x",
        "/callback?",
        "/callback?code",
        "/callback?=&=&=",
        "/callback?state=%ff%fe",
        "/callback?state=%",
        "/callback?state=%u0041",
        "/callback?code=x y",
        "/callback?code=\0",
        "/callback?code=\u{7f}",
        "/callback?code=ä",
        "/done",
        "/done?code=x",
        "/favicon.ico",
        "/",
    ] {
        add(format!("GET {target} HTTP/1.1\r\n{host}\r\n"));
    }
    for length in [
        "0x10",
        "-1",
        "+5",
        "5,5",
        "5 5",
        " ",
        "",
        "9000000000000000000",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "1e3",
        "a",
        "\0",
    ] {
        add(format!("GET {target} HTTP/1.1\r\n{host}Content-Length: {length}\r\n\r\n"));
        add(format!("POST {target} HTTP/1.1\r\n{host}Content-Length: {length}\r\n\r\nbody"));
    }
    for coding in [
        "chunked",
        "Chunked, chunked",
        "identity",
        "gzip",
        "chunked, gzip",
        "x",
        "",
        "\u{b}chunked",
        "chunked\r\n chunked",
    ] {
        for body in [
            "0\r\n\r\n",
            "ffffffffffffffff\r\n",
            "fffffffffffffffff\r\n",
            "-1\r\n",
            "x\r\n",
            "5;a=b\r\nhello\r\n0\r\n\r\n",
        ] {
            add(format!(
                "GET {target} HTTP/1.1\r\n{host}Transfer-Encoding: {coding}\r\n\r\n{body}"
            ));
        }
    }
    for headers in [
        "",
        "Host: evil.example\r\n",
        "Host:\r\n",
        "Host: 127.0.0.1\r\n",
        "Host: 127.0.0.1:1\r\n",
        "Host: 0.0.0.0:PORT\r\n",
        "Host: 127.0.0.1:PORT\r\nHost: 127.0.0.1:PORT\r\n",
        "Host: 127.0.0.1:PORT\r\nHost: evil.example\r\n",
        "Host : 127.0.0.1:PORT\r\n",
        " Host: 127.0.0.1:PORT\r\n",
        "Host: user@127.0.0.1:PORT\r\n",
        "Host: 127.0.0.1:PORT, evil.example\r\n",
        "Host: [::ffff:127.0.0.1]:PORT\r\n",
        "Host: localhost.evil.example:PORT\r\n",
        "Host: 127.0.0.1.evil.example:PORT\r\n",
        "Host: 2130706433:PORT\r\n",
        "Host: \u{ff11}27.0.0.1:PORT\r\n",
    ] {
        add(format!("GET {target} HTTP/1.1\r\n{headers}\r\n"));
    }
    for header in [
        ": x",
        "x",
        "x y: z",
        "x\0: y",
        "x: \0",
        "x: \u{b}",
        "é: x",
        "x:\r\n continued",
        "x: y\rz: a",
        "x: y\nz: a",
        "Connection: upgrade\r\nUpgrade: h2c",
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x",
        "Expect: 100-continue",
        "Expect: x",
        "Connection: close, keep-alive, \0",
    ] {
        add(format!("GET {target} HTTP/1.1\r\n{host}{header}\r\n\r\n"));
    }
    for size in [100, 8_000, 16_000, 17_000, 64_000, 1_000_000] {
        let long = "x".repeat(size);
        add(format!("GET /{long} HTTP/1.1\r\n{host}\r\n"));
        add(format!("GET {target} HTTP/1.1\r\n{host}X: {long}\r\n\r\n"));
        add(format!("{long} {target} HTTP/1.1\r\n{host}\r\n"));
        add(format!("GET {target} HTTP/1.1\r\n{host}{}\r\n", "a: b\r\n".repeat(size / 6)));
        add(long);
    }
    for line_end in ["\n", "\r", "\r\r\n", "\n\r"] {
        add(format!("GET {target} HTTP/1.1\r\n{host}\r\n").replace("\r\n", line_end));
    }
    add(format!("GET {target} HTTP/1.1\r\n{host}\r\n").repeat(100));
    add("\r\n".repeat(5_000));
    add("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into());
    corpus.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec());
    corpus.push(vec![0; 100_000]);
    corpus.push(vec![0xff; 100_000]);
    corpus.push(Vec::new());
    corpus
}

/// Says something to the listener and hears it out; the answer, or nothing when it hangs up.
pub fn say(port: u16, bytes: &[u8]) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return Vec::new() };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may hang up before all is said.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// The request with the listener's port in it.
pub fn at(request: &[u8], port: u16) -> Vec<u8> {
    let port = port.to_string();
    let mut bytes = Vec::new();
    let mut rest = request;
    while let Some(place) = rest.windows(4).position(|window| window == b"PORT") {
        bytes.extend_from_slice(&rest[..place]);
        bytes.extend_from_slice(port.as_bytes());
        rest = &rest[place + 4..];
    }
    bytes.extend_from_slice(rest);
    bytes
}

pub fn random(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// A connection that is held open and says only the beginning of a request.
pub fn slow(port: u16, beginning: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let _ = stream.write_all(beginning);
    Some(stream)
}
