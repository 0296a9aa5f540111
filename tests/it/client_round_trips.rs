//! What an install did, a removal undoes: in every client's file, whatever it looks like, byte for byte; and where
//! something else has changed meanwhile, nothing else goes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::others_files::{mcp, text, write};
use crate::support::sandbox::{Output, Sandbox};

const URL: &str = "https://mcp.linear.app/mcp";

/// Clients whose file is JSON, their file, and the table of servers.
const JSON: [(&str, &str, &str); 8] = [
    ("claude-code", "home/.claude.json", "mcpServers"),
    ("claude-desktop", "home/.config/Claude/claude_desktop_config.json", "mcpServers"),
    ("cursor", "home/.cursor/mcp.json", "mcpServers"),
    ("vscode", "home/.config/Code/User/mcp.json", "servers"),
    ("zed", "home/.config/zed/settings.json", "context_servers"),
    ("gemini", "home/.gemini/settings.json", "mcpServers"),
    ("windsurf", "home/.codeium/windsurf/mcp_config.json", "mcpServers"),
    (
        "cline",
        "home/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
        "mcpServers",
    ),
];

/// Files that can be changed; `K` is the table.
const GOOD: [&str; 33] = [
    "",
    "  \n\n",
    "{}",
    "{}\n",
    "{ }\n",
    "{\n}\n",
    "{\"K\": null}",
    "{\"K\": {}}",
    "{\"K\":{}}",
    "{\n  \"K\": {\n  }\n}\n",
    "{\n  \"K\": {\n    \"a\": {\"command\": \"x\"}\n  }\n}\n",
    "{\"K\":{\"a\":{\"command\":\"x\"}}}",
    "{\n\t\"K\": {\n\t\t\"a\": {\n\t\t\t\"command\": \"x\"\n\t\t}\n\t},\n\t\"z\": 1\n}",
    "{\n    \"b\": [1,\n 2],\n    \"K\": {\n        \"a\": {}\n    }\n}\n\n\n",
    "// top\n{\n  // before\n  \"K\": { // in\n    /* a */ \"a\": {\"command\": \"x\"}, // tail\n    // last\n  }, // after\n  /* end */\n}\n// eof",
    "{\"K\": { /* nothing */ }}",
    "{\"K\": { // nothing\n }}",
    "{ // nothing\n}",
    "// only this\n",
    "{\"K\": {\"a\": {\"command\": \"x\",},},}",
    "\u{feff}{\"K\": {}}\n",
    "\u{feff}",
    "{\r\n  \"K\": {\r\n    \"a\": {\"command\": \"x\"}\r\n  }\r\n}\r\n",
    "{\r  \"K\": {}\r}\r",
    "{\r\n  \"x\": 1,\n  \"K\": {\r\n  }\n}",
    "{\"n\": 1.0000000000000000000001, \"e\": 1e999, \"m\": -0, \"K\": {}}",
    "{\"n\":\"\u{2028}\u{2029}\u{202e}\",\"K\":{}}",
    "{ \"K\" : { \"a\" : { \"command\" : \"x\" } } , \"z\" : 1 }",
    "{\n  \"z\": 1\n  , \"K\": {\n    \"a\": {\"command\": \"x\"}\n    , \"b\": {\"command\": \"y\"}\n  }\n}\n",
    "{\"\\u004b\": 1, \"K\": {}}",
    "{\n  \"other\": {\n    \"deep\": [[[{\"a\": [1]}]]]\n  }\n}",
    "{\"projects\": {\"/a\": {\"K\": {}}}, \"K\": {\"a\": {}}}",
    "{\"K\": {\"linear-2\": {\"url\": \"https://a.example\"}}}",
];

/// Files that are left alone, and why.
const BAD: [(&str, &str); 15] = [
    ("null", "cannot be changed here"),
    ("[]", "cannot be changed here"),
    ("\"x\"", "cannot be changed here"),
    ("1", "cannot be changed here"),
    ("{\"K\": []}", "cannot be changed here"),
    ("{\"K\": \"x\"}", "cannot be changed here"),
    ("{\"K\": {}, \"K\": {}}", "twice"),
    ("{\"K\": {\"linear\": {}, \"linear\": {}}}", "twice"),
    ("{\"K\": {}}\0", "not JSON"),
    ("{\"K\": {}, \"n\": \"\\ud800\"}", "not JSON"),
    ("{\"K\": {}, \"n\": \"a\tb\"}", "not JSON"),
    ("{\"K\": {\"a\": ", "not JSON"),
    ("{\"K\": {}} x", "not JSON"),
    ("{\"K\": {}}{}", "not JSON"),
    ("{K: {'a': {command: 'x'}}}", "not JSON"),
];

const TOML: [&str; 20] = [
    "",
    "# only a comment\n",
    "model = \"x\"\n",
    "model = \"x\"",
    "model = \"x\" # c\n\n[mcp_servers.a]\ncommand = \"x\"\nargs = [\n \"1\", # one\n]\n\n[zz]\nb=1\n",
    "mcp_servers = { a = { command = \"x\" } }\n",
    "mcp_servers = {}\n",
    "mcp_servers.a.command = \"x\"\n",
    "[mcp_servers]\n",
    "[mcp_servers]\n# none yet\n\n[x]\ny=1\n",
    "model = \"x\"\r\n\r\n[mcp_servers.a]\r\ncommand = \"x\"\r\n",
    "\u{feff}model = \"x\"\n",
    "d = 1979-05-27T07:32:00Z\nf = 1e5\nm = \"\"\"\nx\n\"\"\"\n[mcp_servers.a]\ncommand='x'\n\n\n\n",
    "[x]\ny=1\n# end comment",
    "[\"mcp_servers\".\"a\"]\ncommand=\"x\"\n",
    "[mcp_servers.a]\ncommand = \"x\"\n\n# note about b\n[mcp_servers.b]\ncommand = \"y\"\n[mcp_servers.b.env]\nK=\"v\"\n\n[[hist]]\na=1\n[[hist]]\na=2\n",
    "[mcp_servers.a] # a\n\n\n",
    "\n\n",
    "[[other]]\n",
    "[mcp_servers.linear-2]\nurl = \"https://a.example\"\n",
];

/// The file of a client in a home that has nothing but its directory.
fn at(sandbox: &Sandbox, file: &str) -> PathBuf {
    let path = sandbox.path(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

fn install(sandbox: &Sandbox, client: &str) -> Output {
    mcp(sandbox, &["install", client, "--name", "linear", URL])
}

#[track_caller]
fn remove(sandbox: &Sandbox, client: &str, name: &str) {
    mcp(sandbox, &["remove", client, name]).success();
}

fn has_server(sandbox: &Sandbox, client: &str) -> bool {
    let listed = mcp(sandbox, &["list", "--json", client]).json();
    let servers: &Vec<Value> = listed["servers"].as_array().unwrap();
    servers.iter().any(|server| server["name"] == "linear" && server["through"] == "mcp")
}

#[track_caller]
fn check(sandbox: &Sandbox, client: &str, path: &Path, before: &str) {
    std::fs::write(path, before).unwrap();
    let done = install(sandbox, client);
    assert_eq!(done.code(), 0, "{client}: {before:?}: {done:?}");
    let after = text(path);
    assert!(after != before && has_server(sandbox, client), "{client}: {before:?}: {after}");
    remove(sandbox, client, "linear");
    assert_eq!(text(path), before, "{client}: {after:?}");
}

#[test]
fn json_of_any_form_comes_back_byte_for_byte() {
    let sandbox = Sandbox::new();
    for (client, file, table) in JSON {
        let path = at(&sandbox, file);
        for before in GOOD {
            check(&sandbox, client, &path, &before.replace('K', table));
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn json_with_a_mistake_is_left_alone() {
    let sandbox = Sandbox::new();
    for (client, file, table) in JSON {
        let path = at(&sandbox, file);
        for (before, words) in BAD {
            let before = before.replace('K', table);
            std::fs::write(&path, &before).unwrap();
            let said = install(&sandbox, client).failure(2);
            assert!(said.contains(words), "{client}: {before:?}: {said}");
            assert_eq!(text(&path), before);
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn toml_of_any_form_comes_back_byte_for_byte() {
    let sandbox = Sandbox::new();
    let path = at(&sandbox, "home/.codex/config.toml");
    for before in TOML {
        check(&sandbox, "codex", &path, before);
    }
}

#[test]
fn a_file_that_was_not_there_goes_again() {
    let sandbox = Sandbox::new();
    let codex = ("codex", "home/.codex/config.toml", "mcp_servers");
    for (client, file, _) in JSON.into_iter().chain([codex]) {
        let path = at(&sandbox, file);
        install(&sandbox, client).success();
        mcp(&sandbox, &["install", client, "--name", "second", URL]).success();
        let shown = mcp(&sandbox, &["remove", client, "linear"]).success();
        assert!(!shown.contains("/dev/null"), "{shown}");
        let dry = mcp(&sandbox, &["remove", client, "second", "--dry-run"]);
        assert!(path.exists() && dry.stdout.contains("+++ /dev/null"), "{client}: {dry:?}");
        remove(&sandbox, client, "second");
        assert!(!path.exists(), "{client}");
        // What somebody else wrote into it stays.
        install(&sandbox, client).success();
        let other = if client == "codex" { "model = \"x\"\n" } else { "// mine\n" };
        std::fs::write(&path, format!("{other}{}", text(&path))).unwrap();
        remove(&sandbox, client, "linear");
        assert!(text(&path).contains(other.trim_end()), "{client}: {}", text(&path));
    }
}

#[test]
fn a_file_behind_a_link_becomes_empty_and_the_link_stays() {
    let sandbox = Sandbox::new();
    let file = write(&sandbox, "home/dotfiles/mcp.json", "");
    let path = at(&sandbox, "home/.cursor/mcp.json");
    symlink(&file, &path).unwrap();
    install(&sandbox, "cursor").success();
    std::fs::remove_dir_all(sandbox.path("home/.local/share/authctl/backups")).unwrap();
    remove(&sandbox, "cursor", "linear");
    assert!(path.is_symlink() && text(&file).is_empty());
}

/// The table that was there stays although the file has changed since.
#[test]
fn a_table_stays_as_it_was_though_the_file_changed() {
    for (client, file, table) in JSON {
        for (before, left) in [
            ("{\n  \"K\": {}\n}\n", "{\n  \"n\": 1,\n  \"K\": {}\n}\n"),
            ("{\n}\n", "{\n  \"n\": 1\n}\n"),
        ] {
            let sandbox = Sandbox::new();
            let path = write(&sandbox, file, &before.replace('K', table));
            install(&sandbox, client).success();
            let after = text(&path).replacen("{\n", "{\n  \"n\": 1,\n", 1);
            std::fs::write(&path, after).unwrap();
            remove(&sandbox, client, "linear");
            assert_eq!(text(&path), left.replace('K', table), "{client}");
        }
    }
}

/// Comments may be about anything; only those inside the entry are its own.
#[test]
fn comments_beside_a_removed_server_stay() {
    let sandbox = Sandbox::new();
    let before = "{\n  \"mcpServers\": {\n    // above\n    \"linear\": { // inside\n      \"command\": \"x\"\n    }, // behind\n    // below\n    \"b\": {}\n  }\n}\n";
    let path = write(&sandbox, "home/.cursor/mcp.json", before);
    mcp(&sandbox, &["remove", "cursor", "linear", "--force"]).success();
    let left = "{\n  \"mcpServers\": {\n    // above\n    // behind\n    // below\n    \"b\": {}\n  }\n}\n";
    assert_eq!(text(&path), left);
    let before = "# above\n[mcp_servers.linear] # heading\n# inside\ncommand = \"x\"\n# below\n\n[mcp_servers.b]\n";
    let path = write(&sandbox, "home/.codex/config.toml", before);
    mcp(&sandbox, &["remove", "codex", "linear", "--force"]).success();
    assert_eq!(text(&path), "# above\n# below\n\n[mcp_servers.b]\n");
}

/// One that replaced another one does not bring that back.
#[test]
fn a_server_that_was_replaced_does_not_come_back() {
    let sandbox = Sandbox::new();
    let before = "{\n  \"mcpServers\": {\n    \"linear\": { \"command\": \"x\" }\n  }\n}\n";
    let path = write(&sandbox, "home/.cursor/mcp.json", before);
    mcp(&sandbox, &["install", "cursor", "--name", "linear", "--replace", URL]).success();
    remove(&sandbox, "cursor", "linear");
    assert_eq!(text(&path), "{\n  \"mcpServers\": {}\n}\n");
}
