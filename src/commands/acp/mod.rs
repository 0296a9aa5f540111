//! `authctl acp`: what an editor runs in place of a coding agent, which gets its credential from the store.

mod agent;
mod binding;
mod chain;
mod copies;
mod desk;
mod doctor;
mod early;
mod foreground;
mod grants;
mod helper;
mod models;
mod overlay;
mod print_config;
mod report;
mod servers;
mod withheld;

use std::ffi::OsString;
use std::io::{IsTerminal, stdin};
use std::process::ExitCode;
use std::rc::Rc;

use clap::{Args, Subcommand};
use tokio::task::LocalSet;

use super::{complete, login};
use crate::acp::{self, LOGIN, Settings, Way};
use crate::context::{Context, environment};
use crate::error::{CommandError, Kind};
use crate::launch;
use agent::{Agent, title};
use desk::Desk;
use grants::Grants;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "authctl acp [OPTIONS] -- <AGENT>...\n       authctl acp doctor [OPTIONS] [-- <AGENT>...]\n       authctl acp --print-config <EDITOR> [OPTIONS] -- <AGENT>...\n       authctl acp --chain --with <NAME>",
    after_help = "Examples:\n  authctl acp -- codex-acp\n  authctl acp --account work -- claude-agent-acp\n  authctl acp --with openai -- some-agent --acp\n  authctl acp doctor -- codex-acp\n  authctl acp --print-config zed -- codex-acp\n\nExit status:\n  That of the agent, 128+N on a signal; 125 if authctl failed before it ran, 126 if it cannot be executed, 127 if it is not found."
)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    wish: Wish,

    /// Print what an editor's configuration needs, and start nothing
    #[arg(long, value_name = "EDITOR")]
    print_config: Option<print_config::Editor>,

    /// Be a part of a chain of proxies, whose conductor runs the agent: in-band ways alone
    #[arg(long, requires = "with", conflicts_with = "command")]
    chain: bool,

    /// The agent, as the editor would start it
    #[arg(last = true, required_unless_present = "chain", value_name = "AGENT")]
    command: Vec<OsString>,
}

// What every use of an agent takes. No doc comment: it would become the command's.
#[derive(Debug, Args)]
struct Wish {
    /// Credentials for the agent, joined by commas: NAME, or NAME=VARIABLE to choose the variable
    #[arg(long, value_name = "NAME[=VARIABLE]", value_delimiter = ',', add = complete::stored())]
    with: Vec<String>,

    /// Leave this variable in the agent's environment, though it is one for a credential
    #[arg(long, value_name = "VARIABLE", value_delimiter = ',')]
    keep_env: Vec<String>,

    /// Hand them over in this way alone: providers-set, gateway, base-url, helper, in-band, variable, profile or own
    #[arg(long, value_name = "WAY")]
    way: Option<Way>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Try an agent: what it offers, what it would get and by which way, and what is missing
    ///
    /// Starts the agent, says hello as an editor with all capabilities and as one with none, and ends it; no
    /// credential is handed over. Without an agent, lists those that are known. Ends with 1 if something is missing.
    Doctor(doctor::Arguments),

    /// Print the credential of a session, for an agent that it started
    #[command(hide = true)]
    Helper(helper::Arguments),
}

impl Arguments {
    /// Whether the command leaves with the status of a child.
    pub fn starts_child(&self) -> bool {
        self.what.is_none() && self.print_config.is_none() && !self.chain
    }
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    match &arguments.what {
        Some(What::Doctor(arguments)) => return doctor::run(context, arguments),
        Some(What::Helper(arguments)) => return helper::run(context, arguments),
        None => {}
    }
    if arguments.chain {
        return chain::run(context, &arguments.wish.with, arguments.wish.way);
    }
    if let Some(editor) = arguments.print_config {
        let agent = Agent::of(context, &arguments.command)?;
        return print_config::run(context, editor, &agent, &arguments.wish);
    }
    if stdin().is_terminal() {
        return run_at_terminal(context, arguments);
    }
    serve(context, arguments)
}

fn run_at_terminal(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if let Some(name) = environment(LOGIN) {
        return login::run_by_default(context, &name);
    }
    let (agent, grants) = prepare(context, arguments, true)?;
    let command = command(&agent, &grants, arguments);
    foreground::run(context, &agent, grants, command, arguments.wish.way)
}

/// The agent, and what it may have.
fn prepare<'a>(
    context: &'a Context,
    arguments: &'a Arguments,
    is_terminal: bool,
) -> Result<(Agent<'a>, Grants), CommandError> {
    let agent = Agent::of(context, &arguments.command)?;
    launch::check(agent.program())?;
    let grants = Grants::find(context, &agent, &arguments.wish, is_terminal)?;
    Ok((agent, grants))
}

fn command(agent: &Agent<'_>, grants: &Grants, arguments: &Arguments) -> launch::Command {
    launch::Command {
        program: agent.program().to_owned(),
        arguments: agent.command[1..].to_vec(),
        set: grants.set(arguments.wish.way),
        clear: grants.withheld.clone(),
        clear_tokens: true,
    }
}

fn serve(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let (agent, grants) = prepare(context, arguments, false).inspect_err(early::tell)?;
    let command = command(&agent, &grants, arguments);
    let program = agent.program();
    let desk = Rc::new(Desk::start(context, program));
    let settings = Settings {
        title: grants.title.clone(),
        grants: grants.list.clone(),
        forced: arguments.wish.way,
        advice: grants.advice.clone(),
        own_command: own_command(),
        supply: desk.clone(),
        interact: context.ui.clone(),
        command,
    };
    let local = LocalSet::new();
    let exit = context.http.block_on(local.run_until(acp::serve(settings)));
    desk.end(context);
    copies::warn(context, agent.known, &desk.handed());
    grants.end(context);
    Ok(exit.map_err(failed)?.leave())
}

fn failed(error: acp::Error) -> CommandError {
    match error {
        acp::Error::Launch(error) => error.into(),
        acp::Error::Io(error) => CommandError::new(Kind::Failed, error.to_string()),
    }
}

/// How this authctl was started, up to the agent's command.
fn own_command() -> Vec<String> {
    let program = std::env::current_exe().map(|path| path.to_string_lossy().into_owned());
    let typed = std::env::args_os().skip(1).take_while(|word| word != "--");
    let typed = typed.map(|word| word.to_string_lossy().into_owned());
    program.into_iter().chain(typed).collect()
}
