//! A scripted authorization server on loopback: RFC 6749 with PKCE (7636), metadata (8414 and OpenID
//! Connect), device grant (8628), registration (7591), revocation (7009), `iss` (9207), resource
//! indicators (8707), rotation of refresh tokens with reuse detection (9700 §4.14.2), pushed authorization
//! requests (9126), tokens bound to a key (9449) for whoever proves one.
//!
//! Routes, each an [`Endpoint`]:
//!
//! ```text
//! GET  /.well-known/oauth-authorization-server, /.well-known/openid-configuration
//! GET  /authorize    says yes at once and redirects
//! POST /token        authorization_code, refresh_token, device_code, client_credentials
//! POST /renew        refresh_token
//! POST /device       GET /device: the person says yes
//! POST /register     POST /revoke     POST /par
//! ANY  /mcp          takes our tokens
//! ```
//!
//! It checks every parameter. What a conforming client would never send is a complaint, and a test
//! that ends with a complaint fails.

mod endpoints;
mod token_endpoint;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;
use super::http::{Answer, Request, Server};

/// A running server.
pub struct AuthorizationServer {
    server: Server,
    state: Arc<Mutex<State>>,
}

/// The places that can be asked, counted and made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Metadata,
    Authorize,
    Token,
    /// `/renew`: refreshes alone, for servers with an address of its own for them.
    Renew,
    Device,
    Register,
    Revoke,
    Push,
    /// `/mcp`: an MCP server that is its own authorization server.
    Resource,
}

/// What the next request to an endpoint meets.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing but time.
    Delay(Duration),
    /// The connection closes before the request is carried out.
    HangUp,
    /// The request is carried out, and its answer is lost.
    LoseAnswer,
    /// The request is carried out, and its answer comes when the test opens the gate.
    Keep(Arc<Gate>),
    /// This status and no body.
    Status(u16),
    /// 503 and `Retry-After`, in seconds.
    RetryAfter(u64),
    /// A web page, as proxies and captive portals send it.
    Html(u16),
    /// An OAuth error (RFC 6749 §5.2), with status 400.
    Error(&'static str),
    /// This text as JSON, with status 200.
    Json(String),
    /// The request is not carried out, and this is the answer.
    Answer(Answer),
    /// The request is not carried out, and whatever this makes of it is the answer.
    Reply(fn(&Request) -> Answer),
    /// The request is carried out, and its answer is changed on its way.
    Twist(Twist),
    /// The request waits at the gate, and is then carried out.
    Wait(Arc<Gate>),
}

/// Changes an answer.
#[derive(Clone)]
pub struct Twist(Arc<dyn Fn(Answer) -> Answer + Send + Sync>);

impl Twist {
    pub fn new(change: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(change))
    }
}

impl std::fmt::Debug for Twist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Twist")
    }
}

/// A place where a request is held until the test lets it go on.
#[derive(Debug, Default)]
pub struct Gate {
    /// Whether the request has come, and whether it may go on.
    state: Mutex<(bool, bool)>,
    change: Condvar,
}

impl Gate {
    /// Waits until the request is here.
    pub fn arrival(&self) {
        self.wait(|(arrived, _)| *arrived);
    }

    pub fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.change.notify_all();
    }

    fn pass(&self) {
        self.state.lock().unwrap().0 = true;
        self.change.notify_all();
        self.wait(|(_, open)| *open);
    }

    fn wait(&self, until: impl Fn(&(bool, bool)) -> bool) {
        let state = self.state.lock().unwrap();
        let waited = self.change.wait_timeout_while(state, PATIENCE, |state| !until(state));
        assert!(!waited.unwrap().1.timed_out(), "a gate nobody came to, or nobody opened");
    }
}

/// How the server behaves as long as nothing is scripted.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct Rules {
    /// Life of an access token, in seconds; `None` leaves `expires_in` out.
    pub expires_in: Option<u64>,
    /// Whether a refresh brings a new refresh token; the old one is dead then, and its use ends the
    /// whole family.
    pub rotates: bool,
    /// How long the refresh token before the last still brings the answer that it brought, as some
    /// servers do for clients that lost it.
    pub grace: Option<Duration>,
    /// How long a token request that was carried out waits for its answer.
    pub held: Duration,
    /// Life of a refresh token in seconds, where the server says it.
    pub refresh_expires_in: Option<u64>,
    /// Errors come with status 200, as GitHub sends them.
    pub errors_as_200: bool,
    /// The `iss` of the redirect: our own, another's, none.
    pub redirect_issuer: RedirectIssuer,
    /// Who is asked at `/authorize` and `/device`.
    pub person: Person,
    /// Codes of polls that come before the device is approved.
    pub device_answers: VecDeque<&'static str>,
    /// Seconds between polls.
    pub interval: u64,
    /// Life of a device code, in seconds.
    pub device_expires_in: u64,
    /// The resource indicator that every request must name.
    pub resource: Option<String>,
    /// Scopes granted instead of those asked for.
    pub grants_scopes: Option<String>,
    /// Plain authorization requests are refused (RFC 9126 §5).
    pub requires_push: bool,
    /// Life of a pushed request, in seconds; 0: it has ended when the browser comes.
    pub request_expires_in: u64,
    /// What a proof of possession must have in it (RFC 9449 §8).
    pub nonce: Option<&'static str>,
    /// What it must have in it after an answer that was no error.
    pub next_nonce: Option<&'static str>,
    /// Whether access tokens are bound to the key that was proved; refresh tokens are in any case.
    pub binds: bool,
    /// Changes the metadata before it is sent.
    pub edit_metadata: fn(&mut Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    SaysYes,
    SaysNo,
    /// Says nothing about a device until [`AuthorizationServer::approve_devices`].
    Waits,
}

#[derive(Debug, Clone)]
pub enum RedirectIssuer {
    Own,
    Other(String),
    Missing,
}

/// A client that the server knows.
#[derive(Debug, Clone)]
pub struct Client {
    pub secret: Option<String>,
    /// Empty: any loopback address.
    pub redirect_uris: Vec<String>,
}

#[derive(Default)]
struct State {
    issuer: String,
    rules: Rules,
    faults: HashMap<Endpoint, VecDeque<Fault>>,
    /// What every request meets for which nothing is scripted.
    standing: HashMap<Endpoint, Fault>,
    requests: Vec<(Endpoint, Request)>,
    complaints: Vec<String>,
    clients: HashMap<String, Client>,
    /// By `request_uri`.
    pushed: HashMap<String, Vec<(String, String)>>,
    /// `jti` of every proof.
    proofs: Vec<String>,
    /// Thumbprint of the key that the request at hand proved.
    proven: Option<String>,
    codes: HashMap<String, Code>,
    devices: HashMap<String, Device>,
    families: Vec<Family>,
    issued: u64,
    reuses: usize,
    /// When the last answer to a token request went out.
    answered: Option<Instant>,
}

/// An authorization code and what it is bound to.
struct Code {
    client: String,
    redirect_uri: String,
    challenge: String,
    scope: String,
    dpop_jkt: String,
}

struct Device {
    client: String,
    user_code: String,
    scope: String,
    approved: bool,
    last_poll: Option<Instant>,
    interval: Duration,
}

/// All tokens that come from one grant.
struct Family {
    client: String,
    scope: String,
    access: Vec<(String, Option<Instant>)>,
    refresh: Vec<String>,
    /// The last answer, and when it was made.
    answer: Option<(Value, Instant)>,
    revoked: bool,
    /// Thumbprint of the key that it is bound to.
    jkt: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            expires_in: Some(3600),
            rotates: true,
            grace: None,
            held: Duration::ZERO,
            refresh_expires_in: None,
            errors_as_200: false,
            redirect_issuer: RedirectIssuer::Own,
            person: Person::SaysYes,
            device_answers: VecDeque::new(),
            interval: 1,
            device_expires_in: 600,
            resource: None,
            grants_scopes: None,
            requires_push: false,
            request_expires_in: 60,
            nonce: None,
            next_nonce: None,
            binds: true,
            edit_metadata: |_| {},
        }
    }
}

// ------------------------------------------------------------------------------------ for the tests

impl AuthorizationServer {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| answer(&shared, request));
        lock(&state).issuer = server.origin();
        Self { server, state }
    }

    /// Also the origin of every endpoint.
    pub fn issuer(&self) -> String {
        lock(&self.state).issuer.clone()
    }

    /// The same for a server that clients reach through something else.
    pub fn be_known_as(&self, origin: &str) {
        origin.clone_into(&mut lock(&self.state).issuer);
    }

    /// Where it listens, whatever it is known as.
    pub fn origin(&self) -> String {
        self.server.origin()
    }

    /// Changes how the server behaves.
    pub fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut lock(&self.state).rules);
    }

    /// What the next request to `endpoint` that has nothing scripted yet will meet.
    pub fn script(&self, endpoint: Endpoint, fault: Fault) {
        lock(&self.state).faults.entry(endpoint).or_default().push_back(fault);
    }

    /// What every request to `endpoint` meets from now on; `None` ends that.
    pub fn always(&self, endpoint: Endpoint, fault: Option<Fault>) {
        let mut state = lock(&self.state);
        match fault {
            Some(fault) => state.standing.insert(endpoint, fault),
            None => state.standing.remove(&endpoint),
        };
    }

    /// Makes a client known, as its owner would on the server's web page.
    pub fn register(&self, id: &str, secret: Option<&str>) {
        let client = Client { secret: secret.map(str::to_owned), redirect_uris: Vec::new() };
        lock(&self.state).clients.insert(id.into(), client);
    }

    /// The requests to `endpoint` so far.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<Request> {
        let state = lock(&self.state);
        let requests = state.requests.iter().filter(|(other, _)| *other == endpoint);
        requests.map(|(_, request)| request.clone()).collect()
    }

    /// How many token requests had this `grant_type`.
    pub fn grants(&self, grant_type: &str) -> usize {
        let is_one = |request: &&Request| parameter(&request.form(), "grant_type") == grant_type;
        self.requests(Endpoint::Token).iter().filter(is_one).count()
    }

    /// How often a refresh token was used after its successor had been given out.
    pub fn reuses(&self) -> usize {
        lock(&self.state).reuses
    }

    /// The refresh token that is good now.
    pub fn refresh_token(&self) -> String {
        lock(&self.state).families.last().unwrap().refresh.last().unwrap().clone()
    }

    /// Takes this refresh token as the good one, whatever was given out after it.
    pub fn reinstate(&self, refresh_token: &str) {
        let mut state = lock(&self.state);
        let family = state.families.last_mut().unwrap();
        family.refresh.push(refresh_token.into());
        family.revoked = false;
    }

    /// When the last answer to a token request went out.
    pub fn answered(&self) -> Option<Instant> {
        lock(&self.state).answered
    }

    /// Waits until every request is done that was ever sent, also by a client that is dead.
    pub fn settle(&self) {
        self.server.settle();
    }

    /// Whether this access token would be accepted now.
    pub fn accepts(&self, token: &str) -> bool {
        lock(&self.state).accepts(token)
    }

    /// The thumbprint of the key that this access token is bound to, while it lives.
    pub fn bindings(&self) -> impl Fn(&str) -> Option<String> + Send + Sync + 'static {
        let state = Arc::clone(&self.state);
        move |token| lock(&state).bound_to(token)
    }

    /// A check that a protected resource can keep.
    pub fn introspection(&self) -> impl Fn(&str) -> bool + Send + Sync + 'static {
        let state = Arc::clone(&self.state);
        move |token| lock(&state).accepts(token)
    }

    /// Every access and refresh token, code and client secret that was ever given out.
    pub fn secrets(&self) -> Vec<String> {
        let state = lock(&self.state);
        let families = state.families.iter();
        let tokens = families.flat_map(|family| {
            family.access.iter().map(|(token, _)| token.clone()).chain(family.refresh.clone())
        });
        let secrets = state.clients.values().filter_map(|client| client.secret.clone());
        tokens.chain(secrets).chain(state.codes.keys().cloned()).collect()
    }

    /// Ends everything that was granted, as an administrator would.
    pub fn revoke_everything(&self) {
        lock(&self.state).families.iter_mut().for_each(|family| family.revoked = true);
    }

    /// The person at the other device says yes to every code that waits.
    pub fn approve_devices(&self) {
        lock(&self.state).devices.values_mut().for_each(|device| device.approved = true);
    }

    /// What no conforming client would have sent, since the last call.
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).complaints)
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.complaints(), Vec::<String>::new(), "complaints of the server");
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

// ------------------------------------------------------------------------------------------ answers

/// A refusal as RFC 6749 §5.2 writes it.
struct Refusal(u16, &'static str);

fn answer(state: &Mutex<State>, request: &Request) -> Answer {
    let Some(endpoint) = endpoint(request) else { return Answer::empty(404) };
    let fault = {
        let mut state = lock(state);
        state.requests.push((endpoint, request.clone()));
        let scripted = state.faults.get_mut(&endpoint).and_then(VecDeque::pop_front);
        scripted.or_else(|| state.standing.get(&endpoint).cloned())
    };
    let carry_out = || lock(state).carry_out(endpoint, request);
    match fault {
        None if endpoint == Endpoint::Token => {
            let answer = carry_out();
            let held = lock(state).rules.held;
            thread::sleep(held);
            lock(state).answered = Some(Instant::now());
            answer
        }
        None => carry_out(),
        Some(Fault::Delay(time)) => {
            thread::sleep(time);
            carry_out()
        }
        Some(Fault::Keep(gate)) => {
            let answer = carry_out();
            gate.pass();
            answer
        }
        Some(Fault::LoseAnswer) => {
            carry_out();
            Answer::HangUp
        }
        Some(Fault::HangUp) => Answer::HangUp,
        Some(Fault::Status(status)) => Answer::empty(status),
        Some(Fault::RetryAfter(seconds)) => {
            Answer::empty(503).header("retry-after", &seconds.to_string())
        }
        Some(Fault::Html(status)) => {
            Answer::new(status, "text/html", "<!doctype html><title>Welcome</title>")
        }
        Some(Fault::Error(code)) => Answer::json(400, &json!({ "error": code })),
        Some(Fault::Json(text)) => Answer::new(200, "application/json", text),
        Some(Fault::Answer(answer)) => answer,
        Some(Fault::Reply(reply)) => reply(request),
        Some(Fault::Twist(Twist(change))) => change(carry_out()),
        Some(Fault::Wait(gate)) => {
            gate.pass();
            carry_out()
        }
    }
}

fn endpoint(request: &Request) -> Option<Endpoint> {
    Some(match (request.method.as_str(), request.path.as_str()) {
        (
            "GET",
            "/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration",
        ) => Endpoint::Metadata,
        ("GET", "/authorize") => Endpoint::Authorize,
        ("POST", "/token") => Endpoint::Token,
        ("POST", "/renew") => Endpoint::Renew,
        ("GET" | "POST", "/device") => Endpoint::Device,
        ("POST", "/register") => Endpoint::Register,
        ("POST", "/revoke") => Endpoint::Revoke,
        ("POST", "/par") => Endpoint::Push,
        (_, "/mcp") => Endpoint::Resource,
        _ => return None,
    })
}

impl State {
    fn carry_out(&mut self, endpoint: Endpoint, request: &Request) -> Answer {
        match endpoint {
            Endpoint::Metadata => Answer::json(200, &self.metadata()),
            Endpoint::Authorize => self.authorize(&request.query),
            Endpoint::Token | Endpoint::Renew => {
                if endpoint == Endpoint::Renew {
                    let grant_type = parameter(&request.form(), "grant_type");
                    if grant_type != "refresh_token" {
                        self.complain(format!("renew: {grant_type:?}"));
                    }
                }
                let answer = self.prove(request).and_then(|()| self.token(request));
                self.token_answer(answer)
            }
            Endpoint::Push => {
                let answer = self.prove(request).and_then(|()| self.push(request));
                self.token_answer(answer)
            }
            Endpoint::Device if request.method == "GET" => self.approve(&request.query),
            Endpoint::Device => {
                let answer = self.device(request);
                self.token_answer(answer)
            }
            Endpoint::Register => self.registration(request),
            Endpoint::Revoke => self.revoke(request),
            Endpoint::Resource => {
                let shown =
                    request.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
                match shown {
                    Some(token) if self.accepts(token) => Answer::json(200, &json!({})),
                    _ => Answer::empty(401).header("www-authenticate", "Bearer"),
                }
            }
        }
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let mut metadata = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "device_authorization_endpoint": at("/device"),
            "registration_endpoint": at("/register"),
            "revocation_endpoint": at("/revoke"),
            "pushed_authorization_request_endpoint": at("/par"),
            "require_pushed_authorization_requests": self.rules.requires_push,
            "dpop_signing_alg_values_supported": ["ES256"],
            "response_types_supported": ["code"],
            "grant_types_supported": [
                "authorization_code", "refresh_token", "client_credentials", DEVICE_CODE,
            ],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        });
        (self.rules.edit_metadata)(&mut metadata);
        metadata
    }

    /// RFC 6749 §3.1, §3.2: no parameter twice.
    fn check_unique(&mut self, place: &str, parameters: &[(String, String)]) {
        for (index, (name, _)) in parameters.iter().enumerate() {
            if parameters[..index].iter().any(|(other, _)| other == name) {
                self.complain(format!("{place}: {name} more than once"));
            }
        }
    }

    /// RFC 8707 §2: the same resource in every request.
    fn check_resource(&mut self, place: &str, parameters: &[(String, String)]) {
        let named = parameter(parameters, "resource");
        if named != self.rules.resource.clone().unwrap_or_default() {
            self.complain(format!("{place}: resource {named:?}"));
        }
    }

    fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }
}

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The value of a parameter, or nothing.
fn parameter(parameters: &[(String, String)], name: &str) -> String {
    let found = parameters.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}
