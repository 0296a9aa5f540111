//! A provider, checked: an authorization server or key issuer, our client at it, the header and the
//! variables that its programs read. Built from the written tables and never half made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::file::{
    ClientWord, DpopWord, OAuthTable, Problem, ProviderTable, RedirectTable, SchemeTable,
    Separator, VerifyTable,
};
use super::identity::{Exchange, Identity};
use super::key_flow::{KeyFlow, key_flow};
use super::value::{self, Header};
use crate::credential::{Grant, Kind, Name, is_part};
use crate::listen::RedirectRule;
use crate::oauth::{ClientAuthentication, OWN_PARAMETERS};

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
    /// The remote MCP server.
    pub mcp_url: Option<String>,
    /// One for each kind of credential, never empty. The first is what a login makes by default.
    pub schemes: Vec<Scheme>,
    pub note: Option<String>,
}

/// Where a provider was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Catalog,
    File { path: PathBuf, line: usize },
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

/// How tokens are acquired. Endpoints given here win over those of the issuer's metadata, which fill
/// in the rest.
#[derive(Debug, Clone)]
pub struct OAuth {
    pub issuer: Option<String>,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    /// Where tokens are refreshed, where that is not the token endpoint (RFC 6749 §6).
    pub refresh_endpoint: Option<String>,
    pub device_authorization_endpoint: Option<String>,
    pub revocation_endpoint: Option<String>,
    pub registration_endpoint: Option<String>,
    pub pushed_authorization_request_endpoint: Option<String>,
    /// Authorization requests are pushed (RFC 9126) even where the server does not insist.
    pub pushed_authorization: bool,
    pub dpop: Dpop,
    /// Never empty. The first is the one that a login uses by default.
    pub grants: Vec<Grant>,
    /// Whether the entry leaves it to the issuer's metadata which further grants there are.
    pub grants_are_open: bool,
    /// Asked for when the command line names none.
    pub scopes: Vec<String>,
    /// A blank (RFC 6749 §3.3), or the comma that some servers want.
    pub scope_separator: char,
    /// Resource indicator (RFC 8707).
    pub resource: Option<String>,
    pub client: ClientRule,
    /// The user's own client, where their file names it.
    pub client_id: Option<String>,
    /// The private key of that client, and its `kid`.
    pub client_key_file: Option<PathBuf>,
    pub client_key_id: Option<String>,
    /// `aud` of the assertions that we sign, instead of the issuer or the token endpoint.
    pub assertion_audience: Option<String>,
    /// What `jwt_bearer` and `token_exchange` begin with.
    pub identity: Option<Identity>,
    pub exchange: Exchange,
    /// The sign-in that `id_jag` begins with.
    pub identity_provider: Option<Name>,
    pub redirect: RedirectRule,
    /// What is known of PKCE beyond the metadata.
    pub pkce: Option<Pkce>,
    /// Further parameters of the authorization request.
    pub parameters: BTreeMap<String, String>,
}

/// Whether tokens are to be bound to a key (RFC 9449). Bound tokens cannot be handed to programs that
/// take a plain one, so nobody gets them unasked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dpop {
    #[default]
    Never,
    /// Where the server can; else plain ones.
    Preferred,
    /// Plain ones are refused.
    Required,
}

/// Where our client at an authorization server comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientRule {
    /// Registered by authctl (RFC 7591).
    Register,
    /// Registered by the user, at `register_at` where that page is known. `authentication` says how
    /// the client's secret is sent, or that it has none, where that is known.
    Own { register_at: Option<String>, authentication: Option<ClientAuthentication> },
}

/// What the provider says about PKCE where it has no metadata to say so (RFC 8414 §2,
/// `code_challenge_methods_supported`). A challenge is sent in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Pkce {
    /// It checks S256.
    S256,
    /// Nobody knows whether it checks: an exception that a login names.
    #[serde(rename = "unverified")]
    Unverified,
}

impl Provider {
    /// How this provider takes credentials of `kind`, if it does.
    pub fn scheme(&self, kind: Kind) -> Option<&Scheme> {
        self.schemes.iter().find(|scheme| scheme.kind == kind)
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
        let mcp_url = value::optional_url(table.mcp_url.as_ref())?;
        let named = table.hosts.iter().map(value::host).collect::<Result<Vec<_>, _>>()?;
        let title = table.title.as_deref().map_or_else(|| id.get_ref().clone(), crate::text::clean);
        let note = table.note.as_deref().map(|note| crate::text::clean_to(note, 600));
        let schemes = schemes(id, table.api_key, table.bearer, table.basic, table.oauth)?;
        let verified = schemes.iter().filter_map(|s| s.verify.as_ref()).map(|verify| &verify.url);
        let urls = base_url.iter().chain(&mcp_url).chain(verified);
        let hosts = hosts(urls, named);
        Ok(Self {
            id: id.get_ref().clone(),
            title,
            source,
            hosts,
            base_url,
            mcp_url,
            schemes,
            note,
        })
    }
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
) -> Result<Vec<Scheme>, Problem> {
    let mut found = Vec::new();
    for (kind, table) in [(Kind::ApiKey, api_key), (Kind::Bearer, bearer), (Kind::Basic, basic)] {
        if let Some(table) = table {
            found.push((table.span().start, scheme(kind, table.get_ref())?));
        }
    }
    if let Some(table) = oauth {
        found.push((table.span().start, oauth_scheme(table)?));
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
        flow: flow(kind, table)?,
        oauth: None,
    })
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

fn oauth_scheme(table: Spanned<OAuthTable>) -> Result<Scheme, Problem> {
    let span = table.span();
    let mut table = table.into_inner();
    let common = SchemeTable {
        header: table.header.take(),
        variables: std::mem::take(&mut table.variables),
        clears: std::mem::take(&mut table.clears),
        verify: table.verify.take(),
        verify_with: table.verify_with.take(),
        ..SchemeTable::default()
    };
    let oauth = OAuth::check(table)?;
    if let Some(what) = oauth.unreachable().or_else(|| oauth.unfounded()) {
        return Err(Problem::new(span, what));
    }
    let mut scheme = scheme(Kind::OAuth, &common)?;
    let identities = oauth.identity.iter().chain(&oauth.exchange.actor);
    scheme.clears.extend(identities.flat_map(Identity::variables));
    Ok(Scheme { oauth: Some(oauth), ..scheme })
}

impl OAuth {
    fn check(table: OAuthTable) -> Result<Self, Problem> {
        Ok(Self {
            client: client(&table)?,
            issuer: table.issuer.as_ref().map(value::issuer).transpose()?,
            authorization_endpoint: value::optional_url(table.authorization_endpoint.as_ref())?,
            token_endpoint: value::optional_url(table.token_endpoint.as_ref())?,
            refresh_endpoint: value::optional_url(table.refresh_endpoint.as_ref())?,
            device_authorization_endpoint: value::optional_url(
                table.device_authorization_endpoint.as_ref(),
            )?,
            revocation_endpoint: value::optional_url(table.revocation_endpoint.as_ref())?,
            registration_endpoint: value::optional_url(table.registration_endpoint.as_ref())?,
            pushed_authorization_request_endpoint: value::optional_url(
                table.pushed_authorization_request_endpoint.as_ref(),
            )?,
            pushed_authorization: table.pushed_authorization,
            dpop: table.dpop.as_ref().map(dpop).transpose()?.unwrap_or_default(),
            grants_are_open: table.grants.is_none() && table.issuer.is_some(),
            grants: grants(table.grants)?,
            scopes: table.scopes.iter().map(value::scope).collect::<Result<_, _>>()?,
            scope_separator: match table.scope_separator {
                Some(Separator::Comma) => ',',
                Some(Separator::Blank) | None => ' ',
            },
            resource: table.resource.as_ref().map(value::resource).transpose()?,
            client_id: table.client_id.as_ref().map(value::visible).transpose()?,
            client_key_file: table.client_key_file.as_ref().map(value::path).transpose()?,
            client_key_id: table.client_key_id.as_ref().map(value::visible).transpose()?,
            assertion_audience: table
                .assertion_audience
                .as_ref()
                .map(value::visible)
                .transpose()?,
            identity: table.identity.map(|it| Identity::check(it.get_ref())).transpose()?,
            exchange: match table.exchange {
                Some(exchange) => Exchange::check(exchange.get_ref())?,
                None => Exchange::default(),
            },
            identity_provider: table.identity_provider.as_ref().map(value::name).transpose()?,
            redirect: table.redirect.map(redirect).transpose()?.unwrap_or_default(),
            pkce: table.pkce,
            parameters: parameters(table.parameters)?,
        })
    }

    /// Why a login could not find its way, if so: each endpoint that a grant needs is either given or
    /// to be found in the metadata of the issuer.
    fn unreachable(&self) -> Option<&'static str> {
        let needs = |grant| self.grants.contains(&grant);
        if self.issuer.is_some() {
            None
        } else if self.token_endpoint.is_none() {
            Some("there is no way to a token endpoint: issuer or token_endpoint is missing")
        } else if needs(Grant::AuthorizationCode) && self.authorization_endpoint.is_none() {
            Some("the grant authorization_code needs issuer or authorization_endpoint")
        } else if self.pushed_authorization && self.pushed_authorization_request_endpoint.is_none()
        {
            Some("pushed_authorization needs issuer or pushed_authorization_request_endpoint")
        } else if needs(Grant::DeviceCode) && self.device_authorization_endpoint.is_none() {
            Some("the grant device_code needs issuer or device_authorization_endpoint")
        } else if self.client == ClientRule::Register && self.registration_endpoint.is_none() {
            Some("client = \"register\" needs issuer or registration_endpoint")
        } else {
            None
        }
    }
}

impl OAuth {
    /// What a grant of machines lacks, or what is there without such a grant, if so.
    fn unfounded(&self) -> Option<&'static str> {
        let has = |grant| self.grants.contains(&grant);
        let shows_identity = self.grants.iter().any(|grant| grant.shows_identity());
        if shows_identity != self.identity.is_some() {
            Some(
                "the grants client_assertion, jwt_bearer and token_exchange, and only they, need a table identity",
            )
        } else if !has(Grant::TokenExchange) && self.exchange != Exchange::default() {
            Some("the table exchange belongs to the grant token_exchange")
        } else if has(Grant::IdJag) != self.identity_provider.is_some() {
            Some("the grant id_jag, and only it, needs identity_provider")
        } else if has(Grant::IdJag) && self.issuer.is_none() {
            Some(
                "the grant id_jag needs issuer, for which the identity provider makes the assertion",
            )
        } else {
            None
        }
    }

    /// Whether what is shown to the server says enough of who asks (RFC 7521 §4.1, RFC 8693 §2.1).
    pub fn goes_without_client(&self) -> bool {
        matches!(self.grants.first(), Some(Grant::JwtBearer | Grant::TokenExchange))
    }

    fn needs_no_login(&self) -> bool {
        let has_client = self.client_id.is_some() && self.client_key_file.is_some();
        self.grants.first().is_some_and(|grant| {
            grant.is_of_machine() || (*grant == Grant::ClientCredentials && has_client)
        })
    }
}

fn grants(written: Option<Spanned<Vec<Spanned<Grant>>>>) -> Result<Vec<Grant>, Problem> {
    let Some(written) = written else {
        return Ok(vec![Grant::AuthorizationCode]);
    };
    let mut grants = Vec::new();
    for grant in written.get_ref() {
        if grants.contains(grant.get_ref()) {
            let what = format!("{} stands here twice", grant.get_ref().as_str());
            return Err(Problem::new(grant.span(), what));
        }
        grants.push(*grant.get_ref());
    }
    if grants.is_empty() { Err(Problem::new(written.span(), "is empty")) } else { Ok(grants) }
}

fn client(table: &OAuthTable) -> Result<ClientRule, Problem> {
    if table.client == ClientWord::Own {
        return Ok(ClientRule::Own {
            register_at: value::optional_url(table.register_at.as_ref())?,
            authentication: table.authentication.as_ref().map(|method| *method.get_ref()),
        });
    }
    let own = [
        table.register_at.as_ref().map(Spanned::span),
        table.authentication.as_ref().map(Spanned::span),
        table.client_id.as_ref().map(Spanned::span),
        table.client_key_file.as_ref().map(Spanned::span),
        table.client_key_id.as_ref().map(Spanned::span),
    ];
    match own.into_iter().flatten().next() {
        Some(span) => Err(Problem::new(span, "belongs to client = \"own\", not to \"register\"")),
        None => Ok(ClientRule::Register),
    }
}

fn dpop(word: &Spanned<DpopWord>) -> Result<Dpop, Problem> {
    match word.get_ref() {
        DpopWord::Plain(false) => Ok(Dpop::Never),
        DpopWord::Plain(true) => Ok(Dpop::Preferred),
        DpopWord::Word(word) if word == "required" => Ok(Dpop::Required),
        DpopWord::Word(_) => {
            Err(Problem::new(word.span(), "is neither true nor false nor \"required\""))
        }
    }
}

fn redirect(table: RedirectTable) -> Result<RedirectRule, Problem> {
    let mut rule = RedirectRule::default();
    if let Some(port) = table.port {
        if *port.get_ref() == 0 {
            return Err(Problem::new(
                port.span(),
                "0 is no port; leave the key out for any free one",
            ));
        }
        rule.port = Some(port.into_inner());
    }
    if let Some(path) = table.path {
        let text = value::visible(&path)?;
        if !text.starts_with('/') || text.contains(['?', '#', '%', '\\']) || text.contains("..") {
            return Err(Problem::new(path.span(), "is not a plain path such as /callback"));
        }
        rule.path = text;
    }
    if let Some(host) = table.host {
        if !matches!(host.get_ref().as_str(), "127.0.0.1" | "localhost") {
            return Err(Problem::new(host.span(), "is neither 127.0.0.1 nor localhost"));
        }
        rule.host = host.into_inner();
    }
    Ok(rule)
}

fn parameters(
    written: BTreeMap<Spanned<String>, Spanned<String>>,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut parameters = BTreeMap::new();
    for (name, text) in written {
        if OWN_PARAMETERS.contains(&name.get_ref().as_str()) {
            return Err(Problem::new(name.span(), "is a parameter that authctl sets itself"));
        }
        parameters.insert(value::visible(&name)?, text.into_inner());
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::credential::{Grant, Kind};

    fn refusal(text: &str) -> String {
        Config::parse(std::path::Path::new("config.toml"), text).unwrap_err().to_string()
    }

    fn assert_refused(text: &str, beginning: &str, part: &str) {
        let message = refusal(text);
        assert!(message.starts_with(beginning), "{message}");
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn no_parameter_of_the_protocol_can_be_configured() {
        for own in crate::oauth::OWN_PARAMETERS {
            let text = format!(
                "[provider.x.oauth]\nissuer = \"https://as.example\"\nparameters = {{ {own} = \"x\" }}\n"
            );
            assert_refused(&text, "config.toml:3", "is a parameter that authctl sets itself");
        }
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
        ] {
            assert_refused(&format!("{begin}{line}\n"), &format!("{at}{key}"), part);
        }
    }

    #[test]
    fn every_oauth_value_is_checked_where_it_stands() {
        let begin = "[provider.x.oauth]\nissuer = \"https://x.example\"\n";
        for (line, key, part) in [
            ("grants = []", "grants: ", "empty"),
            ("grants = [\"device_code\", \"device_code\"]", "grants: ", "twice"),
            ("scopes = [\"read write\"]", "scopes: ", "not a scope"),
            ("scope_separator = \";\"", "scope_separator: ", "unknown value"),
            ("resource = \"/mcp\"", "resource: ", "absolute"),
            ("client = \"theirs\"", "client: ", "register"),
            ("client = \"register\"\nclient_id = \"abc\"", "client_id: ", "own"),
            ("client_id = \"a b\"", "client_id: ", "blank"),
            ("authentication = \"tls_client_auth\"", "authentication: ", "private_key_jwt"),
            ("client_key_file = \"key.pem\"", "client_key_file: ", "absolute"),
            ("client = \"register\"\nclient_key_file = \"/k\"", "client_key_file: ", "own"),
            ("identity = { source = \"circle\" }", "identity", "github-actions"),
            ("identity = { source = \"file\" }", "identity.source: ", "path"),
            ("identity = { source = \"gitlab\" }", "identity.source: ", "variable"),
            ("identity = { source = \"key\", path = \"/x\" }", "identity.path: ", "another"),
            ("identity = { source = \"file\", path = \"x\" }", "identity.path: ", "absolute"),
            (
                "identity = { source = \"gitlab\", variable = \"A B\" }",
                "identity.variable: ",
                "name",
            ),
            (
                "identity = { source = \"key\", claims = { aud = \"x\" } }",
                "identity.claims.aud: ",
                "itself",
            ),
            ("identity_provider = \"A\"", "identity_provider: ", "github:work"),
            ("redirect = { port = 0 }", "redirect.port: ", "no port"),
            ("redirect = { port = 70000 }", "redirect.port: ", "u16"),
            ("redirect = { path = \"callback\" }", "redirect.path: ", "/callback"),
            ("redirect = { host = \"example.com\" }", "redirect.host: ", "localhost"),
            ("parameters = { state = \"1\" }", "parameters.state: ", "itself"),
            ("pkce = \"plain\"", "pkce: ", "S256"),
            ("dpop = \"yes\"", "dpop: ", "required"),
            ("dpop = 1", "dpop: ", "neither true nor false"),
            ("pushed_authorization = \"yes\"", "pushed_authorization", "boolean"),
            ("pushed_authorization_request_endpoint = \"/par\"", "pushed_auth", "URL"),
            ("client_secret = \"hunter2\"", "client_secret: ", "unknown key"),
        ] {
            let message = refusal(&format!("{begin}{line}\n"));
            let position = if line.contains('\n') { 4 } else { 3 };
            let beginning = format!("config.toml:{position}: provider.x.oauth.{key}");
            assert!(message.starts_with(&beginning), "{message}");
            assert!(message.contains(part), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_grant_of_machines_has_what_it_begins_with_and_no_other_has() {
        let begin = "[provider.x.oauth]\nissuer = \"https://x.example\"\n";
        let identity = "identity = { source = \"github-actions\" }\n";
        let grants = |grant: &str| format!("grants = [\"{grant}\"]\n");
        for (lines, part) in [
            (grants("jwt_bearer"), "need a table identity"),
            (grants("token_exchange"), "need a table identity"),
            (identity.to_owned(), "need a table identity"),
            (
                format!("{}{identity}exchange = {{ audience = [\"a\"] }}\n", grants("jwt_bearer")),
                "belongs to the grant token_exchange",
            ),
            (grants("id_jag"), "needs identity_provider"),
            ("identity_provider = \"okta\"\n".to_owned(), "needs identity_provider"),
        ] {
            let text = format!("{begin}{lines}");
            assert_refused(&text, "config.toml:1: provider.x.oauth: ", part);
        }
        let text = format!(
            "[provider.x.oauth]\ntoken_endpoint = \"https://x.example/t\"\n{}identity_provider = \"okta\"\n",
            grants("id_jag")
        );
        assert_refused(&text, "config.toml:1: provider.x.oauth: ", "needs issuer");
        let text = format!("{begin}{}{identity}", grants("jwt_bearer"));
        let config = Config::parse("c.toml".as_ref(), &text).unwrap();
        let provider = config.provider("x").unwrap();
        assert!(provider.needs_no_login());
        let withheld: Vec<&str> = provider.variables().collect();
        assert_eq!(withheld, crate::config::ACTIONS_VARIABLES);
    }

    #[test]
    fn oauth_without_a_way_to_its_endpoints_is_refused() {
        let at = "config.toml:1: provider.x.oauth: ";
        let token = "token_endpoint = \"https://x.example/token\"\n";
        assert_refused("[provider.x.oauth]\n", at, "token_endpoint");
        assert_refused(&format!("[provider.x.oauth]\n{token}"), at, "authorization_endpoint");
        assert_refused(
            &format!("[provider.x.oauth]\ngrants = [\"device_code\"]\n{token}"),
            at,
            "device_authorization_endpoint",
        );
        assert_refused(
            &format!(
                "[provider.x.oauth]\ngrants = [\"client_credentials\"]\nclient = \"register\"\n{token}"
            ),
            at,
            "registration_endpoint",
        );
        assert_refused(
            &format!(
                "[provider.x.oauth]\npushed_authorization = true\nauthorization_endpoint = \"https://x.example/a\"\n{token}"
            ),
            at,
            "pushed_authorization_request_endpoint",
        );
        let fine = format!("[provider.x.oauth]\ngrants = [\"client_credentials\"]\n{token}");
        assert!(Config::parse("c.toml".as_ref(), &fine).is_ok());
    }
}
