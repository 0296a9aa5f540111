//! The proxy by HTTPS_PROXY: which connections are opened, what goes into them, and what passes untouched.
//!
//! | id | promise | test |
//! |---|---|---|
//! | L1 | a proxy for nobody else | `it_serves_nobody_without_its_key` |
//! | S4 | each host gets its own credential | `of_two_accounts_…`, `a_connection_is_good_for_its_own_host_only` |

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::real_parts::present;
use crate::support::hostile::tls::{Authority, GOOD};
use crate::support::lending::{KEY, Lending, Reply, acme, only, replies};
use crate::support::origin::Origin;
use crate::support::sandbox::Sandbox;

const BEARER: &str = concat!("Bearer real-Qm4tZ81/", "xYw+0aLk9PvBn3Ts");
const SECOND: &str = "real-second-Ab12Cd34Ef56Gh78";

/// A server of HTTPS that wants the key, and a sandbox that has it and believes the server.
fn secure() -> (Authority, Origin, Sandbox) {
    let authority = Authority::new();
    let origin = Origin::secure(&authority, GOOD);
    origin.wants("authorization", BEARER);
    let mut sandbox = acme(&origin.url());
    sandbox.env("SSL_CERT_FILE", authority.file());
    (authority, origin, sandbox)
}

/// The header line that opens the proxy of a command.
fn proxy_key(lending: &Lending) -> String {
    let url = &lending.variables["HTTPS_PROXY"];
    let user = url.strip_prefix("http://").unwrap().split('@').next().unwrap();
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user))
}

fn connect(lending: &Lending, target: &str, headers: &str, then: &[u8]) -> Vec<u8> {
    let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{headers}\r\n");
    lending.say(&[head.as_bytes(), then].concat())
}

/// curl as a child of the command would be, with the environment that it has.
fn curl(sandbox: &Sandbox, lending: &Lending, arguments: &[&str]) -> (String, String) {
    let mut curl = sandbox.program("curl");
    curl.env_clear().envs(&lending.variables);
    curl.args(["-sS", "--max-time", "30", "-w", "|%{http_code}"]).args(arguments);
    let output = sandbox.start(curl).finish();
    (output.stdout, output.stderr)
}

#[test]
fn it_serves_nobody_without_its_key() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::exec(&sandbox, &["--with", "acme"]);
    let host = format!("127.0.0.1:{}", origin.port());
    let right = proxy_key(&lending);
    let placeholder = &lending.variables["ACME_API_KEY"];
    for headers in [
        String::new(),
        "Proxy-Authorization: Basic \r\n".into(),
        format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode("authctl:wrong")),
        format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("a:{placeholder}"))),
        format!("Proxy-Authorization: Bearer {placeholder}\r\n"),
        right.replace("Proxy-", ""),
        format!("{right}{right}"),
    ] {
        let reply =
            only(&connect(&lending, &host, &(headers.clone() + "Connection: close\r\n"), b""));
        reply.refusal(407, "proxy_key_unknown");
        assert!(reply.value("proxy-authenticate").is_some_and(|text| text.starts_with("Basic")));
        let get = format!(
            "GET http://other.example/open HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n{headers}\r\n"
        );
        only(&lending.say(get.as_bytes())).refusal(407, "proxy_key_unknown");
    }
    assert!(origin.seen().is_empty());
}

#[test]
fn only_the_hosts_of_the_credentials_are_opened() {
    if !present(&["openssl", "curl"]) {
        return;
    }
    let (_authority, origin, sandbox) = secure();
    let lending = Lending::exec(&sandbox, &["--with", "acme"]);
    assert!(!lending.variables["NO_PROXY"].contains("127.0.0.1"), "a bound host goes through it");
    let bearer = format!("Authorization: Bearer {}", lending.variables["ACME_API_KEY"]);
    let url = |path: &str| format!("{}{path}", origin.url());
    // With the placeholder, with nothing, and with what a client made up.
    for header in [bearer.as_str(), "X: y", "Authorization: Bearer dummy"] {
        let (said, errors) = curl(&sandbox, &lending, &["-H", header, "-d", "abc", &url("/echo")]);
        assert_eq!(said, "abc|200", "{header}: {errors}");
    }
    for seen in origin.seen() {
        assert_eq!(seen.values("authorization"), [BEARER]);
        assert_eq!(seen.values("proxy-authorization"), Vec::<String>::new());
    }
    let said = curl(&sandbox, &lending, &["-H", &bearer, "-H", "Host: other.example", &url("/x")]);
    assert!(said.0.ends_with("|421"), "{said:?}");
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn other_hosts_are_reached_byte_for_byte_or_not_at_all() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    // Neither TLS nor HTTP: what comes, in pieces, goes back turned round.
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = stranger.local_addr().unwrap().to_string();
    let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let (listening, kept) = (stranger, Arc::clone(&heard));
    thread::spawn(move || {
        for connection in listening.incoming() {
            let mut connection = connection.unwrap();
            connection.write_all(b"\0greeting\r\n\r\n").unwrap();
            let mut bytes = Vec::new();
            connection.read_to_end(&mut bytes).unwrap();
            kept.lock().unwrap().push(bytes.clone());
            bytes.reverse();
            connection.write_all(&bytes).unwrap();
        }
    });
    let sent: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    let lending = Lending::exec(&sandbox, &["--with", "acme"]);
    // Bytes that do not wait for the answer to CONNECT, and bytes that look like a request.
    for early in [true, false] {
        let mut connection = lending.connect();
        let connect =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", proxy_key(&lending));
        let begin = b"\x16\x03\x01\n\n\r\n\r\nGET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
        connection.write_all(connect.as_bytes()).unwrap();
        if early {
            connection.write_all(begin).unwrap();
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"\0greeting\r\n\r\n") {
            let mut chunk = [0; 1000];
            let read = connection.read(&mut chunk).unwrap();
            assert!(read > 0, "{}", answer.escape_ascii());
            answer.extend_from_slice(&chunk[..read]);
        }
        let first = replies(&answer[..answer.len() - 13]);
        assert_eq!((first[0].status, first[0].values("content-length").len()), (200, 0));
        if !early {
            connection.write_all(begin).unwrap();
        }
        let mut writer = connection.try_clone().unwrap();
        let bytes = sent.clone();
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        connection.read_to_end(&mut back).unwrap();
        back.reverse();
        assert!(back == [begin, &sent[..]].concat(), "{} bytes", back.len());
    }
    assert_eq!(heard.lock().unwrap().len(), 2);
    let strict = Lending::exec(&sandbox, &["--strict", "--with", "acme"]);
    let close = proxy_key(&strict) + "Connection: close\r\n";
    let said = only(&connect(&strict, &target, &close, b"")).refusal(403, "host_denied");
    assert!(said.contains("--strict"), "{said}");
    let plain = format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n{close}\r\n");
    only(&strict.say(plain.as_bytes())).refusal(403, "host_denied");
    assert_eq!(heard.lock().unwrap().len(), 2);
}

#[test]
fn plain_requests_pass_untouched_and_without_a_credential() {
    let (origin, other) = (Origin::start(), Origin::start());
    let sandbox = acme(&origin.url());
    let lending = Lending::exec(&sandbox, &["--with", "acme"]);
    let ask = |url: &str, headers: &str| -> Reply {
        let key = proxy_key(&lending);
        let text = format!(
            "POST {url}/open/echo?a=%20b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n{key}{headers}\r\nabc"
        );
        only(&lending.say(text.as_bytes()))
    };
    let own = "Authorization: Bearer mine\r\nX-Api-Key: mine\r\nCookie: a\r\n";
    let reply = ask(&other.url(), own);
    assert_eq!((reply.status, reply.text().as_str()), (200, "abc"));
    let seen = other.only();
    assert_eq!(seen.line(), "POST /open/echo?a=%20b HTTP/1.1");
    assert_eq!(seen.value("host"), Some(format!("127.0.0.1:{}", other.port())));
    assert_eq!(seen.value("authorization").as_deref(), Some("Bearer mine"));
    assert_eq!(seen.value("x-api-key").as_deref(), Some("mine"));
    assert_eq!(seen.value("proxy-authorization"), None);
    // Not even to the server of the credential.
    assert_eq!(ask(&origin.url(), "").status, 200);
    assert_eq!(origin.only().value("authorization"), None);
    for url in ["https://127.0.0.1:1", "ftp://127.0.0.1", "http://a:b@127.0.0.1:1"] {
        ask(url, "").refusal(400, "target_unfit");
    }
}

#[test]
fn of_two_accounts_the_placeholder_says_which() {
    if !present(&["openssl", "curl"]) {
        return;
    }
    let (_authority, origin, mut sandbox) = secure();
    sandbox.unset("AUTHCTL_ACME_TOKEN");
    for (name, key) in [("acme", KEY), ("acme:second", SECOND)] {
        let login = ["login", name, "--with-token"];
        sandbox.run_with_input(login, &format!("{key}\n")).success();
    }
    let with = ["--with", "acme", "--with", "acme:second=SECOND_KEY"];
    let lending = Lending::exec(&sandbox, &with);
    let (one, two) = (&lending.variables["ACME_API_KEY"], &lending.variables["SECOND_KEY"]);
    let url = format!("{}/x", origin.url());
    let ask = |header: &str| curl(&sandbox, &lending, &["-H", header, &url]).0;
    assert!(ask(&format!("Authorization: Bearer {one}")).ends_with("|200"));
    origin.wants("authorization", &format!("Bearer {SECOND}"));
    assert!(ask(&format!("Authorization: Bearer {two}")).ends_with("|200"));
    let said = ask("X: y");
    assert!(said.contains("account_open") && said.ends_with("|401"), "{said}");
    // A user name and a password stay such.
    origin.wants("authorization", &format!("Basic {}", STANDARD.encode(format!("git:{SECOND}"))));
    let basic = STANDARD.encode(format!("git:{two}"));
    assert!(ask(&format!("Authorization: Basic {basic}")).ends_with("|200"));
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn the_proxy_of_a_company_is_used_on_the_way_out() {
    if !present(&["openssl", "curl"]) {
        return;
    }
    let authority = Authority::new();
    let origin = Origin::secure(
        &authority,
        crate::support::hostile::tls::Leaf { name: "DNS:api.acme.example", ..GOOD },
    );
    origin.wants("authorization", BEARER);
    // A proxy that connects whoever has its password to the origin, whatever they ask for.
    let office = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = office.local_addr().unwrap();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let (kept, port) = (Arc::clone(&heads), origin.port());
    thread::spawn(move || {
        for client in office.incoming() {
            let mut client = client.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            kept.lock().unwrap().push(String::from_utf8(head).unwrap());
            let server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut up, &mut down));
            thread::spawn(move || std::io::copy(&mut { server }, &mut client));
        }
    });
    let mut sandbox = acme("https://api.acme.example");
    sandbox.env("SSL_CERT_FILE", authority.file());
    sandbox.env("HTTPS_PROXY", format!("http://me:pass%40word@{address}"));
    sandbox.env("NO_PROXY", "direct.example");
    let lending = Lending::exec(&sandbox, &["--with", "acme"]);
    let (said, errors) = curl(&sandbox, &lending, &["https://api.acme.example/x"]);
    assert_eq!(said, "here you are|200", "{errors}");
    let (said, errors) = curl(
        &sandbox,
        &lending,
        &[
            "-H",
            &format!("Authorization: Bearer {}", lending.variables["ACME_API_KEY"]),
            &format!("{}/acme/y", lending.variables["AUTHCTL_PROXY_URL"]),
        ],
    );
    assert_eq!(said, "here you are|200", "{errors}");
    let heads = heads.lock().unwrap();
    let expected = STANDARD.encode("me:pass@word");
    assert!(!heads.is_empty());
    for head in heads.iter() {
        assert!(head.starts_with("CONNECT api.acme.example:443 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("proxy-authorization: basic"), "{head}");
        assert!(head.contains(&expected), "{head}");
    }
    let proxy = &lending.variables["HTTPS_PROXY"];
    assert!(!proxy.contains("pass") && proxy.contains(&format!(":{}", lending.port)), "{proxy}");
}
