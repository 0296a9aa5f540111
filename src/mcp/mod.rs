//! The Model Context Protocol between a host and a server: what the host says goes to the server in the words
//! of the server's revision, with a credential, and no sign-in ever looks like a broken server to the host.
//!
//! ```text
//! host (stdin, stdout) ⇄ session (sign-in, filter, errors) ⇄ server (streamable HTTP, HTTP+SSE, a child)
//! ```

mod answer;
mod assumed;
mod attempts;
mod broken;
mod child;
mod connection;
mod convert;
mod endpoint;
mod era;
mod failure;
mod filter;
mod follow;
mod host;
mod http_sse;
mod http_to_stdio;
mod inbox;
mod known;
mod legacy;
mod meta;
mod modern;
mod offer;
mod own_stream;
mod params;
mod reconnect;
mod session;
mod settle;
mod sign_in;
mod turns;
mod unsent;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

pub use broken::Broken;
pub use child::{Child, Outfit, Outfitter, Shared, Want};
pub use convert::Hosts;
pub use endpoint::Endpoint;
pub use era::{Connected, Hello};
pub use failure::Failure;
pub use filter::Filter;
pub use http_to_stdio::{Front, Guard, PATH, serve as serve_http};
pub use known::Known;
pub use session::{Settings, serve};

use url::Url;

use unsent::Unsent;

use crate::forward::Broker;
use crate::jsonrpc::Message;

/// A future on the one thread of a bridge.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Where messages go that nobody waits for: what a server says aside, or by itself.
pub type Sink = Rc<dyn Fn(Message)>;

/// The revisions that differ in how a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Up to 2025-11-25: a handshake, sessions, requests in both directions.
    Legacy,
    /// 2026-07-28: each request stands alone.
    Modern,
}

/// The revision that modern requests are of.
pub const MODERN: &str = "2026-07-28";

/// The newest revision with a handshake.
pub const LEGACY: &str = "2025-11-25";

/// The revisions with a handshake.
const LEGACY_VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY];

/// One server as the session sees it, in the era of the session's host. Dropping a future ends what it
/// waits for, on the wire too.
pub trait Server {
    /// Sends a request and comes back with its response. What the server says on the way goes to `aside`.
    fn request<'a>(
        &'a self,
        request: &'a Message,
        aside: &'a dyn Fn(Message),
    ) -> Pending<'a, Result<Message, Failure>>;

    /// Sends a notification, or the response to a request of the server.
    fn tell<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<(), Failure>>;

    /// Ends the session with the server, if there is one.
    fn close(&self) -> Pending<'_, ()>;
}

/// The way to one server.
pub trait Link {
    /// Makes a server that speaks in the revision of `hello`. What it says unasked goes to `sink`.
    fn connect<'a>(
        &'a self,
        hello: &'a Hello,
        sink: Sink,
    ) -> Pending<'a, Result<Connected, Failure>>;

    /// Where its credential comes from.
    fn broker(&self) -> &Broker;

    /// Its address, or one without an origin for a server that has none.
    fn url(&self) -> &Url;

    /// What people call it.
    fn title(&self) -> String;

    /// What `authctl login` is given to sign in to it.
    fn login_name(&self) -> String {
        self.url().to_string()
    }

    /// Counts what its server has not taken yet. One that is elsewhere takes what it is sent.
    fn unsent(&self) -> Rc<Unsent> {
        Unsent::new()
    }

    /// Comes back when the server has left for good. One that is elsewhere never does.
    fn ended(&self) -> Pending<'_, ()> {
        Box::pin(std::future::pending())
    }
}
