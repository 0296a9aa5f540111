//! The index: a non-secret copy of each record, one small file each, so that `status` opens no
//! keychain. It can be lost, stale or damaged without harm: every read of a record mends its entry.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::key::Key;
use crate::credential::{BadName, FORMAT, Failing, Kind, Name, Record, Refused};
use crate::private_file;

/// Longest entry read, in bytes: scopes and URLs, no tokens.
const LONGEST: u64 = 1 << 20;

/// What is known of a record without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub format: u32,
    pub provider: String,
    pub account: String,
    pub id: String,
    pub generation: u64,
    pub kind: Kind,
    pub created_at: Timestamp,
    /// When the present tokens came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_expires_at: Option<Timestamp>,
    /// New tokens can be had without a person.
    #[serde(default)]
    pub renewable: bool,
    /// The access token works only with a proof of possession (RFC 9449).
    #[serde(default)]
    pub dpop_bound: bool,
    /// Scopes that the server granted; `None`: those that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Scopes that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requested_scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whose login it is, where the server told; the user of a name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// A refresh is under way, or was cut off.
    #[serde(default)]
    pub refreshing: bool,
}

impl Entry {
    /// The entry of a record.
    pub fn of(record: &Record) -> Self {
        let oauth = record.credential.as_oauth();
        let tokens = oauth.map(|(tokens, _)| tokens);
        let binding = oauth.map(|(_, binding)| binding);
        Self {
            format: FORMAT,
            provider: record.provider.clone(),
            account: record.account.clone(),
            id: record.id.clone(),
            generation: record.generation,
            kind: record.credential.kind(),
            created_at: record.created_at,
            issued_at: tokens.map(|tokens| tokens.issued_at),
            expires_at: record.credential.expires_at(),
            refresh_expires_at: tokens.and_then(|tokens| tokens.refresh_expires_at),
            renewable: record.credential.is_renewable(),
            dpop_bound: record.credential.is_bound(),
            scopes: tokens.and_then(|tokens| tokens.scopes.clone()),
            requested_scopes: binding.map(|b| b.scopes.clone()).unwrap_or_default(),
            issuer: binding.and_then(|binding| binding.issuer.clone()),
            resource: binding.and_then(|binding| binding.resource.clone()),
            client_id: binding.map(|binding| binding.client.client_id.clone()),
            subject: subject(record),
            refused: record.refused.clone(),
            failing: record.failing.clone(),
            refreshing: record.refreshing.is_some(),
        }
    }

    pub fn name(&self) -> Result<Name, BadName> {
        Name::new(&self.provider, &self.account)
    }
}

fn subject(record: &Record) -> Option<String> {
    use crate::credential::Credential;
    match &record.credential {
        Credential::Basic { user, .. } => Some(user.clone()),
        Credential::OAuth { tokens, .. } => tokens.subject.clone(),
        Credential::ApiKey { .. } | Credential::Bearer { .. } => None,
    }
}

/// A look at the file of an entry. Every change of a credential replaces or removes that file, so that whoever
/// keeps the credential sees it go without opening the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glimpse {
    path: PathBuf,
    /// When the file was written, its length and its number; `None` where nothing was.
    seen: Option<(SystemTime, u64, u64)>,
}

impl Glimpse {
    pub fn of(path: PathBuf) -> Self {
        let seen = fs::symlink_metadata(&path).ok();
        let seen = seen.and_then(|it| Some((it.modified().ok()?, it.len(), number(&it))));
        Self { path, seen }
    }

    /// Whether it looks otherwise now.
    pub fn is_past(&self) -> bool {
        Self::of(self.path.clone()) != *self
    }
}

#[cfg(unix)]
fn number(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn number(_: &fs::Metadata) -> u64 {
    0
}

/// The entries of one store.
pub struct Index {
    directory: PathBuf,
}

/// All entries, by name, and the files that hold none.
pub struct Listing {
    pub entries: Vec<Entry>,
    pub unreadable: Vec<PathBuf>,
}

impl Index {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The entry of `name`; a damaged one counts as missing.
    pub fn entry(&self, name: &Name) -> Result<Option<Entry>, Error> {
        let stored = private_file::read(&self.path(name), LONGEST)?;
        Ok(stored.and_then(|stored| parse(&stored)).filter(|e| e.name().as_ref() == Ok(name)))
    }

    /// How the entry of `name` looks now.
    pub fn glimpse(&self, name: &Name) -> Glimpse {
        Glimpse::of(self.path(name))
    }

    /// Every entry.
    pub fn list(&self) -> Result<Listing, Error> {
        let mut listing = Listing { entries: Vec::new(), unreadable: Vec::new() };
        for path in self.files()? {
            // One that has just been removed is no longer there; a damaged one hides no other.
            match private_file::read(&path, LONGEST) {
                Ok(None) => {}
                Ok(Some(stored)) => match parse(&stored).filter(|entry| self.is_at(entry, &path)) {
                    Some(entry) => listing.entries.push(entry),
                    None => listing.unreadable.push(path),
                },
                Err(_) => listing.unreadable.push(path),
            }
        }
        listing.entries.sort_by(|a, b| (&a.provider, &a.account).cmp(&(&b.provider, &b.account)));
        listing.unreadable.sort();
        Ok(listing)
    }

    /// Writes an entry over whatever is there.
    pub fn write(&self, entry: &Entry) -> Result<(), Error> {
        let Ok(name) = entry.name() else { return Ok(()) };
        private_file::make_directory(&self.directory)?;
        let json = serde_json::to_vec(entry).unwrap_or_default(); // strings and numbers: cannot fail
        Ok(private_file::replace(&self.path(&name), &json)?)
    }

    /// Whether what is there for `name` should be `entry`, which was read from the store without its
    /// lock: it is missing, of another credential, or neither the same nor newer.
    pub fn is_stale(&self, name: &Name, entry: &Entry) -> bool {
        match self.entry(name) {
            Ok(Some(there)) if there.id == entry.id && there.generation > entry.generation => false,
            Ok(Some(there)) => there != *entry,
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Removes an entry; whether it was there.
    pub fn remove(&self, name: &Name) -> Result<bool, Error> {
        Ok(private_file::remove(&self.path(name))?)
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.directory.join(Key::Credential(name).file_stem() + ".json")
    }

    fn is_at(&self, entry: &Entry, path: &Path) -> bool {
        entry.name().is_ok_and(|name| self.path(&name) == path)
    }

    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let listed = match fs::read_dir(&self.directory) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.unlisted(error)),
        };
        let mut files = Vec::new();
        for file in listed {
            let path = file.map_err(|error| self.unlisted(error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        Ok(files)
    }

    fn unlisted(&self, source: std::io::Error) -> Error {
        let path = self.directory.clone();
        Error::File(private_file::Error::Io { action: "list", path, source })
    }
}

/// An entry of this format; those of a newer one are none of ours.
fn parse(stored: &[u8]) -> Option<Entry> {
    serde_json::from_slice(stored).ok().filter(|entry: &Entry| entry.format <= FORMAT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Credential;
    use crate::secret::Secret;

    fn record(name: &str) -> Record {
        let name: Name = name.parse().unwrap();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Record::new(&name, Credential::ApiKey { key: Secret::new("hunter2") }, now)
    }

    fn index() -> (tempfile::TempDir, Index) {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::new(directory.path().join("index"));
        (directory, index)
    }

    #[test]
    fn entries_come_back_sorted_and_without_secrets() {
        let (_directory, index) = index();
        for name in ["b", "a:work", "a"] {
            index.write(&Entry::of(&record(name))).unwrap();
        }
        let listing = index.list().unwrap();
        let names: Vec<_> =
            listing.entries.iter().map(|entry| entry.name().unwrap().to_string()).collect();
        assert_eq!(names, ["a", "a:work", "b"]);
        for file in index.files().unwrap() {
            assert!(!fs::read_to_string(file).unwrap().contains("hunter2"));
        }
    }

    #[test]
    fn damaged_entries_hide_no_others() {
        let (_directory, index) = index();
        index.write(&Entry::of(&record("a"))).unwrap();
        let damaged = index.path(&"b".parse().unwrap());
        fs::write(&damaged, "{\"format\":1,").unwrap();
        let listing = index.list().unwrap();
        assert_eq!((listing.entries.len(), listing.unreadable), (1, vec![damaged]));
        assert_eq!(index.entry(&"b".parse().unwrap()).unwrap(), None);
    }

    #[test]
    fn an_entry_under_a_foreign_file_name_is_unreadable() {
        let (_directory, index) = index();
        index.write(&Entry::of(&record("a"))).unwrap();
        let moved = index.path(&"b".parse().unwrap());
        fs::rename(index.path(&"a".parse().unwrap()), &moved).unwrap();
        assert_eq!(index.list().unwrap().unreadable, [moved]);
        assert_eq!(index.entry(&"b".parse().unwrap()).unwrap(), None);
    }

    #[test]
    fn a_newer_generation_is_not_stale_and_another_credential_is() {
        let (_directory, index) = index();
        let old = record("a");
        let new = old.succeeded_by(Credential::ApiKey { key: Secret::new("k2") });
        let name = old.name().unwrap();
        assert!(index.is_stale(&name, &Entry::of(&old)), "missing");
        index.write(&Entry::of(&new)).unwrap();
        assert!(!index.is_stale(&name, &Entry::of(&new)));
        assert!(!index.is_stale(&name, &Entry::of(&old)));
        // Another id is another credential: the one in the store counts.
        assert!(index.is_stale(&name, &Entry::of(&record("a"))));
    }

    #[test]
    fn a_glimpse_is_past_once_the_entry_is_written_or_removed() {
        let (_directory, index) = index();
        let old = record("a");
        let name = old.name().unwrap();
        let nothing = index.glimpse(&name);
        assert!(!nothing.is_past());
        index.write(&Entry::of(&old)).unwrap();
        let first = index.glimpse(&name);
        assert!(nothing.is_past() && !first.is_past());
        index.entry(&name).unwrap();
        assert!(!first.is_past(), "a reader changes nothing");
        let key = Credential::ApiKey { key: Secret::new("k2") };
        index.write(&Entry::of(&old.succeeded_by(key))).unwrap();
        let second = index.glimpse(&name);
        assert!(first.is_past() && !second.is_past());
        index.remove(&name).unwrap();
        assert!(second.is_past());
    }

    #[test]
    fn an_index_that_was_never_made_is_empty() {
        let (_directory, index) = index();
        assert!(index.list().unwrap().entries.is_empty());
        assert!(!index.remove(&"a".parse().unwrap()).unwrap());
    }
}
