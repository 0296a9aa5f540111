//! A small HTTP/1.1 server on loopback for the fakes. It can do what a library would not: hang up in the
//! middle of an exchange. One request a connection, each on a thread of its own.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Decoded, in the order in which they came.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What goes back.
#[derive(Debug, Clone)]
pub enum Answer {
    Reply {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// These bytes and no others, then the end of the connection.
    Raw(Vec<u8>),
    /// The same, and the connection is broken off (TCP RST).
    Broken(Vec<u8>),
    /// The connection is closed without a word.
    HangUp,
    /// The connection is broken off (TCP RST).
    Reset,
    /// No word, until the client gives up.
    Silence,
    /// Whatever this does to the connection.
    Act(fn(&mut &TcpStream) -> io::Result<()>),
}

/// A server that runs until it is dropped.
pub struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    /// Connections that are being served.
    busy: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let (answer, stop) = (Arc::new(answer), Arc::clone(&ended));
        let busy = Arc::new(AtomicUsize::new(0));
        let serving = Arc::clone(&busy);
        let thread = thread::spawn(move || {
            for connection in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, serving) = (Arc::clone(&answer), Arc::clone(&serving));
                serving.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    // A client that goes away in the middle is the client's business.
                    let _ = connection.and_then(|connection| serve(&connection, &*answer));
                    serving.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, ended, busy, thread: Some(thread) }
    }

    /// Waits until everything that was ever sent here, also by clients that are dead, is done.
    pub fn settle(&self) {
        let mut last = TcpStream::connect(self.address).unwrap();
        last.write_all(b"GET /nothing HTTP/1.1\r\n\r\n").unwrap();
        last.read_to_end(&mut Vec::new()).unwrap();
        super::eventually("quiet", || (self.busy.load(Ordering::SeqCst) == 0).then_some(()));
    }

    /// `http://127.0.0.1:PORT`
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The parameters of a form body.
    pub fn form(&self) -> Vec<(String, String)> {
        pairs(&self.body)
    }
}

impl Answer {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".into(), content_type.into())];
        Answer::Reply { status, headers, body: body.into() }
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub fn empty(status: u16) -> Self {
        Self::new(status, "text/plain", "")
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Answer::Reply { headers, .. } = &mut self {
            headers.push((name.into(), value.into()));
        }
        self
    }
}

/// Decodes a query or a form.
pub fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}

fn serve(mut connection: &TcpStream, answer: &dyn Fn(&Request) -> Answer) -> io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = read(&mut BufReader::new(connection))?;
    let (status, headers, body) = match answer(&request) {
        Answer::Reply { status, headers, body } => (status, headers, body),
        Answer::Raw(bytes) => return connection.write_all(&bytes),
        Answer::Broken(bytes) => {
            connection.write_all(&bytes)?;
            return reset(connection);
        }
        Answer::HangUp => return Ok(()),
        Answer::Reset => return reset(connection),
        Answer::Silence => {
            connection.set_read_timeout(None)?;
            return io::copy(&mut connection, &mut io::sink()).map(drop);
        }
        Answer::Act(act) => return act(&mut connection),
    };
    let mut head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        // Into a string; cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("connection: close\r\n\r\n");
    connection.write_all(head.as_bytes())?;
    connection.write_all(&body)
}

/// A connection that lingers for no time is reset when it is closed.
#[cfg(unix)]
fn reset(connection: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(connection, Some(Duration::ZERO))?)
}

#[cfg(not(unix))]
fn reset(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// Reads one request.
pub fn read(stream: &mut impl BufRead) -> io::Result<Request> {
    let line = read_line(stream)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.into(),
        path: path.into(),
        query: pairs(query.as_bytes()),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        request.headers.push((name.to_lowercase(), value.trim().into()));
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    request.body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut request.body)?;
    Ok(request)
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
