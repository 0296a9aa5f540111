//! The thread that has the store while an agent runs: it hands out what the agent must have itself, which it says
//! and writes down, and has the person sign in.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::acp::{Pending, Supply, Way};
use crate::audit::{Entry, Outcome};
use crate::commands::holding::quiet;
use crate::commands::mcp::Bringer;
use crate::commands::purpose::{Purpose, record_login};
use crate::commands::{given, scheme_of, server};
use crate::config::AcpProvider;
use crate::context::{Context, Options};
use crate::error::{CommandError, Kind};
use crate::forward::{Address, Bring, Trouble};
use crate::headless::{Browser, Surroundings};
use crate::inject;
use crate::interact::Interact;
use crate::login::{self, Login};
use crate::secret::Secret;
use crate::signals;
use crate::text;

/// Least time that a credential lives which an agent gets.
const MIN_TTL: Duration = Duration::from_mins(5);

type Reply<T> = oneshot::Sender<Result<T, Trouble>>;

enum Ask {
    Holds { name: String, reply: Reply<bool> },
    Possess { name: String, way: Way, reply: Reply<Option<Secret>> },
    IsReplaced { name: String, old: Secret, reply: Reply<bool> },
    SignIn { name: String, bring: Bring, address: oneshot::Sender<Address>, reply: Reply<()> },
    Known { agent: String, provider: String, reply: Reply<Option<AcpProvider>> },
    Header { name: Option<String>, url: String, reply: Reply<Option<(String, Secret)>> },
}

/// The way to the thread.
pub struct Desk {
    asks: mpsc::UnboundedSender<Ask>,
    /// What the agent was given itself.
    handed: RefCell<Vec<Secret>>,
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
            while let Some(ask) = queue.blocking_recv() {
                let context = own.get_or_insert_with(|| clerk.context());
                clerk.answer(context, ask);
            }
        });
        Self { asks, handed: RefCell::default() }
    }

    /// What the agent was given itself, up to now.
    pub fn handed(&self) -> Vec<Secret> {
        self.handed.borrow().clone()
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

    fn header<'a>(
        &'a self,
        name: Option<&'a str>,
        url: &'a str,
    ) -> Pending<'a, Result<Option<(String, Secret)>, Trouble>> {
        let (name, url) = (name.map(str::to_owned), url.to_owned());
        Box::pin(self.ask(move |reply| Ask::Header { name, url, reply }))
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

    fn answer(&self, context: &Context, ask: Ask) {
        // Whoever asked may have gone.
        match ask {
            Ask::Holds { name, reply } => {
                let _ = reply.send(holds(context, &name).map_err(|error| trouble(&error)));
            }
            Ask::Possess { name, way, reply } => {
                let key = missing_is_none(possess(context, &self.program, &name, way));
                let _ = reply.send(key.map_err(|error| trouble(&error)));
            }
            Ask::IsReplaced { name, old, reply } => {
                let current = current(context, &name).map_err(|error| trouble(&error));
                let _ = reply.send(current.map(|current| current.expose() != old.expose()));
            }
            Ask::Header { name, url, reply } => {
                let header = missing_is_none(self.header(context, name.as_deref(), &url));
                let _ = reply.send(header.map(Option::flatten).map_err(|error| trouble(&error)));
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

    fn header(
        &self,
        context: &Context,
        name: Option<&str>,
        url: &str,
    ) -> Result<Option<(String, Secret)>, CommandError> {
        let Some(found) = server::find(context, url, name)? else {
            let Some(name) = name else { return Ok(None) };
            return Err(CommandError::usage(format!(
                "{} is not for the host of {}",
                text::clean(name),
                text::clean(url)
            )));
        };
        let (named, provider) = (found.named, found.provider);
        let purpose = Purpose::exec(&self.program);
        let resolved = given::resolve(context, &named, &provider, MIN_TTL, false, Some(&purpose))?;
        let scheme = scheme_of(&provider, &named.name, &resolved.credential)?;
        let header = inject::header(&provider, scheme, &resolved.credential)?;
        let line = purpose.entry(Outcome::Done, Some((&named.name, &provider)));
        context.record(Entry { id: Some(resolved.id), ..line });
        context.ui.notice(&format!(
            "authctl: {} gets {} itself, for an MCP server",
            super::title(&self.program),
            named.name
        ));
        Ok(Some(header))
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

/// By the agent's name, as far as the provider has an address to lead it to.
pub fn known(
    context: &Context,
    agent: &str,
    provider: &str,
) -> Result<Option<AcpProvider>, CommandError> {
    let config = context.config()?;
    let known = config.acp_agent_named(agent).and_then(|agent| agent.provider(provider));
    let has_address = config.provider(provider)?.base_url.is_some();
    Ok(known.filter(|_| has_address).cloned())
}

/// The credential itself, for one whom `way` gives it; so that everybody can see that later.
pub fn possess(
    context: &Context,
    program: &OsStr,
    name: &str,
    way: Way,
) -> Result<Secret, CommandError> {
    let named = context.name(name)?;
    let provider = context.provider(&named.name)?;
    let purpose = Purpose::exec(program);
    let resolved = given::resolve(context, &named, provider, MIN_TTL, false, Some(&purpose))?;
    let line = purpose.entry(Outcome::Done, Some((&named.name, provider)));
    context.record(Entry { id: Some(resolved.id), ..line });
    let title = super::title(program);
    context.ui.notice(&format!("authctl: {title} gets {} itself ({way})", named.name));
    Ok(resolved.credential.secret().clone())
}

fn sign_in(
    context: &Context,
    name: &str,
    bring: Bring,
    address: oneshot::Sender<Address>,
) -> Result<(), CommandError> {
    let named = context.name(name)?;
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

fn missing_is_none<T>(found: Result<T, CommandError>) -> Result<Option<T>, CommandError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == Kind::LoginRequired => Ok(None),
        Err(error) => Err(error),
    }
}

fn trouble(error: &CommandError) -> Trouble {
    let hints = error.hints().iter();
    Trouble(hints.fold(error.message().to_owned(), |text, hint| format!("{text}; {hint}")))
}
