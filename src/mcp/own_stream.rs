//! The stream on which a server of the legacy era speaks by itself (MCP 2025-11-25, Streamable HTTP,
//! listening for messages): opened once, come back to when it is cut, from the event on where it was.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::Failure;
use super::endpoint::{Endpoint, Headers};
use super::inbox::Inbox;
use super::reconnect::Reconnect;
use crate::http::{EventStream, Exchange};
use crate::stdio::{self, LONGEST};

/// How often it is begun anew after it had to be given up.
const MOST_BEGINNINGS: u32 = 5;

/// How long others wait for the server to take it up.
const TAKING_UP: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open,
    NotOffered,
}

pub struct OwnStream {
    state: Rc<Cell<State>>,
    beginnings: Cell<u32>,
    /// The server has said something to the first request for it, or was silent for long.
    is_taken_up: watch::Sender<bool>,
    task: RefCell<Option<AbortHandle>>,
}

impl OwnStream {
    pub fn new() -> Self {
        let state = Rc::new(Cell::new(State::Closed));
        let is_taken_up = watch::Sender::new(false);
        Self { state, beginnings: Cell::default(), is_taken_up, task: RefCell::default() }
    }

    /// Opens the stream, unless it is open or the server has none.
    pub fn ensure(&self, endpoint: &Rc<Endpoint>, headers: &Headers, inbox: &Rc<Inbox>) {
        if self.state.get() != State::Closed || self.beginnings.get() == MOST_BEGINNINGS {
            return;
        }
        self.state.set(State::Open);
        self.beginnings.set(self.beginnings.get() + 1);
        let (state, endpoint, headers) = (self.state.clone(), endpoint.clone(), headers.clone());
        let (inbox, taken_up) = (inbox.clone(), self.is_taken_up.clone());
        let task = tokio::task::spawn_local(async move {
            state.set(listen(&endpoint, &headers, &inbox, &taken_up).await);
            inbox.give_up();
        });
        *self.task.borrow_mut() = Some(task.abort_handle());
    }

    /// Waits until the server can speak on it, if it does at all: many servers drop what they ask before.
    pub async fn taken_up(&self) {
        let mut taken_up = self.is_taken_up.subscribe();
        if self.is_open() && timeout(TAKING_UP, taken_up.wait_for(|is| *is)).await.is_err() {
            self.is_taken_up.send_replace(true);
        }
    }

    /// Whether a response could still come on it.
    pub fn is_open(&self) -> bool {
        self.state.get() == State::Open
    }
}

impl Drop for OwnStream {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

/// Listens until the server has no such stream, or it was cut too often.
async fn listen(
    endpoint: &Endpoint,
    headers: &Headers,
    inbox: &Inbox,
    taken_up: &watch::Sender<bool>,
) -> State {
    let mut stream = EventStream::new(LONGEST);
    let mut reconnect = Reconnect::new();
    loop {
        let opened = endpoint.listen(headers, stream.last_id()).await;
        taken_up.send_replace(true);
        match opened {
            Ok(exchange) if exchange.is_event_stream() => {
                if follow(exchange, &mut stream, inbox).await {
                    reconnect.succeeded();
                }
                stream = stream.resumed();
            }
            // The one before has not been given up yet over there; or the server is in trouble.
            Ok(exchange) if matches!(exchange.status, 409 | 429 | 500 | 502..=599) => {}
            Ok(_) => return State::NotOffered,
            Err(Failure::Refused(_)) => return State::Closed,
            Err(_) => {}
        }
        let Some(pause) = reconnect.pause(stream.retry()) else { return State::Closed };
        sleep(pause).await;
    }
}

/// Reads to the end; whether anything came.
async fn follow(mut exchange: Exchange, stream: &mut EventStream, inbox: &Inbox) -> bool {
    let mut came = false;
    loop {
        stdio::room().await;
        let Ok(Some(piece)) = exchange.chunk().await else { return came };
        let Ok(events) = stream.push(&piece) else { return came };
        for event in events {
            came = true;
            inbox.take_event(event.data);
        }
    }
}
