//! Links out of server text: untrusted. Only a web address of the kind that may be opened at all becomes
//! one, and whether it may be opened without asking shows in its origin.

use std::fmt;

use url::Url;

use super::session::hash;
use crate::http::{self, parse_url};
use crate::text::clean;

/// Longest link that is shown, in bytes. It has to be shown in full.
const LONGEST: usize = 8 * 1024;

/// Most links of one answer.
const MOST: usize = 8;

/// A link that a server wants a person to open: https, or http to this machine, without user name and
/// password. `Display` shows it in full, for the person; `Debug` and [`Link::redacted`] are for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    url: Url,
    is_own: bool,
}

/// Why a link is not used. Names neither its query nor a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    #[error("a link of the server should not be opened: {0}")]
    Unfit(#[from] http::Error),
    #[error("a link of the server should not be opened: it is longer than {LONGEST} bytes")]
    TooLong,
}

/// One thing for a person to do in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub link: Link,
    /// What the server says about it, cleaned; may be empty.
    pub message: String,
    /// `elicitationId` (MCP 2025-11-25) as received: to know its completion by, not to show.
    pub elicitation_id: Option<String>,
}

/// What a server asks people to open, each link once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invitations {
    pub links: Vec<Invitation>,
    /// What was no usable link.
    pub dropped: Vec<BadLink>,
}

impl Link {
    /// Takes a link that `server` sent.
    pub fn parse(text: &str, server: &Url) -> Result<Self, BadLink> {
        if text.len() > LONGEST {
            return Err(BadLink::TooLong);
        }
        let url = parse_url(text)?;
        let is_own = url.origin() == server.origin();
        Ok(Self { url, is_own })
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Scheme, host and port, for the person to judge by.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The address as a browser is handed it: visible ASCII, one argument.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Whether its origin is that of the server itself. Any other link is opened only once a person has
    /// seen it and said yes.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// For logs: without fragment, and with hashes in place of the query's values.
    pub fn redacted(&self) -> String {
        let mut shown = self.url.clone();
        shown.set_fragment(None);
        shown.set_query(None);
        let pairs = self.url.query_pairs().map(|(name, value)| format!("{name}={}", hash(&value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        clean(&format!("{shown}{mark}{query}"))
    }

    /// Whether it leads to a session's authorization: the session stands in its query.
    pub(super) fn names_session(&self) -> bool {
        self.url.query_pairs().any(|(name, _)| name == "mcp_session")
    }

    /// Whether its path is one of an authorization endpoint.
    pub(super) fn is_authorize_path(&self) -> bool {
        let mut segments = self.url.path().split('/').rev().filter(|segment| !segment.is_empty());
        segments.next().is_some_and(|last| matches!(last, "authorize" | "authorise"))
    }

    /// Whether it is an address to read (RFC 8615) rather than to visit, or lacks the query that every
    /// authorization request has (RFC 6749 §4.1.1).
    pub(super) fn is_bare(&self) -> bool {
        self.url.query().is_none() || self.url.path().contains("/.well-known/")
    }
}

impl fmt::Display for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Link").field(&self.redacted()).field(&self.is_own).finish()
    }
}

impl Invitations {
    /// Adds a link, or the reason why it is none.
    pub(super) fn add(&mut self, link: Result<Link, BadLink>, message: String) {
        self.invite(link, message, None);
    }

    pub(super) fn invite(
        &mut self,
        link: Result<Link, BadLink>,
        message: String,
        elicitation_id: Option<String>,
    ) {
        if self.links.len() + self.dropped.len() == MOST {
            return;
        }
        match link {
            Ok(link) if self.knows(&link, elicitation_id.as_deref()) => {}
            Ok(link) => self.links.push(Invitation { link, message, elicitation_id }),
            Err(reason) => self.dropped.push(reason),
        }
    }

    /// Adds those of `others`.
    pub(super) fn extend(&mut self, others: &Self) {
        for other in &others.links {
            let id = other.elicitation_id.clone();
            self.invite(Ok(other.link.clone()), other.message.clone(), id);
        }
        self.dropped.extend_from_slice(&others.dropped);
    }

    fn knows(&self, link: &Link, elicitation_id: Option<&str>) -> bool {
        let mut known = self.links.iter();
        known.any(|it| it.link == *link && it.elicitation_id.as_deref() == elicitation_id)
    }

    /// Whether there is nothing to follow.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{SERVER, server};
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        for text in [
            "http://plain.example/",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vscode://x",
            "//example.com/",
            "/authorize",
            "https://a b.example/",
            "https://example.com/\u{1b}[31m",
            "",
        ] {
            let refusal = Link::parse(text, &server()).unwrap_err();
            let shown = format!("{refusal} {refusal:?}");
            assert!(!shown.contains("secret") && !shown.contains('\u{1b}'), "{shown}");
        }
        let long = format!("https://example.com/?{}", "x".repeat(9000));
        assert_eq!(Link::parse(&long, &server()), Err(BadLink::TooLong));
    }

    #[test]
    fn a_link_is_the_servers_own_by_its_whole_origin() {
        let is_own = |text: &str, server: &str| {
            Link::parse(text, &Url::parse(server).unwrap()).unwrap().is_own()
        };
        assert!(is_own("https://a.example/x?y", "https://A.example:443/mcp"));
        assert!(is_own("http://127.0.0.1:9191/", SERVER));
        for text in [
            "https://b.example/",
            "https://a.example:8443/",
            "https://a.example.evil.example/",
            "https://sub.a.example/",
            "https://xn--a-0fa.example/",
        ] {
            assert!(!is_own(text, "https://a.example/mcp"), "{text}");
        }
        assert!(!is_own("http://127.0.0.1:9192/", SERVER));
        assert!(!is_own("http://localhost:9191/", SERVER));
        assert!(!is_own("https://127.0.0.1:9191/", SERVER));
    }

    #[test]
    fn a_session_is_shown_to_the_person_and_not_in_logs() {
        let text =
            "http://127.0.0.1:9191/oauth/authorize?mcp_session=498d4287&state=hunter2#hunter2";
        let link = Link::parse(text, &server()).unwrap();
        assert_eq!(link.to_string(), text);
        for logged in [link.redacted(), format!("{link:?}")] {
            assert!(!logged.contains("498d4287") && !logged.contains("hunter2"), "{logged}");
            assert!(
                logged.contains("http://127.0.0.1:9191/oauth/authorize?mcp_session=#"),
                "{logged}"
            );
        }
    }
}
