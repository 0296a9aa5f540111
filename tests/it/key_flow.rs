//! Keys that a provider gives to the person's browser: for a code with PKCE, or while authctl asks whether the
//! person is done. Both are data of the provider.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use crate::support::browser;
use crate::support::flows::{found, random};
use crate::support::http::{Answer, Request, Server};
#[cfg(unix)]
use crate::support::pty::Terminal;
#[cfg(unix)]
use crate::support::sandbox::AUTHCTL;
use crate::support::sandbox::{Output, Running, Sandbox};

// --------------------------------------------------------------------------- a code for a key

/// A page that gives codes and an endpoint that gives keys, as OpenRouter has them.
struct KeyServer {
    server: Server,
    requests: Arc<Mutex<Vec<Request>>>,
    key: String,
    code: String,
}

impl KeyServer {
    fn start() -> Self {
        Self::answering(|good| good)
    }

    /// The same with another answer to a good exchange.
    fn answering(answer: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Self {
        let (key, code) = (random("sk-or"), random("code"));
        let requests = Arc::new(Mutex::new(Vec::<Request>::new()));
        let (seen, good_key, good_code) = (Arc::clone(&requests), key.clone(), code.clone());
        let challenge = Mutex::new(String::new());
        let server = Server::start(move |request| {
            seen.lock().unwrap().push(request.clone());
            let query: BTreeMap<_, _> = request.query.iter().cloned().collect();
            match (request.method.as_str(), request.path.as_str()) {
                ("GET", "/auth") => {
                    assert_eq!(query["code_challenge_method"], "S256");
                    challenge.lock().unwrap().clone_from(&query["code_challenge"]);
                    let mut back = Url::parse(&query["callback_url"]).unwrap();
                    back.query_pairs_mut().append_pair("code", &good_code);
                    Answer::empty(302).header("location", back.as_str())
                }
                ("POST", "/keys") => {
                    let body: Value = serde_json::from_slice(&request.body).unwrap();
                    let verifier = body["code_verifier"].as_str().unwrap();
                    let hash = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
                    let is_right = body["code"] == good_code.as_str()
                        && body["code_challenge_method"] == "S256"
                        && URL_SAFE_NO_PAD.encode(hash) == *challenge.lock().unwrap();
                    if is_right {
                        return answer(Answer::json(200, &json!({ "key": good_key })));
                    }
                    let said = "Invalid code or code_verifier";
                    Answer::json(403, &json!({ "error": { "code": 403, "message": said } }))
                }
                _ => Answer::empty(404),
            }
        });
        Self { server, requests, key, code }
    }

    fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new();
        let origin = self.server.origin();
        sandbox.write_config(&format!(
            "[provider.router.api_key]\nvariables = [\"ROUTER_KEY\"]\n\
             [provider.router.api_key.pkce]\npage = \"{origin}/auth\"\nexchange = \"{origin}/keys\"\n\
             parameters = {{ key_label = \"authctl\" }}\n"
        ));
        sandbox
    }

    fn exchanges(&self) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.path == "/keys").count()
    }
}

#[test]
fn browser_echo_prints_the_address_of_a_key_flow_too() {
    let keys = KeyServer::start();
    let mut sandbox = keys.sandbox();
    sandbox.env("BROWSER", "echo");
    let running = sandbox.start(sandbox.command(["login", "router"]));
    let printed = || running.stdout().lines().next().map(str::to_owned);
    let url = crate::support::eventually("the address on stdout", printed);
    browser::open(&url);
    assert_eq!(running.finish().success(), format!("{url}\n"));
    assert_eq!(sandbox.run(["token", "router"]).success().trim_end(), keys.key);
}

/// Over SSH the callback stays where the browser is; a person carries its address.
#[cfg(unix)]
#[test]
fn the_callback_is_pasted_where_it_cannot_arrive() {
    const PROMPT: &str = "Address or code (not shown): ";
    let server = KeyServer::start();
    let mut sandbox = server.sandbox();
    sandbox.unset("BROWSER").env("SSH_TTY", "/dev/pts/9");
    let mut shell = sandbox.program("sh");
    shell.args(["-c", &format!("stty echo; '{AUTHCTL}' login router; stty -a")]);
    let mut terminal = Terminal::start(shell);
    let shown = terminal.expect(PROMPT);
    let page = shown.split_whitespace().find(|word| word.contains("/auth?")).unwrap();
    let ended_at = browser::get(&Url::parse(page).unwrap()).header("location").unwrap().to_owned();
    terminal.send_line("http://localhost:1/elsewhere?code=c");
    terminal.expect("is not the address where the browser ended");
    terminal.expect(PROMPT);
    terminal.send_line(&ended_at);
    let shown = terminal.rest();
    assert!(shown.contains("Signed in to router") && shown.contains(" icanon "), "{shown}");
    assert!(!shown.contains(&server.code), "{shown}");
    assert_eq!(sandbox.run(["token", "router"]).success().trim_end(), server.key);

    // Nobody could bring it here.
    let stderr = sandbox.run(["login", "router:work"]).failure(4);
    assert!(stderr.contains("hint: authctl login router:work --with-key < FILE"), "{stderr}");
    assert_eq!(server.exchanges(), 1);
}

fn login(sandbox: &Sandbox, flags: &[&str]) -> Output {
    let (running, url) = started(sandbox, flags);
    browser::open(url.as_str());
    running.finish()
}

/// A login that waits for its browser, and the page that this was sent to.
fn started(sandbox: &Sandbox, flags: &[&str]) -> (Running, Url) {
    let mut running = sandbox.start(sandbox.command([&["login", "router"], flags].concat()));
    let url = running.opened_url();
    (running, Url::parse(&url).unwrap())
}

fn callback(page: &Url) -> Url {
    let callback = page.query_pairs().find(|(name, _)| name == "callback_url").unwrap().1;
    Url::parse(&callback).unwrap()
}

/// The callback with another query.
fn forged(page: &Url, query: &str) -> Url {
    let mut url = callback(page);
    url.set_query(Some(query));
    url
}

fn nothing_stored(sandbox: &Sandbox) {
    let status = sandbox.run(["status"]).success();
    assert!(status.contains("Nothing is stored"), "{status}");
}

#[test]
fn a_code_from_the_browser_becomes_a_key() {
    let server = KeyServer::start();
    let sandbox = server.sandbox();
    for flags in [&[][..], &["--browser"]] {
        let output = login(&sandbox, flags);
        assert!(!output.stderr.contains(&server.key), "{output:?}");
        output.success();
    }
    let exec = ["exec", "--with", "router", "--", "sh", "-c", "printf %s \"$ROUTER_KEY\""];
    assert_eq!(sandbox.run(exec).success(), server.key);
    let entry = &sandbox.run(["status", "--json"]).json()["credentials"][0];
    assert_eq!((&entry["kind"], &entry["expires_at"]), (&json!("api_key"), &Value::Null));

    let pages: Vec<Url> =
        sandbox.opened_urls().iter().map(|url| Url::parse(url).unwrap()).collect();
    let [first, second] = &pages[..] else { panic!("{pages:?}") };
    assert!(first.query().unwrap().contains("key_label=authctl"), "{first}");
    // 128 bits that nobody can guess, new each time.
    let [path, other] = [first, second].map(|page| callback(page).path().to_owned());
    assert!(path.len() > 22 && path != other, "{path} {other}");
    assert_eq!(callback(first).host_str(), Some("localhost"));
}

#[test]
fn a_pasted_key_is_still_a_way() {
    let server = KeyServer::start();
    let sandbox = server.sandbox();
    sandbox.run_with_input(["login", "router", "--with-key"], "sk-or-pasted").success();
    assert_eq!(sandbox.run(["token", "router"]).success(), "sk-or-pasted\n");
    assert!(sandbox.opened_urls().is_empty());
}

#[test]
fn a_forged_callback_neither_ends_nor_completes_the_login() {
    let server = KeyServer::start();
    let sandbox = server.sandbox();
    let (running, page) = started(&sandbox, &[]);
    for path in ["/", "/callback", "/done", &format!("{}x", callback(&page).path())] {
        let mut url = forged(&page, "code=evil");
        url.set_path(path);
        assert_eq!(browser::get(&url).status, 404, "{path}");
    }
    let mut bare = callback(&page);
    bare.set_query(None);
    assert_eq!(browser::get(&bare).status, 404);
    browser::open(page.as_str());
    running.finish().success();
    assert_eq!(sandbox.run(["token", "router"]).success().trim_end(), server.key);
    assert_eq!(server.exchanges(), 1);
}

#[test]
fn a_code_that_somebody_else_was_given_is_worthless() {
    let server = KeyServer::start();
    let sandbox = server.sandbox();
    let (running, page) = started(&sandbox, &[]);
    // Even whoever learned the path: the code was made for another challenge.
    browser::open(forged(&page, &format!("code={}", server.code)).as_str());
    let stderr = running.finish().failure(1);
    assert!(stderr.contains("Invalid code or code_verifier"), "{stderr}");
    assert!(!stderr.contains(&server.code), "{stderr}");
    nothing_stored(&sandbox);
}

#[test]
fn an_answer_of_the_page_that_is_no_code_is_told_apart() {
    for (query, words) in [
        ("error=access_denied", "access was denied"),
        ("error=server_error&error_description=no%1b%5B31m", "server_error"),
        ("code=a&code=b", "more than once"),
        ("code=", "no code"),
        ("other=1", "no code"),
    ] {
        let server = KeyServer::start();
        let sandbox = server.sandbox();
        let (running, page) = started(&sandbox, &[]);
        let shown = browser::open(forged(&page, query).as_str());
        assert!(shown.body.contains("Nothing was stored"), "{shown:?}");
        let stderr = running.finish().failure(1);
        assert!(stderr.contains(words) && !stderr.contains('\u{1b}'), "{query}: {stderr}");
        assert!(stderr.contains("hint: authctl login router"), "{stderr}");
        nothing_stored(&sandbox);
        assert_eq!(server.exchanges(), 0);
    }
}

#[test]
fn an_exchange_that_brings_no_key_stores_nothing() {
    let json = |text: &str| Answer::new(200, "application/json", text);
    for (answer, code, words) in [
        (Answer::new(200, "text/html", "<html>sk-or-1</html>"), 1, "a web page"),
        (json("{}"), 1, "it has no key"),
        (json(r#"{"key":""}"#), 1, "it has no key"),
        (json(r#"{"key":["sk-or-1"]}"#), 1, "key is not a text"),
        (json(r#"{"key":"sk-or-1\n"}"#), 1, "control character"),
        (json(r#"{"key":"sk-or-1","key":"b"}"#), 1, "repeats the key"),
        (Answer::empty(302).header("location", "http://127.0.0.1:1/"), 1, "never followed"),
        (Answer::empty(503), 75, "cannot answer now"),
        (Answer::HangUp, 75, "broke"),
    ] {
        let server = KeyServer::answering(move |_| answer.clone());
        let sandbox = server.sandbox();
        let stderr = login(&sandbox, &[]).failure(code);
        assert!(stderr.contains(words) && !stderr.contains("sk-or-1"), "{words}: {stderr}");
        nothing_stored(&sandbox);
    }
}

// ------------------------------------------------------------------------- browser, then poll

/// A server with sessions; each question to the exchange brings the next of its answers, the last one
/// again and again.
struct SessionServer {
    server: Server,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl SessionServer {
    fn start(session: Value, ready: Vec<Answer>, exchanges: Vec<Answer>) -> Self {
        let requests = Arc::new(Mutex::new(Vec::<Request>::new()));
        let seen = Arc::clone(&requests);
        let answers = Mutex::new((ready, exchanges));
        let server = Server::start(move |request| {
            seen.lock().unwrap().push(request.clone());
            let next = |answers: &mut Vec<Answer>| {
                if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
            };
            let mut answers = answers.lock().unwrap();
            match (request.method.as_str(), request.path.as_str()) {
                ("POST", "/sessions") => {
                    let host = request.header("host").unwrap();
                    let text = session.to_string().replace("{o}", &format!("http://{host}"));
                    Answer::new(201, "application/json", text)
                }
                ("GET", "/sessions/s%201%2F") => next(&mut answers.0),
                ("POST", "/sessions/s%201%2F/exchange") => next(&mut answers.1),
                _ => Answer::empty(404),
            }
        });
        Self { server, requests }
    }

    /// Signs in with `lines` in the poll table, beside those that every such table has.
    fn login(&self, lines: &str) -> (Sandbox, Output) {
        let sandbox = Sandbox::new();
        let origin = self.server.origin();
        sandbox.write_config(&format!(
            "[provider.shop.bearer]\nvariables = [\"SHOP_TOKEN\"]\n\
             [provider.shop.bearer.poll]\nstart = \"{origin}/sessions\"\n\
             exchange = \"{origin}/sessions/{{id}}/exchange\"\nanswer = \"secretKey\"\ninterval = 1\n{}\n",
            lines.replace("{o}", &origin)
        ));
        let output = sandbox.run(["login", "shop"]);
        (sandbox, output)
    }

    fn asked(&self, path: &str) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.path.ends_with(path)).cloned().collect()
    }
}

fn session() -> Value {
    json!({ "id": "s 1/", "authUrl": "{o}/page?session=1", "pollToken": "poll-token-1" })
}

fn good() -> Answer {
    Answer::json(200, &json!({ "status": "complete", "secretKey": "sk-shop-1" }))
}

const OWN_PAGE: &str = "page = \"{authUrl}\"\nbearer = \"pollToken\"";

#[test]
fn a_session_is_asked_until_it_gives_the_key() {
    let pending = Answer::json(200, &json!({ "status": "pending" }));
    let exchanges = vec![Answer::empty(202), Answer::empty(409), pending, good()];
    let server = SessionServer::start(session(), vec![], exchanges);
    let (sandbox, output) = server.login(OWN_PAGE);
    let shown = format!("{}{}", output.stdout, output.stderr);
    output.success();
    let page = format!("{}/page?session=1", server.server.origin());
    assert_eq!(sandbox.opened_urls(), [page]);
    assert_eq!(sandbox.run(["token", "shop"]).success(), "sk-shop-1\n");
    let asked = server.asked("/exchange");
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|r| r.header("authorization") == Some("Bearer poll-token-1")));
    let secrets = ["poll-token-1", "sk-shop-1"].map(str::to_owned);
    assert_eq!(found(&secrets, shown.as_bytes()), Vec::<String>::new());
}

#[test]
fn a_ticket_is_exchanged_once_it_was_authorized() {
    let authorized = |yes: bool| Answer::json(200, &json!({ "id": "s 1/", "authorized": yes }));
    let ready = vec![authorized(false), authorized(true)];
    let server = SessionServer::start(json!({ "id": "s 1/" }), ready, vec![good()]);
    let lines = "page = \"{o}/authorize?response_type=ticket&ticket={id}\"\n\
                 ready = \"{o}/sessions/{id}\"\nuntil = \"authorized\"";
    let (sandbox, output) = server.login(lines);
    output.success();
    let page = format!("{}/authorize?response_type=ticket&ticket=s%201%2F", server.server.origin());
    assert_eq!(sandbox.opened_urls(), [page]);
    assert_eq!((server.asked("%2F").len(), server.asked("/exchange").len()), (2, 1));
}

#[test]
fn an_outage_is_waited_out() {
    let exchanges = vec![Answer::empty(503), Answer::HangUp, good()];
    let server = SessionServer::start(session(), vec![], exchanges);
    let (_, output) = server.login(OWN_PAGE);
    assert!(output.stderr.contains("trying again"), "{output:?}");
    output.success();
}

#[test]
fn a_session_that_ends_without_a_key_stores_nothing() {
    let status = |word: &str| Answer::json(200, &json!({ "status": word, "who": "poll-token-1" }));
    let quoting = json!({ "error": "no", "message": "poll-token-1 is not known" });
    for (answer, words) in [
        (status("expired"), "ended before it was confirmed"),
        (status("cancelled"), "access was denied"),
        (status("odd"), "its status is odd"),
        (Answer::json(200, &json!({})), "it has no secretKey"),
        (Answer::json(200, &json!({ "secretKey": "two words" })), "blank"),
        (Answer::json(403, &quoting), "[secret] is not known"),
        (Answer::empty(404), "HTTP 404"),
        (Answer::new(200, "text/html", "<html>"), "a web page"),
    ] {
        let server = SessionServer::start(session(), vec![], vec![answer]);
        let (sandbox, output) = server.login(OWN_PAGE);
        let stderr = output.failure(1);
        assert!(stderr.contains(words) && !stderr.contains("poll-token-1"), "{words}: {stderr}");
        nothing_stored(&sandbox);
        assert_eq!(server.asked("/exchange").len(), 1);
    }
}

#[test]
fn a_session_that_cannot_be_used_opens_no_browser() {
    let with = |member: &str, value: Value| {
        let mut session = session();
        session[member] = value;
        session
    };
    for (session, words) in [
        (with("authUrl", json!("javascript:alert(1)")), "page"),
        (with("authUrl", json!("http://example.com/")), "not https"),
        (with("authUrl", json!("https://u:p@example.com/")), "user name or password"),
        (with("authUrl", json!("file:///etc/passwd")), "page"),
        (with("authUrl", Value::Null), "it has no authUrl"),
        (json!([]), "no JSON object"),
        (json!({ "error": "maintenance" }), "maintenance"),
    ] {
        let server = SessionServer::start(session, vec![], vec![good()]);
        let (sandbox, output) = server.login(OWN_PAGE);
        let stderr = output.failure(1);
        assert!(stderr.contains(words), "{words}: {stderr}");
        assert!(sandbox.opened_urls().is_empty());
    }
    for id in [json!(".."), json!(""), json!(7)] {
        let server = SessionServer::start(with("id", id), vec![], vec![good()]);
        let (sandbox, output) = server.login(OWN_PAGE);
        assert!(output.failure(1).contains("id"));
        nothing_stored(&sandbox);
        assert!(server.asked("/exchange").is_empty());
    }
}
