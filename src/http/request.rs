//! A request on its way out. Which URLs are acceptable at all is decided here, when it is made.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::Method;
use url::{Host, Url};

use super::Error;
use super::address::{Reach, is_loopback};
use crate::secret::Secret;
use crate::text::clean;

/// A request: method, URL, headers and body. It asks for JSON unless told
/// otherwise.
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Name of a header whose value cannot stand in one; sending it is refused.
    pub(super) unfit: Option<String>,
}

impl Request {
    /// A GET. The URL must be https, or http to this machine, and without user name and password.
    pub fn get(url: &str) -> Result<Self, Error> {
        Self::new(Method::GET, url)
    }

    /// A POST of `application/x-www-form-urlencoded` pairs.
    pub fn post_form(url: &str, form: &[(&str, &str)]) -> Result<Self, Error> {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(form);
        let body = encoded.finish().into_bytes();
        Ok(Self { body, ..Self::new(Method::POST, url)? }
            .header("content-type", "application/x-www-form-urlencoded"))
    }

    /// A POST of a JSON document.
    pub fn post_json(url: &str, body: &serde_json::Value) -> Result<Self, Error> {
        let mut request = Self::new(Method::POST, url)?;
        request.body = body.to_string().into_bytes();
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    /// A POST of a JSON text as it is.
    pub fn post_text(url: &str, body: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let mut request = Self::new(Method::POST, url)?;
        request.body = body.into();
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    /// A DELETE.
    pub fn delete(url: &str) -> Result<Self, Error> {
        Self::new(Method::DELETE, url)
    }

    fn new(method: Method, url: &str) -> Result<Self, Error> {
        let url = parse_url(url)?;
        let headers =
            HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        Ok(Self { method, url, headers, body: Vec::new(), unfit: None })
    }

    /// Sets a header. An unfit value is reported when the request is sent.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.insert(HeaderName::from_static(name), value, name == AUTHORIZATION.as_str());
        self
    }

    /// Sets a header under a name that comes from configuration.
    pub fn named_header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let bad = |_| Error::BadHeader { host: self.host(), name: clean(name) };
        let name: HeaderName = name.parse().map_err(bad)?;
        self.insert(name, value, false);
        Ok(self)
    }

    /// HTTP Basic (RFC 7617) with parts that are already encoded as the server wants them.
    pub fn basic(mut self, user: &str, password: &Secret) -> Self {
        let pair = Secret::new(format!("{user}:{}", password.expose()));
        let value = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
        self.insert(AUTHORIZATION, value.expose(), true);
        self
    }

    /// Sets a header whose value is a secret, under a name that may come from configuration.
    pub fn secret_header(mut self, name: &str, value: &Secret) -> Result<Self, Error> {
        let bad = || Error::BadHeader { host: self.host(), name: clean(name) };
        let parsed: HeaderName = name.parse().map_err(|_| bad())?;
        if HeaderValue::from_str(value.expose()).is_err() {
            return Err(bad());
        }
        self.insert(parsed, value.expose(), true);
        Ok(self)
    }

    fn insert(&mut self, name: HeaderName, value: &str, sensitive: bool) {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(sensitive);
                self.headers.insert(name, value);
            }
            Err(_) => self.unfit = Some(name.to_string()),
        }
    }

    /// Host, and port where it is not the scheme's own: for messages.
    pub fn host(&self) -> String {
        host_of(&self.url)
    }
}

/// Parses a URL that requests may go to or that a browser may open: https, or http to this machine
/// (127/8, `::1`, `localhost`); no user name or password, no blanks or control characters.
pub fn parse_url(url: &str) -> Result<Url, Error> {
    let bad = |reason: &str| Error::BadUrl { url: shown(url), reason: reason.to_owned() };
    // The URL standard drops line breaks and tabs silently; then two strings would be one URL.
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(bad("it has a blank or a control character"));
    }
    let parsed = Url::parse(url).map_err(|error| bad(&error.to_string()))?;
    let host = parsed.host().ok_or_else(|| bad("it has no host"))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Error::Userinfo { host: host_of(&parsed) });
    }
    match parsed.scheme() {
        "https" => Ok(parsed),
        "http" if is_loopback(&host) => Ok(parsed),
        _ => Err(Error::NotHttps { url: shown(url) }),
    }
}

/// The same for a server that a person names, whose address is the resource of its tokens: it has no fragment
/// (RFC 8707 §2).
pub fn parse_resource(url: &str) -> Result<Url, Error> {
    let parsed = parse_url(url)?;
    match parsed.fragment() {
        None => Ok(parsed),
        Some(_) => Err(Error::Fragment { host: host_of(&parsed) }),
    }
}

/// Refuses a URL whose host is an address outside `reach`. Names are judged when they are resolved;
/// only `localhost` says by itself what it is.
pub fn check_reach(url: &Url, reach: Reach) -> Result<(), Error> {
    let (allowed, address) = match url.host() {
        Some(Host::Ipv4(v4)) => (reach.allows(IpAddr::V4(v4)), v4.to_string()),
        Some(Host::Ipv6(v6)) => (reach.allows(IpAddr::V6(v6)), v6.to_string()),
        Some(Host::Domain(name)) => (name != "localhost" || reach == Reach::Named, name.to_owned()),
        None => (true, String::new()),
    };
    if allowed { Ok(()) } else { Err(Error::ForbiddenAddress { host: host_of(url), address }) }
}

/// Host of a URL, with its port where that is not the scheme's own: for messages.
pub fn host_of(url: &Url) -> String {
    let host = clean(url.host_str().unwrap_or_default());
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// A URL for messages: without user name, query and fragment, where secrets stand.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => clean(&format!("{scheme}://{rest}")),
        (None, Some((_, rest))) => clean(rest),
        (_, None) => clean(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_machine_are_acceptable() {
        for url in [
            "https://example.com/token",
            "https://10.0.0.1/",
            "http://127.0.0.1:8080/x",
            "http://127.8.8.8/",
            "http://[::1]:9/",
            "http://localhost/",
            "http://2130706433/",
        ] {
            assert!(parse_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://example.com/",
            "http://192.168.1.1/",
            "http://localhost.example.com/",
            "http://0.0.0.0/",
            "ftp://example.com/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert!(matches!(parse_url(url), Err(Error::NotHttps { .. })), "{url}");
        }
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        for url in [
            "",
            "example.com",
            "/token",
            "https://",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://exa\nmple.com/",
            " https://example.com/",
            "https://example.com/\u{1b}[31m",
        ] {
            assert!(matches!(parse_url(url), Err(Error::BadUrl { .. })), "{url:?}");
        }
    }

    #[test]
    fn a_name_or_password_in_the_url_is_refused_and_not_repeated() {
        for url in ["https://user@example.com/", "https://user:hunter2@example.com/?q=hunter2"] {
            let refusal = parse_url(url).unwrap_err();
            assert_eq!(refusal, Error::Userinfo { host: "example.com".into() });
        }
        let refusal = parse_url("ftp://u:hunter2@example.com/a?code=hunter2#hunter2").unwrap_err();
        assert!(!format!("{refusal} {refusal:?}").contains("hunter2"), "{refusal}");
        let refusal = parse_url("http://u:hunter2@exa mple/?code=hunter2").unwrap_err();
        assert!(!format!("{refusal} {refusal:?}").contains("hunter2"), "{refusal}");
    }

    #[test]
    fn a_resource_with_a_fragment_is_refused_and_not_repeated() {
        assert!(parse_resource("https://example.com/mcp?x=1").is_ok());
        for url in ["https://example.com/mcp#access_token=hunter2", "https://example.com/mcp#"] {
            let refusal = parse_resource(url).unwrap_err();
            assert_eq!(refusal, Error::Fragment { host: "example.com".into() });
        }
        assert!(parse_resource("http://example.com/").is_err());
    }

    #[test]
    fn odd_spellings_of_addresses_are_judged_as_the_address() {
        let check = |url: &str, reach| check_reach(&parse_url(url).unwrap(), reach);
        for url in [
            "https://2852039166/",
            "https://0251.0376.0251.0376/",
            "https://0xa9fea9fe/",
            "https://169.254.43518/",
            "https://[::ffff:169.254.169.254]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://[fe80::1]/",
            "https://0/",
        ] {
            for reach in [Reach::Named, Reach::Public] {
                let refusal = check(url, reach);
                assert!(matches!(refusal, Err(Error::ForbiddenAddress { .. })), "{url} {reach:?}");
            }
        }
        for url in [
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://0x7f.1/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::1]/",
            "https://localhost/",
            "https://10.1/",
            "https://[::ffff:10.0.0.1]/",
        ] {
            assert!(check(url, Reach::Named).is_ok(), "{url}");
            assert!(check(url, Reach::Public).is_err(), "{url}");
        }
        assert!(check("https://8.8.8.8/", Reach::Public).is_ok());
    }

    #[test]
    fn secrets_in_headers_are_marked_as_such() {
        let request = Request::get("https://example.com/").unwrap();
        let request = request.basic("me", &Secret::new("hunter2"));
        assert!(!format!("{:?}", request.headers).contains("hunter2"));
        let request = Request::get("https://example.com/").unwrap();
        let request = request.secret_header("x-api-key", &Secret::new("hunter2")).unwrap();
        assert!(!format!("{:?}", request.headers).contains("hunter2"));
        let refused = Request::get("https://example.com/")
            .unwrap()
            .secret_header("x-api-key", &Secret::new("hunter2\r\nx: y"));
        let Err(refusal) = refused else { panic!("accepted") };
        assert!(!format!("{refusal:?}").contains("hunter2"));
    }
}
