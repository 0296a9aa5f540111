//! `authctl provider`: the providers that are known, what is known of one, whether it works, and those
//! that a person adds.

mod add;
mod check;
mod discovered;
mod list;
mod remove;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::complete;
use crate::context::Context;
use crate::credential::Name;
use crate::error::{CommandError, Kind};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the providers: the built-in ones and those of config.toml
    List,
    /// Show one provider: ways to sign in, headers, variables, endpoints
    Show {
        /// Name of the provider, as in `provider list`
        #[arg(add = complete::providers())]
        provider: String,
    },
    /// Check one provider step by step: from its description to a call with the stored credential
    ///
    /// Every step says ok, failed or skipped, and why. Ends with 1 if a step failed.
    Check {
        /// Provider, or provider:account
        #[arg(add = complete::providers())]
        provider: String,
        /// Refresh the credential to prove that it can be
        #[arg(long)]
        refresh: bool,
    },
    /// Add a provider to config.toml: from an address by discovery, or from flags
    ///
    /// An address is that of an issuer, an API or an MCP server: what it publishes about signing in
    /// (RFC 9728, RFC 8414, OpenID Connect Discovery) is asked for and checked. Everything else in the
    /// file stays as it is, and nothing is written that authctl would not read.
    Add(Box<add::Arguments>),
    /// Remove a provider from config.toml, or one that was found at its address
    Remove {
        /// Name of the provider
        #[arg(add = complete::providers())]
        provider: String,
    },
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    match &arguments.what {
        What::List => list::run(context),
        What::Show { provider } => show::run(context, provider),
        What::Check { provider, refresh } => check::run(context, provider, *refresh),
        What::Add(arguments) => add::run(context, arguments),
        What::Remove { provider } => remove::run(context, provider),
    }
}

/// Where credentials may go is for a person to say.
fn refuse_agents(context: &Context) -> Result<(), CommandError> {
    match context.agent_at_the_keyboard()? {
        None => Ok(()),
        Some(agent) => Err(CommandError::new(
            Kind::Failed,
            format!("{agent} is running this command; only a person can change providers"),
        )),
    }
}

/// A credential that is stored for this provider.
fn stored(context: &Context, provider: &str) -> Result<Option<Name>, CommandError> {
    let listing = context.store()?.entries()?;
    let mut names = listing.entries.iter().filter_map(|entry| entry.name().ok());
    Ok(names.find(|name| name.provider() == provider))
}
