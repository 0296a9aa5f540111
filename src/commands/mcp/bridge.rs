//! `authctl mcp URL`: what an MCP client runs to reach a remote server.

use std::ffi::OsString;
use std::io::{IsTerminal, stdin};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use tokio::task::LocalSet;

use super::client::{self, Client};
use super::credentials::{self, Seat, Target};
use super::{listen, wrap};
use crate::commands::holding::quiet;
use crate::commands::{complete, headers, parse_time, server};
use crate::config::McpRule;
use crate::context::Context;
use crate::credential::Name;
use crate::error::CommandError;
use crate::forward::{Bring, Broker, Forward};
use crate::http::Http;
use crate::interact::Interact;
use crate::mcp::{self, Broken, Endpoint, Filter, Known, Link, Settings};
use crate::text::clean;

#[derive(Debug, Args)]
#[group(skip)]
pub struct Arguments {
    /// Address of the MCP server, or the name that it has here
    #[arg(value_name = "URL", required_unless_present_any = ["command", "listen", "with"], conflicts_with = "command")]
    server: Option<String>,

    /// A server that speaks MCP on its stdin and stdout, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    /// The credential to use, where it is not the server's own: an account, or another name
    #[arg(long, value_name = "NAME", conflicts_with = "command", help_heading = REMOTE)]
    name: Option<String>,

    /// Header of each request, as in 'X-Team: blue'; ${NAME} stands for a variable of the environment
    #[arg(long = "header", value_name = "HEADER: VALUE", value_parser = headers::parse, conflicts_with = "command", help_heading = REMOTE)]
    headers: Vec<(String, String)>,

    /// Header whose value is another stored credential, as in X-Api-Key=NAME
    #[arg(long = "secret-header", value_name = "HEADER=NAME", value_parser = headers::parse_secret, conflicts_with = "command", help_heading = REMOTE)]
    secret_headers: Vec<(String, String)>,

    /// Show and allow only these tools; * stands for any text
    #[arg(long = "allow-tool", value_name = "PATTERN")]
    allow_tools: Vec<String>,

    /// Hide and refuse these tools
    #[arg(long = "deny-tool", value_name = "PATTERN")]
    deny_tools: Vec<String>,

    /// Never open a browser: the client shows the link, or gets a tool that gives it
    #[arg(long)]
    no_browser: bool,

    /// How long lists wait for a sign-in before a tool stands in their place
    #[arg(long, value_name = "TIME", value_parser = parse_wait)]
    list_wait: Option<Duration>,

    /// How long other calls wait for it before they are answered
    #[arg(long, value_name = "TIME", value_parser = parse_wait)]
    call_wait: Option<Duration>,

    /// How long the server may leave a request without a word [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_wait, conflicts_with = "command", help_heading = REMOTE)]
    answer_wait: Option<Duration>,

    #[command(flatten)]
    client: client::Arguments,

    /// Credentials for the command, joined by commas: NAME, or NAME=VARIABLE to choose the variable
    #[arg(long, value_name = "NAME[=VARIABLE]", value_delimiter = ',', requires = "command", conflicts_with = "server", add = complete::stored(), help_heading = listen::LOCAL)]
    with: Vec<String>,

    #[command(flatten)]
    listen: listen::Arguments,
}

/// Heading of what fits only an address.
const REMOTE: &str = "Remote servers";

impl Arguments {
    pub fn starts_child(&self) -> bool {
        !self.command.is_empty()
    }
}

/// Long enough for a call that a person, or a model, has a part in.
const ANSWER_WAIT: Duration = Duration::from_mins(10);

/// As in config.toml: a wait of no time is none.
fn parse_wait(typed: &str) -> Result<Duration, String> {
    let wait = parse_time(typed)?;
    if wait.is_zero() { Err("it must be longer than nothing".to_owned()) } else { Ok(wait) }
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if arguments.starts_child() {
        arguments.client.refuse_id(&*context.ui)?;
        let settings = settings(context, arguments, &McpRule::default());
        let (with, command) = (&arguments.with, &arguments.command);
        if arguments.listen.is_wanted() {
            return listen::run(context, &arguments.listen, settings, with, command);
        }
        return wrap::run(context, settings, with, command);
    }
    let interact = context.ui.clone();
    let prepared = prepare(context, arguments);
    let mut code = ExitCode::SUCCESS;
    let (link, settings, desk): (Rc<dyn Link>, _, _) = match prepared {
        Ok(session) => (session.link, session.settings, Some(session.desk)),
        Err(error) if stdin().is_terminal() => return Err(error),
        // A client shows what it is told, and hides what stands on stderr.
        Err(error) => {
            context.ui.error(&error);
            code = ExitCode::from(error.kind().exit_code());
            let broken = Broken::new(error.message().to_owned());
            (Rc::new(broken), Settings::new(interact), None)
        }
    };
    let served = context.http.block_on(LocalSet::new().run_until(mcp::serve(link, settings)));
    if let Some(desk) = desk {
        // A refresh under way would lose its token (`resolve::refresh`).
        let _ = desk.join();
    }
    served?;
    Ok(code)
}

struct Session {
    link: Rc<dyn Link>,
    settings: Settings,
    desk: std::thread::JoinHandle<()>,
}

fn prepare(context: &Context, arguments: &Arguments) -> Result<Session, CommandError> {
    let typed = target(context, arguments)?;
    let url = server::address(&typed.url)?;
    let rule = context.config()?.mcp(&typed.url);
    if let (None, Some(name)) = (&typed.name, &rule.credential)
        && context.config()?.provider(name.provider()).is_err()
    {
        context.ui.warn(&format!(
            "config.toml: there is no credential {name} yet; the first sign-in to {} gets that name",
            clean(&typed.url)
        ));
    }
    let target =
        Target { name: typed.name.or(rule.credential.as_ref().map(Name::to_string)), ..typed };
    let settings = settings(context, arguments, &rule);
    let login_name = target.login_name();
    let mut extra = headers::plain(&arguments.headers, &rule.headers)?;
    headers::add_stored(context, &mut extra, &arguments.secret_headers, &rule.secret_headers)?;
    let client = Client::read(context, &arguments.client)?;
    let (options, command_line) = (quiet(context), context.command_line);
    let (asks, desk) = credentials::start(Seat { options, command_line, target, client });
    let forward = Forward { http: Http::new(), broker: Broker::new(asks), extra };
    let patience = arguments.answer_wait.or(rule.answer_wait).unwrap_or(ANSWER_WAIT);
    let known = Known::of(&url, &context.paths()?.state);
    let link = Rc::new(Rc::new(Endpoint { url, login_name, forward, known, patience }));
    Ok(Session { link, settings, desk })
}

/// Whose server is meant: an address, or the name that one has here.
fn target(context: &Context, arguments: &Arguments) -> Result<Target, CommandError> {
    let typed = arguments.server.as_deref().unwrap_or_default();
    let name = arguments.name.clone();
    if typed.contains("://") {
        return Ok(Target { url: typed.to_owned(), name });
    }
    let url = server::find(context, typed, name.as_deref())?.map(|server| server.url);
    let url = url.filter(|url| !url.is_empty()).ok_or_else(|| {
        CommandError::usage(format!("no MCP server is called {}", clean(typed)))
            .hint("authctl mcp URL --name NAME  (a server that takes this credential)")
    })?;
    Ok(Target { url, name: Some(typed.to_owned()) })
}

fn settings(context: &Context, arguments: &Arguments, rule: &McpRule) -> Settings {
    let defaults = Settings::new(context.ui.clone());
    let both = |typed: &[String], written: &[String]| [typed, written].concat();
    let allow = match arguments.allow_tools.as_slice() {
        [] => rule.allow_tools.clone(),
        typed => typed.to_vec(),
    };
    let opens = !arguments.no_browser && rule.open_browser != Some(false);
    Settings {
        list_patience: arguments.list_wait.or(rule.list_wait).unwrap_or(defaults.list_patience),
        call_patience: arguments.call_wait.or(rule.call_wait).unwrap_or(defaults.call_patience),
        bring: if opens { Bring::Browser } else { Bring::Shown },
        filter: Filter::new(&allow, &both(&arguments.deny_tools, &rule.deny_tools)),
        ..defaults
    }
}
