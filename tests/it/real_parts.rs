//! Starts the real parts of `tests/real/` for one test and ends them with it: a keyring, a certified
//! OpenID provider, a protected API, and the person at the browser.

#![cfg(unix)]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::sandbox::Sandbox;

/// Longest wait for a part to say something; a part that needs longer is broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// The programs that a [`Keyring`] needs.
pub const KEYCHAIN: [&str; 4] =
    ["gnome-keyring-daemon", "dbus-run-session", "dbus-send", "secret-tool"];

/// Whether a test may go on: all `programs` are installed, and the packages of `tests/real` too if
/// `node` is one of them. Where `tests/run` promised them, a missing one fails the test.
pub fn present(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return true;
    }
    self::missing(&missing.join(", "));
    false
}

/// A test cannot go on for want of this. Where `tests/run` promised it, the test fails.
pub fn missing(part: &str) {
    let required = std::env::var_os("AUTHCTL_TEST_PARTS").is_some_and(|value| value == "required");
    assert!(!required, "missing: {part}");
    skipped(&format!("missing {part}; tests/run installs it"));
}

/// Says that this test is skipped, past the capture of the test runner, which would hide it.
pub fn skipped(reason: &str) {
    let thread = std::thread::current();
    let said = format!("skipped {}: {reason}\n", thread.name().unwrap_or("a test"));
    std::io::stderr().write_all(said.as_bytes()).unwrap();
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
        && (program != "node" || real("node_modules/oidc-provider").is_dir())
}

/// A file of `tests/real/`.
pub fn real(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(name)
}

/// A process that says JSON, a value a line, and ends when its standard input does.
struct Part {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Part {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, stdin, lines }
    }

    fn server(script: &str, options: &Value) -> Self {
        Self::start(Command::new("node").arg(real(script)).arg(options.to_string()))
    }

    fn line(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// The certified provider. It has clients `public`, `confidential`, `machine-basic` and
/// `machine-post`; a client's secret is `secret:of+NAME/100%`.
pub struct OpenIdProvider {
    part: Part,
    pub issuer: String,
}

impl OpenIdProvider {
    /// `options` are those of `tests/real/oidc-provider.mjs`.
    pub fn start(options: &Value) -> Self {
        let part = Part::server("oidc-provider.mjs", options);
        let issuer = part.line()["issuer"].as_str().unwrap().to_owned();
        Self { part, issuer }
    }

    /// What was answered at the endpoint since the last look, in order.
    pub fn answers(&self, endpoint: &str) -> Vec<Value> {
        self.all_answers().into_iter().filter(|line| line["endpoint"] == endpoint).collect()
    }

    /// The same for all endpoints.
    pub fn all_answers(&self) -> Vec<Value> {
        self.part.lines.try_iter().collect()
    }
}

/// One of the servers that speak MCP over HTTP.
pub struct McpServer {
    part: Part,
    pub url: String,
}

impl McpServer {
    /// `script` is one of `mcp-legacy.mjs`, `mcp-modern.mjs` and `adcp-agent.mjs` in `tests/real`, `options` are
    /// the script's.
    pub fn start(script: &str, options: &Value) -> Self {
        let part = Part::server(script, options);
        let url = part.line()["url"].as_str().unwrap().to_owned();
        Self { part, url }
    }

    /// What it said since the last look, in order.
    pub fn seen(&self) -> Vec<Value> {
        self.part.lines.try_iter().collect()
    }
}

/// Names of the internet, and the office's proxy that leads to them.
pub struct Internet {
    part: Part,
    /// Origins over plain HTTP/1.1, and over HTTP/2 without TLS.
    pub plain: String,
    pub h2c: String,
    /// The proxy, and the authority that vouches for the names.
    pub office: String,
    pub authority: PathBuf,
}

impl Internet {
    /// `options` are those of `tests/real/origin.mjs`.
    pub fn start(options: &Value) -> Self {
        let part = Part::server("origin.mjs", options);
        let first = part.line();
        let read = |name: &str| first[name].as_str().unwrap().to_owned();
        let [plain, h2c, office] = ["plain", "h2c", "office"].map(read);
        Self { plain, h2c, office, authority: read("ca").into(), part }
    }

    /// What came since the last look, in order.
    pub fn seen(&self) -> Vec<Value> {
        self.part.lines.try_iter().collect()
    }
}

/// Models that answer whoever has the key.
pub struct ModelServer {
    part: Part,
    pub url: String,
}

impl ModelServer {
    pub fn start(key: &str) -> Self {
        let part = Part::server("model-server.mjs", &json!({ "key": key }));
        let url = part.line()["url"].as_str().unwrap().to_owned();
        Self { part, url }
    }

    /// From now on this key is the one that is let in. What came before is forgotten.
    pub fn wants(&mut self, key: &str) {
        writeln!(self.part.stdin.as_ref().unwrap(), "{}", json!({ "key": key })).unwrap();
        while self.part.line()["done"].is_null() {}
    }

    /// What came since the last look, in order.
    pub fn seen(&self) -> Vec<Value> {
        self.part.lines.try_iter().collect()
    }
}

/// The identity tokens of a job of GitHub Actions.
pub struct CiIdentity {
    part: Part,
    pub issuer: String,
    pub request_url: String,
    pub jwks_uri: String,
}

impl CiIdentity {
    /// `options` are those of `tests/real/ci-identity.mjs`.
    pub fn start(options: &Value) -> Self {
        let part = Part::server("ci-identity.mjs", options);
        let first = part.line();
        let read = |name: &str| first[name].as_str().unwrap().to_owned();
        let (issuer, request_url) = (read("issuer"), read("request_url"));
        Self { issuer, request_url, jwks_uri: read("jwks_uri"), part }
    }

    /// How requests for a token were answered since the last look.
    pub fn answers(&self) -> Vec<Value> {
        self.part.lines.try_iter().collect()
    }
}

/// An API that takes the tokens of one issuer, and asks it about each.
pub struct ProtectedApi {
    part: Part,
    pub url: String,
}

impl ProtectedApi {
    pub fn start(provider: &OpenIdProvider, audience: Option<&str>) -> Self {
        let options = json!({ "issuer": provider.issuer, "audience": audience });
        let part = Part::server("protected-api.mjs", &options);
        let url = part.line()["url"].as_str().unwrap().to_owned();
        Self { part, url }
    }

    /// What was answered since the last look, in order.
    pub fn answers(&self) -> Vec<Value> {
        self.part.lines.try_iter().collect()
    }

    /// A program that calls the API with the token of the variable `TOKEN`, and prints status and body.
    pub fn caller(&self) -> [String; 3] {
        let script = format!(
            "fetch('{}', {{ headers: {{ authorization: `Bearer ${{process.env.TOKEN}}` }} }})
               .then(async (answer) => console.log(answer.status, await answer.text()))",
            self.url
        );
        ["node".to_owned(), "-e".to_owned(), script]
    }

    /// The status with which the API answers this token.
    pub fn status(&self, token: &str) -> u16 {
        let [program, flag, script] = self.caller();
        let output =
            Command::new(program).args([flag, script]).env("TOKEN", token).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    }
}

/// An MCP server of the legacy era, by the official TypeScript SDK.
pub struct LegacyMcp {
    part: Part,
    pub url: String,
}

impl LegacyMcp {
    /// `options` are those of `tests/real/mcp-legacy.mjs`.
    pub fn start(options: &Value) -> Self {
        let part = Part::server("mcp-legacy.mjs", options);
        let url = part.line()["url"].as_str().unwrap().to_owned();
        Self { part, url }
    }

    /// Has it do one of the things that its script knows, and waits until it is done.
    pub fn command(&mut self, word: &str) {
        writeln!(self.part.stdin.as_ref().unwrap(), "{word}").unwrap();
        while self.part.line()["done"].is_null() {}
    }

    /// What came since the last look, in order.
    pub fn seen(&self) -> Vec<Value> {
        self.part.lines.try_iter().collect()
    }
}

/// `@modelcontextprotocol/server-everything` over HTTP.
pub struct Everything {
    child: Child,
    pub url: String,
}

impl Everything {
    /// `transport` is `streamableHttp` or `sse`.
    pub fn start(transport: &str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let script = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";
        let mut command = Command::new("node");
        command.arg(real(script)).arg(transport).env("PORT", address.port().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        eventually("a listener", || std::net::TcpStream::connect(address).ok());
        let path = if transport == "sse" { "sse" } else { "mcp" };
        Self { child, url: format!("http://{address}/{path}") }
    }
}

impl Drop for Everything {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Someone in front of headless Chromium, who signs in and agrees.
pub struct Person {
    report: PathBuf,
    manner: Value,
}

impl Person {
    /// `manner` is PERSON of `tests/real/browser.mjs`. From now on the sandbox's browser is this
    /// person's.
    pub fn at(sandbox: &mut Sandbox, manner: Value) -> Self {
        let person = Self { report: sandbox.path("person.json"), manner };
        let _ = std::fs::remove_file(&person.report); // of a person before
        for (name, value) in person.variables() {
            sandbox.env(name, value);
        }
        person
    }

    fn variables(&self) -> [(&'static str, OsString); 3] {
        [
            ("BROWSER", real("browser.mjs").into()),
            ("PERSON", self.manner.to_string().into()),
            ("PERSON_REPORT", self.report.clone().into()),
        ]
    }

    /// Reads this code somewhere.
    pub fn learns(&mut self, user_code: &str) {
        self.manner["user_code"] = json!(user_code);
    }

    /// Opens the page and does what it asks for; where that ended.
    pub fn opens(&self, url: &str) -> Value {
        let mut browser = Command::new(real("browser.mjs"));
        browser.arg(url).envs(self.variables());
        browser.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        self.report()
    }

    /// Waits until the browser is closed; where it ended, and by which pages.
    pub fn report(&self) -> Value {
        eventually("the person's end", || {
            serde_json::from_slice(&std::fs::read(&self.report).ok()?).unwrap()
        })
    }
}

/// A Secret Service of its own: gnome-keyring on a private bus, with an unlocked, empty keyring.
pub struct Keyring {
    _part: Part,
    /// DBUS_SESSION_BUS_ADDRESS.
    bus: String,
    daemon: rustix::process::Pid,
    home: tempfile::TempDir,
    successor: Option<Child>,
}

impl Keyring {
    pub fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let hold = r#"printf '{"bus":"%s","pid":%s}\n' "$DBUS_SESSION_BUS_ADDRESS" "$KEYRING_PID"; exec cat"#;
        let mut command = Command::new(real("with-keyring.sh"));
        let part = Part::start(command.args(["sh", "-c", hold]).env("KEYRING_HOME", home.path()));
        let first = part.line();
        let pid = i32::try_from(first["pid"].as_i64().unwrap()).unwrap();
        Self {
            _part: part,
            bus: first["bus"].as_str().unwrap().to_owned(),
            daemon: rustix::process::Pid::from_raw(pid).unwrap(),
            home,
            successor: None,
        }
    }

    /// Makes this keychain the one of the sandbox.
    pub fn serve(&self, sandbox: &mut Sandbox) {
        sandbox.env("AUTHCTL_STORE", "keychain").env("DBUS_SESSION_BUS_ADDRESS", &self.bus);
    }

    /// A program on this keychain's bus.
    fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("DBUS_SESSION_BUS_ADDRESS", &self.bus);
        command
    }

    /// The secret that another program finds under authctl's attributes.
    pub fn lookup(&self, user: &str) -> Option<String> {
        let attributes = ["lookup", "service", "authctl", "username", user];
        let output = self.program("secret-tool", &attributes).output().unwrap();
        let secret = String::from_utf8(output.stdout).unwrap();
        output.status.success().then_some(secret)
    }

    /// Another program keeps an item that fits authctl's attributes, with one attribute more.
    pub fn add_rival(&self, user: &str) {
        let attributes = ["service", "authctl", "username", user, "rival", "yes"];
        let store = [&["store", "--label=rival"], &attributes[..]].concat();
        let mut child = self.program("secret-tool", &store).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"rival").unwrap();
        assert!(child.wait().unwrap().success());
    }

    pub fn lock(&self) {
        let call = [
            "--session",
            "--print-reply",
            "--dest=org.freedesktop.secrets",
            "/org/freedesktop/secrets",
            "org.freedesktop.Secret.Service.Lock",
            "array:objpath:/org/freedesktop/secrets/aliases/default",
        ];
        assert!(self.program("dbus-send", &call).output().unwrap().status.success());
    }

    /// The daemon stays on the bus and answers nobody any more.
    pub fn freeze(&self) {
        rustix::process::kill_process(self.daemon, rustix::process::Signal::STOP).unwrap();
    }

    pub fn thaw(&self) {
        rustix::process::kill_process(self.daemon, rustix::process::Signal::CONT).unwrap();
    }

    /// Ends the daemon; the bus stays.
    pub fn die(&self) {
        rustix::process::kill_process(self.daemon, rustix::process::Signal::KILL).unwrap();
        self.wait_for_owner(false);
    }

    /// A new daemon takes the place of the dead one, unlocked, with what was kept.
    pub fn rise(&mut self) {
        let runtime = tempfile::tempdir_in(self.home.path()).unwrap().keep();
        let arguments = ["--foreground", "--unlock", "--components=secrets"];
        let mut command = self.program("gnome-keyring-daemon", &arguments);
        command.env("HOME", self.home.path()).env("XDG_RUNTIME_DIR", runtime);
        command.env("XDG_DATA_HOME", self.home.path().join(".local/share"));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"pw").unwrap();
        self.successor = Some(child);
        self.wait_for_owner(true);
    }

    /// Waits until the name of the Secret Service has an owner, or none.
    fn wait_for_owner(&self, expected: bool) {
        let question = [
            "--session",
            "--print-reply",
            "--dest=org.freedesktop.DBus",
            "/",
            "org.freedesktop.DBus.NameHasOwner",
            "string:org.freedesktop.secrets",
        ];
        eventually("a change of the keychain", || {
            let output = self.program("dbus-send", &question).output().unwrap();
            let owned = String::from_utf8_lossy(&output.stdout).contains("boolean true");
            (owned == expected).then_some(())
        });
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.successor.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
