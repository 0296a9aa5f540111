//! `authctl mcp -- COMMAND`: a local server gets its credentials in its environment, and the host never sees
//! that it wanted any.

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use tokio::task::LocalSet;

use super::credentials::quiet;
use super::outfit::{Plan, Wardrobe};
use crate::context::Context;
use crate::error::CommandError;
use crate::launch::{Ending, Exit};
use crate::mcp::{self, Child, Settings, Shared};

pub fn run(
    context: &Context,
    settings: Settings,
    with: &[String],
    command: &[OsString],
) -> Result<ExitCode, CommandError> {
    // stdin and stdout are the protocol's already.
    let options = quiet(context);
    let quiet = Context::new(options.clone(), context.command_line);
    let plan = Plan::new(&quiet, with, command)?;
    let wardrobe = Wardrobe::open(&quiet, options, plan)?;
    let child = Child::new(Rc::new(wardrobe));
    let ended = context.http.block_on(LocalSet::new().run_until(serve(&child, settings)));
    let exit = ended?;
    Ok(exit.unwrap_or(Exit::Code(0)).leave())
}

/// Serves until host or server has gone, or a signal comes; then the server has gone in any case. How it left,
/// if it was ever started.
async fn serve(child: &Rc<Child>, settings: Settings) -> io::Result<Option<Exit>> {
    let how = Rc::new(Cell::new(Ending::Closed));
    let noting = how.clone();
    tokio::task::spawn_local(async move {
        crate::signals::asked_to_end().await;
        noting.set(Ending::Terminated);
    });
    let served = mcp::serve(Rc::new(Shared(child.clone())), settings).await;
    let exit = child.end(how.get()).await;
    served.map(|()| exit)
}
