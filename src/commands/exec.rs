//! `authctl exec`: run a command with credentials in its environment. What fails, fails before the
//! command starts; once it runs, it is the process that the caller started.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::handing::{self, Form, Handing, Handings};
use super::purpose::Purpose;
use super::{complete, given};
use crate::audit::{self, Outcome};
use crate::context::{Context, Named, environment};
use crate::credential::Name;
use crate::error::CommandError;
use crate::inject;
use crate::interact::Interact;
use crate::launch;
use crate::paths;
use crate::resolve::{Resolved, Source};
use crate::secret::Secret;
use crate::text;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl exec --with audiostack -- ./agent\n  authctl exec --with github:work,openai -- ./agent\n  authctl exec --with github=MY_TOKEN -- ./script\n  authctl exec --env-header API_AUTH=github -- ./script\n\nExit status: the command's own; 125 when authctl fails before it starts, 126 when it cannot be\nexecuted, 127 when it is not found."
)]
pub struct Arguments {
    /// Credentials to hand over, joined by commas: NAME, or NAME=VARIABLE to choose the variable
    #[arg(long, value_name = "NAME[=VARIABLE]", value_delimiter = ',', add = complete::stored())]
    with: Vec<String>,

    /// Ask what to hand over, even if an earlier answer is remembered for this program here
    #[arg(long, conflicts_with_all = ["with", "env_header"])]
    ask: bool,

    /// Hand over a whole header value, as in `Bearer …`, in VARIABLE
    #[arg(long, value_name = "VARIABLE=NAME", value_delimiter = ',')]
    env_header: Vec<String>,

    /// Least time that tokens must still live
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::parse_time)]
    min_ttl: Duration,

    /// Write `[masked]` instead of the secrets in output that goes to a pipe or a file
    #[arg(long)]
    mask: bool,

    /// Remove the variables of every known provider, not only of those handed over
    #[arg(long)]
    clean: bool,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The child's environment as it grows.
#[derive(Default)]
struct Environment {
    /// By variable: what goes into it, and whose it is.
    set: BTreeMap<String, (Secret, Name)>,
    /// By variable: the one of this process that its secret came from, if not from the store.
    given_by: BTreeMap<String, String>,
    clear: Vec<String>,
    /// Variables that stay as the exec around this one set them, and whose they are.
    kept: Vec<(String, Name)>,
    /// What `--mask` hides beside the values of the variables.
    masked: Vec<Secret>,
    /// Name, id and end of each credential, for the variables beside it.
    handed: Vec<(Name, String, Option<Timestamp>)>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let program = arguments.command.first().cloned().unwrap_or_default();
    let typed = handing::parse(context, &arguments.with, &arguments.env_header)?;
    launch::check(&program)?;
    let purpose = Purpose::exec(&program);
    let handings = match typed {
        none if none.is_empty() => handing::unnamed(context, &program, arguments.ask)
            .inspect_err(|error| purpose.record_failure(context, Outcome::Refused, None, error))?,
        list => Handings { list, manifest: None },
    };
    note_nesting(context);
    let environment = gather(context, arguments, &handings, &purpose)?;
    record(context, &environment, &handings, &purpose)?;
    context.ui.notice(&announcement(&environment, handings.manifest.as_deref()));
    launch(arguments, program, environment)
}

fn launch(
    arguments: &Arguments,
    program: OsString,
    environment: Environment,
) -> Result<ExitCode, CommandError> {
    let mut secrets = environment.masked;
    secrets.extend(environment.set.values().map(|(secret, _)| secret.clone()));
    let handed: Vec<(&Name, &str, Option<Timestamp>)> =
        environment.handed.iter().map(|(name, id, end)| (name, id.as_str(), *end)).collect();
    let mut set: Vec<(String, Secret)> =
        environment.set.into_iter().map(|(variable, (secret, _))| (variable, secret)).collect();
    let beside = inject::companions(&handed);
    set.extend(beside.into_iter().map(|(variable, text)| (variable, Secret::new(text))));
    set.push((paths::INJECTED.to_owned(), Secret::new(injected(&environment.handed))));
    let mut clear = environment.clear;
    clear.extend(stale(&environment.handed));
    let command = launch::Command {
        program,
        arguments: arguments.command.iter().skip(1).cloned().collect(),
        set,
        clear,
        clear_tokens: true,
    };
    let exit = if arguments.mask {
        launch::supervise(&command, &secrets)?
    } else {
        launch::replace(&command)?
    };
    Ok(exit.leave())
}

/// A second exec inside an exec works and is rarely meant.
fn note_nesting(context: &Context) {
    if let Some(outer) = environment(paths::INJECTED) {
        context.ui.notice(&format!(
            "authctl: inside another exec, which injected {}; its credentials stay where this one \
             sets none",
            text::clean(&outer)
        ));
    }
}

// ------------------------------------------------------------------------------- the environment

fn gather(
    context: &Context,
    arguments: &Arguments,
    handings: &Handings,
    purpose: &Purpose,
) -> Result<Environment, CommandError> {
    let mut environment = Environment::default();
    let mut known: BTreeMap<&Name, Resolved> = BTreeMap::new();
    for handing in &handings.list {
        let name = &handing.named.name;
        let about = Some((name, context.provider(name)?));
        if let Some(variable) = kept(context, handings, handing)? {
            environment.kept.push((variable, name.clone()));
            continue;
        }
        let resolved = match known.entry(name) {
            Entry::Occupied(resolved) => resolved.into_mut(),
            Entry::Vacant(new) => {
                let resolved = resolve(context, arguments, &handing.named, purpose)
                    .map_err(|error| asked_by(handings, name, error))?;
                environment.note(name, &resolved);
                new.insert(resolved)
            }
        };
        hand_over(context, handing, resolved, &mut environment)
            .inspect_err(|error| purpose.record_failure(context, Outcome::Failed, about, error))
            .map_err(|error| asked_by(handings, name, error))?;
    }
    if arguments.clean {
        for provider in context.config()?.providers() {
            environment.clear.extend(provider.variables().map(str::to_owned));
        }
    }
    let kept = |variable: &String| environment.kept.iter().any(|(known, _)| known == variable);
    environment.clear.retain(|variable| !kept(variable));
    Ok(environment)
}

/// Says who asked for what cannot be handed over, where nobody typed it.
fn asked_by(handings: &Handings, name: &Name, error: CommandError) -> CommandError {
    match &handings.manifest {
        Some(path) => error.within(&format!("{} asks for {name}", path.display())),
        None => error,
    }
}

/// The variable in which the exec around this one handed over what the manifest asks for here: where
/// nothing is stored (a key given to CI, say), there is nothing better to hand over.
fn kept(
    context: &Context,
    handings: &Handings,
    handing: &Handing,
) -> Result<Option<String>, CommandError> {
    let named = &handing.named;
    let provider = context.provider(&named.name)?;
    if handings.manifest.is_none()
        || !given::is_nested_in(named)
        || given::found(context, named, provider)?.is_some()
        || context.store()?.entry(&named.name)?.is_some()
    {
        return Ok(None);
    }
    let firsts = provider.schemes.iter().filter_map(|scheme| scheme.variables.first());
    let mut variables: Vec<&str> = match handing.form.variable() {
        Some(variable) => vec![variable],
        None => firsts.map(String::as_str).collect(),
    };
    variables.retain(|variable| environment(variable).is_some());
    Ok(variables.first().map(|variable| (*variable).to_owned()))
}

/// Once a name, however many variables it goes into.
fn resolve(
    context: &Context,
    arguments: &Arguments,
    named: &Named,
    purpose: &Purpose,
) -> Result<Resolved, CommandError> {
    let provider = context.provider(&named.name)?;
    given::resolve(context, named, provider, arguments.min_ttl, false, Some(purpose))
}

/// A line of the audit log for each variable, before the command can read it.
fn record(
    context: &Context,
    environment: &Environment,
    handings: &Handings,
    purpose: &Purpose,
) -> Result<(), CommandError> {
    let manifest = handings.manifest.as_ref().map(|path| path.to_string_lossy().into_owned());
    for (variable, (_, name)) in &environment.set {
        let provider = context.provider(name)?;
        let id = environment.handed.iter().find(|(handed, ..)| handed == name);
        context.record(audit::Entry {
            id: id.map(|(_, id, _)| id.clone()),
            variable: Some(variable.clone()),
            source: environment.given_by.get(variable).cloned().or_else(|| manifest.clone()),
            ..purpose.entry(Outcome::Done, Some((name, provider)))
        });
    }
    Ok(())
}

impl Environment {
    fn note(&mut self, name: &Name, resolved: &Resolved) {
        let expires_at = resolved.credential.expires_at();
        self.masked.extend(inject::secrets(&resolved.credential));
        self.handed.push((name.clone(), resolved.id.clone(), expires_at));
    }
}

fn hand_over(
    context: &Context,
    handing: &Handing,
    resolved: &Resolved,
    environment: &mut Environment,
) -> Result<(), CommandError> {
    let name = &handing.named.name;
    let provider = context.provider(name)?;
    let scheme = super::scheme_of(provider, name, &resolved.credential)?;
    let rename = handing.form.variable();
    let injection = inject::variables(provider, scheme, &resolved.credential, rename)?;
    environment.clear.extend(injection.clear);
    for (variable, secret) in injection.set {
        let secret = match &handing.form {
            Form::Header(_) => inject::header(provider, scheme, &resolved.credential)?.1,
            _ => secret,
        };
        if let Source::Given(from) = &resolved.source {
            environment.given_by.insert(variable.clone(), from.clone());
        }
        if let Some((_, other)) = environment.set.get(&variable) {
            return Err(conflict(&variable, other, handing));
        }
        environment.set.insert(variable, (secret, name.clone()));
    }
    Ok(())
}

fn conflict(variable: &str, other: &Name, handing: &Handing) -> CommandError {
    let name = &handing.named.name;
    let elsewhere = match handing.form {
        Form::Header(_) => format!("--env-header OTHER_VARIABLE={name}"),
        _ => format!("--with {name}=OTHER_VARIABLE"),
    };
    CommandError::usage(format!("{other} and {name} would both be handed over in {variable}"))
        .hint(format!("authctl exec --with {other} {elsewhere} -- …"))
}

fn announcement(environment: &Environment, manifest: Option<&Path>) -> String {
    let set: Vec<String> = environment
        .set
        .iter()
        .map(|(variable, (_, name))| match environment.given_by.get(variable) {
            Some(from) => format!("{variable} ({name}, given in {from})"),
            None => format!("{variable} ({name})"),
        })
        .collect();
    let set = if set.is_empty() { "nothing".into() } else { set.join(", ") };
    let mut line = format!("authctl: set {set}");
    for (variable, name) in &environment.kept {
        line = format!("{line}; kept {variable} ({name}) of the exec around this one");
    }
    if let Some(path) = manifest {
        line = format!("{line}; asked for by {}", text::clean_to(&path.to_string_lossy(), 1_000));
    }
    let mut cleared: Vec<&str> = environment
        .clear
        .iter()
        .map(String::as_str)
        .filter(|variable| !environment.set.contains_key(*variable))
        .filter(|variable| std::env::var_os(variable).is_some())
        .collect();
    cleared.sort_unstable();
    cleared.dedup();
    if !cleared.is_empty() {
        line = format!("{line}; removed {}", cleared.join(", "));
    }
    line
}

/// The inherited variables beside credentials that the child does not get. Those of an exec around this
/// one stay with its credentials, except for the providers that are injected anew.
fn stale(handed: &[(Name, String, Option<Timestamp>)]) -> Vec<String> {
    let outer = environment(paths::INJECTED).unwrap_or_default();
    let is_anew = |name: &Name| handed.iter().any(|(new, ..)| new.provider() == name.provider());
    let kept: Vec<Name> = outer
        .split(',')
        .filter_map(|name| name.parse().ok())
        .filter(|name| !is_anew(name))
        .collect();
    let inherited = std::env::vars_os().filter_map(|(variable, _)| variable.into_string().ok());
    inject::stale_companions(inherited, &kept)
}

/// The names injected here and by the execs around this one, for the explanation of nested use.
fn injected(handed: &[(Name, String, Option<Timestamp>)]) -> String {
    let outer = environment(paths::INJECTED).unwrap_or_default();
    let mut names: Vec<String> =
        outer.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.extend(handed.iter().map(|(name, ..)| name.to_string()));
    names.sort();
    names.dedup();
    names.join(",")
}
