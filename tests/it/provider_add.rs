//! `provider add`, `remove` and `check`: from an address or flags into config.toml and to a credential
//! that works; what servers must not get away with; and which step of a check fails.

use serde_json::{Value, json};

use crate::support::authorization_server::{AuthorizationServer, Endpoint, Fault};
use crate::support::browser;
use crate::support::http::{Answer, Server};
use crate::support::sandbox::{Output, Sandbox};
use crate::support::signed_in::SignedIn;

const CONFIG: &str = "# mine\nstore = \"file\" # not the keychain\n\n# about box\n[provider.box.basic]\nvariables = [\"BOX\"] # here\n\n[agent.robot]\nmarkers = [\"ROBOT\"]\n";

fn config(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("home/.config/authctl/config.toml")).unwrap_or_default()
}

/// A sandbox whose file has comments and an order of its own.
fn with_config() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_config(CONFIG);
    sandbox
}

fn add(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    sandbox.run([&["provider", "add"], arguments].concat())
}

/// An MCP server that asks for a token and names its metadata, whose authorization server is this one.
fn mcp_server(issuer: &str) -> Server {
    let issuer = issuer.to_owned();
    Server::start(move |request| {
        let origin = format!("http://{}", request.header("host").unwrap());
        match request.path.as_str() {
            "/mcp" => Answer::empty(401).header(
                "www-authenticate",
                &format!("Bearer realm=\"x\", resource_metadata=\"{origin}/meta\", scope=\"read\""),
            ),
            "/meta" => Answer::json(
                200,
                &json!({
                    "resource": format!("{origin}/mcp"),
                    "resource_name": "Acme\u{1b}[31m MCP\nserver",
                    "authorization_servers": [issuer],
                    "scopes_supported": ["read", "write"],
                }),
            ),
            _ => Answer::empty(404),
        }
    })
}

fn login(sandbox: &Sandbox, name: &str) {
    let mut running = sandbox.start(sandbox.command(["login", name]));
    browser::open(&running.opened_url());
    running.finish().success();
}

// ---------------------------------------------------------------------------------------- discovery

#[test]
fn an_mcp_server_is_found_added_and_signed_in_to() {
    let server = AuthorizationServer::start();
    let resource = mcp_server(&server.issuer());
    let url = format!("{}/mcp", resource.origin());
    server.rules(|rules| rules.resource = Some(url.clone()));
    let sandbox = with_config();
    let output = add(&sandbox, &[&url, "--name", "acme", "--variable", "ACME_TOKEN"]);
    let shown = output.success();
    let written = config(&sandbox);
    assert_eq!(written, format!("{CONFIG}\n{shown}"), "everything else stays");
    assert_eq!(
        shown.replace(&resource.origin(), "[API]").replace(&server.issuer(), "[AS]"),
        "[provider.acme]\ntitle = \"Acme�[31m MCP server\"\nmcp_url = \"[API]/mcp\"\n\n[provider.acme.oauth]\nissuer = \"[AS]\"\nscopes = [\"read\"]\nresource = \"[API]/mcp\"\nclient = \"register\"\nvariables = [\"ACME_TOKEN\"]\n"
    );
    login(&sandbox, "acme");
    let token = sandbox.run(["token", "acme"]).success();
    assert!(server.accepts(token.trim()));
    // A second one has another name proposed.
    let said = add(&sandbox, &[&url, "--name", "acme"]).failure(2);
    assert!(said.contains("a provider acme already") && said.contains("--replace"), "{said}");
    assert_eq!(config(&sandbox), written);
}

#[test]
fn the_well_known_place_and_the_issuer_itself_do_as_well() {
    let server = AuthorizationServer::start();
    let issuer = server.issuer();
    let sandbox = Sandbox::new();
    // Without a challenge: the place for the path, and a resource that is the whole host.
    let named = issuer.clone();
    let api = Server::start(move |request| match request.path.as_str() {
        "/.well-known/oauth-protected-resource" => Answer::json(
            200,
            &json!({
                "resource": format!("http://{}", request.header("host").unwrap()),
                "authorization_servers": [named],
            }),
        ),
        _ => Answer::empty(404),
    });
    let shown = add(&sandbox, &[&format!("{}/v1", api.origin()), "--name", "api"]).success();
    assert!(shown.contains(&format!("base_url = \"{}/v1\"", api.origin())), "{shown}");
    assert!(shown.contains(&format!("resource = \"{}\"\n", api.origin())), "{shown}");
    // The issuer, with a slash too many; the name comes from the host.
    let shown = add(&sandbox, &[&format!("{issuer}/")]).success();
    let name = issuer.strip_prefix("http://").unwrap().replace(':', "-");
    assert!(shown.starts_with(&format!("[provider.\"{name}\".oauth]\n")), "{shown}");
    assert!(shown.contains(&format!("issuer = \"{issuer}\"\n")), "{shown}");
    // By name and issuer, which must be exact.
    add(&sandbox, &["exact", "--issuer", &issuer, "--scope", "read write"]).success();
    login(&sandbox, "exact");
    let said = add(&sandbox, &["wrong", "--issuer", &format!("{issuer}/")]).failure(1);
    assert!(said.contains("asked for the issuer"), "{said}");
    assert!(!config(&sandbox).contains("wrong"));
}

/// A server that answers every path with this.
fn everywhere(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |request| answer(&format!("http://{}", request.header("host").unwrap())))
}

#[test]
fn a_hostile_server_is_refused_and_nothing_is_written() {
    let html = || everywhere(|_| Answer::new(200, "text/html", "<html>{\"issuer\":\"x\"}</html>"));
    let cases: Vec<(&str, Server, &str)> = vec![
        (
            "another issuer",
            everywhere(|_| {
                Answer::json(200, &json!({ "issuer": "https://evil.example", "resource": 1 }))
            }),
            "resource is not a text",
        ),
        (
            "another issuer and nothing else",
            Server::start(|request| {
                if request.path.contains("oauth-authorization-server") {
                    return Answer::json(200, &json!({ "issuer": "https://evil.example" }));
                }
                Answer::empty(404)
            }),
            "says that it is https://evil.example",
        ),
        ("a web page", html(), "publishes no authorization server metadata"),
        (
            "redirects",
            everywhere(|_| Answer::empty(302).header("location", "https://evil.example/")),
            "redirect",
        ),
        (
            "too much",
            everywhere(|_| Answer::new(200, "application/json", vec![b'{'; 2 << 20])),
            "longer than",
        ),
        (
            "metadata of another resource",
            everywhere(|origin| {
                Answer::json(
                    200,
                    &json!({
                        "resource": "https://bank.example/mcp",
                        "authorization_servers": [origin],
                    }),
                )
            }),
            "its metadata is that of https://bank.example/mcp",
        ),
        (
            "an authorization server without TLS",
            everywhere(|origin| {
                Answer::json(
                    200,
                    &json!({
                        "resource": format!("{origin}/mcp"),
                        "authorization_servers": ["http://192.168.1.1/"],
                    }),
                )
            }),
            "is not https",
        ),
        (
            "a challenge that names a file",
            everywhere(|_| {
                Answer::empty(401)
                    .header("www-authenticate", "Bearer resource_metadata=\"file:///etc/passwd\"")
            }),
            "resource_metadata",
        ),
        (
            "a challenge that names nothing",
            Server::start(|request| {
                if request.path == "/mcp" {
                    let place = format!("http://{}/gone", request.header("host").unwrap());
                    return Answer::empty(401).header(
                        "www-authenticate",
                        &format!("Bearer resource_metadata=\"{place}\""),
                    );
                }
                Answer::empty(404)
            }),
            "is not there",
        ),
    ];
    for (case, server, words) in cases {
        let sandbox = with_config();
        let output = add(&sandbox, &[&format!("{}/mcp", server.origin()), "--name", "x"]);
        assert_eq!(output.code(), 1, "{case}: {output:?}");
        assert!(output.stderr.contains(words), "{case}: {output:?}");
        assert_eq!(output.stdout, "", "{case}");
        assert_eq!(config(&sandbox), CONFIG, "{case}");
    }
}

#[test]
fn what_a_server_names_and_the_file_cannot_have_is_not_written() {
    let server = AuthorizationServer::start();
    for (scope, words) in [("a\u{7}b", "is not a scope"), ("a\"\nstore = \"keychain", "scope")] {
        let issuer = server.issuer();
        let api = everywhere(move |origin| {
            Answer::json(
                200,
                &json!({
                    "resource": origin, "authorization_servers": [issuer],
                    "scopes_supported": [scope],
                }),
            )
        });
        let sandbox = with_config();
        let said = add(&sandbox, &[&api.origin(), "--name", "x"]).failure(2);
        assert!(said.contains("cannot add x: provider.x.oauth.scopes"), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(config(&sandbox), CONFIG);
    }
}

#[test]
fn an_address_that_cannot_be_asked_is_refused_before_anything_else() {
    let sandbox = Sandbox::new();
    for (url, code) in [
        ("http://example.com/mcp", 2),
        ("ftp://x/y", 2),
        ("https://", 2),
        ("https://user:hunter2@example.com/", 2),
        ("https://169.254.169.254/latest", 1),
        ("http://127.0.0.1:1/mcp", 75),
    ] {
        let said = add(&sandbox, &[url, "--name", "x"]).failure(code);
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert_eq!(config(&sandbox), "");
}

// -------------------------------------------------------------------------------------------- flags

#[test]
fn a_key_provider_is_described_by_flags_and_works() {
    let sandbox = Sandbox::new();
    let shown = add(
        &sandbox,
        &[
            "weather",
            "--api-key",
            "--title",
            "Weather \"service\"",
            "--header",
            "x-weather-key: {key}",
            "--variable",
            "WEATHER_API_KEY",
            "--variable",
            "WEATHER_KEY",
            "--host",
            "api.weather.example",
            "--create-at",
            "https://weather.example/keys",
        ],
    );
    assert_eq!(config(&sandbox), shown.success());
    sandbox.run_with_input(["login", "weather", "--with-key"], "sk-1\n").success();
    let printed = sandbox.run(["exec", "--with", "weather", "--", "printenv", "WEATHER_API_KEY"]);
    assert_eq!(printed.success(), "sk-1\n");
    // Whoever is signed in cannot lose the description.
    let said = sandbox.run(["provider", "remove", "weather"]).failure(2);
    assert!(said.contains("authctl logout weather"), "{said}");
}

#[test]
fn a_stored_key_does_not_follow_its_provider_to_another_host() {
    let mut sandbox = Sandbox::new();
    let weather = ["weather", "--api-key", "--host", "api.weather.example"];
    add(&sandbox, &weather).success();
    for name in ["weather:work", "github"] {
        sandbox.run_with_input(["login", name, "--with-key"], "sk-1\n").success();
    }
    let before = config(&sandbox);
    for arguments in [
        &["weather", "--api-key", "--host", "evil.example"][..],
        &[
            "weather",
            "--api-key",
            "--host",
            "api.weather.example",
            "--base-url",
            "https://evil.example",
        ],
        &[
            "weather",
            "--api-key",
            "--host",
            "api.weather.example",
            "--verify",
            "https://evil.example/me",
        ],
        &["weather", "--api-key", "--host", "api.weather.example", "--header", "X-Other: {key}"],
        &["weather", "--bearer", "--host", "api.weather.example"],
        &["github", "--bearer", "--host", "evil.example"],
    ] {
        let said = add(&sandbox, &[arguments, &["--replace"]].concat()).failure(2);
        assert!(said.contains("is stored, and would be sent elsewhere"), "{said}");
        assert!(said.contains(&format!("authctl logout {}", arguments[0])), "{said}");
        assert_eq!(config(&sandbox), before, "{arguments:?}");
    }
    // What stays the same for the credential can change, and everything once it is gone.
    add(&sandbox, &[&weather[..], &["--variable", "WEATHER_KEY", "--replace"]].concat()).success();
    // Not by an agent.
    sandbox.env("CLAUDECODE", "1");
    let before = config(&sandbox);
    for output in
        [add(&sandbox, &["other", "--bearer"]), sandbox.run(["provider", "remove", "weather"])]
    {
        let said = output.failure(1);
        assert!(said.contains("Claude Code is running this command; only a person"), "{said}");
    }
    add(&sandbox, &["other", "--bearer", "--dry-run"]).success();
    assert_eq!(config(&sandbox), before);
    sandbox.unset("CLAUDECODE");
    sandbox.run(["logout", "weather:work"]).success();
    add(&sandbox, &["weather", "--bearer", "--host", "evil.example", "--replace"]).success();
}

#[test]
fn flags_are_checked_like_the_file() {
    let sandbox = with_config();
    for (arguments, words) in [
        (&["x"][..], "what kind of credential"),
        (&["X", "--bearer"], "not a name"),
        (&["x", "--bearer", "--name", "y"], "--name is for an address"),
        (&["x", "--api-key", "--header", "X: {token}"], "api_key.header needs {key}"),
        (&["x", "--api-key", "--variable", "LD_PRELOAD"], "steers programs"),
        (&["x", "--api-key", "--host", "https://x.example"], "hosts is not a host"),
        (&["x", "--api-key", "--base-url", "http://x.example"], "does not begin with https"),
        (&["x", "--api-key", "--bearer", "--header", "X: {key}"], "one kind"),
        (&["x", "--token-endpoint", "https://x.example/t"], "authorization_endpoint"),
        (&["x", "--token-endpoint", "https://x.example/t", "--grant", "implicit"], "unknown value"),
        (&["box", "--bearer"], "a provider box already"),
        (&["github", "--bearer"], "github already (built in)"),
    ] {
        let output = add(&sandbox, arguments);
        let said = output.failure(2);
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(config(&sandbox), CONFIG, "{arguments:?}");
    }
}

#[test]
fn a_dry_run_shows_and_writes_nothing() {
    let sandbox = with_config();
    let shown = add(&sandbox, &["x", "--bearer", "--dry-run"]).success();
    assert_eq!(shown, "[provider.x.bearer]\n");
    assert_eq!(config(&sandbox), CONFIG);
}

#[test]
fn replacing_keeps_the_place_and_removing_keeps_what_is_about_others() {
    let sandbox = with_config();
    add(&sandbox, &["box", "--bearer", "--variable", "BOX_TOKEN", "--replace"]).success();
    assert_eq!(
        config(&sandbox),
        CONFIG.replace(
            "[provider.box.basic]\nvariables = [\"BOX\"] # here\n",
            "[provider.box.bearer]\nvariables = [\"BOX_TOKEN\"]\n"
        )
    );
    sandbox.write_config(&CONFIG.replace("# about box\n", "# about all\n\n# about box\n"));
    sandbox.run(["provider", "remove", "box"]).success();
    assert_eq!(
        config(&sandbox),
        "# mine\nstore = \"file\" # not the keychain\n\n# about all\n\n[agent.robot]\nmarkers = [\"ROBOT\"]\n"
    );
    let said = sandbox.run(["provider", "remove", "github"]).failure(2);
    assert!(said.contains("built in"), "{said}");
    let said = sandbox.run(["provider", "remove", "nobody"]).failure(2);
    assert!(said.contains("no provider nobody"), "{said}");
}

#[test]
#[cfg(unix)]
fn a_link_to_the_file_stays_one_and_a_file_of_others_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = with_config();
    let file = sandbox.path("home/.config/authctl/config.toml");
    let dotfile = sandbox.path("home/dotfile.toml");
    std::fs::rename(&file, &dotfile).unwrap();
    std::os::unix::fs::symlink(&dotfile, &file).unwrap();
    add(&sandbox, &["x", "--bearer"]).success();
    assert!(file.is_symlink());
    assert!(std::fs::read_to_string(&dotfile).unwrap().ends_with("\n[provider.x.bearer]\n"));
    std::fs::set_permissions(&dotfile, std::fs::Permissions::from_mode(0o666)).unwrap();
    add(&sandbox, &["y", "--bearer"]).failure(2);
    assert!(!config(&sandbox).contains("provider.y"));
}

// -------------------------------------------------------------------------------------------- check

fn check(sandbox: &Sandbox, name: &str) -> (i32, Value) {
    let output = sandbox.run(["--json", "provider", "check", name]);
    (output.code(), output.json()["steps"].clone())
}

/// The steps of this id: whether each is ok, and what it says otherwise.
fn step(steps: &Value, id: &str) -> Vec<(bool, String)> {
    let steps = steps.as_array().unwrap().iter().filter(|step| step["id"] == id);
    let said = |step: &Value| {
        let reason = step["failure"].as_str().or(step["skipped"].as_str());
        (step["ok"] == true, reason.unwrap_or_default().to_owned())
    };
    steps.map(said).collect()
}

#[test]
fn a_provider_that_works_is_proved_step_by_step() {
    let signed_in = SignedIn::new();
    let api = Server::start(|request| match request.header("authorization") {
        Some(_) if request.header("x-version") == Some("3") && request.method == "POST" => {
            Answer::json(200, &json!({ "ok": true }))
        }
        _ => Answer::empty(400),
    });
    let call = format!(
        "verify = \"{}/me\"\nverify_with = {{ method = \"POST\", headers = {{ x-version = \"3\" }}, member = \"ok\" }}",
        api.origin()
    );
    let text = crate::support::signed_in::config(&signed_in.server, &call);
    signed_in.sandbox.write_config(&text);
    let (code, steps) = check(&signed_in.sandbox, "demo");
    assert_eq!(code, 0, "{steps:#}");
    let ids: Vec<&str> =
        steps.as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect();
    let all = [
        "description",
        "metadata",
        "endpoints",
        "pkce",
        "grant",
        "client",
        "credential",
        "refresh",
        "call",
    ];
    assert_eq!(ids, all);
    assert!(steps.as_array().unwrap().iter().all(|step| step["ok"] == true), "{steps:#}");
    assert_eq!(signed_in.refreshes(), 0);
    signed_in.sandbox.run(["provider", "check", "demo", "--refresh"]).success();
    assert_eq!(signed_in.refreshes(), 1);
}

#[test]
fn a_call_answered_by_200_and_no_is_a_failure() {
    let signed_in = SignedIn::new();
    for (answer, words) in [
        (json!({ "ok": false, "error": "invalid_auth" }), "to this credential: invalid_auth"),
        (json!({ "fine": true }), "does not say whether that is good"),
    ] {
        let api = everywhere(move |_| Answer::json(200, &answer));
        let call = format!("verify = \"{}/me\"\nverify_with = {{ member = \"ok\" }}", api.origin());
        let text = crate::support::signed_in::config(&signed_in.server, &call);
        signed_in.sandbox.write_config(&text);
        let (code, steps) = check(&signed_in.sandbox, "demo");
        assert_eq!(code, 1, "{steps:#}");
        let call = step(&steps, "call");
        assert!(!call[0].0 && call[0].1.contains(words), "{steps:#}");
        let status = signed_in.sandbox.run(["status", "demo", "--check"]);
        assert_eq!(status.code(), 1, "{status:?}");
    }
}

#[test]
fn each_step_that_fails_says_so_and_the_others_still_do() {
    let signed_in = SignedIn::not_yet("", |_| {});
    let sandbox = &signed_in.sandbox;
    let failed = |lines: &str, edit: fn(&mut Value), id: &str| {
        signed_in.server.rules(|rules| rules.edit_metadata = edit);
        sandbox.write_config(&crate::support::signed_in::config(&signed_in.server, lines));
        let (code, steps) = check(sandbox, "demo");
        assert_eq!(code, 1, "{id}: {steps:#}");
        let (ok, said) = step(&steps, id).remove(0);
        assert!(!ok, "{id}: {steps:#}");
        assert!(!step(&steps, "credential")[0].0, "goes on to the end: {steps:#}");
        assert_eq!(step(&steps, "call")[0].1, "there is no credential");
        said
    };
    let said = failed("", |m| m["issuer"] = "https://evil.example".into(), "metadata");
    assert!(said.contains("evil.example"), "{said}");
    let said = failed(
        "",
        |m| {
            m.as_object_mut().unwrap().remove("code_challenge_methods_supported");
        },
        "pkce",
    );
    assert!(said.contains("does not promise"), "{said}");
    let device = "grants = [\"device_code\"]";
    let said = failed(
        device,
        |m| {
            m.as_object_mut().unwrap().remove("device_authorization_endpoint");
        },
        "grant",
    );
    assert!(said.contains("no endpoint"), "{said}");
    let said = failed(device, |m| m["grant_types_supported"] = json!(["refresh_token"]), "grant");
    assert!(said.contains("does not list"), "{said}");
    let said = failed("token_endpoint = \"http://127.0.0.1:1/t\"", |_| {}, "endpoints");
    assert!(said.contains("cannot reach"), "{said}");
    let own = format!("[provider.demo.oauth]\nissuer = \"{}\"\n", signed_in.server.issuer());
    sandbox.write_config(&own);
    let (_, steps) = check(sandbox, "demo");
    assert!(step(&steps, "client")[0].1.contains("none of your own"), "{steps:#}");
    signed_in.server.rules(|rules| {
        rules.edit_metadata = |m| {
            m.as_object_mut().unwrap().remove("registration_endpoint");
        };
    });
    sandbox.write_config(&format!("{own}client = \"register\"\n"));
    let (_, steps) = check(sandbox, "demo");
    assert!(step(&steps, "registration")[0].1.contains("no registration endpoint"), "{steps:#}");
    assert!(step(&steps, "client")[0].1.contains("first login"), "{steps:#}");
    // What was asked was asked for nothing else.
    assert_eq!(signed_in.server.requests(Endpoint::Token).len(), 0);
    assert_eq!(signed_in.server.requests(Endpoint::Register).len(), 0);
}

#[test]
fn a_refresh_that_fails_is_the_step_that_fails() {
    let signed_in = SignedIn::new();
    signed_in.next(Fault::Error("invalid_grant"));
    let output = signed_in.sandbox.run(["--json", "provider", "check", "demo", "--refresh"]);
    assert_eq!(output.code(), 1);
    let steps = output.json()["steps"].clone();
    assert!(step(&steps, "credential")[0].0, "{steps:#}");
    assert!(step(&steps, "refresh")[0].1.contains("has ended"), "{steps:#}");
}

#[test]
fn whoever_has_a_key_needs_no_client() {
    let sandbox = Sandbox::new();
    sandbox.write_config(
        "[provider.x]\n[provider.x.api_key]\n[provider.x.oauth]\ntoken_endpoint = \"http://127.0.0.1:1/t\"\nauthorization_endpoint = \"http://127.0.0.1:1/a\"\npkce = \"S256\"\n",
    );
    sandbox.run_with_input(["login", "x", "--with-key"], "sk-1\n").success();
    let (_, steps) = check(&sandbox, "x");
    assert_eq!(step(&steps, "client"), [(false, "a key needs none".to_owned())]);
    assert_eq!(step(&steps, "refresh"), [(false, "a key is not refreshed".to_owned())]);
    assert!(step(&steps, "credential")[0].0);
}

// ------------------------------------------------------------------------------- what programs read

#[test]
fn variables_of_the_base_url_are_written_and_shown() {
    let sandbox = with_config();
    let flags = [
        "--api-key",
        "--base-url",
        "https://api.acme.example/v2",
        "--base-url-variable",
        "ACME_URL",
    ];
    add(&sandbox, &[&["acme"], &flags[..], &["--base-url-variable", "ACME_BASE"]].concat())
        .success();
    assert!(config(&sandbox).contains("base_url_variables = [\"ACME_URL\", \"ACME_BASE\"]"));
    let shown = sandbox.run(["provider", "show", "acme", "--json"]).json();
    let expected = json!([{ "name": "ACME_URL", "path": "" }, { "name": "ACME_BASE", "path": "" }]);
    assert_eq!(shown["provider"]["base_url_variables"], expected);
    assert_eq!(shown["provider"]["kinds"][0]["placeholder"], json!([]));

    let text = "[provider.x]\nbase_url = \"https://x.example\"\nbase_url_variables = [{ name = \"X_URL\", path = \"/v1\" }]\napi_key.placeholder = [\"x-\", \"y_{40x}\"]\n";
    sandbox.write_config(text);
    let shown = sandbox.run(["provider", "show", "x"]).success();
    assert!(shown.contains("its variables  X_URL (with /v1)\n"), "{}", shown);
    assert!(shown.contains("looks like     x- y_{40x}\n"), "{}", shown);
    let shown = sandbox.run(["provider", "show", "x", "--json"]).json();
    let variables = json!([{ "name": "X_URL", "path": "/v1" }]);
    assert_eq!(shown["provider"]["base_url_variables"], variables);
    assert_eq!(shown["provider"]["kinds"][0]["placeholder"], json!(["x-", "y_{40x}"]));

    // Another provider beside it changes nothing here.
    add(&sandbox, &["other", "--api-key"]).success();
    assert!(config(&sandbox).starts_with(text), "{}", config(&sandbox));
}

#[test]
fn a_variable_that_steers_programs_names_no_base_url() {
    let sandbox = with_config();
    for (flags, part) in [
        (&["--base-url", "https://x.example", "--base-url-variable", "LD_PRELOAD"][..], "steers"),
        (&["--base-url", "https://x.example", "--base-url-variable", "A B"], "not a variable name"),
        (&["--base-url-variable", "X_URL"], "missing"),
    ] {
        let refused = add(&sandbox, &[&["x", "--api-key"], flags].concat()).failure(2);
        assert!(refused.contains(part), "{}", refused);
    }
    assert_eq!(config(&sandbox), CONFIG);
}
