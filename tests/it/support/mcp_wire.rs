//! An MCP server of the legacy era on raw TCP, which does what its test says, also what no library would do.
//! One request a connection, each on a thread of its own.

use std::fmt::Write as _;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::{Value, json};

use super::http::{self, Request};
use super::{PATIENCE, eventually};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    pub request: Request,
    /// The body; `null` where it is no JSON.
    pub message: Value,
}

impl Seen {
    /// The HTTP method of a request without a body, `response` for an answer to the server, else the method of
    /// the message.
    pub fn what(&self) -> &str {
        match self.message["method"].as_str() {
            Some(method) => method,
            None if self.message.is_null() => &self.request.method,
            None => "response",
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }
}

/// A server that runs until it is dropped.
pub struct WireServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WireServer {
    /// `script` answers what it wants to, and leaves the rest to [`Call::normal`].
    pub fn start(script: impl Fn(&mut Call) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (script, sessions) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        let (all, stop) = (seen.clone(), ended.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (script, all, sessions) = (script.clone(), all.clone(), sessions.clone());
                thread::spawn(move || {
                    // A client that goes away in the middle is the client's business.
                    let _ = serve(stream?, &all, &sessions, &*script);
                    io::Result::Ok(())
                });
            }
        });
        Self { address, seen, ended, thread: Some(thread) }
    }

    /// One that does only what is normal.
    pub fn normal() -> Self {
        Self::start(Call::normal)
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Everything that came, but what asks for the revision.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.what() != "server/discover").cloned().collect()
    }

    /// What came of one kind ([`Seen::what`]).
    pub fn all(&self, what: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.what() == what).collect()
    }

    pub fn count(&self, what: &str) -> usize {
        self.all(what).len()
    }

    /// Waits until `count` of one kind came.
    pub fn wait_for(&self, what: &str, count: usize) -> Vec<Seen> {
        eventually(&format!("{count} of {what}"), || {
            let all = self.all(what);
            (all.len() >= count).then_some(all)
        })
    }
}

impl Drop for WireServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    stream: TcpStream,
    all: &Mutex<Vec<Seen>>,
    sessions: &Arc<AtomicUsize>,
    script: &dyn Fn(&mut Call) -> io::Result<()>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let request = http::read(&mut BufReader::new(&stream))?;
    let message = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let seen = Seen { at: Instant::now(), request, message };
    all.lock().unwrap().push(seen.clone());
    script(&mut Call { seen, stream, sessions: sessions.clone() })
}

/// One request, and the connection that it came on.
pub struct Call {
    seen: Seen,
    pub stream: TcpStream,
    sessions: Arc<AtomicUsize>,
}

impl Call {
    pub fn what(&self) -> &str {
        self.seen.what()
    }

    pub fn message(&self) -> &Value {
        &self.seen.message
    }

    pub fn header(&self, name: &str) -> &str {
        self.seen.header(name).unwrap_or("")
    }

    /// As one text.
    pub fn query(&self) -> String {
        let pairs = self.seen.request.query.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    }

    pub fn path(&self) -> &str {
        &self.seen.request.path
    }

    /// What an ordinary server answers: sessions `s1`, `s2` and so on, no stream of its own.
    pub fn normal(&mut self) -> io::Result<()> {
        match self.what().to_owned().as_str() {
            "initialize" => {
                let session = format!("s{}", self.sessions.fetch_add(1, Ordering::SeqCst) + 1);
                let body = self.response(&greeting());
                self.reply(200, &[("mcp-session-id", &session)], "application/json", &body)
            }
            "server/discover" => self.reply(400, &[], "application/json", &no_session()),
            "DELETE" => self.reply(204, &[], "text/plain", ""),
            "GET" => self.reply(405, &[], "text/plain", ""),
            "tools/list" => self.result(&json!({"tools": [{"name": "t", "inputSchema": {}}]})),
            "tools/call" => {
                let text = self.message()["params"]["arguments"].to_string();
                self.result(&json!({"content": [{"type": "text", "text": text}]}))
            }
            "ping" => self.result(&json!({})),
            _ => self.reply(202, &[], "text/plain", ""),
        }
    }

    /// The response to this request, as text.
    pub fn response(&self, result: &Value) -> String {
        json!({"jsonrpc": "2.0", "id": self.message()["id"], "result": result}).to_string()
    }

    pub fn result(&mut self, result: &Value) -> io::Result<()> {
        let body = self.response(result);
        self.reply(200, &[], "application/json", &body)
    }

    pub fn reply(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        media_type: &str,
        body: &str,
    ) -> io::Result<()> {
        let mut head = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\nconnection: close\r\n",
            body.len()
        );
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        self.raw(format!("{head}\r\n{body}"))
    }

    /// Begins a stream of events; it ends with the connection.
    pub fn events(&mut self) -> io::Result<()> {
        self.raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    }

    /// One event with a message.
    pub fn event(&mut self, data: impl std::fmt::Display) -> io::Result<()> {
        self.raw(format!("data: {data}\n\n"))
    }

    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says nothing more until the client goes away.
    pub fn stay(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(None)?;
        self.stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

pub fn greeting() -> Value {
    json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "scripted", "version": "1"},
    })
}

/// What a server of this era says to a stranger.
pub fn no_session() -> String {
    let error = json!({"code": -32000, "message": "Bad Request: No valid session ID provided"});
    json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string()
}

/// Something that a test lets happen once.
#[derive(Clone, Default)]
pub struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub fn is_open(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    pub fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        let _ = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
    }
}
