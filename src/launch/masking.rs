//! Masking of secrets in a child's output: a stream in which each secret, as it is or in the usual
//! encodings, is replaced. A courtesy against accidents in logs, not a boundary: a child that wants
//! to tell can always spell a secret in another way.

use std::io::{self, Read, Write};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::alphabet::{self, Alphabet};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use crate::secret::Secret;

/// What stands where a secret was.
const MASK: &[u8] = b"[masked]";

/// Shortest encoded form that is looked for. Base64 of a few bytes would be found in innocent text.
const SHORTEST_ENCODING: usize = 8;

/// The texts to mask.
pub struct Mask {
    needles: Vec<Vec<u8>>,
    search: AhoCorasick,
}

/// The part of a stream that cannot be passed on yet, since it may be the beginning of a secret.
struct Held<'a> {
    mask: &'a Mask,
    bytes: Vec<u8>,
}

impl Mask {
    /// Looks for each of `secrets` raw, in base64 (both alphabets, at any position inside a longer
    /// text) and percent-encoded.
    pub fn new(secrets: &[Secret]) -> io::Result<Self> {
        let mut needles: Vec<Vec<u8>> = secrets.iter().flat_map(|s| forms(s.expose())).collect();
        needles.sort_unstable();
        needles.dedup();
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&needles)
            .map_err(io::Error::other)?;
        Ok(Self { needles, search })
    }

    /// Copies `from` to `to` until its end. Whatever cannot be part of a secret is passed on at once,
    /// so that prompts and progress appear as without a mask.
    pub fn copy(&self, mut from: impl Read, mut to: impl Write) -> io::Result<()> {
        let mut held = Held { mask: self, bytes: Vec::new() };
        let mut chunk = [0; 16 * 1024];
        loop {
            let read = match from.read(&mut chunk) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let passed = held.pass(&chunk[..read], read == 0);
            to.write_all(&passed)?;
            to.flush()?;
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Where in `bytes` the first text begins that more bytes could turn into a secret.
    fn beginning(&self, bytes: &[u8]) -> usize {
        let longest = self.needles.iter().map(Vec::len).max().unwrap_or(0);
        let from = bytes.len().saturating_sub(longest.saturating_sub(1));
        let may_grow = |tail: &[u8]| {
            self.needles.iter().any(|needle| needle.len() > tail.len() && needle.starts_with(tail))
        };
        (from..bytes.len()).find(|start| may_grow(&bytes[*start..])).unwrap_or(bytes.len())
    }
}

impl Held<'_> {
    /// Takes in `chunk` and gives out, masked, everything that is decided; at the end, all.
    fn pass(&mut self, chunk: &[u8], end: bool) -> Vec<u8> {
        self.bytes.extend_from_slice(chunk);
        let mut undecided = if end { self.bytes.len() } else { self.mask.beginning(&self.bytes) };
        let mut passed = Vec::with_capacity(undecided);
        let mut done = 0;
        for found in self.mask.search.find_iter(&self.bytes) {
            if found.start() >= undecided {
                break;
            }
            passed.extend_from_slice(&self.bytes[done..found.start()]);
            passed.extend_from_slice(MASK);
            done = found.end();
            if done > undecided {
                undecided = done + self.mask.beginning(&self.bytes[done..]);
            }
        }
        passed.extend_from_slice(&self.bytes[done..undecided]);
        self.bytes.drain(..undecided);
        passed
    }
}

/// Every form in which `secret` is looked for.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let encoded = [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .flat_map(|alphabet| (0..3).map(|offset| base64_inside(secret, alphabet, offset)))
        .chain([percent_encoded(secret, true), percent_encoded(secret, false)])
        .filter(|form| form.len() >= SHORTEST_ENCODING);
    std::iter::once(secret.as_bytes().to_vec())
        .filter(|raw| !raw.is_empty())
        .chain(encoded)
        .collect()
}

/// The part of the base64 text that `secret` alone decides when it begins `offset` bytes after a group
/// of three.
fn base64_inside(secret: &str, alphabet: &Alphabet, offset: usize) -> Vec<u8> {
    let engine = GeneralPurpose::new(alphabet, NO_PAD);
    let mut text = vec![0; offset];
    text.extend_from_slice(secret.as_bytes());
    let encoded = engine.encode(&text);
    let first = (offset * 8).div_ceil(6);
    let last = text.len() * 8 / 6;
    encoded.as_bytes().get(first..last).unwrap_or_default().to_vec()
}

/// RFC 3986 §2.1, with everything but the unreserved characters encoded.
fn percent_encoded(secret: &str, upper_case: bool) -> Vec<u8> {
    let mut encoded = Vec::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte);
        } else if upper_case {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            encoded.extend_from_slice(format!("%{byte:02x}").as_bytes());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    /// Gives out one piece a read.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    /// Keeps what each write brought.
    #[derive(Default)]
    struct Writes(Vec<String>);

    impl Write for &mut Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn mask(secrets: &[&str]) -> Mask {
        Mask::new(&secrets.iter().map(|secret| Secret::new(*secret)).collect::<Vec<_>>()).unwrap()
    }

    fn writes(secrets: &[&str], pieces: &[&str]) -> Vec<String> {
        let pieces = Pieces(pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect());
        let mut writes = Writes::default();
        mask(secrets).copy(pieces, &mut writes).unwrap();
        writes.0
    }

    fn masked(secrets: &[&str], text: &str) -> String {
        writes(secrets, &[text]).concat()
    }

    #[test]
    fn a_secret_is_masked_raw_and_in_the_usual_encodings() {
        let secret = "sk-a/b+c?d~0123456789";
        assert_eq!(masked(&[secret], &format!("key={secret}.")), "key=[masked].");
        for before in ["", "x", "user:"] {
            let text = format!("{before}{secret}!");
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                assert!(masked(&[secret], &encoded).contains("[masked]"), "{text}: {encoded}");
            }
        }
        for encoded in ["sk-a%2Fb%2Bc%3Fd~0123456789", "sk-a%2fb%2bc%3fd~0123456789"] {
            assert_eq!(masked(&[secret], encoded), "[masked]");
        }
    }

    #[test]
    fn the_longest_of_several_secrets_wins() {
        assert_eq!(
            masked(&["abcd1234", "abcd1234efgh"], "abcd1234efgh abcd1234"),
            "[masked] [masked]"
        );
    }

    #[test]
    fn an_empty_secret_masks_nothing() {
        assert_eq!(masked(&["", "hunter2"], "a hunter2 b"), "a [masked] b");
        assert_eq!(masked(&[], "as it is"), "as it is");
    }

    #[test]
    fn what_cannot_be_a_secret_is_passed_on_at_once() {
        assert_eq!(
            writes(&["sk-123456"], &["Password: ", "ask-", "me"])[..3],
            ["Password: ", "a", "sk-me"]
        );
    }

    #[test]
    fn the_beginning_of_a_secret_is_given_out_at_the_end() {
        assert_eq!(writes(&["sk-123456"], &["sk-12"]).concat(), "sk-12");
    }

    proptest::proptest! {
        #[test]
        fn however_a_stream_is_cut_the_secret_does_not_pass(
            words in proptest::collection::vec("abab1|abab12|ab|a|b1|2| ", 0..40),
            cuts in proptest::collection::vec(1usize..7, 1..40),
        ) {
            let text = words.concat();
            let whole = masked(&["abab1", "abab12"], &text);
            let mut pieces = Vec::new();
            let mut rest = text.as_str();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                pieces.push(piece);
                rest = after;
            }
            let cut = writes(&["abab1", "abab12"], &pieces).concat();
            proptest::prop_assert!(!cut.contains("abab1"));
            proptest::prop_assert_eq!(cut, whole);
        }
    }
}
