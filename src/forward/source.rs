//! A credential as headers of the requests of others, made once for as long as it stays the same.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use url::Url;

use super::{Broker, Held};
use crate::http::{self, Nonces};
use crate::inject;

/// Where a credential comes from while a proxy runs.
pub struct Source {
    pub broker: Broker,
    made: RefCell<Option<Made>>,
}

/// The headers of a credential that is not bound to a key.
struct Made {
    held: Arc<Held>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// How it goes into a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// As its provider wants it.
    Own,
    /// Between these texts, as the client had it in its user name and password (RFC 7617).
    Basic { before: String, after: String },
    /// Alone, in this header.
    Header(HeaderName),
}

/// What goes into a request.
#[derive(Clone)]
pub struct Injection {
    pub source: Rc<Source>,
    pub form: Form,
}

impl Source {
    pub fn new(broker: Broker) -> Self {
        Self { broker, made: RefCell::default() }
    }
}

impl Injection {
    /// The header that it is in, where that is not its provider's own.
    pub(super) fn header(&self) -> Option<&HeaderName> {
        match &self.form {
            Form::Header(name) => Some(name),
            Form::Own | Form::Basic { .. } => None,
        }
    }

    /// Puts the headers that carry `held` into those of one request.
    pub(super) fn put(
        &self,
        headers: &mut HeaderMap,
        held: &Arc<Held>,
        (method, uri): (&Method, &Uri),
        nonces: &Nonces,
    ) -> Result<(), inject::Error> {
        let secret = held.credential.secret().expose();
        match &self.form {
            Form::Own => return self.put_own(headers, held, (method, uri), nonces),
            Form::Basic { before, after } => {
                let value =
                    format!("Basic {}", STANDARD.encode(format!("{before}{secret}{after}")));
                headers.insert(AUTHORIZATION, sensitive(&value, AUTHORIZATION.as_str())?);
            }
            Form::Header(name) => {
                headers.insert(name.clone(), sensitive(secret, name.as_str())?);
            }
        }
        Ok(())
    }

    fn put_own(
        &self,
        headers: &mut HeaderMap,
        held: &Arc<Held>,
        (method, uri): (&Method, &Uri),
        nonces: &Nonces,
    ) -> Result<(), inject::Error> {
        let mut known = self.source.made.borrow_mut();
        if let Some(made) = known.as_ref().filter(|made| Arc::ptr_eq(&made.held, held)) {
            insert(headers, &made.headers);
            return Ok(());
        }
        // What was sent through arrived as a URI and is one for the URL standard.
        let unfit = || inject::Error::BadSecret { place: "the address".to_owned() };
        let url = Url::parse(&uri.to_string()).map_err(|_| unfit())?;
        let nonce = nonces.newest(&url);
        let made = inject::headers(
            &held.scheme,
            &held.credential,
            method.as_str(),
            &url,
            nonce.as_deref(),
        )?;
        let mut own = Vec::new();
        for (name, value) in made {
            let parsed: HeaderName =
                name.parse().map_err(|_| inject::Error::BadSecret { place: name.clone() })?;
            own.push((parsed, sensitive(value.expose(), &name)?));
        }
        insert(headers, &own);
        if !held.credential.is_bound() {
            *known = Some(Made { held: held.clone(), headers: own });
        }
        Ok(())
    }
}

fn insert(headers: &mut HeaderMap, own: &[(HeaderName, HeaderValue)]) {
    for (name, value) in own {
        headers.insert(name.clone(), value.clone());
    }
}

fn sensitive(value: &str, place: &str) -> Result<HeaderValue, inject::Error> {
    let unfit = |_| inject::Error::BadSecret { place: place.to_owned() };
    let mut value = HeaderValue::from_str(value).map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The host of a request's URI, for messages.
pub(super) fn host_of(uri: &Uri) -> String {
    Url::parse(&uri.to_string()).map(|url| http::host_of(&url)).unwrap_or_default()
}
