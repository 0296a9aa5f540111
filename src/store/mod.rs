//! The store: where records rest (OS keychain or encrypted file), their locks, the non-secret index
//! beside them, and the credentials that the environment gives. The only door to all of it.

mod backend;
mod data_key;
mod encrypted_file;
mod environment;
mod error;
#[cfg(test)]
mod fake;
mod index;
mod key;
mod keychain;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod keychain_tests;
mod lock;
mod pending;
mod registration;
mod seal;
mod split;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use backend::CredentialStore;
pub use environment::{Given, GivenRule, given, given_id, token_variable};
pub use error::{Error, Why, unless_damaged};
pub use index::{Entry, Glimpse, Listing};
pub use key::Key;
pub use lock::Guard;
pub use pending::{Awaited, PendingEntry, PendingKey, PendingRecord, flow_of};
pub use registration::RegistrationRecord;
pub use turn::{Ended, Turn};

/// How long a write waits for the lock of its record: as long as another's refresh may take.
pub const WRITE_WAIT: Duration = Duration::from_secs(45);

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
    backend: Box<dyn CredentialStore>,
    index: index::Index,
    pending: pending::PendingIndex,
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
                    costs: data_key::Costs::STRONG,
                };
                let directory = paths.data.join("store");
                let store = encrypted_file::EncryptedFile::new(directory, protect, passphrase);
                (Box::new(store), "file")
            }
        };
        let index = index::Index::new(paths.state.join("index").join(scope));
        let pending = pending::PendingIndex::new(paths.state.join("pending").join(scope));
        Self { backend, index, pending, interact }
    }

    /// The store in words: `OS keychain (Secret Service)`, `encrypted file PATH`.
    pub fn describe(&self) -> String {
        self.backend.describe()
    }

    /// Takes the lock of `key`, trying for `wait`; then [`Error::Busy`]. A credential's lock makes
    /// INT, TERM, HUP and TSTP wait until it is dropped.
    pub fn lock(&self, key: &Key, wait: Duration) -> Result<Guard, Error> {
        lock::acquire(self.backend.locks()?, key, wait)
    }

    /// Takes the lock of `key` unless somebody has it.
    pub fn try_lock(&self, key: &Key) -> Result<Option<Guard>, Error> {
        lock::try_acquire(self.backend.locks()?, key)
    }

    /// Identity of the locks: a random id. Processes with the same one exclude each other.
    pub fn lock_domain(&self) -> Result<String, Error> {
        lock::domain(self.backend.locks()?)
    }

    /// Reads one credential: one exact read of the store. Its index entry is mended on the way.
    pub fn load(&self, name: &Name) -> Result<Option<Record>, Error> {
        let key = Key::Credential(name);
        let Some(stored) = self.backend.load(&key)? else {
            self.forget_entry(name);
            return Ok(None);
        };
        let record = self.parse_record(&key, &stored)?;
        self.mend_entry(name, &record);
        Ok(Some(record))
    }

    /// How the index entry of a credential looks; opens nothing.
    pub fn glimpse(&self, name: &Name) -> Glimpse {
        self.index.glimpse(name)
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

    /// Removes the index entry of a credential that is not in the store, under its lock; whether there
    /// was one.
    pub fn delete_entry(&self, guard: &Guard, name: &Name) -> Result<bool, Error> {
        let key = Key::Credential(name);
        if !guard.covers(&key) {
            return Err(Error::NotLocked { key: key.to_string() });
        }
        self.index.remove(name)
    }

    /// Reads a client, by [`Key::Registration`] or [`Key::Client`].
    pub fn load_registration(&self, key: &Key) -> Result<Option<RegistrationRecord>, Error> {
        let stored = self.backend.load(key)?;
        stored.map(|stored| self.parse_registration(key, &stored)).transpose()
    }

    /// Forgets a client under its lock.
    pub fn delete_registration(&self, guard: &Guard, key: &Key) -> Result<bool, Error> {
        self.backend.delete(guard, key)
    }

    /// Proof that something can be stored, before anybody goes to get it.
    pub fn prove_writable(&self) -> Result<(), Error> {
        self.backend.prove_writable()
    }

    /// Writes a client under its lock.
    pub fn save_registration(
        &self,
        guard: &Guard,
        record: &RegistrationRecord,
    ) -> Result<(), Error> {
        let key = record.key();
        self.make_way(guard, &key, |stored| self.parse_registration(&key, stored).map(drop))?;
        self.backend.save(guard, &key, &record.to_stored())
    }

    /// Says whose turn it is to sign in to `name`; to be called with the lock of [`Key::Login`].
    pub fn begin_turn(&self, guard: &Guard, name: &Name, turn: &Turn) -> Result<(), Error> {
        turn::begin(self.backend.locks()?, guard, name, turn)
    }

    /// Says how that turn ended.
    pub fn end_turn(&self, guard: &Guard, name: &Name, turn: &Turn) -> Result<(), Error> {
        turn::end(self.backend.locks()?, guard, name, turn)
    }

    /// The turn that is, or was the last one.
    pub fn turn(&self, name: &Name) -> Option<Turn> {
        turn::read(self.backend.locks().ok()?, name)
    }

    /// Asks whoever signs in to `name` to step back.
    pub fn ask_to_yield(&self, name: &Name) -> Result<(), Error> {
        turn::ask_to_yield(self.backend.locks()?, name)
    }

    /// Whether somebody asked, and has not got the turn yet.
    pub fn is_asked_to_yield(&self, name: &Name) -> bool {
        self.backend.locks().is_ok_and(|locks| turn::is_asked_to_yield(locks, name))
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
        if record.key() == *key {
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

    /// Makes the entry of a record right that was just read. Under its lock and after another look:
    /// a logout meanwhile would come undone. Whoever has the lock writes the entry itself.
    fn mend_entry(&self, name: &Name, record: &Record) {
        if !self.index.is_stale(name, &Entry::of(record)) {
            return;
        }
        let key = Key::Credential(name);
        if let Ok(Some(_guard)) = self.try_lock(&key)
            && let Ok(Some(stored)) = self.backend.load(&key)
            && let Ok(record) = self.parse_record(&key, &stored)
        {
            // A copy: a state directory that cannot be written stops no read.
            let _ = self.index.write(&Entry::of(&record));
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::credential::Credential;
    use crate::oauth::{Client, ClientAuthentication};
    use fake::Person;

    struct Home {
        directory: tempfile::TempDir,
        person: Arc<Person>,
        store: Store,
    }

    impl Home {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let person = Person::absent();
            let at = |name: &str| directory.path().join(name);
            let paths = Paths {
                config: at("config"),
                data: at("data"),
                state: at("state"),
                locks: at("locks"),
            };
            let interact: Arc<dyn Interact> = Arc::<Person>::clone(&person);
            let store = Store::new(Choice::File { passphrase: false }, &paths, interact);
            Self { directory, person, store }
        }

        fn save(&self, record: &Record) -> Result<(), Error> {
            let name = record.name().unwrap();
            let guard = self.store.try_lock(&Key::Credential(&name)).unwrap().unwrap();
            self.store.save(&guard, record)
        }

        fn sealed(&self, name: &str) -> PathBuf {
            self.directory.path().join(format!("data/store/credential~{name}~default.sealed"))
        }

        fn indexed(&self, name: &str) -> PathBuf {
            self.directory.path().join(format!("state/index/file/credential~{name}~default.json"))
        }
    }

    fn record(name: &str, key: &str) -> Record {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Record::new(&name.parse().unwrap(), Credential::ApiKey { key: Secret::new(key) }, now)
    }

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    #[test]
    fn a_store_touches_nothing_before_the_first_write() {
        let home = Home::new();
        assert!(home.store.load(&name("a")).unwrap().is_none());
        assert!(home.store.entries().unwrap().entries.is_empty());
        assert!(
            home.store
                .load_registration(&Key::Registration("https://as.example"))
                .unwrap()
                .is_none()
        );
        assert_eq!(fs::read_dir(home.directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_saved_credential_is_loaded_and_listed_and_deleted() {
        let home = Home::new();
        let saved = record("a:work", "hunter2");
        home.save(&saved).unwrap();
        let loaded = home.store.load(&name("a:work")).unwrap().unwrap();
        assert_eq!((loaded.id, loaded.credential.secret().expose()), (saved.id.clone(), "hunter2"));
        assert_eq!(home.store.entries().unwrap().entries, [Entry::of(&saved)]);
        assert_eq!(home.store.entry(&name("a:work")).unwrap(), Some(Entry::of(&saved)));
        assert!(home.store.load(&name("a")).unwrap().is_none());
        let work = name("a:work");
        let guard = home.store.try_lock(&Key::Credential(&work)).unwrap().unwrap();
        assert!(home.store.delete(&guard, &work).unwrap());
        assert!(!home.store.delete(&guard, &work).unwrap());
        assert!(home.store.entries().unwrap().entries.is_empty());
        assert!(home.store.load(&work).unwrap().is_none());
    }

    #[test]
    fn reading_mends_the_index() {
        let home = Home::new();
        let saved = record("a", "hunter2");
        home.save(&saved).unwrap();
        fs::remove_file(home.indexed("a")).unwrap();
        assert_eq!(home.store.entry(&name("a")).unwrap(), None);
        home.store.load(&name("a")).unwrap().unwrap();
        assert_eq!(home.store.entry(&name("a")).unwrap(), Some(Entry::of(&saved)));
        // The other way round: what another machine or command deleted.
        fs::remove_file(home.sealed("a")).unwrap();
        assert!(home.store.load(&name("a")).unwrap().is_none());
        assert!(home.store.entries().unwrap().entries.is_empty());
    }

    #[test]
    fn a_read_beside_a_logout_brings_no_entry_back() {
        let home = Home::new();
        let saved = record("a", "hunter2");
        home.save(&saved).unwrap();
        let a = name("a");
        let guard = home.store.try_lock(&Key::Credential(&a)).unwrap().unwrap();
        let (entry, sealed) = (home.indexed("a"), home.sealed("a"));
        // The logout has the lock and has removed the entry; the reader still saw the record.
        fs::remove_file(&entry).unwrap();
        home.store.load(&a).unwrap().unwrap();
        assert!(!entry.exists());
        // The logout is over since the reader read.
        fs::remove_file(sealed).unwrap();
        drop(guard);
        home.store.mend_entry(&a, &saved);
        assert!(!entry.exists());
    }

    #[test]
    fn an_entry_without_a_record_is_removed_under_the_lock() {
        let home = Home::new();
        home.save(&record("a", "hunter2")).unwrap();
        fs::remove_file(home.sealed("a")).unwrap();
        let (a, b) = (name("a"), name("b"));
        let wrong = home.store.try_lock(&Key::Credential(&b)).unwrap().unwrap();
        assert!(matches!(home.store.delete_entry(&wrong, &a), Err(Error::NotLocked { .. })));
        let guard = home.store.try_lock(&Key::Credential(&a)).unwrap().unwrap();
        assert!(home.store.delete_entry(&guard, &a).unwrap());
        assert!(!home.store.delete_entry(&guard, &a).unwrap());
        assert!(home.store.entries().unwrap().entries.is_empty());
    }

    #[test]
    fn a_damaged_record_is_set_aside_before_it_is_replaced() {
        let home = Home::new();
        home.save(&record("a", "old")).unwrap();
        fs::write(home.sealed("a"), "damage").unwrap();
        assert!(matches!(home.store.load(&name("a")), Err(Error::Unreadable { .. })));
        assert_eq!(fs::read_to_string(home.sealed("a")).unwrap(), "damage");
        home.save(&record("a", "new")).unwrap();
        let copy = home.sealed("a").with_extension("sealed.corrupt-1");
        assert_eq!(fs::read_to_string(&copy).unwrap(), "damage");
        let loaded = home.store.load(&name("a")).unwrap().unwrap();
        assert_eq!(loaded.credential.secret().expose(), "new");
        assert!(home.person.heard()[0].contains("corrupt-1"));
    }

    #[test]
    fn a_damaged_record_that_cannot_be_set_aside_stays() {
        let home = Home::new();
        home.save(&record("a", "old")).unwrap();
        fs::write(home.sealed("a"), "damage").unwrap();
        // A directory where the copy would go.
        fs::create_dir(home.sealed("a").with_extension("sealed.corrupt-1")).unwrap();
        assert!(home.save(&record("a", "new")).is_err());
        assert_eq!(fs::read_to_string(home.sealed("a")).unwrap(), "damage");
    }

    #[test]
    fn what_a_newer_authctl_wrote_is_refused_untouched() {
        let home = Home::new();
        let mut newer = record("a", "from the future");
        newer.format = 99;
        home.save(&newer).unwrap();
        let sealed = fs::read(home.sealed("a")).unwrap();
        let refused = |error| matches!(error, Error::Unreadable { why, .. } if why.is_newer());
        assert!(refused(home.store.load(&name("a")).unwrap_err()));
        assert!(refused(home.save(&record("a", "new")).unwrap_err()));
        let a = name("a");
        let guard = home.store.try_lock(&Key::Credential(&a)).unwrap().unwrap();
        assert!(refused(home.store.delete(&guard, &a).unwrap_err()));
        assert_eq!(fs::read(home.sealed("a")).unwrap(), sealed);
    }

    #[test]
    fn nothing_is_written_under_the_lock_of_something_else() {
        let home = Home::new();
        let (a, b) = (name("a"), name("b"));
        for wrong in [Key::Credential(&b), Key::Login(&a)] {
            let guard = home.store.try_lock(&wrong).unwrap().unwrap();
            let error = home.store.save(&guard, &record("a", "k")).unwrap_err();
            assert!(matches!(error, Error::NotLocked { .. }));
            assert!(matches!(home.store.delete(&guard, &a), Err(Error::NotLocked { .. })));
        }
    }

    #[test]
    fn an_index_that_cannot_be_written_loses_no_credential() {
        let home = Home::new();
        fs::create_dir_all(home.directory.path().join("state")).unwrap();
        fs::write(home.directory.path().join("state/index"), "a file in its place").unwrap();
        home.save(&record("a", "hunter2")).unwrap();
        let loaded = home.store.load(&name("a")).unwrap().unwrap();
        assert_eq!(loaded.credential.secret().expose(), "hunter2");
        assert_eq!(home.person.heard().len(), 1);
    }

    #[test]
    fn registrations_are_kept_by_the_exact_issuer() {
        let home = Home::new();
        let client = Client {
            client_id: "id".into(),
            client_secret: Some(Secret::new("client secret")),
            key: None,
            authentication: ClientAuthentication::ClientSecretBasic,
        };
        let record = RegistrationRecord {
            format: crate::credential::FORMAT,
            issuer: "https://as.example".into(),
            client,
            grants: Vec::new(),
            redirect_uris: vec!["http://127.0.0.1:49152/callback".into()],
            created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            secret_expires_at: None,
            dpop_bound_access_tokens: false,
            provider: None,
        };
        let key = record.key();
        let guard = home.store.try_lock(&key).unwrap().unwrap();
        home.store.save_registration(&guard, &record).unwrap();
        let loaded = home.store.load_registration(&key).unwrap().unwrap();
        assert_eq!(loaded.client.client_secret.as_ref().unwrap().expose(), "client secret");
        assert_eq!(loaded.redirect_uris, record.redirect_uris);
        for other in [Key::Registration("https://as.example/"), Key::Client("https://as.example")] {
            assert!(home.store.load_registration(&other).unwrap().is_none());
        }
        assert!(home.store.entries().unwrap().entries.is_empty());
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        use std::io;
        let full = crate::private_file::Error::Io {
            action: "write",
            path: "/x".into(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        assert!(matches!(Error::from(full), Error::Full { .. }));
    }
}
