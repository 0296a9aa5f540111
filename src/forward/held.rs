//! A credential in hand: as its server wants to see it, and for how long it is good.

use jiff::{SignedDuration, Timestamp};

use crate::config::Scheme;
use crate::credential::Credential;
use crate::store::Glimpse;

/// Time that a token lives which is sent to a server, unless its whole life is short.
const MIN_TTL: SignedDuration = SignedDuration::from_mins(1);

/// A credential in hand, and how its server wants to see it.
#[derive(Debug)]
pub struct Held {
    pub scheme: Scheme,
    pub credential: Credential,
    /// Stable, random, not secret.
    pub id: String,
    /// The store's index before it was resolved; `None`: changes there are not heeded.
    pub entry: Option<Glimpse>,
}

impl Held {
    /// Whether it lives long enough for a request: a minute, or a quarter of a life that is a short one.
    pub fn lives(&self, now: Timestamp) -> bool {
        let Some((tokens, _)) = self.credential.as_oauth() else { return true };
        tokens.expires_at.is_none_or(|end| end.duration_since(now) > self.least_ttl())
    }

    /// Whether it is of no use any more.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        let tokens = self.credential.as_oauth().map(|(tokens, _)| tokens);
        tokens.and_then(|tokens| tokens.expires_at).is_some_and(|end| end <= now)
    }

    /// Whether somebody signed out, signed in or refreshed since, as far as that is heeded.
    pub fn is_past(&self) -> bool {
        self.entry.as_ref().is_some_and(Glimpse::is_past)
    }

    /// How long a token has to live that is sent to a server.
    pub fn least_ttl(&self) -> SignedDuration {
        let tokens = self.credential.as_oauth().map(|(tokens, _)| tokens);
        let life = tokens.and_then(|it| Some(it.expires_at?.duration_since(it.issued_at)));
        life.map_or(MIN_TTL, |life| (life / 4).clamp(SignedDuration::ZERO, MIN_TTL))
    }
}

/// A credential that was refused, and perhaps replaced meanwhile.
pub fn is_same(one: &Held, other: &Held) -> bool {
    one.credential.secret().expose() == other.credential.secret().expose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn held(issued: i64, ends: i64) -> Held {
        let time = |second| Timestamp::from_second(second).unwrap();
        let credential = serde_json::json!({
            "kind": "o_auth",
            "tokens": {
                "access_token": "token", "token_type": "Bearer",
                "issued_at": time(issued), "expires_at": time(ends),
            },
            "binding": {
                "token_endpoint": "https://as.example/token",
                "client": {"client_id": "c", "authentication": "none"},
                "grant": "authorization_code",
            },
        });
        let credential = serde_json::from_value(credential).unwrap();
        let scheme = Config::default().provider("groq").unwrap().schemes[0].clone();
        Held { scheme, credential, id: String::new(), entry: None }
    }

    #[test]
    fn a_token_is_renewed_a_minute_before_its_end_or_in_the_last_quarter_of_a_short_life() {
        for (life, left, lives) in
            [(3600, 61, true), (3600, 60, false), (40, 11, true), (40, 10, false), (0, 0, false)]
        {
            let held = held(1_000_000, 1_000_000 + life);
            let now = Timestamp::from_second(1_000_000 + life - left).unwrap();
            assert_eq!(held.lives(now), lives, "{left} s of {life} s are left");
            assert_eq!(held.has_ended(now), left == 0);
        }
    }
}
