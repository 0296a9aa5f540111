//! Which manifests a person has approved: the bytes by their hash, at the place where they were shown.
//! Other bytes, or the same bytes elsewhere, are another question.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::config::{Asked, Manifest};
use crate::digest::sha256;
use crate::private_file;

/// What was approved. What it asked for stands here, so that a change can be said in these terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub path: String,
    pub sha256: String,
    pub approved_at: Timestamp,
    pub asked: Asked,
}

/// How a manifest stands with the person whose credentials it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Approved,
    /// Other bytes were approved at this place.
    Changed(Approval),
    /// Nothing was ever approved at this place.
    New,
}

/// How this manifest stands. `state` is the state directory.
pub fn standing(state: &Path, manifest: &Manifest) -> Result<Standing, Error> {
    Ok(match approval(state, &manifest.path)? {
        None => Standing::New,
        Some(approval) if approval.sha256 == manifest.sha256 => Standing::Approved,
        Some(approval) => Standing::Changed(approval),
    })
}

/// What was approved at this place; nothing, where the file that says so is damaged.
pub fn approval(state: &Path, path: &Path) -> Result<Option<Approval>, Error> {
    let Some(path) = path.to_str() else { return Ok(None) };
    match super::read::<Approval>(&file(state, path)) {
        Err(Error::Unreadable { .. }) => Ok(None),
        found => Ok(found?.filter(|approval| approval.path == path)),
    }
}

/// Approves these bytes at this place, instead of what was approved there.
pub fn approve(state: &Path, manifest: &Manifest, now: Timestamp) -> Result<(), Error> {
    let path = manifest.path.to_str();
    let path = path.ok_or_else(|| Error::NotText { path: manifest.path.clone() })?;
    let approval = Approval {
        path: path.to_owned(),
        sha256: manifest.sha256.clone(),
        approved_at: now,
        asked: manifest.asked.clone(),
    };
    super::write(&file(state, path), &approval)
}

/// Takes the approval of this place back; whether there was one.
pub fn revoke(state: &Path, path: &Path) -> Result<bool, Error> {
    match path.to_str() {
        Some(path) => Ok(private_file::remove(&file(state, path))?),
        None => Ok(false),
    }
}

/// Every approval, by path, and the files that cannot be read as one.
pub fn approvals(state: &Path) -> (Vec<Approval>, Vec<PathBuf>) {
    let (mut approvals, mut unreadable) = (Vec::new(), Vec::new());
    let entries = fs::read_dir(directory(state)).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        match super::read::<Approval>(&path) {
            Ok(found) => approvals.extend(found),
            Err(_) => unreadable.push(path),
        }
    }
    approvals.sort_by(|one: &Approval, other| one.path.cmp(&other.path));
    (approvals, unreadable)
}

/// What `now` asks for and `before` did not, and the other way round.
pub fn changes(before: &Asked, now: &Asked) -> (Vec<String>, Vec<String>) {
    let (before, now) = (before.lines(), now.lines());
    let without = |these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    (without(&now, &before), without(&before, &now))
}

/// The same for people.
pub fn changes_line(before: &Asked, now: &Asked) -> String {
    match changes(before, now) {
        (more, less) if more.is_empty() && less.is_empty() => {
            "it asks for the same as before".into()
        }
        (more, less) if less.is_empty() => format!("it now also asks for {}", more.join(", ")),
        (more, less) if more.is_empty() => format!("it no longer asks for {}", less.join(", ")),
        (more, less) => {
            format!("it now asks for {}, and no longer for {}", more.join(", "), less.join(", "))
        }
    }
}

fn directory(state: &Path) -> PathBuf {
    state.join("approvals")
}

fn file(state: &Path, path: &str) -> PathBuf {
    directory(state).join(sha256(path.as_bytes()) + ".json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str, sha256: &str, with: &[&str]) -> Manifest {
        let with = with.iter().map(|name| (*name).to_owned()).collect();
        let asked = Asked { with, ..Asked::default() };
        Manifest { path: path.into(), sha256: sha256.into(), asked }
    }

    #[test]
    fn an_approval_is_for_these_bytes_at_this_place() {
        let state = tempfile::tempdir().unwrap();
        let of = |manifest: &Manifest| standing(state.path(), manifest).unwrap();
        let (here, there) = (manifest("/p/a", "1", &["groq"]), manifest("/q/a", "1", &["groq"]));
        assert_eq!(of(&here), Standing::New);
        approve(state.path(), &here, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((of(&here), of(&there)), (Standing::Approved, Standing::New));
        let changed = manifest("/p/a", "2", &["groq", "openai"]);
        assert!(matches!(of(&changed), Standing::Changed(was) if was.asked == here.asked));
        assert_eq!(approvals(state.path()).0.len(), 1);
        assert!(revoke(state.path(), &here.path).unwrap());
        assert!(!revoke(state.path(), &here.path).unwrap());
        assert_eq!(of(&here), Standing::New);
    }

    #[test]
    fn an_approval_that_was_moved_to_another_place_is_none() {
        let state = tempfile::tempdir().unwrap();
        approve(state.path(), &manifest("/p/a", "1", &[]), Timestamp::UNIX_EPOCH).unwrap();
        fs::rename(file(state.path(), "/p/a"), file(state.path(), "/q/a")).unwrap();
        assert_eq!(approval(state.path(), "/q/a".as_ref()).unwrap(), None);
    }

    #[test]
    fn a_change_is_said_in_what_is_handed_over() {
        let asked = |with: &[&str]| manifest("", "", with).asked;
        let said = |before: &[&str], now: &[&str]| changes_line(&asked(before), &asked(now));
        assert_eq!(said(&["groq"], &["groq"]), "it asks for the same as before");
        assert_eq!(said(&["groq"], &["groq", "x=Y"]), "it now also asks for x in Y");
        assert_eq!(said(&["groq", "x"], &["x"]), "it no longer asks for groq");
        assert_eq!(said(&["a"], &["b"]), "it now asks for b, and no longer for a");
    }

    #[test]
    fn a_newer_approval_is_refused_and_stays() {
        let state = tempfile::tempdir().unwrap();
        let mine = manifest("/p/a", "1", &[]);
        approve(state.path(), &mine, Timestamp::UNIX_EPOCH).unwrap();
        let place = file(state.path(), "/p/a");
        let newer = fs::read_to_string(&place).unwrap().replace("\"format\": 1", "\"format\": 2");
        fs::write(&place, &newer).unwrap();
        assert!(matches!(standing(state.path(), &mine), Err(Error::Newer { .. })));
        let again = approve(state.path(), &mine, Timestamp::UNIX_EPOCH);
        assert!(matches!(again, Err(Error::Newer { .. })));
        assert_eq!(fs::read_to_string(&place).unwrap(), newer);
    }
}
