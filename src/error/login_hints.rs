//! Sign-ins that failed, and what mends them.

use super::grant_hints::{grant_error, grant_kind, plain_tokens};
use super::{CommandError, Kind, exception, login_hint, oauth_kind, unanswered_kind, wire_hint};
use crate::{credential, login, oauth, store};

impl From<login::Error> for CommandError {
    fn from(error: login::Error) -> Self {
        use login::Error as E;
        let shown = |kind| Self::from_error(kind, &error);
        match &error {
            E::NoSuchWay { provider, .. } => {
                shown(Kind::Usage).hint(format!("authctl provider show {provider}"))
            }
            E::NoEndpoint { provider, .. } => {
                shown(Kind::Failed).hint(format!("authctl provider show {provider}"))
            }
            E::ClientNeeded { provider, register_at, with_secret, key_possible, .. } => {
                let page = register_at.as_deref();
                client_needed(shown(Kind::Usage), provider, page, *with_secret, *key_possible)
            }
            E::ClientForgotten { name, .. } => shown(Kind::Failed)
                .hint(format!("{}  (registers a new one)", login_hint(name))),
            E::ClientElsewhere { provider, .. } => shown(Kind::Usage)
                .hint(format!(
                    "authctl login {provider} --client-id ID …  (a client that was registered there)"
                ))
                .hint(format!("authctl login {provider} --new-client  (registers one, where it can)")),
            E::DocumentNeeded { provider } => shown(Kind::Usage)
                .hint(format!("authctl login {provider} --client-metadata-url URL"))
                .hint(format!("authctl login {provider} --client-id ID"))
                .hint("authctl generate client-metadata  (the document that stands there)"),
            E::ClientSecretNeeded { provider } => shown(Kind::Usage)
                .hint(format!("authctl login {provider} --client-id ID --client-secret-file FILE")),
            E::ClientKeyNeeded { provider } => shown(Kind::Usage)
                .hint(format!("authctl login {provider} --client-id ID --client-key-file FILE")),
            E::NoDpop { provider } => shown(Kind::Failed).hint(plain_tokens(provider)),
            E::NoKey(_) => shown(Kind::Failed),
            E::NoPkce { provider, mcp_url } => exception(
                shown(Kind::Failed).hint("if you know that it does, write in config.toml:"),
                provider,
                mcp_url.as_deref(),
                "pkce = \"unverified\"",
            ),
            E::Busy(_) | E::SteppedBack => shown(Kind::TryAgain),
            E::Unfinished(record) => {
                let (name, does) = (record.shown_name(), resume_does(record));
                shown(Kind::LoginRequired).hint(format!("authctl login {name} --resume  ({does})"))
            }
            E::EndedElsewhere { name, .. } => shown(Kind::Failed)
                .hint(format!("{}  (asks again, at a terminal at once)", login_hint(name))),
            E::Resume { name, why } => resume_hint(shown(resume_kind(why)), name, why),
            E::Grant { name, source } => grant_error(shown(grant_kind(source)), name, source),
            E::NotSent { name, source } => shown(grant_kind(source))
                .hint(format!("{} --resume  (the answer is still good)", login_hint(name))),
            E::Password { name, user, source } => shown(grant_kind(source))
                .hint(format!("authctl login {name} --user {user} --key-file FILE")),
            E::NotRegistered { name, source: source @ oauth::Error::Refused { .. } } => {
                shown(oauth_kind(source))
                    .hint(format!("{} --client-id ID  (a client of yours there)", login_hint(name)))
            }
            E::OAuth { name, source, .. } | E::NotRegistered { name, source } => {
                wire_hint(shown(oauth_kind(source)), source, &login_hint(name), name)
            }
            E::BadUser => shown(Kind::Usage),
            E::NoUser(name) => shown(Kind::LoginRequired)
                .hint(format!("authctl login {name} --user USER --key-file FILE")),
            E::Unanswered(source) => shown(unanswered_kind(source)),
            E::Store(_) => match error {
                E::Store(error) => error.into(),
                other => Self::from_error(Kind::Failed, &other),
            },
        }
    }
}

/// What `--resume` will do for this login.
fn resume_does(record: &store::PendingRecord) -> &'static str {
    match record.awaited {
        store::Awaited::Redirect { .. } => "takes the address where the browser ended, or the code",
        store::Awaited::Confirmation { .. } => "waits until the code is confirmed",
    }
}

fn resume_kind(why: &login::Why) -> Kind {
    if why.is_over() { Kind::LoginRequired } else { Kind::Usage }
}

fn resume_hint(shown: CommandError, name: &credential::Name, why: &login::Why) -> CommandError {
    match why {
        login::Why::Other(other) => shown.hint(format!("{} --resume", login_hint(other))),
        login::Why::Used(_) => shown.hint(format!("authctl status {name}")).hint(login_hint(name)),
        why if why.is_over() => shown.hint(login_hint(name)),
        _ => shown.hint(format!("{} --resume", login_hint(name))),
    }
}

fn client_needed(
    mut shown: CommandError,
    provider: &str,
    register_at: Option<&str>,
    with_secret: bool,
    key_possible: bool,
) -> CommandError {
    if let Some(page) = register_at {
        shown = shown.hint(format!("register one at {page}"));
    }
    let secret = if with_secret { " --client-secret-file FILE" } else { "" };
    shown = shown.hint(format!("authctl login {provider} --client-id ID{secret}  (remembered)"));
    if key_possible {
        shown = shown.hint(format!("authctl login {provider} --with-key"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::interact::Unanswered;

    #[test]
    fn only_a_missing_terminal_asks_for_a_login_elsewhere() {
        let kind = |why| CommandError::from(login::Error::Unanswered(why)).kind();
        assert_eq!(kind(Unanswered::NoTerminal), Kind::LoginRequired);
        assert_eq!(kind(Unanswered::Interrupted), Kind::Failed);
        assert_eq!(kind(Unanswered::Io(io::Error::other("gone"))), Kind::Failed);
    }
}
