//! What is remembered of servers from session to session: the revisions that they speak, so that none is asked
//! twice. Nothing of it is secret, and a memory that has become wrong is only a detour.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::MODERN;
use crate::digest::sha256;
use crate::private_file;

/// How long a server is taken for one without the modern revision: it may learn it.
const LEGACY_FOR: SignedDuration = SignedDuration::from_hours(24);
const LONGEST: u64 = 64 << 10;

/// The memory of one server.
pub struct Known {
    file: PathBuf,
}

/// The revisions that a server named; none for one that knows only the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    pub supported: Vec<String>,
    seen_at: Timestamp,
}

impl Versions {
    pub fn new(supported: Vec<String>) -> Self {
        Self { supported, seen_at: Timestamp::now() }
    }

    pub fn names(&self, version: &str) -> bool {
        self.supported.iter().any(|supported| supported == version)
    }

    pub fn is_modern(&self) -> bool {
        self.names(MODERN)
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.is_modern() || now.duration_since(self.seen_at).abs() < LEGACY_FOR
    }
}

impl Known {
    /// In `directory`, under a name that does not tell the address.
    pub fn of(url: &Url, directory: &Path) -> Self {
        let name = format!("{}.json", sha256(url.as_str().as_bytes()));
        Self { file: directory.join("mcp-servers").join(name) }
    }

    pub fn read(&self) -> Option<Versions> {
        let contents = private_file::read(&self.file, LONGEST).ok()??;
        let versions: Versions = serde_json::from_slice(&contents).ok()?;
        versions.is_good(Timestamp::now()).then_some(versions)
    }

    /// A disk that takes nothing costs a question each time, and no more.
    pub fn write(&self, versions: &Versions) {
        let Ok(text) = serde_json::to_vec(versions) else { return };
        if let Some(directory) = self.file.parent()
            && private_file::make_directory(directory).is_ok()
        {
            let _ = private_file::replace(&self.file, &text);
        }
    }

    pub fn forget(&self) {
        let _ = private_file::remove(&self.file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_comes_back_until_it_is_old_or_broken() {
        let directory = tempfile::tempdir().unwrap();
        let url = Url::parse("https://mcp.example.com/mcp?key=secret").unwrap();
        let known = Known::of(&url, directory.path());
        assert_eq!(known.read(), None);
        let legacy = Versions::new(Vec::new());
        known.write(&legacy);
        assert_eq!(known.read(), Some(legacy.clone()));
        let old = Timestamp::now() - SignedDuration::from_hours(25);
        known.write(&Versions { seen_at: old, ..legacy });
        assert_eq!(known.read(), None);
        let modern = Versions { supported: vec![MODERN.to_owned()], seen_at: old };
        known.write(&modern);
        assert_eq!(known.read(), Some(modern));
        std::fs::write(&known.file, "{").unwrap();
        assert_eq!(known.read(), None);
        known.forget();
        assert!(!known.file.exists());
    }
}
