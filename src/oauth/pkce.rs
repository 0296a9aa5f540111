//! Proof key for code exchange (RFC 7636): what a code is worthless without.

use oauth2::PkceCodeChallenge;

use crate::secret::Secret;

/// A verifier of 256 random bits and its challenge by S256.
pub struct Pkce {
    pub code_verifier: Secret,
    pub code_challenge: String,
}

impl Pkce {
    pub fn new() -> Self {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        Self {
            code_verifier: Secret::new(verifier.into_secret()),
            code_challenge: challenge.as_str().to_owned(),
        }
    }
}
