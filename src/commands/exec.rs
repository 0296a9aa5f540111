//! `authctl exec`: run a command with credentials in its environment. What fails, fails before the
//! command starts; once it runs, it is the process that the caller started.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::{complete, given};
use crate::config;
use crate::context::{Context, Named, environment, working_directory};
use crate::credential::Name;
use crate::error::{CommandError, Kind, chain};
use crate::inject;
use crate::interact::Interact;
use crate::launch;
use crate::paths;
use crate::policy;
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

/// One credential to hand over, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Handing {
    named: Named,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// In the provider's own variable.
    Own,
    /// In this variable.
    Variable(String),
    /// The header's value, in this variable.
    Header(String),
}

/// The child's environment as it grows.
#[derive(Default)]
struct Environment {
    /// By variable: what goes into it, and whose it is.
    set: BTreeMap<String, (Secret, Name)>,
    /// By variable: the one of this process that its secret came from, if not from the store.
    given_by: BTreeMap<String, String>,
    clear: Vec<String>,
    /// What `--mask` hides beside the values of the variables.
    masked: Vec<Secret>,
    /// Name, id and end of each credential, for the variables beside it.
    handed: Vec<(Name, String, Option<Timestamp>)>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let program = arguments.command.first().cloned().unwrap_or_default();
    let mut handings = handings(context, arguments)?;
    launch::check(&program)?;
    if handings.is_empty() {
        handings = choose(context, &program, arguments.ask)?;
    }
    note_nesting(context);
    let environment = gather(context, arguments, &handings)?;
    context.ui.notice(&announcement(&environment));
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

// ---------------------------------------------------------------------------------- what to hand over

fn handings(context: &Context, arguments: &Arguments) -> Result<Vec<Handing>, CommandError> {
    let mut forms = Vec::new();
    for typed in &arguments.with {
        let (name, form) = match typed.split_once('=') {
            Some((name, variable)) => (name, Form::Variable(variable.to_owned())),
            None => (typed.as_str(), Form::Own),
        };
        forms.push((name, form));
    }
    for typed in &arguments.env_header {
        let (variable, name) = typed.split_once('=').ok_or_else(|| {
            CommandError::usage(format!(
                "--env-header wants VARIABLE=NAME, not {:?}",
                text::clean(typed)
            ))
        })?;
        forms.push((name, Form::Header(variable.to_owned())));
    }
    let mut handings = Vec::new();
    for (name, form) in forms {
        let named = context.name(name)?;
        add(context, &mut handings, named, form)?;
    }
    Ok(handings)
}

/// Whatever is wrong with what was typed is said before any credential is opened.
fn add(
    context: &Context,
    handings: &mut Vec<Handing>,
    named: Named,
    form: Form,
) -> Result<(), CommandError> {
    if let Form::Variable(variable) | Form::Header(variable) = &form {
        config::check_variable(variable).map_err(inject::Error::from)?;
    }
    let handing = Handing { named, form };
    context.provider(&handing.named.name)?;
    if !handings.contains(&handing) {
        handings.push(handing);
    }
    Ok(())
}

/// What was remembered for this program here, else what a person answers, else the choices.
fn choose(context: &Context, program: &OsStr, again: bool) -> Result<Vec<Handing>, CommandError> {
    let place = launch::locate(program).zip(Some(policy::project_root(&working_directory()?)));
    if let Some((program, project)) = &place
        && !again
        && let Some(remembered) = recall(context, program, project)?
    {
        context.ui.notice(&format!(
            "authctl: remembered for {} in {}; exec --ask asks again",
            program.display(),
            project.display()
        ));
        return remembered.iter().map(|name| own(name)).collect();
    }
    let picked = ask(context, program)?;
    if let Some((program, project)) = &place {
        offer_to_remember(context, program, project, &picked)?;
    }
    picked.iter().map(|name| own(name)).collect()
}

/// A choice that cannot be read is no reason to stop: the question comes again.
fn recall(
    context: &Context,
    program: &Path,
    project: &Path,
) -> Result<Option<Vec<String>>, CommandError> {
    let state = &context.paths()?.state;
    Ok(policy::recall(state, program, project).unwrap_or_else(|error| {
        context.ui.warn(&format!("what was remembered is not used: {}", chain(&error)));
        None
    }))
}

fn ask(context: &Context, program: &OsStr) -> Result<Vec<String>, CommandError> {
    let mut names = Vec::new();
    for entry in context.store()?.entries()?.entries {
        names.push(entry.name()?.to_string());
    }
    let Some(first) = names.first() else {
        return Err(CommandError::usage("nothing to hand over: no credential is stored")
            .hint("authctl login PROVIDER")
            .hint("authctl provider list"));
    };
    let shown = text::clean(&program.to_string_lossy());
    if !context.ui.can_ask() {
        return Err(CommandError::usage(format!(
            "which credentials should {shown} get? Stored are: {}",
            names.join(", ")
        ))
        .hint(format!("authctl exec --with {first} -- {shown} …")));
    }
    let question = format!("Which credentials should {shown} get? (space chooses, Enter goes on)");
    let picked = context.ui.choose(&question, &names)?;
    if picked.is_empty() {
        return Err(CommandError::new(Kind::Failed, "no credential was chosen"));
    }
    Ok(picked.into_iter().filter_map(|index| names.get(index).cloned()).collect())
}

/// A name as it was shown: what `--account` says is for names that are typed.
fn own(name: &str) -> Result<Handing, CommandError> {
    let name: Name = name.parse()?;
    let account_named = !name.is_default_account();
    Ok(Handing { named: Named { name, account_named }, form: Form::Own })
}

/// Not for a shell or a launcher: that is every program at once.
fn offer_to_remember(
    context: &Context,
    program: &Path,
    project: &Path,
    picked: &[String],
) -> Result<(), CommandError> {
    if !policy::can_remember(program) {
        return Ok(());
    }
    let question = format!(
        "Always hand {} to {} in {}?",
        picked.join(", "),
        program.display(),
        project.display()
    );
    let state = &context.paths()?.state;
    if context.ui.confirm(&question, false)? {
        policy::remember(state, program, project, picked)?;
    } else {
        policy::forget(state, program, project)?;
    }
    Ok(())
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
    handings: &[Handing],
) -> Result<Environment, CommandError> {
    let mut environment = Environment::default();
    let mut known: BTreeMap<&Name, Resolved> = BTreeMap::new();
    for handing in handings {
        let name = &handing.named.name;
        let resolved = match known.entry(name) {
            Entry::Occupied(resolved) => resolved.into_mut(),
            Entry::Vacant(new) => {
                let resolved = resolve(context, arguments, &handing.named)?;
                environment.note(name, &resolved);
                new.insert(resolved)
            }
        };
        hand_over(context, handing, resolved, &mut environment)?;
    }
    if arguments.clean {
        for provider in context.config()?.providers() {
            environment.clear.extend(provider.variables().map(str::to_owned));
        }
    }
    Ok(environment)
}

/// Once a name, however many variables it goes into.
fn resolve(
    context: &Context,
    arguments: &Arguments,
    named: &Named,
) -> Result<Resolved, CommandError> {
    let provider = context.provider(&named.name)?;
    given::resolve(context, named, provider, arguments.min_ttl, false)
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
    let rename = match &handing.form {
        Form::Own => None,
        Form::Variable(variable) | Form::Header(variable) => Some(variable.as_str()),
    };
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

fn announcement(environment: &Environment) -> String {
    let set: Vec<String> = environment
        .set
        .iter()
        .map(|(variable, (_, name))| match environment.given_by.get(variable) {
            Some(from) => format!("{variable} ({name}, given in {from})"),
            None => format!("{variable} ({name})"),
        })
        .collect();
    let mut line = format!("authctl: set {}", set.join(", "));
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
