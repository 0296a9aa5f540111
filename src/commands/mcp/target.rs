//! The files that a change of servers is for: those of clients that are named, of all that are here, or a path.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::clients::{Layout, Machine, McpClient};
use crate::commands::client_file;
use crate::commands::import::this_machine;
use crate::context::{Context, working_directory};
use crate::error::{CommandError, Kind};
use crate::interact::Interact;

#[derive(Debug, Args)]
pub struct Where {
    /// All clients that are on this machine
    #[arg(long)]
    all: bool,

    /// The client's file for this project, instead of the one for you; authctl is called by its name there
    #[arg(long)]
    project: bool,

    /// A file of a client that authctl does not know
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
}

impl Where {
    pub fn is_project(&self) -> bool {
        self.project
    }
}

/// One file that lists servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub client: Option<McpClient>,
    pub is_project: bool,
    /// As the client knows it.
    pub path: PathBuf,
    /// Where the links of a person's own file lead; else the same.
    pub file: PathBuf,
}

impl Target {
    fn plain(client: Option<McpClient>, is_project: bool, path: PathBuf) -> Self {
        Self { client, is_project, file: path.clone(), path }
    }

    /// How the file is written, where `text` is what is in it.
    pub fn layout(&self, text: &str) -> Layout {
        match self.client {
            Some(client) => client.layout(),
            None => Layout::of_file(&self.path, text),
        }
    }

    /// What is in it.
    pub fn read(&self) -> Result<Option<String>, CommandError> {
        let text = client_file::read(&self.file, &|behind| self.instead(behind));
        text.map_err(|error| match std::fs::metadata(&self.file) {
            Ok(metadata) if metadata.is_file() && metadata.len() > client_file::LIMIT => {
                error.hint("authctl mcp install --file entry.json …  (an entry to copy by hand)")
            }
            _ => error,
        })
    }

    /// What to do about a link that is not followed: the file behind it is named, if its form is to be seen there.
    fn instead(&self, behind: &Path) -> String {
        let (path, file) = (self.path.display(), behind.display());
        let text = std::fs::read_to_string(behind).unwrap_or_default();
        match self.client {
            _ if Layout::of_file(behind, &text) != self.layout(&text) => {
                format!("rm {path} && cp {file} {path}  (a file of its own in the link's place)")
            }
            Some(client) => format!("the same with --file {file} in place of {}", client.id()),
            None => format!("the same with --file {file}"),
        }
    }

    /// The path for people.
    pub fn shown(&self) -> String {
        client_file::shown(&self.path, &self.file)
    }

    pub fn scope(&self) -> Option<&'static str> {
        self.client.map(|_| if self.is_project { "project" } else { "user" })
    }
}

/// A client by the name that it has on the command line.
pub fn client(word: &str) -> Result<McpClient, CommandError> {
    McpClient::from_str(word, false).map_err(|_| {
        let known: Vec<&str> = McpClient::ALL.into_iter().map(McpClient::id).collect();
        let word = crate::text::clean(word);
        CommandError::usage(format!("{word} is no client; there are {}", known.join(", ")))
            .hint("authctl mcp install --file PATH …  (for any other)")
    })
}

/// The files that a command line means; at a terminal, a person is asked if it names none.
pub fn targets(
    context: &Context,
    clients: &[McpClient],
    place: &Where,
) -> Result<Vec<Target>, CommandError> {
    let machine = machine()?;
    let mut clients = clients.to_vec();
    if place.all {
        clients.extend(present(&machine));
    } else if clients.is_empty() && place.file.is_empty() {
        clients = ask(context, &machine)?;
    }
    let mut targets = Vec::new();
    for client in clients {
        match of_client(client, &machine, place.project)? {
            // Links of two clients may lead to one file.
            Some(target) if !targets.iter().any(|other: &Target| other.file == target.file) => {
                targets.push(target);
            }
            None if !place.all => return Err(no_project_file(client)),
            _ => {}
        }
    }
    place.file.iter().try_for_each(|path| check(path))?;
    let named = place.file.iter();
    targets.extend(named.map(|path| Target::plain(None, place.project, path.clone())));
    if targets.is_empty() {
        return Err(CommandError::usage("none of the known clients is on this machine"));
    }
    Ok(targets)
}

/// A file that is named, and need not be there: its form is known, and its directory is there.
fn check(path: &Path) -> Result<(), CommandError> {
    let shown = crate::text::clean(&path.to_string_lossy());
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    if ["yaml", "yml"].contains(&end.to_ascii_lowercase().as_str()) {
        return Err(CommandError::usage(format!(
            "{shown} is YAML; only JSON and TOML are changed"
        )));
    }
    match path.parent().filter(|place| !place.as_os_str().is_empty()) {
        Some(place) if !place.is_dir() => {
            let place = crate::text::clean(&place.to_string_lossy());
            Err(CommandError::usage(format!("there is no directory {place} for {shown}")))
        }
        _ => Ok(()),
    }
}

pub fn machine() -> Result<Machine<'static>, CommandError> {
    this_machine().ok_or_else(|| CommandError::new(Kind::Failed, "there is no home directory"))
}

fn of_client(
    client: McpClient,
    machine: &Machine<'_>,
    project: bool,
) -> Result<Option<Target>, CommandError> {
    if project {
        let Some(file) = client.project_file() else { return Ok(None) };
        let project = working_directory()?;
        let path = project.join(file);
        client_file::check_inside(&project, &path)?;
        return Ok(Some(Target::plain(Some(client), true, path)));
    }
    let path = user_file(client, machine);
    let file = client_file::behind(&path)?;
    Ok(Some(Target { client: Some(client), is_project: false, path, file }))
}

/// The file that is there; else the one that the client would look for.
fn user_file(client: McpClient, machine: &Machine<'_>) -> PathBuf {
    let files = client.user_files(machine);
    let is_there = |file: &&PathBuf| file.symlink_metadata().is_ok();
    let has_mark = |file: &&PathBuf| client.mark(machine, file).is_dir();
    let found = files.iter().find(is_there).or_else(|| files.iter().find(has_mark));
    found.unwrap_or(&files[0]).clone()
}

/// The clients that have left a file or a directory here.
pub fn present(machine: &Machine<'_>) -> Vec<McpClient> {
    let is_here = |client: &McpClient| {
        let is_there = |file: &Path| file.exists() || client.mark(machine, file).is_dir();
        client.user_files(machine).iter().any(|file| is_there(file))
    };
    McpClient::ALL.into_iter().filter(is_here).collect()
}

fn ask(context: &Context, machine: &Machine<'_>) -> Result<Vec<McpClient>, CommandError> {
    let present = present(machine);
    if present.is_empty() || !context.ui.can_ask() {
        let here: Vec<&str> = present.into_iter().map(McpClient::id).collect();
        let here = if here.is_empty() { "none".to_owned() } else { here.join(", ") };
        return Err(CommandError::usage(format!("no client is named; on this machine: {here}"))
            .hint("authctl mcp install CLIENT… URL, or --all"));
    }
    let titles: Vec<String> = present.iter().map(|client| client.title().to_owned()).collect();
    let chosen = context.ui.choose("Which clients?", &titles)?;
    if chosen.is_empty() {
        return Err(CommandError::usage("no client was chosen"));
    }
    Ok(chosen.into_iter().map(|at| present[at]).collect())
}

fn no_project_file(client: McpClient) -> CommandError {
    let title = client.title();
    CommandError::usage(format!("{title} has no file of its own for a project"))
        .hint(format!("authctl mcp install {} …  (without --project)", client.id()))
}
