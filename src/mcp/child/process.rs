//! One run of a server on stdio: lines to its stdin, lines from its stdout, and its end. Whatever waits for an
//! answer when it ends is told so.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::future::{pending, poll_fn};
use std::io::{self, Write};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, spawn_local, yield_now};
use tokio::time::sleep;

use crate::jsonrpc::{Id, Kind, Message};
use crate::launch::{self, Ending, Exit, Piped};
use crate::mcp::unsent::{Part, Unsent};
use crate::mcp::{Failure, Sink};
use crate::stdio::{self, Found, Lines};

/// How long a server may take to end by itself, and again once it was told to. Both together are less than the
/// official SDKs wait (2 s) before they do the same to authctl.
const GRACE: Duration = Duration::from_millis(750);

/// How many tasks hand a response on to the next one, from here to the host, at most.
const HANDS: usize = 4;

/// A server that was started.
pub struct Process {
    /// To its stdin; gone when it is to end.
    lines: RefCell<Option<mpsc::UnboundedSender<Line>>>,
    unsent: Rc<Unsent>,
    waiting: RefCell<HashMap<Id, oneshot::Sender<Result<Message, Failure>>>>,
    ending: watch::Sender<Option<Ending>>,
    exit: watch::Sender<Option<Exit>>,
    has_answered: Cell<bool>,
    was_told: Cell<bool>,
    /// Lines that stderr has had.
    said: RefCell<BTreeSet<String>>,
}

/// What is to be written, and its part of what waits for that.
type Line = (String, Part);

/// Forgets a request whose answer nobody waits for any more.
struct Waiting<'a> {
    process: &'a Process,
    id: &'a Id,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.process.waiting.borrow_mut().remove(self.id);
    }
}

impl Process {
    /// Starts the server. What it says by itself goes to `sink`, and `unsent` counts what it does not read.
    pub fn start(
        command: &launch::Command,
        sink: Sink,
        unsent: Rc<Unsent>,
    ) -> Result<Rc<Self>, launch::Error> {
        let (piped, stdin, stdout) = Piped::start(command)?;
        let (lines, queue) = mpsc::unbounded_channel();
        let process = Rc::new(Self {
            lines: RefCell::new(Some(lines)),
            unsent: unsent.clone(),
            waiting: RefCell::default(),
            ending: watch::Sender::new(None),
            exit: watch::Sender::new(None),
            has_answered: Cell::default(),
            was_told: Cell::default(),
            said: RefCell::default(),
        });
        let writer = spawn_local(write(queue, stdin, unsent)).abort_handle();
        spawn_local(Rc::clone(&process).run(piped, stdout, writer, sink));
        Ok(process)
    }

    async fn run(
        self: Rc<Self>,
        mut piped: Piped,
        stdout: ChildStdout,
        writer: AbortHandle,
        sink: Sink,
    ) {
        tokio::select! {
            () = self.read(stdout, &sink) => {}
            () = self.told(Ending::Closed) => {}
        }
        self.was_told.set(self.ending.borrow().is_some());
        let exit = self.bring_down(&mut piped).await;
        // What it started may hold its stdin, and not read it.
        writer.abort();
        self.exit.send_replace(Some(exit));
        self.waiting.borrow_mut().clear();
    }

    /// Goes from step to step, a while or a word each.
    async fn bring_down(&self, piped: &mut Piped) -> Exit {
        let steps = [Ending::Closed, Ending::Terminated, Ending::Killed];
        for (at, step) in steps.into_iter().enumerate() {
            self.close(step);
            piped.tell(step);
            let next = async {
                match steps.get(at + 1) {
                    Some(next) => self.told(*next).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                exit = piped.wait() => return exit,
                () = next => {}
                () = sleep(GRACE) => {}
            }
        }
        piped.abandon();
        piped.wait().await
    }

    /// Comes back when it is to end in this way, or a harder one.
    async fn told(&self, how: Ending) {
        let mut ending = self.ending.subscribe();
        // The sender lives as long as `self`.
        let _ = ending.wait_for(|ending| *ending >= Some(how)).await;
    }

    /// Reads its stdout to the end, while the host has room for what it says. Messages go on in their order.
    async fn read(&self, stdout: ChildStdout, sink: &Sink) {
        let mut lines = Lines::new(stdout);
        for count in 1_u32.. {
            stdio::room().await;
            // Whoever passes the messages on gets a turn.
            if count.is_multiple_of(64) {
                yield_now().await;
            }
            let Some(found) = lines.next().await else { return };
            for found in found {
                if self.take(found, sink) {
                    pass_on().await;
                }
            }
        }
    }

    /// Whether somebody waits for it, who has not passed it on yet.
    fn take(&self, found: Found, sink: &Sink) -> bool {
        let message = match found {
            Ok(message) => message,
            Err(flawed) => {
                self.say_once(&flawed.to_string());
                let answered = flawed.ids.iter().filter(|id| {
                    let what = format!("the server's answer {}", flawed.flaw);
                    self.answer(id, Err(Failure::failed(what)))
                });
                return answered.count() > 0;
            }
        };
        if let Kind::Response { id: Some(id), .. } = message.kind() {
            self.has_answered.set(true);
            let id = id.clone();
            return self.answer(&id, Ok(message));
        }
        sink(message);
        false
    }

    /// Nobody waits for the answer to what was cancelled.
    fn answer(&self, id: &Id, answer: Result<Message, Failure>) -> bool {
        let waiting = self.waiting.borrow_mut().remove(id);
        waiting.is_some_and(|waiting| waiting.send(answer).is_ok())
    }

    fn say_once(&self, line: &str) {
        if self.said.borrow_mut().insert(line.to_owned()) {
            say(line);
        }
    }

    /// Sends a request, and waits for its answer.
    pub async fn request(&self, request: &Message) -> Result<Message, Failure> {
        let Some(id) = request.id() else { return Err(Failure::failed("this is no request")) };
        let (answer, answered) = oneshot::channel();
        self.waiting.borrow_mut().insert(id.clone(), answer);
        let _waiting = Waiting { process: self, id };
        self.tell(request)?;
        answered.await.unwrap_or_else(|_| Err(self.ended()))
    }

    pub fn tell(&self, message: &Message) -> Result<(), Failure> {
        let lines = self.lines.borrow();
        let lines = lines.as_ref().ok_or_else(|| self.ended())?;
        let line = (message.text().to_owned(), self.unsent.add(message));
        lines.send(line).map_err(|_| self.ended())
    }

    /// What becomes of a request to a server that has ended.
    pub fn ended(&self) -> Failure {
        Failure::failed(match self.exit() {
            Some(Exit::Code(code)) => format!("the server has ended with exit status {code}"),
            #[cfg(unix)]
            Some(Exit::Signal(number)) => format!("the server was ended by signal {number}"),
            None => "the server has ended".to_owned(),
        })
    }

    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    pub fn is_over(&self) -> bool {
        self.lines.borrow().is_none()
    }

    /// Whether it ever answered a request.
    pub fn has_answered(&self) -> bool {
        self.has_answered.get()
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        let exit = exit.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| *exit).unwrap_or(Exit::Code(1))
    }

    /// Has it end, and waits for that.
    pub async fn end(&self, how: Ending) -> Exit {
        self.close(how);
        self.wait().await
    }

    /// Has it end in this way, if it is not in a harder one.
    pub fn close(&self, how: Ending) {
        self.lines.take();
        self.ending.send_if_modified(|ending| {
            let is_harder = *ending < Some(how);
            if is_harder {
                *ending = Some(how);
            }
            is_harder
        });
    }

    /// Whether its end was wanted.
    pub fn was_told(&self) -> bool {
        self.was_told.get()
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
}

/// Lets every task that can go on do so, until a response that one of them got has reached the host.
async fn pass_on() {
    for _ in 0..HANDS {
        let mut was_here = false;
        poll_fn(|context| {
            if std::mem::replace(&mut was_here, true) {
                return Poll::Ready(());
            }
            // Behind all the others.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Writes lines until there are no more, then closes stdin.
async fn write(
    mut queue: mpsc::UnboundedReceiver<Line>,
    mut stdin: ChildStdin,
    unsent: Rc<Unsent>,
) {
    while let Some((mut line, part)) = queue.recv().await {
        let mut parts = vec![part];
        line.push('\n');
        while line.len() < 64 << 10
            && let Ok((next, part)) = queue.try_recv()
        {
            line.push_str(&next);
            line.push('\n');
            parts.push(part);
        }
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            // A server that reads no more is about to end, or to be ended.
            let Ok(written) = stdin.write(rest).await else { return };
            rest = &rest[written..];
            unsent.moved();
        }
    }
}

/// stderr is for people, the server's own too.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "authctl: {line}");
}
