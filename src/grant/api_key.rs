//! A key that a person or a pipe gives: checked at the door, asked for again where that helps.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Error;
use crate::interact::Interact;
use crate::secret::{MAX_TOKEN, Secret, Unfit};

/// How often a person may try.
const TRIES: usize = 3;

/// What some editors and shells put before a text in UTF-8; nobody sees it, and it is no part of a key.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where the key comes from; never from the command line, which others can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A question at the terminal, without echo.
    Prompt,
    /// Standard input, to its end.
    Stdin,
    /// A file, a FIFO or `/dev/fd/N`; links are followed, since it was named by hand.
    File(PathBuf),
}

/// Reads one key. One line break at the end (LF or CRLF) is not part of it.
///
/// # Errors
/// `BadKey` (at the prompt only after three tries), `NothingPiped` when standard input is a terminal
/// or empty, `Unanswered`, `KeyFile`, `Stdin`.
pub fn api_key(interact: &dyn Interact, source: &KeySource, prompt: &str) -> Result<Secret, Error> {
    obtain(interact, source, prompt, Secret::parse_token)
}

/// Reads one password or client secret in the same way; it may have blanks and any letters.
///
/// # Errors
/// As those of [`api_key`].
pub fn password(
    interact: &dyn Interact,
    source: &KeySource,
    prompt: &str,
) -> Result<Secret, Error> {
    obtain(interact, source, prompt, Secret::parse_password)
}

/// What text may be.
type Rule = fn(&str) -> Result<Secret, Unfit>;

fn obtain(
    interact: &dyn Interact,
    source: &KeySource,
    prompt: &str,
    rule: Rule,
) -> Result<Secret, Error> {
    match source {
        KeySource::Prompt => ask(interact, prompt, rule),
        KeySource::Stdin => {
            let stdin = io::stdin().lock();
            if stdin.is_terminal() { Err(Error::NothingPiped) } else { piped(stdin, rule) }
        }
        KeySource::File(path) => in_file(path, rule),
    }
}

fn ask(interact: &dyn Interact, prompt: &str, rule: Rule) -> Result<Secret, Error> {
    for _ in 1..TRIES {
        match asked_once(interact, prompt, rule) {
            Err(Error::BadKey(unfit)) => {
                interact.warn(&format!("That cannot be it: {unfit}. Try again."));
            }
            answer => return answer,
        }
    }
    asked_once(interact, prompt, rule)
}

fn asked_once(interact: &dyn Interact, prompt: &str, rule: Rule) -> Result<Secret, Error> {
    let answer = interact.ask_secret(prompt).map_err(Error::Unanswered)?;
    parse(answer.expose().as_bytes(), rule)
}

/// All of standard input as it is: a key in PEM has several lines.
pub(super) fn text_of_stdin() -> Result<Secret, Error> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return Err(Error::NothingPiped);
    }
    let bytes = read(stdin).map_err(Error::Stdin)?;
    Ok(Secret::new(String::from_utf8_lossy(&bytes)))
}

fn piped(stdin: impl Read, rule: Rule) -> Result<Secret, Error> {
    let bytes = read(stdin).map_err(Error::Stdin)?;
    if bytes.is_empty() {
        return Err(Error::NothingPiped);
    }
    parse(&bytes, rule)
}

fn in_file(path: &Path, rule: Rule) -> Result<Secret, Error> {
    let failed = |source| Error::KeyFile { path: path.to_owned(), source };
    let bytes = File::open(path).and_then(read).map_err(failed)?;
    parse(&bytes, rule)
}

/// All of `source`, up to just over what a key can be. The buffer has its full size from the
/// beginning: growing would leave copies of the key behind.
fn read(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // The mark, a line break, and one byte too many.
    const LIMIT: usize = BYTE_ORDER_MARK.len() + MAX_TOKEN + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT + 32));
    source.take(LIMIT as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(bytes: &[u8], rule: Rule) -> Result<Secret, Error> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line =
        if line.len() < bytes.len() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
    let text = std::str::from_utf8(line).map_err(|error| {
        let before = std::str::from_utf8(&line[..error.valid_up_to()]).unwrap_or_default();
        Error::BadKey(Unfit::NotAscii(before.chars().count() + 1))
    })?;
    rule(text).map_err(Error::BadKey)
}

#[cfg(test)]
mod tests {
    use super::super::fake::Person;
    use super::*;

    fn read_key(bytes: &[u8]) -> Result<String, String> {
        piped(bytes, Secret::parse_token)
            .map(|key| key.expose().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_the_key() {
        for bytes in ["sk-123", "sk-123\n", "sk-123\r\n", "\u{feff}sk-123\r\n"] {
            assert_eq!(read_key(bytes.as_bytes()).unwrap(), "sk-123");
        }
    }

    #[test]
    fn whatever_cannot_stand_in_a_header_is_refused_with_its_place() {
        let unfit = |bytes: &[u8]| match piped(bytes, Secret::parse_token).unwrap_err() {
            Error::BadKey(unfit) => unfit,
            other => panic!("{other}"),
        };
        assert_eq!(unfit(b"sk\n\n"), Unfit::Control(3));
        assert_eq!(unfit(b"sk\r"), Unfit::Control(3));
        assert_eq!(unfit(b"sk\r\r\n"), Unfit::Control(3));
        assert_eq!(unfit(b"\n"), Unfit::Empty);
        assert_eq!(unfit(b" sk"), Unfit::Blank(1));
        assert_eq!(unfit(b"sk\0"), Unfit::Control(3));
        assert_eq!(unfit(b"\xff\xfes\0k\0"), Unfit::NotAscii(1));
        assert_eq!(unfit("schlüssel".as_bytes()), Unfit::NotAscii(5));
        let long = vec![b'x'; 1 << 20];
        assert_eq!(unfit(&long), Unfit::TooLong);
        let longest = vec![b'x'; MAX_TOKEN];
        let dressed = [BYTE_ORDER_MARK, &longest, b"\r\n"].concat();
        assert_eq!(read_key(&dressed).unwrap().len(), MAX_TOKEN);
    }

    #[test]
    fn a_password_may_have_blanks_and_letters_of_any_language() {
        let read = |bytes: &[u8]| piped(bytes, Secret::parse_password);
        assert_eq!(read(" häßlich lang \n".as_bytes()).unwrap().expose(), " häßlich lang ");
        for (bytes, why) in [(&b"two\nlines"[..], Unfit::Control(4)), (b"\n", Unfit::Empty)] {
            assert!(matches!(read(bytes), Err(Error::BadKey(unfit)) if unfit == why));
        }
    }

    #[test]
    fn an_empty_pipe_is_not_an_empty_key() {
        assert!(matches!(piped(&b""[..], Secret::parse_token), Err(Error::NothingPiped)));
    }

    #[test]
    fn errors_never_hold_the_key() {
        let error = piped(&b"hunter2 hunter3"[..], Secret::parse_token).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter"));
    }

    #[test]
    fn a_person_may_try_three_times() {
        let person = Person::answering(["bad key", "", "good"]);
        let key = api_key(&person, &KeySource::Prompt, "Key:").unwrap();
        assert_eq!(key.expose(), "good");
        assert_eq!(person.said().matches("cannot be it").count(), 2);
        assert!(!person.said().contains("bad key"));

        let person = Person::answering(["a b", "a b", "a b", "good"]);
        let error = api_key(&person, &KeySource::Prompt, "Key:").unwrap_err();
        assert!(matches!(error, Error::BadKey(Unfit::Blank(2))));
    }

    #[test]
    fn nobody_to_ask_is_an_error_at_once() {
        let error = api_key(&Person::default(), &KeySource::Prompt, "Key:").unwrap_err();
        assert!(matches!(error, Error::Unanswered(crate::interact::Unanswered::NoTerminal)));
    }

    #[test]
    fn a_file_is_read_and_a_missing_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, "sk-file\n").unwrap();
        let source = KeySource::File(path.clone());
        assert_eq!(api_key(&Person::default(), &source, "").unwrap().expose(), "sk-file");

        std::fs::remove_file(&path).unwrap();
        let error = api_key(&Person::default(), &source, "").unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}
