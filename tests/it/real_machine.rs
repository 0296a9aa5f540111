//! Machines at the certified provider: clients with keys that openssl made, jobs of GitHub Actions with
//! real RS256 keys, exchanges, and an enterprise's identity provider. Every signature is verified.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::real_parts::{CiIdentity, OpenIdProvider, Person, ProtectedApi, present};
use crate::support::sandbox::Sandbox;

const RSA: [&str; 2] = ["RSA", "rsa_keygen_bits:2048"];
const EC: [&str; 2] = ["EC", "ec_paramgen_curve:P-256"];
const LOOPBACK: [&str; 2] = ["http://127.0.0.1/callback", "http://localhost/callback"];

/// A private key that only its owner can read, as openssl makes it.
fn key(sandbox: &Sandbox, name: &str, [algorithm, option]: [&str; 2]) -> PathBuf {
    let path = sandbox.path(name);
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// The public half, as the server is told it.
fn public_keys(private: &Path) -> Value {
    let script = "const { createPublicKey } = require('crypto');
        const pem = require('fs').readFileSync(process.argv[1]);
        console.log(JSON.stringify(createPublicKey(pem).export({ format: 'jwk' })))";
    let output = Command::new("node").args(["-e", script]).arg(private).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    json!({ "keys": [serde_json::from_slice::<Value>(&output.stdout).unwrap()] })
}

/// A client that proves itself with this key.
fn client(private: &Path, grants: &[&str], redirect_uris: &[&str]) -> Value {
    let types: &[&str] = if redirect_uris.is_empty() { &[] } else { &["code"] };
    json!({
        "client_id": "with-key",
        "application_type": "native",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": public_keys(private),
        "grant_types": grants,
        "redirect_uris": redirect_uris,
        "response_types": types,
    })
}

fn configure(sandbox: &Sandbox, provider: &OpenIdProvider, lines: &str) {
    sandbox.write_config(&format!(
        "[provider.my-oidc.oauth]\nissuer = \"{}\"\nvariables = [\"TOKEN\"]\n{lines}\n",
        provider.issuer
    ));
}

fn token(sandbox: &Sandbox, flags: &[&str]) -> String {
    let output = sandbox.run([&["token", "my-oidc"], flags].concat());
    output.success().trim_end().to_owned()
}

const AS_MACHINE: &str =
    "client_id = \"with-key\"\ngrants = [\"client_credentials\"]\nscopes = [\"api:read\"]";

#[test]
fn a_machine_proves_itself_with_keys_of_both_kinds() {
    if !present(&["node", "openssl"]) {
        return;
    }
    for kind in [RSA, EC] {
        let sandbox = Sandbox::new();
        let private = key(&sandbox, "key.pem", kind);
        let client = client(&private, &["client_credentials"], &[]);
        let provider = OpenIdProvider::start(&json!({ "clients": [client] }));
        let api = ProtectedApi::start(&provider, None);
        configure(&sandbox, &provider, AS_MACHINE);
        let login = ["login", "my-oidc", "--client-key-file", private.to_str().unwrap()];
        sandbox.run(login).success();
        let last = token(&sandbox, &["--refresh"]);
        assert_eq!(api.status(&last), 200);
        sandbox.run(["logout", "my-oidc"]).success();
        assert_eq!(api.status(&last), 401);

        let other = key(&sandbox, "other.pem", kind);
        let said = sandbox.run(["login", "my-oidc", "--client-key-file", other.to_str().unwrap()]);
        let said = said.failure(1);
        assert!(said.contains("invalid_client"), "{said}");
        // The right one is still what is remembered.
        sandbox.run(["login", "my-oidc"]).success();
    }
}

#[test]
fn a_person_signs_in_at_a_client_that_has_a_key() {
    if !present(&["node", "openssl", "chromium"]) {
        return;
    }
    let mut sandbox = Sandbox::new();
    let private = key(&sandbox, "home/key.pem", EC);
    let client = client(&private, &["authorization_code", "refresh_token"], &LOOPBACK);
    let provider = OpenIdProvider::start(&json!({ "clients": [client] }));
    let api = ProtectedApi::start(&provider, None);
    let lines = "client_id = \"with-key\"\nclient_key_file = \"~/key.pem\"\n\
        scopes = [\"openid\", \"offline_access\", \"api:read\"]";
    configure(&sandbox, &provider, lines);
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "my-oidc"]).success();
    let refreshed = token(&sandbox, &["--refresh"]);
    assert_eq!(api.status(&refreshed), 200);
    sandbox.run(["logout", "my-oidc"]).success();
    assert_eq!(api.status(&refreshed), 401);
}

/// A job of GitHub Actions in a container without a keychain, and a provider that trusts its issuer.
fn job(ci: &CiIdentity, options: &Value, lines: &str) -> (Sandbox, OpenIdProvider) {
    let mut all = json!({ "trusted": [{ "issuer": ci.issuer, "jwks_uri": ci.jwks_uri }] });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let provider = OpenIdProvider::start(&all);
    let mut sandbox = Sandbox::new();
    let table = format!("client_id = \"workload\"\nscopes = [\"api:read\"]\n{lines}");
    configure(&sandbox, &provider, &table);
    sandbox.env("CI", "true").env("AUTHCTL_STORE", "keychain");
    sandbox.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nothing");
    sandbox.env("ACTIONS_ID_TOKEN_REQUEST_URL", &ci.request_url);
    sandbox.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "permit");
    (sandbox, provider)
}

const JWT_BEARER: &str = "grants = [\"jwt_bearer\"]\nidentity = { source = \"github-actions\" }";

#[test]
fn a_job_of_github_actions_calls_an_api_with_nothing_stored() {
    if !present(&["node"]) {
        return;
    }
    let ci = CiIdentity::start(&json!({}));
    let exchange = JWT_BEARER.replace("jwt_bearer", "token_exchange");
    for lines in [JWT_BEARER, &exchange] {
        let (sandbox, provider) = job(&ci, &json!({}), lines);
        let api = ProtectedApi::start(&provider, None);
        let [node, flag, script] = api.caller();
        let exec = ["exec", "--with", "my-oidc", "--", &node, &flag, &script];
        let answer = sandbox.run(exec).success();
        assert!(answer.starts_with("200 ") && answer.contains("workload"), "{answer}");
        // A long job asks again, with another identity.
        assert_ne!(token(&sandbox, &[]), token(&sandbox, &[]));
        let asked = ci.answers();
        assert_eq!(asked.len(), 3);
        assert!(asked.iter().all(|answer| answer["audience"] == provider.issuer.as_str()));
    }
}

#[test]
fn an_identity_for_somebody_else_or_of_another_time_is_refused() {
    if !present(&["node"]) {
        return;
    }
    let ci = CiIdentity::start(&json!({}));
    let other = JWT_BEARER.replace("actions\"", "actions\", audience = \"https://other.example\"");
    let (sandbox, _provider) = job(&ci, &json!({}), &other);
    let said = sandbox.run(["token", "my-oidc"]).failure(1);
    assert!(said.contains("does not accept the identity") && said.contains("\"aud\""), "{said}");

    // The server's clock is an hour ahead of ours.
    let (sandbox, _provider) = job(&ci, &json!({ "clock_offset": 3600 }), JWT_BEARER);
    let said = sandbox.run(["token", "my-oidc"]).failure(1);
    assert!(said.contains("\"exp\"") && said.contains("clock"), "{said}");

    let ended = CiIdentity::start(&json!({ "lifetime": -120 }));
    let (sandbox, provider) = job(&ended, &json!({}), JWT_BEARER);
    let said = sandbox.run(["token", "my-oidc"]).failure(1);
    assert!(said.contains("ended at"), "{said}");
    assert!(provider.answers("token").is_empty());

    let (sandbox, _provider) = job(&ci, &json!({ "trusted": [] }), JWT_BEARER);
    let said = sandbox.run(["token", "my-oidc"]).failure(1);
    assert!(said.contains("is not trusted"), "{said}");
}

#[test]
fn a_service_account_that_the_server_knows_signs_for_itself() {
    if !present(&["node", "openssl"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let private = key(&sandbox, "home/robot.pem", RSA);
    let trusted = json!([{ "issuer": "robot@example", "jwks": public_keys(&private) }]);
    let lines = "client_id = \"workload\"\ngrants = [\"jwt_bearer\"]\n\
        identity = { source = \"key\", key_file = \"~/robot.pem\", issuer = \"robot@example\" }";
    let provider = OpenIdProvider::start(&json!({ "trusted": trusted }));
    let api = ProtectedApi::start(&provider, None);
    configure(&sandbox, &provider, lines);
    assert_eq!(api.status(&token(&sandbox, &[])), 200);

    let late = OpenIdProvider::start(&json!({ "trusted": trusted, "clock_offset": 600 }));
    configure(&sandbox, &late, lines);
    let said = sandbox.run(["token", "my-oidc"]).failure(1);
    assert!(said.contains("\"exp\"") && said.contains("clock"), "{said}");
}

#[test]
fn one_sign_in_at_the_enterprise_opens_the_servers_that_it_allows() {
    if !present(&["node", "chromium"]) {
        return;
    }
    let corp = OpenIdProvider::start(&json!({}));
    let trusted =
        json!([{ "issuer": corp.issuer, "jwks_uri": format!("{}/id-jag/jwks", corp.issuer) }]);
    let resource = OpenIdProvider::start(&json!({ "trusted": trusted }));
    let api = ProtectedApi::start(&resource, None);
    let mut sandbox = Sandbox::new();
    sandbox.write_config(&format!(
        "[provider.corp.oauth]\nissuer = \"{}\"\nclient_id = \"public\"\nauthentication = \"none\"\n\
         scopes = [\"openid\", \"offline_access\"]\n\
         [provider.my-oidc.oauth]\nissuer = \"{}\"\ngrants = [\"id_jag\"]\n\
         identity_provider = \"corp\"\nresource = \"{}\"\nclient_id = \"enterprise\"\n\
         scopes = [\"api:read\"]\nvariables = [\"TOKEN\"]\n",
        corp.issuer, resource.issuer, api.url
    ));
    Person::at(&mut sandbox, json!({}));
    sandbox.run(["login", "corp"]).success();
    let login = ["login", "my-oidc", "--client-id", "enterprise", "--client-secret-file", "-"];
    sandbox.run_with_input(login, "secret:of+enterprise/100%").success();
    assert_eq!(api.status(&token(&sandbox, &[])), 200);
    assert_eq!(api.status(&token(&sandbox, &["--refresh"])), 200);
    // The browser was opened for the enterprise alone.
    sandbox.run(["logout", "corp"]).success();
    let said = sandbox.run(["token", "my-oidc", "--refresh"]).failure(4);
    assert!(said.contains("authctl login corp"), "{said}");
}
