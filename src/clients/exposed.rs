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

/// What of an address is a secret: the name of a part of its query, or the path.
pub fn secret_in_url(address: &str) -> Option<String> {
    let url = Url::parse(address).ok().filter(Url::has_host)?;
    let named = url
        .query_pairs()
        .find(|(name, value)| !is_stand_in(value) && (names_secret(name) || is_key(value)));
    let in_path = || url.path_segments()?.any(is_key).then(|| "its path".to_owned());
    named.map(|(name, _)| crate::text::clean(&name)).or_else(in_path)
}

/// What in the words of a command is followed by a secret: options, variables, headers.
pub fn secrets_in_words(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut before = "";
    for word in words {
        let (name, value) = word.split_once(['=', ':']).unwrap_or(("", word));
        let name = if word.contains("://") { "" } else { name };
        let is_named = !name.is_empty() && names_secret(name) && !is_stand_in(value);
        let is_after = before.starts_with('-')
            && !before.contains('=')
            && names_secret(before)
            && !word.starts_with('-')
            && !is_stand_in(word);
        let address = word.contains("://").then(|| secret_in_url(word)).flatten();
        found.extend(match () {
            () if is_named => Some(name.to_owned()),
            () if is_after => Some(before.to_owned()),
            () if is_key(value.trim()) => Some("a word that begins like a key".to_owned()),
            () => address,
        });
        before = word;
    }
    found.iter().map(|name| crate::text::clean(name)).collect()
}

/// Also the names in which a service runs its own and `Key` together: `tavilyApiKey`.
fn names_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-');
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
            &["-e", "GITHUB_TOKEN=abc"],
            &["--header", "Authorization: Bearer abc"],
            &["ghp_0123456789abcdef"],
            &["https://x.example/?exaApiKey=abc"],
        ] {
            assert_eq!(found(words).len(), 1, "{words:?}");
        }
        let plain = ["npx", "-y", "server", "-e", "GITHUB_TOKEN", "--port=1", "--token=${T}", "xo"];
        assert!(found(&plain).is_empty(), "{:?}", found(&plain));
    }
}
