//! From a name as typed to a credential that works now: the environment of this process first, then
//! the store. What `exec` and `token` share, with the words for what a resolution noticed.

use std::time::Duration;

use jiff::Timestamp;

use super::purpose::{self, Purpose};
use crate::audit::{Entry, Event, Outcome};
use crate::config::Provider;
use crate::context::{Context, Named, environment};
use crate::credential::Name;
use crate::error::{CommandError, chain};
use crate::inject;
use crate::interact::Interact;
use crate::paths;
use crate::resolve::{self, Concern, Resolved, Source, Wanted};
use crate::secret::Secret;
use crate::store::{self, GivenRule};

/// The credential for `named`, fresh for at least `min_ttl`. What it is wanted for is written down where
/// it is to leave authctl, and a stored one may have to be confirmed.
pub fn resolve(
    context: &Context,
    named: &Named,
    provider: &Provider,
    min_ttl: Duration,
    force_refresh: bool,
    purpose: Option<&Purpose>,
) -> Result<Resolved, CommandError> {
    if let Some(resolved) = given(context, named, provider)? {
        return Ok(resolved);
    }
    if let Some(purpose) = purpose {
        purpose.confirm(context, &named.name, provider)?;
    }
    let note = |outcome, error: &CommandError| {
        if let Some(purpose) = purpose {
            let about = Some((&named.name, provider));
            purpose.record_failure(context, outcome, about, error);
        }
    };
    let resolved = stored(context, named, provider, min_ttl, force_refresh, None)
        .inspect_err(|error| note(Outcome::Failed, error))?;
    if purpose.is_some() {
        inject::refuse_bound(provider, &resolved.credential)
            .map_err(CommandError::from)
            .inspect_err(|error| note(Outcome::Refused, error))?;
    }
    Ok(resolved)
}

/// The credential for `named` in the place of one that its server refused: that of another process, or a
/// renewed one.
pub fn replace(
    context: &Context,
    named: &Named,
    provider: &Provider,
    rejected: &Secret,
) -> Result<Resolved, CommandError> {
    match given(context, named, provider)? {
        Some(resolved) => Ok(resolved),
        None => stored(context, named, provider, Duration::ZERO, true, Some(rejected)),
    }
}

fn stored(
    context: &Context,
    named: &Named,
    provider: &Provider,
    min_ttl: Duration,
    force_refresh: bool,
    rejected: Option<&Secret>,
) -> Result<Resolved, CommandError> {
    let wanted = Wanted { name: &named.name, provider, min_ttl, force_refresh };
    let from_store = context.resolver()?;
    let mut outcome = match rejected {
        Some(rejected) => from_store.replace(wanted, rejected),
        None => from_store.resolve(wanted),
    };
    if let Err(error) = &outcome
        && let Some(acquired) = context.acquire_instead(wanted, error)?
    {
        outcome = Ok(acquired);
    }
    note_refresh(context, &named.name, provider, &outcome);
    let resolved = outcome.map_err(|error| {
        let nested = is_nested_in(named);
        let missing = matches!(error, resolve::Error::NotSignedIn(_));
        let error = CommandError::from(error);
        let error = if missing { other_accounts(context, &named.name, error) } else { error };
        let error = if missing { explain_given(error, &named.name) } else { error };
        if missing && nested { explain_nested(error, named) } else { error }
    })?;
    if let Some(concern) = &resolved.concern {
        context.ui.warn(&concern_line(named, concern));
    }
    Ok(resolved)
}

/// Writes down that new tokens were made, or could not be.
pub fn note_refresh(
    context: &Context,
    name: &Name,
    provider: &Provider,
    outcome: &Result<Resolved, resolve::Error>,
) {
    let note = |outcome, id: Option<&String>, reason| {
        let line = purpose::entry(Event::Refresh, outcome, name, provider);
        context.record(Entry { id: id.cloned(), reason, ..line });
    };
    match outcome {
        Ok(Resolved { refreshed: true, id, .. }) => note(Outcome::Done, Some(id), None),
        Ok(Resolved { concern: Some(Concern::NotRefreshed { cause, .. }), id, .. }) => {
            note(Outcome::Failed, Some(id), Some(chain(cause)));
        }
        Err(
            error @ (resolve::Error::TryAgain { .. }
            | resolve::Error::ClientRefused { .. }
            | resolve::Error::RequestRefused { .. }
            | resolve::Error::NotAsked { .. }),
        ) => note(Outcome::Failed, None, Some(chain(error))),
        _ => {}
    }
}

fn given(
    context: &Context,
    named: &Named,
    provider: &Provider,
) -> Result<Option<Resolved>, CommandError> {
    let Some(found) = found(context, named, provider)? else { return Ok(None) };
    let credential = resolve::given_credential(provider, &found.variable, found.secret);
    let id = context.given_id(provider)?;
    let source = Source::Given(found.variable);
    Ok(Some(Resolved { credential, id, source, refreshed: false, concern: None }))
}

/// What the environment gives for `named`, by the rules of the design: neither keychain nor network
/// nor prompt is touched.
pub fn found(
    context: &Context,
    named: &Named,
    provider: &Provider,
) -> Result<Option<store::Given>, CommandError> {
    let own: Vec<String> =
        provider.schemes.iter().flat_map(|scheme| scheme.variables.clone()).collect();
    let ci = environment("CI").is_some();
    // The index is asked only where a variable might yield to what is stored.
    let rivalled = !ci && own.iter().any(|variable| environment(variable).is_some());
    let rule = GivenRule {
        account_named: named.account_named,
        default_account: named.name.is_default_account(),
        stored: rivalled && context.store()?.entry(&named.name)?.is_some(),
        ci,
        nested: environment(paths::INJECTED).is_some(),
    };
    Ok(store::given(&provider.id, &own, rule, &|variable| std::env::var_os(variable))?)
}

/// No account stands in for another by itself: whoever named one that is not there, or none where none is
/// `default`, is told which there are. In full: `AUTHCTL_ACCOUNT` may be what named the missing one.
pub fn other_accounts(context: &Context, name: &Name, error: CommandError) -> CommandError {
    let Ok(listing) = context.store().and_then(|store| Ok(store.entries()?)) else { return error };
    let names: Vec<String> = listing
        .entries
        .iter()
        .filter_map(|entry| entry.name().ok())
        .filter(|other| other.provider() == name.provider() && other != name)
        .map(|other| format!("{}:{}", other.provider(), other.account()))
        .take(3)
        .collect();
    if names.is_empty() {
        return error;
    }
    error.hint(format!("did you mean {}?", names.join(" or ")))
}

/// A key was given, and an account was named, by a manifest perhaps: the two do not meet.
fn explain_given(error: CommandError, name: &Name) -> CommandError {
    let variable = store::token_variable(name.provider());
    if name.is_default_account() || environment(&variable).is_none() {
        return error;
    }
    error
        .hint(format!("{}=default authctl …  ({variable} is for no named account)", paths::ACCOUNT))
}

/// Whether an exec around this one handed over the same credential.
pub fn is_nested_in(named: &Named) -> bool {
    environment(paths::INJECTED)
        .is_some_and(|injected| injected.split(',').any(|name| name == named.name.to_string()))
}

fn explain_nested(error: CommandError, named: &Named) -> CommandError {
    let name = &named.name;
    error.hint(format!(
        "this runs inside an `authctl exec` that already injected {name}: \
         run the command without a second exec"
    ))
}

/// What a person should hear of a resolution that succeeded.
fn concern_line(named: &Named, concern: &Concern) -> String {
    let name = &named.name;
    match concern {
        Concern::SignInEnds(end) => {
            format!(
                "the sign-in to {name} ends {}; renew it with: authctl login {name}",
                when(*end)
            )
        }
        Concern::NotRefreshed { cause, expires_at } => {
            let end = expires_at.map_or(String::new(), |end| format!(" and ends {}", when(end)));
            format!("{}; the token at hand still works{end}", chain(cause))
        }
        Concern::NotStored(error) => format!(
            "the new token for {name} works, but could not be stored ({error}); \
             the next refresh may need: authctl login {name}"
        ),
        Concern::ShortLived(end) => {
            format!("the server gave {name} a token that already ends {}", when(*end))
        }
    }
}

/// A time for people: relative while it is near.
pub fn when(time: Timestamp) -> String {
    let left = time.duration_since(Timestamp::now());
    let (seconds, past) = (left.as_secs().unsigned_abs(), left.is_negative());
    let amount = match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    if past { format!("{amount} ago") } else { format!("in {amount}") }
}
