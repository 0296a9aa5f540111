//! What a credential is wanted for: which command asks, and for which program. The audit log says it, and
//! whoever confirms a use is told.

use std::ffi::OsStr;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::audit::{Entry, Event, Outcome};
use crate::caller;
use crate::config::{Confirmation, Provider};
use crate::context::Context;
use crate::credential::Name;
use crate::error::{CommandError, Kind, chain};
use crate::interact::Interact;
use crate::launch;
use crate::login;
use crate::policy;
use crate::text;

/// How many hosts a question names.
const HOSTS_SHOWN: usize = 4;

#[derive(Debug, Clone)]
pub struct Purpose {
    pub event: Event,
    /// Who gets it, as far as that is known.
    pub program: Option<PathBuf>,
}

impl Purpose {
    /// For a command that is about to be started.
    pub fn exec(program: &OsStr) -> Self {
        let found = launch::locate(program).unwrap_or_else(|| PathBuf::from(program));
        Self { event: Event::Exec, program: Some(found) }
    }

    /// For whoever started authctl and reads what it prints.
    pub fn token() -> Self {
        Self { event: Event::Token, program: caller::program() }
    }

    /// For the host of an MCP session.
    pub fn mcp() -> Self {
        Self { event: Event::Mcp, program: caller::program() }
    }

    /// For whoever sends requests through a proxy.
    pub fn proxy() -> Self {
        Self { event: Event::Proxy, program: caller::program() }
    }

    /// A line of the log about this use.
    pub fn entry(&self, outcome: Outcome, about: Option<(&Name, &Provider)>) -> Entry {
        Entry {
            program: self.program.as_ref().map(|program| program.to_string_lossy().into_owned()),
            ..match about {
                Some((name, provider)) => entry(self.event, outcome, name, provider),
                None => Entry::new(self.event, outcome),
            }
        }
    }

    /// Writes down that it came to nothing.
    pub fn record_failure(
        &self,
        context: &Context,
        outcome: Outcome,
        about: Option<(&Name, &Provider)>,
        error: &CommandError,
    ) {
        let reason = Some(error.message().to_owned());
        context.record(Entry { reason, ..self.entry(outcome, about) });
    }

    /// Lets a person confirm this use, where the configuration wants that.
    pub fn confirm(
        &self,
        context: &Context,
        name: &Name,
        provider: &Provider,
    ) -> Result<(), CommandError> {
        let Some(rule) = context.config()?.confirmation(name) else { return Ok(()) };
        let confirmed = self.ask(context, name, provider, rule);
        confirmed.inspect_err(|error| {
            self.record_failure(context, Outcome::Refused, Some((name, provider)), error);
        })
    }

    fn ask(
        &self,
        context: &Context,
        name: &Name,
        provider: &Provider,
        rule: Confirmation,
    ) -> Result<(), CommandError> {
        let state = &context.paths()?.state;
        let program = self.program.as_deref();
        if let Some(program) = program
            && policy::is_confirmed(state, name, program, rule, Timestamp::now())?
        {
            return Ok(());
        }
        if !put(context, name, &self.question(context, name, provider, rule)?)? {
            return Err(CommandError::new(
                Kind::Failed,
                format!("the use of {name} was not confirmed"),
            ));
        }
        if let Some(program) = program {
            policy::remember_yes(state, name, program, rule, Timestamp::now())?;
        }
        Ok(())
    }

    /// Names credential, hosts, program, agent and how long the answer holds.
    fn question(
        &self,
        context: &Context,
        name: &Name,
        provider: &Provider,
        rule: Confirmation,
    ) -> Result<String, CommandError> {
        let program = self.program.as_ref().map(|program| program.to_string_lossy());
        let program = program.map_or("an unknown program".into(), |program| text::clean(&program));
        let agent = context.agent_at_the_keyboard()?;
        let agent = agent.map_or(String::new(), |agent| format!(", which {agent} runs"));
        let (verb, to) = match self.event {
            Event::Token => ("Print", "for"),
            _ => ("Hand", "to"),
        };
        let holds = match self.program.as_deref() {
            Some(program) if policy::holds_for(program, rule) => {
                format!("A yes holds for {} for this program.", span(rule))
            }
            _ => "This is asked at each use.".into(),
        };
        Ok(format!("{verb} {name}{} {to} {program}{agent}? {holds}", hosts(provider)))
    }
}

/// Leaves a line about a sign-in; that of another process has left its own.
pub fn record_login(
    context: &Context,
    name: &Name,
    provider: &Provider,
    outcome: &Result<login::Outcome, login::Error>,
) {
    let line = |outcome| entry(Event::Login, outcome, name, provider);
    match outcome {
        Ok(login::Outcome { adopted: true, .. }) => {}
        Ok(login::Outcome { record, .. }) => {
            let id = Some(record.id.clone());
            context.record(Entry { id, ..line(Outcome::Done) });
        }
        Err(error) => {
            let reason = Some(chain(error));
            context.record(Entry { reason, ..line(Outcome::Failed) });
        }
    }
}

/// A line of the log about a credential.
pub fn entry(event: Event, outcome: Outcome, name: &Name, provider: &Provider) -> Entry {
    Entry {
        name: Some(name.to_string()),
        hosts: provider.hosts.clone(),
        ..Entry::new(event, outcome)
    }
}

/// Asks by the program that the configuration names, else at the terminal; but not at one that an agent
/// may be typing at.
fn put(context: &Context, name: &Name, question: &str) -> Result<bool, CommandError> {
    if let Some(helper) = &context.config()?.confirm_program {
        return Ok(policy::ask_by(helper, question, &given_variables(context)?)?);
    }
    if let Some(agent) = context.agent_at_the_keyboard()? {
        return Err(nobody(format!(
            "the use of {name} must be confirmed, and {agent} is running this command: it could \
             answer at the terminal itself"
        )));
    }
    if !context.ui.can_ask() {
        return Err(nobody(format!(
            "the use of {name} must be confirmed, and there is no terminal to ask at"
        ))
        .hint("run the command at a terminal"));
    }
    Ok(context.ui.confirm(question, false)?)
}

/// The variables of this process that may give credentials.
fn given_variables(context: &Context) -> Result<Vec<String>, CommandError> {
    let is_token = |name: &str| name.starts_with("AUTHCTL_") && name.ends_with("_TOKEN");
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut variables: Vec<String> = names.filter(|name| is_token(name)).collect();
    for provider in context.config()?.providers() {
        variables.extend(provider.variables().map(str::to_owned));
    }
    Ok(variables)
}

fn nobody(message: String) -> CommandError {
    CommandError::new(Kind::ConfirmationRequired, message).hint(
        "name a program that asks you, as in confirm_program = \"/usr/bin/ssh-askpass\" \
         (man authctl-config)",
    )
}

fn hosts(provider: &Provider) -> String {
    if provider.hosts.is_empty() {
        return String::new();
    }
    let shown: Vec<&str> = provider.hosts.iter().take(HOSTS_SHOWN).map(String::as_str).collect();
    match provider.hosts.len() - shown.len() {
        0 => format!(" (for {})", shown.join(", ")),
        more => format!(" (for {} and {more} more)", shown.join(", ")),
    }
}

/// How long a yes holds, for people.
pub fn span(rule: Confirmation) -> String {
    match rule.holds.as_secs() {
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
