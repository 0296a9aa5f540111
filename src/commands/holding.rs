//! What the threads share that have the store while a bridge or a proxy runs: a credential as requests get it,
//! and the words for what stands in its way. Nobody is asked anything there.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{given, scheme_of};
use crate::config::Provider;
use crate::context::{Context, Named, Options};
use crate::error::CommandError;
use crate::forward::{Held, Trouble, is_same};
use crate::resolve::Source;
use crate::store::Glimpse;
use crate::ui::Manner;

/// The options of a context that asks nothing.
pub fn quiet(context: &Context) -> Options {
    let options = context.options();
    Options { manner: Manner { no_input: true, ..options.manner }, ..options }
}

/// One that lives long enough, if it can be had; else the one that lives now.
pub fn living(context: &Context, named: &Named, provider: &Provider) -> Result<Held, CommandError> {
    let held = held(context, named, provider, Duration::ZERO, None)?;
    if held.lives(Timestamp::now()) {
        return Ok(held);
    }
    let min_ttl = held.least_ttl().unsigned_abs();
    Ok(self::held(context, named, provider, min_ttl, None).unwrap_or(held))
}

/// The same after one was `rejected`: another one, if one is there or it `renews`.
pub fn instead_of(
    context: &Context,
    named: &Named,
    provider: &Provider,
    rejected: Option<&Arc<Held>>,
    renews: bool,
) -> Result<Held, CommandError> {
    let held = living(context, named, provider)?;
    match rejected.filter(|rejected| is_same(rejected, &held)) {
        Some(_) if renews && held.credential.is_renewable() => {
            self::held(context, named, provider, Duration::ZERO, Some(&held))
        }
        _ => Ok(held),
    }
}

fn held(
    context: &Context,
    named: &Named,
    provider: &Provider,
    min_ttl: Duration,
    rejected: Option<&Held>,
) -> Result<Held, CommandError> {
    // Before the store is read: what changes meanwhile is seen afterwards.
    let entry = glimpse(context, named);
    let resolved = match rejected {
        Some(held) => given::replace(context, named, provider, held.credential.secret())?,
        None => given::resolve(context, named, provider, min_ttl, false, None)?,
    };
    let scheme = scheme_of(provider, &named.name, &resolved.credential)?.clone();
    let given = match resolved.source {
        Source::Given(variable) => Some(variable),
        Source::Stored | Source::Acquired => None,
    };
    Ok(Held { scheme, credential: resolved.credential, id: resolved.id, given, entry })
}

/// How the credential looks in the store's index.
pub fn glimpse(context: &Context, named: &Named) -> Option<Glimpse> {
    context.store().ok().map(|store| store.glimpse(&named.name))
}

/// An error for whoever has one line.
pub fn trouble(error: &CommandError) -> Trouble {
    Trouble(error.in_one_line())
}
