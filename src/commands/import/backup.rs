//! What an import has done so far, and the backups of the files that it changes.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::context::Context;
use crate::credential::Name;
use crate::error::CommandError;
use crate::private_file;

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    pub stored: Vec<Name>,
    /// File and backup.
    pub rewritten: Vec<(PathBuf, PathBuf)>,
}

/// Keeps the contents of a file where only this user can read them, apart from any project.
pub fn back_up(context: &Context, path: &Path, contents: &[u8]) -> Result<PathBuf, CommandError> {
    let directory = context.paths()?.data.join("backups");
    private_file::make_directory(&directory)?;
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_start_matches('.');
    let mut number = 1_u32;
    loop {
        let backup = directory.join(format!("{now}-{number}-{name}"));
        // Another import may take the name at any moment.
        if private_file::create(&backup, contents)? {
            return Ok(backup);
        }
        number += 1;
    }
}
