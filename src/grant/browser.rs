//! Sends a person to a page, in words and by their browser.

use url::Url;

use crate::http;
use crate::interact::Interact;

/// Shows the address always; the browser is asked to open it only if `open_browser` says so. `place` is
/// the kind of browser that will do.
pub(super) fn send_to(interact: &dyn Interact, url: &Url, place: &str, open_browser: bool) {
    let host = http::host_of(url);
    interact.show(&format!("To sign in at {host}, open this address in {place}:"));
    interact.show("");
    interact.show(&format!("    {url}"));
    interact.show("");
    let may_open = open_browser && matches!(url.scheme(), "http" | "https");
    let said = match (may_open, may_open && interact.open_url(url)) {
        (_, true) => "Your browser has been asked to open it. ",
        (true, false) => "No browser could be started here. ",
        (false, false) => "",
    };
    interact.notice(&format!("{said}Waiting for you; Ctrl-C gives up."));
}
