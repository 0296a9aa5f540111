//! Identities that a machine has, checked: where its token is found, or what it signs itself, and what
//! the token must be for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use toml::Spanned;

use super::file::{ExchangeTable, IdentityTable, Problem, SourceWord};
use super::value;
use crate::credential::Name;
use crate::oauth::token_type_uri;

/// Where the kubelet keeps the token of a pod's service account.
const KUBERNETES_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// An identity that can be shown to an authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub source: IdentitySource,
    /// What the token is for (`aud`): asked for where that is possible, and checked.
    pub audience: Option<String>,
    /// The sort of token, as token exchange names it (RFC 8693 §3).
    pub token_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentitySource {
    /// A job of GitHub Actions asks GitHub for a token.
    GithubActions,
    /// Somebody keeps a token in this file, and replaces it in time.
    File(PathBuf),
    /// Somebody put a token into this variable, as GitLab does.
    Environment(String),
    /// The access token of another credential of ours.
    Credential(Name),
    /// We sign it ourselves.
    Key(OwnAssertion),
}

/// For people.
impl fmt::Display for IdentitySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentitySource::GithubActions => f.write_str("a token of GitHub Actions"),
            IdentitySource::File(path) => write!(f, "the token in {}", path.display()),
            IdentitySource::Environment(variable) => write!(f, "the token in {variable}"),
            IdentitySource::Credential(name) => write!(f, "the credential {name}"),
            IdentitySource::Key(OwnAssertion { key_file: Some(path), .. }) => {
                write!(f, "signed with the key in {}", path.display())
            }
            IdentitySource::Key(_) => f.write_str("signed with the key of the login"),
        }
    }
}

/// What an assertion says that we sign ourselves (RFC 7523 §3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAssertion {
    /// `None`: the key that was brought to the login.
    pub key_file: Option<PathBuf>,
    pub key_id: Option<String>,
    /// `iss`; `None`: the owner that the key's file names, else the client.
    pub issuer: Option<String>,
    /// `sub`; `None`: the issuer.
    pub subject: Option<String>,
    pub claims: BTreeMap<String, String>,
}

/// What a token exchange asks for beside scopes and resource (RFC 8693 §2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    pub audience: Vec<String>,
    pub requested_token_type: Option<String>,
    pub actor: Option<Identity>,
}

impl Identity {
    pub(super) fn check(table: &IdentityTable) -> Result<Self, Problem> {
        table.refuse_foreign_keys()?;
        let source = match table.source.get_ref() {
            SourceWord::GithubActions => IdentitySource::GithubActions,
            SourceWord::Kubernetes => match &table.path {
                Some(path) => IdentitySource::File(value::path(path)?),
                None => IdentitySource::File(KUBERNETES_TOKEN.into()),
            },
            SourceWord::File => {
                IdentitySource::File(value::path(table.needs(table.path.as_ref(), "path")?)?)
            }
            SourceWord::Gitlab | SourceWord::Environment => {
                let variable = table.needs(table.variable.as_ref(), "variable")?;
                IdentitySource::Environment(value::variable_name(variable)?)
            }
            SourceWord::Credential => {
                let name = table.needs(table.credential.as_ref(), "credential")?;
                IdentitySource::Credential(value::name(name)?)
            }
            SourceWord::Key => IdentitySource::Key(OwnAssertion {
                key_file: table.key_file.as_ref().map(value::path).transpose()?,
                key_id: table.key_id.as_ref().map(value::visible).transpose()?,
                issuer: table.issuer.as_ref().map(value::visible).transpose()?,
                subject: table.subject.as_ref().map(value::visible).transpose()?,
                claims: claims(&table.claims)?,
            }),
        };
        let usual = if let IdentitySource::Credential(_) = source { "access_token" } else { "jwt" };
        let token_type = table.token_type.as_ref().map(value::visible).transpose()?;
        Ok(Self {
            source,
            audience: table.audience.as_ref().map(value::visible).transpose()?,
            token_type: token_type_uri(token_type.as_deref().unwrap_or(usual)),
        })
    }

    /// The variables with which it can be had: no program that gets the credential needs them.
    pub fn variables(&self) -> Vec<String> {
        match &self.source {
            IdentitySource::GithubActions => ACTIONS_VARIABLES.map(str::to_owned).to_vec(),
            IdentitySource::Environment(variable) => vec![variable.clone()],
            _ => Vec::new(),
        }
    }
}

/// Where GitHub's identity tokens are asked for, and the secret that permits it.
pub const ACTIONS_VARIABLES: [&str; 2] =
    ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"];

impl IdentityTable {
    fn needs<'a>(
        &self,
        key: Option<&'a Spanned<String>>,
        name: &str,
    ) -> Result<&'a Spanned<String>, Problem> {
        key.ok_or_else(|| Problem::new(self.source.span(), format!("needs the key {name} as well")))
    }

    /// Each key belongs to some sources and means nothing beside the others.
    fn refuse_foreign_keys(&self) -> Result<(), Problem> {
        use SourceWord as S;
        let source = *self.source.get_ref();
        let keys: [(&[S], Option<&Spanned<String>>); 8] = [
            (&[S::File, S::Kubernetes], self.path.as_ref()),
            (&[S::Environment, S::Gitlab], self.variable.as_ref()),
            (&[S::Credential], self.credential.as_ref()),
            (&[S::Key], self.key_file.as_ref()),
            (&[S::Key], self.key_id.as_ref()),
            (&[S::Key], self.issuer.as_ref()),
            (&[S::Key], self.subject.as_ref()),
            (&[S::Key], self.claims.values().next()),
        ];
        let mut foreign = keys.iter().filter(|(sources, _)| !sources.contains(&source));
        match foreign.find_map(|(_, key)| *key) {
            Some(key) => Err(Problem::new(key.span(), "belongs to another source")),
            None => Ok(()),
        }
    }
}

impl Exchange {
    pub(super) fn check(table: &ExchangeTable) -> Result<Self, Problem> {
        let kind = table.requested_token_type.as_ref().map(value::visible).transpose()?;
        Ok(Self {
            audience: table.audience.iter().map(value::visible).collect::<Result<_, _>>()?,
            requested_token_type: kind.as_deref().map(token_type_uri),
            actor: table.actor.as_ref().map(Identity::check).transpose()?,
        })
    }
}

/// Claims that an assertion has in any case.
const OWN_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "iat", "exp", "nbf", "jti"];

fn claims(
    written: &BTreeMap<Spanned<String>, Spanned<String>>,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut claims = BTreeMap::new();
    for (name, text) in written {
        if OWN_CLAIMS.contains(&name.get_ref().as_str()) {
            return Err(Problem::new(name.span(), "is a claim that authctl sets itself"));
        }
        claims.insert(value::visible(name)?, text.get_ref().clone());
    }
    Ok(claims)
}
