//! What one handshake with a server of the legacy era has made: a session over Streamable HTTP (2025-03-26 to
//! 2025-11-25), or over HTTP+SSE (2024-11-05), until the server forgets it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use super::answer::{self, Answer};
use super::convert::ASKING;
use super::endpoint::{Endpoint, Headers};
use super::http_sse;
use super::inbox::{Expected, Inbox};
use super::own_stream::OwnStream;
use super::reconnect::Reconnect;
use super::{Failure, LEGACY};
use crate::http::{EventStream, Exchange};
use crate::jsonrpc::{Id, Kind, METHOD_NOT_FOUND, Message};

/// How long the post of a request may go on whose response came another way.
const GRACE: Duration = Duration::from_secs(1);
/// How long others wait for the server to take note that it is initialized.
const NOTE_WAIT: Duration = Duration::from_secs(10);

/// How the server speaks by itself.
enum Stream {
    Streamable(OwnStream),
    HttpSse(http_sse::Stream),
}

pub struct Connection {
    endpoint: Rc<Endpoint>,
    inbox: Rc<Inbox>,
    headers: RefCell<Headers>,
    stream: Stream,
    /// `notifications/initialized` was posted.
    initialized: OnceCell<()>,
}

impl Connection {
    /// Shakes hands with the host's `initialize`; gives the server's response to it as well.
    pub async fn open(
        endpoint: &Rc<Endpoint>,
        inbox: &Rc<Inbox>,
        hello: &Message,
    ) -> Result<(Rc<Self>, Message), Failure> {
        let exchange = endpoint.post(&Headers::default(), hello.text()).await?;
        let session = session_id(&exchange, endpoint)?;
        let headers = Headers { session, ..Headers::default() };
        let new = Self::new(endpoint, inbox, headers, Stream::Streamable(OwnStream::new()));
        let status = exchange.status;
        let answer = answer::read(exchange, id_of(hello)?, endpoint, &|it| inbox.take(it)).await?;
        if matches!(status, 400 | 404 | 405) {
            let other = Self::open_http_sse(endpoint, inbox, hello).await;
            return match (other, answer) {
                // It has its own words for it, which are not about the transport.
                (Ok(None) | Err(_), Answer::Response(refusal)) => Err(Failure::Error(refusal)),
                (Ok(None), Answer::Status { status, body }) => {
                    Err(answer::refused(endpoint, status, &body))
                }
                (other, _) => other?.ok_or_else(|| answer::broken(endpoint, "it is empty")),
            };
        }
        let greeting = new.conclude(answer, id_of(hello)?, &|it| inbox.take(it)).await?;
        let greeting = greeting.ok_or_else(|| answer::broken(endpoint, "it is empty"))?;
        new.greeted(greeting)
    }

    /// The same in the transport of `self`, which the server has forgotten.
    pub async fn open_again(&self, hello: &Message) -> Result<(Rc<Self>, Message), Failure> {
        if let Stream::Streamable(_) = self.stream {
            return Self::open(&self.endpoint, &self.inbox, hello).await;
        }
        let new = Self::open_http_sse(&self.endpoint, &self.inbox, hello).await?;
        new.ok_or_else(|| {
            Failure::failed(format!("{} has no stream any more", self.endpoint.host()))
        })
    }

    async fn open_http_sse(
        endpoint: &Rc<Endpoint>,
        inbox: &Rc<Inbox>,
        hello: &Message,
    ) -> Result<Option<(Rc<Self>, Message)>, Failure> {
        let Some((url, stream)) = http_sse::open(endpoint, inbox).await? else { return Ok(None) };
        let headers = Headers { to: Some(url), ..Headers::default() };
        let new = Self::new(endpoint, inbox, headers, Stream::HttpSse(stream));
        let greeting = new.ask(hello, id_of(hello)?, &|it| inbox.take(it)).await?;
        new.greeted(greeting).map(Some)
    }

    fn new(
        endpoint: &Rc<Endpoint>,
        inbox: &Rc<Inbox>,
        headers: Headers,
        stream: Stream,
    ) -> Rc<Self> {
        Rc::new(Self {
            endpoint: endpoint.clone(),
            inbox: inbox.clone(),
            headers: RefCell::new(headers),
            stream,
            initialized: OnceCell::new(),
        })
    }

    fn greeted(self: Rc<Self>, greeting: Message) -> Result<(Rc<Self>, Message), Failure> {
        if let Kind::Response { is_error: true, .. } = greeting.kind() {
            return Err(Failure::Error(greeting));
        }
        let result = greeting.member("result");
        let names = ["capabilities", "serverInfo"];
        let is_whole = names.iter().all(|name| result[name].is_object());
        let Some(version) = result["protocolVersion"].as_str().filter(|_| is_whole) else {
            let what = "its result of initialize lacks protocolVersion, capabilities or serverInfo";
            return Err(answer::broken(&self.endpoint, what));
        };
        // Goes into a header.
        let is_fit = version.bytes().all(|byte| byte.is_ascii_graphic());
        self.headers.borrow_mut().version = Some(if is_fit { version } else { LEGACY }.to_owned());
        Ok((self, greeting))
    }

    /// Has the server know that the handshake is over, before it gets its first request: some refuse those
    /// that come earlier. Then listens to what it says by itself.
    pub async fn begin(&self, initialized: &Message) -> Result<(), Failure> {
        let told = async || match timeout(NOTE_WAIT, self.tell(initialized)).await {
            Ok(Err(failure)) if failure.is_of_credential() => Err(failure),
            Ok(Err(gone @ Failure::SessionGone(_))) => Err(gone),
            // What else is wrong, the request will tell.
            _ => Ok(()),
        };
        self.initialized.get_or_try_init(told).await?;
        if let Stream::Streamable(own) = &self.stream {
            own.ensure(&self.endpoint, &self.headers.borrow(), &self.inbox);
        }
        Ok(())
    }

    /// Sends a request. The response counts that comes first: in the answer, or on the server's own stream.
    pub async fn ask(
        &self,
        request: &Message,
        id: &Id,
        aside: &dyn Fn(Message),
    ) -> Result<Message, Failure> {
        if self.is_over() {
            return Err(Failure::SessionGone(None));
        }
        self.hear_questions(request).await;
        let mut expected = self.inbox.expect(id);
        {
            let posted = self.post(request, id, aside);
            tokio::pin!(posted);
            tokio::select! {
                biased;
                Some(response) = expected.arrival() => {
                    // A connection that is let go of in the middle cannot be used again.
                    let _ = timeout(GRACE, posted).await;
                    return Ok(response);
                }
                answer = &mut posted => if let Some(response) = answer? {
                    return Ok(response);
                },
            }
        }
        self.arrival(expected).await
    }

    /// What the server has to ask about a request may come on its own stream.
    async fn hear_questions(&self, request: &Message) {
        let is_asked_about = request.method().is_some_and(|method| ASKING.contains(&method));
        if let Stream::Streamable(own) = &self.stream
            && is_asked_about
        {
            own.taken_up().await;
        }
    }

    /// The session ended with its stream.
    fn is_over(&self) -> bool {
        matches!(&self.stream, Stream::HttpSse(stream) if !stream.is_open())
    }

    /// `None`: the response comes on the server's own stream.
    async fn post(
        &self,
        request: &Message,
        id: &Id,
        aside: &dyn Fn(Message),
    ) -> Result<Option<Message>, Failure> {
        let exchange = self.endpoint.post(&self.headers(), request.text()).await?;
        let status = exchange.status;
        let answer = answer::read(exchange, id, &self.endpoint, aside).await;
        match answer {
            Ok(Answer::Response(response)) if self.has_forgotten(status, &response) => {
                Err(Failure::SessionGone(Some(response)))
            }
            // Some say "Accepted" in words of their own.
            Err(_) if self.is_http_sse() && (200..300).contains(&status) => Ok(None),
            answer => self.conclude(answer?, id, aside).await,
        }
    }

    async fn conclude(
        &self,
        answer: Answer,
        id: &Id,
        aside: &dyn Fn(Message),
    ) -> Result<Option<Message>, Failure> {
        match answer {
            Answer::Response(response) => Ok(Some(response)),
            Answer::Cut(stream) => self.resume(stream, id, aside).await.map(Some),
            Answer::Status { status: 200..300, .. } => Ok(None),
            Answer::Status { status, body } if self.is_forgetful(status, &body) => {
                Err(Failure::SessionGone(None))
            }
            Answer::Status { status, body } => Err(answer::refused(&self.endpoint, status, &body)),
        }
    }

    /// Comes back for the rest of a stream that ended before the response (SEP-1699). The request is not
    /// sent again: the server may have acted on it. All its streams together may be silent only as long as one.
    async fn resume(
        &self,
        mut stream: EventStream,
        id: &Id,
        aside: &dyn Fn(Message),
    ) -> Result<Message, Failure> {
        let mut reconnect = Reconnect::new();
        let heard = Cell::new(Instant::now());
        let aside = |message| {
            heard.set(Instant::now());
            aside(message);
        };
        let left = || self.endpoint.patience.saturating_sub(heard.get().elapsed());
        loop {
            let Some(last) = stream.last_id().map(str::to_owned) else { return Err(self.cut()) };
            let Some(pause) = reconnect.pause(stream.retry()) else { return Err(self.cut()) };
            timeout(left(), sleep(pause)).await.map_err(|_| self.endpoint.silent())?;
            let headers = self.headers();
            let opening = self.endpoint.listen(&headers, Some(&last));
            let opened = timeout(left(), opening).await;
            let exchange = match opened.map_err(|_| self.endpoint.silent())? {
                Ok(exchange) if exchange.is_event_stream() => exchange,
                Ok(exchange) if matches!(exchange.status, 409 | 429 | 500..) => continue,
                Ok(_) | Err(Failure::Refused(_)) => return Err(self.cut()),
                Err(_) => continue,
            };
            let (rest, before) = (stream.resumed(), heard.get());
            match answer::rest(exchange, rest, id, &self.endpoint, left(), &aside).await? {
                Answer::Response(response) => return Ok(response),
                Answer::Cut(rest) => stream = rest,
                Answer::Status { .. } => return Err(self.cut()),
            }
            if heard.get() == before {
                reconnect.came_back();
            } else {
                reconnect.succeeded();
            }
        }
    }

    /// Waits for a response that was promised.
    async fn arrival(&self, mut expected: Expected) -> Result<Message, Failure> {
        if let Stream::Streamable(own) = &self.stream
            && !own.is_open()
        {
            let what = "accepted the request, and has no stream to answer it on";
            return Err(Failure::failed(format!("{} {what}", self.endpoint.host())));
        }
        match timeout(self.endpoint.patience, expected.arrival()).await {
            Ok(response) => response.ok_or_else(|| self.cut()),
            Err(_) => Err(self.endpoint.silent()),
        }
    }

    /// Sends a notification, or a response.
    pub async fn tell(&self, message: &Message) -> Result<(), Failure> {
        if self.is_over() {
            return Err(Failure::SessionGone(None));
        }
        let exchange = self.endpoint.post(&self.headers(), message.text()).await?;
        let status = exchange.status;
        if exchange.is_event_stream() {
            return Ok(());
        }
        let body = answer::read_body(exchange, &self.endpoint).await.unwrap_or_default();
        match status {
            200..300 => Ok(()),
            _ if self.is_forgetful(status, &body) => Err(Failure::SessionGone(None)),
            _ => Err(answer::refused(&self.endpoint, status, &crate::text::clean(&body))),
        }
    }

    /// Ends the session with the server.
    pub async fn close(&self) {
        let headers = self.headers();
        if headers.session.is_some() {
            let _ = self.endpoint.delete(&headers).await;
        }
    }

    fn has_forgotten(&self, status: u16, response: &Message) -> bool {
        let is_error = matches!(response.kind(), Kind::Response { is_error: true, .. });
        is_error
            && self.is_forgetful(status, response.text())
            && response.member("error")["code"] != METHOD_NOT_FOUND
    }

    /// 404, and what many servers say in its place: 400 with words about the session.
    fn is_forgetful(&self, status: u16, said: &str) -> bool {
        let has_session = self.is_http_sse() || self.headers.borrow().session.is_some();
        let is_about_it = || said.to_ascii_lowercase().contains("session");
        has_session && (status == 404 || (status == 400 && is_about_it()))
    }

    fn is_http_sse(&self) -> bool {
        matches!(self.stream, Stream::HttpSse(_))
    }

    fn headers(&self) -> Headers {
        self.headers.borrow().clone()
    }

    fn cut(&self) -> Failure {
        let host = self.endpoint.host();
        Failure::failed(format!("the connection to {host} broke before the response"))
    }
}

fn id_of(hello: &Message) -> Result<&Id, Failure> {
    hello.id().ok_or_else(|| Failure::failed("initialize has no id"))
}

/// `Mcp-Session-Id`: once, and visible ASCII.
fn session_id(exchange: &Exchange, endpoint: &Endpoint) -> Result<Option<String>, Failure> {
    if !exchange.headers.contains_key("mcp-session-id") {
        return Ok(None);
    }
    match exchange.header("mcp-session-id") {
        Some(id) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(id.to_owned()))
        }
        _ => Err(Failure::failed(format!("{} names no usable session id", endpoint.host()))),
    }
}
