//! `authctl provider remove`: takes a provider out of config.toml.

use std::process::ExitCode;

use serde_json::json;

use crate::commands::server;
use crate::config::{self, Source};
use crate::context::Context;
use crate::error::CommandError;
use crate::interact::Interact;

pub fn run(context: &Context, typed: &str) -> Result<ExitCode, CommandError> {
    let name = context.name(typed)?.name;
    let provider = context.provider(&name)?;
    if provider.source == Source::Catalog {
        return Err(CommandError::usage(format!(
            "{} is built in, and only a provider in config.toml can be removed",
            provider.id
        )));
    }
    super::refuse_agents(context)?;
    refuse_while_signed_in(context, &provider.id)?;
    let file = if let Source::Servers { path, .. } = &provider.source {
        server::forget(context, &provider.id)?;
        path.clone()
    } else {
        let file = context.paths()?.config_file();
        if let Some(edit) = config::remove_provider(&file, &provider.id)? {
            edit.write()?;
        }
        file
    };
    if context.ui.is_json() {
        context.ui.json(&json!({ "version": 1, "provider": provider.id, "file": file }))?;
    } else {
        context.ui.notice(&format!("Removed {} from {}.", provider.id, file.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Without its description a credential could neither be used nor revoked.
fn refuse_while_signed_in(context: &Context, provider: &str) -> Result<(), CommandError> {
    match super::stored(context, provider)? {
        None => Ok(()),
        Some(name) => Err(CommandError::usage(format!("a credential for {name} is stored"))
            .hint(format!("authctl logout {name}"))),
    }
}
