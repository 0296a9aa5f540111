//! An import in words and as JSON: where what was found, whose it is, what became of it. Never a secret.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::Found;
use super::carry_out::{can_rewrite, rewritten};
use super::done::Done;
use super::mcp_remote::is_session;
use super::places;
use super::plan::{Item, Source, State, reference};
use crate::clients::Way;
use crate::commands::client_file;
use crate::context::Context;
use crate::error::CommandError;
use crate::interact::Interact;
use crate::ui::{BAD, FAINT, GOOD};

/// Every secret in a line, by file.
pub fn show(context: &Context, found: &Found) -> Result<(), CommandError> {
    let mut text = String::new();
    let mut last: Option<&Path> = None;
    for item in &found.items {
        if last != Some(&item.path) {
            let _ = writeln!(text, "{}", crate::text::clean(&item.path.display().to_string()));
            last = Some(&item.path);
        }
        let variable = item.variable.as_deref().filter(|name| !item.place.ends_with(name));
        let variable = variable.map_or(String::new(), |name| format!(" {name}"));
        let (mark, mut state) = state_in_words(item);
        if let (Way::Stays(why), false) = (item.way, item.state == State::Skipped) {
            let _ = write!(state, "; stays in the file: {why}");
        }
        let _ = writeln!(
            text,
            "  {mark} {}{variable}  {FAINT}{}{FAINT:#}  {state}",
            item.place, item.print
        );
    }
    if text.is_empty() {
        text = "Nothing was found that authctl could take over.\n".into();
    }
    context.ui.data(&text)?;
    for (path, reason) in &found.unreadable {
        context.ui.warn(&format!("passed over {}: {reason}", path.display()));
    }
    Ok(())
}

fn state_in_words(item: &Item) -> (String, String) {
    let good = format!("{GOOD}+{GOOD:#}");
    let bad = format!("{BAD}!{BAD:#}");
    let name = item.name.as_ref().map(ToString::to_string).unwrap_or_default();
    match &item.state {
        State::New => (good, format!("→ {name}")),
        State::Replaces => (good, format!("→ {name}, in place of the one that is stored")),
        State::Stored => ("=".into(), format!("is stored as {name}")),
        State::Rivalled(other) => (bad, format!("→ {name}, like another secret: {other}")),
        State::Unknown => ("?".into(), "no provider is known for it".into()),
        State::Unfit(why) => (bad, format!("cannot be taken over: {why}")),
        State::Skipped => ("-".into(), "skipped".into()),
    }
}

/// What to do next, after a look.
pub fn say_how(context: &Context, found: &Found) {
    let mut said: Vec<&str> = Vec::new();
    for item in found.items.iter().filter(|item| item.state == State::Unknown) {
        let Some(flags) = item.flags.as_deref().filter(|flags| !said.contains(flags)) else {
            continue;
        };
        said.push(flags);
        let then = if flags == "--api-key" { "then" } else { "or, for one that is known," };
        context.ui.notice(&format!(
            "No provider is known for {}: authctl provider add NAME {flags}, {then} --as {}=NAME",
            item.place, item.print
        ));
    }
    if found.items.iter().any(|item| item.state.is_taken()) {
        context.ui.notice(
            "Nothing was changed. --apply stores them; --rewrite also puts references into the files.",
        );
    }
}

/// What a rewrite would change, file by file.
pub fn show_differences(context: &Context, found: &Found) -> Result<(), CommandError> {
    for (_, difference) in differences(context, found)? {
        context.ui.data(&client_file::painted(&difference))?;
    }
    context.ui.notice("Nothing was changed.");
    Ok(())
}

fn differences<'a>(
    context: &Context,
    found: &'a Found,
) -> Result<Vec<(&'a Path, String)>, CommandError> {
    let mut differences = Vec::new();
    for source in &found.sources {
        let Some(after) = rewritten(context, found, source)? else { continue };
        let shown = |text: &str| is_ours(context, found, source, text);
        let before = Some(source.text.as_str());
        let difference =
            client_file::difference(&source.file, source.format, before, Some(&after), &shown);
        differences.push((source.path.as_path(), difference));
    }
    Ok(differences)
}

/// Whether a text in a file is one that a rewrite puts there.
fn is_ours(context: &Context, found: &Found, source: &Source, text: &str) -> bool {
    let fixed = ["exec", "mcp", "--with", "--name", "--header", "--", "stdio"];
    if fixed.contains(&text) || text == places::program_in(&source.path) {
        return true;
    }
    let items = found.items.iter().filter(|item| item.path == source.path);
    items
        .filter_map(|item| reference(context, item).ok().flatten())
        .any(|with| text.split(',').any(|part| part == with))
}

/// What was done, and what still stands in the open.
pub fn say_done(context: &Context, found: &Found, done: &Done) {
    for name in &done.stored {
        context.ui.notice(&format!("Stored {name}."));
    }
    for (file, backup) in &done.rewritten {
        context.ui.notice(&format!("Changed {}; it was {}", file.display(), backup.display()));
    }
    if !done.rewritten.is_empty() {
        context.ui.notice("The backups hold the secrets: delete them when everything works.");
    }
    for item in found.items.iter().filter(|item| item.state.is_taken()) {
        if is_rewritten(found, item, done) {
            say_new_way(context, item);
        } else {
            say_what_stays(context, found, item);
        }
    }
    done.rewritten.iter().for_each(|(file, _)| say_new_command(context, found, file));
}

fn is_rewritten(found: &Found, item: &Item, done: &Done) -> bool {
    can_rewrite(found, item) && done.rewritten.iter().any(|(file, _)| *file == item.path)
}

/// How whatever read a file of variables is run from now on: one command for all of them.
fn say_new_command(context: &Context, found: &Found, file: &Path) {
    let mut with: Vec<String> = Vec::new();
    let items = found.items.iter().filter(|item| item.path == file && item.way == Way::Comment);
    for item in items.filter(|item| can_rewrite(found, item)) {
        let reference = reference(context, item).ok().flatten();
        with.extend(reference.filter(|reference| !with.contains(reference)));
    }
    if !with.is_empty() {
        let (file, with) = (file.display(), with.join(","));
        context
            .ui
            .notice(&format!("What read {file} is run by: authctl exec --with {with} -- COMMAND"));
    }
}

/// How the program is run from now on, where the file itself does not do it.
fn say_new_way(context: &Context, item: &Item) {
    let Ok(Some(with)) = reference(context, item) else { return };
    match item.way {
        Way::Remove if is_session(item) => {}
        Way::Remove => {
            context.ui.notice(&format!("Run it by: authctl exec --with {with} -- adcp …"));
        }
        Way::Comment | Way::Exec | Way::Bridge | Way::Stays(_) | Way::Useless(_) => {}
    }
}

fn say_what_stays(context: &Context, found: &Found, item: &Item) {
    let place = format!("{} {}", item.path.display(), item.place);
    match item.way {
        Way::Remove if is_session(item) => context.ui.warn(&format!(
            "mcp-remote still has this sign-in ({}): two programs that refresh with one token end it \
             for both; authctl import --rewrite puts its files away",
            item.path.display()
        )),
        Way::Stays(why) => {
            context.ui.warn(&format!("the secret still stands in {place}: {why}"));
        }
        Way::Bridge if !can_rewrite(found, item) => context.ui.warn(&format!(
            "the secret still stands in {place}: another header of the server is not stored"
        )),
        _ => context.ui.warn(&format!(
            "the secret still stands in {place}; authctl import --rewrite takes it out"
        )),
    }
}

/// With what a rewrite would change, where that is asked for.
pub fn as_json(
    context: &Context,
    found: &Found,
    done: &Done,
    dry_run: bool,
) -> Result<(), CommandError> {
    let differences = if dry_run { differences(context, found)? } else { Vec::new() };
    let differences = differences.into_iter();
    let items = found.items.iter().map(|item| item_as_json(context, found, item, done));
    let unreadable = found.unreadable.iter();
    let rewritten = done.rewritten.iter();
    context.ui.json(&json!({
        "version": 1,
        "found": items.collect::<Vec<Value>>(),
        "unreadable": unreadable
            .map(|(file, reason)| json!({ "file": file, "reason": reason }))
            .collect::<Vec<_>>(),
        "differences": differences
            .map(|(file, difference)| json!({ "file": file, "difference": difference }))
            .collect::<Vec<_>>(),
        "stored": done.stored.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "rewritten": rewritten
            .map(|(file, backup)| json!({ "file": file, "backup": backup }))
            .collect::<Vec<_>>(),
    }))?;
    Ok(())
}

fn item_as_json(context: &Context, found: &Found, item: &Item, done: &Done) -> Value {
    let (state, reason) = match &item.state {
        State::New => ("new", None),
        State::Stored => ("stored", None),
        State::Replaces => ("replaces", None),
        State::Rivalled(other) => ("rivalled", Some(other)),
        State::Unknown => ("unknown", None),
        State::Unfit(why) => ("unfit", Some(why)),
        State::Skipped => ("skipped", None),
    };
    let with = can_rewrite(found, item).then(|| reference(context, item).ok().flatten()).flatten();
    let stays = match item.way {
        Way::Stays(why) => Some(why),
        _ => None,
    };
    json!({
        "file": item.path,
        "place": item.place,
        "variable": item.variable,
        "digest": item.print,
        "name": item.name.as_ref().map(ToString::to_string),
        "state": state,
        "reason": reason,
        "with": with,
        "stays": stays,
        "rewritten": is_rewritten(found, item, done),
    })
}
