//! Turns a credential into what a program or a server expects: environment variables, or headers. Functions
//! of provider, scheme, credential and request; whatever cannot stand unchanged in its place is refused
//! here, and so is handing over what works only together with its key.

use base64::Engine;
use jiff::Timestamp;
use url::Url;

use crate::config::{self, Provider, Scheme};
use crate::credential::{Credential, Kind, Name, variable_part};
use crate::oauth::{DPOP, DpopKey, KeyError, Proven};
use crate::secret::Secret;

/// Changes of a child's environment. Clearing comes first: a variable in both lists is set.
#[derive(Debug, Default)]
pub struct Injection {
    pub set: Vec<(String, Secret)>,
    pub clear: Vec<String>,
}

/// Why a credential cannot be injected. Never holds the credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller offers `--with NAME=VAR`.
    #[error("no environment variable is known for a credential of {provider} of kind {}", kind.as_str())]
    NoVariable { provider: String, kind: Kind },
    #[error(transparent)]
    BadVariable(#[from] config::BadVariable),
    #[error("the credential is of kind {}, which the header {header} does not take", kind.as_str())]
    WrongKind { kind: Kind, header: String },
    /// RFC 9449 §7.
    #[error(
        "the token of {provider} is bound to a key (DPoP): it works only with a proof that authctl signs for \
         each request, and cannot be handed over"
    )]
    Bound { provider: String },
    /// A bound token whose key is missing or damaged.
    #[error("the key that the token is bound to cannot be used{}", .0.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    BadKey(Option<KeyError>),
    #[error("the user name has a colon or a control character")]
    BadUser,
    #[error("a password was given without the user name that the header needs")]
    NoUser,
    #[error("the credential has a control character and cannot stand in {place}")]
    BadSecret { place: String },
}

/// The environment variables that carry `credential`: the scheme's first one, or `rename`, is set; all
/// others that any of the provider's programs would read are cleared.
pub fn variables(
    provider: &Provider,
    scheme: &Scheme,
    credential: &Credential,
    rename: Option<&str>,
) -> Result<Injection, Error> {
    refuse_bound(provider, credential)?;
    let first = scheme.variables.first().map(String::as_str);
    let Some(variable) = rename.or(first) else {
        return Err(Error::NoVariable { provider: provider.id.clone(), kind: scheme.kind });
    };
    config::check_variable(variable)?;
    let secret = credential.secret();
    if secret.expose().chars().any(char::is_control) {
        return Err(Error::BadSecret { place: variable.to_owned() });
    }
    let mut clear: Vec<String> = Vec::new();
    for rival in provider.variables().filter(|rival| *rival != variable) {
        if !clear.iter().any(|known| known == rival) {
            clear.push(rival.to_owned());
        }
    }
    Ok(Injection { set: vec![(variable.to_owned(), secret.clone())], clear })
}

/// Name and value of the header that carries `credential` to whatever request it is put on.
pub fn header(
    provider: &Provider,
    scheme: &Scheme,
    credential: &Credential,
) -> Result<(String, Secret), Error> {
    refuse_bound(provider, credential)?;
    plain_header(scheme, credential)
}

/// The value of the scheme's header with `secret` in the place of a credential.
pub fn header_with(scheme: &Scheme, secret: &Secret) -> Secret {
    let places = ["{token}", "{key}", "{basic}"];
    let format = scheme.header.format.clone();
    Secret::new(places.iter().fold(format, |text, place| text.replacen(place, secret.expose(), 1)))
}

/// The headers that carry `credential` on one request to `url`: for a bound token, the token and the
/// proof for this request alone (RFC 9449 §7.1), with the newest `nonce` of the server (§9).
pub fn headers(
    scheme: &Scheme,
    credential: &Credential,
    method: &str,
    url: &Url,
    nonce: Option<&str>,
) -> Result<Vec<(String, Secret)>, Error> {
    let Some((tokens, _)) = credential.as_oauth().filter(|(tokens, _)| tokens.is_bound()) else {
        return Ok(vec![plain_header(scheme, credential)?]);
    };
    let kept = tokens.dpop_key.as_ref().ok_or(Error::BadKey(None))?;
    let token = &tokens.access_token;
    let request = Proven { method, url, nonce, access_token: Some(token) };
    let proof = DpopKey::read(kept).and_then(|key| key.proof(&request));
    let proof = proof.map_err(|error| Error::BadKey(Some(error)))?;
    let authorization = Secret::new(format!("{DPOP} {}", token.expose()));
    Ok(vec![("Authorization".to_owned(), authorization), (DPOP.to_owned(), proof)])
}

/// Refuses a bound token: without its key it is of no use, and with it would not be bound.
pub fn refuse_bound(provider: &Provider, credential: &Credential) -> Result<(), Error> {
    if credential.is_bound() {
        return Err(Error::Bound { provider: provider.id.clone() });
    }
    Ok(())
}

fn plain_header(scheme: &Scheme, credential: &Credential) -> Result<(String, Secret), Error> {
    let header = &scheme.header;
    let (place, text) = match credential {
        Credential::Basic { user, password } => ("{basic}", basic(user, password)?),
        _ if header.format.contains("{key}") => ("{key}", credential.secret().clone()),
        _ => ("{token}", credential.secret().clone()),
    };
    if !header.format.contains(place) {
        return Err(Error::WrongKind { kind: credential.kind(), header: header.name.clone() });
    }
    if text.expose().chars().any(char::is_control) {
        return Err(Error::BadSecret { place: header.name.clone() });
    }
    Ok((header.name.clone(), Secret::new(header.format.replacen(place, text.expose(), 1))))
}

/// The texts of `credential` that output must not show: the secret itself and, for a name with a
/// password, the pair as a header carries it.
pub fn secrets(credential: &Credential) -> Vec<Secret> {
    let mut secrets = vec![credential.secret().clone()];
    if let Credential::Basic { user, password } = credential {
        secrets.extend(basic(user, password));
    }
    secrets
}

/// RFC 7617 §2: the user's name has no colon, and neither part has control characters.
fn basic(user: &str, password: &Secret) -> Result<Secret, Error> {
    if user.is_empty() {
        return Err(Error::NoUser);
    }
    if user.contains(':') || user.chars().any(char::is_control) {
        return Err(Error::BadUser);
    }
    if password.expose().chars().any(char::is_control) {
        return Err(Error::BadSecret { place: "Basic".into() });
    }
    let pair = Secret::new(format!("{user}:{}", password.expose()));
    Ok(Secret::new(base64::engine::general_purpose::STANDARD.encode(pair.expose())))
}

/// What goes into the environment beside each credential, none of it secret: its stable id in
/// `AUTHCTL_<PROVIDER>_CREDENTIAL_ID`, and in `…_EXPIRES_AT` its end (RFC 3339, UTC) where it has one.
/// The first account of a provider has these names; a further one has its account in them, as in
/// `AUTHCTL_GITHUB_WORK_CREDENTIAL_ID`.
pub fn companions(injected: &[(&Name, &str, Option<Timestamp>)]) -> Vec<(String, String)> {
    let mut set: Vec<(String, String)> = Vec::new();
    for (name, id, expires_at) in injected {
        let short = format!("AUTHCTL_{}", variable_part(name.provider()));
        let taken = |stem: &str, set: &[(String, String)]| {
            set.iter().any(|(variable, _)| *variable == format!("{stem}_CREDENTIAL_ID"))
        };
        let stem = if taken(&short, &set) {
            format!("{short}_{}", variable_part(name.account()))
        } else {
            short
        };
        // Two names may differ in punctuation only; then the first one keeps the variables.
        if taken(&stem, &set) {
            continue;
        }
        set.push((format!("{stem}_CREDENTIAL_ID"), (*id).to_owned()));
        if let Some(expires_at) = expires_at {
            set.push((format!("{stem}_EXPIRES_AT"), expires_at.to_string()));
        }
    }
    set
}

/// Which of the `inherited` variables stand beside credentials ([`companions`]), those of `kept` left out.
pub fn stale_companions(inherited: impl Iterator<Item = String>, kept: &[Name]) -> Vec<String> {
    let stem = |variable: &str| {
        let named = variable.strip_prefix("AUTHCTL_")?;
        let ends = ["_CREDENTIAL_ID", "_EXPIRES_AT"];
        ends.iter().find_map(|end| named.strip_suffix(end)).map(str::to_owned)
    };
    let is_kept = |stem: &str| {
        kept.iter().any(|name| {
            let provider = variable_part(name.provider());
            stem == provider || stem == format!("{provider}_{}", variable_part(name.account()))
        })
    };
    inherited.filter(|variable| stem(variable).is_some_and(|stem| !is_kept(&stem))).collect()
}

/// The variable that carries the id of a provider's first credential.
pub fn id_variable(provider: &str) -> String {
    format!("AUTHCTL_{}_CREDENTIAL_ID", variable_part(provider))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn provider(id: &str) -> Provider {
        Config::default().provider(id).unwrap().clone()
    }

    fn key(text: &str) -> Credential {
        Credential::ApiKey { key: Secret::new(text) }
    }

    fn set(injection: &Injection) -> Vec<(&str, &str)> {
        injection.set.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect()
    }

    #[test]
    fn the_first_variable_is_set_and_its_rivals_are_cleared() {
        let google = provider("google");
        let scheme = google.scheme(Kind::ApiKey).unwrap();
        let injection = variables(&google, scheme, &key("k"), None).unwrap();
        assert_eq!(set(&injection), [("GEMINI_API_KEY", "k")]);
        assert_eq!(injection.clear, ["GOOGLE_API_KEY"]);
        let injection = variables(&google, scheme, &key("k"), Some("GOOGLE_API_KEY")).unwrap();
        assert_eq!(set(&injection), [("GOOGLE_API_KEY", "k")]);
        assert_eq!(injection.clear, ["GEMINI_API_KEY"]);
    }

    #[test]
    fn variables_of_other_kinds_are_cleared_as_well() {
        let anthropic = provider("anthropic");
        let token = Credential::Bearer { token: Secret::new("t") };
        let scheme = anthropic.scheme(Kind::Bearer).unwrap();
        let injection = variables(&anthropic, scheme, &token, None).unwrap();
        assert_eq!(set(&injection), [("ANTHROPIC_AUTH_TOKEN", "t")]);
        assert_eq!(injection.clear, ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]);
    }

    #[test]
    fn without_a_known_variable_one_must_be_named() {
        let canva = provider("canva");
        let token = Credential::Bearer { token: Secret::new("t") };
        let scheme = &canva.schemes[0];
        let refused = variables(&canva, scheme, &token, None).unwrap_err();
        assert_eq!(refused, Error::NoVariable { provider: "canva".into(), kind: Kind::OAuth });
        let injection = variables(&canva, scheme, &token, Some("CANVA")).unwrap();
        assert_eq!(set(&injection), [("CANVA", "t")]);
        for reserved in ["PATH", "LD_PRELOAD", "AUTHCTL_CANVA_TOKEN", "a b", ""] {
            let refused = variables(&canva, scheme, &token, Some(reserved)).unwrap_err();
            assert!(matches!(refused, Error::BadVariable(_)), "{reserved}");
        }
    }

    #[test]
    fn each_kind_has_its_own_header() {
        let gitlab = provider("gitlab");
        let (name, value) =
            plain_header(gitlab.scheme(Kind::ApiKey).unwrap(), &key("glpat-1")).unwrap();
        assert_eq!((name.as_str(), value.expose()), ("PRIVATE-TOKEN", "glpat-1"));
        let token = Credential::Bearer { token: Secret::new("t") };
        let (name, value) = plain_header(gitlab.scheme(Kind::OAuth).unwrap(), &token).unwrap();
        assert_eq!((name.as_str(), value.expose()), ("Authorization", "Bearer t"));
    }

    #[test]
    fn name_and_password_go_as_basic() {
        let atlassian = provider("atlassian");
        let scheme = atlassian.scheme(Kind::Basic).unwrap();
        let account = |user: &str, password: &str| Credential::Basic {
            user: user.into(),
            password: Secret::new(password),
        };
        // The example of RFC 7617 §2.
        let (_, value) = plain_header(scheme, &account("Aladdin", "open sesame")).unwrap();
        assert_eq!(value.expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        for user in ["a:b", "a\r", "a\n", "a\0"] {
            assert_eq!(plain_header(scheme, &account(user, "p")).unwrap_err(), Error::BadUser);
        }
        for password in ["p\r\n", "p\0"] {
            let refused = plain_header(scheme, &account("u", password)).unwrap_err();
            assert!(matches!(refused, Error::BadSecret { .. }));
            let refused = variables(&atlassian, scheme, &account("u", password), None).unwrap_err();
            assert!(matches!(refused, Error::BadSecret { .. }));
        }
        assert!(matches!(plain_header(scheme, &key("k")).unwrap_err(), Error::WrongKind { .. }));
        let bearer = provider("openai");
        let refused = plain_header(&bearer.schemes[0], &account("u", "p")).unwrap_err();
        assert!(matches!(refused, Error::WrongKind { .. }));
    }

    #[test]
    fn companions_tell_accounts_apart() {
        let names: Vec<Name> =
            ["github", "github:work", "azure-openai:a.b"].map(|name| name.parse().unwrap()).into();
        let end: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let set = companions(&[
            (&names[0], "cred_a", None),
            (&names[1], "cred_b", Some(end)),
            (&names[2], "cred_c", None),
        ]);
        let expected = [
            ("AUTHCTL_GITHUB_CREDENTIAL_ID", "cred_a"),
            ("AUTHCTL_GITHUB_WORK_CREDENTIAL_ID", "cred_b"),
            ("AUTHCTL_GITHUB_WORK_EXPIRES_AT", "2026-01-02T03:04:05Z"),
            ("AUTHCTL_AZURE_OPENAI_CREDENTIAL_ID", "cred_c"),
        ];
        let set: Vec<_> = set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(set, expected);
    }

    #[test]
    fn companions_are_stale_unless_their_credential_stays() {
        let inherited = [
            "AUTHCTL_GITHUB_CREDENTIAL_ID",
            "AUTHCTL_GITHUB_WORK_EXPIRES_AT",
            "AUTHCTL_OPENAI_EXPIRES_AT",
            "AUTHCTL_STORE",
            "MY_CREDENTIAL_ID",
        ];
        let stale =
            |kept: &[Name]| stale_companions(inherited.map(str::to_owned).into_iter(), kept);
        assert_eq!(stale(&[]), inherited[..3]);
        assert_eq!(stale(&["github:work".parse().unwrap()]), inherited[2..3]);
        assert_eq!(stale(&["github".parse().unwrap()]), inherited[1..3]);
    }

    proptest::proptest! {
        #[test]
        fn every_accepted_token_goes_through_unchanged(
            text in "[!-~]{1,200}|\\PC{1,40}|.{1,40}",
            pick in proptest::prelude::any::<proptest::sample::Index>(),
        ) {
            static CONFIG: std::sync::LazyLock<Config> = std::sync::LazyLock::new(Config::default);
            let Ok(token) = Secret::parse_token(&text) else {
                return Ok(());
            };
            let schemes: Vec<(&Provider, &Scheme)> = CONFIG
                .providers()
                .flat_map(|provider| provider.schemes.iter().map(move |scheme| (provider, scheme)))
                .filter(|(_, scheme)| scheme.kind != Kind::Basic)
                .collect();
            let (provider, scheme) = schemes[pick.index(schemes.len())];
            let credential = Credential::Bearer { token };
            let injection = variables(provider, scheme, &credential, Some("X")).unwrap();
            proptest::prop_assert_eq!(injection.set[0].1.expose(), text.as_str());
            let (name, value) = plain_header(scheme, &credential).unwrap();
            let format = &scheme.header.format;
            let (before, rest) = format.split_once('{').unwrap();
            let (_, after) = rest.split_once('}').unwrap();
            let expected = format!("{before}{text}{after}");
            proptest::prop_assert_eq!(value.expose(), expected.as_str());
            reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            let on_the_wire = reqwest::header::HeaderValue::from_str(value.expose()).unwrap();
            proptest::prop_assert_eq!(on_the_wire.to_str().unwrap(), value.expose());
        }
    }
}
