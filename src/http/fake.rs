//! A server for tests on a real loopback socket: it records each request and answers with the bytes
//! that it was given, however malformed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Method and target, such as `POST /token`.
    pub line: String,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body read as a form.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        self.form().into_iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }
}

/// Runs until the test process ends.
pub(crate) struct Server {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers every request with what `answer` makes of it, then closes the connection.
    pub fn new(answer: impl Fn(&Received) -> Vec<u8> + Send + 'static) -> Self {
        Self::with(move |stream, request| {
            let _ = stream.write_all(&answer(request));
        })
    }

    /// Hands the connection over once the request was read; what is done then is the caller's.
    pub fn with(answer: impl Fn(&mut TcpStream, &Received) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let log = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let Some(request) = read(&mut stream) else { continue };
                log.lock().unwrap().push(request.clone());
                answer(&mut stream, &request);
            }
        });
        Self { port, received }
    }

    /// Always the same JSON answer.
    pub fn json(status: u16, body: &str) -> Self {
        let answer = response(status, "content-type: application/json\r\n", body);
        Self::new(move |_| answer.clone())
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What has arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// An answer with its length; `headers` are whole lines ending in CRLF.
pub(crate) fn response(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes.split_off(end + 4);
    let have = body.len();
    body.resize(length, 0);
    stream.read_exact(&mut body[have.min(length)..]).ok()?;
    Some(Received { line, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// An answer as if it had come from a server on the internet.
pub(crate) fn public_answer(body: impl AsRef<[u8]>) -> super::Answer {
    super::Answer {
        status: 200,
        headers: hyper::HeaderMap::new(),
        body: body.as_ref().to_vec(),
        host: "as.example.com".into(),
        from_public: true,
        never_shown: Vec::new(),
    }
}

/// A self-signed certificate for 127.0.0.1, good until 2126, and its key (P-256): of no use to
/// anybody but a server that is to be refused.
const CERTIFICATE: &str = "MIIBjTCCATOgAwIBAgIUEe16Y5H15ICSR1wGf4X9H4IVzO0wCgYIKoZIzj0EAwIwFDESMBAGA1UE\
AwwJMTI3LjAuMC4xMCAXDTI2MTEyMTEyMjEwNloYDzIxMjYxMDI4MTIyMTA2WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjO\
PQIBBggqhkjOPQMBBwNCAAQ294sr9dm4bzZqbVj+92Kmp4eue+K7NcBterA2AmcSOwwk64r5BiBxlUND1pSMdnVr50HvNg0BdqGDC0se\
qbyfo2EwXzAdBgNVHQ4EFgQUnIXaG78kw9jM+UcAizTiH1KUNIQwHwYDVR0jBBgwFoAUnIXaG78kw9jM+UcAizTiH1KUNIQwDwYDVR0R\
BAgwBocEfwAAATAMBgNVHRMBAf8EAjAAMAoGCCqGSM49BAMCA0gAMEUCIQDitwKxGc7yoHybj4STH/80GaUu3ZwD0Q3xgSqlKkwaAQIg\
C0EdMhSvcm5ABHUPe00xyRCvDEOp8n+tzsY33ntrKHU=";
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgf/DnB8l09Wbwbxb5EIQI3TfzVtnRXhwC\
sJ2Vuz8qG0GhRANCAAQ294sr9dm4bzZqbVj+92Kmp4eue+K7NcBterA2AmcSOwwk64r5BiBxlUND1pSMdnVr50HvNg0BdqGDC0seqbyf";

/// A TLS server with that certificate, for one connection: its host and port, and what it could
/// read. The receiver ends when the connection did.
pub(crate) fn untrusted() -> (String, Receiver<Vec<u8>>) {
    use base64::Engine;
    let der = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der(CERTIFICATE).into()], der(KEY).try_into().unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = rustls::StreamOwned::new(connection, stream);
        let mut bytes = vec![0; 4096];
        if let Ok(count @ 1..) = tls.read(&mut bytes) {
            bytes.truncate(count);
            let _ = sender.send(bytes);
        }
    });
    (host, receiver)
}
