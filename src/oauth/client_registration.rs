//! Dynamic client registration (RFC 7591): asks for a client and checks what was made of the wish.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::document::Document;
use super::{Client, ClientAuthentication, Error};
use crate::http::{Http, Request, host_of, parse_url};
use crate::secret::Secret;
use crate::text::clean;

/// What the client is to be able to do.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationRequest<'a> {
    pub redirect_uris: &'a [String],
    /// Grant types by their RFC names, `refresh_token` among them where it is wanted.
    pub grant_types: &'a [&'a str],
    pub scopes: &'a [String],
    /// `token_endpoint_auth_methods_supported` of the metadata.
    pub auth_methods_supported: Option<&'a [String]>,
}

/// A client as registered.
#[derive(Debug, Clone)]
pub struct Registration {
    pub client: Client,
    /// All that the server allows; those asked for are among them.
    pub redirect_uris: Vec<String>,
    pub secret_expires_at: Option<Timestamp>,
}

/// Registers a native client (RFC 7591 §3.1). The server may replace what was asked for (§3.2.1): a
/// client that cannot do its work is refused here rather than at the person's browser.
pub async fn register(
    http: &Http,
    endpoint: &str,
    request: &RegistrationRequest<'_>,
) -> Result<Registration, Error> {
    let method = authentication(endpoint, request.auth_methods_supported)?;
    let answer = http.send(Request::post_json(endpoint, &wish(request, method))?).await?;
    let document = Document::of_success(&answer)?;
    let client = read_client(&document, method)?;
    let redirect_uris = document.texts("redirect_uris")?;
    let redirect_uris = redirect_uris.unwrap_or_else(|| request.redirect_uris.to_vec());
    if !request.redirect_uris.iter().all(|uri| redirect_uris.contains(uri)) {
        return Err(document.malformed("it registered other redirect URIs than asked for"));
    }
    let granted = document.texts("grant_types")?;
    let missing = |wanted: &&&str| {
        **wanted != "refresh_token"
            && granted.as_ref().is_some_and(|g| !g.iter().any(|grant| grant == *wanted))
    };
    if let Some(grant) = request.grant_types.iter().find(missing) {
        return Err(
            document.malformed(&format!("it registered a client without the grant {grant}"))
        );
    }
    let secret_expires_at = secret_end(&document)?.filter(|_| client.client_secret.is_some());
    Ok(Registration { client, redirect_uris, secret_expires_at })
}

/// The authentication to ask for: none where that is offered or nothing is said, for a native client
/// keeps no secret that is one; else a secret.
fn authentication(
    endpoint: &str,
    supported: Option<&[String]>,
) -> Result<ClientAuthentication, Error> {
    use ClientAuthentication::{ClientSecretBasic, ClientSecretPost, None as Public};
    let Some(supported) = supported else { return Ok(Public) };
    let offered = |method: &ClientAuthentication| supported.iter().any(|s| s == method.as_str());
    [Public, ClientSecretBasic, ClientSecretPost].into_iter().find(offered).ok_or(
        Error::Unsupported {
            host: host_of(&parse_url(endpoint)?),
            what: format!(
                "clients must prove themselves by one of: {}",
                clean(&supported.join(", "))
            ),
        },
    )
}

fn wish(request: &RegistrationRequest<'_>, method: ClientAuthentication) -> Value {
    let mut wish = json!({
        "client_name": "authctl",
        "application_type": "native",
        "redirect_uris": request.redirect_uris,
        "grant_types": request.grant_types,
        "token_endpoint_auth_method": method.as_str(),
    });
    let with_code = request.grant_types.contains(&"authorization_code");
    wish["response_types"] = if with_code { json!(["code"]) } else { json!([]) };
    if !request.scopes.is_empty() {
        wish["scope"] = request.scopes.join(" ").into();
    }
    wish
}

fn read_client(document: &Document, asked: ClientAuthentication) -> Result<Client, Error> {
    let client_id = visible(document, "client_id")?;
    let client_id = client_id.ok_or_else(|| document.malformed("it has no client_id"))?.to_owned();
    let client_secret = visible(document, "client_secret")?.map(Secret::new);
    let authentication = match document.text("token_endpoint_auth_method")? {
        Some(method) => ClientAuthentication::parse(method).ok_or_else(|| {
            document.malformed(&format!("it asks for the client authentication {}", clean(method)))
        })?,
        None if client_secret.is_none() => ClientAuthentication::None,
        None if asked == ClientAuthentication::None => ClientAuthentication::ClientSecretBasic,
        None => asked,
    };
    match (authentication, client_secret) {
        (ClientAuthentication::None, _) => {
            Ok(Client { client_id, client_secret: None, authentication })
        }
        (_, None) => Err(document.malformed("it has no client_secret")),
        (_, secret) => Ok(Client { client_id, client_secret: secret, authentication }),
    }
}

/// A text of printable ASCII (RFC 6749 appendix A), or nothing when it is empty.
fn visible<'a>(document: &'a Document, key: &str) -> Result<Option<&'a str>, Error> {
    let text = document.text(key)?.filter(|text| !text.is_empty());
    let fits = |text: &str| text.len() <= 8192 && text.bytes().all(|c| (0x20..0x7f).contains(&c));
    match text {
        Some(text) if !fits(text) => Err(document.malformed(&format!("its {key} is unfit"))),
        text => Ok(text),
    }
}

/// `client_secret_expires_at`: Unix seconds, 0 for never.
fn secret_end(document: &Document) -> Result<Option<Timestamp>, Error> {
    let seconds = document.number("client_secret_expires_at")?.filter(|seconds| *seconds > 0.0);
    let end = seconds.and_then(|seconds| jiff::SignedDuration::try_from_secs_f64(seconds).ok());
    Ok(end.and_then(|end| Timestamp::from_duration(end).ok()))
}
