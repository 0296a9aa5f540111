//! Connections that the proxy joins (CONNECT to the host of a credential), over HTTP/1.1 and HTTP/2: what streams is
//! passed on at once there too, and nobody gets more than the host that was asked for.
//!
//! | id | promise | test |
//! |---|---|---|
//! | A9 | events pass at once by every door | `events_pass_one_by_one_…` |
//! | S4 | a connection is good for its own host | `a_request_for_another_host_…` |

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::real_parts::present;
use crate::support::eventually;
use crate::support::hostile::tls::{Authority, GOOD};
use crate::support::lending::{KEY, Lending, acme, config, only};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

/// A server of HTTPS that wants the key, and a command beside a proxy that has it.
struct Scene {
    origin: Origin,
    lending: Lending,
    _kept: (Sandbox, Authority),
}

/// A program's connection, whatever is below it.
trait Pipe: Read + Write {}
impl<T: Read + Write> Pipe for T {}

/// The ways to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Path,
    Joined,
}

const DOORS: [Door; 2] = [Door::Path, Door::Joined];

impl Scene {
    fn start() -> Option<Self> {
        if !present(&["openssl"]) {
            return None;
        }
        let authority = Authority::new();
        let origin = Origin::secure(&authority, GOOD);
        origin.wants("authorization", &format!("Bearer {KEY}"));
        let mut sandbox = acme(&origin.url());
        sandbox.env("SSL_CERT_FILE", authority.file());
        let lending = Lending::exec(&sandbox, &["--with", "acme"]);
        Some(Self { origin, lending, _kept: (sandbox, authority) })
    }

    fn own(&self) -> String {
        format!("127.0.0.1:{}", self.origin.port())
    }

    fn placeholder(&self) -> &str {
        &self.lending.variables["ACME_API_KEY"]
    }

    /// A connection through the proxy to there.
    fn connect(&self, target: &str) -> TcpStream {
        let url = &self.lending.variables["HTTPS_PROXY"];
        let user = url.strip_prefix("http://").unwrap().split('@').next().unwrap();
        let key = format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user));
        let mut connection = self.lending.connect();
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{key}\r\n");
        connection.write_all(head.as_bytes()).unwrap();
        let answer = until(&mut connection, b"\r\n\r\n");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
        connection
    }

    /// What a program trusts that reads `SSL_CERT_FILE`.
    fn trust(&self, alpn: &[u8]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let file = &self.lending.variables["SSL_CERT_FILE"];
        for certificate in CertificateDer::pem_file_iter(file).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }

    /// A connection of HTTP/1.1 to one of the doors.
    fn pipe(&self, door: Door) -> Box<dyn Pipe> {
        if door == Door::Path {
            return Box::new(self.lending.connect());
        }
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let session = ClientConnection::new(self.trust(b"http/1.1"), name).unwrap();
        Box::new(StreamOwned::new(session, self.connect(&self.own())))
    }

    /// The begin of a request at this door.
    fn head(&self, door: Door, path: &str) -> String {
        let key = format!("Authorization: Bearer {}\r\n", self.placeholder());
        match door {
            Door::Path => {
                format!(
                    "GET /acme{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{key}",
                    self.lending.port
                )
            }
            Door::Joined => format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{key}", self.own()),
        }
    }

    /// A conversation of HTTP/2 at one of the doors.
    async fn http_2(&self, door: Door) -> SendRequest<Empty<Bytes>> {
        let stream = match door {
            Door::Path => self.lending.connect(),
            Door::Joined => self.connect(&self.own()),
        };
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        if door == Door::Path {
            return shake_hands(TokioIo::new(stream)).await;
        }
        let connector = tokio_rustls::TlsConnector::from(self.trust(b"h2"));
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        shake_hands(TokioIo::new(stream)).await
    }

    fn request(&self, door: Door, path: &str) -> Request<Empty<Bytes>> {
        let uri = match door {
            Door::Path => format!("http://127.0.0.1:{}/acme{path}", self.lending.port),
            Door::Joined => format!("https://{}{path}", self.own()),
        };
        let key = format!("Bearer {}", self.placeholder());
        Request::get(uri).header("authorization", key).body(Empty::new()).unwrap()
    }
}

async fn shake_hands<T>(io: T) -> SendRequest<Empty<Bytes>>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Reads until that has come.
fn until(connection: &mut (impl Read + ?Sized), wanted: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while !all.windows(wanted.len()).any(|part| part == wanted) {
        let mut byte = [0; 1];
        let read = connection.read(&mut byte).unwrap();
        assert!(read > 0, "ended after {}", all.escape_ascii());
        all.push(byte[0]);
    }
    all
}

/// The same with what HTTP/2 brings.
async fn frames_until(response: &mut Response<hyper::body::Incoming>, wanted: &str) {
    let mut all = String::new();
    while !all.contains(wanted) {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        all.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

#[test]
fn events_pass_one_by_one_over_http_1_and_the_end_of_a_reader_too() {
    for door in DOORS {
        let Some(scene) = Scene::start() else { return };
        let mut reader = scene.pipe(door);
        reader.write_all((scene.head(door, "/events") + "\r\n").as_bytes()).unwrap();
        // The head, while there is no event yet; each event, while there is no other.
        let head = String::from_utf8(until(&mut *reader, b"\r\n\r\n")).unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        for at in 0..20 {
            scene.origin.event(&format!("event {at}"));
            until(&mut *reader, format!("data: event {at}\n\n").as_bytes());
        }
        assert!(!scene.origin.seen()[0].is_abandoned);
        drop(reader);
        eventually("the end", || scene.origin.seen()[0].is_abandoned.then_some(()));
    }
}

#[test]
fn events_pass_one_by_one_over_http_2_and_the_end_of_a_reader_too() {
    for door in DOORS {
        let Some(scene) = Scene::start() else { return };
        block_on(async {
            let mut client = scene.http_2(door).await;
            let request = scene.request(door, "/events");
            let mut response = client.send_request(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{door:?}");
            for at in 0..20 {
                scene.origin.event(&format!("event {at}"));
                frames_until(&mut response, &format!("data: event {at}\n\n")).await;
            }
            // Other requests of the same connection pass it by.
            let request = scene.request(door, "/x");
            let mut other = client.send_request(request).await.unwrap();
            frames_until(&mut other, "here you are").await;
            assert!(!scene.origin.seen()[0].is_abandoned);
            drop(response);
            // The frame that resets the stream leaves with the runtime's next turn.
            while !scene.origin.seen()[0].is_abandoned {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            let request = scene.request(door, "/x");
            assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::OK);
        });
        for seen in scene.origin.seen() {
            assert_eq!(seen.values("authorization"), [format!("Bearer {KEY}")], "{door:?}");
        }
    }
}

#[test]
fn web_sockets_pass_joined_and_through_a_tunnel() {
    let Some(scene) = Scene::start() else { return };
    let other = Origin::start();
    let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let target = format!("127.0.0.1:{}", other.port());
    let own = format!("GET /open/ws HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer own\r\n");
    let tunnel: Box<dyn Pipe> = Box::new(scene.connect(&target));
    let joined = (scene.pipe(Door::Joined), scene.head(Door::Joined, "/ws"));
    for (mut pipe, head) in [joined, (tunnel, own)] {
        pipe.write_all((head + upgrade).as_bytes()).unwrap();
        let head = String::from_utf8(until(&mut *pipe, b"\r\n\r\n")).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        for text in ["hello", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "x"] {
            let length = u8::try_from(text.len()).unwrap();
            // With a mask of zeros the payload stays as it is.
            pipe.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat())
                .unwrap();
            until(&mut *pipe, &[&[0x81, length], text.as_bytes()].concat());
        }
    }
    for (origin, key) in [(&scene.origin, KEY), (&other, "own")] {
        let key = format!("Bearer {key}");
        assert_eq!(origin.seen()[0].values("authorization"), [key]);
        eventually("the end of the socket", || origin.seen()[0].is_abandoned.then_some(()));
    }
}

#[test]
fn a_request_for_another_host_is_refused_inside_a_connection() {
    let Some(scene) = Scene::start() else { return };
    let other = Origin::start();
    let there = format!("127.0.0.1:{}", other.port());
    let hosts = ["other.example", &there, "127.0.0.1", "127.0.0.1:443", "localhost", ""];
    for host in hosts {
        let mut pipe = scene.pipe(Door::Joined);
        let key = format!("Authorization: Bearer {}", scene.placeholder());
        let head = format!("GET /x HTTP/1.1\r\nHost: {host}\r\n{key}\r\nConnection: close\r\n\r\n");
        pipe.write_all(head.as_bytes()).unwrap();
        let answer = String::from_utf8(until(&mut *pipe, b"\r\n\r\n")).unwrap();
        assert!(answer.starts_with("HTTP/1.1 421"), "{host}: {answer}");
        assert!(answer.contains("authctl-error: host_foreign"), "{host}: {answer}");
    }
    block_on(async {
        let mut client = scene.http_2(Door::Joined).await;
        for host in &hosts[..5] {
            let mut request = scene.request(Door::Joined, "/x");
            *request.uri_mut() = format!("https://{host}/x").parse().unwrap();
            let response = client.send_request(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
        let request = scene.request(Door::Joined, "/x");
        assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::OK);
    });
    assert_eq!((scene.origin.seen().len(), other.seen().len()), (1, 0));
}

#[test]
fn a_placeholder_is_of_no_use_at_the_host_of_another_credential() {
    let Some(Scene { origin, lending, _kept: (mut sandbox, authority) }) = Scene::start() else {
        return;
    };
    lending.end();
    let other = Origin::secure(&authority, GOOD);
    sandbox.write_config(&config(&[("acme", &origin.url()), ("other", &other.url())]));
    sandbox.env("AUTHCTL_OTHER_TOKEN", "real-other-Ab12Cd34Ef56");
    let lending = Lending::exec(&sandbox, &["--with", "acme,other"]);
    let scene = Scene { origin, lending, _kept: (sandbox, authority) };
    let (own, others) = (scene.placeholder(), &scene.lending.variables["OTHER_API_KEY"]);
    for (placeholder, status) in [(own, 200), (others.as_str(), 403)] {
        let mut pipe = scene.pipe(Door::Joined);
        let head = scene.head(Door::Joined, "/x").replace(own, placeholder);
        pipe.write_all((head + "Connection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = pipe.read_to_end(&mut answer);
        let reply = only(&answer);
        assert_eq!(reply.status, status, "{reply:?}");
        if status == 403 {
            let said = reply.refusal(403, "host_of_another");
            assert!(said.contains("other"), "{said}");
        }
    }
    assert_eq!((scene.origin.seen().len(), other.seen().len()), (1, 0));
}

#[test]
fn no_request_hides_in_another_inside_a_connection() {
    let Some(scene) = Scene::start() else { return };
    let hidden = scene.head(Door::Joined, "/hidden") + "\r\n";
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Content-Length: 3\r\nContent-Length: 5",
        "Content-Length: 3, 3",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\r\n folded",
        "Content-Length : 3",
    ] {
        let mut pipe = scene.pipe(Door::Joined);
        let head = scene.head(Door::Joined, "/outer").replace("GET", "POST");
        pipe.write_all(format!("{head}{fields}\r\n\r\nabc{hidden}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = pipe.read_to_end(&mut answer);
        let reply = only(&answer);
        assert!(
            reply.status == 400 && reply.value("authctl-error").is_some(),
            "{fields}: {reply:?}"
        );
    }
    assert!(scene.origin.seen().is_empty());
}

/// The certificate of the run is for the hosts of its credentials alone.
#[test]
fn a_name_in_the_hello_that_is_not_bound_gets_no_certificate() {
    let Some(scene) = Scene::start() else { return };
    for (name, is_good) in [("127.0.0.1", true), ("other.example", false), ("127.0.0.2", false)] {
        let server = ServerName::try_from(name).unwrap();
        let session = ClientConnection::new(scene.trust(b"http/1.1"), server).unwrap();
        let mut stream = StreamOwned::new(session, scene.connect(&scene.own()));
        let head = scene.head(Door::Joined, "/x") + "Connection: close\r\n\r\n";
        assert_eq!(stream.write_all(head.as_bytes()).is_ok(), is_good, "{name}");
    }
    eventually("what is to be done", || {
        scene.lending.stderr().contains("did not believe the proxy's certificate").then_some(())
    });
    assert!(scene.origin.seen().len() <= 1);
}
