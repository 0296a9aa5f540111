//! Carries an import out: first every credential is stored, then each file is replaced as a whole, after a
//! backup of it. Whatever ends it in the middle, nothing is lost: it can be run again.

use super::done::Done;
use super::plan::{Item, Source, State, reference};
use super::{Found, is_replaceable, places};
use crate::audit::{self, Entry, Event};
use crate::clients::{self, Reference, Way};
use crate::commands::client_file::{self, Replaced};
use crate::context::Context;
use crate::error::{CommandError, Kind};

/// Stores every new credential, each once.
pub fn store(context: &Context, found: &Found, done: &mut Done) -> Result<(), CommandError> {
    let new = found.items.iter().filter(|item| matches!(item.state, State::New | State::Replaces));
    for item in new {
        let (Some(name), Some(credential)) = (&item.name, &item.credential) else { continue };
        if done.stored.contains(name) {
            continue;
        }
        let credential = super::mcp_remote::complete(context, credential.clone())?;
        let outcome = context.login()?.save(name, credential)?;
        context.record(Entry {
            name: Some(name.to_string()),
            id: Some(outcome.record.id),
            source: Some(item.path.to_string_lossy().into_owned()),
            ..Entry::new(Event::Login, audit::Outcome::Done)
        });
        done.stored.push(name.clone());
    }
    Ok(())
}

/// Whether the literal is stored, and something can stand in its place.
pub fn can_rewrite(found: &Found, item: &Item) -> bool {
    item.state.is_taken() && is_replaceable(item.way) && !keeps_server(found, item)
}

/// Whether a server stays as it is because another of its headers is not stored.
fn keeps_server(found: &Found, item: &Item) -> bool {
    let server = |item: &Item| clients::server_of(&item.at).to_owned();
    item.way == Way::Bridge
        && found.items.iter().any(|other| {
            other.path == item.path
                && other.way == Way::Bridge
                && server(other) == server(item)
                && !other.state.is_taken()
        })
}

/// Puts references in the place of what is stored.
pub fn rewrite(context: &Context, found: &Found, done: &mut Done) -> Result<(), CommandError> {
    for source in &found.sources {
        let Some(after) = rewritten(context, found, source)? else { continue };
        match client_file::replace(context, &source.file, Some(&source.text), Some(&after))? {
            Replaced::Done(backup) => {
                done.rewritten.extend(backup.map(|backup| (source.path.clone(), backup)));
            }
            Replaced::Changed => {
                return Err(unchanged(source, "was changed meanwhile by another program")
                    .hint("authctl import  (looks again)"));
            }
        }
    }
    super::mcp_remote::put_away(context, found, done)
}

/// The text of a file with references in the place of what is, or will be, stored; `None`: nothing changes.
pub fn rewritten(
    context: &Context,
    found: &Found,
    source: &Source,
) -> Result<Option<String>, CommandError> {
    let items = found.items.iter().filter(|item| item.path == source.path);
    let mut references = Vec::new();
    for item in items.filter(|item| can_rewrite(found, item)) {
        if let Some(with) = reference(context, item)? {
            references.push(Reference { at: &item.at, way: item.way, with });
        }
    }
    if references.is_empty() {
        return Ok(None);
    }
    let program = places::program_in(&source.path);
    let after = clients::refer(source.format, &source.text, &references, &program);
    after.map(Some).map_err(|wrong| unchanged(source, &format!("cannot be changed: {wrong}")))
}

fn unchanged(source: &Source, what: &str) -> CommandError {
    CommandError::new(
        Kind::Failed,
        format!(
            "{} {what}; it is as it was, and its credentials are stored",
            source.path.display()
        ),
    )
}
