//! What came back: status, headers and a body that is read up to its limit and wiped when dropped.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use jiff::Timestamp;
use zeroize::Zeroize;

use super::Error;
use crate::secret::Secret;

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Secrets of the request, which no message about its answer may repeat.
    pub never_shown: Vec<Secret>,
    pub(super) host: String,
    pub(super) from_public: bool,
}

impl Answer {
    /// Reads the whole response, up to `limit` bytes of body.
    pub(super) async fn read(
        mut response: reqwest::Response,
        host: String,
        from_public: bool,
        limit: usize,
    ) -> Result<Self, Error> {
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut answer = Answer {
            status,
            headers,
            body: Vec::with_capacity(announced.unwrap_or_default().min(limit)),
            never_shown: Vec::new(),
            host,
            from_public,
        };
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if answer.body.len() + chunk.len() > limit => {
                    return Err(Error::TooLarge { host: answer.host.clone(), limit });
                }
                Ok(Some(chunk)) => answer.body.extend_from_slice(&chunk),
                Ok(None) => return Ok(answer),
                Err(error) => return Err(super::failure::failure(&answer.host, &error)),
            }
        }
    }

    /// Host, and port where it is unusual: for messages.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the answer came from the internet, so that what it names must be there as well.
    pub fn is_from_public(&self) -> bool {
        self.from_public
    }

    /// A header's text, if it is there once and is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// `Retry-After` (RFC 9110 §10.2.3), in seconds or as a date, however long.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.header(RETRY_AFTER.as_str())?.trim();
        if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
            return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
        }
        let wait = http_date(text)?.duration_since(now);
        // A date that has passed means: now.
        Some(Duration::try_from(wait).unwrap_or_default())
    }

    /// The server's clock, where it says (`Date`).
    pub fn date(&self) -> Option<Timestamp> {
        http_date(self.header("date")?)
    }

    /// Whether the answer calls itself JSON.
    pub fn is_json(&self) -> bool {
        let media = self.media_type();
        media == "application/json"
            || (media.starts_with("application/") && media.ends_with("+json"))
    }

    /// The media type in lower case, without parameters; empty where there is none.
    pub fn media_type(&self) -> String {
        let value = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text.trim()).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> Answer {
        let headers = HeaderMap::from_iter([(
            hyper::header::HeaderName::from_static(name),
            value.parse().unwrap(),
        )]);
        Answer {
            status: 503,
            headers,
            body: Vec::new(),
            never_shown: Vec::new(),
            host: String::new(),
            from_public: false,
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("61", Some(61)),
            ("99999999999999999999", Some(u64::MAX)),
            ("Thu, 01 Jan 2026 00:00:30 GMT", Some(30)),
            ("Thu, 01 Jan 2026 01:00:00 GMT", Some(3600)),
            ("Wed, 31 Dec 2025 23:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let wait = with("retry-after", text).retry_after(now);
            assert_eq!(wait.map(|wait| wait.as_secs()), seconds, "{text:?}");
        }
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        for (text, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/html", false),
            ("text/json", false),
            ("application/jsonx", false),
        ] {
            assert_eq!(with("content-type", text).is_json(), json, "{text}");
        }
    }
}
