//! Signing in: which grant a wish comes to, the authorization server behind a provider, one login at a
//! time for a credential, and the record that is saved at the end. Nothing is stored before the whole
//! answer has been checked, and the keychain is opened before a person is sent to a browser.

mod client;
mod dpop;
mod endpoints;
mod error;
mod pending;
mod resume;
mod server;
mod turn;

use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use client::{Known, with_key};
use endpoints::Endpoints;
pub use error::Error;
use pending::{BROWSER_WAIT, Begun, Failure};
pub use resume::{Answer, Why};
pub use server::Found;

use crate::config::{KeyFlow, OAuth, Provider, Scheme};
use crate::credential::{Binding, Credential, Grant, Kind, Name, Record, Tokens};
use crate::grant::{self, KeySource, Logins, Machine, RedirectListener};
use crate::headless::Surroundings;
use crate::http::Http;
use crate::interact::{Interact, Unanswered};
use crate::oauth::{self, Client, ClientKey, Metadata};
use crate::secret::Secret;
use crate::store::{self, Key, Store, WRITE_WAIT};

/// How long a server is waited for that is to revoke what found no place.
const REVOCATION_WAIT: Duration = Duration::from_secs(15);

/// What was asked for on the command line.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub struct Wish<'a> {
    pub name: &'a Name,
    pub provider: &'a Provider,
    pub method: Method,
    /// Instead of the provider's scopes.
    pub scopes: Option<Vec<String>>,
    pub client_id: Option<String>,
    pub client_secret: Option<Secret>,
    pub client_key: Option<ClientKey>,
    /// The client was named once for all sign-ins, not for this one.
    pub client_is_standing: bool,
    /// Where the document about our client is, if the provider's entry does not say.
    pub client_metadata_url: Option<String>,
    /// The authorization server's, where it has been read already.
    pub metadata: Option<&'a Metadata>,
    /// Registers a client even where one is registered.
    pub new_client: bool,
    pub open_browser: bool,
    /// Somebody brings the address to a person: the redirect is waited for, wherever this runs.
    pub is_brought: bool,
    /// And perhaps one at another machine: a device code is tried first, and a redirect can be finished by another
    /// command.
    pub is_elsewhere: bool,
    /// Another provider's sign-in begins with the ID token of this one.
    pub keep_id_token: bool,
    /// A sign-in by another process after this moment will do.
    pub since: Option<Timestamp>,
}

impl<'a> Wish<'a> {
    /// The provider's first way, as it is configured.
    pub fn by_default(name: &'a Name, provider: &'a Provider) -> Self {
        Self {
            name,
            provider,
            method: Method::Default,
            scopes: None,
            client_id: None,
            client_secret: None,
            client_key: None,
            client_is_standing: true,
            client_metadata_url: None,
            metadata: None,
            new_client: false,
            open_browser: false,
            is_brought: false,
            is_elsewhere: false,
            keep_id_token: false,
            since: None,
        }
    }

    /// Whether it says anything that only OAuth has.
    fn is_about_oauth(&self) -> bool {
        self.client_id.is_some()
            || self.client_secret.is_some()
            || self.client_key.is_some()
            || self.scopes.is_some()
            || self.new_client
    }

    /// Whether a login that another process makes does for this one.
    fn is_met_by_any(&self) -> bool {
        self.method == Method::Default && !self.is_about_oauth()
    }

    /// Whether what another process came to does for this one.
    fn is_met_by(&self, record: &Record) -> bool {
        let Some((_, binding)) = record.credential.as_oauth() else { return self.is_met_by_any() };
        let is_way = match &self.method {
            Method::Default => true,
            Method::Grant(grant) => *grant == binding.grant,
            Method::Key { .. } | Method::Basic { .. } => false,
        };
        let has_scopes = self.scopes.iter().flatten().all(|it| binding.scopes.contains(it));
        let is_client = self.client_id.as_ref().is_none_or(|id| *id == binding.client.client_id);
        is_way && has_scopes && is_client && !self.new_client
    }
}

/// How to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// The provider's first way.
    Default,
    Grant(Grant),
    /// A key or token; where the provider takes both, it is stored as this kind.
    Key {
        source: KeySource,
        kind: Option<Kind>,
    },
    /// Name and password; the password comes from the source.
    Basic {
        user: Option<String>,
        password: KeySource,
    },
}

/// What a login came to.
#[derive(Debug)]
pub struct Outcome {
    pub record: Record,
    /// A credential was there before, and its id was kept.
    pub replaced: bool,
    /// Another process signed in while this one waited.
    pub adopted: bool,
}

/// What signing in needs from its surroundings.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub store: &'a Store,
    pub http: &'a Http,
    pub interact: &'a dyn Interact,
    /// What grants of machines may begin with.
    pub logins: &'a dyn Logins,
    pub clock: fn() -> Timestamp,
    pub surroundings: Surroundings,
}

impl Login<'_> {
    /// Signs in and saves the credential, alone.
    fn sign_in(&self, wish: &Wish<'_>) -> Result<Outcome, Error> {
        // The store is opened before anybody is sent to a browser.
        store::unless_damaged(self.store.load(wish.name))?;
        self.store.prove_writable()?;
        let began_at = (self.clock)();
        let credential = self.acquire(wish)?;
        let outcome = self.save_or_give_back(wish.name, credential);
        self.settle_begun(wish.name, began_at, turn::ended(&outcome));
        outcome
    }

    /// Saves what was just acquired. Tokens that find no place are given back: nobody knows of them.
    fn save_or_give_back(&self, name: &Name, credential: Credential) -> Result<Outcome, Error> {
        let acquired = credential.clone();
        self.save(name, credential).inspect_err(|error| {
            // A write that was not waited for may still come to its end.
            if !matches!(error, Error::Store(store::Error::TimedOut { .. })) {
                self.give_back(&acquired);
            }
        })
    }

    /// Has the tokens revoked (RFC 7009), where that is possible.
    fn give_back(&self, credential: &Credential) {
        let Some((tokens, binding)) = credential.as_oauth() else { return };
        let Some(endpoint) = &binding.revocation_endpoint else { return };
        let (token, hint) = match &tokens.refresh_token {
            Some(token) => (token, "refresh_token"),
            None => (&tokens.access_token, "access_token"),
        };
        let revoke = oauth::revoke(self.http, endpoint, &binding.client, token, hint);
        let revoke = async { tokio::time::timeout(REVOCATION_WAIT, revoke).await };
        match self.http.block_on(revoke) {
            Ok(Ok(())) => self.interact.notice("What the server had given was revoked again."),
            _ => {
                self.interact
                    .warn("what the server had given could not be revoked and still works");
            }
        }
    }

    /// Keeps a credential under a name; the id of one that was there stays.
    pub fn save(&self, name: &Name, credential: Credential) -> Result<Outcome, Error> {
        let guard = self.store.lock(&Key::Credential(name), WRITE_WAIT)?;
        let before = store::unless_damaged(self.store.load(name))?;
        let record = match &before {
            Some(before) => {
                let signed_in_at = (self.clock)();
                Record { signed_in_at, ..before.succeeded_by(credential) }
            }
            None => Record::new(name, credential, (self.clock)()),
        };
        self.store.save(&guard, &record)?;
        Ok(Outcome { record, replaced: before.is_some(), adopted: false })
    }

    /// Signs in; nothing is saved but a client that was brought.
    pub fn acquire(&self, wish: &Wish<'_>) -> Result<Credential, Error> {
        match &wish.method {
            Method::Default => self.acquire_by_default(wish),
            Method::Key { source, kind } => self.acquire_key(wish, source, *kind),
            Method::Basic { user, password } => self.acquire_basic(wish, user.as_deref(), password),
            Method::Grant(grant) => {
                let oauth = match oauth_scheme(wish.provider) {
                    Err(error) if *grant == Grant::AuthorizationCode => {
                        let flow = wish.provider.schemes.iter().find_map(with_flow);
                        let (scheme, flow) = flow.ok_or(error)?;
                        return self.acquire_by_flow(wish, scheme, flow);
                    }
                    oauth => oauth?,
                };
                if !oauth.grants.contains(grant) && !oauth.grants_are_open {
                    let what = grant_name(*grant);
                    return Err(Error::NoSuchWay { provider: wish.provider.id.clone(), what });
                }
                self.acquire_tokens(wish, oauth, *grant)
            }
        }
    }

    fn acquire_by_default(&self, wish: &Wish<'_>) -> Result<Credential, Error> {
        if wish.is_about_oauth() {
            return self.acquire_by_first_grant(wish, oauth_scheme(wish.provider)?);
        }
        let first = wish.provider.schemes.first();
        if let Some((scheme, flow)) = first.and_then(with_flow) {
            return self.acquire_by_flow(wish, scheme, flow);
        }
        match first.map(|scheme| (scheme.kind, &scheme.oauth)) {
            Some((Kind::OAuth, Some(oauth))) => self.acquire_by_first_grant(wish, oauth),
            Some((Kind::Basic, _)) => self.acquire_basic(wish, None, &KeySource::Prompt),
            _ => self.acquire_key(wish, &KeySource::Prompt, None),
        }
    }

    /// The provider's first grant; where that needs a client nobody has, a pasted key if the person
    /// would rather do that.
    fn acquire_by_first_grant(&self, wish: &Wish<'_>, oauth: &OAuth) -> Result<Credential, Error> {
        let grant = oauth.grants.first().copied().unwrap_or(Grant::AuthorizationCode);
        match self.acquire_away_from_browser(wish, oauth, grant) {
            Err(error @ Error::ClientNeeded { key_possible: true, .. })
                if self.interact.can_ask() =>
            {
                self.interact.notice(&format!("{error}."));
                if !self.interact.confirm("Paste a key or token instead?", true)? {
                    return Err(error);
                }
                self.acquire_key(wish, &KeySource::Prompt, None)
            }
            other => other,
        }
    }

    /// Where no browser is expected, a device code is easier than a redirect that has to be carried
    /// here: tried first if the provider may have that grant, and left if server or client has not.
    fn acquire_away_from_browser(
        &self,
        wish: &Wish<'_>,
        oauth: &OAuth,
        grant: Grant,
    ) -> Result<Credential, Error> {
        let may_have = oauth.grants.contains(&Grant::DeviceCode) || oauth.grants_are_open;
        let is_away = wish.is_elsewhere
            || wish.open_browser
                && !wish.is_brought
                && self.surroundings.without_browser().is_some();
        if grant == Grant::AuthorizationCode && is_away && may_have {
            match self.acquire_tokens(wish, oauth, Grant::DeviceCode) {
                Err(error) if error.is_no_such_grant() => {}
                result => return result,
            }
        }
        self.acquire_tokens(wish, oauth, grant)
    }

    // ------------------------------------------------------------------------------- keys

    fn acquire_key(
        &self,
        wish: &Wish<'_>,
        source: &KeySource,
        kind: Option<Kind>,
    ) -> Result<Credential, Error> {
        let wanted = kind.and_then(|kind| wish.provider.scheme(kind));
        let scheme =
            wanted.or_else(|| key_scheme(wish.provider)).ok_or_else(|| Error::NoSuchWay {
                provider: wish.provider.id.clone(),
                what: "kind of credential that can be pasted",
            })?;
        if *source == KeySource::Prompt {
            self.say_where_keys_are_made(wish.provider, scheme);
        }
        let prompt = format!("{} {}", wish.provider.title, key_word(scheme.kind));
        Ok(as_kind(scheme.kind, self.ask_key(wish.name, source, &prompt)?))
    }

    /// A key that the provider gives to the person's browser.
    fn acquire_by_flow(
        &self,
        wish: &Wish<'_>,
        scheme: &Scheme,
        flow: &KeyFlow,
    ) -> Result<Credential, Error> {
        let (http, interact) = (self.http, self.interact);
        let open = self.opening(wish);
        if self.is_deferred(wish) {
            // Nothing of it could be finished later.
            let source = grant::Error::Unanswered(Unanswered::NoTerminal);
            return Err(Error::Grant { name: wish.name.clone(), source });
        }
        let secret = match flow {
            KeyFlow::Pkce(flow) => {
                let why = self.why_paste(wish);
                let why = why.as_deref();
                http.block_on(grant::pkce_key(http, interact, flow, open, why, BROWSER_WAIT))
            }
            KeyFlow::Poll(flow) => {
                http.block_on(grant::browser_poll(http, interact, flow, open, BROWSER_WAIT))
            }
        };
        let secret = secret.map_err(|source| Error::Grant { name: wish.name.clone(), source })?;
        Ok(as_kind(scheme.kind, secret))
    }

    fn say_where_keys_are_made(&self, provider: &Provider, scheme: &Scheme) {
        if let Some(page) = &scheme.create_at {
            self.interact.notice(&format!("Make a key at {page}"));
        }
        if let Some(note) = provider.note.as_ref().filter(|_| self.interact.can_ask()) {
            self.interact.notice(note);
        }
    }

    fn ask_key(&self, name: &Name, source: &KeySource, prompt: &str) -> Result<Secret, Error> {
        grant::api_key(self.interact, source, prompt)
            .map_err(|source| Error::Grant { name: name.clone(), source })
    }

    fn acquire_basic(
        &self,
        wish: &Wish<'_>,
        user: Option<&str>,
        password: &KeySource,
    ) -> Result<Credential, Error> {
        let scheme = wish.provider.scheme(Kind::Basic).ok_or_else(|| Error::NoSuchWay {
            provider: wish.provider.id.clone(),
            what: "basic authentication",
        })?;
        if *password == KeySource::Prompt {
            self.say_where_keys_are_made(wish.provider, scheme);
        }
        let user = match user {
            Some(user) => user.to_owned(),
            None if !self.interact.can_ask() => return Err(Error::NoUser(wish.name.clone())),
            None => self.interact.ask_line(&format!("{} user name", wish.provider.title))?,
        };
        // RFC 7617 §2: the first colon ends the name.
        if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
            return Err(Error::BadUser);
        }
        let prompt = format!("{} password for {user}", wish.provider.title);
        let password = grant::password(self.interact, password, &prompt).map_err(|source| {
            Error::Password { name: wish.name.clone(), user: user.clone(), source }
        })?;
        Ok(Credential::Basic { user, password })
    }

    // ------------------------------------------------------------------------------- OAuth

    fn acquire_tokens(
        &self,
        wish: &Wish<'_>,
        oauth: &OAuth,
        grant: Grant,
    ) -> Result<Credential, Error> {
        let known = self.known_client(wish, oauth, grant)?;
        let metadata = self.discover(wish, oauth, grant)?;
        let endpoints =
            Endpoints::new(self.interact, wish.provider, oauth, metadata.as_ref(), grant)?;
        let scopes = wish.scopes.clone().unwrap_or_else(|| oauth.scopes.clone());
        let (known, listener) = self.settle_client(wish, oauth, grant, &endpoints, known)?;
        let new_key = dpop::new_key(wish, oauth, metadata.as_ref(), &known.record)?;
        let wire_scopes = [scopes.join(&oauth.scope_separator.to_string())];
        let client = with_key(wish, oauth, &endpoints, &known)?;
        let request = grant::Request {
            server: &endpoints.server,
            client: &client,
            scopes: if scopes.is_empty() { &[] } else { &wire_scopes },
            resource: oauth.resource.as_deref(),
            parameters: &oauth.parameters,
            dpop: new_key.as_ref().map(dpop::NewKey::as_dpop),
        };
        // The key in a file that the configuration names stays there.
        let key = client.key.clone().filter(|_| known.record.client.key.is_some());
        let kept = Client { key, ..client.clone() };
        let named =
            [Some(&endpoints.server.token_endpoint), endpoints.revocation_endpoint.as_ref()];
        let client = kept;
        let binding = Binding {
            confined: confined(self.http, named.into_iter().flatten()),
            issuer: endpoints.server.issuer.clone(),
            token_endpoint: endpoints.server.token_endpoint.clone(),
            refresh_endpoint: oauth.refresh_endpoint.clone(),
            revocation_endpoint: endpoints.revocation_endpoint.clone(),
            resource: oauth.resource.clone(),
            client_instead_of: oauth.client_id.clone().filter(|named| *named != client.client_id),
            client,
            grant,
            scopes: scopes.clone(),
        };
        let begun = Begun {
            wish,
            known: &known,
            endpoints: &endpoints,
            binding: &binding,
            request: &request,
            new_key: new_key.as_ref(),
        };
        let mut answer = match self.ask_server(begun, oauth, grant, listener) {
            Ok(answer) => answer,
            Err(Failure::Login(error)) => return Err(error),
            Err(Failure::Grant(source)) => return Err(self.explain(wish.name, &known, source)),
        };
        if known.is_new {
            self.remember(&known.record)?;
        }
        if !wish.keep_id_token {
            answer.id_token = None;
        }
        let tokens = Tokens::from_answer(answer, (self.clock)(), None);
        let tokens = match new_key {
            Some(new_key) => tokens.bound_to(new_key.kept),
            None => tokens,
        };
        Ok(Credential::OAuth { tokens, binding })
    }

    /// The authorization server's metadata, where the provider does not name the endpoints itself.
    fn discover(
        &self,
        wish: &Wish<'_>,
        oauth: &OAuth,
        grant: Grant,
    ) -> Result<Option<Metadata>, Error> {
        let Some(issuer) = &oauth.issuer else { return Ok(None) };
        if let Some(metadata) = wish.metadata {
            return Ok(Some(metadata.clone()));
        }
        let named = match grant {
            Grant::AuthorizationCode => oauth.authorization_endpoint.is_some(),
            Grant::DeviceCode => oauth.device_authorization_endpoint.is_some(),
            _ => true,
        };
        if named && oauth.token_endpoint.is_some() {
            return Ok(None);
        }
        let trusted = oauth.trusted_issuer.as_deref();
        let found = self.http.block_on(oauth::discover_trusting(self.http, issuer, trusted));
        let metadata = found.map_err(|source| Error::OAuth {
            name: wish.name.clone(),
            step: "reading the server's metadata",
            source,
        })?;
        Ok(Some(metadata))
    }

    fn ask_server(
        &self,
        begun: Begun<'_>,
        oauth: &OAuth,
        grant: Grant,
        listener: Option<RedirectListener>,
    ) -> Result<oauth::TokenAnswer, Failure> {
        match (grant, listener) {
            (Grant::AuthorizationCode, Some(listener)) => self.by_redirect(begun, listener),
            (Grant::ClientCredentials, _) => {
                let request = begun.request;
                Ok(self.http.block_on(grant::client_credentials(self.http, request))?)
            }
            (grant, _) if grant.is_of_machine() => {
                let machine = Machine { http: self.http, logins: self.logins, oauth, grant };
                Ok(machine.acquire(begun.request)?)
            }
            _ => self.by_device(begun),
        }
    }

    /// A server that does not know our registration any more gets a new one at the next login.
    fn explain(&self, name: &Name, known: &Known, source: grant::Error) -> Error {
        let name = name.clone();
        let is_unknown = matches!(
            &source,
            grant::Error::Oauth(oauth::Error::Refused { code, .. })
            | grant::Error::Pushed(oauth::Error::Refused { code, .. })
                if code == "invalid_client" || code == "unauthorized_client"
        );
        if is_unknown && known.record.provider.is_none() {
            return match self.forget(&known.record) {
                Ok(()) => Error::ClientForgotten { name, source },
                Err(error) => error,
            };
        }
        Error::Grant { name, source }
    }
}

/// Which endpoints are at hosts that this login found in a public server's document alone.
pub fn confined<'a>(http: &Http, endpoints: impl Iterator<Item = &'a String>) -> Vec<String> {
    let is_confined =
        |endpoint: &&String| Url::parse(endpoint).is_ok_and(|url| http.is_confined(&url));
    endpoints.filter(is_confined).cloned().collect()
}

fn oauth_scheme(provider: &Provider) -> Result<&OAuth, Error> {
    provider
        .schemes
        .iter()
        .find_map(|scheme| scheme.oauth.as_ref())
        .ok_or_else(|| Error::NoSuchWay { provider: provider.id.clone(), what: "OAuth sign-in" })
}

fn key_scheme(provider: &Provider) -> Option<&Scheme> {
    provider.schemes.iter().find(|scheme| matches!(scheme.kind, Kind::ApiKey | Kind::Bearer))
}

fn with_flow(scheme: &Scheme) -> Option<(&Scheme, &KeyFlow)> {
    Some((scheme, scheme.flow.as_ref()?))
}

fn as_kind(kind: Kind, secret: Secret) -> Credential {
    match kind {
        Kind::ApiKey => Credential::ApiKey { key: secret },
        _ => Credential::Bearer { token: secret },
    }
}

fn key_word(kind: Kind) -> &'static str {
    if kind == Kind::ApiKey { "API key" } else { "token" }
}

fn grant_name(grant: Grant) -> &'static str {
    match grant {
        Grant::AuthorizationCode => "authorization code grant (browser)",
        Grant::DeviceCode => "device code grant",
        Grant::ClientCredentials => "client credentials grant",
        Grant::ClientAssertion => "client credentials grant with an assertion",
        Grant::JwtBearer => "JWT bearer grant",
        Grant::TokenExchange => "token exchange",
        Grant::IdJag => "identity assertion grant (ID-JAG)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_at_confined_hosts_are_told_from_the_others() {
        let http = Http::new();
        http.confine(&Url::parse("https://named.example/other").unwrap());
        let endpoints = ["https://as.example/token", "https://named.example/revoke"];
        let endpoints = endpoints.map(str::to_owned);
        assert_eq!(confined(&http, endpoints.iter()), endpoints[1..]);
    }
}
