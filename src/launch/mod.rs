//! Starting the command that gets the credentials: its environment, and either becoming it
//! ([`replace`]) or staying beside it ([`supervise()`]), so that nobody can tell authctl was there: same
//! signals, same exit status, same terminal. What goes into the environment is decided by `inject`.

mod environment;
#[cfg(target_os = "linux")]
mod keeper;
mod leash;
mod masking;
mod piped;
mod remains;
#[cfg(unix)]
mod signals;
mod supervise;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[cfg(unix)]
use crate::harden;
use crate::secret::Secret;

pub use leash::leashed;
pub use piped::{Ending, Piped};
pub use supervise::supervise;

/// What to run. The child gets this process's environment without `clear` and, if `clear_tokens`,
/// without any `AUTHCTL_*_TOKEN` or `AUTHCTL_CLIENT_SECRET`; then `set` is added.
#[derive(Debug, Clone)]
pub struct Command {
    /// Looked up in PATH unless it has a slash.
    pub program: OsString,
    pub arguments: Vec<OsString>,
    pub set: Vec<(String, Secret)>,
    pub clear: Vec<String>,
    pub clear_tokens: bool,
}

/// How the child left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(u8),
    /// The number of the signal that ended it.
    #[cfg(unix)]
    Signal(i32),
}

/// Why there is no child. The exit codes are those of `env` (POSIX: 126 found but not executable, 127
/// not found); 125 is authctl's own failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot find the command {program}{}", if program.contains('/') { "" } else { " on PATH" })]
    NotFound { program: String },
    #[error("cannot execute {program}")]
    NotExecutable {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot start {program}")]
    Io {
        program: String,
        #[source]
        source: io::Error,
    },
}

/// Becomes the command: same process, so that terminal, signals, files and exit status need no care.
/// The core limit is the one that authctl was started with.
/// `SIGPIPE`, which Rust ignores from the start, is at its default again; other ignored signals
/// stay ignored. Returns when that failed or, where a process cannot be replaced (Windows), with the
/// command's own exit.
#[cfg(unix)]
pub fn replace(command: &Command) -> Result<Exit, Error> {
    use std::os::unix::process::CommandExt;
    let mut prepared = environment::prepare(command);
    harden::restore_core_limit();
    let source = prepared.exec();
    harden::harden();
    Err(Error::starting(command, source))
}

/// Runs the command and leaves as it left: a process cannot be replaced here.
#[cfg(not(unix))]
pub fn replace(command: &Command) -> Result<Exit, Error> {
    supervise(command, &[])
}

/// Where the program is: as given if it has a slash, else the first executable file of that name in
/// PATH. `None` where launching would not find it either.
pub fn locate(program: &OsStr) -> Option<PathBuf> {
    let path = Path::new(program);
    if path.components().count() > 1 {
        return path.canonicalize().ok();
    }
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories)
        .map(|directory| directory.join(path))
        .find(|file| is_executable(file))
}

/// Whether launching would find the program, and may run it. What only the attempt can tell (a missing
/// interpreter, a foreign format) is left to it.
#[cfg(unix)]
pub fn check(program: &OsStr) -> Result<(), Error> {
    let (path, shown) = (Path::new(program), crate::text::clean(&program.to_string_lossy()));
    let candidates: Vec<PathBuf> = if path.components().count() > 1 || path.has_root() {
        vec![path.to_owned()]
    } else {
        // Without a PATH the system has a place of its own to look in.
        let Some(directories) = std::env::var_os("PATH") else { return Ok(()) };
        std::env::split_paths(&directories).map(|directory| directory.join(path)).collect()
    };
    if candidates.iter().any(|file| is_executable(file)) {
        return Ok(());
    }
    if candidates.iter().any(|file| file.exists()) {
        let source = io::ErrorKind::PermissionDenied.into();
        return Err(Error::NotExecutable { program: shown, source });
    }
    Err(Error::NotFound { program: shown })
}

/// Windows has rules of its own for what a name means (PATHEXT, App Paths).
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub fn check(_: &OsStr) -> Result<(), Error> {
    Ok(())
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

impl Exit {
    /// The exit status as a shell shows it: 128 and the number for a signal.
    pub fn code(self) -> u8 {
        match self {
            Exit::Code(code) => code,
            #[cfg(unix)]
            Exit::Signal(number) => u8::try_from(number).unwrap_or(0).saturating_add(128),
        }
    }

    /// Leaves as the child left: dies of the same signal, so that a shell sees the interrupt and not
    /// a mere number; else hands back the code. This process must not be able to leave a core.
    pub fn leave(self) -> ExitCode {
        #[cfg(unix)]
        if let Exit::Signal(number) = self {
            // Returns only for a signal whose default action does not end a process.
            let _ = signal_hook::low_level::emulate_default_handler(number);
        }
        ExitCode::from(self.code())
    }
}

impl Error {
    fn starting(command: &Command, source: io::Error) -> Self {
        use io::ErrorKind::{InvalidInput, NotFound, OutOfMemory, WouldBlock};
        let program = crate::text::clean(&command.program.to_string_lossy());
        match source.kind() {
            NotFound => Error::NotFound { program },
            // No room for another process, or a NUL byte in a value: the program is not to blame.
            InvalidInput | OutOfMemory | WouldBlock => Error::Io { program, source },
            _ => Error::NotExecutable { program, source },
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn command(program: impl Into<OsString>, arguments: &[&str]) -> Command {
        Command {
            program: program.into(),
            arguments: arguments.iter().map(OsString::from).collect(),
            set: Vec::new(),
            clear: Vec::new(),
            clear_tokens: false,
        }
    }

    fn script(directory: &Path, text: &str, mode: u32) -> Command {
        let path = directory.join("script");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        command(path, &["7"])
    }

    #[test]
    fn an_unknown_command_is_127_and_a_file_that_cannot_run_126() {
        let directory = tempfile::tempdir().unwrap();
        for start in [replace, |command: &Command| supervise(command, &[Secret::new("s3cret")])] {
            let unknown = start(&command("no-such-command-anywhere", &[])).unwrap_err();
            assert!(matches!(unknown, Error::NotFound { .. }), "{unknown:?}");
            let plain = start(&script(directory.path(), "#!/bin/sh\n", 0o644)).unwrap_err();
            assert!(matches!(plain, Error::NotExecutable { .. }), "{plain:?}");
            let folder = start(&command(directory.path(), &[])).unwrap_err();
            assert!(matches!(folder, Error::NotExecutable { .. }), "{folder:?}");
        }
    }

    #[test]
    fn the_check_beforehand_says_what_launching_would() {
        let directory = tempfile::tempdir().unwrap();
        let plain = script(directory.path(), "#!/bin/sh\n", 0o644).program;
        let missing = directory.path().join("missing");
        assert!(matches!(check(&plain), Err(Error::NotExecutable { .. })));
        assert!(matches!(check(directory.path().as_ref()), Err(Error::NotExecutable { .. })));
        assert!(matches!(check(missing.as_ref()), Err(Error::NotFound { .. })));
        assert!(matches!(check("no-such-command-anywhere".as_ref()), Err(Error::NotFound { .. })));
        let runs = script(directory.path(), "exit 0\n", 0o755).program;
        assert!(check(&runs).is_ok() && check("sh".as_ref()).is_ok());
    }

    #[test]
    fn a_value_with_a_nul_byte_is_our_failure() {
        let mut command = command("true", &[]);
        command.set.push(("KEY".into(), Secret::new("a\0b")));
        assert!(matches!(replace(&command).unwrap_err(), Error::Io { .. }));
        assert!(matches!(supervise(&command, &[]).unwrap_err(), Error::Io { .. }));
    }

    #[test]
    fn a_supervised_child_leaves_its_code_or_its_signal() {
        let run = |text: &str| supervise(&command("sh", &["-c", text]), &[]).unwrap();
        assert_eq!(run("exit 7"), Exit::Code(7));
        assert_eq!(run("kill -TERM $$"), Exit::Signal(15));
        assert_eq!(Exit::Signal(15).code(), 143);
    }

    #[test]
    fn a_script_without_an_interpreter_line_runs_in_the_shell_as_under_env() {
        let directory = tempfile::tempdir().unwrap();
        let script = script(directory.path(), "exit $1\n", 0o755);
        assert_eq!(supervise(&script, &[]).unwrap(), Exit::Code(7));
    }
}
