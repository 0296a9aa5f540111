//! The OS keychain: Secret Service, macOS Keychain, Windows Credential Manager. A keychain may wait for
//! ever for somebody to unlock it, and its connection dies with its daemon; so every call runs on one
//! thread of its own, under one deadline for everything, with the store reopened once when it fails.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keyring_core::Error as Native;
use zeroize::Zeroizing;

use super::backend::CredentialStore;
use super::error::{Error, Why};
use super::key::Key;
use super::lock::Guard;
use super::split::{self, Held, Items};
use crate::interact::Interact;
use crate::secret::Secret;
use crate::{signals, text};

/// The service of every item.
const SERVICE: &str = "authctl";

/// How long a call may take, reopening included.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Nobody is there to answer a prompt.
    pub unattended: Duration,
    /// Somebody is.
    pub attended: Duration,
    /// After this long, somebody who is there is told what is waited for.
    pub announce: Duration,
}

const PATIENCE: Patience = Patience {
    unattended: Duration::from_secs(5),
    attended: Duration::from_mins(1),
    announce: Duration::from_secs(1),
};

/// Opens the platform's store.
pub type Open = dyn Fn() -> keyring_core::Result<Arc<keyring_core::CredentialStore>> + Send + Sync;

/// Records as items of the OS keychain, one an item.
pub struct Keychain {
    open: Arc<Open>,
    /// Longest value of one item, in bytes.
    limit: Option<usize>,
    patience: Patience,
    locks: PathBuf,
    interact: Arc<dyn Interact>,
    /// The thread that alone talks to the keychain; gone after a call that was abandoned.
    worker: Mutex<Option<Sender<Job>>>,
}

/// Something to do with the open store.
type Job = Box<dyn FnOnce(&mut Connection) + Send>;

impl Keychain {
    /// The platform's keychain, opened at the first call.
    pub fn new(locks: PathBuf, interact: Arc<dyn Interact>) -> Self {
        Self::with(Arc::new(platform::open), platform::LIMIT, PATIENCE, locks, interact)
    }

    /// Another keychain, or another limit or patience.
    pub fn with(
        open: Arc<Open>,
        limit: Option<usize>,
        patience: Patience,
        locks: PathBuf,
        interact: Arc<dyn Interact>,
    ) -> Self {
        Self { open, limit, patience, locks, interact, worker: Mutex::new(None) }
    }

    /// Runs `work` on the keychain's thread. What `work` owns lives until it is over, also when it was
    /// abandoned here.
    fn run<T: Send + 'static>(
        &self,
        key: &Key,
        work: impl Fn(&NativeItems) -> Result<T, Native> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = mpsc::sync_channel(1);
        let key = key.to_string();
        self.send(Box::new(move |connection| {
            let done = connection.run(&work).map_err(|error| explain(&error, &key));
            drop(work); // with the lock that it may hold
            let _ = reply.send(done); // after the deadline nobody listens any more
        }));
        let (limit, answer) = self.wait(&answer);
        answer.unwrap_or_else(|error| {
            *self.worker() = None; // its thread is stuck or gone; the next call gets another
            Err(match error {
                RecvTimeoutError::Timeout => Error::TimedOut { seconds: limit.as_secs() },
                RecvTimeoutError::Disconnected => {
                    Error::Backend { what: "its thread ended early".into() }
                }
            })
        })
    }

    fn send(&self, job: Job) {
        let mut worker = self.worker();
        let sender = worker.get_or_insert_with(|| start(Arc::clone(&self.open)));
        if let Err(mpsc::SendError(job)) = sender.send(job) {
            let _ = worker.insert(start(Arc::clone(&self.open))).send(job);
        }
    }

    fn worker(&self) -> MutexGuard<'_, Option<Sender<Job>>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer and the time that it had. Somebody who is there has more, and is told why.
    fn wait<T>(&self, answer: &Receiver<T>) -> (Duration, Result<T, RecvTimeoutError>) {
        let Patience { unattended, attended, announce } = self.patience;
        if !self.interact.can_ask() {
            return (unattended, answer.recv_timeout(unattended));
        }
        let mut outcome = answer.recv_timeout(announce);
        if matches!(outcome, Err(RecvTimeoutError::Timeout)) {
            self.interact.notice("waiting for the OS keychain; it may be asking to be unlocked");
            outcome = answer.recv_timeout(attended.saturating_sub(announce));
        }
        (attended, outcome)
    }
}

impl CredentialStore for Keychain {
    fn load(&self, key: &Key) -> Result<Option<Secret>, Error> {
        let user = key.to_string();
        let unreadable = |why| Error::Unreadable { key: key.to_string(), why, kept: None };
        match self.run(key, move |items| split::read(items, &user))? {
            Held::Nothing => Ok(None),
            Held::Broken => Err(unreadable(Why::Parts)),
            Held::Value(value) => match std::str::from_utf8(&value) {
                Ok(text) => Ok(Some(Secret::new(text))),
                Err(_) => Err(unreadable(Why::NotText)),
            },
        }
    }

    fn save(&self, guard: &Guard, key: &Key, secret: &Secret) -> Result<(), Error> {
        let (hold, user, secret, limit) =
            (guard.hold(), key.to_string(), secret.clone(), self.limit);
        self.run(key, move |items| {
            let _locked = &hold;
            split::write(items, &user, secret.expose().as_bytes(), limit)
        })
    }

    fn delete(&self, guard: &Guard, key: &Key) -> Result<bool, Error> {
        let (hold, user, limit) = (guard.hold(), key.to_string(), self.limit);
        self.run(key, move |items| {
            let _locked = &hold;
            split::remove(items, &user, limit)
        })
    }

    fn set_aside(&self, guard: &Guard, key: &Key) -> Result<String, Error> {
        let (hold, user, limit) = (guard.hold(), key.to_string(), self.limit);
        let copy = self.run(key, move |items| {
            let _locked = &hold;
            split::set_aside(items, &user, limit)
        })?;
        Ok(format!("item {copy} of the OS keychain"))
    }

    fn file(&self, _: &Key) -> Option<PathBuf> {
        None
    }

    fn locks(&self) -> Result<&Path, Error> {
        Ok(&self.locks)
    }

    fn describe(&self) -> String {
        format!("OS keychain ({})", platform::NAME)
    }
}

/// Starts the keychain's thread. It ends when its sender is gone.
fn start(open: Arc<Open>) -> Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let mut connection = Connection { open, store: None };
    let work = move || {
        // The bus library's own threads inherit this.
        signals::leave_to_main_thread();
        for job in jobs {
            job(&mut connection);
        }
    };
    // Without a thread the jobs are dropped, and whoever waits for an answer is told.
    let _ = std::thread::Builder::new().name("keychain".into()).spawn(work);
    sender
}

/// The opened store, as long as it works.
struct Connection {
    open: Arc<Open>,
    store: Option<Arc<keyring_core::CredentialStore>>,
}

impl Connection {
    /// Does `work`, and once more with a new store when the present one fails: its daemon may have
    /// been replaced, which ends every session with it.
    fn run<T>(&mut self, work: impl Fn(&NativeItems) -> Result<T, Native>) -> Result<T, Native> {
        let was_open = self.store.is_some();
        match self.attempt(&work) {
            Err(Native::PlatformFailure(_)) if was_open => self.attempt(&work),
            outcome => outcome,
        }
    }

    fn attempt<T>(
        &mut self,
        work: impl Fn(&NativeItems) -> Result<T, Native>,
    ) -> Result<T, Native> {
        let store = match self.store.take() {
            Some(store) => store,
            None => (self.open)()?,
        };
        let outcome = work(&NativeItems(&store));
        if !matches!(outcome, Err(Native::PlatformFailure(_))) {
            self.store = Some(store);
        }
        outcome
    }
}

/// Items of the open store.
struct NativeItems<'a>(&'a Arc<keyring_core::CredentialStore>);

impl NativeItems<'_> {
    fn entry(&self, user: &str) -> Result<keyring_core::Entry, Native> {
        let modifiers = platform::modifiers(user);
        let modifiers = modifiers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.0.build(SERVICE, user, Some(&modifiers))
    }
}

impl Items for NativeItems<'_> {
    type Error = Native;

    fn read(&self, user: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Native> {
        match self.entry(user)?.get_secret() {
            Ok(value) => Ok(Some(Zeroizing::new(value))),
            Err(Native::NoEntry) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, user: &str, value: &[u8]) -> Result<(), Native> {
        self.entry(user)?.set_secret(value)
    }

    fn remove(&self, user: &str) -> Result<bool, Native> {
        match self.entry(user)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Native::NoEntry) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The keychain's error as ours. Some of its variants hold the secret, and its `Debug` shows it: only
/// the texts of those that cannot are taken.
fn explain(error: &Native, key: &str) -> Error {
    match error {
        Native::NoStorageAccess(why) if why.to_string().contains("result not returned") => {
            Error::Unavailable { what: "it has no default collection yet".into() }
        }
        Native::NoStorageAccess(_) => Error::Locked,
        Native::PlatformFailure(why) => Error::Unavailable { what: text::clean(&why.to_string()) },
        Native::NoDefaultStore | Native::NotSupportedByStore(_) => {
            Error::Unavailable { what: "this system has none that authctl knows".into() }
        }
        Native::Ambiguous(_) => Error::Ambiguous { key: key.to_owned() },
        Native::TooLong(..) => Error::Backend { what: format!("{key} is too long for it") },
        Native::Invalid(what, why) => {
            Error::Backend { what: text::clean(&format!("{what} {why}")) }
        }
        _ => Error::Backend { what: format!("its item {key} is malformed") },
    }
}

#[cfg(target_os = "linux")]
pub mod platform {
    use std::sync::Arc;

    pub const NAME: &str = "Secret Service";
    pub const LIMIT: Option<usize> = None;

    pub fn open() -> keyring_core::Result<Arc<keyring_core::CredentialStore>> {
        Ok(zbus_secret_service_keyring_store::Store::new()?)
    }

    /// Never `target`: it makes a new collection, which asks for a password.
    pub fn modifiers(user: &str) -> [(&'static str, String); 1] {
        [("label", format!("authctl {user}"))]
    }
}

#[cfg(target_os = "macos")]
pub mod platform {
    use std::sync::Arc;

    pub const NAME: &str = "macOS Keychain";
    pub const LIMIT: Option<usize> = None;

    pub fn open() -> keyring_core::Result<Arc<keyring_core::CredentialStore>> {
        Ok(apple_native_keyring_store::keychain::Store::new()?)
    }

    pub fn modifiers(_: &str) -> [(&'static str, String); 0] {
        []
    }
}

#[cfg(windows)]
pub mod platform {
    use std::sync::Arc;

    pub const NAME: &str = "Windows Credential Manager";
    /// Its own limit is 2,560 bytes.
    pub const LIMIT: Option<usize> = Some(2400);

    pub fn open() -> keyring_core::Result<Arc<keyring_core::CredentialStore>> {
        Ok(windows_native_keyring_store::Store::new()?)
    }

    /// A target of our own, since the default one joins user and service ambiguously; and nothing that
    /// roams to other machines with the profile.
    pub fn modifiers(user: &str) -> [(&'static str, String); 2] {
        [("target", format!("authctl/{user}")), ("persistence", "Local".into())]
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
pub mod platform {
    use std::sync::Arc;

    pub const NAME: &str = "none on this system";
    pub const LIMIT: Option<usize> = None;

    pub fn open() -> keyring_core::Result<Arc<keyring_core::CredentialStore>> {
        Err(keyring_core::Error::NoDefaultStore)
    }

    pub fn modifiers(_: &str) -> [(&'static str, String); 0] {
        []
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Name;
    use crate::store::fake::{Fault, Memory, Person};
    use crate::store::lock;

    const SHORT: Patience = Patience {
        unattended: Duration::from_millis(50),
        attended: Duration::from_mins(1),
        announce: Duration::from_millis(10),
    };

    struct Bench {
        memory: Arc<Memory>,
        keychain: Keychain,
        _locks: tempfile::TempDir,
    }

    impl Bench {
        fn new(patience: Patience, limit: Option<usize>, person: Arc<Person>) -> Self {
            let locks = tempfile::tempdir().unwrap();
            let memory = Arc::new(Memory { limit, ..Memory::default() });
            let place = locks.path().to_owned();
            let keychain = Keychain::with(memory.opener(), limit, patience, place, person);
            Self { memory, keychain, _locks: locks }
        }

        fn patient() -> Self {
            Self::new(PATIENCE, None, Person::absent())
        }

        fn load(&self) -> Result<Option<String>, Error> {
            let loaded = self.keychain.load(&Key::Credential(&name()))?;
            Ok(loaded.map(|secret| secret.expose().to_owned()))
        }

        fn save(&self, text: &str) -> Result<(), Error> {
            let name = name();
            let key = Key::Credential(&name);
            let guard =
                lock::acquire(self.keychain.locks().unwrap(), &key, PATIENCE.attended).unwrap();
            self.keychain.save(&guard, &key, &Secret::new(text))
        }

        fn opened(&self) -> usize {
            *self.memory.opened.lock().unwrap()
        }
    }

    fn name() -> Name {
        "github:work".parse().unwrap()
    }

    fn broken() -> Native {
        Native::PlatformFailure("the session does not exist\u{1b}[31m".into())
    }

    #[test]
    fn one_item_holds_one_record_under_its_key() {
        let bench = Bench::patient();
        assert_eq!(bench.load().unwrap(), None);
        bench.save("hunter2").unwrap();
        assert_eq!(bench.load().unwrap().unwrap(), "hunter2");
        let items = bench.memory.items.lock().unwrap();
        assert_eq!(items.keys().collect::<Vec<_>>(), ["authctl credential/github:work"]);
        assert_eq!(bench.opened(), 1);
    }

    #[test]
    fn a_store_that_fails_is_opened_once_more() {
        let bench = Bench::patient();
        bench.save("hunter2").unwrap();
        bench.memory.next(Fault::Fails(broken()));
        assert_eq!(bench.load().unwrap().unwrap(), "hunter2");
        assert_eq!(bench.opened(), 2);
    }

    #[test]
    fn a_store_that_keeps_failing_is_unavailable_and_its_words_are_cleaned() {
        let bench = Bench::patient();
        bench.save("hunter2").unwrap();
        bench.memory.next(Fault::Fails(broken()));
        bench.memory.next(Fault::Fails(broken()));
        match bench.load() {
            Err(Error::Unavailable { what }) => assert!(!what.contains('\u{1b}'), "{what}"),
            other => panic!("{other:?}"),
        }
        // And is tried again at the next call.
        assert_eq!(bench.load().unwrap().unwrap(), "hunter2");
    }

    #[test]
    fn a_call_that_hangs_is_abandoned_and_the_next_one_works() {
        let bench = Bench::new(SHORT, None, Person::absent());
        let (release, hangs) = mpsc::channel();
        bench.memory.next(Fault::Waits(hangs));
        assert!(matches!(bench.load(), Err(Error::TimedOut { .. })));
        assert_eq!(bench.load().unwrap(), None);
        assert_eq!(bench.opened(), 2);
        drop(release);
    }

    #[test]
    fn a_write_that_hangs_keeps_its_lock_until_it_is_over() {
        let bench = Bench::new(SHORT, None, Person::absent());
        let (release, hangs) = mpsc::channel::<()>();
        bench.memory.next(Fault::Waits(hangs));
        assert!(matches!(bench.save("late"), Err(Error::TimedOut { .. })));
        let name = name();
        let key = Key::Credential(&name);
        assert!(lock::try_acquire(bench.keychain.locks().unwrap(), &key).unwrap().is_none());
        drop(release);
        let guard =
            lock::acquire(bench.keychain.locks().unwrap(), &key, PATIENCE.attended).unwrap();
        assert_eq!(bench.load().unwrap().unwrap(), "late");
        drop(guard);
    }

    #[test]
    fn a_person_is_told_what_is_waited_for() {
        let person = Person::answering(&[]);
        let bench = Bench::new(SHORT, None, Arc::clone(&person));
        let (release, hangs) = mpsc::channel();
        bench.memory.next(Fault::Waits(hangs));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while person.heard().is_empty() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                drop(release);
            });
            assert_eq!(bench.load().unwrap(), None);
        });
        assert_eq!(person.heard().len(), 1);
    }

    #[test]
    fn a_keychain_that_panics_is_an_error_once() {
        let bench = Bench::patient();
        bench.memory.next(Fault::Panics);
        assert!(matches!(bench.load(), Err(Error::Backend { .. })));
        assert_eq!(bench.load().unwrap(), None);
    }

    #[test]
    fn what_the_keychain_says_becomes_a_decision_and_shows_no_secret() {
        let bench = Bench::patient();
        let secret = || b"hunter2".to_vec();
        let ours = |error| {
            bench.memory.next(Fault::Fails(error));
            let error = bench.load().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
            assert!(!format!("{error:?}").contains("104, 117, 110"));
            error
        };
        assert!(matches!(ours(Native::NoStorageAccess("prompt".into())), Error::Locked));
        assert!(matches!(ours(Native::Ambiguous(vec![])), Error::Ambiguous { .. }));
        assert!(matches!(ours(Native::BadEncoding(secret())), Error::Backend { .. }));
        let malformed = Native::BadDataFormat(secret(), "x".into());
        assert!(matches!(ours(malformed), Error::Backend { .. }));
        let empty = Native::NoStorageAccess("SS error: result not returned from SS API".into());
        assert!(matches!(ours(empty), Error::Unavailable { .. }));
    }

    #[test]
    fn records_over_the_limit_come_back_and_are_deleted_whole() {
        let bench = Bench::new(PATIENCE, Some(2560), Person::absent());
        for length in [1, 2560, 2561, 65_536, 10] {
            let text = "x".repeat(length);
            bench.save(&text).unwrap();
            assert_eq!(bench.load().unwrap().unwrap(), text);
        }
        bench.save(&"x".repeat(9000)).unwrap();
        let name = name();
        let key = Key::Credential(&name);
        let guard =
            lock::acquire(bench.keychain.locks().unwrap(), &key, Duration::from_mins(1)).unwrap();
        assert!(bench.keychain.delete(&guard, &key).unwrap());
        assert!(bench.memory.items.lock().unwrap().is_empty());
    }

    #[test]
    fn a_record_with_a_lost_part_is_unreadable_and_can_be_set_aside() {
        let bench = Bench::new(PATIENCE, Some(2560), Person::absent());
        bench.save(&"x".repeat(6000)).unwrap();
        bench.memory.items.lock().unwrap().remove("authctl credential/github:work#a2").unwrap();
        assert!(matches!(bench.load(), Err(Error::Unreadable { why: Why::Parts, .. })));
        let name = name();
        let key = Key::Credential(&name);
        let guard =
            lock::acquire(bench.keychain.locks().unwrap(), &key, Duration::from_mins(1)).unwrap();
        let copy = bench.keychain.set_aside(&guard, &key).unwrap();
        assert_eq!(copy, "item corrupt-1/credential/github:work of the OS keychain");
        assert_eq!(bench.keychain.set_aside(&guard, &key).unwrap(), copy);
    }

    #[tokio::test]
    async fn a_call_from_within_a_runtime_works() {
        let bench = Bench::patient();
        bench.save("hunter2").unwrap();
        assert_eq!(bench.load().unwrap().unwrap(), "hunter2");
    }
}
