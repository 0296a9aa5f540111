//! The address of a server, and how one message is posted to it (Streamable HTTP).

use std::time::Duration;

use url::Url;

use super::{Failure, Known};
use crate::forward::{Forward, Method, Outgoing};
use crate::http::Exchange;

/// The way to one server.
pub struct Endpoint {
    pub url: Url,
    /// What `authctl login` is given to sign in to it.
    pub login_name: String,
    pub forward: Forward,
    pub known: Known,
    /// How long it may leave a request without a word.
    pub patience: Duration,
}

/// What is special about the requests of one kind or session.
#[derive(Debug, Default, Clone)]
pub struct Headers {
    /// Where messages go, if not to the server's own address (HTTP+SSE).
    pub to: Option<Url>,
    pub version: Option<String>,
    pub session: Option<String>,
    /// Made at run time: `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*`.
    pub named: Vec<(String, String)>,
}

impl Headers {
    fn fixed(&self, accept: &str) -> Vec<(&'static str, String)> {
        let mut fixed = vec![("accept", accept.to_owned())];
        fixed.extend(self.version.clone().map(|version| ("mcp-protocol-version", version)));
        fixed.extend(self.session.clone().map(|session| ("mcp-session-id", session)));
        fixed
    }
}

impl Endpoint {
    /// Posts one message.
    pub async fn post(&self, headers: &Headers, body: &str) -> Result<Exchange, Failure> {
        let accept = "application/json, text/event-stream";
        let patience = Some(self.patience);
        self.send(Method::Post, headers, accept, Vec::new(), body, patience).await
    }

    /// Opens the server's own stream, from `last_id` on where one was cut. Some servers answer only once they
    /// have something to say, so this waits without an end.
    pub async fn listen(
        &self,
        headers: &Headers,
        last_id: Option<&str>,
    ) -> Result<Exchange, Failure> {
        let last = last_id.map(|id| ("last-event-id", id.to_owned())).into_iter().collect();
        self.send(Method::Get, headers, "text/event-stream", last, "", None).await
    }

    /// Ends a session.
    pub async fn delete(&self, headers: &Headers) -> Result<Exchange, Failure> {
        self.send(Method::Delete, headers, "application/json", Vec::new(), "", None).await
    }

    async fn send(
        &self,
        method: Method,
        headers: &Headers,
        accept: &str,
        more: Vec<(&'static str, String)>,
        body: &str,
        patience: Option<Duration>,
    ) -> Result<Exchange, Failure> {
        let mut fixed = headers.fixed(accept);
        fixed.extend(more);
        let named = headers.named.clone();
        let url = headers.to.as_ref().unwrap_or(&self.url);
        let outgoing = Outgoing { method, url, headers: fixed, named, body, patience };
        Ok(self.forward.send(&outgoing).await?)
    }

    /// It was waited for in vain.
    pub fn silent(&self) -> Failure {
        let waited = self.patience.as_secs();
        Failure::failed(format!("{} said nothing for {waited} s", self.host()))
    }

    /// For messages.
    pub fn host(&self) -> String {
        crate::http::host_of(&self.url)
    }
}
