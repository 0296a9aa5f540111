//! Secrets where whoever lists processes or reads a client's file sees them: in an address, or in the words of a
//! command.

use url::Url;

use super::{is_stand_in, looks_secret};

/// How the keys begin that services hand out.
const BEGINNINGS: [&str; 22] = [
    "sk-",
    "sk_",
    "rk_live_",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xox",
    "xapp-",
    "AKIA",
    "AIza",
    "hf_",
    "npm_",
    "ntn_",
    "lin_api_",
    "fc-",
    "tvly-",
    "gsk_",
    "pypi-",
    "eyJ",
];

/// A secret in the open.
#[derive(Debug, PartialEq, Eq)]
pub struct Exposed {
    /// Which word of the command it is, or is part of.
    pub index: usize,
    /// What tells that it is one: an option, a variable, a part of an address.
    pub name: String,
    pub value: String,
    pub is_in_address: bool,
}

/// The names of the parts of an address that are a user's.
pub const USER: [&str; 2] = ["its password", "its user"];

/// What of an address is a secret: the name of a part of its query, the user, the path.
pub fn secret_in_url(address: &str) -> Option<String> {
    in_address(address).into_iter().next().map(|(name, _)| name)
}

/// The secrets in an address, each with the name of the part that it is.
pub fn in_address(address: &str) -> Vec<(String, String)> {
    let Some(url) = Url::parse(address).ok().filter(Url::has_host) else { return Vec::new() };
    let mut found: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, value)| !is_stand_in(value) && (names_secret(name) || is_key(value)))
        .map(|(name, value)| (crate::text::clean(&name), value.into_owned()))
        .collect();
    let user = match (url.username(), url.password()) {
        (_, Some(password)) => Some((USER[0], password)),
        ("", None) => None,
        (user, None) => Some((USER[1], user)),
    };
    let user = user.filter(|(_, value)| !is_stand_in(value));
    let path = url.path_segments().into_iter().flatten().find(|part| is_key(part));
    let parts = user.into_iter().chain(path.map(|part| ("its path", part)));
    found.extend(parts.map(|(name, value)| (name.to_owned(), value.to_owned())));
    found
}

/// What in the words of a command is followed by a secret: options, variables, headers.
pub fn secrets_in_words(words: &[String]) -> Vec<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    in_words(&words).into_iter().map(|found| crate::text::clean(&found.name)).collect()
}

/// The secrets among the words of a command.
pub fn in_words(words: &[&str]) -> Vec<Exposed> {
    let mut found = Vec::new();
    let mut before = "";
    for (index, word) in words.iter().copied().enumerate() {
        let whole = |name: &str, value: &str| Exposed {
            index,
            name: name.to_owned(),
            value: value.trim().to_owned(),
            is_in_address: false,
        };
        if word.contains("://") {
            let parts = in_address(word).into_iter();
            found.extend(parts.map(|(name, value)| Exposed {
                index,
                name,
                value,
                is_in_address: true,
            }));
        } else {
            found.extend(in_word(before, word).map(|(name, value)| whole(name, value)));
        }
        before = word;
    }
    found
}

/// The secret in one word behind another one, and what tells that it is one.
fn in_word<'a>(before: &'a str, word: &'a str) -> Option<(&'a str, &'a str)> {
    // `--env=NAME=value`
    let pair = ["--env=", "--header="].iter().find_map(|option| word.strip_prefix(option));
    let (name, value) = pair.unwrap_or(word).split_once(['=', ':']).unwrap_or(("", word));
    let is_after = before.starts_with('-')
        && !before.contains('=')
        && names_secret(before)
        && !word.starts_with('-')
        && !is_stand_in(word);
    match () {
        () if !name.is_empty() && names_secret(name) && !is_stand_in(value) => Some((name, value)),
        () if is_after => Some((before, word)),
        () if is_key(value.trim()) => Some(("a word that begins like a key", value)),
        () => None,
    }
}

/// Words behind which the name of a secret is that of something else: `--token-file`.
const NO_SECRETS: [&str; 12] =
    ["FILE", "PATH", "DIR", "ENV", "VAR", "URL", "ENDPOINT", "NAME", "ID", "TYPE", "TTL", "LIMIT"];

/// Also the names in which a service runs its own and `Key` together: `tavilyApiKey`.
fn names_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-');
    let last = name.rsplit(['-', '_']).next().unwrap_or_default().to_ascii_uppercase();
    if NO_SECRETS.contains(&last.as_str()) {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    looks_secret(name) || ["apikey", "token", "secret"].iter().any(|end| lower.ends_with(end))
}

fn is_key(word: &str) -> bool {
    word.len() >= 12
        && BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
        && word.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_an_address_are_seen_and_others_are_not() {
        for (url, name) in [
            ("https://x.example/mcp?api_key=abc", Some("api_key")),
            ("https://x.example/mcp?a=1&tavilyApiKey=abc", Some("tavilyApiKey")),
            ("https://x.example/mcp?token=abc", Some("token")),
            ("https://x.example/mcp?k=sk-0123456789ab", Some("k")),
            ("https://x.example/fc-0123456789ab/v2/mcp", Some("its path")),
            ("https://user:abc@x.example/mcp", Some("its password")),
            ("https://abc@x.example/mcp", Some("its user")),
            ("https://user:${PASSWORD}@x.example/mcp", None),
            ("https://x.example/mcp?project_ref=abcdefghij0123456789", None),
            ("https://x.example/mcp?api_key=${input:key}", None),
            ("https://x.example/sk-learn/mcp", None),
            ("npx", None),
        ] {
            assert_eq!(secret_in_url(url).as_deref(), name, "{url}");
        }
    }

    #[test]
    fn keys_in_a_command_are_seen_and_others_are_not() {
        let found = |words: &[&str]| {
            secrets_in_words(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        for words in [
            &["--api-key=abc"][..],
            &["--token", "abc"],
            &["--env=GITHUB_TOKEN=abc"],
            &["--header=Authorization: Bearer abc"],
            &["https://user:abc@x.example/"],
            &["-e", "GITHUB_TOKEN=abc"],
            &["--header", "Authorization: Bearer abc"],
            &["ghp_0123456789abcdef"],
            &["https://x.example/?exaApiKey=abc"],
        ] {
            assert_eq!(found(words).len(), 1, "{words:?}");
        }
        let plain = ["npx", "-y", "server", "-e", "GITHUB_TOKEN", "--port=1", "--token=${T}", "xo"];
        let files = ["--token-file", "/run/token", "--api-key-env", "KEY", "--token-limit=100"];
        assert!(found(&files).is_empty(), "{:?}", found(&files));
        assert!(found(&plain).is_empty(), "{:?}", found(&plain));
    }
}
