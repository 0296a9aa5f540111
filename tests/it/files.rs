//! Guarantees about files and other users of the machine.
//!
//! | id | promise | test |
//! |---|---|---|
//! | L4 | right modes under any umask, on a first run of a plain user | `a_first_run_makes_private_files_under_any_umask`, `no_directory_is_open_for_a_moment` |
//! | L4 | no symlink, hard link, FIFO or foreign file is followed, nothing is lost | `no_planted_trap_is_followed_and_nothing_is_lost`, `a_planted_lock_directory_in_the_shared_tmp_is_refused` |
//! | L5 | other users read nothing | `another_user_can_read_nothing` |
//! | L5 | other users neither take the callback port nor end or complete a sign-in | `another_user_can_neither_take_the_callback_port_nor_use_it` |

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::real_parts::{missing, present, skipped};
use crate::support::authorization_server::Endpoint;
use crate::support::browser;
use crate::support::flows::{Flows, callback, found};
use crate::support::sandbox::{Output, Sandbox};
use crate::support::{NOBODY, as_user, hand_to_nobody, is_long};

/// Whether other users can be played; only root can.
fn has_other_users() -> bool {
    if !rustix::process::geteuid().is_root() {
        skipped("only root can be another user");
        return false;
    }
    present(&["setpriv"])
}

/// A Python that other users may start too; one in somebody's home is none.
fn python_of_all() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = [PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")];
    let candidates = std::env::split_paths(&path).chain(system).map(|place| place.join("python3"));
    let starts = |python: &PathBuf| {
        let words = as_user(NOBODY);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(python).args(["-c", ""]).current_dir("/");
        command.output().is_ok_and(|output| output.status.success())
    };
    let found = candidates.into_iter().find(starts);
    if found.is_none() {
        missing("a python3 that other users may start");
    }
    found
}

// ---------------------------------------------------------------------------------------------- L4

#[test]
fn a_first_run_makes_private_files_under_any_umask() {
    if !present(&["setpriv"]) {
        return;
    }
    for umask in ["000", "022", "077", "777"] {
        let mut flows = Flows::new();
        // As root every mode would do.
        flows.wrapper = hand_to_nobody(&flows.sandbox);
        let set = format!("umask {umask}; exec \"$@\"");
        flows.wrapper.extend(["sh", "-c", &set, "sh"].map(Into::into));
        for account in ["piped", "piped:second"] {
            let login = flows.command(&["login", account, "--with-key"], &flows.key);
            assert!(login.output.status.success(), "{umask}: {login:?}");
        }
        flows.browse("web").output.success();
        flows.command(&["token", "web", "--refresh"], "").output.success();
        let shown = flows.command(&["token", "piped:second"], "").output.success();
        assert_eq!(shown.trim_end(), flows.key);
        let mut made = vec![flows.sandbox.path("home/.local"), flows.sandbox.path("locks")];
        let mut kinds = [0, 0];
        while let Some(place) = made.pop() {
            let metadata = fs::symlink_metadata(&place).unwrap();
            let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(metadata.mode() & 0o7777, expected, "{umask}: {}", place.display());
            kinds[usize::from(metadata.is_dir())] += 1;
            if metadata.is_dir() {
                made.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        assert!(kinds[0] >= 8 && kinds[1] >= 5, "{kinds:?}");
    }
}

#[test]
fn no_directory_is_open_for_a_moment() {
    if !present(&["strace"]) {
        return;
    }
    let mut flows = Flows::new();
    let log = flows.sandbox.path("strace");
    flows.wrapper = ["sh", "-c", "umask 000; exec \"$@\"", "sh", "strace", "-f", "-qq", "-A", "-e"]
        .map(Into::into)
        .into();
    flows.wrapper.extend(["trace=mkdir,mkdirat".into(), "-o".into(), log.clone().into()]);
    flows.command(&["login", "piped", "--with-key"], &flows.key).output.success();
    let calls = fs::read_to_string(log).unwrap();
    let made: Vec<&str> = calls.lines().filter(|call| call.ends_with(" = 0")).collect();
    assert!(made.len() >= 3, "{calls}");
    for call in made {
        assert!(call.contains(", 0700)"), "{call}");
    }
}

/// One kind of trap: plants it at the path of a file that is there; the original is at the second path.
type Trap = (&'static str, fn(&Path, &Path));

const TRAPS: [Trap; 7] = [
    ("a link to the original", |place, original| symlink(original, place).unwrap()),
    ("a link to a victim", |place, original| {
        fs::write(victim(original), VICTIM).unwrap();
        symlink(victim(original), place).unwrap();
    }),
    ("a link into nothing", |place, original| symlink(victim(original), place).unwrap()),
    ("a second name of the original", |place, original| fs::hard_link(original, place).unwrap()),
    ("a FIFO", |place, _| {
        let made = Command::new("mkfifo").arg(place).status().unwrap();
        assert!(made.success());
    }),
    ("a directory", |place, _| fs::create_dir(place).unwrap()),
    ("a file of another user", |place, original| {
        fs::copy(original, place).unwrap();
        chown(place, Some(NOBODY), Some(NOBODY)).unwrap();
    }),
];

const VICTIM: &str = "a victim's text";

fn victim(original: &Path) -> PathBuf {
    original.with_file_name("victim")
}

#[test]
fn no_planted_trap_is_followed_and_nothing_is_lost() {
    let with_others = has_other_users();
    let flows = Flows::new();
    flows.command(&["login", "piped", "--with-key"], &flows.key).output.success();
    // Every file that there is: configuration, store, its key, index, locks.
    let root = flows.sandbox.path("");
    let is_ours = |file: &PathBuf| {
        let inside = file.strip_prefix(&root).unwrap();
        ["home", "locks"].iter().any(|place| inside.starts_with(place))
    };
    let files: Vec<PathBuf> = flows.sandbox.files().into_iter().filter(is_ours).collect();
    println!("{files:?}");
    assert!(files.len() >= 6, "{files:?}");
    let original = flows.sandbox.path("tmp/original");
    let mut count = 0;
    for place in &files {
        for (what, plant) in TRAPS {
            if what.contains("another user") && !with_others {
                continue;
            }
            let is_config = place.ends_with("config.toml");
            // The configuration may be a link of its user, as managers of dotfiles make it.
            if is_config && (what.contains("link") || what.contains("name")) {
                continue;
            }
            let what = &format!("{what} at {}", place.display());
            fs::rename(place, &original).unwrap();
            plant(place, &original);
            let before = (fs::read(&original).unwrap(), fs::metadata(&original).unwrap().mode());
            let outputs = [
                flows.command(&["token", "piped"], "").output,
                flows.command(&["status"], "").output,
                flows.command(&["login", "piped", "--with-key"], "another-key").output,
                flows.command(&["logout", "piped"], "").output,
            ];
            assert_refused(&outputs, place, &flows, what);
            let after = (fs::read(&original).unwrap(), fs::metadata(&original).unwrap().mode());
            assert_eq!(before, after, "{what}");
            let victim = victim(&original);
            if what.contains("victim") {
                assert_eq!(fs::read_to_string(&victim).unwrap(), VICTIM, "{what}");
                fs::remove_file(&victim).unwrap();
            }
            assert!(!victim.exists(), "{what}: something was made where the link points");
            // Once the trap is gone, and a person signs in again where that was refused, all is well.
            put_back(place, &original);
            if !flows.command(&["token", "piped"], "").output.status.success() {
                flows.command(&["login", "piped", "--with-key"], &flows.key).output.success();
            }
            let token = flows.command(&["token", "piped"], "").output.success();
            assert!([&*flows.key, "another-key"].contains(&token.trim_end()), "{what}: {token}");
            flows.command(&["login", "piped", "--with-key"], &flows.key).output.success();
            count += 1;
        }
    }
    println!("{count} traps");
    assert!(count >= 16, "only {count} traps");
}

/// Each command either did without the file, or named it; none crashed.
#[track_caller]
fn assert_refused(outputs: &[Output; 4], place: &Path, flows: &Flows, what: &str) {
    let named = place.display().to_string();
    for output in outputs {
        assert!([0, 1, 2, 4].contains(&output.code()), "{what}: {output:?}");
        let says = output.stderr.contains(&named) || output.stdout.contains(&named);
        let is_fine = output.code() == 0 || output.code() == 4;
        assert!(says || is_fine, "{what}: {output:?}");
        assert_eq!(
            found(std::slice::from_ref(&flows.key), output.stderr.as_bytes()),
            [""; 0],
            "{what}"
        );
    }
    println!("{what}: {:?}", outputs.each_ref().map(|output| (output.code(), &output.stderr)));
}

fn put_back(place: &Path, original: &Path) {
    if place.is_dir() && !place.is_symlink() {
        fs::remove_dir_all(place).unwrap();
    } else {
        let _ = fs::remove_file(place);
    }
    fs::rename(original, place).unwrap();
}

/// The same for directories, whose parents are trusted.
const DIRECTORY_TRAPS: [Trap; 7] = [
    ("open to all", |place, _| make_directory(place, 0o777)),
    ("open to all, as /tmp is", |place, _| make_directory(place, 0o1777)),
    ("open to the group", |place, _| make_directory(place, 0o770)),
    ("a FIFO", |place, _| {
        let made = Command::new("mkfifo").arg(place).status().unwrap();
        assert!(made.success());
    }),
    ("a file", |place, _| fs::write(place, VICTIM).unwrap()),
    ("of another user", |place, _| {
        make_directory(place, 0o755);
        chown(place, Some(NOBODY), Some(NOBODY)).unwrap();
    }),
    ("a link to a directory of another user", |place, original| {
        let target = victim(original);
        make_directory(&target, 0o755);
        chown(&target, Some(NOBODY), Some(NOBODY)).unwrap();
        symlink(target, place).unwrap();
    }),
];

fn make_directory(place: &Path, mode: u32) {
    fs::create_dir(place).unwrap();
    fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn no_directory_that_others_control_is_written_to() {
    let with_others = has_other_users();
    let flows = Flows::new();
    flows.command(&["login", "piped", "--with-key"], &flows.key).output.success();
    let original = flows.sandbox.path("tmp/original");
    let mut count = 0;
    for place in ["share/authctl/store", "share/authctl/store/locks", "state/authctl/index/file"] {
        let place = flows.sandbox.path("home/.local").join(place);
        for (what, plant) in DIRECTORY_TRAPS {
            if what.contains("another user") && !with_others {
                continue;
            }
            let what = &format!("{} is {what}", place.display());
            fs::rename(&place, &original).unwrap();
            plant(&place, &original);
            let login = flows.command(&["login", "piped", "--with-key"], "another-key").output;
            println!("{what}: {} {}", login.code(), login.stderr);
            let named = login.stderr.contains(&place.display().to_string());
            assert!(named, "{what}: {login:?}");
            // The index alone is a copy that can be rebuilt: without it there is a warning.
            let is_index = place.ends_with("file");
            assert_eq!(login.code(), i32::from(!is_index), "{what}: {login:?}");
            let victim = victim(&original);
            for directory in [&place, &victim] {
                if directory.is_dir() {
                    assert_eq!(fs::read_dir(directory).unwrap().count(), 0, "{what}");
                }
            }
            if victim.exists() {
                fs::remove_dir(&victim).unwrap();
            }
            put_back(&place, &original);
            let token = flows.command(&["token", "piped"], "").output.success();
            let kept = if is_index { "another-key" } else { &flows.key };
            assert_eq!(token.trim_end(), kept, "{what}");
            flows.command(&["login", "piped", "--with-key"], &flows.key).output.success();
            count += 1;
        }
    }
    println!("{count} traps");
}

/// A user without a home, whose locks of the keychain are in the shared `/tmp`.
struct Homeless {
    sandbox: Sandbox,
    uid: u32,
    locks: PathBuf,
}

impl Homeless {
    fn new() -> Self {
        // No such user anywhere: the process id makes it another one for each run.
        let uid = 4_000_000 + std::process::id() % 1_000_000;
        let mut sandbox = Sandbox::new();
        sandbox.unset("AUTHCTL_LOCK_DIR").env("AUTHCTL_STORE", "keychain");
        sandbox.write_config("[provider.piped.api_key]\n");
        hand_to_nobody(&sandbox);
        let mut places: Vec<PathBuf> = sandbox.files();
        places.extend(
            ["", "home", "home/.config", "home/.config/authctl", "run", "tmp", "work"]
                .map(|p| sandbox.path(p)),
        );
        for place in places {
            chown(place, Some(uid), Some(uid)).unwrap();
        }
        Self { sandbox, uid, locks: format!("/tmp/authctl-{uid}").into() }
    }

    /// Asks for a lock of the keychain; there is none on the bus, but the lock comes first.
    fn log_in(&self) -> Output {
        let mut words = as_user(self.uid);
        words.extend(
            [crate::support::sandbox::AUTHCTL, "login", "piped", "--key-file", "key"]
                .map(Into::into),
        );
        fs::write(self.sandbox.path("work/key"), "a-key").unwrap();
        let mut command = self.sandbox.program(&words[0]);
        command.args(&words[1..]).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        self.sandbox.start(command).finish()
    }

    fn clear(&self) {
        if self.locks.is_dir() && !self.locks.is_symlink() {
            fs::remove_dir_all(&self.locks).unwrap();
        } else if self.locks.is_symlink() || self.locks.exists() {
            fs::remove_file(&self.locks).unwrap();
        }
    }
}

impl Drop for Homeless {
    fn drop(&mut self) {
        self.clear();
    }
}

#[test]
fn a_planted_lock_directory_in_the_shared_tmp_is_refused() {
    if !has_other_users() {
        return;
    }
    let homeless = Homeless::new();
    let locks = &homeless.locks;
    let original = homeless.sandbox.path("original");
    let own = |place: &Path| chown(place, Some(homeless.uid), Some(homeless.uid)).unwrap();
    let outcome = homeless.log_in();
    println!("nothing planted: {outcome:?}");
    assert!(!outcome.stderr.contains("does not follow"), "{outcome:?}");
    let made = fs::metadata(locks).unwrap();
    assert_eq!((made.mode() & 0o7777, made.uid()), (0o700, homeless.uid));
    for file in fs::read_dir(locks).unwrap() {
        let made = file.unwrap().metadata().unwrap();
        assert_eq!((made.mode() & 0o7777, made.uid()), (0o600, homeless.uid));
    }
    homeless.clear();
    for (what, plant) in DIRECTORY_TRAPS {
        plant(locks, &original);
        // What is about modes is this user's own; the rest belongs to somebody else.
        if what.starts_with("open") {
            own(locks);
        }
        let outcome = homeless.log_in();
        println!("{what}: {}", outcome.stderr);
        assert_eq!(outcome.code(), 1, "{what}: {outcome:?}");
        assert!(outcome.stderr.contains(&locks.display().to_string()), "{what}: {outcome:?}");
        if locks.is_dir() {
            assert_eq!(fs::read_dir(locks).unwrap().count(), 0, "{what}");
        }
        homeless.clear();
        let _ = fs::remove_dir(victim(&original));
    }
    // A link of somebody else to a directory of this user, and a planted lock in a good directory.
    fs::create_dir(&original).unwrap();
    own(&original);
    symlink(&original, locks).unwrap();
    let outcome = homeless.log_in();
    assert!(outcome.stderr.contains("belongs to another user"), "{outcome:?}");
    assert_eq!(fs::read_dir(&original).unwrap().count(), 0);
    homeless.clear();
    homeless.log_in();
    let lock = fs::read_dir(locks).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "").unwrap();
    let outcome = homeless.log_in();
    assert!(outcome.stderr.contains("belongs to another user"), "{outcome:?}");
}

// ---------------------------------------------------------------------------------------------- L5

#[test]
fn another_user_can_read_nothing() {
    if !has_other_users() {
        return;
    }
    let mut flows = Flows::new();
    flows.wrapper = ["sh", "-c", "umask 000; exec \"$@\"", "sh"].map(Into::into).into();
    flows.sign_in_everywhere();
    // The ways to what authctl made are open, so that its own modes count.
    for open in ["", "home"] {
        fs::set_permissions(flows.sandbox.path(open), Permissions::from_mode(0o777)).unwrap();
    }
    let mut words = as_user(NOBODY);
    words.extend(["find", "."].map(Into::into));
    words.extend(["(", "-readable", "-o", "-writable", ")", "-print"].map(Into::into));
    let open = |place: &str| {
        let mut find = flows.sandbox.program(&words[0]);
        let output =
            find.args(&words[1..]).current_dir(flows.sandbox.path(place)).output().unwrap();
        let found = String::from_utf8(output.stdout).unwrap();
        found.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // The configuration holds no secret, and is the test's: it shows that the look works.
    assert!(open("home").contains(&"./.config/authctl/config.toml".to_owned()));
    for place in ["home/.local", "locks"] {
        assert_eq!(open(place), [""; 0]);
    }
    // A process of another user: nothing but what everybody sees of everybody.
    let mut login = flows.start(&["login", "web"]);
    login.opened_url();
    let pid = login.child.id();
    for file in ["environ", "maps", "mem", "auxv", "fd", "io", "exe"] {
        let mut words = as_user(NOBODY);
        let script = format!(
            "cat /proc/{pid}/{file} || ls /proc/{pid}/{file}/ || readlink /proc/{pid}/{file}"
        );
        words.extend(["sh", "-c", &script].map(Into::into));
        let output = flows.sandbox.program(&words[0]).args(&words[1..]).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{file}: {output:?}");
    }
    login.child.kill().unwrap();
    login.child.wait().unwrap();
}

/// What another user tries while a sign-in waits at `PORT`: taking the port over, then forged callbacks.
const RIVAL: &str = r#"
import socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
taken = accepted = 0
for family, host in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET, "127.0.0.2"),
                     (socket.AF_INET6, "::1"), (socket.AF_INET6, "::"), (socket.AF_INET6, "::ffff:127.0.0.1")]:
    for options in [[], [socket.SO_REUSEADDR], [socket.SO_REUSEPORT], [socket.SO_REUSEADDR, socket.SO_REUSEPORT]]:
        rival = socket.socket(family)
        try:
            for option in options:
                rival.setsockopt(socket.SOL_SOCKET, option, 1)
            rival.bind((host, port))
            rival.listen()
            # 127.0.0.2 is another address: nobody is sent there.
            taken += host != "127.0.0.2"
        except OSError:
            pass
        rival.close()
targets = ["code=forged", "code=forged&state=%d", "code=forged&state=", "error=access_denied&state=forged-%d",
           "state=a&state=b&code=forged", "code=forged&state=%%00%d", "", "iss=http://evil.example&code=forged&state=x%d"]
for index in range(count):
    target = targets[index % len(targets)]
    target = target % index if "%" in target else target
    caller = socket.create_connection(("127.0.0.1", port))
    caller.sendall(f"GET /callback?{target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while chunk := caller.recv(65536):
        answer += chunk
    caller.close()
    accepted += not answer.startswith(b"HTTP/1.1 400")
print(f"taken {taken} accepted {accepted} of {count}")
"#;

#[test]
fn another_user_can_neither_take_the_callback_port_nor_use_it() {
    if !has_other_users() {
        return;
    }
    let Some(python) = python_of_all() else { return };
    let count = if is_long() { "10000" } else { "3000" };
    let flows = Flows::new();
    let mut login = flows.start(&["login", "web"]);
    let opened = login.opened_url();
    let port = callback(&opened, &[], "").port().unwrap().to_string();
    let rivals = thread::scope(|scope| {
        let rival = || {
            let mut words = as_user(NOBODY);
            words.push(python.clone().into());
            words.extend(["-c", RIVAL, &port, count].map(Into::into));
            let output =
                Command::new(&words[0]).args(&words[1..]).current_dir("/").output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        scope.spawn(rival).join().unwrap()
    });
    println!("{rivals}");
    assert_eq!(rivals.trim(), format!("taken 0 accepted 0 of {count}"));
    assert!(login.child.try_wait().unwrap().is_none(), "the sign-in has ended");
    assert_eq!(flows.server.requests(Endpoint::Token).len(), 0);
    browser::open(&opened);
    login.finish().success();
    assert_eq!(flows.server.requests(Endpoint::Token).len(), 1);
}

#[test]
fn a_port_that_another_user_has_first_is_noticed_before_a_browser_opens() {
    if !has_other_users() {
        return;
    }
    let Some(python) = python_of_all() else { return };
    let flows = Flows::new();
    let squat = "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n\
                 print(s.getsockname()[1], flush=True)\ninput()";
    let mut words = as_user(NOBODY);
    words.push(python.into());
    words.extend(["-c", squat].map(Into::into));
    let mut squatter = flows.sandbox.program(&words[0]);
    squatter.args(&words[1..]).current_dir("/").stdin(std::process::Stdio::piped());
    let mut squatter = flows.sandbox.start(squatter);
    let port: u16 =
        crate::support::eventually("the port", || squatter.stdout().trim().parse().ok());
    let config = format!(
        "[provider.web.oauth]\nissuer = \"{}\"\nclient_id = \"public\"\nauthentication = \"none\"\n\
         redirect = {{ port = {port} }}\n",
        flows.server.issuer()
    );
    flows.sandbox.write_config(&config);
    let output = flows.command(&["login", "web"], "").output;
    assert!(
        output.stderr.contains(&format!("port {port} is used by another program")),
        "{output:?}"
    );
    assert_eq!((output.code(), flows.sandbox.opened_urls()), (2, Vec::new()));
    drop(squatter.child.stdin.take());
    squatter.finish();
}
