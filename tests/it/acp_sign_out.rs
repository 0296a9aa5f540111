//! `authctl acp` when the editor signs out, and what it hears of who is signed in: the agent forgets what it was given
//! by the gentlest way that it has, and whatever authctl does not see to is the agent's own. The agent is scripted.

use serde_json::{Value, json};

use crate::support::acp_agent::{install, starts, told};
use crate::support::eventually;
use crate::support::sandbox::{Output, Sandbox};
use crate::support::stdio_host::Host;

const KEY: &str = "sk-acp-out-Qm4tZ81xYw0aLk9PvBn3Ts";

const PROVIDERS: &str = "providers_set = { id = \"openai\", api_type = \"openai\" }\n";
const GATEWAY: &str = "gateway = { method = \"gateway\", protocol = \"openai\" }\n";
const IN_BAND: &str = "in_band = { method = \"api-key\", shape = \"api_key\" }\n";
const TOLD: &str = "authenticate = [\"api-key\"]\n";

struct Scene {
    sandbox: Sandbox,
    editor: Host,
}

impl Scene {
    /// An agent that takes OpenAI's key in these ways, and an editor that has greeted it.
    fn new(ways: &str, script: &Value, options: &[&str], capabilities: &Value) -> Self {
        let mut sandbox = Sandbox::new();
        let program = install(&mut sandbox, "own-agent", script);
        sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
        sandbox.write_config(&format!(
            "[acp_agent.own]\ntitle = \"Own\"\ncommands = [\"own-agent\"]\n\
             [[acp_agent.own.providers]]\nprovider = \"openai\"\nvariables = [\"OPENAI_API_KEY\"]\n{ways}"
        ));
        let mut command = sandbox.command(["acp"]);
        command.args(options).arg("--").arg(program);
        let mut editor = Host::start(&sandbox, command);
        let hello = json!({"protocolVersion": 1, "clientCapabilities": capabilities});
        editor.request("initialize", &hello);
        Self { sandbox, editor }
    }

    /// The same with a session, for which the credential is there.
    fn open(ways: &str, script: &Value) -> Self {
        let mut scene = Self::new(ways, script, &["--with", "openai"], &json!({"auth": {}}));
        let opened = scene.session();
        assert!(opened["result"]["sessionId"].is_string(), "{opened}");
        scene
    }

    fn session(&mut self) -> Value {
        self.editor.request("session/new", &json!({"cwd": "/", "mcpServers": []}))
    }

    fn authenticate(&mut self, method: &str) -> Value {
        self.editor.request("authenticate", &json!({"methodId": method}))
    }

    fn count(&self, method: &str) -> usize {
        told(&self.sandbox, method).len()
    }
}

fn script(capabilities: &Value, rules: &Value) -> Value {
    let methods = json!([
        {"id": "api-key", "name": "Key", "_meta": {"api-key": {}}},
        {"id": "gateway", "name": "Gateway", "_meta": {"gateway": {}}},
        {"id": "chat", "name": "Chat"},
    ]);
    json!({"wants": "nothing", "capabilities": capabilities, "methods": methods, "rules": rules})
}

/// What the editor was told of the state, in its order.
fn states(output: &Output) -> Vec<Value> {
    let lines = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pushed = lines.filter(|line| line["method"] == "auth/status_update");
    pushed.map(|line| line["params"].clone()).collect()
}

/// By each way, with and without a sign-out of the agent's own: how often it is started in all, and told what.
#[test]
fn a_sign_out_takes_no_more_than_it_must() {
    let refused = r#"say {"jsonrpc":"2.0","id":$id,"error":{"code":-32603,"message":"no"}}"#;
    let no_providers = json!([{"on": "providers/set", "do": [refused]}]);
    let both = format!("{PROVIDERS}{GATEWAY}");
    let none = json!([]);
    for (ways, rules, has_logout, is_anew, disabled) in [
        (PROVIDERS, &none, true, false, 1),
        (PROVIDERS, &none, false, false, 1),
        (&*both, &no_providers, true, false, 0),
        (&*both, &no_providers, false, true, 0),
        (IN_BAND, &none, true, false, 0),
        (IN_BAND, &none, false, true, 0),
        (TOLD, &none, true, true, 0),
        (TOLD, &none, false, true, 0),
    ] {
        let case = format!("{ways} {has_logout}");
        let mut can = json!({"providers": {}, "loadSession": true});
        if has_logout {
            can["auth"] = json!({"logout": {}});
        }
        let mut scene = Scene::open(ways, &script(&can, rules));
        let before = starts(&scene.sandbox).len();
        assert_eq!(scene.editor.request("logout", &json!({}))["result"], json!({}), "{case}");
        let (new, anew) = (starts(&scene.sandbox), usize::from(is_anew));
        assert_eq!(new.len(), before + anew, "{case}");
        assert_eq!(scene.count("session/load"), anew, "{case}: its session is back");
        assert_eq!(scene.count("providers/disable"), disabled, "{case}");
        assert_eq!(scene.count("logout"), usize::from(has_logout), "{case}");
        let variables = &new.last().unwrap()["started"]["variables"];
        assert_eq!(variables["OPENAI_API_KEY"], Value::Null, "{case}");
        let asked = scene.editor.request("auth/status", &json!({}));
        assert_eq!(asked["result"]["state"], "unauthenticated", "{case}");
        let output = scene.editor.leave();
        let states = states(&output);
        let said: Vec<_> = states.iter().map(|state| state["state"].as_str().unwrap()).collect();
        assert_eq!(said, ["authenticated", "unauthenticated"], "{case}: each once");
    }
}

#[test]
fn whoever_signs_in_again_has_what_the_agent_wants_at_its_start() {
    let method =
        json!({"id": "start", "name": "S", "type": "startParam", "paramName": "--key-env"});
    let script = json!({
        "wants": "parameter",
        "word": "--key-env=OPENAI_API_KEY",
        "capabilities": {},
        "methods": [method],
    });
    let mut scene = Scene::open("", &script);
    scene.editor.request("logout", &json!({}));
    let last = || starts(&scene.sandbox).last().unwrap()["started"]["words"].clone();
    assert_eq!(last(), "", "nothing of it is left");
    assert_eq!(scene.session()["error"]["code"], -32000);
    assert_eq!(scene.authenticate("authctl")["result"], json!({}));
    assert!(scene.session()["result"]["sessionId"].is_string());
    let output = scene.editor.leave();
    assert_eq!(output.stderr.matches("a session is lost").count(), 1, "{}", output.stderr);
}

/// A session that a new start of the agent did not bring back, with the two ways to have none.
#[test]
fn whoever_goes_on_in_a_lost_session_hears_what_to_do() {
    let refused =
        r#"say {"jsonrpc":"2.0","id":$id,"error":{"code":-32002,"message":"Resource not found"}}"#;
    let no_load = json!([{"on": "session/load", "do": [refused]}]);
    for (can, rules, why) in [
        (json!({"loadSession": true}), no_load, "the agent refuses it"),
        (json!({}), json!([]), "it cannot be resumed"),
    ] {
        let mut scene = Scene::new(TOLD, &script(&can, &rules), &["--with", "openai"], &json!({}));
        let session = scene.session()["result"]["sessionId"].clone();
        let prompt = json!({"sessionId": session, "prompt": []});
        let mode = json!({"sessionId": session, "modeId": "plan"});
        scene.editor.request("logout", &json!({}));
        let (before, lost) = (scene.count("session/prompt"), format!("was started anew ({why}); "));
        for (method, params) in [("session/prompt", &prompt), ("session/set_mode", &mode)] {
            let error = scene.editor.request(method, params)["error"].clone();
            assert_eq!(error["code"], -32002, "{error}");
            let said = error["message"].as_str().unwrap();
            let step = "you have signed out here: sign in, and start a new session";
            assert!(said.ends_with(&format!("{lost}{step}")), "{said}");
        }
        scene.authenticate("authctl");
        let error = scene.editor.request("session/prompt", &prompt)["error"].clone();
        let said = error["message"].as_str().unwrap();
        assert!(said.ends_with(&format!("{lost}start a new session")), "{said}");
        assert_eq!(scene.count("session/prompt"), before, "the agent is not asked");
        let new = scene.session()["result"]["sessionId"].clone();
        let answer =
            scene.editor.request("session/prompt", &json!({"sessionId": new, "prompt": []}));
        assert!(answer["result"].is_object(), "{answer}");
        scene.editor.leave();
    }
}

#[test]
fn a_method_that_authctl_uses_is_seen_to_and_every_other_is_the_agents() {
    for (ways, method, count) in
        [(TOLD, "api-key", 1), (GATEWAY, "gateway", 1), (IN_BAND, "api-key", 1)]
    {
        let mut scene = Scene::open(ways, &script(&json!({}), &json!([])));
        assert_eq!(scene.count("authenticate"), count, "{ways}");
        assert_eq!(scene.authenticate(method)["result"], json!({}), "{ways}");
        assert_eq!(scene.count("authenticate"), count, "{ways}: that was done");
        scene.authenticate("chat");
        assert_eq!(scene.count("authenticate"), count + 1, "{ways}");
        scene.editor.request("logout", &json!({}));
        scene.authenticate(method);
        assert_eq!(scene.count("authenticate"), count + 2, "{ways}: it is nobody's any more");
        scene.editor.leave();
    }
}

#[test]
fn a_way_that_did_not_work_leaves_its_method_to_the_editor() {
    let refused = r#"say {"jsonrpc":"2.0","id":$id,"error":{"code":-32603,"message":"no"}}"#;
    let rules = json!([{"on": "authenticate", "if": "apiKey", "do": [refused]}]);
    let options = ["--with", "openai", "--way", "in-band"];
    let mut scene = Scene::new(IN_BAND, &script(&json!({}), &rules), &options, &json!({}));
    assert!(scene.session()["result"]["sessionId"].is_string());
    scene.authenticate("api-key");
    assert_eq!(scene.count("authenticate"), 2);
    scene.editor.leave();
}

#[test]
fn while_it_signs_out_a_method_is_the_agents_again() {
    let ask = r#"say {"jsonrpc":"2.0","id":"q","method":"session/request_permission","params":{}}"#;
    let done = r#"say {"jsonrpc":"2.0","id":$kept,"result":{}}"#;
    let rules =
        json!([{"on": "providers/disable", "do": ["keep", ask]}, {"on": "response", "do": [done]}]);
    let ways = format!("{PROVIDERS}{TOLD}");
    let mut scene = Scene::open(&ways, &script(&json!({"providers": {}}), &rules));
    let out = scene.editor.ask("logout", &json!({}));
    scene.editor.line("the agent at work", |message| message["id"] == "q");
    let own = scene.editor.ask("authenticate", &json!({"methodId": "api-key"}));
    eventually("the agent's own sign-in", || (scene.count("authenticate") == 1).then_some(()));
    scene.editor.send(r#"{"jsonrpc":"2.0","id":"q","result":{}}"#);
    assert_eq!(scene.editor.answer(out)["result"], json!({}));
    assert!(scene.editor.answer(own)["error"].is_object());
    scene.editor.leave();
}

#[test]
fn the_agents_own_state_is_told_in_the_protocols_words_and_once() {
    let say = |status: &Value| {
        let update = json!({"jsonrpc": "2.0", "method": "_auth/status_update", "params": {"authStatus": status}});
        format!("say {update}")
    };
    let named = say(&json!({"kind": "plan", "label": "a \u{1b}[31mperson"}));
    let (bare, none) = (say(&json!({"kind": "plan"})), say(&json!({"kind": "none", "label": "x"})));
    let done = r#"say {"jsonrpc":"2.0","id":$id,"result":{}}"#;
    let rules = json!([{"on": "go", "do": [named, named, bare, none, none, done]}]);
    for (capabilities, is_told) in [(json!({"auth": {}}), true), (json!({}), false)] {
        let script = script(&json!({}), &rules);
        let mut scene = Scene::new("", &script, &["--way", "own"], &capabilities);
        let unknown = scene.editor.request("auth/status", &json!({}));
        assert_eq!(unknown["result"], json!({"state": "unknown", "accounts": []}));
        scene.editor.request("go", &json!({}));
        let asked = scene.editor.request("auth/status", &json!({}));
        assert_eq!(asked["result"], json!({"state": "unauthenticated", "accounts": []}));
        let output = scene.editor.leave();
        let states = states(&output);
        assert_eq!(output.stdout.matches("\"_auth/status_update\"").count(), 5, "as they came");
        if !is_told {
            assert_eq!(states, Vec::<Value>::new(), "an editor that does not speak of it");
            continue;
        }
        let account = |label: &str| json!({"state": "authenticated", "accounts": [{"label": label, "active": true}]});
        let last = json!({"state": "unauthenticated", "accounts": []});
        let labels: Vec<&Value> = states.iter().map(|it| &it["accounts"][0]["label"]).collect();
        assert!(!labels[1].to_string().contains("u001b"), "{labels:?}");
        assert_eq!(states.len(), 4, "{states:?}");
        assert_eq!(states[2..], [account("plan"), last]);
    }
}

#[test]
fn an_agent_that_answers_for_itself_is_asked() {
    let state = r#"say {"jsonrpc":"2.0","id":$id,"result":{"state":"its own"}}"#;
    let rules = json!([{"on": "auth/status", "do": [state]}]);
    let can = json!({"auth": {"status": {}}, "providers": {}});
    let mut scene = Scene::open(PROVIDERS, &script(&can, &rules));
    let status = scene.editor.request("auth/status", &json!({}));
    assert_eq!(status["result"]["state"], "its own");
    let output = scene.editor.leave();
    assert_eq!(states(&output), Vec::<Value>::new(), "authctl says nothing beside it");
}
