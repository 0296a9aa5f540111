//! What discovery found at an address, as the tables of a provider.

use crate::oauth::{ClientAuthentication, Discovered, Metadata};

/// Most scopes that are taken from a server's document.
const SCOPES: usize = 64;

/// Keys of `[provider.ID.oauth]` that follow from what was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Server {
    pub issuer: String,
    pub resource: Option<String>,
    pub scopes: Vec<String>,
    /// Where the default grant is not among those that the server has.
    pub grants: Vec<&'static str>,
    pub registers: bool,
    /// Where the server takes a client's secret in one way that is not the default.
    pub authentication: Option<&'static str>,
    pub checks_pkce: bool,
}

impl Server {
    pub fn of_issuer(metadata: &Metadata) -> Self {
        Self {
            issuer: metadata.issuer.clone(),
            grants: grants(metadata),
            registers: metadata.registration_endpoint.is_some(),
            authentication: authentication(metadata),
            checks_pkce: metadata.checks_pkce(),
            ..Self::default()
        }
    }

    pub fn of(found: &Discovered) -> Self {
        let supported = found.protected.as_ref().map(|protected| &protected.scopes_supported);
        let asked = if found.challenged_scopes.is_empty() {
            supported.cloned().unwrap_or_default()
        } else {
            found.challenged_scopes.clone()
        };
        Self {
            resource: found.protected.as_ref().map(|protected| protected.resource.clone()),
            scopes: asked.into_iter().take(SCOPES).collect(),
            ..Self::of_issuer(&found.metadata)
        }
    }
}

fn grants(metadata: &Metadata) -> Vec<&'static str> {
    if metadata.authorization_endpoint.is_some() {
        Vec::new()
    } else if metadata.device_authorization_endpoint.is_some() {
        vec!["device_code"]
    } else {
        vec!["client_credentials"]
    }
}

fn authentication(metadata: &Metadata) -> Option<&'static str> {
    let methods = metadata.token_endpoint_auth_methods_supported.as_ref()?;
    let takes = |method: ClientAuthentication| methods.iter().any(|m| m == method.as_str());
    if takes(ClientAuthentication::ClientSecretBasic) {
        None
    } else if takes(ClientAuthentication::ClientSecretPost) {
        Some(ClientAuthentication::ClientSecretPost.as_str())
    } else if takes(ClientAuthentication::None) {
        Some(ClientAuthentication::None.as_str())
    } else {
        None
    }
}
