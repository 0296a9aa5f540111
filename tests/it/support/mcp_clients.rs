//! The files of MCP clients, as people have them.

use serde_json::Value;

use super::others_files::HIDDEN;

/// The address of a server.
pub const URL: &str = "https://mcp.linear.app/mcp";

/// JSON with comments and commas at the end, without them.
pub fn plain(text: &str) -> Value {
    let comments = regex::Regex::new(r"(?m)(^|\s)//.*$|/\*[^*]*\*/").unwrap();
    let commas = regex::Regex::new(r",(\s*[}\]])").unwrap();
    let text = comments.replace_all(text, "").into_owned();
    serde_json::from_str(&commas.replace_all(&text, "$1")).unwrap()
}

/// Client, file, what is in it, and the keys that lead to its servers.
pub fn files() -> Vec<(&'static str, &'static str, String, &'static str)> {
    let servers = |table: &str| {
        format!(
            "{{\n  // mine {HIDDEN}\n  \"other\": {{ \"key\": \"{HIDDEN}\" }},\n  \"{table}\": {{\n    \"own\": {{ // first\n      \"command\": \"npx\",\n      \"args\": [\"-y\", \"x\"],\n      \"env\": {{ \"X_API_KEY\": \"{HIDDEN}\" }}\n    }} // last\n    /* the end */\n  }},\n  \"z\": [1, 2]\n}}\n"
        )
    };
    let settings = format!("{{\n  // mine\n  \"theme\": \"{HIDDEN}\", // dark\n}}\n");
    vec![
        ("claude-code", "home/.claude.json", servers("mcpServers"), "mcpServers"),
        (
            "claude-desktop",
            "home/.config/Claude/claude_desktop_config.json",
            "{}".into(),
            "mcpServers",
        ),
        ("cursor", "home/.cursor/mcp.json", servers("mcpServers"), "mcpServers"),
        ("vscode", "home/.config/Code/User/mcp.json", servers("servers"), "servers"),
        ("zed", "home/.config/zed/settings.json", settings, "context_servers"),
        ("gemini", "home/.gemini/settings.json", servers("mcpServers"), "mcpServers"),
        (
            "windsurf",
            "home/.codeium/windsurf/mcp_config.json",
            "{\n\t\"mcpServers\": {}\n}".into(),
            "mcpServers",
        ),
        (
            "cline",
            "home/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
            "{\r\n  \"mcpServers\": {\r\n    \"a\": { \"url\": \"https://a.example\" }\r\n  }\r\n}\r\n"
                .into(),
            "mcpServers",
        ),
        (
            "codex",
            "home/.codex/config.toml",
            format!(
                "model = \"{HIDDEN}\" # mine\n\n[mcp_servers.own]\ncommand = \"npx\" # old\n[mcp_servers.own.env]\nX_API_KEY = \"{HIDDEN}\"\n\n[profiles.x]\nmodel = \"y\"\n# the end\n"
            ),
            "",
        ),
    ]
}
