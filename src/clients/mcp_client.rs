//! The MCP clients: in which file each keeps its servers, on which platform, for a person and for a project, and
//! how that file is laid out. Paths in, paths out.

use std::path::{Path, PathBuf};

use super::Format;

/// A program that runs MCP servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum McpClient {
    /// Claude Code: ~/.claude.json, and .mcp.json of a project
    ClaudeCode,
    /// Claude Desktop: claude_desktop_config.json
    ClaudeDesktop,
    /// Cursor: .cursor/mcp.json
    Cursor,
    /// VS Code: mcp.json of the user's profile, and .vscode/mcp.json
    Vscode,
    /// Zed: settings.json
    Zed,
    /// Codex: .codex/config.toml
    Codex,
    /// Gemini CLI: .gemini/settings.json
    Gemini,
    /// Windsurf: mcp_config.json
    Windsurf,
    /// Cline: cline_mcp_settings.json
    Cline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    Linux,
    MacOs,
    Windows,
}

impl Platform {
    pub const THIS: Self = if cfg!(windows) {
        Platform::Windows
    } else if cfg!(target_os = "macos") {
        Platform::MacOs
    } else {
        Platform::Linux
    };
}

/// Where a person's files are on one machine.
pub struct Machine<'a> {
    pub platform: Platform,
    pub home: PathBuf,
    /// `XDG_CONFIG_HOME`, `Application Support` or `AppData\Roaming`.
    pub settings: PathBuf,
    /// Variables by which a client is told of another place.
    pub variable: &'a dyn Fn(&str) -> Option<PathBuf>,
}

/// How a file lists servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub format: Format,
    /// The keys that lead to the table of servers.
    pub table: &'static [&'static str],
    /// Whether an entry says that it is run, by `"type": "stdio"`.
    pub is_typed: bool,
}

const PLAIN: Layout = Layout { format: Format::Mcp, table: &["mcpServers"], is_typed: false };
const TYPED: Layout = Layout { is_typed: true, ..PLAIN };
const VSCODE: Layout = Layout { table: &["servers"], ..TYPED };
const ZED: Layout = Layout { table: &["context_servers"], ..PLAIN };
const CODEX: Layout = Layout { format: Format::Codex, table: &["mcp_servers"], is_typed: false };

impl Layout {
    /// That of a file which no client is named for: by its name, and by a table that it has already.
    pub fn of_file(path: &Path, text: &str) -> Self {
        if path.extension().is_some_and(|end| end == "toml") {
            return CODEX;
        }
        let has = |table: &str| text.contains(&format!("\"{table}\""));
        let is_at = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
        match () {
            () if has("mcpServers") => PLAIN,
            () if has("context_servers") => ZED,
            () if has("servers") => VSCODE,
            () if is_at(&[".zed/settings.json", "zed/settings.json", "Zed/settings.json"]) => ZED,
            () if is_at(&[".vscode/mcp.json", "Code/User/mcp.json"]) => VSCODE,
            () => PLAIN,
        }
    }
}

impl McpClient {
    pub const ALL: [Self; 9] = [
        McpClient::ClaudeCode,
        McpClient::ClaudeDesktop,
        McpClient::Cursor,
        McpClient::Vscode,
        McpClient::Zed,
        McpClient::Codex,
        McpClient::Gemini,
        McpClient::Windsurf,
        McpClient::Cline,
    ];

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            McpClient::ClaudeCode => "Claude Code",
            McpClient::ClaudeDesktop => "Claude Desktop",
            McpClient::Cursor => "Cursor",
            McpClient::Vscode => "VS Code",
            McpClient::Zed => "Zed",
            McpClient::Codex => "Codex",
            McpClient::Gemini => "Gemini CLI",
            McpClient::Windsurf => "Windsurf",
            McpClient::Cline => "Cline",
        }
    }

    /// Its name on the command line.
    pub fn id(self) -> &'static str {
        match self {
            McpClient::ClaudeCode => "claude-code",
            McpClient::ClaudeDesktop => "claude-desktop",
            McpClient::Cursor => "cursor",
            McpClient::Vscode => "vscode",
            McpClient::Zed => "zed",
            McpClient::Codex => "codex",
            McpClient::Gemini => "gemini",
            McpClient::Windsurf => "windsurf",
            McpClient::Cline => "cline",
        }
    }

    pub fn layout(self) -> Layout {
        match self {
            McpClient::ClaudeCode => TYPED,
            McpClient::Vscode => VSCODE,
            McpClient::Zed => ZED,
            McpClient::Codex => CODEX,
            _ => PLAIN,
        }
    }

    /// The files of a person, that of today's versions first.
    pub fn user_files(self, machine: &Machine<'_>) -> Vec<PathBuf> {
        let Machine { home, settings, .. } = machine;
        let moved =
            |variable, own: &str| (machine.variable)(variable).unwrap_or_else(|| home.join(own));
        let cline = "globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json";
        match self {
            McpClient::ClaudeCode => vec![moved("CLAUDE_CONFIG_DIR", "").join(".claude.json")],
            McpClient::ClaudeDesktop => vec![settings.join("Claude/claude_desktop_config.json")],
            McpClient::Cursor => vec![home.join(".cursor/mcp.json")],
            McpClient::Vscode => vec![settings.join("Code/User/mcp.json")],
            McpClient::Zed => vec![match machine.platform {
                Platform::Linux => settings.join("zed/settings.json"),
                Platform::MacOs => home.join(".config/zed/settings.json"),
                Platform::Windows => settings.join("Zed/settings.json"),
            }],
            McpClient::Codex => vec![moved("CODEX_HOME", ".codex").join("config.toml")],
            McpClient::Gemini => vec![home.join(".gemini/settings.json")],
            McpClient::Windsurf => vec![home.join(".codeium/windsurf/mcp_config.json")],
            McpClient::Cline => vec![
                moved("CLINE_DATA_DIR", ".cline/data").join("settings/cline_mcp_settings.json"),
                settings.join("Code/User").join(cline),
            ],
        }
    }

    /// A file in which earlier versions kept servers, beside other settings.
    pub fn earlier_file(self, machine: &Machine<'_>) -> Option<PathBuf> {
        (self == McpClient::Vscode).then(|| machine.settings.join("Code/User/settings.json"))
    }

    /// The file of a project, by its place in it.
    pub fn project_file(self) -> Option<&'static str> {
        match self {
            McpClient::ClaudeCode => Some(".mcp.json"),
            McpClient::Cursor => Some(".cursor/mcp.json"),
            McpClient::Vscode => Some(".vscode/mcp.json"),
            McpClient::Zed => Some(".zed/settings.json"),
            McpClient::Codex => Some(".codex/config.toml"),
            McpClient::Gemini => Some(".gemini/settings.json"),
            McpClient::ClaudeDesktop | McpClient::Windsurf | McpClient::Cline => None,
        }
    }

    /// A directory that is there where the client is, for each of its files.
    pub fn mark(self, machine: &Machine<'_>, file: &Path) -> PathBuf {
        match (self, file.parent()) {
            (McpClient::ClaudeCode, Some(place)) if place == machine.home => place.join(".claude"),
            (_, place) => place.unwrap_or(file).to_owned(),
        }
    }
}

/// Whether a file is for more than servers: a table of them that becomes empty goes then.
pub fn is_settings(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    [".claude.json", "claude_desktop_config.json", "settings.json", "config.toml"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(platform: Platform, settings: &str, client: McpClient) -> Vec<String> {
        let machine =
            Machine { platform, home: "/h".into(), settings: settings.into(), variable: &|_| None };
        let files = client.user_files(&machine).into_iter();
        files.map(|file| file.to_string_lossy().replace('\\', "/")).collect()
    }

    #[test]
    fn each_platform_has_its_places() {
        let mac = "/h/Library/Application Support";
        let windows = "C:/Users/me/AppData/Roaming";
        for (client, linux, on_mac, on_windows) in [
            (
                McpClient::ClaudeDesktop,
                "/h/.config/Claude/claude_desktop_config.json",
                "/h/Library/Application Support/Claude/claude_desktop_config.json",
                "C:/Users/me/AppData/Roaming/Claude/claude_desktop_config.json",
            ),
            (
                McpClient::Vscode,
                "/h/.config/Code/User/mcp.json",
                "/h/Library/Application Support/Code/User/mcp.json",
                "C:/Users/me/AppData/Roaming/Code/User/mcp.json",
            ),
            (
                McpClient::Zed,
                "/h/.config/zed/settings.json",
                "/h/.config/zed/settings.json",
                "C:/Users/me/AppData/Roaming/Zed/settings.json",
            ),
        ] {
            assert_eq!(files(Platform::Linux, "/h/.config", client), [linux]);
            assert_eq!(files(Platform::MacOs, mac, client), [on_mac]);
            assert_eq!(files(Platform::Windows, windows, client), [on_windows]);
        }
        for (client, file) in [
            (McpClient::ClaudeCode, "/h/.claude.json"),
            (McpClient::Cursor, "/h/.cursor/mcp.json"),
            (McpClient::Codex, "/h/.codex/config.toml"),
            (McpClient::Gemini, "/h/.gemini/settings.json"),
            (McpClient::Windsurf, "/h/.codeium/windsurf/mcp_config.json"),
            (McpClient::Cline, "/h/.cline/data/settings/cline_mcp_settings.json"),
        ] {
            for platform in [Platform::Linux, Platform::MacOs, Platform::Windows] {
                assert_eq!(files(platform, "/s", client)[0], file);
            }
        }
    }

    #[test]
    fn a_variable_moves_a_clients_file() {
        let elsewhere = |name: &str| (name == "CODEX_HOME").then(|| PathBuf::from("/c"));
        let (home, settings) = ("/h".into(), "/h/.config".into());
        let machine = Machine { platform: Platform::Linux, home, settings, variable: &elsewhere };
        assert_eq!(McpClient::Codex.user_files(&machine), [PathBuf::from("/c/config.toml")]);
    }
}
