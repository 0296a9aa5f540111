//! Everything that asks a person, at a terminal of its own.

use std::process::Command;

use rustix::process::Signal;

use crate::real_parts::skipped;
use crate::support::authorization_server::{AuthorizationServer, Person};
use crate::support::launcher::is_ignored;
use crate::support::pty::Terminal;
use crate::support::sandbox::{AUTHCTL, Sandbox};

const CONFIG: &str = "[provider.box.basic]\nvariables = [\"BOX_PASSWORD\"]\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_config(CONFIG);
    sandbox
}

/// The terminals of this crate begin without echo; a person's does not.
fn at_terminal(sandbox: &Sandbox, arguments: &[&str]) -> Terminal {
    let mut shell = sandbox.program("sh");
    shell.args(["-c", "stty echo; exec \"$@\"", "sh", AUTHCTL]).args(arguments);
    Terminal::start(shell)
}

/// Runs a script at the terminal; `authctl` is a function in it.
fn shell(sandbox: &Sandbox, script: &str) -> Command {
    let mut shell = sandbox.program("sh");
    shell.args(["-c", &format!("stty echo; authctl() {{ '{AUTHCTL}' \"$@\"; }}\n{script}")]);
    shell
}

fn store(sandbox: &Sandbox, name: &str, key: &str) {
    sandbox.run_with_input(["login", name, "--with-key"], key).success();
}

fn token(sandbox: &Sandbox, name: &str) -> String {
    sandbox.run(["token", name]).success().trim_end().to_owned()
}

/// Waits for the end, which is a success; hands back everything that was shown until then.
#[track_caller]
fn finish(mut terminal: Terminal) -> String {
    let shown = terminal.rest();
    assert_eq!(terminal.status(), 0, "{shown}");
    shown
}

// ---------------------------------------------------------------------------------------------- keys

#[test]
fn a_key_is_typed_without_being_seen() {
    let sandbox = sandbox();
    let mut terminal = at_terminal(&sandbox, &["login", "openai"]);
    let before = terminal.expect("OpenAI API key:");
    assert!(before.contains("https://platform.openai.com/api-keys"), "{before}");
    terminal.send_line("sk-typed");
    let shown = finish(terminal);
    assert!(shown.contains("Signed in to openai") && !shown.contains("sk-typed"), "{shown}");
    assert_eq!(token(&sandbox, "openai"), "sk-typed");
}

#[test]
fn an_unfit_key_may_be_typed_again_twice() {
    let sandbox = sandbox();
    let mut terminal = at_terminal(&sandbox, &["login", "openai"]);
    for (typed, said) in [("two words", "a blank at position 4"), ("", "it is empty")] {
        terminal.expect("OpenAI API key:");
        terminal.send_line(typed);
        let shown = terminal.expect(said);
        assert!(!shown.contains("two words"), "{shown}");
    }
    terminal.expect("OpenAI API key:");
    terminal.send_line("three words here");
    let shown = terminal.rest();
    assert!(shown.contains("error:") && !shown.contains("three words"), "{shown}");
    assert_eq!(terminal.status(), 2);
    sandbox.run(["token", "openai"]).failure(4);
}

#[test]
fn name_and_password_are_asked_for_where_neither_was_given() {
    let sandbox = sandbox();
    let mut terminal = at_terminal(&sandbox, &["login", "box"]);
    terminal.expect("box user name");
    terminal.send_line("me");
    terminal.expect("box password for me:");
    terminal.send_line("s3cret");
    let shown = finish(terminal);
    assert!(!shown.contains("s3cret"), "{shown}");
    let header = sandbox.run(["token", "box", "--header"]).success();
    assert_eq!(header, "Authorization: Basic bWU6czNjcmV0\n");
}

#[test]
fn where_no_client_is_known_a_key_is_offered() {
    let sandbox = sandbox();
    let mut terminal = at_terminal(&sandbox, &["login", "github"]);
    terminal.expect("needs an OAuth client of your own");
    terminal.expect("Paste a key or token instead?");
    terminal.send_line("y");
    terminal.expect("GitHub API key:");
    terminal.send_line("ghp_pasted");
    finish(terminal);
    assert_eq!(token(&sandbox, "github"), "ghp_pasted");
}

#[test]
fn whoever_declines_the_key_is_told_where_to_register() {
    let sandbox = sandbox();
    let mut terminal = at_terminal(&sandbox, &["login", "github"]);
    terminal.expect("Paste a key or token instead?");
    terminal.send_line("n");
    terminal.expect("https://github.com/settings/developers");
    terminal.rest();
    assert_eq!(terminal.status(), 2);
}

// -------------------------------------------------------------------------------------- interruptions

#[test]
fn an_interrupt_at_the_prompt_ends_by_the_signal_and_leaves_the_echo_on() {
    if is_ignored(Signal::INT) {
        return skipped("whoever started the tests ignores SIGINT");
    }
    let sandbox = sandbox();
    let mut terminal = at_terminal(&sandbox, &["login", "openai"]);
    terminal.expect("OpenAI API key:");
    terminal.control('c');
    terminal.rest();
    assert_eq!(terminal.signal(), Some(2));

    let script = "trap : INT; authctl login openai; echo code $?; stty -a";
    let mut terminal = Terminal::start(shell(&sandbox, script));
    terminal.expect("OpenAI API key:");
    terminal.control('c');
    terminal.expect("code 130");
    let modes = finish(terminal);
    assert!(modes.contains(" echo ") && !modes.contains("-echo "), "{modes}");
}

/// A shell that sets its modes anew for each job (bash) would have shown the key after `fg`; one that
/// does not (dash) would have been left without echo.
#[test]
fn a_stop_at_the_prompt_gives_the_echo_back_and_takes_it_again() {
    let sandbox = sandbox();
    let mut shell = sandbox.program("sh");
    shell.arg("-i").env("PS1", "$ ");
    let mut terminal = Terminal::start(shell);
    terminal.send_line(&format!("stty echo; '{AUTHCTL}' login openai"));
    terminal.expect("OpenAI API key:");
    terminal.control('z');
    terminal.expect("login openai"); // the shell's word that it is stopped
    terminal.send_line("stty -a; echo stopp\\ed");
    let modes = terminal.expect("stopped");
    assert!(modes.contains(" echo ") && !modes.contains("-echo "), "{modes}");
    // As bash does before it continues a job.
    terminal.send_line("stty echo; fg");
    terminal.expect("login openai");
    // The prompt is silent; whether it listens again is seen in its modes only.
    crate::support::eventually("the prompt without echo", || terminal.echo_is_off().then_some(()));
    terminal.send_line("sk-typed");
    let shown = terminal.expect("Signed in to openai");
    assert!(!shown.contains("sk-typed"), "{shown}");
    terminal.send_line("stty -a; exit");
    let modes = terminal.rest();
    assert!(modes.contains(" echo ") && !modes.contains("-echo "), "{modes}");
}

#[test]
fn an_interrupt_at_a_list_gives_the_cursor_back() {
    let sandbox = sandbox();
    store(&sandbox, "openai", "sk-1");
    let script = "trap : INT; authctl exec -- true; echo code $?; stty -a";
    let mut terminal = Terminal::with_escapes(shell(&sandbox, script));
    terminal.expect("Which credentials should true get?");
    terminal.control('c');
    let until_the_end = terminal.expect("code ");
    assert!(until_the_end.contains("\u{1b}[?25h"), "{until_the_end:?}");
    let rest = finish(terminal);
    assert!(!rest.starts_with('0'), "{rest}");
    assert!(rest.contains(" echo ") && rest.contains(" icanon"), "{rest}");
}

// ------------------------------------------------------------------------------------ choices of exec

/// A program of the project that says which keys it got.
fn write_agent(sandbox: &Sandbox) -> String {
    use std::os::unix::fs::PermissionsExt;
    let agent = sandbox.path("work/agent");
    std::fs::write(&agent, "#!/bin/sh\necho \"keys <$OPENAI_API_KEY> <$GROQ_API_KEY>\"\n").unwrap();
    std::fs::set_permissions(&agent, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::create_dir_all(sandbox.path("work/.git")).unwrap();
    agent.to_str().unwrap().to_owned()
}

fn with_two_keys() -> Sandbox {
    let sandbox = sandbox();
    store(&sandbox, "openai", "sk-1");
    store(&sandbox, "groq", "gsk-2");
    sandbox
}

/// Picks `openai`, the second of the list, and answers whether that shall be remembered.
fn pick_openai(sandbox: &Sandbox, arguments: &[&str], remember: Option<&str>) -> String {
    let mut terminal = at_terminal(sandbox, arguments);
    terminal.expect("openai");
    terminal.send("j \r");
    if let Some(answer) = remember {
        terminal.expect("Always hand openai to");
        terminal.send_line(answer);
    }
    finish(terminal)
}

#[test]
fn exec_asks_what_to_hand_over_and_remembers_it_for_the_program_in_the_project() {
    let sandbox = with_two_keys();
    let agent = write_agent(&sandbox);
    let shown = pick_openai(&sandbox, &["exec", "--", &agent], Some("y"));
    assert!(shown.contains("keys <sk-1> <>"), "{shown}");
    // No terminal is needed any more.
    let again = sandbox.run(["exec", "--", &agent]);
    assert!(again.stderr.contains("--ask"), "{again:?}");
    assert_eq!(again.success(), "keys <sk-1> <>\n");
    // Another program, or the same one in another project, is another question.
    sandbox.run(["exec", "--", "true"]).failure(125);
    let mut elsewhere = sandbox.command(["exec", "--", &agent]);
    elsewhere.current_dir(sandbox.path("home"));
    sandbox.start(elsewhere).finish().failure(125);
    // The answer is taken back by answering anew.
    pick_openai(&sandbox, &["exec", "--ask", "--", &agent], Some("n"));
    sandbox.run(["exec", "--", &agent]).failure(125);
}

#[test]
fn a_damaged_answer_is_asked_for_anew() {
    let sandbox = with_two_keys();
    let agent = write_agent(&sandbox);
    pick_openai(&sandbox, &["exec", "--", &agent], Some("y"));
    let is_choice = |path: &std::path::PathBuf| path.to_string_lossy().contains("/choices/");
    let choice = sandbox.files().into_iter().find(is_choice).unwrap();
    std::fs::write(&choice, "{").unwrap();
    let said = sandbox.run(["exec", "--", &agent]).failure(125);
    assert!(said.contains("cannot be read") && said.contains("Stored are: groq, openai"), "{said}");
    pick_openai(&sandbox, &["exec", "--", &agent], Some("y"));
    assert_eq!(sandbox.run(["exec", "--", &agent]).success(), "keys <sk-1> <>\n");
}

#[test]
fn an_answer_for_a_shell_or_a_launcher_is_never_remembered() {
    let sandbox = with_two_keys();
    for program in ["sh", "env"] {
        let command = ["exec", "--", program, "-c", "echo \"<$OPENAI_API_KEY>\""];
        let command = if program == "env" { &command[..3] } else { &command[..] };
        let shown = pick_openai(&sandbox, command, None);
        assert!(shown.contains("sk-1") && !shown.contains("Always"), "{shown}");
        sandbox.run(command).failure(125);
    }
}

#[test]
fn whoever_chooses_nothing_starts_nothing() {
    let sandbox = with_two_keys();
    let mut terminal = at_terminal(&sandbox, &["exec", "--", "touch", "started"]);
    terminal.expect("openai");
    terminal.send("\r");
    terminal.expect("no credential was chosen");
    terminal.rest();
    assert_eq!(terminal.status(), 125);
    assert!(!sandbox.path("work/started").exists());
}

#[test]
fn no_input_asks_nothing_at_a_terminal() {
    let sandbox = with_two_keys();
    for (arguments, code) in [
        (&["--no-input", "login", "mistral"][..], 4),
        (&["--no-input", "login", "github"], 2),
        (&["--no-input", "login", "box"], 4),
        (&["--no-input", "exec", "--", "true"], 125),
        (&["--no-input", "permission", "allow", "openai"], 4),
    ] {
        let mut terminal = at_terminal(&sandbox, arguments);
        let shown = terminal.rest();
        assert!(shown.contains("error:"), "{shown}");
        assert_eq!(terminal.status(), code, "{shown}");
    }
}

// ------------------------------------------------------------------------------ agents at the keyboard

#[test]
fn a_person_permits_agents_to_print_one_credential_and_takes_it_back() {
    let mut sandbox = with_two_keys();
    let mut terminal = at_terminal(&sandbox, &["permission", "allow", "openai"]);
    terminal.expect("Let coding agents print the openai credential?");
    terminal.send_line("y");
    let shown = finish(terminal);
    assert!(shown.contains("may now print openai"), "{shown}");

    sandbox.env("CLAUDECODE", "1");
    assert_eq!(token(&sandbox, "openai"), "sk-1");
    sandbox.run(["token", "groq"]).failure(1);
    // A new key keeps the id, and the permission with it; a new sign-in does not.
    store(&sandbox, "openai", "sk-3");
    assert_eq!(token(&sandbox, "openai"), "sk-3");
    sandbox.run(["logout", "openai"]).success();
    store(&sandbox, "openai", "sk-4");
    sandbox.run(["token", "openai"]).failure(1);
}

#[test]
fn a_permission_that_is_taken_back_is_gone() {
    let mut sandbox = with_two_keys();
    let mut terminal = at_terminal(&sandbox, &["permission", "allow", "openai"]);
    terminal.expect("Let coding agents");
    terminal.send_line("y");
    finish(terminal);
    sandbox.run(["permission", "withdraw", "openai"]).success();
    sandbox.env("CLAUDECODE", "1");
    sandbox.run(["token", "openai"]).failure(1);
}

#[test]
fn an_agent_at_a_terminal_cannot_permit_itself() {
    let mut sandbox = with_two_keys();
    sandbox.env("CLAUDECODE", "1");
    let mut terminal = at_terminal(&sandbox, &["permission", "allow", "openai"]);
    terminal.expect("only a person");
    terminal.rest();
    assert_eq!(terminal.status(), 1);
}

// --------------------------------------------------------------------------------------- device codes

/// Whether the code for a phone is shown in a terminal of that width.
fn device_login(columns: u16) -> String {
    let server = AuthorizationServer::start();
    server.rules(|rules| rules.person = Person::Waits);
    let sandbox = Sandbox::new();
    sandbox.write_config(&format!(
        "[provider.demo.oauth]\nissuer = \"{}\"\nclient = \"register\"\ngrants = [\"device_code\"]\n",
        server.issuer()
    ));
    let script = format!("stty cols {columns} rows 50; authctl login demo");
    let mut terminal = Terminal::start(shell(&sandbox, &script));
    let mut shown = terminal.expect("Waiting for you");
    assert!(shown.contains(&format!("{}/device", server.issuer())), "{shown}");
    assert!(shown.contains("WDJB-"), "{shown}");
    server.approve_devices();
    shown.push_str(&finish(terminal));
    assert!(sandbox.opened_urls().is_empty());
    shown
}

#[test]
fn a_wide_terminal_shows_a_code_for_the_phone_and_a_narrow_one_does_not() {
    let is_code = |shown: &str| shown.contains('▀') || shown.contains('█');
    let (wide, narrow) = (device_login(100), device_login(50));
    assert!(is_code(&wide), "{wide}");
    assert!(!is_code(&narrow), "{narrow}");
}
