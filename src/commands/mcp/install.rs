//! `authctl mcp install`: lets MCP clients reach a server through authctl.

use std::process::ExitCode;

use clap::Args;
use url::Url;

use super::change::{self, Change, Manner, Step, harmless};
use super::target::{self, Target, Where};
use crate::clients::{self, Entry, Layout, McpClient, Server, looks_secret};
use crate::commands::local_name::{long_name, short_name};
use crate::commands::{client_file, complete, handing, server};
use crate::context::Context;
use crate::credential::Name;
use crate::error::{CommandError, Kind, chain};
use crate::http::parse_resource;
use crate::interact::Interact;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl mcp install claude-code cursor https://mcp.example.com/mcp\n  authctl mcp install --all https://mcp.example.com/mcp --dry-run\n  authctl mcp install cursor linear:work\n  authctl mcp install vscode --project --with github=GITHUB_TOKEN -- npx -y some-server\n  authctl mcp install --file other.json https://mcp.example.com/mcp"
)]
pub struct Arguments {
    /// Clients (claude-code, claude-desktop, cursor, vscode, zed, codex, gemini, windsurf, cline), and the
    /// address of the server, or the name that it has here; without a client, a person is asked
    #[arg(value_name = "CLIENT|URL|NAME", add = complete::clients_and_stored())]
    words: Vec<String>,

    #[command(flatten)]
    place: Where,

    /// Name of the server in the clients' files
    #[arg(long)]
    name: Option<String>,

    /// Credential for a command, as NAME or NAME=VARIABLE
    #[arg(long, value_name = "NAME[=VARIABLE]", value_delimiter = ',')]
    with: Vec<String>,

    /// A header that is no secret, for an address
    #[arg(long, value_name = "NAME:VALUE")]
    header: Vec<String>,

    /// Replace a server of that name which does not go through authctl
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    manner: Manner,

    /// The command of a local server
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if !arguments.manner.dry_run {
        client_file::refuse_agents(context)?;
    }
    let (wanted, clients) = Wanted::of(context, arguments)?;
    let targets = target::targets(context, &clients, &arguments.place)?;
    let plan = |target: &Target, text: Option<&str>| {
        plan(&wanted, arguments.replace, target, text).map(Some)
    };
    let is_written = change::carry_out(context, &targets, &arguments.manner, &plan)?;
    if is_written && !wanted.is_signed_in(context) {
        // A query is for nobody's history.
        let login = wanted.login.as_deref().filter(|login| !login.contains('?'));
        let now =
            login.map(|login| format!(", or now: authctl login {}", crate::text::clean(login)));
        context.ui.notice(&format!("Sign in when it is first used{}", now.unwrap_or_default()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What clients are to run.
struct Wanted {
    /// Behind the program.
    args: Vec<String>,
    url: Option<String>,
    /// What `authctl login` is given to sign in to it.
    login: Option<String>,
    /// The credential that it has here, where it was named.
    credential: Option<Name>,
    /// Names for it, the best one first.
    names: Vec<String>,
    is_named: bool,
}

impl Wanted {
    fn of(
        context: &Context,
        arguments: &Arguments,
    ) -> Result<(Self, Vec<McpClient>), CommandError> {
        let (clients, servers) = sorted(context, &arguments.words)?;
        let mut wanted = match (&servers[..], &arguments.command[..]) {
            ([Typed::Url(url)], []) => Self::at(context, arguments, url)?,
            ([Typed::Known(server)], []) => Self::known(context, arguments, server)?,
            ([], [_, ..]) => Self::command(context, arguments)?,
            _ => {
                return Err(CommandError::usage(
                    "one server: an address, a name, or -- and a command",
                )
                .hint("authctl mcp install CLIENT URL  (or the name that it has here)")
                .hint("authctl mcp install CLIENT -- COMMAND…"));
            }
        };
        if let Some(name) = &arguments.name {
            wanted.names = vec![name.clone()];
        }
        if let Some(bad) = wanted.names.iter().find(|name| !is_server_name(name)) {
            let bad = crate::text::clean(bad);
            return Err(CommandError::usage(format!(
                "{bad:?} is no name for a server: letters, digits, - and _, at most 64"
            )));
        }
        Ok((wanted, clients))
    }

    fn at(context: &Context, arguments: &Arguments, url: &str) -> Result<Self, CommandError> {
        Ok(Self {
            args: args_for_url(context.account(), None, arguments, url)?,
            url: Some(url.to_owned()),
            login: Some(url.to_owned()),
            credential: None,
            names: names_of_url(url)?,
            is_named: arguments.name.is_some(),
        })
    }

    /// A server that has a name here: its address, which finds it also once nothing is stored for it any more.
    fn known(
        context: &Context,
        arguments: &Arguments,
        known: &server::Server,
    ) -> Result<Self, CommandError> {
        let (name, url) = (&known.named.name, &known.url);
        let account = known.named.account_named.then(|| name.account());
        let there = server::find(context, url, None)?;
        let is_found = there.is_some_and(|there| there.provider.id == known.provider.id);
        let called = (!is_found).then(|| name.provider());
        let with_account =
            account.map(|account| as_name(&format!("{}-{account}", name.provider())));
        let names = [as_name(name.provider())].into_iter().chain(with_account).collect();
        Ok(Self {
            args: args_for_url(account, called, arguments, url)?,
            url: Some(url.clone()),
            login: Some(name.to_string()),
            credential: Some(name.clone()),
            names: with_numbers(names),
            is_named: arguments.name.is_some(),
        })
    }

    fn command(context: &Context, arguments: &Arguments) -> Result<Self, CommandError> {
        Ok(Self {
            args: args_for_command(context, arguments)?,
            url: None,
            login: None,
            credential: None,
            names: names_of_command(arguments),
            is_named: arguments.name.is_some(),
        })
    }

    /// Whether nothing is left to be said of a sign-in.
    fn is_signed_in(&self, context: &Context) -> bool {
        let is_stored = |name| matches!(context.store().map(|it| it.entry(name)), Ok(Ok(Some(_))));
        self.url.is_none() || self.credential.as_ref().is_some_and(is_stored)
    }

    fn entry(&self, target: &Target) -> Entry {
        Entry { command: client_file::program(target.is_project), args: self.args.clone() }
    }

    /// Its name in a file: the first that is free, or that is this very server's already.
    fn name(&self, layout: Layout, there: &[Server]) -> &str {
        let fits = |name: &&String| {
            let at = clients::at(layout, name);
            there.iter().find(|server| server.at == at).is_none_or(|server| self.is(server))
        };
        self.names.iter().find(fits).unwrap_or(&self.names[0])
    }

    fn is(&self, server: &Server) -> bool {
        server.entry().is_some_and(|entry| entry.through().is_some() && entry.args == self.args)
            || (self.url.is_some() && server.url() == self.url.as_deref())
    }
}

/// A server as the command line has it.
enum Typed {
    Url(String),
    Known(Box<server::Server>),
}

/// The clients and the servers among the words. A word that is a client's name is that.
fn sorted(
    context: &Context,
    words: &[String],
) -> Result<(Vec<McpClient>, Vec<Typed>), CommandError> {
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for word in words {
        if word.contains("://") {
            servers.push(Typed::Url(word.clone()));
            continue;
        }
        match target::client(word) {
            Ok(client) => clients.push(client),
            Err(unknown) => {
                let neither = || {
                    unknown
                        .hint("authctl mcp install CLIENT URL  (no MCP server has that name here)")
                };
                let server = named_here(context, word)?.ok_or_else(neither)?;
                servers.push(Typed::Known(Box::new(server)));
            }
        }
    }
    Ok((clients, servers))
}

/// The server that has this name here; `None`: nothing has, or it has no address.
fn named_here(context: &Context, word: &str) -> Result<Option<server::Server>, CommandError> {
    context.config()?;
    match server::find(context, word, None) {
        Ok(server) => Ok(server.filter(|server| !server.url.is_empty())),
        Err(error) if error.kind() == Kind::Usage => Ok(None),
        Err(error) => Err(error),
    }
}

/// `mcp`, with the account that is named.
fn begin(account: Option<&str>) -> Vec<String> {
    let account = account.into_iter();
    let account = account.flat_map(|account| ["--account".to_owned(), account.to_owned()]);
    ["mcp".to_owned()].into_iter().chain(account).collect()
}

fn args_for_url(
    account: Option<&str>,
    name: Option<&str>,
    arguments: &Arguments,
    url: &str,
) -> Result<Vec<String>, CommandError> {
    parse_resource(url).map_err(|error| CommandError::usage(chain(&error)))?;
    refuse_secret_in(url)?;
    if !arguments.with.is_empty() {
        return Err(CommandError::usage("--with is for a command; an address has its own sign-in")
            .hint("authctl mcp install CLIENT URL --account ACCOUNT"));
    }
    let mut args = begin(account);
    args.extend(name.into_iter().flat_map(|name| ["--name".to_owned(), name.to_owned()]));
    for header in &arguments.header {
        args.extend(["--header".to_owned(), checked_header(header)?]);
    }
    args.push(url.to_owned());
    Ok(args)
}

/// A key in an address stands in the client's file, in argv and in logs.
fn refuse_secret_in(url: &str) -> Result<(), CommandError> {
    let Some(place) = clients::secret_in_url(url) else { return Ok(()) };
    let origin = Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let host = origin.trim_start_matches("https://").trim_start_matches("http://");
    Err(CommandError::usage(format!(
        "the address at {host} has a secret in it ({place}), and a client's file is no place for it"
    ))
    .hint(format!("authctl login {origin}/…  (the address without it: signs in where the server can)"))
    .hint(format!(
        "authctl provider add NAME --api-key --header 'x-api-key: {{key}}' --host {host}  (else a key in a header)"
    )))
}

/// Words of a command that are secrets: said, and refused in a file that others read.
fn check_words(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let secrets = clients::secrets_in_words(&arguments.command).join(", ");
    if !secrets.is_empty() && arguments.place.is_project() {
        return Err(CommandError::usage(format!(
            "the command has secrets in it ({secrets}), and a project's file is for others to read"
        ))
        .hint("authctl mcp install CLIENT --with NAME=VARIABLE -- COMMAND…"));
    }
    if !secrets.is_empty() {
        context.ui.warn(&format!(
            "secrets in the command will stand in the client's file: {secrets}; --with NAME=VARIABLE hands them over"
        ));
    }
    let is_own = |word: &&String| {
        ["--dry-run", "-y", "--yes", "--replace", "--project", "--all", "--json"]
            .contains(&word.as_str())
    };
    let last = arguments.command.iter().rev().take_while(is_own);
    let dry = arguments.command.iter().filter(|word| *word == "--dry-run");
    if let Some(word) = last.chain(dry).next() {
        context
            .ui
            .warn(&format!("{word} behind -- is for the server; authctl takes its own before it"));
    }
    Ok(())
}

/// `Name:value`: some clients tear arguments with blanks apart on Windows, and a key has no place in a file.
fn checked_header(typed: &str) -> Result<String, CommandError> {
    let Some((name, value)) = typed.split_once(':').map(|(name, value)| (name, value.trim()))
    else {
        return Err(CommandError::usage("a header is written like X-Workspace:name"));
    };
    if looks_secret(name) {
        return Err(CommandError::usage(format!(
            "{} has the name of a secret, and a client's file is no place for it",
            crate::text::clean(name)
        ))
        .hint("authctl login URL")
        .hint("authctl provider add NAME --api-key --header 'x-api-key: {key}' --host HOST"));
    }
    let is_name =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !is_name || value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return Err(CommandError::usage(
            "a header is written like X-Workspace:name, without blanks",
        ));
    }
    Ok(format!("{name}:{value}"))
}

fn args_for_command(context: &Context, arguments: &Arguments) -> Result<Vec<String>, CommandError> {
    if !arguments.header.is_empty() {
        return Err(CommandError::usage("--header is for an address; a command has --with"));
    }
    handing::parse(context, &arguments.with, &[])?;
    if arguments.command.first().is_some_and(|program| program.trim().is_empty()) {
        return Err(CommandError::usage("the command behind -- is empty")
            .hint("authctl mcp install CLIENT -- COMMAND…"));
    }
    check_words(context, arguments)?;
    if cfg!(windows) && arguments.command.iter().any(|word| word.contains(' ')) {
        context.ui.warn("some clients tear arguments with blanks apart on Windows");
    }
    let mut args = begin(context.account());
    if !arguments.with.is_empty() {
        args.extend(["--with".to_owned(), arguments.with.join(",")]);
    }
    args.push("--".to_owned());
    args.extend(arguments.command.iter().cloned());
    Ok(args)
}

// ------------------------------------------------------------------------------------------ names

fn names_of_url(url: &str) -> Result<Vec<String>, CommandError> {
    let url = Url::parse(url).map_err(|error| CommandError::usage(chain(&error)))?;
    let names =
        [short_name(&url), long_name(&url)].into_iter().flatten().map(|name| as_name(&name));
    Ok(with_numbers(names.collect()))
}

/// Programs that run another one, and words that stand between.
const LAUNCHERS: [&str; 14] = [
    "npx", "bunx", "uvx", "pipx", "npm", "pnpm", "yarn", "bun", "uv", "docker", "run", "exec",
    "dlx", "env",
];

fn names_of_command(arguments: &Arguments) -> Vec<String> {
    let stem = |word: &str| {
        let name = clients::file_name(word);
        let name = name.split('@').find(|part| !part.is_empty()).unwrap_or(name);
        as_name(name.split('.').next().unwrap_or(name))
    };
    let words = arguments.command.iter().filter(|word| !word.starts_with('-'));
    let mut names = words.map(|word| stem(word)).filter(|name| !name.is_empty());
    let name = names.find(|name| !LAUNCHERS.contains(&name.as_str()));
    with_numbers(vec![name.unwrap_or_else(|| "server".into())])
}

/// The clients' own rule is the narrowest one: no dots.
fn as_name(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = text.chars().map(fits).take(60).collect();
    name.trim_matches('-').to_owned()
}

fn with_numbers(mut names: Vec<String>) -> Vec<String> {
    names.dedup();
    let first = names.first().cloned().unwrap_or_else(|| "server".into());
    names.extend((2..100).map(|number| format!("{first}-{number}")));
    names
}

fn is_server_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
}

// ------------------------------------------------------------------------------------------- plan

fn plan(
    wanted: &Wanted,
    replace: bool,
    target: &Target,
    text: Option<&str>,
) -> Result<Step, CommandError> {
    let path = target.shown();
    let wrong = |malformed| CommandError::usage(format!("cannot change {path}: {malformed}"));
    let text = text.unwrap_or_default();
    let layout = target.layout(text);
    let is_empty = text.trim().is_empty();
    let there =
        if is_empty { Vec::new() } else { clients::servers(layout.format, text).map_err(wrong)? };
    let name = wanted.name(layout, &there);
    let entry = wanted.entry(target);
    let at = clients::at(layout, name);
    let same_name = there.iter().find(|server| server.at == at);
    let kind = match same_name {
        None => Change::Added,
        Some(server) if server.entry().as_ref() == Some(&entry) => Change::Unchanged,
        Some(_) => Change::Replaced,
    };
    let is_others = same_name.is_some_and(|server| server.through().is_none());
    let refusal = (is_others && !replace).then(|| {
        CommandError::usage(format!("{path} has a server {name} that does not go through authctl"))
            .hint("the same with --replace, or another --name")
    });
    let after = clients::put(layout, text, name, &entry).map_err(wrong)?;
    let mut shown = harmless(&entry);
    shown.extend(wanted.is_named.then(|| name.to_owned()));
    let after = Some(after);
    Ok(Step { name: name.to_owned(), kind, format: layout.format, after, shown, refusal })
}
