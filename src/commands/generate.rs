//! `authctl generate`: what packagers and scripts need from the binary itself: completions, man pages,
//! and the JSON Schema of the data that `--json` prints.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::listen::RedirectRule;
use crate::oauth;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write the completions of every shell into DIRECTORY, or one shell's to stdout
    ///
    /// These know commands and flags. To complete the names of providers and of your accounts too, let
    /// the shell ask authctl: `source <(COMPLETE=bash authctl)`; the same with zsh, fish, elvish and
    /// powershell in place of bash.
    Completions {
        /// Print the completions of this shell instead of writing files
        #[arg(long, value_enum, conflicts_with = "directory")]
        shell: Option<Shell>,
        /// Where the files go
        #[arg(required_unless_present = "shell")]
        directory: Option<PathBuf>,
    },
    /// Write the man pages into DIRECTORY
    Man {
        /// Where the pages go
        directory: PathBuf,
    },
    /// Print the JSON Schema of what --json prints
    Schema,
    /// Print the document about authctl as a client, for hosting it at an address of yours
    ///
    /// Authorization servers that take client ID metadata documents need no registration: the document's
    /// address is the client id. Served as JSON at that very https address, it makes
    /// `authctl login URL --client-metadata-url ADDRESS` work, or client_metadata_url in config.toml.
    ClientMetadata {
        /// Where the document will stand; else the one that config.toml names
        #[arg(long)]
        url: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
    Nushell,
}

const SCHEMA: &str = include_str!("schema.json");

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    // `help COMMAND` is for people who type it; a page and a completion for each would be noise.
    let command_line = (context.command_line)().disable_help_subcommand(true);
    match &arguments.what {
        What::Schema => context.ui.data(SCHEMA)?,
        What::ClientMetadata { url } => print_client_metadata(context, url.as_deref())?,
        What::Completions { shell: Some(shell), .. } => {
            let mut script = Vec::new();
            write_completion(*shell, command_line, &mut script);
            context.ui.data(&String::from_utf8_lossy(&script))?;
        }
        What::Completions { directory, .. } => {
            let directory = directory.as_deref().unwrap_or(Path::new("."));
            fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
            for shell in Shell::value_variants() {
                let mut script = Vec::new();
                write_completion(*shell, command_line.clone(), &mut script);
                write(&directory.join(file_name(*shell)), &script)?;
            }
        }
        What::Man { directory } => write_pages(&command_line, directory)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The redirect URIs are those of the default listener; their port is any (RFC 8252 §7.3).
fn print_client_metadata(context: &Context, url: Option<&str>) -> Result<(), CommandError> {
    let configured = context.config()?.client_metadata_url.as_deref();
    let url = url.or(configured).ok_or_else(|| {
        CommandError::usage("where will the document stand?")
            .hint("authctl generate client-metadata --url https://example.com/authctl.json")
    })?;
    oauth::check_metadata_url(url)
        .map_err(|what| CommandError::usage(format!("{} {what}", crate::text::clean(url))))?;
    let path = RedirectRule::default().path;
    let redirect_uris = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}{path}"));
    let document = oauth::client_metadata(url, &redirect_uris);
    Ok(context.ui.data(&format!("{document:#}\n"))?)
}

fn write_completion(shell: Shell, mut command: clap::Command, to: &mut dyn io::Write) {
    use clap_complete::{aot, generate};
    let name = "authctl";
    match shell {
        Shell::Bash => generate(aot::Bash, &mut command, name, to),
        Shell::Zsh => generate(aot::Zsh, &mut command, name, to),
        Shell::Fish => generate(aot::Fish, &mut command, name, to),
        Shell::Powershell => generate(aot::PowerShell, &mut command, name, to),
        Shell::Elvish => generate(aot::Elvish, &mut command, name, to),
        Shell::Nushell => generate(clap_complete_nushell::Nushell, &mut command, name, to),
    }
}

fn file_name(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => "authctl.bash",
        Shell::Zsh => "_authctl",
        Shell::Fish => "authctl.fish",
        Shell::Powershell => "_authctl.ps1",
        Shell::Elvish => "authctl.elv",
        Shell::Nushell => "authctl.nu",
    }
}

/// One page a command, nested ones as `authctl-provider-show`.
fn write_pages(command: &clap::Command, directory: &Path) -> Result<(), CommandError> {
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let mut command = command.clone();
    command.build();
    write_page(command, "authctl", directory)
}

fn write_page(command: clap::Command, name: &str, directory: &Path) -> Result<(), CommandError> {
    let shown = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    let subcommands: Vec<clap::Command> = shown.cloned().collect();
    let mut page = Vec::new();
    let file = directory.join(format!("{name}.1"));
    clap_mangen::Man::new(command.name(name.to_owned()))
        .render(&mut page)
        .map_err(|error| failed(&file, &error))?;
    write(&file, &page)?;
    for subcommand in subcommands {
        let name = format!("{name}-{}", subcommand.get_name());
        write_page(subcommand, &name, directory)?;
    }
    Ok(())
}

fn write(file: &Path, contents: &[u8]) -> Result<(), CommandError> {
    fs::write(file, contents).map_err(|error| failed(file, &error))
}

fn failed(path: &Path, error: &io::Error) -> CommandError {
    CommandError::new(Kind::Failed, format!("cannot write {}: {error}", path.display()))
}
