//! `authctl mcp -- COMMAND`: a local server with its credential in its environment, whatever becomes of either.

use std::os::unix::process::ExitStatusExt;

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::support::browser;
use crate::support::eventually;
use crate::support::launcher::{is_gone, pid, pid_of};
use crate::support::sandbox::Sandbox;
use crate::support::signed_in::SignedIn;
use crate::support::stdio_host::{Host, prepare, server, server_log, text};

/// A sandbox with a key for OpenAI in its environment.
fn with_key() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", "sk-child/0123456789");
    prepare(&mut sandbox);
    sandbox
}

const WITH_KEY: [&str; 2] = ["--with", "openai=DEMO_TOKEN"];

fn signed_in() -> SignedIn {
    let mut signed_in = SignedIn::new();
    prepare(&mut signed_in.sandbox);
    signed_in
}

/// The tokens that the server was started with, in order.
fn starts(sandbox: &Sandbox) -> Vec<String> {
    let word = |line: String| line.strip_prefix("started ").map(str::to_owned);
    let log = server_log(sandbox).into_iter().filter_map(word);
    log.map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
}

fn server_pid(sandbox: &Sandbox) -> rustix::process::Pid {
    let first = eventually("the server", || server_log(sandbox).into_iter().next());
    pid(first.split(' ').nth(1).unwrap())
}

#[test]
fn a_server_gets_its_credential_and_messages_pass_as_they_are() {
    let sandbox = with_key();
    let mut host = Host::around(&sandbox, &WITH_KEY);
    assert_eq!(host.initialize()["result"]["serverInfo"]["name"], "scripted");
    assert_eq!(text(&host.call("secret")), "signed in");
    let id = host.ask("tools/call", &json!({"name": "echo"}));
    let line = host.line("the echo", |message| message["id"] == id);
    let spaced = r#"{"jsonrpc":"2.0",  "id":3, "result":{"content":[ {"type":"text","text":"\u0065cho 1.50"} ]}}"#;
    assert_eq!(line, spaced);
    assert_eq!(text(&host.call("stderr")), "said");
    let output = host.leave();
    assert_eq!(output.code(), 0, "{output:?}");
    assert_eq!(server_log(&sandbox)[1..], ["initialized", "ended"]);
    assert!(output.stderr.contains("authctl: set DEMO_TOKEN (openai"), "{}", output.stderr);
    assert!(output.stderr.contains("a word to people\n"), "{}", output.stderr);
    assert!(!output.stderr.contains("sk-child") && !output.stdout.contains("sk-child"));
}

#[test]
fn questions_and_notifications_of_the_server_reach_the_host() {
    let sandbox = with_key();
    let mut host = Host::around(&sandbox, &WITH_KEY);
    host.initialize();
    let id = host.ask("tools/call", &json!({"name": "ask"}));
    host.line("the question", |message| message["method"] == "elicitation/create");
    host.send(r#"{"id":"q1","jsonrpc":"2.0","result":{"action":"accept"}}"#);
    assert_eq!(text(&host.answer(id)), "answered");
    assert_eq!(text(&host.call("notice")), "noticed");
    host.line("progress", |message| message["method"] == "notifications/progress");
    host.leave().success();
}

#[test]
fn an_id_that_is_in_use_is_refused_and_its_request_goes_on() {
    let sandbox = with_key();
    let mut host = Host::around(&sandbox, &WITH_KEY);
    host.initialize();
    let slow = host.ask("tools/call", &json!({"name": "slow"}));
    eventually("the slow call", || {
        server_log(&sandbox).iter().find(|line| *line == "slow").cloned()
    });
    let again =
        json!({"jsonrpc": "2.0", "id": slow, "method": "tools/call", "params": {"name": "echo"}});
    host.send(&again.to_string());
    assert_eq!(host.answer(slow)["error"]["code"], -32_600);
    std::fs::write(sandbox.path("release"), "").unwrap();
    host.line("the first answer", |message| message["id"] == slow && message["result"].is_object());
    host.leave().success();
}

#[test]
fn garbage_on_the_servers_stdout_stays_away_from_the_host_and_is_said_once() {
    let sandbox = with_key();
    let mut host = Host::around(&sandbox, &WITH_KEY);
    host.initialize();
    assert_eq!(text(&host.call("garbage")), "clean");
    assert_eq!(text(&host.call("garbage")), "clean");
    for line in host.lines() {
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
    let output = host.leave();
    assert_eq!(output.stderr.matches("what is no message").count(), 1, "{}", output.stderr);
}

#[test]
fn a_server_that_ends_fails_what_is_open_and_leaves_its_status() {
    let sandbox = with_key();
    let mut host = Host::around(&sandbox, &WITH_KEY);
    host.initialize();
    let never = host.ask("tools/call", &json!({"name": "never"}));
    eventually("the open request", || {
        server_log(&sandbox).iter().find(|line| *line == "waiting").cloned()
    });
    let last = host.ask("tools/call", &json!({"name": "die"}));
    for id in [never, last] {
        let answer = host.answer(id);
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(message, "the server has ended with exit status 3");
    }
    let output = eventually("the end", || host.running.child.try_wait().unwrap());
    assert_eq!(output.code(), Some(3));
}

#[test]
fn failures_before_the_server_runs_have_the_codes_of_exec() {
    let sandbox = with_key();
    let run = |arguments: &[&str]| sandbox.run([&["mcp"], arguments].concat());
    run(&["--with", "openai", "--", "no-such-command-anywhere"]).failure(127);
    let file = sandbox.path("work/plain");
    std::fs::write(&file, "plain").unwrap();
    run(&["--with", "openai", "--", file.to_str().unwrap()]).failure(126);
    run(&["--with", "nobody-knows-this", "--", "cat"]).failure(125);
    run(&["--with", "openai", "--flag-of-nobody", "--", "cat"]).failure(125);
    run(&["--with", "openai"]).failure(2);
    run(&["--with", "openai", "https://mcp.example/mcp"]).failure(2);
    run(&["https://mcp.example/mcp", "--", "cat"]).failure(125);
    assert_eq!(run(&["--with", "openai", "--", "cat"]).code(), 0);
}

#[test]
fn flags_that_fit_only_an_address_or_only_a_listener_are_refused() {
    let mut sandbox = with_key();
    let flags: [&[&str]; 12] = [
        &["--name", "x"],
        &["--header", "X-Team: blue"],
        &["--secret-header", "X-Key=openai"],
        &["--answer-wait", "5m"],
        &["--client-id", "x"],
        &["--client-credentials"],
        &["--scope", "x"],
        &["--dpop"],
        &["--idle", "5m"],
        &["--no-secret"],
        &["--secret-file", "x"],
        &["--listen", "--idle", "0"],
    ];
    for flags in flags {
        sandbox.run([&["mcp"], flags, &["--", "true"]].concat()).failure(125);
    }
    for flags in [&["--idle", "5m"], &["--listen", "80"]] {
        sandbox.run([&["mcp", "https://mcp.example/mcp"], &flags[..]].concat()).failure(2);
    }
    // The variable may be there for other servers.
    assert!(!sandbox.run(["mcp", "--", "true"]).stderr.contains("AUTHCTL_CLIENT"));
    for variable in ["AUTHCTL_CLIENT_ID", "AUTHCTL_CLIENT_SECRET"] {
        sandbox.env(variable, "of-another-server");
        let output = sandbox.run(["mcp", "--", "true"]);
        assert!(
            output.stderr.contains(&format!("{variable} is set, and is not used")),
            "{output:?}"
        );
        assert!(!output.stderr.contains("of-another-server") && output.code() == 0, "{output:?}");
    }
}

#[test]
fn usage_names_what_is_missing() {
    let sandbox = with_key();
    let said = |arguments: &[&str], code| {
        let output = sandbox.run([&["mcp"], arguments].concat());
        assert_eq!(output.code(), code, "{output:?}");
        output.stderr
    };
    assert!(said(&[], 2).contains("authctl mcp [OPTIONS] -- <COMMAND>..."));
    let listen = said(&["--listen"], 2);
    assert!(!listen.contains("\n  <URL>\n") && listen.contains("COMMAND"), "{listen}");
    let port = said(&["--listen", "80x", "--", "true"], 125);
    assert!(port.contains("a port is a number"), "{port}");
    let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = other.local_addr().unwrap().port().to_string();
    let taken_port = said(&["--listen", &taken, "--with", "openai", "--", "true"], 125);
    assert!(taken_port.contains(&format!("port {taken}")), "{taken_port}");
    assert!(taken_port.contains("authctl mcp --listen"), "{taken_port}");
}

#[test]
fn a_server_that_cannot_be_is_explained_to_the_host_and_leaves_2() {
    let sandbox = with_key();
    let mut host = Host::start(&sandbox, sandbox.command(["mcp", "no-such-name"]));
    let answer = host.request("tools/list", &json!({}));
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("there is no provider no-such-name"), "{message}");
    let output = host.leave();
    assert_eq!(output.code(), 2);
    assert_eq!(
        output.stderr.matches("there is no provider no-such-name").count(),
        1,
        "{}",
        output.stderr
    );
}

#[test]
fn a_server_for_which_nothing_was_chosen_starts_without_a_credential() {
    let sandbox = with_key();
    let mut host = Host::around(&sandbox, &[]);
    assert_eq!(host.initialize()["result"]["serverInfo"]["name"], "scripted");
    let output = host.leave();
    assert_eq!(output.code(), 0, "{output:?}");
    let said = &output.stderr;
    assert!(said.contains("starts without a credential: nothing to hand over"), "{said}");
    assert!(!said.contains("authctl exec"), "{said}");
}

#[test]
fn the_proposed_command_is_of_the_kind_that_was_typed() {
    let signed_in = signed_in();
    for line in ["authctl mcp", "authctl mcp --listen"] {
        let words = line.split(' ').skip(1).chain(["--", "true"]);
        let mut running = signed_in.sandbox.start(signed_in.sandbox.command(words));
        let proposal = format!("; {line} --with demo -- true");
        running.wait_for("the proposal", |said| said.contains(&proposal).then_some(()));
        let _ = kill_process(pid_of(&running), Signal::TERM);
        eventually("the end", || running.child.try_wait().unwrap());
    }
}

// -------------------------------------------------------------------------------------------- reaping

#[test]
fn no_process_is_left_when_the_host_goes() {
    for stubborn in ["", "yes"] {
        let mut sandbox = with_key();
        sandbox.env("STUBBORN", stubborn);
        let mut host = Host::around(&sandbox, &WITH_KEY);
        host.initialize();
        assert_eq!(text(&host.call("orphan")), "left");
        let orphan =
            server_log(&sandbox).iter().find_map(|line| Some(pid(line.strip_prefix("orphan ")?)));
        let output = host.leave();
        let expected = if stubborn.is_empty() { (Some(0), None) } else { (None, Some(9)) };
        assert_eq!((output.status.code(), output.status.signal()), expected);
        assert!(is_gone(server_pid(&sandbox)));
        eventually("the end of what the server left", || is_gone(orphan.unwrap()).then_some(()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_left_the_group_of_the_server_ends_as_well() {
    for signal in [None, Some(Signal::TERM)] {
        let sandbox = with_key();
        let mut host = Host::around(&sandbox, &WITH_KEY);
        host.initialize();
        assert_eq!(text(&host.call("daemon")), "left");
        let daemon =
            server_log(&sandbox).iter().find_map(|line| Some(pid(line.strip_prefix("daemon ")?)));
        let daemon = daemon.unwrap();
        assert!(!is_gone(daemon));
        match signal {
            None => drop(host.leave()),
            Some(signal) => {
                kill_process(pid_of(&host.running), signal).unwrap();
                eventually("the end", || host.running.child.try_wait().unwrap());
            }
        }
        eventually("the end of the daemon", || is_gone(daemon).then_some(()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_that_a_server_started_outlives_authctl() {
    for (left, signal) in [
        ("orphan", Some(Signal::KILL)),
        ("daemon", Some(Signal::KILL)),
        ("hermit", Some(Signal::KILL)),
        ("hermit", Some(Signal::TERM)),
        ("hermit", None),
    ] {
        let mut sandbox = with_key();
        sandbox.env("STUBBORN", if signal == Some(Signal::KILL) { "yes" } else { "" });
        let mut host = Host::around(&sandbox, &WITH_KEY);
        host.initialize();
        assert_eq!(text(&host.call(left)), "left");
        let log = server_log(&sandbox);
        let named = log.iter().find_map(|line| line.strip_prefix(left)?.strip_prefix(' '));
        let process = pid(named.unwrap());
        assert!(!is_gone(process));
        let server = server_pid(&sandbox);
        match signal {
            None => drop(host.leave()),
            Some(signal) => {
                kill_process(pid_of(&host.running), signal).unwrap();
                eventually("the end", || host.running.child.try_wait().unwrap());
            }
        }
        eventually("the end of the server", || is_gone(server).then_some(()));
        eventually(&format!("the end of the {left}"), || is_gone(process).then_some(()));
    }
}

/// Parent of a process.
#[cfg(target_os = "linux")]
fn parent(process: rustix::process::Pid) -> rustix::process::Pid {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap();
    pid(stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn the_keeper_of_a_server_has_nothing_and_takes_the_server_with_it() {
    let mut sandbox = with_key();
    sandbox.env("STUBBORN", "yes");
    // More than a pipe holds.
    let long = "x".repeat(100_000);
    sandbox.env("LONG", &long);
    let mut host = Host::around(&sandbox, &WITH_KEY);
    host.initialize();
    assert_eq!(text(&host.call("secret")), "signed in");
    let server = server_pid(&sandbox);
    let of = |process: rustix::process::Pid, file: &str| {
        std::fs::read(format!("/proc/{}/{file}", process.as_raw_nonzero())).unwrap_or_default()
    };
    let has_long = |text: &[u8]| text.windows(99_999).any(|part| part == &long.as_bytes()[1..]);
    assert!(has_long(&of(server, "environ")));
    let keeper = parent(server);
    assert_eq!(parent(keeper), pid_of(&host.running));
    assert_eq!(of(keeper, "environ"), b"");
    let streams = |number| {
        let path = format!("/proc/{}/fd/{number}", keeper.as_raw_nonzero());
        std::fs::read_link(path).map(|path| path.to_string_lossy().into_owned())
    };
    for stream in [0, 1].map(streams).into_iter().flatten() {
        assert_eq!(stream, "/dev/null");
    }
    kill_process(keeper, Signal::KILL).unwrap();
    eventually("the end of the server", || is_gone(server).then_some(()));
    let status = eventually("the end", || host.running.child.try_wait().unwrap());
    assert_eq!(status.signal(), Some(9), "{status}");
}

#[test]
fn signals_end_the_server_as_well() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let sandbox = with_key();
        let mut host = Host::around(&sandbox, &WITH_KEY);
        host.initialize();
        kill_process(pid_of(&host.running), signal).unwrap();
        let status = eventually("the end", || host.running.child.try_wait().unwrap());
        // The server sees the end of its stdin as well, and may be the faster one.
        assert!(status.code() == Some(0) || status.signal() == Some(15), "{signal:?}: {status}");
        assert!(is_gone(server_pid(&sandbox)));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_authctl_leaves_no_server_behind() {
    let mut sandbox = with_key();
    sandbox.env("STUBBORN", "yes");
    let mut host = Host::around(&sandbox, &WITH_KEY);
    host.initialize();
    let server = server_pid(&sandbox);
    kill_process(pid_of(&host.running), Signal::KILL).unwrap();
    eventually("the end of the server", || is_gone(server).then_some(()));
    let _ = host.running.child.wait();
}

// ------------------------------------------------------------------------------------------- restarts

#[test]
fn a_token_near_its_end_is_renewed_between_requests() {
    let signed_in = signed_in();
    let mut host = Host::around(&signed_in.sandbox, &["--with", "demo"]);
    host.initialize();
    assert_eq!(text(&host.call("secret")), "signed in");
    assert_eq!(starts(&signed_in.sandbox).len(), 1);
    host.leave().success();

    // The next token lives four seconds: by its last quarter it has been replaced.
    signed_in.server.rules(|rules| rules.expires_in = Some(4));
    signed_in.expire();
    let mut host = Host::around(&signed_in.sandbox, &["--with", "demo"]);
    host.initialize();
    eventually("a restart", || {
        host.call("secret");
        (starts(&signed_in.sandbox).len() >= 3).then_some(())
    });
    let tokens = starts(&signed_in.sandbox);
    assert_ne!(tokens[1], tokens[2]);
    let log = server_log(&signed_in.sandbox);
    assert!(log.iter().filter(|line| *line == "initialized").count() >= 3, "{log:?}");
    let greetings = host.lines().iter().filter(|line| line.contains("serverInfo")).count();
    assert_eq!(greetings, 1, "the host hears one greeting");
    host.leave().success();
}

#[test]
fn a_refused_token_is_renewed_once_and_the_call_made_again() {
    let signed_in = signed_in();
    let mut host = Host::around(&signed_in.sandbox, &["--with", "demo"]);
    host.initialize();
    assert_eq!(text(&host.call("secret")), "signed in");
    let first = starts(&signed_in.sandbox).remove(0);
    std::fs::write(signed_in.sandbox.path("revoked"), format!("{first}\n")).unwrap();
    assert_eq!(text(&host.call("secret")), "signed in");
    assert_eq!(starts(&signed_in.sandbox).len(), 2);
    assert_eq!(signed_in.refreshes(), 1);
    host.leave().success();
}

#[test]
fn a_credential_that_starts_no_server_is_not_said_to_be_handed_over() {
    let sandbox = with_key();
    std::fs::write(sandbox.path("revoked"), "sk-child/0123456789\n").unwrap();
    let mut host = Host::around(&sandbox, &WITH_KEY);
    host.initialize();
    for _ in 0..3 {
        assert!(host.call("secret")["result"]["isError"] == true);
    }
    let output = host.leave();
    assert_eq!(starts(&sandbox).len(), 1);
    assert_eq!(output.stderr.matches("authctl: set DEMO_TOKEN").count(), 1, "{}", output.stderr);
    let log = sandbox.run(["log", "--json"]).stdout;
    assert_eq!(log.matches("DEMO_TOKEN").count(), 1, "{log}");

    let sandbox = with_key();
    Host::around(&sandbox, &WITH_KEY).leave();
    assert_eq!(starts(&sandbox).len(), 0);
    assert!(!sandbox.run(["log", "--json"]).stdout.contains("DEMO_TOKEN"));
}

#[test]
fn a_restart_waits_for_open_requests_and_later_ones_wait_for_it() {
    let signed_in = signed_in();
    let mut host = Host::around(&signed_in.sandbox, &["--with", "demo"]);
    host.initialize();
    let slow = host.ask("tools/call", &json!({"name": "slow"}));
    eventually("the slow call", || {
        server_log(&signed_in.sandbox).iter().find(|line| *line == "slow").cloned()
    });
    let first = starts(&signed_in.sandbox).remove(0);
    std::fs::write(signed_in.sandbox.path("revoked"), format!("{first}\n")).unwrap();
    let secret = host.ask("tools/call", &json!({"name": "secret"}));
    std::fs::write(signed_in.sandbox.path("release"), "").unwrap();
    assert!(text(&host.answer(slow)).starts_with("slow "));
    assert_eq!(text(&host.answer(secret)), "signed in");
    assert_eq!(starts(&signed_in.sandbox).len(), 2);
    host.leave().success();
}

#[test]
fn open_tools_work_without_a_sign_in_and_it_follows_the_signal() {
    for needs_token in ["", "yes"] {
        let mut signed_in = SignedIn::not_yet("", |_| {});
        prepare(&mut signed_in.sandbox);
        signed_in.sandbox.env("NEEDS_TOKEN", needs_token);
        let mut host = Host::around(&signed_in.sandbox, &["--with", "demo"]);
        host.initialize();
        if needs_token.is_empty() {
            assert!(text(&host.call("echo")).starts_with("echo"));
        }
        let secret = host.ask("tools/call", &json!({"name": "secret"}));
        browser::open(&host.running.opened_url());
        assert_eq!(text(&host.answer(secret)), "signed in");
        let tokens = starts(&signed_in.sandbox);
        assert_eq!((tokens.len(), &*tokens[0]), (2, "without"));
        let output = host.leave();
        assert!(
            output.stderr.contains("nobody is signed in to demo (authctl login demo)"),
            "{}",
            output.stderr
        );
        assert!(!output.stderr.contains(&tokens[1]) && !output.stdout.contains(&tokens[1]));
    }
}

#[test]
fn a_modern_server_is_started_anew_without_a_handshake() {
    let mut signed_in = signed_in();
    signed_in.sandbox.env("MODERN", "yes");
    let mut host = Host::around(&signed_in.sandbox, &["--with", "demo"]);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let found = host.request("server/discover", &json!({"_meta": meta}));
    assert_eq!(found["result"]["supportedVersions"][0], "2026-07-28");
    let listen = host.ask("subscriptions/listen", &json!({"_meta": meta}));
    let is_acknowledged = |message: &serde_json::Value| {
        message["method"] == "notifications/subscriptions/acknowledged"
    };
    host.line("the subscription", is_acknowledged);
    let first = starts(&signed_in.sandbox).remove(0);
    std::fs::write(signed_in.sandbox.path("revoked"), format!("{first}\n")).unwrap();
    assert_eq!(text(&host.call("secret")), "signed in");
    eventually("the subscription at the new server", || {
        let lines = host.lines();
        let told = lines.iter().filter(|line| line.contains("acknowledged")).count();
        assert!(!lines.iter().any(|line| line.contains(&format!("\"id\":{listen},\"error"))));
        (told == 2).then_some(())
    });
    assert_eq!(starts(&signed_in.sandbox).len(), 2);
    host.leave().success();
}

#[test]
fn the_secret_is_in_no_arguments() {
    let sandbox = with_key();
    let mut host = Host::around(&sandbox, &WITH_KEY);
    host.initialize();
    let server_arguments = format!("/proc/{}/cmdline", server_pid(&sandbox).as_raw_nonzero());
    let own = format!("/proc/{}/cmdline", host.running.child.id());
    for file in [server_arguments, own] {
        let Ok(arguments) = std::fs::read(file) else { continue };
        assert!(!String::from_utf8_lossy(&arguments).contains("sk-child"));
        assert!(!String::from_utf8_lossy(&arguments).contains("authctl-leash"));
    }
    assert!(server().is_file());
    host.leave().success();
}

#[test]
fn host_and_server_of_different_revisions_understand_each_other() {
    let mut sandbox = Sandbox::new();
    prepare(&mut sandbox);
    sandbox.env("MODERN", "only");
    let mut host = Host::around(&sandbox, &[]);
    let greeting = host.initialize();
    assert_eq!(greeting["result"]["serverInfo"]["name"], "scripted");
    assert_eq!(greeting["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(text(&host.call("echo")), "echo 1.50");
    host.leave();

    for (name, value) in [("MODERN", ""), ("STRICT", "yes")] {
        sandbox.env("MODERN", "");
        sandbox.env(name, value);
        let mut host = Host::around(&sandbox, &[]);
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let found = host.request("server/discover", &json!({"_meta": meta}));
        assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]), "{name}");
        let echo = host.request("tools/call", &json!({"name": "echo", "_meta": meta}));
        assert_eq!((text(&echo), &echo["result"]["resultType"]), ("echo 1.50", &json!("complete")));
        host.leave();
    }
}

#[test]
fn refusals_that_come_together_are_one_restart() {
    let signed_in = signed_in();
    let mut host = Host::around(&signed_in.sandbox, &["--with", "demo"]);
    host.initialize();
    assert_eq!(text(&host.call("secret")), "signed in");
    let first = starts(&signed_in.sandbox).remove(0);
    std::fs::write(signed_in.sandbox.path("revoked"), format!("{first}\n")).unwrap();
    let calls = [(); 5].map(|()| host.ask("tools/call", &json!({"name": "secret"})));
    for call in calls {
        assert_eq!(text(&host.answer(call)), "signed in");
    }
    assert_eq!((starts(&signed_in.sandbox).len(), signed_in.refreshes()), (2, 1));
    host.leave().success();
}

#[test]
fn a_server_that_refuses_whatever_it_gets_is_started_anew_once() {
    let signed_in = signed_in();
    let options = ["--no-browser", "--call-wait", "1s", "--with", "demo"];
    let mut host = Host::around(&signed_in.sandbox, &options);
    host.initialize();
    std::fs::write(signed_in.sandbox.path("revoked-all"), "").unwrap();
    for _ in 0..4 {
        let refused = host.call("secret");
        assert_eq!(refused["result"]["isError"], true, "{refused}");
    }
    assert_eq!((starts(&signed_in.sandbox).len(), signed_in.refreshes()), (2, 1));
    assert_eq!(text(&host.call("echo")), "echo 1.50");
    host.leave().success();
}

#[test]
fn a_request_that_is_open_outlives_the_token_of_its_server() {
    let signed_in = signed_in();
    signed_in.server.rules(|rules| rules.expires_in = Some(4));
    signed_in.expire();
    let mut host = Host::around(&signed_in.sandbox, &["--with", "demo"]);
    host.initialize();
    let slow = host.ask("tools/call", &json!({"name": "slow"}));
    eventually("the slow call", || {
        server_log(&signed_in.sandbox).iter().find(|line| *line == "slow").cloned()
    });
    let before = starts(&signed_in.sandbox);
    let token = before.last().unwrap().clone();
    // Others come until long after the time at which it is renewed; they may have to wait.
    let mut waiting = Vec::new();
    eventually("the end of the token", || {
        waiting.push(host.ask("tools/call", &json!({"name": "echo"})));
        (!signed_in.server.accepts(&token)).then_some(())
    });
    signed_in.server.rules(|rules| rules.expires_in = Some(3600));
    std::fs::write(signed_in.sandbox.path("release"), "").unwrap();
    assert!(text(&host.answer(slow)).starts_with("slow "));
    for id in waiting {
        assert_eq!(text(&host.answer(id)), "echo 1.50");
    }
    assert_eq!(starts(&signed_in.sandbox).len(), before.len() + 1);
    host.leave().success();
}
