//! Sends a person to a page, in words and by their browser.

use url::Url;

use crate::http;
use crate::interact::Interact;

/// Where a person's browser may be.
pub const ANYWHERE: &str = "any browser";
pub const HERE: &str = "a browser on this computer";

/// What becomes of an address that is shown in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Browser,
    /// Written to standard output alone, for whoever asked for that.
    Printed,
    Nothing,
}

/// Shows the address always. `place` is the kind of browser that will do.
pub(super) fn send_to(interact: &dyn Interact, url: &Url, place: &str, opening: Opening) {
    show_address(interact, url, place);
    if opening == Opening::Printed {
        interact.print_url(url);
    }
    let (_, said) = open(interact, url, opening == Opening::Browser);
    wait_for_person(interact, &format!("{said}Waiting for you; Ctrl-C gives up."));
}

/// Says what is waited for, to whom it may concern.
pub(super) fn wait_for_person(interact: &dyn Interact, line: &str) {
    if interact.is_attended() {
        interact.notice(line);
    }
}

/// Shows where to sign in.
pub fn show_address(interact: &dyn Interact, url: &Url, place: &str) {
    let host = http::host_of(url);
    interact.show(&format!("To sign in at {host}, open this address in {place}:"));
    interact.show("");
    interact.show(&format!("    {url}"));
    interact.show("");
}

/// Asks the browser, if it is wanted; whether one was started, and what to say of it.
pub(super) fn open(interact: &dyn Interact, url: &Url, is_wanted: bool) -> (bool, &'static str) {
    let is_wanted = is_wanted && matches!(url.scheme(), "http" | "https");
    match (is_wanted, is_wanted && interact.open_url(url)) {
        (_, true) => (true, "Your browser has been asked to open it. "),
        (true, false) => (false, "No browser could be started here. "),
        (false, false) => (false, ""),
    }
}
