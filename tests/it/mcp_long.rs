//! A long session: however many messages pass while tokens end and are renewed, the bridge stays as it was.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde_json::Value;

use crate::support::mcp_host::Host;
use crate::support::mcp_scene::{NAME, Scene, call, is_done};
use crate::support::mcp_server::Gate;
use crate::support::{eventually, rounds};

/// Requests under way at once.
const AT_ONCE: usize = 16;
/// How much resident memory may grow, in KiB.
const GROWTH: u64 = 10 << 10;

fn proc(host: &Host, file: &str) -> PathBuf {
    format!("/proc/{}/{file}", host.child.id()).into()
}

fn resident(host: &Host) -> u64 {
    let status = std::fs::read_to_string(proc(host, "status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn descriptors(host: &Host) -> usize {
    std::fs::read_dir(proc(host, "fd")).unwrap().count()
}

/// So many calls, all of which succeed.
fn calls(scene: &Scene, host: &mut Host, count: usize) {
    for _ in 0..count / AT_ONCE {
        let ask = |_| host.ask("tools/call", &call("build_creative"));
        let ids: Vec<Value> = (0..AT_ONCE).map(ask).collect();
        for id in ids {
            let answer = host.answer(&id);
            assert!(is_done(&answer), "{answer}");
        }
        scene.mcp.forget();
    }
}

#[test]
fn a_session_of_any_length_takes_no_more_memory_and_no_more_descriptors() {
    let scene = Scene::signed_in(Gate::Http);
    // Short enough to end many times, however fast the machine is.
    scene.server.rules(|rules| rules.expires_in = Some(2));
    scene.store().pass(NAME, SignedDuration::from_secs(3_600));
    let mut host = scene.host(&[]);
    host.initialize();
    calls(&scene, &mut host, 2_000);
    let before = (resident(&host), descriptors(&host), scene.refreshes());
    calls(&scene, &mut host, rounds(20_000, 1_000_000));
    let after = resident(&host);
    assert!(after <= before.0 + GROWTH, "{} KiB became {after} KiB", before.0);
    eventually("as many descriptors as before", || (descriptors(&host) <= before.1).then_some(()));
    let refreshes = scene.refreshes() - before.2;
    assert!(refreshes >= 2, "{refreshes} refreshes");
    assert!(scene.tabs().is_empty());
    assert_eq!(scene.server.reuses(), 0);
    host.last_words();
}
