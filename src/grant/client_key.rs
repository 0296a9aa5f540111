//! The private key of a client, from a file that only its owner can read, or from a pipe.

use std::path::Path;

use zeroize::Zeroizing;

use super::{Error, KeySource, api_key, host_of};
use crate::config::OAuth;
use crate::oauth::{Client, ClientAuthentication, ClientKey, KeyError};
use crate::private_file;
use crate::secret::Secret;
use crate::text::clean;

/// Longest key file; an RSA key of 8192 bits has 7 KiB.
const LIMIT: u64 = 64 * 1024;

/// Reads a key that was named by hand.
pub fn client_key(source: &KeySource, key_id: Option<String>) -> Result<ClientKey, Error> {
    if let KeySource::File(path) = source {
        return key_file(path, key_id);
    }
    let unfit = |source| Error::ClientKey { place: "standard input".into(), source };
    ClientKey::read(api_key::text_of_stdin()?, key_id).map_err(unfit)
}

/// Reads a key file, under the same rules as every file of ours; a link is followed, since systems that
/// hand out keys use them.
pub(super) fn key_file(path: &Path, key_id: Option<String>) -> Result<ClientKey, Error> {
    let failed = |source| Error::KeyFile { path: path.to_owned(), source };
    let target = path.canonicalize().map_err(failed)?;
    let bytes = private_file::read_unexposed(&target, LIMIT)?
        .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    let unfit = |source| Error::ClientKey { place: path.display().to_string(), source };
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| unfit(KeyError::Unreadable))?;
    ClientKey::read(Secret::new(text), key_id).map_err(unfit)
}

/// The client with its key, which the configuration may name by a file, and with the audience of its
/// assertions: as configured, else the issuer (the 2025 advisory on audience injection), else the token
/// endpoint.
pub fn with_key(
    client: &Client,
    oauth: &OAuth,
    issuer: Option<&str>,
    token_endpoint: &str,
) -> Result<Client, Error> {
    let mut client = client.clone();
    if client.authentication == ClientAuthentication::PrivateKeyJwt {
        if let (None, Some(path)) = (&client.key, &oauth.client_key_file) {
            client.key = Some(key_file(path, oauth.client_key_id.clone())?);
        }
        let audience = oauth.assertion_audience.as_deref().or(issuer).unwrap_or(token_endpoint);
        if let Some(key) = &mut client.key {
            key.audience = Some(audience.to_owned());
        }
    }
    Ok(client)
}

/// Refuses a key whose algorithm the server does not take, where it says which it does (RFC 8414 §2,
/// `token_endpoint_auth_signing_alg_values_supported`).
pub fn check_algorithm(
    client: &Client,
    supported: Option<&[String]>,
    token_endpoint: &str,
) -> Result<(), Error> {
    let (Some(supported), Some(key)) = (supported, &client.key) else { return Ok(()) };
    let unfit = |source| Error::ClientKey { place: "the store".into(), source };
    let algorithm = key.signing_key().map_err(unfit)?.algorithm();
    if supported.is_empty() || supported.iter().any(|name| name == algorithm) {
        return Ok(());
    }
    Err(Error::Algorithm {
        host: host_of(token_endpoint),
        algorithm,
        supported: clean(&supported.join(", ")),
    })
}
