//! How connections to servers come about: the system's resolver without the addresses that are forbidden, a proxy
//! that the environment names, TLS with the system's roots; all of it in time.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::net::TcpStream;
use tower_service::Service;
use url::Host;

use super::Error;
use super::address::{Reach, is_loopback, look_up};
use super::failure;
use super::proxies::Proxies;

/// Name lookup, TCP, a proxy's tunnel and TLS together.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

pub type BoxError = Box<dyn StdError + Send + Sync>;

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
        match slices {
            // The system has less to do for one.
            [slice] => Pin::new(&mut self.stream).poll_write(context, slice),
            _ => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }
}

/// Connects, directly or through the proxy that the environment names.
#[derive(Clone)]
pub(super) struct Dial {
    direct: HttpConnector<Resolver>,
    proxies: Arc<Proxies>,
}

impl Dial {
    pub(super) fn new() -> Self {
        let mut direct = HttpConnector::new_with_resolver(Resolver);
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_connect_timeout(Some(CONNECT));
        Self { direct, proxies: Arc::default() }
    }

    /// The proxy for requests to `uri`; what is on this machine is never asked for elsewhere.
    pub(super) fn proxy(&self, uri: &Uri) -> Option<Intercept> {
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
pub(super) struct Timed(HttpsConnector<Dial>);

impl Timed {
    pub(super) fn new(dial: Dial, versions: Versions) -> Result<Self, Error> {
        let connector = HttpsConnectorBuilder::new().with_tls_config(trust()?).https_or_http();
        Ok(Self(match versions {
            Versions::Any => connector.enable_all_versions().wrap_connector(dial),
            Versions::One => connector.enable_http1().wrap_connector(dial),
            Versions::Two => connector.enable_http2().wrap_connector(dial),
        }))
    }
}

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
