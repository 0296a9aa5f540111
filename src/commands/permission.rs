//! `authctl permission`: which credentials may be printed although a coding agent asks, and which uses are
//! confirmed.

use std::fmt::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::complete;
use super::purpose::{entry, span};
use crate::audit::{Entry, Event, Outcome};
use crate::config::Confirmation;
use crate::context::Context;
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::policy::{self, Permission};
use crate::resolve;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List what coding agents may print, and which uses are confirmed
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
    /// Take that permission back
    Withdraw {
        /// Provider, or provider:account
        #[arg(add = complete::stored())]
        name: String,
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
        What::Withdraw { name } => withdraw(context, &context.name(name)?.name)?,
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
    if let Some(asked) = asked.filter(|_| lines.is_empty()) {
        context.provider(&asked.name)?; // or the name is mistyped
    }
    if context.ui.is_json() {
        let lines: Vec<Value> = lines.iter().map(as_json).collect();
        context.ui.json(&json!({ "version": 1, "permissions": lines }))?;
        return Ok(());
    }
    context.ui.data(&as_text(&lines))?;
    if lines.is_empty() {
        context.ui.notice("Nothing is stored.");
    }
    Ok(())
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
