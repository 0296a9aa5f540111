//! Whatever needs a person is handed an [`Interact`]. The terminal's implementation is in `ui`; where
//! stdin and stdout carry a protocol, the one handed in cannot prompt.

use crate::secret::Secret;

/// A conversation with whoever started authctl. Lines given to it are complete sentences or hints,
/// already cleaned of foreign control characters (`text`).
pub trait Interact: Send + Sync {
    /// Talk that `--quiet` silences: progress, what was done.
    fn notice(&self, line: &str);

    /// Something the person should know although the command goes on.
    fn warn(&self, line: &str);

    /// Something without which the person cannot go on, such as a URL or a user code; never silenced.
    fn show(&self, line: &str);

    /// Whether a question can be asked at all (a terminal, and no `--no-input`).
    fn can_ask(&self) -> bool;

    /// Whether a person sees what is said and can press Ctrl-C. Where not, `open_url` says itself who shows the page.
    fn is_attended(&self) -> bool {
        true
    }

    /// Columns of the terminal that `show` writes to, if it is one.
    fn columns(&self) -> Option<usize>;

    /// Asks for a secret, without echo.
    fn ask_secret(&self, prompt: &str) -> Result<Secret, Unanswered>;

    /// Asks for one line of text.
    fn ask_line(&self, prompt: &str) -> Result<String, Unanswered>;

    /// Asks for one line, without echo, while the caller goes on with something else.
    fn ask_meanwhile(&self, _prompt: &str) -> Result<Box<dyn Typing>, Unanswered> {
        Err(Unanswered::NoTerminal)
    }

    /// Asks yes or no; Enter means `default`.
    fn confirm(&self, prompt: &str, default: bool) -> Result<bool, Unanswered>;

    /// Asks for any number of `options`; the answer has their positions, in order.
    fn choose(&self, prompt: &str, options: &[String]) -> Result<Vec<usize>, Unanswered>;

    /// Opens an http(s) URL in the person's browser; `false` where no browser could be started. The URL
    /// has been parsed and serialised by the caller, which shows it in any case.
    fn open_url(&self, url: &url::Url) -> bool;

    /// The page of a device code, beside the lines that are shown: for whoever shows it in a way of their own.
    fn bring_code(&self, _page: &url::Url, _code: &str) {}

    /// Prints a URL as data, where a person or a script chose that instead of a browser.
    fn print_url(&self, _url: &url::Url) {}
}

/// A question that waits for its answer without anybody waiting for it. Dropped, it is taken back: the
/// terminal is as before, and what was typed halfway is forgotten.
pub trait Typing {
    /// The next line that was typed to its end, `None` until then. Afterwards the question is asked again.
    fn line(&mut self) -> Result<Option<Secret>, Unanswered>;
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error("there is no terminal to ask at")]
    NoTerminal,
    #[error("interrupted")]
    Interrupted,
    #[error("cannot read the answer")]
    Io(#[source] std::io::Error),
}
