//! What can go wrong while a credential is acquired.

use std::io;
use std::path::PathBuf;

use super::IdentityError;
use crate::credential::Name;
use crate::interact::Unanswered;
use crate::oauth::{self, KeyError};
use crate::private_file;
use crate::secret::Unfit;

/// Each variant is something else to do for whoever asked for the login.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Oauth(#[from] oauth::Error),
    /// `access_denied`: the person, or a policy of the server, said no.
    #[error("access was denied at {host}{}", explained(description.as_deref()))]
    Denied { host: String, description: Option<String> },
    /// The server did not take the authorization request; no browser was opened (RFC 9126 §2.3).
    #[error("the authorization request was not taken")]
    Pushed(#[source] oauth::Error),
    /// The device code ended before it was confirmed.
    #[error("the code for {host} ended before it was confirmed")]
    Expired { host: String },
    /// Nobody came back from the browser.
    #[error("no answer from the browser within {minutes} minutes")]
    TimedOut { minutes: u64 },
    /// The login does not wait any longer; it knows why.
    #[error("the wait was called off")]
    CalledOff,
    /// The registration fixes the port of the redirect URI, and another program has it.
    #[error("port {port} is used by another program, and the registration allows no other")]
    PortTaken { port: u16 },
    #[error("cannot listen for the browser's answer")]
    Listen(#[source] io::Error),
    /// The browser brought an answer that was ours and is no code.
    #[error("{host} did not complete the sign-in")]
    Redirect {
        host: String,
        #[source]
        reason: oauth::RedirectError,
    },
    /// The server does not offer what the grant needs.
    #[error("{host} has no {endpoint}")]
    Unsupported { host: String, endpoint: &'static str },
    #[error("the key cannot be used: {0}")]
    BadKey(Unfit),
    #[error("nothing was piped in: the key is read from standard input")]
    NothingPiped,
    #[error("cannot read the key from standard input")]
    Stdin(#[source] io::Error),
    #[error("cannot read the key from {path}")]
    KeyFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("no key was given: {0}")]
    Unanswered(#[source] Unanswered),
    #[error("cannot read the client's key in {path}")]
    ClientKeyFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the key in {place} cannot be used")]
    ClientKey {
        place: String,
        #[source]
        source: KeyError,
    },
    #[error(transparent)]
    PrivateFile(#[from] private_file::Error),
    /// The algorithm of the key is none of those that the server takes from clients.
    #[error("the key signs with {algorithm}, and {host} takes {supported} alone")]
    Algorithm { host: String, algorithm: &'static str, supported: String },
    #[error("there is no key to sign an assertion with")]
    NoKey,
    #[error("nothing says who the assertion is from")]
    NoIssuer,
    #[error("nothing says with which identity to ask")]
    NoIdentity,
    /// A service account's file names another server than the configuration.
    #[error("the key in {place} is for {named}, and would be used at {endpoint}")]
    KeyElsewhere { place: String, named: String, endpoint: String },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// `invalid_grant`: the server checked the identity, and wants another.
    #[error("the authorization server does not accept the identity")]
    IdentityRefused(#[source] oauth::Error),
    /// The sign-in that this one begins with.
    #[error("the sign-in to {name}, which this one begins with, is of no use now: {reason}")]
    Login { name: Name, reason: String, why: Unobtained },
    #[error("{name} gave no assertion for this server")]
    AtIdentityProvider {
        name: Name,
        #[source]
        source: oauth::Error,
    },
}

/// What helps where another sign-in is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unobtained {
    SignIn,
    Later,
    Otherwise,
}

fn explained(description: Option<&str>) -> String {
    description.map(|text| format!(": {text}")).unwrap_or_default()
}
