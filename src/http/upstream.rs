//! Where requests of others go out: pooled connections of HTTP/1 and HTTP/2, bodies that stream both ways, and
//! the roots, addresses and proxies of authctl's own requests. Nothing is added to a request, and no redirect
//! is followed.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::header::PROXY_AUTHORIZATION;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::net::TcpStream;
use tower_service::Service;
use url::Host;

use super::Error;
use super::address::{Reach, is_loopback, look_up};
use super::failure::{self, Symptom};
use super::proxies::Proxies;

/// Name lookup, TCP, a proxy's tunnel and TLS together.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request: less than what servers commonly grant.
const IDLE: Duration = Duration::from_secs(55);
/// Longest head of an answer, and most bytes read at once.
const HEAD: usize = 64 * 1024;

pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The body of a request on its way out.
pub type Outbound = UnsyncBoxBody<Bytes, BoxError>;

/// Which HTTP a request may go out as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// What the server prefers.
    Any,
    /// HTTP/1.1: upgrades exist only there.
    One,
    /// HTTP/2, also where no TLS settles it (RFC 9113 §3.3).
    Two,
}

/// The way out, cheap to make. To be used inside one runtime.
pub struct Upstream {
    dial: Dial,
    clients: [OnceLock<Client<Timed, Outbound>>; 3],
}

impl Default for Upstream {
    fn default() -> Self {
        Self { dial: Dial::new(), clients: Default::default() }
    }
}

impl Upstream {
    /// Sends a request with an absolute URI and comes back with the head of the answer, however long that
    /// takes; dropped meanwhile, the request is cancelled.
    pub async fn send(
        &self,
        mut request: Request<Outbound>,
        versions: Versions,
    ) -> Result<Response<Incoming>, Error> {
        Self::check(request.uri())?;
        self.introduce(&mut request);
        let client = self.client(versions)?;
        let uri = request.uri().clone();
        client.request(request).await.map_err(|error| {
            let host = host_of(&uri);
            let is_timeout = failure::find::<io::Error>(&error)
                .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
            failure::read(&host, &error, &Symptom { is_timeout, is_connect: error.is_connect() })
        })
    }

    /// A connection to `uri`, a host and a port, for whatever is to be said there.
    pub async fn connect(&self, uri: Uri) -> Result<Line, Error> {
        let host = host_of(&uri);
        Self::check(&uri)?;
        let refused = |is_timeout, error: &(dyn StdError + 'static)| {
            failure::read(&host, error, &Symptom { is_timeout, is_connect: true })
        };
        match tokio::time::timeout(CONNECT, self.dial.clone().call(uri)).await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(error)) => Err(refused(false, &*error)),
            Err(elapsed) => Err(refused(true, &elapsed)),
        }
    }

    /// Names are judged when they are looked up.
    fn check(uri: &Uri) -> Result<(), Error> {
        let host = uri.host().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse();
        match address {
            Ok(address) if !Reach::Named.allows(address) => {
                Err(Error::ForbiddenAddress { host: host_of(uri), address: address.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// A proxy that gets requests as they are wants to know who sends them.
    fn introduce(&self, request: &mut Request<Outbound>) {
        if request.uri().scheme_str() != Some("http") {
            return;
        }
        let proxy = self.dial.proxy(request.uri());
        if let Some(value) = proxy.as_ref().and_then(Intercept::basic_auth) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value.clone());
        }
    }

    fn client(&self, versions: Versions) -> Result<&Client<Timed, Outbound>, Error> {
        let slot = &self.clients[versions as usize];
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = build(self.dial.clone(), versions)?;
        Ok(slot.get_or_init(|| client))
    }
}

fn build(dial: Dial, versions: Versions) -> Result<Client<Timed, Outbound>, Error> {
    let connector =
        hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(trust()?).https_or_http();
    let connector = match versions {
        Versions::Any => connector.enable_all_versions().wrap_connector(dial),
        Versions::One => connector.enable_http1().wrap_connector(dial),
        Versions::Two => connector.enable_http2().wrap_connector(dial),
    };
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(HEAD)
        .http2_max_header_list_size(65_536)
        .http2_only(versions == Versions::Two)
        .http2_adaptive_window(true)
        .build(Timed(connector)))
}

/// The system's roots, else the bundled ones. Roots that the user named are never replaced.
fn trust() -> Result<ClientConfig, Error> {
    let provider = rustls::crypto::ring::default_provider();
    // Only the first call installs; a later one finds the same provider.
    let _ = provider.install_default();
    let error = match ClientConfig::with_platform_verifier() {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    if ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some()) {
        return Err(Error::NoRoots { reason: failure::innermost(&error) });
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn host_of(uri: &Uri) -> String {
    let host = crate::text::clean(uri.host().unwrap_or_default());
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    match uri.port_u16() {
        Some(port) if port != usual => format!("{host}:{port}"),
        _ => host,
    }
}

// -------------------------------------------------------------------------------------- connecting

/// The system's resolver, with the forbidden addresses taken out of its answer.
#[derive(Clone)]
struct Resolver;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<std::net::SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move { Ok(look_up(name.as_str(), Reach::Named).await?.into_iter()) })
    }
}

/// A connection, before TLS to the server itself.
pub struct Line {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// A proxy reads the requests on it.
    is_proxied: bool,
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.is_proxied)
    }
}

impl Read for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

/// Connects, directly or through the proxy that the environment names.
#[derive(Clone)]
struct Dial {
    direct: HttpConnector<Resolver>,
    proxies: Arc<Proxies>,
}

impl Dial {
    fn new() -> Self {
        let mut direct = HttpConnector::new_with_resolver(Resolver);
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_connect_timeout(Some(CONNECT));
        Self { direct, proxies: Arc::default() }
    }

    /// The proxy for requests to `uri`; what is on this machine is never asked for elsewhere.
    fn proxy(&self, uri: &Uri) -> Option<Intercept> {
        let host = uri.host()?;
        // Told at once for most that are.
        if host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
            return None;
        }
        if is_loopback(&Host::parse(host).ok()?) {
            return None;
        }
        self.proxies.to(uri)
    }
}

impl Service<Uri> for Dial {
    type Response = Line;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Line, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let mut direct = self.direct.clone();
        let proxy = self.proxy(&uri);
        Box::pin(async move {
            let Some(proxy) = proxy else {
                let stream = MaybeHttpsStream::Http(direct.call(uri).await?);
                return Ok(Line { stream, is_proxied: false });
            };
            through(direct, &proxy, uri).await
        })
    }
}

/// By way of a proxy: plain requests are its own to read, everything else goes through a tunnel (RFC 9110
/// §9.3.6).
async fn through(
    direct: HttpConnector<Resolver>,
    proxy: &Intercept,
    uri: Uri,
) -> Result<Line, BoxError> {
    let named = |error: BoxError| -> BoxError {
        let at = proxy.uri().authority().map(|it| crate::text::clean(it.as_str()));
        let at = at.unwrap_or_default();
        let at = at.rsplit('@').next().unwrap_or_default().to_owned();
        io::Error::other(format!("through the proxy {at}: {error}")).into()
    };
    let mut door = HttpsConnector::from((direct, trust()?));
    if uri.scheme_str() == Some("http") {
        let stream = door.call(proxy.uri().clone()).await.map_err(named)?;
        return Ok(Line { stream, is_proxied: true });
    }
    let mut tunnel = Tunnel::new(proxy.uri().clone(), door);
    if let Some(value) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(value.clone());
    }
    let stream = tunnel.call(uri).await.map_err(|error| named(error.into()))?;
    Ok(Line { stream, is_proxied: false })
}

/// A connector with a deadline for all of its work.
#[derive(Clone)]
struct Timed(HttpsConnector<Dial>);

impl Service<Uri> for Timed {
    type Response = MaybeHttpsStream<Line>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
