//! `authctl acp` where the person's browser is of another machine, or a code stands in the place of a redirect: what
//! the editor shows of a sign-in, and how each ends. The agent is scripted.

use serde_json::{Value, json};

use crate::support::acp_agent::{install, told};
use crate::support::authorization_server::Person;
use crate::support::demo::Demo;
use crate::support::sealed::Sealed;
use crate::support::stdio_host::Host;
use crate::support::{browser, eventually};

const DEVICE: &str = "client = \"register\"\ngrants = [\"device_code\"]";
const BOTH: &str = "client = \"register\"\ngrants = [\"authorization_code\", \"device_code\"]";
const REDIRECT: &str = "client = \"register\"\ngrants = [\"authorization_code\"]";

struct Scene {
    demo: Demo,
    program: String,
}

impl Scene {
    fn new(keys: &str, person: Person) -> Self {
        let mut demo = Demo::with(keys);
        demo.server.rules(|rules| (rules.interval, rules.person) = (1, person));
        let script = json!({"wants": "variable", "capabilities": {}, "methods": []});
        let program = install(&mut demo.sandbox, "some-agent", &script);
        Self { program: program.to_string_lossy().into_owned(), demo }
    }

    /// The editor came by SSH.
    fn away(keys: &str, person: Person) -> Self {
        let mut scene = Self::new(keys, person);
        scene.demo.sandbox.unset("BROWSER").env("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22");
        scene
    }

    fn editor(&self, capabilities: &Value) -> Host {
        let mut command = self.demo.sandbox.command(["acp", "--with", "demo=OPENAI_API_KEY"]);
        command.args(["--", &self.program]);
        let mut editor = Host::start(&self.demo.sandbox, command);
        let hello = json!({"protocolVersion": 1, "clientCapabilities": capabilities});
        editor.request("initialize", &hello);
        editor
    }
}

fn links() -> Value {
    json!({"elicitation": {"url": {}, "form": {}}})
}

fn new_session() -> Value {
    json!({"cwd": "/", "mcpServers": []})
}

/// Begins a session, and waits for what the editor is to show.
fn asked(editor: &mut Host) -> (u64, Value) {
    let id = editor.ask("session/new", &new_session());
    let shown = editor.line("the link", |message| {
        message["method"] == "elicitation/create" && message["params"]["requestId"] == id
    });
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["params"]["mode"], "url", "nothing is asked for by a form");
    (id, shown)
}

fn reply(editor: &mut Host, request: &Value, action: &str) {
    let result = json!({"action": action});
    editor.send(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string());
}

fn is_completed(editor: &Host, shown: &Value) {
    let name = shown["params"]["elicitationId"].clone();
    editor.line("its end", |message| {
        message["method"] == "elicitation/complete" && message["params"]["elicitationId"] == name
    });
}

/// Also to whoever reads stderr.
fn is_said(editor: &mut Host, line: &str) {
    editor.running.wait_for(line, |said| said.contains(line).then_some(()));
}

/// The code of a message, as people read it.
fn code(message: &str) -> String {
    let code = message.split("to find there: ").nth(1).unwrap_or_else(|| panic!("{message}"));
    code.split(';').next().unwrap().to_owned()
}

#[test]
fn a_device_code_stands_in_the_editor_with_its_page() {
    for (scene, has_browser) in
        [(Scene::new(DEVICE, Person::Waits), true), (Scene::away(BOTH, Person::Waits), false)]
    {
        let mut editor = scene.editor(&links());
        let (id, shown) = asked(&mut editor);
        let (page, message) = (&shown["params"]["url"], &shown["params"]["message"]);
        let page = page.as_str().unwrap();
        let code = code(message.as_str().unwrap());
        assert!(page.starts_with(&format!("{}/device", scene.demo.server.issuer())), "{page}");
        is_said(&mut editor, &format!("enter this code:  {code}"));
        reply(&mut editor, &shown, "accept");
        scene.demo.server.approve_devices();
        assert!(editor.answer(id)["result"]["sessionId"].is_string(), "{has_browser}");
        is_completed(&editor, &shown);
        editor.leave().success();
        assert_eq!(told(&scene.demo.sandbox, "session/new").len(), 1);
    }
}

#[test]
fn a_code_that_ends_or_is_refused_is_said_with_the_next_step() {
    let (ends, refused) = (Scene::new(DEVICE, Person::Waits), Scene::new(DEVICE, Person::Waits));
    ends.demo.server.rules(|rules| rules.device_expires_in = 2);
    refused.demo.server.rules(|rules| rules.device_answers.push_back("access_denied"));
    for (scene, may_ask_again) in [(ends, true), (refused, false)] {
        let mut editor = scene.editor(&links());
        let (id, shown) = asked(&mut editor);
        reply(&mut editor, &shown, "accept");
        let answer = editor.answer(id);
        assert_eq!(answer["error"]["code"], -32000, "{answer}");
        assert!(
            answer["error"]["message"].as_str().unwrap().contains("authctl login demo"),
            "{answer}"
        );
        is_completed(&editor, &shown);
        if may_ask_again {
            scene.demo.server.rules(|rules| rules.device_expires_in = 600);
            let (id, again) = asked(&mut editor);
            assert_ne!(again["params"]["message"], shown["params"]["message"], "a code of its own");
            scene.demo.server.approve_devices();
            assert!(editor.answer(id)["result"]["sessionId"].is_string());
        }
        editor.leave().success();
    }
}

#[test]
fn who_declines_or_cancels_a_code_gets_an_answer_at_once() {
    let scene = Scene::new(DEVICE, Person::Waits);
    let mut editor = scene.editor(&links());
    let (id, shown) = asked(&mut editor);
    reply(&mut editor, &shown, "decline");
    let answer = editor.answer(id);
    assert!(answer["error"]["message"].as_str().unwrap().contains("declined"), "{answer}");
    is_completed(&editor, &shown);
    // The same code again: it is still good.
    let (id, again) = asked(&mut editor);
    assert_eq!(again["params"]["message"], shown["params"]["message"]);
    let cancel =
        json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": id}});
    editor.send(&cancel.to_string());
    assert_eq!(editor.answer(id)["error"]["code"], -32800);
    is_completed(&editor, &again);
    editor.leave().success();
}

#[test]
fn a_redirect_that_does_not_come_back_is_finished_in_a_terminal() {
    let scene = Scene::away(REDIRECT, Person::SaysYes);
    let mut editor = scene.editor(&links());
    let (id, shown) = asked(&mut editor);
    let said = shown["params"]["message"].as_str().unwrap();
    assert!(said.contains("authctl login demo --resume"), "{said}");
    reply(&mut editor, &shown, "accept");
    let page = shown["params"]["url"].as_str().unwrap();
    let end = browser::get(&page.parse().unwrap()).header("location").unwrap().to_owned();
    let resumed = ["login", "demo", "--resume"];
    scene.demo.sandbox.run_with_input(resumed, &format!("{end}\n")).success();
    assert!(editor.answer(id)["result"]["sessionId"].is_string());
    is_completed(&editor, &shown);
    editor.leave().success();
    assert_eq!(Sealed::of(&scene.demo.sandbox).pending(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_editor_without_links_is_told_where_to_go() {
    let scene = Scene::away(BOTH, Person::Waits);
    let mut editor = scene.editor(&json!({}));
    let refused = editor.request("authenticate", &json!({"methodId": "authctl"}));
    let said = refused["error"]["message"].as_str().unwrap();
    assert_eq!(refused["error"]["code"], -32000);
    assert!(said.contains(&format!("open {}/device", scene.demo.server.issuer())), "{said}");
    is_said(&mut editor, &code(said));
    // The same once more, and then the person comes.
    let again = editor.request("authenticate", &json!({"methodId": "authctl"}));
    assert_eq!(again["error"]["message"], said);
    scene.demo.server.approve_devices();
    eventually("the sign-in", || {
        let listed = scene.demo.sandbox.run(["status", "--json"]).json();
        (!listed["credentials"].as_array()?.is_empty()).then_some(())
    });
    let opened = editor.request("session/new", &new_session());
    assert!(opened["result"]["sessionId"].is_string(), "{opened}");
    editor.leave().success();
}
