//! `authctl acp helper`: what an agent runs as its credential helper. It asks the session that started the agent.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::acp;
use crate::context::Context;
use crate::error::{CommandError, Kind};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Where that session listens
    socket: PathBuf,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let answer = acp::fetch(&arguments.socket).map_err(|error| {
        let what = format!("no session hands out a credential here: {error}");
        CommandError::new(Kind::Failed, what)
    })?;
    let secret = answer.map_err(|why| CommandError::new(Kind::LoginRequired, why))?;
    context.ui.secret(secret.expose())?;
    Ok(ExitCode::SUCCESS)
}
