//! Carries an import out: first every credential is stored, then each file is replaced as a whole, after a
//! backup of it. Whatever ends it in the middle, nothing is lost: it can be run again.

use std::path::PathBuf;

use super::backup::{Done, back_up};
use super::plan::{Item, Source, State, reference};
use super::{Found, is_replaceable};
use crate::audit::{self, Entry, Event};
use crate::clients::{self, Reference};
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::private_file;

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
pub fn can_rewrite(item: &Item) -> bool {
    item.state.is_taken() && is_replaceable(item.way)
}

/// Puts references in the place of what is stored.
pub fn rewrite(context: &Context, found: &Found, done: &mut Done) -> Result<(), CommandError> {
    for source in &found.sources {
        let items = found.items.iter().filter(|item| item.path == source.path);
        let mut references = Vec::new();
        for item in items.filter(|item| can_rewrite(item)) {
            if let Some(with) = reference(context, item)? {
                references.push(Reference { at: &item.at, with });
            }
        }
        if references.is_empty() {
            continue;
        }
        let after = clients::refer(source.format, &source.text, &references)
            .map_err(|malformed| unchanged(source, &format!("cannot be changed: {malformed}")))?;
        let backup = replace(context, source, &after)?;
        done.rewritten.push((source.path.clone(), backup));
    }
    super::mcp_remote::put_away(context, found, done)
}

fn replace(context: &Context, source: &Source, after: &str) -> Result<PathBuf, CommandError> {
    let before = private_file::read_of_another(&source.path, super::LIMIT)?;
    if before.as_deref() != Some(source.text.as_bytes()) {
        return Err(unchanged(source, "was changed meanwhile by another program")
            .hint("authctl import  (looks again)"));
    }
    let backup = back_up(context, &source.path, source.text.as_bytes())?;
    private_file::replace_of_another(&source.path, after.as_bytes())?;
    Ok(backup)
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
