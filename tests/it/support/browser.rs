//! A browser without a person: fetches pages over plain HTTP and follows redirects.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use url::Url;

use super::PATIENCE;

/// Redirects followed before it gives up.
const MOST_REDIRECTS: usize = 10;

/// A page as it came.
#[derive(Debug, Clone)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Opens `url` as a person would, and ends at the page that is shown.
pub fn open(url: &str) -> Page {
    history(url).pop().unwrap()
}

/// The same with every page on the way.
pub fn history(url: &str) -> Vec<Page> {
    let mut pages = vec![get(&Url::parse(url).unwrap())];
    while let Some(next) = redirect(&pages[pages.len() - 1]) {
        assert!(pages.len() <= MOST_REDIRECTS, "redirects without end at {next}");
        pages.push(get(&next));
    }
    pages
}

fn redirect(page: &Page) -> Option<Url> {
    let location = page.header("location").filter(|_| (300..400).contains(&page.status))?;
    Some(page.url.join(location).unwrap())
}

/// Fetches one page and follows nothing.
pub fn get(url: &Url) -> Page {
    let target =
        format!("{}{}", url.path(), url.query().map_or(String::new(), |q| format!("?{q}")));
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    request(url, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

/// Sends `bytes` to where `url` leads, for requests that no browser would make.
pub fn request(url: &Url, bytes: &str) -> Page {
    assert_eq!(url.scheme(), "http", "{url}");
    let address = url.socket_addrs(|| None).unwrap();
    let stream = TcpStream::connect(&*address).unwrap_or_else(|error| panic!("{url}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (&stream).write_all(bytes.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let status = line(&mut reader).split(' ').nth(1).unwrap_or("").parse();
    let mut headers = Vec::new();
    while let Some((name, value)) = line(&mut reader).split_once(':') {
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut body = Vec::new();
    // Servers may close a connection without ceremony once everything is sent.
    let _ = reader.read_to_end(&mut body);
    Page {
        url: url.clone(),
        status: status.unwrap_or_else(|_| panic!("{url}: no HTTP answer")),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Submits a form.
pub fn post_form(url: &Url, form: &[(&str, &str)]) -> Page {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        url.path(),
        url.authority(),
        body.len()
    );
    request(url, &format!("{head}{body}"))
}
