//! Programs that act for a person, and the environment variables by which they give themselves away
//! to the programs they run.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;

use toml::Spanned;

use super::file::{AgentTable, Document, Problem};
use super::value::check_name;

#[derive(Debug, Clone)]
pub struct Agent {
    pub id: String,
    /// For people.
    pub title: String,
    /// Any of them in the environment means that this agent runs us.
    pub markers: Vec<Marker>,
}

/// A variable that is set and not empty, or that has just this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    pub variable: String,
    pub value: Option<String>,
}

impl Marker {
    /// Whether a variable with this content is the mark.
    pub fn matches(&self, content: &OsStr) -> bool {
        match &self.value {
            Some(value) => content == OsStr::new(value),
            None => !content.is_empty(),
        }
    }
}

impl Agent {
    pub(super) fn check(id: &Spanned<String>, table: &AgentTable) -> Result<Self, Problem> {
        let markers = table.markers.iter().map(marker).collect::<Result<_, _>>()?;
        let title = table.title.as_deref().map_or_else(|| id.get_ref().clone(), crate::text::clean);
        Ok(Self { id: id.get_ref().clone(), title, markers })
    }
}

/// `NAME` or `NAME=VALUE`.
fn marker(written: &Spanned<String>) -> Result<Marker, Problem> {
    let (variable, value) = match written.get_ref().split_once('=') {
        Some((variable, value)) => (variable, Some(value.to_owned())),
        None => (written.get_ref().as_str(), None),
    };
    check_name(variable)
        .map_err(|_| Problem::new(written.span(), "is neither NAME nor NAME=VALUE"))?;
    Ok(Marker { variable: variable.to_owned(), value })
}

/// The agents that authctl knows by itself.
pub(super) fn built_in() -> &'static BTreeMap<String, Agent> {
    static AGENTS: LazyLock<BTreeMap<String, Agent>> = LazyLock::new(|| {
        let document =
            Document { file: Path::new("agents.toml"), text: include_str!("agents.toml") };
        // The text is part of the program, and a test reads it.
        super::checked_agents(&document).unwrap_or_else(|error| panic!("{error}"))
    });
    &AGENTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_built_in_agents_load() {
        let claude = &built_in()["claude-code"];
        assert!(claude.markers.iter().any(|marker| marker.variable == "CLAUDECODE"));
        assert!(built_in().values().all(|agent| !agent.markers.is_empty()));
    }

    #[test]
    fn a_marker_with_a_value_needs_just_that_value() {
        let text = "[agent.x]\nmarkers = [\"A\", \"B=c=d\"]\n";
        let config = Config::parse("c.toml".as_ref(), text).unwrap();
        let agent = config.agents().find(|agent| agent.id == "x").unwrap();
        assert!(agent.markers[0].matches(OsStr::new("1")));
        assert!(!agent.markers[0].matches(OsStr::new("")));
        assert!(agent.markers[1].matches(OsStr::new("c=d")));
        assert!(!agent.markers[1].matches(OsStr::new("c")));
    }

    #[test]
    fn a_marker_that_is_no_variable_is_refused() {
        let text = "[agent.x]\nmarkers = [\"A-B\"]\n";
        let message = Config::parse("c.toml".as_ref(), text).unwrap_err().to_string();
        assert!(message.starts_with("c.toml:2: agent.x.markers: "), "{message}");
    }

    #[test]
    fn a_file_can_switch_a_built_in_agent_off() {
        let config =
            Config::parse("c.toml".as_ref(), "[agent.claude-code]\nmarkers = []\n").unwrap();
        let claude: Vec<_> = config.agents().filter(|agent| agent.id == "claude-code").collect();
        assert_eq!(claude.len(), 1);
        assert!(claude[0].markers.is_empty());
    }
}
