//! Protected resource metadata (RFC 9728): from the address of an API or MCP server to the authorization
//! server that it trusts. Servers without it are taken for authorization servers themselves.

use hyper::HeaderMap;
use url::Url;

use super::challenge::{Challenge, challenges};
use super::document::{Document, looks_like_json, redirected, unavailable};
use super::{Error, Metadata, discover};
use crate::http::{Answer, Http, Reach, Request, check_reach, host_of, parse_url};
use crate::text::{clean, shown_beside};

/// What a protected resource says about itself. Texts are the strings received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedResource {
    /// The resource indicator (RFC 8707) for its tokens.
    pub resource: String,
    pub resource_name: Option<String>,
    /// Issuers, never empty.
    pub authorization_servers: Vec<String>,
    pub scopes_supported: Vec<String>,
    /// RFC 9449: plain bearer tokens are refused.
    pub dpop_bound_access_tokens_required: bool,
}

/// The authorization server behind an address.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// `None`: the address is that of the authorization server itself.
    pub protected: Option<ProtectedResource>,
    /// Scopes that a request without a token was told to bring (RFC 6750 §3).
    pub challenged_scopes: Vec<String>,
    pub metadata: Metadata,
}

/// Asks `url`, without a token, who signs people in there: by the challenge of its answer, by the
/// well-known places of RFC 9728 §3.1, and at last as an issuer.
pub async fn discover_from(http: &Http, url: &str) -> Result<Discovered, Error> {
    let answer = http.send(Request::get(url)?).await?;
    let challenge = Challenged::read(&answer.headers);
    let asked = Asked { http, url, address: parse_url(url)?, reach: reach(&answer) };
    let protected = asked.protected_resource(&challenge).await?;
    let metadata = match &protected {
        Some(protected) => discover(http, &protected.authorization_servers[0]).await?,
        None => discover_itself(http, &asked.address, url).await?,
    };
    Ok(Discovered { protected, challenged_scopes: challenge.scopes, metadata })
}

/// What the challenges of an answer say together; the first of each word counts.
#[derive(Debug, Default)]
pub(super) struct Challenged {
    pub resource_metadata: Option<String>,
    pub scopes: Vec<String>,
    /// RFC 6750 §3.1.
    pub error: Option<String>,
    /// Only proofs of possession are asked for (RFC 9449 §7.1).
    pub wants_proof: bool,
    /// A challenge names one parameter twice (RFC 9110 §11.2 forbids it).
    pub is_ambiguous: bool,
}

impl Challenged {
    pub fn read(headers: &HeaderMap) -> Self {
        let all = challenges(headers);
        let ours = || all.iter().filter(|it| matches!(it.scheme.as_str(), "bearer" | "dpop"));
        let first = |name| ours().find_map(|it| it.parameter(name));
        let scopes = first("scope").unwrap_or_default();
        Self {
            resource_metadata: first("resource_metadata").map(str::to_owned),
            scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            error: first("error").map(str::to_owned),
            is_ambiguous: ours().any(Challenge::is_ambiguous),
            wants_proof: ours().next().is_some() && ours().all(|it| it.scheme == "dpop"),
        }
    }

    /// RFC 6750 §3.1.
    pub fn is_insufficient(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

/// The resource that was asked, and where it is.
pub(super) struct Asked<'a> {
    pub http: &'a Http,
    /// As given.
    pub url: &'a str,
    pub address: Url,
    /// What it names must be on the internet if it is itself.
    pub reach: Reach,
}

impl Asked<'_> {
    /// Its metadata: where the challenge says, else at the well-known places.
    pub async fn protected_resource(
        &self,
        challenge: &Challenged,
    ) -> Result<Option<ProtectedResource>, Error> {
        if challenge.is_ambiguous {
            return Err(Error::Malformed {
                host: host_of(&self.address),
                what: "its challenge repeats a parameter".to_owned(),
            });
        }
        match &challenge.resource_metadata {
            Some(place) => self.named(place).await.map(Some),
            None => self.well_known().await,
        }
    }

    /// The document that the challenge names (RFC 9728 §5.1). It must be there and be good.
    async fn named(&self, place: &str) -> Result<ProtectedResource, Error> {
        let host = host_of(&self.address);
        let found = parse_url(place).and_then(|url| check_reach(&url, self.reach).map(|()| url));
        let found = found.map_err(|error| Error::Malformed {
            host: host.clone(),
            what: format!("resource_metadata: {error}"),
        })?;
        self.confine_beside(&found, self.reach);
        let answer = self.http.send(Request::get(place)?).await?;
        match answer.status {
            200 => self.read(&answer),
            300..400 => Err(redirected(&answer)),
            429 | 500.. => Err(unavailable(&answer)),
            status => Err(Error::Malformed {
                host: answer.host().to_owned(),
                what: format!("the resource metadata that it names is not there (HTTP {status})"),
            }),
        }
    }

    /// RFC 9728 §3.1: before the path of the resource; then for the whole host, as many servers have it.
    async fn well_known(&self) -> Result<Option<ProtectedResource>, Error> {
        let origin = self.address.origin().ascii_serialization();
        let place = format!("{origin}/.well-known/oauth-protected-resource");
        let path = self.address.path().trim_end_matches('/');
        let mut places = vec![format!("{place}{path}"), place];
        places.dedup();
        let mut fault = None;
        for place in places {
            let answer = self.http.send(Request::get(&place)?).await?;
            match answer.status {
                200 if answer.is_json() || looks_like_json(&answer) => match self.read(&answer) {
                    Ok(found) => return Ok(Some(found)),
                    Err(error) => fault = fault.or(Some(error)),
                },
                429 | 500.. => fault = fault.or_else(|| Some(unavailable(&answer))),
                _ => {}
            }
        }
        fault.map_or(Ok(None), Err)
    }

    /// Reads the document. Its resource must be the address asked for or stand above it (RFC 9728 §3.3
    /// asks for the address itself; many servers name their origin).
    fn read(&self, answer: &Answer) -> Result<ProtectedResource, Error> {
        let document = Document::json(answer)?;
        let resource = document.required_text("resource")?.to_owned();
        if resource != self.url && !covers(&resource, &self.address) {
            let found = shown_beside(&resource, self.url);
            let asked = clean(self.url);
            return Err(
                document.malformed(&format!("its metadata is that of {found}, not of {asked}"))
            );
        }
        let authorization_servers = document.texts("authorization_servers")?.unwrap_or_default();
        if authorization_servers.is_empty() {
            return Err(document.malformed("its metadata names no authorization server"));
        }
        for server in &authorization_servers {
            let found = document.web_address("authorization_servers", server, reach(answer))?;
            self.confine_beside(&found, reach(answer));
        }
        Ok(ProtectedResource {
            resource,
            resource_name: document.text("resource_name")?.map(clean),
            authorization_servers,
            scopes_supported: document.texts("scopes_supported")?.unwrap_or_default(),
            dpop_bound_access_tokens_required: document
                .flag("dpop_bound_access_tokens_required")?,
        })
    }

    /// Another host that a public server names is asked at public addresses only.
    fn confine_beside(&self, found: &Url, reach: Reach) {
        if reach == Reach::Public && host_of(found) != host_of(&self.address) {
            self.http.confine(found);
        }
    }
}

/// Whether `address` is at the resource or below it.
fn covers(resource: &str, address: &Url) -> bool {
    // It is compared as a text later on, and must mean the same there.
    if has_dots(resource) {
        return false;
    }
    let Ok(resource) = parse_url(resource) else { return false };
    let above = resource.path().trim_end_matches('/');
    let below = address.path().strip_prefix(above);
    resource.origin() == address.origin()
        && resource.query().is_none()
        && resource.fragment().is_none()
        && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// Whether an address has segments that lead elsewhere (RFC 3986 §5.2.4).
fn has_dots(address: &str) -> bool {
    let plain = address.to_ascii_lowercase().replace("%2e", ".");
    plain.split(['/', '\\', '?', '#']).any(|segment| matches!(segment, "." | ".."))
}

pub(super) fn reach(answer: &Answer) -> Reach {
    if answer.is_from_public() { Reach::Public } else { Reach::Named }
}

/// The metadata of `url` as an issuer: as it was written, with the other choice of a slash at its end, and
/// without its path, as before RFC 9728. Each is compared byte for byte.
async fn discover_itself(http: &Http, address: &Url, url: &str) -> Result<Metadata, Error> {
    let base = url.split(['?', '#']).next().unwrap_or_default();
    let other = match base.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{base}/"),
    };
    let origin = address.origin().ascii_serialization();
    let mut tried = Vec::new();
    let mut fault = None;
    for issuer in [base.to_owned(), other, origin.clone(), format!("{origin}/")] {
        if tried.contains(&issuer) {
            continue;
        }
        match discover(http, &issuer).await {
            Ok(metadata) => return Ok(metadata),
            Err(error @ Error::Http(_)) => return Err(error),
            Err(error @ Error::NoMetadata { .. }) => fault = fault.or(Some(error)),
            // What is there and wrong says more than what is not there.
            Err(error) if !matches!(fault, None | Some(Error::NoMetadata { .. })) => drop(error),
            Err(error) => fault = Some(error),
        }
        tried.push(issuer);
    }
    Err(fault.unwrap_or(Error::NoMetadata { issuer: clean(url), tried }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_stands_above_what_is_below_its_path_alone() {
        let address = Url::parse("https://mcp.example.com/v1/mcp").unwrap();
        for above in [
            "https://mcp.example.com",
            "https://mcp.example.com/",
            "https://mcp.example.com/v1",
            "https://mcp.example.com/v1/mcp/",
            "https://mcp.example.com:443/v1",
        ] {
            assert!(covers(above, &address), "{above}");
        }
        for other in [
            "https://example.com",
            "https://mcp.example.com:8443/",
            "https://mcp.example.com/v",
            "https://mcp.example.com/v1/mcp/tools",
            "https://mcp.example.com/v1?x=y",
            "http://mcp.example.com/v1",
            "urn:x",
        ] {
            assert!(!covers(other, &address), "{other}");
        }
    }
}
