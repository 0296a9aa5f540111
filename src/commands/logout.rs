//! `authctl logout`: forget, then revoke at the server; and say if the server could not be told.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::complete;
use super::given::{self, when};
use super::server;
use crate::audit::{Entry, Event, Outcome};
use crate::config::Provider;
use crate::context::Context;
use crate::credential::{Binding, Credential, Name, Record, Tokens};
use crate::error::{CommandError, Kind};
use crate::grant;
use crate::interact::Interact;
use crate::oauth::{self, Client};
use crate::store::{self, Key};

/// For telling the server about all tokens of one credential.
const REVOCATION: Duration = Duration::from_secs(15);
/// What a shell makes of a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Provider, or provider:account
    #[arg(required_unless_present = "all", add = complete::stored())]
    name: Option<String>,

    /// Every credential in the store
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

/// What was there to forget.
enum Forgotten {
    Record(Box<Record>),
    /// Set aside: it cannot be read any more.
    Damaged,
    /// Only the index still knew of it.
    Entry,
    /// Only sign-ins that waited for an answer.
    Waiting,
}

/// What became of the tokens at the server.
enum Told {
    /// No token works any more.
    Revoked,
    /// One of the two was revoked, and the other lives on.
    Partly(Partly),
    /// A key or a password: only its maker's page ends it.
    Impossible,
    /// The server names no revocation endpoint.
    NoEndpoint,
    /// There was no token to tell of.
    NothingHeld,
    /// There was no more than a question.
    NothingBut,
    Failed(String),
    Interrupted,
}

struct Partly {
    /// The one that still works: `access token` or `refresh token`.
    alive: &'static str,
    until: Option<Timestamp>,
    reason: String,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let names = if let Some(name) = &arguments.name {
        vec![context.name(name)?.name]
    } else {
        context.refuse_account_alone()?;
        every_name(context)?
    };
    // Whoever signs out does not want a login to be finished later.
    let asked = arguments.name.as_ref().and(names.first());
    let waited = context.store()?.forget_all_pending(asked, Timestamp::now());
    // One for all names: a Ctrl-C between two of them is seen at the next.
    let mut interrupt = pin!(interrupt());
    let (mut results, mut code) = (Vec::new(), 0);
    for name in &names {
        let told = match forget(context, name, waited > 0 && !arguments.all) {
            Ok(forgotten) => tell(context, &forgotten, interrupt.as_mut()),
            Err(error) if arguments.all => {
                context.ui.error(&error);
                code = error.kind().exit_code().max(code);
                continue;
            }
            Err(error) => return Err(error),
        };
        report(context, name, &told);
        record(context, name, &told);
        server::forget(context, name.provider())?;
        results.push(as_json(name, &told));
        if matches!(told, Told::Interrupted) {
            code = INTERRUPTED;
            break;
        }
    }
    if context.ui.is_json() {
        context.ui.json(&json!({ "version": 1, "signed_out": results }))?;
    } else if arguments.all && waited > 0 {
        context.ui.notice("Every sign-in that waited for an answer is forgotten.");
    } else if names.is_empty() {
        context.ui.notice("Nothing is stored.");
    }
    Ok(ExitCode::from(code))
}

fn record(context: &Context, name: &Name, told: &Told) {
    let reason = match told {
        Told::Revoked => "revoked at the server".to_owned(),
        Told::Partly(partly) => format!("the {} lives on: {}", partly.alive, partly.reason),
        Told::Impossible | Told::NoEndpoint | Told::NothingHeld => "not revoked".to_owned(),
        Told::NothingBut => "a sign-in that waited was forgotten".to_owned(),
        Told::Failed(reason) => format!("the server could not be told: {reason}"),
        Told::Interrupted => "interrupted before the server was told".to_owned(),
    };
    let hosts = context.provider(name).map(|provider| provider.hosts.clone()).unwrap_or_default();
    let (name, reason) = (Some(name.to_string()), Some(reason));
    context.record(Entry { name, hosts, reason, ..Entry::new(Event::Logout, Outcome::Done) });
}

fn every_name(context: &Context) -> Result<Vec<Name>, CommandError> {
    let mut names = Vec::new();
    for entry in context.store()?.entries()?.entries {
        names.push(entry.name()?);
    }
    Ok(names)
}

/// Deletes under the lock, which is free again when this returns: no server keeps others waiting. What
/// could not be deleted is not revoked either.
fn forget(context: &Context, name: &Name, waited: bool) -> Result<Forgotten, CommandError> {
    let store = context.store()?;
    let guard = store.lock(&Key::Credential(name), store::WRITE_WAIT)?;
    let forgotten = match store.load(name) {
        Ok(None) if store.delete_entry(&guard, name)? => return Ok(Forgotten::Entry),
        Ok(None) if waited => return Ok(Forgotten::Waiting),
        Ok(None) => return Err(not_signed_in(context, name)),
        Ok(Some(record)) => Forgotten::Record(Box::new(record)),
        // Forgetting must also be possible for what cannot be read any more.
        Err(store::Error::Unreadable { .. }) => Forgotten::Damaged,
        Err(error) => return Err(error.into()),
    };
    store.delete(&guard, name)?;
    Ok(forgotten)
}

fn not_signed_in(context: &Context, name: &Name) -> CommandError {
    // A slip of the pen more often than a provider that is no longer described.
    if let Err(unknown) = context.provider(name) {
        return unknown;
    }
    let error = CommandError::new(Kind::Failed, format!("not signed in to {name}"));
    given::other_accounts(context, name, error).hint("authctl status")
}

/// Ends with the first Ctrl-C after it was first asked; never, where none can be caught.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending::<()>().await;
    }
}

/// Tells the server (RFC 7009) of what was forgotten, as long as nobody presses Ctrl-C.
fn tell(
    context: &Context,
    forgotten: &Forgotten,
    interrupt: Pin<&mut impl Future<Output = ()>>,
) -> Told {
    let record = match forgotten {
        Forgotten::Record(record) => record,
        Forgotten::Damaged => return Told::Failed("the stored record cannot be read".into()),
        Forgotten::Entry => return Told::NothingHeld,
        Forgotten::Waiting => return Told::NothingBut,
    };
    let Credential::OAuth { tokens, binding } = &record.credential else { return Told::Impossible };
    let Some(endpoint) = &binding.revocation_endpoint else { return Told::NoEndpoint };
    binding.confine(&context.http);
    let client = match with_key(context, record, binding) {
        Ok(client) => client,
        Err(error) => return Told::Failed(error.to_string()),
    };
    context.http.block_on(async {
        tokio::select! {
            biased;
            () = interrupt => Told::Interrupted,
            told = revoke_both(context, endpoint, tokens, &client) => told,
        }
    })
}

/// The client with its key, if the provider is still configured to name its file.
fn with_key(context: &Context, record: &Record, binding: &Binding) -> Result<Client, grant::Error> {
    let provider = record.name().ok().and_then(|name| context.provider(&name).ok());
    let issuer = binding.issuer.as_deref();
    match provider.and_then(Provider::oauth) {
        Some(oauth) => grant::with_key(&binding.client, oauth, issuer, &binding.token_endpoint),
        None => Ok(binding.client.clone()),
    }
}

/// Revokes both tokens at once. The refresh token ends the whole grant; a server that takes only one
/// sort of token gets that.
async fn revoke_both(context: &Context, endpoint: &str, tokens: &Tokens, client: &Client) -> Told {
    let revoke = async |token, hint| {
        let asked = oauth::revoke(&context.http, endpoint, client, token, hint);
        match tokio::time::timeout(REVOCATION, asked).await {
            Ok(answer) => answer.map_err(Refusal::from),
            Err(_) => Err(Refusal::late()),
        }
    };
    let refresh = async {
        match &tokens.refresh_token {
            Some(token) => Some(revoke(token, "refresh_token").await),
            None => None,
        }
    };
    let (refresh, access) = tokio::join!(refresh, revoke(&tokens.access_token, "access_token"));
    outcome(refresh, access, tokens, Timestamp::now())
}

/// Why a token was not revoked.
struct Refusal {
    reason: String,
    /// The server does not revoke tokens of this sort (RFC 7009 §2.2.1).
    is_unsupported: bool,
}

impl Refusal {
    fn late() -> Self {
        let reason = format!("no answer within {} s", REVOCATION.as_secs());
        Self { reason, is_unsupported: false }
    }
}

impl From<oauth::Error> for Refusal {
    fn from(error: oauth::Error) -> Self {
        let is_unsupported = matches!(&error, oauth::Error::Refused { code, .. } if code == "unsupported_token_type");
        Self { reason: CommandError::from(error).message().to_owned(), is_unsupported }
    }
}

fn outcome(
    refresh: Option<Result<(), Refusal>>,
    access: Result<(), Refusal>,
    tokens: &Tokens,
    now: Timestamp,
) -> Told {
    match (refresh, access) {
        (None | Some(Ok(())), Ok(())) => Told::Revoked,
        // It goes with its refresh token, or has ended by itself.
        (Some(Ok(())), Err(access))
            if access.is_unsupported || tokens.expires_at.is_some_and(|end| end <= now) =>
        {
            Told::Revoked
        }
        (Some(Ok(())), Err(Refusal { reason, .. })) => {
            Told::Partly(Partly { alive: "access token", until: tokens.expires_at, reason })
        }
        (Some(Err(Refusal { reason, .. })), Ok(())) => {
            let until = tokens.refresh_expires_at;
            Told::Partly(Partly { alive: "refresh token", until, reason })
        }
        (Some(Err(refusal)), Err(_)) | (None, Err(refusal)) => Told::Failed(refusal.reason),
    }
}

fn as_json(name: &Name, told: &Told) -> Value {
    let (revoked, alive, reason) = match told {
        Told::Revoked => (Some(true), None, None),
        Told::Partly(partly) => (Some(false), Some(partly.alive), Some(partly.reason.as_str())),
        Told::Failed(reason) => (Some(false), None, Some(reason.as_str())),
        Told::Interrupted => (Some(false), None, Some("interrupted")),
        Told::Impossible | Told::NoEndpoint | Told::NothingHeld | Told::NothingBut => {
            (None, None, None)
        }
    };
    let of = |token| revoked.map(|all| all || alive.is_some_and(|alive| alive != token));
    json!({
        "name": name.to_string(),
        "revoked": revoked,
        "refresh_token_revoked": of("refresh token"),
        "access_token_revoked": of("access token"),
        "reason": reason,
    })
}

fn report(context: &Context, name: &Name, told: &Told) {
    let ui = &context.ui;
    match told {
        Told::Revoked => {
            ui.notice(&format!("Signed out of {name}; the server revoked the tokens."));
        }
        Told::Partly(Partly { alive, until, reason }) => {
            let other = if *alive == "access token" { "refresh token" } else { "access token" };
            let until = until.map_or("it expires".into(), |end| format!("it ends {}", when(end)));
            ui.warn(&format!(
                "signed out of {name} here, and the {other} was revoked; the {alive} works until \
                 {until}: {reason}"
            ));
        }
        Told::NoEndpoint => ui.notice(&format!(
            "Signed out of {name}. Its server offers no revocation: tokens already handed out live \
             until they expire."
        )),
        Told::NothingHeld => {
            ui.notice(&format!("Signed out of {name}; the store held nothing of it any more."));
        }
        Told::NothingBut => {
            ui.notice(&format!("Forgot the sign-in to {name} that waited for its answer."));
        }
        Told::Impossible => {
            let page = context.provider(name).ok().and_then(|provider| {
                provider.schemes.iter().find_map(|scheme| scheme.create_at.clone())
            });
            let delete = page.map_or(String::new(), |page| format!("; delete it at {page}"));
            ui.notice(&format!("Forgot {name}. The key itself still works{delete}."));
        }
        Told::Failed(reason) => ui.warn(&format!(
            "signed out of {name} here, but the server could not be told: {reason}"
        )),
        Told::Interrupted => ui.warn(&format!(
            "signed out of {name} here, but the server was not told: interrupted; its tokens live \
             until they expire"
        )),
    }
}
