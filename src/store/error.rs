//! What can go wrong with a store. Variants are the decisions that a caller makes; no field ever
//! holds a secret or an unread record.

use std::io;
use std::path::PathBuf;

use crate::credential;
use crate::interact::Unanswered;
use crate::private_file;
use crate::secret::Unfit;

/// A store that failed. Keys are the display form of [`super::Key`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered the unlock prompt, or there is nowhere to show one.
    #[error("the OS keychain is locked")]
    Locked,
    /// There is no keychain, or it refuses to work.
    #[error("the OS keychain is not available: {what}")]
    Unavailable { what: String },
    /// A call was abandoned. The keychain may be waiting for somebody at another screen.
    #[error("the OS keychain did not answer within {seconds} s; it may be waiting to be unlocked")]
    TimedOut { seconds: u64 },
    /// Another program made an item that the keychain cannot tell from ours.
    #[error("the OS keychain has several items for {key}")]
    Ambiguous { key: String },
    /// What is stored is not what was written. It stays where it is, at `kept` if that is a file.
    #[error("the record {key} in the store cannot be read: {why}")]
    Unreadable { key: String, why: Why, kept: Option<PathBuf> },
    /// Another process held the lock until the deadline.
    #[error("another process is using {key}")]
    Busy { key: String },
    /// Disk, quota or file-size limit.
    #[error("there is no room left to write {path}")]
    Full { path: PathBuf },
    #[error(transparent)]
    File(private_file::Error),
    /// `path` holds the key of the store, wrapped by the passphrase.
    #[error("the passphrase does not open {path}")]
    WrongPassphrase { path: PathBuf },
    #[error("the passphrase of {path} is needed")]
    PassphraseNeeded { path: PathBuf, source: Unanswered },
    #[error("cannot read the passphrase from {path}")]
    PassphraseFile { path: PathBuf, source: io::Error },
    /// Records exist, but what opens them is gone: a new key would only hide that.
    #[error("{path} is missing, without which the records beside it cannot be read")]
    KeyMissing { path: PathBuf },
    #[error("{path} is damaged")]
    KeyDamaged { path: PathBuf },
    /// A given credential (environment variable) that cannot be one.
    #[error("the variable {variable} cannot be a credential: {source}")]
    Given { variable: String, source: Unfit },
    /// A write was tried under the lock of something else: a bug.
    #[error("{key} was to be written without its lock")]
    NotLocked { key: String },
    /// Anything else that the keychain said, cleaned.
    #[error("the OS keychain failed: {what}")]
    Backend { what: String },
}

/// Why a stored record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error(transparent)]
    Record(#[from] credential::Unreadable),
    #[error("its seal is broken, by damage or because it was made with another key")]
    Seal,
    #[error("a part of it is missing or changed")]
    Parts,
    #[error("it is not text")]
    NotText,
    #[error("it says that it belongs to another name")]
    OtherName,
}

impl Why {
    /// Made by a newer authctl: not damage, and never to be touched by this one.
    pub fn is_newer(&self) -> bool {
        matches!(self, Why::Record(credential::Unreadable::NewerFormat(_)))
    }
}

/// A read by somebody who is about to replace what is there: damage counts as nothing, since saving sets
/// it aside. What a newer authctl wrote stays an error.
pub fn unless_damaged<T>(read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::Unreadable { why, .. }) if !why.is_newer() => Ok(None),
        read => read,
    }
}

impl From<private_file::Error> for Error {
    fn from(error: private_file::Error) -> Self {
        match error {
            private_file::Error::Io { ref path, .. } if error.is_full() => {
                Error::Full { path: path.clone() }
            }
            error => Error::File(error),
        }
    }
}
