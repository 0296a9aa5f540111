//! The sealed form of a record: XChaCha20-Poly1305 with a random nonce, bound to the record's key, so
//! that neither a changed byte nor a file under another name opens.
//!
//! ```text
//! "authctl\x01"  24 bytes of nonce  ciphertext and tag
//! ```

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// What every sealed file begins with; the last byte is the format.
const MAGIC: &[u8; 8] = b"authctl\x01";
const NONCE: usize = 24;

/// The 32 bytes that seal all records of one store.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// A new random key.
    pub fn random() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// A key from its bytes; `None` unless there are 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals `plain` for the record called `label`.
    pub fn seal(&self, label: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = random();
        let payload = Payload { msg: plain, aad: &associated(label) };
        // Fails only beyond 256 GiB; a record has a few KiB.
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        [MAGIC.as_slice(), &nonce, &sealed].concat()
    }

    /// Opens what was sealed for `label` with this key, or `None`.
    pub fn open(&self, label: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.strip_prefix(MAGIC)?.split_at_checked(NONCE)?;
        let payload = Payload { msg: sealed, aad: &associated(label) };
        let nonce = XNonce::try_from(nonce).ok()?;
        self.cipher().decrypt(&nonce, payload).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }
}

fn associated(label: &str) -> Vec<u8> {
    [MAGIC.as_slice(), label.as_bytes()].concat()
}

/// `N` bytes of the system's generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The system's generator fails only where there is none; then nothing here can go on.
    getrandom::fill(&mut bytes).unwrap_or_else(|error| panic!("no random numbers: {error}"));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_for_its_own_label_and_key_only() {
        let key = DataKey::random();
        let sealed = key.seal("credential/a:default", b"hunter2");
        assert_eq!(key.open("credential/a:default", &sealed).unwrap().as_slice(), b"hunter2");
        assert!(key.open("credential/b:default", &sealed).is_none());
        assert!(DataKey::random().open("credential/a:default", &sealed).is_none());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_noticed() {
        let key = DataKey::random();
        let sealed = key.seal("x", b"some record");
        for position in 0..sealed.len() {
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[position] ^= 1 << bit;
                assert!(key.open("x", &flipped).is_none(), "byte {position}, bit {bit}");
            }
            assert!(key.open("x", &sealed[..position]).is_none(), "cut at {position}");
        }
    }

    #[test]
    fn no_two_seals_are_alike() {
        let key = DataKey::random();
        assert_ne!(key.seal("x", b"same"), key.seal("x", b"same"));
    }
}
