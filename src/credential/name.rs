//! What a credential is called: provider and account, in an alphabet that keeps lists and `=VARIABLE` parseable.

use std::fmt;
use std::str::FromStr;

/// The account of a name that gives none.
pub const DEFAULT_ACCOUNT: &str = "default";

/// `provider` or `provider:account`; both parts match `[a-z0-9][a-z0-9._-]*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    provider: String,
    account: String,
}

/// A name that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not a name; names are at most {MAX_PART} lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit, as in github or github:work"
)]
pub struct BadName(String);

impl BadName {
    /// Quoted, so that a blank or a line break at its end is seen.
    fn new(name: &str) -> Self {
        Self(crate::text::clean(&format!("{name:?}")))
    }

    /// Whether an address was given.
    pub fn is_url(&self) -> bool {
        self.0.contains("://")
    }

    /// The name that was meant, if only the case is wrong.
    pub fn in_lower_case(&self) -> Option<Name> {
        self.0.trim_matches('"').to_lowercase().parse().ok()
    }
}

impl Name {
    pub fn new(provider: &str, account: &str) -> Result<Self, BadName> {
        if is_part(provider) && is_part(account) {
            return Ok(Self { provider: provider.to_owned(), account: account.to_owned() });
        }
        Err(BadName::new(&format!("{provider}:{account}")))
    }

    /// A name that stands for no credential: to see whether the store answers.
    pub fn any() -> Self {
        Self { provider: "authctl".to_owned(), account: DEFAULT_ACCOUNT.to_owned() }
    }

    pub fn provider(&self) -> &str {
        &self.provider
    }

    pub fn account(&self) -> &str {
        &self.account
    }

    /// The same provider with another account.
    pub fn with_account(&self, account: &str) -> Result<Self, BadName> {
        Self::new(&self.provider, account)
    }

    pub fn is_default_account(&self) -> bool {
        self.account == DEFAULT_ACCOUNT
    }
}

/// Longest provider or account: as keys of the store both fit into a file name.
const MAX_PART: usize = 64;

/// A provider or an account as part of a variable's name: upper case, with `_` for `-` and `.`.
pub fn variable_part(part: &str) -> String {
    part.to_ascii_uppercase().replace(['-', '.'], "_")
}

/// Whether `text` can be a provider or an account.
pub fn is_part(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= MAX_PART
        && text.bytes().next().is_some_and(allowed)
        && text.bytes().all(|c| allowed(c) || matches!(c, b'.' | b'_' | b'-'))
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (provider, account) = text.split_once(':').unwrap_or((text, DEFAULT_ACCOUNT));
        Self::new(provider, account).map_err(|_| BadName::new(text))
    }
}

/// The short form: the account is left out when it is `default`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provider)?;
        if !self.is_default_account() {
            write!(f, ":{}", self.account)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_default_account_and_a_small_alphabet() {
        let name: Name = "github".parse().unwrap();
        assert_eq!((name.provider(), name.account()), ("github", "default"));
        assert_eq!(name.to_string(), "github");
        assert_eq!("github:work".parse::<Name>().unwrap().to_string(), "github:work");
        for bad in ["", ":", "a:", ":a", "A", "a b", "a=b", "a:b:c", "-a", "ä", "a\u{1b}[31m"] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }
}
