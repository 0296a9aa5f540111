//! The authorization endpoint's two ends: the URL that the person's browser opens (RFC 6749 §4.1.1,
//! PKCE RFC 7636, resource RFC 8707), and the redirect that comes back (§4.1.2, `iss` RFC 9207).

use std::collections::BTreeMap;

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope};
use url::Url;

use super::Error;
use super::form::{OWN_PARAMETERS, check_parameters};
use crate::http::{self, host_of, parse_url};
use crate::secret::Secret;
use crate::text::clean;

/// One authorization request, and what is needed to accept its answer. Used once.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// For the browser; serialised, so it has no blank and no quote in it.
    pub url: Url,
    /// 128 random bits that the redirect must bring back.
    pub state: Secret,
    /// 256 random bits (RFC 7636 §4.1), whose SHA-256 is in the URL.
    pub code_verifier: Secret,
    /// As sent: the token request must repeat it byte for byte.
    pub redirect_uri: String,
}

/// Makes a request for a code, always with state and PKCE S256. `parameters` are the provider's own;
/// none may replace one of the protocol's.
pub fn authorization_request(
    endpoint: &str,
    client_id: &str,
    redirect_uri: &str,
    scopes: &[String],
    resource: Option<&str>,
    parameters: &BTreeMap<String, String>,
) -> Result<AuthorizationRequest, Error> {
    let url = parse_url(endpoint)?;
    check_parameters(endpoint, parameters)?;
    let is_own = |name: &str| OWN_PARAMETERS.contains(&name);
    if url.fragment().is_some() || url.query_pairs().any(|(name, _)| is_own(&name)) {
        let what = "its authorization endpoint already has parameters of a request".to_owned();
        return Err(Error::Unsupported { host: host_of(&url), what });
    }
    let callback = RedirectUrl::new(redirect_uri.to_owned()).map_err(|error| {
        let reason = error.to_string();
        http::Error::BadUrl { url: clean(redirect_uri), reason }
    })?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let client = BasicClient::new(ClientId::new(client_id.to_owned()))
        .set_auth_uri(AuthUrl::from_url(url))
        .set_redirect_uri(callback);
    let mut request = client
        .authorize_url(CsrfToken::new_random)
        .set_pkce_challenge(challenge)
        .add_scopes(scopes.iter().cloned().map(Scope::new));
    for (name, value) in parameters {
        request = request.add_extra_param(name, value);
    }
    if let Some(resource) = resource {
        request = request.add_extra_param("resource", resource);
    }
    let (url, state) = request.url();
    Ok(AuthorizationRequest {
        url,
        state: Secret::new(state.into_secret()),
        code_verifier: Secret::new(verifier.into_secret()),
        redirect_uri: redirect_uri.to_owned(),
    })
}

/// Why a redirect brought no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// Not the answer to our request. To be ignored: it neither ends nor completes the flow.
    #[error("the redirect does not belong to this sign-in")]
    ForeignState,
    #[error("the redirect has the parameter {parameter} more than once")]
    Repeated { parameter: &'static str },
    /// The redirect came from another server (RFC 9207 §2.4); what else it says is not repeated.
    #[error("the redirect came from {}, not from {expected}", found.as_deref().unwrap_or("a server that does not say which it is"))]
    IssuerMismatch { expected: String, found: Option<String> },
    #[error("the server refused: {code}{}", description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused { code: String, description: Option<String> },
    #[error("the redirect has no code")]
    NoCode,
}

/// Reads the query of the redirect and gives the code. Checked in this order: `state`, that nothing
/// is repeated (RFC 6749 §3.1), `iss` against `issuer` byte for byte, then error or code.
/// `iss_required`: the server's metadata promises `iss`.
pub fn read_redirect(
    query: &str,
    state: &Secret,
    issuer: Option<&str>,
    iss_required: bool,
) -> Result<Secret, RedirectError> {
    let mut redirect = Redirect::parse(query);
    let expected = CsrfToken::new(state.expose().to_owned());
    // CsrfToken compares in constant time.
    let ours = |found: &Option<String>| {
        found.as_ref().is_some_and(|found| CsrfToken::new(found.clone()) == expected)
    };
    if !ours(&redirect.state) {
        return Err(RedirectError::ForeignState);
    }
    if let Some(parameter) = redirect.repeated {
        return Err(RedirectError::Repeated { parameter });
    }
    check_issuer(redirect.iss.as_deref(), issuer, iss_required)?;
    if let Some(code) = redirect.error {
        let description = redirect.error_description.as_deref().map(clean);
        return Err(RedirectError::Refused { code: clean(&code), description });
    }
    let code = redirect.code.take().filter(|code| !code.is_empty());
    code.map(Secret::new).ok_or(RedirectError::NoCode)
}

/// MCP's table of four rows: present and known, compare; absent but promised, refuse.
fn check_issuer(
    found: Option<&str>,
    issuer: Option<&str>,
    required: bool,
) -> Result<(), RedirectError> {
    match (found, issuer) {
        (Some(found), Some(issuer)) if found != issuer => Err(RedirectError::IssuerMismatch {
            expected: clean(issuer),
            found: Some(clean(found)),
        }),
        (None, issuer) if required => Err(RedirectError::IssuerMismatch {
            expected: clean(issuer.unwrap_or_default()),
            found: None,
        }),
        _ => Ok(()),
    }
}

/// The parameters of a redirect that have a meaning.
#[derive(Default)]
struct Redirect {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    repeated: Option<&'static str>,
}

impl Redirect {
    fn parse(query: &str) -> Self {
        let mut redirect = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let (parameter, slot) = match name.as_ref() {
                "state" => ("state", &mut redirect.state),
                "code" => ("code", &mut redirect.code),
                "iss" => ("iss", &mut redirect.iss),
                "error" => ("error", &mut redirect.error),
                "error_description" => ("error_description", &mut redirect.error_description),
                _ => continue,
            };
            if slot.is_some() {
                redirect.repeated = Some(parameter);
            } else {
                *slot = Some(value.into_owned());
            }
        }
        redirect
    }
}
