//! `authctl.toml`: what a directory asks for counts once a person has approved just these bytes at just
//! this place, and never for more than names of providers, accounts and variables.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use regex::Regex;

use crate::real_parts::{present, skipped};
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Output, Sandbox};
use crate::support::{NOBODY, hand_to_nobody};

/// Prints what the child got.
const PRINT: &str = "echo \"<$OPENAI_API_KEY> <$GROQ_API_KEY> <$MY_KEY>\"";
const EXEC: [&str; 5] = ["exec", "--", "sh", "-c", PRINT];

/// Keys of `openai`, `groq` and `groq:work`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, key) in [("openai", "sk-1"), ("groq", "gsk-2"), ("groq:work", "gsk-3")] {
        sandbox.run_with_input(["login", name, "--with-key"], key).success();
    }
    sandbox
}

fn write(sandbox: &Sandbox, text: impl AsRef<[u8]>) {
    fs::write(sandbox.path("work/authctl.toml"), text).unwrap();
}

fn hash(sandbox: &Sandbox) -> String {
    let shown = sandbox.run(["trust", "--show", "--json"]).json();
    shown["hash"].as_str().unwrap().to_owned()
}

/// Writes a manifest and approves it.
fn approve(sandbox: &Sandbox, text: &str) {
    write(sandbox, text);
    sandbox.run(["trust", "--hash", &hash(sandbox)]).success();
}

/// Runs the same command below another directory of the sandbox.
fn run_in(sandbox: &Sandbox, directory: &str, arguments: &[&str]) -> Output {
    let mut command = sandbox.command(arguments);
    command.current_dir(sandbox.path(directory));
    sandbox.start(command).finish()
}

fn at_terminal(sandbox: &Sandbox, arguments: &[&str]) -> Terminal {
    let mut shell = sandbox.program("sh");
    shell.args(["-c", "stty echo cols 200; exec \"$@\"", "sh", AUTHCTL]).args(arguments);
    Terminal::start(shell)
}

#[track_caller]
fn assert_refused(output: Output, code: i32, words: &[&str]) {
    assert_eq!(output.stdout, "", "{output:?}");
    let said = output.failure(code);
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

// ------------------------------------------------------------------------------------ what it gives

#[test]
fn what_an_approved_manifest_lists_is_handed_over() {
    let sandbox = sandbox();
    approve(&sandbox, "with = [\"openai\", \"groq:work=MY_KEY\"]\n");
    let output = sandbox.run(EXEC);
    let place = sandbox.path("work/authctl.toml");
    let asked = format!("asked for by {}", place.canonicalize().unwrap().display());
    assert!(output.stderr.contains(&asked), "{output:?}");
    assert_eq!(output.success(), "<sk-1> <> <gsk-3>\n");
    // From below too, and `--with` stands instead of the list.
    fs::create_dir_all(sandbox.path("work/a/b")).unwrap();
    assert_eq!(run_in(&sandbox, "work/a/b", &EXEC).success(), "<sk-1> <> <gsk-3>\n");
    let with = ["exec", "--with", "groq", "--", "sh", "-c", PRINT];
    assert_eq!(sandbox.run(with).success(), "<> <gsk-2> <>\n");
    // Not in a directory beside it.
    assert_refused(run_in(&sandbox, "home", &EXEC), 125, &["Stored are: groq, groq:work, openai"]);
}

#[test]
fn a_header_can_be_asked_for() {
    let sandbox = sandbox();
    approve(&sandbox, "env_header = [\"MY_KEY=openai\"]\n");
    assert_eq!(sandbox.run(EXEC).success(), "<> <> <Bearer sk-1>\n");
}

#[test]
fn the_account_of_a_name_comes_from_the_manifest_where_nothing_else_says_it() {
    let mut sandbox = sandbox();
    approve(&sandbox, "with = [\"groq\"]\n[accounts]\ngroq = \"work\"\n");
    let token = |arguments: &[&str]| sandbox.run([&["token"], arguments].concat()).success();
    assert_eq!(token(&["groq"]), "gsk-3\n");
    assert_eq!(token(&["groq:default"]), "gsk-2\n");
    assert_eq!(token(&["groq", "--account", "default"]), "gsk-2\n");
    assert_eq!(token(&["openai"]), "sk-1\n");
    assert_eq!(sandbox.run(EXEC).success(), "<> <gsk-3> <>\n");
    let with = ["exec", "--with", "groq", "--", "sh", "-c", PRINT];
    assert_eq!(sandbox.run(with).success(), "<> <gsk-3> <>\n");
    sandbox.env("AUTHCTL_ACCOUNT", "default");
    assert_eq!(sandbox.run(["token", "groq"]).success(), "gsk-2\n");
    assert_eq!(sandbox.run(EXEC).success(), "<> <gsk-2> <>\n");
}

#[test]
fn what_is_asked_for_and_not_there_is_an_error_with_the_login_command() {
    let sandbox = sandbox();
    approve(&sandbox, "with = [\"openai\", \"mistral\"]\n[accounts]\nmistral = \"work\"\n");
    let output = sandbox.run(["exec", "--", "touch", "started"]);
    let words = [
        "work/authctl.toml asks for mistral:work: not signed in to mistral:work",
        "hint: authctl login mistral:work",
    ];
    assert_refused(output, 125, &words);
    assert!(!sandbox.path("work/started").exists());
}

#[test]
fn a_manifest_with_accounts_alone_leaves_the_question() {
    let sandbox = sandbox();
    approve(&sandbox, "[accounts]\ngroq = \"work\"\n");
    assert_refused(sandbox.run(EXEC), 125, &["which credentials should sh get?"]);
}

// ---------------------------------------------------------------------------------------- approvals

#[test]
fn a_manifest_that_nobody_approved_gives_nothing() {
    let sandbox = sandbox();
    write(&sandbox, "with = [\"openai\"]\n[accounts]\ngroq = \"work\"\n");
    let words = [
        "authctl.toml asks for openai, groq as work, and nobody has approved that",
        "hint: authctl trust",
        "hint: authctl exec --with openai -- sh …",
    ];
    assert_refused(sandbox.run(EXEC), 125, &words);
    // Nor does it say whose account is meant, which is said aloud.
    let output = sandbox.run(["token", "groq"]);
    assert!(output.stderr.contains("names the account work for groq"), "{output:?}");
    assert_eq!(output.success(), "gsk-2\n");
    let silent = sandbox.run(["token", "openai"]);
    assert_eq!((&*silent.stdout, &*silent.stderr), ("sk-1\n", ""));
}

#[test]
fn an_approval_is_for_these_bytes_at_this_place() {
    let sandbox = sandbox();
    let text = "with = [\"openai\"]\n[accounts]\ngroq = \"work\"\n";
    approve(&sandbox, text);
    let changed = [
        (
            "with = [\"openai\", \"groq=MY_KEY\"]\n[accounts]\ngroq = \"work\"\n",
            "it now also asks for groq in MY_KEY",
        ),
        (
            "with = [\"groq\"]\n[accounts]\ngroq = \"work\"\n",
            "it now asks for groq, and no longer for openai",
        ),
        (
            "# a remark\nwith = [\"openai\"]\n[accounts]\ngroq = \"work\"\n",
            "it asks for the same as before",
        ),
    ];
    for (changed, said) in changed {
        write(&sandbox, changed);
        let words =
            ["authctl.toml was changed after it was approved: ", said, "hint: authctl trust"];
        assert_refused(sandbox.run(EXEC), 125, &words);
        // What did not change goes on.
        assert_eq!(sandbox.run(["token", "groq"]).success(), "gsk-3\n");
    }
    write(&sandbox, "with = [\"openai\"]\n[accounts]\ngroq = \"default\"\n");
    let words = ["was changed after it was approved: it now asks for groq as default"];
    assert_refused(sandbox.run(["token", "groq"]), 2, &words);
    assert_eq!(sandbox.run(["token", "groq:work"]).success(), "gsk-3\n");
    // The bytes that were approved count again.
    write(&sandbox, text);
    assert_eq!(sandbox.run(EXEC).success(), "<sk-1> <> <>\n");
    // The same bytes at another place do not.
    fs::rename(sandbox.path("work"), sandbox.path("moved")).unwrap();
    assert_refused(run_in(&sandbox, "moved", &EXEC), 125, &["nobody has approved that"]);
}

#[test]
fn an_approval_can_be_taken_back_and_all_are_listed() {
    let sandbox = sandbox();
    sandbox.run(["trust", "--list"]).success();
    approve(&sandbox, "with = [\"openai\"]\n");
    let list = || sandbox.run(["trust", "--list", "--json"]).json()["approvals"].clone();
    assert_eq!(
        (&list()[0]["state"], &list()[0]["asks"][0]),
        (&"approved".into(), &"openai".into())
    );
    write(&sandbox, "with = [\"groq\"]\n");
    assert_eq!(list()[0]["state"], "changed");
    fs::remove_file(sandbox.path("work/authctl.toml")).unwrap();
    assert_eq!(list()[0]["state"], "missing");
    let text = sandbox.run(["trust", "--list"]).success();
    assert!(text.contains("work/authctl.toml  (missing)\n    openai\n"), "{text}");
    sandbox.run(["trust", "--revoke", "."]).success();
    assert_eq!(list(), serde_json::json!([]));
    assert_refused(sandbox.run(["trust", "--revoke", "."]), 1, &["is not approved"]);
    write(&sandbox, "with = [\"openai\"]\n");
    assert_refused(sandbox.run(EXEC), 125, &["nobody has approved that"]);
}

#[test]
fn nothing_is_approved_blindly() {
    let mut sandbox = sandbox();
    write(&sandbox, "with = [\"openai\"]\n");
    let words = ["there is no terminal to ask at", "authctl trust --hash HASH"];
    assert_refused(sandbox.run(["trust"]), 4, &words);
    let wrong = "0".repeat(64);
    let words = [&*format!("has the hash {}", hash(&sandbox)), "not 0000"];
    assert_refused(sandbox.run(["trust", "--hash", &wrong]), 1, &words);
    // What was shown is what is approved: a change in between is refused.
    let seen = hash(&sandbox);
    write(&sandbox, "with = [\"openai\", \"groq\"]\n");
    assert_refused(sandbox.run(["trust", "--hash", &seen]), 1, &["has the hash"]);
    sandbox.env("CLAUDECODE", "1");
    let mine = hash(&sandbox);
    let words = ["Claude Code is running this command; only a person can approve"];
    assert_refused(sandbox.run(["trust", "--hash", &mine]), 1, &words);
    let mut terminal = at_terminal(&sandbox, &["trust"]);
    terminal.expect("only a person can approve");
    terminal.rest();
    assert_eq!(terminal.status(), 1);
    assert_refused(sandbox.run(EXEC), 125, &["nobody has approved that"]);
}

#[test]
fn a_person_sees_what_is_asked_and_says_yes_or_no() {
    let sandbox = sandbox();
    write(&sandbox, "with = [\"openai\", \"groq=MY_KEY\"]\n[accounts]\ngroq = \"work\"\n");
    let mut terminal = at_terminal(&sandbox, &["trust"]);
    let shown = terminal.expect("Approve this?");
    for word in ["in OPENAI_API_KEY", "in MY_KEY", "means groq:work", &hash(&sandbox)] {
        assert!(shown.contains(word), "no {word} in {shown}");
    }
    terminal.send_line("n");
    terminal.expect("nothing was changed");
    terminal.rest();
    assert_eq!(terminal.status(), 1);
    let mut terminal = at_terminal(&sandbox, &["trust"]);
    terminal.expect("Approve this?");
    terminal.send_line("y");
    terminal.expect("Approved ");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    assert_eq!(sandbox.run(EXEC).success(), "<sk-1> <> <gsk-3>\n");
}

#[test]
fn what_was_shown_is_what_is_approved() {
    let sandbox = sandbox();
    write(&sandbox, "with = [\"openai\"]\n");
    let mut terminal = at_terminal(&sandbox, &["trust"]);
    terminal.expect("Approve this?");
    write(&sandbox, "with = [\"openai\", \"groq\"]\n");
    terminal.send_line("y");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    assert_refused(
        sandbox.run(EXEC),
        125,
        &["was changed after it was approved", "also asks for groq"],
    );
    write(&sandbox, "with = [\"openai\"]\n");
    assert_eq!(sandbox.run(EXEC).success(), "<sk-1> <> <>\n");
}

#[test]
fn at_a_terminal_an_unapproved_manifest_leaves_the_question_and_what_was_remembered() {
    let sandbox = sandbox();
    let agent = sandbox.path("work/agent");
    fs::write(&agent, format!("#!/bin/sh\n{PRINT}\n")).unwrap();
    fs::set_permissions(&agent, Permissions::from_mode(0o755)).unwrap();
    write(&sandbox, "with = [\"openai\"]\n");
    let mut terminal = at_terminal(&sandbox, &["exec", "--", "./agent"]);
    terminal.expect("nobody has approved that");
    terminal.expect("Which credentials should ./agent get?");
    terminal.send(" \r"); // groq, the first
    terminal.expect("Always hand groq to");
    terminal.send_line("y");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    let output = sandbox.run(["exec", "--", "./agent"]);
    assert!(output.stderr.contains("nobody has approved that"), "{output:?}");
    assert_eq!(output.success(), "<> <gsk-2> <>\n");
    // An approved list comes before what was remembered.
    sandbox.run(["trust", "--hash", &hash(&sandbox)]).success();
    assert_eq!(sandbox.run(["exec", "--", "./agent"]).success(), "<sk-1> <> <>\n");
}

#[test]
fn a_broken_manifest_stops_only_where_one_was_approved() {
    let sandbox = sandbox();
    let agent = sandbox.path("work/agent");
    fs::write(&agent, format!("#!/bin/sh\n{PRINT}\n")).unwrap();
    fs::set_permissions(&agent, Permissions::from_mode(0o755)).unwrap();
    write(&sandbox, "with = [\"nobody\"]\n");
    let mut terminal = at_terminal(&sandbox, &["exec", "--", "./agent"]);
    terminal.expect("nobody has approved it, and it is left out");
    terminal.expect("Which credentials should ./agent get?");
    terminal.send(" \r"); // groq, the first
    terminal.expect("Always hand groq to");
    terminal.send_line("y");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    let run = || sandbox.run(["exec", "--", "./agent"]);
    write(&sandbox, "with = [\n");
    let output = run();
    assert!(output.stderr.contains("nobody has approved it"), "{output:?}");
    assert_eq!(output.success(), "<> <gsk-2> <>\n");
    approve(&sandbox, "with = [\"openai\"]\n");
    write(&sandbox, "with = [\n");
    assert_refused(run(), 125, &["authctl.toml:1"]);
}

#[test]
fn an_agent_is_not_asked_for_a_lasting_answer() {
    let mut sandbox = sandbox();
    let agent = sandbox.path("work/agent");
    fs::write(&agent, format!("#!/bin/sh\n{PRINT}\n")).unwrap();
    fs::set_permissions(&agent, Permissions::from_mode(0o755)).unwrap();
    sandbox.env("CLAUDECODE", "1");
    let mut terminal = at_terminal(&sandbox, &["exec", "--", "./agent"]);
    terminal.expect("Which credentials should ./agent get?");
    terminal.send(" \r"); // groq, the first
    let shown = terminal.rest();
    assert!(shown.contains("<gsk-2>") && !shown.contains("Always hand"), "{shown}");
    assert_eq!(terminal.status(), 0);
}

// -------------------------------------------------------------------------- given credentials, nesting

#[test]
fn in_ci_a_given_key_meets_the_manifest_without_any_store() {
    let mut sandbox = Sandbox::new();
    sandbox.env("CI", "true").env("OPENAI_API_KEY", "given-1").env("AUTHCTL_GROQ_TOKEN", "given-2");
    approve(&sandbox, "with = [\"openai=MY_KEY\", \"groq\"]\n");
    assert_eq!(sandbox.run(EXEC).success(), "<> <given-2> <given-1>\n");
    assert!(!sandbox.path("home/.local/share/authctl").exists(), "a store was made");
    // An account that the manifest names is not the default one, which alone can be given.
    approve(&sandbox, "with = [\"groq\"]\n[accounts]\ngroq = \"work\"\n");
    let words = ["asks for groq:work: not signed in", "hint: AUTHCTL_ACCOUNT=default authctl"];
    assert_refused(sandbox.run(EXEC), 125, &words);
    sandbox.env("AUTHCTL_ACCOUNT", "default");
    assert_eq!(sandbox.run(EXEC).success(), "<given-1> <given-2> <>\n");
}

#[test]
fn an_exec_inside_another_one_keeps_what_was_given_and_refreshes_what_is_stored() {
    let mut sandbox = sandbox();
    let script = format!("'{AUTHCTL}' exec -- sh -c '{PRINT}'");
    let nested = ["exec", "--", "sh", "-c", &script];
    approve(&sandbox, "with = [\"openai\", \"groq=MY_KEY\"]\n");
    assert_eq!(sandbox.run(nested).success(), "<sk-1> <> <gsk-2>\n");
    // Nothing is stored under these names; the outer exec got them from CI.
    sandbox.run(["logout", "--all"]).success();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", "given-1").env("AUTHCTL_GROQ_TOKEN", "given-2");
    let output = sandbox.run(nested);
    assert!(output.stderr.contains("kept MY_KEY (groq) of the exec around"), "{output:?}");
    assert_eq!(output.success(), "<given-1> <> <given-2>\n");
}

// ---------------------------------------------------------------------------------------- bad input

#[test]
fn what_is_wrong_in_a_manifest_is_named_with_its_place() {
    let sandbox = sandbox();
    for (text, words) in [
        (
            &b"wiht = [\"openai\"]\n"[..],
            &["authctl.toml:1: wiht: unknown key", "did you mean `with`"][..],
        ),
        (
            b"with = [\"opnai\"]\n",
            &["authctl.toml:1: there is no provider opnai", "did you mean openai?"],
        ),
        (b"with = [\"groq:Work\"]\n", &["authctl.toml:1: with: \"groq:Work\" is not a name"]),
        (b"[accounts]\ngroq = \"../x\"\n", &["authctl.toml:2: accounts.groq: is not an account"]),
        (b"with = [\"groq=LD_PRELOAD\"]\n", &["LD_PRELOAD steers programs"]),
        (b"with = [\"groq=OPENAI_BASE_URL\"]\n", &["OPENAI_BASE_URL tells programs where to go"]),
        (
            b"with = [\"groq=MYV\",\n\"openai=MYV\"]\n",
            &["authctl.toml:2: with: groq and openai cannot both be handed over in MYV"],
        ),
        (b"with = [\n\"\xff\"]\n", &["authctl.toml:2: is not UTF-8 text"]),
        (b"with = [\n", &["authctl.toml:1"]),
        (b"with = [\"groq\x1b[2J\"]\n", &["authctl.toml:1"]),
        (&vec![b'#'; 1 << 20], &["authctl.toml is larger than 16384 bytes"]),
    ] {
        write(&sandbox, text);
        for arguments in [&["trust", "--show"][..], &["trust"]] {
            let output = sandbox.run(arguments);
            assert!(!output.stderr.contains('\u{1b}'), "{output:?}");
            assert_refused(output, 2, words);
        }
        // Never approved, it changes nothing: the choices are named.
        let output = sandbox.run(EXEC);
        assert!(!output.stderr.contains('\u{1b}'), "{output:?}");
        assert_refused(output, 125, &[words[0], "nobody has approved it", "Stored are: groq"]);
        // Whoever names what to hand over is not stopped by somebody's file.
        assert_eq!(sandbox.run(["token", "groq"]).success(), "gsk-2\n");
    }
}

#[test]
fn a_manifest_that_is_no_plain_file_of_this_user_is_refused() {
    let sandbox = sandbox();
    let place = sandbox.path("work/authctl.toml");
    let refused = |words: &[&str]| {
        assert_refused(sandbox.run(EXEC), 125, words);
        assert_eq!(sandbox.run(["token", "groq:default"]).success(), "gsk-2\n");
    };
    fs::create_dir(&place).unwrap();
    refused(&["is not a regular file"]);
    fs::remove_dir(&place).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&place).status().unwrap().success());
    refused(&["is not a regular file"]);
    fs::remove_file(&place).unwrap();
    symlink("nothing", &place).unwrap();
    refused(&["cannot look at", "nothing"]);
    fs::remove_file(&place).unwrap();
    assert_eq!(sandbox.run(["token", "groq"]).success(), "gsk-2\n");
    approve(&sandbox, "with = [\"openai\"]\n");
    fs::set_permissions(&place, Permissions::from_mode(0o666)).unwrap();
    refused(&["can be written by other users"]);
    // What it said was approved: nobody knows whose account is meant now.
    assert_refused(sandbox.run(["token", "groq"]), 2, &["can be written by other users"]);
    fs::set_permissions(&place, Permissions::from_mode(0o644)).unwrap();
    // The directory: whoever may write it may put another file there, unless it is sticky.
    fs::set_permissions(sandbox.path("work"), Permissions::from_mode(0o777)).unwrap();
    refused(&["is a directory where other users can write"]);
    fs::set_permissions(sandbox.path("work"), Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(sandbox.run(EXEC).success(), "<sk-1> <> <>\n");
}

#[test]
fn another_users_manifest_or_link_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can give a file away");
    }
    let sandbox = sandbox();
    let place = sandbox.path("work/authctl.toml");
    approve(&sandbox, "with = [\"openai\"]\n");
    std::os::unix::fs::chown(&place, Some(NOBODY), Some(NOBODY)).unwrap();
    assert_refused(sandbox.run(EXEC), 125, &["belongs to another user"]);
    fs::rename(&place, sandbox.path("work/other.toml")).unwrap();
    std::os::unix::fs::chown(sandbox.path("work/other.toml"), Some(0), Some(0)).unwrap();
    symlink("other.toml", &place).unwrap();
    std::os::unix::fs::lchown(&place, Some(NOBODY), Some(NOBODY)).unwrap();
    assert_refused(sandbox.run(EXEC), 125, &["is a link of another user"]);
}

#[test]
fn a_manifest_that_cannot_be_read_is_an_error_where_it_is_asked_for() {
    let sandbox = sandbox();
    write(&sandbox, "with = [\"openai\"]\n");
    let place = sandbox.path("work/authctl.toml");
    fs::set_permissions(&place, Permissions::from_mode(0o000)).unwrap();
    let mut words = hand_to_nobody(&sandbox);
    words.push(AUTHCTL.into());
    let run = |arguments: &[&str]| {
        let mut command = sandbox.program(&words[0]);
        sandbox.start({
            command.args(&words[1..]).args(arguments);
            command
        })
    };
    assert_refused(run(&EXEC).finish(), 125, &["cannot open", "authctl.toml: Permission denied"]);
    assert_eq!(run(&["token", "groq"]).finish().success(), "gsk-2\n");
}

#[test]
fn a_damaged_approval_is_none_and_can_be_made_anew() {
    let sandbox = sandbox();
    approve(&sandbox, "with = [\"openai\"]\n");
    let is_approval = |path: &std::path::PathBuf| path.to_string_lossy().contains("/approvals/");
    let approval = sandbox.files().into_iter().find(is_approval).unwrap();
    fs::write(&approval, "{").unwrap();
    assert_refused(sandbox.run(EXEC), 125, &["nobody has approved that"]);
    let listed = sandbox.run(["trust", "--list"]);
    assert!(listed.stderr.contains("cannot be read as an approval"), "{listed:?}");
    approve(&sandbox, "with = [\"openai\"]\n");
    // One of a newer authctl is left as it is.
    let newer = fs::read_to_string(&approval).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(&approval, &newer).unwrap();
    for arguments in [&EXEC[..], &["trust", "--hash", "0"]] {
        assert!(sandbox.run(arguments).stderr.contains("written by a newer authctl"));
    }
    assert_eq!(fs::read_to_string(&approval).unwrap(), newer);
}

// ------------------------------------------------------------------------------------------------ L7

/// Twenty things that a file in a directory might want to decide (guarantee L7).
const HOSTILE: [&str; 20] = [
    "[provider.openai]\nbase_url = \"https://evil.example\"\n[provider.openai.api_key]\n",
    "[provider.evil.api_key]\nvariables = [\"OPENAI_API_KEY\"]\n",
    "[provider.evil.oauth]\nissuer = \"https://evil.example\"\n",
    "[agent.claude-code]\nmarkers = []\n",
    "store = \"file\"\n",
    "passphrase = false\n",
    "with = [\"openai\"]\ncommand = \"./evil\"\n",
    "with = [\"openai\"]\nhelper = \"./evil\"\n",
    "with = [\"openai\"]\nhosts = [\"evil.example\"]\n",
    "with = [\"openai\"]\nscopes = [\"admin\"]\n",
    "confirm_program = \"./evil\"\nwith = [\"openai\"]\n",
    "[log]\nenabled = false\n",
    "[credential.openai]\nconfirm = false\n",
    "[env]\nPATH = \".\"\n",
    "with = [\"openai=PATH\"]\n",
    "with = [\"openai=HTTPS_PROXY\"]\n",
    "with = [\"openai=AUTHCTL_CONFIG_DIR\"]\n",
    "with = [\"openai=BASH_ENV\"]\n",
    "with = [\"groq=OPENAI_API_KEY\"]\n",
    "with = [\"openai; ./evil\"]\n",
];

#[test]
fn no_file_of_a_directory_adds_a_destination_a_command_or_a_helper() {
    if !present(&["strace"]) {
        return skipped("strace is not there");
    }
    let sandbox = sandbox();
    let evil = sandbox.path("work/evil");
    fs::write(&evil, "#!/bin/sh\ntouch was-run\n").unwrap();
    fs::set_permissions(&evil, Permissions::from_mode(0o755)).unwrap();
    for text in HOSTILE {
        write(&sandbox, text);
        for arguments in [&["exec", "--", "true"][..], &["trust"], &["token", "openai"]] {
            let (output, run, connected) = traced(&sandbox, arguments);
            let is_fine = arguments[0] == "token";
            assert_eq!(output.status.success(), is_fine, "{text}: {output:?}");
            assert_eq!(run, [AUTHCTL], "{text}");
            assert!(!connected.contains("sin_port"), "{text}: {connected}");
        }
        assert!(sandbox.run(["trust", "--list", "--json"]).json()["approvals"][0].is_null());
    }
    assert!(!sandbox.path("work/was-run").exists());
}

/// A run, the programs that it executed, and the connections that it made.
fn traced(sandbox: &Sandbox, arguments: &[&str]) -> (Output, Vec<String>, String) {
    let trace = sandbox.path("tmp/trace");
    let mut command = sandbox.program("strace");
    command.args(["-f", "-qq", "-e", "trace=execve,connect", "-o"]).arg(&trace);
    command.arg(AUTHCTL).args(arguments);
    let output = sandbox.start(command).finish();
    let text = fs::read_to_string(trace).unwrap();
    let executed = Regex::new("execve\\(\"([^\"]+)\"").unwrap();
    let run = executed.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    let connected = text.lines().filter(|line| line.contains("connect(")).collect();
    (output, run, connected)
}

#[test]
fn what_is_shown_before_the_approval_is_clean() {
    let sandbox = Sandbox::new();
    // A path is the one thing here that can hold anything.
    let odd = sandbox.path("work/\u{1b}[2J\u{202e}odd");
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join("authctl.toml"), "with = [\"openai\"]\n").unwrap();
    let shown = run_in(&sandbox, "work/\u{1b}[2J\u{202e}odd", &["trust", "--show"]).success();
    assert!(
        shown.contains("odd/authctl.toml") && !shown.contains(['\u{1b}', '\u{202e}']),
        "{shown}"
    );
}

#[test]
fn the_search_ends_at_the_home() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("home/project")).unwrap();
    fs::write(sandbox.path("authctl.toml"), "with = [\"openai\"]\n").unwrap();
    let words = ["there is no authctl.toml here or in a directory above"];
    assert_refused(run_in(&sandbox, "home/project", &["trust"]), 2, &words);
    fs::write(sandbox.path("home/authctl.toml"), "with = [\"groq\"]\n").unwrap();
    let shown = run_in(&sandbox, "home/project", &["trust", "--show", "--json"]).json();
    assert_eq!(shown["with"], serde_json::json!(["groq"]));
    assert!(Path::new(shown["path"].as_str().unwrap()).ends_with("home/authctl.toml"));
}
