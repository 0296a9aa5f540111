//! The secrets of one run: placeholders that stand for one credential each, and keys that stand for all. They
//! are what programs know, and prove that a request comes from one that was meant to use the proxy.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, PROXY_AUTHORIZATION};

use crate::forward::{AUTHENTICATION, Form};
use crate::secret::Secret;

/// What a secret opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The use of every credential.
    All,
    /// Of the one at this index.
    One(usize),
}

/// A secret that came with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub pass: Pass,
    /// The form in which the credential takes its place.
    pub form: Form,
}

type Digest = [u8; 32];

/// The secrets, by their digests: how long a look-up takes says nothing about what is in here.
#[derive(Default)]
pub struct Session {
    passes: HashMap<Digest, Pass>,
}

impl Session {
    pub fn add(&mut self, secret: &Secret, pass: Pass) {
        self.passes.insert(digest(secret.expose().as_bytes()), pass);
    }

    pub fn pass(&self, text: &str) -> Option<Pass> {
        self.passes.get(&digest(text.as_bytes())).copied()
    }

    /// A path without secrets in it.
    pub fn without(&self, path: &str) -> String {
        let is_plain = |part: &&str| !part.starts_with('~') && self.pass(part).is_none();
        let shown: Vec<&str> = path.split('/').filter(is_plain).collect();
        shown.join("/")
    }

    /// The secret in one of the headers in which clients send keys, or in one of `further`. Where several
    /// headers have one, the first counts.
    pub fn shown(&self, headers: &HeaderMap, further: &[HeaderName]) -> Option<Shown> {
        let rank = |name| AUTHENTICATION.iter().chain(further).position(|other| other == name);
        let ranked = headers.iter().filter_map(|(name, value)| Some((rank(name)?, name, value)));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(rank, ..)| *rank);
        ranked.into_iter().find_map(|(_, name, value)| {
            if *name == AUTHORIZATION { self.authorization(value) } else { self.bare(value) }
        })
    }

    /// The secret for the use as a forward proxy (RFC 9110 §11.7.2).
    pub fn is_proxy_authorized(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(PROXY_AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        self.authorization(value).is_some_and(|shown| shown.pass == Pass::All)
    }

    fn bare(&self, value: &HeaderValue) -> Option<Shown> {
        let text = value.to_str().ok()?;
        let text = text.strip_prefix("Bearer ").unwrap_or(text).trim();
        self.pass(text).map(|pass| Shown { pass, form: Form::Own })
    }

    fn authorization(&self, value: &HeaderValue) -> Option<Shown> {
        let text = value.to_str().ok()?;
        let Some((scheme, rest)) = text.split_once(' ') else { return self.bare(value) };
        if scheme.eq_ignore_ascii_case("basic") {
            return self.basic(rest.trim());
        }
        self.pass(rest.trim()).map(|pass| Shown { pass, form: Form::Own })
    }

    /// As the password or as the user name. A placeholder keeps the form that its program chose.
    fn basic(&self, encoded: &str) -> Option<Shown> {
        let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        let as_password = || {
            let pass = self.pass(password)?;
            let form = Form::Basic { before: format!("{user}:"), after: String::new() };
            Some(Shown { pass, form })
        };
        let as_user = || {
            let pass = self.pass(user)?;
            let form = Form::Basic { before: String::new(), after: format!(":{password}") };
            Some(Shown { pass, form })
        };
        let shown = as_password().or_else(as_user)?;
        match shown.pass {
            Pass::One(_) => Some(shown),
            Pass::All => Some(Shown { form: Form::Own, ..shown }),
        }
    }
}

fn digest(text: &[u8]) -> Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, text);
    let mut own = [0; 32];
    own.copy_from_slice(digest.as_ref());
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let mut session = Session::default();
        session.add(&Secret::new("sk-placeholder"), Pass::One(1));
        session.add(&Secret::new("session-key"), Pass::All);
        session
    }

    fn shown(name: &'static str, value: &str) -> Option<Shown> {
        let headers = [(HeaderName::from_static(name), value.parse().unwrap())];
        session().shown(&headers.into_iter().collect(), &[HeaderName::from_static("private-token")])
    }

    fn own(pass: Pass) -> Shown {
        Shown { pass, form: Form::Own }
    }

    #[test]
    fn a_secret_is_found_where_clients_put_keys() {
        assert_eq!(shown("authorization", "Bearer sk-placeholder"), Some(own(Pass::One(1))));
        assert_eq!(shown("authorization", "token sk-placeholder"), Some(own(Pass::One(1))));
        assert_eq!(shown("authorization", "sk-placeholder"), Some(own(Pass::One(1))));
        assert_eq!(shown("x-api-key", "session-key"), Some(own(Pass::All)));
        assert_eq!(shown("private-token", "session-key"), Some(own(Pass::All)));
        assert_eq!(shown("x-authctl-key", "session-key"), Some(own(Pass::All)));
        assert_eq!(shown("x-other", "session-key"), None);
        for wrong in ["Bearer sk-placeholde", "Bearer sk-placeholderx", "Bearer ", "Basic xx", ""] {
            assert_eq!(shown("authorization", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_header_of_its_own_comes_first() {
        let pairs = [("authorization", "Bearer sk-placeholder"), ("x-authctl-key", "session-key")];
        let headers = pairs
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        assert_eq!(session().shown(&headers.into_iter().collect(), &[]), Some(own(Pass::All)));
    }

    #[test]
    fn a_placeholder_in_basic_keeps_its_form() {
        let basic =
            |text: &str| shown("authorization", &format!("Basic {}", STANDARD.encode(text)));
        let form = Form::Basic { before: "git:".into(), after: String::new() };
        assert_eq!(basic("git:sk-placeholder"), Some(Shown { pass: Pass::One(1), form }));
        let form = Form::Basic { before: String::new(), after: ":x".into() };
        assert_eq!(basic("sk-placeholder:x"), Some(Shown { pass: Pass::One(1), form }));
        assert_eq!(basic("git:session-key"), Some(own(Pass::All)));
        assert_eq!(basic("git:other"), None);
    }

    #[test]
    fn a_placeholder_does_not_open_the_forward_proxy() {
        let with = |text: &str| {
            let value = format!("Basic {}", STANDARD.encode(text)).parse().unwrap();
            session().is_proxy_authorized(&[(PROXY_AUTHORIZATION, value)].into_iter().collect())
        };
        assert!(with("authctl:session-key"));
        assert!(!with("authctl:sk-placeholder"));
        assert!(!session().is_proxy_authorized(&HeaderMap::new()));
    }
}
