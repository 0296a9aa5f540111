//! `authctl mcp --listen -- COMMAND`: a local server for HTTP clients of this computer, and for nobody else.
//!
//! | id | promise | test |
//! |---|---|---|
//! | L1 | loopback only | `it_listens_on_loopback_alone` |
//! | L2 | own hosts, no foreign origins, a secret | `only_own_hosts_own_origins_and_the_secret_come_in` |

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::json_output::assert_is;
use crate::support::launcher::{is_gone, pid, pid_of};
use crate::support::sandbox::{Running, Sandbox};
use crate::support::stdio_host::{prepare, server, server_log, text};
use crate::support::{PATIENCE, eventually};

const TOKEN: &str = "sk-listen/0123456789";

/// A listener around the scripted server.
struct Listening {
    sandbox: Sandbox,
    running: Running,
    port: u16,
    secret: Option<String>,
}

/// An answer as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The messages of an event stream.
    fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| !data.is_empty())
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

impl Listening {
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut sandbox = Sandbox::new();
        sandbox.env("AUTHCTL_OPENAI_TOKEN", TOKEN);
        for (name, value) in variables {
            sandbox.env(name, value);
        }
        prepare(&mut sandbox);
        let mut command = sandbox.command(["mcp", "--json", "--listen"]);
        command.args(arguments).args(["--with", "openai=DEMO_TOKEN", "--", "sh"]).arg(server());
        let running = sandbox.start(command);
        let said = eventually("the address", || {
            let said = running.stdout();
            said.contains('\n').then_some(said)
        });
        let said = assert_is("mcp_listen", &said);
        let url = said["url"].as_str().unwrap();
        let port = url.strip_prefix("http://127.0.0.1:").unwrap().strip_suffix("/mcp").unwrap();
        let secret = said["secret"].as_str().map(str::to_owned);
        Self { sandbox, running, port: port.parse().unwrap(), secret }
    }

    /// Sends a request with exactly these headers, and leaves the connection open.
    fn open(&self, method: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("{method} /mcp HTTP/1.1\r\n");
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.extend(["Content-Length: ", &body.len().to_string(), "\r\n\r\n", body]);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// What a client sends with every request, and `more`.
    fn with<'a>(
        &'a self,
        more: &[(&'a str, &'a str)],
        own: &'a mut Vec<String>,
    ) -> Vec<(&'a str, &'a str)> {
        own.push(format!("127.0.0.1:{}", self.port));
        own.push(self.secret.as_ref().map_or(String::new(), |secret| format!("Bearer {secret}")));
        let mut all = vec![
            ("Host", own[0].as_str()),
            ("Authorization", own[1].as_str()),
            ("Accept", "application/json, text/event-stream"),
            ("Content-Type", "application/json"),
        ];
        all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        all.extend(more);
        all
    }

    fn send(&self, method: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let mut own = Vec::new();
        let mut headers = self.with(more, &mut own);
        headers.push(("Connection", "close"));
        read(self.open(method, &headers, body))
    }

    fn post(&self, session: &str, message: &Value) -> Answer {
        let headers = [("Mcp-Session-Id", session), ("MCP-Protocol-Version", "2025-11-25")];
        self.send("POST", &headers, &message.to_string())
    }

    fn call(&self, session: &str, id: u64, tool: &str) -> Answer {
        self.post(session, &call(id, tool))
    }

    /// A session, after its handshake.
    fn session(&self) -> String {
        let answer = self.send("POST", &[], &initialize().to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["result"]["serverInfo"]["name"], "scripted");
        let session = answer.header("mcp-session-id").unwrap();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let told = self.post(&session, &initialized);
        assert_eq!((told.status, &*told.body), (202, ""));
        session
    }

    /// The stream of a session, line by line.
    fn stream(&self, session: &str, last_id: Option<&str>) -> BufReader<TcpStream> {
        let mut more = vec![("Mcp-Session-Id", session), ("Accept", "text/event-stream")];
        more.push(("Connection", "close"));
        more.extend(last_id.map(|id| ("Last-Event-ID", id)));
        let mut own = Vec::new();
        let headers = self.with(&more, &mut own);
        let mut stream = BufReader::new(self.open("GET", &headers, ""));
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        stream
    }

    /// The processes of servers that were started.
    fn servers(&self) -> Vec<Pid> {
        let log = server_log(&self.sandbox);
        let started = log.iter().filter_map(|line| line.strip_prefix("started "));
        started.map(|line| pid(line.split(' ').next().unwrap())).collect()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = kill_process(pid_of(&self.running), Signal::TERM);
        let _ = self.running.child.wait();
    }
}

fn initialize() -> Value {
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
}

fn call(id: u64, tool: &str) -> Value {
    let params = json!({"name": tool, "arguments": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

/// A request of 2026-07-28, and its headers.
fn modern(id: u64, method: &str, name: Option<&str>) -> (Value, Vec<(&'static str, String)>) {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut params = json!({"_meta": meta});
    let mut headers =
        vec![("MCP-Protocol-Version", "2026-07-28".to_owned()), ("Mcp-Method", method.to_owned())];
    if let Some(name) = name {
        params["name"] = name.into();
        headers.push(("Mcp-Name", name.to_owned()));
    }
    (json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}), headers)
}

/// A call of a tool in the name of a client.
fn called_by(client: &str, tool: &str) -> (Value, Vec<(&'static str, String)>) {
    let (mut call, headers) = modern(1, "tools/call", Some(tool));
    call["params"]["_meta"]["io.modelcontextprotocol/clientInfo"] =
        json!({"name": client, "version": "1"});
    call["params"]["arguments"] = json!({});
    (call, headers)
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let all = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {all:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunked(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        whole += &rest[..length];
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

/// Reads a stream until an event has `part` in it; the id of that event.
fn event_with(stream: &mut BufReader<TcpStream>, part: &str) -> String {
    let (mut id, mut line) = (String::new(), String::new());
    let began = Instant::now();
    loop {
        line.clear();
        // A quiet stream goes on being alive.
        assert!(began.elapsed() < PATIENCE, "the stream says nothing of {part}");
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the stream ended before {part}");
        if let Some(found) = line.strip_prefix("id: ") {
            found.trim().clone_into(&mut id);
        }
        if line.starts_with("data: ") && line.contains(part) {
            return id;
        }
    }
}

// ---------------------------------------------------------------------------------------- who comes in

#[test]
fn it_listens_on_loopback_alone() {
    let listening = Listening::start(&[], &[]);
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap();
        let port = format!(":{:04X}", listening.port);
        let listens = |line: &&str| line.split_whitespace().nth(3) == Some("0A");
        let own = text.lines().filter(listens).filter_map(|line| line.split_whitespace().nth(1));
        found.extend(own.filter_map(|place| Some(place.strip_suffix(&port)?.to_owned())));
    }
    assert!(!found.is_empty());
    let loopback = ["0100007F", "00000000000000000000000001000000"];
    assert!(found.iter().all(|place| loopback.contains(&place.as_str())), "{found:?}");
    let port = listening.port;
    drop(listening);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn only_own_hosts_own_origins_and_the_secret_come_in() {
    let listening = Listening::start(&[], &[]);
    let port = listening.port;
    let [four, name, six] =
        ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
    let other = format!("127.0.0.1:{}", port.wrapping_add(1));
    let foreign = [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("0.0.0.0:{port}"),
        other,
        "127.0.0.1".to_owned(),
    ];
    let own = [four, name, six];
    let origins = [
        None,
        Some(format!("http://localhost:{port}")),
        Some("http://evil.example".to_owned()),
        Some(format!("https://127.0.0.1:{port}")),
        Some("null".to_owned()),
    ];
    let body = initialize().to_string();
    for host in own.iter().chain(&foreign) {
        for origin in &origins {
            let mut more = vec![("Host", host.as_str())];
            more.extend(origin.as_deref().map(|origin| ("Origin", origin)));
            let is_fine = own.contains(host)
                && origin.as_ref().is_none_or(|origin| origin.starts_with("http://localhost:"));
            let answer = listening.send("POST", &more, &body);
            assert_eq!(answer.status, if is_fine { 200 } else { 403 }, "{host} {origin:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    assert_eq!(listening.servers().len(), 6, "a server for each that came in");
    for (host, origin, cause) in
        [("evil.example", None, "Host"), (&*own[0], Some("http://evil.example"), "Origin")]
    {
        let mut more = vec![("Host", host)];
        more.extend(origin.map(|origin| ("Origin", origin)));
        let refused = listening.send("POST", &more, &body).json();
        assert_eq!(refused["id"], Value::Null);
        let what = refused["error"]["message"].as_str().unwrap();
        assert!(what.contains(&format!("the {cause} header")), "{what}");
    }
    for wrong in ["", "Bearer", "Bearer wrong", "Basic x"] {
        let answer = listening.send("POST", &[("Authorization", wrong)], &body);
        assert_eq!(answer.status, 401);
        let what = answer.json()["error"]["message"].clone();
        assert_eq!(what, "the Authorization header has not the secret of this listener");
        assert_eq!(answer.header("www-authenticate").as_deref(), Some("Bearer realm=\"authctl\""));
    }
    assert_eq!(listening.servers().len(), 6);
}

#[test]
fn a_secret_is_printed_once_or_comes_from_a_file_or_is_left_out_aloud() {
    let listening = Listening::start(&[], &[]);
    assert!(listening.secret.as_ref().unwrap().len() >= 20);
    let arguments = std::fs::read(format!("/proc/{}/cmdline", listening.running.child.id()));
    assert!(!String::from_utf8_lossy(&arguments.unwrap()).contains(TOKEN));
    assert!(!listening.running.stdout().contains(TOKEN));
    drop(listening);

    let mut open = Listening::start(&["--no-secret"], &[]);
    assert_eq!(open.secret, None);
    open.running.wait_for("the warning", |line| line.contains("every program").then_some(()));
    open.session();

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "of-this-file-0123456789\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).unwrap();
    let mut filed = Listening::start(&["--secret-file", file.to_str().unwrap()], &[]);
    assert_eq!(filed.secret, None);
    assert_eq!(filed.send("POST", &[], &initialize().to_string()).status, 401);
    filed.secret = Some("of-this-file-0123456789".to_owned());
    filed.session();

    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("short"), "short").unwrap();
    let short = sandbox.path("short");
    let arguments = [
        "mcp",
        "--listen",
        "--with",
        "openai",
        "--secret-file",
        short.to_str().unwrap(),
        "--",
        "cat",
    ];
    sandbox.run(arguments).failure(125);
}

// ------------------------------------------------------------------------------------------- sessions

#[test]
fn a_session_has_a_server_of_its_own() {
    let listening = Listening::start(&[], &[]);
    let (one, two) = (listening.session(), listening.session());
    assert_ne!(one, two);
    let answers = [&one, &two].map(|session| listening.call(session, 2, "who").json());
    assert_ne!(text(&answers[0]), text(&answers[1]));
    assert_eq!(text(&listening.call(&one, 3, "secret").json()), "signed in");
    let echo = listening.call(&one, 4, "echo");
    assert_eq!(echo.header("content-type").as_deref(), Some("application/json"));
    assert!(echo.body.contains(r#""\u0065cho 1.50""#), "{}", echo.body);

    let deleted = listening.send("DELETE", &[("Mcp-Session-Id", &one)], "");
    assert_eq!(deleted.status, 204);
    assert_eq!(listening.call(&one, 5, "who").status, 404);
    let first = listening.servers()[0];
    eventually("the end of the server", || is_gone(first).then_some(()));
    assert_eq!(text(&listening.call(&two, 6, "who").json()), text(&answers[1]));
}

#[test]
fn what_a_server_says_aside_comes_with_the_answer_or_on_the_stream_which_resumes() {
    let listening = Listening::start(&[], &[]);
    let session = listening.session();
    let mut noticing = call(2, "notice");
    noticing["params"]["_meta"] = json!({"progressToken": "p1"});
    let answer = listening.post(&session, &noticing);
    assert_eq!(answer.header("content-type").as_deref(), Some("text/event-stream"));
    let events = answer.events();
    assert_eq!(events[0]["method"], "notifications/progress");
    assert_eq!(text(&events[1]), "noticed");

    // What comes while nobody listens waits for the stream.
    listening.call(&session, 3, "change");
    let mut stream = listening.stream(&session, None);
    let first = event_with(&mut stream, "list_changed");
    drop(stream);
    listening.call(&session, 4, "change");
    listening.call(&session, 5, "change");
    let mut stream = listening.stream(&session, Some(&first));
    let second = event_with(&mut stream, "list_changed");
    let third = event_with(&mut stream, "list_changed");
    assert!(first != second && second != third);
}

#[test]
fn what_a_server_says_around_its_greeting_waits_for_the_stream() {
    let listening = Listening::start(&[], &[("CHATTY", "yes")]);
    for _ in 0..5 {
        let session = listening.session();
        let mut stream = listening.stream(&session, None);
        event_with(&mut stream, r#""before""#);
        event_with(&mut stream, r#""ping""#);
        let answer = json!({"jsonrpc": "2.0", "id": "greeting", "result": {}});
        assert_eq!(listening.post(&session, &answer).status, 202);
        assert_eq!(listening.call(&session, 2, "echo").status, 200);
    }
    let answered = server_log(&listening.sandbox).iter().filter(|line| *line == "answered").count();
    assert_eq!(answered, 5);
}

#[test]
fn questions_of_the_server_come_with_the_call_that_needs_them() {
    let listening = Listening::start(&[], &[]);
    let session = listening.session();
    let mut own = Vec::new();
    let more = [("Mcp-Session-Id", session.as_str())];
    let headers = listening.with(&more, &mut own);
    let asking = listening.open("POST", &headers, &call(2, "ask").to_string());
    let mut asking = BufReader::new(asking);
    event_with(&mut asking, "elicitation/create");
    let answer = json!({"jsonrpc": "2.0", "id": "q1", "result": {"action": "accept"}});
    assert_eq!(listening.post(&session, &answer).status, 202);
    event_with(&mut asking, "answered");
}

#[test]
fn strangers_that_hold_connections_lock_nobody_out() {
    let listening = Listening::start(&[], &[]);
    let session = listening.session();
    let mut stream = listening.stream(&session, None);
    let connect = || TcpStream::connect(("127.0.0.1", listening.port)).unwrap();
    let mut strangers: Vec<_> = (0..400).map(|_| connect()).collect();
    for stranger in &mut strangers {
        let _ = stranger.write_all(b"POST /mcp HTTP/1.1\r\nHost: 127");
    }
    assert_eq!(listening.call(&session, 2, "change").status, 200);
    event_with(&mut stream, "list_changed");
    // Those that were not cut to make room are cut for bringing nothing.
    for stranger in &mut strangers {
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let read = stranger.read_to_end(&mut rest);
        let is_cut = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(read.map_or_else(is_cut, |_| rest.is_empty()), "{rest:?}");
    }
    assert_eq!(listening.call(&session, 3, "echo").status, 200);
}

#[test]
fn bodies_that_do_not_come_lock_nobody_out() {
    let listening = Listening::start(&[], &[]);
    let session = listening.session();
    let mut own = Vec::new();
    let length = ("Content-Length", "9");
    let more = [("Mcp-Session-Id", session.as_str()), ("Expect", "100-continue"), length];
    let mut head = "POST /mcp HTTP/1.1\r\n".to_owned();
    for (name, value) in listening.with(&more, &mut own) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let slow: Vec<TcpStream> = (0..256)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", listening.port)).unwrap();
            stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
            // Its body is waited for.
            stream.read_exact(&mut [0; 25]).unwrap();
            stream
        })
        .collect();
    assert_eq!(listening.call(&session, 2, "echo").status, 200);
    drop(slow);
}

#[test]
fn heads_with_two_readings_are_refused_and_what_follows_them_too() {
    let listening = Listening::start(&[], &[]);
    let mut own = Vec::new();
    let mut head = "POST /mcp HTTP/1.1\r\n".to_owned();
    for (name, value) in listening.with(&[], &mut own) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let body = initialize().to_string();
    let (length, chunk) = (body.len(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    for (fields, body) in [
        (format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"), &chunk),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"), &chunk),
        (format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), &body),
        (format!("Content-Length: {length}\r\nX-Other: y\n"), &body),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", listening.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let again = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        let _ = stream.write_all(format!("{head}{fields}\r\n{body}{again}").as_bytes());
        let answer = read(stream);
        assert_eq!(answer.status, 400, "{fields}");
        assert_eq!(answer.head.matches("HTTP/1.1").count(), 1);
        assert!(!answer.body.contains("HTTP/1.1"), "{answer:?}");
    }
    assert_eq!(listening.servers().len(), 0);
    listening.session();
}

#[test]
fn a_session_that_nobody_uses_gives_way_to_a_new_one() {
    let listening = Listening::start(&[], &[]);
    let (watched, abandoned) = (listening.session(), listening.session());
    let _stream = listening.stream(&watched, None);
    let others: Vec<_> = (2..32).map(|_| listening.session()).collect();
    let new = listening.session();
    assert_eq!(listening.call(&abandoned, 2, "echo").status, 404);
    for session in [&watched, &others[0], &new] {
        assert_eq!(listening.call(session, 2, "echo").status, 200);
    }
    let server = listening.servers()[1];
    eventually("the end of its server", || is_gone(server).then_some(()));

    let _streams: Vec<_> =
        others.iter().chain([&new]).map(|session| listening.stream(session, None)).collect();
    let refused = listening.send("POST", &[], &initialize().to_string());
    assert_eq!(refused.status, 503);
    let what = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(what.contains("32 sessions") && what.contains("--idle"), "{what}");
}

#[test]
fn an_id_that_is_in_use_is_refused_and_its_request_goes_on() {
    let listening = Listening::start(&[], &[]);
    let session = listening.session();
    let mut own = Vec::new();
    let more = [("Mcp-Session-Id", session.as_str()), ("Connection", "close")];
    let headers = listening.with(&more, &mut own);
    let first = listening.open("POST", &headers, &call(2, "slow").to_string());
    eventually("the slow call", || {
        server_log(&listening.sandbox).iter().any(|line| line == "slow").then_some(())
    });
    let second = listening.call(&session, 2, "echo");
    assert_eq!((second.status, &second.json()["error"]["code"]), (400, &json!(-32_600)));
    assert_eq!(second.json()["error"]["message"], "id 2 is in use");
    std::fs::write(listening.sandbox.path("release"), "").unwrap();
    assert!(read(first).body.contains("slow "));
}

#[test]
fn bad_requests_are_refused_by_their_status() {
    let listening = Listening::start(&[], &[]);
    let session = listening.session();
    let fine = call(2, "echo").to_string();
    let status =
        |method: &str, more: &[(&str, &str)], body: &str| listening.send(method, more, body).status;
    let own = ("Mcp-Session-Id", session.as_str());
    assert_eq!(status("POST", &[own], "{"), 400);
    assert_eq!(status("POST", &[own], "[]"), 400);
    assert_eq!(status("POST", &[own], "{}"), 400);
    assert_eq!(status("POST", &[], &fine), 400);
    assert_eq!(status("POST", &[("Mcp-Session-Id", "unknown")], &fine), 404);
    assert_eq!(status("POST", &[own, ("Accept", "application/json")], &fine), 406);
    assert_eq!(status("POST", &[own, ("Content-Type", "text/plain")], &fine), 415);
    assert_eq!(status("POST", &[own, ("MCP-Protocol-Version", "1999-01-01")], &fine), 400);
    assert_eq!(status("PUT", &[own], &fine), 405);
    assert_eq!(status("OPTIONS", &[own], ""), 405);
    assert_eq!(status("GET", &[own, ("Accept", "text/html")], ""), 406);
    assert_eq!(status("GET", &[("Mcp-Session-Id", "unknown")], ""), 404);
    assert_eq!(status("GET", &[], ""), 400);
    assert_eq!(status("DELETE", &[("Mcp-Session-Id", "unknown")], ""), 404);
    assert_eq!(status("GET", &[("MCP-Protocol-Version", "2026-07-28")], ""), 405);
    let long = [own, ("Expect", "100-continue")];
    let mut stream = listening.open("POST", &listening.with(&long, &mut Vec::new()), "");
    drop(stream.write_all(b"x"));
    assert_eq!(listening.call(&session, 3, "echo").status, 200);
}

#[test]
fn idle_sessions_end_with_their_servers_even_while_a_stream_is_open() {
    let listening = Listening::start(&["--idle", "1s"], &[]);
    let session = listening.session();
    let mut stream = listening.stream(&session, None);
    let server = listening.servers()[0];
    eventually("the end of the server", || is_gone(server).then_some(()));
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    eventually("the end of the session", || {
        (listening.call(&session, 2, "echo").status == 404).then_some(())
    });
}

#[test]
fn a_client_that_vanished_during_a_call_does_not_keep_its_server() {
    let listening = Listening::start(&["--idle", "1s"], &[]);
    let session = listening.session();
    let mut own = Vec::new();
    let more = [("Mcp-Session-Id", session.as_str())];
    let headers = listening.with(&more, &mut own);
    let call = listening.open("POST", &headers, &call(2, "never").to_string());
    let waits =
        || server_log(&listening.sandbox).iter().any(|line| line == "waiting").then_some(());
    eventually("the call", waits);
    drop(call);
    let server = listening.servers()[0];
    eventually("the end of the server", || is_gone(server).then_some(()));
}

#[test]
fn a_server_that_ends_takes_its_session_with_it_and_a_signal_all_of_them() {
    let mut listening = Listening::start(&[], &[("STUBBORN", "yes")]);
    let (one, two) = (listening.session(), listening.session());
    let dead = listening.call(&one, 2, "die").json();
    assert_eq!(dead["error"]["message"], "the server has ended with exit status 3");
    eventually("the end of the session", || {
        (listening.call(&one, 3, "echo").status == 404).then_some(())
    });
    assert_eq!(listening.call(&two, 4, "echo").status, 200);
    kill_process(pid_of(&listening.running), Signal::TERM).unwrap();
    let status = eventually("the end", || listening.running.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert!(listening.servers().into_iter().all(is_gone));
}

// ----------------------------------------------------------------------------------------- 2026-07-28

#[test]
fn modern_clients_share_a_server_and_not_their_ids() {
    let listening = Listening::start(&[], &[("MODERN", "yes")]);
    let (discover, headers) = modern(7, "server/discover", None);
    let found = listening.send("POST", &borrowed(&headers), &discover.to_string());
    assert_eq!((found.status, &found.json()["id"]), (200, &json!(7)), "{found:?}");
    assert_eq!(found.json()["result"]["supportedVersions"][0], "2026-07-28");
    assert_eq!(found.header("mcp-session-id"), None);

    let (slow, headers) = modern(1, "tools/call", Some("slow"));
    let mut own = Vec::new();
    let borrowed_headers = borrowed(&headers);
    let all = listening.with(&borrowed_headers, &mut own);
    let mut first = BufReader::new(listening.open("POST", &all, &slow.to_string()));
    eventually("the slow call", || {
        server_log(&listening.sandbox).iter().any(|line| line == "slow").then_some(())
    });
    let (who, headers) = modern(1, "tools/call", Some("who"));
    let second = listening.send("POST", &borrowed(&headers), &who.to_string()).json();
    assert_eq!(second["id"], 1);
    let process = text(&second).strip_prefix("pid ").unwrap().to_owned();
    std::fs::write(listening.sandbox.path("release"), "").unwrap();
    let mut line = String::new();
    while !line.contains(&format!("slow {process}")) {
        line.clear();
        assert_ne!(first.read_line(&mut line).unwrap(), 0);
        if line.starts_with('{') {
            assert!(line.contains(r#""id":1"#) && line.contains("slow"), "{line}");
            break;
        }
        if line.trim().is_empty() {
            let mut body = vec![0; 60];
            let _ = first.read(&mut body).unwrap();
            assert!(String::from_utf8_lossy(&body).contains(r#""id":1"#));
            break;
        }
    }
    assert_eq!(listening.servers().len(), 1);
}

#[test]
fn a_subscription_keeps_its_id_and_a_closed_call_is_cancelled() {
    let listening = Listening::start(&[], &[("MODERN", "yes")]);
    let (listen, headers) = modern(42, "subscriptions/listen", None);
    let mut own = Vec::new();
    let borrowed_headers = borrowed(&headers);
    let all = listening.with(&borrowed_headers, &mut own);
    let mut stream = BufReader::new(listening.open("POST", &all, &listen.to_string()));
    event_with(&mut stream, r#""io.modelcontextprotocol/subscriptionId":42"#);
    drop(stream);
    eventually("the cancellation", || {
        server_log(&listening.sandbox).iter().any(|line| line == "cancelled").then_some(())
    });
}

#[test]
fn nobody_cancels_the_call_of_another_by_the_name_that_it_has_at_the_server() {
    let listening = Listening::start(&[], &[("MODERN", "yes")]);
    let (slow, mut headers) = modern(1, "tools/call", Some("slow"));
    headers.push(("Connection", "close".to_owned()));
    let slow = listening.begin(&(slow, headers));
    listening.wait_for("slow");
    for number in 1..8 {
        let (mut cancel, headers) = modern(0, "notifications/cancelled", None);
        cancel.as_object_mut().unwrap().remove("id");
        cancel["params"]["requestId"] = format!("authctl-{number}").into();
        assert_eq!(listening.ask(&(cancel, headers)).status, 202);
    }
    std::fs::write(listening.sandbox.path("release"), "").unwrap();
    assert!(text(&read(slow).json()).starts_with("slow "));
    assert_eq!(listening.count("cancelled"), 0);
}

#[test]
fn a_server_whose_client_waits_for_an_answer_is_not_idle() {
    let listening = Listening::start(&["--idle", "1s"], &[("MODERN", "yes")]);
    let (slow, mut headers) = modern(1, "tools/call", Some("slow"));
    headers.push(("Connection", "close".to_owned()));
    let slow = listening.begin(&(slow, headers));
    listening.wait_for("slow");
    // It was used before this session, which ends after the same time.
    listening.session();
    let later = *listening.servers().last().unwrap();
    eventually("the end of the session", || is_gone(later).then_some(()));
    std::fs::write(listening.sandbox.path("release"), "").unwrap();
    assert!(text(&read(slow).json()).starts_with("slow "));
}

#[test]
fn calls_that_come_at_once_have_the_tools_listed_once() {
    let listening = Listening::start(&[], &[("MODERN", "yes")]);
    let calls: Vec<_> = (0..8)
        .map(|id| {
            let (call, mut headers) = modern(id, "tools/call", Some("echo"));
            headers.push(("Connection", "close".to_owned()));
            listening.begin(&(call, headers))
        })
        .collect();
    for call in calls {
        assert_eq!(text(&read(call).json()), "echo 1.50");
    }
    assert_eq!(listening.count("listed"), 1);
}

#[test]
fn headers_that_differ_from_the_body_are_refused() {
    let listening = Listening::start(&[], &[("MODERN", "yes")]);
    let (call, fine) = modern(9, "tools/call", Some("echo"));
    let fine = borrowed(&fine);
    assert_eq!(listening.send("POST", &fine, &call.to_string()).status, 200);
    for (index, wrong) in [(1, "tools/list"), (2, "other"), (0, "2025-11-25")] {
        let mut headers = fine.clone();
        headers[index].1 = wrong;
        let refused = listening.send("POST", &headers, &call.to_string());
        assert_eq!(refused.status, 400, "{wrong}");
        assert_eq!(refused.json()["error"]["code"], -32_020, "{wrong}");
        assert_eq!(refused.json()["id"], 9);
    }
    let (mut late, mut headers) = modern(9, "tools/list", None);
    late["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01".into();
    headers[0].1 = "2099-01-01".into();
    let refused = listening.send("POST", &borrowed(&headers), &late.to_string()).json();
    assert_eq!(refused["error"]["code"], -32_022);
    assert_eq!(refused["error"]["data"]["supported"][0], "2026-07-28");
}

impl Listening {
    fn ask(&self, (message, headers): &(Value, Vec<(&'static str, String)>)) -> Answer {
        self.send("POST", &borrowed(headers), &message.to_string())
    }

    /// Sends a request, and leaves the connection open.
    fn begin(&self, (message, headers): &(Value, Vec<(&'static str, String)>)) -> TcpStream {
        let borrowed = borrowed(headers);
        self.open("POST", &self.with(&borrowed, &mut Vec::new()), &message.to_string())
    }

    fn count(&self, line: &str) -> usize {
        server_log(&self.sandbox).iter().filter(|logged| *logged == line).count()
    }

    fn wait_for(&self, line: &str) {
        eventually(line, || (self.count(line) > 0).then_some(()));
    }
}

#[test]
fn a_request_says_what_it_has_to_say() {
    let listening = Listening::start(&[], &[("MODERN", "yes")]);
    let code = |request: &(Value, Vec<(&'static str, String)>)| {
        let refused = listening.ask(request);
        let error = &refused.json()["error"];
        assert_eq!((refused.status, &refused.json()["id"]), (400, &json!(3)), "{refused:?}");
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    };
    let discover = || modern(3, "server/discover", None);
    for key in ["protocolVersion", "clientCapabilities"] {
        let mut request = discover();
        let key = format!("io.modelcontextprotocol/{key}");
        request.0["params"]["_meta"].as_object_mut().unwrap().remove(&key);
        assert_eq!(code(&request), (-32_602, format!("{key} is missing in params._meta")));
    }
    let mut bare = discover();
    bare.0["params"] = json!({});
    assert_eq!(code(&bare).0, -32_602);
    for (index, header) in [(0, "MCP-Protocol-Version"), (1, "Mcp-Method"), (2, "Mcp-Name")] {
        let mut request = modern(3, "tools/call", Some("echo"));
        request.1.remove(index);
        assert_eq!(code(&request), (-32_020, format!("Header mismatch: {header} is missing")));
    }
    // A revision that nobody has heard of, with nothing else that is new.
    let mut unknown = discover();
    unknown.0["params"] = json!({});
    unknown.1[0].1 = "2099-01-01".to_owned();
    assert_eq!(code(&unknown).0, -32_022);
    let mut nameless = modern(3, "tools/call", Some("echo"));
    nameless.0["params"].as_object_mut().unwrap().remove("name");
    assert_eq!(code(&nameless), (-32_602, "params.name is missing".to_owned()));
}

#[test]
fn arguments_that_a_tool_wants_in_headers_have_to_stand_there() {
    for era in [&[("ANNOTATED", "yes"), ("MODERN", "yes")][..], &[("ANNOTATED", "yes")]] {
        let listening = Listening::start(&[], era);
        let call = |arguments: Value, sent: &[(&'static str, &str)]| {
            let (mut call, mut headers) = modern(3, "tools/call", Some("region"));
            call["params"]["arguments"] = arguments;
            headers.extend(sent.iter().map(|(name, value)| (*name, (*value).to_owned())));
            listening.ask(&(call, headers))
        };
        let given = json!({"region": "über", "count": 3});
        let fine = [("mcp-param-region", "=?base64?w7xiZXI=?="), ("Mcp-Param-Count", "3")];
        assert_eq!(text(&call(given.clone(), &fine).json()), "called", "{era:?}");
        assert_eq!(call(json!({}), &[]).status, 200);
        assert_eq!(call(json!({"region": null}), &[("Mcp-Param-Other", "x")]).status, 200);
        let listed = listening.count("listed");
        assert_eq!(listed, 2, "both pages, once");
        for wrong in [
            &fine[..1],
            &[("Mcp-Param-Region", "uber"), fine[1]],
            &[("Mcp-Param-Region", "=?base64?w7xiZXI?="), fine[1]],
            &[fine[0], ("Mcp-Param-Count", "4")],
            &[fine[0], fine[0], fine[1]],
        ] {
            let refused = call(given.clone(), wrong);
            let error = refused.json()["error"].clone();
            assert_eq!((refused.status, &error["code"]), (400, &json!(-32_020)), "{wrong:?}");
            assert!(error["message"].as_str().unwrap().contains("Mcp-Param-"), "{error}");
        }
        assert_eq!(call(json!({}), &fine[..1]).json()["error"]["code"], -32_020);
        assert!(listening.count("listed") > listed, "the list may have changed");
    }
}

// ------------------------------------------------------------------------------- from one era to the other

#[test]
fn a_server_of_sessions_serves_clients_without_them() {
    for strict in [None, Some(("STRICT", "yes"))] {
        let listening = Listening::start(&[], strict.as_slice());
        let found = listening.ask(&modern(1, "server/discover", None));
        assert_eq!(found.status, 200, "{found:?}");
        let result = &found.json()["result"];
        assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "scripted");
        assert_eq!(found.header("mcp-session-id"), None);
        let echo = listening.ask(&modern(2, "tools/call", Some("echo"))).json();
        assert_eq!((text(&echo), &echo["result"]["resultType"]), ("echo 1.50", &json!("complete")));
        let secret = listening.ask(&modern(3, "tools/call", Some("secret"))).json();
        assert_eq!(text(&secret), "signed in");
        let removed = listening.ask(&modern(4, "ping", None));
        assert_eq!((removed.status, &removed.json()["error"]["code"]), (404, &json!(-32_601)));
        assert_eq!(listening.count("initialized"), 1);
        // Those with sessions have theirs meanwhile.
        let session = listening.session();
        assert_eq!(text(&listening.call(&session, 2, "echo").json()), "echo 1.50");
    }
}

#[test]
fn each_kind_of_client_has_a_server_with_sessions_to_itself() {
    let listening = Listening::start(&[], &[]);
    let who = |client: &str| text(&listening.ask(&called_by(client, "who")).json()).to_owned();
    let (first, other) = (who("one"), who("two"));
    assert_ne!(first, other);
    assert_eq!(who("one"), first);
    for client in 0..16 {
        who(&format!("more-{client}"));
    }
    let server = listening.servers()[0];
    eventually("the end of the oldest", || is_gone(server).then_some(()));
    assert_ne!(who("one"), first, "a new one");
}

#[test]
fn a_question_of_a_server_with_sessions_is_a_result_and_the_answer_comes_with_the_next_call() {
    let listening = Listening::start(&[], &[]);
    let (mut call, headers) = modern(1, "tools/call", Some("ask"));
    assert_eq!(text(&listening.ask(&(call.clone(), headers.clone())).json()), "answered", "no");
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    call["params"]["_meta"][capabilities] = json!({"elicitation": {"form": {}}});
    let asked = listening.ask(&(call.clone(), headers.clone())).json()["result"].clone();
    assert_eq!(asked["resultType"], "input_required");
    let (name, question) = asked["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(question["params"]["message"], "yes?");
    call["id"] = 2.into();
    call["params"]["requestState"] = asked["requestState"].clone();
    call["params"]["inputResponses"] = json!({name: {"action": "accept", "content": {}}});
    let answered = listening.ask(&(call, headers)).json();
    assert_eq!((text(&answered), &answered["id"]), ("answered", &json!(2)));
}

/// A call of a client that can be asked with a form; its copies look all the same.
fn askable(id: u64, tool: &str) -> (Value, Vec<(&'static str, String)>) {
    let (mut call, headers) = modern(id, "tools/call", Some(tool));
    call["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({"elicitation": {"form": {}}});
    (call, headers)
}

#[test]
fn a_question_that_may_be_about_anothers_call_is_refused() {
    let listening = Listening::start(&[], &[]);
    let (quiz, mut headers) = askable(1, "quiz");
    headers.push(("Connection", "close".to_owned()));
    let quizzed = listening.begin(&(quiz, headers));
    listening.wait_for("quiz");
    // The server asks about the first call while the second one is the newest.
    let nudging = listening.begin(&askable(2, "nudge"));
    listening.wait_for("refused");
    let quizzed = read(quizzed).json();
    assert_eq!((text(&quizzed), &quizzed["id"]), ("quizzed", &json!(1)));

    // A call that was dropped may be what it is about, until the server knows.
    drop(nudging);
    listening.wait_for("cancelled");
    let asked = listening.ask(&askable(3, "ask")).json();
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert_eq!(listening.count("told"), 0);
}

#[test]
fn what_is_asked_on_the_way_takes_no_id_of_a_request_that_is_open() {
    let listening = Listening::start(&[], &[]);
    let (slow, mut headers) = modern(1, "tools/call", Some("slow"));
    headers.push(("Connection", "close".to_owned()));
    let slow = listening.begin(&(slow, headers));
    listening.wait_for("slow");
    // Each new level is told to the server in a request of authctl's own.
    for level in ["debug", "info", "notice", "warning"] {
        let (mut call, headers) = modern(2, "tools/call", Some("echo"));
        call["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = level.into();
        assert_eq!(text(&listening.ask(&(call, headers)).json()), "echo 1.50");
    }
    std::fs::write(listening.sandbox.path("release"), "").unwrap();
    assert!(text(&read(slow).json()).starts_with("slow "));
}

#[test]
fn a_question_that_is_about_no_call_is_kept_for_no_other_client() {
    let listening = Listening::start(&[], &[]);
    assert_eq!(text(&listening.ask(&askable(1, "after")).json()), "before");
    listening.wait_for("refused");
    let next = listening.ask(&askable(2, "echo")).json();
    assert_eq!(text(&next), "echo 1.50", "{next}");
}

#[test]
fn changes_and_cancelling_reach_the_other_side_of_a_server_with_sessions() {
    let listening = Listening::start(&[], &[]);
    let (mut listen, headers) = modern(42, "subscriptions/listen", None);
    listen["params"]["notifications"] = json!({"toolsListChanged": true});
    let mut stream = BufReader::new(listening.begin(&(listen, headers)));
    event_with(&mut stream, "subscriptions/acknowledged");
    let changed = listening.ask(&modern(2, "tools/call", Some("change"))).json();
    assert_eq!(text(&changed), "changed");
    event_with(&mut stream, r#""io.modelcontextprotocol/subscriptionId":42"#);
    let never = listening.begin(&modern(3, "tools/call", Some("never")));
    listening.wait_for("waiting");
    drop(never);
    listening.wait_for("cancelled");
}

#[test]
fn a_server_without_sessions_serves_clients_with_them() {
    let listening = Listening::start(&[], &[("MODERN", "only")]);
    let (one, two) = (listening.session(), listening.session());
    let answers = [&one, &two].map(|session| listening.call(session, 2, "who").json());
    assert_ne!(text(&answers[0]), text(&answers[1]));
    assert_eq!(text(&listening.call(&one, 3, "echo").json()), "echo 1.50");

    listening.wait_for("listening");
    let mut stream = listening.stream(&one, None);
    assert_eq!(text(&listening.call(&one, 4, "change").json()), "changed");
    event_with(&mut stream, "notifications/tools/list_changed");

    let mut own = Vec::new();
    let more = [("Mcp-Session-Id", one.as_str()), ("Connection", "close")];
    let never =
        listening.open("POST", &listening.with(&more, &mut own), &call(5, "never").to_string());
    listening.wait_for("waiting");
    let params = json!({"requestId": 5});
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    assert_eq!(listening.post(&one, &cancel).status, 202);
    listening.wait_for("cancelled");
    drop(never);

    // Those without sessions have theirs meanwhile.
    let found = listening.ask(&modern(1, "server/discover", None)).json();
    assert_eq!(found["result"]["supportedVersions"][0], "2026-07-28");
    assert_eq!(listening.send("DELETE", &[("Mcp-Session-Id", &one)], "").status, 204);
    let first = listening.servers()[0];
    eventually("the end of the server", || is_gone(first).then_some(()));
}

#[test]
fn a_question_of_a_server_without_sessions_comes_with_the_call_as_a_request() {
    let listening = Listening::start(&[], &[("MODERN", "only")]);
    let mut hello = initialize();
    hello["params"]["capabilities"] = json!({"elicitation": {}});
    let greeting = listening.send("POST", &[], &hello.to_string());
    let session = greeting.header("mcp-session-id").unwrap();
    assert_eq!(greeting.json()["result"]["protocolVersion"], "2025-11-25");
    let mut own = Vec::new();
    let more = [("Mcp-Session-Id", session.as_str())];
    let headers = listening.with(&more, &mut own);
    let asking = listening.open("POST", &headers, &call(2, "ask").to_string());
    let mut asking = BufReader::new(asking);
    event_with(&mut asking, "elicitation/create");
    let answer = json!({"jsonrpc": "2.0", "id": "authctl-input-1", "result": {"action": "accept"}});
    assert_eq!(listening.post(&session, &answer).status, 202);
    event_with(&mut asking, "answered");
}

#[test]
fn every_method_wants_the_secret_and_no_other_site_may_send_one() {
    let listening = Listening::start(&[], &[]);
    let session = listening.session();
    // Whoever came in would hear that there is no such session.
    let named = ("Mcp-Session-Id", "another");
    for method in ["GET", "DELETE", "POST", "OPTIONS", "PUT"] {
        let strange = [named, ("Authorization", "Bearer wrong")];
        assert_eq!(listening.send(method, &strange, "").status, 401, "{method}");
        let other_site = [named, ("Sec-Fetch-Site", "cross-site")];
        assert_eq!(listening.send(method, &other_site, "").status, 403, "{method}");
    }
    // The session is as it was.
    assert_eq!(text(&listening.call(&session, 2, "echo").json()), "echo 1.50");
}

/// As a proxy is asked: the host is named twice, and the header is not the one that counts.
#[test]
fn an_address_in_place_of_a_path_is_refused() {
    let listening = Listening::start(&[], &[]);
    let (port, secret) = (listening.port, listening.secret.clone().unwrap());
    for host in [format!("127.0.0.1:{port}"), "evil.example".to_owned()] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let head = format!(
            "DELETE http://{host}/mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Authorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(read(stream).status, 403, "{host}");
    }
}
