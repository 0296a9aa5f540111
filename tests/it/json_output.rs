//! `--json`: what every command prints is one document that `authctl generate schema` describes, without
//! a secret; an error leaves stdout empty and is the last line on stderr; and the exit code is that of
//! the text form.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::authorization_server::{AuthorizationServer, Endpoint, Fault};
use crate::support::demo;
use crate::support::sandbox::{Output, Sandbox};
use crate::support::signed_in::{self, SignedIn};

const KEY: &str = "sk-0123456789-of-groq";

/// The schema as it is printed, with every object closed: a field that nobody wrote down is a fault too.
fn schema() -> Value {
    let printed = Sandbox::new().run(["generate", "schema"]).success();
    let mut schema = serde_json::from_str(&printed).unwrap();
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".into(), false.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Asserts that `text` is one document of this name in the schema.
#[track_caller]
pub fn assert_is(name: &str, text: &str) -> Value {
    let document: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}: {text:?}"));
    let mut schema = schema();
    assert!(schema["$defs"][name].is_object(), "the schema has no {name}");
    schema["$ref"] = format!("#/$defs/{name}").into();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(&document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{name}: {faults:#?}\n{document:#}");
    assert_eq!(document["version"], 1);
    document
}

/// Runs a command in its text form and with `--json`, each in a sandbox of its own where it changes
/// anything; the codes must be the same.
#[track_caller]
fn both(prepared: impl Fn() -> Sandbox, arguments: &[&str], input: &str) -> Output {
    let text = prepared().run_with_input(arguments, input);
    let sandbox = prepared();
    let json = sandbox.run_with_input([&["--json"], arguments].concat(), input);
    assert_eq!(json.code(), text.code(), "{text:?} {json:?}");
    // The flag stands anywhere before `--`.
    if !arguments.contains(&"--") {
        let after = prepared().run_with_input([arguments, &["--json"]].concat(), input);
        assert_eq!(after.code(), json.code(), "{after:?}");
        assert_eq!(after.stdout.is_empty(), json.stdout.is_empty(), "{after:?}");
    }
    json
}

/// The same for a command that succeeds; its document is named so in the schema.
#[track_caller]
fn document(name: &str, prepared: impl Fn() -> Sandbox, arguments: &[&str], input: &str) -> Value {
    let output = both(prepared, arguments, input);
    assert_eq!(output.code(), 0, "{output:?}");
    assert_eq!(output.stderr, "", "{arguments:?}");
    assert!(name == "token" || !output.stdout.contains(KEY), "{output:?}");
    assert_is(name, &output.stdout)
}

/// The same for one that fails.
#[track_caller]
fn refused(prepared: impl Fn() -> Sandbox, arguments: &[&str], input: &str, code: i32) -> Value {
    let output = both(prepared, arguments, input);
    assert_eq!(output.stdout, "", "{arguments:?}");
    assert!(!output.stderr.contains(KEY), "{output:?}");
    let said = output.failure(code);
    assert_is("error", said.lines().last().unwrap())
}

fn with_key() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["login", "groq", "--with-key"], KEY).success();
    sandbox
}

// ------------------------------------------------------------------------------------- the schema

#[test]
fn the_schema_is_a_schema_and_names_a_version_in_every_document() {
    let printed = Sandbox::new().run(["--json", "generate", "schema"]).success();
    let schema: Value = serde_json::from_str(&printed).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let parts = ["credential", "provider", "kind"];
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let version = &definition["properties"]["version"]["const"];
        assert_eq!(version == 1, !parts.contains(&name.as_str()), "{name}");
    }
}

/// Without this, a validator that accepts everything would let every other test pass.
#[test]
fn the_closed_schema_refuses_what_is_not_in_it() {
    let good = json!({ "version": 1, "name": "x", "agents_may_print": true });
    assert_is("permission", &good.to_string());
    for (field, value) in [
        ("name", json!(1)),
        ("agents_may_print", Value::Null),
        ("something", json!("else")),
        ("version", json!(2)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let refused = std::panic::catch_unwind(|| assert_is("permission", &bad.to_string()));
        assert!(refused.is_err(), "{bad}");
    }
    let twice = format!("{good}{good}");
    assert!(std::panic::catch_unwind(|| assert_is("permission", &twice)).is_err());
}

// -------------------------------------------------------------------------------------- documents

#[test]
fn login_says_what_is_stored() {
    let login = ["login", "groq:work", "--with-key"];
    let first = document("login", Sandbox::new, &login, KEY);
    assert_eq!((&first["name"], &first["kind"]), (&"groq:work".into(), &"api_key".into()));
    assert_eq!(first["replaced"], false);
    let again = document("login", with_key, &["login", "groq", "--with-key"], "sk-new");
    assert_eq!(again["replaced"], true);
}

#[test]
fn status_lists_what_is_held_and_what_is_given() {
    let empty = document("status", Sandbox::new, &["status"], "");
    assert_eq!(empty["credentials"], json!([]));
    document("status", Sandbox::new, &["status", "groq"], "");

    let held = document("status", with_key, &["status"], "");
    assert_eq!(held["credentials"][0]["name"], "groq");
    assert_eq!(held["credentials"][0]["state"], "active");
    document("status", with_key, &["status", "groq:default"], "");

    let given = || {
        let mut sandbox = with_key();
        sandbox.env("OPENAI_API_KEY", "sk-given-openai").env("AUTHCTL_GROQ_TOKEN", "gsk-given");
        sandbox
    };
    let shown = document("status", given, &["status"], "");
    assert_eq!(shown["given"], json!([{ "name": "openai", "variable": "OPENAI_API_KEY" }]));
    assert_eq!(shown["credentials"][0]["given_by"], "AUTHCTL_GROQ_TOKEN");
    assert!(!shown.to_string().contains("given-openai"), "{shown}");
}

/// A file of the index that no longer is one.
fn with_damage() -> Sandbox {
    let sandbox = with_key();
    let index = sandbox.path("home/.local/state/authctl/index/file/credential~groq~default.json");
    std::fs::write(index, "{").unwrap();
    sandbox
}

#[test]
fn a_status_with_something_broken_is_a_document_and_exit_code_1() {
    let output = both(with_damage, &["status"], "");
    assert_eq!((output.code(), &*output.stderr), (1, ""), "{output:?}");
    let shown = assert_is("status", &output.stdout);
    assert_eq!(shown["damaged"].as_array().unwrap().len(), 1);
}

#[test]
fn token_is_the_one_document_with_a_secret() {
    for arguments in [&["token", "groq"][..], &["token", "groq", "--header"]] {
        let shown = document("token", with_key, arguments, "");
        assert_eq!(shown["token"], KEY);
        let header = json!({ "name": "Authorization", "value": format!("Bearer {KEY}") });
        assert_eq!(shown["header"], header);
    }
}

#[test]
fn taking_back_a_permission_is_a_document_too() {
    let shown = document("permission", with_key, &["permission", "withdraw", "groq"], "");
    assert_eq!(shown, json!({ "version": 1, "name": "groq", "agents_may_print": false }));
    let listed = document("permission_list", with_key, &["permission", "list"], "");
    assert_eq!(listed["permissions"][0]["agents_may_print"], false);
    document("permission_list", Sandbox::new, &["permission", "list", "groq"], "");
}

#[test]
fn what_a_manifest_asks_for_is_shown_approved_and_listed() {
    let written = || {
        let sandbox = with_key();
        let text = "with = [\"groq\", \"openai=MY_KEY\"]\n[accounts]\nopenai = \"work\"\n";
        std::fs::write(sandbox.path("work/authctl.toml"), text).unwrap();
        sandbox
    };
    let shown = document("trust", written, &["trust", "--show"], "");
    assert_eq!(
        (&shown["state"], &shown["accounts"]["openai"]),
        (&"not_approved".into(), &"work".into())
    );
    let hash = shown["hash"].as_str().unwrap();
    let approved = document("trust", written, &["trust", "--hash", hash], "");
    assert_eq!(approved["state"], "approved");
    let approved = || {
        let sandbox = written();
        sandbox.run(["trust", "--hash", hash]).success();
        sandbox
    };
    document("trust", approved, &["trust"], "");
    let listed = document("trust_list", approved, &["trust", "--list"], "");
    assert_eq!(listed["approvals"][0]["state"], "approved");
    document("trust_list", Sandbox::new, &["trust", "--list"], "");
    document("trust_revoke", approved, &["trust", "--revoke"], "");
    let changed = || {
        let sandbox = approved();
        std::fs::write(sandbox.path("work/authctl.toml"), "with = [\"groq\"]\n").unwrap();
        sandbox
    };
    let shown = document("trust", changed, &["trust", "--show"], "");
    assert_eq!(shown["removed"], json!(["openai in MY_KEY", "openai as work"]));
    refused(changed, &["exec", "--", "true"], "", 125);
    refused(changed, &["trust"], "", 4);
    refused(Sandbox::new, &["trust"], "", 2);
}

#[test]
fn the_log_is_one_document_without_a_secret() {
    let shown = document("log", Sandbox::new, &["log"], "");
    assert_eq!((&shown["entries"], &shown["enabled"]), (&json!([]), &true.into()));
    let used = || {
        let sandbox = with_key();
        sandbox.run(["token", "groq"]).success();
        sandbox.run(["exec", "--with", "groq=MY_KEY", "--", "true"]).success();
        sandbox.run(["token", "groq:work"]).failure(4);
        sandbox
    };
    let shown = document("log", used, &["log"], "");
    assert_eq!(shown["entries"].as_array().unwrap().len(), 4, "{shown}");
    assert_eq!(shown["entries"][2]["variable"], "MY_KEY");
    assert!(!shown.to_string().contains(KEY), "{shown}");
}

#[test]
fn logout_lists_what_was_forgotten() {
    let shown = document("logout", with_key, &["logout", "groq"], "");
    assert_eq!(shown["signed_out"][0]["name"], "groq");
    assert_eq!(shown["signed_out"][0]["revoked"], json!(null));
    let shown = document("logout", with_key, &["logout", "--all"], "");
    assert_eq!(shown["signed_out"].as_array().unwrap().len(), 1);
    let shown = document("logout", Sandbox::new, &["logout", "--all"], "");
    assert_eq!(shown["signed_out"], json!([]));
}

#[test]
fn every_provider_is_shown_as_it_is_listed() {
    let listed = document("provider_list", Sandbox::new, &["provider", "list"], "");
    let providers = listed["providers"].as_array().unwrap();
    let text = Sandbox::new().run(["provider", "list"]).success();
    assert_eq!(providers.len(), text.lines().count());
    let sandbox = Sandbox::new();
    for provider in providers {
        let id = provider["id"].as_str().unwrap();
        let shown = sandbox.run(["provider", "show", id, "--json"]).success();
        // One look at the schema is enough for what is the same.
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["provider"], *provider);
    }
    document("provider_show", Sandbox::new, &["provider", "show", "github"], "");
    let configured = || {
        let sandbox = Sandbox::new();
        sandbox.write_config("[provider.demo.basic]\nvariables = [\"DEMO\"]\n");
        sandbox
    };
    let shown = document("provider_show", configured, &["provider", "show", "demo"], "");
    assert!(shown["provider"]["source"].as_str().unwrap().ends_with("config.toml:1"), "{shown}");
}

#[test]
fn a_check_lists_its_steps_whether_they_work_or_not() {
    let shown = document("provider_check", with_key, &["provider", "check", "groq"], "");
    let good = |step: &Value| step["ok"] == true || step["skipped"].is_string();
    assert!(shown["steps"].as_array().unwrap().iter().all(good), "{shown}");
    let output = both(Sandbox::new, &["provider", "check", "groq"], "");
    assert_eq!((output.code(), &*output.stderr), (1, ""), "{output:?}");
    let shown = assert_is("provider_check", &output.stdout);
    assert_eq!(shown["steps"][1]["hints"], json!(["authctl login groq"]));
}

#[test]
fn a_provider_that_comes_and_goes_is_a_document() {
    let add = ["provider", "add", "x", "--bearer", "--variable", "X_TOKEN"];
    let shown = document("provider_add", Sandbox::new, &add, "");
    assert_eq!(shown["toml"], "[provider.x.bearer]\nvariables = [\"X_TOKEN\"]\n");
    assert_eq!((&shown["written"], &shown["replaced"]), (&json!(true), &json!(false)));
    let with_x = || {
        let sandbox = Sandbox::new();
        sandbox.run(add).success();
        sandbox
    };
    document("provider_remove", with_x, &["provider", "remove", "x"], "");
    refused(with_x, &add, "", 2);
    refused(Sandbox::new, &["provider", "remove", "groq"], "", 2);
}

#[test]
fn an_import_lists_what_it_found_and_did() {
    let with_files = || {
        let sandbox = Sandbox::new();
        std::fs::write(sandbox.path("work/.env"), format!("GROQ_API_KEY={KEY}\nX_KEY=1\n"))
            .unwrap();
        sandbox
    };
    let shown = document("import", with_files, &["import"], "");
    assert_eq!((&shown["found"][0]["state"], &shown["stored"]), (&json!("new"), &json!([])));
    assert_eq!(shown["differences"], json!([]));
    let dry = document("import", with_files, &["import", "--dry-run"], "");
    let difference = dry["differences"][0]["difference"].as_str().unwrap();
    assert!(difference.contains("\n-GROQ_API_KEY=…\n+# GROQ_API_KEY: authctl exec"), "{dry}");
    assert_eq!((&dry["stored"], dry["differences"].as_array().unwrap().len()), (&json!([]), 1));
    let done = document("import", with_files, &["import", "--rewrite"], "");
    assert_eq!((&done["stored"], &done["found"][0]["rewritten"]), (&json!(["groq"]), &json!(true)));
    // A file that was passed over is in it, and the command ends with 1.
    let with_broken = || {
        let sandbox = with_files();
        std::fs::write(sandbox.path("work/.mcp.json"), "{").unwrap();
        sandbox
    };
    let output = with_broken().run(["import", "--json"]);
    assert_eq!(output.code(), 1, "{output:?}");
    let shown = assert_is("import", &output.stdout);
    assert_eq!(shown["unreadable"].as_array().unwrap().len(), 1);
    refused(with_broken, &["import", ".mcp.json"], "", 2);
}

#[test]
fn clients_and_their_servers_are_documents() {
    let with_client = || {
        let sandbox = Sandbox::new();
        let servers =
            json!({ "mcpServers": { "x": { "command": "y", "env": { "GROQ_API_KEY": KEY } } } });
        std::fs::write(sandbox.path("work/.mcp.json"), servers.to_string()).unwrap();
        sandbox
    };
    let url = "https://mcp.example.com/mcp";
    let install = ["mcp", "install", "-y", "claude-code", url, "--project"];
    let done = document("mcp_change", with_client, &install, "");
    assert_eq!((&done["written"], &done["files"][0]["change"]), (&json!(true), &json!("added")));
    let dry = document("mcp_change", with_client, &[&install[..], &["--dry-run"]].concat(), "");
    assert_eq!(dry["files"][0]["backup"], json!(null));
    let installed = || {
        let sandbox = with_client();
        sandbox.run(install).success();
        sandbox
    };
    let shown = document("mcp_list", installed, &["mcp", "list"], "");
    assert_eq!(shown["servers"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&shown["servers"][1]["literals"], &shown["servers"][1]["through"]),
        (&json!(1), &json!(null))
    );
    let remove = ["mcp", "remove", "-y", "claude-code", "example", "--project"];
    let gone = document("mcp_change", installed, &remove, "");
    assert_eq!(gone["files"][0]["change"], "removed");
    document("import", installed, &["mcp", "import"], "");
    let dry = document("import", installed, &["mcp", "import", "--dry-run"], "");
    let difference = dry["differences"][0]["difference"].as_str().unwrap();
    assert!(difference.contains("\"--with\", \"groq\""), "{dry}");
    assert!(!dry.to_string().contains(KEY), "{dry}");
    refused(installed, &["mcp", "remove", "claude-code", "x", "--project"], "", 2);
    refused(with_client, &remove, "", 2);
    refused(with_client, &["mcp", "install", "emacs", url], "", 2);
}

#[test]
fn exec_leaves_stdout_to_the_command() {
    let command = ["exec", "--with", "groq", "--", "sh", "-c", "echo '<mine>'; exit 7"];
    let output = both(with_key, &command, "");
    assert_eq!((output.code(), &*output.stdout, &*output.stderr), (7, "<mine>\n", ""));
}

// ------------------------------------------------------------------------------------------ OAuth

/// One command with and without `--json`; the document, and the exit code of both.
#[track_caller]
fn seen(signed_in: &SignedIn, name: &str, arguments: &[&str]) -> (i32, Value) {
    let text = signed_in.sandbox.run(arguments);
    let json = signed_in.sandbox.run([arguments, &["--json"]].concat());
    assert_eq!(json.code(), text.code(), "{text:?} {json:?}");
    for secret in signed_in.server.secrets() {
        assert!(name == "token" || !json.stdout.contains(&secret), "{json:?}");
        assert!(!json.stderr.contains(&secret), "{json:?}");
    }
    (json.code(), assert_is(name, &json.stdout))
}

#[test]
fn an_oauth_credential_is_shown_in_every_state() {
    let mine = SignedIn::not_yet("", |_| {});
    let login = signed_in::login(&mine.sandbox, &["--json"]);
    let shown = assert_is("login", &login.stdout);
    assert_eq!((&shown["kind"], &shown["scopes"]), (&"oauth".into(), &json!(["read"])));

    let state = |arguments: &[&str]| {
        let (code, shown) = seen(&mine, "status", arguments);
        (code, shown["credentials"][0]["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(state(&["status"]), (0, "active".into()));
    let (_, token) = seen(&mine, "token", &["token", "demo"]);
    assert_eq!(token["header"]["value"], format!("Bearer {}", token["token"].as_str().unwrap()));
    assert!(token["expires_at"].is_string(), "{token}");
    assert_eq!(seen(&mine, "provider_check", &["provider", "check", "demo"]).0, 0);

    mine.expire();
    // The index learns it from the next look at the record, which cannot refresh it.
    mine.server.always(Endpoint::Token, Some(Fault::Status(503)));
    assert_eq!(state(&["status", "--check"]), (1, "failing".into()));
    mine.server.always(Endpoint::Token, Some(Fault::Error("invalid_grant")));
    assert_eq!(state(&["status", "--check"]), (1, "ended".into()));
    assert_eq!(state(&["status"]), (1, "ended".into()));
    let (_, shown) = seen(&mine, "status", &["status"]);
    assert!(shown["credentials"][0]["reason"].is_string(), "{shown}");

    mine.server.always(Endpoint::Token, None);
    signed_in::login(&mine.sandbox, &[]).success();
    mine.pass(SignedDuration::from_mins(1));
    let output = mine.sandbox.run(["logout", "demo", "--json"]);
    let shown = assert_is("logout", &output.stdout);
    assert_eq!(shown["signed_out"][0]["revoked"], json!(true));
}

/// A provider that is signed in to where no browser is; each call is a sandbox of its own.
fn away(server: &AuthorizationServer, keys: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.unset("BROWSER").env("SSH_TTY", "/dev/pts/9");
    sandbox.write_config(&demo::config(server, keys));
    sandbox
}

#[test]
fn a_login_that_nobody_can_answer_is_a_document_and_exit_code_4() {
    for (keys, grant) in [
        ("client = \"register\"\ngrants = [\"authorization_code\"]", "authorization_code"),
        ("client = \"register\"", "device_code"),
    ] {
        let server = AuthorizationServer::start();
        let output = both(|| away(&server, keys), &["login", "demo:work"], "");
        assert_eq!((output.code(), &*output.stderr), (4, ""), "{output:?}");
        let shown = assert_is("login_pending", &output.stdout);
        assert_eq!(shown["grant"], grant);
        assert_eq!(shown["url"].is_string(), grant == "authorization_code", "{shown}");
        assert_eq!(shown["user_code"].is_string(), grant == "device_code", "{shown}");
        assert_eq!(shown["resume"], "authctl login demo:work --resume");
    }
}

#[test]
fn what_cannot_be_finished_is_a_json_error() {
    let server = AuthorizationServer::start();
    let keys = "client = \"register\"\ngrants = [\"authorization_code\"]";
    let nothing = || away(&server, keys);
    let said = refused(nothing, &["login", "demo", "--resume"], "code\n", 4);
    assert_eq!(said["error"]["kind"], "login_required");
    let waiting = || {
        let sandbox = away(&server, keys);
        sandbox.run(["login", "demo"]).failure(4);
        sandbox
    };
    for pasted in ["two words", "", "http://127.0.0.1/callback?code=c&state=s"] {
        let said = refused(waiting, &["login", "demo", "--resume"], pasted, 2);
        assert_eq!(said["error"]["kind"], "usage", "{pasted}");
        assert_eq!(said["error"]["hints"], json!(["authctl login demo --resume"]), "{pasted}");
    }
}

#[test]
fn a_server_that_could_not_be_told_is_in_the_document() {
    let mine = SignedIn::new();
    mine.server.always(Endpoint::Revoke, Some(Fault::Status(503)));
    let output = mine.sandbox.run(["logout", "demo", "--json"]);
    assert_eq!(output.code(), 0, "{output:?}");
    let shown = assert_is("logout", &output.stdout);
    assert_eq!(shown["signed_out"][0]["revoked"], json!(false));
}

// ----------------------------------------------------------------------------------------- errors

#[test]
fn a_refusal_is_one_json_line_on_stderr_with_the_code_of_the_text_form() {
    for (arguments, code, kind) in [
        (&["token", "groq:work"][..], 4, "login_required"),
        (&["token", "gorq"], 2, "usage"),
        (&["token", "groq", "--min-ttl", "soon"], 2, "usage"),
        (&["token", "groq", "--no-such-flag"], 2, "usage"),
        (&["token"], 2, "usage"),
        (&["permission", "allow", "groq"], 4, "confirmation_required"),
        (&["permission"], 2, "usage"),
        (&["permission", "list", "gorq"], 2, "usage"),
        (&["log", "--since", "soon"], 2, "usage"),
        (&["status", "gorq"], 2, "usage"),
        (&["status", "Groq"], 2, "usage"),
        (&["logout"], 2, "usage"),
        (&["logout", "groq:work"], 1, "failed"),
        (&["login"], 2, "usage"),
        (&["login", "mistral"], 4, "login_required"),
        (&["login", "github"], 2, "usage"),
        (&["login", "mistral", "--with-key"], 2, "usage"),
        (&["login", "mistral", "--key-file", "missing"], 2, "usage"),
        (&["login", "mistral", "--device"], 2, "usage"),
        (&["provider", "show", "gorq"], 2, "usage"),
        (&["provider", "check", "gorq"], 2, "usage"),
        (&["provider"], 2, "usage"),
        (&["generate"], 2, "usage"),
        (&["generate", "man", "/dev/null/man"], 1, "failed"),
        (&["exec", "--with", "groq:work", "--", "true"], 125, "login_required"),
        (&["exec", "--with", "gorq", "--", "true"], 125, "usage"),
        (&["exec", "--", "true"], 125, "usage"),
        (&["exec", "--with", "groq", "--", "no-such-program"], 127, "not_found"),
        (&["exec", "--with", "groq", "--", "/"], 126, "not_executable"),
        (&["exec"], 125, "usage"),
        (&["no-such-command"], 2, "usage"),
    ] {
        let said = refused(with_key, arguments, "", code);
        assert_eq!(said["error"]["kind"], kind, "{arguments:?} {said}");
        let message = said["error"]["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    }
}

#[test]
fn a_command_without_its_subcommand_is_told_what_is_missing() {
    let said = refused(Sandbox::new, &["provider"], "", 2);
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("authctl provider [OPTIONS] <COMMAND>"), "{message}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_json_error_for_every_command() {
    let wrong = || {
        let sandbox = Sandbox::new();
        sandbox.write_config("stroe = \"file\"\n");
        sandbox
    };
    for (arguments, code) in [
        (&["status"][..], 2),
        (&["token", "groq"], 2),
        (&["login", "groq", "--with-key"], 2),
        (&["logout", "groq"], 2),
        (&["provider", "list"], 2),
        (&["provider", "check", "groq"], 2),
        (&["exec", "--with", "groq", "--", "true"], 125),
    ] {
        let said = refused(wrong, arguments, KEY, code);
        assert_eq!(said["error"]["kind"], "usage");
        let message = said["error"]["message"].as_str().unwrap();
        assert!(message.contains("config.toml:1: stroe: "), "{arguments:?} {message}");
    }
}

/// Warnings are for people; what a script reads is the last line.
#[test]
fn an_error_after_a_warning_is_the_last_line() {
    let given = || {
        let mut sandbox = Sandbox::new();
        sandbox.env("AUTHCTL_GROQ_TOKEN", "gsk-given");
        sandbox
    };
    let said = refused(given, &["login", "groq", "--with-key"], "two words", 2);
    assert_eq!(said["error"]["kind"], "usage");
}

#[test]
fn a_server_that_is_away_is_a_json_error_with_the_code_for_later() {
    let mine = SignedIn::new();
    mine.expire();
    mine.server.always(Endpoint::Token, Some(Fault::Status(503)));
    let output = mine.sandbox.run(["token", "demo", "--json"]);
    assert_eq!(output.stdout, "");
    let said = output.failure(75);
    assert_eq!(assert_is("error", said.lines().last().unwrap())["error"]["kind"], "try_again");
}
