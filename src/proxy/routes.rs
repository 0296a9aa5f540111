//! From the path of a request to the address that it stands for: `/<name>/rest` is `<base URL>/rest`.

use std::rc::Rc;

use hyper::Uri;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};

use super::code::Code;
use super::refusal::Refusal;

/// What stands for an address.
#[derive(Debug, Clone)]
pub struct Route {
    /// The first part of the path: `openai`, `github:work`, `asana+mcp`.
    pub name: String,
    /// The credential for it, by its index.
    pub credential: usize,
    pub upstream: Upstream,
}

/// A base URL in parts.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub scheme: Scheme,
    pub authority: Authority,
    /// Without a slash at its end.
    pub path: String,
}

impl Upstream {
    /// A URL of the configuration, which was checked there.
    pub fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let path = uri.path().trim_end_matches('/').to_owned();
        Some(Self { scheme: uri.scheme()?.clone(), authority: uri.authority()?.clone(), path })
    }

    /// The address that `rest`, with its query, has here.
    fn join(&self, rest: &str, query: Option<&str>) -> Option<Uri> {
        let query = query.map(|query| ["?", query]).unwrap_or_default();
        let is_empty = self.path.is_empty() && rest.is_empty();
        let rest = if is_empty { "/" } else { rest };
        let text = [&self.path, rest, query[0], query[1]].concat();
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// Finds the route of a path, and the address.
pub fn find<'a>(
    routes: &'a [Rc<Route>],
    path: &str,
    query: Option<&str>,
) -> Result<(&'a Rc<Route>, Uri), Refusal> {
    let (name, rest) = match path[1..].find('/') {
        Some(end) => path.split_at(end + 1),
        None => (path, ""),
    };
    let Some(route) = routes.iter().find(|route| route.name == name[1..]) else {
        return Err(unknown(routes, &name[1..]));
    };
    if has_dot_segment(rest) {
        return Err(Refusal::new(Code::PathUnsafe, "the path has a segment . or .."));
    }
    let uri = route.upstream.join(rest, query);
    let uri = uri.ok_or_else(|| Refusal::new(Code::PathUnfit, "the path is not one of a URL"))?;
    Ok((route, uri))
}

fn unknown(routes: &[Rc<Route>], name: &str) -> Refusal {
    let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
    // Behind a tilde stands a secret.
    let name = if name.starts_with('~') { "~…" } else { name };
    let message = format!("no credential is served at /{name}; there is /{}", names.join(", /"));
    let refusal = Refusal::new(Code::RouteUnknown, message);
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte));
    let name = if is_name { name } else { "NAME" };
    refusal.hint(format!("authctl proxy --with {name}"))
}

/// Whether a segment leads to another place than it seems to (RFC 3986 §5.2.4), also where it is encoded.
fn has_dot_segment(path: &str) -> bool {
    let may = path.contains("/.") || path.contains('%') || path.contains('\\');
    may && path.split(['/', '\\']).any(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        let plain =
            plain.replace("%2f", "/").replace("%2F", "/").replace("%5c", "/").replace("%5C", "/");
        plain.split('/').any(|part| part == "." || part == "..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Vec<Rc<Route>> {
        let route = |name: &str, url| {
            let upstream = Upstream::parse(url).unwrap();
            Rc::new(Route { name: name.to_owned(), credential: 0, upstream })
        };
        vec![
            route("openai", "https://api.openai.com/v1"),
            route("github:work", "https://api.github.com"),
            route("slash", "https://example.com/a/"),
        ]
    }

    fn at(path: &str, query: Option<&str>) -> Result<String, &'static str> {
        let routes = routes();
        let found = find(&routes, path, query);
        found.map(|(_, uri)| uri.to_string()).map_err(|refusal| refusal.code.as_str())
    }

    #[test]
    fn a_path_stands_for_the_base_url() {
        let chat = at("/openai/chat/completions", Some("a=%20b"));
        assert_eq!(chat.unwrap(), "https://api.openai.com/v1/chat/completions?a=%20b");
        assert_eq!(at("/openai", None).unwrap(), "https://api.openai.com/v1");
        assert_eq!(at("/github:work", None).unwrap(), "https://api.github.com/");
        assert_eq!(at("/github:work/", None).unwrap(), "https://api.github.com/");
        assert_eq!(at("/slash/b//c", None).unwrap(), "https://example.com/a/b//c");
        for path in ["/", "/openaix", "/github", "/OPENAI/x"] {
            assert_eq!(at(path, None), Err("route_unknown"), "{path}");
        }
    }

    #[test]
    fn no_path_leaves_its_base() {
        for rest in [
            "..",
            "a/../..",
            "%2e%2e/x",
            "%2E./x",
            ".",
            "a/.%2e",
            "a%2f..%2fb",
            "a\\..\\b",
            "%5c..%5c",
        ] {
            assert_eq!(at(&format!("/openai/{rest}"), None), Err("path_unsafe"), "{rest}");
        }
        for rest in ["...", ".well-known/x", "a..b", "%2e%2ex", "a%2fb"] {
            assert!(at(&format!("/openai/{rest}"), None).is_ok(), "{rest}");
        }
    }
}
