//! How a login can fail, told apart by what the person or the caller may do next.

use super::Why;
use crate::credential::Name;
use crate::interact::Unanswered;
use crate::store::{self, Ended, PendingRecord};
use crate::{grant, oauth};

/// Why a login did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{provider} has no {what}")]
    NoSuchWay { provider: String, what: &'static str },
    /// The provider wants a client of the user's own and none is known.
    #[error("{title} needs an OAuth client of your own, and none is known here")]
    ClientNeeded {
        provider: String,
        title: String,
        register_at: Option<String>,
        /// Whether it needs a secret, too.
        with_secret: bool,
        key_possible: bool,
    },
    #[error(
        "the authorization server of {name} does not know the client that was registered there"
    )]
    ClientForgotten {
        name: Name,
        #[source]
        source: grant::Error,
    },
    /// MCP, client registration: registered credentials belong to one issuer.
    #[error(
        "the OAuth client {client_id} is for {before}, and {provider} now sends people to {issuer}; it was not shown there"
    )]
    ClientElsewhere { provider: String, client_id: String, before: String, issuer: String },
    #[error(
        "the authorization server of {provider} registers nobody, and takes clients that publish a document about themselves"
    )]
    DocumentNeeded { provider: String },
    #[error("{provider} needs the client's secret")]
    ClientSecretNeeded { provider: String },
    #[error("{provider} needs the client's private key")]
    ClientKeyNeeded { provider: String },
    #[error("{provider}: its authorization server names no {endpoint}")]
    NoEndpoint { provider: String, endpoint: &'static str },
    #[error(
        "the authorization server of {provider} does not promise to check PKCE with S256; without that a stolen code works"
    )]
    NoPkce { provider: String, mcp_url: Option<String> },
    /// RFC 9449 §5.1.
    #[error(
        "the authorization server of {provider} does not say that it binds tokens to keys (DPoP with ES256)"
    )]
    NoDpop { provider: String },
    #[error("cannot make a key to bind the tokens to")]
    NoKey(#[source] oauth::KeyError),
    #[error("another login to {0} is under way and did not end")]
    Busy(Name),
    /// All is prepared, and a person has to do their part.
    #[error("the sign-in to {} waits for its answer, and there is nobody to ask", .0.shown_name())]
    Unfinished(Box<PendingRecord>),
    /// Another process has this login's answer, or had its own a moment ago.
    #[error("{}", said_elsewhere(name, *ended))]
    EndedElsewhere { name: Name, ended: Ended },
    /// Left the turn to a person at a terminal; never the end of a login.
    #[error("stepped back for another login")]
    SteppedBack,
    #[error("cannot finish the sign-in to {name}: {why}")]
    Resume { name: Name, why: Why },
    #[error("cannot sign in to {name}{}", step(source))]
    Grant {
        name: Name,
        #[source]
        source: grant::Error,
    },
    /// The answer is there and was not sent: it is still good.
    #[error("cannot sign in to {name}{}", step(source))]
    NotSent {
        name: Name,
        #[source]
        source: grant::Error,
    },
    #[error("cannot sign in to {name} as {user}")]
    Password {
        name: Name,
        user: String,
        #[source]
        source: grant::Error,
    },
    #[error("cannot sign in to {name} ({step})")]
    OAuth {
        name: Name,
        /// What was being done.
        step: &'static str,
        #[source]
        source: oauth::Error,
    },
    /// RFC 7591 §3.2.2.
    #[error("cannot sign in to {name} (registering a client)")]
    NotRegistered {
        name: Name,
        #[source]
        source: oauth::Error,
    },
    #[error(
        "a user name for basic authentication cannot be empty or contain ':' or control characters"
    )]
    BadUser,
    #[error("cannot sign in to {0}: no user name was given, and there is no terminal to ask at")]
    NoUser(Name),
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether the server has no device grant, or this client may not use it (RFC 6749 §5.2, RFC 7591
    /// §3.2.2; `device_flow_disabled` is GitHub's word).
    pub(super) fn is_no_such_grant(&self) -> bool {
        let refused = |error: &oauth::Error| {
            matches!(error, oauth::Error::Refused { code, .. } if matches!(
                code.as_str(),
                "unauthorized_client" | "unsupported_grant_type" | "invalid_client_metadata" | "device_flow_disabled"
            ))
        };
        match self {
            Error::NoEndpoint { .. } => true,
            Error::Grant { source: grant::Error::Oauth(error), .. }
            | Error::ClientForgotten { source: grant::Error::Oauth(error), .. }
            | Error::NotRegistered { source: error, .. }
            | Error::OAuth { source: error, .. } => refused(error),
            _ => false,
        }
    }
}

fn said_elsewhere(name: &Name, ended: Ended) -> String {
    let what = match ended {
        Ended::SignedIn => "succeeded",
        Ended::Denied => "was declined",
        Ended::Unanswered => "had no answer",
        Ended::Failed => "failed",
    };
    format!("the sign-in to {name} that was under way {what} a moment ago")
}

/// What was being done when the network, or the server, was in the way.
fn step(error: &grant::Error) -> &'static str {
    match error {
        grant::Error::Oauth(oauth::Error::Refused { .. }) => "",
        grant::Error::Oauth(_) => " (asking for tokens)",
        _ => "",
    }
}
