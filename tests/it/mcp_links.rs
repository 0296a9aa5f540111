//! Clients' files that are links, as dotfile managers make them: a person's own are followed and stay links, and
//! nothing is written where somebody else or nobody meant it.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::mcp_clients::URL;
use crate::support::others_files::{GITHUB, backups, listed, mcp, text, write};
use crate::support::sandbox::Sandbox;

const BEFORE: &str = "{\n  // mine\n  \"mcpServers\": {}\n}\n";
const NOBODY: u32 = 65534;

fn link(sandbox: &Sandbox, target: impl AsRef<Path>, path: &str) -> PathBuf {
    let path = sandbox.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, &path).unwrap();
    path
}

#[test]
fn a_persons_own_link_stays_and_its_target_is_changed() {
    let sandbox = Sandbox::new();
    // As stow does it: a relative one, here through another one.
    let file = write(&sandbox, "home/dotfiles/cursor.json", BEFORE);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let second = link(&sandbox, &file, "home/dotfiles/second");
    let path = link(&sandbox, "../dotfiles/second", "home/.cursor/mcp.json");
    let dry = mcp(&sandbox, &["install", "cursor", URL, "--dry-run"]);
    assert!(dry.stdout.contains("/dotfiles/cursor.json\n"), "{dry:?}");
    assert_eq!(text(&file), BEFORE);
    let done = mcp(&sandbox, &["install", "cursor", URL]);
    assert!(done.code() == 0 && done.stderr.contains("a link to "), "{done:?}");
    assert!(text(&file).contains(URL) && text(&file).contains("// mine"), "{}", text(&file));
    let held = listed(&sandbox);
    assert_eq!((&held[0]["name"], &held[0]["file"]), (&json!("linear"), &json!(path)));
    mcp(&sandbox, &["remove", "cursor", "linear"]).success();
    assert_eq!(text(&file), BEFORE);
    assert!(path.is_symlink() && second.is_symlink());
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    // Nothing is left among the dotfiles, which may be published.
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 2);
    assert_eq!(backups(&sandbox)[0], BEFORE);
}

#[test]
fn a_file_to_which_two_clients_links_lead_is_changed_once() {
    let sandbox = Sandbox::new();
    let file = write(&sandbox, "home/dotfiles/mcp.json", BEFORE);
    link(&sandbox, &file, "home/.cursor/mcp.json");
    link(&sandbox, &file, "home/.codeium/windsurf/mcp_config.json");
    mcp(&sandbox, &["install", "--all", URL]).success();
    assert_eq!(text(&file).matches(URL).count(), 1);
    assert_eq!(backups(&sandbox), [BEFORE]);
    let servers = json!({ "x": { "command": "npx", "env": { "GITHUB_TOKEN": GITHUB } } });
    std::fs::write(&file, json!({ "mcpServers": servers }).to_string()).unwrap();
    let told = mcp(&sandbox, &["import", "--json"]).json();
    assert_eq!(told["found"].as_array().unwrap().len(), 1, "{told}");
}

#[test]
fn an_import_takes_keys_out_of_the_target() {
    for named in [false, true] {
        let sandbox = Sandbox::new();
        let servers = json!({ "x": { "command": "npx", "env": { "GITHUB_TOKEN": GITHUB } } });
        let before = json!({ "mcpServers": servers }).to_string();
        let file = write(&sandbox, "home/dotfiles/mcp.json", &before);
        let path = link(&sandbox, &file, "home/.cursor/mcp.json");
        if named {
            sandbox.run(["import", path.to_str().unwrap(), "--rewrite"]).success();
        } else {
            mcp(&sandbox, &["import", "--rewrite"]).success();
        }
        let after = text(&file);
        assert!(!after.contains(GITHUB) && after.contains("github=GITHUB_TOKEN"), "{after}");
        assert!(path.is_symlink());
        assert_eq!(backups(&sandbox), [before]);
    }
}

#[test]
fn a_link_that_leads_nowhere_or_round_is_named_and_stays() {
    let sandbox = Sandbox::new();
    let path = link(&sandbox, "../dotfiles/gone.json", "home/.cursor/mcp.json");
    let check = |words: &str| {
        for arguments in [
            &["install", "cursor", URL][..],
            &["install", "cursor", URL, "--dry-run"],
            &["remove", "cursor", "linear"],
        ] {
            let said = mcp(&sandbox, arguments).failure(1);
            assert!(said.contains(words) && said.contains(".cursor/mcp.json"), "{said}");
        }
        for arguments in [&["list"][..], &["import"]] {
            let output = mcp(&sandbox, arguments);
            assert!(output.stderr.contains(words), "{output:?}");
        }
        assert!(path.is_symlink());
    };
    check("dotfiles/gone.json, and nothing is there");
    assert!(!sandbox.path("home/dotfiles").exists());
    std::fs::remove_file(&path).unwrap();
    link(&sandbox, "mcp.json", "home/.cursor/mcp.json");
    check("is a link to links without end");
    std::fs::remove_file(&path).unwrap();
    link(&sandbox, sandbox.path("work"), "home/.cursor/mcp.json");
    let said = mcp(&sandbox, &["install", "cursor", URL]).failure(1);
    assert!(said.contains("work is not a regular file"), "{said}");
}

#[test]
fn another_users_link_or_target_is_refused() {
    let sandbox = Sandbox::new();
    let file = write(&sandbox, "home/dotfiles/mcp.json", BEFORE);
    let path = link(&sandbox, &file, "home/.cursor/mcp.json");
    if lchown(&path, Some(NOBODY), None).is_err() {
        println!("skipped: only root can give a file away");
        return;
    }
    let refused = |words: &str| {
        let said = mcp(&sandbox, &["install", "cursor", URL]).failure(1);
        assert!(said.contains(words), "{said}");
        assert_eq!(text(&file), BEFORE);
    };
    refused(".cursor/mcp.json is a link of another user");
    lchown(&path, Some(0), None).unwrap();
    chown(&file, Some(NOBODY), None).unwrap();
    refused("dotfiles/mcp.json belongs to another user");
    chown(&file, Some(0), None).unwrap();
    std::fs::hard_link(&file, sandbox.path("home/second")).unwrap();
    refused("has a second name");
}

/// A project's files come from whoever made the project.
#[test]
fn a_link_in_a_project_or_on_the_command_line_is_not_followed() {
    let sandbox = Sandbox::new();
    let file = write(&sandbox, "home/.cursor/mcp.json", BEFORE);
    let path = link(&sandbox, &file, "work/.cursor/mcp.json");
    let path = path.to_str().unwrap();
    for arguments in [
        &["install", "cursor", URL, "--project"][..],
        &["remove", "cursor", "linear", "--project"],
        &["install", "--file", path, URL],
    ] {
        let said = mcp(&sandbox, arguments).failure(1);
        assert!(said.contains("work/.cursor/mcp.json is a link"), "{said}");
        let instead = format!("--file {}", file.display());
        assert!(said.contains(&instead), "{said}");
    }
    let output = mcp(&sandbox, &["list"]);
    assert!(output.code() == 1 && output.stderr.contains("is a link"), "{output:?}");
    let said = sandbox.run(["import", path, "--rewrite"]).failure(1);
    assert!(said.contains("is a link"), "{said}");
    assert_eq!(text(&file), BEFORE);
}
