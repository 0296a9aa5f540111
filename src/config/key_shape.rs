//! The shape of real keys, for placeholders that programs take for one: a documented beginning, and how
//! many letters and digits follow where that is fixed.

use toml::Spanned;

use super::file::Problem;

/// As in `sk-proj-`, `ghp_{36}`, `sbp_{40x}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShape {
    pub parts: Vec<KeyPart>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Letters of both cases and digits.
    Alphanumeric,
    /// Digits and the letters a to f.
    Hex,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    Literal(String),
    Random { count: usize, alphabet: Alphabet },
}

impl KeyShape {
    /// What such keys begin with.
    pub fn beginning(&self) -> &str {
        match self.parts.first() {
            Some(KeyPart::Literal(text)) => text,
            _ => "",
        }
    }

    /// Whether its length is fixed.
    pub fn is_fixed(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, KeyPart::Random { .. }))
    }

    /// As it is written.
    pub fn text(&self) -> String {
        self.parts.iter().map(KeyPart::text).collect()
    }

    pub(super) fn check(value: &Spanned<String>) -> Result<Self, Problem> {
        let problem = |what: &str| Problem::new(value.span(), what);
        let parts = parts(value.get_ref()).ok_or_else(|| {
            problem("is not the shape of a key, such as sk-proj-, ghp_{36} or sbp_{40x}")
        })?;
        let shape = Self { parts };
        if shape.is_fixed() && shape.bits() < MIN_BITS {
            return Err(problem(
                "leaves too little to chance: 27 letters and digits, or 40 of hex",
            ));
        }
        if shape.len() > MAX_LENGTH {
            return Err(problem("is longer than 256 characters"));
        }
        Ok(shape)
    }

    fn len(&self) -> usize {
        let length = |part: &KeyPart| match part {
            KeyPart::Literal(text) => text.len(),
            KeyPart::Random { count, .. } => *count,
        };
        self.parts.iter().map(length).sum()
    }

    /// How many bits are random, rounded down.
    fn bits(&self) -> usize {
        let bits = |part: &KeyPart| match part {
            KeyPart::Literal(_) => 0,
            KeyPart::Random { count, alphabet: Alphabet::Alphanumeric } => count * 595 / 100,
            KeyPart::Random { count, alphabet: Alphabet::Hex } => count * 4,
        };
        self.parts.iter().map(bits).sum()
    }
}

impl KeyPart {
    fn text(&self) -> String {
        match self {
            KeyPart::Literal(text) => text.clone(),
            KeyPart::Random { count, alphabet: Alphabet::Alphanumeric } => format!("{{{count}}}"),
            KeyPart::Random { count, alphabet: Alphabet::Hex } => format!("{{{count}x}}"),
        }
    }
}

/// What nobody guesses.
const MIN_BITS: usize = 160;
/// What programs still take for a key.
pub const MAX_LENGTH: usize = 256;

/// Visible characters, with a number of random ones in braces.
fn parts(text: &str) -> Option<Vec<KeyPart>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !literal.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'}') {
            return None;
        }
        if !literal.is_empty() {
            parts.push(KeyPart::Literal(literal.to_owned()));
        }
        rest = match after.strip_prefix('{') {
            Some(inside) => {
                let (place, after) = inside.split_once('}')?;
                parts.push(random(place)?);
                after
            }
            None => after,
        };
    }
    Some(parts).filter(|parts| !parts.is_empty())
}

/// `36`, or `40x` for hex.
fn random(place: &str) -> Option<KeyPart> {
    let (number, alphabet) = match place.strip_suffix('x') {
        Some(number) => (number, Alphabet::Hex),
        None => (place, Alphabet::Alphanumeric),
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let count = number.parse().ok().filter(|count| plain && (1..=MAX_LENGTH).contains(count))?;
    Some(KeyPart::Random { count, alphabet })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<KeyShape, Problem> {
        KeyShape::check(&Spanned::new(0..0, text.to_owned()))
    }

    #[test]
    fn shapes_are_read_as_they_are_written() {
        for (text, beginning, fixed) in [
            ("sk-proj-", "sk-proj-", false),
            ("ghp_{36}", "ghp_", true),
            ("sbp_{40x}", "sbp_", true),
            ("github_pat_{22}_{59}", "github_pat_", true),
            ("{32}", "", true),
        ] {
            let shape = check(text).unwrap();
            assert_eq!((shape.beginning(), shape.is_fixed()), (beginning, fixed), "{text}");
            assert_eq!(shape.text(), text);
        }
    }

    #[test]
    fn what_is_no_shape_or_could_be_guessed_is_refused() {
        for text in ["", "a b", "a\n", "ä", "x{", "x}", "x{}", "x{0}", "x{+9}", "x{9y}", "x{{9}}"]
        {
            assert!(check(text).is_err(), "{text}");
        }
        for text in ["x_{26}", "x_{39x}", "x_{257}", "x_{200}{57}"] {
            assert!(check(text).is_err(), "{text}");
        }
        for text in ["x_{27}", "x_{40x}", "x_{13}_{14}"] {
            assert!(check(text).is_ok(), "{text}");
        }
    }
}
