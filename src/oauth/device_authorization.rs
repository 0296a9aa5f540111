//! The device authorization request and its answer (RFC 8628 §3.1, §3.2).

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::Document;
use super::form::{Form, check_parameters};
use super::{Client, Error};
use crate::http::{Http, parse_url};
use crate::secret::Secret;
use crate::text::clean;

/// Interval when the server gives none (RFC 8628 §3.2).
const INTERVAL: Duration = Duration::from_secs(5);

/// Longest time that we wait for a person, whatever the server allows.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the person is to do, and how to ask whether it was done. The texts are safe to show, the
/// addresses acceptable for a browser.
#[derive(Debug, Clone)]
pub struct DeviceAuthorization {
    pub device_code: Secret,
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    /// From the answer on.
    pub expires_in: Duration,
    /// Between two token requests; at least a second.
    pub interval: Duration,
}

/// Asks for a device code. `resource` and `parameters` as in the authorization request.
pub async fn device_authorization(
    http: &Http,
    endpoint: &str,
    client: &Client,
    scopes: &[String],
    resource: Option<&str>,
    parameters: &BTreeMap<String, String>,
) -> Result<DeviceAuthorization, Error> {
    check_parameters(endpoint, parameters)?;
    let form = Form::new().scopes(scopes).resource(resource).parameters(parameters);
    let answer = form.post(http, endpoint, client).await?;
    read(&Document::of_success(&answer)?)
}

fn read(document: &Document) -> Result<DeviceAuthorization, Error> {
    let device_code = Secret::parse_token(document.required_text("device_code")?)
        .map_err(|unfit| document.malformed(&format!("device_code: {unfit}")))?;
    let user_code = document.required_text("user_code")?;
    if user_code.len() > 64 || clean(user_code) != user_code {
        return Err(document.malformed("its user_code cannot be shown"));
    }
    // Servers older than the RFC say `verification_url`.
    let verification_uri = match web_address(document, "verification_uri")? {
        Some(uri) => Some(uri),
        None => web_address(document, "verification_url")?,
    };
    let positive = |key| -> Result<Option<Duration>, Error> {
        let seconds = document.number(key)?;
        Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
    };
    let expires_in = positive("expires_in")?.filter(|lifetime| !lifetime.is_zero());
    Ok(DeviceAuthorization {
        device_code,
        user_code: user_code.to_owned(),
        verification_uri: verification_uri
            .ok_or_else(|| document.malformed("it has no verification_uri"))?,
        verification_uri_complete: web_address(document, "verification_uri_complete")?,
        expires_in: expires_in
            .ok_or_else(|| document.malformed("its expires_in is no time"))?
            .min(LONGEST),
        interval: positive("interval")?.unwrap_or(INTERVAL).max(Duration::from_secs(1)),
    })
}

fn web_address(document: &Document, key: &str) -> Result<Option<String>, Error> {
    let Some(text) = document.text(key)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    parse_url(text)?;
    Ok(Some(text.to_owned()))
}
