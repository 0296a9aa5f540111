//! Guarantees about processes: who sees a secret in arguments, environments and memory, and what is
//! started at all.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S3 | never in argv; in an environment only of the child it was meant for | `secrets_are_in_no_arguments_and_only_in_the_environment_of_their_child`, `a_child_gets_exactly_its_environment` |
//! | S7 | a process that holds secrets is not dumpable and leaves no core | `nobody_of_the_same_user_looks_into_a_waiting_authctl`, `an_abort_leaves_no_core`, `a_child_may_be_dumped_again` |
//! | I1 | only http(s) URLs are opened, as one argument, without a shell | `an_odd_url_is_opened_as_one_argument_without_a_shell`, `what_is_no_web_address_is_never_opened` |

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::real_parts::present;
use crate::support::authorization_server::{Endpoint, Fault};
use crate::support::browser;
use crate::support::flows::{Flows, callback, found, random};
use crate::support::sandbox::{AUTHCTL, Running, Sandbox};
use crate::support::{eventually, hand_to_nobody};

// ---------------------------------------------------------------------------------------------- S3

/// One `execve` that succeeded.
#[derive(Debug)]
struct Started {
    program: String,
    arguments: Vec<String>,
    environment: Vec<String>,
}

/// Reads a log of `strace -v -x -s 99999 -e trace=execve`.
fn started(log: &Path) -> Vec<Started> {
    let text = std::fs::read_to_string(log).unwrap();
    let calls = text.lines().filter(|line| line.contains("execve(") && line.ends_with(" = 0"));
    calls
        .map(|call| {
            let lists: Vec<&str> = call.split('[').collect();
            assert_eq!(lists.len(), 3, "{call}");
            Started {
                program: texts(lists[0]).remove(0),
                arguments: texts(lists[1]),
                environment: texts(lists[2]),
            }
        })
        .collect()
}

/// The texts in quotes. Those of the tests have no quote and no bracket in them.
fn texts(list: &str) -> Vec<String> {
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn traced(flows: &mut Flows) -> std::path::PathBuf {
    let log = flows.sandbox.path("strace");
    flows.wrapper = ["strace", "-f", "-qq", "-v", "-A", "-s", "99999", "-e", "trace=execve", "-o"]
        .map(Into::into)
        .into();
    flows.wrapper.push(log.clone().into());
    log
}

#[test]
fn secrets_are_in_no_arguments_and_only_in_the_environment_of_their_child() {
    if !present(&["strace"]) {
        return;
    }
    let mut flows = Flows::new();
    let log = traced(&mut flows);
    flows.run();
    flows.sign_in_everywhere();
    let secrets = flows.secrets();
    let all = started(&log);
    let (mut opened, mut handed) = (0, 0);
    for Started { program, arguments, environment } in &all {
        assert_eq!(found(&secrets, arguments.join("\n").as_bytes()), [""; 0], "{arguments:?}");
        let shown = found(&secrets, environment.join("\n").as_bytes());
        // Of all that was started only `env` of the two execs was to get any.
        if program.ends_with("/env") {
            handed += shown.len();
        } else {
            assert_eq!(shown, [""; 0], "{program}: {environment:?}");
        }
        opened += usize::from(program.ends_with("/browser"));
    }
    assert!(handed >= 5, "{handed} secrets reached their children");
    assert_eq!(opened, 3, "{all:#?}");
    // authctl itself, the browser, and the child of exec: nothing else is started.
    let known = [AUTHCTL, "/browser", "/env"];
    for Started { program, .. } in &all {
        assert!(known.iter().any(|known| program.ends_with(known)), "{program}");
    }
}

#[test]
fn a_child_gets_exactly_its_environment() {
    for mask in [None, Some("--mask")] {
        let mut flows = Flows::new();
        flows.browse("web");
        let given = random("given");
        flows
            .sandbox
            .env("AUTHCTL_PIPED_TOKEN", &given)
            .env("AUTHCTL_OPENAI_TOKEN", random("other"))
            .env("PIPED_OTHER_KEY", "stale")
            .env("WEB_TOKEN", "stale")
            .env("UNRELATED_API_KEY", "stays")
            .env("ODD", "a=b\nc");
        let mut arguments = vec!["exec", "--with", "piped,web"];
        arguments.extend(mask);
        arguments.extend(["--", "env", "-0"]);
        let output = flows.command(&arguments, "").output;
        let got = pairs(&output.stdout);

        let mut expected: BTreeMap<String, String> = flows
            .sandbox
            .variables()
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .filter(|(name, _)| !name.starts_with("AUTHCTL_") || !name.ends_with("_TOKEN"))
            .collect();
        expected.remove("PIPED_OTHER_KEY");
        let web = flows.command(&["token", "web", "--json"], "").output.json();
        let hidden = |secret: &str| if mask.is_some() { "[masked]" } else { secret }.to_owned();
        expected.insert("PIPED_KEY".into(), hidden(&given));
        expected.insert("WEB_TOKEN".into(), hidden(web["token"].as_str().unwrap()));
        expected.insert("AUTHCTL_WEB_CREDENTIAL_ID".into(), web["id"].as_str().unwrap().into());
        expected
            .insert("AUTHCTL_WEB_EXPIRES_AT".into(), web["expires_at"].as_str().unwrap().into());
        expected.insert("AUTHCTL_INJECTED".into(), "piped,web".into());
        let id = "AUTHCTL_PIPED_CREDENTIAL_ID";
        assert!(got[id].starts_with("cred_"), "{got:?}");
        expected.insert(id.into(), got[id].clone());
        assert_eq!(got, expected);
        assert_eq!(found(std::slice::from_ref(&given), output.stderr.as_bytes()), [""; 0]);
    }
}

fn text(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}

/// The pairs that `env -0` prints.
fn pairs(printed: &str) -> BTreeMap<String, String> {
    let pairs = printed.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

// ---------------------------------------------------------------------------------------------- S7

/// Flows of a user who is not root, since root may look into everything.
fn flows_of_nobody() -> Flows {
    let mut flows = Flows::new();
    flows.wrapper = hand_to_nobody(&flows.sandbox);
    flows
}

/// What a process of the same user finds out about `pid`: by each way, whether it was refused.
fn looks_at(flows: &Flows, pid: u32) -> Vec<(String, bool)> {
    let core = flows.sandbox.path("work/core-of");
    let core = core.display();
    let looks = [
        format!("cat /proc/{pid}/environ >/dev/null"),
        format!("test -n \"$(cat /proc/{pid}/maps)\""),
        format!("dd if=/proc/{pid}/mem of=/dev/null bs=1 count=0 2>&1"),
        format!("cat /proc/{pid}/auxv >/dev/null"),
        format!("ls /proc/{pid}/fd"),
        format!("readlink /proc/{pid}/exe"),
        format!("gcore -o {core} {pid} && test -s {core}.{pid}"),
        format!("gdb -p {pid} -batch -ex 'info registers' 2>&1 | grep -q rip"),
        format!(
            "strace -qq -p {pid} -o /dev/null & sleep 0.5; kill -INT $!; wait $!; test $? != 1"
        ),
    ];
    let look = |script: String| {
        let mut words = flows.wrapper.clone();
        words.extend(["sh", "-c", &script].map(OsString::from));
        let mut command = flows.sandbox.program(&words[0]);
        let output = command.args(&words[1..]).output().unwrap();
        println!("{script}: {output:?}");
        (script, !output.status.success())
    };
    looks.map(look).into()
}

#[test]
fn nobody_of_the_same_user_looks_into_a_waiting_authctl() {
    if !present(&["gdb", "gcore", "strace", "setpriv"]) {
        return;
    }
    let flows = flows_of_nobody();
    // The ways of looking work: a plain process hides nothing.
    let mut plain = flows.wrapper.clone();
    plain.extend(["sleep", "600"].map(OsString::from));
    let mut plain = flows.sandbox.program(&plain[0]).args(&plain[1..]).spawn().unwrap();
    eventually("sleep", || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", plain.id())).unwrap();
        (name.trim() == "sleep").then_some(())
    });
    let seen = looks_at(&flows, plain.id());
    plain.kill().unwrap();
    plain.wait().unwrap();
    // Some systems let nobody trace a process that is not a child: those looks prove nothing there.
    let proofs: Vec<&str> = seen
        .iter()
        .filter(|(_, refused)| !refused)
        .map(|(look, _)| look.rsplit('/').next().unwrap())
        .collect();
    println!("{} of {} ways lead into a plain process: {proofs:?}", proofs.len(), seen.len());
    assert!(proofs.len() >= 4, "{seen:?}");

    // Waiting for a person.
    let mut login = flows.start(&["login", "web"]);
    let opened = login.opened_url();
    assert_closed(&flows, &login);
    browser::open(&opened);
    login.finish().success();
    // Waiting for a server, with the refresh token in its hands.
    flows.server.script(Endpoint::Token, Fault::Delay(Duration::from_mins(10)));
    let mut token = flows.start(&["token", "web", "--refresh"]);
    eventually("the refresh request", || (flows.server.grants("refresh_token") == 1).then_some(()));
    assert_closed(&flows, &token);
    token.child.kill().unwrap();
    token.child.wait().unwrap();
    // Waiting for its child, whose secrets it masks.
    let mut exec = flows.start(&[
        "exec",
        "--mask",
        "--with",
        "web",
        "--",
        "sh",
        "-c",
        "echo up >&2; exec sleep 600",
    ]);
    exec.wait_for("the child", |line| (line == "up").then_some(()));
    assert_closed(&flows, &exec);
    rustix::process::kill_process(pid(&exec), rustix::process::Signal::TERM).unwrap();
    exec.finish();
}

#[track_caller]
fn assert_closed(flows: &Flows, running: &Running) {
    for (look, refused) in looks_at(flows, running.child.id()) {
        assert!(refused, "not refused: {look}");
    }
}

fn pid(running: &Running) -> rustix::process::Pid {
    rustix::process::Pid::from_child(&running.child)
}

/// `ulimit -c unlimited`, then the rest of the words.
const WITH_CORES: [&str; 4] = ["sh", "-c", "ulimit -c unlimited && exec \"$@\"", "sh"];

#[test]
fn an_abort_leaves_no_core() {
    let mut flows = Flows::new();
    flows.wrapper = WITH_CORES.map(Into::into).into();
    let mut plain = flows.sandbox.program("sh");
    plain.args(&WITH_CORES[1..]).args(["sh", "-c", "kill -ABRT $$"]);
    let plain = plain.status().unwrap();
    println!("a plain process that aborts dumps its core here: {}", plain.core_dumped());
    let dumped = cores(&flows.sandbox);
    assert_eq!(dumped.len(), usize::from(plain.core_dumped() && !core_goes_elsewhere()));

    let mut login = flows.start(&["login", "web"]);
    let opened = login.opened_url();
    abort(login);
    flows.server.script(Endpoint::Token, Fault::Delay(Duration::from_mins(10)));
    std::fs::write(flows.sandbox.path("opened-urls"), "").unwrap();
    assert!(opened.starts_with("http://127.0.0.1:"));
    let mut login = flows.start(&["login", "web"]);
    browser::open(&login.opened_url());
    eventually("the code at the server", || {
        (flows.server.grants("authorization_code") == 1).then_some(())
    });
    abort(login);
    assert_eq!(cores(&flows.sandbox), dumped);
}

fn abort(running: Running) {
    rustix::process::kill_process(pid(&running), rustix::process::Signal::ABORT).unwrap();
    let status = running.finish().status;
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}

fn core_goes_elsewhere() -> bool {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    pattern.starts_with(['|', '/'])
}

fn cores(sandbox: &Sandbox) -> Vec<std::path::PathBuf> {
    let is_core =
        |file: &std::path::PathBuf| file.file_name().unwrap().to_string_lossy().starts_with("core");
    sandbox.files().into_iter().filter(is_core).collect()
}

#[test]
fn a_child_may_be_dumped_again() {
    if !present(&["setpriv"]) {
        return;
    }
    let mut flows = flows_of_nobody();
    let nobody = flows.wrapper.clone();
    flows.wrapper.extend(WITH_CORES.map(OsString::from));
    let key = random("key");
    flows.command(&["login", "piped", "--with-key"], &key).output.success();
    for mask in [None, Some("--mask")] {
        let mut arguments = vec!["exec", "--with", "piped"];
        arguments.extend(mask);
        arguments.extend(["--", "sh", "-c", "echo $$ limit $(ulimit -c) >&2; exec sleep 600"]);
        let mut exec = flows.start(&arguments);
        let child: u32 = exec.wait_for("the child", |line| {
            let (child, limit) = line.split_once(" limit ")?;
            assert_eq!(limit, "unlimited");
            child.parse().ok()
        });
        let mut look = nobody.clone();
        look.extend(["cat".to_owned(), format!("/proc/{child}/environ")].map(OsString::from));
        let output = flows.sandbox.program(&look[0]).args(&look[1..]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("PIPED_KEY={key}")));
        rustix::process::kill_process(pid(&exec), rustix::process::Signal::TERM).unwrap();
        exec.finish();
    }
}

// ---------------------------------------------------------------------------------------------- I1

/// A browser that writes down each of its arguments, a line each.
fn note_arguments(sandbox: &Sandbox) {
    let log = sandbox.path("opened-arguments");
    let script = format!(
        "#!/bin/sh\nprintf '%s arguments\\n' $# >> '{0}'\nprintf '%s\\n' \"$@\" >> '{0}'\n",
        log.display()
    );
    std::fs::write(sandbox.path("browser"), script).unwrap();
}

fn opened_arguments(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.path("opened-arguments")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn metadata(flows: &Flows, authorization_endpoint: &str) -> Value {
    let issuer = flows.server.issuer();
    json!({
        "issuer": issuer,
        "authorization_endpoint": authorization_endpoint,
        "token_endpoint": format!("{issuer}/token"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    })
}

#[test]
fn an_odd_url_is_opened_as_one_argument_without_a_shell() {
    if !present(&["strace"]) {
        return;
    }
    let odd = [
        "/authorize;touch$IFS'canary'",
        "/authorize/$(touch${IFS}canary)/`touch${IFS}canary`",
        "/authorize?x=\"&touch\"canary\"&calc.exe|touch",
        "/authorize?x='+--remote-debugging-port=1'&y=%22%20--flag%0Atouch%20canary",
        "/--flag/%s/%u",
        "/authorize\\..\\canary?x=<y>|^&z={a}",
        "//evil.example/authorize",
        "/%2e%2e/authorize?x=\u{e4}\u{4e2d}",
    ];
    for endpoint in odd {
        let mut flows = Flows::new();
        let log = traced(&mut flows);
        note_arguments(&flows.sandbox);
        let metadata = metadata(&flows, &format!("{}{endpoint}", flows.server.issuer()));
        flows.server.script(Endpoint::Metadata, Fault::Json(metadata.to_string()));
        let running = flows.start(&["login", "web", "--json"]);
        let opened = eventually("the browser", || {
            let opened = opened_arguments(&flows.sandbox);
            (opened.len() >= 2).then_some(opened)
        });
        assert_eq!(opened.len(), 2, "{endpoint}: {opened:?}");
        assert_eq!(opened[0], "1 arguments", "{endpoint}: {opened:?}");
        let url = &opened[1];
        assert!(url.starts_with(&format!("{}/", flows.server.issuer())), "{endpoint}: {url}");
        // Nothing in it that a shell or a splitter of command lines would cut at, before the query.
        let path = url.split('?').next().unwrap();
        assert!(path.bytes().all(|c| c.is_ascii_graphic() && !b"\"<>`{}".contains(&c)), "{url}");
        assert!(url.bytes().all(|c| c.is_ascii_graphic() && !b"\"<>".contains(&c)), "{url}");
        let back = callback(url, &[("error", "over")], &flows.server.issuer());
        browser::open(back.as_str());
        running.finish().failure(1);
        let programs: Vec<String> =
            started(&log).into_iter().map(|started| started.program).collect();
        let browser = flows.sandbox.path("browser").display().to_string();
        assert_eq!(programs, [AUTHCTL.to_owned(), browser], "{endpoint}");
        let canaries: Vec<_> =
            flows.sandbox.files().into_iter().filter(|file| file.ends_with("canary")).collect();
        assert!(canaries.is_empty(), "{endpoint}: {canaries:?}");
        flows.server.complaints();
    }
}

#[test]
fn what_is_no_web_address_is_never_opened() {
    if !present(&["strace"]) {
        return;
    }
    let hostile = [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)//http://127.0.0.1/",
        "file:///etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:msgbox(1)",
        "ms-settings:",
        "calc:http://127.0.0.1/",
        "ssh://-oProxyCommand=touch%20canary/",
        "ftp://127.0.0.1/authorize",
        "ws://127.0.0.1/authorize",
        "view-source:http://127.0.0.1/",
        "chrome://settings",
        "about:blank",
        "http://example.com/authorize",
        "http://192.168.0.1/authorize",
        "http://127.0.0.1.example.com/authorize",
        "http://user:password@127.0.0.1/authorize",
        "http://127.0.0.1@evil.example/authorize",
        "--flag",
        "-e canary http://127.0.0.1/",
        "$(touch canary)",
        "`touch canary`",
        "; touch canary",
        "/authorize",
        "//127.0.0.1/authorize",
        "",
        " http://127.0.0.1/authorize",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\nhttp://evil.example/",
        "http://127.0.0.1/a\ttouch",
        "java\nscript:alert(1)",
        "http://127.0.0.1/\u{0}",
        "http://127.0.0.1/\u{85}",
        "http://127.0.0.1/?client_id=other",
        "http://127.0.0.1/?redirect_uri=http://evil.example",
        "http://127.0.0.1/#fragment",
        "http://[::1/authorize",
        "http:///evil.example/",
        "https://",
    ];
    for endpoint in hostile {
        let mut flows = Flows::new();
        let log = traced(&mut flows);
        note_arguments(&flows.sandbox);
        // Whatever is found, by either kind of metadata.
        for _ in 0..2 {
            let metadata = metadata(&flows, endpoint).to_string();
            flows.server.script(Endpoint::Metadata, Fault::Json(metadata));
        }
        let output = flows.command(&["login", "web"], "").output;
        assert!([1, 2].contains(&output.code()), "{endpoint:?}: {output:?}");
        assert!(output.stderr.starts_with("error: "), "{endpoint:?}: {output:?}");
        assert_eq!(opened_arguments(&flows.sandbox), [""; 0], "{endpoint:?}");
        let programs: Vec<String> =
            started(&log).into_iter().map(|started| started.program).collect();
        assert_eq!(programs, [AUTHCTL], "{endpoint:?}");
        flows.server.complaints();
    }
}
