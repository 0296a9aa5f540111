//! The audit log: what is handed out leaves a line, whoever runs and however many at once; no secret
//! stands in it, and it stops nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::real_parts::{present, skipped};
use crate::support::authorization_server::{Endpoint, Fault};
use crate::support::http::{Answer, Server};
use crate::support::launcher::pid_of;
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Output, Sandbox};
use crate::support::signed_in::SignedIn;
use crate::support::{eventually, rounds};

const KEY: &str = "gsk-0123456789-of-groq";

fn with_key() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["login", "groq", "--with-key"], KEY).success();
    sandbox
}

fn file(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("home/.local/state/authctl/audit.jsonl")
}

fn entries(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let shown = sandbox.run([&["log", "--json", "-n", "0"], arguments].concat());
    shown.json()["entries"].as_array().unwrap().clone()
}

/// Event and outcome of each line.
fn story(sandbox: &Sandbox) -> Vec<String> {
    let word = |entry: &Value, member: &str| entry[member].as_str().unwrap_or("-").to_owned();
    let tell = |entry: &Value| {
        format!("{} {} {}", word(entry, "event"), word(entry, "name"), word(entry, "outcome"))
    };
    entries(sandbox, &[]).iter().map(tell).collect()
}

// ---------------------------------------------------------------------------------- what leaves a line

#[test]
fn whatever_is_handed_out_or_refused_leaves_a_line() {
    let mut sandbox = with_key();
    let work = sandbox.path("work");
    fs::write(work.join("authctl.toml"), "with = [\"groq=MY_KEY\"]\n").unwrap();
    sandbox.run(["exec", "--", "true"]).failure(125);
    let hash = sandbox.run(["trust", "--show", "--json"]).json()["hash"].clone();
    sandbox.run(["trust", "--hash", hash.as_str().unwrap()]).success();
    sandbox.run(["exec", "--", "true", "an-argument"]).success();
    sandbox.run(["exec", "--with", "groq,groq=B", "--", "sh", "-c", "true"]).success();
    sandbox.run(["token", "groq"]).success();
    sandbox.run(["token", "groq:work"]).failure(4);
    sandbox.env("CLAUDECODE", "1");
    sandbox.run(["token", "groq"]).failure(1);
    sandbox.run(["permission", "allow", "groq"]).failure(1);
    sandbox.run(["trust", "--hash", "0", "--revoke"]).failure(2);
    sandbox.unset("CLAUDECODE");
    sandbox.run(["logout", "groq"]).success();
    sandbox.run(["login", "groq", "--with-key"]).failure(2);
    assert_eq!(
        story(&sandbox),
        [
            "login groq done",
            "exec - refused",
            "trust - done",
            "exec groq done",
            "exec groq done",
            "exec groq done",
            "token groq done",
            "token groq:work failed",
            "token groq refused",
            "permission groq refused",
            "logout groq done",
            "login groq failed",
        ]
    );
    let all = entries(&sandbox, &[]);
    let (manifest, token, refused) = (&all[3], &all[6], &all[8]);
    assert_eq!(manifest["variable"], "MY_KEY");
    assert!(manifest["program"].as_str().unwrap().ends_with("/true"), "{manifest}");
    assert!(manifest["source"].as_str().unwrap().ends_with("work/authctl.toml"), "{manifest}");
    assert_eq!(manifest["directory"], work.canonicalize().unwrap().to_str().unwrap());
    assert_eq!(manifest["hosts"][0], "api.groq.com");
    assert_eq!(manifest["id"], all[0]["id"]);
    assert_eq!((&all[4]["variable"], &all[5]["variable"]), (&"B".into(), &"GROQ_API_KEY".into()));
    // Who asked for what is printed: the process that runs this test.
    let own = fs::read_link("/proc/self/exe").unwrap();
    assert_eq!(token["program"], own.to_str().unwrap());
    assert_eq!(refused["agent"], "Claude Code");
    assert!(refused["reason"].as_str().unwrap().contains("may not be printed"), "{refused}");
    let text = fs::read_to_string(file(&sandbox)).unwrap();
    assert!(!text.contains(KEY) && !text.contains("an-argument"), "{text}");
}

#[test]
fn the_line_of_an_exec_has_the_process_that_the_command_becomes() {
    let sandbox = with_key();
    let said = sandbox.run(["exec", "--with", "groq", "--", "sh", "-c", "echo $$"]).success();
    assert_eq!(entries(&sandbox, &[])[1]["pid"].to_string(), said.trim());
}

#[test]
fn a_given_credential_is_handed_out_too() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_GROQ_TOKEN", "given");
    sandbox.run(["exec", "--with", "groq", "--", "true"]).success();
    let all = entries(&sandbox, &[]);
    assert_eq!(all[0]["source"], "AUTHCTL_GROQ_TOKEN");
    assert!(!fs::read_to_string(file(&sandbox)).unwrap().contains("\"given\""));
}

#[test]
fn what_cannot_be_handed_over_leaves_a_line_too() {
    let sandbox = Sandbox::new();
    sandbox.write_config("[provider.bare.api_key]\nheader = \"X: {key}\"\n");
    sandbox.run_with_input(["login", "bare", "--with-key"], KEY).success();
    sandbox.run(["exec", "--with", "bare", "--", "true"]).failure(125);
    assert_eq!(story(&sandbox), ["login bare done", "exec bare failed"]);
    sandbox.write_config("[provider.bare.basic]\n");
    sandbox.run(["token", "bare"]).failure(2);
    assert_eq!(story(&sandbox)[2..], ["token bare failed"]);
}

#[test]
fn refreshes_leave_a_line_whether_they_work_or_not() {
    let mine = SignedIn::new();
    mine.sandbox.run(["token", "demo", "--refresh"]).success();
    mine.expire();
    mine.server.always(Endpoint::Token, Some(Fault::Error("invalid_client")));
    assert!(!mine.sandbox.run(["token", "demo"]).status.success());
    let told = story(&mine.sandbox);
    let tail = ["refresh demo done", "token demo done", "refresh demo failed", "token demo failed"];
    assert!(told.ends_with(&tail.map(str::to_owned)), "{told:?}");
    let text = fs::read_to_string(file(&mine.sandbox)).unwrap();
    for secret in mine.server.secrets() {
        assert!(!text.contains(&secret), "{text}");
    }
}

// ------------------------------------------------------------------------------------------- reading

#[test]
fn a_call_that_carries_the_credential_leaves_a_line() {
    let sandbox = Sandbox::new();
    let api = Server::start(|request| match request.header("authorization") {
        Some("Bearer good-1") => Answer::empty(200),
        _ => Answer::empty(401),
    });
    sandbox.write_config(&format!("[provider.api.bearer]\nverify = \"{}/me\"\n", api.origin()));
    let login = |key: &str| sandbox.run_with_input(["login", "api", "--with-key"], key);
    login("good-1").success();
    sandbox.run(["status", "api", "--check"]).success();
    sandbox.run(["provider", "check", "api"]).success();
    login("bad-1").success();
    sandbox.run(["status", "api", "--check"]);
    let all = entries(&sandbox, &[]);
    let checks: Vec<&Value> = all.iter().filter(|entry| entry["event"] == "check").collect();
    let outcomes: Vec<&str> = checks.iter().map(|c| c["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["done", "done", "failed"]);
    assert!(checks.iter().all(|check| check["name"] == "api" && check["id"].is_string()));
    assert_eq!(checks[0]["hosts"], serde_json::json!(["127.0.0.1"]));
    let shown = sandbox.run(["log"]).success();
    assert!(shown.contains("taken by 127.0.0.1") && shown.contains("answers 401"), "{shown}");
    assert!(!shown.contains("good-1") && !shown.contains("bad-1"), "{shown}");
}

#[test]
fn the_log_is_filtered_by_name_time_program_and_number() {
    let sandbox = with_key();
    sandbox.run_with_input(["login", "groq:work", "--with-key"], "gsk-2").success();
    sandbox.run(["exec", "--with", "groq:work", "--", "true"]).success();
    sandbox.run(["exec", "--with", "groq", "--", "sh", "-c", "true"]).success();
    let count = |arguments: &[&str]| entries(&sandbox, arguments).len();
    assert_eq!((count(&[]), count(&["groq"]), count(&["groq:work"])), (4, 4, 2));
    assert_eq!((count(&["groq:default"]), count(&["openai"])), (2, 0));
    assert_eq!((count(&["--program", "sh"]), count(&["--program", "bash"])), (1, 0));
    assert_eq!((count(&["--since", "1h"]), count(&["--since", "2999-01-01"])), (4, 0));
    let newest = sandbox.run(["log", "-n", "1"]).success();
    assert_eq!(newest.lines().count(), 1);
    assert!(newest.contains("exec") && newest.contains(" in GROQ_API_KEY"), "{newest}");
    sandbox.run(["log", "--since", "soon"]).failure(2);
    sandbox.run(["log", "Groq"]).failure(2);
}

#[test]
fn lines_that_cannot_be_read_are_counted_and_cost_nothing_else() {
    let sandbox = with_key();
    let whole = fs::read_to_string(file(&sandbox)).unwrap();
    let newer = whole.replace("\"version\":1", "\"version\":2");
    let odd = whole.replace("\"groq\"", "\"gr\\u001b[2J\u{202e}oq\"");
    let cut = &whole[..20];
    let text = [b"\xff\xfe\n", newer.as_bytes(), odd.as_bytes(), whole.as_bytes(), cut.as_bytes()];
    fs::write(file(&sandbox), text.concat()).unwrap();
    let output = sandbox.run(["log"]);
    assert!(output.stderr.contains("3 lines of the log cannot be read"), "{output:?}");
    assert!(!output.stdout.contains(['\u{1b}', '\u{202e}']), "{output:?}");
    assert_eq!(output.success().lines().count(), 2);
    assert_eq!(sandbox.run(["log", "--json"]).json()["unreadable"], 3);
}

#[test]
fn the_log_is_followed_as_it_grows_and_into_the_next_file() {
    let sandbox = with_key();
    sandbox.write_config("[log]\nmax_bytes = 4096\n");
    let mut following = sandbox.start(sandbox.command(["log", "--follow", "--program", "true"]));
    let total = 30;
    for turn in 0..total {
        // It sleeps through a part of it, and through a change of files.
        match turn {
            5 => kill_process(pid_of(&following), Signal::STOP).unwrap(),
            25 => kill_process(pid_of(&following), Signal::CONT).unwrap(),
            _ => {}
        }
        sandbox.run(["exec", "--with", "groq", "--", "true"]).success();
    }
    eventually("every line", || (following.stdout().lines().count() == total).then_some(()));
    assert!(file(&sandbox).with_extension("jsonl.1").exists(), "the file did not change");
    following.child.kill().unwrap();
    following.child.wait().unwrap();
    let text = sandbox.run(["--json", "log", "--follow"]).failure(2);
    assert!(text.contains("one document"), "{text}");
}

// -------------------------------------------------------------------------------------- many at once

#[test]
fn many_processes_write_and_no_line_is_torn_or_lost() {
    let sandbox = with_key();
    let total = rounds(48, 400);
    // A line has about 400 bytes: the file changes several times, and the oldest are never dropped.
    sandbox.write_config(&format!("[log]\nmax_bytes = {}\n", (total * 140).max(4096)));
    for _ in 0..total / 16 {
        let running: Vec<_> = (0..16)
            .map(|_| sandbox.start(sandbox.command(["exec", "--with", "groq", "--", "true"])))
            .collect();
        for run in running {
            let output = run.finish();
            assert!(output.status.success(), "{output:?}");
            assert!(!output.stderr.contains("warning"), "{output:?}");
        }
    }
    let shown = sandbox.run(["log", "--json", "-n", "0", "--program", "true"]).json();
    assert_eq!(shown["entries"].as_array().unwrap().len(), total);
    assert_eq!(shown["unreadable"], 0);
    assert!(file(&sandbox).with_extension("jsonl.1").exists(), "the file never changed");
    let pids: std::collections::BTreeSet<String> =
        shown["entries"].as_array().unwrap().iter().map(|entry| entry["pid"].to_string()).collect();
    assert_eq!(pids.len(), total);
}

#[test]
fn a_full_file_makes_room_and_the_oldest_goes() {
    let sandbox = with_key();
    sandbox.write_config("[log]\nmax_bytes = 4096\n");
    let place = file(&sandbox);
    let line = fs::read_to_string(&place).unwrap();
    for _ in 0..6 {
        fs::write(&place, line.repeat(4096 / line.len() + 1)).unwrap();
        sandbox.run(["token", "groq"]).success();
    }
    let older: Vec<bool> =
        (1..=4).map(|number| place.with_extension(format!("jsonl.{number}")).exists()).collect();
    assert_eq!(older, [true, true, true, false]);
    assert_eq!(fs::read_to_string(&place).unwrap().lines().count(), 1);
    for path in [&place, &place.with_extension("jsonl.3")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// A process that was stopped while it made room, say.
#[test]
fn nobody_waits_for_the_lock_of_the_log() {
    let sandbox = with_key();
    sandbox.write_config("[log]\nmax_bytes = 4096\n");
    let place = file(&sandbox);
    let line = fs::read_to_string(&place).unwrap();
    fs::write(&place, line.repeat(4096 / line.len() + 1)).unwrap();
    let lock = fs::File::create(place.with_extension("jsonl.lock")).unwrap();
    lock.lock().unwrap();
    let before = fs::read_to_string(&place).unwrap().lines().count();
    assert_eq!(sandbox.run(["token", "groq"]).success(), format!("{KEY}\n"));
    assert_eq!(fs::read_to_string(&place).unwrap().lines().count(), before + 1);
    assert_eq!(entries(&sandbox, &[]).len(), before + 1);
    drop(lock);
    sandbox.run(["token", "groq"]).success();
    assert_eq!(fs::read_to_string(&place).unwrap().lines().count(), 1);
    assert_eq!(entries(&sandbox, &[]).len(), before + 2);
}

// -------------------------------------------------------------------------------- switched off, broken

#[test]
fn the_log_can_be_switched_off_and_moved() {
    let sandbox = with_key();
    let before = fs::read_to_string(file(&sandbox)).unwrap();
    sandbox.write_config("[log]\nenabled = false\n");
    sandbox.run(["token", "groq"]).success();
    assert_eq!(fs::read_to_string(file(&sandbox)).unwrap(), before);
    assert!(sandbox.run(["log"]).stderr.contains("switched off"));
    let elsewhere = sandbox.path("home/elsewhere/handed-out.jsonl");
    sandbox.write_config(&format!("[log]\nfile = \"{}\"\n", elsewhere.display()));
    sandbox.run(["token", "groq"]).success();
    assert_eq!(story(&sandbox), ["token groq done"]);
    assert_eq!(fs::metadata(elsewhere).unwrap().permissions().mode() & 0o777, 0o600);
    for (config, said) in [
        ("[log]\nfile = \"here\"\n", "config.toml:2: log.file: is not an absolute path"),
        ("[log]\nmax_bytes = 1\n", "config.toml:2: log.max_bytes: is not between 4096 and"),
        ("[log]\nenabled = \"no\"\n", "config.toml:2: log.enabled: invalid type"),
        ("[log]\nsize = 1\n", "config.toml:2: log.size: unknown key"),
    ] {
        sandbox.write_config(config);
        let stderr = sandbox.run(["token", "groq"]).failure(2);
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn a_log_that_cannot_be_written_is_said_and_stops_nothing() {
    let sandbox = with_key();
    let place = file(&sandbox);
    fs::remove_file(&place).unwrap();
    let victim = sandbox.path("home/victim");
    fs::write(&victim, "mine").unwrap();
    let check = |said: &str| {
        let output = sandbox.run(["token", "groq"]);
        let warning = "warning: the audit log is not written: ";
        assert!(output.stderr.contains(warning) && output.stderr.contains(said), "{output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert_eq!(output.success(), format!("{KEY}\n"));
        let output = sandbox.run(["-q", "exec", "--with", "groq,groq=B", "--", "echo", "ran"]);
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert_eq!(output.success(), "ran\n");
    };
    symlink(&victim, &place).unwrap();
    check("is a link");
    fs::remove_file(&place).unwrap();
    fs::hard_link(&victim, &place).unwrap();
    check("has a second name");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    check("audit.jsonl");
    fs::remove_dir(&place).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&place).status().unwrap().success());
    check("audit.jsonl");
    fs::remove_file(&place).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    sandbox.write_config("[log]\nfile = \"/dev/full\"\n");
    check("/dev");
}

/// A disk that is full, as far as the log goes: a limit on the size of files.
#[test]
fn a_full_disk_costs_the_one_line_that_it_cut() {
    if !present(&["prlimit"]) {
        return skipped("prlimit is not there");
    }
    let sandbox = with_key();
    // Room for a part of the next line.
    let limit = fs::metadata(file(&sandbox)).unwrap().len() + 50;
    let mut shell = sandbox.program("sh");
    let script = format!("trap '' XFSZ; exec prlimit --fsize={limit} \"$@\"");
    shell.args(["-c", &script, "sh", AUTHCTL, "token", "groq"]);
    let output = sandbox.start(shell).finish();
    assert!(output.stderr.contains("the audit log is not written"), "{output:?}");
    assert_eq!(output.success(), format!("{KEY}\n"));
    sandbox.run(["exec", "--with", "groq", "--", "true"]).success();
    let shown = sandbox.run(["log", "--json"]).json();
    assert_eq!(shown["unreadable"], 1, "a line was not cut");
    let entries = shown["entries"].as_array().unwrap();
    assert_eq!(entries.last().unwrap()["event"], "exec", "{shown}");
}

// ------------------------------------------------------------------------------------- confirmations

/// A program of the project that says which key it got.
fn write_script(sandbox: &Sandbox, name: &str, text: &str) -> String {
    let path = sandbox.path(name);
    // As in `Sandbox::write_browser`: no child of this process may have it open for writing.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "printf %s \"$2\" > \"$1\"; chmod 755 \"$1\"", "sh"]);
    assert!(shell.arg(&path).arg(format!("#!/bin/sh\n{text}\n")).status().unwrap().success());
    path.to_str().unwrap().to_owned()
}

fn confirmed(rule: &str) -> (Sandbox, String) {
    let sandbox = with_key();
    sandbox.write_config(&format!("[credential.groq]\n{rule}"));
    let agent = write_script(&sandbox, "work/agent", "echo \"<$GROQ_API_KEY>\"");
    (sandbox, agent)
}

fn at_terminal(sandbox: &Sandbox, arguments: &[&str]) -> Terminal {
    let mut shell = sandbox.program("sh");
    shell.args(["-c", "stty echo cols 250; exec \"$@\"", "sh", AUTHCTL]).args(arguments);
    Terminal::start(shell)
}

#[track_caller]
fn assert_unconfirmed(output: Output, code: i32, words: &[&str]) {
    assert_eq!(output.stdout, "", "{output:?}");
    let said = output.failure(code);
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn a_person_confirms_each_use_and_is_told_what_for() {
    let (sandbox, agent) = confirmed("confirm = true\n");
    let exec = ["exec", "--with", "groq", "--", &agent];
    let words = ["the use of groq must be confirmed, and there is no terminal", "confirm_program"];
    assert_unconfirmed(sandbox.run(exec), 125, &words);
    assert_unconfirmed(sandbox.run(["token", "groq"]), 4, &words);
    let error: Value =
        serde_json::from_str(&sandbox.run(["--json", "token", "groq"]).failure(4)).unwrap();
    assert_eq!(error["error"]["kind"], "confirmation_required");
    for _ in 0..2 {
        let mut terminal = at_terminal(&sandbox, &exec);
        let asked = terminal.expect("This is asked at each use.");
        let expected = format!("Hand groq (for api.groq.com) to {agent}?");
        assert!(asked.contains(&expected), "{asked}");
        terminal.send_line("y");
        terminal.expect(&format!("<{KEY}>"));
        terminal.rest();
        assert_eq!(terminal.status(), 0);
    }
    let mut terminal = at_terminal(&sandbox, &["token", "groq"]);
    terminal.expect("Print groq (for api.groq.com) for ");
    terminal.send_line("n");
    let rest = terminal.rest();
    assert!(rest.contains("the use of groq was not confirmed") && !rest.contains(KEY), "{rest}");
    assert_eq!(terminal.status(), 1);
    let told = story(&sandbox);
    assert_eq!(told[1..4], ["exec groq refused", "token groq refused", "token groq refused"]);
    assert_eq!(told[4..], ["exec groq done", "exec groq done", "token groq refused"]);
}

#[test]
fn a_yes_holds_for_its_program_as_long_as_was_said() {
    let (sandbox, agent) = confirmed("confirm = true\nconfirm_for = \"15m\"\n");
    let exec = ["exec", "--with", "groq", "--", &agent];
    let mut terminal = at_terminal(&sandbox, &exec);
    terminal.expect("A yes holds for 15 min for this program.");
    terminal.send_line("y");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    assert_eq!(sandbox.run(exec).success(), format!("<{KEY}>\n"));
    let other = write_script(&sandbox, "work/other", "echo \"<$GROQ_API_KEY>\"");
    assert_unconfirmed(sandbox.run(["exec", "--with", "groq", "--", &other]), 125, &["confirmed"]);
    // A shell is every program at once.
    let shell = ["exec", "--with", "groq", "--", "sh", "-c", "true"];
    let mut terminal = at_terminal(&sandbox, &shell);
    terminal.expect("This is asked at each use.");
    terminal.send_line("y");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    assert_unconfirmed(sandbox.run(shell), 125, &["confirmed"]);
    // A yes that is too old is none: the file says when it was given.
    let is_answer = |path: &PathBuf| path.to_string_lossy().contains("/confirmations/");
    let answer = sandbox.files().into_iter().find(is_answer).unwrap();
    let old = regex::Regex::new("\"given_at\": \"[^\"]+\"").unwrap();
    let text = fs::read_to_string(&answer).unwrap();
    fs::write(&answer, &*old.replace(&text, "\"given_at\": \"2020-01-01T00:00:00Z\"")).unwrap();
    assert_unconfirmed(sandbox.run(exec), 125, &["confirmed"]);
    fs::write(&answer, "{").unwrap();
    assert_unconfirmed(sandbox.run(exec), 125, &["confirmed"]);
}

#[test]
fn an_agent_does_not_answer_for_the_person() {
    let (mut sandbox, agent) = confirmed("confirm = true\nconfirm_for = \"15m\"\n");
    sandbox.env("CLAUDECODE", "1");
    let exec = ["exec", "--with", "groq", "--", &agent];
    let mut terminal = at_terminal(&sandbox, &exec);
    let said = terminal.rest();
    assert!(said.contains("Claude Code is running this command: it could answer"), "{said}");
    assert!(said.contains("confirm_program") && !said.contains(KEY), "{said}");
    assert_eq!(terminal.status(), 125);
    // The person's own program asks, wherever it shows its question; it gets no keys by the way.
    sandbox.env("OPENAI_API_KEY", "given-1").env("AUTHCTL_GITHUB_TOKEN", "given-2");
    let asked = sandbox.path("home/asked");
    let helper = |code: i32| {
        let text = format!(
            "printf '%s|%s%s\\n' \"$SSH_ASKPASS_PROMPT\" \"$1\" \"$OPENAI_API_KEY$AUTHCTL_GITHUB_TOKEN\" >> {}; exit {code}",
            asked.display()
        );
        write_script(&sandbox, "home/ask", &text)
    };
    let helper_path = helper(1);
    sandbox.write_config(&format!(
        "confirm_program = \"{helper_path}\"\n[credential.groq]\nconfirm = true\nconfirm_for = \"15m\"\n"
    ));
    assert_unconfirmed(sandbox.run(exec), 125, &["the use of groq was not confirmed"]);
    helper(0);
    assert_eq!(sandbox.run(exec).success(), format!("<{KEY}>\n"));
    let questions = fs::read_to_string(&asked).unwrap();
    let expected = format!(
        "confirm|Hand groq (for api.groq.com) to {agent}, which Claude Code runs? A yes holds for 15 min for this program."
    );
    assert_eq!(questions.lines().collect::<Vec<_>>(), [&expected, &expected]);
    // Its yes holds, too.
    fs::remove_file(&asked).unwrap();
    assert_eq!(sandbox.run(exec).success(), format!("<{KEY}>\n"));
    assert!(!asked.exists());
    // One that is gone is no yes.
    fs::remove_file(sandbox.path("home/ask")).unwrap();
    let words = ["cannot ask by", "confirm_program names"];
    assert_unconfirmed(sandbox.run(["exec", "--with", "groq", "--", "true"]), 125, &words);
}

#[test]
fn what_is_confirmed_is_said_by_provider_or_account() {
    let (mut sandbox, _) = confirmed("confirm = true\n[credential.\"groq:work\"]\n");
    sandbox.run_with_input(["login", "groq:work", "--with-key"], "gsk-2").success();
    sandbox.run(["token", "groq"]).failure(4);
    assert_eq!(sandbox.run(["token", "groq:work"]).success(), "gsk-2\n");
    let listed = sandbox.run(["permission", "list"]).success();
    assert!(
        listed.contains("groq       agents may not print it; each use is confirmed\n"),
        "{listed}"
    );
    assert!(listed.contains("groq:work  agents may not print it\n"), "{listed}");
    // What the environment gives is in nobody's keeping.
    sandbox.env("AUTHCTL_GROQ_TOKEN", "given");
    assert_eq!(sandbox.run(["token", "groq"]).success(), "given\n");
    for (config, said) in [
        (
            "[credential.gorq]\nconfirm = true\n",
            "config.toml:1: credential.gorq: there is no provider",
        ),
        ("[credential.Groq]\n", "config.toml:1: credential.Groq: is not a name"),
        ("[credential.groq]\nconfirm_for = \"1h\"\n", "confirm_for: needs confirm = true"),
        ("[credential.groq]\nconfirm = true\nconfirm_for = \"2d\"\n", "confirm_for: is not a time"),
        ("[credential.groq]\nconfirm = true\nconfirm_for = \"0s\"\n", "confirm_for: is not a time"),
        ("[credential.groq]\nconfirm = \"yes\"\n", "credential.groq.confirm: invalid type"),
        ("confirm_program = \"ask\"\n", "config.toml:1: confirm_program: is not an absolute path"),
    ] {
        sandbox.write_config(config);
        let stderr = sandbox.run(["token", "groq"]).failure(2);
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn a_permission_is_listed_with_when_it_was_given() {
    let sandbox = with_key();
    let mut terminal = at_terminal(&sandbox, &["permission", "allow", "groq"]);
    terminal.expect("Let coding agents print the groq credential?");
    terminal.send_line("y");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    let listed = sandbox.run(["permission", "list", "--json"]).json()["permissions"][0].clone();
    assert_eq!((&listed["name"], &listed["agents_may_print"]), (&"groq".into(), &true.into()));
    assert_eq!(listed["granted_by"], "permission allow");
    sandbox.run(["permission", "withdraw", "groq"]).success();
    sandbox.run(["permission", "withdraw", "groq"]).success();
    let listed = sandbox.run(["permission", "list", "groq"]).success();
    assert_eq!(listed, "groq  agents may not print it\n");
    let told = story(&sandbox);
    assert_eq!(told[1..], ["permission groq done", "permission groq done"]);
}
