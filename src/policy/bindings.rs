//! Which credentials an agent of an editor may have, in one project or everywhere. People say so, once; what an
//! agent says of itself never does.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::digest::sha256;
use crate::private_file;

/// The credentials of one agent. Agent and project stand in it: the name of the file is only their hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The ID of a known agent, else the path of its program.
    pub agent: String,
    /// Its root; `None` for everywhere.
    pub project: Option<String>,
    /// Names of credentials, the preferred one first.
    pub with: Vec<String>,
    pub bound_at: Timestamp,
}

/// What holds for `agent` in `project`: what was said for it there, else everywhere. `state` is the state
/// directory.
pub fn binding(state: &Path, agent: &str, project: &Path) -> Result<Option<Binding>, Error> {
    let here = match project.to_str() {
        Some(project) => read(state, agent, Some(project))?,
        None => None,
    };
    match here {
        Some(binding) => Ok(Some(binding)),
        None => read(state, agent, None),
    }
}

/// Binds, in place of what was said for the same agent and project.
pub fn bind(state: &Path, binding: &Binding) -> Result<(), Error> {
    super::write(&file(state, &binding.agent, binding.project.as_deref()), binding)
}

/// Takes back what was said for the agent in this project, or everywhere; whether there was something.
pub fn unbind(state: &Path, agent: &str, project: Option<&str>) -> Result<bool, Error> {
    Ok(private_file::remove(&file(state, agent, project))?)
}

/// All of them, by agent and project, and the files that cannot be read as one.
pub fn bindings(state: &Path) -> (Vec<Binding>, Vec<PathBuf>) {
    let (mut bindings, mut unreadable) = (Vec::new(), Vec::new());
    let entries = fs::read_dir(directory(state)).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        match super::read::<Binding>(&path) {
            Ok(found) => bindings.extend(found),
            Err(_) => unreadable.push(path),
        }
    }
    bindings.sort_by(|one: &Binding, other| {
        (&one.agent, &one.project).cmp(&(&other.agent, &other.project))
    });
    (bindings, unreadable)
}

fn read(state: &Path, agent: &str, project: Option<&str>) -> Result<Option<Binding>, Error> {
    let found = super::read::<Binding>(&file(state, agent, project))?;
    Ok(found.filter(|it| it.agent == agent && it.project.as_deref() == project))
}

fn directory(state: &Path) -> PathBuf {
    state.join("bindings")
}

fn file(state: &Path, agent: &str, project: Option<&str>) -> PathBuf {
    // No path has a NUL, and no project has an empty path.
    let pair = format!("{agent}\0{}", project.unwrap_or_default());
    directory(state).join(sha256(pair.as_bytes()) + ".json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(agent: &str, project: Option<&str>, with: &str) -> Binding {
        let project = project.map(str::to_owned);
        let with = vec![with.to_owned()];
        Binding { agent: agent.to_owned(), project, with, bound_at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_project_comes_before_everywhere_and_agents_are_apart() {
        let state = tempfile::tempdir().unwrap();
        let of = |agent: &str, project: &str| {
            let found = binding(state.path(), agent, project.as_ref()).unwrap();
            found.map(|binding| binding.with.concat())
        };
        assert_eq!(of("codex", "/p"), None);
        bind(state.path(), &said("codex", None, "openai")).unwrap();
        bind(state.path(), &said("codex", Some("/p"), "openai:work")).unwrap();
        assert_eq!(of("codex", "/p").as_deref(), Some("openai:work"));
        assert_eq!(of("codex", "/q").as_deref(), Some("openai"));
        assert_eq!(of("claude", "/p"), None);
        assert_eq!(bindings(state.path()).0.len(), 2);
        assert!(unbind(state.path(), "codex", Some("/p")).unwrap());
        assert!(!unbind(state.path(), "codex", Some("/p")).unwrap());
        assert_eq!(of("codex", "/p").as_deref(), Some("openai"));
    }

    #[test]
    fn a_binding_that_was_moved_to_another_agent_is_none() {
        let state = tempfile::tempdir().unwrap();
        bind(state.path(), &said("codex", Some("/p"), "openai")).unwrap();
        let other = file(state.path(), "/tmp/agent", Some("/p"));
        fs::rename(file(state.path(), "codex", Some("/p")), &other).unwrap();
        assert_eq!(binding(state.path(), "/tmp/agent", "/p".as_ref()).unwrap(), None);
        fs::write(other, "{}").unwrap();
        let damaged = binding(state.path(), "/tmp/agent", "/p".as_ref());
        assert!(matches!(damaged, Err(Error::Unreadable { .. })));
        assert_eq!(bindings(state.path()).1.len(), 1);
    }
}
