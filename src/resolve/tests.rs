//! The decisions of the refresh, without a store, a server or a clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::refresh::{Outcome, classify, failing_after, next_attempt, retry_after, short_lived};
use super::*;
use crate::credential::{Binding, Grant, Refreshing, Refused};
use crate::http;
use crate::oauth::{Client, ClientAuthentication};
use crate::secret::Secret;

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// Issued an hour ago; ends `left` seconds from now.
fn record(left: Option<i64>, refresh_token: Option<&str>) -> Record {
    let tokens = Tokens {
        dpop_key: None,
        access_token: Secret::new("access"),
        token_type: "Bearer".into(),
        issued_at: now() - secs(3600),
        expires_at: left.map(|left| now() + secs(left)),
        refresh_token: refresh_token.map(Secret::new),
        refresh_expires_at: None,
        scopes: None,
        subject: None,
        id_token: None,
    };
    let client = Client {
        client_id: "c".into(),
        client_secret: None,
        key: None,
        authentication: ClientAuthentication::None,
    };
    let binding = Binding {
        issuer: None,
        token_endpoint: "https://as.example/token".into(),
        refresh_endpoint: None,
        revocation_endpoint: None,
        confined: Vec::new(),
        resource: None,
        client,
        client_instead_of: None,
        grant: Grant::AuthorizationCode,
        scopes: Vec::new(),
    };
    Record::new(&name(), Credential::OAuth { tokens, binding }, now())
}

fn name() -> Name {
    "x".parse().unwrap()
}

/// What a caller who wants a minute gets: `use`, `refresh`, or why to sign in.
fn judged(record: &Record, force_refresh: bool) -> String {
    match judge(record, Duration::from_mins(1), force_refresh, now()) {
        Verdict::Use => "use".into(),
        Verdict::Refresh => "refresh".into(),
        Verdict::SignIn(reason) => reason,
    }
}

fn refused(record: Record) -> Record {
    let refused = Refused { at: now(), reason: "revoked".into() };
    Record { refused: Some(refused), ..record }
}

#[test]
fn a_record_is_judged_by_its_time_its_refresh_token_and_its_marks() {
    let with = |left| record(left, Some("refresh"));
    let without = |left| record(left, None);
    let unrefreshable = "and the server gave no refresh token";
    for (record, unforced, forced) in [
        (with(Some(61)), "use", "refresh"),
        (with(Some(60)), "use", "refresh"),
        (with(Some(59)), "refresh", "refresh"),
        (with(Some(0)), "refresh", "refresh"),
        (with(Some(-86_400)), "refresh", "refresh"),
        (with(None), "use", "refresh"),
        (without(Some(61)), "use", "use"),
        (without(Some(59)), unrefreshable, unrefreshable),
        (without(Some(-1)), unrefreshable, unrefreshable),
        (without(None), "use", "use"),
        (refused(with(Some(61))), "use", "refresh"),
        (refused(with(Some(59))), "revoked", "refresh"),
        (refused(without(Some(61))), "use", "revoked"),
        (refused(without(Some(-1))), "revoked", "revoked"),
    ] {
        assert!(judged(&record, false).ends_with(unforced), "{record:?}");
        assert!(judged(&record, true).ends_with(forced), "{record:?}");
    }
}

#[test]
fn a_clock_set_back_leads_to_a_refresh_or_to_trust() {
    let set_back = |refresh_token| {
        let mut record = record(Some(90_000), refresh_token);
        if let Credential::OAuth { tokens, .. } = &mut record.credential {
            tokens.issued_at = now() + secs(86_400);
        }
        record
    };
    assert_eq!(judged(&set_back(Some("refresh")), false), "refresh");
    assert_eq!(judged(&set_back(None), false), "use");
}

#[test]
fn what_is_no_token_of_a_server_is_used_as_it_is() {
    let key = Record::new(&name(), Credential::ApiKey { key: Secret::new("k") }, now());
    assert_eq!((judged(&key, false), judged(&key, true)), ("use".into(), "use".into()));
}

// -------------------------------------------------------------------------------- the next attempt

fn mark(attempt: u32, age: i64) -> Refreshing {
    let started = now() - secs(age);
    Refreshing { generation: 1, started, lock_domain: "d".into(), attempt }
}

#[test]
fn the_second_sending_is_at_once_and_later_ones_after_growing_pauses() {
    // Attempts so far, the age of the last, and in how many seconds the next is due.
    for (attempt, age, due) in [
        (1, 0, None),
        (2, 0, Some(300)),
        (2, 299, Some(1)),
        (2, 300, None),
        (3, 300, Some(300)),
        (3, 600, None),
        (4, 0, Some(1200)),
        (6, 0, Some(3600)),
        (7, 3599, Some(1)),
        (u32::MAX, 3599, Some(1)),
        (u32::MAX, 3600, None),
        // A start in the future is a clock set back.
        (2, -86_400, None),
    ] {
        let next = next_attempt(&mark(attempt, age), &name(), false, now());
        match (next, due) {
            (Ok(next), None) => assert_eq!(next, attempt.saturating_add(1)),
            (Err(Error::CutOff { attempts, next, .. }), Some(due)) => {
                assert_eq!((attempts, next), (attempt, now() + secs(due)));
            }
            (next, _) => panic!("{attempt} {age}: {next:?}"),
        }
        assert!(next_attempt(&mark(attempt, age), &name(), true, now()).is_ok());
    }
}

// ---------------------------------------------------------------------------------- classification

fn said(code: &str) -> oauth::Error {
    oauth::Error::Refused { host: "h".into(), code: code.into(), description: None }
}

fn unavailable(not_carried_out: bool, retry_after: Option<u64>) -> oauth::Error {
    let retry_after = retry_after.map(Duration::from_secs);
    oauth::Error::Unavailable { host: "h".into(), status: 503, retry_after, not_carried_out }
}

#[test]
fn every_failure_is_one_of_five() {
    let host = || "h".to_owned();
    let reason = || "r".to_owned();
    for (error, class) in [
        (said("invalid_grant"), "ended"),
        (said("unsupported_grant_type"), "request"),
        (said("invalid_request"), "request"),
        (said("invalid_client"), "client"),
        (said("unauthorized_client"), "client"),
        (said("invalid_scope"), "request"),
        (said("invalid_target"), "request"),
        (said("never_heard_of"), "not now"),
        (said("slow_down"), "not now"),
        (unavailable(true, None), "not now"),
        (unavailable(false, None), "lost"),
        (http::Error::Unreachable { host: host(), reason: reason() }.into(), "not now"),
        (http::Error::Certificate { host: host(), reason: reason() }.into(), "not now"),
        (http::Error::TimedOut { host: host(), sent: false }.into(), "not now"),
        (http::Error::TimedOut { host: host(), sent: true }.into(), "lost"),
        (http::Error::Interrupted { host: host() }.into(), "lost"),
        (http::Error::TooLarge { host: host(), limit: 1 }.into(), "lost"),
        (oauth::Error::Malformed { host: host(), what: reason() }, "lost"),
    ] {
        let shown = format!("{error:?}");
        let found = match classify(error) {
            Outcome::Answered(_) => "answered",
            Outcome::Ended(_) => "ended",
            Outcome::ClientRefused(_) => "client",
            Outcome::RequestRefused { .. } => "request",
            Outcome::NotAsked(_) => "not asked",
            Outcome::NotNow(_) => "not now",
            Outcome::Lost(_) => "lost",
        };
        assert_eq!(found, class, "{shown}");
    }
}

#[test]
fn failures_are_counted_by_their_sort() {
    let error = |source| Error::TryAgain { name: name(), source };
    let (no, away) = (error(said("never_heard_of")), error(unavailable(true, None)));
    let first = failing_after(None, &away, now());
    assert_eq!((first.attempts, first.refused, first.persists()), (1, false, false));
    let second = failing_after(Some(&first), &away, now());
    assert_eq!((second.attempts, second.persists()), (2, true));
    let refusal = failing_after(Some(&second), &no, now());
    assert_eq!((refusal.attempts, refusal.refused, refusal.persists()), (1, true, true));
    assert_eq!(refusal.reason, "h refused: never_heard_of");
}

#[test]
fn only_a_definite_refusal_is_worth_another_request_in_this_run() {
    let pause = |source| retry_after(&Error::TryAgain { name: name(), source });
    assert_eq!(pause(unavailable(true, None)), Some(Duration::ZERO));
    assert_eq!(pause(unavailable(true, Some(60))), Some(Duration::from_mins(1)));
    assert_eq!(pause(unavailable(true, Some(61))), None);
    assert_eq!(pause(unavailable(false, Some(1))), None);
    assert_eq!(pause(said("slow_down")), None);
    assert_eq!(pause(http::Error::Interrupted { host: "h".into() }.into()), None);
    assert_eq!(retry_after(&Error::Busy(name())), None);
}

// --------------------------------------------------------------------------------------- concerns

#[test]
fn a_new_token_that_lives_too_short_is_a_concern() {
    let concern =
        |left| short_lived(&record(left, None).credential, now(), Duration::from_mins(1)).is_some();
    assert_eq!([concern(Some(60)), concern(Some(59)), concern(None)], [false, true, false]);
    let key = Credential::ApiKey { key: Secret::new("k") };
    assert!(short_lived(&key, now(), Duration::from_mins(1)).is_none());
}

#[test]
fn the_end_of_a_long_sign_in_is_announced_and_that_of_a_short_one_is_not() {
    let day = 86_400;
    // Whole life and what is left of it, in seconds.
    for (life, left, soon) in [
        (30 * day, 4 * day, false),
        (30 * day, 3 * day, false),
        (30 * day, 3 * day - 1, true),
        (30 * day, 0, true),
        (30 * day, -day, true),
        (8 * day, 3 * day - 1, false),
        (8 * day, 2 * day - 1, true),
        (3600, 900, false),
        (3600, 899, true),
    ] {
        let mut record = record(None, Some("refresh"));
        let Credential::OAuth { tokens, .. } = &mut record.credential else { unreachable!() };
        tokens.issued_at = now() + secs(left - life);
        tokens.refresh_expires_at = Some(now() + secs(left));
        let end = sign_in_ends_soon(tokens, now());
        assert_eq!(end.is_some(), soon, "{life} {left}");
        tokens.refresh_expires_at = None;
        assert_eq!(sign_in_ends_soon(tokens, now()), None);
    }
}
