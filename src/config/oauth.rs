//! The `oauth` table of a provider, checked: endpoints, grants, scopes, our client and what a grant of
//! machines begins with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::file::{ClientWord, DpopWord, OAuthTable, Problem, RedirectTable, Separator};
use super::identity::{Exchange, Identity};
use super::value;
use crate::credential::{Grant, Name};
use crate::listen::RedirectRule;
use crate::oauth::{ClientAuthentication, OWN_PARAMETERS};

/// How tokens are acquired. Endpoints given here win over those of the issuer's metadata, which fill
/// in the rest.
#[derive(Debug, Clone)]
pub struct OAuth {
    pub issuer: Option<String>,
    /// The issuer that the metadata may name instead, where a server does not keep to RFC 8414 §3.3.
    pub trusted_issuer: Option<String>,
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
    /// The document about our client, which is the `client_id` of servers that take such.
    pub client_metadata_url: Option<String>,
    /// The user's own client, where their file names it.
    pub client_id: Option<String>,
    /// The private key of that client, and its `kid`.
    pub client_key_file: Option<PathBuf>,
    pub client_key_id: Option<String>,
    /// `aud` of the assertions that we sign, instead of the issuer or the token endpoint.
    pub assertion_audience: Option<String>,
    /// What `jwt_bearer` and `token_exchange` begin with; and `id_jag`, where no sign-in is stored for it.
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

impl OAuth {
    pub(super) fn check(table: OAuthTable) -> Result<Self, Problem> {
        Ok(Self {
            client: client(&table)?,
            issuer: table.issuer.as_ref().map(value::issuer).transpose()?,
            trusted_issuer: table.trusted_issuer.as_ref().map(value::issuer).transpose()?,
            client_metadata_url: table
                .client_metadata_url
                .as_ref()
                .map(value::client_metadata_url)
                .transpose()?,
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
            grants_are_open: table.grants.is_none()
                && (table.issuer.is_some() || table.token_endpoint.is_none()),
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

    /// Whether it says who gives the tokens; else that is asked at the address of the MCP server.
    pub fn names_server(&self) -> bool {
        self.issuer.is_some() || self.token_endpoint.is_some()
    }

    /// Why a login could not find its way, if so: each endpoint that a grant needs is either given or
    /// to be found in the metadata of the issuer, and that at the address of an MCP server.
    pub(super) fn unreachable(&self, has_mcp_url: bool) -> Option<&'static str> {
        let needs = |grant| self.grants.contains(&grant);
        if self.issuer.is_some() || (has_mcp_url && !self.names_server()) {
            None
        } else if self.token_endpoint.is_none() {
            Some(
                "there is no way to a token endpoint: issuer or token_endpoint is missing, or the mcp_url where they are found",
            )
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
    pub(super) fn unfounded(&self, has_mcp_url: bool) -> Option<&'static str> {
        let has = |grant| self.grants.contains(&grant);
        let shows_identity = self.grants.iter().any(|grant| grant.shows_identity());
        let takes_identity = shows_identity || has(Grant::IdJag);
        if shows_identity && self.identity.is_none() || !takes_identity && self.identity.is_some() {
            Some(
                "the grants client_assertion, jwt_bearer and token_exchange need a table identity, and only id_jag may have one too",
            )
        } else if !has(Grant::TokenExchange) && self.exchange != Exchange::default() {
            Some("the table exchange belongs to the grant token_exchange")
        } else if has(Grant::IdJag) != self.identity_provider.is_some() {
            Some("the grant id_jag, and only it, needs identity_provider")
        } else if has(Grant::IdJag) && self.issuer.is_none() && !has_mcp_url {
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

    /// Whether its tokens are those of one job, and not to be kept for the next.
    pub fn is_of_job(&self) -> bool {
        self.identity.iter().chain(&self.exchange.actor).any(Identity::is_of_job)
    }

    pub(super) fn needs_no_login(&self) -> bool {
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
    use super::super::provider::tests::{assert_refused, refusal};
    use crate::config::Config;

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
