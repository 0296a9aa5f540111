//! `authctl mcp list`: which servers the MCP clients have, which of them go through authctl, and where keys stand
//! in the open. Never a secret, and of an address no more than its host.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::target;
use crate::clients::{self, Layout, McpClient, Server, Sign};
use crate::commands::client_file;
use crate::context::{Context, environment, working_directory};
use crate::error::CommandError;
use crate::interact::Interact;
use crate::text::clean;
use crate::ui::{BAD, FAINT, GOOD};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Clients; without any, all
    #[arg(value_name = "CLIENT")]
    clients: Vec<McpClient>,

    /// A file of a client that authctl does not know
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
}

/// A file with its servers, or why it cannot be read.
struct File {
    client: Option<McpClient>,
    scope: Option<&'static str>,
    path: PathBuf,
    servers: Result<Vec<Server>, String>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let files = find(arguments)?;
    let is_partial = files.iter().any(|file| file.servers.is_err());
    let code = if is_partial { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if context.ui.is_json() {
        let servers = files.iter().flat_map(servers_as_json).collect::<Vec<_>>();
        let unreadable = files.iter().filter_map(|file| {
            let reason = file.servers.as_ref().err()?;
            Some(json!({ "file": file.path, "reason": reason }))
        });
        let unreadable: Vec<Value> = unreadable.collect();
        context.ui.json(&json!({ "version": 1, "servers": servers, "unreadable": unreadable }))?;
        return Ok(code);
    }
    let text: String = files.iter().map(in_words).collect();
    let is_none = text.is_empty() && !is_partial;
    context.ui.data(if is_none { "No MCP client has a server here.\n" } else { &text })?;
    for file in &files {
        if let Err(reason) = &file.servers {
            context.ui.warn(&format!("passed over {}: {reason}", file.path.display()));
        }
    }
    let servers = || files.iter().flat_map(|file| file.servers.as_ref()).flatten();
    let literals = || servers().flat_map(Server::literals).filter(|it| it.sign.looks_secret());
    let is_in_address = |sign: &Sign| matches!(sign, Sign::Address { .. });
    if literals().any(|literal| !is_in_address(&literal.sign)) {
        context.ui.notice("Keys stand in the open. authctl mcp import takes them over.");
    }
    if literals().any(|literal| is_in_address(&literal.sign)) {
        context.ui.notice(
            "An address carries a key. Sign in with authctl login and the address without it, and install that.",
        );
    }
    Ok(code)
}

fn find(arguments: &Arguments) -> Result<Vec<File>, CommandError> {
    let machine = target::machine()?;
    let project = working_directory()?;
    let mut clients = arguments.clients.clone();
    if clients.is_empty() && arguments.file.is_empty() {
        clients = McpClient::ALL.to_vec();
    }
    let mut files: Vec<File> = Vec::new();
    for client in clients {
        let own = client.user_files(&machine).into_iter().chain(client.earlier_file(&machine));
        let own = own.map(|path| ("user", path));
        let of_project = client.project_file().map(|file| ("project", project.join(file)));
        for (scope, path) in own.chain(of_project) {
            if path.symlink_metadata().is_ok() && !files.iter().any(|file| file.path == path) {
                files.push(File::read(Some(client), Some(scope), path));
            }
        }
    }
    files.extend(arguments.file.iter().map(|path| File::read(None, None, path.clone())));
    Ok(files)
}

impl File {
    fn read(client: Option<McpClient>, scope: Option<&'static str>, path: PathBuf) -> Self {
        let file = match scope {
            Some("user") => client_file::behind(&path),
            Some(_) => working_directory()
                .and_then(|project| client_file::check_inside(&project, &path))
                .map(|()| path.clone()),
            None => Ok(path.clone()),
        };
        let servers = match file.and_then(|file| client_file::read(&file, &|_| String::new())) {
            Ok(text) => {
                let text = text.unwrap_or_default();
                let layout =
                    client.map_or_else(|| Layout::of_file(&path, &text), McpClient::layout);
                match text.trim() {
                    "" => Ok(Vec::new()),
                    _ => clients::servers(layout.format, &text).map_err(|wrong| wrong.to_string()),
                }
            }
            Err(error) => Err(error.message().to_owned()),
        };
        Self { client, scope, path, servers }
    }
}

/// How many secrets of a server stand in the open.
fn keys(server: &Server) -> usize {
    server.literals().iter().filter(|literal| literal.sign.looks_secret()).count()
}

fn in_words(file: &File) -> String {
    let servers = file.servers.as_deref().unwrap_or_default();
    if servers.is_empty() {
        return String::new();
    }
    let title = file.client.map_or("", McpClient::title);
    let gap = if title.is_empty() { "" } else { "  " };
    let mut text = format!("{title}{gap}{FAINT}{}{FAINT:#}\n", clean(&file.path.to_string_lossy()));
    let width = servers.iter().map(|server| label(server).chars().count()).max().unwrap_or(0);
    for server in servers {
        let keys = keys(server);
        let mark = match server.through() {
            Some(_) if keys == 0 => format!("{GOOD}+{GOOD:#}"),
            _ if keys > 0 => format!("{BAD}!{BAD:#}"),
            _ => "-".to_owned(),
        };
        let target = clean(&server.target().unwrap_or_default());
        let way = match server.through() {
            Some(through) => format!("authctl {} → {target}", through.as_str()),
            None => target,
        };
        let open = match keys {
            0 => String::new(),
            1 => ", a key in the open".to_owned(),
            several => format!(", {several} keys in the open"),
        };
        let other = another(server).map(|path| format!(", another authctl: {}", clean(&path)));
        let other = other.unwrap_or_default();
        let _ = writeln!(text, "  {mark} {:width$}  {way}{open}{other}", label(server));
    }
    text
}

/// The path of an authctl that is neither this one nor the one in PATH.
fn another(server: &Server) -> Option<String> {
    server.through()?;
    let command = server.entry()?.command;
    let path = Path::new(&command).is_absolute().then(|| PathBuf::from(&command))?;
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let in_path = environment("PATH").unwrap_or_default();
    let name = path.file_name()?;
    let in_path = std::env::split_paths(&in_path).map(|place| place.join(name));
    let mut known = std::env::current_exe().into_iter().chain(in_path);
    (!known.any(|known| whole(&known) == whole(&path))).then_some(command)
}

/// The name, with the project that it is for where one file has several.
fn label(server: &Server) -> String {
    match &server.at[..] {
        [projects, project, ..] if projects == "projects" => {
            clean(&format!("{} ({project})", server.name()))
        }
        _ => clean(server.name()),
    }
}

fn servers_as_json(file: &File) -> Vec<Value> {
    let servers = file.servers.as_deref().unwrap_or_default().iter();
    let one = |server: &Server| {
        json!({
            "client": file.client.map(McpClient::id),
            "scope": file.scope,
            "file": file.path,
            "place": clean(&server.at.join(".")),
            "name": clean(server.name()),
            "through": server.through().map(clients::Through::as_str),
            "remote": server.url().is_some(),
            "target": server.target().map(|target| clean(&target)),
            "literals": keys(server),
        })
    };
    servers.map(one).collect()
}
