//! What the store keeps: a credential (API key, bearer token, name and password, OAuth tokens), the
//! binding that says where it may go, and the record around both with its format version,
//! random id and generation. Judges expiry with the time passed in.

mod name;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::http::Http;
use crate::oauth::{Client, ClientAuthentication, DPOP, TokenAnswer};
use crate::secret::Secret;

pub use name::{BadName, DEFAULT_ACCOUNT, Name, is_part, variable_part};

/// Format of records that every authctl reads.
pub const FORMAT: u32 = 1;

/// Format of records with keys, ID tokens or grants of machines: an authctl that does not know of them would
/// take bound tokens (RFC 9449) for bearer tokens, and lose the key of a client. The highest that this
/// build reads; a record with a higher number is refused untouched.
pub const NEWEST_FORMAT: u32 = 2;

/// The lowest format whose readers understand all of a client.
pub fn client_format(client: &Client) -> u32 {
    let has_key =
        client.key.is_some() || client.authentication == ClientAuthentication::PrivateKeyJwt;
    if has_key { NEWEST_FORMAT } else { FORMAT }
}

// -------------------------------------------------------------------------------------- credentials

/// A credential as one of its kinds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Credential {
    /// A key that its maker's own API takes, usually without an end.
    ApiKey {
        #[serde(with = "crate::secret::at_rest")]
        key: Secret,
    },
    /// A token that goes in `Authorization: Bearer` (RFC 6750) and cannot be refreshed here.
    Bearer {
        #[serde(with = "crate::secret::at_rest")]
        token: Secret,
    },
    /// Name and password (RFC 7617). The name has no colon.
    Basic {
        user: String,
        #[serde(with = "crate::secret::at_rest")]
        password: Secret,
    },
    /// What a token endpoint gave (RFC 6749 §5.1), and what is needed to ask it again.
    OAuth { tokens: Tokens, binding: Binding },
}

/// The kinds by name, as the catalog and `--json` write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    ApiKey,
    Bearer,
    Basic,
    #[serde(rename = "oauth")]
    OAuth,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::ApiKey => "api_key",
            Kind::Bearer => "bearer",
            Kind::Basic => "basic",
            Kind::OAuth => "oauth",
        }
    }
}

impl Credential {
    pub fn kind(&self) -> Kind {
        match self {
            Credential::ApiKey { .. } => Kind::ApiKey,
            Credential::Bearer { .. } => Kind::Bearer,
            Credential::Basic { .. } => Kind::Basic,
            Credential::OAuth { .. } => Kind::OAuth,
        }
    }

    /// The one secret that is handed out: key, access token or password; never a refresh token.
    pub fn secret(&self) -> &Secret {
        match self {
            Credential::ApiKey { key } => key,
            Credential::Bearer { token } => token,
            Credential::Basic { password, .. } => password,
            Credential::OAuth { tokens, .. } => &tokens.access_token,
        }
    }

    /// When the handed-out secret ends, if that is known.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Credential::OAuth { tokens, .. } => tokens.expires_at,
            _ => None,
        }
    }

    /// Whether new tokens can be had without a person: with a refresh token, as the client itself, or
    /// for an identity that this machine has.
    pub fn is_renewable(&self) -> bool {
        self.as_oauth().is_some_and(|(tokens, binding)| {
            tokens.refresh_token.is_some() || binding.grant.needs_nobody()
        })
    }

    /// Whether the handed-out secret works only with a proof of possession (RFC 9449 §7).
    pub fn is_bound(&self) -> bool {
        self.as_oauth().is_some_and(|(tokens, _)| tokens.is_bound())
    }

    /// The lowest format whose readers understand all of it.
    fn format(&self) -> u32 {
        let Some((tokens, binding)) = self.as_oauth() else { return FORMAT };
        let is_new =
            tokens.dpop_key.is_some() || tokens.id_token.is_some() || binding.grant.is_of_machine();
        if is_new { NEWEST_FORMAT } else { client_format(&binding.client) }
    }

    pub fn as_oauth(&self) -> Option<(&Tokens, &Binding)> {
        match self {
            Credential::OAuth { tokens, binding } => Some((tokens, binding)),
            _ => None,
        }
    }
}

/// Tokens of one answer of the token endpoint. Times are absolute; `expires_in` exists on the wire only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tokens {
    #[serde(with = "crate::secret::at_rest")]
    pub access_token: Secret,
    /// `Bearer`, or `DPoP` (RFC 9449 §5).
    pub token_type: String,
    /// Our clock when the answer came: a clock that is now earlier has been set back.
    pub issued_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::secret::at_rest_option"
    )]
    pub refresh_token: Option<Secret>,
    /// When the refresh token ends, where the server says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_expires_at: Option<Timestamp>,
    /// Scopes that the server granted; `None`: those that were asked for (RFC 6749 §5.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Whose login it is, where the server told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Kept only where another provider's sign-in begins with it (ID-JAG); never handed out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::secret::at_rest_option"
    )]
    pub id_token: Option<Secret>,
    /// The private key (PKCS #8 in PEM) that the tokens are bound to: the access token if it is of the
    /// type `DPoP`, and a public client's refresh token in any case (RFC 9449 §5).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::secret::at_rest_option"
    )]
    pub dpop_key: Option<Secret>,
}

/// Where an OAuth credential came from and the only places it may go, as the strings received: they
/// are compared byte for byte and never re-serialised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The authorization server's issuer (RFC 8414 §2), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    pub token_endpoint: String,
    /// Where the refresh token goes instead, where the server has a place of its own for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// Those of the two at hosts that only a public server's document named: no private address may
    /// be behind them, then and later. All others were named by the user, or are the issuer's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confined: Vec<String>,
    /// Resource indicator (RFC 8707), the same in login, code and refresh requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    pub client: Client,
    /// The configuration's client, where the command line named another one at the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_instead_of: Option<String>,
    /// The grant by which the tokens were first acquired.
    pub grant: Grant,
    /// Scopes asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

impl Binding {
    /// The only place that ever sees the refresh token.
    pub fn refresh_endpoint(&self) -> &String {
        self.refresh_endpoint.as_ref().unwrap_or(&self.token_endpoint)
    }

    /// Keeps `http` to public addresses where the login was kept to them.
    pub fn confine(&self, http: &Http) {
        let urls = self.confined.iter().filter_map(|endpoint| Url::parse(endpoint).ok());
        urls.for_each(|url| http.confine(&url));
    }
}

/// A way to obtain tokens, by its RFC's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    AuthorizationCode,
    DeviceCode,
    ClientCredentials,
    /// Client credentials, with an identity that this machine has as the client's proof (RFC 7523 §2.2).
    ClientAssertion,
    /// Such an identity as an assertion (RFC 7523 §2.1).
    JwtBearer,
    /// Such an identity, or another credential, exchanged (RFC 8693).
    TokenExchange,
    /// An assertion that an identity provider makes out of a sign-in there (ID-JAG).
    IdJag,
}

impl Grant {
    /// Whether its tokens are had from an identity that is at hand: nothing need be stored for it.
    pub fn is_of_machine(self) -> bool {
        self.shows_identity() || self == Grant::IdJag
    }

    /// Whether it shows an identity token to the authorization server.
    pub fn shows_identity(self) -> bool {
        matches!(self, Grant::ClientAssertion | Grant::JwtBearer | Grant::TokenExchange)
    }

    /// Whether it brings new tokens at any time without a person.
    pub fn needs_nobody(self) -> bool {
        self == Grant::ClientCredentials || self.is_of_machine()
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Grant::AuthorizationCode => "authorization_code",
            Grant::DeviceCode => "device_code",
            Grant::ClientCredentials => "client_credentials",
            Grant::ClientAssertion => "client_assertion",
            Grant::JwtBearer => "jwt_bearer",
            Grant::TokenExchange => "token_exchange",
            Grant::IdJag => "id_jag",
        }
    }

    /// The `grant_type` of the request for tokens (RFC 6749 §4, RFC 8628 §3.4, RFC 7523 §2.1, RFC 8693
    /// §2.1).
    pub fn grant_type(self) -> &'static str {
        match self {
            Grant::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Grant::JwtBearer | Grant::IdJag => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Grant::ClientAssertion => Grant::ClientCredentials.grant_type(),
            Grant::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            other => other.as_str(),
        }
    }
}

impl Tokens {
    /// The tokens of an answer that came at `now`, following `previous` ones of the same login. What
    /// the server did not repeat stays: the refresh token (RFC 6749 §6) and its end, the scopes
    /// (§5.1), the subject, the key. An access token that has ended already ends now, and the next use
    /// refreshes it; without a refresh token that word can only mean «no end», or it would be of no
    /// use to anybody.
    pub fn from_answer(answer: TokenAnswer, now: Timestamp, previous: Option<&Tokens>) -> Self {
        let kept = previous.and_then(|previous| previous.refresh_token.as_ref());
        let unchanged = match (&answer.refresh_token, kept) {
            (Some(new), Some(kept)) => new.expose() == kept.expose(),
            (new, _) => new.is_none(),
        };
        let kept_end = previous.filter(|_| unchanged).and_then(|old| old.refresh_expires_at);
        let refresh_token = answer.refresh_token.or_else(|| kept.cloned());
        let lifetime =
            answer.expires_in.filter(|lifetime| !lifetime.is_zero() || refresh_token.is_some());
        Self {
            access_token: answer.access_token,
            token_type: answer.token_type,
            issued_at: now,
            expires_at: lifetime.and_then(|lifetime| end_of(now, lifetime)),
            refresh_expires_at: match answer.refresh_expires_in {
                Some(lifetime) => end_of(now, lifetime),
                None => kept_end,
            },
            refresh_token,
            scopes: answer.scopes.or_else(|| previous.and_then(|old| old.scopes.clone())),
            subject: answer.subject.or_else(|| previous.and_then(|old| old.subject.clone())),
            dpop_key: previous.and_then(|old| old.dpop_key.clone()),
            id_token: next_id_token(answer.id_token, previous),
        }
    }

    /// The same with the key that their request proved, if they need it ever again.
    #[must_use]
    pub fn bound_to(self, key: Secret) -> Self {
        let needed = self.is_bound() || self.refresh_token.is_some();
        Self { dpop_key: needed.then_some(key), ..self }
    }

    /// Whether the access token works only with a proof of possession.
    pub fn is_bound(&self) -> bool {
        self.token_type == DPOP
    }
}

/// A refresh may bring a new ID token (OpenID Connect Core §12.2); it is kept where one was kept.
fn next_id_token(answered: Option<Secret>, previous: Option<&Tokens>) -> Option<Secret> {
    match previous {
        None => answered,
        Some(previous) => {
            previous.id_token.as_ref().map(|old| answered.unwrap_or_else(|| old.clone()))
        }
    }
}

/// `None` where the end lies beyond all calendars: no end.
fn end_of(now: Timestamp, lifetime: Duration) -> Option<Timestamp> {
    now.checked_add(SignedDuration::try_from(lifetime).ok()?).ok()
}

// ------------------------------------------------------------------------------------------ records

/// One credential as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub format: u32,
    /// Provider and account, so that a record says by itself whose it is.
    pub provider: String,
    pub account: String,
    /// Random, stable, not secret: survives refresh and key replacement.
    pub id: String,
    /// Grows by one with every write of new tokens; a refresh compares it under the lock.
    pub generation: u64,
    pub created_at: Timestamp,
    /// The last time somebody signed in; a refresh leaves it.
    pub signed_in_at: Timestamp,
    pub credential: Credential,
    /// A refresh is under way, or was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshing: Option<Refreshing>,
    /// The server said no for good; only a new sign-in helps. The tokens stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// The refreshes since the last good one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
}

/// The journal of a refresh: written before the refresh token is sent, gone once the answer is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshing {
    pub generation: u64,
    pub started: Timestamp,
    /// Identity of the lock that the holder has; another value means another machine.
    pub lock_domain: String,
    /// How often this refresh token has been sent, this time included.
    pub attempt: u32,
}

/// Why and when the authorization server refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub at: Timestamp,
    /// Cleaned text for people, without any secret.
    pub reason: String,
}

/// Refreshes that failed, and did not end the sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The last of them.
    pub at: Timestamp,
    /// How many of this sort in a row.
    pub attempts: u32,
    /// The server answered and said no; asking again at once would bring the same.
    pub refused: bool,
    /// Cleaned text for people, without any secret.
    pub reason: String,
}

impl Failing {
    /// Whether this is more than one bad moment of the network.
    pub fn persists(&self) -> bool {
        self.refused || self.attempts > 1
    }
}

impl Record {
    /// A first record for `name`, with a new id.
    pub fn new(name: &Name, credential: Credential, now: Timestamp) -> Self {
        Self {
            format: credential.format(),
            provider: name.provider().to_owned(),
            account: name.account().to_owned(),
            id: new_id(),
            generation: 1,
            created_at: now,
            signed_in_at: now,
            credential,
            refreshing: None,
            refused: None,
            failing: None,
        }
    }

    /// The record that follows this one: same id, next generation, no marks.
    pub fn succeeded_by(&self, credential: Credential) -> Self {
        Self {
            format: credential.format(),
            generation: self.generation + 1,
            credential,
            refreshing: None,
            refused: None,
            failing: None,
            ..self.clone()
        }
    }

    pub fn name(&self) -> Result<Name, BadName> {
        Name::new(&self.provider, &self.account)
    }

    /// The bytes that go to the store.
    pub fn to_stored(&self) -> Secret {
        // Serialising strings, numbers and enums into memory has no failing case.
        Secret::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads a stored record. The error says where it is wrong, never what it holds.
    pub fn from_stored(stored: &str) -> Result<Self, Unreadable> {
        check_format(stored)?;
        serde_json::from_str(stored).map_err(|error| Unreadable::damaged(&error))
    }
}

/// A record that this build cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is damaged at line {line}, column {column}")]
    Damaged { line: usize, column: usize },
    #[error("it has format {0}, made by a newer authctl; this one reads up to {NEWEST_FORMAT}")]
    NewerFormat(u32),
}

impl Unreadable {
    /// serde's own messages quote values, so only the position is kept.
    fn damaged(error: &serde_json::Error) -> Self {
        Unreadable::Damaged { line: error.line(), column: error.column() }
    }
}

/// Reads the format number alone, before anything that a newer format may have changed.
pub fn check_format(stored: &str) -> Result<(), Unreadable> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } =
        serde_json::from_str(stored).map_err(|error| Unreadable::damaged(&error))?;
    if format > NEWEST_FORMAT { Err(Unreadable::NewerFormat(format)) } else { Ok(()) }
}

/// A new credential id: `cred_` and 128 random bits in base64url. Not derived from any secret.
pub fn new_id() -> String {
    format!("cred_{}", Secret::random().expose())
}

// ------------------------------------------------------------------------------------------- expiry

/// How a set of tokens stands at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Lives at least as long as was asked.
    Fresh,
    /// Lives, but ends before that.
    Ending,
    /// Its end has passed.
    Expired,
    /// Our clock is earlier than the answer that brought it: the remaining time cannot be known.
    ClockSetBack,
}

/// A clock may be this much behind the one of the last answer before that counts as set back: two
/// processes read it in different order, and NTP steps by less.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(120);

impl Tokens {
    /// Whether the server gave the access token no time at all.
    pub fn ended_when_issued(&self) -> bool {
        self.expires_at.is_some_and(|end| end <= self.issued_at)
    }

    /// Judges the access token at `now` for a use of `min_ttl`. A token without an end is fresh.
    pub fn freshness(&self, now: Timestamp, min_ttl: Duration) -> Freshness {
        let Some(expires_at) = self.expires_at else {
            return Freshness::Fresh;
        };
        let left = expires_at.duration_since(now);
        if self.issued_at.duration_since(now) > CLOCK_TOLERANCE {
            Freshness::ClockSetBack
        } else if left <= SignedDuration::ZERO {
            Freshness::Expired
        } else if left < SignedDuration::try_from(min_ttl).unwrap_or(SignedDuration::MAX) {
            Freshness::Ending
        } else {
            Freshness::Fresh
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn tokens(issued_at: &str, expires_at: Option<&str>) -> Tokens {
        Tokens {
            access_token: Secret::new("access"),
            token_type: "Bearer".into(),
            issued_at: at(issued_at),
            expires_at: expires_at.map(at),
            refresh_token: None,
            refresh_expires_at: None,
            scopes: None,
            subject: None,
            id_token: None,
            dpop_key: None,
        }
    }

    #[test]
    fn freshness_needs_the_asked_time() {
        let tokens = tokens("2026-01-01T00:00:00Z", Some("2026-01-01T01:00:00Z"));
        let judge = |now: &str, ttl| tokens.freshness(at(now), Duration::from_secs(ttl));
        assert_eq!(judge("2026-01-01T00:30:00Z", 60), Freshness::Fresh);
        assert_eq!(judge("2026-01-01T00:59:30Z", 60), Freshness::Ending);
        assert_eq!(judge("2026-01-01T01:00:00Z", 0), Freshness::Expired);
        assert_eq!(judge("2025-12-31T00:00:00Z", 60), Freshness::ClockSetBack);
    }

    #[test]
    fn a_token_without_an_end_is_fresh() {
        let tokens = tokens("2026-01-01T00:00:00Z", None);
        assert_eq!(tokens.freshness(at("2036-01-01T00:00:00Z"), Duration::MAX), Freshness::Fresh);
    }

    fn answer(refresh_token: Option<&str>) -> TokenAnswer {
        TokenAnswer {
            access_token: Secret::new("next"),
            token_type: "Bearer".into(),
            expires_in: Some(Duration::from_mins(1)),
            refresh_token: refresh_token.map(Secret::new),
            refresh_expires_in: None,
            scopes: None,
            id_token: None,
            subject: None,
        }
    }

    fn previous() -> Tokens {
        Tokens {
            refresh_token: Some(Secret::new("r1")),
            refresh_expires_at: Some(at("2026-02-01T00:00:00Z")),
            scopes: Some(vec!["read".into()]),
            subject: Some("ann".into()),
            ..tokens("2026-01-01T00:00:00Z", None)
        }
    }

    #[test]
    fn what_a_refresh_does_not_repeat_is_kept() {
        let now = at("2026-01-02T00:00:00Z");
        let next = Tokens::from_answer(answer(None), now, Some(&previous()));
        assert_eq!(next.access_token.expose(), "next");
        assert_eq!((next.issued_at, next.expires_at), (now, Some(at("2026-01-02T00:01:00Z"))));
        assert_eq!(next.refresh_token.unwrap().expose(), "r1");
        assert_eq!(next.refresh_expires_at, Some(at("2026-02-01T00:00:00Z")));
        assert_eq!(next.scopes, Some(vec!["read".into()]));
        assert_eq!(next.subject.as_deref(), Some("ann"));
    }

    #[test]
    fn the_end_of_a_refresh_token_goes_with_that_token() {
        let now = at("2026-01-02T00:00:00Z");
        let same = Tokens::from_answer(answer(Some("r1")), now, Some(&previous()));
        assert_eq!(same.refresh_expires_at, Some(at("2026-02-01T00:00:00Z")));
        let rotated = Tokens::from_answer(answer(Some("r2")), now, Some(&previous()));
        assert_eq!(rotated.refresh_token.unwrap().expose(), "r2");
        assert_eq!(rotated.refresh_expires_at, None);
        let told = TokenAnswer {
            refresh_expires_in: Some(Duration::from_hours(24)),
            ..answer(Some("r2"))
        };
        let told = Tokens::from_answer(told, now, Some(&previous()));
        assert_eq!(told.refresh_expires_at, Some(at("2026-01-03T00:00:00Z")));
    }

    #[test]
    fn a_first_answer_has_only_what_it_says() {
        let first = Tokens::from_answer(answer(None), at("2026-01-01T00:00:00Z"), None);
        assert!(first.refresh_token.is_none() && first.refresh_expires_at.is_none());
        assert!(first.scopes.is_none() && first.subject.is_none());
    }

    #[test]
    fn an_end_beyond_all_calendars_is_no_end() {
        let endless = TokenAnswer { expires_in: Some(Duration::MAX), ..answer(None) };
        let tokens = Tokens::from_answer(endless, at("2026-01-01T00:00:00Z"), None);
        assert_eq!(tokens.expires_at, None);
    }

    #[test]
    fn an_access_token_that_has_ended_ends_now_if_another_can_be_had() {
        let now = at("2026-01-02T00:00:00Z");
        let ended = |refresh_token| TokenAnswer {
            expires_in: Some(Duration::ZERO),
            ..answer(refresh_token)
        };
        for (answer, previous, end) in [
            (ended(Some("r1")), None, Some(now)),
            (ended(None), Some(&previous()), Some(now)),
            (ended(None), None, None),
        ] {
            let tokens = Tokens::from_answer(answer, now, previous);
            assert_eq!((tokens.expires_at, tokens.ended_when_issued()), (end, end.is_some()));
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        assert_eq!(
            Record::from_stored(r#"{"format":3,"what":"ever"}"#).unwrap_err(),
            Unreadable::NewerFormat(3)
        );
        assert!(matches!(
            Record::from_stored(r#"{"format":1"#).unwrap_err(),
            Unreadable::Damaged { .. }
        ));
    }

    #[test]
    fn a_record_survives_the_store_and_keeps_its_id() {
        let name: Name = "x".parse().unwrap();
        let first = Record::new(
            &name,
            Credential::ApiKey { key: Secret::new("k1") },
            at("2026-01-01T00:00:00Z"),
        );
        let read = Record::from_stored(first.to_stored().expose()).unwrap();
        assert_eq!((read.id.as_str(), read.generation), (first.id.as_str(), 1));
        let next = read.succeeded_by(Credential::ApiKey { key: Secret::new("k2") });
        assert_eq!((next.id.as_str(), next.generation), (first.id.as_str(), 2));
    }
}
