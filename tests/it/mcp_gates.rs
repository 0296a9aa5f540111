//! The fake MCP server itself: each gate keeps out whom it should, says so in its own way, and opens.

use serde_json::{Value, json};
use url::Url;

use crate::support::authorization_server::AuthorizationServer;
use crate::support::browser::{self, Page};
use crate::support::mcp_server::{Gate, McpServer, Mode};

/// Posts a message, with a credential or without.
fn post(server: &McpServer, message: &Value, header: Option<(&str, &str)>) -> Page {
    let url = Url::parse(&server.url()).unwrap();
    let body = message.to_string();
    let credential = header.map_or(String::new(), |(name, value)| format!("{name}: {value}\r\n"));
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{credential}\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    browser::request(&url, &format!("{head}{body}"))
}

fn with_token(server: &McpServer, message: &Value, token: &str) -> Page {
    post(server, message, Some(("Authorization", &format!("Bearer {token}"))))
}

fn request(method: &str, parameters: Value) -> Value {
    let mut message = json!({ "jsonrpc": "2.0", "id": 7, "method": method });
    message["params"] = parameters;
    message
}

fn call(tool: &str) -> Value {
    request("tools/call", json!({ "name": tool, "arguments": { "a": 1 } }))
}

/// The messages of an answer, in either mode.
fn messages(page: &Page) -> Vec<Value> {
    let events = page.body.lines().filter_map(|line| line.strip_prefix("data: "));
    let texts: Vec<&str> = match page.header("content-type") {
        Some("text/event-stream") => events.collect(),
        _ => vec![&page.body],
    };
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// The answer of a call that came with status 200.
fn answer(page: &Page) -> Value {
    assert_eq!(page.status, 200, "{page:?}");
    let answer = messages(page).pop().unwrap();
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
    answer
}

fn is_done(page: &Page) -> bool {
    page.status == 200 && answer(page)["result"]["structuredContent"]["arguments"]["a"] == 1
}

fn tools(page: &Page) -> Vec<String> {
    let answer = answer(page);
    let tools = answer["result"]["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_gate_opens_to_the_good_token_in_both_modes() {
    for mode in [Mode::Json, Mode::Sse] {
        for gate in [
            Gate::None,
            Gate::Http,
            Gate::HttpBare,
            Gate::HttpLink,
            Gate::Tool,
            Gate::ToolText,
            Gate::Handler,
            Gate::Prose,
            Gate::LinkError,
            Gate::AuthorizeTool,
            Gate::ElicitationError,
            Gate::Scope,
        ] {
            let server = McpServer::start(gate, mode);
            server.widen();
            let closed = post(&server, &call("build_creative"), None);
            assert_eq!(is_done(&closed), gate == Gate::None, "{gate:?} {mode:?}: {closed:?}");
            let old = server.token();
            let new = server.rotate();
            assert_eq!(
                is_done(&with_token(&server, &call("build_creative"), &old)),
                gate == Gate::None,
                "{gate:?} {mode:?}"
            );
            let open = with_token(&server, &call("build_creative"), &new);
            assert!(is_done(&open), "{gate:?} {mode:?}: {open:?}");
            let other = post(&server, &call("build_creative"), Some(("x-adcp-auth", &new)));
            assert!(is_done(&other), "{gate:?} {mode:?}: {other:?}");
            assert_eq!(server.calls("tools/call").len(), 4);
            assert_eq!(server.requests().len(), 4);
        }
    }
}

#[test]
fn http_gates_refuse_everything_each_in_its_way() {
    let hello = request("initialize", json!({}));
    let server = McpServer::start(Gate::Http, Mode::Sse);
    let challenge = |page: &Page| page.header("www-authenticate").unwrap_or_default().to_owned();
    let bare = post(&server, &hello, None);
    assert_eq!(bare.status, 401);
    assert!(!challenge(&bare).contains("resource_metadata"), "{bare:?}");

    let issuer = AuthorizationServer::start();
    server.issue_from(&issuer.issuer());
    server.demand_scope("mcp:basic");
    let full = challenge(&post(&server, &hello, None));
    let place = full.split("resource_metadata=\"").nth(1).unwrap().trim_end_matches('"');
    assert!(full.contains("scope=\"mcp:basic\""), "{full}");
    let metadata: Value = serde_json::from_str(&browser::open(place).body).unwrap();
    assert_eq!(metadata["resource"], server.url());
    assert_eq!(metadata["authorization_servers"], json!([issuer.issuer()]));
    server.trust(issuer.introspection());
    assert_eq!(with_token(&server, &hello, &server.token()).status, 401);

    server.close(Gate::HttpBare);
    let plain = post(&server, &hello, None);
    assert_eq!((plain.status, plain.header("www-authenticate")), (401, None));
    server.close(Gate::HttpLink);
    let linked: Value = serde_json::from_str(&post(&server, &hello, None).body).unwrap();
    assert_eq!(linked["authorization_url"], server.link());
    server.follow_link();
    assert_eq!(answer(&post(&server, &hello, None))["result"]["protocolVersion"], "2025-11-25");
}

#[test]
fn a_scope_is_asked_for_until_it_is_there() {
    let server = McpServer::start(Gate::Scope, Mode::Json);
    server.demand_scope("files:write");
    let token = server.token();
    assert_eq!(with_token(&server, &request("tools/list", json!({})), &token).status, 200);
    let refused = with_token(&server, &call("build_creative"), &token);
    assert_eq!(refused.status, 403);
    let challenge = refused.header("www-authenticate").unwrap();
    assert_eq!(challenge, "Bearer error=\"insufficient_scope\", scope=\"files:write\"");
    server.widen();
    assert!(is_done(&with_token(&server, &call("build_creative"), &token)));
}

#[test]
fn refusals_of_calls_have_the_codes_of_their_revision() {
    let error = |page: &Page| answer(page)["result"]["structuredContent"]["adcp_error"].clone();
    let server = McpServer::start(Gate::Handler, Mode::Sse);
    assert!(is_done(&post(&server, &call("list_formats"), None)));
    let missing = post(&server, &call("build_creative"), None);
    assert_eq!(answer(&missing)["result"]["isError"], true);
    assert_eq!(error(&missing)["code"], "AUTH_REQUIRED");
    let bad = with_token(&server, &call("build_creative"), "bad");
    assert_eq!(
        (&error(&bad)["code"], &error(&bad)["recovery"]),
        (&json!("AUTH_REQUIRED"), &json!("terminal"))
    );
    server.speak_adcp_3_1();
    assert_eq!(error(&post(&server, &call("build_creative"), None))["code"], "AUTH_MISSING");
    assert_eq!(error(&with_token(&server, &call("build_creative"), "bad"))["code"], "AUTH_INVALID");

    server.close(Gate::ToolText);
    assert!(is_done(&post(&server, &call("get_adcp_capabilities"), None)));
    let text = answer(&post(&server, &call("list_formats"), None));
    assert_eq!(text["result"]["structuredContent"], Value::Null);
    let inner = text["result"]["content"][0]["text"].as_str().unwrap();
    assert!(inner.contains("\"adcp_error\""), "{inner}");
}

#[test]
fn links_open_what_they_are_for() {
    for gate in [Gate::LinkError, Gate::ElicitationError, Gate::Connection] {
        let server = McpServer::start(gate, Mode::Json);
        server.hand_out("https://evil.example/x");
        let foreign = post(&server, &call("build_creative"), None);
        assert!(foreign.body.contains("https://evil.example/x"), "{foreign:?}");
        server.hand_out(&server.url().replace("/mcp", "/oauth/authorize?mcp_session=1"));
        assert!(!server.is_followed());
        server.follow_link();
        assert!(server.is_followed());
        assert!(is_done(&post(&server, &call("build_creative"), None)), "{gate:?}");
    }
}

#[test]
fn the_authorize_tool_gives_way_to_the_others() {
    let list = request("tools/list", json!({}));
    let server = McpServer::start(Gate::AuthorizeTool, Mode::Sse);
    assert_eq!(tools(&post(&server, &list, None)), ["authorize"]);
    let hidden = answer(&post(&server, &call("build_creative"), None));
    assert_eq!(hidden["error"]["message"], "Tool not found: build_creative");
    let invitation = answer(&post(&server, &call("authorize"), None));
    assert_eq!(invitation["result"]["isError"], Value::Null);
    assert!(invitation.to_string().contains(&server.link()), "{invitation}");
    server.follow_link();
    let next = messages(&post(&server, &list, None));
    assert_eq!(next[0]["method"], "notifications/tools/list_changed");
    assert_eq!(next[1]["result"]["tools"].as_array().unwrap().len(), 3);
    assert_eq!(messages(&post(&server, &list, None)).len(), 1);
}

#[test]
fn the_transport_is_that_of_a_server_without_sessions() {
    let server = McpServer::start(Gate::None, Mode::Json);
    let url = Url::parse(&server.url()).unwrap();
    assert_eq!(browser::get(&url).status, 405);
    assert_eq!(browser::request(&url, "DELETE /mcp HTTP/1.1\r\n\r\n").status, 405);
    assert_eq!(browser::request(&url, "POST /mcp HTTP/1.1\r\nAccept: */*\r\n\r\n").status, 406);
    let modern = Some(("MCP-Protocol-Version", "2026-07-28"));
    assert_eq!(post(&server, &request("server/discover", json!({})), modern).status, 400);
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(post(&server, &note, None).status, 202);
    let broken = "POST /mcp HTTP/1.1\r\nAccept: application/json, text/event-stream\r\n\
                  Content-Length: 1\r\n\r\n{";
    assert_eq!(browser::request(&url, broken).status, 400);
    assert_eq!(answer(&post(&server, &request("ping", json!({})), None))["result"], json!({}));
    let unknown = answer(&post(&server, &request("nothing", json!({})), None));
    assert_eq!(unknown["error"]["code"], -32601);
    let list = request("tools/list", json!({}));
    assert_eq!(tools(&with_token(&server, &list, &server.token())).pop().unwrap(), "private_notes");
}
