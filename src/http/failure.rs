//! Reads the errors of the clients: what happened, and whether before or after the request was sent.

use std::error::Error as StdError;

use super::Error;
use super::address::Forbidden;
use crate::text::clean;

/// What a client says of its own error.
pub(super) struct Symptom {
    pub is_timeout: bool,
    pub is_connect: bool,
}

/// The error of reqwest.
pub(super) fn failure(host: &str, error: &reqwest::Error) -> Error {
    let symptom = Symptom { is_timeout: error.is_timeout(), is_connect: error.is_connect() };
    read(host, error, &symptom)
}

/// The error of any client, by what lies behind it.
pub(super) fn read(host: &str, error: &(dyn StdError + 'static), symptom: &Symptom) -> Error {
    let host = host.to_owned();
    if let Some(Forbidden(address)) = find(error) {
        return Error::ForbiddenAddress { host, address: address.to_canonical().to_string() };
    }
    if symptom.is_timeout {
        return Error::TimedOut { host, sent: !symptom.is_connect };
    }
    if symptom.is_connect {
        return match find::<rustls::Error>(error) {
            Some(tls) => Error::Certificate { host, reason: no_trust(tls) },
            None => Error::Unreachable { host, reason: innermost(error) },
        };
    }
    match find::<hyper::Error>(error) {
        Some(hyper) if hyper.is_parse_too_large() => Error::TooLarge { host, limit: 64 * 1024 },
        Some(hyper) if hyper.is_parse() => Error::NotHttp { host },
        _ => Error::Interrupted { host },
    }
}

/// Why a server is not believed, for people: the library speaks in the names of its own variants.
fn no_trust(error: &rustls::Error) -> String {
    use rustls::CertificateError as C;
    use rustls::Error as E;
    let reason = match error {
        E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "its certificate has expired, or this computer's clock is wrong"
        }
        E::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "its certificate is not valid yet, or this computer's clock is wrong"
        }
        E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "its certificate is for another name"
        }
        E::InvalidCertificate(C::Revoked) => "its certificate was revoked",
        // The platform's verifier wraps its own words for a wrong purpose as `Other`.
        E::InvalidCertificate(
            C::InvalidPurpose | C::InvalidPurposeContext { .. } | C::Other(_),
        ) => "its certificate is not one for servers",
        // A signature that does not match comes from another authority of the same name.
        E::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => {
            "its certificate comes from an authority that this computer does not trust"
        }
        E::InvalidCertificate(_) => "its certificate is not sound",
        E::PeerIncompatible(_) | E::AlertReceived(rustls::AlertDescription::ProtocolVersion) => {
            "it offers only versions of TLS that are no longer safe"
        }
        E::InvalidMessage(_) => "it does not speak TLS",
        other => return clean(&other.to_string()),
    };
    reason.to_owned()
}

/// What lies behind an error, looking into `io::Error`, which hides what it wraps.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

pub(super) fn find<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The message of the innermost cause: the outer ones repeat the URL.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(|cause| clean(&cause.to_string())).unwrap_or_default()
}
