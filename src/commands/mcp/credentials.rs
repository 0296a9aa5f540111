//! The thread that has the store while a bridge relays: it finds the credential of a server, renews it and has
//! the person sign in. A sign-in takes minutes, so it gets a thread of its own, beside which the others go on.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::bringing::Bringing;
use super::client::Client;
use crate::audit::{Entry, Outcome};
use crate::commands::server::{self, SignIn};
use crate::commands::{given, purpose::Purpose, scheme_of};
use crate::config::Provider;
use crate::context::{Context, Named, Options};
use crate::error::{CommandError, Kind};
use crate::forward::{Ask, Held, SignInAsk, SignedIn, Trouble};
use crate::interact::Interact;
use crate::oauth::Refusal;
use crate::signals;

/// Whose credentials a bridge sends where.
#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    /// The local name that was asked for.
    pub name: Option<String>,
    pub client: Client,
}

/// Starts the thread; it ends when the bridge has let go of the questions' sender.
pub fn start(
    options: Options,
    command_line: fn() -> clap::Command,
    target: Target,
) -> (mpsc::UnboundedSender<Ask>, thread::JoinHandle<()>) {
    let (asks, mut queue) = mpsc::unbounded_channel();
    let thread = thread::spawn(move || {
        signals::leave_to_main_thread();
        let desk = Desk {
            context: Context::new(options.clone(), command_line),
            target,
            noted: false,
            looked_at: Timestamp::now(),
        };
        let mut desk = desk;
        while let Some(ask) = queue.blocking_recv() {
            match ask {
                Ask::Fresh { min_ttl, rejected, reply } => {
                    let _ = reply.send(desk.fresh(min_ttl, rejected.as_ref()));
                }
                Ask::Open { url, reply } => {
                    let _ = reply.send(desk.context.ui.open_url(&url));
                }
                Ask::SignIn(ask) => {
                    sign_in(options.clone(), command_line, &desk.target, desk.looked_at, ask);
                }
            }
        }
    });
    (asks, thread)
}

struct Desk {
    context: Context,
    target: Target,
    /// The hand-out stands in the audit log already.
    noted: bool,
    /// When the store was last looked into.
    looked_at: Timestamp,
}

impl Desk {
    fn fresh(
        &mut self,
        min_ttl: Duration,
        rejected: Option<&Arc<Held>>,
    ) -> Result<Option<Arc<Held>>, Trouble> {
        self.try_fresh(min_ttl, rejected).or_else(|error| match error.kind() {
            Kind::LoginRequired => Ok(None),
            _ => Err(trouble(&error)),
        })
    }

    fn try_fresh(
        &mut self,
        min_ttl: Duration,
        rejected: Option<&Arc<Held>>,
    ) -> Result<Option<Arc<Held>>, CommandError> {
        self.looked_at = Timestamp::now();
        let Some((named, provider)) = find(&self.context, &self.target)? else { return Ok(None) };
        let purpose = Purpose::mcp();
        if !self.noted {
            purpose.confirm(&self.context, &named.name, &provider)?;
        }
        let mut held = self.held(&named, &provider, min_ttl, false)?;
        if let Some(rejected) = rejected
            && held.credential.secret().expose() == rejected.credential.secret().expose()
        {
            if !held.credential.is_renewable() {
                return Ok(Some(Arc::new(held)));
            }
            held = self.held(&named, &provider, Duration::ZERO, true)?;
        }
        if !std::mem::replace(&mut self.noted, true) {
            let line = purpose.entry(Outcome::Done, Some((&named.name, &provider)));
            self.context.record(Entry { id: Some(held.id.clone()), ..line });
        }
        Ok(Some(Arc::new(held)))
    }

    fn held(
        &self,
        named: &Named,
        provider: &Provider,
        min_ttl: Duration,
        force_refresh: bool,
    ) -> Result<Held, CommandError> {
        let resolved =
            given::resolve(&self.context, named, provider, min_ttl, force_refresh, None)?;
        let scheme = scheme_of(provider, &named.name, &resolved.credential)?.clone();
        Ok(Held { scheme, credential: resolved.credential, id: resolved.id })
    }
}

/// The credential's name for a server, and its provider.
fn find(context: &Context, target: &Target) -> Result<Option<(Named, Provider)>, CommandError> {
    if let Some(server) = server::find(context, &target.url, target.name.as_deref())? {
        return Ok(Some((server.named, server.provider)));
    }
    elsewhere(context, target)
}

/// The credential of another provider, which somebody chose for this server.
fn elsewhere(
    context: &Context,
    target: &Target,
) -> Result<Option<(Named, Provider)>, CommandError> {
    let Some(name) = &target.name else { return Ok(None) };
    let named = context.name(name)?;
    let provider = context.provider(&named.name).ok().cloned();
    Ok(provider.map(|provider| (named, provider)))
}

/// Signs in beside the other questions. What another process came to since `looked_at` will do.
fn sign_in(
    options: Options,
    command_line: fn() -> clap::Command,
    target: &Target,
    looked_at: Timestamp,
    ask: SignInAsk,
) {
    let target = target.clone();
    thread::spawn(move || {
        signals::leave_to_main_thread();
        let context = Context::new(options, command_line);
        let SignInAsk { refusal, bring, address, reply } = ask;
        let refusal = refusal.map(|answer| Refusal::of(&answer));
        let outcome = context.login().map(|login| login.surroundings).and_then(|surroundings| {
            let bringing = Bringing::new(&context.ui, bring, surroundings, address);
            try_sign_in(&context, &target, refusal.as_ref(), looked_at, &bringing)
        });
        let _ = reply.send(outcome.map_err(|error| trouble(&error)));
    });
}

fn try_sign_in(
    context: &Context,
    target: &Target,
    refusal: Option<&Refusal>,
    looked_at: Timestamp,
    bringing: &Bringing<'_>,
) -> Result<SignedIn, CommandError> {
    let is_here = server::find(context, &target.url, target.name.as_deref())?.is_some();
    let other = if is_here { None } else { elsewhere(context, target)? };
    let other = other.map(|(named, _)| named.name.to_string());
    let client = target.client.clone();
    let wish = SignIn {
        name: target.name.as_deref().filter(|_| other.is_none()),
        refusal,
        method: client.method,
        scopes: client.scopes,
        client_id: client.id,
        client_secret: client.secret,
        client_key: client.key,
        client_metadata_url: client.metadata_url,
        dpop: client.dpop,
        is_brought: true,
        since: Some(looked_at),
        ..SignIn::by_default(other.as_deref().unwrap_or(&target.url), bringing)
    };
    let (server, outcome) = server::sign_in(context, &wish)?;
    outcome?;
    Ok(SignedIn { name: server.named.name.to_string() })
}

fn trouble(error: &CommandError) -> Trouble {
    let mut text = error.message().to_owned();
    for hint in error.hints() {
        text.push_str("; ");
        text.push_str(hint);
    }
    Trouble(text)
}
