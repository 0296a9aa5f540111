//! Somebody who is signed in at the scripted authorization server, through the real binary and its
//! real browser flow, with the encrypted file as store.

use jiff::SignedDuration;
use serde_json::Value;

use super::authorization_server::{AuthorizationServer, Endpoint, Fault};
use super::browser;
use super::demo;
use super::sandbox::{Output, Sandbox};
use super::sealed::Sealed;

/// The provider that is signed in to; its credential goes into `DEMO_TOKEN`.
pub const PROVIDER: &str = "demo";

pub struct SignedIn {
    pub server: AuthorizationServer,
    pub sandbox: Sandbox,
    pub store: Sealed,
}

impl SignedIn {
    /// The access token lives an hour.
    pub fn new() -> Self {
        Self::with("", |_| {})
    }

    /// The same with further lines in the provider's `oauth` table, at a server that `prepare` had
    /// its way with.
    pub fn with(lines: &str, prepare: impl FnOnce(&AuthorizationServer)) -> Self {
        let signed_in = Self::not_yet(lines, prepare);
        login(&signed_in.sandbox, &[]).success();
        signed_in
    }

    /// Everything but the login.
    pub fn not_yet(lines: &str, prepare: impl FnOnce(&AuthorizationServer)) -> Self {
        let server = AuthorizationServer::start();
        server.register("public", None);
        prepare(&server);
        let sandbox = Sandbox::new();
        sandbox.write_config(&config(&server, lines));
        Self { store: Sealed::of(&sandbox), server, sandbox }
    }

    /// `authctl token demo` with further arguments.
    pub fn token(&self, arguments: &[&str]) -> Output {
        self.sandbox.run([&["token", PROVIDER], arguments].concat())
    }

    pub fn record(&self) -> Value {
        self.store.record(PROVIDER)
    }

    /// What the store holds of the login itself: tokens and binding.
    pub fn credential(&self) -> Value {
        self.record()["credential"].clone()
    }

    pub fn refresh_token(&self) -> Value {
        self.credential()["tokens"]["refresh_token"].clone()
    }

    /// Time passes.
    pub fn pass(&self, time: SignedDuration) {
        self.store.pass(PROVIDER, time);
    }

    /// The access token ends.
    pub fn expire(&self) {
        self.pass(SignedDuration::from_hours(2));
    }

    /// What the next token request meets.
    pub fn next(&self, fault: Fault) {
        self.server.script(Endpoint::Token, fault);
    }

    /// How many refreshes were asked for.
    pub fn refreshes(&self) -> usize {
        self.server.grants("refresh_token")
    }
}

/// The configuration of `demo` at this server, with a client that the server knows.
pub fn config(server: &AuthorizationServer, lines: &str) -> String {
    let client = "client_id = \"public\"\nauthentication = \"none\"\nscopes = [\"read\"]";
    demo::config(server, &format!("{client}\n{lines}"))
}

/// `authctl login demo` with further arguments; the person follows the URL and says yes.
pub fn login(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let _ = std::fs::remove_file(sandbox.path("opened-urls"));
    let mut running = sandbox.start(sandbox.command([&["login", PROVIDER], arguments].concat()));
    browser::open(&running.opened_url());
    running.finish()
}
