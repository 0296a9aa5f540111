//! Who is told what a proxy does: the audit log, and the person at the terminal of what went wrong.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};

use super::scribe::{Lines, Pages};
use crate::context::Context;
use crate::forward::Held;
use crate::interact::Interact;
use crate::login_signal::{Demand, Signal};
use crate::proxy::{Lent, Passed, Refusal, Watch};
use crate::text;

/// Different problems that are said before the rest is left to the log.
const MOST_SAID: usize = 50;
/// Scopes that are said, in bytes.
const MOST_SCOPES: usize = 500;

/// What the person was told, by whichever thread.
pub type Said = Arc<Mutex<BTreeSet<String>>>;

/// What one of the proxy's threads tells.
pub struct Reporter {
    context: Context,
    lines: Lines,
    /// Made at the first line: most programs end before there is one. `None`: nothing is logged.
    pages: OnceCell<Option<Rc<Pages>>>,
    said: Said,
    says_strays: bool,
}

impl Reporter {
    pub fn new(context: Context, lines: Lines, said: Said, says_strays: bool) -> Self {
        Self { context, lines, pages: OnceCell::new(), said, says_strays }
    }

    /// Writes a line by `add`, which says whether there was room.
    fn note(&self, add: impl FnOnce(&Rc<Pages>) -> bool) {
        let pages = self.pages.get_or_init(|| {
            let pages = || Rc::new(Pages::new(self.lines.clone(), &self.context));
            self.context.keeps_log().then(pages)
        });
        if pages.as_ref().is_some_and(|pages| !add(pages)) {
            self.say("the audit log is behind: lines of it are lost");
        }
    }

    /// Each problem once: a program that tries again and again says nothing new.
    fn say(&self, line: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MOST_SAID && said.insert(line.to_owned()) {
            self.context.ui.warn(line);
        }
    }
}

impl Watch for Reporter {
    fn passed(&self, passed: &Passed<'_>) {
        let Passed { credential, held, uri, status, signal, .. } = passed;
        let name = &credential.name;
        match (signal, *status) {
            (Signal::ScopeNeeded(demand), _) => self.say(&lacking(host(uri), name, *held, demand)),
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
        self.note(|pages| pages.passed(passed));
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
        self.note(|pages| pages.refused(reason));
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

fn host(uri: &Uri) -> &str {
    uri.authority().map(Authority::as_str).unwrap_or_default()
}
