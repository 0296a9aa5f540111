//! The way to a server on stdio, in the words of its host's revision: a host with a handshake offers it, another
//! one asks `server/discover` first (MCP 2026-07-28, transports/stdio, backward compatibility).

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use super::{Child, Want, is_stream};
use crate::forward::Broker;
use crate::jsonrpc::{Id, Message};
use crate::launch::Ending;
use crate::mcp::assumed::is_modern;
use crate::mcp::convert::{ToLegacy, ToModern, client_of};
use crate::mcp::era::{Connected, Hello, is_discover, own_discover};
use crate::mcp::unsent::Unsent;
use crate::mcp::{Era, Failure, Link, Pending, Server, Sink};

/// How long a server may think about a question that it perhaps does not know.
const PROBE_WAIT: Duration = Duration::from_secs(15);

/// A [`Child`] as link and as server.
#[derive(Clone)]
pub struct Shared(pub Rc<Child>);

impl Child {
    /// Starts the server for a host, and shakes hands if that begins with `hello`.
    async fn begin(self: &Rc<Self>, hello: Option<Message>) -> Result<Option<Message>, Failure> {
        *self.hello.borrow_mut() = hello;
        let _whole = self.gate.write().await;
        // Whoever connects says it again.
        self.initialized.take();
        let outfit = self.outfit(Want::Fresh).await;
        let outfit = outfit.map_err(|trouble| Failure::failed(trouble.0))?;
        self.refuse_in_vain(&outfit)?;
        self.start(outfit).await
    }

    /// Shakes hands with a server that runs already, or has ended because it was asked something else first.
    async fn greet(self: &Rc<Self>, hello: Message) -> Result<Message, Failure> {
        let running = self.running().filter(|running| !running.process.is_over());
        let greeting = match running {
            Some(running) => {
                *self.hello.borrow_mut() = Some(hello);
                self.shake_hands(&running).await
            }
            None => self.begin(Some(hello)).await,
        };
        greeting?.ok_or_else(|| Failure::failed("the server was not greeted"))
    }

    /// The answer to a question for the revision; `None`: the server was silent, or ended.
    async fn probe(&self, question: &Message) -> Result<Option<Message>, Failure> {
        let Some(running) = self.running() else { return Ok(None) };
        match timeout(PROBE_WAIT, running.process.request(question)).await {
            Ok(Ok(answer)) if self.is_refusal(&answer) => Err(Failure::Error(answer)),
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(_)) if running.ended_for_want() => Err(Failure::SignedOut),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }
}

impl Shared {
    async fn connected(&self, hello: &Hello, sink: Sink) -> Result<Connected, Failure> {
        *self.0.sink.borrow_mut() = Some(sink.clone());
        match hello {
            Hello::Legacy(hello) => self.with_handshake(hello, sink).await,
            Hello::Modern(first) => self.without_handshake(hello, first.as_ref(), sink).await,
        }
    }

    /// For a host with a handshake. A server that refuses it may know none.
    async fn with_handshake(&self, hello: &Message, sink: Sink) -> Result<Connected, Failure> {
        let greeting = self.0.begin(Some(hello.clone())).await?;
        let is_refused = greeting
            .as_ref()
            .is_some_and(|greeting| greeting.is_error() && !self.0.is_refusal(greeting));
        let mut found = None;
        if is_refused {
            found = self.0.probe(&own_discover(&client_of(hello))).await?;
        }
        let found = found.filter(|found| is_modern(found) && !found.is_error());
        let Some(discovered) = found.map(|found| found.member("result")) else {
            self.0.era.set(Some(Era::Legacy));
            return Ok(Connected { server: Rc::new(self.clone()), greeting });
        };
        self.0.era.set(Some(Era::Modern));
        self.0.hello.take();
        let server = ToModern::new(Rc::new(Cancelling(self.clone())), hello, discovered, sink);
        let greeting = server.greeting(hello);
        Ok(Connected { server, greeting })
    }

    /// For a host without one. A server that does not understand the question has one.
    async fn without_handshake(
        &self,
        hello: &Hello,
        first: Option<&Message>,
        sink: Sink,
    ) -> Result<Connected, Failure> {
        let client = hello.client();
        let own = own_discover(&client);
        let asked = first.filter(|first| is_discover(first));
        let question = asked.unwrap_or(&own);
        self.0.begin(None).await?;
        *self.0.forgiven.borrow_mut() = self.0.running().map(|running| running.process);
        let found = self.0.probe(question).await?;
        let is_there = self.0.running().is_some_and(|running| !running.process.is_over());
        if is_there {
            self.0.forgiven.take();
        }
        if let Some(found) = found.as_ref().filter(|found| is_modern(found)) {
            return Ok(self.as_modern(asked.map(|_| found.clone())));
        }
        let open = async |hello: Message, sink: Sink| {
            *self.0.sink.borrow_mut() = Some(sink);
            let greeting = self.0.greet(hello).await?;
            Ok((Rc::new(self.clone()) as Rc<dyn Server>, greeting))
        };
        match ToLegacy::open(&client, self.0.hosts, sink.clone(), open).await {
            // It was only slow to start.
            Err(Failure::Error(_)) if found.is_none() && is_there => {
                *self.0.sink.borrow_mut() = Some(sink);
                self.0.hello.take();
                let found = self.0.probe(question).await?;
                Ok(self.as_modern(asked.and(found)))
            }
            opened => {
                self.0.era.set(Some(Era::Legacy));
                Ok(Connected { server: opened?, greeting: None })
            }
        }
    }

    fn as_modern(&self, greeting: Option<Message>) -> Connected {
        self.0.era.set(Some(Era::Modern));
        Connected { server: Rc::new(self.clone()), greeting }
    }

    /// What the server says of a subscription comes aside, up to the answer that ends it.
    async fn listen(
        &self,
        request: &Message,
        id: &Id,
        aside: &dyn Fn(Message),
    ) -> Result<Message, Failure> {
        let (sender, mut news) = mpsc::unbounded_channel();
        self.0.listeners.borrow_mut().insert(id.clone(), sender);
        let _listening = Listening { child: &self.0, id };
        let answer = self.0.ask(request);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                Some(message) = news.recv() => aside(message),
                outcome = &mut answer => {
                    while let Ok(message) = news.try_recv() {
                        aside(message);
                    }
                    return outcome;
                }
            }
        }
    }
}

struct Listening<'a> {
    child: &'a Child,
    id: &'a Id,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.child.listeners.borrow_mut().remove(self.id);
    }
}

impl Link for Shared {
    fn connect<'a>(
        &'a self,
        hello: &'a Hello,
        sink: Sink,
    ) -> Pending<'a, Result<Connected, Failure>> {
        Box::pin(self.connected(hello, sink))
    }

    fn broker(&self) -> &Broker {
        self.0.outfitter.broker()
    }

    fn title(&self) -> String {
        self.0.outfitter.title()
    }

    fn url(&self) -> &Url {
        &self.0.url
    }

    fn login_name(&self) -> String {
        self.0.outfitter.login_name()
    }

    fn unsent(&self) -> Rc<Unsent> {
        self.0.unsent.clone()
    }

    fn ended(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.0.exited().await;
        })
    }
}

impl Server for Shared {
    fn request<'a>(
        &'a self,
        request: &'a Message,
        aside: &'a dyn Fn(Message),
    ) -> Pending<'a, Result<Message, Failure>> {
        match request.id() {
            Some(id) if is_stream(request) => Box::pin(self.listen(request, id, aside)),
            _ => Box::pin(self.0.ask(request)),
        }
    }

    fn tell<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<(), Failure>> {
        Box::pin(self.0.pass_on(message))
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            if let Some(running) = self.0.running() {
                running.process.close(Ending::Closed);
            }
        })
    }
}

/// A server for a host whose own cancelling it would not understand: it is told of each request that is
/// dropped.
struct Cancelling(Shared);

impl Server for Cancelling {
    fn request<'a>(
        &'a self,
        request: &'a Message,
        aside: &'a dyn Fn(Message),
    ) -> Pending<'a, Result<Message, Failure>> {
        Box::pin(async move {
            let mut open = Open { child: &self.0.0, id: request.id() };
            let answer = self.0.request(request, aside).await;
            open.id = None;
            answer
        })
    }

    fn tell<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<(), Failure>> {
        self.0.tell(message)
    }

    fn close(&self) -> Pending<'_, ()> {
        self.0.close()
    }
}

/// A request that has no answer yet.
struct Open<'a> {
    child: &'a Child,
    id: Option<&'a Id>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let (Some(id), Some(running)) = (self.id, self.child.running()) {
            let params = json!({"requestId": id.to_value()});
            let cancelled = Message::notification("notifications/cancelled", Some(&params));
            // A server that has ended has cancelled everything.
            let _ = running.process.tell(&cancelled);
        }
    }
}
