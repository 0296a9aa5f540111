//! From a name to a credential that works now: what the environment gives, else what the store holds,
//! refreshed under the credential's lock when it ends too soon. One refresh at a time across all
//! processes of the machine; no failure deletes or weakens a record.

mod refresh;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::{Provider, Scheme};
use crate::credential::{Credential, Freshness, Kind, Name, Record, Tokens};
use crate::grant::{self, Logins};
use crate::http::Http;
use crate::oauth;
use crate::secret::Secret;
use crate::store::{self, Store};
pub use refresh::short_lived;

/// What a caller wants to have.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub name: &'a Name,
    /// As it is configured now: a credential of another server or resource is not handed out.
    pub provider: &'a Provider,
    /// The credential must live at least this long from now.
    pub min_ttl: Duration,
    /// Ask the authorization server even if the token at hand would do.
    pub force_refresh: bool,
}

/// A credential that works now.
#[derive(Debug)]
pub struct Resolved {
    pub credential: Credential,
    /// Stable, random, not secret.
    pub id: String,
    pub source: Source,
    /// It was made by a refresh just now.
    pub refreshed: bool,
    /// What the person should hear although all is well.
    pub concern: Option<Concern>,
}

/// Where a resolved credential came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The variable of that name, in the environment of this process.
    Given(String),
    Stored,
    /// Asked for just now, and kept nowhere.
    Acquired,
}

/// Something that will matter soon.
#[derive(Debug)]
pub enum Concern {
    /// The sign-in ends at that time, and only a new one helps.
    SignInEnds(Timestamp),
    /// The refresh failed for now; the token at hand lives on until that time.
    NotRefreshed { cause: Box<Error>, expires_at: Option<Timestamp> },
    /// The new tokens work, and could not be stored.
    NotStored(store::Error),
    /// Even a new token does not live as long as was asked.
    ShortLived(Timestamp),
}

/// Why there is no credential. The variants are what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not signed in to {0}")]
    NotSignedIn(Name),
    #[error("the sign-in to {name} has ended: {reason}")]
    Ended { name: Name, reason: String },
    /// What the credential is bound to is not what the configuration names now.
    #[error("the sign-in to {name} was for another {what} than the configuration names now")]
    Moved { name: Name, what: &'static str },
    /// The authorization server does not accept our client or its parameters; the tokens are untouched.
    #[error("cannot refresh {name}: the authorization server does not accept the client")]
    ClientRefused {
        name: Name,
        #[source]
        source: oauth::Error,
    },
    /// The authorization server does not carry out what the configuration asks it for; the tokens are
    /// untouched.
    #[error("cannot refresh {name}: the authorization server does not accept {what}")]
    RequestRefused {
        name: Name,
        what: &'static str,
        /// The key of the provider's `oauth` table that says it.
        key: &'static str,
        #[source]
        source: oauth::Error,
    },
    /// The server said no more than once; asking again at once would bring the same.
    #[error(
        "the refresh of {name} failed {attempts} times ({reason}); the next attempt is due at {next}"
    )]
    Failing { name: Name, attempts: u32, reason: String, next: Timestamp },
    #[error("cannot refresh {name} now")]
    TryAgain {
        name: Name,
        #[source]
        source: oauth::Error,
    },
    /// What the request begins with could not be had, so that none was sent; or it was not accepted.
    #[error("cannot renew {name}")]
    NotAsked {
        name: Name,
        #[source]
        source: grant::Error,
    },
    #[error("another process is refreshing {0} and has not finished")]
    Busy(Name),
    /// A refresh was cut off more than once; sending the token again at once would look like theft.
    #[error(
        "the refresh of {name} was cut off {attempts} times; the next attempt is due at {next}"
    )]
    CutOff { name: Name, attempts: u32, next: Timestamp },
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Everything that resolving needs; cheap to make.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    pub store: &'a Store,
    pub http: &'a Http,
    /// What grants of machines may begin with.
    pub logins: &'a dyn Logins,
    /// Time of the decision, in tests another than now.
    pub clock: fn() -> Timestamp,
}

impl Resolver<'_> {
    /// A credential for `wanted.name` from the store, fresh for at least `wanted.min_ttl`.
    ///
    /// Opens the store once. Only a credential that must be refreshed builds the HTTP client and
    /// takes the lock.
    pub fn resolve(&self, wanted: Wanted<'_>) -> Result<Resolved, Error> {
        let record = self.load(wanted)?;
        self.serve(record, wanted)
    }

    /// The same where `rejected` is of no use: refreshed, unless what the store holds by now is another one.
    pub fn replace(&self, wanted: Wanted<'_>, rejected: &Secret) -> Result<Resolved, Error> {
        let record = self.load(wanted)?;
        let is_same = record.credential.secret().expose() == rejected.expose();
        self.serve(record, Wanted { force_refresh: is_same, ..wanted })
    }

    fn serve(&self, record: Record, wanted: Wanted<'_>) -> Result<Resolved, Error> {
        match judge(&record, wanted.min_ttl, wanted.force_refresh, (self.clock)()) {
            Verdict::Use => Ok(self.usable(record)),
            Verdict::Refresh => self.refresh(&record, wanted),
            Verdict::SignIn(reason) => Err(Error::Ended { name: wanted.name.clone(), reason }),
        }
    }

    /// What the store holds for the caller, as long as it is bound to what the configuration names now.
    fn load(&self, wanted: Wanted<'_>) -> Result<Record, Error> {
        let name = || wanted.name.clone();
        let record = self.store.load(wanted.name)?.ok_or_else(|| Error::NotSignedIn(name()))?;
        match moved(&record.credential, wanted.provider) {
            Some(what) => Err(Error::Moved { name: name(), what }),
            None => Ok(record),
        }
    }

    /// A stored record as an answer.
    fn usable(&self, record: Record) -> Resolved {
        let concern = record
            .credential
            .as_oauth()
            .and_then(|(tokens, _)| sign_in_ends_soon(tokens, (self.clock)()))
            .map(Concern::SignInEnds);
        Resolved {
            credential: record.credential,
            id: record.id,
            source: Source::Stored,
            refreshed: false,
            concern,
        }
    }
}

enum Verdict {
    Use,
    Refresh,
    SignIn(String),
}

/// What a record that stands like this at `now` needs before it serves the caller.
fn judge(record: &Record, min_ttl: Duration, force_refresh: bool, now: Timestamp) -> Verdict {
    let Some((tokens, _)) = record.credential.as_oauth() else {
        return Verdict::Use;
    };
    let freshness = tokens.freshness(now, min_ttl);
    let renewable = record.credential.is_renewable();
    match (freshness, &record.refused) {
        (Freshness::Fresh, _) if !force_refresh => Verdict::Use,
        (_, Some(refused)) if !force_refresh || !renewable => {
            Verdict::SignIn(refused.reason.clone())
        }
        (_, _) if renewable => Verdict::Refresh,
        // Nothing to refresh with: a clock set back says nothing against the token.
        (Freshness::ClockSetBack | Freshness::Fresh, _) => Verdict::Use,
        (Freshness::Ending, _) => Verdict::SignIn(format!(
            "its token ends before the {} s that were asked, and the server gave no refresh token",
            min_ttl.as_secs()
        )),
        (Freshness::Expired, _) => {
            Verdict::SignIn("its token has expired, and the server gave no refresh token".into())
        }
    }
}

/// Which part of the binding the configuration names otherwise now, so that only a new sign-in fits it.
/// What it names must be what the sign-in was bound to, byte for byte; a sign-in without an issuer
/// is none with the issuer that is named. What it leaves to discovery says nothing.
fn moved(credential: &Credential, provider: &Provider) -> Option<&'static str> {
    let (_, binding) = credential.as_oauth()?;
    let Some(oauth) = provider.oauth() else {
        return Some("kind of credential");
    };
    let differs = |named: &Option<String>, bound: Option<&String>| {
        named.as_ref().is_some_and(|named| bound != Some(named))
    };
    // One that the command line chose against the configuration stays chosen.
    let overridden = oauth.client_id.is_some() && oauth.client_id == binding.client_instead_of;
    // Some servers call themselves otherwise in their own metadata, and a person trusts that.
    let is_trusted = oauth.trusted_issuer.is_some() && oauth.trusted_issuer == binding.issuer;
    let is_left_open = provider.mcp_url.is_some() && !oauth.names_server();
    if !is_trusted && differs(&oauth.issuer, binding.issuer.as_ref()) {
        Some("issuer")
    } else if differs(&oauth.token_endpoint, Some(&binding.token_endpoint)) {
        Some("token endpoint")
    } else if differs(&oauth.refresh_endpoint, Some(binding.refresh_endpoint())) {
        Some("refresh endpoint")
    } else if oauth.resource != binding.resource && !(is_left_open && oauth.resource.is_none()) {
        Some("resource")
    } else if !overridden && differs(&oauth.client_id, Some(&binding.client.client_id)) {
        Some("client")
    } else if binding.grant.is_of_machine() && !oauth.grants.contains(&binding.grant) {
        Some("grant")
    } else {
        None
    }
}

/// How long before the end of a refresh token a person is told: a weekend.
const ANNOUNCE_END: SignedDuration = SignedDuration::from_hours(72);

/// The end of the refresh token, when it is near and not merely a short life: less than three days
/// and less than a quarter of its life are left.
fn sign_in_ends_soon(tokens: &Tokens, now: Timestamp) -> Option<Timestamp> {
    let end = tokens.refresh_expires_at?;
    let left = end.duration_since(now);
    let life = end.duration_since(tokens.issued_at);
    (left < ANNOUNCE_END && left < life / 4).then_some(end)
}

/// A given secret as a credential of the kind whose variable it stood in, else of the first kind that
/// programs read a secret of. It is a key, a password or an access token, never what a refresh would
/// need; a password comes without its user.
pub fn given_credential(
    provider: &Provider,
    variable: &str,
    secret: crate::secret::Secret,
) -> Credential {
    let reads = |scheme: &&Scheme| scheme.variables.iter().any(|own| own == variable);
    let is_pasted = |scheme: &&Scheme| matches!(scheme.kind, Kind::ApiKey | Kind::Bearer);
    let has_variable = |scheme: &&Scheme| !scheme.variables.is_empty();
    let schemes = || provider.schemes.iter();
    let scheme = schemes()
        .find(reads)
        .or_else(|| schemes().filter(is_pasted).find(has_variable))
        .or_else(|| schemes().find(has_variable))
        .or_else(|| schemes().next());
    match scheme.map(|scheme| scheme.kind) {
        Some(Kind::ApiKey) => Credential::ApiKey { key: secret },
        Some(Kind::Basic) => Credential::Basic { user: String::new(), password: secret },
        _ => Credential::Bearer { token: secret },
    }
}
