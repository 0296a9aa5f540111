//! What authctl knows of agents that speak ACP: how each is recognised, and by which ways it takes a
//! credential of which provider. `acp.toml` and the user's `[acp_agent.ID]` are read alike.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use serde::Deserialize;
use toml::Spanned;

use super::acp_command::{Started, normalised};
use super::file::{
    AcpAgentTable, AcpBaseUrlTable, AcpProviderTable, Document, EphemeralTable, GatewayTable,
    HelperTable, Problem, ProfileTable, ProvidersSetTable,
};
use super::provider::Scheme;
use super::value;
use crate::credential::is_part;
use crate::text;

/// An agent that an editor starts.
#[derive(Debug, Clone)]
pub struct AcpAgent {
    pub id: String,
    /// For people.
    pub title: String,
    /// File names of its program.
    pub commands: Vec<String>,
    /// Packages by which launchers start it, as `npm:NAME` or `pypi:NAME`.
    pub packages: Vec<String>,
    /// What it calls itself in `agentInfo.name`.
    pub names: Vec<String>,
    /// Whose credentials it takes, the preferred one first.
    pub providers: Vec<AcpProvider>,
    pub profile: Option<Profile>,
    /// Files where it keeps keys itself, below its profile folder, or below home as `~/…`.
    pub copies: Vec<String>,
    pub ephemeral: Option<Ephemeral>,
    /// Variables that people set for it, and that it does not read when it speaks ACP.
    pub ignores: Vec<String>,
    /// The command of its own sign-in.
    pub login: Option<String>,
    /// Why it takes no credential but that of its own sign-in.
    pub login_only: Option<String>,
    /// Why nobody has seen it run.
    pub not_tried: Option<String>,
    pub note: Option<String>,
}

/// How an agent takes credentials of one provider.
#[derive(Debug, Clone)]
pub struct AcpProvider {
    /// As in names of credentials.
    pub provider: String,
    place: Range<usize>,
    /// Its variables, the one that is set first; none where they are the provider's own.
    pub variables: Vec<String>,
    /// Further words of its command line that it needs to take a variable.
    pub arguments: Vec<String>,
    /// Methods to call once a variable is set: the first that the agent offers.
    pub authenticate: Vec<String>,
    pub in_band: Option<InBand>,
    pub providers_set: Option<ProvidersSet>,
    pub gateway: Option<Gateway>,
    pub base_url: Option<AcpBaseUrl>,
    pub helper: Option<Helper>,
    /// Where it has the models listed, below the provider's base URL.
    pub models: Option<String>,
    /// Variables with fixed contents that it needs beside.
    pub extra: BTreeMap<String, String>,
    /// Variables that the user must have set; without one of them this entry does not count.
    pub needs: Vec<String>,
}

/// `authenticate` with a key in `_meta["api-key"]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InBand {
    pub method: String,
    pub shape: InBandShape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InBandShape {
    /// The key itself.
    Text,
    /// `{"apiKey": KEY}`
    ApiKey,
}

/// `providers/set` (unstable ACP, LLM providers).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvidersSet {
    pub id: String,
    pub api_type: String,
    /// What follows the provider's base URL.
    pub path: String,
}

/// `authenticate` with `_meta.gateway`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    pub method: String,
    pub protocol: String,
    /// What follows the provider's base URL.
    pub path: String,
}

/// The variable that leads it to another address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcpBaseUrl {
    pub variable: String,
    /// Its contents, with `{url}` for the address.
    value: String,
}

impl AcpBaseUrl {
    /// The contents of the variable for this address.
    pub fn value(&self, url: &str) -> String {
        self.value.replace("{url}", url)
    }
}

/// Where it takes the command that prints a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Helper {
    /// This variable.
    Variable(String),
    /// This member of `_meta` in requests that open a session, from the outermost one in.
    Meta(Vec<String>),
}

/// The folder where it keeps settings and sign-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Names another one.
    pub variable: Option<String>,
    /// Below home, where the variable is not set.
    pub folder: String,
}

/// The setting that keeps it from writing keys down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ephemeral {
    /// TOML below the profile folder.
    pub file: String,
    pub setting: String,
    pub value: String,
}

impl AcpAgent {
    pub(super) fn check(id: &Spanned<String>, table: AcpAgentTable) -> Result<Self, Problem> {
        part(id)?;
        let agent = Self {
            id: id.get_ref().clone(),
            title: table.title.as_deref().map_or_else(|| id.get_ref().clone(), text::clean),
            commands: texts(&table.commands)?,
            packages: table.packages.iter().map(package).collect::<Result<_, _>>()?,
            names: texts(&table.names)?,
            providers: table.providers.into_iter().map(provider).collect::<Result<_, _>>()?,
            profile: table.profile.as_ref().map(profile).transpose()?,
            copies: table.copies.iter().map(copy).collect::<Result<_, _>>()?,
            ephemeral: table.ephemeral.as_ref().map(ephemeral).transpose()?,
            ignores: table.ignores.iter().map(value::variable_name).collect::<Result<_, _>>()?,
            login: table.login.as_deref().map(text::clean),
            login_only: table.login_only.as_deref().map(sentence),
            not_tried: table.not_tried.as_deref().map(sentence),
            note: table.note.as_deref().map(sentence),
        };
        if agent.commands.is_empty() && agent.packages.is_empty() && agent.names.is_empty() {
            let what = "an agent needs commands, packages or names to be recognised by";
            return Err(Problem::new(id.span(), what));
        }
        Ok(agent)
    }

    /// Whether this agent is what a command line starts.
    pub(super) fn is_started_as(&self, started: &Started) -> bool {
        let has = |kind: &str, name: &str| {
            let of_kind = self.packages.iter().filter_map(|known| known.strip_prefix(kind));
            of_kind.into_iter().any(|known| known == name)
        };
        match started {
            Started::Program(name) => self.commands.contains(name),
            Started::Npm(name) => has("npm:", name),
            Started::Python(name) => has("pypi:", name),
        }
    }

    /// How it takes credentials of this provider.
    pub fn provider(&self, id: &str) -> Option<&AcpProvider> {
        self.providers.iter().find(|entry| entry.provider == id)
    }

    /// The providers that it names, and where.
    pub(super) fn written_providers(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.providers.iter().map(|entry| (entry.provider.as_str(), entry.place.clone()))
    }
}

impl AcpProvider {
    /// For an agent of which nothing is known: its variable alone.
    pub fn unknown(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            place: 0..0,
            variables: Vec::new(),
            arguments: Vec::new(),
            authenticate: Vec::new(),
            in_band: None,
            providers_set: None,
            gateway: None,
            base_url: None,
            helper: None,
            models: None,
            extra: BTreeMap::new(),
            needs: Vec::new(),
        }
    }

    /// The variable for a credential of this scheme: its own, else the provider's.
    pub fn variable<'a>(&'a self, scheme: &'a Scheme) -> Option<&'a str> {
        self.variables.first().or(scheme.variables.first()).map(String::as_str)
    }
}

/// The agents that authctl knows by itself.
pub(super) fn built_in() -> &'static BTreeMap<String, AcpAgent> {
    static AGENTS: LazyLock<BTreeMap<String, AcpAgent>> = LazyLock::new(|| {
        let document = Document { file: Path::new("acp.toml"), text: include_str!("acp.toml") };
        // The text is part of the program, and a test reads it.
        super::checked_acp_agents(&document).unwrap_or_else(|error| panic!("{error}"))
    });
    &AGENTS
}

fn sentence(written: &str) -> String {
    text::clean_to(written, 600)
}

/// A method, a name or a word of a command line: not empty, and without control characters.
fn word(written: &Spanned<String>) -> Result<String, Problem> {
    let text = written.get_ref();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Problem::new(written.span(), "is empty or has a control character"));
    }
    Ok(text.clone())
}

fn texts(written: &[Spanned<String>]) -> Result<Vec<String>, Problem> {
    written.iter().map(word).collect()
}

/// As providers are called.
fn part(written: &Spanned<String>) -> Result<String, Problem> {
    if is_part(written.get_ref()) {
        return Ok(written.get_ref().clone());
    }
    Err(Problem::new(written.span(), "is not a name in lower-case letters"))
}

fn package(written: &Spanned<String>) -> Result<String, Problem> {
    match written.get_ref().split_once(':') {
        Some(("npm", name)) if !name.is_empty() => word(written),
        Some(("pypi", name)) if !name.is_empty() => Ok(format!("pypi:{}", normalised(name))),
        _ => Err(Problem::new(written.span(), "is neither npm:NAME nor pypi:NAME")),
    }
}

fn provider(table: AcpProviderTable) -> Result<AcpProvider, Problem> {
    for (name, contents) in &table.extra {
        variable(name)?;
        word(contents)?;
    }
    let extra = table.extra.into_iter().map(|(name, it)| (name.into_inner(), it.into_inner()));
    Ok(AcpProvider {
        place: table.provider.span(),
        provider: part(&table.provider)?,
        variables: value::variables(&table.variables)?,
        arguments: texts(&table.arguments)?,
        authenticate: texts(&table.authenticate)?,
        in_band: table.in_band,
        providers_set: table.providers_set.as_ref().map(providers_set).transpose()?,
        gateway: table.gateway.as_ref().map(gateway).transpose()?,
        base_url: table.base_url.as_ref().map(base_url).transpose()?,
        helper: table.helper.as_ref().map(helper).transpose()?,
        models: table.models.as_ref().map(listing).transpose()?,
        extra: extra.collect(),
        needs: table.needs.iter().map(value::variable_name).collect::<Result<_, _>>()?,
    })
}

fn variable(name: &Spanned<String>) -> Result<String, Problem> {
    value::variables(std::slice::from_ref(name)).map(|_| name.get_ref().clone())
}

fn path(written: &Spanned<String>) -> Result<String, Problem> {
    if written.get_ref().is_empty() || value::is_path(written.get_ref()) {
        return Ok(written.get_ref().clone());
    }
    Err(Problem::new(written.span(), "does not begin with '/', or cannot follow a URL"))
}

fn listing(written: &Spanned<String>) -> Result<String, Problem> {
    if written.get_ref().is_empty() {
        return Err(Problem::new(written.span(), "is empty"));
    }
    path(written)
}

fn optional_path(written: Option<&Spanned<String>>) -> Result<String, Problem> {
    Ok(written.map(path).transpose()?.unwrap_or_default())
}

fn providers_set(table: &ProvidersSetTable) -> Result<ProvidersSet, Problem> {
    let (id, api_type) = (word(&table.id)?, word(&table.api_type)?);
    Ok(ProvidersSet { id, api_type, path: optional_path(table.path.as_ref())? })
}

fn gateway(table: &GatewayTable) -> Result<Gateway, Problem> {
    let (method, protocol) = (word(&table.method)?, word(&table.protocol)?);
    Ok(Gateway { method, protocol, path: optional_path(table.path.as_ref())? })
}

fn base_url(table: &AcpBaseUrlTable) -> Result<AcpBaseUrl, Problem> {
    let value = match &table.value {
        Some(written) if !written.get_ref().contains("{url}") => {
            return Err(Problem::new(written.span(), "has no place for the address: {url}"));
        }
        Some(written) => word(written)?,
        None => "{url}".into(),
    };
    Ok(AcpBaseUrl { variable: variable(&table.variable)?, value })
}

fn helper(table: &Spanned<HelperTable>) -> Result<Helper, Problem> {
    let span = table.span();
    match (&table.get_ref().variable, &table.get_ref().meta) {
        (Some(name), None) => variable(name).map(Helper::Variable),
        (None, Some(meta)) => members(meta).map(Helper::Meta),
        (Some(both), Some(_)) => {
            Err(Problem::new(both.span(), "is a variable or a member of _meta, not both"))
        }
        (None, None) => Err(Problem::new(span, "needs a variable or a member of _meta")),
    }
}

/// `claudeCode.options`
fn members(written: &Spanned<String>) -> Result<Vec<String>, Problem> {
    let path: Vec<String> = word(written)?.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err(Problem::new(written.span(), "is not names with dots in between"));
    }
    Ok(path)
}

fn profile(table: &ProfileTable) -> Result<Profile, Problem> {
    let variable = table.variable.as_ref().map(variable).transpose()?;
    Ok(Profile { variable, folder: below(&table.folder)? })
}

fn ephemeral(table: &EphemeralTable) -> Result<Ephemeral, Problem> {
    let (setting, value) = (word(&table.setting)?, word(&table.value)?);
    Ok(Ephemeral { file: below(&table.file)?, setting, value })
}

/// A path below a folder, with `/` between its parts.
fn below(written: &Spanned<String>) -> Result<String, Problem> {
    let path = word(written)?;
    let is_plain = |part: &str| !["", ".", "..", "~"].contains(&part);
    if path.contains('\\') || !path.split('/').all(is_plain) {
        return Err(Problem::new(written.span(), "is not a path below a folder"));
    }
    Ok(path)
}

fn copy(written: &Spanned<String>) -> Result<String, Problem> {
    let bare = written.get_ref().strip_prefix("~/").unwrap_or(written.get_ref());
    below(&Spanned::new(written.span(), bare.to_owned()))?;
    Ok(written.get_ref().clone())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::Config;
    use crate::config::provider::tests::assert_refused;

    type Seen = (
        &'static str,
        &'static str,
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );

    /// As each was started, its entry, what it called itself, and the variables and methods by which it took a key.
    const SEEN: [Seen; 25] = [
        ("auggie --acp", "auggie", "auggie", &["AUGMENT_SESSION_AUTH"], &[]),
        (
            "claude-agent-acp",
            "claude",
            "@agentclientprotocol/claude-agent-acp",
            &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"],
            &["main", "gateway"],
        ),
        ("npx -y @zed-industries/claude-agent-acp@0.49.0", "claude", "", &[], &[]),
        ("claude-code-acp", "claude", "", &["ANTHROPIC_API_KEY"], &[]),
        ("cline --acp", "cline", "cline", &["CLINE_API_KEY"], &[]),
        ("code-puppy --acp", "code-puppy", "code-puppy", &["OPENAI_API_KEY"], &[]),
        (
            "codex-acp",
            "codex",
            "@agentclientprotocol/codex-acp",
            &["CODEX_API_KEY", "OPENAI_API_KEY"],
            &["api-key", "gateway", "openai"],
        ),
        (
            "npx -y @zed-industries/codex-acp@0.16.0",
            "codex",
            "codex-acp",
            &["OPENAI_API_KEY"],
            &["openai-api-key"],
        ),
        ("crow-cli acp", "crow", "", &[], &[]),
        ("python -m deepagents_acp", "deepagents", "", &["ANTHROPIC_API_KEY"], &[]),
        ("droid exec --output-format acp", "droid", "", &["FACTORY_API_KEY"], &[]),
        (
            "fast-agent-acp --model haiku",
            "fast-agent",
            "fast-agent-acp",
            &["ANTHROPIC_API_KEY"],
            &[],
        ),
        (
            "gemini --acp",
            "gemini",
            "gemini-cli",
            &["GEMINI_API_KEY"],
            &["gemini-api-key", "gateway"],
        ),
        (
            "copilot --acp",
            "copilot",
            "Copilot",
            &["COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY"],
            &[],
        ),
        ("gptme-acp", "gptme", "", &["OPENAI_API_KEY", "ANTHROPIC_API_KEY"], &[]),
        ("hermes-acp", "hermes", "", &["OPENROUTER_API_KEY"], &[]),
        ("kilo acp", "kilo", "", &["ANTHROPIC_API_KEY"], &[]),
        ("uvx --from kimi-cli==1.49.0 kimi acp", "kimi", "Kimi Code CLI", &[], &[]),
        ("minion-code acp", "minion-code", "", &["OPENAI_API_KEY"], &[]),
        ("vibe-acp", "vibe", "", &["MISTRAL_API_KEY"], &[]),
        ("opencode acp", "opencode", "OpenCode", &["ANTHROPIC_API_KEY"], &[]),
        ("openhands acp", "openhands", "OpenHands CLI ACP Agent", &[], &[]),
        ("pi-acp", "pi", "pi-acp", &["ANTHROPIC_API_KEY"], &[]),
        ("qodercli --acp", "qoder", "", &["QODER_PERSONAL_ACCESS_TOKEN"], &[]),
        ("qwen --acp", "qwen", "", &["OPENAI_API_KEY", "OPENAI_BASE_URL"], &[]),
    ];

    fn started<'a>(config: &'a Config, line: &str) -> Option<&'a AcpAgent> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        config.acp_agent(&words[0], &words[1..])
    }

    /// Every variable that may be set for an agent.
    fn variables(config: &Config, agent: &AcpAgent) -> Vec<String> {
        let of = |entry: &AcpProvider| {
            let provider = config.provider(&entry.provider).unwrap();
            let schemes = provider.schemes.iter().filter_map(|scheme| entry.variable(scheme));
            let base_url = entry.base_url.iter().map(|it| it.variable.as_str());
            let all = schemes.chain(base_url).chain(entry.variables.iter().map(String::as_str));
            all.map(str::to_owned).collect::<Vec<_>>()
        };
        agent.providers.iter().flat_map(of).collect()
    }

    /// Every method, provider and gateway that may be named to it.
    fn methods(agent: &AcpAgent) -> Vec<&str> {
        let of = |entry: &'static AcpProvider| {
            let in_band = entry.in_band.iter().map(|it| it.method.as_str());
            let set = entry.providers_set.iter().map(|it| it.id.as_str());
            let gateway = entry.gateway.iter().map(|it| it.method.as_str());
            let called = entry.authenticate.iter().map(String::as_str);
            in_band.chain(set).chain(gateway).chain(called)
        };
        built_in()[&agent.id].providers.iter().flat_map(of).collect()
    }

    #[test]
    fn the_agents_that_were_seen_are_known_with_what_they_take() {
        let config = Config::default();
        for (line, id, name, takes, called) in SEEN {
            let agent = started(&config, line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(agent.id, id, "{line}");
            if !name.is_empty() {
                assert_eq!(config.acp_agent_named(name).unwrap().id, id, "{name}");
            }
            let known = variables(&config, agent);
            assert!(takes.iter().all(|it| known.iter().any(|k| k == it)), "{id}: {known:?}");
            assert!(called.iter().all(|it| methods(agent).contains(it)), "{id}: {called:?}");
            let is_served = takes.is_empty() || agent.login_only.is_none();
            assert!(is_served && agent.not_tried.is_none(), "{id}");
        }
    }

    #[test]
    fn an_agent_takes_nothing_or_says_why() {
        for agent in built_in().values() {
            let says_why = agent.login_only.is_some() || agent.not_tried.is_some();
            assert!(!agent.providers.is_empty() || says_why, "{}", agent.id);
        }
    }

    #[test]
    fn no_command_or_package_is_that_of_two_agents() {
        let of = |agent: &'static AcpAgent| {
            agent.commands.iter().chain(&agent.packages).chain(&agent.names)
        };
        let mut all: Vec<&String> = built_in().values().flat_map(of).collect();
        all.sort();
        // A command may be called like its agent.
        let twice = |pair: &[&String]| pair[0] == pair[1] && pair[0].contains(':');
        assert!(!all.windows(2).any(twice));
    }

    #[test]
    fn a_package_of_another_language_is_another_program() {
        let config = Config::default();
        assert!(started(&config, "uvx cline").is_none());
        assert!(started(&config, "npx -y codex-acp").is_none());
        assert!(started(&config, "node /x/node_modules/codex-acp/index.js").is_none());
        assert!(started(&config, "some-agent").is_none());
    }

    #[test]
    fn the_users_own_entry_wins() {
        let text = "[acp_agent.mine]\ncommands = [\"codex-acp\"]\n\
                    [[acp_agent.mine.providers]]\nprovider = \"groq\"\n\
                    base_url = { variable = \"X_URL\", value = \"{url}/v1\" }\n";
        let config = Config::parse("c.toml".as_ref(), text).unwrap();
        let agent = started(&config, "codex-acp").unwrap();
        assert_eq!(agent.id, "mine");
        let base_url = agent.provider("groq").unwrap().base_url.as_ref().unwrap();
        assert_eq!(base_url.value("http://127.0.0.1:9/groq"), "http://127.0.0.1:9/groq/v1");
        assert_eq!(config.acp_agents().count(), built_in().len() + 1);
        let text = "[acp_agent.codex]\nnames = [\"x\"]\n";
        let config = Config::parse("c.toml".as_ref(), text).unwrap();
        assert!(started(&config, "codex-acp").is_none());
        assert_eq!(config.acp_agents().count(), built_in().len());
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        assert_refused("[acp_agent.x]\n", "config.toml:1: acp_agent.x: ", "recognised");
        assert_refused("[acp_agent.X]\nnames = [\"x\"]\n", "config.toml:1: acp_agent.X", "lower");
        let begin = "[acp_agent.x]\nnames = [\"x\"]\n";
        for (line, key, part) in [
            ("packages = [\"codex\"]", "packages: ", "npm:NAME"),
            ("commands = [\"\"]", "commands: ", "empty"),
            ("copies = [\"../x\"]", "copies: ", "below"),
            ("profile = { folder = \"/etc\" }", "profile.folder: ", "below"),
            ("profile = { variable = \"LD_X\", folder = \"x\" }", "profile.variable: ", "steers"),
            ("ignores = [\"A-B\"]", "ignores: ", "variable"),
            ("providers = [{ provider = \"nobody\" }]", "providers", "no provider nobody"),
            ("providers = [{ provider = \"groq\", variables = [\"PATH\"] }]", "prov", "steers"),
            ("providers = [{ provider = \"groq\", models = \"\" }]", "providers", "is empty"),
            ("providers = [{ provider = \"groq\", models = \"models\" }]", "providers", "begin"),
            (
                "providers = [{ provider = \"groq\", helper = {} }]",
                "providers",
                "a variable or a member",
            ),
            (
                "providers = [{ provider = \"groq\", base_url = { variable = \"X\", value = \"x\" } }]",
                "providers",
                "{url}",
            ),
            (
                "providers = [{ provider = \"groq\", in_band = { method = \"x\", shape = \"y\" } }]",
                "providers",
                "unknown value",
            ),
        ] {
            let start = format!("config.toml:3: acp_agent.x.{key}");
            assert_refused(&format!("{begin}{line}\n"), &start, part);
        }
    }
}
