//! Providers of which no more is written than the address of their MCP server: the rest is asked there.

use std::borrow::Cow;

use super::{Error, Login};
use crate::config::{ClientRule, Dpop, OAuth, Pkce, Provider};
use crate::credential::{Grant, Name};
use crate::oauth::{
    self, AuthorizationServer, McpServer, Metadata, Question, Refusal, discover_mcp,
};
use crate::store::Key;

/// SEP-2207: tokens that live on when nobody is there.
const OFFLINE: &str = "offline_access";

/// Most scopes that are taken from a server's document.
const SCOPES: usize = 64;

/// What was found out about a server, as the keys of an `oauth` table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub title: Option<String>,
    /// `None`: the endpoints are those of MCP 2025-03-26.
    pub issuer: Option<String>,
    pub endpoints: Option<DefaultEndpoints>,
    pub resource: String,
    pub scopes: Vec<String>,
    /// More than these were asked of a token that was shown.
    pub is_insufficient: bool,
    /// A client can be registered there, or publish a document about itself.
    pub registers: bool,
    pub wants_proof: bool,
    pub metadata: Option<Metadata>,
}

/// MCP 2025-03-26, «fallbacks for servers without metadata discovery».
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultEndpoints {
    pub authorization: String,
    pub token: String,
    pub registration: String,
}

impl Found {
    fn of(server: McpServer) -> Self {
        let mut found = Self {
            title: server.resource_name.filter(|name| !name.is_empty()),
            resource: server.resource,
            scopes: server.scopes.into_iter().filter(|it| is_scope(it)).take(SCOPES).collect(),
            is_insufficient: server.is_insufficient,
            wants_proof: server.wants_proof,
            registers: true,
            ..Self::default()
        };
        match server.authorization_server {
            AuthorizationServer::Assumed { origin } => {
                found.endpoints = Some(DefaultEndpoints {
                    authorization: format!("{origin}/authorize"),
                    token: format!("{origin}/token"),
                    registration: format!("{origin}/register"),
                });
            }
            AuthorizationServer::Described { named, metadata } => {
                found.issuer = Some(named);
                found.registers = metadata.registration_endpoint.is_some()
                    || metadata.client_id_metadata_document_supported;
                found.ask_for_refresh(&metadata, server.is_challenged);
                found.metadata = Some(*metadata);
            }
        }
        found
    }

    /// `offline_access` is for the authorization server to offer (SEP-2207); it asks for nothing by itself.
    fn ask_for_refresh(&mut self, metadata: &Metadata, is_challenged: bool) {
        let is_offered = metadata.scopes_supported.iter().flatten().any(|scope| scope == OFFLINE);
        let is_there = self.scopes.iter().any(|scope| scope == OFFLINE);
        let by_person = metadata.authorization_endpoint.is_some();
        if is_offered && by_person && !is_there && !self.scopes.is_empty() {
            self.scopes.push(OFFLINE.to_owned());
        } else if !is_offered && metadata.scopes_supported.is_some() && !is_challenged {
            self.scopes.retain(|scope| scope != OFFLINE);
        }
    }

    /// The scopes to ask for; nobody refreshes what needs no person.
    pub fn scopes_for(&self, person: bool) -> Vec<String> {
        let fits = |scope: &&String| person || *scope != OFFLINE;
        self.scopes.iter().filter(fits).cloned().collect()
    }

    /// What a table leaves open, filled in.
    pub fn complete(&self, oauth: &OAuth) -> OAuth {
        let mut oauth = oauth.clone();
        oauth.issuer.clone_from(&self.issuer);
        oauth.resource.get_or_insert_with(|| self.resource.clone());
        if oauth.scopes.is_empty() {
            let by_person = oauth.grants.first().is_none_or(|grant| !grant.needs_nobody());
            oauth.scopes = self.scopes_for(by_person);
        }
        if let Some(endpoints) = &self.endpoints {
            oauth.authorization_endpoint.get_or_insert_with(|| endpoints.authorization.clone());
            oauth.token_endpoint.get_or_insert_with(|| endpoints.token.clone());
            oauth.registration_endpoint.get_or_insert_with(|| endpoints.registration.clone());
            oauth.pkce.get_or_insert(Pkce::Unverified);
        }
        let is_unnamed = oauth.client_id.is_none()
            && matches!(oauth.client, ClientRule::Own { register_at: None, authentication: None });
        if is_unnamed && self.registers && oauth.grants.first() == Some(&Grant::AuthorizationCode) {
            oauth.client = ClientRule::Register;
        }
        if self.wants_proof && oauth.dpop == Dpop::Never {
            oauth.dpop = Dpop::Required;
        }
        oauth
    }
}

/// RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    let is_part = |c: u8| (0x21..0x7f).contains(&c) && !matches!(c, b'"' | b'\\');
    !text.is_empty() && text.len() <= 512 && text.bytes().all(is_part)
}

impl Login<'_> {
    /// Asks the server at `url` who signs people in there, beginning with its refusal where there is one.
    pub fn find_out(
        &self,
        url: &str,
        refusal: Option<&Refusal>,
        trusted_issuer: Option<&str>,
    ) -> Result<Found, oauth::Error> {
        let is_known = |issuer: &str| {
            self.store.load_registration(&Key::Registration(issuer)).is_ok_and(|it| it.is_some())
                || self.store.entries().is_ok_and(|listing| {
                    listing.entries.iter().any(|it| it.issuer.as_deref() == Some(issuer))
                })
        };
        let question = Question { url, refusal, is_known: &is_known, trusted_issuer };
        self.http.block_on(discover_mcp(self.http, &question)).map(Found::of)
    }

    /// The provider with what its server says, where its table leaves that to the server.
    pub fn described<'p>(
        &self,
        name: &Name,
        provider: &'p Provider,
    ) -> Result<Cow<'p, Provider>, Error> {
        let (Some(url), Some(oauth)) = (&provider.mcp_url, provider.oauth()) else {
            return Ok(Cow::Borrowed(provider));
        };
        if oauth.names_server() {
            return Ok(Cow::Borrowed(provider));
        }
        let found = self.find_out(url, None, oauth.trusted_issuer.as_deref());
        let found = found.map_err(|source| Error::OAuth {
            name: name.clone(),
            step: "asking the server who signs people in there",
            source,
        })?;
        Ok(Cow::Owned(provider.with_oauth(&found.complete(oauth))))
    }
}
