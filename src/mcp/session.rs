//! One host and one server: every message of the host goes its way at once, and each request is answered
//! once, whatever happens to the server. What a refusal leads to stands in `settle`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Mutex, OnceCell, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::attempts::Attempts;
use super::era::{self, Connected, Hello};
use super::failure;
use super::filter::Filter;
use super::host::Host;
use super::offer::{self, Asking};
use super::sign_in::{SignIn, State, Until};
use super::turns::Turns;
use super::unsent::{Part, STALLED, Unsent};
use super::{Era, Failure, Link, Pending, Server};
use crate::forward::Bring;
use crate::interact::Interact;
use crate::jsonrpc::{self, Id, Kind, Message};
use crate::stdio::{self, Line};

/// What differs from session to session.
#[derive(Clone)]
pub struct Settings {
    /// How long lists wait for a sign-in: a host gives up a server that is slow to list its tools.
    pub list_patience: Duration,
    /// How long other calls wait for it.
    pub call_patience: Duration,
    /// Who brings the person to a sign-in, where the host cannot.
    pub bring: Bring,
    pub filter: Filter,
    /// Lines for whoever reads stderr.
    pub interact: Arc<dyn Interact>,
}

impl Settings {
    pub fn new(interact: Arc<dyn Interact>) -> Self {
        Self {
            list_patience: Duration::from_secs(20),
            call_patience: Duration::from_secs(50),
            bring: Bring::Browser,
            filter: Filter::default(),
            interact,
        }
    }
}

/// Longer than any sign-in.
const SIGN_IN_LASTS: Duration = Duration::from_hours(1);
/// How long a host waits for a greeting: some give up a server soon after.
const GREETING_WAIT: Duration = Duration::from_secs(12);
/// How long requests may take to end once the host has gone.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Stands between the host on stdin and stdout and the server behind `link`, until the host has gone or the
/// process is asked to end.
pub async fn serve(link: Rc<dyn Link>, settings: Settings) -> io::Result<()> {
    let out = Rc::new(stdio::stdout()?);
    let mut lines = stdio::stdin();
    let session = Session::new(out.clone(), link, settings);
    let relay = async {
        while let Some(line) = lines.next().await {
            match line {
                Line::Message(message) => session.take(message),
                Line::Bad(answer) => session.host.send(answer),
            }
            session.room().await;
        }
    };
    tokio::select! {
        () = relay => session.settle_open().await,
        () = session.link.ended() => session.settle_open().await,
        () = out.closed() => {}
        _ = crate::signals::asked_to_end() => {}
    }
    session.dismiss();
    session.end().await;
    out.drained().await;
    out.failure().map_or(Ok(()), Err)
}

/// A link that the host was asked to open.
pub(super) struct Shown {
    pub id: Id,
    /// `elicitationId`.
    pub name: String,
    /// Whether the person agreed; `None`: the session is over.
    pub agreed: Pending<'static, Option<bool>>,
}

/// A request of the host that has no response yet.
struct Open {
    task: AbortHandle,
    /// Until the server is there that it is for.
    part: Option<Part>,
}

pub struct Session {
    pub(super) host: Rc<dyn Host>,
    pub(super) link: Rc<dyn Link>,
    pub(super) settings: Settings,
    hello: RefCell<Option<Hello>>,
    /// The host's `notifications/initialized`, for a server that is met after it.
    initialized: RefCell<Option<Message>>,
    /// `logging/setLevel`, for a server that is met after it.
    level: RefCell<Option<Message>>,
    server: Mutex<Option<Rc<dyn Server>>>,
    /// The server was met for a host that then began otherwise.
    is_outdated: Cell<bool>,
    pub(super) sign_in: Rc<SignIn>,
    /// Scopes that were asked for in vain.
    pub(super) refused_scopes: RefCell<BTreeSet<Vec<String>>>,
    /// Sign-ins that calls have led to and that have not helped them.
    pub(super) attempts: Attempts,
    /// Links of the server that calls wait for, and whether the person was brought there.
    pub(super) links: RefCell<HashMap<String, Weak<OnceCell<bool>>>>,
    /// When a page of the server's was opened last.
    pub(super) opened: Cell<Option<Instant>>,
    /// Lines that stderr has had.
    said: RefCell<BTreeSet<String>>,
    /// The host was given something in place of what the server says.
    pub(super) has_stand_in: Cell<bool>,
    /// The host was greeted for a server that may have less than the greeting said.
    pub(super) has_own_greeting: Cell<bool>,
    turns: Turns,
    unsent: Rc<Unsent>,
    open: RefCell<HashMap<Id, Open>>,
    /// Those among them that are answered only when they are over.
    streams: RefCell<BTreeSet<Id>>,
    /// Requests to the host that are authctl's own.
    asked: RefCell<HashMap<Id, oneshot::Sender<Message>>>,
    count: Cell<u64>,
}

impl Session {
    pub fn new(host: Rc<dyn Host>, link: Rc<dyn Link>, settings: Settings) -> Rc<Self> {
        let session = Rc::new(Self {
            host,
            sign_in: SignIn::new(link.clone()),
            unsent: link.unsent(),
            link,
            settings,
            hello: RefCell::default(),
            initialized: RefCell::default(),
            level: RefCell::default(),
            server: Mutex::new(None),
            is_outdated: Cell::default(),
            refused_scopes: RefCell::default(),
            attempts: Attempts::default(),
            links: RefCell::default(),
            opened: Cell::default(),
            said: RefCell::default(),
            has_stand_in: Cell::default(),
            has_own_greeting: Cell::default(),
            turns: Turns::default(),
            open: RefCell::default(),
            streams: RefCell::default(),
            asked: RefCell::default(),
            count: Cell::default(),
        });
        let watching = Rc::downgrade(&session);
        session.sign_in.watch(move |state| {
            if let Some(session) = watching.upgrade() {
                session.heed(state);
            }
        });
        session
    }

    /// Waits until the host may say more.
    pub async fn room(&self) {
        self.unsent.room().await;
    }

    /// Takes one message of the host; never waits.
    pub fn take(self: &Rc<Self>, message: Message) {
        let this = Rc::clone(self);
        match message.kind() {
            Kind::Request { id, .. } => {
                let id = id.clone();
                if self.has_open(&id) {
                    let what = failure::in_use(&id);
                    let refused = Message::error(Some(&id), jsonrpc::INVALID_REQUEST, &what, None);
                    return self.host.send(refused);
                }
                if self.unsent.is_stalled() {
                    return self.host.send(self.stalled().message(&id));
                }
                self.note_hello(&message);
                if is_listening(&message) {
                    self.streams.borrow_mut().insert(id.clone());
                }
                let part = Some(self.unsent.add(&message));
                let session = Rc::clone(self);
                let task = tokio::task::spawn_local(async move {
                    let _turn = session.turns.next(&message).await;
                    // Those that wait are small.
                    Box::pin(this.answer(message)).await;
                });
                let task = task.abort_handle();
                self.open.borrow_mut().insert(id, Open { task, part });
            }
            Kind::Notification { method } if method == "notifications/cancelled" => {
                self.cancel(&message);
                self.pass(message);
            }
            Kind::Notification { method } if method == "notifications/initialized" => {
                *self.initialized.borrow_mut() = Some(message.clone());
                tokio::task::spawn_local(async move { this.tell_if_met(message).await });
                self.heed(&self.sign_in.state());
            }
            Kind::Response { id: Some(id), .. } if self.asked.borrow().contains_key(id) => {
                if let Some(reply) = self.asked.borrow_mut().remove(id) {
                    let _ = reply.send(message);
                }
            }
            Kind::Notification { .. } | Kind::Response { .. } => self.pass(message),
        }
    }

    /// Tells the server, if the host has begun to speak to it.
    fn pass(self: &Rc<Self>, message: Message) {
        if self.hello.borrow().is_none() || self.unsent.is_stalled() {
            return;
        }
        let this = Rc::clone(self);
        let part = self.unsent.add(&message);
        tokio::task::spawn_local(async move {
            let connected = this.connected().await;
            drop(part);
            if let Ok((server, _)) = connected {
                let _ = server.tell(&message).await;
            }
        });
    }

    /// What becomes of a request for which there is no room.
    fn stalled(&self) -> Failure {
        let (title, seconds) = (self.link.title(), STALLED.as_secs());
        let what = format!("{title} has not read what it was sent for {seconds} s");
        self.warn_once(&format!("{what}; what the client sends is refused until it does"));
        Failure::failed(what)
    }

    /// Whether a request of this id has no response yet.
    pub fn has_open(&self, id: &Id) -> bool {
        self.open.borrow().contains_key(id)
    }

    /// What the host began with. A handshake that comes late is one all the same.
    fn note_hello(&self, message: &Message) {
        let mut hello = self.hello.borrow_mut();
        match era::of_host(message) {
            Some(Era::Legacy) => {
                let is_other = matches!(&*hello, Some(Hello::Modern(_)));
                self.is_outdated.set(is_other || self.is_outdated.get());
                *hello = Some(Hello::Legacy(message.clone()));
            }
            Some(Era::Modern) if hello.is_none() => {
                *hello = Some(Hello::Modern(Some(message.clone())));
            }
            _ => {}
        }
    }

    /// A request that needs the server is one of a host without a handshake, if there was none.
    fn settle_hello(&self, request: &Message) {
        let mut hello = self.hello.borrow_mut();
        hello.get_or_insert_with(|| Hello::Modern(Some(request.clone())));
    }

    pub(super) fn hello(&self) -> Hello {
        self.hello.borrow().clone().unwrap_or(Hello::Modern(None))
    }

    pub(super) fn is_initialized(&self) -> bool {
        self.initialized.borrow().is_some()
    }

    /// Nobody waits for that response any more: late ones confuse hosts.
    fn cancel(&self, message: &Message) {
        let id = Id::of(&message.member("params")["requestId"]);
        let Some(id) = id else { return };
        self.streams.borrow_mut().remove(&id);
        if let Some(open) = self.open.borrow_mut().remove(&id) {
            open.task.abort();
        }
    }

    async fn answer(self: Rc<Self>, request: Message) {
        let Some(id) = request.id().cloned() else { return };
        let outcome = match offer::greeting(&request, "", "") {
            Some(_) => self.clone().greet(request).await,
            None => self.settle(request).await,
        };
        let response = outcome.unwrap_or_else(|failure| failure.message(&id));
        let response = match response.flaw() {
            Some(flaw) => failure::malformed(flaw, &response, &self.link.title()).message(&id),
            None => response,
        };
        let response = if response.is_error() { self.concealed(response) } else { response };
        self.open.borrow_mut().remove(&id);
        self.streams.borrow_mut().remove(&id);
        self.host.send(response);
    }

    /// The greeting of the server; of a slow one, which is met meanwhile, one that stands for it.
    async fn greet(self: Rc<Self>, request: Message) -> Result<Message, Failure> {
        let (this, own) = (Rc::clone(&self), request.clone());
        let met = tokio::task::spawn_local(async move { this.settle(own).await });
        if let Ok(outcome) = timeout(GREETING_WAIT, met).await {
            return outcome.unwrap_or_else(|error| Err(Failure::failed(error.to_string())));
        }
        let title = self.link.title();
        self.warn_once(&format!("{title} is slow to answer; the client was greeted in its place"));
        self.has_stand_in.set(true);
        self.has_own_greeting.set(true);
        let instructions = format!("{title} had not answered yet; calls wait for it.");
        offer::greeting(&request, &title, &instructions)
            .ok_or_else(|| Failure::failed("this is no greeting"))
    }

    /// An error without the secrets that its server was shown.
    fn concealed(&self, error: Message) -> Message {
        let text = self.link.broker().concealed(error.text());
        if text == error.text() { error } else { Message::read(text).unwrap_or(error) }
    }

    /// Asks the server, without regard to what a refusal would need.
    pub(super) async fn ask(&self, request: &Message) -> Result<Message, Failure> {
        self.settle_hello(request);
        let connected = self.connected().await;
        self.hand_on(request);
        let (server, greeting) = connected?;
        if let Some(greeting) = greeting.filter(|greeting| greeting.id() == request.id()) {
            return Ok(greeting);
        }
        let late = Cell::new(self.has_stand_in.get() && is_listening(request));
        let aside = |message| {
            self.host.send(message);
            if late.replace(false) {
                self.announce_change(request.id());
            }
        };
        server.request(request, &aside).await
    }

    /// From here on, the way to the server counts what waits.
    fn hand_on(&self, request: &Message) {
        let mut open = self.open.borrow_mut();
        if let Some(open) = request.id().and_then(|id| open.get_mut(id)) {
            open.part = None;
        }
    }

    /// The server, shaken hands with; and its greeting, if that happened just now.
    async fn connected(&self) -> Result<(Rc<dyn Server>, Option<Message>), Failure> {
        let mut server = self.server.lock().await;
        if self.is_outdated.take()
            && let Some(outdated) = server.take()
        {
            tokio::task::spawn_local(async move { outdated.close().await });
        }
        if let Some(server) = &*server {
            return Ok((server.clone(), None));
        }
        let host = self.host.clone();
        let sink = Rc::new(move |message| host.send(message));
        let Connected { server: new, greeting } = self.link.connect(&self.hello(), sink).await?;
        let initialized = self.initialized.borrow().clone();
        if let Some(initialized) = initialized {
            new.tell(&initialized).await?;
        }
        let level = self.level.take();
        if let Some(level) = level {
            // It was answered.
            let _ = new.request(&level, &|_| {}).await;
        }
        *server = Some(new.clone());
        Ok((new, greeting))
    }

    /// The response to what says nothing of the server, while there is none that could be asked.
    pub(super) fn courtesy(&self, request: &Message) -> Option<Message> {
        let is_met = self.server.try_lock().is_ok_and(|server| server.is_some());
        match request.method()? {
            _ if is_met => return None,
            "logging/setLevel" => *self.level.borrow_mut() = Some(request.clone()),
            "ping" => {}
            _ => return None,
        }
        Some(Message::result(request.id()?, &json!({})))
    }

    /// A server that is met later is told then.
    async fn tell_if_met(&self, message: Message) {
        let server = self.server.lock().await.clone();
        if let Some(server) = server {
            let _ = server.tell(&message).await;
        }
    }

    /// What a change of the sign-in means to the host.
    fn heed(self: &Rc<Self>, state: &State) {
        match state {
            State::Pending(Some(address))
                if !address.is_opened
                    && self.is_initialized()
                    && self.asking(None) == Asking::Request =>
            {
                self.elicit(address.url.clone());
            }
            State::Settled => {
                self.attempts.signed_in();
                self.stand_in_ends();
            }
            _ => {}
        }
    }

    /// A host that was given something in place of the server's lists asks for them again.
    pub(super) fn stand_in_ends(&self) {
        if self.has_stand_in.get() && matches!(self.hello(), Hello::Legacy(_)) {
            self.has_stand_in.set(false);
            self.announce_change(None);
        }
    }

    fn announce_change(&self, subscription: Option<&Id>) {
        for message in offer::changed(subscription) {
            self.host.send(message);
        }
    }

    /// How the host can be asked to open a link.
    pub(super) fn asking(&self, request: Option<&Message>) -> Asking {
        let hello = self.hello();
        match (request, &hello) {
            (Some(request), hello) => offer::asking(hello, request),
            (None, Hello::Legacy(message)) => offer::asking(&hello, message),
            (None, Hello::Modern(_)) => Asking::Tool,
        }
    }

    /// Has the host show the address of the sign-in, and take back what it showed when that is over.
    fn elicit(self: &Rc<Self>, url: url::Url) {
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let message = format!("Sign in to {}", this.link.title());
            let shown = this.show(&message, &url);
            let over = || this.sign_in.wait(Until::Over, SIGN_IN_LASTS);
            let agreed = tokio::select! {
                agreed = shown.agreed => agreed,
                _ = over() => {
                    this.host.send(offer::no_longer_asked(&shown.id));
                    Some(true)
                }
            };
            if agreed != Some(true) {
                return this.sign_in.decline();
            }
            over().await;
            this.host.send(offer::elicitation_complete(&shown.name));
        });
    }

    /// Asks the host to open a link.
    pub(super) fn show(&self, message: &str, url: &url::Url) -> Shown {
        self.count.set(self.count.get() + 1);
        let name = format!("authctl-{}", self.count.get());
        let id = Id::name(&name);
        let (reply, answer) = oneshot::channel();
        self.asked.borrow_mut().insert(id.clone(), reply);
        self.host.send(offer::elicitation(&id, &name, message, url));
        let agreed = Box::pin(async move {
            let answer: Message = answer.await.ok()?;
            Some(answer.member("result")["action"] == "accept")
        });
        Shown { id, name, agreed }
    }

    /// Says a line on stderr, but not twice.
    pub(super) fn warn_once(&self, line: &str) {
        if self.said.borrow_mut().insert(line.to_owned()) {
            self.settings.interact.warn(&self.link.broker().concealed(line));
        }
    }

    /// Lets the last requests come to their end.
    async fn settle_open(&self) {
        let settled = async {
            while !self.open.borrow().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = timeout(LAST_WAIT, settled).await;
    }

    /// What is still open gets an error: nothing will answer it any more. For a stream that is no error.
    fn dismiss(&self) {
        let streams = self.streams.take();
        for (id, open) in self.open.take() {
            open.task.abort();
            if streams.contains(&id) {
                continue;
            }
            let over = Failure::failed("authctl has ended before the server's answer");
            self.host.send(over.message(&id));
        }
    }

    /// Ends the server's session, if it can be had.
    async fn end(&self) {
        let ended = async {
            if let Some(server) = self.server.lock().await.take() {
                server.close().await;
            }
        };
        let _ = timeout(LAST_WAIT, ended).await;
    }
}

pub(super) fn is_listening(request: &Message) -> bool {
    request.method() == Some("subscriptions/listen")
}
