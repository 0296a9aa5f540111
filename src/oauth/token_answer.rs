//! The token answer (RFC 6749 §5.1), and the adapter that makes what real servers send into what the
//! RFC describes: numbers as text, absolute times, scopes as a list, no token type, HTTP 201, forms.
//! What comes out is validated whole, or it is an error.

use std::time::Duration;

use jiff::Timestamp;
use oauth2::basic::BasicTokenType;
use oauth2::{ExtraTokenFields, StandardTokenResponse, TokenResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document::Document;
use super::{DPOP, Error, id_token};
use crate::http::Answer;
use crate::secret::Secret;

/// Tokens as a token endpoint gave them.
#[derive(Debug, Clone)]
pub struct TokenAnswer {
    pub access_token: Secret,
    /// `Bearer` or `DPoP`, in this spelling: some servers refuse any other.
    pub token_type: String,
    /// `None`: the server does not say. Zero: it says that they have ended already.
    pub expires_in: Option<Duration>,
    /// `None` also when the server sent an empty one.
    pub refresh_token: Option<Secret>,
    /// Lifetime of the refresh token, where the server says (not in the RFC).
    pub refresh_expires_in: Option<Duration>,
    /// `None`: those that were asked for.
    pub scopes: Option<Vec<String>>,
    /// Who signed in, for this client alone (OpenID Connect Core §3.1.3.3). Not looked at here.
    pub id_token: Option<Secret>,
    /// Whose login it is, where an ID token came along.
    pub subject: Option<String>,
}

/// What servers tell beyond the RFC.
#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    refresh_expires_in: Option<u64>,
}

impl ExtraTokenFields for Extra {}

type Response = StandardTokenResponse<Extra, BasicTokenType>;

impl TokenAnswer {
    /// Whether the access token works only with a proof of possession (RFC 9449 §5).
    pub fn is_bound(&self) -> bool {
        self.token_type == DPOP
    }

    /// Reads an answer of a token endpoint, good or bad. Bound tokens are of use only to whoever sent a
    /// proof: `proven`.
    pub(super) fn read(answer: &Answer, proven: bool) -> Result<Self, Error> {
        let document = Document::of_success(answer)?;
        let now = answer.date().unwrap_or_else(Timestamp::now);
        let normal = normalise(&document, now)?;
        // The parser's own message would quote the value.
        let response: Response = serde_json::from_value(normal)
            .map_err(|_| document.malformed("it is not a token answer"))?;
        let token_type = match response.token_type() {
            BasicTokenType::Bearer => "Bearer",
            other if proven && other.as_ref().eq_ignore_ascii_case(DPOP) => DPOP,
            other => {
                let kind = document.quote(other.as_ref());
                return Err(
                    document.malformed(&format!("its tokens are of the type {kind}, not Bearer"))
                );
            }
        };
        let fit = |name: &str, token: &str| {
            let unfit = |unfit| document.malformed(&format!("{name}: {unfit}"));
            Secret::parse_token(token).map_err(unfit)
        };
        Ok(Self {
            access_token: fit("access_token", response.access_token().secret())?,
            token_type: token_type.to_owned(),
            expires_in: response.expires_in(),
            refresh_token: response
                .refresh_token()
                .map(|token| fit("refresh_token", token.secret()))
                .transpose()?,
            refresh_expires_in: response.extra_fields().refresh_expires_in.map(Duration::from_secs),
            scopes: response
                .scopes()
                .map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
            id_token: id_token(&document),
            subject: document.text("id_token")?.and_then(id_token::subject),
        })
    }
}

/// An ID token that cannot be one is none: no API is shown it.
fn id_token(document: &Document) -> Option<Secret> {
    let Some(Value::String(token)) = document.value("id_token") else { return None };
    Secret::parse_token(token).ok()
}

/// The answer in the RFC's own form. `now` is the server's clock, by which its absolute times count.
fn normalise(document: &Document, now: Timestamp) -> Result<Value, Error> {
    // RFC 6749 §5.1 requires it. Some servers leave it out or say null, and mean Bearer; a token of any other
    // type is of no use to a client that was not told so.
    let token_type = document.text("token_type")?.filter(|kind| !kind.is_empty());
    let refresh_token = document.text("refresh_token")?.filter(|token| !token.is_empty());
    let expires_in = match lifetime(document, &["expires_in"])? {
        Some(lifetime) => Some(lifetime),
        None => remaining(document, &["expires_at", "expiry"], now)?,
    };
    // Keycloak; GitHub and Microsoft; Intuit. Zero is Keycloak's way to say «no end».
    let refresh_expires_in = lifetime(
        document,
        &["refresh_expires_in", "refresh_token_expires_in", "x_refresh_token_expires_in"],
    )?
    .filter(|lifetime| !lifetime.is_zero());
    Ok(json!({
        "access_token": document.required_text("access_token")?,
        "token_type": token_type.unwrap_or("Bearer"),
        "expires_in": expires_in.map(|lifetime| lifetime.as_secs()),
        "refresh_token": refresh_token,
        "refresh_expires_in": refresh_expires_in.map(|lifetime| lifetime.as_secs()),
        "scope": scope(document)?,
    }))
}

/// The first of `keys` that is there, in seconds.
fn lifetime(document: &Document, keys: &[&str]) -> Result<Option<Duration>, Error> {
    for key in keys {
        if let Some(seconds) = document.number(key)? {
            return Ok(whole_seconds(seconds));
        }
    }
    Ok(None)
}

/// Less than a second is none; times too long to count have no end.
fn whole_seconds(seconds: f64) -> Option<Duration> {
    let whole = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
    Some(Duration::from_secs(whole.as_secs()))
}

/// The time left until the first of `keys` that is there: RFC 3339, or Unix time in seconds or
/// milliseconds. A time before all computers is a zero value: the server does not say.
fn remaining(
    document: &Document,
    keys: &[&str],
    now: Timestamp,
) -> Result<Option<Duration>, Error> {
    for key in keys {
        let end = match document.value(key) {
            None => continue,
            Some(Value::String(text)) if text.is_empty() => continue,
            Some(Value::String(text)) => text.parse::<Timestamp>().ok(),
            Some(_) => None,
        };
        let end = match end {
            Some(end) => end.as_duration().as_secs_f64(),
            None => unix_seconds(document, key)?,
        };
        let left = end - now.as_duration().as_secs_f64();
        return Ok(if end <= 0.0 { None } else { whole_seconds(left) });
    }
    Ok(None)
}

fn unix_seconds(document: &Document, key: &str) -> Result<f64, Error> {
    let time = document.number(key)?.unwrap_or_default();
    // No seconds have twelve digits before the year 5138.
    Ok(if time > 1e11 { time / 1000.0 } else { time })
}

/// Scopes as one text: a list is joined; commas separate where there is no blank (GitHub).
fn scope(document: &Document) -> Result<Option<String>, Error> {
    let scopes = if let Some(Value::Array(_)) = document.value("scope") {
        document.texts("scope")?.unwrap_or_default()
    } else {
        let text = document.text("scope")?.unwrap_or_default().trim();
        let separator = if text.contains(' ') { ' ' } else { ',' };
        text.split(separator).map(str::to_owned).collect()
    };
    let scopes: Vec<String> = scopes.into_iter().filter(|scope| !scope.is_empty()).collect();
    if scopes.iter().any(|scope| !scope.bytes().all(|c| c.is_ascii_graphic())) {
        return Err(document.malformed("its scope has characters that no scope has"));
    }
    Ok(if scopes.is_empty() { None } else { Some(scopes.join(" ")) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::http::Http;
    use crate::http::fake::{Server, response};
    use crate::oauth::{Client, ClientAuthentication, TokenGrant, TokenRequest, request_tokens};

    const JSON: &str = "content-type: application/json\r\n";

    /// What the client makes of an answer of a real server.
    fn answered(
        http: &Http,
        status: u16,
        headers: &str,
        body: &[u8],
    ) -> Result<TokenAnswer, Error> {
        let mut bytes = response(status, headers, &"x".repeat(body.len()));
        bytes.truncate(bytes.len() - body.len());
        bytes.extend_from_slice(body);
        let server = Server::new(move |_| bytes.clone());
        let client = Client {
            client_id: "me".into(),
            client_secret: None,
            key: None,
            authentication: ClientAuthentication::None,
        };
        let request = TokenRequest {
            endpoint: &server.url("/token"),
            client: &client,
            grant: TokenGrant::RefreshToken { refresh_token: &Secret::new("r0") },
            scopes: &[],
            resource: None,
            parameters: &BTreeMap::new(),
            dpop: None,
        };
        http.block_on(request_tokens(http, &request))
    }

    fn good(body: &str) -> TokenAnswer {
        answered(&Http::new(), 200, JSON, body.as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_as_in_the_rfc_is_taken_as_it_is() {
        let answer = good(
            r#"{"access_token":"a1","token_type":"bearer","expires_in":3600,
                "refresh_token":"r1","scope":"read write","id_token":"x.y.z","other":{"a":[1]}}"#,
        );
        assert_eq!(answer.access_token.expose(), "a1");
        assert_eq!(answer.token_type, "Bearer");
        assert_eq!(answer.expires_in, Some(Duration::from_hours(1)));
        assert_eq!(answer.refresh_token.unwrap().expose(), "r1");
        assert_eq!(answer.refresh_expires_in, None);
        assert_eq!(answer.id_token.unwrap().expose(), "x.y.z");
        assert_eq!(answer.scopes, Some(vec!["read".into(), "write".into()]));
    }

    #[test]
    fn what_real_servers_do_otherwise_is_mended() {
        let http = Http::new();
        let form = "content-type: application/x-www-form-urlencoded; charset=utf-8\r\n";
        let form_body = "access_token=a1&expires_in=3600&scope=repo%2Cgist&token_type=bearer";
        for (status, headers, body) in [
            (201, JSON, r#"{"access_token":"a1","token_type":"Bearer","expires_in":3600}"#),
            (200, JSON, r#"{"access_token":"a1","expires_in":3600}"#),
            (200, JSON, r#"{"access_token":"a1","token_type":null,"expires_in":3600.0}"#),
            (200, JSON, r#"{"access_token":"a1","token_type":"BEARER","expires_in":"3600"}"#),
            (200, "", r#"{"access_token":"a1","expires_in":3600}"#),
            (200, "content-type: text/html\r\n", r#"{"access_token":"a1","expires_in":3600}"#),
            (200, JSON, r#"{"access_token":"a1","expires_in":3600,"error":null}"#),
            (200, JSON, r#"{"access_token":"a1","expires_in":3600,"error":""}"#),
            (200, JSON, "\r\n {\"access_token\":\"a1\",\"expires_in\":3600}\n"),
            (200, form, form_body),
            (200, "content-type: text/plain\r\n", form_body),
        ] {
            let answer = answered(&http, status, headers, body.as_bytes());
            let answer = answer.unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!(answer.access_token.expose(), "a1", "{body}");
            assert_eq!(answer.token_type, "Bearer", "{body}");
            assert_eq!(answer.expires_in, Some(Duration::from_hours(1)), "{body}");
            assert!(answer.refresh_token.is_none(), "{body}");
        }
    }

    #[test]
    fn an_odd_lifetime_is_none_or_has_ended() {
        for (lifetime, ends) in [
            ("null", false),
            ("\"\"", false),
            ("1e300", false),
            ("0", true),
            ("-1", true),
            ("-1e300", true),
            ("\"0\"", true),
            ("0.4", true),
            ("\"-5\"", true),
        ] {
            let answer = good(&format!(r#"{{"access_token":"a","expires_in":{lifetime}}}"#));
            assert_eq!(answer.expires_in, ends.then_some(Duration::ZERO), "{lifetime}");
        }
        assert_eq!(good(r#"{"access_token":"a"}"#).expires_in, None);
        assert_eq!(good(r#"{"access_token":"a","refresh_expires_in":0}"#).refresh_expires_in, None);
    }

    #[test]
    fn an_absolute_end_counts_by_the_servers_clock() {
        let http = Http::new();
        let headers = format!("{JSON}date: Sat, 21 Nov 2026 09:12:39 GMT\r\n");
        for (end, seconds) in [
            (r#""expiry":"2026-11-21T10:12:39Z""#, Some(3600)),
            (r#""expiry":"2026-11-21T11:12:39+01:00""#, Some(3600)),
            (r#""expires_at":"2026-11-21T10:12:39.5Z""#, Some(3600)),
            (r#""expires_at":1795255959"#, Some(3600)),
            (r#""expires_at":"1795255959""#, Some(3600)),
            (r#""expires_at":1795255959000"#, Some(3600)),
            (r#""expires_in":60,"expires_at":1795255959"#, Some(60)),
            (r#""expiry":"0001-01-01T00:00:00Z""#, None), // Go's zero time
            (r#""expires_at":0"#, None),
            (r#""expiry":"2026-11-21T09:00:00Z""#, Some(0)),
            (r#""expires_at":1795248000"#, Some(0)),
            (r#""expiry":"""#, None),
        ] {
            let body = format!(r#"{{"access_token":"a",{end}}}"#);
            let answer = answered(&http, 200, &headers, body.as_bytes()).unwrap();
            assert_eq!(answer.expires_in, seconds.map(Duration::from_secs), "{end}");
        }
    }

    #[test]
    fn the_refresh_token_and_its_lifetime_are_found_under_every_name() {
        for name in ["refresh_expires_in", "refresh_token_expires_in", "x_refresh_token_expires_in"]
        {
            let body = format!(r#"{{"access_token":"a","refresh_token":"r","{name}":"86400"}}"#);
            assert_eq!(good(&body).refresh_expires_in, Some(Duration::from_hours(24)), "{name}");
        }
        for absent in ["null", "\"\""] {
            let answer = good(&format!(r#"{{"access_token":"a","refresh_token":{absent}}}"#));
            assert!(answer.refresh_token.is_none(), "{absent}");
        }
    }

    #[test]
    fn scopes_are_read_in_every_spelling() {
        for scope in [r#""a b""#, r#""a,b""#, r#"["a","b"]"#, r#"" a  b ""#] {
            let answer = good(&format!(r#"{{"access_token":"t","scope":{scope}}}"#));
            assert_eq!(answer.scopes, Some(vec!["a".into(), "b".into()]), "{scope}");
        }
        for scope in ["null", r#""""#, "[]"] {
            let answer = good(&format!(r#"{{"access_token":"t","scope":{scope}}}"#));
            assert_eq!(answer.scopes, None, "{scope}");
        }
    }

    #[test]
    fn an_error_answer_is_one_whatever_its_status() {
        let http = Http::new();
        let form = "content-type: application/x-www-form-urlencoded\r\n";
        for (status, headers, body, expected, text) in [
            (400, JSON, r#"{"error":"invalid_grant"}"#, "invalid_grant", None),
            (
                401,
                JSON,
                r#"{"error":"invalid_client","error_description":"no\u001b[31m"}"#,
                "invalid_client",
                Some("no\u{fffd}[31m"),
            ),
            (200, JSON, r#"{"error":"authorization_pending"}"#, "authorization_pending", None),
            (403, JSON, r#"{"error":"authorization_pending"}"#, "authorization_pending", None),
            (429, JSON, r#"{"error":"slow_down"}"#, "slow_down", None),
            (
                200,
                JSON,
                r#"{"ok":false,"error":"invalid_refresh_token"}"#,
                "invalid_grant",
                Some("invalid_refresh_token"),
            ),
            (
                200,
                JSON,
                r#"{"error":"bad_refresh_token","error_description":"gone"}"#,
                "invalid_grant",
                Some("gone"),
            ),
            (
                200,
                form,
                "error=incorrect_client_credentials&error_uri=x",
                "invalid_client",
                Some("incorrect_client_credentials"),
            ),
            (
                400,
                JSON,
                r#"{"error":{"code":"expired","message":"too old"}}"#,
                "expired",
                Some("too old"),
            ),
            (
                401,
                JSON,
                r#"{"error":"invalid_token","message":"Invalid or expired"}"#,
                "invalid_token",
                Some("Invalid or expired"),
            ),
            (400, JSON, r#"{"error":7}"#, "unknown_error", None),
            // An error beside a token is an error.
            (
                200,
                JSON,
                r#"{"access_token":"hunter2","error":"invalid_grant"}"#,
                "invalid_grant",
                None,
            ),
        ] {
            let refusal = answered(&http, status, headers, body.as_bytes()).unwrap_err();
            let Error::Refused { code, description, .. } = refusal else {
                panic!("{status} {body}: {refusal:?}")
            };
            assert_eq!((code.as_str(), description.as_deref()), (expected, text), "{body}");
        }
    }

    #[test]
    fn not_now_is_no_refusal_and_keeps_the_wait() {
        let http = Http::new();
        let html = "content-type: text/html\r\nretry-after: 7\r\n";
        for (status, headers, body, wait) in [
            (502, html, "<html>Bad Gateway</html>", Some(7)),
            (503, JSON, "", None),
            (500, JSON, r#"{"error":"invalid_grant"}"#, None),
            (502, JSON, r#"{"error":"upstream_unreachable"}"#, None),
            (429, JSON, r#"{"error":"too_many_requests"}"#, None),
            (400, JSON, r#"{"error":"temporarily_unavailable"}"#, None),
            (400, JSON, r#"{"error":"server_error"}"#, None),
        ] {
            let refusal = answered(&http, status, headers, body.as_bytes()).unwrap_err();
            let Error::Unavailable { status: told, retry_after, .. } = refusal else {
                panic!("{status} {body}: {refusal:?}")
            };
            assert_eq!((told, retry_after), (status, wait.map(Duration::from_secs)), "{body}");
        }
    }

    #[test]
    fn an_unusable_answer_gives_no_token_and_no_secret_in_the_error() {
        let http = Http::new();
        let html = "content-type: text/html\r\n";
        for (status, headers, body) in [
            (200, html, "<html>hunter2</html>"),
            (200, html, "access_token=hunter2"),
            (200, JSON, ""),
            (200, JSON, "hunter2"),
            (200, JSON, r#""hunter2""#),
            (200, JSON, r#"["hunter2"]"#),
            (200, JSON, "{}"),
            (404, JSON, r#"{"message":"hunter2"}"#),
            (302, JSON, r#"{"access_token":"hunter2"}"#),
            (304, "", ""),
            (401, JSON, r#"{"access_token":"hunter2"}"#),
            (200, JSON, r#"{"access_token":"hunter2""#),
            (200, JSON, r#"{"access_token":"hunter2"}{}"#),
            (200, JSON, r#"{"access_token":"hunter2"} trailing"#),
            (200, JSON, r#"{"access_token":"hunter2","access_token":"b"}"#),
            (200, JSON, r#"{"access_token":"hunter2","\u0061ccess_token":"b"}"#),
            (200, JSON, r#"{"access_token":"hunter2","unknown":1,"unknown":2}"#),
            (200, "", "access_token=hunter2&access_token=b"),
            (200, JSON, r#"{"access_token":""}"#),
            (200, JSON, r#"{"access_token":null}"#),
            (200, JSON, r#"{"access_token":["hunter2"]}"#),
            (200, JSON, r#"{"access_token":"hunter2\r\nx: y"}"#),
            (200, JSON, r#"{"access_token":"hunter2 b"}"#),
            (200, JSON, r#"{"access_token":"hunter2ä"}"#),
            (200, JSON, r#"{"access_token":"hunter2","refresh_token":"a\nb"}"#),
            (200, JSON, r#"{"access_token":"hunter2","refresh_token":7}"#),
            (200, JSON, r#"{"access_token":"hunter2","token_type":"DPoP"}"#),
            (200, JSON, r#"{"access_token":"hunter2","token_type":"mac"}"#),
            (200, JSON, r#"{"access_token":"hunter2","token_type":7}"#),
            (200, JSON, r#"{"access_token":"hunter2","expires_in":"soon"}"#),
            (200, JSON, r#"{"access_token":"hunter2","expires_in":"NaN"}"#),
            (200, JSON, r#"{"access_token":"hunter2","expires_in":true}"#),
            (200, JSON, r#"{"access_token":"hunter2","expires_at":{}}"#),
            (200, JSON, r#"{"access_token":"hunter2","scope":{"a":1}}"#),
            (200, JSON, r#"{"access_token":"hunter2","scope":["a",1]}"#),
            (200, JSON, r#"{"access_token":"hunter2","scope":"a\u001b[31m"}"#),
        ] {
            let refusal = answered(&http, status, headers, body.as_bytes()).unwrap_err();
            assert!(matches!(refusal, Error::Malformed { .. }), "{body}: {refusal:?}");
            let shown = format!("{refusal} {refusal:?}");
            assert!(!shown.contains("hunter2") && !shown.contains('\u{1b}'), "{body}: {shown}");
        }
        let not_utf8 = b"{\"access_token\":\"a\",\"x\":\"\xff\"}";
        assert!(answered(&http, 200, JSON, not_utf8).is_err());
        let long = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(65 * 1024));
        assert!(answered(&http, 200, JSON, long.as_bytes()).is_err());
    }

    /// Bodies near the ones that servers send: objects of known keys with values of every kind, and
    /// now and then a byte that does not belong.
    fn bodies() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
        use proptest::prelude::*;
        let key = prop_oneof![
            Just("access_token".to_owned()),
            Just("token_type".into()),
            Just("expires_in".into()),
            Just("refresh_token".into()),
            Just("scope".into()),
            Just("expires_at".into()),
            Just("error".into()),
            Just("error_description".into()),
            "[a-z]{1,3}",
        ];
        let value = prop_oneof![
            Just("null".to_owned()),
            Just("true".into()),
            Just(r#""Bearer""#.into()),
            Just(r#""a\u0000b""#.into()),
            Just("[\"x\"]".into()),
            Just("{\"code\":1}".into()),
            any::<f64>().prop_map(|number| format!("{number}")),
            "\"[ -~]{0,9}\"",
            "\"\\PC{0,3}\"",
        ];
        let pair = (key, value).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        let object = proptest::collection::vec(pair, 0..6).prop_map(|pairs| {
            format!("{{\"access_token\":\"a\",{}}}", pairs.join(",")).into_bytes()
        });
        (object, proptest::option::of((any::<prop::sample::Index>(), any::<u8>()))).prop_map(
            |(mut body, stray)| {
                if let Some((index, byte)) = stray {
                    let index = index.index(body.len());
                    body[index] = byte;
                }
                body
            },
        )
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_server_sends_only_fit_tokens_come_out(body in bodies()) {
            match TokenAnswer::read(&crate::http::fake::public_answer(&body), false) {
                Ok(answer) => {
                    let tokens = std::iter::once(&answer.access_token).chain(&answer.refresh_token);
                    for token in tokens {
                        proptest::prop_assert!(Secret::parse_token(token.expose()).is_ok());
                    }
                    proptest::prop_assert!(answer.scopes.is_none_or(|scopes| !scopes.is_empty()));
                }
                Err(refusal) => {
                    let shown = refusal.to_string();
                    proptest::prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
                }
            }
        }
    }
}
