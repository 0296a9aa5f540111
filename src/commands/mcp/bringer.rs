//! The person as a session knows them: nobody can be asked at a terminal, and the address of a sign-in goes to
//! the session, which has its own ways to show it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use url::Url;

use crate::forward::{Address, Bring};
use crate::interact::{Interact, Unanswered};
use crate::secret::Secret;
use crate::text::clean;
use crate::ui::Ui;

/// Brings a person to one sign-in.
pub struct Bringer {
    ui: Arc<Ui>,
    bring: Bring,
    /// A session that shows codes as well.
    shows_codes: bool,
    is_elsewhere: bool,
    address: Mutex<Option<oneshot::Sender<Address>>>,
}

impl Bringer {
    pub fn new(ui: Arc<Ui>, bring: Bring, address: oneshot::Sender<Address>) -> Self {
        let address = Mutex::new(Some(address));
        Self { ui, bring, shows_codes: false, is_elsewhere: false, address }
    }

    /// For one whose session shows codes as well; `is_elsewhere`: perhaps on another machine.
    pub fn with_codes(self, is_elsewhere: bool) -> Self {
        Self { shows_codes: true, is_elsewhere, ..self }
    }

    fn send(&self, url: &Url, is_opened: bool, code: Option<&str>) {
        let address = self.address.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(address) = address {
            let (url, code) = (url.clone(), code.map(clean));
            let is_elsewhere = self.is_elsewhere;
            let _ = address.send(Address { url, is_opened, code, is_elsewhere });
        }
    }
}

impl Interact for Bringer {
    fn notice(&self, line: &str) {
        self.ui.notice(line);
    }

    fn warn(&self, line: &str) {
        self.ui.warn(line);
    }

    fn show(&self, line: &str) {
        self.ui.show(line);
    }

    fn can_ask(&self) -> bool {
        false
    }

    fn is_attended(&self) -> bool {
        false
    }

    fn columns(&self) -> Option<usize> {
        None
    }

    fn ask_secret(&self, _prompt: &str) -> Result<Secret, Unanswered> {
        Err(Unanswered::NoTerminal)
    }

    fn ask_line(&self, _prompt: &str) -> Result<String, Unanswered> {
        Err(Unanswered::NoTerminal)
    }

    fn confirm(&self, _prompt: &str, _default: bool) -> Result<bool, Unanswered> {
        Err(Unanswered::NoTerminal)
    }

    fn choose(&self, _prompt: &str, _options: &[String]) -> Result<Vec<usize>, Unanswered> {
        Err(Unanswered::NoTerminal)
    }

    /// The session has the address in any case, so that somebody comes to it.
    fn open_url(&self, url: &Url) -> bool {
        let is_opened = self.bring == Bring::Browser && self.ui.open_url(url);
        self.ui.notice(if is_opened {
            "Your browser has been asked to open it."
        } else {
            "Nobody has been asked to open it yet; the client can show it."
        });
        self.send(url, is_opened, None);
        true
    }

    fn bring_code(&self, page: &Url, code: &str) {
        if self.shows_codes && matches!(page.scheme(), "http" | "https") {
            self.send(page, false, Some(code));
        }
    }
}
