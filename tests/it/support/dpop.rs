//! The other side of RFC 9449: verifies proofs of possession, and an API that takes bound tokens alone.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use super::http::{Answer, Request, Server};

/// What a good proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Thumbprint of the key (RFC 7638).
    pub jkt: String,
    pub jti: String,
    pub nonce: Option<String>,
    /// Hash of the access token.
    pub ath: Option<String>,
}

/// Reads the proof of a request for `url` as RFC 9449 §4.3 wants it; what is wrong with it.
pub fn verify(request: &Request, url: &str) -> Result<Proof, String> {
    let proofs = request.headers.iter().filter(|(name, _)| name == "dpop");
    let [(_, proof)] = &proofs.collect::<Vec<_>>()[..] else { return Err("not one proof".into()) };
    let parts: Vec<&str> = proof.split('.').collect();
    let [header, claims, signature] = parts[..] else { return Err("no JWT".into()) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|error| error.to_string());
    let json = |part: &str| -> Result<Value, String> {
        serde_json::from_slice(&decode(part)?).map_err(|error| error.to_string())
    };
    let signed = format!("{header}.{claims}");
    let (header, claims) = (json(header)?, json(claims)?);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let jwk = &header["jwk"];
    let members = jwk.as_object().map(|jwk| jwk.keys().map(String::as_str).collect::<Vec<_>>());
    let age = Timestamp::now().as_second() - claims["iat"].as_i64().unwrap_or_default();
    let rules = [
        ("typ", header["typ"] == "dpop+jwt"),
        ("alg", header["alg"] == "ES256"),
        ("jwk has its public members", members == Some(vec!["crv", "kty", "x", "y"])),
        ("htm", claims["htm"] == request.method.as_str()),
        ("htu", claims["htu"] == url),
        ("iat", (-60..60).contains(&age)),
        ("jti", text(&claims["jti"]).len() >= 22),
    ];
    if let Some((rule, _)) = rules.iter().find(|(_, holds)| !holds) {
        return Err(format!("proof: not true: {rule}: {header} {claims}, {url}"));
    }
    let point = [vec![4], decode(&text(&jwk["x"]))?, decode(&text(&jwk["y"]))?].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decode(signature)?)
        .map_err(|_| "proof: signed with another key".to_owned())?;
    // serde_json keeps the members sorted, as RFC 7638 §3 wants them.
    let jkt = URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.to_string().as_bytes()));
    let optional = |value: &Value| value.as_str().map(str::to_owned);
    Ok(Proof {
        jkt,
        jti: text(&claims["jti"]),
        nonce: optional(&claims["nonce"]),
        ath: optional(&claims["ath"]),
    })
}

/// `ath` for a token (RFC 9449 §4.2).
fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

/// An API that takes bound tokens with a proof, and no proof twice.
pub struct BoundResource {
    server: Server,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl BoundResource {
    /// `bound_to` gives the thumbprint that a token which lives is bound to. With a `nonce`, proofs must
    /// have it.
    pub fn start(
        nonce: Option<&'static str>,
        bound_to: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::new(Mutex::new(Vec::<Request>::new()));
        let (seen, used) = (Arc::clone(&requests), Mutex::new(Vec::new()));
        let server = Server::start(move |request| {
            seen.lock().unwrap().push(request.clone());
            let challenge = |error: &str| {
                Answer::json(401, &json!({ "error": error }))
                    .header("www-authenticate", &format!("DPoP error=\"{error}\", algs=\"ES256\""))
            };
            let shown = request.header("authorization").unwrap_or_default();
            let Some(token) = shown.strip_prefix("DPoP ") else {
                return challenge("invalid_token");
            };
            let url = format!("http://{}{}", request.header("host").unwrap(), request.path);
            let proof = match verify(request, &url) {
                Ok(proof) => proof,
                Err(what) => return challenge(&what.replace('"', "'")),
            };
            if let Some(nonce) = nonce.filter(|nonce| proof.nonce.as_deref() != Some(nonce)) {
                return challenge("use_dpop_nonce").header("dpop-nonce", nonce);
            }
            let mut used = used.lock().unwrap();
            let is_new = !used.contains(&proof.jti);
            used.push(proof.jti);
            let is_right = proof.ath == Some(hash(token)) && bound_to(token) == Some(proof.jkt);
            if is_new && is_right {
                return Answer::json(200, &json!({ "path": request.path }));
            }
            challenge("invalid_token")
        });
        Self { server, requests }
    }

    pub fn origin(&self) -> String {
        self.server.origin()
    }

    /// The requests so far, refused ones included.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}
