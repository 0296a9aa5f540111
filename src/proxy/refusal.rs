//! What the proxy answers by itself: a status, and a JSON body that names the cause and the command to run.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::code::Code;
use crate::error::TRUST;
use crate::forward::{Broken, discourage};
use crate::http;
use crate::listen::Ambiguity;
use crate::text;

/// Tells an answer of the proxy from one of the server.
const MARK: HeaderName = HeaderName::from_static("authctl-error");

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// What, and where.
    pub message: String,
    /// A command to run.
    pub hint: Option<String>,
}

impl Refusal {
    pub fn new(code: Code, message: impl AsRef<str>) -> Self {
        Self { code, message: text::clean_to(message.as_ref(), 1_000), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it asked for what is not served here at all, or without a key, as programs do to see who is there.
    pub fn is_stray(&self) -> bool {
        matches!(self.code, Code::RouteUnknown | Code::KeyUnknown)
    }

    /// Why a request is not even looked at.
    pub fn of_ambiguity(ambiguity: Ambiguity) -> Self {
        let code = if ambiguity.is_excess() { Code::HeadTooLong } else { Code::Framing };
        Self::new(code, ambiguity.as_str())
    }

    /// What became of a request on its way; `name`: of the credential that it was to get.
    pub fn of_broken(broken: &Broken, name: Option<&str>) -> Self {
        let code = match broken {
            Broken::Http(error) => of_http(error),
            Broken::Credential(_) => Code::CredentialUnavailable,
            Broken::Inject(_) => Code::CredentialUnfit,
            Broken::Request => Code::RequestIncomplete,
        };
        let hint = match (broken, name) {
            (Broken::Http(http::Error::Certificate { .. }), _) => Some(TRUST.to_owned()),
            (Broken::Http(error), Some(name)) if is_about_address(error) => {
                let provider = name.split(':').next().unwrap_or(name);
                Some(format!("authctl provider show {provider}  (the addresses in use)"))
            }
            (Broken::Credential(_) | Broken::Inject(_), Some(name)) => {
                Some(format!("authctl status {name} --check"))
            }
            _ => None,
        };
        Self { hint, ..Self::new(code, broken.to_string()) }
    }

    pub fn response(&self) -> Response<Full<Bytes>> {
        let error = json!({"code": self.code.as_str(), "message": self.message, "hint": self.hint});
        let body = format!("{}\n", json!({"error": error}));
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(MARK, HeaderValue::from_static(self.code.as_str()));
        match self.code.status() {
            // Git and others send a password only when they are asked for one; some readers take one challenge
            // a field (RFC 9110 §11.6.1).
            StatusCode::UNAUTHORIZED => {
                for challenge in ["Bearer realm=\"authctl proxy\"", "Basic realm=\"authctl proxy\""]
                {
                    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
                discourage(headers);
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

fn of_http(error: &http::Error) -> Code {
    match error {
        http::Error::TimedOut { .. } => Code::UpstreamTimeout,
        http::Error::Unreachable { .. } => Code::UpstreamUnreachable,
        http::Error::Certificate { .. } => Code::UpstreamCertificate,
        http::Error::ForbiddenAddress { .. } => Code::AddressForbidden,
        http::Error::Interrupted { .. } => Code::UpstreamInterrupted,
        http::Error::NotHttp { .. } | http::Error::TooLarge { .. } => Code::UpstreamInvalid,
        _ => Code::UpstreamFailed,
    }
}

/// Whether another address may help.
fn is_about_address(error: &http::Error) -> bool {
    matches!(
        of_http(error),
        Code::UpstreamUnreachable | Code::UpstreamInvalid | Code::AddressForbidden
    )
}

impl From<Refusal> for Response<Full<Bytes>> {
    fn from(refusal: Refusal) -> Self {
        refusal.response()
    }
}
