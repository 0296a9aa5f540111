//! Authorization server metadata (RFC 8414 §2; OpenID Connect Discovery's document has the same
//! fields): what a server says about itself, checked before anything uses it.

use url::Url;

use super::Error;
use super::document::Document;
use crate::http::{Answer, Http, Reach, host_of, parse_url};
use crate::text::{clean, shown_beside};

/// One authorization server as it describes itself. URLs are the strings received; they have been
/// found acceptable (https off this machine, no user name, not private when the server is public).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    pub issuer: String,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    /// RFC 8628 §4.
    pub device_authorization_endpoint: Option<String>,
    /// RFC 7009.
    pub revocation_endpoint: Option<String>,
    /// RFC 7591.
    pub registration_endpoint: Option<String>,
    /// RFC 9126 §5.
    pub pushed_authorization_request_endpoint: Option<String>,
    /// RFC 9126 §5: a plain authorization request is refused.
    pub require_pushed_authorization_requests: bool,
    /// RFC 8414: absent means that the server does not say whether it checks PKCE.
    pub code_challenge_methods_supported: Option<Vec<String>>,
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub scopes_supported: Option<Vec<String>>,
    /// draft-ietf-oauth-client-id-metadata-document: a URL that we name will do as `client_id`.
    pub client_id_metadata_document_supported: bool,
    /// The algorithms of `private_key_jwt`.
    pub token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// RFC 8414: absent means nothing, since many servers leave it out.
    pub grant_types_supported: Option<Vec<String>>,
    /// RFC 9449 §5.1: the algorithms of proofs of possession.
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// RFC 9207 §3: every redirect carries `iss`.
    pub authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Whether the server says that it checks PKCE with S256 (RFC 8414 §2). Where it does not, nothing
    /// shows that a stolen code is worthless.
    pub fn checks_pkce(&self) -> bool {
        let methods = self.code_challenge_methods_supported.iter().flatten();
        methods.into_iter().any(|method| method == "S256")
    }

    /// Reads the document that was found for `issuer`, which must be the very string that stands in it
    /// (RFC 8414 §3.3).
    pub(super) fn read(http: &Http, issuer: &str, answer: &Answer) -> Result<Self, Error> {
        let document = Document::json(answer)?;
        let found = document.required_text("issuer")?;
        if found != issuer {
            return Err(Error::IssuerMismatch {
                expected: clean(issuer),
                found: shown_beside(found, issuer),
            });
        }
        let endpoints = Endpoints { http, issuer: parse_url(issuer)?, answer, document: &document };
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: endpoints.read("authorization_endpoint")?,
            token_endpoint: endpoints.read("token_endpoint")?,
            device_authorization_endpoint: endpoints.read("device_authorization_endpoint")?,
            revocation_endpoint: endpoints.read("revocation_endpoint")?,
            registration_endpoint: endpoints.read("registration_endpoint")?,
            pushed_authorization_request_endpoint: endpoints
                .read("pushed_authorization_request_endpoint")?,
            require_pushed_authorization_requests: document
                .flag("require_pushed_authorization_requests")?,
            code_challenge_methods_supported: document.texts("code_challenge_methods_supported")?,
            token_endpoint_auth_methods_supported: document
                .texts("token_endpoint_auth_methods_supported")?,
            scopes_supported: document.texts("scopes_supported")?,
            client_id_metadata_document_supported: document
                .flag("client_id_metadata_document_supported")?,
            token_endpoint_auth_signing_alg_values_supported: document
                .texts("token_endpoint_auth_signing_alg_values_supported")?,
            grant_types_supported: document.texts("grant_types_supported")?,
            dpop_signing_alg_values_supported: document
                .texts("dpop_signing_alg_values_supported")?,
            authorization_response_iss_parameter_supported: document
                .flag("authorization_response_iss_parameter_supported")?,
        })
    }

    /// Whether another document of this issuer may know an endpoint more.
    pub(super) fn is_partial(&self) -> bool {
        self.registration_endpoint.is_none()
            || self.device_authorization_endpoint.is_none()
            || self.revocation_endpoint.is_none()
    }

    /// Takes what is missing here from another document of the same issuer: some servers list
    /// registration in one of the two only.
    pub(super) fn complete_from(&mut self, other: Self) {
        fn fill<T>(mine: &mut Option<T>, theirs: Option<T>) {
            if mine.is_none() {
                *mine = theirs;
            }
        }
        fill(&mut self.authorization_endpoint, other.authorization_endpoint);
        fill(&mut self.token_endpoint, other.token_endpoint);
        fill(&mut self.device_authorization_endpoint, other.device_authorization_endpoint);
        fill(&mut self.revocation_endpoint, other.revocation_endpoint);
        fill(&mut self.registration_endpoint, other.registration_endpoint);
        fill(
            &mut self.pushed_authorization_request_endpoint,
            other.pushed_authorization_request_endpoint,
        );
        fill(&mut self.dpop_signing_alg_values_supported, other.dpop_signing_alg_values_supported);
        fill(&mut self.scopes_supported, other.scopes_supported);
        self.client_id_metadata_document_supported |= other.client_id_metadata_document_supported;
        self.require_pushed_authorization_requests |= other.require_pushed_authorization_requests;
        fill(&mut self.code_challenge_methods_supported, other.code_challenge_methods_supported);
        fill(
            &mut self.token_endpoint_auth_methods_supported,
            other.token_endpoint_auth_methods_supported,
        );
        fill(
            &mut self.token_endpoint_auth_signing_alg_values_supported,
            other.token_endpoint_auth_signing_alg_values_supported,
        );
    }
}

/// Reads the endpoints of one document.
struct Endpoints<'a> {
    http: &'a Http,
    issuer: Url,
    answer: &'a Answer,
    document: &'a Document,
}

impl Endpoints<'_> {
    /// An endpoint as the string received, once it is acceptable. What a public server names on
    /// another host must be public, now and when it is connected to.
    fn read(&self, key: &str) -> Result<Option<String>, Error> {
        let Some(text) = self.document.text(key)? else { return Ok(None) };
        let public = self.answer.is_from_public();
        let reach = if public { Reach::Public } else { Reach::Named };
        // Also for what only the browser would open: there is no sign-in page at such an address.
        let url = self.document.web_address(key, text, reach)?;
        if url.fragment().is_some() {
            return Err(self.document.malformed(&format!("{key} has a fragment")));
        }
        if public && host_of(&url) != host_of(&self.issuer) {
            self.http.confine(&url);
        }
        Ok(Some(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::{Server, public_answer};
    use crate::http::{Error as Wire, Request};

    const ISSUER: &str = "https://as.example.com";

    fn read(http: &Http, endpoint: &str) -> Result<Metadata, Error> {
        let body = format!(r#"{{"issuer":"{ISSUER}","token_endpoint":"{endpoint}"}}"#);
        Metadata::read(http, ISSUER, &public_answer(&body))
    }

    #[test]
    fn a_public_server_cannot_name_private_places() {
        for endpoint in [
            "http://localhost:1/t",
            "http://127.0.0.1/t",
            "https://10.0.0.1/t",
            "https://[::1]/t",
            "https://2130706433/t",
            "https://169.254.169.254/t",
            "https://[::ffff:192.168.1.1]/t",
        ] {
            let refusal = read(&Http::new(), endpoint).unwrap_err();
            let said = refusal.to_string();
            let names_key = said.contains("as.example.com") && said.contains("token_endpoint: ");
            assert!(names_key && said.contains("no request may go to"), "{endpoint}: {said}");
        }
        assert!(read(&Http::new(), "https://login.example.com/t").is_ok());
    }

    #[test]
    fn another_host_that_it_names_is_asked_at_public_addresses_only() {
        let server = Server::json(200, "{}");
        let http = Http::new();
        read(&http, "https://as.example.com/t").unwrap();
        read(&http, "https://8.8.8.8/t").unwrap();
        // The same as for a name that is later found on this machine.
        http.confine(&Url::parse(&server.url("/")).unwrap());
        let refusal = http.block_on(http.send(Request::get(&server.url("/")).unwrap())).err();
        assert!(matches!(refusal, Some(Wire::ForbiddenAddress { .. })));
        assert!(server.received().is_empty());
    }
}
