//! A home of its own for the binary under test: nothing of the person's files, keychain, credentials or
//! agent markers reaches it, and what it prints can be compared from run to run.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use regex::Regex;

use super::{PATIENCE, eventually, eventually_within};

/// The binary under test.
pub const AUTHCTL: &str = env!("CARGO_BIN_EXE_authctl");

/// A private home, and the environment in which the binary runs.
pub struct Sandbox {
    root: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
}

/// What a finished run left.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A run that goes on while the test does something else.
pub struct Running {
    pub child: Child,
    stdout: Collected,
    stderr: Collected,
    opened: PathBuf,
    /// How many URLs had been opened before it started.
    opened_before: usize,
}

/// A stream that is read as it comes.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Sandbox {
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("authctl-test-").tempdir().unwrap();
        let sandbox = Self { variables: variables(root.path()), root };
        for directory in ["home", "run", "locks", "tmp", "work"] {
            make_private_directory(&sandbox.path(directory));
        }
        sandbox.write_browser();
        sandbox
    }

    /// A place in the sandbox.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Sets a variable for the runs from now on.
    pub fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.unset(name);
        self.variables.push((name.into(), value.as_ref().into()));
        self
    }

    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.variables.retain(|(other, _)| other != name);
        self
    }

    /// Every variable of a run.
    pub fn variables(&self) -> &[(OsString, OsString)] {
        &self.variables
    }

    /// Writes the configuration that the binary reads.
    pub fn write_config(&self, toml: &str) {
        let directory = self.path("home/.config/authctl");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("config.toml"), toml).unwrap();
    }

    /// Any program in the sandbox's environment and working directory, with nothing on its stdin.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.path("work")).stdin(Stdio::null());
        command
    }

    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.program(AUTHCTL);
        command.args(arguments);
        command
    }

    /// Runs authctl to its end, with nothing on its stdin.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.start(self.command(arguments)).finish()
    }

    /// Runs authctl to its end with `input` on its stdin.
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped());
        let mut running = self.start(command);
        // A command that does not read its input ends early, which is no failure of the test.
        let _ = running.child.stdin.take().unwrap().write_all(input.as_bytes());
        running.finish()
    }

    /// Starts a command of this sandbox; its output is read as it comes.
    pub fn start(&self, mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running {
            stdout: Collected::from(child.stdout.take().unwrap()),
            stderr: Collected::from(child.stderr.take().unwrap()),
            child,
            opened: self.path("opened-urls"),
            opened_before: self.opened_urls().len(),
        }
    }

    /// The URLs that were opened in the browser.
    pub fn opened_urls(&self) -> Vec<String> {
        opened_urls(&self.path("opened-urls"))
    }

    /// `text` with everything replaced that differs from run to run: ports, times, places, ids.
    pub fn redact(&self, text: &str) -> String {
        let project = text.replace(&*self.path("work").to_string_lossy(), "[PROJECT]");
        let home = project.replace(&*self.root.path().to_string_lossy(), "[SANDBOX]");
        let rules = [
            (r"(127\.0\.0\.1|\[::1\]|localhost):\d+", "$1:[PORT]"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "[TIME]"),
            (r"cred_[A-Za-z0-9_-]{22}", "[CREDENTIAL_ID]"),
            (r"\b(in )?\d+ (s|min|h|days)( ago)?\b", "[SPAN]"),
            (r"\b(state|code_challenge|code)=[A-Za-z0-9_-]+", "$1=[RANDOM]"),
            (concat!("authctl[ /]", env!("CARGO_PKG_VERSION")), "authctl [VERSION]"),
        ];
        rules.iter().fold(home, |text, (pattern, replacement)| {
            Regex::new(pattern).unwrap().replace_all(&text, *replacement).into_owned()
        })
    }

    /// Every file below the sandbox, for tests that look for what must not be there.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut directories = vec![self.root.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    directories.push(entry.path());
                } else {
                    files.push(entry.path());
                }
            }
        }
        files.sort();
        files
    }

    /// A browser that only notes what it is asked to open; the test follows the URL itself.
    fn write_browser(&self) {
        let script = self.path("browser");
        let opened = self.path("opened-urls");
        let text = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >> '{}'\n", opened.display());
        // A file that this process has open for writing cannot be executed, and a child that another
        // test is just starting has it open as well: so a process of its own writes it.
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf %s \"$2\" > \"$1\"; chmod 755 \"$1\"", "sh"]);
        assert!(shell.arg(&script).arg(text).status().unwrap().success());
    }
}

impl Running {
    /// What stdout has brought so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The same of stderr.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until stderr has a line for which `pick` finds something.
    pub fn wait_for<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> T {
        eventually(what, || {
            let found = self.stderr.text().lines().find_map(&pick);
            let ended = found.is_none() && self.child.try_wait().unwrap().is_some();
            assert!(!ended, "ended before {what}: {}", self.stderr.text());
            found
        })
    }

    /// Waits for the URL that the browser was asked to open.
    pub fn opened_url(&mut self) -> String {
        self.opened_url_after(self.opened_before)
    }

    /// The same where `before` were opened first.
    pub fn opened_url_after(&mut self, before: usize) -> String {
        eventually("a URL in the browser", || {
            let url = opened_urls(&self.opened).into_iter().nth(before);
            let ended = url.is_none() && self.child.try_wait().unwrap().is_some();
            assert!(!ended, "ended without opening a URL: {}", self.stderr.text());
            url
        })
    }

    /// Waits for that URL, or for an end without one.
    pub fn opened_url_or_end(&mut self, patience: Duration) -> Option<String> {
        eventually_within(patience, "a URL in the browser, or the end", || {
            let ended = self.child.try_wait().unwrap().is_some();
            let url = opened_urls(&self.opened).into_iter().nth(self.opened_before);
            (url.is_some() || ended).then_some(url)
        })
    }

    /// Waits for its end.
    pub fn finish(self) -> Output {
        self.finish_within(PATIENCE)
    }

    /// The same for a command that waits by itself.
    pub fn finish_within(mut self, patience: Duration) -> Output {
        let end = || self.child.try_wait().unwrap();
        let status = eventually_within(patience, "the end of the command", end);
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        Output { status, stdout, stderr }
    }
}

impl Output {
    /// The exit code; panics with what was said if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("no exit code: {self:?}"))
    }

    /// Asserts success and hands back stdout.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.status.success(), "{self:?}");
        self.stdout
    }

    /// Asserts this exit code and hands back stderr.
    #[track_caller]
    pub fn failure(self, code: i32) -> String {
        assert_eq!(self.code(), code, "{self:?}");
        self.stderr
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Collected {
    fn from(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut chunk) {
                shared.lock().unwrap().extend_from_slice(&chunk[..read]);
            }
        });
        Self { bytes, thread }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// Everything, unless something that was left running still holds the stream.
    fn finish(self) -> String {
        eventually("the end of the output", || self.thread.is_finished().then_some(()));
        self.text()
    }
}

fn opened_urls(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What a login shell would have, all of it inside the sandbox; nothing is inherited but the way to
/// programs, and where coverage is to be written.
fn variables(root: &Path) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = ["PATH", "LLVM_PROFILE_FILE"]
        .iter()
        .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)))
        .collect();
    let places = [
        ("HOME", "home"),
        ("XDG_CONFIG_HOME", "home/.config"),
        ("XDG_DATA_HOME", "home/.local/share"),
        ("XDG_STATE_HOME", "home/.local/state"),
        ("XDG_CACHE_HOME", "home/.cache"),
        ("XDG_RUNTIME_DIR", "run"),
        ("TMPDIR", "tmp"),
        ("AUTHCTL_LOCK_DIR", "locks"),
        ("BROWSER", "browser"),
    ];
    variables.extend(places.map(|(name, place)| (name.into(), root.join(place).into())));
    variables.extend(
        [("AUTHCTL_STORE", "file"), ("LANG", "C.UTF-8"), ("TERM", "xterm")]
            .map(|(name, value)| (name.into(), value.into())),
    );
    variables
}

fn make_private_directory(path: &Path) {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).unwrap();
}
