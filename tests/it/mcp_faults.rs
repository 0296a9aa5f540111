//! `authctl mcp` on a bad network (A9): each fault of `support::fault_proxy` in each flow between it and the MCP
//! server or the authorization server. Every request of the host is answered in time, by what it asked for or by
//! an error that names the host in question; others go on meanwhile; nothing is lost, and once the network is well
//! again everything works. A quick run takes each fault and each flow a few times, the full one all of them.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::support::authorization_server::AuthorizationServer;
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::hostile::tls::{Authority, GOOD};
use crate::support::mcp_host::Host;
use crate::support::mcp_scene::{NAME, modern as with_era, text};
use crate::support::mcp_wire::{Call, Latch, WireServer};
use crate::support::modern::{acknowledge, discovered};
use crate::support::sandbox::Sandbox;
use crate::support::sealed::Sealed;
use crate::support::{browser, eventually, is_long};

/// More than any deadline here: a request of authctl's own has 30 s.
const PATIENCE: Duration = Duration::from_secs(50);
/// `--answer-wait`: the deadline of what is passed on.
const ANSWER_WAIT: &str = "4s";
/// Cells that go on at once: most of them wait.
const AT_ONCE: usize = 10;
/// Of how many cells a quick run takes one.
const STRIDE: usize = 4;

const FAULTS: [Fault; 14] = [
    Fault::Blackhole,
    Fault::Trickle,
    Fault::Refuse,
    Fault::Reset,
    Fault::HalfClose,
    Fault::Delay,
    Fault::CutAfterHead,
    Fault::CutBeforeLastByte,
    Fault::Corrupt,
    Fault::Duplicate,
    Fault::ResetIdle,
    Fault::TruncateTls,
    Fault::Pieces,
    Fault::Loss,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Discovery,
    Registration,
    Exchange,
    Refresh,
    Greeting,
    CallJson,
    CallEvents,
    /// The server's own stream, or the subscription of a host without a handshake.
    Stream,
}

const FLOWS: [Flow; 8] = [
    Flow::Discovery,
    Flow::Registration,
    Flow::Exchange,
    Flow::Refresh,
    Flow::Greeting,
    Flow::CallJson,
    Flow::CallEvents,
    Flow::Stream,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Era {
    Legacy,
    Modern,
}

/// What the host gets while the fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Good,
    Error,
    Either,
}

impl Flow {
    /// Whether the authorization server is the one behind the fault.
    fn is_of_issuer(self) -> bool {
        matches!(self, Flow::Discovery | Flow::Registration | Flow::Exchange | Flow::Refresh)
    }

    fn is_sign_in(self) -> bool {
        self.is_of_issuer() && self != Flow::Refresh
    }

    /// The requests that meet the fault.
    fn is_meant(self) -> fn(&str) -> bool {
        match self {
            Flow::Discovery => is_discovery,
            Flow::Registration => |it| it.starts_with("POST /register"),
            Flow::Exchange => |it| it.contains("grant_type=authorization_code"),
            Flow::Refresh => |it| it.contains("grant_type=refresh_token"),
            Flow::Greeting => {
                |it| it.contains("\"server/discover\"") || it.contains("\"initialize\"")
            }
            Flow::CallJson | Flow::CallEvents => |it| it.contains("\"tools/call\""),
            Flow::Stream => {
                |it| it.starts_with("GET /mcp") || it.contains("\"subscriptions/listen\"")
            }
        }
    }

    fn outcome(self, fault: Fault) -> Outcome {
        match fault {
            Fault::Delay | Fault::Duplicate | Fault::Pieces => Outcome::Good,
            // Its requests have connections of their own, and a deadline that is long.
            Fault::ResetIdle | Fault::Loss if self.is_of_issuer() => Outcome::Good,
            Fault::ResetIdle | Fault::Loss => Outcome::Either,
            // Only the blank line after an event is missing.
            Fault::CutBeforeLastByte if self == Flow::CallEvents => Outcome::Either,
            _ => Outcome::Error,
        }
    }
}

fn is_discovery(request: &str) -> bool {
    request.starts_with("GET /.well-known/o")
}

type Cell = (Fault, Flow, Era);

fn cells() -> VecDeque<Cell> {
    let eras = [Era::Legacy, Era::Modern];
    let of = |fault| FLOWS.map(|flow| eras.map(|era| (fault, flow, era)));
    let all = FAULTS.into_iter().flat_map(of).flatten().enumerate();
    // Each fault takes other flows than the one before.
    let per_fault = FLOWS.len() * 2;
    let is_taken =
        |at: usize| is_long() || (at % per_fault + at / per_fault).is_multiple_of(STRIDE);
    all.filter(|(at, _)| is_taken(*at)).map(|(_, cell)| cell).collect()
}

#[test]
fn the_quick_run_has_every_fault_and_every_flow() {
    let cells = cells();
    for fault in FAULTS {
        assert!(cells.iter().any(|cell| cell.0 == fault), "{fault:?}");
    }
    for flow in FLOWS {
        assert!(cells.iter().any(|cell| cell.1 == flow), "{flow:?}");
    }
}

#[test]
fn every_request_is_answered_whatever_the_network_does() {
    let (cells, failed) = (Mutex::new(cells()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let Some(cell) = cells.lock().unwrap().pop_front() else { return };
            if catch_unwind(AssertUnwindSafe(|| try_cell(cell))).is_err() {
                failed.lock().unwrap().push(cell);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let name = "a cell".to_owned();
            thread::Builder::new().name(name).spawn_scoped(scope, work).unwrap();
        }
    });
    assert_eq!(*failed.lock().unwrap(), []);
}

fn try_cell((fault, flow, era): Cell) {
    let bench = Bench::new(fault == Fault::TruncateTls, era, flow);
    if !flow.is_sign_in() {
        bench.sign_in();
    }
    let mut host = bench.host();
    let said = match flow {
        Flow::Greeting => greeting(&bench, &mut host, fault),
        Flow::Stream if era == Era::Legacy => own_stream(&bench, &mut host, fault),
        _ => request(&bench, &mut host, fault, flow),
    };
    bench.assert_nothing_is_lost(flow);
    Bench::assert_ends_in_order(host);
    if is_told() {
        println!("{fault:?} {flow:?} {era:?}: {said}");
    }
}

/// Whether what hosts were told is printed.
fn is_told() -> bool {
    std::env::var_os("AUTHCTL_TEST_TELL").is_some()
}

// ---------------------------------------------------------------------------------------------- the flows

/// A request in whose course the fault is met.
fn request(bench: &Bench, host: &mut Host, fault: Fault, flow: Flow) -> String {
    bench.greet(host);
    if flow == Flow::Refresh {
        assert!(is_done(&bench.call(host)));
        bench.expire();
    }
    bench.begin(fault, flow);
    let outcome = flow.outcome(fault);
    let waiting = if flow == Flow::Stream { bench.listen(host) } else { bench.ask(host) };
    if flow == Flow::Exchange {
        bench.agree(0, || bench.begin_exchange(fault));
    } else if flow.is_sign_in() && outcome == Outcome::Good {
        bench.agree(0, || {});
    }
    bench.assert_others_go_on(host);
    let answer = Bench::told(host, &waiting, flow);
    let said = bench.judge(&answer, outcome, flow);
    if fault == Fault::ResetIdle && matches!(flow, Flow::CallJson | Flow::CallEvents) {
        // A connection is not always free again at once.
        while bench.met(flow) == 0 {
            bench.judge(&bench.call(host), outcome, flow);
        }
    }
    assert!(bench.met(flow) > 0 || fault == Fault::ResetIdle, "not met");
    bench.mend();
    if flow == Flow::Stream {
        let again = bench.listen(host);
        assert!(is_good(&Bench::told(host, &again, flow)));
        return said;
    }
    let again = bench.ask(host);
    if flow.is_sign_in() && outcome == Outcome::Error {
        // The one who could not sign in can now.
        bench.agree(usize::from(flow == Flow::Exchange), || {});
    }
    let answer = host.answer(&again);
    assert!(is_done(&answer), "afterwards: {answer}");
    said
}

fn greeting(bench: &Bench, host: &mut Host, fault: Fault) -> String {
    // A connection that can be used again.
    bench.begin(fault, Flow::Greeting);
    let waiting = bench.hello(host);
    let answer = host.answer(&waiting);
    let outcome = Flow::Greeting.outcome(fault);
    let said = bench.judge(&answer, outcome, Flow::Greeting);
    bench.mend();
    bench.greet(host);
    assert!(is_done(&bench.call(host)));
    said
}

/// What the server says by itself arrives, in order and, unless it comes twice, once.
fn own_stream(bench: &Bench, host: &mut Host, fault: Fault) -> String {
    // Where nobody is to listen, it is cut once it stands.
    if fault != Fault::Refuse {
        bench.door.inject_once(fault, Flow::Stream.is_meant());
    }
    bench.greet(host);
    bench.assert_others_go_on(host);
    let number = |message: &Value| message["params"]["data"].as_u64();
    let next = |host: &mut Host| {
        number(&host.receive("news", |message| message["method"] == "notifications/message"))
    };
    if fault == Fault::Refuse {
        assert_eq!(next(host), Some(1));
        bench.door.inject(fault, |_| false);
    } else {
        eventually("the fault", || {
            (bench.door.met() > 0 || fault == Fault::ResetIdle).then_some(())
        });
    }
    if fault != Fault::Delay {
        bench.door.mend();
    }
    bench.news.open();
    let mut seen = if fault == Fault::Refuse { vec![1] } else { Vec::new() };
    while seen.last() != Some(&3) {
        seen.extend(next(host));
    }
    if fault == Fault::Duplicate {
        seen.dedup();
    }
    assert_eq!(seen, [1, 2, 3]);
    assert!(is_done(&bench.call(host)));
    "it came".to_owned()
}

// ------------------------------------------------------------------------------------------- beside the table

/// A8: the machine sleeps; meanwhile its connections end, and so does the token.
#[test]
fn after_a_sleep_the_next_call_works_with_one_refresh() {
    for era in [Era::Legacy, Era::Modern] {
        let bench = Bench::new(false, era, Flow::Stream);
        bench.server.rules(|rules| rules.expires_in = Some(6));
        bench.sign_in();
        let mut host = bench.host();
        bench.greet(&mut host);
        assert!(is_done(&bench.call(&mut host)));
        let shown = bench.access_token();
        host.signal(Signal::STOP);
        bench.door.inject(Fault::Refuse, |_| false);
        eventually("the token's end", || (!bench.server.accepts(&shown)).then_some(()));
        bench.server.rules(|rules| rules.expires_in = Some(3600));
        bench.mend();
        let waiting: Vec<Value> = (0..4).map(|_| bench.ask(&mut host)).collect();
        host.signal(Signal::CONT);
        for id in waiting {
            let answer = host.answer(&id);
            assert!(is_done(&answer), "{answer}");
        }
        assert_eq!(bench.server.grants("refresh_token"), 1);
        if era == Era::Legacy {
            // It listens again, too.
            bench.news.open();
            host.receive("news", |message| message["params"]["data"] == 3);
        }
        bench.assert_nothing_is_lost(Flow::Refresh);
        Bench::assert_ends_in_order(host);
    }
}

/// A8: another network, which has nothing for a while or only a page of its own, while the token has to be
/// renewed.
#[test]
fn a_network_that_comes_back_is_used_again() {
    for fault in [Fault::Refuse, Fault::Portal] {
        let bench = Bench::new(false, Era::Legacy, Flow::CallJson);
        bench.sign_in();
        let mut host = bench.host();
        bench.greet(&mut host);
        assert!(is_done(&bench.call(&mut host)));
        bench.expire();
        bench.issuer.inject(fault, |_| true);
        let answer = bench.call(&mut host);
        bench.judge(&answer, Outcome::Error, Flow::Refresh);
        bench.door.inject(fault, |_| true);
        let answer = bench.call(&mut host);
        bench.judge(&answer, Outcome::Error, Flow::CallJson);
        bench.mend();
        assert!(is_done(&bench.call(&mut host)));
        bench.assert_nothing_is_lost(Flow::Refresh);
        assert!(bench.sandbox.opened_urls().is_empty());
        Bench::assert_ends_in_order(host);
    }
}

/// A4: neither a call that never ends nor a refresh that never ends stops the others, or the end.
#[test]
fn a_stuck_authorization_server_stops_no_other_call() {
    let bench = Bench::new(false, Era::Legacy, Flow::CallJson);
    bench.sign_in();
    let mut host = bench.host();
    bench.greet(&mut host);
    assert!(is_done(&bench.call(&mut host)));
    bench.expire();
    bench.begin(Fault::Blackhole, Flow::Refresh);
    let stuck = bench.ask(&mut host);
    let cancelled = bench.ask(&mut host);
    eventually("the refresh", || (bench.issuer.met() > 0).then_some(()));
    for _ in 0..100 {
        let answer = host.call("tools/list", &json!({}));
        assert!(answer["result"].is_object(), "{answer}");
    }
    let params = json!({"requestId": cancelled});
    host.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    host.call("ping", &json!({}));
    let is_answer = |id: &Value| host.asides.iter().any(|aside| aside["id"] == *id);
    assert!(!is_answer(&stuck) && !is_answer(&cancelled), "{:?}", host.asides);
    bench.mend();
    let answer = host.answer(&stuck);
    bench.judge(&answer, Outcome::Either, Flow::Refresh);
    assert!(is_done(&bench.call(&mut host)));
    bench.assert_nothing_is_lost(Flow::Refresh);
    Bench::assert_ends_in_order(host);
}

/// A call that was refused for want of a sign-in is made again, if somebody has signed in since it was sent.
#[test]
fn a_refusal_of_before_the_sign_in_leads_to_no_second_one() {
    let bench = Bench::new(false, Era::Legacy, Flow::CallJson);
    let mut host = bench.host();
    bench.greet(&mut host);
    let late = host.ask("tools/call", &json!({"name": "late"}));
    let waiting = bench.ask(&mut host);
    bench.agree(0, || {});
    assert!(is_done(&host.answer(&waiting)));
    bench.news.open();
    let answer = host.answer(&late);
    assert!(is_done(&answer), "{answer}");
    assert_eq!(bench.sandbox.opened_urls().len(), 1);
    assert_eq!(bench.server.grants("authorization_code"), 1);
    Bench::assert_ends_in_order(host);
}

// ---------------------------------------------------------------------------------------------- the bench

static AUTHORITY: LazyLock<(Authority, Arc<ServerConfig>)> = LazyLock::new(|| {
    let authority = Authority::new();
    let config = authority.config(GOOD);
    (authority, config)
});

struct Bench {
    era: Era,
    server: AuthorizationServer,
    /// In front of the authorization server.
    issuer: FaultProxy,
    _mcp: WireServer,
    /// In front of the MCP server.
    door: FaultProxy,
    sandbox: Sandbox,
    /// Tokens that the MCP server takes no more.
    stale: Arc<Mutex<Vec<String>>>,
    /// Lets the server say the rest of its news.
    news: Latch,
    before: Mutex<Option<Value>>,
}

impl Bench {
    fn new(is_tls: bool, era: Era, flow: Flow) -> Self {
        let tls = || is_tls.then(|| AUTHORITY.1.clone());
        let (issuer, door) = (FaultProxy::start(tls()), FaultProxy::start(tls()));
        let server = AuthorizationServer::start();
        issuer.lead_to(&server.origin());
        server.be_known_as(&issuer.origin());
        let resource = format!("{}/mcp", door.origin());
        server.rules(|rules| {
            rules.resource = Some(resource);
            // Whoever lost an answer may ask once more.
            rules.grace = Some(Duration::from_mins(5));
        });
        let (stale, news) = (Arc::new(Mutex::new(Vec::new())), Latch::default());
        let (is_good, refused, go) = (server.introspection(), stale.clone(), news.clone());
        let origins = [door.origin(), issuer.origin()];
        let is_good = move |token: &str| {
            is_good(token) && !refused.lock().unwrap().iter().any(|stale| stale == token)
        };
        let mcp = WireServer::start(move |call| serve(call, era, flow, &origins, &is_good, &go));
        door.lead_to(&mcp.host());
        let mut sandbox = Sandbox::new();
        if is_tls {
            sandbox.env("SSL_CERT_FILE", AUTHORITY.0.file());
        }
        let before = Mutex::default();
        Self { era, server, issuer, _mcp: mcp, door, sandbox, stale, news, before }
    }

    fn url(&self) -> String {
        format!("{}/mcp", self.door.origin())
    }

    fn sign_in(&self) {
        let login = self.sandbox.command(["login", &self.url(), "--name", NAME]);
        let mut running = self.sandbox.start(login);
        open(&running.opened_url(), self);
        running.finish().success();
        std::fs::remove_file(self.sandbox.path("opened-urls")).unwrap();
        *self.before.lock().unwrap() = Some(self.refresh_token());
    }

    fn refresh_token(&self) -> Value {
        Sealed::of(&self.sandbox).record(NAME)["credential"]["tokens"]["refresh_token"].clone()
    }

    fn access_token(&self) -> String {
        let record = Sealed::of(&self.sandbox).record(NAME);
        record["credential"]["tokens"]["access_token"].as_str().unwrap().to_owned()
    }

    /// What was shown last is refused from now on.
    fn expire(&self) {
        let shown = self.access_token();
        self.stale.lock().unwrap().push(shown);
    }

    fn host(&self) -> Host {
        let url = self.url();
        let options = ["--name", NAME, "--answer-wait", ANSWER_WAIT, "--call-wait", "45s"];
        let mut host = Host::start(&self.sandbox, &[&[url.as_str()], &options[..]].concat());
        host.patience = PATIENCE;
        host
    }

    // ---------------------------------------------------------------------------------- faults

    fn side(&self, flow: Flow) -> &FaultProxy {
        if flow.is_of_issuer() { &self.issuer } else { &self.door }
    }

    fn begin(&self, fault: Fault, flow: Flow) {
        let side = self.side(flow);
        match (fault, flow) {
            (_, Flow::Exchange) => {}
            (Fault::Refuse, Flow::Registration) => side.refuse_after(is_discovery),
            _ => side.inject(fault, flow.is_meant()),
        }
    }

    fn begin_exchange(&self, fault: Fault) {
        self.issuer.inject(fault, Flow::Exchange.is_meant());
    }

    fn met(&self, flow: Flow) -> usize {
        self.side(flow).met()
    }

    fn mend(&self) {
        self.issuer.mend();
        self.door.mend();
    }

    // ---------------------------------------------------------------------------------- the host

    fn ask_for(&self, host: &mut Host, method: &str, params: &Value) -> Value {
        match self.era {
            Era::Legacy => host.ask(method, params),
            Era::Modern => host.ask(method, &with_era(params, &json!({}))),
        }
    }

    fn hello(&self, host: &mut Host) -> Value {
        match self.era {
            Era::Legacy => host.hello_with(&json!({})),
            Era::Modern => self.ask_for(host, "server/discover", &json!({})),
        }
    }

    #[track_caller]
    fn greet(&self, host: &mut Host) {
        let id = self.hello(host);
        let answer = host.answer(&id);
        assert!(answer["result"].is_object(), "{answer}");
        if self.era == Era::Legacy {
            host.notify("notifications/initialized");
        }
        let id = self.ask_for(host, "tools/list", &json!({}));
        assert!(host.answer(&id)["result"]["tools"].is_array());
    }

    /// Calls the tool that wants a credential.
    fn ask(&self, host: &mut Host) -> Value {
        self.ask_for(host, "tools/call", &json!({"name": "closed", "arguments": {"a": 1}}))
    }

    fn call(&self, host: &mut Host) -> Value {
        let id = self.ask(host);
        host.answer(&id)
    }

    fn listen(&self, host: &mut Host) -> Value {
        let params = json!({"notifications": {"toolsListChanged": true}});
        self.ask_for(host, "subscriptions/listen", &params)
    }

    /// The response to a request, or the word that a subscription stands.
    #[track_caller]
    fn told(host: &mut Host, id: &Value, flow: Flow) -> Value {
        let method = "notifications/subscriptions/acknowledged";
        host.receive(&format!("what becomes of {id}"), |message| {
            let is_response = message["id"] == *id && message.get("method").is_none();
            is_response || flow == Flow::Stream && message["method"] == method
        })
    }

    /// Says yes in tab `at`, with something done before.
    fn agree(&self, at: usize, first: impl FnOnce()) {
        let tab = eventually("a tab", || self.sandbox.opened_urls().into_iter().nth(at));
        first();
        open(&tab, self);
    }

    /// What meets no fault is answered meanwhile.
    #[track_caller]
    fn assert_others_go_on(&self, host: &mut Host) {
        if self.door.is_refusing() {
            return;
        }
        for method in ["prompts/list", "tools/list"] {
            let id = self.ask_for(host, method, &json!({}));
            let answer = host.answer(&id);
            assert!(answer["result"].is_object(), "{answer}");
        }
    }

    /// What the host was told, if it is as expected.
    #[track_caller]
    fn judge(&self, answer: &Value, expected: Outcome, flow: Flow) -> String {
        if is_good(answer) {
            assert_ne!(expected, Outcome::Error, "{answer}");
            return "fine".to_owned();
        }
        assert_ne!(expected, Outcome::Good, "{answer}");
        let said = match answer["error"]["message"].as_str() {
            Some(said) => said.to_owned(),
            None => text(answer),
        };
        assert!(said.contains(&self.side(flow).host()), "whose fault is it? {said}");
        said
    }

    // ---------------------------------------------------------------------------------- the end

    #[track_caller]
    fn assert_nothing_is_lost(&self, flow: Flow) {
        let stored = self.refresh_token();
        assert_eq!(stored, self.server.refresh_token());
        assert_eq!(self.server.reuses(), 0);
        if let Some(before) = &*self.before.lock().unwrap()
            && flow != Flow::Refresh
        {
            assert_eq!(stored, *before, "renewed without need");
        }
    }

    #[track_caller]
    fn assert_ends_in_order(mut host: Host) {
        let said = host.last_words();
        assert!(!said.contains("panicked"), "{said}");
        for aside in &host.asides {
            assert_eq!(aside["jsonrpc"], "2.0", "{aside}");
            assert!(aside["method"].is_string(), "nobody asked: {aside}");
        }
    }
}

/// Opens a page without the proxy: the person's browser has a network of its own.
fn open(url: &str, bench: &Bench) {
    let url = url.replace(&bench.issuer.origin(), &bench.server.origin());
    // A page that is answered late, or never, is not this test's matter.
    thread::spawn(move || catch_unwind(|| browser::open(&url)));
}

fn is_good(answer: &Value) -> bool {
    let is_subscribed = answer["method"] == "notifications/subscriptions/acknowledged";
    is_subscribed || answer["result"].is_object() && answer["result"]["isError"] != true
}

fn is_done(answer: &Value) -> bool {
    is_good(answer) && text(answer).starts_with("done")
}

// --------------------------------------------------------------------------------------------- the server

fn serve(
    call: &mut Call,
    era: Era,
    flow: Flow,
    [door, issuer]: &[String; 2],
    is_good: &impl Fn(&str) -> bool,
    news: &Latch,
) -> io::Result<()> {
    if call.path() != "/mcp" {
        let metadata =
            json!({"resource": format!("{door}/mcp"), "authorization_servers": [issuer]});
        return call.reply(200, &[], "application/json", &metadata.to_string());
    }
    let what = call.what().to_owned();
    if what == "tools/call" {
        let token = call.header("authorization").trim_start_matches("Bearer ").to_owned();
        if !is_good(&token) {
            if call.message()["params"]["name"] == "late" {
                news.wait();
            }
            let place = format!("{door}/.well-known/oauth-protected-resource/mcp");
            let challenge = format!("Bearer resource_metadata=\"{place}\"");
            return call.reply(401, &[("www-authenticate", &challenge)], "text/plain", "");
        }
        let result = json!({
            "content": [{"type": "text", "text": format!("done {}", "x".repeat(600))}],
            "resultType": "complete",
        });
        if flow != Flow::CallEvents {
            return call.result(&result);
        }
        let response = call.response(&result);
        call.events()?;
        return call.event(response);
    }
    match (what.as_str(), era) {
        ("prompts/list", _) => call.result(
            &json!({"prompts": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}),
        ),
        ("tools/list", _) => call.result(&json!({
            "tools": [{"name": "closed", "inputSchema": {"type": "object"}}],
            "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
        })),
        ("GET", Era::Legacy) if flow == Flow::Stream => tell_news(call, news),
        (_, Era::Legacy) => call.normal(),
        ("server/discover", Era::Modern) => call.result(&discovered()),
        ("subscriptions/listen", Era::Modern) => {
            acknowledge(call)?;
            call.stay()
        }
        _ => call.reply(404, &[], "text/plain", ""),
    }
}

/// Three things, of which the last two wait; from where the client was.
fn tell_news(call: &mut Call, news: &Latch) -> io::Result<()> {
    let heard: u64 = call.header("last-event-id").parse().unwrap_or(0);
    call.events()?;
    for number in heard + 1..=3 {
        if number > 1 {
            news.wait();
        }
        let params = json!({"level": "info", "data": number});
        let message =
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params});
        call.raw(format!("id: {number}\nretry: 500\ndata: {message}\n\n"))?;
    }
    call.stay()
}
