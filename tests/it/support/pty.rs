//! A terminal with a program in it, for what behaves differently at one: prompts, job control, masking.

use std::process::{Command, Stdio};

use rexpect::process::WaitStatus;
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use rustix::termios::Winsize;

use super::PATIENCE;

/// Runs a program at a terminal of its own; everything that it wrote there, byte for byte.
pub fn shown_at_a_terminal(command: Command) -> Vec<u8> {
    use std::io::Read;
    let process = rexpect::process::PtyProcess::new(command).unwrap();
    let mut terminal = process.get_file_handle().unwrap();
    let (mut shown, mut chunk) = (Vec::new(), [0; 4096]);
    // Linux says EIO when the last program has left the terminal.
    while let Ok(read @ 1..) = terminal.read(&mut chunk) {
        shown.extend_from_slice(&chunk[..read]);
    }
    shown
}

/// The program leads a session of its own, with the terminal as its controlling one.
pub struct Terminal {
    session: PtySession,
}

impl Terminal {
    /// What it shows is handed back without escape sequences.
    pub fn start(command: Command) -> Self {
        Self::begin(command, true)
    }

    /// What it shows is handed back as it is.
    pub fn with_escapes(command: Command) -> Self {
        Self::begin(command, false)
    }

    fn begin(mut command: Command, strips: bool) -> Self {
        command.stdin(Stdio::inherit());
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        let options = Options::new().timeout_ms(Some(patience)).strip_ansi_escape_codes(strips);
        let mut session = spawn_with_options(command, options).unwrap();
        // A shell does not end by TERM; it is not waited for when a test is over.
        session.process_mut().set_kill_timeout(Some(100));
        Self { session }
    }

    /// Waits for `text`; hands back what came before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        utf8(&self.session.exp_string(text).unwrap_or_else(|error| panic!("{text:?}: {error}")))
    }

    pub fn send_line(&mut self, line: &str) {
        self.session.send_line(line).unwrap();
    }

    /// Types `keys` as they are, without a line end.
    pub fn send(&mut self, keys: &str) {
        self.session.send(keys).unwrap();
        self.session.flush().unwrap();
    }

    /// Whether what is typed now would not be seen.
    pub fn echo_is_off(&self) -> bool {
        let terminal = self.session.process().get_file_handle().unwrap();
        let modes = rustix::termios::tcgetattr(terminal).unwrap();
        !modes.local_modes.contains(rustix::termios::LocalModes::ECHO)
    }

    /// Types a control key: `'c'` for ^C.
    pub fn control(&mut self, key: char) {
        self.session.send_control(key).unwrap();
        self.session.flush().unwrap();
    }

    /// Pulls at the corner of the window.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = self.session.process().get_file_handle().unwrap();
        rustix::termios::tcsetwinsize(terminal, size).unwrap();
    }

    /// Waits for the end; hands back what came until then.
    pub fn rest(&mut self) -> String {
        utf8(&self.session.exp_eof().unwrap())
    }

    /// The signal that ended it; `None` if it ended by itself.
    pub fn signal(self) -> Option<i32> {
        match self.session.process().wait().unwrap() {
            WaitStatus::Signaled(_, signal, _) => Some(signal as i32),
            _ => None,
        }
    }

    /// The exit status as a shell shows it: 128 and the number for a signal.
    pub fn status(self) -> i32 {
        match self.session.process().wait().unwrap() {
            WaitStatus::Exited(_, code) => code,
            WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
            other => panic!("{other:?}"),
        }
    }
}

/// The session hands back bytes as characters of the same number.
fn utf8(bytes: &str) -> String {
    let bytes = bytes.chars().map(u8::try_from).collect::<Result<Vec<u8>, _>>().unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
