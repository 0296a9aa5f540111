//! `[mcp."URL"]`: how authctl behaves towards one MCP server, whichever client runs it.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use super::file::{McpTable, Problem};
use super::{rules, value};
use crate::credential::{Kind, Name};

/// What the user's file says of one MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct McpRule {
    /// The credential, where it is not the one of the server's own name.
    pub credential: Option<Name>,
    /// Headers of each request, by name. None of them is secret.
    pub headers: BTreeMap<String, String>,
    /// Header → credential whose secret is its value.
    pub secret_headers: BTreeMap<String, Name>,
    /// Patterns of tool names, `*` for any text. Empty: all.
    pub allow_tools: Vec<String>,
    pub deny_tools: Vec<String>,
    pub open_browser: Option<bool>,
    /// How long lists wait for a sign-in.
    pub list_wait: Option<Duration>,
    /// How long other calls wait for it.
    pub call_wait: Option<Duration>,
    /// How long the server may leave a request without a word.
    pub answer_wait: Option<Duration>,
}

impl McpRule {
    pub(super) fn check(table: &McpTable) -> Result<Self, Problem> {
        let mut headers = BTreeMap::new();
        for (name, text) in &table.headers {
            value::mcp_extra(name)?;
            value::plain_header(name, text, &value::default_header(Kind::OAuth))?;
            headers.insert(name.get_ref().clone(), text.get_ref().clone());
        }
        let mut secret_headers = BTreeMap::new();
        for (header, name) in &table.secret_headers {
            value::mcp_extra(header)?;
            secret_headers.insert(header.get_ref().clone(), value::name(name)?);
        }
        Ok(Self {
            credential: table.credential.as_ref().map(value::name).transpose()?,
            headers,
            secret_headers,
            allow_tools: patterns(&table.allow_tools)?,
            deny_tools: patterns(&table.deny_tools)?,
            open_browser: table.open_browser,
            list_wait: table.list_wait.as_ref().map(rules::time).transpose()?,
            call_wait: table.call_wait.as_ref().map(rules::time).transpose()?,
            answer_wait: table.answer_wait.as_ref().map(rules::time).transpose()?,
        })
    }
}

fn patterns(written: &[Spanned<String>]) -> Result<Vec<String>, Problem> {
    written.iter().map(value::visible).collect()
}
