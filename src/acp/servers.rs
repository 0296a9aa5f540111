//! The MCP servers that an editor names when it opens a session: one with a header that stands for a stored
//! credential, `authctl:NAME` in place of a value, is reached with it, and so is one that the store has a credential
//! for. That is by authctl's proxy wherever the agent can be led there.

use serde_json::{Value, json};

use super::{Reach, Relay, ServerWish};
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
        let named = named(server);
        if named.is_empty() && has_authorization(server) {
            return Ok(false);
        }
        // The older transport names further addresses of the server's, and of several credentials only one could
        // be put in on the way.
        let can_move = server["type"] != "sse" && named.len() < 2;
        let wish = |name: Option<&Named>| ServerWish {
            name: name.map(|it| it.credential.clone()),
            url: url.clone(),
            title: title.clone(),
            header: name.map(|it| (it.header.clone(), it.before.clone())),
            can_move,
        };
        if named.is_empty() {
            // A server that is only perhaps known gets on without.
            let Ok(Some(reach)) = self.settings.supply.server(wish(None)).await else {
                return Ok(false);
            };
            lead(server, reach, None);
            return Ok(true);
        }
        for it in &named {
            let found = self.settings.supply.server(wish(Some(it))).await;
            let found = found.map_err(|trouble| format!("{title}: {}", trouble.0))?;
            let reach = found.ok_or_else(|| {
                let name = clean(&it.credential);
                format!("{title}: nobody is signed in to {name}; authctl login {name}")
            })?;
            lead(server, reach, Some(&it.header));
        }
        Ok(true)
    }
}

/// A header that stands for a credential.
struct Named {
    header: String,
    credential: String,
    /// What stands before it.
    before: String,
}

fn headers(server: &Value) -> impl Iterator<Item = (&str, &str)> {
    let headers = server["headers"].as_array().into_iter().flatten();
    headers.filter_map(|header| Some((header["name"].as_str()?, header["value"].as_str()?)))
}

fn named(server: &Value) -> Vec<Named> {
    let named = headers(server).filter_map(|(header, value)| {
        let (before, name) = value.split_once(PREFIX)?;
        ["", "Bearer "].contains(&before).then(|| Named {
            header: header.to_owned(),
            credential: name.trim().to_owned(),
            before: before.to_owned(),
        })
    });
    named.collect()
}

fn has_authorization(server: &Value) -> bool {
    headers(server).any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
}

/// Has the agent reach the server so; `replaced` is the header that stood for the credential.
fn lead(server: &mut Value, reach: Reach, replaced: Option<&str>) {
    let (name, value) = match reach {
        Reach::Lent { url, header } => {
            server["url"] = Value::from(url);
            header
        }
        Reach::Given { header } => header,
    };
    let mut all = server["headers"].as_array().cloned().unwrap_or_default();
    let header = json!({"name": name, "value": value.expose()});
    match all.iter_mut().find(|it| replaced.is_some_and(|old| it["name"] == old)) {
        Some(there) => *there = header,
        None => all.push(header),
    }
    server["headers"] = Value::Array(all);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn headers_that_stand_for_a_credential_are_found() {
        let header = |value: &str| json!({"headers": [{"name": "X-Key", "value": value}]});
        let found = named(&header("Bearer authctl: acme:work "));
        assert_eq!(found[0].credential, "acme:work");
        assert_eq!((&*found[0].header, &*found[0].before), ("X-Key", "Bearer "));
        assert!(named(&header("Token authctl:acme")).is_empty());
        assert!(named(&header("acme")).is_empty());
        assert!(named(&json!({"headers": "x"})).is_empty());
    }

    #[test]
    fn the_way_by_the_proxy_leaves_nothing_of_the_header_that_stood_there() {
        let header = ("x-authctl-key".to_owned(), Secret::new("stand-in"));
        let reach = Reach::Lent { url: "http://127.0.0.1:1/acme".to_owned(), header };
        let team = json!({"name": "X-Team", "value": "5"});
        let own = json!({"name": "Authorization", "value": "authctl:acme"});
        let mut server = json!({"url": "https://a.example/mcp", "headers": [own, team]});
        lead(&mut server, reach, Some("Authorization"));
        let opened = json!({"name": "x-authctl-key", "value": "stand-in"});
        assert_eq!(server, json!({"url": "http://127.0.0.1:1/acme", "headers": [opened, team]}));
    }
}
