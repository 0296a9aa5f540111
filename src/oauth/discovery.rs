//! Finding the metadata of an issuer: RFC 8414 §3 first, then OpenID Connect Discovery's places, for
//! every rung of the ladder is missing on some well-known server.

use super::document::{looks_like_json, unavailable};
use super::{Error, Metadata};
use crate::http::{Answer, Http, Request, host_of, parse_url};
use crate::text::clean;

/// Finds the metadata of `issuer` (an https URL without query and fragment). A document of another
/// issuer, or an ambiguous one, is never used; the first such fault is reported when nothing better
/// is found. A server that cannot be reached ends the search.
pub async fn discover(http: &Http, issuer: &str) -> Result<Metadata, Error> {
    let places = places(issuer)?;
    let mut found: Option<Metadata> = None;
    let mut fault = None;
    for place in &places {
        match (look(http, issuer, place).await, &mut found) {
            (Ok(Some(metadata)), None) => found = Some(metadata),
            (Ok(Some(metadata)), Some(found)) => found.complete_from(metadata),
            (Ok(None), _) => {}
            // What is found stays good, whatever the next place answers.
            (Err(_), Some(_)) => break,
            (Err(error @ Error::Http(_)), None) => return Err(error),
            (Err(error), None) => fault = fault.or(Some(error)),
        }
        if found.as_ref().is_some_and(|metadata| !metadata.is_partial()) {
            break;
        }
    }
    let nothing = || Error::NoMetadata { issuer: clean(issuer), tried: places };
    found.ok_or_else(|| fault.unwrap_or_else(nothing))
}

/// Looks in one place. `Ok(None)`: there is nothing that was meant as metadata.
async fn look(http: &Http, issuer: &str, place: &str) -> Result<Option<Metadata>, Error> {
    let answer = http.send(Request::get(place)?).await?;
    match answer.status {
        200 if is_document(&answer) => Metadata::read(http, issuer, &answer).map(Some),
        429 | 500.. => Err(unavailable(&answer)),
        _ => Ok(None),
    }
}

/// A server that answers every path with its web page has no metadata there.
fn is_document(answer: &Answer) -> bool {
    answer.is_json() || looks_like_json(answer)
}

/// The places where the metadata of `issuer` may be, in order.
fn places(issuer: &str) -> Result<Vec<String>, Error> {
    let url = parse_url(issuer)?;
    if url.query().is_some() || url.fragment().is_some() {
        let what = "an issuer has no query and no fragment".to_owned();
        return Err(Error::Unsupported { host: host_of(&url), what });
    }
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    Ok(places)
}
