//! The stage for servers that misbehave: one sandbox, one scripted authorization server and one flow a
//! case. What holds in every case is checked here; a table says the rest.

pub mod deeds;
pub mod strangers;
pub mod tls;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::authorization_server::{AuthorizationServer, Endpoint, Fault};
use super::browser;
use super::eventually;
use super::http::{Answer, Server};
use super::sandbox::{Output, Running, Sandbox};

/// Cases at a time: they wait more than they work.
const WORKERS: usize = 6;

/// Longest flow: a request's deadline of 30 s, three times where it is repeated.
const LONGEST: Duration = Duration::from_mins(2);

/// What the person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// `login`: discovery, registration, authorization code.
    Browser,
    /// `login --device`
    Device,
    /// `login --client-credentials`
    Machine,
    /// `token --refresh`, signed in before.
    Refresh,
    /// `logout`, signed in before.
    Revoke,
    /// `status --check`, signed in before; the token has expired.
    Check,
}

/// What must come of it.
#[derive(Debug, Clone)]
pub enum Expect {
    /// This exit code, and these words in the error.
    Fails(i32, &'static str),
    /// Success all the same.
    Works,
    /// Success, with these words in a warning.
    Warns(&'static str),
    /// `status --check` ends with 1 and says this on stdout.
    Reports(&'static str),
}

/// A way to misbehave, and what must come of it.
#[derive(Debug, Clone)]
pub struct Case {
    pub id: String,
    pub flow: Flow,
    pub endpoint: Endpoint,
    pub deed: Fault,
    pub expect: Expect,
}

/// Where nothing may ever arrive.
pub struct Sink {
    server: Server,
    visits: &'static AtomicUsize,
}

impl Sink {
    pub fn start() -> Self {
        let visits: &'static AtomicUsize = Box::leak(Box::default());
        let server = Server::start(move |_| {
            visits.fetch_add(1, Ordering::SeqCst);
            Answer::empty(200)
        });
        Self { server, visits }
    }

    pub fn url(&self) -> String {
        format!("{}/sink", self.server.origin())
    }

    pub fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

/// Runs the cases and fails with the list of those that went wrong. Each one's words are printed, for
/// whoever wants to read what a person gets to read.
pub fn run(cases: Vec<Case>) {
    let count = cases.len();
    let queue = Mutex::new(VecDeque::from(cases));
    let failures = Mutex::new(Vec::new());
    let words = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().pop_front() else { return };
                    let outcome = catch_unwind(AssertUnwindSafe(|| play(&case)));
                    let outcome = outcome.unwrap_or_else(|_| Err("the test panicked".into()));
                    match outcome {
                        Ok(said) => {
                            words.lock().unwrap().push(format!("{}\n    {said}", case.id));
                        }
                        Err(why) => failures.lock().unwrap().push(format!("{}: {why}", case.id)),
                    }
                }
            });
        }
    });
    let mut words = words.into_inner().unwrap();
    words.sort();
    println!("{}\n{count} cases", words.join("\n"));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

/// A person's machine and the authorization server `acme`.
pub struct Stage {
    pub server: AuthorizationServer,
    pub sandbox: Sandbox,
}

impl Stage {
    pub fn new() -> Self {
        let stage = Self { server: AuthorizationServer::start(), sandbox: Sandbox::new() };
        stage.server.register("public", None);
        stage.server.register("machine", Some("machine-s3cret"));
        std::fs::write(stage.sandbox.path("client-secret"), "machine-s3cret").unwrap();
        stage.configure("client = \"register\"");
        stage
    }

    /// `lines` go into the provider's OAuth table.
    pub fn configure(&self, lines: &str) {
        self.sandbox.write_config(&config(&self.server.issuer(), lines));
    }

    pub fn host(&self) -> String {
        self.server.issuer().replace("http://", "")
    }

    fn command(&self, flow: Flow) -> Vec<String> {
        let secret = self.sandbox.path("client-secret").to_string_lossy().into_owned();
        let words: &[&str] = match flow {
            Flow::Browser => &["login", "acme"],
            Flow::Device => &["login", "acme", "--device", "--client-id", "public"],
            Flow::Machine => &[
                "login",
                "acme",
                "--client-credentials",
                "--client-id",
                "machine",
                "--client-secret-file",
                &secret,
            ],
            Flow::Refresh => &["token", "acme", "--refresh"],
            Flow::Revoke => &["logout", "acme"],
            Flow::Check => &["status", "--check"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    pub fn start(&self, flow: Flow) -> Running {
        // What an earlier flow opened is not this one's.
        let _ = std::fs::remove_file(self.sandbox.path("opened-urls"));
        self.sandbox.start(self.sandbox.command(self.command(flow)))
    }

    /// Plays the flow to its end, with a person who opens whatever the browser is asked to open.
    pub fn play(&self, flow: Flow) -> Output {
        let mut running = self.start(flow);
        if flow == Flow::Browser
            && let Some(url) = running.opened_url_or_end(LONGEST)
        {
            let _ = browser::open(&url);
        }
        running.finish_within(LONGEST)
    }

    /// Signs in through the browser, as long as the server behaves.
    pub fn sign_in(&self) {
        self.play(Flow::Browser).success();
    }

    /// Waits until authctl itself says that the token has ended.
    pub fn wait_for_expiry(&self) {
        eventually("the end of the token", || {
            let status = self.sandbox.run(["status", "--json"]).json();
            (status["credentials"][0]["state"] == "refreshable").then_some(())
        });
    }

    /// Whether the store holds a credential.
    pub fn holds_one(&self) -> bool {
        let is_record = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("credential~") && name.ends_with(".sealed")
        };
        self.sandbox.files().iter().any(is_record)
    }
}

/// The configuration of the provider `acme`.
pub fn config(issuer: &str, lines: &str) -> String {
    format!(
        "[provider.acme.oauth]\nissuer = \"{issuer}\"\nscopes = [\"read\"]\n\
         grants = [\"authorization_code\", \"device_code\", \"client_credentials\"]\n{lines}\n"
    )
}

/// One case; what was said, or what went wrong.
fn play(case: &Case) -> Result<String, String> {
    let stage = Stage::new();
    let had_one = matches!(case.flow, Flow::Refresh | Flow::Revoke | Flow::Check);
    if had_one {
        let expired = case.flow == Flow::Check;
        stage.server.rules(|rules| {
            rules.rotates = false;
            rules.expires_in = Some(if expired { 1 } else { 3600 });
        });
        stage.sign_in();
        if expired {
            stage.wait_for_expiry();
        }
    }
    // A code that may be polled for after failures ends soon.
    stage.server.rules(|rules| rules.device_expires_in = 3);
    stage.server.always(case.endpoint, Some(case.deed.clone()));
    let output = stage.play(case.flow);
    let opened = !stage.sandbox.opened_urls().is_empty();
    check_always(&stage, &output)?;
    check_expected(case, &stage, &output, opened)?;
    let complaints = stage.server.complaints();
    if !complaints.is_empty() {
        return Err(format!("the server complains: {complaints:?}"));
    }
    if had_one && case.flow != Flow::Revoke {
        recovers(case, &stage)?;
    }
    let said = output.stderr.lines().filter(|line| !line.starts_with("    http"));
    Ok(format!("{} {}", output.code(), said.collect::<Vec<_>>().join("\n    ")))
}

/// What holds however a server behaves (A2, S2, S6).
fn check_always(stage: &Stage, output: &Output) -> Result<(), String> {
    let Some(code) = output.status.code() else { return Err(format!("a signal: {output:?}")) };
    if ![0, 1, 2, 4, 75].contains(&code) {
        return Err(format!("exit code {code}: {output:?}"));
    }
    let said = format!("{}{}", output.stdout, output.stderr);
    if said.chars().any(|c| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c)) {
        return Err(format!("control characters: {said:?}"));
    }
    if said.lines().any(|line| line.chars().count() > 1000 && !line.starts_with("    http")) {
        return Err("a line without end".into());
    }
    let given = if output.stderr.is_empty() { &output.stdout } else { "" };
    match stage
        .server
        .secrets()
        .iter()
        .find(|secret| said.contains(&***secret) && given.trim_end() != **secret)
    {
        Some(secret) => Err(format!("{secret} was shown: {said}")),
        None => Ok(()),
    }
}

fn check_expected(case: &Case, stage: &Stage, output: &Output, opened: bool) -> Result<(), String> {
    let code = output.code();
    let must = |holds: bool, what: &str| {
        if holds {
            Ok(())
        } else {
            Err(format!("not true that {what}: {code} {}{}", output.stdout, output.stderr))
        }
    };
    let held_before = matches!(case.flow, Flow::Refresh | Flow::Check);
    match case.expect {
        Expect::Fails(expected, words) => {
            must(code == expected, &format!("the exit code is {expected}"))?;
            must(output.stdout.is_empty(), "stdout is empty")?;
            must(output.stderr.contains("error: "), "there is an error")?;
            must(output.stderr.contains(words), &format!("it says {words:?}"))?;
            must(output.stderr.contains("acme"), "it names the provider")?;
            let error = output.stderr.split("error: ").nth(1).unwrap_or_default();
            must(names_place(error, stage), "it names the host")?;
            must(error.contains("\nhint: "), "there is a hint")?;
            must(stage.holds_one() == held_before, "the store is as it was")?;
            let late = matches!(case.endpoint, Endpoint::Token | Endpoint::Authorize);
            must(late || !opened, "no browser was opened")?;
        }
        Expect::Works => {
            must(code == 0, "it works")?;
            must(stage.holds_one(), "something is stored")?;
        }
        Expect::Warns(words) => {
            must(code == 0, "it works")?;
            let warning = output.stderr.lines().find(|line| line.starts_with("warning: "));
            must(
                warning.is_some_and(|warning| warning.contains(words)),
                &format!("it warns of {words:?}"),
            )?;
            must(stage.holds_one() == (case.flow != Flow::Revoke), "it is signed out")?;
        }
        Expect::Reports(words) => {
            must(code == 1, "the exit code is 1")?;
            must(output.stdout.contains(words), &format!("it says {words:?}"))?;
            must(names_place(&output.stdout, stage), "it names the host")?;
        }
    }
    Ok(())
}

/// Whether a message says where it happened: the server, or the provider's own table.
fn names_place(message: &str, stage: &Stage) -> bool {
    let places = [&*stage.host(), "authorization server of acme", "acme: its authorization server"];
    places.iter().any(|place| message.contains(place))
}

/// No failure weakens a record (P3): once the server behaves, the next refresh works.
fn recovers(case: &Case, stage: &Stage) -> Result<(), String> {
    stage.server.always(case.endpoint, None);
    let output = stage.play(Flow::Refresh);
    let token = output.stdout.trim_end();
    if output.code() != 0 || !stage.server.accepts(token) {
        return Err(format!("did not recover: {output:?}"));
    }
    Ok(())
}
