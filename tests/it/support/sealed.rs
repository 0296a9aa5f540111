//! The encrypted file store as a test sees it: records as JSON, read and written past the program, so
//! that time can pass without waiting and another machine can be played.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::sandbox::Sandbox;

const MAGIC: &[u8] = b"authctl\x01";
const NONCE: usize = 24;

/// The store of one sandbox.
pub struct Sealed {
    directory: PathBuf,
}

impl Sealed {
    pub fn of(sandbox: &Sandbox) -> Self {
        Self { directory: sandbox.path("home/.local/share/authctl/store") }
    }

    pub fn directory(&self) -> PathBuf {
        self.directory.clone()
    }

    /// The file of this provider's default account.
    pub fn file(&self, provider: &str) -> PathBuf {
        self.directory.join(format!("credential~{provider}~default.sealed"))
    }

    /// The copies of such files that were set aside.
    pub fn set_aside(&self) -> Vec<Vec<u8>> {
        let is_copy = |path: &PathBuf| path.to_string_lossy().contains(".sealed.corrupt-");
        let files = std::fs::read_dir(&self.directory).unwrap().map(|entry| entry.unwrap().path());
        files.filter(is_copy).map(|path| std::fs::read(path).unwrap()).collect()
    }

    /// The record under this provider's default account, if there is one.
    pub fn find(&self, provider: &str) -> Option<Value> {
        self.read(&self.file(provider), &credential(provider))
    }

    pub fn record(&self, provider: &str) -> Value {
        self.find(provider).unwrap_or_else(|| panic!("no record of {provider}"))
    }

    /// Writes a record as the program does: readers see the old one or the new one.
    pub fn write(&self, provider: &str, record: &Value) {
        self.replace(&self.file(provider), &credential(provider), record);
    }

    /// The files of logins that wait for their answer.
    pub fn pending(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.directory).into_iter().flatten();
        let files = files.map(|entry| entry.unwrap().path());
        files.filter(|path| path.to_string_lossy().contains("/pending~")).collect()
    }

    /// Changes every login that waits for its answer.
    pub fn change_pending(&self, change: impl Fn(&mut Value)) {
        for file in self.pending() {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let key = name.replace('~', "/");
            let mut record = self.read(&file, &key).unwrap();
            change(&mut record);
            self.replace(&file, &key, &record);
        }
    }

    fn read(&self, file: &Path, key: &str) -> Option<Value> {
        let sealed = std::fs::read(file).ok()?;
        let (nonce, text) = sealed.strip_prefix(MAGIC).unwrap().split_at(NONCE);
        let nonce = XNonce::try_from(nonce).unwrap();
        let payload = Payload { msg: text, aad: &associated(key) };
        Some(serde_json::from_slice(&self.cipher().decrypt(&nonce, payload).unwrap()).unwrap())
    }

    fn replace(&self, file: &Path, key: &str, record: &Value) {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).unwrap();
        let text = record.to_string();
        let payload = Payload { msg: text.as_bytes(), aad: &associated(key) };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).unwrap();
        let new = self.directory.join("new");
        std::fs::write(&new, [MAGIC, &nonce, &sealed].concat()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    pub fn change(&self, provider: &str, change: impl FnOnce(&mut Value)) {
        let mut record = self.record(provider);
        change(&mut record);
        self.write(provider, &record);
    }

    /// Makes everything in the record that much older: as if the time had passed, or, with a negative
    /// time, as if the clock had been set back.
    pub fn pass(&self, provider: &str, time: SignedDuration) {
        self.change(provider, |record| age(record, time));
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let text = std::fs::read_to_string(self.directory.join("key")).unwrap();
        let key: [u8; 32] = STANDARD.decode(text.trim()).unwrap().try_into().unwrap();
        XChaCha20Poly1305::new(&Key::from(key))
    }
}

fn credential(provider: &str) -> String {
    format!("credential/{provider}:default")
}

fn associated(key: &str) -> Vec<u8> {
    [MAGIC, key.as_bytes()].concat()
}

/// Makes every time in `value` that much older.
pub fn age(value: &mut Value, time: SignedDuration) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| age(value, time)),
        Value::String(text) => {
            if let Ok(at) = text.parse::<Timestamp>() {
                *text = at.checked_sub(time).unwrap().to_string();
            }
        }
        _ => {}
    }
}
