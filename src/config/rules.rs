//! What the user's file says about use rather than about providers: where the audit log is, and which
//! credentials are confirmed.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use toml::Spanned;

use super::file::{CredentialTable, LogTable, Problem};
use crate::credential::is_part;

/// Size at which a file of the log makes room for the next one, in bytes.
const FULL: u64 = 2 << 20;
const SMALLEST: u64 = 4 << 10;
const LARGEST: u64 = 1 << 29;
/// An answer holds for a working day at most.
const LONGEST: Duration = Duration::from_hours(24);

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRule {
    pub enabled: bool,
    /// In place of the one in the state directory.
    pub file: Option<PathBuf>,
    pub max_bytes: u64,
}

impl Default for LogRule {
    fn default() -> Self {
        Self { enabled: true, file: None, max_bytes: FULL }
    }
}

impl LogRule {
    pub(super) fn check(table: LogTable) -> Result<Self, Problem> {
        if let Some(size) = &table.max_bytes
            && !(SMALLEST..=LARGEST).contains(size.get_ref())
        {
            let what = format!("is not between {SMALLEST} and {LARGEST}");
            return Err(Problem::new(size.span(), what));
        }
        Ok(Self {
            enabled: table.enabled.unwrap_or(true),
            file: table.file.as_ref().map(absolute).transpose()?,
            max_bytes: table.max_bytes.map_or(FULL, Spanned::into_inner),
        })
    }
}

/// That a use of a credential is confirmed by a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// How long an answer holds for the program that it was given for; zero: each use is confirmed.
    pub holds: Duration,
}

/// `[credential.NAME]`: of a provider, or of one of its accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CredentialRule {
    pub provider: String,
    pub account: Option<String>,
    pub confirmation: Option<Confirmation>,
}

impl CredentialRule {
    pub fn check(id: &Spanned<String>, table: &CredentialTable) -> Result<Self, Problem> {
        let (provider, account) = match id.get_ref().split_once(':') {
            Some((provider, account)) => (provider, Some(account)),
            None => (id.get_ref().as_str(), None),
        };
        if !is_part(provider) || account.is_some_and(|account| !is_part(account)) {
            return Err(Problem::new(id.span(), "is not a name such as github or github:work"));
        }
        let holds = table.confirm_for.as_ref().map(time).transpose()?;
        if let Some(time) = table.confirm_for.as_ref().filter(|_| !table.confirm) {
            return Err(Problem::new(time.span(), "needs confirm = true"));
        }
        let confirmation = Confirmation { holds: holds.unwrap_or_default() };
        Ok(Self {
            provider: provider.to_owned(),
            account: account.map(str::to_owned),
            confirmation: table.confirm.then_some(confirmation),
        })
    }
}

pub(super) fn time(written: &Spanned<String>) -> Result<Duration, Problem> {
    let time: Option<SignedDuration> = written.get_ref().parse().ok();
    time.and_then(|time| Duration::try_from(time).ok())
        .filter(|time| !time.is_zero() && *time <= LONGEST)
        .ok_or_else(|| {
            Problem::new(written.span(), "is not a time such as 90s, 15m or 8h, a day at most")
        })
}

/// A path that means the same from everywhere.
pub(super) fn absolute(written: &Spanned<String>) -> Result<PathBuf, Problem> {
    let path = PathBuf::from(written.get_ref());
    if path.is_absolute() && !written.get_ref().contains(char::is_control) {
        return Ok(path);
    }
    Err(Problem::new(written.span(), "is not an absolute path"))
}
