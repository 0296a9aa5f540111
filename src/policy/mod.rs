//! Decisions that are not about a credential itself: is an agent at the keyboard, may it see secrets,
//! what did the person choose last time.

mod agents;
mod choices;
mod permissions;

use std::path::PathBuf;

pub use agents::at_keyboard;
pub use choices::{can_remember, forget, project_root, recall, remember};
pub use permissions::{Permission, allow, permission, withdraw};

use crate::private_file;

/// Why a decision could not be kept or found again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] private_file::Error),
    /// The file was not written by this authctl; the person is asked again.
    #[error("{path} cannot be read as what authctl writes there")]
    Unreadable { path: PathBuf },
    #[error("{path} cannot be remembered: it is not Unicode text")]
    NotText { path: PathBuf },
}

/// Largest of these files, in bytes.
const LIMIT: u64 = 64 * 1024;

/// Reads one remembered decision. serde's messages quote values, so none is kept.
fn read<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> Result<Option<T>, Error> {
    match private_file::read(path, LIMIT)? {
        None => Ok(None),
        Some(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| Error::Unreadable { path: path.to_owned() }),
    }
}

/// Writes one decision, making its directory when missing.
fn write<T: serde::Serialize>(path: &std::path::Path, decision: &T) -> Result<(), Error> {
    if let Some(directory) = path.parent() {
        private_file::make_directory(directory)?;
    }
    // Serialising strings and times into memory has no failing case.
    let text = serde_json::to_vec_pretty(decision).unwrap_or_default();
    Ok(private_file::replace(path, &text)?)
}
