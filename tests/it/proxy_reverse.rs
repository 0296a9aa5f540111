//! The proxy by base URL: who is let in, what goes on to the server, and what comes back.
//!
//! | id | promise | test |
//! |---|---|---|
//! | L1, L2 | nobody without the key, no other site's page | `only_the_key_of_this_run_…`, `no_foreign_name_…` |
//! | S1.22 | one credential a request, never doubled | `what_proves_the_client_is_replaced_…` |
//! | S4 | each server gets its own credential, and redirects none | `a_placeholder_is_good_…`, `no_redirect_…` |

use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::support::eventually;
use crate::support::http::{Answer, Server};
use crate::support::lending::{KEY, Lending, Reply, acme, config, only};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

const BEARER: &str = concat!("Bearer real-Qm4tZ81/", "xYw+0aLk9PvBn3Ts");

/// An origin that wants the real key, and a proxy that has it.
fn scene(arguments: &[&str]) -> (Origin, Sandbox, Lending) {
    let origin = Origin::start();
    origin.wants("authorization", BEARER);
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &[&["--with", "acme"], arguments].concat());
    (origin, sandbox, lending)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    let halves = digest.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.map(|half| char::from(b"0123456789abcdef"[usize::from(half)])).collect()
}

#[test]
fn a_request_arrives_as_it_was_sent_but_for_the_credential() {
    let (origin, _sandbox, lending) = scene(&[]);
    let paths = [
        "",
        "/",
        "//",
        "/a/b",
        "/a//b/",
        "/a%20b%2Fc%2fd",
        "/a?b=c&b=c&=&?",
        "/%E4?x=%zz%",
        "/a;b=c,d:e@f!$&'()*+~",
        "/a?redirect=https://evil.example/?x=y%26",
        "/...?q=../..",
        "/x%2e%2ey",
    ];
    for path in paths {
        let reply = lending.get(&format!("/acme{path}"));
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let expected =
            if path.starts_with(['/', '?']) { path.to_owned() } else { format!("/{path}") };
        assert_eq!(origin.seen().last().unwrap().line(), format!("GET {expected} HTTP/1.1"));
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "x-odd"] {
        let reply = lending.ask(&format!("{method} /acme/m"), &lending.bearer(), b"");
        assert_eq!(reply.status, 200, "{method}: {reply:?}");
        assert_eq!(origin.seen().last().unwrap().line(), format!("{method} /m HTTP/1.1"));
    }
    let odd = "X-Odd: a\t b\r\nx-odd: \u{e4}\r\nCookie: a=b; c\r\nUser-Agent: me/1\r\nAccept: */*\r\n\
               Keep-Alive: 5\r\nX-Hop: 1\r\nConnection: X-Hop\r\n";
    assert_eq!(lending.ask("GET /acme/h", &(lending.bearer() + odd), b"").status, 200);
    let seen = origin.seen().pop().unwrap();
    assert_eq!(seen.values("x-odd"), ["a\t b", "\u{e4}"]);
    assert_eq!(seen.value("cookie").as_deref(), Some("a=b; c"));
    assert_eq!(seen.value("user-agent").as_deref(), Some("me/1"));
    assert_eq!(seen.value("host"), Some(format!("127.0.0.1:{}", origin.port())));
    assert_eq!((seen.value("x-hop"), seen.value("keep-alive")), (None, None));
    for name in ["via", "x-forwarded-for", "forwarded", "x-real-ip", "accept-encoding"] {
        assert_eq!(seen.value(name), None, "added");
    }
    assert!(origin.complaints().is_empty());
}

#[test]
fn only_known_names_and_paths_below_them_lead_anywhere() {
    let (origin, _sandbox, lending) = scene(&[]);
    for path in ["/", "/acm", "/acmee/x", "/ACME/x", "/acme%2fx", "//acme/x", "/other", "/~x/acme"]
    {
        let said = lending.get(path).refusal(404, "route_unknown");
        assert!(said.contains("/acme"), "{said}");
    }
    for path in ["/../x", "/a/..", "/%2e%2e/x", "/.%2E/", "/a%2f..%2fb", "/.", "/a/%5c..%5cb"] {
        lending.get(&format!("/acme{path}")).refusal(400, "path_unsafe");
    }
    assert!(origin.seen().is_empty());
}

#[test]
fn only_the_key_of_this_run_opens_it() {
    let (origin, _sandbox, lending) = scene(&[]);
    let key = lending.key.clone();
    let basic = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let cut = &key[..key.len() - 1];
    let wrong = [
        String::new(),
        format!("Authorization: Bearer {cut}\r\n"),
        format!("Authorization: Bearer {key}x\r\n"),
        format!("Authorization: Bearer {}\r\n", key.to_uppercase()),
        format!("Authorization: {BEARER}\r\n"),
        "Authorization: Bearer \r\n".to_owned(),
        "Authorization: \r\n".to_owned(),
        format!("Authorization: Basic {}\r\n", basic("a:b")),
        "Authorization: Basic %%%\r\n".to_owned(),
        format!("Proxy-Authorization: Bearer {key}\r\n"),
        format!("Cookie: key={key}\r\n"),
        format!("X-Api-Key: {cut}\r\n"),
        format!("X-Authctl-Key: {cut}\r\n"),
        "X-Api-Key: \u{e4}\r\n".to_owned(),
    ];
    for headers in wrong {
        for path in ["/acme/x", "/unknown", "/acme/../x", &format!("/~{key}/acme/x")] {
            let reply = lending.ask(&format!("GET {path}"), &headers, b"");
            reply.refusal(401, "key_unknown");
            let offers = ["Bearer realm=\"authctl proxy\"", "Basic realm=\"authctl proxy\""];
            assert_eq!(reply.values("www-authenticate"), offers);
            assert!(!reply.text().contains(cut), "{reply:?}");
        }
    }
    assert!(origin.seen().is_empty());
    let right = [
        format!("authorization: bearer {key}\r\n"),
        format!("Authorization: {key}\r\n"),
        format!("Authorization: token {key}\r\n"),
        format!("Authorization: Basic {}\r\n", basic(&format!("x:{key}"))),
        format!("Authorization: Basic {}\r\n", basic(&format!("{key}:"))),
        format!("X-API-Key: {key}\r\n"),
        format!("x-goog-api-key: {key}\r\n"),
        format!("api-key: {key}\r\n"),
        format!("x-adcp-auth: {key}\r\n"),
        format!("Authorization: Bearer dummy\r\nX-Api-Key: {key}\r\n"),
        format!("X-Authctl-Key: {key}\r\n"),
        format!("Authorization: Bearer dummy\r\nX-Authctl-Key: {key}\r\nX-Api-Key: dummy\r\n"),
    ];
    for headers in &right {
        let reply = lending.ask("GET /acme/x", headers, b"");
        assert_eq!(reply.status, 200, "{headers}: {reply:?}");
    }
    assert_eq!(origin.seen().len(), right.len());
    let sent = String::from_utf8_lossy(&origin.bytes().concat()).to_lowercase();
    assert!(!sent.contains(&key.to_lowercase()) && !sent.contains("x-authctl-key"));
    let output = lending.end();
    assert!(!output.stderr.contains(&key), "{}", output.stderr);
}

#[test]
fn what_proves_the_client_is_replaced_and_never_doubled() {
    let (origin, _sandbox, lending) = scene(&[]);
    let names = ["Authorization", "x-api-key", "x-goog-api-key", "api-key", "x-adcp-auth", "DPoP"];
    let dummies: String = names.iter().flat_map(|name| [*name, ": dummy\r\n"]).collect();
    let twice = format!("{dummies}{}{dummies}", lending.bearer());
    assert_eq!(lending.ask("GET /acme/x", &twice, b"").status, 200);
    let seen = origin.only();
    assert_eq!(seen.values("authorization"), [BEARER]);
    for name in &names[1..] {
        assert_eq!(seen.values(name), Vec::<String>::new());
    }
    assert!(!seen.text().contains("dummy"));
}

#[test]
fn no_foreign_name_and_no_page_of_another_site_gets_in() {
    let (origin, _sandbox, lending) = scene(&[]);
    let port = lending.port;
    let own = ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"].map(|name| format!("{name}:{port}"));
    let foreign = [
        "",
        "127.0.0.1",
        "localhost",
        "evil.example",
        "evil.example:PORT",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:PORT",
        "localhost.evil.example:PORT",
        "localhost.:PORT",
        "user@127.0.0.1:PORT",
        "127.0.0.1:PORT@evil.example",
        "127.1:PORT",
        "2130706433:PORT",
        "0.0.0.0:PORT",
        "[::]:PORT",
        "[::ffff:127.0.0.1]:PORT",
        "::1:PORT",
        "127.0.0.1:0PORT",
        "127.0.0.1:PORT/x",
        "127.0.0.1:PORT x",
        "127.0.0.1 :PORT",
        "127.0.0.1:PORT,evil.example",
        "http://127.0.0.1:PORT",
        "127.0.0.1:PORT:PORT",
        "0x7f.0.0.1:PORT",
        "0177.0.0.1:PORT",
        "127.0.0.01:PORT",
        "localhost:PORT#",
        "localhost%00:PORT",
        "xlocalhost:PORT",
        "127.0.0.1:PORT?",
        "\u{ff11}27.0.0.1:PORT",
        "localhost:1PORT",
        "*",
        "_",
        "api.acme.example",
    ];
    let foreign = foreign.map(|host| host.replace("PORT", &port.to_string()));
    let origins = [
        "null",
        "https://evil.example",
        "http://evil.example:PORT",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://127.0.0.1:PORT",
        "http://127.0.0.1.evil.example:PORT",
        "http://localhost.evil.example:PORT",
        "http://user@127.0.0.1:PORT",
        "file://",
        "",
        "chrome-extension://abc",
        "moz-extension://abc",
        "vscode-webview://abc",
        "127.0.0.1:PORT",
        "http://127.0.0.1:PORT/",
        "http://127.0.0.1:PORT http://evil.example",
        "ws://127.0.0.1:PORT",
        "http://[::]:PORT",
        "http://0.0.0.0:PORT",
        "http://127.1:PORT",
        "HTTP://evil.example",
        "http://127.0.0.1:0PORT",
        "http://localhost.:PORT",
        "http://127.0.0.1:PORTx",
        "data:",
        "*",
    ];
    let origins = origins.map(|text| text.replace("PORT", &port.to_string()));
    let ask = |host: &str, more: &str| {
        let text =
            format!("GET /acme/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
        only(&lending.say(text.as_bytes()))
    };
    for secret in [String::new(), lending.bearer()] {
        for host in &foreign {
            ask(host, &secret).refusal(421, "host_foreign");
        }
        for page in &origins {
            ask(&own[0], &format!("Origin: {page}\r\n{secret}")).refusal(403, "origin_foreign");
            ask(&foreign[3], &format!("Origin: {page}\r\n{secret}")).refusal(421, "host_foreign");
        }
        for site in ["cross-site", "same-site", "", "x"] {
            let more = format!("Sec-Fetch-Site: {site}\r\n{secret}");
            ask(&own[0], &more).refusal(403, "origin_foreign");
        }
        let twice = format!("Host: {}\r\n{secret}", own[0]);
        ask(&own[0], &twice).refusal(421, "host_foreign");
    }
    for host in &own {
        ask(host, "").refusal(401, "key_unknown");
    }
    assert!(origin.seen().is_empty(), "something reached the origin");
    for host in &own {
        for page in &own {
            let more = format!("Origin: http://{page}\r\n{}", lending.bearer());
            assert_eq!(ask(host, &more).status, 200, "{host} {page}");
        }
    }
}

#[test]
fn bodies_are_the_same_byte_for_byte_both_ways() {
    let (origin, _sandbox, lending) = scene(&[]);
    let bytes = |length: usize| {
        (0..length).map(|at| (at * 7 + at / 251).to_le_bytes()[0]).collect::<Vec<_>>()
    };
    let lengths =
        [0, 1, 2, 100, 4095, 16_383, 16_384, 65_535, 65_536, 65_537, 1_000_000, 5_000_000];
    for length in lengths {
        let body = bytes(length);
        let fixed = format!("Content-Length: {length}\r\n{}", lending.bearer());
        let reply = lending.ask("POST /acme/echo", &fixed, &body);
        assert!(reply.status == 200 && reply.is_whole && reply.body == body, "{length}");
        let chunked = format!("Transfer-Encoding: chunked\r\n{}", lending.bearer());
        let mut framed = Vec::new();
        for piece in body.chunks(70_001) {
            framed.extend(format!("{:X};ext=1\r\n", piece.len()).bytes());
            framed.extend(piece);
            framed.extend(b"\r\n");
        }
        framed.extend(b"0\r\nX-Sum: 42\r\n\r\n");
        let reply = lending.ask("POST /acme/pipe", &(chunked + "Trailer: X-Sum\r\n"), &framed);
        assert!(reply.status == 200 && reply.is_whole && reply.body == body, "{length} chunked");
        let seen = origin.seen();
        for seen in &seen[seen.len() - 2..] {
            assert_eq!((seen.length, &seen.sha256), (length as u64, &sha256(&body)), "{length}");
        }
        let trailers = String::from_utf8_lossy(&seen.last().unwrap().trailers).to_lowercase();
        assert_eq!(trailers, "x-sum: 42\r\n", "{length}");
    }
    let reply = lending.ask("GET /acme/trailers", &(lending.bearer() + "TE: trailers\r\n"), b"");
    assert_eq!(reply.body, b"with trailers");
    assert_eq!(reply.trailers.to_lowercase(), "x-checksum: 42\r\n");
    let reply = lending.get("/acme/big-chunked/300000");
    assert!(reply.is_whole && reply.body.len() == 300_000);
    assert_eq!(lending.get("/acme/close").text(), "to the end");
    assert_eq!(lending.get("/acme/status/204").status, 204);
    assert!(lending.ask("HEAD /acme/", &lending.bearer(), b"").head.starts_with("HTTP/1.1 200"));
    assert!(origin.complaints().is_empty(), "{:?}", origin.complaints());
}

#[test]
fn no_redirect_is_followed_and_one_to_its_own_server_leads_home() {
    let sink = Origin::start();
    let (origin, _sandbox, lending) = scene(&[]);
    let home = format!("http://127.0.0.1:{}/acme", lending.port);
    let cases = [
        (format!("{}/stolen", sink.url()), format!("{}/stolen", sink.url())),
        (format!("{}/next?x=y", origin.url()), format!("{home}/next?x=y")),
        (origin.url(), home),
        (format!("{}evil.example/", origin.url()), format!("{}evil.example/", origin.url())),
        ("/next".to_owned(), "/next".to_owned()),
        ("//evil.example/".to_owned(), "//evil.example/".to_owned()),
    ];
    for (told, expected) in cases {
        let reply = lending.get(&format!("/acme/redirect?{told}"));
        assert_eq!((reply.status, reply.value("location")), (307, Some(expected)), "{told}");
    }
    assert!(sink.seen().is_empty());
    assert_eq!(origin.seen().len(), 6);
}

#[test]
fn an_answer_that_repeats_the_credential_is_starred() {
    let server = Server::start(|request| match request.path.as_str() {
        "/head" => Answer::new(200, "text/plain", "x")
            .header("x-echo", request.header("authorization").unwrap()),
        "/json" => Answer::new(401, "application/json", format!("{{\"got\":\"{KEY}\"}}")),
        "/gzip" => Answer::new(200, "text/plain", "zip").header("content-encoding", "gzip"),
        _ => {
            // The key in pieces of each length, the cut at each place.
            let mut raw =
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
                    .to_vec();
            for cut in 1..KEY.len() {
                for piece in [&KEY[..cut], &KEY[cut..], "|"] {
                    raw.extend(format!("{:x}\r\n{piece}\r\n", piece.len()).bytes());
                }
            }
            raw.extend(format!("4\r\n{}\r\n0\r\n\r\n", &KEY[..4]).bytes());
            Answer::Raw(raw)
        }
    });
    let sandbox = acme(&server.origin());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let stars = "*".repeat(KEY.len());
    assert_eq!(lending.get("/acme/head").value("x-echo"), Some(format!("Bearer {stars}")));
    let reply = lending.get("/acme/json");
    assert_eq!((reply.status, reply.text()), (401, format!("{{\"got\":\"{stars}\"}}")));
    assert_eq!(lending.get("/acme/gzip").text(), "zip");
    let reply = lending.get("/acme/chunks");
    assert_eq!(reply.text(), format!("{stars}|").repeat(KEY.len() - 1) + &KEY[..4]);
    let output = lending.end();
    assert!(!output.stderr.contains(KEY) && !output.stdout.contains(KEY));
}

#[test]
fn a_placeholder_is_good_for_its_own_credential_only() {
    let (one, other) = (Origin::start(), Origin::start());
    let mut sandbox = Sandbox::new();
    sandbox.write_config(&config(&[("acme", &one.url()), ("other", &other.url())]));
    sandbox.env("AUTHCTL_ACME_TOKEN", KEY).env("AUTHCTL_OTHER_TOKEN", "real-other-Ab12Cd34Ef56");
    one.wants("authorization", BEARER);
    other.wants("authorization", "Bearer real-other-Ab12Cd34Ef56");
    let lending = Lending::exec(&sandbox, &["--with", "acme,other"]);
    let bearer = |name: &str| format!("Authorization: Bearer {}\r\n", lending.variables[name]);
    assert_ne!(lending.variables["ACME_API_KEY"], KEY);
    assert_eq!(lending.ask("GET /acme/x", &bearer("ACME_API_KEY"), b"").status, 200);
    assert_eq!(lending.ask("GET /other/x", &bearer("OTHER_API_KEY"), b"").status, 200);
    let said = lending.ask("GET /other/x", &bearer("ACME_API_KEY"), b"");
    assert!(said.refusal(403, "key_of_another").contains("acme"));
    lending.ask("GET /acme/x", &bearer("OTHER_API_KEY"), b"").refusal(403, "key_of_another");
    assert_eq!((one.seen().len(), other.seen().len()), (1, 1));
    let output = lending.end();
    assert!(output.stderr.contains("placeholder of acme"), "{}", output.stderr);
}

#[test]
fn a_key_in_the_path_is_taken_only_where_that_was_asked_for() {
    let (origin, sandbox, lending) = scene(&["--secret-in-path"]);
    let key = lending.key.clone();
    let reply = lending.ask(&format!("GET /~{key}/acme/x?y"), "", b"");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(origin.only().line(), "GET /x?y HTTP/1.1");
    assert_eq!(lending.get("/acme/x").status, 200, "the header still counts");
    for path in [format!("/~{key}x/acme/x"), "/~/acme/x".into(), format!("/{key}/acme/x")] {
        assert!(matches!(lending.ask(&format!("GET {path}"), "", b"").status, 401), "{path}");
    }
    lending.ask(&format!("GET /~{key}/unknown"), "", b"").refusal(404, "route_unknown");
    lending.ask(&format!("GET /~{key}"), "", b"").refusal(404, "route_unknown");
    let output = lending.end();
    assert!(!output.stderr.contains(&key), "{}", output.stderr);
    let log = sandbox.run(["log", "--json"]).success();
    assert!(!log.contains(&key) && log.contains("\"path\": \"/x\""), "{log}");
}

#[test]
fn rules_ids_and_further_credentials_come_from_the_configuration() {
    let origin = Origin::start();
    origin.wants("authorization", BEARER);
    origin.wants("x-second", "real-other-Ab12Cd34Ef56");
    let mut sandbox = Sandbox::new();
    let rules = "[proxy.acme]\nallow = [\"GET /v1/*\", \"POST /v1/chat\"]\ndeny = [\"* /v1/keys*\"]\n\
                 id_header = \"x-credential\"\nsecret_headers = { x-second = \"other\" }\n";
    let providers = config(&[("acme", &origin.url()), ("other", "https://other.example")]);
    sandbox.write_config(&(providers + rules));
    sandbox.env("AUTHCTL_ACME_TOKEN", KEY).env("AUTHCTL_OTHER_TOKEN", "real-other-Ab12Cd34Ef56");
    let lending = Lending::exec(&sandbox, &["--with", "acme"]);
    let placeholder = &lending.variables["ACME_API_KEY"];
    let ask = |line: &str| -> Reply {
        let dummies = "X-Second: dummy\r\nX-Credential: dummy\r\n";
        lending.ask(line, &format!("Authorization: Bearer {placeholder}\r\n{dummies}"), b"")
    };
    assert_eq!(ask("GET /acme/v1/models").status, 200);
    assert_eq!(ask("POST /acme/v1/chat").status, 200);
    let id = &lending.variables["AUTHCTL_ACME_CREDENTIAL_ID"];
    for seen in origin.seen() {
        assert_eq!(seen.value("x-credential").as_ref(), Some(id), "{}", seen.text());
    }
    for line in [
        "POST /acme/v1/models",
        "GET /acme/v2",
        "GET /acme/v1/keys/1",
        "GET /acme/v1/%6beys",
        "GET /acme//v1//keys",
    ] {
        let reply = ask(line);
        assert!(reply.refusal(403, "rule_denied").contains("acme"), "{line}");
    }
    ask("GET /acme/v1/a%2fb").refusal(400, "path_unsafe");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_refusal_inside_an_answer_passes_as_it_is_and_is_said() {
    let refused = json!({"jsonrpc": "2.0", "id": 1, "result": {"isError": true, "content": [],
        "structuredContent": {"adcp_error": {"code": "AUTH_REQUIRED", "message": "log in"}}}});
    let event = format!("event: message\ndata: {refused}\n\n");
    let plain = refused.to_string();
    let (as_event, as_json) = (event.clone(), plain.clone());
    let server = Server::start(move |request| match request.path.as_str() {
        "/events" => Answer::new(200, "text/event-stream", as_event.clone()),
        _ => Answer::new(200, "application/json", as_json.clone()),
    });
    for (path, expected) in [("/json", plain), ("/events", event)] {
        let sandbox = acme(&server.origin());
        let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
        let headers = "Accept: application/json, text/event-stream\r\nContent-Length: 2\r\n";
        let reply = lending.ask(&format!("POST /acme{path}"), &(lending.bearer() + headers), b"{}");
        assert_eq!((reply.status, reply.text()), (200, expected));
        eventually("what the server wants", || {
            lending.stderr().contains("replace what AUTHCTL_ACME_TOKEN gives").then_some(())
        });
    }
}

#[test]
fn http_2_with_prior_knowledge_is_the_same() {
    if !crate::real_parts::present(&["curl"]) {
        return;
    }
    let (origin, sandbox, lending) = scene(&[]);
    let curl = |arguments: &[&str]| {
        let mut curl = sandbox.program("curl");
        curl.args([
            "-sS",
            "--max-time",
            "30",
            "--noproxy",
            "*",
            "-w",
            "|%{http_version} %{http_code}",
        ]);
        sandbox
            .start({
                curl.args(arguments);
                curl
            })
            .finish()
            .success()
    };
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", lending.port);
    let key = format!("Authorization: Bearer {}", lending.key);
    // The origin speaks HTTP/1.1 only: an answer of HTTP/2 is the proxy's own, or comes through a server of HTTP/2.
    let said = curl(&["--http2-prior-knowledge", &url("/acme/x")]);
    assert!(said.contains("key_unknown") && said.ends_with("|2 401"), "{said}");
    for host in ["evil.example", "127.0.0.1:1"] {
        let host = format!("Host: {host}");
        let said = curl(&["--http2-prior-knowledge", "-H", &key, "-H", &host, &url("/acme/x")]);
        assert!(said.ends_with("|2 421"), "{said}");
    }
    let said = curl(&[
        "--http2-prior-knowledge",
        "-H",
        &key,
        "-H",
        "Origin: https://evil.example",
        &url("/acme/x"),
    ]);
    assert!(said.ends_with("|2 403"), "{said}");
    assert!(origin.seen().is_empty());
    let said = curl(&["--http1.1", "-H", &key, "-d", "abc", &url("/acme/echo")]);
    assert_eq!(said, "abc|1.1 200");
    assert_eq!(curl(&["--http2", "-H", &key, &url("/acme/x")]), "here you are|1.1 200");
}
