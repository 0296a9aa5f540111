//! What an agent does not inherit: the keys of every provider and agent that authctl knows. The tools that it runs
//! would see them.

use std::collections::BTreeSet;

use super::agent::Agent;
use crate::config::Provider;
use crate::context::Context;
use crate::error::CommandError;

/// The variables to take out of the environment. `--keep-env` keeps one; an agent that gets nothing keeps what it
/// would read itself.
pub fn withheld(
    context: &Context,
    agent: &Agent<'_>,
    is_served: bool,
    keep: &[String],
) -> Result<Vec<String>, CommandError> {
    let config = context.config()?;
    let mut all: BTreeSet<&str> = config.providers().flat_map(Provider::variables).collect();
    for known in config.acp_agents() {
        all.extend(known.providers.iter().flat_map(|it| &it.variables).map(String::as_str));
        all.extend(known.ignores.iter().map(String::as_str).filter(|name| holds_key(name)));
    }
    if !is_served {
        for entry in agent.known.into_iter().flat_map(|known| &known.providers) {
            for own in &entry.variables {
                all.remove(own.as_str());
            }
            if let Ok(provider) = config.provider(&entry.provider) {
                for own in provider.variables() {
                    all.remove(own);
                }
            }
        }
    }
    let is_kept = |name: &&str| keep.iter().any(|kept| kept == name);
    Ok(all.into_iter().filter(|name| !is_kept(name)).map(str::to_owned).collect())
}

/// Not every variable of a tool is one for a secret.
fn holds_key(name: &str) -> bool {
    name.ends_with("_KEY") || name.ends_with("_TOKEN")
}

/// Those that are there, for people.
pub fn present(withheld: &[String]) -> Vec<&str> {
    withheld.iter().map(String::as_str).filter(|name| std::env::var_os(name).is_some()).collect()
}
