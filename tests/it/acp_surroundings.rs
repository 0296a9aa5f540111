//! What is around a run of an agent behind `authctl acp`: the variables that it inherits, what it is started with
//! beside a credential, and the keys that it has written down. The agent is a script.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::sandbox::{Output, Sandbox};

const KEY: &str = "sk-acp-around-Qm4tZ81xYw0aLk9PvBn3Ts";
const OTHER: &str = "sk-ant-around-Wd7RvJ2cHs5eUy8GxKi6Fo";

const HELLO: &str =
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":1}}\n";

/// `own-agent`, of which this is known, and which does this before it greets; keys for OpenAI and Anthropic.
fn scene(known: &str, script: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY).env("AUTHCTL_ANTHROPIC_TOKEN", OTHER);
    sandbox.write_config(&format!(
        "[acp_agent.own]\ntitle = \"Own\"\ncommands = [\"own-agent\"]\n{known}"
    ));
    let program = sandbox.path("bin/own-agent");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    let text = format!(
        "#!/bin/sh\nenv > \"$HOME/seen\"\nprintf '%s\\n' \"$@\" > \"$HOME/words\"\n{script}\n\
         while read -r line; do\n\
         echo '{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"protocolVersion\":1,\"authMethods\":[]}}}}'\n\
         done\n"
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox
}

/// Starts it with these options and these words of its own.
fn run(sandbox: &Sandbox, options: &[&str], words: &[&str]) -> Output {
    let program = sandbox.path("bin/own-agent");
    let program = [program.to_str().unwrap()];
    let output =
        sandbox.run_with_input([&["acp"], options, &["--"], &program, words].concat(), HELLO);
    assert_eq!(output.code(), 0, "{output:?}");
    for secret in [KEY, OTHER] {
        assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{output:?}");
    }
    output
}

/// What it had in this variable.
fn seen(sandbox: &Sandbox, name: &str) -> Option<String> {
    let seen = fs::read_to_string(sandbox.path("home/seen")).unwrap();
    let value = seen.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.map(str::to_owned)
}

fn words(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("home/words")).unwrap()
}

#[test]
fn keys_of_others_stay_behind_and_its_own_where_authctl_has_one() {
    let known = "ignores = [\"OWN_API_KEY\", \"OWN_TOKEN\", \"OWN_HOST\"]\n\
                 [[acp_agent.own.providers]]\nprovider = \"openai\"\nvariables = [\"OWN_OPENAI\"]\n\
                 [acp_agent.other]\ncommands = [\"other-agent\"]\n\
                 [[acp_agent.other.providers]]\nprovider = \"anthropic\"\nvariables = [\"OTHER_KEY\"]\n\
                 [provider.acme.api_key]\nvariables = [\"ACME_KEY\"]\n";
    let mut sandbox = scene(known, "");
    let all = [
        ("GITHUB_TOKEN", false),
        ("ACME_KEY", false),
        ("OTHER_KEY", false),
        ("OWN_API_KEY", false),
        ("OWN_TOKEN", false),
        ("OWN_HOST", true),
        ("OPENAI_API_KEY", false),
    ];
    for (name, _) in all {
        sandbox.env(name, "inherited");
    }
    sandbox.env("OWN_OPENAI", "inherited");
    run(&sandbox, &["--with", "openai"], &[]);
    for (name, stays) in all {
        assert_eq!(seen(&sandbox, name).is_some(), stays, "{name}");
    }
    assert_eq!(seen(&sandbox, "OWN_OPENAI").as_deref(), Some(KEY));

    // One that gets nothing keeps what it would read itself.
    run(&sandbox, &["--way", "own"], &[]);
    for name in ["OWN_OPENAI", "OPENAI_API_KEY", "OWN_HOST"] {
        assert_eq!(seen(&sandbox, name).as_deref(), Some("inherited"), "{name}");
    }
    for name in ["GITHUB_TOKEN", "ACME_KEY", "OTHER_KEY", "OWN_API_KEY"] {
        assert_eq!(seen(&sandbox, name), None, "{name}");
    }
    run(&sandbox, &["--with", "openai", "--keep-env", "GITHUB_TOKEN,OWN_TOKEN"], &[]);
    for name in ["GITHUB_TOKEN", "OWN_TOKEN"] {
        assert_eq!(seen(&sandbox, name).as_deref(), Some("inherited"), "{name}");
    }
    assert_eq!(seen(&sandbox, "OTHER_KEY"), None);
}

#[test]
fn the_first_of_several_credentials_has_a_variable_and_words_are_there_once() {
    let known = "[[acp_agent.own.providers]]\nprovider = \"openai\"\nvariables = [\"SHARED_KEY\"]\n\
                 extra = { OWN_KIND = \"first\", OWN_MORE = \"1\" }\narguments = [\"--auth=key\"]\n\
                 [[acp_agent.own.providers]]\nprovider = \"anthropic\"\nvariables = [\"SHARED_KEY\"]\n\
                 extra = { OWN_KIND = \"second\" }\narguments = [\"--auth=other\"]\n";
    let sandbox = scene(known, "");
    run(&sandbox, &["--with", "openai,anthropic"], &["serve"]);
    assert_eq!(seen(&sandbox, "SHARED_KEY").as_deref(), Some(KEY));
    assert_eq!(seen(&sandbox, "OWN_KIND").as_deref(), Some("first"));
    assert_eq!(seen(&sandbox, "OWN_MORE").as_deref(), Some("1"));
    assert_eq!(words(&sandbox), "serve\n--auth=key\n");
    // What was typed counts, with whatever value.
    run(&sandbox, &["--with", "openai"], &["--auth=mine"]);
    assert_eq!(words(&sandbox), "--auth=mine\n");
    // Two that do not collide share what both need.
    run(&sandbox, &["--with", "openai,anthropic=APART_KEY"], &[]);
    assert_eq!(seen(&sandbox, "APART_KEY").as_deref(), Some(OTHER));
    assert_eq!(seen(&sandbox, "OWN_KIND").as_deref(), Some("first"));
    assert_eq!(words(&sandbox), "--auth=key\n");
}

#[test]
fn copies_are_found_wherever_it_keeps_keys() {
    let known = "profile = { variable = \"OWN_HOME\", folder = \".own\" }\n\
                 copies = [\"pipe\", \"keys.json\", \"~/link\", \"large\", \"none\"]\n\
                 [[acp_agent.own.providers]]\nprovider = \"openai\"\n";
    let script = "profile=\"${OWN_HOME:-$HOME/.own}\"\nmkdir -p \"$profile\"\n\
                  mkfifo \"$profile/pipe\"\n\
                  echo \"{\\\"key\\\": \\\"$OPENAI_API_KEY\\\"}\" > \"$profile/keys.json\"\n\
                  echo \"key = $OPENAI_API_KEY\" > \"$HOME/linked\"\n\
                  truncate -s 17M \"$profile/large\"\necho \"$OPENAI_API_KEY\" >> \"$profile/large\"";
    let mut sandbox = scene(known, script);
    symlink("linked", sandbox.path("home/link")).unwrap();
    for folder in ["home/.own", "home/elsewhere"] {
        let said = run(&sandbox, &["--with", "openai"], &[]).stderr;
        for place in [&*format!("{folder}/keys.json"), "home/link"] {
            let line = said.lines().find(|line| line.contains(place));
            let line = line.unwrap_or_else(|| panic!("{place}: {said}"));
            assert!(line.contains("Own has written the key that it was given to"), "{line}");
            assert!(line.ends_with("delete it there, or make a new key"), "{line}");
        }
        assert_eq!(said.matches("has written").count(), 2, "{said}");
        sandbox.env("OWN_HOME", sandbox.path("home/elsewhere"));
    }
    // Of what it was not given, nothing is said.
    let said = run(&sandbox, &["--way", "own"], &[]).stderr;
    assert!(!said.contains("has written"), "{said}");
}
