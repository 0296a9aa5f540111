//! The servers of clients without sessions: one for all where the server itself is of 2026-07-28. An older one is
//! told once, in its handshake, who its client is and what that can do, so that each kind of client has one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::spawn_local;

use super::stateless::Stateless;
use crate::jsonrpc::Message;
use crate::launch::Ending;
use crate::mcp::meta::Client;
use crate::mcp::{Child, Era, Hosts, Outfitter, Settings};

/// Kinds of clients at a time, each with a process of its own.
const KINDS: usize = 16;

/// The servers, by the kind of client that each one has.
pub struct Kinds {
    outfitter: Rc<dyn Outfitter>,
    settings: Settings,
    idle: Duration,
    servers: RefCell<HashMap<String, Rc<Stateless>>>,
    /// The server that was started last needs no handshake.
    is_modern: Cell<bool>,
    /// Held by the one who starts a server.
    starting: Mutex<()>,
}

impl Kinds {
    pub fn new(outfitter: Rc<dyn Outfitter>, settings: Settings, idle: Duration) -> Rc<Self> {
        Rc::new(Self {
            outfitter,
            settings,
            idle,
            servers: RefCell::default(),
            is_modern: Cell::default(),
            starting: Mutex::default(),
        })
    }

    /// The server for whoever sent `message`; `None`: all are in use.
    pub async fn server(self: &Rc<Self>, message: &Message) -> Option<Rc<Stateless>> {
        let client = Client::of(message);
        if let Some(server) = self.known(&client) {
            return Some(server);
        }
        // Goes on where the client is gone meanwhile.
        spawn_local(self.clone().start(client)).await.ok().flatten()
    }

    fn known(&self, client: &Client) -> Option<Rc<Stateless>> {
        self.servers.borrow().get(&self.kind(client)).cloned()
    }

    fn kind(&self, client: &Client) -> String {
        if self.is_modern.get() {
            return String::new();
        }
        json!([client.info, client.capabilities]).to_string()
    }

    async fn start(self: Rc<Self>, client: Client) -> Option<Rc<Stateless>> {
        let _turn = self.starting.lock().await;
        if let Some(server) = self.known(&client) {
            return Some(server);
        }
        if !self.make_room() {
            return None;
        }
        let child = Child::new(self.outfitter.clone(), Hosts::Many);
        let server = Stateless::start(child.clone(), self.settings.clone(), &client).await;
        self.is_modern.set(child.era() == Some(Era::Modern));
        let kind = self.kind(&client);
        self.servers.borrow_mut().insert(kind.clone(), server.clone());
        spawn_local(self.clone().tend(kind, server.clone()));
        Some(server)
    }

    /// Whether one more kind may come; the one that nobody has used for the longest time gives way.
    fn make_room(&self) -> bool {
        let mut servers = self.servers.borrow_mut();
        if servers.len() < KINDS {
            return true;
        }
        let idle = servers.iter().filter(|(_, server)| server.is_idle());
        let oldest = idle.min_by_key(|(_, server)| server.used()).map(|(kind, _)| kind.clone());
        let oldest = oldest.and_then(|kind| servers.remove(&kind));
        oldest.inspect(|server| server.close()).is_some()
    }

    /// Stays with a server to its end.
    async fn tend(self: Rc<Self>, kind: String, server: Rc<Stateless>) {
        server.over(self.idle).await;
        self.servers.borrow_mut().retain(|of, other| *of != kind || !Rc::ptr_eq(other, &server));
        server.end(Ending::Closed).await;
    }

    /// Ends every server at once.
    pub async fn end(&self) {
        let servers: Vec<_> = self.servers.borrow_mut().drain().map(|(_, server)| server).collect();
        let mut ending = tokio::task::JoinSet::new();
        for server in servers {
            ending.spawn_local(async move { server.end(Ending::Terminated).await });
        }
        while ending.join_next().await.is_some() {}
    }
}
