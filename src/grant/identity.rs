//! Identity tokens that somebody else signs and this machine merely has: of GitHub Actions, of GitLab, of
//! a Kubernetes pod, or in any file or variable. The authorization server checks them; here they are only
//! looked at for what would make it refuse.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::config::{ACTIONS_VARIABLES, IssuedToken};
use crate::http::{self, Http, Request};
use crate::secret::{MAX_TOKEN, Secret, Unfit};
use crate::text::clean;

/// Our clock and the issuer's may differ by this much.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// Why there is no identity token. Never holds one.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{0} is not set: this is no job of GitHub Actions with the permission id-token: write")]
    NoPermission(&'static str),
    #[error("the variable {0}, in which the identity token should stand, is not set")]
    NotSet(String),
    #[error("cannot read the identity token in {path}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("what stands in {place} cannot be an identity token: {unfit}")]
    Unfit { place: String, unfit: Unfit },
    #[error("the identity token in {place} is for {found}, and {wanted} is wanted")]
    Audience { place: String, found: String, wanted: String },
    #[error("the identity token in {place} ended at {ended}")]
    Expired { place: String, ended: Timestamp },
    #[error("cannot ask GitHub for an identity token")]
    Http(#[from] http::Error),
    #[error("{host} gave no identity token (HTTP {status})")]
    Refused { host: String, status: u16 },
}

/// An identity token, fresh from its source, which must be for the audience that is named. Where it is asked
/// for and none is named, it is asked for the `usual` one.
pub async fn identity_token(
    http: &Http,
    source: &IssuedToken,
    named: Option<&str>,
    usual: &str,
) -> Result<Secret, IdentityError> {
    let (place, token, wanted) = match source {
        IssuedToken::GithubActions => {
            let wanted = named.unwrap_or(usual);
            let token = of_github_actions(http, wanted).await?;
            ("GitHub's answer".to_owned(), token, Some(wanted))
        }
        IssuedToken::File(path) => (path.display().to_string(), in_file(path)?, named),
        IssuedToken::Variable(variable) => (variable.clone(), in_variable(variable)?, named),
    };
    check(&token, &place, wanted, Timestamp::now())?;
    Ok(token)
}

/// When a JWT ends by its own words.
pub fn ends_at(token: &Secret) -> Option<Timestamp> {
    claims(token)?.ends()
}

// ------------------------------------------------------------------------------------------- sources

/// GitHub's answer.
#[derive(Deserialize)]
struct Issued {
    #[serde(with = "crate::secret::at_rest")]
    value: Secret,
}

async fn of_github_actions(http: &Http, audience: &str) -> Result<Secret, IdentityError> {
    let [url, permit] = ACTIONS_VARIABLES;
    let read = |variable: &'static str| {
        let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
        value.ok_or(IdentityError::NoPermission(variable))
    };
    let mut address = http::parse_url(&read(url)?)?;
    address.query_pairs_mut().append_pair("audience", audience);
    let permit = Secret::new(format!("bearer {}", Secret::new(read(permit)?).expose()));
    let request = Request::get(address.as_str())?.secret_header("authorization", &permit)?;
    let answer = http.send(request).await?;
    let refused =
        || IdentityError::Refused { host: answer.host().to_owned(), status: answer.status };
    if answer.status != 200 {
        return Err(refused());
    }
    // serde's message could quote the token.
    let issued: Issued = serde_json::from_slice(&answer.body).map_err(|_| refused())?;
    parse(issued.value.expose(), answer.host())
}

fn in_variable(variable: &str) -> Result<Secret, IdentityError> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| IdentityError::NotSet(variable.to_owned()))?;
    parse(&value.to_string_lossy(), variable)
}

/// Read anew every time: whoever keeps the file replaces the token in it.
fn in_file(path: &Path) -> Result<Secret, IdentityError> {
    let failed = |source| IdentityError::File { path: path.to_owned(), source };
    let mut text = String::with_capacity(MAX_TOKEN + 2);
    // Opening a pipe waits for whoever writes into it.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is not a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let outcome = file.take(MAX_TOKEN as u64 + 2).read_to_string(&mut text);
    let text = Secret::new(text);
    outcome.map_err(failed)?;
    parse(text.expose(), &path.display().to_string())
}

fn parse(text: &str, place: &str) -> Result<Secret, IdentityError> {
    let place = clean(place);
    Secret::parse_token(text.trim_end()).map_err(|unfit| IdentityError::Unfit { place, unfit })
}

// --------------------------------------------------------------------------------------- what it says

#[derive(Deserialize)]
struct Claims {
    aud: Option<Value>,
    exp: Option<Value>,
}

/// The claims of a JWT (RFC 7519 §4.1), believed without a look at the signature; `None`: it is none.
fn claims(token: &Secret) -> Option<Claims> {
    let part = token.expose().split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

impl Claims {
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds; an odd number is no time")]
    fn ends(&self) -> Option<Timestamp> {
        // A number (RFC 7519 §2), or what some write instead.
        let end = match self.exp.as_ref()? {
            Value::String(text) => text.parse().ok()?,
            other => other.as_f64()?,
        };
        Timestamp::from_second(end as i64).ok()
    }

    fn audience(&self) -> Vec<&str> {
        match &self.aud {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

/// Refuses what the server is going to refuse, with a better reason. What is no JWT is not looked at.
fn check(
    token: &Secret,
    place: &str,
    wanted: Option<&str>,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let Some(claims) = claims(token) else { return Ok(()) };
    let place = clean(place);
    if let Some(ended) = claims.ends().filter(|end| now.duration_since(*end) > CLOCK_TOLERANCE) {
        return Err(IdentityError::Expired { place, ended });
    }
    let found = claims.audience();
    match wanted {
        Some(wanted) if !found.is_empty() && !found.contains(&wanted) => {
            let found = clean(&found.join(", "));
            Err(IdentityError::Audience { place, found, wanted: clean(wanted) })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> Secret {
        Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)))
    }

    fn checked(token: &Secret, wanted: Option<&str>) -> Result<(), IdentityError> {
        check(token, "PLACE", wanted, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn an_identity_for_somebody_else_is_told_before_the_server_is_asked() {
        let one = jwt(r#"{"aud":"https://as.example"}"#);
        let many = jwt(r#"{"aud":["x","https://as.example"]}"#);
        for token in [&one, &many, &jwt("{}"), &Secret::new("opaque")] {
            assert!(checked(token, Some("https://as.example")).is_ok());
            assert!(checked(token, None).is_ok());
        }
        let error = checked(&many, Some("https://other.example")).unwrap_err().to_string();
        let said = "PLACE is for x, https://as.example, and https://other.example is wanted";
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn an_identity_that_has_ended_is_told_and_a_clock_may_be_a_minute_off() {
        let new_year = 1_767_225_600;
        assert!(checked(&jwt(&format!(r#"{{"exp":{}}}"#, new_year - 59)), None).is_ok());
        let ended = jwt(&format!(r#"{{"exp":{}}}"#, new_year - 61));
        let error = checked(&ended, None).unwrap_err();
        assert!(matches!(error, IdentityError::Expired { .. }), "{error}");
        assert!(checked(&jwt(r#"{"exp":1e300}"#), None).is_ok());
        assert!(checked(&jwt(r#"{"exp":"soon"}"#), None).is_ok());
    }

    #[test]
    fn errors_never_hold_the_token() {
        let error = parse("hunter2 hunter3", "PLACE").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter"));
    }
}
