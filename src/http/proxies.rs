//! The proxies that the environment, or else the system, names, and what is reached without them.

use std::sync::OnceLock;

use hyper::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// Looked up when first asked for.
#[derive(Default)]
pub(super) struct Proxies(OnceLock<Option<Matcher>>);

impl Proxies {
    /// The one that requests to `uri` go through.
    pub(super) fn to(&self, uri: &Uri) -> Option<Intercept> {
        let proxies = self.0.get_or_init(|| (!is_all_direct()).then(Matcher::from_system));
        proxies.as_ref()?.intercept(uri)
    }
}

/// `*` in `NO_PROXY` is for addresses too, which [`Matcher`] does not take it for.
fn is_all_direct() -> bool {
    let direct = std::env::var("NO_PROXY").ok().filter(|list| !list.is_empty());
    let direct = direct.or_else(|| std::env::var("no_proxy").ok()).unwrap_or_default();
    direct.split(',').any(|entry| entry.trim() == "*")
}
