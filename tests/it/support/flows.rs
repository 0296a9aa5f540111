//! Every way in which a credential is got, used and given back, one after the other in one sandbox:
//! what the guarantees of secrecy look at.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;
use url::Url;

use super::authorization_server::{AuthorizationServer, Endpoint};
use super::browser;
use super::sandbox::{AUTHCTL, Output, Running, Sandbox};

/// A sandbox with six providers, and their servers.
pub struct Flows {
    pub sandbox: Sandbox,
    pub server: AuthorizationServer,
    /// Registers clients, and gives each a secret.
    pub registrar: AuthorizationServer,
    /// The program before authctl on the command line, with its arguments: `strace -f`, `setpriv …`.
    pub wrapper: Vec<OsString>,
    /// Flags of every command.
    pub flags: Vec<&'static str>,
    /// Handed over by the tests rather than issued by a server.
    pub key: String,
    pub file_key: String,
    pub password: String,
}

/// A command that ended.
#[derive(Debug)]
pub struct Ran {
    pub command: String,
    pub output: Output,
}

impl Flows {
    pub fn new() -> Self {
        let server = AuthorizationServer::start();
        let registrar = AuthorizationServer::start();
        server.register("public", None);
        server.register("robot", Some(&random("robot-secret")));
        registrar.rules(|rules| {
            rules.edit_metadata = |metadata| {
                metadata["token_endpoint_auth_methods_supported"] =
                    serde_json::json!(["client_secret_basic"]);
            };
        });
        let sandbox = Sandbox::new();
        sandbox.write_config(&config(&server.issuer(), &registrar.issuer()));
        // Under a umask of 777 the browser of the sandbox could not write what it makes itself.
        std::fs::write(sandbox.path("opened-urls"), "").unwrap();
        let [key, file_key, password] = ["key", "file-key", "pass/word+"].map(random);
        let (wrapper, flags) = (Vec::new(), Vec::new());
        Self { sandbox, server, registrar, wrapper, flags, key, file_key, password }
    }

    /// Runs them all. Each command succeeds.
    pub fn run(&self) -> Vec<Ran> {
        let robot_secret = self.secret_of_the_robot();
        std::fs::write(self.sandbox.path("work/key"), &self.file_key).unwrap();
        let manifest = "with = [\"piped\", \"web=MY_TOKEN\"]\nenv_header = [\"AUTH=named\"]\n";
        std::fs::write(self.sandbox.path("work/authctl.toml"), manifest).unwrap();
        let env = ["--", "env"];
        let ran = vec![
            self.command(&["login", "piped", "--with-key"], &self.key),
            self.command(&["login", "filed", "--key-file", "key"], ""),
            self.command(&["login", "named", "--user", "me"], &self.password),
            self.browse("web"),
            self.browse("registered"),
            self.command(&["login", "device"], ""),
            self.command(&["login", "robot", "--client-secret-file", "-"], &robot_secret),
            self.command(&["status"], ""),
            self.command(&["token", "web", "--refresh"], ""),
            self.command(&["token", "registered", "--refresh", "--header"], ""),
            self.command(&["token", "device", "--refresh"], ""),
            self.command(&["token", "robot", "--refresh"], ""),
            self.command(&["token", "named", "--header"], ""),
            self.command(&[&["exec", "--with", "piped,filed,web"][..], &env].concat(), ""),
            self.command(&[&["exec", "--mask", "--with", "robot,named"][..], &env].concat(), ""),
            self.command(&["trust", "--show"], ""),
            self.command(&["trust", "--hash", &self.hash_of_the_manifest()], ""),
            self.command(&[&["exec"][..], &env].concat(), ""),
            self.command(&["trust", "--list"], ""),
            self.command(&["trust", "--revoke"], ""),
            self.command(&["permission", "list"], ""),
            self.command(&["permission", "withdraw", "web"], ""),
            self.command(&["status", "--check"], ""),
            self.command(&["login", "piped", "--with-key"], &self.key),
            self.command(&["provider", "list"], ""),
            self.command(&["logout", "web"], ""),
            self.command(&["logout", "--all"], ""),
            self.command(&["log", "-n", "0"], ""),
        ];
        for file in ["work/key", "work/authctl.toml"] {
            std::fs::remove_file(self.sandbox.path(file)).unwrap();
        }
        for Ran { command, output } in &ran {
            assert!(output.status.success(), "{command}: {output:?}");
        }
        ran
    }

    /// The same without the end: everything is still stored.
    pub fn sign_in_everywhere(&self) {
        self.command(&["login", "piped", "--with-key"], &self.key);
        self.browse("web");
        self.command(&["login", "device"], "");
        let secret = self.secret_of_the_robot();
        self.command(&["login", "robot", "--client-secret-file", "-"], &secret);
    }

    /// One command with `input` on its stdin, to its end.
    pub fn command(&self, arguments: &[&str], input: &str) -> Ran {
        let mut running = self.start(arguments);
        // A command that does not read its input ends early.
        let _ = running.child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran { command: arguments.join(" "), output: running.finish() }
    }

    /// Signs in with a browser that goes where it is sent.
    pub fn browse(&self, name: &str) -> Ran {
        std::fs::write(self.sandbox.path("opened-urls"), "").unwrap();
        let mut running = self.start(&["login", name]);
        browser::open(&running.opened_url());
        Ran { command: format!("login {name}"), output: running.finish() }
    }

    /// A command that runs while the test does something else.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.sandbox.start(self.prepare(arguments))
    }

    /// authctl inside the wrapper, with a pipe on its stdin.
    pub fn prepare(&self, arguments: &[&str]) -> Command {
        let mut words = self.wrapper.clone();
        words.push(AUTHCTL.into());
        words.extend(self.flags.iter().map(OsString::from));
        words.extend(arguments.iter().map(OsString::from));
        let mut command = self.sandbox.program(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped());
        command
    }

    /// What must never be seen: issued, handed over, sent to a token endpoint.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![self.key.clone(), self.file_key.clone(), self.password.clone()];
        for server in [&self.server, &self.registrar] {
            secrets.extend(server.secrets());
            for endpoint in [Endpoint::Token, Endpoint::Device, Endpoint::Revoke] {
                for request in server.requests(endpoint) {
                    let form = request.form().into_iter();
                    let secret = form.filter(|(name, _)| SECRET_PARAMETERS.contains(&&**name));
                    secrets.extend(secret.map(|(_, value)| value));
                    let basic = request.header("authorization");
                    secrets.extend(basic.map(|value| value.trim_start_matches("Basic ").into()));
                }
            }
        }
        secrets.sort();
        secrets.dedup();
        secrets
    }

    fn hash_of_the_manifest(&self) -> String {
        let shown = self.sandbox.run(["trust", "--show", "--json"]).json();
        shown["hash"].as_str().unwrap().to_owned()
    }

    fn secret_of_the_robot(&self) -> String {
        let is_its = |secret: &String| secret.starts_with("robot-secret");
        self.server.secrets().into_iter().find(is_its).unwrap()
    }
}

const SECRET_PARAMETERS: [&str; 6] =
    ["client_secret", "code", "code_verifier", "device_code", "refresh_token", "token"];

fn config(issuer: &str, registrar: &str) -> String {
    let oauth = |name: &str, grant: &str, rest: &str| {
        let variable = name.to_uppercase();
        format!(
            "[provider.{name}.oauth]\nissuer = \"{issuer}\"\ngrants = [\"{grant}\"]\n\
             variables = [\"{variable}_TOKEN\"]\nscopes = [\"read\"]\n{rest}\n"
        )
    };
    let public = "client_id = \"public\"\nauthentication = \"none\"";
    [
        "[provider.piped.api_key]\nvariables = [\"PIPED_KEY\", \"PIPED_OTHER_KEY\"]\n".to_owned(),
        "[provider.filed.api_key]\nvariables = [\"FILED_KEY\"]\n".to_owned(),
        "[provider.named.basic]\nvariables = [\"NAMED_PASSWORD\"]\n".to_owned(),
        oauth("web", "authorization_code", public),
        oauth("device", "device_code", public),
        oauth("robot", "client_credentials", "client_id = \"robot\""),
        format!(
            "[provider.registered.oauth]\nissuer = \"{registrar}\"\nclient = \"register\"\n\
             grants = [\"authorization_code\"]\nvariables = [\"REGISTERED_TOKEN\"]\n"
        ),
    ]
    .concat()
}

/// The address to which the browser would come back with these parameters.
pub fn callback(opened: &str, parameters: &[(&str, &str)], issuer: &str) -> Url {
    let opened = Url::parse(opened).unwrap();
    let of = |name: &str| {
        let found = opened.query_pairs().find(|(other, _)| other == name);
        found.unwrap_or_else(|| panic!("{opened} has no {name}")).1.into_owned()
    };
    let mut url = Url::parse(&of("redirect_uri")).unwrap();
    url.query_pairs_mut().append_pair("state", &of("state")).append_pair("iss", issuer);
    url.query_pairs_mut().extend_pairs(parameters);
    url
}

/// A secret that no other run has.
pub fn random(kind: &str) -> String {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).unwrap();
    format!("{kind}-{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// `secret` as it could stand in a file or a message: raw, in both alphabets of base64 at each of the
/// three offsets, percent-encoded, in hexadecimal, inside JSON.
pub fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let (mut lower, mut upper, mut percent) = (String::new(), String::new(), String::new());
    for byte in bytes {
        write!(lower, "{byte:02x}").unwrap();
        write!(upper, "{byte:02X}").unwrap();
        write!(percent, "%{byte:02X}").unwrap();
    }
    let in_json = Value::from(secret).to_string();
    let form: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let mut all =
        vec![secret.to_owned(), lower, upper, percent, form, in_json.trim_matches('"').to_owned()];
    for offset in 0..3 {
        let shifted = [&[0; 2][..offset], bytes].concat();
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            // Characters that also depend on what stands before and after.
            let first = (offset * 8).div_ceil(6);
            let last = shifted.len() * 8 / 6;
            all.push(text[first..last].to_owned());
        }
    }
    all.sort();
    all.dedup();
    all.into_iter().map(String::into_bytes).collect()
}

/// The spellings of `secrets` that occur in `bytes`.
pub fn found(secrets: &[String], bytes: &[u8]) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let spellings: Vec<Vec<u8>> = secrets.iter().flat_map(|secret| spellings(secret)).collect();
    let search = aho_corasick::AhoCorasick::new(&spellings).unwrap();
    search
        .find_overlapping_iter(bytes)
        .map(|hit| String::from_utf8_lossy(&spellings[hit.pattern().as_usize()]).into_owned())
        .collect()
}
