//! Golden transcripts of `tests/cmd`: what a person types, what authctl answers on stdout and stderr, and
//! the exit code where it is not 0. `SNAPSHOTS=overwrite` writes them anew.
//!
//! A file is a session in one sandbox: lines that begin with `$ ` go to a shell, lines that begin
//! with `# ` are remarks, all others are the answer. The provider `demo` (device code, approved at once),
//! `machine` (client credentials) and `box` (basic) are in its configuration; `SERVER` is the issuer.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::support::authorization_server::AuthorizationServer;
use crate::support::sandbox::{AUTHCTL, Sandbox};

fn play(name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cmd/{name}.trycmd"));
    let script = std::fs::read_to_string(&file).unwrap();
    let server = AuthorizationServer::start();
    server.register("machine", Some("s3cret"));
    let sandbox = sandbox(&server);
    let mut played = String::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            writeln!(played, "$ {command}").unwrap();
            played.push_str(&answer(&sandbox, command));
            played.push('\n');
        } else if line.starts_with("# ") {
            writeln!(played, "{line}\n").unwrap();
        }
    }
    let expected = snapbox::Data::read_from(&file, None).raw();
    snapbox::Assert::new()
        .action_env("SNAPSHOTS")
        .eq(played.trim_end().to_owned() + "\n", expected);
}

fn sandbox(server: &AuthorizationServer) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let issuer = server.issuer();
    sandbox.write_config(&format!(
        r#"[provider.demo]
title = "Demo"
[provider.demo.oauth]
issuer = "{issuer}"
client = "register"
grants = ["device_code"]
variables = ["DEMO_TOKEN"]

[provider.machine.oauth]
issuer = "{issuer}"
grants = ["client_credentials"]
client_id = "machine"
authentication = "client_secret_post"
variables = ["MACHINE_TOKEN"]

[provider.box.basic]
variables = ["BOX_PASSWORD"]
"#
    ));
    let programs = Path::new(AUTHCTL).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> =
        std::iter::once(programs).chain(std::env::split_paths(&path)).collect();
    sandbox.env("PATH", std::env::join_paths(path).unwrap());
    sandbox.env("SERVER", issuer);
    sandbox
}

fn answer(sandbox: &Sandbox, command: &str) -> String {
    let mut shell = sandbox.program("sh");
    shell.args(["-c", &format!("exec 2>&1\n{command}")]);
    let output = sandbox.start(shell).finish();
    let mut answer = sandbox.redact(&output.stdout);
    assert!(answer.is_empty() || answer.ends_with('\n'), "an unfinished line: {answer}");
    if output.code() != 0 {
        writeln!(answer, "[exit {}]", output.code()).unwrap();
    }
    answer
}

#[test]
fn every_transcript_is_played() {
    let source = include_str!("transcripts.rs");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    for entry in std::fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(source.contains(&format!("play(\"{name}\")")), "{name}");
    }
}

#[test]
fn every_command_explains_itself() {
    play("help");
}

#[test]
fn a_first_session_goes_as_the_readme_promises() {
    play("session");
}

#[test]
fn what_cannot_be_done_is_refused_with_the_way_out() {
    play("refusals");
}

#[test]
fn providers_are_listed_shown_and_checked() {
    play("provider");
}

#[test]
fn errors_are_json_where_json_was_asked_for() {
    play("json_errors");
}

#[test]
fn an_agent_gets_credentials_and_no_secrets_to_read() {
    play("agents");
}

#[test]
fn a_manifest_is_shown_approved_and_asked_about_again() {
    play("trust");
}
