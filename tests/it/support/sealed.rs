//! The encrypted file store from outside: opens and makes records by the format that `src/store/seal.rs`
//! documents, so that a test sees what is really kept.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde_json::Value;

use super::sandbox::Sandbox;

const MAGIC: &[u8] = b"authctl\x01";
const NONCE: usize = 24;
const LABEL: &str = "credential/demo:default";

/// Where the sandbox keeps its records.
pub fn directory(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("home/.local/share/authctl/store")
}

/// The file of the credential `demo`.
pub fn file(sandbox: &Sandbox) -> PathBuf {
    directory(sandbox).join("credential~demo~default.sealed")
}

/// The copies of that file that were set aside.
pub fn set_aside(sandbox: &Sandbox) -> Vec<Vec<u8>> {
    let is_copy = |path: &PathBuf| path.to_string_lossy().contains(".sealed.corrupt-");
    let copies = sandbox.files().into_iter().filter(is_copy);
    copies.map(|path| std::fs::read(path).unwrap()).collect()
}

/// The record of the credential `demo`.
pub fn record(sandbox: &Sandbox) -> Value {
    let sealed = std::fs::read(file(sandbox)).unwrap();
    let (nonce, sealed) = sealed.strip_prefix(MAGIC).expect("the magic").split_at(NONCE);
    let payload = Payload { msg: sealed, aad: &associated() };
    let plain = cipher(sandbox).decrypt(&XNonce::try_from(nonce).unwrap(), payload);
    serde_json::from_slice(&plain.expect("an unbroken seal")).unwrap()
}

/// Puts another record in its place.
pub fn replace(sandbox: &Sandbox, record: &Value) {
    let nonce = [7; NONCE];
    let plain = record.to_string();
    let payload = Payload { msg: plain.as_bytes(), aad: &associated() };
    let sealed = cipher(sandbox).encrypt(&XNonce::from(nonce), payload).unwrap();
    std::fs::write(file(sandbox), [MAGIC, &nonce, &sealed].concat()).unwrap();
}

fn cipher(sandbox: &Sandbox) -> XChaCha20Poly1305 {
    let text = std::fs::read_to_string(directory(sandbox).join("key")).unwrap();
    let key: [u8; 32] = STANDARD.decode(text.trim()).unwrap().try_into().unwrap();
    XChaCha20Poly1305::new(&Key::from(key))
}

fn associated() -> Vec<u8> {
    [MAGIC, LABEL.as_bytes()].concat()
}
