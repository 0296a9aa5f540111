//! Staying beside a child: its output masked where it is not a terminal, signals passed on, its stops and
//! its end followed.

use std::io::{self, IsTerminal, PipeReader, Read, Write};
use std::process::{self, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::masking::Mask;
use super::{Command, Error, Exit, environment};
use crate::harden;
use crate::secret::Secret;

/// How long the streams of a child that has ended may be silent before they are let go: something
/// that it left running in the background still holds them.
const SILENCE: Duration = Duration::from_millis(300);

/// Runs the command and waits for its end. Its stdout and stderr are passed on with the secrets of
/// `mask` replaced, except where they are a terminal, which stays the child's own, untouched.
pub fn supervise(command: &Command, mask: &[Secret]) -> Result<Exit, Error> {
    run(command, mask)
        .or_else(|error| match environment::through_shell(command, &error) {
            Some(script) => run(&script, mask),
            None => Err(error),
        })
        .map_err(|source| Error::starting(command, source))
}

fn run(command: &Command, mask: &[Secret]) -> io::Result<Exit> {
    let mut prepared = environment::prepare(command);
    let streams = if mask.is_empty() { Vec::new() } else { redirect(&mut prepared)? };
    let mask = Arc::new(Mask::new(mask)?);
    #[cfg(unix)]
    let signals = super::signals::Signals::catch(&mut prepared)?;
    harden::restore_core_limit();
    let started = prepared.spawn();
    harden::harden();
    let mut child = started?;
    // It holds the writing ends of the pipes, and the secrets.
    drop(prepared);
    let pumps: Vec<Pump> = streams.into_iter().map(|stream| stream.pump(&mask)).collect();
    #[cfg(unix)]
    signals.follow(&child)?;
    let status = child.wait()?;
    pumps.into_iter().for_each(Pump::finish);
    Ok(status.into())
}

// ----------------------------------------------------------------------------------------- streams

/// One way from the child to one of our own streams.
struct Stream {
    from: PipeReader,
    to: Box<dyn Write + Send>,
}

/// Puts pipes where the child's stdout and stderr are not a terminal; one for both where both lead
/// to the same place, so that their order stays.
fn redirect(prepared: &mut process::Command) -> io::Result<Vec<Stream>> {
    let mut streams = Vec::new();
    let masks_stdout = !io::stdout().is_terminal();
    let masks_stderr = !io::stderr().is_terminal();
    if masks_stdout {
        let (from, writer) = io::pipe()?;
        if masks_stderr && is_one_place() {
            prepared.stderr(writer.try_clone()?);
        }
        prepared.stdout(writer);
        streams.push(Stream { from, to: Box::new(io::stdout()) });
    }
    if masks_stderr && !(masks_stdout && is_one_place()) {
        let (from, writer) = io::pipe()?;
        prepared.stderr(writer);
        streams.push(Stream { from, to: Box::new(io::stderr()) });
    }
    Ok(streams)
}

/// Whether stdout and stderr are the same file, pipe or socket.
#[cfg(unix)]
fn is_one_place() -> bool {
    let place = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    let stdout = rustix::fs::fstat(io::stdout()).map(place);
    stdout.is_ok() && stdout == rustix::fs::fstat(io::stderr()).map(place)
}

#[cfg(not(unix))]
fn is_one_place() -> bool {
    false
}

/// A thread that passes a stream on.
struct Pump {
    /// Disconnected when the stream has ended.
    end: mpsc::Receiver<()>,
    reads: Arc<Reads>,
}

/// Counts the beginnings and the ends of reads: an odd number means waiting for the child, rather than
/// for whoever reads our output.
#[derive(Default)]
struct Reads(AtomicUsize);

/// A stream whose reads are counted.
struct Counted {
    from: PipeReader,
    reads: Arc<Reads>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.0.fetch_add(1, Ordering::Relaxed);
        let read = self.from.read(buffer);
        self.reads.0.fetch_add(1, Ordering::Relaxed);
        read
    }
}

impl Stream {
    fn pump(self, mask: &Arc<Mask>) -> Pump {
        let (ended, end) = mpsc::channel();
        let reads = Arc::new(Reads::default());
        let from = Counted { from: self.from, reads: Arc::clone(&reads) };
        let mask = Arc::clone(mask);
        thread::spawn(move || {
            // When nobody reads our output any more, the pipe closes and the child learns it as it
            // would have without us. Nothing else can be done about an error here.
            let _ = mask.copy(from, self.to);
            drop(ended);
        });
        Pump { end, reads }
    }
}

impl Pump {
    /// Waits until the stream has ended, or is silent although the child is gone.
    fn finish(self) {
        let mut before = self.reads.0.load(Ordering::Relaxed);
        while self.end.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
            let now = self.reads.0.load(Ordering::Relaxed);
            if now == before && now % 2 == 1 {
                return;
            }
            before = now;
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        #[cfg(unix)]
        if let Some(number) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return Exit::Signal(number);
        }
        // Windows has larger codes, of which a Unix-like status keeps that it failed.
        let code = status.code().unwrap_or(1);
        Exit::Code(u8::try_from(code).unwrap_or(1))
    }
}
