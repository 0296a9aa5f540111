//! The ways in which a server says "log in": data in, signal out. What a bridge does about a signal is
//! its own affair; whatever is not understood here is no signal, and passes as it came.

mod adcp;
mod answer;
#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod fixtures;
mod lenient;
mod link;
mod message;
#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod properties;
mod prose;
mod session;

use crate::text::clean;

pub use answer::of_answer;
pub use link::{Invitation, Invitations, Link};
pub use message::of_message;
pub use session::redacted;

/// What an answer says about the sign-in of whoever asked, told apart by what is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Signal {
    /// Nothing that a sign-in could mend: the answer passes as it is.
    #[default]
    Nothing,
    /// A credential is needed, and none was seen: sign in, and ask once more.
    Missing(Demand),
    /// The credential that was presented is refused: never the same one again.
    Rejected(Demand, Refresh),
    /// The credential is good and its scopes are too few (RFC 6750 §3.1): sign in for more.
    ScopeNeeded(Demand),
    /// A person has to open a link; the session stays as it is, and no login here would help. There
    /// is at least one link.
    Follow(Invitations),
    /// Prose that may be about a sign-in, cleaned: something to mention, never to act on.
    Hint(String),
}

/// Whether new tokens may help where a credential was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Once, if there is a refresh token.
    Once,
    /// The server asks for a person: another try would look like an attack.
    Never,
}

/// What a server tells about the sign-in that it wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// Schemes of its challenges (RFC 9110 §11.1) in lower case.
    pub schemes: Vec<String>,
    /// `resource_metadata` (RFC 9728 §5.1) as received.
    pub resource_metadata: Option<String>,
    /// Scopes that the request should have had (RFC 6750 §3), as received.
    pub scopes: Vec<String>,
    /// What it says to people, cleaned.
    pub said: Option<String>,
    /// Links that came along: another way in, should a login not help.
    pub invitations: Invitations,
}

/// Foreign text as one line for people: cleaned, and without session ids.
fn line(text: &str) -> String {
    clean(&redacted(text))
}
