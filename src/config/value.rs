//! Single values of the configuration, checked: URLs, hosts, headers, environment variables, scopes.
//! Every function takes a value with its place and answers with what it means or what is wrong.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use toml::Spanned;
use url::{Host, Url};

use super::file::Problem;
use crate::credential::{Kind, Name};
use crate::oauth::check_metadata_url;

/// The header that carries a credential. `format` has exactly one of `{key}`, `{token}`, `{basic}`:
/// an API key; a bearer or access token; `user:password` in base64 (RFC 7617 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub format: String,
}

/// The place in a header's format for a credential of this kind.
pub fn placeholder(kind: Kind) -> &'static str {
    match kind {
        Kind::ApiKey => "{key}",
        Kind::Bearer | Kind::OAuth => "{token}",
        Kind::Basic => "{basic}",
    }
}

/// Says what is wrong and not what stands there: a secret may have been put in the wrong place.
fn problem(value: &Spanned<String>, what: &str) -> Problem {
    Problem::new(value.span(), what)
}

/// An https URL, or http to a loopback address, as it was written.
pub fn url(value: &Spanned<String>) -> Result<String, Problem> {
    parse_url(value).map(|_| value.get_ref().clone())
}

pub fn optional_url(value: Option<&Spanned<String>>) -> Result<Option<String>, Problem> {
    value.map(url).transpose()
}

fn parse_url(value: &Spanned<String>) -> Result<Url, Problem> {
    let text = value.get_ref();
    if !text.bytes().all(|byte| matches!(byte, b'!'..=b'~'))
        || text.contains(['{', '}', '\\', '"', '<', '>'])
    {
        return Err(problem(value, "is not a URL: it has a character that a URL cannot have"));
    }
    let url =
        Url::parse(text).map_err(|error| problem(value, &format!("is not a URL: {error}")))?;
    let plain_allowed = url.scheme() == "http" && url.host().is_some_and(|host| is_loopback(&host));
    if url.scheme() != "https" && !plain_allowed {
        return Err(problem(value, "does not begin with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(problem(value, "has a user name or password, which no URL here may have"));
    }
    if url.fragment().is_some() {
        return Err(problem(value, "has a fragment"));
    }
    Ok(url)
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
    }
}

/// An issuer identifier (RFC 8414 §2): a URL without query, kept byte for byte.
pub fn issuer(value: &Spanned<String>) -> Result<String, Problem> {
    if parse_url(value)?.query().is_some() {
        return Err(problem(value, "is not an issuer: it has a query"));
    }
    Ok(value.get_ref().clone())
}

/// The URL of a document about our client, which is a `client_id`.
pub fn client_metadata_url(value: &Spanned<String>) -> Result<String, Problem> {
    match check_metadata_url(value.get_ref()) {
        Ok(()) => visible(value),
        Err(what) => Err(problem(value, what)),
    }
}

/// A URL with places for what a server answers, as in `https://api.example/tickets/{id}`; none of them in
/// the host.
pub fn template(value: &Spanned<String>) -> Result<String, Problem> {
    let text = value.get_ref();
    let (head, tail) =
        text.split_once('{').map_or((&**text, None), |(head, tail)| (head, Some(tail)));
    if tail.is_some() && head.splitn(4, '/').count() < 4 {
        return Err(problem(value, "names no host before its first place"));
    }
    let mut filled = head.to_owned();
    for part in tail.into_iter().flat_map(|tail| tail.split('{')) {
        match part.split_once('}') {
            Some((name, rest)) if is_member(name) => filled = format!("{filled}x{rest}"),
            _ => return Err(problem(value, "has a place that is not {member}")),
        }
    }
    parse_url(&Spanned::new(value.span(), filled)).map(|_| text.clone())
}

/// Whether the text is one place and nothing else: `{member}`.
pub fn is_placeholder(text: &str) -> bool {
    let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(is_member)
}

fn is_member(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A resource indicator (RFC 8707 §2): an absolute URI without fragment, kept byte for byte.
pub fn resource(value: &Spanned<String>) -> Result<String, Problem> {
    match Url::parse(value.get_ref()) {
        Ok(url) if url.fragment().is_none() => Ok(value.get_ref().clone()),
        Ok(_) => Err(problem(value, "has a fragment")),
        Err(error) => Err(problem(value, &format!("is not an absolute URI: {error}"))),
    }
}

/// `api.example.com`, `127.0.0.1:8080`, `[::1]:8080`: a host in lower case, and a port where it is
/// not that of https.
pub fn host(value: &Spanned<String>) -> Result<String, Problem> {
    let refused = || problem(value, "is not a host such as api.example.com or 127.0.0.1:8080");
    let url = Url::parse(&format!("https://{}/", value.get_ref())).map_err(|_| refused())?;
    let authority = authority(&url).ok_or_else(refused)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    let as_written = authority == *value.get_ref() && authority.bytes().all(plain);
    if as_written { Ok(authority) } else { Err(refused()) }
}

/// Host and port of a URL, without the port where it is the scheme's own.
pub fn authority(url: &Url) -> Option<String> {
    let host = url.host()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    })
}

/// `Name: format`, as in `Authorization: Bearer {token}`.
pub fn header(value: &Spanned<String>, kind: Kind) -> Result<Header, Problem> {
    let Some((name, format)) = value.get_ref().split_once(": ") else {
        return Err(problem(value, "is not a header such as \"x-api-key: {key}\""));
    };
    if name.is_empty() || !name.bytes().all(is_tchar) {
        return Err(problem(value, "has no header name before the colon"));
    }
    if FRAMING.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(problem(value, "is a header that carries no credential"));
    }
    let wanted = placeholder(kind);
    let rest = format.replacen(wanted, "", 1);
    if rest.len() == format.len() || rest.contains(['{', '}']) {
        let kind = kind.as_str();
        return Err(problem(value, &format!("needs {wanted} exactly once, being for {kind}")));
    }
    if format.trim() != format || !format.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(problem(value, "has a character that a header cannot have"));
    }
    Ok(Header { name: name.to_owned(), format: format.to_owned() })
}

/// A header beside the credential's: none that carries one, none that frames the message.
pub fn plain_header(
    name: &Spanned<String>,
    text: &Spanned<String>,
    credential: &Header,
) -> Result<(), Problem> {
    let is = |other: &str| name.get_ref().eq_ignore_ascii_case(other);
    if name.get_ref().is_empty() || !name.get_ref().bytes().all(is_tchar) {
        return Err(problem(name, "is not the name of a header"));
    }
    if FRAMING.iter().chain(&SECRET).any(|reserved| is(reserved)) || is(&credential.name) {
        return Err(problem(name, "is a header that cannot be set here"));
    }
    visible(text).map(drop)
}

/// Headers that carry credentials.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Whether a header carries a credential.
pub fn is_secret_header(name: &str) -> bool {
    SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// The header where the table gives none (RFC 6750 §2.1, RFC 7617 §2).
pub fn default_header(kind: Kind) -> Header {
    let scheme = if kind == Kind::Basic { "Basic" } else { "Bearer" };
    Header { name: "Authorization".into(), format: format!("{scheme} {}", placeholder(kind)) }
}

/// Headers that frame the message or name its target.
const FRAMING: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// A name of a header that a bridge may add to the requests of MCP: none that frames the message or belongs to
/// the connection (RFC 9110 §7.6.1), and none that the transport itself sets.
pub fn is_mcp_extra(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_own = ["mcp-", "content-", "proxy-"].iter().any(|start| name.starts_with(start))
        || ["accept", "accept-encoding", "keep-alive", "last-event-id"].contains(&name.as_str());
    !name.is_empty() && name.bytes().all(is_tchar) && !is_own && !FRAMING.contains(&name.as_str())
}

/// The same for the configuration.
pub fn mcp_extra(name: &Spanned<String>) -> Result<(), Problem> {
    if is_mcp_extra(name.get_ref()) {
        return Ok(());
    }
    Err(problem(name, "is not the name of a header that can be set here"))
}

/// The path of a URL from its slash on, without query, empty segments or ones that lead elsewhere.
pub fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment = |segment: &str| !["", ".", ".."].contains(&segment) && segment.bytes().all(plain);
    text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
}

/// RFC 9110 §5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A scope token (RFC 6749 §3.3).
pub fn scope(value: &Spanned<String>) -> Result<String, Problem> {
    let text = value.get_ref();
    let fits = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    if text.is_empty() || !text.bytes().all(fits) {
        return Err(problem(value, "is not a scope; each stands as a text of its own"));
    }
    Ok(text.clone())
}

/// An absolute path, or one below the home directory, as in `~/keys/robot.pem`.
pub fn path(value: &Spanned<String>) -> Result<PathBuf, Problem> {
    let written = Path::new(value.get_ref());
    let path = match written.strip_prefix("~") {
        Ok(below) => std::env::home_dir().map(|home| home.join(below)),
        Err(_) => Some(written.to_owned()),
    };
    path.filter(|path| path.is_absolute() && !value.get_ref().contains('\0'))
        .ok_or_else(|| problem(value, "is no absolute path, and none that begins with ~/"))
}

/// The name of a variable that is read.
pub fn variable_name(value: &Spanned<String>) -> Result<String, Problem> {
    check_name(value.get_ref()).map_err(|_| problem(value, "is not the name of a variable"))?;
    Ok(value.get_ref().clone())
}

/// The name of a credential: `okta`, `okta:work`.
pub fn name(value: &Spanned<String>) -> Result<Name, Problem> {
    value.get_ref().parse().map_err(|_| problem(value, "is not a name such as github:work"))
}

/// Visible ASCII, for client ids and the path of a redirect URI.
pub fn visible(value: &Spanned<String>) -> Result<String, Problem> {
    let text = value.get_ref();
    if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
        return Err(problem(value, "is empty or has a blank or a character outside ASCII"));
    }
    Ok(text.clone())
}

pub fn variables(values: &[Spanned<String>]) -> Result<Vec<String>, Problem> {
    let mut names = Vec::new();
    for value in values {
        let name = value.get_ref();
        check_variable(name).map_err(|error| match error {
            BadVariable::NotAName(_) => problem(value, "is not the name of a variable"),
            BadVariable::Reserved(_) => problem(value, &error.to_string()),
        })?;
        if names.contains(name) {
            return Err(problem(value, "stands here twice"));
        }
        names.push(name.clone());
    }
    Ok(names)
}

/// Why a credential cannot go into an environment variable of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadVariable {
    #[error(
        "{0:?} is not a variable name; those are letters, digits and '_', not beginning with a digit"
    )]
    NotAName(String),
    #[error("{0} steers programs or authctl itself and is never set to a credential")]
    Reserved(String),
}

/// Whether `name` can be an environment variable at all.
pub fn check_name(name: &str) -> Result<(), BadVariable> {
    let is_name = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { Ok(()) } else { Err(BadVariable::NotAName(crate::text::clean(name))) }
}

/// Whether a credential may be put into the environment under `name`.
pub fn check_variable(name: &str) -> Result<(), BadVariable> {
    check_name(name)?;
    let upper = name.to_ascii_uppercase(); // Windows does not tell cases apart
    let reserved = RESERVED.contains(&upper.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix));
    if reserved { Err(BadVariable::Reserved(name.to_owned())) } else { Ok(()) }
}

/// Families that the loader, shells, locales, git and authctl read.
const RESERVED_PREFIXES: [&str; 8] =
    ["LD_", "DYLD_", "AUTHCTL_", "BASH_", "LC_", "XDG_", "GIT_CONFIG", "MALLOC_"];

/// Variables that say what is run, where from, or who speaks to whom.
const RESERVED: [&str; 62] = [
    "PATH",
    "HOME",
    "SHELL",
    "IFS",
    "ENV",
    "USER",
    "LOGNAME",
    "PWD",
    "OLDPWD",
    "TERM",
    "LANG",
    "LANGUAGE",
    "TMPDIR",
    "TMP",
    "TEMP",
    "TZ",
    "CDPATH",
    "PS4",
    "PROMPT_COMMAND",
    "SHELLOPTS",
    "BASHOPTS",
    "GLOBIGNORE",
    "ZDOTDIR",
    "FPATH",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "GIT_EXEC_PATH",
    "GIT_DIR",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_EXTRA_CA_CERTS",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYLIB",
    "RUBYOPT",
    "JAVA_TOOL_OPTIONS",
    "CLASSPATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "COMSPEC",
    "PATHEXT",
    "SYSTEMROOT",
    "WINDIR",
    "APPDATA",
    "USERPROFILE",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Spanned<String> {
        Spanned::new(0..text.len(), text.to_owned())
    }

    #[test]
    fn urls_are_https_or_loopback_and_plain() {
        for good in [
            "https://api.example.com/v1",
            "http://127.0.0.1:8080/x",
            "http://[::1]:1/",
            "http://localhost:9/a?b=c",
        ] {
            assert_eq!(url(&at(good)).unwrap(), good);
        }
        for bad in [
            "http://api.example.com",
            "http://localhost.example.com",
            "ftp://example.com",
            "api.example.com",
            "https://",
            "https://user:pass@example.com/",
            "https://example.com/#here",
            "https://example.com/{tenant}/x",
            "https://exa mple.com/",
            "https://example.com\n",
            "",
        ] {
            assert!(url(&at(bad)).is_err(), "{bad}");
        }
        assert!(issuer(&at("https://example.com/?a=b")).is_err());
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        let refused = [
            url(&at("https://user:hunter2@example.com/")).unwrap_err(),
            url(&at("hunter2")).unwrap_err(),
            header(&at("Authorization: Bearer hunter2"), Kind::Bearer).unwrap_err(),
            variables(&[at("sk-hunter2")]).unwrap_err(),
            scope(&at("hunter2 \"")).unwrap_err(),
        ];
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }

    #[test]
    fn hosts_are_hosts_and_nothing_more() {
        for good in ["api.example.com", "127.0.0.1:8080", "[::1]:8080", "localhost"] {
            assert_eq!(host(&at(good)).unwrap(), good);
        }
        for bad in [
            "",
            "https://example.com",
            "example.com/x",
            "Example.com",
            "a b",
            "u@h",
            "*",
            "*.x.example",
            "h:443",
            "h:",
        ] {
            assert!(host(&at(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_have_the_place_of_their_kind_once() {
        let header_of = |text: &str, kind| header(&at(text), kind);
        let good = header_of("x-api-key: {key}", Kind::ApiKey).unwrap();
        assert_eq!((good.name.as_str(), good.format.as_str()), ("x-api-key", "{key}"));
        assert!(header_of("Authorization: Basic {basic}", Kind::Basic).is_ok());
        for bad in [
            "x-api-key",
            "x-api-key:{key}",
            ": {key}",
            "x api: {key}",
            "x-api-key: {token}",
            "x-api-key: {key}{key}",
            "x-api-key: {key} {token}",
            "x-api-key: {key}\r\nHost: evil",
            "x-api-key:  {key}",
            "Host: {key}",
            "content-LENGTH: {key}",
            "x: ü{key}",
        ] {
            assert!(header_of(bad, Kind::ApiKey).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_that_steer_programs_are_refused() {
        for good in ["OPENAI_API_KEY", "_x", "GITHUB_TOKEN", "GIT_TOKEN", "PYTHON_KEY"] {
            assert_eq!(check_variable(good), Ok(()), "{good}");
        }
        for bad in ["", "1X", "A-B", "A=B", "A B", "Ä", "A\n"] {
            assert!(matches!(check_variable(bad), Err(BadVariable::NotAName(_))), "{bad:?}");
        }
        for bad in
            ["PATH", "path", "LD_PRELOAD", "DYLD_X", "AUTHCTL_GITHUB_TOKEN", "IFS", "http_proxy"]
        {
            assert!(matches!(check_variable(bad), Err(BadVariable::Reserved(_))), "{bad}");
        }
    }

    #[test]
    fn scopes_are_single_tokens() {
        assert!(scope(&at("repo:status")).is_ok());
        assert!(scope(&at("https://www.googleapis.com/auth/drive")).is_ok());
        for bad in ["", "a b", "a\"b", "a\\b", "ä"] {
            assert!(scope(&at(bad)).is_err(), "{bad}");
        }
    }
}
