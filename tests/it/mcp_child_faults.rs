//! `authctl mcp -- COMMAND` around servers that do what they should not: what they write, how much of it, and how
//! they end.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::support::launcher::{is_gone, pid, pid_of};
use crate::support::sandbox::{Running, Sandbox};
use crate::support::stdio_host::{Host, prepare, server_log, text};
use crate::support::{PATIENCE, eventually, eventually_within};

/// Shell functions of the servers here.
const WORDS: &str = r#"
log() { printf '%s\n' "$1" >> "$SERVER_LOG"; }
say() { printf '%s\n' "$@"; }
note() { say '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":'"$1"'}}'; }
greeting='{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"odd","version":"1"}}}'
result() { say '{"jsonrpc":"2.0","id":'"$1"',"result":{"content":[{"type":"text","text":"'"$2"'"}]}}'; }
log "started $$"
"#;

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    prepare(&mut sandbox);
    sandbox
}

fn around(sandbox: &Sandbox, script: &str) -> Command {
    let mut command = sandbox.command(["mcp", "--", "sh", "-c"]);
    command.arg(format!("{WORDS}\n{script}"));
    command
}

fn host(sandbox: &Sandbox, script: &str) -> Host {
    Host::start(sandbox, around(sandbox, script))
}

fn messages(host: &Host) -> Vec<Value> {
    host.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn server_pid(sandbox: &Sandbox) -> rustix::process::Pid {
    let first = eventually("the server", || server_log(sandbox).into_iter().next());
    pid(first.strip_prefix("started ").unwrap())
}

// ------------------------------------------------------------------------------------------ what it writes

#[test]
fn the_order_of_what_a_server_writes_is_kept() {
    let script = r#"
        read line
        all=$(note 0; say "$greeting"; note 1; note 2)
        say "$all"
        while read line; do case $line in *tools/call*)
            all=$(note 3; result 2 done; note 4)
            say "$all" ;;
        esac; done"#;
    for _ in 0..5 {
        let sandbox = sandbox();
        let mut host = host(&sandbox, script);
        host.initialize();
        assert_eq!(text(&host.call("any")), "done");
        host.line("the last one", |message| message["params"]["data"] == 4);
        let order: Vec<Value> = messages(&host)
            .into_iter()
            .map(
                |mut it| {
                    if it["id"].is_null() { it["params"]["data"].take() } else { it["id"].take() }
                },
            )
            .collect();
        assert_eq!(json!(order), json!([0, 1, 1, 2, 3, 2, 4]));
        host.leave().success();
    }
}

#[test]
fn a_host_that_does_not_read_stops_the_server_and_not_the_memory() {
    const MESSAGES: usize = 12_800;
    let script = r#"
        read line; say "$greeting"
        long=$(head -c 10000 /dev/zero | tr '\0' x)
        i=0; while [ $i -lt 12800 ]; do note "[$i,\"$long\"]"; i=$((i+1)); done
        log flooded
        while read line; do case $line in *tools/call*) result 2 done ;; esac; done"#;
    let sandbox = sandbox();
    let mut command = around(&sandbox, script);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "x"}});
    stdin.write_all(format!("{hello}\n{call}\n").as_bytes()).unwrap();
    let process = child.id();
    let of_process = |file: &str, name: &str| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    // It reads no more, for a while.
    let (mut before, mut same) = (0, 0);
    eventually("the end of reading", || {
        let now = of_process("io", "rchar:");
        same = if now == before && now > 1_000_000 { same + 1 } else { 0 };
        before = now;
        (same > 20).then_some(())
    });
    assert!(!server_log(&sandbox).contains(&"flooded".to_owned()));
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut expected = 0;
    while expected < MESSAGES {
        line.clear();
        stdout.read_line(&mut line).unwrap();
        let message: Value = serde_json::from_str(&line).unwrap();
        // Where the greeting stands is judged elsewhere.
        if message["id"] != 1 {
            assert_eq!(message["params"]["data"][0], expected);
            expected += 1;
        }
    }
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("done"), "{line}");
    let peak = of_process("status", "VmHWM:");
    assert!(peak < 60 * 1024, "{peak} kB");
    drop(stdin);
    stdout.read_to_end(&mut Vec::new()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The most memory that a process had, in kB.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A server that answers the greeting, and then does `then`, while authctl is told `lines`: how many it has taken,
/// and its stdin after that.
fn told(
    sandbox: &Sandbox,
    then: &str,
    lines: impl Iterator<Item = String> + Send + 'static,
) -> (Running, Arc<AtomicUsize>, JoinHandle<ChildStdin>) {
    let mut command = around(sandbox, &format!("read line; say \"$greeting\"; read line\n{then}"));
    command.stdin(Stdio::piped());
    let mut running = sandbox.start(command);
    let mut stdin = running.child.stdin.take().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    writeln!(stdin, "{hello}").unwrap();
    eventually("the greeting", || running.stdout().contains("odd").then_some(()));
    writeln!(stdin, r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#).unwrap();
    let telling = thread::spawn(move || {
        for line in lines {
            writeln!(stdin, "{line}").unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
        stdin
    });
    (running, taken, telling)
}

fn long() -> String {
    let long = "x".repeat(32 << 10);
    json!({"jsonrpc": "2.0", "method": "notifications/long", "params": {"x": long}}).to_string()
}

/// So many long notifications, and a call.
fn flood(notifications: usize) -> impl Iterator<Item = String> {
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "x"}});
    std::iter::repeat_n(long(), notifications).chain([call.to_string()])
}

#[test]
fn a_server_that_does_not_read_stops_the_host_and_not_its_own_words_nor_the_memory() {
    const MESSAGES: usize = 4_000;
    let bytes = MESSAGES * (long().len() + 1);
    let then = format!(
        r#"
        until [ -e "$REVOKED" ]; do sleep 0.05; done; note '"alive"'
        until [ -e "$RELEASE" ]; do sleep 0.05; done
        count=$(head -c {bytes} | wc -c)
        read line; result 2 $count; read line || :"#
    );
    let sandbox = sandbox();
    let (running, taken, telling) = told(&sandbox, &then, flood(MESSAGES));
    let (mut before, mut same) = (0, 0);
    eventually("the end of reading", || {
        let now = taken.load(Ordering::SeqCst);
        same = if now == before && now > 0 { same + 1 } else { 0 };
        before = now;
        (same > 20).then_some(())
    });
    assert!(before < MESSAGES);
    std::fs::write(sandbox.path("revoked"), "").unwrap();
    eventually("a word of the server", || running.stdout().contains("alive").then_some(()));
    std::fs::write(sandbox.path("release"), "").unwrap();
    let all = format!(r#""text":"{bytes}""#);
    eventually("everything", || running.stdout().contains(&all).then_some(()));
    let peak = peak(running.child.id());
    assert!(peak < 60 * 1024, "{peak} kB");
    drop(telling.join().unwrap());
    assert_eq!(running.finish_within(PATIENCE).code(), 0);
}

#[test]
fn a_server_that_never_reads_is_said_to_and_does_not_outlive_its_host() {
    let sandbox = sandbox();
    let (running, _, telling) = told(&sandbox, "exec sleep 1000", flood(400));
    let refused = eventually_within(2 * PATIENCE, "the answer", || {
        let said = running.stdout();
        let line = said.lines().find(|line| line.contains(r#""id":2"#))?;
        serde_json::from_str::<Value>(line).ok()
    });
    let what = refused["error"]["message"].as_str().unwrap();
    assert!(what.contains("has not read what it was sent for 20 s"), "{refused}");
    drop(telling.join().unwrap());
    let output = running.finish_within(PATIENCE);
    assert_eq!(output.stderr.matches("is refused until it does").count(), 1, "{}", output.stderr);
    assert!(is_gone(server_pid(&sandbox)));
}

#[test]
fn an_answer_that_cannot_be_passed_on_is_an_error_for_its_request_alone() {
    let script = r#"
        read line; say "$greeting"
        while read line; do case $line in
            *'"long"'*)
                printf '{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"'
                head -c 70000000 /dev/zero | tr '\0' x
                say '"}]}}' ;;
            *'"late"'*)
                printf '{"result":{"content":[{"type":"text","id":2,"text":"'
                head -c 70000000 /dev/zero | tr '\0' x
                say '"}]},"jsonrpc":"2.0","id":4}' ;;
            *'"bytes"'*) printf '{"jsonrpc":"2.0","id":5,"result":"\377"}\n' ;;
            *'"two"'*) say '{"jsonrpc":"2.0","id":6,"result":1} {"jsonrpc":"2.0","id":99,"result":1}' ;;
            *'"twice"'*) say '{"jsonrpc":"2.0","id":7,"result":1,"result":2}' ;;
            *'"both"'*) say '{"jsonrpc":"2.0","id":8,"result":1,"error":{"code":1,"message":"x"}}' ;;
            *'"cut"'*) say '{"jsonrpc":"2.0","id":9,"result":{' ;;
            *'"again"'*) say '{"jsonrpc":"2.0","id":10,"result":1,"result":2}' ;;
            *'"echo"'*) say '{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"late"}]}}'; result 11 well ;;
        esac; done"#;
    let sandbox = sandbox();
    let mut host = host(&sandbox, script);
    host.initialize();
    let open = host.ask("tools/call", &json!({"name": "waits"}));
    for (tool, what) in [
        ("long", "is longer than 64 MiB"),
        ("late", "is longer than 64 MiB"),
        ("bytes", "is not UTF-8"),
        ("two", "stands on one line with another one"),
        ("twice", "has a member twice"),
        ("both", "has both a result and an error"),
        ("cut", "is not JSON"),
        ("again", "has a member twice"),
    ] {
        let answer = host.call(tool);
        assert_eq!(answer["error"]["message"], format!("the server's answer {what}"), "{tool}");
    }
    assert_eq!(text(&host.call("echo")), "well");
    assert_eq!(text(&host.answer(open)), "late");
    let output = host.leave();
    assert_eq!(output.code(), 0);
    for what in ["longer than", "not UTF-8", "one line", "twice", "both", "not JSON"] {
        assert_eq!(output.stderr.matches(what).count(), 1, "{what}: {}", output.stderr);
    }
}

// --------------------------------------------------------------------------------------------- how it ends

#[test]
fn requests_that_are_open_at_the_end_get_an_error() {
    let script = r#"
        trap '' TERM
        read line; say "$greeting"
        while read line; do case $line in *tools/call*) log called ;; esac; done
        while :; do sleep 1; done"#;
    for signal in [None, Some(Signal::TERM)] {
        let sandbox = sandbox();
        let mut host = host(&sandbox, script);
        host.initialize();
        let open = host.ask("tools/call", &json!({"name": "never"}));
        eventually("the call", || {
            server_log(&sandbox).contains(&"called".to_owned()).then_some(())
        });
        let stdout = match signal {
            None => host.leave().stdout,
            Some(signal) => {
                kill_process(pid_of(&host.running), signal).unwrap();
                host.running.finish_within(PATIENCE).stdout
            }
        };
        let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        assert_eq!(last["id"], open);
        assert_eq!(last["error"]["message"], "authctl has ended before the server's answer");
        assert!(is_gone(server_pid(&sandbox)));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn whatever_signal_ends_authctl_ends_what_the_server_started() {
    let script = r#"
        trap '' TERM HUP INT QUIT USR1
        read line; say "$greeting"
        setsid sh -c 'sleep 1000 & echo "daemon $!" >> "$SERVER_LOG"' >/dev/null 2>&1
        while :; do sleep 1; done"#;
    for signal in [Signal::QUIT, Signal::USR1, Signal::USR2, Signal::ALARM, Signal::ABORT] {
        let sandbox = sandbox();
        let mut host = host(&sandbox, script);
        host.initialize();
        let daemon = eventually("the daemon", || {
            server_log(&sandbox).iter().find_map(|line| Some(pid(line.strip_prefix("daemon ")?)))
        });
        kill_process(pid_of(&host.running), signal).unwrap();
        let status = eventually("the end", || host.running.child.try_wait().unwrap());
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        assert!(is_gone(server_pid(&sandbox)), "{signal:?}");
        eventually("the end of the daemon", || is_gone(daemon).then_some(()));
    }
}

#[test]
fn a_server_that_ends_by_itself_is_said_to_have_ended() {
    let script = r#"read line; say "$greeting"; read line; exit 7"#;
    let sandbox = sandbox();
    let mut host = host(&sandbox, script);
    host.initialize();
    let output = host.running.finish_within(PATIENCE);
    assert_eq!(output.code(), 7);
    let said = "authctl: the server has ended with exit status 7";
    assert_eq!(output.stderr.matches(said).count(), 1, "{}", output.stderr);
}
