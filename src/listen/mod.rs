//! The loopback side of HTTP: sockets on 127.0.0.1 and `[::1]`; one GET a connection ([`Listener`]),
//! requests of any kind ([`serve`]), or what is passed on elsewhere ([`serve_streams`]), with limits and deadlines for whatever else connects. No request of a stranger ends, blocks or bloats the process;
//! what a request means is decided by whoever takes it from [`Listener::next`].

mod connection;
mod crew;
mod framing;
mod page;
mod peer;
mod service;
mod sockets;
mod streams;

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::secret::Secret;

pub use connection::{is_origin_ours, is_ours};
pub use crew::{Crew, Handed};
pub use page::{Page, Tone};
pub use peer::Peer;
pub use service::{Unread, body, serve};
pub use sockets::Sockets;
pub use streams::{Ambiguity, Streams, serve_handed, serve_stream, serve_streams};

/// Connections held at a time. One more, and the oldest is cut: a browser is answered within
/// milliseconds, so only idle ones grow old.
const CONNECTIONS: usize = 32;

/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a client's registration says about its redirect URI: `http://HOST:PORT/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectRule {
    /// Fixed by the registration; `None`: any free port (RFC 8252 §7.3).
    pub port: Option<u16>,
    /// Begins with `/`.
    pub path: String,
    /// `127.0.0.1` or `localhost`.
    pub host: String,
}

impl Default for RedirectRule {
    fn default() -> Self {
        Self { port: None, path: "/callback".to_owned(), host: "127.0.0.1".to_owned() }
    }
}

/// A well-formed GET for this listener, waiting for its answer. Dropped, it is answered with 503.
#[derive(Debug)]
pub struct Get {
    pub path: String,
    /// The part after `?`, still encoded; it may carry an authorization code.
    pub query: Option<Secret>,
    reply: oneshot::Sender<Answer>,
    /// Ends when the connection does.
    connection: watch::Receiver<()>,
}

/// What can be answered.
#[derive(Debug)]
pub enum Answer {
    Page(Page),
    /// 303 to a path of this listener, so that the browser's address is clean (RFC 9700 §4.2).
    SeeOther(&'static str),
    NotFound,
}

impl Get {
    pub fn answer(self, answer: Answer) {
        // The other end may have hung up: then nobody waits for the answer.
        let _ = self.reply.send(answer);
    }

    /// Answers, and waits until the answer has gone out and the connection is closed.
    pub async fn answer_and_close(mut self, answer: Answer) {
        let _ = self.reply.send(answer);
        while self.connection.changed().await.is_ok() {}
    }
}

/// The sockets at work, inside a runtime. Requests are served while [`Listener::next`] is awaited;
/// dropping it closes the sockets at once.
pub struct Listener {
    sockets: Vec<TcpListener>,
    port: u16,
    connections: JoinSet<()>,
    /// Oldest first, one for each connection or ended connection.
    ages: std::collections::VecDeque<AbortHandle>,
    arrive: mpsc::Sender<Get>,
    arrived: mpsc::Receiver<Get>,
}

impl Listener {
    /// Puts bound sockets to work; must be called inside a runtime.
    pub fn start(sockets: Sockets) -> io::Result<Self> {
        let port = sockets.port();
        let (arrive, arrived) = mpsc::channel(CONNECTIONS);
        let sockets = listening(sockets)?;
        let connections = JoinSet::new();
        Ok(Self { sockets, port, connections, ages: [].into(), arrive, arrived })
    }

    /// The next GET that names this listener as its host. Everything else is answered here.
    pub async fn next(&mut self) -> Get {
        loop {
            tokio::select! {
                biased;
                Some(get) = self.arrived.recv() => return get,
                Some(_) = self.connections.join_next() => self.ages.retain(|task| !task.is_finished()),
                stream = accept(&self.sockets) => match stream {
                    Ok(stream) => self.take_up(stream),
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
    }

    fn take_up(&mut self, stream: TcpStream) {
        if self.ages.len() == CONNECTIONS
            && let Some(oldest) = self.ages.pop_front()
        {
            oldest.abort();
        }
        let task =
            self.connections.spawn(connection::serve(stream, self.port, self.arrive.clone()));
        self.ages.push_back(task);
        self.sockets.rotate_left(1); // neither family can starve the other
    }
}

/// The sockets as the runtime around has them.
fn listening(sockets: Sockets) -> io::Result<Vec<TcpListener>> {
    let sockets = sockets.into_inner().into_iter();
    let listen = |socket: std::net::TcpListener| {
        socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket))
    };
    sockets.map(listen).collect()
}

/// Waits for a connection on any of the sockets, the first one first.
async fn accept(sockets: &[TcpListener]) -> io::Result<TcpStream> {
    poll_fn(|context| {
        for socket in sockets {
            if let Poll::Ready(accepted) = socket.poll_accept(context) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv6Addr, TcpStream};

    use super::*;

    /// Sends `bytes` and reads whatever comes back until the listener closes.
    fn exchange(port: u16, bytes: &[u8]) -> String {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        converse(stream, bytes)
    }

    fn converse(mut stream: TcpStream, bytes: &[u8]) -> String {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let _ = stream.write_all(bytes); // it may hang up before all is sent
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(port: u16, path: &str) -> String {
        exchange(port, format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes())
    }

    fn is_open(mut stream: &TcpStream) -> bool {
        stream.set_nonblocking(true).unwrap();
        matches!(stream.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    fn status(answer: &str) -> &str {
        answer.split(' ').nth(1).unwrap_or("closed")
    }

    /// Answers every GET that reaches the application while `strangers` run against the listener;
    /// their outcome, and the paths that reached it.
    fn serve<T: Send>(strangers: impl FnOnce(u16) -> T + Send) -> (T, Vec<String>) {
        let sockets = Sockets::bind(None).unwrap();
        let port = sockets.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::scope(|scope| {
            let outcome = scope.spawn(move || {
                let outcome = strangers(port);
                assert_eq!(status(&get(port, "/end")), "200");
                outcome
            });
            let paths = runtime.block_on(answer_until_end(sockets));
            (outcome.join().unwrap(), paths)
        })
    }

    async fn answer_until_end(sockets: Sockets) -> Vec<String> {
        let mut listener = Listener::start(sockets).unwrap();
        let mut paths = Vec::new();
        loop {
            let get = listener.next().await;
            paths.push(get.path.clone());
            let page = Page::new(hyper::StatusCode::OK, Tone::Good, "here", &[]);
            if get.path == "/end" {
                get.answer_and_close(Answer::Page(page)).await;
                return paths;
            }
            get.answer(Answer::Page(page));
        }
    }

    #[test]
    fn both_families_are_served() {
        let ((four, six), paths) = serve(|port| {
            let four = get(port, "/four");
            let six = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).ok().map(|stream| {
                converse(
                    stream,
                    format!("GET /six HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n").as_bytes(),
                )
            });
            (four, six)
        });
        assert_eq!(status(&four), "200");
        if let Some(six) = six {
            assert_eq!(status(&six), "200");
            assert_eq!(paths, ["/four", "/six", "/end"]);
        }
    }

    #[test]
    fn malformed_and_foreign_requests_are_refused_and_reach_nobody() {
        let long = "x".repeat(20 * 1024);
        let many = "A: b\r\n".repeat(200);
        let host = "Host: 127.0.0.1:PORT";
        let cases = [
            ("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 3\r\n\r\nabc".to_owned(), "405"),
            ("HEAD / HTTP/1.1\r\nHOST\r\n\r\n".into(), "405"),
            ("OPTIONS / HTTP/1.1\r\nHOST\r\n\r\n".into(), "405"),
            ("CONNECT 127.0.0.1:PORT HTTP/1.1\r\nHOST\r\n\r\n".into(), "405"),
            ("GET / HTTP/1.0\r\nHOST\r\n\r\n".into(), "505"),
            ("GET / HTTP/1.1\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: evil.example:PORT\r\n\r\n".into(), "421"),
            ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".into(), "421"),
            ("GET http://127.0.0.1:PORT/ HTTP/1.1\r\nHOST\r\n\r\n".into(), "400"),
            (
                "GET / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
                    .into(),
                "400",
            ),
            ("GET / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHOST\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHOST\r\nContent-Length: -1\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHOST\r\nContent-Length: 9000000000000000000\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHOST\r\nContent-Length: 99999999999999999999999\r\n\r\n".into(), "400"),
            (format!("GET / HTTP/1.1\r\nHOST\r\nA: {long}\r\n\r\n"), "431"),
            (format!("GET / HTTP/1.1\r\nHOST\r\n{many}\r\n"), "431"),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".into(), "400"),
            ("GET /\r\n\r\n".into(), "400"),
        ];
        let (answers, paths) = serve(|port| {
            cases.map(|(request, expected)| {
                let request = request.replace("HOST\r\n", &format!("{host}\r\n"));
                let request = request.replace("PORT", &port.to_string());
                (exchange(port, request.as_bytes()), expected, request)
            })
        });
        for (answer, expected, request) in answers {
            assert_eq!(status(&answer), expected, "{:?}", request.get(..80).unwrap_or(&request));
        }
        assert_eq!(paths, ["/end"]);
    }

    #[test]
    fn random_bytes_do_not_stop_it() {
        let ((), paths) = serve(|port| {
            for size in [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000] {
                let mut bytes = vec![0; size];
                getrandom::fill(&mut bytes).unwrap();
                bytes.extend_from_slice(b"\r\n\r\n\r\n\r\n");
                exchange(port, &bytes);
            }
        });
        assert_eq!(paths, ["/end"]);
    }

    #[test]
    fn idle_connections_and_slow_heads_give_way_to_a_browser() {
        let ((answer, open), paths) = serve(|port| {
            let strangers: Vec<_> = (0..1_000)
                .map(|count| {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    if count % 2 == 0 {
                        stream.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
                    }
                    stream
                })
                .collect();
            let answer = get(port, "/browser");
            let open = strangers.iter().filter(|stranger| is_open(stranger)).count();
            (answer, open)
        });
        assert_eq!(status(&answer), "200");
        assert!(open <= CONNECTIONS, "{open} connections are open");
        assert_eq!(paths, ["/browser", "/end"]);
    }

    #[test]
    fn a_head_that_never_ends_is_cut_off() {
        let (answer, _) = serve(|port| exchange(port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1"));
        assert_eq!(status(&answer), "closed");
    }

    #[test]
    fn a_dropped_listener_has_left_its_port() {
        let sockets = Sockets::bind(None).unwrap();
        let port = sockets.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { drop(Listener::start(sockets).unwrap()) });
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_err());
    }
}
