//! Whose turn it is to sign in, beside the lock of the login: a small file without secrets, written by
//! whoever holds the lock. From it others learn whether that is a person at a terminal, and how it
//! ended. A second, empty file asks the holder to step back; it goes when the lock has a new holder.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::key::Key;
use super::lock::Guard;
use crate::credential::{FORMAT, Name};
use crate::private_file;

/// How long a request to step back is heeded.
const HEEDED: Duration = Duration::from_secs(5);

/// Longest note read, in bytes.
const LONGEST: u64 = 1 << 12;

/// One process that signs in, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    format: u32,
    /// Nobody sits at its terminal.
    pub background: bool,
    pub began_at: Timestamp,
    /// When and how it ended; nothing of a process that died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<(Timestamp, Ended)>,
}

/// What is handed over to those who waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    SignedIn,
    /// The person, or a policy of the server, said no.
    Denied,
    /// The person did not come.
    Unanswered,
    /// It failed for a reason that another may not meet.
    Failed,
}

impl Turn {
    pub fn new(background: bool, began_at: Timestamp) -> Self {
        Self { format: FORMAT, background, began_at, ended: None }
    }

    pub fn ended(&self, at: Timestamp, how: Ended) -> Self {
        Self { ended: Some((at, how)), ..self.clone() }
    }
}

/// Writes down that the turn has begun; whoever asked for it has it now.
pub fn begin(locks: &Path, guard: &Guard, name: &Name, turn: &Turn) -> Result<(), Error> {
    write(locks, guard, name, turn)?;
    private_file::remove(&request(locks, name))?;
    Ok(())
}

/// Writes down how the turn ended.
pub fn end(locks: &Path, guard: &Guard, name: &Name, turn: &Turn) -> Result<(), Error> {
    write(locks, guard, name, turn)
}

fn write(locks: &Path, guard: &Guard, name: &Name, turn: &Turn) -> Result<(), Error> {
    let key = Key::Login(name);
    if !guard.covers(&key) {
        return Err(Error::NotLocked { key: key.to_string() });
    }
    let json = serde_json::to_vec(turn).unwrap_or_default(); // times and flags: cannot fail
    Ok(private_file::replace(&note(locks, name), &json)?)
}

/// The last turn; a note that cannot be read counts as none.
pub fn read(locks: &Path, name: &Name) -> Option<Turn> {
    let stored = private_file::read(&note(locks, name), LONGEST).ok()??;
    serde_json::from_slice(&stored).ok().filter(|turn: &Turn| turn.format <= FORMAT)
}

/// Asks, or says that it is still asked: a request that nobody repeats is not heeded for long.
pub fn ask_to_yield(locks: &Path, name: &Name) -> Result<(), Error> {
    let file = private_file::open_lock(&request(locks, name))?;
    let _ = file.set_modified(SystemTime::now()); // then it is heeded from when it was made
    Ok(())
}

/// Whether somebody asks. A clock that was set back makes no request old.
pub fn is_asked_to_yield(locks: &Path, name: &Name) -> bool {
    let made = request(locks, name).metadata().and_then(|metadata| metadata.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < HEEDED) || made > SystemTime::now())
}

fn note(locks: &Path, name: &Name) -> PathBuf {
    locks.join(Key::Login(name).file_stem() + ".json")
}

fn request(locks: &Path, name: &Name) -> PathBuf {
    locks.join(Key::Login(name).file_stem() + ".yield")
}
