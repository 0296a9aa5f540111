//! The proxy and many at once: requests that all meet the same dead token, and connections that only wait.
//!
//! | id | promise | test |
//! |---|---|---|
//! | A3, A5 | one refresh for all, no storm | `a_crowd_at_…` |
//! | L3 | idle connections keep nobody out | `a_thousand_idle_connections_…`, `more_idle_connections_…` |
//! | L3 | nor do they end what is under way | the same, `a_connection_that_was_handed_over_…` |

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::authorization_server::{AuthorizationServer, Endpoint, Fault, Gate};
use crate::support::http::{Answer, Server};
use crate::support::lending::{Lending, acme};
use crate::support::origin::Origin;
use crate::support::sandbox::{AUTHCTL, Sandbox};
use crate::support::signed_in::{self, SignedIn};
use crate::support::{PATIENCE, eventually};

/// Requests at once.
const CROWD: usize = 64;

/// A server that takes the living tokens of the authorization server but for those that it was told to refuse,
/// and keeps which request came with which.
struct Api {
    server: Server,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Path and token of each request.
    shown: Mutex<Vec<(String, String)>>,
    refused: Mutex<Refused>,
    came: Condvar,
}

#[derive(Default)]
struct Refused {
    tokens: Vec<String>,
    refuses_all: bool,
    /// Requests that are refused together: none before the last of them has come.
    awaited: usize,
    /// A path that is not refused yet.
    held: Option<&'static str>,
}

impl State {
    fn is_barred(&self, path: &str, token: &str) -> bool {
        let mut refused = self.refused.lock().unwrap();
        if !refused.refuses_all && !refused.tokens.iter().any(|other| other == token) {
            return false;
        }
        refused.awaited = refused.awaited.saturating_sub(1);
        self.came.notify_all();
        let waits = |it: &mut Refused| it.awaited > 0 || it.held == Some(path);
        let all = self.came.wait_timeout_while(refused, PATIENCE, waits).unwrap();
        assert!(!all.1.timed_out(), "they did not come together");
        true
    }
}

impl Api {
    fn of(issuer: &AuthorizationServer) -> Self {
        let lives = issuer.introspection();
        let state = Arc::new(State::default());
        let own = Arc::clone(&state);
        let server = Server::start(move |request| {
            let header = request.header("authorization").unwrap_or_default();
            let token = header.strip_prefix("Bearer ").unwrap_or_default().to_owned();
            own.shown.lock().unwrap().push((request.path.clone(), token.clone()));
            if own.is_barred(&request.path, &token) || !lives(&token) {
                return Answer::new(401, "text/plain", "who are you?");
            }
            Answer::new(200, "text/plain", request.body.clone())
        });
        Self { server, state }
    }

    /// The tokens that each request came with, in their order.
    fn shown(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for (path, token) in self.state.shown.lock().unwrap().iter() {
            all.entry(path.clone()).or_default().push(token.clone());
        }
        all
    }

    /// The token of the last request, which is taken no more; so many requests are to meet that together.
    fn refuse_last(&self, together: usize) -> String {
        let (_, last) = self.state.shown.lock().unwrap().last().cloned().unwrap();
        let mut refused = self.state.refused.lock().unwrap();
        refused.tokens.push(last.clone());
        refused.awaited = together;
        last
    }
}

fn scene(prepare: impl FnOnce(&AuthorizationServer)) -> (SignedIn, Api) {
    let person = SignedIn::not_yet("", prepare);
    let api = Api::of(&person.server);
    let base = format!("[provider.demo]\nbase_url = \"{}\"\n", api.server.origin());
    person.sandbox.write_config(&(base + &signed_in::config(&person.server, "")));
    signed_in::login(&person.sandbox, &[]).success();
    (person, api)
}

fn proxy(person: &SignedIn) -> Lending {
    Lending::proxy(&person.sandbox, &["--with", "demo"])
}

/// A request with a body for each place in the crowd, all at once; how each was answered. `meanwhile` goes on
/// beside them.
fn crowd(proxies: &[Lending], round: &str, meanwhile: impl FnOnce()) -> Vec<u16> {
    thread::scope(|scope| {
        let asked: Vec<_> = (0..CROWD)
            .map(|at| {
                let proxy = &proxies[at % proxies.len()];
                scope.spawn(move || {
                    let body = format!("{round} {at}");
                    let headers = format!("Content-Length: {}\r\n{}", body.len(), proxy.bearer());
                    let line = format!("POST /demo/{round}/{at}");
                    let reply = proxy.ask(&line, &headers, body.as_bytes());
                    assert!(reply.status != 200 || reply.text() == body, "{reply:?}");
                    reply.status
                })
            })
            .collect();
        meanwhile();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn a_crowd_at_a_token_that_has_ended_waits_for_one_refresh() {
    let (person, api) = scene(|server| server.rules(|rules| rules.expires_in = Some(2)));
    let proxies = [proxy(&person)];
    assert_eq!(proxies[0].get("/demo/first").status, 200);
    let first = api.shown()["/first"][0].clone();
    person.server.rules(|rules| rules.expires_in = Some(3600));
    let before = person.refreshes();
    // By all clocks: the proxy's begins when the answer was there.
    let ended = Duration::from_secs(3);
    eventually("the end of the token", || {
        (person.server.answered()?.elapsed() > ended && !person.server.accepts(&first))
            .then_some(())
    });
    let gate = Arc::new(Gate::default());
    person.server.script(Endpoint::Token, Fault::Wait(Arc::clone(&gate)));
    let statuses = crowd(&proxies, "crowd", || {
        gate.arrival();
        assert_eq!(api.shown().len(), 1, "a request went out with a token that has ended");
        gate.open();
    });
    assert_eq!(statuses, [200; CROWD]);
    assert_eq!((person.refreshes() - before, person.server.reuses()), (1, 0));
    let shown = api.shown();
    let second = &shown["/crowd/0"][0];
    assert_ne!(*second, first);
    for at in 0..CROWD {
        assert_eq!(shown[&format!("/crowd/{at}")], std::slice::from_ref(second), "{at}");
    }
}

#[test]
fn a_crowd_at_a_refused_token_shows_it_once_each_and_goes_on_with_the_new_one() {
    let (person, api) = scene(|_| {});
    let proxies = [proxy(&person), proxy(&person)];
    for proxy in &proxies {
        assert_eq!(proxy.get("/demo/first").status, 200);
    }
    let first = api.refuse_last(CROWD);
    assert_eq!(crowd(&proxies, "crowd", || {}), [200; CROWD]);
    assert_eq!((person.refreshes(), person.server.reuses()), (1, 0));
    let shown = api.shown();
    let second = &shown["/crowd/0"][1];
    for at in 0..CROWD {
        assert_eq!(shown[&format!("/crowd/{at}")], [first.clone(), second.clone()], "{at}");
    }
}

#[test]
fn a_crowd_at_a_server_that_takes_nothing_is_no_storm() {
    let (person, api) = scene(|_| {});
    let proxies = [proxy(&person)];
    assert_eq!(proxies[0].get("/demo/first").status, 200);
    api.state.refused.lock().unwrap().refuses_all = true;
    for round in ["one", "two", "three"] {
        assert_eq!(crowd(&proxies, round, || {}), [401; CROWD]);
    }
    assert_eq!((person.refreshes(), person.server.reuses()), (1, 0));
    for (path, tokens) in api.shown() {
        let mut different = tokens.clone();
        different.dedup();
        assert!(tokens == different && tokens.len() <= 2, "{path}: {tokens:?}");
    }
    // What the server took back it may give again.
    api.state.refused.lock().unwrap().refuses_all = false;
    assert_eq!(proxies[0].get("/demo/last").status, 200);
}

#[test]
fn a_new_token_that_no_server_has_taken_yet_is_not_renewed() {
    let (person, api) = scene(|_| {});
    let proxy = proxy(&person);
    assert_eq!(proxy.get("/demo/first").status, 200);
    api.refuse_last(0);
    let gate = Arc::new(Gate::default());
    person.server.script(Endpoint::Token, Fault::Wait(Arc::clone(&gate)));
    thread::scope(|scope| {
        let one = scope.spawn(|| proxy.get("/demo/one").status);
        gate.arrival();
        *api.state.refused.lock().unwrap() =
            Refused { refuses_all: true, held: Some("/one"), ..Refused::default() };
        gate.open();
        let again = || api.shown()["/one"].len() == 2;
        eventually("the request with the new token", || again().then_some(()));
        // Nobody knows yet what becomes of that one.
        assert_eq!(proxy.get("/demo/two").status, 401);
        api.state.refused.lock().unwrap().held = None;
        api.state.came.notify_all();
        assert_eq!(one.join().unwrap(), 401);
    });
    assert_eq!((person.refreshes(), person.server.reuses()), (1, 0));
    assert_eq!(api.shown()["/two"], api.shown()["/one"][1..]);
}

/// What one thread that serves learns of a token holds for those beside it, which find the token in the store.
#[test]
fn a_new_token_that_one_thread_saw_refused_is_not_renewed_by_the_next() {
    let (person, api) = scene(|_| {});
    let proxy = proxy(&person);
    let mut connections: Vec<TcpStream> = (0..40).map(|_| proxy.connect()).collect();
    let ask = |connection: &mut TcpStream, path: &str, end: &[u8]| {
        let host = format!("Host: 127.0.0.1:{}\r\n", proxy.port);
        let length = "Content-Length: 4\r\n";
        let head = format!("POST /demo/{path} HTTP/1.1\r\n{host}{}{length}\r\n", proxy.bearer());
        connection.write_all(&[head.as_bytes(), b"done"].concat()).unwrap();
        until(connection, end);
    };
    for connection in &mut connections {
        ask(connection, "first", b"done");
    }
    api.state.refused.lock().unwrap().refuses_all = true;
    for connection in &mut connections {
        ask(connection, "next", b"who are you?");
    }
    assert_eq!((person.refreshes(), person.server.reuses()), (1, 0));
}

#[test]
fn a_new_token_that_was_taken_and_is_then_refused_is_renewed() {
    let (person, api) = scene(|_| {});
    let proxy = proxy(&person);
    assert_eq!(proxy.get("/demo/first").status, 200);
    for refreshes in 1..=3 {
        api.refuse_last(0);
        assert_eq!(proxy.get("/demo/next").status, 200);
        assert_eq!((person.refreshes(), person.server.reuses()), (refreshes, 0));
    }
}

#[test]
fn while_a_token_lives_nobody_waits_for_its_renewal() {
    let (person, api) = scene(|_| {});
    let proxy = proxy(&person);
    assert_eq!(proxy.get("/demo/first").status, 200);
    api.refuse_last(0);
    let gate = Arc::new(Gate::default());
    person.server.script(Endpoint::Token, Fault::Wait(Arc::clone(&gate)));
    thread::scope(|scope| {
        let refused = scope.spawn(|| proxy.get("/demo/refused").status);
        gate.arrival();
        api.state.refused.lock().unwrap().tokens.clear();
        assert_eq!(proxy.get("/demo/beside").status, 200);
        gate.open();
        assert_eq!(refused.join().unwrap(), 200);
    });
}

// ----------------------------------------------------------------------------------------- idle connections

/// Lets this process hold as many connections as the system allows.
fn allow_many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// A proxy that may have so many descriptors.
fn modest(sandbox: &Sandbox, descriptors: usize) -> Lending {
    let mut shell = sandbox.program("sh");
    let script = format!("ulimit -n {descriptors}; exec \"$@\"");
    shell.args(["-c", &script, "sh", AUTHCTL]);
    shell.args(["--json", "proxy", "--with", "acme"]);
    Lending::started(sandbox, shell)
}

/// A connection that had an answer, and stays open.
fn used(lending: &Lending) -> TcpStream {
    let mut connection = lending.connect();
    let host = format!("Host: 127.0.0.1:{}\r\n", lending.port);
    let ask = format!("GET /acme/x HTTP/1.1\r\n{host}{}\r\n", lending.bearer());
    connection.write_all(ask.as_bytes()).unwrap();
    until(&mut connection, b"here you are");
    connection
}

fn until(connection: &mut TcpStream, wanted: &[u8]) {
    let mut all = Vec::new();
    while !all.ends_with(wanted) {
        let mut chunk = [0; 4096];
        let read = connection.read(&mut chunk).unwrap();
        assert!(read > 0, "ended after {}", all.escape_ascii());
        all.extend_from_slice(&chunk[..read]);
    }
}

#[test]
fn a_thousand_idle_connections_and_two_thousand_silent_ones_keep_nobody_out() {
    allow_many_descriptors();
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let mut stream = lending.connect();
    let host = format!("Host: 127.0.0.1:{}\r\n", lending.port);
    let ask = format!("GET /acme/events HTTP/1.1\r\n{host}{}\r\n", lending.bearer());
    stream.write_all(ask.as_bytes()).unwrap();
    until(&mut stream, b"\r\n\r\n");
    let idle: Vec<TcpStream> = (0..1_000).map(|_| used(&lending)).collect();
    assert_eq!(lending.get("/acme/x").status, 200);
    let silent: Vec<TcpStream> = (0..2_000).map(|_| lending.connect()).collect();
    assert_eq!(lending.get("/acme/x").status, 200);
    // What is under way goes on.
    origin.event("still here");
    until(&mut stream, b"data: still here\n\n\r\n");
    drop((idle, silent));
    assert_eq!(lending.get("/acme/x").status, 200);
}

#[test]
fn more_idle_connections_than_there_are_descriptors_keep_nobody_out() {
    allow_many_descriptors();
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    // As many as a person's shell grants.
    let lending = modest(&sandbox, 1024);
    let mut stream = lending.connect();
    let host = format!("Host: 127.0.0.1:{}\r\n", lending.port);
    let ask = format!("GET /acme/events HTTP/1.1\r\n{host}{}\r\n", lending.bearer());
    stream.write_all(ask.as_bytes()).unwrap();
    until(&mut stream, b"\r\n\r\n");
    let idle: Vec<TcpStream> = (0..1_000).map(|_| used(&lending)).collect();
    let silent: Vec<TcpStream> = (0..2_000).map(|_| lending.connect()).collect();
    assert_eq!(lending.get("/acme/x").status, 200);
    origin.event("still here");
    until(&mut stream, b"data: still here\n\n\r\n");
    drop((idle, silent));
}

/// Threads beside the first one take over connections: they have the same keys, say nothing twice, and end with it.
#[test]
fn many_connections_are_served_by_several_threads_as_by_one() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let tasks = format!("/proc/{}/task", lending.pid());
    let threads = || std::fs::read_dir(&tasks).map(Iterator::count).unwrap_or_default();
    drop(used(&lending));
    let before = threads();
    let mut connections: Vec<TcpStream> = (0..40).map(|_| used(&lending)).collect();
    if before > 0 && thread::available_parallelism().unwrap().get() > 1 {
        assert!(threads() > before, "{before}");
    }
    let host = format!("Host: 127.0.0.1:{}\r\n", lending.port);
    let ask = format!("GET /nobody/x HTTP/1.1\r\n{host}{}\r\n", lending.bearer());
    for connection in &mut connections {
        connection.write_all(ask.as_bytes()).unwrap();
        until(connection, b"}}\n");
    }
    let output = lending.end();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = output.stderr.matches("no credential is served at /nobody").count();
    assert_eq!(said, 1, "{output:?}");
    for mut connection in connections {
        assert_eq!(connection.read(&mut [0]).unwrap_or_default(), 0, "they end with it");
    }
}

#[test]
fn a_connection_that_was_handed_over_is_no_idle_one() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = modest(&sandbox, 64);
    let mut socket = lending.connect();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let host = format!("Host: 127.0.0.1:{}\r\n", lending.port);
    let ask = format!("GET /acme/ws HTTP/1.1\r\n{host}{}{upgrade}\r\n", lending.bearer());
    socket.write_all(ask.as_bytes()).unwrap();
    until(&mut socket, b"\r\n\r\n");
    let idle: Vec<TcpStream> = (0..64).map(|_| used(&lending)).collect();
    // A frame with a mask of zeros, and the same without.
    socket.write_all(b"\x81\x85\0\0\0\0hello").unwrap();
    until(&mut socket, b"\x81\x05hello");
    drop(idle);
}
