//! `authctl import`: take over what other tools keep in the open. Shows first; stores when told to; and only
//! what is stored is taken out of a file, of which a backup is kept.

mod carry_out;
mod done;
mod mcp_remote;
mod places;
mod plan;
mod recognise;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use done::Done;
use places::Place;
use plan::{Choices, Item, Source, State};

pub use places::this_machine;

use super::client_file;
use crate::clients::{self, Format, McpClient, Way};
use crate::context::{Context, working_directory};
use crate::error::CommandError;
use crate::interact::Interact;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl import\n  authctl import .env --apply --rewrite\n  authctl import ~/.claude.json --as 1a2b3c4d=github:work --apply"
)]
pub struct Arguments {
    /// Files, or mcp-remote's folder; without any, the places where tools keep credentials
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What the files are, where their names do not tell
    #[arg(long, requires = "files")]
    format: Option<Format>,

    #[command(flatten)]
    wishes: Wishes,
}

// What is to become of what is found; a doc comment would become the command's.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Wishes {
    /// Store what was found
    #[arg(long)]
    apply: bool,

    /// Store it, and put references to authctl in its place in the files
    #[arg(long)]
    rewrite: bool,

    /// Show how --rewrite would change the files, and change nothing
    #[arg(long, conflicts_with_all = ["apply", "rewrite"])]
    dry_run: bool,

    /// The name for one secret, by its digest
    #[arg(long = "as", value_name = "DIGEST=NAME", value_parser = parse_name)]
    names: Vec<(String, String)>,

    /// Leave one secret alone, by its digest
    #[arg(long, value_name = "DIGEST")]
    skip: Vec<String>,

    /// Replace another secret that is stored under the same name
    #[arg(long)]
    replace: bool,
}

fn parse_name(typed: &str) -> Result<(String, String), String> {
    let (print, name) = typed.split_once('=').ok_or("it is written like 1a2b3c4d=github:work")?;
    Ok((print.to_owned(), name.to_owned()))
}

/// What was found, and what could not be read.
#[derive(Default)]
pub struct Found {
    sources: Vec<Source>,
    items: Vec<Item>,
    /// Path and reason.
    unreadable: Vec<(PathBuf, String)>,
}

impl Found {
    /// A file that was passed over may hold anything.
    fn code(&self) -> ExitCode {
        if self.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let named = !arguments.files.is_empty();
    let places =
        if named { named_places(arguments)? } else { places::known(&working_directory()?) };
    take_over(context, places, named, &arguments.wishes)
}

/// `authctl mcp import`: the same in the files of MCP clients alone.
pub fn run_for_clients(
    context: &Context,
    clients: &[McpClient],
    wishes: &Wishes,
) -> Result<ExitCode, CommandError> {
    let places = places::of_clients(clients, &working_directory()?);
    take_over(context, places, false, wishes)
}

fn take_over(
    context: &Context,
    places: Vec<Place>,
    named: bool,
    wishes: &Wishes,
) -> Result<ExitCode, CommandError> {
    let choices = Choices {
        names: wishes.names.clone(),
        skipped: wishes.skip.clone(),
        replace: wishes.replace,
    };
    if wishes.rewrite {
        client_file::refuse_agents(context)?;
    }
    let mut found = find(context, places, named, &choices)?;
    refuse_unmatched(&found, &choices)?;
    let mut done = Done::default();
    if context.ui.is_json() {
        if wishes.apply || wishes.rewrite {
            carry_out(context, wishes, &mut found, &mut done)?;
        }
        report::as_json(context, &found, &done, wishes.dry_run)?;
        return Ok(found.code());
    }
    report::show(context, &found)?;
    if wishes.dry_run {
        report::show_differences(context, &found)?;
    } else if wants_to_store(context, wishes, &found)? {
        carry_out(context, wishes, &mut found, &mut done)?;
        report::say_done(context, &found, &done);
    } else {
        report::say_how(context, &found);
    }
    Ok(found.code())
}

/// Told on the command line, or by a person who has seen what was found.
fn wants_to_store(context: &Context, wishes: &Wishes, found: &Found) -> Result<bool, CommandError> {
    if wishes.apply || wishes.rewrite {
        return Ok(true);
    }
    let is_new = |item: &Item| matches!(item.state, State::New | State::Replaces);
    if !context.ui.can_ask() || !found.items.iter().any(|item| item.state.is_taken()) {
        return Ok(false);
    }
    // What is stored already may still stand in the files.
    Ok(!found.items.iter().any(is_new) || context.ui.confirm("Store these credentials?", false)?)
}

fn carry_out(
    context: &Context,
    wishes: &Wishes,
    found: &mut Found,
    done: &mut Done,
) -> Result<(), CommandError> {
    plan::prove(context, &mut found.items, wishes.replace)?;
    refuse_rivals(found)?;
    carry_out::store(context, found, done)?;
    let told = wishes.apply || wishes.rewrite;
    let asks = !told && found.items.iter().any(|item| carry_out::can_rewrite(found, item));
    let asks = asks && context.agent_at_the_keyboard()?.is_none();
    if wishes.rewrite || (asks && context.ui.confirm(REWRITE_QUESTION, false)?) {
        carry_out::rewrite(context, found, done)?;
    }
    Ok(())
}

const REWRITE_QUESTION: &str =
    "Put references to authctl in their place in the files, and keep backups?";

/// What is at the paths on the command line.
fn named_places(arguments: &Arguments) -> Result<Vec<Place>, CommandError> {
    let place = |path: &PathBuf| {
        Place::named(path, arguments.format).ok_or_else(|| {
            CommandError::usage(format!("the name of {} does not tell what it is", path.display()))
                .hint("authctl import FILE --format dotenv|mcp|codex|gh|adcp")
        })
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut files = arguments.files.clone();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())));
    files.iter().map(place).collect()
}

fn find(
    context: &Context,
    places: Vec<Place>,
    named: bool,
    choices: &Choices,
) -> Result<Found, CommandError> {
    let mut found = Found::default();
    for place in places {
        let inside = if named { Ok(()) } else { places::check(place.path()) };
        match inside.and_then(|()| look(context, &place, choices, &mut found)) {
            Ok(()) => {}
            // Whoever named a file wants to hear of it at once.
            Err(error) if named => return Err(error),
            Err(error) => {
                let path = place.path().to_owned();
                found.unreadable.push((path, error.message().to_owned()));
            }
        }
    }
    plan::settle(context, &mut found.items, choices.replace)?;
    Ok(found)
}

fn look(
    context: &Context,
    place: &Place,
    choices: &Choices,
    found: &mut Found,
) -> Result<(), CommandError> {
    let (path, format) = match place {
        Place::McpRemote(folder) => {
            found.items.extend(mcp_remote::items(context, folder, choices)?);
            return Ok(());
        }
        Place::File(path, format) => (path, *format),
    };
    let file = if places::is_users(path) { client_file::behind(path)? } else { path.clone() };
    // Links of two clients may lead to one file.
    if found.sources.iter().any(|source| source.file == file) {
        return Ok(());
    }
    let text = read(&file, Some(format))?;
    let literals = clients::literals(format, &text).map_err(|malformed| {
        CommandError::usage(format!("cannot take over {}: {malformed}", path.display()))
    })?;
    for literal in literals {
        found.items.extend(plan::item(context, path, literal, choices)?);
    }
    let (path, text) = (path.clone(), Zeroizing::new(text));
    found.sources.push(Source { path, file, format, text });
    Ok(())
}

/// A file of mcp-remote has no sort of its own.
fn read(path: &Path, format: Option<Format>) -> Result<String, CommandError> {
    let instead = |behind: &Path| {
        let Some(format) = format else {
            let (path, file) = (path.display(), behind.display());
            return format!(
                "rm {path} && cp {file} {path}  (a file of its own in the link's place)"
            );
        };
        let is_plain = Place::named(behind, None).is_some_and(|place| place.is(format));
        let form = format.to_possible_value().filter(|_| !is_plain);
        let form = form.map(|form| format!(" --format {}", form.get_name())).unwrap_or_default();
        format!("authctl import {}{form} …", behind.display())
    };
    client_file::read(path, &instead)?
        .ok_or_else(|| CommandError::usage(format!("there is no file {}", path.display())))
}

/// A digest on the command line that belongs to nothing is a slip of the hand.
fn refuse_unmatched(found: &Found, choices: &Choices) -> Result<(), CommandError> {
    let named = choices.names.iter().map(|(print, _)| print).chain(&choices.skipped);
    for print in named {
        if !found.items.iter().any(|item| item.print == *print) {
            let print = crate::text::clean(print);
            return Err(CommandError::usage(format!("no secret here has the digest {print}"))
                .hint("authctl import  (shows them)"));
        }
    }
    Ok(())
}

/// Nothing is stored while two secrets want one name.
fn refuse_rivals(found: &Found) -> Result<(), CommandError> {
    let rivals: Vec<&Item> =
        found.items.iter().filter(|item| matches!(item.state, State::Rivalled(_))).collect();
    let Some(first) = rivals.first() else { return Ok(()) };
    let (State::Rivalled(other), Some(name)) = (&first.state, &first.name) else { return Ok(()) };
    let mut error = CommandError::usage(format!(
        "two secrets want the name {name}: {} {} and {other}; nothing was stored",
        first.path.display(),
        first.place
    ));
    let mut said = Vec::new();
    for item in rivals {
        if said.contains(&&item.print) {
            continue;
        }
        said.push(&item.print);
        let provider = item.name.as_ref().map_or("PROVIDER", |name| name.provider());
        error = error.hint(format!(
            "authctl import … --as {print}={provider}:ACCOUNT, or --skip {print}  ({} {})",
            item.path.display(),
            item.place,
            print = item.print,
        ));
    }
    Err(error)
}

/// Whether anything can stand in the place of the literal.
fn is_replaceable(way: Way) -> bool {
    matches!(way, Way::Comment | Way::Exec | Way::Bridge | Way::Remove)
}
