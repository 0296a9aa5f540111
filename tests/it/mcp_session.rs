//! Signing in while a session goes on, as a host lives through it: it is greeted at once, what needs the sign-in
//! waits for it and is answered in any case, and the link reaches the person in the host's own way.

use serde_json::{Value, json};

use crate::support::authorization_server::{Endpoint, Fault, Person};
use crate::support::browser;
use crate::support::mcp_host::Host;
use crate::support::mcp_scene::{Scene, call, is_done, link, modern, shows_links, text, tools};
use crate::support::mcp_server::{Gate, Mode};
use crate::support::pty::Terminal;
use crate::support::sandbox::AUTHCTL;

fn is(method: &str) -> impl Fn(&Value) -> bool {
    move |message| message["method"] == method
}

/// A host with a handshake that can do this, greeted.
fn host_with(scene: &Scene, capabilities: &Value, arguments: &[&str]) -> Host {
    let mut host = scene.host(arguments);
    let id = host.hello_with(capabilities);
    assert!(host.answer(&id)["result"].is_object());
    host.notify("notifications/initialized");
    host
}

// ------------------------------------------------------------------------------ greeted while signed out

#[test]
fn a_host_is_greeted_before_anybody_has_signed_in() {
    let scene = Scene::new(Gate::Http);
    let mut host = scene.host(&["--list-wait", "1s", "--call-wait", "1s"]);
    let greeting = host.initialize();
    assert_eq!(greeting["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(greeting["result"]["capabilities"]["tools"]["listChanged"], true);
    // Lists wait, for a while; then a tool stands in.
    let listed = host.call("tools/list", &json!({}));
    assert_eq!(tools(&listed), ["authorize"]);
    assert_eq!(host.call("prompts/list", &json!({}))["result"]["prompts"], json!([]));
    assert_eq!(host.call("resources/list", &json!({}))["result"]["resources"], json!([]));
    // So do calls: what is to be done stands in the result.
    let page = scene.tab(0);
    let refused = host.call("tools/call", &call("build_creative"));
    assert_eq!(refused["result"]["isError"], true);
    assert!(text(&refused).contains(&page), "{refused}");
    let told = host.call("tools/call", &call("authorize"));
    assert_ne!(told["result"]["isError"], true);
    assert!(text(&told).contains(&page), "{told}");

    browser::open(&page);
    host.receive("a change", is("notifications/tools/list_changed"));
    let listed = tools(&host.call("tools/list", &json!({})));
    assert!(listed.contains(&"build_creative".into()), "{listed:?}");
    assert!(!listed.contains(&"authorize".into()), "{listed:?}");
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    assert_eq!(scene.tabs().len(), 1);
    host.last_words();
}

#[test]
fn a_host_without_a_handshake_is_greeted_too() {
    let scene = Scene::new(Gate::Http);
    let mut host = scene.host(&["--list-wait", "1s"]);
    let plain = |parameters: &Value| modern(parameters, &json!({}));
    let greeting = host.call("server/discover", &plain(&json!({})));
    assert_eq!(greeting["result"]["supportedVersions"], json!(["2026-07-28"]));
    let listed = host.call("tools/list", &plain(&json!({})));
    assert_eq!(tools(&listed), ["authorize"]);
    assert_eq!(listed["result"]["resultType"], "complete");
    scene.agree(0);
    let done = host.call("tools/call", &plain(&call("build_creative")));
    assert!(is_done(&done), "{done}");
    let listed = tools(&host.call("tools/list", &plain(&json!({}))));
    assert!(!listed.contains(&"authorize".into()), "{listed:?}");
    assert_eq!(scene.tabs().len(), 1);
    host.last_words();
}

#[test]
fn what_waits_goes_on_by_itself_once_the_person_is_done() {
    let scene = Scene::with(Gate::Http, Mode::Sse);
    let mut host = scene.host(&[]);
    host.initialize();
    let list = host.ask("tools/list", &json!({}));
    let calls: Vec<Value> =
        (0..5).map(|_| host.ask("tools/call", &call("build_creative"))).collect();
    scene.agree(0);
    assert!(tools(&host.answer(&list)).contains(&"build_creative".into()));
    for id in calls {
        assert!(is_done(&host.answer(&id)));
    }
    assert_eq!((scene.tabs().len(), scene.registrations()), (1, 1));
    host.last_words();
}

/// Nobody sees a browser here, and the host cannot show a link: nothing is worth a wait.
#[test]
fn without_a_browser_the_tool_stands_there_at_once() {
    let scene = Scene::new(Gate::Http);
    let mut host = scene.host(&["--no-browser", "--list-wait", "1h", "--call-wait", "1h"]);
    host.initialize();
    assert_eq!(tools(&host.call("tools/list", &json!({}))), ["authorize"]);
    let refused = host.call("tools/call", &call("build_creative"));
    let told = host.call("tools/call", &call("authorize"));
    let page = link(&text(&told));
    assert!(text(&refused).contains(&page), "{refused}");
    browser::open(&page);
    host.receive("a change", is("notifications/tools/list_changed"));
    assert!(is_done(&host.call("tools/call", &call("build_creative"))));
    assert!(scene.tabs().is_empty());
    host.last_words();
}

// ---------------------------------------------------------------------------------- links in the host's way

#[test]
fn a_host_that_shows_links_shows_the_sign_in() {
    let scene = Scene::new(Gate::Http);
    let mut host = scene.host(&[]);
    let id = host.hello_with(&shows_links());
    host.answer(&id);
    // Not before the host has said that it is ready.
    let list = host.ask("tools/list", &json!({}));
    assert!(!host.asides.iter().any(is("elicitation/create")), "{:?}", host.asides);
    host.notify("notifications/initialized");
    let asked = host.receive("the link", is("elicitation/create"));
    assert_eq!(asked["params"]["mode"], "url");
    let page = asked["params"]["url"].as_str().unwrap().to_owned();
    assert!(page.starts_with(&format!("{}/authorize?", scene.server.issuer())), "{page}");
    let waiting = host.ask("tools/call", &call("build_creative"));
    let accepted = json!({"action": "accept"});
    host.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": accepted}));
    browser::open(&page);
    assert!(is_done(&host.answer(&waiting)));
    assert!(tools(&host.answer(&list)).contains(&"build_creative".into()));
    let over = host.receive("its end", is("notifications/elicitation/complete"));
    assert_eq!(over["params"]["elicitationId"], asked["params"]["elicitationId"]);
    assert!(scene.tabs().is_empty());
    host.last_words();
    assert_eq!(host.asides.iter().filter(|it| is("elicitation/create")(it)).count(), 0);
}

/// Says no, or does not understand, in reply to the link; gives the link.
fn refuse(host: &mut Host, reply: &Value) -> String {
    let asked = host.receive("the link", is("elicitation/create"));
    let mut reply = reply.clone();
    reply["jsonrpc"] = "2.0".into();
    reply["id"] = asked["id"].clone();
    host.send(&reply);
    asked["params"]["url"].as_str().unwrap().to_owned()
}

#[test]
fn a_person_who_says_no_is_not_waited_for() {
    for reply in [
        json!({"result": {"action": "decline"}}),
        json!({"result": {"action": "cancel"}}),
        json!({"error": {"code": -32601, "message": "Method not found"}}),
    ] {
        let scene = Scene::new(Gate::Http);
        let mut host =
            host_with(&scene, &shows_links(), &["--call-wait", "1h", "--list-wait", "1h"]);
        let waiting = host.ask("tools/call", &call("build_creative"));
        let page = refuse(&mut host, &reply);
        let refused = host.answer(&waiting);
        assert_eq!(refused["result"]["isError"], true, "{reply}");
        // Neither is anybody later, until they ask for it.
        assert_eq!(tools(&host.call("tools/list", &json!({}))), ["authorize"]);
        assert_eq!(host.call("tools/call", &call("list_formats"))["result"]["isError"], true);
        assert!(!host.asides.iter().any(is("elicitation/create")), "{:?}", host.asides);
        let told = text(&host.call("tools/call", &call("authorize")));
        assert!(told.contains(&page), "{told}");
        let waiting = host.ask("tools/call", &call("build_creative"));
        browser::open(&page);
        assert!(is_done(&host.answer(&waiting)));
        assert!(scene.tabs().is_empty());
        host.last_words();
    }
}

/// A sign-in that came about elsewhere leaves no question open.
#[test]
fn a_link_that_is_no_longer_needed_is_taken_back() {
    let scene = Scene::new(Gate::Http);
    let mut host = host_with(&scene, &shows_links(), &[]);
    let waiting = host.ask("tools/call", &call("build_creative"));
    let asked = host.receive("the link", is("elicitation/create"));
    browser::open(asked["params"]["url"].as_str().unwrap());
    assert!(is_done(&host.answer(&waiting)));
    let over = host.receive("its end", is("notifications/cancelled"));
    assert_eq!(over["params"]["requestId"], asked["id"]);
    host.receive("its end", is("notifications/elicitation/complete"));
    host.last_words();
}

/// The result of a call that asks for the link: where it leads, and the state to send back.
#[track_caller]
fn required(answer: &Value) -> (String, String, Value) {
    let result = &answer["result"];
    assert_eq!(result["resultType"], "input_required", "{answer}");
    let (key, input) = result["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(input["method"], "elicitation/create");
    assert_eq!(input["params"]["mode"], "url");
    let url = input["params"]["url"].as_str().unwrap().to_owned();
    (key.clone(), url, result["requestState"].clone())
}

fn again(parameters: &Value, key: &str, state: &Value, action: &str) -> Value {
    let mut parameters = modern(parameters, &shows_links());
    parameters["requestState"] = state.clone();
    parameters["inputResponses"] = json!({ key: { "action": action } });
    parameters
}

#[test]
fn a_host_without_a_handshake_gets_the_link_as_a_result() {
    let scene = Scene::new(Gate::Http);
    let mut host = scene.host(&[]);
    let asked = host.call("tools/call", &modern(&call("build_creative"), &shows_links()));
    let (key, page, state) = required(&asked);
    let declined =
        host.call("tools/call", &again(&call("build_creative"), &key, &state, "decline"));
    assert_eq!(declined["result"]["isError"], true, "{declined}");
    let waiting = host.ask("tools/call", &again(&call("build_creative"), &key, &state, "accept"));
    browser::open(&page);
    let done = host.answer(&waiting);
    assert!(is_done(&done), "{done}");
    // Who has not subscribed to changes is told of none.
    let next = host.call("tools/call", &modern(&call("build_creative"), &shows_links()));
    assert!(is_done(&next), "{next}");
    assert_eq!(host.asides, Vec::<Value>::new());
    assert!(scene.tabs().is_empty());
    // The server sees nothing of it.
    let seen = scene.mcp.calls("tools/call");
    assert!(seen.iter().all(|call| call["params"]["requestState"].is_null()), "{seen:?}");
    host.last_words();
}

#[test]
fn what_a_call_goes_on_with_is_kept_while_the_person_signs_in() {
    let scene = Scene::new(Gate::Http);
    let mut host = scene.host(&[]);
    let mut parameters = modern(&call("build_creative"), &shows_links());
    parameters["requestState"] = json!("a state");
    parameters["inputResponses"] = json!({"who": {"action": "accept"}});
    let asked = host.call("tools/call", &parameters);
    let (key, page, state) = required(&asked);
    let waiting = host.ask("tools/call", &again(&call("build_creative"), &key, &state, "accept"));
    browser::open(&page);
    // This server has a handshake, and no call of its own waits under that state.
    let answer = host.answer(&waiting);
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("requestState"), "{answer}");
    host.last_words();
}

// ------------------------------------------------------------------------------------------ another process

#[test]
fn a_person_at_a_terminal_signs_in_for_the_session() {
    let scene = Scene::new(Gate::Http);
    let mut host = scene.host(&[]);
    host.initialize();
    let waiting = host.ask("tools/call", &call("build_creative"));
    let forsaken = scene.tab(0);
    let mut shell = scene.sandbox.program("sh");
    shell.args(["-c", &format!("'{AUTHCTL}' login {}", scene.mcp.url())]);
    let mut terminal = Terminal::start(shell);
    assert_ne!(scene.tab(1), forsaken);
    scene.agree(1);
    terminal.expect("Signed in to");
    terminal.rest();
    assert!(is_done(&host.answer(&waiting)));
    assert_eq!((scene.tabs().len(), scene.server.grants("authorization_code")), (2, 1));
    host.last_words();
}

// -------------------------------------------------------------------------------------- it comes to nothing

#[test]
fn a_sign_in_that_comes_to_nothing_is_told_in_words_and_not_begun_again_at_once() {
    let scene = Scene::new(Gate::Handler);
    scene.server.rules(|rules| rules.person = Person::SaysNo);
    let mut host = scene.host(&[]);
    host.initialize();
    let waiting = host.ask("tools/call", &call("build_creative"));
    scene.agree(0);
    let refused = host.answer(&waiting);
    assert_eq!(refused["result"]["isError"], true);
    assert!(text(&refused).contains("denied"), "{refused}");
    for _ in 0..5 {
        let refused = host.call("tools/call", &call("build_creative"));
        assert!(text(&refused).contains("declined"), "{refused}");
    }
    assert_eq!(scene.tabs().len(), 1);
    assert!(is_done(&host.call("tools/call", &call("list_formats"))));
    host.last_words();
}

#[test]
fn a_server_where_nobody_can_sign_in_is_told_in_words() {
    let refused_registration = |scene: &Scene| {
        scene.server.always(Endpoint::Register, Some(Fault::Error("access_denied")));
    };
    let no_authorization_server = |scene: &Scene| {
        scene.server.always(Endpoint::Metadata, Some(Fault::Status(404)));
    };
    for prepare in [&refused_registration as &dyn Fn(&Scene), &no_authorization_server] {
        let scene = Scene::new(Gate::Handler);
        prepare(&scene);
        let mut host = scene.host(&[]);
        host.initialize();
        let refused = host.call("tools/call", &call("build_creative"));
        assert_eq!(refused["result"]["isError"], true, "{refused}");
        assert!(text(&refused).len() > 20, "{refused}");
        assert!(is_done(&host.call("tools/call", &call("list_formats"))));
        assert!(scene.tabs().is_empty());
        host.last_words();
    }
}
