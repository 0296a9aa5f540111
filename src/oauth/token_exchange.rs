//! Token exchange (RFC 8693): what stands in such a request beside the grant, and the answer that brings
//! something else than an access token.

use super::document::Document;
use super::form::Form;
use super::{Client, Error};
use crate::http::Http;
use crate::secret::Secret;

/// The beginning of all token types of RFC 8693 §3.
const TYPE: &str = "urn:ietf:params:oauth:token-type:";
/// An identity assertion authorization grant (draft-ietf-oauth-identity-assertion-authz-grant §3).
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// A token and what sort it is of.
#[derive(Debug, Clone)]
pub struct TypedToken {
    pub token: Secret,
    /// A URI (RFC 8693 §3).
    pub kind: String,
}

/// The parameters of RFC 8693 §2.1 that only this grant has.
#[derive(Debug, Clone)]
pub struct TokenExchange<'a> {
    pub subject: &'a TypedToken,
    pub actor: Option<&'a TypedToken>,
    pub audience: &'a [String],
    pub requested_token_type: Option<&'a str>,
}

/// A token type by its URI: those of RFC 8693 §3 may be written by their last part alone.
pub fn token_type_uri(written: &str) -> String {
    if written.contains(':') { written.to_owned() } else { format!("{TYPE}{written}") }
}

impl<'a> TokenExchange<'a> {
    pub(super) fn add_to(&self, form: Form<'a>) -> Form<'a> {
        let mut form = form
            .add("subject_token", self.subject.token.expose())
            .add("subject_token_type", &self.subject.kind);
        if let Some(actor) = self.actor {
            form =
                form.add("actor_token", actor.token.expose()).add("actor_token_type", &actor.kind);
        }
        if let Some(kind) = self.requested_token_type {
            form = form.add("requested_token_type", kind);
        }
        self.audience.iter().fold(form, |form, audience| form.add("audience", audience))
    }
}

/// What an identity provider is asked for: an assertion for one authorization server.
#[derive(Debug, Clone, Copy)]
pub struct IdJagRequest<'a> {
    pub endpoint: &'a str,
    pub client: &'a Client,
    pub id_token: &'a Secret,
    /// The issuer of the authorization server that will take the assertion.
    pub audience: &'a str,
    pub resource: Option<&'a str>,
    pub scopes: &'a [String],
}

/// Exchanges an ID token for an ID-JAG. It is of no use to any API, so its answer has the token type
/// `N_A` (RFC 8693 §2.2.1).
pub async fn request_id_jag(http: &Http, request: &IdJagRequest<'_>) -> Result<Secret, Error> {
    let subject = TypedToken { token: request.id_token.clone(), kind: token_type_uri("id_token") };
    let audience = [request.audience.to_owned()];
    let exchange = TokenExchange {
        subject: &subject,
        actor: None,
        audience: &audience,
        requested_token_type: Some(ID_JAG),
    };
    let form = Form::new().add("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    let form = exchange.add_to(form).scopes(request.scopes).resource(request.resource);
    let answer = form.post(http, request.endpoint, request.client, None).await?;
    let document = Document::of_success(&answer)?;
    if document.text("issued_token_type")? != Some(ID_JAG) {
        return Err(document.malformed("it is no identity assertion (ID-JAG)"));
    }
    let token = document.required_text("access_token")?;
    Secret::parse_token(token)
        .map_err(|unfit| document.malformed(&format!("access_token: {unfit}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::Server;
    use crate::oauth::ClientAuthentication;

    fn asked(server: &Server) -> Result<Secret, Error> {
        let http = Http::new();
        let client = Client {
            client_id: "me".into(),
            client_secret: None,
            key: None,
            authentication: ClientAuthentication::None,
        };
        let request = IdJagRequest {
            endpoint: &server.url("/token"),
            client: &client,
            id_token: &Secret::new("id.to.ken"),
            audience: "https://mcp-as.example",
            resource: Some("https://mcp.example/mcp"),
            scopes: &["read".into()],
        };
        http.block_on(request_id_jag(&http, &request))
    }

    #[test]
    fn an_id_token_is_exchanged_for_an_assertion_to_one_server() {
        let body = format!(
            r#"{{"access_token":"ja.g.1","issued_token_type":"{ID_JAG}","token_type":"N_A"}}"#
        );
        let server = Server::json(200, &body);
        assert_eq!(asked(&server).unwrap().expose(), "ja.g.1");
        let expected = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", "id.to.ken"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ("requested_token_type", ID_JAG),
            ("audience", "https://mcp-as.example"),
            ("scope", "read"),
            ("resource", "https://mcp.example/mcp"),
            ("client_id", "me"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(server.received()[0].form(), expected);
    }

    #[test]
    fn any_other_token_is_no_assertion() {
        for body in [
            r#"{"access_token":"a","token_type":"N_A"}"#,
            r#"{"access_token":"a","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#,
            r#"{"issued_token_type":"urn:ietf:params:oauth:token-type:id-jag"}"#,
        ] {
            let refusal = asked(&Server::json(200, body)).unwrap_err();
            assert!(matches!(refusal, Error::Malformed { .. }), "{body}: {refusal:?}");
        }
    }

    #[test]
    fn types_have_a_short_name() {
        assert_eq!(token_type_uri("jwt"), "urn:ietf:params:oauth:token-type:jwt");
        assert_eq!(token_type_uri("urn:x:y"), "urn:x:y");
    }
}
