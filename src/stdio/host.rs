//! The host on stdin and stdout: one message a line. Reading and writing block, so each has a thread; a host
//! that does not read stops neither other requests nor the end of the process.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::edges::{EDGE, Edges};
use super::{LONGEST, backlog, unreadable};
use crate::jsonrpc::{self, Message};
use crate::signals;

/// Lines that wait for a slow reader on the other side of the queue; and of long ones, bytes.
const QUEUE: usize = 64;
const QUEUE_BYTES: usize = 1 << 20;
/// From so many bytes on, a line is long.
const LONG: usize = QUEUE_BYTES / QUEUE;

/// What stdin had to say.
pub enum Line {
    Message(Message),
    /// No message; the error that answers it.
    Bad(Message),
}

impl Line {
    /// Its part of [`QUEUE_BYTES`]; `None` if it is short.
    fn weight(&self) -> Option<u32> {
        let (Self::Message(message) | Self::Bad(message)) = self;
        let length = message.text().len();
        (length >= LONG).then(|| u32::try_from(length.min(QUEUE_BYTES)).unwrap_or(u32::MAX))
    }
}

/// Short messages that wait for one another, in bytes.
const TOGETHER: usize = 64 << 10;
/// What is written of a long one at a time.
const PIECE: usize = 256 << 10;
/// How long a host that has ended may take to read on.
const LAST_READ: Duration = Duration::from_millis(500);

/// Messages to stdout.
pub struct Stdout {
    lines: mpsc::UnboundedSender<String>,
    failure: Arc<Mutex<Option<io::Error>>>,
    /// Whether the host has closed its end, though nothing is written.
    gone: watch::Receiver<bool>,
}

impl Stdout {
    /// Queues a message; never waits.
    pub fn send(&self, message: Message) {
        // Its end is written beside it: put behind a long text, it would have that copied.
        let line = message.into_text();
        backlog::grow(line.len() + 1);
        // The thread ends only with the pipe, and then nobody reads any more.
        let _ = self.lines.send(line);
    }

    /// Comes back when the host has closed its end.
    pub async fn closed(&self) {
        let mut gone = self.gone.clone();
        tokio::select! {
            () = self.lines.closed() => {}
            Ok(_) = gone.wait_for(|gone| *gone) => {}
        }
    }

    /// Why nothing more could be written, unless the host has just closed its end.
    pub fn failure(&self) -> Option<io::Error> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Waits until all is written, while the host goes on reading.
    pub async fn drained(&self) {
        let drained = async {
            let mut left = backlog::bytes();
            while left > 0 && timeout(LAST_READ, backlog::until(|now| now < left)).await.is_ok() {
                left = backlog::bytes();
            }
        };
        tokio::select! {
            () = drained => {}
            () = self.closed() => {}
        }
    }
}

/// Starts the thread that writes.
pub fn stdout() -> io::Result<Stdout> {
    let mut out = BufWriter::with_capacity(TOGETHER, duplicate_stdout()?);
    let (lines, mut queue) = mpsc::unbounded_channel::<String>();
    let failure = Arc::default();
    let failed: Arc<Mutex<_>> = Arc::clone(&failure);
    thread::spawn(move || {
        signals::leave_to_main_thread();
        if let Err(error) = write_lines(&mut out, &mut queue) {
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    Ok(Stdout { lines, failure, gone: watch_end()? })
}

/// Starts the thread that waits for the other end of stdout to be closed: nobody writes to a host while its
/// server is stuck.
#[cfg(unix)]
fn watch_end() -> io::Result<watch::Receiver<bool>> {
    use rustix::event::{PollFd, PollFlags, poll};
    let out = duplicate_stdout()?;
    let (tell, gone) = watch::channel(false);
    thread::spawn(move || {
        signals::leave_to_main_thread();
        let mut end = [PollFd::new(&out, PollFlags::empty())];
        let closed = PollFlags::ERR | PollFlags::HUP;
        while poll(&mut end, None).is_ok_and(|_| !end[0].revents().intersects(closed)) {}
        if end[0].revents().intersects(closed) {
            tell.send_replace(true);
        }
    });
    Ok(gone)
}

#[cfg(not(unix))]
fn watch_end() -> io::Result<watch::Receiver<bool>> {
    Ok(watch::channel(false).1)
}

fn write_lines(
    out: &mut impl Write,
    queue: &mut mpsc::UnboundedReceiver<String>,
) -> io::Result<()> {
    let mut unflushed = 0;
    while let Some(line) = queue.blocking_recv() {
        let mut next = Some(line);
        while let Some(line) = next {
            write_line(out, &line, &mut unflushed)?;
            next = queue.try_recv().ok();
        }
        flush(out, &mut unflushed)?;
    }
    Ok(())
}

/// The stream itself: the standard library's handle would flush at every line, and be locked at the end.
fn duplicate_stdout() -> io::Result<File> {
    #[cfg(unix)]
    let own = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
    #[cfg(windows)]
    let own = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
    Ok(File::from(own))
}

fn write_line(out: &mut impl Write, line: &str, unflushed: &mut usize) -> io::Result<()> {
    for piece in line.as_bytes().chunks(PIECE).chain([&b"\n"[..]]) {
        out.write_all(piece)?;
        *unflushed += piece.len();
        if *unflushed >= TOGETHER {
            flush(out, unflushed)?;
        }
    }
    Ok(())
}

fn flush(out: &mut impl Write, unflushed: &mut usize) -> io::Result<()> {
    out.flush()?;
    backlog::shrink(std::mem::take(unflushed));
    Ok(())
}

/// What stdin says, line by line.
pub struct Stdin(mpsc::Receiver<(Line, Option<OwnedSemaphorePermit>)>);

impl Stdin {
    /// `None` at its end.
    pub async fn next(&mut self) -> Option<Line> {
        self.0.recv().await.map(|(line, _)| line)
    }
}

/// Starts the thread that reads stdin to its end.
pub fn stdin() -> Stdin {
    let (lines, queue) = mpsc::channel(QUEUE);
    let (bytes, runtime) = (Arc::new(Semaphore::new(QUEUE_BYTES)), Handle::current());
    // It is never closed.
    let room =
        move |line: &Line| runtime.block_on(bytes.clone().acquire_many_owned(line.weight()?)).ok();
    thread::spawn(move || {
        signals::leave_to_main_thread();
        let mut input = BufReader::with_capacity(64 << 10, io::stdin());
        while let Some(found) = read_line(&mut input) {
            for line in found {
                let room = room(&line);
                if lines.blocking_send((line, room)).is_err() {
                    return;
                }
            }
        }
    });
    Stdin(queue)
}

/// The next line that is not empty; `None` at the end.
fn read_line(input: &mut impl BufRead) -> Option<Vec<Line>> {
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        if input.by_ref().take(limit).read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        if line.len() >= LONGEST && line.last() != Some(&b'\n') {
            return Some(vec![too_long(&line, input)]);
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        return Some(read_messages(line));
    }
}

fn read_messages(mut line: Vec<u8>) -> Vec<Line> {
    line.truncate(line.trim_ascii_end().len());
    let Ok(text) = String::from_utf8(line) else {
        return vec![Line::Bad(unreadable(&jsonrpc::Error::NotJson, b""))];
    };
    let line = |read: Result<Message, (jsonrpc::Error, String)>| match read {
        Ok(message) => Line::Message(message),
        Err((error, text)) => Line::Bad(unreadable(&error, text.as_bytes())),
    };
    Message::read_each(&text).into_iter().map(line).collect()
}

/// Goes on to the end of a line, so that its id can be answered.
fn too_long(begun: &[u8], input: &mut impl BufRead) -> Line {
    let mut edges = Edges::new(begun);
    let limit = u64::try_from(EDGE).unwrap_or(u64::MAX);
    let mut piece = Vec::new();
    loop {
        piece.clear();
        let read = input.by_ref().take(limit).read_until(b'\n', &mut piece);
        edges.push(&piece);
        if read.is_err() || piece.is_empty() || piece.last() == Some(&b'\n') {
            break;
        }
    }
    let id = edges.sought().id_of_request();
    let what = format!("a message of more than {} MiB is not passed on", LONGEST >> 20);
    Line::Bad(Message::error(id.as_ref(), jsonrpc::INVALID_REQUEST, &what, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Result<String, String>> {
        let mut input = BufReader::new(input);
        let mut found = Vec::new();
        while let Some(lines) = read_line(&mut input) {
            found.extend(lines.into_iter().map(|line| match line {
                Line::Message(message) => Ok(message.into_text()),
                Line::Bad(answer) => Err(answer.into_text()),
            }));
        }
        found
    }

    #[test]
    fn one_message_a_line() {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let found = lines(format!("\n{ping}\r\n  \nnonsense\n{ping}").as_bytes());
        assert_eq!(found[0], Ok(ping.to_owned()));
        assert!(found[1].as_ref().unwrap_err().contains("-32700"), "{found:?}");
        assert_eq!(found[2], Ok(ping.to_owned()));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_line_that_is_too_long_is_answered_by_its_id() {
        let long = "x".repeat(LONGEST);
        let next = r#"{"jsonrpc":"2.0","method":"after"}"#;
        for text in [
            format!(r#"{{"jsonrpc":"2.0","id":"a7","method":"m","params":{{"x":"{long}"}}}}"#),
            format!(r#"{{"params":{{"x":"{long}"}},"jsonrpc":"2.0","method":"m","id":"a7"}}"#),
            format!(r#"{{"params":{{"x":"{long}"}},"id" : "a7","z":{{"id":1}}}} "#),
        ] {
            let found = lines(format!("{text}\n{next}\n").as_bytes());
            assert!(found[0].as_ref().unwrap_err().contains(r#""id":"a7""#));
            assert_eq!(found[1..], [Ok(next.to_owned())]);
        }
        let text = format!(r#"{{"params":{{"x":"{long}","id":"a7"}},"method":"m"}}"#);
        assert!(lines(text.as_bytes())[0].as_ref().unwrap_err().contains(r#""id":null"#));
    }
}
