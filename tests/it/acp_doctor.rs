//! `authctl acp doctor`, `--print-config`, and what agents are bound to: who may have what is for a person to say,
//! and a dry run hands over nothing. The agent is a script that says what a real one said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::json_output::assert_is;
use crate::support::eventually;
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Output, Sandbox};

const KEY: &str = "sk-doctor-Qm4tZ81xYw0aLk9PvBn3Ts";

/// What codex-acp 2.6 says to an editor that can do everything.
const CODEX: &str = r#"{"protocolVersion":1,"agentInfo":{"name":"@agentclientprotocol/codex-acp","version":"2.6.0"},"agentCapabilities":{"auth":{"logout":{}},"providers":{}},"authMethods":[{"id":"api-key","name":"API Key","_meta":{"api-key":{"provider":"openai"}}},{"id":"chat-gpt","name":"ChatGPT"},{"id":"gateway","name":"Gateway","_meta":{"gateway":{"protocol":"openai"}}}]}"#;

/// Puts an agent into the sandbox: `hello` to an editor with capabilities, `plain` to one without.
fn agent(sandbox: &Sandbox, name: &str, hello: &str, plain: &str) -> PathBuf {
    script(
        sandbox,
        name,
        &format!(
            r#"env >> "$HOME/agent-env"
while IFS= read -r line; do
  id=$(id_of "$line")
  case "$line" in
    *'"initialize"'*gateway*) say '{{"jsonrpc":"2.0","id":'"$id"',"result":{hello}}}' ;;
    *'"initialize"'*) say '{{"jsonrpc":"2.0","id":'"$id"',"result":{plain}}}' ;;
    *'"session/new"'*) say '{{"jsonrpc":"2.0","id":'"$id"',"error":{{"code":-32000,"message":"Authentication required"}}}}' ;;
  esac
done"#
        ),
    )
}

fn script(sandbox: &Sandbox, name: &str, text: &str) -> PathBuf {
    let program = sandbox.path("bin").join(name);
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    let text = format!(
        "#!/bin/sh\nsay() {{ printf '%s\\n' \"$1\"; }}\n\
         id_of() {{ printf %s \"$1\" | sed 's/.*\"id\":\\(\"[^\"]*\"\\).*/\\1/'; }}\necho $$ >> \"$HOME/pids\"\n{text}\n"
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn codex(sandbox: &Sandbox) -> PathBuf {
    let plain = CODEX.replace(
        r#",{"id":"gateway","name":"Gateway","_meta":{"gateway":{"protocol":"openai"}}}"#,
        "",
    );
    agent(sandbox, "codex-acp", CODEX, &plain)
}

fn with_key() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["login", "openai", "--with-key"], KEY).success();
    sandbox
}

fn doctor(sandbox: &Sandbox, options: &[&str], agent: &Path) -> Output {
    let program = agent.to_str().unwrap();
    sandbox.run([&["acp", "doctor"], options, &["--", program]].concat())
}

fn examined(sandbox: &Sandbox, options: &[&str], agent: &Path) -> (i32, Value) {
    let output = doctor(sandbox, &[&["--json"], options].concat(), agent);
    (output.code(), assert_is("acp_doctor", &output.stdout))
}

/// No process that the agent's script was is left.
fn assert_no_orphan(sandbox: &Sandbox) {
    let pids = fs::read_to_string(sandbox.path("home/pids"));
    for pid in pids.unwrap().lines() {
        eventually("the agent's end", || {
            (!fs::exists(format!("/proc/{pid}")).unwrap()).then_some(())
        });
    }
}

fn at_terminal(sandbox: &Sandbox, arguments: &[&str]) -> Terminal {
    let mut shell = sandbox.program("sh");
    shell.args(["-c", "stty echo cols 250; exec \"$@\"", "sh", AUTHCTL]).args(arguments);
    Terminal::start(shell)
}

// ----------------------------------------------------------------------------------------- the doctor

#[test]
fn the_best_way_is_chosen_and_nothing_is_handed_over() {
    let mut sandbox = with_key();
    sandbox.env("GITHUB_TOKEN", "ghp_of-another").env("AUTHCTL_GROQ_TOKEN", "gsk_of-another");
    let codex = codex(&sandbox);
    let (code, found) = examined(&sandbox, &[], &codex);
    assert_eq!(code, 0, "{found}");
    assert_eq!(found["agent"]["id"], "codex");
    assert_eq!(found["agent"]["name"], "@agentclientprotocol/codex-acp");
    assert_eq!(found["bound_by"], "first_use");
    let ids: Vec<&str> =
        found["methods"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["api-key", "chat-gpt", "gateway"]);
    assert_eq!(found["methods_without_capabilities"], json!(["api-key", "chat-gpt"]));
    let openai = &found["credentials"][0];
    assert_eq!(openai["name"], "openai");
    assert_eq!((&openai["way"], &openai["visible"]), (&json!("providers-set"), &json!("nowhere")));
    assert_eq!(openai["ways"], json!(["providers-set", "gateway", "variable"]));
    assert_eq!(found["withheld"], json!(["GITHUB_TOKEN"]));
    let (_, found) = examined(&sandbox, &["--way", "variable"], &codex);
    assert_eq!(found["credentials"][0]["visible"], "environment");
    let inherited = fs::read_to_string(sandbox.path("home/agent-env")).unwrap();
    for secret in [KEY, "ghp_of-another", "gsk_of-another"] {
        assert!(!inherited.contains(secret));
    }
    let listed = sandbox.run(["permission", "list", "--json"]).json();
    assert_eq!(listed["bindings"], json!([]), "a dry run binds nothing");
    let text = doctor(&sandbox, &["--keep-env", "GITHUB_TOKEN", "--session"], &codex);
    let text = text.success();
    for part in ["Codex (acp_agent.codex)", "providers-set: ", "nowhere outside authctl", "-32000"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("removed"), "{text}");
    assert_no_orphan(&sandbox);
}

#[test]
fn a_listing_of_models_that_the_proxy_would_refuse_is_said_with_the_line_that_lets_it_pass() {
    let sandbox = with_key();
    let codex = codex(&sandbox);
    let models = |arguments: &[&str]| {
        let (code, found) = examined(&sandbox, arguments, &codex);
        assert_eq!(code, 0, "{found}");
        found["credentials"][0]["models"].clone()
    };
    assert_eq!(models(&[]), json!({"request": "GET /v1/models", "mend": null}));
    for (rule, mend) in [
        ("allow = [\"POST /v1/*\"]", Some("allow = [\"POST /v1/*\", \"GET /v1/models\"]")),
        (
            "deny = [\"DELETE /v1/*\", \"* api.openai.com/v1/models\"]",
            Some("deny = [\"DELETE /v1/*\"]"),
        ),
        ("allow = [\"* api.openai.com/*\"]", None),
    ] {
        for name in ["openai", "openai:default"] {
            sandbox.write_config(&format!("[proxy.\"{name}\"]\n{rule}\n"));
            let mend = mend.map(|mend| format!("[proxy.\"{name}\"] {mend}"));
            assert_eq!(models(&[])["mend"], json!(mend), "{rule}");
            let text = doctor(&sandbox, &[], &codex).success();
            assert!(text.contains("models      listed by GET /v1/models"), "{text}");
            assert_eq!(text.contains("warning"), mend.is_some(), "{text}");
            assert!(mend.is_none_or(|mend| text.contains(&mend)), "{text}");
            let own = models(&["--way", "variable"]);
            assert_eq!(own["mend"], json!(null), "that goes past the proxy");
        }
    }
}

#[test]
fn what_is_missing_comes_with_the_command_that_mends_it() {
    let sandbox = Sandbox::new();
    let (code, found) = examined(&sandbox, &[], &codex(&sandbox));
    assert_eq!((code, &found["bound_by"]), (1, &json!("nobody")));
    assert_eq!(found["missing"][0]["mend"], "authctl login openai");
    let kimi = agent(&sandbox, "kimi", r#"{"protocolVersion":1,"authMethods":[]}"#, "{}");
    let (code, found) = examined(&sandbox, &[], &kimi);
    assert_eq!((code, &found["credentials"]), (0, &json!([])));
    assert!(found["own_sign_in"].as_str().unwrap().contains("no variable"));
    let said = doctor(&sandbox, &["--with", "openai"], &kimi).failure(2);
    assert!(said.contains("takes no credential") && said.contains("kimi login"), "{said}");
    let said = doctor(&sandbox, &["--with", "groq"], &codex(&sandbox)).failure(2);
    assert!(said.contains("it takes those of openai"), "{said}");
}

#[test]
fn what_an_agent_calls_itself_gives_it_nothing() {
    let sandbox = with_key();
    let hello = CODEX.replace("\"version\":\"2.6.0\"", "\"version\":\"\\\\u001b[31m\\\\u202e!\"");
    let mystery = agent(&sandbox, "mystery", &hello, &hello);
    let (code, found) = examined(&sandbox, &[], &mystery);
    assert_eq!((code, &found["credentials"]), (1, &json!([])));
    assert_eq!(found["agent"]["id"], Value::Null);
    let text = doctor(&sandbox, &[], &mystery);
    assert!(!text.stdout.contains('\u{1b}') && !text.stdout.contains('\u{202e}'), "{text:?}");
    let (_, found) = examined(&sandbox, &["--with", "openai"], &mystery);
    let ways = &found["credentials"][0]["ways"];
    assert_eq!(ways[0], "providers-set", "what was named goes by the best way: {ways}");
    let other =
        agent(&sandbox, "other", r#"{"protocolVersion":1,"agentInfo":{"name":"other"}}"#, "{}");
    let (_, found) = examined(&sandbox, &["--with", "openai"], &other);
    assert_eq!(found["credentials"][0]["ways"], json!(["variable"]));
    assert!(found["notes"][0].as_str().unwrap().contains("--with openai=OPENAI_API_KEY"));
    let (_, found) = examined(&sandbox, &["--with", "openai=OPENAI_API_KEY"], &other);
    assert_eq!(found["notes"], json!([]));
}

#[test]
fn an_agent_that_is_none_is_an_error_and_leaves_nothing_behind() {
    let sandbox = with_key();
    for (name, text, said) in [
        ("silent", "cat > /dev/null", "did not answer"),
        ("deaf", "trap '' TERM; sleep 600 & wait; sleep 600", "did not answer"),
        ("dying", "exit 3", "has ended"),
        ("garbage", "echo hello; printf '\\033[31m{\\n'; cat > /dev/null", "did not answer"),
        (
            "refusing",
            "read -r line; say '{\"jsonrpc\":\"2.0\",\"id\":'\"$(id_of \"$line\")\"',\"error\":{\"code\":-32603,\"message\":\"no\"}}'; cat > /dev/null",
            "refused initialize: no (-32603)",
        ),
    ] {
        let agent = script(&sandbox, name, text);
        let output = doctor(&sandbox, &["--with", "openai", "--wait", "1s"], &agent);
        let shown = output.failure(2);
        assert!(shown.contains(said) && !shown.contains('\u{1b}'), "{name}: {shown}");
    }
    assert_no_orphan(&sandbox);
    let said = sandbox.run(["acp", "doctor", "--", "no-such-agent"]).failure(127);
    assert!(said.contains("no-such-agent"), "{said}");
}

#[test]
fn a_way_that_is_not_open_is_named_and_so_is_one_that_is() {
    let sandbox = with_key();
    let (code, found) = examined(&sandbox, &["--way", "helper"], &codex(&sandbox));
    let what = &found["missing"][0];
    assert_eq!(
        (code, &what["what"]),
        (1, &json!("Codex takes openai by providers-set, and not by helper"))
    );
    assert!(what["mend"].as_str().unwrap().contains("--way providers-set"), "{what}");
    let sandbox = Sandbox::new();
    let (code, found) = examined(&sandbox, &["--way", "own"], &codex(&sandbox));
    assert_eq!((code, &found["missing"]), (0, &json!([])), "its own sign-in needs none of authctl");
    assert_eq!(found["credentials"][0]["ways"], json!(["own"]));
}

#[test]
fn a_program_that_wants_a_word_to_speak_is_a_frequent_slip() {
    let sandbox = with_key();
    let agent = script(&sandbox, "gemini", "exit 1");
    let said = doctor(&sandbox, &[], &agent).failure(2);
    assert!(said.contains("gemini --acp"), "{said}");
    let program = agent.to_str().unwrap();
    let said = sandbox.run(["acp", "doctor", "--", program, "--acp"]).failure(2);
    assert!(!said.contains("want such a word"), "{said}");
}

#[test]
fn without_an_agent_the_known_ones_are_listed() {
    let sandbox = Sandbox::new();
    sandbox.write_config(
        "[acp_agent.mine]\ntitle = \"Mine\"\ncommands = [\"mine\"]\nproviders = [{ provider = \"groq\" }]\n",
    );
    let listed = assert_is("acp_agents", &sandbox.run(["acp", "doctor", "--json"]).stdout);
    let agents = listed["agents"].as_array().unwrap();
    let of = |id: &str| agents.iter().find(|it| it["id"] == id).unwrap();
    assert_eq!(of("mine")["providers"], json!(["groq"]));
    assert_eq!(of("codex")["providers"], json!(["openai"]));
    assert_eq!(of("claude")["models"], json!({"anthropic": "/v1/models"}));
    assert_eq!(of("mine")["models"], json!({}));
    assert!(of("kimi")["login_only"].is_string());
    assert!(of("opencode")["note"].as_str().unwrap().contains("Choose a model"));
    let text = sandbox.run(["acp", "doctor"]).success();
    assert!(text.contains("Codex: openai") && text.contains("its own sign-in alone"), "{text}");
}

// -------------------------------------------------------------------------------------------- bindings

#[test]
fn a_person_binds_an_agent_and_takes_that_back() {
    let sandbox = with_key();
    sandbox.run_with_input(["login", "openai:work", "--with-key"], "sk-of-work").success();
    let codex = codex(&sandbox);
    let program = codex.to_str().unwrap();
    let words =
        ["acp", "doctor", "--remember", "everywhere", "--with", "openai:work", "--", program];
    let said = sandbox.run(words).failure(4);
    assert!(said.contains("authctl acp --with openai:work -- "), "{said}");
    let mut terminal = at_terminal(&sandbox, &words);
    terminal.expect("May Codex have openai:work everywhere?");
    terminal.send_line("y");
    terminal.rest();
    assert_eq!(terminal.status(), 0);
    let listed =
        assert_is("permission_list", &sandbox.run(["permission", "list", "--json"]).stdout);
    assert_eq!(listed["bindings"][0]["agent"], "codex");
    assert_eq!(listed["bindings"][0]["with"], json!(["openai:work"]));
    assert_eq!(listed["bindings"][0]["project"], Value::Null);
    let (_, found) = examined(&sandbox, &[], &codex);
    assert_eq!(
        (&found["bound_by"], &found["credentials"][0]["name"]),
        (&json!("everywhere"), &json!("openai:work"))
    );
    let text = sandbox.run(["permission", "list", "openai:work"]).success();
    assert!(text.contains("agent codex may have openai:work everywhere"), "{text}");
    let shown = sandbox.run(["permission", "withdraw", "--agent", "codex", "--json"]);
    assert_is("permission_agent", &shown.stdout);
    sandbox.run(["permission", "withdraw", "--agent", "codex"]).failure(1);
    let (_, found) = examined(&sandbox, &[], &codex);
    assert_eq!(found["bound_by"], "first_use");
}

#[test]
fn an_agent_at_the_keyboard_binds_nothing() {
    let mut sandbox = with_key();
    let codex = codex(&sandbox);
    sandbox.env("CLAUDECODE", "1");
    let said = doctor(&sandbox, &[], &codex).failure(1);
    assert!(said.contains("only a person") && said.contains("--with openai"), "{said}");
    let mut terminal = at_terminal(
        &sandbox,
        &["acp", "doctor", "--remember", "--with", "openai", "--", codex.to_str().unwrap()],
    );
    terminal.expect("only a person");
    terminal.rest();
    assert_eq!(terminal.status(), 1);
    let listed = sandbox.run(["permission", "list", "--json"]).json();
    assert_eq!(listed["bindings"], json!([]));
}

#[test]
fn a_known_agent_is_bound_at_its_first_use_and_an_unknown_one_never() {
    let sandbox = with_key();
    let codex = codex(&sandbox);
    let program = codex.to_str().unwrap();
    let first = sandbox.run(["acp", "--", program]);
    assert!(first.stderr.contains("Codex may have openai from now on"), "{first:?}");
    let second = sandbox.run(["acp", "--", program]);
    assert!(!second.stderr.contains("from now on"), "{second:?}");
    let listed = sandbox.run(["permission", "list", "--json"]).json();
    let bindings = listed["bindings"].as_array().unwrap();
    assert_eq!((bindings.len(), &bindings[0]["agent"]), (1, &json!("codex")));
    assert!(bindings[0]["project"].is_string());
    let mystery = script(&sandbox, "mystery", "env > \"$HOME/mystery-env\"; cat > /dev/null");
    let output = sandbox.run(["acp", "--", mystery.to_str().unwrap()]);
    assert!(output.stderr.contains("gets no credential"), "{output:?}");
    let listed = sandbox.run(["permission", "list", "--json"]).json();
    assert_eq!(listed["bindings"].as_array().unwrap().len(), 1);
}

// ------------------------------------------------------------------------------------- copies of keys

const GREETING: &str =
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":1}}\n";

/// An agent that writes down the key it is given, as Codex does, and more.
fn copying(sandbox: &Sandbox) -> PathBuf {
    let text = r#"profile="${CODEX_HOME:-$HOME/.codex}"
mkdir -p "$profile/sessions"
echo new > "$profile/sessions/mine"
echo "{\"OPENAI_API_KEY\": \"$OPENAI_API_KEY\"}" > "$profile/auth.json"
cat "$profile/config.toml" > "$HOME/settings-seen"
cat "$profile/AGENTS.md" > "$HOME/notes-seen"
while IFS= read -r line; do
  say '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1,"authMethods":[]}}'
done"#;
    script(sandbox, "codex-acp", text)
}

fn run_copying(sandbox: &Sandbox, codex: &Path) -> Output {
    let words = ["acp", "--way", "variable", "--", codex.to_str().unwrap()];
    sandbox.run_with_input(words, GREETING)
}

#[test]
fn a_key_is_kept_out_of_the_persons_own_profile() {
    let sandbox = with_key();
    let codex = copying(&sandbox);
    let own = sandbox.path("home/.codex");
    fs::create_dir_all(&own).unwrap();
    let settings = "model = \"x\" # mine\n\n[projects.a]\ntrust = true\n";
    fs::write(own.join("config.toml"), settings).unwrap();
    fs::write(own.join("AGENTS.md"), "notes").unwrap();
    fs::write(own.join("auth.json"), "{\"tokens\": \"of a sign-in\"}").unwrap();
    let output = run_copying(&sandbox, &codex);
    assert!(!output.stderr.contains(KEY) && !output.stdout.contains(KEY), "{output:?}");
    let read = |place: &str| fs::read_to_string(sandbox.path(place)).unwrap();
    let seen = read("home/settings-seen");
    assert!(seen.starts_with("model = \"x\" # mine\n"), "{seen}");
    assert!(seen.contains("cli_auth_credentials_store = \"ephemeral\""), "{seen}");
    assert_eq!(read("home/notes-seen"), "notes");
    assert_eq!(read("home/.codex/config.toml"), settings, "not touched");
    assert_eq!(read("home/.codex/auth.json"), "{\"tokens\": \"of a sign-in\"}", "not touched");
    assert_eq!(read("home/.codex/sessions/mine"), "new\n", "what it made new stays");
    let with_key = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains(KEY));
    let copies: Vec<PathBuf> = sandbox.files().into_iter().filter(with_key).collect();
    assert!(copies.is_empty(), "{copies:?}");
}

#[test]
fn a_copy_that_an_agent_made_all_the_same_is_said() {
    let sandbox = with_key();
    let codex = copying(&sandbox);
    let own = sandbox.path("home/.codex");
    fs::create_dir_all(&own).unwrap();
    let settings = "cli_auth_credentials_store = \"ephemeral\"\n";
    fs::write(own.join("config.toml"), settings).unwrap();
    fs::write(own.join("AGENTS.md"), "").unwrap();
    let output = run_copying(&sandbox, &codex);
    let said = output.stderr;
    assert!(said.contains("has written the key") && said.contains("auth.json"), "{said}");
    assert!(!said.contains(KEY), "{said}");
}

// --------------------------------------------------------------------------------------- configuration

#[test]
fn editors_are_told_what_they_start_word_for_word() {
    let sandbox = Sandbox::new();
    let words = ["/opt/my agents/codex-acp", "--name", "it's \"quoted\" \\ and $HOME", "é"];
    for (editor, extra) in [("zed", true), ("jetbrains", false)] {
        let all =
            [&["acp", "--account", "work", "--print-config", editor, "--"], &words[..]].concat();
        let printed: Value = serde_json::from_str(&sandbox.run(all).success()).unwrap();
        let (name, entry) = printed["agent_servers"].as_object().unwrap().iter().next().unwrap();
        assert_eq!(name, "Codex (authctl, work)");
        let expected = [&["acp", "--account", "work", "--"], &words[..]].concat();
        assert_eq!(entry["args"], json!(expected));
        assert_eq!(entry["command"], AUTHCTL);
        assert_eq!(entry["type"] == "custom", extra);
    }
    let gemini = sandbox.run(["acp", "--print-config", "zed", "--", "gemini", "--acp"]).success();
    assert!(!gemini.contains("\"gemini\": {"), "Zed treats that name in its own way: {gemini}");
    let own = ["acp", "--print-config", "jetbrains", "--way", "own", "--", "codex-acp"];
    let printed: Value = serde_json::from_str(&sandbox.run(own).success()).unwrap();
    let args = &printed["agent_servers"]["Codex (authctl)"]["args"];
    assert_eq!(*args, json!(["acp", "--way", "own", "--", "codex-acp"]));
    let unknown = sandbox.run(["acp", "--print-config", "zed", "--", "some-agent"]);
    assert!(unknown.stderr.contains("does not know some-agent"), "{unknown:?}");
    assert!(sandbox.files().iter().all(|path| !path.ends_with("settings.json")));
}

#[test]
fn the_lua_for_neovim_is_lua_and_keeps_the_words() {
    let sandbox = Sandbox::new();
    let odd = "]] .. os.exit() .. \"\\ --";
    let words = ["acp", "--print-config", "neovim", "--", "codex-acp", odd];
    let lua = sandbox.run(words).success();
    let texts = lua_texts(&lua);
    assert!(texts.iter().any(|text| text == odd), "{texts:?}");
    let at = texts.iter().position(|text| text == "acp").unwrap();
    assert!(texts[at..].iter().any(|text| text == "codex-acp"));
}

/// The texts of a piece of Lua; its brackets and blocks are closed in their order, or this panics.
fn lua_texts(source: &str) -> Vec<String> {
    let (mut texts, mut open, mut word) = (Vec::new(), Vec::new(), String::new());
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        match std::mem::take(&mut word).as_str() {
            "function" => open.push("end"),
            "end" => assert_eq!(open.pop(), Some("end")),
            _ => {}
        }
        match c {
            '(' => open.push(")"),
            '{' => open.push("}"),
            '[' => open.push("]"),
            ')' | '}' | ']' => assert_eq!(open.pop(), Some(c.to_string().as_str())),
            '"' => {
                let mut text = String::new();
                loop {
                    match chars.next().expect("the end of a text") {
                        '"' => break,
                        '\\' => text.push(chars.next().unwrap()),
                        '\n' => panic!("a line ends within a text"),
                        c => text.push(c),
                    }
                }
                texts.push(text);
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    texts
}
