//! The provider of most tests: `demo`, whose authorization server is the fake one.

use super::authorization_server::AuthorizationServer;
use super::browser;
use super::sandbox::{Output, Sandbox};

/// A sandbox that knows the provider `demo`, and its server.
pub struct Demo {
    pub sandbox: Sandbox,
    pub server: AuthorizationServer,
}

impl Demo {
    /// A client is registered by the login itself (RFC 7591).
    pub fn new() -> Self {
        Self::with("client = \"register\"")
    }

    /// The same with other keys in `[provider.demo.oauth]`.
    pub fn with(keys: &str) -> Self {
        let server = AuthorizationServer::start();
        let sandbox = Sandbox::new();
        sandbox.write_config(&config(&server, keys));
        Self { sandbox, server }
    }

    /// `authctl login` with the browser, which says yes.
    pub fn login(&self, arguments: &[&str]) -> Output {
        let mut command = self.sandbox.command(["login"]);
        command.args(arguments);
        let mut running = self.sandbox.start(command);
        browser::open(&running.opened_url());
        running.finish()
    }

    /// A demo that is signed in.
    pub fn signed_in() -> Self {
        let demo = Self::new();
        demo.login(&["demo"]).success();
        demo
    }

    pub fn token(&self, arguments: &[&str]) -> Output {
        let mut command = self.sandbox.command(["token", "demo"]);
        command.args(arguments);
        self.sandbox.start(command).finish()
    }
}

/// The configuration that knows `demo` at this server.
pub fn config(server: &AuthorizationServer, keys: &str) -> String {
    format!(
        "[provider.demo.oauth]\nissuer = \"{}\"\nvariables = [\"DEMO_TOKEN\"]\n{keys}\n",
        server.issuer()
    )
}
