//! What stands in a child's environment in place of a key: it looks like one, and opens nothing but this
//! run's proxy.

use zeroize::Zeroizing;

use crate::config::{Alphabet, KeyPart, KeyShape, MAX_PLACEHOLDER};
use crate::secret::Secret;

/// 160 bits: 62^27 is more.
const LEAST: usize = 27;
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &[u8] = b"0123456789abcdef";

/// A new placeholder for `real`, in the shape that it has of those that keys of its kind may have, else in
/// the first. Where the shape fixes no length, it is as long as `real` (at most 256 characters), so that
/// it passes for one where length is looked at; nothing else of `real` goes into it.
pub fn like(shapes: &[KeyShape], real: &Secret) -> Secret {
    let real = real.expose();
    let same = shapes.iter().filter(|shape| real.starts_with(shape.beginning()));
    let shape = same.max_by_key(|shape| shape.beginning().len()).or(shapes.first());
    let mut text = Zeroizing::new(String::with_capacity(MAX_PLACEHOLDER));
    for part in shape.iter().flat_map(|shape| &shape.parts) {
        match part {
            KeyPart::Literal(literal) => text.push_str(literal),
            KeyPart::Random { count, alphabet } => push_random(&mut text, *count, *alphabet),
        }
    }
    if !shape.is_some_and(KeyShape::is_fixed) {
        let rest = real.len().min(MAX_PLACEHOLDER).saturating_sub(text.len());
        push_random(&mut text, rest.max(LEAST), Alphabet::Alphanumeric);
    }
    Secret::new(text.as_str())
}

/// Every character of the alphabet is as likely as every other.
fn push_random(text: &mut String, count: usize, alphabet: Alphabet) {
    let characters = match alphabet {
        Alphabet::Alphanumeric => ALPHANUMERIC,
        Alphabet::Hex => HEX,
    };
    let fair = 256 - 256 % characters.len();
    let wanted = text.len() + count;
    let mut bytes = Zeroizing::new([0; 64]);
    while text.len() < wanted {
        // The system's generator fails only where there is none; then nothing here can go on.
        getrandom::fill(&mut bytes[..])
            .unwrap_or_else(|error| panic!("no random numbers: {error}"));
        let drawn = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        let missing = wanted - text.len();
        text.extend(
            drawn.take(missing).map(|byte| char::from(characters[byte % characters.len()])),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::credential::Kind;

    fn shapes(provider: &str, kind: Kind) -> Vec<KeyShape> {
        let config = Config::default();
        config.provider(provider).unwrap().scheme(kind).unwrap().placeholder.clone()
    }

    fn placeholder(provider: &str, real: &str) -> String {
        like(&shapes(provider, Kind::ApiKey), &Secret::new(real)).expose().to_owned()
    }

    #[test]
    fn it_begins_like_the_real_key_and_is_as_long() {
        let real = format!("sk-ant-api03-{}AA", "x".repeat(93));
        let made = placeholder("anthropic", &real);
        assert!(made.starts_with("sk-ant-api03-") && made.len() == real.len(), "{made}");
        assert!(made["sk-ant-api03-".len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn a_fixed_shape_is_kept_whatever_the_real_key_is_like() {
        for real in ["k1", &"x".repeat(500), "ghp_short"] {
            let made = placeholder("github", real);
            assert!(made.starts_with("ghp_") && made.len() == 40, "{made}");
        }
        let made = placeholder("github", &format!("github_pat_{}", "x".repeat(82)));
        assert!(made.starts_with("github_pat_") && made.len() == 93, "{made}");
        assert_eq!(made.as_bytes()[33], b'_');
    }

    #[test]
    fn hex_stays_hex() {
        let shape = shapes("supabase", Kind::Bearer);
        let made = like(&shape, &Secret::new("sbp_x"));
        let digits = made.expose().strip_prefix("sbp_").unwrap();
        assert!(digits.len() == 40 && digits.bytes().all(|byte| HEX.contains(&byte)), "{digits}");
    }

    #[test]
    fn it_is_neither_guessed_nor_endless() {
        assert_eq!(like(&[], &Secret::new("k1")).expose().len(), LEAST);
        assert_eq!(like(&[], &Secret::new("x".repeat(4000))).expose().len(), MAX_PLACEHOLDER);
        let short = placeholder("openai", "k1");
        assert_eq!(short.len(), "sk-proj-".len() + LEAST, "{short}");
        let (one, other) = (placeholder("openai", "sk-proj-x"), placeholder("openai", "sk-proj-x"));
        assert_ne!(one, other);
    }

    #[test]
    fn nothing_of_the_real_key_is_in_it() {
        let real = "tvly-dev-0123456789abcdefghijklmnopqrstuvwxyz";
        let made = placeholder("tavily", real);
        let real = real.strip_prefix("tvly-").unwrap();
        assert!(!made.contains(&real[..8]) && !made.contains(&real[real.len() - 8..]), "{made}");
    }

    #[test]
    fn every_placeholder_of_the_catalog_is_a_token() {
        let config = Config::default();
        for provider in config.providers() {
            for scheme in &provider.schemes {
                let made = like(&scheme.placeholder, &Secret::new("k1"));
                assert!(Secret::parse_token(made.expose()).is_ok(), "{}", provider.id);
                assert!(made.expose().len() >= LEAST, "{}", provider.id);
            }
        }
    }
}
