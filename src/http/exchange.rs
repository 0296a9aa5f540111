//! A request whose answer comes as it is sent: bodies of any length and streams without an end.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::{Answer, Error};

/// Most bytes of header names and values.
const HEADERS: usize = 64 * 1024;

/// An answer whose body has not been read yet. Dropped, it is cancelled.
pub struct Exchange {
    pub status: u16,
    pub headers: HeaderMap,
    response: reqwest::Response,
    host: String,
    from_public: bool,
}

impl Exchange {
    pub(super) fn new(
        mut response: reqwest::Response,
        host: String,
        from_public: bool,
    ) -> Result<Self, Error> {
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let size: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if size > HEADERS {
            return Err(Error::TooLarge { host, limit: HEADERS });
        }
        Ok(Self { status, headers, response, host, from_public })
    }

    /// The next piece of the body, as it arrived; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.response.chunk().await.map_err(|error| super::failure::failure(&self.host, &error))
    }

    /// Reads the whole body, up to `limit` bytes.
    pub async fn read(mut self, limit: usize) -> Result<Answer, Error> {
        *self.response.headers_mut() = self.headers;
        Answer::read(self.response, self.host, self.from_public, limit).await
    }

    /// An answer that comes as server-sent events.
    pub fn is_event_stream(&self) -> bool {
        self.status == 200 && self.media_type() == "text/event-stream"
    }

    /// A header's text, if it is there once and is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// The media type in lower case, without parameters; empty where there is none.
    pub fn media_type(&self) -> String {
        let value = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}
