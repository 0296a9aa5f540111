//! A change of clients' files, all of them or none begun: planned, shown as a difference without secrets, agreed
//! to, and written.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::target::Target;
use crate::clients::{Entry, Format, looks_secret};
use crate::commands::client_file::{self, Replaced};
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::private_file;

#[derive(Debug, Args)]
pub struct Manner {
    /// Show what would change, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Write without asking
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// What becomes of a file with this text; `None`: nothing, and it is not spoken of.
pub type Planning<'a> = dyn Fn(&Target, Option<&str>) -> Result<Option<Step>, CommandError> + 'a;

/// What happens to one file.
pub struct Step {
    pub name: String,
    pub kind: Change,
    pub format: Format,
    /// `None`: the file goes.
    pub after: Option<String>,
    /// Texts that the difference may show.
    pub shown: Vec<String>,
    /// Why it is not done after all, once it was shown.
    pub refusal: Option<CommandError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added,
    Replaced,
    Removed,
    Unchanged,
}

impl Change {
    fn as_str(self) -> &'static str {
        match self {
            Change::Added => "added",
            Change::Replaced => "replaced",
            Change::Removed => "removed",
            Change::Unchanged => "unchanged",
        }
    }
}

/// A file as it was read, and what is to become of it.
struct Plan {
    target: Target,
    before: Option<String>,
    step: Step,
    difference: String,
    backup: Option<PathBuf>,
}

/// How often a file that another program keeps changing is read again.
const TRIES: usize = 20;

/// Whether anything was written.
pub fn carry_out(
    context: &Context,
    targets: &[Target],
    manner: &Manner,
    plan: &Planning<'_>,
) -> Result<bool, CommandError> {
    let mut plans = Vec::new();
    for target in targets {
        plans.extend(planned(target, plan)?);
    }
    if !context.ui.is_json() {
        let shown = |plan: &Plan| context.ui.data(&client_file::painted(&plan.difference));
        plans.iter().try_for_each(shown)?;
    }
    if let Some(refusal) = plans.iter_mut().find_map(|plan| plan.step.refusal.take()) {
        return Err(refusal);
    }
    let is_written = agreed(context, manner, &plans)?;
    if is_written {
        let asked = asks(context, manner);
        plans.iter_mut().try_for_each(|one| write(context, one, asked, plan))?;
    }
    report(context, &plans, is_written)?;
    Ok(is_written)
}

fn planned(target: &Target, plan: &Planning<'_>) -> Result<Option<Plan>, CommandError> {
    let before = target.read()?;
    let Some(step) = plan(target, before.as_deref())? else { return Ok(None) };
    let shown = |text: &str| step.shown.iter().any(|shown| shown == text);
    let difference = match step.kind {
        Change::Unchanged => String::new(),
        _ => private_file::check_writable(&target.file).map(|()| {
            client_file::difference(
                &target.file,
                step.format,
                before.as_deref(),
                step.after.as_deref(),
                &shown,
            )
        })?,
    };
    Ok(Some(Plan { target: target.clone(), before, step, difference, backup: None }))
}

fn asks(context: &Context, manner: &Manner) -> bool {
    !manner.yes && !context.ui.is_json() && context.ui.can_ask()
}

/// At a terminal, where a person can see the difference, it is asked; elsewhere --yes says so.
fn agreed(context: &Context, manner: &Manner, plans: &[Plan]) -> Result<bool, CommandError> {
    let is_change = plans.iter().any(|plan| plan.step.kind != Change::Unchanged);
    if manner.dry_run || !is_change {
        return Ok(false);
    }
    if !manner.yes && !asks(context, manner) {
        return Err(CommandError::usage("nobody can be asked here; nothing was written")
            .hint("the same with --yes writes it")
            .hint("the same with --dry-run shows what would change"));
    }
    Ok(manner.yes || context.ui.confirm("Write this?", true)?)
}

/// Writes one file. What changed since it was read is planned again, unless a person agreed to what was shown.
fn write(
    context: &Context,
    one: &mut Plan,
    asked: bool,
    plan: &Planning<'_>,
) -> Result<(), CommandError> {
    for _ in 0..TRIES {
        if one.step.kind == Change::Unchanged {
            return Ok(());
        }
        let (path, before) = (&one.target.file, one.before.as_deref());
        match client_file::replace(context, path, before, one.step.after.as_deref())? {
            Replaced::Done(backup) => {
                one.backup = backup;
                return Ok(());
            }
            Replaced::Changed if asked => break,
            Replaced::Changed => {}
        }
        let Some(again) = planned(&one.target, plan)? else { return Ok(()) };
        *one = again;
        if let Some(refusal) = one.step.refusal.take() {
            return Err(refusal);
        }
    }
    let path = one.target.shown();
    Err(CommandError::new(
        Kind::Failed,
        format!("{path} was changed meanwhile by another program; it is as that one left it"),
    ))
}

fn report(context: &Context, plans: &[Plan], is_written: bool) -> Result<(), CommandError> {
    if context.ui.is_json() {
        let files: Vec<Value> = plans.iter().map(as_json).collect();
        context.ui.json(&json!({ "version": 1, "written": is_written, "files": files }))?;
        return Ok(());
    }
    for plan in plans {
        let path = plan.target.shown();
        let name = &plan.step.name;
        match plan.step.kind {
            Change::Unchanged => context.ui.notice(&format!("{path} has {name} already.")),
            _ if !is_written => context.ui.notice(&format!("Nothing was written to {path}.")),
            kind => {
                let gone = match plan.step.after {
                    Some(_) => "",
                    None => ", and the file, which had nothing else",
                };
                let backup = plan.backup.as_ref();
                let backup = backup.map(|file| format!("; it was {}", file.display()));
                let (done, backup) = (kind.as_str(), backup.unwrap_or_default());
                context.ui.notice(&format!("{path}: {name} {done}{gone}{backup}"));
            }
        }
    }
    Ok(())
}

fn as_json(plan: &Plan) -> Value {
    json!({
        "client": plan.target.client.map(crate::clients::McpClient::id),
        "scope": plan.target.scope(),
        "file": plan.target.path,
        "name": plan.step.name,
        "change": plan.step.kind.as_str(),
        "difference": plan.difference,
        "backup": plan.backup,
    })
}

/// What of an entry may be shown: not what follows an option with the name of a secret, and nothing that
/// looks like a key.
pub fn harmless(entry: &Entry) -> Vec<String> {
    let mut shown = vec![entry.command.clone(), "stdio".to_owned()];
    let mut before = "";
    for arg in &entry.args {
        let names_secret = |option: &str| looks_secret(option.trim_start_matches('-'));
        let (option, value) = arg.split_once(['=', ':']).unwrap_or((arg, ""));
        let is_secret = (before.starts_with('-') && names_secret(before))
            || (!value.is_empty() && !arg.contains("://") && names_secret(option))
            || arg.contains(['?', '#'])
            || arg
                .split(|c: char| !c.is_ascii_alphanumeric() && !"_-+=".contains(c))
                .any(is_keyish);
        if !is_secret {
            shown.push(arg.clone());
        }
        before = arg;
    }
    shown
}

fn is_keyish(word: &str) -> bool {
    let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
    word.len() >= 20 && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
}
