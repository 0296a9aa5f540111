//! The redirect as a person pastes it (RFC 8252 §8.10 has none: the browser is on another machine): the
//! whole address where the browser ended, its query, or the code alone.
//!
//! An address goes through every check of a redirect. A code alone carries neither `state` nor `iss`.
//! PKCE binds it to the request whose verifier is sent with it (RFC 9700 §4.5.3), so it works for that
//! flow or for none; from which server it comes (§4.4) nobody can check. It is read only where a person
//! gives it to one named flow, and refused where the server does not promise PKCE.

use url::{Position, Url};

use super::authorization_endpoint::{RedirectError, read_redirect, read_stateless_redirect};
use crate::secret::{Secret, Unfit};
use crate::text::clean;

/// The request whose answer is pasted.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    pub state: &'a Secret,
    pub redirect_uri: &'a str,
    pub issuer: Option<&'a str>,
    /// The metadata promises `iss` (RFC 9207 §3).
    pub iss_required: bool,
    /// Whether a code may come alone: the server is known to check PKCE.
    pub code_alone: bool,
}

/// Why what was pasted brings no code. Never holds what was pasted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasteError {
    #[error("nothing was pasted")]
    Empty,
    #[error("that is not the address where the browser ended, which begins with {expected}")]
    OtherAddress { expected: String },
    #[error("that is no redirect, and no code either: {0}")]
    NoCode(Unfit),
    #[error(
        "a code alone does not show to which sign-in it belongs, and this server does not promise PKCE, which would; the whole address is needed"
    )]
    CodeAlone,
    #[error(transparent)]
    Redirect(#[from] RedirectError),
}

impl PasteError {
    /// Whether it is the server's own answer to this request, which ends it; all else is a slip.
    pub fn is_answer(&self) -> bool {
        let Self::Redirect(error) = self else { return false };
        matches!(error, RedirectError::Refused { .. } | RedirectError::IssuerMismatch { .. })
    }
}

/// The code of a pasted redirect, by [`read_redirect`], or pasted alone.
pub fn read_pasted(text: &str, awaited: &Expected<'_>) -> Result<Secret, PasteError> {
    let text = bare(text);
    if text.is_empty() {
        return Err(PasteError::Empty);
    }
    let Some((address, query)) = split(text) else {
        return code_alone(text, awaited.code_alone);
    };
    if address.is_some_and(|address| !is_at(address, awaited.redirect_uri)) {
        let expected = clean(awaited.redirect_uri);
        // An address with our state is never another flow's; without it that matters first.
        return match read_redirect(query, awaited.state, None, false) {
            Err(error @ RedirectError::ForeignState) => Err(error.into()),
            _ => Err(PasteError::OtherAddress { expected }),
        };
    }
    Ok(read_redirect(query, awaited.state, awaited.issuer, awaited.iss_required)?)
}

/// The same of a redirect without state, whose address nobody can guess ([`read_stateless_redirect`]). PKCE
/// is always checked there.
pub fn read_pasted_stateless(text: &str, redirect_uri: &str) -> Result<Secret, PasteError> {
    let text = bare(text);
    match split(text) {
        _ if text.is_empty() => Err(PasteError::Empty),
        None => code_alone(text, true),
        Some((Some(address), query)) if is_at(address, redirect_uri) => {
            Ok(read_stateless_redirect(query)?)
        }
        Some(_) => Err(PasteError::OtherAddress { expected: clean(redirect_uri) }),
    }
}

/// The `state` of a pasted redirect, unchecked: by it the flow is found. `None` for a code alone.
pub fn pasted_state(text: &str) -> Option<Secret> {
    let (_, query) = split(bare(text))?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let state = pairs.find(|(name, _)| name == "state").map(|(_, value)| value.into_owned());
    Some(Secret::new(state.unwrap_or_default()))
}

/// Without what surrounds addresses in mails and shells.
fn bare(text: &str) -> &str {
    text.trim().trim_matches(['"', '\'', '<', '>']).trim()
}

/// The address, if there is one, and the query. A code has neither `?` nor `=` with a known name.
fn split(text: &str) -> Option<(Option<&str>, &str)> {
    let without_fragment = text.split('#').next().unwrap_or_default();
    if let Some((address, query)) = without_fragment.split_once('?') {
        return Some((Some(address).filter(|address| !address.is_empty()), query));
    }
    if text.contains("://") {
        return Some((Some(without_fragment), ""));
    }
    let is_query =
        ["code=", "state=", "error=", "iss="].iter().any(|start| text.starts_with(start));
    is_query.then_some((None, without_fragment))
}

/// Whether a pasted address, whose scheme the browser may have hidden, is the redirect URI.
fn is_at(address: &str, redirect_uri: &str) -> bool {
    let with_scheme =
        if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    match (Url::parse(&with_scheme), Url::parse(redirect_uri)) {
        (Ok(found), Ok(expected)) => {
            found[..Position::AfterPath] == expected[..Position::AfterPath]
        }
        _ => false,
    }
}

/// A code that was copied out of an address is still encoded.
fn code_alone(text: &str, allowed: bool) -> Result<Secret, PasteError> {
    let code = Secret::parse_token(text).map_err(PasteError::NoCode)?;
    if !allowed {
        return Err(PasteError::CodeAlone);
    }
    if !text.contains('%') {
        return Ok(code);
    }
    let pair = format!("code={}", text.replace('+', "%2B").replace('&', "%26"));
    let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
    Ok(decoded.map_or(code, |(_, value)| Secret::new(value.into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "http://127.0.0.1:4711/callback";

    fn read(text: &str) -> Result<String, PasteError> {
        read_with(text, true, true)
    }

    fn read_with(text: &str, iss_required: bool, code_alone: bool) -> Result<String, PasteError> {
        let state = Secret::new("s1");
        let awaited = Expected {
            state: &state,
            redirect_uri: URI,
            issuer: Some("https://as.example"),
            iss_required,
            code_alone,
        };
        read_pasted(text, &awaited).map(|code| code.expose().to_owned())
    }

    const QUERY: &str = "code=c%2F1&state=s1&iss=https%3A%2F%2Fas.example";

    #[test]
    fn an_address_may_be_pasted_as_browsers_and_mails_show_it() {
        for text in [
            format!("{URI}?{QUERY}"),
            format!("  \"{URI}?{QUERY}\"\r"),
            format!("<{URI}?{QUERY}#_=_>"),
            format!("127.0.0.1:4711/callback?{QUERY}"),
            format!("HTTP://127.0.0.1:4711/callback?{QUERY}"),
            format!("?{QUERY}"),
            QUERY.to_owned(),
        ] {
            assert_eq!(read(&text).unwrap(), "c/1", "{text}");
            assert_eq!(pasted_state(&text).unwrap().expose(), "s1", "{text}");
        }
    }

    #[test]
    fn a_redirect_is_checked_as_at_the_listener() {
        let foreign = Err(PasteError::Redirect(RedirectError::ForeignState));
        for text in [
            format!("{URI}?code=c&state=s2"),
            format!("{URI}?code=c"),
            "http://127.0.0.1:9/other?code=c&state=s2".to_owned(),
            "https://evil.example/?x=y".to_owned(),
        ] {
            assert_eq!(read(&text), foreign, "{text}");
        }
        let refused =
            read(&format!("{URI}?error=access_denied&state=s1&iss=https%3A%2F%2Fas.example"));
        assert!(refused.unwrap_err().is_answer());
        let mixed_up = read(&format!("{URI}?code=c&state=s1&iss=https%3A%2F%2Fevil.example"));
        assert!(mixed_up.unwrap_err().is_answer());
        let silent = read(&format!("{URI}?code=c&state=s1"));
        assert!(matches!(silent, Err(PasteError::Redirect(RedirectError::IssuerMismatch { .. }))));
    }

    #[test]
    fn other_addresses_are_slips_that_end_nothing() {
        for text in [
            // The address that was to be opened, and another listener's.
            "https://as.example/authorize?client_id=c&state=s1".to_owned(),
            format!("http://127.0.0.1:4712/callback?{QUERY}"),
            format!("http://127.0.0.1:4711/callback2?{QUERY}"),
            format!("http://127.0.0.1:4711@evil.example/callback?{QUERY}"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(matches!(error, PasteError::OtherAddress { .. }), "{text}: {error:?}");
            assert!(!error.is_answer() && error.to_string().contains(URI), "{error}");
        }
        assert_eq!(
            read("https://as.example/"),
            Err(PasteError::Redirect(RedirectError::ForeignState))
        );
        for text in ["", "  ", "\"\""] {
            assert_eq!(read(text), Err(PasteError::Empty), "{text:?}");
        }
        assert!(matches!(read("two words"), Err(PasteError::NoCode(Unfit::Blank(4)))));
        assert!(matches!(read("schlüssel"), Err(PasteError::NoCode(Unfit::NotAscii(5)))));
    }

    #[test]
    fn a_redirect_without_state_is_known_by_its_address() {
        let read =
            |text: &str| read_pasted_stateless(text, URI).map(|code| code.expose().to_owned());
        assert_eq!(read(&format!("{URI}?code=c%2F1")).unwrap(), "c/1");
        assert_eq!(read("c/1").unwrap(), "c/1");
        assert!(read(&format!("{URI}?error=access_denied")).unwrap_err().is_answer());
        for text in ["http://127.0.0.1:4711/other?code=c", "?code=c", "code=c", "https://e.com/"] {
            assert!(matches!(read(text), Err(PasteError::OtherAddress { .. })), "{text}");
        }
        assert_eq!(read(" "), Err(PasteError::Empty));
    }

    #[test]
    fn a_code_alone_is_taken_as_it_is_or_as_it_stands_in_an_address() {
        assert_eq!(read("4/0AbC-d_e.f~g+h=").unwrap(), "4/0AbC-d_e.f~g+h=");
        assert_eq!(read("4%2F0AbC+d%3D").unwrap(), "4/0AbC+d=");
        assert!(pasted_state("4/0AbC").is_none());
        assert_eq!(read_with("4/0AbC", false, false), Err(PasteError::CodeAlone));
    }
}
