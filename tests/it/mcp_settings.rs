//! What a bridge is told about its server: names, accounts, headers, tools and waits, by flags and in config.toml;
//! and what it leaves behind: the audit log, and no secret anywhere.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::browser;
use crate::support::flows::found;
use crate::support::mcp_host::Host;
use crate::support::mcp_scene::{NAME, Scene, call, is_done, link, text, tools};
use crate::support::mcp_server::Gate;
use crate::support::mcp_wire::{Seen, WireServer};
use crate::support::others_files::{mcp, text as text_of};
use crate::support::sandbox::Sandbox;

// --------------------------------------------------------------------------------------- names and accounts

#[test]
fn a_server_is_reached_by_its_name() {
    let scene = Scene::signed_in(Gate::Http);
    let mut host = Host::met(&scene.sandbox, &[NAME]);
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    assert!(scene.tabs().is_empty());
    host.last_words();
}

#[test]
fn a_name_that_no_server_has_reaches_the_host_as_an_error() {
    let sandbox = Sandbox::new();
    for (typed, what) in [("nowhere", "nowhere"), ("groq", "no MCP server is called groq")] {
        let mut host = Host::start(&sandbox, &[typed]);
        for method in ["initialize", "tools/list", "tools/call"] {
            let answer = host.call(method, &json!({}));
            assert!(answer["error"]["message"].as_str().unwrap().contains(what), "{answer}");
        }
        let said = host.last_words_with(2);
        assert!(said.contains(what), "{said}");
    }
}

/// The token that each request had.
fn tokens(scene: &Scene) -> Vec<String> {
    let requests = scene.mcp.requests();
    let mut tokens: Vec<String> =
        requests.iter().filter_map(|it| it.header("authorization").map(str::to_owned)).collect();
    tokens.sort();
    tokens.dedup();
    tokens
}

#[test]
fn two_accounts_of_one_server_have_a_bridge_each() {
    let scene = Scene::signed_in(Gate::Http);
    scene.sign_in(&["--name", "acme:work"]);
    let before = tokens(&scene);
    assert!(before.is_empty(), "{before:?}");
    for typed in [&["--name", "acme:work"][..], &["--name", NAME], &[]] {
        let mut host = scene.host(typed);
        host.initialize();
        assert!(is_done(&host.call("tools/call", &call("build_creative"))));
        host.last_words();
    }
    let token =
        |name: &str| format!("Bearer {}", scene.sandbox.run(["token", name]).success().trim());
    let mut expected = [token(NAME), token("acme:work")];
    expected.sort();
    assert_eq!(tokens(&scene), expected);
}

/// What `mcp install cursor` wrote for a server, and a host that runs it.
fn installed(scene: &Scene, typed: &[&str], server: &str) -> (Vec<String>, Host) {
    mcp(&scene.sandbox, &[&["install", "cursor"], typed].concat()).success();
    let file = text_of(&scene.sandbox.path("home/.cursor/mcp.json"));
    let servers = serde_json::from_str::<Value>(&file).unwrap()["mcpServers"].clone();
    let args: Vec<String> = serde_json::from_value(servers[server]["args"].clone()).unwrap();
    assert_eq!(args[0], "mcp");
    let typed: Vec<&str> = args[1..].iter().map(String::as_str).collect();
    (args.clone(), Host::met(&scene.sandbox, &typed))
}

#[test]
fn a_server_is_installed_by_its_name() {
    let scene = Scene::signed_in(Gate::Http);
    scene.sign_in(&["--name", "acme:work"]);
    let _ = std::fs::remove_file(scene.sandbox.path("opened-urls"));
    let url = scene.mcp.url();
    let work = ["mcp", "--account", "work", &url];
    for (typed, server, expected, credential) in [
        (&[NAME][..], "acme", &["mcp", url.as_str()][..], NAME),
        (&["acme:work"], "acme-work", &work, "acme:work"),
        (&[NAME, "--account", "work", "--name", "third"], "third", &work, "acme:work"),
    ] {
        let (args, mut host) = installed(&scene, typed, server);
        assert_eq!(args, expected);
        assert!(is_done(&host.call("tools/call", &call("build_creative"))));
        let token = scene.sandbox.run(["token", credential]).success();
        let requests = scene.mcp.requests();
        let last = requests.iter().rev().find_map(|request| request.header("authorization"));
        assert_eq!(last, Some(format!("Bearer {}", token.trim()).as_str()));
        host.last_words();
    }
    // Nobody is told to sign in who is.
    let again = mcp(&scene.sandbox, &["install", "windsurf", NAME]);
    assert!(again.code() == 0 && !again.stderr.contains("Sign in"), "{again:?}");
    let other = mcp(&scene.sandbox, &["install", "windsurf", "acme:other"]);
    assert!(other.stderr.contains("authctl login acme:other"), "{other:?}");
    assert!(scene.tabs().is_empty());
    // The entry goes on when nothing of the name is left.
    scene.sandbox.run(["logout", NAME]).success();
    scene.sandbox.run(["logout", "acme:work"]).success();
    let mut host = Host::met(&scene.sandbox, &[url.as_str()]);
    assert!(!tools(&host.call("tools/list", &json!({}))).is_empty());
    host.last_words();
}

#[test]
fn a_configured_server_is_installed_so_that_it_is_found() {
    let sandbox = Sandbox::new();
    sandbox.write_config(
        "[provider.one]\nmcp_url = \"https://mcp.example/\"\n[provider.one.oauth]\n[provider.two]\nmcp_url = \"https://mcp.example/\"\n[provider.two.oauth]\n",
    );
    mcp(&sandbox, &["install", "cursor", "one"]).success();
    mcp(&sandbox, &["install", "cursor", "two", "--header", "X-Team:blue"]).success();
    // One of the catalog, which an address alone does not find.
    mcp(&sandbox, &["install", "cursor", "notion:work"]).success();
    let file = text_of(&sandbox.path("home/.cursor/mcp.json"));
    let servers = serde_json::from_str::<Value>(&file).unwrap()["mcpServers"].clone();
    assert_eq!(servers["one"]["args"], json!(["mcp", "https://mcp.example/"]));
    let two = json!(["mcp", "--name", "two", "--header", "X-Team:blue", "https://mcp.example/"]);
    assert_eq!(servers["two"]["args"], two);
    let notion = servers["notion"]["args"].to_string();
    assert!(
        notion.starts_with(r#"["mcp","--account","work","--name","notion","https://"#),
        "{notion}"
    );
    for (typed, words) in [
        (&["groq"][..], "no MCP server has that name here"),
        (&["nowhere"], "nowhere is no client"),
        (&["one", "two"], "one server"),
        (&["one", "--", "npx"], "one server"),
        (&["one", "--with", "groq"], "--with is for a command"),
    ] {
        let said = mcp(&sandbox, &[&["install", "cursor"], typed].concat()).failure(2);
        assert!(said.contains(words), "{said}");
    }
}

// --------------------------------------------------------------------------------------------------- headers

/// The last value of a header at the server, after a call by a bridge with these arguments.
fn sent(sandbox: &Sandbox, arguments: &[&str]) -> Seen {
    let server = WireServer::normal();
    let url = server.url();
    let mut host = Host::met(sandbox, &[&[url.as_str()], arguments].concat());
    host.call("tools/call", &call("t"));
    host.last_words();
    server.all("tools/call").pop().unwrap()
}

#[test]
fn headers_come_from_flags_variables_and_the_store() {
    let mut sandbox = Sandbox::new();
    sandbox.env("TEAM", "blue").env("KEY", "s3cr3t-of-the-variable");
    sandbox.run_with_input(["login", "groq", "--with-key"], "gsk-1\n").success();
    let seen = sent(
        &sandbox,
        &[
            "--header",
            "X-Team: ${TEAM} and ${TEAM}",
            "--header",
            "Authorization: Bearer ${KEY}",
            "--header",
            "X-Plain: $TEAM ${",
            "--secret-header",
            "X-Key=groq",
        ],
    );
    assert_eq!(seen.header("x-team"), Some("blue and blue"));
    assert_eq!(seen.header("authorization"), Some("Bearer s3cr3t-of-the-variable"));
    assert_eq!(seen.header("x-plain"), Some("$TEAM ${"));
    assert_eq!(seen.header("x-key"), Some("gsk-1"));
}

#[test]
fn headers_of_the_transport_are_its_own() {
    let (sandbox, server) = (Sandbox::new(), WireServer::normal());
    let names = "Host Content-Length content-encoding Mcp-Session-Id ACCEPT Last-Event-ID Proxy-Authorization";
    for name in names.split(' ').chain(["", "a b"]) {
        for typed in
            [["--header", &format!("{name}: x")], ["--secret-header", &format!("{name}=x")]]
        {
            let said = sandbox.run([&["mcp", &server.url()][..], &typed].concat()).failure(2);
            assert!(said.contains("can be set here"), "{said}");
        }
    }
    assert!(server.seen().is_empty());
}

#[test]
fn what_the_configuration_refuses_the_command_line_refuses_too() {
    let (sandbox, server) = (Sandbox::new(), WireServer::normal());
    for header in ["Authorization: Bearer x", "cookie: a=b"] {
        let said = sandbox.run(["mcp", &server.url(), "--header", header]).failure(2);
        assert!(said.contains("its value is a secret") && !said.contains("Bearer x"), "{said}");
    }
    for wait in ["--answer-wait", "--call-wait", "--list-wait"] {
        let said = sandbox.run(["mcp", &server.url(), wait, "0s"]).failure(2);
        assert!(said.contains("longer than nothing"), "{said}");
    }
    for url in ["ftp://example.com/", "http://example.com/mcp", "https://u:p@example.com/mcp"] {
        let said = sandbox.run(["mcp", url]).failure(2);
        assert!(!said.contains("u:p"), "{said}");
    }
    let url = server.url();
    sandbox.write_config(&format!("store = \"file\"\n[mcp.\"{url}\"]\ncredential = \"nosuch\"\n"));
    let mut host = Host::start(&sandbox, &[&url]);
    assert!(server.seen().is_empty());
    host.initialize();
    let said = host.last_words();
    assert!(said.contains("there is no credential nosuch yet"), "{said}");
}

#[test]
fn a_variable_with_a_line_break_is_no_header() {
    let (mut sandbox, server) = (Sandbox::new(), WireServer::normal());
    sandbox.env("TEAM", "blue\r\nX-Evil: 1");
    let said = sandbox.run(["mcp", &server.url(), "--header", "X-Team: ${TEAM}"]).failure(2);
    assert!(said.contains("X-Team") && said.contains("line break"), "{said}");
    assert!(server.seen().is_empty());
}

#[test]
fn a_variable_that_is_not_set_is_named_to_the_host() {
    let sandbox = Sandbox::new();
    let server = WireServer::normal();
    let mut host = Host::start(&sandbox, &[&server.url(), "--header", "X-Team: ${TEAM}"]);
    let id = host.hello();
    let said = host.answer(&id)["error"]["message"].to_string();
    assert!(said.contains("X-Team") && said.contains("TEAM, which is not set"), "{said}");
    host.last_words_with(2);
    assert!(server.seen().is_empty());
}

// ----------------------------------------------------------------------------------------------- config.toml

#[test]
fn the_configuration_speaks_for_a_server() {
    let scene = Scene::new(Gate::Http);
    let url = scene.mcp.url();
    scene.sandbox.run_with_input(["login", "groq", "--with-key"], "gsk-1\n").success();
    scene.sandbox.write_config(&format!(
        "[mcp.\"{url}\"]\nheaders = {{ X-Team = \"blue\" }}\nsecret_headers = {{ X-Key = \"groq\" }}\n\
         allow_tools = [\"*\"]\ndeny_tools = [\"list_*\"]\nopen_browser = false\nlist_wait = \"1s\"\n\
         call_wait = \"1s\"\ncredential = \"acme\"\n"
    ));
    let mut host = scene.host(&["--header", "x-team: red"]);
    host.initialize();
    let refused = host.call("tools/call", &call("build_creative"));
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(scene.tabs().is_empty());
    browser::open(&link(&text(&refused)));
    host.receive("a change", |it| it["method"] == "notifications/tools/list_changed");
    assert!(scene.sandbox.run(["token", NAME]).status.success());
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    let listed = tools(&host.call("tools/list", &json!({})));
    assert!(!listed.contains(&"list_formats".into()), "{listed:?}");
    let refused = host.call("tools/call", &call("list_formats"));
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert_eq!(
        scene
            .mcp
            .calls("tools/call")
            .iter()
            .filter(|it| it["params"]["name"] == "list_formats")
            .count(),
        0
    );
    let requests = scene.mcp.requests();
    let last = requests.iter().rev().find(|it| it.path == "/mcp").unwrap();
    let teams: Vec<_> =
        last.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-team")).collect();
    assert_eq!(teams.len(), 1, "{teams:?}");
    assert_eq!((last.header("x-team"), last.header("x-key")), (Some("red"), Some("gsk-1")));
    host.last_words();
}

#[test]
fn a_mistake_in_the_configuration_reaches_the_host() {
    let scene = Scene::new(Gate::None);
    scene.sandbox.write_config("[mcp.\"https://mcp.example.com/mcp\"]\nlist_wait = \"soon\"\n");
    let mut host = scene.host(&[]);
    for method in ["initialize", "tools/list"] {
        let answer = host.call(method, &json!({}));
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.contains("list_wait") || said.contains("config.toml"), "{said}");
    }
    assert!(host.last_words_with(2).contains("config.toml"));
    assert!(scene.mcp.requests().is_empty());
}

// ------------------------------------------------------------------------------------- what it leaves behind

#[test]
fn a_session_leaves_one_line_and_each_refresh_another() {
    let scene = Scene::signed_in(Gate::Http);
    scene.store().pass(NAME, jiff::SignedDuration::from_hours(2));
    let mut host = scene.host(&[]);
    host.initialize();
    for _ in 0..5 {
        assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    }
    host.last_words();
    let log = scene.sandbox.run(["log", "--json", "-n", "0"]).json();
    let events: Vec<&str> =
        log["entries"].as_array().unwrap().iter().map(|it| it["event"].as_str().unwrap()).collect();
    let mut events: Vec<&str> = events.into_iter().filter(|event| *event != "login").collect();
    events.sort_unstable();
    assert_eq!(events, ["mcp", "refresh"]);
}

/// S1, S2 and S5 for a bridge.
#[test]
fn no_secret_of_a_session_is_seen_anywhere() {
    let mut scene = Scene::new(Gate::Http);
    scene.sandbox.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    let mut host = scene.host(&[]);
    host.initialize();
    let waiting = host.ask("tools/call", &call("build_creative"));
    let page = scene.tab(0);
    scene.agree(0);
    let mut heard = vec![host.answer(&waiting)];
    scene.server.revoke_everything();
    let waiting = host.ask("tools/call", &call("build_creative"));
    scene.agree(1);
    heard.push(host.answer(&waiting));
    let argv = std::fs::read(format!("/proc/{}/cmdline", host.child.id())).unwrap_or_default();
    let said = host.last_words();
    heard.append(&mut host.asides);

    let secrets = scene.secrets();
    assert!(secrets.len() >= 8, "{}", secrets.len());
    let stdout = Value::Array(heard).to_string();
    for (place, text) in [("stdout", &stdout), ("stderr", &said), ("the page", &page)] {
        assert_eq!(found(&secrets, text.as_bytes()), Vec::<String>::new(), "{place}");
    }
    assert_eq!(found(&secrets, &argv), Vec::<String>::new());
    for file in scene.sandbox.files() {
        let hits = found(&secrets, &std::fs::read(&file).unwrap());
        assert_eq!(hits, Vec::<String>::new(), "{}", file.display());
    }
    let processes = Command::new("ps").args(["axww", "-o", "args"]).output();
    let processes = processes.map(|output| output.stdout).unwrap_or_default();
    assert_eq!(found(&secrets, &processes), Vec::<String>::new());
}

/// S4: what says that the server is elsewhere now gets nothing of it.
#[test]
fn a_credential_goes_to_its_server_and_nowhere_else() {
    let elsewhere = WireServer::normal();
    let target = elsewhere.url();
    for status in [301_u16, 302, 307, 308] {
        let location = target.clone();
        let server = WireServer::start(move |call| {
            if call.what() == "tools/call" {
                return call.reply(status, &[("location", &location)], "text/plain", "");
            }
            call.normal()
        });
        let sandbox = Sandbox::new();
        let login = ["login", &server.url(), "--name", NAME, "--with-token"];
        sandbox.run_with_input(login, "a-key\n").success();
        let mut host = Host::met(&sandbox, &[NAME]);
        let answer = host.call("tools/call", &call("t"));
        assert!(answer["error"].is_object(), "{answer}");
        let sent = server.all("tools/call").pop().unwrap();
        assert_eq!(sent.header("authorization"), Some("Bearer a-key"));
        host.last_words();
    }
    assert!(elsewhere.seen().is_empty());
}
