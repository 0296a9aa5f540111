//! Uses of a credential that a person confirms: the question put by a program of the user's own
//! choosing, and the answers that hold for a while for the program that they were given for.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Error, can_remember};
use crate::config::Confirmation;
use crate::credential::Name;
use crate::digest::sha256;

/// How long the program may show its question.
const PATIENCE: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(20);

/// A yes. Name and program stand in it: the name of the file is only their hash.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    name: String,
    program: String,
    given_at: Timestamp,
}

/// Whether a yes for this program still holds, as the rule is now. `state` is the state directory.
pub fn is_confirmed(
    state: &Path,
    name: &Name,
    program: &Path,
    rule: Confirmation,
    now: Timestamp,
) -> Result<bool, Error> {
    if !holds_for(program, rule) {
        return Ok(false);
    }
    let Some(program) = program.to_str() else { return Ok(false) };
    let found = match super::read::<Answer>(&file(state, name, program)) {
        Err(Error::Unreadable { .. }) => None, // the question comes again
        found => found?,
    };
    Ok(found.is_some_and(|answer| {
        let age = now.duration_since(answer.given_at);
        let fits = answer.name == name.to_string() && answer.program == program;
        fits && !age.is_negative() && age < SignedDuration::try_from(rule.holds).unwrap_or_default()
    }))
}

/// Remembers a yes. Never for a shell or a launcher: that is every program at once.
pub fn remember_yes(
    state: &Path,
    name: &Name,
    program: &Path,
    rule: Confirmation,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(text) = program.to_str().filter(|_| holds_for(program, rule)) else { return Ok(()) };
    let answer = Answer { name: name.to_string(), program: text.to_owned(), given_at: now };
    super::write(&file(state, name, text), &answer)
}

/// Whether an answer for this program holds for any time.
pub fn holds_for(program: &Path, rule: Confirmation) -> bool {
    !rule.holds.is_zero() && program.is_absolute() && can_remember(program)
}

fn file(state: &Path, name: &Name, program: &str) -> PathBuf {
    let pair = format!("{name}\0{program}");
    state.join("confirmations").join(sha256(pair.as_bytes()) + ".json")
}

/// Puts a yes-or-no question by a program that shows it to the person, as `ssh-add -c` has it done: the
/// question is its argument, success means yes. Variables that may hold credentials are `withheld`.
pub fn ask_by(helper: &Path, question: &str, withheld: &[String]) -> Result<bool, Error> {
    let failed = |source| Error::Helper { path: helper.to_owned(), source };
    let mut command = Command::new(helper);
    for variable in withheld {
        command.env_remove(variable);
    }
    let mut child = command
        .arg(question)
        .env("SSH_ASKPASS_PROMPT", "confirm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status.success());
        }
        std::thread::sleep(POLL);
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yes_holds_for_its_program_and_its_time() {
        let state = tempfile::tempdir().unwrap();
        let name: Name = "github:work".parse().unwrap();
        let rule = Confirmation { holds: Duration::from_mins(15) };
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let agent = Path::new("/opt/agent");
        remember_yes(state.path(), &name, agent, rule, at(1_000)).unwrap();
        let holds = |name: &Name, program: &str, rule, now| {
            is_confirmed(state.path(), name, program.as_ref(), rule, at(now)).unwrap()
        };
        assert!(holds(&name, "/opt/agent", rule, 1_000) && holds(&name, "/opt/agent", rule, 1_899));
        assert!(!holds(&name, "/opt/agent", rule, 1_900));
        assert!(!holds(&name, "/opt/agent", rule, 999), "the clock was set back");
        assert!(!holds(&name, "/opt/other", rule, 1_000));
        assert!(!holds(&"github".parse().unwrap(), "/opt/agent", rule, 1_000));
        let shorter = Confirmation { holds: Duration::from_mins(1) };
        assert!(!holds(&name, "/opt/agent", shorter, 1_060), "the rule of now counts");
        assert!(!holds(&name, "/opt/agent", Confirmation { holds: Duration::ZERO }, 1_000));
    }

    #[test]
    fn no_yes_holds_for_a_shell_or_a_program_without_a_place() {
        let state = tempfile::tempdir().unwrap();
        let name: Name = "github".parse().unwrap();
        let rule = Confirmation { holds: Duration::from_mins(15) };
        for program in ["/bin/sh", "/usr/bin/npx", "agent"] {
            let program = Path::new(program);
            remember_yes(state.path(), &name, program, rule, Timestamp::UNIX_EPOCH).unwrap();
            let now = Timestamp::UNIX_EPOCH;
            assert!(!is_confirmed(state.path(), &name, program, rule, now).unwrap());
        }
        assert!(!state.path().join("confirmations").exists());
    }
}
