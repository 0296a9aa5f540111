//! `WWW-Authenticate` (RFC 9110 §11.6.1): the challenges of an answer, each a scheme and its parameters.

use hyper::header::{HeaderMap, WWW_AUTHENTICATE};

/// One challenge. The scheme and the names of the parameters are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenge {
    pub scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Whether a parameter is there twice.
    pub fn is_ambiguous(&self) -> bool {
        self.parameters.iter().any(|(name, _)| self.parameter(name).is_none())
    }

    /// A parameter, if it is there once.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(other, _)| other == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// All challenges of an answer, in order. What is no challenge ends the reading of its header.
pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let headers = headers.get_all(WWW_AUTHENTICATE).iter();
    headers.filter_map(|value| value.to_str().ok()).flat_map(read).collect()
}

fn read(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return found;
        }
        let value = after.trim_start_matches([' ', '\t']).strip_prefix('=');
        match (value, found.last_mut()) {
            // `token68` may end in `=`: then no value follows that could be one.
            (Some(value), Some(challenge)) if !value.starts_with(['=', ',']) => {
                let Some((value, after)) = parameter_value(value) else { return found };
                challenge.parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(value), _) => rest = value.trim_start_matches('='),
            (None, _) => {
                let scheme = word.to_ascii_lowercase();
                found.push(Challenge { scheme, parameters: Vec::new() });
                rest = after;
            }
        }
    }
}

/// The token (RFC 9110 §5.6.2) at the beginning, and what follows.
fn token(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

fn parameter_value(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let Some(quoted) = text.strip_prefix('"') else {
        // More than a token: many servers write URLs without quotes.
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(challenge: &Challenge) -> Vec<(&str, &str)> {
        challenge.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn a_parameter_that_is_there_twice_is_seen() {
        let one = |text: &str| read(text).remove(0).is_ambiguous();
        assert!(one(r#"Bearer scope="a", realm=x, Scope="b""#));
        assert!(!one(r#"Bearer scope="a", realm=x"#));
    }

    #[test]
    fn schemes_and_their_parameters_are_told_apart() {
        let found = read(
            "Basic realm=\"a, b=\\\"c\\\"\", Negotiate YWJj==, BEARER Scope = \"read write\",error=invalid_token,  DPoP algs=\"ES256\"",
        );
        let schemes: Vec<&str> = found.iter().map(|challenge| challenge.scheme.as_str()).collect();
        assert_eq!(schemes, ["basic", "negotiate", "bearer", "dpop"]);
        assert_eq!(parameters(&found[0]), [("realm", "a, b=\"c\"")]);
        assert_eq!(parameters(&found[2]), [("scope", "read write"), ("error", "invalid_token")]);
        assert_eq!(found[3].parameter("algs"), Some("ES256"));
    }

    #[test]
    fn a_url_without_quotes_is_read_whole() {
        let found = read("Bearer resource_metadata=https://a.example:1/x?y=z, scope=read DPoP");
        assert_eq!(found[0].parameter("resource_metadata"), Some("https://a.example:1/x?y=z"));
        assert_eq!(found[0].parameter("scope"), Some("read"));
        assert_eq!(found[1].scheme, "dpop");
    }

    #[test]
    fn a_parameter_that_stands_twice_counts_for_nothing() {
        let found = read("Bearer resource_metadata=\"https://a.example\", resource_metadata=b");
        assert_eq!(found[0].parameter("resource_metadata"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[ -~]{0,200}") {
            read(&text);
        }
    }
}
