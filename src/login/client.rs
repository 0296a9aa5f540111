//! Which OAuth client a login uses: the one named on the command line, the one written in the
//! configuration, the one that was brought to an earlier login, or one that authctl registered.

use super::endpoints::Endpoints;
use super::{Error, Login, Wish, key_scheme, oauth_scheme};
use crate::config::{ClientRule, IdentitySource, OAuth, Provider};
use crate::credential::{Grant, Name, client_format};
use crate::grant::{self, KeySource, RedirectListener};
use crate::oauth::{self, Client, ClientAuthentication, ClientKey, RegistrationRequest};
use crate::secret::Secret;
use crate::store::{self, Key, RegistrationRecord, WRITE_WAIT};
use crate::text;

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

    /// Sends the secret of a client that a person brought in a way that the server takes (RFC 8414 §2),
    /// where the configuration says none.
    fn prove_as(&mut self, oauth: &OAuth, supported: Option<&[String]>) {
        use ClientAuthentication::{ClientSecretBasic, ClientSecretPost};
        let takes = |it: ClientAuthentication| {
            supported.is_none_or(|all| all.iter().any(|other| other == it.as_str()))
        };
        let client = &mut self.record.client;
        if self.record.provider.is_some()
            && named_method(oauth).is_none()
            && client.authentication == ClientSecretBasic
            && !takes(ClientSecretBasic)
            && takes(ClientSecretPost)
        {
            client.authentication = ClientSecretPost;
        }
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
        self.refuse_elsewhere(wish, oauth, brought.as_ref())?;
        // What was brought for another server is not shown to this one.
        let brought = brought.filter(|record| record.issuer == issuer);
        let remembered_id = brought.as_ref().map(|record| &record.client.client_id);
        let client_id = wish.client_id.as_ref().or(oauth.client_id.as_ref()).or(remembered_id);
        if let Some(client_id) = client_id.cloned() {
            return self.own_client(wish, oauth, grant, client_id, brought).map(Some);
        }
        match &oauth.client {
            ClientRule::Own { .. } if may_be_anonymous(oauth, grant) => {
                self.own_client(wish, oauth, grant, String::new(), brought).map(Some)
            }
            ClientRule::Register if !wish.brings_client() => {
                let registered = self.load(&Key::Registration(issuer))?;
                let usable = registered.filter(|record| record.serves(grant, (self.clock)()));
                Ok(usable
                    .filter(|_| !wish.new_client)
                    .map(|record| Known { record, is_new: false }))
            }
            _ => Err(client_needed(wish, oauth, grant)),
        }
    }

    /// Our client at a provider, and its token endpoint, for a request that is no login.
    pub fn client_at(&self, name: &Name, provider: &Provider) -> Result<(String, Client), Error> {
        const GRANT: Grant = Grant::TokenExchange;
        let (wish, oauth) = (Wish::by_default(name, provider), oauth_scheme(provider)?);
        let known = self.known_client(&wish, oauth, GRANT)?;
        let known = known.ok_or_else(|| client_needed(&wish, oauth, GRANT))?;
        let metadata = self.discover(&wish, oauth, GRANT)?;
        let endpoints = Endpoints::new(self.interact, provider, oauth, metadata.as_ref(), GRANT)?;
        let client = with_key(&wish, oauth, &endpoints, &known)?;
        Ok((endpoints.server.token_endpoint, client))
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
        // A client that authctl registered is the last resort (MCP, client registration).
        if known.as_ref().is_none_or(|known| known.record.provider.is_none()) {
            known = self.published_client(wish, oauth, grant, endpoints).or(known);
        }
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
        if let Some(mut known) = known.filter(|known| known.redirects_to(listener.as_ref())) {
            known.prove_as(oauth, endpoints.auth_methods.as_deref());
            return Ok((known, listener));
        }
        let guard = guard.map_or_else(lock, Ok)?;
        let record = self.register(wish, endpoints, grant, listener.as_ref(), &guard)?;
        Ok((Known { record, is_new: false }, listener))
    }

    /// The client whose document is published somewhere, where the server takes such.
    fn published_client(
        &self,
        wish: &Wish<'_>,
        oauth: &OAuth,
        grant: Grant,
        endpoints: &Endpoints,
    ) -> Option<Known> {
        let url = oauth.client_metadata_url.as_ref().or(wish.client_metadata_url.as_ref())?;
        let is_fit = grant == Grant::AuthorizationCode
            && endpoints.takes_documents
            && oauth.client == ClientRule::Register
            && !endpoints.dpop_required
            && !wish.brings_client();
        let client = Client {
            client_id: url.clone(),
            client_secret: None,
            key: None,
            authentication: ClientAuthentication::None,
        };
        is_fit.then(|| self.unregistered(wish, oauth, client, false))
    }

    /// A client that was brought for one authorization server is not shown to the next (MCP, client
    /// registration): the person says which one is for it.
    fn refuse_elsewhere(
        &self,
        wish: &Wish<'_>,
        oauth: &OAuth,
        brought: Option<&RegistrationRecord>,
    ) -> Result<(), Error> {
        if wish.provider.mcp_url.is_none() || wish.new_client || !wish.client_is_standing {
            return Ok(());
        }
        let named = wish.client_id.as_ref().or(oauth.client_id.as_ref());
        let issuer = registration_key(oauth);
        let before = brought
            .filter(|it| named.is_none_or(|named| *named == it.client.client_id))
            .map(|it| (it.client.client_id.clone(), it.issuer.clone()));
        let before = match (before, named) {
            (None, Some(named)) => {
                let record = store::unless_damaged(self.store.load(wish.name))?;
                record.and_then(|record| {
                    let (_, binding) = record.credential.as_oauth()?;
                    let client_id = &binding.client.client_id;
                    Some((client_id.clone(), binding.issuer.clone()?))
                        .filter(|_| client_id == named)
                })
            }
            (before, _) => before,
        };
        match before {
            Some((client_id, before))
                if before != issuer && oauth.trusted_issuer.as_ref() != Some(&before) =>
            {
                Err(Error::ClientElsewhere {
                    provider: wish.provider.id.clone(),
                    client_id: text::clean(&client_id),
                    before: text::clean(&before),
                    issuer: text::clean(issuer),
                })
            }
            _ => Ok(()),
        }
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
        let issuer = endpoints.registration_key.as_str();
        let Some(endpoint) = endpoints.registration_endpoint.as_deref() else {
            return Err(no_registration(wish, endpoints));
        };
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
            .map_err(|source| Error::NotRegistered { name: wish.name.clone(), source })?;
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
        let is_new = wish.brings_client() || (wish.client_id.is_some() && same.is_none());
        let (mut secret, key) = proofs(wish, oauth, same.map(|record| record.client));
        let has_key = key.is_some() || oauth.client_key_file.is_some();
        let asked = secret.is_none() && !has_key && needs_proof(oauth, grant);
        if asked {
            secret = Some(self.ask_client_secret(wish, oauth)?);
        }
        let client = Client {
            authentication: authentication(oauth, grant, secret.is_some(), has_key),
            client_id,
            client_secret: secret,
            key,
        };
        Ok(self.unregistered(wish, oauth, client, is_new || asked))
    }

    fn unregistered(&self, wish: &Wish<'_>, oauth: &OAuth, client: Client, is_new: bool) -> Known {
        let record = RegistrationRecord {
            format: client_format(&client),
            issuer: registration_key(oauth).to_owned(),
            provider: Some(wish.provider.id.clone()),
            client,
            redirect_uris: Vec::new(),
            grants: Vec::new(),
            created_at: (self.clock)(),
            secret_expires_at: None,
            dpop_bound_access_tokens: false,
        };
        Known { record, is_new }
    }

    fn ask_client_secret(&self, wish: &Wish<'_>, oauth: &OAuth) -> Result<Secret, Error> {
        if named_method(oauth) == Some(ClientAuthentication::PrivateKeyJwt) {
            return Err(Error::ClientKeyNeeded { provider: wish.provider.id.clone() });
        }
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

    /// A client as stored; a damaged one counts as none. Nor is there one without a store, which a login
    /// that saves something has proved before.
    fn load(&self, key: &Key<'_>) -> Result<Option<RegistrationRecord>, Error> {
        match store::unless_damaged(self.store.load_registration(key)) {
            Err(store::Error::Unavailable { .. }) => Ok(None),
            other => Ok(other?),
        }
    }
}

/// The client as it shows itself to the server, which must take what its key signs.
pub(super) fn with_key(
    wish: &Wish<'_>,
    oauth: &OAuth,
    endpoints: &Endpoints,
    known: &Known,
) -> Result<Client, Error> {
    let (client, server) = (&known.record.client, &endpoints.server);
    let failed = |source| Error::Grant { name: wish.name.clone(), source };
    let client = grant::with_key(client, oauth, server.issuer.as_deref(), &server.token_endpoint)
        .map_err(failed)?;
    if client.authentication == ClientAuthentication::PrivateKeyJwt {
        let supported = endpoints.signing_algorithms.as_deref();
        grant::check_algorithm(&client, supported, &server.token_endpoint).map_err(failed)?;
    }
    Ok(client)
}

/// Nobody registers here: where the server takes documents, one would do.
fn no_registration(wish: &Wish<'_>, endpoints: &Endpoints) -> Error {
    if endpoints.takes_documents {
        return Error::DocumentNeeded { provider: wish.provider.id.clone() };
    }
    Error::NoEndpoint { provider: wish.provider.id.clone(), endpoint: "registration endpoint" }
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
        with_secret: needs_proof(oauth, grant),
        key_possible: key_scheme(wish.provider).is_some(),
    }
}

impl Wish<'_> {
    fn brings_client(&self) -> bool {
        self.client_secret.is_some() || self.client_key.is_some()
    }
}

/// What the client can prove itself with: what is brought now, else what was brought before. The key in a
/// file that the configuration names is read when it is used.
fn proofs(
    wish: &Wish<'_>,
    oauth: &OAuth,
    kept: Option<Client>,
) -> (Option<Secret>, Option<ClientKey>) {
    if wish.brings_client() {
        return (wish.client_secret.clone(), wish.client_key.clone());
    }
    match kept {
        Some(_) if oauth.client_key_file.is_some() => (None, None),
        Some(client) => (client.client_secret, client.key),
        None => (None, None),
    }
}

/// How the provider wants the client to prove itself, where it says so and there is a way.
fn named_method(oauth: &OAuth) -> Option<ClientAuthentication> {
    match &oauth.client {
        ClientRule::Own { authentication, .. } => {
            authentication.filter(|method| *method != ClientAuthentication::None)
        }
        ClientRule::Register => None,
    }
}

/// Whether the client must prove itself: on devices it cannot by a secret (RFC 8628 §3.4), and one that
/// signs in as itself has nothing else (RFC 6749 §4.4).
fn needs_proof(oauth: &OAuth, grant: Grant) -> bool {
    match grant {
        Grant::DeviceCode => named_method(oauth) == Some(ClientAuthentication::PrivateKeyJwt),
        Grant::ClientCredentials => true,
        // The identity is the proof.
        Grant::ClientAssertion => false,
        _ => named_method(oauth).is_some(),
    }
}

/// Whether the request can go without a client (RFC 7521 §4.1, RFC 8693 §2.1).
fn may_be_anonymous(oauth: &OAuth, grant: Grant) -> bool {
    let of_machine = matches!(grant, Grant::JwtBearer | Grant::TokenExchange);
    of_machine && named_method(oauth).is_none() && oauth.client_key_file.is_none()
}

fn authentication(
    oauth: &OAuth,
    grant: Grant,
    has_secret: bool,
    has_key: bool,
) -> ClientAuthentication {
    use ClientAuthentication::{ClientSecretBasic, None as Public, PrivateKeyJwt};
    let named = named_method(oauth);
    let identity = oauth.identity.as_ref().filter(|_| grant.is_of_machine());
    // The key may be there for the assertion that is the grant.
    let is_for_grant = identity.is_some_and(|it| matches!(it.source, IdentitySource::Key(_)))
        && oauth.client_key_file.is_none()
        && named != Some(PrivateKeyJwt);
    if has_key && !is_for_grant {
        PrivateKeyJwt
    } else if has_secret {
        // RFC 6749 §2.3.1: the method that every server knows.
        named.filter(|method| *method != PrivateKeyJwt).unwrap_or(ClientSecretBasic)
    } else {
        Public
    }
}

/// What a client registers for to use `grants`.
fn registered_grants(grants: &[Grant]) -> Vec<&'static str> {
    let mut types: Vec<_> = grants.iter().map(|grant| grant.grant_type()).collect();
    if grants.iter().any(|grant| !grant.needs_nobody()) {
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
