//! Which OAuth client a login uses: the one named on the command line, the one written in the
//! configuration, the one that was brought to an earlier login, or one that authctl registered.

use super::endpoints::Endpoints;
use super::{Error, Login, Wish, key_scheme};
use crate::config::{ClientRule, OAuth};
use crate::credential::Grant;
use crate::grant::{self, KeySource, RedirectListener};
use crate::oauth::{self, Client, ClientAuthentication, RegistrationRequest};
use crate::secret::Secret;
use crate::store::{self, Key, RegistrationRecord, WRITE_WAIT};

/// A client that need not be registered.
pub(super) struct Known {
    pub(super) record: RegistrationRecord,
    /// It was brought to this login, and is kept if the server takes it.
    pub(super) is_new: bool,
}

impl Known {
    /// Whether the client may be redirected to this listener: a registered one to the URIs in its
    /// registration, one of a person's to whatever they registered.
    fn redirects_to(&self, listener: Option<&RedirectListener>) -> bool {
        let uris = &self.record.redirect_uris;
        self.record.provider.is_some()
            || listener.is_none_or(|it| uris.iter().any(|uri| uri == it.redirect_uri()))
    }
}

impl Login<'_> {
    /// The client to use without registering one; `None`: register one.
    pub(super) fn known_client(
        &self,
        wish: &Wish<'_>,
        oauth: &OAuth,
        grant: Grant,
    ) -> Result<Option<Known>, Error> {
        let issuer = registration_key(oauth);
        let brought = self.load(&Key::Client(&wish.provider.id))?;
        // What was brought for another server is not shown to this one.
        let brought = brought.filter(|record| record.issuer == issuer);
        let remembered_id = brought.as_ref().map(|record| &record.client.client_id);
        let client_id = wish.client_id.as_ref().or(oauth.client_id.as_ref()).or(remembered_id);
        if let Some(client_id) = client_id.cloned() {
            return self.own_client(wish, oauth, grant, client_id, brought).map(Some);
        }
        match &oauth.client {
            ClientRule::Register if wish.client_secret.is_none() => {
                let registered = self.load(&Key::Registration(issuer))?;
                let usable = registered.filter(|record| record.serves(grant, (self.clock)()));
                Ok(usable
                    .filter(|_| !wish.new_client)
                    .map(|record| Known { record, is_new: false }))
            }
            _ => Err(client_needed(wish, oauth, grant)),
        }
    }

    /// The client that this login uses, registered now if it must be, and the listener whose port stands
    /// in the registration and in the URL.
    pub(super) fn settle_client(
        &self,
        wish: &Wish<'_>,
        oauth: &OAuth,
        grant: Grant,
        endpoints: &Endpoints,
        mut known: Option<Known>,
    ) -> Result<(Known, Option<RedirectListener>), Error> {
        let lock = || self.store.lock(&Key::Registration(registration_key(oauth)), WRITE_WAIT);
        let mut guard = None;
        if known.is_none() {
            guard = Some(lock()?);
            // Another login may have registered one until the lock was free.
            known = self.known_client(wish, oauth, grant)?;
        }
        let listener = match grant {
            Grant::AuthorizationCode => {
                let uris = known.as_ref().map_or(&[][..], |known| &known.record.redirect_uris);
                let listener = RedirectListener::bind(&oauth.redirect, registered_port(uris));
                Some(listener.map_err(|source| Error::Grant { name: wish.name.clone(), source })?)
            }
            _ => None,
        };
        if let Some(known) = known.filter(|known| known.redirects_to(listener.as_ref())) {
            return Ok((known, listener));
        }
        let guard = guard.map_or_else(lock, Ok)?;
        let record = self.register(wish, endpoints, grant, listener.as_ref(), &guard)?;
        Ok((Known { record, is_new: false }, listener))
    }

    /// Registers a client (RFC 7591) and keeps it for every later login at this server. It can do all
    /// that one registered earlier could.
    fn register(
        &self,
        wish: &Wish<'_>,
        endpoints: &Endpoints,
        grant: Grant,
        listener: Option<&RedirectListener>,
        guard: &store::Guard,
    ) -> Result<RegistrationRecord, Error> {
        let issuer = endpoints.registration_key();
        let endpoint = endpoints.registration_endpoint.as_deref().ok_or(Error::NoEndpoint {
            provider: wish.provider.id.clone(),
            endpoint: "registration endpoint",
        })?;
        let earlier = self.load(&Key::Registration(issuer))?;
        let (mut grants, mut redirect_uris) =
            earlier.map_or_else(Default::default, |record| (record.grants, record.redirect_uris));
        if !grants.contains(&grant) {
            grants.push(grant);
        }
        if let Some(listener) = listener {
            redirect_uris = vec![listener.redirect_uri().to_owned()];
        }
        let request = RegistrationRequest {
            redirect_uris: &redirect_uris,
            grant_types: &registered_grants(&grants),
            scopes: &[],
            auth_methods_supported: endpoints.auth_methods.as_deref(),
            dpop_bound_access_tokens: endpoints.dpop_required,
        };
        let registration = self
            .http
            .block_on(oauth::register(self.http, endpoint, &request))
            .map_err(|source| Error::OAuth {
                name: wish.name.clone(),
                step: "registering a client",
                source,
            })?;
        let record = RegistrationRecord {
            format: crate::credential::FORMAT,
            issuer: issuer.to_owned(),
            provider: None,
            client: registration.client,
            redirect_uris: registration.redirect_uris,
            grants,
            created_at: (self.clock)(),
            secret_expires_at: registration.secret_expires_at,
            dpop_bound_access_tokens: registration.dpop_bound_access_tokens,
        };
        self.store.save_registration(guard, &record)?;
        Ok(record)
    }

    fn own_client(
        &self,
        wish: &Wish<'_>,
        oauth: &OAuth,
        grant: Grant,
        client_id: String,
        brought: Option<RegistrationRecord>,
    ) -> Result<Known, Error> {
        let same = brought.filter(|record| record.client.client_id == client_id);
        let kept = same.as_ref().and_then(|record| record.client.client_secret.clone());
        let given = wish.client_secret.clone();
        let is_new = given.is_some() || (wish.client_id.is_some() && same.is_none());
        let secret = given.or(kept);
        let asked = secret.is_none() && needs_secret(oauth, grant);
        let secret = if asked { Some(self.ask_client_secret(wish)?) } else { secret };
        let record = RegistrationRecord {
            format: crate::credential::FORMAT,
            issuer: registration_key(oauth).to_owned(),
            provider: Some(wish.provider.id.clone()),
            client: Client {
                authentication: authentication(oauth, secret.as_ref()),
                client_id,
                client_secret: secret,
            },
            redirect_uris: Vec::new(),
            grants: Vec::new(),
            created_at: (self.clock)(),
            secret_expires_at: None,
            dpop_bound_access_tokens: false,
        };
        Ok(Known { record, is_new: is_new || asked })
    }

    fn ask_client_secret(&self, wish: &Wish<'_>) -> Result<Secret, Error> {
        if !self.interact.can_ask() {
            return Err(Error::ClientSecretNeeded { provider: wish.provider.id.clone() });
        }
        let prompt = format!("{} client secret", wish.provider.title);
        grant::password(self.interact, &KeySource::Prompt, &prompt)
            .map_err(|source| Error::Grant { name: wish.name.clone(), source })
    }

    /// Keeps a client for later logins.
    pub(super) fn remember(&self, record: &RegistrationRecord) -> Result<(), Error> {
        let guard = self.store.lock(&record.key(), WRITE_WAIT)?;
        Ok(self.store.save_registration(&guard, record)?)
    }

    /// Forgets a registration that the server no longer knows.
    pub(super) fn forget(&self, record: &RegistrationRecord) -> Result<(), Error> {
        let guard = self.store.lock(&record.key(), WRITE_WAIT)?;
        self.store.delete_registration(&guard, &record.key())?;
        Ok(())
    }

    /// A client as stored; a damaged one counts as none.
    fn load(&self, key: &Key<'_>) -> Result<Option<RegistrationRecord>, Error> {
        Ok(store::unless_damaged(self.store.load_registration(key))?)
    }
}

fn client_needed(wish: &Wish<'_>, oauth: &OAuth, grant: Grant) -> Error {
    let register_at = match &oauth.client {
        ClientRule::Own { register_at, .. } => register_at.clone(),
        ClientRule::Register => None,
    };
    Error::ClientNeeded {
        provider: wish.provider.id.clone(),
        title: wish.provider.title.clone(),
        register_at,
        with_secret: needs_secret(oauth, grant),
        key_possible: key_scheme(wish.provider).is_some(),
    }
}

/// How the provider wants a client's secret, where it says so and there is one.
fn secret_method(oauth: &OAuth) -> Option<ClientAuthentication> {
    match &oauth.client {
        ClientRule::Own { authentication, .. } => {
            authentication.filter(|method| *method != ClientAuthentication::None)
        }
        ClientRule::Register => None,
    }
}

/// Whether the client must prove itself: on devices it cannot (RFC 8628 §3.4), and one that signs in as
/// itself has nothing else (RFC 6749 §4.4).
fn needs_secret(oauth: &OAuth, grant: Grant) -> bool {
    match grant {
        Grant::DeviceCode => false,
        Grant::AuthorizationCode => secret_method(oauth).is_some(),
        Grant::ClientCredentials => true,
    }
}

fn authentication(oauth: &OAuth, secret: Option<&Secret>) -> ClientAuthentication {
    match secret {
        None => ClientAuthentication::None,
        // RFC 6749 §2.3.1: the method that every server knows.
        Some(_) => secret_method(oauth).unwrap_or(ClientAuthentication::ClientSecretBasic),
    }
}

/// What a client registers for to use `grants`.
fn registered_grants(grants: &[Grant]) -> Vec<&'static str> {
    let mut types: Vec<_> = grants.iter().map(|grant| grant.grant_type()).collect();
    if grants.iter().any(|grant| *grant != Grant::ClientCredentials) {
        types.push("refresh_token");
    }
    types
}

/// The port of a registered loopback redirect URI: servers that compare it exactly want it again.
fn registered_port(redirect_uris: &[String]) -> Option<u16> {
    redirect_uris.iter().find_map(|uri| url::Url::parse(uri).ok()?.port())
}

/// What the registration is remembered under: the issuer, or the token endpoint of a server without one.
fn registration_key(oauth: &OAuth) -> &str {
    let named = oauth.issuer.as_deref().or(oauth.token_endpoint.as_deref());
    // A checked provider has one of the two.
    named.unwrap_or_default()
}
