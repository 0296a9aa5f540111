//! The command of an agent with what a way puts there before the start: variables, and words that the agent
//! needs to heed them.

use std::ffi::OsString;

use super::Grant;
use crate::config::Helper;
use crate::launch;
use crate::secret::Secret;

/// What goes into the variables of an agent.
pub enum Worth {
    /// The address of authctl's proxy, and a stand-in for the key.
    Address,
    /// The command that prints the key.
    Helper(String),
    /// The key.
    Key(Secret),
}

/// Puts a grant into the command. Of several for one variable, the first counts.
pub fn dress(command: &mut launch::Command, grant: &Grant, worth: &Worth) {
    let Some(set) = variables(grant, worth) else { return };
    if set.iter().any(|(name, _)| command.set.iter().any(|(other, _)| other == name)) {
        return;
    }
    command.set.extend(set);
    for (name, text) in &grant.ways.extra {
        if command.set.iter().all(|(other, _)| other != name) {
            command.set.push((name.clone(), Secret::new(text.as_str())));
        }
    }
    let missing = grant.ways.arguments.iter().filter(|word| !is_typed(&command.arguments, word));
    let missing: Vec<OsString> = missing.map(OsString::from).collect();
    command.arguments.extend(missing);
}

fn variables(grant: &Grant, worth: &Worth) -> Option<Vec<(String, Secret)>> {
    let (ways, variable) = (&grant.ways, grant.variable.clone());
    let address = |url: &str| {
        let base_url = ways.base_url.as_ref()?;
        Some((base_url.variable.clone(), Secret::new(base_url.value(url))))
    };
    Some(match worth {
        Worth::Address => vec![address(&grant.lent.url)?, (variable?, grant.lent.stand_in.clone())],
        Worth::Key(key) => vec![(variable?, key.clone())],
        Worth::Helper(command) => {
            // The key goes where its provider is, and nowhere else.
            let home = grant.home.as_deref().and_then(address);
            let named = match &ways.helper {
                Some(Helper::Variable(name)) => Some((name.clone(), Secret::new(command.as_str()))),
                _ => None,
            };
            home.into_iter().chain(named).collect()
        }
    })
}

/// Whether the option is on the command line already, with whatever value.
pub fn is_typed(typed: &[OsString], word: &str) -> bool {
    let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    typed.iter().any(|typed| name(&typed.to_string_lossy()) == name(word))
}
