//! What is wrong around authctl: its configuration, the files it is pointed to, its streams, its home, its
//! arguments and variables. Each is a clear error with the right exit code; nothing is lost, no secret
//! is said, and nothing is a bug.
//!
//! Elsewhere: names of providers and unfit keys (`tests/cmd/refusals.trycmd`, login.rs), servers (login.rs,
//! hostile.rs), clocks (refresh.rs), full disks (persistence.rs), damaged records and keys (damage.rs),
//! locked keychains (keychain.rs), files and directories of other users (files.rs).

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::real_parts::{present, skipped};
use crate::support::browser;
use crate::support::demo::{self, Demo};
use crate::support::hand_to_nobody;
use crate::support::sandbox::{AUTHCTL, Output, Sandbox};

const KEY: &str = "gsk-0123456789-of-groq";

fn with_key() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["login", "groq", "--with-key"], KEY).success();
    sandbox
}

/// It failed with this code, said all of this, and neither broke nor told a secret.
#[track_caller]
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    assert_eq!((output.code(), &*output.stdout), (code, ""), "{output:?}");
    assert_no_bug(output);
    for word in words {
        assert!(output.stderr.contains(word), "no {word:?} in {output:?}");
    }
}

#[track_caller]
fn assert_no_bug(output: &Output) {
    for word in ["panicked", "bug in authctl", "RUST_BACKTRACE", KEY] {
        assert!(!output.stderr.contains(word), "{output:?}");
    }
}

#[track_caller]
fn assert_kept(sandbox: &Sandbox) {
    assert_eq!(sandbox.run(["token", "groq"]).success(), format!("{KEY}\n"));
}

/// A command whose stdout goes elsewhere.
fn run_into(mut command: Command, stdout: impl Into<Stdio>) -> Output {
    let child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A shell in the sandbox, for what only a shell can arrange; `authctl` is in `$AUTHCTL`.
fn shell(sandbox: &Sandbox, script: &str) -> Output {
    let mut shell = sandbox.program("sh");
    shell.args(["-c", script]).env("AUTHCTL", AUTHCTL);
    sandbox.start(shell).finish()
}

// ------------------------------------------------------------------------------- the configuration

fn write_config(sandbox: &Sandbox, bytes: &[u8]) -> PathBuf {
    sandbox.write_config("");
    let file = sandbox.path("home/.config/authctl/config.toml");
    fs::write(&file, bytes).unwrap();
    file
}

#[test]
fn a_malformed_configuration_is_told_by_file_line_and_key() {
    let sandbox = with_key();
    let utf16: Vec<u8> =
        "\u{feff}store = \"file\"\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &str); 16] = [
        (b"store = \"file\"\nwhat?\n", ":2: "),
        (b"store = \"file\n", ":1: "),
        (
            b"\xef\xbb\xbf\nstroe = \"file\"\n",
            ":2: stroe: unknown key `stroe`; did you mean `store`?",
        ),
        (
            b"store = \"file\"\r\n\r\n[provider.x.api_key]\r\nvariable = [\"X\"]\r\n",
            ":4: provider.x.api_key.variable: unknown key `variable`; did you mean `variables`?",
        ),
        (
            b"[provider.x.oauth]\nisuer = \"https://x.example\"\n",
            ":2: provider.x.oauth.isuer: unknown key `isuer`; did you mean `issuer`?",
        ),
        (b"colour = \"red\"\n", ":1: colour: unknown key `colour`, expected one of `store`, "),
        (b"store = \"file\"\nstore = \"keychain\"\n", ":2: store: duplicate key"),
        (b"[provider.x.bearer]\n[provider.x.bearer]\n", ":2: "),
        (b"store = \"flie\"\n", ":1: store: unknown value, expected `keychain` or `file`"),
        (b"store = 3\n", ":1: store: "),
        (b"passphrase = \"gsk-0123456789-of-groq\"\n", ":1: passphrase: invalid type: string"),
        (b"[provider.x.api_key]\nvariables = \"X\"\n", ":2: provider.x.api_key.variables: "),
        (b"[provider.\"X y\".api_key]\n", ":1: "),
        (b"# gr\xfc\xdfe\nstore = \"file\"\n", ":1: is not UTF-8 text"),
        (b"store = \"file\"\n[provider.x]\ntitle = \"\xff\"\n", ":3: is not UTF-8 text"),
        (&utf16, ":1: is not UTF-8 text"),
    ];
    for (text, words) in cases {
        let file = write_config(&sandbox, text);
        let place = format!("error: {}{words}", file.display());
        for (command, code) in [
            (&["status"][..], 2),
            (&["token", "groq"], 2),
            (&["login", "groq", "--with-key"], 2),
            (&["logout", "groq"], 2),
            (&["provider", "list"], 2),
            (&["exec", "--with", "groq", "--", "touch", "started"], 125),
        ] {
            assert_refused(&sandbox.run_with_input(command, "gsk-new"), code, &[&place]);
        }
        assert_eq!(fs::read(&file).unwrap(), text);
    }
    assert!(!sandbox.path("work/started").exists());
    write_config(&sandbox, b"");
    assert_kept(&sandbox);
}

#[test]
fn a_configuration_from_another_editor_is_read() {
    let sandbox = with_key();
    let text = "\u{feff}# grüße\r\n[provider.x.api_key]\r\nvariables = [\"X_KEY\"]\r\n";
    write_config(&sandbox, text.as_bytes());
    let shown = sandbox.run(["provider", "show", "x"]).success();
    assert!(shown.contains("config.toml:2\n") && shown.contains("X_KEY\n"), "{shown}");
    write_config(&sandbox, b"");
    assert_kept(&sandbox);
}

#[test]
fn what_stands_in_the_configurations_place_is_named() {
    let sandbox = with_key();
    let file = write_config(&sandbox, b"");
    let place = file.to_str().unwrap();
    let plants: [(&dyn Fn(), &str); 4] = [
        (&|| fs::create_dir(&file).unwrap(), "is not a regular file"),
        (&|| fs::write(&file, vec![b'#'; 2 << 20]).unwrap(), "is larger than 1048576 bytes"),
        (&|| symlink(&file, &file).unwrap(), "is a link to links without end"),
        (&|| symlink("nowhere", &file).unwrap(), "nowhere: No such file or directory"),
    ];
    for (plant, words) in plants {
        fs::remove_file(&file).or_else(|_| fs::remove_dir(&file)).unwrap();
        plant();
        let directory = Path::new(place).parent().unwrap().to_str().unwrap();
        assert_refused(&sandbox.run(["token", "groq"]), 2, &[directory, words]);
    }
    fs::remove_file(&file).unwrap();
    assert_kept(&sandbox);
}

// --------------------------------------------------------------------------------- a file with a key

#[test]
fn a_key_file_that_cannot_be_used_is_named_and_nothing_is_stored() {
    let sandbox = with_key();
    let work = sandbox.path("work");
    fs::create_dir(work.join("directory")).unwrap();
    symlink("loop", work.join("loop")).unwrap();
    for (file, words) in [
        ("missing", "cannot read the key from missing: No such file or directory"),
        ("no/such/place", "cannot read the key from no/such/place: No such file or directory"),
        ("directory", "cannot read the key from directory: Is a directory"),
        ("loop", "cannot read the key from loop: Too many levels of symbolic links"),
    ] {
        let login = sandbox.run(["login", "groq", "--key-file", file]);
        assert_refused(&login, 2, &[words, "hint: authctl login groq --key-file FILE"]);
    }
    let long = "x".repeat(65_537);
    let cases: [(&[u8], &str); 8] = [
        (b"", "it is empty"),
        (b"\xef\xbb\xbf\r\n", "it is empty"),
        (b" gsk-1", "a blank at position 1"),
        (b"gsk-1\ngsk-2\n", "a line break or another control character at position 6"),
        (b"gsk\0-1", "a line break or another control character at position 4"),
        (b"\xff\xfeg\0s\0k\0", "a character outside ASCII at position 1"),
        (b"gsk-\xfc", "a character outside ASCII at position 5"),
        (long.as_bytes(), "it is longer than 65536 bytes"),
    ];
    for (contents, words) in cases {
        fs::write(work.join("key"), contents).unwrap();
        let login = sandbox.run(["login", "groq", "--key-file", "key"]);
        assert_refused(&login, 2, &["cannot sign in to groq: the key cannot be used: ", words]);
    }
    let endless = sandbox.run(["login", "groq", "--key-file", "/dev/zero"]);
    assert_refused(&endless, 2, &["it is longer than 65536 bytes"]);
    assert_kept(&sandbox);
}

#[test]
fn a_key_file_of_any_editor_is_read() {
    let sandbox = Sandbox::new();
    for contents in ["gsk-1", "gsk-1\n", "gsk-1\r\n", "\u{feff}gsk-1", "\u{feff}gsk-1\r\n"] {
        fs::write(sandbox.path("work/key"), contents).unwrap();
        sandbox.run(["login", "groq", "--key-file", "key"]).success();
        assert_eq!(sandbox.run(["token", "groq"]).success(), "gsk-1\n", "{contents:?}");
        sandbox.run(["logout", "groq"]).success();
    }
    sandbox.run_with_input(["login", "groq", "--key-file", "-"], "gsk-2\n").success();
    assert_eq!(sandbox.run(["token", "groq"]).success(), "gsk-2\n");
}

// ------------------------------------------------------------------------------------------ streams

#[test]
fn output_that_cannot_be_written_is_a_failure_and_costs_nothing() {
    let sandbox = with_key();
    for arguments in [
        &["token", "groq"][..],
        &["token", "groq", "--header"],
        &["token", "groq", "--json"],
        &["status"],
        &["status", "--json"],
        &["provider", "list"],
        &["provider", "show", "groq"],
        &["generate", "schema"],
        &["generate", "completions", "--shell", "bash"],
        &["--help"],
        &["--version"],
        &["exec", "--help"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = run_into(sandbox.command(arguments), full);
        assert_refused(&output, 1, &["cannot write the output: No space left on device"]);
    }
    assert_kept(&sandbox);
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let sandbox = with_key();
    for arguments in [&["token", "groq"][..], &["status"], &["provider", "list"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run_into(sandbox.command(arguments), writer);
        assert_eq!((output.code(), &*output.stderr), (0, ""), "{arguments:?}");
    }
}

/// The next file that is opened would otherwise be stdout: a secret must not be written into it.
#[test]
fn closed_streams_write_a_secret_nowhere() {
    let sandbox = with_key();
    let contents = |file: &PathBuf| (file.clone(), fs::read(file).unwrap());
    // The audit log grows, as it should.
    let is_log = |file: &PathBuf| file.ends_with("audit.jsonl");
    let all = || -> Vec<_> {
        sandbox.files().iter().filter(|file| !is_log(file)).map(contents).collect()
    };
    let before = all();
    for streams in [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        for arguments in ["token groq", "token groq --refresh", "status", "provider list"] {
            let output = shell(&sandbox, &format!("$AUTHCTL {arguments} {streams}"));
            assert!(output.code() <= 1, "{output:?}");
            assert_no_bug(&output);
        }
        let failing = shell(&sandbox, &format!("$AUTHCTL token groq:none {streams}"));
        assert_eq!(failing.code(), 4, "{failing:?}");
    }
    assert!(before == all(), "a file was changed");
    let log = sandbox.files().into_iter().find(is_log).unwrap();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.lines().all(|line| line.starts_with('{')) && !log.contains(KEY), "{log}");
}

#[test]
fn an_error_that_cannot_be_told_keeps_its_exit_code() {
    let sandbox = with_key();
    for (arguments, code) in [("token groq:none", 4), ("token gorq", 2), ("--no-such-flag", 2)] {
        for stream in ["2>/dev/full", "2>&-"] {
            let output = shell(&sandbox, &format!("$AUTHCTL {arguments} {stream}"));
            assert_eq!((output.code(), &*output.stdout), (code, ""), "{arguments} {stream}");
        }
    }
}

#[test]
fn a_stdin_without_a_key_is_said_and_stores_nothing() {
    let sandbox = with_key();
    let login = "$AUTHCTL login groq --with-key";
    for (stream, code, words) in [
        ("<&-", 2, "nothing was piped in"),
        ("</dev/null", 2, "nothing was piped in"),
        ("<.", 1, "cannot read the key from standard input: Is a directory"),
    ] {
        assert_refused(&shell(&sandbox, &format!("{login} {stream}")), code, &[words]);
    }
    assert_kept(&sandbox);
}

// ---------------------------------------------------------------------------- browsers and ports

#[test]
fn without_a_browser_the_url_is_shown_and_the_login_goes_on() {
    let mut demo = Demo::new();
    let nothing = demo.sandbox.path("tmp");
    demo.sandbox.env("PATH", nothing).env("BROWSER", "no-such-browser");
    let mut running = demo.sandbox.start(demo.sandbox.command(["login", "demo"]));
    let url = running.wait_for("the URL", |line| {
        line.trim().starts_with("http").then(|| line.trim().to_owned())
    });
    running.wait_for("what happened", |line| {
        line.contains("No browser could be started here").then_some(())
    });
    browser::open(&url);
    running.finish().success();
    assert!(demo.server.accepts(demo.token(&[]).success().trim()));
}

#[test]
fn a_port_that_is_taken_is_said_before_a_browser_opens() {
    let demo = Demo::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let keys = format!("client = \"register\"\nredirect = {{ port = {port} }}");
    demo.sandbox.write_config(&demo::config(&demo.server, &keys));
    let login = demo.sandbox.run(["login", "demo"]);
    let words = [&*format!("port {port} is used by another program"), "hint: authctl login demo"];
    assert_refused(&login, 2, &words);
    assert!(demo.sandbox.opened_urls().is_empty());
    drop(taken);
    demo.login(&["demo"]).success();
}

// ---------------------------------------------------------------------------- homes and directories

/// Somebody whom modes bind; root they do not.
struct Plain {
    sandbox: Sandbox,
    wrapper: Vec<OsString>,
}

impl Plain {
    fn new() -> Option<Self> {
        if !present(&["setpriv"]) {
            return None;
        }
        let sandbox = with_key();
        fs::write(sandbox.path("work/key"), "gsk-new").unwrap();
        let wrapper = hand_to_nobody(&sandbox);
        Some(Self { sandbox, wrapper })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let words: Vec<OsString> = self.wrapper.iter().cloned().chain([AUTHCTL.into()]).collect();
        let mut command = self.sandbox.program(&words[0]);
        command.args(&words[1..]).args(arguments);
        self.sandbox.start(command).finish()
    }

    fn set_mode(&self, place: &str, mode: u32) {
        fs::set_permissions(self.sandbox.path(place), Permissions::from_mode(mode)).unwrap();
    }

    #[track_caller]
    fn assert_kept(&self) {
        assert_eq!(self.run(&["token", "groq"]).success(), format!("{KEY}\n"));
    }
}

const STORE: &str = "home/.local/share/authctl/store";

#[test]
fn a_file_that_may_not_be_read_is_named_and_kept() {
    let Some(plain) = Plain::new() else { return };
    let record = format!("{STORE}/credential~groq~default.sealed");
    let key = format!("{STORE}/key");
    for place in [&*record, &key, STORE] {
        let mode = fs::metadata(plain.sandbox.path(place)).unwrap().permissions().mode();
        plain.set_mode(place, 0);
        let name = plain.sandbox.path(place).display().to_string();
        let words = ["cannot ", &name, "Permission denied"];
        assert_refused(&plain.run(&["token", "groq"]), 1, &words);
        assert_refused(
            &plain.run(&["exec", "--with", "groq", "--", "touch", "started"]),
            125,
            &words,
        );
        let status = plain.run(&["status"]).success();
        assert!(status.contains("groq"), "status reads the index alone: {status}");
        plain.set_mode(place, mode);
        plain.assert_kept();
    }
    assert!(!plain.sandbox.path("work/started").exists());

    plain.set_mode("work/key", 0);
    let login = plain.run(&["login", "groq", "--key-file", "key"]);
    assert_refused(&login, 2, &["cannot read the key from key: Permission denied"]);

    let config = "home/.config/authctl";
    fs::create_dir_all(plain.sandbox.path(config)).unwrap();
    plain.set_mode(config, 0);
    let words = ["cannot look at", "config.toml: Permission denied"];
    assert_refused(&plain.run(&["token", "groq"]), 2, &words);
    plain.set_mode(config, 0o755);
    plain.assert_kept();
}

#[test]
fn an_index_that_may_not_be_read_costs_no_token() {
    let Some(plain) = Plain::new() else { return };
    let index = "home/.local/state/authctl/index/file";
    let entry = format!("{index}/credential~groq~default.json");
    for (place, mode) in [(&*entry, 0o600), (index, 0o700), ("home/.local/state/authctl", 0o700)] {
        plain.set_mode(place, 0);
        plain.assert_kept();
        let status = plain.run(&["status"]);
        let said = format!("{}{}", status.stdout, status.stderr);
        assert!(status.code() == 1 && said.contains(index), "{status:?}");
        assert_no_bug(&status);
        plain.set_mode(place, mode);
    }
    plain.run(&["status"]).success();
}

fn set_writable(place: &Path, writable: bool) {
    let metadata = fs::symlink_metadata(place).unwrap();
    let mode = metadata.permissions().mode();
    let mode = if writable { mode | 0o200 } else { mode & !0o222 };
    fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
    if metadata.is_dir() {
        for entry in fs::read_dir(place).unwrap() {
            set_writable(&entry.unwrap().path(), writable);
        }
    }
}

#[test]
fn in_a_home_that_is_read_only_what_is_there_is_handed_out_and_stays() {
    let Some(plain) = Plain::new() else { return };
    set_writable(&plain.sandbox.path("home"), false);
    plain.assert_kept();
    plain.run(&["status"]).success();
    plain.run(&["-q", "exec", "--with", "groq", "--", "true"]).success();
    for command in [
        &["login", "groq", "--key-file", "key"][..],
        &["login", "groq:new", "--key-file", "key"],
        &["logout", "groq"],
        &["logout", "--all"],
    ] {
        assert_refused(&plain.run(command), 1, &["cannot ", "/store/", "Permission denied"]);
    }
    plain.assert_kept();
    set_writable(&plain.sandbox.path("home"), true);
    plain.run(&["login", "groq", "--key-file", "key"]).success();
}

/// Whoever runs a container may have neither HOME nor an entry in the password database.
#[test]
fn without_a_home_authctl_says_which_variables_to_set() {
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can be a user whom the password database does not know");
    }
    if !present(&["setpriv"]) {
        return;
    }
    let sandbox = Sandbox::new();
    hand_to_nobody(&sandbox);
    fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o777)).unwrap();
    let run = |variables: &[(&str, PathBuf)], arguments: &[&str]| {
        let mut command = sandbox.program("setpriv");
        command.args(["--reuid", "64999", "--regid", "64999", "--clear-groups", AUTHCTL]);
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        let variables = variables.iter().map(|(name, value)| (*name, value));
        command.args(arguments).envs(variables).current_dir("/");
        sandbox.start(command).finish()
    };
    let words =
        ["there is no home directory; set HOME, or AUTHCTL_CONFIG_DIR, AUTHCTL_DATA_DIR and"];
    for variables in [&[][..], &[("HOME", PathBuf::new())]] {
        assert_refused(&run(variables, &["status"]), 2, &words);
        assert_refused(&run(variables, &["token", "groq"]), 2, &words);
        assert_refused(&run(variables, &["exec", "--with", "groq", "--", "true"]), 125, &words);
    }
    // What the advice names is enough.
    let ours = ["AUTHCTL_CONFIG_DIR", "AUTHCTL_DATA_DIR", "AUTHCTL_STATE_DIR"]
        .map(|name| (name, sandbox.path("nowhere")));
    run(&ours, &["status"]).success();
    let below_a_file = [("HOME", PathBuf::from("/dev/null"))];
    assert_refused(
        &run(&below_a_file, &["status"]),
        2,
        &["/dev/null/.config/authctl", "Not a dir"],
    );
}

#[test]
fn a_working_directory_that_is_gone_matters_only_where_it_is_asked_for() {
    let sandbox = with_key();
    let gone = |command: &str| {
        shell(&sandbox, &format!("mkdir ../gone && cd ../gone && rmdir ../gone && {command}"))
    };
    assert_eq!(gone("$AUTHCTL token groq").success(), format!("{KEY}\n"));
    gone("$AUTHCTL status").success();
    assert_eq!(gone("$AUTHCTL -q exec --with groq -- echo ran").success(), "ran\n");
    let words = ["cannot tell the working directory: No such file or directory"];
    assert_refused(&gone("$AUTHCTL exec -- true"), 125, &words);
    let words = ["cannot read the key from key: No such file or directory"];
    assert_refused(&gone("$AUTHCTL login groq --key-file key"), 2, &words);
    assert_kept(&sandbox);
}

// --------------------------------------------------------------------------- arguments and variables

/// A byte that is no text in UTF-8.
fn no_text() -> OsString {
    OsString::from_vec(b"a\xffb".into())
}

#[test]
fn an_argument_that_is_no_text_is_refused_where_a_name_is_wanted() {
    let sandbox = with_key();
    let odd = no_text();
    for (before, code) in [
        (&["token"][..], 2),
        (&["status"], 2),
        (&["logout"], 2),
        (&["login"], 2),
        (&["token", "groq", "--account"], 2),
        (&["provider", "show"], 2),
        (&["exec", "--with"], 125),
        (&["exec", "--env-header"], 125),
    ] {
        let mut command = sandbox.command(before);
        command.arg(&odd);
        if before[0] == "exec" {
            command.args(["--", "true"]);
        }
        let output = sandbox.start(command).finish();
        assert_refused(&output, code, &["error: invalid UTF-8"]);
    }
    let mut command = sandbox.command(["login", "groq", "--key-file"]);
    command.arg(&odd);
    let words = ["cannot read the key from a\u{fffd}b: No such file or directory"];
    assert_refused(&sandbox.start(command).finish(), 2, &words);
    // The command's own arguments are its own.
    let mut command = sandbox.command(["-q", "exec", "--with", "groq", "--", "printf", "%s"]);
    command.arg(&odd);
    let command = run_into(command, File::create(sandbox.path("tmp/said")).unwrap());
    assert_eq!(command.code(), 0, "{command:?}");
    assert_eq!(fs::read(sandbox.path("tmp/said")).unwrap(), b"a\xffb");
}

#[test]
fn an_argument_with_controls_is_repeated_without_them() {
    let sandbox = with_key();
    for arguments in [
        &["login", "groq", "--key-file", "\u{1b}[31mred\u{7}\u{202e}"][..],
        &["exec", "--with", "groq", "--", "\u{1b}[31mred\u{7}\u{202e}"],
        &["exec", "--env-header", "\u{1b}[31mred\u{7}\u{202e}", "--", "true"],
        &["generate", "man", "/dev/null/\u{1b}[31mred\u{7}\u{202e}"],
    ] {
        let said = sandbox.run(arguments).stderr;
        assert!(said.contains("[31mred"), "{said:?}");
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said:?}");
    }
}

#[test]
fn an_enormous_argument_is_refused_in_a_few_lines() {
    let sandbox = with_key();
    let huge = "x".repeat(100_000);
    for (arguments, code) in [
        (&["token", &huge][..], 2),
        (&["status", &huge], 2),
        (&["logout", &huge], 2),
        (&["login", &huge, "--with-key"], 2),
        (&["provider", "show", &huge], 2),
        (&["token", "groq", "--account", &huge], 2),
        (&["login", "groq", "--key-file", &huge], 2),
        (&["exec", "--with", &huge, "--", "true"], 125),
        (&["exec", "--env-header", &huge, "--", "true"], 125),
        (&["-q", "exec", "--with", "groq", "--", &huge], 127),
        (&["status", "groq", &huge], 2),
        (&[&huge], 2),
    ] {
        let output = sandbox.run(arguments);
        assert_refused(&output, code, &["error: "]);
        assert!(output.stderr.len() < 2_000, "{} bytes", output.stderr.len());
    }
    assert_kept(&sandbox);
}

#[test]
fn a_key_on_the_command_line_is_not_repeated_and_the_way_is_shown() {
    let sandbox = with_key();
    let with_key = format!("--with-key={KEY}");
    for arguments in [
        &["login", "groq", KEY][..],
        &["login", "groq", "--with-key", KEY],
        &["login", "groq", &with_key],
    ] {
        for flags in [&[][..], &["--json"]] {
            let output = sandbox.run([flags, arguments].concat());
            assert_refused(&output, 2, &["no place on a command line", "--with-key"]);
        }
    }
    assert_kept(&sandbox);
}

#[test]
fn an_error_of_the_command_line_is_json_where_that_was_asked_for() {
    let sandbox = with_key();
    for arguments in
        [&["bogus", "--json"][..], &["--json", "bogus"], &["token", "--bogus", "--json"]]
    {
        let output = sandbox.run(arguments);
        assert_eq!(output.code(), 2, "{output:?}");
        let error: serde_json::Value = serde_json::from_str(&output.stderr).unwrap();
        assert_eq!(error["error"]["kind"], "usage");
    }
    let plain = sandbox.run(["exec", "bogus", "--", "x", "--json"]);
    assert!(plain.stderr.starts_with("error: "), "{plain:?}");
}

#[test]
fn logout_of_what_nobody_knows_offers_the_nearest_and_all_takes_no_account() {
    let sandbox = with_key();
    assert_refused(&sandbox.run(["logout", "groqq"]), 2, &["groqq", "groq"]);
    let both = sandbox.run(["logout", "--all", "--account", "work"]);
    assert_refused(&both, 2, &["--account completes a name"]);
    assert_kept(&sandbox);
}

#[test]
fn a_variable_that_is_no_text_is_not_taken_for_one_that_is_missing() {
    for (variable, words) in [
        ("AUTHCTL_ACCOUNT", "AUTHCTL_ACCOUNT is \"a\u{fffd}b\"; it can be an account"),
        ("AUTHCTL_STORE", "AUTHCTL_STORE is \"a\u{fffd}b\"; it can be keychain or file"),
        ("AUTHCTL_CONFIG_DIR", "AUTHCTL_CONFIG_DIR is a\u{fffd}b, which is not an absolute path"),
        ("AUTHCTL_DATA_DIR", "AUTHCTL_DATA_DIR is a\u{fffd}b, which is not an absolute path"),
        ("AUTHCTL_STATE_DIR", "AUTHCTL_STATE_DIR is a\u{fffd}b, which is not an absolute path"),
        ("AUTHCTL_GROQ_TOKEN", "AUTHCTL_GROQ_TOKEN cannot be a credential: it has a character"),
    ] {
        let mut sandbox = with_key();
        sandbox.env(variable, no_text());
        assert_refused(&sandbox.run(["token", "groq"]), 2, &[words]);
        let exec = sandbox.run(["exec", "--with", "groq", "--", "touch", "started"]);
        assert_refused(&exec, 125, &[words]);
        assert!(!sandbox.path("work/started").exists());
        sandbox.unset(variable);
        sandbox.env("AUTHCTL_STORE", "file");
        assert_kept(&sandbox);
    }
}

#[test]
fn variables_of_others_that_are_no_text_change_nothing() {
    let mut sandbox = with_key();
    for variable in ["LANG", "TERM", "BROWSER", "HTTPS_PROXY", "SSL_CERT_FILE", "TMPDIR", "OTHER"] {
        sandbox.env(variable, no_text());
    }
    sandbox.env("AUTHCTL_INJECTED", no_text()).env("AUTHCTL_PASSPHRASE_FILE", no_text());
    assert_kept(&sandbox);
    sandbox.run(["status"]).success();
    let mut exec = sandbox.command(["-q", "exec", "--with", "groq", "--", "sh", "-c"]);
    exec.arg("printf %s \"$OTHER\"");
    let exec = run_into(exec, File::create(sandbox.path("work/other")).unwrap());
    assert_eq!(exec.code(), 0, "{exec:?}");
    assert_eq!(fs::read(sandbox.path("work/other")).unwrap(), b"a\xffb");
}

/// Set is set, whatever it is set to.
#[test]
fn marks_that_are_no_text_are_marks_all_the_same() {
    let mut sandbox = with_key();
    sandbox.env("CI", no_text()).env("GROQ_API_KEY", "gsk-of-the-ci");
    assert_eq!(sandbox.run(["token", "groq"]).success(), "gsk-of-the-ci\n");
    sandbox.env("CLAUDECODE", no_text());
    assert_refused(&sandbox.run(["token", "groq"]), 1, &["may not be printed to agents"]);
}
