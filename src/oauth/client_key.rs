//! The private key of a client (RFC 7523 §2.2) as it is kept and as files hold it: PEM, JWK, or the JSON
//! in which Google hands out the key of a service account.

use serde::{Deserialize, Serialize};

use super::KeyError;
use super::jws::SigningKey;
use crate::secret::{Secret, at_rest};

/// The private key with which a client proves itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientKey {
    /// The text of the file.
    #[serde(with = "at_rest")]
    key: Secret,
    /// `kid`, where the server knows several keys of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// `aud` of the assertions; `None`: the endpoint that they are sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// An assertion that somebody else made of the client, instead of all this.
    #[serde(skip)]
    made: Option<Secret>,
}

/// The members of a service account's key that matter here.
#[derive(Deserialize)]
struct ServiceAccount {
    #[serde(with = "at_rest")]
    private_key: Secret,
    private_key_id: Option<String>,
    client_email: Option<String>,
    token_uri: Option<String>,
}

impl ClientKey {
    /// Takes the text of a key's file, if it can sign.
    pub fn read(text: Secret, key_id: Option<String>) -> Result<Self, KeyError> {
        let key = Self { key: text, key_id, audience: None, made: None };
        key.signing_key().map(|_| key)
    }

    /// No key, but what somebody else has signed with theirs: a federated identity.
    pub fn of_assertion(made: Secret) -> Self {
        Self { key: Secret::new(""), key_id: None, audience: None, made: Some(made) }
    }

    /// The assertion that was made by somebody else, if so.
    pub(super) fn made(&self) -> Option<&Secret> {
        self.made.as_ref()
    }

    pub fn signing_key(&self) -> Result<SigningKey, KeyError> {
        let key = match self.service_account() {
            Some(account) => {
                SigningKey::read(account.private_key.expose())?.with_key_id(account.private_key_id)
            }
            None => SigningKey::read(self.key.expose())?,
        };
        Ok(key.with_key_id(self.key_id.clone()))
    }

    /// Whose key it is, where its file says so.
    pub fn owner(&self) -> Option<String> {
        self.service_account()?.client_email
    }

    /// The token endpoint that the file names.
    pub fn token_endpoint(&self) -> Option<String> {
        self.service_account()?.token_uri
    }

    fn service_account(&self) -> Option<ServiceAccount> {
        serde_json::from_str(self.key.expose()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_service_account_is_read_with_its_owner() {
        let (signing, pem) = SigningKey::generate().unwrap();
        let file = serde_json::json!({
            "type": "service_account",
            "private_key_id": "k7",
            "private_key": pem.expose(),
            "client_email": "robot@project.example",
            "token_uri": "https://as.example/token",
        });
        let key = ClientKey::read(Secret::new(file.to_string()), None).unwrap();
        assert_eq!(key.owner().as_deref(), Some("robot@project.example"));
        assert_eq!(key.token_endpoint().as_deref(), Some("https://as.example/token"));
        assert_eq!(key.signing_key().unwrap().thumbprint(), signing.thumbprint());
        let bad = Secret::new(r#"{"private_key":"hunter2"}"#);
        assert_eq!(ClientKey::read(bad, None).unwrap_err(), KeyError::Unreadable);
    }

    #[test]
    fn a_plain_key_has_no_owner() {
        let (_, pem) = SigningKey::generate().unwrap();
        let key = ClientKey::read(pem, Some("mine".into())).unwrap();
        assert!(key.owner().is_none() && key.token_endpoint().is_none());
    }
}
