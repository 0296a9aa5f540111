//! The authorization server of an MCP server (MCP 2026-07-28, basic/authorization, and the revisions before
//! it): from the server's own refusal to whoever signs people in there. Strings stay as received.

use std::time::Duration;

use hyper::HeaderMap;
use serde_json::json;

use super::discovery::{Wanted, discover_wanted};
use super::protected_resource::{Asked, Challenged, ProtectedResource, reach};
use super::{Error, Metadata};
use crate::http::{Answer, Http, Reach, Request, host_of, parse_url};

/// The revision in which a server was its own authorization server.
const FIRST_REVISION: &str = "2025-03-26";

/// How long a server is waited for that may answer a GET with a stream without an end.
const PROBE: Duration = Duration::from_secs(10);

/// An answer by which a server said that it wants a token, or a better one.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    pub headers: HeaderMap,
    /// It came from the internet: what it names must be there as well.
    pub from_public: bool,
}

impl Refusal {
    pub fn of(answer: &Answer) -> Self {
        Self {
            status: answer.status,
            headers: answer.headers.clone(),
            from_public: answer.is_from_public(),
        }
    }

    /// The scopes that the request would have needed, where too few of them were the reason.
    pub fn insufficient_scopes(&self) -> Vec<String> {
        let challenge = Challenged::read(&self.headers);
        if challenge.is_insufficient() { challenge.scopes } else { Vec::new() }
    }
}

/// What is known before the server is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The server's address as given.
    pub url: &'a str,
    /// How it refused a request, where it did: then it is not asked again.
    pub refusal: Option<&'a Refusal>,
    /// Of several authorization servers, one with which we have to do already goes first.
    pub is_known: &'a dyn Fn(&str) -> bool,
    /// The issuer that the metadata may name instead of the one that the server names.
    pub trusted_issuer: Option<&'a str>,
}

/// An MCP server and who signs people in there.
#[derive(Debug, Clone)]
pub struct McpServer {
    /// The resource indicator (RFC 8707): that of its metadata, else the address as given.
    pub resource: String,
    pub resource_name: Option<String>,
    /// What to ask for: the scopes of the challenge, else all of the metadata.
    pub scopes: Vec<String>,
    /// The scopes are those of the challenge.
    pub is_challenged: bool,
    /// It refused a token with too few of them (RFC 6750 §3.1).
    pub is_insufficient: bool,
    /// It takes bound tokens alone (RFC 9449).
    pub wants_proof: bool,
    pub authorization_server: AuthorizationServer,
}

#[derive(Debug, Clone)]
pub enum AuthorizationServer {
    /// `named`: the issuer by which its metadata was found.
    Described { named: String, metadata: Box<Metadata> },
    /// Nothing is published: the endpoints of MCP 2025-03-26, at the server's origin.
    Assumed { origin: String },
}

/// Finds the authorization server: by the challenge, the well-known places of RFC 9728, the metadata at
/// the server's origin (2025-03-26), and at last that revision's default endpoints.
pub async fn discover_mcp(http: &Http, question: &Question<'_>) -> Result<McpServer, Error> {
    let address = parse_url(question.url)?;
    let (probed, reach) = match question.refusal {
        Some(refusal) => (None, if refusal.from_public { Reach::Public } else { Reach::Named }),
        None => probe(http, question.url).await?,
    };
    let refusal = question.refusal.or(probed.as_ref());
    let challenge = refusal.map(|it| Challenged::read(&it.headers)).unwrap_or_default();
    let asked = Asked { http, url: question.url, address, reach };
    let protected = asked.protected_resource(&challenge).await?;
    let authorization_server = if let Some(protected) = &protected {
        choose(http, protected, question).await?
    } else {
        let was_refused = refusal.is_some_and(|it| it.status == 401);
        at_origin(&asked, question, was_refused).await?
    };
    Ok(described(question.url, &challenge, protected, authorization_server))
}

fn described(
    url: &str,
    challenge: &Challenged,
    protected: Option<ProtectedResource>,
    authorization_server: AuthorizationServer,
) -> McpServer {
    let supported = || protected.as_ref().map(|it| it.scopes_supported.clone()).unwrap_or_default();
    let is_challenged = !challenge.scopes.is_empty();
    McpServer {
        scopes: if is_challenged { challenge.scopes.clone() } else { supported() },
        is_challenged,
        is_insufficient: challenge.is_insufficient(),
        wants_proof: challenge.wants_proof
            || protected.as_ref().is_some_and(|it| it.dpop_bound_access_tokens_required),
        resource: protected.as_ref().map_or_else(|| url.to_owned(), |it| it.resource.clone()),
        resource_name: protected.and_then(|it| it.resource_name),
        authorization_server,
    }
}

/// Asks the server without a token, at no cost to it: by a ping, and by a GET where that brings no
/// refusal.
async fn probe(http: &Http, url: &str) -> Result<(Option<Refusal>, Reach), Error> {
    const BOTH: &str = "application/json, text/event-stream";
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let answer = http.send(Request::post_json(url, &ping)?.header("accept", BOTH)).await?;
    let reach = reach(&answer);
    if answer.status == 401 {
        return Ok((Some(Refusal::of(&answer)), reach));
    }
    let get = http.send(Request::get(url)?.header("accept", BOTH));
    match tokio::time::timeout(PROBE, get).await {
        Ok(Ok(answer)) if answer.status == 401 => Ok((Some(Refusal::of(&answer)), reach)),
        _ => Ok((None, reach)),
    }
}

/// Of the authorization servers that the metadata names, one that is known here, else the first that has
/// metadata of its own.
async fn choose(
    http: &Http,
    protected: &ProtectedResource,
    question: &Question<'_>,
) -> Result<AuthorizationServer, Error> {
    let mut issuers: Vec<&String> = protected.authorization_servers.iter().collect();
    if issuers.len() > 1 {
        issuers.sort_by_cached_key(|issuer| !(question.is_known)(issuer));
    }
    let mut fault = None;
    for issuer in issuers {
        let wanted = Wanted { issuer, trusted: question.trusted_issuer, revision: None };
        match discover_wanted(http, &wanted).await {
            Ok(metadata) => {
                let metadata = Box::new(metadata);
                return Ok(AuthorizationServer::Described { named: issuer.clone(), metadata });
            }
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    let nothing = || Error::NoMetadata { issuer: String::new(), tried: Vec::new() };
    Err(fault.unwrap_or_else(nothing))
}

/// A server without metadata of its own is its own authorization server.
async fn at_origin(
    asked: &Asked<'_>,
    question: &Question<'_>,
    was_refused: bool,
) -> Result<AuthorizationServer, Error> {
    let origin = asked.address.origin().ascii_serialization();
    // An origin has no standard spelling.
    let other = format!("{origin}/");
    let trusted = question.trusted_issuer;
    let path = asked.address.path().trim_end_matches('/');
    let own = (!path.is_empty()).then(|| format!("{origin}{path}"));
    let mut fault = None;
    for place in [Some(origin.clone()), own].into_iter().flatten() {
        let accepted = trusted.or(Some(&other).filter(|_| place == origin).map(String::as_str));
        let wanted = Wanted { issuer: &place, trusted: accepted, revision: Some(FIRST_REVISION) };
        match discover_wanted(asked.http, &wanted).await {
            Ok(metadata) => {
                let named = if metadata.issuer == other { other } else { place };
                let metadata = Box::new(metadata);
                return Ok(AuthorizationServer::Described { named, metadata });
            }
            Err(error @ Error::Http(_)) => return Err(error),
            Err(Error::NoMetadata { .. }) => {}
            // What is there and wrong says more than what is not there.
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    match fault {
        Some(fault) => Err(fault),
        None if was_refused => Ok(AuthorizationServer::Assumed { origin }),
        None => Err(Error::NotProtected { host: host_of(&asked.address) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::Server;

    fn refused(server: &Server, from_public: bool) -> Refusal {
        let challenge = format!("Bearer resource_metadata=\"{}\"", server.url("/meta"));
        let mut headers = HeaderMap::new();
        headers.insert("www-authenticate", challenge.parse().unwrap());
        Refusal { status: 401, headers, from_public }
    }

    fn asked(url: &str, refusal: &Refusal) -> Result<McpServer, Error> {
        let http = Http::new();
        let question =
            Question { url, refusal: Some(refusal), is_known: &|_| false, trusted_issuer: None };
        http.block_on(discover_mcp(&http, &question))
    }

    #[test]
    fn a_public_server_cannot_name_private_places() {
        let server = Server::json(200, "{}");
        let said = asked("https://mcp.example.com/mcp", &refused(&server, true)).unwrap_err();
        assert!(said.to_string().contains("no request may go to"), "{said}");
        assert!(server.received().is_empty());
    }

    #[test]
    fn a_server_that_has_refused_is_not_asked_again() {
        let server = Server::json(200, "{}");
        let said = asked(&server.url("/mcp"), &refused(&server, false)).unwrap_err();
        assert!(matches!(said, Error::Malformed { .. }), "{said}");
        let lines: Vec<String> = server.received().into_iter().map(|it| it.line).collect();
        assert_eq!(lines, ["GET /meta"]);
    }

    #[test]
    fn too_few_scopes_are_told_from_no_token() {
        let of = |challenge: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("www-authenticate", challenge.parse().unwrap());
            Refusal { status: 403, headers, from_public: false }.insufficient_scopes()
        };
        assert_eq!(of("Bearer error=\"insufficient_scope\", scope=\"a b\""), ["a", "b"]);
        assert!(of("Bearer error=\"invalid_token\", scope=\"a b\"").is_empty());
        assert!(of("Basic error=\"insufficient_scope\", scope=\"a\"").is_empty());
    }
}
