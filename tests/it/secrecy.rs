//! Guarantees of secrecy, through the real binary: where secrets rest, what is said, what stands in URLs,
//! what foreign text may do.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S1 | a secret rests in the keychain or the encrypted file, nowhere else | `no_secret_rests_in_a_file_in_any_spelling`, `nothing_is_written_outside_the_places_of_authctl` |
//! | S2 | no secret is printed or logged, nor in errors and panics | `no_way_through_authctl_prints_a_secret`, `a_server_that_quotes_the_request_is_not_repeated`, `a_redirect_that_quotes_its_code_is_not_repeated`; the panic hook: `src/lib.rs` |
//! | S5 | nothing secret in a URL, referrer, history or result page | `urls_and_pages_hold_nothing_secret`, `pages_of_failed_sign_ins_hold_nothing_secret` |
//! | S6 | foreign text is cleaned and cut before it is shown | `foreign_text_loses_its_power_on_a_pipe_and_at_a_terminal` |

use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use serde_json::{Value, json};
use url::Url;

use crate::real_parts::present;
use crate::support::authorization_server::{AuthorizationServer, Endpoint, Fault, RedirectIssuer};
use crate::support::browser;
use crate::support::flows::{Flows, Ran, callback, found, random};
use crate::support::http::{Answer, Request};
use crate::support::is_long;
use crate::support::pty::shown_at_a_terminal;
use crate::support::sandbox::{Running, Sandbox};

// ---------------------------------------------------------------------------------------------- S1

#[test]
fn no_secret_rests_in_a_file_in_any_spelling() {
    thread::scope(|scope| {
        for umask in ["000", "077", "777"] {
            scope.spawn(move || {
                let mut flows = Flows::new();
                let set = format!("umask {umask}; exec \"$@\"");
                flows.wrapper = ["sh", "-c", &set, "sh"].map(Into::into).into();
                flows.run();
                assert_clean_files(&flows);
                flows.sign_in_everywhere();
                let refreshed = flows.command(&["token", "web", "--refresh"], "");
                assert!(refreshed.output.status.success(), "{refreshed:?}");
                assert_clean_files(&flows);
                assert_modes(&flows.sandbox, umask);
            });
        }
    });
}

fn assert_clean_files(flows: &Flows) {
    let secrets = flows.secrets();
    assert!(secrets.len() > 20, "only {} secrets", secrets.len());
    let files = flows.sandbox.files();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let name = file.to_string_lossy().into_owned().into_bytes();
        let hits = found(&secrets, &[name, std::fs::read(&file).unwrap()].concat());
        assert_eq!(hits, Vec::<String>::new(), "{}", file.display());
    }
}

/// Of everything that authctl made: the configuration and the browser are the test's.
fn assert_modes(sandbox: &Sandbox, umask: &str) {
    let mut places: Vec<_> =
        ["home/.local", "locks", "tmp", "run"].map(|place| sandbox.path(place)).into();
    let mut count = 0;
    while let Some(place) = places.pop() {
        let metadata = std::fs::symlink_metadata(&place).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        let mode = metadata.permissions().mode() & 0o7777;
        assert_eq!(mode, expected, "{mode:o}: {}, umask {umask}", place.display());
        if metadata.is_dir() {
            let inside = std::fs::read_dir(&place).unwrap();
            places.extend(inside.map(|entry| entry.unwrap().path()));
        }
        count += 1;
    }
    assert!(count > 12, "only {count} places");
}

#[test]
fn nothing_is_written_outside_the_places_of_authctl() {
    if !present(&["strace"]) {
        return;
    }
    let mut flows = Flows::new();
    let log = flows.sandbox.path("strace");
    let calls = "trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat";
    flows.wrapper =
        ["strace", "-f", "-qq", "-y", "-A", "-s", "4096", "-e", calls, "-o"].map(Into::into).into();
    flows.wrapper.push(log.clone().into());
    flows.run();
    let text = std::fs::read_to_string(log).unwrap();
    let root = flows.sandbox.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "mkdir", "rename", "link", "creat("];
    let mut count = 0;
    for call in text.lines().filter(|call| writes.iter().any(|sign| call.contains(sign))) {
        // The path is the first text in quotes; every one of ours is absolute.
        let path = call.split('"').nth(1).unwrap_or_else(|| panic!("{call}"));
        let is_ours = path.starts_with(&root) || path.starts_with("/dev/");
        assert!(is_ours, "{call}");
        count += 1;
    }
    assert!(count > 50, "only {count} calls");
}

// ---------------------------------------------------------------------------------------------- S2

#[test]
fn no_way_through_authctl_prints_a_secret() {
    thread::scope(|scope| {
        for flag in [None, Some("--json"), Some("--quiet")] {
            scope.spawn(move || {
                let mut flows = Flows::new();
                flows.flags.extend(flag);
                let loud = [
                    ("RUST_LOG", "trace"),
                    ("RUST_BACKTRACE", "full"),
                    ("RUST_LIB_BACKTRACE", "1"),
                    ("DEBUG", "*"),
                    ("G_MESSAGES_DEBUG", "all"),
                ];
                for (name, value) in loud {
                    flows.sandbox.env(name, value);
                }
                let ran = flows.run();
                for ran in &ran {
                    assert_silent(ran, &flows.secrets());
                }
            });
        }
    });
}

/// Only `token`, and a child that prints its environment, may print secrets, and only on stdout.
#[track_caller]
fn assert_silent(ran: &Ran, secrets: &[String]) {
    let Ran { command, output } = ran;
    assert!(output.code() < 70 || output.code() == 75, "{ran:?}");
    assert_eq!(found(secrets, output.stderr.as_bytes()), Vec::<String>::new(), "{ran:?}");
    let is_its_task = command.starts_with("token")
        || (command.starts_with("exec") && !command.contains("--mask"));
    if !is_its_task {
        assert_eq!(found(secrets, output.stdout.as_bytes()), Vec::<String>::new(), "{ran:?}");
    }
}

/// What a server that quotes requests makes of one.
const QUOTES: [fn(&Request) -> Answer; 20] = [
    |request| refusal(&json!({ "error": "invalid_grant", "error_description": quoted(request) })),
    |request| refusal(&json!({ "error": "invalid_grant", "message": quoted(request) })),
    |request| {
        // The secret stands where messages are cut.
        let text = format!("{} {}", "x".repeat(215), quoted(request));
        refusal(&json!({ "error": "invalid_request", "error_description": text }))
    },
    |request| refusal(&json!({ "error": "invalid_client", "error_description": body(request) })),
    |request| {
        let shown = request.header("authorization").unwrap_or("none");
        refusal(&json!({ "error": "invalid_client", "error_description": shown }))
    },
    |request| refusal(&json!({ "error": quoted(request) })),
    |request| refusal(&json!({ "error": { "code": quoted(request), "message": body(request) } })),
    |request| refusal(&json!({ "ok": false, "error": format!("bad {}", quoted(request)) })),
    |request| granted(&json!({ "access_token": "t", "token_type": quoted(request) })),
    |request| granted(&json!({ "access_token": "t", "expires_in": quoted(request) })),
    |request| granted(&json!({ "access_token": "t", "scope": format!("ä {}", quoted(request)) })),
    |request| granted(&json!({ "access_token": format!("{}\n", quoted(request)) })),
    |request| granted(&json!({ "error": "access_denied", "error_description": quoted(request) })),
    |request| {
        let name = Value::from(quoted(request));
        Answer::new(200, "application/json", format!("{{{name}:1,{name}:2}}"))
    },
    |request| Answer::new(200, "application/json", format!("{{\"error\":\"{}", quoted(request))),
    |request| Answer::new(200, "text/html", format!("<h1>{}</h1>", quoted(request))),
    |request| Answer::new(500, "text/plain", quoted(request)),
    |request| Answer::new(429, "application/json", json!({ "error": quoted(request) }).to_string()),
    |request| Answer::empty(307).header("location", &format!("/else?{}", body(request))),
    |request| {
        let text = format!("error=invalid_grant&error_description={}", body(request));
        let challenge = format!("Basic realm=\"{}\"", body(request));
        Answer::new(401, "application/x-www-form-urlencoded", text)
            .header("www-authenticate", &challenge)
    },
];

fn refusal(body: &Value) -> Answer {
    Answer::json(400, body)
}

fn granted(body: &Value) -> Answer {
    Answer::json(200, body)
}

/// The values of the form that are long enough to be secrets, and the header.
fn quoted(request: &Request) -> String {
    let form = request.form().into_iter().map(|(_, value)| value);
    let mut values: Vec<String> = form.filter(|value| value.len() > 30).collect();
    values.sort_by_key(|value| value.starts_with("urn:") || value.starts_with("http"));
    values.extend(request.header("authorization").map(str::to_owned));
    values.join(" ")
}

fn body(request: &Request) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

#[test]
fn a_server_that_quotes_the_request_is_not_repeated() {
    let steps: [fn(&Flows, Fault) -> Ran; 5] = [
        |flows, fault| {
            flows.server.script(Endpoint::Token, fault);
            flows.browse("web")
        },
        |flows, fault| {
            flows.browse("web");
            flows.server.script(Endpoint::Token, fault);
            flows.command(&["token", "web", "--refresh"], "")
        },
        |flows, fault| {
            flows.server.script(Endpoint::Token, fault);
            flows.command(&["login", "device"], "")
        },
        |flows, fault| {
            flows.server.script(Endpoint::Token, fault);
            let secret = flows.server.secrets().into_iter().find(|s| s.starts_with("robot"));
            flows.command(&["login", "robot", "--client-secret-file", "-"], &secret.unwrap())
        },
        |flows, fault| {
            flows.browse("web");
            flows.server.script(Endpoint::Revoke, fault.clone());
            flows.server.script(Endpoint::Revoke, fault);
            flows.command(&["logout", "web"], "")
        },
    ];
    thread::scope(|scope| {
        for (index, step) in steps.into_iter().enumerate() {
            scope.spawn(move || {
                for (shape, quote) in QUOTES.into_iter().enumerate() {
                    // A device is asked about once a second, and the pauses add up.
                    if !is_long() && index == 2 && shape % 4 != 0 {
                        continue;
                    }
                    let flows = Flows::new();
                    let ran = step(&flows, Fault::Reply(quote));
                    println!("step {index}, shape {shape}: {}", ran.output.stderr);
                    let secrets = flows.secrets();
                    assert_silent(&ran, &secrets);
                    // The reason may have been kept with the credential.
                    assert_silent(&flows.command(&["status"], ""), &secrets);
                    assert_silent(&flows.command(&["status", "--json"], ""), &secrets);
                    assert_clean(&flows, &secrets);
                    flows.server.complaints();
                }
            });
        }
    });
}

fn assert_clean(flows: &Flows, secrets: &[String]) {
    for file in flows.sandbox.files() {
        let hits = found(secrets, &std::fs::read(&file).unwrap());
        assert_eq!(hits, Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn a_redirect_that_quotes_its_code_is_not_repeated() {
    let flows = Flows::new();
    let mut running = flows.start(&["login", "web"]);
    let code = random("code");
    let text = format!("{} is not for you, {code}", "x".repeat(225 - code.len()));
    let url = callback(
        &running.opened_url(),
        &[("error", &code), ("error_description", &text), ("code", &code)],
        &flows.server.issuer(),
    );
    browser::open(url.as_str());
    let output = running.finish();
    assert_eq!(output.code(), 1, "{output:?}");
    assert_silent(&Ran { command: "login web".into(), output }, &[code]);
}

// ---------------------------------------------------------------------------------------------- S5

#[test]
fn urls_and_pages_hold_nothing_secret() {
    let flows = Flows::new();
    let mut running = flows.start(&["login", "web"]);
    let opened = running.opened_url();
    let pages = browser::history(&opened);
    running.finish().success();
    flows.command(&["token", "web", "--refresh"], "").output.success();
    flows.command(&["logout", "web"], "").output.success();

    let secrets = flows.secrets();
    // What the browser was sent to: state and challenge, as the protocol asks; nothing else is ours.
    let names: Vec<String> =
        Url::parse(&opened).unwrap().query_pairs().map(|(name, _)| name.into_owned()).collect();
    let mut expected = vec![
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
    ];
    expected.sort_unstable();
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(found(&secrets, opened.as_bytes()), Vec::<String>::new());

    for endpoint in [Endpoint::Metadata, Endpoint::Token, Endpoint::Revoke] {
        for request in flows.server.requests(endpoint) {
            assert_eq!(request.query, [], "{request:?}");
            assert_eq!(request.header("referer"), None, "{request:?}");
            assert_eq!(request.header("cookie"), None, "{request:?}");
        }
    }

    let [authorize, redirect, done] = &pages[..] else { panic!("{pages:?}") };
    assert_eq!((authorize.status, redirect.status, done.status), (302, 303, 200));
    assert_eq!(redirect.header("location"), Some("/done"));
    assert_eq!((done.url.path(), done.url.query(), done.url.fragment()), ("/done", None, None));
    let state = callback(&opened, &[], "").query_pairs().next().unwrap().1.into_owned();
    for page in [redirect, done] {
        assert_private(page, &secrets, &state);
    }
}

/// Headers and body of a page of the redirect listener.
#[track_caller]
fn assert_private(page: &browser::Page, secrets: &[String], state: &str) {
    let all = format!("{:?}\n{}", page.headers, page.body);
    assert_eq!(found(secrets, all.as_bytes()), Vec::<String>::new(), "{page:?}");
    assert!(!all.contains(state), "{page:?}");
    assert_eq!(page.header("cache-control"), Some("no-store"), "{page:?}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{page:?}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{page:?}");
    assert_eq!(page.header("set-cookie"), None, "{page:?}");
    let policy = page.header("content-security-policy").unwrap_or_default();
    for directive in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'none'"] {
        assert!(policy.contains(directive), "{page:?}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{page:?}");
    assert!(!page.body.contains("<script") && !page.body.contains("http:"), "{page:?}");
}

#[test]
fn pages_of_failed_sign_ins_hold_nothing_secret() {
    let code = random("code");
    let marked = "<img src=x onerror=alert(1)>";
    let failures: [&[(&str, &str)]; 4] = [
        &[("error", "access_denied"), ("error_description", marked)],
        &[("error", marked), ("code", &code)],
        &[("code", &code), ("code", &code)],
        &[],
    ];
    for parameters in failures {
        let flows = Flows::new();
        let mut running = flows.start(&["login", "web"]);
        let opened = running.opened_url();
        let url = callback(&opened, parameters, &flows.server.issuer());
        let state = url.query_pairs().next().unwrap().1.into_owned();
        let foreign = url.as_str().replace(&state, "foreign");
        let mut pages = browser::history(&foreign);
        pages.extend(browser::history(url.as_str()));
        assert_eq!(pages.len(), 3, "{pages:?}");
        assert_eq!(pages[2].url.query(), None);
        for page in &pages {
            assert_private(page, std::slice::from_ref(&code), &state);
            assert!(!page.body.contains("<img"), "{page:?}");
        }
        running.finish().failure(1);
    }
}

// ---------------------------------------------------------------------------------------------- S6

/// Sixty things that text can do to a terminal, each followed by a sign of where it came from.
fn payloads() -> Vec<String> {
    let mut payloads: Vec<String> = Vec::new();
    // CSI in both forms, with what it can do: colour, cursor, erase, modes, reports, scroll.
    for introducer in ["\u{1b}[", "\u{9b}"] {
        for end in
            ["31m", "2J", "1;1H", "10A", "2K", "?25l", "?1049h", "6n", "5i", "!p", "20t", "r"]
        {
            payloads.push(format!("{introducer}{end}"));
        }
    }
    // OSC: title, links, clipboard, notifications, colours; ended by BEL, ST and not at all.
    for command in
        ["0;title", "2;title", "8;;http://evil.example", "52;c;cm0gLXJm", "9;hello", "4;0;#fff"]
    {
        payloads.push(format!("\u{1b}]{command}\u{7}"));
        payloads.push(format!("\u{1b}]{command}\u{1b}\\"));
        payloads.push(format!("\u{9d}{command}\u{9c}"));
    }
    // DCS, SOS, PM, APC, reset, character sets.
    payloads.extend(
        [
            "\u{1b}P$q\"p\u{1b}\\",
            "\u{90}+q\u{9c}",
            "\u{1b}X",
            "\u{1b}^",
            "\u{1b}_Gx\u{1b}\\",
            "\u{1b}c",
            "\u{1b}(0",
            "\u{e}",
        ]
        .map(Into::into),
    );
    // Overwriting, and everything in C0 and C1.
    payloads.push("\u{8}".repeat(40));
    payloads.push("\rerror: nothing happened\u{1b}[K".into());
    payloads.push("a\nerror: a second line\n\u{b}\u{c}\u{85}\u{2028}\u{2029}".into());
    payloads.push((1..=0x1f).chain(0x7f..=0x9f).filter_map(char::from_u32).collect());
    // Order and invisibility.
    payloads.push("\u{202e}gnp.exe\u{202c}\u{2066}x\u{2069}\u{200f}\u{61c}".into());
    payloads.push("pay\u{200b}pal\u{200d}\u{2060}\u{feff}\u{ad}\u{180e}".into());
    payloads.push("\u{e0041}\u{e0042}\u{fe0f}\u{fff9}\u{3164}\u{115f}".into());
    payloads.push("x".repeat(1 << 20));
    payloads.push("\u{1b}[31m".repeat(100_000));
    payloads.push("\u{202e}".repeat(100_000));
    payloads
}

/// Where foreign text comes from: sets it up, and says what to run.
type Field = (&'static str, fn(&mut Foreign, &str) -> Vec<String>);

struct Foreign {
    sandbox: Sandbox,
    server: AuthorizationServer,
    /// What the browser comes back with.
    redirect: Vec<(String, String)>,
    config: String,
    input: &'static str,
}

const FIELDS: [Field; 24] = [
    ("error_description of a token answer", |foreign, text| {
        foreign.refuse(&json!({ "error": "invalid_scope", "error_description": text }))
    }),
    ("error of a token answer", |foreign, text| foreign.refuse(&json!({ "error": text }))),
    ("message of an error object", |foreign, text| {
        foreign.refuse(&json!({ "error": { "code": text, "message": text } }))
    }),
    ("token_type", |foreign, text| {
        foreign.refuse(&json!({ "access_token": "t", "token_type": text }))
    }),
    ("access_token", |foreign, text| foreign.refuse(&json!({ "access_token": text }))),
    ("scope", |foreign, text| foreign.refuse(&json!({ "access_token": "t", "scope": text }))),
    ("a repeated key", |foreign, text| {
        let key = Value::from(text);
        foreign.answer(Endpoint::Token, format!("{{{key}:1,{key}:2}}"));
        words(&["login", "robot", "--client-secret-file", "secret"])
    }),
    ("issuer of the metadata", |foreign, text| foreign.describe("issuer", text)),
    ("authorization_endpoint", |foreign, text| {
        foreign.describe("authorization_endpoint", &format!("https://as.example/{text}"))
    }),
    ("token_endpoint", |foreign, text| {
        foreign.describe("token_endpoint", &format!("https://as.example/{text}"))
    }),
    ("host of the token_endpoint", |foreign, text| {
        foreign.describe("token_endpoint", &format!("https://as{text}.example/"))
    }),
    ("user_code", |foreign, text| foreign.device("user_code", text)),
    ("verification_uri", |foreign, text| {
        foreign.device("verification_uri", &format!("https://as.example/{text}"))
    }),
    ("verification_uri_complete", |foreign, text| {
        foreign.device("verification_uri_complete", &format!("https://as.example/{text}"))
    }),
    ("error of the redirect", |foreign, text| foreign.come_back("error", text)),
    ("error_description of the redirect", |foreign, text| {
        foreign.redirect.push(("error".into(), "access_denied".into()));
        foreign.come_back("error_description", text)
    }),
    ("iss of the redirect", |foreign, text| {
        foreign.server.rules(|rules| rules.redirect_issuer = RedirectIssuer::Other(text.into()));
        foreign.come_back("iss", text)
    }),
    ("title and note of a provider", |foreign, text| {
        let text = toml_text(text);
        foreign.config =
            format!("[provider.x]\ntitle = {text}\nnote = {text}\n[provider.x.api_key]\n");
        words(&["provider", "show", "x"])
    }),
    ("title of a provider in the list", |foreign, text| {
        foreign.config =
            format!("[provider.x]\ntitle = {}\n[provider.x.api_key]\n", toml_text(text));
        words(&["provider", "list"])
    }),
    ("a wrong key of the configuration", |foreign, text| {
        foreign.config = format!("{} = 1\n", toml_text(text));
        words(&["status"])
    }),
    ("a wrong value of the configuration", |foreign, text| {
        let text = toml_text(text);
        foreign.config = format!("[provider.x.oauth]\nissuer = {text}\ngrants = [{text}]\n");
        words(&["status"])
    }),
    ("AUTHCTL_STORE and AUTHCTL_ACCOUNT", |foreign, text| {
        let text = for_environment(text);
        foreign.sandbox.env("AUTHCTL_STORE", &text).env("AUTHCTL_ACCOUNT", &text);
        words(&["token", "robot"])
    }),
    ("AUTHCTL_INJECTED and a given token", |foreign, text| {
        let text = for_environment(text);
        foreign.sandbox.env("AUTHCTL_INJECTED", &text).env("AUTHCTL_PIPED_TOKEN", &text);
        words(&["exec", "--with", "piped", "--", "true"])
    }),
    ("names and programs on the command line", |_, text| {
        let text = for_environment(text);
        words(&["exec", "--with", &text, "--", &text])
    }),
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The text as TOML's basic strings write it.
fn toml_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars().take(200_000) {
        match character {
            ' '..='~' if !matches!(character, '"' | '\\') => quoted.push(character),
            other => write!(quoted, "\\U{:08X}", u32::from(other)).unwrap(),
        }
    }
    quoted + "\""
}

/// As much as one argument or variable can be long.
fn for_environment(text: &str) -> String {
    text.chars().take(30_000).collect()
}

impl Foreign {
    fn new() -> Self {
        let server = AuthorizationServer::start();
        server.register("public", None);
        let issuer = server.issuer();
        let oauth = |name: &str, grant: &str| {
            format!(
                "[provider.{name}.oauth]\nissuer = \"{issuer}\"\ngrants = [\"{grant}\"]\n\
                 client_id = \"public\"\nauthentication = \"none\"\n"
            )
        };
        let config = [
            "[provider.piped.api_key]\nvariables = [\"PIPED_KEY\"]\n".to_owned(),
            oauth("web", "authorization_code"),
            oauth("device", "device_code"),
            oauth("robot", "client_credentials"),
        ]
        .concat();
        let mut sandbox = Sandbox::new();
        sandbox.env("NO_COLOR", "1");
        std::fs::write(sandbox.path("work/secret"), "s3cret").unwrap();
        Self { sandbox, server, redirect: Vec::new(), config, input: "" }
    }

    fn answer(&self, endpoint: Endpoint, json: impl Into<String>) {
        self.server.script(endpoint, Fault::Json(json.into()));
    }

    fn refuse(&mut self, answer: &Value) -> Vec<String> {
        self.answer(Endpoint::Token, answer.to_string());
        words(&["login", "robot", "--client-secret-file", "secret"])
    }

    fn describe(&mut self, key: &str, text: &str) -> Vec<String> {
        let at = |path: &str| format!("{}{path}", self.server.issuer());
        let mut metadata = json!({
            "issuer": at(""), "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"), "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        });
        metadata[key] = text.into();
        self.answer(Endpoint::Metadata, metadata.to_string());
        self.redirect.push(("error".into(), "x".into()));
        words(&["login", "web"])
    }

    fn device(&mut self, key: &str, text: &str) -> Vec<String> {
        let mut answer = json!({
            "device_code": "d", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 1,
            "verification_uri": "https://as.example/",
        });
        answer[key] = text.into();
        self.answer(Endpoint::Device, answer.to_string());
        self.answer(Endpoint::Token, json!({ "error": "access_denied" }).to_string());
        words(&["login", "device"])
    }

    fn come_back(&mut self, key: &str, text: &str) -> Vec<String> {
        // A head of more than 16 KiB never reaches the sign-in.
        self.redirect.push((key.into(), text.chars().take(1_000).collect()));
        words(&["login", "web"])
    }
}

#[test]
fn foreign_text_loses_its_power_on_a_pipe_and_at_a_terminal() {
    let payloads = payloads();
    assert!(payloads.len() >= 60, "{}", payloads.len());
    let payloads = &payloads;
    let long = is_long();
    thread::scope(|scope| {
        for (offset, (what, field)) in FIELDS.into_iter().enumerate() {
            scope.spawn(move || {
                // Every field meets every payload in the long run, else each payload one field of five.
                for (index, payload) in payloads.iter().enumerate() {
                    if !long && (index + offset) % 12 != 0 {
                        continue;
                    }
                    let text = format!("foreign {payload} text");
                    for at_terminal in [false, true] {
                        let shown = show(field, &text, at_terminal);
                        assert_harmless(&shown, &format!("{what}, payload {index}, {at_terminal}"));
                    }
                }
            });
        }
    });
}

fn show(field: fn(&mut Foreign, &str) -> Vec<String>, text: &str, at_terminal: bool) -> Vec<u8> {
    let mut foreign = Foreign::new();
    let arguments = field(&mut foreign, text);
    foreign.sandbox.write_config(&foreign.config);
    let mut command = foreign.sandbox.command(arguments);
    let redirect = foreign.redirect.clone();
    let opened = foreign.sandbox.path("opened-urls");
    let ended = &AtomicBool::new(false);
    let shown = thread::scope(|scope| {
        // The browser comes back with what was prepared, if it was opened at all.
        scope.spawn(move || {
            while !redirect.is_empty() && !ended.load(SeqCst) {
                let urls = std::fs::read_to_string(&opened).unwrap_or_default();
                if let Some(url) = urls.lines().next() {
                    let url = Url::parse(url).unwrap();
                    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
                    let of = |name: &str| pairs.iter().find(|(n, _)| n == name).unwrap().1.clone();
                    let mut back = Url::parse(&of("redirect_uri")).unwrap();
                    back.query_pairs_mut()
                        .append_pair("state", &of("state"))
                        .extend_pairs(&redirect);
                    let _ = std::panic::catch_unwind(|| browser::open(back.as_str()));
                    return;
                }
                thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let shown = if at_terminal {
            command.stdin(Stdio::inherit());
            shown_at_a_terminal(command)
        } else {
            command.stdin(Stdio::piped());
            let mut running: Running = foreign.sandbox.start(command);
            let _ = running.child.stdin.take().unwrap().write_all(foreign.input.as_bytes());
            let output = running.finish();
            assert!(output.code() != 70 && output.code() != 101, "{output:?}");
            format!("{}{}", output.stdout, output.stderr).into_bytes()
        };
        ended.store(true, SeqCst);
        shown
    });
    foreign.server.complaints();
    shown
}

/// No control but the line end, nothing that reorders or hides, no line that a terminal would not hold.
#[track_caller]
fn assert_harmless(shown: &[u8], what: &str) {
    let text = std::str::from_utf8(shown).unwrap_or_else(|error| panic!("{what}: {error}"));
    let text = text.replace("\r\n", "\n");
    assert!(!text.trim().is_empty(), "{what}: nothing was said");
    assert!(text.len() < 16 * 1024, "{what}: {} bytes were said", text.len());
    for character in text.chars() {
        let is_power = (character.is_control() && character != '\n')
            || matches!(character,
                '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe0f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        assert!(
            !is_power,
            "{what}: {character:?} in {:?}",
            text.chars().take(2_000).collect::<String>()
        );
    }
    assert!(!text.contains("\nerror: a second line"), "{what}: a line was forged: {text}");
}
