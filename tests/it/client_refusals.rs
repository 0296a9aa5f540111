//! Clients' files that are refused: what is said names the file and what mends it, nothing that would not work, and
//! all commands agree.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::others_files::{GITHUB, HIDDEN, backups, mcp, text, write};
use crate::support::sandbox::Sandbox;

const URL: &str = "https://mcp.linear.app/mcp";
const PROJECT: [(&str, &str); 5] = [
    ("cursor", "work/.cursor/mcp.json"),
    ("vscode", "work/.vscode/mcp.json"),
    ("zed", "work/.zed/settings.json"),
    ("codex", "work/.codex/config.toml"),
    ("gemini", "work/.gemini/settings.json"),
];

#[test]
fn a_project_directory_that_leads_elsewhere_is_refused() {
    for (client, file) in PROJECT {
        let sandbox = Sandbox::new();
        let place = sandbox.path(file);
        let (place, name) = (place.parent().unwrap(), place.file_name().unwrap());
        symlink(sandbox.path("home"), place).unwrap();
        for arguments in [
            &["install", client, URL, "--project"][..],
            &["install", client, URL, "--project", "--dry-run"],
            &["remove", client, "linear", "--project"],
        ] {
            let said = mcp(&sandbox, arguments).failure(1);
            assert!(said.contains("not in this project"), "{said}");
            assert!(said.contains(&format!("rm {}", place.display())), "{said}");
        }
        assert!(!sandbox.path("home").join(name).exists());
        // Nor is anything read or rewritten there.
        let there = sandbox.path("home").join(name);
        let planted = match client {
            "codex" => format!(
                "[mcp_servers.x]\ncommand = \"x\"\n[mcp_servers.x.env]\nGITHUB_TOKEN = \"{GITHUB}\"\n"
            ),
            _ => format!(
                "{{\"mcpServers\":{{\"x\":{{\"command\":\"x\",\"env\":{{\"GITHUB_TOKEN\":\"{GITHUB}\"}}}}}}}}"
            ),
        };
        std::fs::write(&there, &planted).unwrap();
        for arguments in [&["list"][..], &["import", "--rewrite"]] {
            let output = mcp(&sandbox, arguments);
            assert!(
                output.code() == 1 && output.stderr.contains("not in this project"),
                "{output:?}"
            );
        }
        assert_eq!(text(&there), planted);
        std::fs::remove_file(place).unwrap();
        // One within the project is fine.
        std::fs::create_dir(sandbox.path("work/shared")).unwrap();
        symlink("shared", place).unwrap();
        mcp(&sandbox, &["install", client, URL, "--project"]).success();
        assert!(text(&sandbox.path("work/shared").join(name)).contains(URL));
    }
}

#[test]
fn what_is_offered_for_a_link_fits_the_clients_form() {
    for (client, file, behind, before, offered) in [
        ("cursor", "work/.cursor/mcp.json", "work/shared.json", "{}", "in place of cursor"),
        (
            "zed",
            "work/.zed/settings.json",
            "work/shared.json",
            "{\"context_servers\": {}}",
            "in place of zed",
        ),
        (
            "zed",
            "work/.zed/settings.json",
            "work/elsewhere/zed/settings.json",
            "{}",
            "in place of zed",
        ),
        ("zed", "work/.zed/settings.json", "work/shared.json", "{}", " && cp "),
        ("codex", "work/.codex/config.toml", "work/shared", "", " && cp "),
    ] {
        let sandbox = Sandbox::new();
        let target = write(&sandbox, behind, before);
        let path = sandbox.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(&target, &path).unwrap();
        let said = mcp(&sandbox, &["install", client, URL, "--project"]).failure(1);
        assert!(said.contains("is a link") && said.contains(offered), "{said}");
        assert!(said.contains(target.to_str().unwrap()), "{said}");
        if offered.starts_with("in place") {
            mcp(&sandbox, &["install", "--file", target.to_str().unwrap(), URL]).success();
            let table = if client == "zed" { "context_servers" } else { "mcpServers" };
            assert!(text(&target).contains(table), "{}", text(&target));
        }
    }
}

#[test]
fn for_a_link_to_nothing_or_to_a_device_no_file_is_offered() {
    for (target, words) in [
        ("/dev/null", "is a link"),
        ("gone.json", "nothing is there"),
        ("no/where.json", "nothing is there"),
    ] {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("work/.cursor")).unwrap();
        let path = sandbox.path("work/.cursor/mcp.json");
        symlink(target, &path).unwrap();
        let said = mcp(&sandbox, &["install", "cursor", URL, "--project"]).failure(1);
        assert!(said.contains(words) && !said.contains("--file"), "{said}");
        assert!(said.contains(&format!("rm {}", path.display())), "{said}");
        assert_eq!(said.contains("touch "), target == "gone.json", "{said}");
        for arguments in [&["list"][..], &["import"], &["list", "--json"], &["import", "--json"]] {
            let output = mcp(&sandbox, arguments);
            assert_eq!(output.code(), 1, "{output:?}");
        }
    }
}

#[test]
fn an_address_with_a_fragment_is_refused_and_not_repeated() {
    let sandbox = Sandbox::new();
    let url = format!("https://h.example/mcp#access_token={HIDDEN}");
    for arguments in [
        &["mcp", "install", "cursor", "--yes", &url][..],
        &["mcp", "install", "cursor", "--dry-run", &url],
        &["login", &url],
        &["mcp", &url],
        &["provider", "add", &url],
        &["provider", "add", "mine", "--api-key", "--mcp-url", &url],
    ] {
        let said = sandbox.run(arguments).failure(2);
        assert!(said.contains("fragment") && !said.contains(HIDDEN), "{said}");
    }
    assert!(!sandbox.path("home/.cursor/mcp.json").exists());
}

#[test]
fn an_empty_command_is_refused() {
    let sandbox = Sandbox::new();
    for command in ["", " "] {
        let said = mcp(&sandbox, &["install", "cursor", "--", command]).failure(2);
        assert!(said.contains("is empty"), "{said}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let deep = format!("{{\"x\": {}{}}}", "[".repeat(3000), "]".repeat(3000));
    let tab = "{\n  \"a\": \"x\ty\"\n}";
    let comment = "{\n  // it's \"\n  /* \" */ \"a\": \"\u{1}\"\n}";
    for (client, file, before, words) in [
        ("cursor", "home/.cursor/mcp.json", deep.as_str(), "nested too deeply"),
        ("cursor", "home/.cursor/mcp.json", tab, "not JSON (line 2, column 10)"),
        ("cursor", "home/.cursor/mcp.json", comment, "not JSON (line 3, column 17)"),
        ("codex", "home/.codex/config.toml", "mcp_servers = []\n", "mcp_servers has a form"),
        ("codex", "home/.codex/config.toml", "mcp_servers = \"x\"\n", "mcp_servers has a form"),
        ("codex", "home/.codex/config.toml", "[[mcp_servers]]\nx = 1\n", "mcp_servers has a form"),
    ] {
        let sandbox = Sandbox::new();
        let path = write(&sandbox, file, before);
        for dry in [&[][..], &["--dry-run"]] {
            let said = mcp(&sandbox, &[&["install", client, URL], dry].concat()).failure(2);
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(text(&path), before);
        assert!(backups(&sandbox).is_empty());
    }
    // A comment may have any, and a tab stands between the parts.
    let sandbox = Sandbox::new();
    let before = "{\n\t// a\tb \"\n\t/* \t\" */\n\t\"k\": \"\\\"\\\\\"\n}\n";
    write(&sandbox, "home/.cursor/mcp.json", before);
    mcp(&sandbox, &["install", "cursor", URL]).success();
}

#[test]
fn a_file_that_is_too_large_has_a_way_out() {
    let sandbox = Sandbox::new();
    write(
        &sandbox,
        "home/.claude.json",
        &format!("{{\"x\":\"{}\"}}", "a".repeat(17 * 1024 * 1024)),
    );
    let said = mcp(&sandbox, &["install", "claude-code", URL]).failure(1);
    assert!(said.contains("is larger than") && said.contains("--file entry.json"), "{said}");
    mcp(&sandbox, &["install", "--file", "entry.json", URL]).success();
}

/// Its owner has said that it stays as it is; root could write it as well.
#[test]
fn a_read_only_file_is_refused() {
    let sandbox = Sandbox::new();
    let before = format!(
        "{{\"mcpServers\":{{\"x\":{{\"command\":\"x\",\"env\":{{\"GITHUB_TOKEN\":\"{GITHUB}\"}}}}}}}}"
    );
    let path = write(&sandbox, "home/.cursor/mcp.json", &before);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    for arguments in [
        &["install", "cursor", URL][..],
        &["install", "cursor", URL, "--dry-run"],
        &["remove", "cursor", "x", "--force"],
        &["import", "--rewrite"],
    ] {
        let said = mcp(&sandbox, arguments).failure(1);
        assert!(said.contains("is read-only") && said.contains("chmod u+w"), "{said}");
    }
    assert_eq!(text(&path), before);
    assert!(backups(&sandbox).is_empty());
    mcp(&sandbox, &["list"]).success();
}
