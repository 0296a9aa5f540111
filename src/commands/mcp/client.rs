//! The OAuth client of a session's sign-ins, as flags and variables give it.

use std::path::PathBuf;

use clap::Args;

use crate::commands::login::{read_client_key, read_client_secret};
use crate::context::{Context, environment};
use crate::credential::Grant;
use crate::error::CommandError;
use crate::interact::Interact;
use crate::login::Method;
use crate::oauth::ClientKey;
use crate::secret::Secret;

#[derive(Debug, Args)]
#[group(skip)]
#[command(next_help_heading = "Sign-in")]
pub struct Arguments {
    /// Your OAuth client at the authorization server; remembered
    #[arg(long, value_name = "ID", env = ID)]
    client_id: Option<String>,

    /// File with the client's secret; AUTHCTL_CLIENT_SECRET can hold it as well
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    client_secret_file: Option<PathBuf>,

    /// File with the client's private key (PEM, JWK, or a service account's JSON)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client_secret_file", "command"])]
    client_key_file: Option<PathBuf>,

    /// Id of that key, where the server knows several
    #[arg(long, value_name = "KID", requires = "client_key_file", conflicts_with = "command")]
    key_id: Option<String>,

    /// Where the client's metadata document is hosted
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    client_metadata_url: Option<String>,

    /// Sign in as the client itself
    #[arg(long, conflicts_with = "command")]
    client_credentials: bool,

    /// Scopes to ask for, instead of those that the server names
    #[arg(long, value_name = "SCOPE", value_delimiter = ' ', conflicts_with = "command")]
    scope: Vec<String>,

    /// Ask for tokens that are bound to a key (DPoP), and take no others
    #[arg(long, conflicts_with = "command")]
    dpop: bool,
}

/// The same, read.
#[derive(Clone)]
pub struct Client {
    pub id: Option<String>,
    pub secret: Option<Secret>,
    pub key: Option<ClientKey>,
    pub metadata_url: Option<String>,
    pub method: Method,
    pub scopes: Option<Vec<String>>,
    pub dpop: bool,
}

/// The client's id, which may stand in the environment of every command.
const ID: &str = "AUTHCTL_CLIENT_ID";

/// The client's secret, where a file would be in the way.
const SECRET: &str = "AUTHCTL_CLIENT_SECRET";

impl Arguments {
    /// A local server is no place to send it to. Variables may be there for other servers.
    pub fn refuse_id(&self, interact: &dyn Interact) -> Result<(), CommandError> {
        if self.client_id != environment(ID) {
            return Err(CommandError::usage("--client-id fits only a server that has an address"));
        }
        for variable in [ID, SECRET].into_iter().filter(|name| environment(name).is_some()) {
            interact.notice(&format!(
                "{variable} is set, and is not used here: a command signs in nowhere."
            ));
        }
        Ok(())
    }
}

impl Client {
    pub fn read(context: &Context, arguments: &Arguments) -> Result<Self, CommandError> {
        let secret = match &arguments.client_secret_file {
            Some(file) => Some(read_client_secret(context, file)?),
            None if arguments.client_key_file.is_some() => None,
            None => environment(SECRET).map(Secret::new),
        };
        let key_file = arguments.client_key_file.as_deref();
        Ok(Self {
            id: arguments.client_id.clone(),
            secret,
            key: read_client_key(key_file, arguments.key_id.clone())?,
            metadata_url: arguments.client_metadata_url.clone(),
            method: if arguments.client_credentials {
                Method::Grant(Grant::ClientCredentials)
            } else {
                Method::Default
            },
            scopes: (!arguments.scope.is_empty()).then(|| arguments.scope.clone()),
            dpop: arguments.dpop,
        })
    }
}
