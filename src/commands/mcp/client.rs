//! Who the bridge is at an authorization server: options for a client that was brought, and for what it asks.

use std::path::PathBuf;

use clap::Args;

use crate::commands::login::{read_client_key, read_client_secret};
use crate::context::Context;
use crate::credential::Grant;
use crate::error::CommandError;
use crate::login::Method;
use crate::oauth::ClientKey;
use crate::secret::Secret;

#[derive(Debug, Args)]
#[group(skip)]
pub struct Arguments {
    /// Your OAuth client at the server's authorization server
    #[arg(long, value_name = "ID", help_heading = "Sign-in")]
    client_id: Option<String>,

    /// File with the client's secret
    #[arg(long, value_name = "FILE", help_heading = "Sign-in")]
    client_secret_file: Option<PathBuf>,

    /// File with the client's private key (PEM, JWK, or a service account's JSON)
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "client_secret_file",
        help_heading = "Sign-in"
    )]
    client_key_file: Option<PathBuf>,

    /// Id of that key, where the server knows several
    #[arg(long, value_name = "KID", requires = "client_key_file", help_heading = "Sign-in")]
    key_id: Option<String>,

    /// Address of the published document about your client
    #[arg(long, value_name = "URL", help_heading = "Sign-in")]
    client_metadata_url: Option<String>,

    /// Sign in as the client itself
    #[arg(long, help_heading = "Sign-in")]
    client_credentials: bool,

    /// Scopes to ask for, instead of those that the server names
    #[arg(long, value_name = "SCOPE", value_delimiter = ' ', help_heading = "Sign-in")]
    scope: Vec<String>,

    /// Ask for tokens that are bound to a key (DPoP), and take no others
    #[arg(long, help_heading = "Sign-in")]
    dpop: bool,
}

/// The same with the files read.
#[derive(Debug, Clone)]
pub struct Client {
    pub id: Option<String>,
    pub secret: Option<Secret>,
    pub key: Option<ClientKey>,
    pub metadata_url: Option<String>,
    pub method: Method,
    pub scopes: Option<Vec<String>>,
    pub dpop: bool,
}

impl Arguments {
    pub fn read(&self, context: &Context) -> Result<Client, CommandError> {
        let secret = self.client_secret_file.as_deref();
        let key = self.client_key_file.as_deref();
        Ok(Client {
            id: self.client_id.clone(),
            secret: secret.map(|file| read_client_secret(context, file)).transpose()?,
            key: key.map(|file| read_client_key(file, self.key_id.clone())).transpose()?,
            metadata_url: self.client_metadata_url.clone(),
            method: if self.client_credentials {
                Method::Grant(Grant::ClientCredentials)
            } else {
                Method::Default
            },
            scopes: (!self.scope.is_empty()).then(|| self.scope.clone()),
            dpop: self.dpop,
        })
    }
}
