//! The ways by which a credential reaches an agent, best first, and which of them are open: some must be chosen
//! before the agent starts, others when it has said what it takes.

use std::fmt;
use std::str::FromStr;

use super::Grant;
use super::advertised::Advertised;

/// From the one that gives nothing away to the one that is not authctl's at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// authctl's proxy, by `providers/set`.
    ProvidersSet,
    /// The same by `authenticate` with `_meta.gateway`.
    Gateway,
    /// The same by a variable, beside a stand-in for the key.
    BaseUrl,
    /// The key from a command that the agent runs whenever it needs one.
    Helper,
    /// The key by `authenticate` with `_meta["api-key"]`.
    InBand,
    /// The key in a variable.
    Variable,
    /// A folder of its own for its settings and its sign-in.
    Profile,
    /// The agent's own sign-in.
    Own,
}

const NAMES: [(Way, &str); 8] = [
    (Way::ProvidersSet, "providers-set"),
    (Way::Gateway, "gateway"),
    (Way::BaseUrl, "base-url"),
    (Way::Helper, "helper"),
    (Way::InBand, "in-band"),
    (Way::Variable, "variable"),
    (Way::Profile, "profile"),
    (Way::Own, "own"),
];

impl Way {
    /// Whether the agent gets only what opens authctl's proxy.
    pub fn is_by_proxy(self) -> bool {
        matches!(self, Way::ProvidersSet | Way::Gateway | Way::BaseUrl)
    }

    /// What is chosen before the agent starts.
    pub fn needs_start(self) -> bool {
        matches!(self, Way::BaseUrl | Way::Helper | Way::Variable)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(way, _)| way == self).map_or("", |(_, name)| name);
        formatter.write_str(name)
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, name)| *name == typed);
        found.map(|(way, _)| *way).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            format!("it can be {}", names.join(", "))
        })
    }
}

/// The way that is prepared before the first start. Where the agent may take a better one while it runs,
/// nothing is.
pub fn at_start(grant: &Grant, forced: Option<Way>) -> Option<Way> {
    if let Some(forced) = forced {
        return Some(forced).filter(|way| way.needs_start() && knows(grant, *way));
    }
    if grant.waits || knows(grant, Way::ProvidersSet) || knows(grant, Way::Gateway) {
        return None;
    }
    [Way::BaseUrl, Way::Helper, Way::InBand, Way::Variable]
        .into_iter()
        .find(|way| knows(grant, *way))
        .filter(|way| way.needs_start())
}

/// All ways that are open once the agent has said what it takes, best first. One that needs a start is in any
/// case.
pub fn ladder(grant: &Grant, advertised: &Advertised, forced: Option<Way>) -> Vec<Way> {
    let is_open = |way: &Way| match way {
        Way::ProvidersSet => advertised.has_providers,
        Way::Gateway => {
            grant.ways.gateway.as_ref().is_some_and(|it| advertised.has_method(&it.method))
        }
        Way::InBand => {
            grant.ways.in_band.as_ref().is_some_and(|it| advertised.takes_key(&it.method))
        }
        Way::BaseUrl | Way::Helper | Way::Variable => true,
        Way::Profile | Way::Own => false,
    };
    let all = NAMES.iter().map(|(way, _)| *way);
    let wanted = all.filter(|way| forced.is_none_or(|forced| forced == *way));
    wanted.filter(|way| knows(grant, *way)).filter(is_open).collect()
}

/// Whether anything is known of how the agent takes this.
pub fn is_known(grant: &Grant) -> bool {
    let ways = &grant.ways;
    let ours = [Way::ProvidersSet, Way::Gateway, Way::BaseUrl, Way::Helper, Way::InBand];
    ours.into_iter().any(|way| knows(grant, way))
        || !(ways.variables.is_empty() && ways.authenticate.is_empty() && ways.arguments.is_empty())
}

/// Whether this is known of the agent.
fn knows(grant: &Grant, way: Way) -> bool {
    let ways = &grant.ways;
    match way {
        Way::ProvidersSet => ways.providers_set.is_some(),
        Way::Gateway => ways.gateway.is_some(),
        Way::BaseUrl => ways.base_url.is_some() && grant.variable.is_some(),
        // It needs a socket that says who comes.
        Way::Helper => cfg!(unix) && ways.helper.is_some(),
        Way::InBand => ways.in_band.is_some(),
        Way::Variable => grant.variable.is_some(),
        Way::Profile | Way::Own => false,
    }
}
