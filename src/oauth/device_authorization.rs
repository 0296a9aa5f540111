//! The device authorization request and its answer (RFC 8628 §3.1, §3.2).

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::Document;
use super::form::{Form, check_parameters};
use super::{Client, Error};
use crate::http::{Http, Reach};
use crate::secret::Secret;
use crate::text::clean;

/// Interval when the server gives none (RFC 8628 §3.2).
const INTERVAL: Duration = Duration::from_secs(5);

/// Longest time that we wait for a person, whatever the server allows.
const LONGEST: Duration = Duration::from_hours(1);

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
    let answer = form.post(http, endpoint, client, None).await?;
    let reach = if answer.is_from_public() { Reach::Public } else { Reach::Named };
    read(&Document::of_success(&answer)?, reach)
}

fn read(document: &Document, reach: Reach) -> Result<DeviceAuthorization, Error> {
    let device_code = Secret::parse_token(document.required_text("device_code")?)
        .map_err(|unfit| document.malformed(&format!("device_code: {unfit}")))?;
    let user_code = document.required_text("user_code")?;
    if user_code.len() > 64 || clean(user_code) != user_code {
        return Err(document.malformed("its user_code cannot be shown"));
    }
    // Servers older than the RFC say `verification_url`.
    let verification_uri = match web_address(document, "verification_uri", reach)? {
        Some(uri) => Some(uri),
        None => web_address(document, "verification_url", reach)?,
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
        verification_uri_complete: web_address(document, "verification_uri_complete", reach)?,
        expires_in: expires_in
            .ok_or_else(|| document.malformed("its expires_in is no time"))?
            .min(LONGEST),
        interval: positive("interval")?.unwrap_or(INTERVAL).max(Duration::from_secs(1)),
    })
}

/// An address that the person's browser may open: one of a public server is not on this machine or
/// in a private network.
fn web_address(document: &Document, key: &str, reach: Reach) -> Result<Option<String>, Error> {
    let Some(text) = document.text(key)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    document.web_address(key, text, reach)?;
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::{Received, Server, public_answer, response};
    use crate::oauth::ClientAuthentication;

    fn answered(server: &Server) -> Result<DeviceAuthorization, Error> {
        let client = Client {
            client_id: "me".into(),
            client_secret: None,
            key: None,
            authentication: ClientAuthentication::None,
        };
        let http = Http::new();
        http.block_on(device_authorization(
            &http,
            &server.url("/device"),
            &client,
            &["repo".into()],
            Some("https://api.example.com/"),
            &BTreeMap::from([("audience".into(), "x".into())]),
        ))
    }

    fn of(body: &str) -> (Result<DeviceAuthorization, Error>, Vec<Received>) {
        let server = Server::json(200, body);
        (answered(&server), server.received())
    }

    #[test]
    fn the_request_and_the_answer_are_those_of_the_rfc() {
        let (answer, received) = of(
            r#"{"device_code":"d1","user_code":"WDJB-MJHT","verification_uri":"https://e.com/d",
                "verification_uri_complete":"https://e.com/d?c=WDJB","expires_in":1800,"interval":7}"#,
        );
        let answer = answer.unwrap();
        assert_eq!(answer.device_code.expose(), "d1");
        assert_eq!(answer.user_code, "WDJB-MJHT");
        assert_eq!(answer.verification_uri, "https://e.com/d");
        assert_eq!(answer.verification_uri_complete.as_deref(), Some("https://e.com/d?c=WDJB"));
        assert_eq!(answer.expires_in, Duration::from_mins(30));
        assert_eq!(answer.interval, Duration::from_secs(7));
        let sent: Vec<_> = received[0].form();
        let expected = [
            ("scope", "repo"),
            ("resource", "https://api.example.com/"),
            ("audience", "x"),
            ("client_id", "me"),
        ];
        assert_eq!(sent, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_real_servers_do_otherwise_is_mended() {
        let (answer, _) =
            of(r#"{"device_code":"d","user_code":"U","verification_url":"https://e.com/d",
                "expires_in":"900"}"#);
        let answer = answer.unwrap();
        assert_eq!(answer.verification_uri, "https://e.com/d");
        assert_eq!(answer.expires_in, Duration::from_mins(15));
        assert_eq!(answer.interval, INTERVAL);

        let form = "content-type: application/x-www-form-urlencoded\r\n";
        let body = "device_code=d&user_code=U&verification_uri=https%3A%2F%2Fe.com&expires_in=9&interval=0";
        let server = Server::new(move |_| response(200, form, body));
        let answer = answered(&server).unwrap();
        assert_eq!(answer.verification_uri, "https://e.com");
        assert_eq!(answer.interval, Duration::from_secs(1));

        let (answer, _) = of(
            r#"{"device_code":"d","user_code":"U","verification_uri":"https://e.com","expires_in":1e9}"#,
        );
        assert_eq!(answer.unwrap().expires_in, LONGEST);
    }

    #[test]
    fn nothing_unsafe_reaches_the_person() {
        let base = [
            ("device_code", r#""d""#),
            ("user_code", r#""U""#),
            ("verification_uri", r#""https://e.com""#),
            ("expires_in", "900"),
        ];
        for (key, value) in [
            ("verification_uri", r#""http://e.com""#),
            ("verification_uri", r#""javascript:alert(1)""#),
            ("verification_uri", r#""https://u:p@e.com""#),
            ("verification_uri", r#""""#),
            ("verification_uri", "7"),
            ("verification_uri_complete", r#""file:///etc/passwd""#),
            ("user_code", r#""A\u001b[31m""#),
            ("user_code", r#""A\nB""#),
            ("user_code", r#""""#),
            ("device_code", r#""a b""#),
            ("expires_in", "0"),
            ("expires_in", "-1"),
            ("expires_in", "null"),
        ] {
            let mut fields: BTreeMap<&str, &str> = base.into_iter().collect();
            fields.insert(key, value);
            let fields: Vec<_> = fields.iter().map(|(k, v)| format!(r#""{k}":{v}"#)).collect();
            let (answer, _) = of(&format!("{{{}}}", fields.join(",")));
            let refusal = answer.err().unwrap_or_else(|| panic!("{key}: {value}"));
            let expected = matches!(refusal, Error::Malformed { .. } | Error::Http(_));
            assert!(expected, "{key}: {value}: {refusal:?}");
        }
    }

    #[test]
    fn a_public_server_sends_nobody_into_a_private_network() {
        for (uri, allowed) in [
            ("https://e.com/d", true),
            ("http://127.0.0.1/d", false),
            ("https://192.168.1.1/d", false),
            ("http://localhost/d", false),
        ] {
            let body = format!(
                r#"{{"device_code":"d","user_code":"U","verification_uri":"{uri}","expires_in":9}}"#
            );
            let document = Document::of_success(&public_answer(&body)).unwrap();
            assert_eq!(read(&document, Reach::Public).is_ok(), allowed, "{uri}");
            assert!(read(&document, Reach::Named).is_ok(), "{uri}");
        }
    }

    #[test]
    fn a_refusal_is_one() {
        let (answer, _) = of(r#"{"error":"device_flow_disabled"}"#);
        assert!(matches!(answer, Err(Error::Refused { .. })), "{answer:?}");
    }
}
