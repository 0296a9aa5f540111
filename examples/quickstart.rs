//! The main job, offline and for real: `cargo run --example quickstart`.
//!
//! Starts an authorization server and an API that wants its tokens, both on loopback, then runs authctl as a
//! person would: sign in through the browser's redirect, look at what is kept, run a program with
//! a fresh token in its environment, sign out. The program and the person's browser are this
//! example too. Everything is kept in a temporary directory that is removed at the end.
#![expect(clippy::print_stdout, reason = "it is there to be read")]

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tiny_http::{Header, Method, Request, Response, Server};
use url::Url;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    match std::env::args().nth(1) {
        Some(api) => agent(&api),
        None => story(),
    }
}

fn story() -> Outcome {
    let service = Service::start()?;
    let person = Person::new(&service)?;
    println!("An authorization server and a protected API listen on {}.\n", service.issuer);
    println!("Without a credential the API answers: {}\n", get(&service.api(), None)?.status);

    person.sign_in()?;
    person.authctl(&["status"])?;
    let agent = std::env::current_exe()?.display().to_string();
    person.authctl(&["exec", "--with", "demo", "--", &agent, &service.api()])?;
    person.authctl(&["logout", "demo"])
}

/// The program that needs the credential, and knows nothing of authctl.
fn agent(api: &str) -> Outcome {
    let token = std::env::var("DEMO_TOKEN").map_err(|_| "the agent has no DEMO_TOKEN")?;
    let answer = get(api, Some(&token))?;
    println!(
        "the agent called the API with its DEMO_TOKEN and got {}: {}",
        answer.status, answer.body
    );
    if answer.status == 200 { Ok(()) } else { Err("the API refused the agent".into()) }
}

// -------------------------------------------------------------------------------------- the person

/// Someone with an authctl and a home directory of their own.
struct Person {
    authctl: PathBuf,
    home: tempfile::TempDir,
}

impl Person {
    fn new(service: &Service) -> Outcome<Self> {
        let person = Self { authctl: build_authctl()?, home: tempfile::tempdir()? };
        let config = person.home.path().join("config");
        std::fs::create_dir(&config)?;
        std::fs::write(config.join("config.toml"), service.provider())?;
        Ok(person)
    }

    /// Runs authctl with its output on the terminal, after showing its command line.
    fn authctl(&self, arguments: &[&str]) -> Outcome {
        let status = self.command(arguments).status()?;
        println!();
        if status.success() { Ok(()) } else { Err(format!("authctl ended with {status}").into()) }
    }

    /// `authctl login demo`, with the person's part in the browser: follow the URL to the end.
    fn sign_in(&self) -> Outcome {
        let mut login = self.command(&["login", "demo"]).stderr(Stdio::piped()).spawn()?;
        let talk = login.stderr.take().ok_or("no stderr")?;
        let mut browser = None;
        for line in BufReader::new(talk).lines() {
            let line = line?;
            println!("{line}");
            if let Some(at) =
                line.find("http").filter(|_| line.contains("/authorize?") && browser.is_none())
            {
                let url = line[at..].split_whitespace().next().unwrap_or_default().to_owned();
                browser = Some(std::thread::spawn(move || browse(&url)));
            }
        }
        let page = browser
            .ok_or("authctl showed no URL")?
            .join()
            .map_err(|_| "the browser fell over")??;
        println!("(the browser ended at {page})\n");
        let status = login.wait()?;
        if status.success() { Ok(()) } else { Err(format!("authctl ended with {status}").into()) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let shown = arguments
            .iter()
            .map(|text| text.rsplit('/').next().filter(|_| text.starts_with('/')).unwrap_or(text));
        println!("$ authctl {}", shown.collect::<Vec<_>>().join(" "));
        let mut command = Command::new(&self.authctl);
        let at = |name| self.home.path().join(name);
        command
            .args(arguments)
            .env("HOME", self.home.path())
            .env("AUTHCTL_CONFIG_DIR", at("config"))
            .env("AUTHCTL_DATA_DIR", at("data"))
            .env("AUTHCTL_STATE_DIR", at("state"))
            .env("AUTHCTL_LOCK_DIR", at("locks"))
            .env("AUTHCTL_STORE", "file")
            .env("BROWSER", "echo"); // the person's browser is `browse`
        command
    }
}

/// Follows redirects from `url` as a browser does; the address of the last page.
fn browse(url: &str) -> Outcome<String> {
    let mut url = Url::parse(url)?;
    for _ in 0..5 {
        let answer = get(url.as_str(), None)?;
        match answer.location {
            Some(location) => url = url.join(&location)?,
            None if answer.status == 200 => return Ok(url.to_string()),
            None => return Err(format!("{} answered {}", url.path(), answer.status).into()),
        }
    }
    Err("too many redirects".into())
}

/// The binary beside this example, built first if need be.
fn build_authctl() -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--bin", "authctl", "--manifest-path"]);
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    if !build.status()?.success() {
        return Err("cannot build authctl".into());
    }
    let example = std::env::current_exe()?;
    let directory = example.parent().and_then(Path::parent).ok_or("no target directory")?;
    Ok(directory.join(format!("authctl{}", std::env::consts::EXE_SUFFIX)))
}

// -------------------------------------------------------------------------------- the two servers

/// An authorization server (RFC 6749, 7591, 7636, 8414; refresh tokens rotate) and, on the same port, the API at `/hello`.
struct Service {
    issuer: String,
}

#[derive(Default)]
struct Issued {
    /// Code → code_challenge; a code is good once.
    codes: HashMap<String, String>,
    access_tokens: HashSet<String>,
    refresh_tokens: HashSet<String>,
}

impl Service {
    fn start() -> Outcome<Self> {
        let server = Server::http("127.0.0.1:0")?;
        let issuer = format!("http://{}", server.server_addr());
        let server = Arc::new(server);
        let base = issuer.clone();
        std::thread::spawn(move || {
            let mut granted = Issued::default();
            for request in server.incoming_requests() {
                // A client that went away is its own affair.
                let _ = granted.answer(&base, request);
            }
        });
        Ok(Self { issuer })
    }

    fn api(&self) -> String {
        format!("{}/hello", self.issuer)
    }

    /// What the person writes into `config.toml`.
    fn provider(&self) -> String {
        include_str!("quickstart.toml").replace("ISSUER", &self.issuer)
    }
}

impl Issued {
    fn answer(&mut self, issuer: &str, mut request: Request) -> std::io::Result<()> {
        let mut form = String::new();
        request.as_reader().take(10_000).read_to_string(&mut form)?;
        let url = format!("{issuer}{}", request.url());
        let Ok(url) = Url::parse(&url) else {
            return request.respond(Response::empty(400));
        };
        match (request.method(), url.path()) {
            (Method::Get, "/.well-known/oauth-authorization-server") => {
                reply(request, 200, &metadata(issuer))
            }
            (Method::Post, "/register") => reply(request, 201, &registration(&form)),
            (Method::Get, "/authorize") => self.authorize(&url, request),
            (Method::Post, "/token") => {
                let (status, body) = self.token(&fields(&form));
                reply(request, status, &body)
            }
            (Method::Post, "/revoke") => {
                self.revoke(&fields(&form));
                reply(request, 200, &json!({}))
            }
            (Method::Get, "/hello") => self.hello(request),
            _ => request.respond(Response::empty(404)),
        }
    }

    /// The person is signed in here already and agrees at once (RFC 6749 §4.1.2).
    fn authorize(&mut self, url: &Url, request: Request) -> std::io::Result<()> {
        let query = fields(url.query().unwrap_or_default());
        let value = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let Ok(mut redirect) = Url::parse(value("redirect_uri")) else {
            return request.respond(Response::empty(400));
        };
        let code = random();
        self.codes.insert(code.clone(), value("code_challenge").to_owned());
        redirect.query_pairs_mut().append_pair("code", &code).append_pair("state", value("state"));
        request.respond(Response::empty(302).with_header(header("Location", redirect.as_str())))
    }

    fn token(&mut self, form: &HashMap<String, String>) -> (u16, Value) {
        let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let good = match value("grant_type") {
            "authorization_code" => self
                .codes
                .remove(value("code"))
                .is_some_and(|c| c == challenge(value("code_verifier"))),
            "refresh_token" => self.refresh_tokens.remove(value("refresh_token")),
            _ => return (400, json!({ "error": "unsupported_grant_type" })),
        };
        if !good {
            return (400, json!({ "error": "invalid_grant" }));
        }
        let (access_token, refresh_token) = (random(), random());
        self.access_tokens.insert(access_token.clone());
        self.refresh_tokens.insert(refresh_token.clone());
        let answer = json!({
            "access_token": access_token, "token_type": "Bearer", "expires_in": 3600,
            "refresh_token": refresh_token,
        });
        (200, answer)
    }

    /// One person, one grant: with its refresh token everything ends (RFC 7009 §2.1).
    fn revoke(&mut self, form: &HashMap<String, String>) {
        let token = form.get("token").map(String::as_str).unwrap_or_default();
        if self.refresh_tokens.remove(token) {
            self.access_tokens.clear();
        }
        self.access_tokens.remove(token);
    }

    fn hello(&self, request: Request) -> std::io::Result<()> {
        let authorization =
            request.headers().iter().find(|header| header.field.equiv("Authorization"));
        let token = authorization.and_then(|header| header.value.as_str().strip_prefix("Bearer "));
        if token.is_some_and(|token| self.access_tokens.contains(token)) {
            return reply(request, 200, &json!({ "hello": "authorized caller" }));
        }
        request.respond(Response::empty(401).with_header(header("WWW-Authenticate", "Bearer")))
    }
}

fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
    })
}

/// Registers whoever asks, as asked, without a secret (RFC 7591 §3.2.1).
fn registration(request: &str) -> Value {
    let mut client: Value = serde_json::from_str(request).unwrap_or_default();
    client["client_id"] = json!(random());
    client["token_endpoint_auth_method"] = json!("none");
    client
}

fn reply(request: Request, status: u16, body: &Value) -> std::io::Result<()> {
    let response = Response::from_string(body.to_string()).with_status_code(status);
    request.respond(response.with_header(header("Content-Type", "application/json")))
}

#[expect(clippy::expect_used, reason = "names and values are written by this file or a parsed URL")]
fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("a header")
}

fn fields(form: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()))
}

#[expect(clippy::expect_used, reason = "a system without random numbers cannot go on")]
fn random() -> String {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).expect("random numbers");
    URL_SAFE_NO_PAD.encode(bytes)
}

// ------------------------------------------------------------------------------------------- HTTP

struct Answer {
    status: u16,
    location: Option<String>,
    body: String,
}

/// `GET` over plain HTTP, as much of it as loopback needs.
fn get(url: &str, token: Option<&str>) -> Outcome<Answer> {
    let url = Url::parse(url)?;
    let host = url.host_str().ok_or("no host")?;
    let address = format!("{host}:{}", url.port_or_known_default().ok_or("no port")?);
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let authorization =
        token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let mut stream = TcpStream::connect(&address)?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{authorization}\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("not HTTP")?;
    let mut lines = head.lines();
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("no status")?.parse()?;
    let location = lines
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("location"))
        .map(|(_, value)| value.to_owned());
    Ok(Answer { status, location, body: body.to_owned() })
}
