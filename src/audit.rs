//! The audit log: one line of JSON for each credential that is handed out or refused, and for each
//! decision about one; never a secret, a value or an argument. Every line is one write at the end of the
//! file, so that processes need not wait for each other; a full file makes room under a lock, and whoever
//! finds the lock taken writes on.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::private_file;
use crate::text;

/// Version of the lines that this build writes and reads.
const VERSION: u32 = 1;
/// Asked for once: a line a request would ask the system each time.
static OWN_PID: LazyLock<u32> = LazyLock::new(std::process::id);
/// How many full files are kept beside the current one.
const KEPT: usize = 3;

/// How often, and after which pause, a reader asks for the lock.
const LOCK_TRIES: usize = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Handed to a command in its environment.
    Exec,
    /// Printed.
    Token,
    /// Sent to its MCP server, for as long as a session goes on.
    Mcp,
    /// Sent to its provider with a request of a program that does not hold it.
    Proxy,
    /// Sent to its provider, to see whether it is taken.
    Check,
    /// New tokens from the authorization server.
    Refresh,
    Login,
    Logout,
    /// A manifest was approved, or its approval taken back.
    Trust,
    /// Agents were allowed to have a credential printed, or no longer.
    Permission,
}

impl Event {
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Exec => "exec",
            Event::Token => "token",
            Event::Mcp => "mcp",
            Event::Proxy => "proxy",
            Event::Check => "check",
            Event::Refresh => "refresh",
            Event::Login => "login",
            Event::Logout => "logout",
            Event::Trust => "trust",
            Event::Permission => "permission",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// Somebody's decision stood against it.
    Refused,
    /// It could not be done.
    Failed,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub version: u32,
    pub time: Timestamp,
    pub event: Event,
    pub outcome: Outcome,
    /// The process that writes it; after `exec`, the command's.
    pub pid: u32,
    /// The credential as the commands take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its id, which is not secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The variable in which it was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// The hosts that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The request that it went with, and what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Who got it: the command, without its arguments; for what is printed, the program that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The coding agent at the keyboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The variable that gave the credential, where it did not come from the store; the manifest; or the
    /// file that it was imported from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why not; or what was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Entry {
    pub fn new(event: Event, outcome: Outcome) -> Self {
        Self {
            version: VERSION,
            time: Timestamp::now(),
            event,
            outcome,
            pid: *OWN_PID,
            name: None,
            id: None,
            variable: None,
            hosts: Vec::new(),
            method: None,
            path: None,
            status: None,
            program: None,
            directory: None,
            agent: None,
            source: None,
            reason: None,
        }
    }

    /// Makes every text harmless, whoever wrote it.
    fn clean(&mut self) {
        let clean = |text: &mut Option<String>| {
            if let Some(text) = text {
                text::clean_in_place(text, 1_000);
            }
        };
        clean(&mut self.name);
        clean(&mut self.id);
        clean(&mut self.variable);
        clean(&mut self.method);
        clean(&mut self.path);
        clean(&mut self.program);
        clean(&mut self.directory);
        clean(&mut self.agent);
        clean(&mut self.source);
        clean(&mut self.reason);
        self.hosts.iter_mut().for_each(|host| text::clean_in_place(host, 1_000));
    }
}

/// Lines that are written together.
#[derive(Debug, Default)]
pub struct Page {
    text: Vec<u8>,
    lines: usize,
}

impl Page {
    /// Adds a line, with every text made harmless; `entry` may serve for the next one.
    pub fn add(&mut self, entry: &mut Entry) {
        entry.clean();
        // Serialising texts, numbers and times into memory has no failing case.
        let _ = serde_json::to_writer(&mut self.text, entry);
        self.text.push(b'\n');
        self.lines += 1;
    }

    pub fn lines(&self) -> usize {
        self.lines
    }
}

impl From<Entry> for Page {
    fn from(mut entry: Entry) -> Self {
        let mut page = Page::default();
        page.add(&mut entry);
        page
    }
}

/// Why a line could not be written, or the log not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] private_file::Error),
    #[error("cannot write all of a line to {path}")]
    Cut { path: PathBuf },
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The log of one user: a file, and older ones beside it.
#[derive(Debug, Clone)]
pub struct Log {
    file: PathBuf,
    /// A file of this size makes room for a new one.
    full: u64,
}

/// What the log holds, oldest first.
#[derive(Debug, Default)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// How many lines could not be read as one: damaged, or of a newer authctl.
    pub unreadable: usize,
}

impl Log {
    pub fn new(file: PathBuf, full: u64) -> Self {
        Self { file, full }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Adds lines, in one write.
    pub fn append(&self, page: &Page) -> Result<(), Error> {
        if let Some(directory) = self.file.parent() {
            private_file::make_directory(directory)?;
        }
        self.make_room()?;
        let mut file = private_file::open_end(&self.file)?;
        // One write: the lines of other processes stand before or after it.
        let written = file.write(&page.text).map_err(|source| self.failed("write", source))?;
        if written < page.text.len() {
            return Err(Error::Cut { path: self.file.clone() });
        }
        Ok(())
    }

    /// Moves a full file aside, unless another process is at it.
    fn make_room(&self) -> Result<(), Error> {
        if !self.is_full() {
            return Ok(());
        }
        let lock = private_file::open_lock(&self.beside("lock"))?;
        match lock.try_lock() {
            Ok(()) => self.move_aside(),
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(source)) => Err(self.failed("lock", source)),
        }
    }

    /// Under the lock, and only if no other process has done it meanwhile.
    fn move_aside(&self) -> Result<(), Error> {
        if !self.is_full() {
            return Ok(());
        }
        for number in (1..KEPT).rev() {
            private_file::rename(&self.older(number), &self.older(number + 1))?;
        }
        private_file::rename(&self.file, &self.older(1))?;
        Ok(())
    }

    fn is_full(&self) -> bool {
        fs::symlink_metadata(&self.file).is_ok_and(|metadata| metadata.len() >= self.full)
    }

    /// Everything that is there, and what will be added.
    pub fn read(&self) -> Result<(Listing, Follower), Error> {
        let mut follower = Follower { log: self.clone(), file: None, rest: Vec::new() };
        let mut files = (1..=KEPT).map(|number| self.older(number)).chain([self.file.clone()]);
        if files.any(|file| file.exists()) {
            follower.go_on()?;
        }
        let mut listing = follower.lines();
        listing.unreadable += usize::from(!follower.rest.is_empty());
        Ok((listing, follower))
    }

    /// Whoever holds the lock renames a few files. One that was stopped over it is not waited for.
    fn wait_for_lock(&self) -> Result<File, Error> {
        let lock = private_file::open_lock(&self.beside("lock"))?;
        for _ in 0..LOCK_TRIES {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(source)) => return Err(self.failed("lock", source)),
            }
        }
        Ok(lock)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(format!(".{ending}"));
        name.into()
    }

    fn older(&self, number: usize) -> PathBuf {
        self.beside(&number.to_string())
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io { action, path: self.file.clone(), source }
    }
}

impl Listing {
    fn take(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            // A line that a full disk cut has no end, and the next one stands right behind it.
            let begin = last(line, BEGINNING).unwrap_or(0);
            self.unreadable += usize::from(begin > 0);
            match serde_json::from_slice::<Entry>(&line[begin..]) {
                Ok(mut entry) if entry.version == VERSION => {
                    entry.clean();
                    self.entries.push(entry);
                }
                _ => self.unreadable += 1,
            }
        }
    }
}

/// How every line begins; within a text its quotes would be escaped.
const BEGINNING: &[u8] = b"{\"version\":";

fn last(line: &[u8], part: &[u8]) -> Option<usize> {
    line.windows(part.len()).rposition(|window| window == part)
}

/// The end of the log as it grows, also over a change of files.
pub struct Follower {
    log: Log,
    file: Option<File>,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

impl Follower {
    /// The lines since the last time.
    pub fn more(&mut self) -> Result<Listing, Error> {
        self.read()?;
        let current = private_file::open_start(&self.log.file)?;
        if !same(self.file.as_ref(), current.as_ref()) {
            self.go_on()?;
        }
        Ok(self.lines())
    }

    /// What was read, but for a line whose end has not come.
    fn lines(&mut self) -> Listing {
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rest = self.rest.split_off(whole);
        let mut listing = Listing::default();
        listing.take(&std::mem::replace(&mut self.rest, rest));
        listing
    }

    /// From the file that was moved aside, or from the oldest, to the current one. No file moves while
    /// they are read one after the other.
    fn go_on(&mut self) -> Result<(), Error> {
        let _held = self.log.wait_for_lock()?;
        self.read()?; // what came to it at last
        let older = (1..=KEPT).map(|number| private_file::open_start(&self.log.older(number)));
        let mut older = older.collect::<Result<Vec<_>, _>>()?;
        let own = |file: &Option<File>| file.is_some() && same(self.file.as_ref(), file.as_ref());
        let newer = older.iter().position(own).unwrap_or(KEPT);
        older.truncate(newer);
        let current = private_file::open_start(&self.log.file)?;
        for file in older.into_iter().rev().chain([current]) {
            self.file = file;
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Error> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let read = file.read_to_end(&mut self.rest);
        read.map(drop).map_err(|source| self.log.failed("read", source))
    }
}

#[cfg(unix)]
fn same(one: Option<&File>, other: Option<&File>) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |file: Option<&File>| {
        file.and_then(|file| file.metadata().ok()).map(|found| (found.dev(), found.ino()))
    };
    identity(one) == identity(other)
}

/// Without an identity of files, one that is shorter than what was read is another one.
#[cfg(not(unix))]
fn same(one: Option<&File>, other: Option<&File>) -> bool {
    use std::io::Seek;
    let Some((mut one, other)) = one.zip(other) else { return one.is_some() == other.is_some() };
    let length = other.metadata().map_or(0, |metadata| metadata.len());
    one.stream_position().is_ok_and(|position| position <= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry { name: Some(name.into()), ..Entry::new(Event::Exec, Outcome::Done) }
    }

    fn read(log: &Log) -> Listing {
        log.read().unwrap().0
    }

    fn names(listing: &Listing) -> Vec<&str> {
        listing.entries.iter().filter_map(|entry| entry.name.as_deref()).collect()
    }

    #[test]
    fn lines_come_back_in_order_and_clean() {
        let place = tempfile::tempdir().unwrap();
        let log = Log::new(place.path().join("a/audit.jsonl"), 1 << 20);
        assert_eq!(read(&log).entries, []);
        log.append(&entry("one").into()).unwrap();
        log.append(&entry("two\u{1b}[2J\nthree").into()).unwrap();
        let listing = read(&log);
        assert_eq!(names(&listing), ["one", "two\u{fffd}[2J three"]);
        assert_eq!(listing.unreadable, 0);
    }

    #[test]
    fn a_full_file_is_moved_aside_and_three_are_kept() {
        let place = tempfile::tempdir().unwrap();
        let log = Log::new(place.path().join("audit.jsonl"), 1);
        for name in ["1", "2", "3", "4", "5", "6"] {
            log.append(&entry(name).into()).unwrap();
        }
        assert_eq!(names(&read(&log)), ["3", "4", "5", "6"]);
    }

    #[test]
    fn a_file_that_another_process_moved_aside_is_not_moved_again() {
        let place = tempfile::tempdir().unwrap();
        let log = Log::new(place.path().join("audit.jsonl"), 400);
        while !log.is_full() {
            log.append(&entry("full").into()).unwrap();
        }
        log.move_aside().unwrap();
        log.append(&entry("new").into()).unwrap();
        log.move_aside().unwrap();
        assert!(!log.older(2).exists());
        assert_eq!(fs::read_to_string(log.file()).unwrap().lines().count(), 1);
    }

    #[test]
    fn lines_that_are_none_are_counted_and_left_out() {
        let place = tempfile::tempdir().unwrap();
        let log = Log::new(place.path().join("audit.jsonl"), 1 << 20);
        log.append(&entry("one").into()).unwrap();
        let whole = fs::read_to_string(log.file()).unwrap();
        let newer = whole.replace("\"version\":1", "\"version\":2");
        let cut = &whole.as_bytes()[..20];
        let text = [
            whole.as_bytes(),
            b"{\"version\":1,\n\xff\n\n",
            newer.as_bytes(),
            cut,
            whole.as_bytes(),
        ];
        fs::write(log.file(), text.concat()).unwrap();
        let listing = read(&log);
        assert_eq!((names(&listing), listing.unreadable), (vec!["one", "one"], 4));
    }

    #[test]
    fn the_end_is_followed_into_the_next_file() {
        let place = tempfile::tempdir().unwrap();
        let log = Log::new(place.path().join("audit.jsonl"), 1);
        let (_, mut follower) = log.read().unwrap();
        assert_eq!(follower.more().unwrap().entries, []);
        log.append(&entry("one").into()).unwrap();
        assert_eq!(names(&follower.more().unwrap()), ["one"]);
        assert_eq!(follower.more().unwrap().entries, []);
        log.append(&entry("two").into()).unwrap();
        assert_eq!(names(&follower.more().unwrap()), ["two"]);
        for name in ["three", "four", "five"] {
            log.append(&entry(name).into()).unwrap();
        }
        assert_eq!(names(&follower.more().unwrap()), ["three", "four", "five"]);
        let (before, mut late) = log.read().unwrap();
        assert_eq!(names(&before), ["two", "three", "four", "five"]);
        assert_eq!(late.more().unwrap().entries, []);
    }
}
