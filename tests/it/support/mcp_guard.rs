//! An MCP server on loopback as far as signing in goes: refuses whoever shows no token that it takes, and
//! publishes whatever documents a test gives it. Keeps every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{Answer, Request, Server};

/// Its endpoint.
pub const ENDPOINT: &str = "/mcp";
/// RFC 9728 §3.1, for the endpoint and for the whole host.
pub const OF_PATH: &str = "/.well-known/oauth-protected-resource/mcp";
pub const OF_HOST: &str = "/.well-known/oauth-protected-resource";

pub struct McpServer {
    server: Server,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    requests: Vec<Request>,
    /// By path.
    documents: HashMap<String, Answer>,
    /// `WWW-Authenticate` headers of the refusal.
    challenges: Vec<String>,
    is_open: bool,
}

impl McpServer {
    /// Refuses everybody with `Bearer`, and publishes nothing.
    pub fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let seen = Arc::clone(&shared);
        let server = Server::start(move |request| seen.lock().unwrap().answer(request));
        shared.lock().unwrap().challenges = vec!["Bearer".to_owned()];
        Self { server, shared }
    }

    /// The same with metadata at the place for its endpoint, for these authorization servers.
    pub fn of(issuers: &[&str]) -> Self {
        let server = Self::start();
        server.publish(OF_PATH, &server.metadata(issuers, &json!({})));
        server
    }

    pub fn origin(&self) -> String {
        self.server.origin()
    }

    pub fn url(&self) -> String {
        format!("{}{ENDPOINT}", self.origin())
    }

    /// Metadata that names the endpoint, with further or other members.
    pub fn metadata(&self, issuers: &[&str], members: &Value) -> Value {
        let mut document = json!({ "resource": self.url(), "authorization_servers": issuers });
        for (name, value) in members.as_object().unwrap() {
            document[name] = value.clone();
        }
        document
    }

    pub fn publish(&self, path: &str, document: &Value) {
        self.answer(path, Answer::json(200, document));
    }

    pub fn answer(&self, path: &str, answer: Answer) {
        self.shared.lock().unwrap().documents.insert(path.to_owned(), answer);
    }

    /// Refuses with these headers from now on.
    pub fn challenge(&self, headers: &[&str]) {
        self.shared.lock().unwrap().challenges = headers.iter().map(ToString::to_string).collect();
    }

    /// Lets everybody in.
    pub fn open(&self) {
        self.shared.lock().unwrap().is_open = true;
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().unwrap().requests.clone()
    }

    /// The paths that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.requests().into_iter().map(|it| format!("{} {}", it.method, it.path)).collect()
    }
}

impl Shared {
    fn answer(&mut self, request: &Request) -> Answer {
        self.requests.push(request.clone());
        if let Some(document) = self.documents.get(&request.path) {
            return document.clone();
        }
        match request.path.as_str() {
            ENDPOINT if self.is_open => Answer::json(200, &json!({})),
            ENDPOINT => self.challenges.iter().fold(Answer::empty(401), |answer, challenge| {
                answer.header("www-authenticate", challenge)
            }),
            _ => Answer::empty(404),
        }
    }
}
