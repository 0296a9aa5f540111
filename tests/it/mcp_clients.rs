//! `mcp install|list|remove`: every client's file gets and loses a server, keeps its comments and order, and what
//! is others' stays.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::mcp_clients::{URL, files, plain};
use crate::support::others_files::{HIDDEN, backups, listed, mcp, text, write};
use crate::support::sandbox::{AUTHCTL, Sandbox};

// -------------------------------------------------------------------------------- install, list, remove

#[test]
fn every_client_gets_a_server_and_loses_it_without_a_trace() {
    let sandbox = Sandbox::new();
    for (client, file, before, table) in files() {
        let path = write(&sandbox, file, &before);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let shown = mcp(&sandbox, &["install", client, URL]).success();
        assert!(shown.contains(&format!("+++ {}", path.display())), "{client}: {shown}");
        assert!(shown.contains(URL), "{client}: {shown}");
        let after = text(&path);
        if client == "codex" {
            let added = format!(
                "\n[mcp_servers.linear]\ncommand = \"{AUTHCTL}\"\nargs = [\"mcp\", \"{URL}\"]\n"
            );
            assert_eq!(after, before.clone() + &added);
        } else {
            let added = &plain(&after)[table]["linear"];
            assert_eq!(added["command"], AUTHCTL, "{client}: {after}");
            assert_eq!(added["args"], json!(["mcp", URL]));
            let is_typed = ["claude-code", "vscode"].contains(&client);
            assert_eq!(added["type"] == "stdio", is_typed, "{client}: {after}");
            let comments = before.lines().filter_map(|line| line.find(" /").map(|at| &line[at..]));
            for comment in comments {
                assert!(after.contains(comment), "{client}: {comment}: {after}");
            }
        }
        let found = listed(&sandbox);
        let one = found.iter().find(|one| one["client"] == client && one["name"] == "linear");
        let one = one.unwrap_or_else(|| panic!("{client}: {found:?}"));
        assert_eq!(
            (&one["through"], &one["target"]),
            (&json!("mcp"), &json!("https://mcp.linear.app"))
        );
        // A second time there is nothing to do.
        let again = mcp(&sandbox, &["install", client, URL]);
        assert!(again.stdout.is_empty() && again.stderr.contains("already"), "{again:?}");
        assert_eq!(text(&path), after);
        mcp(&sandbox, &["remove", client, "linear"]).success();
        assert_eq!(text(&path), before, "{client}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(backups(&sandbox).contains(&before) && backups(&sandbox).contains(&after));
    }
}

#[test]
fn a_file_that_is_not_there_is_made() {
    let sandbox = Sandbox::new();
    for (client, file, _, _) in files() {
        let path = sandbox.path(file);
        // Its directory says that the client is here.
        if client == "cline" {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        mcp(&sandbox, &["install", client, URL]).success();
        assert!(text(&path).contains(URL), "{client}");
        mcp(&sandbox, &["remove", client, "linear"]).success();
        assert!(!path.exists(), "{client}");
        mcp(&sandbox, &["install", client, URL]).success();
    }
    assert_eq!(listed(&sandbox).len(), files().len());
}

#[test]
fn a_projects_file_calls_authctl_by_its_name() {
    let sandbox = Sandbox::new();
    for (client, file) in [
        ("claude-code", ".mcp.json"),
        ("cursor", ".cursor/mcp.json"),
        ("vscode", ".vscode/mcp.json"),
        ("zed", ".zed/settings.json"),
        ("codex", ".codex/config.toml"),
        ("gemini", ".gemini/settings.json"),
    ] {
        mcp(&sandbox, &["install", client, URL, "--project"]).success();
        let after = text(&sandbox.path("work").join(file));
        assert!(after.contains("\"authctl\"") && !after.contains(AUTHCTL), "{client}: {after}");
    }
    assert!(listed(&sandbox).iter().all(|one| one["scope"] == "project"));
    for client in ["claude-desktop", "windsurf", "cline"] {
        let said = mcp(&sandbox, &["install", client, URL, "--project"]).failure(2);
        assert!(said.contains("no file of its own for a project"), "{said}");
    }
}

#[test]
fn authctl_is_called_by_the_path_on_which_it_is_found() {
    let mut sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("bin")).unwrap();
    std::os::unix::fs::symlink(AUTHCTL, sandbox.path("bin/authctl")).unwrap();
    sandbox.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
    mcp(&sandbox, &["install", "cursor", URL]).success();
    let after = plain(&text(&sandbox.path("home/.cursor/mcp.json")));
    assert_eq!(
        after["mcpServers"]["linear"]["command"],
        *sandbox.path("bin/authctl").to_string_lossy()
    );
    // One with a blank in it is torn apart on some platforms.
    std::fs::rename(sandbox.path("bin"), sandbox.path("a bin")).unwrap();
    sandbox.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("a bin").display()));
    mcp(&sandbox, &["install", "windsurf", URL]).success();
    let after = plain(&text(&sandbox.path("home/.codeium/windsurf/mcp_config.json")));
    assert_eq!(after["mcpServers"]["linear"]["command"], "authctl");
}

#[test]
fn several_clients_or_all_that_are_here_get_it_at_once() {
    let sandbox = Sandbox::new();
    mcp(&sandbox, &["install", "cursor", "codex", URL]).success();
    assert_eq!(listed(&sandbox).len(), 2);
    std::fs::create_dir_all(sandbox.path("home/.codeium/windsurf")).unwrap();
    mcp(&sandbox, &["install", "--all", URL]).success();
    let clients: Vec<Value> = listed(&sandbox).iter().map(|one| one["client"].clone()).collect();
    assert_eq!(clients, [json!("cursor"), json!("codex"), json!("windsurf")]);
    mcp(&sandbox, &["remove", "--all", "linear"]).success();
    assert!(listed(&sandbox).is_empty());
    let said = mcp(&sandbox, &["remove", "--all", "linear"]).failure(2);
    assert!(said.contains("no server linear"), "{said}");
}

#[test]
fn a_local_server_and_options_become_arguments() {
    let sandbox = Sandbox::new();
    let with = ["--with", "github=GITHUB_TOKEN,stripe", "--", "npx", "-y", "@scope/server-hub@1.2"];
    mcp(&sandbox, &[&["install", "cursor"][..], &with].concat()).success();
    let header = ["--header", "X-Workspace: seven", "--account", "work", "--name", "second"];
    mcp(&sandbox, &[&["install", "cursor", URL][..], &header].concat()).success();
    let after = plain(&text(&sandbox.path("home/.cursor/mcp.json")))["mcpServers"].clone();
    assert_eq!(
        after["server-hub"]["args"],
        json!([
            "mcp",
            "--with",
            "github=GITHUB_TOKEN,stripe",
            "--",
            "npx",
            "-y",
            "@scope/server-hub@1.2"
        ])
    );
    assert_eq!(
        after["second"]["args"],
        json!(["mcp", "--account", "work", "--header", "X-Workspace:seven", URL])
    );
    // A third of the same host gets a longer name than the first.
    mcp(&sandbox, &["install", "cursor", URL]).success();
    mcp(&sandbox, &["install", "cursor", "https://mcp.linear.app/other"]).success();
    let after = plain(&text(&sandbox.path("home/.cursor/mcp.json")))["mcpServers"].clone();
    assert_eq!(after["linear"]["args"], json!(["mcp", URL]));
    assert_eq!(after["mcp-linear-app"]["args"], json!(["mcp", "https://mcp.linear.app/other"]));
}

#[test]
fn any_other_file_is_named() {
    let sandbox = Sandbox::new();
    for (file, before, table) in [
        ("work/a.json", "{}", "mcpServers"),
        ("work/b.json", "{\"context_servers\":{\"x\":{\"command\":\"y\"}}}", "context_servers"),
        ("work/c.jsonc", "// c\n{\n  \"servers\": {},\n}\n", "servers"),
    ] {
        let path = write(&sandbox, file, before);
        mcp(&sandbox, &["install", "--file", path.to_str().unwrap(), URL]).success();
        let after = text(&path);
        assert_eq!(plain(&after)[table]["linear"]["args"], json!(["mcp", URL]), "{after}");
        let list = mcp(&sandbox, &["list", "--file", path.to_str().unwrap()]).success();
        assert!(list.contains("authctl mcp → https://mcp.linear.app"), "{list}");
        mcp(&sandbox, &["remove", "--file", path.to_str().unwrap(), "linear"]).success();
        assert!(!text(&path).contains("linear"));
    }
    let toml = write(&sandbox, "work/d.toml", "x = 1\n");
    mcp(&sandbox, &["install", "--file", toml.to_str().unwrap(), URL]).success();
    assert!(text(&toml).contains("[mcp_servers.linear]"));
}

// ------------------------------------------------------------------------------------- what is others'

#[test]
fn a_server_that_is_not_ours_is_left_alone_until_told() {
    let sandbox = Sandbox::new();
    let before = format!(
        "{{\n  \"mcpServers\": {{\n    \"linear\": {{ \"url\": \"{URL}\", \"headers\": {{ \"Authorization\": \"Bearer {HIDDEN}\" }} }}\n  }}\n}}\n"
    );
    let file = write(&sandbox, "home/.cursor/mcp.json", &before);
    let output = mcp(&sandbox, &["install", "cursor", URL]);
    assert!(output.stdout.contains("-    \"linear\""), "{output:?}");
    let said = output.failure(2);
    assert!(said.contains("does not go through authctl") && said.contains("--replace"), "{said}");
    let said = mcp(&sandbox, &["remove", "cursor", "linear"]).failure(2);
    assert!(said.contains("does not go through authctl") && said.contains("--force"), "{said}");
    assert_eq!(text(&file), before);
    // Of several files none is written when one is refused.
    mcp(&sandbox, &["install", "windsurf", "cursor", URL]).failure(2);
    assert!(!sandbox.path("home/.codeium").exists());
    mcp(&sandbox, &["install", "cursor", URL, "--replace"]).success();
    assert_eq!(plain(&text(&file))["mcpServers"]["linear"]["args"], json!(["mcp", URL]));
    std::fs::write(&file, &before).unwrap();
    mcp(&sandbox, &["remove", "cursor", "linear", "--force"]).success();
    assert_eq!(plain(&text(&file)), json!({ "mcpServers": {} }));
    assert_eq!(backups(&sandbox), [before.clone(), before]);
}

#[test]
fn a_list_says_what_goes_through_authctl_and_what_lies_open() {
    let sandbox = Sandbox::new();
    let servers = json!({ "mcpServers": {
        "open": { "url": format!("https://x.example/s/{HIDDEN}?k={HIDDEN}"), "headers": { "X-Api-Key": HIDDEN } },
        "plain": { "command": "/opt/bin/thing", "args": [HIDDEN] },
        "held": { "command": "authctl", "args": ["exec", "--with", "github", "--", "npx", HIDDEN] },
    } });
    let mut all = servers.clone();
    all["projects"] = json!({ "/w": servers });
    write(&sandbox, "home/.claude.json", &all.to_string());
    write(&sandbox, "work/.mcp.json", "{");
    let output = mcp(&sandbox, &["list"]);
    for part in [
        "! open",
        "https://x.example, a key in the open",
        "- plain",
        "+ held",
        "exec → npx",
        "open (/w)",
    ] {
        assert!(output.stdout.contains(part), "{part}: {output:?}");
    }
    assert!(
        output.stderr.contains("passed over") && output.stderr.contains("mcp import"),
        "{output:?}"
    );
    std::fs::remove_file(sandbox.path("work/.mcp.json")).unwrap();
    assert_eq!(listed(&sandbox).len(), 6);
    let nothing = mcp(&sandbox, &["list", "zed"]).success();
    assert!(nothing.contains("No MCP client"), "{nothing}");
}
