//! The one HTML page: self-contained, no script, nothing from elsewhere, and headers that keep it out
//! of caches, frames and referrers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto 0;padding:0 1.5rem}\
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .6rem;border-left:.3rem solid;padding-left:.8rem}\
p{margin:.4rem 0}\
footer{margin-top:2.5rem;font-size:.85rem;opacity:.65}\
.good{border-color:#2e9e5b}.bad{border-color:#c8453b}";

/// How a page feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
}

/// A heading and sentences, as plain text; markup in them is shown, never obeyed.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: StatusCode,
    pub tone: Tone,
    pub title: String,
    pub sentences: Vec<String>,
}

impl Page {
    pub fn new(status: StatusCode, tone: Tone, title: &str, sentences: &[&str]) -> Self {
        let sentences = sentences.iter().map(|&sentence| sentence.to_owned()).collect();
        Self { status, tone, title: title.to_owned(), sentences }
    }

    fn html(&self) -> String {
        let title = escape(&self.title);
        let tone = if self.tone == Tone::Good { "good" } else { "bad" };
        let mut sentences = String::new();
        for sentence in &self.sentences {
            sentences.extend(["<p>", &escape(sentence), "</p>\n"]);
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <link rel=\"icon\" href=\"data:,\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1 class=\"{tone}\">{title}</h1>\n{sentences}</main>\n\
             <footer>authctl, on your own computer</footer>\n</body>\n</html>\n"
        )
    }

    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        with_headers(
            self.status,
            self.html(),
            &[(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        )
    }
}

/// A response of one plain line, for requests that no person sees answered.
pub(super) fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let line = format!("{}\n", status.canonical_reason().unwrap_or_default());
    let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        return with_headers(status, line, &[kind, (header::ALLOW, "GET")]);
    }
    with_headers(status, line, &[kind])
}

pub(super) fn see_other(path: &'static str) -> Response<Full<Bytes>> {
    with_headers(StatusCode::SEE_OTHER, String::new(), &[(header::LOCATION, path)])
}

fn with_headers(
    status: StatusCode,
    body: String,
    own: &[(HeaderName, &'static str)],
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in own {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(policy) = HeaderValue::try_from(content_security_policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Nothing may load but this page's own style, which is named by its hash.
fn content_security_policy() -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        STANDARD.encode(hash)
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_page_is_text() {
        let page = Page::new(StatusCode::OK, Tone::Good, "<b>'\"&", &["</p><script>x()</script>"]);
        let html = page.html();
        assert!(html.contains("&lt;b&gt;&#39;&quot;&amp;"));
        assert!(!html.contains("<script"));
    }

    #[test]
    fn every_response_forbids_caches_referrers_frames_and_loading() {
        let page = Page::new(StatusCode::OK, Tone::Bad, "x", &[]);
        for response in [page.response(), plain(StatusCode::NOT_FOUND), see_other("/done")] {
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("cache-control"), "no-store");
            assert_eq!(header("referrer-policy"), "no-referrer");
            let policy = header("content-security-policy");
            assert!(policy.starts_with("default-src 'none';"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        }
    }

    #[test]
    fn the_page_refers_to_nothing_elsewhere() {
        let html = Page::new(StatusCode::OK, Tone::Good, "x", &["y"]).html();
        assert!(!html.contains("http") && !html.contains("src="), "{html}");
    }
}
