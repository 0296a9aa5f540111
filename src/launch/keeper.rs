//! The keeper of a child (Linux): a copy of authctl between authctl and the child, with an empty environment.
//! Whatever loses its parent below it becomes its own child (`PR_SET_CHILD_SUBREAPER`), so that nothing of what
//! the child starts can leave it, not even with another session and another environment. It ends all that when
//! the child has ended, when it is told to, and when authctl has died of whatever; then it leaves as the child
//! left.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process;
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, getppid, kill_process};
use rustix::process::{set_child_subreaper, set_parent_process_death_signal};
use signal_hook::consts::signal::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::Exit;
use crate::harden;

/// Word that a keeper goes by.
pub const KEEPER: &str = "authctl-keeper";

/// Word of the start that becomes the command.
pub const LEASH: &str = "authctl-leash";

/// Has a keeper end everything. The system sends it when authctl dies.
const END: Signal = Signal::USR1;

/// How often, and at what intervals, is looked for what is left.
const ROUNDS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(2);

/// This program under another word, with an empty environment.
pub fn start(word: &str, program: &OsStr, arguments: &[OsString]) -> process::Command {
    let mut start = process::Command::new("/proc/self/exe");
    start.arg0(word).arg(process::id().to_string()).arg(program).args(arguments).env_clear();
    start
}

/// Has the keeper, and with it everything below it, end.
pub fn end(keeper: Pid) {
    let _ = kill_process(keeper, END);
}

/// Is the keeper of the command.
pub fn keep(parent: i32, program: &OsStr, arguments: Vec<OsString>) -> u8 {
    // What is sent to the child's group is for the child. A handler is gone after exec, other than a deaf ear.
    let heard = Signals::new([SIGUSR1, SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT]);
    let Ok(signals) = heard else { return 125 };
    let _ = set_child_subreaper(Some(getpid()));
    let _ = set_parent_process_death_signal(Some(END));
    // It may have died before.
    if getppid() != Pid::from_raw(parent) {
        return 125;
    }
    let Ok(child) = start(LEASH, program, &arguments).spawn() else { return 125 };
    drop(arguments);
    let_go_of_streams();
    harden::harden();
    let exit = until_ended(signals, Pid::from_child(&child));
    end_all();
    if let Exit::Signal(number) = exit {
        let _ = emulate_default_handler(number);
    }
    exit.code()
}

/// The child's streams end with the child.
fn let_go_of_streams() {
    if let Ok(nothing) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&nothing);
        let _ = rustix::stdio::dup2_stdout(&nothing);
    }
}

fn until_ended(mut signals: Signals, child: Pid) -> Exit {
    loop {
        for signal in signals.wait() {
            if signal == SIGUSR1 {
                kill_children();
            }
        }
        if let Some(exit) = reap(child).1 {
            return exit;
        }
    }
}

/// Ends what is there: what loses its parent by that comes here, and is next.
fn end_all() {
    for _ in 0..ROUNDS {
        kill_children();
        if !reap(getpid()).0 {
            return;
        }
        sleep(PAUSE);
    }
}

/// Takes note of ended children: whether there are others, and how `child` ended, if it was among them.
fn reap(child: Pid) -> (bool, Option<Exit>) {
    let mut exit = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((ended, status))) if ended == child => {
                let number = status.terminating_signal();
                let code = status.exit_status().and_then(|code| u8::try_from(code).ok());
                exit = Some(number.map_or(Exit::Code(code.unwrap_or(1)), Exit::Signal));
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return (true, exit),
            Err(_) => return (false, exit),
        }
    }
}

/// Only the keeper can take note of their ends, so their numbers are theirs until then.
fn kill_children() {
    let Ok(directory) = std::fs::read_dir("/proc") else { return };
    let numbers = directory.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for child in numbers.filter(|number| parent_of(*number) == Some(getpid())) {
        let _ = Pid::from_raw(child).map(|child| kill_process(child, Signal::KILL));
    }
}

fn parent_of(number: i32) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name before it is in parentheses, and may have any character in it.
    Pid::from_raw(stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?)
}
