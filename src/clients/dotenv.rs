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
}

pub fn literals(text: &str) -> Result<Vec<Literal>, Malformed> {
    let found = assignments(text)?.into_iter().filter(|found| !is_stand_in(&found.value));
    Ok(found
        .map(|found| Literal {
            at: vec![place(text, &found)],
            sign: Sign::Variable(found.name.to_owned()),
            secret: Secret::new(found.value),
            way: Way::Comment,
        })
        .collect())
}

pub fn refer(text: &str, references: &[Reference<'_>]) -> Result<String, Malformed> {
    let assignments = assignments(text)?;
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

fn assignments(text: &str) -> Result<Vec<Assignment<'_>>, Malformed> {
    let mut found = Vec::new();
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while at < text.len() {
        let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
        match assignment(text, at, line_end)? {
            Some(assignment) => {
                at = text[assignment.end..].find('\n').map_or(text.len(), |n| assignment.end + n);
                found.push(assignment);
            }
            None => at = line_end,
        }
        at += 1;
    }
    Ok(found)
}

/// The assignment that begins in the line from `start` to `line_end`, if one does.
fn assignment(
    text: &str,
    start: usize,
    line_end: usize,
) -> Result<Option<Assignment<'_>>, Malformed> {
    let line = &text[start..line_end];
    let indent = line.len() - line.trim_start().len();
    let mut rest = &line[indent..];
    if let Some(exported) = rest.strip_prefix("export").filter(|r| r.starts_with([' ', '\t'])) {
        rest = exported.trim_start();
    }
    let Some((name, value)) = rest.split_once('=') else { return Ok(None) };
    let name = name.trim_end();
    if !is_name(name) {
        return Ok(None);
    }
    let blanks = value.len() - value.trim_start_matches([' ', '\t']).len();
    let begin = line_end - value.len() + blanks;
    let (value, end) = value_at(text, begin, line_end)?;
    Ok(Some(Assignment { start: start + indent, end, name, value }))
}

fn is_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The value from `begin`, and where it ends. Only a quoted one goes beyond its line.
fn value_at(text: &str, begin: usize, line_end: usize) -> Result<(String, usize), Malformed> {
    let quote = text[begin..].chars().next().filter(|first| matches!(first, '\'' | '"' | '`'));
    let Some(quote) = quote else {
        let line = &text[begin..line_end];
        let value = line.find(" #").map_or(line, |comment| &line[..comment]).trim_end();
        let value = if value.starts_with('#') { "" } else { value };
        return Ok((value.to_owned(), begin + value.len()));
    };
    let inner = &text[begin + 1..];
    let length = closing(inner, quote).ok_or_else(|| Malformed::Syntax {
        what: "a .env file: a quote is not closed",
        line: Some(line_of(text, begin)),
    })?;
    let value = &inner[..length];
    let value = if quote == '"' { unescaped(value) } else { value.to_owned() };
    Ok((value, begin + length + 2))
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
        let literals = literals(text).unwrap().into_iter();
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
        let after = refer(text, &[Reference { at: &at, with: "x=KEY".into() }]).unwrap();
        assert_eq!(after, "A=1\r\n\t# KEY: authctl exec --with x=KEY -- COMMAND # prod\r\nB=2 \n");
        assert!(refer(&after, &[Reference { at: &at, with: "x".into() }]).is_err());
    }

    #[test]
    fn a_quote_that_is_not_closed_is_said_with_its_line() {
        let error = literals("A=1\nB='x\nC=2\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains('x'), "{error}");
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
