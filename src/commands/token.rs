//! `authctl token`: one fresh token on stdout, for scripts.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::purpose::Purpose;
use super::{complete, given};
use crate::audit::{Entry, Outcome};
use crate::context::{Context, Named};
use crate::error::{CommandError, Kind};
use crate::inject;
use crate::policy;
use crate::resolve::Source;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  curl -H \"$(authctl token github --header)\" https://api.github.com/user\n  authctl token audiostack --json"
)]
pub struct Arguments {
    /// Provider, or provider:account
    #[arg(add = complete::stored())]
    name: String,

    /// Least time the token must still live, as in 90s, 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::parse_time)]
    min_ttl: Duration,

    /// Print the whole header line that the API expects
    #[arg(long)]
    header: bool,

    /// Ask the authorization server for a new token in any case
    #[arg(long)]
    refresh: bool,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let named = context.name(&arguments.name)?;
    let provider = context.provider(&named.name)?;
    let purpose = Purpose::token();
    let about = Some((&named.name, provider));
    refuse_agents(context, &named).inspect_err(|error| {
        purpose.record_failure(context, Outcome::Refused, about, error);
    })?;
    let (min_ttl, refresh) = (arguments.min_ttl, arguments.refresh);
    let resolved = given::resolve(context, &named, provider, min_ttl, refresh, Some(&purpose))?;
    let (header, value) = super::scheme_of(provider, &named.name, &resolved.credential)
        .and_then(|scheme| Ok(inject::header(provider, scheme, &resolved.credential)?))
        .inspect_err(|error| purpose.record_failure(context, Outcome::Failed, about, error))?;
    let source = match &resolved.source {
        Source::Given(variable) => Some(variable.clone()),
        Source::Stored | Source::Acquired => None,
    };
    let id = Some(resolved.id.clone());
    context.record(Entry { id, source, ..purpose.entry(Outcome::Done, about) });
    if context.ui.is_json() {
        context.ui.json(&json!({
            "version": 1,
            "name": named.name.to_string(),
            "id": resolved.id,
            "kind": resolved.credential.kind().as_str(),
            "token": resolved.credential.secret().expose(),
            "header": { "name": header, "value": value.expose() },
            "expires_at": resolved.credential.expires_at(),
        }))?;
    } else if arguments.header {
        context.ui.secret(&format!("{header}: {}", value.expose()))?;
    } else {
        context.ui.secret(resolved.credential.secret().expose())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse_agents(context: &Context, named: &Named) -> Result<(), CommandError> {
    let Some(agent) = context.agent_at_the_keyboard()? else { return Ok(()) };
    let state = &context.paths()?.state;
    if let Some(entry) = context.store()?.entry(&named.name)?
        && policy::permission(state, &named.name, &entry.id)?.is_some()
    {
        return Ok(());
    }
    let name = &named.name;
    Err(CommandError::new(
        Kind::Failed,
        format!("{agent} is running this command, and {name} may not be printed to agents"),
    )
    .hint(format!(
        "authctl exec --with {name} -- COMMAND  (the command gets it, the transcript does not)"
    ))
    .hint(format!("authctl permission allow {name}  (for a person, at a terminal)")))
}
