//! A child that does not outlive authctl, nor anything that it starts (Linux): a keeper stands between the two
//! (`keeper`), and the leash below it becomes the command. Other systems have nothing like it; there the end
//! of its stdin tells the child.

use std::process;

use zeroize::Zeroizing;

#[cfg(target_os = "linux")]
use super::keeper::{self, KEEPER, LEASH};
use super::remains::Mark;
use super::{Command, environment};

/// A command that is ready to start.
pub struct Leashed {
    pub start: process::Command,
    /// What the command's stdin has to begin with: its environment, which nobody on the way is to have.
    pub prelude: Zeroizing<Vec<u8>>,
}

/// The command, ready to start by way of a keeper.
#[cfg(target_os = "linux")]
pub fn prepare(command: &Command, mark: &Mark) -> Leashed {
    let mut child = environment::prepare(command);
    mark.put(&mut child);
    let start = keeper::start(KEEPER, &command.program, &command.arguments);
    Leashed { start, prelude: prelude(&child) }
}

#[cfg(not(target_os = "linux"))]
pub fn prepare(command: &Command, mark: &Mark) -> Leashed {
    let mut start = environment::prepare(command);
    mark.put(&mut start);
    Leashed { start, prelude: Zeroizing::default() }
}

/// Is the keeper or becomes the command, if this process was started to do that; comes back with the exit code.
#[cfg(target_os = "linux")]
pub fn leashed() -> Option<u8> {
    let mut words = std::env::args_os();
    let word = words.next()?;
    if word != LEASH && word != KEEPER {
        return None;
    }
    let parent = words.next()?.to_str()?.parse().ok()?;
    let (program, arguments) = (words.next()?, words.collect());
    Some(if word == LEASH {
        become_leashed(parent, program, arguments)
    } else {
        keeper::keep(parent, &program, arguments)
    })
}

#[cfg(not(target_os = "linux"))]
pub fn leashed() -> Option<u8> {
    None
}

/// The environment of `child`, as [`environment_from`] reads it.
#[cfg(target_os = "linux")]
fn prelude(child: &process::Command) -> Zeroizing<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;

    let mut variables = Zeroizing::new(Vec::new());
    for (name, value) in environment::of(child) {
        for part in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
            variables.extend_from_slice(part);
        }
    }
    let mut prelude = Zeroizing::new(variables.len().to_ne_bytes().to_vec());
    prelude.extend_from_slice(&variables);
    prelude
}

#[cfg(target_os = "linux")]
type Variables = Vec<(std::ffi::OsString, std::ffi::OsString)>;

#[cfg(target_os = "linux")]
fn environment_from(mut stream: impl std::io::Read) -> std::io::Result<Variables> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let mut length = [0; size_of::<usize>()];
    stream.read_exact(&mut length)?;
    let mut variables = Zeroizing::new(vec![0; usize::from_ne_bytes(length)]);
    stream.read_exact(&mut variables)?;
    let owned = |part: &[u8]| OsStr::from_bytes(part).to_owned();
    let pairs = variables.split(|byte| *byte == 0).filter_map(|variable| {
        // A name may begin with the sign.
        let sign = 1 + variable.iter().skip(1).position(|byte| *byte == b'=')?;
        Some((owned(&variable[..sign]), owned(&variable[sign + 1..])))
    });
    Ok(pairs.collect())
}

#[cfg(target_os = "linux")]
fn become_leashed(
    parent: i32,
    program: std::ffi::OsString,
    arguments: Vec<std::ffi::OsString>,
) -> u8 {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::process::CommandExt;

    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

    use super::Error;

    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // It may have died before.
    if getppid() != Pid::from_raw(parent) {
        return 125;
    }
    // The stream itself: what comes behind the environment is for the command.
    let own = std::io::stdin().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let Ok(variables) = own.and_then(environment_from) else { return 125 };
    let mut child = process::Command::new(&program);
    let source = child.args(&arguments).env_clear().envs(variables).exec();
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn an_environment_comes_through_whole_and_leaves_what_follows() {
        let mut child = process::Command::new("true");
        child.env("A", "=x\n").env("B", "").env_remove("PATH");
        let text = [prelude(&child).as_slice(), b"{}\n"].concat();
        let mut stream = text.as_slice();
        let variables = environment_from(&mut stream).unwrap();
        let of = |name: &str| variables.iter().find(|it| it.0 == *name).map(|it| it.1.clone());
        assert_eq!((of("A"), of("B"), of("PATH")), (Some("=x\n".into()), Some("".into()), None));
        assert_eq!(variables.len(), environment::of(&child).len());
        assert_eq!(stream, b"{}\n");
        assert!(environment_from(&text[..9]).is_err());
    }
}
