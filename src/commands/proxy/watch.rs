//! Who is told what a proxy does: the audit log, by a thread of its own so that no request waits for the disk,
//! and the person at the terminal, of what went wrong.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::{Method, StatusCode, Uri};
use jiff::Timestamp;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::audit::{Entry, Event, Outcome};
use crate::context::{Context, Options};
use crate::forward::Held;
use crate::interact::Interact;
use crate::login_signal::{Demand, Signal};
use crate::proxy::{Lent, Passed, Refusal, Watch};
use crate::signals;
use crate::text;

/// How long a line waits for others that are written with it.
const PAUSE: Duration = Duration::from_millis(100);
/// Lines that wait for the disk; further ones are lost, and that is said.
const WAITING: usize = 50_000;
/// Different problems that are said before the rest is left to the log.
const MOST_SAID: usize = 50;
/// Scopes that are said, in bytes.
const MOST_SCOPES: usize = 500;

/// Writes the log while a proxy runs.
pub struct Scribe {
    lines: Lines,
    thread: JoinHandle<()>,
}

/// The way to the thread that writes: many lines at once, since waking it costs as much as a request.
#[derive(Clone)]
pub struct Lines {
    send: mpsc::Sender<Vec<Line>>,
    /// Lines on their way.
    waiting: Arc<AtomicUsize>,
    /// What the person was told, by whichever thread.
    said: Arc<Mutex<BTreeSet<String>>>,
}

/// What is written, as it is put together at a request.
enum Line {
    Passed {
        time: Timestamp,
        name: Arc<str>,
        held: Option<Arc<Held>>,
        method: Method,
        uri: Uri,
        status: StatusCode,
    },
    Refused {
        time: Timestamp,
        reason: String,
    },
}

impl Line {
    /// The same for the log, which takes longer.
    fn into_entry(self, program: Option<&String>) -> Entry {
        let program = program.cloned();
        match self {
            Line::Passed { time, name, held, method, uri, status } => Entry {
                time,
                name: Some(name.to_string()),
                id: held.map(|held| held.id.clone()),
                hosts: vec![host(&uri)],
                method: Some(method.to_string()),
                path: Some(uri.path().to_owned()),
                status: Some(status.as_u16()),
                program,
                ..Entry::new(Event::Proxy, Outcome::Done)
            },
            Line::Refused { time, reason } => Entry {
                time,
                reason: Some(reason),
                program,
                ..Entry::new(Event::Proxy, Outcome::Refused)
            },
        }
    }
}

impl Scribe {
    /// `program`: whose requests these are.
    pub fn start(
        options: Options,
        command_line: fn() -> clap::Command,
        program: Option<String>,
    ) -> Self {
        let (send, queue) = mpsc::channel::<Vec<Line>>();
        let lines = Lines { send, waiting: Arc::default(), said: Arc::default() };
        let waiting = lines.waiting.clone();
        let thread = thread::spawn(move || {
            signals::leave_to_main_thread();
            let context = Context::new(options, command_line);
            for lines in queue {
                waiting.fetch_sub(lines.len(), Ordering::Relaxed);
                let entries = lines.into_iter().map(|line| line.into_entry(program.as_ref()));
                context.record_all(entries.collect());
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

/// What the proxy's thread tells.
pub struct Reporter {
    context: Context,
    pages: Rc<Pages>,
    says_strays: bool,
}

/// Lines that wait for each other.
struct Pages {
    lines: Lines,
    open: RefCell<Vec<Line>>,
}

impl Pages {
    /// Whether there was room.
    fn add(self: &Rc<Self>, line: Line) -> bool {
        let mut open = self.open.borrow_mut();
        if self.lines.waiting.load(Ordering::Relaxed) + open.len() >= WAITING {
            return false;
        }
        open.push(line);
        if open.len() == 1 {
            let pages = self.clone();
            spawn_local(async move {
                sleep(PAUSE).await;
                pages.turn();
            });
        }
        true
    }

    fn turn(&self) {
        let full = std::mem::take(&mut *self.open.borrow_mut());
        self.lines.waiting.fetch_add(full.len(), Ordering::Relaxed);
        // The thread outlives its senders.
        let _ = self.lines.send.send(full);
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.turn();
    }
}

impl Reporter {
    pub fn new(context: Context, lines: Lines, says_strays: bool) -> Self {
        let pages = Rc::new(Pages { lines, open: RefCell::default() });
        Self { context, pages, says_strays }
    }

    fn note(&self, line: Line) {
        if !self.pages.add(line) {
            self.say("the audit log is behind: lines of it are lost");
        }
    }

    /// Each problem once: a program that tries again and again says nothing new.
    fn say(&self, line: &str) {
        let mut said = self.pages.lines.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MOST_SAID && said.insert(line.to_owned()) {
            self.context.ui.warn(line);
        }
    }
}

impl Watch for Reporter {
    fn passed(&self, passed: &Passed<'_>) {
        let Passed { credential, held, method, uri, status, signal } = passed;
        let name = &credential.name;
        match (signal, *status) {
            (Signal::ScopeNeeded(demand), _) => self.say(&lacking(&host(uri), name, *held, demand)),
            (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let what = match held {
                    Some(_) => format!("refused the credential {name} ({status})"),
                    None => {
                        format!("wants a credential ({status}), and nobody is signed in to {name}")
                    }
                };
                self.say(&format!("{} {what}; {}", host(uri), mend(name, *held)));
            }
            _ => {}
        }
        self.note(Line::Passed {
            time: Timestamp::now(),
            name: name.clone(),
            held: held.cloned(),
            method: (*method).clone(),
            uri: (*uri).clone(),
            status: *status,
        });
    }

    fn signalled(&self, credential: &Lent, held: Option<&Arc<Held>>, signal: &Signal) {
        let name = &credential.name;
        let what = match signal {
            Signal::Missing(_) | Signal::Rejected(..) if held.is_some() => {
                format!("a server refused the credential {name}; {}", mend(name, held))
            }
            Signal::Missing(_) | Signal::Rejected(..) => {
                format!(
                    "a server wants a sign-in, and nobody is signed in to {name}; authctl login {name}"
                )
            }
            Signal::ScopeNeeded(demand) => lacking("a server", name, held, demand),
            Signal::Follow(_) | Signal::Hint(_) | Signal::Nothing => return,
        };
        self.say(&what);
    }

    fn broke_off(&self, credential: &Lent) {
        self.say(&format!(
            "an answer for {} broke off before its end: its server hung up",
            credential.name
        ));
    }

    fn unbelieved(&self, host: &str) {
        self.say(&format!(
            "a program did not believe the proxy's certificate for {host}; give it the file in SSL_CERT_FILE, or the \
             address in AUTHCTL_PROXY_URL"
        ));
    }

    fn refused(&self, refusal: &Refusal, target: &str) {
        let hint = refusal.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        if self.says_strays || !refusal.is_stray() {
            self.say(&format!("{target}: {}{hint}", refusal.message));
        }
        let reason = format!("{target}: {}", refusal.message);
        self.note(Line::Refused { time: Timestamp::now(), reason });
    }
}

/// What a credential may not do (RFC 6750 §3.1), and the sign-in that also asks for that: a new one replaces the
/// old, so it asks for what that asked for too.
fn lacking(server: &str, name: &str, held: Option<&Arc<Held>>, demand: &Demand) -> String {
    let wanted = text::clean_to(&demand.scopes.join(" "), MOST_SCOPES);
    let what = if wanted.is_empty() { String::new() } else { format!(" ({wanted})") };
    let asked = held.and_then(|held| Some(&held.credential.as_oauth()?.1.scopes));
    let scopes = asked.map(|asked| {
        let missing = demand.scopes.iter().filter(|scope| !asked.contains(scope));
        asked.iter().chain(missing).map(String::as_str).collect::<Vec<_>>().join(" ")
    });
    let option = match scopes {
        Some(scopes) if !wanted.is_empty() && is_quotable(&scopes) => {
            format!(" --scope '{scopes}'")
        }
        _ => String::new(),
    };
    format!(
        "{server} wants more of the credential {name} than it may do{what}; {}{option}",
        mend(name, held)
    )
}

/// What gets another credential in the place of one that was refused.
fn mend(name: &str, held: Option<&Arc<Held>>) -> String {
    match held.and_then(|held| held.given.as_ref()) {
        Some(variable) => format!("replace what {variable} gives"),
        None => format!("authctl login {name}"),
    }
}

/// Whether a text can stand between quotes in a command, whole.
fn is_quotable(text: &str) -> bool {
    text.len() <= MOST_SCOPES
        && text.bytes().all(|byte| byte != b'\'' && matches!(byte, b' '..=b'~'))
}

fn host(uri: &Uri) -> String {
    uri.authority().map(ToString::to_string).unwrap_or_default()
}
