//! The newest `DPoP-Nonce` of each server (RFC 9449 §8.2), for as long as the process lives: whatever a
//! server answers may bring one, and the next proof for it needs the newest.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use url::Url;

/// The header that brings a nonce (RFC 9449 §8.1).
pub const DPOP_NONCE: &str = "dpop-nonce";

/// Longest nonce that is remembered, in bytes.
const LONGEST: usize = 1024;

/// By origin: authorization server and API each give nonces of their own (RFC 9449 §9).
#[derive(Debug, Default)]
pub struct Nonces(Mutex<BTreeMap<String, String>>);

impl Nonces {
    pub fn newest(&self, url: &Url) -> Option<String> {
        let nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.get(&url.origin().ascii_serialization()).cloned()
    }

    /// Remembers what an answer from `url` brought. What cannot be a nonce (RFC 9449 §8.1) is none.
    pub fn note(&self, url: &Url, nonce: Option<&str>) {
        let fits = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
        let is_nonce =
            |nonce: &&str| (1..=LONGEST).contains(&nonce.len()) && nonce.bytes().all(fits);
        if let Some(nonce) = nonce.filter(is_nonce) {
            let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            nonces.insert(url.origin().ascii_serialization(), nonce.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_nonce_of_a_server_is_that_servers_alone() {
        let nonces = Nonces::default();
        let url = |text: &str| Url::parse(text).unwrap();
        nonces.note(&url("https://as.example/token"), Some("n1"));
        nonces.note(&url("https://as.example/par"), Some("n2"));
        let long = "x".repeat(LONGEST + 1);
        for unfit in [None, Some(""), Some("a b"), Some("a\"b"), Some("ä"), Some(&*long)] {
            nonces.note(&url("https://as.example/token"), unfit);
        }
        assert_eq!(nonces.newest(&url("https://as.example/x")).as_deref(), Some("n2"));
        assert_eq!(nonces.newest(&url("https://as.example:8443/x")), None);
        assert_eq!(nonces.newest(&url("https://api.example/x")), None);
    }
}
