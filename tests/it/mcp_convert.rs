//! `authctl mcp` between a host and a server of different eras: each gets its own words, and nothing of what
//! the other has is lost.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::mcp_host::Host;
use crate::support::mcp_wire::{Call, Latch, WireServer};
use crate::support::modern::{self, CAPABILITIES, SUBSCRIPTION, fail, meta, modern};
use crate::support::modern::{with_capabilities, with_meta};
use crate::support::sandbox::Sandbox;

const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const INITIALIZED: &str = "notifications/initialized";

fn is(method: &str) -> impl Fn(&Value) -> bool {
    move |message| message["method"] == method
}

/// A legacy host with these capabilities that has shaken hands.
fn legacy_host(
    sandbox: &Sandbox,
    server: &WireServer,
    version: &str,
    capabilities: &Value,
) -> Host {
    let mut host = Host::start(sandbox, &[&server.url()]);
    let info = json!({"name": "legacy-host", "version": "4"});
    let params =
        json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": info});
    let greeting = host.call("initialize", &params);
    assert_eq!(greeting["result"]["protocolVersion"], version, "{greeting}");
    host.notify(INITIALIZED);
    host
}

fn everything() -> Value {
    json!({"roots": {"listChanged": true}, "sampling": {}, "elicitation": {"form": {}, "url": {}}})
}

fn met(sandbox: &Sandbox, server: &WireServer) -> Host {
    legacy_host(sandbox, server, "2025-11-25", &everything())
}

fn call(name: &str) -> Value {
    json!({"name": name, "arguments": {"n": 1}})
}

/// A modern server whose tool asks `requests` first, and answers what it then gets.
fn asking(requests: Value) -> WireServer {
    WireServer::start(move |call| match call.what() {
        "tools/call" if call.message()["params"]["requestState"].is_null() => {
            let result = json!({
                "resultType": "input_required",
                "inputRequests": requests,
                "requestState": "a \u{e9}\"{}",
            });
            call.result(&result)
        }
        "tools/call" => {
            let params = &call.message()["params"];
            let given =
                json!([params["inputResponses"], params["requestState"], params["arguments"]]);
            call.result(&json!({"content": [], "structuredContent": {"given": given}}))
        }
        _ => modern::normal(call),
    })
}

fn form() -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let params = json!({"mode": "form", "message": "who", "requestedSchema": schema});
    json!({"method": "elicitation/create", "params": params})
}

fn link() -> Value {
    let params = json!({"mode": "url", "message": "go", "url": "https://example.com/x"});
    json!({"method": "elicitation/create", "params": params})
}

#[test]
fn a_host_with_a_handshake_gets_one_made_of_the_discovery() {
    let sandbox = Sandbox::new();
    let count = Arc::new(AtomicUsize::new(0));
    let (counted, discovery) = (count.clone(), Arc::new(Mutex::new(Value::Null)));
    let noted = discovery.clone();
    let server = WireServer::start(move |call| {
        if call.what() == "server/discover" {
            counted.fetch_add(1, Ordering::SeqCst);
            *noted.lock().unwrap() = call.message().clone();
        }
        modern::normal(call)
    });
    let mut host = Host::start(&sandbox, &[&server.url()]);
    let greeting = host.initialize();
    let discovered = modern::discovered();
    let expected = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": discovered["capabilities"],
        "serverInfo": {"name": "modern", "version": "2"},
        "instructions": "be kind",
    });
    assert_eq!(greeting["result"], expected);
    assert_eq!(host.call("ping", &json!({}))["result"], json!({}));
    host.notify("notifications/roots/list_changed");
    let listed = host.call("tools/list", &json!({"_meta": {"progressToken": 7}}));
    assert_eq!(listed["result"]["tools"][0]["name"], "plain");

    let of_host = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test-host", "version": "1"},
        CAPABILITIES: {"roots": {}, "sampling": {}, "elicitation": {"form": {}}},
    });
    assert_eq!(discovery.lock().unwrap()["params"]["_meta"], of_host);
    let mut with_token = of_host.clone();
    with_token["progressToken"] = json!(7);
    let list = &server.all("tools/list")[0];
    assert_eq!(list.message["params"]["_meta"], with_token);
    assert_eq!(list.message["id"], listed["id"]);
    assert_eq!(list.header("mcp-method"), Some("tools/list"));
    server.wait_for("subscriptions/listen", 1);
    host.end();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let known = ["tools/list", "subscriptions/listen"];
    let others = server.seen().into_iter().filter(|seen| !known.contains(&seen.what()));
    assert_eq!(others.map(|seen| seen.what().to_owned()).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn the_log_level_stands_in_each_request() {
    let (sandbox, server) = (Sandbox::new(), modern());
    let mut host = met(&sandbox, &server);
    host.call("tools/list", &json!({}));
    assert_eq!(host.call("logging/setLevel", &json!({"level": "debug"}))["result"], json!({}));
    host.call("tools/list", &json!({}));
    let levels = server.all("tools/list").into_iter();
    let levels: Vec<Value> =
        levels.map(|seen| seen.message["params"]["_meta"][LOG_LEVEL].clone()).collect();
    assert_eq!(levels, [json!(null), json!("debug")]);
}

#[test]
fn changes_come_to_a_host_that_does_not_ask_for_them() {
    let (sandbox, closed) = (Sandbox::new(), Latch::default());
    let (seen_closed, count) = (closed.clone(), AtomicUsize::new(0));
    let server = WireServer::start(move |call| match call.what() {
        "subscriptions/listen" => {
            modern::acknowledge(call)?;
            let uris = call.message()["params"]["notifications"]["resourceSubscriptions"].clone();
            for uri in uris.as_array().into_iter().flatten() {
                modern::change(call, "notifications/resources/updated", &json!({"uri": uri}))?;
            }
            modern::change(call, "notifications/tools/list_changed", &json!({}))?;
            // The first one breaks.
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                return Ok(());
            }
            call.stay()?;
            seen_closed.open();
            Ok(())
        }
        _ => modern::normal(call),
    });
    let mut host = met(&sandbox, &server);
    for _ in 0..2 {
        let changed = host.receive("a change", is("notifications/tools/list_changed"));
        assert_eq!(
            changed,
            json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        );
    }
    let uri = json!({"uri": "file:///a"});
    assert_eq!(host.call("resources/subscribe", &uri)["result"], json!({}));
    closed.wait();
    assert!(closed.is_open(), "the stream for less is still there");
    let updated = host.receive("an update", is("notifications/resources/updated"));
    assert_eq!(updated["params"], uri);
    assert_eq!(host.call("resources/unsubscribe", &uri)["result"], json!({}));
    let filters: Vec<Value> = server
        .wait_for("subscriptions/listen", 4)
        .iter()
        .map(|seen| seen.message["params"]["notifications"].clone())
        .collect();
    let lists = json!({"toolsListChanged": true, "resourcesListChanged": true});
    let mut more = lists.clone();
    more["resourceSubscriptions"] = json!(["file:///a"]);
    assert_eq!(filters, [lists.clone(), lists.clone(), more, lists]);
}

#[test]
fn a_subscription_that_the_server_does_not_take_is_an_error() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "subscriptions/listen" => {
            call.events()?;
            let method = "notifications/subscriptions/acknowledged";
            modern::change(call, method, &json!({"notifications": {}}))?;
            call.stay()
        }
        _ => modern::normal(call),
    });
    let mut host = met(&sandbox, &server);
    let answer = host.call("resources/subscribe", &json!({"uri": "file:///a"}));
    assert_eq!(answer["error"]["code"], -32602);
}

#[test]
fn what_a_server_asks_is_asked_of_the_host() {
    let sandbox = Sandbox::new();
    let server = asking(json!({
        "who": form(),
        "where": {"method": "roots/list"},
        "what": {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 5}},
    }));
    let mut host = met(&sandbox, &server);
    let id = host.ask("tools/call", &call("t"));
    let answers = [
        ("elicitation/create", json!({"action": "accept", "content": {"a": "me"}})),
        ("roots/list", json!({"roots": [{"uri": "file:///w"}]})),
        ("sampling/createMessage", json!({"role": "assistant", "content": {}, "model": "m"})),
    ];
    for (method, result) in &answers {
        let question = host.receive(method, is(method));
        host.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}));
    }
    let given = host.answer(&id)["result"]["structuredContent"]["given"].clone();
    let responses = json!({"who": answers[0].1, "where": answers[1].1, "what": answers[2].1});
    assert_eq!(given, json!([responses, "a \u{e9}\"{}", {"n": 1}]));
    let calls = server.all("tools/call");
    assert_eq!(calls[0].message["id"], id);
    assert_ne!(calls[1].message["id"], id);
    assert_eq!(calls[1].header("mcp-name"), Some("t"));
    // None of it goes into the next one.
    host.ask("tools/call", &call("t"));
    let next = server.wait_for("tools/call", 3).pop().unwrap();
    assert_eq!(next.message["params"]["inputResponses"], json!(null));
}

#[test]
fn a_link_gets_an_id_where_the_host_can_show_it_and_a_no_where_it_cannot() {
    let sandbox = Sandbox::new();
    let server = asking(json!({"go": link()}));
    let mut host = met(&sandbox, &server);
    let id = host.ask("tools/call", &call("t"));
    let question = host.receive("a link", is("elicitation/create"));
    let name = question["params"]["elicitationId"].clone();
    assert!(name.is_string(), "{question}");
    host.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}}));
    let answer = host.answer(&id);
    assert_eq!(
        answer["result"]["structuredContent"]["given"][0],
        json!({"go": {"action": "accept"}})
    );
    let done = host.receive("its end", is("notifications/elicitation/complete"));
    assert_eq!(done["params"], json!({"elicitationId": name}));
    for (version, capabilities) in [
        ("2025-11-25", json!({"elicitation": {"form": {}}})),
        ("2025-06-18", json!({"elicitation": {"url": {}}})),
    ] {
        let mut host = legacy_host(&sandbox, &server, version, &capabilities);
        let answer = host.call("tools/call", &call("t"));
        let given = &answer["result"]["structuredContent"]["given"][0];
        assert_eq!(*given, json!({"go": {"action": "decline"}}), "{version}");
    }
}

#[test]
fn a_host_that_lacks_what_is_asked_for_says_so() {
    let sandbox = Sandbox::new();
    let sampling = json!({"method": "sampling/createMessage", "params": {}});
    let server = asking(json!({"a": sampling}));
    let mut host = legacy_host(&sandbox, &server, "2025-11-25", &json!({}));
    let answer = host.call("tools/call", &call("t"));
    assert!(answer["error"]["message"].as_str().unwrap().contains("sampling"), "{answer}");
    // A host that has it may refuse; the call ends with its error.
    let mut host = met(&sandbox, &server);
    let id = host.ask("tools/call", &call("t"));
    let question = host.receive("sampling", is("sampling/createMessage"));
    let error = json!({"code": -1, "message": "User rejected sampling request"});
    host.send(&json!({"jsonrpc": "2.0", "id": question["id"], "error": error}));
    assert_eq!(host.answer(&id)["error"], error);
}

#[test]
fn an_older_host_gets_a_form_as_it_knows_it() {
    let sandbox = Sandbox::new();
    let server = asking(json!({"who": form()}));
    let mut host = legacy_host(&sandbox, &server, "2025-06-18", &json!({"elicitation": {}}));
    let id = host.ask("tools/call", &call("t"));
    let question = host.receive("a form", is("elicitation/create"));
    assert_eq!(question["params"]["mode"], json!(null));
    let error = json!({"code": -32600, "message": "no"});
    host.send(&json!({"jsonrpc": "2.0", "id": question["id"], "error": error}));
    let given = host.answer(&id)["result"]["structuredContent"]["given"][0].clone();
    assert_eq!(given, json!({"who": {"action": "cancel"}}));
}

#[test]
fn a_server_that_asks_without_end_is_stopped() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "tools/call" => {
            call.result(&json!({"resultType": "input_required", "requestState": "again"}))
        }
        _ => modern::normal(call),
    });
    let mut host = met(&sandbox, &server);
    let answer = host.call("tools/call", &call("t"));
    assert!(answer["error"]["message"].as_str().unwrap().contains("without end"), "{answer}");
    assert_eq!(server.count("tools/call"), 17);
}

#[test]
fn cancelling_takes_back_the_question_too() {
    let sandbox = Sandbox::new();
    let server = asking(json!({"who": form()}));
    let mut host = met(&sandbox, &server);
    let id = host.ask("tools/call", &call("t"));
    let question = host.receive("a form", is("elicitation/create"));
    let params = json!({"requestId": id});
    host.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    let taken_back = host.receive("its end", is("notifications/cancelled"));
    assert_eq!(taken_back["params"]["requestId"], question["id"]);
    assert_eq!(server.count("notifications/cancelled"), 0);
}

#[test]
fn results_take_the_form_that_older_hosts_know() {
    let sandbox = Sandbox::new();
    let array = json!({"type": "array"});
    let server = WireServer::start(move |call| match call.what() {
        "tools/list" => call.result(&json!({"tools": [
            {"name": "a", "inputSchema": {}, "outputSchema": array},
            {"name": "b", "inputSchema": {}, "outputSchema": {"type": "object"}},
        ]})),
        "tools/call" if call.message()["params"]["name"] == "odd" => {
            call.result(&json!({"resultType": "task"}))
        }
        "tools/call" => call.result(&json!({"content": [], "structuredContent": [1]})),
        _ => modern::normal(call),
    });
    let mut host = met(&sandbox, &server);
    let tools = host.call("tools/list", &json!({}))["result"]["tools"].clone();
    assert_eq!(tools[0], json!({"name": "a", "inputSchema": {}}));
    assert_eq!(tools[1]["outputSchema"], json!({"type": "object"}));
    assert_eq!(host.call("tools/call", &call("t"))["result"], json!({"content": []}));
    let odd = host.call("tools/call", &call("odd"));
    assert!(odd["error"]["message"].as_str().unwrap().contains("unknown type"), "{odd}");
    assert_eq!(host.call("nonsense", &json!({}))["error"]["code"], -32601);
}

#[test]
fn a_server_of_both_eras_speaks_to_each_host_as_that_speaks() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "server/discover" => {
            let mut both = modern::discovered();
            both["supportedVersions"] = json!(["2026-07-28", "2025-11-25"]);
            call.result(&both)
        }
        "initialize" => {
            let info = json!({"name": "both", "version": "1"});
            call.result(
                &json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info}),
            )
        }
        _ => call.normal(),
    });
    for discoveries in 0..2 {
        let mut host = Host::start(&sandbox, &[&server.url()]);
        assert_eq!(host.initialize()["result"]["serverInfo"]["name"], "both");
        host.call("tools/list", &json!({}));
        let list = server.all("tools/list").pop().unwrap();
        assert_eq!(list.message["params"], json!({}), "{discoveries}");
    }
}

/// A legacy server whose tool asks `question` in the middle of its call.
fn legacy_asking(question: Value, answers: Arc<Mutex<Vec<Value>>>) -> WireServer {
    legacy_asking_with(question, answers, |call| call.response(&json!({"content": [], "n": 1.5})))
}

/// The same with a response of its own.
fn legacy_asking_with(
    question: Value,
    answers: Arc<Mutex<Vec<Value>>>,
    respond: impl Fn(&mut Call) -> String + Send + Sync + 'static,
) -> WireServer {
    let answered = Latch::default();
    WireServer::start(move |call| match call.what() {
        "initialize" => greet(call),
        "tools/call" if call.message()["params"]["name"] == "t" => {
            call.events()?;
            call.event(&question)?;
            answered.wait();
            let text = respond(call);
            call.event(text)
        }
        "response" => {
            answers.lock().unwrap().push(call.message().clone());
            call.reply(202, &[], "text/plain", "")?;
            answered.open();
            Ok(())
        }
        _ => call.normal(),
    })
}

fn greet(call: &mut Call) -> std::io::Result<()> {
    let capabilities = json!({
        "tools": {"listChanged": true},
        "resources": {"subscribe": true},
        "logging": {},
        "tasks": {},
    });
    let result = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "serverInfo": {"name": "legacy", "version": "1"},
        "instructions": "be old",
    });
    let body = call.response(&result);
    call.reply(200, &[("mcp-session-id", "s1")], "application/json", &body)
}

fn modern_host(sandbox: &Sandbox, server: &WireServer) -> Host {
    let mut host = Host::start(sandbox, &[&server.url()]);
    let answer = host.call("server/discover", &meta());
    assert_eq!(answer["result"]["supportedVersions"], json!(["2026-07-28"]), "{answer}");
    host
}

fn eliciting() -> Value {
    let mut question = form();
    question["jsonrpc"] = json!("2.0");
    question["id"] = json!("q1");
    question
}

#[test]
fn a_host_without_a_handshake_gets_a_discovery_made_of_one() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "initialize" => greet(call),
        _ => call.normal(),
    });
    let mut host = Host::start(&sandbox, &[&server.url()]);
    let expected = json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {
            "tools": {"listChanged": true},
            "resources": {"subscribe": true},
            "logging": {},
        },
        "instructions": "be old",
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "legacy", "version": "1"}},
    });
    assert_eq!(host.call("server/discover", &meta())["result"], expected);
    let initialize = &server.all("initialize")[0].message["params"];
    assert_eq!(initialize["clientInfo"]["name"], "modern-host");
    assert_eq!(initialize["protocolVersion"], "2025-11-25");
    assert_eq!(initialize["capabilities"]["elicitation"], json!({"form": {}, "url": {}}));

    let mut params = with_meta(&json!({"cursor": "c"}));
    params["_meta"]["progressToken"] = json!(5);
    params["_meta"]["traceparent"] = json!("00-1");
    let listed = host.call("tools/list", &params)["result"].clone();
    let tools = json!([{"name": "t", "inputSchema": {}}]);
    let expected =
        json!({"tools": tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"});
    assert_eq!(listed, expected);
    let seen = &server.all("tools/list")[0];
    let kept = json!({"progressToken": 5, "traceparent": "00-1"});
    assert_eq!(seen.message["params"], json!({"cursor": "c", "_meta": kept}));
    assert_eq!(seen.header("mcp-session-id"), Some("s1"));
    assert_eq!(seen.header("mcp-method"), None);
    let called = host.call("tools/call", &with_meta(&call("t")))["result"].clone();
    assert_eq!((&called["resultType"], &called["ttlMs"]), (&json!("complete"), &json!(null)));
    for removed in ["ping", "initialize", "logging/setLevel", "resources/subscribe"] {
        assert_eq!(host.call(removed, &meta())["error"]["code"], -32601, "{removed}");
    }
    let mut newer = meta();
    newer["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    let error = host.call("tools/list", &newer)["error"].clone();
    assert_eq!(error["code"], -32022);
    let data = json!({"supported": ["2026-07-28"], "requested": "2099-01-01"});
    assert_eq!(error["data"], data);
    assert_eq!(server.count(INITIALIZED), 1);
}

#[test]
fn a_question_in_a_call_becomes_its_result_and_the_next_request_goes_on() {
    let (sandbox, answers) = (Sandbox::new(), Arc::new(Mutex::new(Vec::new())));
    let server = legacy_asking(eliciting(), answers.clone());
    let mut host = modern_host(&sandbox, &server);
    let asked = host.call("tools/call", &with_meta(&call("t")))["result"].clone();
    assert_eq!(asked["resultType"], "input_required");
    assert_eq!(asked["inputRequests"]["input"], form());
    let state = asked["requestState"].as_str().unwrap();
    assert!(state.len() >= 32, "{state}");

    // Nobody else goes on with it, and an answer that is not there is asked for again.
    let wrong = with_meta(&json!({"name": "other", "requestState": state}));
    assert_eq!(host.call("tools/call", &wrong)["error"]["code"], -32602);
    let mut again = with_meta(&call("t"));
    again["requestState"] = json!(state);
    let asked = host.call("tools/call", &again)["result"].clone();
    assert_eq!(asked["inputRequests"]["input"], form());

    let given = json!({"action": "accept", "content": {"a": "me"}});
    again["requestState"] = asked["requestState"].clone();
    again["inputResponses"] = json!({"input": given});
    let id = host.ask("tools/call", &again);
    let expected = json!({"content": [], "n": 1.5, "resultType": "complete"});
    assert_eq!(host.answer(&id)["result"], expected);
    assert_eq!(server.count("tools/call"), 1);
    let answer = json!({"jsonrpc": "2.0", "id": "q1", "result": given});
    assert_eq!(*answers.lock().unwrap(), [answer]);
    let over = host.call("tools/call", &again);
    assert_eq!(over["error"]["code"], -32602);
}

#[test]
fn a_question_that_comes_by_itself_belongs_to_the_call_that_runs() {
    let (sandbox, called, answered) = (Sandbox::new(), Latch::default(), Latch::default());
    let server = WireServer::start(move |call| match call.what() {
        "initialize" => greet(call),
        "GET" => {
            call.events()?;
            called.wait();
            call.event(eliciting())?;
            call.stay()
        }
        "tools/call" => {
            called.open();
            answered.wait();
            call.normal()
        }
        "response" if call.message()["id"] == "q1" => {
            answered.open();
            call.reply(202, &[], "text/plain", "")
        }
        _ => call.normal(),
    });
    let mut host = modern_host(&sandbox, &server);
    let asked = host.call("tools/call", &with_meta(&call("t")))["result"].clone();
    assert_eq!(asked["inputRequests"]["input"], form());
    let mut again = with_meta(&call("t"));
    again["requestState"] = asked["requestState"].clone();
    again["inputResponses"] = json!({"input": {"action": "decline"}});
    assert_eq!(host.call("tools/call", &again)["result"]["resultType"], "complete");
}

#[test]
fn a_question_that_comes_while_nothing_runs_is_asked_in_the_next_call() {
    let (sandbox, heard) = (Sandbox::new(), Latch::default());
    let asked_for = heard.clone();
    let server = WireServer::start(move |call| match call.what() {
        "initialize" => greet(call),
        "GET" => {
            call.events()?;
            let withdrawn = json!({"jsonrpc": "2.0", "id": "gone", "method": "roots/list"});
            call.event(withdrawn)?;
            let cancelled = json!({"requestId": "gone"});
            call.event(
                json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}),
            )?;
            // The first of these are kept; of the last, too many wait.
            call.event(eliciting())?;
            for id in 1..9 {
                call.event(json!({"jsonrpc": "2.0", "id": id, "method": "roots/list"}))?;
            }
            call.stay()
        }
        "response" if call.message()["id"] == 8 => {
            asked_for.open();
            call.reply(202, &[], "text/plain", "")
        }
        _ => call.normal(),
    });
    let mut host = Host::start(&sandbox, &[&server.url()]);
    let can = json!({"elicitation": {"form": {}}, "roots": {}});
    host.call("server/discover", &with_capabilities(&json!({}), &can));
    heard.wait();
    let late = server.all("response");
    assert_eq!(late.len(), 1, "only what is too much is refused at once");
    assert_eq!(late[0].message["error"]["code"], -32601);
    let mut params = with_capabilities(&call("t"), &can);
    let mut asked = host.call("tools/call", &params)["result"].clone();
    assert_eq!(asked["inputRequests"]["input"], form());
    let given = json!({"action": "accept", "content": {"a": "me"}});
    for round in 0..8 {
        params["requestState"] = asked["requestState"].clone();
        params["inputResponses"] = json!({"input": given});
        asked = host.call("tools/call", &params)["result"].clone();
        let is_last = round == 7;
        let expected = if is_last { "complete" } else { "input_required" };
        assert_eq!(asked["resultType"], expected, "{round}: {asked}");
    }
    let answers = server.wait_for("response", 9);
    assert!(answers.iter().any(|it| it.message["id"] == "q1" && it.message["result"] == given));
    assert!(answers.iter().all(|it| it.message["id"] != "gone"));
    assert_eq!(server.count("tools/call"), 1);
}

#[test]
fn a_call_that_failed_after_its_question_may_be_made_anew() {
    let (sandbox, answers) = (Sandbox::new(), Arc::new(Mutex::new(Vec::new())));
    let count = AtomicUsize::new(0);
    let server = legacy_asking_with(eliciting(), answers, move |call| {
        let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
        call.response(&json!({"content": [], "isError": is_first}))
    });
    let mut host = modern_host(&sandbox, &server);
    let asked = host.call("tools/call", &with_meta(&call("t")))["result"].clone();
    let mut again = with_meta(&call("t"));
    again["requestState"] = asked["requestState"].clone();
    again["inputResponses"] = json!({"input": {"action": "accept", "content": {"a": "me"}}});
    assert_eq!(host.call("tools/call", &again)["result"]["isError"], true);
    let asked = host.call("tools/call", &again)["result"].clone();
    assert_eq!(asked["inputRequests"]["input"], form(), "it begins anew: {asked}");
    again["requestState"] = asked["requestState"].clone();
    assert_eq!(host.call("tools/call", &again)["result"]["isError"], false);
    assert_eq!(host.call("tools/call", &again)["error"]["code"], -32602);
    assert_eq!(server.count("tools/call"), 2);
}

#[test]
fn a_question_that_the_host_has_no_answer_for_is_declined() {
    for (question, answer) in [
        (form(), json!({"action": "decline"})),
        (link(), json!({"action": "decline"})),
        (json!({"method": "ping"}), json!({})),
    ] {
        let (sandbox, answers) = (Sandbox::new(), Arc::new(Mutex::new(Vec::new())));
        let mut question = question;
        question["jsonrpc"] = json!("2.0");
        question["id"] = json!(77);
        let server = legacy_asking(question, answers.clone());
        let mut host = modern_host(&sandbox, &server);
        let params = with_capabilities(&call("t"), &json!({"sampling": {}}));
        assert_eq!(host.call("tools/call", &params)["result"]["resultType"], "complete");
        let answers = answers.lock().unwrap();
        assert_eq!((&answers[0]["id"], &answers[0]["result"]), (&json!(77), &answer));
    }
    let (sandbox, answers) = (Sandbox::new(), Arc::new(Mutex::new(Vec::new())));
    let question =
        json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}});
    let server = legacy_asking(question, answers.clone());
    let mut host = modern_host(&sandbox, &server);
    host.call("tools/call", &with_capabilities(&call("t"), &json!({})));
    assert_eq!(answers.lock().unwrap()[0]["error"]["code"], -32601);
}

#[test]
fn cancelling_is_told_to_a_server_with_a_handshake() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "initialize" => greet(call),
        "tools/call" | "tools/list" => {
            call.events()?;
            call.event(json!({"jsonrpc": "2.0", "method": "notifications/progress"}))?;
            call.stay()
        }
        _ => call.normal(),
    });
    let mut host = modern_host(&sandbox, &server);
    for (count, method) in ["tools/call", "tools/list"].into_iter().enumerate() {
        let id = host.ask(method, &with_meta(&call("t")));
        host.receive("progress", is("notifications/progress"));
        let params = json!({"requestId": id});
        host.send(
            &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}),
        );
        let told = server.wait_for("notifications/cancelled", count + 1);
        assert_eq!(told[count].message["params"]["requestId"], id);
    }
}

#[test]
fn a_subscription_carries_what_the_server_says_by_itself() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "initialize" => greet(call),
        "resources/subscribe" if call.message()["params"]["uri"] == "file:///no" => {
            fail(call, 200, -32602, &json!(null))
        }
        "resources/subscribe" | "resources/unsubscribe" => call.result(&json!({})),
        "tools/call" => {
            call.events()?;
            for (method, params) in [
                ("notifications/tools/list_changed", json!({})),
                ("notifications/resources/list_changed", json!({})),
                ("notifications/resources/updated", json!({"uri": "file:///other"})),
                ("notifications/resources/updated", json!({"uri": "file:///a"})),
            ] {
                call.event(json!({"jsonrpc": "2.0", "method": method, "params": params}))?;
            }
            let response = call.response(&json!({"content": []}));
            call.event(response)
        }
        _ => call.normal(),
    });
    let mut host = modern_host(&sandbox, &server);
    let wanted = json!({
        "toolsListChanged": true,
        "promptsListChanged": true,
        "resourceSubscriptions": ["file:///a", "file:///no"],
    });
    let id = host.ask("subscriptions/listen", &with_meta(&json!({"notifications": wanted})));
    let first = host.receive("the first", |message| message["method"].is_string());
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    let honoured = json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]});
    assert_eq!(first["params"], json!({"notifications": honoured, "_meta": {SUBSCRIPTION: id}}));
    host.call("tools/call", &with_meta(&call("t")));
    let changed = host.receive("a change", is("notifications/tools/list_changed"));
    assert_eq!(changed["params"]["_meta"], json!({SUBSCRIPTION: id}));
    let updated = host.receive("an update", is("notifications/resources/updated"));
    assert_eq!(updated["params"], json!({"uri": "file:///a", "_meta": {SUBSCRIPTION: id}}));
    assert_eq!(host.asides, Vec::<Value>::new());
    let params = json!({"requestId": id});
    host.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    let ended = server.wait_for("resources/unsubscribe", 1);
    assert_eq!(ended[0].message["params"], json!({"uri": "file:///a"}));
}

#[test]
fn links_that_a_server_requires_become_questions() {
    let (sandbox, count) = (Sandbox::new(), AtomicUsize::new(0));
    let server = WireServer::start(move |call| match call.what() {
        "initialize" => greet(call),
        "tools/call" if count.fetch_add(1, Ordering::SeqCst) < 2 => {
            let links = json!([{"mode": "url", "elicitationId": "e", "message": "go", "url": "https://example.com/x"}]);
            fail(call, 200, -32042, &json!({"elicitations": links}))
        }
        _ => call.normal(),
    });
    let mut host = modern_host(&sandbox, &server);
    let unable = with_capabilities(&call("t"), &json!({}));
    assert_eq!(host.call("tools/call", &unable)["error"]["code"], -32603);
    let asked = host.call("tools/call", &with_meta(&call("t")))["result"].clone();
    assert_eq!(asked["inputRequests"]["link-0"], link());
    let mut again = with_meta(&call("t"));
    again["requestState"] = asked["requestState"].clone();
    again["inputResponses"] = json!({"link-0": {"action": "accept"}});
    assert_eq!(host.call("tools/call", &again)["result"]["resultType"], "complete");
    let last = server.all("tools/call").pop().unwrap();
    assert_eq!(last.message["params"], call("t"));
}

#[test]
fn log_messages_come_to_requests_that_want_them() {
    let sandbox = Sandbox::new();
    let server = WireServer::start(|call| match call.what() {
        "initialize" => greet(call),
        "logging/setLevel" => call.result(&json!({})),
        "tools/call" => {
            call.events()?;
            let params = json!({"level": "info", "data": call.message()["id"]});
            call.event(
                json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}),
            )?;
            let response = call.response(&json!({"content": []}));
            call.event(response)
        }
        _ => call.normal(),
    });
    let mut host = modern_host(&sandbox, &server);
    host.call("tools/call", &with_meta(&call("t")));
    let mut loud = with_meta(&call("t"));
    loud["_meta"][LOG_LEVEL] = json!("info");
    let ids = [host.ask("tools/call", &loud), host.ask("tools/call", &loud)];
    for id in &ids {
        host.answer(id);
    }
    let mut heard: Vec<Value> = std::iter::repeat_with(|| {
        host.receive("a log message", is("notifications/message"))["params"]["data"].clone()
    })
    .take(2)
    .collect();
    heard.sort_by_key(Value::to_string);
    assert_eq!(heard, ids);
    assert_eq!(host.asides, Vec::<Value>::new());
    assert_eq!(server.all("logging/setLevel")[0].message["params"], json!({"level": "info"}));
}
