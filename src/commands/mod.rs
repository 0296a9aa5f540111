//! The commands, one file each: its arguments and its story.

mod acp;
mod client_file;
mod complete;
mod deferred;
mod environment;
mod exec;
mod generate;
mod given;
mod handing;
mod headers;
mod holding;
mod import;
mod local_name;
mod log;
mod login;
mod logout;
mod mcp;
mod permission;
mod provider;
mod proxy;
mod purpose;
mod server;
mod server_table;
mod status;
mod token;
mod trust;
mod verify;

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use crate::config::{Provider, Scheme};
use crate::context::Context;
use crate::credential::{Credential, Kind, Name};
use crate::error::CommandError;

use deferred::Deferred;

/// A command is documented here and its arguments in its file, so that a list of commands builds none of them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in to a provider
    ///
    /// Uses the provider's own way: a browser, a device code, or a key that is pasted without echo. The
    /// credential is kept in the OS keychain, or in the encrypted file that was chosen instead.
    ///
    /// Over SSH, in a container or without a display, a device code goes first; else the address is shown,
    /// and the one where your browser ended is pasted, now or later with --resume. BROWSER names a browser
    /// that is opened anywhere; BROWSER=echo prints the address. Without a terminal the command prints what a
    /// person has to do, as JSON with --json, and ends with 4; --resume finishes it.
    ///
    /// Logins to one credential take turns; those that waited take over how the first one ended.
    Login(Deferred<login::Arguments>),

    /// Sign out: forget, and revoke at the server
    ///
    /// The credential is always deleted here. Whether the server was told, could not be told, or
    /// offers no way to be told is said. Ctrl-C ends the telling, not the forgetting. With --all, what
    /// fails stops nothing else, and the highest exit code counts.
    Logout(Deferred<logout::Arguments>),

    /// Show what is held, until when, and what mends a bad one
    ///
    /// Never shows a secret, and opens neither the keychain nor the network, unless --check asks for both.
    /// Ends with 1 if anything is broken.
    Status(Deferred<status::Arguments>),

    /// Print one fresh token
    ///
    /// Writes the token and a line end to stdout and nothing else; whatever there is to say goes to stderr. A
    /// token that ends too soon is refreshed first. Under a coding agent the command refuses, unless a
    /// person allowed it for this credential.
    Token(Deferred<token::Arguments>),

    /// Run a command with credentials in its environment
    ///
    /// Every credential is made fresh first; one that is missing or dead stops everything before the
    /// command starts. Variables that the providers' own tools would read instead are removed, so that a
    /// stale key cannot win. The command replaces authctl: same process, terminal, signals and exit
    /// status.
    ///
    /// Without --with, the command gets what the nearest authctl.toml lists, if you approved it (authctl
    /// trust). Else, at a terminal, authctl asks what to hand over and can remember the answer for this
    /// program in this project.
    Exec(Deferred<exec::Arguments>),

    /// Approve what a directory's authctl.toml asks for
    ///
    /// A directory may say in authctl.toml which credentials its commands need: names of providers,
    /// accounts and variables, nothing else. It counts for nothing until you have seen it and said yes.
    /// The approval is for these bytes at this place: a changed or moved file is asked about again.
    /// Under a coding agent the command refuses.
    Trust(Deferred<trust::Arguments>),

    /// Show what was handed out, to whom and when
    ///
    /// Every credential that is handed to a command or printed leaves a line, and so does each refusal,
    /// sign-in, sign-out, refresh and permission; never a secret.
    Log(Deferred<log::Arguments>),

    /// Reach an MCP server: sign in, and bridge to it
    ///
    /// What an MCP client runs: it speaks the protocol on stdin and stdout, and everything else goes to stderr.
    ///
    /// With a command instead of an address, that server is started with credentials in its environment, as exec
    /// would, and started anew with fresh ones when it must be; authctl leaves with its status. With --listen, it is
    /// served over HTTP to programs of this computer that know the secret.
    Mcp(Deferred<mcp::Arguments>),

    /// Lend credentials to programs that never hold them
    ///
    /// Serves an address on this computer for each credential. A request that comes there with the key of this run
    /// goes on to the provider with the credential in place of the key, always fresh; nothing else of it is
    /// touched. The key is worth nothing elsewhere, nor when the command has ended.
    Proxy(Deferred<proxy::Arguments>),

    /// Sign a coding agent in to its editor, over the Agent Client Protocol
    ///
    /// What an editor runs in place of the agent: it starts the agent and stands between both. The agent gets its
    /// credential from the store by the best way that it has, and the person signs in from inside the editor where
    /// nobody has. At a terminal, the agent runs with the same credentials; AUTHCTL_ACP_LOGIN=NAME signs in there.
    Acp(Deferred<acp::Arguments>),

    /// Say which credentials coding agents may print
    Permission(Deferred<permission::Arguments>),

    /// List, show, check, add and remove providers
    Provider(Deferred<provider::Arguments>),

    /// Take over credentials that other tools keep in the open
    ///
    /// Looks into .env files, the configurations of MCP clients, gh's hosts file, adcp's config and
    /// mcp-remote's folder, and shows what is there: never a secret, only the beginning of its digest. With
    /// --apply, or after a yes at the terminal, the credentials are stored; with --rewrite, references to authctl
    /// take their place in the files, of which backups are kept.
    Import(Deferred<import::Arguments>),

    /// Generate completions, man pages and JSON Schema
    Generate(Deferred<generate::Arguments>),
}

impl Command {
    pub fn run(&self, context: &Context) -> Result<ExitCode, CommandError> {
        match self {
            Command::Login(arguments) => login::run(context, arguments),
            Command::Logout(arguments) => logout::run(context, arguments),
            Command::Status(arguments) => status::run(context, arguments),
            Command::Token(arguments) => token::run(context, arguments),
            Command::Exec(arguments) => exec::run(context, arguments),
            Command::Trust(arguments) => trust::run(context, arguments),
            Command::Log(arguments) => log::run(context, arguments),
            Command::Mcp(arguments) => mcp::run(context, arguments),
            Command::Proxy(arguments) => proxy::run(context, arguments),
            Command::Acp(arguments) => acp::run(context, arguments),
            Command::Permission(arguments) => permission::run(context, arguments),
            Command::Provider(arguments) => provider::run(context, arguments),
            Command::Import(arguments) => import::run(context, arguments),
            Command::Generate(arguments) => generate::run(context, arguments),
        }
    }

    /// The exit code for an error: commands that leave with their child's status use 125 to 127.
    pub fn exit_code(&self, error: &CommandError) -> u8 {
        match self {
            Command::Exec(_) => error.kind().exit_code_before_child(),
            Command::Acp(arguments) if arguments.starts_child() => {
                error.kind().exit_code_before_child()
            }
            Command::Mcp(arguments) if arguments.starts_child() => {
                error.kind().exit_code_before_child()
            }
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
