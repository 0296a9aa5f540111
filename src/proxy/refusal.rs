//! What the proxy answers by itself: a status, and a JSON body that names the cause and the command to run.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::forward::Broken;
use crate::http;
use crate::listen::Ambiguity;
use crate::text;

/// Tells an answer of the proxy from one of the server.
const MARK: HeaderName = HeaderName::from_static("authctl-error");

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// What, and where.
    pub message: String,
    /// A command to run.
    pub hint: Option<String>,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &'static str, message: impl AsRef<str>) -> Self {
        Self { status, code, message: text::clean_to(message.as_ref(), 1_000), hint: None }
    }

    pub fn bad_request(code: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn forbidden(code: &'static str, message: impl AsRef<str>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Why a request is not even looked at.
    pub fn of_ambiguity(ambiguity: Ambiguity) -> Self {
        if ambiguity.is_excess() {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Self::new(status, "head_too_long", ambiguity.as_str());
        }
        Self::bad_request("framing", ambiguity.as_str())
    }

    /// What became of a request on its way, to be answered for `name`.
    pub fn of_broken(broken: &Broken, name: &str) -> Self {
        let (status, code) = match broken {
            Broken::Http(error) => of_http(error),
            Broken::Credential(_) => (StatusCode::SERVICE_UNAVAILABLE, "credential_unavailable"),
            Broken::Inject(_) => (StatusCode::SERVICE_UNAVAILABLE, "credential_unfit"),
            Broken::Request => (StatusCode::BAD_REQUEST, "request_incomplete"),
        };
        let refusal = Self::new(status, code, broken.to_string());
        match broken {
            Broken::Credential(_) | Broken::Inject(_) => {
                refusal.hint(format!("authctl status {name} --check"))
            }
            _ => refusal,
        }
    }

    pub fn response(&self) -> Response<Full<Bytes>> {
        let error = json!({"code": self.code, "message": self.message, "hint": self.hint});
        let body = format!("{}\n", json!({"error": error}));
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(MARK, HeaderValue::from_static(self.code));
        match self.status {
            // Git and others send a password only when they are asked for one; some readers take one challenge
            // a field (RFC 9110 §11.6.1).
            StatusCode::UNAUTHORIZED => {
                for challenge in ["Bearer realm=\"authctl proxy\"", "Basic realm=\"authctl proxy\""]
                {
                    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let challenge = HeaderValue::from_static("Basic realm=\"authctl proxy\"");
                headers.insert(PROXY_AUTHENTICATE, challenge);
            }
            _ => {}
        }
        response
    }
}

fn of_http(error: &http::Error) -> (StatusCode, &'static str) {
    match error {
        http::Error::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
        http::Error::Unreachable { .. } => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
        http::Error::Certificate { .. } => (StatusCode::BAD_GATEWAY, "upstream_certificate"),
        http::Error::ForbiddenAddress { .. } => (StatusCode::FORBIDDEN, "address_forbidden"),
        http::Error::Interrupted { .. } => (StatusCode::BAD_GATEWAY, "upstream_interrupted"),
        http::Error::NotHttp { .. } | http::Error::TooLarge { .. } => {
            (StatusCode::BAD_GATEWAY, "upstream_invalid")
        }
        _ => (StatusCode::BAD_GATEWAY, "upstream_failed"),
    }
}

impl From<Refusal> for Response<Full<Bytes>> {
    fn from(refusal: Refusal) -> Self {
        refusal.response()
    }
}
