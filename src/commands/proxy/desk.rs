//! The threads that have the store while a proxy runs, one for each credential: they renew it and find what
//! another process got. Nobody is asked anything there.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::commands::{given, scheme_of};
use crate::context::{Context, Named, Options};
use crate::error::{CommandError, Kind};
use crate::forward::{Ask, Held, Trouble};
use crate::interact::Interact;
use crate::signals;
use crate::store::Glimpse;

/// Whose credential a thread has, and what it needs to begin.
#[derive(Clone)]
pub struct Seat {
    pub options: Options,
    pub command_line: fn() -> clap::Command,
    pub named: Named,
}

/// Starts the thread; it ends when the proxy has let go of the questions' sender.
pub fn start(seat: Seat) -> mpsc::UnboundedSender<Ask> {
    let (asks, mut queue) = mpsc::unbounded_channel();
    thread::spawn(move || {
        signals::leave_to_main_thread();
        // Made at the first question: most programs end before there is one.
        let mut desk: Option<Desk> = None;
        while let Some(ask) = queue.blocking_recv() {
            let desk = desk.get_or_insert_with(|| Desk::new(&seat));
            match ask {
                Ask::Fresh { rejected, renews, reply } => {
                    let _ = reply.send(desk.fresh(rejected.as_ref(), renews));
                }
                Ask::Open { reply, .. } => {
                    let _ = reply.send(false);
                }
                Ask::SignIn(ask) => {
                    let _ = ask.reply.send(Err(Trouble("nobody is asked to sign in here".into())));
                }
            }
        }
    });
    asks
}

struct Desk {
    context: Context,
    named: Named,
    /// The trouble that was spoken of last.
    said: Option<String>,
}

impl Desk {
    fn new(seat: &Seat) -> Self {
        let context = Context::new(seat.options.clone(), seat.command_line);
        Self { context, named: seat.named.clone(), said: None }
    }

    fn fresh(
        &mut self,
        rejected: Option<&Arc<Held>>,
        renews: bool,
    ) -> Result<Option<Arc<Held>>, Trouble> {
        let found = try_fresh(&self.context, &self.named, rejected, renews);
        match found {
            Ok(held) => {
                self.said = None;
                Ok(Some(Arc::new(held)))
            }
            Err(error) => {
                let trouble = trouble(&error);
                // Once on stderr, whatever comes of the request.
                if self.said.as_ref() != Some(&trouble.0) {
                    self.context.ui.warn(&trouble.0);
                    self.said = Some(trouble.0.clone());
                }
                if error.kind() == Kind::LoginRequired { Ok(None) } else { Err(trouble) }
            }
        }
    }
}

fn try_fresh(
    context: &Context,
    named: &Named,
    rejected: Option<&Arc<Held>>,
    renews: bool,
) -> Result<Held, CommandError> {
    let held = living(context, named)?;
    let is_same = |rejected: &&Arc<Held>| {
        rejected.credential.secret().expose() == held.credential.secret().expose()
    };
    match rejected.filter(is_same) {
        Some(_) if renews && held.credential.is_renewable() => {
            self::held(context, named, Duration::ZERO, Some(&held))
        }
        _ => Ok(held),
    }
}

/// One that lives long enough, if it can be had; else the one that lives now.
pub fn living(context: &Context, named: &Named) -> Result<Held, CommandError> {
    let held = held(context, named, Duration::ZERO, None)?;
    if held.lives(Timestamp::now()) {
        return Ok(held);
    }
    let min_ttl = held.least_ttl().unsigned_abs();
    Ok(self::held(context, named, min_ttl, None).unwrap_or(held))
}

fn held(
    context: &Context,
    named: &Named,
    min_ttl: Duration,
    rejected: Option<&Held>,
) -> Result<Held, CommandError> {
    let provider = context.provider(&named.name)?;
    // Before the store is read: what changes meanwhile is seen afterwards.
    let entry = glimpse(context, named);
    let resolved = match rejected {
        Some(held) => given::replace(context, named, provider, held.credential.secret())?,
        None => given::resolve(context, named, provider, min_ttl, false, None)?,
    };
    let scheme = scheme_of(provider, &named.name, &resolved.credential)?.clone();
    Ok(Held { scheme, credential: resolved.credential, id: resolved.id, entry })
}

/// How the credential looks in the store's index.
pub fn glimpse(context: &Context, named: &Named) -> Option<Glimpse> {
    context.store().ok().map(|store| store.glimpse(&named.name))
}

fn trouble(error: &CommandError) -> Trouble {
    let hints = error.hints().iter();
    Trouble(hints.fold(error.message().to_owned(), |text, hint| format!("{text}; {hint}")))
}
