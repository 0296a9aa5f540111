//! The terminal contract: stdout is data, stderr is talk. `--quiet` silences notices but neither
//! warnings nor what a person needs to go on; `--json` makes data and errors machine-readable; a prompt
//! goes to the terminal and is never shown without one.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use anstyle::{AnsiColor, Style};

use crate::error::CommandError;
use crate::interact::{Interact, Typing, Unanswered};
use crate::secret::Secret;
use crate::signals;

/// How this run talks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    pub json: bool,
    pub quiet: bool,
    /// Never prompt, also at a terminal.
    pub no_input: bool,
}

/// The one way to write to stdout and stderr.
pub struct Ui {
    manner: Manner,
    /// Lines of several threads (the listener, the keychain) must not interleave.
    talking: Mutex<()>,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
/// For the mark of something that works.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// For the mark of something that does not.
pub const BAD: Style = AnsiColor::Red.on_default();
/// For text of less weight.
pub const FAINT: Style = Style::new().dimmed();

impl Ui {
    pub fn new(manner: Manner) -> Self {
        Self { manner, talking: Mutex::new(()) }
    }

    pub fn is_json(&self) -> bool {
        self.manner.json
    }

    /// Writes data to stdout, styles removed where stdout is no terminal.
    #[expect(clippy::unused_self, reason = "whoever writes has been handed the terminal")]
    pub fn data(&self, text: &str) -> io::Result<()> {
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Writes a secret and a line end to stdout, and nothing else.
    #[expect(clippy::unused_self, reason = "whoever writes has been handed the terminal")]
    pub fn secret(&self, secret: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(secret.as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()
    }

    /// Writes one JSON document to stdout.
    pub fn json(&self, value: &serde_json::Value) -> io::Result<()> {
        self.data(&format!("{value:#}\n"))
    }

    /// Writes an error and its hints to stderr, as JSON under `--json`.
    pub fn error(&self, error: &CommandError) {
        if self.manner.json {
            self.talk(&error.to_json().to_string());
            return;
        }
        self.talk(&format!("{ERROR}error:{ERROR:#} {}", error.message()));
        for hint in error.hints() {
            self.hint(hint);
        }
    }

    /// A command that mends something.
    pub fn hint(&self, hint: &str) {
        self.talk(&format!("{HINT}hint:{HINT:#} {hint}"));
    }

    /// A failed write to stderr has nowhere to be reported.
    fn talk(&self, line: &str) {
        let _lines_stay_whole = self.talking.lock();
        let _ = writeln!(anstream::stderr(), "{line}");
    }

    fn require_terminal(&self) -> Result<(), Unanswered> {
        if self.can_ask() { Ok(()) } else { Err(Unanswered::NoTerminal) }
    }
}

impl Interact for Ui {
    fn notice(&self, line: &str) {
        if !self.manner.quiet && !self.manner.json {
            self.talk(line);
        }
    }

    fn warn(&self, line: &str) {
        self.talk(&format!("{WARNING}warning:{WARNING:#} {line}"));
    }

    fn show(&self, line: &str) {
        self.talk(line);
    }

    fn can_ask(&self) -> bool {
        !self.manner.no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn columns(&self) -> Option<usize> {
        dialoguer::console::Term::stderr().size_checked().map(|(_, columns)| usize::from(columns))
    }

    fn ask_secret(&self, prompt: &str) -> Result<Secret, Unanswered> {
        self.require_terminal()?;
        let _echo = terminal::keep();
        let theme = dialoguer::theme::SimpleTheme;
        let typed = dialoguer::Password::with_theme(&theme)
            .with_prompt(prompt)
            .allow_empty_password(true)
            .interact_on(&dialoguer::console::Term::stderr());
        typed.map(Secret::new).map_err(unanswered)
    }

    fn ask_line(&self, prompt: &str) -> Result<String, Unanswered> {
        self.require_terminal()?;
        let _modes = terminal::keep();
        dialoguer::Input::new()
            .with_prompt(prompt)
            .allow_empty(true)
            .interact_text_on(&dialoguer::console::Term::stderr())
            .map_err(unanswered)
    }

    fn ask_meanwhile(&self, prompt: &str) -> Result<Box<dyn Typing>, Unanswered> {
        self.require_terminal()?;
        Ok(Box::new(typing::Meanwhile::begin(prompt)?))
    }

    fn confirm(&self, prompt: &str, default: bool) -> Result<bool, Unanswered> {
        self.require_terminal()?;
        let _modes = terminal::keep();
        dialoguer::Confirm::new()
            .with_prompt(prompt)
            .default(default)
            // Else the Enter of those who type it goes to whatever asks or runs next.
            .wait_for_newline(true)
            .interact_on(&dialoguer::console::Term::stderr())
            .map_err(unanswered)
    }

    fn choose(&self, prompt: &str, options: &[String]) -> Result<Vec<usize>, Unanswered> {
        self.require_terminal()?;
        let _modes = terminal::keep();
        dialoguer::MultiSelect::new()
            .with_prompt(prompt)
            .items(options)
            .interact_on(&dialoguer::console::Term::stderr())
            .map_err(unanswered)
    }

    fn open_url(&self, url: &url::Url) -> bool {
        if !matches!(url.scheme(), "http" | "https") || !webbrowser::Browser::is_available() {
            return false;
        }
        let url = url.to_string();
        // A text browser or a script in BROWSER runs until the login is over.
        std::thread::spawn(move || {
            signals::leave_to_main_thread();
            webbrowser::open(&url)
        });
        true
    }

    /// Under `--json`, stdout is one document; the URL has been shown.
    fn print_url(&self, url: &url::Url) {
        if !self.manner.json {
            let _ = self.data(&format!("{url}\n"));
        }
    }
}

fn unanswered(error: dialoguer::Error) -> Unanswered {
    // A list hides the cursor, and Ctrl-C ends this process before the list could show it again.
    let _ = dialoguer::console::Term::stderr().show_cursor();
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        io::ErrorKind::Interrupted => Unanswered::Interrupted,
        io::ErrorKind::NotConnected => Unanswered::NoTerminal,
        _ => Unanswered::Io(error),
    }
}

#[cfg(unix)]
mod typing;
#[cfg(not(unix))]
#[path = "typing_blocked.rs"]
mod typing;

/// Keeps a terminal usable when a signal ends a prompt: dialoguer switches the echo off and would
/// leave it off, and hides the cursor in its pickers.
#[cfg(unix)]
mod terminal {
    use std::io::Write;
    use std::os::unix::thread::JoinHandleExt;
    use std::thread::JoinHandle;

    use nix::sys::pthread::pthread_kill;
    use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    /// Tells the watcher that the prompt is over; by itself it does nothing to a process.
    const OVER: Signal = Signal::SIGURG;
    const SHOW_CURSOR: &str = "\x1b[?25h";

    /// While it lives, signals that would end or stop the process restore the terminal's modes first.
    pub struct Kept {
        mask: Option<SigSet>,
        watcher: Option<JoinHandle<()>>,
    }

    pub fn keep() -> Kept {
        let Ok(modes) = tcgetattr(std::io::stdin()) else {
            return Kept { mask: None, watcher: None };
        };
        let ending: SigSet = [
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGQUIT,
            Signal::SIGTSTP,
            OVER,
        ]
        .into_iter()
        .collect();
        // Blocked here, and so in the watcher, which takes them one by one.
        let mask = ending.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok();
        let watcher = std::thread::spawn(move || watch(ending, &modes));
        Kept { mask, watcher: Some(watcher) }
    }

    fn watch(ending: SigSet, modes: &Termios) {
        while let Ok(signal) = ending.wait() {
            let prompting = tcgetattr(std::io::stdin());
            restore(modes);
            if signal == OVER {
                return;
            }
            let _ = writeln!(std::io::stderr(), "{SHOW_CURSOR}");
            let alone = SigSet::from_iter([signal]);
            let _ = alone.thread_unblock();
            let _ = raise(signal);
            // Only a stop comes back. The shell has set its own modes, echo among them, and the
            // prompt still waits for a secret.
            let _ = alone.thread_block();
            if let Ok(prompting) = prompting {
                restore(&prompting);
            }
        }
    }

    fn restore(modes: &Termios) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, modes);
    }

    impl Drop for Kept {
        fn drop(&mut self) {
            if let Some(watcher) = self.watcher.take() {
                let _ = pthread_kill(watcher.as_pthread_t(), OVER);
                let _ = watcher.join();
            }
            if let Some(mask) = self.mask.take() {
                let _ = mask.thread_set_mask();
            }
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    pub struct Kept;

    pub fn keep() -> Kept {
        Kept
    }
}
