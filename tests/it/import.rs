//! `import`: what other tools keep in the open is found, named, stored and taken out of their files; and
//! whatever goes wrong, nothing is lost and nothing is half written.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::others_files::{GITHUB, OTHER, STRIPE, assert_silent, backups, text, write};
use crate::support::pty::Terminal;
use crate::support::sandbox::{Output, Sandbox};
use crate::support::sealed::Sealed;
use crate::support::signed_in::{PROVIDER, SignedIn, config};

fn import(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let output = sandbox.run([&["import"], arguments].concat());
    assert_silent(&output);
    output
}

fn found(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let output = import(sandbox, &[&["--json"], arguments].concat());
    assert_eq!(output.code(), 0, "{output:?}");
    output.json()["found"].as_array().unwrap().clone()
}

fn token(sandbox: &Sandbox, name: &str) -> String {
    sandbox.run(["token", name]).success().trim_end().to_owned()
}

// ---------------------------------------------------------------------------------------------- .env

const ENV: &str = "# keys of the shop\nexport GITHUB_TOKEN=\"ghp_0123456789abcdefghij0123456789abcdef\" # bot\nLOG_LEVEL=debug\n\nSTRIPE_SECRET_KEY='sk_live_0123456789abcdefghij'\nMULTI=\"a\nb\"\nOPENAI_API_KEY=${FROM_VAULT}\nSHOP_API_KEY=unknown-1\n";

#[test]
fn a_look_changes_nothing_and_shows_no_secret() {
    let sandbox = Sandbox::new();
    let file = write(&sandbox, "work/.env", ENV);
    let shown = import(&sandbox, &[]).success();
    for part in ["line 2 GITHUB_TOKEN", "→ github", "line 5 STRIPE_SECRET_KEY", "→ stripe"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("line 9 SHOP_API_KEY") && shown.contains("no provider"), "{shown}");
    assert!(!shown.contains("LOG_LEVEL") && !shown.contains("OPENAI"), "{shown}");
    assert_eq!(text(&file), ENV);
    let held = sandbox.run(["status", "--json"]).json()["credentials"].clone();
    assert_eq!(held, json!([]));
    assert!(backups(&sandbox).is_empty());
}

#[test]
fn what_is_applied_is_stored_and_what_is_rewritten_is_gone_from_the_file() {
    let sandbox = Sandbox::new();
    let file = write(&sandbox, "work/.env", ENV);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    import(&sandbox, &["--apply"]).success();
    assert_eq!(text(&file), ENV, "stored, not rewritten");
    assert_eq!(
        (token(&sandbox, "github"), token(&sandbox, "stripe")),
        (GITHUB.into(), STRIPE.into())
    );
    assert_eq!(found(&sandbox, &[])[0]["state"], "stored");
    let log = sandbox.run(["log", "github"]).success();
    assert!(log.contains("imported from") && log.contains(".env"), "{log}");
    let said = import(&sandbox, &["--rewrite"]);
    assert_eq!(said.code(), 0, "{said:?}");
    let after = ENV
        .replace(
            &format!("export GITHUB_TOKEN=\"{GITHUB}\""),
            "# GITHUB_TOKEN: authctl exec --with github=GITHUB_TOKEN -- COMMAND",
        )
        .replace(
            &format!("STRIPE_SECRET_KEY='{STRIPE}'"),
            "# STRIPE_SECRET_KEY: authctl exec --with stripe -- COMMAND",
        );
    assert_eq!(text(&file), after);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(backups(&sandbox), [ENV]);
    assert!(said.stderr.contains("backups/"), "{said:?}");
    let command = "authctl exec --with github=GITHUB_TOKEN,stripe -- COMMAND";
    assert!(said.stderr.contains(command), "{said:?}");
    assert_eq!(said.stderr.matches("is run by").count(), 1, "{said:?}");
    // What the comment says works.
    let with = ["exec", "--with", "github=GITHUB_TOKEN", "--", "printenv", "GITHUB_TOKEN"];
    assert_eq!(sandbox.run(with).success().trim_end(), GITHUB);
    // A second time there is nothing left but what nobody knows.
    let again = found(&sandbox, &["--rewrite"]);
    assert_eq!(again.len(), 1);
    assert_eq!((&again[0]["state"], text(&file)), (&json!("unknown"), after));
}

#[test]
fn a_secret_that_nobody_knows_can_be_named() {
    let mut sandbox = Sandbox::new();
    write(&sandbox, "work/.env", "SHOP_API_KEY=unknown-1\n");
    sandbox.run(["provider", "add", "shop", "--bearer", "--variable", "SHOP_TOKEN"]).success();
    let digest = found(&sandbox, &[])[0]["digest"].as_str().unwrap().to_owned();
    import(&sandbox, &["--as", &format!("{digest}=shop:work"), "--rewrite"]).success();
    sandbox.env("AUTHCTL_ACCOUNT", "work");
    assert_eq!(token(&sandbox, "shop"), "unknown-1");
    assert!(text(&sandbox.path("work/.env")).contains("--with shop:work=SHOP_API_KEY"));
    let said = import(&sandbox, &["--as", "00000000=shop"]).failure(2);
    assert!(said.contains("no secret here has the digest 00000000"), "{said}");
}

// ------------------------------------------------------------------------------------------ duplicates

#[test]
fn one_secret_in_many_places_is_one_credential() {
    let sandbox = Sandbox::new();
    write(&sandbox, "work/.env", &format!("GITHUB_TOKEN={GITHUB}\nGH_TOKEN={GITHUB}\n"));
    write(&sandbox, "work/.env.local", &format!("GH_TOKEN='{GITHUB}'\n"));
    let output = import(&sandbox, &["--json", "--rewrite"]);
    assert_eq!(output.code(), 0, "{output:?}");
    assert_eq!(output.json()["stored"], json!(["github"]));
    assert_eq!(output.json()["rewritten"].as_array().unwrap().len(), 2);
    for file in ["work/.env", "work/.env.local"] {
        assert!(!text(&sandbox.path(file)).contains(GITHUB));
    }
    assert_eq!(token(&sandbox, "github"), GITHUB);
}

#[test]
fn two_secrets_of_one_name_are_a_choice_and_nothing_is_stored_before_it() {
    let sandbox = Sandbox::new();
    let env = write(
        &sandbox,
        "work/.env",
        &format!("GITHUB_TOKEN={GITHUB}\nGITHUB_TOKEN={OTHER}\nSTRIPE_API_KEY={STRIPE}\n"),
    );
    let before = text(&env);
    let shown = import(&sandbox, &[]).success();
    assert!(shown.contains("like another secret"), "{shown}");
    let said = import(&sandbox, &["--rewrite"]).failure(2);
    assert!(said.contains("nothing was stored") && said.contains("line 1"), "{said}");
    assert_eq!(text(&env), before);
    assert_eq!(sandbox.run(["status", "--json"]).json()["credentials"], json!([]));
    let items = found(&sandbox, &[]);
    let digest = |at: usize| items[at]["digest"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("--as {}=github:ACCOUNT", digest(0))), "{said}");
    import(&sandbox, &["--as", &format!("{}=github:old", digest(0)), "--rewrite"]).success();
    assert_eq!(token(&sandbox, "github:old"), GITHUB);
    assert_eq!(token(&sandbox, "github"), OTHER);
    assert!(!text(&env).contains("ghp_"), "{}", text(&env));
}

#[test]
fn a_stored_secret_is_replaced_only_when_told() {
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["login", "github", "--with-key"], OTHER).success();
    write(&sandbox, "work/.env", &format!("GITHUB_TOKEN={GITHUB}\n"));
    let said = import(&sandbox, &["--apply"]).failure(2);
    assert!(said.contains("the store"), "{said}");
    let digest = found(&sandbox, &[])[0]["digest"].as_str().unwrap().to_owned();
    import(&sandbox, &["--apply", "--skip", &digest]).success();
    assert_eq!(token(&sandbox, "github"), OTHER);
    let id = |sandbox: &Sandbox| {
        sandbox.run(["status", "--json"]).json()["credentials"][0]["id"].clone()
    };
    let before = id(&sandbox);
    import(&sandbox, &["--apply", "--replace"]).success();
    assert_eq!((token(&sandbox, "github"), id(&sandbox)), (GITHUB.into(), before));
    // Of two that want the name, the one that has it already is no rival of the store.
    let both = format!("GITHUB_TOKEN={GITHUB}\nGH_TOKEN={OTHER}\n");
    write(&sandbox, "work/.env", &both);
    let items = found(&sandbox, &[]);
    assert_eq!((&items[0]["state"], &items[1]["state"]), (&json!("stored"), &json!("rivalled")));
}

// ----------------------------------------------------------------------------------------- MCP clients

#[test]
fn a_server_of_an_mcp_client_runs_under_exec_and_the_rest_of_the_file_stays() {
    let sandbox = Sandbox::new();
    let before = format!(
        "{{\n  // my servers\n  \"servers\": {{\n    \"github\": {{\n      \"type\": \"stdio\",\n      \"command\": \"sh\", // a shell\n      \"args\": [\"-c\", \"printenv GITHUB_PERSONAL_ACCESS_TOKEN LEVEL\"],\n      \"env\": {{\n        \"GITHUB_PERSONAL_ACCESS_TOKEN\": \"{GITHUB}\",\n        \"LEVEL\": \"debug\", // keep\n      }},\n    }},\n    \"stripe\": {{ \"command\": \"docker\", \"args\": [\"run\", \"-e\", \"STRIPE_SECRET_KEY={STRIPE}\", \"mcp/stripe\"] }},\n    \"bare\": {{ \"command\": \"x\", \"env\": {{ \"STRIPE_API_KEY\": \"{STRIPE}\" }} }}\n  }},\n  \"inputs\": []\n}}\n"
    );
    let file = write(&sandbox, "work/.vscode/mcp.json", &before);
    import(&sandbox, &["--rewrite"]).success();
    let after = text(&file);
    for kept in ["// my servers", "// a shell", "// keep", "\"LEVEL\": \"debug\"", "\"inputs\": []"]
    {
        assert!(after.contains(kept), "{kept}: {after}");
    }
    assert!(!after.contains(GITHUB) && !after.contains(STRIPE), "{after}");
    let servers: Value = json5_of(&after)["servers"].clone();
    assert_eq!(servers["github"]["command"], "authctl");
    assert_eq!(
        servers["github"]["args"],
        json!([
            "exec",
            "--with",
            "github=GITHUB_PERSONAL_ACCESS_TOKEN",
            "--",
            "sh",
            "-c",
            "printenv GITHUB_PERSONAL_ACCESS_TOKEN LEVEL"
        ])
    );
    assert_eq!(
        servers["stripe"]["args"],
        json!([
            "exec",
            "--with",
            "stripe",
            "--",
            "docker",
            "run",
            "-e",
            "STRIPE_SECRET_KEY",
            "mcp/stripe"
        ])
    );
    assert_eq!(
        servers["bare"]["args"],
        json!(["exec", "--with", "stripe=STRIPE_API_KEY", "--", "x"])
    );
    // The client starts it, and the server gets what it got before.
    let arguments: Vec<&str> =
        servers["github"]["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    let mut command = sandbox.command(arguments);
    command.env("LEVEL", "debug");
    let output = sandbox.start(command).finish().success();
    assert_eq!(output, format!("{GITHUB}\ndebug\n"));
}

/// JSON with comments and commas at the end.
fn json5_of(text: &str) -> Value {
    let lines = text.lines().map(|line| line.split(" // ").next().unwrap());
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let commas = regex::Regex::new(r",(\s*[}\]])").unwrap();
    serde_json::from_str(&commas.replace_all(&text, "$1")).unwrap()
}

#[test]
fn every_client_is_found_where_it_keeps_its_servers() {
    let sandbox = Sandbox::new();
    let server = |key: &str| {
        json!({ key: { "x": { "command": "npx", "args": ["-y", "x"], "env": { "GITHUB_TOKEN": GITHUB } } } })
            .to_string()
    };
    let files = [
        ("home/.claude.json", json!({ "projects": { "/w": serde_json::from_str::<Value>(&server("mcpServers")).unwrap() } }).to_string()),
        ("work/.mcp.json", server("mcpServers")),
        ("home/.config/Claude/claude_desktop_config.json", server("mcpServers")),
        ("home/.cursor/mcp.json", server("mcpServers")),
        ("home/.config/Code/User/mcp.json", server("servers")),
        ("home/.codeium/windsurf/mcp_config.json", server("mcpServers")),
        (
            "home/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
            server("mcpServers"),
        ),
        ("home/.config/zed/settings.json", server("context_servers")),
        ("home/.gemini/settings.json", server("mcpServers")),
        (
            "home/.codex/config.toml",
            format!("[mcp_servers.x]\ncommand = \"npx\"\nargs = [\"-y\", \"x\"]\nenv = {{ GITHUB_TOKEN = \"{GITHUB}\" }}\n"),
        ),
    ];
    for (path, text) in &files {
        write(&sandbox, path, text);
    }
    assert_eq!(found(&sandbox, &[]).len(), files.len());
    import(&sandbox, &["--rewrite"]).success();
    for (path, _) in &files {
        let after = text(&sandbox.path(path));
        assert!(!after.contains(GITHUB), "{path}: {after}");
        let flat: String = after.split_whitespace().collect();
        let prefix = "[\"exec\",\"--with\",\"github=GITHUB_TOKEN\",\"--\",\"npx\",\"-y\",\"x\"]";
        assert!(flat.contains(prefix) && after.contains("authctl"), "{path}: {after}");
    }
    assert_eq!(backups(&sandbox).len(), files.len());
    assert!(found(&sandbox, &[]).is_empty());
}

#[test]
fn where_no_reference_is_possible_the_literal_stays_and_that_is_said() {
    let sandbox = Sandbox::new();
    let before = json!({
        "mcpServers": {
            "remote": { "url": "https://api.githubcopilot.com/mcp/", "headers": { "authorization": format!("bearer {GITHUB}"), "X-Note": "two words" } },
            "bridge": { "command": "curl", "args": ["https://mcp.stripe.com", "--header", format!("Authorization: Bearer {STRIPE}")] },
        }
    })
    .to_string();
    let file = write(&sandbox, "work/.mcp.json", &before);
    let output = import(&sandbox, &["--rewrite"]);
    assert_eq!(output.code(), 0, "{output:?}");
    assert_eq!(
        (token(&sandbox, "github"), token(&sandbox, "stripe")),
        (GITHUB.into(), STRIPE.into())
    );
    assert_eq!(text(&file), before);
    assert!(output.stderr.contains("still stands in"), "{output:?}");
    assert!(output.stderr.contains("another header of the server has blanks"), "{output:?}");
    assert!(output.stderr.contains("argument of a command"), "{output:?}");
    assert!(backups(&sandbox).is_empty());
}

// --------------------------------------------------------------------------------- gh, adcp, mcp-remote

#[test]
fn every_user_of_gh_becomes_an_account() {
    let sandbox = Sandbox::new();
    let before = format!(
        "github.com:\n    git_protocol: https\n    users:\n        Octocat:\n            oauth_token: {GITHUB}\n        Mona-Work:\n            oauth_token: {OTHER}\n    user: Octocat\n    oauth_token: {GITHUB}\n"
    );
    let file = write(&sandbox, "home/.config/gh/hosts.yml", &before);
    let output = import(&sandbox, &["--rewrite"]);
    assert_eq!(output.code(), 0, "{output:?}");
    assert_eq!(token(&sandbox, "github"), GITHUB);
    assert_eq!(token(&sandbox, "github:mona-work"), OTHER);
    assert_eq!(text(&file), before);
    assert!(output.stderr.contains("gh auth logout"), "{output:?}");
}

#[test]
fn agents_of_adcp_keep_their_place_and_lose_their_token() {
    let sandbox = Sandbox::new();
    let file = write(
        &sandbox,
        "home/.adcp/config.json",
        "{\n  \"agents\": {\n    \"Shop\": {\n      \"url\": \"https://shop.example/mcp\",\n      \"protocol\": \"mcp\",\n      \"auth_token\": \"tok-1\"\n    },\n    \"other\": {\n      \"url\": \"https://o.example\",\n      \"oauth_tokens\": { \"access_token\": \"a\", \"refresh_token\": \"r\" }\n    }\n  },\n  \"defaults\": {}\n}",
    );
    let items = found(&sandbox, &[]);
    assert_eq!(items[0]["name"], "adcp:shop");
    assert_eq!(items[1]["state"], "unfit");
    import(&sandbox, &["--rewrite"]).success();
    assert_eq!(token(&sandbox, "adcp:shop"), "tok-1");
    let after: Value = serde_json::from_str(&text(&file)).unwrap();
    assert_eq!(
        after["agents"]["Shop"],
        json!({ "url": "https://shop.example/mcp", "protocol": "mcp" })
    );
    assert_eq!(after["agents"]["other"]["oauth_tokens"]["refresh_token"], "r");
}

#[test]
fn a_sign_in_of_mcp_remote_goes_on_here_and_only_here() {
    // Signed in once, so that the server knows tokens of a client; then as mcp-remote would have it.
    let signed_in = SignedIn::new();
    let (sandbox, server) = (&signed_in.sandbox, &signed_in.server);
    let tokens = signed_in.credential()["tokens"].clone();
    let folder = "home/.mcp-auth/mcp-remote-v1/0123456789abcdef0123456789abcdef";
    let stored = json!({
        "access_token": tokens["access_token"], "refresh_token": tokens["refresh_token"],
        "token_type": "Bearer", "expires_in": 3600, "expires_at": 1_700_000_000_000_i64,
        "scope": "read", "issuer": server.issuer(), "requested_scope": "read",
    });
    let file = write(sandbox, &format!("{folder}_tokens.json"), &stored.to_string());
    write(
        sandbox,
        &format!("{folder}_client_info.json"),
        &json!({ "client_id": "public", "redirect_uris": ["http://localhost:3334/oauth/callback"], "issuer": server.issuer() }).to_string(),
    );
    write(sandbox, &format!("{folder}_code_verifier_abc.txt"), "verifier");
    std::fs::remove_file(signed_in.store.file(PROVIDER)).unwrap();
    sandbox.write_config(&config(server, ""));
    let asked = server.requests(crate::support::authorization_server::Endpoint::Metadata).len();
    assert_eq!(found(sandbox, &[])[0]["name"], PROVIDER);
    let now = server.requests(crate::support::authorization_server::Endpoint::Metadata).len();
    assert_eq!(now, asked, "a look asks no server");
    let said = import(sandbox, &["--apply"]);
    assert!(said.stderr.contains("end it for both"), "{said:?}");
    assert!(file.exists());
    import(sandbox, &["--rewrite"]).success();
    assert!(!file.exists());
    let kept = backups(sandbox);
    assert_eq!(kept.len(), 2, "tokens and client: {kept:?}");
    assert!(kept.contains(&stored.to_string()), "{kept:?}");
    assert!(!sandbox.path(&format!("{folder}_client_info.json")).exists());
    // Long expired: the first use refreshes it, with mcp-remote's client.
    let fresh = token(sandbox, PROVIDER);
    assert!(server.accepts(&fresh));
    assert_eq!((signed_in.refreshes(), server.reuses()), (1, 0));
    // One of a server that no provider is known for is left alone.
    let other = stored.to_string().replace(&server.issuer(), "https://elsewhere.example");
    write(sandbox, &format!("{folder}_tokens.json"), &other);
    assert_eq!(found(sandbox, &["--rewrite"])[0]["state"], "unknown");
    assert!(file.exists());
}

// -------------------------------------------------------------------------------------------- bad input

#[test]
fn what_cannot_be_read_is_refused_when_it_was_named_and_passed_over_when_not() {
    let sandbox = Sandbox::new();
    let good = format!("GITHUB_TOKEN={GITHUB}\n");
    let target = write(&sandbox, "work/elsewhere", &good);
    std::os::unix::fs::symlink(&target, sandbox.path("work/.env")).unwrap();
    write(&sandbox, "work/.env.local", &"#".repeat(17 * 1024 * 1024));
    write(&sandbox, "work/.mcp.json", "{\"mcpServers\": {\"x\": {}, \"x\": {}}}");
    write(&sandbox, "work/.cursor/mcp.json", "<html>");
    std::fs::write(sandbox.path("work/.env.production"), b"GITHUB_TOKEN=\xff\xfe\n").unwrap();
    write(&sandbox, "home/.config/gh/hosts.yml", "a: &x [*x]\n");
    std::fs::create_dir_all(sandbox.path("work/.gemini")).unwrap();
    let fifo = sandbox.path("work/.gemini/settings.json");
    assert!(std::process::Command::new("mkfifo").arg(fifo).status().unwrap().success());
    for (file, words) in [
        (".env", "is a link"),
        (".env.local", "is larger than"),
        (".mcp.json", "has x twice"),
        (".cursor/mcp.json", "not JSON (line 1, column 1)"),
        (".env.production", "not UTF-8"),
        ("nothing.env", "there is no file"),
        ("notes.txt", "does not tell what it is"),
        (".cursor", "does not tell what it is"),
        (".gemini/settings.json", "not a regular file"),
    ] {
        for extra in [&[][..], &["--rewrite"]] {
            let output = import(&sandbox, &[&[file], extra].concat());
            assert!([1, 2].contains(&output.code()), "{file}: {output:?}");
            assert!(output.stderr.contains(words), "{file}: {output:?}");
        }
    }
    assert!(import(&sandbox, &[".env"]).stderr.contains("elsewhere"), "the link's target is named");
    std::fs::create_dir(sandbox.path("work/sub")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", sandbox.path("work/sub/.env")).unwrap();
    let said = import(&sandbox, &["sub/.env"]).failure(1);
    assert!(said.contains("authctl import sub/../elsewhere --format dotenv"), "{said}");
    // Among others they do not stop the rest.
    write(
        &sandbox,
        "home/.cursor/mcp.json",
        &json!({ "mcpServers": { "x": { "command": "c", "env": { "STRIPE_API_KEY": STRIPE } } } })
            .to_string(),
    );
    let output = import(&sandbox, &["--json", "--rewrite"]);
    assert_eq!(output.code(), 1, "{output:?}");
    assert_eq!(output.json()["unreadable"].as_array().unwrap().len(), 7);
    assert_eq!(output.json()["stored"], json!(["stripe"]));
    assert_eq!(text(&target), good);
}

#[test]
fn a_line_that_programs_read_differently_stays_as_it_is() {
    let sandbox = Sandbox::new();
    let unclear = format!(
        "GH_TOKEN=\"{OTHER}\"def\nOPENAI_API_KEY='sk-1' OTHER=1\nGROQ_API_KEY=gsk\"2\"\nMISTRAL_API_KEY=`m\n"
    );
    let before = format!("GITHUB_TOKEN={GITHUB}\t# mine\n{unclear}");
    let file = write(&sandbox, "work/.env", &before);
    let output = import(&sandbox, &["--rewrite"]);
    assert_eq!(output.stdout.matches("cannot be taken over: ").count(), 4, "{output:?}");
    assert_eq!(output.code(), 0, "{output:?}");
    assert_eq!(token(&sandbox, "github"), GITHUB);
    let comment = "# GITHUB_TOKEN: authctl exec --with github=GITHUB_TOKEN -- COMMAND\t# mine\n";
    assert_eq!(text(&file), format!("{comment}{unclear}"));
    assert_eq!(
        sandbox.run(["status", "--json"]).json()["credentials"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn imports_at_the_same_time_keep_every_backup() {
    let sandbox = Sandbox::new();
    let files: Vec<PathBuf> = (0..8)
        .map(|number| {
            let text = format!("# {number}\nGITHUB_TOKEN={GITHUB}\n");
            write(&sandbox, &format!("work/{number}/.env"), &text)
        })
        .collect();
    import(&sandbox, &[files[0].to_str().unwrap(), "--apply"]).success();
    let start = |file: &PathBuf| {
        sandbox.start(sandbox.command(["import", file.to_str().unwrap(), "--rewrite"]))
    };
    let running: Vec<_> = files.iter().map(start).collect();
    for one in running {
        one.finish().success();
    }
    let kept: std::collections::BTreeSet<String> = backups(&sandbox).into_iter().collect();
    assert_eq!(kept.len(), files.len(), "{kept:?}");
}

#[test]
fn a_key_with_control_characters_stays_where_it_is() {
    let sandbox = Sandbox::new();
    let before =
        format!("GITHUB_TOKEN=\"ghp_\\nx\"\nOPENAI_API_KEY=\"a b\"\nSTRIPE_API_KEY={STRIPE}\n");
    let file = write(&sandbox, "work/.env", &before);
    let items = found(&sandbox, &["--rewrite"]);
    assert_eq!((&items[0]["state"], &items[1]["state"]), (&json!("unfit"), &json!("unfit")));
    assert!(items[0]["reason"].as_str().unwrap().contains("position 5"), "{items:?}");
    let lines: Vec<String> = text(&file).lines().map(str::to_owned).collect();
    assert_eq!(&lines[..2], &before.lines().map(str::to_owned).collect::<Vec<_>>()[..2]);
    assert!(lines[2].starts_with("# STRIPE_API_KEY"), "{lines:?}");
    // A place with escape sequences in its name is shown without their power.
    write(&sandbox, "work/.mcp.json", &json!({ "mcpServers": { "x\u{1b}[31m": { "command": "c", "env": { "STRIPE_API_KEY": STRIPE } } } }).to_string());
    let shown = import(&sandbox, &[]).success();
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

// ---------------------------------------------------------------------------------------- interruptions

/// The lock of a credential, as another process would hold it.
fn held_lock(sandbox: &Sandbox, provider: &str) -> std::fs::File {
    sandbox.run_with_input(["login", "groq", "--with-key"], "makes-the-store").success();
    let locks = Sealed::of(sandbox).directory().join("locks");
    let lock = locks.join(format!("credential~{provider}~default.lock"));
    let lock = std::fs::File::create(lock).unwrap();
    lock.set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn a_kill_between_storing_and_rewriting_loses_nothing() {
    let sandbox = Sandbox::new();
    let before = format!("GITHUB_TOKEN={GITHUB}\nSTRIPE_API_KEY={STRIPE}\n");
    let file = write(&sandbox, "work/.env", &before);
    let store = Sealed::of(&sandbox);
    // Somebody else holds the lock of the second credential.
    let lock = held_lock(&sandbox, "stripe");
    let mut running = sandbox.start(sandbox.command(["import", "--rewrite"]));
    eventually("the first credential", || store.find("github"));
    running.child.kill().unwrap();
    running.finish();
    assert_eq!(text(&file), before);
    assert!(store.find("stripe").is_none() && backups(&sandbox).is_empty());
    drop(lock);
    let items = found(&sandbox, &["--rewrite"]);
    assert_eq!((&items[0]["state"], &items[1]["state"]), (&json!("stored"), &json!("new")));
    assert!(!text(&file).contains(GITHUB) && !text(&file).contains(STRIPE));
    assert_eq!(
        (token(&sandbox, "github"), token(&sandbox, "stripe")),
        (GITHUB.into(), STRIPE.into())
    );
}

#[test]
fn a_file_that_changes_meanwhile_is_left_as_it_became() {
    let sandbox = Sandbox::new();
    let file = write(&sandbox, "work/.env", &format!("STRIPE_API_KEY={STRIPE}\n"));
    let lock = held_lock(&sandbox, "stripe");
    let running = sandbox.start(sandbox.command(["import", "--rewrite"]));
    let is_read = || running.stdout().contains("line 1 STRIPE_API_KEY").then_some(());
    eventually("the file to be read", is_read);
    let now = format!("STRIPE_API_KEY={STRIPE}\nNEW=1\n");
    std::fs::write(&file, &now).unwrap();
    drop(lock);
    let output = running.finish();
    assert_silent(&output);
    let said = output.failure(1);
    assert!(said.contains("changed meanwhile") && said.contains("authctl import"), "{said}");
    assert_eq!((text(&file), token(&sandbox, "stripe")), (now, STRIPE.into()));
    assert!(backups(&sandbox).is_empty());
}

/// A kill at each rename of the run: before it and after it the file is whole, and the secret is in the store
/// or in the file.
#[test]
#[cfg(target_os = "linux")]
fn a_kill_at_any_rename_leaves_every_file_whole() {
    if !crate::real_parts::present(&["strace"]) {
        return;
    }
    for rename in 1..40 {
        let sandbox = Sandbox::new();
        let before = format!("# mine\nGITHUB_TOKEN={GITHUB}\n");
        let file = write(&sandbox, "work/.env", &before);
        let mut command = sandbox.program("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "--trace=/^rename"]);
        command.arg(format!("--inject=/^rename:signal=KILL:when={rename}"));
        command.args([crate::support::sandbox::AUTHCTL, "import", "--rewrite"]);
        let output = sandbox.start(command).finish();
        let now = text(&file);
        let rewritten =
            "# mine\n# GITHUB_TOKEN: authctl exec --with github=GITHUB_TOKEN -- COMMAND\n";
        assert!(now == before || now == rewritten, "{rename}: {now}");
        if now == rewritten {
            assert_eq!(backups(&sandbox), [before.as_str()], "{rename}");
            assert_eq!(token(&sandbox, "github"), GITHUB, "{rename}");
        }
        let ended = output.status.success();
        import(&sandbox, &["--rewrite"]).success();
        assert_eq!((text(&file), token(&sandbox, "github")), (rewritten.into(), GITHUB.into()));
        if ended {
            assert!(rename > 2, "no rename was met");
            return;
        }
    }
    panic!("it never came to its end");
}

// ----------------------------------------------------------------------------------------- the terminal

#[test]
fn at_a_terminal_it_asks_before_it_stores_and_before_it_rewrites() {
    let sandbox = Sandbox::new();
    let before = format!("STRIPE_SECRET_KEY={STRIPE}\n");
    let file = write(&sandbox, "work/.env", &before);
    let mut terminal = Terminal::start(sandbox.command(["import"]));
    terminal.expect("Store these credentials?");
    terminal.send_line("n");
    assert!(!terminal.rest().contains(STRIPE));
    assert_eq!(sandbox.run(["status", "--json"]).json()["credentials"], json!([]));
    let mut terminal = Terminal::start(sandbox.command(["import"]));
    terminal.expect("Store these credentials?");
    terminal.send_line("y");
    terminal.expect("keep backups?");
    terminal.send_line("n");
    terminal.rest();
    assert_eq!((token(&sandbox, "stripe"), text(&file)), (STRIPE.into(), before));
    // What is stored is not asked for again.
    let mut terminal = Terminal::start(sandbox.command(["import"]));
    assert!(!terminal.expect("keep backups?").contains("Store these"));
    terminal.send_line("y");
    terminal.rest();
    assert!(!text(&file).contains(STRIPE));
}
