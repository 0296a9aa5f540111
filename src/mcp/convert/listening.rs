//! The one stream of changes of a modern server (`subscriptions/listen`), for a host that gets them unasked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::jsonrpc::{Id, Message, rewritten};
use crate::mcp::meta::{Client, SUBSCRIPTION_ID};
use crate::mcp::{Server, Sink};

/// How long to wait before a stream that ended is opened again; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How long a server may take to begin a stream while the host waits for it.
const BEGIN_WAIT: Duration = Duration::from_secs(15);

pub struct Listening {
    server: Rc<dyn Server>,
    sink: Sink,
    client: Client,
    /// Of the server.
    capabilities: Value,
    is_begun: Cell<bool>,
    /// Resources of which the host wants to hear.
    resources: RefCell<BTreeSet<String>>,
    stream: RefCell<Option<AbortHandle>>,
    count: Cell<u64>,
}

impl Listening {
    pub fn new(
        server: Rc<dyn Server>,
        sink: Sink,
        client: Client,
        capabilities: Value,
    ) -> Rc<Self> {
        Rc::new(Self {
            server,
            sink,
            client,
            capabilities,
            is_begun: Cell::default(),
            resources: RefCell::default(),
            stream: RefCell::default(),
            count: Cell::default(),
        })
    }

    /// From now on the host hears of changes.
    pub fn begin(self: &Rc<Self>) {
        if !self.is_begun.replace(true) {
            self.open();
        }
    }

    pub fn end(&self) {
        if let Some(stream) = self.stream.borrow_mut().take() {
            stream.abort();
        }
    }

    /// Adds or removes a resource; whether the server goes along.
    pub async fn subscribe(self: &Rc<Self>, uri: &str, wanted: bool) -> bool {
        let is_new = if wanted {
            self.resources.borrow_mut().insert(uri.to_owned())
        } else {
            self.resources.borrow_mut().remove(uri)
        };
        if !is_new {
            return true;
        }
        self.is_begun.set(true);
        let Some(begun) = self.open() else { return true };
        let honoured = timeout(BEGIN_WAIT, begun).await;
        let names = |honoured: Value| {
            honoured["resourceSubscriptions"]
                .as_array()
                .is_some_and(|uris| uris.contains(&json!(uri)))
        };
        let is_heard = !wanted || honoured.is_ok_and(|honoured| honoured.is_ok_and(names));
        if !is_heard {
            self.resources.borrow_mut().remove(uri);
        }
        is_heard
    }

    /// Opens a stream for what is wanted now, in place of the one that is there: that one ends when the new
    /// one has begun. What the server honours comes through the channel.
    fn open(self: &Rc<Self>) -> Option<oneshot::Receiver<Value>> {
        let filter = self.filter();
        if filter.as_object().is_none_or(serde_json::Map::is_empty) {
            self.end();
            return None;
        }
        let (begun, honoured) = oneshot::channel();
        let old = self.stream.borrow_mut().take();
        let this = Rc::clone(self);
        let stream =
            tokio::task::spawn_local(async move { this.run(&filter, Replaced(old), begun).await });
        *self.stream.borrow_mut() = Some(stream.abort_handle());
        Some(honoured)
    }

    /// What the server offers, of what the host can hear.
    fn filter(&self) -> Value {
        let mut filter = json!({});
        for (list, wanted) in [
            ("tools", "toolsListChanged"),
            ("prompts", "promptsListChanged"),
            ("resources", "resourcesListChanged"),
        ] {
            if self.capabilities[list]["listChanged"] == true {
                filter[wanted] = true.into();
            }
        }
        let resources = self.resources.borrow();
        if !resources.is_empty() {
            filter["resourceSubscriptions"] = json!(*resources);
        }
        filter
    }

    /// Listens until it is aborted, or the server does not want to.
    async fn run(&self, filter: &Value, old: Replaced, begun: oneshot::Sender<Value>) {
        let (old, begun) = (RefCell::new(Some(old)), RefCell::new(Some(begun)));
        let wait = Cell::new(FIRST_WAIT);
        loop {
            let aside = |message: Message| {
                if message.method() != Some("notifications/subscriptions/acknowledged") {
                    return (self.sink)(unmarked(&message));
                }
                drop(old.borrow_mut().take());
                wait.set(FIRST_WAIT);
                if let Some(begun) = begun.borrow_mut().take() {
                    let _ = begun.send(message.member("params")["notifications"].take());
                }
            };
            let outcome = self.server.request(&self.request(filter), &aside).await;
            if outcome.is_ok_and(|it| it.is_error()) {
                return;
            }
            sleep(wait.get()).await;
            wait.set((wait.get() * 2).min(LONGEST_WAIT));
        }
    }

    fn request(&self, filter: &Value) -> Message {
        self.count.set(self.count.get() + 1);
        let name = json!(format!("authctl-listen-{}", self.count.get()));
        let id = Id::of(&name).unwrap_or_else(|| Id::number(self.count.get()));
        let mut params = self.client.params();
        params["notifications"] = filter.clone();
        Message::request(&id, "subscriptions/listen", &params)
    }
}

/// A stream whose time is over when this is dropped.
struct Replaced(Option<AbortHandle>);

impl Drop for Replaced {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            stream.abort();
        }
    }
}

/// A notification without the subscription that it came by: hosts with a handshake have none.
fn unmarked(message: &Message) -> Message {
    rewritten(message, |message| {
        message.edit("params", |params| params.edit("_meta", |meta| meta.remove(SUBSCRIPTION_ID)));
    })
}
