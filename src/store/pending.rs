//! A login that waits for its answer, as stored: all that finishes it later, in another process. Used
//! once. Beside the records stands a small file each without secrets, since keychains cannot list.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{Error, Why};
use super::key::Key;
use super::registration::RegistrationRecord;
use super::turn::Ended;
use super::{Store, WRITE_WAIT};
use crate::credential::{self, Binding, FORMAT, Grant, Name, Unreadable};
use crate::digest::sha256;
use crate::private_file;
use crate::secret::{Secret, at_rest};

/// How long it stays known that a flow was used or has expired, so that it can be said.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Longest entry read, in bytes.
const LONGEST: u64 = 1 << 16;

/// One login between its question and its answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingRecord {
    pub format: u32,
    pub flow: String,
    pub provider: String,
    pub account: String,
    pub started_at: Timestamp,
    pub expires_at: Timestamp,
    /// What the credential will be bound to, as it was when the question was asked.
    pub binding: Binding,
    /// The server promised `iss` in its redirect (RFC 9207 §3).
    pub iss_required: bool,
    /// The server is known to check PKCE (RFC 7636): a code alone is bound to this flow.
    pub pkce_checked: bool,
    /// A client that was brought to this login, to be remembered if the server takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_client: Option<RegistrationRecord>,
    /// The key that the tokens are to be bound to (RFC 9449).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop: Option<PendingKey>,
    /// Other logins begin with this one's ID token.
    #[serde(default)]
    pub keep_id_token: bool,
    /// When the address to open ends, where the request was pushed (RFC 9126 §2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_expires_at: Option<Timestamp>,
    #[serde(flatten)]
    pub awaited: Awaited,
}

/// A key that no credential has yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct PendingKey {
    #[serde(with = "at_rest")]
    pub key: Secret,
    /// Tokens that are not bound to it are refused.
    pub required: bool,
}

/// What the answer is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "awaited", rename_all = "snake_case")]
pub enum Awaited {
    /// The redirect of RFC 6749 §4.1.2.
    Redirect {
        /// Shown to the person; the state is in it.
        #[serde(with = "at_rest")]
        url: Secret,
        #[serde(with = "at_rest")]
        state: Secret,
        #[serde(with = "at_rest")]
        code_verifier: Secret,
        redirect_uri: String,
    },
    /// The confirmation of RFC 8628 §3.3.
    Confirmation {
        #[serde(with = "at_rest")]
        device_code: Secret,
        user_code: String,
        verification_uri: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verification_uri_complete: Option<String>,
        /// Between two token requests, in seconds.
        interval: u64,
    },
}

impl Awaited {
    /// What the flow is found by.
    pub fn flow(&self) -> String {
        match self {
            Awaited::Redirect { state, .. } => flow_of(state),
            Awaited::Confirmation { device_code, .. } => flow_of(device_code),
        }
    }
}

/// The flow of a state or a device code: its digest, which can be shown and names a file. So a pasted
/// redirect leads to its record, whatever else waits.
pub fn flow_of(secret: &Secret) -> String {
    let mut digest = sha256(secret.expose().as_bytes());
    digest.truncate(32);
    digest
}

impl PendingRecord {
    pub fn name(&self) -> Result<Name, credential::BadName> {
        Name::new(&self.provider, &self.account)
    }

    /// Whose login it is, as the commands take it.
    pub fn shown_name(&self) -> String {
        self.name().map_or_else(|_| String::new(), |name| name.to_string())
    }

    /// The text that goes to the store.
    pub fn to_stored(&self) -> Secret {
        // Serialising strings, numbers and enums into memory has no failing case.
        Secret::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads a stored record. The error says where it is wrong, never what it holds.
    pub fn from_stored(stored: &str) -> Result<Self, Unreadable> {
        credential::check_format(stored)?;
        serde_json::from_str(stored)
            .map_err(|error| Unreadable::Damaged { line: error.line(), column: error.column() })
    }
}

/// What is known of one without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingEntry {
    pub format: u32,
    pub flow: String,
    pub provider: String,
    pub account: String,
    pub grant: Grant,
    pub started_at: Timestamp,
    pub expires_at: Timestamp,
    /// When a process took its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

impl PendingEntry {
    pub(super) fn of(record: &PendingRecord) -> Self {
        Self {
            format: FORMAT,
            flow: record.flow.clone(),
            provider: record.provider.clone(),
            account: record.account.clone(),
            grant: record.binding.grant,
            started_at: record.started_at,
            expires_at: record.expires_at,
            answered_at: None,
            ended: None,
        }
    }

    /// Whose login it is.
    pub fn name(&self) -> Option<Name> {
        Name::new(&self.provider, &self.account).ok()
    }

    /// Whether it can still be finished.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.answered_at.is_none() && self.ended.is_none() && self.expires_at > now
    }
}

/// The entries of one store.
pub struct PendingIndex {
    directory: PathBuf,
}

impl PendingIndex {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Writes an entry over whatever is there.
    pub fn write(&self, entry: &PendingEntry) -> Result<(), Error> {
        private_file::make_directory(&self.directory)?;
        let json = serde_json::to_vec(entry).unwrap_or_default(); // strings and numbers: cannot fail
        Ok(private_file::replace(&self.path(&entry.flow), &json)?)
    }

    /// The entry of `flow`; a damaged one counts as missing.
    pub fn entry(&self, flow: &str) -> Option<PendingEntry> {
        let stored = private_file::read(&self.path(flow), LONGEST).ok()??;
        let entry: PendingEntry = serde_json::from_slice(&stored).ok()?;
        (entry.format <= FORMAT && entry.flow == flow).then_some(entry)
    }

    /// Every entry that can be read.
    pub fn list(&self) -> Vec<PendingEntry> {
        let files = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        files
            .filter_map(|file| {
                let name = file.file_name().into_string().ok()?;
                self.entry(name.strip_prefix("pending~")?.strip_suffix(".json")?)
            })
            .collect()
    }

    /// A copy that cannot be removed now is removed by the next login.
    pub fn remove(&self, flow: &str) {
        let _ = private_file::remove(&self.path(flow));
    }

    fn path(&self, flow: &str) -> PathBuf {
        self.directory.join(Key::Pending(flow).file_stem() + ".json")
    }
}

/// Logins that wait for their answer, in the store and beside it.
impl Store {
    /// Keeps a login that waits for its answer.
    pub fn save_pending(&self, record: &PendingRecord) -> Result<(), Error> {
        let key = Key::Pending(&record.flow);
        let guard = self.lock(&key, WRITE_WAIT)?;
        // Its entry first: by that, a record is found again and deleted one day.
        self.pending.write(&PendingEntry::of(record))?;
        let saved = self.backend.save(&guard, &key, &record.to_stored());
        if saved.is_err() {
            self.pending.remove(&record.flow);
        }
        saved
    }

    /// Reads a login that waits for its answer.
    pub fn load_pending(&self, flow: &str) -> Result<Option<PendingRecord>, Error> {
        let key = Key::Pending(flow);
        let Some(stored) = self.backend.load(&key)? else { return Ok(None) };
        let record = PendingRecord::from_stored(stored.expose());
        let record = record.map_err(|why| self.unreadable(&key, why.into()))?;
        if record.flow == flow {
            Ok(Some(record))
        } else {
            Err(self.unreadable(&key, Why::OtherName))
        }
    }

    /// Takes a login out of the store because it has its answer: `true` for one caller, once. That it
    /// was there stays known until its time is over.
    pub fn claim_pending(&self, flow: &str, now: Timestamp) -> Result<bool, Error> {
        let key = Key::Pending(flow);
        let guard = self.lock(&key, WRITE_WAIT)?;
        let was_there = self.backend.delete(&guard, &key)?;
        if was_there && let Some(entry) = self.pending.entry(flow) {
            // A copy: without it, a second answer is only told less well why it comes too late.
            let _ = self.pending.write(&PendingEntry { answered_at: Some(now), ..entry });
        }
        Ok(was_there)
    }

    /// Says what came of a login that was claimed, to whoever else waits for it.
    pub fn settle_pending(&self, flow: &str, ended: Ended) {
        if let Some(entry) = self.pending.entry(flow) {
            // A copy: what cannot be written here is found out at the record.
            let _ = self.pending.write(&PendingEntry { ended: Some(ended), ..entry });
        }
    }

    /// What is known of one login that waits, or waited, without its secrets.
    pub fn pending_entry(&self, flow: &str) -> Option<PendingEntry> {
        self.pending.entry(flow)
    }

    /// The same of all that belong to `name`, the newest first.
    pub fn pending_entries(&self, name: &Name) -> Vec<PendingEntry> {
        let mut entries = self.pending.list();
        entries
            .retain(|entry| entry.provider == name.provider() && entry.account == name.account());
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.started_at));
        entries
    }

    /// The newest login of each name that waits for its answer.
    pub fn newest_pending(&self, now: Timestamp) -> Vec<(Name, PendingEntry)> {
        let live = self.pending.list().into_iter().filter(|entry| entry.is_live(now));
        let mut newest = BTreeMap::new();
        for entry in live {
            let Some(name) = entry.name() else { continue };
            let there: Option<&PendingEntry> = newest.get(&name);
            if there.is_none_or(|there| there.started_at < entry.started_at) {
                newest.insert(name, entry);
            }
        }
        newest.into_iter().collect()
    }

    /// Deletes the logins whose time is over, and a day later what was known of them. Whatever fails
    /// here is tried again by the next one who looks.
    pub fn forget_expired(&self, now: Timestamp) {
        for entry in self.pending.list().into_iter().filter(|entry| entry.expires_at <= now) {
            if entry.ended.is_none() && entry.answered_at.is_none() {
                self.forget_pending(entry);
            } else if entry.expires_at + REMEMBERED < now {
                self.pending.remove(&entry.flow);
            }
        }
    }

    /// Deletes every login that waits for its answer; those to `name` alone, if one is given. How many
    /// could still have been finished.
    pub fn forget_all_pending(&self, name: Option<&Name>, now: Timestamp) -> usize {
        let waiting = self.pending.list().into_iter().filter(|entry| entry.answered_at.is_none());
        let asked = waiting.filter(|entry| name.is_none() || entry.name().as_ref() == name);
        let live = |entry: PendingEntry| {
            let is_live = entry.is_live(now);
            self.forget_pending(entry);
            is_live
        };
        asked.map(live).filter(|is_live| *is_live).count()
    }

    /// What a newer authctl wrote stays.
    fn forget_pending(&self, entry: PendingEntry) {
        let key = Key::Pending(&entry.flow);
        let read = self.load_pending(&entry.flow);
        if matches!(read, Err(Error::Unreadable { why, .. }) if why.is_newer()) {
            return;
        }
        if let Ok(Some(guard)) = self.try_lock(&key)
            && self.backend.delete(&guard, &key).is_ok()
        {
            let _ = self.pending.write(&PendingEntry { ended: Some(Ended::Unanswered), ..entry });
        }
    }
}
