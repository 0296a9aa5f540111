//! What a place for records promises.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::key::Key;
use super::lock::Guard;
use crate::secret::Secret;

/// A place for records: exact reads, whole writes, and a directory of locks with its own scope. Writes
/// take the guard of their key; a write that must be abandoned keeps the lock until it is over.
pub trait CredentialStore: Send + Sync {
    /// What is stored under `key`. Unreadable is not absent: it is an error.
    fn load(&self, key: &Key) -> Result<Option<Secret>, Error>;

    /// Replaces what is stored, or leaves the old value, also when the process dies halfway.
    fn save(&self, guard: &Guard, key: &Key, secret: &Secret) -> Result<(), Error>;

    /// Deletes; whether something was there.
    fn delete(&self, guard: &Guard, key: &Key) -> Result<bool, Error>;

    /// Whether a record could be written now, as far as that shows without writing one.
    fn prove_writable(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Copies what is stored and cannot be read, so that it may be replaced. Says where it is now.
    fn set_aside(&self, guard: &Guard, key: &Key) -> Result<String, Error>;

    /// The file of a record, where records are files.
    fn file(&self, key: &Key) -> Option<PathBuf>;

    /// The directory of the locks, as wide as the store itself. Whatever it lies in is this user's alone.
    fn locks(&self) -> Result<&Path, Error>;

    /// The store in the words of `status`.
    fn describe(&self) -> String;
}
