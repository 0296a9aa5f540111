//! `authctl acp doctor`: what an agent offers, what it would get and by which way, and what is missing. The agent
//! is started and ended; nothing is handed over.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::task::LocalSet;

use super::agent::Agent;
use super::binding::{self, Bound, Where};
use super::models::Listing;
use super::report::{self, Credential, Report, Trouble};
use super::{Wish, desk, grants, withheld};
use crate::acp::{self, Editor, Grant, Heard, Lent, Way};
use crate::config::AcpProvider;
use crate::context::{Context, working_directory};
use crate::credential::Name;
use crate::error::CommandError;
use crate::interact::Interact;
use crate::launch;
use crate::secret::Secret;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl acp doctor\n  authctl acp doctor -- codex-acp\n  authctl acp doctor --with openai:work --remember -- codex-acp\n\nExit status: 1 if something is missing."
)]
pub struct Arguments {
    #[command(flatten)]
    wish: Wish,

    /// Bind the credentials to this agent for good: in this project, or everywhere
    #[arg(long, value_name = "WHERE", num_args = 0..=1, default_missing_value = "project")]
    remember: Option<Where>,

    /// Open a session as well
    #[arg(long)]
    session: bool,

    /// How long the agent may take for each answer
    #[arg(long, value_name = "TIME", value_parser = crate::commands::parse_time, default_value = "60s")]
    wait: Duration,

    /// The agent as its editor would start it
    #[arg(last = true, value_name = "AGENT")]
    command: Vec<std::ffi::OsString>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if arguments.command.is_empty() {
        return report::list_known(context);
    }
    let agent = Agent::of(context, &arguments.command)?;
    launch::check(agent.program())?;
    let bound = binding::bound(context, &agent, &arguments.wish.with)?;
    let withheld = withheld::withheld(context, &agent, true, &arguments.wish.keep_env)?;
    let heard = ask(context, &agent, arguments, &withheld)?;
    let report = examine(context, &agent, arguments, &bound, withheld, &heard)?;
    report.show(context)?;
    if let Some(place) = arguments.remember {
        binding::remember(context, &agent, &arguments.wish.with, place)?;
    }
    Ok(if report.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What it says to an editor that can do everything, and to one that can do nothing.
struct Both {
    able: Heard,
    plain: Option<Heard>,
}

fn ask(
    context: &Context,
    agent: &Agent<'_>,
    arguments: &Arguments,
    withheld: &[String],
) -> Result<Both, CommandError> {
    let command = launch::Command {
        program: agent.program().to_owned(),
        arguments: agent.command[1..].to_vec(),
        set: Vec::new(),
        clear: withheld.to_vec(),
        clear_tokens: true,
    };
    let folder = working_directory()?.to_string_lossy().into_owned();
    let folder = arguments.session.then_some(folder.as_str());
    let title = agent.title();
    let hear = |editor, folder| {
        let probe = acp::probe(&command, editor, folder, arguments.wait);
        context.http.block_on(LocalSet::new().run_until(probe))
    };
    let able = hear(Editor::Able, folder).map_err(|mute| match mute {
        acp::Mute::Launch(_) => failed(&title, mute),
        _ => with_a_word(agent, failed(&title, mute)),
    })?;
    let plain = hear(Editor::Plain, None).map_err(|mute| {
        let why = failed(&title, mute);
        context.ui.warn(&format!("to an editor without capabilities: {}", why.message()));
    });
    Ok(Both { able, plain: plain.ok() })
}

fn failed(title: &str, mute: acp::Mute) -> CommandError {
    match mute {
        acp::Mute::Launch(error) => error.into(),
        silent => CommandError::usage(format!("{title} does not speak ACP here: {silent}"))
            .hint("the agent's own command line says how it is started for an editor"),
    }
}

/// Many programs for a terminal speak ACP after a word alone.
fn with_a_word(agent: &Agent<'_>, error: CommandError) -> CommandError {
    match agent.command {
        [_] => error.hint(format!(
            "authctl acp doctor -- {} --acp  (many want such a word, or acp)",
            agent.line()
        )),
        _ => error,
    }
}

fn examine<'a>(
    context: &Context,
    agent: &'a Agent<'a>,
    arguments: &Arguments,
    bound: &Bound,
    withheld: Vec<String>,
    heard: &'a Both,
) -> Result<Report<'a>, CommandError> {
    let mut credentials = Vec::new();
    let mut missing = Vec::new();
    for handing in &bound.list {
        let name = handing.named.name.to_string();
        let (mut ways, variable) = grants::taken(context, agent, handing, arguments.wish.way)?;
        if let Some(named) = named_ways(context, agent, &heard.able, &handing.named.name)? {
            ways = named;
        }
        let provider = context.provider(&handing.named.name)?;
        let own = provider.schemes.first().and_then(|scheme| ways.variable(scheme));
        let (title, variable) = (provider.title.clone(), variable.or(own.map(str::to_owned)));
        let is_held = binding::is_held(context, &handing.named).unwrap_or_else(|error| {
            missing.push(Trouble::new(error.message().to_owned(), error.hints().first().cloned()));
            false
        });
        let grant = Grant {
            name,
            title,
            ways,
            variable,
            lent: nowhere(),
            home: None,
            held: is_held,
            gates: true,
            waits: grants::waits(agent, handing),
        };
        let open = |forced| acp::ladder(&grant, &heard.able.advertised, forced);
        let forced = arguments.wish.way;
        let ladder = match forced {
            Some(own @ (Way::Own | Way::Profile)) => vec![own],
            _ => open(forced),
        };
        let is_own = ladder.iter().any(|way| matches!(way, Way::Own | Way::Profile));
        if !is_held && !is_own && missing.is_empty() {
            let hint = format!("authctl login {}", grant.name);
            missing
                .push(Trouble::new(format!("nobody is signed in to {}", grant.name), Some(hint)));
        }
        if let (true, Some(forced), Some(best)) = (ladder.is_empty(), forced, open(None).first()) {
            missing.push(Trouble::new(
                format!("{} takes {} by {best}, and not by {forced}", agent.title(), grant.name),
                Some(format!("authctl acp doctor --way {best} -- {}", agent.line())),
            ));
        } else if ladder.is_empty() {
            missing.push(Trouble::new(
                format!("{} takes {} in no way that is known", agent.title(), grant.name),
                agent.known.and_then(|known| known.login.clone()),
            ));
        }
        let listing = match grant.ways.models.as_deref() {
            Some(path) => Listing::of(context, &handing.named.name, path)?,
            None => None,
        };
        credentials.push(Credential { grant, is_held, ladder, listing });
    }
    if bound.list.is_empty() {
        missing.extend(report::nothing(agent));
    }
    Ok(Report {
        agent,
        able: &heard.able,
        plain: heard.plain.as_ref(),
        said: bound.said,
        credentials,
        withheld,
        missing,
        alike: alike(context, agent, &heard.able)?,
    })
}

/// How an unknown agent takes what a person named for it, by what it calls itself.
fn named_ways(
    context: &Context,
    agent: &Agent<'_>,
    heard: &Heard,
    credential: &Name,
) -> Result<Option<AcpProvider>, CommandError> {
    match heard.info()["name"].as_str().filter(|_| agent.known.is_none()) {
        Some(name) => desk::known(context, name, credential.provider()),
        None => Ok(None),
    }
}

/// The known agent that an unknown one calls itself: it gets nothing by that.
fn alike(
    context: &Context,
    agent: &Agent<'_>,
    heard: &Heard,
) -> Result<Option<String>, CommandError> {
    let name = heard.info()["name"].as_str().filter(|_| agent.known.is_none());
    let Some(name) = name else { return Ok(None) };
    Ok(context.config()?.acp_agent_named(name).map(|known| known.id.clone()))
}

/// A dry run lends nothing.
fn nowhere() -> Lent {
    Lent { url: String::new(), headers: Vec::new(), stand_in: Secret::random() }
}
