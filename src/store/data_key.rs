//! Where the data key of the encrypted store is: in a file of this user (`key`), or wrapped by a
//! passphrase through Argon2id (`key.wrapped`). A wrapped key is always honoured; the choice of the
//! user decides only what is made first, and wraps a key that lay open.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::Error;
use super::lock;
use super::seal::{DataKey, random};
use crate::interact::{Interact, Unanswered};
use crate::private_file;
use crate::secret::Secret;

/// Longest key file read, in bytes.
const LONGEST: u64 = 4096;
/// Longest passphrase read from a file, in bytes.
const LONGEST_PASSPHRASE: u64 = 4096;
/// How often a person may mistype.
const TRIES: usize = 3;
/// What the wrapped key is sealed for.
const LABEL: &str = "data key";

/// Who knows the passphrase.
pub struct Passphrase {
    /// A file that has it, named by the environment.
    pub file: Option<PathBuf>,
    /// The person, otherwise.
    pub interact: Arc<dyn Interact>,
}

/// `key.wrapped`, as JSON. The costs stand beside the salt, so that they can rise later.
#[derive(Serialize, Deserialize)]
struct Wrapped {
    format: u32,
    /// Argon2id: memory in KiB, passes, lanes.
    memory: u32,
    passes: u32,
    lanes: u32,
    /// Base64.
    salt: String,
    /// The sealed data key, base64.
    key: String,
}

/// RFC 9106 §4, second recommended option, in one lane: 64 MiB, three passes.
#[cfg(not(test))]
const COSTS: (u32, u32, u32) = (64 * 1024, 3, 1);
#[cfg(test)]
const COSTS: (u32, u32, u32) = (64, 1, 1);
/// More memory than any authctl writes, in KiB: a damaged file must not ask for all there is.
const MOST_MEMORY: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 64;

/// The data key of the store in `directory`, if one was ever made.
pub fn find(directory: &Path, passphrase: &Passphrase) -> Result<Option<DataKey>, Error> {
    let wrapped = wrapped_path(directory);
    if let Some(stored) = private_file::read(&wrapped, LONGEST)? {
        return unwrap(&wrapped, &stored, passphrase).map(Some);
    }
    read_plain(directory)
}

/// The data key, made when missing, and wrapped when `protect` is set. One process makes it, under a lock
/// in `locks`; a person is asked before that lock is taken.
pub fn find_or_make(
    directory: &Path,
    locks: &Path,
    protect: bool,
    passphrase: &Passphrase,
) -> Result<DataKey, Error> {
    let wrapped = wrapped_path(directory);
    if !wrapped.exists() {
        if !protect && let Some(key) = read_plain(directory)? {
            return Ok(key);
        }
        let chosen = if protect { Some(passphrase.choose(&wrapped)?) } else { None };
        let _lock = lock::acquire_plain(locks, "key")?;
        if !wrapped.exists() {
            return make(directory, chosen.as_ref());
        }
    }
    find(directory, passphrase)?.ok_or_else(|| missing(directory))
}

fn make(directory: &Path, chosen: Option<&Secret>) -> Result<DataKey, Error> {
    let plain = read_plain(directory)?;
    let there = plain.is_some();
    let key = match plain {
        Some(key) => key,
        None if has_records(directory)? => return Err(missing(directory)),
        None => DataKey::random(),
    };
    if let Some(passphrase) = chosen {
        wrap(directory, &key, passphrase)?;
        private_file::remove(&plain_path(directory))?;
    } else if !there {
        write_plain(directory, &key)?;
    }
    Ok(key)
}

/// Whether the key lies open although the user asked for a passphrase.
pub fn lies_open(directory: &Path) -> bool {
    plain_path(directory).exists() && !wrapped_path(directory).exists()
}

fn plain_path(directory: &Path) -> PathBuf {
    directory.join("key")
}

fn wrapped_path(directory: &Path) -> PathBuf {
    directory.join("key.wrapped")
}

fn missing(directory: &Path) -> Error {
    Error::KeyMissing { path: plain_path(directory) }
}

fn has_records(directory: &Path) -> Result<bool, Error> {
    let listed = fs::read_dir(directory).map_err(|source| private_file::Error::Io {
        action: "list",
        path: directory.to_owned(),
        source,
    })?;
    Ok(listed.flatten().any(|file| file.path().extension().is_some_and(|e| e == "sealed")))
}

fn read_plain(directory: &Path) -> Result<Option<DataKey>, Error> {
    let path = plain_path(directory);
    let Some(stored) = private_file::read(&path, LONGEST)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let key = STANDARD.decode(stored.trim_ascii()).map(Zeroizing::new).ok();
    match key.and_then(|key| DataKey::from_bytes(&key)) {
        Some(key) => Ok(Some(key)),
        None => Err(Error::KeyDamaged { path }),
    }
}

fn write_plain(directory: &Path, key: &DataKey) -> Result<(), Error> {
    let text = Zeroizing::new(STANDARD.encode(key.as_bytes()) + "\n");
    Ok(private_file::replace(&plain_path(directory), text.as_bytes())?)
}

fn wrap(directory: &Path, key: &DataKey, passphrase: &Secret) -> Result<(), Error> {
    let path = wrapped_path(directory);
    let salt: [u8; 16] = random();
    let outer = derive(passphrase, &salt, COSTS).ok_or(Error::KeyDamaged { path: path.clone() })?;
    let (memory, passes, lanes) = COSTS;
    let wrapped = Wrapped {
        format: 1,
        memory,
        passes,
        lanes,
        salt: STANDARD.encode(salt),
        key: STANDARD.encode(outer.seal(LABEL, key.as_bytes())),
    };
    let json = serde_json::to_vec(&wrapped).unwrap_or_default(); // strings and numbers: cannot fail
    Ok(private_file::replace(&path, &json)?)
}

fn unwrap(path: &Path, stored: &[u8], passphrase: &Passphrase) -> Result<DataKey, Error> {
    let damaged = || Error::KeyDamaged { path: path.to_owned() };
    let wrapped: Wrapped = serde_json::from_slice(stored).map_err(|_| damaged())?;
    let salt = STANDARD.decode(&wrapped.salt).map_err(|_| damaged())?;
    let sealed = STANDARD.decode(&wrapped.key).map_err(|_| damaged())?;
    if wrapped.memory > MOST_MEMORY || wrapped.passes > MOST_PASSES {
        return Err(damaged());
    }
    let costs = (wrapped.memory, wrapped.passes, wrapped.lanes);
    for _ in 0..passphrase.tries() {
        let given = passphrase.ask(path)?;
        let outer = derive(&given, &salt, costs).ok_or_else(damaged)?;
        if let Some(key) = outer.open(LABEL, &sealed) {
            return DataKey::from_bytes(&key).ok_or_else(damaged);
        }
        passphrase.interact.warn("that passphrase does not open the store");
    }
    Err(Error::WrongPassphrase { path: path.to_owned() })
}

/// Argon2id; `None` for costs that it does not know.
fn derive(passphrase: &Secret, salt: &[u8], costs: (u32, u32, u32)) -> Option<DataKey> {
    let (memory, passes, lanes) = costs;
    let params = argon2::Params::new(memory, passes, lanes, Some(32)).ok()?;
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut key = Zeroizing::new([0u8; 32]);
    argon.hash_password_into(passphrase.expose().as_bytes(), salt, key.as_mut_slice()).ok()?;
    DataKey::from_bytes(key.as_slice())
}

impl Passphrase {
    /// A file says the same thing however often it is asked.
    fn tries(&self) -> usize {
        if self.file.is_some() { 1 } else { TRIES }
    }

    fn ask(&self, path: &Path) -> Result<Secret, Error> {
        match &self.file {
            Some(file) => read_passphrase(file),
            None => self.prompt("Passphrase of the credential store:", path),
        }
    }

    /// A new passphrase; a person gives it twice.
    fn choose(&self, path: &Path) -> Result<Secret, Error> {
        if let Some(file) = &self.file {
            return read_passphrase(file);
        }
        for _ in 0..TRIES {
            let first = self.prompt("New passphrase of the credential store:", path)?;
            let second = self.prompt("The same again:", path)?;
            if first.expose().is_empty() {
                self.interact.warn("an empty passphrase protects nothing");
            } else if first.expose() == second.expose() {
                return Ok(first);
            } else {
                self.interact.warn("the two differ");
            }
        }
        Err(Error::WrongPassphrase { path: path.to_owned() })
    }

    fn prompt(&self, prompt: &str, path: &Path) -> Result<Secret, Error> {
        let needed = |source| Error::PassphraseNeeded { path: path.to_owned(), source };
        if !self.interact.can_ask() {
            return Err(needed(Unanswered::NoTerminal));
        }
        self.interact.ask_secret(prompt).map_err(needed)
    }
}

/// The passphrase in a file, without one line break at its end. The file is the one that the user named,
/// often another user's (a mounted secret, a link), so that it is read as it is.
fn read_passphrase(path: &Path) -> Result<Secret, Error> {
    let unread = |source| Error::PassphraseFile { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(unread)?;
    file.take(LONGEST_PASSPHRASE).read_to_string(&mut text).map_err(unread)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let passphrase = line.strip_suffix('\r').unwrap_or(line);
    if passphrase.is_empty() {
        return Err(unread(io::Error::new(io::ErrorKind::InvalidData, "it is empty")));
    }
    Ok(Secret::new(passphrase))
}
