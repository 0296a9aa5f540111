//! authctl: the credential broker between people and their agents.
//!
//! A credential moves one way: login → grant → credential → store → resolve → inject → launch or
//! forward. The modules below stand in bands; a file imports only from bands above its own line here,
//! and files of one band do not import each other (`tests/it/layers.rs` checks both).

// band 0: what needs nothing else of the crate
mod caller;
mod digest;
mod harden;
mod line_end;
mod private_file;
mod secret;
mod signals;
mod text;
mod toml_tables;
// band 1: places and people
mod headless;
mod interact;
mod jsonrpc;
mod paths;
// band 2: the wire, out and in, and the pipes; what happened
mod audit;
mod http;
mod listen;
mod stdio;
// band 3: OAuth, one RFC a file
mod oauth;
// band 4: what is kept, and what a server says about it
mod credential;
mod login_signal;
// band 5: what people wrote down
mod clients;
mod config;
// band 6: ways to get, keep and hand over a credential
mod grant;
mod inject;
mod store;
// band 7: what the commands are made of
mod launch;
mod login;
mod policy;
mod resolve;
// band 8: requests passed on
mod forward;
// band 9: failures as people see them
mod error;
// band 10: the proxy for programs that hold no secret
mod proxy;
// band 11: protocols of agents, with their servers and their editors
mod acp;
mod mcp;
// band 12: the terminal
mod ui;
// band 13: what a command is handed
mod context;
// band 14: one file a command
mod commands;
// band 15: the command line
mod cli;

#[cfg(test)]
mod again;

use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

/// Runs the command line of this process and decides its exit code.
pub fn run() -> ExitCode {
    if let Some(code) = launch::leashed() {
        return ExitCode::from(code);
    }
    harden::harden();
    guarded(|| {
        clap_complete::CompleteEnv::with_factory(cli::Cli::command).complete();
        match cli::Cli::try_parse() {
            Ok(cli) => run_command(&cli),
            Err(error) => answer(error),
        }
    })
}

/// A panic anywhere in `work` ends as a bug, without the values that it may quote.
fn guarded(work: impl FnOnce() -> ExitCode) -> ExitCode {
    report_panics_without_values();
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(ExitCode::from(BUG))
}

/// What clap has to say: help and version are data, everything else is an error like any other.
fn answer(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return printed(error.print());
    }
    let typed = cli::Cli::command().ignore_errors(true).get_matches();
    let command: Vec<&str> =
        std::iter::successors(typed.subcommand(), |(_, inner)| inner.subcommand())
            .map(|(name, _)| name)
            .collect();
    let starts_child = match command[..] {
        ["exec" | "acp"] => true,
        ["mcp"] => std::env::args_os().any(|word| word == "--"),
        _ => false,
    };
    cli::explain(&mut error, &command);
    if typed.get_flag("json") || wants_json() {
        let manner = ui::Manner { json: true, ..ui::Manner::default() };
        ui::Ui::new(manner).error(&(&error).into());
    } else {
        let _ = error.print();
    }
    let usage = error::Kind::Usage;
    ExitCode::from(if starts_child { usage.exit_code_before_child() } else { usage.exit_code() })
}

/// `--json` behind a word that clap stopped at; what follows `--` is another program's.
fn wants_json() -> bool {
    let mut own = std::env::args_os().take_while(|argument| argument != "--");
    own.any(|argument| argument == "--json")
}

/// The exit code once help or the version are printed: as for all other data.
fn printed(result: io::Result<()>) -> ExitCode {
    let Err(error) = result.and_then(|()| io::stdout().flush()) else {
        return ExitCode::SUCCESS;
    };
    let error = error::CommandError::from(error);
    if error.kind() != error::Kind::ClosedPipe {
        ui::Ui::new(ui::Manner::default()).error(&error);
    }
    ExitCode::from(error.kind().exit_code())
}

/// A bug in authctl (sysexits' EX_SOFTWARE).
const BUG: u8 = 70;

fn run_command(cli: &cli::Cli) -> ExitCode {
    let context = context::Context::new(cli.global.options(), cli::Cli::command);
    match cli.command.run(&context) {
        Ok(code) => code,
        Err(error) => {
            if error.kind() != error::Kind::ClosedPipe {
                context.ui.error(&error);
            }
            ExitCode::from(cli.command.exit_code(&error))
        }
    }
}

/// A panic message may quote what it choked on, so only the place is printed.
fn report_panics_without_values() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |at| format!(" at {at}"));
        let _ = writeln!(
            std::io::stderr(),
            "error: this is a bug in authctl{place}; please report it with the command you ran"
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_names_its_place_and_not_what_it_choked_on() {
        if again::role().is_some() {
            let secret = secret::Secret::new("hunter2-of-a-panic");
            let code = guarded(|| panic!("cannot parse {}", secret.expose()));
            println!("caught {}", code == ExitCode::from(BUG));
            return;
        }
        let output = again::command(a_panic_names_its_place_and_not_what_it_choked_on, "panics")
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        let (said, shown) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
        let (said, shown) = (said.unwrap(), shown.unwrap());
        assert!(said.contains("caught true"), "{said}");
        assert!(shown.contains("error: this is a bug in authctl at src/lib.rs:"), "{shown}");
        assert!(!shown.contains("hunter2") && !said.contains("hunter2"), "{shown}");
    }
}
