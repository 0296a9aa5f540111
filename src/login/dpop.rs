//! Whether a login asks for tokens that are bound to a key (RFC 9449), and the key that it makes for them:
//! a new one at each sign-in.

use super::{Error, Wish};
use crate::config::{self, OAuth};
use crate::oauth::{Dpop, DpopKey, Metadata};
use crate::secret::Secret;
use crate::store::RegistrationRecord;

/// The key of the credential that is being acquired.
pub(super) struct NewKey {
    key: DpopKey,
    /// As the record will keep it.
    pub(super) kept: Secret,
    pub(super) required: bool,
}

impl NewKey {
    pub(super) fn as_dpop(&self) -> Dpop<'_> {
        Dpop { key: &self.key, required: self.required }
    }
}

/// A key, where the provider's entry asks for one or the client is registered for bound tokens
/// alone. Without need, a server that does not say that it takes proofs is not sent any.
pub(super) fn new_key(
    wish: &Wish<'_>,
    oauth: &OAuth,
    metadata: Option<&Metadata>,
    client: &RegistrationRecord,
) -> Result<Option<NewKey>, Error> {
    let required = oauth.dpop == config::Dpop::Required || client.dpop_bound_access_tokens;
    if !required && oauth.dpop == config::Dpop::Never {
        return Ok(None);
    }
    if metadata.is_some_and(|metadata| !metadata.takes_dpop()) {
        let provider = wish.provider.id.clone();
        return if required { Err(Error::NoDpop { provider }) } else { Ok(None) };
    }
    let (key, kept) = DpopKey::generate().map_err(Error::NoKey)?;
    Ok(Some(NewKey { key, kept, required }))
}
