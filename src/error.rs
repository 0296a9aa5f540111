//! What a command can fail with, as a person and a script see it: the kind decides the exit code, the
//! message says what and where, and each hint is a command that mends it. Every domain error comes
//! through here and gets its hints; a command adds those that only it can know.

use std::error::Error as StdError;
use std::io;

use clap::error::{ContextKind, ContextValue};

use crate::audit;
use crate::grant::{IdentityError, Unobtained};
use crate::interact::Unanswered;
use crate::{config, grant, http, inject, launch, login, oauth, paths, policy, private_file};
use crate::{credential, resolve, secret, store, text};

/// What a failure means for whoever called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Failed for a reason outside authctl.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// A person must sign in, and there is nobody to ask.
    LoginRequired,
    /// A person must confirm, and there is nobody to ask.
    ConfirmationRequired,
    /// The network or the authorization server; later it may work.
    TryAgain,
    /// Whoever read our output has gone: a quiet success.
    ClosedPipe,
    /// The program to launch does not exist.
    NotFound,
    /// The program to launch cannot be executed.
    NotExecutable,
}

impl Kind {
    /// The exit code of authctl's own commands (design: exit codes).
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::ClosedPipe => 0,
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::LoginRequired | Kind::ConfirmationRequired => 4,
            Kind::TryAgain => 75,
            Kind::NotFound => 127,
            Kind::NotExecutable => 126,
        }
    }

    /// The exit code of commands that otherwise leave with their child's.
    pub fn exit_code_before_child(self) -> u8 {
        match self {
            Kind::NotFound | Kind::NotExecutable => self.exit_code(),
            _ => 125,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::LoginRequired => "login_required",
            Kind::ConfirmationRequired => "confirmation_required",
            Kind::TryAgain => "try_again",
            Kind::ClosedPipe => "closed_pipe",
            Kind::NotFound => "not_found",
            Kind::NotExecutable => "not_executable",
        }
    }
}

/// Longest message, in characters: a path and the longest list of keys of the configuration.
const LONGEST: usize = 1_600;

/// A failure of a command.
#[derive(Debug)]
pub struct CommandError {
    kind: Kind,
    message: String,
    hints: Vec<String>,
}

impl CommandError {
    /// The message is cleaned: paths and arguments in it may hold anything, and any amount of it.
    pub fn new(kind: Kind, message: impl AsRef<str>) -> Self {
        let message = text::clean_to(message.as_ref(), LONGEST);
        Self { kind, message, hints: Vec::new() }
    }

    pub fn usage(message: impl AsRef<str>) -> Self {
        Self::new(Kind::Usage, message)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn from_error(kind: Kind, error: &dyn StdError) -> Self {
        Self::new(kind, chain(error))
    }

    /// The same with what it happened in, said first.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        let message = text::clean_to(&format!("{place}: {}", self.message), LONGEST);
        Self { message, ..self }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// `{"version":1,"error":{"kind":…,"message":…,"hints":[…]}}`
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "version": 1,
            "error": { "kind": self.kind.as_str(), "message": self.message, "hints": self.hints },
        })
    }
}

/// The error and its causes in one line; a cause that its parent already quotes is not repeated.
pub fn chain(error: &dyn StdError) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !message.ends_with(&said) {
            message = format!("{message}: {said}");
        }
        source = cause.source();
    }
    message
}

fn login_hint(name: &credential::Name) -> String {
    format!("authctl login {name}")
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Kind::ClosedPipe, "");
        }
        Self::new(Kind::Failed, format!("cannot write the output: {error}"))
    }
}

/// What clap has against a command line, without the usage that it shows to people.
impl From<&clap::Error> for CommandError {
    fn from(error: &clap::Error) -> Self {
        let shown = error.render().to_string();
        // clap answers a command without its subcommand by the help of it.
        if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            let usage = shown.lines().find_map(|line| line.strip_prefix("Usage: "));
            return Self::usage(format!("a command is missing: {}", usage.unwrap_or_default()));
        }
        let said = shown.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = said.split_whitespace().collect();
        let tips = match error.get(ContextKind::Suggested) {
            Some(ContextValue::StyledStrs(tips)) => tips.as_slice(),
            _ => &[],
        };
        let shown = Self::usage(words.join(" ").trim_start_matches("error: "));
        tips.iter().map(ToString::to_string).fold(shown, Self::hint)
    }
}

impl From<credential::BadName> for CommandError {
    fn from(error: credential::BadName) -> Self {
        let shown = Self::from_error(Kind::Usage, &error);
        if error.is_url() {
            return shown.hint("authctl login URL  (finds out how to sign in there)");
        }
        let near = error.in_lower_case().map(|name| format!("did you mean {name}?"));
        near.into_iter().fold(shown, Self::hint).hint("authctl provider list")
    }
}

impl From<secret::Unfit> for CommandError {
    fn from(error: secret::Unfit) -> Self {
        Self::from_error(Kind::Usage, &error)
    }
}

impl From<Unanswered> for CommandError {
    fn from(error: Unanswered) -> Self {
        Self::from_error(unanswered_kind(&error), &error)
    }
}

fn unanswered_kind(error: &Unanswered) -> Kind {
    match error {
        Unanswered::NoTerminal => Kind::LoginRequired,
        Unanswered::Interrupted | Unanswered::Io(_) => Kind::Failed,
    }
}

impl From<paths::Error> for CommandError {
    fn from(error: paths::Error) -> Self {
        Self::from_error(Kind::Usage, &error)
    }
}

impl From<private_file::Error> for CommandError {
    fn from(error: private_file::Error) -> Self {
        file_hint(Self::from_error(Kind::Failed, &error), &error)
    }
}

fn file_hint(shown: CommandError, error: &private_file::Error) -> CommandError {
    match error {
        private_file::Error::Exposed { path } => {
            shown.hint(format!("chmod 600 {}  (if nobody else has read it)", path.display()))
        }
        _ => shown,
    }
}

impl From<config::Error> for CommandError {
    fn from(error: config::Error) -> Self {
        let shown = Self::from_error(Kind::Usage, &error);
        match error {
            config::Error::UnknownProvider { nearest, .. }
            | config::Error::UnknownInManifest { nearest, .. } => {
                let near = (!nearest.is_empty())
                    .then(|| format!("did you mean {}?", nearest.join(" or ")));
                near.into_iter().fold(shown, Self::hint).hint("authctl provider list")
            }
            _ => shown,
        }
    }
}

impl From<http::Error> for CommandError {
    fn from(error: http::Error) -> Self {
        Self::from_error(http_kind(&error), &error)
    }
}

fn http_kind(error: &http::Error) -> Kind {
    match error {
        http::Error::Unreachable { .. }
        | http::Error::TimedOut { .. }
        | http::Error::Interrupted { .. } => Kind::TryAgain,
        _ => Kind::Failed,
    }
}

impl From<oauth::Error> for CommandError {
    fn from(error: oauth::Error) -> Self {
        Self::from_error(oauth_kind(&error), &error)
    }
}

fn oauth_kind(error: &oauth::Error) -> Kind {
    match error {
        oauth::Error::Http(error) => http_kind(error),
        oauth::Error::Unavailable { .. } => Kind::TryAgain,
        oauth::Error::Refused { code, .. } if code == "slow_down" => Kind::TryAgain,
        _ => Kind::Failed,
    }
}

impl From<store::Error> for CommandError {
    fn from(error: store::Error) -> Self {
        let kind = match &error {
            store::Error::Busy { .. } | store::Error::TimedOut { .. } => Kind::TryAgain,
            store::Error::Given { .. } => Kind::Usage,
            _ => Kind::Failed,
        };
        let shown = Self::from_error(kind, &error);
        match &error {
            store::Error::Unavailable { .. } => {
                shown.hint("AUTHCTL_STORE=file authctl …  (keeps credentials in an encrypted file)")
            }
            store::Error::Locked | store::Error::TimedOut { .. } => {
                shown.hint("unlock the keychain, then run the command again")
            }
            store::Error::Ambiguous { .. } => shown.hint(
                "the keychain's own program lists them under authctl; delete there what another program made",
            ),
            store::Error::Unreadable { why, .. } if why.is_newer() => {
                shown.hint("upgrade authctl; this one leaves the record as it is")
            }
            store::Error::Unreadable { key, .. } => match key.strip_prefix("credential/") {
                Some(name) => shown.hint(format!(
                    "authctl login {}  (keeps the damaged record beside the new one)",
                    name.strip_suffix(":default").unwrap_or(name)
                )),
                None => shown,
            },
            store::Error::KeyMissing { path } | store::Error::KeyDamaged { path } => {
                let store = path.parent().unwrap_or(path).display();
                shown.hint(format!(
                    "bring {} back from a backup, or move {store} away and sign in again",
                    path.display()
                ))
            }
            store::Error::File(error) => file_hint(shown, error),
            store::Error::PassphraseNeeded { .. } | store::Error::WrongPassphrase { .. } => {
                shown.hint(format!("{}=FILE authctl …", paths::PASSPHRASE_FILE))
            }
            _ => shown,
        }
    }
}

impl From<resolve::Error> for CommandError {
    fn from(error: resolve::Error) -> Self {
        use resolve::Error as E;
        let shown = |kind| Self::from_error(kind, &error);
        match &error {
            E::NotSignedIn(name) | E::Ended { name, .. } | E::Moved { name, .. } => {
                shown(Kind::LoginRequired).hint(login_hint(name))
            }
            E::ClientRefused { name, .. } => {
                shown(Kind::Usage).hint(format!("authctl login {name} --client-id ID"))
            }
            E::RequestRefused { name, key, .. } => {
                let table = format!("[provider.{}.oauth]", name.provider());
                shown(Kind::Usage)
                    .hint(format!("correct {key} in {table}, then: {}", login_hint(name)))
            }
            E::TryAgain { name, source } => {
                let again = format!("authctl status {name} --check  (tries again)");
                wire_hint(shown(Kind::TryAgain), source, &again, name)
            }
            E::NotAsked { name, source } => grant_error(shown(grant_kind(source)), name, source),
            E::Busy(_) => shown(Kind::TryAgain),
            E::CutOff { name, .. } | E::Failing { name, .. } => shown(Kind::TryAgain)
                .hint(format!("authctl token {name} --refresh  (tries now)"))
                .hint(login_hint(name)),
            E::Store(_) => match error {
                E::Store(error) => error.into(),
                other => Self::from_error(Kind::Failed, &other),
            },
        }
    }
}

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

/// The lines of config.toml with which a person makes an exception for a provider. A table there replaces the
/// one that was found, so that it needs the address as well.
pub fn exception(
    shown: CommandError,
    provider: &str,
    mcp_url: Option<&str>,
    line: &str,
) -> CommandError {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let id = quoted(provider);
    let shown = match mcp_url {
        Some(url) => {
            shown.hint(format!("[provider.{id}]")).hint(format!("mcp_url = {}", quoted(url)))
        }
        None => shown,
    };
    shown.hint(format!("[provider.{id}.oauth]")).hint(line)
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

/// What to do about a conversation that failed: once more, trust more, or look at the addresses.
fn wire_hint(
    shown: CommandError,
    error: &oauth::Error,
    again: &str,
    name: &credential::Name,
) -> CommandError {
    match error {
        oauth::Error::Http(http::Error::Certificate { .. }) => shown.hint(
            "SSL_CERT_FILE=FILE authctl …  (trusts the authorities in FILE, such as your company's)",
        ),
        _ if oauth_kind(error) == Kind::TryAgain => shown.hint(again),
        oauth::Error::Refused { .. } => shown.hint(again),
        _ => {
            let provider = name.provider();
            shown.hint(format!("authctl provider show {provider}  (the addresses in use)"))
        }
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

fn grant_kind(error: &grant::Error) -> Kind {
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

fn grant_error(shown: CommandError, name: &credential::Name, error: &grant::Error) -> CommandError {
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
fn plain_tokens(provider: &str) -> String {
    format!("write dpop = true in [provider.{provider}.oauth] if plain tokens will do as well")
}

impl From<inject::Error> for CommandError {
    fn from(error: inject::Error) -> Self {
        let kind = match &error {
            inject::Error::BadKey(_) => Kind::LoginRequired,
            _ => Kind::Usage,
        };
        let shown = Self::from_error(kind, &error);
        match error {
            inject::Error::NoVariable { provider, .. } => {
                shown.hint(format!("authctl exec --with {provider}=VARIABLE -- …"))
            }
            inject::Error::Bound { provider } => shown
                .hint(format!("authctl status {provider} --check  (makes a request with it)"))
                .hint("authctl mcp URL  (sends it to an MCP server)")
                .hint(format!(
                    "for a token that programs can use: dpop = false in [provider.{provider}.oauth], \
                     then authctl login {provider}"
                )),
            _ => shown,
        }
    }
}

impl From<policy::Error> for CommandError {
    fn from(error: policy::Error) -> Self {
        let shown = |kind| Self::from_error(kind, &error);
        match &error {
            policy::Error::NotApproved { .. } => {
                shown(Kind::Usage).hint("authctl trust  (shows it and asks)")
            }
            policy::Error::Changed { .. } => {
                shown(Kind::Usage).hint("authctl trust  (shows it and asks again)")
            }
            _ => shown(Kind::Failed),
        }
    }
}

impl From<audit::Error> for CommandError {
    fn from(error: audit::Error) -> Self {
        Self::from_error(Kind::Failed, &error)
    }
}

impl From<launch::Error> for CommandError {
    fn from(error: launch::Error) -> Self {
        let kind = match &error {
            launch::Error::NotFound { .. } => Kind::NotFound,
            launch::Error::NotExecutable { .. } => Kind::NotExecutable,
            launch::Error::Io { .. } => Kind::Failed,
        };
        Self::from_error(kind, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_terminal_asks_for_a_login_elsewhere() {
        let kind = |why| CommandError::from(login::Error::Unanswered(why)).kind();
        assert_eq!(kind(Unanswered::NoTerminal), Kind::LoginRequired);
        assert_eq!(kind(Unanswered::Interrupted), Kind::Failed);
        assert_eq!(kind(Unanswered::Io(io::Error::other("gone"))), Kind::Failed);
    }
}
