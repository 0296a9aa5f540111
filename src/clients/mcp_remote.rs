//! mcp-remote's folder, `~/.mcp-auth`: for each server a file of tokens and one of its client, named by a
//! digest of the address. Recent versions write the issuer into both; that is how a session is recognised.

use serde::Deserialize;

use super::Malformed;
use crate::secret::Secret;

/// Tokens and the client that they belong to.
#[derive(Debug)]
pub struct Session {
    pub issuer: Option<String>,
    pub access_token: Secret,
    pub refresh_token: Option<Secret>,
    /// Milliseconds since 1970.
    pub expires_at: Option<f64>,
    pub scopes: Option<Vec<String>>,
    pub client_id: Option<String>,
    pub client_secret: Option<Secret>,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: Option<String>,
    expires_at: Option<f64>,
    scope: Option<String>,
    issuer: Option<String>,
}

#[derive(Default, Deserialize)]
struct Client {
    #[serde(rename = "client_id")]
    id: Option<String>,
    #[serde(rename = "client_secret")]
    secret: Option<String>,
    issuer: Option<String>,
}

/// Reads the two files of one server. Tokens and client of different issuers are no session.
pub fn session(tokens: &str, client: Option<&str>) -> Result<Session, Malformed> {
    let syntax = |what| move |_| Malformed::Syntax { what, line: None, column: None };
    let tokens: Tokens =
        serde_json::from_str(tokens).map_err(syntax("a file of mcp-remote's tokens"))?;
    let client: Client = match client {
        Some(text) => {
            serde_json::from_str(text).map_err(syntax("a file of one of mcp-remote's clients"))?
        }
        None => Client::default(),
    };
    if let (Some(one), Some(other)) = (&tokens.issuer, &client.issuer)
        && one != other
    {
        return Err(Malformed::Form("a client of another issuer".into()));
    }
    let scopes = tokens.scope.as_deref().map(|scope| scope.split_whitespace().map(str::to_owned));
    Ok(Session {
        scopes: scopes.map(Iterator::collect),
        issuer: tokens.issuer.or(client.issuer),
        access_token: Secret::new(tokens.access_token),
        refresh_token: tokens.refresh_token.map(Secret::new),
        expires_at: tokens.expires_at,
        client_id: client.id,
        client_secret: client.secret.map(Secret::new),
    })
}
