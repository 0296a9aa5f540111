//! JWT assertions (RFC 7523 §3) that we sign ourselves: as the client's proof of who it is (§2.2, OpenID
//! Connect Core §9 `private_key_jwt`), and as a grant (§2.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::jws::SigningKey;
use super::{Client, KeyError};
use crate::secret::Secret;

/// `client_assertion_type` (RFC 7523 §2.2).
pub(super) const CLIENT_ASSERTION_TYPE: &str =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion lives, in seconds: one request, and a clock that is a little off.
const LIFETIME: i64 = 120;

/// What an assertion says.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    pub audience: &'a str,
    /// Further claims, none of which replaces one of the above.
    pub claims: &'a Map<String, Value>,
}

/// Signs an assertion that is good from `now` on, once.
pub fn sign_assertion(
    key: &SigningKey,
    assertion: &Assertion<'_>,
    now: Timestamp,
) -> Result<Secret, KeyError> {
    let mut claims = assertion.claims.clone();
    claims.insert("iss".into(), assertion.issuer.into());
    claims.insert("sub".into(), assertion.subject.into());
    claims.insert("aud".into(), assertion.audience.into());
    claims.insert("iat".into(), now.as_second().into());
    claims.insert("exp".into(), (now.as_second() + LIFETIME).into());
    claims.insert("jti".into(), unique().into());
    key.sign(json!({ "typ": "JWT" }), &Value::Object(claims)).map(Secret::new)
}

/// The client's own assertion. Its audience is the one that the client's key names, else `endpoint`
/// (RFC 7523 §3: both identify the server).
pub(super) fn client_assertion(
    client: &Client,
    endpoint: &str,
    now: Timestamp,
) -> Result<Option<Secret>, KeyError> {
    let Some(key) = &client.key else { return Ok(None) };
    if let Some(made) = key.made() {
        return Ok(Some(made.clone()));
    }
    let assertion = Assertion {
        issuer: &client.client_id,
        subject: &client.client_id,
        audience: key.audience.as_deref().unwrap_or(endpoint),
        claims: &Map::new(),
    };
    sign_assertion(&key.signing_key()?, &assertion, now).map(Some)
}

/// A `jti` that no other assertion has (RFC 7519 §4.1.7).
fn unique() -> String {
    let mut random = [0; 16];
    // The system's generator fails only where there is none; then nothing here can go on.
    getrandom::fill(&mut random).unwrap_or_else(|error| panic!("no random numbers: {error}"));
    URL_SAFE_NO_PAD.encode(random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{ClientAuthentication, ClientKey};

    fn claims(assertion: &Secret) -> Value {
        let part = assertion.expose().split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn the_client_speaks_for_itself_to_one_server_for_two_minutes_and_once() {
        let (_, pem) = SigningKey::generate().unwrap();
        let key = |audience: Option<&str>| {
            let mut key = ClientKey::read(pem.clone(), Some("k1".into())).unwrap();
            key.audience = audience.map(str::to_owned);
            key
        };
        let client = |audience| Client {
            client_id: "me".into(),
            client_secret: None,
            key: Some(key(audience)),
            authentication: ClientAuthentication::PrivateKeyJwt,
        };
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let signed = |audience| {
            client_assertion(&client(audience), "https://as.example/token", now).unwrap().unwrap()
        };
        let first = claims(&signed(Some("https://as.example")));
        assert_eq!((&first["iss"], &first["sub"]), (&json!("me"), &json!("me")));
        assert_eq!(first["aud"], "https://as.example");
        assert_eq!(first["iat"], now.as_second());
        assert_eq!(first["exp"], now.as_second() + 120);
        let second = claims(&signed(None));
        assert_eq!(second["aud"], "https://as.example/token");
        assert_ne!(first["jti"], second["jti"]);
    }

    #[test]
    fn no_further_claim_replaces_one_that_counts() {
        let (key, _) = SigningKey::generate().unwrap();
        let Value::Object(more) = json!({ "aud": "other", "scope": "read" }) else { panic!() };
        let assertion =
            Assertion { issuer: "i", subject: "s", audience: "https://as.example", claims: &more };
        let said = claims(&sign_assertion(&key, &assertion, Timestamp::UNIX_EPOCH).unwrap());
        assert_eq!((&said["aud"], &said["scope"]), (&json!("https://as.example"), &json!("read")));
    }
}
