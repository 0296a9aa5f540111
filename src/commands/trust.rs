//! `authctl trust`: show what a directory's manifest asks for, and approve it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::audit::{Entry, Event, Outcome};
use crate::config::{MANIFEST, Manifest, nearest_manifest};
use crate::context::{Context, working_directory};
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::paths;
use crate::policy::{self, Approval, Standing};
use crate::text;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl trust\n  authctl trust --show ../project\n  authctl trust --hash 0123…cdef    (where there is no terminal, as in CI)\n  authctl trust --list"
)]
pub struct Arguments {
    /// A directory or its authctl.toml, instead of the nearest one from here upward
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    path: Option<PathBuf>,

    /// Show what it asks for and whether it is approved; change nothing
    #[arg(long, group = "what")]
    show: bool,

    /// Approve without a question, if it still has this hash (authctl trust --show prints it)
    #[arg(long, value_name = "HASH", group = "what")]
    hash: Option<String>,

    /// Take the approval back
    #[arg(long, group = "what")]
    revoke: bool,

    /// List everything that was approved
    #[arg(long, group = "what", conflicts_with = "path")]
    list: bool,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if arguments.list {
        return list(context);
    }
    let path = path(arguments.path.as_deref())?;
    if arguments.revoke {
        return revoke(context, &path);
    }
    let manifest = Manifest::read(&path, context.config()?)?;
    let standing = policy::standing(&context.paths()?.state, &manifest)?;
    if arguments.show {
        show(context, &manifest, &standing)?;
        return Ok(ExitCode::SUCCESS);
    }
    approve(context, &manifest, &standing, arguments.hash.as_deref())
}

// ------------------------------------------------------------------------------------------- which

fn path(given: Option<&Path>) -> Result<PathBuf, CommandError> {
    let here = working_directory()?;
    let Some(given) = given else {
        return nearest_manifest(&here, paths::home().as_deref()).ok_or_else(|| {
            CommandError::usage(format!("there is no {MANIFEST} here or in a directory above"))
                .hint("authctl trust PATH")
                .hint("authctl trust --list")
        });
    };
    let path = here.join(given);
    let path = if path.is_dir() { path.join(MANIFEST) } else { path };
    if path.file_name().is_none_or(|name| name != MANIFEST) {
        return Err(CommandError::usage(format!("{} is no {MANIFEST}", path.display())));
    }
    // As the search finds it: without links in its directory. One that is gone stays as it is named.
    let directory = path.parent().unwrap_or(&here);
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    Ok(directory.join(MANIFEST))
}

// ------------------------------------------------------------------------------------------ approve

fn approve(
    context: &Context,
    manifest: &Manifest,
    standing: &Standing,
    hash: Option<&str>,
) -> Result<ExitCode, CommandError> {
    let path = shown(&manifest.path);
    if *standing == Standing::Approved && hash.is_none() {
        context.ui.notice(&format!("{path} is approved as it is."));
        return report(context, manifest, &Standing::Approved);
    }
    if let Some(agent) = context.agent_at_the_keyboard()? {
        let why =
            format!("{agent} is running this command; only a person can approve what {path} asks");
        record(context, Outcome::Refused, &manifest.path, why.clone());
        return Err(CommandError::new(Kind::Failed, why));
    }
    match hash {
        Some(hash) => check_hash(manifest, hash)?,
        None => ask(context, manifest, standing)?,
    }
    policy::approve(&context.paths()?.state, manifest, Timestamp::now())?;
    let asked = manifest.asked.lines().join(", ");
    record(context, Outcome::Done, &manifest.path, format!("approved {asked}"));
    context.ui.notice(&format!("Approved {path}: {asked}."));
    report(context, manifest, &Standing::Approved)
}

fn record(context: &Context, outcome: Outcome, path: &Path, reason: String) {
    let (source, reason) = (Some(shown(path)), Some(reason));
    context.record(Entry { source, reason, ..Entry::new(Event::Trust, outcome) });
}

/// Whoever has no terminal must know what was approved: the hash stands for it.
fn check_hash(manifest: &Manifest, hash: &str) -> Result<(), CommandError> {
    let given = hash.strip_prefix("sha256:").unwrap_or(hash);
    if given.eq_ignore_ascii_case(&manifest.sha256) {
        return Ok(());
    }
    let path = shown(&manifest.path);
    Err(CommandError::new(
        Kind::Failed,
        format!("{path} has the hash {}, not {}", manifest.sha256, text::clean(hash)),
    )
    .hint("authctl trust --show"))
}

fn ask(context: &Context, manifest: &Manifest, standing: &Standing) -> Result<(), CommandError> {
    if !context.ui.can_ask() {
        return Err(CommandError::new(
            Kind::ConfirmationRequired,
            format!("there is no terminal to ask at about {}", shown(&manifest.path)),
        )
        .hint("authctl trust --show")
        .hint("authctl trust --hash HASH  (approves what was shown with this hash)"));
    }
    context.ui.show(as_text(context, manifest, standing)?.trim_end());
    if context.ui.confirm("Approve this?", false)? {
        return Ok(());
    }
    Err(CommandError::new(Kind::Failed, "nothing was changed"))
}

fn report(
    context: &Context,
    manifest: &Manifest,
    standing: &Standing,
) -> Result<ExitCode, CommandError> {
    if context.ui.is_json() {
        context.ui.json(&as_json(manifest, standing))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(context: &Context, path: &Path) -> Result<ExitCode, CommandError> {
    let revoked = policy::revoke(&context.paths()?.state, path)?;
    if !revoked {
        return Err(CommandError::new(Kind::Failed, format!("{} is not approved", shown(path)))
            .hint("authctl trust --list"));
    }
    record(context, Outcome::Done, path, "approval taken back".into());
    context.ui.notice(&format!("{} is no longer approved.", shown(path)));
    if context.ui.is_json() {
        context.ui.json(&json!({ "version": 1, "path": shown(path), "revoked": true }))?;
    }
    Ok(ExitCode::SUCCESS)
}

// --------------------------------------------------------------------------------------------- show

fn show(context: &Context, manifest: &Manifest, standing: &Standing) -> Result<(), CommandError> {
    if context.ui.is_json() {
        context.ui.json(&as_json(manifest, standing))?;
    } else {
        context.ui.data(&as_text(context, manifest, standing)?)?;
    }
    Ok(())
}

fn as_text(
    context: &Context,
    manifest: &Manifest,
    standing: &Standing,
) -> Result<String, CommandError> {
    let asked = &manifest.asked;
    let mut rows: Vec<(String, String)> = Vec::new();
    for typed in &asked.with {
        let (name, variable) = match typed.split_once('=') {
            Some((name, variable)) => (name, variable.to_owned()),
            None => (typed.as_str(), own_variables(context, typed)?),
        };
        rows.push((name.to_owned(), format!("in {variable}")));
    }
    for typed in &asked.env_header {
        let (variable, name) = typed.split_once('=').unwrap_or(("", typed));
        rows.push((name.to_owned(), format!("as a header in {variable}")));
    }
    let accounts = asked.accounts.iter();
    rows.extend(accounts.map(|(provider, account)| {
        (provider.clone(), format!("means {provider}:{account} in every authctl command here"))
    }));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let directory = manifest.path.parent().unwrap_or(&manifest.path);
    let mut out = format!(
        "{}\nasks, for every command that authctl exec starts below {}:\n",
        shown(&manifest.path),
        shown(directory)
    );
    if rows.is_empty() {
        out.push_str("  nothing\n");
    }
    for (name, what) in rows {
        let line = text::clean_to(&format!("{name:width$}  {what}"), 1_000);
        let _ = writeln!(out, "  {line}");
    }
    let _ = writeln!(out, "hash {}\n{}", manifest.sha256, standing_line(manifest, standing));
    Ok(out)
}

/// The variable in which a provider's credential goes, or one for each kind.
fn own_variables(context: &Context, name: &str) -> Result<String, CommandError> {
    let name: Name = name.parse()?;
    let provider = context.provider(&name)?;
    let mut firsts: Vec<&str> = Vec::new();
    for variable in provider.schemes.iter().filter_map(|scheme| scheme.variables.first()) {
        if !firsts.contains(&variable.as_str()) {
            firsts.push(variable);
        }
    }
    Ok(if firsts.is_empty() { "no variable yet".into() } else { firsts.join(" or ") })
}

fn standing_line(manifest: &Manifest, standing: &Standing) -> String {
    match standing {
        Standing::Approved => "approved".into(),
        Standing::New => "not approved".into(),
        Standing::Changed(was) => format!(
            "changed since it was approved at {:.0}: {}",
            was.approved_at,
            policy::changes_line(&was.asked, &manifest.asked)
        ),
    }
}

fn as_json(manifest: &Manifest, standing: &Standing) -> Value {
    let (more, less) = match standing {
        Standing::Changed(was) => policy::changes(&was.asked, &manifest.asked),
        _ => (Vec::new(), Vec::new()),
    };
    json!({
        "version": 1,
        "path": shown(&manifest.path),
        "hash": manifest.sha256,
        "state": match standing {
            Standing::Approved => "approved",
            Standing::Changed(_) => "changed",
            Standing::New => "not_approved",
        },
        "with": manifest.asked.with,
        "env_header": manifest.asked.env_header,
        "accounts": manifest.asked.accounts,
        "added": more,
        "removed": less,
    })
}

fn shown(path: &Path) -> String {
    text::clean_to(&path.to_string_lossy(), 1_000)
}

// --------------------------------------------------------------------------------------------- list

fn list(context: &Context) -> Result<ExitCode, CommandError> {
    let (approvals, unreadable) = policy::approvals(&context.paths()?.state);
    for path in unreadable {
        context.ui.warn(&format!("{} cannot be read as an approval", shown(&path)));
    }
    let states: Vec<(&Approval, &str)> =
        approvals.iter().map(|approval| (approval, state_of(context, approval))).collect();
    if context.ui.is_json() {
        let entry = |(approval, state): &(&Approval, &str)| {
            json!({
                "path": approval.path,
                "hash": approval.sha256,
                "approved_at": approval.approved_at,
                "state": state,
                "asks": approval.asked.lines(),
            })
        };
        let approvals: Vec<Value> = states.iter().map(entry).collect();
        context.ui.json(&json!({ "version": 1, "approvals": approvals }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = String::new();
    for (approval, state) in &states {
        let path = text::clean_to(&approval.path, 1_000);
        let asks = approval.asked.lines().join(", ");
        let remark = if *state == "approved" { String::new() } else { format!("  ({state})") };
        let _ = writeln!(out, "{path}{remark}\n    {asks}");
    }
    context.ui.data(&out)?;
    if states.is_empty() {
        context.ui.notice("Nothing is approved.");
    }
    Ok(ExitCode::SUCCESS)
}

/// How what was approved stands now.
fn state_of(context: &Context, approval: &Approval) -> &'static str {
    let path = Path::new(&approval.path);
    if !path.exists() {
        return "missing";
    }
    let config = context.config().ok();
    match config.and_then(|config| Manifest::read(path, config).ok()) {
        Some(manifest) if manifest.sha256 == approval.sha256 => "approved",
        _ => "changed",
    }
}
