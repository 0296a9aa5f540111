//! A server on stdio that has its credentials in its environment. It is started anew when they are about to
//! end, were refused, or when somebody signed in; whoever speaks to it does not notice.

mod link;
mod process;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{RwLock, mpsc, watch};
use tokio::time::{Instant, timeout};
use url::Url;

pub use link::Shared;
use process::{Process, say};

use super::convert::Hosts;
use super::meta::SUBSCRIPTION_ID;
use super::unsent::{Part, Unsent};
use super::{Era, Failure, Pending, Sink};
use crate::forward::{Broker, Trouble};
use crate::jsonrpc::{Id, Kind, Message};
use crate::launch::{self, Ending, Exit};
use crate::login_signal::{Signal, of_message};

/// How long a restart waits for requests that are open.
const RESTART_WAIT: Duration = Duration::from_secs(30);

/// Pause after a try to renew that came to nothing.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// Longest time before its end at which a credential is renewed.
const EARLY: SignedDuration = SignedDuration::from_secs(60);

/// A server's command, with the credentials that work now.
#[derive(Debug, Clone)]
pub struct Outfit {
    pub command: launch::Command,
    /// When the first of the credentials ends.
    pub ends: Option<Timestamp>,
    /// Nobody is signed in to something that the server is to have.
    pub is_lacking: bool,
}

impl Outfit {
    /// Whether it is worth a start in place of another one.
    pub fn is_better_than(&self, other: &Self) -> bool {
        let loses = self.is_lacking && !other.is_lacking;
        !loses && !self.is_like(other)
    }

    /// Whether both have the same credentials.
    fn is_like(&self, other: &Self) -> bool {
        let values = |outfit: &Self| -> Vec<(String, String)> {
            let set = outfit.command.set.iter();
            set.map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
        };
        values(self) == values(other)
    }
}

/// Why an outfit is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// What works now.
    Fresh,
    /// Other credentials than those that the server refused.
    Renewed,
}

/// Where servers get their credentials.
pub trait Outfitter {
    /// What a server is started with, written down as handed over if it is better than what the one has that
    /// runs.
    fn outfit(&self, want: Want, running: Option<Outfit>) -> Pending<'_, Result<Outfit, Trouble>>;

    /// How many sign-ins this process has brought to a good end.
    fn sign_ins(&self) -> usize;

    fn broker(&self) -> &Broker;

    fn title(&self) -> String;

    /// Whom `authctl login` signs in, for the server.
    fn login_name(&self) -> String;
}

/// The way to a server on stdio.
pub struct Child {
    hosts: Hosts,
    outfitter: Rc<dyn Outfitter>,
    sink: RefCell<Option<Sink>>,
    unsent: Rc<Unsent>,
    /// Where the news of an open `subscriptions/listen` go.
    listeners: RefCell<HashMap<Id, mpsc::UnboundedSender<Message>>>,
    /// As it turned out when it was started for its host.
    era: Cell<Option<Era>>,
    /// A process whose end says no more than that it did not understand a question.
    forgiven: RefCell<Option<Rc<Process>>>,
    /// The host's `initialize` and the notification after it, for the next start.
    hello: RefCell<Option<Message>>,
    initialized: RefCell<Option<Message>>,
    running: RefCell<Option<Running>>,
    /// Held by each open request; a restart takes it whole.
    gate: RwLock<()>,
    renew_after: Cell<Option<Instant>>,
    /// Renewed credentials were refused as well; only a sign-in can help.
    is_fruitless: Cell<bool>,
    /// The sign-ins before credentials were last asked for.
    counted: Cell<usize>,
    exit: watch::Sender<Option<Exit>>,
    /// It has no address.
    url: Url,
}

#[derive(Clone)]
struct Running {
    process: Rc<Process>,
    outfit: Rc<Outfit>,
    /// When the credentials are to be renewed.
    renewal: Option<Timestamp>,
    sign_ins: usize,
}

impl Running {
    /// A server that ends before it answers, and has not what it was to have, ended for want of that.
    fn ended_for_want(&self) -> bool {
        self.outfit.is_lacking && self.process.is_over() && !self.process.has_answered()
    }

    /// Its answer, or that it wants a sign-in.
    fn told(&self, answer: Result<Message, Failure>) -> Result<Message, Failure> {
        answer.map_err(|failure| if self.ended_for_want() { Failure::SignedOut } else { failure })
    }
}

impl Child {
    /// `hosts` are those without a handshake; one with a handshake is alone.
    pub fn new(outfitter: Rc<dyn Outfitter>, hosts: Hosts) -> Rc<Self> {
        Rc::new(Self {
            hosts,
            outfitter,
            sink: RefCell::default(),
            unsent: Unsent::new(),
            listeners: RefCell::default(),
            era: Cell::default(),
            forgiven: RefCell::default(),
            hello: RefCell::default(),
            initialized: RefCell::default(),
            running: RefCell::default(),
            gate: RwLock::new(()),
            renew_after: Cell::default(),
            is_fruitless: Cell::default(),
            counted: Cell::default(),
            exit: watch::Sender::new(None),
            url: Url::parse("about:blank").unwrap_or_else(|_| unreachable!("a constant URL")),
        })
    }

    /// Which revisions the server speaks, as far as its host had to find out.
    pub fn era(&self) -> Option<Era> {
        self.era.get()
    }

    /// How the server left by itself.
    pub async fn exited(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        let exit = exit.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| *exit).unwrap_or(Exit::Code(1))
    }

    /// Has the server end, and waits for that. `None`: it was never started.
    pub async fn end(&self, how: Ending) -> Option<Exit> {
        let running = self.running.borrow().clone()?;
        Some(running.process.end(how).await)
    }

    /// Has it end at once, and the second time by force.
    pub fn hurry(&self) {
        if let Some(running) = self.running() {
            running.process.hurry();
        }
    }

    // ------------------------------------------------------------------------------------ starting

    /// Credentials, and the count of sign-ins that they may come from.
    async fn outfit(&self, want: Want) -> Result<Outfit, Trouble> {
        self.counted.set(self.outfitter.sign_ins());
        let running = self.running();
        let running = running.filter(|it| !it.process.is_over() || it.ended_for_want());
        self.outfitter.outfit(want, running.map(|running| (*running.outfit).clone())).await
    }

    /// Starts the server with `outfit`, in place of the one that runs; gives its answer to `initialize`.
    async fn start(self: &Rc<Self>, outfit: Outfit) -> Result<Option<Message>, Failure> {
        let before = self.running.take();
        if let Some(before) = before {
            before.process.end(Ending::Closed).await;
        }
        let heard = Rc::downgrade(self);
        let sink = move |message| {
            if let Some(child) = heard.upgrade() {
                child.hear(message);
            }
        };
        let process = Process::start(&outfit.command, Rc::new(sink), self.unsent.clone())
            .map_err(|error| Failure::failed(error.to_string()))?;
        let running = Running {
            process: process.clone(),
            renewal: outfit.ends.map(renewal),
            sign_ins: self.counted.get(),
            outfit: Rc::new(outfit),
        };
        *self.running.borrow_mut() = Some(running.clone());
        tokio::task::spawn_local(Rc::clone(self).watch(process));
        self.shake_hands(&running).await
    }

    /// The host hears of an end that is no restart. A server that was refused a credential may end for want of
    /// it, and is started again after a sign-in.
    async fn watch(self: Rc<Self>, process: Rc<Process>) {
        let exit = process.wait().await;
        let running = self.running.borrow();
        if let Some(running) = &*running
            && Rc::ptr_eq(&running.process, &process)
            && !running.ended_for_want()
            && !self.is_forgiven(&process)
        {
            if !process.was_told() {
                say(&process.ended().text());
            }
            self.exit.send_replace(Some(exit));
        }
    }

    fn is_forgiven(&self, process: &Rc<Process>) -> bool {
        self.forgiven.borrow().as_ref().is_some_and(|forgiven| Rc::ptr_eq(forgiven, process))
    }

    /// What the server says by itself goes to the stream that it belongs to, else to the host.
    fn hear(&self, message: Message) {
        let listener = self.listener(&message);
        let sink = self.sink.borrow().clone();
        match (listener, sink) {
            (Some(listener), _) => drop(listener.send(message)),
            (None, Some(sink)) => sink(message),
            (None, None) => {}
        }
    }

    fn listener(&self, message: &Message) -> Option<mpsc::UnboundedSender<Message>> {
        let listeners = self.listeners.borrow();
        if listeners.is_empty() || !matches!(message.kind(), Kind::Notification { .. }) {
            return None;
        }
        let id = Id::of(&message.member("params")["_meta"][SUBSCRIPTION_ID])?;
        listeners.get(&id).cloned()
    }

    async fn shake_hands(&self, running: &Running) -> Result<Option<Message>, Failure> {
        let Some(hello) = self.hello.borrow().clone() else { return Ok(None) };
        let greeting = running.told(running.process.request(&hello).await)?;
        if let Some(initialized) = &*self.initialized.borrow() {
            running.process.tell(initialized)?;
        }
        Ok(Some(greeting))
    }

    // ------------------------------------------------------------------------------------ renewing

    fn running(&self) -> Option<Running> {
        self.running.borrow().clone()
    }

    /// Why the server has to be started anew before the next request.
    fn due(&self) -> Option<Due> {
        let Some(running) = self.running() else { return Some(Due::Start) };
        if running.sign_ins != self.outfitter.sign_ins() {
            return Some(Due::SignedIn);
        }
        if running.ended_for_want() {
            return Some(Due::Start);
        }
        let is_paused = self.renew_after.get().is_some_and(|after| Instant::now() < after);
        let is_ending = running.renewal.is_some_and(|renewal| renewal <= Timestamp::now());
        (is_ending && !is_paused).then_some(Due::Ending)
    }

    /// Starts the server anew if it must be; requests that come meanwhile wait.
    async fn renew_if_due(self: &Rc<Self>) -> Result<(), Failure> {
        if self.due().is_none() {
            return Ok(());
        }
        let Ok(_whole) = timeout(RESTART_WAIT, self.gate.write()).await else { return Ok(()) };
        // Whoever waited before may have done it.
        let Some(due) = self.due() else { return Ok(()) };
        let outfit = match (self.outfit(Want::Fresh).await, due) {
            (Ok(outfit), _) => outfit,
            (Err(trouble), Due::Start) => return Err(Failure::failed(trouble.0)),
            (Err(trouble), _) => {
                self.pause(&trouble.0);
                return Ok(());
            }
        };
        self.refuse_in_vain(&outfit)?;
        if due == Due::Start || self.is_better(&outfit) {
            self.is_fruitless.set(false);
            self.start(outfit).await?;
        } else if let Some(running) = &mut *self.running.borrow_mut() {
            // There is nothing better than what it has.
            (running.renewal, running.sign_ins) = (None, self.counted.get());
        }
        Ok(())
    }

    fn pause(&self, why: &str) {
        say(&format!("the server keeps the credential that it has: {why}"));
        self.renew_after.set(Some(Instant::now() + RENEWAL_PAUSE));
    }

    /// A server that ended for want of a credential would end again.
    fn refuse_in_vain(&self, outfit: &Outfit) -> Result<(), Failure> {
        match self.running() {
            Some(running) if running.ended_for_want() && running.outfit.is_like(outfit) => {
                Err(Failure::SignedOut)
            }
            _ => Ok(()),
        }
    }

    fn is_better(&self, outfit: &Outfit) -> bool {
        self.running().is_none_or(|running| outfit.is_better_than(&running.outfit))
    }

    /// After the server refused its credentials: whether it was started anew with others. Once for credentials
    /// that were refused; those that took their place and are refused too stay until somebody signs in.
    async fn renewed(self: &Rc<Self>, refused: &Running) -> bool {
        let Ok(_whole) = timeout(RESTART_WAIT, self.gate.write()).await else { return false };
        let is_done =
            self.running().is_none_or(|running| !Rc::ptr_eq(&running.process, &refused.process));
        if is_done {
            return true;
        }
        if self.is_fruitless.get() {
            return false;
        }
        let want = if refused.outfit.is_lacking { Want::Fresh } else { Want::Renewed };
        match self.outfit(want).await {
            Ok(outfit) if self.is_better(&outfit) => self.start(outfit).await.is_ok(),
            _ => false,
        }
    }

    // ------------------------------------------------------------------------------------ requests

    async fn ask(self: &Rc<Self>, request: &Message) -> Result<Message, Failure> {
        if request.method() == Some("initialize") {
            *self.hello.borrow_mut() = Some(request.clone());
        }
        let part = self.unsent.add(request);
        self.renew_if_due().await?;
        let (answer, by) = self.pass(request, Some(part)).await?;
        if !self.is_refusal(&answer) || !self.renewed(&by).await {
            return Ok(answer);
        }
        let (answer, _) = self.pass(request, None).await?;
        self.is_fruitless.set(self.is_refusal(&answer));
        Ok(answer)
    }

    fn is_refusal(&self, answer: &Message) -> bool {
        let signal = of_message(answer.text().as_bytes(), &self.url);
        matches!(signal, Signal::Missing(_) | Signal::Rejected(..))
    }

    /// The server's answer, and which server that was. A stream outlives a restart. `part` is of what waits, until
    /// the server counts it.
    async fn pass(
        &self,
        request: &Message,
        mut part: Option<Part>,
    ) -> Result<(Message, Running), Failure> {
        loop {
            let open = if is_stream(request) { None } else { Some(self.gate.read().await) };
            let Some(running) = self.running() else {
                return Err(Failure::failed("the server has ended"));
            };
            drop(part.take());
            let answer = running.process.request(request).await;
            drop(open);
            if answer.is_err() && is_stream(request) && self.is_replaced(&running).await {
                continue;
            }
            return Ok((running.told(answer)?, running));
        }
    }

    /// Whether another server runs by now in place of this one.
    async fn is_replaced(&self, ended: &Running) -> bool {
        let _open = self.gate.read().await;
        self.running().is_some_and(|running| !Rc::ptr_eq(&running.process, &ended.process))
    }

    async fn pass_on(&self, message: &Message) -> Result<(), Failure> {
        if message.method() == Some("notifications/initialized") {
            *self.initialized.borrow_mut() = Some(message.clone());
        }
        // None runs while one is started anew.
        let open = if self.running().is_none() { Some(self.gate.read().await) } else { None };
        let told = self.running().map(|running| running.process.tell(message));
        drop(open);
        told.unwrap_or_else(|| Err(Failure::failed("the server has ended")))
    }
}

/// Why a server is started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Start,
    SignedIn,
    Ending,
}

/// The last quarter of a short life is left unused.
fn renewal(ends: Timestamp) -> Timestamp {
    let now = Timestamp::now();
    let life = ends.duration_since(now);
    ends.checked_sub(EARLY.min(life / 4)).unwrap_or(ends).max(now)
}

/// A request that is answered when it is over (MCP 2026-07-28, subscriptions).
fn is_stream(request: &Message) -> bool {
    request.method() == Some("subscriptions/listen")
}
