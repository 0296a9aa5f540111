//! Decisions that are not about a credential itself: is an agent at the keyboard, may it see secrets,
//! what did the person approve, what did the person choose last time.

mod agents;
mod approvals;
mod bindings;
mod choices;
mod confirmations;
mod permissions;

use std::path::{Path, PathBuf};

use serde_json::Value;

pub use agents::at_keyboard;
pub use approvals::{
    Approval, Standing, approval, approvals, approve, changes, changes_line, revoke, standing,
};
pub use bindings::{Binding, bind, binding, bindings, unbind};
pub use choices::{can_remember, forget, project_root, recall, remember};
pub use confirmations::{ask_by, holds_for, is_confirmed, remember_yes};
pub use permissions::{Permission, allow, permission, withdraw};

use crate::config::Manifest;
use crate::private_file;

/// Why a decision could not be kept or found again, or what it forbids.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] private_file::Error),
    /// The file was not written by this authctl; the person is asked again.
    #[error("{path} cannot be read as what authctl writes there")]
    Unreadable { path: PathBuf },
    #[error("{path} was written by a newer authctl; this one leaves it as it is")]
    Newer { path: PathBuf },
    #[error("{path} cannot be remembered: it is not Unicode text")]
    NotText { path: PathBuf },
    #[error("cannot ask by {path}, which confirm_program names")]
    Helper {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} asks for {asked}, and nobody has approved that")]
    NotApproved { path: PathBuf, asked: String },
    #[error("{path} was changed after it was approved: {changes}")]
    Changed { path: PathBuf, changes: String },
}

impl Error {
    /// The refusal that belongs to how a manifest stands; `None` for one that is approved.
    pub fn of(manifest: &Manifest, standing: &Standing) -> Option<Self> {
        let path = manifest.path.clone();
        match standing {
            Standing::Approved => None,
            Standing::Changed(was) => {
                Some(Error::Changed { path, changes: changes_line(&was.asked, &manifest.asked) })
            }
            Standing::New => {
                Some(Error::NotApproved { path, asked: manifest.asked.lines().join(", ") })
            }
        }
    }
}

/// Largest of these files, in bytes.
const LIMIT: u64 = 64 * 1024;
/// Format of the files that this build writes.
const FORMAT: u64 = 1;

/// Reads one remembered decision. serde's messages quote values, so none is kept.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let Some(bytes) = private_file::read(path, LIMIT)? else { return Ok(None) };
    let unreadable = |_| Error::Unreadable { path: path.to_owned() };
    let mut kept: Value = serde_json::from_slice(&bytes).map_err(unreadable)?;
    let format = kept.as_object_mut().and_then(|members| members.remove("format"));
    if format.is_some_and(|format| format.as_u64().is_none_or(|format| format > FORMAT)) {
        return Err(Error::Newer { path: path.to_owned() });
    }
    serde_json::from_value(kept).map(Some).map_err(unreadable)
}

/// Writes one decision, making its directory when missing; never over that of a newer authctl.
fn write<T: serde::Serialize>(path: &Path, decision: &T) -> Result<(), Error> {
    if let Err(error @ Error::Newer { .. }) = read::<Value>(path) {
        return Err(error);
    }
    if let Some(directory) = path.parent() {
        private_file::make_directory(directory)?;
    }
    // Serialising strings and times into memory has no failing case.
    let mut kept = serde_json::to_value(decision).unwrap_or_default();
    if let Some(members) = kept.as_object_mut() {
        members.insert("format".into(), FORMAT.into());
    }
    let text = serde_json::to_vec_pretty(&kept).unwrap_or_default();
    Ok(private_file::replace(path, &text)?)
}
