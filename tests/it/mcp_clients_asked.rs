//! A change of clients' files before it is made: shown without what the files hide, agreed to by a person, and
//! refused where it cannot be or should not; whatever goes wrong, a file is as it was.

use serde_json::json;

use crate::support::mcp_clients::{URL, files, plain};
use crate::support::others_files::{GITHUB, HIDDEN, backups, listed, mcp, text, write};
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Sandbox};

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
