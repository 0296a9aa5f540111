//! The authorization endpoint's two ends: the URL that the person's browser opens (RFC 6749 §4.1.1,
//! PKCE RFC 7636, resource RFC 8707, `dpop_jkt` RFC 9449), and the redirect that comes back (§4.1.2, `iss` RFC 9207).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, RedirectUrl, Scope};
use url::Url;

use super::Error;
use super::form::{OWN_PARAMETERS, check_parameters};
use crate::http::{self, host_of, parse_url};
use crate::secret::{Secret, conceal};
use crate::text::{clean, shown_beside};

/// One authorization request, and what is needed to accept its answer. Used once.
pub struct AuthorizationRequest {
    /// For the browser; serialised, so it has no blank and no quote in it.
    pub url: Url,
    /// 128 random bits that the redirect must bring back.
    pub state: Secret,
    /// 256 random bits (RFC 7636 §4.1), whose SHA-256 is in the URL.
    pub code_verifier: Secret,
    /// As sent: the token request must repeat it byte for byte.
    pub redirect_uri: String,
    /// How long the URL is good, where the server says so (RFC 9126 §2.2).
    pub expires_in: Option<Duration>,
}

/// Without the query of `url`, which has the state in it.
impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("host", &host_of(&self.url))
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// Makes a request for a code, always with state and PKCE S256. `parameters` are the provider's own;
/// none may replace one of the protocol's. With `dpop_jkt`, the code is good for the owner of that key
/// alone (RFC 9449 §10).
pub fn authorization_request(
    endpoint: &str,
    client_id: &str,
    redirect_uri: &str,
    scopes: &[String],
    resource: Option<&str>,
    parameters: &BTreeMap<String, String>,
    dpop_jkt: Option<&str>,
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
    if let Some(thumbprint) = dpop_jkt {
        request = request.add_extra_param("dpop_jkt", thumbprint);
    }
    let (url, state) = request.url();
    Ok(AuthorizationRequest {
        url,
        state: Secret::new(state.into_secret()),
        code_verifier: Secret::new(verifier.into_secret()),
        redirect_uri: redirect_uri.to_owned(),
        expires_in: None,
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
    let redirect = Redirect::parse(query);
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
    redirect.code(vec![state.clone()])
}

/// The same for a redirect without `state`, which came to an address that only the server was told.
pub fn read_stateless_redirect(query: &str) -> Result<Secret, RedirectError> {
    let redirect = Redirect::parse(query);
    match redirect.repeated {
        Some(parameter) => Err(RedirectError::Repeated { parameter }),
        None => redirect.code(Vec::new()),
    }
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
            found: Some(shown_beside(found, issuer)).filter(|found| !found.is_empty()),
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

    /// The code, or the error that stands there instead. A server may quote what it was asked, or send a
    /// code along.
    fn code(self, mut secrets: Vec<Secret>) -> Result<Secret, RedirectError> {
        let code = self.code.filter(|code| !code.is_empty()).map(Secret::new);
        let Some(error) = self.error else { return code.ok_or(RedirectError::NoCode) };
        secrets.extend(code);
        let quote = |text: &str| clean(&conceal(text, &secrets));
        let description = self.error_description.as_deref().map(quote);
        let description = description.filter(|description| !description.is_empty());
        Err(RedirectError::Refused { code: quote(&error), description })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const REDIRECT: &str = "http://127.0.0.1:7/callback";

    fn request(endpoint: &str, parameters: &[(&str, &str)]) -> Result<AuthorizationRequest, Error> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        authorization_request(
            endpoint,
            "c 1",
            REDIRECT,
            &["read".into(), "write".into()],
            Some("https://mcp.example.com/mcp"),
            &parameters.iter().map(owned).collect(),
            Some("thumb"),
        )
    }

    fn parameters(url: &Url) -> BTreeMap<String, String> {
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let count = pairs.len();
        let map: BTreeMap<_, _> = pairs.into_iter().collect();
        assert_eq!(map.len(), count, "a parameter is repeated in {url}");
        map
    }

    #[test]
    fn what_debugging_shows_of_a_request_is_no_secret() {
        let request = request("https://as.example.com/authorize", &[]).unwrap();
        let shown = format!("{request:?}");
        assert!(shown.contains("as.example.com"), "{shown}");
        for secret in [&request.state, &request.code_verifier] {
            assert!(!shown.contains(secret.expose()), "{shown}");
        }
    }

    #[test]
    fn the_url_has_all_that_the_standards_ask_for() {
        let endpoint = "https://as.example.com/authorize?tenant=x";
        let request = request(endpoint, &[("prompt", "consent")]).unwrap();
        let found = parameters(&request.url);
        let digest =
            ring::digest::digest(&ring::digest::SHA256, request.code_verifier.expose().as_bytes());
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "c 1"),
            ("redirect_uri", REDIRECT),
            ("scope", "read write"),
            ("resource", "https://mcp.example.com/mcp"),
            ("state", request.state.expose()),
            ("code_challenge_method", "S256"),
            ("code_challenge", &URL_SAFE_NO_PAD.encode(digest)),
            ("prompt", "consent"),
            ("tenant", "x"),
            ("dpop_jkt", "thumb"),
        ] {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(found.len(), 11);
        assert_eq!(request.redirect_uri, REDIRECT);
        assert!(!request.url.as_str().contains(request.code_verifier.expose()));
        assert!(!request.url.as_str().contains([' ', '"', '\'', '`']));
    }

    #[test]
    fn state_and_verifier_are_long_and_new_each_time() {
        let one = request("https://as.example.com/", &[]).unwrap();
        let two = request("https://as.example.com/", &[]).unwrap();
        assert_ne!(one.state.expose(), two.state.expose());
        assert_ne!(one.code_verifier.expose(), two.code_verifier.expose());
        // Base64url: 22 characters for 128 bits, 43 for 256.
        assert!(one.state.expose().len() >= 22);
        assert!((43..=128).contains(&one.code_verifier.expose().len()));
    }

    #[test]
    fn unsafe_endpoints_and_replaced_parameters_are_refused() {
        for endpoint in [
            "http://as.example.com/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://u:p@as.example.com/",
            "https://as.example.com/?state=x",
            "https://as.example.com/?code_challenge_method=plain",
            "https://as.example.com/#a",
            "https://as.example.com/\n",
            "-flag",
        ] {
            assert!(request(endpoint, &[]).is_err(), "{endpoint}");
        }
        for name in OWN_PARAMETERS {
            let refusal = request("https://as.example.com/", &[(name, "x")]).unwrap_err();
            assert!(matches!(refusal, Error::Unsupported { .. }), "{name}");
        }
    }

    fn read(query: &str, issuer: Option<&str>, required: bool) -> Result<String, RedirectError> {
        let code = read_redirect(query, &Secret::new("s1"), issuer, required)?;
        Ok(code.expose().to_owned())
    }

    #[test]
    fn the_code_is_taken_from_our_own_redirect() {
        assert_eq!(read("code=c%2F1+x&state=s1", None, false).unwrap(), "c/1 x");
        assert_eq!(read("state=s1&code=c1&other=1&other=2", None, false).unwrap(), "c1");
    }

    #[test]
    fn a_forged_redirect_is_told_from_a_failed_one() {
        for query in [
            "",
            "code=c1",
            "code=c1&state=",
            "code=c1&state=s2",
            "code=c1&state=s1x",
            "code=c1&state=S1",
            "error=access_denied",
            "error=access_denied&state=s2",
            "code=c1&state=s2&state=s1",
            "code=c1&State=s1",
            "iss=https%3A%2F%2Fevil&state=s2",
        ] {
            assert_eq!(read(query, None, false), Err(RedirectError::ForeignState), "{query}");
        }
        assert_eq!(read("state=s1", None, false), Err(RedirectError::NoCode));
        assert_eq!(read("state=s1&code=", None, false), Err(RedirectError::NoCode));
    }

    #[test]
    fn a_repeated_parameter_makes_the_redirect_ambiguous() {
        for (query, parameter) in [
            ("state=s1&state=s1&code=a", "state"),
            ("state=s1&code=a&code=b", "code"),
            ("state=s1&code=a&state=s2", "state"),
            ("state=s1&code=a&iss=a&iss=a", "iss"),
            ("state=s1&error=a&error=b", "error"),
        ] {
            assert_eq!(
                read(query, None, false),
                Err(RedirectError::Repeated { parameter }),
                "{query}"
            );
        }
    }

    #[test]
    fn the_issuer_of_the_redirect_is_compared_byte_for_byte() {
        let as_it_is = Some("https://as.example.com");
        let ours = "state=s1&code=c1&iss=https%3A%2F%2Fas.example.com";
        assert!(read(ours, as_it_is, true).is_ok());
        assert!(read(ours, as_it_is, false).is_ok());
        assert!(read("state=s1&code=c1", as_it_is, false).is_ok());
        assert!(read(ours, None, false).is_ok());
        for query in [
            "state=s1&code=c1&iss=https%3A%2F%2Fas.example.com%2F",
            "state=s1&code=c1&iss=https%3A%2F%2Fevil.example",
            "state=s1&code=c1&iss=",
            "state=s1&error=access_denied&error_description=pay+here&iss=https%3A%2F%2Fevil.example",
        ] {
            for required in [true, false] {
                let refusal = read(query, as_it_is, required).unwrap_err();
                assert!(matches!(refusal, RedirectError::IssuerMismatch { .. }), "{query}");
                assert!(!refusal.to_string().contains("pay"), "{refusal}");
            }
        }
        let missing = read("state=s1&code=c1", as_it_is, true);
        assert!(matches!(missing, Err(RedirectError::IssuerMismatch { found: None, .. })));
        let missing = read("state=s1&error=x", as_it_is, true);
        assert!(matches!(missing, Err(RedirectError::IssuerMismatch { found: None, .. })));
    }

    #[test]
    fn a_refusal_is_shown_clean() {
        let query = "state=s1&error=access_denied&error_description=no%1b%5B31m&code=c1";
        let refused = RedirectError::Refused {
            code: "access_denied".into(),
            description: Some("no\u{fffd}[31m".into()),
        };
        assert_eq!(read(query, None, false), Err(refused));
    }
}
