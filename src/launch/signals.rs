//! Signals between the world, authctl and its child, for a child that is supervised. Whoever signals
//! authctl means the child; what the terminal already sent to both is not sent twice.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::signal::{
    SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::{Cause, Origin};

/// Those that are passed on.
const FORWARDED: [i32; 9] =
    [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP];

/// Those that a terminal sends to every process of its foreground group. It sends HUP as well, but
/// at first only to the leader of the session, which authctl may be.
const FROM_TERMINAL: [i32; 4] = [SIGINT, SIGQUIT, SIGTSTP, SIGWINCH];

/// The signals that arrive for the child, kept from before it starts.
pub struct Signals {
    arriving: SignalsInfo<WithOrigin>,
    terminal: Option<File>,
}

impl Signals {
    /// Catches what is forwarded, except what this process was told to ignore (`nohup`): that the
    /// child ignores too. Without a controlling terminal the child gets a process group of its own,
    /// so that a signal to our group reaches it once; with one it must stay in the terminal's.
    pub fn catch(prepared: &mut process::Command) -> io::Result<Self> {
        let ignored = ignored();
        let caught = FORWARDED.iter().filter(|number| ignored & (1 << (**number - 1)) == 0);
        let terminal = File::open("/dev/tty").ok();
        if terminal.is_none() {
            prepared.process_group(0);
        }
        Ok(Self { arriving: SignalsInfo::new(caught)?, terminal })
    }

    /// Forwards signals to `child` and stops when it stops, until it has ended (and can be waited for).
    pub fn follow(self, child: &process::Child) -> io::Result<()> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { return Ok(()) };
        let has_terminal = self.terminal.is_some();
        let target = Arc::new(Mutex::new(Some(pid)));
        let forwarder = Forwarder { target: Arc::clone(&target), terminal: self.terminal };
        let mut arriving = self.arriving;
        thread::spawn(move || arriving.forever().for_each(|origin| forwarder.forward(&origin)));
        while wait(pid)? == Change::Stopped {
            if has_terminal {
                // The shell sees us stop, and takes the terminal back.
                rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
            }
        }
        // From here on its number may be another process's.
        *target.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// Passes signals on from a thread of its own.
struct Forwarder {
    /// The child, until it has ended.
    target: Arc<Mutex<Option<Pid>>>,
    terminal: Option<File>,
}

impl Forwarder {
    fn forward(&self, origin: &Origin) {
        if FROM_TERMINAL.contains(&origin.signal) && self.has_reached_child(origin.cause) {
            return;
        }
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        // Neither can fail in a way that anything could be done about.
        match (*target, Signal::from_named_raw(origin.signal)) {
            (Some(child), Some(signal)) => drop(rustix::process::kill_process(child, signal)),
            // Only the rest of its output is left to pass on; now a signal means us.
            _ => drop(emulate_default_handler(origin.signal)),
        }
    }

    /// Whether the terminal sent the signal, and so to the child as well. Where the system does not say
    /// who sent it (macOS), a process of the foreground group takes it to be the terminal.
    fn has_reached_child(&self, cause: Cause) -> bool {
        let Some(terminal) = &self.terminal else { return false };
        match cause {
            Cause::Kernel => true,
            Cause::Unknown => {
                rustix::termios::tcgetpgrp(terminal) == Ok(rustix::process::getpgrp())
            }
            _ => false,
        }
    }
}

/// What a child did.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Stopped,
    Ended,
}

/// Waits until the child stops or ends. An ended child remains to be waited for.
fn wait(child: Pid) -> io::Result<Change> {
    let either = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    loop {
        match rustix::process::waitid(WaitId::Pid(child), either) {
            Ok(Some(status)) if status.stopped() => {
                // Take the news, which NOWAIT left, unless the child runs again already.
                let news = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
                if rustix::process::waitid(WaitId::Pid(child), news)?.is_some() {
                    return Ok(Change::Stopped);
                }
            }
            Ok(_) => return Ok(Change::Ended),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The signals that this process ignores, as a mask in which bit 0 is signal 1. Only Linux says it
/// without unsafe code; elsewhere none.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
