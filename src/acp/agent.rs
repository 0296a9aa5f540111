//! One run of the agent: lines to its stdin, lines from its stdout, and its end. Requests of authctl's own have
//! ids that nobody else uses.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use super::chain::Successor;
use crate::jsonrpc::{Id, Kind, Message};
use crate::launch::{self, Ending, Exit, Piped};
use crate::secret::{Secret, conceal};
use crate::stdio::{self, Flawed, Lines};
use crate::text::clean_to;

/// How long an agent may take to end by itself, and again once it was told to.
const GRACE: Duration = Duration::from_millis(1_500);
/// Bytes on their way to an agent that does not read, from which on the editor waits.
const FULL: usize = 4 << 20;
/// The beginning of ids that are this process's: the agent may be another authctl, and so may the editor.
static OWN: LazyLock<String> =
    LazyLock::new(|| format!("authctl-{}-", &Secret::random().expose()[3..11]));

/// What comes from it, in its order; answers to authctl itself are for [`Agent::hear`].
pub type Sink = Box<dyn Fn(&Rc<Agent>, Result<Message, Flawed>)>;

pub struct Agent {
    /// Gone when it is to end.
    to: RefCell<Option<To>>,
    /// Bytes that it has not read.
    backlog: Rc<Backlog>,
    waiting: RefCell<HashMap<Id, oneshot::Sender<Message>>>,
    count: Cell<u64>,
    ending: watch::Sender<Option<Ending>>,
    exit: watch::Sender<Option<Exit>>,
}

/// The way to it.
enum To {
    /// Lines to its stdin.
    Child(mpsc::UnboundedSender<String>),
    /// Somebody else runs it.
    Successor(Rc<Successor>),
}

#[derive(Default)]
struct Backlog {
    bytes: Cell<usize>,
    shrunk: Notify,
}

/// Why a request of authctl's own has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    #[error("the agent has ended")]
    Ended,
    #[error("the agent did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl Agent {
    /// Starts the agent. What it says goes to `sink`.
    pub fn start(command: &launch::Command, sink: Sink) -> Result<Rc<Self>, launch::Error> {
        let (piped, stdin, stdout) = Piped::start(command)?;
        let (lines, queue) = mpsc::unbounded_channel();
        let agent = Self::new(To::Child(lines));
        spawn_local(write(queue, stdin, agent.backlog.clone()));
        spawn_local(agent.clone().run(piped, stdout, sink));
        Ok(agent)
    }

    /// One that a conductor runs, and whose words it brings.
    pub fn successor(successor: Rc<Successor>) -> Rc<Self> {
        Self::new(To::Successor(successor))
    }

    fn new(to: To) -> Rc<Self> {
        Rc::new(Self {
            to: RefCell::new(Some(to)),
            backlog: Rc::default(),
            waiting: RefCell::default(),
            count: Cell::default(),
            ending: watch::Sender::new(None),
            exit: watch::Sender::new(None),
        })
    }

    async fn run(self: Rc<Self>, mut piped: Piped, stdout: ChildStdout, sink: Sink) {
        tokio::select! {
            () = self.read(stdout, &sink) => {}
            () = self.told(Ending::Terminated) => {}
            // It may finish what it does, but not for long: what it started can hold the pipe open.
            () = async { self.told(Ending::Closed).await; sleep(GRACE).await } => {}
        }
        let exit = self.bring_down(&mut piped).await;
        self.exit.send_replace(Some(exit));
        self.waiting.borrow_mut().clear();
    }

    /// Goes from step to step, a while or a word each.
    async fn bring_down(&self, piped: &mut Piped) -> Exit {
        for step in [Ending::Closed, Ending::Terminated, Ending::Killed] {
            self.close(step);
            piped.tell(step);
            let harder = async {
                match step {
                    Ending::Closed => self.told(Ending::Terminated).await,
                    _ => self.told(Ending::Killed).await,
                }
            };
            tokio::select! {
                exit = piped.wait() => return exit,
                () = harder, if step != Ending::Killed => {}
                () = sleep(GRACE) => {}
            }
        }
        piped.abandon();
        piped.wait().await
    }

    async fn told(&self, how: Ending) {
        let mut ending = self.ending.subscribe();
        // The sender lives as long as `self`.
        let _ = ending.wait_for(|ending| *ending >= Some(how)).await;
    }

    /// Reads its stdout to the end, while the editor has room for what it says.
    async fn read(self: &Rc<Self>, stdout: ChildStdout, sink: &Sink) {
        let mut lines = Lines::new(stdout);
        for count in 1_u32.. {
            stdio::room().await;
            // Whoever passes the messages on gets a turn.
            if count.is_multiple_of(64) {
                yield_now().await;
            }
            let Some(found) = lines.next().await else { return };
            for found in found {
                sink(self, found);
            }
        }
    }

    /// Takes the answer to a request of authctl's own; everything else comes back.
    pub fn hear(&self, message: Message) -> Option<Message> {
        let Kind::Response { id: Some(id), .. } = message.kind() else { return Some(message) };
        let Some(waiting) = self.waiting.borrow_mut().remove(id) else { return Some(message) };
        // Nobody waits any longer for what came too late.
        let _ = waiting.send(message);
        None
    }

    /// Queues a message; never waits.
    pub fn tell(&self, message: Message) {
        match &*self.to.borrow() {
            Some(To::Child(lines)) => {
                let line = message.into_text();
                self.backlog.bytes.set(self.backlog.bytes.get() + line.len());
                // One that reads no more is about to end.
                let _ = lines.send(line);
            }
            Some(To::Successor(successor)) => successor.tell(&message),
            None => {}
        }
    }

    /// Waits until it has read most of what it was told.
    pub async fn room(&self) {
        while self.backlog.bytes.get() >= FULL && self.to.borrow().is_some() {
            let shrunk = self.backlog.shrunk.notified();
            tokio::select! {
                () = shrunk => {}
                () = self.told(Ending::Closed) => return,
            }
        }
    }

    /// Asks it something for authctl, and waits so long.
    pub async fn ask(
        &self,
        method: &str,
        params: &Value,
        patience: Duration,
    ) -> Result<Message, Silence> {
        if self.to.borrow().is_none() {
            return Err(Silence::Ended);
        }
        self.count.set(self.count.get() + 1);
        let id = own_id(self.count.get());
        let (reply, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(id.clone(), reply);
        self.tell(Message::request(&id, method, params));
        let answered = timeout(patience, answer).await;
        self.waiting.borrow_mut().remove(&id);
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Silence::Ended),
            Err(_) => {
                let cancelled = serde_json::json!({"requestId": id.to_value()});
                self.tell(Message::notification("$/cancel_request", Some(&cancelled)));
                Err(Silence::TimedOut(patience))
            }
        }
    }

    /// Has it end in this way, if it is not in a harder one.
    pub fn close(&self, how: Ending) {
        self.to.take();
        self.ending.send_if_modified(|ending| {
            let is_harder = *ending < Some(how);
            if is_harder {
                *ending = Some(how);
            }
            is_harder
        });
    }

    /// Has it end at once, and the second time by force.
    pub fn hurry(&self) {
        let now = *self.ending.borrow();
        self.close(if now >= Some(Ending::Terminated) {
            Ending::Killed
        } else {
            Ending::Terminated
        });
    }

    pub fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        let exit = exit.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| *exit).unwrap_or(Exit::Code(1))
    }

    pub async fn end(&self, how: Ending) -> Exit {
        self.close(how);
        self.wait().await
    }
}

/// The id of a request of authctl's own: nobody else has one like it.
pub fn own_id(name: impl Display) -> Id {
    Id::name(&format!("{}{name}", *OWN))
}

/// Whether an id is one of authctl's own requests.
pub fn is_own(id: &Id) -> bool {
    id.to_value().as_str().is_some_and(|id| id.starts_with(&*OWN))
}

/// What is no message goes to stderr, as it would without authctl between; but for what is `hidden`.
pub fn note(flawed: &Flawed, hidden: &[Secret]) {
    let text = clean_to(&conceal(&flawed.text, hidden), 2_000);
    if !text.is_empty() {
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Writes lines until there are no more, then closes stdin.
async fn write(
    mut queue: mpsc::UnboundedReceiver<String>,
    mut stdin: ChildStdin,
    backlog: Rc<Backlog>,
) {
    while let Some(mut line) = queue.recv().await {
        let mut taken = line.len();
        line.push('\n');
        while line.len() < 64 << 10
            && let Ok(next) = queue.try_recv()
        {
            taken += next.len();
            line.push_str(&next);
            line.push('\n');
        }
        let written = stdin.write_all(line.as_bytes()).await;
        backlog.bytes.set(backlog.bytes.get() - taken);
        backlog.shrunk.notify_waiters();
        // An agent that reads no more is about to end, or to be ended.
        if written.is_err() {
            return;
        }
    }
}
