//! `authctl mcp` between a host and a server that is broken, stuck or malicious: the host gets an error for the
//! request that it concerns, everything else goes on, and stdout carries nothing but protocol.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::mcp_host::Host;
use crate::support::mcp_wire::{Call, Latch, WireServer};
use crate::support::sandbox::Sandbox;

/// What a server makes of `tools/call`; everything else is normal.
fn misbehaving(
    deed: impl Fn(&mut Call) -> std::io::Result<()> + Send + Sync + 'static,
) -> WireServer {
    WireServer::start(move |call| match call.what() {
        "tools/call" => deed(call),
        _ => call.normal(),
    })
}

/// The host's call, what it says of it, and that everything else goes on.
fn complaint(server: &WireServer, arguments: &[&str]) -> String {
    let sandbox = Sandbox::new();
    let mut host = Host::met(&sandbox, &[arguments, &[&server.url()]].concat());
    let id = host.ask("tools/call", &json!({"name": "t"}));
    assert!(host.call("ping", &json!({}))["result"].is_object());
    let answer = host.answer(&id);
    assert!(host.call("tools/list", &json!({}))["result"].is_object());
    assert_eq!(host.end().code(), Some(0));
    assert_eq!(host.asides, Vec::<Value>::new());
    assert_eq!(server.count("tools/call"), 1, "sent again");
    let said = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(said.contains(&server.host()), "{said}");
    assert_eq!(answer["error"]["code"], -32010);
    said.to_owned()
}

#[test]
fn an_answer_that_is_none_is_an_error_of_its_request() {
    const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let ok = r#"{"jsonrpc":"2.0","id":2,"result":{}}"#;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("broke", Vec::new()),
        ("broke", b"HTTP/1.1 200 OK\r\n".to_vec()),
        ("not HTTP", b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()),
        ("broke", format!("{JSON}content-length: 900\r\n\r\n{ok}").into()),
        ("not JSON", format!("{JSON}content-length: 9\r\n\r\n{ok}").into()),
        ("broke", format!("{JSON}transfer-encoding: chunked\r\n\r\n5\r\n{{\"jso\r\nzz").into()),
        ("empty", format!("{JSON}\r\n").into()),
        ("not JSON", format!("{JSON}\r\nnonsense").into()),
        ("no JSON-RPC", format!("{JSON}\r\n{{\"ok\":true}}").into()),
        ("not in it", format!("{JSON}\r\n{}", ok.replace('2', "3").replace("3.0", "2.0")).into()),
        (
            "UTF-8",
            [JSON.as_bytes(), b"\r\n{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"\xff\"}"].concat(),
        ),
        (
            "text/html",
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<h1>Sign in</h1>".to_vec(),
        ),
        ("500: oops", b"HTTP/1.1 500 No\r\ncontent-type: text/plain\r\n\r\noops".to_vec()),
        ("not JSON", format!("{EVENTS}data: nonsense\n\n").into()),
        ("UTF-8", [EVENTS.as_bytes(), b"data: \xff\n\n"].concat()),
        ("broke", format!("{EVENTS}data: {}", &ok[..30]).into()),
        ("compressed (gzip)", format!("{JSON}content-encoding: gzip\r\n\r\n\u{1f}").into()),
        (
            "429: (it can be asked again in 7 s)",
            b"HTTP/1.1 429 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ),
        (
            "503: busy (it can be asked again after Fri,",
            b"HTTP/1.1 503 No\r\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\nbusy".to_vec(),
        ),
        ("broke", format!("{EVENTS}\u{0}\u{1}nonsense\n\n:\r\r\n").into()),
        (
            "longer than",
            format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(70_000)).into(),
        ),
    ];
    for (expected, bytes) in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
        let server = misbehaving(move |call| call.raw(&bytes));
        let said = complaint(&server, &[]);
        assert!(said.contains(expected), "{expected}: {said} after {shown:?}");
    }
}

#[test]
fn what_a_server_says_in_an_error_is_cleaned() {
    let server = misbehaving(|call| call.reply(503, &[], "text/plain", "\u{1b}[31mred\u{7}\r\n"));
    let said = complaint(&server, &[]);
    assert!(said.contains("503") && !said.chars().any(char::is_control), "{said:?}");
}

#[test]
fn a_server_that_says_nothing_is_waited_for_as_long_as_asked() {
    let silent = misbehaving(Call::stay);
    assert!(complaint(&silent, &["--answer-wait", "1s"]).contains("nothing for 1 s"));
    let half = misbehaving(|call| {
        call.raw(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
        )?;
        call.stay()
    });
    assert!(complaint(&half, &["--answer-wait", "1s"]).contains("nothing for 1 s"));
    let stream = misbehaving(|call| {
        call.events()?;
        call.stay()
    });
    assert!(complaint(&stream, &["--answer-wait", "1s"]).contains("nothing for 1 s"));
}

#[test]
fn comments_are_no_answer() {
    let server = misbehaving(|call| {
        call.events()?;
        loop {
            call.raw(": still here\n\n")?;
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert!(complaint(&server, &["--answer-wait", "1s"]).contains("nothing for 1 s"));
}

#[test]
fn what_is_only_unusual_is_taken() {
    for events in [true, false] {
        let server = misbehaving(move |call| {
            let response = call.response(&json!({"x": 1}));
            if events {
                call.events()?;
                return call.raw(format!("id: 1\ndata: {response}"));
            }
            call.reply(200, &[], "application/json", &format!("\u{feff}{response}"))
        });
        let sandbox = Sandbox::new();
        let mut host = Host::met(&sandbox, &[&server.url()]);
        let answer = host.call("tools/call", &json!({"name": "t"}));
        assert_eq!(answer["result"], json!({"x": 1}), "{answer}");
    }
}

#[test]
fn a_cancelled_call_gives_its_connection_back() {
    let gone = Latch::default();
    let left = gone.clone();
    let server = misbehaving(move |call| {
        call.events()?;
        call.event(json!({"jsonrpc": "2.0", "method": "notifications/x"}))?;
        call.stay()?;
        left.open();
        Ok(())
    });
    let sandbox = Sandbox::new();
    let mut host = Host::met(&sandbox, &[&server.url()]);
    let id = host.ask("tools/call", &json!({"name": "t"}));
    host.receive("a sign of life", |message| message["method"] == "notifications/x");
    let params = json!({"requestId": id});
    host.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    server.wait_for("notifications/cancelled", 1);
    eventually("the end of the connection", || gone.is_open().then_some(()));
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named() {
    let (mut sandbox, url) = (Sandbox::new(), "https://mcp.example.com/mcp");
    sandbox.env("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:1");
    let mut host = Host::start(&sandbox, &[url]);
    let hello = host.hello();
    let answer = host.answer(&hello)["error"]["message"].to_string();
    assert!(answer.contains("mcp.example.com") && answer.contains("127.0.0.1:1"), "{answer}");
    assert!(answer.contains("(HTTPS_PROXY)") && !answer.contains("hunter2"), "{answer}");
}

#[test]
fn a_redirect_is_named_and_not_followed() {
    let target = WireServer::normal();
    for status in ["301", "302", "307", "308"] {
        let (code, to) = (status.parse().unwrap(), format!("{}/?token=hunter2", target.url()));
        let server =
            misbehaving(move |call| call.reply(code, &[("location", &to)], "text/plain", ""));
        let said = complaint(&server, &[]);
        assert!(said.contains(&target.url()) && said.contains("redirect"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(target.seen().is_empty());
}

#[test]
fn a_session_id_that_cannot_be_sent_back_is_refused() {
    for headers in [
        "mcp-session-id: a b\r\n",
        "mcp-session-id: \r\n",
        "mcp-session-id: \u{e9}\r\n",
        "mcp-session-id: a\r\nmcp-session-id: b\r\n",
    ] {
        let sandbox = Sandbox::new();
        let server = WireServer::start(move |call| match call.what() {
            "initialize" => {
                let body = call.response(&json!({"protocolVersion": "2025-11-25"}));
                call.raw(format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}\r\n{body}"
                ))
            }
            _ => call.normal(),
        });
        let mut host = Host::start(&sandbox, &[&server.url()]);
        let hello = host.hello();
        let answer = host.answer(&hello);
        assert!(answer["error"]["message"].as_str().unwrap().contains("session id"), "{answer}");
    }
}

#[test]
fn a_large_result_comes_whole_as_json_and_as_an_event() {
    let large = "ü".repeat(5 << 20);
    let expected = large.clone();
    let server = WireServer::start(move |call| {
        match (call.what(), call.message()["params"]["name"] == "events") {
            ("tools/call", false) => call.result(&json!({"text": large})),
            ("tools/call", true) => {
                call.events()?;
                let response = call.response(&json!({"text": large}));
                // In two lines, cut anywhere.
                let (one, two) = response.split_at(response.len() - 2);
                for piece in format!("data: {one}\r\ndata: {two}\r\n\r\n").as_bytes().chunks(50_021)
                {
                    call.raw(piece)?;
                }
                Ok(())
            }
            _ => call.normal(),
        }
    });
    let sandbox = Sandbox::new();
    let mut host = Host::met(&sandbox, &[&server.url()]);
    for name in ["json", "events"] {
        let answer = host.call("tools/call", &json!({"name": name}));
        assert!(answer["result"]["text"] == expected, "{name}");
    }
}

#[test]
fn garbage_of_the_host_is_answered_and_changes_nothing() {
    let (sandbox, server) = (Sandbox::new(), WireServer::normal());
    let mut host = Host::met(&sandbox, &[&server.url()]);
    for (garbage, code, id) in [
        ("nonsense", -32700, Value::Null),
        ("{\"jsonrpc\":\"2.0\",\"id\":1", -32700, Value::Null),
        ("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", -32600, json!(1)),
        ("{\"id\":\"a\",\"method\":\"ping\"}", -32600, json!("a")),
        ("{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":1}", -32600, json!(5)),
        (r#"{"jsonrpc":"2.0","id":6,"method":"ping","params":{},"params":{}}"#, -32600, json!(6)),
        (r#"{"jsonrpc":"1.0","id":7,"result":{}}"#, -32600, Value::Null),
        ("[1]", -32600, Value::Null),
        ("[]", -32600, Value::Null),
        ("\u{0}\u{1}", -32700, Value::Null),
    ] {
        host.send_line(garbage);
        let answer = host.receive("an error", |message| message["error"].is_object());
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{garbage}");
    }
    host.send_line(b"\xff\xfe");
    host.receive("an error", |message| message["error"]["code"] == -32700);
    assert!(host.call("ping", &json!({}))["result"].is_object());
    assert_eq!(server.count("ping"), 1);
    assert_eq!(host.end().code(), Some(0));
}

#[test]
fn each_message_of_a_batch_is_answered_whatever_the_others_are() {
    let (sandbox, server) = (Sandbox::new(), WireServer::normal());
    let mut host = Host::met(&sandbox, &[&server.url()]);
    let ping = |id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
    host.send(&json!([ping("a"), {"jsonrpc": "2.0", "id": "b"}, 1, ping("c")]));
    assert_eq!(host.answer(&json!("a"))["result"], json!({}));
    assert_eq!(host.answer(&json!("c"))["result"], json!({}));
    assert_eq!(host.answer(&json!("b"))["error"]["code"], -32600);
    assert_eq!(host.answer(&Value::Null)["error"]["code"], -32600);
}

#[test]
fn an_error_has_the_id_as_the_host_wrote_it() {
    let server = misbehaving(|call| call.reply(500, &[], "text/plain", "boom"));
    let sandbox = Sandbox::new();
    let mut host = Host::deaf(&sandbox, &[&server.url()]);
    let mut lines = BufReader::new(host.child.stdout.take().unwrap()).lines();
    host.hello();
    lines.next().unwrap().unwrap();
    for id in ["1.50", "1e2", "123456789012345678901234567890", r#""\u0061""#] {
        let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call"}}"#);
        host.send_line(&request);
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&format!(r#""id":{id},"#)) && line.contains("boom"), "{line}");
        // No message, but of that id.
        host.send_line(request.replace("2.0", "1.0"));
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&format!(r#""id":{id},"#)) && line.contains("-32600"), "{line}");
    }
}

#[test]
fn a_response_that_strict_hosts_drop_is_an_error() {
    for (members, words) in [
        (r#""error":"boom""#, "its error is not an object with a code and a message: boom"),
        (r#""error":{"code":"x","message":"y"}"#, "its error is not an object"),
        (r#""error":null,"result":{}"#, "it has an error beside its result"),
        (r#""result":"x""#, "its result is no object"),
    ] {
        for is_stream in [false, true] {
            let server = misbehaving(move |call| {
                let body = format!(r#"{{"jsonrpc":"2.0","id":2,{members}}}"#);
                if is_stream {
                    call.events()?;
                    return call.event(body);
                }
                call.reply(200, &[], "application/json", &body)
            });
            let said = complaint(&server, &[]);
            assert!(said.contains(words), "{said}");
        }
    }
}

#[test]
fn a_greeting_that_no_host_understands_is_an_error() {
    for result in [json!({}), json!({"protocolVersion": 1}), json!("hello")] {
        let server = WireServer::start(move |call| match call.what() {
            "initialize" => call.result(&result),
            _ => call.normal(),
        });
        let sandbox = Sandbox::new();
        let mut host = Host::start(&sandbox, &[&server.url()]);
        let id = host.hello();
        let answer = host.answer(&id);
        let said = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(said.contains(&server.host()) && said.contains("protocolVersion"), "{said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_cannot_be_written_is_said() {
    let (sandbox, server) = (Sandbox::new(), WireServer::normal());
    let mut command = sandbox.command(["mcp", &server.url()]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    command.stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    // The input stays open: it ends by itself.
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{ping}").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write the output"), "{said}");
    drop(input);
}

/// Calls of a server that gives another link of its own each time.
#[test]
fn a_server_opens_one_page_and_not_as_many_as_it_likes() {
    let server = misbehaving(|call| {
        let id = call.message()["id"].clone();
        let link = |at: usize| {
            let url = format!("http://{}/consent/{id}-{at}", call.header("host"));
            json!({"mode": "url", "elicitationId": format!("{id}-{at}"), "url": url, "message": "go"})
        };
        let links: Vec<Value> = (0..20).map(link).collect();
        let data = json!({"elicitations": links});
        let error = json!({"code": -32042, "message": "open it", "data": data});
        let body = json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string();
        call.reply(200, &[], "application/json", &body)
    });
    let sandbox = Sandbox::new();
    let mut host = Host::start(&sandbox, &[&server.url(), "--call-wait", "5s"]);
    let hello = host.hello_with(&json!({}));
    host.answer(&hello);
    let calls: Vec<Value> = (0..6).map(|_| host.ask("tools/call", &json!({"name": "t"}))).collect();
    for call in &calls {
        let answer = host.answer(call);
        assert_eq!(answer["error"]["code"], -32042, "{answer}");
    }
    assert_eq!(sandbox.opened_urls().len(), 1);
    // Once at first, and once more after three seconds at most.
    assert!(server.count("tools/call") <= 2 * calls.len());
    assert!(host.last_words().contains("/consent/"));
}

#[test]
fn what_comes_before_the_handshake_does_not_settle_how_a_host_speaks() {
    let (sandbox, server) = (Sandbox::new(), WireServer::normal());
    let mut host = Host::start(&sandbox, &[&server.url()]);
    assert_eq!(host.call("ping", &json!({}))["result"], json!({}));
    host.send(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9},
    }));
    assert_eq!(host.initialize()["result"]["serverInfo"]["name"], "scripted");
    assert!(host.call("tools/list", &json!({}))["result"]["tools"].is_array());
    assert_eq!(server.count("initialize"), 1);
    // A host that lists first, and shakes hands then.
    let mut host = Host::start(&sandbox, &[&server.url()]);
    assert!(host.call("tools/list", &json!({}))["result"]["tools"].is_array());
    assert_eq!(host.initialize()["result"]["serverInfo"]["name"], "scripted");
    assert_eq!(host.call("tools/list", &json!({}))["result"]["resultType"], Value::Null);
}

#[test]
fn a_host_is_greeted_although_the_server_says_nothing() {
    let latch = Latch::default();
    let held = latch.clone();
    let server = WireServer::start(move |call| {
        if matches!(call.what(), "initialize" | "server/discover") {
            held.wait();
        }
        call.normal()
    });
    let sandbox = Sandbox::new();
    let mut host = Host::start(&sandbox, &[&server.url()]);
    let hello = host.hello();
    // Whether anybody is there is known meanwhile.
    assert_eq!(host.call("ping", &json!({}))["result"], json!({}));
    assert!(host.asides.is_empty(), "{:?}", host.asides);
    assert_eq!(host.answer(&hello)["result"]["serverInfo"]["name"], server.host());
    host.notify("notifications/initialized");
    let list = host.ask("tools/list", &json!({}));
    latch.open();
    assert_eq!(host.answer(&list)["result"]["tools"][0]["name"], "t");
    host.receive("a change", |it| it["method"] == "notifications/tools/list_changed");
}

#[test]
fn a_stuck_server_stops_neither_other_calls_nor_the_end() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let sandbox = Sandbox::new();
        let server = WireServer::start(|call| match call.what() {
            "GET" | "tools/call" => {
                call.events()?;
                call.stay()
            }
            "prompts/get" => call.stay(),
            _ => call.normal(),
        });
        let mut host = Host::met(&sandbox, &[&server.url()]);
        for _ in 0..10 {
            host.ask("tools/call", &json!({"name": "t"}));
            host.ask("prompts/get", &json!({"name": "t"}));
        }
        for _ in 0..100 {
            assert!(host.call("ping", &json!({}))["result"].is_object());
        }
        host.signal(signal);
        assert_eq!(host.ended_within(Duration::from_secs(10)).code(), Some(0), "{signal:?}");
        assert_eq!(server.count("DELETE"), 1);
    }
}

#[test]
fn a_server_that_never_answers_at_all_does_not_keep_the_process() {
    for _ in 0..2 {
        let (sandbox, server) = (Sandbox::new(), WireServer::start(Call::stay));
        let mut host = Host::start(&sandbox, &[&server.url()]);
        host.hello();
        host.notify("notifications/initialized");
        host.signal(Signal::TERM);
        // Either before its handler stands, or in order.
        let status = host.ended_within(Duration::from_secs(10));
        assert!(status.code() == Some(0) || !status.success(), "{status}");
        let mut host = Host::start(&sandbox, &[&server.url()]);
        host.hello();
        assert_eq!(host.end().code(), Some(0));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_host_that_does_not_read_costs_little_memory_and_stops_nothing() {
    // Asked to end, and left alone.
    for is_asked in [true, false] {
        deaf(is_asked);
    }
}

#[cfg(target_os = "linux")]
fn deaf(is_asked: bool) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let (sandbox, sent) = (Sandbox::new(), Arc::new(AtomicU64::new(0)));
    let counted = sent.clone();
    let begun = Latch::default();
    let go = begun.clone();
    let server = WireServer::start(move |call| match call.what() {
        "GET" | "tools/call" => {
            let line = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x".repeat(60_000)}});
            let event = format!("data: {line}\n\n");
            call.events()?;
            go.wait();
            loop {
                call.raw(&event)?;
                counted.fetch_add(event.len() as u64, Ordering::SeqCst);
            }
        }
        _ => call.normal(),
    });
    let mut host = Host::deaf(&sandbox, &[&server.url()]);
    host.hello();
    host.notify("notifications/initialized");
    host.ask("tools/call", &json!({"name": "t"}));
    server.wait_for("GET", 1);
    server.wait_for("tools/call", 1);
    begun.open();
    // The server can send no more: everything between it and the host is full.
    let mut last = (0, 0);
    eventually("a stop", || {
        std::thread::sleep(Duration::from_millis(100));
        let now = sent.load(Ordering::SeqCst);
        last = if now > 0 && now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        (last.1 == 10).then_some(())
    });
    assert!(host.memory() < 60, "{} MiB", host.memory());
    // What the host says still goes to the server.
    host.notify("notifications/roots/list_changed");
    server.wait_for("notifications/roots/list_changed", 1);
    if is_asked {
        host.signal(Signal::TERM);
    } else {
        host.leave();
    }
    assert_eq!(host.child_ended(Duration::from_secs(10)).code(), Some(0));
    assert_eq!(server.count("DELETE"), 1);
}

#[test]
fn a_host_that_closes_its_end_of_stdout_ends_the_session() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "GET" => {
            call.events()?;
            loop {
                call.event(json!({"jsonrpc": "2.0", "method": "notifications/x"}))?;
                std::thread::yield_now();
            }
        }
        _ => call.normal(),
    });
    let mut host = Host::deaf(&sandbox, &[&server.url()]);
    host.hello();
    host.notify("notifications/initialized");
    drop(host.child.stdout.take());
    assert_eq!(host.child_ended(Duration::from_secs(20)).code(), Some(0));
}

#[test]
fn calls_of_a_host_that_sends_many_take_turns() {
    const AT_ONCE: usize = 256;
    let (sandbox, latch) = (Sandbox::new(), Latch::default());
    let held = latch.clone();
    let server = misbehaving(move |call| {
        held.wait();
        call.normal()
    });
    let mut host = Host::met(&sandbox, &[&server.url()]);
    let call = json!({"name": "t"});
    let ids: Vec<Value> = (0..AT_ONCE + 50).map(|_| host.ask("tools/call", &call)).collect();
    server.wait_for("tools/call", AT_ONCE);
    // It was read after all of them, and waits for none.
    assert!(host.call("ping", &json!({}))["result"].is_object());
    assert_eq!(server.count("tools/call"), AT_ONCE);
    // One that waits can be cancelled like any other.
    let last = ids.last().unwrap();
    host.send(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": last}
    }));
    server.wait_for("notifications/cancelled", 1);
    latch.open();
    for id in &ids[..ids.len() - 1] {
        assert!(host.answer(id)["result"].is_object());
    }
    assert_eq!(server.count("tools/call"), ids.len() - 1);
    assert_eq!(host.end().code(), Some(0));
}
