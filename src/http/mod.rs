//! The one outbound HTTP client: https off loopback, redirects never followed, every wait with a
//! deadline, every answer with a limit, and no address that a stranger must not make us connect to.
//! Runtime and client are made when first asked for, so that a command without network pays nothing.

mod address;
mod answer;
mod client;
mod error;
mod event_stream;
mod exchange;
#[cfg(test)]
pub(crate) mod fake;
mod nonces;
mod request;

pub use address::Reach;
pub use answer::Answer;
pub use client::Http;
pub use error::Error;
pub use event_stream::EventStream;
pub use exchange::Exchange;
pub use nonces::DPOP_NONCE;
pub use request::{Request, check_reach, host_of, parse_url};
