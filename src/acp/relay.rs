//! One editor and one agent: who gets what. Everything passes on as it came, in its order, but for the messages
//! about signing in; while the agent is being served or started anew, the editor's messages wait.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::rc::Rc;

use serde_json::Value;
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::spawn_local;

use super::advertised::Advertised;
use super::agent::{self, Agent};
use super::chain::Successor;
use super::deliver::Standing;
use super::going::Going;
use super::handshake::EditorCan;
use super::open::{Open, Requests};
use super::sessions::{self, Sessions};
use super::{Settings, deserted, dialect, handshake, link, status};
use super::{recovery, refusal};
use crate::jsonrpc::{self, Id, Kind, Message, rewritten};
use crate::launch::{self, Ending, Exit};
use crate::signals::{self, Asked};
use crate::stdio::{self, Flawed, Line, Stdout};

/// Messages of an editor that wait, from which on it is not read.
const MOST_HELD: usize = 1_000;

/// Why there was no session at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Launch(#[from] launch::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub struct Relay {
    pub(super) settings: Settings,
    editor: Rc<Stdout>,
    /// In a chain: the way to the agent, which somebody else runs.
    pub(super) successor: Option<Rc<Successor>>,
    /// The one that runs.
    pub(super) agent: RefCell<Option<Rc<Agent>>>,
    /// The way of each grant.
    pub(super) standings: Vec<Standing>,
    pub(super) open: Requests,
    /// Nothing of the editor's goes to the agent now.
    holds: Cell<bool>,
    pub(super) held: RefCell<VecDeque<Message>>,
    released: Notify,
    /// The editor's `initialize`, as the agent got it.
    pub(super) hello: RefCell<Option<Message>>,
    pub(super) editor_can: RefCell<EditorCan>,
    pub(super) advertised: RefCell<Rc<Advertised>>,
    pub(super) sessions: RefCell<Sessions>,
    /// Sessions that the agent is telling again, which the editor knows.
    pub(super) retold: RefCell<BTreeSet<String>>,
    /// Requests of the agent that the editor has not answered.
    pub(super) asked_by_agent: RefCell<BTreeSet<Id>>,
    /// The same of agents that are gone.
    stale: RefCell<BTreeSet<Id>>,
    /// Requests of the agent under ids of authctl's own, since theirs are stale.
    pub(super) renamed: RefCell<HashMap<Id, Id>>,
    /// Requests of authctl's own to the editor.
    asked: RefCell<HashMap<Id, oneshot::Sender<Message>>>,
    count: Cell<u64>,
    /// One recovery at a time.
    pub(super) turn: Mutex<()>,
    /// How often the agent got a credential.
    pub(super) epoch: Cell<u64>,
    /// Requests that authctl works at, with the session of a prompt; and those among them that the editor has
    /// cancelled.
    pub(super) mending: RefCell<BTreeMap<Id, Option<String>>>,
    pub(super) cancelled: RefCell<BTreeSet<Id>>,
    pub(super) cancelling: Notify,
    /// The sign-in that was begun last.
    pub(super) going: RefCell<Option<Rc<Going>>>,
    pub(super) status: RefCell<status::Status>,
    /// The editor has signed out: nothing is delivered until it signs in.
    pub(super) is_signed_out: Cell<bool>,
    /// An agent is being replaced: that one ends is no end.
    pub(super) is_restarting: Cell<bool>,
    /// The agent of a new start has not got its sessions back.
    pub(super) is_unrestored: Cell<bool>,
    /// Something has been said or done for the editor.
    pub(super) stirred: Notify,
    /// The editor says no more.
    pub(super) is_deserted: Cell<bool>,
    over: Notify,
    /// The agent is to end; no other is started.
    is_ending: Cell<bool>,
    /// Every request has its answer, and the editor gets no second one.
    is_over: Cell<bool>,
}

/// Stands between the editor on stdin and stdout and the agent, until one of them has gone or the process is
/// asked to end. How the agent left.
pub async fn serve(settings: Settings) -> Result<Exit, Error> {
    let editor = Rc::new(stdio::stdout()?);
    let relay = Rc::new(Relay::new(settings, editor.clone(), None));
    relay.start().await?;
    relay.run(editor).await
}

/// Stands between a conductor on stdin and stdout and the agent behind it, which the settings' command is not
/// asked for.
pub async fn serve_in_chain(settings: Settings) -> Result<Exit, Error> {
    let editor = Rc::new(stdio::stdout()?);
    let out = editor.clone();
    let successor = Rc::new(Successor::new(Box::new(move |message| out.send(message))));
    let relay = Rc::new(Relay::new(settings, editor.clone(), Some(successor.clone())));
    *relay.agent.borrow_mut() = Some(Agent::successor(successor));
    relay.run(editor).await
}

impl Relay {
    async fn run(self: Rc<Self>, editor: Rc<Stdout>) -> Result<Exit, Error> {
        let relay = self;
        let mut lines = stdio::stdin();
        let asked = Rc::new(Cell::new(None));
        spawn_local(relay.clone().hurry(asked.clone()));
        let reading = async {
            while let Some(line) = lines.next().await {
                match line {
                    Line::Message(message) => relay.from_stdin(message),
                    Line::Bad(answer) => relay.to_editor(answer),
                }
                relay.room().await;
            }
            relay.last_work().await;
        };
        tokio::select! {
            () = reading => {}
            () = relay.over.notified() => {}
            () = editor.closed() => {}
        }
        let exit = relay.end().await;
        editor.drained().await;
        if let Some(error) = editor.failure() {
            return Err(error.into());
        }
        #[cfg(unix)]
        if let Some(Asked::By(number)) = asked.get() {
            return Ok(Exit::Signal(number));
        }
        Ok(exit)
    }

    fn new(settings: Settings, editor: Rc<Stdout>, successor: Option<Rc<Successor>>) -> Self {
        let standings = settings.grants.iter().map(Standing::new).collect();
        Self {
            settings,
            editor,
            successor,
            agent: RefCell::default(),
            standings,
            open: Requests::default(),
            holds: Cell::default(),
            held: RefCell::default(),
            released: Notify::new(),
            hello: RefCell::default(),
            editor_can: RefCell::default(),
            advertised: RefCell::default(),
            sessions: RefCell::default(),
            retold: RefCell::default(),
            asked_by_agent: RefCell::default(),
            stale: RefCell::default(),
            renamed: RefCell::default(),
            asked: RefCell::default(),
            count: Cell::default(),
            turn: Mutex::default(),
            epoch: Cell::default(),
            mending: RefCell::default(),
            cancelled: RefCell::default(),
            cancelling: Notify::new(),
            going: RefCell::default(),
            status: RefCell::default(),
            is_signed_out: Cell::default(),
            is_restarting: Cell::default(),
            is_unrestored: Cell::default(),
            stirred: Notify::new(),
            is_deserted: Cell::default(),
            over: Notify::new(),
            is_ending: Cell::default(),
            is_over: Cell::default(),
        }
    }

    pub(super) fn say(&self, line: &str) {
        self.settings.interact.notice(&format!("authctl: {line}"));
    }

    pub(super) fn to_editor(&self, message: Message) {
        if !self.is_over.get() {
            self.editor.send(message);
        }
    }

    pub(super) fn to_agent(&self, message: Message) {
        if let Some(agent) = &*self.agent.borrow() {
            agent.tell(message);
        }
    }

    /// Waits until there is room for more of the editor's messages.
    async fn room(&self) {
        while self.holds.get() && self.held.borrow().len() >= MOST_HELD {
            self.released.notified().await;
        }
        let agent = self.agent.borrow().clone();
        if let Some(agent) = agent {
            agent.room().await;
        }
    }

    /// From now on, the editor's messages wait.
    pub(super) fn hold(&self) {
        self.holds.set(true);
    }

    /// What waited goes its way.
    pub(super) fn release(self: &Rc<Self>) {
        self.holds.set(false);
        while !self.holds.get() {
            let Some(message) = self.held.borrow_mut().pop_front() else { break };
            self.from_editor(message);
        }
        self.released.notify_waiters();
        self.stirred.notify_one();
    }

    /// In a chain, the conductor speaks for both.
    fn from_stdin(self: &Rc<Self>, message: Message) {
        let Some(successor) = &self.successor else { return self.from_editor(message) };
        match successor.heard(message) {
            Err(message) => self.from_editor(message),
            Ok(message) => {
                let agent = self.agent.borrow().clone();
                if let Some(agent) = agent {
                    self.from_agent(&agent, Ok(message));
                }
            }
        }
    }

    fn from_editor(self: &Rc<Self>, message: Message) {
        match message.kind() {
            Kind::Response { id, .. } => {
                let id = id.clone();
                return self.answer_of_editor(id.as_ref(), message);
            }
            Kind::Notification { method } if method == "$/cancel_request" => {
                return self.cancel(message);
            }
            Kind::Notification { method } if method == "session/cancel" => {
                return self.cancel_session(message);
            }
            _ => {}
        }
        if self.holds.get() {
            self.held.borrow_mut().push_back(message);
            return;
        }
        match message.kind().clone() {
            Kind::Request { id, method } => self.request_of_editor(id, &method, message),
            _ => self.to_agent(message),
        }
    }

    fn request_of_editor(self: &Rc<Self>, id: Id, method: &str, message: Message) {
        match method {
            "initialize" => self.greet(id, message),
            "auth/status" if self.answers_status() => {
                let status = self.current_status();
                self.to_editor(Message::result(&id, &status));
            }
            _ if dialect::is_login(method) && self.answers_login(&message) => {
                self.begin(id, message, Self::log_in);
            }
            _ if dialect::is_logout(method) && !self.standings.is_empty() => {
                self.begin(id, message, Self::log_out);
            }
            _ if sessions::opens(method) && self.prepares_session(&message) => {
                self.begin(id, message, Self::open_session);
            }
            _ => match self.lost_session(&id, &message) {
                Some(answer) => self.to_editor(answer),
                None => self.pass(id, method, message),
            },
        }
    }

    /// Sends a request on, and looks at its answer if that may be about signing in.
    pub(super) fn pass(&self, id: Id, method: &str, message: Message) {
        let is_watched = sessions::opens(method)
            || sessions::sets(method)
            || matches!(method, "initialize" | "session/prompt" | "session/close")
            || dialect::is_login(method);
        let request = is_watched.then(|| message.clone());
        self.open.insert(
            id,
            Open { method: method.to_owned(), request, sent: 1, epoch: self.epoch.get() },
        );
        self.to_agent(self.with_helper(message));
    }

    /// Works at a request of the editor's beside the others.
    fn begin<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        id: Id,
        message: Message,
        work: impl FnOnce(Rc<Self>, Id, Message) -> F,
    ) {
        self.begin_of(id, None, message, work);
    }

    /// The same; `session`: the request is a prompt there.
    fn begin_of<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        id: Id,
        session: Option<String>,
        message: Message,
        work: impl FnOnce(Rc<Self>, Id, Message) -> F,
    ) {
        self.mending.borrow_mut().insert(id.clone(), session);
        let done = work(self.clone(), id.clone(), message);
        let relay = self.clone();
        spawn_local(async move {
            done.await;
            relay.mending.borrow_mut().remove(&id);
            relay.cancelled.borrow_mut().remove(&id);
            relay.stirred.notify_one();
        });
    }

    fn greet(self: &Rc<Self>, id: Id, message: Message) {
        *self.editor_can.borrow_mut() = EditorCan::of(&message);
        let told = handshake::to_agent(message, &self.settings.grants);
        *self.hello.borrow_mut() = Some(told.clone());
        self.pass(id, "initialize", told);
    }

    fn answer_of_editor(&self, id: Option<&Id>, message: Message) {
        let Some(id) = id else { return self.to_agent(message) };
        if let Some(waiting) = self.asked.borrow_mut().remove(id) {
            let _ = waiting.send(message);
            return;
        }
        if let Some(own) = self.renamed.borrow_mut().remove(id) {
            return self
                .to_agent(rewritten(&message, |members| members.set("id", own.to_string())));
        }
        // Whoever asked that is gone.
        if self.stale.borrow_mut().remove(id) {
            return;
        }
        self.asked_by_agent.borrow_mut().remove(id);
        self.to_agent(message);
    }

    fn cancel(&self, message: Message) {
        let id = Id::of(&message.member("params")["requestId"]);
        let Some(id) = id else { return self.to_agent(message) };
        if self.mending.borrow().contains_key(&id) {
            self.cancelled.borrow_mut().insert(id);
            return self.cancelling.notify_waiters();
        }
        let is_it = |held: &Message| held.method().is_some() && held.id() == Some(&id);
        if !self.cancel_held(is_it) {
            self.to_agent(message);
        }
    }

    /// The turn of a session ends, wherever its prompt is; other sessions have nothing to do with that.
    fn cancel_session(&self, message: Message) {
        let session = sessions::of(&message);
        let mending = self.mending.borrow();
        let prompts = mending.iter().filter(|(_, of)| session.is_some() && **of == session);
        self.cancelled.borrow_mut().extend(prompts.map(|(id, _)| id.clone()));
        self.cancelling.notify_waiters();
        self.cancel_held(|held| {
            held.method() == Some("session/prompt") && sessions::of(held) == session
        });
        self.to_agent(message);
    }

    /// Answers what waits and is no longer wanted; whether there was something.
    fn cancel_held(&self, is_unwanted: impl Fn(&Message) -> bool) -> bool {
        let mut held = self.held.borrow_mut();
        let (unwanted, wanted): (VecDeque<_>, _) = held.drain(..).partition(is_unwanted);
        *held = wanted;
        for (id, method) in unwanted.iter().filter_map(|it| it.id().zip(it.method())) {
            self.to_editor(recovery::cancelled(id, method));
        }
        !unwanted.is_empty()
    }

    /// What comes from the agent's stdout.
    pub(super) fn from_agent(self: &Rc<Self>, agent: &Rc<Agent>, found: Result<Message, Flawed>) {
        self.stirred.notify_one();
        let is_current =
            self.agent.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, agent));
        let message = match found.map(|message| agent.hear(message)) {
            Ok(Some(message)) if is_current => message,
            Ok(_) => return,
            Err(flawed) => return self.flawed(&flawed),
        };
        match message.kind().clone() {
            Kind::Response { id: Some(id), .. } => self.answer_of_agent(id, message),
            Kind::Request { id, .. } => self.request_of_agent(id, message),
            Kind::Notification { method } => self.news_of_agent(&method, message),
            Kind::Response { id: None, .. } => self.to_editor(message),
        }
    }

    /// Goes to stderr; what was to be an answer becomes an error.
    fn flawed(&self, flawed: &Flawed) {
        agent::note(flawed, &self.hidden());
        for id in &flawed.ids {
            if self.open.remove(id).is_some() {
                let what = format!("the answer of {} {}", self.settings.title, flawed.flaw);
                let code = jsonrpc::INTERNAL_ERROR;
                self.to_editor(Message::error(Some(id), code, &what, None));
            }
        }
    }

    fn answer_of_agent(self: &Rc<Self>, id: Id, message: Message) {
        if agent::is_own(&id) {
            // It came too late.
            return;
        }
        let Some(open) = self.open.remove(&id) else {
            return self.say(&format!(
                "{} answered a request twice, or one that nobody sent: that is left out",
                self.settings.title
            ));
        };
        let Some(request) = open.request.clone() else { return self.to_editor(message) };
        let may_recover = open.method != "initialize" && !sessions::sets(&open.method);
        if may_recover && refusal::is_about_sign_in(&message) {
            let session = sessions::of(&request).filter(|_| open.method == "session/prompt");
            let work = |relay: Rc<Self>, id, answer| relay.recover(id, open, answer);
            return self.begin_of(id, session, message, work);
        }
        if message.is_error() {
            return self.to_editor(message);
        }
        match open.method.as_str() {
            "initialize" => return self.greeted(&message),
            method if dialect::is_login(method) && self.is_restart_due(&request) => {
                return self.begin(id, message, Self::log_in_anew);
            }
            "session/close" => self.sessions.borrow_mut().closed(&request),
            method if sessions::opens(method) => {
                self.sessions.borrow_mut().opened(&request, &message);
            }
            method if sessions::sets(method) => self.sessions.borrow_mut().set(&request),
            _ => {}
        }
        self.to_editor(message);
    }

    /// Whether the agent has taken a sign-in that counts from its next start on.
    fn is_restart_due(&self, request: &Message) -> bool {
        let method = request.member("params")["methodId"].as_str().map(str::to_owned);
        let is_said = |id: String| self.advertised.borrow().requires_restart(&id);
        self.successor.is_none() && method.is_some_and(is_said)
    }

    /// The agent has said what it is: the editor hears of it, and what it may have is delivered meanwhile.
    fn greeted(self: &Rc<Self>, answer: &Message) {
        let advertised = Rc::new(Advertised::of(answer));
        *self.advertised.borrow_mut() = advertised.clone();
        let is_served = self.is_served();
        self.hold();
        self.to_editor(handshake::to_editor(answer, &advertised, &self.face(is_served)));
        let relay = self.clone();
        spawn_local(async move {
            let turn = relay.turn.lock().await;
            relay.learn().await;
            relay.deliver_all().await;
            relay.release();
            drop(turn);
            relay.push_status();
        });
    }

    fn request_of_agent(&self, id: Id, message: Message) {
        if self.is_deserted.get() {
            return self.to_agent(deserted::unheard(&id));
        }
        if let Some(scheme) = link::unfit(&message) {
            let title = &self.settings.title;
            self.say(&format!("a link that {title} wants shown is no web page ({scheme})"));
            let what = "the url of an elicitation is http or https, and there once";
            return self.to_agent(Message::error(Some(&id), jsonrpc::INVALID_PARAMS, what, None));
        }
        if self.stale.borrow().contains(&id) {
            let new = self.new_id();
            let renamed = rewritten(&message, |members| members.set("id", new.to_string()));
            self.renamed.borrow_mut().insert(new, id);
            return self.to_editor(renamed);
        }
        self.asked_by_agent.borrow_mut().insert(id);
        self.to_editor(message);
    }

    fn news_of_agent(self: &Rc<Self>, method: &str, message: Message) {
        match method {
            "session/update" if !self.retold.borrow().is_empty() => {
                let session = message.member("params")["sessionId"].as_str().map(str::to_owned);
                if session.is_some_and(|session| self.retold.borrow().contains(&session)) {
                    return;
                }
            }
            "session/update" if self.is_about_settings(&message) => {
                self.sessions.borrow_mut().heard(&message);
            }
            "_auth/status_update" => {
                self.status.borrow_mut().hear(&message);
                self.push_status();
            }
            _ => {}
        }
        self.to_editor(message);
    }

    /// Whether an update tells of something that was set in its session.
    fn is_about_settings(&self, update: &Message) -> bool {
        let is_said = |kind: &&str| update.text().contains(*kind);
        self.sessions.borrow().has_settings()
            && ["current_mode_update", "config_option_update"].iter().any(is_said)
    }

    /// An id that no agent uses.
    pub(super) fn new_id(&self) -> Id {
        self.count.set(self.count.get() + 1);
        agent::own_id(format_args!("to-editor-{}", self.count.get()))
    }

    /// Asks the editor something for authctl.
    pub(super) fn ask_editor(&self, method: &str, params: &Value) -> oneshot::Receiver<Message> {
        let id = self.new_id();
        let (reply, answer) = oneshot::channel();
        self.asked.borrow_mut().insert(id.clone(), reply);
        self.to_editor(Message::request(&id, method, params));
        answer
    }

    /// What an agent that is gone had asked is answered to nobody.
    pub(super) fn agent_is_gone(&self) {
        let mut asked = self.asked_by_agent.borrow_mut();
        self.stale.borrow_mut().append(&mut asked);
        self.stale.borrow_mut().extend(self.renamed.borrow_mut().drain().map(|(new, _)| new));
    }

    /// Tells the session that the agent has ended for good.
    pub(super) fn agent_has_ended(&self, agent: &Rc<Agent>) {
        let is_current =
            self.agent.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, agent));
        if is_current && !self.is_restarting.get() {
            self.over.notify_one();
        }
    }

    pub(super) fn has_agent_ended(&self) -> bool {
        self.agent.borrow().as_ref().is_some_and(|agent| agent.has_ended())
    }

    /// There is no agent any more, and none can be started.
    pub(super) fn give_up(&self) {
        self.over.notify_one();
    }

    /// Each signal takes the agent a step nearer to its end.
    async fn hurry(self: Rc<Self>, asked: Rc<Cell<Option<Asked>>>) {
        loop {
            let by = signals::asked_to_end().await;
            asked.set(asked.get().or(Some(by)));
            let agent = self.agent.borrow().clone();
            match agent {
                Some(agent) if self.successor.is_none() => agent.hurry(),
                _ => self.over.notify_one(),
            }
        }
    }

    /// Ends the agent; what it leaves open gets an error.
    async fn end(&self) -> Exit {
        self.is_ending.set(true);
        let agent = self.agent.borrow().clone();
        let Some(agent) = agent.filter(|_| self.successor.is_none()) else { return Exit::Code(0) };
        let exit = agent.end(Ending::Closed).await;
        let what = match exit {
            Exit::Code(code) => format!("ended with exit status {code} before it answered"),
            #[cfg(unix)]
            Exit::Signal(number) => format!("was ended by signal {number} before it answered"),
        };
        let what = format!("{} {what}", self.settings.title);
        let held = self.held.borrow_mut().drain(..).filter_map(|it| it.id().cloned()).collect();
        let mending: Vec<Id> = self.mending.borrow().keys().cloned().collect();
        for id in [self.open.drain(), mending, held].concat() {
            self.to_editor(Message::error(Some(&id), jsonrpc::INTERNAL_ERROR, &what, None));
        }
        self.is_over.set(true);
        exit
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.get()
    }
}
