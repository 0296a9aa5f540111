//! How a conversation with an authorization server can fail, told apart by what the caller may do
//! next: sign in again, try later, or report.

use std::time::Duration;

use crate::http;

/// Texts of the server in it are cleaned; no token, code or body is ever in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Http(#[from] http::Error),
    /// An error answer (RFC 6749 §5.2), also one inside HTTP 200. The code is the RFC's where the
    /// server has a word of its own for it.
    #[error("{host} refused: {code}{}", description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused { host: String, code: String, description: Option<String> },
    /// Not now. 429, 503 and `temporarily_unavailable` say that the request was not carried out;
    /// other 5xx only suggest it.
    #[error("{host} cannot answer now (HTTP {status})")]
    Unavailable { host: String, status: u16, retry_after: Option<Duration>, not_carried_out: bool },
    /// An answer that cannot be used: HTML instead of JSON, no access token, repeated keys. The
    /// server may have carried out the request.
    #[error("{host} gave an unusable answer: {what}")]
    Malformed { host: String, what: String },
    #[error("asked for the issuer {expected}, but the server says that it is {found}")]
    IssuerMismatch { expected: String, found: String },
    #[error("{issuer} publishes no authorization server metadata")]
    NoMetadata { issuer: String, tried: Vec<String> },
    /// Neither a refusal nor a document: nobody signs in there.
    #[error("{host} asks for no sign-in, and publishes nothing about one")]
    NotProtected { host: String },
    /// Tokens that whoever finds them can use, where bound ones are wanted (RFC 9449 §5).
    #[error("{host} gave a token that is not bound to a key (Bearer, not DPoP)")]
    NotBound { host: String },
    /// Something that this authctl does not do, or that the configuration forbids itself.
    #[error("{host}: {what}")]
    Unsupported { host: String, what: String },
}
