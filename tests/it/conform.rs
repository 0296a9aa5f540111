//! The manners of `exec`: a child must not be able to tell that authctl started it. Each check runs
//! with `env` first, which shows that the check is right, then with `exec` and with `exec --mask`.

use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::eventually;
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Running, Sandbox};

/// The credential that is handed over.
const KEY: &str = "sk-conform/0123456789+abcdef";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Launcher {
    /// The reference.
    Env,
    Exec,
    Mask,
}

use Launcher::{Env, Exec, Mask};

impl Launcher {
    fn words(self) -> Vec<String> {
        let words: &[&str] = match self {
            Env => &[
                "env",
                "-u",
                "AUTHCTL_OPENAI_TOKEN",
                "OPENAI_API_KEY=sk-conform/0123456789+abcdef",
            ],
            Exec => &[AUTHCTL, "-q", "exec", "--with", "openai", "--"],
            Mask => &[AUTHCTL, "-q", "exec", "--mask", "--with", "openai", "--"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// A shell's way to write it.
    fn quoted(self) -> String {
        self.words().iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
    }

    /// The command `child`, started by this launcher.
    fn command(self, sandbox: &Sandbox, child: &[&str]) -> Command {
        let words = self.words();
        let mut command = sandbox.program(&words[0]);
        command.args(&words[1..]).args(child);
        command
    }

    fn shell(self, sandbox: &Sandbox, script: &str) -> Command {
        self.command(sandbox, &["sh", "-c", script])
    }

    /// The same in a process group of its own, so that a signal to the process reaches nothing else.
    fn start(self, sandbox: &Sandbox, script: &str) -> Running {
        let mut command = self.shell(sandbox, script);
        command.process_group(0);
        sandbox.start(command)
    }
}

fn each(check: impl Fn(&Sandbox, Launcher)) {
    for launcher in [Env, Exec, Mask] {
        eprintln!("with {launcher:?}");
        let mut sandbox = Sandbox::new();
        sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
        check(&sandbox, launcher);
    }
}

/// Runs a shell script that contains the launcher; each must leave what `env` leaves.
fn alike(sandbox: &Sandbox, script: impl Fn(Launcher) -> String) {
    let run = |launcher: Launcher| {
        let mut shell = sandbox.program("sh");
        shell.args(["-c", &script(launcher)]).env("AUTHCTL_OPENAI_TOKEN", KEY);
        sandbox.start(shell).finish().success()
    };
    let reference = run(Env);
    assert!(!reference.is_empty());
    assert_eq!(run(Exec), reference);
    assert_eq!(run(Mask), reference, "with --mask");
}

fn pid(number: &str) -> Pid {
    Pid::from_raw(number.trim().parse().unwrap()).unwrap()
}

fn pid_of(running: &Running) -> Pid {
    Pid::from_child(&running.child)
}

/// The first word that the child wrote.
fn said(running: &Running) -> String {
    eventually("a line of the child", || {
        let stdout = running.stdout();
        stdout.contains('\n').then(|| stdout.split_whitespace().next().unwrap_or("").to_owned())
    })
}

fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid).is_err() || state(pid) == Some('Z')
}

/// The state of a process as the kernel writes it: R, S, T, Z.
fn state(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether whoever started the tests ignores the signal: nothing below can then receive it.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(mask.unwrap_or("0").trim(), 16).unwrap();
    mask & (1 << (signal.as_raw() - 1)) != 0
}

fn write_program(path: &Path, text: &str, mode: u32) -> String {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

// -------------------------------------------------------------------------------------- exit status

#[test]
fn the_exit_code_is_the_childs() {
    each(|sandbox, launcher| {
        for code in [0, 1, 7, 125, 255] {
            let output = sandbox.start(launcher.shell(sandbox, &format!("exit {code}"))).finish();
            assert_eq!(output.code(), code, "{output:?}");
        }
    });
}

#[test]
fn a_child_that_dies_of_a_signal_is_seen_to_die_of_it() {
    each(|sandbox, launcher| {
        for signal in [Signal::TERM, Signal::INT, Signal::KILL, Signal::USR1, Signal::PIPE] {
            if is_ignored(signal) {
                continue;
            }
            let script = format!("kill -{} $$", signal.as_raw());
            let output = sandbox.start(launcher.shell(sandbox, &script)).finish();
            assert_eq!(output.status.signal(), Some(signal.as_raw()), "{output:?}");
        }
    });
}

#[test]
fn a_shell_sees_143_when_the_child_dies_of_term() {
    each(|sandbox, launcher| {
        let script = format!("{} sh -c 'kill -TERM $$'; echo $?", launcher.quoted());
        let mut shell = sandbox.program("sh");
        shell.args(["-c", &script]);
        let stdout = sandbox.start(shell).finish().success();
        assert_eq!(stdout.trim(), "143");
    });
}

#[test]
fn an_unknown_command_is_127() {
    each(|sandbox, launcher| {
        let missing = sandbox.path("missing").to_str().unwrap().to_owned();
        for program in ["no-such-command-anywhere", &missing] {
            let output = sandbox.start(launcher.command(sandbox, &[program])).finish();
            assert_eq!(output.code(), 127, "{output:?}");
            assert!(output.stderr.contains(program), "{output:?}");
        }
    });
}

#[test]
fn what_cannot_be_executed_is_126() {
    each(|sandbox, launcher| {
        let plain = write_program(&sandbox.path("plain"), "#!/bin/sh\n", 0o644);
        for program in [&plain, sandbox.path("home").to_str().unwrap()] {
            let output = sandbox.start(launcher.command(sandbox, &[program])).finish();
            assert_eq!(output.code(), 126, "{output:?}");
        }
    });
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    each(|sandbox, launcher| {
        let script = write_program(&sandbox.path("script"), "echo \"$0 $1\"; exit 5\n", 0o755);
        let output = sandbox.start(launcher.command(sandbox, &[&script, "x"])).finish();
        assert_eq!((output.code(), output.stdout), (5, format!("{script} x\n")));
    });
}

#[test]
fn a_failure_of_our_own_is_125_and_nothing_is_started() {
    let sandbox = Sandbox::new();
    let marker = sandbox.path("started");
    for arguments in [["--with", "openai"], ["--with", "no-such-provider"], ["--with", "a b"]] {
        let mut command = sandbox.command(["exec"]);
        command.args(arguments).args(["--", "touch", marker.to_str().unwrap()]);
        let stderr = sandbox.start(command).finish().failure(125);
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
    assert!(!marker.exists());
}

// ------------------------------------------------------------------------------- input and output

#[test]
fn arguments_arrive_unchanged() {
    each(|sandbox, launcher| {
        let mut command = launcher.shell(sandbox, "for a; do printf '[%s]' \"$a\"; done");
        command.args([
            "sh",
            "",
            " a  b ",
            "--",
            "-q",
            "--mask",
            "$HOME",
            "'\"\\",
            "line\nline",
            "ü",
        ]);
        command.arg(std::ffi::OsString::from_vec(vec![b'x', 0xff]));
        let output = command.output().unwrap();
        let expected = b"[][ a  b ][--][-q][--mask][$HOME]['\"\\][line\nline][\xc3\xbc][x\xff]";
        assert_eq!(output.stdout, expected, "{:?}", String::from_utf8_lossy(&output.stdout));
    });
}

#[test]
fn streams_carry_every_byte() {
    each(|sandbox, launcher| {
        let bytes: Vec<u8> =
            (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        std::fs::write(sandbox.path("bytes"), &bytes).unwrap();
        let mut command = launcher.shell(sandbox, "cat; echo to stderr >&2");
        command.stdin(File::open(sandbox.path("bytes")).unwrap());
        let output = command.output().unwrap();
        assert!(output.stdout == bytes, "{} of {} bytes", output.stdout.len(), bytes.len());
        assert_eq!(output.stderr, b"to stderr\n");
    });
}

#[test]
fn a_prompt_without_a_line_end_is_seen_before_the_answer() {
    each(|sandbox, launcher| {
        let mut command = launcher.shell(sandbox, "printf 'Name: '; read name; echo \"<$name>\"");
        command.stdin(Stdio::piped());
        let mut running = sandbox.start(command);
        eventually("the prompt", || (running.stdout() == "Name: ").then_some(()));
        std::io::Write::write_all(&mut running.child.stdin.take().unwrap(), b"me\n").unwrap();
        assert_eq!(running.finish().success(), "Name: <me>\n");
    });
}

#[test]
fn lines_to_stdout_and_stderr_keep_their_order_in_one_pipe() {
    each(|sandbox, launcher| {
        let child = "sh -c 'for n in 1 2 3 4 5 6 7 8 9; do echo o$n; echo e$n >&2; done'";
        let mut shell = sandbox.program("sh");
        shell.args(["-c", &format!("{} {child} 2>&1", launcher.quoted())]);
        let expected: String = (1..10).map(|n| format!("o{n}\ne{n}\n")).collect();
        assert_eq!(sandbox.start(shell).finish().success(), expected);
    });
}

#[test]
fn a_slow_reader_gets_everything() {
    each(|sandbox, launcher| {
        let mut shell = sandbox.program("sh");
        let script =
            format!("{} head -c 1000000 /dev/zero | {{ sleep 1; wc -c; }}", launcher.quoted());
        shell.args(["-c", &script]);
        assert_eq!(sandbox.start(shell).finish().success().trim(), "1000000");
    });
}

#[test]
fn a_reader_that_goes_away_ends_the_child_by_sigpipe() {
    each(|sandbox, launcher| {
        let mut shell = sandbox.program("sh");
        let script = format!("{{ {} yes; echo $? > status; }} | head -n 1", launcher.quoted());
        shell.args(["-c", &script]);
        assert_eq!(sandbox.start(shell).finish().success(), "y\n");
        let status = std::fs::read_to_string(sandbox.path("work/status")).unwrap();
        assert_eq!(status.trim(), "141");
    });
}

#[test]
fn what_the_child_leaves_running_is_not_waited_for() {
    each(|sandbox, launcher| {
        let out = File::create(sandbox.path("out")).unwrap();
        let mut command = launcher.shell(sandbox, "sleep 300 & echo $!");
        let status = command.stdout(out).stderr(Stdio::null()).status().unwrap();
        let left = std::fs::read_to_string(sandbox.path("out")).unwrap();
        kill_process(pid(&left), Signal::KILL).unwrap();
        assert!(status.success());
    });
}

// ------------------------------------------------------------------------------------------- signals

#[test]
fn signals_reach_the_child_once() {
    each(|sandbox, launcher| {
        for signal in
            [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2]
        {
            if is_ignored(signal) {
                continue;
            }
            let number = signal.as_raw();
            let script = format!(
                "trap 'echo got' {number}; trap 'exit 31' ALRM; echo ready
                 while :; do sleep 0.02; done"
            );
            let running = launcher.start(sandbox, &format!("echo $$; {script}"));
            let child = pid(&said(&running));
            eventually("the traps", || running.stdout().contains("ready").then_some(()));
            kill_process(pid_of(&running), signal).unwrap();
            eventually("the signal", || running.stdout().contains("got").then_some(()));
            kill_process(child, Signal::ALARM).unwrap();
            let output = running.finish();
            assert_eq!(output.code(), 31, "{signal:?} {output:?}");
            assert_eq!(output.stdout.matches("got").count(), 1, "{signal:?} {output:?}");
        }
    });
}

#[test]
fn a_signal_that_ends_the_child_leaves_no_orphan() {
    each(|sandbox, launcher| {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1] {
            if is_ignored(signal) {
                continue;
            }
            let running = launcher.start(sandbox, "echo $$; exec sleep 300");
            let child = pid(&said(&running));
            kill_process(pid_of(&running), signal).unwrap();
            assert_eq!(running.finish().status.signal(), Some(signal.as_raw()));
            assert!(is_gone(child), "{signal:?}");
        }
    });
}

#[test]
fn the_launcher_stays_as_long_as_a_child_that_takes_its_time() {
    each(|sandbox, launcher| {
        let script = "trap 'sleep 0.5; echo done; exit 9' TERM; echo ready
                      while :; do sleep 0.02; done";
        let running = launcher.start(sandbox, script);
        said(&running);
        kill_process(pid_of(&running), Signal::TERM).unwrap();
        let output = running.finish();
        assert_eq!((output.code(), &*output.stdout), (9, "ready\ndone\n"));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_stopped_child_goes_on_when_it_is_continued() {
    each(|sandbox, launcher| {
        let running = launcher.start(sandbox, "echo $$; while :; do sleep 0.02; done");
        let child = pid(&said(&running));
        kill_process(pid_of(&running), Signal::TSTP).unwrap();
        eventually("the stop", || (state(child) == Some('T')).then_some(()));
        kill_process(pid_of(&running), Signal::CONT).unwrap();
        eventually("going on", || (state(child) != Some('T')).then_some(()));
        kill_process(pid_of(&running), Signal::TERM).unwrap();
        assert_eq!(running.finish().status.signal(), Some(Signal::TERM.as_raw()));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn ignored_signals_stay_ignored_and_none_is_blocked() {
    for ignored in ["", "trap '' HUP USR1 TSTP;"] {
        // The upper half has the real-time signals, of which the C library uses two for itself.
        alike(&Sandbox::new(), |launcher| {
            let masks = "grep '^Sig[BIC]' /proc/self/status | sed 's/[0-9a-f]\\{9\\}//'";
            format!("{ignored} {} {masks}", launcher.quoted())
        });
    }
}

// --------------------------------------------------------------------------------------- the process

#[test]
fn exec_is_the_child_and_mask_is_its_parent() {
    each(|sandbox, launcher| {
        let running = launcher.start(sandbox, "echo $$ $PPID");
        let own = pid_of(&running).as_raw_nonzero().to_string();
        let stdout = running.finish().success();
        let (child, parent) = stdout.trim().split_once(' ').unwrap();
        assert_eq!(if launcher == Mask { parent } else { child }, own);
    });
}

#[test]
fn directory_umask_and_limits_are_inherited() {
    alike(&Sandbox::new(), |launcher| {
        let child = "sh -c 'pwd; umask; ulimit -a'";
        format!(
            "mkdir -p 'a b'; cd 'a b'; umask 037; ulimit -S -n 99; {} {child}",
            launcher.quoted()
        )
    });
}

#[test]
fn the_core_limit_is_the_callers() {
    for limit in ["0", "64", "unlimited"] {
        alike(&Sandbox::new(), |launcher| {
            let child = "sh -c 'ulimit -S -c; ulimit -H -c'";
            format!("ulimit -S -c {limit} 2>&1; {} {child}", launcher.quoted())
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn open_files_are_inherited_and_none_is_added() {
    alike(&Sandbox::new(), |launcher| {
        format!("exec 5</dev/null; {} ls /proc/self/fd", launcher.quoted())
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_key_is_in_no_command_line() {
    for launcher in [Exec, Mask] {
        let mut sandbox = Sandbox::new();
        sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
        let running = launcher.start(&sandbox, "echo $$; exec sleep 300");
        let child = pid(&said(&running));
        for process in [child, pid_of(&running)] {
            let path = format!("/proc/{}/cmdline", process.as_raw_nonzero());
            let words = std::fs::read_to_string(path).unwrap();
            assert!(!words.contains(KEY), "{words}");
        }
        kill_process(pid_of(&running), Signal::TERM).unwrap();
        running.finish();
    }
}

// --------------------------------------------------------------------------------------- environment

#[test]
fn the_environment_is_the_callers_but_for_the_credential() {
    for launcher in [Exec, Mask] {
        let mut sandbox = Sandbox::new();
        sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
        sandbox.env("AUTHCTL_GITHUB_TOKEN", "ghp_not-for-the-child");
        sandbox.env("OPENAI_API_KEY", "sk-stale");
        sandbox.env("UNRELATED", " =1 2= ");
        let mut expected: Vec<String> = sandbox
            .variables()
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .filter(|variable| !variable.contains("TOKEN=") && !variable.contains("API_KEY="))
            .collect();
        let key = if launcher == Mask { "[masked]" } else { KEY };
        expected.push(format!("OPENAI_API_KEY={key}"));
        expected.push("AUTHCTL_INJECTED=openai".into());
        expected.sort();
        let stdout = sandbox.start(launcher.command(&sandbox, &["env"])).finish().success();
        let (ids, mut environment): (Vec<&str>, Vec<&str>) =
            stdout.lines().partition(|line| line.starts_with("AUTHCTL_OPENAI_CREDENTIAL_ID="));
        environment.sort_unstable();
        assert_eq!(environment, expected);
        assert_eq!(ids.len(), 1, "{stdout}");
    }
}

#[test]
fn an_exec_inside_an_exec_adds_its_credential() {
    for (outer, inner) in [(Exec, Mask), (Mask, Exec)] {
        let mut sandbox = Sandbox::new();
        sandbox.run_with_input(["login", "audiostack", "--with-key"], "as-stored-key\n").success();
        sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
        let script =
            "test -n \"$OPENAI_API_KEY\" && echo $AUTHCTL_INJECTED $AUDIOSTACK_API_KEY; exit 7";
        let mut words = inner.words();
        let openai = words.iter().position(|word| word == "openai").unwrap();
        words[openai] = "audiostack".into();
        let mut command = outer.command(&sandbox, &[]);
        command.args(words).args(["sh", "-c", script]);
        let output = sandbox.start(command).finish();
        let key = if inner == Mask { "[masked]" } else { "as-stored-key" };
        assert_eq!(output.code(), 7, "{output:?}");
        assert_eq!(output.stdout, format!("audiostack,openai {key}\n"));
    }
}

// ------------------------------------------------------------------------------------------- masking

#[test]
fn masked_output_shows_no_key_in_a_pipe_or_a_file() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    let script = "echo \"a $OPENAI_API_KEY b\"; printf %s \"user:$OPENAI_API_KEY\" | base64 >&2";
    let output = sandbox.start(Mask.shell(&sandbox, script)).finish();
    assert_eq!(output.stdout, "a [masked] b\n");
    assert!(output.stderr.contains("[masked]"), "{output:?}");
    let mut command = Mask.shell(&sandbox, script);
    command.stdout(File::create(sandbox.path("out")).unwrap()).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
    assert_eq!(std::fs::read_to_string(sandbox.path("out")).unwrap(), "a [masked] b\n");
}

// ---------------------------------------------------------------------------------------- a terminal

fn at_a_terminal(sandbox: &Sandbox, launcher: Launcher, script: &str) -> Terminal {
    Terminal::start(launcher.shell(sandbox, script))
}

/// A child at a terminal that counts what reaches it, with its own number and its launcher's.
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

/// Ends the child, and asserts that nothing reached it after the first time.
#[track_caller]
fn assert_only_once(mut terminal: Terminal, child: Pid) {
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
            terminal.control(key);
            terminal.expect("got");
            assert_only_once(terminal, child);
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
        kill_process(own, Signal::INT).unwrap();
        terminal.expect("got");
        assert_only_once(terminal, child);
    });
}

#[test]
fn a_new_size_of_the_window_reaches_the_child_once() {
    each(|sandbox, launcher| {
        let (mut terminal, child, _) = counting(sandbox, launcher, Signal::WINCH);
        terminal.resize(91, 33);
        terminal.expect("33 91");
        terminal.expect("got");
        assert_only_once(terminal, child);
    });
}

#[test]
fn job_control_stops_and_continues_the_child() {
    each(|sandbox, launcher| {
        let mut shell = sandbox.program("sh");
        shell.arg("-i").env("PS1", "$ ");
        let mut terminal = Terminal::start(shell);
        let child = "trap \"echo go\\ing on\" CONT; echo rea\\dy; while :; do sleep 0.02; done";
        terminal.send_line(&format!("{} sh -c '{child}'", launcher.quoted()));
        terminal.expect("ready");
        terminal.control('z');
        terminal.send_line("echo stat\\us $?.");
        let stopped = 128 + Signal::TSTP.as_raw();
        let shown = terminal.expect("status ");
        assert!(shown.contains("Stopped") || shown.contains("Suspended"), "{shown}");
        let status = terminal.expect(".");
        let own = 128 + Signal::STOP.as_raw();
        assert!([stopped, own].contains(&status.parse().unwrap()), "{status}");
        terminal.send_line("fg");
        terminal.expect("going on");
        terminal.control('c');
        terminal.send_line("echo stat\\us $?.");
        terminal.expect("status 130.");
    });
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
