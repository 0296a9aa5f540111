//! A line typed while authctl goes on with something else. The terminal is taken out of its line mode,
//! which cuts a pasted address off at 4,095 bytes, and the echo is off: a code is a secret until it is
//! used. Reading never waits, so nothing has to be interrupted when the answer comes another way.

use std::io::{self, Write};

use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, tcflush, tcgetattr, tcgetpgrp,
    tcsetattr,
};
use zeroize::Zeroizing;

use super::terminal;
use crate::interact::{Typing, Unanswered};
use crate::secret::{MAX_TOKEN, Secret};

/// Longest line: an address around the longest code. The buffer never grows, which would leave copies.
const LONGEST: usize = MAX_TOKEN + 4096;

const ERASE: [u8; 2] = [0x7f, 0x08];
const KILL_LINE: u8 = 0x15;
/// What some terminals put around pasted text.
const PASTE_MARKS: [&str; 2] = ["\x1b[200~", "\x1b[201~"];

pub struct Meanwhile {
    prompt: String,
    typed: Zeroizing<Vec<u8>>,
    /// The cursor stands behind the prompt.
    is_asking: bool,
    /// Restores the modes when it is dropped.
    _modes: terminal::Kept,
}

impl Meanwhile {
    /// Shows the prompt. A job in the background is not asked: the terminal is another's.
    pub fn begin(prompt: &str) -> Result<Self, Unanswered> {
        let stdin = io::stdin();
        if tcgetpgrp(&stdin).ok() != Some(rustix::process::getpgrp()) {
            return Err(Unanswered::NoTerminal);
        }
        let failed = |error: Errno| Unanswered::Io(error.into());
        let kept = terminal::keep();
        let mut modes = tcgetattr(&stdin).map_err(failed)?;
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read brings what is there, at once, also nothing.
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &modes).map_err(failed)?;
        let typed = Zeroizing::new(Vec::with_capacity(LONGEST));
        let mut asked = Self { prompt: prompt.to_owned(), typed, is_asking: false, _modes: kept };
        asked.ask();
        Ok(asked)
    }

    /// A failed write to stderr has nowhere to be reported.
    fn ask(&mut self) {
        let _ = write!(io::stderr(), "{}: ", self.prompt);
        self.is_asking = true;
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.is_asking) {
            let _ = writeln!(io::stderr());
        }
    }

    /// Takes one key; whether the line is complete.
    fn take(&mut self, key: u8) -> bool {
        match key {
            b'\n' | b'\r' => return true,
            KILL_LINE => self.typed.clear(),
            key if ERASE.contains(&key) => drop(self.typed.pop()),
            key if self.typed.len() < LONGEST => self.typed.push(key),
            _ => {}
        }
        false
    }

    fn complete(&mut self) -> Secret {
        self.end_line();
        let text = Zeroizing::new(String::from_utf8_lossy(&self.typed).into_owned());
        let line =
            PASTE_MARKS.iter().fold(text, |text, mark| Zeroizing::new(text.replace(mark, "")));
        self.typed.clear();
        Secret::new(line.as_str())
    }
}

impl Typing for Meanwhile {
    fn line(&mut self) -> Result<Option<Secret>, Unanswered> {
        if !self.is_asking {
            self.ask();
        }
        // One at a time: what comes after the line belongs to the next question.
        let mut key = [0];
        loop {
            match rustix::io::read(io::stdin(), &mut key) {
                Ok(0) | Err(Errno::INTR | Errno::AGAIN) => return Ok(None),
                Ok(_) if self.take(key[0]) => return Ok(Some(self.complete())),
                Ok(_) => {}
                Err(error) => return Err(Unanswered::Io(error.into())),
            }
        }
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        self.end_line();
        // Half an address would be the shell's next command.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    }
}
