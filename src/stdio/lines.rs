//! What a server writes, line by line: each is messages, or has a flaw, of which those hear whom it was to answer.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::ChildStdout;

use super::LONGEST;
use super::edges::{EDGE, Edges};
use crate::jsonrpc::{Id, Message, Sought};

/// What is kept of a line that is no message.
const SHOWN: usize = 2_000;

/// The lines of a program's stdout.
pub struct Lines {
    stdout: BufReader<ChildStdout>,
}

/// Something on a line.
pub type Found = Result<Message, Flawed>;

/// What is no message.
#[derive(Debug, PartialEq, Eq)]
pub struct Flawed {
    pub flaw: Flaw,
    /// The requests that it was to answer.
    pub ids: Vec<Id>,
    /// How it begins, as it came.
    pub text: String,
}

/// Why it is none. Displayed as the rest of a sentence about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("is longer than {} MiB", LONGEST >> 20)]
    TooLong,
    #[error("is not UTF-8")]
    NotText,
    #[error("stands on one line with another one")]
    NotAlone,
    #[error("has a member twice")]
    Repeated,
    #[error("has both a result and an error")]
    Both,
    #[error("is not JSON")]
    NotJson,
    #[error("is no JSON-RPC 2.0 message")]
    NoMessage,
}

impl Lines {
    pub fn new(stdout: ChildStdout) -> Self {
        Self { stdout: BufReader::with_capacity(64 << 10, stdout) }
    }

    /// What the next line holds that is not empty; `None` at the end.
    pub async fn next(&mut self) -> Option<Vec<Found>> {
        loop {
            let mut line = Vec::new();
            if self.read_on(&mut line, LONGEST).await? == 0 {
                return None;
            }
            if line.len() >= LONGEST && !line.ends_with(b"\n") {
                return Some(vec![Err(self.too_long(line).await)]);
            }
            line.truncate(line.trim_ascii_end().len());
            if !line.is_empty() {
                return Some(read(line));
            }
        }
    }

    /// `None`: it cannot be read.
    async fn read_on(&mut self, line: &mut Vec<u8>, most: usize) -> Option<usize> {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        (&mut self.stdout).take(most).read_until(b'\n', line).await.ok()
    }

    /// Goes on to the end of the line, so that its id is found.
    async fn too_long(&mut self, begun: Vec<u8>) -> Flawed {
        let mut edges = Edges::new(&begun);
        let first = String::from_utf8_lossy(&begun[..begun.len().min(SHOWN)]).into_owned();
        let mut piece = begun;
        while !piece.ends_with(b"\n") {
            piece = Vec::new();
            if self.read_on(&mut piece, EDGE).await.unwrap_or(0) == 0 {
                break;
            }
            edges.push(&piece);
        }
        let ids = edges.sought().id_of_response().into_iter().collect();
        Flawed { flaw: Flaw::TooLong, ids, text: first_of(&first) }
    }
}

/// The messages of a line; each of a batch for itself.
fn read(line: Vec<u8>) -> Vec<Found> {
    let line = match String::from_utf8(line) {
        Ok(line) => line,
        Err(error) => {
            let flawed = flawed(&String::from_utf8_lossy(error.as_bytes()));
            return vec![Err(Flawed { flaw: Flaw::NotText, ..flawed })];
        }
    };
    if line.trim_ascii_start().starts_with('[')
        && let Ok(batch) = serde_json::from_str::<Vec<&RawValue>>(&line)
    {
        return batch.into_iter().map(|text| read_one(text.get().to_owned())).collect();
    }
    vec![read_one(line)]
}

fn read_one(text: String) -> Found {
    Message::read_or_return(text).map_err(|(_, text)| flawed(&text))
}

fn flawed(text: &str) -> Flawed {
    let (found, is_cut) = Sought::of(text.as_bytes());
    let flaw = match &found[..] {
        [_, _, ..] => Flaw::NotAlone,
        _ if is_cut => Flaw::NotJson,
        [one] if one.repeats() => Flaw::Repeated,
        [one] if one.has("result") && one.has("error") => Flaw::Both,
        _ => Flaw::NoMessage,
    };
    let ids: BTreeSet<Id> = found.into_iter().filter_map(Sought::id_of_response).collect();
    Flawed { flaw, ids: ids.into_iter().collect(), text: first_of(text) }
}

fn first_of(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// For people.
impl fmt::Display for Flawed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flaw = self.flaw;
        match (flaw, &self.ids[..]) {
            (Flaw::NotJson | Flaw::NoMessage, []) => formatter
                .write_str("the server writes to stdout what is no message; it is left out"),
            (_, []) => write!(formatter, "the server writes to stdout what {flaw}; it is left out"),
            _ => write!(formatter, "the server's answer to a request {flaw}; that gets an error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_answer_is_told_with_whom_it_was_to_answer() {
        let good = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;
        assert!(matches!(&read(good.into())[..], [Ok(_)]));
        let utf8 = [br#"{"jsonrpc":"2.0","id":5,"result":""#, &b"\xff\"}"[..]].concat();
        let wrong: [(&[u8], Flaw, &[u64]); 9] = [
            (&utf8, Flaw::NotText, &[5]),
            (
                br#"{"jsonrpc":"2.0","id":5,"result":1}{"jsonrpc":"2.0","id":6,"result":2}"#,
                Flaw::NotAlone,
                &[5, 6],
            ),
            (br#"{"jsonrpc":"2.0","id":5,"result":1,"result":2}"#, Flaw::Repeated, &[5]),
            (br#"{"jsonrpc":"2.0","id":5,"result":1,"error":{}}"#, Flaw::Both, &[5]),
            (br#"{"jsonrpc":"2.0","id":5,"result":{"x":1"#, Flaw::NotJson, &[5]),
            (br#"{"id":5,"result":{}}"#, Flaw::NoMessage, &[5]),
            (br#"{"level":30,"id":5,"msg":"a log"}"#, Flaw::NoMessage, &[]),
            (b"Server listening...", Flaw::NotJson, &[]),
            (br#"{"jsonrpc":"2.0","id":5,"method":"x","method":"y"}"#, Flaw::Repeated, &[]),
        ];
        for (line, flaw, ids) in wrong {
            let ids = ids.iter().copied().map(Id::number).collect();
            let found = read(line.to_vec());
            let text = String::from_utf8_lossy(line).into_owned();
            assert_eq!(found, [Err(Flawed { flaw, ids, text })]);
        }
    }

    #[test]
    fn a_batch_is_as_good_as_each_of_it() {
        let found =
            read(br#"[{"jsonrpc":"2.0","id":5,"result":1},{"jsonrpc":"2.0","id":6}]"#.to_vec());
        let text = r#"{"jsonrpc":"2.0","id":6}"#.to_owned();
        let flaw = Flawed { flaw: Flaw::NoMessage, ids: vec![Id::number(6)], text };
        assert!(matches!(&found[..], [Ok(_), Err(other)] if *other == flaw), "{found:?}");
    }
}
