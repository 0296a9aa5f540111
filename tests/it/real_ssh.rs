//! A sign-in over a real SSH session: sshd on loopback with a terminal, a browser on another machine, and
//! nobody who knows what a port forward is.

#![cfg(unix)]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::real_parts::{OpenIdProvider, Person, ProtectedApi, present};
use crate::support::authorization_server::AuthorizationServer;
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Sandbox};
use crate::support::{browser, demo, eventually};

const SSH: [&str; 3] = ["sshd", "ssh", "ssh-keygen"];

/// An sshd of its own, for whoever runs the tests, whose sessions live in the sandbox.
struct Sshd<'a> {
    sandbox: &'a Sandbox,
    daemon: Child,
    port: u16,
}

impl<'a> Sshd<'a> {
    fn start(sandbox: &'a Sandbox) -> Self {
        for name in ["host", "person"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(place(sandbox, name));
            assert!(keygen.status().unwrap().success());
        }
        let key = std::fs::read(place(sandbox, "person.pub")).unwrap();
        std::fs::write(place(sandbox, "authorized"), key).unwrap();
        if rustix::process::geteuid().is_root() {
            // Where sshd locks its unprivileged half in; Debian's service makes it at boot.
            std::fs::create_dir_all("/run/sshd").unwrap();
            std::fs::set_permissions("/run/sshd", PermissionsExt::from_mode(0o755)).unwrap();
        }
        // Somebody may take a free port before sshd does; then there is another.
        eventually("an sshd", || Self::try_start(sandbox))
    }

    fn try_start(sandbox: &'a Sandbox) -> Option<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        std::fs::write(place(sandbox, "sshd_config"), config(sandbox, port)).unwrap();
        let log = std::fs::File::create(place(sandbox, "sshd.log")).unwrap();
        let program = which("sshd"); // it starts itself again, and wants its full path for that
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f"]).arg(place(sandbox, "sshd_config"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut daemon = command.spawn().unwrap();
        let is_listening = eventually("an answer of sshd, or its end", || {
            let listens = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            let ended = daemon.try_wait().unwrap().is_some();
            (listens || ended).then_some(listens && !ended)
        });
        is_listening.then_some(Self { sandbox, daemon, port })
    }

    /// `script` at a terminal at the other end.
    fn session(&self, script: &str) -> Terminal {
        let host = std::fs::read_to_string(place(self.sandbox, "host.pub")).unwrap();
        let known = format!("[127.0.0.1]:{} {host}", self.port);
        std::fs::write(place(self.sandbox, "known"), known).unwrap();
        let mut ssh = self.sandbox.program("ssh");
        ssh.args([
            "-tt",
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "IdentitiesOnly=yes",
        ]);
        ssh.arg("-o").arg(format!("UserKnownHostsFile={}", place(self.sandbox, "known").display()));
        ssh.arg("-i").arg(place(self.sandbox, "person"));
        ssh.args(["-p", &self.port.to_string(), "127.0.0.1", script]);
        Terminal::start(ssh)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(place(self.sandbox, "sshd.log")).unwrap()
    }
}

impl Drop for Sshd<'_> {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn place(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.path("tmp").join(name)
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|directory| directory.join(program));
    places.find(|place| place.is_file()).unwrap()
}

/// The sessions have the sandbox's environment, but no browser.
fn config(sandbox: &Sandbox, port: u16) -> String {
    let is_theirs = |name: &&std::ffi::OsString| *name != "BROWSER" && *name != "TERM";
    let variables: Vec<String> = sandbox
        .variables()
        .iter()
        .filter(|(name, _)| is_theirs(&name))
        .map(|(name, value)| format!("\"{}={}\"", name.display(), value.display()))
        .collect();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nAllowTcpForwarding no\nX11Forwarding no\nSetEnv {}\n",
        place(sandbox, "host").display(),
        place(sandbox, "authorized").display(),
        variables.join(" ")
    )
}

/// The address that the session shows.
fn address(shown: &str) -> String {
    let mut words = shown.split_whitespace();
    let found = words.find(|word| word.contains("redirect_uri="));
    found.unwrap_or_else(|| panic!("no address: {shown}")).to_owned()
}

const PROMPT: &str = "Address or code (not shown): ";

#[test]
fn over_ssh_a_person_pastes_the_address_where_their_own_browser_ended() {
    if !present(&[&SSH[..], &["node", "chromium"]].concat()) {
        return;
    }
    let provider = OpenIdProvider::start(&json!({}));
    let api = ProtectedApi::start(&provider, None);
    let mut sandbox = Sandbox::new();
    sandbox.write_config(&format!(
        "[provider.my-oidc.oauth]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline_access\", \"api:read\"]\n\
         variables = [\"TOKEN\"]\nclient_id = \"public\"\nauthentication = \"none\"\n\
         grants = [\"authorization_code\"]\n",
        provider.issuer
    ));
    let person = Person::at(&mut sandbox, json!({ "away": true }));
    let sshd = Sshd::start(&sandbox);
    let mut session = sshd.session(&format!("stty echo; '{AUTHCTL}' login my-oidc && stty -a"));
    let shown = session.expect(PROMPT);
    assert!(shown.contains("this is a session over SSH"), "{shown} {}", sshd.log());
    let seen = person.opens(&address(&shown));
    assert_eq!(seen["done"], json!(["login", "consent"]), "{seen}");
    let ended_at = seen["unreachable"].as_str().unwrap_or_else(|| panic!("{seen}"));
    assert!(ended_at.starts_with("http://127.0.0.1:") && ended_at.contains("code="), "{seen}");
    session.send_line(ended_at);
    session.expect("Signed in to my-oidc");
    let rest = session.rest();
    assert!(rest.contains(" echo ") && rest.contains(" icanon "), "{rest}");
    assert_eq!(session.status(), 0);

    let token = sandbox.run(["token", "my-oidc"]).success();
    assert_eq!(api.status(token.trim_end()), 200);
    let codes: Vec<Value> = provider.answers("token");
    assert_eq!(codes.len(), 1, "{codes:?}");
}

/// The connection breaks at the prompt, and the sign-in is finished in the next session.
#[test]
fn a_broken_connection_loses_no_sign_in() {
    if !present(&SSH) {
        return;
    }
    let server = AuthorizationServer::start();
    let sandbox = Sandbox::new();
    let keys = "client = \"register\"\ngrants = [\"authorization_code\"]";
    sandbox.write_config(&demo::config(&server, keys));
    let sshd = Sshd::start(&sandbox);
    let mut session = sshd.session(&format!("'{AUTHCTL}' login demo"));
    let shown = session.expect(PROMPT);
    // As the escape of ssh does it: the line is cut, the far end gets a hangup.
    session.send("\r~.");
    session.rest();

    let url = url::Url::parse(&address(&shown)).unwrap();
    let ended_at = browser::get(&url).header("location").unwrap().to_owned();
    let mut session = sshd.session(&format!("'{AUTHCTL}' login demo --resume"));
    let again = session.expect(PROMPT);
    assert_eq!(address(&again), url.as_str());
    session.send_line(&ended_at);
    let rest = session.rest();
    assert!(rest.contains("Signed in to demo"), "{rest} {}", sshd.log());
    assert!(server.accepts(sandbox.run(["token", "demo"]).success().trim()));
}
