//! The manners of `exec` (A10): a child must not be able to tell that authctl started it. Each check runs
//! with `env` first, which shows that the check is right, then with `exec` and with `exec --mask`.

use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Signal, kill_process};

use crate::support::eventually;
use crate::support::launcher::{
    Exec, KEY, Mask, alike, each, is_gone, is_ignored, pid, pid_of, said, state,
};
use crate::support::sandbox::{AUTHCTL, Output, Sandbox};

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
        let lines = sandbox.start(shell).finish().success();
        let expected: Vec<String> =
            (1..10).flat_map(|n| [format!("o{n}"), format!("e{n}")]).collect();
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
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

#[test]
fn what_stands_beside_a_credential_is_never_an_older_ones() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    sandbox.env("AUTHCTL_OPENAI_EXPIRES_AT", "2001-01-01T00:00:00Z");
    sandbox.env("AUTHCTL_OPENAI_WORK_CREDENTIAL_ID", "cred_old");
    sandbox.env("AUTHCTL_GITHUB_CREDENTIAL_ID", "cred_old");
    let beside = |output: Output| {
        let lines = output.success();
        let names = lines.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
        let mut names: Vec<String> = names
            .filter(|name| name.ends_with("_CREDENTIAL_ID") || name.ends_with("_EXPIRES_AT"))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    };
    for launcher in [Exec, Mask] {
        let output = sandbox.start(launcher.command(&sandbox, &["env"])).finish();
        assert_eq!(beside(output), ["AUTHCTL_OPENAI_CREDENTIAL_ID"]);
    }
    // The credentials of an exec around this one stay, and so does what stands beside them.
    sandbox.run_with_input(["login", "audiostack", "--with-key"], "as-stored-key\n").success();
    let mut nested =
        Exec.command(&sandbox, &[AUTHCTL, "exec", "--with", "audiostack", "--", "env"]);
    nested.stdin(Stdio::null());
    assert_eq!(
        beside(sandbox.start(nested).finish()),
        ["AUTHCTL_AUDIOSTACK_CREDENTIAL_ID", "AUTHCTL_OPENAI_CREDENTIAL_ID"]
    );
}

#[test]
fn one_credential_in_two_variables_is_one_credential() {
    let mut sandbox = Sandbox::new();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    let script = "echo $OPENAI_API_KEY; echo $KEY; env | grep -o '^AUTHCTL_.*_CREDENTIAL_ID'";
    let handing = ["exec", "--with", "openai", "--env-header", "KEY=openai"];
    let output = sandbox.run([&handing[..], &["--", "sh", "-c", script]].concat());
    assert_eq!(output.success(), format!("{KEY}\nBearer {KEY}\nAUTHCTL_OPENAI_CREDENTIAL_ID\n"));
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

#[test]
fn the_secret_inside_a_masked_header_is_masked_alone_too() {
    let mut sandbox = Sandbox::new();
    sandbox.write_config("[provider.box.basic]\nvariables = [\"BOX_PASSWORD\"]\n");
    let login = ["login", "box", "--user", "me"];
    sandbox.run_with_input(login, "pass-of-the-box").success();
    sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
    let script = "echo ${KEY#Bearer }; echo ${PAIR#Basic }; echo $PAIR | cut -c7- | base64 -d";
    let exec = ["exec", "--mask", "--env-header", "KEY=openai,PAIR=box", "--", "sh", "-c", script];
    assert_eq!(sandbox.run(exec).success(), "[masked]\n[masked]\nme:[masked]");
}
