//! `authctl permission`: which credentials may be printed although a coding agent asks, which uses are confirmed,
//! and what the agents of editors may have.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueHint};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::complete;
use super::purpose::{entry, span};
use crate::audit::{Entry, Event, Outcome};
use crate::config::Confirmation;
use crate::context::{Context, Named, working_directory};
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::policy::{self, Binding, Permission};
use crate::resolve;
use crate::text;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List what coding agents may print, which uses are confirmed, and what editors' agents may have
    List {
        /// Only this provider, or provider:account
        #[arg(add = complete::stored())]
        name: Option<String>,
    },
    /// Let coding agents print a credential
    ///
    /// Only a person at a terminal can say so. The permission is for the credential as it is: it survives
    /// a refresh and a new key, and ends when you sign out.
    Allow {
        /// Provider, or provider:account
        #[arg(add = complete::stored())]
        name: String,
    },
    /// Take a permission back: to print a credential, or what an editor's agent may have
    Withdraw {
        /// Provider, or provider:account
        #[arg(required_unless_present = "agent", add = complete::stored())]
        name: Option<String>,

        /// An agent of authctl acp, as permission list names it, which is to have nothing any more
        #[arg(long, conflicts_with = "name")]
        agent: Option<String>,

        /// Only in this project
        #[arg(long, value_name = "DIRECTORY", requires = "agent", value_hint = ValueHint::DirPath)]
        project: Option<PathBuf>,
    },
}

/// What holds for one stored credential.
struct Line {
    name: Name,
    id: String,
    permission: Option<Permission>,
    confirmation: Option<Confirmation>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    match &arguments.what {
        What::List { name } => list(context, name.as_deref())?,
        What::Allow { name } => {
            let name = context.name(name)?.name;
            allow(context, &name).inspect_err(|error| {
                record(context, &name, Outcome::Refused, error.message());
            })?;
        }
        What::Withdraw { agent: Some(agent), project, .. } => {
            unbind(context, agent, project.as_deref())?;
        }
        What::Withdraw { name, .. } => {
            let name = name.as_deref().unwrap_or_default();
            withdraw(context, &context.name(name)?.name)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn allow(context: &Context, name: &Name) -> Result<(), CommandError> {
    context.provider(name)?;
    let refused = |why: String| Err(CommandError::new(Kind::Failed, why));
    if let Some(agent) = context.agent_at_the_keyboard()? {
        let why = "is running this command; only a person can give that permission";
        return refused(format!("{agent} {why}"));
    }
    if !context.ui.can_ask() {
        let why = "only a person at a terminal can give that permission";
        return Err(CommandError::new(Kind::ConfirmationRequired, why));
    }
    let entry = context.store()?.entry(name)?;
    let entry = entry.ok_or_else(|| resolve::Error::NotSignedIn(name.clone()))?;
    if !context.ui.confirm(&format!("Let coding agents print the {name} credential?"), false)? {
        return refused("nothing was changed".into());
    }
    let permission = Permission {
        credential_id: entry.id,
        granted_by: "permission allow".into(),
        granted_at: Timestamp::now(),
    };
    policy::allow(&context.paths()?.state, name, &permission)?;
    record(context, name, Outcome::Done, "agents may print it");
    report(context, name, true)
}

fn withdraw(context: &Context, name: &Name) -> Result<(), CommandError> {
    context.provider(name)?;
    if policy::withdraw(&context.paths()?.state, name)? {
        record(context, name, Outcome::Done, "agents may no longer print it");
    }
    report(context, name, false)
}

/// Takes back what an editor's agent may have.
fn unbind(context: &Context, agent: &str, project: Option<&Path>) -> Result<(), CommandError> {
    let state = &context.paths()?.state;
    let root = match project {
        Some(directory) => Some(policy::project_root(&working_directory()?.join(directory))),
        None => None,
    };
    let is_meant = |binding: &Binding| {
        let root = root.as_ref().map(|root| root.to_str());
        binding.agent == agent && root.is_none_or(|root| binding.project.as_deref() == root)
    };
    let (bindings, _) = policy::bindings(state);
    let meant: Vec<&Binding> = bindings.iter().filter(|binding| is_meant(binding)).collect();
    let shown = text::clean(agent);
    if meant.is_empty() {
        let said =
            format!("nothing is bound to {shown}{}", if root.is_some() { " there" } else { "" });
        return Err(CommandError::new(Kind::Failed, said).hint("authctl permission list"));
    }
    for binding in meant {
        policy::unbind(state, agent, binding.project.as_deref())?;
        let reason = Some(format!("{shown} may no longer have {}", binding.with.join(", ")));
        context.record(Entry { reason, ..Entry::new(Event::Permission, Outcome::Done) });
    }
    if context.ui.is_json() {
        context.ui.json(&json!({ "version": 1, "agent": shown, "bound": false }))?;
    } else {
        context.ui.notice(&format!(
            "{shown} may no longer have any of them; one that runs keeps what it got."
        ));
    }
    Ok(())
}

fn record(context: &Context, name: &Name, outcome: Outcome, reason: &str) {
    if let Ok(provider) = context.provider(name) {
        let line = entry(Event::Permission, outcome, name, provider);
        context.record(Entry { reason: Some(reason.to_owned()), ..line });
    }
}

fn report(context: &Context, name: &Name, may: bool) -> Result<(), CommandError> {
    if context.ui.is_json() {
        let name = name.to_string();
        context.ui.json(&json!({ "version": 1, "name": name, "agents_may_print": may }))?;
    } else {
        let may = if may { "may now" } else { "may no longer" };
        context.ui.notice(&format!("Coding agents {may} print {name}."));
    }
    Ok(())
}

// --------------------------------------------------------------------------------------------- list

fn list(context: &Context, typed: Option<&str>) -> Result<(), CommandError> {
    let asked = typed.map(|typed| context.name(typed)).transpose()?;
    let mut lines = Vec::new();
    for entry in context.store()?.entries()?.entries {
        let name = entry.name()?;
        if asked.as_ref().is_some_and(|asked| !asked.covers(&name)) {
            continue;
        }
        let permission = policy::permission(&context.paths()?.state, &name, &entry.id)?;
        let confirmation = context.config()?.confirmation(&name);
        lines.push(Line { name, id: entry.id, permission, confirmation });
    }
    if let Some(asked) = asked.as_ref().filter(|_| lines.is_empty()) {
        context.provider(&asked.name)?; // or the name is mistyped
    }
    let bindings = bindings(context, asked.as_ref())?;
    if context.ui.is_json() {
        let lines: Vec<Value> = lines.iter().map(as_json).collect();
        let report = json!({ "version": 1, "permissions": lines, "bindings": bindings });
        context.ui.json(&report)?;
        return Ok(());
    }
    context.ui.data(&(as_text(&lines) + &bindings_text(&bindings)))?;
    if lines.is_empty() {
        context.ui.notice("Nothing is stored.");
    }
    Ok(())
}

/// What the agents of editors may have, where a credential that was asked for is among it.
fn bindings(context: &Context, asked: Option<&Named>) -> Result<Vec<Binding>, CommandError> {
    let (mut bindings, unreadable) = policy::bindings(&context.paths()?.state);
    for path in unreadable {
        let path = text::clean_to(&path.to_string_lossy(), 1_000);
        context.ui.warn(&format!("{path} cannot be read as what an agent may have"));
    }
    let is_asked = |written: &String| {
        let name = written.split('=').next().unwrap_or_default().parse::<Name>();
        asked.is_none_or(|asked| name.is_ok_and(|name| asked.covers(&name)))
    };
    bindings.retain(|binding| binding.with.iter().any(is_asked));
    Ok(bindings)
}

fn bindings_text(bindings: &[Binding]) -> String {
    let mut out = String::new();
    for binding in bindings {
        let place = binding.project.as_deref().map_or("everywhere".into(), |it| format!("in {it}"));
        let line = format!(
            "agent {} may have {} {place} ({:.0})",
            binding.agent,
            binding.with.join(", "),
            binding.bound_at
        );
        let _ = writeln!(out, "{}", text::clean_to(&line, 1_000));
    }
    out
}

fn as_text(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.name.to_string().len()).max().unwrap_or(0);
    let mut out = String::new();
    for line in lines {
        let agents = match &line.permission {
            Some(given) => format!("agents may print it ({:.0})", given.granted_at),
            None => "agents may not print it".into(),
        };
        let confirmed = match line.confirmation {
            None => String::new(),
            Some(rule) if rule.holds.is_zero() => "; each use is confirmed".into(),
            Some(rule) => format!("; uses are confirmed, a yes holds for {}", span(rule)),
        };
        let _ = writeln!(out, "{:width$}  {agents}{confirmed}", line.name.to_string());
    }
    out
}

fn as_json(line: &Line) -> Value {
    json!({
        "name": line.name.to_string(),
        "id": line.id,
        "agents_may_print": line.permission.is_some(),
        "granted_at": line.permission.as_ref().map(|given| given.granted_at),
        "granted_by": line.permission.as_ref().map(|given| given.granted_by.clone()),
        "confirm": line.confirmation.is_some(),
        "confirm_for": line.confirmation.map(|rule| rule.holds.as_secs()),
    })
}
