//! What a proxy lends: each credential once, found before the first request, with the secret that stands for
//! it, the paths that lead to its servers, and the variables of a child.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::header::{HeaderName, HeaderValue};

use super::desk::{Seat, start};
use super::typed::Arguments as Typed;
use crate::commands::handing::{self, Handing, Handings};
use crate::commands::holding;
use crate::commands::purpose::Purpose;
use crate::config::{Provider, ProxyRule};
use crate::context::{Context, Named, Options};
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::forward::{Asks, Broker, Form, Held, Injection, Source};
use crate::inject;
use crate::interact::Interact;
use crate::proxy::{self, Authority, Lent, Route, Rules, Upstream};
use crate::secret::Secret;
use crate::store::Glimpse;

/// A credential as it goes to the thread of the proxy.
pub struct Loan {
    pub named: Named,
    pub provider: Provider,
    /// `None`: nobody is signed in, and requests go on without.
    pub held: Option<Arc<Held>>,
    /// The store's index before it was looked for.
    absence: Option<Glimpse>,
    /// What its program has in its place.
    pub placeholder: Secret,
    pub rule: ProxyRule,
    /// What else goes with its requests.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The server that its name leads to, in the place of its provider's.
    pub at: Option<String>,
    /// It goes along with requests of others, and has none of its own.
    pub is_companion: bool,
    asks: Asks,
    desk: Option<JoinHandle<()>>,
}

impl Loan {
    /// Where requests get it; on the thread that serves them.
    fn source(&self) -> Rc<Source> {
        Rc::new(Source::new(Broker::holding(
            self.asks.clone(),
            self.held.clone(),
            self.absence.clone(),
        )))
    }

    pub fn name(&self) -> &Name {
        &self.named.name
    }

    /// The thread that renews it, for whoever waits for its end.
    pub fn take_desk(&mut self) -> Option<JoinHandle<()>> {
        self.desk.take()
    }
}

/// Whether a credential may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Then nothing starts.
    Refused,
    /// What needs none works all the same.
    Said,
    /// The same; somebody else says it.
    Unsaid,
}

/// Finds the credentials of `handings`, each once.
pub fn loans(
    context: &Context,
    options: &Options,
    handings: &Handings,
    purpose: &Purpose,
    (typed, missing): (&Typed, Missing),
) -> Result<Vec<Loan>, CommandError> {
    let mut loans: Vec<Loan> = Vec::new();
    let make = |named: &Named, is_companion| -> Result<Loan, CommandError> {
        let provider = context.provider(&named.name)?.clone();
        purpose.confirm(context, &named.name, &provider)?;
        let absence = holding::glimpse(context, named);
        let held = find(context, named, &provider, missing)?;
        let command_line = context.command_line;
        let seat = Seat { options: options.clone(), command_line, named: named.clone() };
        let placeholder = placeholder(held.as_deref());
        let (asks, desk) = start(seat);
        let desk = Some(desk);
        let rule = typed.over(context, context.config()?.proxy(&named.name))?;
        let headers = typed.headers(&rule)?;
        let (named, at) = (named.clone(), None);
        Ok(Loan {
            named,
            provider,
            held,
            absence,
            placeholder,
            rule,
            headers,
            at,
            is_companion,
            asks,
            desk,
        })
    };
    for handing in &handings.list {
        if !loans.iter().any(|loan| loan.named.name == handing.named.name) {
            loans.push(make(&handing.named, false)?);
        }
    }
    let companions: BTreeSet<Name> =
        loans.iter().flat_map(|loan| loan.rule.secret_headers.values().cloned()).collect();
    typed.check(loans.len())?;
    for name in companions {
        loans.push(make(&Named { name, account_named: true }, true)?);
    }
    Ok(loans)
}

fn find(
    context: &Context,
    named: &Named,
    provider: &Provider,
    missing: Missing,
) -> Result<Option<Arc<Held>>, CommandError> {
    match holding::living(context, named, provider) {
        Ok(held) => Ok(Some(Arc::new(held))),
        Err(error) if missing == Missing::Said && error.kind() == Kind::LoginRequired => {
            let name = &named.name;
            context.ui.warn(&format!(
                "nobody is signed in to {name}: requests go on without a credential; authctl login {name}"
            ));
            Ok(None)
        }
        Err(error) if missing == Missing::Unsaid && error.kind() == Kind::LoginRequired => Ok(None),
        Err(error) => Err(error),
    }
}

/// What serves requests; on the thread that does.
pub fn lent(loans: &[Loan]) -> Vec<Rc<Lent>> {
    let sources: BTreeMap<&Name, Rc<Source>> =
        loans.iter().map(|loan| (loan.name(), loan.source())).collect();
    let own = loans.iter().filter(|loan| !loan.is_companion);
    let lend = |loan: &Loan| {
        let companions = loan.rule.secret_headers.iter().filter_map(|(header, name)| {
            let form = Form::Header(header.parse().ok()?);
            Some(Injection { source: sources.get(name)?.clone(), form })
        });
        let source = sources[loan.name()].clone();
        let mut lent = Lent::new(&loan.name().to_string(), loan.provider.clone(), source);
        lent.rules = Rules::new(&loan.rule);
        lent.companions = companions.collect();
        lent.headers.clone_from(&loan.headers);
        lent.id_header = loan.rule.id_header.as_ref().and_then(|header| header.parse().ok());
        Rc::new(lent)
    };
    own.map(lend).collect()
}

/// In the shape of the real one, since some programs look at it before they send it.
fn placeholder(held: Option<&Held>) -> Secret {
    match held {
        Some(held) => proxy::like(&held.scheme.placeholder, held.credential.secret()),
        None => Secret::random(),
    }
}

/// The variables that lead programs to the address of a credential, and that address.
pub fn base_urls(loan: &Loan, url: &str) -> Vec<(String, String)> {
    let variables = loan.provider.base_url_variables.iter();
    let address = format!("{url}/{}", loan.name());
    variables
        .map(|variable| (variable.name.clone(), format!("{address}{}", variable.path)))
        .collect()
}

/// The authority that vouches for the hosts of the credentials, towards programs of this run.
pub fn authority(loans: &[Loan]) -> Result<Authority, CommandError> {
    let hosts: BTreeSet<String> =
        loans.iter().flat_map(|loan| loan.provider.hosts.clone()).collect();
    let is_bound = move |host: &str| hosts.iter().any(|known| names(known, host));
    Authority::new(is_bound).map_err(|error| CommandError::new(Kind::Failed, error.to_string()))
}

/// Whether a host of a provider, which may have a port, is `host`.
fn names(known: &str, host: &str) -> bool {
    let bare = known.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let bare = bare.map_or(known, |(bare, _)| bare);
    bare.trim_matches(['[', ']']) == host
}

/// The paths that lead to the servers of the credentials.
pub fn routes(loans: &[Loan]) -> Vec<Rc<Route>> {
    let mut routes = Vec::new();
    for (credential, loan) in loans.iter().filter(|loan| !loan.is_companion).enumerate() {
        let name = loan.name().to_string();
        let mut add = |name: String, url: Option<&String>| {
            if let Some(upstream) = url.and_then(|url| Upstream::parse(url)) {
                routes.push(Rc::new(Route { name, credential, upstream }));
            }
        };
        if loan.at.is_some() {
            add(name, loan.at.as_ref());
            continue;
        }
        let (base, mcp) = (loan.provider.base_url.as_ref(), loan.provider.mcp_url.as_ref());
        add(name.clone(), base);
        if base.is_none() {
            add(name.clone(), mcp);
        }
        add(format!("{name}+mcp"), mcp);
    }
    routes
}

/// The variable of a handing and the placeholder in it; `None` where its programs read none.
pub fn stand_in(loan: &Loan, handing: &Handing) -> Option<(String, Secret)> {
    let held = loan.held.as_ref()?;
    let first = held.scheme.variables.first().map(String::as_str);
    let variable = handing.form.variable().or(first)?;
    let value = match &handing.form {
        handing::Form::Header(_) => inject::header_with(&held.scheme, &loan.placeholder),
        _ => loan.placeholder.clone(),
    };
    Some((variable.to_owned(), value))
}
