//! `config.toml` as written: its tables and keys, each value with its place. Nothing is checked here
//! but names and types; `provider` and `agents` do the rest. The built-in catalog and agents are
//! written in the same tables and read by the same code.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{Error, StoreChoice};
use crate::credential::Grant;
use crate::oauth::ClientAuthentication;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub store: Option<StoreChoice>,
    pub passphrase: Option<bool>,
    pub confirm_program: Option<Spanned<String>>,
    pub client_metadata_url: Option<Spanned<String>>,
    pub log: Option<LogTable>,
    #[serde(default)]
    pub credential: BTreeMap<Spanned<String>, CredentialTable>,
    /// By the address of the server.
    #[serde(default)]
    pub mcp: BTreeMap<Spanned<String>, McpTable>,
    #[serde(default)]
    pub proxy: BTreeMap<Spanned<String>, ProxyTable>,
    #[serde(default)]
    pub provider: BTreeMap<Spanned<String>, ProviderTable>,
    #[serde(default)]
    pub agent: BTreeMap<Spanned<String>, AgentTable>,
    #[serde(default)]
    pub acp_agent: BTreeMap<Spanned<String>, AcpAgentTable>,
}

/// `[provider.ID]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderTable {
    pub title: Option<String>,
    pub base_url: Option<Spanned<String>>,
    #[serde(default)]
    pub base_url_variables: Vec<Spanned<BaseUrlVariableTable>>,
    pub mcp_url: Option<Spanned<String>>,
    #[serde(default)]
    pub hosts: Vec<Spanned<String>>,
    pub note: Option<String>,
    pub api_key: Option<Spanned<SchemeTable>>,
    pub bearer: Option<Spanned<SchemeTable>>,
    pub basic: Option<Spanned<SchemeTable>>,
    pub oauth: Option<Spanned<OAuthTable>>,
}

/// A variable of the base URL: its name alone, or with what follows the URL in it.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "neither a name nor a table with name and path")]
pub enum BaseUrlVariableTable {
    Name(String),
    At(BaseUrlAt),
}

/// `{ name = "X_BASE_URL", path = "/v1" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseUrlAt {
    pub name: String,
    pub path: String,
}

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "neither a text nor a list of texts")]
pub enum Texts {
    One(String),
    Several(Vec<String>),
}

/// `[provider.ID.api_key]`, `[provider.ID.bearer]`, `[provider.ID.basic]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemeTable {
    pub header: Option<Spanned<String>>,
    #[serde(default)]
    pub variables: Vec<Spanned<String>>,
    #[serde(default)]
    pub clears: Vec<Spanned<String>>,
    pub verify: Option<Spanned<String>>,
    pub verify_with: Option<Spanned<VerifyTable>>,
    pub create_at: Option<Spanned<String>>,
    pub placeholder: Option<Spanned<Texts>>,
    pub pkce: Option<Spanned<PkceTable>>,
    pub poll: Option<Spanned<PollTable>>,
}

/// `[provider.ID.KIND.pkce]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PkceTable {
    pub page: Spanned<String>,
    pub exchange: Spanned<String>,
    pub callback: Option<Spanned<String>>,
    pub answer: Option<Spanned<String>>,
    #[serde(default)]
    pub parameters: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// `[provider.ID.KIND.poll]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollTable {
    pub start: Spanned<String>,
    pub page: Spanned<String>,
    pub ready: Option<Spanned<String>>,
    pub until: Option<Spanned<String>>,
    pub exchange: Spanned<String>,
    pub bearer: Option<Spanned<String>>,
    pub answer: Spanned<String>,
    pub interval: Option<Spanned<u64>>,
}

/// `[provider.ID.oauth]`: the keys of every other kind but `create_at`, and OAuth's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthTable {
    pub header: Option<Spanned<String>>,
    #[serde(default)]
    pub variables: Vec<Spanned<String>>,
    #[serde(default)]
    pub clears: Vec<Spanned<String>>,
    pub verify: Option<Spanned<String>>,
    pub verify_with: Option<Spanned<VerifyTable>>,
    pub placeholder: Option<Spanned<Texts>>,

    pub issuer: Option<Spanned<String>>,
    pub trusted_issuer: Option<Spanned<String>>,
    pub authorization_endpoint: Option<Spanned<String>>,
    pub token_endpoint: Option<Spanned<String>>,
    pub refresh_endpoint: Option<Spanned<String>>,
    pub device_authorization_endpoint: Option<Spanned<String>>,
    pub revocation_endpoint: Option<Spanned<String>>,
    pub registration_endpoint: Option<Spanned<String>>,
    pub pushed_authorization_request_endpoint: Option<Spanned<String>>,
    #[serde(default)]
    pub pushed_authorization: bool,
    pub dpop: Option<Spanned<DpopWord>>,
    pub grants: Option<Spanned<Vec<Spanned<Grant>>>>,
    #[serde(default)]
    pub scopes: Vec<Spanned<String>>,
    pub scope_separator: Option<Separator>,
    pub resource: Option<Spanned<String>>,
    #[serde(default)]
    pub client: ClientWord,
    pub client_metadata_url: Option<Spanned<String>>,
    pub register_at: Option<Spanned<String>>,
    pub authentication: Option<Spanned<ClientAuthentication>>,
    pub client_id: Option<Spanned<String>>,
    pub client_key_file: Option<Spanned<String>>,
    pub client_key_id: Option<Spanned<String>>,
    pub assertion_audience: Option<Spanned<String>>,
    pub identity: Option<Spanned<IdentityTable>>,
    pub exchange: Option<Spanned<ExchangeTable>>,
    pub identity_provider: Option<Spanned<String>>,
    pub redirect: Option<RedirectTable>,
    pub pkce: Option<super::Pkce>,
    #[serde(default)]
    pub parameters: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientWord {
    #[default]
    Own,
    Register,
}

/// `true`, `false` or `"required"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "neither true nor false nor \"required\"")]
pub enum DpopWord {
    Plain(bool),
    Word(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Separator {
    #[serde(rename = " ")]
    Blank,
    #[serde(rename = ",")]
    Comma,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedirectTable {
    pub port: Option<Spanned<u16>>,
    pub path: Option<Spanned<String>>,
    pub host: Option<Spanned<String>>,
}

/// `[provider.ID.oauth.identity]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityTable {
    pub source: Spanned<SourceWord>,
    pub audience: Option<Spanned<String>>,
    pub token_type: Option<Spanned<String>>,
    pub path: Option<Spanned<String>>,
    pub variable: Option<Spanned<String>>,
    pub credential: Option<Spanned<String>>,
    pub key_file: Option<Spanned<String>>,
    pub key_id: Option<Spanned<String>>,
    pub issuer: Option<Spanned<String>>,
    pub subject: Option<Spanned<String>>,
    #[serde(default)]
    pub claims: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceWord {
    GithubActions,
    Gitlab,
    Kubernetes,
    File,
    Environment,
    Credential,
    Key,
}

/// `[provider.ID.oauth.exchange]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeTable {
    #[serde(default)]
    pub audience: Vec<Spanned<String>>,
    pub requested_token_type: Option<Spanned<String>>,
    pub actor: Option<IdentityTable>,
}

/// `verify_with`: what the call to `verify` needs beside the credential.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyTable {
    #[serde(default)]
    pub method: super::VerifyMethod,
    #[serde(default)]
    pub headers: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Member of the answer that is `true` for a good credential.
    pub member: Option<Spanned<String>>,
}

/// `[log]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTable {
    pub enabled: Option<bool>,
    pub file: Option<Spanned<String>>,
    pub max_bytes: Option<Spanned<u64>>,
}

/// `[credential.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialTable {
    #[serde(default)]
    pub confirm: bool,
    pub confirm_for: Option<Spanned<String>>,
}

/// `[mcp."URL"]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpTable {
    pub credential: Option<Spanned<String>>,
    #[serde(default)]
    pub headers: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub secret_headers: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub allow_tools: Vec<Spanned<String>>,
    #[serde(default)]
    pub deny_tools: Vec<Spanned<String>>,
    pub open_browser: Option<bool>,
    pub list_wait: Option<Spanned<String>>,
    pub call_wait: Option<Spanned<String>>,
    pub answer_wait: Option<Spanned<String>>,
}

/// `[proxy."NAME"]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyTable {
    #[serde(default)]
    pub allow: Vec<Spanned<String>>,
    #[serde(default)]
    pub deny: Vec<Spanned<String>>,
    #[serde(default)]
    pub headers: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub secret_headers: BTreeMap<Spanned<String>, Spanned<String>>,
    pub id_header: Option<Spanned<String>>,
}

/// `[agent.ID]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentTable {
    pub title: Option<String>,
    pub markers: Vec<Spanned<String>>,
}

/// `[acp_agent.ID]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcpAgentTable {
    pub title: Option<String>,
    #[serde(default)]
    pub commands: Vec<Spanned<String>>,
    #[serde(default)]
    pub packages: Vec<Spanned<String>>,
    #[serde(default)]
    pub names: Vec<Spanned<String>>,
    #[serde(default)]
    pub providers: Vec<AcpProviderTable>,
    pub profile: Option<ProfileTable>,
    #[serde(default)]
    pub copies: Vec<Spanned<String>>,
    pub ephemeral: Option<EphemeralTable>,
    #[serde(default)]
    pub ignores: Vec<Spanned<String>>,
    pub login: Option<String>,
    pub login_only: Option<String>,
    pub not_tried: Option<String>,
    pub note: Option<String>,
}

/// `[[acp_agent.ID.providers]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcpProviderTable {
    pub provider: Spanned<String>,
    #[serde(default)]
    pub variables: Vec<Spanned<String>>,
    #[serde(default)]
    pub arguments: Vec<Spanned<String>>,
    #[serde(default)]
    pub authenticate: Vec<Spanned<String>>,
    pub in_band: Option<super::InBand>,
    pub providers_set: Option<ProvidersSetTable>,
    pub gateway: Option<GatewayTable>,
    pub base_url: Option<AcpBaseUrlTable>,
    pub helper: Option<Spanned<HelperTable>>,
    pub models: Option<Spanned<String>>,
    #[serde(default)]
    pub extra: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub needs: Vec<Spanned<String>>,
}

/// `{ id = "openai", api_type = "openai", path = "" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvidersSetTable {
    pub id: Spanned<String>,
    pub api_type: Spanned<String>,
    pub path: Option<Spanned<String>>,
}

/// `{ method = "gateway", protocol = "openai" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayTable {
    pub method: Spanned<String>,
    pub protocol: Spanned<String>,
    pub path: Option<Spanned<String>>,
}

/// `{ variable = "OPENAI_BASE_URL", value = "{url}/v1" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcpBaseUrlTable {
    pub variable: Spanned<String>,
    pub value: Option<Spanned<String>>,
}

/// `{ variable = "COPILOT_PROVIDER_API_KEY_COMMAND" }` or `{ setting = "apiKeyHelper" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelperTable {
    pub variable: Option<Spanned<String>>,
    pub meta: Option<Spanned<String>>,
}

/// `{ variable = "CODEX_HOME", folder = ".codex" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileTable {
    pub variable: Option<Spanned<String>>,
    pub folder: Spanned<String>,
}

/// `{ file = "config.toml", setting = "cli_auth_credentials_store", value = "ephemeral" }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EphemeralTable {
    pub file: Spanned<String>,
    pub setting: Spanned<String>,
    pub value: Spanned<String>,
}

/// A text and the file it came from.
pub struct Document<'a> {
    pub file: &'a Path,
    pub text: &'a str,
}

/// Something wrong at a place in a document, before its line and key are known.
#[derive(Debug)]
pub struct Problem {
    place: usize,
    what: String,
}

impl Problem {
    pub fn new(span: Range<usize>, what: impl Into<String>) -> Self {
        Self { place: span.start, what: what.into() }
    }
}

impl Document<'_> {
    /// Reads names and types of the user's configuration.
    pub fn parse(&self) -> Result<File, Error> {
        self.read()
    }

    /// Reads names and types.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        toml::from_str(self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let what = match error.message() {
                // The parser keeps the first of the two, so only the text has the name of this one.
                "duplicate key" => {
                    let key = self.text.get(span.clone()).unwrap_or_default();
                    format!("{}: duplicate key", key.trim())
                }
                other => with_nearest(&without_values(other)),
            };
            self.wrong(&Problem::new(span, what))
        })
    }

    /// The line of a place, counted from 1.
    pub fn line(&self, place: usize) -> usize {
        let before = &self.text.as_bytes()[..place.min(self.text.len())];
        before.split(|byte| *byte == b'\n').count()
    }

    /// Names file, line and key of a problem.
    pub fn wrong(&self, problem: &Problem) -> Error {
        let (table, _) = DeTable::parse_recoverable(self.text);
        Error::Wrong {
            file: self.file.to_owned(),
            line: self.line(problem.place),
            key: key_at(table.get_ref(), problem.place).map(|key| crate::text::clean(&key)),
            what: crate::text::clean_to(&problem.what, 800), // the longest list of keys
        }
    }
}

type Entry<'a, 'i> = (&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>);

/// The dotted key that `place` belongs to: the one written there, else the one whose value is there,
/// else the innermost table whose heading is there.
fn key_at(table: &DeTable<'_>, place: usize) -> Option<String> {
    path_to(table, &|(key, _)| key.span().contains(&place))
        .or_else(|| {
            path_to(table, &|(_, value)| {
                !value.get_ref().is_table() && value.span().contains(&place)
            })
        })
        .or_else(|| path_to(table, &|(_, value)| value.span().contains(&place)))
}

/// The path to the first of the innermost entries that are meant.
fn path_to(table: &DeTable<'_>, meant: &dyn Fn(Entry<'_, '_>) -> bool) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        match path_within(value.get_ref(), meant) {
            Some(inner) => Some(format!("{name}.{inner}")),
            None => meant((key, value)).then(|| name.to_string()),
        }
    })
}

fn path_within(value: &DeValue<'_>, meant: &dyn Fn(Entry<'_, '_>) -> bool) -> Option<String> {
    match value {
        DeValue::Table(table) => path_to(table, meant),
        DeValue::Array(items) => items.iter().find_map(|item| path_within(item.get_ref(), meant)),
        _ => None,
    }
}

/// serde's messages quote the value, which may be a secret put in the wrong place: its type is kept,
/// the value is not.
fn without_values(message: &str) -> String {
    let message = message.replacen("unknown field", "unknown key", 1);
    let Some(expected) = message.rfind(", expected") else {
        return message;
    };
    let (found, expected) = message.split_at(expected);
    if found.starts_with("unknown variant") {
        return format!("unknown value{expected}");
    }
    let typed = ["invalid type: ", "invalid value: "].iter().find(|b| found.starts_with(**b));
    match typed {
        // `string "…"`, `integer `…``; others, such as `map`, have no value.
        Some(beginning) => {
            let kind = found[beginning.len()..].split(['"', '`']).next().unwrap_or_default();
            format!("{beginning}{}{expected}", kind.trim_end())
        }
        None => message,
    }
}

/// Of a long list of possible keys only the one that was meant, where one is near.
fn with_nearest(message: &str) -> String {
    let list_of_keys = message.strip_prefix("unknown key `");
    let Some((written, expected)) = list_of_keys.and_then(|rest| rest.split_once("`, expected "))
    else {
        return message.to_owned();
    };
    let known = expected.split('`').skip(1).step_by(2);
    let near = known
        .map(|key| (strsim::damerau_levenshtein(written, key), key))
        .min()
        .filter(|(distance, _)| *distance <= 1.max(written.len() / 3));
    match near {
        Some((_, key)) => format!("unknown key `{written}`; did you mean `{key}`?"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Document { file: Path::new("config.toml"), text }.parse().unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text =
            "store = \"file\"\n\n[provider.x]\ntitle = \"X\"\n[provider.x.oauth]\nisuer = \"y\"\n";
        let message = refusal(text);
        assert!(
            message.starts_with("config.toml:6: provider.x.oauth.isuer: unknown key"),
            "{message}"
        );
        assert!(message.ends_with("unknown key `isuer`; did you mean `issuer`?"), "{message}");
        let message = refusal("colour = 1\n");
        assert!(message.contains("expected one of `store`"), "{message}");
    }

    #[test]
    fn a_key_written_twice_is_named() {
        for (text, key) in [
            ("store = \"file\"\nstore = \"keychain\"\n", "store"),
            ("[provider.x]\ntitle = \"X\"\n\"title\" = \"hunter2\"\n", "\"title\""),
        ] {
            let message = refusal(text);
            assert!(message.ends_with(&format!("{key}: duplicate key")), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_key_of_another_kind_is_unknown() {
        let message = refusal("[provider.x.api_key]\nissuer = \"https://x.example\"\n");
        assert!(
            message.starts_with("config.toml:2: provider.x.api_key.issuer: unknown key"),
            "{message}"
        );
    }

    #[test]
    fn a_wrong_type_is_named_without_the_value() {
        let message = refusal("[provider.x.api_key]\nvariables = \"sk-very-secret\"\n");
        assert!(message.starts_with("config.toml:2: provider.x.api_key.variables: "), "{message}");
        assert!(message.contains("invalid type: string, expected a sequence"), "{message}");
        let message = refusal("[provider.x]\ntitle = 271828\n");
        assert!(message.starts_with("config.toml:2: provider.x.title: "), "{message}");
        assert!(!message.contains("271828"), "{message}");
        let message = refusal("passphrase = \"hunter2, expected hunter3\"\n");
        assert!(!message.contains("hunter"), "{message}");
    }

    #[test]
    fn a_provider_written_twice_is_refused() {
        let message = refusal("[provider.x.bearer]\n\n[provider.x]\n[provider.x]\n");
        assert!(message.starts_with("config.toml:4: "), "{message}");
        assert!(message.contains("provider.x"), "{message}");
        assert!(message.contains("duplicate"), "{message}");
    }

    #[test]
    fn an_unknown_grant_is_refused_with_the_known_ones() {
        let message =
            refusal("[provider.x.oauth]\ngrants = [\n \"device_code\",\n \"implicit\" ]\n");
        assert!(message.starts_with("config.toml:4: provider.x.oauth.grants: "), "{message}");
        assert!(message.contains("client_credentials"), "{message}");
    }

    #[test]
    fn text_that_is_no_toml_is_refused_with_its_line() {
        let message = refusal("store = \"file\"\nprovider = [\n");
        assert!(message.starts_with("config.toml:"), "{message}");
        let message = refusal("store = \"file\"\nwhat?\n");
        assert!(message.starts_with("config.toml:2: "), "{message}");
    }
}
