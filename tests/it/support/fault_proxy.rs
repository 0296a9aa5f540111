//! A TCP proxy in front of an HTTP server of a test, which does to chosen answers what bad networks do. Unlike
//! the servers behind it, it keeps connections open for the next request.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{eventually, random_below};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens, and what was connected is cut.
    Refuse,
    /// A reset after some bytes of the answer.
    Reset,
    /// The answer ends before it begins; what the client says is still read.
    HalfClose,
    /// It comes a second late.
    Delay,
    /// A byte of the answer a second.
    Trickle,
    CutAfterHead,
    CutBeforeLastByte,
    /// A bit of the body is another one: it is no UTF-8 any more.
    Corrupt,
    /// The answer comes twice.
    Duplicate,
    /// Nothing comes, and nobody hears the request.
    Blackhole,
    /// A reset where a connection is used again.
    ResetIdle,
    /// An answer without a length ends without `close_notify`. Over TLS only.
    TruncateTls,
    /// It comes in small pieces.
    Pieces,
    /// What programs see of a network that loses half of all packets: each comes late, and later each time
    /// that it is lost again (RFC 6298 §5.5).
    Loss,
    /// A page of somebody else's, as on a network that wants its own sign-in first.
    Portal,
}

/// How long [`Fault::Delay`] is, and what lies between two bytes of [`Fault::Trickle`].
const SECOND: Duration = Duration::from_secs(1);
/// Less than any path carries at once, and what most do.
const PIECE: usize = 100;
const PACKET: usize = 536;
/// The shortest wait for an acknowledgement, on Linux.
const RESENT_AFTER: Duration = Duration::from_millis(200);

const PORTAL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n\
    <!doctype html><title>Welcome</title>";

/// What the proxy does, until it is told otherwise.
#[derive(Clone, Copy, Default)]
struct Plan {
    fault: Option<Fault>,
    /// Of the whole request as text.
    is_meant: Option<fn(&str) -> bool>,
    is_once: bool,
    /// Where the next connection is refused: once this was answered.
    refuses_after: Option<fn(&str) -> bool>,
    /// Counts plans.
    number: usize,
}

/// A proxy that runs until it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<State>,
    /// Keeps the port while nobody listens.
    _port: OwnedFd,
}

struct State {
    address: SocketAddr,
    behind: Mutex<Option<SocketAddr>>,
    tls: Option<Arc<ServerConfig>>,
    plan: Mutex<Plan>,
    met: AtomicUsize,
    wants_to_listen: AtomicBool,
    listens: AtomicBool,
    ended: AtomicBool,
    open: Mutex<Vec<Weak<TcpStream>>>,
}

impl FaultProxy {
    /// Over TLS, where there is a certificate to show.
    pub fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let (port, address) = reserve();
        let state = Arc::new(State {
            address,
            behind: Mutex::default(),
            tls,
            plan: Mutex::default(),
            met: AtomicUsize::default(),
            wants_to_listen: AtomicBool::new(true),
            listens: AtomicBool::default(),
            ended: AtomicBool::default(),
            open: Mutex::default(),
        });
        let own = state.clone();
        thread::spawn(move || own.accept());
        let proxy = Self { address, state, _port: port };
        eventually("a proxy", || proxy.state.listens.load(Ordering::SeqCst).then_some(()));
        proxy
    }

    pub fn origin(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// As messages name it.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Where requests go on to: an address, or an origin of `http`.
    pub fn lead_to(&self, server: &str) {
        let address = server.trim_start_matches("http://").parse().unwrap();
        *self.state.behind.lock().unwrap() = Some(address);
    }

    /// From now on this happens to requests that are `meant`.
    pub fn inject(&self, fault: Fault, is_meant: fn(&str) -> bool) {
        self.plan(Plan { fault: Some(fault), is_meant: Some(is_meant), ..Plan::default() });
    }

    /// The same for the next one alone.
    pub fn inject_once(&self, fault: Fault, is_meant: fn(&str) -> bool) {
        let fault = Some(fault);
        self.plan(Plan { fault, is_meant: Some(is_meant), is_once: true, ..Plan::default() });
    }

    /// Refuses connections once a request that is `last` was answered.
    pub fn refuse_after(&self, last: fn(&str) -> bool) {
        self.plan(Plan { refuses_after: Some(last), ..Plan::default() });
    }

    /// Nothing happens to requests any more; what was held is cut.
    pub fn mend(&self) {
        self.plan(Plan::default());
    }

    /// Whether nobody listens.
    pub fn is_refusing(&self) -> bool {
        !self.state.listens.load(Ordering::SeqCst)
    }

    /// How many requests met a fault.
    pub fn met(&self) -> usize {
        self.state.met.load(Ordering::SeqCst)
    }

    fn plan(&self, new: Plan) {
        let number = self.state.plan().number + 1;
        *self.state.plan() = Plan { number, ..new };
        self.state.listen(new.fault != Some(Fault::Refuse));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.state.cut();
    }
}

/// A port of loopback that stays ours.
fn reserve() -> (OwnedFd, SocketAddr) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
    let port = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&port, true).unwrap();
    bind(&port, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = SocketAddrV4::try_from(getsockname(&port).unwrap()).unwrap();
    (port, address.into())
}

impl State {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    fn listen(&self, wanted: bool) {
        self.wants_to_listen.store(wanted, Ordering::SeqCst);
        eventually("the other state", || {
            (self.listens.load(Ordering::SeqCst) == wanted).then_some(())
        });
        if !wanted {
            self.met.fetch_add(1, Ordering::SeqCst);
            self.cut();
        }
    }

    fn cut(&self) {
        for open in self.open.lock().unwrap().drain(..).filter_map(|it| it.upgrade()) {
            let _ = open.shutdown(Shutdown::Both);
        }
    }

    fn accept(self: Arc<Self>) {
        let mut listener = None;
        while !self.ended.load(Ordering::SeqCst) {
            if !self.wants_to_listen.load(Ordering::SeqCst) {
                listener = None;
            } else if listener.is_none() {
                let new = TcpListener::bind(self.address).unwrap();
                new.set_nonblocking(true).unwrap();
                listener = Some(new);
            }
            self.listens.store(listener.is_some(), Ordering::SeqCst);
            match listener.as_ref().map(TcpListener::accept) {
                Some(Ok((connection, _))) => {
                    let own = self.clone();
                    // Whoever goes away in the middle may.
                    thread::spawn(move || own.serve(connection));
                }
                _ => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn track(&self, connection: &Arc<TcpStream>) {
        let mut open = self.open.lock().unwrap();
        open.retain(|it| it.strong_count() > 0);
        open.push(Arc::downgrade(connection));
    }

    /// What the request meets.
    fn fault(&self, request: &str) -> Option<Fault> {
        let mut plan = self.plan();
        let fault = plan.fault.filter(|_| plan.is_meant.is_some_and(|is_meant| is_meant(request)));
        if fault.is_some() && plan.is_once {
            plan.fault = None;
        }
        fault
    }

    fn serve(&self, connection: TcpStream) -> io::Result<()> {
        connection.set_nonblocking(false)?;
        connection.set_nodelay(true)?;
        let connection = Arc::new(connection);
        self.track(&connection);
        let mut client = Client::new(connection, self.tls.as_ref())?;
        let mut served = 0;
        while let Some(request) = head_and_body(&mut client)? {
            let text = String::from_utf8_lossy(&request).into_owned();
            let fault = self.fault(&text).filter(|it| *it != Fault::ResetIdle || served > 0);
            self.met.fetch_add(usize::from(fault.is_some()), Ordering::SeqCst);
            served += 1;
            match fault {
                Some(Fault::ResetIdle) => return client.reset(),
                Some(Fault::Blackhole) => return self.hold(&client),
                _ => {}
            }
            let behind = self.behind.lock().unwrap().ok_or(io::ErrorKind::NotConnected)?;
            let behind = Arc::new(TcpStream::connect(behind)?);
            self.track(&behind);
            (&*behind).write_all(&request)?;
            let answer = Answer::read(&mut &*behind)?;
            let refuses = self.plan().refuses_after.is_some_and(|is_last| is_last(&text));
            if refuses {
                self.wants_to_listen.store(false, Ordering::SeqCst);
                eventually("nobody", || (!self.listens.load(Ordering::SeqCst)).then_some(()));
                self.met.fetch_add(1, Ordering::SeqCst);
            }
            let goes_on = self.pass(&answer, fault, &mut client)?;
            if goes_on && !answer.has_length {
                io::copy(&mut &*behind, &mut client)?;
            }
            if !goes_on || !answer.has_length || refuses {
                return client.close();
            }
        }
        Ok(())
    }

    /// Passes the begin of an answer on, damaged; whether the rest may follow.
    fn pass(&self, answer: &Answer, fault: Option<Fault>, client: &mut Client) -> io::Result<bool> {
        let Answer { head, body, .. } = answer;
        let whole = [head.as_slice(), body].concat();
        match fault {
            None => client.say(&whole)?,
            Some(Fault::Delay) => {
                thread::sleep(SECOND);
                client.say(&whole)?;
            }
            Some(Fault::Pieces) => {
                for piece in whole.chunks(PIECE) {
                    client.say(piece)?;
                    thread::sleep(Duration::from_millis(1));
                }
            }
            Some(Fault::Loss) => {
                for packet in whole.chunks(PACKET) {
                    let mut timeout = RESENT_AFTER;
                    while random_below(2) == 0 && timeout < 8 * RESENT_AFTER {
                        thread::sleep(timeout);
                        timeout *= 2;
                    }
                    client.say(packet)?;
                }
            }
            Some(Fault::Duplicate) => client.say(&[whole.as_slice(), &whole].concat())?,
            Some(Fault::Corrupt) => {
                let at = head.len() + random_below(body.len().max(1));
                let mut whole = whole;
                whole[at.min(head.len() + body.len() - 1)] ^= 0x80;
                client.say(&whole)?;
            }
            Some(Fault::Reset) => {
                client.say(&whole[..random_below(whole.len())])?;
                client.reset()?;
                return Ok(false);
            }
            Some(Fault::Portal) => {
                client.say(PORTAL)?;
                return Ok(false);
            }
            Some(Fault::HalfClose) => {
                client.connection.0.shutdown(Shutdown::Write)?;
                self.hold(client)?;
                return Ok(false);
            }
            Some(Fault::Trickle) => {
                let number = self.plan().number;
                for byte in whole {
                    client.say(&[byte])?;
                    if !self.pause(number) {
                        break;
                    }
                }
                return Ok(false);
            }
            Some(Fault::CutAfterHead) => {
                client.say(head)?;
                return Ok(false);
            }
            Some(Fault::CutBeforeLastByte) => {
                client.say(&whole[..whole.len() - 1])?;
                return Ok(false);
            }
            Some(Fault::TruncateTls) => {
                let text = String::from_utf8_lossy(head).replace("content-length:", "x-length:");
                client.say(text.as_bytes())?;
                client.say(&body[..body.len() / 2])?;
                client.forgets_close = true;
                return Ok(false);
            }
            Some(Fault::Refuse | Fault::Blackhole | Fault::ResetIdle) => return Ok(false),
        }
        Ok(true)
    }

    /// A second, unless the plan changes.
    fn pause(&self, number: usize) -> bool {
        for _ in 0..50 {
            if self.ended.load(Ordering::SeqCst) || self.plan().number != number {
                return false;
            }
            thread::sleep(SECOND / 50);
        }
        true
    }

    /// Says nothing until the client has gone, or the plan changes.
    fn hold(&self, client: &Client) -> io::Result<()> {
        let number = self.plan().number;
        let connection = &client.connection.0;
        connection.set_read_timeout(Some(SECOND / 50))?;
        while !self.ended.load(Ordering::SeqCst) && self.plan().number == number {
            if matches!(connection.peek(&mut [0]), Ok(0)) {
                break;
            }
        }
        Ok(())
    }
}

/// The begin of an answer: all of it where it says how long it is, else up to the end of the first event.
struct Answer {
    head: Vec<u8>,
    body: Vec<u8>,
    has_length: bool,
}

impl Answer {
    fn read(server: &mut impl Read) -> io::Result<Self> {
        let head = until_blank_line(server)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let Some(length) = length(&head) else {
            let body = until(b"\n\n", server)?;
            return Ok(Self { head, body, has_length: false });
        };
        let mut body = vec![0; length];
        server.read_exact(&mut body)?;
        let head = String::from_utf8_lossy(&head).replace("connection: close\r\n", "");
        Ok(Self { head: head.into_bytes(), body, has_length: true })
    }
}

/// A request; `None` at the end of the connection.
fn head_and_body(client: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let Some(mut request) = until_blank_line(client)? else { return Ok(None) };
    let mut body = vec![0; length(&request).unwrap_or(0)];
    client.read_exact(&mut body)?;
    request.extend(body);
    Ok(Some(request))
}

fn until_blank_line(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let text = until(b"\r\n\r\n", stream)?;
    Ok((!text.is_empty()).then_some(text))
}

/// To the end of `mark`, or of the stream.
fn until(mark: &[u8], stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(mark) && stream.read(&mut byte)? == 1 {
        text.push(byte[0]);
    }
    Ok(text)
}

fn length(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}

/// A connection whose last owner closes it.
#[derive(Clone)]
struct Wire(Arc<TcpStream>);

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Who connected to the proxy.
struct Client {
    connection: Wire,
    tls: Option<Box<StreamOwned<ServerConnection, Wire>>>,
    forgets_close: bool,
}

impl Client {
    fn new(connection: Arc<TcpStream>, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let connection = Wire(connection);
        let session = tls.map(|config| ServerConnection::new(config.clone()));
        let session = session.transpose().map_err(io::Error::other)?;
        let tls = session.map(|session| Box::new(StreamOwned::new(session, connection.clone())));
        Ok(Self { connection, tls, forgets_close: false })
    }

    /// A packet.
    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    fn reset(&self) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_linger(&*self.connection.0, Some(Duration::ZERO))?)
    }

    fn close(&mut self) -> io::Result<()> {
        if let Some(tls) = self.tls.as_mut().filter(|_| !self.forgets_close) {
            tls.conn.send_close_notify();
            tls.flush()?;
        }
        Ok(())
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.read(buffer),
            None => self.connection.read(buffer),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.write(bytes),
            None => self.connection.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.flush(),
            None => Ok(()),
        }
    }
}
