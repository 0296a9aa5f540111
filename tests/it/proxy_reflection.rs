//! Servers that repeat what they were sent: the program that asked does not learn a credential by it.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S9 | nothing that the program can reach has the real value | all |

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::http::{Answer, Server};
use crate::support::lending::{KEY, Lending, config};
use crate::support::sandbox::Sandbox;

const OTHER: &str = "real-other-Ab12Cd34Ef56";

/// A server that repeats every header, as its body and in one.
fn echo() -> Server {
    Server::start(|request| {
        let all = request.headers.iter().map(|(name, value)| format!("{name}={value}"));
        let all: Vec<String> = all.collect();
        Answer::new(200, "text/plain", all.join("\n")).header("x-echo", &all.join("; "))
    })
}

fn scene(server: &Server) -> (Sandbox, Lending, String) {
    let mut sandbox = Sandbox::new();
    let providers = config(&[("acme", &server.origin()), ("other", "https://other.example")]);
    sandbox.write_config(&providers);
    sandbox.env("AUTHCTL_ACME_TOKEN", KEY).env("AUTHCTL_OTHER_TOKEN", OTHER);
    let arguments = ["--with", "acme", "--secret-header", "X-Second=other"];
    let lending = Lending::exec(&sandbox, &arguments);
    let placeholder = lending.variables["ACME_API_KEY"].clone();
    (sandbox, lending, placeholder)
}

#[test]
fn every_credential_of_a_request_is_starred() {
    let server = echo();
    let (_sandbox, lending, placeholder) = scene(&server);
    let reply = lending.ask("GET /acme/x", &format!("X-Api-Key: {placeholder}\r\n"), b"");
    assert_eq!(reply.status, 200, "{reply:?}");
    for text in [reply.text(), reply.value("x-echo").unwrap()] {
        assert!(
            text.contains(&format!("authorization=Bearer {}", "*".repeat(KEY.len()))),
            "{text}"
        );
        assert!(text.contains(&format!("x-second={}", "*".repeat(OTHER.len()))), "{text}");
    }
}

#[test]
fn a_credential_that_went_as_a_password_is_starred_too() {
    let server = echo();
    let (_sandbox, lending, placeholder) = scene(&server);
    for user in ["", "a", "me", "x-access-token"] {
        let pair = STANDARD.encode(format!("{user}:{placeholder}"));
        let reply = lending.ask("GET /acme/x", &format!("Authorization: Basic {pair}\r\n"), b"");
        let text = reply.text();
        let value =
            text.lines().find_map(|line| line.strip_prefix("authorization=Basic ")).unwrap();
        assert_eq!(value.len(), STANDARD.encode(format!("{user}:{KEY}")).len(), "{text}");
        // But for characters that the neighbours have a part in.
        let stars = value.bytes().filter(|byte| *byte == b'*').count();
        assert!(stars >= KEY.len() * 8 / 6 - 2, "{text}");
    }
}

#[test]
fn no_answer_is_asked_for_that_cannot_be_looked_through() {
    let server = echo();
    let (_sandbox, lending, placeholder) = scene(&server);
    let ask = |codings: &str| {
        let key = format!("Authorization: Bearer {placeholder}\r\n{codings}");
        let text = lending.ask("GET /acme/x", &key, b"").text();
        let codings = text.lines().filter_map(|line| line.strip_prefix("accept-encoding="));
        codings.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(ask("").is_empty());
    for codings in ["gzip", "br;q=1.0, *;q=0", "", "identity;q=0, zstd"] {
        assert_eq!(ask(&format!("Accept-Encoding: {codings}\r\n")), ["identity"], "{codings}");
    }
    assert_eq!(ask("Accept-Encoding: gzip\r\naccept-encoding: br\r\n"), ["identity"]);
}

/// A program that has a say in the heads of answers could pass off anything as encoded.
#[test]
fn an_answer_that_says_it_is_encoded_and_is_not_is_starred_all_the_same() {
    for coding in ["gzip", "aws-chunked", "identity, x"] {
        let server = Server::start(move |request| {
            let key = request.header("authorization").unwrap_or_default();
            Answer::new(200, "text/plain", key).header("content-encoding", coding)
        });
        let (_sandbox, lending, placeholder) = scene(&server);
        let reply = lending.ask("GET /acme/x", &format!("X-Api-Key: {placeholder}\r\n"), b"");
        assert_eq!(reply.text(), format!("Bearer {}", "*".repeat(KEY.len())), "{coding}");
        assert_eq!(reply.value("content-encoding").as_deref(), Some(coding));
    }
}

/// Says that much and no more, and hangs up or breaks the connection off.
fn breaking(said: String, breaks: bool) -> Server {
    let bytes = said.into_bytes();
    if !breaks {
        return Server::start(move |_| Answer::Raw(bytes.clone()));
    }
    Server::start(move |_| Answer::Broken(bytes.clone()))
}

#[test]
fn an_answer_that_breaks_off_is_passed_up_to_there_and_that_is_said() {
    let (whole, begun) = (KEY, &KEY[..KEY.len() - 1]);
    let said = format!("abc{whole}def{begun}");
    let shown = format!("abc{}def{begun}", "*".repeat(whole.len()));
    let heads = ["content-length: 1000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n50\r\n"];
    for (head, breaks) in heads.iter().flat_map(|head| [(head, false), (head, true)]) {
        let server = breaking(format!("HTTP/1.1 200 OK\r\n{head}{said}"), breaks);
        let (_sandbox, lending, placeholder) = scene(&server);
        for _ in 0..20 {
            let reply = lending.ask("GET /acme/x", &format!("X-Api-Key: {placeholder}\r\n"), b"");
            assert_eq!((reply.status, reply.is_whole), (200, false));
            assert_eq!(reply.text(), shown, "{head:?} {breaks}");
        }
        let said = lending.end().stderr;
        assert_eq!(
            said.matches("an answer for acme broke off before its end").count(),
            1,
            "{said}"
        );
    }
}
