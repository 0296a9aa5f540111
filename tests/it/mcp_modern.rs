//! `authctl mcp` between a host and a server of 2026-07-28, where messages pass as they are and headers repeat
//! them; and how the era of a server is found out, remembered, and found out again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp_host::Host;
use crate::support::mcp_wire::{Latch, WireServer};
use crate::support::modern::{self, fail, meta, modern, with_meta};
use crate::support::sandbox::Sandbox;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

fn annotated(name: &str, header: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": header},
    }}})
}

fn start(sandbox: &Sandbox, server: &WireServer) -> Host {
    Host::start(sandbox, &[&server.url()])
}

#[test]
fn messages_pass_as_they_are_and_headers_repeat_them() {
    let sandbox = Sandbox::new();
    let response = r#"{"id":"\u0061", "result" : {"content":[],"n":1.50,"resultType":"complete"},"jsonrpc":"2.0"}"#;
    let server = WireServer::start(move |call| match call.what() {
        "prompts/get" => call.reply(200, &[], "application/json", response),
        _ => modern::normal(call),
    });
    let request = format!(
        r#"{{ "method":"prompts/get","id":"a", "params":{{"name":"caf\u00e9","big":12345678901234567890123,"_meta":{{"{VERSION}":"2027-01-01"}}}},"jsonrpc":"2.0"}}"#
    );
    let output = sandbox.run_with_input(["mcp", &server.url()], &format!("{request}\n"));
    assert_eq!(output.success(), format!("{response}\n"));
    let seen = &server.all("prompts/get")[0];
    assert_eq!(String::from_utf8_lossy(&seen.request.body), request);
    assert_eq!(seen.header("mcp-protocol-version"), Some("2027-01-01"));
    assert_eq!(seen.header("mcp-method"), Some("prompts/get"));
    assert_eq!(seen.header("mcp-name"), Some("=?base64?Y2Fmw6k=?="));
    assert_eq!(seen.header("mcp-session-id"), None);
}

#[test]
fn every_request_has_the_headers_of_its_method() {
    let (sandbox, server) = (Sandbox::new(), modern());
    let mut host = start(&sandbox, &server);
    for (method, params, name) in [
        ("tools/list", json!({}), None),
        ("tools/call", json!({"name": "plain", "arguments": {}}), Some("plain")),
        ("resources/read", json!({"uri": "file:///a b"}), Some("file:///a b")),
        ("completion/complete", json!({"name": "no"}), None),
    ] {
        host.call(method, &with_meta(&params));
        let seen = server.all(method).pop().unwrap();
        assert_eq!(seen.header("mcp-method"), Some(method));
        assert_eq!(seen.header("mcp-name"), name);
        assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"));
    }
}

#[test]
fn annotated_arguments_go_into_headers_and_tools_with_bad_annotations_away() {
    let sandbox = Sandbox::new();
    let good = r#"{"name":"good","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region","n":1.0}}}}"#;
    let server = WireServer::start(move |call| match call.what() {
        "tools/list" => {
            let bad = annotated("bad", "no token");
            let id = &call.message()["id"];
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"z":1,"tools":[{bad},{good}],"a":2}}}}"#
            );
            call.reply(200, &[], "application/json", &text)
        }
        _ => modern::normal(call),
    });
    let line = |id: u8, method: &str, params: &Value| {
        let params = with_meta(params);
        format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    };
    let list = line(1, "tools/list", &json!({}));
    let listed = sandbox.run_with_input(["mcp", &server.url()], &list).success();
    let expected =
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"z":1,"tools":[{good}],"a":2}}}}"#);
    assert_eq!(listed.trim_end(), expected);

    let mut host = start(&sandbox, &server);
    host.call("tools/list", &meta());
    let lists = server.count("tools/list");
    for (arguments, header) in [
        (json!({"region": "us-west1", "query": "x"}), Some("us-west1")),
        (json!({"region": " é "}), Some("=?base64?IMOpIA==?=")),
        (json!({"region": null}), None),
        (json!({}), None),
    ] {
        host.call("tools/call", &with_meta(&json!({"name": "good", "arguments": arguments})));
        let seen = server.all("tools/call").pop().unwrap();
        assert_eq!(seen.header("mcp-param-region"), header, "{arguments}");
    }
    assert_eq!(server.count("tools/list"), lists);
}

#[test]
fn a_tool_that_nobody_listed_is_looked_up_once() {
    let (sandbox, latch) = (Sandbox::new(), Latch::default());
    let held = latch.clone();
    let server = WireServer::start(move |call| match call.what() {
        "tools/list" if call.message()["params"]["cursor"] == "2" => {
            held.wait();
            call.result(&json!({"tools": [annotated("t", "Region")]}))
        }
        "tools/list" => call.result(&json!({"tools": [], "nextCursor": "2"})),
        _ => modern::normal(call),
    });
    let mut host = start(&sandbox, &server);
    let call = with_meta(&json!({"name": "t", "arguments": {"region": "x"}}));
    let calls = [host.ask("tools/call", &call), host.ask("tools/call", &call)];
    server.wait_for("tools/list", 2);
    latch.open();
    for id in &calls {
        assert!(host.answer(id)["result"].is_object());
    }
    // One that the list does not have needs no other look.
    host.call("tools/call", &with_meta(&json!({"name": "unlisted"})));
    let seen = server.all("tools/call");
    let headers: Vec<_> = seen.iter().map(|seen| seen.header("mcp-param-region")).collect();
    assert_eq!(headers, [Some("x"), Some("x"), None]);
    let lists = server.all("tools/list");
    assert_eq!(lists.len(), 2);
    assert_eq!(lists[0].message["params"]["_meta"], call["_meta"]);
}

#[test]
fn a_stale_list_is_read_again_when_a_header_is_missed() {
    let (sandbox, is_new) = (Sandbox::new(), Arc::new(AtomicBool::new(false)));
    let renewed = is_new.clone();
    let server = WireServer::start(move |call| match call.what() {
        "tools/list" => {
            let header = if renewed.load(Ordering::SeqCst) { "Zone" } else { "Region" };
            call.result(&json!({"tools": [annotated("t", header)]}))
        }
        "tools/call" if call.header("mcp-param-zone") != "x" => {
            fail(call, 400, -32020, &json!(null))
        }
        _ => modern::normal(call),
    });
    let mut host = start(&sandbox, &server);
    host.call("tools/list", &meta());
    is_new.store(true, Ordering::SeqCst);
    let call = with_meta(&json!({"name": "t", "arguments": {"region": "x"}}));
    assert!(host.call("tools/call", &call)["result"].is_object());
    let seen = server.all("tools/call");
    assert_eq!(seen[0].header("mcp-param-region"), Some("x"));
    assert_eq!(seen[1].header("mcp-param-zone"), Some("x"));
    assert_eq!(server.count("tools/list"), 2);
    // What a second look does not mend is the host's to know.
    let call = with_meta(&json!({"name": "t", "arguments": {"region": "y"}}));
    assert_eq!(host.call("tools/call", &call)["error"]["code"], -32020);
    assert_eq!(server.count("tools/call"), 4);
}

#[test]
fn cancelling_closes_the_stream_and_nothing_else() {
    let (sandbox, closed) = (Sandbox::new(), Latch::default());
    let seen_closed = closed.clone();
    let server = WireServer::start(move |call| match call.what() {
        "prompts/get" => {
            call.events()?;
            call.event(json!({"jsonrpc": "2.0", "method": "notifications/progress"}))?;
            call.stay()?;
            seen_closed.open();
            Ok(())
        }
        _ => modern::normal(call),
    });
    let mut host = start(&sandbox, &server);
    let slow = host.ask("prompts/get", &with_meta(&json!({"name": "p"})));
    host.receive("progress", |message| message["method"] == "notifications/progress");
    // Other requests do not wait for it.
    assert!(host.call("tools/list", &meta())["result"].is_object());
    let params = json!({"requestId": slow});
    host.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    closed.wait();
    assert!(closed.is_open());
    assert_eq!(host.end().code(), Some(0));
    assert_eq!(server.count("notifications/cancelled"), 0);
    assert!(host.asides.iter().all(|message| message["id"] != slow), "{:?}", host.asides);
}

#[test]
fn a_subscription_lives_until_the_host_has_enough() {
    let (sandbox, closed) = (Sandbox::new(), Latch::default());
    let seen_closed = closed.clone();
    let server = WireServer::start(move |call| match call.what() {
        "subscriptions/listen" => {
            modern::acknowledge(call)?;
            modern::change(call, "notifications/tools/list_changed", &json!({}))?;
            call.stay()?;
            seen_closed.open();
            Ok(())
        }
        _ => modern::normal(call),
    });
    let mut host = start(&sandbox, &server);
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let id = host.ask("subscriptions/listen", &with_meta(&wanted));
    for method in ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed"] {
        let message = host.receive(method, |message| message["method"] == method);
        assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id);
    }
    let params = json!({"requestId": id});
    host.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    closed.wait();
    assert!(closed.is_open());
}

#[test]
fn nothing_may_happen_on_a_subscription_for_as_long_as_it_likes() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "subscriptions/listen" => {
            modern::acknowledge(call)?;
            // Longer than a request may be left without a word: what is tested is that it passes.
            std::thread::sleep(Duration::from_millis(1_500));
            modern::change(call, "notifications/tools/list_changed", &json!({}))?;
            call.stay()
        }
        _ => modern::normal(call),
    });
    let mut host = Host::start(&sandbox, &["--answer-wait", "1s", &server.url()]);
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    host.ask("subscriptions/listen", &with_meta(&wanted));
    let method = "notifications/tools/list_changed";
    host.receive("a late change", |message| message["method"] == method);
    assert!(host.asides.iter().all(|message| message["error"].is_null()), "{:?}", host.asides);
}

#[test]
fn a_server_that_cannot_be_asked_for_its_era_shows_it_when_it_refuses_a_handshake() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "server/discover" => fail(call, 404, -32601, &json!(null)),
        "initialize" => fail(call, 400, -32020, &json!(null)),
        _ => modern::normal(call),
    });
    let mut host = start(&sandbox, &server);
    assert!(host.call("tools/list", &meta())["result"].is_object());
}

#[test]
fn a_request_of_the_server_is_answered_and_not_forwarded() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "tools/call" => {
            call.events()?;
            call.event(json!({
                "jsonrpc": "2.0", "id": "s1", "method": "roots/list", "params": {},
            }))?;
            let id = call.message()["id"].clone();
            let result = json!({"resultType": "complete", "content": []});
            call.event(json!({"jsonrpc": "2.0", "id": id, "result": result}))
        }
        _ => modern::normal(call),
    });
    let mut host = start(&sandbox, &server);
    let answer = host.call("tools/call", &with_meta(&json!({"name": "t"})));
    assert_eq!(answer["result"]["content"], json!([]));
    assert_eq!(host.asides, Vec::<Value>::new());
    let refused = server.wait_for("response", 1).remove(0).message;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("s1"), &json!(-32601)));
}

#[test]
fn a_server_of_an_unknown_revision_is_called_that() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "server/discover" => call.result(&json!({
            "resultType": "complete",
            "supportedVersions": ["2099-01-01"],
            "capabilities": {},
        })),
        _ => call.reply(400, &[], "text/plain", ""),
    });
    let mut host = Host::start(&sandbox, &[&server.url()]);
    let id = host.hello();
    let answer = host.answer(&id);
    let said = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(said.contains("2099-01-01") && said.contains(&server.host()), "{said}");
}

#[test]
fn a_stream_that_is_cut_is_an_error_for_its_request() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "prompts/get" => {
            call.events()?;
            call.raw("id: 7\ndata:\n\n")?;
            call.event(json!({"jsonrpc": "2.0", "method": "notifications/progress"}))
        }
        _ => modern::normal(call),
    });
    let mut host = start(&sandbox, &server);
    let answer = host.call("prompts/get", &with_meta(&json!({"name": "p"})));
    assert!(answer["error"]["message"].as_str().unwrap().contains("broke"), "{answer}");
    assert_eq!(server.count("prompts/get"), 1);
    assert_eq!(server.count("GET"), 0);
    assert!(host.call("tools/list", &meta())["result"].is_object());
}

#[test]
fn a_version_that_is_refused_and_named_is_tried_once_more() {
    let (sandbox, count) = (Sandbox::new(), AtomicUsize::new(0));
    let server = WireServer::start(move |call| match call.what() {
        "tools/list" if count.fetch_add(1, Ordering::SeqCst) % 3 == 0 => {
            fail(call, 400, -32022, &json!({"supported": ["2026-07-28"], "requested": "x"}))
        }
        "prompts/list" => fail(call, 400, -32022, &json!({"supported": ["2099-01-01"]})),
        "resources/list" => fail(call, 404, -32601, &json!(null)),
        _ => modern::normal(call),
    });
    let mut host = start(&sandbox, &server);
    assert!(host.call("tools/list", &meta())["result"].is_object());
    assert_eq!(server.count("tools/list"), 2);
    // What the host does not speak is the host's to know.
    let answer = host.call("prompts/list", &meta());
    assert_eq!(answer["error"]["data"]["supported"], json!(["2099-01-01"]));
    assert_eq!(server.count("prompts/list"), 1);
    assert_eq!(host.call("resources/list", &meta())["error"]["code"], -32601);
}

#[test]
fn a_hosts_own_question_for_the_era_is_the_only_one() {
    let (sandbox, count) = (Sandbox::new(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    let server = WireServer::start(move |call| {
        counted.fetch_add(usize::from(call.what() == "server/discover"), Ordering::SeqCst);
        modern::normal(call)
    });
    let mut host = start(&sandbox, &server);
    let answer = host.call("server/discover", &meta());
    assert_eq!(answer["result"], modern::discovered());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    host.call("server/discover", &meta());
    assert_eq!(count.load(Ordering::SeqCst), 2);
    host.end();
    // What is known is not asked: a host that begins with something else has it answered at once.
    let mut host = start(&sandbox, &server);
    host.call("tools/list", &meta());
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(server.count("initialize"), 0);
}

/// A server that is modern while `is_modern`, with a count of the questions for its era.
fn changing(is_modern: &Arc<AtomicBool>) -> (WireServer, Arc<AtomicUsize>) {
    let (now, count) = (is_modern.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    let server = WireServer::start(move |call| {
        counted.fetch_add(usize::from(call.what() == "server/discover"), Ordering::SeqCst);
        let is_modern = now.load(Ordering::SeqCst);
        match call.what() {
            "initialize" if is_modern => fail(call, 400, -32602, &json!(null)),
            _ if is_modern => modern::normal(call),
            "tools/list" if call.header("mcp-session-id").is_empty() => modern::no_session(call),
            _ => call.normal(),
        }
    });
    (server, count)
}

#[test]
fn the_era_of_a_server_is_asked_once_and_again_when_it_has_changed() {
    let is_modern = Arc::new(AtomicBool::new(false));
    let (sandbox, (server, asked)) = (Sandbox::new(), changing(&is_modern));
    let legacy_host = || {
        let mut host = Host::met(&sandbox, &[&server.url()]);
        assert!(host.call("tools/list", &json!({}))["result"]["tools"].is_array());
        host.end();
    };
    let modern_host = || {
        let mut host = start(&sandbox, &server);
        assert!(host.call("tools/list", &meta())["result"]["tools"].is_array());
        host.end();
    };
    legacy_host();
    assert_eq!(asked.swap(0, Ordering::SeqCst), 1);
    legacy_host();
    modern_host();
    assert_eq!(asked.swap(0, Ordering::SeqCst), 0);

    is_modern.store(true, Ordering::SeqCst);
    modern_host();
    assert_eq!(asked.swap(0, Ordering::SeqCst), 1);
    modern_host();
    assert_eq!(asked.swap(0, Ordering::SeqCst), 0);
    legacy_host();

    is_modern.store(false, Ordering::SeqCst);
    asked.store(0, Ordering::SeqCst);
    modern_host();
    assert_eq!(asked.swap(0, Ordering::SeqCst), 1);
    legacy_host();
    assert_eq!(asked.swap(0, Ordering::SeqCst), 0);
    is_modern.store(true, Ordering::SeqCst);
    legacy_host();
    is_modern.store(false, Ordering::SeqCst);
    legacy_host();
}

#[test]
fn a_server_that_changes_its_era_in_a_session_is_spoken_to_anew() {
    for becomes_modern in [false, true] {
        let is_modern = Arc::new(AtomicBool::new(!becomes_modern));
        let now = is_modern.clone();
        let server = WireServer::start(move |call| {
            let is_modern = now.load(Ordering::SeqCst);
            match call.what() {
                "initialize" if is_modern => fail(call, 400, -32602, &json!(null)),
                "tools/list" if is_modern && call.header("mcp-method").is_empty() => {
                    fail(call, 400, -32020, &json!(null))
                }
                _ if is_modern => modern::normal(call),
                "tools/list" if call.header("mcp-session-id").is_empty() => {
                    modern::no_session(call)
                }
                _ => call.normal(),
            }
        });
        let sandbox = Sandbox::new();
        let mut legacy = Host::met(&sandbox, &[&server.url()]);
        let mut modern = start(&sandbox, &server);
        let lists = |legacy: &mut Host, modern: &mut Host| {
            for _ in 0..2 {
                let answer = legacy.call("tools/list", &json!({}));
                assert!(answer["result"]["tools"].is_array(), "{becomes_modern}: {answer}");
                let answer = modern.call("tools/list", &meta());
                assert!(answer["result"]["tools"].is_array(), "{becomes_modern}: {answer}");
            }
        };
        lists(&mut legacy, &mut modern);
        is_modern.store(becomes_modern, Ordering::SeqCst);
        lists(&mut legacy, &mut modern);
    }
}

#[test]
fn what_is_remembered_tells_nobody_the_address() {
    let (sandbox, server) = (Sandbox::new(), modern());
    let url = format!("{}?key=geheim", server.url());
    let mut host = Host::start(&sandbox, &[&url]);
    host.call("tools/list", &meta());
    host.end();
    let kept: Vec<_> = sandbox
        .files()
        .into_iter()
        .filter(|it| it.to_string_lossy().contains("mcp-servers"))
        .collect();
    assert_eq!(kept.len(), 1);
    let text = std::fs::read_to_string(&kept[0]).unwrap();
    assert!(text.contains("2026-07-28") && !text.contains("geheim"), "{text}");
}

#[test]
fn a_refusal_says_nothing_of_the_era() {
    let (sandbox, is_open) = (Sandbox::new(), Arc::new(AtomicBool::new(false)));
    let (opened, refused) = (is_open.clone(), Latch::default());
    let seen = refused.clone();
    let server = WireServer::start(move |call| {
        if opened.load(Ordering::SeqCst) {
            return modern::normal(call);
        }
        call.reply(401, &[], "text/plain", "")?;
        seen.open();
        Ok(())
    });
    let mut host = start(&sandbox, &server);
    host.ask("server/discover", &meta());
    refused.wait();
    host.end();
    assert_eq!(server.count("initialize"), 0);
    is_open.store(true, Ordering::SeqCst);
    let mut host = start(&sandbox, &server);
    assert_eq!(host.call("server/discover", &meta())["result"], modern::discovered());
}

#[test]
fn an_old_server_that_is_silent_about_the_question_is_one_with_a_handshake() {
    let sandbox = Sandbox::new();
    for answer in
        [(500, "text/plain", "oops"), (200, "text/html", "<p>hello"), (404, "text/plain", "")]
    {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let server = WireServer::start(move |call| match call.what() {
            "server/discover" => {
                counted.fetch_add(1, Ordering::SeqCst);
                call.reply(answer.0, &[], answer.1, answer.2)
            }
            _ => call.normal(),
        });
        for _ in 0..2 {
            let mut host = Host::met(&sandbox, &[&server.url()]);
            assert!(host.call("tools/list", &json!({}))["result"].is_object());
            host.end();
        }
        // What it said in trouble says nothing of the next time.
        let times = if answer.0 == 404 { 1 } else { 2 };
        assert_eq!(asked.load(Ordering::SeqCst), times, "{answer:?}");
    }
}
