//! Keys in clients' files that nothing can stand in place of, or that no provider is known for: each is named with
//! its place, taken up where that is possible, and never passed over in silence.

use serde_json::{Value, json};

use crate::support::others_files::{GITHUB, HIDDEN, STRIPE, listed, mcp, text, write};
use crate::support::sandbox::{AUTHCTL, Sandbox};

fn found(sandbox: &Sandbox) -> Vec<Value> {
    mcp(sandbox, &["import", "--json"]).json()["found"].as_array().unwrap().clone()
}

fn servers(servers: &Value) -> String {
    json!({ "mcpServers": servers }).to_string()
}

#[test]
fn keys_in_arguments_and_addresses_are_named_and_said_to_stay() {
    for (server, place) in [
        (json!({ "command": "x", "args": ["-y", "--api-key", HIDDEN] }), "args.2"),
        (json!({ "command": "x", "args": [format!("--api-key={HIDDEN}")] }), "args.0"),
        (json!({ "command": "x", "args": ["run", format!("--env=X_TOKEN={HIDDEN}")] }), "args.1"),
        (
            json!({ "command": "x", "args": [format!("https://h.example/?apiKey={HIDDEN}")] }),
            "args.0.apiKey",
        ),
        (json!({ "command": { "path": "x", "args": ["--token", HIDDEN] } }), "command.args.1"),
        (json!({ "url": format!("https://u:{HIDDEN}@h.example/mcp") }), "url.its password"),
        (json!({ "url": format!("https://h.example/mcp?a=1&apiKey={HIDDEN}") }), "url.apiKey"),
        (json!({ "serverUrl": format!("https://h.example/{GITHUB}/mcp") }), "serverUrl.its path"),
        (
            json!({ "command": AUTHCTL, "args": ["exec", "--with", "a", "--", "x", "--key", HIDDEN] }),
            "args.6",
        ),
        (
            json!({ "command": AUTHCTL, "args": ["mcp", format!("https://h.example/?key={HIDDEN}")] }),
            "args.1.key",
        ),
    ] {
        let sandbox = Sandbox::new();
        let before = servers(&json!({ "s": server }));
        let file = write(&sandbox, "home/.cursor/mcp.json", &before);
        let items = found(&sandbox);
        assert_eq!(items.len(), 1, "{server}: {items:?}");
        assert_eq!(items[0]["place"], format!("mcpServers.s.{place}"), "{server}");
        assert_eq!(items[0]["state"], "unknown");
        assert!(items[0]["stays"].is_string(), "{items:?}");
        let held = listed(&sandbox);
        assert_eq!(held[0]["literals"], 1, "{held:?}");
        let shown = mcp(&sandbox, &["list"]).success();
        assert!(shown.contains("a key in the open"), "{shown}");
        // Its owner can name it; then it is stored and stays.
        sandbox.run(["provider", "add", "mine", "--api-key"]).success();
        let named = format!("{}=mine", items[0]["digest"].as_str().unwrap());
        let output = mcp(&sandbox, &["import", "--rewrite", "--as", &named]);
        assert_eq!(output.code(), 0, "{output:?}");
        assert!(
            output.stderr.contains("still stands in") && output.stderr.contains(place),
            "{output:?}"
        );
        let token = sandbox.run(["token", "mine"]).success();
        assert!([HIDDEN, GITHUB].contains(&token.trim_end()));
        assert_eq!(text(&file), before);
    }
}

#[test]
fn what_only_looks_like_a_key_is_not_named() {
    let sandbox = Sandbox::new();
    let plain = json!({
        "a": { "command": "x", "args": ["--token-file", "/run/t", "--api-key", "${KEY}", "--port=1"] },
        "b": { "url": "https://h.example/mcp?project=seven" },
        "c": { "command": AUTHCTL, "args": ["mcp", "--secret-header", "X-Api-Key=mine", "https://h.example/"] },
    });
    write(&sandbox, "home/.cursor/mcp.json", &servers(&plain));
    assert!(found(&sandbox).is_empty(), "{:?}", found(&sandbox));
    assert!(listed(&sandbox).iter().all(|one| one["literals"] == 0));
}

#[test]
fn a_key_in_an_address_is_its_hosts() {
    let sandbox = Sandbox::new();
    let url = format!("https://mcp.stripe.com/?api_key={STRIPE}");
    write(&sandbox, "home/.cursor/mcp.json", &servers(&json!({ "s": { "url": url } })));
    let output = mcp(&sandbox, &["import", "--apply"]);
    assert!(
        output.code() == 0 && output.stderr.contains("part of the server's address"),
        "{output:?}"
    );
    assert_eq!(sandbox.run(["token", "stripe"]).success().trim_end(), STRIPE);
}

#[test]
fn codexs_literal_token_is_taken_up() {
    let sandbox = Sandbox::new();
    let url = "https://api.githubcopilot.com/mcp/";
    let before = format!(
        "[mcp_servers.hub] # mine\nurl = \"{url}\"\nbearer_token = \"{GITHUB}\" # old\nenabled = true\n"
    );
    let file = write(&sandbox, "home/.codex/config.toml", &before);
    assert_eq!(listed(&sandbox)[0]["literals"], 1);
    let items = found(&sandbox);
    assert_eq!(items[0]["place"], "mcp_servers.hub.bearer_token");
    mcp(&sandbox, &["import", "--rewrite"]).success();
    let after = text(&file).parse::<toml::Table>().unwrap();
    let server = serde_json::to_value(&after["mcp_servers"]["hub"]).unwrap();
    let args = json!(["mcp", "--name", "github", url]);
    assert_eq!(server, json!({ "command": AUTHCTL, "args": args, "enabled": true }));
    assert!(text(&file).contains("# mine"));
    assert_eq!(sandbox.run(["token", "github"]).success().trim_end(), GITHUB);
}

/// The address of a server that `authctl mcp` would refuse stays where it is.
#[test]
fn a_server_with_a_password_in_its_address_keeps_its_headers() {
    let sandbox = Sandbox::new();
    let url = format!("https://u:{HIDDEN}@api.githubcopilot.com/mcp/");
    let headers = json!({ "Authorization": format!("Bearer {GITHUB}") });
    let before = servers(&json!({ "s": { "url": url, "headers": headers } }));
    let file = write(&sandbox, "home/.cursor/mcp.json", &before);
    let output = mcp(&sandbox, &["import", "--rewrite"]);
    assert!(output.stderr.contains("no address with a user"), "{output:?}");
    assert_eq!(text(&file), before);
}

/// The command that is offered makes the header known, as it is offered, and the digest is the same then.
#[test]
fn the_offered_command_makes_a_header_known() {
    for (name, value, secret) in [
        ("Authorization", format!("Bearer {HIDDEN}"), HIDDEN),
        ("authorization", format!("token {HIDDEN}"), HIDDEN),
        ("X-Api-Key", HIDDEN.to_owned(), HIDDEN),
    ] {
        let sandbox = Sandbox::new();
        let url = "https://api.example.com:8443/mcp";
        let headers = json!({ name: value });
        let file = write(
            &sandbox,
            "home/.cursor/mcp.json",
            &servers(&json!({ "s": { "url": url, "headers": headers } })),
        );
        let digest = found(&sandbox)[0]["digest"].clone();
        let output = mcp(&sandbox, &["import"]);
        assert!(output.stderr.contains(digest.as_str().unwrap()), "{output:?}");
        let (_, offered) = output
            .stderr
            .split_once("authctl provider add ")
            .unwrap_or_else(|| panic!("{output:?}"));
        let (offered, _) = offered.split_once(", ").unwrap();
        let offered = offered.replace("NAME", "mine");
        let mut shell = sandbox.program("sh");
        shell.args(["-c", &format!("{AUTHCTL} provider add {offered}")]);
        sandbox.start(shell).finish().success();
        let again = found(&sandbox);
        assert_eq!(
            (&again[0]["name"], &again[0]["digest"]),
            (&json!("mine"), &digest),
            "{again:?}"
        );
        let named = format!("{}=mine:work", digest.as_str().unwrap());
        mcp(&sandbox, &["import", "--rewrite", "--as", &named]).success();
        assert_eq!(sandbox.run(["token", "mine:work"]).success().trim_end(), secret);
        assert!(text(&file).contains("mine:work") && !text(&file).contains(HIDDEN));
    }
}

/// What stands in a header before a blank may be a secret, too.
#[test]
fn no_word_of_a_header_is_shown() {
    let sandbox = Sandbox::new();
    let headers = json!({ "X-Secret": "hunter2 correct horse" });
    let url = "https://h.example/mcp";
    write(
        &sandbox,
        "home/.cursor/mcp.json",
        &servers(&json!({ "s": { "url": url, "headers": headers } })),
    );
    let output = mcp(&sandbox, &["import"]);
    assert!(
        !output.stderr.contains("hunter2") && output.stderr.contains("'X-Secret: {key}'"),
        "{output:?}"
    );
}
