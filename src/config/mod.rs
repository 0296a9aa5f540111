//! What a person configures and what authctl knows by itself: providers, agents, the choice of the
//! store. One TOML schema (`authctl-config(5)`) and one code path for the built-in catalog and for the
//! user's `config.toml`. Of a working directory only its manifest is read, which can add nothing.

mod acp;
mod acp_command;
mod agents;
mod catalog;
mod edit;
mod file;
mod identity;
mod key_flow;
mod key_shape;
mod manifest;
mod mcp;
mod oauth;
mod provider;
mod proxy;
mod rules;
mod servers;
mod trusted;
mod value;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

pub use acp::{AcpAgent, AcpProvider, Ephemeral, Helper, InBand, InBandShape};
pub use agents::Agent;
pub use edit::{Edit, add_provider, remember_store, remove_provider, snippet};
pub use identity::{ACTIONS_VARIABLES, Identity, IdentitySource, IssuedToken, OwnAssertion};
pub use key_flow::{BrowserPoll, KeyFlow, PkceKey};
pub use key_shape::{Alphabet, KeyPart, KeyShape, MAX_LENGTH as MAX_PLACEHOLDER};
pub use manifest::{Asked, FILE as MANIFEST, Manifest, nearest_manifest};
pub use oauth::{ClientRule, Dpop, OAuth, Pkce};
pub use provider::{BaseUrlVariable, Provider, Scheme, Source, Verify, VerifyMethod};
pub use rules::{Confirmation, LogRule};
pub use servers::{Servers, read_servers};
pub use value::{BadVariable, check_variable, is_mcp_extra, is_secret_header};

use crate::credential::Name;
use crate::private_file;
use crate::text;
use file::{Document, Problem};
pub use mcp::McpRule;
pub use proxy::{ProxyRule, RequestPattern};
use rules::CredentialRule;

/// Longest configuration read, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// The configuration: the user's file over the built-in providers and agents.
#[derive(Debug, Default)]
pub struct Config {
    /// The store that the file names.
    pub store: Option<StoreChoice>,
    /// Whether the encrypted file's key is kept under a passphrase.
    pub passphrase: bool,
    /// The program that asks whether a credential may be used, in place of the terminal.
    pub confirm_program: Option<PathBuf>,
    pub log: LogRule,
    /// The document about our client that is hosted somewhere (`client_id` of servers that take such).
    pub client_metadata_url: Option<String>,
    credentials: Vec<CredentialRule>,
    mcp: BTreeMap<String, McpRule>,
    proxy: BTreeMap<String, ProxyRule>,
    providers: BTreeMap<String, Provider>,
    /// Those that authctl found at addresses.
    servers: BTreeMap<String, Provider>,
    /// Why they are not known, if so.
    unread: Option<String>,
    agents: BTreeMap<String, Agent>,
    acp_agents: BTreeMap<String, AcpAgent>,
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
    /// Another program wrote the file between our reading and our writing.
    #[error("{path} was changed meanwhile; nothing was written")]
    Changed { path: PathBuf },
    /// No provider has this name; `nearest` has up to three that look like it.
    #[error("there is no provider {name}")]
    UnknownProvider { name: String, nearest: Vec<String> },
    /// It may be one of the servers that were found, and their file cannot be read.
    #[error("there is no provider {name} that can be read: {reason}")]
    Unread { name: String, reason: String },
    /// The same in a directory's manifest, which cannot add one.
    #[error("{file}:{line}: there is no provider {name}, and a manifest cannot add one")]
    UnknownInManifest { file: PathBuf, line: usize, name: String, nearest: Vec<String> },
    #[error(transparent)]
    File(#[from] private_file::Error),
}

impl Config {
    /// Reads the user's file and the servers that were found; without them, everything is as built in.
    pub fn load(file: &Path, servers: &Path) -> Result<Self, Error> {
        let config = match read_text(file)? {
            Some(text) => Self::parse(file, &text)?,
            None => Self::default(),
        };
        // A provider of another file does not need this one.
        let (servers, unread) = match read_servers(servers) {
            Ok(servers) => (servers, None),
            Err(error) => (BTreeMap::new(), Some(error.to_string())),
        };
        Ok(Self { servers, unread, ..config })
    }

    /// Reads the text of the user's file.
    fn parse(file: &Path, text: &str) -> Result<Self, Error> {
        let document = Document { file, text };
        let written = document.parse()?;
        let wrong = |problem: Problem| document.wrong(&problem);
        let confirm_program = written.confirm_program.as_ref().map(rules::absolute).transpose();
        let log = written.log.map(LogRule::check).transpose();
        let mut config = Self {
            store: written.store,
            passphrase: written.passphrase.unwrap_or_default(),
            confirm_program: confirm_program.map_err(wrong)?,
            log: log.map_err(wrong)?.unwrap_or_default(),
            client_metadata_url: written
                .client_metadata_url
                .as_ref()
                .map(value::client_metadata_url)
                .transpose()
                .map_err(wrong)?,
            credentials: Vec::new(),
            mcp: BTreeMap::new(),
            proxy: BTreeMap::new(),
            servers: BTreeMap::new(),
            unread: None,
            providers: check_providers(&document, written.provider, |line| Source::File {
                path: file.to_owned(),
                line,
            })?,
            agents: check_agents(&document, written.agent)?,
            acp_agents: check_acp_agents(&document, written.acp_agent)?,
        };
        for (name, table) in &written.credential {
            let rule = CredentialRule::check(name, table).map_err(wrong)?;
            // A rule that a slip of the pen keeps from its credential would protect nothing.
            if config.provider(&rule.provider).is_err() {
                let what = format!("there is no provider {}", rule.provider);
                return Err(wrong(Problem::new(name.span(), what)));
            }
            config.credentials.push(rule);
        }
        for (provider, span) in config.acp_agents.values().flat_map(AcpAgent::written_providers) {
            if config.provider(provider).is_err() {
                return Err(wrong(Problem::new(span, format!("there is no provider {provider}"))));
            }
        }
        for (url, table) in written.mcp {
            let key = value::url(&url).map_err(wrong)?;
            config.mcp.insert(key, McpRule::check(&table).map_err(wrong)?);
        }
        for (name, table) in &written.proxy {
            let rule = ProxyRule::check(table).map_err(wrong)?;
            let about = value::name(name).map_err(wrong)?;
            // A rule that a slip of the pen keeps from its credential would forbid nothing.
            if config.provider(about.provider()).is_err() {
                let what = format!("there is no provider {}", about.provider());
                return Err(wrong(Problem::new(name.span(), what)));
            }
            config.proxy.insert(name.get_ref().clone(), rule);
        }
        Ok(config)
    }

    /// What is said of the MCP server at `url`.
    pub fn mcp(&self, url: &str) -> McpRule {
        self.mcp.get(url).cloned().unwrap_or_default()
    }

    /// What is said of requests with a credential: of the account, else of its provider.
    pub fn proxy(&self, name: &Name) -> ProxyRule {
        self.written_proxy(name).map(|(_, rule)| rule.clone()).unwrap_or_default()
    }

    /// The same as it stands in the file, with the name under which it does.
    pub fn written_proxy(&self, name: &Name) -> Option<(&str, &ProxyRule)> {
        let own = format!("{}:{}", name.provider(), name.account());
        let found = self.proxy.get_key_value(&own);
        let found = found.or_else(|| self.proxy.get_key_value(name.provider()));
        found.map(|(name, rule)| (name.as_str(), rule))
    }

    /// Whether the use of a credential is confirmed: what is said of the account, else of its provider.
    pub fn confirmation(&self, name: &Name) -> Option<Confirmation> {
        let of = |account: Option<&str>| {
            self.credentials
                .iter()
                .find(|rule| rule.provider == name.provider() && rule.account.as_deref() == account)
        };
        of(Some(name.account())).or_else(|| of(None))?.confirmation
    }

    /// The provider of this name: the file's, else one that was found, else the built-in one. A provider
    /// in the file replaces others of the same name as a whole.
    pub fn provider(&self, id: &str) -> Result<&Provider, Error> {
        let found = self.providers.get(id).or_else(|| self.servers.get(id));
        found.or_else(|| catalog::provider(id)).ok_or_else(|| {
            let name = text::clean(id);
            match self.unread.clone() {
                Some(reason) => Error::Unread { name, reason },
                None => Error::UnknownProvider { name, nearest: self.nearest(id) },
            }
        })
    }

    /// All providers, by name.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        let built_in = catalog::providers().map(|provider| (provider.id.as_str(), provider));
        let found = overlay(built_in, &self.servers);
        overlay(found.map(|provider| (provider.id.as_str(), provider)), &self.providers)
    }

    /// The one for the MCP server at `url`: written down, else found.
    pub fn at(&self, url: &Url) -> Option<&Provider> {
        self.providers.values().chain(self.servers.values()).find(|provider| provider.is_at(url))
    }

    /// Those that a person wrote down.
    pub fn written(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }

    /// All agents, by name.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        let built_in = agents::built_in().iter().map(|(id, agent)| (id.as_str(), agent));
        overlay(built_in, &self.agents)
    }

    /// All agents of ACP, by name.
    pub fn acp_agents(&self) -> impl Iterator<Item = &AcpAgent> {
        let built_in = acp::built_in().iter().map(|(id, agent)| (id.as_str(), agent));
        overlay(built_in, &self.acp_agents)
    }

    /// The agent that a command line starts; the user's own come first.
    pub fn acp_agent(&self, program: &OsStr, arguments: &[OsString]) -> Option<&AcpAgent> {
        let started = acp_command::started(program, arguments)?;
        self.own_first().find(|agent| agent.is_started_as(&started))
    }

    /// The agent that calls itself so in `agentInfo.name`.
    pub fn acp_agent_named(&self, name: &str) -> Option<&AcpAgent> {
        self.own_first().find(|agent| agent.names.iter().any(|known| known == name))
    }

    fn own_first(&self) -> impl Iterator<Item = &AcpAgent> {
        let built_in = acp::built_in().values();
        let rest = built_in.filter(|agent| !self.acp_agents.contains_key(&agent.id));
        self.acp_agents.values().chain(rest)
    }

    /// Whether the sign-in of some provider begins with an ID token of this one.
    pub fn is_identity_provider(&self, id: &str) -> bool {
        let begins_with = |provider: &Provider| {
            let name = provider.oauth().and_then(|oauth| oauth.identity_provider.as_ref());
            name.is_some_and(|name| name.provider() == id)
        };
        self.providers.values().any(begins_with)
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
    trusted::read(file, LIMIT)?.map(|bytes| text_of(file, bytes)).transpose()
}

fn text_of(file: &Path, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
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

fn checked_acp_agents(document: &Document<'_>) -> Result<BTreeMap<String, AcpAgent>, Error> {
    check_acp_agents(document, document.parse()?.acp_agent)
}

fn check_acp_agents(
    document: &Document<'_>,
    written: BTreeMap<toml::Spanned<String>, file::AcpAgentTable>,
) -> Result<BTreeMap<String, AcpAgent>, Error> {
    let mut agents = BTreeMap::new();
    for (id, table) in written {
        let agent = AcpAgent::check(&id, table).map_err(|problem| document.wrong(&problem))?;
        agents.insert(id.into_inner(), agent);
    }
    Ok(agents)
}

#[cfg(test)]
mod tests;
