//! A host on the stdio of `authctl mcp`: says what its test wants, and reads what comes.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::sandbox::Sandbox;
use super::{PATIENCE, eventually, eventually_within};

pub struct Host {
    pub child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    said: Arc<Mutex<Vec<u8>>>,
    stderr: Option<JoinHandle<()>>,
    /// What came that nobody waited for.
    pub asides: Vec<Value>,
    /// How long it waits for a message.
    pub patience: Duration,
    next: u64,
}

impl Host {
    /// `authctl mcp` with these arguments, and a host that reads.
    pub fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut host = Self::deaf(sandbox, arguments);
        let stdout = BufReader::new(host.child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        host.lines = lines;
        host
    }

    /// One that does not read.
    pub fn deaf(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut command = sandbox.command([&["mcp"], arguments].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let said = Arc::new(Mutex::new(Vec::new()));
        let stderr = Some(collect(child.stderr.take().unwrap(), said.clone()));
        Self {
            child,
            stdin,
            lines: channel().1,
            said,
            stderr,
            asides: Vec::new(),
            patience: PATIENCE,
            next: 0,
        }
    }

    /// What stderr has brought so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// All that stderr had to say, once authctl has ended.
    pub fn last_words(&mut self) -> String {
        self.last_words_with(0)
    }

    /// The same where it ends with another status than 0.
    pub fn last_words_with(&mut self, code: i32) -> String {
        let status = self.end();
        assert_eq!(status.code(), Some(code), "{status}: {}", self.said());
        self.stderr.take().unwrap().join().unwrap();
        self.said()
    }

    /// A host that has shaken hands.
    pub fn met(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut host = Self::start(sandbox, arguments);
        assert!(host.initialize()["result"].is_object());
        host
    }

    pub fn send_line(&mut self, line: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_ref()).unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    pub fn send(&mut self, message: &Value) {
        self.send_line(message.to_string());
    }

    pub fn notify(&mut self, method: &str) {
        self.send(&json!({"jsonrpc": "2.0", "method": method}));
    }

    /// Sends a request; gives its id.
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let id = json!(self.next);
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// Waits for the response to `id`.
    #[track_caller]
    pub fn answer(&mut self, id: &Value) -> Value {
        let is_it = |message: &Value| message["id"] == *id && message.get("method").is_none();
        self.receive(&format!("the response to {id}"), is_it)
    }

    #[track_caller]
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        let id = self.ask(method, params);
        self.answer(&id)
    }

    /// The first message that `is_it`, also if it came already.
    #[track_caller]
    pub fn receive(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.asides.iter().position(&is_it) {
            return self.asides.remove(at);
        }
        loop {
            let line = self.lines.recv_timeout(self.patience);
            let line = line.unwrap_or_else(|_| panic!("never came: {what}; {:?}", self.asides));
            let message = parsed(&line);
            if is_it(&message) {
                return message;
            }
            self.asides.push(message);
        }
    }

    pub fn initialize(&mut self) -> Value {
        let id = self.hello();
        let greeting = self.answer(&id);
        self.notify("notifications/initialized");
        greeting
    }

    /// Sends `initialize`; gives its id.
    pub fn hello(&mut self) -> Value {
        self.hello_with(&json!({"roots": {}, "sampling": {}, "elicitation": {}}))
    }

    /// The same for a host that can do this.
    pub fn hello_with(&mut self, capabilities: &Value) -> Value {
        self.ask(
            "initialize",
            &json!({
                "protocolVersion": "2025-11-25",
                "capabilities": capabilities,
                "clientInfo": {"name": "test-host", "version": "1"},
            }),
        )
    }

    /// Closes stdin.
    pub fn leave(&mut self) {
        drop(self.stdin.take());
    }

    /// Ends the host: closes stdin, and waits. All that came meanwhile is among the asides then.
    pub fn end(&mut self) -> ExitStatus {
        self.leave();
        self.ended_within(PATIENCE)
    }

    pub fn ended_within(&mut self, patience: Duration) -> ExitStatus {
        let status = self.child_ended(patience);
        let rest = || self.lines.recv_timeout(PATIENCE).ok();
        let rest: Vec<String> = std::iter::from_fn(rest).collect();
        self.asides.extend(rest.iter().map(|line| parsed(line)));
        status
    }

    pub fn child_ended(&mut self, patience: Duration) -> ExitStatus {
        eventually_within(patience, "the end of authctl", || self.child.try_wait().unwrap())
    }

    /// The resident memory of authctl in MiB.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

fn collect(mut stream: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            into.lock().unwrap().extend_from_slice(&chunk[..read]);
        }
    })
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        eventually("the end of authctl", || self.child.try_wait().unwrap());
    }
}

/// A line of stdout: one JSON value, and nothing else.
#[track_caller]
fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON on stdout: {line:?}"))
}
