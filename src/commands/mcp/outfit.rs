//! The thread that has the store while local servers run: it makes their environments as `exec` would, and has
//! the person sign in.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::bringer::Bringer;
use crate::audit::Outcome;
use crate::commands::environment::{self, Environment, Wanted};
use crate::commands::handing::{self, Handings};
use crate::commands::holding::{quiet, trouble};
use crate::commands::purpose::{Purpose, record_login};
use crate::context::{Context, Named};
use crate::error::{CommandError, Kind};
use crate::forward::{Address, Ask, Asks, Bring, Broker, SignInAsk, Trouble};
use crate::headless::{Browser, Surroundings};
use crate::interact::Interact;
use crate::launch;
use crate::login::{self, Login};
use crate::mcp::{Outfit, Outfitter, Pending, Want};
use crate::signals;
use crate::text;

/// Least time that tokens live which are handed to a server.
const MIN_TTL: Duration = Duration::from_mins(1);

/// How long the first credentials may wait for their server.
const FRESH: Duration = Duration::from_secs(10);

/// What a server is, and what it gets.
struct Plan {
    /// The command line up to its options, for hints.
    line: &'static str,
    program: OsString,
    arguments: Vec<OsString>,
    handings: Handings,
}

impl Plan {
    /// What was typed, else what the directory's manifest lists.
    fn new(
        context: &Context,
        line: &'static str,
        with: &[String],
        command: &[OsString],
    ) -> Result<Self, CommandError> {
        let program = command.first().cloned().unwrap_or_default();
        let typed = handing::parse(context, with, &[])?;
        launch::check(&program)?;
        let handings = match typed {
            none if none.is_empty() => Self::unnamed(context, line, &program),
            list => Handings { list, manifest: None },
        };
        environment::note_nesting(context);
        let arguments = command.iter().skip(1).cloned().collect();
        Ok(Self { line, program, arguments, handings })
    }

    /// What is asked for by nobody on the command line. Where that comes to nothing, the server starts all the
    /// same: most of what such servers do needs no credential, and a host does not show why one did not start.
    fn unnamed(context: &Context, line: &str, program: &OsStr) -> Handings {
        handing::unnamed(context, program, false).unwrap_or_else(|error| {
            Purpose::exec(program).record_failure(context, Outcome::Refused, None, &error);
            let said = format!("the server starts without a credential: {}", error.message());
            let hints = error.hints().iter().map(|hint| hint.replace("authctl exec", line));
            context.ui.warn(&hints.fold(said, |said, hint| format!("{said}; {hint}")));
            Handings { list: Vec::new(), manifest: None }
        })
    }

    /// The command with the environment of its credentials, said and written down if it is started in place of
    /// the one that runs.
    fn outfit(
        &self,
        context: &Context,
        environment: &Environment,
        running: Option<&Outfit>,
    ) -> Result<Outfit, CommandError> {
        let outfit = Outfit {
            ends: environment.ends(),
            is_lacking: !environment.missing.is_empty(),
            command: environment.clone().into_command(self.program.clone(), self.arguments.clone()),
        };
        let is_started = running.is_none_or(|running| outfit.is_better_than(running));
        if is_started && !self.handings.list.is_empty() {
            environment.record(context, &self.handings, &Purpose::exec(&self.program))?;
            context.ui.notice(&environment.announcement(self.handings.manifest.as_deref()));
        }
        Ok(outfit)
    }

    /// The credentials that work now. Where nobody is signed in, the server starts without: it may have tools
    /// that need nothing.
    fn gather(&self, context: &Context, want: Want) -> Result<Environment, CommandError> {
        let purpose = &Purpose::exec(&self.program);
        let wanted = Wanted {
            min_ttl: MIN_TTL,
            force_refresh: want == Want::Renewed,
            clean: false,
            without_missing: true,
        };
        let gather = |wanted| environment::gather(context, &self.handings, purpose, wanted);
        match gather(wanted) {
            // Not all can be renewed; another process may have brought a new one.
            Err(_) if wanted.force_refresh => gather(Wanted { force_refresh: false, ..wanted }),
            gathered => gathered,
        }
    }

    /// Whom a sign-in is for: the first that is missing, else the first.
    fn wanting(&self, context: &Context) -> Result<&Named, CommandError> {
        let store = context.store()?;
        let is_missing = |named: &&Named| !matches!(store.entry(&named.name), Ok(Some(_)));
        let mut all = self.handings.list.iter().map(|handing| &handing.named);
        all.clone().find(is_missing).or_else(|| all.next()).ok_or_else(|| {
            CommandError::new(Kind::LoginRequired, "the server got no credential from authctl")
                .hint(format!("{} --with NAME -- COMMAND", self.line))
        })
    }

    /// The first name that was asked for, which a server without any leaves open.
    fn login_name(&self) -> String {
        let first = self.handings.list.first();
        first.map_or_else(|| "NAME".to_owned(), |handing| handing.named.name.to_string())
    }

    /// The program, for messages.
    fn title(&self) -> String {
        let name = std::path::Path::new(&self.program).file_name().unwrap_or(&self.program);
        text::clean(&name.to_string_lossy())
    }
}

/// A plan before its first outfit, and where it is made: stdin and stdout are a protocol's or nobody's already, so
/// that nobody is asked there.
pub struct Fitting {
    pub context: Context,
    plan: Plan,
}

impl Fitting {
    /// Mistakes on the command line come to light here. `line` is how the command began, for hints.
    pub fn new(
        context: &Context,
        line: &'static str,
        with: &[String],
        command: &[OsString],
    ) -> Result<Self, CommandError> {
        let context = Context::new(quiet(context), context.command_line);
        let plan = Plan::new(&context, line, with, command)?;
        Ok(Self { context, plan })
    }

    /// Gets the first credentials, where mistakes still end the command, and starts the threads.
    pub fn open(self) -> Result<Wardrobe, CommandError> {
        Wardrobe::open(&self.context, self.plan)
    }
}

/// A wish to the thread: for what runs, if anything, and where the answer goes.
type Wish = (Want, Option<Outfit>, oneshot::Sender<Result<Outfit, Trouble>>);

/// Credentials of a moment ago.
type First = Option<(Environment, Instant)>;

/// The way to the thread.
pub struct Wardrobe {
    wishes: mpsc::UnboundedSender<Wish>,
    broker: Broker,
    sign_ins: Arc<AtomicUsize>,
    title: String,
    login_name: String,
}

impl Wardrobe {
    fn open(context: &Context, plan: Plan) -> Result<Self, CommandError> {
        let first = Some((plan.gather(context, Want::Fresh)?, Instant::now()));
        let (title, login_name) = (plan.title(), plan.login_name());
        let plan = Arc::new(plan);
        let sign_ins = Arc::new(AtomicUsize::new(0));
        let (options, command_line) = (context.options(), context.command_line);
        let (wishes, queue) = mpsc::unbounded_channel();
        let (asks, questions) = Asks::channel();
        let (own, shared) = (options.clone(), Arc::clone(&plan));
        thread::spawn(move || {
            make_outfits(&Context::new(own, command_line), &shared, first, queue);
        });
        let count = Arc::clone(&sign_ins);
        thread::spawn(move || {
            answer(questions, &plan, &|| Context::new(options.clone(), command_line), &count);
        });
        let broker = Broker::new(asks);
        Ok(Self { wishes, broker, sign_ins, title, login_name })
    }
}

fn make_outfits(
    context: &Context,
    plan: &Plan,
    mut first: First,
    mut queue: mpsc::UnboundedReceiver<Wish>,
) {
    signals::leave_to_main_thread();
    while let Some((want, running, reply)) = queue.blocking_recv() {
        let first = first.take().filter(|(_, made)| made.elapsed() < FRESH);
        let gathered = match first {
            Some((environment, _)) if want == Want::Fresh => Ok(environment),
            _ => plan.gather(context, want),
        };
        let outfit = gathered
            .and_then(|environment| plan.outfit(context, &environment, running.as_ref()))
            .map_err(|error| trouble(&error));
        let _ = reply.send(outfit);
    }
}

/// Answers a session's questions. What a server holds is in its environment, so none is sent with requests.
fn answer(
    mut questions: mpsc::UnboundedReceiver<Ask>,
    plan: &Plan,
    context: &dyn Fn() -> Context,
    sign_ins: &AtomicUsize,
) {
    signals::leave_to_main_thread();
    while let Some(ask) = questions.blocking_recv() {
        match ask {
            Ask::Fresh { reply, .. } => {
                reply.send(Ok(None));
            }
            Ask::Open { url, reply } => {
                let _ = reply.send(context().ui.open_url(&url));
            }
            // One at a time: sessions that come to the same want wait for the same person.
            Ask::SignIn(SignInAsk { wish, address, reply }) => {
                let outcome = sign_in(&context(), plan, wish.bring, address);
                if outcome.is_ok() {
                    sign_ins.fetch_add(1, Ordering::Relaxed);
                }
                let _ = reply.send(outcome.map_err(|error| trouble(&error)));
            }
        }
    }
}

/// Has the person sign in to what the server is to have.
fn sign_in(
    context: &Context,
    plan: &Plan,
    bring: Bring,
    address: oneshot::Sender<Address>,
) -> Result<(), CommandError> {
    let named = plan.wanting(context)?;
    let provider = context.provider(&named.name)?;
    let bringer = Bringer::new(context.ui.clone(), bring, address);
    // Somebody comes to the address in any case.
    let surroundings = Surroundings { headless: None, browser: Browser::Chosen };
    let login = Login { interact: &bringer, surroundings, ..context.login()? };
    let wish = login::Wish { open_browser: true, ..login::Wish::by_default(&named.name, provider) };
    let outcome = login.run(&wish);
    record_login(context, &named.name, provider, &outcome);
    outcome?;
    Ok(())
}

impl Outfitter for Wardrobe {
    fn outfit(&self, want: Want, running: Option<Outfit>) -> Pending<'_, Result<Outfit, Trouble>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let gone = || Trouble("authctl is ending".to_owned());
            self.wishes.send((want, running, reply)).map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }

    fn sign_ins(&self) -> usize {
        self.sign_ins.load(Ordering::Relaxed)
    }

    fn broker(&self) -> &Broker {
        &self.broker
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn login_name(&self) -> String {
        self.login_name.clone()
    }
}
