//! The address of a server, and how one message is posted to it (Streamable HTTP).

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use super::{Connected, Failure, Hello, Link, MODERN, Pending, Sink, era};
use crate::forward::{Broker, Forward, Method, Outgoing};
use crate::http::Exchange;

/// How long a server may take to begin an answer, in a call that a person may be part of.
const HEAD_WAIT: Duration = Duration::from_secs(600);

/// The way to one server.
pub struct Endpoint {
    pub url: Url,
    pub forward: Forward,
}

/// Headers of one POST beside those that all have.
#[derive(Debug, Default, Clone)]
pub struct Headers {
    pub version: Option<String>,
    pub session: Option<String>,
    /// Made at run time: `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*`.
    pub named: Vec<(String, String)>,
}

impl Headers {
    pub fn modern() -> Self {
        Self { version: Some(MODERN.to_owned()), ..Self::default() }
    }

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
        self.send(Method::Post, headers, "application/json, text/event-stream", Vec::new(), body)
            .await
    }

    /// Opens the server's own stream, from `last_id` on where one was cut.
    pub async fn listen(
        &self,
        headers: &Headers,
        last_id: Option<&str>,
    ) -> Result<Exchange, Failure> {
        let last = last_id.map(|id| ("last-event-id", id.to_owned())).into_iter().collect();
        self.send(Method::Get, headers, "text/event-stream", last, "").await
    }

    /// Ends a session.
    pub async fn delete(&self, headers: &Headers) -> Result<Exchange, Failure> {
        self.send(Method::Delete, headers, "application/json", Vec::new(), "").await
    }

    async fn send(
        &self,
        method: Method,
        headers: &Headers,
        accept: &str,
        more: Vec<(&'static str, String)>,
        body: &str,
    ) -> Result<Exchange, Failure> {
        let mut fixed = headers.fixed(accept);
        fixed.extend(more);
        let named = headers.named.clone();
        let outgoing = Outgoing { method, url: &self.url, headers: fixed, named, body };
        match timeout(HEAD_WAIT, self.forward.send(&outgoing)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::failed(format!("{} did not answer in time", self.host()))),
        }
    }

    /// For messages.
    pub fn host(&self) -> String {
        crate::http::host_of(&self.url)
    }
}

impl Link for Rc<Endpoint> {
    fn connect<'a>(
        &'a self,
        hello: &'a Hello,
        sink: Sink,
    ) -> Pending<'a, Result<Connected, Failure>> {
        Box::pin(era::connect(self.clone(), hello, sink))
    }

    fn broker(&self) -> &Broker {
        &self.forward.broker
    }

    fn url(&self) -> &Url {
        &self.url
    }

    fn title(&self) -> String {
        self.host()
    }
}
