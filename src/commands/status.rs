//! `authctl status`: what is held, whose, where, until when, and what mends a bad one. Reads the index
//! only; `--check` is the one way to the keychain and the network.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::given::when;
use super::verify::verify;
use super::{complete, given};
use crate::config;
use crate::context::{Context, Named};
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::resolve::Wanted;
use crate::store::{Entry, Key, PendingEntry};
use crate::text::clean;
use crate::ui::{BAD, FAINT, GOOD};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Only this provider, or provider:account
    #[arg(add = complete::stored())]
    name: Option<String>,

    /// Open every credential, refresh what must be, and try it where the provider has a cheap call
    #[arg(long)]
    check: bool,
}

/// The states of a credential, as `--json` names them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Active,
    /// The access token has ended or will soon; the next use refreshes it.
    Refreshable,
    /// A refresh is under way or was cut off.
    Refreshing,
    Ended(String),
    /// It would not work now: `--check` found this, or the refreshes so far, or its provider is unknown.
    Failing(Failure),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    reason: String,
    hints: Vec<String>,
    /// The network or the server, later it may work.
    passes: bool,
}

/// An index entry that cannot be read.
struct Damaged {
    file: PathBuf,
    /// By the name of the file.
    name: Option<Name>,
}

/// What the environment gives where nothing is stored.
struct Gift {
    name: Name,
    variable: String,
}

struct Line {
    name: Name,
    entry: Entry,
    state: State,
    given_by: Option<String>,
    /// The issuer that the server's metadata may name against RFC 8414, as the configuration allows it.
    trusted_issuer: Option<String>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if arguments.name.is_none() {
        context.refuse_account_alone()?;
    }
    let store = context.store()?;
    let mut lines = Vec::new();
    let listing = store.entries()?;
    for entry in listing.entries {
        let name = entry.name()?;
        if !is_asked(context, arguments, &name)? {
            continue;
        }
        let state = match undescribed(context, &name)? {
            Some(failure) => State::Failing(failure),
            None if arguments.check => check(context, &name, &entry),
            None => state(&entry, Timestamp::now()),
        };
        let given_by = given_by(context, &name);
        let trusted_issuer = trusted_issuer(context, &name);
        lines.push(Line { name, entry, state, given_by, trusted_issuer });
    }
    let damaged = damaged(context, arguments, listing.unreadable)?;
    let gifts = gifts(context, arguments, &lines)?;
    let mut waiting = Vec::new();
    for (name, entry) in store.newest_pending(Timestamp::now()) {
        if is_asked(context, arguments, &name)? {
            waiting.push((name, entry));
        }
    }
    let is_bare = lines.is_empty() && damaged.is_empty() && waiting.is_empty();
    if let Some(typed) = arguments.name.as_ref().filter(|_| is_bare) {
        context.provider(&context.name(typed)?.name)?; // or the name is mistyped
    }
    if context.ui.is_json() {
        let mut shown = as_json(&store.describe(), &lines, &gifts, &damaged, Timestamp::now());
        shown["pending"] = waiting.iter().map(pending_as_json).collect();
        context.ui.json(&shown)?;
    } else {
        let about = match &arguments.name {
            Some(typed) => Some(context.name(typed)?.name),
            None => None,
        };
        context.ui.data(&as_text(&store.describe(), about.as_ref(), &lines, &gifts, &damaged))?;
        waiting.iter().try_for_each(|waiting| context.ui.data(&pending_as_text(waiting)))?;
        if is_bare && gifts.is_empty() {
            next_steps(context, arguments)?;
        }
    }
    let broken = !damaged.is_empty() || lines.iter().any(|line| line.state.is_broken());
    Ok(if broken { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn is_asked(context: &Context, arguments: &Arguments, name: &Name) -> Result<bool, CommandError> {
    let Some(typed) = &arguments.name else { return Ok(true) };
    Ok(context.name(typed)?.covers(name))
}

/// The entries that cannot be read, of those that are asked for.
fn damaged(
    context: &Context,
    arguments: &Arguments,
    files: Vec<PathBuf>,
) -> Result<Vec<Damaged>, CommandError> {
    let mut damaged = Vec::new();
    for file in files {
        let name = name_of(&file);
        let is_asked = match &name {
            Some(name) => is_asked(context, arguments, name)?,
            None => arguments.name.is_none(),
        };
        if is_asked {
            damaged.push(Damaged { file, name });
        }
    }
    Ok(damaged)
}

/// Whose entry a file is, as its name says ([`Key::file_stem`]).
fn name_of(file: &Path) -> Option<Name> {
    let mut parts = file.file_stem()?.to_str()?.strip_prefix("credential~")?.split('~');
    let name = Name::new(parts.next()?, parts.next()?).ok()?;
    (file.file_stem()?.to_str()? == Key::Credential(&name).file_stem()).then_some(name)
}

/// Nothing can be done with a credential whose provider is no longer described.
fn undescribed(context: &Context, name: &Name) -> Result<Option<Failure>, CommandError> {
    let provider = name.provider();
    match context.config()?.provider(provider) {
        Err(config::Error::UnknownProvider { .. }) => Ok(Some(Failure {
            reason: format!("nothing describes the provider {provider} any more"),
            hints: vec![
                format!(
                    "put [provider.{provider}] back into {}  (man authctl-config)",
                    context.paths()?.config_file().display()
                ),
                format!("authctl logout {name}  (forgets it)"),
            ],
            passes: false,
        })),
        _ => Ok(None),
    }
}

/// The variable that `exec` and `token` take for this name instead of the store, if there is one. A
/// value that cannot be used is said, and does not stop the rest.
fn given_by(context: &Context, name: &Name) -> Option<String> {
    let provider = context.provider(name).ok()?;
    let named = Named { name: name.clone(), account_named: !name.is_default_account() };
    given::found(context, &named, provider)
        .map_err(|error| context.ui.warn(error.message()))
        .ok()
        .flatten()
        .map(|given| given.variable)
}

fn trusted_issuer(context: &Context, name: &Name) -> Option<String> {
    context.provider(name).ok()?.oauth()?.trusted_issuer.clone()
}

fn gifts(
    context: &Context,
    arguments: &Arguments,
    lines: &[Line],
) -> Result<Vec<Gift>, CommandError> {
    let mut gifts = Vec::new();
    for provider in context.config()?.providers() {
        let name: Name = provider.id.parse()?;
        if lines.iter().any(|line| line.name == name) || !is_asked(context, arguments, &name)? {
            continue;
        }
        gifts.extend(given_by(context, &name).map(|variable| Gift { name, variable }));
    }
    Ok(gifts)
}

fn state(entry: &Entry, now: Timestamp) -> State {
    let ended = entry.expires_at.is_some_and(|end| end <= now);
    let renewable = entry.renewable;
    match &entry.refused {
        Some(refused) if ended || entry.expires_at.is_none() => {
            return State::Ended(refused.reason.clone());
        }
        _ => {}
    }
    if entry.refresh_expires_at.is_some_and(|end| end <= now) && ended {
        return State::Ended("its refresh token has expired".into());
    }
    if let Some(failing) = entry.failing.as_ref().filter(|failing| ended && failing.persists()) {
        return State::Failing(Failure {
            reason: failing.reason.clone(),
            hints: Vec::new(),
            passes: !failing.refused,
        });
    }
    match (entry.refreshing, ended, renewable) {
        (true, ..) => State::Refreshing,
        (false, false, _) => State::Active,
        (false, true, true) => State::Refreshable,
        (false, true, false) => State::Ended("its token has expired".into()),
    }
}

fn check(context: &Context, name: &Name, entry: &Entry) -> State {
    match use_it(context, name) {
        Ok(()) => match state(entry, Timestamp::now()) {
            // What the entry says was before this use of it.
            State::Refreshable | State::Refreshing | State::Failing(_) => State::Active,
            state => state,
        },
        Err(error) if error.kind() == Kind::LoginRequired => {
            State::Ended(error.message().to_owned())
        }
        Err(error) => State::Failing(Failure {
            reason: error.message().to_owned(),
            hints: error.hints().to_owned(),
            passes: error.kind() == Kind::TryAgain,
        }),
    }
}

/// Refreshes what must be, and tries it out.
fn use_it(context: &Context, name: &Name) -> Result<(), CommandError> {
    let provider = context.provider(name)?;
    let wanted = Wanted { name, provider, min_ttl: Duration::ZERO, force_refresh: false };
    let outcome = context.resolver()?.resolve(wanted);
    given::note_refresh(context, name, provider, &outcome);
    let resolved = outcome?;
    let scheme = super::scheme_of(provider, name, &resolved.credential)?;
    // One authenticated call, where the catalog knows a cheap one.
    scheme.verify.as_ref().map_or(Ok(()), |url| verify(context, name, scheme, url, &resolved))
}

impl State {
    fn is_broken(&self) -> bool {
        matches!(self, State::Ended(_) | State::Failing(_))
    }

    fn as_str(&self) -> &'static str {
        match self {
            State::Active => "active",
            State::Refreshable => "refreshable",
            State::Refreshing => "refreshing",
            State::Ended(_) => "ended",
            State::Failing(_) => "failing",
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            State::Ended(reason) => Some(reason),
            State::Failing(failure) => Some(&failure.reason),
            _ => None,
        }
    }

    /// What mends it.
    fn hints(&self, name: &Name) -> Vec<String> {
        match self {
            State::Ended(_) => {
                vec![
                    format!("authctl login {name}"),
                    format!("authctl logout {name}  (forgets it)"),
                ]
            }
            State::Failing(failure) if failure.hints.is_empty() => {
                vec![format!("authctl token {name} --refresh")]
            }
            State::Failing(failure) => failure.hints.clone(),
            _ => Vec::new(),
        }
    }
}

// ----------------------------------------------------------------------------------------- for people

fn as_text(
    store: &str,
    about: Option<&Name>,
    lines: &[Line],
    gifts: &[Gift],
    damaged: &[Damaged],
) -> String {
    let mut text = format!("{FAINT}Stored in the {store}{FAINT:#}\n");
    let names = lines.iter().map(|line| &line.name).chain(gifts.iter().map(|gift| &gift.name));
    let width = names.map(|name| name.to_string().len()).max().unwrap_or(0);
    for line in lines {
        text.push_str(&paragraph(line, width));
    }
    for Gift { name, variable } in gifts {
        let name = name.to_string();
        let _ = writeln!(text, "{GOOD}✓{GOOD:#} {name:width$}  given in {variable}");
    }
    for Damaged { file, name } in damaged {
        let file = file.display();
        let _ = match name {
            Some(name) => writeln!(
                text,
                "{BAD}✗{BAD:#} {name}: its index entry {file} cannot be read\n    \
                 hint: authctl token {name}  (writes it anew)"
            ),
            None => writeln!(text, "{BAD}✗{BAD:#} {file}: this index entry cannot be read"),
        };
    }
    if lines.is_empty() && gifts.is_empty() && damaged.is_empty() {
        let what = about.map_or(String::new(), |name| format!(" for {name}"));
        let _ = writeln!(text, "Nothing is stored{what}.");
    }
    text
}

fn paragraph(line: &Line, width: usize) -> String {
    let (style, mark) = if line.state.is_broken() { (BAD, '✗') } else { (GOOD, '✓') };
    let name = line.name.to_string();
    let mut text = format!("{style}{mark}{style:#} {name:width$}  {}\n", summary(line));
    let mut detail = |what: &str| {
        let _ = writeln!(text, "    {what}"); // writing into a String does not fail
    };
    if let Some(reason) = line.state.reason() {
        detail(reason);
        line.state.hints(&line.name).iter().for_each(|hint| detail(&format!("hint: {hint}")));
    }
    if let Some(subject) = &line.entry.subject {
        detail(&format!("signed in as {subject}"));
    }
    if let Some(scopes) = line.entry.scopes.as_ref().filter(|scopes| !scopes.is_empty()) {
        detail(&format!("scopes: {}", scopes.join(" ")));
    }
    if line.entry.dpop_bound {
        detail("bound to a key (DPoP): works in requests of authctl alone");
    }
    if let Some(end) = line.entry.refresh_expires_at.filter(|_| !line.state.is_broken()) {
        detail(&format!("the sign-in itself ends {}", when(end)));
    }
    if let Some(issuer) = &line.trusted_issuer {
        detail(&format!("exception: its server may call itself {}", clean(issuer)));
    }
    if let Some(variable) = &line.given_by {
        detail(&format!("{variable} is set and wins over it"));
    }
    text
}

fn summary(line: &Line) -> String {
    let kind = match line.entry.kind {
        crate::credential::Kind::ApiKey => "API key",
        crate::credential::Kind::Bearer => "token",
        crate::credential::Kind::Basic => "name and password",
        crate::credential::Kind::OAuth => "OAuth",
    };
    match (&line.state, line.entry.expires_at) {
        (State::Active, Some(end)) if line.entry.renewable => {
            format!("{kind}, token ends {} (renewed when needed)", when(end))
        }
        (State::Active, Some(end)) => format!("{kind}, ends {}", when(end)),
        (State::Active, None) => format!("{kind}, no expiry known"),
        (State::Refreshable, _) => format!("{kind}, renewed at the next use"),
        (State::Refreshing, _) => format!("{kind}, a refresh is under way or was cut off"),
        (State::Ended(_), _) => format!("{kind}, sign-in needed"),
        (State::Failing(Failure { passes: true, .. }), _) => {
            format!("{kind}, cannot be checked now")
        }
        (State::Failing(_), _) => format!("{kind}, does not work"),
    }
}

fn next_steps(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let next = match &arguments.name {
        Some(typed) => {
            let name = context.name(typed)?.name;
            if context.provider(&name).is_ok_and(config::Provider::needs_no_login) {
                format!("It needs no sign-in: authctl token {name} acquires one.")
            } else {
                format!("Sign in with: authctl login {name}")
            }
        }
        None => "Sign in with: authctl login PROVIDER  (authctl provider list)".into(),
    };
    context.ui.notice(&next);
    Ok(())
}

// ---------------------------------------------------------------------------------------- for scripts

fn as_json(
    store: &str,
    lines: &[Line],
    gifts: &[Gift],
    damaged: &[Damaged],
    now: Timestamp,
) -> Value {
    let given: Vec<Value> = gifts
        .iter()
        .map(|gift| json!({ "name": gift.name.to_string(), "variable": gift.variable }))
        .collect();
    let damaged: Vec<String> =
        damaged.iter().map(|damaged| damaged.file.display().to_string()).collect();
    let credentials: Vec<Value> = lines.iter().map(|line| line_as_json(line, now)).collect();
    json!({
        "version": 1,
        "store": store,
        "credentials": credentials,
        "given": given,
        "damaged": damaged,
    })
}

/// A login that waits for its answer.
fn pending_as_text((name, entry): &(Name, PendingEntry)) -> String {
    let end = when(entry.expires_at);
    format!(
        "{FAINT}…{FAINT:#} {name}: a sign-in waits for its answer; it ends {end}\n    \
         hint: authctl login {name} --resume\n"
    )
}

fn pending_as_json((name, entry): &(Name, PendingEntry)) -> Value {
    json!({
        "name": name.to_string(),
        "flow": entry.flow,
        "grant": entry.grant.as_str(),
        "started_at": entry.started_at,
        "expires_at": entry.expires_at,
        "resume": format!("authctl login {name} --resume"),
    })
}

fn line_as_json(line: &Line, now: Timestamp) -> Value {
    let entry = &line.entry;
    json!({
        "name": line.name.to_string(),
        "provider": entry.provider,
        "account": entry.account,
        "id": entry.id,
        "kind": entry.kind.as_str(),
        "state": line.state.as_str(),
        "reason": line.state.reason(),
        "hints": line.state.hints(&line.name),
        "expires_at": entry.expires_at,
        "expires_in": entry.expires_at.map(|end| seconds_left(end, now)),
        "refresh_expires_at": entry.refresh_expires_at,
        "renewable": entry.renewable,
        "subject": entry.subject,
        "dpop_bound": entry.dpop_bound,
        "scopes": entry.scopes,
        "requested_scopes": entry.requested_scopes,
        "issuer": entry.issuer,
        "trusted_issuer": line.trusted_issuer,
        "resource": entry.resource,
        "client_id": entry.client_id,
        "created_at": entry.created_at,
        "given_by": line.given_by,
    })
}

fn seconds_left(end: Timestamp, now: Timestamp) -> i64 {
    end.duration_since(now).max(SignedDuration::ZERO).as_secs()
}
