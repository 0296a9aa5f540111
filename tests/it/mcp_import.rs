//! `mcp import`: keys in clients' files become credentials, and their servers go through authctl.

use std::io::Write;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::{Answer, Server};
use crate::support::mcp_clients::{files, plain};
use crate::support::others_files::{GITHUB, HIDDEN, STRIPE, backups, listed, mcp, text, write};
use crate::support::sandbox::{AUTHCTL, Sandbox};

#[test]
fn a_key_in_a_remote_servers_header_becomes_a_credential_and_the_bridge() {
    let sandbox = Sandbox::new();
    let url = "https://api.githubcopilot.com/mcp/";
    for (client, file, _, table) in files() {
        let key = if client == "windsurf" { "serverUrl" } else { "url" };
        let before = if client == "codex" {
            format!(
                "[mcp_servers.hub] # mine\nurl = \"{url}\" # there\n[mcp_servers.hub.http_headers]\nAuthorization = \"Bearer {GITHUB}\"\nX-Mode = \"{HIDDEN}\"\n"
            )
        } else {
            format!(
                "{{\n  // mine\n  \"{table}\": {{\n    \"hub\": {{\n      \"type\": \"http\", // kind\n      \"{key}\": \"{url}\",\n      \"headers\": {{ \"Authorization\": \"Bearer {GITHUB}\", \"X-Mode\": \"{HIDDEN}\" }},\n      \"disabled\": true\n    }}\n  }}\n}}\n"
            )
        };
        let path = write(&sandbox, file, &before);
        let shown = mcp(&sandbox, &["import", client, "--dry-run"]).success();
        assert!(shown.contains("@@") && shown.contains("\"mcp\""), "{client}: {shown}");
        assert_eq!(text(&path), before);
        let output = mcp(&sandbox, &["import", client, "--rewrite"]);
        assert_eq!(output.code(), 0, "{output:?}");
        assert!(!output.stderr.contains("still stands"), "{output:?}");
        let after = text(&path);
        assert!(!after.contains(GITHUB) && after.contains("mine"), "{client}: {after}");
        let args = json!(["mcp", "--name", "github", "--header", format!("X-Mode:{HIDDEN}"), url]);
        if client == "codex" {
            let now: Value = toml_of(&after);
            assert_eq!(now["mcp_servers"]["hub"], json!({ "command": AUTHCTL, "args": args }));
        } else {
            let now = plain(&after)[table]["hub"].clone();
            let expected =
                json!({ "type": "stdio", "command": AUTHCTL, "args": args, "disabled": true });
            assert_eq!(now, expected, "{client}: {after}");
            assert!(after.contains("// kind"), "{client}: {after}");
        }
    }
    assert_eq!(sandbox.run(["token", "github"]).success().trim_end(), GITHUB);
    assert!(listed(&sandbox).iter().all(|one| one["through"] == "mcp" && one["literals"] == 0));
    assert_eq!(backups(&sandbox).len(), files().len());
}

fn toml_of(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

/// The command that stands in the file is what its client runs: the server gets the header that stood there.
#[test]
fn what_was_imported_reaches_the_server_with_the_same_header() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_there = Arc::clone(&seen);
    let server = Server::start(move |request| {
        let header = |name: &str| request.header(name).map(str::to_owned);
        seen_there.lock().unwrap().push((header("authorization"), header("x-mode")));
        let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "s", "version": "1" } });
        let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": result });
        Answer::new(200, "application/json", answer.to_string())
    });
    let sandbox = Sandbox::new();
    let origin = server.origin();
    let host = origin.trim_start_matches("http://");
    sandbox.write_config(&format!(
        "[provider.mine]\nhosts = [\"{host}\"]\n[provider.mine.bearer]\nheader = \"Authorization: Bearer {{token}}\"\nvariables = [\"MINE\"]\n"
    ));
    let headers = json!({ "Authorization": format!("Bearer {GITHUB}"), "X-Mode": "fast" });
    let before =
        json!({ "mcpServers": { "s": { "url": format!("{origin}/mcp"), "headers": headers } } });
    let file = write(&sandbox, "home/.cursor/mcp.json", &before.to_string());
    mcp(&sandbox, &["import", "--rewrite"]).success();
    let entry = plain(&text(&file))["mcpServers"]["s"].clone();
    let mut command = sandbox.program(entry["command"].as_str().unwrap());
    command.args(entry["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()));
    command.stdin(Stdio::piped());
    let mut running = sandbox.start(command);
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } } });
    let mut stdin = running.child.stdin.take().unwrap();
    stdin.write_all(format!("{hello}\n").as_bytes()).unwrap();
    let wanted = (Some(format!("Bearer {GITHUB}")), Some("fast".to_owned()));
    eventually("the header", || seen.lock().unwrap().contains(&wanted).then_some(()));
    drop(stdin);
    running.finish();
}

#[test]
fn mcp_remote_makes_room_for_the_bridge() {
    let sandbox = Sandbox::new();
    let remote = |header: &str| json!({ "mcpServers": { "s": { "command": "npx", "args": ["-y", "mcp-remote@latest", "https://mcp.stripe.com", "--header", header] } } });
    let file = write(
        &sandbox,
        "home/.cursor/mcp.json",
        &remote(&format!("Authorization: Bearer {STRIPE}")).to_string(),
    );
    mcp(&sandbox, &["import", "--rewrite", "--as", &format!("{}=stripe:shop", digest(&sandbox))])
        .success();
    let now = plain(&text(&file))["mcpServers"]["s"].clone();
    assert_eq!(
        now,
        json!({ "command": AUTHCTL, "args": ["mcp", "--name", "stripe:shop", "https://mcp.stripe.com"] })
    );
    assert_eq!(sandbox.run(["token", "stripe:shop"]).success().trim_end(), STRIPE);
}

fn digest(sandbox: &Sandbox) -> String {
    let found = mcp(sandbox, &["import", "--json"]).json()["found"].clone();
    found[0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_header_that_cannot_move_keeps_its_server_as_it_is() {
    let sandbox = Sandbox::new();
    let url = "https://api.githubcopilot.com/mcp/";
    let authorization = format!("Bearer {GITHUB}");
    for (headers, words) in [
        (json!({ "Authorization": authorization, "X-Note": "two words" }), "has blanks"),
        (json!({ "Authorization": authorization, "X-Api-Key": HIDDEN }), "another header"),
    ] {
        let before =
            json!({ "mcpServers": { "hub": { "url": url, "headers": headers } } }).to_string();
        let file = write(&sandbox, "home/.cursor/mcp.json", &before);
        let output = mcp(&sandbox, &["import", "--rewrite"]);
        assert_eq!(output.code(), 0, "{output:?}");
        assert!(output.stderr.contains(words), "{output:?}");
        assert_eq!(text(&file), before);
    }
    assert!(backups(&sandbox).is_empty());
}

#[test]
fn variables_become_exec_in_each_clients_file() {
    let sandbox = Sandbox::new();
    for (client, file, _, table) in files() {
        let before = if client == "codex" {
            format!(
                "[mcp_servers.x]\ncommand = \"npx\"\n[mcp_servers.x.env]\nGITHUB_TOKEN = \"{GITHUB}\"\n"
            )
        } else {
            json!({ table: { "x": { "command": "npx", "env": { "GITHUB_TOKEN": GITHUB } } } })
                .to_string()
        };
        let path = write(&sandbox, file, &before);
        // Only the clients that are named.
        mcp(&sandbox, &["import", client, "--rewrite"]).success();
        let after = text(&path);
        assert!(
            !after.contains(GITHUB) && after.contains("github=GITHUB_TOKEN"),
            "{client}: {after}"
        );
        assert!(after.contains(AUTHCTL), "{client}: {after}");
    }
    let held = listed(&sandbox);
    assert!(held.iter().all(|one| one["through"] == "exec" && one["target"] == "npx"), "{held:?}");
}
