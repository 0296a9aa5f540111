//! An origin of HTTP/1.1 on loopback, plain or behind TLS, which wants credentials in headers of its own choice.
//! It keeps every byte that comes, judges the framing of requests by the letter of RFC 9112, and answers by
//! path (`deeds`). HTTP/2, gRPC and the models are in `tests/real/origin.mjs`.

mod deeds;
mod wire;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::eventually;
use super::hostile::tls::{Authority, Leaf};
use wire::Wire;

/// A running origin; dropping it refuses what comes later and breaks off what is under way.
pub struct Origin {
    scheme: &'static str,
    address: SocketAddr,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// With the empty line at its end.
    pub head: Vec<u8>,
    /// Of the body, without its framing.
    pub sha256: String,
    pub length: u64,
    pub trailers: Vec<u8>,
    /// Whether the body came to its end.
    pub is_whole: bool,
    /// Whether the client went away before the answer had ended.
    pub is_abandoned: bool,
}

#[derive(Default)]
struct State {
    /// Header names in lower case with the value that each must have. All of them.
    wanted: Mutex<Vec<(String, String)>>,
    seen: Mutex<Vec<Seen>>,
    complaints: Mutex<Vec<String>>,
    /// Everything that came, a list a connection.
    bytes: Mutex<Vec<Vec<u8>>>,
    /// Those that are open, by number.
    connections: Mutex<HashMap<usize, TcpStream>>,
    /// Events for the streams of `/events`; `None` ends them.
    events: Mutex<Vec<Option<String>>>,
    happened: Condvar,
    /// Bytes of bodies that were written.
    written: AtomicU64,
    /// How often the next answers are 503 instead.
    faults: AtomicUsize,
    has_gone: AtomicBool,
    has_ended: AtomicBool,
}

impl Origin {
    /// Over plain HTTP.
    pub fn start() -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), None)
    }

    /// Over HTTPS, with a certificate like `leaf` of this authority.
    pub fn secure(authority: &Authority, leaf: Leaf) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), Some((authority, leaf)))
    }

    /// Either of them at another address of this machine.
    pub fn at(own: IpAddr, tls: Option<(&Authority, Leaf)>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let tls = tls.map(|(authority, leaf)| authority.config(leaf));
        let listener = TcpListener::bind((own, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let accepting = thread::spawn(move || {
            for (number, connection) in listener.incoming().enumerate() {
                if shared.has_ended.load(Ordering::SeqCst) {
                    return;
                }
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                let Ok(connection) = connection else { continue };
                // Ends with the connection.
                thread::spawn(move || serve(connection, number, tls, &state));
            }
        });
        Self { scheme, address, state, listener: Some(accepting) }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on every request needs this header, once, with this value: else 401. Another value of a
    /// header that was wanted before takes its place.
    pub fn wants(&self, header: &str, value: &str) {
        let mut wanted = self.state.wanted.lock().unwrap();
        wanted.retain(|(name, _)| name != header);
        wanted.push((header.to_lowercase(), value.to_owned()));
    }

    /// The next requests are answered with 503 and nothing else.
    pub fn fails(&self, times: usize) {
        self.state.faults.store(times, Ordering::SeqCst);
    }

    /// Every request so far, in the order of their heads.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The only request since the start, once it has ended.
    pub fn only(&self) -> Seen {
        let whole = || self.seen().iter().all(|seen| seen.is_whole).then(|| self.seen());
        let seen = eventually("a whole request", || whole().filter(|seen| !seen.is_empty()));
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.into_iter().next().unwrap()
    }

    /// What was wrong with the framing of requests (I12), and where a stranger's bytes came after a request.
    pub fn complaints(&self) -> Vec<String> {
        self.state.complaints.lock().unwrap().clone()
    }

    /// Everything that came, decrypted, a list a connection.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        self.state.bytes.lock().unwrap().clone()
    }

    /// How many bytes of bodies have left.
    pub fn written(&self) -> u64 {
        self.state.written.load(Ordering::SeqCst)
    }

    /// Sends `data: TEXT` on each stream of `/events`, also on those that are opened later.
    pub fn event(&self, text: &str) {
        self.push(Some(format!("data: {text}\n\n")));
    }

    /// Ends those streams.
    pub fn end_events(&self) {
        self.push(None);
    }

    fn push(&self, event: Option<String>) {
        self.state.events.lock().unwrap().push(event);
        self.state.happened.notify_all();
    }

    /// Lets `/wait`, `/unread` and `/stall` go on.
    pub fn go(&self) {
        self.state.has_gone.store(true, Ordering::SeqCst);
        let _guard = self.state.events.lock().unwrap();
        self.state.happened.notify_all();
    }

    /// Breaks off every connection; new ones are served.
    pub fn cut_connections(&self) {
        for (_, connection) in self.state.connections.lock().unwrap().drain() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.state.has_ended.store(true, Ordering::SeqCst);
        self.go();
        let _ = TcpStream::connect(self.address); // wakes the listener
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        self.cut_connections();
    }
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    /// `GET /path HTTP/1.1`
    pub fn line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// The values of a header, in the order in which they came.
    pub fn values(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let fields = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let same = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.trim().to_owned()).collect()
    }

    /// The only value of a header.
    pub fn value(&self, name: &str) -> Option<String> {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} came {} times: {}", values.len(), self.text());
        values.into_iter().next()
    }
}

/// Serves one connection until it ends, and closes it.
fn serve(tcp: TcpStream, number: usize, tls: Option<Arc<ServerConfig>>, state: &State) {
    let served = requests(tcp, number, tls, state);
    state.connections.lock().unwrap().remove(&number);
    // One that a client breaks off is the client's business.
    drop(served);
}

fn requests(
    tcp: TcpStream,
    number: usize,
    tls: Option<Arc<ServerConfig>>,
    state: &State,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(wire::TICK))?;
    state.connections.lock().unwrap().insert(number, tcp.try_clone()?);
    let control = tcp.try_clone()?;
    let mut wire = match tls {
        None => Wire::new(Box::new(tcp), control, number, state),
        Some(config) => {
            let session = ServerConnection::new(config).map_err(io::Error::other)?;
            Wire::new(Box::new(StreamOwned::new(session, tcp)), control, number, state)
        }
    };
    while let Some(request) = wire.request()? {
        if !deeds::answer(&mut wire, &request)? {
            break;
        }
    }
    Ok(())
}
