//! `authctl login`: sign in to a provider and keep the credential.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::complete;
use super::given::when;
use super::purpose;
use super::server::{self, Server, SignIn};
use crate::config::{self, StoreChoice};
use crate::context::{Context, Named, environment};
use crate::credential::{Grant, Kind, Name};
use crate::error::{self, CommandError};
use crate::grant::KeySource;
use crate::interact::Interact;
use crate::login::{self, Answer, Method, Outcome};
use crate::oauth::{self, ClientKey};
use crate::secret::Secret;
use crate::store::{self, Awaited, PendingRecord};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl login audiostack\n  authctl login https://mcp.example.com/mcp\n  authctl login github --client-id Iv1.0123456789abcdef\n  authctl login github:work --with-key < token.txt\n  authctl login my-oidc --scope 'openid profile'\n  authctl login my-oidc --resume\n  authctl login robots --client-id nightly --client-key-file nightly.pem"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Arguments {
    /// Provider, or provider:account; or the address of an MCP server
    #[arg(value_name = "NAME|URL", add = complete::providers())]
    name: String,

    /// What the server at the address is called here, instead of a name from its host
    #[arg(long = "name", value_name = "NAME")]
    local_name: Option<String>,

    /// Paste or pipe an API key instead of signing in with OAuth
    #[arg(long, group = "method")]
    with_key: bool,

    /// The same for a token, where the provider takes both keys and tokens
    #[arg(long, group = "method")]
    with_token: bool,

    /// File with the key, token or password, or - for standard input
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Sign in with this user name and a password (basic authentication)
    #[arg(long, value_name = "USER", group = "method")]
    user: Option<String>,

    /// Sign in by a code that is typed on another device
    #[arg(long, group = "method", conflicts_with = "key_file")]
    device: bool,

    /// Sign in with the browser on this machine
    #[arg(long, group = "method", conflicts_with = "key_file")]
    browser: bool,

    /// Sign in as the client itself, with its id and its secret or key
    #[arg(long, group = "method", conflicts_with = "key_file")]
    client_credentials: bool,

    /// Scopes to ask for, instead of the provider's
    #[arg(long, value_name = "SCOPE", value_delimiter = ' ', conflicts_with_all = PASTED)]
    scope: Vec<String>,

    /// Your OAuth client at this provider; remembered for later logins
    #[arg(long, value_name = "ID", conflicts_with_all = PASTED)]
    client_id: Option<String>,

    /// File with the client's secret, or - for standard input; remembered with the id
    #[arg(long, value_name = "FILE", conflicts_with_all = PASTED)]
    client_secret_file: Option<PathBuf>,

    /// File with the client's private key (PEM, JWK, or a service account's JSON), or - for standard
    /// input; remembered with the id
    #[arg(long, value_name = "FILE", conflicts_with_all = PASTED, conflicts_with = "client_secret_file")]
    client_key_file: Option<PathBuf>,

    /// Id of that key, where the server knows several
    #[arg(long, value_name = "KID", requires = "client_key_file")]
    key_id: Option<String>,

    /// Address of the published document about your client, for servers that take such a client
    /// (authctl generate client-metadata prints one)
    #[arg(long, value_name = "URL", conflicts_with_all = PASTED)]
    client_metadata_url: Option<String>,

    /// Ask for tokens that are bound to a key (DPoP), and take no others
    #[arg(long, conflicts_with_all = PASTED)]
    dpop: bool,

    /// Register a new client at the server instead of using the one registered earlier
    #[arg(long, conflicts_with_all = PASTED)]
    new_client: bool,

    /// Print the URL and do not open a browser
    #[arg(long, conflicts_with_all = PASTED)]
    no_browser: bool,

    /// Finish a sign-in that waits: paste or pipe the address where the browser ended, or the code
    #[arg(long, group = "method", conflicts_with_all = ["key_file", "scope", "client_id", "client_secret_file", "new_client", "no_browser"])]
    resume: bool,
}

/// Ways to sign in for which no server is asked for anything.
const PASTED: [&str; 4] = ["with_key", "with_token", "key_file", "user"];

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if arguments.resume {
        return resume(context, arguments);
    }
    let sign_in = sign_in(context, arguments)?;
    if let Some(Server { named, .. }) = server::find(context, sign_in.server, sign_in.name)? {
        say_what_wins(context, &named);
    }
    settle_store(context)?;
    let (Server { named, .. }, outcome) = server::sign_in(context, &sign_in)?;
    if let Err(login::Error::Unfinished(record)) = outcome {
        return leave_question(context, &named, *record);
    }
    report(context, &named, &outcome?)?;
    Ok(ExitCode::SUCCESS)
}

/// Signs in by the provider's own way, at this terminal.
pub fn run_by_default(context: &Context, name: &str) -> Result<ExitCode, CommandError> {
    settle_store(context)?;
    let (Server { named, .. }, outcome) =
        server::sign_in(context, &SignIn::by_default(name, context.ui.as_ref()))?;
    report(context, &named, &outcome?)?;
    Ok(ExitCode::SUCCESS)
}

fn resume(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let named = context.name(&arguments.name)?;
    let provider = context.provider(&named.name)?;
    let answer = if context.ui.can_ask() { Answer::Asked } else { Answer::Piped };
    let outcome = context.login()?.resume(&named.name, provider, answer);
    purpose::record_login(context, &named.name, provider, &outcome);
    report(context, &named, &outcome?)?;
    Ok(ExitCode::SUCCESS)
}

fn sign_in<'a>(context: &'a Context, arguments: &'a Arguments) -> Result<SignIn<'a>, CommandError> {
    let client_secret = match &arguments.client_secret_file {
        Some(file) => Some(read_client_secret(context, file)?),
        None => None,
    };
    if let Some(url) = &arguments.client_metadata_url
        && let Err(what) = oauth::check_metadata_url(url)
    {
        return Err(CommandError::usage(format!("--client-metadata-url {what}"))
            .hint("authctl generate client-metadata --url URL  (the document that stands there)"));
    }
    Ok(SignIn {
        name: arguments.local_name.as_deref(),
        method: method(arguments),
        scopes: (!arguments.scope.is_empty()).then(|| arguments.scope.clone()),
        client_id: arguments.client_id.clone(),
        client_secret,
        client_key: read_client_key(
            arguments.client_key_file.as_deref(),
            arguments.key_id.clone(),
        )?,
        client_metadata_url: arguments.client_metadata_url.clone(),
        new_client: arguments.new_client,
        dpop: arguments.dpop,
        open_browser: !arguments.no_browser,
        ..SignIn::by_default(&arguments.name, context.ui.as_ref())
    })
}

/// Nobody can be asked here: what a person has to do is printed, and who finishes the sign-in then.
fn leave_question(
    context: &Context,
    named: &Named,
    record: PendingRecord,
) -> Result<ExitCode, CommandError> {
    if context.ui.is_json() {
        context.ui.json(&question(named, &record))?;
        return Ok(ExitCode::from(error::Kind::LoginRequired.exit_code()));
    }
    match &record.awaited {
        Awaited::Redirect { url, redirect_uri, .. } => {
            let soon = record.url_expires_at.map_or(String::new(), |end| {
                format!(" (good until {})", end.strftime("%H:%M:%S UTC"))
            });
            context.ui.show(&format!("To sign in, open this address in any browser{soon}:"));
            context.ui.show(&format!("\n    {}\n", url.expose()));
            context.ui.show(&format!(
                "It ends at an address that begins with {redirect_uri}, which may not be reachable: \
                 that address finishes the sign-in, {}.",
                until(&record)
            ));
        }
        Awaited::Confirmation { user_code, verification_uri, .. } => {
            context.ui.show("To sign in, open this page in any browser:");
            context.ui.show(&format!("\n    {}\n", crate::text::clean(verification_uri)));
            context.ui.show(&format!("and enter this code, {}:  {user_code}", until(&record)));
        }
    }
    Err(login::Error::Unfinished(Box::new(record)).into())
}

fn until(record: &PendingRecord) -> String {
    format!("until {}", record.expires_at.strftime("%H:%M UTC"))
}

fn question(named: &Named, record: &PendingRecord) -> serde_json::Value {
    let (url, code, page, complete) = match &record.awaited {
        Awaited::Redirect { url, .. } => (Some(url.expose()), None, None, None),
        Awaited::Confirmation {
            user_code, verification_uri, verification_uri_complete, ..
        } => (None, Some(user_code), Some(verification_uri), verification_uri_complete.as_ref()),
    };
    json!({
        "version": 1,
        "name": named.name.to_string(),
        "state": "pending",
        "flow": record.flow,
        "grant": record.binding.grant.as_str(),
        "url": url,
        "user_code": code,
        "verification_uri": page,
        "verification_uri_complete": complete,
        "url_expires_at": record.url_expires_at,
        "expires_at": record.expires_at,
        "resume": format!("authctl login {} --resume", named.name),
    })
}

fn method(arguments: &Arguments) -> Method {
    let source = || match &arguments.key_file {
        Some(file) => named_source(file),
        None if std::io::IsTerminal::is_terminal(&std::io::stdin()) => KeySource::Prompt,
        None => KeySource::Stdin,
    };
    if let Some(user) = &arguments.user {
        Method::Basic { user: Some(user.clone()), password: source() }
    } else if arguments.with_token {
        Method::Key { source: source(), kind: Some(Kind::Bearer) }
    } else if arguments.with_key {
        Method::Key { source: source(), kind: Some(Kind::ApiKey) }
    } else if arguments.key_file.is_some() {
        Method::Key { source: source(), kind: None }
    } else if arguments.device {
        Method::Grant(Grant::DeviceCode)
    } else if arguments.browser {
        Method::Grant(Grant::AuthorizationCode)
    } else if arguments.client_credentials {
        Method::Grant(Grant::ClientCredentials)
    } else {
        Method::Default
    }
}

fn named_source(file: &Path) -> KeySource {
    if file.as_os_str() == "-" { KeySource::Stdin } else { KeySource::File(file.to_owned()) }
}

pub fn read_client_secret(context: &Context, file: &Path) -> Result<Secret, CommandError> {
    let source = named_source(file);
    crate::grant::password(context.ui.as_ref(), &source, "client secret").map_err(|error| {
        CommandError::usage(format!("cannot take the client's secret: {}", error::chain(&error)))
    })
}

pub fn read_client_key(
    file: Option<&Path>,
    key_id: Option<String>,
) -> Result<Option<ClientKey>, CommandError> {
    let Some(file) = file else { return Ok(None) };
    let key = crate::grant::client_key(&named_source(file), key_id);
    key.map(Some).map_err(|error| {
        let shown = format!("cannot take the client's key: {}", error::chain(&error));
        match error {
            crate::grant::Error::PrivateFile(error) => {
                let hints = CommandError::from(error).hints().to_owned();
                hints.into_iter().fold(CommandError::usage(shown), CommandError::hint)
            }
            _ => CommandError::usage(shown),
        }
    })
}

/// A given credential wins over the store; whoever signs in should know.
fn say_what_wins(context: &Context, named: &Named) {
    let variable = store::token_variable(named.name.provider());
    if named.name.is_default_account() && environment(&variable).is_some() {
        context.ui.warn(&format!(
            "{variable} is set and wins over what this login stores; unset it to use the stored one"
        ));
    }
}

/// Where nobody chose a store and there is no keychain, a person may choose the encrypted file; the
/// choice is written down. Nobody to ask: the login fails with the same advice.
fn settle_store(context: &Context) -> Result<(), CommandError> {
    if context.store_is_chosen()? || !context.ui.can_ask() {
        return Ok(());
    }
    let Err(error @ store::Error::Unavailable { .. }) = context.store()?.load(&Name::any()) else {
        return Ok(()); // it works, or the login itself says why not
    };
    let file = context.paths()?.config_file();
    context.ui.warn(CommandError::from(error).message());
    let question = format!(
        "Keep credentials in an encrypted file instead, and write that down in {}?",
        file.display()
    );
    if !context.ui.confirm(&question, true)? {
        return Err(CommandError::new(
            error::Kind::Failed,
            "there is no place to keep the credential",
        )
        .hint("start a keychain (GNOME Keyring, KWallet), or set AUTHCTL_STORE=file"));
    }
    config::remember_store(&file, StoreChoice::File)?;
    context.choose_store(StoreChoice::File)
}

fn report(context: &Context, named: &Named, outcome: &Outcome) -> Result<(), CommandError> {
    let record = &outcome.record;
    let stored = context.store()?.describe();
    if context.ui.is_json() {
        context.ui.json(&json!({
            "version": 1,
            "name": named.name.to_string(),
            "id": record.id,
            "kind": record.credential.kind().as_str(),
            "expires_at": record.credential.expires_at(),
            "scopes": record.credential.as_oauth().map(|(tokens, binding)| {
                tokens.scopes.clone().unwrap_or_else(|| binding.scopes.clone())
            }),
            "replaced": outcome.replaced,
            "store": stored,
        }))?;
        return Ok(());
    }
    let again = match (outcome.adopted, outcome.replaced) {
        (true, _) => " (by another authctl login that just ended)",
        (_, true) => " (replaced; same credential id)",
        _ => "",
    };
    let tokens = record.credential.as_oauth().map(|(tokens, _)| tokens);
    let subject = tokens.and_then(|tokens| tokens.subject.as_ref());
    let whose = subject.map_or_else(String::new, |subject| format!(" as {subject}"));
    context
        .ui
        .notice(&format!("Signed in to {}{whose}{again}. Stored in the {stored}.", named.name));
    if let Some((tokens, binding)) = record.credential.as_oauth() {
        if let Some(granted) = tokens.scopes.as_ref().filter(|got| **got != binding.scopes) {
            warn_about_scopes(context, &binding.scopes, granted);
        }
        if let Some(end) = tokens.expires_at.filter(|_| !record.credential.is_renewable()) {
            context.ui.notice(&format!(
                "The token ends {}, and the server gave nothing to refresh it with.",
                when(end)
            ));
        }
    }
    Ok(())
}

fn warn_about_scopes(context: &Context, asked: &[String], granted: &[String]) {
    let missing: Vec<&str> =
        asked.iter().filter(|scope| !granted.contains(scope)).map(String::as_str).collect();
    if !missing.is_empty() {
        let missing = crate::text::clean(&missing.join(" "));
        context.ui.warn(&format!("the server did not grant: {missing}"));
    }
}
