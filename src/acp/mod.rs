//! The Agent Client Protocol between an editor and an agent: lines pass unchanged, but for what is said about
//! signing in. That is answered from the store, by the best way that the agent has.
//!
//! ```text
//! editor (stdin, stdout) ⇄ relay (handshake, recovery, sign-in) ⇄ agent (a child, perhaps started anew)
//! ```

mod advertised;
mod agent;
mod chain;
mod command_line;
mod deliver;
mod deserted;
mod dialect;
mod going;
mod handshake;
mod helper;
mod hook;
mod link;
mod logout;
mod open;
mod outfit;
mod parameter;
mod probe;
mod recovery;
mod refusal;
mod relay;
mod restart;
mod servers;
mod sessions;
mod sign_in;
mod status;
mod ways;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

pub use handshake::LOGIN;
pub use hook::fetch;
pub use outfit::{Worth, dress};
pub use probe::{Editor, Heard, Mute, probe};
pub use relay::{Error, serve, serve_in_chain};
pub use ways::{Way, ladder};

use relay::Relay;

use crate::config::AcpProvider;
use crate::forward::{Address, Bring, Trouble};
use crate::interact::Interact;
use crate::launch;
use crate::secret::Secret;

/// A future on the one thread of the relay.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What differs from agent to agent.
pub struct Settings {
    /// The agent as typed, without any credential.
    pub command: launch::Command,
    /// The agent, for people.
    pub title: String,
    /// What it may have, the preferred one first.
    pub grants: Vec<Grant>,
    /// The only way to be used.
    pub forced: Option<Way>,
    /// How this authctl was started, up to the agent's command: for terminals.
    pub own_command: Vec<String>,
    /// What to do where authctl has no credential for the agent.
    pub advice: String,
    pub supply: Rc<dyn Supply>,
    /// Lines for whoever reads stderr.
    pub interact: Arc<dyn Interact>,
}

/// A credential that the agent may have, and how it takes it.
#[derive(Clone)]
pub struct Grant {
    /// As the commands take it: `openai:work`.
    pub name: String,
    /// The provider, for people.
    pub title: String,
    pub ways: AcpProvider,
    /// The variable of the credential itself.
    pub variable: Option<String>,
    pub lent: Lent,
    /// The provider's own address, for an agent that goes there itself.
    pub home: Option<String>,
    /// Somebody is signed in.
    pub held: bool,
    /// No session is opened before somebody has signed in: the agent is meant to have this, and not what it may
    /// have itself.
    pub gates: bool,
    /// The agent is not known by its command: it is started without this, since what it calls itself may say a way
    /// that gives less away.
    pub waits: bool,
}

/// The address of authctl's own proxy, and what opens it; worth nothing elsewhere.
#[derive(Clone)]
pub struct Lent {
    /// It stands for the provider's base URL.
    pub url: String,
    pub headers: Vec<(String, Secret)>,
    /// In the place of a key.
    pub stand_in: Secret,
}

/// Where credentials come from.
pub trait Supply {
    /// Whether somebody is signed in.
    fn holds<'a>(&'a self, name: &'a str) -> Pending<'a, bool>;

    /// The credential itself, fresh, for a way that gives it away: that is announced and written down.
    fn possess<'a>(
        &'a self,
        name: &'a str,
        way: Way,
    ) -> Pending<'a, Result<Option<Secret>, Trouble>>;

    /// Whether it is another one than `old` by now. Nobody gets it by that.
    fn is_replaced<'a>(&'a self, name: &'a str, old: &'a Secret) -> Pending<'a, bool>;

    /// What is known of an agent that calls itself so, where its command line says nothing.
    fn known<'a>(&'a self, agent: &'a str, provider: &'a str) -> Pending<'a, Option<AcpProvider>>;

    /// Has the person sign in; the address arrives before the end, if there is one.
    fn sign_in<'a>(
        &'a self,
        name: &'a str,
        bring: Bring,
        address: oneshot::Sender<Address>,
    ) -> Pending<'a, Result<(), Trouble>>;

    /// How an MCP server gets a stored credential: `None` where there is none.
    fn server(&self, wish: ServerWish) -> Pending<'_, Result<Option<Reach>, Trouble>>;
}

/// An MCP server that an agent is to reach with a credential.
pub struct ServerWish {
    /// The credential, where the editor names it; else the server's.
    pub name: Option<String>,
    pub url: String,
    /// For people.
    pub title: String,
    /// The header for it, where the editor has one, and what stands there before it.
    pub header: Option<(String, String)>,
    /// The agent can be led to another address.
    pub can_move: bool,
}

/// A server with its credential.
pub enum Reach {
    /// By authctl's proxy: the address there, and what opens it.
    Lent { url: String, header: (String, Secret) },
    /// By a header with the credential itself.
    Given { header: (String, Secret) },
}
