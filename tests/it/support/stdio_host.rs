//! An MCP host that starts a server command and speaks to it on its stdin and stdout, a line a message.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::sandbox::{Output, Running, Sandbox};
use super::{PATIENCE, eventually};

/// The scripted server.
pub fn server() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/stdio_server.sh")
}

/// What the scripted server wrote down.
pub fn server_log(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.path("server-log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Lets the scripted server know where its files are.
pub fn prepare(sandbox: &mut Sandbox) {
    for (name, place) in
        [("SERVER_LOG", "server-log"), ("REVOKED", "revoked"), ("RELEASE", "release")]
    {
        let place = sandbox.path(place);
        sandbox.env(name, place);
    }
}

pub struct Host {
    pub running: Running,
    stdin: Option<ChildStdin>,
    taken: Arc<Mutex<usize>>,
}

impl Host {
    pub fn start(sandbox: &Sandbox, mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        let mut running = sandbox.start(command);
        let stdin = running.child.stdin.take();
        Self { running, stdin, taken: Arc::default() }
    }

    /// `authctl mcp` with further arguments, around the scripted server.
    pub fn around(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut command = sandbox.command([&["mcp"], arguments].concat());
        command.args(["--", "sh"]).arg(server());
        Self::start(sandbox, command)
    }

    pub fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Every line of stdout so far.
    pub fn lines(&self) -> Vec<String> {
        let text = self.running.stdout();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        BufReader::new(whole.as_bytes()).lines().map(Result::unwrap).collect()
    }

    /// Waits for the line that `pick` wants.
    pub fn line(&self, what: &str, pick: impl Fn(&Value) -> bool) -> String {
        eventually(what, || {
            self.lines().into_iter().find(|line| pick(&serde_json::from_str(line).unwrap()))
        })
    }

    /// Waits for the answer to a request.
    pub fn answer(&self, id: u64) -> Value {
        let is_answer = |message: &Value| message["id"] == id && message.get("method").is_none();
        serde_json::from_str(&self.line(&format!("the answer to {id}"), is_answer)).unwrap()
    }

    fn next_id(&self) -> u64 {
        let mut taken = self.taken.lock().unwrap();
        *taken += 1;
        *taken as u64
    }

    /// Sends a request; its id.
    pub fn ask(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id();
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&request.to_string());
        id
    }

    pub fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id)
    }

    /// Calls a tool, and comes back with what it says.
    pub fn call(&mut self, tool: &str) -> Value {
        self.request("tools/call", &json!({"name": tool, "arguments": {}}))
    }

    /// The handshake of 2025-11-25.
    pub fn initialize(&mut self) -> Value {
        let client = json!({"name": "test-host", "version": "1"});
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let greeting = self.request("initialize", &params);
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        greeting
    }

    /// Closes stdin.
    pub fn say_no_more(&mut self) {
        drop(self.stdin.take());
    }

    /// The same, and waits for the end.
    pub fn leave(mut self) -> Output {
        self.say_no_more();
        self.running.finish_within(PATIENCE)
    }
}

/// The text of a tool's result.
pub fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}
