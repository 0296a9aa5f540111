//! `.env` files: `NAME=value` lines with quotes, `export`, comments and values over several lines, as dotenv,
//! python-dotenv and shells agree on them. A value that is taken over leaves a comment behind.

use super::{Literal, Malformed, Reference, Sign, Way, is_stand_in, line_of};
use crate::secret::Secret;

/// One assignment and the bytes that it takes, to the end of its value.
struct Assignment<'a> {
    start: usize,
    end: usize,
    name: &'a str,
    value: String,
    /// Why nobody knows what its value is.
    unclear: Option<&'static str>,
}

pub fn literals(text: &str) -> Vec<Literal> {
    let found = assignments(text).into_iter().filter(|found| !is_stand_in(&found.value));
    found
        .map(|found| Literal {
            at: vec![place(text, &found)],
            sign: Sign::Variable(found.name.to_owned()),
            secret: Secret::new(found.value),
            way: found.unclear.map_or(Way::Comment, Way::Useless),
        })
        .collect()
}

pub fn refer(text: &str, references: &[Reference<'_>]) -> Result<String, Malformed> {
    let assignments = assignments(text);
    let mut after = text.to_owned();
    let mut done = 0;
    // From the end, so that places stay what they are.
    for found in assignments.iter().rev() {
        let place = place(text, found);
        let Some(reference) = references.iter().find(|wanted| wanted.at == [place.clone()]) else {
            continue;
        };
        let comment =
            format!("# {}: authctl exec --with {} -- COMMAND", found.name, reference.with);
        after.replace_range(found.start..found.end, &comment);
        done += 1;
    }
    if done == references.len() { Ok(after) } else { Err(Malformed::Gone("a line".into())) }
}

fn place(text: &str, found: &Assignment<'_>) -> String {
    format!("line {}", line_of(text, found.start))
}

fn assignments(text: &str) -> Vec<Assignment<'_>> {
    let mut found = Vec::new();
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while at < text.len() {
        let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
        match assignment(text, at, line_end) {
            Some(assignment) => {
                at = text[assignment.end..].find('\n').map_or(text.len(), |n| assignment.end + n);
                found.push(assignment);
            }
            None => at = line_end,
        }
        at += 1;
    }
    found
}

/// The assignment that begins in the line from `start` to `line_end`, if one does.
fn assignment(text: &str, start: usize, line_end: usize) -> Option<Assignment<'_>> {
    let line = &text[start..line_end];
    let indent = line.len() - line.trim_start().len();
    let mut rest = &line[indent..];
    if let Some(exported) = rest.strip_prefix("export").filter(|r| r.starts_with([' ', '\t'])) {
        rest = exported.trim_start();
    }
    let (name, value) = rest.split_once('=')?;
    let name = name.trim_end();
    if !is_name(name) {
        return None;
    }
    let blanks = value.len() - value.trim_start_matches([' ', '\t']).len();
    let begin = line_end - value.len() + blanks;
    let Value { text: value, end, unclear } = value_at(text, begin, line_end);
    Some(Assignment { start: start + indent, end, name, value, unclear })
}

fn is_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

struct Value {
    text: String,
    end: usize,
    unclear: Option<&'static str>,
}

/// The value from `begin`. Only a quoted one goes beyond its line.
fn value_at(text: &str, begin: usize, line_end: usize) -> Value {
    let Some(quote) = text[begin..].chars().next().filter(|first| QUOTES.contains(first)) else {
        return unquoted(&text[begin..line_end], begin);
    };
    if let Some(length) = closing(&text[begin + 1..], quote) {
        return quoted(text, begin, length, quote);
    }
    let value = text[begin..line_end].trim_end();
    let (end, unclear) = (begin + value.len(), Some("its quote is not closed"));
    Value { text: value.to_owned(), end, unclear }
}

const QUOTES: [char; 3] = ['\'', '"', '`'];

fn unquoted(line: &str, begin: usize) -> Value {
    let comment = line.find(" #").into_iter().chain(line.find("\t#")).min();
    let value = comment.map_or(line, |comment| &line[..comment]).trim_end();
    let value = if value.starts_with('#') { "" } else { value };
    let unclear = value.contains(QUOTES).then_some("programs read a quote within it differently");
    Value { text: value.to_owned(), end: begin + value.len(), unclear }
}

/// Behind the quote a comment may stand, after a blank; of anything else nobody knows what it means.
fn quoted(text: &str, begin: usize, length: usize, quote: char) -> Value {
    let value = &text[begin + 1..][..length];
    let end = begin + length + 2;
    let rest = text[end..].split('\n').next().unwrap_or_default();
    let is_clear = rest.trim().is_empty()
        || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'));
    Value {
        text: if quote == '"' { unescaped(value) } else { value.to_owned() },
        end,
        unclear: (!is_clear).then_some("something follows its closing quote"),
    }
}

/// Where the quote closes; a backslash hides one in double quotes.
fn closing(inner: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    inner.char_indices().find_map(|(at, character)| {
        let hidden = std::mem::take(&mut escaped);
        escaped = quote == '"' && character == '\\' && !hidden;
        (character == quote && !hidden).then_some(at)
    })
}

fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some(other @ ('"' | '\\' | '$' | '\'')) => text.push(other),
                Some(other) => text.extend(['\\', other]),
                None => text.push('\\'),
            },
            (other, false) => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String, String)> {
        let literals = literals(text).into_iter();
        literals
            .map(|found| {
                let Sign::Variable(name) = found.sign else { panic!("{:?}", found.sign) };
                (found.at[0].clone(), name, found.secret.expose().to_owned())
            })
            .collect()
    }

    #[test]
    fn every_way_to_write_a_value_is_read() {
        let text = "\u{feff}A=one\n# B=two\n  export C = 'th#ree' # comment\r\nD=\"fo\\\"ur\\n\" # x\nE=`a\nb`\nF=five # six\nG=sev#en\nH=\n I=#no\nJ=$A\nK=\"${A}\"\nnot a line\n9=x\nL=\"two\nlines\"\nM=last";
        let expected = [
            ("line 1", "A", "one"),
            ("line 3", "C", "th#ree"),
            ("line 4", "D", "fo\"ur\n"),
            ("line 5", "E", "a\nb"),
            ("line 7", "F", "five"),
            ("line 8", "G", "sev#en"),
            ("line 15", "L", "two\nlines"),
            ("line 17", "M", "last"),
        ];
        let expected: Vec<_> = expected.map(|(a, b, c)| (a.into(), b.into(), c.into())).into();
        assert_eq!(found(text), expected);
    }

    #[test]
    fn only_what_is_referred_to_changes() {
        let text = "A=1\r\n\texport KEY=\"x\ny\" # prod\r\nB=2 \n";
        let at = ["line 2".to_owned()];
        let after =
            refer(text, &[Reference { at: &at, way: Way::Comment, with: "x=KEY".into() }]).unwrap();
        assert_eq!(after, "A=1\r\n\t# KEY: authctl exec --with x=KEY -- COMMAND # prod\r\nB=2 \n");
        assert!(
            refer(&after, &[Reference { at: &at, way: Way::Comment, with: "x".into() }]).is_err()
        );
    }

    #[test]
    fn a_value_that_programs_read_differently_is_unclear_and_costs_the_others_nothing() {
        let text = "A=\"abc\"def\nB='a' OTHER=1\nC=a\"b\nD=one\t# x\nE='two'\t# x\nF=\"x\"#y\nG=`z\nH=last";
        let found = literals(text);
        let unclear = found.iter().filter(|found| matches!(found.way, Way::Useless(_)));
        let lines: Vec<String> = unclear.map(Literal::place).collect();
        assert_eq!(lines, ["line 1", "line 2", "line 3", "line 6", "line 7"]);
        let clear = found.iter().filter(|found| found.way == Way::Comment);
        let clear: Vec<&str> = clear.map(|found| found.secret.expose()).collect();
        assert_eq!(clear, ["one", "two", "last"]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_without_references(text in "[A-C=#'\"`$\\\\ \n\r\té]{0,60}") {
            if let Ok(after) = refer(&text, &[]) {
                proptest::prop_assert_eq!(after, text);
            }
        }
    }
}
