//! Streamable HTTP of 2025-03-26 to 2025-11-25: a handshake, a session, and a stream of the server's own.

use std::cell::RefCell;
use std::rc::Rc;

use super::answer::{self, Answer};
use super::endpoint::{Endpoint, Headers};
use super::{Failure, LEGACY, Pending, Server, Sink};
use crate::http::Exchange;
use crate::jsonrpc::{Id, Kind, Message};

/// A session with a server, in the words of its host.
pub struct Legacy {
    endpoint: Rc<Endpoint>,
    headers: RefCell<Headers>,
    sink: Sink,
}

impl Legacy {
    /// Shakes hands with the host's own `initialize`; gives the server's response to it as well.
    pub async fn open(
        endpoint: Rc<Endpoint>,
        hello: &Message,
        sink: Sink,
    ) -> Result<(Rc<Self>, Message), Failure> {
        let session = Rc::new(Self { endpoint, headers: RefCell::default(), sink });
        let greeting = session.shake_hands(hello).await?;
        Ok((session, greeting))
    }

    async fn shake_hands(&self, hello: &Message) -> Result<Message, Failure> {
        let Some(id) = hello.id() else { return Err(Failure::failed("initialize has no id")) };
        let exchange = self.endpoint.post(&Headers::default(), hello.text()).await?;
        let session = exchange.header("mcp-session-id").map(str::to_owned);
        let sink = self.sink.clone();
        let greeting = self.response(exchange, id, &move |message| sink(message)).await?;
        let result = greeting.member("result");
        let version = result["protocolVersion"].as_str().unwrap_or(LEGACY).to_owned();
        *self.headers.borrow_mut() =
            Headers { version: Some(version), session, ..Headers::default() };
        Ok(greeting)
    }

    async fn response(
        &self,
        exchange: Exchange,
        id: &Id,
        aside: &dyn Fn(Message),
    ) -> Result<Message, Failure> {
        let has_session = self.headers.borrow().session.is_some();
        match answer::read(exchange, id, &self.endpoint, aside).await? {
            Answer::Response(message) => Ok(message),
            Answer::Status { status: 404, .. } if has_session => Err(Failure::SessionGone),
            Answer::Status { status, body } => Err(Failure::failed(format!(
                "{} answered HTTP {status}{}",
                self.endpoint.host(),
                if body.is_empty() { String::new() } else { format!(": {body}") }
            ))),
            Answer::Cut(_) => Err(Failure::failed(format!(
                "the connection to {} broke before the response",
                self.endpoint.host()
            ))),
        }
    }

    fn headers(&self) -> Headers {
        self.headers.borrow().clone()
    }
}

impl Server for Legacy {
    fn request<'a>(
        &'a self,
        request: &'a Message,
        aside: &'a dyn Fn(Message),
    ) -> Pending<'a, Result<Message, Failure>> {
        Box::pin(async move {
            let Kind::Request { id, .. } = request.kind() else {
                return Err(Failure::failed("this is no request"));
            };
            let exchange = self.endpoint.post(&self.headers(), request.text()).await?;
            self.response(exchange, id, aside).await
        })
    }

    fn tell<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<(), Failure>> {
        Box::pin(async move {
            let exchange = self.endpoint.post(&self.headers(), message.text()).await?;
            match exchange.status {
                404 if self.headers().session.is_some() => Err(Failure::SessionGone),
                200..300 => Ok(()),
                status => {
                    Err(Failure::failed(format!("{} answered HTTP {status}", self.endpoint.host())))
                }
            }
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let headers = self.headers();
            if headers.session.is_some() {
                let _ = self.endpoint.delete(&headers).await;
            }
        })
    }
}
