//! `authctl mcp URL`: what an MCP client runs to reach a remote server.

use std::io::{IsTerminal, stdin};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use tokio::task::LocalSet;

use super::client::{self, Client};
use super::credentials::{self, Seat, Target};
use crate::commands::{given, parse_time};
use crate::config::McpRule;
use crate::context::{Context, Options};
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::forward::{Bring, Broker, Forward};
use crate::http::{Http, parse_url};
use crate::mcp::{self, Broken, Endpoint, Filter, Known, Link, Settings};
use crate::secret::Secret;
use crate::ui::Manner;

#[derive(Debug, Args)]
#[group(skip)]
pub struct Arguments {
    /// Address of the MCP server, or the name that it has here
    #[arg(value_name = "URL", required = true)]
    server: Option<String>,

    /// The credential to use, where it is not the server's own: an account, or another name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Header of each request, as in 'X-Team: blue'
    #[arg(long = "header", value_name = "HEADER: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,

    /// Header whose value is another stored credential, as in X-Api-Key=NAME
    #[arg(long = "secret-header", value_name = "HEADER=NAME", value_parser = parse_secret_header)]
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
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    list_wait: Option<Duration>,

    /// How long other calls wait for it before they are answered
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    call_wait: Option<Duration>,

    /// How long the server may leave a request without a word [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    answer_wait: Option<Duration>,

    #[command(flatten)]
    client: client::Arguments,
}

/// Long enough for a call that a person, or a model, has a part in.
const ANSWER_WAIT: Duration = Duration::from_mins(10);

fn parse_header(typed: &str) -> Result<(String, String), String> {
    let (name, value) = typed.split_once(':').ok_or("it is written like 'X-Team: blue'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn parse_secret_header(typed: &str) -> Result<(String, String), String> {
    let (name, credential) = typed.split_once('=').ok_or("it is written like X-Api-Key=NAME")?;
    Ok((name.trim().to_owned(), credential.trim().to_owned()))
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let interact = context.ui.clone();
    let prepared = prepare(context, arguments);
    let (link, settings, desk): (Rc<dyn Link>, _, _) = match prepared {
        Ok(session) => (session.link, session.settings, Some(session.desk)),
        Err(error) if stdin().is_terminal() => return Err(error),
        // A client shows what it is told, and hides what stands on stderr.
        Err(error) => {
            context.ui.error(&error);
            let broken = Broken::new(error.message().to_owned());
            (Rc::new(broken), Settings::new(interact), None)
        }
    };
    let served = context.http.block_on(LocalSet::new().run_until(mcp::serve(link, settings)));
    if let Some(desk) = desk {
        let _ = desk.join();
    }
    served.map_err(|error| CommandError::new(Kind::Failed, format!("no stdout: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

struct Session {
    link: Rc<dyn Link>,
    settings: Settings,
    desk: std::thread::JoinHandle<()>,
}

fn prepare(context: &Context, arguments: &Arguments) -> Result<Session, CommandError> {
    let typed = arguments.server.as_deref().unwrap_or_default();
    let url = parse_url(typed)?;
    let rule = context.config()?.mcp(typed);
    let settings = settings(context, arguments, &rule);
    let extra = extra_headers(context, arguments, &rule)?;
    let credential = arguments.name.clone().or(rule.credential.as_ref().map(Name::to_string));
    let target = Target { url: typed.to_owned(), name: credential };
    let client = Client::read(context, &arguments.client)?;
    let (options, command_line) = (quiet(context), context.command_line);
    let (asks, desk) = credentials::start(Seat { options, command_line, target, client });
    let forward = Forward { http: Http::new(), broker: Broker::new(asks), extra };
    let patience = arguments.answer_wait.or(rule.answer_wait).unwrap_or(ANSWER_WAIT);
    let known = Known::of(&url, &context.paths()?.state);
    let link = Rc::new(Rc::new(Endpoint { url, forward, known, patience }));
    Ok(Session { link, settings, desk })
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

/// Headers beside the credential's; a typed one wins over a written one.
fn extra_headers(
    context: &Context,
    arguments: &Arguments,
    rule: &McpRule,
) -> Result<Vec<(String, Secret)>, CommandError> {
    let plain = |(name, value): (&String, &String)| (name.clone(), Secret::new(value.as_str()));
    let mut headers: Vec<_> = rule.headers.iter().map(plain).collect();
    for (header, name) in &rule.secret_headers {
        headers.push((header.clone(), secret(context, &name.to_string())?));
    }
    headers.extend(arguments.headers.iter().map(|(name, value)| plain((name, value))));
    for (header, name) in &arguments.secret_headers {
        headers.push((header.clone(), secret(context, name)?));
    }
    Ok(headers)
}

/// The bare secret of a further credential.
fn secret(context: &Context, typed: &str) -> Result<Secret, CommandError> {
    let named = context.name(typed)?;
    let provider = context.provider(&named.name)?;
    let purpose = crate::commands::purpose::Purpose::mcp();
    let min_ttl = Duration::ZERO;
    let resolved = given::resolve(context, &named, provider, min_ttl, false, Some(&purpose))?;
    Ok(resolved.credential.secret().clone())
}

/// stdin and stdout carry the protocol: nobody can be asked there.
fn quiet(context: &Context) -> Options {
    let options = context.options();
    Options { manner: Manner { no_input: true, ..options.manner }, ..options }
}
