//! A server of one era, until it proves to be of the other: one that is remembered may have learned or forgotten
//! the modern revision, and one that runs may be replaced in the middle of a session.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::meta::Client;
use super::{Era, Failure, LEGACY_VERSIONS, MODERN, Pending, Server};
use crate::jsonrpc::{INVALID_REQUEST, Message};

/// How often a server that has proved what it is may be doubted.
const BETWEEN_DOUBTS: Duration = Duration::from_mins(1);
/// What servers with a handshake say to those who did not shake hands.
const NO_SESSION: i64 = -32_000;

/// A server, and its era.
pub type Met = (Era, Rc<dyn Server>);

/// How a server is asked what it is.
pub trait Way {
    /// Its era, and the server, ready for the next request.
    fn asked(&self) -> Pending<'_, Result<Met, Failure>>;
}

/// A server that is taken for what it was or said.
pub struct Assumed {
    way: Rc<dyn Way>,
    era: Cell<Era>,
    server: RefCell<Rc<dyn Server>>,
    is_proved: Cell<bool>,
    asked_at: Cell<Option<Instant>>,
    /// Held by the one who asks anew.
    doubt: Mutex<()>,
}

impl Assumed {
    /// One that has just said so itself, or else has yet to prove it.
    pub fn new(way: Rc<dyn Way>, era: Era, server: Rc<dyn Server>, is_proved: bool) -> Rc<Self> {
        Rc::new(Self {
            way,
            era: Cell::new(era),
            server: RefCell::new(server),
            is_proved: Cell::new(is_proved),
            asked_at: Cell::default(),
            doubt: Mutex::default(),
        })
    }

    fn server(&self) -> Rc<dyn Server> {
        self.server.borrow().clone()
    }

    async fn ask(&self, request: &Message, aside: &dyn Fn(Message)) -> Result<Message, Failure> {
        let server = self.server();
        let outcome = server.request(request, aside).await;
        if matches!(&outcome, Err(failure) if failure.is_of_credential()) {
            return outcome;
        }
        if !self.is_proved.get() && outcome.as_ref().is_ok_and(|it| !it.is_error() || is_modern(it))
        {
            self.is_proved.set(true);
            return outcome;
        }
        let is_of_ours = Client::of(request).version == MODERN;
        let is_doubted =
            !self.is_proved.get() || (is_of_ours && is_strange(self.era.get(), &outcome));
        if is_doubted && self.has_turned(&server).await? {
            return self.server().request(request, aside).await;
        }
        outcome
    }

    /// Whether the server is of another era than `before` was for, and is spoken to so now. One that has proved
    /// what it is, is asked once in a while.
    async fn has_turned(&self, before: &Rc<dyn Server>) -> Result<bool, Failure> {
        let _turn = self.doubt.lock().await;
        let was_proved = self.is_proved.get();
        let is_recent = |asked: Instant| asked.elapsed() < BETWEEN_DOUBTS;
        if !(was_proved && self.asked_at.get().is_some_and(is_recent)) {
            self.asked_at.set(Some(Instant::now()));
            match self.way.asked().await {
                Ok((era, server)) if era != self.era.replace(era) => {
                    *self.server.borrow_mut() = server;
                }
                // What it said before stands.
                Err(failure) if !was_proved => return Err(failure),
                _ => {}
            }
            self.is_proved.set(true);
        }
        Ok(!Rc::ptr_eq(before, &self.server()))
    }
}

/// Whether only a server of the other era says so.
fn is_strange(era: Era, outcome: &Result<Message, Failure>) -> bool {
    let (Ok(error) | Err(Failure::Error(error))) = outcome else { return false };
    match era {
        _ if !error.is_error() => false,
        Era::Legacy => is_modern(error),
        Era::Modern => {
            let code = error.member("error")["code"].as_i64();
            matches!(code, Some(NO_SESSION | INVALID_REQUEST))
        }
    }
}

/// Whether only a modern server answers so. One that names no modern revision has a handshake.
pub fn is_modern(response: &Message) -> bool {
    let response = response.to_value();
    let error = &response["error"];
    match error["code"].as_i64() {
        Some(-32_022) => {
            let supported = strings(&error["data"]["supported"]);
            !supported.iter().all(|version| LEGACY_VERSIONS.contains(&version.as_str()))
                || supported.is_empty()
        }
        Some(-32_021 | -32_020) => true,
        _ => response["result"]["supportedVersions"].is_array(),
    }
}

/// The texts of a list.
pub fn strings(value: &Value) -> Vec<String> {
    let values = value.as_array().into_iter().flatten();
    values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

impl Server for Assumed {
    fn request<'a>(
        &'a self,
        request: &'a Message,
        aside: &'a dyn Fn(Message),
    ) -> Pending<'a, Result<Message, Failure>> {
        Box::pin(self.ask(request, aside))
    }

    fn tell<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<(), Failure>> {
        let server = self.server();
        Box::pin(async move { server.tell(message).await })
    }

    fn close(&self) -> Pending<'_, ()> {
        let server = self.server();
        Box::pin(async move { server.close().await })
    }
}
