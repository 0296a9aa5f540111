//! Signals between the world, authctl and its child, for a child that is supervised. Whoever signals
//! authctl means the child; what the terminal already sent to both is not sent twice.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process;
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::signal::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
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

/// The signals that arrive for the child, kept from before it starts, and the news of it.
pub struct Signals {
    arriving: SignalsInfo<WithOrigin>,
    terminal: Option<File>,
}

impl Signals {
    /// Catches what is forwarded, except what this process was told to ignore (`nohup`): that the
    /// child ignores too. Without a controlling terminal the child gets a process group of its own,
    /// so that a signal to our group reaches it once; with one it must stay in the terminal's.
    pub fn catch(prepared: &mut process::Command) -> io::Result<Self> {
        let ignored = crate::signals::ignored();
        let forwarded = FORWARDED.iter().filter(|number| ignored & (1 << (**number - 1)) == 0);
        let terminal = File::open("/dev/tty").ok();
        if terminal.is_none() {
            prepared.process_group(0);
        }
        Ok(Self { arriving: SignalsInfo::new(forwarded.chain(&[SIGCHLD]))?, terminal })
    }

    /// Forwards signals to `child` and stops when it stops, until it has ended (and can be waited for).
    pub fn follow(mut self, child: &process::Child) -> io::Result<()> {
        let child = Pid::from_child(child);
        loop {
            // All of them before the news of the child: a TSTP that came with its stop must not
            // follow it to where it has been continued.
            let origins: Vec<Origin> = self.arriving.wait().collect();
            for origin in origins.iter().filter(|origin| origin.signal != SIGCHLD) {
                self.forward(child, origin);
            }
            match news(child)? {
                Some(News::Ended) => break,
                // The shell sees us stop, and takes the terminal back.
                Some(News::Stopped) if self.terminal.is_some() => {
                    rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
                }
                _ => {}
            }
        }
        // Only the rest of its output is left to pass on. From now on a signal means us.
        thread::spawn(move || {
            for origin in self.arriving.forever() {
                let _ = emulate_default_handler(origin.signal);
            }
        });
        Ok(())
    }

    fn forward(&self, child: Pid, origin: &Origin) {
        if FROM_TERMINAL.contains(&origin.signal) && self.has_reached_child(origin.cause) {
            return;
        }
        if let Some(signal) = Signal::from_named_raw(origin.signal) {
            // Fails only for a child that has ended, or has become another user's.
            let _ = rustix::process::kill_process(child, signal);
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
enum News {
    Stopped,
    Ended,
}

/// What the child did since the last look. An ended child remains to be waited for.
fn news(child: Pid) -> io::Result<Option<News>> {
    let look = |options| rustix::process::waitid(WaitId::Pid(child), options);
    let both = WaitIdOptions::EXITED | WaitIdOptions::STOPPED;
    match look(both | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)? {
        None => Ok(None),
        // NOWAIT has left the news to be taken, unless the child runs again already.
        Some(status) if status.stopped() => {
            let taken = look(WaitIdOptions::STOPPED | WaitIdOptions::NOHANG)?;
            Ok(taken.map(|_| News::Stopped))
        }
        Some(_) => Ok(Some(News::Ended)),
    }
}
