//! Answers that repeat the credential, as some servers do in their errors and echoes: the program that asked must
//! not learn it, so each of its bytes becomes a star. Lengths stay, and so does everything else. What a server
//! encodes of its own accord is not looked into.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{ACCEPT_ENCODING, Entry, HeaderValue};

use super::signals::Overheard;
use crate::credential::Credential;
use crate::inject;
use crate::secret::Secret;

/// Shorter texts stand in answers for other reasons.
const SHORTEST: usize = 8;

/// Secrets whose search is made fast, at some hundred bytes of memory for each of theirs, in bytes.
const FAST: usize = 2 * 1024;

/// What is looked for.
pub struct Secrets {
    needles: Vec<Vec<u8>>,
    search: AhoCorasick,
    shortest: usize,
    longest: usize,
    /// Whether one begins with this byte.
    begins: [bool; 256],
}

impl Secrets {
    /// `None` where there is nothing to look for.
    pub fn of<'a>(credentials: impl Iterator<Item = &'a Credential>) -> Option<Self> {
        let all: Vec<Secret> = credentials.flat_map(inject::secrets).collect();
        let texts = all.iter().map(|secret| secret.expose().as_bytes());
        let texts = texts.filter(|text| text.len() >= SHORTEST);
        let needles: Vec<Vec<u8>> =
            texts.flat_map(|text| encoded(text).into_iter().chain([text.to_vec()])).collect();
        let (shortest, longest) =
            (needles.iter().map(Vec::len).min()?, needles.iter().map(Vec::len).max()?);
        let is_small = needles.iter().map(Vec::len).sum::<usize>() <= FAST;
        let kind = if is_small { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        // Most of what is looked through is short, and random texts have no rare bytes to skip to.
        let search = AhoCorasick::builder().kind(Some(kind)).prefilter(false).build(&needles);
        let mut begins = [false; 256];
        for first in needles.iter().filter_map(|needle| needle.first()) {
            begins[usize::from(*first)] = true;
        }
        Some(Self { search: search.ok()?, needles, shortest, longest, begins })
    }

    /// The same without the secrets, and whether there were any.
    fn starred(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.len() < self.shortest {
            return None;
        }
        let mut starred: Option<Vec<u8>> = None;
        for found in self.search.find_iter(bytes) {
            let starred = starred.get_or_insert_with(|| bytes.to_vec());
            starred[found.range()].fill(b'*');
        }
        starred
    }

    /// How many bytes at the end may be the beginning of a secret.
    fn undecided(&self, bytes: &[u8]) -> usize {
        let most = bytes.len().min(self.longest - 1);
        let may_grow = |at: &usize| {
            let end = &bytes[*at..];
            self.begins[usize::from(end[0])]
                && self.needles.iter().any(|it| it.len() > end.len() && it.starts_with(end))
        };
        let first = (bytes.len() - most..bytes.len()).find(may_grow);
        first.map_or(0, |at| bytes.len() - at)
    }

    /// Values of headers that repeat it.
    pub fn star_headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let starred = self.starred(value.as_bytes());
            if let Some(starred) = starred.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok()) {
                *value = starred;
            }
        }
    }
}

/// What of a text is the same in Base64 whatever stands before it, as the name of a user does (RFC 7617 §2), and
/// behind it.
fn encoded(text: &[u8]) -> [Vec<u8>; 3] {
    [0, 1, 2].map(|before| {
        let whole = STANDARD.encode([&[0; 2][..before], text].concat()).into_bytes();
        whole[(before * 8).div_ceil(6)..(before + text.len()) * 8 / 6].to_vec()
    })
}

/// Asks for an answer that can be looked through (RFC 9110 §12.5.3). A program could have the credential repeated in
/// a compressed one, which would pass; and what a server says of the sign-in is not heard there. Every server
/// may answer so, and every client has to take it.
pub fn ask_for_plain(headers: &mut HeaderMap) {
    if let Entry::Occupied(mut codings) = headers.entry(ACCEPT_ENCODING) {
        codings.insert(HeaderValue::from_static("identity"));
    }
}

/// A body without them.
pub struct Starred {
    body: Overheard,
    secrets: Rc<Secrets>,
    /// Bytes that may be the beginning of a secret.
    held: Bytes,
    /// What comes after the data: trailers, or its failure.
    last: Option<Result<Frame<Bytes>, hyper::Error>>,
    is_over: bool,
}

impl Starred {
    pub fn new(body: Overheard, secrets: Rc<Secrets>) -> Self {
        Self { body, secrets, held: Bytes::new(), last: None, is_over: false }
    }

    fn pass(&mut self, data: Bytes) -> Bytes {
        let mut bytes = data;
        if !self.held.is_empty() {
            let mut whole = BytesMut::from(&self.held[..]);
            whole.extend_from_slice(&bytes);
            bytes = whole.freeze();
        }
        if let Some(starred) = self.secrets.starred(&bytes) {
            bytes = starred.into();
        }
        let undecided = self.secrets.undecided(&bytes);
        self.held = bytes.split_off(bytes.len() - undecided);
        bytes
    }
}

impl Body for Starred {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            if let Some(last) = self.last.take() {
                return Poll::Ready(Some(last));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame.into_data().map_err(Ok),
                Some(Err(error)) => Err(Err(error)),
                None => {
                    self.is_over = true;
                    Ok(Bytes::new())
                }
            };
            let passed = match frame {
                Ok(data) if !self.is_over => self.pass(data),
                Ok(_) => std::mem::take(&mut self.held),
                Err(last) => {
                    self.last = Some(last);
                    std::mem::take(&mut self.held)
                }
            };
            if !passed.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(passed))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.last.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, held) = (self.body.size_hint(), self.held.len() as u64);
        match rest.exact() {
            Some(rest) => SizeHint::with_exact(rest + held),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[&str]) -> Option<Secrets> {
        let keys: Vec<Credential> =
            keys.iter().map(|key| Credential::ApiKey { key: Secret::new(*key) }).collect();
        Secrets::of(keys.iter())
    }

    fn secrets() -> Secrets {
        of(&["s3cret-value"]).unwrap()
    }

    #[test]
    fn only_the_secret_becomes_stars() {
        assert_eq!(secrets().starred(b"no s3cret here"), None);
        let starred = secrets().starred(b"a s3cret-value, s3cret-value").unwrap();
        assert_eq!(starred, b"a ************, ************");
        let starred = of(&["s3cret-value", "short", "other-key"]).unwrap();
        assert_eq!(
            starred.starred(b"other-key short s3cret-value").unwrap(),
            b"********* short ************"
        );
        assert!(of(&["short"]).is_none() && of(&[]).is_none());
    }

    #[test]
    fn it_is_found_in_base_64_whoever_the_user_is() {
        for user in ["", "a", "me", "x-access-token"] {
            let pair = STANDARD.encode(format!("{user}:s3cret-value"));
            let starred = secrets().starred(pair.trim_end_matches('=').as_bytes()).unwrap();
            let rest = starred.iter().filter(|byte| **byte != b'*').count();
            assert!(
                rest <= ((user.len() + 1) * 8).div_ceil(6) + 1,
                "{user}: {}",
                starred.escape_ascii()
            );
        }
    }

    #[test]
    fn only_what_may_become_a_secret_is_held_back() {
        let undecided = |text: &str| secrets().undecided(text.as_bytes());
        assert_eq!(undecided("data: x\n\n"), 0);
        assert_eq!(undecided("xs3cret-valu"), 11);
        assert_eq!(undecided("s"), 1);
        assert_eq!(undecided(""), 0);
        assert_eq!(undecided("s3cret-value"), 0);
    }

    #[test]
    fn headers_are_starred_too() {
        let mut headers = HeaderMap::new();
        headers.insert("x-echo", HeaderValue::from_static("Bearer s3cret-value"));
        headers.insert("x-other", HeaderValue::from_static("s3cret"));
        secrets().star_headers(&mut headers);
        assert_eq!(headers["x-echo"], "Bearer ************");
        assert_eq!(headers["x-other"], "s3cret");
    }
}
