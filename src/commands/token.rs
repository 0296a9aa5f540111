//! `authctl token`: one fresh token on stdout, for scripts.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{complete, given};
use crate::context::{Context, Named};
use crate::error::{CommandError, Kind};
use crate::inject;
use crate::interact::Interact;
use crate::policy;
use crate::resolve;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  curl -H \"$(authctl token github --header)\" https://api.github.com/user\n  authctl token audiostack --json"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
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

    /// From now on print this credential also when a coding agent asks (a person must say so)
    #[arg(long, conflicts_with_all = ["header", "refresh", "deny_agents"])]
    allow_agents: bool,

    /// Take that permission back
    #[arg(long, conflicts_with_all = ["header", "refresh"])]
    deny_agents: bool,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let named = context.name(&arguments.name)?;
    let provider = context.provider(&named.name)?;
    if arguments.allow_agents || arguments.deny_agents {
        return permit(context, &named, arguments.allow_agents);
    }
    refuse_agents(context, &named)?;
    let resolved = given::resolve(context, &named, provider, arguments.min_ttl, arguments.refresh)?;
    let scheme = super::scheme_of(provider, &named.name, &resolved.credential)?;
    let (header, value) = inject::header(provider, scheme, &resolved.credential)?;
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
    .hint(format!("authctl token {name} --allow-agents  (for a person, at a terminal)")))
}

fn permit(context: &Context, named: &Named, allow: bool) -> Result<ExitCode, CommandError> {
    let name = &named.name;
    if allow {
        if let Some(agent) = context.agent_at_the_keyboard()? {
            return Err(CommandError::new(
                Kind::Failed,
                format!("{agent} is running this command; only a person can give that permission"),
            ));
        }
        if !context.ui.can_ask() {
            return Err(CommandError::new(
                Kind::Failed,
                "only a person at a terminal can give that permission",
            ));
        }
        let question = format!("Let coding agents print the {name} credential?");
        if !context.ui.confirm(&question, false)? {
            return Err(CommandError::new(Kind::Failed, "nothing was changed"));
        }
    }
    let state = &context.paths()?.state;
    if allow {
        let entry = context.store()?.entry(name)?;
        let entry = entry.ok_or_else(|| resolve::Error::NotSignedIn(name.clone()))?;
        let permission = policy::Permission {
            credential_id: entry.id,
            granted_by: "token --allow-agents".into(),
            granted_at: Timestamp::now(),
        };
        policy::allow(state, name, &permission)?;
    } else {
        policy::withdraw(state, name)?;
    }
    if context.ui.is_json() {
        let name = name.to_string();
        context.ui.json(&json!({ "version": 1, "name": name, "agents_may_print": allow }))?;
    } else {
        let may = if allow { "may now" } else { "may no longer" };
        context.ui.notice(&format!("Coding agents {may} print {name}."));
    }
    Ok(ExitCode::SUCCESS)
}
