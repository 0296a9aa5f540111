//! Both ends of a line that is too long to be kept: its id stands near one of them.

use serde::de::IgnoredAny;

use crate::jsonrpc::Sought;

/// How much is kept of both ends.
pub const EDGE: usize = 64 << 10;
/// How many places are looked at in the last one.
const TRIES: usize = 16;

#[derive(Debug)]
pub struct Edges {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Edges {
    pub fn new(begun: &[u8]) -> Self {
        let first = begun[..begun.len().min(EDGE)].to_vec();
        Self { first, last: begun[begun.len().saturating_sub(EDGE)..].to_vec() }
    }

    /// Goes on with the line.
    pub fn push(&mut self, piece: &[u8]) {
        self.last.extend_from_slice(piece);
        self.last.drain(..self.last.len().saturating_sub(EDGE));
    }

    /// What both ends show of the object that the line is.
    pub fn sought(&self) -> Sought {
        let (first, _) = Sought::of(&self.first);
        let first = first.into_iter().next().unwrap_or_default();
        match at_end(&self.last) {
            Some(last) => first.and(last),
            None => first,
        }
    }
}

/// The last members of an object, from its id on: what follows must close nothing but the object.
fn at_end(text: &[u8]) -> Option<Sought> {
    let text = text.trim_ascii_end();
    let name = br#""id""#;
    let starts = (0..text.len()).rev().filter(|at| text[*at..].starts_with(name)).take(TRIES);
    starts.into_iter().find_map(|at| {
        let object = [b"{", &text[at..]].concat();
        serde_json::from_slice::<IgnoredAny>(&object).ok()?;
        Sought::of(&object).0.into_iter().next()
    })
}
