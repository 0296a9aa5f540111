//! One host and one server: every message of the host goes its way at once, a request that needs a sign-in
//! waits for it, and each request is answered once, whatever happens to the server.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::era::{self, Connected, Hello};
use super::host::Host;
use super::sign_in::{SignIn, Unsettled};
use super::stdio::{self, Line};
use super::{Era, Failure, Link, Server};
use crate::forward::Bring;
use crate::jsonrpc::{Id, Kind, Message};

/// What differs from session to session.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long lists wait for a sign-in: a host gives up a server that is slow to list its tools.
    pub list_patience: Duration,
    /// How long other calls wait for it.
    pub call_patience: Duration,
    pub bring: Bring,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            list_patience: Duration::from_secs(20),
            call_patience: Duration::from_secs(50),
            bring: Bring::Browser,
        }
    }
}

/// How long requests may take to end once the host has gone.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Stands between the host on stdin and stdout and the server behind `link`, until the host has gone.
pub async fn serve(link: Rc<dyn Link>, settings: Settings) {
    let (out, writer) = stdio::stdout();
    let mut lines = stdio::stdin();
    let session = Session::new(Rc::new(out), link, settings);
    while let Some(line) = lines.recv().await {
        match line {
            Line::Message(message) => session.take(message),
            Line::Bad(answer) => session.host.send(answer),
        }
    }
    session.end().await;
    drop(session);
    let _ = writer.join();
}

pub struct Session {
    host: Rc<dyn Host>,
    link: Rc<dyn Link>,
    settings: Settings,
    hello: RefCell<Option<Hello>>,
    server: Mutex<Option<Rc<dyn Server>>>,
    sign_in: Rc<SignIn>,
    /// Requests of the host that have no response yet.
    open: RefCell<HashMap<Id, AbortHandle>>,
}

impl Session {
    fn new(host: Rc<dyn Host>, link: Rc<dyn Link>, settings: Settings) -> Rc<Self> {
        let sign_in = SignIn::new(link.clone());
        Rc::new(Self {
            host,
            link,
            settings,
            hello: RefCell::default(),
            server: Mutex::new(None),
            sign_in,
            open: RefCell::default(),
        })
    }

    /// Takes one message of the host; never waits.
    fn take(self: &Rc<Self>, message: Message) {
        let this = Rc::clone(self);
        match message.kind() {
            Kind::Request { id, .. } => {
                let id = id.clone();
                self.note_hello(&message);
                let task = tokio::task::spawn_local(async move { this.answer(message).await });
                self.open.borrow_mut().insert(id, task.abort_handle());
            }
            Kind::Notification { method } if method == "notifications/cancelled" => {
                self.cancel(&message);
                tokio::task::spawn_local(async move { this.tell(message).await });
            }
            Kind::Notification { .. } | Kind::Response { .. } => {
                tokio::task::spawn_local(async move { this.tell(message).await });
            }
        }
    }

    fn note_hello(&self, message: &Message) {
        let hello = match era::of_host(message) {
            Era::Legacy => Hello::Legacy(message.clone()),
            Era::Modern if self.hello.borrow().is_none() => Hello::Modern,
            Era::Modern => return,
        };
        *self.hello.borrow_mut() = Some(hello);
    }

    /// Nobody waits for that response any more: late ones confuse hosts.
    fn cancel(&self, message: &Message) {
        let id = Id::of(&message.member("params")["requestId"]);
        if let Some(task) = id.and_then(|id| self.open.borrow_mut().remove(&id)) {
            task.abort();
        }
    }

    async fn answer(&self, request: Message) {
        let Some(id) = request.id().cloned() else { return };
        let response = match self.settle(&request).await {
            Ok(response) => response,
            Err(failure) => failure.message(&id),
        };
        self.open.borrow_mut().remove(&id);
        self.host.send(response);
    }

    /// The response to a request of the host, after a sign-in if it needs one.
    async fn settle(&self, request: &Message) -> Result<Message, Failure> {
        let first = match self.ask(request).await {
            Err(Failure::Refused(refusal)) => refusal,
            other => return other,
        };
        self.sign_in.begin(Some(first.answer.clone()), self.settings.bring);
        if let Some(Hello::Legacy(hello)) = &*self.hello.borrow()
            && hello.id() == request.id()
        {
            return Ok(self.own_greeting(hello));
        }
        match self.sign_in.settled(self.patience(request)).await {
            Ok(()) => self.ask(request).await,
            Err(Unsettled::Pending(what) | Unsettled::Failed(what)) => Err(Failure::Failed(what)),
        }
    }

    fn patience(&self, request: &Message) -> Duration {
        match request.method() {
            Some(method) if method.ends_with("/list") => self.settings.list_patience,
            _ => self.settings.call_patience,
        }
    }

    /// What the host is told while nobody can ask the server.
    fn own_greeting(&self, hello: &Message) -> Message {
        let result = json!({
            "protocolVersion": era::asked_version(hello),
            "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": self.link.title(), "version": env!("CARGO_PKG_VERSION")},
        });
        hello.id().map_or_else(|| hello.clone(), |id| Message::result(id, &result))
    }

    async fn ask(&self, request: &Message) -> Result<Message, Failure> {
        let (server, greeting) = self.connected().await?;
        if let Some(greeting) = greeting.filter(|greeting| greeting.id() == request.id()) {
            return Ok(greeting);
        }
        let aside = |message| self.host.send(message);
        server.request(request, &aside).await
    }

    /// The server, shaken hands with; and its greeting, if that happened just now.
    async fn connected(&self) -> Result<(Rc<dyn Server>, Option<Message>), Failure> {
        let mut server = self.server.lock().await;
        if let Some(server) = &*server {
            return Ok((server.clone(), None));
        }
        let hello = self.hello.borrow().clone().unwrap_or(Hello::Modern);
        let host = self.host.clone();
        let sink = Rc::new(move |message| host.send(message));
        let connected = self.link.connect(&hello, sink).await?;
        let Connected { server: new, greeting } = connected;
        *server = Some(new.clone());
        Ok((new, greeting))
    }

    async fn tell(&self, message: Message) {
        if let Ok((server, _)) = self.connected().await {
            let _ = server.tell(&message).await;
        }
    }

    /// Lets the last requests come to their end, and ends the server's session.
    async fn end(&self) {
        let settled = async {
            while !self.open.borrow().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = timeout(LAST_WAIT, settled).await;
        if let Some(server) = self.server.lock().await.take() {
            let _ = timeout(LAST_WAIT, server.close()).await;
        }
    }
}
