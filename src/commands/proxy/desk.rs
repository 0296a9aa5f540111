//! The threads that have the store while a proxy runs, one for each credential: they renew it and find what
//! another process got.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::commands::holding;
use crate::context::{Context, Named, Options};
use crate::error::{CommandError, Kind};
use crate::forward::{Ask, Asks, Held, Trouble};
use crate::interact::Interact;
use crate::signals;

/// Whose credential a thread has, and what it needs to begin.
#[derive(Clone)]
pub struct Seat {
    pub options: Options,
    pub command_line: fn() -> clap::Command,
    pub named: Named,
}

/// How long an end is waited for without a word.
const QUIET: Duration = Duration::from_secs(1);

/// Starts the thread; it ends when the proxy has let go of the questions' sender.
pub fn start(seat: Seat) -> (Asks, JoinHandle<()>) {
    let (asks, mut queue) = Asks::channel();
    let thread = thread::spawn(move || {
        signals::leave_to_main_thread();
        // Made at the first question: most programs end before there is one.
        let mut desk: Option<Desk> = None;
        while let Some(ask) = queue.blocking_recv() {
            let desk = desk.get_or_insert_with(|| Desk::new(&seat));
            match ask {
                // Whoever asked is gone.
                Ask::Fresh { reply, .. } if reply.is_closed() => {}
                Ask::Fresh { rejected, renews, reply } => {
                    reply.send(desk.fresh(rejected.as_ref(), renews));
                }
                Ask::Open { reply, .. } => {
                    let _ = reply.send(false);
                }
                Ask::SignIn(ask) => {
                    let _ = ask.reply.send(Err(Trouble("nobody is asked to sign in here".into())));
                }
            }
        }
    });
    (asks, thread)
}

/// Waits until the threads have ended: a refresh under way would lose its token (`resolve::refresh`). Whoever asks
/// once more to end takes that upon themselves.
pub fn finish(desks: Vec<JoinHandle<()>>, context: &Context) -> io::Result<()> {
    let (send, ended) = oneshot::channel::<()>();
    thread::spawn(move || {
        signals::leave_to_main_thread();
        for desk in desks {
            // One that failed has nothing under way.
            let _ = desk.join();
        }
        drop(send);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::pin!(ended);
        if timeout(QUIET, &mut ended).await.is_ok() {
            return;
        }
        context.ui.warn(
            "a token is being renewed, and its server has not answered yet; to end now may cost the sign-in",
        );
        tokio::select! {
            _ = ended => {}
            _ = signals::asked_to_end() => {}
        }
    });
    Ok(())
}

struct Desk {
    context: Context,
    named: Named,
    /// The trouble that was spoken of last.
    said: Option<String>,
}

impl Desk {
    fn new(seat: &Seat) -> Self {
        let context = Context::new(seat.options.clone(), seat.command_line);
        Self { context, named: seat.named.clone(), said: None }
    }

    fn fresh(
        &mut self,
        rejected: Option<&Arc<Held>>,
        renews: bool,
    ) -> Result<Option<Arc<Held>>, Trouble> {
        match self.try_fresh(rejected, renews) {
            Ok(held) => {
                self.said = None;
                Ok(Some(Arc::new(held)))
            }
            Err(error) => {
                let trouble = holding::trouble(&error);
                // Once on stderr, whatever comes of the request.
                if self.said.as_ref() != Some(&trouble.0) {
                    self.context.ui.warn(&trouble.0);
                    self.said = Some(trouble.0.clone());
                }
                if error.kind() == Kind::LoginRequired { Ok(None) } else { Err(trouble) }
            }
        }
    }

    fn try_fresh(&self, rejected: Option<&Arc<Held>>, renews: bool) -> Result<Held, CommandError> {
        let provider = self.context.provider(&self.named.name)?;
        holding::instead_of(&self.context, &self.named, provider, rejected, renews)
    }
}
