//! The audit log of a proxy, written by a thread of its own so that no request waits for the disk.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::http::uri::Authority;
use jiff::Timestamp;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::audit::{Entry, Event, Outcome, Page};
use crate::context::{Context, Options};
use crate::proxy::Passed;
use crate::signals;

/// How long a line waits for others that are written with it.
const PAUSE: Duration = Duration::from_millis(100);
/// Lines that wait for the disk; further ones are lost, and that is said.
const WAITING: usize = 50_000;

/// Writes the log while a proxy runs.
pub struct Scribe {
    lines: Lines,
    thread: JoinHandle<()>,
}

/// The way to the thread that writes: many lines at once, since waking it costs as much as a request.
#[derive(Clone)]
pub struct Lines {
    send: mpsc::Sender<Page>,
    /// Lines on their way.
    waiting: Arc<AtomicUsize>,
    /// Whose requests these are.
    program: Option<String>,
}

impl Scribe {
    /// `program`: whose requests these are.
    pub fn start(
        options: Options,
        command_line: fn() -> clap::Command,
        program: Option<String>,
    ) -> Self {
        let (send, queue) = mpsc::channel::<Page>();
        let lines = Lines { send, waiting: Arc::default(), program };
        let waiting = lines.waiting.clone();
        let thread = thread::spawn(move || {
            signals::leave_to_main_thread();
            let context = Context::new(options, command_line);
            for page in queue {
                waiting.fetch_sub(page.lines(), Ordering::Relaxed);
                context.record_page(&page);
            }
        });
        Self { lines, thread }
    }

    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Writes what is left; to be called when nobody else has a sender.
    pub fn finish(self) {
        drop(self.lines);
        // It has no failing case but a panic, which was reported.
        let _ = self.thread.join();
    }
}

/// Lines of one thread that wait for each other.
pub struct Pages {
    lines: Lines,
    open: RefCell<Page>,
    /// The line before the next one, whose texts have their room already.
    passed: RefCell<Entry>,
    /// What every line begins with.
    blank: Entry,
}

impl Pages {
    pub fn new(lines: Lines, context: &Context) -> Self {
        let program = lines.program.clone();
        let entry = Entry { program, ..Entry::new(Event::Proxy, Outcome::Done) };
        let blank = context.placed(entry);
        Self { lines, open: RefCell::default(), passed: RefCell::new(blank.clone()), blank }
    }

    /// Adds a line; whether there was room.
    fn add(self: &Rc<Self>, entry: &mut Entry) -> bool {
        let mut open = self.open.borrow_mut();
        if self.lines.waiting.load(Ordering::Relaxed) + open.lines() >= WAITING {
            return false;
        }
        open.add(entry);
        if open.lines() == 1 {
            let pages = self.clone();
            spawn_local(async move {
                sleep(PAUSE).await;
                pages.turn();
            });
        }
        true
    }

    /// The line of a request that got its answer.
    pub fn passed(self: &Rc<Self>, passed: &Passed<'_>) -> bool {
        let line = &mut *self.passed.borrow_mut();
        line.time = Timestamp::now();
        line.status = Some(passed.status.as_u16());
        write(&mut line.name, &passed.credential.name);
        write(&mut line.method, passed.method.as_str());
        write(&mut line.path, passed.uri.path());
        match passed.held {
            Some(held) => write(&mut line.id, &held.id),
            None => line.id = None,
        }
        line.hosts.resize_with(1, String::new);
        line.hosts[0].clear();
        line.hosts[0].push_str(passed.uri.authority().map_or("", Authority::as_str));
        self.add(line)
    }

    /// The line of one that went no further.
    pub fn refused(self: &Rc<Self>, reason: String) -> bool {
        let (time, outcome) = (Timestamp::now(), Outcome::Refused);
        self.add(&mut Entry { time, outcome, reason: Some(reason), ..self.blank.clone() })
    }

    fn turn(&self) {
        let full = std::mem::take(&mut *self.open.borrow_mut());
        if full.lines() == 0 {
            return;
        }
        self.lines.waiting.fetch_add(full.lines(), Ordering::Relaxed);
        // The thread outlives its senders.
        let _ = self.lines.send.send(full);
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.turn();
    }
}

/// Puts a text in the place of another one.
fn write(place: &mut Option<String>, text: &str) {
    let place = place.get_or_insert_default();
    place.clear();
    place.push_str(text);
}
