//! A proxy that lends credentials, by `authctl proxy` or `authctl exec --proxy`, and a client that says what it is
//! told, byte for byte.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;

use serde_json::Value;

use super::sandbox::{Output, Running, Sandbox};
use super::{PATIENCE, eventually};

/// The real value of the credential `acme`.
pub const KEY: &str = "real-Qm4tZ81/xYw+0aLk9PvBn3Ts";

/// A proxy at work; a person's, or that of a command.
pub struct Lending {
    running: Option<Running>,
    pub port: u16,
    /// Opens all credentials; empty beside a command, which has a placeholder for each.
    pub key: String,
    /// What the command line said, or the environment of the command.
    pub variables: HashMap<String, String>,
}

/// An answer, as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub trailers: String,
    /// Whether the body came to the end that its head promised.
    pub is_whole: bool,
}

/// Providers named `acme`, `other`, … at these addresses, with bearer keys in `ACME_API_KEY`, ….
pub fn config(providers: &[(&str, &str)]) -> String {
    let table = |(name, url): &(&str, &str)| {
        let variable = name.to_uppercase();
        format!(
            "[provider.{name}]\nbase_url = \"{url}\"\n[provider.{name}.bearer]\nvariables = [\"{variable}_API_KEY\"]\n"
        )
    };
    providers.iter().map(table).collect()
}

/// A sandbox that has a key for `acme` at this address.
pub fn acme(url: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.write_config(&config(&[("acme", url)]));
    sandbox.env("AUTHCTL_ACME_TOKEN", KEY);
    sandbox
}

/// Reads until that has come, and hands back all that came.
pub fn until(connection: &mut TcpStream, wanted: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while !all.windows(wanted.len()).any(|part| part == wanted) {
        let mut chunk = [0; 4096];
        let read = connection.read(&mut chunk).unwrap();
        assert!(read > 0, "ended after {}", all.escape_ascii());
        all.extend_from_slice(&chunk[..read]);
    }
    all
}

impl Lending {
    /// `authctl proxy` with these arguments.
    pub fn proxy(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let words = [&["--json", "proxy"], arguments].concat();
        Self::started(sandbox, sandbox.command(words))
    }

    /// The same by a command that says what `authctl --json proxy` says.
    pub fn started(sandbox: &Sandbox, command: std::process::Command) -> Self {
        let mut running = sandbox.start(command);
        let line = first_line(&mut running);
        let facts: Value = serde_json::from_str(&line).unwrap();
        let url = facts["url"].as_str().unwrap();
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        let key = facts["key"].as_str().unwrap().to_owned();
        Self { running: Some(running), port, key, variables: HashMap::new() }
    }

    /// `authctl exec --proxy` with these arguments and a command that shows its environment and waits.
    pub fn exec(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let script = "env; echo; cat > /dev/null";
        let words = [&["exec", "--proxy"], arguments, &["--", "sh", "-c", script]].concat();
        let mut command = sandbox.command(words);
        command.stdin(Stdio::piped());
        let mut running = sandbox.start(command);
        eventually("the command's environment", || {
            let ended = running.child.try_wait().unwrap().is_some();
            assert!(!ended, "ended early: {}", running.stderr());
            running.stdout().contains("\n\n").then_some(())
        });
        let text = running.stdout();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let variables: HashMap<_, _> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let port = variables["AUTHCTL_PROXY_URL"].rsplit(':').next().unwrap().parse().unwrap();
        Self { running: Some(running), port, key: String::new(), variables }
    }

    /// Ends it, and hands back what it said.
    pub fn end(mut self) -> Output {
        let mut running = self.running.take().unwrap();
        match running.child.stdin.take() {
            Some(input) => drop(input),
            None => interrupt(&running),
        }
        running.finish()
    }

    /// What it has said so far on stderr.
    pub fn stderr(&self) -> String {
        self.running.as_ref().unwrap().stderr()
    }

    /// Its memory, in kB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.running.as_ref().unwrap().child.id()
    }

    /// Sends exactly these bytes and reads until the proxy hangs up.
    pub fn say(&self, bytes: &[u8]) -> Vec<u8> {
        say(self.port, bytes)
    }

    /// One request with these further header lines; the connection is closed after it.
    pub fn ask(&self, line: &str, headers: &str, body: &[u8]) -> Reply {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{headers}\r\n",
            self.port
        );
        only(&self.say(&[head.as_bytes(), body].concat()))
    }

    /// The same with the key.
    pub fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path}"), &self.bearer(), b"")
    }

    /// The header line with the key.
    pub fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.key)
    }

    /// A connection to it that waits for long enough.
    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

fn interrupt(running: &Running) {
    let pid = rustix::process::Pid::from_child(&running.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

fn first_line(running: &mut Running) -> String {
    eventually("the proxy's first line", || {
        let ended = running.child.try_wait().unwrap().is_some();
        assert!(!ended, "ended early: {}", running.stderr());
        let text = running.stdout();
        text.split_once('\n').map(|(line, _)| line.to_owned())
    })
}

pub fn connect(port: u16) -> TcpStream {
    let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection
}

pub fn say(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut connection = connect(port);
    let (mut writer, said) = (connection.try_clone().unwrap(), bytes);
    let bytes = bytes.to_vec();
    // A proxy that has heard enough does not read on.
    let writing = thread::spawn(move || writer.write_all(&bytes).is_ok());
    let mut answer = Vec::new();
    let mut chunk = vec![0; 65_536];
    loop {
        match connection.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                let said = &said[..said.len().min(1000)];
                panic!("{error}: {}: {}", said.escape_ascii(), answer.escape_ascii())
            }
        }
    }
    writing.join().unwrap();
    answer
}

/// The only answer in these bytes.
#[track_caller]
pub fn only(bytes: &[u8]) -> Reply {
    let replies = replies(bytes);
    assert_eq!(replies.len(), 1, "{}", bytes.escape_ascii());
    replies.into_iter().next().unwrap()
}

/// The answers in these bytes, in their order, interim ones too.
pub fn replies(mut bytes: &[u8]) -> Vec<Reply> {
    let mut all = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end + 2]).into_owned();
        bytes = &bytes[end + 4..];
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let mut reply =
            Reply { status, head, body: Vec::new(), trailers: String::new(), is_whole: true };
        if status >= 200 && !matches!(status, 204 | 304) {
            bytes = reply.read_body(bytes);
        }
        all.push(reply);
    }
    all
}

impl Reply {
    fn read_body<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        if let Some(length) = self.value("content-length") {
            let length: usize = length.parse().unwrap();
            self.is_whole = bytes.len() >= length;
            let (body, rest) = bytes.split_at(length.min(bytes.len()));
            self.body = body.to_vec();
            return rest;
        }
        if self.value("transfer-encoding").as_deref() != Some("chunked") {
            self.body = bytes.to_vec();
            return b"";
        }
        self.is_whole = false;
        while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
            let size = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let size = usize::from_str_radix(&size, 16).unwrap();
            bytes = &bytes[end + 2..];
            if size == 0 {
                let Some(end) =
                    [&b"\r\n"[..], bytes].concat().windows(4).position(|four| four == b"\r\n\r\n")
                else {
                    return bytes;
                };
                self.trailers = String::from_utf8_lossy(&bytes[..end]).into_owned();
                self.is_whole = true;
                return &bytes[end + 2..];
            }
            if bytes.len() < size + 2 {
                self.body.extend_from_slice(bytes);
                return b"";
            }
            self.body.extend_from_slice(&bytes[..size]);
            bytes = &bytes[size + 2..];
        }
        bytes
    }

    pub fn values(&self, name: &str) -> Vec<String> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let same = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.trim().to_owned()).collect()
    }

    pub fn value(&self, name: &str) -> Option<String> {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} came {} times: {}", values.len(), self.head);
        values.into_iter().next()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Asserts an answer of the proxy's own, with this status and code and a message, and hands back the message.
    #[track_caller]
    pub fn refusal(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.value("authctl-error").as_deref(), Some(code), "{self:?}");
        assert_eq!(self.value("content-type").as_deref(), Some("application/json"), "{self:?}");
        let said: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(said["error"]["code"], code, "{said}");
        let message = said["error"]["message"].as_str().unwrap().to_owned();
        assert!(!message.is_empty());
        message
    }
}
