//! Which requests may go out with a credential: what is denied never, and where something is allowed, nothing
//! else.

use hyper::{Method, Uri};
use percent_encoding::percent_decode_str;
use wildmatch::WildMatch;

use super::Refusal;
use super::code::Code;
use crate::config::{ProxyRule, RequestPattern};

#[derive(Debug, Clone, Default)]
pub struct Rules {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    method: WildMatch,
    host: WildMatch,
    path: WildMatch,
}

impl Rules {
    pub fn new(rule: &ProxyRule) -> Self {
        let read = |patterns: &[RequestPattern]| patterns.iter().map(Pattern::new).collect();
        Self { allow: read(&rule.allow), deny: read(&rule.deny) }
    }

    /// Refuses what the user does not want to be sent with the credential `name`.
    pub fn check(&self, name: &str, method: &Method, uri: &Uri) -> Result<(), Refusal> {
        if self.allow.is_empty() && self.deny.is_empty() {
            return Ok(());
        }
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let path = plain(uri.path()).ok_or_else(|| {
            Refusal::new(Code::PathUnsafe, "the path can be read in more than one way")
        })?;
        let matches = |patterns: &[Pattern]| {
            patterns.iter().any(|pattern| pattern.matches(method.as_str(), &host, &path))
        };
        if !matches(&self.deny) && (self.allow.is_empty() || matches(&self.allow)) {
            return Ok(());
        }
        let message = format!("{method} {host}{path} is not allowed with the credential {name}");
        let refusal = Refusal::new(Code::RuleDenied, message);
        Err(refusal.hint(format!(
            "--allow, --deny, or [proxy.\"{name}\"] in config.toml  (man authctl-config)"
        )))
    }
}

impl Pattern {
    fn new(written: &RequestPattern) -> Self {
        let read = |text: &str| WildMatch::new(text);
        Self { method: read(&written.method), host: read(&written.host), path: read(&written.path) }
    }

    fn matches(&self, method: &str, host: &str, path: &str) -> bool {
        self.method.matches(method) && self.host.matches(host) && self.path.matches(path)
    }
}

/// The path as servers understand it: decoded, with single slashes. `None` where they may not agree (RFC 3986
/// §6.2.2, §5.2.4).
fn plain(path: &str) -> Option<String> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let has_odd =
        path.contains("%2f") || path.contains("%2F") || decoded.contains(['\\', '\0', '%', ';']);
    let mut segments = decoded.split('/').skip(1).filter(|segment| !segment.is_empty());
    if has_odd || segments.clone().any(|segment| segment == "." || segment == "..") {
        return None;
    }
    let mut plain: String = segments.by_ref().flat_map(|segment| ["/", segment]).collect();
    if decoded.ends_with('/') || plain.is_empty() {
        plain.push('/');
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        let read =
            |all: &[&str]| all.iter().map(|text| RequestPattern::parse(text).unwrap()).collect();
        let rule = ProxyRule { allow: read(allow), deny: read(deny), ..ProxyRule::default() };
        Rules::new(&rule)
    }

    fn code(rules: &Rules, method: &str, uri: &str) -> Option<&'static str> {
        let (method, uri) = (method.parse().unwrap(), uri.parse().unwrap());
        rules.check("x", &method, &uri).err().map(|refusal| refusal.code.as_str())
    }

    #[test]
    fn what_is_not_allowed_or_denied_is_refused() {
        let own = rules(&["GET /v1/*", "POST api.x.example/v1/chat"], &["* /v1/keys*"]);
        assert_eq!(code(&own, "GET", "https://api.x.example/v1/models?a=b"), None);
        assert_eq!(code(&own, "POST", "https://API.x.example/v1/chat"), None);
        for (method, uri) in [
            ("DELETE", "https://api.x.example/v1/models"),
            ("POST", "https://b.x.example/v1/chat"),
            ("GET", "https://api.x.example/v2"),
            ("GET", "https://api.x.example/v1/keys/1"),
            ("GET", "https://api.x.example/v1/%6beys"),
            ("GET", "https://api.x.example//v1//keys"),
        ] {
            assert_eq!(code(&own, method, uri), Some("rule_denied"), "{method} {uri}");
        }
        for path in ["/v1/x/../keys", "/v1/%2e%2e/keys", "/v1%2fkeys", "/v1/x;y", "/v1/%256beys"] {
            let uri = format!("https://api.x.example{path}");
            assert_eq!(code(&own, "GET", &uri), Some("path_unsafe"), "{path}");
        }
        assert_eq!(code(&rules(&[], &[]), "GET", "https://x.example/a/../b"), None);
    }
}
