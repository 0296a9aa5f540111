//! Signing in while a session goes on, at a real AdCP agent (`@adcp/sdk`) and with a certified OpenID provider:
//! whichever way the agent says "log in", the call that needed it succeeds.

#![cfg(unix)]

use serde_json::{Value, json};

use crate::real_parts::{McpServer, OpenIdProvider, Person, present};
use crate::support::mcp_host::Host;
use crate::support::sandbox::Sandbox;

fn creative() -> Value {
    let format = json!({ "agent_url": "https://agent.example", "id": "audio_30s" });
    let arguments = json!({
        "idempotency_key": "0123456789abcdef",
        "target_format_id": format,
        "creative_manifest": { "format_id": format, "assets": {} },
    });
    json!({ "name": "build_creative", "arguments": arguments })
}

/// What the agent was asked for with this tool.
fn calls(server: &McpServer) -> usize {
    server.seen().iter().filter(|it| it["tool"] == "build_creative").count()
}

/// Over HTTP the agent says whose tokens it takes; inside a tool's result it cannot, and the configuration does.
#[test]
fn an_adcp_agent_is_signed_in_to_at_whichever_gate() {
    if !present(&["node", "chromium"]) {
        return;
    }
    for gate in ["http", "tool", "handler"] {
        let provider = OpenIdProvider::start(&json!({ "token_format": "jwt" }));
        let server =
            McpServer::start("adcp-agent.mjs", &json!({ "gate": gate, "issuer": provider.issuer }));
        let mut sandbox = Sandbox::new();
        Person::at(&mut sandbox, json!({}));
        if gate != "http" {
            sandbox.write_config(&format!(
                "[provider.agent]\nmcp_url = \"{0}\"\n[provider.agent.oauth]\nissuer = \"{1}\"\n\
                 client = \"register\"\nresource = \"{0}\"\nscopes = [\"api:read\"]\n",
                server.url, provider.issuer
            ));
        }
        let mut host = Host::met(&sandbox, &[&server.url, "--call-wait", "2m"]);
        let open =
            host.call("tools/call", &json!({ "name": "get_adcp_capabilities", "arguments": {} }));
        let built = host.call("tools/call", &creative());
        let text = built["result"]["content"][0]["text"].as_str();
        assert_eq!(text, Some("Creative built: audio_30s"), "{gate}: {built} {}", host.said());
        assert!(open["result"]["isError"] != true, "{gate}: {open}");
        let answers = provider.all_answers();
        let tokens = answers.iter().filter(|one| one["endpoint"] == "token").count();
        assert_eq!(tokens, 1, "{gate}");
        host.last_words();
    }
}

/// The key is refused: the agent hears of it once a call, and the host gets the agent's words.
#[test]
fn a_key_that_an_adcp_agent_refuses_is_not_tried_again() {
    if !present(&["node"]) {
        return;
    }
    for code in ["AUTH_REQUIRED", "AUTH_INVALID"] {
        let options = json!({ "gate": "handler", "key": "the-right-key", "rejected": code });
        let server = McpServer::start("adcp-agent.mjs", &options);
        let sandbox = Sandbox::new();
        let login = ["login", &server.url, "--name", "agent", "--with-token"];
        sandbox.run_with_input(login, "the-wrong-key\n").success();
        let mut host = Host::met(&sandbox, &["agent"]);
        let refused = host.call("tools/call", &creative());
        let error = &refused["result"]["structuredContent"]["adcp_error"];
        assert_eq!((&error["code"], &error["recovery"]), (&json!(code), &json!("terminal")));
        assert_eq!(calls(&server), 1);
        assert!(sandbox.opened_urls().is_empty());
        assert!(host.last_words().contains("authctl login"));
    }
}
