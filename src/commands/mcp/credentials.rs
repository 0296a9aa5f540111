//! The thread that has the store while a bridge relays: it finds the credential of a server, renews it and has
//! the person sign in. A sign-in takes minutes, so it gets a thread of its own, beside which the others go on.

use std::sync::Arc;
use std::thread;

use jiff::{SignedDuration, Timestamp};

use super::bringer::Bringer;
use super::client::Client;
use crate::audit::{Entry, Outcome};
use crate::commands::holding;
use crate::commands::purpose::Purpose;
use crate::commands::server::{self, Server, SignIn};
use crate::context::{Context, Named, Options};
use crate::error::{CommandError, Kind};
use crate::forward::{Ask, Asks, Held, SignInAsk, Trouble};
use crate::http::Answer;
use crate::interact::Interact;
use crate::oauth::Refusal;
use crate::signals;

/// Whose credentials a bridge sends where.
#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    /// The local name that was asked for.
    pub name: Option<String>,
}

impl Target {
    /// What `authctl login` is given to sign in by hand.
    pub fn login_name(&self) -> String {
        match &self.name {
            Some(name) => format!("{} --name {name}", self.url),
            None => self.url.clone(),
        }
    }
}

/// What a thread needs to begin: a context of its own, and whose server it is.
#[derive(Clone)]
pub struct Seat {
    pub options: Options,
    pub command_line: fn() -> clap::Command,
    pub target: Target,
    pub client: Client,
}

impl Seat {
    fn context(&self) -> Context {
        Context::new(self.options.clone(), self.command_line)
    }
}

/// Starts the thread; it ends when the bridge has let go of the questions' sender.
pub fn start(seat: Seat) -> (Asks, thread::JoinHandle<()>) {
    let (asks, mut queue) = Asks::channel();
    let thread = thread::spawn(move || {
        signals::leave_to_main_thread();
        let context = seat.context();
        let mut desk =
            Desk { context, seat, known_since: Timestamp::UNIX_EPOCH, noted: false, said: None };
        while let Some(ask) = queue.blocking_recv() {
            match ask {
                Ask::Fresh { rejected, renews, reply } => {
                    reply.send(desk.fresh(rejected.as_ref(), renews));
                }
                Ask::Open { url, reply } => {
                    let _ = reply.send(desk.context.ui.open_url(&url));
                }
                Ask::SignIn(ask) => sign_in(&desk.seat, desk.known_since, ask),
            }
        }
    });
    (asks, thread)
}

struct Desk {
    context: Context,
    seat: Seat,
    /// A sign-in after that is news.
    known_since: Timestamp,
    /// The hand-out stands in the audit log already.
    noted: bool,
    /// The trouble that was spoken of last.
    said: Option<String>,
}

impl Desk {
    fn fresh(
        &mut self,
        rejected: Option<&Arc<Held>>,
        renews: bool,
    ) -> Result<Option<Arc<Held>>, Trouble> {
        self.try_fresh(rejected, renews).or_else(|error| match error.kind() {
            Kind::LoginRequired => Ok(None),
            _ => Err(self.trouble(&error)),
        })
    }

    /// Said once on stderr: what is open goes on without the credential.
    fn trouble(&mut self, error: &CommandError) -> Trouble {
        let trouble = holding::trouble(error);
        if self.said.as_ref() != Some(&trouble.0) {
            self.context.ui.warn(&trouble.0);
            self.said = Some(trouble.0.clone());
        }
        trouble
    }

    fn try_fresh(
        &mut self,
        rejected: Option<&Arc<Held>>,
        renews: bool,
    ) -> Result<Option<Arc<Held>>, CommandError> {
        let target = &self.seat.target;
        let found = server::find(&self.context, &target.url, target.name.as_deref())?;
        let Some(Server { named, provider, .. }) = found else {
            self.known_since = Timestamp::UNIX_EPOCH;
            return Ok(None);
        };
        let purpose = Purpose::mcp();
        if !self.noted {
            purpose.confirm(&self.context, &named.name, &provider)?;
        }
        self.known_since = Timestamp::now();
        let held = holding::instead_of(&self.context, &named, &provider, rejected, renews);
        let held = held.inspect_err(|error| self.note_end(error, &named))?;
        if !std::mem::replace(&mut self.noted, true) {
            let line = purpose.entry(Outcome::Done, Some((&named.name, &provider)));
            self.context.record(Entry { id: Some(held.id.clone()), ..line });
        }
        Ok(Some(Arc::new(held)))
    }

    /// A store that is in trouble is not asked again for the time of what it does not give.
    fn note_end(&mut self, error: &CommandError, named: &Named) {
        if error.kind() == Kind::LoginRequired {
            self.known_since = self.known_since(named);
        }
    }

    /// What is news where the store has nothing of use. A sign-in is written some time after it was made.
    fn known_since(&self, named: &Named) -> Timestamp {
        let asked = self.known_since;
        match self.context.store().map(|store| store.load(&named.name)) {
            Ok(Ok(Some(dead))) => asked.min(dead.signed_in_at + SignedDuration::from_nanos(1)),
            Ok(Ok(None)) => Timestamp::UNIX_EPOCH,
            _ => asked,
        }
    }
}

fn sign_in(seat: &Seat, since: Timestamp, ask: SignInAsk) {
    let seat = seat.clone();
    thread::spawn(move || {
        signals::leave_to_main_thread();
        let context = seat.context();
        let bringer = Bringer::new(context.ui.clone(), ask.wish.bring, ask.address);
        let refusal = ask.wish.refusal.as_deref().map(refusal);
        let wish = SignIn {
            name: seat.target.name.as_deref(),
            refusal: refusal.as_ref(),
            method: seat.client.method.clone(),
            scopes: seat.client.scopes.clone(),
            client_id: seat.client.id.clone(),
            client_secret: seat.client.secret.clone(),
            client_key: seat.client.key.clone(),
            client_metadata_url: seat.client.metadata_url.clone(),
            dpop: seat.client.dpop,
            is_brought: true,
            since: Some(since),
            only_elsewhere: ask.wish.only_elsewhere,
            ..SignIn::by_default(&seat.target.url, &bringer)
        };
        let outcome = try_sign_in(&context, &wish);
        let _ = ask.reply.send(outcome.map_err(|error| holding::trouble(&error)));
    });
}

fn try_sign_in(context: &Context, wish: &SignIn<'_>) -> Result<(), CommandError> {
    let (_, outcome) = server::sign_in(context, wish)?;
    outcome?;
    Ok(())
}

fn refusal(answer: &Answer) -> Refusal {
    let headers = answer.headers.clone();
    Refusal { status: answer.status, headers, from_public: answer.is_from_public() }
}
