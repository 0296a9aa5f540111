//! Which revision a server speaks, found out by asking or remembered, and the server in the words of the
//! host's revision.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use url::Url;

use super::answer::Answer;
use super::assumed::{self, Assumed, is_modern, strings};
use super::convert::{Hosts, ToLegacy, ToModern, client_of};
use super::endpoint::Endpoint;
use super::known::Versions;
use super::legacy::Legacy;
use super::meta::Client;
use super::modern::{self, Modern};
use super::{Era, Failure, LEGACY, LEGACY_VERSIONS, Link, MODERN, Pending, Server, Sink};
use crate::forward::Broker;
use crate::jsonrpc::{Id, Message};
use crate::text::clean;

/// How long a server may think about a question that it perhaps does not know.
const PROBE_WAIT: Duration = Duration::from_secs(8);
/// How long it may take to shake hands: longer than one that is started for it.
const HANDSHAKE_WAIT: Duration = Duration::from_mins(1);

/// What a host began with.
#[derive(Clone)]
pub enum Hello {
    /// Its `initialize`.
    Legacy(Message),
    /// Its first request, if there was one.
    Modern(Option<Message>),
}

/// A server that can be used, and its response to the host's first request, where finding out about the server
/// brought that too.
pub struct Connected {
    pub server: Rc<dyn Server>,
    pub greeting: Option<Message>,
}

/// Finds out how the server at `endpoint` speaks, and speaks so to it.
pub async fn connect(
    endpoint: Rc<Endpoint>,
    hello: &Hello,
    sink: Sink,
) -> Result<Connected, Failure> {
    let known = endpoint.known.read();
    let way = Way { endpoint, hello: hello.clone(), sink };
    if let Some(connected) = way.remembered(known.as_ref()).await? {
        return Ok(connected);
    }
    let (era, connected) = way.asked().await?;
    Ok(way.proved(era, connected))
}

impl Link for Rc<Endpoint> {
    fn connect<'a>(
        &'a self,
        hello: &'a Hello,
        sink: Sink,
    ) -> Pending<'a, Result<Connected, Failure>> {
        Box::pin(connect(self.clone(), hello, sink))
    }

    fn broker(&self) -> &Broker {
        &self.forward.broker
    }

    fn url(&self) -> &Url {
        &self.url
    }

    fn title(&self) -> String {
        self.host()
    }

    fn login_name(&self) -> String {
        self.login_name.clone()
    }
}

/// What a server made of a modern request.
enum Found {
    /// It did not understand; or it did not answer, and a handshake is worth a try.
    Legacy { is_sure: bool },
    /// The response to `server/discover`.
    Modern(Message),
}

/// From one host to one server.
#[derive(Clone)]
struct Way {
    endpoint: Rc<Endpoint>,
    hello: Hello,
    sink: Sink,
}

impl Way {
    /// Connects as the server itself says that it has to be.
    async fn asked(&self) -> Result<(Era, Connected), Failure> {
        let is_sure = match self.probe().await? {
            Found::Modern(response) => {
                return Ok((Era::Modern, self.without_handshake(response).await?));
            }
            Found::Legacy { is_sure } => is_sure,
        };
        match self.with_handshake().await {
            // A server without the question for the era, which still knows no handshake.
            Err(Failure::Error(error)) if self.hello.is_modern() && is_modern(&error) => {
                let server = Rc::new(Modern::new(self.endpoint.clone()));
                Ok((Era::Modern, Connected { server, greeting: None }))
            }
            connected => {
                if is_sure && connected.is_ok() {
                    self.endpoint.known.write(&Versions::new(Vec::new()));
                }
                Ok((Era::Legacy, connected?))
            }
        }
    }

    /// Connects as it worked before. `None`: nothing is remembered, or it is not so any more.
    async fn remembered(&self, known: Option<&Versions>) -> Result<Option<Connected>, Failure> {
        let Some(known) = known else { return Ok(None) };
        let connected = match &self.hello {
            // Its greeting is made from the answer to `server/discover`, and that is the probe.
            Hello::Legacy(first) if known.is_modern() && !known.names(&asked_version(first)) => {
                None
            }
            Hello::Modern(first) if known.is_modern() => {
                let is_probe = first.as_ref().is_none_or(is_discover);
                (!is_probe).then(|| Connected { server: self.assumed(), greeting: None })
            }
            Hello::Legacy(_) | Hello::Modern(_) => match self.with_handshake().await {
                Ok(connected) => Some(self.proved(Era::Legacy, connected)),
                Err(failure) if failure.is_of_credential() => return Err(failure),
                Err(_) => None,
            },
        };
        if connected.is_none() && !known.is_modern() {
            self.endpoint.known.forget();
        }
        Ok(connected)
    }

    fn assumed(&self) -> Rc<dyn Server> {
        let server = Rc::new(Modern::new(self.endpoint.clone()));
        Assumed::new(Rc::new(self.clone()), Era::Modern, server, false)
    }

    /// The same, which may change all the same.
    fn proved(&self, era: Era, connected: Connected) -> Connected {
        let server = Assumed::new(Rc::new(self.clone()), era, connected.server, true);
        Connected { server, ..connected }
    }

    /// A modern request: a server of that era answers it, or says with a code of that era why not. 401 and 403
    /// say nothing of the era, and are failures. A host's own `server/discover` is that request.
    async fn probe(&self) -> Result<Found, Failure> {
        let own = own_discover(&self.hello.client());
        let discover = match &self.hello {
            Hello::Modern(Some(first)) if is_discover(first) => first,
            _ => &own,
        };
        let server = Modern::new(self.endpoint.clone());
        match timeout(PROBE_WAIT, server.ask(discover, &|_| {})).await {
            Ok(Ok(Answer::Response(response))) if is_modern(&response) => {
                Ok(Found::Modern(response))
            }
            Ok(Err(failure)) if failure.is_of_credential() => Err(failure),
            Ok(Ok(Answer::Response(_) | Answer::Status { status: 400..500, .. })) => {
                Ok(Found::Legacy { is_sure: true })
            }
            // An unreachable server is as unreachable for a handshake, which then says so.
            _ => Ok(Found::Legacy { is_sure: false }),
        }
    }

    async fn with_handshake(&self) -> Result<Connected, Failure> {
        let silent = || {
            let (host, waited) = (self.endpoint.host(), HANDSHAKE_WAIT.as_secs());
            Failure::failed(format!("{host} did not shake hands within {waited} s"))
        };
        timeout(HANDSHAKE_WAIT, self.shake_hands()).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn shake_hands(&self) -> Result<Connected, Failure> {
        let (endpoint, sink) = (self.endpoint.clone(), self.sink.clone());
        match &self.hello {
            Hello::Legacy(first) => {
                let (server, greeting) = Legacy::open(endpoint, first, sink).await?;
                if greeting.is_error() {
                    return Err(Failure::Error(greeting));
                }
                Ok(Connected { server, greeting: Some(greeting) })
            }
            Hello::Modern(_) => {
                let client = self.hello.client();
                let server = ToLegacy::open(&client, Hosts::One, sink, async |hello, sink| {
                    let (server, greeting) = Legacy::open(endpoint, &hello, sink).await?;
                    Ok((server as Rc<dyn Server>, greeting))
                });
                Ok(Connected { server: server.await?, greeting: None })
            }
        }
    }

    async fn without_handshake(&self, response: Message) -> Result<Connected, Failure> {
        let discovered = response.member("result");
        let supported = strings(&discovered["supportedVersions"]);
        if !supported.is_empty() {
            self.endpoint.known.write(&Versions::new(supported.clone()));
        }
        let server = || Rc::new(Modern::new(self.endpoint.clone()));
        let first = match &self.hello {
            Hello::Legacy(first) => first,
            Hello::Modern(first) => {
                let greeting = first.as_ref().is_some_and(is_discover).then_some(response);
                return Ok(Connected { server: server(), greeting });
            }
        };
        let has_handshake = supported.iter().any(|it| LEGACY_VERSIONS.contains(&it.as_str()));
        if !supported.is_empty() && !has_handshake && !supported.iter().any(|it| it == MODERN) {
            let (host, named) = (self.endpoint.host(), clean(&supported.join(", ")));
            let what = "of MCP alone, which is unknown here";
            return Err(Failure::failed(format!("{host} speaks revision {named} {what}")));
        }
        if supported.contains(&asked_version(first))
            && let Ok(connected) = self.with_handshake().await
        {
            return Ok(connected);
        }
        if discovered.is_null() {
            return Err(Failure::Error(response));
        }
        let server = ToModern::new(server(), first, discovered, self.sink.clone());
        let greeting = server.greeting(first);
        Ok(Connected { server, greeting })
    }
}

impl assumed::Way for Way {
    fn asked(&self) -> Pending<'_, Result<assumed::Met, Failure>> {
        Box::pin(async {
            let (era, connected) = self.asked().await?;
            // It is met in the middle of a session: the host has said that long ago.
            if !self.hello.is_modern() {
                let initialized = Message::notification("notifications/initialized", None);
                let _ = connected.server.tell(&initialized).await;
            }
            Ok((era, connected.server))
        })
    }
}

impl Hello {
    fn is_modern(&self) -> bool {
        matches!(self, Hello::Modern(_))
    }

    pub fn client(&self) -> Client {
        match self {
            Hello::Legacy(first) => client_of(first),
            Hello::Modern(Some(first)) => Client::of(first),
            Hello::Modern(None) => Client::own(),
        }
    }
}

pub fn is_discover(message: &Message) -> bool {
    message.method() == Some("server/discover")
}

/// The question for the revisions of a server, in the name of a client.
pub fn own_discover(client: &Client) -> Message {
    let id = Id::of(&json!("authctl-discover")).unwrap_or_else(|| Id::number(0));
    Message::request(&id, "server/discover", &client.params())
}

/// The era of a host, by a request that tells it: `ping`, say, is of both.
pub fn of_host(request: &Message) -> Option<Era> {
    match request.method() {
        _ if modern::is_modern(request) => Some(Era::Modern),
        Some("initialize") => Some(Era::Legacy),
        Some("server/discover") => Some(Era::Modern),
        _ => None,
    }
}

/// The revision that a host asks for.
pub fn asked_version(hello: &Message) -> String {
    hello.member("params")["protocolVersion"].as_str().unwrap_or(LEGACY).to_owned()
}
