//! An agent as it was typed, and what is known of it.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::config::{AcpAgent, AcpProvider};
use crate::context::{Context, environment};
use crate::error::CommandError;
use crate::launch;
use crate::policy;
use crate::text;

/// Its command line, and its entry where it is known.
pub struct Agent<'a> {
    pub command: &'a [OsString],
    pub known: Option<&'a AcpAgent>,
}

impl<'a> Agent<'a> {
    pub fn of(context: &'a Context, command: &'a [OsString]) -> Result<Self, CommandError> {
        let (program, arguments) = command.split_first().ok_or_else(|| {
            CommandError::usage("no agent is given").hint("authctl acp -- codex-acp")
        })?;
        Ok(Self { command, known: context.config()?.acp_agent(program, arguments) })
    }

    pub fn program(&self) -> &OsStr {
        &self.command[0]
    }

    /// For people.
    pub fn title(&self) -> String {
        self.known.map_or_else(|| title(self.program()), |agent| agent.title.clone())
    }

    /// Under what it is bound: its ID, else its program as a file; `None` for one that could run anything.
    pub fn key(&self) -> Option<String> {
        if let Some(agent) = self.known {
            return Some(agent.id.clone());
        }
        let program = launch::locate(self.program())?;
        let program = program.canonicalize().unwrap_or(program);
        policy::can_remember(&program).then(|| program.to_str().map(str::to_owned))?
    }

    /// How it takes credentials of a provider: what is known, else the provider's own variables.
    pub fn ways(&self, provider: &str) -> Option<AcpProvider> {
        match self.known {
            Some(agent) => {
                agent.providers.iter().find(|it| it.provider == provider && has_needs(it)).cloned()
            }
            None => Some(AcpProvider::unknown(provider)),
        }
    }

    /// The providers whose credentials it takes as things stand, the preferred one first.
    pub fn providers(&self) -> impl Iterator<Item = &'a AcpProvider> {
        self.known.into_iter().flat_map(|agent| &agent.providers).filter(|it| has_needs(it))
    }

    /// As typed, for hints.
    pub fn line(&self) -> String {
        let words = self.command.iter().map(|word| word.to_string_lossy());
        text::clean_to(&words.collect::<Vec<_>>().join(" "), 300)
    }
}

/// The name of a program, for people.
pub fn title(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    text::clean(&name.to_string_lossy())
}

fn has_needs(provider: &AcpProvider) -> bool {
    provider.needs.iter().all(|variable| environment(variable).is_some())
}
