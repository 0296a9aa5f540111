//! The keychain against a real Secret Service. Each test runs again in a process of its own, on a private
//! bus with a private home, and starts its own gnome-keyring there: nothing of the user's is touched.
//! The bus starts no services, so that without a daemon there is none. Packages (Debian):
//! gnome-keyring, dbus, libsecret-tools. Without them the tests say so and pass, but fail where `tests/run` promised them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend::CredentialStore;
use super::error::Error;
use super::fake::Person;
use super::key::Key;
use super::keychain::{Keychain, Patience};
use super::lock;
use crate::again;
use crate::credential::Name;
use crate::secret::Secret;

/// A session bus like any other, without services that it could start.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

// ------------------------------------------------------------------------------------- this process

#[test]
fn a_keychain_keeps_what_other_programs_can_see() {
    on_a_private_bus(a_keychain_keeps_what_other_programs_can_see, inside_unlocked);
}

#[test]
fn a_locked_keychain_is_locked_for_reads_and_writes() {
    on_a_private_bus(a_locked_keychain_is_locked_for_reads_and_writes, inside_locked);
}

#[test]
fn a_keychain_that_never_answers_ends_at_the_deadline_and_works_again() {
    on_a_private_bus(
        a_keychain_that_never_answers_ends_at_the_deadline_and_works_again,
        inside_frozen,
    );
}

#[test]
fn a_daemon_killed_and_replaced_between_two_calls_is_found_again() {
    on_a_private_bus(
        a_daemon_killed_and_replaced_between_two_calls_is_found_again,
        inside_replaced,
    );
}

#[test]
fn a_rival_item_is_ambiguous_and_untouched() {
    on_a_private_bus(a_rival_item_is_ambiguous_and_untouched, inside_rival);
}

#[test]
fn the_keychains_threads_leave_signals_to_the_main_thread() {
    on_a_private_bus(the_keychains_threads_leave_signals_to_the_main_thread, inside_masked);
}

#[test]
fn a_bus_without_a_keychain_is_unavailable() {
    on_a_private_bus(a_bus_without_a_keychain_is_unavailable, inside_no_daemon);
}

#[test]
fn no_bus_at_all_is_unavailable() {
    if again::role().is_some() {
        return inside_no_daemon();
    }
    let home = tempfile::tempdir().unwrap();
    let mut command = again::command(no_bus_at_all_is_unavailable, home.path());
    succeeds(make_private(&mut command, home.path()));
}

/// Starts `test` again on a bus of its own, where it comes to `inside`.
fn on_a_private_bus<T>(test: T, inside: fn()) {
    if again::role().is_some() {
        return inside();
    }
    if let Some(missing) = missing() {
        let required = std::env::var_os("AUTHCTL_TEST_PARTS").is_some_and(|it| it == "required");
        assert!(!required, "{missing} is not installed");
        let said = format!("skipped a test of the keychain: {missing} is not installed\n");
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("bus.conf");
    std::fs::write(&config, BUS).unwrap();
    let again = again::command(test, home.path());
    let mut command = Command::new("dbus-run-session");
    command.arg("--config-file").arg(config).arg("--");
    command.arg(again.get_program()).args(again.get_args());
    command.envs(again.get_envs().filter_map(|(name, value)| Some((name, value?))));
    succeeds(make_private(&mut command, home.path()));
}

/// The first package that is not there.
fn missing() -> Option<&'static str> {
    let parts = [
        ("gnome-keyring-daemon", "gnome-keyring"),
        ("dbus-run-session", "dbus"),
        ("dbus-send", "dbus"),
        ("secret-tool", "libsecret-tools"),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |program: &str| std::env::split_paths(&path).any(|d| d.join(program).exists());
    parts.into_iter().find(|(program, _)| !installed(program)).map(|(_, package)| package)
}

fn make_private<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    let run = home.join("run");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700)).unwrap();
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"] {
        command.env_remove(variable);
    }
    command
        .env("HOME", home)
        .env("XDG_DATA_HOME", home.join("data"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_RUNTIME_DIR", run)
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

// ------------------------------------------------------------------------------ the other processes

/// An unlocked gnome-keyring, killed when dropped.
struct Daemon(Child);

impl Daemon {
    fn start() -> Self {
        let mut child = Command::new("gnome-keyring-daemon")
            .args(["--foreground", "--unlock", "--components=secrets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"password").unwrap();
        let daemon = Self(child);
        let owned = ["/", "org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"];
        eventually(|| bus(&owned).contains("true"));
        daemon
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a call to the bus itself, or to the object of the keychain, answers.
fn bus(call: &[&str]) -> String {
    let service = if call[1].starts_with("org.freedesktop.DBus") {
        "--dest=org.freedesktop.DBus"
    } else {
        "--dest=org.freedesktop.secrets"
    };
    let output = Command::new("dbus-send")
        .args(["--session", "--print-reply", service])
        .args(call)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until something holds; a minute is enough on any machine.
fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "it never happened");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lock_the_keyring() {
    let answer = bus(&[
        "/org/freedesktop/secrets",
        "org.freedesktop.Secret.Service.Lock",
        "array:objpath:/org/freedesktop/secrets/aliases/default",
    ]);
    assert!(answer.contains("object path"), "{answer}");
}

fn secret_tool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("secret-tool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn name() -> Name {
    "github:work".parse().unwrap()
}

/// The home of this process, whose name is its role.
fn home() -> PathBuf {
    again::role().unwrap().into()
}

fn keychain() -> Keychain {
    Keychain::new(home().join("locks"), Person::absent())
}

fn load(keychain: &Keychain) -> Result<Option<String>, Error> {
    let loaded = keychain.load(&Key::Credential(&name()))?;
    Ok(loaded.map(|secret| secret.expose().to_owned()))
}

fn save(keychain: &Keychain, text: &str) -> Result<(), Error> {
    let name = name();
    let key = Key::Credential(&name);
    let guard = lock::acquire(keychain.locks().unwrap(), &key, Duration::from_mins(1)).unwrap();
    keychain.save(&guard, &key, &Secret::new(text))
}

fn delete(keychain: &Keychain) -> Result<bool, Error> {
    let name = name();
    let key = Key::Credential(&name);
    let guard = lock::acquire(keychain.locks().unwrap(), &key, Duration::from_mins(1)).unwrap();
    keychain.delete(&guard, &key)
}

fn inside_unlocked() {
    let _daemon = Daemon::start();
    // The keychain may be asked from within a runtime, too.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _within = runtime.enter();
    let keychain = keychain();
    assert_eq!(load(&keychain).unwrap(), None);
    save(&keychain, "hunter2").unwrap();
    assert_eq!(load(&keychain).unwrap().unwrap(), "hunter2");
    let key = ["lookup", "service", "authctl", "username", "credential/github:work"];
    assert_eq!(secret_tool(&key, ""), "hunter2");
    for length in [1, 1281, 2561, 65_536] {
        let text = "x".repeat(length);
        save(&keychain, &text).unwrap();
        assert_eq!(load(&keychain).unwrap().unwrap(), text);
    }
    assert!(delete(&keychain).unwrap());
    assert!(!delete(&keychain).unwrap());
    assert_eq!(load(&keychain).unwrap(), None);
}

fn inside_locked() {
    let _daemon = Daemon::start();
    let open = keychain();
    save(&open, "hunter2").unwrap();
    lock_the_keyring();
    for keychain in [open, keychain()] {
        assert!(matches!(load(&keychain), Err(Error::Locked)));
        assert!(matches!(save(&keychain, "another"), Err(Error::Locked)));
        assert!(matches!(delete(&keychain), Err(Error::Locked)));
    }
}

fn inside_frozen() {
    use nix::sys::signal::Signal;

    let daemon = Daemon::start();
    save(&keychain(), "hunter2").unwrap();
    // Less would not do for a new connection on a machine under load.
    let limit = Duration::from_secs(4);
    let patience = Patience { unattended: limit, attended: limit, announce: limit };
    let with_patience = || {
        let open = Arc::new(super::keychain::platform::open);
        let locks = home().join("locks");
        Keychain::with(open, None, patience, locks, Person::absent())
    };
    let open = with_patience();
    eventually(|| load(&open).is_ok());
    daemon.signal(Signal::SIGSTOP);
    // With a connection, and without one yet.
    for keychain in [&open, &with_patience()] {
        assert!(matches!(load(keychain), Err(Error::TimedOut { seconds: 4 })));
    }
    daemon.signal(Signal::SIGCONT);
    eventually(|| load(&open).is_ok());
    assert_eq!(load(&keychain()).unwrap().unwrap(), "hunter2");
}

/// The threads of this process and the signals that each of them blocks.
fn threads() -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let masks = tasks.map(|task| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        let blocked = u64::from_str_radix(field("SigBlk:"), 16).unwrap();
        (format!("{} {}", field("Pid:"), field("Name:")), blocked)
    });
    masks.collect()
}

fn inside_masked() {
    use nix::sys::signal::Signal;

    let _daemon = Daemon::start();
    let before = threads();
    let keychain = keychain();
    save(&keychain, "hunter2").unwrap();
    let mut started = threads();
    started.retain(|(thread, _)| before.iter().all(|(earlier, _)| earlier != thread));
    assert!(started.iter().any(|(thread, _)| thread.ends_with("keychain")), "{started:?}");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP] {
        for (thread, blocked) in &started {
            assert_ne!(blocked & 1 << (signal as i32 - 1), 0, "{thread} takes {signal}");
        }
    }
}

fn inside_replaced() {
    let daemon = Daemon::start();
    let keychain = keychain();
    save(&keychain, "hunter2").unwrap();
    drop(daemon);
    assert!(matches!(load(&keychain), Err(Error::Unavailable { .. })));
    let daemon = Daemon::start();
    assert_eq!(load(&keychain).unwrap().unwrap(), "hunter2");
    // Without a call in between: the connection is of a session that no longer exists.
    drop(daemon);
    let _daemon = Daemon::start();
    assert_eq!(load(&keychain).unwrap().unwrap(), "hunter2");
}

fn inside_rival() {
    let _daemon = Daemon::start();
    let keychain = keychain();
    save(&keychain, "hunter2").unwrap();
    let key = ["service", "authctl", "username", "credential/github:work"];
    let rival = [["store", "--label=rival"].as_slice(), &key, &["made", "elsewhere"]].concat();
    secret_tool(&rival, "of another program");
    for error in [
        load(&keychain).unwrap_err(),
        save(&keychain, "another").unwrap_err(),
        delete(&keychain).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Ambiguous { ref key } if key == "credential/github:work"));
    }
    let of_rival = [["lookup"].as_slice(), &key, &["made", "elsewhere"]].concat();
    assert_eq!(secret_tool(&of_rival, ""), "of another program");
}

fn inside_no_daemon() {
    let keychain = keychain();
    for _ in 0..2 {
        assert!(matches!(load(&keychain), Err(Error::Unavailable { .. })));
        assert!(matches!(save(&keychain, "hunter2"), Err(Error::Unavailable { .. })));
    }
}
