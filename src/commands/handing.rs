//! Which credentials `exec` hands over, and in which variables: what was typed, else what the directory's
//! approved manifest lists, else what was remembered for this program here or a person chooses.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::config::{self, Asked, Manifest};
use crate::context::{Context, Named, working_directory};
use crate::credential::Name;
use crate::error::{CommandError, Kind, chain};
use crate::inject;
use crate::interact::Interact;
use crate::launch;
use crate::policy::{self, Standing};
use crate::text;

/// One credential to hand over, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handing {
    pub named: Named,
    pub form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// In the provider's own variable.
    Own,
    /// In this variable.
    Variable(String),
    /// The header's value, in this variable.
    Header(String),
}

/// All of them, and who said so.
#[derive(Debug)]
pub struct Handings {
    pub list: Vec<Handing>,
    /// The manifest that lists them.
    pub manifest: Option<PathBuf>,
}

impl Form {
    /// The variable, where it is not the provider's own.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Form::Own => None,
            Form::Variable(variable) | Form::Header(variable) => Some(variable),
        }
    }
}

impl Handings {
    fn of(list: Vec<Handing>) -> Self {
        Self { list, manifest: None }
    }
}

/// What `--with` and `--env-header` say, or a manifest in the same words.
pub fn parse(
    context: &Context,
    with: &[String],
    env_header: &[String],
) -> Result<Vec<Handing>, CommandError> {
    let mut forms = Vec::new();
    for typed in with {
        let (name, form) = match typed.split_once('=') {
            Some((name, variable)) => (name, Form::Variable(variable.to_owned())),
            None => (typed.as_str(), Form::Own),
        };
        forms.push((name, form));
    }
    for typed in env_header {
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
    if let Some(variable) = form.variable() {
        config::check_variable(variable).map_err(inject::Error::from)?;
    }
    let handing = Handing { named, form };
    context.provider(&handing.named.name)?;
    if !handings.contains(&handing) {
        handings.push(handing);
    }
    Ok(())
}

/// What `program` gets where the command line names nothing; with `ask`, what a person answers now.
pub fn unnamed(context: &Context, program: &OsStr, ask: bool) -> Result<Handings, CommandError> {
    if ask {
        return choose(context, program, true);
    }
    let Some((manifest, standing)) = readable_manifest(context)? else {
        return choose(context, program, false);
    };
    if !manifest.asked.hands_over() {
        return choose(context, program, false);
    }
    match policy::Error::of(manifest, standing) {
        None => listed(context, &manifest.path, &manifest.asked),
        Some(error) if *standing == Standing::New => unapproved(context, program, error),
        Some(error) => Err(with_names(error.into(), program, &manifest.asked)),
    }
}

/// The manifest. One that cannot be read is an error only if something was approved at its place: else it
/// changes nothing.
fn readable_manifest(context: &Context) -> Result<Option<&(Manifest, Standing)>, CommandError> {
    match context.manifest() {
        Err(error) if context.has_new_manifest()? => {
            context
                .ui
                .warn(&format!("{}; nobody has approved it, and it is left out", error.message()));
            Ok(None)
        }
        found => found,
    }
}

fn listed(context: &Context, path: &Path, asked: &Asked) -> Result<Handings, CommandError> {
    let place = path.display().to_string();
    let list = parse(context, &asked.with, &asked.env_header);
    let list = list.map_err(|error| error.within(&place))?;
    Ok(Handings { list, manifest: Some(path.to_owned()) })
}

/// A manifest that nobody approved takes nothing away: what was remembered, and the question, stay.
fn unapproved(
    context: &Context,
    program: &OsStr,
    error: policy::Error,
) -> Result<Handings, CommandError> {
    let said = format!("{error}; authctl trust shows it and asks");
    if let Some(remembered) = remembered(context, program)? {
        context.ui.warn(&said);
        return Ok(remembered);
    }
    if context.ui.can_ask() {
        context.ui.warn(&said);
        return choose(context, program, true);
    }
    let asked = context.manifest()?.map(|(manifest, _)| manifest.asked.clone());
    Err(with_names(error.into(), program, &asked.unwrap_or_default()))
}

/// The way without the manifest.
fn with_names(error: CommandError, program: &OsStr, asked: &Asked) -> CommandError {
    let program = text::clean(&program.to_string_lossy());
    let names = if asked.with.is_empty() { "NAME".into() } else { asked.with.join(",") };
    error.hint(format!("authctl exec --with {} -- {program} …", text::clean(&names)))
}

/// Where an answer is remembered: the program as a file, and the project.
fn place(program: &OsStr) -> Result<Option<(PathBuf, PathBuf)>, CommandError> {
    Ok(launch::locate(program).zip(Some(policy::project_root(&working_directory()?))))
}

/// What was remembered for this program here, else what a person answers, else the choices.
fn choose(context: &Context, program: &OsStr, anew: bool) -> Result<Handings, CommandError> {
    let place = place(program)?;
    if !anew && let Some(remembered) = remembered(context, program)? {
        return Ok(remembered);
    }
    let picked = ask(context, program)?;
    if let Some((program, project)) = &place {
        offer_to_remember(context, program, project, &picked)?;
    }
    picked.iter().map(|name| own(name)).collect::<Result<_, _>>().map(Handings::of)
}

fn remembered(context: &Context, program: &OsStr) -> Result<Option<Handings>, CommandError> {
    let Some((program, project)) = place(program)? else { return Ok(None) };
    let Some(names) = recall(context, &program, &project)? else { return Ok(None) };
    context.ui.notice(&format!(
        "authctl: remembered for {} in {}; exec --ask asks again",
        program.display(),
        project.display()
    ));
    let list = names.iter().map(|name| own(name)).collect::<Result<_, _>>()?;
    Ok(Some(Handings::of(list)))
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

/// Not for a shell or a launcher, which is every program at once; nor under an agent, which could answer
/// for good.
fn offer_to_remember(
    context: &Context,
    program: &Path,
    project: &Path,
    picked: &[String],
) -> Result<(), CommandError> {
    if !policy::can_remember(program) || context.agent_at_the_keyboard()?.is_some() {
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
