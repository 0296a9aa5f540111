//! What a command beside the proxy, and everybody else on the machine, can get hold of: placeholders, and nothing
//! that is worth something elsewhere.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S3, S9 | no real value in the child, nor in what it leaves | `the_command_never_has_…` |
//! | S7, S9 | nor can it look into its parent | `the_command_cannot_look_into_the_proxy` |
//! | L1 | loopback only, closed at the end | `it_listens_on_loopback_alone_…` |
//! | L5 | other users get nothing | `another_user_gets_nothing` |

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::real_parts::{present, skipped};
use crate::support::http::{Answer, Server};
use crate::support::inside::{Needle, descendants, variable};
use crate::support::lending::{KEY, Lending, acme};
use crate::support::origin::Origin;
use crate::support::sandbox::{AUTHCTL, Running, Sandbox};
use crate::support::signed_in::{self, SignedIn};
use crate::support::{NOBODY, as_user, eventually, hand_to_nobody};

/// A user who is neither root nor [`NOBODY`].
const STRANGER: u32 = 64_999;

/// Asks for each path that it reads, by the base URL and by HTTPS_PROXY, and keeps what it is told.
const CURIOUS: &str = r#"
echo ready
while read -r path; do
  for url in "$AUTHCTL_PROXY_URL/$NAME/$path" ${FURTHER:+"$FURTHER/$path"}; do
    answer=$(curl -sS -i --max-time 30 -H "Authorization: Bearer $KEY" "$url" 2>&1)
    all="$all$answer"
    printf '%s\n' "$answer"
  done
  echo done
done
"#;

/// A command that does that, beside a proxy.
struct Curious {
    running: Running,
    told: usize,
}

impl Curious {
    fn start(sandbox: &Sandbox, handing: &str, name: &str, further: &str) -> Self {
        let script = format!("NAME={name} FURTHER={further}\n{CURIOUS}");
        let words = ["exec", "--proxy", "--with", handing, "--", "sh", "-c", &script];
        let mut command = sandbox.command(words);
        command.stdin(Stdio::piped());
        let curious = Self { running: sandbox.start(command), told: 0 };
        curious.wait("ready", 1);
        curious
    }

    fn wait(&self, word: &str, times: usize) {
        eventually(word, || {
            let text = self.running.stdout();
            (text.lines().filter(|line| *line == word).count() >= times).then_some(())
        });
    }

    fn ask(&mut self, path: &str) {
        let mut input = self.running.child.stdin.as_ref().unwrap();
        writeln!(input, "{path}").unwrap();
        self.told += 1;
        self.wait("done", self.told);
    }

    /// Looks for the secrets in all that the command has, can read, or has said.
    fn assert_free_of(&self, secrets: &[String], sandbox: &Sandbox) {
        let children = descendants(self.running.child.id());
        assert!(!children.is_empty());
        for secret in secrets {
            let needle = Needle::new(secret);
            for pid in &children {
                assert_eq!(needle.places_in(*pid), Vec::<String>::new(), "{secret}");
            }
            assert_eq!(needle.files_of(sandbox), Vec::<String>::new(), "{secret}");
            let said = self.running.stdout() + &self.running.stderr();
            assert!(!needle.is_in(said.as_bytes()), "{secret}: {said}");
        }
    }

    /// Ends it; what it and the proxy leave behind is looked through as well.
    fn end(mut self, secrets: &[String], sandbox: &Sandbox) {
        let bundle = variable(descendants(self.running.child.id())[0], "SSL_CERT_FILE").unwrap();
        assert!(fs::exists(&bundle).unwrap());
        drop(self.running.child.stdin.take());
        let output = self.running.finish();
        assert_eq!(output.code(), 0, "{output:?}");
        assert!(!fs::exists(&bundle).unwrap());
        assert!(fs::read_dir(sandbox.path("tmp")).unwrap().next().is_none(), "left behind");
        for secret in secrets {
            let needle = Needle::new(secret);
            assert_eq!(needle.files_of(sandbox), Vec::<String>::new(), "{secret}");
            assert!(!needle.is_in((output.stdout.clone() + &output.stderr).as_bytes()), "{secret}");
        }
    }
}

#[test]
fn the_command_never_has_the_key_not_even_from_a_server_that_repeats_it() {
    if !present(&["curl"]) {
        return;
    }
    let origin = Origin::start();
    origin.wants("authorization", &format!("Bearer {KEY}"));
    let secrets = [KEY.to_owned()];
    for is_stored in [false, true] {
        let mut sandbox = acme(&origin.url());
        if is_stored {
            sandbox.unset("AUTHCTL_ACME_TOKEN");
            let login = ["login", "acme", "--with-token"];
            sandbox.run_with_input(login, &format!("{KEY}\n")).success();
        }
        let mut curious = Curious::start(&sandbox, "acme=KEY", "acme", "");
        for path in ["head", "status/401", "x", "../..", "redirect?http://127.0.0.1:1/"] {
            curious.ask(path);
        }
        assert!(curious.running.stdout().contains(&"*".repeat(KEY.len())), "it was not repeated");
        curious.assert_free_of(&secrets, &sandbox);
        curious.end(&secrets, &sandbox);
    }
}

#[test]
fn the_command_never_has_a_token_neither_before_nor_after_a_refresh() {
    if !present(&["curl"]) {
        return;
    }
    let person = SignedIn::not_yet("", |_| {});
    let lives = person.server.introspection();
    let refused: Arc<Mutex<Vec<String>>> = Arc::default();
    let barred = Arc::clone(&refused);
    // It repeats what it was shown, wherever it can.
    let server = Server::start(move |request| {
        let shown = request.header("authorization").unwrap_or_default().to_owned();
        let token = shown.replace("Bearer ", "");
        if request.path == "/refuse" {
            let mut barred = barred.lock().unwrap();
            if barred.is_empty() {
                barred.push(token.clone());
            }
        }
        let status =
            if barred.lock().unwrap().contains(&token) || !lives(&token) { 401 } else { 200 };
        let body = format!("{shown}\n{token}");
        Answer::new(status, "text/plain", body).header("x-echo", &shown)
    });
    let base = format!("[provider.demo]\nbase_url = \"{}\"\n", server.origin());
    person.sandbox.write_config(&(base + &signed_in::config(&person.server, "")));
    signed_in::login(&person.sandbox, &[]).success();
    let mut curious = Curious::start(&person.sandbox, "demo=KEY", "demo", "");
    curious.ask("x");
    curious.assert_free_of(&person.server.secrets(), &person.sandbox);
    curious.ask("refuse");
    assert_eq!((person.refreshes(), refused.lock().unwrap().len()), (1, 1));
    curious.ask("x");
    let said = curious.running.stdout();
    assert_eq!(said.matches("HTTP/1.1 200").count(), 3, "{said}");
    curious.assert_free_of(&person.server.secrets(), &person.sandbox);
    curious.end(&person.server.secrets(), &person.sandbox);
}

#[test]
fn it_listens_on_loopback_alone_and_no_longer_than_it_runs() {
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    for is_command in [false, true] {
        let start = if is_command { Lending::exec } else { Lending::proxy };
        let lending = start(&sandbox, &["--with", "acme"]);
        let sockets: Vec<String> = fs::read_dir(format!("/proc/{}/fd", lending.pid()))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .filter_map(|link| {
                let text = link.to_string_lossy().into_owned();
                Some(text.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
            })
            .collect();
        let mut places = Vec::new();
        for table in ["tcp", "tcp6", "udp", "udp6"] {
            let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap();
            for line in text.lines().skip(1) {
                let words: Vec<&str> = line.split_whitespace().collect();
                if sockets.iter().any(|inode| words[9] == inode) {
                    places.push(format!("{table} {}", words[1]));
                }
            }
        }
        let port = format!("{:04X}", lending.port);
        let own = ["tcp 0100007F:", "tcp6 00000000000000000000000001000000:"];
        let own = own.map(|place| format!("{place}{port}"));
        assert!(!places.is_empty() && places.iter().all(|it| own.contains(it)), "{places:?}");
        let port = lending.port;
        lending.end();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

// ---------------------------------------------------------------------------------------------- users

/// Whether other users can be played; only root can.
fn has_other_users() -> bool {
    if !rustix::process::geteuid().is_root() {
        skipped("only root can be another user");
        return false;
    }
    present(&["setpriv"])
}

/// A command beside a proxy of a user who is not root, and waits for the end of its input.
fn of_nobody(sandbox: &Sandbox, script: &str) -> Running {
    let mut words = hand_to_nobody(sandbox);
    words.extend(
        [AUTHCTL, "exec", "--proxy", "--with", "acme", "--", "sh", "-c"].map(OsString::from),
    );
    words.push(script.into());
    let mut command = sandbox.program(&words[0]);
    command.args(&words[1..]).stdin(Stdio::piped());
    let running = sandbox.start(command);
    eventually("the command", || running.stdout().contains("ready\n").then_some(()));
    running
}

#[test]
fn the_command_cannot_look_into_the_proxy() {
    if !present(&["setpriv"]) {
        return;
    }
    let origin = Origin::start();
    let sandbox = acme(&origin.url());
    // Its own ways of looking work, and those into its parent do not.
    let script = r#"
        for file in environ maps auxv; do
            test -n "$(cat /proc/self/$file 2>/dev/null | tr -d '\0')" || echo "no way: $file"
            cat /proc/$PPID/$file 2>/dev/null | tr '\0' '\n'
        done
        dd if=/proc/$PPID/mem of=/dev/null bs=1 count=0 2>/dev/null && echo "open: mem"
        ls /proc/$PPID/fd 2>/dev/null && echo "open: fd"
        readlink /proc/$PPID/exe && echo "open: exe"
        echo ready
        exec cat
    "#;
    let mut running = of_nobody(&sandbox, script);
    assert_eq!(running.stdout(), "ready\n");
    drop(running.child.stdin.take());
    assert_eq!(running.finish().code(), 0);
}

#[test]
fn another_user_gets_nothing() {
    if !has_other_users() || !present(&["curl"]) {
        return;
    }
    let origin = Origin::start();
    origin.wants("authorization", &format!("Bearer {KEY}"));
    let sandbox = acme(&origin.url());
    let script = "umask 000; echo ready; exec cat";
    let mut running = of_nobody(&sandbox, script);
    let (proxy, child) = (running.child.id(), descendants(running.child.id())[0]);
    let owner = |pid: u32| fs::metadata(format!("/proc/{pid}")).unwrap().uid();
    assert_eq!(owner(child), NOBODY);
    let bundle = variable(child, "SSL_CERT_FILE").unwrap();
    let url = variable(child, "AUTHCTL_PROXY_URL").unwrap();
    // The ways to what it made are open, so that its own modes count.
    for open in ["", "tmp", "home"] {
        fs::set_permissions(sandbox.path(open), Permissions::from_mode(0o777)).unwrap();
    }
    let look = |uid: u32, script: &str| {
        let words = as_user(uid);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["sh", "-c", script]).current_dir("/");
        let output = command.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let bundle = fs::canonicalize(bundle).unwrap();
    let (bundle, directory) = (bundle.display(), bundle.parent().unwrap().display());
    let read = format!("cat {bundle}");
    assert!(look(NOBODY, &read).0, "its owner reads it");
    let mut ways = vec![read, format!("ls {directory}"), format!("touch {directory}/x")];
    ways.push(format!("mv {directory} {directory}.x"));
    for pid in [proxy, child] {
        for file in ["environ", "maps", "auxv", "io", "stack"] {
            ways.push(format!("cat /proc/{pid}/{file}"));
        }
        ways.push(format!("ls /proc/{pid}/fd"));
        ways.push(format!("readlink /proc/{pid}/exe"));
        ways.push(format!("dd if=/proc/{pid}/mem of=/dev/null bs=1 count=0"));
        ways.push(format!("kill -TERM {pid}"));
    }
    for way in &ways {
        // In a directory that is open to all (the test's own doing) a name can be changed, and nothing else.
        if way.starts_with("mv ") {
            continue;
        }
        assert_eq!(look(STRANGER, way), (false, String::new()), "{way}");
    }
    // The port is one of the machine's, not of a user's: what counts there is the key.
    let host = url.trim_start_matches("http://");
    for (arguments, status) in [
        (format!("{url}/acme/x"), "401"),
        (format!("-H 'Authorization: Bearer {KEY}' {url}/acme/x"), "401"),
        (format!("{url}/"), "401"),
        (format!("-x {url} http://{host}/acme/x"), "401"),
        (format!("-x {url} {}/x", origin.url()), "407"),
        (format!("-x {url} -p {}/x", origin.url()), "000"),
    ] {
        let script = format!("curl -s -o /dev/null -w '%{{http_code}}' --max-time 30 {arguments}");
        assert_eq!(look(STRANGER, &script).1, status, "{arguments}");
    }
    let port = host.rsplit(':').next().unwrap();
    let grab = format!(
        "python3 -c 'import socket; s = socket.socket(); \
         s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); s.bind((\"127.0.0.1\", {port})); s.listen()'"
    );
    assert!(!look(STRANGER, &grab).0, "the port was taken over");
    assert!(origin.seen().is_empty());
    drop(running.child.stdin.take());
    assert_eq!(running.finish().code(), 0);
}
