//! Where authctl keeps things, and the names of its own environment variables. The only module that
//! reads them; everything above is handed the result.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use crate::private_file;

/// Directory of `config.toml`, instead of the platform's.
pub const CONFIG_DIR: &str = "AUTHCTL_CONFIG_DIR";
/// Directory of the encrypted store, instead of the platform's.
pub const DATA_DIR: &str = "AUTHCTL_DATA_DIR";
/// Directory of the index and of remembered choices, instead of the platform's.
pub const STATE_DIR: &str = "AUTHCTL_STATE_DIR";
/// Directory of the keychain's locks; for tests.
pub const LOCK_DIR: &str = "AUTHCTL_LOCK_DIR";
/// `keychain` or `file`.
pub const STORE: &str = "AUTHCTL_STORE";
/// Accounts to use: `work`, or `github:work,openai:me`.
pub const ACCOUNT: &str = "AUTHCTL_ACCOUNT";
/// File with the passphrase of the encrypted store.
pub const PASSPHRASE_FILE: &str = "AUTHCTL_PASSPHRASE_FILE";
/// Set for the children of `exec`: the names of the credentials that it injected.
pub const INJECTED: &str = "AUTHCTL_INJECTED";

/// The directories, none of them made yet.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Holds `config.toml`, written by people.
    pub config: PathBuf,
    /// Holds the encrypted store.
    pub data: PathBuf,
    /// Holds what can be rebuilt or asked again: index, remembered choices, permissions.
    pub state: PathBuf,
    /// Holds the keychain's locks: one directory a user and machine, whatever HOME says, since the
    /// keychain does not move with HOME either.
    pub locks: PathBuf,
}

/// No directory could be found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no home directory; set HOME, or {CONFIG_DIR}, {DATA_DIR} and {STATE_DIR}")]
    NoHome,
    #[error("{variable} is {path}, which is not an absolute path")]
    Relative { variable: &'static str, path: PathBuf },
    #[error(transparent)]
    File(#[from] private_file::Error),
}

impl Paths {
    /// Reads the environment: own variables first, then XDG's, then the platform's places.
    pub fn from_environment() -> Result<Self, Error> {
        let project = ProjectDirs::from("", "", "authctl");
        let project = project.as_ref();
        Ok(Self {
            config: choose(CONFIG_DIR, "XDG_CONFIG_HOME", project.map(ProjectDirs::config_dir))?,
            data: choose(DATA_DIR, "XDG_DATA_HOME", project.map(ProjectDirs::data_local_dir))?,
            state: choose(
                STATE_DIR,
                "XDG_STATE_HOME",
                project.map(|p| p.state_dir().unwrap_or_else(|| p.data_local_dir())),
            )?,
            locks: match own(LOCK_DIR)? {
                Some(path) => path,
                None => lock_directory(),
            },
        })
    }

    /// The configuration that people write.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }
}

/// The file with the passphrase of the encrypted store, where the user named one.
pub fn passphrase_file() -> Option<PathBuf> {
    std::env::var_os(PASSPHRASE_FILE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn choose(own_name: &'static str, xdg: &str, platform: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(path) = own(own_name)? {
        return Ok(path);
    }
    // The XDG base directory specification: relative values are invalid and ignored.
    let from_xdg = std::env::var_os(xdg).map(PathBuf::from).filter(|path| path.is_absolute());
    match (from_xdg, platform) {
        (Some(base), _) => Ok(base.join("authctl")),
        (None, Some(path)) => Ok(path.to_owned()),
        (None, None) => Err(Error::NoHome),
    }
}

fn own(variable: &'static str) -> Result<Option<PathBuf>, Error> {
    match std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from) {
        Some(path) if path.is_relative() => Err(Error::Relative { variable, path }),
        found => Ok(found),
    }
}

/// The home directory of the password database, so that two processes of one user meet at one lock
/// also when their HOME or XDG variables differ; without a usable one, a directory of the uid
/// under the system's temporary folder (`private_file` checks owner and mode).
#[cfg(unix)]
fn lock_directory() -> PathBuf {
    let uid = nix::unistd::geteuid();
    let home = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.dir);
    match home.filter(|home| home.is_dir() && writable(home)) {
        Some(home) => home.join(".local/state/authctl/locks"),
        None => PathBuf::from(format!("/tmp/authctl-{uid}")),
    }
}

#[cfg(unix)]
fn writable(directory: &Path) -> bool {
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn lock_directory() -> PathBuf {
    // On Windows `directories` asks for the known folder, which no variable moves.
    directories::BaseDirs::new()
        .map(|base| base.data_local_dir().join("authctl").join("locks"))
        .unwrap_or_else(|| std::env::temp_dir().join("authctl-locks"))
}
