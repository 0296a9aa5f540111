//! Where authctl keeps things, and the names of its own environment variables. Those that name a place
//! are read here; `context` and the commands read the others by these names.

use std::path::{Path, PathBuf};

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
    /// Holds what can be rebuilt or asked again: index, remembered choices, approvals, permissions; and
    /// the audit log.
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
        let project = directories::ProjectDirs::from("", "", "authctl");
        let project = project.as_ref();
        Ok(Self {
            config: choose(
                CONFIG_DIR,
                "XDG_CONFIG_HOME",
                project.map(directories::ProjectDirs::config_dir),
            )?,
            data: choose(
                DATA_DIR,
                "XDG_DATA_HOME",
                project.map(directories::ProjectDirs::data_local_dir),
            )?,
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

    /// The audit log, where the configuration names no other place.
    pub fn audit_file(&self) -> PathBuf {
        self.state.join("audit.jsonl")
    }

    /// The MCP servers that were found by their addresses.
    pub fn servers_file(&self) -> PathBuf {
        self.state.join("servers.toml")
    }

    /// The configuration that people write.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }
}

/// The home directory: nothing above it is searched for a project's files.
pub fn home() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|base| base.home_dir().to_owned())
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
    directories::BaseDirs::new().map_or_else(
        || std::env::temp_dir().join("authctl-locks"),
        |base| base.data_local_dir().join("authctl").join("locks"),
    )
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::again;

    fn say_paths() {
        match Paths::from_environment() {
            Ok(Paths { config, data, state, locks }) => {
                for place in [config, data, state, locks] {
                    println!("={}", place.display());
                }
            }
            Err(error) => println!("={error}"),
        }
    }

    /// Configuration, data, state, locks, as `test` finds them in another environment; or an error.
    fn paths<T>(test: T, environment: &[(&str, &str)]) -> Vec<String> {
        let mut command = again::command(test, "says its paths");
        for (name, _) in std::env::vars_os() {
            command.env_remove(name);
        }
        let output = command.envs(environment.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().filter_map(|line| Some(line.split_once('=')?.1.to_owned())).collect()
    }

    #[test]
    fn the_platforms_places_are_below_home() {
        if again::role().is_some() {
            return say_paths();
        }
        let found = paths(the_platforms_places_are_below_home, &[("HOME", "/home/x")]);
        let below = ["/home/x/.config", "/home/x/.local/share", "/home/x/.local/state"];
        assert_eq!(found[..3], below.map(|base| format!("{base}/authctl")));
    }

    #[test]
    fn own_variables_win_over_those_of_xdg() {
        if again::role().is_some() {
            return say_paths();
        }
        let found = paths(
            own_variables_win_over_those_of_xdg,
            &[
                ("HOME", "/home/x"),
                ("XDG_CONFIG_HOME", "/xdg/config"),
                ("XDG_DATA_HOME", "relative/is/ignored"),
                ("XDG_STATE_HOME", "/xdg/state"),
                (STATE_DIR, "/own/state"),
                (LOCK_DIR, "/own/locks"),
            ],
        );
        let expected =
            ["/xdg/config/authctl", "/home/x/.local/share/authctl", "/own/state", "/own/locks"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_relative_directory_of_ours_is_an_error() {
        if again::role().is_some() {
            return say_paths();
        }
        let found = paths(
            a_relative_directory_of_ours_is_an_error,
            &[("HOME", "/home/x"), (DATA_DIR, "here")],
        );
        assert_eq!(found, [format!("{DATA_DIR} is here, which is not an absolute path")]);
    }

    #[test]
    fn the_locks_are_where_home_does_not_move_them() {
        if again::role().is_some() {
            return say_paths();
        }
        let one = paths(
            the_locks_are_where_home_does_not_move_them,
            &[("HOME", "/home/x"), ("XDG_STATE_HOME", "/xdg/one")],
        );
        let other = paths(
            the_locks_are_where_home_does_not_move_them,
            &[("HOME", "/home/y"), ("XDG_STATE_HOME", "/xdg/two")],
        );
        assert_eq!(one[3], other[3]);
        assert_ne!(one[2], other[2]);
    }
}
