//! What a shell offers for a NAME: providers, and the accounts in the index. Neither the keychain nor the
//! network is touched, and whatever goes wrong offers nothing: a completion has nobody to tell.

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use crate::clients::McpClient;
use crate::config::Provider;
use crate::context::{Context, Options};
use crate::error::CommandError;

/// Names that can be signed in to: every provider, and what is stored already.
pub fn providers() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let context = context();
        let mut offered = stored_in(&context).unwrap_or_default();
        if let Ok(config) = context.config() {
            offered.extend(config.providers().map(offer));
        }
        offered
    })
}

/// Names that are stored.
pub fn stored() -> ArgValueCandidates {
    ArgValueCandidates::new(|| stored_in(&context()).unwrap_or_default())
}

/// MCP clients.
pub fn clients() -> ArgValueCandidates {
    ArgValueCandidates::new(all_clients)
}

/// MCP clients, and the servers that they can be given by name.
pub fn clients_and_stored() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let mut offered = all_clients();
        offered.extend(stored_in(&context()).unwrap_or_default());
        offered
    })
}

fn all_clients() -> Vec<CompletionCandidate> {
    let offer =
        |client: McpClient| CompletionCandidate::new(client.id()).help(Some(client.title().into()));
    McpClient::ALL.into_iter().map(offer).collect()
}

fn context() -> Context {
    // The command line itself is of no use here.
    Context::new(Options::default(), clap::Command::default)
}

fn offer(provider: &Provider) -> CompletionCandidate {
    CompletionCandidate::new(&provider.id).help(Some(provider.title.clone().into()))
}

fn stored_in(context: &Context) -> Result<Vec<CompletionCandidate>, CommandError> {
    let mut offered = Vec::new();
    for entry in context.store()?.entries()?.entries {
        let name = entry.name()?;
        let help = context.provider(&name).ok().map(|provider| provider.title.clone().into());
        offered.push(CompletionCandidate::new(name.to_string()).help(help));
    }
    Ok(offered)
}
