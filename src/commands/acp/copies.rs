//! Agents that write down the keys they are given: their files are looked through after a run, and a copy is said
//! with what to do. The key itself is never shown.

use std::path::{Path, PathBuf};

use crate::config::AcpAgent;
use crate::context::{Context, environment};
use crate::interact::Interact;
use crate::paths;
use crate::secret::Secret;
use crate::text;

/// Largest file that is looked through, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// The agent's folder for settings and sign-ins.
pub fn profile(agent: &AcpAgent) -> Option<PathBuf> {
    let profile = agent.profile.as_ref()?;
    let named = profile.variable.as_deref().and_then(environment).map(PathBuf::from);
    named.or_else(|| Some(paths::home()?.join(&profile.folder)))
}

/// The files where it may keep a key.
fn places(agent: &AcpAgent) -> Vec<PathBuf> {
    let (home, profile) = (paths::home(), profile(agent));
    let place = |copy: &String| match copy.strip_prefix("~/") {
        Some(below) => home.as_ref().map(|home| home.join(below)),
        None => profile.as_ref().map(|profile| profile.join(copy)),
    };
    agent.copies.iter().filter_map(place).collect()
}

/// Whether it would write down what it is given, and could be kept from it.
pub fn writes_down(agent: &AcpAgent) -> bool {
    agent.ephemeral.is_some() && !is_ephemeral(agent)
}

/// Whether it keeps none, by a setting of the person's own.
fn is_ephemeral(agent: &AcpAgent) -> bool {
    let Some((rule, profile)) = agent.ephemeral.as_ref().zip(profile(agent)) else { return false };
    let text = read(&profile.join(&rule.file)).and_then(|bytes| String::from_utf8(bytes).ok());
    let settings = text.and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    settings.get(&rule.setting).and_then(toml::Value::as_str) == Some(&rule.value)
}

/// Those in which one of these secrets stands.
fn found(agent: &AcpAgent, secrets: &[Secret]) -> Vec<PathBuf> {
    let has_secret = |path: &PathBuf| {
        let Some(contents) = read(path) else { return false };
        secrets.iter().any(|secret| holds(&contents, secret))
    };
    places(agent).into_iter().filter(has_secret).collect()
}

/// Says where the agent has written down what it was given.
pub fn warn(context: &Context, agent: Option<&AcpAgent>, handed: &[Secret]) {
    let Some(agent) = agent.filter(|_| !handed.is_empty()) else { return };
    for path in found(agent, handed) {
        context.ui.warn(&warning(agent, &path));
    }
}

/// What is said of one.
fn warning(agent: &AcpAgent, path: &Path) -> String {
    let place = text::clean_to(&path.to_string_lossy(), 1_000);
    let title = &agent.title;
    let mend = match &agent.ephemeral {
        Some(rule) => format!(
            "delete it there, and put {} = \"{}\" into {} so that it keeps none",
            rule.setting, rule.value, rule.file
        ),
        None => "delete it there, or make a new key".into(),
    };
    format!("{title} has written the key that it was given to {place}: {mend}")
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    (length <= LIMIT).then(|| std::fs::read(path).ok())?
}

/// Short texts stand anywhere by chance.
fn holds(contents: &[u8], secret: &Secret) -> bool {
    let secret = secret.expose().as_bytes();
    secret.len() >= 8 && contents.windows(secret.len()).any(|part| part == secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_as_it_stands_and_no_shorter_one() {
        let secret = Secret::new("sk-0123456789");
        assert!(holds(b"{\"OPENAI_API_KEY\": \"sk-0123456789\"}", &secret));
        assert!(!holds(b"{\"OPENAI_API_KEY\": \"sk-012345678\"}", &secret));
        assert!(!holds(b"", &secret));
        assert!(!holds(b"abc", &Secret::new("abc")));
    }
}
