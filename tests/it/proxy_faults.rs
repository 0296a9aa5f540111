//! The proxy on a bad network: each fault of `support::fault_proxy` between it and the server, or the authorization
//! server. Every request is answered by what it asked for, or in words, or breaks off visibly; others go on
//! meanwhile, and once the network is well again everything works.
//!
//! | id | promise | test |
//! |---|---|---|
//! | A3 | few tries | `a_busy_server_is_asked_once…` |
//! | A4 | what is stuck stops nobody | `a_stuck_refresh_…`, `stuck_requests_…`, `whoever_asks_twice_…` |
//! | P5 | and nothing is lost by an end | `a_stuck_refresh_…`, `a_refresh_outlives_…` |
//! | A8 | sleep and a changed network | `after_a_sleep_…`, `connections_that_the_server_closed_…` |
//! | A9 | faults | `whatever_the_network_does_…`, `a_refresh_over_a_bad_network_…` |
//! | L6 | no way to the machine's own network | `no_door_leads_to_link_local_addresses` |

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Signal, kill_process};

use crate::real_parts::present;
use crate::support::authorization_server::{Endpoint, Fault as Scripted, Gate};
use crate::support::eventually;
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::hostile::tls::{Authority, GOOD};
use crate::support::http::{Answer, Server};
use crate::support::launcher::pid;
use crate::support::lending::{KEY, Lending, Reply, acme, config, only};
use crate::support::origin::Origin;
use crate::support::signed_in::{self, SignedIn};

const FAULTS: [Fault; 15] = [
    Fault::Refuse,
    Fault::Reset,
    Fault::HalfClose,
    Fault::Delay,
    Fault::Trickle,
    Fault::CutAfterHead,
    Fault::CutBeforeLastByte,
    Fault::Corrupt,
    Fault::Duplicate,
    Fault::Blackhole,
    Fault::ResetIdle,
    Fault::TruncateTls,
    Fault::Pieces,
    Fault::Loss,
    Fault::Portal,
];

/// A request whose answer says which it was.
fn ask(lending: &Lending, text: &str) -> Reply {
    let headers = format!("Content-Length: {}\r\n{}", text.len(), lending.bearer());
    lending.ask("POST /acme/echo", &headers, text.as_bytes())
}

#[test]
fn whatever_the_network_does_a_request_is_answered_or_breaks_off_and_others_go_on() {
    if !present(&["openssl"]) {
        return;
    }
    thread::scope(|scope| {
        for fault in FAULTS {
            scope.spawn(move || try_fault(fault));
        }
    });
}

fn try_fault(fault: Fault) {
    let authority = Authority::new();
    let tls = (fault == Fault::TruncateTls).then(|| authority.config(GOOD));
    let (network, origin, other) = (FaultProxy::start(tls), Origin::start(), Origin::start());
    network.lead_to(&origin.url());
    let mut sandbox = acme(&network.origin());
    let providers = [("acme", &*network.origin()), ("other", &*other.url())];
    sandbox.write_config(&config(&providers));
    sandbox.env("AUTHCTL_OTHER_TOKEN", KEY).env("SSL_CERT_FILE", authority.file());
    let lending = Lending::proxy(&sandbox, &["--with", "acme,other"]);
    assert_eq!(ask(&lending, "before").text(), "before", "{fault:?}");
    network.inject(fault, |request| request.contains("in the middle"));
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&lending, "in the middle"));
        eventually("the fault", || (network.met() > 0).then_some(()));
        // Others pass it by, at the same server too where there is one.
        assert_eq!(lending.get("/other/x").status, 200, "{fault:?}");
        if fault != Fault::Refuse {
            assert_eq!(ask(&lending, "beside").text(), "beside", "{fault:?}");
        }
        if matches!(fault, Fault::Blackhole | Fault::Trickle) {
            assert!(!asked.is_finished(), "{fault:?}: an answer that nobody gave");
            network.mend();
        }
        judge(fault, &network, &asked.join().unwrap());
    });
    network.mend();
    // Each gets its own answer, on whatever connection.
    for text in ["after", "and again", "and at last"] {
        let reply = ask(&lending, text);
        assert_eq!((reply.status, reply.text().as_str()), (200, text), "{fault:?}: {reply:?}");
    }
    assert!(origin.complaints().is_empty(), "{fault:?}: {:?}", origin.complaints());
    let came = origin.seen().iter().filter(|seen| seen.length == 13).count();
    assert!(came <= 1, "{fault:?}: sent {came} times");
}

fn judge(fault: Fault, network: &FaultProxy, reply: &Reply) {
    let own = |code: &str| {
        let said = reply.refusal(502, code);
        assert!(said.contains(&network.host()), "{fault:?}: {said}");
    };
    match fault {
        Fault::Delay | Fault::Duplicate | Fault::Pieces | Fault::Loss => {
            assert_eq!((reply.status, reply.text().as_str()), (200, "in the middle"), "{fault:?}");
        }
        // What cannot be told from an answer is one.
        Fault::Corrupt => assert_eq!((reply.status, reply.body.len()), (200, 13)),
        Fault::Portal => assert!(reply.text().contains("<title>Welcome</title>"), "{reply:?}"),
        Fault::Refuse if reply.status == 200 => assert_eq!(reply.text(), "in the middle"),
        Fault::Refuse => {
            let code = reply.value("authctl-error").unwrap_or_default();
            assert!(
                ["upstream_unreachable", "upstream_interrupted"].contains(&&*code),
                "{reply:?}"
            );
            own(&code);
        }
        Fault::HalfClose | Fault::ResetIdle | Fault::Blackhole => own("upstream_interrupted"),
        Fault::CutAfterHead | Fault::CutBeforeLastByte | Fault::TruncateTls => {
            assert!(reply.status == 200 && !reply.is_whole, "{fault:?}: {reply:?}");
        }
        Fault::Reset | Fault::Trickle => {
            let is_told = reply.value("authctl-error").as_deref() == Some("upstream_interrupted");
            assert!(is_told || !reply.is_whole, "{fault:?}: {reply:?}");
        }
    }
}

#[test]
fn connections_that_the_server_closed_meanwhile_are_not_the_clients_business() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    for round in 0..50 {
        let reply = lending.get("/acme/x");
        assert_eq!(reply.status, 200, "round {round}: {reply:?}");
        origin.cut_connections();
    }
    assert_eq!(origin.seen().len(), 50);
}

// ----------------------------------------------------------------------------------------------- refreshes

/// Somebody who is signed in by way of `network`, where there is one, and a proxy to a server that takes the
/// living tokens. A second credential, `acme`, is somebody else's.
struct Signed {
    person: SignedIn,
    lending: Lending,
    /// The server of `acme`.
    origin: Origin,
    _server: Server,
}

impl Signed {
    fn start(network: Option<&FaultProxy>) -> Self {
        let person = SignedIn::not_yet("", |server| {
            if let Some(network) = network {
                network.lead_to(&server.origin());
                server.be_known_as(&network.origin());
            }
            server.rules(|rules| {
                rules.expires_in = Some(2);
                // What a lost answer had in it is given again.
                rules.grace = Some(Duration::from_mins(10));
            });
        });
        let lives = person.server.introspection();
        let server = Server::start(move |request| {
            let shown = request.header("authorization").unwrap_or_default();
            let is_good = shown.strip_prefix("Bearer ").is_some_and(&lives);
            Answer::new(if is_good { 200 } else { 401 }, "text/plain", "here you are")
        });
        let origin = Origin::start();
        let base = config(&[("acme", &origin.url())])
            + &format!("[provider.demo]\nbase_url = \"{}\"\n", server.origin());
        person.sandbox.write_config(&(base + &signed_in::config(&person.server, "")));
        signed_in::login(&person.sandbox, &[]).success();
        person.sandbox.run_with_input(["login", "acme", "--with-token"], KEY).success();
        let lending = Lending::proxy(&person.sandbox, &["--with", "demo,acme"]);
        assert_eq!(lending.get("/demo/x").status, 200);
        Self { person, lending, origin, _server: server }
    }

    /// The token has ended, by all clocks; the next one lives long.
    fn end_token(&self) {
        self.person.server.rules(|rules| rules.expires_in = Some(3600));
        let end = Duration::from_secs(3);
        eventually("the end of the token", || {
            (self.person.server.answered()?.elapsed() > end).then_some(())
        });
    }
}

#[test]
fn a_refresh_over_a_bad_network_loses_no_sign_in() {
    let faults = [
        Fault::Refuse,
        Fault::Reset,
        Fault::Delay,
        Fault::CutAfterHead,
        Fault::CutBeforeLastByte,
        Fault::Corrupt,
        Fault::Duplicate,
        Fault::Pieces,
        Fault::Portal,
    ];
    thread::scope(|scope| {
        for fault in faults {
            scope.spawn(move || try_refresh(fault));
        }
    });
}

fn try_refresh(fault: Fault) {
    let network = FaultProxy::start(None);
    let signed = Signed::start(Some(&network));
    signed.end_token();
    network.inject(fault, |request| request.contains("grant_type=refresh_token"));
    let reply = signed.lending.get("/demo/x");
    match fault {
        Fault::Delay | Fault::Duplicate | Fault::Pieces => {
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        _ if reply.status == 200 || reply.status == 401 => {}
        _ => {
            let said = reply.refusal(503, "credential_unavailable");
            assert!(said.contains(&network.host()), "{fault:?}: {said}");
        }
    }
    assert_eq!(signed.lending.get("/acme/x").status, 200, "{fault:?}");
    network.mend();
    eventually("the sign-in is good again", || {
        (signed.lending.get("/demo/x").status == 200).then_some(())
    });
    signed.person.token(&["--refresh"]).success();
    assert_eq!(signed.person.server.reuses(), 0, "{fault:?}");
}

#[test]
fn a_stuck_refresh_stops_no_other_request_and_not_the_end() {
    let signed = Signed::start(None);
    signed.end_token();
    let gate = Arc::new(Gate::default());
    signed.person.server.script(Endpoint::Token, Scripted::Wait(Arc::clone(&gate)));
    let Signed { person, lending, origin: _origin, _server } = signed;
    let waiting = lending.connect();
    let head = format!(
        "GET /demo/x HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n",
        lending.port,
        lending.bearer()
    );
    (&waiting).write_all(head.as_bytes()).unwrap();
    gate.arrival();
    for _ in 0..100 {
        assert_eq!(lending.get("/acme/x").status, 200);
    }
    // Told to end, it serves nobody, and keeps what the answer brings that is on its way.
    let port = lending.port;
    let ending = thread::spawn(move || lending.end());
    eventually("the closed door", || TcpStream::connect(("127.0.0.1", port)).err());
    gate.open();
    let output = ending.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    let _ = (&waiting).read_to_end(&mut Vec::new());
    person.token(&[]).success();
    assert_eq!((person.refreshes(), person.server.reuses()), (1, 0));
    assert_eq!(person.refresh_token(), person.server.refresh_token());
}

/// The same beside a command, which has ended.
#[test]
fn a_refresh_outlives_the_command_that_it_was_for() {
    let signed = Signed::start(None);
    signed.end_token();
    let gate = Arc::new(Gate::default());
    let Signed { person, lending, origin: _origin, _server } = signed;
    lending.end();
    let beside = Lending::exec(&person.sandbox, &["--with", "demo"]);
    let before = person.refreshes();
    person.server.always(Endpoint::Token, Some(Scripted::Wait(Arc::clone(&gate))));
    person.pass(jiff::SignedDuration::from_hours(2));
    let waiting = beside.connect();
    let placeholder = &beside.variables["DEMO_TOKEN"];
    let head = format!(
        "GET /demo/x HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {placeholder}\r\n\r\n",
        beside.port
    );
    (&waiting).write_all(head.as_bytes()).unwrap();
    gate.arrival();
    let port = beside.port;
    let ending = thread::spawn(move || beside.end());
    eventually("the closed door", || TcpStream::connect(("127.0.0.1", port)).err());
    gate.open();
    let output = ending.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    person.token(&[]).success();
    assert_eq!((person.refreshes(), person.server.reuses()), (before + 1, 0));
    assert_eq!(person.refresh_token(), person.server.refresh_token());
}

/// A server that never answers costs those nothing who ask twice.
#[test]
fn whoever_asks_twice_to_end_does_not_wait_for_a_refresh() {
    let signed = Signed::start(None);
    signed.end_token();
    let gate = Arc::new(Gate::default());
    signed.person.server.script(Endpoint::Token, Scripted::Wait(Arc::clone(&gate)));
    let Signed { person, lending, origin: _origin, _server } = signed;
    let waiting = lending.connect();
    let head = format!(
        "GET /demo/x HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n",
        lending.port,
        lending.bearer()
    );
    (&waiting).write_all(head.as_bytes()).unwrap();
    gate.arrival();
    let pid = rustix::process::Pid::from_raw(i32::try_from(lending.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    eventually("word of what is waited for", || {
        lending.stderr().contains("a token is being renewed").then_some(())
    });
    let output = lending.end();
    assert!(output.status.success(), "{output:?}");
    gate.open();
    person.server.settle();
}

#[test]
fn stuck_requests_stop_no_other_and_not_the_end() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);
    let head = |path: &str| {
        format!(
            "GET /acme{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n",
            lending.port,
            lending.bearer()
        )
    };
    let stuck: Vec<_> = (0..100)
        .map(|at| {
            let connection = lending.connect();
            let path = if at % 2 == 0 { "/hang" } else { "/stall" };
            (&connection).write_all(head(path).as_bytes()).unwrap();
            connection
        })
        .collect();
    eventually("all of them", || (origin.seen().len() == 100).then_some(()));
    for _ in 0..20 {
        assert_eq!(lending.get("/acme/x").status, 200);
    }
    let output = lending.end();
    assert!(output.status.success() || output.status.code() == Some(143), "{output:?}");
    for mut connection in stuck {
        let mut rest = Vec::new();
        let _ = connection.read_to_end(&mut rest);
        assert!(rest.is_empty() || !only(&rest).is_whole, "{}", rest.escape_ascii());
    }
}

#[test]
fn after_a_sleep_the_next_request_works_with_one_refresh() {
    let signed = Signed::start(None);
    let own = pid(&signed.lending.pid().to_string());
    kill_process(own, Signal::STOP).unwrap();
    signed.end_token();
    signed.origin.cut_connections();
    let before = signed.person.refreshes();
    kill_process(own, Signal::CONT).unwrap();
    for _ in 0..3 {
        assert_eq!(signed.lending.get("/demo/x").status, 200);
        assert_eq!(signed.lending.get("/acme/x").status, 200);
    }
    assert_eq!(signed.person.refreshes() - before, 1);
}

#[test]
fn a_busy_server_is_asked_once_and_a_busy_authorization_server_a_few_times() {
    let signed = Signed::start(None);
    let origin = &signed.origin;
    let before = origin.seen().len();
    origin.fails(1);
    let reply = signed.lending.get("/acme/x");
    assert_eq!((reply.status, reply.value("retry-after").as_deref()), (503, Some("0")));
    assert_eq!(origin.seen().len(), before + 1);
    // A refresh that was refused for now may be asked for again, three times in all.
    signed.end_token();
    let before = signed.person.refreshes();
    signed.person.server.always(Endpoint::Token, Some(Scripted::RetryAfter(1)));
    let reply = signed.lending.get("/demo/x");
    reply.refusal(503, "credential_unavailable");
    let tries = signed.person.refreshes() - before;
    assert!((1..=3).contains(&tries), "{tries}");
    signed.person.server.always(Endpoint::Token, None);
    eventually("the next refresh", || (signed.lending.get("/demo/x").status == 200).then_some(()));
    assert_eq!(signed.person.server.reuses(), 0);
}

// ------------------------------------------------------------------------------------------------------ L6

#[test]
fn no_door_leads_to_link_local_addresses() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    let lending = Lending::exec(&sandbox, &["--with", "acme"]);
    let url = &lending.variables["HTTPS_PROXY"];
    let user = url.strip_prefix("http://").unwrap().split('@').next().unwrap();
    let key =
        format!("Proxy-Authorization: Basic {}\r\nConnection: close\r\n", STANDARD.encode(user));
    let hosts = [
        "169.254.169.254",
        "169.254.1.1",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
    ];
    for host in hosts {
        for request in [
            format!("CONNECT {host}:80 HTTP/1.1\r\nHost: {host}:80\r\n{key}\r\n"),
            format!("GET http://{host}/latest/meta-data HTTP/1.1\r\nHost: {host}\r\n{key}\r\n"),
        ] {
            let reply = only(&lending.say(request.as_bytes()));
            let code = reply.value("authctl-error").unwrap_or_default();
            assert_eq!((reply.status, &*code), (403, "address_forbidden"), "{host}: {reply:?}");
        }
    }
}
