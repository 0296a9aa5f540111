//! HTTP+SSE of 2024-11-05: one stream brings everything that the server says, and its first event names the
//! address that messages are posted to.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::timeout;
use url::{Origin, Url};

use super::Failure;
use super::endpoint::{Endpoint, Headers};
use super::inbox::Inbox;
use crate::http::{EventStream, Exchange, parse_url};
use crate::stdio::{self, LONGEST};
use crate::text::clean;

/// How long a server may take to name the address.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open stream; closed when dropped. The session ends with it.
pub struct Stream {
    is_open: Rc<Cell<bool>>,
    task: AbortHandle,
}

impl Stream {
    pub fn is_open(&self) -> bool {
        self.is_open.get()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens the stream; gives the address to post to. `None`: the server has no such stream.
pub async fn open(
    endpoint: &Rc<Endpoint>,
    inbox: &Rc<Inbox>,
) -> Result<Option<(Url, Stream)>, Failure> {
    let late = || Failure::failed(format!("{} does not name an endpoint in time", endpoint.host()));
    timeout(PATIENCE, begin(endpoint, inbox)).await.map_err(|_| late())?
}

async fn begin(
    endpoint: &Rc<Endpoint>,
    inbox: &Rc<Inbox>,
) -> Result<Option<(Url, Stream)>, Failure> {
    let mut exchange = endpoint.listen(&Headers::default(), None).await?;
    if !exchange.is_event_stream() {
        return Ok(None);
    }
    let mut stream = EventStream::new(LONGEST);
    let mut named = None;
    while named.is_none() {
        let Some(piece) = exchange.chunk().await? else { return Err(nameless(endpoint)) };
        let events = stream.push(&piece).map_err(|_| nameless(endpoint))?;
        for event in events {
            if named.is_none() && event.event == "endpoint" {
                named = Some(resolve(&endpoint.url, event.data.trim())?);
            } else if named.is_some() {
                inbox.take_event(event.data);
            }
        }
    }
    let is_open = Rc::new(Cell::new(true));
    let reading = follow(exchange, stream, inbox.clone(), is_open.clone());
    let task = tokio::task::spawn_local(reading).abort_handle();
    Ok(named.map(|url| (url, Stream { is_open, task })))
}

async fn follow(
    mut exchange: Exchange,
    mut stream: EventStream,
    inbox: Rc<Inbox>,
    is_open: Rc<Cell<bool>>,
) {
    loop {
        stdio::room().await;
        let Ok(Some(piece)) = exchange.chunk().await else { break };
        let Ok(events) = stream.push(&piece) else { break };
        for event in events.into_iter().filter(|event| event.event == "message") {
            inbox.take_event(event.data);
        }
    }
    is_open.set(false);
    inbox.give_up();
}

/// The address that a stream named. A credential goes with every message, so it must be of the same origin.
fn resolve(base: &Url, named: &str) -> Result<Url, Failure> {
    let unusable = || format!("{} names an unusable endpoint: {}", origin_of(base), clean(named));
    let url = base.join(named).map_err(|_| Failure::failed(unusable()))?;
    if url.origin() != base.origin() {
        return Err(Failure::failed(format!(
            "{} wants messages to be sent to {}, which is another origin: refused",
            origin_of(base),
            origin_of(&url)
        )));
    }
    Ok(parse_url(url.as_str())?)
}

fn nameless(endpoint: &Endpoint) -> Failure {
    Failure::failed(format!("the stream of {} ended before it named an endpoint", endpoint.host()))
}

/// Where a URL leads, without what may be secret in it.
fn origin_of(url: &Url) -> String {
    match url.origin() {
        Origin::Opaque(_) => clean(&format!("an address of {}:", url.scheme())),
        origin @ Origin::Tuple(..) => clean(&origin.ascii_serialization()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_of_the_origin_of_its_stream() {
        let base: Url = "https://example.com/a/sse?x=1".parse().unwrap();
        for (named, url) in [
            ("/message?sessionId=1", "https://example.com/message?sessionId=1"),
            ("?sessionId=1", "https://example.com/a/sse?sessionId=1"),
            ("https://example.com/m", "https://example.com/m"),
            ("https://EXAMPLE.com:443/m", "https://example.com/m"),
        ] {
            assert_eq!(resolve(&base, named).unwrap().as_str(), url);
        }
        for named in [
            "https://example.com.evil.com/m",
            "http://example.com/m",
            "https://example.com:444/m",
            "//evil.com/m",
            "https://user@example.com/m",
            "javascript:alert(1)",
            "https://",
        ] {
            assert!(resolve(&base, named).is_err(), "{named}");
        }
    }
}
