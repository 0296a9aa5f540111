//! A scripted authorization server on loopback: RFC 6749 with PKCE (7636), metadata (8414 and OpenID
//! Connect), device grant (8628), registration (7591), revocation (7009), `iss` (9207), resource
//! indicators (8707), rotation of refresh tokens with reuse detection (9700 §4.14.2).
//!
//! Routes, each an [`Endpoint`]:
//!
//! ```text
//! GET  /.well-known/oauth-authorization-server, /.well-known/openid-configuration
//! GET  /authorize    says yes at once and redirects
//! POST /token        authorization_code, refresh_token, device_code, client_credentials
//! POST /device       GET /device: the person says yes
//! POST /register     POST /revoke
//! ```
//!
//! It checks every parameter. What a conforming client would never send is a complaint, and a test
//! that ends with a complaint fails.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

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
    Device,
    Register,
    Revoke,
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
    /// Whatever is made of the request, which is not carried out.
    Answer(fn(&Request) -> Answer),
}

/// How the server behaves as long as nothing is scripted.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Life of an access token, in seconds; `None` leaves `expires_in` out.
    pub expires_in: Option<u64>,
    /// `expires_in` as a JSON string.
    pub expires_in_as_text: bool,
    /// Whether the first answer has a refresh token.
    pub gives_refresh_token: bool,
    /// Whether a refresh brings a new refresh token; the old one is dead then, and its use ends the
    /// whole family.
    pub rotates: bool,
    /// Errors come with status 200, as GitHub sends them.
    pub errors_as_200: bool,
    /// The `iss` of the redirect: our own, another's, none.
    pub redirect_issuer: RedirectIssuer,
    /// The redirect carries another `state`.
    pub forges_state: bool,
    /// The person says no.
    pub denies: bool,
    /// Codes of polls that come before the device is approved.
    pub device_answers: VecDeque<&'static str>,
    /// Seconds between polls.
    pub interval: u64,
    /// Whether device codes are approved without anybody at `/device`.
    pub approves_devices: bool,
    /// The resource indicator that every request must name.
    pub resource: Option<String>,
    /// Scopes granted instead of those asked for.
    pub grants_scopes: Option<String>,
    /// Changes the metadata before it is sent.
    pub edit_metadata: fn(&mut Value),
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
    requests: Vec<(Endpoint, Request)>,
    complaints: Vec<String>,
    clients: HashMap<String, Client>,
    codes: HashMap<String, Code>,
    devices: HashMap<String, Device>,
    families: Vec<Family>,
    issued: u64,
    reuses: usize,
}

/// An authorization code and what it is bound to.
struct Code {
    client: String,
    redirect_uri: String,
    challenge: String,
    scope: String,
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
    revoked: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            expires_in: Some(3600),
            expires_in_as_text: false,
            gives_refresh_token: true,
            rotates: true,
            errors_as_200: false,
            redirect_issuer: RedirectIssuer::Own,
            forges_state: false,
            denies: false,
            device_answers: VecDeque::new(),
            interval: 1,
            approves_devices: true,
            resource: None,
            grants_scopes: None,
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

    /// Whether this access token would be accepted now.
    pub fn accepts(&self, token: &str) -> bool {
        lock(&self.state).accepts(token)
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
        state.faults.get_mut(&endpoint).and_then(VecDeque::pop_front)
    };
    let carry_out = || lock(state).carry_out(endpoint, request);
    match fault {
        None => carry_out(),
        Some(Fault::Delay(time)) => {
            thread::sleep(time);
            carry_out()
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
        Some(Fault::Answer(answer)) => answer(request),
        Some(Fault::Json(text)) => Answer::new(200, "application/json", text),
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
        ("GET" | "POST", "/device") => Endpoint::Device,
        ("POST", "/register") => Endpoint::Register,
        ("POST", "/revoke") => Endpoint::Revoke,
        _ => return None,
    })
}

impl State {
    fn carry_out(&mut self, endpoint: Endpoint, request: &Request) -> Answer {
        match endpoint {
            Endpoint::Metadata => Answer::json(200, &self.metadata()),
            Endpoint::Authorize => self.authorize(&request.query),
            Endpoint::Token => {
                let answer = self.token(request);
                self.token_answer(answer)
            }
            Endpoint::Device if request.method == "GET" => self.approve(&request.query),
            Endpoint::Device => {
                let answer = self.device(request);
                self.token_answer(answer)
            }
            Endpoint::Register => self.registration(request),
            Endpoint::Revoke => self.revoke(request),
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

    /// RFC 6749 §4.1.1, as the browser sends it.
    fn authorize(&mut self, query: &[(String, String)]) -> Answer {
        self.check_unique("authorize", query);
        let get = |name| parameter(query, name);
        let redirect_uri = get("redirect_uri");
        let client = self.clients.get(&get("client_id")).cloned();
        let Some(client) = client.filter(|client| client.allows(&redirect_uri)) else {
            self.complain(format!("authorize: client {:?}, {redirect_uri:?}", get("client_id")));
            return Answer::new(400, "text/plain", "unknown client or redirect URI");
        };
        drop(client);
        self.check_authorization_request(query);
        let code = self.secret("code");
        let mut back = url::Url::parse(&redirect_uri).unwrap();
        {
            let mut pairs = back.query_pairs_mut();
            if self.rules.denies {
                pairs.append_pair("error", "access_denied");
            } else {
                pairs.append_pair("code", &code);
            }
            let state = if self.rules.forges_state { "forged".to_owned() } else { get("state") };
            pairs.append_pair("state", &state);
            match &self.rules.redirect_issuer {
                RedirectIssuer::Own => pairs.append_pair("iss", &self.issuer),
                RedirectIssuer::Other(issuer) => pairs.append_pair("iss", issuer),
                RedirectIssuer::Missing => &mut pairs,
            };
        }
        let code_is_for = Code {
            client: get("client_id"),
            redirect_uri,
            challenge: get("code_challenge"),
            scope: get("scope"),
        };
        self.codes.insert(code, code_is_for);
        Answer::empty(302).header("location", back.as_str())
    }

    fn check_authorization_request(&mut self, query: &[(String, String)]) {
        let get = |name| parameter(query, name);
        let rules = [
            ("response_type is code", get("response_type") == "code"),
            ("code_challenge_method is S256", get("code_challenge_method") == "S256"),
            // RFC 7636 §4.2: SHA-256 in base64url.
            ("code_challenge has 43 characters", get("code_challenge").len() == 43),
            // 128 bits in base64url.
            ("state has at least 22 characters", get("state").len() >= 22),
            ("no client_secret", get("client_secret").is_empty()),
            ("no code_verifier", get("code_verifier").is_empty()),
        ];
        for (rule, holds) in rules {
            if !holds {
                self.complain(format!("authorize: not true that {rule}"));
            }
        }
        self.check_resource("authorize", query);
    }

    fn token(&mut self, request: &Request) -> Result<Value, Refusal> {
        let form = request.form();
        self.check_unique("token", &form);
        if request.header("content-type") != Some("application/x-www-form-urlencoded") {
            self.complain(format!("token: content type {:?}", request.header("content-type")));
        }
        if request.header("accept") != Some("application/json") {
            self.complain(format!("token: accept {:?}", request.header("accept")));
        }
        let client = self.authenticate(request, &form)?;
        match parameter(&form, "grant_type").as_str() {
            "authorization_code" => self.redeem_code(&client, &form),
            "refresh_token" => self.refresh(&client, &form),
            "client_credentials" => self.client_credentials(&client, &form),
            DEVICE_CODE => self.poll(&client, &form),
            other => {
                self.complain(format!("token: grant_type {other:?}"));
                Err(Refusal(400, "unsupported_grant_type"))
            }
        }
    }

    /// RFC 6749 §2.3.1: Basic with both parts form-encoded, or the body; never both.
    fn authenticate(
        &mut self,
        request: &Request,
        form: &[(String, String)],
    ) -> Result<String, Refusal> {
        let in_body = (parameter(form, "client_id"), parameter(form, "client_secret"));
        let (id, secret) = match request.header("authorization") {
            None => in_body,
            Some(header) => {
                if !in_body.1.is_empty() {
                    self.complain("token: a client secret in two places".into());
                }
                basic(header).ok_or(Refusal(401, "invalid_client"))?
            }
        };
        match self.clients.get(&id) {
            Some(client) if client.secret.clone().unwrap_or_default() == secret => Ok(id),
            _ => Err(Refusal(401, "invalid_client")),
        }
    }

    fn redeem_code(&mut self, client: &str, form: &[(String, String)]) -> Result<Value, Refusal> {
        self.check_resource("token", form);
        let invalid = Refusal(400, "invalid_grant");
        // A code is good for one use, also for a failed one.
        let Some(code) = self.codes.remove(&parameter(form, "code")) else {
            self.complain("token: an unknown or used code".into());
            return Err(invalid);
        };
        let verifier = parameter(form, "code_verifier");
        let hash = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
        let is_right = code.client == client
            && code.redirect_uri == parameter(form, "redirect_uri")
            && (43..=128).contains(&verifier.len())
            && code.challenge == URL_SAFE_NO_PAD.encode(hash);
        if !is_right {
            self.complain("token: a code with the wrong client, redirect URI or verifier".into());
            return Err(invalid);
        }
        Ok(self.grant(client, &code.scope, self.rules.gives_refresh_token))
    }

    fn client_credentials(
        &mut self,
        client: &str,
        form: &[(String, String)],
    ) -> Result<Value, Refusal> {
        self.check_resource("token", form);
        if self.clients[client].secret.is_none() {
            return Err(Refusal(400, "unauthorized_client"));
        }
        // RFC 6749 §4.4.3: no refresh token.
        Ok(self.grant(client, &parameter(form, "scope"), false))
    }

    fn refresh(&mut self, client: &str, form: &[(String, String)]) -> Result<Value, Refusal> {
        self.check_resource("token", form);
        let token = parameter(form, "refresh_token");
        let holder = self.families.iter().position(|family| family.refresh.contains(&token));
        let Some(index) = holder.filter(|index| self.families[*index].client == client) else {
            return Err(Refusal(400, "invalid_grant"));
        };
        if self.families[index].refresh.last() != Some(&token) {
            self.reuses += 1;
            self.families[index].revoked = true;
        }
        if self.families[index].revoked {
            return Err(Refusal(400, "invalid_grant"));
        }
        let rotates = self.rules.rotates;
        Ok(self.issue(index, rotates))
    }

    /// RFC 8628 §3.5.
    fn poll(&mut self, client: &str, form: &[(String, String)]) -> Result<Value, Refusal> {
        let device_code = parameter(form, "device_code");
        let approves = self.rules.approves_devices;
        let Some(device) = self.devices.get_mut(&device_code).filter(|d| d.client == client) else {
            return Err(Refusal(400, "invalid_grant"));
        };
        let since = device.last_poll.replace(Instant::now()).map(|last| last.elapsed());
        if since.is_some_and(|since| since < device.interval) {
            let interval = device.interval;
            self.complain(format!("token: polled after {since:?}, not {interval:?}"));
            return Err(Refusal(400, "slow_down"));
        }
        if let Some(code) = self.rules.device_answers.pop_front() {
            if code == "slow_down" {
                device.interval += Duration::from_secs(5);
            }
            return Err(Refusal(400, code));
        }
        if !device.approved && !approves {
            return Err(Refusal(400, "authorization_pending"));
        }
        let scope = device.scope.clone();
        self.devices.remove(&device_code);
        Ok(self.grant(client, &scope, self.rules.gives_refresh_token))
    }

    /// RFC 8628 §3.1.
    fn device(&mut self, request: &Request) -> Result<Value, Refusal> {
        let form = request.form();
        self.check_unique("device", &form);
        self.check_resource("device", &form);
        let client = self.authenticate(request, &form)?;
        let device_code = self.secret("device");
        let user_code = format!("WDJB-{:04}", self.issued);
        let interval = Duration::from_secs(self.rules.interval);
        let device = Device {
            client,
            user_code: user_code.clone(),
            scope: parameter(&form, "scope"),
            approved: false,
            last_poll: None,
            interval,
        };
        self.devices.insert(device_code.clone(), device);
        let page = format!("{}/device", self.issuer);
        Ok(json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={user_code}"),
            "expires_in": 600,
            "interval": self.rules.interval,
        }))
    }

    /// What the person does at `verification_uri`.
    fn approve(&mut self, query: &[(String, String)]) -> Answer {
        let user_code = parameter(query, "user_code");
        match self.devices.values_mut().find(|device| device.user_code == user_code) {
            Some(device) => {
                device.approved = true;
                Answer::new(200, "text/plain", "You may close this page.")
            }
            None => Answer::new(404, "text/plain", "No such code."),
        }
    }

    /// RFC 7591 §3.1.
    fn registration(&mut self, request: &Request) -> Answer {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let texts = |name: &str| -> Vec<String> {
            let values = asked[name].as_array().into_iter().flatten();
            values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let redirect_uris = texts("redirect_uris");
        if redirect_uris.is_empty() || asked["client_name"].as_str().is_none() {
            self.complain(format!("register: {asked}"));
            return Answer::json(400, &json!({ "error": "invalid_client_metadata" }));
        }
        let id = format!("client-{}", self.clients.len() + 1);
        let method = asked["token_endpoint_auth_method"].as_str().unwrap_or("client_secret_basic");
        let secret = (method != "none").then(|| self.secret("client-secret"));
        let mut answer = json!({
            "client_id": id,
            "redirect_uris": redirect_uris,
            "grant_types": texts("grant_types"),
            "token_endpoint_auth_method": method,
        });
        if let Some(secret) = &secret {
            answer["client_secret"] = json!(secret);
            answer["client_secret_expires_at"] = json!(0);
        }
        self.clients.insert(id, Client { secret, redirect_uris });
        Answer::json(201, &answer)
    }

    /// RFC 7009 §2.1: the tokens of the whole grant go; an unknown token is no error.
    fn revoke(&mut self, request: &Request) -> Answer {
        let form = request.form();
        self.check_unique("revoke", &form);
        if let Err(Refusal(status, code)) = self.authenticate(request, &form) {
            return Answer::json(status, &json!({ "error": code }));
        }
        let token = parameter(&form, "token");
        for family in &mut self.families {
            if family.refresh.contains(&token) || family.access.iter().any(|(t, _)| *t == token) {
                family.revoked = true;
            }
        }
        Answer::empty(200)
    }

    // -------------------------------------------------------------------------------------- tokens

    fn grant(&mut self, client: &str, scope: &str, with_refresh_token: bool) -> Value {
        let scope = self.rules.grants_scopes.clone().unwrap_or_else(|| scope.to_owned());
        self.families.push(Family {
            client: client.into(),
            scope,
            access: Vec::new(),
            refresh: Vec::new(),
            revoked: false,
        });
        self.issue(self.families.len() - 1, with_refresh_token)
    }

    /// RFC 6749 §5.1.
    fn issue(&mut self, family: usize, with_refresh_token: bool) -> Value {
        let access = self.secret("access");
        let refresh = with_refresh_token.then(|| self.secret("refresh"));
        let life = self.rules.expires_in;
        let family = &mut self.families[family];
        let end = life.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        family.access.push((access.clone(), end));
        family.refresh.extend(refresh.clone());
        let mut answer = json!({ "access_token": access, "token_type": "Bearer" });
        if let Some(seconds) = life {
            let as_text = self.rules.expires_in_as_text;
            answer["expires_in"] =
                if as_text { json!(seconds.to_string()) } else { json!(seconds) };
        }
        if let Some(refresh) = refresh {
            answer["refresh_token"] = json!(refresh);
        }
        if !family.scope.is_empty() {
            answer["scope"] = json!(family.scope);
        }
        answer
    }

    fn accepts(&self, token: &str) -> bool {
        let lives = |(other, end): &(String, Option<Instant>)| {
            other == token && end.is_none_or(|end| Instant::now() < end)
        };
        self.families.iter().any(|family| !family.revoked && family.access.iter().any(lives))
    }

    /// A value that no other run and no other place of this one has.
    fn secret(&mut self, kind: &str) -> String {
        self.issued += 1;
        let mut random = [0; 24];
        getrandom::fill(&mut random).unwrap();
        format!("{kind}-{}-{}", self.issued, URL_SAFE_NO_PAD.encode(random))
    }

    fn token_answer(&self, answer: Result<Value, Refusal>) -> Answer {
        let answer = match answer {
            Ok(answer) => Answer::json(200, &answer),
            Err(Refusal(status, code)) => {
                let status = if self.rules.errors_as_200 { 200 } else { status };
                let description = format!("refused: {code}");
                Answer::json(status, &json!({ "error": code, "error_description": description }))
            }
        };
        answer.header("cache-control", "no-store")
    }

    // -------------------------------------------------------------------------------------- checks

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

impl Client {
    fn allows(&self, redirect_uri: &str) -> bool {
        let Ok(uri) = url::Url::parse(redirect_uri) else { return false };
        let is_loopback = uri.scheme() == "http"
            && matches!(uri.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        let is_known = self.redirect_uris.is_empty()
            || self.redirect_uris.iter().any(|known| known == redirect_uri);
        is_loopback && is_known
    }
}

/// The value of a parameter, or nothing.
fn parameter(parameters: &[(String, String)], name: &str) -> String {
    let found = parameters.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// Name and password of a Basic header, each form-decoded.
fn basic(header: &str) -> Option<(String, String)> {
    let text = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |part: &str| super::http::pairs(format!("x={part}").as_bytes())[0].1.clone();
    Some((decode(id), decode(secret)))
}
