//! `authctl provider show`: what is known of one provider, for people and as JSON.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::{
    BaseUrlVariable, ClientRule, Dpop, KeyFlow, KeyShape, OAuth, Pkce, Provider, Scheme, Source,
    Verify,
};
use crate::context::Context;
use crate::credential::Kind as CredentialKind;
use crate::error::CommandError;
use crate::oauth::ClientAuthentication;

pub fn run(context: &Context, typed: &str) -> Result<ExitCode, CommandError> {
    let name = context.name(typed)?.name;
    let provider = context.provider(&name)?;
    if context.ui.is_json() {
        context.ui.json(&json!({ "version": 1, "provider": as_json(provider) }))?;
    } else {
        context.ui.data(&as_text(provider))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(provider: &Provider) -> String {
    let id =
        if provider.title == provider.id { String::new() } else { format!(" ({})", provider.id) };
    let mut text = format!("{}{id}\n", provider.title);
    let mut row = |label: &str, value: &str| {
        let _ = writeln!(text, "  {label:<14} {value}"); // writing into a String does not fail
    };
    row("known from", &source(&provider.source));
    if let Some(url) = &provider.base_url {
        row("API", url);
    }
    if !provider.base_url_variables.is_empty() {
        let name = |variable: &BaseUrlVariable| match variable.path.as_str() {
            "" => variable.name.clone(),
            path => format!("{} (with {path})", variable.name),
        };
        let names: Vec<String> = provider.base_url_variables.iter().map(name).collect();
        row("its variables", &names.join(" "));
    }
    if !provider.hosts.is_empty() {
        row("hosts", &provider.hosts.join(" "));
    }
    if let Some(url) = &provider.mcp_url {
        row("MCP server", url);
    }
    if let Some(note) = &provider.note {
        row("note", note);
    }
    for scheme in &provider.schemes {
        text.push_str(way(scheme));
        text.push('\n');
        scheme_rows(scheme, &mut text);
    }
    text
}

/// Where it is written.
pub fn source(source: &Source) -> String {
    match source {
        Source::Catalog => "built in".into(),
        Source::File { path, line } => format!("{}:{line}", path.display()),
        Source::Servers { .. } => "found at its address".into(),
    }
}

fn scheme_rows(scheme: &Scheme, text: &mut String) {
    let mut row = |label: &str, value: &str| {
        let _ = writeln!(text, "  {label:<14} {value}"); // writing into a String does not fail
    };
    row("header", &format!("{}: {}", scheme.header.name, scheme.header.format));
    if let Some((first, rivals)) = scheme.variables.split_first() {
        row("variable", first);
        let cleared: Vec<&str> = rivals.iter().chain(&scheme.clears).map(String::as_str).collect();
        if !cleared.is_empty() {
            row("removes", &cleared.join(" "));
        }
    } else {
        row("variable", "none known; use exec --with NAME=VARIABLE");
    }
    if let Some(page) = &scheme.create_at {
        row("made at", page);
    }
    if !scheme.placeholder.is_empty() {
        let shapes: Vec<String> = scheme.placeholder.iter().map(KeyShape::text).collect();
        row("looks like", &shapes.join(" "));
    }
    match &scheme.flow {
        Some(KeyFlow::Pkce(flow)) => row("browser", &format!("{} (code for a key)", flow.page)),
        Some(KeyFlow::Poll(flow)) => row("browser", &format!("session of {}", flow.start)),
        None => {}
    }
    if let Some(oauth) = &scheme.oauth {
        oauth_rows(oauth, &mut row);
    }
}

fn oauth_rows(oauth: &OAuth, row: &mut dyn FnMut(&str, &str)) {
    let grants: Vec<&str> = oauth.grants.iter().map(|grant| grant.as_str()).collect();
    row("grants", &grants.join(" "));
    let urls = [
        ("issuer", &oauth.issuer),
        ("trusted issuer", &oauth.trusted_issuer),
        ("authorization", &oauth.authorization_endpoint),
        ("device", &oauth.device_authorization_endpoint),
        ("token", &oauth.token_endpoint),
        ("refresh", &oauth.refresh_endpoint),
        ("revocation", &oauth.revocation_endpoint),
        ("pushed requests", &oauth.pushed_authorization_request_endpoint),
        ("resource", &oauth.resource),
    ];
    for (label, url) in urls {
        if let Some(url) = url {
            row(label, url);
        }
    }
    if !oauth.scopes.is_empty() {
        row("scopes", &oauth.scopes.join(" "));
    }
    if oauth.pushed_authorization {
        row("requests", "pushed (RFC 9126)");
    }
    match oauth.dpop {
        Dpop::Never => {}
        Dpop::Preferred => row("tokens", "bound to a key where the server can (DPoP)"),
        Dpop::Required => row("tokens", "bound to a key, no others (DPoP)"),
    }
    machine_rows(oauth, row);
    match (&oauth.client_id, &oauth.client) {
        (Some(id), _) => row("client", id),
        (None, _) if oauth.goes_without_client() => {}
        (None, ClientRule::Register) => match &oauth.client_metadata_url {
            Some(url) => row("client", &format!("{url}, else registered at the first login")),
            None => row("client", "registered at the first login"),
        },
        (None, ClientRule::Own { register_at: Some(page), .. }) => {
            row("client", &format!("your own: register one at {page}"));
        }
        (None, ClientRule::Own { .. }) => row("client", "your own (login --client-id)"),
    }
}

/// What a machine proves itself with.
fn machine_rows(oauth: &OAuth, row: &mut dyn FnMut(&str, &str)) {
    if let Some(identity) = &oauth.identity {
        row("identity", &identity.source.to_string());
        if let Some(audience) = &identity.audience {
            row("audience", audience);
        }
    }
    if let Some(name) = &oauth.identity_provider {
        row("begins with", &format!("the sign-in to {name}"));
    }
    if let Some(file) = &oauth.client_key_file {
        row("client key", &file.display().to_string());
    }
}

pub fn as_json(provider: &Provider) -> Value {
    let schemes: Vec<Value> = provider.schemes.iter().map(scheme_as_json).collect();
    let variable = |it: &BaseUrlVariable| json!({ "name": it.name, "path": it.path });
    let base_url_variables: Vec<Value> = provider.base_url_variables.iter().map(variable).collect();
    json!({
        "id": provider.id,
        "title": provider.title,
        "source": source(&provider.source),
        "base_url": provider.base_url,
        "base_url_variables": base_url_variables,
        "hosts": provider.hosts,
        "mcp_url": provider.mcp_url,
        "note": provider.note,
        "kinds": schemes,
    })
}

fn scheme_as_json(scheme: &Scheme) -> Value {
    json!({
        "kind": scheme.kind.as_str(),
        "header": { "name": scheme.header.name, "format": scheme.header.format },
        "variables": scheme.variables,
        "clears": scheme.clears,
        "verify": scheme.verify.as_ref().map(|verify| &verify.url),
        "verify_with": scheme.verify.as_ref().map(verify_as_json),
        "create_at": scheme.create_at,
        "placeholder": scheme.placeholder.iter().map(KeyShape::text).collect::<Vec<_>>(),
        "flow": scheme.flow.as_ref().map(flow_as_json),
        "oauth": scheme.oauth.as_ref().map(oauth_as_json),
    })
}

fn verify_as_json(verify: &Verify) -> Value {
    json!({
        "method": verify.method.as_str(),
        "headers": verify.headers,
        "member": verify.member,
    })
}

fn flow_as_json(flow: &KeyFlow) -> Value {
    match flow {
        KeyFlow::Pkce(flow) => json!({ "kind": "pkce", "exchange": flow.exchange }),
        KeyFlow::Poll(flow) => json!({ "kind": "poll", "exchange": flow.exchange }),
    }
}

fn oauth_as_json(oauth: &OAuth) -> Value {
    let (client, register_at, authentication) = match &oauth.client {
        ClientRule::Register => ("register", None, None),
        ClientRule::Own { register_at, authentication } => {
            ("own", register_at.as_ref(), authentication.map(ClientAuthentication::as_str))
        }
    };
    let pkce = oauth.pkce.map(|pkce| match pkce {
        Pkce::S256 => "S256",
        Pkce::Unverified => "unverified",
    });
    json!({
        "issuer": oauth.issuer,
        "trusted_issuer": oauth.trusted_issuer,
        "authorization_endpoint": oauth.authorization_endpoint,
        "token_endpoint": oauth.token_endpoint,
        "refresh_endpoint": oauth.refresh_endpoint,
        "device_authorization_endpoint": oauth.device_authorization_endpoint,
        "revocation_endpoint": oauth.revocation_endpoint,
        "registration_endpoint": oauth.registration_endpoint,
        "pushed_authorization_request_endpoint": oauth.pushed_authorization_request_endpoint,
        "pushed_authorization": oauth.pushed_authorization,
        "dpop": match oauth.dpop {
            Dpop::Never => Value::Bool(false),
            Dpop::Preferred => Value::Bool(true),
            Dpop::Required => "required".into(),
        },
        "grants": oauth.grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "scopes": oauth.scopes,
        "scope_separator": oauth.scope_separator,
        "resource": oauth.resource,
        "client": client,
        "client_metadata_url": oauth.client_metadata_url,
        "client_id": oauth.client_id,
        "register_at": register_at,
        "authentication": authentication,
        "client_key_file": oauth.client_key_file.as_ref().map(|it| it.display().to_string()),
        "identity": oauth.identity.as_ref().map(|it| it.source.to_string()),
        "identity_provider": oauth.identity_provider.as_ref().map(ToString::to_string),
        "redirect": {
            "host": oauth.redirect.host,
            "port": oauth.redirect.port,
            "path": oauth.redirect.path,
        },
        "pkce": pkce,
        "parameters": oauth.parameters,
    })
}

/// How people call a kind of credential.
pub fn way(scheme: &Scheme) -> &'static str {
    match scheme.kind {
        CredentialKind::ApiKey => "key",
        CredentialKind::Bearer => "token",
        CredentialKind::Basic => "basic",
        CredentialKind::OAuth => "OAuth",
    }
}
