//! What an import has done so far.

use std::path::PathBuf;

use crate::credential::Name;

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    pub stored: Vec<Name>,
    /// File and backup.
    pub rewritten: Vec<(PathBuf, PathBuf)>,
}
