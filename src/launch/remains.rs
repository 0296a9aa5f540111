//! What a child leaves running although it has ended, also outside its process group (Linux): its processes
//! inherit a mark in their environment, by which they are found in `/proc`.

use std::process;

/// The mark of one child and of whatever it starts.
pub struct Mark(#[cfg(target_os = "linux")] String);

#[cfg(target_os = "linux")]
impl Mark {
    pub fn new() -> Self {
        // Unique on this machine even if nothing random is to be had.
        Self(format!("{}-{:x}", process::id(), getrandom::u64().unwrap_or_default()))
    }

    pub fn put(&self, prepared: &mut process::Command) {
        prepared.env(NAME, &self.0);
    }

    /// Kills every process that has the mark, and those that they start meanwhile.
    pub fn end_all(&self) {
        for _ in 0..ROUNDS {
            if self.kill_found() == 0 {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn kill_found(&self) -> usize {
        let Ok(directory) = std::fs::read_dir("/proc") else { return 0 };
        let numbers = directory.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers.filter(|number| self.kill_if_marked(*number).is_some()).count()
    }

    /// The process is held before it is looked at: its number cannot go to another one meanwhile.
    fn kill_if_marked(&self, number: i32) -> Option<()> {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        if !self.is_on(number) {
            return None;
        }
        let held = pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()?;
        if !self.is_on(number) {
            return None;
        }
        pidfd_send_signal(&held, Signal::KILL).ok()
    }

    fn is_on(&self, number: i32) -> bool {
        let mark = format!("{NAME}={}", self.0);
        let environment = std::fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    }
}

/// Variable that has the mark.
#[cfg(target_os = "linux")]
const NAME: &str = "AUTHCTL_SERVER_RUN";

/// How often, and at what intervals, is looked for what is left.
#[cfg(target_os = "linux")]
const ROUNDS: u32 = 50;
#[cfg(target_os = "linux")]
const PAUSE: std::time::Duration = std::time::Duration::from_millis(2);

/// Elsewhere the process group is all that can be found.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unused_self, reason = "of the same form as the mark that there is on Linux")]
impl Mark {
    pub fn new() -> Self {
        Self()
    }

    pub fn put(&self, _prepared: &mut process::Command) {}

    pub fn end_all(&self) {}
}
