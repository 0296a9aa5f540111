//! Where other programs keep credentials, and which sort of file a path is.

use std::path::{Path, PathBuf};

use directories::BaseDirs;

use super::mcp_remote;
use crate::clients::Format;
use crate::context::environment;

/// What to look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    File(PathBuf, Format),
    /// mcp-remote's folder.
    McpRemote(PathBuf),
}

impl Place {
    pub fn path(&self) -> &Path {
        match self {
            Place::File(path, _) | Place::McpRemote(path) => path,
        }
    }

    /// What is at a path that somebody named; `None`: its name does not tell.
    pub fn named(path: &Path, format: Option<Format>) -> Option<Self> {
        if let Some(format) = format {
            return Some(Place::File(path.to_owned(), format));
        }
        if path.is_dir() {
            let has_sessions = !mcp_remote::token_files(path).is_empty();
            return has_sessions.then(|| Place::McpRemote(path.to_owned()));
        }
        let name = path.file_name()?.to_str()?;
        let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let format = match (name, folder, path.extension().and_then(|end| end.to_str())) {
            ("hosts.yml" | "hosts.yaml", _, _) => Format::Gh,
            ("config.json", Some(".adcp"), _) => Format::Adcp,
            (_, _, Some("toml")) => Format::Codex,
            (_, _, Some("json" | "jsonc")) => Format::Mcp,
            (_, _, Some("env")) => Format::Dotenv,
            _ if name == ".env" || name.starts_with(".env.") || name == ".envrc" => Format::Dotenv,
            _ => return None,
        };
        Some(Place::File(path.to_owned(), format))
    }
}

/// Files of a project, by their place in it.
const IN_PROJECT: [(&str, Format); 8] = [
    (".env", Format::Dotenv),
    (".env.local", Format::Dotenv),
    (".env.development", Format::Dotenv),
    (".env.production", Format::Dotenv),
    (".mcp.json", Format::Mcp),
    (".cursor/mcp.json", Format::Mcp),
    (".vscode/mcp.json", Format::Mcp),
    (".gemini/settings.json", Format::Mcp),
];

/// Files of a person, by their place in the home directory.
const IN_HOME: [(&str, Format); 6] = [
    (".claude.json", Format::Mcp),
    (".cursor/mcp.json", Format::Mcp),
    (".codeium/windsurf/mcp_config.json", Format::Mcp),
    (".gemini/settings.json", Format::Mcp),
    (".config/zed/settings.json", Format::Mcp),
    (".adcp/config.json", Format::Adcp),
];

/// Files of a person, by their place where the platform keeps settings.
const IN_SETTINGS: [(&str, Format); 4] = [
    ("Claude/claude_desktop_config.json", Format::Mcp),
    ("Code/User/mcp.json", Format::Mcp),
    ("Code/User/settings.json", Format::Mcp),
    (
        "Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
        Format::Mcp,
    ),
];

/// Every known place that exists, those of the project first.
pub fn known(project: &Path) -> Vec<Place> {
    let mut places = within(project, &IN_PROJECT);
    if let Some(base) = BaseDirs::new() {
        let home = base.home_dir();
        let own = |variable, path: PathBuf| environment(variable).map_or(path, PathBuf::from);
        places.extend(within(home, &IN_HOME));
        places.extend(within(base.config_dir(), &IN_SETTINGS));
        let codex = own("CODEX_HOME", home.join(".codex")).join("config.toml");
        places.push(Place::File(codex, Format::Codex));
        let settings = own("XDG_CONFIG_HOME", home.join(".config")).join("gh");
        let hosts = own("GH_CONFIG_DIR", settings).join("hosts.yml");
        places.push(Place::File(hosts, Format::Gh));
        places.push(Place::McpRemote(own("MCP_REMOTE_CONFIG_DIR", home.join(".mcp-auth"))));
    }
    let mut seen = Vec::new();
    places.retain(|place| {
        let is_new = !seen.contains(&place.path().to_owned());
        seen.push(place.path().to_owned());
        is_new && place.path().symlink_metadata().is_ok()
    });
    places
}

fn within(directory: &Path, files: &[(&str, Format)]) -> Vec<Place> {
    files.iter().map(|(file, format)| Place::File(directory.join(file), *format)).collect()
}
