//! Several accounts of one provider: each is a credential of its own, and none of them is active by itself.

use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox};

const KEYS: [(&str, &str); 3] =
    [("groq", "gsk-default"), ("groq:home", "gsk-home"), ("groq:work", "gsk-work")];

/// A sandbox where all of these are signed in.
fn signed_in(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, key) in KEYS.iter().filter(|(name, _)| names.contains(name)) {
        login(&sandbox, name, key).success();
    }
    sandbox
}

fn login(sandbox: &Sandbox, name: &str, key: &str) -> Output {
    sandbox.run_with_input(["login", name, "--with-key"], key)
}

/// Three accounts, with and without a name.
fn three() -> Sandbox {
    signed_in(&KEYS.map(|(name, _)| name))
}

fn status(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let output = sandbox.run([&["status", "--json"], arguments].concat());
    output.json()["credentials"].as_array().unwrap().clone()
}

fn names(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = status(sandbox, arguments)
        .iter()
        .map(|credential| credential["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The id under which `status` shows a credential.
fn id(sandbox: &Sandbox, name: &str) -> String {
    let credentials = status(sandbox, &[]);
    let found = credentials.iter().find(|credential| credential["name"] == name).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

fn token(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.run([&["token"], arguments].concat()).success().trim_end().to_owned()
}

/// The environment of a child, as the variables that `grep` lets through.
fn child(sandbox: &Sandbox, arguments: &[&str], only: &str) -> Vec<String> {
    let script = format!("env | grep -E '{only}' | sort");
    let command = [&["-q", "exec"], arguments, &["--", "sh", "-c", &script]].concat();
    sandbox.run(command).success().lines().map(str::to_owned).collect()
}

// -------------------------------------------------------------------------------- stored and found

#[test]
fn accounts_are_stored_listed_and_handed_out_one_by_one() {
    let sandbox = three();
    assert_eq!(names(&sandbox, &[]), KEYS.map(|(name, _)| name));
    assert_eq!(names(&sandbox, &["groq"]), KEYS.map(|(name, _)| name));
    assert_eq!(names(&sandbox, &["groq:work"]), ["groq:work"]);
    let listed = sandbox.run(["status", "groq"]).success();
    for (name, key) in KEYS {
        assert_eq!(token(&sandbox, &[name]), key);
        assert!(listed.contains(&format!("✓ {name:9}  API key")), "{listed}");
    }
}

#[test]
fn a_new_key_of_one_account_changes_neither_its_id_nor_the_others() {
    let sandbox = three();
    let ids = KEYS.map(|(name, _)| id(&sandbox, name));
    login(&sandbox, "groq:work", "gsk-new").success();
    assert_eq!(KEYS.map(|(name, _)| id(&sandbox, name)), ids);
    assert_eq!(token(&sandbox, &["groq:work"]), "gsk-new");
    assert_eq!(token(&sandbox, &["groq"]), "gsk-default");
    assert_eq!(token(&sandbox, &["groq:home"]), "gsk-home");
}

#[test]
fn the_account_default_is_the_name_without_one() {
    let sandbox = signed_in(&["groq"]);
    assert_eq!(token(&sandbox, &["groq:default"]), "gsk-default");
    login(&sandbox, "groq:default", "gsk-again").success();
    assert_eq!(names(&sandbox, &[]), ["groq"]);
    assert_eq!(token(&sandbox, &["groq"]), "gsk-again");
}

#[test]
fn logout_of_one_account_leaves_the_others() {
    let sandbox = three();
    sandbox.run(["logout", "groq:work"]).success();
    assert_eq!(names(&sandbox, &[]), ["groq", "groq:home"]);
    sandbox.run(["logout", "groq"]).success();
    assert_eq!(names(&sandbox, &[]), ["groq:home"]);
    assert_eq!(token(&sandbox, &["groq:home"]), "gsk-home");
    sandbox.run(["logout", "--all"]).success();
    assert!(names(&sandbox, &[]).is_empty());
}

#[test]
fn an_account_that_is_signed_in_anew_is_another_credential() {
    let sandbox = three();
    let before = id(&sandbox, "groq:work");
    sandbox.run(["logout", "groq:work"]).success();
    login(&sandbox, "groq:work", "gsk-work").success();
    assert_ne!(id(&sandbox, "groq:work"), before);
}

// ----------------------------------------------------------------------------- which account is meant

#[test]
fn the_account_comes_from_the_name_then_the_flag_then_the_variable() {
    let mut sandbox = three();
    assert_eq!(token(&sandbox, &["groq"]), "gsk-default");
    for value in ["home", "groq:home", "openai:work,groq:home", "work,groq:home"] {
        sandbox.env("AUTHCTL_ACCOUNT", value);
        assert_eq!(token(&sandbox, &["groq"]), "gsk-home", "{value}");
        assert_eq!(token(&sandbox, &["groq", "--account", "work"]), "gsk-work", "{value}");
        assert_eq!(token(&sandbox, &["groq:default", "--account", "work"]), "gsk-default");
    }
    sandbox.env("AUTHCTL_ACCOUNT", "openai:work");
    assert_eq!(token(&sandbox, &["groq"]), "gsk-default");
    let set = child(&sandbox, &["--account", "work", "--with", "groq"], "^GROQ_");
    assert_eq!(set, ["GROQ_API_KEY=gsk-work"]);
}

#[test]
fn the_default_account_of_a_variable_is_the_one_that_ci_gives() {
    let mut sandbox = Sandbox::new();
    sandbox.env("CI", "true").env("GH_TOKEN", "given-1").env("AUTHCTL_ACCOUNT", "default");
    assert_eq!(token(&sandbox, &["github"]), "given-1");
    sandbox.env("AUTHCTL_ACCOUNT", "github:default");
    assert_eq!(token(&sandbox, &["github"]), "given-1");
    sandbox.run(["token", "github:default"]).failure(4);
}

#[test]
fn no_use_of_an_account_makes_it_the_active_one() {
    let sandbox = signed_in(&["groq:home", "groq:work"]);
    token(&sandbox, &["groq:work"]);
    child(&sandbox, &["--with", "groq:work"], "^GROQ_");
    login(&sandbox, "groq:home", "gsk-again").success();
    sandbox.run(["token", "groq"]).failure(4);
    sandbox.run(["exec", "--with", "groq", "--", "true"]).failure(125);
    sandbox.run(["logout", "groq"]).failure(1);
    assert_eq!(names(&sandbox, &[]), ["groq:home", "groq:work"]);
}

#[test]
fn an_account_that_is_not_there_is_told_with_those_that_are() {
    let mut sandbox = signed_in(&["groq:home", "groq:work"]);
    for name in ["groq", "groq:wrok"] {
        for (command, code) in [
            (&["token", name][..], 4),
            (&["exec", "--with", name, "--", "true"], 125),
            (&["logout", name], 1),
        ] {
            let said = sandbox.run(command).failure(code);
            assert!(said.contains(&format!("error: not signed in to {name}\n")), "{said}");
            assert!(said.contains("hint: did you mean groq:home or groq:work?"), "{said}");
        }
        let said = sandbox.run(["token", name]).failure(4);
        assert!(said.contains(&format!("hint: authctl login {name}\n")), "{said}");
    }
    let shown = sandbox.run(["status", "groq:wrok"]).success();
    assert!(shown.contains("Nothing is stored for groq:wrok."), "{shown}");
    // A variable that names an account is not left out of the answer.
    sandbox.env("AUTHCTL_ACCOUNT", "wrok");
    let said = sandbox.run(["token", "groq"]).failure(4);
    assert!(said.contains("not signed in to groq:wrok"), "{said}");
    let shown = sandbox.run(["status", "groq"]).success();
    assert!(shown.contains("Nothing is stored for groq:wrok."), "{shown}");
}

#[test]
fn accounts_of_other_providers_are_not_offered() {
    let sandbox = signed_in(&["groq:home"]);
    login(&sandbox, "openai:work", "sk-1").success();
    let said = sandbox.run(["token", "mistral"]).failure(4);
    assert!(!said.contains("did you mean"), "{said}");
    let said = sandbox.run(["token", "openai"]).failure(4);
    assert!(said.contains("did you mean openai:work?"), "{said}");
    login(&sandbox, "openai", "sk-2").success();
    let said = sandbox.run(["token", "openai:home"]).failure(4);
    assert!(said.contains("did you mean openai:default or openai:work?"), "{said}");
}

#[test]
fn a_key_given_by_the_environment_is_the_default_accounts() {
    let mut sandbox = three();
    sandbox.env("AUTHCTL_GROQ_TOKEN", "gsk-given");
    assert_eq!(token(&sandbox, &["groq"]), "gsk-given");
    assert_eq!(token(&sandbox, &["groq:work"]), "gsk-work");
    assert_eq!(token(&sandbox, &["groq", "--account", "home"]), "gsk-home");
    let set = child(&sandbox, &["--with", "groq,groq:work=WORK"], "^(GROQ_|WORK|AUTHCTL.*TOKEN)");
    assert_eq!(set, ["GROQ_API_KEY=gsk-given", "WORK=gsk-work"]);
}

// ------------------------------------------------------------------------------------- handed over

#[test]
fn exec_hands_over_the_account_that_was_named() {
    let sandbox = three();
    for (name, key) in KEYS {
        let set = child(&sandbox, &["--with", name], "^GROQ_");
        assert_eq!(set, [format!("GROQ_API_KEY={key}")]);
        let set = child(&sandbox, &["--with", &format!("{name}=MINE")], "^(GROQ_|MINE)");
        assert_eq!(set, [format!("MINE={key}")]);
        let header = format!("MINE={name}");
        let set = child(&sandbox, &["--env-header", &header], "^(GROQ_|MINE)");
        assert_eq!(set, [format!("MINE=Bearer {key}")]);
    }
}

#[test]
fn accounts_of_one_provider_go_together_in_variables_of_their_own() {
    let sandbox = three();
    let with = ["--with", "groq:work,groq:home=HOME_KEY", "--env-header", "AUTH=groq"];
    let set = child(&sandbox, &with, "^(GROQ_|HOME_KEY|AUTH=|AUTHCTL_INJ)");
    let expected = [
        "AUTH=Bearer gsk-default",
        "AUTHCTL_INJECTED=groq,groq:home,groq:work",
        "GROQ_API_KEY=gsk-work",
        "HOME_KEY=gsk-home",
    ];
    assert_eq!(set, expected);
}

#[test]
fn two_accounts_for_one_variable_are_refused_before_anything_starts() {
    let sandbox = three();
    for (arguments, names, hint) in [
        (
            &["--with", "groq:work,groq:home"][..],
            "groq:work and groq:home",
            "--with groq:work --with groq:home=OTHER_VARIABLE",
        ),
        (
            &["--with", "groq=KEY", "--with", "groq:home=KEY"],
            "groq and groq:home",
            "--with groq:home=OTHER_VARIABLE",
        ),
        (
            &["--with", "groq", "--env-header", "GROQ_API_KEY=groq:work"],
            "groq and groq:work",
            "--env-header OTHER_VARIABLE=groq:work",
        ),
    ] {
        let command = [&["exec"], arguments, &["--", "touch", "started"]].concat();
        let said = sandbox.run(command).failure(125);
        assert!(said.contains(&format!("{names} would both be handed over in ")), "{said}");
        assert!(said.contains("hint: authctl exec --with ") && said.contains(hint), "{said}");
    }
    assert!(!sandbox.path("work/started").exists());
}

#[test]
fn a_missing_account_stops_the_others_too() {
    let sandbox = signed_in(&["groq:work"]);
    let with = "groq:work,groq:home=HOME_KEY";
    let said = sandbox.run(["exec", "--with", with, "--", "touch", "started"]).failure(125);
    assert!(said.contains("hint: authctl login groq:home\n"), "{said}");
    assert!(!sandbox.path("work/started").exists());
}

#[test]
fn each_account_has_an_id_of_its_own_that_stays() {
    let sandbox = three();
    let [default, home, work] = KEYS.map(|(name, _)| id(&sandbox, name));
    assert!(default != home && home != work && work != default);
    for (name, id) in [("groq", &default), ("groq:home", &home), ("groq:work", &work)] {
        let set = child(&sandbox, &["--with", name], "^AUTHCTL_GROQ");
        assert_eq!(set, [format!("AUTHCTL_GROQ_CREDENTIAL_ID={id}")]);
        let shown = sandbox.run(["token", name, "--json"]).json();
        assert_eq!(shown["id"], id.as_str());
    }
    login(&sandbox, "groq:work", "gsk-new").success();
    let with = ["--with", "groq,groq:home=HOME_KEY,groq:work=WORK_KEY"];
    let set = child(&sandbox, &with, "^AUTHCTL_GROQ");
    let expected = [
        format!("AUTHCTL_GROQ_CREDENTIAL_ID={default}"),
        format!("AUTHCTL_GROQ_HOME_CREDENTIAL_ID={home}"),
        format!("AUTHCTL_GROQ_WORK_CREDENTIAL_ID={work}"),
    ];
    assert_eq!(set, expected);
}

#[test]
fn one_account_in_two_variables_is_one_credential() {
    let sandbox = three();
    let with = ["--with", "groq:work,groq:work=OTHER", "--env-header", "AUTH=groq:work"];
    let set = child(&sandbox, &with, "^(GROQ_|OTHER|AUTH=|AUTHCTL_GROQ)");
    let expected = [
        "AUTH=Bearer gsk-work".to_owned(),
        format!("AUTHCTL_GROQ_CREDENTIAL_ID={}", id(&sandbox, "groq:work")),
        "GROQ_API_KEY=gsk-work".to_owned(),
        "OTHER=gsk-work".to_owned(),
    ];
    assert_eq!(set, expected);
}

/// A key has no end that is known: the end that stands there is another credential's.
#[test]
fn the_end_of_an_outer_execs_credential_is_not_passed_off_as_this_ones() {
    let mut sandbox = three();
    sandbox.env("AUTHCTL_GROQ_EXPIRES_AT", "2030-01-01T00:00:00Z");
    sandbox.env("AUTHCTL_GROQ_CREDENTIAL_ID", "cred_of_the_outer_exec");
    let set = child(&sandbox, &["--with", "groq:work"], "^AUTHCTL_GROQ");
    assert_eq!(set, [format!("AUTHCTL_GROQ_CREDENTIAL_ID={}", id(&sandbox, "groq:work"))]);
}

// --------------------------------------------------------------------------------------- odd names

#[test]
fn odd_account_names_are_refused_everywhere_and_nothing_is_written() {
    let sandbox = signed_in(&["groq:work"]);
    let before = sandbox.files();
    let long = "x".repeat(65);
    let longest = "x".repeat(100_000);
    for odd in [
        "",
        "grüß",
        "名前",
        "me@example.com",
        "a/b",
        "../work",
        "..",
        ".",
        "~",
        "a b",
        " work",
        "work ",
        "work\n",
        "a\tb",
        "a\u{1b}[31mb",
        "a\u{202e}b",
        "work\u{200b}",
        "a:b",
        ":",
        "-work",
        "_work",
        "Work",
        "a\\b",
        "a*",
        "$HOME",
        &long,
        &longest,
    ] {
        let name = format!("groq:{odd}");
        let option = format!("--account={odd}");
        for (command, code) in [
            (&["login", &name, "--with-key"][..], 2),
            (&["login", "groq", &option, "--with-key"], 2),
            (&["token", &name], 2),
            (&["token", "groq", &option], 2),
            (&["status", &name], 2),
            (&["logout", &name], 2),
            (&["exec", "--with", &name, "--", "true"], 125),
        ] {
            let output = sandbox.run_with_input(command, "gsk-odd");
            assert_eq!(output.stdout, "", "{odd:?}");
            let said = output.failure(code);
            assert!(said.contains("is not a name; names are at most 64 lower-case"), "{said}");
            assert!(said.contains("hint: authctl provider list"), "{said}");
            assert!(said.len() < 1_000, "{said}");
            let harmless =
                |c: char| c == '\n' || !(c.is_control() || "\u{202e}\u{200b}".contains(c));
            assert!(said.chars().all(harmless), "{said:?}");
        }
    }
    assert_eq!(sandbox.files(), before);
}

/// Blanks and line breaks at the end would otherwise be told as `"groq:work" is not a name`.
#[test]
fn what_is_odd_about_a_name_is_seen() {
    let sandbox = Sandbox::new();
    for (odd, shown) in [
        ("groq:work ", r#""groq:work " is not"#),
        ("groq:work\n", r#""groq:work\n" is not"#),
        ("groq:work\u{200b}", r#""groq:work\u{200b}" is not"#),
        ("groq:Work", "did you mean groq:work?"),
    ] {
        let said = sandbox.run(["token", odd]).failure(2);
        assert!(said.contains(shown), "{said}");
    }
}

#[test]
fn names_at_the_edge_of_the_alphabet_are_accounts_of_their_own() {
    let sandbox = Sandbox::new();
    let longest = "x".repeat(64);
    let accounts = ["0", "a..b", "a.b", "a-b", "a_b", "con", "nul.txt", "default.", &longest];
    for account in accounts {
        login(&sandbox, &format!("groq:{account}"), &format!("gsk-{account}")).success();
    }
    for account in accounts {
        assert_eq!(token(&sandbox, &[&format!("groq:{account}")]), format!("gsk-{account}"));
    }
    assert_eq!(status(&sandbox, &["groq"]).len(), accounts.len());
    for account in accounts {
        sandbox.run(["logout", "groq", "--account", account]).success();
    }
    assert!(names(&sandbox, &[]).is_empty());
}
