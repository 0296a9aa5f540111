//! Demonstrating proof of possession (RFC 9449): the key that tokens are bound to, and the proof that
//! goes with each request, signed for that request alone.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde_json::json;
use url::Url;

use super::document::Document;
use super::jws::{KeyError, SigningKey};
use super::{Error, Metadata};
use crate::http::{Answer, DPOP_NONCE};
use crate::secret::Secret;

/// The `token_type` of a bound access token, and the scheme of its `Authorization` (RFC 9449 §5, §7.1).
pub const DPOP: &str = "DPoP";

/// The one algorithm of our keys, by its name in metadata (RFC 9449 §5.1).
const ALGORITHM: &str = "ES256";

/// The key of one credential; it says nothing of itself.
pub struct DpopKey(SigningKey);

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DpopKey(…)")
    }
}

/// How a request for tokens proves possession.
#[derive(Debug, Clone, Copy)]
pub struct Dpop<'a> {
    pub key: &'a DpopKey,
    /// An answer with tokens that are not bound is refused.
    pub required: bool,
}

/// The request that a proof is for.
#[derive(Debug, Clone, Copy)]
pub struct Proven<'a> {
    pub method: &'a str,
    pub url: &'a Url,
    /// The newest nonce that the server gave (RFC 9449 §8, §9).
    pub nonce: Option<&'a str>,
    /// At a protected resource: the token that goes with it (RFC 9449 §7).
    pub access_token: Option<&'a Secret>,
}

impl DpopKey {
    /// A new key, and the form in which it is kept.
    pub fn generate() -> Result<(Self, Secret), KeyError> {
        let (key, kept) = SigningKey::generate()?;
        Ok((Self(key), kept))
    }

    /// A key as it was kept.
    pub fn read(kept: &Secret) -> Result<Self, KeyError> {
        SigningKey::read(kept.expose()).map(Self)
    }

    /// `dpop_jkt` of an authorization request (RFC 9449 §10).
    pub fn thumbprint(&self) -> String {
        self.0.thumbprint()
    }

    /// The value of the header `DPoP` (RFC 9449 §4.2). Good for one request.
    pub fn proof(&self, request: &Proven<'_>) -> Result<Secret, KeyError> {
        let header = json!({ "typ": "dpop+jwt", "jwk": self.0.public_jwk() });
        let mut claims = json!({
            // No server may take one proof for another's repetition.
            "jti": Secret::random().expose(),
            "htm": request.method,
            "htu": target(request.url),
            "iat": Timestamp::now().as_second(),
        });
        if let Some(nonce) = request.nonce {
            claims["nonce"] = nonce.into();
        }
        if let Some(token) = request.access_token {
            claims["ath"] =
                URL_SAFE_NO_PAD.encode(digest(&SHA256, token.expose().as_bytes())).into();
        }
        self.0.sign(header, &claims).map(Secret::new)
    }
}

/// The URL without query and fragment, as it is sent.
fn target(url: &Url) -> String {
    let mut target = url.clone();
    target.set_query(None);
    target.set_fragment(None);
    target.into()
}

/// Whether an authorization server wants the request again, with the nonce that came along
/// (RFC 9449 §8). It says thereby that it has not carried it out.
pub(super) fn asks_for_nonce(answer: &Answer) -> bool {
    let asks = matches!(
        Document::of_success(answer),
        Err(Error::Refused { code, .. }) if code == "use_dpop_nonce"
    );
    asks && answer.header(DPOP_NONCE).is_some()
}

impl Metadata {
    /// Whether the server says that it takes proofs of our keys (RFC 9449 §5.1).
    pub fn takes_dpop(&self) -> bool {
        let algorithms = self.dpop_signing_alg_values_supported.iter().flatten();
        algorithms.into_iter().any(|algorithm| algorithm == ALGORITHM)
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    fn decoded(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).unwrap()
    }

    /// Header and claims of a proof, verified with the key that it names itself.
    fn read(proof: &Secret) -> [Value; 2] {
        let (signed, signature) = proof.expose().rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let [header, claims]: [Value; 2] =
            [header, claims].map(|part| serde_json::from_slice(&decoded(part)).unwrap());
        let coordinate = |name: &str| decoded(header["jwk"][name].as_str().unwrap());
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &decoded(signature))
            .unwrap();
        [header, claims]
    }

    #[test]
    fn a_proof_is_for_one_request_alone() {
        let (key, kept) = DpopKey::generate().unwrap();
        let url = Url::parse("https://API.example:443/a/b?token=x#y").unwrap();
        let request = Proven { method: "GET", url: &url, nonce: None, access_token: None };
        let [header, claims] = read(&key.proof(&request).unwrap());
        assert_eq!((&header["typ"], &header["alg"]), (&json!("dpop+jwt"), &json!("ES256")));
        assert_eq!(header["jwk"].as_object().unwrap().len(), 4, "no private member: {header}");
        assert_eq!(
            (&claims["htm"], &claims["htu"]),
            (&json!("GET"), &json!("https://api.example/a/b"))
        );
        let age = Timestamp::now().as_second() - claims["iat"].as_i64().unwrap();
        assert!((0..60).contains(&age));
        assert!(claims.get("nonce").is_none() && claims.get("ath").is_none());

        let [_, again] = read(&key.proof(&request).unwrap());
        assert_ne!(again["jti"], claims["jti"]);
        assert!(claims["jti"].as_str().unwrap().len() >= 22);
        assert_eq!(DpopKey::read(&kept).unwrap().thumbprint(), key.thumbprint());
        assert!(!format!("{key:?} {request:?}").contains("PRIVATE"));
    }

    #[test]
    fn token_and_nonce_stand_in_the_proof() {
        let (key, _) = DpopKey::generate().unwrap();
        let url = Url::parse("https://resource.example.org/protectedresource").unwrap();
        // The token of RFC 9449 §7.1, whose hash stands there too.
        let token = Secret::new("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
        let request = Proven {
            method: "GET",
            url: &url,
            nonce: Some("eyJ7S_zG"),
            access_token: Some(&token),
        };
        let [_, claims] = read(&key.proof(&request).unwrap());
        assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        assert_eq!(claims["nonce"], "eyJ7S_zG");
    }
}
