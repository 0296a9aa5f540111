//! `mcp install|list|remove|import`: every client's file gets and loses a server, keeps its comments and order,
//! and never shows what it hides; whatever goes wrong, it is as it was.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::{Answer, Server};
use crate::support::others_files::{GITHUB, HIDDEN, STRIPE, backups, listed, mcp, text, write};
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Sandbox};

const URL: &str = "https://mcp.linear.app/mcp";

/// JSON with comments and commas at the end, without them.
fn plain(text: &str) -> Value {
    let comments = regex::Regex::new(r"(?m)(^|\s)//.*$|/\*[^*]*\*/").unwrap();
    let commas = regex::Regex::new(r",(\s*[}\]])").unwrap();
    let text = comments.replace_all(text, "").into_owned();
    serde_json::from_str(&commas.replace_all(&text, "$1")).unwrap()
}

/// Client, file, what is in it, and the keys that lead to its servers.
fn files() -> Vec<(&'static str, &'static str, String, &'static str)> {
    let servers = |table: &str| {
        format!(
            "{{\n  // mine {HIDDEN}\n  \"other\": {{ \"key\": \"{HIDDEN}\" }},\n  \"{table}\": {{\n    \"own\": {{ // first\n      \"command\": \"npx\",\n      \"args\": [\"-y\", \"x\"],\n      \"env\": {{ \"X_API_KEY\": \"{HIDDEN}\" }}\n    }} // last\n    /* the end */\n  }},\n  \"z\": [1, 2]\n}}\n"
        )
    };
    let settings = format!("{{\n  // mine\n  \"theme\": \"{HIDDEN}\", // dark\n}}\n");
    vec![
        ("claude-code", "home/.claude.json", servers("mcpServers"), "mcpServers"),
        (
            "claude-desktop",
            "home/.config/Claude/claude_desktop_config.json",
            "{}".into(),
            "mcpServers",
        ),
        ("cursor", "home/.cursor/mcp.json", servers("mcpServers"), "mcpServers"),
        ("vscode", "home/.config/Code/User/mcp.json", servers("servers"), "servers"),
        ("zed", "home/.config/zed/settings.json", settings, "context_servers"),
        ("gemini", "home/.gemini/settings.json", servers("mcpServers"), "mcpServers"),
        (
            "windsurf",
            "home/.codeium/windsurf/mcp_config.json",
            "{\n\t\"mcpServers\": {}\n}".into(),
            "mcpServers",
        ),
        (
            "cline",
            "home/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
            "{\r\n  \"mcpServers\": {\r\n    \"a\": { \"url\": \"https://a.example\" }\r\n  }\r\n}\r\n"
                .into(),
            "mcpServers",
        ),
        (
            "codex",
            "home/.codex/config.toml",
            format!(
                "model = \"{HIDDEN}\" # mine\n\n[mcp_servers.own]\ncommand = \"npx\" # old\n[mcp_servers.own.env]\nX_API_KEY = \"{HIDDEN}\"\n\n[profiles.x]\nmodel = \"y\"\n# the end\n"
            ),
            "",
        ),
    ]
}

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

// ---------------------------------------------------------------------------------------------- dry run

#[test]
fn a_dry_run_shows_the_difference_and_no_secret_and_writes_nothing() {
    let sandbox = Sandbox::new();
    for (client, file, before, _) in files() {
        let path = write(&sandbox, file, &before);
        let shown = mcp(&sandbox, &["install", client, URL, "--dry-run"]).success();
        assert!(shown.contains("@@") && shown.contains(URL), "{client}: {shown}");
        let told = mcp(&sandbox, &["install", client, URL, "--dry-run", "--json"]).json();
        assert_eq!(
            (&told["written"], &told["files"][0]["change"]),
            (&json!(false), &json!("added"))
        );
        assert_eq!(text(&path), before, "{client}");
    }
    let made =
        mcp(&sandbox, &["install", "cursor", "https://new.example/", "--project", "--dry-run"]);
    assert!(made.stdout.contains("--- /dev/null"), "{made:?}");
    assert!(!sandbox.path("work/.cursor").exists() && backups(&sandbox).is_empty());
    // What a person typed may be a key as well.
    let key = [
        "--",
        "npx",
        "server",
        "--api-key",
        HIDDEN,
        "--token=hunter2-in-the-neighbourhood",
        GITHUB,
    ];
    let shown = mcp(&sandbox, &[&["install", "cursor", "--dry-run"][..], &key].concat()).success();
    assert!(shown.contains("\"server\", \"--api-key\", \"…\", \"…\", \"…\""), "{shown}");
}

#[test]
fn a_terminal_is_asked_after_the_difference() {
    let sandbox = Sandbox::new();
    let before = "{\n  \"mcpServers\": {}\n}\n";
    let file = write(&sandbox, "home/.cursor/mcp.json", before);
    let install = ["mcp", "install", "cursor", URL];
    let mut terminal = Terminal::start(sandbox.command(install));
    assert!(terminal.expect("Write this?").contains(URL));
    terminal.send_line("n");
    terminal.rest();
    assert_eq!(text(&file), before);
    // What another program writes while the question stands is not written over.
    let mut terminal = Terminal::start(sandbox.command(install));
    terminal.expect("Write this?");
    let theirs = "{\n  \"mcpServers\": { \"a\": {} }\n}\n";
    std::fs::write(&file, theirs).unwrap();
    terminal.send_line("y");
    assert!(terminal.rest().contains("changed meanwhile"));
    assert_eq!(text(&file), theirs);
    // Without a client it asks which.
    let mut terminal = Terminal::start(sandbox.command(["mcp", "install", URL, "--yes"]));
    terminal.expect("Which clients?");
    terminal.send_line(" ");
    terminal.rest();
    assert!(text(&file).contains("linear"));
}

#[test]
fn where_nobody_can_be_asked_yes_has_to_be_said() {
    let sandbox = Sandbox::new();
    let install = ["mcp", "install", "cursor", URL];
    for json in [&[][..], &["--json"]] {
        let said = sandbox.run([&install[..], json].concat()).failure(2);
        assert!(said.contains("nobody can be asked") && said.contains("--yes"), "{said}");
        assert!(!sandbox.path("home/.cursor").exists());
    }
    let told = sandbox.run([&install[..], &["-y", "--json"]].concat()).json();
    let difference = told["files"][0]["difference"].as_str().unwrap();
    assert!(difference.contains("@@") && !difference.contains('\u{1b}'), "{difference:?}");
    sandbox.run(["mcp", "remove", "cursor", "linear"]).failure(2);
    assert_eq!(listed(&sandbox).len(), 1);
}

#[test]
fn an_entry_that_is_no_table_is_left_alone_unless_replaced() {
    let sandbox = Sandbox::new();
    for (client, file, before) in [
        ("cursor", "home/.cursor/mcp.json", "{\"mcpServers\": {\"linear\": \"mine\"}}"),
        ("codex", "home/.codex/config.toml", "mcp_servers.linear = \"mine\"\n"),
    ] {
        let path = write(&sandbox, file, before);
        let said = mcp(&sandbox, &["install", client, URL, "--name", "linear"]).failure(2);
        assert!(said.contains("does not go through authctl"), "{said}");
        assert_eq!(text(&path), before);
    }
    let replace = ["install", "cursor", URL, "--name", "linear", "--replace"];
    mcp(&sandbox, &replace).success();
    let after = plain(&text(&sandbox.path("home/.cursor/mcp.json")));
    assert_eq!(after["mcpServers"]["linear"]["args"], json!(["mcp", URL]));
}

#[test]
fn a_mark_at_the_beginning_and_an_empty_table_are_taken() {
    let sandbox = Sandbox::new();
    let marked = "\u{feff}{\r\n  \"mcpServers\": {\r\n    \"a\": {}\r\n  }\r\n}\r\n";
    let path = write(&sandbox, "home/.cursor/mcp.json", marked);
    mcp(&sandbox, &["install", "cursor", URL]).success();
    assert_eq!(listed(&sandbox).len(), 2);
    mcp(&sandbox, &["remove", "cursor", "linear"]).success();
    assert_eq!(text(&path), marked);
    write(&sandbox, "home/.cursor/mcp.json", "{ \"mcpServers\": null }\n");
    mcp(&sandbox, &["install", "cursor", URL]).success();
    assert_eq!(listed(&sandbox).len(), 1);
}

#[test]
fn a_list_with_a_broken_file_says_so_and_fails() {
    let sandbox = Sandbox::new();
    write(&sandbox, "home/.cursor/mcp.json", "{\n  \"mcpServers\": {\n    \"a\": {}\n");
    let output = mcp(&sandbox, &["list"]);
    assert_eq!(output.code(), 1, "{output:?}");
    assert!(output.stdout.is_empty() && output.stderr.contains("line 3, column 12"), "{output:?}");
    assert_eq!(mcp(&sandbox, &["list", "--json"]).code(), 1);
}

#[test]
fn a_secret_in_an_address_or_a_command_is_seen() {
    let sandbox = Sandbox::new();
    for url in [
        format!("https://mcp.tavily.com/mcp/?tavilyApiKey={HIDDEN}"),
        format!("https://mcp.example.com/{GITHUB}/mcp"),
    ] {
        for dry in [&[][..], &["--dry-run"]] {
            let said = mcp(&sandbox, &[&["install", "cursor", &url][..], dry].concat()).failure(2);
            assert!(said.contains("secret in it") && said.contains("provider add"), "{said}");
        }
    }
    let token = format!("--token={HIDDEN}");
    let command = ["--", "npx", "server", token.as_str()];
    let said =
        mcp(&sandbox, &[&["install", "cursor", "--project"][..], &command].concat()).failure(2);
    assert!(said.contains("--token") && said.contains("--with"), "{said}");
    let output = mcp(&sandbox, &[&["install", "cursor"][..], &command].concat());
    assert!(output.code() == 0 && output.stderr.contains("--token"), "{output:?}");
    let query = mcp(&sandbox, &["install", "cursor", "https://x.example/mcp?project=seven"]);
    assert!(query.code() == 0 && !query.stderr.contains("seven"), "{query:?}");
    let dry = mcp(&sandbox, &["install", "zed", "--", "npx", "-y", "server", "--yes"]);
    assert!(dry.stderr.contains("--yes behind --"), "{dry:?}");
    let there =
        json!({ "mcpServers": { "t": { "url": format!("https://t.example/?key={HIDDEN}") } } });
    write(&sandbox, "home/.cursor/mcp.json", &there.to_string());
    let held = listed(&sandbox);
    assert_eq!(held[0]["literals"], 1, "{held:?}");
}

#[test]
fn its_own_entries_are_known_by_whatever_name_it_runs() {
    let sandbox = Sandbox::new();
    let other = sandbox.path("authctl-next");
    std::fs::copy(AUTHCTL, &other).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = sandbox.program(other.to_str().unwrap());
        command.arg("mcp").args(arguments);
        sandbox.start(command).finish()
    };
    run(&["install", "cursor", URL, "--yes"]).success();
    assert!(text(&sandbox.path("home/.cursor/mcp.json")).contains("authctl-next"));
    assert!(run(&["list"]).success().contains("authctl mcp"));
    run(&["remove", "cursor", "linear", "--yes"]).success();
    // One that is elsewhere is told from the one that runs.
    let entry = |path: &str| json!({ "command": path, "args": ["mcp", URL] });
    let there =
        json!({ "mcpServers": { "old": entry("/nowhere/authctl"), "own": entry(AUTHCTL) } });
    write(&sandbox, "home/.cursor/mcp.json", &there.to_string());
    let shown = mcp(&sandbox, &["list"]).success();
    assert_eq!(shown.matches("another authctl: /nowhere/authctl").count(), 1, "{shown}");
    assert_eq!(shown.matches("another authctl").count(), 1, "{shown}");
}

#[test]
fn a_file_that_is_named_has_a_known_form_and_a_directory() {
    let sandbox = Sandbox::new();
    for (file, words) in [("x.yaml", "YAML"), ("nowhere/x.json", "no directory nowhere")] {
        let said = mcp(&sandbox, &["install", "--file", file, URL]).failure(2);
        assert!(said.contains(words), "{said}");
        assert!(!sandbox.path("work").join(file).exists());
    }
    mcp(&sandbox, &["install", "--file", "x.json", URL]).success();
}

// ------------------------------------------------------------------------------------------- bad input

#[test]
fn what_cannot_be_changed_is_named_and_stays() {
    let sandbox = Sandbox::new();
    for (file, client, before, words) in [
        ("home/.cursor/mcp.json", "cursor", "{\n  \"mcpServers\": {,}\n}", "line 2, column"),
        ("home/.cursor/mcp.json", "cursor", "<html>", "line 1, column 1"),
        ("home/.cursor/mcp.json", "cursor", "{\"mcpServers\":{},\"mcpServers\":{}}", "twice"),
        ("home/.cursor/mcp.json", "cursor", "{\"mcpServers\":[]}", "cannot be changed here"),
        ("home/.cursor/mcp.json", "cursor", "[]", "cannot be changed here"),
        ("home/.codex/config.toml", "codex", "a = 1\nb = = 2\n", "line 2, column"),
        ("home/.codex/config.toml", "codex", "mcp_servers = 3\n", "cannot be changed here"),
    ] {
        let path = write(&sandbox, file, before);
        for arguments in [&["install", client, URL][..], &["install", client, URL, "--dry-run"]] {
            let said = mcp(&sandbox, arguments).failure(2);
            assert!(said.contains(words) && said.contains(path.to_str().unwrap()), "{said}");
        }
        assert_eq!(text(&path), before);
        std::fs::remove_file(path).unwrap();
    }
    assert!(backups(&sandbox).is_empty());
}

#[test]
fn a_command_line_that_says_too_little_or_too_much_is_refused() {
    let sandbox = Sandbox::new();
    for (arguments, words) in [
        (&["cursor"][..], "one server"),
        (&["cursor", URL, "--", "npx"], "one server"),
        (&["cursor", URL, "https://other.example/"], "one server"),
        (&["cursr", URL], "is no client"),
        (&["cursor", "http://x.example/"], "https"),
        (&["cursor", "https://user:pw@x.example/"], "user"),
        (&["cursor", URL, "--with", "github"], "--with is for a command"),
        (&["cursor", URL, "--header", "Authorization: Bearer x"], "name of a secret"),
        (&["cursor", URL, "--header", "X-Note: two words"], "without blanks"),
        (&["cursor", URL, "--header", "X-Note"], "a header is written"),
        (&["cursor", URL, "--name", "two words"], "no name for a server"),
        (&["cursor", "--with", "gorq", "--", "npx"], "gorq"),
        (&["cursor", "--header", "X-A:b", "--", "npx"], "--header is for an address"),
        (&[URL], "no client is named"),
        (&["--all", URL], "none of the known clients"),
    ] {
        let said = mcp(&sandbox, &[&["install"], arguments].concat()).failure(2);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert!(!sandbox.path("home/.cursor").exists());
}

#[test]
fn a_coding_agent_may_look_and_not_write() {
    let mut sandbox = Sandbox::new();
    mcp(&sandbox, &["install", "cursor", URL]).success();
    sandbox.env("CLAUDECODE", "1");
    let before = text(&sandbox.path("home/.cursor/mcp.json"));
    for arguments in
        [&["install", "cursor", "https://x.example/"][..], &["remove", "cursor", "linear"]]
    {
        let said = mcp(&sandbox, arguments).failure(1);
        assert!(said.contains("only a person") && said.contains("--dry-run"), "{said}");
        mcp(&sandbox, &[arguments, &["--dry-run"]].concat()).success();
    }
    assert_eq!(listed(&sandbox).len(), 1);
    assert_eq!(text(&sandbox.path("home/.cursor/mcp.json")), before);
    let env = format!("GITHUB_TOKEN={GITHUB}\n");
    let file = write(&sandbox, "work/.env", &env);
    for arguments in [&["import", "--rewrite"][..], &["mcp", "import", "--rewrite"]] {
        for json in [&[][..], &["--json"]] {
            let said = sandbox.run([arguments, json].concat()).failure(1);
            assert!(said.contains("only a person") && said.contains("--dry-run"), "{said}");
        }
    }
    sandbox.run(["import", "--dry-run"]).success();
    assert_eq!(text(&file), env);
}

#[test]
fn installs_at_the_same_time_all_arrive() {
    let sandbox = Sandbox::new();
    for file in ["home/.cursor/mcp.json", "home/.codex/config.toml"] {
        let client = if file.ends_with("toml") { "codex" } else { "cursor" };
        let start = |number: usize| {
            let url = format!("https://server{number}.example/mcp");
            sandbox.start(sandbox.command(["mcp", "install", "-y", client, &url]))
        };
        let running: Vec<_> = (0..8).map(start).collect();
        for one in running {
            one.finish().success();
        }
        let after = text(&sandbox.path(file));
        for number in 0..8 {
            assert!(after.contains(&format!("https://server{number}.example/mcp")), "{after}");
        }
    }
    assert_eq!(listed(&sandbox).len(), 16);
}

// ---------------------------------------------------------------------------------------------- import

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
