//! Text that a server wrote for people or for a model. Links in it are taken where their form leaves no
//! doubt; words alone are a hint at most.

use url::Url;

use super::link::{BadLink, Invitations, Link};

/// What a markdown link to a sign-in is called.
const LABELS: [&str; 11] = [
    "auth",
    "authenticate",
    "authorise",
    "authorize",
    "connect",
    "log in",
    "login",
    "log-in",
    "sign in",
    "sign-in",
    "signin",
];

/// What a refusal for want of a sign-in usually says.
const PHRASES: [&str; 9] = [
    "auth_invalid",
    "auth_missing",
    "auth_required",
    "authentication required",
    "empty authorization",
    "not authenticated",
    "not authorized",
    "unauthenticated",
    "unauthorized",
];

/// Longest prose in which words count, in bytes: what quotes a document is longer.
const LONGEST_HINT: usize = 2 * 1024;

/// Most links of a text that are looked at.
const MOST: usize = 32;

/// A markdown link: `[label](target)`.
struct Written<'a> {
    label: &'a str,
    target: &'a str,
}

/// The links of an error's text that lead to a sign-in, by their label, their path or the session in them.
pub fn sign_in_links(text: &str, server: &Url) -> Invitations {
    let mut found = Invitations::default();
    for written in markdown_links(text) {
        let link = Link::parse(written.target, server);
        if is_sign_in(&written, &link) {
            found.add(link, String::new());
        }
    }
    for target in bare_links(text) {
        let link = Link::parse(target, server);
        if link.as_ref().is_ok_and(|link| link.is_own() && leads_to_sign_in(link)) {
            found.add(link, String::new());
        }
    }
    found
}

/// The links of a tool's result that lead to the sign-in of a session at the server itself. A result may
/// quote anybody, so nothing else counts.
pub fn session_links(text: &str, server: &Url) -> Invitations {
    let mut found = Invitations::default();
    for written in markdown_links(text) {
        let link = Link::parse(written.target, server);
        if link.as_ref().is_ok_and(|link| link.is_own() && link.names_session()) {
            found.add(link, String::new());
        }
    }
    found
}

/// Whether words say that somebody is not signed in.
pub fn is_hint(text: &str) -> bool {
    if text.len() > LONGEST_HINT {
        return false;
    }
    let text = text.to_ascii_lowercase();
    PHRASES.iter().any(|phrase| has_phrase(&text, phrase))
}

/// Whether `phrase` stands in `text` as words of its own.
fn has_phrase(text: &str, phrase: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    text.match_indices(phrase).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + phrase.len()..]);
        ends(before.chars().next_back()) && ends(after.chars().next())
    })
}

fn is_sign_in(written: &Written, link: &Result<Link, BadLink>) -> bool {
    let label = written.label.trim().to_ascii_lowercase();
    LABELS.contains(&label.as_str()) || link.as_ref().is_ok_and(leads_to_sign_in)
}

fn leads_to_sign_in(link: &Link) -> bool {
    link.names_session() || link.is_authorize_path()
}

fn markdown_links(text: &str) -> impl Iterator<Item = Written<'_>> {
    let mut rest = text;
    let next = move || {
        loop {
            let (before, after) = rest.split_once("](")?;
            rest = after;
            let Some((_, label)) = before.rsplit_once('[') else { continue };
            let target = after.trim_start().trim_start_matches('<');
            let end = target.find(|c: char| c.is_whitespace() || ")>".contains(c));
            return Some(Written { label, target: &target[..end?] });
        }
    };
    std::iter::from_fn(next).take(MOST)
}

/// Addresses that stand in the text as they are.
fn bare_links(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "()[]<>\"'`".contains(c));
    words
        .filter(|word| word.starts_with("https://") || word.starts_with("http://"))
        .map(|word| word.trim_end_matches(['.', ',', ';', ':', '!']))
        .take(MOST)
}
