//! What an import would do: for every secret that was found its name, and whether it is new, stored already,
//! in the way of another one, or of no use. Nothing is changed here.

use std::path::{Path, PathBuf};

use url::Url;
use zeroize::Zeroizing;

use super::recognise::{as_chosen, is_sent_to, recognise};
use crate::clients::{Format, Literal, Sign, Way};
use crate::commands::scheme_of;
use crate::config::check_variable;
use crate::context::Context;
use crate::credential::{Credential, Name};
use crate::digest::sha256;
use crate::error::CommandError;
use crate::http::host_of;
use crate::secret::Secret;
use crate::store::unless_damaged;

/// A file as it was read.
pub struct Source {
    pub path: PathBuf,
    /// Where the links of a person's own file lead; else the same.
    pub file: PathBuf,
    pub format: Format,
    pub text: Zeroizing<String>,
}

/// One secret in one place.
pub struct Item {
    pub path: PathBuf,
    pub place: String,
    pub at: Vec<String>,
    pub way: Way,
    /// The variable that it stands in, if it does.
    pub variable: Option<String>,
    /// Flags of `provider add` for a provider by which it is recognised; or `--api-key` alone.
    pub flags: Option<String>,
    /// The beginning of the digest of what stands in the file: tells secrets apart, and cannot be turned back.
    pub print: String,
    pub credential: Option<Credential>,
    pub name: Option<Name>,
    pub state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    New,
    /// The same secret is stored under this name.
    Stored,
    /// Another secret is stored under this name and will be replaced.
    Replaces,
    /// Another secret has this name: where.
    Rivalled(String),
    Unknown,
    /// It cannot be a credential: why.
    Unfit(String),
    /// Left out by the command line.
    Skipped,
}

impl State {
    pub fn is_taken(&self) -> bool {
        matches!(self, State::New | State::Stored | State::Replaces)
    }
}

/// What the command line says of single secrets.
#[derive(Debug, Default)]
pub struct Choices {
    /// Digest and name.
    pub names: Vec<(String, String)>,
    pub skipped: Vec<String>,
    pub replace: bool,
}

impl Choices {
    fn name(&self, print: &str) -> Option<&str> {
        self.names.iter().find(|(other, _)| other == print).map(|(_, name)| name.as_str())
    }
}

/// The beginning of a secret's digest.
pub fn print(secret: &Secret) -> String {
    sha256(secret.expose().as_bytes())[..8].to_owned()
}

const ELSEWHERE: &str = "its provider sends nothing to that host (authctl provider add --host)";

/// One item, before the others are looked at; `None`: nothing says that it is a secret.
pub fn item(
    context: &Context,
    path: &Path,
    literal: Literal,
    choices: &Choices,
) -> Result<Option<Item>, CommandError> {
    let place = literal.place();
    let variable = match &literal.sign {
        Sign::Variable(name) => Some(name.clone()),
        _ => None,
    };
    let recognised = recognise(context.config()?, &literal);
    if recognised.is_none() && !literal.sign.looks_secret() {
        return Ok(None);
    }
    let print = print(&literal.secret);
    let flags = flags(&literal);
    let mut name = match &recognised {
        Some(it) => Some(named(context, &it.provider.id, it.account.as_deref())?),
        None => None,
    };
    let mut credential = recognised.map(|it| it.credential);
    let mut way = literal.way;
    if let Some(typed) = choices.name(&print) {
        let chosen = context.name(typed)?.name;
        let provider = context.provider(&chosen)?;
        let is_same = name.as_ref().is_some_and(|name| name.provider() == chosen.provider());
        if !is_same {
            credential = as_chosen(provider, &literal);
        }
        if way == Way::Bridge && !is_sent_to(provider, &literal.sign) {
            way = Way::Stays(ELSEWHERE);
        }
        name = Some(chosen);
    }
    let state = match (&credential, literal.way) {
        _ if choices.skipped.contains(&print) => State::Skipped,
        (_, Way::Useless(why)) => State::Unfit(why.to_owned()),
        (None, _) => State::Unknown,
        (Some(credential), _) => match Secret::parse_token(credential.secret().expose()) {
            Ok(_) => State::New,
            Err(unfit) => State::Unfit(unfit.to_string()),
        },
    };
    let at = literal.at;
    let path = path.to_owned();
    Ok(Some(Item { path, place, at, way, variable, flags, print, credential, name, state }))
}

/// How a provider is described whose secrets stand like this one.
fn flags(literal: &Literal) -> Option<String> {
    match &literal.sign {
        Sign::Variable(name) if check_variable(name).is_ok() => {
            Some(format!("--api-key --variable {name}"))
        }
        Sign::Header { name, url } => {
            let url = Url::parse(url).ok().filter(Url::has_host)?;
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let is_plain = !name.is_empty() && name.bytes().all(fits);
            let scheme = scheme(literal.secret.expose());
            let (header, host) = (format!("'{name}: {scheme}{{key}}'"), host_of(&url));
            is_plain.then(|| format!("--api-key --header {header} --host {host}"))
        }
        Sign::Address { origin: Some(origin) } => {
            let url = Url::parse(origin).ok().filter(Url::has_host)?;
            Some(format!("--api-key --host {}", host_of(&url)))
        }
        Sign::Argument(_) | Sign::Address { origin: None } => Some("--api-key".to_owned()),
        Sign::Variable(_) | Sign::Host { .. } | Sign::Provider { .. } => None,
    }
}

/// The scheme at the beginning of a header's value, and the blank behind it. Any other word may be a secret.
fn scheme(value: &str) -> &str {
    let known = ["bearer", "basic", "token", "apikey", "api-key", "key"];
    let end = value.find(' ').map_or(0, |end| end + 1);
    let scheme = &value[..end];
    if known.contains(&scheme.trim_end().to_ascii_lowercase().as_str()) { scheme } else { "" }
}

fn named(context: &Context, provider: &str, account: Option<&str>) -> Result<Name, CommandError> {
    Ok(match account {
        Some(account) => Name::new(provider, account)?,
        None => context.name(provider)?.name,
    })
}

/// Looks at all items together, and at what the index says of the store: two secrets cannot have one name.
pub fn settle(context: &Context, items: &mut [Item], replace: bool) -> Result<(), CommandError> {
    let rivals: Vec<Option<String>> = (0..items.len()).map(|at| rival(items, at)).collect();
    for (item, rival) in items.iter_mut().zip(rivals).filter(|(item, _)| item.state == State::New) {
        let Some(name) = &item.name else { continue };
        // A keychain is not opened to see that there is nothing.
        if context.store()?.entry(name)?.is_some() {
            compare(context, item, replace)?;
        }
        if let Some(rival) = rival.filter(|_| item.state != State::Stored) {
            item.state = State::Rivalled(rival);
        }
    }
    Ok(())
}

/// The same with what the store itself says, before anything is written into it.
pub fn prove(context: &Context, items: &mut [Item], replace: bool) -> Result<(), CommandError> {
    let new = items.iter_mut().filter(|item| item.state == State::New);
    for item in new {
        compare(context, item, replace)?;
    }
    Ok(())
}

/// Where another secret stands that has the name of this one.
fn rival(items: &[Item], at: usize) -> Option<String> {
    let item = &items[at];
    let other = items.iter().find(|other| {
        other.state == State::New && other.name == item.name && !is_same(other, item)
    })?;
    Some(format!("{} {}", other.path.display(), other.place))
}

fn is_same(one: &Item, other: &Item) -> bool {
    let text = |item: &Item| item.credential.as_ref().map(|it| it.secret().expose().to_owned());
    text(one) == text(other)
}

/// Whether what is stored under the name is this secret or another one.
fn compare(context: &Context, item: &mut Item, replace: bool) -> Result<(), CommandError> {
    let (Some(name), Some(credential)) = (&item.name, &item.credential) else { return Ok(()) };
    item.state = match unless_damaged(context.store()?.load(name))? {
        None => State::New,
        Some(there) if there.credential.secret().expose() == credential.secret().expose() => {
            State::Stored
        }
        Some(_) if replace => State::Replaces,
        Some(_) => State::Rivalled("the store (--replace takes the new one)".into()),
    };
    Ok(())
}

/// The argument of `exec --with` that puts the credential where this literal was.
pub fn reference(context: &Context, item: &Item) -> Result<Option<String>, CommandError> {
    let (Some(name), Some(credential)) = (&item.name, &item.credential) else { return Ok(None) };
    let provider = context.provider(name)?;
    let first = scheme_of(provider, name, credential)?.variables.first();
    Ok(Some(match &item.variable {
        Some(variable) if Some(variable) != first => format!("{name}={variable}"),
        _ => name.to_string(),
    }))
}
