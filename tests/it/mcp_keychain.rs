//! A session of `authctl mcp` whose OS keychain is locked, frozen or dead, from its begin on or in its middle (A7):
//! every request is answered, what needs no credential goes on, a token in memory is used while it is good, and
//! nothing is lost.

use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::real_parts::{KEYCHAIN, Keyring, present};
use crate::support::mcp_host::Host;
use crate::support::mcp_scene::{NAME, Scene, call, is_done, text};
use crate::support::mcp_server::Gate;

/// Somebody who is signed in, with the credential in a keychain of their own.
struct Desk {
    keyring: Keyring,
    scene: Scene,
    /// Tokens that the server takes no more.
    stale: Arc<Mutex<Vec<String>>>,
}

/// What happens to the keychain, what is said of it, and what undoes it.
struct Outage {
    begin: fn(&mut Keyring),
    words: &'static str,
    end: fn(&mut Keyring),
}

const OUTAGES: [Outage; 3] = [
    // A new daemon is unlocked.
    Outage { begin: |it| it.lock(), words: "is locked", end: revive },
    Outage { begin: |it| it.die(), words: "is not available", end: |it| it.rise() },
    Outage { begin: |it| it.freeze(), words: "did not answer within 5 s", end: |it| it.thaw() },
];

fn revive(keyring: &mut Keyring) {
    keyring.die();
    keyring.rise();
}

impl Desk {
    fn signed_in() -> Self {
        let keyring = Keyring::start();
        let mut scene = Scene::new(Gate::Handler);
        keyring.serve(&mut scene.sandbox);
        scene.sign_in(&["--name", NAME]);
        std::fs::remove_file(scene.sandbox.path("opened-urls")).unwrap();
        let stale = Arc::new(Mutex::new(Vec::<String>::new()));
        let (is_good, refused) = (scene.server.introspection(), stale.clone());
        scene.mcp.trust(move |token| {
            is_good(token) && !refused.lock().unwrap().iter().any(|stale| stale == token)
        });
        Self { keyring, scene, stale }
    }

    fn tokens(&self) -> Value {
        let record = self.keyring.lookup(&format!("credential/{NAME}:default")).expect("a record");
        serde_json::from_str::<Value>(&record).unwrap()["credential"]["tokens"].clone()
    }

    /// A closed tool, which is refused for the keychain's sake, while open ones go on.
    #[track_caller]
    fn assert_refused(&self, host: &mut Host, words: &str) {
        let refused = host.call("tools/call", &call("build_creative"));
        assert_eq!(refused["result"]["isError"], true, "{refused}");
        assert!(text(&refused).contains(words), "{refused}");
        assert!(is_done(&host.call("tools/call", &call("list_formats"))));
        assert!(self.scene.tabs().is_empty());
        assert_eq!(self.scene.refreshes(), 0);
    }

    /// The keychain is back.
    #[track_caller]
    fn assert_goes_on(&self, mut host: Host, refreshes: usize) {
        assert!(is_done(&host.call("tools/call", &call("build_creative"))));
        assert_eq!(self.tokens()["refresh_token"], self.scene.server.refresh_token());
        assert_eq!((self.scene.refreshes(), self.scene.server.reuses()), (refreshes, 0));
        assert!(self.scene.tabs().is_empty());
        host.last_words();
    }
}

#[test]
fn a_session_begins_without_the_keychain_and_takes_it_up_once_it_is_there() {
    if !present(&KEYCHAIN) {
        return;
    }
    for outage in OUTAGES {
        let mut desk = Desk::signed_in();
        let before = desk.tokens();
        (outage.begin)(&mut desk.keyring);
        let mut host = desk.scene.host(&[]);
        assert!(host.initialize()["result"].is_object());
        desk.assert_refused(&mut host, outage.words);
        (outage.end)(&mut desk.keyring);
        assert_eq!(desk.tokens(), before);
        desk.assert_goes_on(host, 0);
    }
}

#[test]
fn a_keychain_that_is_lost_mid_session_costs_no_token() {
    if !present(&KEYCHAIN) {
        return;
    }
    for outage in OUTAGES {
        let mut desk = Desk::signed_in();
        let before = desk.tokens();
        let mut host = desk.scene.host(&[]);
        host.initialize();
        assert!(is_done(&host.call("tools/call", &call("build_creative"))));
        (outage.begin)(&mut desk.keyring);
        // The token in memory is good.
        assert!(is_done(&host.call("tools/call", &call("build_creative"))));
        let shown = before["access_token"].as_str().unwrap().to_owned();
        desk.stale.lock().unwrap().push(shown);
        desk.assert_refused(&mut host, outage.words);
        (outage.end)(&mut desk.keyring);
        assert_eq!(desk.tokens(), before);
        desk.assert_goes_on(host, 1);
    }
}
