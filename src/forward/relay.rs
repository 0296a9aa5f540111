//! One request of a program, passed on with credentials: what concerns the connection stays behind, what proves
//! who asks is replaced, everything else goes through as it is, both ways. A credential that is refused is
//! renewed once, and the request sent again where it still can be.

use std::mem::{replace, take};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONNECTION, EXPECT, HeaderName, HeaderValue, UPGRADE, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::headers::{self, AUTHENTICATION};
use super::outgoing::{Answered, Outgoing, waits};
use super::source::{Injection, host_of};
use super::{Held, Trouble};
use crate::http::{self, Inbound, Nonces, Upstream, Versions};
use crate::inject;
use crate::listen::Streams;
use crate::oauth::DPOP;

/// How long a server may take to begin its answer: language models think for minutes.
const HEAD_TIME: Duration = Duration::from_mins(15);

/// Passes requests on.
pub struct Relay {
    pub upstream: Upstream,
    nonces: Nonces,
    head_time: Duration,
}

impl Default for Relay {
    fn default() -> Self {
        Self { upstream: Upstream::default(), nonces: Nonces::default(), head_time: HEAD_TIME }
    }
}

/// A request on its way.
pub struct Passage {
    pub request: Request<Streams>,
    /// Absolute.
    pub uri: Uri,
    pub injections: Vec<Injection>,
    /// Further headers that are replaced, and not passed on as they came.
    pub replaced: Rc<[HeaderName]>,
    /// Headers that are set to these values.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The header that tells the id of the first credential.
    pub id_header: Option<HeaderName>,
}

/// What came back.
pub struct Relayed {
    pub response: Response<Inbound>,
    /// What was sent along, in the order of the injections; `None`: nobody is signed in.
    pub held: Vec<Option<Arc<Held>>>,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The credential cannot be had for a reason that a sign-in does not mend.
    #[error(transparent)]
    Credential(#[from] Trouble),
    #[error(transparent)]
    Inject(#[from] inject::Error),
    /// The client's own failure.
    #[error("the request broke off before its end")]
    Request,
}

/// The answer to a request, once its head is there.
type Sending = Pin<Box<dyn Future<Output = Result<Relayed, Broken>>>>;

/// A request taken apart, to be put together each time it is sent.
struct Asked {
    parts: Parts,
    uri: Uri,
    injections: Vec<Injection>,
    id_header: Option<HeaderName>,
    upgrade: Option<Upgrade>,
    waits: Option<Answered>,
    versions: Versions,
}

impl Asked {
    /// What is sent in any case, and the body.
    fn of(request: Request<Streams>, uri: Uri) -> (Self, Streams) {
        let (mut parts, body) = request.into_parts();
        let waits = waits(&parts.headers);
        let upgrade = Upgrade::asked(&mut parts);
        let versions = versions(&parts, &uri, upgrade.is_some());
        headers::strip_request(&mut parts.headers);
        if let Some(upgrade) = &upgrade {
            upgrade.ask(&mut parts);
        }
        parts.uri = Uri::default();
        let (injections, id_header) = Default::default();
        (Self { parts, uri, injections, id_header, upgrade, waits, versions }, body)
    }

    /// The same for a request that gets credentials, in place of what it has of its own.
    fn with_credentials(passage: Passage) -> (Self, Streams) {
        let Passage { request, uri, injections, replaced, headers: added, id_header } = passage;
        let (asked, body) = Self::of(request, uri);
        let mut asked = Self { injections, id_header, ..asked };
        let (injections, id_header) = (&asked.injections, asked.id_header.as_ref());
        headers::remove(&mut asked.parts.headers, |name| {
            let is_injected = || injections.iter().any(|it| it.header() == Some(name));
            AUTHENTICATION.contains(name)
                || replaced.contains(name)
                || is_injected()
                || id_header == Some(name)
        });
        headers::detach(&mut asked.parts.headers);
        for (name, value) in added {
            asked.parts.headers.insert(name, value);
        }
        (asked, body)
    }

    /// The credentials, where nobody has to be asked for them.
    fn at_hand(&self) -> Option<Vec<Option<Arc<Held>>>> {
        let brokers = self.injections.iter().map(|injection| &injection.source.broker);
        brokers.map(|broker| broker.at_hand().map(Some)).collect()
    }

    /// A request that can be sent only once waits for a renewal that has begun.
    async fn fresh(&self, may_repeat: bool) -> Result<Vec<Option<Arc<Held>>>, Broken> {
        let mut held = Vec::with_capacity(self.injections.len());
        for injection in &self.injections {
            let broker = &injection.source.broker;
            if !may_repeat {
                broker.settled().await;
            }
            held.push(broker.fresh().await?);
        }
        Ok(held)
    }
}

/// What a request is sent with, and what was done already to have it taken.
#[derive(Default)]
struct Try {
    held: Vec<Option<Arc<Held>>>,
    is_renewed: bool,
    has_nonce: bool,
}

impl Try {
    /// Whether the same request would be refused again: a renewal came to nothing, or there can be none.
    async fn is_refused_for_good(&self, asked: &Asked) -> bool {
        let (Some(injection), Some(Some(held))) = (asked.injections.first(), self.held.first())
        else {
            return true;
        };
        self.is_renewed
            || !held.credential.is_renewable()
            || injection.source.broker.holds_vain().await
    }
}

impl Relay {
    /// Sends the request and comes back with the head of the answer. Dropped, the request is cancelled.
    ///
    /// What waits is small, and what is rare has a place of its own: every request's is made anew.
    pub fn send(self: &Rc<Self>, passage: Passage) -> Sending {
        let (asked, body) = Asked::with_credentials(passage);
        let mut body = Outgoing::of(body, !asked.injections.is_empty() && asked.waits.is_none());
        let mut this = Try::default();
        let at_hand = if body.may_repeat() { asked.at_hand() } else { None };
        let is_at_hand = at_hand.map(|held| this.held = held).is_some();
        let (relay, mut asked) = (self.clone(), Box::new(asked));
        Box::pin(async move {
            if body.is_short() {
                Box::pin(body.arrive()).await?;
            }
            if !is_at_hand {
                this.held = Box::pin(asked.fresh(body.may_repeat())).await?;
            }
            loop {
                let mut response = relay.once(&asked, &mut body, &this.held).await?;
                if response.status() == StatusCode::UNAUTHORIZED {
                    let refused = relay.is_worth_another(&mut this, &asked, &body, &mut response);
                    if Box::pin(refused).await? {
                        continue;
                    }
                } else if let (Some(injection), Some(Some(held))) =
                    (asked.injections.first(), this.held.first())
                {
                    injection.source.broker.note_good(held);
                }
                let response = returned(response, asked.upgrade.take());
                return Ok(Relayed { response, held: take(&mut this.held) });
            }
        })
    }

    /// Passes a request on to where no credential goes: only what concerns the connection stays behind.
    pub async fn send_untouched(
        &self,
        request: Request<Streams>,
        uri: Uri,
    ) -> Result<Response<Inbound>, Broken> {
        let (asked, body) = Asked::of(request, uri);
        let response = self.once(&asked, &mut Outgoing::of(body, false), &[]).await?;
        Ok(returned(response, asked.upgrade))
    }

    async fn once(
        &self,
        asked: &Asked,
        body: &mut Outgoing,
        held: &[Option<Arc<Held>>],
    ) -> Result<Response<Inbound>, Broken> {
        let request = body.put(self.dressed(asked, held)?, asked.waits.as_ref());
        let sent = self.upstream.send(request, asked.versions);
        let Ok(sent) = timeout(self.head_time, sent).await else {
            return Err(http::Error::TimedOut { host: host_of(&asked.uri), sent: true }.into());
        };
        if let (Ok(_), Some(answered)) = (&sent, &asked.waits) {
            answered.note();
        }
        Ok(sent?)
    }

    fn dressed(&self, asked: &Asked, held: &[Option<Arc<Held>>]) -> Result<Parts, Broken> {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = asked.parts.method.clone();
        parts.uri = asked.uri.clone();
        parts.headers.clone_from(&asked.parts.headers);
        for (injection, held) in asked.injections.iter().zip(held) {
            let Some(held) = held else { continue };
            let target = (&asked.parts.method, &asked.uri);
            injection.put(&mut parts.headers, held, target, &self.nonces)?;
        }
        if let (Some(name), Some(Some(held))) = (&asked.id_header, held.first()) {
            let id = HeaderValue::from_str(&held.id).map_err(|_| Broken::Request)?;
            parts.headers.insert(name, id);
        }
        Ok(parts)
    }

    /// Whether a request that was refused may be taken now: with the server's nonce, or with another credential.
    async fn is_worth_another(
        &self,
        this: &mut Try,
        asked: &Asked,
        body: &Outgoing,
        response: &mut Response<Inbound>,
    ) -> Result<bool, Broken> {
        let first = asked.injections.first();
        if body.is_left() {
            if self.wants_nonce(response, &asked.uri) && !replace(&mut this.has_nonce, true) {
                return Ok(true);
            }
            if !replace(&mut this.is_renewed, true)
                && renew(&asked.injections, &mut this.held).await?
            {
                return Ok(true);
            }
        } else if let (Some(injection), Some(Some(refused))) = (first, this.held.first()) {
            // Too late for this request; the next one has it.
            let (source, refused) = (injection.source.clone(), refused.clone());
            spawn_local(async move { source.broker.renew(&refused).await });
        }
        if this.is_renewed
            && let Some(injection) = first
        {
            injection.source.broker.note_vain().await;
        }
        if this.is_refused_for_good(asked).await {
            headers::discourage(response.headers_mut());
        }
        Ok(false)
    }

    /// RFC 9449 §9: the proof was fine but for its nonce, and the next one is in the answer.
    fn wants_nonce(&self, response: &Response<Inbound>, uri: &Uri) -> bool {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let Some(nonce) = text(http::DPOP_NONCE) else { return false };
        if let Ok(url) = url::Url::parse(&uri.to_string()) {
            self.nonces.note(&url, Some(nonce));
        }
        text(WWW_AUTHENTICATE.as_str()).is_some_and(|challenge| {
            challenge.contains(DPOP) && challenge.contains("use_dpop_nonce")
        })
    }
}

/// Whether there is another credential than the one that was refused. The first is the one that proves who
/// asks.
async fn renew(injections: &[Injection], held: &mut [Option<Arc<Held>>]) -> Result<bool, Broken> {
    let (Some(injection), Some(first)) = (injections.first(), held.first_mut()) else {
        return Ok(false);
    };
    let Some(other) = injection.source.broker.instead_of(first.as_ref()).await? else {
        return Ok(false);
    };
    *first = Some(other);
    Ok(true)
}

/// A request of HTTP/2 to a server without TLS goes on as such (gRPC); else the server decides.
fn versions(asked: &Parts, uri: &Uri, upgrades: bool) -> Versions {
    match asked.version {
        _ if upgrades => Versions::One,
        Version::HTTP_2 if uri.scheme_str() == Some("http") => Versions::Two,
        _ => Versions::Any,
    }
}

fn returned(mut response: Response<Inbound>, upgrade: Option<Upgrade>) -> Response<Inbound> {
    let is_switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = if is_switched { headers::upgrade(response.headers()) } else { None };
    headers::strip_answer(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    if let (Some(upgrade), Some(protocol)) = (upgrade, protocol) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, protocol);
        upgrade.join(hyper::upgrade::on(&mut response));
    }
    response
}

/// A change of protocol that the client asked for.
struct Upgrade {
    client: OnUpgrade,
    protocol: HeaderValue,
}

impl Upgrade {
    fn asked(asked: &mut Parts) -> Option<Self> {
        if asked.method == Method::CONNECT || asked.version != Version::HTTP_11 {
            return None;
        }
        let protocol = headers::upgrade(&asked.headers)?;
        // A client may offer HTTP/2 in passing (RFC 7540 §3.2); that is settled elsewhere.
        if protocol.as_bytes().eq_ignore_ascii_case(b"h2c") {
            return None;
        }
        Some(Self { client: asked.extensions.remove()?, protocol })
    }

    fn ask(&self, asked: &mut Parts) {
        asked.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        asked.headers.insert(UPGRADE, self.protocol.clone());
        asked.headers.remove(EXPECT);
    }

    /// From here on, bytes go both ways until one end hangs up.
    fn join(self, server: OnUpgrade) {
        spawn_local(async move {
            let (Ok(client), Ok(server)) = tokio::join!(self.client, server) else { return };
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            // An end that breaks off has nobody to tell but the other.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::forward::Broker;
    use crate::listen::{Peer, serve_stream};

    /// What comes of one request to a server that takes it and says no word.
    async fn asked_of_the_silent(injections: Vec<Injection>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let silent =
            std::thread::spawn(move || -> Option<TcpStream> { Some(listener.accept().ok()?.0) });
        let relay = Relay { head_time: Duration::from_millis(50), ..Relay::default() };
        let relay = Rc::new(relay);
        let answer = move |request| {
            let (relay, uri, injections) = (relay.clone(), uri.clone(), injections.clone());
            async move {
                let (replaced, headers, id_header) = Default::default();
                let broken = if injections.is_empty() {
                    relay.send_untouched(request, uri).await.err()
                } else {
                    let passage =
                        Passage { request, uri, injections, replaced, headers, id_header };
                    relay.send(passage).await.err()
                };
                Response::new(Full::new(Bytes::from(format!("{broken:?}"))))
            }
        };
        let (mut client, server) = tokio::io::duplex(10_000);
        let local = tokio::task::LocalSet::new();
        local.spawn_local(serve_stream(TokioIo::new(server), Peer::default(), answer));
        let mut said = String::new();
        let ask = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        local
            .run_until(async {
                client.write_all(ask).await.unwrap();
                client.read_to_string(&mut said).await.unwrap();
            })
            .await;
        drop(silent.join().unwrap());
        said
    }

    #[tokio::test]
    async fn a_server_that_does_not_begin_its_answer_is_waited_for_so_long_and_no_longer() {
        let (asks, _queue) = super::super::Asks::channel();
        let source = Rc::new(super::super::Source::new(Broker::holding(asks, None, None)));
        let injection = Injection { source, form: super::super::Form::Own };
        for injections in [Vec::new(), vec![injection]] {
            let said = asked_of_the_silent(injections).await;
            assert!(said.contains("TimedOut") && said.contains("sent: true"), "{said}");
        }
    }
}
