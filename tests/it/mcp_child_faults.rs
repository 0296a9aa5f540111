//! `authctl mcp -- COMMAND` around servers that do what they should not: what they write, and how much of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::sandbox::Sandbox;
use crate::support::stdio_host::{Host, prepare, server_log, text};
use crate::support::eventually;

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
    stdout.read_line(&mut line).unwrap();
    for expected in 0..MESSAGES {
        line.clear();
        stdout.read_line(&mut line).unwrap();
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["params"]["data"][0], expected);
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
