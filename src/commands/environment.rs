//! The environment of a command that gets credentials: which variables are set, which are removed, and how
//! that is said and written down. `exec` and `mcp` hand over alike.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::given;
use super::handing::{Form, Handing, Handings};
use super::purpose::Purpose;
use crate::audit::{self, Outcome};
use crate::context::{Context, Named, environment};
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::inject;
use crate::interact::Interact;
use crate::launch;
use crate::paths;
use crate::resolve::{Resolved, Source};
use crate::secret::Secret;
use crate::text;

/// How the credentials must be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Least time that tokens must still live.
    pub min_ttl: Duration,
    /// New tokens even where the old ones live.
    pub force_refresh: bool,
    /// Removes the variables of every known provider.
    pub clean: bool,
    /// Goes on where nobody is signed in.
    pub without_missing: bool,
}

/// The child's environment as it grows.
#[derive(Clone, Default)]
pub struct Environment {
    /// By variable: what goes into it, and whose it is.
    set: BTreeMap<String, (Secret, Name)>,
    /// By variable: the one of this process that its secret came from, if not from the store.
    given_by: BTreeMap<String, String>,
    clear: Vec<String>,
    /// Variables that stay as the exec around this one set them, and whose they are.
    kept: Vec<(String, Name)>,
    /// Asked for, and nobody is signed in.
    pub missing: Vec<Named>,
    /// What `--mask` hides beside the values of the variables.
    masked: Vec<Secret>,
    /// Name, id and end of each credential, for the variables beside it.
    handed: Vec<(Name, String, Option<Timestamp>)>,
    /// Further variables.
    further: Vec<(String, Secret)>,
}

/// A second exec inside an exec works and is rarely meant.
pub fn note_nesting(context: &Context) {
    if let Some(outer) = environment(paths::INJECTED) {
        context.ui.notice(&format!(
            "authctl: inside another exec, which injected {}; its credentials stay where this one \
             sets none",
            text::clean(&outer)
        ));
    }
}

/// The credentials of `handings`, each made fresh, in their variables.
pub fn gather(
    context: &Context,
    handings: &Handings,
    purpose: &Purpose,
    wanted: Wanted,
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
            Entry::Vacant(new) => match resolve(context, wanted, &handing.named, purpose) {
                Ok(resolved) => {
                    environment.note(name, &resolved);
                    new.insert(resolved)
                }
                Err(error) if wanted.without_missing && error.kind() == Kind::LoginRequired => {
                    environment.missing.push(handing.named.clone());
                    environment.clear.extend(provider_variables(context, name)?);
                    continue;
                }
                Err(error) => return Err(asked_by(handings, name, error)),
            },
        };
        hand_over(context, handing, resolved, &mut environment)
            .inspect_err(|error| purpose.record_failure(context, Outcome::Failed, about, error))
            .map_err(|error| asked_by(handings, name, error))?;
    }
    if wanted.clean {
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
    wanted: Wanted,
    named: &Named,
    purpose: &Purpose,
) -> Result<Resolved, CommandError> {
    let provider = context.provider(&named.name)?;
    let Wanted { min_ttl, force_refresh, .. } = wanted;
    given::resolve(context, named, provider, min_ttl, force_refresh, Some(purpose))
}

/// What the provider's own tools would read: a stale key must not stand in for one that is missing.
fn provider_variables(context: &Context, name: &Name) -> Result<Vec<String>, CommandError> {
    Ok(context.provider(name)?.variables().map(str::to_owned).collect())
}

impl Environment {
    /// What stands in `variable` for a credential that stays here.
    pub fn put(
        &mut self,
        handing: &Handing,
        variable: &str,
        stand_in: Secret,
    ) -> Result<(), CommandError> {
        if let Some((_, other)) = self.set.get(variable) {
            return Err(conflict(variable, other, handing));
        }
        self.set.insert(variable.to_owned(), (stand_in, handing.named.name.clone()));
        Ok(())
    }

    /// Variables that the child does not get, unless they are set.
    pub fn withhold<'a>(&mut self, variables: impl Iterator<Item = &'a str>) {
        self.clear.extend(variables.map(str::to_owned));
    }

    /// A credential that stays here, for what stands beside its variable.
    pub fn note_lent(&mut self, name: &Name, id: &str) {
        self.handed.push((name.clone(), id.to_owned(), None));
    }

    /// A variable that holds no credential.
    pub fn add(&mut self, variable: &str, text: &str) {
        self.further.push((variable.to_owned(), Secret::new(text)));
    }

    fn note(&mut self, name: &Name, resolved: &Resolved) {
        let expires_at = resolved.credential.expires_at();
        self.masked.extend(inject::secrets(&resolved.credential));
        self.handed.push((name.clone(), resolved.id.clone(), expires_at));
    }

    /// A line of the audit log for each variable, before the command can read it.
    pub fn record(
        &self,
        context: &Context,
        handings: &Handings,
        purpose: &Purpose,
    ) -> Result<(), CommandError> {
        let manifest = handings.manifest.as_ref().map(|path| path.to_string_lossy().into_owned());
        for (variable, (_, name)) in &self.set {
            let provider = context.provider(name)?;
            let id = self.handed.iter().find(|(handed, ..)| handed == name);
            context.record(audit::Entry {
                id: id.map(|(_, id, _)| id.clone()),
                variable: Some(variable.clone()),
                source: self.given_by.get(variable).cloned().or_else(|| manifest.clone()),
                ..purpose.entry(Outcome::Done, Some((name, provider)))
            });
        }
        Ok(())
    }

    /// What was set, kept and removed, in one line.
    pub fn announcement(&self, manifest: Option<&Path>) -> String {
        let set: Vec<String> = self
            .set
            .iter()
            .map(|(variable, (_, name))| match self.given_by.get(variable) {
                Some(from) => format!("{variable} ({name}, given in {from})"),
                None => format!("{variable} ({name})"),
            })
            .collect();
        let set = if set.is_empty() { "nothing".into() } else { set.join(", ") };
        let mut line = format!("authctl: set {set}");
        for (variable, name) in &self.kept {
            line = format!("{line}; kept {variable} ({name}) of the exec around this one");
        }
        for named in &self.missing {
            line = format!("{line}; nobody is signed in to {0} (authctl login {0})", named.name);
        }
        if let Some(path) = manifest {
            line =
                format!("{line}; asked for by {}", text::clean_to(&path.to_string_lossy(), 1_000));
        }
        let mut cleared: Vec<&str> = self
            .clear
            .iter()
            .map(String::as_str)
            .filter(|variable| !self.set.contains_key(*variable))
            .filter(|variable| std::env::var_os(variable).is_some())
            .collect();
        cleared.sort_unstable();
        cleared.dedup();
        if !cleared.is_empty() {
            line = format!("{line}; removed {}", cleared.join(", "));
        }
        line
    }

    /// When the first of the credentials ends.
    pub fn ends(&self) -> Option<Timestamp> {
        self.handed.iter().filter_map(|(.., end)| *end).min()
    }

    /// Everything that is secret in it.
    pub fn secrets(&self) -> Vec<Secret> {
        let values = self.set.values().map(|(secret, _)| secret);
        self.masked.iter().chain(values).cloned().collect()
    }

    /// The command that gets it, with the variables that stand beside credentials.
    pub fn into_command(self, program: OsString, arguments: Vec<OsString>) -> launch::Command {
        let handed: Vec<(&Name, &str, Option<Timestamp>)> =
            self.handed.iter().map(|(name, id, end)| (name, id.as_str(), *end)).collect();
        let beside = inject::companions(&handed);
        let mut clear = self.clear;
        clear.extend(stale(&self.handed));
        let injected = (paths::INJECTED.to_owned(), Secret::new(injected(&self.handed)));
        let mut set: Vec<(String, Secret)> =
            self.set.into_iter().map(|(variable, (secret, _))| (variable, secret)).collect();
        set.extend(beside.into_iter().map(|(variable, text)| (variable, Secret::new(text))));
        set.push(injected);
        set.extend(self.further);
        launch::Command { program, arguments, set, clear, clear_tokens: true }
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
