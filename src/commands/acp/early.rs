//! A start that fails before there is an agent. Editors show what their agent answers, and seldom what stands on
//! stderr: so the first request gets the reason.

use std::io::{BufRead, Read, Write, stdin, stdout};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::desk;
use crate::error::CommandError;
use crate::jsonrpc::{INTERNAL_ERROR, Id, Message};
use crate::signals;

/// An editor speaks at once; whoever does not is none.
const WAIT: Duration = Duration::from_secs(10);
/// Longest request that is looked at, in bytes.
const LONGEST: u64 = 1 << 20;

/// Answers the editor's first request with what went wrong.
pub fn tell(error: &CommandError) {
    let (send, first) = mpsc::channel();
    thread::spawn(move || {
        signals::leave_to_main_thread();
        // Whoever waits may have given up.
        let _ = send.send(first_request());
    });
    if let Ok(Some(id)) = first.recv_timeout(WAIT) {
        let why = desk::trouble(error).0;
        let answer = Message::error(Some(&id), INTERNAL_ERROR, &why, None);
        // An editor that has gone needs no answer, and the same stands on stderr.
        let _ = writeln!(stdout(), "{}", answer.text());
    }
}

fn first_request() -> Option<Id> {
    let mut line = String::new();
    stdin().lock().take(LONGEST).read_line(&mut line).ok()?;
    let message = Message::read(line).ok()?;
    message.method().and(message.id()).cloned()
}
