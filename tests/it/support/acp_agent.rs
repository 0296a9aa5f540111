//! An agent that speaks ACP as its script says: what it offers, what it takes for a credential, and what goes
//! wrong with it. It is the test binary itself, started through a program that has the name of a real agent.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead, Read, Write, stdin, stdout};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::sandbox::Sandbox;

/// What the agent is told.
const SCRIPT: &str = "FAKE_ACP_SCRIPT";
const LOG: &str = "FAKE_ACP_LOG";
const WORDS: &str = "FAKE_ACP_WORDS";

/// Puts an agent of this name into the sandbox, which does as `script` says:
/// `wants` (what opens sessions: `providers`, `gateway`, `in-band`, `variable`, `authenticate`, `argument`,
/// `helper`, `parameter` (with `word`), `kept` (from an earlier run), `nothing`), `methods`, `capabilities`, `refusal`, `faults`, and `rules`: what it does in place of that, each with
/// the method that it is `on` (`response` for an answer), a text that the message has (`if`), at which start (`start`),
/// and what it does then (`do`): `say LINE`, `log LINE` (stderr), `keep`, `exit N`, `spawn SECONDS`, `work N`
/// (N updates, half a second apart), `stuck`. In a line
/// stand `$id`, `$kept` (the request that was kept), `$params` and `$key` for what there is, quoted for a string.
pub fn install(sandbox: &mut Sandbox, name: &str, script: &Value) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = sandbox.path("bin").join(name);
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    let text = format!(
        "#!/bin/sh\n{WORDS}=\"$*\" exec '{}' acp::plays_the_agent --exact --nocapture --quiet\n",
        own.display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.env(SCRIPT, script.to_string());
    let log = sandbox.path("agent-log");
    sandbox.env(LOG, log);
    program
}

/// What agents were started with and told, in order.
pub fn log(sandbox: &Sandbox) -> Vec<Value> {
    let text = std::fs::read_to_string(sandbox.path("agent-log")).unwrap_or_default();
    // The last line may be on its way.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often one was started.
pub fn starts(sandbox: &Sandbox) -> Vec<Value> {
    log(sandbox).into_iter().filter(|line| line["started"].is_object()).collect()
}

/// The messages with this method.
pub fn told(sandbox: &Sandbox, method: &str) -> Vec<Value> {
    log(sandbox).into_iter().filter(|line| line["method"] == method).collect()
}

struct Agent {
    script: Value,
    authenticated: Vec<String>,
    /// Base URL and headers.
    address: Option<(String, BTreeMap<String, String>)>,
    /// The command that prints a key, as `_meta` has it.
    helper: Option<String>,
    /// An earlier run of it was signed in.
    was_kept: bool,
    /// The MCP servers of the session that was opened last.
    servers: Value,
    count: u64,
    kept: Value,
    start: usize,
}

/// Plays the agent, if this process is meant to.
pub fn play() {
    let Ok(script) = std::env::var(SCRIPT) else { return };
    let Ok(words) = std::env::var(WORDS) else { return };
    let keys = ["OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_HOME", "OWN_KEY_COMMAND"];
    let variables: BTreeMap<_, _> =
        keys.iter().filter_map(|key| Some((*key, std::env::var(key).ok()?))).collect();
    note(&json!({"started": {"pid": std::process::id(), "words": words, "variables": variables}}));
    let script = serde_json::from_str(&script).unwrap();
    let log = std::fs::read_to_string(std::env::var(LOG).unwrap()).unwrap();
    let start = log.matches(r#"{"started":"#).count();
    let mut agent = Agent {
        script,
        authenticated: Vec::new(),
        address: None,
        helper: None,
        was_kept: kept().exists(),
        servers: Value::Null,
        count: 0,
        kept: Value::Null,
        start,
    };
    if agent.has_fault("noise") {
        say("Loading \u{1b}[31mplugins");
        say("{\"level\":30,\"msg\":\"a log\"}");
    }
    for line in stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        let mut noted = message.clone();
        noted["raw"] = json!(line);
        note(&noted);
        agent.hear(&message, &line);
    }
    leave(i32::try_from(agent.script["exit"].as_i64().unwrap_or(0)).unwrap());
}

#[expect(
    clippy::disallowed_methods,
    reason = "it plays another program, which leaves as it is told"
)]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

fn note(line: &Value) {
    let path = std::env::var(LOG).unwrap();
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Where an agent keeps its own sign-in.
fn kept() -> PathBuf {
    PathBuf::from(std::env::var(LOG).unwrap()).with_file_name("agent-kept")
}

fn say(line: &str) {
    let mut out = stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

impl Agent {
    fn has_fault(&self, name: &str) -> bool {
        self.script["faults"].as_array().is_some_and(|all| all.iter().any(|it| it == name))
    }

    /// Does what a rule says, if there is one for this message.
    fn obeys(&mut self, message: &Value, line: &str) -> bool {
        let method = message["method"].as_str().unwrap_or("response");
        let rules = self.script["rules"].as_array().cloned().unwrap_or_default();
        let rule = rules.iter().find(|rule| {
            rule["on"] == method
                && rule["if"].as_str().is_none_or(|text| line.contains(text))
                && rule["start"].as_u64().is_none_or(|start| start == self.start as u64)
        });
        let orders = rule.map(|rule| rule["do"].as_array().unwrap());
        for order in orders.into_iter().flatten() {
            let (word, rest) =
                order.as_str().unwrap().split_once(' ').unwrap_or((order.as_str().unwrap(), ""));
            let key = std::env::var("OPENAI_API_KEY").unwrap_or_default();
            let params = json!(message["params"].to_string()).to_string();
            let rest = rest
                .replace("$id", &message["id"].to_string())
                .replace("$kept", &self.kept.to_string())
                .replace("$params", params.trim_matches('"'))
                .replace("$key", &key);
            match word {
                "say" => say(&rest),
                "log" => std::io::stderr().write_all(format!("{rest}\n").as_bytes()).unwrap(),
                "keep" => self.kept = message["id"].clone(),
                "exit" => leave(rest.parse().unwrap()),
                "spawn" => drop(std::process::Command::new("sleep").arg(rest).spawn().unwrap()),
                "work" => (0..rest.parse().unwrap()).for_each(|_: u32| {
                    std::thread::sleep(std::time::Duration::from_millis(500));
                    say(r#"{"jsonrpc":"2.0","method":"session/update","params":"at work"}"#);
                }),
                "stuck" => loop {
                    std::thread::park();
                },
                _ => panic!("{order}"),
            }
        }
        rule.is_some()
    }

    fn hear(&mut self, message: &Value, line: &str) {
        if self.obeys(message, line) {
            return;
        }
        let (id, params) = (&message["id"], &message["params"]);
        if params["mcpServers"].is_array() {
            self.servers = params["mcpServers"].clone();
        }
        let helper = &params["_meta"]["own"]["settings"]["keyHelper"];
        self.helper = helper.as_str().map(str::to_owned).or(self.helper.take());
        match message["method"].as_str().unwrap_or_default() {
            "initialize" if self.has_fault("dies") => leave(3),
            "initialize" => answer(id, &self.greeting(params)),
            "authenticate" | "auth/login" if self.has_fault("silent") => {}
            "authenticate" | "auth/login" => self.authenticate(id, params),
            "providers/set" if self.has_fault("no-providers") => {
                fail(id, &json!({"code": -32603, "message": "Model discovery failed"}));
            }
            "providers/set" => {
                self.authenticated.push("providers".into());
                self.address = Some(address(params));
                answer(id, &json!({}));
            }
            "providers/disable" | "logout" => {
                self.authenticated.clear();
                answer(id, &json!({}));
            }
            "session/new" | "session/load" | "session/resume" if !self.is_open() => {
                let refusal = json!({"code": -32000, "message": "Authentication required"});
                let own = &self.script["refusal"];
                fail(id, if own.is_null() { &refusal } else { own });
            }
            "session/new" => {
                self.count += 1;
                let session = format!("s{}-{}", self.count, std::process::id());
                answer(id, &json!({"sessionId": session}));
            }
            "session/load" => {
                let update = json!({"sessionId": params["sessionId"], "update": {"again": true}});
                say(&json!({"jsonrpc": "2.0", "method": "session/update", "params": update})
                    .to_string());
                answer(id, &json!({}));
            }
            "session/resume" => answer(id, &json!({})),
            "session/prompt" => self.prompt(id, params, line),
            _ if !id.is_null() && message.get("method").is_some() => {
                fail(id, &json!({"code": -32601, "message": "Method not found"}));
            }
            _ => {}
        }
    }

    fn greeting(&self, params: &Value) -> Value {
        let capabilities =
            if params["protocolVersion"] == 2 { "capabilities" } else { "agentCapabilities" };
        json!({
            "protocolVersion": params["protocolVersion"],
            "zzz": {"n": 1.50, "unknown": [null]},
            capabilities: self.script["capabilities"],
            "authMethods": self.script["methods"],
            "agentInfo": {"name": "fake", "version": "1"},
        })
    }

    fn authenticate(&mut self, id: &Value, params: &Value) {
        let meta = &params["_meta"];
        if self.has_fault("keeps") {
            std::fs::write(kept(), "signed in").unwrap();
            return answer(id, &json!({}));
        }
        if let Some(gateway) = meta["gateway"].as_object() {
            self.authenticated.push("gateway".into());
            self.address = Some(address(&Value::Object(gateway.clone())));
        } else if !meta["api-key"].is_null() {
            self.authenticated.push("in-band".into());
        } else if std::env::var("OPENAI_API_KEY").is_ok() {
            self.authenticated.push("authenticate".into());
        } else {
            let data = json!({"envVars": ["OPENAI_API_KEY"]});
            return fail(id, &json!({"code": -32603, "message": "no key", "data": data}));
        }
        answer(id, &json!({}));
    }

    fn is_open(&self) -> bool {
        let has_key = std::env::var("OPENAI_API_KEY").is_ok();
        match self.script["wants"].as_str().unwrap_or("nothing") {
            "nothing" => true,
            "variable" => has_key,
            "helper" => self.ask_helper().is_some(),
            "parameter" => {
                let words = std::env::var(WORDS).unwrap();
                has_key && words.contains(self.script["word"].as_str().unwrap())
            }
            "kept" => self.was_kept,
            "argument" => has_key && std::env::var(WORDS).unwrap().contains("--auth-type=openai"),
            way => self.authenticated.iter().any(|it| it == way),
        }
    }

    fn prompt(&mut self, id: &Value, params: &Value, line: &str) {
        let text = params["prompt"][0]["text"].as_str().unwrap_or_default().to_owned();
        match text.as_str() {
            "echo" => say(&format!(
                "{{\"jsonrpc\":\"2.0\",  \"result\":{{\"b\":1.50,\"a\":\"\\u0061\",\"line\":{}}}, \"id\":{id}}}",
                json!(line)
            )),
            "twice" => {
                answer(id, &json!({"stopReason": "end_turn"}));
                answer(id, &json!({"stopReason": "end_turn"}));
            }
            "garbage" => {
                say("not json at all");
                say(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"x\":1"));
            }
            "exit" => leave(7),
            "refuse" if !self.authenticated.iter().any(|it| it == "refused") => {
                self.authenticated.push("refused".into());
                fail(id, &json!({"code": 401, "message": "{\"error\":\"unauthorized\"}"}));
            }
            "ask" => say(
                r#"{"jsonrpc":"2.0","id":0,"method":"session/request_permission","params":{"options":[]}}"#,
            ),
            "helper" => {
                let key = self.ask_helper();
                answer(id, &json!({"stopReason": "end_turn", "key": key}));
            }
            "mcp" => {
                let said = self.list_tools();
                answer(id, &json!({"stopReason": "end_turn", "said": said}));
            }
            "model" => {
                let said = self.call_model();
                answer(id, &json!({"stopReason": "end_turn", "said": said}));
            }
            _ => answer(id, &json!({"stopReason": "end_turn"})),
        }
    }

    /// The status of a request to the first MCP server.
    fn list_tools(&self) -> String {
        let server = &self.servers[0];
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
        let given = server["headers"].as_array().into_iter().flatten();
        let given = given.map(|it| (it["name"].as_str().unwrap(), it["value"].as_str().unwrap()));
        let own = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2025-11-25"),
        ];
        let headers: String =
            given.chain(own).map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
        let url = server["url"].as_str().unwrap().strip_prefix("http://").unwrap();
        let (host, path) = url.split_once('/').unwrap();
        let (body, mut stream) = (call.to_string(), TcpStream::connect(host).unwrap());
        let request = format!(
            "POST /{path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said.lines().next().unwrap_or_default().to_owned()
    }

    /// What the command prints that it was told to run.
    fn ask_helper(&self) -> Option<String> {
        let command = self.helper.clone().or(std::env::var("OWN_KEY_COMMAND").ok())?;
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        note(
            &json!({"helper": output.status.code(), "stderr": String::from_utf8_lossy(&output.stderr)}),
        );
        let printed = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| printed.trim_end().to_owned())
    }

    /// What a request to the provider comes back with.
    fn call_model(&self) -> String {
        let (url, headers) = self.address.clone().unwrap_or_else(|| {
            let url = std::env::var("OPENAI_BASE_URL").unwrap();
            let key = format!("Bearer {}", std::env::var("OPENAI_API_KEY").unwrap());
            (url, BTreeMap::from([("Authorization".to_owned(), key)]))
        });
        let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let headers: String =
            headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
        let request = format!(
            "GET /{path}/models HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said.lines().next().unwrap_or_default().to_owned()
    }
}

fn answer(id: &Value, result: &Value) {
    say(&json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string());
}

fn fail(id: &Value, error: &Value) {
    say(&json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string());
}

fn address(params: &Value) -> (String, BTreeMap<String, String>) {
    let headers = params["headers"].as_object().cloned().unwrap_or_default();
    let headers =
        headers.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned()));
    (params["baseUrl"].as_str().unwrap().to_owned(), headers.collect())
}
