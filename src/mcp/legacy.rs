//! A server of the legacy era in the words of a host of that era: one session after the other, each begun with
//! what the host itself said at the beginning.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::connection::Connection;
use super::endpoint::Endpoint;
use super::inbox::Inbox;
use super::{Failure, Pending, Server, Sink};
use crate::jsonrpc::{Id, Kind, Message};

const INITIALIZED: &str = "notifications/initialized";

pub struct Legacy {
    /// The host's `initialize`.
    hello: Message,
    /// The host's word that it is done, or ours for a host that never says it.
    initialized: RefCell<Message>,
    connection: RefCell<Rc<Connection>>,
    /// Held by whoever makes the next session; why the last one could not be made, and when.
    renewal: Mutex<Option<(Instant, Failure)>>,
}

impl Legacy {
    /// Shakes hands with the host's own `initialize`; gives the server's response to it as well.
    pub async fn open(
        endpoint: Rc<Endpoint>,
        hello: &Message,
        sink: Sink,
    ) -> Result<(Rc<Self>, Message), Failure> {
        let inbox = Inbox::new(sink);
        let (connection, greeting) = Connection::open(&endpoint, &inbox, hello).await?;
        let server = Rc::new(Self {
            hello: hello.clone(),
            initialized: RefCell::new(Message::notification(INITIALIZED, None)),
            connection: RefCell::new(connection),
            renewal: Mutex::default(),
        });
        Ok((server, greeting))
    }

    fn connection(&self) -> Rc<Connection> {
        self.connection.borrow().clone()
    }

    async fn ask(
        &self,
        connection: &Connection,
        request: &Message,
        id: &Id,
        aside: &dyn Fn(Message),
    ) -> Result<Message, Failure> {
        if !matches!(request.method(), Some("initialize" | "ping")) {
            let initialized = self.initialized.borrow().clone();
            connection.begin(&initialized).await?;
        }
        connection.ask(request, id, aside).await
    }

    /// The session after `old`, which the server has forgotten: made once for all who met that.
    async fn renewed(&self, old: &Rc<Connection>) -> Result<Rc<Connection>, Failure> {
        let asked = Instant::now();
        let mut failed = self.renewal.lock().await;
        let current = self.connection();
        if !Rc::ptr_eq(&current, old) {
            return Ok(current);
        }
        if let Some((when, failure)) = &*failed
            && *when >= asked
        {
            return Err(failure.clone());
        }
        match old.open_again(&self.hello).await {
            Ok((new, _)) => {
                *self.connection.borrow_mut() = new.clone();
                Ok(new)
            }
            Err(failure) => {
                *failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
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
            let connection = self.connection();
            match self.ask(&connection, request, id, aside).await {
                Err(Failure::SessionGone(_)) => {
                    let next = self.renewed(&connection).await?;
                    match self.ask(&next, request, id, aside).await {
                        // The session was not to blame: a request begins one anew once.
                        Err(Failure::SessionGone(Some(error))) => Ok(error),
                        other => other,
                    }
                }
                other => other,
            }
        })
    }

    fn tell<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<(), Failure>> {
        Box::pin(async move {
            let connection = self.connection();
            if message.method() == Some(INITIALIZED) {
                *self.initialized.borrow_mut() = message.clone();
                return connection.begin(message).await;
            }
            connection.tell(message).await
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move { self.connection().close().await })
    }
}
