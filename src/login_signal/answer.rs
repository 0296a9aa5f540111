//! An HTTP answer that is no success: the challenge (RFC 9110 §11.6.1, RFC 6750 §3), and what bodies add.

use hyper::header::HeaderMap;
use serde::Deserialize;
use url::Url;

use super::adcp::AdcpError;
use super::lenient::{self, Text};
use super::link::{Invitations, Link};
use super::{Demand, Refresh, Signal, of_message};
use crate::oauth::{Challenge, challenges};

/// A refusal in JSON: RFC 6750's words, a link, or AdCP's error.
#[derive(Deserialize, Default)]
struct Body<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    error: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    error_description: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    scope: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    authorization_url: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    authorization_uri: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    login_url: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient::member")]
    adcp_error: Option<AdcpError<'a>>,
}

/// What an HTTP answer of `server` says about a sign-in; `presented`: the request had a credential.
/// Servers call a token that is missing `invalid_token` as well, so the word alone says nothing.
pub fn of_answer(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    server: &Url,
    presented: bool,
) -> Signal {
    let challenges = challenges(headers);
    let text = std::str::from_utf8(body).unwrap_or_default();
    let refusal: Body = serde_json::from_str(text).unwrap_or_default();
    let mut demand = demand(&challenges, &refusal);
    demand.invitations = invitations(&challenges, &refusal, server);
    let inner = match inner_signal(body, &refusal, server) {
        Signal::Missing(inner) => return Signal::Missing(demand.with(inner)),
        Signal::Rejected(inner, refresh) => return Signal::Rejected(demand.with(inner), refresh),
        inner => inner,
    };
    if let Signal::Follow(found) = &inner {
        demand.invitations.extend(found);
    }
    let in_body = refusal.error.as_ref().filter(|_| matches!(status, 401 | 403));
    let error = parameter(&challenges, "error").or(in_body.map(Text::as_str));
    match of_challenge(status, error, demand, presented) {
        Signal::Nothing => inner,
        signal => signal,
    }
}

/// What the body says by itself: an error of AdCP, or a JSON-RPC message.
fn inner_signal(body: &[u8], refusal: &Body, server: &Url) -> Signal {
    match &refusal.adcp_error {
        Some(error) => error.signal(server),
        None => of_message(body, server),
    }
}

fn of_challenge(status: u16, error: Option<&str>, demand: Demand, presented: bool) -> Signal {
    let is_oauth = demand.schemes.iter().any(|scheme| is_oauth(scheme));
    match (status, error) {
        // RFC 9449 §9: the same credential with a new proof.
        (_, Some("use_dpop_nonce")) => Signal::Nothing,
        (400..=499, Some("insufficient_scope")) if presented => Signal::ScopeNeeded(demand),
        (400..=499, Some("invalid_token")) if presented => Signal::Rejected(demand, Refresh::Once),
        (401, _) | (400..=499, Some("insufficient_scope" | "invalid_token")) => {
            unauthorized(demand, presented)
        }
        (403, None) if is_oauth && !presented => unauthorized(demand, presented),
        _ => Signal::Nothing,
    }
}

/// A 401, or the like of it, that does not say why. A link is for those who cannot discover where to sign in: with
/// metadata about the resource there is a login.
fn unauthorized(demand: Demand, presented: bool) -> Signal {
    if !demand.invitations.is_empty() && demand.resource_metadata.is_none() {
        return Signal::Follow(demand.invitations);
    }
    if presented { Signal::Rejected(demand, Refresh::Once) } else { Signal::Missing(demand) }
}

fn demand(challenges: &[Challenge], refusal: &Body) -> Demand {
    let scope = parameter(challenges, "scope");
    let scope = scope.or_else(|| refusal.scope.as_ref().map(Text::as_str)).unwrap_or_default();
    let described = parameter(challenges, "error_description");
    Demand {
        schemes: challenges.iter().map(|challenge| challenge.scheme.clone()).collect(),
        resource_metadata: parameter(challenges, "resource_metadata").map(str::to_owned),
        scopes: scope.split_ascii_whitespace().map(str::to_owned).collect(),
        said: described
            .map(super::line)
            .or_else(|| lenient::said([refusal.error_description.as_ref()])),
        invitations: Invitations::default(),
    }
}

/// Links beside the challenge: `authorization_url` and `login_url` of the body, and `authorization_uri` of either
/// where that is a page and not an endpoint's or a document's address.
fn invitations(challenges: &[Challenge], refusal: &Body, server: &Url) -> Invitations {
    let mut found = Invitations::default();
    for url in [&refusal.authorization_url, &refusal.login_url].into_iter().flatten() {
        found.add(Link::parse(url.as_str(), server), String::new());
    }
    let in_body = refusal.authorization_uri.as_ref().map(Text::as_str);
    for uri in [parameter(challenges, "authorization_uri"), in_body].into_iter().flatten() {
        let link = Link::parse(uri, server);
        if !link.as_ref().is_ok_and(Link::is_bare) {
            found.add(link, String::new());
        }
    }
    found
}

/// A parameter of the first challenge for OAuth tokens (RFC 6750, RFC 9449) that has it.
fn parameter<'c>(challenges: &'c [Challenge], name: &str) -> Option<&'c str> {
    let oauth = challenges.iter().filter(|challenge| is_oauth(&challenge.scheme));
    oauth.into_iter().find_map(|challenge| challenge.parameter(name))
}

fn is_oauth(scheme: &str) -> bool {
    matches!(scheme, "bearer" | "dpop")
}

impl Demand {
    /// With what the body says to people.
    fn with(self, inner: Demand) -> Self {
        Self { said: inner.said.or(self.said), ..self }
    }
}
