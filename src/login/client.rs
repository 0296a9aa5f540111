//! Which OAuth client a login uses: the one named on the command line, the one written in the
//! configuration, the one remembered from an earlier login, or a newly registered one.

use super::{Error, Login, WRITE_WAIT, Wish, key_scheme};
use crate::config::{ClientRule, OAuth, Provider};
use crate::credential::Grant;
use crate::oauth::{Client, ClientAuthentication};
use crate::secret::Secret;
use crate::store::{self, Key, RegistrationRecord};

/// The client to use without registering: the one named now (remembered from then on), the one in the
/// configuration, or the one remembered. `None`: register one.
pub(super) fn known_client(
    login: &Login<'_>,
    wish: &Wish<'_>,
    oauth: &OAuth,
    grant: Grant,
) -> Result<Option<RegistrationRecord>, Error> {
    let key = registration_key(oauth);
    let remembered = store::unless_damaged(login.store.load_registration(key))?;
    let usable = |record: &RegistrationRecord| record.serves(grant, (login.clock)());
    let Some(client_id) = wish.client_id.as_ref().or(oauth.client_id.as_ref()) else {
        return match (remembered.filter(usable), &oauth.client) {
            (Some(record), _) => Ok(Some(record)),
            (None, ClientRule::Register) => Ok(None),
            (None, ClientRule::Own { register_at, .. }) => Err(Error::ClientNeeded {
                provider: wish.provider.id.clone(),
                title: wish.provider.title.clone(),
                register_at: register_at.clone(),
                key_possible: key_scheme(wish.provider).is_some(),
            }),
        };
    };
    let same = remembered.filter(|record| record.client.client_id == *client_id);
    let secret = wish.client_secret.clone().or_else(|| same?.client.client_secret);
    let client = named_client(wish.provider, oauth, grant, client_id, secret)?;
    let record = RegistrationRecord {
        format: crate::credential::FORMAT,
        issuer: key.to_owned(),
        client,
        redirect_uris: Vec::new(),
        grants: Vec::new(),
        created_at: (login.clock)(),
        secret_expires_at: None,
        dynamic: false,
    };
    let guard = login.store.lock(&Key::Registration(key), WRITE_WAIT)?;
    login.store.save_registration(&guard, &record)?;
    Ok(Some(record))
}

fn named_client(
    provider: &Provider,
    oauth: &OAuth,
    grant: Grant,
    client_id: &str,
    secret: Option<Secret>,
) -> Result<Client, Error> {
    use ClientAuthentication as By;
    let rule = match &oauth.client {
        ClientRule::Own { authentication, .. } => *authentication,
        ClientRule::Register => None,
    };
    let authentication = match (rule, &secret) {
        // RFC 6749 §2.3.1: the method that every server knows.
        (None | Some(By::None), Some(_)) => By::ClientSecretBasic,
        (Some(method), Some(_)) => method,
        // RFC 6749 §4.4: clients that are somebody by themselves can prove it.
        (None | Some(By::None), None) if grant != Grant::ClientCredentials => By::None,
        (_, None) => return Err(Error::ClientSecretNeeded { provider: provider.id.clone() }),
    };
    Ok(Client { client_id: client_id.to_owned(), client_secret: secret, authentication })
}

/// The port of a registered loopback redirect URI: servers that compare it exactly want it again.
pub(super) fn registered_port(redirect_uris: &[String]) -> Option<u16> {
    redirect_uris.iter().find_map(|uri| url::Url::parse(uri).ok()?.port())
}

/// What the registration is remembered under: the issuer, or the token endpoint of a server without one.
fn registration_key(oauth: &OAuth) -> &str {
    let named = oauth.issuer.as_deref().or(oauth.token_endpoint.as_deref());
    // A checked provider has one of the two.
    named.unwrap_or_default()
}
