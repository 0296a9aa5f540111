//! mcp-remote's sessions: OAuth tokens with the client that they belong to. One whose issuer is a provider's
//! becomes that provider's credential; its files are put away then, since two programs that refresh with
//! one token end the sign-in for both.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::done::Done;
use super::plan::{Choices, Item, State, print};
use super::{Found, read};
use crate::clients::{self, Session, Way};
use crate::commands::client_file::back_up;
use crate::config::{OAuth, Provider};
use crate::context::Context;
use crate::credential::{Binding, Credential, Grant, Tokens};
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::oauth::{self, Client, ClientAuthentication};
use crate::private_file;
use crate::secret::Secret;

const TOKENS: &str = "_tokens.json";
const CLIENT: &str = "_client_info.json";

/// Every session that mcp-remote keeps in a folder.
pub fn items(
    context: &Context,
    folder: &Path,
    choices: &Choices,
) -> Result<Vec<Item>, CommandError> {
    let mut found = Vec::new();
    for file in token_files(folder) {
        let client = client_file(&file);
        let client = client.exists().then(|| read(&client, None)).transpose()?;
        let session =
            clients::session(&read(&file, None)?, client.as_deref()).map_err(|malformed| {
                CommandError::usage(format!("cannot take over {}: {malformed}", file.display()))
            })?;
        found.push(item(context, file, session, choices)?);
    }
    Ok(found)
}

/// The files of tokens in a folder and in the folders of versions below it.
pub fn token_files(folder: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(Result::ok).map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut files = below(folder);
    let folders: Vec<PathBuf> = files.iter().filter(|path| path.is_dir()).cloned().collect();
    files.extend(folders.iter().flat_map(|folder| below(folder)));
    files.retain(|path| path.to_string_lossy().ends_with(TOKENS));
    files.sort();
    files
}

fn client_file(tokens: &Path) -> PathBuf {
    PathBuf::from(tokens.to_string_lossy().trim_end_matches(TOKENS).to_owned() + CLIENT)
}

fn item(
    context: &Context,
    path: PathBuf,
    session: Session,
    choices: &Choices,
) -> Result<Item, CommandError> {
    let print = digest(&session);
    let issuer = session.issuer.clone();
    let known = issuer.as_deref().and_then(|issuer| of_issuer(context, issuer));
    let chosen = choices.names.iter().find(|(other, _)| *other == print);
    let name = match (chosen, known) {
        (Some((_, typed)), _) => Some(context.name(typed)?.name),
        (None, Some(provider)) => Some(context.name(&provider.id)?.name),
        (None, None) => None,
    };
    let (credential, state) = match (&name, known) {
        _ if choices.skipped.contains(&print) => (None, State::Skipped),
        (Some(_), Some(provider)) => match credential(provider, session) {
            Some(credential) => {
                let fit = Secret::parse_token(credential.secret().expose());
                let state =
                    fit.map_or_else(|unfit| State::Unfit(unfit.to_string()), |_| State::New);
                (Some(credential), state)
            }
            None => (None, State::Unfit("its client is not known: sign in with authctl".into())),
        },
        (Some(_), None) => {
            (None, State::Unfit("it is of another issuer than the provider's".into()))
        }
        (None, _) => (None, State::Unknown),
    };
    let place = match issuer {
        Some(issuer) => format!("sign-in at {}", crate::text::clean(&issuer)),
        None => "sign-in at a server that it does not name".into(),
    };
    Ok(Item {
        flags: None,
        path,
        place,
        at: Vec::new(),
        way: Way::Remove,
        variable: None,
        print,
        credential,
        name,
        state,
    })
}

fn of_issuer<'a>(context: &'a Context, issuer: &str) -> Option<&'a Provider> {
    context.config().ok()?.providers().find(|provider| {
        oauth_of(provider).is_some_and(|oauth| oauth.issuer.as_deref() == Some(issuer))
    })
}

fn oauth_of(provider: &Provider) -> Option<&OAuth> {
    provider.schemes.iter().find_map(|scheme| scheme.oauth.as_ref())
}

/// The session as a credential that is bound like one of a login here. What the provider leaves to its
/// issuer's metadata is looked up when it is stored.
fn credential(provider: &Provider, session: Session) -> Option<Credential> {
    let oauth = oauth_of(provider)?;
    let authentication = match session.client_secret {
        Some(_) => ClientAuthentication::ClientSecretBasic,
        None => ClientAuthentication::None,
    };
    let client_id = session.client_id?;
    let client_secret = session.client_secret;
    let client = Client { client_id, client_secret, key: None, authentication };
    let tokens = Tokens {
        access_token: session.access_token,
        token_type: "Bearer".into(),
        issued_at: Timestamp::now(),
        expires_at: session.expires_at.and_then(at_milliseconds),
        refresh_token: session.refresh_token,
        refresh_expires_at: None,
        scopes: session.scopes,
        subject: None,
        dpop_key: None,
        id_token: None,
    };
    let binding = Binding {
        issuer: oauth.issuer.clone(),
        token_endpoint: oauth.token_endpoint.clone().unwrap_or_default(),
        refresh_endpoint: oauth.refresh_endpoint.clone(),
        revocation_endpoint: oauth.revocation_endpoint.clone(),
        confined: Vec::new(),
        resource: oauth.resource.clone(),
        client_instead_of: oauth.client_id.clone().filter(|id| *id != client.client_id),
        client,
        grant: Grant::AuthorizationCode,
        scopes: oauth.scopes.clone(),
    };
    Some(Credential::OAuth { tokens, binding })
}

/// A credential with the endpoints of its issuer's metadata, where it has none yet.
pub fn complete(context: &Context, credential: Credential) -> Result<Credential, CommandError> {
    let Credential::OAuth { tokens, mut binding } = credential else { return Ok(credential) };
    if binding.token_endpoint.is_empty() {
        let issuer = binding.issuer.as_deref().unwrap_or_default();
        let metadata = context.http.block_on(oauth::discover(&context.http, issuer))?;
        binding.token_endpoint = metadata.token_endpoint.ok_or_else(|| {
            CommandError::new(Kind::Failed, format!("{issuer} names no token endpoint"))
        })?;
        binding.revocation_endpoint = binding.revocation_endpoint.or(metadata.revocation_endpoint);
        binding.confined = crate::login::confined(
            &context.http,
            [Some(&binding.token_endpoint), binding.revocation_endpoint.as_ref()]
                .into_iter()
                .flatten(),
        );
    }
    Ok(Credential::OAuth { tokens, binding })
}

#[expect(clippy::cast_possible_truncation, reason = "an end in another age is no end")]
fn at_milliseconds(time: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond(time as i64).ok()
}

/// Takes the files of what is stored away, after backups of them.
pub fn put_away(context: &Context, found: &Found, done: &mut Done) -> Result<(), CommandError> {
    for item in found.items.iter().filter(|item| item.state.is_taken() && is_session(item)) {
        let contents = read(&item.path, None)?;
        let now = clients::session(&contents, None).map(|session| digest(&session));
        if now.ok().as_ref() != Some(&item.print) {
            context.ui.warn(&format!(
                "{} was changed meanwhile by mcp-remote, and stays; run the import again",
                item.path.display()
            ));
            continue;
        }
        put_file_away(context, &item.path, &contents, done)?;
        // The client may have a secret, and is of no use without its tokens.
        let client = client_file(&item.path);
        if client.exists() {
            put_file_away(context, &client, &read(&client, None)?, done)?;
        }
    }
    Ok(())
}

fn put_file_away(
    context: &Context,
    path: &Path,
    contents: &str,
    done: &mut Done,
) -> Result<(), CommandError> {
    let backup = back_up(context, path, contents.as_bytes())?;
    private_file::remove(path)?;
    done.rewritten.push((path.to_owned(), backup));
    Ok(())
}

fn digest(session: &Session) -> String {
    print(session.refresh_token.as_ref().unwrap_or(&session.access_token))
}

pub fn is_session(item: &Item) -> bool {
    item.path.to_string_lossy().ends_with(TOKENS)
}
