//! Whether an agent, rather than a person, runs this command.

use std::ffi::OsString;

use crate::config::{Agent, Config};

/// The agent whose marks are in the environment. One that names itself is preferred to the common
/// mark that many set.
pub fn at_keyboard<'a>(
    config: &'a Config,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<&'a Agent> {
    let present = |agent: &&Agent| {
        agent.markers.iter().any(|marker| {
            environment(&marker.variable).is_some_and(|content| marker.matches(&content))
        })
    };
    let mut found: Vec<&Agent> = config.agents().filter(present).collect();
    found.sort_by_key(|agent| agent.id == "other");
    found.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &Config, set: &[(&str, &str)]) -> Option<String> {
        let lookup = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        at_keyboard(config, &lookup).map(|agent| agent.id.clone())
    }

    #[test]
    fn agents_are_known_by_their_marks() {
        let config = Config::default();
        assert_eq!(found(&config, &[]), None);
        assert_eq!(found(&config, &[("CLAUDECODE", "1")]).as_deref(), Some("claude-code"));
        assert_eq!(found(&config, &[("CLAUDECODE", "")]), None);
        assert_eq!(found(&config, &[("AGENT", "goose")]).as_deref(), Some("goose"));
        assert_eq!(found(&config, &[("AGENT", "007")]), None);
        assert_eq!(found(&config, &[("AI_AGENT", "new")]).as_deref(), Some("other"));
        let both = [("AI_AGENT", "x"), ("GEMINI_CLI", "1")];
        assert_eq!(found(&config, &both).as_deref(), Some("gemini-cli"));
    }
}
