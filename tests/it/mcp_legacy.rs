//! `authctl mcp` between a host and a server of the legacy era: sessions, streams that are cut and resumed, and
//! the transport before it, HTTP+SSE.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp_host::Host;
use crate::support::mcp_wire::{Call, Latch, WireServer, greeting, no_session};
use crate::support::sandbox::Sandbox;

fn met(sandbox: &Sandbox, server: &WireServer) -> Host {
    Host::met(sandbox, &[&server.url()])
}

fn notification(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": method})
}

fn is(method: &str) -> impl Fn(&Value) -> bool {
    move |message| message["method"] == method
}

#[test]
fn a_session_is_named_in_every_request_and_ended() {
    let (sandbox, server) = (Sandbox::new(), WireServer::normal());
    let mut host = met(&sandbox, &server);
    assert_eq!(host.call("tools/list", &json!({}))["result"]["tools"][0]["name"], "t");
    host.notify("notifications/roots/list_changed");
    server.wait_for("notifications/roots/list_changed", 1);
    assert_eq!(host.end().code(), Some(0));
    assert_eq!(server.count("DELETE"), 1);
    let seen = server.seen();
    assert_eq!(seen[0].what(), "initialize");
    assert_eq!(
        (seen[0].header("mcp-session-id"), seen[0].header("mcp-protocol-version")),
        (None, None)
    );
    assert_eq!(seen[1].what(), "notifications/initialized");
    for later in &seen[1..] {
        assert_eq!(later.header("mcp-session-id"), Some("s1"), "{}", later.what());
        assert_eq!(later.header("mcp-protocol-version"), Some("2025-06-18"), "{}", later.what());
    }
    assert_eq!(host.asides, Vec::<Value>::new());
}

#[test]
fn a_server_without_sessions_gets_no_session() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "initialize" => call.result(&greeting()),
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    host.call("tools/list", &json!({}));
    assert_eq!(host.end().code(), Some(0));
    assert!(server.seen().iter().all(|seen| seen.header("mcp-session-id").is_none()));
    assert_eq!(server.count("DELETE"), 0);
}

#[test]
fn requests_wait_until_the_server_knows_that_it_is_initialized() {
    let (sandbox, latch) = (Sandbox::new(), Latch::default());
    let held = latch.clone();
    let server = WireServer::start(move |call| {
        if call.what() == "notifications/initialized" {
            held.wait();
        }
        call.normal()
    });
    let mut host = met(&sandbox, &server);
    server.wait_for("notifications/initialized", 1);
    let list = host.ask("tools/list", &json!({}));
    // Nothing else waits for it.
    host.call("ping", &json!({}));
    assert_eq!(server.count("tools/list"), 0);
    latch.open();
    assert!(host.answer(&list)["result"].is_object());
}

#[test]
fn a_host_that_never_says_it_is_initialized_is_spoken_for() {
    let (sandbox, server) = (Sandbox::new(), WireServer::normal());
    let mut host = Host::start(&sandbox, &[&server.url()]);
    let hello = host.hello();
    host.answer(&hello);
    assert!(host.call("tools/list", &json!({}))["result"].is_object());
    let order: Vec<_> = server.seen().iter().map(|seen| seen.what().to_owned()).collect();
    assert_eq!(order[..2], ["initialize", "notifications/initialized"]);
}

/// A server with a stream of its own, which says what the sender is given.
fn speaking(
    further: impl Fn(&mut Call) -> std::io::Result<bool> + Send + Sync + 'static,
) -> (WireServer, std::sync::mpsc::Sender<String>) {
    let (say, sayings) = channel();
    let sayings: Mutex<Receiver<String>> = Mutex::new(sayings);
    let server = WireServer::start(move |call| {
        if call.what() != "GET" {
            return if further(call)? { Ok(()) } else { call.normal() };
        }
        call.events()?;
        while let Ok(saying) = sayings.lock().unwrap().recv() {
            call.raw(saying)?;
        }
        Ok(())
    });
    (server, say)
}

#[test]
fn what_a_server_says_by_itself_reaches_the_host_and_is_answered() {
    let (sandbox, latch) = (Sandbox::new(), Latch::default());
    let held = latch.clone();
    let (server, say) = speaking(move |call| {
        if call.what() == "tools/call" {
            held.wait();
        }
        Ok(false)
    });
    let mut host = met(&sandbox, &server);
    let stream = server.wait_for("GET", 1).remove(0);
    assert_eq!(stream.header("accept"), Some("text/event-stream"));
    assert_eq!(stream.header("mcp-session-id"), Some("s1"));
    say.send(format!(": hi\n\ndata: {}\n\n", notification("notifications/tools/list_changed")))
        .unwrap();
    host.receive("list_changed", is("notifications/tools/list_changed"));

    // A request of the server under the id of one of the host that is still open.
    let call = host.ask("tools/call", &json!({"name": "t", "arguments": {"a": 1}}));
    let roots = json!({"jsonrpc": "2.0", "id": call, "method": "roots/list"});
    say.send(format!("data: {roots}\n\n")).unwrap();
    let asked = host.receive("roots/list", is("roots/list"));
    host.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": []}}));
    let posted = server.wait_for("response", 1).remove(0);
    assert_eq!(posted.message, json!({"jsonrpc": "2.0", "id": call, "result": {"roots": []}}));
    latch.open();
    assert_eq!(host.answer(&call)["result"]["content"][0]["text"], r#"{"a":1}"#);
}

/// The official SDK drops what a server asks while nobody listens.
#[test]
fn what_a_server_may_ask_about_waits_for_its_stream() {
    let (sandbox, latch) = (Sandbox::new(), Latch::default());
    let (held, listens) = (latch.clone(), latch.clone());
    let server = WireServer::start(move |call| match call.what() {
        "GET" => {
            held.wait();
            call.events()?;
            call.stay()
        }
        "tools/call" => call.result(&json!({"content": [], "isError": !listens.is_open()})),
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    let call = host.ask("tools/call", &json!({"name": "t"}));
    // Lists are not asked about.
    assert!(host.call("tools/list", &json!({}))["result"].is_object());
    latch.open();
    assert_eq!(host.answer(&call)["result"]["isError"], false);
}

#[test]
fn a_server_that_says_nothing_of_its_stream_gets_calls_all_the_same() {
    let (sandbox, latch) = (Sandbox::new(), Latch::default());
    let held = latch.clone();
    let server = WireServer::start(move |call| {
        if call.what() == "GET" {
            held.wait();
        }
        call.normal()
    });
    let mut host = met(&sandbox, &server);
    assert!(host.call("tools/call", &json!({"name": "t"}))["result"].is_object());
    assert!(!latch.is_open());
    latch.open();
}

#[test]
fn a_server_without_a_stream_is_asked_for_it_once() {
    for status in [404, 405, 400] {
        let sandbox = Sandbox::new();
        let server = WireServer::start(move |call| match call.what() {
            "GET" => call.reply(status, &[], "text/plain", ""),
            _ => call.normal(),
        });
        let mut host = met(&sandbox, &server);
        server.wait_for("GET", 1);
        for _ in 0..5 {
            assert!(host.call("tools/list", &json!({}))["result"].is_object());
        }
        assert_eq!(host.end().code(), Some(0));
        assert_eq!(server.count("GET"), 1, "{status}");
    }
}

#[test]
fn a_stream_that_is_cut_is_come_back_to_where_it_was() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match (call.what(), call.header("last-event-id")) {
        ("GET", "") => {
            call.events()?;
            let first = notification("notifications/first");
            // The second event is cut: it has not been seen.
            call.raw(format!("retry: 300\nid: e1\ndata: {first}\n\nid: e2\ndata: {first}\n"))
        }
        ("GET", "e1") => {
            call.events()?;
            call.event(notification("notifications/second"))?;
            call.stay()
        }
        ("GET", _) => call.reply(500, &[], "text/plain", ""),
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    host.receive("the first", is("notifications/first"));
    host.receive("the second", is("notifications/second"));
    let streams = server.all("GET");
    assert!(streams[1].at - streams[0].at >= Duration::from_millis(300));
    assert_eq!(host.end().code(), Some(0));
    assert_eq!(host.asides, Vec::<Value>::new());
}

#[test]
fn an_answer_that_is_cut_is_come_back_for_and_the_request_is_not_sent_again() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match (call.what(), call.header("last-event-id")) {
        ("tools/call", _) => {
            call.events()?;
            call.raw("id: p1\nretry: 200\ndata:\n\n")
        }
        // Once more: the server may close as often as it likes while it works.
        ("GET", "p1") => {
            call.events()?;
            call.raw(format!("id: p2\ndata: {}\n\n", notification("notifications/progress")))
        }
        ("GET", "p2") => {
            call.events()?;
            call.event(json!({"jsonrpc": "2.0", "id": 2, "result": {"content": []}}))
        }
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    let answer = host.call("tools/call", &json!({"name": "t"}));
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 2, "result": {"content": []}}));
    assert_eq!(host.asides, [notification("notifications/progress")]);
    let posts = server.all("tools/call");
    assert_eq!(posts.len(), 1);
    let resumed: Vec<_> =
        server.all("GET").into_iter().filter(|it| it.header("last-event-id").is_some()).collect();
    assert_eq!(resumed.len(), 2);
    assert!(resumed[0].at - posts[0].at >= Duration::from_millis(200));
}

#[test]
fn an_answer_that_is_lost_is_an_error_and_nothing_else_suffers() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match (call.what(), call.header("last-event-id")) {
        ("tools/call", _) if call.message()["params"]["name"] == "resumable" => {
            call.events()?;
            call.raw("id: p1\nretry: 10\ndata:\n\n")
        }
        ("tools/call", _) => {
            call.events()?;
            call.event(notification("notifications/progress"))
        }
        ("GET", "p1") => call.reply(404, &[], "text/plain", ""),
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    for name in ["resumable", "not"] {
        let answer = host.call("tools/call", &json!({"name": name}));
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(
            said.contains("broke before the response") && said.contains(&server.host()),
            "{said}"
        );
    }
    assert_eq!(server.count("tools/call"), 2);
    assert!(host.call("tools/list", &json!({}))["result"].is_object());
}

/// A server that forgets its first session when told to.
fn forgetful(status: u16, body: String) -> (WireServer, Latch, Sandbox) {
    let (forgets, sandbox) = (Latch::default(), Sandbox::new());
    let forgotten = forgets.clone();
    let server = WireServer::start(move |call| {
        if call.header("mcp-session-id") == "s1" && forgotten.is_open() {
            return call.reply(status, &[], "application/json", &body);
        }
        call.normal()
    });
    (server, forgets, sandbox)
}

#[test]
fn a_forgotten_session_is_begun_again_once_for_all() {
    let python = json!({"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": "Session not found"}});
    for (status, body) in [(404, String::new()), (404, python.to_string()), (400, no_session())] {
        let (server, forgets, sandbox) = forgetful(status, body);
        let mut host = met(&sandbox, &server);
        assert!(host.call("tools/list", &json!({}))["result"].is_object());
        forgets.open();
        let calls: Vec<_> =
            (0..8).map(|n| host.ask("tools/call", &json!({"arguments": n}))).collect();
        for (n, id) in calls.iter().enumerate() {
            assert_eq!(host.answer(id)["result"]["content"][0]["text"], n.to_string(), "{status}");
        }
        let hellos = server.all("initialize");
        assert_eq!(hellos.len(), 2, "{status}");
        assert_eq!(hellos[1].message, hellos[0].message);
        assert_eq!(hellos[1].header("mcp-session-id"), None);
        let told = server.all("notifications/initialized");
        assert_eq!(told.len(), 2);
        assert_eq!(
            (told[1].header("mcp-session-id"), &told[1].message),
            (Some("s2"), &told[0].message)
        );
        assert_eq!(host.end().code(), Some(0));
        assert_eq!(server.all("DELETE")[0].header("mcp-session-id"), Some("s2"));
        assert_eq!(host.asides, Vec::<Value>::new(), "the second greeting is not the host's");
    }
}

#[test]
fn a_server_that_forgets_every_session_is_not_asked_for_ever() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "tools/list" => call.reply(404, &[], "text/plain", ""),
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    for round in 1..3 {
        let answer = host.call("tools/list", &json!({}));
        assert!(answer["error"]["message"].as_str().unwrap().contains("forgotten"), "{answer}");
        assert_eq!(server.count("initialize"), 1 + round);
        assert_eq!(server.count("tools/list"), 2 * round);
    }
    assert!(host.call("ping", &json!({}))["result"].is_object());
}

#[test]
fn an_error_under_404_that_a_new_session_does_not_mend_is_the_answer() {
    let (sandbox, forgets) = (Sandbox::new(), Latch::default());
    let forgetting = forgets.clone();
    let server = WireServer::start(move |call| match call.what() {
        "tools/call" if call.header("mcp-session-id") == "s1" || forgetting.is_open() => {
            let error = json!({"code": -32602, "message": "Unknown tool", "data": 1});
            let body = json!({"jsonrpc": "2.0", "id": call.message()["id"], "error": error});
            call.reply(404, &[], "application/json", &body.to_string())
        }
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    assert!(host.call("tools/call", &json!({"arguments": 1}))["result"].is_object());
    forgets.open();
    for round in 1..3 {
        let answer = host.call("tools/call", &json!({}));
        let error = json!({"code": -32602, "message": "Unknown tool", "data": 1});
        assert_eq!(answer["error"], error, "{answer}");
        assert_eq!(server.count("initialize"), 2 + round);
        assert_eq!(server.count("tools/call"), 2 + 2 * round);
    }
    assert!(host.call("tools/list", &json!({}))["result"].is_object());
    assert_eq!(server.count("initialize"), 4);
}

#[test]
fn a_method_that_a_server_does_not_know_is_not_a_forgotten_session() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "resources/list" => {
            let error = json!({"code": -32601, "message": "Method not found"});
            let body = json!({"jsonrpc": "2.0", "id": call.message()["id"], "error": error});
            call.reply(404, &[], "application/json", &body.to_string())
        }
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    assert_eq!(host.call("resources/list", &json!({}))["error"]["code"], -32601);
    assert_eq!(server.count("initialize"), 1);
}

#[test]
fn an_end_that_the_server_does_not_allow_is_an_end() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "DELETE" => call.reply(405, &[], "text/plain", ""),
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    assert_eq!(host.end().code(), Some(0));
    assert_eq!(server.count("DELETE"), 1);
}

#[test]
fn a_response_may_come_on_the_servers_own_stream() {
    let sandbox = Sandbox::new();
    let (server, say) = speaking(|call| {
        let is_call = call.what() == "tools/call";
        if is_call {
            call.reply(202, &[], "text/plain", "Accepted")?;
        }
        Ok(is_call)
    });
    let mut host = met(&sandbox, &server);
    server.wait_for("GET", 1);
    let id = host.ask("tools/call", &json!({"name": "t"}));
    server.wait_for("tools/call", 1);
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": {"content": []}});
    say.send(format!("data: {answer}\n\ndata: {answer}\n\n")).unwrap();
    assert_eq!(host.answer(&id), answer);
    // A second response to the same request is nobody's.
    say.send(format!("data: {}\n\n", notification("notifications/after"))).unwrap();
    host.receive("what came after", is("notifications/after"));
    assert_eq!(host.asides, Vec::<Value>::new());
}

#[test]
fn a_request_that_is_accepted_where_nothing_can_answer_is_an_error() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "tools/call" => call.reply(202, &[], "text/plain", ""),
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    server.wait_for("GET", 1);
    let answer = host.call("tools/call", &json!({"name": "t"}));
    assert!(answer["error"]["message"].is_string(), "{answer}");
}

#[test]
fn batches_of_a_server_and_answers_that_come_twice() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| {
        let answer = |call: &Call| call.response(&json!({"content": []}));
        match (call.what(), call.message()["params"]["name"].as_str()) {
            ("tools/call", Some("batch")) => {
                let body = format!("[{},\n{}]", notification("notifications/a"), answer(call));
                call.reply(200, &[], "application/json", &body)
            }
            ("tools/call", Some("events")) => {
                call.events()?;
                let both = answer(call);
                call.event(format!("[{},{both}]", notification("notifications/b")))?;
                call.event(&both)
            }
            ("tools/call", _) => {
                let both = answer(call);
                call.reply(200, &[], "application/json", &format!("[{both},{both}]"))
            }
            _ => call.normal(),
        }
    });
    let mut host = met(&sandbox, &server);
    for name in ["batch", "events", "twice"] {
        assert!(host.call("tools/call", &json!({"name": name}))["result"].is_object());
    }
    assert_eq!(host.end().code(), Some(0));
    assert_eq!(host.asides, [notification("notifications/a"), notification("notifications/b")]);
}

#[test]
fn ids_are_what_the_host_says_they_are() {
    let (sandbox, server) = (Sandbox::new(), WireServer::normal());
    let mut host = met(&sandbox, &server);
    for id in [
        json!("a"),
        json!("7"),
        json!(""),
        json!("ü\n\"\u{0}"),
        json!(0),
        json!(-7),
        json!(1.5),
        json!(u64::MAX),
    ] {
        host.send(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}));
        let answer = host.receive("an answer", |message| message.get("method").is_none());
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": id, "result": {}}));
    }
}

#[test]
fn a_cancelled_request_is_cancelled_on_the_wire_and_never_answered() {
    let (sandbox, closed) = (Sandbox::new(), std::sync::Arc::new(AtomicBool::new(false)));
    let is_closed = closed.clone();
    let server = WireServer::start(move |call| match call.what() {
        "tools/call" => {
            call.events()?;
            call.stay()?;
            is_closed.store(true, Ordering::SeqCst);
            Ok(())
        }
        _ => call.normal(),
    });
    let mut host = met(&sandbox, &server);
    let id = host.ask("tools/call", &json!({"name": "t"}));
    server.wait_for("tools/call", 1);
    let params = json!({"requestId": id});
    host.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    server.wait_for("notifications/cancelled", 1);
    crate::support::eventually("the end of the stream", || {
        closed.load(Ordering::SeqCst).then_some(())
    });
    assert!(host.call("ping", &json!({}))["result"].is_object());
    assert_eq!(host.end().code(), Some(0));
    assert_eq!(host.asides, Vec::<Value>::new());
}

// ------------------------------------------------------------------------------------------------ HTTP+SSE

/// A server of 2024-11-05 at `/mcp`, as the gateway of the seed is: posts are answered with 202 and the response
/// in the body *and* on the stream. `endpoint` names the place for posts, by the number of the stream.
fn http_sse(
    endpoint: impl Fn(&str, usize) -> String + Send + Sync + 'static,
    in_body: bool,
) -> (WireServer, std::sync::Arc<Streams>) {
    let streams = std::sync::Arc::new(Streams::default());
    let all = streams.clone();
    let server =
        WireServer::start(move |call| match (call.what().to_owned().as_str(), call.path()) {
            ("GET", "/mcp") => {
                call.events()?;
                let mut open = all.open.lock().unwrap();
                let number = all.count.fetch_add(1, Ordering::SeqCst) + 1;
                let host = call.header("host").to_owned();
                call.raw(format!("event: endpoint\r\ndata: {}\r\n\r\n", endpoint(&host, number)))?;
                *open = Some(call.stream.try_clone()?);
                drop(open);
                call.stay()
            }
            (_, "/mcp") if in_body => call.reply(405, &[], "text/plain", "Method not allowed\n"),
            // Others refuse in JSON-RPC.
            (_, "/mcp") => call.reply(400, &[], "application/json", &no_session()),
            (what, _) => {
                let number = all.count.load(Ordering::SeqCst);
                if !call.query().ends_with(&number.to_string()) {
                    return call.reply(400, &[], "text/plain", "Invalid session ID");
                }
                let result = match what {
                    "initialize" => greeting(),
                    "tools/list" => json!({"tools": []}),
                    _ if call.message()["id"].is_null() => {
                        return call.reply(202, &[], "text/plain", "");
                    }
                    _ => json!({}),
                };
                let response = call.response(&result);
                all.say(&format!("event: message\ndata: {response}\n\n"));
                call.reply(202, &[], "application/json", if in_body { &response } else { "" })
            }
        });
    (server, streams)
}

#[derive(Default)]
struct Streams {
    open: Mutex<Option<std::net::TcpStream>>,
    count: AtomicUsize,
}

impl Streams {
    fn say(&self, event: &str) {
        if let Some(stream) = &mut *self.open.lock().unwrap() {
            let _ = stream.write_all(event.as_bytes());
        }
    }

    /// Cuts the stream, and forgets its session.
    fn shut(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        if let Some(stream) = self.open.lock().unwrap().take() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

#[test]
fn http_sse_is_found_out_and_each_response_is_given_once() {
    let absolute: fn(&str, usize) -> String = |host, n| format!("http://{host}/message?s={n}");
    let relative: fn(&str, usize) -> String = |_, n| format!("/message?s={n}");
    for (endpoint, in_body) in
        [(absolute, true), (absolute, false), (relative, true), (relative, false)]
    {
        let (sandbox, (server, streams)) = (Sandbox::new(), http_sse(endpoint, in_body));
        let mut host = met(&sandbox, &server);
        for _ in 0..20 {
            let answer = host.call("tools/list", &json!({}));
            assert_eq!(answer["result"], json!({"tools": []}), "{answer}");
        }
        streams.say(&format!("data: {}\n\n", json!({"jsonrpc": "2.0", "id": 2, "method": "ping"})));
        host.receive("a request of the server", is("ping"));
        host.send(&json!({"jsonrpc": "2.0", "id": 2, "result": {}}));
        assert_eq!(server.wait_for("response", 1)[0].request.path, "/message");
        assert_eq!(host.end().code(), Some(0));
        assert_eq!(host.asides, Vec::<Value>::new());
        assert_eq!((server.count("GET"), server.count("DELETE")), (1, 0));
    }
}

#[test]
fn http_sse_begins_again_after_its_stream_was_cut() {
    let sandbox = Sandbox::new();
    let (server, streams) = http_sse(|_, n| format!("/message?s={n}"), false);
    let mut host = met(&sandbox, &server);
    host.call("tools/list", &json!({}));
    streams.shut();
    for _ in 0..3 {
        assert!(host.call("tools/list", &json!({}))["result"].is_object());
    }
    assert_eq!(server.count("GET"), 2);
    let hellos: Vec<_> =
        server.all("initialize").into_iter().filter(|it| it.request.path != "/mcp").collect();
    assert_eq!(hellos.len(), 2);
    assert_eq!(server.all("notifications/initialized").len(), 2);

    // The server has forgotten the session, and the stream is still open.
    streams.count.fetch_add(1, Ordering::SeqCst);
    assert!(host.call("tools/list", &json!({}))["result"].is_object());
    assert_eq!(server.count("GET"), 3);
    assert_eq!(host.end().code(), Some(0));
    assert_eq!(host.asides, Vec::<Value>::new());
}

#[test]
fn a_request_whose_stream_is_cut_is_an_error_and_not_sent_again() {
    let (sandbox, latch) = (Sandbox::new(), Latch::default());
    let (held, streams) = (latch.clone(), std::sync::Arc::new(Streams::default()));
    let all = streams.clone();
    let server = WireServer::start(move |call| match (call.what(), call.path()) {
        ("GET", _) => {
            call.events()?;
            call.raw("event: endpoint\ndata: /message\n\n")?;
            *all.open.lock().unwrap() = Some(call.stream.try_clone()?);
            held.open();
            call.stay()
        }
        (_, "/mcp") => call.reply(404, &[], "text/html", "<h1>Cannot POST /mcp</h1>"),
        ("tools/call", _) => {
            call.reply(202, &[], "text/plain", "Accepted")?;
            all.shut();
            Ok(())
        }
        _ if call.message()["id"].is_null() => call.reply(202, &[], "text/plain", "Accepted"),
        _ => {
            held.wait();
            all.say(&format!("data: {}\n\n", call.response(&greeting())));
            call.reply(200, &[], "text/plain", "Accepted")
        }
    });
    let mut host = met(&sandbox, &server);
    let answer = host.call("tools/call", &json!({"name": "t"}));
    assert!(answer["error"]["message"].as_str().unwrap().contains("broke"), "{answer}");
    assert_eq!(server.count("tools/call"), 1);
    assert!(host.call("tools/list", &json!({}))["result"].is_object());
}

#[test]
fn an_endpoint_of_another_origin_gets_nothing() {
    let sandbox = Sandbox::new();
    let stranger = WireServer::normal();
    let elsewhere = stranger.url();
    let (server, _) = http_sse(move |_, _| elsewhere.clone(), true);
    let mut host = Host::start(&sandbox, &[&server.url()]);
    let hello = host.hello();
    let said = host.answer(&hello)["error"]["message"].as_str().unwrap().to_owned();
    assert!(said.contains(&stranger.host()) && said.contains("another origin"), "{said}");
    assert!(stranger.seen().is_empty());
    assert_eq!(host.end().code(), Some(0));
}

#[test]
fn an_address_that_is_no_server_is_called_that() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| call.reply(404, &[], "text/html", "<h1>Not here</h1>"));
    let mut host = Host::start(&sandbox, &[&server.url()]);
    let hello = host.hello();
    let said = host.answer(&hello)["error"]["message"].as_str().unwrap().to_owned();
    assert!(said.contains(&server.host()) && said.contains("404"), "{said}");
    assert_eq!(host.end().code(), Some(0));
}

#[test]
fn a_server_that_lets_come_back_for_ever_is_given_up_after_the_wait() {
    let sandbox = Sandbox::new();
    let count = AtomicUsize::new(0);
    let server = WireServer::start(move |call| match (call.what(), call.header("last-event-id")) {
        ("tools/call", _) if call.message()["params"]["name"] == "late" => {
            call.events()?;
            call.raw("id: p0\nretry: 3600000\ndata:\n\n")
        }
        ("tools/call", _) => {
            call.events()?;
            call.raw("id: p0\nretry: 0\ndata:\n\n")
        }
        ("GET", "") => call.normal(),
        // Always another place, and never any news.
        ("GET", _) => {
            call.events()?;
            let next = count.fetch_add(1, Ordering::SeqCst);
            call.raw(format!("id: p{next}\nretry: 0\ndata:\n\n"))
        }
        _ => call.normal(),
    });
    let mut host = Host::met(&sandbox, &[&server.url(), "--answer-wait", "3s"]);
    for name in ["late", "loop"] {
        let answer = host.call("tools/call", &json!({"name": name}));
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.contains("said nothing for 3 s"), "{said}");
    }
    let resumed =
        server.all("GET").iter().filter(|it| it.header("last-event-id").is_some()).count();
    assert!((5..15).contains(&resumed), "{resumed}");
}
