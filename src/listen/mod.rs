//! The loopback side: where a browser comes back to after a sign-in.

/// What the client's registration fixes about its redirect URI (RFC 8252 §7.3). The default is what
/// loopback registrations allow: any port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectRule {
    /// The port that the registration names; `None`: any free one.
    pub port: Option<u16>,
    /// Begins with a slash.
    pub path: String,
    /// `127.0.0.1` or `localhost`, as the registration writes it.
    pub host: String,
}

impl Default for RedirectRule {
    fn default() -> Self {
        Self { port: None, path: "/callback".into(), host: "127.0.0.1".into() }
    }
}
