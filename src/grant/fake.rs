//! For tests: a person who answers from a list, remembers what was said and may have a browser; an
//! authorization server that answers from a list; and raw requests.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use url::Url;

use super::{Request, Server};
use crate::http::fake;
use crate::interact::{Interact, Unanswered};
use crate::oauth::{Client, ClientAuthentication};
use crate::secret::Secret;

type Browser = Box<dyn Fn(Url) + Send + Sync>;

#[derive(Default)]
pub(super) struct Person {
    answers: Mutex<VecDeque<String>>,
    said: Mutex<String>,
    pub(super) opened: Mutex<Vec<Url>>,
    columns: Option<usize>,
    browser: Option<Browser>,
}

impl Person {
    pub(super) fn answering<const N: usize>(answers: [&str; N]) -> Self {
        let answers = answers.map(str::to_owned).into();
        Self { answers: Mutex::new(answers), ..Self::default() }
    }

    /// A person whose browser does `visit` with each URL that is opened, on a thread of its own.
    pub(super) fn browsing(visit: impl Fn(Url) + Send + Sync + 'static) -> Self {
        Self { browser: Some(Box::new(visit)), ..Self::default() }
    }

    /// A person at a terminal of this width.
    pub(super) fn at_columns(columns: usize) -> Self {
        Self { columns: Some(columns), ..Self::default() }
    }

    /// All lines so far.
    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn hear(&self, line: &str) {
        let mut said = self.said.lock().unwrap();
        said.push_str(line);
        said.push('\n');
    }
}

impl Interact for Person {
    fn notice(&self, line: &str) {
        self.hear(line);
    }

    fn warn(&self, line: &str) {
        self.hear(line);
    }

    fn show(&self, line: &str) {
        self.hear(line);
    }

    fn can_ask(&self) -> bool {
        !self.answers.lock().unwrap().is_empty()
    }

    fn columns(&self) -> Option<usize> {
        self.columns
    }

    fn ask_secret(&self, _: &str) -> Result<Secret, Unanswered> {
        self.ask_line("").map(Secret::new)
    }

    fn ask_line(&self, _: &str) -> Result<String, Unanswered> {
        self.answers.lock().unwrap().pop_front().ok_or(Unanswered::NoTerminal)
    }

    fn confirm(&self, _: &str, default: bool) -> Result<bool, Unanswered> {
        Ok(default)
    }

    fn choose(&self, _: &str, _: &[String]) -> Result<Vec<usize>, Unanswered> {
        Err(Unanswered::NoTerminal)
    }

    fn open_url(&self, url: &Url) -> bool {
        self.opened.lock().unwrap().push(url.clone());
        let Some(browser) = &self.browser else {
            return false;
        };
        browser(url.clone());
        true
    }
}

/// A real server on loopback that gives its answers in turn, then 500, whatever is asked.
pub(super) struct Scripted(fake::Server);

pub(super) type Form = BTreeMap<String, String>;

impl Scripted {
    pub(super) fn answering<const N: usize>(answers: [(u16, &str); N]) -> Self {
        let answers = answers.map(|(status, body)| (status, body.to_owned()));
        let answers = Mutex::new(VecDeque::from(answers));
        Self(fake::Server::new(move |_| {
            let (status, body) =
                answers.lock().unwrap().pop_front().unwrap_or((500, String::new()));
            fake::response(status, "content-type: application/json\r\n", &body)
        }))
    }

    /// Path and form of each request so far.
    pub(super) fn requests(&self) -> Vec<(String, Form)> {
        let read = |request: &fake::Received| {
            let path = request.line.trim_start_matches("POST ").to_owned();
            (path, request.form().into_iter().collect())
        };
        self.0.received().iter().map(read).collect()
    }

    /// This server as an authorization server with all endpoints.
    pub(super) fn described(&self) -> Server {
        Server {
            issuer: Some(self.0.url("")),
            authorization_endpoint: Some(self.0.url("/authorize")),
            token_endpoint: self.0.url("/token"),
            device_authorization_endpoint: Some(self.0.url("/device")),
            pushed_authorization_request_endpoint: None,
            pushes: false,
            iss_required: false,
        }
    }
}

pub(super) fn client() -> Client {
    let authentication = ClientAuthentication::None;
    Client { client_id: "our-client".into(), client_secret: None, key: None, authentication }
}

/// Calls `with` with a request to `server` for two scopes of one resource.
pub(super) fn asking<T>(server: &Server, with: impl FnOnce(&Request<'_>) -> T) -> T {
    with(&Request {
        server,
        client: &client(),
        scopes: &["read".into(), "write".into()],
        resource: Some("https://api.example/v1"),
        parameters: &BTreeMap::from([("prompt".into(), "consent".into())]),
        dpop: None,
    })
}

/// Sends `bytes` to a port of loopback, and reads until the other side hangs up.
pub(super) fn raw(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// What a browser asks for `target` of our listener.
pub(super) fn get(port: u16, target: &str) -> String {
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: Mozilla/5.0\r\n\
         Accept: text/html,*/*;q=0.8\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\
         Upgrade-Insecure-Requests: 1\r\nConnection: keep-alive\r\n\r\n"
    );
    raw(port, head.as_bytes())
}
