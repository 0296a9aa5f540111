//! Signing in where no browser is expected: the redirect comes back through a prompt or a later command,
//! a device code goes first, and without a terminal a login asks and ends.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use jiff::SignedDuration;
use rustix::process::Signal;
use serde_json::Value;
use url::Url;

use crate::real_parts::skipped;
use crate::support::authorization_server::{AuthorizationServer, Endpoint, Fault, Gate, Person};
use crate::support::demo::{Demo, config};
use crate::support::launcher::is_ignored;
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Output, Running, Sandbox};
use crate::support::sealed::{Sealed, age};
use crate::support::{browser, eventually};

const REDIRECT: &str = "client = \"register\"\ngrants = [\"authorization_code\"]";

/// Somebody whose browser is on another machine.
fn away(keys: &str) -> Demo {
    let mut demo = Demo::with(keys);
    demo.sandbox.unset("BROWSER").env("SSH_CONNECTION", "192.0.2.1 40000 192.0.2.2 22");
    demo
}

/// A login at a terminal of its own, in a shell that says afterwards what is left of it.
fn at_terminal(sandbox: &Sandbox, arguments: &str) -> Terminal {
    let script = format!("stty echo; '{AUTHCTL}' {arguments}; echo \"code $?\"; stty -a");
    let mut shell = sandbox.program("sh");
    shell.args(["-c", &script]);
    Terminal::start(shell)
}

/// The address that the person is to open.
fn address(shown: &str) -> Url {
    let word = shown.split_whitespace().find(|word| word.contains("/authorize?"));
    Url::parse(word.unwrap_or_else(|| panic!("no address: {shown}"))).unwrap()
}

/// Opens `url` in a browser that cannot reach authctl: the address where it ends.
fn ends_at(url: &Url) -> String {
    browser::get(url).header("location").unwrap().to_owned()
}

const PROMPT: &str = "Address or code (not shown): ";

/// A login that stands at its prompt, with the address that it showed.
fn prompted(demo: &Demo, arguments: &str) -> (Terminal, Url) {
    let mut terminal = at_terminal(&demo.sandbox, arguments);
    let shown = terminal.expect(PROMPT);
    (terminal, address(&shown))
}

/// Waits for the end: nothing pasted was shown, and the terminal is as before.
#[track_caller]
fn ended(mut terminal: Terminal, code: i32, unseen: &str) -> String {
    let shown = terminal.rest();
    assert!(shown.contains(&format!("code {code}\r\n")), "{shown}");
    assert!(shown.contains(" echo ") && shown.contains(" icanon "), "{shown}");
    assert!(unseen.is_empty() || !shown.contains(unseen), "{shown}");
    shown
}

#[track_caller]
fn assert_signed_in(demo: &Demo) {
    assert!(demo.server.accepts(demo.token(&[]).success().trim()));
    assert_eq!(Sealed::of(&demo.sandbox).pending(), Vec::<std::path::PathBuf>::new());
}

fn of(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    let found = url.query_pairs().find(|(other, _)| other == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

// --------------------------------------------------------------------------------------- the prompt

#[test]
fn a_redirect_that_cannot_arrive_is_pasted() {
    let demo = away(REDIRECT);
    let (mut terminal, url) = prompted(&demo, "login demo");
    let redirect = ends_at(&url);
    terminal.send_line(&redirect);
    let shown = ended(terminal, 0, &of(&redirect, "code"));
    assert!(shown.contains("Signed in to demo"), "{shown}");
    assert_signed_in(&demo);
    assert!(demo.sandbox.opened_urls().is_empty());
}

#[test]
fn a_redirect_that_arrives_takes_the_question_back() {
    let demo = away(REDIRECT);
    let script = format!(
        "stty echo; '{AUTHCTL}' login demo; echo \"code $?\"; read line; echo \"<$line>\"; stty -a"
    );
    let mut shell = demo.sandbox.program("sh");
    shell.args(["-c", &script]);
    let mut terminal = Terminal::start(shell);
    let url = address(&terminal.expect(PROMPT));
    // Half a line: it must not become the shell's.
    terminal.send("http://127.0.0.1/half");
    browser::open(url.as_str());
    terminal.expect("Signed in to demo");
    terminal.expect("code 0");
    terminal.send_line("whole");
    let rest = terminal.rest();
    assert!(
        rest.contains("<whole>") && rest.contains(" echo ") && rest.contains(" icanon "),
        "{rest}"
    );
    assert_signed_in(&demo);
}

#[test]
fn the_code_alone_will_do_at_the_prompt_of_its_flow() {
    let demo = away(REDIRECT);
    let (mut terminal, url) = prompted(&demo, "login demo");
    let code = of(&ends_at(&url), "code");
    terminal.send_line(&code);
    ended(terminal, 0, &code);
    assert_signed_in(&demo);
}

/// Line mode cuts at 4,095 bytes.
#[test]
fn an_address_longer_than_a_terminals_line_arrives_whole() {
    let demo = away(REDIRECT);
    let (mut terminal, url) = prompted(&demo, "login demo");
    let redirect = ends_at(&url).replace("?code", &format!("?pad={}&code", "x".repeat(9_000)));
    terminal.send_line(&redirect);
    ended(terminal, 0, "xxxxxxxx");
    assert_signed_in(&demo);
}

#[test]
fn a_typed_line_can_be_mended() {
    let demo = away(REDIRECT);
    let (mut terminal, url) = prompted(&demo, "login demo");
    let code = of(&ends_at(&url), "code");
    // ^U takes the line back, Backspace a character; some terminals mark what is pasted.
    terminal.send(&format!("nonsense\u{15}\u{1b}[200~{code}\u{1b}[201~x\u{7f}\r"));
    ended(terminal, 0, &code);
}

#[test]
fn a_slip_at_the_prompt_ends_nothing() {
    let demo = away(REDIRECT);
    let (mut terminal, url) = prompted(&demo, "login demo");
    let redirect = ends_at(&url);
    let foreign = redirect.replace(&of(&redirect, "state"), "of-another-flow");
    for (typed, said) in [
        ("", PROMPT),
        (url.as_str(), "not the address where the browser ended"),
        (&foreign, "does not belong to this sign-in"),
        ("two words", "a blank at position 4"),
    ] {
        terminal.send_line(typed);
        let shown = terminal.expect(said);
        assert!(!shown.contains("two words"), "{shown}");
    }
    terminal.expect(PROMPT);
    terminal.send_line(&redirect);
    ended(terminal, 0, "");
    assert_eq!(demo.server.requests(Endpoint::Token).len(), 1);
}

#[test]
fn the_servers_no_ends_the_flow_wherever_it_is_pasted() {
    let demo = away(REDIRECT);
    demo.server.rules(|rules| rules.person = Person::SaysNo);
    let (mut terminal, url) = prompted(&demo, "login demo");
    let redirect = ends_at(&url);
    terminal.send_line(&redirect);
    let shown = ended(terminal, 1, "");
    assert!(shown.contains("access was denied"), "{shown}");
    let again = resume(&demo, "demo", &redirect).failure(2);
    assert!(again.contains("was declined"), "{again}");
    assert!(demo.server.requests(Endpoint::Token).is_empty());
}

#[test]
fn a_code_alone_is_refused_where_nothing_binds_it() {
    let demo = away(&format!("{REDIRECT}\npkce = \"unverified\""));
    demo.server.rules(|rules| {
        rules.edit_metadata = |metadata| {
            metadata.as_object_mut().unwrap().remove("code_challenge_methods_supported");
        };
    });
    let (mut terminal, url) = prompted(&demo, "login demo");
    let redirect = ends_at(&url);
    terminal.send_line(&of(&redirect, "code"));
    terminal.expect("a code alone does not show to which sign-in it belongs");
    terminal.expect(PROMPT);
    terminal.send_line(&redirect);
    ended(terminal, 0, "");
}

#[test]
fn an_interrupt_gives_the_terminal_back_and_loses_nothing() {
    if is_ignored(Signal::INT) {
        return skipped("whoever started the tests ignores SIGINT");
    }
    let demo = away(REDIRECT);
    let script =
        format!("trap : INT; stty echo; '{AUTHCTL}' login demo; echo \"code $?\"; stty -a");
    let mut shell = demo.sandbox.program("sh");
    shell.args(["-c", &script]);
    let mut terminal = Terminal::start(shell);
    let shown = terminal.expect(PROMPT);
    assert!(shown.contains("authctl login demo --resume"), "{shown}");
    terminal.control('c');
    ended(terminal, 130, "");
    resume(&demo, "demo", &ends_at(&address(&shown))).success();
    assert_signed_in(&demo);
}

/// A shell that sets its own modes for each job, as bash does.
#[test]
fn a_stop_at_the_prompt_gives_the_echo_back_and_takes_it_again() {
    let demo = away(REDIRECT);
    let mut shell = demo.sandbox.program("sh");
    shell.arg("-i").env("PS1", "$ ");
    let mut terminal = Terminal::start(shell);
    terminal.send_line(&format!("stty echo; '{AUTHCTL}' login demo"));
    let url = address(&terminal.expect(PROMPT));
    terminal.control('z');
    terminal.expect("login demo"); // the shell's word that it is stopped
    terminal.send_line("stty -a; echo stopp\\ed");
    let modes = terminal.expect("stopped");
    assert!(modes.contains(" echo ") && modes.contains(" icanon"), "{modes}");
    terminal.send_line("stty echo; fg");
    terminal.expect("login demo");
    eventually("the prompt without echo", || terminal.echo_is_off().then_some(()));
    let redirect = ends_at(&url);
    terminal.send_line(&redirect);
    let shown = terminal.expect("Signed in to demo");
    assert!(!shown.contains(&of(&redirect, "code")), "{shown}");
}

#[test]
fn no_browser_asks_for_the_address_at_any_terminal() {
    let mut demo = Demo::new();
    for mark in ["SSH_CONNECTION", "SSH_TTY"] {
        demo.sandbox.unset(mark);
    }
    // A browser and a display are there, and not wanted; nor is a device code then.
    demo.sandbox.env("DISPLAY", ":0");
    let (mut terminal, url) = prompted(&demo, "login demo --no-browser");
    terminal.send_line(&ends_at(&url));
    ended(terminal, 0, "");
    assert!(demo.sandbox.opened_urls().is_empty());
    assert!(demo.server.requests(Endpoint::Device).is_empty());
}

#[test]
fn a_chosen_browser_is_opened_over_ssh_and_the_address_may_still_be_pasted() {
    let mut demo = Demo::new();
    demo.sandbox.env("SSH_TTY", "/dev/pts/9");
    let (mut terminal, url) = prompted(&demo, "login demo");
    eventually("the browser", || (!demo.sandbox.opened_urls().is_empty()).then_some(()));
    terminal.send_line(&ends_at(&url));
    ended(terminal, 0, "");
    assert_eq!(demo.sandbox.opened_urls(), [url.to_string()]);
}

#[test]
fn browser_echo_prints_the_address_as_data() {
    let mut demo = Demo::new();
    demo.sandbox.env("BROWSER", "echo");
    let running = demo.sandbox.start(demo.sandbox.command(["login", "demo"]));
    let url =
        eventually("the address on stdout", || running.stdout().lines().next().map(str::to_owned));
    browser::open(&url);
    let output = running.finish();
    assert!(output.stderr.contains(&url), "{output:?}");
    assert_eq!(output.success(), format!("{url}\n"));
    assert!(demo.sandbox.opened_urls().is_empty());
}

// ------------------------------------------------------------------------------------ device first

#[test]
fn away_from_a_browser_a_device_code_goes_first() {
    // Named by the metadata, by the configuration.
    for keys in [
        "client = \"register\"",
        "client = \"register\"\ngrants = [\"authorization_code\", \"device_code\"]",
    ] {
        let demo = away(keys);
        let shown = at_terminal(&demo.sandbox, "login demo").rest();
        assert!(shown.contains("enter this code:  WDJB-") && shown.contains("code 0"), "{shown}");
        assert_signed_in(&demo);
        assert!(demo.server.requests(Endpoint::Authorize).is_empty());
    }
}

#[test]
fn a_server_or_a_client_without_the_device_grant_leads_to_the_address() {
    let demo = away("client = \"register\"");
    demo.server.rules(|rules| {
        rules.edit_metadata = |metadata| {
            metadata.as_object_mut().unwrap().remove("device_authorization_endpoint");
        };
    });
    let (mut terminal, url) = prompted(&demo, "login demo");
    terminal.send_line(&ends_at(&url));
    ended(terminal, 0, "");

    let demo = away("client_id = \"mine\"\nauthentication = \"none\"");
    demo.server.register("mine", None);
    demo.server.script(Endpoint::Device, Fault::Error("unauthorized_client"));
    let (mut terminal, url) = prompted(&demo, "login demo");
    terminal.send_line(&ends_at(&url));
    ended(terminal, 0, "");
}

// ------------------------------------------------------------------------------ without a terminal

/// `authctl login NAME --resume` with `text` on standard input.
fn resume(demo: &Demo, name: &str, text: &str) -> Output {
    demo.sandbox.run_with_input(["login", name, "--resume"], &format!("{text}\n"))
}

/// A login that only asks; its document.
#[track_caller]
fn question(demo: &Demo, arguments: &[&str]) -> Value {
    let output = demo.sandbox.run([&["login", "--json"], arguments].concat());
    assert_eq!((output.code(), &*output.stderr), (4, ""), "{output:?}");
    output.json()
}

/// Where the browser of whoever reads the document ends.
fn answer_to(question: &Value) -> String {
    ends_at(&Url::parse(question["url"].as_str().unwrap()).unwrap())
}

#[test]
fn without_a_terminal_a_login_asks_and_ends() {
    let demo = away(REDIRECT);
    let stderr = demo.sandbox.run(["login", "demo"]).failure(4);
    assert!(stderr.contains("hint: authctl login demo --resume"), "{stderr}");
    let output = resume(&demo, "demo", &ends_at(&address(&stderr)));
    assert!(output.stderr.contains("Signed in to demo"), "{output:?}");
    output.success();
    assert_signed_in(&demo);
}

#[test]
fn a_program_reads_what_to_ask_its_person() {
    let demo = away(REDIRECT);
    let asked = question(&demo, &["demo:work"]);
    assert_eq!(asked["resume"], "authctl login demo:work --resume");
    assert!(asked["user_code"].is_null() && asked["expires_at"].is_string(), "{asked}");
    // Nothing of what finishes it can be seen.
    assert!(!asked.to_string().contains("verifier"), "{asked}");
    let command = ["--json", "login", "demo:work", "--resume"];
    let done = demo.sandbox.run_with_input(command, &answer_to(&asked));
    assert_eq!(done.json()["name"], "demo:work");
    done.success();
}

#[test]
fn no_input_is_no_terminal() {
    let demo = away(REDIRECT);
    let shown = at_terminal(&demo.sandbox, "--no-input login demo").rest();
    assert!(shown.contains("code 4") && !shown.contains(PROMPT), "{shown}");
}

#[test]
fn asked_again_it_is_the_same_question() {
    for (keys, endpoint) in [(REDIRECT, None), ("client = \"register\"", Some(Endpoint::Device))] {
        let demo = away(keys);
        let first = question(&demo, &["demo"]);
        assert_eq!(question(&demo, &["demo"]), first);
        assert_eq!(demo.server.requests(Endpoint::Register).len(), 1);
        assert!(endpoint.is_none_or(|endpoint| demo.server.requests(endpoint).len() == 1));
        // Another wish is another question.
        assert_ne!(question(&demo, &["demo", "--scope", "admin"])["flow"], first["flow"]);
        assert_ne!(question(&demo, &["demo:work"])["flow"], first["flow"]);
    }
}

#[test]
fn a_device_code_is_confirmed_first_and_finished_later() {
    let demo = away("client = \"register\"");
    demo.server.rules(|rules| rules.person = Person::Waits);
    let asked = question(&demo, &["demo"]);
    assert_eq!(asked["grant"], "device_code");
    assert_eq!(asked["verification_uri"], format!("{}/device", demo.server.issuer()));
    assert!(asked["user_code"].as_str().unwrap().starts_with("WDJB-"), "{asked}");
    demo.server.approve_devices();
    demo.sandbox.run(["login", "demo", "--resume"]).success();
    assert_signed_in(&demo);
    let again = demo.sandbox.run(["login", "demo", "--resume"]).failure(2);
    assert!(again.contains("used already") && again.contains("succeeded"), "{again}");
}

#[test]
fn a_device_that_was_refused_is_refused_later_too() {
    let demo = away("client = \"register\"");
    demo.server.rules(|rules| rules.device_answers = ["access_denied"].into());
    question(&demo, &["demo"]);
    let stderr = demo.sandbox.run(["login", "demo", "--resume"]).failure(1);
    assert!(stderr.contains("access was denied"), "{stderr}");
    demo.sandbox.run(["login", "demo", "--resume"]).failure(2);
    demo.token(&[]).failure(4);
}

#[test]
fn a_client_that_was_brought_is_remembered_once_the_server_took_it() {
    let demo = away("grants = [\"authorization_code\"]\nauthentication = \"none\"");
    demo.server.register("mine", None);
    let asked = question(&demo, &["demo", "--client-id", "mine"]);
    demo.sandbox.run(["login", "demo"]).failure(2);
    resume(&demo, "demo", &answer_to(&asked)).success();
    assert_eq!(question(&demo, &["demo"])["state"], "pending");
}

// -------------------------------------------------------------------------------------- later

#[test]
fn a_resume_at_a_terminal_shows_the_address_again_and_asks() {
    let demo = away(REDIRECT);
    let asked = question(&demo, &["demo"]);
    let (mut terminal, url) = prompted(&demo, "login demo --resume");
    assert_eq!(url.as_str(), asked["url"].as_str().unwrap());
    terminal.send_line("http://127.0.0.1:1/callback?code=c&state=s");
    terminal.expect("does not belong to this sign-in");
    terminal.expect(PROMPT);
    let redirect = ends_at(&url);
    terminal.send_line(&redirect);
    ended(terminal, 0, &of(&redirect, "code"));
    assert_signed_in(&demo);
}

#[test]
fn a_prompt_ends_when_its_flow_is_finished_elsewhere() {
    let demo = away(REDIRECT);
    let (terminal, url) = prompted(&demo, "login demo");
    resume(&demo, "demo", &ends_at(&url)).success();
    let shown = ended(terminal, 0, "");
    assert!(shown.contains("by another authctl login"), "{shown}");
    assert_eq!(demo.server.requests(Endpoint::Token).len(), 1);
}

#[test]
fn the_state_decides_which_of_several_is_finished() {
    let demo = away(REDIRECT);
    let (narrow, wide) =
        (question(&demo, &["demo"]), question(&demo, &["demo", "--scope", "wide"]));
    let (narrow, wide) = (answer_to(&narrow), answer_to(&wide));
    let ambiguous = resume(&demo, "demo", &of(&narrow, "code")).failure(2);
    assert!(ambiguous.contains("2 of its sign-ins wait"), "{ambiguous}");
    resume(&demo, "demo", &narrow).success();
    // The other one is still there, now alone.
    resume(&demo, "demo", &of(&wide, "code")).success();
    assert_eq!(demo.server.grants("authorization_code"), 2);
}

#[test]
fn an_answer_is_good_once() {
    let demo = away(REDIRECT);
    let redirect = answer_to(&question(&demo, &["demo"]));
    let mut crowd: Vec<_> = (0..8)
        .map(|_| {
            let mut command = demo.sandbox.command(["login", "demo", "--resume"]);
            command.stdin(Stdio::piped());
            demo.sandbox.start(command)
        })
        .collect();
    // All of them have the answer before any is waited for.
    for running in &mut crowd {
        let mut stdin = running.child.stdin.take().unwrap();
        let _ = writeln!(stdin, "{redirect}"); // a late one may have seen already that nothing waits
    }
    let ended: Vec<Output> = crowd.into_iter().map(Running::finish).collect();
    // Whoever came before the end takes it over.
    let said = |word| ended.iter().filter(|output| output.stderr.contains(word)).count();
    assert_eq!(said("Signed in to demo") - said("by another authctl login"), 1, "{ended:?}");
    for output in ended.iter().filter(|output| output.code() != 0) {
        assert!(output.code() == 2 && output.stderr.contains("used already"), "{output:?}");
    }
    assert_eq!(demo.server.requests(Endpoint::Token).len(), 1);
    assert_signed_in(&demo);
}

/// `authctl login demo --resume`, given its answer, while the test goes on.
fn resuming(demo: &Demo, text: &str) -> Running {
    let mut command = demo.sandbox.command(["login", "demo", "--resume"]);
    command.stdin(Stdio::piped());
    let mut running = demo.sandbox.start(command);
    writeln!(running.child.stdin.take().unwrap(), "{text}").unwrap();
    running
}

/// A gate at which the server holds back the next answer with tokens.
fn held_tokens(demo: &Demo) -> Arc<Gate> {
    let gate = Arc::new(Gate::default());
    demo.server.script(Endpoint::Token, Fault::Keep(Arc::clone(&gate)));
    gate
}

#[test]
fn whoever_comes_second_waits_for_the_first_and_takes_over_what_came_of_it() {
    let demo = away(REDIRECT);
    let redirect = answer_to(&question(&demo, &["demo"]));
    let gate = held_tokens(&demo);
    let first = resuming(&demo, &redirect);
    gate.arrival();
    let second = resuming(&demo, &redirect);
    // Nor is a new question asked.
    let third = demo.sandbox.start(demo.sandbox.command(["--no-input", "login", "demo"]));
    let mut others = [second, third];
    for other in &mut others {
        other.wait_for("the wait", |line| line.contains("waiting for what comes").then_some(()));
    }
    gate.open();
    first.finish().success();
    for output in others.map(Running::finish) {
        assert!(output.stderr.contains("by another authctl login"), "{output:?}");
        output.success();
    }
    assert_eq!(demo.server.requests(Endpoint::Token).len(), 1);
    assert_signed_in(&demo);
}

#[test]
fn a_redirect_given_to_a_name_for_which_nothing_waits_finds_its_owner() {
    let demo = away(REDIRECT);
    let redirect = answer_to(&question(&demo, &["demo"]));
    let stderr = resume(&demo, "demo:work", &redirect).failure(2);
    assert!(stderr.contains("belongs to a sign-in to demo\n"), "{stderr}");
    assert!(stderr.contains("hint: authctl login demo --resume"), "{stderr}");
    // What is no answer, or none at all in an open pipe, changes nothing.
    resume(&demo, "demo:work", "code").failure(4);
    let mut command = demo.sandbox.command(["login", "demo:work", "--resume"]);
    command.stdin(Stdio::piped());
    let mut silent = demo.sandbox.start(command);
    let pipe = silent.child.stdin.take();
    let stderr = silent.finish().failure(4);
    drop(pipe);
    assert!(stderr.contains("none waits"), "{stderr}");
    resume(&demo, "demo", &redirect).success();
}

/// The code is not spent where its tokens would find no place.
#[test]
fn a_store_that_cannot_be_written_is_found_out_before_the_answer_is_used() {
    for (keys, is_device) in [(REDIRECT, false), ("client = \"register\"", true)] {
        let demo = away(keys);
        let asked = question(&demo, &["demo"]);
        let answer = if is_device { String::new() } else { answer_to(&asked) };
        // As on a full disk: what is there can be read and deleted, and files of some size not written.
        let script = format!("trap '' XFSZ; ulimit -f 1; exec '{AUTHCTL}' login demo --resume");
        let mut shell = demo.sandbox.program("sh");
        shell.args(["-c", &script]).stdin(Stdio::piped());
        let mut running = demo.sandbox.start(shell);
        writeln!(running.child.stdin.take().unwrap(), "{answer}").unwrap();
        running.finish().failure(1);
        assert!(demo.server.requests(Endpoint::Token).is_empty());
        resume(&demo, "demo", &answer).success();
        assert_signed_in(&demo);
    }
}

#[test]
fn an_answer_whose_process_was_cut_off_is_told_from_a_used_one() {
    let demo = away(REDIRECT);
    let redirect = answer_to(&question(&demo, &["demo"]));
    let gate = held_tokens(&demo);
    let mut first = resuming(&demo, &redirect);
    gate.arrival();
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    gate.open();
    for file in pending_entries(&demo) {
        let mut entry: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        age(&mut entry["answered_at"], SignedDuration::from_mins(2));
        std::fs::write(&file, entry.to_string()).unwrap();
    }
    let stderr = resume(&demo, "demo", &redirect).failure(4);
    assert!(
        stderr.contains("cut off") && stderr.contains("hint: authctl login demo\n"),
        "{stderr}"
    );
}

#[test]
fn a_browser_that_comes_after_a_resume_gets_a_page_and_the_prompt_its_success() {
    let demo = away(REDIRECT);
    let (terminal, url) = prompted(&demo, "login demo");
    let redirect = ends_at(&url);
    let gate = held_tokens(&demo);
    let resumed = resuming(&demo, &redirect);
    gate.arrival();
    let page = browser::open(&redirect);
    assert!(page.body.contains("Nothing is waiting here any more"), "{}", page.body);
    gate.open();
    resumed.finish().success();
    let shown = ended(terminal, 0, "");
    assert!(shown.contains("by another authctl login"), "{shown}");
    assert_eq!(demo.server.requests(Endpoint::Token).len(), 1);
}

#[test]
fn tokens_for_a_device_code_are_kept_whoever_has_taken_the_flow_for_over() {
    let demo = away("client = \"register\"");
    question(&demo, &["demo"]);
    let gate = held_tokens(&demo);
    let first = resuming(&demo, "");
    gate.arrival();
    // As one does that was told that the code is used.
    for file in Sealed::of(&demo.sandbox).pending() {
        std::fs::remove_file(file).unwrap();
    }
    gate.open();
    first.finish().success();
    assert_signed_in(&demo);
}

#[test]
fn two_who_ask_for_one_device_code_are_both_signed_in() {
    let demo = away("client = \"register\"");
    question(&demo, &["demo"]);
    let gate = held_tokens(&demo);
    let first = resuming(&demo, "");
    gate.arrival();
    let second = resuming(&demo, "");
    let asked = || (demo.server.requests(Endpoint::Token).len() == 2).then_some(());
    eventually("the second request", asked);
    gate.open();
    first.finish().success();
    let output = second.finish();
    assert!(output.stderr.contains("by another authctl login"), "{output:?}");
    output.success();
    assert_signed_in(&demo);
}

#[test]
fn what_cannot_be_finished_is_told_why_and_changes_nothing() {
    let demo = away(REDIRECT);
    let none = resume(&demo, "demo", "code").failure(4);
    assert!(none.contains("none waits") && none.contains("hint: authctl login demo\n"), "{none}");

    let (mine, work) = (question(&demo, &["demo"]), question(&demo, &["demo:work"]));
    let (mine, work) = (answer_to(&mine), answer_to(&work));
    for (text, said) in [
        (&*work, "belongs to a sign-in to demo:work"),
        ("http://127.0.0.1:1/callback?code=c&state=s", "does not belong to this sign-in"),
        ("https://example.com/", "does not belong to this sign-in"),
        (&mine.replace("code=", "not="), "has no code"),
        ("two words", "a blank at position 4"),
        ("", "nothing came on standard input"),
    ] {
        let stderr = resume(&demo, "demo", text).failure(2);
        assert!(stderr.contains(said), "{text}: {stderr}");
        let code = of(&mine, "code");
        assert!(!stderr.contains(&code), "{stderr}");
    }
    assert!(demo.server.requests(Endpoint::Token).is_empty());
    assert_eq!(Sealed::of(&demo.sandbox).pending().len(), 2);
    resume(&demo, "demo", &mine).success();
    resume(&demo, "demo:work", &work).success();
}

#[test]
fn status_shows_what_waits_and_logout_forgets_it() {
    let demo = away(REDIRECT);
    let asked = question(&demo, &["demo"]);
    let redirect = answer_to(&asked);
    let shown = demo.sandbox.run(["status", "demo"]).success();
    assert!(shown.contains("demo: a sign-in waits for its answer"), "{shown}");
    let shown = demo.sandbox.run(["status", "--json"]).json();
    assert_eq!(shown["pending"][0]["flow"], asked["flow"]);
    assert_eq!(shown["pending"][0]["resume"], "authctl login demo --resume");
    question(&demo, &["demo:work"]);
    for (logout, left) in [("demo:work", 1), ("--all", 0)] {
        let output = demo.sandbox.run(["logout", logout]);
        assert!(output.stderr.contains("waited for"), "{output:?}");
        output.success();
        assert_eq!(Sealed::of(&demo.sandbox).pending().len(), left, "{logout}");
    }
    demo.sandbox.run(["logout", "demo:work"]).failure(1);
    resume(&demo, "demo", &redirect).failure(4);
    assert_eq!(demo.sandbox.run(["status", "--json"]).json()["pending"], serde_json::json!([]));
}

#[test]
fn a_redirect_from_another_server_ends_its_flow() {
    let demo = away(REDIRECT);
    let redirect = answer_to(&question(&demo, &["demo"]));
    let elsewhere = resume(&demo, "demo", &redirect.replace("&iss=", "&was=")).failure(1);
    assert!(elsewhere.contains("a server that does not say which it is"), "{elsewhere}");
    resume(&demo, "demo", &redirect).failure(2);
    assert!(demo.server.requests(Endpoint::Token).is_empty());
}

#[test]
fn a_login_that_expired_is_begun_anew() {
    let demo = away(REDIRECT);
    let redirect = answer_to(&question(&demo, &["demo"]));
    let over = SignedDuration::from_hours(2);
    Sealed::of(&demo.sandbox).change_pending(|record| age(record, over));
    for file in pending_entries(&demo) {
        let mut entry = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        age(&mut entry, over);
        std::fs::write(&file, entry.to_string()).unwrap();
    }
    let stderr = resume(&demo, "demo", &redirect).failure(4);
    assert!(stderr.contains("had to be finished by"), "{stderr}");
    assert!(demo.server.requests(Endpoint::Token).is_empty());
    let new = question(&demo, &["demo"]);
    let late = resume(&demo, "demo", &redirect).failure(4);
    assert!(late.contains("had to be finished by"), "{late}");
    resume(&demo, "demo", &answer_to(&new)).success();
    // A day later the next login forgets it.
    for file in pending_entries(&demo) {
        let mut entry = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        age(&mut entry, SignedDuration::from_hours(48));
        std::fs::write(&file, entry.to_string()).unwrap();
    }
    question(&demo, &["demo"]);
    assert_eq!((pending_entries(&demo).len(), Sealed::of(&demo.sandbox).pending().len()), (1, 1));
}

fn pending_entries(demo: &Demo) -> Vec<std::path::PathBuf> {
    let files = demo.sandbox.files().into_iter();
    files.filter(|file| file.to_string_lossy().contains("/authctl/pending/")).collect()
}

#[test]
fn a_login_of_a_newer_format_is_left_alone() {
    let demo = away(REDIRECT);
    let redirect = answer_to(&question(&demo, &["demo"]));
    let store = Sealed::of(&demo.sandbox);
    store.change_pending(|record| record["format"] = 99.into());
    let before = std::fs::read(&store.pending()[0]).unwrap();
    let stderr = resume(&demo, "demo", &redirect).failure(1);
    assert!(stderr.contains("upgrade authctl"), "{stderr}");
    assert_eq!(std::fs::read(&store.pending()[0]).unwrap(), before);
}

#[test]
fn a_code_that_the_server_does_not_take_leaves_nothing_half_written() {
    let demo = away(REDIRECT);
    let redirect = answer_to(&question(&demo, &["demo"]));
    demo.server.script(Endpoint::Token, Fault::Error("invalid_grant"));
    resume(&demo, "demo", &redirect).failure(1);
    demo.token(&[]).failure(4);
    let again = resume(&demo, "demo", &redirect).failure(2);
    assert!(again.contains("used already, and the sign-in failed"), "{again}");
}

/// The network is away when the answer comes: the code was not sent, and is not spent.
#[test]
fn an_answer_that_could_not_be_sent_is_good_later() {
    let demo = away(REDIRECT);
    let asked = question(&demo, &["demo"]);
    let redirect = answer_to(&asked);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("{}/token", demo.server.issuer());
    let store = Sealed::of(&demo.sandbox);
    store.change_pending(|record| {
        record["binding"]["token_endpoint"] = format!("http://{closed}/token").into();
    });
    let stderr = resume(&demo, "demo", &redirect).failure(75);
    assert!(stderr.contains("hint: authctl login demo --resume"), "{stderr}");
    store.change_pending(|record| record["binding"]["token_endpoint"] = endpoint.clone().into());
    resume(&demo, "demo", &redirect).success();
    assert_signed_in(&demo);
}

/// The key that the tokens are bound to waits with the flow, and nowhere in the open (RFC 9449); of a
/// request that was pushed (RFC 9126) the address ends sooner than the flow.
#[test]
fn bound_tokens_and_pushed_requests_can_be_finished_later() {
    for (keys, pushes) in [(REDIRECT, true), (REDIRECT, false), ("client = \"register\"", false)] {
        let demo = away(&format!("{keys}\ndpop = \"required\""));
        demo.server.rules(|rules| rules.requires_push = pushes);
        let asked = question(&demo, &["demo"]);
        assert_eq!(asked["url_expires_at"].is_string(), pushes, "{asked}");
        let answer = if asked["url"].is_string() { answer_to(&asked) } else { String::new() };
        resume(&demo, "demo", &answer).success();
        let tokens = Sealed::of(&demo.sandbox).record("demo")["credential"]["tokens"].clone();
        assert_eq!(tokens["token_type"], "DPoP");
        assert!(
            tokens["dpop_key"].as_str().unwrap().contains("PRIVATE KEY"),
            "kept with the tokens"
        );
        for file in demo.sandbox.files() {
            let bytes = std::fs::read(&file).unwrap();
            let is_inside = bytes.windows(11).any(|window| window == b"PRIVATE KEY");
            assert!(!is_inside, "{} holds a key", file.display());
        }
    }
}

#[test]
fn the_address_of_a_pushed_request_is_offered_as_long_as_it_lives() {
    let demo = away(REDIRECT);
    demo.server.rules(|rules| rules.requires_push = true);
    let asked = question(&demo, &["demo"]);
    assert_eq!(question(&demo, &["demo"]), asked);
    let redirect = answer_to(&asked);
    let soon = SignedDuration::from_secs(45);
    let change = |by| {
        Sealed::of(&demo.sandbox).change_pending(|record| age(&mut record["url_expires_at"], by));
    };
    change(soon);
    let other = question(&demo, &["demo"]);
    assert_ne!(other["flow"], asked["flow"]);
    resume(&demo, "demo", &answer_to(&other)).success();

    // One that was opened in time is good for longer.
    change(SignedDuration::from_mins(2));
    let mut terminal = at_terminal(&demo.sandbox, "login demo --resume");
    let shown = terminal.expect(PROMPT);
    assert!(shown.contains("was good until") && !shown.contains("/authorize?"), "{shown}");
    terminal.send_line(&redirect);
    ended(terminal, 0, "");
}

/// What is kept between the two commands is sealed, and bound to the server of the first.
#[test]
fn what_waits_is_sealed_and_goes_only_where_it_began() {
    let demo = away(REDIRECT);
    let asked = question(&demo, &["demo"]);
    let state = of(asked["url"].as_str().unwrap(), "state");
    for file in demo.sandbox.files() {
        let bytes = std::fs::read(&file).unwrap();
        let is_inside = bytes.windows(state.len()).any(|window| window == state.as_bytes());
        assert!(!is_inside, "{} holds the state", file.display());
    }
    let redirect = answer_to(&asked);
    // The provider is moved meanwhile: its new server learns nothing.
    let other = AuthorizationServer::start();
    demo.sandbox.write_config(&config(&other, REDIRECT));
    resume(&demo, "demo", &redirect).success();
    assert!(other.requests(Endpoint::Token).is_empty());
    assert_eq!(demo.server.requests(Endpoint::Token).len(), 1);
    // And the credential is the old server's, which the new one does not get.
    demo.token(&[]).failure(4);
}
