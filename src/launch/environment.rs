//! What a child is started with: its program, and its environment (what it inherits, what is withheld,
//! what is added).

use std::ffi::{OsStr, OsString};
use std::{io, process};

use super::Command;

/// The command with its environment, ready to start.
pub fn prepare(command: &Command) -> process::Command {
    let mut prepared = process::Command::new(&command.program);
    prepared.args(&command.arguments);
    change(command, &mut prepared, std::env::vars_os().map(|(name, _)| name));
    prepared
}

/// The command by way of the shell, when the system refused it as a file without an interpreter line:
/// `execvp` does the same.
#[cfg(unix)]
pub fn through_shell(command: &Command, refusal: &io::Error) -> Option<Command> {
    /// "Exec format error", the same number on every Unix.
    const ENOEXEC: i32 = 8;

    if refusal.raw_os_error() != Some(ENOEXEC) {
        return None;
    }
    let mut arguments = vec![super::locate(&command.program)?.into_os_string()];
    arguments.extend(command.arguments.iter().cloned());
    Some(Command { program: "/bin/sh".into(), arguments, ..command.clone() })
}

#[cfg(not(unix))]
pub fn through_shell(_: &Command, _: &io::Error) -> Option<Command> {
    None
}

/// Removes before it sets, so that a name which stands in both lists is set.
pub fn change(
    command: &Command,
    prepared: &mut process::Command,
    inherited: impl Iterator<Item = OsString>,
) {
    for name in &command.clear {
        prepared.env_remove(name);
    }
    if command.clear_tokens {
        for name in inherited.filter(|name| is_given_to_us(name)) {
            prepared.env_remove(name);
        }
    }
    for (name, secret) in &command.set {
        prepared.env(name, secret.expose());
    }
}

/// The environment that a child would have.
#[cfg(target_os = "linux")]
pub fn of(prepared: &process::Command) -> Vec<(OsString, OsString)> {
    let changed = || prepared.get_envs();
    let is_kept = |name: &OsStr| !changed().any(|(other, _)| other == name);
    let kept = std::env::vars_os().filter(|(name, _)| is_kept(name));
    let set = changed().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    kept.chain(set).collect()
}

/// `AUTHCTL_<PROVIDER>_TOKEN`, and the secret of a client: given to authctl, not to its children.
fn is_given_to_us(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name == b"AUTHCTL_CLIENT_SECRET" || (name.starts_with(b"AUTHCTL_") && name.ends_with(b"_TOKEN"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn what_is_withheld_goes_before_what_is_added() {
        let command = Command {
            program: "true".into(),
            arguments: Vec::new(),
            set: vec![("GH_TOKEN".into(), Secret::new("new"))],
            clear: vec!["GITHUB_TOKEN".into(), "GH_TOKEN".into()],
            clear_tokens: true,
        };
        let inherited =
            ["AUTHCTL_CLIENT_SECRET", "AUTHCTL_GITHUB_TOKEN", "AUTHCTL_STORE", "MY_TOKEN", "PATH"];
        let mut prepared = process::Command::new("true");
        change(&command, &mut prepared, inherited.iter().map(OsString::from));
        let changes: Vec<_> = prepared
            .get_envs()
            .map(|(name, value)| (name.to_str().unwrap(), value.and_then(OsStr::to_str)))
            .collect();
        assert_eq!(
            changes,
            [
                ("AUTHCTL_CLIENT_SECRET", None),
                ("AUTHCTL_GITHUB_TOKEN", None),
                ("GH_TOKEN", Some("new")),
                ("GITHUB_TOKEN", None)
            ]
        );
    }
}
