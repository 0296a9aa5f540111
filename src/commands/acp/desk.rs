//! The thread that has the store while an agent runs: it hands out what the agent must have itself, which it says
//! and writes down, and has the person sign in.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::copies;
use super::servers::{self, Reached, Served};
use crate::acp::{Pending, Reach, ServerWish, Supply, Way};
use crate::audit::{Entry, Outcome};
use crate::commands::given;
use crate::commands::holding::quiet;
use crate::commands::mcp::Bringer;
use crate::commands::purpose::{Purpose, record_login};
use crate::config::{AcpProvider, Scheme};
use crate::context::{Context, Options};
use crate::error::{CommandError, Kind};
use crate::forward::{Address, Bring, Trouble};
use crate::headless::{Browser, Headless, Surroundings};
use crate::interact::Interact;
use crate::login::{self, Login};
use crate::secret::Secret;
use crate::signals;

/// Least time that a credential lives which an agent gets.
const MIN_TTL: Duration = Duration::from_mins(5);

type Reply<T> = oneshot::Sender<Result<T, Trouble>>;

enum Ask {
    Holds { name: String, reply: Reply<bool> },
    Possess { name: String, way: Way, reply: Reply<Option<Secret>> },
    IsReplaced { name: String, old: Secret, reply: Reply<bool> },
    SignIn { name: String, bring: Bring, address: oneshot::Sender<Address>, reply: Reply<()> },
    Known { agent: String, provider: String, reply: Reply<Option<AcpProvider>> },
    Server { wish: ServerWish, reply: Reply<Option<Reached>> },
}

/// The way to the thread.
pub struct Desk {
    asks: mpsc::UnboundedSender<Ask>,
    /// What the agent was given itself.
    handed: RefCell<Vec<Secret>>,
    /// MCP servers that it reaches by a proxy, by the credential and the address.
    lent: RefCell<BTreeMap<(Option<String>, String), Served>>,
}

impl Desk {
    pub fn start(context: &Context, program: &OsStr) -> Self {
        let (asks, mut queue) = mpsc::unbounded_channel();
        let clerk = Clerk {
            options: quiet(context),
            command_line: context.command_line,
            program: program.to_owned(),
        };
        thread::spawn(move || {
            signals::leave_to_main_thread();
            // Made at the first question: most agents need none.
            let mut own: Option<Context> = None;
            let mut announced = BTreeSet::new();
            while let Some(ask) = queue.blocking_recv() {
                let context = own.get_or_insert_with(|| clerk.context());
                clerk.answer(context, ask, &mut announced);
            }
        });
        Self { asks, handed: RefCell::default(), lent: RefCell::default() }
    }

    /// What the agent was given itself, up to now.
    pub fn handed(&self) -> Vec<Secret> {
        self.handed.borrow().clone()
    }

    /// Ends what serves MCP servers.
    pub fn end(&self, context: &Context) {
        for served in std::mem::take(&mut *self.lent.borrow_mut()).into_values() {
            served.end(context);
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, Trouble> {
        let (reply, answer) = oneshot::channel();
        let gone = || Trouble("authctl is ending".to_owned());
        self.asks.send(ask(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Supply for Desk {
    fn holds<'a>(&'a self, name: &'a str) -> Pending<'a, bool> {
        let name = name.to_owned();
        Box::pin(async move { self.ask(|reply| Ask::Holds { name, reply }).await.unwrap_or(false) })
    }

    fn possess<'a>(
        &'a self,
        name: &'a str,
        way: Way,
    ) -> Pending<'a, Result<Option<Secret>, Trouble>> {
        let name = name.to_owned();
        Box::pin(async move {
            let found = self.ask(|reply| Ask::Possess { name, way, reply }).await?;
            self.handed.borrow_mut().extend(found.clone());
            Ok(found)
        })
    }

    fn is_replaced<'a>(&'a self, name: &'a str, old: &'a Secret) -> Pending<'a, bool> {
        let (name, old) = (name.to_owned(), old.clone());
        Box::pin(async move {
            self.ask(|reply| Ask::IsReplaced { name, old, reply }).await.unwrap_or(false)
        })
    }

    fn known<'a>(&'a self, agent: &'a str, provider: &'a str) -> Pending<'a, Option<AcpProvider>> {
        let (agent, provider) = (agent.to_owned(), provider.to_owned());
        Box::pin(async move {
            self.ask(|reply| Ask::Known { agent, provider, reply }).await.ok().flatten()
        })
    }

    fn sign_in<'a>(
        &'a self,
        name: &'a str,
        bring: Bring,
        address: oneshot::Sender<Address>,
    ) -> Pending<'a, Result<(), Trouble>> {
        let name = name.to_owned();
        Box::pin(self.ask(move |reply| Ask::SignIn { name, bring, address, reply }))
    }

    fn server(&self, wish: ServerWish) -> Pending<'_, Result<Option<Reach>, Trouble>> {
        Box::pin(async move {
            let meant = (wish.name.clone(), wish.url.clone());
            // Each session asks for it again.
            if wish.can_move
                && let Some(served) = self.lent.borrow().get(&meant)
            {
                return Ok(Some(served.reach()));
            }
            let reached = self.ask(|reply| Ask::Server { wish, reply }).await?;
            Ok(reached.map(|reached| match reached {
                Reached::Lent(served) => {
                    let reach = served.reach();
                    self.lent.borrow_mut().insert(meant, served);
                    reach
                }
                Reached::Given(header) => {
                    self.handed.borrow_mut().push(header.1.clone());
                    Reach::Given { header }
                }
            }))
        })
    }
}

#[derive(Clone)]
struct Clerk {
    options: Options,
    command_line: fn() -> clap::Command,
    program: OsString,
}

impl Clerk {
    fn context(&self) -> Context {
        Context::new(self.options.clone(), self.command_line)
    }

    /// What is `announced` is not said again.
    fn answer(&self, context: &Context, ask: Ask, announced: &mut BTreeSet<(String, Way)>) {
        // Whoever asked may have gone.
        match ask {
            Ask::Holds { name, reply } => {
                let _ = reply.send(holds(context, &name).map_err(|error| trouble(&error)));
            }
            Ask::Possess { name, way, reply } => {
                let key = missing_is_none(possess(context, &self.program, &name));
                if matches!(key, Ok(Some(_))) && announced.insert((name.clone(), way)) {
                    announce(context, &self.program, &name, way);
                }
                let _ = reply.send(key.map_err(|error| trouble(&error)));
            }
            Ask::Server { wish, reply } => {
                let reached = missing_is_none(servers::reach(context, &self.program, &wish));
                let _ = reply.send(reached.map(Option::flatten).map_err(|error| trouble(&error)));
            }
            Ask::IsReplaced { name, old, reply } => {
                let current = current(context, &name).map_err(|error| trouble(&error));
                let _ = reply.send(current.map(|current| current.expose() != old.expose()));
            }
            Ask::Known { agent, provider, reply } => {
                let _ = reply.send(known(context, &agent, &provider).map_err(|it| trouble(&it)));
            }
            // It takes minutes.
            Ask::SignIn { name, bring, address, reply } => {
                let clerk = self.clone();
                thread::spawn(move || {
                    signals::leave_to_main_thread();
                    let outcome = sign_in(&clerk.context(), &name, bring, address);
                    let _ = reply.send(outcome.map_err(|error| trouble(&error)));
                });
            }
        }
    }
}

fn holds(context: &Context, name: &str) -> Result<bool, CommandError> {
    current(context, name).map(|_| true)
}

fn current(context: &Context, name: &str) -> Result<Secret, CommandError> {
    let named = context.name(name)?;
    let provider = context.provider(&named.name)?;
    let resolved = given::resolve(context, &named, provider, Duration::ZERO, false, None)?;
    Ok(resolved.credential.secret().clone())
}

/// By the agent's name, as far as the provider has an address to lead it to. What it writes down, it does not get
/// while it runs.
pub fn known(
    context: &Context,
    agent: &str,
    provider: &str,
) -> Result<Option<AcpProvider>, CommandError> {
    let config = context.config()?;
    let Some(agent) = config.acp_agent_named(agent) else { return Ok(None) };
    let has_address = config.provider(provider)?.base_url.is_some();
    let mut known = agent.provider(provider).filter(|_| has_address).cloned();
    if let Some(known) = known.as_mut().filter(|_| copies::writes_down(agent)) {
        known.in_band = None;
    }
    Ok(known)
}

/// The credential itself, for a program that is to have it; so that everybody can see that later.
pub fn possess(context: &Context, program: &OsStr, name: &str) -> Result<Secret, CommandError> {
    let named = context.name(name)?;
    let provider = context.provider(&named.name)?;
    let purpose = Purpose::exec(program);
    let resolved = given::resolve(context, &named, provider, MIN_TTL, false, Some(&purpose))?;
    let line = purpose.entry(Outcome::Done, Some((&named.name, provider)));
    context.record(Entry { id: Some(resolved.id), ..line });
    Ok(resolved.credential.secret().clone())
}

/// Says whom a way gives the credential itself.
pub fn announce(context: &Context, program: &OsStr, name: &str, way: Way) {
    let title = super::title(program);
    context.ui.notice(&format!("authctl: {title} gets {name} itself ({way})"));
}

fn sign_in(
    context: &Context,
    name: &str,
    bring: Bring,
    address: oneshot::Sender<Address>,
) -> Result<(), CommandError> {
    let named = context.name(name)?;
    let provider = context.provider(&named.name)?;
    if let Some(scheme) = provider.schemes.first().filter(|scheme| is_pasted(scheme)) {
        return Err(CommandError::new(Kind::LoginRequired, pasted(&provider.title, scheme)));
    }
    let usual = context.login()?;
    let is_elsewhere = is_elsewhere(usual.surroundings);
    let bring = if is_elsewhere { Bring::Shown } else { bring };
    let bringer = Bringer::new(context.ui.clone(), bring, address).with_codes(is_elsewhere);
    // Somebody comes to the address in any case.
    let surroundings = Surroundings { headless: None, browser: Browser::Chosen };
    let login = Login { interact: &bringer, surroundings, ..usual };
    let wish = login::Wish {
        open_browser: true,
        is_brought: true,
        is_elsewhere,
        ..login::Wish::by_default(&named.name, provider)
    };
    let outcome = login.run(&wish);
    record_login(context, &named.name, provider, &outcome);
    outcome?;
    Ok(())
}

/// Whether it is a key that a person has, which is typed in a terminal alone: forms of editors are not for secrets.
fn is_pasted(scheme: &Scheme) -> bool {
    scheme.oauth.is_none() && scheme.flow.is_none()
}

fn pasted(title: &str, scheme: &Scheme) -> String {
    let made = scheme.create_at.as_ref();
    let made = made.map(|page| format!(", made at {page}")).unwrap_or_default();
    format!("{title} takes a key{made}, which a terminal asks for")
}

/// Whether the editor's person may sit at another machine: editors come by SSH and into containers.
fn is_elsewhere(surroundings: Surroundings) -> bool {
    surroundings.without_browser().is_some_and(|why| why != Headless::NoTerminal)
}

fn missing_is_none<T>(found: Result<T, CommandError>) -> Result<Option<T>, CommandError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == Kind::LoginRequired => Ok(None),
        Err(error) => Err(error),
    }
}

/// The message with what mends it.
pub fn trouble(error: &CommandError) -> Trouble {
    Trouble(error.in_one_line())
}
