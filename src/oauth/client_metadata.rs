//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document; MCP, client registration): a
//! `client_id` that is the URL of a document about the client.

use serde_json::{Value, json};
use url::{Host, Url};

/// What is wrong with a URL that is to be a `client_id`, if something is: it is https, and has a path and
/// neither user nor fragment (draft §3).
pub fn check_metadata_url(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    let dots = |part: &str| matches!(part, "." | "..");
    if url.scheme() != "https" || !matches!(url.host(), Some(Host::Domain(_))) {
        Err("is not an https URL with the name of a host")
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err("has a blank or a control character")
    } else if !url.username().is_empty() || url.password().is_some() {
        Err("has a user name or password")
    } else if url.fragment().is_some() {
        Err("has a fragment")
    } else if url.path().len() < 2 || text.split(['/', '?']).any(dots) {
        Err("has no path to a document")
    } else {
        Ok(())
    }
}

/// The document that stands at `url`: a native client, whose port at the loopback address is any
/// (RFC 8252 §7.3).
pub fn client_metadata(url: &str, redirect_uris: &[String]) -> Value {
    json!({
        "client_id": url,
        "client_name": "authctl",
        "application_type": "native",
        "redirect_uris": redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_of_a_document_is_a_client_id() {
        assert!(check_metadata_url("https://example.com/authctl.json").is_ok());
        for url in [
            "example.com/x",
            "http://example.com/x",
            "http://localhost/x",
            "https://127.0.0.1/x",
            "https://example.com",
            "https://example.com/",
            "https://example.com/a/../b",
            "https://u@example.com/x",
            "https://example.com/x#y",
            "https://example.com/x y",
        ] {
            assert!(check_metadata_url(url).is_err(), "{url}");
        }
    }
}
