//! Sign in, refresh and sign out at a certified OpenID provider; the person's part is done by
//! Chromium on the provider's own pages.

#![cfg(unix)]

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::real_parts::{KEYCHAIN, Keyring, OpenIdProvider, Person, ProtectedApi, present};
use crate::support::mcp_guard::{McpServer, OF_PATH};
use crate::support::sandbox::Sandbox;

/// A sandbox with a provider `my-oidc`, which has these further lines in its `oauth` table.
fn sandbox(provider: &OpenIdProvider, lines: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_config(&format!(
        "[provider.my-oidc.oauth]\nissuer = \"{}\"\n\
         scopes = [\"openid\", \"offline_access\", \"api:read\"]\nvariables = [\"TOKEN\"]\n{lines}\n",
        provider.issuer
    ));
    sandbox
}

const PUBLIC: &str = "client_id = \"public\"\nauthentication = \"none\"";

/// A sandbox in which a person has signed in with the browser.
fn signed_in(provider: &OpenIdProvider) -> Sandbox {
    let mut sandbox = sandbox(provider, PUBLIC);
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();
    sandbox
}

fn token(sandbox: &Sandbox, flags: &[&str]) -> String {
    let output = sandbox.run([&["token", "my-oidc"], flags].concat());
    output.success().trim_end().to_owned()
}

/// What `status` says of the only credential.
fn status(sandbox: &Sandbox) -> Value {
    sandbox.run(["status", "--json"]).json()["credentials"][0].clone()
}

#[track_caller]
fn assert_sign_in_needed(sandbox: &Sandbox, flags: &[&str]) {
    let said = sandbox.run([&["token", "my-oidc"], flags].concat()).failure(4);
    assert!(said.contains("authctl login my-oidc"), "{said}");
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
    let mut sandbox = sandbox(&provider, PUBLIC);
    let person = Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();
    assert_clean_end(&person.report());

    let state = status(&sandbox);
    assert_eq!(state["state"], "active");
    assert_eq!(state["issuer"], provider.issuer.as_str());
    assert_eq!(state["subject"], "alice");
    let [node, flag, script] = api.caller();
    let exec = ["exec", "--with", "my-oidc", "--", &node, &flag, &script];
    let answer = sandbox.run(exec).success();
    assert!(answer.starts_with("200 ") && answer.contains("alice"), "{answer}");

    let token = token(&sandbox, &[]);
    assert_eq!(api.status(&token), 200);
    sandbox.run(["logout", "my-oidc"]).success();
    assert_eq!(api.status(&token), 401);
    assert_eq!(provider.answers("revocation")[0]["status"], 200);
    assert_sign_in_needed(&sandbox, &[]);
}

/// The browser was left at a page of the loopback listener that shows no code and leads nowhere.
fn assert_clean_end(page: &Value) {
    assert_eq!(page["done"], json!(["login", "consent"]));
    assert!(page["error"].is_null(), "{page}");
    let (url, text) = (page["url"].as_str().unwrap(), page["text"].as_str().unwrap());
    assert!(url.starts_with("http://127.0.0.1:") && !url.contains("code="), "{page}");
    assert!(text.contains("authctl") && !text.contains("code="), "{page}");
}

#[test]
fn a_person_who_refuses_in_the_browser_is_believed() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let mut sandbox = sandbox(&provider, PUBLIC);
    let person = Person::at(&mut sandbox, json!({ "deny": true }));
    let said = sandbox.run(["login", "my-oidc"]).failure(1);
    assert!(said.contains("authctl login my-oidc"), "{said}");
    assert!(person.report()["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert_eq!(status(&sandbox), Value::Null);
    assert!(provider.answers("token").is_empty());
}

#[test]
fn a_device_is_signed_in_by_the_code_that_a_person_types() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let api = ProtectedApi::start(&provider, None);
    let (sandbox, seen) = device_login(&provider, json!({}), 0);
    let pages = json!(["device code", "device confirmation", "login", "consent"]);
    assert_eq!(seen["done"], pages, "{seen}");
    assert_eq!(api.status(&token(&sandbox, &["--refresh"])), 200);
    assert_eq!(refreshes(&provider), [200]);
}

#[test]
fn a_device_that_a_person_refuses_is_not_signed_in() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let (sandbox, _) = device_login(&provider, json!({ "deny": true }), 1);
    assert_eq!(status(&sandbox), Value::Null);
}

/// `authctl login my-oidc` with a device code, which must end with `code`; and what the person saw, who read
/// address and code off the terminal.
fn device_login(provider: &OpenIdProvider, manner: Value, code: i32) -> (Sandbox, Value) {
    let mut sandbox = sandbox(provider, &format!("{PUBLIC}\ngrants = [\"device_code\"]"));
    let mut person = Person::at(&mut sandbox, manner);
    let mut login = sandbox.start(sandbox.command(["login", "my-oidc"]));
    let page = login.wait_for("the page's address", |line| {
        line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
    });
    let user_code = login.wait_for("the code", |line| {
        line.split_whitespace().find(|word| is_user_code(word)).map(str::to_owned)
    });
    person.learns(&user_code);
    let seen = person.opens(page.split('?').next().unwrap());
    let ended = login.finish();
    assert_eq!(ended.code(), code, "{ended:?}");
    (sandbox, seen)
}

/// Where nobody sits, a program asks its person, and what waits meanwhile is in the keychain.
#[test]
fn a_device_code_is_asked_for_by_one_command_and_finished_by_another() {
    if !present(&[&["node", "chromium"], &KEYCHAIN[..]].concat()) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let api = ProtectedApi::start(&provider, None);
    let keyring = Keyring::start();
    let mut sandbox = sandbox(&provider, PUBLIC);
    keyring.serve(&mut sandbox);
    let mut person = Person::at(&mut sandbox, json!({}));
    sandbox.unset("BROWSER");
    let asked = sandbox.run(["login", "my-oidc", "--json"]);
    assert_eq!(asked.code(), 4, "{asked:?}");
    let asked = asked.json();
    let item = format!("pending/{}", asked["flow"].as_str().unwrap());
    assert!(keyring.lookup(&item).is_some());
    person.learns(asked["user_code"].as_str().unwrap());
    let seen = person.opens(asked["verification_uri"].as_str().unwrap());
    assert!(seen["error"].is_null(), "{seen}");
    sandbox.run(["login", "my-oidc", "--resume"]).success();
    assert_eq!(api.status(&token(&sandbox, &[])), 200);
    assert!(keyring.lookup(&item).is_none(), "used once");
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
    let sandbox = signed_in(&provider);
    let first = token(&sandbox, &[]);
    assert_eq!(token(&sandbox, &[]), first, "a fresh token is not refreshed");
    let id = status(&sandbox)["id"].clone();
    let second = token(&sandbox, &["--refresh"]);
    let third = token(&sandbox, &["--min-ttl", "301s"]);
    assert!(first != second && second != third);
    assert_eq!(refreshes(&provider), [200, 200]);
    assert_eq!(api.status(&third), 200);
    assert_eq!(status(&sandbox)["id"], id);
}

/// Rotation with reuse detection and the keychain at once, as on a desk where many agents wake up.
#[test]
fn many_processes_that_meet_an_ended_token_refresh_it_once() {
    if !present(&[&["node", "chromium"], &KEYCHAIN[..]].concat()) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({ "access_token_ttl": 20 }));
    let keyring = Keyring::start();
    let mut sandbox = sandbox(&provider, PUBLIC);
    keyring.serve(&mut sandbox);
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();

    // Once it lives less than 12 s it has ended for them; a new one is good for 8 s of this test.
    std::thread::sleep(Duration::from_secs(9));
    let start = |_| sandbox.start(sandbox.command(["token", "my-oidc", "--min-ttl", "12s"]));
    let crowd: Vec<_> = (0..16).map(start).collect();
    let tokens: HashSet<String> = crowd.into_iter().map(|run| run.finish().success()).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(refreshes(&provider), [200]);
    token(&sandbox, &["--refresh"]);
    assert_eq!(refreshes(&provider), [200]);
}

#[test]
fn a_family_that_the_server_ended_asks_for_a_sign_in_and_is_kept() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({ "access_token_ttl": 300 }));
    let mut original = signed_in(&provider);
    // Somebody else holds a copy from before a refresh and uses it: the server sees reuse.
    let copy = sandbox(&provider, PUBLIC);
    copy_files(&original.path("home/.local"), &copy.path("home/.local"));
    token(&original, &["--refresh"]);
    assert_sign_in_needed(&copy, &["--refresh"]);
    assert_sign_in_needed(&original, &["--refresh"]);
    assert_eq!(refreshes(&provider), [200, 400, 400]);

    // Nothing was thrown away, and a sign-in mends it under the same id.
    let ended = status(&original);
    assert_eq!(ended["client_id"], "public");
    Person::at(&mut original, json!({}));
    original.run(["login", "my-oidc"]).success();
    assert_eq!(status(&original)["id"], ended["id"]);
    token(&original, &["--refresh"]);
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, target) =
            (entry.as_ref().unwrap(), to.join(entry.as_ref().unwrap().file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_files(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
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
    for client in ["machine-basic", "machine-post"] {
        let method = client.replace("machine-", "client_secret_");
        let sandbox = sandbox(&provider, &machine(client, &method));
        let secret = format!("secret:of+{client}/100%\n");
        sandbox.run_with_input(LOGIN_AS_MACHINE, &secret).success();
        assert_eq!(api.status(&token(&sandbox, &[])), 200);
        // There is no refresh token: a new one is had with the secret that was kept.
        assert_eq!(api.status(&token(&sandbox, &["--refresh"])), 200);
        let answers = provider.answers("token");
        assert_eq!(answers.len(), 2);
        assert!(answers.iter().all(|answer| answer["client_id"] == client), "{answers:?}");
    }
}

const LOGIN_AS_MACHINE: [&str; 6] =
    ["login", "my-oidc", "--scope", "api:read", "--client-secret-file", "-"];

fn machine(client: &str, method: &str) -> String {
    format!(
        "client_id = \"{client}\"\nauthentication = \"{method}\"\ngrants = [\"client_credentials\"]"
    )
}

#[test]
fn a_wrong_client_secret_is_named_and_not_shown() {
    if !present(&["node"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let sandbox = sandbox(&provider, &machine("machine-basic", "client_secret_basic"));
    let said = sandbox.run_with_input(LOGIN_AS_MACHINE, "not-the-secret").failure(1);
    assert!(said.contains("invalid_client") && !said.contains("not-the-secret"), "{said}");
    assert_eq!(status(&sandbox), Value::Null);
}

#[test]
fn authctl_registers_itself_once_per_server() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let mut sandbox = sandbox(&provider, "client = \"register\"");
    for account in ["my-oidc", "my-oidc:work"] {
        Person::at(&mut sandbox, json!({}));
        sandbox.run(["login", account]).success();
        sandbox.run(["token", account, "--refresh"]).success();
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
    let mut sandbox = sandbox(&provider, &format!("{PUBLIC}\nresource = \"{resource}\""));
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();
    for flags in [&[][..], &["--refresh"]] {
        let token = token(&sandbox, flags);
        assert_eq!((right.status(&token), other.status(&token)), (200, 401));
    }
    assert_eq!(status(&sandbox)["resource"], resource);
}

#[test]
fn an_mcp_server_leads_to_the_provider_where_a_client_registers_itself() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let mcp = McpServer::start();
    let scopes = json!({ "scopes_supported": ["openid", "offline_access", "api:read"] });
    mcp.publish(OF_PATH, &mcp.metadata(&[&provider.issuer], &scopes));
    let mut sandbox = Sandbox::new();
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", &mcp.url(), "--name", "acme"]).success();
    assert_eq!(provider.answers("registration")[0]["status"], 201);
    let state = status(&sandbox);
    assert_eq!(state["issuer"], provider.issuer.as_str());
    assert_eq!(state["resource"], mcp.url());
    let first = sandbox.run(["token", "acme"]).success();
    assert_ne!(sandbox.run(["token", "acme", "--refresh"]).success(), first);
    assert_eq!(refreshes(&provider), [200]);
    // Again: the same client, with nothing registered.
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "acme"]).success();
    assert_eq!(provider.answers("registration"), Vec::<Value>::new());
}
