//! The ways in which the tests start a child, and what they ask about processes.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, test_kill_process};

use super::eventually;
use super::sandbox::{AUTHCTL, Running, Sandbox};

pub use Launcher::{Env, Exec, Mask};

/// The credential that is handed over.
pub const KEY: &str = "sk-conform/0123456789+abcdef";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// The reference.
    Env,
    Exec,
    Mask,
}

impl Launcher {
    pub fn words(self) -> Vec<String> {
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
    pub fn quoted(self) -> String {
        self.words().iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
    }

    /// The command `child`, started by this launcher.
    pub fn command(self, sandbox: &Sandbox, child: &[&str]) -> Command {
        let words = self.words();
        let mut command = sandbox.program(&words[0]);
        command.args(&words[1..]).args(child);
        command
    }

    pub fn shell(self, sandbox: &Sandbox, script: &str) -> Command {
        self.command(sandbox, &["sh", "-c", script])
    }

    /// The same in a process group of its own, so that a signal to the process reaches nothing else.
    pub fn start(self, sandbox: &Sandbox, script: &str) -> Running {
        let mut command = self.shell(sandbox, script);
        command.process_group(0);
        sandbox.start(command)
    }
}

pub fn each(check: impl Fn(&Sandbox, Launcher)) {
    for launcher in [Env, Exec, Mask] {
        eprintln!("with {launcher:?}");
        let mut sandbox = Sandbox::new();
        sandbox.env("AUTHCTL_OPENAI_TOKEN", KEY);
        check(&sandbox, launcher);
    }
}

/// Runs a shell script that contains the launcher; each must leave what `env` leaves.
pub fn alike(sandbox: &Sandbox, script: impl Fn(Launcher) -> String) {
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

pub fn pid(number: &str) -> Pid {
    Pid::from_raw(number.trim().parse().unwrap()).unwrap()
}

pub fn pid_of(running: &Running) -> Pid {
    Pid::from_child(&running.child)
}

/// The first word that the child wrote.
pub fn said(running: &Running) -> String {
    eventually("a line of the child", || {
        let stdout = running.stdout();
        stdout.contains('\n').then(|| stdout.split_whitespace().next().unwrap_or("").to_owned())
    })
}

pub fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid).is_err() || state(pid) == Some('Z')
}

/// The state of a process as the kernel writes it: R, S, T, Z.
pub fn state(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether whoever started the tests ignores the signal: nothing below can then receive it.
pub fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(mask.unwrap_or("0").trim(), 16).unwrap();
    mask & (1 << (signal.as_raw() - 1)) != 0
}
