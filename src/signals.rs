//! The critical section of signals: while a [`Deferred`] lives, INT, TERM, HUP and TSTP wait, and are
//! delivered once the last one of the thread is gone. Done with the signal mask, not with handlers:
//! a mask leaves alone what the parent chose to ignore (`nohup`), what other parts of the program
//! handle (a prompt that restores the terminal, a supervisor that forwards), and what a child sees.
//!
//! A signal to the process goes to any thread that does not block it. So every thread that authctl
//! starts and that may live beside a critical section calls [`leave_to_main_thread`] first.

use std::marker::PhantomData;

/// Keeps INT, TERM, HUP and TSTP waiting. Bound to its thread, like the mask itself.
pub struct Deferred {
    thread_bound: PhantomData<*const ()>,
}

impl Deferred {
    /// Begins a critical section of this thread; sections nest.
    pub fn begin() -> Self {
        platform::enter();
        Self { thread_bound: PhantomData }
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        platform::leave();
    }
}

/// Blocks the same signals in this thread, and in those that it starts, for good: the main thread
/// receives them, and may make them wait.
pub fn leave_to_main_thread() {
    platform::block();
}

/// The signals that this process ignores, as a mask in which bit 0 is signal 1. Only Linux says it
/// without unsafe code; elsewhere none.
#[cfg(unix)]
pub fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// How a process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// In the usual ways: TERM, INT, HUP.
    Usually,
    /// By the number of another signal that would have ended it.
    #[cfg(unix)]
    By(i32),
}

/// Comes back when the process is asked to end, by any signal that would end it and can be caught.
#[cfg(unix)]
pub async fn asked_to_end() -> Asked {
    use signal_hook::consts::signal::{
        SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM,
        SIGXCPU,
    };
    use tokio::signal::unix::{SignalKind, signal};
    const WANTED: [i32; 11] = [
        SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU,
        SIGABRT,
    ];
    // What the process was told to ignore (`nohup`) stays ignored.
    let ignored = ignored();
    let wanted = WANTED.into_iter().filter(|number| ignored & (1 << (number - 1)) == 0);
    let mut signals: Vec<_> = wanted
        .filter_map(|number| Some((number, signal(SignalKind::from_raw(number)).ok()?)))
        .collect();
    let number = std::future::poll_fn(|context| {
        let mut all = signals.iter_mut();
        let ready = all
            .find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
        ready.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    })
    .await;
    match number {
        SIGTERM | SIGINT | SIGHUP => Asked::Usually,
        other => Asked::By(other),
    }
}

#[cfg(not(unix))]
pub async fn asked_to_end() -> Asked {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    Asked::Usually
}

#[cfg(unix)]
mod platform {
    use std::cell::RefCell;

    use nix::sys::signal::{SigSet, SigmaskHow, Signal};

    thread_local! {
        /// How many sections this thread is in, and its mask before the first.
        static SECTIONS: RefCell<(usize, Option<SigSet>)> = const { RefCell::new((0, None)) };
    }

    fn deferred() -> SigSet {
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP].into_iter().collect()
    }

    pub fn block() {
        // Fails only for an invalid argument, and there is none.
        let _ = deferred().thread_block();
    }

    pub fn enter() {
        SECTIONS.with_borrow_mut(|(depth, before)| {
            if *depth == 0 {
                *before = deferred().thread_swap_mask(SigmaskHow::SIG_BLOCK).ok();
            }
            *depth += 1;
        });
    }

    pub fn leave() {
        let before = SECTIONS.with_borrow_mut(|(depth, before)| {
            *depth -= 1;
            if *depth == 0 { before.take() } else { None }
        });
        // What waited arrives within this call.
        if let Some(before) = before {
            let _ = before.thread_set_mask();
        }
    }
}

#[cfg(not(unix))]
mod platform {
    // Windows has no such signals; its console events end the process, as a kill would, and the
    // journal of a refresh is made for that.
    pub fn block() {}
    pub fn enter() {}
    pub fn leave() {}
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use nix::sys::signal::{Signal, raise};
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::again;

    fn is_ignored(signal: Signal) -> bool {
        ignored() & 1 << (signal as i32 - 1) != 0
    }

    fn interrupt_itself(signal: Signal) {
        let outer = Deferred::begin();
        let inner = Deferred::begin();
        raise(signal).unwrap();
        drop(outer);
        println!("still in the section");
        drop(inner);
        println!("still alive");
    }

    #[test]
    fn a_signal_waits_for_the_end_of_the_outermost_section() {
        if let Some(name) = again::role() {
            return interrupt_itself(name.to_str().unwrap().parse().unwrap());
        }
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        // Who starts the tests in the background may ignore some, and with them all that is started.
        for signal in signals.into_iter().filter(|signal| !is_ignored(*signal)) {
            let test = a_signal_waits_for_the_end_of_the_outermost_section;
            let output = again::command(test, signal.as_str()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.signal(), Some(signal as i32), "{said}");
            assert!(said.contains("still in the section"), "{said}");
            assert!(!said.contains("still alive"), "{said}");
        }
    }

    #[test]
    fn the_mask_of_before_comes_back() {
        use nix::sys::signal::SigSet;
        std::thread::spawn(|| {
            let before = SigSet::thread_get_mask().unwrap();
            let section = Deferred::begin();
            assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGTSTP));
            drop(section);
            assert_eq!(SigSet::thread_get_mask().unwrap(), before);
        })
        .join()
        .unwrap();
    }
}
