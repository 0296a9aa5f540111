//! `authctl provider`: the providers that are known, what is known of one, and whether it works.

use std::fmt::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::verify::verify;
use super::{complete, given};
use crate::config::{ClientRule, Dpop, KeyFlow, OAuth, Pkce, Provider, Scheme, Source};
use crate::context::Context;
use crate::credential::Kind as CredentialKind;
use crate::error::{CommandError, Kind};
use crate::http::Request;
use crate::oauth::{self, ClientAuthentication};
use crate::ui::{BAD, FAINT, GOOD};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the providers: the built-in ones and those of config.toml
    List,
    /// Show one provider: ways to sign in, headers, variables, endpoints
    Show {
        /// Name of the provider, as in `provider list`
        #[arg(add = complete::providers())]
        provider: String,
    },
    /// Check one provider step by step: metadata, endpoints, and the stored credential
    Check {
        /// Provider, or provider:account
        #[arg(add = complete::providers())]
        provider: String,
    },
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    match &arguments.what {
        What::List => list(context),
        What::Show { provider } => show(context, provider),
        What::Check { provider } => check(context, provider),
    }
}

fn find<'a>(context: &'a Context, typed: &str) -> Result<&'a Provider, CommandError> {
    let name = context.name(typed)?.name;
    context.provider(&name)
}

// ---------------------------------------------------------------------------------------------- list

fn list(context: &Context) -> Result<ExitCode, CommandError> {
    let providers: Vec<&Provider> = context.config()?.providers().collect();
    if context.ui.is_json() {
        let providers: Vec<Value> = providers.into_iter().map(as_json).collect();
        context.ui.json(&json!({ "version": 1, "providers": providers }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = providers.iter().map(|provider| provider.id.len()).max().unwrap_or(0);
    let title = providers.iter().map(|p| p.title.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for provider in providers {
        let ways: Vec<&str> = provider.schemes.iter().map(way).collect();
        let own =
            if matches!(provider.source, Source::File { .. }) { "  (config.toml)" } else { "" };
        let _ = writeln!(
            text,
            "{:width$}  {:title$}  {FAINT}{}{own}{FAINT:#}",
            provider.id,
            provider.title,
            ways.join(", ")
        );
    }
    context.ui.data(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn way(scheme: &Scheme) -> &'static str {
    match scheme.kind {
        CredentialKind::ApiKey => "key",
        CredentialKind::Bearer => "token",
        CredentialKind::Basic => "basic",
        CredentialKind::OAuth => "OAuth",
    }
}

// ---------------------------------------------------------------------------------------------- show

fn show(context: &Context, typed: &str) -> Result<ExitCode, CommandError> {
    let provider = find(context, typed)?;
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

fn source(source: &Source) -> String {
    match source {
        Source::Catalog => "built in".into(),
        Source::File { path, line } => format!("{}:{line}", path.display()),
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
        ("authorization", &oauth.authorization_endpoint),
        ("device", &oauth.device_authorization_endpoint),
        ("token", &oauth.token_endpoint),
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
    match (&oauth.client_id, &oauth.client) {
        (Some(id), _) => row("client", id),
        (None, ClientRule::Register) => row("client", "registered at the first login"),
        (None, ClientRule::Own { register_at: Some(page), .. }) => {
            row("client", &format!("your own: register one at {page}"));
        }
        (None, ClientRule::Own { .. }) => row("client", "your own (login --client-id)"),
    }
}

fn as_json(provider: &Provider) -> Value {
    let schemes: Vec<Value> = provider.schemes.iter().map(scheme_as_json).collect();
    json!({
        "id": provider.id,
        "title": provider.title,
        "source": source(&provider.source),
        "base_url": provider.base_url,
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
        "verify": scheme.verify,
        "create_at": scheme.create_at,
        "flow": scheme.flow.as_ref().map(flow_as_json),
        "oauth": scheme.oauth.as_ref().map(oauth_as_json),
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
        "authorization_endpoint": oauth.authorization_endpoint,
        "token_endpoint": oauth.token_endpoint,
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
        "client_id": oauth.client_id,
        "register_at": register_at,
        "authentication": authentication,
        "redirect": {
            "host": oauth.redirect.host,
            "port": oauth.redirect.port,
            "path": oauth.redirect.path,
        },
        "pkce": pkce,
        "parameters": oauth.parameters,
    })
}

// --------------------------------------------------------------------------------------------- check

/// One step of a check and what it came to.
struct Step {
    what: String,
    failure: Option<String>,
    hints: Vec<String>,
}

impl Step {
    fn new<T>(what: impl Into<String>, result: &Result<T, CommandError>) -> Self {
        let error = result.as_ref().err();
        Self {
            what: what.into(),
            failure: error.map(|error| error.message().to_owned()),
            hints: error.map(|error| error.hints().to_owned()).unwrap_or_default(),
        }
    }
}

/// Goes on until a step fails, since the later ones stand on it.
fn check(context: &Context, typed: &str) -> Result<ExitCode, CommandError> {
    let named = context.name(typed)?;
    let provider = context.provider(&named.name)?;
    let mut steps = vec![Step::new(format!("described ({})", source(&provider.source)), &Ok(()))];
    let oauth = provider.schemes.iter().find_map(|scheme| scheme.oauth.as_ref());
    if let Some(oauth) = oauth {
        check_server(context, oauth, &mut steps);
    }
    if steps.iter().all(|step| step.failure.is_none()) {
        check_credential(context, &named, provider, &mut steps);
    }
    let failed = steps.iter().any(|step| step.failure.is_some());
    if context.ui.is_json() {
        let steps: Vec<Value> = steps
            .iter()
            .map(|step| {
                json!({
                    "step": step.what,
                    "ok": step.failure.is_none(),
                    "failure": step.failure,
                    "hints": step.hints,
                })
            })
            .collect();
        context.ui.json(&json!({ "version": 1, "provider": provider.id, "steps": steps }))?;
    } else {
        let lines: Vec<String> = steps.iter().map(step_line).collect();
        context.ui.data(&lines.concat())?;
        steps.iter().flat_map(|step| &step.hints).for_each(|hint| context.ui.hint(hint));
    }
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn step_line(step: &Step) -> String {
    match &step.failure {
        None => format!("{GOOD}✓{GOOD:#} {}\n", step.what),
        Some(failure) => format!("{BAD}✗{BAD:#} {}: {failure}\n", step.what),
    }
}

fn check_server(context: &Context, oauth: &OAuth, steps: &mut Vec<Step>) {
    if let Some(issuer) = &oauth.issuer {
        let found = context
            .http
            .block_on(oauth::discover(&context.http, issuer))
            .map_err(CommandError::from);
        let named = oauth.token_endpoint.is_some();
        // Metadata is optional where the endpoints are written down.
        if !named || found.is_ok() {
            steps.push(Step::new(format!("metadata of {issuer}"), &found));
        }
        if let Ok(metadata) = found {
            steps.push(Step::new("PKCE with S256", &advertised(&metadata, oauth)));
        }
    }
    if let Some(endpoint) = &oauth.token_endpoint {
        let reached = Request::get(endpoint)
            .map_err(CommandError::from)
            .and_then(|request| Ok(context.http.block_on(context.http.send(request))?));
        steps.push(Step::new(format!("token endpoint {endpoint} answers"), &reached));
    }
}

fn advertised(metadata: &oauth::Metadata, oauth: &OAuth) -> Result<(), CommandError> {
    if oauth.pkce.is_some() || metadata.checks_pkce() {
        return Ok(());
    }
    Err(CommandError::new(Kind::Failed, "the metadata does not promise it"))
}

fn check_credential(
    context: &Context,
    named: &crate::context::Named,
    provider: &Provider,
    steps: &mut Vec<Step>,
) {
    let resolved = given::resolve(context, named, provider, std::time::Duration::ZERO, false);
    steps.push(Step::new(format!("a credential for {}", named.name), &resolved));
    let Ok(resolved) = resolved else { return };
    let scheme = super::scheme_of(provider, &named.name, &resolved.credential);
    match scheme {
        Err(_) => steps.push(Step::new("its header", &scheme)),
        Ok(scheme) => {
            let Some(url) = &scheme.verify else { return };
            let tried = verify(context, &named.name, scheme, url, &resolved);
            steps.push(Step::new(format!("a call to {url}"), &tried));
        }
    }
}
