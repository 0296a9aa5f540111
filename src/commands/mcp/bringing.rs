//! A conversation without a terminal: the address of a sign-in goes to the session, which brings it to the
//! person; everything else that is said goes to stderr.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use url::Url;

use crate::forward::{Address, Bring};
use crate::headless::{Browser, Headless, Surroundings};
use crate::interact::{Interact, Unanswered};
use crate::secret::Secret;
use crate::ui::Ui;

pub struct Bringing<'a> {
    ui: &'a Ui,
    opens: bool,
    address: Mutex<Option<oneshot::Sender<Address>>>,
}

impl<'a> Bringing<'a> {
    pub fn new(
        ui: &'a Ui,
        bring: Bring,
        surroundings: Surroundings,
        address: oneshot::Sender<Address>,
    ) -> Self {
        let opens = bring == Bring::Browser && shows_browser(surroundings);
        Self { ui, opens, address: Mutex::new(Some(address)) }
    }
}

/// Clients start bridges without a terminal, on machines that people sit at all the same.
fn shows_browser(surroundings: Surroundings) -> bool {
    surroundings.browser != Browser::Printed
        && matches!(surroundings.without_browser(), None | Some(Headless::NoTerminal))
}

impl Interact for Bringing<'_> {
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

    fn open_url(&self, url: &Url) -> bool {
        let is_opened = self.opens && self.ui.open_url(url);
        let sender = self.address.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // A session that has ended needs no address.
            let _ = sender.send(Address { url: url.clone(), is_opened });
        }
        true
    }
}
