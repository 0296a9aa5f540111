//! What a stored thing is called: in the keychain, on disk, and as a lock.

use std::fmt;

use crate::credential::Name;
use crate::digest::sha256;

/// One thing in a store. Displayed, it is the user of the keychain item: `credential/github:work`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    Credential(&'a Name),
    /// A client that authctl registered, by the issuer exactly as received.
    Registration(&'a str),
    /// The client that a person brought, by the provider.
    Client(&'a str),
    /// One login at a time: a lock only, nothing is stored under it.
    Login(&'a Name),
    /// A login that waits for its answer, by its flow ([`super::flow_of`]).
    Pending(&'a str),
}

impl Key<'_> {
    /// The same as a file name without extension, on every file system.
    pub fn file_stem(&self) -> String {
        match self {
            Key::Credential(name) => format!("credential~{}~{}", name.provider(), name.account()),
            Key::Login(name) => format!("login~{}~{}", name.provider(), name.account()),
            Key::Registration(issuer) => format!("registration~{}", sha256(issuer.as_bytes())),
            Key::Client(provider) => format!("client~{provider}"),
            Key::Pending(flow) => format!("pending~{flow}"),
        }
    }

    /// The name of its lock. Lock files stay for ever and flows do not: all flows have one.
    pub(super) fn lock_stem(&self) -> String {
        match self {
            Key::Pending(_) => "pending".to_owned(),
            key => key.file_stem(),
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Credential(name) => write!(f, "credential/{}:{}", name.provider(), name.account()),
            Key::Login(name) => write!(f, "login/{}:{}", name.provider(), name.account()),
            Key::Registration(issuer) => write!(f, "registration/{issuer}"),
            Key::Client(provider) => write!(f, "client/{provider}"),
            Key::Pending(flow) => write!(f, "pending/{flow}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_out_with_their_account() {
        let name: Name = "github".parse().unwrap();
        assert_eq!(Key::Credential(&name).to_string(), "credential/github:default");
        assert_eq!(Key::Credential(&name).file_stem(), "credential~github~default");
        assert_eq!(Key::Login(&name).file_stem(), "login~github~default");
    }

    #[test]
    fn any_issuer_makes_a_file_name() {
        let stem = Key::Registration("https://as.example/a/../b?c=d").file_stem();
        assert_eq!(stem.len(), "registration~".len() + 64);
        assert!(stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '~'), "{stem}");
        assert_ne!(stem, Key::Registration("https://as.example/a/../b?c=e").file_stem());
    }
}
