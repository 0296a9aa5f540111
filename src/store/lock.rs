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
    let file = open(directory, &key.lock_stem())?;
    let signals = try_lock(&file, directory, key)?;
    Ok(signals.map(|signals| Guard::new(key, file, signals)))
}

/// The same, trying again for `wait`; then [`Error::Busy`].
pub fn acquire(directory: &Path, key: &Key, wait: Duration) -> Result<Guard, Error> {
    let deadline = Instant::now() + wait;
    let file = open(directory, &key.lock_stem())?;
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, Stdio};

    use super::*;
    use crate::again;
    use crate::credential::Name;

    /// Long enough for any machine, and never waited for in full by a test that passes.
    const LONG: Duration = Duration::from_mins(1);

    fn name() -> Name {
        "github".parse().unwrap()
    }

    /// Until its standard input ends, or it is killed.
    fn hold_the_lock(directory: &Path) {
        let guard = acquire(directory, &Key::Credential(&name()), LONG).unwrap();
        println!("locked");
        let _ = std::io::stdin().read(&mut [0]);
        drop(guard);
        println!("let go");
        let _ = std::io::stdin().read(&mut [0]);
    }

    /// A process that holds the lock, once it has said so, and what it says further.
    fn holder<T>(test: T, directory: &Path) -> (Child, impl BufRead + use<T>) {
        let mut child = again::command(test, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        wait_for("locked", &mut said);
        (child, said)
    }

    fn wait_for(word: &str, said: &mut impl BufRead) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended before it said {word}");
        }
    }

    #[test]
    fn two_processes_exclude_each_other() {
        if let Some(directory) = again::role() {
            return hold_the_lock(Path::new(&directory));
        }
        let directory = tempfile::tempdir().unwrap();
        let name = name();
        let key = Key::Credential(&name);
        let (mut child, mut said) = holder(two_processes_exclude_each_other, directory.path());
        assert!(try_acquire(directory.path(), &key).unwrap().is_none());
        let error = acquire(directory.path(), &key, Duration::from_millis(20)).err().unwrap();
        assert!(matches!(error, Error::Busy { key } if key == "credential/github:default"));
        // Another key is free.
        assert!(try_acquire(directory.path(), &Key::Login(&name)).unwrap().is_some());
        drop(child.stdin.take());
        wait_for("let go", &mut said);
        assert!(try_acquire(directory.path(), &key).unwrap().is_some());
        child.wait().unwrap();
    }

    #[test]
    fn a_killed_holder_lets_go() {
        if let Some(directory) = again::role() {
            return hold_the_lock(Path::new(&directory));
        }
        let directory = tempfile::tempdir().unwrap();
        let name = name();
        let key = Key::Credential(&name);
        let (mut child, _said) = holder(a_killed_holder_lets_go, directory.path());
        assert!(try_acquire(directory.path(), &key).unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        acquire(directory.path(), &key, LONG).unwrap();
    }

    #[test]
    fn two_threads_exclude_each_other_too() {
        let directory = tempfile::tempdir().unwrap();
        let name = name();
        let guard = try_acquire(directory.path(), &Key::Credential(&name)).unwrap();
        assert!(guard.is_some());
        assert!(try_acquire(directory.path(), &Key::Credential(&name)).unwrap().is_none());
    }

    #[test]
    fn a_hold_keeps_the_lock_beyond_its_guard() {
        let directory = tempfile::tempdir().unwrap();
        let name = name();
        let key = Key::Credential(&name);
        let guard = try_acquire(directory.path(), &key).unwrap().unwrap();
        let hold = guard.hold();
        drop(guard);
        assert!(try_acquire(directory.path(), &key).unwrap().is_none());
        drop(hold);
        // A child that another test forks holds a copy of every lock until it executes its program.
        assert!(acquire(directory.path(), &key, Duration::from_mins(1)).is_ok());
    }

    #[test]
    fn all_processes_read_one_domain() {
        let directory = tempfile::tempdir().unwrap();
        let locks = directory.path().join("a/b/locks");
        let domains: Vec<_> = (0..8)
            .map(|_| locks.clone())
            .map(|locks| thread::spawn(move || domain(&locks).unwrap()))
            .collect();
        let domains: Vec<_> = domains.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(domains.iter().all(|domain| *domain == domains[0]), "{domains:?}");
        assert_eq!(domains[0].len(), DOMAIN_LENGTH);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(domain(elsewhere.path()).unwrap(), domains[0]);
    }

    #[cfg(unix)]
    fn be_terminated_while_holding_a_credential(directory: &Path) {
        let name = name();
        let guard = try_acquire(directory, &Key::Credential(&name)).unwrap().unwrap();
        nix::sys::signal::raise(nix::sys::signal::SIGTERM).unwrap();
        println!("still writing");
        drop(guard);
        println!("still alive");
    }

    #[test]
    #[cfg(unix)]
    fn a_signal_waits_until_the_credential_is_let_go() {
        use std::os::unix::process::ExitStatusExt;
        if let Some(directory) = again::role() {
            return be_terminated_while_holding_a_credential(Path::new(&directory));
        }
        let directory = tempfile::tempdir().unwrap();
        let test = a_signal_waits_until_the_credential_is_let_go;
        let output = again::command(test, directory.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.signal(), Some(nix::sys::signal::SIGTERM as i32), "{said}");
        assert!(said.contains("still writing") && !said.contains("still alive"), "{said}");
    }
}
