//! What a command can fail with, as a person and a script see it: the kind decides the exit code, the
//! message says what and where, and each hint is a command that mends it. Every domain error comes
//! through here and gets its hints; a command adds those that only it can know.

mod grant_hints;
mod login_hints;

use std::error::Error as StdError;
use std::io;

use clap::error::{ContextKind, ContextValue};

use grant_hints::{grant_error, grant_kind};

use crate::interact::Unanswered;
use crate::{audit, config, credential, http, inject, launch, oauth, paths, policy, private_file};
use crate::{resolve, secret, store, text};

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

    /// The same of `exec --proxy`: whoever follows a hint keeps the secrets out of the command as well.
    #[must_use]
    pub fn lending(mut self) -> Self {
        for hint in &mut self.hints {
            *hint = hint.replace("authctl exec --with", "authctl exec --proxy --with");
        }
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

    /// All of it in one line; what asks stands in parentheses.
    pub fn in_one_line(&self) -> String {
        self.hints.iter().fold(self.message.clone(), |text, hint| match hint {
            asks if asks.ends_with('?') => format!("{text} ({asks})"),
            _ => format!("{text}; {hint}"),
        })
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
        private_file::Error::ReadOnly { path } => {
            shown.hint(format!("chmod u+w {}", path.display()))
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
        http::Error::Fragment { .. } => Kind::Usage,
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

/// What to do about a server that does not prove who it is.
pub const TRUST: &str =
    "SSL_CERT_FILE=FILE authctl …  (trusts the authorities in FILE, such as your company's)";

/// What to do about a conversation that failed: once more, trust more, or look at the addresses.
fn wire_hint(
    shown: CommandError,
    error: &oauth::Error,
    again: &str,
    name: &credential::Name,
) -> CommandError {
    match error {
        oauth::Error::Http(http::Error::Certificate { .. }) => shown.hint(TRUST),
        _ if oauth_kind(error) == Kind::TryAgain => shown.hint(again),
        oauth::Error::Refused { .. } => shown.hint(again),
        _ => {
            let provider = name.provider();
            shown.hint(format!("authctl provider show {provider}  (the addresses in use)"))
        }
    }
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
