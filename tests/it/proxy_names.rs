//! The proxy and names that change their minds: what a resolver says counts for each connection anew, and no answer of
//! its makes a way to where no request goes.
//!
//! | id | promise | test |
//! |---|---|---|
//! | L6 | a name that is rebound leads to no link-local or metadata address | all |
//! | S4 | and takes no credential along | all |

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::real_parts::present;
use crate::support::hostile::tls::{Authority, GOOD, Leaf};
use crate::support::lending::{KEY, Lending, config, only};
use crate::support::origin::Origin;
use crate::support::own_network::{self, Names};
use crate::support::sandbox::Sandbox;

const PUBLIC: Ipv4Addr = Ipv4Addr::new(93, 184, 215, 14);
/// Of most clouds, and of Alibaba's.
const METADATA: [Ipv4Addr; 2] =
    [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(100, 100, 100, 200)];

/// Somebody at an address where no request is to go.
struct Trap(TcpListener);

impl Trap {
    fn at(address: Ipv4Addr, port: u16) -> Self {
        let listener = TcpListener::bind((address, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn assert_unvisited(&self) {
        let visit = self.0.accept().map(|(_, visitor)| visitor);
        assert!(visit.is_err(), "{visit:?} came to {:?}", self.0);
    }
}

/// What the visitors of this address say, until they fall silent or are turned away.
fn listener(address: Ipv4Addr, port: u16) -> std::sync::mpsc::Receiver<Vec<u8>> {
    let listener = TcpListener::bind((address, port)).unwrap();
    let (send, said) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for mut visitor in listener.incoming().map_while(Result::ok) {
            let mut bytes = vec![0; 4096];
            let length = visitor.read(&mut bytes).unwrap_or_default();
            bytes.truncate(length);
            let _ = send.send(bytes);
        }
    });
    said
}

#[test]
fn a_name_that_is_rebound_leads_nowhere_and_takes_nothing_along() {
    if !present(&["openssl", "mount"]) || !own_network::is_inside() {
        return;
    }
    for address in [PUBLIC, METADATA[0], METADATA[1]] {
        own_network::own(IpAddr::V4(address));
    }
    let authority = Authority::new();
    let leaf = Leaf { name: "DNS:api.rebound.example", ..GOOD };
    let origin = Origin::at(PUBLIC.into(), Some((&authority, leaf)));
    origin.wants("authorization", &format!("Bearer {KEY}"));
    let traps = METADATA.map(|address| Trap::at(address, origin.port()));
    let own = listener(Ipv4Addr::LOCALHOST, origin.port());
    let mut sandbox = Sandbox::new();
    let names = Names::serve(&sandbox.path("tmp"));
    let base = format!("https://api.rebound.example:{}", origin.port());
    sandbox.write_config(&config(&[("acme", &base)]));
    sandbox.env("AUTHCTL_ACME_TOKEN", KEY).env("SSL_CERT_FILE", authority.file());
    let lending = Lending::proxy(&sandbox, &["--with", "acme"]);

    names.are(&[PUBLIC]);
    assert_eq!(lending.get("/acme/first").status, 200);
    // A connection stays where it is, whatever becomes of the name.
    names.are(&METADATA[..1]);
    assert_eq!(lending.get("/acme/second").status, 200);
    assert!(origin.seen().iter().all(|seen| seen.connection == 0), "{:?}", origin.seen());
    for metadata in METADATA {
        names.are(&[PUBLIC]);
        lending.get("/acme/die").refusal(502, "upstream_interrupted");
        names.are(&[metadata]);
        let said = lending.get("/acme/rebound").refusal(403, "address_forbidden");
        assert!(said.contains("api.rebound.example"), "{said}");
        // Beside an address that is fine it is left out, wherever it stands.
        names.are(&[metadata, PUBLIC, metadata]);
        assert_eq!(lending.get("/acme/mixed").status, 200);
    }
    // This computer may be meant, and has to be able to say so.
    lending.get("/acme/die").refusal(502, "upstream_interrupted");
    names.are(&[Ipv4Addr::LOCALHOST]);
    assert_eq!(lending.get("/acme/own").status, 502);
    let said = own.recv().unwrap();
    assert!(said.starts_with(&[0x16, 3]), "no TLS: {}", said.escape_ascii());
    assert!(!String::from_utf8_lossy(&said).contains(KEY));

    names.are(&METADATA);
    let user = STANDARD.encode(format!("authctl:{}", lending.key));
    for line in ["CONNECT elsewhere.example:PORT", "GET http://elsewhere.example:PORT/x"] {
        let line = line.replace("PORT", &origin.port().to_string());
        let target = line.split([' ', '/']).rev().find(|part| part.contains(':')).unwrap();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic {user}\r\nConnection: close\r\n\r\n"
        );
        only(&lending.say(request.as_bytes())).refusal(403, "address_forbidden");
    }
    for trap in &traps {
        trap.assert_unvisited();
    }
    assert!(
        origin
            .seen()
            .iter()
            .all(|seen| !["rebound", "own"].iter().any(|it| seen.line().contains(it)))
    );
    names.are(&[PUBLIC]);
    assert_eq!(lending.get("/acme/last").status, 200);
}
