//! Signing in and out, from the command line to the authorization server and back.

use crate::support::authorization_server::{Endpoint, Fault, Person, RedirectIssuer};
use crate::support::browser;
use crate::support::demo::Demo;
use crate::support::protected_resource::ProtectedResource;
use crate::support::sandbox::{Output, Sandbox};

fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> &'a str {
    parameters.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
}

/// A login with the browser that must fail; what it said.
#[track_caller]
fn failed_login(demo: &Demo, code: i32) -> String {
    let stderr = demo.login(&["demo"]).failure(code);
    assert!(demo.sandbox.run(["status"]).success().contains("Nothing is stored"));
    stderr
}

// ------------------------------------------------------------------------------ authorization code

#[test]
fn a_login_with_the_browser_ends_with_a_token_that_works() {
    let demo = Demo::signed_in();
    let token = demo.token(&[]).success();
    let resource = ProtectedResource::start("authorization", demo.server.introspection());
    let url = url::Url::parse(&resource.origin()).unwrap();
    let header = demo.token(&["--header"]).success();
    assert_eq!(header, format!("Authorization: Bearer {token}"));
    let request = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", header.trim_end());
    assert_eq!(browser::request(&url, &request).status, 200);
    assert_eq!(demo.sandbox.opened_urls().len(), 1, "one browser tab");
}

#[test]
fn a_client_is_registered_once_for_many_logins() {
    let demo = Demo::new();
    for name in ["demo", "demo:work", "demo"] {
        demo.login(&[name]).success();
    }
    assert_eq!(demo.server.requests(Endpoint::Register).len(), 1);
}

#[test]
fn a_client_that_is_registered_for_one_grant_is_registered_anew_for_two() {
    let demo = Demo::new();
    demo.login(&["demo"]).success();
    // Only the browser stands in the configuration; the server's metadata names the device endpoint.
    demo.sandbox.run(["login", "demo:tv", "--device"]).success();
    demo.login(&["demo"]).success();
    let registered: Vec<serde_json::Value> = demo
        .server
        .requests(Endpoint::Register)
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let grants = |index: usize| registered[index]["grant_types"].clone();
    assert_eq!(grants(0), serde_json::json!(["authorization_code", "refresh_token"]));
    assert_eq!(grants(1), serde_json::json!(["authorization_code", device, "refresh_token"]));
    assert_eq!(registered.len(), 2);
}

#[test]
fn a_client_of_ones_own_needs_no_secret_unless_it_has_one() {
    let demo = Demo::with("client_id = \"mine\"");
    demo.server.register("mine", None);
    demo.login(&["demo"]).success();
    assert!(demo.server.accepts(demo.token(&[]).success().trim()));
    // Nobody is signed in as a client that cannot prove that it is the one.
    let stderr = demo.sandbox.run(["login", "demo", "--client-credentials"]).failure(2);
    assert!(stderr.contains("--client-secret-file FILE"), "{stderr}");
}

#[test]
fn a_client_that_did_not_work_does_not_replace_one_that_did() {
    let demo = Demo::with("grants = [\"client_credentials\"]");
    demo.server.register("good", Some("s3cret"));
    let login = |id: Option<&str>, secret: Option<&str>| {
        let mut words = vec!["login", "demo"];
        words.extend(id.into_iter().flat_map(|id| ["--client-id", id]));
        words.extend(secret.into_iter().flat_map(|_| ["--client-secret-file", "-"]));
        demo.sandbox.run_with_input(words, secret.unwrap_or_default())
    };
    login(Some("good"), Some("s3cret")).success();
    login(Some("typo"), Some("s3cret")).failure(1);
    login(None, None).success();
    // A new secret of the client that is known.
    demo.server.register("good", Some("another"));
    login(None, None).failure(1);
    login(None, Some("another")).success();
    login(None, None).success();
}

#[test]
fn a_client_of_ones_own_is_for_its_provider_alone() {
    let demo = Demo::new();
    let issuer = demo.server.issuer();
    let own = |id: &str| format!("[provider.{id}.oauth]\nissuer = \"{issuer}\"\n");
    let registers = own("demo") + "client = \"register\"\n";
    demo.sandbox.write_config(&(own("mine") + &own("yours") + &registers));
    demo.server.register("mine", None);
    demo.login(&["mine", "--client-id", "mine"]).success();
    demo.login(&["demo"]).success();
    assert_eq!(demo.server.requests(Endpoint::Register).len(), 1);
    let stderr = demo.sandbox.run(["login", "yours"]).failure(2);
    assert!(stderr.contains("authctl login yours --client-id ID"), "{stderr}");
    demo.login(&["mine"]).success();
}

#[test]
fn a_registration_that_the_server_forgot_is_made_anew() {
    let demo = Demo::with(DEVICE);
    demo.sandbox.run(["login", "demo"]).success();
    demo.server.script(Endpoint::Device, Fault::Error("invalid_client"));
    let stderr = demo.sandbox.run(["login", "demo"]).failure(1);
    assert!(stderr.contains("authctl login demo  (registers a new one)"), "{stderr}");
    demo.sandbox.run(["login", "demo"]).success();
    assert_eq!(demo.server.requests(Endpoint::Register).len(), 2);
    demo.sandbox.run(["login", "demo", "--new-client"]).success();
    assert_eq!(demo.server.requests(Endpoint::Register).len(), 3);
}

#[test]
fn first_logins_at_once_register_one_client() {
    let demo = Demo::with(DEVICE);
    std::thread::scope(|scope| {
        for name in ["demo", "demo:one", "demo:two", "demo:three"] {
            let sandbox = &demo.sandbox;
            scope.spawn(move || sandbox.run(["login", name]).success());
        }
    });
    assert_eq!(demo.server.requests(Endpoint::Register).len(), 1);
}

#[test]
fn a_login_that_waited_takes_over_what_was_made_meanwhile_and_nothing_older() {
    let demo = Demo::signed_in();
    let waits = |arguments: &[&str]| {
        let mut waiting =
            demo.sandbox.start(demo.sandbox.command(["login", "demo"].iter().chain(arguments)));
        waiting.wait_for("the wait", |line| line.contains("waiting for it").then_some(()));
        waiting
    };
    // The other is given up: the one that waited has its own turn.
    let mut first = demo.sandbox.start(demo.sandbox.command(["login", "demo"]));
    first.opened_url();
    let mut second = waits(&[]);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    browser::open(&second.opened_url());
    second.finish().success();
    // The other succeeds: that will do, but not for who asked for something of their own.
    let mut first = demo.sandbox.start(demo.sandbox.command(["login", "demo"]));
    let page = first.opened_url();
    let second = waits(&[]);
    browser::open(&page);
    first.finish().success();
    let adopted = second.finish();
    assert!(adopted.stderr.contains("by another authctl login"), "{adopted:?}");
    adopted.success();
    let mut first = demo.sandbox.start(demo.sandbox.command(["login", "demo"]));
    let page = first.opened_url();
    let mut second = waits(&["--scope", "admin"]);
    browser::open(&page);
    first.finish().success();
    browser::open(&second.opened_url());
    second.finish().success();
}

#[test]
fn whoever_names_a_client_signs_in_with_oauth() {
    // A key comes first with this provider.
    let stderr = Sandbox::new().run(["login", "notion", "--client-id", "mine"]).failure(2);
    assert!(stderr.contains("client's secret"), "{stderr}");
    let stderr = Sandbox::new().run(["login", "openai", "--scope", "all"]).failure(2);
    assert!(stderr.contains("openai has no OAuth sign-in"), "{stderr}");
}

#[test]
fn a_device_needs_no_secret_where_the_browser_does() {
    let demo = Demo::with(
        "client_id = \"tv\"\nauthentication = \"client_secret_post\"\ngrants = [\"device_code\", \"authorization_code\"]",
    );
    demo.server.register("tv", None);
    demo.sandbox.run(["login", "demo"]).success();
    demo.sandbox.run(["login", "demo", "--browser"]).failure(2);
}

#[test]
fn state_and_verifier_are_new_for_every_login() {
    let demo = Demo::new();
    demo.login(&["demo"]).success();
    demo.login(&["demo"]).success();
    let requests = demo.server.requests(Endpoint::Authorize);
    for name in ["state", "code_challenge"] {
        assert_ne!(parameter(&requests[0].query, name), parameter(&requests[1].query, name));
    }
}

#[test]
fn the_last_page_leaks_nothing() {
    let demo = Demo::new();
    let mut running = demo.sandbox.start(demo.sandbox.command(["login", "demo"]));
    let pages = browser::history(&running.opened_url());
    running.finish().success();
    let secrets = demo.server.secrets();
    let last = &pages[pages.len() - 1];
    assert_eq!(last.status, 200, "{last:?}");
    for page in &pages[1..] {
        assert_eq!(page.header("cache-control"), Some("no-store"), "{page:?}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{page:?}");
    }
    let shown = format!("{}{}", last.url, last.body);
    assert!(secrets.iter().all(|secret| !shown.contains(secret.as_str())), "{last:?}");
}

#[test]
fn a_forged_redirect_neither_ends_nor_completes_the_login() {
    let demo = Demo::new();
    let mut running = demo.sandbox.start(demo.sandbox.command(["login", "demo"]));
    let url = url::Url::parse(&running.opened_url()).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut forged = url::Url::parse(parameter(&pairs, "redirect_uri")).unwrap();
    forged.set_query(Some("code=stolen&state=guessed"));
    assert_eq!(browser::get(&forged).status, 400);
    browser::open(url.as_str());
    running.finish().success();
    assert_eq!(demo.server.requests(Endpoint::Token).len(), 1);
}

#[test]
fn a_person_who_says_no_ends_the_login() {
    let demo = Demo::new();
    demo.server.rules(|rules| rules.person = Person::SaysNo);
    let stderr = failed_login(&demo, 1);
    assert!(stderr.contains("hint: authctl login demo"), "{stderr}");
}

#[test]
fn another_issuer_in_the_redirect_is_refused() {
    for issuer in [RedirectIssuer::Other("https://evil.example".into()), RedirectIssuer::Missing] {
        let demo = Demo::new();
        demo.server.rules(|rules| rules.redirect_issuer = issuer.clone());
        failed_login(&demo, 1);
        assert_eq!(demo.server.requests(Endpoint::Token).len(), 0, "{issuer:?}");
    }
}

#[test]
fn metadata_of_another_issuer_is_not_used() {
    let demo = Demo::new();
    demo.server.rules(|rules| {
        rules.edit_metadata = |metadata| metadata["issuer"] = "https://evil.example".into();
    });
    let stderr = demo.sandbox.run(["login", "demo"]).failure(1);
    assert!(stderr.contains("https://evil.example"), "{stderr}");
    assert!(demo.sandbox.opened_urls().is_empty());
}

#[test]
fn a_server_without_pkce_is_refused_before_a_browser_opens() {
    let demo = Demo::new();
    demo.server.rules(|rules| {
        rules.edit_metadata = |metadata| {
            metadata.as_object_mut().unwrap().remove("code_challenge_methods_supported");
        };
    });
    demo.sandbox.run(["login", "demo"]).failure(1);
    assert!(demo.sandbox.opened_urls().is_empty());
}

#[test]
fn what_real_servers_answer_is_understood() {
    for answer in [
        r#"{"access_token":"t0ken-123","token_type":"bearer","expires_in":"3600"}"#,
        r#"{"access_token":"t0ken-123","scope":["a","b"]}"#,
        r#"{"access_token":"t0ken-123","token_type":"BEARER","refresh_token":""}"#,
    ] {
        let demo = Demo::new();
        demo.server.script(Endpoint::Token, Fault::Json(answer.into()));
        demo.login(&["demo"]).success();
        assert_eq!(demo.token(&[]).success(), "t0ken-123\n", "{answer}");
    }
}

#[test]
fn nothing_is_stored_of_an_answer_that_cannot_be_used() {
    for answer in [
        r#"{"token_type":"Bearer"}"#,
        r#"{"access_token":"","token_type":"Bearer"}"#,
        r#"{"access_token":"two\nlines","token_type":"Bearer"}"#,
        r#"{"access_token":"t0ken-123","token_type":"mac"}"#,
        r#"{"access_token":"t0ken-123","access_token":"t0ken-456","token_type":"Bearer"}"#,
        r#"{"access_token":"t0ken-123","token_type":"Bearer""#,
        r#"["t0ken-123"]"#,
        r#"{"error":"invalid_grant","error_description":"t0ken-123"}"#,
    ] {
        let demo = Demo::new();
        demo.server.script(Endpoint::Token, Fault::Json(answer.into()));
        let stderr = failed_login(&demo, 1);
        assert!(stderr.contains("127.0.0.1"), "names the host: {stderr}");
    }
}

#[test]
fn a_broken_token_endpoint_is_told_by_host_and_an_exit_code() {
    for (fault, code) in [
        (Fault::Status(503), 75),
        (Fault::RetryAfter(600), 75),
        (Fault::HangUp, 75),
        (Fault::Html(200), 1),
        (Fault::Error("invalid_client"), 1),
    ] {
        let demo = Demo::new();
        demo.server.script(Endpoint::Token, fault.clone());
        let output = demo.login(&["demo"]);
        assert_eq!(output.code(), code, "{fault:?} {output:?}");
        assert!(output.stderr.contains("127.0.0.1"), "{fault:?} {output:?}");
        // A code is good for one use: it is never sent twice.
        assert_eq!(demo.server.requests(Endpoint::Token).len(), 1, "{fault:?}");
    }
}

#[test]
fn the_resource_stands_in_every_request() {
    let demo = Demo::with("client = \"register\"\nresource = \"https://api.example/v1\"");
    demo.server.rules(|rules| rules.resource = Some("https://api.example/v1".into()));
    demo.login(&["demo"]).success();
    demo.token(&["--refresh"]).success();
    assert_eq!(demo.server.grants("refresh_token"), 1);
}

#[test]
fn scopes_that_were_not_granted_are_said() {
    let demo = Demo::with("client = \"register\"\nscopes = [\"read\", \"write\"]");
    demo.server.rules(|rules| rules.grants_scopes = Some("read".into()));
    let output = demo.login(&["demo"]);
    assert!(output.stderr.contains("did not grant: write"), "{output:?}");
    let asked = &demo.server.requests(Endpoint::Authorize)[0];
    assert_eq!(parameter(&asked.query, "scope"), "read write");
}

// ------------------------------------------------------------------------------------- other grants

const DEVICE: &str = "client = \"register\"\ngrants = [\"device_code\"]";

fn device_login(demo: &Demo) -> Output {
    demo.sandbox.run(["login", "demo", "--device"])
}

#[test]
fn a_device_login_shows_the_code_and_opens_nothing() {
    let demo = Demo::with(DEVICE);
    demo.server.rules(|rules| rules.person = Person::Waits);
    let mut running = demo.sandbox.start(demo.sandbox.command(["login", "demo", "--device"]));
    running.wait_for("the user code", |line| line.contains("WDJB-").then_some(()));
    demo.server.approve_devices();
    let output = running.finish();
    assert!(output.stderr.contains(&format!("{}/device", demo.server.issuer())), "{output:?}");
    output.success();
    assert!(demo.sandbox.opened_urls().is_empty());
    assert!(demo.server.accepts(demo.token(&[]).success().trim()));
}

#[test]
fn polls_go_on_until_the_server_decides() {
    let demo = Demo::with(DEVICE);
    demo.server.rules(|rules| {
        rules.device_answers = ["authorization_pending", "slow_down"].into();
        rules.errors_as_200 = true;
    });
    device_login(&demo).success();
    // The server complains of a poll that comes too early, also after it asked to slow down.
    assert_eq!(demo.server.requests(Endpoint::Token).len(), 3);
}

#[test]
fn a_device_code_that_expires_or_is_denied_ends_the_login() {
    for code in ["expired_token", "access_denied"] {
        let demo = Demo::with(DEVICE);
        demo.server.rules(|rules| rules.device_answers = [code].into());
        device_login(&demo).failure(1);
        assert_eq!(demo.server.requests(Endpoint::Token).len(), 1);
    }
}

#[test]
fn a_client_signs_in_as_itself() {
    let demo = Demo::with(
        "grants = [\"client_credentials\"]\nclient_id = \"robot\"\nauthentication = \"client_secret_basic\"",
    );
    // Both parts are form-encoded before they are joined (RFC 6749 §2.3.1).
    demo.server.register("robot", Some("s3 cret:+%/="));
    let login = ["login", "demo", "--client-credentials", "--client-secret-file", "-"];
    demo.sandbox.run_with_input(login, "s3 cret:+%/=\n").success();
    assert!(demo.server.accepts(demo.token(&[]).success().trim()));
    // The secret is remembered: without a refresh token the grant itself is repeated.
    assert!(demo.server.accepts(demo.token(&["--refresh"]).success().trim()));
    assert_eq!(demo.server.grants("client_credentials"), 2);
}

// ---------------------------------------------------------------------------------------------- keys

#[test]
fn a_key_from_a_pipe_is_stored_without_its_line_end() {
    for line_end in ["", "\n", "\r\n"] {
        let sandbox = Sandbox::new();
        let key = format!("as-key-1{line_end}");
        sandbox.run_with_input(["login", "audiostack", "--with-key"], &key).success();
        assert_eq!(sandbox.run(["token", "audiostack"]).success(), "as-key-1\n");
    }
}

#[test]
fn a_key_that_cannot_stand_in_a_header_is_refused() {
    let sandbox = Sandbox::new();
    for key in ["", "\n", "two words", "two\nlines", "schlüssel", "\u{1b}[31m"] {
        let output = sandbox.run_with_input(["login", "audiostack", "--with-key"], key);
        assert_eq!(output.code(), 2, "{key:?} {output:?}");
        assert!(key.trim().is_empty() || !output.stderr.contains(key), "{output:?}");
    }
}

// --------------------------------------------------------------------------------------- signing out

#[test]
fn signing_out_revokes_at_the_server_and_forgets() {
    let demo = Demo::signed_in();
    let token = demo.token(&[]).success();
    demo.sandbox.run(["logout", "demo"]).success();
    assert!(!demo.server.accepts(token.trim()));
    demo.token(&[]).failure(4);
}

#[test]
fn a_server_that_cannot_be_told_does_not_keep_anybody_signed_in() {
    let demo = Demo::signed_in();
    for _ in 0..2 {
        demo.server.script(Endpoint::Revoke, Fault::Status(503));
    }
    let output = demo.sandbox.run(["logout", "demo"]);
    assert!(output.stderr.contains("could not be told"), "{output:?}");
    output.success();
    demo.token(&[]).failure(4);
}

// ------------------------------------------------------------------------------------------- at rest

#[test]
fn no_secret_rests_in_the_open_or_is_said() {
    let demo = Demo::signed_in();
    demo.token(&["--refresh"]).success();
    let said = [["status", "--json"], ["status", "--check"]].map(|arguments| {
        let output = demo.sandbox.run(arguments);
        format!("{}{}", output.stdout, output.stderr)
    });
    for secret in demo.server.secrets() {
        assert!(said.iter().all(|said| !said.contains(&secret)));
        for file in demo.sandbox.files() {
            let bytes = std::fs::read(&file).unwrap();
            let is_inside = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_inside, "{} holds a secret", file.display());
        }
    }
}
