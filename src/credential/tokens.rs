//! Tokens as the token endpoint gave them, what of them outlives a refresh, and how they stand at a given time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::oauth::{DPOP, TokenAnswer};
use crate::secret::Secret;

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
}
