//! The threads on which a proxy serves, beside a command that waits for its end.

use std::cell::RefCell;
use std::io;
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::LocalOptions;
use tokio::sync::oneshot;

use super::desk;
use super::lend::{self, Loan};
use super::scribe::{Lines, Scribe};
use super::watch::{Reporter, Said};
use crate::context::{Context, Options};
use crate::error::{CommandError, Kind};
use crate::listen::{Crew, Sockets};
use crate::proxy::{Authority, Pass, Plan, Proxy, Session};
use crate::secret::Secret;
use crate::signals;

/// Threads that serve, where there is enough to do for them.
const MOST_THREADS: usize = 4;

/// What a proxy is started with.
pub struct Start {
    pub options: Options,
    pub command_line: fn() -> clap::Command,
    pub loans: Vec<Loan>,
    /// What stands for all credentials together.
    pub key: Secret,
    pub takes_secret_in_path: bool,
    pub is_strict: bool,
    /// Requests for what is not served are said, and not in the log alone.
    pub says_strays: bool,
    pub authority: Arc<Authority>,
    /// Whose requests these are, for the log.
    pub program: Option<String>,
}

/// A proxy at work.
pub struct Running {
    end: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
    scribe: Scribe,
    desks: Vec<JoinHandle<()>>,
    context: Context,
}

impl Running {
    /// Starts to serve on `sockets`, which are bound already: nobody has to wait for it.
    pub fn start(mut start: Start, sockets: Sockets) -> Self {
        let desks = start.loans.iter_mut().filter_map(Loan::take_desk).collect();
        let context = Context::new(start.options.clone(), start.command_line);
        let scribe =
            Scribe::start(start.options.clone(), start.command_line, start.program.clone());
        let lines = scribe.lines();
        let (end, ended) = oneshot::channel();
        let (start, said) = (Arc::new(start), Said::default());
        let hand = Hand { start, port: sockets.port(), lines, said };
        let thread = thread::spawn(move || {
            signals::leave_to_main_thread();
            hand.serve(sockets, ended)
        });
        Self { end, thread, scribe, desks, context }
    }

    /// Ends it, writes the last lines of the log, and keeps what a refresh under way brings.
    pub fn end(self) -> Result<(), CommandError> {
        // Nobody listens any more where it has ended by itself.
        let _ = self.end.send(());
        let ended = self.thread.join();
        self.scribe.finish();
        let settled = desk::finish(self.desks, &self.context);
        let failed =
            |why: String| CommandError::new(Kind::Failed, format!("the proxy ended: {why}"));
        match ended {
            Ok(ended) => ended.and(settled).map_err(|error| failed(error.to_string())),
            Err(_) => Err(failed("a bug in authctl".into())),
        }
    }
}

/// What each thread that serves has.
#[derive(Clone)]
struct Hand {
    start: Arc<Start>,
    port: u16,
    lines: Lines,
    said: Said,
}

impl Hand {
    /// Serves, with further threads where they have something to do, until it has `ended`.
    fn serve(self, sockets: Sockets, ended: oneshot::Receiver<()>) -> io::Result<()> {
        let threads = Rc::new(RefCell::new(Vec::new()));
        let (hand, started) = (self.clone(), threads.clone());
        let most = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS) - 1;
        let crew = Crew::new(most, move |handed| {
            let hand = hand.clone();
            started.borrow_mut().push(thread::spawn(move || {
                signals::leave_to_main_thread();
                hand.run(async |proxy| {
                    proxy.serve_handed(handed).await;
                    Ok(())
                })
            }));
        });
        let served = self.run(async |proxy| {
            tokio::select! {
                failed = proxy.serve(sockets, crew) => failed.map(|never| match never {}),
                _ = ended => Ok(()),
            }
        });
        for thread in threads.take() {
            // One that could not begin took no connection.
            let _ = thread.join();
        }
        served
    }

    fn run(self, work: impl AsyncFnOnce(Rc<Proxy>) -> io::Result<()>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_start(signals::leave_to_main_thread)
            .build_local(LocalOptions::default())?;
        let served = runtime.block_on(async move {
            let Self { start, port, lines, said } = self;
            let context = Context::new(start.options.clone(), start.command_line);
            let reporter = Reporter::new(context, lines, said, start.says_strays);
            let (plan, authority) = (plan(&start), start.authority.clone());
            work(Rc::new(Proxy::new(port, plan, authority, Rc::new(reporter)))).await
        });
        // A name lookup that hangs cannot be cancelled; the process does not wait for it.
        runtime.shutdown_background();
        served
    }
}

fn plan(start: &Start) -> Plan {
    let mut session = Session::default();
    session.add(&start.key, Pass::All);
    let own = start.loans.iter().filter(|loan| !loan.is_companion);
    for (index, loan) in own.enumerate() {
        session.add(&loan.placeholder, Pass::One(index));
    }
    Plan {
        credentials: lend::lent(&start.loans),
        routes: lend::routes(&start.loans),
        session,
        takes_secret_in_path: start.takes_secret_in_path,
        is_strict: start.is_strict,
    }
}
