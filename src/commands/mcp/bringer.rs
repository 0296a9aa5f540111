//! The person as a session knows them: nobody can be asked at a terminal, and the address of a sign-in goes to
//! the session, which has its own ways to show it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use url::Url;

use crate::forward::{Address, Bring};
use crate::interact::{Interact, Unanswered};
use crate::secret::Secret;
use crate::ui::Ui;

/// Brings a person to one sign-in.
pub struct Bringer {
    ui: Arc<Ui>,
    bring: Bring,
    address: Mutex<Option<oneshot::Sender<Address>>>,
}

impl Bringer {
    pub fn new(ui: Arc<Ui>, bring: Bring, address: oneshot::Sender<Address>) -> Self {
        Self { ui, bring, address: Mutex::new(Some(address)) }
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
        let address = self.address.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(address) = address {
            let _ = address.send(Address { url: url.clone(), is_opened });
        }
        true
    }
}
