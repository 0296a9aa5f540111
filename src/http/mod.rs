//! The outbound side of HTTP: https off loopback, redirects never followed, every wait with a deadline, every
//! answer with a limit, and no address that a stranger must not make us connect to. [`Http`] sends requests of
//! authctl's own, [`Upstream`] passes on those of others. Runtime and clients are made when first asked for, so
//! that a command without network pays nothing.

mod address;
mod answer;
mod client;
mod dial;
mod error;
mod event_stream;
mod exchange;
mod failure;
#[cfg(test)]
pub(crate) mod fake;
mod nonces;
mod pool;
mod proxies;
mod request;
mod upstream;

pub use address::Reach;
pub use answer::Answer;
pub use client::Http;
pub use dial::{BoxError, Line, Versions};
pub use error::Error;
pub use event_stream::EventStream;
pub use exchange::Exchange;
pub use nonces::{DPOP_NONCE, Nonces};
pub use pool::{Inbound, Outbound, Withheld};
pub use request::{Request, check_reach, host_of, parse_resource, parse_url};
pub use upstream::Upstream;
