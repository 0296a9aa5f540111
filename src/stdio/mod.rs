//! JSON-RPC on stdio, one message a line: towards the program that started authctl, and from the one that
//! authctl started. What waits for a slow reader is counted, and a line that is too long is told by its ends.

mod backlog;
mod edges;
mod host;
mod lines;

pub use backlog::room;
pub use host::{Line, Stdout, stdin, stdout};
pub use lines::{Flawed, Found, Lines};

use crate::jsonrpc::{self, Message};

/// Most bytes of one message.
pub const LONGEST: usize = 64 << 20;

/// For a text that is no message: the host is told by its id, if that can be read.
pub fn unreadable(error: &jsonrpc::Error, text: &[u8]) -> Message {
    let code = match error {
        jsonrpc::Error::NotJson => jsonrpc::PARSE_ERROR,
        jsonrpc::Error::NoMessage => jsonrpc::INVALID_REQUEST,
    };
    let id = match error {
        jsonrpc::Error::NotJson => None,
        jsonrpc::Error::NoMessage => jsonrpc::sought_id(text),
    };
    Message::error(id.as_ref(), code, &format!("cannot read this line: {error}"), None)
}
