//! The MCP servers that an editor names when it opens a session: headers that stand for a stored credential get
//! it, `authctl:NAME` in place of a value, and so does a server that the store has a credential for.

use serde_json::Value;

use super::Relay;
use crate::jsonrpc::{Message, rewritten};
use crate::text::clean;

/// What stands before the name of a credential.
const PREFIX: &str = "authctl:";

/// Whether a session has servers that may need one.
pub fn wants_headers(request: &Message) -> bool {
    request.text().contains("mcpServers") && servers(request).iter().any(|it| it["url"].is_string())
}

fn servers(request: &Message) -> Vec<Value> {
    let servers = &request.member("params")["mcpServers"];
    servers.as_array().cloned().unwrap_or_default()
}

impl Relay {
    /// The request with the headers that were to be filled in.
    pub(super) async fn with_headers(&self, request: Message) -> Result<Message, String> {
        if !wants_headers(&request) {
            return Ok(request);
        }
        let mut all = servers(&request);
        let mut is_changed = false;
        for server in &mut all {
            is_changed |= self.fill(server).await?;
        }
        if !is_changed {
            return Ok(request);
        }
        Ok(rewritten(&request, |message| {
            message.edit("params", |params| params.set_value("mcpServers", &Value::Array(all)));
        }))
    }

    /// Whether the server got something.
    async fn fill(&self, server: &mut Value) -> Result<bool, String> {
        let Some(url) = server["url"].as_str().map(str::to_owned) else { return Ok(false) };
        let title = clean(server["name"].as_str().unwrap_or(&url));
        let headers = server["headers"].as_array_mut();
        let mut named = Vec::new();
        let mut has_authorization = false;
        for header in headers.into_iter().flatten() {
            let name = header["name"].as_str().unwrap_or_default();
            has_authorization |= name.eq_ignore_ascii_case("authorization");
            let value = header["value"].as_str().unwrap_or_default();
            if let Some((before, name)) = value.split_once(PREFIX)
                && ["", "Bearer "].contains(&before)
            {
                named.push((name.trim().to_owned(), header));
            }
        }
        if !named.is_empty() {
            for (name, header) in named {
                let found = self.settings.supply.header(Some(&name), &url).await;
                let found = found.map_err(|trouble| format!("{title}: {}", trouble.0))?;
                let (_, value) = found.ok_or_else(|| {
                    format!("{title}: nobody is signed in to {0}; authctl login {0}", clean(&name))
                })?;
                header["value"] = Value::from(value.expose());
            }
            return Ok(true);
        }
        if has_authorization {
            return Ok(false);
        }
        // A server that is only perhaps known gets on without.
        let Ok(Some((name, value))) = self.settings.supply.header(None, &url).await else {
            return Ok(false);
        };
        let header = serde_json::json!({"name": name, "value": value.expose()});
        match server["headers"].as_array_mut() {
            Some(headers) => headers.push(header),
            None => server["headers"] = Value::Array(vec![header]),
        }
        Ok(true)
    }
}
