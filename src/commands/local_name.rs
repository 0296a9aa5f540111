//! The name that a server gets here: from its host, as short as it can be told.

use url::{Host, Url};

use crate::credential::is_part;

/// First labels of a host that say what it does, not whose it is.
const ROLES: [&str; 12] = [
    "accounts", "api", "app", "auth", "gateway", "id", "idp", "login", "mcp", "oauth", "sso", "www",
];
/// Second-level labels under which names are registered, as in `example.co.uk`.
const REGISTRIES: [&str; 6] = ["ac", "co", "com", "gov", "net", "org"];

/// A short local name for the host of `url`: `linear` for `https://mcp.linear.app/mcp`.
pub fn short_name(url: &Url) -> Option<String> {
    let host = match url.host()? {
        Host::Domain(host) => host.to_ascii_lowercase(),
        Host::Ipv4(_) | Host::Ipv6(_) => return long_name(url),
    };
    let mut labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
    if labels.len() > 1 {
        labels.pop();
    }
    if labels.len() > 1 && labels.last().is_some_and(|last| REGISTRIES.contains(last)) {
        labels.pop();
    }
    while labels.len() > 1 && ROLES.contains(&labels[0]) {
        labels.remove(0);
    }
    labels.last().map(|label| (*label).to_owned()).filter(|name| is_part(name))
}

/// The whole host, and its port where it is unusual: `mcp.linear.app`, `127.0.0.1-8080`.
pub fn long_name(url: &Url) -> Option<String> {
    let host = url.host_str()?.trim_matches(['[', ']']).replace(':', "-").to_ascii_lowercase();
    let port = url.port().map_or(String::new(), |port| format!("-{port}"));
    Some(format!("{host}{port}")).filter(|name| is_part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_by_whose_it_is() {
        for (url, short, long) in [
            ("https://mcp.linear.app/mcp", "linear", "mcp.linear.app"),
            ("https://example.com", "example", "example.com"),
            ("https://api.auth.example.co.uk/", "example", "api.auth.example.co.uk"),
            ("https://team.example.com/x", "example", "team.example.com"),
            ("https://id.com/", "id", "id.com"),
            ("http://localhost:8080/mcp", "localhost", "localhost-8080"),
            ("http://127.0.0.1:8080/mcp", "127.0.0.1-8080", "127.0.0.1-8080"),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(short_name(&url).as_deref(), Some(short), "{url}");
            assert_eq!(long_name(&url).as_deref(), Some(long), "{url}");
        }
    }
}
