//! The grants that begin with an identity which this machine has: finds it, and shows it to the server.

use super::identity::identity_token;
use super::jwt_bearer::own_assertion;
use super::{Error, Request, client_credentials, id_jag, jwt_bearer, token_exchange};
use crate::config::{Identity, IdentitySource, OAuth};
use crate::credential::{Credential, Grant, Name};
use crate::http::Http;
use crate::oauth::{
    self, Client, ClientAuthentication, ClientKey, TokenAnswer, TokenExchange, TypedToken,
};
use crate::secret::Secret;

/// The sign-ins that are stored, for grants that begin with one.
pub trait Logins {
    /// The credential of `name`, fresh.
    fn credential(&self, name: &Name) -> Result<Credential, Error>;

    /// The identity provider `name` and who signed in there.
    fn signed_in(&self, name: &Name) -> Result<AtProvider, Error>;

    /// The same with an ID token that came from elsewhere.
    fn asserted(&self, name: &Name, id_token: Secret) -> Result<AtProvider, Error>;
}

/// An ID token, and where its provider is asked for more.
#[derive(Debug)]
pub struct AtProvider {
    pub token_endpoint: String,
    /// With its key.
    pub client: Client,
    pub id_token: Secret,
}

/// A grant that needs no person, and where what it begins with is found.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    pub http: &'a Http,
    pub logins: &'a dyn Logins,
    pub oauth: &'a OAuth,
    pub grant: Grant,
}

impl Machine<'_> {
    /// Acquires tokens. Whatever the server gives to renew them with is left: the identity does that.
    pub fn acquire(&self, request: &Request<'_>) -> Result<TokenAnswer, Error> {
        let answer = match (self.grant, &self.oauth.identity, &self.oauth.identity_provider) {
            (Grant::IdJag, None, Some(name)) => {
                id_jag(self.http, name, &self.logins.signed_in(name)?, request)
            }
            (Grant::IdJag, Some(identity), Some(name)) => {
                let id_token = self.token(identity, request)?;
                id_jag(self.http, name, &self.logins.asserted(name, id_token)?, request)
            }
            (Grant::JwtBearer, Some(identity), _) => {
                let assertion = self.token(identity, request)?;
                self.http.block_on(jwt_bearer(self.http, request, &assertion))
            }
            (Grant::ClientAssertion, Some(identity), _) => self.as_client(identity, request),
            (Grant::TokenExchange, Some(identity), _) => self.exchange(identity, request),
            _ => Err(Error::NoIdentity),
        };
        let answer = answer.map_err(|error| match error {
            Error::Oauth(refused) if self.is_about_identity(&refused) => {
                Error::IdentityRefused(refused)
            }
            other => other,
        })?;
        Ok(TokenAnswer { refresh_token: None, refresh_expires_in: None, id_token: None, ..answer })
    }

    /// The client signs in as itself, and an identity token proves that it does.
    fn as_client(&self, identity: &Identity, request: &Request<'_>) -> Result<TokenAnswer, Error> {
        let client = Client {
            client_id: request.client.client_id.clone(),
            client_secret: None,
            key: Some(ClientKey::of_assertion(self.token(identity, request)?)),
            authentication: ClientAuthentication::PrivateKeyJwt,
        };
        let request = Request { client: &client, ..*request };
        self.http.block_on(client_credentials(self.http, &request))
    }

    fn exchange(&self, subject: &Identity, request: &Request<'_>) -> Result<TokenAnswer, Error> {
        let typed = |identity: &Identity| -> Result<TypedToken, Error> {
            let token = self.token(identity, request)?;
            Ok(TypedToken { token, kind: identity.token_type.clone() })
        };
        let wanted = &self.oauth.exchange;
        let actor = wanted.actor.as_ref().map(typed).transpose()?;
        let exchange = TokenExchange {
            subject: &typed(subject)?,
            actor: actor.as_ref(),
            audience: &wanted.audience,
            requested_token_type: wanted.requested_token_type.as_deref(),
        };
        self.http.block_on(token_exchange(self.http, request, &exchange))
    }

    fn token(&self, identity: &Identity, request: &Request<'_>) -> Result<Secret, Error> {
        let server = request.server;
        let usual = server.issuer.as_deref().unwrap_or(&server.token_endpoint);
        match &identity.source {
            IdentitySource::Issued(source) => {
                let named = identity.audience.as_deref();
                Ok(self.http.block_on(identity_token(self.http, source, named, usual))?)
            }
            IdentitySource::Credential(name) => Ok(self.logins.credential(name)?.secret().clone()),
            IdentitySource::Key(own) => {
                let named = identity.audience.as_ref().or(self.oauth.assertion_audience.as_ref());
                own_assertion(own, named.map_or(usual, String::as_str), request)
            }
        }
    }

    /// Whether the server refuses what was shown to it (RFC 6749 §5.2).
    fn is_about_identity(&self, error: &oauth::Error) -> bool {
        let word =
            if self.grant == Grant::ClientAssertion { "invalid_client" } else { "invalid_grant" };
        matches!(error, oauth::Error::Refused { code, .. } if code == word)
    }
}
