//! The proxy: programs send their requests here with a secret that opens nothing elsewhere, and the requests go
//! on with the credential. One port is a reverse proxy by path, `http://127.0.0.1:PORT/<name>/…`, and a forward
//! proxy for everything else.

mod answer;
mod authority;
mod bundle;
mod code;
mod connect;
mod placeholder;
mod reflection;
mod refusal;
mod reverse;
mod routes;
mod rules;
mod session;
mod signals;

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

pub use authority::Authority;
pub use bundle::Bundle;
pub use placeholder::like;
pub use refusal::Refusal;
pub use routes::{Route, Upstream};
pub use rules::Rules;
pub use session::{Pass, Session};

use crate::config::Provider;
use crate::forward::{Held, Injection, Relay, Source};
use crate::listen::{self, Ambiguity, Crew, Handed, Sockets, Streams};
use crate::login_signal::Signal;
use answer::{Answer, local};
use code::Code;
use reflection::Secrets;

/// A credential that requests get.
pub struct Lent {
    /// As the commands take it.
    pub name: Arc<str>,
    pub provider: Provider,
    pub source: Rc<Source>,
    /// Requests that may go out with it.
    pub rules: Rules,
    /// What else goes with them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Other credentials that do.
    pub companions: Vec<Injection>,
    /// The header that tells its id.
    pub id_header: Option<HeaderName>,
    /// What no answer may repeat, and of which credentials that was made.
    starring: RefCell<Starring>,
}

/// Credentials of one request, and what of them no answer may repeat.
type Starring = (Vec<Arc<Held>>, Option<Rc<Secrets>>);

impl Lent {
    pub fn new(name: &str, provider: Provider, source: Rc<Source>) -> Self {
        let (rules, headers, companions, id_header) = Default::default();
        let starring = RefCell::default();
        let name = name.into();
        Self { name, provider, source, rules, headers, companions, id_header, starring }
    }

    /// What no answer may repeat to a request that had these.
    fn secrets(&self, held: &[Option<Arc<Held>>]) -> Option<Rc<Secrets>> {
        let (known, secrets) = &mut *self.starring.borrow_mut();
        let is_known = |(one, other)| Arc::ptr_eq(one, other);
        let count = held.iter().flatten().count();
        if known.len() != count || !known.iter().zip(held.iter().flatten()).all(is_known) {
            *known = held.iter().flatten().cloned().collect();
            *secrets = Secrets::of(known.iter().map(|held| &held.credential)).map(Rc::new);
        }
        secrets.clone()
    }
}

/// What a proxy serves, to whom.
pub struct Plan {
    pub credentials: Vec<Rc<Lent>>,
    pub routes: Vec<Rc<Route>>,
    pub session: Session,
    /// The secret in the path that clients without a key may use.
    pub takes_secret_in_path: bool,
    /// Hosts without a credential are not reached through it.
    pub is_strict: bool,
}

/// Who is told what goes on.
pub trait Watch {
    /// A request was answered by its server.
    fn passed(&self, passed: &Passed<'_>);
    /// An answer ended before its end; what came of it has gone on.
    fn broke_off(&self, credential: &Lent);
    /// A request went no further.
    fn refused(&self, refusal: &Refusal, target: &str);
    /// A server says in its answer that somebody has to sign in, or more.
    fn signalled(&self, credential: &Lent, held: Option<&Arc<Held>>, signal: &Signal);
    /// A client did not believe the certificate for `host`, or speaks no TLS to it.
    fn unbelieved(&self, host: &str);
}

/// A request that got its answer; nothing of it is secret.
pub struct Passed<'a> {
    pub credential: &'a Lent,
    pub held: Option<&'a Arc<Held>>,
    pub method: &'a Method,
    pub uri: &'a Uri,
    pub status: StatusCode,
    /// What its head says about the sign-in.
    pub signal: &'a Signal,
}

/// A request that is let in, until the head of its answer is there.
type Going = Pin<Box<dyn Future<Output = Result<Response<Answer>, Refusal>>>>;

pub struct Proxy {
    port: u16,
    plan: Plan,
    relay: Rc<Relay>,
    watch: Rc<dyn Watch>,
    /// Headers beyond the usual ones in which the providers want their credentials.
    further: Rc<[HeaderName]>,
    authority: Arc<Authority>,
}

impl Proxy {
    pub fn new(port: u16, plan: Plan, authority: Arc<Authority>, watch: Rc<dyn Watch>) -> Self {
        let mut further: Vec<HeaderName> = Vec::new();
        for lent in &plan.credentials {
            let names = lent.provider.schemes.iter().map(|scheme| &scheme.header.name);
            further.extend(names.filter_map(|name| name.parse().ok()));
        }
        further.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        further.dedup();
        let further = further.into();
        Self { port, plan, relay: Rc::default(), watch, further, authority }
    }

    /// Serves until dropped; what is too much for one thread goes to the `crew`.
    pub async fn serve(self: Rc<Self>, sockets: Sockets, crew: Crew) -> io::Result<Infallible> {
        listen::serve_streams(sockets, crew, move |request| self.clone().answer(request)).await
    }

    /// Serves as one of the crew.
    pub async fn serve_handed(self: Rc<Self>, handed: Handed) {
        listen::serve_handed(handed, move |request| self.clone().answer(request)).await;
    }

    fn answer(self: Rc<Self>, request: Request<Streams>) -> impl Future<Output = Response<Answer>> {
        let is_unreadable = request.body().ambiguity.is_some_and(Ambiguity::is_unreadable);
        let method = request.method().clone();
        // Copies: whatever holds on to the request itself keeps the buffer that it was read into.
        let host = request.uri().authority().filter(|_| method == Method::CONNECT);
        let (host, path) = (host.map(ToString::to_string), request.uri().path().to_owned());
        let going = self.route(request);
        async move {
            let answered = match going {
                Ok(going) => going.await,
                Err(refusal) => Err(refusal),
            };
            answered.unwrap_or_else(|refusal| {
                let target = || self.target(&method, host.as_deref(), &path);
                let target = if is_unreadable { "refused".to_owned() } else { target() };
                self.watch.refused(&refusal, &target);
                local(&refusal)
            })
        }
    }

    fn route(self: &Rc<Self>, request: Request<Streams>) -> Result<Going, Refusal> {
        if let Some(ambiguity) = request.body().ambiguity {
            return Err(Refusal::of_ambiguity(ambiguity));
        }
        let proxy = self.clone();
        if request.method() == Method::CONNECT {
            return Ok(Box::pin(async move { proxy.connect(request).await }));
        }
        match request.uri().authority() {
            Some(authority) if !listen::is_ours(authority.as_str().as_bytes(), self.port) => {
                match request.version() {
                    Version::HTTP_2 => Err(foreign_host()),
                    _ => Ok(Box::pin(async move { proxy.forward(request).await })),
                }
            }
            _ => self.reverse(request),
        }
    }

    /// What a request is about, for messages: never its query, nor a secret in its path; `host`: of a CONNECT.
    fn target(&self, method: &Method, host: Option<&str>, path: &str) -> String {
        match host {
            Some(host) => format!("{method} {}", host.rsplit('@').next().unwrap_or_default()),
            None => format!("{method} {}", self.plan.session.without(path)),
        }
    }

    /// Keeps the connection: somebody who is let in uses it.
    fn let_in(request: &Request<Streams>) {
        request.body().peer.let_in();
    }
}

fn foreign_host() -> Refusal {
    let what =
        "the Host of the request is not this proxy's: 127.0.0.1, localhost or [::1], with its port";
    Refusal::new(Code::HostForeign, what)
}
