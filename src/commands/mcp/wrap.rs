//! `authctl mcp -- COMMAND`: a local server gets its credentials in its environment, and the host never sees
//! that it wanted any.

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use tokio::task::LocalSet;

use super::outfit::Fitting;
use crate::context::Context;
use crate::error::CommandError;
use crate::launch::{Ending, Exit};
use crate::mcp::{self, Child, Hosts, Settings, Shared};
use crate::signals::Asked;

pub fn run(
    context: &Context,
    settings: Settings,
    with: &[String],
    command: &[OsString],
) -> Result<ExitCode, CommandError> {
    let wardrobe = Fitting::new(context, "authctl mcp", with, command)?.open()?;
    let child = Child::new(Rc::new(wardrobe), Hosts::One);
    let asked = Rc::new(Cell::new(None));
    let served = serve(&child, settings, asked.clone());
    let ended = context.http.block_on(LocalSet::new().run_until(served));
    let exit = ended?;
    #[cfg(unix)]
    if let Some(Asked::By(number)) = asked.get() {
        return Ok(Exit::Signal(number).leave());
    }
    Ok(exit.unwrap_or(Exit::Code(0)).leave())
}

/// Serves until host or server has gone, or a signal comes, which is noted; then the server has gone in any
/// case. How it left, if it was ever started.
async fn serve(
    child: &Rc<Child>,
    settings: Settings,
    asked: Rc<Cell<Option<Asked>>>,
) -> io::Result<Option<Exit>> {
    tokio::task::spawn_local(hurry(child.clone(), asked.clone()));
    let served = mcp::serve(Rc::new(Shared(child.clone())), settings).await;
    let how = if asked.get().is_some() { Ending::Terminated } else { Ending::Closed };
    let exit = child.end(how).await;
    served.map(|()| exit)
}

/// Each signal takes the server a step nearer to its end.
async fn hurry(child: Rc<Child>, asked: Rc<Cell<Option<Asked>>>) {
    loop {
        let by = crate::signals::asked_to_end().await;
        asked.set(asked.get().or(Some(by)));
        child.hurry();
    }
}
