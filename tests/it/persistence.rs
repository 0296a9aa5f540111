//! No credential is lost: whatever kills authctl, fills the disk or breaks a write, what is stored is the
//! old record or the new one, whole.
//!
//! | guarantee | tests |
//! |---|---|
//! | P7 | `a_refresh_killed_at_any_moment_…` (file; the keychain's are in keychain.rs), `a_record_is_synced_…` |
//! | P8 | `a_full_disk_…`, `a_disk_that_fills_up_…`, `a_store_that_cannot_be_written_…`, `a_read_only_…`, `a_login_on_a_full_disk_…`, `a_file_size_limit_…`, `a_failing_…` |
//! | P9 | `a_key_of_any_length_…` (file; the keychain's is in keychain.rs) |
//! | design §5, signals | `a_signal_…`, `a_stop_…` |

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::real_parts::present;
use crate::support::authorization_server::{Endpoint, Fault, Gate};
use crate::support::browser;
use crate::support::demo::Demo;
use crate::support::launcher::is_ignored;
use crate::support::sandbox::{AUTHCTL, Output, Running, Sandbox};
use crate::support::sealed::Sealed;
use crate::support::{PATIENCE, eventually, random_below, rounds};

/// The refresh token of a record.
fn refresh_token(record: &Value) -> &str {
    record["credential"]["tokens"]["refresh_token"].as_str().unwrap()
}

/// The store holds the refresh token that the server takes next.
#[track_caller]
fn assert_current(demo: &Demo) {
    let record = Sealed::of(&demo.sandbox).record("demo");
    assert_eq!(refresh_token(&record), demo.server.refresh_token());
}

// -------------------------------------------------------------------------------------- P7: kill -9

/// How long the server keeps its answer back after it has rotated.
const HELD: Duration = Duration::from_millis(300);
/// After this long an answer is stored, by the full figures.
const STORED_WITHIN: Duration = Duration::from_millis(20);
/// The same for a few rounds among other tests: only a hang is a fault there.
const STORED_WITHIN_WHEN_BUSY: Duration = Duration::from_secs(2);

/// What became of many killed refreshes.
#[derive(Debug, Default)]
struct Toll {
    /// Died of the kill, rather than having ended before it.
    killed: usize,
    new_record: usize,
    old_record: usize,
    /// Old records although the answer had come: the milliseconds since then.
    after_the_answer: Vec<u128>,
}

/// Kills refreshes at random moments, of a server with a grace time or without. `stored` reads the
/// record past authctl, and fails where it is not whole.
pub fn kill_refreshes(demo: &Demo, grace: bool, stored: &dyn Fn() -> Value) {
    demo.server.rules(|rules| rules.grace = grace.then_some(Duration::from_secs(10)));
    let mut toll = Toll::default();
    for round in 0..rounds(15, 500) {
        let (killed, after) = kill_one_refresh(demo, round);
        toll.killed += usize::from(killed);
        let record = stored();
        let kept = refresh_token(&record);
        if kept == demo.server.refresh_token() {
            toll.new_record += 1;
            continue;
        }
        toll.old_record += 1;
        toll.after_the_answer.extend(after.map(|after| after.as_millis()));
        if grace {
            let token = demo.token(&["--refresh"]).success();
            assert!(demo.server.accepts(token.trim()), "round {round}");
            assert_eq!(refresh_token(&stored()), demo.server.refresh_token(), "round {round}");
        } else {
            // A person would have to sign in again. Here the old token is made good instead.
            demo.server.reinstate(kept);
        }
    }
    eprintln!("P7, grace {grace}: {toll:?}");
    assert_eq!(demo.server.reuses(), 0);
    let is_full = rounds(0, 1) == 1;
    // With a grace time nothing was lost: each round made it good.
    let limit = if is_full && !grace { STORED_WITHIN } else { STORED_WITHIN_WHEN_BUSY };
    assert!(toll.after_the_answer.iter().all(|after| *after < limit.as_millis()), "{toll:?}");
    let status = demo.sandbox.run(["status", "--json"]).json();
    assert_eq!(status["credentials"][0]["name"], "demo");
}

/// Starts a refresh and kills it: anywhere between its start and its end, while the answer is held, or
/// just after the answer. Whether it still lived, and how long after the answer that was.
fn kill_one_refresh(demo: &Demo, round: usize) -> (bool, Option<Duration>) {
    demo.server.rules(|rules| rules.held = HELD);
    let (asked, answered) = (demo.server.grants("refresh_token"), demo.server.answered());
    let mut running = demo.sandbox.start(demo.sandbox.command(["token", "demo", "--refresh"]));
    let mut wait_for = |event: &dyn Fn() -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !event() && running.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the refresh hangs");
            std::thread::sleep(Duration::from_micros(200));
        }
    };
    let latest = match round % 3 {
        0 => 450_000,
        1 => {
            wait_for(&|| demo.server.grants("refresh_token") > asked);
            320_000
        }
        _ => {
            wait_for(&|| demo.server.answered() != answered);
            30_000
        }
    };
    std::thread::sleep(Duration::from_micros(random_below(latest) as u64));
    let after = demo.server.answered().filter(|at| Some(*at) != answered).map(|at| at.elapsed());
    running.child.kill().unwrap();
    let killed = running.finish().status.signal().is_some();
    demo.server.settle();
    demo.server.rules(|rules| rules.held = Duration::ZERO);
    (killed, after)
}

#[test]
fn a_refresh_killed_at_any_moment_leaves_the_old_record_or_the_new_one() {
    let demo = Demo::signed_in();
    kill_refreshes(&demo, false, &|| Sealed::of(&demo.sandbox).record("demo"));
}

#[test]
fn a_refresh_killed_at_any_moment_is_made_good_by_a_server_with_a_grace_time() {
    let demo = Demo::signed_in();
    kill_refreshes(&demo, true, &|| Sealed::of(&demo.sandbox).record("demo"));
}

#[test]
fn a_record_is_synced_before_it_takes_its_name_and_the_name_before_it_counts() {
    if !present(&["strace"]) {
        return;
    }
    let demo = Demo::signed_in();
    demo.token(&["--refresh"]).success(); // makes what is made once
    let trace = demo.sandbox.path("trace");
    let mut command = strace(&demo.sandbox, &["-y", "-e", "trace=write,fsync,/^rename"]);
    command.args(["-o", trace.to_str().unwrap(), AUTHCTL, "token", "demo", "--refresh"]);
    demo.sandbox.start(command).finish().success();

    let trace = std::fs::read_to_string(trace).unwrap();
    let directory = Sealed::of(&demo.sandbox).directory();
    let steps: Vec<&str> = trace.lines().filter_map(|line| step(line, &directory)).collect();
    let one_write = ["write", "fsync", "rename", "fsync directory"];
    // The journal, then the new tokens.
    assert_eq!(steps, [one_write, one_write].concat(), "{trace}");
}

/// What a line of the trace does to the files of `directory`.
fn step(line: &str, directory: &std::path::Path) -> Option<&'static str> {
    let directory = directory.to_str().unwrap();
    let is = |call: &str, place: &str| {
        let place = regex::escape(&format!("{directory}{place}"));
        Regex::new(&format!("^{call}\\([^\"]*{place}")).unwrap().is_match(line)
    };
    if is("write", "/.authctl-new-") {
        Some("write")
    } else if is("fsync", "/.authctl-new-") {
        Some("fsync")
    } else if is("fsync", ">") {
        Some("fsync directory")
    } else if line.starts_with("rename") && line.contains(directory) {
        Some("rename")
    } else {
        None
    }
}

fn strace(sandbox: &Sandbox, options: &[&str]) -> Command {
    let mut command = sandbox.program("strace");
    command.arg("-qq").args(options);
    command
}

// -------------------------------------------------------------------- P8: disks that fill up or fail

/// A file system of 64 KiB of its own, with what the store has: `$STORE`. What is there when the script has
/// ended is the store from then on, and `$status` is its exit code.
fn start_on_small_disk(demo: &Demo, script: &str) -> Running {
    let prologue = "set -e; cp -a $STORE $COPY; mount -t tmpfs -o size=64k,mode=700 none $STORE
        cp -a $COPY/. $STORE; status=0; fill() { cat /dev/zero >$STORE/fill 2>$COPY/full || :; }";
    let epilogue = "mount -o remount,rw $STORE; rm -f $STORE/fill; rm -rf $COPY; cp -a $STORE $COPY
        umount $STORE; cp -a $COPY/. $STORE; rm -rf $COPY; exit $status";
    let script = format!("{prologue}\n{script}\n{epilogue}");
    let mut command = demo.sandbox.program("unshare");
    command.args(["-rm", "sh", "-c", &script]).env("AUTHCTL", AUTHCTL);
    command
        .env("STORE", Sealed::of(&demo.sandbox).directory())
        .env("COPY", demo.sandbox.path("copy"));
    demo.sandbox.start(command)
}

fn on_small_disk(demo: &Demo, script: &str) -> Output {
    start_on_small_disk(demo, script).finish()
}

/// Whether file systems can be mounted here.
fn can_mount() -> bool {
    if !present(&["unshare"]) {
        return false;
    }
    let mounts = "mount -t tmpfs -o size=64k none /mnt";
    let allowed = Command::new("unshare").args(["-rm", "sh", "-c", mounts]).status();
    let allowed = allowed.unwrap().success();
    assert!(allowed || std::env::var_os("AUTHCTL_TEST_PARTS").is_none(), "no user namespaces");
    if !allowed {
        eprintln!("skipped: no user namespaces here");
    }
    allowed
}

/// Signed in, with everything made that the first refresh makes.
fn refreshed() -> Demo {
    let demo = Demo::signed_in();
    demo.token(&["--refresh"]).success();
    demo
}

#[test]
fn a_full_disk_is_known_before_the_refresh_token_is_spent() {
    if !can_mount() {
        return;
    }
    let demo = refreshed();
    let before = Sealed::of(&demo.sandbox).record("demo");
    let script = "fill; $AUTHCTL token demo --refresh || status=$?";
    let said = on_small_disk(&demo, script).failure(1);
    assert!(said.contains("no room left") && said.contains("credential~demo"), "{said}");
    assert_eq!(demo.server.grants("refresh_token"), 1);
    assert_eq!(Sealed::of(&demo.sandbox).record("demo"), before);
    demo.token(&["--refresh"]).success();
    assert_current(&demo);
}

#[test]
fn a_store_that_cannot_be_written_withholds_no_token_that_lives() {
    if !can_mount() {
        return;
    }
    let demo = refreshed();
    let token = demo.token(&[]).success();
    for (trouble, said) in
        [("fill", "no room left"), ("mount -o remount,ro $STORE", "Read-only file system")]
    {
        let script = format!("{trouble}; $AUTHCTL token demo; $AUTHCTL token demo --min-ttl 2h");
        let output = on_small_disk(&demo, &script);
        assert!(output.stderr.contains(said), "{output:?}");
        assert!(output.stderr.contains("the token at hand still works"), "{output:?}");
        assert_eq!(output.success(), [&*token, &*token].concat());
    }
    assert_eq!(demo.server.grants("refresh_token"), 1);
}

#[test]
fn a_login_on_a_full_disk_fails_and_keeps_what_was_there() {
    if !can_mount() {
        return;
    }
    let demo = refreshed();
    let before = Sealed::of(&demo.sandbox).record("demo");
    let opened = demo.sandbox.opened_urls();
    let login = start_on_small_disk(&demo, "fill; $AUTHCTL login demo || status=$?");
    let said = login.finish().failure(1);
    assert!(said.contains("no room left"), "{said}");
    // Nobody was sent to a browser for tokens that could not be kept.
    assert_eq!(demo.sandbox.opened_urls(), opened);
    assert_eq!(Sealed::of(&demo.sandbox).record("demo"), before);
}

#[test]
fn a_disk_that_fills_up_during_the_login_has_the_tokens_revoked_again() {
    if !can_mount() {
        return;
    }
    let demo = refreshed();
    let before = Sealed::of(&demo.sandbox).record("demo");
    let opened = demo.sandbox.path("opened-urls");
    std::fs::remove_file(&opened).unwrap();
    let script = format!(
        "$AUTHCTL login demo & while [ ! -s {} ]; do sleep 0.1; done; fill; wait $! || status=$?",
        opened.display()
    );
    let mut login = start_on_small_disk(&demo, &script);
    let url = login.opened_url();
    let full = demo.sandbox.path("copy/full");
    eventually("the disk is full", || (full.metadata().ok()?.len() > 0).then_some(()));
    browser::open(&url);
    let said = login.finish().failure(1);
    assert!(said.contains("no room left") && said.contains("was revoked again"), "{said}");
    assert_eq!(demo.server.requests(Endpoint::Revoke).len(), 1);
    assert_eq!(Sealed::of(&demo.sandbox).record("demo"), before);
}

#[test]
fn a_disk_that_fills_up_during_the_refresh_does_not_cost_the_new_token() {
    if !can_mount() {
        return;
    }
    let demo = refreshed();
    demo.server.rules(|rules| rules.grace = Some(Duration::from_secs(10)));
    let gate = Arc::new(Gate::default());
    demo.server.script(Endpoint::Token, Fault::Keep(Arc::clone(&gate)));
    let (go, full) = (demo.sandbox.path("go"), demo.sandbox.path("full"));
    let script = format!(
        "$AUTHCTL token demo --refresh & child=$!
         until [ -e {} ]; do sleep 0.01; done; fill; touch {}; wait $child || status=$?",
        go.display(),
        full.display()
    );
    let running = start_on_small_disk(&demo, &script);
    gate.arrival();
    std::fs::write(&go, "").unwrap();
    eventually("a full disk", || full.exists().then_some(()));
    gate.open();
    let output = running.finish();
    assert!(output.stderr.contains("could not be stored"), "{output:?}");
    assert!(output.stderr.contains("no room left"), "{output:?}");
    assert!(output.stderr.contains("authctl login demo"), "{output:?}");
    assert!(demo.server.accepts(output.success().trim()));
    // The journal is whole, and tells the next run what happened.
    assert_eq!(Sealed::of(&demo.sandbox).record("demo")["refreshing"]["attempt"], 1);
    demo.token(&["--refresh"]).success();
    assert_current(&demo);
}

#[test]
fn a_read_only_store_gives_what_it_has_and_spends_nothing() {
    if !can_mount() {
        return;
    }
    let demo = refreshed();
    let token = demo.token(&[]).success();
    let before = Sealed::of(&demo.sandbox).record("demo");
    for command in ["token demo --refresh", "logout demo"] {
        let script = format!(
            "mount -o remount,ro $STORE; $AUTHCTL token demo; $AUTHCTL {command} || status=$?"
        );
        let output = on_small_disk(&demo, &script);
        assert_eq!(output.stdout, token, "{output:?}");
        let said = output.failure(1);
        assert!(said.contains("Read-only file system") && said.contains("authctl/store"), "{said}");
        assert_eq!(Sealed::of(&demo.sandbox).record("demo"), before);
    }
    assert_eq!(demo.server.grants("refresh_token"), 1);
    assert_eq!(demo.server.requests(Endpoint::Revoke).len(), 0, "revoked but still stored");
}

#[test]
fn a_file_size_limit_is_known_before_the_refresh_token_is_spent() {
    if !present(&["prlimit"]) {
        return;
    }
    let demo = refreshed();
    let before = Sealed::of(&demo.sandbox).record("demo");
    for limit in ["0", "100", "500"] {
        let mut command = demo.sandbox.program("prlimit");
        command.args([&format!("--fsize={limit}"), AUTHCTL, "token", "demo", "--refresh"]);
        let said = demo.sandbox.start(command).finish().failure(1);
        assert!(said.contains("no room left"), "{said}");
    }
    assert_eq!(demo.server.grants("refresh_token"), 1);
    assert_eq!(Sealed::of(&demo.sandbox).record("demo"), before);
    assert_eq!(leftovers(&demo.sandbox), Vec::<PathBuf>::new());
}

/// Files that were to replace others and never did.
fn leftovers(sandbox: &Sandbox) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| path.to_string_lossy().contains("/.authctl-new-");
    sandbox.files().into_iter().filter(is_one).collect()
}

#[test]
fn a_failing_write_at_any_step_loses_no_token() {
    if !present(&["strace"]) {
        return;
    }
    for (fault, steps) in [("fsync:error=EIO", 9), ("/^rename:error=ENOSPC", 5)] {
        // A failure once, and a disk that fails from then on.
        for when in (1..=steps).flat_map(|step| [format!("{step}"), format!("{step}+")]) {
            refresh_while_failing(&format!("inject={fault}:when={when}"));
        }
    }
}

fn refresh_while_failing(fault: &str) {
    let demo = refreshed();
    let old = refresh_token(&Sealed::of(&demo.sandbox).record("demo")).to_owned();
    let trace = demo.sandbox.path("trace");
    let mut command = strace(&demo.sandbox, &["-e", "trace=fsync,/^rename", "-e", fault]);
    command.args(["-o", trace.to_str().unwrap(), AUTHCTL, "token", "demo", "--refresh"]);
    let output = demo.sandbox.start(command).finish();

    let record = Sealed::of(&demo.sandbox).record("demo");
    let kept = refresh_token(&record);
    if demo.server.grants("refresh_token") == 1 {
        assert_eq!(kept, old, "{fault}");
        let said = output.failure(1);
        assert!(
            said.contains("credential~demo~default.sealed") || said.contains("write in"),
            "{said}"
        );
        return;
    }
    // Once it is spent, the new token is handed out whatever happens.
    assert!(demo.server.accepts(output.stdout.trim()), "{fault} {output:?}");
    let is_told = output.stderr.contains("could not be stored");
    assert_eq!(output.code(), 0, "{fault} {output:?}");
    assert_eq!(kept == demo.server.refresh_token(), !is_told || kept != old, "{fault} {output:?}");
    assert!(kept == old || kept == demo.server.refresh_token(), "{fault}");
    if !fault.ends_with('+') {
        assert_eq!(kept, demo.server.refresh_token(), "{fault}: one failure is made good");
    }
}

// ---------------------------------------------------------------------------- P9: tokens of any size

/// Lengths around the limits of the platforms: one byte, Windows' 2,560 bytes in UTF-16 and our own
/// part of 2,400, and more than anybody sends.
pub const LENGTHS: [usize; 9] = [1, 2, 1_280, 1_281, 2_399, 2_400, 2_401, 20_000, 65_536];

/// Every length comes back as it was given, also over another length.
pub fn keep_keys_of_any_length(sandbox: &Sandbox) {
    let lengths = LENGTHS.iter().chain(LENGTHS.iter().rev());
    for length in lengths {
        let key: String = (b'0'..=b'z').filter(u8::is_ascii_alphanumeric).map(char::from).collect();
        let key: String = key.chars().cycle().take(*length).collect();
        sandbox.run_with_input(["login", "demo", "--with-key"], &key).success();
        assert_eq!(sandbox.run(["token", "demo"]).success().trim_end(), key, "{length}");
    }
}

#[test]
fn a_key_of_any_length_comes_back_from_the_file() {
    let sandbox = Sandbox::new();
    sandbox.write_config("[provider.demo.api_key]\nvariables = [\"DEMO_API_KEY\"]\n");
    keep_keys_of_any_length(&sandbox);
}

// ------------------------------------------------------------------------------------------ signals

/// Starts authctl so that a signal to it reaches nothing else.
fn start_alone(sandbox: &Sandbox, arguments: &[&str]) -> Running {
    let mut command = sandbox.command(arguments);
    command.process_group(0);
    sandbox.start(command)
}

fn send(running: &Running, signal: Signal) {
    kill_process(Pid::from_child(&running.child), signal).unwrap();
}

/// Waits until the signal is there and waits in the process, for all of its threads.
fn wait_until_pending(running: &Running, signal: Signal) {
    eventually("a signal that waits", || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"))?;
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        (mask & (1 << (signal.as_raw() - 1)) != 0).then_some(())
    });
}

fn is_stopped(running: &Running) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.child.id())).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('T')
}

/// The signals that end a process, but for those that whoever started the tests ignores.
fn ending() -> impl Iterator<Item = Signal> {
    [Signal::INT, Signal::TERM, Signal::HUP].into_iter().filter(|signal| !is_ignored(*signal))
}

/// A signal in the middle of a refresh. `stored` reads the record past authctl.
pub fn interrupt_refreshes(demo: &Demo, stored: &dyn Fn() -> Value) {
    for signal in ending() {
        let gate = Arc::new(Gate::default());
        demo.server.script(Endpoint::Token, Fault::Keep(Arc::clone(&gate)));
        let running = start_alone(&demo.sandbox, &["token", "demo", "--refresh"]);
        gate.arrival();
        send(&running, signal);
        wait_until_pending(&running, signal);
        gate.open();
        let output = running.finish();
        assert_eq!(output.status.signal(), Some(signal.as_raw()), "{output:?}");
        assert_eq!(refresh_token(&stored()), demo.server.refresh_token(), "{signal:?}");
    }
    stop_a_refresh(demo, stored);
    assert_eq!(demo.server.reuses(), 0);
}

/// ^Z in the middle of a refresh.
fn stop_a_refresh(demo: &Demo, stored: &dyn Fn() -> Value) {
    let gate = Arc::new(Gate::default());
    demo.server.script(Endpoint::Token, Fault::Keep(Arc::clone(&gate)));
    let running = start_alone(&demo.sandbox, &["token", "demo", "--refresh"]);
    gate.arrival();
    send(&running, Signal::TSTP);
    wait_until_pending(&running, Signal::TSTP);
    gate.open();
    eventually("a stopped process", || is_stopped(&running).then_some(()));
    assert_eq!(refresh_token(&stored()), demo.server.refresh_token());
    send(&running, Signal::CONT);
    assert!(demo.server.accepts(running.finish().success().trim()));
}

#[test]
fn a_signal_during_a_refresh_waits_until_the_record_is_written() {
    let demo = Demo::signed_in();
    interrupt_refreshes(&demo, &|| Sealed::of(&demo.sandbox).record("demo"));
}

#[test]
fn a_signal_ends_a_wait_for_the_lock_at_once() {
    let demo = Demo::signed_in();
    let gate = Arc::new(Gate::default());
    demo.server.script(Endpoint::Token, Fault::Keep(Arc::clone(&gate)));
    let holder = start_alone(&demo.sandbox, &["token", "demo", "--refresh"]);
    gate.arrival();
    for signal in ending() {
        let waiter = start_alone(&demo.sandbox, &["token", "demo", "--refresh"]);
        eventually("a wait for the lock", || (naps(&waiter)? > 10).then_some(()));
        send(&waiter, signal);
        // The holder goes on until the gate is opened.
        let output = waiter.finish();
        assert_eq!(output.status.signal(), Some(signal.as_raw()), "{output:?}");
    }
    gate.open();
    holder.finish().success();
    assert_eq!(demo.server.grants("refresh_token"), 1);
    assert_current(&demo);
}

/// How often the process has gone to sleep by itself. Its open files would say more, but are shown to
/// nobody.
fn naps(running: &Running) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

#[test]
fn a_signal_ends_a_wait_for_the_browser_at_once() {
    let demo = Demo::new();
    for signal in ending() {
        let mut login = start_alone(&demo.sandbox, &["login", "demo"]);
        login.opened_url();
        send(&login, signal);
        let output = login.finish();
        assert_eq!(output.status.signal(), Some(signal.as_raw()), "{output:?}");
    }
    demo.login(&["demo"]).success();
}
