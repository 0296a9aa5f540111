//! Requests to other places by way of this proxy.

use std::rc::Rc;

use hyper::{Request, Response, StatusCode};

use super::answer::Answer;
use super::{Proxy, Refusal};
use crate::listen::Streams;

impl Proxy {
    pub(super) async fn connect(
        self: &Rc<Self>,
        request: Request<Streams>,
    ) -> Result<Response<Answer>, Refusal> {
        self.check_authorized(&request)?;
        Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "connect", "no tunnels"))
    }

    pub(super) async fn forward(
        self: &Rc<Self>,
        request: Request<Streams>,
    ) -> Result<Response<Answer>, Refusal> {
        self.check_authorized(&request)?;
        Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "forward", "no forwarding"))
    }

    fn check_authorized(&self, request: &Request<Streams>) -> Result<(), Refusal> {
        if !self.plan.session.is_proxy_authorized(request.headers()) {
            let status = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
            return Err(Refusal::new(
                status,
                "proxy_key_unknown",
                "the request has no key of this proxy",
            ));
        }
        Self::let_in(request);
        Ok(())
    }
}
