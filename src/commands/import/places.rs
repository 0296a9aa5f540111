//! Where other programs keep credentials, and which sort of file a path is.

use std::path::{Path, PathBuf};

use directories::BaseDirs;

use super::mcp_remote;
use crate::clients::{Format, Machine, McpClient, Platform};
use crate::commands::client_file;
use crate::context::{environment, working_directory};
use crate::error::CommandError;

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

    /// Whether it is a file of this sort.
    pub fn is(&self, format: Format) -> bool {
        matches!(self, Place::File(_, own) if *own == format)
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

/// Files of variables, by their place in a project.
const VARIABLES: [&str; 4] = [".env", ".env.local", ".env.development", ".env.production"];

/// Every known place that exists, those of the project first.
pub fn known(project: &Path) -> Vec<Place> {
    let mut places = VARIABLES.map(|file| Place::File(project.join(file), Format::Dotenv)).to_vec();
    places.extend(files_of(&McpClient::ALL, project));
    if let Some(base) = BaseDirs::new() {
        let home = base.home_dir();
        let own = |variable, path: PathBuf| environment(variable).map_or(path, PathBuf::from);
        places.push(Place::File(home.join(".adcp/config.json"), Format::Adcp));
        let settings = own("XDG_CONFIG_HOME", home.join(".config")).join("gh");
        let hosts = own("GH_CONFIG_DIR", settings).join("hosts.yml");
        places.push(Place::File(hosts, Format::Gh));
        places.push(Place::McpRemote(own("MCP_REMOTE_CONFIG_DIR", home.join(".mcp-auth"))));
    }
    existing(places)
}

/// The files of these MCP clients that exist, those of the project first.
pub fn of_clients(clients: &[McpClient], project: &Path) -> Vec<Place> {
    existing(files_of(clients, project))
}

fn files_of(clients: &[McpClient], project: &Path) -> Vec<Place> {
    let of_project = clients.iter().filter_map(|client| {
        let path = project.join(client.project_file()?);
        Some(Place::File(path, client.layout().format))
    });
    let mut places: Vec<Place> = of_project.collect();
    if let Some(machine) = this_machine() {
        for client in clients {
            let files =
                client.user_files(&machine).into_iter().chain(client.earlier_file(&machine));
            places.extend(files.map(|path| Place::File(path, client.layout().format)));
        }
    }
    places
}

fn existing(mut places: Vec<Place>) -> Vec<Place> {
    let mut seen = Vec::new();
    places.retain(|place| {
        let is_new = !seen.contains(&place.path().to_owned());
        seen.push(place.path().to_owned());
        is_new && place.path().symlink_metadata().is_ok()
    });
    places
}

/// Where this person's files are.
pub fn this_machine() -> Option<Machine<'static>> {
    let base = BaseDirs::new()?;
    Some(Machine {
        platform: Platform::THIS,
        home: base.home_dir().to_owned(),
        settings: base.config_dir().to_owned(),
        variable: &|variable| environment(variable).map(PathBuf::from),
    })
}

/// What a command in this file is called by: a person's own files can have the path of authctl.
pub fn program_in(path: &Path) -> String {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = whole(path);
    client_file::program(!users_files().any(|file| whole(&file) == path))
}

/// Whether a client knows a person's own file by this path, whose links may be followed.
pub fn is_users(path: &Path) -> bool {
    users_files().any(|file| file == path)
}

/// Refuses a client's file of this project whose directory leads out of it.
pub fn check(path: &Path) -> Result<(), CommandError> {
    let project = working_directory()?;
    let mut files = McpClient::ALL.into_iter().filter_map(McpClient::project_file);
    if is_users(path) || !files.any(|file| project.join(file) == path) {
        return Ok(());
    }
    client_file::check_inside(&project, path)
}

fn users_files() -> impl Iterator<Item = PathBuf> {
    let of_client = |client: McpClient| {
        let machine = this_machine()?;
        Some(client.user_files(&machine).into_iter().chain(client.earlier_file(&machine)))
    };
    McpClient::ALL.into_iter().filter_map(of_client).flatten()
}
