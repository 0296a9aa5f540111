//! The encrypted file store, for machines without a keychain: one sealed file a record, replaced
//! atomically, under a data key of this user. A file that does not open is never taken for absent.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use zeroize::Zeroizing;

use super::backend::CredentialStore;
use super::data_key::{self, Passphrase};
use super::error::{Error, Why};
use super::key::Key;
use super::lock::Guard;
use super::seal::DataKey;
use crate::private_file;
use crate::secret::Secret;

/// Longest sealed record read, in bytes: a token of the longest kind, several times over.
const LONGEST: u64 = 1 << 20;

/// Records as sealed files of one directory.
pub struct EncryptedFile {
    directory: PathBuf,
    locks: PathBuf,
    /// Protect the data key by a passphrase.
    protect: bool,
    passphrase: Passphrase,
    /// Found once a process: a passphrase costs a person's time and 64 MiB.
    key: Mutex<Option<DataKey>>,
}

impl EncryptedFile {
    /// A store in `directory`, which is made at the first write.
    pub fn new(directory: PathBuf, protect: bool, passphrase: Passphrase) -> Self {
        let locks = directory.join("locks");
        Self { directory, locks, protect, passphrase, key: Mutex::new(None) }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.directory.join(key.file_stem() + ".sealed")
    }

    fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        Ok(private_file::read(&self.path(key), LONGEST)?)
    }

    /// The key to read with: it is an error when a record is there and the key is not.
    fn reading_key(&self) -> Result<DataKey, Error> {
        self.cached(|| match data_key::find(&self.directory, &self.passphrase)? {
            Some(key) => Ok(key),
            None => Err(Error::KeyMissing { path: self.directory.join("key") }),
        })
    }

    /// The key to write with, made at the first write by one process alone.
    fn writing_key(&self) -> Result<DataKey, Error> {
        if self.protect && data_key::lies_open(&self.directory) {
            self.forget_key();
        }
        self.cached(|| {
            private_file::make_directory(&self.directory)?;
            let Self { directory, locks, protect, passphrase, .. } = self;
            data_key::find_or_make(directory, locks, *protect, passphrase)
        })
    }

    fn cached(&self, find: impl FnOnce() -> Result<DataKey, Error>) -> Result<DataKey, Error> {
        let mut cached = self.key.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(key) = cached.as_ref() {
            return Ok(key.clone());
        }
        let key = find()?;
        *cached = Some(key.clone());
        Ok(key)
    }

    fn forget_key(&self) {
        *self.key.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    fn unreadable(&self, key: &Key, why: Why) -> Error {
        Error::Unreadable { key: key.to_string(), why, kept: self.file(key) }
    }
}

impl CredentialStore for EncryptedFile {
    fn load(&self, key: &Key) -> Result<Option<Secret>, Error> {
        let Some(sealed) = self.read(key)? else { return Ok(None) };
        let plain = self.reading_key()?.open(&key.to_string(), &sealed);
        let plain = plain.ok_or_else(|| self.unreadable(key, Why::Seal))?;
        text(plain).map(Some).ok_or_else(|| self.unreadable(key, Why::NotText))
    }

    fn save(&self, _: &Guard, key: &Key, secret: &Secret) -> Result<(), Error> {
        let data_key = self.writing_key()?;
        let sealed = data_key.seal(&key.to_string(), secret.expose().as_bytes());
        Ok(private_file::replace(&self.path(key), &sealed)?)
    }

    fn delete(&self, _: &Guard, key: &Key) -> Result<bool, Error> {
        Ok(private_file::remove(&self.path(key))?)
    }

    fn set_aside(&self, _: &Guard, key: &Key) -> Result<String, Error> {
        let contents = self.read(key)?.unwrap_or_default();
        for number in 1.. {
            let copy = self.directory.join(format!("{}.sealed.corrupt-{number}", key.file_stem()));
            match private_file::read(&copy, LONGEST)? {
                Some(there) if there != contents => continue,
                Some(_) => {}
                None => private_file::replace(&copy, &contents)?,
            }
            return Ok(copy.display().to_string());
        }
        unreachable!("there are always more numbers")
    }

    fn file(&self, key: &Key) -> Option<PathBuf> {
        Some(self.path(key))
    }

    fn locks(&self) -> &Path {
        &self.locks
    }

    fn describe(&self) -> String {
        format!("encrypted file {}", self.directory.display())
    }
}

/// The opened record; `None` if it is not text.
fn text(plain: Zeroizing<Vec<u8>>) -> Option<Secret> {
    std::str::from_utf8(&plain).ok().map(Secret::new)
}
