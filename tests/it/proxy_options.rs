//! What is typed about the requests of a proxy: the same as `[proxy."NAME"]` says, and over it.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S1.21 | several headers on one request, each with its own value | `typed_rules_and_headers_…` |
//! | S4 | a credential for one server does not go to another | `what_cannot_be_meant_…` |

use crate::support::free_port;
use crate::support::lending::{KEY, Lending, config};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

const OTHER: &str = "real-other-Ab12Cd34Ef56";

/// Two providers, the first at an origin that wants the keys of both.
fn scene(rules: &str) -> (Origin, Sandbox) {
    let origin = Origin::start();
    origin.wants("authorization", &format!("Bearer {KEY}"));
    origin.wants("x-second", OTHER);
    let mut sandbox = Sandbox::new();
    let providers = config(&[("acme", &origin.url()), ("other", "https://other.example")]);
    sandbox.write_config(&(providers + rules));
    sandbox
        .env("AUTHCTL_ACME_TOKEN", KEY)
        .env("AUTHCTL_OTHER_TOKEN", OTHER)
        .env("TEAM", "blue sky");
    (origin, sandbox)
}

const TYPED: [&str; 14] = [
    "--with",
    "acme",
    "--allow=GET /v1/*",
    "--allow=POST /v1/chat",
    "--deny",
    "* /v1/keys*",
    "--header",
    "X-Team: ${TEAM}",
    "--header=X-Kind: one",
    "--header=x-kind: two",
    "--secret-header",
    "X-Second=other",
    "--id-header",
    "X-Credential",
];

#[test]
fn typed_rules_and_headers_are_those_of_the_configuration() {
    let (origin, sandbox) = scene("");
    let own = Lending::proxy(&sandbox, &TYPED);
    let child = Lending::exec(&sandbox, &TYPED);
    let placeholder = format!("Authorization: Bearer {}\r\n", child.variables["ACME_API_KEY"]);
    let id = child.variables["AUTHCTL_ACME_CREDENTIAL_ID"].clone();
    for (lending, key) in [(&own, own.bearer()), (&child, placeholder)] {
        let dummies = "X-Second: dummy\r\nX-Credential: dummy\r\nx-team: red\r\nX-TEAM: green\r\n\
                       Connection: x-team, x-second\r\n";
        let ask = |line: &str| lending.ask(line, &format!("{key}{dummies}"), b"");
        let before = origin.seen().len();
        assert_eq!(ask("GET /acme/v1/models").status, 200);
        assert_eq!(ask("POST /acme/v1/chat").status, 200);
        for seen in &origin.seen()[before..] {
            assert_eq!(seen.values("x-credential"), [id.as_str()], "{}", seen.text());
            assert_eq!(seen.values("x-team"), ["blue sky"], "{}", seen.text());
            assert_eq!(seen.values("x-kind"), ["two"], "{}", seen.text());
        }
        for line in ["POST /acme/v1/models", "GET /acme/v2", "GET /acme/v1/keys/1"] {
            ask(line).refusal(403, "rule_denied");
        }
        assert_eq!(origin.seen().len(), before + 2);
    }
}

#[test]
fn nobody_who_is_not_signed_in_passes_for_somebody() {
    let (origin, mut sandbox) = scene("");
    sandbox.unset("AUTHCTL_ACME_TOKEN");
    let lending = Lending::proxy(&sandbox, &["--with", "acme", "--id-header", "X-Credential"]);
    let headers = format!("X-Credential: another\r\n{}", lending.bearer());
    assert_eq!(lending.ask("GET /acme/open/x", &headers, b"").status, 200);
    let seen = origin.only();
    assert_eq!(seen.values("x-credential"), [""; 0], "{}", seen.text());
    assert_eq!(seen.values("authorization"), [""; 0], "{}", seen.text());
}

#[test]
fn what_is_typed_counts_before_what_is_written_and_lifts_no_ban() {
    let written = "[proxy.acme]\nallow = [\"GET /a\"]\ndeny = [\"* /keys\"]\nid_header = \"x-id\"\n\
                   headers = { X-Team = \"red\", X-Own = \"${TEAM}\" }\n\
                   secret_headers = { x-second = \"other\" }\n";
    let (origin, sandbox) = scene(written);
    let typed = ["--with", "acme", "--allow", "* /*", "--deny", "* /b", "--header", "x-team: blue"];
    let lending = Lending::proxy(&sandbox, &typed);
    assert_eq!(lending.get("/acme/c").status, 200);
    let seen = origin.seen().pop().unwrap();
    assert_eq!(seen.values("x-team"), ["blue"], "{}", seen.text());
    assert_eq!(seen.values("x-own"), ["blue sky"], "{}", seen.text());
    assert_eq!(seen.values("x-id").len(), 1, "{}", seen.text());
    for path in ["/acme/b", "/acme/keys"] {
        lending.get(path).refusal(403, "rule_denied");
    }
}

#[test]
fn a_refusal_names_the_command_that_mends_it() {
    let (_origin, sandbox) = scene("[proxy.acme]\ndeny = [\"* /keys\"]\n");
    let gone = format!("http://127.0.0.1:{}", free_port());
    let written =
        std::fs::read_to_string(sandbox.path("home/.config/authctl/config.toml")).unwrap();
    sandbox.write_config(&(written + &config(&[("gone", &gone)])));
    let lending = Lending::proxy(&sandbox, &["--with", "acme,gone"]);
    for (path, code, hint) in [
        ("/github:work/x", "route_unknown", "authctl proxy --with github:work"),
        ("/", "route_unknown", "authctl proxy --with NAME"),
        ("/acme/keys", "rule_denied", "--allow, --deny, or [proxy.\"acme\"] in config.toml"),
        ("/gone/x", "upstream_unreachable", "authctl provider show gone"),
    ] {
        let reply = lending.get(path);
        reply.refusal(reply.status, code);
        let said: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let said = said["error"]["hint"].as_str().unwrap_or_default();
        assert!(said.starts_with(hint), "{path}: {said}");
    }
    let said = lending.end().stderr;
    assert!(
        said.contains("GET /gone/x: ") && said.contains("; authctl provider show gone"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_meant_does_not_start() {
    let (origin, sandbox) = scene("");
    let with = ["--with", "acme"];
    for (arguments, said) in [
        (&["--allow", "/v1/*"][..], "it is written like 'GET /v1/*'"),
        (&["--deny", "get /v1"], "it is written like 'GET /v1/*'"),
        (&["--header", "X-Team"], "it is written like 'X-Team: blue'"),
        (&["--header", "Host: x"], "not the name of a header that can be set here"),
        (&["--header", "Authorization: Bearer x"], "its value is a secret"),
        (&["--header", "X: ${NOT_THERE}"], "NOT_THERE, which is not set"),
        (&["--secret-header", "X-Second"], "it is written like X-Api-Key=NAME"),
        (&["--secret-header", "X-Second=nobody"], "nobody"),
        (&["--id-header", "Content-Length"], "not the name of a header"),
        (&["--with", "other", "--secret-header", "X-Second=other"], "one credential in --with"),
    ] {
        let output = sandbox.run([&["proxy"], &with[..], arguments].concat());
        assert!(output.stderr.contains(said), "{arguments:?}: {output:?}");
        assert!(matches!(output.code(), 2 | 3), "{arguments:?}: {output:?}");
        let command = ["--", "true"];
        let output = sandbox.run([&["exec", "--proxy"], &with[..], arguments, &command].concat());
        assert!(output.stderr.contains(said), "{arguments:?}: {output:?}");
        assert_eq!(output.code(), 125, "{arguments:?}: {output:?}");
    }
    for option in [
        "--allow=GET /",
        "--deny=GET /",
        "--header=X: y",
        "--secret-header=X=other",
        "--id-header=X",
    ] {
        let output = sandbox.run(["exec", "--with", "acme", option, "--", "true"]);
        assert!(output.stderr.contains("needs --proxy"), "{option}: {output:?}");
        assert_eq!(output.code(), 125, "{option}: {output:?}");
    }
    assert!(origin.seen().is_empty());
}

#[test]
fn whoever_follows_a_hint_keeps_the_secrets_out_of_the_command_too() {
    let sandbox = Sandbox::new();
    let rival = "[provider.rival.bearer]\nvariables = [\"ACME_API_KEY\"]\n";
    let providers = config(&[("acme", "https://acme.example")]) + rival;
    sandbox.write_config(&providers);
    for name in ["acme", "rival"] {
        sandbox.run_with_input(["login", name, "--with-token"], KEY).success();
    }
    for (arguments, hint) in [
        (&["--", "true"][..], "authctl exec --proxy --with acme -- true"),
        (
            &["--with", "acme,rival", "--", "true"],
            "authctl exec --proxy --with acme --with rival=OTHER_VARIABLE -- …",
        ),
    ] {
        let said = sandbox.run([&["exec", "--proxy"], arguments].concat()).failure(125);
        assert!(said.contains(hint), "{said}");
    }
    let said = sandbox.run(["exec", "--", "true"]).failure(125);
    assert!(said.contains("authctl exec --with acme -- true"), "{said}");
}
