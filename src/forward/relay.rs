//! One request of a program, passed on with credentials: what concerns the connection stays behind, what proves
//! who asks is replaced, everything else goes through as it is, both ways. A credential that is refused is
//! renewed once, and the request sent again where it still can be.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderName, HeaderValue, UPGRADE, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;

use super::headers::{self, AUTHENTICATION};
use super::outgoing::{Outgoing, waits};
use super::source::{Injection, host_of};
use super::{Held, Trouble};
use crate::http::{self, Nonces, Upstream, Versions};
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
    pub response: Response<Incoming>,
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

impl Relay {
    /// Sends the request and comes back with the head of the answer. Dropped, the request is cancelled.
    pub async fn send(&self, passage: Passage) -> Result<Relayed, Broken> {
        let Passage { request, uri, injections, replaced, headers: added, id_header } = passage;
        let (mut asked, body) = request.into_parts();
        let waits = waits(&asked.headers);
        let upgrade = Upgrade::asked(&mut asked);
        let versions = versions(&asked, &uri, upgrade.is_some());
        headers::strip_request(&mut asked.headers);
        let injected = injections.iter().filter_map(Injection::header);
        for name in AUTHENTICATION.iter().chain(&*replaced).chain(injected).chain(&id_header) {
            asked.headers.remove(name);
        }
        for (name, value) in added {
            asked.headers.insert(name, value);
        }
        if let Some(upgrade) = &upgrade {
            upgrade.ask(&mut asked);
        }
        let mut body = Outgoing::take(body, !injections.is_empty() && waits.is_none())
            .await
            .map_err(|_| Broken::Request)?;
        let mut held = self.fresh(&injections, body.may_repeat()).await?;
        let (mut renewed, mut proven_again) = (false, false);
        loop {
            let mut parts = self.dressed(&asked, &uri, &injections, &held)?;
            if let (Some(name), Some(Some(held))) = (&id_header, held.first()) {
                let id = HeaderValue::from_str(&held.id).map_err(|_| Broken::Request)?;
                parts.headers.insert(name, id);
            }
            let request = body.put(parts, waits.as_ref());
            let sent = self.upstream.send(request, versions);
            let Ok(sent) = tokio::time::timeout(self.head_time, sent).await else {
                return Err(http::Error::TimedOut { host: host_of(&uri), sent: true }.into());
            };
            let response = sent?;
            if let Some(answered) = &waits {
                answered.note();
            }
            if response.status() == StatusCode::UNAUTHORIZED && body.is_left() {
                if self.wants_nonce(&response, &uri) && !std::mem::replace(&mut proven_again, true)
                {
                    continue;
                }
                if !std::mem::replace(&mut renewed, true) && renew(&injections, &mut held).await? {
                    continue;
                }
            }
            if response.status() == StatusCode::UNAUTHORIZED
                && !body.is_left()
                && let (Some(injection), Some(Some(refused))) = (injections.first(), held.first())
            {
                // Too late for this request; the next one has it.
                let (source, refused) = (injection.source.clone(), refused.clone());
                tokio::task::spawn_local(async move { source.renew(&refused).await });
            }
            if let (Some(injection), Some(Some(held))) = (injections.first(), held.first()) {
                match response.status() {
                    StatusCode::UNAUTHORIZED if renewed => {
                        injection.source.broker.note_vain().await;
                    }
                    StatusCode::UNAUTHORIZED => {}
                    _ => injection.source.broker.note_good(held),
                }
            }
            return Ok(Relayed { response: returned(response, upgrade), held });
        }
    }

    /// Passes a request on to where no credential goes: only what concerns the connection stays behind.
    pub async fn send_untouched(
        &self,
        request: Request<Streams>,
        uri: Uri,
    ) -> Result<Response<Incoming>, Broken> {
        let (mut asked, body) = request.into_parts();
        let waits = waits(&asked.headers);
        let upgrade = Upgrade::asked(&mut asked);
        let versions = versions(&asked, &uri, upgrade.is_some());
        headers::strip_request(&mut asked.headers);
        if let Some(upgrade) = &upgrade {
            upgrade.ask(&mut asked);
        }
        let mut body = Outgoing::take(body, false).await.map_err(|_| Broken::Request)?;
        let parts = self.dressed(&asked, &uri, &[], &[])?;
        let sent = self.upstream.send(body.put(parts, waits.as_ref()), versions);
        let Ok(sent) = tokio::time::timeout(self.head_time, sent).await else {
            return Err(http::Error::TimedOut { host: host_of(&uri), sent: true }.into());
        };
        let response = sent?;
        if let Some(answered) = &waits {
            answered.note();
        }
        Ok(returned(response, upgrade))
    }

    /// A request that can be sent only once waits for a renewal that has begun.
    async fn fresh(
        &self,
        injections: &[Injection],
        may_repeat: bool,
    ) -> Result<Vec<Option<Arc<Held>>>, Broken> {
        let mut held = Vec::with_capacity(injections.len());
        for injection in injections {
            let broker = &injection.source.broker;
            if !may_repeat {
                broker.settled().await;
            }
            held.push(broker.fresh().await?);
        }
        Ok(held)
    }

    fn dressed(
        &self,
        asked: &Parts,
        uri: &Uri,
        injections: &[Injection],
        held: &[Option<Arc<Held>>],
    ) -> Result<Parts, Broken> {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = asked.method.clone();
        parts.uri = uri.clone();
        parts.headers.clone_from(&asked.headers);
        for (injection, held) in injections.iter().zip(held) {
            let Some(held) = held else { continue };
            for (name, value) in injection.headers(held, &asked.method, uri, &self.nonces)? {
                parts.headers.insert(name, value);
            }
        }
        Ok(parts)
    }

    /// RFC 9449 §9: the proof was fine but for its nonce, and the next one is in the answer.
    fn wants_nonce(&self, response: &Response<Incoming>, uri: &Uri) -> bool {
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

fn returned(mut response: Response<Incoming>, upgrade: Option<Upgrade>) -> Response<Incoming> {
    let is_switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = headers::upgrade(response.headers()).filter(|_| is_switched);
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
        tokio::task::spawn_local(async move {
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
        let (asks, _queue) = tokio::sync::mpsc::unbounded_channel();
        let source = Rc::new(super::super::Source::new(Broker::holding(asks, None, None)));
        let injection = Injection { source, form: super::super::Form::Own };
        for injections in [Vec::new(), vec![injection]] {
            let said = asked_of_the_silent(injections).await;
            assert!(said.contains("TimedOut") && said.contains("sent: true"), "{said}");
        }
    }
}
