//! The words in which the versions of the protocol differ: version 2, a draft, calls some of them otherwise.

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    #[default]
    V1,
    V2,
}

impl Dialect {
    /// Of `protocolVersion`.
    pub fn of_version(version: &Value) -> Self {
        if version.as_u64().is_some_and(|version| version >= 2) { Dialect::V2 } else { Dialect::V1 }
    }

    pub fn login(self) -> &'static str {
        self.pick("authenticate", "auth/login")
    }

    /// What the id of a method is called in its description.
    pub fn method_id(self) -> &'static str {
        self.pick("id", "methodId")
    }

    pub fn client_capabilities(self) -> &'static str {
        self.pick("clientCapabilities", "capabilities")
    }

    pub fn agent_capabilities(self) -> &'static str {
        self.pick("agentCapabilities", "capabilities")
    }

    fn pick(self, first: &'static str, second: &'static str) -> &'static str {
        match self {
            Dialect::V1 => first,
            Dialect::V2 => second,
        }
    }
}

/// Whether this asks for a sign-in, in either version.
pub fn is_login(method: &str) -> bool {
    matches!(method, "authenticate" | "auth/login")
}

pub fn is_logout(method: &str) -> bool {
    matches!(method, "logout" | "auth/logout")
}
