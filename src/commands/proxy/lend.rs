//! What a proxy lends: each credential once, found before the first request, with the secret that stands for
//! it, the paths that lead to its servers, and the variables of a child.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::desk::{self, Seat};
use crate::commands::handing::{Form, Handing, Handings};
use crate::commands::purpose::Purpose;
use crate::config::Provider;
use crate::context::{Context, Named, Options};
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::forward::{Ask, Broker, Held, Source};
use crate::inject;
use crate::interact::Interact;
use crate::proxy::{self, Authority, Lent, Route, Upstream};
use crate::secret::Secret;

/// A credential as it goes to the thread of the proxy.
pub struct Loan {
    pub named: Named,
    pub provider: Provider,
    /// `None`: nobody is signed in, and requests go on without.
    pub held: Option<Arc<Held>>,
    /// What its program has in its place.
    pub placeholder: Secret,
    asks: mpsc::UnboundedSender<Ask>,
}

impl Loan {
    /// What serves requests; on the thread that does.
    pub fn lent(&self) -> Lent {
        let broker = Broker::holding(self.asks.clone(), self.held.clone());
        let source = Rc::new(Source::new(broker));
        Lent::new(self.named.name.to_string(), self.provider.clone(), source)
    }

    pub fn name(&self) -> &Name {
        &self.named.name
    }
}

/// Whether a credential may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Then nothing starts.
    Refused,
    /// What needs none works all the same.
    Said,
}

/// Finds the credentials of `handings`, each once.
pub fn loans(
    context: &Context,
    options: &Options,
    handings: &Handings,
    purpose: &Purpose,
    missing: Missing,
) -> Result<Vec<Loan>, CommandError> {
    let mut loans: Vec<Loan> = Vec::new();
    for handing in &handings.list {
        let named = &handing.named;
        if loans.iter().any(|loan| loan.named.name == named.name) {
            continue;
        }
        let provider = context.provider(&named.name)?.clone();
        purpose.confirm(context, &named.name, &provider)?;
        let held = match desk::living(context, named) {
            Ok(held) => Some(Arc::new(held)),
            Err(error) if missing == Missing::Said && error.kind() == Kind::LoginRequired => {
                let name = &named.name;
                context.ui.warn(&format!(
                    "nobody is signed in to {name}: requests go on without a credential; authctl login {name}"
                ));
                None
            }
            Err(error) => return Err(error),
        };
        let command_line = context.command_line;
        let seat = Seat { options: options.clone(), command_line, named: named.clone() };
        let asks = desk::start(seat);
        let placeholder = placeholder(held.as_deref());
        loans.push(Loan { named: named.clone(), provider, held, placeholder, asks });
    }
    Ok(loans)
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
pub fn routes(loans: &[Loan]) -> Vec<Route> {
    let mut routes = Vec::new();
    for (credential, loan) in loans.iter().enumerate() {
        let name = loan.name().to_string();
        let mut add = |name: String, url: Option<&String>, is_mcp| {
            if let Some(upstream) = url.and_then(|url| Upstream::parse(url)) {
                routes.push(Route { name, credential, upstream, is_mcp });
            }
        };
        let (base, mcp) = (loan.provider.base_url.as_ref(), loan.provider.mcp_url.as_ref());
        add(name.clone(), base, false);
        if base.is_none() {
            add(name.clone(), mcp, true);
        }
        add(format!("{name}+mcp"), mcp, true);
    }
    routes
}

/// The variable of a handing and the placeholder in it; `None` where its programs read none.
pub fn stand_in(loan: &Loan, handing: &Handing) -> Result<Option<(String, Secret)>, CommandError> {
    let Some(held) = &loan.held else { return Ok(None) };
    let first = held.scheme.variables.first().map(String::as_str);
    let Some(variable) = handing.form.variable().or(first) else { return Ok(None) };
    let value = match &handing.form {
        Form::Header(_) => inject::header_with(&held.scheme, &loan.placeholder),
        _ => loan.placeholder.clone(),
    };
    Ok(Some((variable.to_owned(), value)))
}
