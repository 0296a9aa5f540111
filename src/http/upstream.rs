//! Where requests of others go out: HTTP/1 and HTTP/2, bodies that stream both ways, and the roots, addresses and
//! proxies of authctl's own requests. Nothing is added to a request, and no redirect is followed.

use std::error::Error as StdError;
use std::io;
use std::rc::Rc;
use std::sync::OnceLock;

use hyper::header::PROXY_AUTHORIZATION;
use hyper::{Request, Response, Uri};
use hyper_util::client::proxy::matcher::Intercept;
use tower_service::Service;

use super::Error;
use super::address::Reach;
use super::dial::{BoxError, CONNECT, Dial, Line, Timed, Versions};
use super::failure::{self, Symptom};
use super::pool::{Inbound, Open, Outbound, Place, Pool, Sending, Unanswered};

/// The way out, cheap to make. To be used on one thread, inside one runtime that has tasks of its own.
pub struct Upstream {
    dial: Dial,
    connectors: [OnceLock<Timed>; 3],
    pool: Rc<Pool>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self { dial: Dial::new(), connectors: Default::default(), pool: Rc::default() }
    }
}

/// Why a request has no answer.
struct Failed {
    error: BoxError,
    /// There was no connection.
    is_connect: bool,
}

impl Failed {
    fn read(&self, uri: &Uri) -> Error {
        let error = &*self.error;
        let is_timeout = failure::find::<io::Error>(error)
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
        let symptom = Symptom { is_timeout, is_connect: self.is_connect };
        failure::read(&host_of(uri), error, &symptom)
    }
}

impl From<Unanswered> for Failed {
    fn from(unanswered: Unanswered) -> Self {
        Self { error: unanswered.into_error().into(), is_connect: false }
    }
}

/// A request, perhaps on its way.
enum Begun {
    Sent(Sending),
    Unsent(Box<Request<Outbound>>),
}

impl Upstream {
    /// Sends a request with an absolute URI and comes back with the head of the answer, however long that
    /// takes; dropped meanwhile, the request is cancelled.
    pub fn send(
        &self,
        mut request: Request<Outbound>,
        versions: Versions,
    ) -> impl Future<Output = Result<Response<Inbound>, Error>> {
        let uri = request.uri().clone();
        let begun = Self::check(&uri).map(|()| {
            self.introduce(&mut request);
            self.begin(request, &uri, versions)
        });
        async move {
            let unsent = match begun? {
                Begun::Sent(sending) => match sending.await {
                    Ok(response) => return Ok(response),
                    // A connection that was kept may be closed by its server at the very moment.
                    Err(mut unanswered) => match unanswered.take_message() {
                        Some(unsent) => Box::new(unsent),
                        None => return Err(Failed::from(unanswered).read(&uri)),
                    },
                },
                Begun::Unsent(request) => request,
            };
            let answered = Box::pin(self.anew(unsent, &uri, versions)).await;
            answered.map_err(|failed| failed.read(&uri))
        }
    }

    /// Sends the request on a connection that is there.
    fn begin(&self, request: Request<Outbound>, uri: &Uri, versions: Versions) -> Begun {
        match Place::of(uri).and_then(|place| self.pool.find(&place, versions)) {
            Some(open) => Begun::Sent(open.send(request, &self.pool)),
            None => Begun::Unsent(Box::new(request)),
        }
    }

    async fn anew(
        &self,
        mut request: Box<Request<Outbound>>,
        uri: &Uri,
        versions: Versions,
    ) -> Result<Response<Inbound>, Failed> {
        *request.uri_mut() = uri.clone();
        let open = self.open(uri, versions).await?;
        Ok(open.send(*request, &self.pool).await?)
    }

    async fn open(&self, uri: &Uri, versions: Versions) -> Result<Open, Failed> {
        let unconnected = |error| Failed { error, is_connect: true };
        let place = Place::of(uri).ok_or("the address is not absolute");
        let place = place.map_err(|error| unconnected(error.into()))?;
        let connector = self.connector(versions).map_err(|error| unconnected(error.into()))?;
        let stream = connector.clone().call(uri.clone()).await.map_err(unconnected)?;
        let opened = self.pool.open(stream, place, versions).await;
        opened.map_err(|error| Failed { error: error.into(), is_connect: false })
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

    fn connector(&self, versions: Versions) -> Result<&Timed, Error> {
        let slot = &self.connectors[versions as usize];
        if let Some(connector) = slot.get() {
            return Ok(connector);
        }
        let connector = Timed::new(self.dial.clone(), versions)?;
        Ok(slot.get_or_init(|| connector))
    }
}

fn host_of(uri: &Uri) -> String {
    let host = crate::text::clean(uri.host().unwrap_or_default());
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    match uri.port_u16() {
        Some(port) if port != usual => format!("{host}:{port}"),
        _ => host,
    }
}
