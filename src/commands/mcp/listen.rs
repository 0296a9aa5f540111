//! `authctl mcp --listen -- COMMAND`: a local server for clients over HTTP on this computer.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::task::LocalSet;

use super::outfit::Fitting;
use crate::commands::parse_time;
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::listen::Sockets;
use crate::mcp::{self, Front, Guard, PATH, Settings};
use crate::private_file;
use crate::secret::Secret;

/// Longest file with a secret, and the shortest secret, in bytes.
const SECRET_FILE: u64 = 4096;
const SHORTEST: usize = 16;

/// Heading of what fits only a command.
pub const LOCAL: &str = "Local servers";

#[derive(Debug, Args)]
#[group(skip)]
#[command(next_help_heading = LOCAL)]
pub struct Arguments {
    /// Serve the command to HTTP clients of this computer, on this port or any free one
    #[arg(long, value_name = "PORT", num_args = 0..=1, value_parser = parse_port, requires = "command", conflicts_with = "server")]
    #[expect(clippy::option_option, reason = "a flag, and perhaps its value")]
    listen: Option<Option<u16>>,

    /// File with the secret that clients send as `Authorization: Bearer …`, instead of a random one
    #[arg(long, value_name = "FILE", requires = "listen", conflicts_with = "server")]
    secret_file: Option<PathBuf>,

    /// Serve every program of this computer, without a secret
    #[arg(long, requires = "listen", conflicts_with_all = ["secret_file", "server"])]
    no_secret: bool,

    /// Time without a request after which a session and its command end
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = parse_idle, requires = "listen", conflicts_with = "server")]
    idle: Duration,
}

impl Arguments {
    pub fn is_wanted(&self) -> bool {
        self.listen.is_some()
    }
}

pub fn run(
    context: &Context,
    arguments: &Arguments,
    settings: Settings,
    with: &[String],
    command: &[OsString],
) -> Result<ExitCode, CommandError> {
    let fitting = Fitting::new(context, "authctl mcp --listen", with, command)?;
    let secret = secret(&fitting.context, arguments)?;
    let port = arguments.listen.flatten();
    let sockets = Sockets::bind(port).map_err(|error| unbound(port, &error))?;
    let wardrobe = fitting.open()?;
    let port = sockets.port();
    announce(context, arguments, port, secret.as_ref())?;
    let front = Front {
        guard: Guard { port, secret },
        outfitter: Rc::new(wardrobe),
        settings,
        idle: arguments.idle,
    };
    let served = LocalSet::new();
    let served = context.http.block_on(served.run_until(mcp::serve_http(front, sockets)));
    served.map_err(|error| {
        CommandError::new(Kind::Failed, format!("cannot listen on this computer: {error}"))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn parse_port(typed: &str) -> Result<u16, String> {
    typed.parse().map_err(|_| "a port is a number from 0 (any free one) to 65535".to_owned())
}

fn parse_idle(typed: &str) -> Result<Duration, String> {
    let time = parse_time(typed)?;
    if time.is_zero() {
        return Err("no session could last; give it 1s or more".to_owned());
    }
    Ok(time)
}

fn unbound(port: Option<u16>, error: &io::Error) -> CommandError {
    match (port, error.kind()) {
        (Some(port), io::ErrorKind::AddrInUse) => CommandError::new(
            Kind::Failed,
            format!("another program listens on port {port} of this computer"),
        )
        .hint("authctl mcp --listen -- COMMAND  (takes a free one)"),
        (Some(port), _) => CommandError::new(
            Kind::Failed,
            format!("cannot listen on port {port} of this computer: {error}"),
        ),
        (None, _) => {
            CommandError::new(Kind::Failed, format!("cannot listen on this computer: {error}"))
        }
    }
}

/// The secret that clients must know; `None`: none is wanted.
fn secret(context: &Context, arguments: &Arguments) -> Result<Option<Secret>, CommandError> {
    if arguments.no_secret {
        context.ui.warn(
            "every program of this computer can use this server, and the credentials that it has",
        );
        return Ok(None);
    }
    match &arguments.secret_file {
        Some(file) => read_secret(file).map(Some),
        None => Ok(Some(Secret::random())),
    }
}

fn read_secret(file: &Path) -> Result<Secret, CommandError> {
    let unfit =
        |why: &str| CommandError::usage(format!("{} cannot be the secret: {why}", file.display()));
    let bytes = private_file::read_unexposed(file, SECRET_FILE)?;
    let bytes = bytes.ok_or_else(|| unfit("there is no such file"))?;
    let text = String::from_utf8(bytes).map_err(|_| unfit("it is not text"))?;
    let secret = Secret::parse_token(text.trim_end_matches(['\r', '\n']))
        .map_err(|error| unfit(&error.to_string()))?;
    if secret.expose().len() < SHORTEST {
        return Err(unfit(&format!("it has fewer than {SHORTEST} characters")));
    }
    Ok(secret)
}

/// The one place where the secret is printed, and only where nobody else has it.
fn announce(
    context: &Context,
    arguments: &Arguments,
    port: u16,
    secret: Option<&Secret>,
) -> Result<(), CommandError> {
    let url = format!("http://127.0.0.1:{port}{PATH}");
    let made = secret.filter(|_| arguments.secret_file.is_none()).map(Secret::expose);
    if context.ui.is_json() {
        // One line, which whoever started it can wait for.
        let line = json!({"version": 1, "url": url, "secret": made});
        return Ok(context.ui.data(&format!("{line}\n"))?);
    }
    let header = made.map(|made| format!("Authorization: Bearer {made}\n")).unwrap_or_default();
    context.ui.data(&format!("{url}\n{header}"))?;
    if io::stdout().is_terminal() {
        let entry = entry(&url, secret.map(|_| made.unwrap_or("SECRET")));
        context.ui.data(&format!("\nAs a server in a client's file:\n  {entry}\n"))?;
    }
    context.ui.notice("the command starts when a client comes; Ctrl-C ends it");
    Ok(())
}

/// The server as most clients' files have it.
fn entry(url: &str, secret: Option<&str>) -> serde_json::Value {
    let mut entry = json!({"type": "http", "url": url});
    if let Some(secret) = secret {
        entry["headers"] = json!({"Authorization": format!("Bearer {secret}")});
    }
    entry
}
