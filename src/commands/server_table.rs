//! What was found out about an MCP server, as the tables of a provider.

use toml_edit::{Array, Item, Table, Value};

use crate::config::{Dpop, OAuth, Provider};
use crate::credential::{Grant, Kind};
use crate::login::{Found, Method};

/// What the command line adds to it.
pub struct Wanted<'a> {
    pub method: &'a Method,
    pub client_metadata_url: Option<&'a str>,
    pub dpop: bool,
}

/// The tables. Without anything found, a key or a token is pasted.
pub fn table(
    url: &str,
    found: Option<&Found>,
    before: Option<&Provider>,
    wanted: &Wanted<'_>,
) -> Table {
    let mut table = Table::new();
    if let Some(title) = found.and_then(|found| found.title.as_ref()) {
        put(&mut table, "title", title);
    }
    put(&mut table, "mcp_url", url);
    match found {
        Some(found) => {
            let before = before.and_then(Provider::oauth);
            table.insert("oauth", Item::Table(oauth_table(found, before, wanted)));
        }
        None => {
            table.insert(pasted(wanted.method).as_str(), Item::Table(Table::new()));
        }
    }
    table
}

fn pasted(method: &Method) -> Kind {
    match method {
        Method::Basic { .. } => Kind::Basic,
        Method::Key { kind: Some(kind), .. } => *kind,
        _ => Kind::Bearer,
    }
}

fn oauth_table(found: &Found, before: Option<&OAuth>, wanted: &Wanted<'_>) -> Table {
    let mut table = Table::new();
    if let Some(issuer) = &found.issuer {
        put(&mut table, "issuer", issuer);
    }
    if let Some(endpoints) = &found.endpoints {
        put(&mut table, "authorization_endpoint", &endpoints.authorization);
        put(&mut table, "token_endpoint", &endpoints.token);
        put(&mut table, "registration_endpoint", &endpoints.registration);
        put(&mut table, "pkce", "unverified");
    }
    put(&mut table, "resource", &found.resource);
    let grant = grant(before, wanted);
    if let Some(grant) = grant {
        put_list(&mut table, "grants", &[grant.as_str().to_owned()]);
    }
    let by_person = grant.is_none_or(|grant| !grant.needs_nobody());
    let usual = match before {
        Some(before) if found.is_insufficient => before.scopes.clone(),
        _ => found.scopes_for(by_person),
    };
    put_list(&mut table, "scopes", &usual);
    if found.registers && by_person {
        put(&mut table, "client", "register");
    }
    let document = before.and_then(|before| before.client_metadata_url.as_ref());
    if let Some(document) = wanted.client_metadata_url.or(document.map(String::as_str)) {
        put(&mut table, "client_metadata_url", document);
    }
    if found.wants_proof || wanted.dpop || before.is_some_and(|it| it.dpop == Dpop::Required) {
        put(&mut table, "dpop", "required");
    }
    table
}

/// The grant, where it is not the one that is usual.
fn grant(before: Option<&OAuth>, wanted: &Wanted<'_>) -> Option<Grant> {
    let grant = match wanted.method {
        Method::Grant(grant) => Some(*grant),
        _ => before.and_then(|before| before.grants.first().copied()),
    };
    grant.filter(|grant| *grant == Grant::ClientCredentials)
}

fn put(table: &mut Table, key: &str, value: &str) {
    table.insert(key, toml_edit::value(value));
}

fn put_list(table: &mut Table, key: &str, values: &[String]) {
    if !values.is_empty() {
        let list: Array = values.iter().map(String::as_str).collect();
        table.insert(key, Item::Value(Value::Array(list)));
    }
}
