//! Credentials that need nobody: where none is stored, one is acquired when it is used, and kept if there
//! is a store; and the stored sign-ins with which such an acquisition begins.

use std::time::Duration;

use jiff::Timestamp;

use super::Context;
use crate::config::OAuth;
use crate::credential::{Credential, Name, Tokens};
use crate::error::{CommandError, Kind};
use crate::grant::{self, AtProvider, Logins, Unobtained};
use crate::login::{self, Wish};
use crate::resolve::{self, Resolved, Source, Wanted};
use crate::secret::Secret;
use crate::store;

/// How many sign-ins may begin with each other.
const LONGEST_CHAIN: u8 = 3;
/// Least time that a token lives with which another is asked for.
const MIN_TTL: Duration = Duration::from_mins(1);

impl Context {
    /// A credential for `wanted` in place of one that could not be had from the store, if its provider needs
    /// nobody for it. That of a job is kept in memory alone, and so is any where there is no store.
    pub fn acquire_instead(
        &self,
        wanted: Wanted<'_>,
        error: &resolve::Error,
    ) -> Result<Option<Resolved>, CommandError> {
        use resolve::Error as E;
        if !wanted.provider.needs_no_login() {
            return Ok(None);
        }
        let is_kept = match error {
            E::NotSignedIn(_) | E::Moved { .. } => {
                !wanted.provider.oauth().is_some_and(OAuth::is_of_job)
            }
            E::Store(store::Error::Unavailable { .. }) => false,
            _ => return Ok(None),
        };
        let login = self.login()?;
        let provider = login.described(wanted.name, wanted.provider)?;
        let mut wish = Wish::by_default(wanted.name, &provider);
        wish.since = matches!(error, E::NotSignedIn(_)).then_some(Timestamp::MIN);
        let (credential, id, source) = if is_kept {
            let record = match login.run(&wish) {
                Ok(outcome) => outcome.record,
                // Whoever signs in to the server's address may bring one.
                Err(login::Error::ClientNeeded { .. }) if wanted.provider.asked_at().is_some() => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            (record.credential, record.id, Source::Stored)
        } else {
            let credential = login.acquire(&wish)?;
            (credential, self.given_id(wanted.provider)?, Source::Acquired)
        };
        let concern = resolve::short_lived(&credential, Timestamp::now(), wanted.min_ttl);
        Ok(Some(Resolved { credential, id, source, refreshed: true, concern }))
    }

    fn fresh(&self, wanted: Wanted<'_>) -> Result<Credential, CommandError> {
        let error = match self.resolver()?.resolve(wanted) {
            Ok(resolved) => return Ok(resolved.credential),
            Err(error) => error,
        };
        let acquired = self.acquire_instead(wanted, &error)?;
        acquired.map(|resolved| resolved.credential).ok_or_else(|| error.into())
    }

    fn fresh_of(&self, name: &Name) -> Result<Credential, CommandError> {
        let provider = self.provider(name)?;
        self.fresh(Wanted { name, provider, min_ttl: MIN_TTL, force_refresh: false })
    }

    /// A sign-in with an ID token that lives.
    fn identity(&self, name: &Name) -> Result<AtProvider, CommandError> {
        let provider = self.provider(name)?;
        let wanted = Wanted { name, provider, min_ttl: MIN_TTL, force_refresh: false };
        let credential = self.fresh(wanted)?;
        let ended = !has_id_token(&credential);
        let credential = if ended && credential.is_renewable() {
            self.fresh(Wanted { force_refresh: true, ..wanted })?
        } else {
            credential
        };
        let has_one = has_id_token(&credential);
        let (
            Credential::OAuth { tokens: Tokens { id_token: Some(id_token), .. }, binding },
            Some(oauth),
        ) = (credential, provider.oauth().filter(|_| has_one))
        else {
            let what = "it has no ID token that lives; one comes with the scope openid";
            return Err(CommandError::new(Kind::LoginRequired, what));
        };
        binding.confine(&self.http);
        let issuer = binding.issuer.as_deref();
        let client = grant::with_key(&binding.client, oauth, issuer, &binding.token_endpoint)
            .map_err(|source| resolve::Error::NotAsked { name: name.clone(), source })?;
        Ok(AtProvider { token_endpoint: binding.token_endpoint, client, id_token })
    }

    /// One sign-in may begin with another, and that with a third.
    fn within<T>(
        &self,
        name: &Name,
        work: impl FnOnce() -> Result<T, CommandError>,
    ) -> Result<T, grant::Error> {
        let depth = self.chain.get();
        self.chain.set(depth + 1);
        let outcome = if depth < LONGEST_CHAIN {
            work()
        } else {
            Err(CommandError::usage("the providers begin with each other in a circle"))
        };
        self.chain.set(depth);
        outcome.map_err(|error| grant::Error::Login {
            name: name.clone(),
            reason: error.message().to_owned(),
            why: match error.kind() {
                Kind::LoginRequired => Unobtained::SignIn,
                Kind::TryAgain => Unobtained::Later,
                _ => Unobtained::Otherwise,
            },
        })
    }
}

fn has_id_token(credential: &Credential) -> bool {
    let id_token = credential.as_oauth().and_then(|(tokens, _)| tokens.id_token.as_ref());
    id_token.is_some_and(|token| grant::ends_at(token).is_none_or(|end| end > Timestamp::now()))
}

impl Logins for Context {
    fn credential(&self, name: &Name) -> Result<Credential, grant::Error> {
        self.within(name, || self.fresh_of(name))
    }

    fn signed_in(&self, name: &Name) -> Result<AtProvider, grant::Error> {
        self.within(name, || self.identity(name))
    }

    fn asserted(&self, name: &Name, id_token: Secret) -> Result<AtProvider, grant::Error> {
        self.within(name, || {
            let (token_endpoint, client) = self.login()?.client_at(name, self.provider(name)?)?;
            Ok(AtProvider { token_endpoint, client, id_token })
        })
    }
}
