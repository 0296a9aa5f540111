//! AdCP's errors (`adcp_error` of a tool's result): which codes are about a sign-in. Only codes of the auth
//! family are; a permission, an account or a scope of tasks that is missing is nothing that a login mends.

use std::borrow::Cow;

use serde::Deserialize;
use url::Url;

use super::lenient::{self, Text};
use super::link::{Invitations, Link};
use super::{Demand, Refresh, Signal};

/// An object with an error in it: structured content, or the text of a result as JSON.
#[derive(Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    pub adcp_error: Option<AdcpError<'a>>,
}

/// An error as AdCP 3 writes it.
#[derive(Deserialize)]
pub struct AdcpError<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    message: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    suggestion: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    recovery: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    details: Option<Details<'a>>,
}

/// `error-details/authorization-required.json` of AdCP.
#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    authorization_url: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    authorization_instructions: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::elements")]
    missing_connections: Vec<Connection<'a>>,
}

/// A connection behind the server that is missing.
#[derive(Deserialize)]
struct Connection<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    authorization_url: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    authorization_instructions: Option<Text<'a>>,
}

impl AdcpError<'_> {
    /// What the error says about a sign-in. `AUTH_REQUIRED` stands for both cases up to AdCP 3.0, and
    /// only its `recovery` tells them apart.
    pub fn signal(&self, server: &Url) -> Signal {
        let recovery = self.recovery.as_ref().map(Text::as_str);
        match (&*self.code, recovery) {
            ("AUTH_REQUIRED", Some("terminal")) => Signal::Rejected(self.demand(), Refresh::Once),
            ("AUTH_MISSING" | "AUTH_REQUIRED", _) => Signal::Missing(self.demand()),
            ("AUTH_INVALID", _) => Signal::Rejected(self.demand(), Refresh::Never),
            ("AUTHORIZATION_REQUIRED", _) => self.connections(server),
            (code, Some(recovery)) if code.starts_with("AUTH_") => self.unknown(recovery),
            _ => Signal::Nothing,
        }
    }

    /// A code of the auth family that is not known here.
    fn unknown(&self, recovery: &str) -> Signal {
        match recovery {
            "correctable" => Signal::Missing(self.demand()),
            "terminal" => Signal::Rejected(self.demand(), Refresh::Never),
            _ => Signal::Nothing,
        }
    }

    fn demand(&self) -> Demand {
        let said = lenient::said([self.message.as_ref(), self.suggestion.as_ref()]);
        Demand { said, ..Demand::default() }
    }

    /// The caller is signed in; a connection behind the server is missing.
    fn connections(&self, server: &Url) -> Signal {
        let mut found = Invitations::default();
        for (url, instructions) in self.details.iter().flat_map(Details::links) {
            let message = lenient::said([instructions.or(self.message.as_ref())]);
            found.add(Link::parse(url.as_str(), server), message.unwrap_or_default());
        }
        if !found.is_empty() {
            return Signal::Follow(found);
        }
        let details = self.details.as_ref();
        let instructions = details.and_then(|details| details.authorization_instructions.as_ref());
        let reason = found.dropped.first().map(ToString::to_string);
        let said = lenient::said([self.message.as_ref(), instructions]);
        let hint = [said, reason].into_iter().flatten().collect::<Vec<_>>().join("; ");
        if hint.is_empty() { Signal::Nothing } else { Signal::Hint(hint) }
    }
}

impl<'a> Details<'a> {
    /// The links, each with its own instructions.
    fn links(&self) -> impl Iterator<Item = (&Text<'a>, Option<&Text<'a>>)> {
        let own = (&self.authorization_url, &self.authorization_instructions);
        let connections = self.missing_connections.iter();
        let others = connections.map(|it| (&it.authorization_url, &it.authorization_instructions));
        let all = std::iter::once(own).chain(others);
        all.filter_map(|(url, instructions)| Some((url.as_ref()?, instructions.as_ref())))
    }
}
