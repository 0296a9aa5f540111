//! MCP servers by their addresses: which one is meant, what it is called here, and how to sign in there.
//! The bridge and `login` come here; what is found is kept in servers.toml.

use jiff::Timestamp;
use url::Url;

use super::local_name::{long_name, short_name};
use super::purpose::record_login;
use super::server_table::{Wanted, table};
use crate::config::{self, Dpop, OAuth, Provider, Servers, read_servers};
use crate::context::{Context, Named};
use crate::credential::Name;
use crate::error::{CommandError, Kind, chain, exception};
use crate::http::parse_resource;
use crate::interact::Interact;
use crate::login::{self, Found, Login, Method, Outcome, Wish};
use crate::oauth::{self, ClientKey, Metadata, Refusal};
use crate::secret::Secret;
use crate::store::{self, Key};

/// A server that has a name here.
#[derive(Debug, Clone)]
pub struct Server {
    /// As it was given, or as it is written down.
    pub url: String,
    pub named: Named,
    pub provider: Provider,
}

/// What a sign-in is to be like.
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub struct SignIn<'a> {
    /// Address or local name.
    pub server: &'a str,
    /// The local name for an address, with an account or without.
    pub name: Option<&'a str>,
    /// How the server refused a request: it is not asked a second time.
    pub refusal: Option<&'a Refusal>,
    pub method: Method,
    /// Instead of what the server names.
    pub scopes: Option<Vec<String>>,
    pub client_id: Option<String>,
    pub client_secret: Option<Secret>,
    pub client_key: Option<ClientKey>,
    pub client_metadata_url: Option<String>,
    pub new_client: bool,
    /// Tokens that are bound to a key, and no others.
    pub dpop: bool,
    pub interact: &'a dyn Interact,
    pub open_browser: bool,
    /// The address of the consent page comes to a person by `interact`, wherever this runs.
    pub is_brought: bool,
    /// A sign-in by another process after this moment will do: when the refused credential was resolved,
    /// or the beginning of time where there was none.
    pub since: Option<Timestamp>,
    /// Signs in only if the server trusts another authorization server than the one of the credential at
    /// hand, which it refuses.
    pub only_elsewhere: bool,
}

impl<'a> SignIn<'a> {
    /// The server's own way.
    pub fn by_default(server: &'a str, interact: &'a dyn Interact) -> Self {
        Self {
            server,
            name: None,
            refusal: None,
            method: Method::Default,
            scopes: None,
            client_id: None,
            client_secret: None,
            client_key: None,
            client_metadata_url: None,
            new_client: false,
            dpop: false,
            interact,
            open_browser: true,
            is_brought: false,
            since: None,
            only_elsewhere: false,
        }
    }
}

/// Who is meant and how to sign in there: all but the sign-in itself.
struct Described {
    server: Server,
    metadata: Option<Metadata>,
    scopes: Option<Vec<String>>,
    client_metadata_url: Option<String>,
}

/// The server that is meant; `None`: nobody ever signed in to this address, and the configuration says
/// nothing of it. Asks no server.
pub fn find(
    context: &Context,
    typed: &str,
    name: Option<&str>,
) -> Result<Option<Server>, CommandError> {
    if typed.contains("://") {
        find_at(context, typed, name)
    } else {
        find_named(context, typed, name)
    }
}

fn find_at(
    context: &Context,
    typed: &str,
    name: Option<&str>,
) -> Result<Option<Server>, CommandError> {
    let url = address(typed)?;
    let wanted = name.map(|name| context.name(name)).transpose()?;
    let is_meant = |provider: &&Provider| {
        provider.is_at(&url)
            && wanted.as_ref().is_none_or(|named| named.name.provider() == provider.id)
    };
    let servers = read_servers(&context.paths()?.servers_file())?;
    let mut known = context.config()?.written().chain(servers.values());
    let known = known.find(is_meant).or_else(|| sent_there(context, wanted.as_ref(), typed));
    let Some(provider) = known.cloned() else { return Ok(None) };
    let named = wanted.map_or_else(|| context.name(&provider.id), Ok)?;
    Ok(Some(Server { url: typed.to_owned(), named, provider }))
}

/// The provider that was asked for, where its credentials may go to that host: a key needs no sign-in there.
fn sent_there<'a>(context: &'a Context, wanted: Option<&Named>, url: &str) -> Option<&'a Provider> {
    let provider = context.config().ok()?.provider(wanted?.name.provider()).ok()?;
    provider.sends_to(url).then_some(provider)
}

fn find_named(
    context: &Context,
    typed: &str,
    name: Option<&str>,
) -> Result<Option<Server>, CommandError> {
    if name.is_some() {
        return Err(CommandError::usage("--name is for an address; the name stands here already"));
    }
    let named = context.name(typed)?;
    let servers = read_servers(&context.paths()?.servers_file())?;
    let provider = match context.provider(&named.name) {
        Ok(provider) => provider.clone(),
        // Another process may have found it since this one read its configuration.
        Err(error) => servers.get(named.name.provider()).cloned().ok_or(error)?,
    };
    let url = provider.mcp_url.clone().unwrap_or_default();
    Ok(Some(Server { url, named, provider }))
}

/// Signs in to a server, and saves the credential. Processes that do so at the same time come to one name,
/// one registration and one question.
pub fn sign_in(
    context: &Context,
    sign_in: &SignIn<'_>,
) -> Result<(Server, Result<Outcome, login::Error>), CommandError> {
    let described = describe(context, sign_in)?;
    if sign_in.only_elsewhere && !described.is_elsewhere(context)? {
        let name = &described.server.named.name;
        return Err(CommandError::new(Kind::LoginRequired, "it refuses a token that is new")
            .hint(format!("authctl login {name}")));
    }
    let login = Login { interact: sign_in.interact, ..context.login()? };
    let outcome = login.run(&described.wish(context, sign_in)?);
    // What waits for a person is neither done nor failed.
    if !matches!(outcome, Err(login::Error::Unfinished(_))) {
        let Server { named, provider, .. } = &described.server;
        record_login(context, &named.name, provider, &outcome);
    }
    Ok((described.server, outcome))
}

/// Finds out how to sign in, and settles what the server is called.
fn describe(context: &Context, sign_in: &SignIn<'_>) -> Result<Described, CommandError> {
    let server = find(context, sign_in.server, sign_in.name)?;
    let described = match server {
        Some(server) if server.provider.asked_at().is_some() => {
            ask_again(context, sign_in, server)?
        }
        Some(server) => {
            let scopes = sign_in.refusal.map(Refusal::insufficient_scopes).unwrap_or_default();
            let scopes = wished(context, sign_in, &server, scopes)?;
            Described { server, metadata: None, scopes, client_metadata_url: None }
        }
        None => ask_first(context, sign_in)?,
    };
    let described = if sign_in.dpop { described.bound() } else { described };
    let given = sign_in.client_metadata_url.clone();
    let configured = || context.config().ok()?.client_metadata_url.clone();
    Ok(Described { client_metadata_url: given.or_else(configured), ..described })
}

impl Described {
    /// The same with bound tokens alone.
    fn bound(mut self) -> Self {
        if let Some(oauth) = self.server.provider.oauth() {
            let oauth = OAuth { dpop: Dpop::Required, ..oauth.clone() };
            self.server.provider = self.server.provider.with_oauth(&oauth);
        }
        self
    }

    /// Whether the stored credential is of another authorization server than this sign-in would be.
    fn is_elsewhere(&self, context: &Context) -> Result<bool, CommandError> {
        let held = store::unless_damaged(context.store()?.load(&self.server.named.name))?;
        let held =
            held.as_ref().and_then(|record| Some(record.credential.as_oauth()?.1.issuer.clone()));
        let now = self.server.provider.oauth().map(|oauth| oauth.issuer.clone());
        Ok(held != now)
    }

    fn wish<'a>(
        &'a self,
        context: &Context,
        sign_in: &SignIn<'a>,
    ) -> Result<Wish<'a>, CommandError> {
        let provider = &self.server.provider;
        Ok(Wish {
            name: &self.server.named.name,
            provider,
            method: sign_in.method.clone(),
            scopes: self.scopes.clone(),
            client_id: sign_in.client_id.clone(),
            client_secret: sign_in.client_secret.clone(),
            client_key: sign_in.client_key.clone(),
            client_is_standing: sign_in.client_id.is_none() || sign_in.refusal.is_some(),
            client_metadata_url: self.client_metadata_url.clone(),
            metadata: self.metadata.as_ref(),
            new_client: sign_in.new_client,
            open_browser: sign_in.open_browser,
            is_brought: sign_in.is_brought,
            is_elsewhere: false,
            keep_id_token: context.config()?.is_identity_provider(&provider.id),
            since: sign_in.since,
        })
    }
}

/// The first sign-in to an address.
fn ask_first(context: &Context, sign_in: &SignIn<'_>) -> Result<Described, CommandError> {
    let found = match sign_in.method {
        Method::Key { .. } | Method::Basic { .. } => None,
        _ => Some(find_out(context, sign_in, sign_in.server, None)?),
    };
    let server = keep(context, sign_in, found.as_ref())?;
    sign_in.interact.notice(&format!(
        "{} is called {} here.",
        crate::text::clean(&server.url),
        server.named.name.provider()
    ));
    finish(context, sign_in, server, found)
}

/// A sign-in to a server that is known: it may trust somebody else by now.
fn ask_again(
    context: &Context,
    sign_in: &SignIn<'_>,
    server: Server,
) -> Result<Described, CommandError> {
    let Some(oauth) = server.provider.oauth() else {
        return finish(context, sign_in, server, None);
    };
    let url = server.provider.asked_at().unwrap_or(&server.url).to_owned();
    let found = find_out(context, sign_in, &url, oauth.trusted_issuer.as_deref())?;
    let server = if oauth.names_server() {
        keep(context, sign_in, Some(&found))?
    } else {
        let provider = server.provider.with_oauth(&found.complete(oauth));
        Server { provider, ..server }
    };
    finish(context, sign_in, server, Some(found))
}

fn finish(
    context: &Context,
    sign_in: &SignIn<'_>,
    server: Server,
    found: Option<Found>,
) -> Result<Described, CommandError> {
    let challenged = found.as_ref().filter(|found| found.is_insufficient);
    let challenged = challenged.map(|found| found.scopes.clone()).unwrap_or_default();
    let scopes = wished(context, sign_in, &server, challenged)?;
    let metadata = found.and_then(|found| found.metadata);
    Ok(Described { server, metadata, scopes, client_metadata_url: None })
}

fn find_out(
    context: &Context,
    sign_in: &SignIn<'_>,
    url: &str,
    trusted_issuer: Option<&str>,
) -> Result<Found, CommandError> {
    let found = context.login()?.find_out(url, sign_in.refusal, trusted_issuer);
    found.map_err(|error| {
        let shown = CommandError::from(error.clone()).within("asking who signs people in there");
        let shown = shown.within(&crate::text::clean(url));
        with_hints(context, sign_in, url, &error, shown)
    })
}

/// What else there is to do about a server that says nothing good about the sign-in.
fn with_hints(
    context: &Context,
    sign_in: &SignIn<'_>,
    url: &str,
    error: &oauth::Error,
    shown: CommandError,
) -> CommandError {
    let url = crate::text::clean(url);
    match error {
        oauth::Error::IssuerMismatch { found, .. } => {
            let id = open_servers(context).and_then(|it| settle_name(context, sign_in, &it));
            let Ok((id, _)) = id else { return shown };
            let shown = shown.hint("if you know that it is the right one, write in config.toml:");
            let line = format!("trusted_issuer = {}", serde_json::Value::from(found.as_str()));
            exception(shown, &id, Some(&url), &line)
        }
        oauth::Error::NotProtected { .. } => {
            let name = sign_in.name.map_or(String::new(), |name| format!(" --name {name}"));
            let does = "(a key or token that you have for it)";
            shown.hint(format!("authctl login {url}{name} --with-key  {does}"))
        }
        _ => shown,
    }
}

/// The scopes to ask for instead of the table's: those of the command line; or, where a token had too few,
/// those that were asked for before and those that it lacked (SEP-2350).
fn wished(
    context: &Context,
    sign_in: &SignIn<'_>,
    server: &Server,
    lacking: Vec<String>,
) -> Result<Option<Vec<String>>, CommandError> {
    if sign_in.scopes.is_some() || lacking.is_empty() {
        return Ok(sign_in.scopes.clone());
    }
    let held = store::unless_damaged(context.store()?.load(&server.named.name))?;
    let asked =
        held.as_ref().and_then(|record| Some(record.credential.as_oauth()?.1.scopes.clone()));
    let usual = || server.provider.oauth().map(|oauth| oauth.scopes.clone()).unwrap_or_default();
    let mut scopes = asked.unwrap_or_else(usual);
    for scope in lacking {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(Some(scopes))
}

/// Writes down what was found. The first of several processes chooses the name, and the others find it.
fn keep(
    context: &Context,
    sign_in: &SignIn<'_>,
    found: Option<&Found>,
) -> Result<Server, CommandError> {
    let mut servers = open_servers(context)?;
    let (id, url) = settle_name(context, sign_in, &servers)?;
    let wanted = Wanted {
        method: &sign_in.method,
        client_metadata_url: sign_in.client_metadata_url.as_deref(),
        dpop: sign_in.dpop,
    };
    let written = table(&url, found, servers.provider(&id), &wanted);
    // What a person is asked to write is what a server said, and not an error of theirs.
    let provider = servers.put(&id, written).map_err(|error| match error {
        config::Error::Wrong { key, what, .. } => {
            let key = key.map_or(String::new(), |key| format!("{key}: "));
            let what = format!("{} gave an unusable answer: {key}{what}", sign_in.server);
            CommandError::new(Kind::Failed, what)
        }
        other => other.into(),
    })?;
    let named = match sign_in.name {
        Some(name) => context.name(name)?,
        None if sign_in.server.contains("://") => context.name(&id)?,
        None => context.name(sign_in.server)?,
    };
    Ok(Server { url, named, provider })
}

fn open_servers(context: &Context) -> Result<Servers, CommandError> {
    Ok(Servers::open(&context.paths()?.servers_file())?)
}

/// The local name of the server, and its address.
fn settle_name(
    context: &Context,
    sign_in: &SignIn<'_>,
    servers: &Servers,
) -> Result<(String, String), CommandError> {
    if !sign_in.server.contains("://") {
        let named = context.name(sign_in.server)?;
        let id = named.name.provider().to_owned();
        let there = servers.provider(&id).and_then(|provider| provider.mcp_url.clone());
        let gone =
            || CommandError::usage(format!("{id} is no longer known")).hint("authctl login URL");
        return Ok((id.clone(), there.ok_or_else(gone)?));
    }
    let url = address(sign_in.server)?;
    let wanted = sign_in.name.map(str::parse::<Name>).transpose()?;
    let wanted = wanted.as_ref().map(Name::provider);
    let id = match (servers.at(&url), wanted) {
        (Some(there), None) => there.id.clone(),
        (Some(there), Some(wanted)) if there.id == wanted => wanted.to_owned(),
        (Some(there), Some(_)) => {
            return Err(CommandError::usage(format!("this server is called {} here", there.id))
                .hint(format!("authctl login {}:ACCOUNT  (a further account)", there.id)));
        }
        (None, Some(wanted)) if is_free(context, servers, wanted)? => wanted.to_owned(),
        (None, Some(wanted)) => {
            return Err(CommandError::usage(format!("there is a provider {wanted} already"))
                .hint(format!("authctl provider show {wanted}")));
        }
        (None, None) => free_name(context, servers, &url)?,
    };
    let url = servers.at(&url).and_then(|there| there.mcp_url.clone());
    Ok((id, url.unwrap_or_else(|| sign_in.server.to_owned())))
}

fn is_free(context: &Context, servers: &Servers, id: &str) -> Result<bool, CommandError> {
    Ok(servers.provider(id).is_none() && context.config()?.provider(id).is_err())
}

/// A name from the host, then with the path, then with a number.
fn free_name(context: &Context, servers: &Servers, url: &Url) -> Result<String, CommandError> {
    let long = long_name(url);
    let path: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
    let with_path = long.as_ref().map(|long| format!("{long}-{}", path.join("-")).to_lowercase());
    let base = short_name(url).or_else(|| long.clone()).unwrap_or_else(|| "server".to_owned());
    let numbered = (2..1000).map(|number| format!("{base}-{number}"));
    let names = short_name(url).into_iter().chain(long).chain(with_path).chain(numbered);
    for name in names.filter(|name| crate::credential::is_part(name)) {
        if is_free(context, servers, &name)? {
            return Ok(name);
        }
    }
    Err(CommandError::usage("the address gives no name; choose one with --name"))
}

/// An address as it was typed.
pub fn address(typed: &str) -> Result<Url, CommandError> {
    parse_resource(typed).map_err(|error| CommandError::usage(chain(&error)))
}

/// Forgets what was found at an address, and the client that was brought there, once nothing is stored for
/// it any more. What a person wrote down stays.
pub fn forget(context: &Context, id: &str) -> Result<(), CommandError> {
    let file = context.paths()?.servers_file();
    let is_used = || -> Result<bool, CommandError> {
        let listing = context.store()?.entries()?;
        Ok(listing.entries.iter().any(|entry| entry.provider == id))
    };
    if !read_servers(&file)?.contains_key(id) || is_used()? {
        return Ok(());
    }
    let mut servers = Servers::open(&file)?;
    // A sign-in may have ended meanwhile.
    if !is_used()? && servers.remove(id)? {
        let (store, client) = (context.store()?, Key::Client(id));
        let guard = store.lock(&client, store::WRITE_WAIT)?;
        store.delete_registration(&guard, &client)?;
    }
    Ok(())
}
