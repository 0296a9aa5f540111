//! Which credentials an agent may have: what the command line says, else what was bound, else the preferred one
//! that a known agent takes. Never what the agent says.

use clap::ValueEnum;
use jiff::Timestamp;

use super::agent::Agent;
use crate::audit::{Entry, Event, Outcome};
use crate::commands::given;
use crate::commands::handing::{self, Form, Handing};
use crate::context::{Context, Named, working_directory};
use crate::credential::Name;
use crate::error::{CommandError, Kind, chain};
use crate::interact::Interact;
use crate::policy::{self, Binding};

/// Where a binding holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Where {
    /// In this repository, or in this directory
    Project,
    /// Wherever nothing else is said
    Everywhere,
}

/// Who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    CommandLine,
    /// A binding of this project.
    Project,
    /// A binding for all projects.
    Everywhere,
    /// Nobody yet: a known agent is started for the first time, and this is stored.
    FirstUse,
    /// Nobody, and nothing is stored.
    Nobody,
}

impl Said {
    pub fn as_str(self) -> &'static str {
        match self {
            Said::CommandLine => "command_line",
            Said::Project => "project",
            Said::Everywhere => "everywhere",
            Said::FirstUse => "first_use",
            Said::Nobody => "nobody",
        }
    }
}

/// The credentials that the agent may have, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    pub list: Vec<Handing>,
    pub said: Said,
}

/// What holds for this agent here. Nothing is written.
pub fn bound(context: &Context, agent: &Agent<'_>, with: &[String]) -> Result<Bound, CommandError> {
    if !with.is_empty() {
        let list = handing::parse(context, with, &[])?;
        return checked(context, agent, Bound { list, said: Said::CommandLine });
    }
    if let Some(account) = context.account() {
        return of_account(context, agent, account);
    }
    if let Some(bound) = remembered(context, agent)? {
        return checked(context, agent, bound);
    }
    first(context, agent)
}

/// The same, with the first use of a known agent written down and said.
pub fn settled(
    context: &Context,
    agent: &Agent<'_>,
    with: &[String],
) -> Result<Bound, CommandError> {
    let bound = bound(context, agent, with)?;
    let title = agent.title();
    match (bound.said, bound.list.first()) {
        (Said::FirstUse, Some(handing)) => {
            write(context, agent, &bound.list, Where::Project, "at its first use")?;
            context.ui.notice(&format!(
                "authctl: {title} may have {0} from now on (authctl permission list; authctl permission \
                 withdraw --agent {1} takes that back)",
                handing.named.name,
                agent.key().unwrap_or_default()
            ));
        }
        (Said::Nobody, None) => context.ui.notice(&format!(
            "authctl: {title} gets no credential: authctl acp --with NAME -- {}",
            agent.line()
        )),
        _ => {}
    }
    Ok(bound)
}

/// Has a person bind credentials to the agent.
pub fn remember(
    context: &Context,
    agent: &Agent<'_>,
    with: &[String],
    place: Where,
) -> Result<(), CommandError> {
    let bound = bound(context, agent, with)?;
    let title = agent.title();
    if bound.list.is_empty() {
        return Err(CommandError::usage(format!("which credentials may {title} have?"))
            .hint(format!("authctl acp --remember --with NAME -- {}", agent.line())));
    }
    refuse_agents(context, &title)?;
    let line = agent.line();
    if !context.ui.can_ask() {
        let why = format!("there is no terminal to ask at what {title} may have");
        return Err(CommandError::new(Kind::ConfirmationRequired, why)
            .hint(format!("authctl acp doctor --remember -- {line}  (at a terminal)"))
            .hint(format!(
                "authctl acp --with {} -- {line}  (in the editor)",
                names(&bound.list)
            )));
    }
    let scope = match place {
        Where::Project => format!("in {}", project()?),
        Where::Everywhere => "everywhere".into(),
    };
    let question = format!("May {title} have {} {scope}?", names(&bound.list));
    if !context.ui.confirm(&question, false)? {
        return Err(CommandError::new(Kind::Failed, "nothing was changed"));
    }
    write(context, agent, &bound.list, place, "by a person")
}

fn refuse_agents(context: &Context, title: &str) -> Result<(), CommandError> {
    match context.agent_at_the_keyboard()? {
        None => Ok(()),
        Some(other) => Err(CommandError::new(
            Kind::Failed,
            format!("{other} is running this command; only a person can say what {title} may have"),
        )),
    }
}

fn write(
    context: &Context,
    agent: &Agent<'_>,
    list: &[Handing],
    place: Where,
    how: &str,
) -> Result<(), CommandError> {
    let Some(key) = agent.key() else {
        return Err(CommandError::usage(format!(
            "{} runs other programs, so nothing is bound to it",
            agent.title()
        ))
        .hint(format!("authctl acp --with {} -- {}", names(list), agent.line())));
    };
    let project = match place {
        Where::Project => Some(project()?),
        Where::Everywhere => None,
    };
    let with = list.iter().map(typed).collect();
    let binding = Binding { agent: key.clone(), project, with, bound_at: Timestamp::now() };
    policy::bind(&context.paths()?.state, &binding)?;
    let reason = Some(format!("{key} may have {} ({how})", names(list)));
    context.record(Entry { reason, ..Entry::new(Event::Permission, Outcome::Done) });
    Ok(())
}

/// A binding that cannot be read counts for nothing, and that is said.
fn remembered(context: &Context, agent: &Agent<'_>) -> Result<Option<Bound>, CommandError> {
    let Some(key) = agent.key() else { return Ok(None) };
    let root = policy::project_root(&working_directory()?);
    let found = policy::binding(&context.paths()?.state, &key, &root).unwrap_or_else(|error| {
        context.ui.warn(&format!("what {key} may have is not known: {}", chain(&error)));
        None
    });
    let Some(binding) = found else { return Ok(None) };
    let list = binding.with.iter().map(|typed| read(typed)).collect::<Result<_, _>>()?;
    let said = if binding.project.is_some() { Said::Project } else { Said::Everywhere };
    Ok(Some(Bound { list, said }))
}

/// A name as it was written down: what `--account` says is for names that are typed.
fn read(written: &str) -> Result<Handing, CommandError> {
    let (name, form) = match written.split_once('=') {
        Some((name, variable)) => (name, Form::Variable(variable.to_owned())),
        None => (written, Form::Own),
    };
    let name: Name = name.parse()?;
    let account_named = !name.is_default_account();
    Ok(Handing { named: Named { name, account_named }, form })
}

/// The other way round.
fn typed(handing: &Handing) -> String {
    match handing.form.variable() {
        Some(variable) => format!("{}={variable}", handing.named.name),
        None => handing.named.name.to_string(),
    }
}

fn own(named: Named) -> Handing {
    Handing { named, form: Form::Own }
}

/// `--account` names the credential as well as `--with` does: of the first provider that has this account.
fn of_account(context: &Context, agent: &Agent<'_>, account: &str) -> Result<Bound, CommandError> {
    let mut candidates = Vec::new();
    for entry in agent.providers() {
        candidates.push(context.name(&entry.provider)?);
    }
    let Some(preferred) = candidates.first().cloned() else {
        return Err(nothing_taken(agent)
            .hint(format!("authctl acp --with NAME:{account} -- {}", agent.line())));
    };
    let mut held = preferred;
    for named in candidates {
        if is_held(context, &named)? {
            held = named;
            break;
        }
    }
    Ok(Bound { list: vec![own(held)], said: Said::CommandLine })
}

/// What a known agent gets when nobody has said anything: the first credential that it takes and that is there.
fn first(context: &Context, agent: &Agent<'_>) -> Result<Bound, CommandError> {
    let mut preferred = None;
    for entry in agent.providers() {
        let named = context.name(&entry.provider)?;
        if is_held(context, &named)? {
            // One that an agent starts gets what its person has bound to it.
            refuse_agents(context, &agent.title())
                .map_err(|error| error.hint(with_hint(agent, &named)))?;
            return Ok(Bound { list: vec![own(named)], said: Said::FirstUse });
        }
        preferred = preferred.or(Some(named));
    }
    Ok(Bound { list: preferred.map(own).into_iter().collect(), said: Said::Nobody })
}

fn with_hint(agent: &Agent<'_>, named: &Named) -> String {
    format!("authctl acp --with {} -- {}", named.name, agent.line())
}

/// Whether there is something to hand over: given to this process, or stored.
pub fn is_held(context: &Context, named: &Named) -> Result<bool, CommandError> {
    let provider = context.provider(&named.name)?;
    Ok(given::found(context, named, provider)?.is_some()
        || context.store()?.entry(&named.name)?.is_some())
}

/// Refuses what the agent has no use for, before anything starts.
fn checked(context: &Context, agent: &Agent<'_>, bound: Bound) -> Result<Bound, CommandError> {
    for handing in &bound.list {
        let name = &handing.named.name;
        context.provider(name)?;
        // A variable that was named is one that the agent reads.
        if handing.form == Form::Own && agent.ways(name.provider()).is_none() {
            return Err(nothing_of(agent, name.provider()));
        }
    }
    Ok(bound)
}

fn nothing_of(agent: &Agent<'_>, provider: &str) -> CommandError {
    let entry = agent.known.and_then(|known| known.provider(provider));
    if let Some(missing) = entry.and_then(|entry| entry.needs.first()) {
        return CommandError::usage(format!(
            "{} takes a credential of {provider} only where {missing} is set",
            agent.title()
        ));
    }
    let taken: Vec<&str> = agent.providers().map(|entry| entry.provider.as_str()).collect();
    if taken.is_empty() {
        return nothing_taken(agent);
    }
    CommandError::usage(format!(
        "{} takes no credential of {provider}; it takes those of {}",
        agent.title(),
        taken.join(", ")
    ))
    .hint(format!("authctl acp --with {} -- {}", taken[0], agent.line()))
}

fn nothing_taken(agent: &Agent<'_>) -> CommandError {
    let title = agent.title();
    let why = agent.known.and_then(|known| known.login_only.as_ref().or(known.not_tried.as_ref()));
    let said = match why {
        Some(why) => format!("{title} takes no credential from outside: {why}"),
        None => format!("nothing is known of what {title} takes"),
    };
    let error = CommandError::usage(said);
    match agent.known.and_then(|known| known.login.clone()) {
        Some(login) => error.hint(login),
        None => error,
    }
}

pub fn names(list: &[Handing]) -> String {
    list.iter().map(typed).collect::<Vec<_>>().join(",")
}

fn project() -> Result<String, CommandError> {
    let root = policy::project_root(&working_directory()?);
    let text = root.to_str().map(str::to_owned);
    Ok(text.ok_or(policy::Error::NotText { path: root })?)
}
