//! Real clients through the proxy: they come as their users start them, with a placeholder for a key, by way of the
//! base URL and by way of HTTPS_PROXY. The origin sees the real key and nothing else; the client never has it.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S3, S9 | no real value in the child | every client here, at its end |
//! | S4 | each host gets its own credential | `sdks_of_models_…`, `a_host_without_a_credential_…` |

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::real_parts::{Internet, McpServer, OpenIdProvider, Person, missing, present, real};
use crate::support::eventually_within;
use crate::support::inside::{Needle, descendants, variable};
use crate::support::sandbox::{Output, Running, Sandbox};

/// `bytes(range(256)) * 4096`, the body that every client sends.
const BODY: &str = "fbbab289f7f94b25736c58be46a994c441fd02552cc6022352e3d86d2fab7c83";

/// Longest visit of a client: JVMs and interpreters start slowly on a busy machine.
const LONGEST: Duration = Duration::from_mins(2);

const KEY: &str = "sk-real-7Jq2+mB0/vXcW9tZrL4hDk8s";
const OPENAI: &str = "sk-proj-real-Zx81mQpL0aKe93TbVnW2";
const ANTHROPIC: &str = "sk-ant-real-Gh45sYwU7cRi20NfOjE6";
const GIT: &str = "ghp_realB6tX1kP9yM3dHqA8uC5vZ0wLsRn";

const CONFIG: &str = r#"
[provider.acme]
base_url = "https://api.acme.example"
[provider.acme.bearer]
variables = ["ACME_API_KEY"]

[provider.forge]
base_url = "https://git.acme.example"
[provider.forge.bearer]
variables = ["FORGE_TOKEN"]

[provider.near]
base_url = "PLAIN"
[provider.near.bearer]
variables = ["NEAR_API_KEY"]

[provider.grpc]
base_url = "H2C"
[provider.grpc.bearer]
variables = ["GRPC_API_KEY"]
"#;

/// A machine in an office: everything outside is reached through a proxy with an authority of its own.
struct Office {
    internet: Internet,
    sandbox: Sandbox,
}

/// What a client left.
struct Visit {
    said: Value,
    stderr: String,
    /// The requests of the origin, without those of tunnels.
    requests: Vec<Value>,
    tunnels: Vec<String>,
}

fn tool(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(path)
}

fn client(name: &str) -> String {
    real(&format!("proxy-clients/{name}")).display().to_string()
}

/// Whether the clients are installed, and these programs.
fn all_present(programs: &[&str]) -> bool {
    let absent = [tool("python/bin/python"), tool("proxy-client-go"), real("node_modules/openai")];
    let absent = absent.into_iter().find(|path| !path.exists());
    if let Some(path) = &absent {
        missing(&path.display().to_string());
    }
    absent.is_none() && present(&[&["node", "openssl"], programs].concat())
}

fn bearer(key: &str) -> Value {
    json!({ "authorization": format!("Bearer {key}") })
}

impl Office {
    fn new() -> Self {
        use base64::Engine;
        let git = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{GIT}"));
        let mut sandbox = Sandbox::new();
        let hosts = json!({
            "api.acme.example": bearer(KEY),
            "127.0.0.1": bearer(KEY),
            "api.openai.com": bearer(OPENAI),
            "api.anthropic.com": { "x-api-key": ANTHROPIC },
            "git.acme.example": { "authorization": format!("Basic {git}") },
            "open.example": {},
        });
        let internet =
            Internet::start(&json!({ "hosts": hosts, "repositories": sandbox.path("work") }));
        sandbox
            .write_config(&CONFIG.replace("PLAIN", &internet.plain).replace("H2C", &internet.h2c));
        sandbox.env("HTTPS_PROXY", &internet.office).env("SSL_CERT_FILE", &internet.authority);
        sandbox.env("NO_PROXY", "127.0.0.1");
        for (name, key) in [("ACME", KEY), ("NEAR", KEY), ("GRPC", KEY), ("OPENAI", OPENAI)] {
            sandbox.env(&format!("AUTHCTL_{name}_TOKEN"), key);
        }
        sandbox.env("AUTHCTL_ANTHROPIC_TOKEN", ANTHROPIC).env("AUTHCTL_FORGE_TOKEN", GIT);
        Self { internet, sandbox }
    }

    /// A client by `exec --proxy`, given as a line of the shell; at its end it is searched for `keys`.
    fn exec(&self, with: &str, keys: &[&str], line: &str) -> Visit {
        self.exec_with(&["--with", with], keys, line)
    }

    fn exec_with(&self, arguments: &[&str], keys: &[&str], line: &str) -> Visit {
        let words = [&["exec", "--proxy"], arguments, &["--", "sh", "-c", line]].concat();
        let mut command = self.sandbox.command(words);
        command.stdin(Stdio::piped());
        let mut running = self.sandbox.start(command);
        Self::last_word(&mut running, line);
        let secrets = self.search(&running, keys, line);
        drop(running.child.stdin.take());
        let output = running.finish();
        let said = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{line}: {error}: {output:?}"));
        for key in keys {
            let needle = Needle::new(key);
            assert!(!needle.is_in(output.stderr.as_bytes()), "{line}: {}", output.stderr);
        }
        assert!(output.status.success(), "{line}: {output:?}");
        let visit = self.left(said, output.stderr);
        visit.assert_free_of(&secrets);
        visit
    }

    /// A visit that is over, with what the origin says of it.
    fn left(&self, said: Value, stderr: String) -> Visit {
        let seen = self.internet.seen().into_iter();
        let (tunnels, requests) = seen.partition::<Vec<_>, _>(|line| line["connect"].is_string());
        let tunnels = tunnels.iter().map(|line| line["connect"].as_str().unwrap().to_owned());
        Visit { said, stderr, tunnels: tunnels.collect(), requests }
    }

    /// Waits until the client has said all it has to say; it then waits for the end of its input.
    fn last_word(running: &mut Running, line: &str) {
        eventually_within(LONGEST, line, || {
            let has_ended = running.child.try_wait().unwrap().is_some();
            (has_ended || running.stdout().contains('\n')).then_some(())
        });
        assert!(running.child.try_wait().unwrap().is_none(), "{line}: {}", running.stderr());
    }

    /// Looks for the keys in everything that the child can reach; hands back the secrets that it was given instead.
    fn search(&self, running: &Running, keys: &[&str], line: &str) -> Vec<String> {
        let children = descendants(running.child.id());
        assert!(!children.is_empty(), "{line}: no child");
        for key in keys {
            let needle = Needle::new(key);
            for pid in &children {
                assert_eq!(needle.places_in(*pid), Vec::<String>::new(), "{line}");
            }
            assert!(!needle.is_in(running.stdout().as_bytes()), "{line}: {}", running.stdout());
            assert_eq!(needle.files_of(&self.sandbox), Vec::<String>::new(), "{line}");
        }
        let names =
            ["ACME_API_KEY", "NEAR_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "FORGE_TOKEN"];
        let proxy = variable(children[0], "HTTPS_PROXY").expect("HTTPS_PROXY");
        let secret = proxy.split(['@', ':']).nth(2).unwrap().to_owned();
        let placeholders = names.iter().filter_map(|name| variable(children[0], name));
        placeholders.chain([secret]).collect()
    }
}

impl Visit {
    /// Nothing of the proxy's own secrets reached the origin.
    fn assert_free_of(&self, secrets: &[String]) {
        for secret in secrets {
            let needle = Needle::new(secret);
            for request in &self.requests {
                assert!(!needle.is_in(request.to_string().as_bytes()), "{request}");
            }
        }
        let hops = ["proxy-authorization", "proxy-connection", "authctl-credential"];
        for request in &self.requests {
            assert!(!hops.iter().any(|hop| !values(request, hop).is_empty()), "{request}");
        }
    }

    /// Every request went to `host` with this header, once.
    fn assert_all(&self, host: &str, header: &str, value: &str) {
        let requests: Vec<_> =
            self.requests.iter().filter(|line| line["path"].is_string()).collect();
        assert!(!requests.is_empty(), "nothing came: {}", self.stderr);
        for request in requests {
            assert_eq!(
                (request["host"].as_str(), values(request, header)),
                (Some(host), vec![value.to_owned()]),
                "{request}"
            );
        }
    }

    /// The body arrived as it was sent, and so did the answer.
    fn assert_echoed(&self) {
        let echo = self
            .requests
            .iter()
            .find(|line| line["path"].as_str().is_some_and(|path| path.ends_with("/echo")));
        assert_eq!(echo.unwrap()["sha256"], BODY);
        assert_eq!(self.said["sha256"], BODY);
    }
}

fn values(request: &Value, name: &str) -> Vec<String> {
    let fields = request["headers"].as_array().into_iter().flatten();
    let same = fields.filter(|field| field[0].as_str().unwrap().eq_ignore_ascii_case(name));
    same.map(|field| field[1].as_str().unwrap().to_owned()).collect()
}

/// The clients of HTTP, each with the words before its URL.
fn http_clients() -> Vec<(&'static str, String)> {
    let python = tool("python/bin/python");
    let http = format!("{} {}", python.display(), client("http_client.py"));
    vec![
        ("curl", client("curl.sh")),
        ("requests", format!("{http} requests")),
        ("httpx", format!("{http} httpx")),
        ("fetch", format!("node {}", client("fetch.mjs"))),
        ("go", tool("proxy-client-go").display().to_string()),
        ("java", format!("java {}", client("Client.java"))),
    ]
}

#[test]
fn clients_of_http_come_by_the_base_url() {
    if !all_present(&["curl", "java"]) {
        return;
    }
    let office = Office::new();
    for (name, words) in http_clients() {
        for (provider, host) in [("acme", "api.acme.example"), ("near", "127.0.0.1")] {
            let upper = provider.to_uppercase();
            let line = format!("exec {words} \"$AUTHCTL_PROXY_URL/{provider}\" {upper}_API_KEY");
            let visit = office.exec(provider, &[KEY], &line);
            visit.assert_all(host, "authorization", &format!("Bearer {KEY}"));
            visit.assert_echoed();
            assert_eq!(visit.said["events"], json!(["1", "2", "3"]), "{name} at {provider}");
            assert_eq!(visit.tunnels.is_empty(), provider == "near", "{name} at {provider}");
        }
    }
}

#[test]
fn clients_of_http_come_by_https_proxy() {
    if !all_present(&["curl"]) {
        return;
    }
    let office = Office::new();
    for (name, words) in http_clients() {
        if name == "java" {
            continue; // reads no such variable
        }
        let line = format!("exec {words} https://api.acme.example ACME_API_KEY");
        let visit = office.exec("acme", &[KEY], &line);
        visit.assert_all("api.acme.example", "authorization", &format!("Bearer {KEY}"));
        visit.assert_echoed();
        assert_eq!(visit.said["events"], json!(["1", "2", "3"]), "{name}");
        assert!(visit.tunnels.iter().all(|to| to == "api.acme.example:443"), "{name}");
    }
}

#[test]
fn curl_speaks_http_2_with_both_doors() {
    if !all_present(&["curl"]) {
        return;
    }
    let office = Office::new();
    for (line, version) in [
        ("https://api.acme.example ACME_API_KEY --http2", "2.0"),
        ("\"$AUTHCTL_PROXY_URL/acme\" ACME_API_KEY --http2-prior-knowledge", "2.0"),
    ] {
        let visit = office.exec("acme", &[KEY], &format!("exec {} {line}", client("curl.sh")));
        visit.assert_echoed();
        assert!(visit.requests.iter().all(|request| request["version"] == version), "{line}");
    }
}

#[test]
fn sdks_of_models_need_nothing_but_their_variables() {
    if !all_present(&[]) {
        return;
    }
    let office = Office::new();
    let python = format!("{} {}", tool("python/bin/python").display(), client("models.py"));
    let node = format!("node {}", client("models.mjs"));
    let streamed = json!(["the ", "quick ", "brown ", "fox"]);
    let said = json!({ "answer": "the quick brown fox", "streamed": streamed });
    for (sdk, host, header, value) in [
        ("openai", "api.openai.com", "authorization", format!("Bearer {OPENAI}")),
        ("anthropic", "api.anthropic.com", "x-api-key", ANTHROPIC.to_owned()),
    ] {
        for words in [&python, &node] {
            for door in ["", "env -u OPENAI_BASE_URL -u OPENAI_API_BASE -u ANTHROPIC_BASE_URL"] {
                let line = format!("exec {door} {words} {sdk}");
                let visit = office.exec("openai,anthropic", &[OPENAI, ANTHROPIC], &line);
                assert_eq!(visit.said, said, "{line}");
                visit.assert_all(host, header, &value);
                let other = if header == "x-api-key" { "authorization" } else { "x-api-key" };
                assert!(
                    visit.requests.iter().all(|request| values(request, other).is_empty()),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn git_clones_and_pushes_with_a_placeholder_for_a_password() {
    if !all_present(&["git"]) {
        return;
    }
    let office = Office::new();
    repository(&office.sandbox);
    let head = || {
        let mut rev = office.sandbox.program("git");
        rev.args(["-c", "safe.directory=*", "--git-dir", "repository.git", "rev-parse", "HEAD"]);
        office.sandbox.start(rev).finish().success().trim().to_owned()
    };
    let direct = "https://git.acme.example/git/repository.git";
    for url in [direct, "\"$AUTHCTL_PROXY_URL/forge/git/repository.git\""] {
        for way in ["", "helper"] {
            let before = head();
            let line = format!("exec {} {url} FORGE_TOKEN {way}", client("git.sh"));
            let visit = office.exec("forge", &[GIT], &line);
            assert_eq!(visit.said["head"], before, "{line}");
            assert_eq!(visit.said["pushed"], head(), "{line}");
        }
    }
}

/// A bare repository with one commit, `repository.git`.
fn repository(sandbox: &Sandbox) {
    let script = "git init -q --bare repository.git && git -C repository.git config http.receivepack true && \
                  git clone -q repository.git first 2>&1 && cd first && git -c user.name=a -c user.email=a@b.example \
                  commit -q --allow-empty -m first && git push -q origin HEAD";
    let mut shell = sandbox.program("sh");
    shell.args(["-c", script]);
    sandbox.start(shell).finish().success();
}

#[test]
fn web_sockets_pass_through_both_doors() {
    if !all_present(&[]) {
        return;
    }
    let office = Office::new();
    let python =
        format!("{} {}", tool("python/bin/python").display(), client("websocket_client.py"));
    let node = format!("node {}", client("websocket.mjs"));
    let mut said = Vec::new();
    for (words, url) in [
        (&python, "\"$AUTHCTL_PROXY_URL/acme\""),
        (&python, "https://api.acme.example"),
        (&node, "\"$AUTHCTL_PROXY_URL/acme\""),
        (&node, "\"$AUTHCTL_PROXY_URL/near\""),
        (&node, "https://api.acme.example"),
    ] {
        let provider = if url.contains("near") { "near" } else { "acme" };
        let line = format!("exec {words} {url}/ws {}_API_KEY", provider.to_uppercase());
        let visit = office.exec(provider, &[KEY], &line);
        let messages = visit.requests.iter().filter(|line| line["message"].is_string()).count();
        assert_eq!(messages, 3, "{line}");
        said.push(visit.said);
    }
    assert!(said.windows(2).all(|two| two[0] == two[1]), "{said:?}");
}

#[test]
fn web_sockets_of_other_hosts_pass_through_tunnels_as_they_are() {
    if !all_present(&[]) {
        return;
    }
    let mut office = Office::new();
    // Node believes what it is told beside its own roots, with authctl and without.
    office.sandbox.env("NODE_EXTRA_CA_CERTS", &office.internet.authority);
    let python =
        format!("{} {}", tool("python/bin/python").display(), client("websocket_client.py"));
    let node = format!("node {}", client("websocket.mjs"));
    let mut said = Vec::new();
    for words in [&python, &node] {
        let line = format!("exec env OWN_KEY=own {words} https://open.example/ws OWN_KEY");
        let visit = office.exec("acme", &[KEY], &line);
        assert_eq!(visit.tunnels, ["open.example:443"], "{line}");
        visit.assert_all("open.example", "authorization", "Bearer own");
        let messages = visit.requests.iter().filter(|line| line["message"].is_string()).count();
        assert_eq!(messages, 3, "{line}");
        said.push(visit.said);
    }
    assert_eq!(said[0], said[1]);
}

#[test]
fn clients_use_a_proxy_that_a_person_started() {
    if !all_present(&["curl"]) {
        return;
    }
    let office = Office::new();
    let mut running =
        office.sandbox.start(office.sandbox.command(["--json", "proxy", "--with", "acme,near"]));
    Office::last_word(&mut running, "authctl proxy");
    let facts: Value = serde_json::from_str(running.stdout().lines().next().unwrap()).unwrap();
    let read = |name: &str| facts[name].as_str().unwrap().to_owned();
    let (url, key, by, file) = (read("url"), read("key"), read("https_proxy"), read("ca_file"));
    for (name, words) in &http_clients()[..3] {
        for address in [format!("{url}/acme"), "https://api.acme.example".to_owned()] {
            let script = format!("exec {words} {address} SESSION_KEY");
            let mut command = office.sandbox.program("sh");
            command.args(["-c", &script]).env("SESSION_KEY", &key).env("NO_PROXY", "127.0.0.1");
            command.env("HTTPS_PROXY", &by).env("SSL_CERT_FILE", &file);
            command.env("CURL_CA_BUNDLE", &file).env("REQUESTS_CA_BUNDLE", &file);
            let output = office.sandbox.start(command).finish_within(LONGEST);
            let said = serde_json::from_str(&output.stdout)
                .unwrap_or_else(|error| panic!("{name} {address}: {error}: {output:?}"));
            let visit = office.left(said, output.stderr);
            visit.assert_all("api.acme.example", "authorization", &format!("Bearer {KEY}"));
            visit.assert_echoed();
            visit.assert_free_of(std::slice::from_ref(&key));
            assert_eq!(visit.said["events"], json!(["1", "2", "3"]), "{name} {address}");
        }
    }
    running.child.kill().unwrap();
    running.child.wait().unwrap();
}

#[test]
fn grpc_passes_with_its_trailers() {
    if !all_present(&[]) {
        return;
    }
    let office = Office::new();
    let words = format!("{} {}", tool("python/bin/python").display(), client("grpc_client.py"));
    let line = format!("exec {words} api.acme.example:443 ACME_API_KEY");
    let visit = office.exec("acme", &[KEY], &line);
    assert_eq!(visit.said["streamed"], true);
    assert!(visit.said["checksum"].is_string(), "{:?}", visit.said);
    visit.assert_all("api.acme.example", "authorization", &format!("Bearer {KEY}"));
    assert!(visit.requests.iter().all(|request| request["version"] == "2.0"));
    // What the application sends of itself comes first in the message: 5 bytes of length (gRPC over HTTP/2).
    assert!(visit.requests.iter().all(|request| request["length"] == 102_405));
}

#[test]
fn a_host_without_a_credential_is_left_alone_or_refused() {
    if !all_present(&["curl"]) {
        return;
    }
    let office = Office::new();
    let line = "curl -sS --max-time 20 https://open.example/x -H 'authorization: Bearer own'; echo; exec cat";
    let visit = office.exec("acme", &[KEY], line);
    assert_eq!(visit.said, json!({ "path": "/x" }));
    visit.assert_all("open.example", "authorization", "Bearer own");
    let line = "curl -sS --max-time 20 https://open.example/x >&2; printf '{\"status\": %d}\\n' $?; exec cat";
    let visit = office.exec_with(&["--strict", "--with", "acme"], &[KEY], line);
    assert_eq!(visit.said, json!({ "status": 56 }), "{}", visit.stderr);
    assert!(visit.requests.is_empty() && visit.tunnels.is_empty());
}

// ----------------------------------------------------------------------------------------------------- AdCP

/// How the agent's credential is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Pasted at a login.
    Key,
    /// From the environment of a job.
    Given,
    /// A name and a password.
    Password,
    /// Signed in for in a browser.
    OAuth,
}

/// The arguments of the tool behind the gates.
fn creative() -> Value {
    let format = json!({ "agent_url": "https://agent.example", "id": "audio_30s" });
    json!({
        "idempotency_key": "0123456789abcdef",
        "target_format_id": format,
        "creative_manifest": { "format_id": format, "assets": {} },
    })
}

#[test]
fn an_adcp_agent_is_driven_with_each_kind_of_credential_and_gets_what_it_would_without() {
    if !all_present(&["chromium"]) {
        return;
    }
    for gate in ["http", "tool", "handler"] {
        let direct = without(gate);
        for held in [Held::Key, Held::Given, Held::Password, Held::OAuth] {
            if held == Held::Given && gate != "http" {
                continue; // another way to the same key
            }
            assert_eq!(drive(held, gate), direct, "{held:?}, {gate}");
        }
    }
}

/// What the agent's clients call, with this header.
fn visit(header: &str) -> Value {
    let calls = json!([["list_creative_formats", {}], ["build_creative", creative()]]);
    json!({ "calls": calls, "headers": { "authorization": header }, "digests": true })
}

/// The bodies that a client sends which has the key itself.
fn without(gate: &str) -> Vec<Value> {
    let agent =
        McpServer::start("adcp-agent.mjs", &json!({ "gate": gate, "key": KEY, "digests": true }));
    let sandbox = Sandbox::new();
    let mut client = sandbox.program("node");
    client.arg(real("mcp-client.mjs")).arg(visit(&format!("Bearer {KEY}")).to_string());
    client.arg(&agent.url);
    let output = sandbox.start(client).finish_within(LONGEST);
    exchanged(&output, &agent.seen())
}

/// The bodies that the client sent, in their order. The agent got the same, and the client got what it answered.
fn exchanged(output: &Output, agent: &[Value]) -> Vec<Value> {
    let said: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let results = said["results"].as_array().unwrap().iter();
    let texts: Vec<_> = results.map(|result| &result["text"]).collect();
    assert_eq!(texts, ["Found 1 creative formats", "Creative built: audio_30s"], "{output:?}");
    let posts = |all: Vec<&Value>, sent: &str, back: &str| {
        let posts = all.into_iter().filter(|bodies| bodies["method"] == "POST");
        posts.map(|bodies| (bodies[sent].clone(), bodies[back].clone())).collect::<Vec<_>>()
    };
    let own = posts(said["bodies"].as_array().unwrap().iter().collect(), "gave", "got");
    let there = agent.iter().map(|line| &line["bodies"]).collect();
    let there = posts(there, "got", "gave");
    assert!(own.len() >= 3, "{said}");
    for exchange in &own {
        assert!(there.contains(exchange), "{exchange:?} is none of {there:?}");
    }
    own.into_iter().map(|(sent, _)| sent).collect()
}

fn drive(held: Held, gate: &str) -> Vec<Value> {
    let mut sandbox = Sandbox::new();
    let port = crate::support::free_port();
    let url = format!("http://127.0.0.1:{port}/mcp");
    let provider =
        (held == Held::OAuth).then(|| OpenIdProvider::start(&json!({ "token_format": "jwt" })));
    let issuer = provider.as_ref().map(|provider| &*provider.issuer);
    let key = (held != Held::OAuth).then_some(KEY);
    let user = (held == Held::Password).then_some("ada");
    let agent = McpServer::start(
        "adcp-agent.mjs",
        &json!({ "gate": gate, "key": key, "user": user, "issuer": issuer, "port": port, "digests": true }),
    );
    let kind = match (issuer, user) {
        (Some(issuer), _) => format!(
            "[provider.agent.oauth]\nissuer = \"{issuer}\"\nresource = \"{url}\"\nclient = \"register\"\n\
             scopes = [\"api:read\"]\n"
        ),
        (None, Some(_)) => "[provider.agent.basic]\n".to_owned(),
        (None, None) => "[provider.agent.bearer]\n".to_owned(),
    };
    sandbox.write_config(&format!(
        "[provider.agent]\nmcp_url = \"{url}\"\n{kind}variables = [\"ADCP_AUTH_TOKEN\"]\n"
    ));
    match held {
        Held::Key => drop(sandbox.run_with_input(["login", "agent", "--with-key"], KEY).success()),
        Held::Password => {
            drop(sandbox.run_with_input(["login", "agent", "--user", "ada"], KEY).success());
        }
        Held::Given => drop(sandbox.env("AUTHCTL_AGENT_TOKEN", KEY)),
        Held::OAuth => {
            let _person = Person::at(&mut sandbox, json!({}));
            sandbox.run(["login", "agent"]).success();
        }
    }
    let script = format!(
        "exec node {} \"$(printf '%s' '{}' | sed \"s/PLACEHOLDER/$ADCP_AUTH_TOKEN/\")\" \"$AUTHCTL_PROXY_URL/agent+mcp\"",
        real("mcp-client.mjs").display(),
        visit("Bearer PLACEHOLDER"),
    );
    let child = sandbox.command(["exec", "--proxy", "--with", "agent", "--", "sh", "-c", &script]);
    let output = sandbox.start(child).finish_within(LONGEST);
    let lines = agent.seen();
    let sent = exchanged(&output, &lines);
    let built: Vec<_> = lines.iter().filter(|line| line["built"].is_object()).collect();
    assert_eq!(built.len(), 1, "{held:?}, {gate}");
    // One credential through the whole session (S1.5).
    let ids: std::collections::BTreeSet<_> =
        lines.iter().filter_map(|line| line["credential"].as_str()).collect();
    assert_eq!(ids.len(), 1, "{held:?}, {gate}: {lines:?}");
    sent
}
