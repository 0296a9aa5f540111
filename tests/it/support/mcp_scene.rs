//! A gated MCP server whose tokens come from the scripted authorization server, and a person with a browser
//! that only notes what it is asked to open.

use serde_json::{Value, json};

use super::authorization_server::{AuthorizationServer, Endpoint};
use super::mcp_host::Host;
use super::mcp_server::{Gate, McpServer, Mode};
use super::sandbox::Sandbox;
use super::sealed::Sealed;
use super::{browser, eventually};

/// The name of the server once somebody has signed in.
pub const NAME: &str = "acme";

pub struct Scene {
    pub server: AuthorizationServer,
    pub mcp: McpServer,
    pub sandbox: Sandbox,
}

impl Scene {
    /// Nobody is signed in.
    pub fn new(gate: Gate) -> Self {
        Self::with(gate, Mode::Json)
    }

    pub fn with(gate: Gate, mode: Mode) -> Self {
        let server = AuthorizationServer::start();
        let mcp = McpServer::start(gate, mode);
        mcp.issue_from(&server.issuer());
        mcp.trust(server.introspection());
        server.rules(|rules| rules.resource = Some(mcp.url()));
        Self { server, mcp, sandbox: Sandbox::new() }
    }

    /// The person has signed in before.
    pub fn signed_in(gate: Gate) -> Self {
        let scene = Self::new(gate);
        scene.sign_in(&["--name", NAME]);
        let _ = std::fs::remove_file(scene.sandbox.path("opened-urls"));
        scene
    }

    /// `authctl login` with these arguments.
    pub fn sign_in(&self, arguments: &[&str]) {
        let url = self.mcp.url();
        let command = self.sandbox.command([&["login", url.as_str()], arguments].concat());
        let mut running = self.sandbox.start(command);
        browser::open(&running.opened_url());
        running.finish().success();
    }

    /// A key is stored for the server.
    pub fn paste(&self, key: &str) {
        let url = self.mcp.url();
        let login = ["login", &url, "--name", NAME, "--with-token"];
        self.sandbox.run_with_input(login, &format!("{key}\n")).success();
    }

    /// A host of a bridge to the server.
    pub fn host(&self, arguments: &[&str]) -> Host {
        Host::start(&self.sandbox, &[&[self.mcp.url().as_str()], arguments].concat())
    }

    /// The tabs so far.
    pub fn tabs(&self) -> Vec<String> {
        self.sandbox.opened_urls()
    }

    /// Waits for tab number `at`.
    #[track_caller]
    pub fn tab(&self, at: usize) -> String {
        eventually("a tab", || self.tabs().into_iter().nth(at))
    }

    /// The person says yes in tab number `at`.
    #[track_caller]
    pub fn agree(&self, at: usize) {
        browser::open(&self.tab(at));
    }

    pub fn registrations(&self) -> usize {
        self.server.requests(Endpoint::Register).len()
    }

    pub fn refreshes(&self) -> usize {
        self.server.grants("refresh_token")
    }

    /// What must never be seen: issued, or sent to the token endpoint.
    pub fn secrets(&self) -> Vec<String> {
        let requests = self.server.requests(Endpoint::Token);
        let forms = requests.iter().flat_map(super::http::Request::form);
        let secret = forms.filter(|(name, _)| name == "code_verifier" || name == "code");
        self.server.secrets().into_iter().chain(secret.map(|(_, value)| value)).collect()
    }

    pub fn store(&self) -> Sealed {
        Sealed::of(&self.sandbox)
    }

    /// How many calls of tools the server got, also those that it refused.
    pub fn calls(&self) -> usize {
        self.mcp.calls("tools/call").len()
    }
}

/// The parameters of a call.
pub fn call(tool: &str) -> Value {
    json!({ "name": tool, "arguments": { "a": 1 } })
}

/// The same of a host without a handshake.
pub fn modern(parameters: &Value, capabilities: &Value) -> Value {
    let mut parameters = parameters.clone();
    parameters["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": { "name": "host", "version": "1" },
    });
    parameters
}

/// What a host says that can show links.
pub fn shows_links() -> Value {
    json!({ "elicitation": { "url": {} } })
}

/// The names of a list of tools.
#[track_caller]
pub fn tools(answer: &Value) -> Vec<String> {
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// The text of a result.
#[track_caller]
pub fn text(answer: &Value) -> String {
    let text = answer["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Whether a call was carried out.
pub fn is_done(answer: &Value) -> bool {
    answer["result"]["structuredContent"]["arguments"]["a"] == 1
}

/// The first address in a text.
#[track_caller]
pub fn link(text: &str) -> String {
    let mut words = text.split_whitespace();
    words.find(|word| word.starts_with("http")).unwrap_or_else(|| panic!("{text}")).to_owned()
}
