//! The manners of `exec` at a terminal (A10): its keys, its size, its end, job control.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::eventually;
use crate::support::launcher::{KEY, Launcher, Mask, each, is_gone, is_ignored, pid};
use crate::support::pty::Terminal;
use crate::support::sandbox::Sandbox;

fn at_a_terminal(sandbox: &Sandbox, launcher: Launcher, script: &str) -> Terminal {
    Terminal::start(launcher.shell(sandbox, script))
}

/// How often a signal is sent in the tests that count: two signals that come at the same time may be
/// taken for one, though hardly every time.
const OFTEN: usize = 20;

/// A child at a terminal that says what reaches it, with its own number and its launcher's.
fn counting(sandbox: &Sandbox, launcher: Launcher, signal: Signal) -> (Terminal, Pid, Pid) {
    let script = format!(
        "trap 'stty size; echo got' {}; trap 'exit 3' USR1; echo $$ $PPID ready
         while :; do sleep 0.02; done",
        signal.as_raw()
    );
    let mut terminal = at_a_terminal(sandbox, launcher, &script);
    let numbers = terminal.expect(" ready");
    let (child, parent) = numbers.trim().split_once(' ').unwrap();
    let child = pid(child);
    (terminal, child, if launcher == Mask { pid(parent) } else { child })
}

/// Ends the child, and asserts that nothing reached it beyond what was seen.
#[track_caller]
fn assert_no_more(mut terminal: Terminal, child: Pid) {
    // A second signal would be a matter of microseconds.
    std::thread::sleep(Duration::from_millis(200));
    kill_process(child, Signal::USR1).unwrap();
    let rest = terminal.rest();
    assert!(!rest.contains("got"), "{rest}");
    assert_eq!(terminal.status(), 3);
}

#[test]
fn a_terminal_stays_the_childs_own() {
    each(|sandbox, launcher| {
        let script =
            "test -t 0 && test -t 1 && test -t 2 && read name && echo \"<$name> $OPENAI_API_KEY\"";
        let mut terminal = at_a_terminal(sandbox, launcher, script);
        terminal.send_line("me");
        // Also under --mask: what a person sees on a terminal is not touched.
        terminal.expect(&format!("<me> {KEY}"));
        terminal.rest();
        assert_eq!(terminal.status(), 0);
    });
}

#[test]
fn a_key_of_the_terminal_reaches_the_child_once() {
    each(|sandbox, launcher| {
        for (key, signal) in [('c', Signal::INT), ('\\', Signal::QUIT)] {
            if is_ignored(signal) {
                continue;
            }
            let (mut terminal, child, _) = counting(sandbox, launcher, signal);
            for _ in 0..OFTEN {
                terminal.control(key);
                terminal.expect("got");
            }
            assert_no_more(terminal, child);
        }
    });
}

#[test]
fn an_interrupt_from_another_process_reaches_a_child_at_a_terminal_once() {
    each(|sandbox, launcher| {
        if is_ignored(Signal::INT) {
            return;
        }
        let (mut terminal, child, own) = counting(sandbox, launcher, Signal::INT);
        for _ in 0..OFTEN {
            kill_process(own, Signal::INT).unwrap();
            terminal.expect("got");
        }
        assert_no_more(terminal, child);
    });
}

#[test]
fn a_new_size_of_the_window_reaches_the_child() {
    each(|sandbox, launcher| {
        let (mut terminal, child, _) = counting(sandbox, launcher, Signal::WINCH);
        for columns in [91, 92, 93] {
            terminal.resize(columns, 33);
            terminal.expect(&format!("33 {columns}"));
            terminal.expect("got");
        }
        assert_no_more(terminal, child);
    });
}

/// Runs a shell with job control in which a child comes to a stop, by `stops` of its own accord if not
/// by ^Z, and is then brought back.
fn assert_job_control(stops: &str) {
    each(|sandbox, launcher| {
        if is_ignored(Signal::INT) {
            return;
        }
        let mut shell = sandbox.program("sh");
        shell.arg("-i").env("PS1", "$ ");
        let mut terminal = Terminal::start(shell);
        let child = "trap \"echo go\\ing on\" CONT; echo rea\\dy";
        let child = format!("{child}; {stops} while :; do sleep 0.02; done");
        terminal.send_line(&format!("{} sh -c '{child}'", launcher.quoted()));
        terminal.expect("ready");
        if stops.is_empty() {
            terminal.control('z');
        }
        terminal.send_line("echo stat\\us $?.");
        let shown = terminal.expect("status ");
        assert!(shown.contains("Stopped") || shown.contains("Suspended"), "{shown}");
        let status: i32 = terminal.expect(".").parse().unwrap();
        let own = [Signal::TSTP, Signal::STOP].map(|signal| 128 + signal.as_raw());
        assert!(own.contains(&status), "{status}");
        terminal.send_line("fg");
        terminal.expect("going on");
        terminal.control('c');
        terminal.send_line("echo stat\\us $?.");
        terminal.expect("status 130.");
    });
}

#[test]
fn job_control_stops_and_continues_the_child() {
    assert_job_control("");
}

#[test]
fn a_child_that_stops_its_group_as_editors_do_is_continued() {
    assert_job_control("kill -TSTP 0;");
}

#[test]
fn a_lost_terminal_hangs_up_the_child() {
    each(|sandbox, launcher| {
        if is_ignored(Signal::HUP) {
            return;
        }
        let mut shell = sandbox.program("sh");
        let child =
            "trap \"echo hup > hup; exit\" HUP; echo $$ ready; while :; do sleep 0.02; done";
        shell.args(["-c", &format!("echo $$ leads; {} sh -c '{child}'; :", launcher.quoted())]);
        let mut terminal = Terminal::start(shell);
        let leader = pid(&terminal.expect(" leads"));
        let child = pid(&terminal.expect(" ready"));
        kill_process(leader, Signal::KILL).unwrap();
        eventually("the hangup", || sandbox.path("work/hup").exists().then_some(()));
        eventually("the end of the child", || is_gone(child).then_some(()));
    });
}
