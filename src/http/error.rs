//! What can go wrong with a request, told apart by what a caller may do next: above all whether the
//! request may have reached the server.

/// Every variant names the host (with its port where that is unusual); no URL query, no header value
/// and no body is ever in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{url} is not a usable web address: {reason}")]
    BadUrl { url: String, reason: String },
    #[error("{url} is not https, and not on this machine")]
    NotHttps { url: String },
    #[error("an address at {host} has a user name or password in it")]
    Userinfo { host: String },
    /// A resource indicator has none (RFC 8707 §2).
    #[error("the address at {host} has a fragment (#…) in it, which no server's address has")]
    Fragment { host: String },
    #[error("{}", forbidden(host, address))]
    ForbiddenAddress { host: String, address: String },
    #[error("the value for the header {name} cannot stand in a header")]
    BadHeader { host: String, name: String },
    /// Nothing was sent: no such name, connection refused, proxy refused.
    #[error("cannot reach {host}: {reason}")]
    Unreachable { host: String, reason: String },
    /// Nothing was sent: the server did not prove who it is.
    #[error("no secure connection to {host}: {reason}")]
    Certificate { host: String, reason: String },
    #[error("{host} did not answer in time")]
    TimedOut { host: String, sent: bool },
    #[error("the connection to {host} broke before its answer was complete")]
    Interrupted { host: String },
    /// Something else than a web server is there.
    #[error("what {host} answers is not HTTP")]
    NotHttp { host: String },
    #[error("the answer of {host} is longer than {limit} bytes")]
    TooLarge { host: String, limit: usize },
    /// The system's certificate authorities, or the file named by `SSL_CERT_FILE`, cannot be read.
    #[error("no certificate authorities to trust: {reason}")]
    NoRoots { reason: String },
    #[error("cannot set up HTTP: {reason}")]
    Setup { reason: String },
}

impl Error {
    /// Whether the server may have seen the request, and acted on it.
    pub fn may_have_reached(&self) -> bool {
        match self {
            Error::TimedOut { sent, .. } => *sent,
            Error::Interrupted { .. } | Error::NotHttp { .. } | Error::TooLarge { .. } => true,
            _ => false,
        }
    }
}

fn forbidden(host: &str, address: &str) -> String {
    if host.contains(address) {
        return format!("no request may go to the address {host}");
    }
    format!("no request may go to {host}, which is at the address {address}")
}
