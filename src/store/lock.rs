//! Locks between processes: one file a key, locked by the system, never unlinked. Whoever dies lets
//! go; nobody steals. While the lock of a credential is held, signals wait.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::error::Error;
use super::key::Key;
use crate::private_file;
use crate::signals::Deferred;

/// How long a lock waits between two tries: short at first, since most holders only write.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Length of a lock domain in characters: 128 bits in base64url.
const DOMAIN_LENGTH: usize = 22;

/// A held lock. Dropping it lets go, then delivers the signals that waited.
pub struct Guard {
    key: String,
    file: Hold,
    _section: Section,
}

/// Keeps a lock beyond its guard: a write that was abandoned still holds it.
pub type Hold = Arc<File>;

impl Guard {
    fn new(key: &Key, file: File, section: Section) -> Self {
        Self { key: key.to_string(), file: Arc::new(file), _section: section }
    }

    /// Whether this is the lock of `key`.
    pub fn covers(&self, key: &Key) -> bool {
        self.key == key.to_string()
    }

    /// A second hand on the lock, for a write that may outlive this guard.
    pub fn hold(&self) -> Hold {
        Arc::clone(&self.file)
    }
}

/// Takes the lock of `key` in `directory` unless another process or thread has it.
pub fn try_acquire(directory: &Path, key: &Key) -> Result<Option<Guard>, Error> {
    let file = open(directory, &key.file_stem())?;
    let signals = try_lock(&file, directory, key)?;
    Ok(signals.map(|signals| Guard::new(key, file, signals)))
}

/// The same, trying again for `wait`; then [`Error::Busy`].
pub fn acquire(directory: &Path, key: &Key, wait: Duration) -> Result<Guard, Error> {
    let deadline = Instant::now() + wait;
    let file = open(directory, &key.file_stem())?;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(signals) = try_lock(&file, directory, key)? {
            return Ok(Guard::new(key, file, signals));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Busy { key: key.to_string() });
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits for the lock `name`, which is nobody's record and is held for one small write.
pub fn acquire_plain(directory: &Path, name: &str) -> Result<File, Error> {
    let file = open(directory, name)?;
    file.lock().map_err(|source| unlockable(directory, source))?;
    Ok(file)
}

fn open(directory: &Path, stem: &str) -> Result<File, Error> {
    private_file::make_directory(directory)?;
    Ok(private_file::open_lock(&directory.join(format!("{stem}.lock")))?)
}

/// The critical section that belongs to a lock, or `None` where another has the lock.
type Section = Option<Deferred>;

fn try_lock(file: &File, directory: &Path, key: &Key) -> Result<Option<Section>, Error> {
    // It begins before the lock is taken, so that no signal falls between the two.
    let section = matches!(key, Key::Credential(_)).then(Deferred::begin);
    match file.try_lock() {
        Ok(()) => Ok(Some(section)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(unlockable(directory, source)),
    }
}

fn unlockable(directory: &Path, source: std::io::Error) -> Error {
    Error::File(private_file::Error::Io {
        action: "lock files in",
        path: directory.to_owned(),
        source,
    })
}

/// The identity of a directory of locks: a random id kept beside them. Two processes that exclude each
/// other read the same one; a record marked with another comes from another machine or user.
pub fn domain(directory: &Path) -> Result<String, Error> {
    let path = directory.join("domain");
    if let Some(domain) = read_domain(&path)? {
        return Ok(domain);
    }
    let _lock = acquire_plain(directory, "domain")?;
    if let Some(domain) = read_domain(&path)? {
        return Ok(domain);
    }
    let domain = crate::credential::new_id().trim_start_matches("cred_").to_owned();
    private_file::replace(&path, domain.as_bytes())?;
    Ok(domain)
}

fn read_domain(path: &Path) -> Result<Option<String>, Error> {
    let stored = private_file::read(path, 1024)?.unwrap_or_default();
    Ok(String::from_utf8(stored).ok().filter(|domain| domain.len() == DOMAIN_LENGTH))
}
