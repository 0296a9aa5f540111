//! Sign in, refresh and sign out at a certified OpenID provider; the person's part is done by
//! Chromium on the provider's own pages.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::real_parts::{Home, OpenIdProvider, Person, ProtectedApi, ended, present};

/// `[provider.my-oidc]` with these further lines in its `oauth` table.
fn config(provider: &OpenIdProvider, lines: &str) -> String {
    format!(
        "[provider.my-oidc.oauth]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline_access\", \"api:read\"]\n\
         variables = [\"TOKEN\"]\n{lines}",
        provider.issuer
    )
}

/// A home whose `my-oidc` is the provider's public client.
fn home(provider: &OpenIdProvider) -> Home {
    Home::new("file", &config(provider, "client_id = \"public\""))
}

/// `authctl login my-oidc …` with this person's browser; where the browser ended.
fn sign_in(home: &Home, person: &Person, arguments: &[&str]) -> Value {
    let mut login = home.authctl(&[&["login", "my-oidc"], arguments].concat());
    person.sits_at(&mut login);
    ended(&mut login).good();
    person.report()
}

fn signed_in(provider: &OpenIdProvider) -> Home {
    let home = home(provider);
    sign_in(&home, &Person::new(home.path(), json!({})), &[]);
    home
}

fn status(home: &Home) -> Value {
    let ended = home.run(&["status", "--json"]);
    serde_json::from_str::<Value>(&ended.stdout).unwrap()["credentials"][0].clone()
}

/// What was answered to refreshes, as HTTP statuses.
fn refreshes(provider: &OpenIdProvider) -> Vec<Value> {
    let answers = provider.answers("token").into_iter();
    let refreshes = answers.filter(|answer| answer["grant_type"] == "refresh_token");
    refreshes.map(|answer| answer["status"].clone()).collect()
}

#[test]
fn a_person_signs_in_in_the_browser_and_signs_out() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let api = ProtectedApi::start(&provider, None);
    let home = home(&provider);
    let page = sign_in(&home, &Person::new(home.path(), json!({})), &[]);
    assert_eq!(page["done"], json!(["login", "consent"]));
    assert_clean_end(&page);

    let state = status(&home);
    assert_eq!(state["state"], "active");
    assert_eq!(state["issuer"], provider.issuer.as_str());
    let [node, flag, script] = api.caller();
    let called = home.good(&["exec", "--with", "my-oidc", "--", &node, &flag, &script]);
    assert!(called.starts_with("200 ") && called.contains("alice"), "{called}");

    let token = home.good(&["token", "my-oidc"]);
    assert_eq!(api.status(&token), 200);
    home.good(&["logout", "my-oidc"]);
    assert_eq!(api.status(&token), 401);
    assert_eq!(provider.answers("revocation")[0]["status"], 200);
    home.run(&["token", "my-oidc"]).bad(4, &["authctl login my-oidc"]);
}

/// The browser was left at a page of the loopback listener that shows no code and leads nowhere.
fn assert_clean_end(page: &Value) {
    let url = page["url"].as_str().unwrap();
    assert!(url.starts_with("http://127.0.0.1:") && !url.contains("code="), "{page}");
    assert!(page["error"].is_null(), "{page}");
    let text = page["text"].as_str().unwrap();
    assert!(text.contains("authctl") && !text.contains("code="), "{page}");
}

#[test]
fn a_person_who_refuses_in_the_browser_is_believed() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let home = home(&provider);
    let person = Person::new(home.path(), json!({ "deny": true }));
    let mut login = home.authctl(&["login", "my-oidc"]);
    person.sits_at(&mut login);
    ended(&mut login).bad(1, &["authctl login my-oidc"]);
    assert!(person.report()["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert_eq!(status(&home), Value::Null);
    assert!(provider.answers("token").is_empty());
}

#[test]
fn a_device_is_signed_in_by_the_code_that_a_person_types() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let home = home(&provider);
    let (code, seen) = device_login(&home, &json!({}));
    assert_eq!(code, Some(0));
    assert_eq!(seen["done"], json!(["device code", "device confirmation", "login", "consent"]));
    let api = ProtectedApi::start(&provider, None);
    assert_eq!(api.status(&home.good(&["token", "my-oidc"])), 200);
    home.good(&["token", "my-oidc", "--refresh"]);
    assert_eq!(refreshes(&provider), [200]);
}

#[test]
fn a_device_that_a_person_refuses_is_not_signed_in() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let home = home(&provider);
    let (code, _) = device_login(&home, &json!({ "deny": true }));
    assert_eq!(code, Some(1));
    assert_eq!(status(&home), Value::Null);
}

/// `authctl login my-oidc --device`; its exit status, and what the person saw who read URL and code
/// off the terminal.
fn device_login(home: &Home, manner: &Value) -> (Option<i32>, Value) {
    let mut login = home.authctl(&["login", "my-oidc", "--device"]);
    let mut login = login.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(login.stderr.take().unwrap()).lines().map_while(Result::ok);
    let (mut url, mut code) = (None, None);
    while url.is_none() || code.is_none() {
        let line = said.next().expect("authctl shows the address and the code");
        for word in line.split_whitespace() {
            if word.starts_with("http://") {
                url.get_or_insert(word.split('?').next().unwrap().to_owned());
            } else if is_user_code(word) {
                code.get_or_insert(word.to_owned());
            }
        }
    }
    let mut manner = manner.clone();
    manner["user_code"] = json!(code);
    let seen = Person::new(home.path(), manner).opens(&url.unwrap());
    said.for_each(drop); // the pipe must not fill up
    (login.wait().unwrap().code(), seen)
}

/// As in BCDF-GHJK, which is how the provider writes them.
fn is_user_code(word: &str) -> bool {
    let letters = |part: &str| part.len() == 4 && part.bytes().all(|c| c.is_ascii_uppercase());
    word.split_once('-').is_some_and(|(left, right)| letters(left) && letters(right))
}

#[test]
fn tokens_are_refreshed_and_refresh_tokens_rotate() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({ "access_token_ttl": 300 }));
    let api = ProtectedApi::start(&provider, None);
    let home = signed_in(&provider);
    let first = home.good(&["token", "my-oidc"]);
    assert_eq!(home.good(&["token", "my-oidc"]), first, "a fresh token is not refreshed");
    let id = status(&home)["id"].clone();
    let second = home.good(&["token", "my-oidc", "--refresh"]);
    let third = home.good(&["token", "my-oidc", "--min-ttl", "301s"]);
    assert!(first != second && second != third);
    assert_eq!(refreshes(&provider), [200, 200]);
    assert_eq!(api.status(&third), 200);
    assert_eq!(status(&home)["id"], id);
}

#[test]
fn a_family_that_the_server_ended_asks_for_a_sign_in_and_is_kept() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({ "access_token_ttl": 300 }));
    let home = signed_in(&provider);
    // Somebody else holds a copy from before a refresh and uses it: the server sees reuse.
    let copy = Home::new("file", &config(&provider, "client_id = \"public\""));
    copy_files(&home.path().join("data"), &copy.path().join("data"));
    copy_files(&home.path().join("state"), &copy.path().join("state"));
    home.good(&["token", "my-oidc", "--refresh"]);
    copy.run(&["token", "my-oidc", "--refresh"]).bad(4, &["authctl login my-oidc"]);
    home.run(&["token", "my-oidc", "--refresh"]).bad(4, &["authctl login my-oidc"]);
    assert_eq!(refreshes(&provider), [200, 400, 400]);

    // Asked again, it does not ask the server again, and nothing was thrown away.
    home.run(&["token", "my-oidc", "--refresh"]).bad(4, &["authctl login my-oidc"]);
    assert!(refreshes(&provider).len() <= 1);
    assert!(status(&home)["client_id"].is_string());
    sign_in(&home, &Person::new(copy.path(), json!({})), &[]);
    home.good(&["token", "my-oidc", "--refresh"]);
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_files(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
        let permissions = entry.metadata().unwrap().permissions();
        std::fs::set_permissions(&target, permissions).unwrap();
    }
    std::fs::set_permissions(to, from.metadata().unwrap().permissions()).unwrap();
}

#[test]
fn a_machine_signs_in_with_its_secret_in_the_header_or_in_the_body() {
    if !present(&["node"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let api = ProtectedApi::start(&provider, None);
    for (client, method) in
        [("machine-basic", "client_secret_basic"), ("machine-post", "client_secret_post")]
    {
        let lines = format!(
            "client_id = \"{client}\"\nauthentication = \"{method}\"\ngrants = [\"client_credentials\"]\n"
        );
        let home = Home::new("file", &config(&provider, &lines));
        let file = home.path().join("client-secret");
        std::fs::write(&file, format!("secret of {client} + 100%\n")).unwrap();
        let arguments = ["login", "my-oidc", "--scope", "api:read", "--client-secret-file"];
        home.good(&[&arguments[..], &[file.to_str().unwrap()]].concat());
        std::fs::remove_file(&file).unwrap();
        assert_eq!(api.status(&home.good(&["token", "my-oidc"])), 200);
        // There is no refresh token: a new one is had with the secret that was kept.
        let second = home.good(&["token", "my-oidc", "--refresh"]);
        assert_eq!(api.status(&second), 200);
        let clients: Vec<Value> =
            provider.answers("token").iter().map(|answer| answer["client_id"].clone()).collect();
        assert_eq!(clients, [client, client]);
    }
}

#[test]
fn a_wrong_client_secret_is_told_apart_from_a_refused_person() {
    if !present(&["node"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let lines = "client_id = \"machine-basic\"\ngrants = [\"client_credentials\"]\n";
    let home = Home::new("file", &config(&provider, lines));
    let file = home.path().join("client-secret");
    std::fs::write(&file, "wrong").unwrap();
    let arguments = ["login", "my-oidc", "--client-secret-file", file.to_str().unwrap()];
    let ended = home.run(&arguments);
    ended.bad(1, &["invalid_client"]);
    assert!(!ended.stderr.contains("wrong\n"), "{ended:?}");
    assert_eq!(status(&home), Value::Null);
}

#[test]
fn authctl_registers_itself_once_per_server() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let home = Home::new("file", &config(&provider, "client = \"register\""));
    for account in ["my-oidc", "my-oidc:work"] {
        let person = Person::new(tempfile::tempdir().unwrap().keep().as_path(), json!({}));
        let mut login = home.authctl(&["login", account]);
        person.sits_at(&mut login);
        ended(&mut login).good();
        home.good(&["token", account, "--refresh"]);
    }
    let registrations = provider.answers("registration");
    assert_eq!(registrations.len(), 1);
    assert_eq!(registrations[0]["status"], 201);
}

#[test]
fn a_token_is_for_the_resource_that_the_provider_names() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let resource = "http://127.0.0.1:9/api";
    let provider = OpenIdProvider::start(&json!({ "token_format": "jwt" }));
    let right = ProtectedApi::start(&provider, Some(resource));
    let other = ProtectedApi::start(&provider, Some("http://127.0.0.1:9/other"));
    let lines = format!("client_id = \"public\"\nresource = \"{resource}\"\n");
    let home = Home::new("file", &config(&provider, &lines));
    sign_in(&home, &Person::new(home.path(), json!({})), &[]);
    for arguments in [&["token", "my-oidc"][..], &["token", "my-oidc", "--refresh"]] {
        let token = home.good(arguments);
        assert_eq!((right.status(&token), other.status(&token)), (200, 401));
    }
    assert_eq!(status(&home)["resource"], resource);
}
