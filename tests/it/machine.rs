//! Machines that sign in: clients that prove themselves with a key, identities of CI jobs and pods that
//! become access tokens without any stored key, exchanges, and sign-ins that an enterprise has decided.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::real_parts::present;
use crate::support::flows::found;
use crate::support::http::{Answer, Request, Server};
use crate::support::sandbox::{AUTHCTL, Sandbox};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What permits a job to ask for identity tokens.
const PERMIT: &str = "permit-hunter2";

type Form = Vec<(String, String)>;

/// An authorization server, and GitHub's identity tokens at `/ci`.
struct Authority {
    server: Server,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    forms: Vec<Form>,
    identities: usize,
    /// How long access tokens live.
    life: Option<u64>,
    /// The answer of the token endpoint, instead of a token.
    answer: Option<(u16, Value)>,
    /// What the tokens of `/ci` are for, instead of what was asked.
    audience: Option<String>,
}

impl Authority {
    fn start() -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let own = Arc::clone(&seen);
        let server = Server::start(move |request| own.lock().unwrap().answer(request));
        Self { server, seen }
    }

    fn issuer(&self) -> String {
        self.server.origin()
    }

    /// What was asked at the token endpoint, oldest first.
    fn forms(&self) -> Vec<Form> {
        self.seen.lock().unwrap().forms.clone()
    }

    fn last(&self, name: &str) -> Option<String> {
        value(self.forms().last().unwrap(), name)
    }

    fn set(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
    }

    /// Makes the sandbox a job of GitHub Actions.
    fn run_job(&self, sandbox: &mut Sandbox) {
        let url = format!("{}/ci?api-version=2.0", self.issuer());
        sandbox.env("ACTIONS_ID_TOKEN_REQUEST_URL", url);
        sandbox.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", PERMIT).env("CI", "true");
    }
}

impl Seen {
    fn answer(&mut self, request: &Request) -> Answer {
        match request.path.as_str() {
            "/.well-known/oauth-authorization-server" => {
                let origin = format!("http://{}", request.header("host").unwrap());
                Answer::json(
                    200,
                    &json!({
                        "issuer": origin,
                        "token_endpoint": format!("{origin}/token"),
                        "revocation_endpoint": format!("{origin}/revoke"),
                        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256"],
                    }),
                )
            }
            "/token" => {
                self.forms.push(request.form());
                let grant = value(&request.form(), "grant_type").unwrap();
                self.token(grant != "client_credentials")
            }
            "/revoke" => {
                self.forms.push(request.form());
                Answer::empty(200)
            }
            "/ci" => self.identity(request),
            _ => Answer::empty(404),
        }
    }

    fn token(&self, with_refresh_token: bool) -> Answer {
        if let Some((status, body)) = &self.answer {
            return Answer::json(*status, body);
        }
        let token = format!("access-{}", self.forms.len());
        let life = self.life.unwrap_or(3600);
        Answer::json(
            200,
            &json!({
                "access_token": token, "token_type": "Bearer", "expires_in": life,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "refresh_token": with_refresh_token.then_some("not-wanted"),
            }),
        )
    }

    fn identity(&mut self, request: &Request) -> Answer {
        if request.header("authorization") != Some(&format!("bearer {PERMIT}")) {
            return Answer::empty(401);
        }
        let asked = request.query.iter().find(|(name, _)| name == "audience").unwrap().1.clone();
        assert!(request.query.iter().any(|(name, _)| name == "api-version"));
        self.identities += 1;
        let audience = self.audience.clone().unwrap_or(asked);
        let claims = json!({ "aud": audience, "sub": "repo:a/b", "n": self.identities });
        Answer::json(200, &json!({ "value": jwt(&claims) }))
    }
}

/// A JWT whose signature nobody here looks at.
fn jwt(claims: &Value) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn claims(jwt: &str) -> Value {
    part(jwt, 1)
}

fn part(jwt: &str, index: usize) -> Value {
    let part = jwt.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn value(form: &Form, name: &str) -> Option<String> {
    form.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
}

/// A sandbox with a provider `robot` that has these lines in its `oauth` table.
fn sandbox(authority: &Authority, lines: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    configure(&sandbox, authority, lines);
    sandbox
}

fn configure(sandbox: &Sandbox, authority: &Authority, lines: &str) {
    let issuer = authority.issuer();
    sandbox.write_config(&format!(
        "[provider.robot.oauth]\nissuer = \"{issuer}\"\nvariables = [\"ROBOT_TOKEN\"]\n{lines}\n"
    ));
}

/// As a container of CI is.
fn without_keychain(sandbox: &mut Sandbox) {
    sandbox.env("AUTHCTL_STORE", "keychain").env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nothing");
}

fn token(sandbox: &Sandbox, flags: &[&str]) -> String {
    sandbox.run([&["token", "robot"], flags].concat()).success().trim_end().to_owned()
}

/// A private key that only its owner can read, as openssl makes it.
fn openssl_key(sandbox: &Sandbox, name: &str, options: &[&str]) -> PathBuf {
    let path = sandbox.path(name);
    let made = Command::new("openssl").args(options).arg("-out").arg(&path).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    restrict(&path, 0o600);
    path
}

const EC: [&str; 5] = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: [&str; 5] = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

fn restrict(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn write_token(sandbox: &Sandbox, claims: &Value) -> PathBuf {
    let path = sandbox.path("identity.jwt");
    std::fs::write(&path, format!("{}\n", jwt(claims))).unwrap();
    path
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

// -------------------------------------------------------------------------------- private_key_jwt

const AS_CLIENT: &str = "grants = [\"client_credentials\"]\nclient_id = \"nightly\"";

#[test]
fn a_client_proves_itself_with_its_key_which_is_remembered() {
    if !present(&["openssl"]) {
        return;
    }
    let authority = Authority::start();
    let sandbox = sandbox(&authority, AS_CLIENT);
    let key = openssl_key(&sandbox, "key.pem", &RSA);
    sandbox.run(["login", "robot", "--client-key-file", shown(&key), "--key-id", "k1"]).success();
    std::fs::remove_file(&key).unwrap();
    token(&sandbox, &["--refresh"]);
    sandbox.run(["login", "robot"]).success();
    sandbox.run(["logout", "robot"]).success();

    let forms = authority.forms();
    let mut ids = std::collections::BTreeSet::new();
    for form in &forms {
        assert_eq!(value(form, "client_secret"), None);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(value(form, "client_assertion_type").as_deref(), Some(kind));
        let assertion = value(form, "client_assertion").unwrap();
        assert_eq!(part(&assertion, 0), json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" }));
        let claims = claims(&assertion);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("nightly"), &json!("nightly")));
        assert_eq!(claims["aud"], authority.issuer().as_str());
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert!((1..=300).contains(&life), "{claims}");
        ids.insert(claims["jti"].as_str().unwrap().to_owned());
    }
    // Three for tokens, and the revocation of the last one.
    assert_eq!((forms.len(), ids.len()), (4, 4));
}

#[test]
fn a_key_that_the_configuration_names_stays_in_its_file() {
    if !present(&["openssl"]) {
        return;
    }
    let authority = Authority::start();
    let mut sandbox = Sandbox::new();
    let key = openssl_key(&sandbox, "home/robot.pem", &EC);
    let lines = format!(
        "{AS_CLIENT}\nclient_key_file = \"~/robot.pem\"\nclient_key_id = \"k2\"\n\
         assertion_audience = \"https://audience.example\""
    );
    configure(&sandbox, &authority, &lines);
    // No sign-in: the client and its key are all that is needed.
    assert_eq!(token(&sandbox, &[]), "access-1");
    assert_eq!(token(&sandbox, &[]), "access-1");
    let assertion = authority.last("client_assertion").unwrap();
    assert_eq!(part(&assertion, 0), json!({ "alg": "ES256", "kid": "k2", "typ": "JWT" }));
    assert_eq!(claims(&assertion)["aud"], "https://audience.example");
    std::fs::remove_file(&key).unwrap();
    let said = sandbox.run(["token", "robot", "--refresh"]).failure(2);
    assert!(said.contains("robot.pem") && said.contains("provider show robot"), "{said}");
    // Without any store, too.
    openssl_key(&sandbox, "home/robot.pem", &EC);
    without_keychain(&mut sandbox);
    assert_eq!(token(&sandbox, &[]), "access-2");
}

#[test]
fn a_file_that_holds_no_key_to_sign_with_says_why() {
    if !present(&["openssl"]) {
        return;
    }
    let authority = Authority::start();
    let sandbox = sandbox(&authority, AS_CLIENT);
    let refused =
        |path: &Path| sandbox.run(["login", "robot", "--client-key-file", shown(path)]).failure(2);
    let write = |text: &str| {
        let path = sandbox.path("bad.pem");
        std::fs::write(&path, text).unwrap();
        restrict(&path, 0o600);
        path
    };
    let key = openssl_key(&sandbox, "key.pem", &EC);
    let public = openssl_key(&sandbox, "public.pem", &["pkey", "-in", shown(&key), "-pubout"]);
    let options = ["pkcs8", "-topk8", "-in", shown(&key), "-passout", "pass:x"];
    let encrypted = openssl_key(&sandbox, "encrypted.pem", &options);
    let sec1 = openssl_key(&sandbox, "sec1.pem", &["ec", "-in", shown(&key)]);
    let p384 = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
    let p384 = openssl_key(&sandbox, "p384.pem", &p384);
    for (path, why) in [
        (&write("hunter2"), "not a private key"),
        (&write("{\"private_key\":\"hunter2\"}"), "not a private key"),
        (&public, "public key"),
        (&encrypted, "encrypted"),
        (&sec1, "PKCS #8"),
        (&sandbox.path("nothing.pem"), "nothing.pem"),
        (&p384, "ES384"),
    ] {
        let said = refused(path);
        assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
    }
    restrict(&key, 0o640);
    let said = refused(&key);
    assert!(said.contains("other users") && said.contains("chmod 600"), "{said}");
    assert!(authority.forms().is_empty());
    assert!(sandbox.run(["token", "robot"]).failure(4).contains("not signed in"));
}

#[test]
fn a_client_that_must_have_a_key_is_told_how_to_bring_it() {
    let authority = Authority::start();
    let lines = format!("{AS_CLIENT}\nauthentication = \"private_key_jwt\"");
    let said = sandbox(&authority, &lines).run(["login", "robot"]).failure(2);
    assert!(said.contains("--client-key-file FILE"), "{said}");
}

// ----------------------------------------------------------------------------- workload identities

const GITHUB: &str =
    "grants = [\"jwt_bearer\"]\nscopes = [\"deploy\"]\nidentity = { source = \"github-actions\" }";

#[test]
fn a_job_of_github_gets_in_with_nothing_stored_and_nothing_kept() {
    let authority = Authority::start();
    let mut sandbox = sandbox(&authority, GITHUB);
    authority.run_job(&mut sandbox);
    without_keychain(&mut sandbox);
    assert_eq!(token(&sandbox, &[]), "access-1");
    assert_eq!(authority.last("grant_type").as_deref(), Some(JWT_BEARER));
    assert_eq!(authority.last("scope").as_deref(), Some("deploy"));
    assert_eq!(authority.last("client_id"), None);
    let assertion = authority.last("assertion").unwrap();
    assert_eq!(claims(&assertion)["aud"], authority.issuer().as_str());

    // The child gets the token, and not what it was had with.
    let child = ["exec", "--with", "robot", "--", "env"];
    let environment = sandbox.run(child).success();
    assert!(environment.contains("ROBOT_TOKEN=access-2"), "{environment}");
    assert!(environment.contains("AUTHCTL_ROBOT_EXPIRES_AT="), "{environment}");
    assert!(!environment.contains("ACTIONS_ID_TOKEN"), "{environment}");
    for file in sandbox.files() {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for secret in ["access-", PERMIT, &assertion] {
            assert!(!text.contains(secret), "{} has {secret}", file.display());
        }
    }
}

#[test]
fn what_one_job_got_is_not_kept_for_the_next_on_the_machine() {
    let authority = Authority::start();
    let mut sandbox = sandbox(&authority, GITHUB);
    authority.run_job(&mut sandbox);
    assert_eq!(token(&sandbox, &[]), "access-1");
    assert_eq!(token(&sandbox, &[]), "access-2");
    let status = sandbox.run(["status", "--json"]).json();
    assert_eq!(status["credentials"], json!([]));
    // Unless somebody says so.
    sandbox.run(["login", "robot"]).success();
    assert_eq!(token(&sandbox, &[]), "access-3");
    assert_eq!(token(&sandbox, &[]), "access-3");
}

#[test]
fn with_a_store_an_identity_is_shown_once_while_the_token_lives() {
    let authority = Authority::start();
    let sandbox = Sandbox::new();
    let path = write_token(&sandbox, &json!({ "n": 1 }));
    let identity = format!("{{ source = \"kubernetes\", path = \"{}\" }}", shown(&path));
    configure(&sandbox, &authority, &format!("grants = [\"jwt_bearer\"]\nidentity = {identity}"));
    let runs: Vec<_> = (0..8).map(|_| sandbox.start(sandbox.command(["token", "robot"]))).collect();
    for run in runs {
        assert_eq!(run.finish().success().trim_end(), "access-1");
    }
    assert_eq!(authority.forms().len(), 1);
    let status = sandbox.run(["status", "--json"]).json()["credentials"][0].clone();
    assert_eq!((&status["state"], &status["renewable"]), (&json!("active"), &json!(true)));
    write_token(&sandbox, &json!({ "n": 2 }));
    assert_eq!(token(&sandbox, &["--min-ttl", "3601s"]), "access-2");
    // What the server gave to refresh with is not used: a new identity is.
    assert_eq!(authority.last("refresh_token"), None);
    assert_eq!(claims(&authority.last("assertion").unwrap())["n"], 2);
}

#[test]
fn what_a_job_gets_is_written_down_and_a_short_life_is_announced() {
    let authority = Authority::start();
    let mut sandbox = sandbox(&authority, GITHUB);
    authority.run_job(&mut sandbox);
    authority.set(|seen| seen.life = Some(20));
    let output = sandbox.run(["token", "robot"]);
    assert!(output.stderr.contains("gave robot a token that already ends in"), "{output:?}");
    let log = sandbox.run(["log", "--json"]).success();
    for event in ["\"refresh\"", "\"token\""] {
        assert!(log.contains(event), "{log}");
    }
    assert!(log.contains("robot") && !log.contains("access-1"), "{log}");
}

#[test]
fn a_job_without_the_permission_is_told_which() {
    let authority = Authority::start();
    let mut sandbox = sandbox(&authority, GITHUB);
    let said = sandbox.run(["token", "robot"]).failure(2);
    assert!(said.contains("ACTIONS_ID_TOKEN_REQUEST_URL is not set"), "{said}");
    assert!(said.contains("id-token: write"), "{said}");
    authority.run_job(&mut sandbox);
    sandbox.unset("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
    let said = sandbox.run(["token", "robot"]).failure(2);
    assert!(said.contains("ACTIONS_ID_TOKEN_REQUEST_TOKEN is not set"), "{said}");
    sandbox.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another-hunter2");
    let said = sandbox.run(["token", "robot"]).failure(1);
    assert!(said.contains("gave no identity token (HTTP 401)"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("api-version"), "{said}");
    assert!(authority.forms().is_empty());
}

#[test]
fn an_identity_for_another_audience_is_not_shown_to_anybody() {
    let authority = Authority::start();
    let mut sandbox = sandbox(&authority, GITHUB);
    authority.run_job(&mut sandbox);
    authority.set(|seen| seen.audience = Some("https://other.example".into()));
    let said = sandbox.run(["token", "robot"]).failure(2);
    assert!(said.contains("is for https://other.example, and http://127.0.0.1:"), "{said}");
    assert!(authority.forms().is_empty());
}

#[test]
fn an_identity_that_the_server_refuses_is_no_end_of_anything() {
    let authority = Authority::start();
    let mut sandbox = sandbox(&authority, GITHUB);
    authority.run_job(&mut sandbox);
    sandbox.run(["login", "robot"]).success();
    assert_eq!(token(&sandbox, &[]), "access-1");
    let refusal = json!({ "error": "invalid_grant", "error_description": "repository unknown" });
    authority.set(|seen| seen.answer = Some((400, refusal)));
    let said = sandbox.run(["token", "robot", "--refresh"]).failure(1);
    assert!(said.contains("repository unknown") && said.contains("provider show robot"), "{said}");
    let assertion = authority.last("assertion").unwrap();
    assert!(!said.contains(&assertion), "{said}");
    assert_eq!(token(&sandbox, &[]), "access-1", "what lives is handed out");
    authority.set(|seen| seen.answer = None);
    assert_eq!(token(&sandbox, &["--refresh"]), "access-3");
}

#[test]
fn a_token_that_somebody_rotates_in_a_file_is_read_at_every_use() {
    let authority = Authority::start();
    let sandbox = Sandbox::new();
    let path = write_token(&sandbox, &json!({ "n": 1 }));
    // As the kubelet does it: a link to what it replaces.
    let link = sandbox.path("token");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for source in ["kubernetes", "file"] {
        let identity = format!("{{ source = \"{source}\", path = \"{}\" }}", shown(&link));
        let lines = format!("grants = [\"jwt_bearer\"]\nidentity = {identity}");
        configure(&sandbox, &authority, &lines);
        for n in [1, 2] {
            write_token(&sandbox, &json!({ "n": n }));
            token(&sandbox, &["--refresh"]);
            assert_eq!(claims(&authority.last("assertion").unwrap())["n"], n);
        }
    }
}

#[test]
fn an_identity_in_a_file_that_is_of_no_use_is_named_and_not_shown() {
    let authority = Authority::start();
    let sandbox = Sandbox::new();
    let path = sandbox.path("identity.jwt");
    let lines = format!(
        "grants = [\"jwt_bearer\"]\nidentity = {{ source = \"file\", path = \"{}\", audience = \"https://as.example\" }}",
        shown(&path)
    );
    configure(&sandbox, &authority, &lines);
    let good = json!({ "aud": ["https://as.example", "x"] });
    let (other, ended) = (json!({ "aud": "hunter" }), json!({ "exp": 1_700_000_000 }));
    for (text, code, why) in [
        (None, 2, "cannot read the identity token in"),
        (Some(String::new()), 2, "empty"),
        (Some("two hunter2".into()), 2, "blank"),
        (Some(jwt(&other)), 2, "is for hunter, and https://as.example is wanted"),
        (Some(jwt(&ended)), 1, "ended at 2023-11-14"),
        (Some(jwt(&json!({ "exp": "1700000000" }))), 1, "ended at 2023-11-14"),
        (Some(jwt(&json!({ "aud": "hunter", "exp": "odd" }))), 2, "is for hunter"),
    ] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let said = sandbox.run(["token", "robot"]).failure(code);
        assert!(said.contains(why) && said.contains("identity.jwt"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    // Opening a pipe would wait for whoever writes into it.
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let said = sandbox.run(["token", "robot"]).failure(2);
    assert!(said.contains("not a regular file"), "{said}");
    std::fs::remove_file(&path).unwrap();
    assert!(authority.forms().is_empty());
    write_token(&sandbox, &good);
    assert_eq!(token(&sandbox, &[]), "access-1");
    let status = sandbox.run(["status", "robot:other"]);
    assert!(status.stderr.contains("authctl token robot:other acquires one"), "{status:?}");
}

#[test]
fn an_identity_proves_who_the_client_is() {
    let authority = Authority::start();
    let lines = "grants = [\"client_assertion\"]\nscopes = [\"all\"]\nclient_id = \"federated\"\n\
        identity = { source = \"github-actions\", audience = \"api://exchange\" }";
    let mut sandbox = sandbox(&authority, lines);
    authority.run_job(&mut sandbox);
    assert_eq!(token(&sandbox, &[]), "access-1");
    assert_eq!(token(&sandbox, &[]), "access-2");
    for (form, n) in authority.forms().iter().zip(1..) {
        assert_eq!(value(form, "grant_type").as_deref(), Some("client_credentials"));
        assert_eq!(value(form, "client_id").as_deref(), Some("federated"));
        let proof = claims(&value(form, "client_assertion").unwrap());
        assert_eq!((&proof["aud"], &proof["n"]), (&json!("api://exchange"), &json!(n)));
    }
    authority.set(|seen| seen.answer = Some((401, json!({ "error": "invalid_client" }))));
    let said = sandbox.run(["token", "robot", "--refresh"]).failure(1);
    assert!(said.contains("does not accept the identity"), "{said}");
}

#[test]
fn a_provider_for_machines_is_checked_from_end_to_end() {
    let authority = Authority::start();
    let mut sandbox = sandbox(&authority, GITHUB);
    let said = sandbox.run(["provider", "check", "robot"]);
    assert!(said.stdout.contains("id-token: write"), "{said:?}");
    assert_eq!(said.code(), 1);
    authority.run_job(&mut sandbox);
    let said = sandbox.run(["provider", "check", "robot"]).success();
    assert!(said.contains("a credential for robot") && !said.contains("PKCE"), "{said}");
    let said = sandbox.run(["provider", "show", "robot"]).success();
    assert!(said.contains("a token of GitHub Actions") && said.contains("jwt_bearer"), "{said}");
}

/// S1 to S3 for machines: what rests where, what is said, and what stands in arguments.
#[test]
fn no_key_and_no_identity_stands_in_an_argument_a_message_or_an_open_file() {
    if !present(&["openssl", "strace"]) {
        return;
    }
    let authority = Authority::start();
    let mut sandbox = sandbox(&authority, GITHUB);
    let issuer = authority.issuer();
    let config = std::fs::read_to_string(sandbox.path("home/.config/authctl/config.toml")).unwrap();
    sandbox.write_config(&format!(
        "{config}[provider.client.oauth]\nissuer = \"{issuer}\"\n{AS_CLIENT}\nvariables = [\"C\"]\n"
    ));
    authority.run_job(&mut sandbox);
    let key = openssl_key(&sandbox, "key.pem", &RSA);
    let pem = std::fs::read_to_string(&key).unwrap();
    let log = sandbox.path("strace");
    let traced = |arguments: &[&str]| {
        let mut command = sandbox.program("strace");
        command.args(["-f", "-qq", "-A", "-s", "99999", "-e", "trace=execve", "-o"]).arg(&log);
        command.arg(AUTHCTL).args(arguments);
        let output = sandbox.start(command).finish();
        assert!(output.status.success(), "{output:?}");
        output.stderr
    };
    let said = [
        traced(&["login", "client", "--client-key-file", shown(&key)]),
        traced(&["token", "client", "--refresh"]),
        traced(&["exec", "--with", "robot,client", "--", "true"]),
        traced(&["status", "--check"]),
        traced(&["logout", "client"]),
    ];
    std::fs::remove_file(&key).unwrap();
    let mut secrets: Vec<String> = pem.lines().skip(1).take(5).map(str::to_owned).collect();
    secrets.push(PERMIT.to_owned());
    for form in authority.forms() {
        let sent = ["client_assertion", "assertion", "token"].iter();
        secrets.extend(sent.filter_map(|name| value(&form, name)));
    }
    assert!(secrets.len() > 9, "{}", secrets.len());
    let calls = std::fs::read_to_string(&log).unwrap();
    assert!(calls.contains("execve(") && calls.contains("\"true\""), "{calls}");
    assert_eq!(
        found(&secrets, [&calls, &said.concat()].map(String::as_str).concat().as_bytes()),
        [""; 0]
    );
    for file in sandbox.files() {
        let hits = found(&secrets, &std::fs::read(&file).unwrap());
        assert_eq!(hits, [""; 0], "{}", file.display());
    }
}

// ------------------------------------------------------------------------------------------ exchanges

#[test]
fn a_token_of_gitlab_is_exchanged_for_another_actor_with_all_that_is_asked() {
    let authority = Authority::start();
    let lines = "grants = [\"token_exchange\"]\nscopes = [\"read\", \"write\"]\n\
        resource = \"https://api.example/v1\"\nclient_id = \"ci\"\nauthentication = \"none\"\n\
        identity = { source = \"gitlab\", variable = \"DEPLOY_ID_TOKEN\", audience = \"sts\" }\n\
        [provider.robot.oauth.exchange]\naudience = [\"one\", \"two\"]\n\
        requested_token_type = \"access_token\"\n\
        actor = { source = \"environment\", variable = \"ACTOR\", token_type = \"urn:x:actor\" }";
    let mut sandbox = sandbox(&authority, lines);
    let said = sandbox.run(["token", "robot"]).failure(2);
    assert!(said.contains("ACTOR, in which the identity token should stand"), "{said}");
    let subject = jwt(&json!({ "aud": "sts" }));
    sandbox.env("DEPLOY_ID_TOKEN", &subject).env("ACTOR", "actor-1");
    let environment = sandbox.run(["exec", "--with", "robot", "--", "env"]).success();
    assert!(environment.contains("ROBOT_TOKEN=access-1"), "{environment}");
    assert!(!environment.contains("DEPLOY_ID_TOKEN") && !environment.contains("ACTOR"));
    let of_type = |kind: &str| format!("urn:ietf:params:oauth:token-type:{kind}");
    let expected = [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", &subject),
        ("subject_token_type", &of_type("jwt")),
        ("actor_token", "actor-1"),
        ("actor_token_type", "urn:x:actor"),
        ("requested_token_type", &of_type("access_token")),
        ("audience", "one"),
        ("audience", "two"),
        ("scope", "read write"),
        ("resource", "https://api.example/v1"),
        ("client_id", "ci"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(authority.forms(), [expected]);
}

#[test]
fn a_stored_sign_in_is_exchanged_while_it_lasts() {
    let authority = Authority::start();
    let sandbox = Sandbox::new();
    let issuer = authority.issuer();
    sandbox.write_config(&format!(
        "[provider.home.oauth]\nissuer = \"{issuer}\"\ngrants = [\"client_credentials\"]\n\
         client_id = \"me\"\n[provider.robot.oauth]\nissuer = \"{issuer}\"\n\
         grants = [\"token_exchange\"]\nidentity = {{ source = \"credential\", credential = \"home\" }}"
    ));
    let said = sandbox.run(["token", "robot"]).failure(4);
    assert!(said.contains("authctl login home"), "{said}");
    sandbox.run_with_input(["login", "home", "--client-secret-file", "-"], "s").success();
    assert_eq!(token(&sandbox, &[]), "access-2");
    assert_eq!(authority.last("subject_token").as_deref(), Some("access-1"));
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    assert_eq!(authority.last("subject_token_type").as_deref(), Some(kind));
    // A name that is signed in to by hand is no other.
    sandbox.run(["login", "robot"]).success();
    assert_eq!(authority.last("subject_token").as_deref(), Some("access-1"));
}

#[test]
fn a_key_may_be_piped_in() {
    if !present(&["openssl"]) {
        return;
    }
    let authority = Authority::start();
    let sandbox = sandbox(&authority, AS_CLIENT);
    let pem = std::fs::read_to_string(openssl_key(&sandbox, "key.pem", &EC)).unwrap();
    let login = ["login", "robot", "--client-key-file", "-"];
    sandbox.run_with_input(login, &pem).success();
    assert_eq!(token(&sandbox, &[]), "access-1");
    let said = sandbox.run_with_input(login, "hunter2").failure(2);
    assert!(said.contains("standard input") && !said.contains("hunter2"), "{said}");
}

#[test]
fn sign_ins_that_begin_with_each_other_are_told_so() {
    let authority = Authority::start();
    let mut sandbox = Sandbox::new();
    let table = |id: &str, other: &str| {
        format!(
            "[provider.{id}.oauth]\nissuer = \"{}\"\ngrants = [\"token_exchange\"]\n\
             identity = {{ source = \"credential\", credential = \"{other}\" }}\n",
            authority.issuer()
        )
    };
    sandbox.write_config(&format!("{}{}", table("robot", "other"), table("other", "robot")));
    without_keychain(&mut sandbox);
    let said = sandbox.run(["token", "robot"]).failure(1);
    assert!(said.contains("in a circle"), "{said}");
    assert!(authority.forms().is_empty());
}

// --------------------------------------------------------------------------------------- own assertions

#[test]
fn a_service_account_signs_for_itself() {
    if !present(&["openssl"]) {
        return;
    }
    let authority = Authority::start();
    let sandbox = Sandbox::new();
    let endpoint = format!("{}/token", authority.issuer());
    let pem = std::fs::read_to_string(openssl_key(&sandbox, "key.pem", &RSA)).unwrap();
    let file = sandbox.path("account.json");
    let write = |token_uri: &str| {
        let account = json!({
            "type": "service_account", "private_key_id": "k9", "private_key": pem,
            "client_email": "robot@project.example", "token_uri": token_uri,
        });
        std::fs::write(&file, account.to_string()).unwrap();
        restrict(&file, 0o600);
    };
    write(&endpoint);
    let table = |identity: &str| {
        sandbox.write_config(&format!(
            "[provider.robot.oauth]\ntoken_endpoint = \"{endpoint}\"\ngrants = [\"jwt_bearer\"]\n\
             scopes = [\"https://scopes.example/read\", \"b\"]\nidentity = {identity}\n"
        ));
    };
    table(&format!(
        "{{ source = \"key\", key_file = \"{}\", subject = \"ann@project.example\", claims = {{ x = \"y\" }} }}",
        shown(&file)
    ));
    assert_eq!(token(&sandbox, &[]), "access-1");
    let assertion = authority.last("assertion").unwrap();
    assert_eq!(part(&assertion, 0), json!({ "alg": "RS256", "kid": "k9", "typ": "JWT" }));
    let said = claims(&assertion);
    assert_eq!(said["iss"], "robot@project.example");
    assert_eq!(said["sub"], "ann@project.example");
    assert_eq!(said["aud"], endpoint.as_str());
    assert_eq!(
        (&said["scope"], &said["x"]),
        (&json!("https://scopes.example/read b"), &json!("y"))
    );
    assert_eq!(authority.last("client_assertion"), None);

    write("https://elsewhere.example/token");
    let said = sandbox.run(["token", "robot", "--refresh"]).failure(2);
    assert!(said.contains("is for https://elsewhere.example/token"), "{said}");

    // The same with the key in the store.
    write(&endpoint);
    table("{ source = \"key\" }");
    sandbox.run(["logout", "robot"]).success();
    let said = sandbox.run(["token", "robot"]).failure(2);
    assert!(said.contains("login robot --client-key-file FILE"), "{said}");
    sandbox.run(["login", "robot", "--client-key-file", shown(&file)]).success();
    std::fs::remove_file(&file).unwrap();
    token(&sandbox, &["--refresh"]);
    assert_eq!(claims(&authority.last("assertion").unwrap())["iss"], "robot@project.example");
    assert_eq!(authority.last("client_assertion"), None);
}

// ------------------------------------------------------------------- enterprise-managed authorization

/// An identity provider `corp` that is signed in to, and `robot`, for which it makes assertions.
fn enterprise(corp: &Authority, resource: &Authority, scopes: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_config(&format!(
        "[provider.corp.oauth]\nissuer = \"{}\"\ngrants = [\"client_credentials\"]\n\
         client_id = \"desk\"\nscopes = [{scopes}]\nvariables = [\"CORP_TOKEN\"]\n\
         [provider.robot.oauth]\nissuer = \"{}\"\ngrants = [\"id_jag\"]\nidentity_provider = \"corp\"\n\
         resource = \"https://mcp.example/mcp\"\nclient_id = \"at-resource\"\nscopes = [\"tools\"]\n\
         variables = [\"ROBOT_TOKEN\"]\n",
        corp.issuer(),
        resource.issuer()
    ));
    sandbox
}

const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// What `corp` answers: a sign-in with this ID token.
fn sign_in(id_token: &str) -> (u16, Value) {
    let tokens = json!({ "access_token": "corp-access", "token_type": "Bearer",
        "expires_in": 3600, "id_token": id_token });
    (200, tokens)
}

#[test]
fn an_enterprise_lets_its_people_in_where_it_has_decided_so() {
    let (corp, resource) = (Authority::start(), Authority::start());
    let sandbox = enterprise(&corp, &resource, "\"openid\"");
    let said = sandbox.run(["token", "robot"]).failure(4);
    assert!(said.contains("authctl login corp"), "{said}");

    let id_token = jwt(&json!({ "aud": "desk", "exp": 4_000_000_000_u64 }));
    corp.set(|seen| seen.answer = Some(sign_in(&id_token)));
    sandbox.run_with_input(["login", "corp", "--client-secret-file", "-"], "s1").success();
    let assertion =
        json!({ "access_token": "the-id-jag", "token_type": "N_A", "issued_token_type": ID_JAG });
    corp.set(|seen| seen.answer = Some((200, assertion)));
    let login = ["login", "robot", "--client-id", "at-resource", "--client-secret-file", "-"];
    sandbox.run_with_input(login, "s2").success();

    assert_eq!(corp.last("grant_type").as_deref(), Some(TOKEN_EXCHANGE));
    assert_eq!(corp.last("requested_token_type").as_deref(), Some(ID_JAG));
    assert_eq!(corp.last("subject_token").as_deref(), Some(id_token.as_str()));
    assert_eq!(corp.last("audience"), Some(resource.issuer()));
    assert_eq!(corp.last("resource").as_deref(), Some("https://mcp.example/mcp"));
    assert_eq!(resource.last("grant_type").as_deref(), Some(JWT_BEARER));
    assert_eq!(resource.last("assertion").as_deref(), Some("the-id-jag"));
    assert_eq!(token(&sandbox, &[]), "access-1");
    assert_eq!(token(&sandbox, &["--refresh"]), "access-2");

    // The ID token is for nobody's eyes.
    for command in
        [&["token", "corp", "--json"][..], &["exec", "--with", "corp,robot", "--", "env"]]
    {
        let output = sandbox.run(command);
        assert!(output.stdout.contains("corp-access"), "{output:?}");
        assert!(!output.stdout.contains(&id_token), "{output:?}");
    }
}

#[test]
fn an_id_token_is_kept_only_where_it_is_needed_and_used_only_while_it_lives() {
    let (corp, resource) = (Authority::start(), Authority::start());
    let sandbox = enterprise(&corp, &resource, "\"openid\"");
    corp.set(|seen| seen.answer = Some(sign_in(&jwt(&json!({ "exp": 1_700_000_000 })))));
    sandbox.run_with_input(["login", "corp", "--client-secret-file", "-"], "s1").success();
    let said = sandbox.run(["token", "robot"]).failure(4);
    assert!(said.contains("no ID token that lives") && said.contains("login corp"), "{said}");
    // It was asked for a new one before.
    assert_eq!(corp.forms().len(), 2);
    assert!(resource.forms().is_empty());

    // Nobody begins with this sign-in when it is made.
    let with_both = enterprise(&corp, &resource, "\"openid\"");
    let config = "home/.config/authctl/config.toml";
    let both = std::fs::read_to_string(with_both.path(config)).unwrap();
    let (alone, _) = both.split_once("[provider.robot.oauth]").unwrap();
    with_both.write_config(alone);
    corp.set(|seen| seen.answer = Some(sign_in(&jwt(&json!({ "exp": 4_000_000_000_u64 })))));
    with_both.run_with_input(["login", "corp", "--client-secret-file", "-"], "s1").success();
    with_both.write_config(&both);
    let said = with_both.run(["token", "robot"]).failure(4);
    assert!(said.contains("no ID token that lives"), "{said}");
}

#[test]
fn an_identity_provider_that_says_no_is_named() {
    let (corp, resource) = (Authority::start(), Authority::start());
    let sandbox = enterprise(&corp, &resource, "\"openid\"");
    corp.set(|seen| seen.answer = Some(sign_in(&jwt(&json!({ "exp": 4_000_000_000_u64 })))));
    sandbox.run_with_input(["login", "corp", "--client-secret-file", "-"], "s1").success();
    let refusal = json!({ "error": "access_denied", "error_description": "not for this group" });
    corp.set(|seen| seen.answer = Some((400, refusal)));
    let login = ["login", "robot", "--client-id", "at-resource", "--client-secret-file", "-"];
    let said = sandbox.run_with_input(login, "s2").failure(1);
    assert!(
        said.contains("corp gave no assertion") && said.contains("not for this group"),
        "{said}"
    );
    assert!(resource.forms().is_empty());
}
