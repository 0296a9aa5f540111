//! `authctl mcp remove`: takes a server out of MCP clients' files.

use std::process::ExitCode;

use clap::Args;

use super::change::{self, Change, Manner, Planning, Step, harmless};
use super::target::{self, Target, Where};
use crate::clients::{self, Server};
use crate::commands::{client_file, complete};
use crate::context::Context;
use crate::error::CommandError;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl mcp remove cursor linear\n  authctl mcp remove --all linear --dry-run"
)]
pub struct Arguments {
    /// Clients (claude-code, cursor, …), and the name of the server as in `mcp list`
    #[arg(value_name = "CLIENT|NAME", required = true, add = complete::clients())]
    words: Vec<String>,

    #[command(flatten)]
    place: Where,

    /// Also a server that does not go through authctl
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    manner: Manner,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if !arguments.manner.dry_run {
        client_file::refuse_agents(context)?;
    }
    let Some((name, words)) = arguments.words.split_last() else {
        return Err(CommandError::usage("no server is named").hint("authctl mcp list"));
    };
    let named = words.iter().map(|word| target::client(word)).collect::<Result<Vec<_>, _>>()?;
    let targets = target::targets(context, &named, &arguments.place)?;
    let found = std::cell::Cell::new(false);
    let plan = |target: &Target, text: Option<&str>| {
        let step = plan(context, name, arguments.force, target, text)?;
        found.set(found.get() || step.is_some());
        Ok(step)
    };
    let targets = with_the_server(&targets, &plan)?;
    if !found.get() {
        let name = crate::text::clean(name);
        return Err(CommandError::usage(format!("no server {name} in these files"))
            .hint("authctl mcp list"));
    }
    change::carry_out(context, &targets, &arguments.manner, &plan)?;
    Ok(ExitCode::SUCCESS)
}

/// The files that have it.
fn with_the_server(targets: &[Target], plan: &Planning<'_>) -> Result<Vec<Target>, CommandError> {
    let mut found = Vec::new();
    for target in targets {
        let text = target.read()?;
        if plan(target, text.as_deref())?.is_some() {
            found.push(target.clone());
        }
    }
    Ok(found)
}

fn plan(
    context: &Context,
    name: &str,
    force: bool,
    target: &Target,
    text: Option<&str>,
) -> Result<Option<Step>, CommandError> {
    let path = target.shown();
    let wrong = |malformed| CommandError::usage(format!("cannot change {path}: {malformed}"));
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let layout = target.layout(text);
    let at = clients::at(layout, name);
    let servers = clients::servers(layout.format, text).map_err(wrong)?;
    let Some(server) = servers.into_iter().find(|server| server.at == at) else { return Ok(None) };
    let refusal = (server.through().is_none() && !force).then(|| {
        let name = crate::text::clean(name);
        CommandError::usage(format!("the server {name} in {path} does not go through authctl"))
            .hint("the same with --force")
    });
    let after = without(context, target, text, &server)?;
    let entry = server.entry().filter(|entry| entry.through().is_some());
    let shown = entry.as_ref().map(harmless).unwrap_or_default();
    let (name, kind, format) = (name.to_owned(), Change::Removed, layout.format);
    Ok(Some(Step { name, kind, format, after, shown, refusal }))
}

/// The text without a server. What it was before an install, byte for byte, where nothing else has changed since; no
/// file at all where there was none.
fn without(
    context: &Context,
    target: &Target,
    text: &str,
    server: &Server,
) -> Result<Option<String>, CommandError> {
    let layout = target.layout(text);
    let earlier = client_file::earlier(context, &target.file)?;
    let is_undone = |before: &&String| clients::is_put(layout, before, server, text);
    if let Some(before) = earlier.iter().find(is_undone) {
        return Ok(Some(before.clone()));
    }
    let is_made = |text: &String| match &clients::servers(layout.format, text).unwrap_or_default()[..]
    {
        [only] => clients::is_put(layout, "", only, text),
        _ => false,
    };
    if clients::is_put(layout, "", server, text) && earlier.last().is_none_or(is_made) {
        // A link stays, and leads to a file.
        return Ok((target.path != target.file).then(String::new));
    }
    let has_server = |before: &&String| {
        let servers = clients::servers(layout.format, before).unwrap_or_default();
        servers.iter().any(|other| other.at == server.at)
    };
    // A table that was there before the server stays.
    let with_table = match earlier.iter().find(|before| !has_server(before)) {
        Some(before) => !clients::has_table(layout, before),
        None => clients::is_settings(&target.path),
    };
    let after = clients::take_out(layout.format, text, &server.at, with_table);
    after.map(Some).map_err(|malformed| {
        CommandError::usage(format!("cannot change {}: {malformed}", target.shown()))
    })
}
