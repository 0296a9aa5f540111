//! `[proxy."NAME"]`: what requests with a credential may do, and what else goes with them.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;

use super::file::{Problem, ProxyTable};
use super::value;
use crate::credential::{Kind, Name};

/// What the user's file says of requests with one credential, or with those of one provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyRule {
    /// Requests that may be sent. Empty: all.
    pub allow: Vec<RequestPattern>,
    /// Requests that may not.
    pub deny: Vec<RequestPattern>,
    /// Headers of each request, by name in lower case. None of them is secret.
    pub headers: BTreeMap<String, String>,
    /// Header, in lower case, → credential whose secret is its value.
    pub secret_headers: BTreeMap<String, Name>,
    /// The header that tells the credential's id.
    pub id_header: Option<String>,
}

/// Requests by method, host and path; `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPattern {
    pub method: String,
    pub host: String,
    pub path: String,
}

impl RequestPattern {
    /// As written: `GET /v1/models`, `* api.example.com/v1/*`.
    pub fn parse(text: &str) -> Option<Self> {
        let (method, place) = text.split_once(' ')?;
        let (host, path) = place.split_at(place.find('/')?);
        let is_method = method == "*" || method.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if method.is_empty() || !is_method || !is_plain(place) {
            return None;
        }
        let host = if host.is_empty() { "*" } else { host };
        Some(Self { method: method.into(), host: host.to_ascii_lowercase(), path: path.into() })
    }
}

impl fmt::Display for RequestPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host == "*" { "" } else { &self.host };
        write!(formatter, "{} {host}{}", self.method, self.path)
    }
}

impl ProxyRule {
    pub(super) fn check(table: &ProxyTable) -> Result<Self, Problem> {
        let mut headers = BTreeMap::new();
        for (name, text) in &table.headers {
            value::mcp_extra(name)?;
            value::plain_header(name, text, &value::default_header(Kind::OAuth))?;
            headers.insert(name.get_ref().to_ascii_lowercase(), text.get_ref().clone());
        }
        let mut secret_headers = BTreeMap::new();
        for (header, name) in &table.secret_headers {
            value::mcp_extra(header)?;
            secret_headers.insert(header.get_ref().to_ascii_lowercase(), value::name(name)?);
        }
        if let Some(header) = &table.id_header {
            value::mcp_extra(header)?;
        }
        Ok(Self {
            allow: patterns(&table.allow)?,
            deny: patterns(&table.deny)?,
            headers,
            secret_headers,
            id_header: table.id_header.as_ref().map(|header| header.get_ref().to_ascii_lowercase()),
        })
    }
}

fn patterns(written: &[Spanned<String>]) -> Result<Vec<RequestPattern>, Problem> {
    let read = |written: &Spanned<String>| {
        let what = "is not a method and a path, as in \"GET /v1/*\"";
        RequestPattern::parse(written.get_ref())
            .ok_or_else(|| Problem::new(written.span(), what.to_owned()))
    };
    written.iter().map(read).collect()
}
