//! The store: where records rest (OS keychain or encrypted file), their locks, the non-secret index
//! beside them, and the credentials that the environment gives. The only door to all of it.

mod backend;
mod data_key;
mod encrypted_file;
mod environment;
mod error;
mod index;
mod key;
mod keychain;
mod lock;
mod registration;
mod seal;
mod split;

use std::sync::Arc;
use std::time::Duration;

use backend::CredentialStore;
pub use environment::{GivenRule, given, given_id, token_variable};
pub use error::{Error, Why};
pub use index::{Entry, Listing};
pub use key::Key;
pub use lock::Guard;
pub use registration::RegistrationRecord;

use crate::credential::{Name, Record};
use crate::interact::Interact;
use crate::paths::{self, Paths};
use crate::secret::Secret;

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Keychain,
    /// The encrypted file; with `passphrase`, its key is wrapped by one.
    File {
        passphrase: bool,
    },
}

/// One store with its index.
pub struct Store {
    choice: Choice,
    backend: Box<dyn CredentialStore>,
    index: index::Index,
    interact: Arc<dyn Interact>,
}

impl Store {
    /// The chosen store. Nothing is opened, made or asked yet.
    pub fn new(choice: Choice, paths: &Paths, interact: Arc<dyn Interact>) -> Self {
        let (backend, scope): (Box<dyn CredentialStore>, _) = match choice {
            Choice::Keychain => {
                let locks = paths.locks.clone();
                (Box::new(keychain::Keychain::new(locks, Arc::clone(&interact))), "keychain")
            }
            Choice::File { passphrase: protect } => {
                let passphrase = data_key::Passphrase {
                    file: paths::passphrase_file(),
                    interact: Arc::clone(&interact),
                };
                let directory = paths.data.join("store");
                let store = encrypted_file::EncryptedFile::new(directory, protect, passphrase);
                (Box::new(store), "file")
            }
        };
        let index = index::Index::new(paths.state.join("index").join(scope));
        Self { choice, backend, index, interact }
    }

    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// The store in words: `OS keychain (Secret Service)`, `encrypted file PATH`.
    pub fn describe(&self) -> String {
        self.backend.describe()
    }

    /// Takes the lock of `key`, trying for `wait`; then [`Error::Busy`]. A credential's lock makes
    /// INT, TERM, HUP and TSTP wait until it is dropped.
    pub fn lock(&self, key: &Key, wait: Duration) -> Result<Guard, Error> {
        lock::acquire(self.backend.locks(), key, wait)
    }

    /// Takes the lock of `key` unless somebody has it.
    pub fn try_lock(&self, key: &Key) -> Result<Option<Guard>, Error> {
        lock::try_acquire(self.backend.locks(), key)
    }

    /// Identity of the locks: a random id. Processes with the same one exclude each other.
    pub fn lock_domain(&self) -> Result<String, Error> {
        lock::domain(self.backend.locks())
    }

    /// Reads one credential: one exact read of the store. Its index entry is mended on the way.
    pub fn load(&self, name: &Name) -> Result<Option<Record>, Error> {
        let key = Key::Credential(name);
        let Some(stored) = self.backend.load(&key)? else {
            self.forget_entry(name);
            return Ok(None);
        };
        let record = self.parse_record(&key, &stored)?;
        // The index is a copy: a state directory that cannot be written stops no read.
        let _ = self.index.mend(&Entry::of(&record));
        Ok(Some(record))
    }

    /// Writes one credential under its lock. Damaged contents are set aside first; a record of a newer
    /// format is refused.
    pub fn save(&self, guard: &Guard, record: &Record) -> Result<(), Error> {
        let name = record.name().map_err(|bad| Error::Backend { what: bad.to_string() })?;
        let key = Key::Credential(&name);
        self.make_way(guard, &key, |stored| self.parse_record(&key, stored).map(drop))?;
        self.backend.save(guard, &key, &record.to_stored())?;
        if let Err(error) = self.index.write(&Entry::of(record)) {
            self.interact.warn(&format!("{name} is saved, but status cannot know yet: {error}"));
        }
        Ok(())
    }

    /// Deletes one credential under its lock; whether it was there. Damaged contents are set aside.
    pub fn delete(&self, guard: &Guard, name: &Name) -> Result<bool, Error> {
        let key = Key::Credential(name);
        self.make_way(guard, &key, |stored| self.parse_record(&key, stored).map(drop))?;
        let there = self.backend.delete(guard, &key)?;
        self.index.remove(name)?;
        Ok(there)
    }

    /// Reads the client registration at an issuer.
    pub fn load_registration(&self, issuer: &str) -> Result<Option<RegistrationRecord>, Error> {
        let key = Key::Registration(issuer);
        let stored = self.backend.load(&key)?;
        stored.map(|stored| self.parse_registration(&key, &stored)).transpose()
    }

    /// Writes a client registration under its lock.
    pub fn save_registration(
        &self,
        guard: &Guard,
        record: &RegistrationRecord,
    ) -> Result<(), Error> {
        let key = Key::Registration(&record.issuer);
        self.make_way(guard, &key, |stored| self.parse_registration(&key, stored).map(drop))?;
        self.backend.save(guard, &key, &record.to_stored())
    }

    /// Deletes a client registration under its lock; whether it was there.
    pub fn delete_registration(&self, guard: &Guard, issuer: &str) -> Result<bool, Error> {
        let key = Key::Registration(issuer);
        self.make_way(guard, &key, |stored| self.parse_registration(&key, stored).map(drop))?;
        self.backend.delete(guard, &key)
    }

    /// What is held, by name, from the index alone. Damaged entries are listed apart: using their
    /// credential mends them.
    pub fn entries(&self) -> Result<Listing, Error> {
        self.index.list()
    }

    /// What is held under one name, from the index alone.
    pub fn entry(&self, name: &Name) -> Result<Option<Entry>, Error> {
        self.index.entry(name)
    }

    fn parse_record(&self, key: &Key, stored: &Secret) -> Result<Record, Error> {
        let record = Record::from_stored(stored.expose());
        let record = record.map_err(|why| self.unreadable(key, why.into()))?;
        match record.name() {
            Ok(name) if Key::Credential(&name) == *key => Ok(record),
            _ => Err(self.unreadable(key, Why::OtherName)),
        }
    }

    fn parse_registration(&self, key: &Key, stored: &Secret) -> Result<RegistrationRecord, Error> {
        let record = RegistrationRecord::from_stored(stored.expose());
        let record = record.map_err(|why| self.unreadable(key, why.into()))?;
        if Key::Registration(&record.issuer) == *key {
            return Ok(record);
        }
        Err(self.unreadable(key, Why::OtherName))
    }

    fn unreadable(&self, key: &Key, why: Why) -> Error {
        Error::Unreadable { key: key.to_string(), why, kept: self.backend.file(key) }
    }

    /// Makes sure that what is stored under `key` may be replaced: it can be read, or it is damaged and
    /// has been set aside. What a newer authctl wrote stays.
    fn make_way(
        &self,
        guard: &Guard,
        key: &Key,
        parse: impl Fn(&Secret) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !guard.covers(key) {
            return Err(Error::NotLocked { key: key.to_string() });
        }
        let read = match self.backend.load(key) {
            Ok(None) => Ok(()),
            Ok(Some(stored)) => parse(&stored),
            Err(error) => Err(error),
        };
        match read {
            Err(Error::Unreadable { why, .. }) if !why.is_newer() => {
                let copy = self.backend.set_aside(guard, key)?;
                self.interact.warn(&format!("the damaged record {key} is kept as {copy}"));
                Ok(())
            }
            read => read,
        }
    }

    /// Removes the entry of a credential that is not in the store, unless it is just being saved.
    fn forget_entry(&self, name: &Name) {
        if !matches!(self.index.entry(name), Ok(Some(_))) {
            return;
        }
        let key = Key::Credential(name);
        if let Ok(Some(_guard)) = self.try_lock(&key)
            && matches!(self.backend.load(&key), Ok(None))
        {
            let _ = self.index.remove(name); // a copy: the next read tries again
        }
    }
}
