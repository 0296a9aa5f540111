//! The token answer (RFC 6749 §5.1), and the adapter that makes what real servers send into what the
//! RFC describes: numbers as text, absolute times, scopes as a list, no token type, HTTP 201, forms.
//! What comes out is validated whole, or it is an error.

use std::time::Duration;

use jiff::Timestamp;
use oauth2::basic::BasicTokenType;
use oauth2::{ExtraTokenFields, StandardTokenResponse, TokenResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Error;
use super::document::Document;
use crate::http::Answer;
use crate::secret::Secret;
use crate::text::clean;

/// Tokens as a token endpoint gave them.
#[derive(Debug, Clone)]
pub struct TokenAnswer {
    pub access_token: Secret,
    /// Always `Bearer`, in this spelling: some servers refuse any other.
    pub token_type: String,
    /// `None`: the server does not say. Never zero.
    pub expires_in: Option<Duration>,
    /// `None` also when the server sent an empty one.
    pub refresh_token: Option<Secret>,
    /// Lifetime of the refresh token, where the server says (not in the RFC).
    pub refresh_expires_in: Option<Duration>,
    /// `None`: those that were asked for.
    pub scopes: Option<Vec<String>>,
}

/// What servers tell beyond the RFC.
#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    refresh_expires_in: Option<u64>,
}

impl ExtraTokenFields for Extra {}

type Response = StandardTokenResponse<Extra, BasicTokenType>;

impl TokenAnswer {
    /// Reads an answer of a token endpoint, good or bad.
    pub(super) fn read(answer: &Answer) -> Result<Self, Error> {
        let document = Document::of_success(answer)?;
        let now = answer.date().unwrap_or_else(Timestamp::now);
        let normal = normalise(&document, now)?;
        // The parser's own message would quote the value.
        let response: Response = serde_json::from_value(normal)
            .map_err(|_| document.malformed("it is not a token answer"))?;
        if *response.token_type() != BasicTokenType::Bearer {
            let kind = clean(response.token_type().as_ref());
            return Err(
                document.malformed(&format!("its tokens are of the type {kind}, not Bearer"))
            );
        }
        let fit = |name: &str, token: &str| {
            let unfit = |unfit| document.malformed(&format!("{name}: {unfit}"));
            Secret::parse_token(token).map_err(unfit)
        };
        Ok(Self {
            access_token: fit("access_token", response.access_token().secret())?,
            token_type: "Bearer".to_owned(),
            expires_in: response.expires_in(),
            refresh_token: response
                .refresh_token()
                .map(|token| fit("refresh_token", token.secret()))
                .transpose()?,
            refresh_expires_in: response.extra_fields().refresh_expires_in.map(Duration::from_secs),
            scopes: response
                .scopes()
                .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
        })
    }
}

/// The answer in the RFC's own form. `now` is the server's clock, by which its absolute times count.
fn normalise(document: &Document, now: Timestamp) -> Result<Value, Error> {
    let token_type = document.text("token_type")?.filter(|kind| !kind.is_empty());
    let refresh_token = document.text("refresh_token")?.filter(|token| !token.is_empty());
    let expires_in = match lifetime(document, &["expires_in"])? {
        Some(lifetime) => Some(lifetime),
        None => remaining(document, &["expires_at", "expiry"], now)?,
    };
    let refresh_expires_in = lifetime(
        document,
        // Keycloak; GitHub and Microsoft; Intuit.
        &["refresh_expires_in", "refresh_token_expires_in", "x_refresh_token_expires_in"],
    )?;
    Ok(json!({
        "access_token": document.required_text("access_token")?,
        "token_type": token_type.unwrap_or("Bearer"),
        "expires_in": expires_in.map(|lifetime| lifetime.as_secs()),
        "refresh_token": refresh_token,
        "refresh_expires_in": refresh_expires_in.map(|lifetime| lifetime.as_secs()),
        "scope": scope(document)?,
    }))
}

/// The first of `keys` that is there, in seconds. Zero and less mean «no end» to those who send it.
fn lifetime(document: &Document, keys: &[&str]) -> Result<Option<Duration>, Error> {
    for key in keys {
        if let Some(seconds) = document.number(key)? {
            return Ok(positive(seconds));
        }
    }
    Ok(None)
}

/// At least a second, or nothing: times too long to count have no end.
fn positive(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|lifetime| lifetime.as_secs() > 0)
}

/// The time left until the first of `keys` that is there: RFC 3339, or Unix time in seconds or
/// milliseconds.
fn remaining(
    document: &Document,
    keys: &[&str],
    now: Timestamp,
) -> Result<Option<Duration>, Error> {
    for key in keys {
        let end = match document.value(key) {
            None => continue,
            Some(Value::String(text)) if text.is_empty() => continue,
            Some(Value::String(text)) => text.parse::<Timestamp>().ok(),
            Some(_) => None,
        };
        let left = match end {
            Some(end) => end.duration_since(now).as_secs_f64(),
            None => unix_seconds(document, key)? - now.as_duration().as_secs_f64(),
        };
        return Ok(positive(left));
    }
    Ok(None)
}

fn unix_seconds(document: &Document, key: &str) -> Result<f64, Error> {
    let time = document.number(key)?.unwrap_or_default();
    // No seconds have twelve digits before the year 5138.
    Ok(if time > 1e11 { time / 1000.0 } else { time })
}

/// Scopes as one text: a list is joined; commas separate where there is no blank (GitHub).
fn scope(document: &Document) -> Result<Option<String>, Error> {
    let scopes = match document.value("scope") {
        Some(Value::Array(_)) => document.texts("scope")?.unwrap_or_default(),
        _ => {
            let text = document.text("scope")?.unwrap_or_default().trim();
            let separator = if text.contains(' ') { ' ' } else { ',' };
            text.split(separator).map(str::to_owned).collect()
        }
    };
    let scopes: Vec<String> = scopes.into_iter().filter(|scope| !scope.is_empty()).collect();
    if scopes.iter().any(|scope| !scope.bytes().all(|c| c.is_ascii_graphic())) {
        return Err(document.malformed("its scope has characters that no scope has"));
    }
    Ok(if scopes.is_empty() { None } else { Some(scopes.join(" ")) })
}
