//! Protected resource metadata (RFC 9728): from the address of an API or MCP server to the authorization
//! server that it trusts. Servers without it are taken for authorization servers themselves.

use url::Url;

use super::challenge::challenges;
use super::document::{Document, looks_like_json, redirected, unavailable};
use super::{Error, Metadata, discover};
use crate::http::{Answer, Http, Reach, Request, host_of, parse_url};
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
    let address = parse_url(url)?;
    let answer = http.send(Request::get(url)?).await?;
    let challenge = challenges(&answer.headers)
        .into_iter()
        .find(|challenge| matches!(challenge.scheme.as_str(), "bearer" | "dpop"))
        .unwrap_or_default();
    let scopes = challenge.parameter("scope").unwrap_or_default();
    let challenged_scopes = scopes.split_ascii_whitespace().map(str::to_owned).collect();
    let protected = match challenge.parameter("resource_metadata") {
        Some(place) => Some(named(http, &address, url, &answer, place).await?),
        None => well_known(http, &address, url).await?,
    };
    let metadata = match &protected {
        Some(protected) => discover(http, &protected.authorization_servers[0]).await?,
        None => discover_itself(http, &address, url).await?,
    };
    Ok(Discovered { protected, challenged_scopes, metadata })
}

/// The document that the challenge names (RFC 9728 §5.1). It must be there and be good.
async fn named(
    http: &Http,
    address: &Url,
    url: &str,
    challenged: &Answer,
    place: &str,
) -> Result<ProtectedResource, Error> {
    let challenge = Document::empty(challenged);
    let found = challenge.web_address("resource_metadata", place, reach(challenged))?;
    confine_beside(http, address, &found, challenged);
    let answer = http.send(Request::get(place)?).await?;
    match answer.status {
        200 => read(http, address, url, &answer),
        300..400 => Err(redirected(&answer)),
        429 | 500.. => Err(unavailable(&answer)),
        status => Err(Error::Malformed {
            host: answer.host().to_owned(),
            what: format!("the resource metadata that it names is not there (HTTP {status})"),
        }),
    }
}

/// RFC 9728 §3.1: before the path of the resource; then for the whole host, as many servers have it.
async fn well_known(
    http: &Http,
    address: &Url,
    url: &str,
) -> Result<Option<ProtectedResource>, Error> {
    let origin = address.origin().ascii_serialization();
    let place = format!("{origin}/.well-known/oauth-protected-resource");
    let path = address.path().trim_end_matches('/');
    let mut places = vec![format!("{place}{path}"), place];
    places.dedup();
    let mut fault = None;
    for place in places {
        let answer = http.send(Request::get(&place)?).await?;
        match answer.status {
            200 if answer.is_json() || looks_like_json(&answer) => {
                match read(http, address, url, &answer) {
                    Ok(found) => return Ok(Some(found)),
                    Err(error) => fault = fault.or(Some(error)),
                }
            }
            429 | 500.. => fault = fault.or_else(|| Some(unavailable(&answer))),
            _ => {}
        }
    }
    fault.map_or(Ok(None), Err)
}

/// Reads the document. Its resource must be the address asked for or stand above it (RFC 9728 §3.3 asks
/// for the address itself; many servers name their origin).
fn read(
    http: &Http,
    address: &Url,
    url: &str,
    answer: &Answer,
) -> Result<ProtectedResource, Error> {
    let document = Document::json(answer)?;
    let resource = document.required_text("resource")?.to_owned();
    if resource != url && !covers(&resource, address) {
        let found = shown_beside(&resource, url);
        return Err(
            document.malformed(&format!("its metadata is that of {found}, not of {}", clean(url)))
        );
    }
    let authorization_servers = document.texts("authorization_servers")?.unwrap_or_default();
    if authorization_servers.is_empty() {
        return Err(document.malformed("its metadata names no authorization server"));
    }
    for server in &authorization_servers {
        let found = document.web_address("authorization_servers", server, reach(answer))?;
        confine_beside(http, address, &found, answer);
    }
    Ok(ProtectedResource {
        resource,
        resource_name: document.text("resource_name")?.map(clean),
        authorization_servers,
        scopes_supported: document.texts("scopes_supported")?.unwrap_or_default(),
    })
}

/// Whether `address` is at the resource or below it.
fn covers(resource: &str, address: &Url) -> bool {
    let Ok(resource) = parse_url(resource) else { return false };
    let above = resource.path().trim_end_matches('/');
    let below = address.path().strip_prefix(above);
    resource.origin() == address.origin()
        && resource.query().is_none()
        && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

fn reach(answer: &Answer) -> Reach {
    if answer.is_from_public() { Reach::Public } else { Reach::Named }
}

/// Another host that a public server names is asked at public addresses only.
fn confine_beside(http: &Http, address: &Url, found: &Url, answer: &Answer) {
    if answer.is_from_public() && host_of(found) != host_of(address) {
        http.confine(found);
    }
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
