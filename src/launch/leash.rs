//! A child that does not outlive authctl (Linux): a copy of authctl asks for the parent's death signal and
//! becomes the command. Other systems have no such signal; there the end of its stdin tells the child.

use std::process;

use super::{Command, environment};

/// Word that a leashed start of authctl goes by.
#[cfg(target_os = "linux")]
const LEASH: &str = "authctl-leash";

/// The command, ready to start by way of a leash.
#[cfg(target_os = "linux")]
pub fn prepare(command: &Command) -> process::Command {
    use std::os::unix::process::CommandExt;
    let mut arguments = vec![process::id().to_string().into(), command.program.clone()];
    arguments.extend(command.arguments.iter().cloned());
    let leashed = Command { program: "/proc/self/exe".into(), arguments, ..command.clone() };
    let mut prepared = environment::prepare(&leashed);
    prepared.arg0(LEASH);
    prepared
}

#[cfg(not(target_os = "linux"))]
pub fn prepare(command: &Command) -> process::Command {
    environment::prepare(command)
}

/// Becomes the command, if this process was started to do that; comes back with the exit code if it cannot.
#[cfg(target_os = "linux")]
pub fn leashed() -> Option<u8> {
    let mut words = std::env::args_os();
    if words.next()? != LEASH {
        return None;
    }
    let parent = words.next()?.to_str()?.parse().ok()?;
    let program = words.next()?;
    Some(become_leashed(parent, program, words.collect()))
}

#[cfg(not(target_os = "linux"))]
pub fn leashed() -> Option<u8> {
    None
}

#[cfg(target_os = "linux")]
fn become_leashed(
    parent: i32,
    program: std::ffi::OsString,
    arguments: Vec<std::ffi::OsString>,
) -> u8 {
    use std::io::Write;
    use std::os::unix::process::CommandExt;

    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

    use super::Error;

    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // It may have died before.
    if getppid() != Pid::from_raw(parent) {
        return 125;
    }
    let source = process::Command::new(&program).args(&arguments).exec();
    let command =
        Command { program, arguments, set: Vec::new(), clear: Vec::new(), clear_tokens: false };
    let error = Error::starting(&command, source);
    let _ = writeln!(std::io::stderr(), "error: {error}");
    match error {
        Error::NotFound { .. } => 127,
        Error::NotExecutable { .. } => 126,
        Error::Io { .. } => 125,
    }
}
