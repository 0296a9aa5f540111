//! One server in a client's list, and how it is reached today.

use serde_json::Value;

use super::Literal;
use super::entry::{Entry, Through, origin};
use super::mcp_servers;

/// A server as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// The keys that lead to it.
    pub at: Vec<String>,
    pub value: Value,
}

impl Server {
    pub fn name(&self) -> &str {
        self.at.last().map_or("", String::as_str)
    }

    pub fn literals(&self) -> Vec<Literal> {
        mcp_servers::literals(&self.at, &self.value)
    }

    /// The address of a remote one.
    pub fn url(&self) -> Option<&str> {
        mcp_servers::url(self.value.as_object()?)
    }

    /// The command of a local one. Zed's older form has its parts in a table of their own.
    pub fn entry(&self) -> Option<Entry> {
        let (program, table) = match self.value.get("command")? {
            Value::String(program) => (program.as_str(), &self.value),
            older => (older.get("path")?.as_str()?, older),
        };
        let args = table.get("args").and_then(Value::as_array).into_iter().flatten();
        let args = args.map(|arg| arg.as_str().unwrap_or_default().to_owned()).collect();
        Some(Entry { command: program.to_owned(), args })
    }

    /// Whether authctl runs it.
    pub fn through(&self) -> Option<Through> {
        self.entry()?.through()
    }

    /// Where it leads, in a few words: a host or a program. The rest of an address may be a secret.
    pub fn target(&self) -> Option<String> {
        match self.url() {
            Some(url) => origin(url),
            None => self.entry()?.target(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(value: Value) -> Server {
        Server { at: vec!["mcpServers".into(), "x".into()], value }
    }

    #[test]
    fn what_runs_through_authctl_is_told_from_what_does_not() {
        for (value, through, target) in [
            (
                json!({ "command": "/usr/bin/authctl", "args": ["mcp", "https://a.example/mcp?k=1"] }),
                Some(Through::Mcp),
                Some("https://a.example"),
            ),
            (
                json!({ "command": "C:\\x\\authctl.exe", "args": ["exec", "--with", "a", "--", "/bin/npx", "-y"] }),
                Some(Through::Exec),
                Some("npx"),
            ),
            (json!({ "command": "authctl", "args": ["status"] }), None, Some("authctl")),
            (json!({ "command": { "path": "/b/node", "args": [] } }), None, Some("node")),
            (
                json!({ "serverUrl": "https://k@b.example/s/secret" }),
                None,
                Some("https://b.example"),
            ),
            (json!({ "command": 1 }), None, None),
            (json!("text"), None, None),
        ] {
            let server = server(value);
            assert_eq!(server.through(), through, "{server:?}");
            assert_eq!(server.target().as_deref(), target, "{server:?}");
        }
    }
}
