//! Requests to other places by way of this proxy (RFC 9110 §9.3.6): connections to the hosts of a credential are
//! opened and their requests get it, all others pass untouched.

use std::rc::Rc;

use hyper::header::HOST;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, connected, local, untouched};
use super::code::Code;
use super::session::{Pass, Shown};
use super::{Going, Lent, Proxy, Refusal};
use crate::forward::{Form, Injection};
use crate::http::Line;
use crate::listen::{self, Peer, Streams, is_ours};

/// The port of `https`, which goes without saying in the addresses of a provider.
const HTTPS: u16 = 443;

impl Proxy {
    /// CONNECT: a tunnel, or a conversation that is joined.
    pub(super) async fn connect(
        self: &Rc<Self>,
        mut request: Request<Streams>,
    ) -> Result<Response<Answer>, Refusal> {
        self.check_authorized(&request)?;
        // RFC 9110 §9.3.6: nothing but a host and a port.
        let is_bare = request.uri().scheme().is_none();
        let authority =
            request.uri().authority().filter(|it| is_bare && !it.as_str().contains('@'));
        let named = authority.and_then(|it| Some((it.host().to_owned(), it.port_u16()?)));
        let Some((host, port)) = named else {
            let what = "CONNECT wants a host and a port";
            return Err(Refusal::new(Code::TargetUnfit, what));
        };
        let client = hyper::upgrade::on(&mut request);
        let peer = request.body().peer.clone();
        if self.bound(&host, port).next().is_some() {
            let proxy = self.clone();
            tokio::task::spawn_local(async move {
                if let Ok(client) = client.await {
                    proxy.join(client, &host, port, peer).await;
                }
            });
            return Ok(connected());
        }
        self.check_allowed(&host, port)?;
        let server = self.tunnel(&host, port).await?;
        tokio::task::spawn_local(async move {
            let Ok(client) = client.await else { return };
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            // An end that breaks off has nobody to tell but the other.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
        Ok(connected())
    }

    /// The credentials for a host, by their index.
    fn bound(&self, host: &str, port: u16) -> impl Iterator<Item = usize> {
        let shown = if port == HTTPS { host.to_owned() } else { format!("{host}:{port}") };
        let url = format!("https://{shown}/");
        let lent = self.plan.credentials.iter().enumerate();
        lent.filter(move |(_, lent)| lent.provider.sends_to(&url)).map(|(index, _)| index)
    }

    fn check_allowed(&self, host: &str, port: u16) -> Result<(), Refusal> {
        if !self.plan.is_strict || is_ours(format!("{host}:{port}").as_bytes(), self.port) {
            return Ok(());
        }
        let message =
            format!("{host} is not a host of the credentials, and --strict allows no other");
        Err(Refusal::new(Code::HostDenied, message)
            .hint("authctl exec --proxy --with NAME -- COMMAND  (a credential for it; or without --strict)"))
    }

    async fn tunnel(&self, host: &str, port: u16) -> Result<Line, Refusal> {
        let uri = Uri::builder().scheme(Scheme::HTTPS).authority(format!("{host}:{port}"));
        let uri = uri.path_and_query("/").build();
        let uri =
            uri.map_err(|_| Refusal::new(Code::TargetUnfit, "CONNECT wants a host and a port"))?;
        let line = self.relay.upstream.connect(uri).await;
        line.map_err(|error| Refusal::of_broken(&error.into(), None))
    }

    /// Answers the requests inside a connection to a host of the credentials, with a certificate that the
    /// child was told to believe.
    async fn join(self: Rc<Self>, client: Upgraded, host: &str, port: u16, peer: Peer) {
        let Some(config) = self.authority.server_config(host) else { return };
        let acceptor = TlsAcceptor::from(config);
        // A client that does not believe it, or speaks no TLS, hangs up, and says why by itself.
        let Ok(stream) = acceptor.accept(TokioIo::new(client)).await else {
            self.watch.unbelieved(host);
            return;
        };
        peer.joins(false);
        let place = Rc::new((host.to_owned(), port));
        let answer = move |request| {
            let (proxy, place) = (self.clone(), place.clone());
            async move { proxy.answer_inside(request, &place.0, place.1).await }
        };
        listen::serve_stream(TokioIo::new(stream), peer, answer).await;
    }

    async fn answer_inside(
        self: &Rc<Self>,
        request: Request<Streams>,
        host: &str,
        port: u16,
    ) -> Response<Answer> {
        let target = format!("{} {host}{}", request.method(), request.uri().path());
        let answered = match self.pass_inside(request, host, port) {
            Ok(going) => going.await,
            Err(refusal) => Err(refusal),
        };
        answered.unwrap_or_else(|refusal| {
            self.watch.refused(&refusal, &target);
            local(&refusal)
        })
    }

    fn pass_inside(
        self: &Rc<Self>,
        request: Request<Streams>,
        host: &str,
        port: u16,
    ) -> Result<Going, Refusal> {
        if let Some(ambiguity) = request.body().ambiguity {
            return Err(Refusal::of_ambiguity(ambiguity));
        }
        let shown = if port == HTTPS { host.to_owned() } else { format!("{host}:{port}") };
        check_same_host(&request, &shown)?;
        let uri = absolute(Scheme::HTTPS, &shown, request.uri())?;
        let (lent, injection) = self.injection(&request, host, port)?;
        self.pass(request, uri, (lent, injection), None)
    }

    /// The credential for a request: the one whose placeholder it has; else the only one of the host.
    fn injection(
        &self,
        request: &Request<Streams>,
        host: &str,
        port: u16,
    ) -> Result<(&Rc<Lent>, Injection), Refusal> {
        let mut bound = self.bound(host, port);
        let shown = self.plan.session.shown(request.headers(), &self.further);
        let (index, form) = if let Some(Shown { pass: Pass::One(index), form }) = shown {
            if !bound.any(|known| known == index) {
                let name = &self.plan.credentials[index].name;
                let message = format!("the credential {name} is not for {host}");
                let provider = &self.plan.credentials[index].provider.id;
                return Err(Refusal::new(Code::HostOfAnother, message)
                    .hint(format!("authctl provider show {provider}  (its hosts)")));
            }
            (index, form)
        } else {
            let (Some(index), None) = (bound.next(), bound.next()) else {
                let names = self.bound(host, port).map(|index| &*self.plan.credentials[index].name);
                let message = format!(
                    "there are several credentials for {host} ({}), and the request has the placeholder of none",
                    names.collect::<Vec<_>>().join(", ")
                );
                let hint = "authctl exec --proxy --with NAME=VARIABLE,… -- COMMAND  (a placeholder for each)";
                return Err(Refusal::new(Code::AccountOpen, message).hint(hint));
            };
            (index, Form::Own)
        };
        let lent = &self.plan.credentials[index];
        Ok((lent, Injection { source: lent.source.clone(), form }))
    }

    /// A request with an absolute address (RFC 9112 §3.2.2), without TLS: it goes on as it is, and no credential
    /// goes with it.
    pub(super) async fn forward(
        self: &Rc<Self>,
        request: Request<Streams>,
    ) -> Result<Response<Answer>, Refusal> {
        self.check_authorized(&request)?;
        let unfit = || Refusal::new(Code::TargetUnfit, "a proxy passes on addresses of http only");
        let uri = request.uri().clone();
        let authority = uri.authority().ok_or_else(unfit)?;
        if uri.scheme() != Some(&Scheme::HTTP) || authority.as_str().contains('@') {
            return Err(unfit());
        }
        self.check_allowed(authority.host(), authority.port_u16().unwrap_or(80))?;
        let sent = self.relay.send_untouched(request, uri.clone()).await;
        sent.map(untouched).map_err(|broken| Refusal::of_broken(&broken, None))
    }

    fn check_authorized(&self, request: &Request<Streams>) -> Result<(), Refusal> {
        if !self.plan.session.is_proxy_authorized(request.headers()) {
            let what = "the request has no key of this proxy, or one of another run";
            return Err(Refusal::new(Code::ProxyKeyUnknown, what).hint(
                "authctl exec --proxy -- COMMAND  (has it in HTTPS_PROXY; authctl proxy prints it)",
            ));
        }
        Self::let_in(request);
        Ok(())
    }
}

/// A request inside a connection is for the host that the connection was asked for.
fn check_same_host(request: &Request<Streams>, shown: &str) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (request.version(), request.uri().authority(), hosts.next()) {
        (Version::HTTP_2, Some(authority), _) => Some(authority.as_str()),
        (_, None, Some(host)) => host.to_str().ok(),
        _ => None,
    };
    let host = host.map(|host| host.strip_suffix(":443").unwrap_or(host));
    if hosts.next().is_some() || !host.is_some_and(|host| host.eq_ignore_ascii_case(shown)) {
        let message = format!("the request is not for {shown}, which the connection is for");
        return Err(Refusal::new(Code::HostForeign, message));
    }
    Ok(())
}

/// The address of a request inside a connection.
fn absolute(scheme: Scheme, authority: &str, uri: &Uri) -> Result<Uri, Refusal> {
    let unfit = || Refusal::new(Code::PathUnfit, "the path is not one of a URL");
    let mut parts = hyper::http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(Authority::try_from(authority).map_err(|_| unfit())?);
    let path = uri.path_and_query().cloned();
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).map_err(|_| unfit())
}
