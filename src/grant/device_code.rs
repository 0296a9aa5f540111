//! RFC 8628: the person confirms a code in a browser on any device while we ask the token endpoint,
//! one request at a time, no faster than the server allows, until it says yes or no or the code ends.
//! `verification_uri_complete` is never opened by us (RFC 8628 §5.4).

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::{Error, Request, Waiting, host_of, qr};
use crate::http::{self, Http};
use crate::interact::Interact;
use crate::oauth::{self, DeviceAuthorization, TokenAnswer, TokenGrant, TokenRequest};

/// Shortest pause between two requests, whatever the server says.
const SHORTEST: Duration = Duration::from_secs(1);

/// What `slow_down` adds to the interval (RFC 8628 §3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// How long a code that was used is left to whoever may have used it.
const OTHERS: Duration = Duration::from_secs(10);

/// Longest pause that failures lead to.
const LONGEST_BACK_OFF: Duration = Duration::from_mins(1);

/// Asks for a code (RFC 8628 §3.1).
///
/// # Errors
/// `Unsupported` (no device authorization endpoint), `Oauth`.
pub async fn device_authorization(
    http: &Http,
    request: &Request<'_>,
) -> Result<DeviceAuthorization, Error> {
    let endpoint = request.server.device_authorization_endpoint.as_deref();
    let endpoint = request.needs(endpoint, "device authorization endpoint")?;
    Ok(oauth::device_authorization(
        http,
        endpoint,
        request.client,
        request.scopes,
        request.resource,
        request.parameters,
    )
    .await?)
}

/// Signs in with a code that has been shown.
///
/// # Errors
/// `Denied`, `Expired`, `CalledOff`, `Oauth`: of failures that may pass (no connection, 5xx, 429) only
/// the last, once the code has ended.
pub async fn device_code(
    http: &Http,
    interact: &dyn Interact,
    request: &Request<'_>,
    device: &DeviceAuthorization,
    waiting: &Waiting<'_>,
) -> Result<TokenAnswer, Error> {
    match poll(http, interact, request, device, waiting).await {
        // Granted once, and to this process: good, whoever else has taken the flow.
        Ok(answer) => {
            let _ = waiting.claim();
            Ok(answer)
        }
        Err(Error::CalledOff) => Err(Error::CalledOff),
        Err(error) => {
            // The tokens may just be on their way to another process.
            if waiting.is_shared && is_used(&error) {
                let _ = tokio::time::timeout(OTHERS, waiting.called_off()).await;
            }
            waiting.claim().and(Err(error))
        }
    }
}

/// RFC 6749 §5.2: the code has been used, or is not known.
fn is_used(error: &Error) -> bool {
    matches!(error, Error::Oauth(oauth::Error::Refused { code, .. }) if code == "invalid_grant")
}

/// Shows page, host and code, and the page as a QR code where there is room.
pub fn show_code(interact: &dyn Interact, device: &DeviceAuthorization) -> Result<(), Error> {
    let page = &http::parse_url(&device.verification_uri).map_err(oauth::Error::from)?;
    let host = http::host_of(page);
    interact.show(&format!("To sign in at {host}, open this page in a browser on any device:"));
    interact.show("");
    interact.show(&format!("    {page}"));
    interact.show("");
    interact.show(&format!("and enter this code:  {}", device.user_code));
    interact.show("");
    let address = phone_address(device, page);
    interact.bring_code(&address, &device.user_code);
    for line in qr::lines(address.as_str(), interact.columns()).unwrap_or_default() {
        interact.show(&line);
    }
    Ok(())
}

/// The address for the QR code: with the code in it, unless that leads to another origin.
fn phone_address(device: &DeviceAuthorization, page: &Url) -> Url {
    let complete = device.verification_uri_complete.as_deref();
    let complete = complete.and_then(|complete| http::parse_url(complete).ok());
    complete.filter(|complete| complete.origin() == page.origin()).unwrap_or_else(|| page.clone())
}

async fn poll(
    http: &Http,
    interact: &dyn Interact,
    request: &Request<'_>,
    device: &DeviceAuthorization,
    waiting: &Waiting<'_>,
) -> Result<TokenAnswer, Error> {
    let ends = Instant::now() + waiting.most;
    let host = host_of(&request.server.token_endpoint);
    let asked = TokenRequest {
        endpoint: &request.server.token_endpoint,
        client: request.client,
        grant: TokenGrant::DeviceCode { device_code: &device.device_code },
        scopes: &[],
        resource: request.resource,
        parameters: &std::collections::BTreeMap::new(),
        dpop: request.dpop,
    };
    let mut pace = Pace::new(device.interval);
    let mut outage = None;
    loop {
        if pace.pause() >= ends.saturating_duration_since(Instant::now()) {
            return Err(outage.map_or(Error::Expired { host }, Error::Oauth));
        }
        tokio::select! {
            () = tokio::time::sleep(pace.pause()) => {}
            () = waiting.called_off() => return Err(Error::CalledOff),
        }
        let error = match oauth::request_tokens(http, &asked).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match Verdict::of(&error) {
            Verdict::Pending => {
                pace.answered();
                outage = None;
            }
            Verdict::SlowDown => {
                pace.slow_down();
                outage = None;
            }
            Verdict::Outage(retry_after) => {
                if outage.is_none() {
                    interact.notice(&format!("{error}; trying again."));
                }
                pace.back_off(retry_after);
                outage = Some(error);
            }
            Verdict::Over => return Err(over(host, error)),
        }
    }
}

/// What an unsuccessful token request means for the next one.
pub(super) enum Verdict {
    Pending,
    SlowDown,
    /// It may pass: no connection, no answer, or a server that is busy or broken for now.
    Outage(Option<Duration>),
    Over,
}

impl Verdict {
    pub(super) fn of(error: &oauth::Error) -> Self {
        match error {
            oauth::Error::Refused { code, .. } if code == "authorization_pending" => Self::Pending,
            oauth::Error::Refused { code, .. } if code == "slow_down" => Self::SlowDown,
            oauth::Error::Unavailable { retry_after, .. } => Self::Outage(*retry_after),
            oauth::Error::Http(
                http::Error::Unreachable { .. }
                | http::Error::TimedOut { .. }
                | http::Error::Interrupted { .. },
            ) => Self::Outage(None),
            _ => Self::Over,
        }
    }
}

fn over(host: String, error: oauth::Error) -> Error {
    match error {
        oauth::Error::Refused { code, .. } if code == "expired_token" => Error::Expired { host },
        oauth::Error::Refused { code, description, .. } if code == "access_denied" => {
            Error::Denied { host, description }
        }
        error => Error::Oauth(error),
    }
}

/// How long to wait before the next request.
pub(super) struct Pace {
    interval: Duration,
    /// Outages in a row; each doubles the pause (RFC 8628 §3.5).
    failures: u32,
    /// What the last outage asked for, at least, within the longest pause.
    retry_after: Duration,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval: interval.max(SHORTEST), failures: 0, retry_after: Duration::ZERO }
    }

    pub(super) fn pause(&self) -> Duration {
        let doubled = self.interval.saturating_mul(1 << self.failures.min(6));
        let longest = LONGEST_BACK_OFF.max(self.interval);
        doubled.min(longest).max(self.retry_after)
    }

    /// The server answered: outages are over.
    pub(super) fn answered(&mut self) {
        (self.failures, self.retry_after) = (0, Duration::ZERO);
    }

    fn slow_down(&mut self) {
        self.answered();
        self.interval = self.interval.saturating_add(SLOWER);
    }

    pub(super) fn back_off(&mut self, retry_after: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.retry_after = retry_after.unwrap_or_default().min(LONGEST_BACK_OFF);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Form, Person, Scripted, asking};
    use super::*;

    const TOKENS: &str = r#"{"access_token":"at-1","token_type":"bearer"}"#;
    const PENDING: (u16, &str) = (400, r#"{"error":"authorization_pending"}"#);

    fn device(rest: &str) -> String {
        format!(
            r#"{{"device_code":"dc-1","user_code":"WDJB-MJHT","verification_uri":"https://login.example/device"{rest}}}"#
        )
    }

    /// Signs in with what `scripted` answers; the paths and forms that it was asked.
    fn sign_in(scripted: &Scripted, person: &Person) -> (Result<TokenAnswer, Error>, Vec<Form>) {
        let http = Http::new();
        let server = scripted.described();
        let outcome = asking(&server, |request| {
            http.block_on(async {
                let device = device_authorization(&http, request).await?;
                show_code(person, &device)?;
                let most = device.expires_in;
                let waiting =
                    Waiting { most, is_shared: false, is_called_off: &|| false, claim: &|| true };
                device_code(&http, person, request, &device, &waiting).await
            })
        });
        let mut requests = scripted.requests();
        let (path, first) = requests.remove(0);
        assert_eq!((path.as_str(), first["client_id"].as_str()), ("/device", "our-client"));
        assert_eq!(first["scope"], "read write");
        assert!(requests.iter().all(|(path, _)| path == "/token"));
        (outcome, requests.into_iter().map(|(_, form)| form).collect())
    }

    #[test]
    fn the_code_is_shown_and_asked_for_until_it_is_confirmed() {
        let device = device(
            r#","verification_uri_complete":"https://login.example/device?user_code=WDJB-MJHT","expires_in":900,"interval":1"#,
        );
        let scripted = Scripted::answering([
            (200, &device),
            PENDING,
            (503, "<html>"),
            (200, r#"{"error":"authorization_pending"}"#),
            (200, TOKENS),
        ]);
        let person = Person::at_columns(100);
        let (outcome, forms) = sign_in(&scripted, &person);
        assert_eq!(outcome.unwrap().access_token.expose(), "at-1");
        assert_eq!(forms.len(), 4);
        for form in forms {
            assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:device_code");
            assert_eq!(form["device_code"], "dc-1");
        }
        let said = person.said();
        assert!(said.contains("at login.example") && said.contains("WDJB-MJHT"), "{said}");
        assert!(
            said.contains('▀') && said.contains("cannot answer now (HTTP 503); trying again"),
            "{said}"
        );
        assert!(!said.contains("dc-1") && !said.contains("user_code="), "{said}");
        assert!(person.opened.lock().unwrap().is_empty());
    }

    #[test]
    fn a_final_answer_ends_it_at_once() {
        let device = device(r#","expires_in":900,"interval":1"#);
        let ended = |status, body| {
            let scripted = Scripted::answering([(200, &device), (status, body), (200, TOKENS)]);
            let (outcome, forms) = sign_in(&scripted, &Person::default());
            assert_eq!(forms.len(), 1);
            outcome.unwrap_err()
        };
        let denied = r#"{"error":"access_denied","error_description":"Ask your administrator"}"#;
        match ended(400, denied) {
            Error::Denied { description, .. } => {
                assert_eq!(description.as_deref(), Some("Ask your administrator"));
            }
            other => panic!("{other}"),
        }
        assert!(matches!(ended(400, r#"{"error":"expired_token"}"#), Error::Expired { .. }));
        let unknown = ended(400, r#"{"error":"invalid_grant"}"#);
        assert!(matches!(unknown, Error::Oauth(oauth::Error::Refused { .. })));
        let web_page = ended(200, "<html>Sign in to the hotel</html>");
        assert!(matches!(web_page, Error::Oauth(oauth::Error::Malformed { .. })));
    }

    #[test]
    fn the_end_of_the_code_ends_it_with_the_reason() {
        let device = device(r#","expires_in":2,"interval":1"#);
        let scripted = Scripted::answering([(200, &device), PENDING]);
        let (outcome, _) = sign_in(&scripted, &Person::default());
        assert!(matches!(outcome, Err(Error::Expired { .. })), "{outcome:?}");

        let scripted = Scripted::answering([(200, &device), (502, "")]);
        let (outcome, _) = sign_in(&scripted, &Person::default());
        assert!(matches!(outcome, Err(Error::Oauth(oauth::Error::Unavailable { .. }))));
    }

    #[test]
    fn a_certificate_error_ends_it_and_a_lost_connection_does_not() {
        let host = || "login.example".to_owned();
        let verdict = |error: http::Error| Verdict::of(&error.into());
        let certificate = http::Error::Certificate { host: host(), reason: "expired".into() };
        assert!(matches!(verdict(certificate), Verdict::Over));
        let lost = http::Error::Interrupted { host: host() };
        assert!(matches!(verdict(lost), Verdict::Outage(None)));
        let slow = http::Error::TimedOut { host: host(), sent: true };
        assert!(matches!(verdict(slow), Verdict::Outage(None)));
    }

    #[test]
    fn the_pace_follows_the_server_and_never_falls_below_a_second() {
        let seconds = Duration::from_secs;
        assert_eq!(Pace::new(Duration::ZERO).pause(), seconds(1));
        let mut pace = Pace::new(seconds(5));
        assert_eq!(pace.pause(), seconds(5));
        pace.slow_down();
        assert_eq!(pace.pause(), seconds(10));
        pace.back_off(None);
        assert_eq!(pace.pause(), seconds(20));
        pace.back_off(Some(seconds(45)));
        assert_eq!(pace.pause(), seconds(45));
        for _ in 0..100 {
            pace.back_off(None);
        }
        assert_eq!(pace.pause(), seconds(60));
        pace.answered();
        assert_eq!(pace.pause(), seconds(10));
        assert_eq!(Pace::new(Duration::MAX).pause(), Duration::MAX);
    }

    #[test]
    fn a_complete_address_elsewhere_is_not_put_before_a_camera() {
        let mut device = DeviceAuthorization {
            device_code: crate::secret::Secret::new("dc"),
            user_code: "U".into(),
            verification_uri: "https://login.example/device".into(),
            verification_uri_complete: Some("https://login.example/device?c=U".into()),
            expires_in: Duration::from_secs(1),
            interval: Duration::from_secs(1),
        };
        let page = Url::parse(&device.verification_uri).unwrap();
        assert_eq!(phone_address(&device, &page).query(), Some("c=U"));
        for elsewhere in ["https://evil.example/?c=U", "http://login.example/?c=U", "tel:110"] {
            device.verification_uri_complete = Some(elsewhere.into());
            assert_eq!(phone_address(&device, &page), page);
        }
    }
}
