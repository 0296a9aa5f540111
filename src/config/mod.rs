//! What a person configures and what authctl knows by itself: providers, agents, the choice of the
//! store. One TOML schema (`authctl-config(5)`) and one code path for the built-in catalog and for the
//! user's `config.toml`; nothing in a working directory is read here.

mod agents;
mod catalog;
mod file;
mod key_flow;
mod provider;
mod trusted;
mod value;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use agents::Agent;
pub use key_flow::{BrowserPoll, KeyFlow, PkceKey};
pub use provider::{ClientRule, Dpop, OAuth, Pkce, Provider, Scheme, Source};
pub use value::{BadVariable, check_variable};

use crate::private_file;
use crate::text;
use file::Document;

/// The configuration: the user's file over the built-in providers and agents.
#[derive(Debug, Default)]
pub struct Config {
    /// The store that the file names.
    pub store: Option<StoreChoice>,
    /// Whether the encrypted file's key is kept under a passphrase.
    pub passphrase: bool,
    providers: BTreeMap<String, Provider>,
    agents: BTreeMap<String, Agent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreChoice {
    Keychain,
    File,
}

impl StoreChoice {
    pub fn as_str(self) -> &'static str {
        match self {
            StoreChoice::Keychain => "keychain",
            StoreChoice::File => "file",
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} {what}; authctl does not read such a configuration")]
    Trap { path: PathBuf, what: &'static str },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
    /// The file says something that cannot be. `key` is dotted, as in `provider.github.base_url`;
    /// there is none where the text is not TOML.
    #[error("{file}:{line}: {}{what}", key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default())]
    Wrong { file: PathBuf, line: usize, key: Option<String>, what: String },
    /// No provider has this name; `nearest` has up to three that look like it.
    #[error("there is no provider {name}")]
    UnknownProvider { name: String, nearest: Vec<String> },
    #[error(transparent)]
    File(#[from] private_file::Error),
}

impl Config {
    /// Reads the user's file; without one, everything is as built in.
    pub fn load(file: &Path) -> Result<Self, Error> {
        match read_text(file)? {
            Some(text) => Self::parse(file, &text),
            None => Ok(Self::default()),
        }
    }

    /// Reads the text of the user's file.
    fn parse(file: &Path, text: &str) -> Result<Self, Error> {
        let document = Document { file, text };
        let written = document.parse()?;
        Ok(Self {
            store: written.store,
            passphrase: written.passphrase.unwrap_or_default(),
            providers: check_providers(&document, written.provider, |line| Source::File {
                path: file.to_owned(),
                line,
            })?,
            agents: check_agents(&document, written.agent)?,
        })
    }

    /// The provider of this name: the file's, else the built-in one. A provider in the file replaces a
    /// built-in one of the same name as a whole.
    pub fn provider(&self, id: &str) -> Result<&Provider, Error> {
        self.providers.get(id).or_else(|| catalog::provider(id)).ok_or_else(|| {
            Error::UnknownProvider { name: text::clean(id), nearest: self.nearest(id) }
        })
    }

    /// All providers, by name.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        let built_in = catalog::providers().map(|provider| (provider.id.as_str(), provider));
        overlay(built_in, &self.providers)
    }

    /// All agents, by name.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        let built_in = agents::built_in().iter().map(|(id, agent)| (id.as_str(), agent));
        overlay(built_in, &self.agents)
    }

    /// Up to three names that look like `id`: a part of the name or the title, or a few letters off.
    fn nearest(&self, id: &str) -> Vec<String> {
        let id = id.to_lowercase();
        let mut found: Vec<(usize, &str)> = self
            .providers()
            .filter_map(|provider| Some((distance(&id, provider)?, provider.id.as_str())))
            .collect();
        found.sort_unstable();
        found.into_iter().take(3).map(|(_, id)| id.to_owned()).collect()
    }
}

/// How far `name` is from a provider, if near enough to be offered.
fn distance(name: &str, provider: &Provider) -> Option<usize> {
    if name.chars().count() >= 3
        && (provider.id.contains(name) || provider.title.to_lowercase().contains(name))
    {
        return Some(0);
    }
    let distance = strsim::damerau_levenshtein(name, &provider.id);
    (distance <= 1.max(name.chars().count().min(64) / 3)).then_some(distance)
}

/// Both together in order, those of `above` in place of those below.
fn overlay<'a, T>(
    below: impl Iterator<Item = (&'a str, &'a T)>,
    above: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = &'a T> {
    let mut all: BTreeMap<&str, &T> = below.collect();
    all.extend(above.iter().map(|(id, entry)| (id.as_str(), entry)));
    all.into_values()
}

fn read_text(file: &Path) -> Result<Option<String>, Error> {
    let Some(bytes) = trusted::read(file)? else {
        return Ok(None);
    };
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].split(|byte| *byte == b'\n').count();
        Error::Wrong { file: file.to_owned(), line, key: None, what: "is not UTF-8 text".into() }
    })
}

fn checked_providers(
    document: &Document<'_>,
    source: impl Fn(usize) -> Source,
) -> Result<BTreeMap<String, Provider>, Error> {
    check_providers(document, document.parse()?.provider, source)
}

fn checked_agents(document: &Document<'_>) -> Result<BTreeMap<String, Agent>, Error> {
    check_agents(document, document.parse()?.agent)
}

fn check_providers(
    document: &Document<'_>,
    written: BTreeMap<toml::Spanned<String>, file::ProviderTable>,
    source: impl Fn(usize) -> Source,
) -> Result<BTreeMap<String, Provider>, Error> {
    let mut providers = BTreeMap::new();
    for (id, table) in written {
        let source = source(document.line(id.span().start));
        let provider =
            Provider::check(&id, table, source).map_err(|problem| document.wrong(&problem))?;
        providers.insert(id.into_inner(), provider);
    }
    Ok(providers)
}

fn check_agents(
    document: &Document<'_>,
    written: BTreeMap<toml::Spanned<String>, file::AgentTable>,
) -> Result<BTreeMap<String, Agent>, Error> {
    let mut agents = BTreeMap::new();
    for (id, table) in written {
        let agent = Agent::check(&id, &table).map_err(|problem| document.wrong(&problem))?;
        agents.insert(id.into_inner(), agent);
    }
    Ok(agents)
}

/// Writes the choice of the store into the user's file and leaves everything else, comments included,
/// as it is.
pub fn remember_store(file: &Path, choice: StoreChoice) -> Result<(), Error> {
    let text = read_text(file)?.unwrap_or_default();
    Config::parse(file, &text)?;
    let mut written: toml_edit::DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| {
            let place = error.span().unwrap_or_default();
            Document { file, text: &text }.wrong(&file::Problem::new(place, error.message()))
        })?;
    set(&mut written, "store", choice.as_str().into());
    // A link keeps leading where it leads.
    let target = trusted::follow(file)?.unwrap_or_else(|| file.to_owned());
    if let Some(directory) = target.parent().filter(|directory| !directory.exists()) {
        private_file::make_directory(directory)?;
    }
    Ok(private_file::replace(&target, written.to_string().as_bytes())?)
}

/// Sets a key of the top level; a comment after an old value stays.
fn set(written: &mut toml_edit::DocumentMut, key: &str, mut value: toml_edit::Value) {
    if let Some(old) = written.get(key).and_then(toml_edit::Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    written[key] = toml_edit::Item::Value(value);
}

#[cfg(test)]
mod tests;
