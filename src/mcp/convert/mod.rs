//! A server of one era in the words of the other: a host with a handshake on a server without one, and the
//! reverse. Members that mean the same in both pass as they were written.

mod calls;
mod handshake;
mod held;
mod inputs;
mod listening;
mod subscriptions;
mod to_legacy;
mod to_modern;

pub use calls::Hosts;
pub use handshake::client_of;
pub use to_legacy::{ASKING, ToLegacy};
pub use to_modern::ToModern;
