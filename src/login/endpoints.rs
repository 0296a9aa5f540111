//! The authorization server of one login: what the provider's entry names, else what the server's
//! metadata names, and whether PKCE can be relied on there.

use super::Error;
use crate::config::{Dpop, OAuth, Pkce, Provider};
use crate::credential::Grant;
use crate::grant::Server;
use crate::interact::Interact;
use crate::oauth::Metadata;
use crate::text;

/// The authorization server of one login: what the provider names, else what its metadata names.
pub(super) struct Endpoints {
    pub(super) server: Server,
    /// What a registration is remembered under.
    pub(super) registration_key: String,
    /// A URL that we name will do as `client_id`.
    pub(super) takes_documents: bool,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) registration_endpoint: Option<String>,
    pub(super) auth_methods: Option<Vec<String>>,
    /// The server promises to check PKCE with S256.
    pub(super) pkce_checked: bool,
    /// The algorithms of client assertions.
    pub(super) signing_algorithms: Option<Vec<String>>,
    /// A client that is registered now is to get bound tokens alone.
    pub(super) dpop_required: bool,
}

impl Endpoints {
    pub(super) fn new(
        interact: &dyn Interact,
        provider: &Provider,
        oauth: &OAuth,
        metadata: Option<&Metadata>,
        grant: Grant,
    ) -> Result<Self, Error> {
        let named = |own: &Option<String>, found: fn(&Metadata) -> &Option<String>| {
            own.clone().or_else(|| metadata.and_then(|metadata| found(metadata).clone()))
        };
        let missing = |endpoint| Error::NoEndpoint { provider: provider.id.clone(), endpoint };
        let authorization_endpoint =
            named(&oauth.authorization_endpoint, |m| &m.authorization_endpoint);
        let device_authorization_endpoint =
            named(&oauth.device_authorization_endpoint, |m| &m.device_authorization_endpoint);
        let push_endpoint = named(&oauth.pushed_authorization_request_endpoint, |m| {
            &m.pushed_authorization_request_endpoint
        });
        // RFC 9126 §5.
        let pushes = oauth.pushed_authorization
            || metadata.is_some_and(|m| m.require_pushed_authorization_requests);
        match grant {
            Grant::AuthorizationCode if authorization_endpoint.is_none() => {
                return Err(missing("authorization endpoint"));
            }
            Grant::DeviceCode if device_authorization_endpoint.is_none() => {
                return Err(missing("device authorization endpoint"));
            }
            Grant::AuthorizationCode if pushes && push_endpoint.is_none() => {
                return Err(missing("pushed authorization request endpoint"));
            }
            Grant::AuthorizationCode => require_pkce(interact, provider, oauth, metadata)?,
            _ => {}
        }
        let token_endpoint = named(&oauth.token_endpoint, |m| &m.token_endpoint)
            .ok_or_else(|| missing("token endpoint"))?;
        Ok(Self {
            registration_key: oauth.issuer.as_ref().unwrap_or(&token_endpoint).clone(),
            takes_documents: metadata.is_some_and(|m| m.client_id_metadata_document_supported),
            server: Server {
                issuer: own_issuer(interact, provider, oauth, metadata),
                authorization_endpoint,
                token_endpoint,
                device_authorization_endpoint,
                pushed_authorization_request_endpoint: push_endpoint,
                pushes,
                iss_required: metadata
                    .is_some_and(|m| m.authorization_response_iss_parameter_supported),
            },
            revocation_endpoint: named(&oauth.revocation_endpoint, |m| &m.revocation_endpoint),
            registration_endpoint: named(&oauth.registration_endpoint, |m| {
                &m.registration_endpoint
            }),
            auth_methods: metadata.and_then(|m| m.token_endpoint_auth_methods_supported.clone()),
            pkce_checked: metadata.is_some_and(Metadata::checks_pkce)
                || oauth.pkce == Some(Pkce::S256),
            signing_algorithms: metadata
                .and_then(|m| m.token_endpoint_auth_signing_alg_values_supported.clone()),
            dpop_required: oauth.dpop == Dpop::Required,
        })
    }
}

/// The issuer as the server spells it. Where that is not how it is named, a person has said that it may.
fn own_issuer(
    interact: &dyn Interact,
    provider: &Provider,
    oauth: &OAuth,
    metadata: Option<&Metadata>,
) -> Option<String> {
    let named = oauth.issuer.as_ref()?;
    let own = metadata.map_or(named, |metadata| &metadata.issuer);
    if own != named {
        let (own, named) = (text::clean(own), text::clean(named));
        interact.warn(&format!(
            "the metadata of {named} names the issuer {own}; [provider.{}.oauth] trusts that",
            provider.id
        ));
    }
    Some(own.clone())
}

/// S256 is always sent. A server that does not promise to check it, in its metadata or by the
/// provider's entry, is refused; `pkce = "unverified"` there is the exception, and it is announced.
fn require_pkce(
    interact: &dyn Interact,
    provider: &Provider,
    oauth: &OAuth,
    metadata: Option<&Metadata>,
) -> Result<(), Error> {
    if metadata.is_some_and(Metadata::checks_pkce) {
        return Ok(());
    }
    match oauth.pkce {
        Some(Pkce::S256) => Ok(()),
        Some(Pkce::Unverified) => {
            interact.warn(&format!(
                "{} does not say whether it checks PKCE; this sign-in relies on its state check alone",
                provider.title
            ));
            Ok(())
        }
        None => {
            Err(Error::NoPkce { provider: provider.id.clone(), mcp_url: provider.mcp_url.clone() })
        }
    }
}
