//! What a stored credential is bound to, and what is checked before anything is stored.
//!
//! | guarantee | tests |
//! |---|---|
//! | I5 the same resource everywhere | `every_request_names_the_same_resource_…`, `a_client_of_its_own_names_…` |
//! | I9 token answers are validated whole | `a_login_with_a_bad_token_answer_…`, `a_failed_second_login_…` |
//! | I11 a credential is bound to where it came from | `a_changed_…`, `a_client_of_the_command_line_…`, `an_issuer_that_…`, `a_provider_without_oauth_…`, `metadata_that_changes_…`, `a_host_that_…`, `a_new_sign_in_elsewhere_…` |

use serde_json::{Value, json};

use crate::support::authorization_server::{AuthorizationServer, Endpoint, Fault};
use crate::support::http::Answer;
use crate::support::sandbox::Sandbox;
use crate::support::sealed::Sealed;
use crate::support::signed_in::{PROVIDER, SignedIn, config, login};

// ------------------------------------------------------------------------------------------- I5

/// One that looks different once it has been parsed and written again.
const RESOURCE: &str = "https://API.example.com:443/mcp/%7Eann?a=b%20c";

/// The server complains about every request whose resource is another one or none, and a test that
/// ends with a complaint fails.
fn resource(server: &AuthorizationServer) {
    server.rules(|rules| rules.resource = Some(RESOURCE.into()));
}

fn resources_asked_for(server: &AuthorizationServer, endpoint: Endpoint) -> Vec<String> {
    let requests = server.requests(endpoint).into_iter();
    let pairs = requests.flat_map(|request| [request.query.clone(), request.form()].concat());
    pairs.filter(|(name, _)| name == "resource").map(|(_, value)| value).collect()
}

#[test]
fn every_request_names_the_same_resource_byte_for_byte() {
    let line =
        format!("resource = \"{RESOURCE}\"\ngrants = [\"authorization_code\", \"device_code\"]");
    let signed_in = SignedIn::with(&line, resource);
    signed_in.expire();
    signed_in.token(&[]).success();
    signed_in.sandbox.run(["login", PROVIDER, "--device"]).success();
    signed_in.token(&["--refresh"]).success();
    let asked = |endpoint| resources_asked_for(&signed_in.server, endpoint);
    assert_eq!(asked(Endpoint::Authorize), [RESOURCE]);
    assert_eq!(asked(Endpoint::Device), [RESOURCE]);
    assert_eq!(asked(Endpoint::Token), [RESOURCE; 4]);
    assert_eq!(signed_in.credential()["binding"]["resource"], RESOURCE);
}

#[test]
fn a_client_of_its_own_names_the_resource_at_login_and_each_time_again() {
    let signed_in = SignedIn::not_yet(
        &format!("resource = \"{RESOURCE}\"\ngrants = [\"client_credentials\"]"),
        |server| {
            resource(server);
            server.register("secretive", Some("s3cret"));
        },
    );
    let arguments = ["login", PROVIDER, "--client-id", "secretive", "--client-secret-file", "-"];
    signed_in.sandbox.run_with_input(arguments, "s3cret\n").success();
    signed_in.expire();
    signed_in.token(&[]).success();
    assert_eq!(resources_asked_for(&signed_in.server, Endpoint::Token), [RESOURCE; 2]);
    assert_eq!(signed_in.server.grants("client_credentials"), 2);
}

// ------------------------------------------------------------------------------------------- I9

/// Answers that hold a usable token beside something that is not.
fn bad_answers() -> Vec<Fault> {
    let texts = [
        r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
        r#"{"access_token":"a","refresh_token":"r","refresh_token":"r"}"#,
        r#"{"access_token":"a","refresh_token":7}"#,
        r#"{"access_token":"a","refresh_token":"r\n"}"#,
        r#"{"access_token":"a","refresh_token":"r r"}"#,
        r#"{"access_token":"a","token_type":"mac"}"#,
        r#"{"access_token":"a","token_type":"DPoP"}"#,
        r#"{"access_token":"a","token_type":7}"#,
        r#"{"access_token":"a","expires_in":"soon"}"#,
        r#"{"access_token":"a","expires_in":true}"#,
        r#"{"access_token":"a","expires_in":[]}"#,
        r#"{"access_token":"a","expires_in":1e999}"#,
        r#"{"access_token":"a","refresh_token_expires_in":"later"}"#,
        r#"{"access_token":"a","scope":{"read":true}}"#,
        "{\"access_token\":\"a\",\"scope\":\"read\\u001b[31m\"}",
        r#"{"access_token":"a","error":"invalid_grant"}"#,
        r#"{"access_token":"a"} "#,
        r#"{"access_token":"a"}{"access_token":"b"}"#,
        r#"{"access_token":"a","#,
        r#"[{"access_token":"a"}]"#,
        r#"{"access_token":["a"]}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":null,"refresh_token":"r"}"#,
        r#"{"refresh_token":"r","token_type":"Bearer"}"#,
        "<html>access_token=a</html>",
        "",
    ];
    // A blank at the end is no fault: JSON may end with one.
    let texts = texts.iter().filter(|text| !text.ends_with("} "));
    let mut faults: Vec<Fault> = texts.map(|text| Fault::Json((*text).to_owned())).collect();
    let mut not_utf8 = br#"{"access_token":"a"#.to_vec();
    not_utf8.extend([0xc3, 0x28, b'"', b'}']);
    faults.push(Fault::Answer(Answer::new(200, "application/json", not_utf8)));
    faults.push(Fault::Answer(Answer::new(302, "application/json", r#"{"access_token":"a"}"#)));
    faults.push(Fault::Answer(Answer::new(400, "application/json", r#"{"access_token":"a"}"#)));
    faults
}

#[test]
fn a_login_with_a_bad_token_answer_stores_nothing() {
    let signed_in = SignedIn::not_yet("", |_| {});
    for fault in bad_answers() {
        let shown = format!("{fault:?}");
        signed_in.next(fault);
        let output = login(&signed_in.sandbox, &[]);
        assert!([1, 75].contains(&output.code()), "{shown}: {output:?}");
        assert!(output.stderr.contains("127.0.0.1"), "{shown}: {output:?}");
        assert_eq!(signed_in.store.find(PROVIDER), None, "{shown}");
        let status = signed_in.sandbox.run(["status", "--json"]).json();
        assert_eq!(status["credentials"], json!([]), "{shown}");
        signed_in.token(&[]).failure(4);
    }
    // One exchange a code, whatever came of it.
    assert_eq!(signed_in.server.grants("authorization_code"), bad_answers().len());
    login(&signed_in.sandbox, &[]).success();
    assert_eq!(signed_in.record()["generation"], 1);
}

#[test]
fn a_failed_second_login_leaves_the_first() {
    let signed_in = SignedIn::new();
    let record = signed_in.record();
    for fault in bad_answers() {
        let shown = format!("{fault:?}");
        signed_in.next(fault);
        let output = login(&signed_in.sandbox, &[]);
        assert_ne!(output.code(), 0, "{shown}: {output:?}");
        assert_eq!(signed_in.record(), record, "{shown}");
    }
    signed_in.token(&["--refresh"]).success();
}

// ------------------------------------------------------------------------------------------- I11

/// Another authorization server, which would take any token that comes its way.
fn elsewhere() -> AuthorizationServer {
    let server = AuthorizationServer::start();
    server.register("public", None);
    server.register("another", None);
    server
}

fn requests(server: &AuthorizationServer) -> usize {
    let endpoints = [
        Endpoint::Metadata,
        Endpoint::Authorize,
        Endpoint::Token,
        Endpoint::Renew,
        Endpoint::Device,
        Endpoint::Register,
        Endpoint::Revoke,
    ];
    endpoints.iter().map(|endpoint| server.requests(*endpoint).len()).sum()
}

/// Uses the credential in every way that could send it somewhere; what it is bound to stays.
fn use_everything(signed_in: &SignedIn) -> Value {
    let sandbox = &signed_in.sandbox;
    signed_in.expire();
    let token = signed_in.token(&[]);
    signed_in.expire();
    sandbox.run(["status", "--check"]);
    signed_in.expire();
    sandbox.run(["exec", "--with", &format!("{PROVIDER}=TOKEN"), "--", "true"]);
    json!({ "code": token.code(), "said": token.stderr })
}

#[test]
fn a_changed_endpoint_in_the_configuration_gets_no_token() {
    let thief = elsewhere();
    let at = |path: &str| format!("{}{path}", thief.issuer());
    for line in [
        format!("token_endpoint = \"{}\"", at("/token")),
        format!("refresh_endpoint = \"{}\"", at("/renew")),
        format!("revocation_endpoint = \"{}\"", at("/revoke")),
        format!("authorization_endpoint = \"{}\"", at("/authorize")),
        format!("device_authorization_endpoint = \"{}\"", at("/device")),
        format!("registration_endpoint = \"{}\"", at("/register")),
    ] {
        let signed_in = SignedIn::new();
        let binding = signed_in.credential()["binding"].clone();
        signed_in.sandbox.write_config(&config(&signed_in.server, &line));
        let used = use_everything(&signed_in);
        let moved = line.starts_with("token_endpoint") || line.starts_with("refresh_endpoint");
        assert_eq!(used["code"], if moved { 4 } else { 0 }, "{line}: {used}");
        assert_eq!(signed_in.credential()["binding"], binding, "{line}");
        signed_in.sandbox.run(["logout", PROVIDER]).success();
        // Told at the place that the sign-in was bound to.
        assert!(!signed_in.server.requests(Endpoint::Revoke).is_empty(), "{line}");
        assert_eq!(signed_in.server.reuses(), 0, "{line}");
        assert_eq!(requests(&thief), 0, "{line}");
    }
}

#[test]
fn the_refresh_token_goes_to_the_refresh_endpoint_alone_and_is_bound_to_it() {
    let signed_in = SignedIn::not_yet("", |_| {});
    let text = |path: &str| {
        let line = format!("refresh_endpoint = \"{}{path}\"", signed_in.server.issuer());
        config(&signed_in.server, &line)
    };
    signed_in.sandbox.write_config(&text("/renew"));
    login(&signed_in.sandbox, &[]).success();
    signed_in.expire();
    signed_in.token(&[]).success();
    assert_eq!(signed_in.server.requests(Endpoint::Renew).len(), 1);
    assert_eq!(signed_in.refreshes(), 0, "at the token endpoint");
    let bound = signed_in.credential()["binding"]["refresh_endpoint"].clone();
    assert_eq!(bound, format!("{}/renew", signed_in.server.issuer()));
    // Another one, be it the token endpoint itself, asks for a new sign-in.
    signed_in.sandbox.write_config(&text("/token"));
    signed_in.expire();
    let said = signed_in.token(&[]).failure(4);
    assert!(said.contains("another refresh endpoint"), "{said}");
    assert_eq!(signed_in.refreshes(), 0);
    // What the configuration no longer names stays where the sign-in was.
    signed_in.sandbox.write_config(&config(&signed_in.server, ""));
    signed_in.token(&[]).success();
    assert_eq!(signed_in.server.requests(Endpoint::Renew).len(), 2);
}

#[test]
fn a_changed_issuer_in_the_configuration_gets_no_token() {
    let thief = elsewhere();
    let signed_in = SignedIn::new();
    let binding = signed_in.credential()["binding"].clone();
    signed_in.sandbox.write_config(&config(&thief, ""));
    let used = use_everything(&signed_in);
    assert_eq!(used["code"], 4, "{used}");
    let said = used["said"].as_str().unwrap();
    assert!(said.contains("another issuer") && said.contains("authctl login demo"), "{said}");
    assert_eq!(signed_in.credential()["binding"], binding);
    assert_eq!(signed_in.refreshes(), 0);
    // Written back, everything is as it was.
    signed_in.sandbox.write_config(&config(&signed_in.server, ""));
    signed_in.token(&[]).success();
    signed_in.sandbox.write_config(&config(&thief, ""));
    signed_in.sandbox.run(["logout", PROVIDER]).success();
    assert_eq!(requests(&thief), 0);
}

#[test]
fn a_changed_resource_asks_for_a_new_sign_in() {
    for (before, after) in [
        (String::new(), format!("resource = \"{RESOURCE}\"")),
        (format!("resource = \"{RESOURCE}\""), String::new()),
        (format!("resource = \"{RESOURCE}\""), format!("resource = \"{RESOURCE}/\"")),
    ] {
        let signed_in = SignedIn::with(&before, |server| {
            if !before.is_empty() {
                resource(server);
            }
        });
        signed_in.sandbox.write_config(&config(&signed_in.server, &after));
        // Not even the token that lives: it is for something else.
        let said = signed_in.token(&[]).failure(4);
        assert!(said.contains("another resource"), "{said}");
        use_everything(&signed_in);
        assert_eq!(signed_in.refreshes(), 0, "{before} {after}");
    }
}

#[test]
fn a_changed_client_asks_for_a_new_sign_in() {
    let signed_in = SignedIn::new();
    let binding = signed_in.credential()["binding"].clone();
    let text = config(&signed_in.server, "");
    let another = text.replace("client_id = \"public\"", "client_id = \"another\"");
    signed_in.sandbox.write_config(&another);
    let used = use_everything(&signed_in);
    assert_eq!(used["code"], 4, "{used}");
    assert!(used["said"].as_str().unwrap().contains("another client"), "{used}");
    assert_eq!((signed_in.refreshes(), &signed_in.credential()["binding"]), (0, &binding));
    // A client that the configuration does not name is the one that was remembered.
    signed_in.sandbox.write_config(&text.replace("client_id = \"public\"", ""));
    signed_in.token(&[]).success();
}

/// Whoever names a client at the login means it, until the configuration names a third.
#[test]
fn a_client_of_the_command_line_stays_the_one_of_that_sign_in() {
    let signed_in = SignedIn::not_yet("", |server| server.register("another", None));
    login(&signed_in.sandbox, &["--client-id", "another"]).success();
    signed_in.expire();
    signed_in.token(&[]).success();
    let third = config(&signed_in.server, "").replace("\"public\"", "\"third\"");
    signed_in.sandbox.write_config(&third);
    assert!(signed_in.token(&[]).failure(4).contains("another client"));
}

#[test]
fn an_issuer_that_a_sign_in_never_had_is_another_one() {
    let signed_in = SignedIn::new();
    signed_in.store.change(PROVIDER, |record| {
        record["credential"]["binding"].as_object_mut().unwrap().remove("issuer");
    });
    let used = use_everything(&signed_in);
    assert_eq!(used["code"], 4, "{used}");
    assert!(used["said"].as_str().unwrap().contains("another issuer"), "{used}");
    assert_eq!(signed_in.refreshes(), 0);
    // Without an issuer in the configuration, its endpoints decide.
    let at = |path: &str| format!("{}{path}", signed_in.server.issuer());
    let issuer = format!("issuer = \"{}\"", signed_in.server.issuer());
    let endpoints = format!(
        "token_endpoint = \"{}\"\nauthorization_endpoint = \"{}\"\npkce = \"S256\"",
        at("/token"),
        at("/authorize")
    );
    signed_in.sandbox.write_config(&config(&signed_in.server, "").replace(&issuer, &endpoints));
    signed_in.token(&[]).success();
}

#[test]
fn a_provider_without_oauth_refreshes_no_tokens() {
    let signed_in = SignedIn::new();
    signed_in.sandbox.write_config("[provider.demo.bearer]\nvariables = [\"DEMO_TOKEN\"]\n");
    // Not even the token that lives.
    let said = signed_in.token(&[]).failure(4);
    assert!(said.contains("another kind of credential"), "{said}");
    use_everything(&signed_in);
    assert_eq!(signed_in.refreshes(), 0);
}

#[test]
fn changed_scopes_do_not_change_what_a_refresh_says() {
    let signed_in = SignedIn::new();
    let text = config(&signed_in.server, "")
        .replace("scopes = [\"read\"]", "scopes = [\"read\", \"admin\"]");
    signed_in.sandbox.write_config(&text);
    signed_in.expire();
    signed_in.token(&[]).success();
    let form = signed_in.server.requests(Endpoint::Token).pop().unwrap().form();
    assert!(form.contains(&("client_id".into(), "public".into())), "{form:?}");
    assert!(!form.iter().any(|(name, _)| name == "scope"), "{form:?}");
}

#[test]
fn metadata_that_changes_after_the_login_moves_nothing() {
    let thief = elsewhere();
    let signed_in = SignedIn::new();
    let mut metadata = json!({ "issuer": signed_in.server.issuer() });
    for (name, path) in [
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/token"),
        ("revocation_endpoint", "/revoke"),
        ("registration_endpoint", "/register"),
    ] {
        metadata[name] = json!(format!("{}{path}", thief.issuer()));
    }
    for _ in 0..4 {
        let answer = Fault::Json(metadata.to_string());
        signed_in.server.script(Endpoint::Metadata, answer);
    }
    let asked = signed_in.server.requests(Endpoint::Metadata).len();
    assert_eq!(use_everything(&signed_in)["code"], 0);
    signed_in.sandbox.run(["logout", PROVIDER]).success();
    assert_eq!(signed_in.server.requests(Endpoint::Metadata).len(), asked);
    assert_eq!(requests(&thief), 0);
}

/// What a public server's document named at the login may not have moved to a private address since.
#[test]
fn a_host_that_only_a_public_document_named_gets_nothing_at_a_private_address() {
    let signed_in = SignedIn::new();
    signed_in.store.change(PROVIDER, |record| {
        let binding = &mut record["credential"]["binding"];
        binding["confined"] = json!([binding["token_endpoint"]]);
    });
    signed_in.expire();
    let said = signed_in.token(&[]).failure(75);
    assert!(said.contains("no request may go to the address 127.0.0.1"), "{said}");
    assert_eq!(signed_in.refreshes(), 0);
    let output = signed_in.sandbox.run(["logout", PROVIDER]);
    assert!(output.stderr.contains("no request may go to the address 127.0.0.1"), "{output:?}");
    assert!(signed_in.server.requests(Endpoint::Revoke).is_empty());
    assert_eq!(signed_in.store.find(PROVIDER), None);
}

#[test]
fn a_new_sign_in_elsewhere_takes_no_old_token_along() {
    let thief = elsewhere();
    let signed_in = SignedIn::new();
    signed_in.token(&["--refresh"]).success();
    let old = signed_in.server.secrets();
    let id = signed_in.record()["id"].clone();
    signed_in.sandbox.write_config(&config(&thief, ""));
    login(&signed_in.sandbox, &[]).success();
    signed_in.expire();
    signed_in.token(&[]).success();
    signed_in.sandbox.run(["logout", PROVIDER]).success();
    assert!(thief.grants("refresh_token") == 1 && !thief.requests(Endpoint::Revoke).is_empty());
    for endpoint in [Endpoint::Authorize, Endpoint::Token, Endpoint::Revoke] {
        for request in thief.requests(endpoint) {
            let shown = format!("{request:?} {}", String::from_utf8_lossy(&request.body));
            assert!(!old.iter().any(|secret| shown.contains(secret)), "{shown}");
        }
    }
    assert!(id.as_str().unwrap().starts_with("cred_"));
}

/// A record that was copied under another name is not that name's.
#[test]
fn a_credential_of_one_provider_does_not_open_as_anothers() {
    let signed_in = SignedIn::new();
    let sandbox: &Sandbox = &signed_in.sandbox;
    let text = config(&signed_in.server, "");
    let other = text.replace(PROVIDER, "other-as");
    sandbox.write_config(&format!("{text}{other}"));
    let file = |name: &str| {
        sandbox.path(&format!("home/.local/share/authctl/store/credential~{name}~default.sealed"))
    };
    std::fs::copy(file(PROVIDER), file("other-as")).unwrap();
    let said = sandbox.run(["token", "other-as"]).failure(1);
    assert!(said.contains("other-as"), "{said}");
    // Even one that was sealed anew says by itself whose it is.
    let store = Sealed::of(sandbox);
    store.write("other-as", &store.record(PROVIDER));
    sandbox.run(["token", "other-as"]).failure(1);
    assert_eq!(signed_in.refreshes(), 0);
}
