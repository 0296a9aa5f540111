//! Whose secret a literal is: by the variable, the host and header, or the file that it stands in.

use crate::clients::{Literal, Sign};
use crate::config::{Config, Provider, Scheme, Source};
use crate::credential::{Credential, Kind, is_part};
use crate::secret::Secret;

/// A literal whose provider is known.
pub struct Recognised<'a> {
    pub provider: &'a Provider,
    pub credential: Credential,
    /// Whose it is, where the file says it.
    pub account: Option<String>,
}

/// `None`: no provider is known for it.
pub fn recognise<'a>(config: &'a Config, literal: &Literal) -> Option<Recognised<'a>> {
    let secret = &literal.secret;
    let (provider, credential, account) = match &literal.sign {
        Sign::Variable(variable) => {
            let provider = only(config, |provider| scheme_reading(provider, variable).is_some())?;
            let scheme = scheme_reading(provider, variable)?;
            (provider, credential(scheme, secret.clone())?, None)
        }
        Sign::Header { name, url } => {
            let provider = only(config, |provider| provider.sends_to(url))?;
            (provider, from_header(provider, name, secret)?, None)
        }
        // Nothing says whose it is.
        Sign::Argument(_) | Sign::Address { origin: None } => return None,
        Sign::Address { origin: Some(origin) } => {
            let provider = only(config, |provider| provider.sends_to(origin))?;
            (provider, as_key(provider, secret.clone())?, None)
        }
        Sign::Host { host, account } => {
            let api = format!("api.{host}");
            let provider = only(config, |provider| {
                provider.hosts.contains(host) || provider.hosts.contains(&api)
            })?;
            (provider, as_key(provider, secret.clone())?, account.clone())
        }
        Sign::Provider { provider, account } => {
            let provider = config.provider(provider).ok()?;
            (provider, as_key(provider, secret.clone())?, Some(account.clone()))
        }
    };
    Some(Recognised { provider, credential, account: account.as_deref().map(as_account) })
}

/// A literal as a credential of the provider that a person named for it.
pub fn as_chosen(provider: &Provider, literal: &Literal) -> Option<Credential> {
    let by_header = match &literal.sign {
        Sign::Header { name, .. } => from_header(provider, name, &literal.secret),
        _ => None,
    };
    by_header.or_else(|| as_key(provider, literal.secret.clone()))
}

/// Whether the host that a header was for is one of the provider's.
pub fn is_sent_to(provider: &Provider, sign: &Sign) -> bool {
    matches!(sign, Sign::Header { url, .. } if provider.sends_to(url))
}

/// A secret as the kind of key that a provider takes.
fn as_key(provider: &Provider, secret: Secret) -> Option<Credential> {
    let key = provider.schemes.iter().find(|scheme| scheme.kind != Kind::Basic);
    let scheme = [Kind::ApiKey, Kind::Bearer].iter().find_map(|kind| provider.scheme(*kind));
    credential(scheme.or(key)?, secret)
}

/// The one provider that fits; of several, the only one of the user's file.
fn only(config: &Config, fits: impl Fn(&Provider) -> bool) -> Option<&Provider> {
    let found: Vec<&Provider> = config.providers().filter(|provider| fits(provider)).collect();
    let own: Vec<&Provider> =
        found.iter().copied().filter(|provider| provider.source != Source::Catalog).collect();
    match (&found[..], &own[..]) {
        ([one], _) | (_, [one]) => Some(*one),
        _ => None,
    }
}

/// How a provider takes what this variable carries: as a key rather than as a token of OAuth.
fn scheme_reading<'a>(provider: &'a Provider, variable: &str) -> Option<&'a Scheme> {
    let reads = |scheme: &&Scheme| scheme.variables.iter().any(|own| own == variable);
    let mut schemes = provider.schemes.iter().filter(reads);
    schemes.clone().find(|scheme| scheme.kind != Kind::OAuth).or_else(|| schemes.next())
}

fn credential(scheme: &Scheme, secret: Secret) -> Option<Credential> {
    match scheme.kind {
        Kind::ApiKey => Some(Credential::ApiKey { key: secret }),
        Kind::Bearer | Kind::OAuth => Some(Credential::Bearer { token: secret }),
        // A password alone says nothing of its user.
        Kind::Basic => None,
    }
}

/// The secret in a header's value, by the header of one of the provider's kinds.
fn from_header(provider: &Provider, name: &str, value: &Secret) -> Option<Credential> {
    let schemes = provider.schemes.iter().filter(|scheme| scheme.kind != Kind::Basic);
    let mut same = schemes.filter(|scheme| scheme.header.name.eq_ignore_ascii_case(name));
    same.find_map(|scheme| {
        let (before, after) = scheme.header.format.split_once(['{', '}'])?;
        let (_, after) = after.split_once('}').unwrap_or(("", ""));
        let inner = strip_beginning(value.expose(), before)?.strip_suffix(after)?;
        credential(scheme, Secret::new(inner))
    })
}

/// Schemes such as `Bearer` are written in any case (RFC 9110 §11.1).
fn strip_beginning<'a>(value: &'a str, beginning: &str) -> Option<&'a str> {
    let same = value.get(..beginning.len())?.eq_ignore_ascii_case(beginning);
    same.then(|| &value[beginning.len()..])
}

/// A name of another program as an account's.
fn as_account(name: &str) -> String {
    let fits =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let name: String =
        name.to_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).take(64).collect();
    let name = name.trim_start_matches(['.', '_', '-']).to_owned();
    if is_part(&name) { name } else { crate::credential::DEFAULT_ACCOUNT.to_owned() }
}
