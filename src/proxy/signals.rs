//! What servers say about a sign-in in their answers, while these pass by untouched: all in the head (RFC 9110
//! §11.6.1), those of MCP and AdCP also inside, where they say 200 and mean 401.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method, Response, StatusCode, Uri};
use url::Url;

use super::{Lent, Watch};
use crate::http::{EventStream, Inbound};
use crate::login_signal::{self, Signal};

/// Longest message that is looked at, in bytes.
const MESSAGE: usize = 256 * 1024;

/// Whoever is told, once a body.
pub type Told = Box<dyn FnOnce(Signal)>;

/// Listens to one answer.
pub struct Ear {
    server: Url,
    told: Option<Told>,
    heard: Heard,
}

enum Heard {
    Message(Vec<u8>),
    Events(EventStream),
}

/// Whether a request is one of MCP's Streamable HTTP, whose clients must take both kinds of answers.
pub fn is_mcp(method: &Method, headers: &HeaderMap) -> bool {
    let accepts = |kind: &str| {
        let mut values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.contains(kind))
    };
    *method == Method::POST && accepts("application/json") && accepts("text/event-stream")
}

/// What the head of an answer says; `presented`: the request had a credential.
pub fn of_head<B>(response: &Response<B>, uri: &Uri, presented: bool) -> Signal {
    let (status, headers) = (response.status(), response.headers());
    if !status.is_client_error() || !headers.contains_key(WWW_AUTHENTICATE) {
        return Signal::Nothing;
    }
    let Ok(server) = Url::parse(&uri.to_string()) else { return Signal::Nothing };
    login_signal::of_answer(status.as_u16(), headers, b"", &server, presented)
}

impl Ear {
    /// `None` for an answer that has no message which can be read.
    pub fn new(status: StatusCode, headers: &HeaderMap, server: Url, told: Told) -> Option<Self> {
        if status != StatusCode::OK || headers.contains_key(CONTENT_ENCODING) {
            return None;
        }
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let heard = match kind.split(';').next()?.trim() {
            "application/json" => Heard::Message(Vec::new()),
            "text/event-stream" => Heard::Events(EventStream::new(MESSAGE)),
            _ => return None,
        };
        Some(Self { server, told: Some(told), heard })
    }

    fn hear(&mut self, piece: &[u8]) {
        match &mut self.heard {
            Heard::Message(bytes) if bytes.len() + piece.len() <= MESSAGE => {
                bytes.extend_from_slice(piece);
            }
            Heard::Message(_) => self.told = None,
            Heard::Events(stream) => match stream.push(piece) {
                Ok(events) => {
                    for event in events {
                        self.tell(event.data.as_bytes());
                    }
                }
                Err(_) => self.told = None,
            },
        }
    }

    fn end(&mut self) {
        if let Heard::Message(bytes) = &mut self.heard {
            let message = std::mem::take(bytes);
            self.tell(&message);
        }
    }

    fn tell(&mut self, message: &[u8]) {
        let signal = login_signal::of_message(message, &self.server);
        if signal != Signal::Nothing
            && let Some(told) = self.told.take()
        {
            told(signal);
        }
    }
}

/// A body, listened to or not.
pub struct Overheard {
    body: Inbound,
    ear: Option<Box<Ear>>,
    witness: Option<Witness>,
}

/// Who is told when an answer breaks off, and whose credential it was for.
pub type Witness = (Rc<dyn Watch>, Rc<Lent>);

impl Overheard {
    pub fn new(body: Inbound, ear: Option<Ear>, witness: Option<Witness>) -> Self {
        Self { body, ear: ear.map(Box::new), witness }
    }
}

impl Body for Overheard {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if matches!(frame, Some(Err(_)))
            && let Some((watch, lent)) = self.witness.take()
        {
            watch.broke_off(&lent);
        }
        let is_over = self.body.is_end_stream();
        if let Some(ear) = &mut self.ear {
            if let Some(data) = frame.as_ref().and_then(|it| it.as_ref().ok()?.data_ref()) {
                ear.hear(data);
            }
            if frame.is_none() || is_over {
                ear.end();
                self.ear = None;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const REFUSED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[],"structuredContent":{"adcp_error":{"code":"AUTH_REQUIRED","message":"log in"}}}}"#;

    fn heard(kind: &'static str, pieces: &[&str]) -> Option<Signal> {
        let found = Rc::new(RefCell::new(None));
        let place = found.clone();
        let told: Told = Box::new(move |signal| *place.borrow_mut() = Some(signal));
        let headers = [(CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
        let server = Url::parse("https://agent.example/mcp").unwrap();
        let mut ear = Ear::new(StatusCode::OK, &headers, server, told)?;
        for piece in pieces {
            ear.hear(piece.as_bytes());
        }
        ear.end();
        found.take()
    }

    #[test]
    fn a_refusal_in_an_answer_is_heard() {
        let (begin, end) = REFUSED.split_at(40);
        let found = heard("application/json; charset=utf-8", &[begin, end]);
        assert!(matches!(found, Some(Signal::Missing(_) | Signal::Rejected(..))), "{found:?}");
        let event = format!("event: message\ndata: {REFUSED}\n\n");
        assert!(heard("text/event-stream", &["data: {}\n", "\n", &event]).is_some());
        assert_eq!(heard("application/json", &[r#"{"jsonrpc":"2.0","id":1,"result":{}}"#]), None);
        assert_eq!(heard("text/plain", &[REFUSED]), None);
    }

    #[test]
    fn only_clients_of_mcp_take_both_kinds_of_answers() {
        let accepting = |value: &'static str| {
            is_mcp(&Method::POST, &[(ACCEPT, value.parse().unwrap())].into_iter().collect())
        };
        assert!(accepting("application/json, text/event-stream"));
        assert!(!accepting("text/event-stream") && !accepting("*/*"));
    }
}
