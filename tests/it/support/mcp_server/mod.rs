//! A small MCP server on loopback (Streamable HTTP of 2025-11-25, stateless) that says "log in" in any of the
//! ways that real servers have, in JSON or in event streams, and keeps every request.
//!
//! ```text
//! let server = McpServer::start(Gate::Tool, Mode::Sse);
//! // run a bridge on server.url(); its tools are `build_creative` and `list_formats`
//! server.rotate();                    // from now on only server.token() is good
//! server.follow_link();               // what a person does with Gate::{HttpLink, LinkError, …}
//! server.calls("tools/call");         // every such message, refused ones included
//! ```
//!
//! Good is the token of [`McpServer::token`], or what [`McpServer::trust`] was told, in
//! `Authorization: Bearer` or else in `x-adcp-auth`. Where a link is the gate, following it is as good as a
//! token. Routes: `/mcp`, `/oauth/authorize` (the link), and `/.well-known/oauth-protected-resource/mcp`
//! once there is an issuer.

mod refusal;

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::http::{Answer, Request, Server};

/// Revisions that it knows; others are a 400.
const REVISIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

/// Who is kept out, and what they hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Everything is open; a good token adds the tool `private_notes` (Hugging Face, Exa).
    None,
    /// 401 to everything, with a challenge; `resource_metadata` in it once there is an issuer (AdCP).
    Http,
    /// 401 to everything, as plain text without a challenge (the gateway's newest).
    HttpBare,
    /// 401 to everything, with `authorization_url` in its body.
    HttpLink,
    /// `AUTH_REQUIRED` as the result of every call but `get_adcp_capabilities`, status 200.
    Tool,
    /// The same as text alone.
    ToolText,
    /// The same for `build_creative` alone; `list_formats` is open.
    Handler,
    /// `isError` with "not authorized" in prose.
    Prose,
    /// Error -32603 with a markdown link.
    LinkError,
    /// One tool, `authorize`, whose result is the link. The rest appears once it was followed.
    AuthorizeTool,
    /// Error -32042 with an elicitation of mode url.
    ElicitationError,
    /// `AUTHORIZATION_REQUIRED` with the link, also to good tokens.
    Connection,
    /// 401 without a good token; 403 `insufficient_scope` for calls until [`McpServer::widen`].
    Scope,
}

/// How answers to requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Json,
    Sse,
}

/// A running server.
pub struct McpServer {
    server: Server,
    state: Arc<Mutex<State>>,
}

type Trust = Box<dyn Fn(&str) -> bool + Send>;

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
struct State {
    gate: Gate,
    mode: Mode,
    origin: String,
    token: String,
    rotations: usize,
    trust: Option<Trust>,
    issuer: Option<String>,
    scope: String,
    is_wide: bool,
    /// Each refusal for want of a scope names another one.
    is_greedy: bool,
    link: String,
    is_followed: bool,
    /// `notifications/tools/list_changed` goes ahead of the next answer in a stream.
    is_changed: bool,
    is_adcp_3_1: bool,
    requests: Vec<Request>,
    last_reply: String,
}

/// What a request showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Bad,
    Good,
}

impl McpServer {
    pub fn start(gate: Gate, mode: Mode) -> Self {
        let state = State {
            gate,
            mode,
            origin: String::new(),
            token: "good-token-0".into(),
            rotations: 0,
            trust: None,
            issuer: None,
            scope: "creative".into(),
            is_wide: false,
            is_greedy: false,
            link: String::new(),
            is_followed: false,
            is_changed: false,
            is_adcp_3_1: false,
            requests: Vec::new(),
            last_reply: String::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let own = Arc::clone(&state);
        let server = Server::start(move |request| own.lock().unwrap().answer(request));
        let started = Self { server, state };
        let origin = started.server.origin();
        started.state().link =
            format!("{origin}/oauth/authorize?mcp_session=498d4287-a059-4b5f-8ed7-6be9f488f608");
        started.state().origin = origin;
        started
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The endpoint: `http://127.0.0.1:PORT/mcp`
    pub fn url(&self) -> String {
        format!("{}/mcp", self.server.origin())
    }

    /// The token that is good now.
    pub fn token(&self) -> String {
        self.state().token.clone()
    }

    /// Another token is good from now on, and is returned.
    pub fn rotate(&self) -> String {
        let mut state = self.state();
        state.rotations += 1;
        state.token = format!("good-token-{}", state.rotations);
        state.token.clone()
    }

    /// Judges tokens by `good` instead: `server.trust(authorization_server.introspection())`.
    pub fn trust(&self, good: impl Fn(&str) -> bool + Send + 'static) {
        self.state().trust = Some(Box::new(good));
    }

    /// Names the authorization server in metadata of the resource, and the metadata in challenges.
    pub fn issue_from(&self, issuer: &str) {
        self.state().issuer = Some(issuer.into());
    }

    /// The scopes that challenges ask for.
    pub fn demand_scope(&self, scope: &str) {
        self.state().scope = scope.into();
    }

    /// Tokens have scope enough from now on ([`Gate::Scope`]).
    pub fn widen(&self) {
        self.state().is_wide = true;
    }

    /// Each refusal names a new scope from now on ([`Gate::Scope`]).
    pub fn be_greedy(&self) {
        self.state().is_greedy = true;
    }

    /// Another gate from now on; links are to be followed anew.
    pub fn close(&self, gate: Gate) {
        let mut state = self.state();
        (state.gate, state.is_followed) = (gate, false);
    }

    /// AdCP's codes of 3.1 from now on: `AUTH_MISSING` and `AUTH_INVALID`.
    pub fn speak_adcp_3_1(&self) {
        self.state().is_adcp_3_1 = true;
    }

    /// Hands out this link instead of its own: a foreign one, say.
    pub fn hand_out(&self, link: &str) {
        self.state().link = link.into();
    }

    /// The link that it hands out.
    pub fn link(&self) -> String {
        self.state().link.clone()
    }

    /// What a person does: opens the link, and says yes.
    pub fn follow_link(&self) {
        let page = super::browser::open(&self.link());
        assert_eq!(page.status, 200, "{page:?}");
    }

    /// Whether the link was opened, by whomever.
    pub fn is_followed(&self) -> bool {
        self.state().is_followed
    }

    /// The last JSON-RPC response, as it went out.
    pub fn last_reply(&self) -> String {
        self.state().last_reply.clone()
    }

    /// Every HTTP request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Keeps no request so far.
    pub fn forget(&self) {
        self.state().requests.clear();
    }

    /// Every JSON-RPC message with this method so far, in order.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let requests = self.requests();
        let bodies = requests.iter().filter_map(|it| serde_json::from_slice(&it.body).ok());
        bodies.filter(|message: &Value| message["method"] == method).collect()
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        self.requests.push(request.clone());
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/oauth/authorize") => self.follow(),
            ("GET", "/.well-known/oauth-protected-resource/mcp") => self.metadata(),
            (_, "/mcp") => self.endpoint(request),
            _ => Answer::empty(404),
        }
    }

    fn follow(&mut self) -> Answer {
        (self.is_followed, self.is_changed) = (true, self.gate == Gate::AuthorizeTool);
        Answer::new(200, "text/html", "<title>Authorization Complete</title>")
    }

    /// RFC 9728.
    fn metadata(&self) -> Answer {
        let Some(issuer) = &self.issuer else { return Answer::empty(404) };
        let resource = format!("{}/mcp", self.origin);
        Answer::json(
            200,
            &json!({
                "resource": resource,
                "authorization_servers": [issuer],
                "scopes_supported": [self.scope],
                "bearer_methods_supported": ["header"],
            }),
        )
    }

    fn endpoint(&mut self, request: &Request) -> Answer {
        let shown = self.shown(request);
        if let Some(refusal) = self.refuse_http(shown) {
            return refusal;
        }
        if request.method != "POST" {
            return Answer::empty(405).header("allow", "POST");
        }
        if let Some(refusal) = unfit(request) {
            return refusal;
        }
        let Ok(message) = serde_json::from_slice::<Value>(&request.body) else {
            let error = json!({ "code": -32700, "message": "Parse error" });
            return Answer::json(400, &json!({ "jsonrpc": "2.0", "id": null, "error": error }));
        };
        let is_call = message["method"] == "tools/call";
        if is_call && self.gate == Gate::Scope && !self.is_wide {
            if self.is_greedy {
                self.scope = format!("more-{}", self.requests.len());
            }
            return self.insufficient_scope();
        }
        if message.get("id").is_none() {
            return Answer::empty(202);
        }
        let mut reply = self.reply(&message, shown);
        reply["jsonrpc"] = json!("2.0");
        reply["id"] = message["id"].clone();
        self.last_reply = reply.to_string();
        self.send(&reply)
    }

    /// In the server's mode.
    fn send(&mut self, reply: &Value) -> Answer {
        if self.mode == Mode::Json {
            return Answer::json(200, reply);
        }
        let changed =
            json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }).to_string();
        let ahead = std::mem::take(&mut self.is_changed).then_some(changed);
        let events = ahead.into_iter().chain([reply.to_string()]);
        let events = events.map(|data| format!("event: message\ndata: {data}\n\n"));
        Answer::new(200, "text/event-stream", events.collect::<Vec<_>>().concat())
            .header("cache-control", "no-cache")
    }

    fn shown(&self, request: &Request) -> Shown {
        let bearer = request.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
        match bearer.or_else(|| request.header("x-adcp-auth")) {
            None => Shown::Nothing,
            Some(token) if self.is_good(token) => Shown::Good,
            Some(_) => Shown::Bad,
        }
    }

    fn is_good(&self, token: &str) -> bool {
        match &self.trust {
            Some(trust) => trust(token),
            None => token == self.token,
        }
    }

    /// `result` or `error` of the answer to a request.
    fn reply(&self, message: &Value, shown: Shown) -> Value {
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({ "result": {
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": { "listChanged": true } },
                "serverInfo": { "name": "fake", "version": "1" },
            } }),
            "ping" => json!({ "result": {} }),
            "tools/list" => json!({ "result": { "tools": self.tools(shown) } }),
            "tools/call" => self.call(parameters, shown),
            _ => json!({ "error": { "code": -32601, "message": "Method not found" } }),
        }
    }

    fn tools(&self, shown: Shown) -> Vec<Value> {
        let mut names = vec!["build_creative", "list_formats", "get_adcp_capabilities"];
        if self.gate == Gate::None && shown == Shown::Good {
            names.push("private_notes");
        }
        if self.gate == Gate::AuthorizeTool && !self.is_followed && shown != Shown::Good {
            names = vec!["authorize"];
        }
        let schema = json!({ "type": "object" });
        let tool = |name| json!({ "name": name, "description": name, "inputSchema": schema });
        names.into_iter().map(tool).collect()
    }

    fn call(&self, parameters: &Value, shown: Shown) -> Value {
        let tool = parameters["name"].as_str().unwrap_or_default();
        if let Some(refusal) = self.refuse_call(tool, shown) {
            return refusal;
        }
        if !self.tools(shown).iter().any(|known| known["name"] == tool) {
            let message = format!("Tool not found: {tool}");
            return json!({ "error": { "code": -32602, "message": message } });
        }
        json!({ "result": {
            "content": [{ "type": "text", "text": format!("{tool} is done") }],
            "structuredContent": { "tool": tool, "arguments": parameters["arguments"] },
        } })
    }
}

/// What the transport itself refuses.
fn unfit(request: &Request) -> Option<Answer> {
    let accept = request.header("accept").unwrap_or_default();
    if !accept.contains("application/json") || !accept.contains("text/event-stream") {
        return Some(Answer::empty(406));
    }
    let revision = request.header("mcp-protocol-version");
    if revision.is_some_and(|revision| !REVISIONS.contains(&revision)) {
        let error =
            json!({ "code": -32000, "message": "Bad Request: Unsupported protocol version" });
        return Some(Answer::json(400, &json!({ "jsonrpc": "2.0", "id": null, "error": error })));
    }
    None
}
