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
    attended: Duration::from_secs(60),
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
        let outcome = self.wait(&answer);
        if matches!(outcome, Err(Error::TimedOut { .. })) {
            *self.worker() = None; // its thread is stuck; the next call gets another
        }
        outcome
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

    fn wait<T>(&self, answer: &Receiver<Result<T, Error>>) -> Result<T, Error> {
        let Patience { unattended, attended, announce } = self.patience;
        let (limit, outcome) = if self.interact.can_ask() {
            let early = answer.recv_timeout(announce);
            let late = || {
                self.interact
                    .notice("waiting for the OS keychain; it may be asking to be unlocked");
                answer.recv_timeout(attended.saturating_sub(announce))
            };
            let timed_out = matches!(early, Err(RecvTimeoutError::Timeout));
            (attended, if timed_out { late() } else { early })
        } else {
            (unattended, answer.recv_timeout(unattended))
        };
        match outcome {
            Ok(done) => done,
            Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut { seconds: limit.as_secs() }),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::Backend { what: "its thread ended early".into() })
            }
        }
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

    fn locks(&self) -> &Path {
        &self.locks
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
mod platform {
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
mod platform {
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
mod platform {
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
mod platform {
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
