//! `authctl logout`: revoke at the server, then forget; and say if the server could not be told.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{complete, given};
use crate::context::Context;
use crate::credential::{Credential, Name};
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::oauth;
use crate::store::{self, Key};

/// Sign out: revoke at the server, then forget
///
/// The credential is always deleted here. Whether the server was told, could not be told, or
/// offers no way to be told is said.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Provider, or provider:account
    #[arg(required_unless_present = "all", add = complete::stored())]
    name: Option<String>,

    /// Every credential in the store
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

/// What became of the tokens at the server.
enum Told {
    Revoked,
    /// A key or a password: only its maker's page ends it.
    Impossible,
    /// The server names no revocation endpoint.
    NoEndpoint,
    Failed(String),
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let names = match &arguments.name {
        Some(name) => vec![context.name(name)?.name],
        None => every_name(context)?,
    };
    let mut results = Vec::new();
    for name in &names {
        let told = sign_out(context, name)?;
        report(context, name, &told);
        results.push(json!({ "name": name.to_string(), "revoked": revoked(&told) }));
    }
    if context.ui.is_json() {
        context.ui.json(&json!({ "version": 1, "signed_out": results }))?;
    } else if names.is_empty() {
        context.ui.notice("Nothing is stored.");
    }
    Ok(ExitCode::SUCCESS)
}

fn every_name(context: &Context) -> Result<Vec<Name>, CommandError> {
    let mut names = Vec::new();
    for entry in context.store()?.entries()?.entries {
        names.push(entry.name()?);
    }
    Ok(names)
}

fn sign_out(context: &Context, name: &Name) -> Result<Told, CommandError> {
    let store = context.store()?;
    let guard = store.lock(&Key::Credential(name), super::WRITE_WAIT)?;
    let told = match store.load(name) {
        Ok(None) => return Err(not_signed_in(context, name)),
        Ok(Some(record)) => tell(context, &record.credential),
        // Forgetting must also be possible for what cannot be read any more.
        Err(store::Error::Unreadable { .. }) => {
            Told::Failed("the stored record cannot be read".into())
        }
        Err(error) => return Err(error.into()),
    };
    store.delete(&guard, name)?;
    Ok(told)
}

fn not_signed_in(context: &Context, name: &Name) -> CommandError {
    let error = CommandError::new(Kind::Failed, format!("not signed in to {name}"));
    given::other_accounts(context, name, error).hint("authctl status")
}

/// Tells the server (RFC 7009): the refresh token ends the whole grant, so it goes first; a server that
/// takes only access tokens gets that.
fn tell(context: &Context, credential: &Credential) -> Told {
    let Some((tokens, binding)) = credential.as_oauth() else { return Told::Impossible };
    let Some(endpoint) = &binding.revocation_endpoint else { return Told::NoEndpoint };
    let revoke = |token, hint| {
        context.http.block_on(oauth::revoke(&context.http, endpoint, &binding.client, token, hint))
    };
    let refresh = tokens.refresh_token.as_ref().map(|token| revoke(token, "refresh_token"));
    let access = revoke(&tokens.access_token, "access_token");
    match refresh.unwrap_or(access) {
        Ok(()) => Told::Revoked,
        Err(error) => Told::Failed(CommandError::from(error).message().to_owned()),
    }
}

fn revoked(told: &Told) -> Option<bool> {
    match told {
        Told::Revoked => Some(true),
        Told::Failed(_) => Some(false),
        Told::Impossible | Told::NoEndpoint => None,
    }
}

fn report(context: &Context, name: &Name, told: &Told) {
    let ui = &context.ui;
    match told {
        Told::Revoked => {
            ui.notice(&format!("Signed out of {name}; the server revoked the tokens."));
        }
        Told::NoEndpoint => ui.notice(&format!(
            "Signed out of {name}. Its server offers no revocation: tokens already handed out live \
             until they expire."
        )),
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
    }
}
