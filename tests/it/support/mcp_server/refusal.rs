//! What the gates say: the texts of real servers.

use serde_json::{Value, json};

use super::{Gate, Shown, State};
use crate::support::http::Answer;

impl State {
    /// The refusal of a whole request.
    pub(super) fn refuse_http(&self, shown: Shown) -> Option<Answer> {
        if shown == Shown::Good {
            return None;
        }
        match self.gate {
            Gate::Http | Gate::Scope => Some(self.challenge(shown)),
            Gate::HttpBare => Some(Answer::new(401, "text/plain", "Unauthorized\n")),
            Gate::HttpLink if !self.is_followed => Some(Answer::json(
                401,
                &json!({ "error": "unauthorized", "authorization_url": self.link }),
            )),
            _ => None,
        }
    }

    /// The SDK of AdCP calls a token that is missing invalid as well.
    fn challenge(&self, shown: Shown) -> Answer {
        let why = match shown {
            Shown::Nothing => "Missing or unrecognized credentials.",
            _ => "Token validation failed.",
        };
        let header = format!(
            "Bearer realm=\"mcp\", error=\"invalid_token\", error_description=\"{why}\"{}",
            self.metadata_parameter()
        );
        Answer::json(401, &json!({ "error": "invalid_token", "error_description": why }))
            .header("www-authenticate", &header)
    }

    fn metadata_parameter(&self) -> String {
        if self.issuer.is_none() {
            return String::new();
        }
        let place = format!("{}/.well-known/oauth-protected-resource/mcp", self.origin);
        format!(", scope=\"{}\", resource_metadata=\"{place}\"", self.scope)
    }

    /// RFC 6750 §3.1.
    pub(super) fn insufficient_scope(&self) -> Answer {
        let scope = if self.issuer.is_none() {
            format!(", scope=\"{}\"", self.scope)
        } else {
            self.metadata_parameter()
        };
        let header = format!("Bearer error=\"insufficient_scope\"{scope}");
        Answer::json(403, &json!({ "error": "insufficient_scope" }))
            .header("www-authenticate", &header)
    }

    /// The refusal of a call, with status 200.
    pub(super) fn refuse_call(&self, tool: &str, shown: Shown) -> Option<Value> {
        let is_closed = !self.is_followed && shown != Shown::Good;
        match self.gate {
            Gate::Tool | Gate::ToolText if tool != "get_adcp_capabilities" => self.adcp(shown),
            Gate::Handler if tool == "build_creative" => self.adcp(shown),
            Gate::Prose if is_closed => Some(json!({ "result": {
                "content": [{
                    "type": "text",
                    "text": "Unable to query: empty authorization: not authorized",
                }],
                "isError": true,
            } })),
            Gate::LinkError if is_closed => {
                Some(json!({ "error": { "code": -32603, "message": self.request_to_follow() } }))
            }
            Gate::AuthorizeTool if is_closed && tool == "authorize" => Some(json!({ "result": {
                "content": [{ "type": "text", "text": self.request_to_follow() }],
            } })),
            Gate::ElicitationError if is_closed => Some(self.elicitation()),
            Gate::Connection if !self.is_followed => Some(refused(&json!({
                "code": "AUTHORIZATION_REQUIRED",
                "message": "A connection is missing.",
                "recovery": "correctable",
                "details": { "missing_connections": [{
                    "provider": "social.example",
                    "status": "missing",
                    "authorization_url": self.link,
                    "authorization_instructions": "Connect the page that owns the post.",
                }] },
            }))),
            _ => None,
        }
    }

    fn adcp(&self, shown: Shown) -> Option<Value> {
        let error = match (shown, self.is_adcp_3_1) {
            (Shown::Good, _) => return None,
            (Shown::Nothing, is_3_1) => json!({
                "code": if is_3_1 { "AUTH_MISSING" } else { "AUTH_REQUIRED" },
                "message": "Single-tenant agent requires an authenticated principal; no credential on ctx.authInfo.",
                "recovery": "correctable",
            }),
            (Shown::Bad, is_3_1) => json!({
                "code": if is_3_1 { "AUTH_INVALID" } else { "AUTH_REQUIRED" },
                "message": "The provider refused the credential.",
                "recovery": "terminal",
                "suggestion": "check the key",
            }),
        };
        let mut refusal = refused(&error);
        if self.gate == Gate::ToolText {
            let result = refusal["result"].as_object_mut().unwrap();
            result.remove("structuredContent");
        }
        Some(refusal)
    }

    /// The gateway's words, which are meant for a model.
    fn request_to_follow(&self) -> String {
        format!(
            "\nThis tool require manual action from user, generate for user an ask to go via link to auth a tool.\nLink is follows: [auth]({})\nPrompt to user a link as markdown link above.\n\n!Important, client must retry this call, no need to wait instructions from user.\n",
            self.link
        )
    }

    /// MCP 2025-11-25, client/elicitation.
    fn elicitation(&self) -> Value {
        json!({ "error": {
            "code": -32042,
            "message": "This request requires more information.",
            "data": { "elicitations": [{
                "mode": "url",
                "elicitationId": "550e8400-e29b-41d4-a716-446655440000",
                "url": self.link,
                "message": "Authorization is required to access your files.",
            }] },
        } })
    }
}

/// A refused call as AdCP's SDK writes it: as structure and as text.
fn refused(error: &Value) -> Value {
    let content = json!({ "adcp_error": error });
    json!({ "result": {
        "content": [{ "type": "text", "text": content.to_string() }],
        "structuredContent": content,
        "isError": true,
    } })
}
