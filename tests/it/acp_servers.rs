//! `authctl acp` and the MCP servers that an editor names: the agent reaches each with what is stored, by authctl's
//! proxy, and holds no credential. The agent is scripted.

use serde_json::{Value, json};

use crate::support::acp_agent::{install, log, told};
use crate::support::mcp_scene::{NAME, Scene};
use crate::support::mcp_server::{Gate, McpServer, Mode};
use crate::support::sandbox::Sandbox;
use crate::support::stdio_host::Host;

fn agent(sandbox: &mut Sandbox) -> String {
    let script = json!({"wants": "nothing", "capabilities": {}, "methods": []});
    install(sandbox, "some-agent", &script).to_string_lossy().into_owned()
}

fn editor(sandbox: &Sandbox, program: &str) -> Host {
    let command = sandbox.command(["acp", "--way", "own", "--", program]);
    let mut editor = Host::start(sandbox, command);
    editor.request("initialize", &json!({"protocolVersion": 1, "clientCapabilities": {}}));
    editor
}

/// A session with one server, as the editor names it.
fn open(editor: &mut Host, url: &str, headers: &Value) -> Value {
    let server = json!({"type": "http", "name": "Acme", "url": url, "headers": headers});
    editor.request("session/new", &json!({"cwd": "/", "mcpServers": [server]}))
}

/// What the agent's request to it comes back with.
fn reach(editor: &mut Host, session: &Value) -> String {
    let prompt = json!([{"type": "text", "text": "mcp"}]);
    let answer = editor.request("session/prompt", &json!({"sessionId": session, "prompt": prompt}));
    answer["result"]["said"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// The server as the agent got it, the last time.
fn told_server(sandbox: &Sandbox) -> Value {
    told(sandbox, "session/new").pop().unwrap()["params"]["mcpServers"][0].clone()
}

fn paste(sandbox: &Sandbox, server: &McpServer) {
    let login = ["login", &server.url(), "--name", NAME, "--with-token"];
    sandbox.run_with_input(login, &format!("{}\n", server.token())).success();
}

fn named() -> Value {
    json!([{"name": "Authorization", "value": "Bearer authctl:acme"}, {"name": "X-Team", "value": "5"}])
}

#[test]
fn a_new_token_counts_in_an_open_session_and_the_agent_has_neither() {
    let (server, mut sandbox) = (McpServer::start(Gate::Http, Mode::Json), Sandbox::new());
    let program = agent(&mut sandbox);
    paste(&sandbox, &server);
    let first = server.token();
    let mut editor = editor(&sandbox, &program);
    let session = open(&mut editor, &server.url(), &named())["result"]["sessionId"].clone();
    assert_eq!(reach(&mut editor, &session), "HTTP/1.1 200 Status");
    let seen = server.requests().pop().unwrap();
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {first}")));
    assert_eq!(seen.header("x-team"), Some("5"), "the editor's other headers go along");
    assert_eq!(seen.header("x-authctl-key"), None);
    let second = server.rotate();
    paste(&sandbox, &server);
    assert_eq!(reach(&mut editor, &session), "HTTP/1.1 200 Status");
    assert_eq!(seen_token(&server), format!("Bearer {second}"));
    // By its address alone, and by the proxy that is there already.
    let before = told_server(&sandbox);
    let session = open(&mut editor, &server.url(), &json!([]))["result"]["sessionId"].clone();
    assert_eq!(reach(&mut editor, &session), "HTTP/1.1 200 Status");
    open(&mut editor, &server.url(), &named());
    assert_eq!(told_server(&sandbox), before);
    let url = before["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:") && url != server.url(), "{url}");
    assert_eq!(before["headers"][0]["name"], "x-authctl-key");
    let output = editor.leave();
    assert!(output.stderr.contains("uses acme for the MCP server Acme"), "{}", output.stderr);
    for token in [first, second] {
        assert!(!log(&sandbox).iter().any(|line| line.to_string().contains(&token)), "{token}");
        assert!(!output.stdout.contains(&token) && !output.stderr.contains(&token));
    }
    let port = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    assert!(std::net::TcpStream::connect(port).is_err(), "nothing listens after the session");
}

fn seen_token(server: &McpServer) -> String {
    server.requests().pop().unwrap().header("authorization").unwrap().to_owned()
}

#[test]
fn a_token_that_the_server_refuses_is_renewed_for_the_agent() {
    let mut scene = Scene::signed_in(Gate::Http);
    let program = agent(&mut scene.sandbox);
    let mut editor = editor(&scene.sandbox, &program);
    let session = open(&mut editor, &scene.mcp.url(), &named())["result"]["sessionId"].clone();
    assert_eq!(reach(&mut editor, &session), "HTTP/1.1 200 Status");
    let (lives, last) = (scene.server.introspection(), seen_token(&scene.mcp));
    scene.mcp.trust(move |token| format!("Bearer {token}") != last && lives(token));
    assert_eq!(reach(&mut editor, &session), "HTTP/1.1 200 Status");
    assert_eq!(scene.refreshes(), 1);
    let output = editor.leave();
    let log = log(&scene.sandbox);
    for secret in scene.secrets() {
        assert!(!log.iter().any(|line| line.to_string().contains(&secret)));
        assert!(!output.stderr.contains(&secret));
    }
}

#[test]
fn where_no_proxy_can_stand_the_agent_gets_the_token_and_that_is_said() {
    let (server, mut sandbox) = (McpServer::start(Gate::Http, Mode::Json), Sandbox::new());
    let program = agent(&mut sandbox);
    let log = sandbox.path("home/agent-log");
    std::os::unix::fs::symlink("../agent-log", &log).unwrap();
    sandbox.write_config("[acp_agent.some]\ntitle = \"some-agent\"\ncommands = [\"some-agent\"]\ncopies = [\"~/agent-log\"]\n");
    paste(&sandbox, &server);
    let token = server.token();
    let mut editor = editor(&sandbox, &program);
    // Server-sent events of 2024: the server names a further address of its own.
    let one = json!([{"name": "Authorization", "value": "authctl:acme"}]);
    let older = json!({"type": "sse", "name": "Acme", "url": server.url(), "headers": one});
    editor.request("session/new", &json!({"cwd": "/", "mcpServers": [older]}));
    let got = told_server(&sandbox);
    assert_eq!(got["url"], server.url());
    assert_eq!(
        got["headers"],
        json!([{"name": "Authorization", "value": format!("Bearer {token}")}])
    );
    // Of two, the proxy could put in but one.
    let two = ["Authorization", "X-Key"].map(|name| json!({"name": name, "value": "authctl:acme"}));
    open(&mut editor, &server.url(), &json!(two));
    let got = told_server(&sandbox);
    assert_eq!(got["url"], server.url());
    let both = [("Authorization", format!("Bearer {token}")), ("X-Key", token.clone())];
    let both = both.map(|(name, value)| json!({"name": name, "value": value}));
    assert_eq!(got["headers"], json!(both));
    // A header that is not its provider's.
    for (before, got) in [("", token.clone()), ("Bearer ", format!("Bearer {token}"))] {
        let value = format!("{before}authctl:acme");
        open(&mut editor, &server.url(), &json!([{"name": "X-Key", "value": value}]));
        let headers = told_server(&sandbox)["headers"].clone();
        assert_eq!(headers, json!([{"name": "X-Key", "value": got}]));
    }
    let output = editor.leave();
    let said = "some-agent gets acme itself, for the MCP server Acme";
    assert_eq!(output.stderr.matches(said).count(), 5, "{}", output.stderr);
    assert!(!output.stdout.contains(&token) && !output.stderr.contains(&token));
    assert_eq!(handed_over(&sandbox, NAME), 5, "each time is written down");
    // The log of this agent has what it was told.
    let written = format!("has written the key that it was given to {}", log.display());
    assert!(output.stderr.contains(&written), "{}", output.stderr);
}

/// How often the audit log says that a program got the credential itself.
fn handed_over(sandbox: &Sandbox, name: &str) -> usize {
    let log = sandbox.run(["log", "--json", "-n", "0"]).json();
    let entries = log["entries"].as_array().unwrap();
    let is_it = |entry: &&Value| entry["event"] == "exec" && entry["name"] == name;
    entries.iter().filter(is_it).count()
}

#[test]
fn a_credential_goes_to_its_own_hosts_alone_and_one_that_is_missing_is_said() {
    let (server, mut sandbox) = (McpServer::start(Gate::Http, Mode::Json), Sandbox::new());
    let program = agent(&mut sandbox);
    paste(&sandbox, &server);
    let mut editor = editor(&sandbox, &program);
    let elsewhere = open(&mut editor, "https://evil.example/mcp", &named());
    assert_eq!(elsewhere["error"]["code"], -32602, "{elsewhere}");
    assert!(elsewhere["error"]["message"].as_str().unwrap().contains("not for the host"));
    open(&mut editor, "https://other.example/mcp", &json!([]));
    assert_eq!(told_server(&sandbox)["headers"], json!([]), "nobody knows it");
    let own = json!([{"name": "Authorization", "value": "mine"}]);
    open(&mut editor, &server.url(), &own);
    assert_eq!(told_server(&sandbox)["headers"], own, "the editor's own stays");
    sandbox.run(["logout", NAME]).success();
    open(&mut editor, &server.url(), &json!([]));
    assert_eq!(told_server(&sandbox)["url"], server.url(), "by its address: it gets on without");
    editor.leave().success();
}

#[test]
fn each_account_has_a_way_of_its_own_and_the_address_stays_whole() {
    let (server, mut sandbox) = (McpServer::start(Gate::Http, Mode::Json), Sandbox::new());
    let program = agent(&mut sandbox);
    paste(&sandbox, &server);
    let work = ["login", &server.url(), "--name", "acme:work", "--with-token"];
    sandbox.run_with_input(work, "the-token-of-work-0123456789\n").success();
    let mut editor = editor(&sandbox, &program);
    let header =
        |name: &str| json!([{"name": "authorization", "value": format!("Bearer authctl:{name}")}]);
    for (name, token) in
        [("acme", server.token()), ("acme:work", "the-token-of-work-0123456789".to_owned())]
    {
        let session =
            open(&mut editor, &server.url(), &header(name))["result"]["sessionId"].clone();
        reach(&mut editor, &session);
        assert_eq!(seen_token(&server), format!("Bearer {token}"), "{name}");
    }
    let url = format!("{}?team=5", server.url());
    open(&mut editor, &url, &header("acme"));
    let led = told_server(&sandbox)["url"].as_str().unwrap().to_owned();
    assert!(led.starts_with("http://127.0.0.1:") && led.ends_with("?team=5"), "{led}");
    let output = editor.leave();
    assert_eq!(output.code(), 0, "{output:?}");
    assert_eq!(handed_over(&sandbox, NAME), 0, "by the proxy, nobody gets anything");
}
