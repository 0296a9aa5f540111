//! Who may speak to a listener at all: programs of this computer that know its secret, and no web page.

use hyper::header::{AUTHORIZATION, HOST, HeaderMap};
use hyper::{Request, StatusCode};

use crate::listen::{is_origin_ours, is_ours};
use crate::secret::Secret;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    #[error(
        "the Host header does not name this listener; it is 127.0.0.1, localhost or [::1], with the port"
    )]
    Host,
    #[error("the Origin header names another origin; web pages are not served")]
    Origin,
    #[error("the Authorization header is missing; it is Bearer, and the secret of this listener")]
    NoSecret,
    #[error("the Authorization header has not the secret of this listener")]
    WrongSecret,
}

impl Stranger {
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::NoSecret | Self::WrongSecret => StatusCode::UNAUTHORIZED,
        }
    }
}

/// The door of one listener.
pub struct Guard {
    pub port: u16,
    /// `None`: nobody is asked for one.
    pub secret: Option<Secret>,
}

impl Guard {
    /// Refuses foreign names (DNS rebinding), pages of other origins, and whoever does not know the secret.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Stranger> {
        let headers = request.headers();
        if !self.is_host_ours(headers) || request.uri().authority().is_some() {
            return Err(Stranger::Host);
        }
        if !is_origin_ours(headers, self.port) {
            return Err(Stranger::Origin);
        }
        match &self.secret {
            Some(_) if !headers.contains_key(AUTHORIZATION) => Err(Stranger::NoSecret),
            Some(secret) if !knows(headers, secret) => Err(Stranger::WrongSecret),
            _ => Ok(()),
        }
    }

    fn is_host_ours(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        is_ours(host.as_bytes(), self.port)
    }
}

fn knows(headers: &HeaderMap, secret: &Secret) -> bool {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(sent), None) = (all.next(), all.next()) else { return false };
    let Some((scheme, token)) = sent.to_str().ok().and_then(|sent| sent.split_once(' ')) else {
        return false;
    };
    scheme.eq_ignore_ascii_case("bearer") && is_same(token.trim().as_bytes(), secret.expose())
}

/// Takes as long for a wrong secret as for a nearly right one: digests are compared, to their end.
fn is_same(sent: &[u8], secret: &str) -> bool {
    let digest = |text: &[u8]| ring::digest::digest(&ring::digest::SHA256, text);
    let (sent, secret) = (digest(sent), digest(secret.as_bytes()));
    let differing = sent.as_ref().iter().zip(secret.as_ref()).fold(0, |all, (a, b)| all | (a ^ b));
    differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], secret: Option<&str>) -> Result<(), Stranger> {
        let mut request = Request::builder().uri("/mcp");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let guard = Guard { port: 8123, secret: secret.map(Secret::new) };
        guard.check(&request.body(()).unwrap())
    }

    #[test]
    fn only_own_hosts_and_own_origins_come_in() {
        let hosts = [
            ("127.0.0.1:8123", true),
            ("localhost:8123", true),
            ("[::1]:8123", true),
            ("127.0.0.1:80", false),
            ("127.0.0.1", false),
            ("evil.example:8123", false),
            ("localhost.evil.example:8123", false),
            ("0.0.0.0:8123", false),
        ];
        let origins = [
            (None, true),
            (Some("http://127.0.0.1:8123"), true),
            (Some("http://localhost:8123"), true),
            (Some("https://localhost:8123"), false),
            (Some("http://localhost:3000"), false),
            (Some("http://evil.example"), false),
            (Some("null"), false),
        ];
        for (host, host_is_fine) in hosts {
            for (origin, origin_is_fine) in origins {
                let mut headers = vec![("host", host)];
                headers.extend(origin.map(|origin| ("origin", origin)));
                let found = check(&headers, None);
                assert_eq!(found.is_ok(), host_is_fine && origin_is_fine, "{host} {origin:?}");
            }
        }
        let twice = [("host", "127.0.0.1:8123"), ("host", "127.0.0.1:8123")];
        assert_eq!(check(&twice, None), Err(Stranger::Host));
        let cross = [("host", "127.0.0.1:8123"), ("sec-fetch-site", "cross-site")];
        assert_eq!(check(&cross, None), Err(Stranger::Origin));
    }

    #[test]
    fn the_secret_is_wanted_whole() {
        let with =
            |sent: &str| check(&[("host", "[::1]:8123"), ("authorization", sent)], Some("s3cret"));
        assert_eq!(with("Bearer s3cret"), Ok(()));
        assert_eq!(with("bearer s3cret"), Ok(()));
        for wrong in ["Bearer s3cre", "Bearer s3crets", "Bearer ", "Basic s3cret", "s3cret", ""] {
            assert_eq!(with(wrong), Err(Stranger::WrongSecret), "{wrong}");
        }
        assert_eq!(check(&[("host", "[::1]:8123")], Some("x")), Err(Stranger::NoSecret));
    }
}
