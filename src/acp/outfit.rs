//! The command of an agent with what a way puts there before the start: variables, and words that the agent
//! needs to heed them.

use std::ffi::OsString;

use super::Grant;
use super::ways::Way;
use crate::launch;
use crate::secret::Secret;

/// Puts a grant into the command; `key` is the credential itself, for the way that gives it away. Of several
/// for one variable, the first counts.
pub fn dress(command: &mut launch::Command, grant: &Grant, way: Way, key: Option<&Secret>) {
    let Some(variable) = &grant.variable else { return };
    if command.set.iter().any(|(name, _)| name == variable) {
        return;
    }
    match (way, key, &grant.ways.base_url) {
        (Way::BaseUrl, _, Some(base_url)) => {
            let address = Secret::new(base_url.value(&grant.lent.url));
            command.set.push((base_url.variable.clone(), address));
            command.set.push((variable.clone(), grant.lent.stand_in.clone()));
        }
        (Way::Variable, Some(key), _) => command.set.push((variable.clone(), key.clone())),
        _ => return,
    }
    let extra = grant.ways.extra.iter();
    command.set.extend(extra.map(|(name, text)| (name.clone(), Secret::new(text.as_str()))));
    let missing = grant.ways.arguments.iter().filter(|word| !is_typed(&command.arguments, word));
    let missing: Vec<OsString> = missing.map(OsString::from).collect();
    command.arguments.extend(missing);
}

/// Whether the option is on the command line already, with whatever value.
fn is_typed(typed: &[OsString], word: &str) -> bool {
    let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    typed.iter().any(|typed| name(&typed.to_string_lossy()) == name(word))
}
