//! authctl: the credential broker between people and their agents.
//!
//! A credential moves one way: login → grant → credential → store → resolve → inject → launch or
//! forward. The modules below stand in bands; a file imports only from bands above its own line here,
//! and files of one band do not import each other (`tests/it/layers.rs` checks both).

// band 1: texts, places, files
mod interact;
mod paths;
mod private_file;
mod secret;
mod text;
// band 2: the wire
mod http;
mod listen;
// band 3: OAuth, one RFC a file
mod oauth;
// band 4: what is kept
mod credential;
// band 6: how a credential comes, is kept and is given
mod grant;

use std::process::ExitCode;

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
