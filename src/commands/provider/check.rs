//! `authctl provider check`: proves that a provider works end to end, and says which step fails. Each step
//! is ok, failed, or skipped with the reason; a step that stands on a failed one is skipped.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::show::source;
use crate::commands::verify::verify;
use crate::commands::{given, scheme_of};
use crate::config::{ClientRule, OAuth, Pkce, Provider};
use crate::context::{Context, Named};
use crate::credential::{Grant, Kind as CredentialKind};
use crate::error::{CommandError, Kind};
use crate::http::Request;
use crate::oauth::{self, Metadata};
use crate::resolve::{Resolved, Source};
use crate::store::{Key, unless_damaged};
use crate::ui::{BAD, FAINT, GOOD};

/// One step and what it came to.
struct Step {
    /// For programs.
    id: &'static str,
    /// For people.
    what: String,
    outcome: Outcome,
    hints: Vec<String>,
}

enum Outcome {
    Ok,
    Failed(String),
    Skipped(String),
}

/// The steps so far.
#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn add(&mut self, id: &'static str, what: impl Into<String>, outcome: Outcome) {
        self.0.push(Step { id, what: what.into(), outcome, hints: Vec::new() });
    }

    fn ok(&mut self, id: &'static str, what: impl Into<String>) {
        self.add(id, what, Outcome::Ok);
    }

    fn skip(&mut self, id: &'static str, what: impl Into<String>, reason: impl Into<String>) {
        self.add(id, what, Outcome::Skipped(reason.into()));
    }

    /// Takes the value of a step that succeeded.
    fn take<T>(
        &mut self,
        id: &'static str,
        what: impl Into<String>,
        result: Result<T, CommandError>,
    ) -> Option<T> {
        let (value, error) = match result {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        let outcome = match &error {
            None => Outcome::Ok,
            Some(error) => Outcome::Failed(error.message().to_owned()),
        };
        let hints = error.map(|error| error.hints().to_owned()).unwrap_or_default();
        self.0.push(Step { id, what: what.into(), outcome, hints });
        value
    }

    fn failed(&self) -> bool {
        self.0.iter().any(|step| matches!(step.outcome, Outcome::Failed(_)))
    }
}

pub fn run(context: &Context, typed: &str, refresh: bool) -> Result<ExitCode, CommandError> {
    let named = context.name(typed)?;
    let provider = context.provider(&named.name)?;
    let mut steps = Steps::default();
    steps.ok("description", format!("described ({})", source(&provider.source)));
    if let Some(found) = find_out(context, &named, provider, &mut steps)
        && let Some(oauth) = found.oauth()
    {
        check_server(context, oauth, &mut steps);
        check_client(context, &named, &found, oauth, &mut steps);
    }
    check_credential(context, &named, provider, refresh, &mut steps);
    report(context, provider, &steps)?;
    Ok(if steps.failed() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// The provider with what its MCP server says, where the description leaves that to the server.
fn find_out<'p>(
    context: &Context,
    named: &Named,
    provider: &'p Provider,
    steps: &mut Steps,
) -> Option<Cow<'p, Provider>> {
    let url = provider.asked_at().filter(|_| !provider.oauth().is_some_and(OAuth::names_server));
    let Some(url) = url.filter(|_| provider.oauth().is_some()) else {
        return Some(Cow::Borrowed(provider));
    };
    let login = context.login();
    let found = login.and_then(|login| Ok(login.described(&named.name, provider)?));
    steps.take("server", format!("{url} says who signs people in"), found)
}

fn report(context: &Context, provider: &Provider, steps: &Steps) -> Result<(), CommandError> {
    if context.ui.is_json() {
        let steps: Vec<Value> = steps.0.iter().map(as_json).collect();
        context.ui.json(&json!({ "version": 1, "provider": provider.id, "steps": steps }))?;
        return Ok(());
    }
    let lines: Vec<String> = steps.0.iter().map(as_line).collect();
    context.ui.data(&lines.concat())?;
    steps.0.iter().flat_map(|step| &step.hints).for_each(|hint| context.ui.hint(hint));
    Ok(())
}

/// One of `ok`, `failure` and `skipped` says what came of it.
fn as_json(step: &Step) -> Value {
    let (failure, skipped) = match &step.outcome {
        Outcome::Ok => (None, None),
        Outcome::Failed(reason) => (Some(reason), None),
        Outcome::Skipped(reason) => (None, Some(reason)),
    };
    json!({
        "id": step.id,
        "step": step.what,
        "ok": matches!(step.outcome, Outcome::Ok),
        "failure": failure,
        "skipped": skipped,
        "hints": step.hints,
    })
}

fn as_line(step: &Step) -> String {
    let what = &step.what;
    match &step.outcome {
        Outcome::Ok => format!("{GOOD}✓{GOOD:#} {what}\n"),
        Outcome::Failed(reason) => format!("{BAD}✗{BAD:#} {what}: {reason}\n"),
        Outcome::Skipped(reason) => format!("{FAINT}- {what}: skipped, {reason}{FAINT:#}\n"),
    }
}

// ------------------------------------------------------------------------------------ the server

fn check_server(context: &Context, oauth: &OAuth, steps: &mut Steps) {
    let metadata = check_metadata(context, oauth, steps);
    let metadata = metadata.as_ref();
    check_hosts(context, oauth, metadata, steps);
    let by_code = oauth.grants.contains(&Grant::AuthorizationCode);
    if by_code {
        check_pkce(oauth, metadata, steps);
    }
    if oauth.issuer.is_some() && metadata.is_none() && oauth.token_endpoint.is_none() {
        return; // nothing is known of it
    }
    for grant in &oauth.grants {
        let what = format!("grant {}", grant.as_str());
        steps.take("grant", what, offered(*grant, oauth, metadata));
    }
    if oauth.client == ClientRule::Register {
        let endpoint = named(oauth.registration_endpoint.as_ref(), metadata, |m| {
            m.registration_endpoint.as_ref()
        });
        let there = endpoint.map(drop).ok_or_else(|| {
            CommandError::new(Kind::Failed, "the server names no registration endpoint")
        });
        steps.take("registration", "clients can be registered", there);
    }
}

fn check_metadata(context: &Context, oauth: &OAuth, steps: &mut Steps) -> Option<Metadata> {
    let Some(issuer) = &oauth.issuer else {
        steps.skip("metadata", "metadata", "no issuer is described");
        return None;
    };
    let what = format!("metadata of {issuer}");
    match context.http.block_on(oauth::discover(&context.http, issuer)) {
        // Metadata is optional where the endpoints are written down.
        Err(oauth::Error::NoMetadata { .. }) if oauth.token_endpoint.is_some() => {
            steps.skip("metadata", what, "there is none, and the endpoints are described");
            None
        }
        found => steps.take("metadata", what, found.map_err(CommandError::from)),
    }
}

/// Every host that an endpoint is at answers something, over https off this machine.
fn check_hosts(context: &Context, oauth: &OAuth, metadata: Option<&Metadata>, steps: &mut Steps) {
    let endpoints = [
        named(oauth.authorization_endpoint.as_ref(), metadata, |m| {
            m.authorization_endpoint.as_ref()
        }),
        named(oauth.token_endpoint.as_ref(), metadata, |m| m.token_endpoint.as_ref()),
        oauth.refresh_endpoint.as_ref(),
        named(oauth.device_authorization_endpoint.as_ref(), metadata, |m| {
            m.device_authorization_endpoint.as_ref()
        }),
        named(oauth.revocation_endpoint.as_ref(), metadata, |m| m.revocation_endpoint.as_ref()),
        named(oauth.registration_endpoint.as_ref(), metadata, |m| m.registration_endpoint.as_ref()),
    ];
    let origins: BTreeSet<String> = endpoints
        .into_iter()
        .flatten()
        .filter_map(|endpoint| Some(Url::parse(endpoint).ok()?.origin().ascii_serialization()))
        .collect();
    for origin in origins {
        let answer = Request::get(&format!("{origin}/"))
            .and_then(|request| context.http.block_on(context.http.send(request)));
        let answer = answer.map_err(CommandError::from);
        steps.take("endpoints", format!("{origin} answers"), answer);
    }
}

fn check_pkce(oauth: &OAuth, metadata: Option<&Metadata>, steps: &mut Steps) {
    let what = "PKCE with S256";
    match (metadata, oauth.pkce) {
        (Some(metadata), _) if metadata.checks_pkce() => steps.ok("pkce", what),
        (_, Some(Pkce::S256)) => steps.ok("pkce", what),
        (_, Some(Pkce::Unverified)) => {
            steps.skip("pkce", what, "nobody knows whether the server checks it");
        }
        (Some(_), None) => {
            let error = CommandError::new(Kind::Failed, "the metadata does not promise it");
            steps.take::<()>("pkce", what, Err(error));
        }
        (None, None) if oauth.issuer.is_some() => {
            steps.skip("pkce", what, "the metadata would say it");
        }
        (None, None) => {
            let error = CommandError::new(Kind::Failed, "neither metadata nor pkce promise it");
            steps.take::<()>("pkce", what, Err(error));
        }
    }
}

/// The endpoint in effect: the described one, else that of the metadata.
fn named<'a>(
    own: Option<&'a String>,
    metadata: Option<&'a Metadata>,
    found: fn(&Metadata) -> Option<&String>,
) -> Option<&'a String> {
    own.or_else(|| found(metadata?))
}

/// Whether the server offers a grant: its endpoint is known, and its metadata does not leave it out
/// (RFC 8414 §2, `grant_types_supported`).
fn offered(grant: Grant, oauth: &OAuth, metadata: Option<&Metadata>) -> Result<(), CommandError> {
    let endpoint = match grant {
        Grant::AuthorizationCode => named(oauth.authorization_endpoint.as_ref(), metadata, |m| {
            m.authorization_endpoint.as_ref()
        }),
        Grant::DeviceCode => named(oauth.device_authorization_endpoint.as_ref(), metadata, |m| {
            m.device_authorization_endpoint.as_ref()
        }),
        _ => named(oauth.token_endpoint.as_ref(), metadata, |m| m.token_endpoint.as_ref()),
    };
    if endpoint.is_none() {
        return Err(CommandError::new(Kind::Failed, "the server names no endpoint for it"));
    }
    let listed = metadata.and_then(|metadata| metadata.grant_types_supported.as_ref());
    match listed {
        Some(listed) if !listed.iter().any(|listed| listed == grant.grant_type()) => {
            Err(CommandError::new(Kind::Failed, "the metadata does not list it"))
        }
        _ => Ok(()),
    }
}

/// Whether a client for signing in is known; of no interest to whoever has a key.
fn check_client(
    context: &Context,
    named: &Named,
    provider: &Provider,
    oauth: &OAuth,
    steps: &mut Steps,
) {
    let what = "a client for signing in";
    match wants_client(context, named, provider) {
        Ok(true) => {}
        Ok(false) => return steps.skip("client", what, "a key needs none"),
        Err(error) => {
            steps.take::<()>("client", what, Err(error));
            return;
        }
    }
    if oauth.client_id.is_some() || oauth.goes_without_client() {
        return steps.ok("client", what);
    }
    match (known_client(context, provider, oauth), &oauth.client) {
        (Ok(true), _) => steps.ok("client", what),
        (Ok(false), ClientRule::Register) => {
            steps.skip("client", what, "it is registered at the first login");
        }
        (Ok(false), ClientRule::Own { register_at, .. }) => {
            let error = CommandError::usage("none of your own is known here");
            let page = register_at.as_ref().map(|page| format!("register one at {page}"));
            let error = page.into_iter().fold(error, CommandError::hint);
            let error = error.hint(format!("authctl login {} --client-id ID", provider.id));
            steps.take::<()>("client", what, Err(error));
        }
        (Err(error), _) => {
            steps.take::<()>("client", what, Err(error));
        }
    }
}

/// Whether what is held, or would be by default, comes from OAuth.
fn wants_client(
    context: &Context,
    named: &Named,
    provider: &Provider,
) -> Result<bool, CommandError> {
    if given::found(context, named, provider)?.is_some() {
        return Ok(false);
    }
    let held = context.store()?.entry(&named.name)?.map(|entry| entry.kind);
    let first = provider.schemes.first().map(|scheme| scheme.kind);
    Ok(held.or(first) == Some(CredentialKind::OAuth))
}

fn known_client(
    context: &Context,
    provider: &Provider,
    oauth: &OAuth,
) -> Result<bool, CommandError> {
    let server = oauth.issuer.as_deref().or(oauth.token_endpoint.as_deref()).unwrap_or_default();
    let store = context.store()?;
    let load = |key: &Key<'_>| unless_damaged(store.load_registration(key));
    Ok(load(&Key::Client(&provider.id))?.is_some() || load(&Key::Registration(server))?.is_some())
}

// -------------------------------------------------------------------------------- the credential

fn check_credential(
    context: &Context,
    named: &Named,
    provider: &Provider,
    refresh: bool,
    steps: &mut Steps,
) {
    let resolved = given::resolve(context, named, provider, Duration::ZERO, false, None);
    let resolved = steps.take("credential", format!("a credential for {}", named.name), resolved);
    let Some(mut resolved) = resolved else {
        steps.skip("refresh", "a refresh", "there is no credential");
        return steps.skip("call", "a call with it", "there is no credential");
    };
    if let Some(new) = check_refresh(context, named, provider, &resolved, refresh, steps) {
        resolved = new;
    }
    check_call(context, named, provider, &resolved, steps);
}

/// Whether the credential can be refreshed; with `now`, by doing it.
fn check_refresh(
    context: &Context,
    named: &Named,
    provider: &Provider,
    resolved: &Resolved,
    now: bool,
    steps: &mut Steps,
) -> Option<Resolved> {
    let what = "a refresh";
    let skipped = match (&resolved.source, resolved.credential.as_oauth()) {
        (Source::Given(variable), _) => format!("{variable} gives the credential"),
        (_, None) => "a key is not refreshed".into(),
        (_, Some((tokens, _))) if !resolved.credential.is_renewable() => match tokens.expires_at {
            Some(_) => "the server gave no refresh token; sign in again when it ends".into(),
            None => "the token has no end".into(),
        },
        (_, Some(_)) if !now => {
            steps.ok("refresh", "a refresh is possible (--refresh does it)");
            return None;
        }
        _ => {
            let refreshed = given::resolve(context, named, provider, Duration::ZERO, true, None);
            return steps.take("refresh", what, refreshed);
        }
    };
    steps.skip("refresh", what, skipped);
    None
}

fn check_call(
    context: &Context,
    named: &Named,
    provider: &Provider,
    resolved: &Resolved,
    steps: &mut Steps,
) {
    let scheme = match scheme_of(provider, &named.name, &resolved.credential) {
        Ok(scheme) => scheme,
        Err(error) => {
            steps.take::<()>("call", "its header", Err(error));
            return;
        }
    };
    match &scheme.verify {
        None => steps.skip("call", "a call with it", "no call that proves it is described"),
        Some(call) => {
            let tried = verify(context, &named.name, scheme, call, resolved);
            steps.take("call", format!("a call to {}", call.url), tried);
        }
    }
}
