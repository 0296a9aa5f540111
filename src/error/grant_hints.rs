//! Ways to acquire a credential that failed, and what mends them.

use super::{CommandError, Kind, file_hint, http_kind, login_hint, oauth_kind};
use super::{unanswered_kind, wire_hint};
use crate::grant::{self, IdentityError, Unobtained};
use crate::interact::Unanswered;
use crate::{credential, oauth};

pub fn grant_kind(error: &grant::Error) -> Kind {
    use grant::Error as E;
    match error {
        E::Oauth(error) | E::Pushed(error) => oauth_kind(error),
        E::BadKey(_)
        | E::NothingPiped
        | E::KeyFile { .. }
        | E::PortTaken { .. }
        | E::ClientKeyFile { .. }
        | E::ClientKey { .. }
        | E::PrivateFile(_)
        | E::Algorithm { .. }
        | E::NoKey
        | E::NoIssuer
        | E::NoIdentity
        | E::KeyElsewhere { .. } => Kind::Usage,
        E::Unanswered(source) => unanswered_kind(source),
        E::Identity(source) => identity_kind(source),
        E::AtIdentityProvider { source, .. } => oauth_kind(source),
        E::Login { why, .. } => match why {
            Unobtained::SignIn => Kind::LoginRequired,
            Unobtained::Later => Kind::TryAgain,
            Unobtained::Otherwise => Kind::Failed,
        },
        _ => Kind::Failed,
    }
}

/// Without an identity that can be shown, somebody must set up the job or the configuration.
fn identity_kind(error: &IdentityError) -> Kind {
    match error {
        IdentityError::Http(error) => http_kind(error),
        IdentityError::Refused { status: 500.., .. } => Kind::TryAgain,
        IdentityError::Refused { .. } | IdentityError::Expired { .. } => Kind::Failed,
        _ => Kind::Usage,
    }
}

fn identity_hint(
    shown: CommandError,
    error: &IdentityError,
    name: &credential::Name,
) -> CommandError {
    let table = format!("[provider.{}.oauth]", name.provider());
    match error {
        IdentityError::NoPermission(_) => shown.hint(
            "write permissions: { id-token: write } in the workflow, at the job that runs this",
        ),
        IdentityError::NotSet(variable) => shown.hint(format!(
            "set {variable}; a job of GitLab gets it from id_tokens in .gitlab-ci.yml"
        )),
        IdentityError::Audience { .. } => shown.hint(format!(
            "have the token made for that audience, or correct audience of identity in {table}"
        )),
        IdentityError::File { .. } | IdentityError::Unfit { .. } => {
            shown.hint(format!("correct identity in {table}  (man authctl-config)"))
        }
        IdentityError::Expired { .. } => {
            shown.hint("start the job again, or set this computer's clock if that is wrong")
        }
        _ => shown,
    }
}

pub fn grant_error(
    shown: CommandError,
    name: &credential::Name,
    error: &grant::Error,
) -> CommandError {
    use grant::Error as E;
    match error {
        E::Oauth(oauth::Error::Refused { code, .. })
        | E::Pushed(oauth::Error::Refused { code, .. })
            if code == "invalid_client" || code == "unauthorized_client" =>
        {
            shown.hint(format!("authctl login {name} --client-id ID"))
        }
        E::Identity(source) => identity_hint(shown, source, name),
        E::IdentityRefused(_) => {
            let provider = name.provider();
            shown
                .hint(format!("authctl provider show {provider}  (issuer, audience and identity)"))
                .hint("date  (a clock that is wrong makes assertions worthless)")
        }
        E::Login { name, why: Unobtained::SignIn, .. } => shown.hint(login_hint(name)),
        E::Login { name, .. } => shown.hint(format!("authctl status {name} --check")),
        E::AtIdentityProvider { name, source } => wire_hint(shown, source, &login_hint(name), name),
        E::PrivateFile(error) => file_hint(shown, error),
        E::ClientKeyFile { .. } | E::ClientKey { .. } => {
            let provider = name.provider();
            shown.hint(format!("authctl provider show {provider}  (the key's file)"))
        }
        E::NoKey => shown.hint(format!("authctl login {name} --client-key-file FILE")),
        E::Oauth(oauth::Error::NotBound { .. }) => shown.hint(plain_tokens(name.provider())),
        E::Oauth(error) | E::Pushed(error) => wire_hint(shown, error, &login_hint(name), name),
        E::Denied { .. }
        | E::Expired { .. }
        | E::TimedOut { .. }
        | E::Redirect { .. }
        | E::PortTaken { .. } => shown.hint(login_hint(name)),
        E::KeyFile { .. } => shown.hint(format!("authctl login {name} --key-file FILE")),
        E::BadKey(_) | E::NothingPiped | E::Unanswered(Unanswered::NoTerminal) => {
            shown.hint(format!("authctl login {name} --with-key < FILE"))
        }
        _ => shown,
    }
}

/// Where bound tokens are required and not to be had.
pub fn plain_tokens(provider: &str) -> String {
    format!("write dpop = true in [provider.{provider}.oauth] if plain tokens will do as well")
}
