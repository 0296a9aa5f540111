//! JSON Web Signature (RFC 7515) with our own private keys: reads one from PEM or from a JWK (RFC 7517),
//! makes one, signs in compact form, and says which public key verifies it. The mathematics is ring's.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::secret::{Secret, at_rest_option};

/// A private key that signs, by the algorithms of RFC 7518 §3.1 and RFC 8037 §3.1.
pub struct SigningKey {
    pair: Pair,
    /// The `kid` of a JWK, or the one that was set; servers with several keys look for it.
    key_id: Option<String>,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a text is not a key that can sign here. Never holds the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it is not a private key in PEM or JWK form")]
    Unreadable,
    #[error("it is a public key, and signing needs the private one")]
    Public,
    #[error(
        "it is encrypted with a passphrase; write it without one (openssl pkcs8 -topk8 -nocrypt)"
    )]
    Encrypted,
    #[error(
        "it is an EC key in the form of SEC 1; write it as PKCS #8 (openssl pkcs8 -topk8 -nocrypt)"
    )]
    Sec1,
    #[error(
        "it is damaged, or of a kind that cannot be used: RSA of 2048 to 8192 bits, P-256, P-384 and Ed25519 can"
    )]
    Unfit,
}

impl SigningKey {
    /// Reads a private key: PEM (PKCS #8, or PKCS #1 for RSA), or a JWK (RFC 7517 §4).
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with('{') { Self::read_jwk(text) } else { Self::read_pem(text) }
    }

    /// A new key for ES256, and its PEM to keep.
    pub fn generate() -> Result<(Self, Secret), KeyError> {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| KeyError::Unfit)?;
        let encoded = Zeroizing::new(STANDARD.encode(document.as_ref()));
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *encoded);
        let pair = Pair::P256(ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref())?);
        Ok((Self { pair, key_id: None }, Secret::new(pem)))
    }

    #[must_use]
    pub fn with_key_id(self, key_id: Option<String>) -> Self {
        Self { key_id: key_id.or(self.key_id), ..self }
    }

    /// `alg` of what it signs.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::P384(_) => "ES384",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// Compact serialisation (RFC 7515 §7.1) of `claims`. `alg` and `kid` are added to `header`.
    pub fn sign(&self, header: Value, claims: &Value) -> Result<String, KeyError> {
        let mut members = match header {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        members.insert("alg".to_owned(), self.algorithm().into());
        if let Some(key_id) = &self.key_id {
            members.insert("kid".to_owned(), key_id.as_str().into());
        }
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&Value::Object(members)), encode(claims));
        let signature = self.signature(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
            Pair::P256(pair) | Pair::P384(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
        .map_err(|_| KeyError::Unfit)
    }

    /// The public key as a JWK with its required members alone, in the order of RFC 7638 §3.
    pub fn public_jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                let [e, n] = [public.e, public.n].map(|number| URL_SAFE_NO_PAD.encode(number));
                json!({ "e": e, "kty": "RSA", "n": n })
            }
            Pair::P256(pair) => point("P-256", pair),
            Pair::P384(pair) => point("P-384", pair),
            Pair::Ed25519(pair) => {
                let x = URL_SAFE_NO_PAD.encode(pair.public_key());
                json!({ "crv": "Ed25519", "kty": "OKP", "x": x })
            }
        }
    }

    /// SHA-256 thumbprint of the public key (RFC 7638 §3).
    pub fn thumbprint(&self) -> String {
        // serde_json sorts the members, as the RFC wants them.
        let canonical = self.public_jwk().to_string();
        let digest = ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes());
        URL_SAFE_NO_PAD.encode(digest)
    }

    fn read_pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
            if text.contains("PUBLIC KEY-----") { KeyError::Public } else { KeyError::Unreadable }
        })?;
        let pair = match &key {
            PrivateKeyDer::Pkcs1(der) => {
                RsaKeyPair::from_der(der.secret_pkcs1_der()).map(Pair::Rsa).ok()
            }
            PrivateKeyDer::Pkcs8(der) => read_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(_) => return Err(KeyError::Sec1),
            _ => None,
        };
        Ok(Self { pair: pair.ok_or(KeyError::Unfit)?, key_id: None })
    }

    fn read_jwk(text: &str) -> Result<Self, KeyError> {
        // serde's messages may quote the key.
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| KeyError::Unreadable)?;
        Ok(Self { pair: jwk.pair()?, key_id: jwk.kid })
    }
}

fn read_pkcs8(der: &[u8]) -> Option<Pair> {
    RsaKeyPair::from_pkcs8(der)
        .map(Pair::Rsa)
        .or_else(|_| ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Pair::P256))
        .or_else(|_| ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, der).map(Pair::P384))
        .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519))
        .ok()
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, der: &[u8]) -> Result<EcdsaKeyPair, KeyError> {
    EcdsaKeyPair::from_pkcs8(algorithm, der, &SystemRandom::new()).map_err(|_| KeyError::Unfit)
}

/// RFC 7518 §6.2.1: both coordinates, each of the curve's full length.
fn point(curve: &str, pair: &EcdsaKeyPair) -> Value {
    // An uncompressed point: 0x04, x, y.
    let coordinates = &pair.public_key().as_ref()[1..];
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "crv": curve, "kty": "EC", "x": encode(x), "y": encode(y) })
}

/// The members of a private JWK (RFC 7518 §6, RFC 8037 §2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    #[serde(default, with = "at_rest_option")]
    n: Option<Secret>,
    #[serde(default, with = "at_rest_option")]
    e: Option<Secret>,
    #[serde(default, with = "at_rest_option")]
    d: Option<Secret>,
    #[serde(default, with = "at_rest_option")]
    p: Option<Secret>,
    #[serde(default, with = "at_rest_option")]
    q: Option<Secret>,
    #[serde(default, with = "at_rest_option")]
    dp: Option<Secret>,
    #[serde(default, with = "at_rest_option")]
    dq: Option<Secret>,
    #[serde(default, with = "at_rest_option")]
    qi: Option<Secret>,
    #[serde(default, with = "at_rest_option")]
    x: Option<Secret>,
    #[serde(default, with = "at_rest_option")]
    y: Option<Secret>,
}

impl Jwk {
    fn pair(&self) -> Result<Pair, KeyError> {
        if self.d.is_none() {
            return Err(KeyError::Public);
        }
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => self.rsa(),
            ("EC", Some("P-256")) => self.ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::P256),
            ("EC", Some("P-384")) => self.ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Pair::P384),
            ("OKP", Some("Ed25519")) => self.ed25519(),
            _ => Err(KeyError::Unfit),
        }
    }

    fn rsa(&self) -> Result<Pair, KeyError> {
        let (modulus, exponent, secret) = (number(&self.n)?, number(&self.e)?, number(&self.d)?);
        let (p, q, dp, dq) =
            (number(&self.p)?, number(&self.q)?, number(&self.dp)?, number(&self.dq)?);
        let qi = number(&self.qi)?;
        let components = ring::rsa::KeyPairComponents {
            public_key: ring::rsa::PublicKeyComponents { n: &modulus[..], e: &exponent[..] },
            d: &secret[..],
            p: &p[..],
            q: &q[..],
            dP: &dp[..],
            dQ: &dq[..],
            qInv: &qi[..],
        };
        RsaKeyPair::from_components(&components).map(Pair::Rsa).map_err(|_| KeyError::Unfit)
    }

    fn ecdsa(&self, algorithm: &'static EcdsaSigningAlgorithm) -> Result<EcdsaKeyPair, KeyError> {
        let point = [&[4][..], &number(&self.x)?, &number(&self.y)?].concat();
        let random = SystemRandom::new();
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, &number(&self.d)?, &point, &random)
            .map_err(|_| KeyError::Unfit)
    }

    fn ed25519(&self) -> Result<Pair, KeyError> {
        let (seed, public) = (number(&self.d)?, number(&self.x)?);
        Ed25519KeyPair::from_seed_and_public_key(&seed, &public)
            .map(Pair::Ed25519)
            .map_err(|_| KeyError::Unfit)
    }
}

/// Base64urlUInt (RFC 7518 §2) of a member that must be there.
#[expect(clippy::ref_option, reason = "a member of the JWK as it stands there")]
fn number(member: &Option<Secret>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = member.as_ref().ok_or(KeyError::Unfit)?;
    URL_SAFE_NO_PAD.decode(text.expose()).map(Zeroizing::new).map_err(|_| KeyError::Unfit)
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    use super::*;

    /// RFC 7515 appendix A.3.1.
    const EC: &str = r#"{"kty":"EC","crv":"P-256","kid":"a3",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
    /// RFC 8037 appendix A.1.
    const ED: &str = r#"{"kty":"OKP","crv":"Ed25519",
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn decoded(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).unwrap()
    }

    fn json(part: &str) -> Value {
        serde_json::from_slice(&decoded(part)).unwrap()
    }

    /// Header and claims of what `key` signs, after its signature was verified.
    fn verified(
        key: &SigningKey,
        algorithm: &'static dyn signature::VerificationAlgorithm,
    ) -> [Value; 2] {
        let token = key.sign(json!({ "typ": "test" }), &json!({ "sub": "me" })).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let jwk = key.public_jwk();
        let coordinate = |name: &str| jwk[name].as_str().map(decoded).unwrap_or_default();
        let start = if jwk["kty"] == "EC" { vec![4] } else { Vec::new() };
        let public = [start, coordinate("x"), coordinate("y")].concat();
        UnparsedPublicKey::new(algorithm, public)
            .verify(signed.as_bytes(), &decoded(signature))
            .unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        [json(header), json(claims)]
    }

    #[test]
    fn a_new_key_signs_and_its_pem_is_the_same_key() {
        let (key, pem) = SigningKey::generate().unwrap();
        let [header, claims] = verified(&key, &ECDSA_P256_SHA256_FIXED);
        assert_eq!(header, json!({ "alg": "ES256", "typ": "test" }));
        assert_eq!(claims, json!({ "sub": "me" }));
        assert_eq!(SigningKey::read(pem.expose()).unwrap().public_jwk(), key.public_jwk());
        assert_ne!(SigningKey::generate().unwrap().0.thumbprint(), key.thumbprint());
    }

    #[test]
    fn the_keys_of_the_rfcs_are_read_and_sign() {
        let key = SigningKey::read(EC).unwrap();
        assert_eq!(verified(&key, &ECDSA_P256_SHA256_FIXED)[0]["kid"], "a3");
        let key = SigningKey::read(ED).unwrap().with_key_id(Some("mine".into()));
        let [header, _] = verified(&key, &ED25519);
        assert_eq!(header, json!({ "alg": "EdDSA", "kid": "mine", "typ": "test" }));
        // RFC 8037 appendix A.3.
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_cannot_sign_says_why() {
        let refusal = |text: &str| SigningKey::read(text).err();
        let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        assert_eq!(refusal(""), Some(KeyError::Unreadable));
        assert_eq!(refusal("hunter2"), Some(KeyError::Unreadable));
        assert_eq!(refusal("{\"kty\":1}"), Some(KeyError::Unreadable));
        assert_eq!(refusal(r#"{"kty":"oct","d":"AA"}"#), Some(KeyError::Unfit));
        assert_eq!(refusal(&ED.replace("\"d\"", "\"dd\"")), Some(KeyError::Public));
        assert_eq!(refusal(&ED.replace("11q", "12q")), Some(KeyError::Unfit));
        assert_eq!(refusal(&pem("PUBLIC KEY")), Some(KeyError::Public));
        assert_eq!(refusal(&pem("ENCRYPTED PRIVATE KEY")), Some(KeyError::Encrypted));
        assert_eq!(refusal(&pem("EC PRIVATE KEY")), Some(KeyError::Sec1));
        assert_eq!(refusal(&pem("PRIVATE KEY")), Some(KeyError::Unfit));
    }
}
