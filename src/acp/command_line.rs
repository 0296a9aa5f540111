//! Start parameters on the agent's command line. Their form is heeded; which credential it is about is the user's to
//! say, and a key is never put there: every process of the machine could read it.

use std::path::PathBuf;

use super::Relay;
use super::deliver::Standing;
use super::parameter::Parameter;
use super::ways::Way;
use crate::private_file::{self, TemporaryDirectory};
use crate::secret::Secret;

impl Standing {
    /// What the agent is started with beside, as it stands on the command line.
    pub(super) fn word(&self) -> Result<Option<String>, String> {
        let (grant, parameter) = (self.grant(), self.parameter.borrow().clone());
        let Some(parameter) = parameter else { return Ok(None) };
        let option = parameter.option();
        Ok(match &parameter {
            Parameter::Word(word) => Some(word.clone()),
            Parameter::Variable(_) => {
                grant.variable.as_ref().map(|name| format!("{option}={name}"))
            }
            Parameter::File(_) => {
                let path = self.write(&grant.lent.stand_in).map_err(|error| error.to_string())?;
                Some(format!("{option}={}", path.display()))
            }
            Parameter::Key(_) => None,
        })
    }

    /// A file of this run with what stands for the key.
    fn write(&self, stand_in: &Secret) -> Result<PathBuf, private_file::Error> {
        let folder = TemporaryDirectory::new()?;
        let path = folder.path().join("key");
        private_file::write_for_run(&path, stand_in.expose().as_bytes())?;
        *self.folder.borrow_mut() = Some(folder);
        Ok(path)
    }
}

impl Relay {
    /// What the agent wants at its start beside what it gets, as far as that can be said there.
    pub(super) fn parameter(&self, standing: &Standing, way: Way) -> Option<Parameter> {
        if !standing.grant().ways.arguments.is_empty() || !self.is_first(standing) {
            return None;
        }
        let advertised = self.advertised.borrow();
        let mut all = advertised.methods.iter().filter_map(|method| method.parameter.as_ref());
        all.find(|parameter| is_harmless(parameter, way)).cloned()
    }

    /// Two credentials would give it the same parameter.
    fn is_first(&self, standing: &Standing) -> bool {
        let first = self.standings.iter().find(|it| it.holds.get());
        first.is_some_and(|first| std::ptr::eq(first, standing))
    }

    /// Why an agent stays without its credential that takes it on its command line alone.
    pub(super) fn refused_parameter(&self) -> Option<String> {
        let advertised = self.advertised.borrow();
        let wanted = advertised.methods.iter().filter_map(|method| method.parameter.as_ref());
        let mut keys = wanted.filter(|it| matches!(it, Parameter::Key(_) | Parameter::File(_)));
        let key = keys.next()?;
        Some(format!(
            "{} wants its key in the start parameter {}; authctl puts none there, where other programs could read it",
            self.settings.title,
            key.option()
        ))
    }
}

/// Whether it can be written without the key. The stand-in of the proxy may lie in a file of the run.
fn is_harmless(parameter: &Parameter, way: Way) -> bool {
    match parameter {
        Parameter::Word(_) => true,
        Parameter::Variable(_) => matches!(way, Way::BaseUrl | Way::Variable),
        Parameter::File(_) => way == Way::BaseUrl,
        Parameter::Key(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_harmless_by_no_way() {
        for way in [Way::BaseUrl, Way::Helper, Way::Variable] {
            assert!(!is_harmless(&Parameter::Key(String::new()), way));
            assert_eq!(is_harmless(&Parameter::File(String::new()), way), way == Way::BaseUrl);
        }
    }
}
