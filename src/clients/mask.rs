//! A client's file as it may be shown: keys, numbers and what was asked for stay; every other text and every
//! comment becomes `…`, since any of them may be a secret. Lines stay lines, so that two can be compared.

use super::Format;

/// What stands for a text that is not shown.
const HIDDEN: &str = "…";

/// The text with nothing but `shown` among its values.
pub fn mask(format: Format, text: &str, shown: &dyn Fn(&str) -> bool) -> String {
    let syntax = Syntax { is_toml: format == Format::Codex };
    let mut masked = String::new();
    let mut at = 0;
    while at < text.len() {
        let (kind, length) = syntax.part(text, at);
        let part = &text[at..at + length];
        match kind {
            Part::Plain => masked.push_str(part),
            Part::Comment(mark) => masked.push_str(&hidden(part, mark)),
            Part::Text(quote) => {
                let inner = part[quote.len()..].strip_suffix(quote).unwrap_or_default();
                if syntax.is_key(text, at, at + length) || shown(&decoded(inner)) {
                    masked.push_str(part);
                } else {
                    masked.push_str(&hidden(part, quote));
                    masked.push_str(quote);
                }
            }
        }
        at += length;
    }
    masked
}

/// Its mark, and one `…` for all of its lines but the breaks between them.
fn hidden(part: &str, mark: &str) -> String {
    let breaks = part.matches('\n').count();
    format!("{mark}{HIDDEN}{}", "\n".repeat(breaks))
}

/// Escapes of a path or an address; nothing else is ever shown.
fn decoded(inner: &str) -> String {
    inner.replace("\\\"", "\"").replace("\\\\", "\\")
}

enum Part<'a> {
    Plain,
    Comment(&'a str),
    Text(&'a str),
}

struct Syntax {
    is_toml: bool,
}

impl Syntax {
    /// What begins at a place, and its length.
    fn part(&self, text: &str, at: usize) -> (Part<'static>, usize) {
        let rest = &text[at..];
        if let Some(mark) = self.comment(rest) {
            let end = match mark {
                "/*" => rest.find("*/").map_or(rest.len(), |end| end + 2),
                _ => rest.find('\n').unwrap_or(rest.len()),
            };
            return (Part::Comment(mark), end);
        }
        if let Some(quote) = self.quote(rest) {
            return (Part::Text(quote), string(rest, quote));
        }
        let first = rest.chars().next().map_or(1, char::len_utf8);
        (Part::Plain, first)
    }

    fn comment(&self, rest: &str) -> Option<&'static str> {
        let marks: &[&str] = if self.is_toml { &["#"] } else { &["//", "/*"] };
        marks.iter().copied().find(|mark| rest.starts_with(mark))
    }

    fn quote(&self, rest: &str) -> Option<&'static str> {
        let quotes: &[&str] = if self.is_toml { &["\"\"\"", "'''", "\"", "'"] } else { &["\""] };
        quotes.iter().copied().find(|quote| rest.starts_with(quote))
    }

    /// Whether the text from `start` to `end` is a key.
    fn is_key(&self, text: &str, start: usize, end: usize) -> bool {
        let next = text[end..].trim_start().chars().next();
        if !self.is_toml {
            return next == Some(':');
        }
        let line = text[..start].rfind('\n').map_or(0, |line| line + 1);
        let is_heading = {
            let before = text[line..start].trim_start();
            before.starts_with('[') && !before.contains(',') && is_table_heading(text, line)
        };
        next == Some('=') || is_heading
    }
}

/// Whether a line of TOML is `[a.b]`: an array that begins a line of its own has no key before it, and is then
/// within a value.
fn is_table_heading(text: &str, line: usize) -> bool {
    text[line..].parse::<toml_edit::DocumentMut>().is_ok()
        && text[..line].parse::<toml_edit::DocumentMut>().is_ok()
}

/// The length of a string with its quotes.
fn string(rest: &str, quote: &'static str) -> usize {
    let mut end = quote.len();
    let mut characters = rest[end..].chars();
    loop {
        if rest[end..].starts_with(quote) {
            return end + quote.len();
        }
        match characters.next() {
            Some('\\') if quote.starts_with('"') => {
                let escaped = characters.next().map_or(0, char::len_utf8);
                end += 1 + escaped;
            }
            Some(other) => end += other.len_utf8(),
            None => return rest.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_and_what_was_asked_for_are_shown() {
        let shown = |text: &str| ["authctl", "C:\\x"].contains(&text);
        let json = "{\n  // sk-1\n  \"a\": \"sk-2\", /* sk-3\n sk-3 */ \"b\": [\"authctl\", \"sk\\\"4\", \"C:\\\\x\"], \"c\": 5\n}";
        let expected =
            "{\n  //…\n  \"a\": \"…\", /*…\n \"b\": [\"authctl\", \"…\", \"C:\\\\x\"], \"c\": 5\n}";
        assert_eq!(mask(Format::Mcp, json, &shown), expected);
        let toml = "# sk-1\n[a.\"b c\"]\n\"k\" = 'sk-2' # sk-3\nargs = [\"authctl\", \"sk-4\",\n  \"sk-5\"]\nm = \"\"\"sk\n6\"\"\"\n";
        let expected = "#…\n[a.\"b c\"]\n\"k\" = '…' #…\nargs = [\"authctl\", \"…\",\n  \"…\"]\nm = \"\"\"…\n\"\"\"\n";
        assert_eq!(mask(Format::Codex, toml, &shown), expected);
    }

    #[test]
    fn a_nested_array_is_no_heading() {
        let toml = "a = [\n[\"sk-1\"],\n[\"sk-2\"]\n]\n";
        assert!(!mask(Format::Codex, toml, &|_| false).contains("sk-"));
    }

    proptest::proptest! {
        #[test]
        fn lines_stay_lines(text in "[a-z\"'#/*=:\\[\\]{}\\\\\n ]*") {
            for format in [Format::Mcp, Format::Codex] {
                let masked = mask(format, &text, &|_| false);
                proptest::prop_assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
            }
        }
    }
}
