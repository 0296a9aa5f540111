//! Requests to the proxy itself: the path says whose credential and which server, the session's secret proves
//! that the program may.

use std::rc::Rc;
use std::sync::Arc;

use hyper::header::{HOST, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, Uri};
use tokio::task::spawn_local;
use url::Url;

use super::answer::{Answer, remote};
use super::code::Code;
use super::reflection::ask_for_plain;
use super::routes::{self, Route};
use super::session::Shown;
use super::signals::{self, Ear};
use super::{Going, Lent, Pass, Passed, Proxy, Refusal, foreign_host};
use crate::forward::{Form, Held, Injection, Passage, Relayed};
use crate::http::Inbound;
use crate::listen::{Streams, is_origin_ours, is_ours};
use crate::login_signal::{Refresh, Signal};

impl Proxy {
    pub(super) fn reverse(self: &Rc<Self>, request: Request<Streams>) -> Result<Going, Refusal> {
        self.check_door(&request)?;
        let (shown, path) = self.shown(&request)?;
        Self::let_in(&request);
        let (route, uri) = routes::find(&self.plan.routes, path, request.uri().query())?;
        let lent = &self.plan.credentials[route.credential];
        if let Pass::One(index) = shown.pass
            && index != route.credential
        {
            let whose = &self.plan.credentials[index].name;
            let message = format!(
                "the key of the request is the placeholder of {whose}, whose address is /{whose}, not of {}",
                lent.name
            );
            return Err(Refusal::new(Code::KeyOfAnother, message));
        }
        let injection = Injection { source: lent.source.clone(), form: shown.form };
        self.pass(request, uri, (lent, injection), Some(route.clone()))
    }

    /// Sends a request with its credential, and has that noted; `home`: the way by which it came.
    pub(super) fn pass(
        self: &Rc<Self>,
        mut request: Request<Streams>,
        uri: Uri,
        (lent, injection): (&Rc<Lent>, Injection),
        home: Option<Rc<Route>>,
    ) -> Result<Going, Refusal> {
        let method = request.method().clone();
        let is_mcp = signals::is_mcp(&method, request.headers());
        lent.rules.check(&lent.name, &method, &uri)?;
        ask_for_plain(request.headers_mut());
        let mut injections = vec![injection];
        injections.extend(lent.companions.iter().cloned());
        let sent = self.relay.send(Passage {
            request,
            uri: uri.clone(),
            injections,
            replaced: self.further.clone(),
            headers: lent.headers.clone(),
            id_header: lent.id_header.clone(),
        });
        let (proxy, lent) = (self.clone(), lent.clone());
        Ok(Box::pin(async move {
            let relayed = sent.await;
            let relayed = relayed.map_err(|it| Refusal::of_broken(&it, Some(&lent.name)))?;
            let mut response = proxy.passed((&method, &uri), is_mcp, &lent, relayed);
            if let Some(route) = home {
                proxy.turn_home(&route, response.headers_mut());
            }
            Ok(response)
        }))
    }

    /// The answer, as it goes to the program that asked.
    fn passed(
        &self,
        (method, uri): (&Method, &Uri),
        is_mcp: bool,
        lent: &Rc<Lent>,
        relayed: Relayed,
    ) -> Response<Answer> {
        let held = relayed.held.first().and_then(Option::as_ref);
        let status = relayed.response.status();
        let signal = &signals::of_head(&relayed.response, uri, held.is_some());
        self.watch.passed(&Passed { credential: lent, held, method, uri, status, signal });
        let (secrets, response) = (lent.secrets(&relayed.held), relayed.response);
        let ear = is_mcp.then(|| self.ear(lent, held, uri, &response)).flatten();
        remote(response, ear, secrets, (self.watch.clone(), lent.clone()))
    }

    /// Hears what an MCP server says about the sign-in in its answer.
    fn ear(
        &self,
        lent: &Rc<Lent>,
        held: Option<&Arc<Held>>,
        uri: &Uri,
        response: &Response<Inbound>,
    ) -> Option<Ear> {
        let server = Url::parse(&uri.to_string()).ok()?;
        let (watch, lent, held) = (self.watch.clone(), lent.clone(), held.cloned());
        let told = Box::new(move |signal| {
            watch.signalled(&lent, held.as_ref(), &signal);
            if let (Signal::Missing(_) | Signal::Rejected(_, Refresh::Once), Some(held)) =
                (signal, held)
            {
                spawn_local(async move { lent.source.broker.renew(&held).await });
            }
        });
        Ear::new(response.status(), response.headers(), server, told)
    }

    /// Refuses foreign names (DNS rebinding) and pages of other origins.
    fn check_door(&self, request: &Request<Streams>) -> Result<(), Refusal> {
        let headers = request.headers();
        let mut hosts = headers.get_all(HOST).iter();
        let is_named = match (hosts.next(), hosts.next(), request.uri().authority()) {
            (Some(host), None, _) => is_ours(host.as_bytes(), self.port),
            // HTTP/2 has it in its address, which was looked at before.
            (None, _, Some(_)) => true,
            _ => false,
        };
        if !is_named {
            return Err(foreign_host());
        }
        if !is_origin_ours(headers, self.port) {
            return Err(Refusal::new(Code::OriginForeign, "the request comes from a web page"));
        }
        Ok(())
    }

    /// The session's secret, and the path without it.
    fn shown<'a>(&self, request: &'a Request<Streams>) -> Result<(Shown, &'a str), Refusal> {
        let path = request.uri().path();
        if self.plan.takes_secret_in_path
            && let Some(rest) = path.strip_prefix("/~")
        {
            let (secret, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let pass = self.plan.session.pass(secret).ok_or_else(Self::stranger)?;
            let rest = if rest.is_empty() { "/" } else { rest };
            return Ok((Shown { pass, form: Form::Own }, rest));
        }
        let shown = self.plan.session.shown(request.headers(), &self.further);
        Ok((shown.ok_or_else(Self::stranger)?, path))
    }

    fn stranger() -> Refusal {
        let message = "the request has no key of this proxy, or one of another run";
        let refusal = Refusal::new(Code::KeyUnknown, message);
        refusal.hint("authctl exec --proxy -- COMMAND  (or the key that authctl proxy printed)")
    }

    /// What a server says of its own address leads back here, and what it says of its sign-in does not lead a
    /// program to one of its own.
    fn turn_home(&self, route: &Route, headers: &mut HeaderMap) {
        headers.remove(WWW_AUTHENTICATE);
        let Some(location) = headers.get(LOCATION).and_then(|location| location.to_str().ok())
        else {
            return;
        };
        let base = format!(
            "{}://{}{}",
            route.upstream.scheme, route.upstream.authority, route.upstream.path
        );
        let rest = location.strip_prefix(&base);
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        {
            let home = format!("http://127.0.0.1:{}/{}{rest}", self.port, route.name);
            if let Ok(home) = HeaderValue::from_str(&home) {
                headers.insert(LOCATION, home);
            }
        }
    }
}
