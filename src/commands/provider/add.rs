//! `authctl provider add`: from an address or from flags to tables in config.toml. What a server says is
//! checked before anything is written, and shown as it will be written.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use toml_edit::{Array, Item, Table, Value};
use url::Url;

use super::discovered::Server;
use crate::commands::local_name::{long_name, short_name};
use crate::config::{self, Edit, Source};
use crate::context::Context;
use crate::credential::is_part;
use crate::error::{CommandError, Kind, chain};
use crate::http::parse_resource;
use crate::interact::Interact;
use crate::oauth;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl provider add https://mcp.example.com/mcp\n  authctl provider add acme --issuer https://id.acme.example --scope 'openid offline_access'\n  authctl provider add weather --api-key --header 'x-api-key: {key}' --variable WEATHER_API_KEY --host api.weather.example"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Arguments {
    /// Address of an issuer, an API or an MCP server; or the name of what the flags describe
    #[arg(value_name = "NAME|URL")]
    target: String,

    /// Name of the provider found at an address
    #[arg(long)]
    name: Option<String>,

    /// Its name for people
    #[arg(long)]
    title: Option<String>,

    /// Where its API is
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// A variable from which its programs take the base URL
    #[arg(long, value_name = "VARIABLE")]
    base_url_variable: Vec<String>,

    /// Where its remote MCP server is
    #[arg(long, value_name = "URL")]
    mcp_url: Option<String>,

    /// A further host to which its credentials may be sent
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,

    /// It takes API keys
    #[arg(long)]
    api_key: bool,

    /// It takes bearer tokens that a person pastes
    #[arg(long)]
    bearer: bool,

    /// It takes a name and a password
    #[arg(long)]
    basic: bool,

    /// The header of its credentials, as in 'x-api-key: {key}'
    #[arg(long, value_name = "HEADER")]
    header: Option<String>,

    /// An environment variable that its programs read; the first one is set by exec
    #[arg(long, value_name = "VARIABLE")]
    variable: Vec<String>,

    /// An address that can be read with a good credential alone
    #[arg(long, value_name = "URL")]
    verify: Option<String>,

    /// The page where a person makes a key
    #[arg(long, value_name = "URL")]
    create_at: Option<String>,

    /// Issuer of its authorization server, exactly as the server's metadata has it
    #[arg(long, value_name = "URL", help_heading = "OAuth")]
    issuer: Option<String>,

    /// Authorization endpoint, for a server without metadata
    #[arg(long, value_name = "URL", help_heading = "OAuth")]
    authorization_endpoint: Option<String>,

    /// Token endpoint, for a server without metadata
    #[arg(long, value_name = "URL", help_heading = "OAuth")]
    token_endpoint: Option<String>,

    /// Device authorization endpoint, for a server without metadata
    #[arg(long, value_name = "URL", help_heading = "OAuth")]
    device_authorization_endpoint: Option<String>,

    /// A way to sign in; the first one is used by default
    #[arg(long, value_name = "GRANT", help_heading = "OAuth")]
    grant: Vec<String>,

    /// Scopes to ask for, instead of those that the server names
    #[arg(long, value_name = "SCOPE", value_delimiter = ' ', help_heading = "OAuth")]
    scope: Vec<String>,

    /// Resource indicator that all requests carry
    #[arg(long, value_name = "URI", help_heading = "OAuth")]
    resource: Option<String>,

    /// Your OAuth client there
    #[arg(long, value_name = "ID", help_heading = "OAuth")]
    client_id: Option<String>,

    /// How your client's secret is sent: client_secret_basic, client_secret_post, none
    #[arg(long, value_name = "METHOD", help_heading = "OAuth")]
    authentication: Option<String>,

    /// The page where a person registers a client
    #[arg(long, value_name = "URL", help_heading = "OAuth")]
    register_at: Option<String>,

    /// S256 or unverified, for a server that does not say whether it checks PKCE
    #[arg(long, value_name = "WORD", help_heading = "OAuth")]
    pkce: Option<String>,

    /// Replace a provider of this name, also a built-in one
    #[arg(long)]
    replace: bool,

    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if !arguments.dry_run {
        super::refuse_agents(context)?;
    }
    let target = &arguments.target;
    let url = target
        .contains("://")
        .then(|| parse_resource(target))
        .transpose()
        .map_err(|error| CommandError::usage(chain(&error)))?;
    let id = name(context, arguments, url.as_ref())?;
    let replaces = refuse_existing(context, arguments, url.as_ref(), &id)?;
    let mut described = Described::new(arguments);
    if url.is_some() {
        described.discover(context, &arguments.target)?;
    } else if let Some(issuer) = &arguments.issuer
        && arguments.token_endpoint.is_none()
    {
        described.discover_issuer(context, issuer)?;
    }
    let table = described.table()?;
    let file = context.paths()?.config_file();
    let snippet = config::snippet(&id, table.clone());
    let edit = config::add_provider(&file, &id, table).map_err(|error| in_flags(&id, error))?;
    if !arguments.dry_run {
        refuse_to_lead_away(context, &id, &edit)?;
        edit.write()?;
    }
    if context.ui.is_json() {
        context.ui.json(&json!({
            "version": 1,
            "provider": id,
            "file": file,
            "toml": snippet,
            "written": !arguments.dry_run,
            "replaced": replaces,
            "notes": described.notes,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    context.ui.data(&snippet)?;
    described.notes.iter().for_each(|note| context.ui.warn(note));
    if arguments.dry_run {
        context.ui.notice(&format!("Nothing was written to {}.", file.display()));
    } else {
        context.ui.notice(&format!("Added {id} to {}.", file.display()));
        context.ui.notice(&format!("Sign in with: authctl login {id}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A stored key goes wherever its provider's description says: not to other places than those for which it
/// was stored.
fn refuse_to_lead_away(context: &Context, id: &str, edit: &Edit) -> Result<(), CommandError> {
    let Ok(before) = context.config()?.provider(id) else { return Ok(()) };
    if edit.provider(id)?.sends_like(before) {
        return Ok(());
    }
    match super::stored(context, id)? {
        None => Ok(()),
        Some(name) => Err(CommandError::usage(format!(
            "a credential for {name} is stored, and would be sent elsewhere or in another way"
        ))
        .hint(format!("authctl logout {name}"))),
    }
}

/// What is wrong with the flags: the file has no such line yet.
fn in_flags(id: &str, error: config::Error) -> CommandError {
    match error {
        config::Error::Wrong { key: Some(key), what, .. }
            if key.starts_with(&format!("provider.{id}")) =>
        {
            CommandError::usage(format!("cannot add {id}: {key} {what}"))
        }
        other => other.into(),
    }
}

// ------------------------------------------------------------------------------------------ names

fn name(
    context: &Context,
    arguments: &Arguments,
    url: Option<&Url>,
) -> Result<String, CommandError> {
    let name = match (&arguments.name, url) {
        (Some(_), None) => {
            return Err(CommandError::usage(
                "--name is for an address; the name stands here already",
            ));
        }
        (Some(name), Some(_)) => name.clone(),
        (None, None) => arguments.target.clone(),
        (None, Some(url)) => short_name(url).or_else(|| long_name(url)).ok_or_else(|| {
            CommandError::usage("the address gives no name; choose one with --name")
        })?,
    };
    if is_part(&name) { Ok(name) } else { Ok(context.name(&name)?.name.provider().to_owned()) }
}

/// Whether a provider of this name is to be replaced; without `--replace` that is an error.
fn refuse_existing(
    context: &Context,
    arguments: &Arguments,
    url: Option<&Url>,
    id: &str,
) -> Result<bool, CommandError> {
    let config = context.config()?;
    let Ok(there) = config.provider(id) else { return Ok(false) };
    if arguments.replace {
        return Ok(true);
    }
    let place = match &there.source {
        Source::Catalog => "built in".to_owned(),
        Source::File { path, line } | Source::Servers { path, line } => {
            format!("{}:{line}", path.display())
        }
    };
    let error = CommandError::usage(format!("there is a provider {id} already ({place})"));
    let target = crate::text::clean(&arguments.target);
    let free = |name: &String| config.provider(name).is_err();
    let other = url
        .and_then(long_name)
        .filter(free)
        .or_else(|| (2..100).map(|number| format!("{id}-{number}")).find(free));
    let error = match (url, other) {
        (Some(_), Some(other)) => {
            error.hint(format!("authctl provider add {target} --name {other}"))
        }
        (None, Some(other)) => error.hint(format!("authctl provider add {other} …")),
        (_, None) => error,
    };
    Err(error
        .hint(format!("authctl provider show {id}"))
        .hint(format!("authctl provider add {target} --replace …")))
}

// ----------------------------------------------------------------------------------- description

/// A provider on its way into the file.
struct Described<'a> {
    arguments: &'a Arguments,
    server: Option<Server>,
    title: Option<String>,
    base_url: Option<String>,
    mcp_url: Option<String>,
    /// What the person should know about it.
    notes: Vec<String>,
}

impl<'a> Described<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        Self {
            arguments,
            server: None,
            title: arguments.title.clone(),
            base_url: arguments.base_url.clone(),
            mcp_url: arguments.mcp_url.clone(),
            notes: Vec::new(),
        }
    }

    fn discover(&mut self, context: &Context, url: &str) -> Result<(), CommandError> {
        let found = context.http.block_on(oauth::discover_from(&context.http, url));
        let found = found.map_err(|error| not_found(&error))?;
        if let Some(protected) = &found.protected {
            let place = if is_mcp(url) { &mut self.mcp_url } else { &mut self.base_url };
            place.get_or_insert_with(|| url.to_owned());
            self.title = self.title.take().or_else(|| protected.resource_name.clone());
            let others = &protected.authorization_servers[1..];
            if !others.is_empty() {
                let others = crate::text::clean(&others.join(" "));
                self.notes.push(format!("it trusts further authorization servers: {others}"));
            }
        }
        self.take(Server::of(&found));
        Ok(())
    }

    fn discover_issuer(&mut self, context: &Context, issuer: &str) -> Result<(), CommandError> {
        let found = context.http.block_on(oauth::discover(&context.http, issuer));
        let metadata = found.map_err(|error| not_found(&error))?;
        self.take(Server::of_issuer(&metadata));
        Ok(())
    }

    fn take(&mut self, server: Server) {
        if !server.checks_pkce && server.grants.is_empty() && self.arguments.pkce.is_none() {
            self.notes.push(
                "the server does not say that it checks PKCE with S256, and login will refuse it; \
                 --pkce S256 says that it is known to, --pkce unverified signs in nevertheless"
                    .into(),
            );
        }
        if !server.registers && self.arguments.client_id.is_none() {
            self.notes.push(
                "the server registers no clients by itself: bring one of your own with login --client-id ID"
                    .into(),
            );
        }
        self.server = Some(server);
    }

    fn table(&self) -> Result<Table, CommandError> {
        let arguments = self.arguments;
        let mut table = Table::new();
        put(&mut table, "title", self.title.as_ref());
        put(&mut table, "base_url", self.base_url.as_ref());
        put_list(&mut table, "base_url_variables", &arguments.base_url_variable);
        put(&mut table, "mcp_url", self.mcp_url.as_ref());
        put_list(&mut table, "hosts", &arguments.host);
        table.set_implicit(table.is_empty());
        let mut kinds = Vec::new();
        if self.is_oauth() {
            kinds.push(("oauth", self.oauth_table()));
        }
        for (kind, wanted) in [
            ("api_key", arguments.api_key),
            ("bearer", arguments.bearer),
            ("basic", arguments.basic),
        ] {
            if wanted {
                kinds.push((kind, Table::new()));
            }
        }
        if kinds.is_empty() {
            return Err(CommandError::usage(
                "what kind of credential does it take? --api-key, --bearer, --basic, --issuer or --token-endpoint",
            )
            .hint("authctl provider add --help"));
        }
        self.describe_kinds(&mut kinds)?;
        for (kind, inner) in kinds {
            table.insert(kind, Item::Table(inner));
        }
        Ok(table)
    }

    fn is_oauth(&self) -> bool {
        let arguments = self.arguments;
        self.server.is_some() || arguments.issuer.is_some() || arguments.token_endpoint.is_some()
    }

    /// What every kind has; a header and a page are those of one kind.
    fn describe_kinds(&self, kinds: &mut [(&str, Table)]) -> Result<(), CommandError> {
        let arguments = self.arguments;
        if kinds.len() > 1 && (arguments.header.is_some() || arguments.create_at.is_some()) {
            return Err(CommandError::usage(
                "--header and --create-at are for one kind of credential; add the provider with one, \
                 then write the other one into config.toml",
            ));
        }
        for (_, table) in kinds {
            put(table, "header", arguments.header.as_ref());
            put_list(table, "variables", &arguments.variable);
            put(table, "verify", arguments.verify.as_ref());
            put(table, "create_at", arguments.create_at.as_ref());
        }
        Ok(())
    }

    fn oauth_table(&self) -> Table {
        let arguments = self.arguments;
        let mut table = Table::new();
        let server = self.server.as_ref();
        put(
            &mut table,
            "issuer",
            server.map(|server| &server.issuer).or(arguments.issuer.as_ref()),
        );
        put(&mut table, "authorization_endpoint", arguments.authorization_endpoint.as_ref());
        put(&mut table, "token_endpoint", arguments.token_endpoint.as_ref());
        let device = arguments.device_authorization_endpoint.as_ref();
        put(&mut table, "device_authorization_endpoint", device);
        let grants: Vec<String> = match server {
            Some(server) if arguments.grant.is_empty() => {
                server.grants.iter().map(|grant| (*grant).to_owned()).collect()
            }
            _ => arguments.grant.clone(),
        };
        put_list(&mut table, "grants", &grants);
        let scopes = server.map(|server| &server.scopes).filter(|_| arguments.scope.is_empty());
        put_list(&mut table, "scopes", scopes.unwrap_or(&arguments.scope));
        let found = server.and_then(|server| server.resource.as_ref());
        put(&mut table, "resource", arguments.resource.as_ref().or(found));
        self.describe_client(&mut table);
        put(&mut table, "pkce", arguments.pkce.as_ref());
        table
    }

    fn describe_client(&self, table: &mut Table) {
        let arguments = self.arguments;
        let own = arguments.client_id.is_some()
            || arguments.register_at.is_some()
            || arguments.authentication.is_some();
        if self.server.as_ref().is_some_and(|server| server.registers) && !own {
            table.insert("client", toml_edit::value("register"));
            return;
        }
        put(table, "client_id", arguments.client_id.as_ref());
        let found = self.server.as_ref().and_then(|server| server.authentication);
        let found = found.map(str::to_owned);
        put(table, "authentication", arguments.authentication.as_ref().or(found.as_ref()));
        put(table, "register_at", arguments.register_at.as_ref());
    }
}

/// Whether the address looks like that of an MCP server rather than of an API.
fn is_mcp(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let path = url.path().trim_end_matches('/');
    path.ends_with("/mcp")
        || path.ends_with("/sse")
        || url.host_str().is_some_and(|host| host.starts_with("mcp."))
}

fn not_found(error: &oauth::Error) -> CommandError {
    let kind = match error {
        oauth::Error::Http(error) => return error.clone().into(),
        oauth::Error::Unavailable { .. } => Kind::TryAgain,
        _ => Kind::Failed,
    };
    let shown = CommandError::new(kind, error.to_string());
    match error {
        oauth::Error::NoMetadata { .. } => shown.hint(
            "describe it by flags: authctl provider add NAME --token-endpoint URL … or --api-key …",
        ),
        _ => shown,
    }
}

fn put(table: &mut Table, key: &str, value: Option<&String>) {
    if let Some(value) = value {
        table.insert(key, toml_edit::value(value.as_str()));
    }
}

fn put_list(table: &mut Table, key: &str, values: &[String]) {
    if !values.is_empty() {
        let list: Array = values.iter().map(String::as_str).collect();
        table.insert(key, Item::Value(Value::Array(list)));
    }
}
