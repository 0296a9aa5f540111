//! A protected resource on loopback: answers whoever shows a credential that is accepted, challenges everybody
//! else (RFC 6750 §3), and keeps every request for the test to look at.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::http::{Answer, Request, Server};

/// A running API.
pub struct ProtectedResource {
    server: Server,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl ProtectedResource {
    /// Accepts requests whose `header` has a value that `accepts` likes. Of `authorization`, that is
    /// what follows `Bearer `.
    pub fn start(header: &str, accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, header) = (Arc::clone(&requests), header.to_lowercase());
        let server = Server::start(move |request| {
            seen.lock().unwrap().push(request.clone());
            let shown = request.header(&header).unwrap_or("");
            let credential = match header.as_str() {
                "authorization" => shown.strip_prefix("Bearer ").unwrap_or(""),
                _ => shown,
            };
            if !credential.is_empty() && accepts(credential) {
                return Answer::json(200, &json!({ "path": request.path }));
            }
            let why = if shown.is_empty() { "" } else { " error=\"invalid_token\"" };
            Answer::json(401, &json!({ "message": "no" }))
                .header("www-authenticate", &format!("Bearer{why}"))
        });
        Self { server, requests }
    }

    pub fn origin(&self) -> String {
        self.server.origin()
    }

    /// The requests so far, refused ones included.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}
