//! A child whose stdin and stdout are authctl's: a server that is spoken to. It has a process group of its
//! own, and nothing of that group, below its keeper (Linux), or marked as started by the child, is left once the
//! child is done with.

use std::io;
#[cfg(unix)]
use std::io::Write;
use std::process::Stdio;

use tokio::process::{Child, ChildStdin, ChildStdout};

use super::remains::Mark;
use super::{Command, Error, Exit, leash};
use crate::harden;

/// A running child.
pub struct Piped {
    child: Child,
    mark: Mark,
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
}

/// How a child is told to end; each way is harder than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Its stdin is closed: it may finish what it does.
    Closed,
    /// It is to end at once.
    Terminated,
    /// It has no choice.
    Killed,
}

impl Piped {
    /// Starts the command; its stderr is authctl's own. To be called inside a runtime, on a thread that lives as
    /// long as the child.
    pub fn start(command: &Command) -> Result<(Self, ChildStdin, ChildStdout), Error> {
        let mark = Mark::new();
        let leash::Leashed { mut start, prelude } = leash::prepare(command, &mark);
        start.stdin(Stdio::piped()).stdout(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut start, 0);
        harden::restore_core_limit();
        // A keeper that is killed cannot end anything.
        let is_killed = cfg!(not(target_os = "linux"));
        let started = tokio::process::Command::from(start).kill_on_drop(is_killed).spawn();
        harden::harden();
        let mut child = started.map_err(|source| Error::starting(command, source))?;
        let streams = child.stdin.take().zip(child.stdout.take());
        let piped = Self {
            #[cfg(unix)]
            group: child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())),
            child,
            mark,
        };
        let (stdin, stdout) =
            streams.ok_or_else(|| Error::starting(command, io::ErrorKind::BrokenPipe.into()))?;
        let stdin = begun(stdin, &prelude).map_err(|source| Error::starting(command, source))?;
        Ok((piped, stdin, stdout))
    }

    /// Waits for its end, and ends what it left running.
    pub async fn wait(&mut self) -> Exit {
        let status = self.child.wait().await;
        self.end_group();
        self.mark.end_all();
        status.map_or(Exit::Code(1), Exit::from)
    }

    /// Has it end. Its stdin has been closed.
    pub fn tell(&mut self, ending: Ending) {
        match ending {
            Ending::Closed => {}
            Ending::Terminated => self.ask_to_end(),
            Ending::Killed => self.end_all(),
        }
    }

    /// The last resort: whatever a keeper had to do is left undone.
    pub fn abandon(&mut self) {
        self.end_group();
        let _ = self.child.start_kill();
    }

    #[cfg(target_os = "linux")]
    fn end_all(&self) {
        // An id that the system may have given away again is left alone.
        if let Some(keeper) = self.group.filter(|_| self.child.id().is_some()) {
            super::keeper::end(keeper);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn end_all(&mut self) {
        if self.child.id().is_some() {
            self.end_group();
            self.mark.end_all();
        }
    }

    #[cfg(unix)]
    fn ask_to_end(&self) {
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
    }

    #[cfg(not(unix))]
    fn ask_to_end(&mut self) {
        let _ = self.child.start_kill();
    }

    #[cfg(unix)]
    fn end_group(&self) {
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    /// There are no groups: the process itself is all that can be ended.
    #[cfg(not(unix))]
    fn end_group(&mut self) {
        let _ = self.child.start_kill();
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        self.end_all();
    }
}

/// A stdin that begins with `prelude`, which is read at once.
#[cfg(unix)]
fn begun(stdin: ChildStdin, prelude: &[u8]) -> io::Result<ChildStdin> {
    if prelude.is_empty() {
        return Ok(stdin);
    }
    let mut stdin = std::process::ChildStdin::from(stdin.into_owned_fd()?);
    stdin.write_all(prelude)?;
    ChildStdin::from_std(stdin)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn begun(stdin: ChildStdin, _: &[u8]) -> io::Result<ChildStdin> {
    Ok(stdin)
}
