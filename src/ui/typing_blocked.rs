//! A line typed while authctl goes on with something else, on systems whose terminal cannot be asked
//! without waiting: a thread waits instead, to the end of the process at most.

use std::io::{self, BufRead, Write};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use crate::interact::{Typing, Unanswered};
use crate::secret::Secret;

pub struct Meanwhile {
    prompt: String,
    lines: Receiver<io::Result<Secret>>,
    is_asking: bool,
}

impl Meanwhile {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub fn begin(prompt: &str) -> Result<Self, Unanswered> {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                if sender.send(line.map(Secret::new)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { prompt: prompt.to_owned(), lines, is_asking: false })
    }
}

impl Typing for Meanwhile {
    fn line(&mut self) -> Result<Option<Secret>, Unanswered> {
        if !self.is_asking {
            let _ = write!(io::stderr(), "{}: ", self.prompt);
            self.is_asking = true;
        }
        match self.lines.try_recv() {
            Ok(line) => {
                self.is_asking = false;
                line.map(Some).map_err(Unanswered::Io)
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Unanswered::NoTerminal),
        }
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        if self.is_asking {
            let _ = writeln!(io::stderr());
        }
    }
}
