//! MCP servers that an agent reaches with a stored credential: by a proxy of authctl's own, so that the agent holds
//! none and a new one counts at once; by the credential itself where that cannot be.

use std::ffi::OsStr;
use std::time::Duration;

use crate::acp::{Reach, ServerWish};
use crate::audit::{Entry, Outcome};
use crate::commands::handing::{Form, Handing, Handings};
use crate::commands::proxy::Beside;
use crate::commands::purpose::Purpose;
use crate::commands::server::{self, Server};
use crate::commands::{given, holding, scheme_of};
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::inject;
use crate::interact::Interact;
use crate::launch;
use crate::secret::Secret;

use super::grants::KEY_HEADER;

/// Least time that a credential lives which an agent gets.
const MIN_TTL: Duration = Duration::from_mins(5);

/// A server behind a proxy of its own.
pub struct Served {
    beside: Beside,
    /// The address there.
    url: String,
    key: Secret,
}

impl Served {
    pub fn reach(&self) -> Reach {
        let header = (KEY_HEADER.to_owned(), self.key.clone());
        Reach::Lent { url: self.url.clone(), header }
    }

    pub fn end(self, context: &Context) {
        if let Err(error) = self.beside.end() {
            context.ui.warn(error.message());
        }
    }
}

/// How it is reached.
pub enum Reached {
    Lent(Served),
    Given((String, Secret)),
}

/// `None`: nobody has a credential for it, and none was named.
pub fn reach(
    context: &Context,
    program: &OsStr,
    wish: &ServerWish,
) -> Result<Option<Reached>, CommandError> {
    let Some(found) = server::find(context, &wish.url, wish.name.as_deref())? else {
        let Some(name) = &wish.name else { return Ok(None) };
        return Err(CommandError::usage(format!("{} is not for the host of {}", name, wish.url)));
    };
    let held = holding::living(context, &found.named, &found.provider)?;
    let own = &held.scheme.header.name;
    let is_own = wish.header.as_ref().is_none_or(|(name, _)| name.eq_ignore_ascii_case(own));
    let title = super::title(program);
    let name = &found.named.name;
    if wish.can_move && is_own {
        let served = lend(context, program, &found)?;
        context
            .ui
            .notice(&format!("authctl: {title} uses {name} for the MCP server {}", wish.title));
        return Ok(Some(Reached::Lent(served)));
    }
    let header = give(context, program, &found, wish, is_own)?;
    context
        .ui
        .notice(&format!("authctl: {title} gets {name} itself, for the MCP server {}", wish.title));
    Ok(Some(Reached::Given(header)))
}

fn lend(context: &Context, program: &OsStr, found: &Server) -> Result<Served, CommandError> {
    let list = vec![Handing { named: found.named.clone(), form: Form::Own }];
    let handings = Handings { list, manifest: None };
    let purpose = Purpose::exec(program);
    let located = launch::locate(program);
    let beside = Beside::start_at(context, &handings, &purpose, located, Some(&found.url))?;
    let lent = beside.offer(&found.named.name).map(|it| (it.url.clone(), it.stand_in.clone()));
    let Some((url, key)) = lent else {
        return Err(CommandError::new(Kind::Failed, "the proxy offers nothing"));
    };
    Ok(Served { beside, url: format!("{url}{}", tail(&found.url)), key })
}

/// What of an address does not belong to its base: the query, and a slash at the end of its path.
fn tail(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return String::new() };
    let slash = if url.path().len() > 1 && url.path().ends_with('/') { "/" } else { "" };
    url.query().map_or_else(|| slash.to_owned(), |query| format!("{slash}?{query}"))
}

/// The header with the credential itself, which is written down.
fn give(
    context: &Context,
    program: &OsStr,
    found: &Server,
    wish: &ServerWish,
    is_own: bool,
) -> Result<(String, Secret), CommandError> {
    let (named, provider) = (&found.named, &found.provider);
    let purpose = Purpose::exec(program);
    let resolved = given::resolve(context, named, provider, MIN_TTL, false, Some(&purpose))?;
    let scheme = scheme_of(provider, &named.name, &resolved.credential)?;
    let own = inject::header(provider, scheme, &resolved.credential)?;
    let line = purpose.entry(Outcome::Done, Some((&named.name, provider)));
    context.record(Entry { id: Some(resolved.id), ..line });
    Ok(match &wish.header {
        Some((name, before)) if !is_own => {
            let secret = resolved.credential.secret().expose();
            (name.clone(), Secret::new(format!("{before}{secret}")))
        }
        _ => own,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_goes_on_behind_its_base() {
        for (url, rest) in [
            ("https://a.example/mcp", ""),
            ("https://a.example/mcp/", "/"),
            ("https://a.example", ""),
            ("https://a.example/", ""),
            ("https://a.example/mcp?team=5&x", "?team=5&x"),
            ("https://a.example/mcp/?team=5#x", "/?team=5"),
        ] {
            assert_eq!(tail(url), rest, "{url}");
        }
    }
}
