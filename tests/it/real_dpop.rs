//! Pushed requests and bound tokens at a certified OpenID provider that demands both and a nonce in every
//! proof, and at an API that verifies proofs itself; Chromium is the person's browser.

#![cfg(unix)]

use serde_json::{Value, json};

use crate::real_parts::{OpenIdProvider, Person, ProtectedApi, present};
use crate::support::sandbox::Sandbox;

/// A provider that takes nothing less.
fn demanding(options: &Value) -> OpenIdProvider {
    let mut all = json!({ "require_push": true, "require_nonce": true });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    OpenIdProvider::start(&all)
}

/// A sandbox with a provider `my-oidc`, whose tokens are tried at `verify`.
fn sandbox(provider: &OpenIdProvider, client: &str, verify: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_config(&format!(
        "[provider.my-oidc.oauth]\nissuer = \"{}\"\nverify = \"{verify}\"\n\
         scopes = [\"openid\", \"offline_access\", \"api:read\"]\nvariables = [\"TOKEN\"]\n{client}\n",
        provider.issuer
    ));
    sandbox
}

const PUBLIC: &str = "client_id = \"public\"\nauthentication = \"none\"\ndpop = \"required\"";

/// What `status --check` says of the only credential.
fn check(sandbox: &Sandbox) -> Value {
    sandbox.run(["status", "--check", "--json"]).json()["credentials"][0].clone()
}

fn statuses(answers: &[Value]) -> Vec<Value> {
    answers.iter().map(|answer| answer["status"].clone()).collect()
}

#[test]
fn a_person_signs_in_by_a_pushed_request_and_gets_a_bound_token() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = demanding(&json!({}));
    let api = ProtectedApi::start(&provider, None);
    let mut sandbox = sandbox(&provider, PUBLIC, &format!("{}/v1?x=y", api.url));
    let person = Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();
    assert_eq!(person.report()["done"], json!(["login", "consent"]));
    // One push without nonce and one with; the code's exchange has the nonce at once.
    assert_eq!(statuses(&provider.answers("pushed_authorization_request")), [400, 201]);

    let state = check(&sandbox);
    assert_eq!(
        (&state["state"], &state["dpop_bound"]),
        (&json!("active"), &json!(true)),
        "{state}"
    );
    let answers = api.answers();
    assert_eq!(statuses(&answers), [401, 200]);
    assert_eq!(answers[0]["error"], "use_dpop_nonce");
    assert_eq!((&answers[1]["sub"], &answers[1]["client_id"]), (&json!("alice"), &json!("public")));

    for command in [&["token", "my-oidc"][..], &["token", "my-oidc", "--header"]] {
        let stderr = sandbox.run(command).failure(2);
        assert!(stderr.contains("bound to a key (DPoP)"), "{stderr}");
    }
    sandbox.run(["logout", "my-oidc"]).success();
}

#[test]
fn a_bound_token_is_refreshed_with_the_same_key_and_revoked_without_proof() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = demanding(&json!({}));
    let userinfo = format!("{}/me", provider.issuer);
    let mut sandbox = sandbox(&provider, PUBLIC, &userinfo);
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();
    assert_eq!(check(&sandbox)["state"], "active");
    provider.answers("token");
    // A refused hand-over, after the refresh that was asked for.
    sandbox.run(["token", "my-oidc", "--refresh"]).failure(2);
    assert_eq!(statuses(&provider.answers("token")), [400, 200]);
    assert_eq!(check(&sandbox)["state"], "active", "the new token works with the old key");
    sandbox.run(["logout", "my-oidc"]).success();
    assert_eq!(statuses(&provider.answers("revocation")), [200, 200]);
}

#[test]
fn many_processes_may_refresh_a_bound_token_at_once() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = demanding(&json!({ "access_token_ttl": 300 }));
    let api = ProtectedApi::start(&provider, None);
    let mut sandbox = sandbox(&provider, PUBLIC, &api.url);
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();
    provider.answers("token");
    // No token lives that long: all of them want a new one, and none may use an old refresh token.
    let start = |_| sandbox.start(sandbox.command(["token", "my-oidc", "--min-ttl", "301s"]));
    let crowd: Vec<_> = (0..8).map(start).collect();
    for one in crowd {
        one.finish().failure(2);
    }
    let answers = provider.answers("token");
    assert!(answers.iter().all(|answer| answer["error"] != "invalid_grant"), "{answers:?}");
    assert_eq!(check(&sandbox)["state"], "active");
}

#[test]
fn a_machine_gets_a_bound_token() {
    if !present(&["node"]) {
        return;
    }
    let provider = demanding(&json!({}));
    let api = ProtectedApi::start(&provider, None);
    let client = "client_id = \"machine-basic\"\nauthentication = \"client_secret_basic\"\n\
                  grants = [\"client_credentials\"]\ndpop = \"required\"";
    let sandbox = sandbox(&provider, client, &api.url);
    let login = ["login", "my-oidc", "--scope", "api:read", "--client-secret-file", "-"];
    sandbox.run_with_input(login, "secret:of+machine-basic/100%").success();
    assert_eq!(check(&sandbox)["state"], "active");
    assert_eq!(statuses(&api.answers()), [401, 200]);
}

#[test]
fn a_client_that_authctl_registers_is_registered_for_bound_tokens() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = demanding(&json!({}));
    let userinfo = format!("{}/me", provider.issuer);
    let mut sandbox = sandbox(&provider, "client = \"register\"\ndpop = \"required\"", &userinfo);
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();
    assert_eq!(check(&sandbox)["dpop_bound"], true);
    // The provider itself refuses this client plain tokens now: the registration is remembered.
    sandbox.write_config(&format!(
        "[provider.other.oauth]\nissuer = \"{}\"\nclient = \"register\"\nverify = \"{userinfo}\"\n\
         scopes = [\"openid\"]\n",
        provider.issuer
    ));
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "other"]).success();
    let stderr = sandbox.run(["token", "other"]).failure(2);
    assert!(stderr.contains("bound to a key"), "{stderr}");
    assert_eq!(provider.answers("registration").len(), 1);
}

/// Nothing of the old way is broken by what the provider can do now.
#[test]
fn plain_tokens_are_plain_where_nobody_asked() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let api = ProtectedApi::start(&provider, None);
    let plain = PUBLIC.replace("\"required\"", "false");
    let mut sandbox = sandbox(&provider, &plain, &api.url);
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();
    let token = sandbox.run(["token", "my-oidc"]).success();
    assert_eq!(api.status(token.trim_end()), 200);
    assert_eq!(statuses(&provider.answers("pushed_authorization_request")), Vec::<Value>::new());
}
