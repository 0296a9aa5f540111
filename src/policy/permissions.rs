//! Which credentials may be printed although an agent runs the command. A permission is for one
//! credential by its id: it ends with a credential that is deleted and made anew under the same name.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::credential::Name;
use crate::private_file;

/// The permission to print the secret of one credential under an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    pub credential_id: String,
    /// The command that recorded it, such as `helper install git`.
    pub granted_by: String,
    pub granted_at: Timestamp,
}

/// The permission of this credential, if it was given one. `state` is the state directory.
pub fn permission(
    state: &Path,
    name: &Name,
    credential_id: &str,
) -> Result<Option<Permission>, Error> {
    let found: Option<Permission> = super::read(&path(state, name))?;
    Ok(found.filter(|permission| permission.credential_id == credential_id))
}

/// Records a permission, in place of an earlier one of that name.
pub fn allow(state: &Path, name: &Name, permission: &Permission) -> Result<(), Error> {
    super::write(&path(state, name), permission)
}

/// Takes the permission back; whether there was one.
pub fn withdraw(state: &Path, name: &Name) -> Result<bool, Error> {
    Ok(private_file::remove(&path(state, name))?)
}

/// `~` is in no name, so different names have different files.
fn path(state: &Path, name: &Name) -> PathBuf {
    let file = format!("credential~{}~{}.json", name.provider(), name.account());
    state.join("permissions").join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_is_for_one_credential_and_can_be_taken_back() {
        let state = tempfile::tempdir().unwrap();
        let name: Name = "github:work".parse().unwrap();
        let of = |id: &str| permission(state.path(), &name, id).unwrap();
        assert_eq!(of("cred_a"), None);
        let given = Permission {
            credential_id: "cred_a".into(),
            granted_by: "helper install git".into(),
            granted_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        allow(state.path(), &name, &given).unwrap();
        assert_eq!(of("cred_a"), Some(given));
        assert_eq!(of("cred_b"), None);
        let other: Name = "github".parse().unwrap();
        assert_eq!(permission(state.path(), &other, "cred_a").unwrap(), None);
        assert!(withdraw(state.path(), &name).unwrap());
        assert!(!withdraw(state.path(), &name).unwrap());
        assert_eq!(of("cred_a"), None);
    }

    #[test]
    fn a_damaged_permission_is_none_and_said() {
        let state = tempfile::tempdir().unwrap();
        let name: Name = "github".parse().unwrap();
        let place = path(state.path(), &name);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(&place, "{\"credential_id\": \"cred_a\"").unwrap();
        let refused = permission(state.path(), &name, "cred_a").unwrap_err();
        assert!(matches!(refused, Error::Unreadable { .. }));
    }
}
