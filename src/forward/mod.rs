//! Relays one HTTP request: with the credential that works now, to the server that it is bound to, and back
//! as a stream. A rejected credential is renewed once and the request sent again; what follows from a refusal
//! that stays is the caller's to decide. [`Forward`] sends what a bridge composes, [`Relay`] what a program
//! sent, as it came.

mod ask;
mod broker;
mod headers;
mod held;
mod outgoing;
mod relay;
mod source;
mod verdicts;

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use url::Url;

pub use ask::{Address, Ask, Asks, Bring, SignInAsk, SignInWish, Trouble};
pub use broker::{Broker, Standing};
pub use headers::{AUTHENTICATION, discourage};
pub use held::{Held, is_same};
pub use relay::{Broken, Passage, Relay, Relayed};
pub use source::{Form, Injection, Source};

use crate::http::{self, Answer, Exchange, Http, Request};
use crate::inject;
use crate::oauth::{DPOP, challenges};
use crate::secret::Secret;

/// Most bytes of a refusal that are read.
const REFUSAL: usize = 1 << 20;
/// Least bytes of a header's value that is taken for a secret by itself.
const LEAST_SECRET: usize = 8;

/// Sends requests on behalf of one credential.
pub struct Forward {
    pub http: Http,
    pub broker: Broker,
    /// Headers that the person wants on every request; any of them may be secret.
    pub extra: Vec<(String, Secret)>,
}

/// A request to be sent, as often as it must.
pub struct Outgoing<'a> {
    pub method: Method,
    pub url: &'a Url,
    pub headers: Vec<(&'static str, String)>,
    /// Headers whose names are made at run time.
    pub named: Vec<(String, String)>,
    pub body: &'a str,
    /// How long the server may take to answer, each time it is asked; `None`: as long as it likes.
    pub patience: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Delete,
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

/// A server that said 401 or 403.
pub struct Refusal {
    pub answer: Arc<Answer>,
    /// A credential was sent with the request.
    pub presented: bool,
}

/// Why there is no answer to pass on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{} answered {}", .0.answer.host(), .0.answer.status)]
    Refused(Rc<Refusal>),
    #[error(transparent)]
    Http(#[from] http::Error),
    /// It was waited for in vain.
    #[error("{host} said nothing for {} s", waited.as_secs())]
    Silent { host: String, waited: Duration },
    /// The credential cannot be had for a reason that a sign-in does not mend.
    #[error(transparent)]
    Credential(#[from] Trouble),
    #[error(transparent)]
    Inject(#[from] inject::Error),
}

impl std::fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Refusal")
            .field("status", &self.answer.status)
            .finish_non_exhaustive()
    }
}

impl Forward {
    /// Sends a request. 401 and 403 are failures, every other status is an answer. Trouble with the credential
    /// is only one where the server insists on it.
    pub async fn send(&self, outgoing: &Outgoing<'_>) -> Result<Exchange, Failure> {
        let mut held = self.broker.fresh().await.unwrap_or_default();
        let (mut renewed, mut proven_again) = (false, false);
        loop {
            let exchange = in_time(outgoing, self.send_with(outgoing, held.as_deref())).await?;
            if let Some(held) = held.as_ref().filter(|_| exchange.status != 401) {
                self.broker.note_good(held);
            }
            if !matches!(exchange.status, 401 | 403) {
                return Ok(exchange);
            }
            let answer = in_time(outgoing, async { Ok(exchange.read(REFUSAL).await?) }).await?;
            if wants_nonce(&answer) && !std::mem::replace(&mut proven_again, true) {
                continue;
            }
            if answer.status == 401 && !std::mem::replace(&mut renewed, true) {
                let other = self.broker.instead_of(held.as_ref()).await?;
                if let Some(other) = other {
                    held = Some(other);
                    continue;
                }
            }
            if let Some(trouble) = self.broker.trouble().filter(|_| held.is_none()) {
                return Err(trouble.into());
            }
            let (answer, presented) = (Arc::new(answer), held.is_some());
            return Err(Failure::Refused(Rc::new(Refusal { answer, presented })));
        }
    }

    async fn send_with(
        &self,
        outgoing: &Outgoing<'_>,
        held: Option<&Held>,
    ) -> Result<Exchange, Failure> {
        let url = outgoing.url.as_str();
        let mut request = match outgoing.method {
            Method::Get => Request::get(url)?,
            Method::Post => Request::post_text(url, outgoing.body)?,
            Method::Delete => Request::delete(url)?,
        };
        for (name, value) in &self.extra {
            self.note_presented(value);
            request = request.secret_header(name, value)?;
        }
        for (name, value) in &outgoing.headers {
            request = request.header(name, value);
        }
        for (name, value) in &outgoing.named {
            request = request.named_header(name, value)?;
        }
        if let Some(held) = held {
            let nonce = self.http.nonces.newest(outgoing.url);
            let method = outgoing.method.as_str();
            let (scheme, credential) = (&held.scheme, &held.credential);
            self.broker.note_presented(credential.secret().expose());
            let headers =
                inject::headers(scheme, credential, method, outgoing.url, nonce.as_deref())?;
            for (name, value) in headers {
                // A proof is good for one request.
                if !name.eq_ignore_ascii_case(DPOP) {
                    self.note_presented(&value);
                }
                request = request.secret_header(&name, &value)?;
            }
        }
        Ok(self.http.open(request).await?)
    }

    /// What follows the scheme of a header is secret alone too. Short words say something else elsewhere.
    fn note_presented(&self, value: &Secret) {
        let last = value.expose().split_whitespace().next_back().unwrap_or_default();
        if last.len() >= LEAST_SECRET {
            self.broker.note_presented(last);
        }
    }
}

/// What the server does, as long as it may take. What the credential takes is not the server's fault.
async fn in_time<T>(
    outgoing: &Outgoing<'_>,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(patience) = outgoing.patience else { return answer.await };
    let host = || http::host_of(outgoing.url);
    let silent = |_| Failure::Silent { host: host(), waited: patience };
    timeout(patience, answer).await.map_err(silent)?
}

/// RFC 9449 §9: the proof was fine but for its nonce, and the next one is in the answer.
fn wants_nonce(answer: &Answer) -> bool {
    challenges(&answer.headers).iter().any(|challenge| {
        challenge.scheme.eq_ignore_ascii_case(DPOP)
            && challenge.parameter("error") == Some("use_dpop_nonce")
    })
}
