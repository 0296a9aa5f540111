//! Signing in to an MCP server by its address: the ladder of discovery, the client, scopes and resource that
//! are asked for, and what a server must not get away with (MCP 2026-07-28, basic/authorization).

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::authorization_server::{
    AuthorizationServer, Endpoint, Fault, Person, RedirectIssuer, Twist,
};
use crate::support::browser;
use crate::support::http::Answer;
use crate::support::mcp_guard::{McpServer, OF_HOST, OF_PATH};
use crate::support::sandbox::{Output, Sandbox};
use crate::support::sealed::Sealed;

/// An MCP server, its authorization server, and nobody who has signed in.
struct Scene {
    server: AuthorizationServer,
    mcp: McpServer,
    sandbox: Sandbox,
}

impl Scene {
    fn new() -> Self {
        let server = AuthorizationServer::start();
        let mcp = McpServer::of(&[&server.issuer()]);
        server.rules(|rules| rules.resource = Some(mcp.url()));
        Self { server, mcp, sandbox: Sandbox::new() }
    }

    /// `login` with further arguments, whose page is opened, if one is.
    fn login(&self, arguments: &[&str]) -> Output {
        login(&self.sandbox, &[&[self.mcp.url().as_str()], arguments].concat())
    }

    /// The authorization requests so far, each as its parameters.
    fn asked(&self) -> Vec<Vec<(String, String)>> {
        let queries = self.server.requests(Endpoint::Authorize).into_iter();
        queries.map(|request| request.query).collect()
    }

    /// A parameter of the last authorization request.
    fn parameter(&self, name: &str) -> Option<String> {
        let asked = self.asked().pop().expect("an authorization request");
        asked.into_iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    fn servers(&self) -> String {
        let file = self.sandbox.path("home/.local/state/authctl/servers.toml");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.replace(&self.mcp.origin(), "[MCP]").replace(&self.server.issuer(), "[AS]")
    }
}

fn login(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let mut running = sandbox.start(sandbox.command([&["login"], arguments].concat()));
    if let Some(page) = running.opened_url_or_end(crate::support::PATIENCE) {
        browser::open(&page);
    }
    running.finish()
}

// --------------------------------------------------------------------------------------- the whole way

#[test]
fn one_command_signs_in_to_an_address_and_the_name_does_from_then_on() {
    let scene = Scene::new();
    scene.login(&["--name", "acme"]).success();
    let token = scene.sandbox.run(["token", "acme"]).success();
    assert!(scene.server.accepts(token.trim()));
    assert_eq!(scene.sandbox.run(["token", &scene.mcp.url()]).success(), token);
    let shown = scene.sandbox.run(["exec", "--with", "acme=T", "--", "printenv", "T"]).success();
    assert_eq!(shown, token);
    assert_eq!(
        scene.servers().split_once("\n\n").unwrap().1,
        "[provider.acme]\nmcp_url = \"[MCP]/mcp\"\n\n[provider.acme.oauth]\nissuer = \"[AS]\"\nresource = \"[MCP]/mcp\"\nclient = \"register\"\n"
    );
    // Again: the same name, the same client, the same id.
    let id = |record: serde_json::Value| record["id"].clone();
    let store = Sealed::of(&scene.sandbox);
    let before = id(store.record("acme"));
    scene.login(&[]).success();
    assert_eq!(id(store.record("acme")), before);
    assert_eq!(scene.server.requests(Endpoint::Register).len(), 1);
    // A further account has a token of its own, and the table goes with the last one.
    login(&scene.sandbox, &["acme:work"]).success();
    assert_ne!(scene.sandbox.run(["token", "acme:work"]).success(), token);
    scene.sandbox.run(["logout", "acme"]).success();
    assert!(scene.servers().contains("acme"));
    scene.sandbox.run(["logout", "acme:work"]).success();
    assert!(!scene.servers().contains("acme"), "{}", scene.servers());
}

// ------------------------------------------------------------------------------------------- discovery

#[test]
fn the_resource_without_a_path_stays_without_a_slash() {
    let scene = Scene::new();
    let origin = scene.mcp.origin();
    scene.mcp.answer(OF_PATH, Answer::empty(404));
    let issuer = scene.server.issuer();
    scene.mcp.publish(OF_HOST, &scene.mcp.metadata(&[&issuer], &json!({ "resource": origin })));
    scene.server.rules(|rules| rules.resource = Some(origin.clone()));
    scene.login(&[]).success();
    assert_eq!(scene.parameter("resource"), Some(origin));
    let asked = ["POST /mcp", &format!("GET {OF_PATH}"), &format!("GET {OF_HOST}")];
    assert_eq!(scene.mcp.asked(), asked);
}

#[test]
fn the_place_that_the_challenge_names_is_the_only_one_that_is_asked() {
    let scene = Scene::new();
    let place = format!("{}/elsewhere?a=b", scene.mcp.origin());
    let issuer = scene.server.issuer();
    scene.mcp.publish("/elsewhere", &scene.mcp.metadata(&[&issuer], &json!({})));
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&["http://127.0.0.1:1"], &json!({})));
    for headers in [
        &[format!("Bearer resource_metadata=\"{place}\", scope=\"read write\"")][..],
        // Without quotes; among others; in a header of its own; beside DPoP.
        &[format!("bearer RESOURCE_METADATA={place} , scope=\"read write\"")],
        &[
            "Basic realm=\"a, b\"".into(),
            format!(
                "Negotiate, Bearer scope=\"read write\", error=\"x, y=\\\"z\", resource_metadata=\"{place}\""
            ),
        ],
        &[format!(
            "DPoP algs=\"ES256\", Bearer resource_metadata=\"{place}\", scope=\"read write\""
        )],
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        scene.mcp.challenge(&headers);
        scene.login(&[]).success();
        assert_eq!(scene.parameter("scope").as_deref(), Some("read write"), "{headers:?}");
    }
    assert!(!scene.mcp.asked().iter().any(|line| line.contains("well-known")));
}

#[test]
fn metadata_of_another_server_signs_nobody_in() {
    let scene = Scene::new();
    let issuer = scene.server.issuer();
    for foreign in ["https://mcp.example.com/mcp", "http://127.0.0.1:1/mcp"] {
        let document = scene.mcp.metadata(&[&issuer], &json!({ "resource": foreign }));
        scene.mcp.publish(OF_PATH, &document);
        let said = scene.login(&[]).failure(1);
        assert!(said.contains("its metadata is that of"), "{said}");
    }
    let longer = format!("{}/tools", scene.mcp.url());
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&[&issuer], &json!({ "resource": longer })));
    scene.login(&[]).failure(1);
    assert!(scene.asked().is_empty());
    assert_eq!(scene.servers(), "", "nothing is written of it");
}

#[test]
fn redirected_documents_are_not_followed() {
    let scene = Scene::new();
    let away = Answer::empty(302).header("location", &format!("{}/x", scene.mcp.origin()));
    scene.mcp.publish("/x", &scene.mcp.metadata(&[&scene.server.issuer()], &json!({})));
    scene.mcp.answer("/named", away.clone());
    let named = format!("Bearer resource_metadata=\"{}/named\"", scene.mcp.origin());
    scene.mcp.challenge(&[&named]);
    let said = scene.login(&[]).failure(1);
    assert!(said.contains("a redirect (HTTP 302), never followed"), "{said}");
    scene.mcp.challenge(&["Bearer"]);
    scene.server.always(Endpoint::Metadata, Some(Fault::Answer(away)));
    let said = scene.login(&[]).failure(1);
    assert!(said.contains("a redirect (HTTP 302), never followed"), "{said}");
    assert!(!scene.mcp.asked().contains(&"GET /x".to_owned()));
}

#[test]
fn of_several_authorization_servers_a_known_one_goes_first_and_a_dead_one_is_passed_over() {
    let scene = Scene::new();
    let other = AuthorizationServer::start();
    other.rules(|rules| rules.resource = Some(scene.mcp.url()));
    let dead = "http://127.0.0.1:1";
    let list = [dead, &other.issuer(), &scene.server.issuer()];
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&list, &json!({})));
    scene.login(&[]).success();
    assert_eq!(other.grants("authorization_code"), 1, "the first that answers");
    let swapped = [dead, &scene.server.issuer(), &other.issuer()];
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&swapped, &json!({})));
    scene.login(&[]).success();
    assert_eq!(other.grants("authorization_code"), 2, "the one that we know");
    assert!(scene.asked().is_empty());
}

#[test]
fn a_server_of_2025_03_26_is_its_own_authorization_server() {
    let server = AuthorizationServer::start();
    let url = format!("{}/mcp", server.issuer());
    server.rules(|rules| rules.resource = Some(url.clone()));
    let sandbox = Sandbox::new();
    login(&sandbox, &[&url, "--name", "old"]).success();
    let metadata = &server.requests(Endpoint::Metadata)[0];
    assert_eq!(metadata.header("mcp-protocol-version"), Some("2025-03-26"));
    let shown = sandbox.run(["provider", "show", "old"]).success();
    assert!(shown.contains(&format!("issuer         {}\n", server.issuer())), "{shown}");
}

#[test]
fn without_any_metadata_the_default_endpoints_do_and_the_exception_is_said() {
    let server = AuthorizationServer::start();
    server.always(Endpoint::Metadata, Some(Fault::Status(404)));
    let url = format!("{}/mcp", server.issuer());
    server.rules(|rules| {
        rules.resource = Some(url.clone());
        rules.redirect_issuer = RedirectIssuer::Missing;
    });
    let sandbox = Sandbox::new();
    let output = login(&sandbox, &[&url, "--name", "old"]);
    let said = output.stderr.clone();
    output.success();
    assert!(said.contains("does not say whether it checks PKCE"), "{said}");
    assert!(server.accepts(sandbox.run(["token", "old"]).success().trim()));
    // A server that refuses nobody has nobody to sign in.
    let open = McpServer::start();
    open.open();
    let said = login(&sandbox, &[&open.url()]).failure(1);
    assert!(said.contains("asks for no sign-in"), "{said}");
}

#[test]
fn a_server_that_calls_itself_otherwise_needs_a_visible_exception() {
    let scene = Scene::new();
    scene.server.rules(|rules| {
        rules.edit_metadata = |metadata| metadata["issuer"] = json!("https://id.example.com/");
        rules.redirect_issuer = RedirectIssuer::Other("https://id.example.com/".into());
    });
    let said = scene.login(&[]).failure(1);
    assert!(said.contains("the server says that it is https://id.example.com/"), "{said}");
    let url = scene.mcp.url();
    scene.sandbox.write_config(&format!(
        "store = \"file\"\n[provider.odd]\nmcp_url = \"{url}\"\n[provider.odd.oauth]\ntrusted_issuer = \"https://id.example.com/\"\n"
    ));
    let output = scene.login(&[]);
    let said = output.stderr.clone();
    output.success();
    assert!(said.contains("names the issuer https://id.example.com/"), "{said}");
    assert_eq!(scene.servers(), "", "what a person wrote down is not written again");
    assert!(scene.server.accepts(scene.sandbox.run(["token", "odd"]).success().trim()));
    let steps = scene.sandbox.run(["provider", "check", "odd"]).stdout;
    assert!(steps.contains("says who signs people in"), "{steps}");
    let shown = scene.sandbox.run(["provider", "show", "odd"]).success();
    assert!(shown.contains("trusted issuer https://id.example.com/"), "{shown}");
    let held = scene.sandbox.run(["status"]).success();
    assert!(
        held.contains("exception: its server may call itself https://id.example.com/"),
        "{held}"
    );
    let held = scene.sandbox.run(["status", "--json"]).json();
    assert_eq!(held["credentials"][0]["trusted_issuer"], "https://id.example.com/");
}

// ---------------------------------------------------------------------------------------- the redirect

#[test]
fn without_a_promise_to_check_pkce_nobody_is_signed_in() {
    let scene = Scene::new();
    for edit in [
        (|metadata| {
            metadata.as_object_mut().unwrap().remove("code_challenge_methods_supported");
        }) as fn(&mut Value),
        |metadata| metadata["code_challenge_methods_supported"] = json!(["plain"]),
    ] {
        scene.server.rules(|rules| rules.edit_metadata = edit);
        let said = scene.login(&[]).failure(1);
        assert!(said.contains("does not promise to check PKCE"), "{said}");
    }
    assert!(scene.asked().is_empty() && scene.server.requests(Endpoint::Register).is_empty());
}

/// The lines of config.toml that an error advises.
fn advised(said: &str) -> String {
    let hints = said.lines().filter_map(|line| line.strip_prefix("hint: "));
    let lines: Vec<&str> = hints.filter(|it| it.starts_with('[') || it.contains(" = ")).collect();
    format!("store = \"file\"\n{}\n", lines.join("\n"))
}

#[test]
fn the_lines_that_an_error_advises_work_as_they_are() {
    for edit in [
        (|metadata| metadata["code_challenge_methods_supported"] = json!(["plain"]))
            as fn(&mut Value),
        |metadata| metadata["issuer"] = json!("https://id.example.com/"),
    ] {
        let scene = Scene::new();
        scene.server.rules(|rules| {
            rules.edit_metadata = edit;
            rules.redirect_issuer = RedirectIssuer::Missing;
        });
        let said = scene.login(&["--name", "my-odd"]).failure(1);
        let lines = advised(&said);
        assert!(lines.contains("[provider.\"my-odd\".oauth]"), "{said}");
        scene.sandbox.write_config(&lines);
        let output = scene.login(&[]);
        assert!(!output.stderr.contains("config.toml:"), "{lines}{}", output.stderr);
        assert!(!scene.asked().is_empty(), "{lines}{}", output.stderr);
    }
}

#[test]
fn a_resource_that_leads_elsewhere_is_an_unusable_answer() {
    let scene = Scene::new();
    let (issuer, origin) = (scene.server.issuer(), scene.mcp.origin());
    for resource in
        [format!("{origin}/mcp#x"), format!("{origin}/x/../mcp"), format!("{origin}/%2E/mcp")]
    {
        let document = scene.mcp.metadata(&[&issuer], &json!({ "resource": resource }));
        scene.mcp.publish(OF_PATH, &document);
        let said = scene.login(&[]).failure(1);
        assert!(said.contains("gave an unusable answer"), "{said}");
        assert_eq!(scene.servers(), "");
    }
}

#[test]
fn metadata_that_means_two_things_is_not_used() {
    let scene = Scene::new();
    let (url, issuer) = (scene.mcp.url(), scene.server.issuer());
    let text = format!(
        r#"{{"resource":"{url}","authorization_servers":["{issuer}"],"x":[{{"a":1,"a":2}}]}}"#
    );
    scene.mcp.answer(OF_PATH, Answer::new(200, "application/json", text));
    let said = scene.login(&[]).failure(1);
    assert!(said.contains("repeats a key"), "{said}");
}

#[test]
fn an_answer_of_another_issuer_is_refused_whatever_it_says() {
    let scene = Scene::new();
    let evil = RedirectIssuer::Other("https://evil.example".into());
    for (person, issuer, words) in [
        (Person::SaysYes, evil.clone(), "came from https://evil.example"),
        (Person::SaysNo, evil, "came from https://evil.example"),
        (Person::SaysYes, RedirectIssuer::Missing, "a server that does not say which it is"),
        (Person::SaysNo, RedirectIssuer::Missing, "a server that does not say which it is"),
    ] {
        scene.server.rules(|rules| {
            rules.person = person;
            rules.redirect_issuer = issuer.clone();
        });
        let said = scene.login(&[]).failure(1);
        assert!(said.contains(words) && !said.contains("denied"), "{said}");
    }
    assert!(scene.server.requests(Endpoint::Token).is_empty());
}

#[test]
fn the_port_of_the_registration_may_be_taken() {
    let scene = Scene::new();
    scene.login(&[]).success();
    let redirect = url::Url::parse(&scene.parameter("redirect_uri").unwrap()).unwrap();
    let taken = TcpListener::bind(("127.0.0.1", redirect.port().unwrap()));
    assert!(taken.is_ok());
    scene.login(&[]).success();
    let other = scene.parameter("redirect_uri").unwrap();
    assert_ne!(other, redirect.as_str());
    assert_eq!(scene.server.requests(Endpoint::Register).len(), 2);
}

// ------------------------------------------------------------------------------------------ the client

/// A directory of secrets that only their owner reads.
fn secret_file(sandbox: &Sandbox, name: &str, text: &str) -> String {
    let path = sandbox.path(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_published_document_is_the_client_where_the_server_takes_one() {
    let scene = Scene::new();
    let document = "https://client.example.com/authctl.json";
    scene.login(&["--client-metadata-url", document]).success();
    assert_ne!(scene.parameter("client_id").as_deref(), Some(document), "it takes none");
    scene.server.register(document, None);
    scene.server.rules(|rules| {
        rules.edit_metadata = |metadata| {
            metadata["client_id_metadata_document_supported"] = json!(true);
        };
    });
    scene.login(&[]).success();
    assert_eq!(scene.parameter("client_id").as_deref(), Some(document), "remembered");
    scene.sandbox.run(["token", &scene.mcp.url(), "--refresh"]).success();
    // A server where nobody registers says what is missing.
    scene.server.rules(|rules| {
        rules.edit_metadata = |metadata| {
            metadata["client_id_metadata_document_supported"] = json!(true);
            metadata.as_object_mut().unwrap().remove("registration_endpoint");
        };
    });
    let fresh = Sandbox::new();
    let said = login(&fresh, &[&scene.mcp.url()]).failure(2);
    assert!(said.contains("--client-metadata-url URL"), "{said}");
    fresh.write_config(&format!("store = \"file\"\nclient_metadata_url = \"{document}\"\n"));
    login(&fresh, &[&scene.mcp.url()]).success();
    let said = login(&fresh, &[&scene.mcp.url(), "--client-metadata-url", "https://x.example"]);
    assert!(said.failure(2).contains("has no path to a document"));
}

#[test]
fn the_document_is_printed_for_whoever_hosts_it() {
    let sandbox = Sandbox::new();
    let url = "https://client.example.com/authctl.json";
    let printed = sandbox.run(["generate", "client-metadata", "--url", url]);
    let document: Value = serde_json::from_str(&printed.success()).unwrap();
    assert_eq!(document["client_id"], url);
    assert_eq!(
        document["redirect_uris"],
        json!(["http://127.0.0.1/callback", "http://localhost/callback"])
    );
    assert_eq!(document["grant_types"], json!(["authorization_code", "refresh_token"]));
    for url in ["http://client.example.com/x", "https://client.example.com"] {
        sandbox.run(["generate", "client-metadata", "--url", url]).failure(2);
    }
    assert!(sandbox.run(["generate", "client-metadata"]).failure(2).contains("--url"));
}

#[test]
fn a_refused_registration_says_what_helps() {
    let scene = Scene::new();
    let refusal =
        json!({ "error": "invalid_client_metadata", "error_description": "by hand only" });
    let refusal = Fault::Answer(Answer::json(400, &refusal));
    scene.server.script(Endpoint::Register, refusal);
    let said = scene.login(&["--name", "acme"]).failure(1);
    assert!(said.contains("by hand only") && said.contains("--client-id"), "{said}");
    scene.server.register("mine", Some("hunter2"));
    let file = secret_file(&scene.sandbox, "secret", "hunter2");
    scene.login(&["--client-id", "mine", "--client-secret-file", &file]).success();
    let token = &scene.server.requests(Endpoint::Token)[0];
    assert!(token.header("authorization").unwrap().starts_with("Basic "), "the usual way");
}

#[test]
fn a_secret_goes_in_the_way_that_the_metadata_names() {
    let scene = Scene::new();
    scene.server.register("mine", Some("hunter2"));
    scene.server.rules(|rules| {
        rules.edit_metadata = |metadata| {
            metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        };
    });
    let file = secret_file(&scene.sandbox, "secret", "hunter2");
    scene.login(&["--client-id", "mine", "--client-secret-file", &file]).success();
    let token = &scene.server.requests(Endpoint::Token)[0];
    assert_eq!(token.header("authorization"), None);
    assert!(token.form().contains(&("client_secret".into(), "hunter2".into())));
}

/// Another authorization server for the same MCP server.
fn migrate(scene: &Scene) -> AuthorizationServer {
    let next = AuthorizationServer::start();
    next.rules(|rules| rules.resource = Some(scene.mcp.url()));
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&[&next.issuer()], &json!({})));
    next
}

#[test]
fn a_new_issuer_gets_a_registration_of_its_own_and_sees_nothing_of_the_old_one() {
    let scene = Scene::new();
    let secret_only = |rules: &mut crate::support::authorization_server::Rules| {
        rules.edit_metadata = |metadata| {
            metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_basic"]);
        };
    };
    scene.server.rules(secret_only);
    scene.login(&["--name", "acme"]).success();
    let next = migrate(&scene);
    next.rules(secret_only);
    login(&scene.sandbox, &["acme"]).success();
    assert_eq!(next.requests(Endpoint::Register).len(), 1);
    let binding = Sealed::of(&scene.sandbox).record("acme")["credential"]["binding"].clone();
    assert_eq!(binding["issuer"], next.issuer());
    let shown: Vec<String> = [Endpoint::Register, Endpoint::Authorize, Endpoint::Token]
        .into_iter()
        .flat_map(|endpoint| next.requests(endpoint))
        .map(|request| format!("{request:?}{}", String::from_utf8_lossy(&request.body)))
        .collect();
    for secret in scene.server.secrets() {
        assert!(!shown.iter().any(|request| request.contains(&secret)));
    }
    assert!(next.accepts(scene.sandbox.run(["token", "acme"]).success().trim()));
}

#[test]
fn a_client_that_was_brought_is_not_shown_to_another_issuer() {
    let scene = Scene::new();
    scene.server.register("mine", Some("hunter2"));
    let file = secret_file(&scene.sandbox, "secret", "hunter2");
    let brought = ["--name", "acme", "--client-id", "mine", "--client-secret-file", &file];
    scene.login(&brought).success();
    let next = migrate(&scene);
    let said = scene.login(&[]).failure(2);
    assert!(
        said.contains("the OAuth client mine is for") && said.contains("--client-id"),
        "{said}"
    );
    assert!(next.requests(Endpoint::Authorize).is_empty());
    assert!(next.requests(Endpoint::Register).is_empty());
    // The old sign-in is for the old issuer.
    let said = scene.sandbox.run(["token", "acme"]).failure(4);
    assert!(said.contains("another issuer"), "{said}");
    // A person says what is meant.
    login(&scene.sandbox, &["acme", "--new-client"]).success();
    assert!(next.accepts(scene.sandbox.run(["token", "acme"]).success().trim()));
}

// -------------------------------------------------------------------------------------------- scopes

#[test]
fn scopes_are_those_of_the_challenge_else_of_the_metadata_else_none() {
    let scene = Scene::new();
    let issuer = scene.server.issuer();
    scene.login(&[]).success();
    assert_eq!(scene.parameter("scope"), None);
    let supported = json!({ "scopes_supported": ["a", "b"] });
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&[&issuer], &supported));
    scene.login(&[]).success();
    assert_eq!(scene.parameter("scope").as_deref(), Some("a b"));
    scene.mcp.challenge(&["Bearer scope=\"c\""]);
    scene.login(&[]).success();
    assert_eq!(scene.parameter("scope").as_deref(), Some("c"));
    scene.login(&["--scope", "d"]).success();
    assert_eq!(scene.parameter("scope").as_deref(), Some("d"));
    // Where a token had too few: those that were asked for before, and those that it lacked.
    scene.mcp.challenge(&["Bearer error=\"insufficient_scope\", scope=\"e d\""]);
    scene.login(&[]).success();
    assert_eq!(scene.parameter("scope").as_deref(), Some("d e"));
}

#[test]
fn offline_access_is_for_the_authorization_server_to_offer() {
    let scene = Scene::new();
    let issuer = scene.server.issuer();
    let offers = |rules: &mut crate::support::authorization_server::Rules| {
        rules.edit_metadata =
            |metadata| metadata["scopes_supported"] = json!(["a", "offline_access"]);
    };
    scene.server.rules(offers);
    scene.login(&[]).success();
    assert_eq!(scene.parameter("scope"), None, "nothing by itself");
    let supported = json!({ "scopes_supported": ["a"] });
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&[&issuer], &supported));
    scene.login(&[]).success();
    assert_eq!(scene.parameter("scope").as_deref(), Some("a offline_access"));
    scene.server.rules(|rules| {
        rules.edit_metadata = |metadata| metadata["scopes_supported"] = json!(["a"]);
    });
    let supported = json!({ "scopes_supported": ["a", "offline_access"] });
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&[&issuer], &supported));
    scene.login(&[]).success();
    assert_eq!(scene.parameter("scope").as_deref(), Some("a"));
    let wish: Value =
        serde_json::from_slice(&scene.server.requests(Endpoint::Register)[0].body).unwrap();
    assert_eq!(wish["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(wish["application_type"], "native");
}

// -------------------------------------------------------------------------------------------- several

#[test]
fn four_at_once_come_to_one_name_one_registration_and_one_tab() {
    let scene = Scene::new();
    let url = scene.mcp.url();
    let start = || scene.sandbox.start(scene.sandbox.command(["login", &url]));
    let mut first = start();
    let page = first.opened_url();
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = start();
        other.wait_for("the wait", |line| line.contains("waiting for it").then_some(()));
        others.push(other);
    }
    browser::open(&page);
    first.finish().success();
    for other in others {
        other.finish().success();
    }
    assert_eq!(scene.sandbox.opened_urls().len(), 1);
    assert_eq!(scene.server.requests(Endpoint::Register).len(), 1);
    assert_eq!(scene.servers().matches("mcp_url").count(), 1);
}

#[test]
fn names_are_settled_once_and_belong_to_one_server() {
    let scene = Scene::new();
    login(&scene.sandbox, &[&scene.mcp.url(), "--name", "acme:work"]).success();
    scene.sandbox.run(["token", "acme:work"]).success();
    let said = scene.login(&["--name", "other"]).failure(2);
    assert!(said.contains("called acme here"), "{said}");
    scene.login(&["--account", "home"]).success();
    scene.sandbox.run(["token", "acme:home"]).success();
    // Another server cannot have that name, nor one that is built in.
    let second = McpServer::of(&[&scene.server.issuer()]);
    for name in ["acme", "github"] {
        let said = login(&scene.sandbox, &[&second.url(), "--name", name]).failure(2);
        assert!(said.contains(&format!("there is a provider {name} already")), "{said}");
    }
    let said = login(&scene.sandbox, &["acme", "--name", "x"]).failure(2);
    assert!(said.contains("--name is for an address"), "{said}");
    // The host gives the name, and its port; the second path another one.
    scene.server.rules(|rules| rules.resource = Some(second.url()));
    let output = login(&scene.sandbox, &[&second.url()]);
    let expected = second.origin().replace("http://", "").replace(':', "-");
    assert!(output.stderr.contains(&format!("Signed in to {expected}.")), "{}", output.stderr);
    let listed = scene.sandbox.run(["provider", "list"]).success();
    assert!(listed.contains(&expected) && listed.contains("(found)"), "{listed}");
    scene.sandbox.run(["logout", &expected]).success();
    let said = scene.sandbox.run(["provider", "remove", "acme"]).failure(2);
    assert!(said.contains("a credential for acme:"), "{said}");
}

#[test]
fn without_a_browser_the_sign_in_is_finished_later() {
    let mut scene = Scene::new();
    scene.sandbox.unset("BROWSER").env("SSH_CONNECTION", "192.0.2.1 40000 192.0.2.2 22");
    scene.server.rules(|rules| {
        rules.edit_metadata = |metadata| {
            metadata.as_object_mut().unwrap().remove("device_authorization_endpoint");
        };
    });
    let url = scene.mcp.url();
    let output = scene.sandbox.run(["login", &url, "--name", "acme", "--json"]);
    assert_eq!(output.code(), 4);
    let question: Value = serde_json::from_str(&output.stdout).unwrap();
    let page = url::Url::parse(question["url"].as_str().unwrap()).unwrap();
    let ends = browser::get(&page).header("location").unwrap().to_owned();
    scene.sandbox.run_with_input(["login", &url, "--resume"], &format!("{ends}\n")).success();
    assert!(scene.server.accepts(scene.sandbox.run(["token", "acme"]).success().trim()));
}

// ------------------------------------------------------------------------------------------- machines

#[test]
fn a_client_signs_in_as_itself_at_an_address() {
    let scene = Scene::new();
    scene.server.register("robot", Some("hunter2"));
    let supported = json!({ "scopes_supported": ["a"] });
    let issuer = scene.server.issuer();
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&[&issuer], &supported));
    let file = secret_file(&scene.sandbox, "secret", "hunter2");
    let flags = ["--client-credentials", "--client-id", "robot", "--client-secret-file", &file];
    scene.login(&[&["--name", "acme"], &flags[..]].concat()).success();
    let form = scene.server.requests(Endpoint::Token)[0].form();
    assert!(form.contains(&("resource".into(), scene.mcp.url())), "{form:?}");
    assert!(form.contains(&("scope".into(), "a".into())), "{form:?}");
    assert!(scene.asked().is_empty() && scene.server.requests(Endpoint::Register).is_empty());
    // The name alone does it again.
    scene.sandbox.run(["login", "acme"]).success();
    assert_eq!(scene.server.grants("client_credentials"), 2);
}

#[test]
fn a_workload_needs_neither_client_nor_login() {
    let scene = Scene::new();
    let jwt = secret_file(&scene.sandbox, "jwt", "head.body.signature");
    let url = scene.mcp.url();
    scene.sandbox.write_config(&format!(
        "store = \"file\"\n[provider.work]\nmcp_url = \"{url}\"\n[provider.work.oauth]\ngrants = [\"jwt_bearer\"]\nidentity = {{ source = \"file\", path = \"{jwt}\" }}\n"
    ));
    let token = json!({ "access_token": "t1", "token_type": "Bearer", "expires_in": 60 });
    scene.server.always(Endpoint::Token, Some(Fault::Json(token.to_string())));
    assert_eq!(scene.sandbox.run(["token", "work", "--min-ttl", "1s"]).success(), "t1\n");
    let form = scene.server.requests(Endpoint::Token)[0].form();
    let get = |name: &str| form.iter().find(|(other, _)| other == name).map(|(_, it)| it.as_str());
    assert_eq!(get("grant_type"), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    assert_eq!(get("assertion"), Some("head.body.signature"));
    assert_eq!(get("resource"), Some(url.as_str()));
    assert_eq!(get("client_id"), None);
    // A refusal is the end of it.
    let refusal = Fault::Answer(Answer::json(400, &json!({ "error": "invalid_grant" })));
    scene.server.always(Endpoint::Token, Some(refusal));
    scene.sandbox.run(["login", "work"]).failure(1);
    assert_eq!(scene.server.requests(Endpoint::Token).len(), 2);
    assert!(scene.server.requests(Endpoint::Register).is_empty());
}

#[test]
fn an_id_token_in_a_file_is_shown_to_its_provider_and_the_assertion_to_the_server() {
    let scene = Scene::new();
    let idp = AuthorizationServer::start();
    let answer = json!({
        "access_token": "as.ser.tion",
        "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "token_type": "N_A",
    });
    idp.always(Endpoint::Token, Some(Fault::Json(answer.to_string())));
    let token = json!({ "access_token": "t1", "token_type": "Bearer", "expires_in": 3600 });
    scene.server.always(Endpoint::Token, Some(Fault::Json(token.to_string())));
    let id_token = secret_file(&scene.sandbox, "id-token", "head.body.signature");
    let secret = secret_file(&scene.sandbox, "secret", "hunter2");
    scene.sandbox.write_config(&format!(
        "store = \"file\"\n[provider.idp.oauth]\nissuer = \"{}\"\nclient_id = \"desk\"\nauthentication = \"none\"\n[provider.acme]\nmcp_url = \"{}\"\n[provider.acme.oauth]\ngrants = [\"id_jag\"]\nidentity_provider = \"idp\"\nidentity = {{ source = \"file\", path = \"{id_token}\" }}\n",
        idp.issuer(),
        scene.mcp.url(),
    ));
    scene.login(&["--client-id", "mine", "--client-secret-file", &secret]).success();
    assert_eq!(scene.sandbox.run(["token", "acme"]).success(), "t1\n");
    let has = |form: &[(String, String)], name: &str, value: &str| {
        assert!(form.contains(&(name.to_owned(), value.to_owned())), "{name}: {form:?}");
    };
    let asked = idp.requests(Endpoint::Token)[0].form();
    has(&asked, "subject_token", "head.body.signature");
    has(&asked, "client_id", "desk");
    has(&asked, "audience", &scene.server.issuer());
    has(&asked, "resource", &scene.mcp.url());
    let asked = &scene.server.requests(Endpoint::Token)[0];
    has(&asked.form(), "assertion", "as.ser.tion");
    assert!(asked.header("authorization").unwrap().starts_with("Basic "));
}

#[test]
fn a_server_that_wants_proofs_gets_bound_tokens() {
    let scene = Scene::new();
    scene.server.rules(|rules| rules.nonce = Some("n1"));
    let issuer = scene.server.issuer();
    let required = json!({ "dpop_bound_access_tokens_required": true });
    scene.mcp.publish(OF_PATH, &scene.mcp.metadata(&[&issuer], &required));
    scene.login(&["--name", "acme"]).success();
    let said = scene.sandbox.run(["token", "acme"]);
    assert!(said.stderr.contains("DPoP"), "{}", said.stderr);
}

// -------------------------------------------------------------------------------------------- the rest

#[test]
fn a_pasted_token_needs_no_discovery() {
    let scene = Scene::new();
    let url = scene.mcp.url();
    let login = ["login", &url, "--name", "acme", "--with-token"];
    scene.sandbox.run_with_input(login, "t0\n").success();
    assert_eq!(scene.sandbox.run(["token", "acme"]).success(), "t0\n");
    assert!(scene.mcp.requests().is_empty());
}

#[test]
fn an_address_that_nobody_signed_in_to_says_how() {
    let sandbox = Sandbox::new();
    let said = sandbox.run(["token", "https://mcp.example.com/mcp"]).failure(2);
    assert!(said.contains("authctl login URL"), "{said}");
    for url in ["http://mcp.example.com/mcp", "https://u:p@mcp.example.com/", "https://"] {
        sandbox.run(["login", url]).failure(2);
    }
}

#[test]
fn metadata_that_lies_about_itself_is_not_used() {
    let scene = Scene::new();
    let twist = Twist::new(|_| Answer::json(200, &json!({ "issuer": "https://other.example" })));
    scene.server.always(Endpoint::Metadata, Some(Fault::Twist(twist)));
    let said = scene.login(&[]).failure(1);
    assert!(said.contains("asked for the issuer"), "{said}");
    scene.server.always(Endpoint::Metadata, None);
    scene.mcp.answer(OF_PATH, Answer::new(200, "application/json", "{\"resource\":"));
    let said = scene.login(&[]).failure(1);
    assert!(said.contains("damaged JSON"), "{said}");
    assert!(scene.asked().is_empty());
}
