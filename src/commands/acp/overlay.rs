//! A profile folder for one run of an agent that would write the key it is given into its own: the person's folder
//! by links, with the setting that keeps keys out of files. The person's own settings are not touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::copies;
use crate::acp::Grant;
use crate::config::{AcpAgent, Ephemeral};
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::private_file;
use crate::secret::Secret;
use crate::text;

pub struct Overlay {
    /// The variable that leads the agent here.
    pub variable: String,
    pub folder: PathBuf,
    own: PathBuf,
    /// What is of this run alone.
    kept_out: Vec<String>,
}

impl Overlay {
    /// One for this agent, where it needs one.
    pub fn make(context: &Context, agent: &AcpAgent) -> Result<Option<Self>, CommandError> {
        let variable = agent.profile.as_ref().and_then(|profile| profile.variable.clone());
        let (Some(rule), Some(variable), Some(own)) =
            (&agent.ephemeral, variable, copies::profile(agent))
        else {
            return Ok(None);
        };
        if !copies::writes_down(agent) {
            return Ok(None);
        }
        let name = format!("{}-{}", std::process::id(), &Secret::random().expose()[..8]);
        let folder = context.paths()?.state.join("profiles").join(name);
        private_file::make_directory(&folder)?;
        let kept_out = agent.copies.iter().chain([&rule.file]).cloned().collect();
        let overlay = Self { variable, folder, own, kept_out };
        overlay.fill(rule).map_err(|error| {
            let why = format!("cannot make a profile for {}: {error}", agent.title);
            CommandError::new(Kind::Failed, why)
        })?;
        Ok(Some(overlay))
    }

    fn fill(&self, rule: &Ephemeral) -> io::Result<()> {
        for name in names(&self.own) {
            if !self.kept_out.contains(&name) {
                link(&self.own.join(&name), &self.folder.join(&name))?;
            }
        }
        let written = fs::read_to_string(self.own.join(&rule.file)).unwrap_or_default();
        let mut settings: toml_edit::DocumentMut = written.parse().map_err(io::Error::other)?;
        settings[&rule.setting] = toml_edit::value(&rule.value);
        let text = settings.to_string();
        private_file::replace(&self.folder.join(&rule.file), text.as_bytes())
            .map_err(io::Error::other)
    }

    /// A key goes into the agent's environment together with this folder.
    pub fn guard(&self, grant: &mut Grant) {
        let folder = self.folder.to_string_lossy().into_owned();
        grant.ways.extra.insert(self.variable.clone(), folder);
    }

    /// What the agent made new goes to the person's own folder; the rest was of this run.
    pub fn end(self, context: &Context) {
        let mut is_empty = true;
        for name in names(&self.folder) {
            let from = self.folder.join(&name);
            let is_link = from.symlink_metadata().is_ok_and(|it| it.file_type().is_symlink());
            let to = self.own.join(&name);
            let is_of_run = is_link || self.kept_out.contains(&name);
            if !is_of_run && !to.exists() {
                let moved = fs::create_dir_all(&self.own).and_then(|()| fs::rename(&from, &to));
                is_empty &= moved.is_ok();
            } else if !is_of_run {
                is_empty = false;
            }
        }
        if is_empty {
            // Links are removed, not what they lead to.
            let _ = fs::remove_dir_all(&self.folder);
        } else {
            let place = text::clean_to(&self.folder.to_string_lossy(), 1_000);
            context.ui.warn(&format!("some of the agent's new files are still in {place}"));
        }
    }
}

/// What is in a folder; nothing where there is none.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(not(unix))]
fn link(to: &Path, at: &Path) -> io::Result<()> {
    if to.is_dir() {
        std::os::windows::fs::symlink_dir(to, at)
    } else {
        std::os::windows::fs::symlink_file(to, at)
    }
}
