//! The commands, one file each: its arguments and its story.

mod complete;
mod exec;
mod generate;
mod given;
mod login;
mod logout;
mod provider;
mod status;
mod token;
mod verify;

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use crate::config::{Provider, Scheme};
use crate::context::Context;
use crate::credential::{Credential, Kind, Name};
use crate::error::CommandError;

#[derive(Debug, Subcommand)]
pub enum Command {
    Login(login::Arguments),
    Logout(logout::Arguments),
    Status(status::Arguments),
    Token(token::Arguments),
    Exec(exec::Arguments),
    Provider(provider::Arguments),
    Generate(generate::Arguments),
}

impl Command {
    pub fn run(&self, context: &Context) -> Result<ExitCode, CommandError> {
        match self {
            Command::Login(arguments) => login::run(context, arguments),
            Command::Logout(arguments) => logout::run(context, arguments),
            Command::Status(arguments) => status::run(context, arguments),
            Command::Token(arguments) => token::run(context, arguments),
            Command::Exec(arguments) => exec::run(context, arguments),
            Command::Provider(arguments) => provider::run(context, arguments),
            Command::Generate(arguments) => generate::run(context, arguments),
        }
    }

    /// The exit code for an error: commands that leave with their child's status use 125 to 127.
    pub fn exit_code(&self, error: &CommandError) -> u8 {
        match self {
            Command::Exec(_) => error.kind().exit_code_before_child(),
            _ => error.kind().exit_code(),
        }
    }
}

/// A time as typed: `90s`, `10m`, `1h 30m`, or bare seconds.
fn parse_time(typed: &str) -> Result<Duration, String> {
    let bare_seconds = typed.parse::<u32>().map(|seconds| Duration::from_secs(seconds.into()));
    bare_seconds.or_else(|_| {
        typed
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|time| Duration::try_from(time).ok())
            .ok_or_else(|| "a time is written like 90s, 10m or 1h".to_owned())
    })
}

/// How the provider wants a credential of this kind to be handed over.
fn scheme_of<'a>(
    provider: &'a Provider,
    name: &Name,
    credential: &Credential,
) -> Result<&'a Scheme, CommandError> {
    let kind = credential.kind();
    let scheme_for = |kind| provider.schemes.iter().find(|scheme| scheme.kind == kind);
    let scheme = scheme_for(kind).or_else(|| match kind {
        // A given token of a provider that has OAuth alone is one of its access tokens.
        Kind::Bearer => scheme_for(Kind::OAuth),
        _ => None,
    });
    scheme.ok_or_else(|| {
        CommandError::usage(format!(
            "{name} is stored as {}, and {} does not describe that kind",
            kind.as_str(),
            provider.id
        ))
        .hint(format!("authctl provider show {}", provider.id))
        .hint(format!("authctl login {name}"))
    })
}
