//! A provider, checked: an authorization server or key issuer, our client at it, the header and the
//! variables that its programs read. Built from the written tables and never half made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::file::{
    BaseUrlVariableTable, OAuthTable, Problem, ProviderTable, SchemeTable, Texts, VerifyTable,
};
use super::identity::Identity;
use super::key_flow::{KeyFlow, key_flow};
use super::key_shape::KeyShape;
use super::oauth::OAuth;
use super::value::{self, Header};
use crate::credential::{Kind, is_part};

#[derive(Debug, Clone)]
pub struct Provider {
    /// As in names of credentials: `github` in `github:work`.
    pub id: String,
    /// For people.
    pub title: String,
    pub source: Source,
    /// Where its credentials may be sent: those of its URLs, and further ones that the table names.
    /// In lower case, with the port where it is not the scheme's own.
    pub hosts: Vec<String>,
    pub base_url: Option<String>,
    /// The variables from which its programs take the base URL.
    pub base_url_variables: Vec<BaseUrlVariable>,
    /// The remote MCP server.
    pub mcp_url: Option<String>,
    /// One for each kind of credential, never empty. The first is what a login makes by default.
    pub schemes: Vec<Scheme>,
    pub note: Option<String>,
}

/// An environment variable that names the base URL to programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrlVariable {
    pub name: String,
    /// What follows `base_url` in it: empty, or begins with a slash.
    pub path: String,
}

/// Where a provider was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Catalog,
    File {
        path: PathBuf,
        line: usize,
    },
    /// By authctl itself, when somebody signed in to the address.
    Servers {
        path: PathBuf,
        line: usize,
    },
}

/// How a provider takes one kind of credential.
#[derive(Debug, Clone)]
pub struct Scheme {
    pub kind: Kind,
    pub header: Header,
    /// Environment variables that carry this kind. The first is set, the others are cleared.
    pub variables: Vec<String>,
    /// Further variables that would win over those, or confuse, and are cleared.
    pub clears: Vec<String>,
    /// A cheap call that succeeds with a good credential and fails with a bad one.
    pub verify: Option<Verify>,
    /// The page where a person makes a key.
    pub create_at: Option<String>,
    /// The shapes of real credentials of this kind, which some programs look at; the first is the usual one.
    pub placeholder: Vec<KeyShape>,
    /// How a key or token is had through the browser; then that is the way by default.
    pub flow: Option<KeyFlow>,
    /// Present when, and only when, the kind is OAuth.
    pub oauth: Option<OAuth>,
}

/// A call that proves a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    pub url: String,
    pub method: VerifyMethod,
    /// Further headers, none of them secret.
    pub headers: BTreeMap<String, String>,
    /// The member of the JSON answer that is `true` for a good credential, where a server answers 200 to
    /// bad ones as well.
    pub member: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum VerifyMethod {
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// Without a body.
    #[serde(rename = "POST")]
    Post,
}

impl VerifyMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            VerifyMethod::Get => "GET",
            VerifyMethod::Post => "POST",
        }
    }
}

impl Provider {
    /// Whether the host of an address is one of those to which its credentials may be sent.
    pub fn sends_to(&self, url: &str) -> bool {
        let host = Url::parse(url).ok().and_then(|url| value::authority(&url));
        host.is_some_and(|host| self.hosts.contains(&host))
    }

    /// How this provider takes credentials of `kind`, if it does.
    pub fn scheme(&self, kind: Kind) -> Option<&Scheme> {
        self.schemes.iter().find(|scheme| scheme.kind == kind)
    }

    /// The MCP server whose authorization server is found by asking there: what is written of it is what
    /// was found the last time, or nothing.
    pub fn asked_at(&self) -> Option<&str> {
        let url = self.mcp_url.as_deref()?;
        let is_found = matches!(self.source, Source::Servers { .. });
        let is_left_open = self.oauth().is_some_and(|oauth| !oauth.names_server());
        (is_found || is_left_open).then_some(url)
    }

    /// Whether it is the one for the MCP server at `url`.
    pub fn is_at(&self, url: &Url) -> bool {
        let resource = self.oauth().and_then(|oauth| oauth.resource.as_ref());
        let mut own = self.mcp_url.iter().chain(resource);
        own.any(|own| Url::parse(own).is_ok_and(|own| own == *url))
    }

    /// The same with another description of how it gives tokens.
    #[must_use]
    pub fn with_oauth(&self, oauth: &OAuth) -> Self {
        let mut provider = self.clone();
        for scheme in &mut provider.schemes {
            if scheme.oauth.is_some() {
                scheme.oauth = Some(oauth.clone());
            }
        }
        provider
    }

    /// How this provider gives tokens, if it does.
    pub fn oauth(&self) -> Option<&OAuth> {
        self.schemes.iter().find_map(|scheme| scheme.oauth.as_ref())
    }

    /// Whether a credential can be had at any time, with nobody to ask and nothing stored.
    pub fn needs_no_login(&self) -> bool {
        let first = self.schemes.first().and_then(|scheme| scheme.oauth.as_ref());
        first.is_some_and(OAuth::needs_no_login)
    }

    /// Every variable that carries a credential of this provider, or rivals one that does.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.schemes
            .iter()
            .flat_map(|scheme| scheme.variables.iter().chain(&scheme.clears))
            .map(String::as_str)
    }

    /// Whether credentials of every kind that `before` takes go to the same hosts in the same header.
    pub fn sends_like(&self, before: &Self) -> bool {
        let alike = |old: &Scheme| {
            let new = self.scheme(old.kind);
            new.is_some_and(|new| new.header == old.header && new.verify == old.verify)
        };
        (&self.hosts, &self.base_url, &self.mcp_url)
            == (&before.hosts, &before.base_url, &before.mcp_url)
            && before.schemes.iter().all(alike)
    }

    /// Checks one written provider.
    pub(super) fn check(
        id: &Spanned<String>,
        table: ProviderTable,
        source: Source,
    ) -> Result<Self, Problem> {
        if !is_part(id.get_ref()) {
            let what = "a provider's name is lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 64";
            return Err(Problem::new(id.span(), what));
        }
        let base_url = value::optional_url(table.base_url.as_ref())?;
        let base_url_variables = base_url_variables(&table)?;
        let mcp_url = value::optional_url(table.mcp_url.as_ref())?;
        let named = table.hosts.iter().map(value::host).collect::<Result<Vec<_>, _>>()?;
        let title = table.title.as_deref().map_or_else(|| id.get_ref().clone(), crate::text::clean);
        let note = table.note.as_deref().map(|note| crate::text::clean_to(note, 600));
        let has_mcp_url = mcp_url.is_some();
        let schemes =
            schemes(id, table.api_key, table.bearer, table.basic, table.oauth, has_mcp_url)?;
        let verified = schemes.iter().filter_map(|s| s.verify.as_ref()).map(|verify| &verify.url);
        let urls = base_url.iter().chain(&mcp_url).chain(verified);
        let hosts = hosts(urls, named);
        Ok(Self {
            id: id.get_ref().clone(),
            title,
            source,
            hosts,
            base_url,
            base_url_variables,
            mcp_url,
            schemes,
            note,
        })
    }
}

fn base_url_variables(table: &ProviderTable) -> Result<Vec<BaseUrlVariable>, Problem> {
    let mut found: Vec<BaseUrlVariable> = Vec::new();
    for entry in &table.base_url_variables {
        let (name, path) = match entry.get_ref() {
            BaseUrlVariableTable::Name(name) => (name, ""),
            BaseUrlVariableTable::At(at) => (&at.name, at.path.as_str()),
        };
        let problem = |what: &str| Problem::new(entry.span(), what);
        if table.base_url.is_none() {
            return Err(problem("is for the base URL, which is missing"));
        }
        value::check_variable(name).map_err(|error| problem(&error.to_string()))?;
        if !path.is_empty() && !value::is_path(path) {
            return Err(problem("has a path that does not begin with '/', or cannot follow a URL"));
        }
        if found.iter().any(|other| other.name == *name) {
            return Err(problem("stands here twice"));
        }
        found.push(BaseUrlVariable { name: name.clone(), path: path.to_owned() });
    }
    Ok(found)
}

/// Hosts of the URLs, then the named ones, each once.
fn hosts<'a>(urls: impl Iterator<Item = &'a String>, named: Vec<String>) -> Vec<String> {
    let of_urls = urls.filter_map(|url| value::authority(&Url::parse(url).ok()?));
    let mut hosts = Vec::new();
    for host in of_urls.chain(named) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// The schemes in the order in which the file has them.
fn schemes(
    id: &Spanned<String>,
    api_key: Option<Spanned<SchemeTable>>,
    bearer: Option<Spanned<SchemeTable>>,
    basic: Option<Spanned<SchemeTable>>,
    oauth: Option<Spanned<OAuthTable>>,
    has_mcp_url: bool,
) -> Result<Vec<Scheme>, Problem> {
    let mut found = Vec::new();
    for (kind, table) in [(Kind::ApiKey, api_key), (Kind::Bearer, bearer), (Kind::Basic, basic)] {
        if let Some(table) = table {
            found.push((table.span().start, scheme(kind, table.get_ref())?));
        }
    }
    if let Some(table) = oauth {
        found.push((table.span().start, oauth_scheme(table, has_mcp_url)?));
    }
    if found.is_empty() {
        let what =
            "a provider needs a table for a kind of credential: api_key, bearer, basic or oauth";
        return Err(Problem::new(id.span(), what));
    }
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, scheme)| scheme).collect())
}

fn scheme(kind: Kind, table: &SchemeTable) -> Result<Scheme, Problem> {
    let header = match &table.header {
        Some(header) => value::header(header, kind)?,
        None => value::default_header(kind),
    };
    Ok(Scheme {
        kind,
        variables: value::variables(&table.variables)?,
        clears: value::variables(&table.clears)?,
        verify: verify(table.verify.as_ref(), table.verify_with.as_ref(), &header)?,
        header,
        create_at: value::optional_url(table.create_at.as_ref())?,
        placeholder: placeholder(table.placeholder.as_ref())?,
        flow: flow(kind, table)?,
        oauth: None,
    })
}

fn placeholder(written: Option<&Spanned<Texts>>) -> Result<Vec<KeyShape>, Problem> {
    let Some(written) = written else { return Ok(Vec::new()) };
    let texts = match written.get_ref() {
        Texts::One(text) => std::slice::from_ref(text),
        Texts::Several(texts) => texts,
    };
    let shape = |text: &String| KeyShape::check(&Spanned::new(written.span(), text.clone()));
    texts.iter().map(shape).collect()
}

fn flow(kind: Kind, table: &SchemeTable) -> Result<Option<KeyFlow>, Problem> {
    let spans = [table.pkce.as_ref().map(Spanned::span), table.poll.as_ref().map(Spanned::span)];
    match spans.into_iter().flatten().next() {
        Some(span) if kind == Kind::Basic => {
            Err(Problem::new(span, "belongs to a key or token, not to a name and password"))
        }
        _ => key_flow(table.pkce.as_ref(), table.poll.as_ref()),
    }
}

fn verify(
    url: Option<&Spanned<String>>,
    with: Option<&Spanned<VerifyTable>>,
    credential: &Header,
) -> Result<Option<Verify>, Problem> {
    let Some(url) = value::optional_url(url)? else {
        return match with {
            Some(with) => {
                Err(Problem::new(with.span(), "says how to call verify, which is missing"))
            }
            None => Ok(None),
        };
    };
    let mut verify =
        Verify { url, method: VerifyMethod::Get, headers: BTreeMap::new(), member: None };
    if let Some(with) = with.map(Spanned::get_ref) {
        verify.method = with.method;
        verify.member = with.member.as_ref().map(value::visible).transpose()?;
        for (name, text) in &with.headers {
            value::plain_header(name, text, credential)?;
            verify.headers.insert(name.get_ref().clone(), text.get_ref().clone());
        }
    }
    Ok(Some(verify))
}

fn oauth_scheme(table: Spanned<OAuthTable>, has_mcp_url: bool) -> Result<Scheme, Problem> {
    let span = table.span();
    let mut table = table.into_inner();
    let common = SchemeTable {
        header: table.header.take(),
        variables: std::mem::take(&mut table.variables),
        clears: std::mem::take(&mut table.clears),
        verify: table.verify.take(),
        verify_with: table.verify_with.take(),
        placeholder: table.placeholder.take(),
        ..SchemeTable::default()
    };
    let oauth = OAuth::check(table)?;
    if let Some(what) = oauth.unreachable(has_mcp_url).or_else(|| oauth.unfounded(has_mcp_url)) {
        return Err(Problem::new(span, what));
    }
    let mut scheme = scheme(Kind::OAuth, &common)?;
    let identities = oauth.identity.iter().chain(&oauth.exchange.actor);
    scheme.clears.extend(identities.flat_map(Identity::variables));
    Ok(Scheme { oauth: Some(oauth), ..scheme })
}

#[cfg(test)]
pub(super) mod tests {
    use crate::config::Config;
    use crate::credential::{Grant, Kind};

    pub fn refusal(text: &str) -> String {
        Config::parse(std::path::Path::new("config.toml"), text).unwrap_err().to_string()
    }

    pub fn assert_refused(text: &str, beginning: &str, part: &str) {
        let message = refusal(text);
        assert!(message.starts_with(beginning), "{message}");
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn the_smallest_provider_is_one_empty_table() {
        let config = Config::parse("c.toml".as_ref(), "[provider.x.api_key]\n").unwrap();
        let provider = config.provider("x").unwrap();
        assert_eq!(provider.title, "x");
        let scheme = provider.scheme(Kind::ApiKey).unwrap();
        assert_eq!(scheme.header.name, "Authorization");
        assert_eq!(scheme.header.format, "Bearer {key}");
        assert!(scheme.variables.is_empty() && scheme.oauth.is_none());
        let config =
            Config::parse("c.toml".as_ref(), "[provider.x.oauth]\nissuer = \"https://x.example/\"")
                .unwrap();
        let oauth = config.provider("x").unwrap().schemes[0].oauth.clone().unwrap();
        assert_eq!(oauth.issuer.as_deref(), Some("https://x.example/"));
        assert_eq!(oauth.grants, [Grant::AuthorizationCode]);
    }

    #[test]
    fn schemes_keep_the_order_of_the_file() {
        let kinds = |text: &str| {
            let config = Config::parse("c.toml".as_ref(), text).unwrap();
            let provider = config.provider("x").unwrap();
            provider.schemes.iter().map(|scheme| scheme.kind).collect::<Vec<_>>()
        };
        assert_eq!(
            kinds(
                "[provider.x.oauth]\nissuer = \"https://x.example\"\n[provider.x.bearer]\n[provider.x.api_key]\n"
            ),
            [Kind::OAuth, Kind::Bearer, Kind::ApiKey]
        );
        assert_eq!(
            kinds(
                "[provider.x]\nbasic.verify = \"https://x.example/\"\nbasic.variables = [\"X\"]\napi_key.variables = [\"Y\"]\n"
            ),
            [Kind::Basic, Kind::ApiKey]
        );
        assert_eq!(
            kinds("[provider]\nx = { bearer = {}, api_key = {} }\n"),
            [Kind::Bearer, Kind::ApiKey]
        );
    }

    #[test]
    fn hosts_come_from_the_urls_and_the_list() {
        let config = Config::parse(
            "c.toml".as_ref(),
            "[provider.x]\nbase_url = \"https://API.example.com/v1\"\nmcp_url = \"http://127.0.0.1:9/mcp\"\nhosts = [\"b.example.com\", \"api.example.com\"]\n[provider.x.bearer]\nverify = \"https://c.example.com/me\"\n",
        )
        .unwrap();
        let expected = ["api.example.com", "127.0.0.1:9", "c.example.com", "b.example.com"];
        assert_eq!(config.provider("x").unwrap().hosts, expected);
    }

    #[test]
    fn variables_of_the_base_url_have_a_name_and_what_follows() {
        let text = "[provider.x]\nbase_url = \"https://x.example\"\nbase_url_variables = [\"X_URL\", { name = \"X_API\", path = \"/v1\" }]\nbearer = { placeholder = \"x-\" }\n";
        let config = Config::parse("c.toml".as_ref(), text).unwrap();
        let provider = config.provider("x").unwrap();
        let variables = provider.base_url_variables.iter().map(|it| (&*it.name, &*it.path));
        assert_eq!(variables.collect::<Vec<_>>(), [("X_URL", ""), ("X_API", "/v1")]);
        assert_eq!(provider.schemes[0].placeholder[0].text(), "x-");
        for (entries, part) in [
            ("\"X URL\"", "not a variable name"),
            ("\"PATH\"", "steers"),
            ("\"HTTPS_PROXY\"", "steers"),
            ("\"X\", \"X\"", "twice"),
            ("{ name = \"X\", path = \"v1\" }", "begin with '/'"),
            ("{ name = \"X\", path = \"/../v1\" }", "begin with '/'"),
            ("{ name = \"X\", path = \"/v1?x\" }", "begin with '/'"),
            ("{ name = \"X\" }", "neither a name nor a table"),
            ("1", "neither a name nor a table"),
        ] {
            let text = format!(
                "[provider.x]\nbase_url = \"https://x.example\"\nbase_url_variables = [{entries}]\nbearer = {{}}\n"
            );
            assert_refused(&text, "config.toml:3: provider.x.base_url_variables: ", part);
        }
    }

    #[test]
    fn a_provider_needs_a_name_and_a_kind() {
        assert_refused("\n[provider.X.bearer]\n", "config.toml:2: provider.X: ", "lower-case");
        assert_refused("[provider.x]\ntitle = \"x\"\n", "config.toml:1: provider.x: ", "api_key");
    }

    #[test]
    fn every_value_is_checked_where_it_stands() {
        let at = "config.toml:3: provider.x.";
        let begin = "[provider.x]\nbearer.verify = \"https://x.example\"\n";
        for (line, key, part) in [
            ("base_url = \"http://x.example\"", "base_url: ", "https"),
            ("hosts = [\"https://x.example\"]", "hosts: ", "not a host"),
            ("bearer.header = \"X: {key}\"", "bearer.header: ", "{token}"),
            ("bearer.variables = [\"A\", \"A\"]", "bearer.variables: ", "twice"),
            ("bearer.clears = [\"LD_PRELOAD\"]", "bearer.clears: ", "steers"),
            ("bearer.create_at = \"here\"", "bearer.create_at: ", "not a URL"),
            ("bearer.placeholder = \"x{9}\"", "bearer.placeholder: ", "chance"),
            ("bearer.placeholder = [\"x\", \"a b\"]", "bearer.placeholder: ", "shape of a key"),
            ("bearer.placeholder = 1", "bearer.placeholder: ", "neither a text nor a list"),
            ("base_url_variables = [\"X_URL\"]", "base_url_variables: ", "missing"),
        ] {
            assert_refused(&format!("{begin}{line}\n"), &format!("{at}{key}"), part);
        }
    }
}
