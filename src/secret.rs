//! The one type that holds a secret: wiped when dropped, redacted when debugged,
//! impossible to display or to serialise by accident. Also decides which strings
//! may be a token at all, so that whatever is accepted here can stand unchanged in a
//! header, an environment variable and a helper's answer line.

use std::fmt;

use url::form_urlencoded::byte_serialize;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Longest token accepted, in bytes. Real bundles of tokens stay under 10 KiB; the limit keeps a
/// hostile answer from filling the keychain.
pub const MAX_TOKEN: usize = 64 * 1024;

/// A secret text. It has no `Display`, no `Serialize` and no equality; whoever needs the
/// text says [`Secret::expose`], which makes every use visible to a search.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

/// Why a string cannot be a token. Never holds the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("it is empty")]
    Empty,
    #[error("it has a line break or another control character at position {0}")]
    Control(usize),
    #[error("it has a blank at position {0}")]
    Blank(usize),
    #[error("it has a character outside ASCII at position {0}")]
    NotAscii(usize),
    #[error("it is longer than {MAX_TOKEN} bytes")]
    TooLong,
}

impl Secret {
    /// Takes any text as it is: passwords, client secrets, serialised records.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Takes a token or key: visible ASCII only (RFC 6750 §2.1 asks for less), not empty,
    /// at most [`MAX_TOKEN`] bytes. Positions in errors count characters from 1.
    pub fn parse_token(text: &str) -> Result<Self, Unfit> {
        if text.is_empty() {
            return Err(Unfit::Empty);
        }
        if text.len() > MAX_TOKEN {
            return Err(Unfit::TooLong);
        }
        for (index, character) in text.chars().enumerate() {
            match character {
                '\u{21}'..='\u{7e}' => {}
                c if c.is_control() => return Err(Unfit::Control(index + 1)),
                c if c.is_whitespace() => return Err(Unfit::Blank(index + 1)),
                _ => return Err(Unfit::NotAscii(index + 1)),
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a password or a client secret: no control characters (RFC 7617 §2), not empty, at most
    /// [`MAX_TOKEN`] bytes.
    pub fn parse_password(text: &str) -> Result<Self, Unfit> {
        if text.is_empty() {
            return Err(Unfit::Empty);
        }
        if text.len() > MAX_TOKEN {
            return Err(Unfit::TooLong);
        }
        match text.chars().position(char::is_control) {
            Some(index) => Err(Unfit::Control(index + 1)),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// 128 random bits in base64url, for what nobody may guess.
    pub fn random() -> Self {
        use base64::Engine;
        let mut bytes = zeroize::Zeroizing::new([0u8; 16]);
        // The system's generator fails only where there is none; then nothing here can go on.
        getrandom::fill(&mut bytes[..])
            .unwrap_or_else(|error| panic!("no random numbers: {error}"));
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes[..]))
    }

    /// The secret itself. Hand it to the store, the wire or the child; never to a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// `text` without `secrets`, as they are or as a form writes them. For what somebody says who was told
/// them: servers quote requests in their errors.
pub fn conceal(text: &str, secrets: &[Secret]) -> String {
    let mut concealed = text.to_owned();
    for secret in secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty()) {
        let in_a_form: String = byte_serialize(secret.as_bytes()).collect();
        concealed = concealed.replace(secret, "[secret]").replace(&in_a_form, "[secret]");
    }
    concealed
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Serialisation for the records that the store keeps, named field by field with
/// `#[serde(with = "crate::secret::at_rest")]`, so that no other structure can carry a secret out.
pub mod at_rest {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Secret;

    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

/// The same for a secret that may be absent.
pub mod at_rest_option {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Secret;

    #[expect(clippy::ref_option, reason = "serde's `with` hands over the field itself")]
    pub fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(secret.expose()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn a_quoted_secret_is_concealed_also_as_a_form_writes_it() {
        let secrets = [Secret::new("a+b/c="), Secret::new("")];
        assert_eq!(conceal("bad a+b/c=, bad", &secrets), "bad [secret], bad");
        assert_eq!(conceal("token=a%2Bb%2Fc%3D&x", &secrets), "token=[secret]&x");
    }

    #[test]
    fn tokens_that_cannot_stand_in_a_header_are_refused() {
        assert_eq!(Secret::parse_token("").unwrap_err(), Unfit::Empty);
        assert_eq!(Secret::parse_token("ab\ncd").unwrap_err(), Unfit::Control(3));
        assert_eq!(Secret::parse_token("ab cd").unwrap_err(), Unfit::Blank(3));
        assert_eq!(Secret::parse_token("schlüssel").unwrap_err(), Unfit::NotAscii(5));
        let long = "x".repeat(MAX_TOKEN + 1);
        assert_eq!(Secret::parse_token(&long).unwrap_err(), Unfit::TooLong);
        assert!(Secret::parse_token("sk-abc_123.~+/=").is_ok());
    }
}
