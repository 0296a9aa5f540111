//! The redirect URI and the listener behind it: bound first, so that what is registered and what is
//! sent to the authorization server is a port that is already ours (RFC 8252 §7.3, §8.3).

use std::io;

use super::Error;
use crate::listen::{RedirectRule, Sockets};

/// A bound redirect URI. Nothing is answered before [`super::authorization_code()`] takes it; dropping
/// it leaves the port.
#[derive(Debug)]
pub struct RedirectListener {
    sockets: Sockets,
    path: String,
    redirect_uri: String,
}

impl RedirectListener {
    /// Binds the port that the rule fixes, else `preferred_port` (that of an earlier registration) if
    /// it is free, else any.
    ///
    /// # Errors
    /// `PortTaken` when the fixed port is another program's; `Listen` when nothing can be bound.
    pub fn bind(rule: &RedirectRule, preferred_port: Option<u16>) -> Result<Self, Error> {
        let sockets = match (rule.port, preferred_port) {
            (Some(port), _) => Sockets::bind(Some(port)).map_err(|error| fixed(port, error))?,
            (None, Some(port)) => {
                Sockets::bind(Some(port)).or_else(|_| Sockets::bind(None)).map_err(Error::Listen)?
            }
            (None, None) => Sockets::bind(None).map_err(Error::Listen)?,
        };
        let redirect_uri = format!("http://{}:{}{}", rule.host, sockets.port(), rule.path);
        Ok(Self { sockets, path: rule.path.clone(), redirect_uri })
    }

    /// The redirect URI, the same string in registration, authorization and token request.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    #[cfg(test)]
    pub(super) fn port(&self) -> u16 {
        self.sockets.port()
    }

    /// The sockets, and the path that the redirect comes to.
    pub(super) fn into_parts(self) -> (Sockets, String) {
        (self.sockets, self.path)
    }
}

fn fixed(port: u16, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::AddrInUse {
        return Error::PortTaken { port };
    }
    Error::Listen(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_redirect_uri_follows_the_rule() {
        let listener = RedirectListener::bind(&RedirectRule::default(), None).unwrap();
        let port = listener.port();
        assert_eq!(listener.redirect_uri(), format!("http://127.0.0.1:{port}/callback"));

        let rule =
            RedirectRule { port: None, path: "/oauth/done".into(), host: "localhost".into() };
        let listener = RedirectListener::bind(&rule, None).unwrap();
        assert_eq!(
            listener.redirect_uri(),
            format!("http://localhost:{}/oauth/done", listener.port())
        );
    }

    #[test]
    fn a_fixed_port_that_is_taken_is_an_error_and_a_preferred_one_is_not() {
        let other = RedirectListener::bind(&RedirectRule::default(), None).unwrap();
        let taken = other.port();
        let fixed = RedirectRule { port: Some(taken), ..RedirectRule::default() };
        let error = RedirectListener::bind(&fixed, None).unwrap_err();
        assert!(matches!(error, Error::PortTaken { port } if port == taken));

        let listener = RedirectListener::bind(&RedirectRule::default(), Some(taken)).unwrap();
        assert_ne!(listener.port(), taken);
        drop(other);
        let again = RedirectListener::bind(&RedirectRule::default(), Some(taken)).unwrap();
        assert_eq!(again.port(), taken);
    }
}
