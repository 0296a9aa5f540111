//! RFC 6749 §4.4: the client signs in as itself; nobody is asked.

use super::{Error, Request};
use crate::http::Http;
use crate::oauth::{self, TokenAnswer, TokenGrant, TokenRequest};

/// One token request.
pub async fn client_credentials(http: &Http, request: &Request<'_>) -> Result<TokenAnswer, Error> {
    let asked = TokenRequest {
        endpoint: &request.server.token_endpoint,
        client: request.client,
        grant: TokenGrant::ClientCredentials,
        scopes: request.scopes,
        resource: request.resource,
        parameters: request.parameters,
        dpop: request.dpop,
    };
    Ok(oauth::request_tokens(http, &asked).await?)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Scripted, asking};
    use super::*;

    #[test]
    fn one_request_names_scopes_resource_and_parameters() {
        let tokens = r#"{"access_token":"at-1","token_type":"Bearer","expires_in":60}"#;
        let scripted = Scripted::answering([(200, tokens)]);
        let http = Http::new();
        let outcome = asking(&scripted.described(), |request| {
            http.block_on(client_credentials(&http, request))
        });
        assert_eq!(outcome.unwrap().access_token.expose(), "at-1");
        let requests = scripted.requests();
        let [(path, form)] = &requests[..] else { panic!("{} requests", requests.len()) };
        assert_eq!((path.as_str(), form["grant_type"].as_str()), ("/token", "client_credentials"));
        assert_eq!((form["scope"].as_str(), form["prompt"].as_str()), ("read write", "consent"));
        assert_eq!(form["resource"], "https://api.example/v1");
    }
}
