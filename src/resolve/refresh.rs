//! The refresh protocol: lock, re-read, journal, ask, store, unlock. Written so that a crash, a lost
//! answer, a full disk or a second process at any point leaves either the old or the new tokens,
//! and the refresh token is never sent twice without need (RFC 9700 §4.14.2: a server that sees it
//! twice ends the sign-in).
//!
//! Whoever asks authctl to end meanwhile waits for the answer, 30 s at most (10 s where no connection comes about).
//! To end earlier is what a crash does: once the request is on its way, only the answer has the next refresh
//! token, and a server that hangs may have made it. The mark keeps the next command from storming the server; it
//! does not bring that token back. In the pauses between tries nothing is under way, and signals end a command.

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{BackoffBuilder, BlockingRetryable, ConstantBuilder, ExponentialBuilder};
use jiff::{SignedDuration, Timestamp};

use super::{Concern, Error, Resolved, Resolver, Verdict, Wanted, judge};
use crate::config::OAuth;
use crate::credential::{
    Binding, Credential, Failing, Freshness, Grant, Name, Record, Refreshing, Refused, Tokens,
};
use crate::grant;
use crate::oauth::{self, Client, Dpop, DpopKey, TokenAnswer, TokenGrant, TokenRequest};
use crate::store::{self, Guard, Key};
use crate::text;

/// Waiting for another process's refresh: its request may take 30 s, its store 5 s twice.
const LOCK_WAIT: Duration = Duration::from_secs(45);
/// How long a refresh of another machine may take before its mark counts as left behind.
const FOREIGN_REFRESH: SignedDuration = SignedDuration::from_secs(60);
/// Between two looks at another machine's mark.
const FOREIGN_POLL: Duration = Duration::from_secs(1);
/// A machine that lost a race sees the winner's record within this time.
const WINNER_VISIBLE: Duration = Duration::from_millis(300);
/// Before the second request after a definite refusal, and twice that before the third and last; each
/// pause is drawn out by up to its double, so that machines do not come back all at once.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// A server that asks for a longer pause is asked by a later command.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);
/// After two sendings without a good answer: the first pause, doubled each time up to the longest.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// What a request to the token endpoint came to, as far as the record is concerned.
pub(super) enum Outcome {
    Answered(Box<TokenAnswer>),
    /// The sign-in is over.
    Ended(String),
    /// Our client is not accepted; the refresh token was not used up.
    ClientRefused(oauth::Error),
    /// What we ask for is not accepted; the refresh token was not used up.
    RequestRefused {
        what: &'static str,
        /// The key in the configuration that says it.
        key: &'static str,
        source: oauth::Error,
    },
    /// Nothing to ask with, or not accepted; nothing was used up.
    NotAsked(grant::Error),
    /// Certainly not carried out.
    NotNow(oauth::Error),
    /// May have been carried out; the answer is lost.
    Lost(oauth::Error),
}

impl Resolver<'_> {
    /// Refreshes what `seen` holds, unless another process has done it meanwhile; again only after a
    /// definite refusal to carry it out.
    pub(super) fn refresh(&self, seen: &Record, wanted: Wanted<'_>) -> Result<Resolved, Error> {
        let pauses = ExponentialBuilder::new().with_jitter().with_min_delay(RETRY_PAUSE);
        let mut pauses = pauses.with_max_times(2).build();
        loop {
            let error = match self.refresh_once(seen, wanted) {
                Err(error) => error,
                done => return done,
            };
            // Without the lock: another process may go on meanwhile, and signals end the pause.
            match (retry_after(&error), pauses.next()) {
                (Some(asked), Some(pause)) => std::thread::sleep(asked + pause),
                _ => return Err(error),
            }
        }
    }

    fn refresh_once(&self, seen: &Record, wanted: Wanted<'_>) -> Result<Resolved, Error> {
        if self.is_marked_elsewhere(seen)? && !wanted.force_refresh && lives(seen, (self.clock)()) {
            return Ok(self.usable(seen.clone()));
        }
        let key = Key::Credential(wanted.name);
        let mut outwaited = self.wait_for_other_machine(seen, wanted)?;
        // Twice: a machine that begins again and again is not waited for all day.
        for _ in 0..2 {
            let guard = match self.store.lock(&key, LOCK_WAIT) {
                Ok(guard) => guard,
                Err(store::Error::Busy { .. }) => return self.without_lock(wanted),
                Err(error) => return self.or_old_token(seen.clone(), error.into(), wanted),
            };
            // It may have been signed out of meanwhile, or into something else.
            let current = self.load(wanted)?;
            if current.refreshing == outwaited || !self.is_marked_elsewhere(&current)? {
                return self.refresh_current(&guard, current, seen, wanted);
            }
            drop(guard);
            outwaited = self.wait_for_other_machine(&current, wanted)?;
        }
        Err(Error::Busy(wanted.name.clone()))
    }

    fn refresh_current(
        &self,
        guard: &Guard,
        current: Record,
        seen: &Record,
        wanted: Wanted<'_>,
    ) -> Result<Resolved, Error> {
        // A forced refresh is served by any that began after the caller asked.
        let adopted = current.generation > seen.generation;
        let force_refresh = wanted.force_refresh && !adopted;
        match judge(&current, wanted.min_ttl, force_refresh, (self.clock)()) {
            Verdict::Use => Ok(self.usable(current)),
            // Even a new token does not live as long as was asked: one more would not either.
            Verdict::Refresh if adopted && is_as_good_as_new(&current, (self.clock)()) => {
                Ok(self.just_made(current, wanted.min_ttl))
            }
            Verdict::SignIn(reason) => Err(Error::Ended { name: wanted.name.clone(), reason }),
            Verdict::Refresh => {
                self.refresh_locked(guard, current, Wanted { force_refresh, ..wanted })
            }
        }
    }

    /// The lock stayed with somebody else: what is stored now must do.
    fn without_lock(&self, wanted: Wanted<'_>) -> Result<Resolved, Error> {
        let record = self.load(wanted)?;
        if self.serves(&record, wanted) {
            return Ok(self.usable(record));
        }
        Err(Error::Busy(wanted.name.clone()))
    }

    fn serves(&self, record: &Record, wanted: Wanted<'_>) -> bool {
        let verdict = judge(record, wanted.min_ttl, wanted.force_refresh, (self.clock)());
        matches!(verdict, Verdict::Use)
    }

    /// Whether a process that our locks do not reach has left its mark: on another machine, mostly.
    fn is_marked_elsewhere(&self, record: &Record) -> Result<bool, Error> {
        match &record.refreshing {
            Some(mark) => Ok(mark.lock_domain != self.store.lock_domain()?),
            None => Ok(false),
        }
    }

    /// Gives a refresh of another machine its time, without the lock and so that signals end it; the
    /// mark that still stands afterwards counts as left behind.
    fn wait_for_other_machine(
        &self,
        record: &Record,
        wanted: Wanted<'_>,
    ) -> Result<Option<Refreshing>, Error> {
        let Some(mark) = record.refreshing.as_ref() else { return Ok(None) };
        if !self.is_marked_elsewhere(record)? {
            return Ok(Some(mark.clone()));
        }
        let end = mark.started.saturating_add(FOREIGN_REFRESH);
        let left = end.map_or(SignedDuration::ZERO, |end| end.duration_since((self.clock)()));
        let polls = usize::try_from(left.min(FOREIGN_REFRESH).as_secs()).unwrap_or(0);
        let looks = ConstantBuilder::new().with_delay(FOREIGN_POLL).with_max_times(polls);
        let look = || {
            let now = self.load(wanted)?.refreshing;
            if now.as_ref() == Some(mark) { Err(Error::Busy(wanted.name.clone())) } else { Ok(()) }
        };
        match look.retry(looks).when(|error| matches!(error, Error::Busy(_))).call() {
            Err(Error::Busy(_)) => Ok(Some(mark.clone())),
            other => other.map(|()| None),
        }
    }

    fn refresh_locked(
        &self,
        guard: &Guard,
        current: Record,
        wanted: Wanted<'_>,
    ) -> Result<Resolved, Error> {
        let now = (self.clock)();
        if let Some(error) = pause_after_refusals(&current, wanted, now) {
            return self.or_old_token(current, error, wanted);
        }
        let attempt = match &current.refreshing {
            None => 1,
            // A refresh was cut off. The access token is good while it lives; then one more try.
            Some(_) if !wanted.force_refresh && lives(&current, now) => {
                return Ok(self.usable(current));
            }
            Some(mark) => next_attempt(mark, wanted.name, wanted.force_refresh, now)?,
        };
        let marked = Record {
            refreshing: Some(Refreshing {
                generation: current.generation,
                started: now,
                lock_domain: self.store.lock_domain()?,
                attempt,
            }),
            ..current.clone()
        };
        // Journal, and proof that the store can be written before the refresh token is spent.
        if let Err(error) = self.store.save(guard, &marked) {
            return self.or_old_token(current, error.into(), wanted);
        }
        let name = wanted.name.clone();
        match self.ask(&current, wanted) {
            Outcome::Answered(answer) => Ok(self.keep(guard, &current, *answer, wanted)),
            Outcome::Ended(reason) => {
                let reason = if attempt == 1 {
                    reason
                } else {
                    format!("{reason}; the answer to an earlier refresh was lost")
                };
                self.end(guard, current, reason, wanted)
            }
            Outcome::ClientRefused(source) => {
                self.failed(guard, current, None, Error::ClientRefused { name, source }, wanted)
            }
            Outcome::RequestRefused { what, key, source } => {
                let error = Error::RequestRefused { name, what, key, source };
                self.failed(guard, current, None, error, wanted)
            }
            Outcome::NotAsked(source) => {
                self.failed(guard, current, None, Error::NotAsked { name, source }, wanted)
            }
            Outcome::NotNow(source) => {
                self.failed(guard, current, None, Error::TryAgain { name, source }, wanted)
            }
            // The mark stays: whoever comes next knows that the token may be spent.
            Outcome::Lost(source) => {
                let error = Error::TryAgain { name, source };
                self.failed(guard, current, marked.refreshing, error, wanted)
            }
        }
    }

    /// Remembers a failure that leaves the sign-in as it was, for whoever comes next and for `status`.
    fn failed(
        &self,
        guard: &Guard,
        current: Record,
        mark: Option<Refreshing>,
        error: Error,
        wanted: Wanted<'_>,
    ) -> Result<Resolved, Error> {
        let was_lost = mark.is_some();
        let failing = failing_after(current.failing.as_ref(), &error, (self.clock)());
        let failed = Record { refreshing: mark, failing: Some(failing), ..current };
        let saved = self.store.save(guard, &failed);
        // A lost answer has its journal in the store already.
        if !was_lost {
            saved?;
        }
        self.or_old_token(failed, error, wanted)
    }

    /// Sends the refresh request, once; again only with a nonce that the server wants first, by which it
    /// says that the refresh token was not used.
    fn ask(&self, record: &Record, wanted: Wanted<'_>) -> Outcome {
        let nothing = || Outcome::Ended("there is nothing to refresh it with".into());
        let (Some((tokens, binding)), Some(oauth)) =
            (record.credential.as_oauth(), wanted.provider.oauth())
        else {
            return nothing();
        };
        let key = match tokens.dpop_key.as_ref().map(DpopKey::read).transpose() {
            Ok(None) if tokens.is_bound() => {
                return Outcome::Ended("the key of its tokens is missing".into());
            }
            Ok(key) => key,
            Err(error) => {
                return Outcome::Ended(format!("the key of its tokens cannot be used: {error}"));
            }
        };
        // What was bound stays bound.
        let dpop = key.as_ref().map(|key| Dpop { key, required: tokens.is_bound() });
        binding.confine(self.http);
        let issuer = binding.issuer.as_deref();
        let client = grant::with_key(&binding.client, oauth, issuer, &binding.token_endpoint);
        let client = match client {
            Ok(client) => client,
            Err(error) => return Outcome::NotAsked(error),
        };
        if binding.grant.is_of_machine() {
            return self.ask_as_machine(binding, oauth, &client, dpop);
        }
        let no_parameters = BTreeMap::new();
        let Some(request) = token_request(tokens, binding, &client, &no_parameters, dpop) else {
            return nothing();
        };
        match self.http.block_on(oauth::request_tokens(self.http, &request)) {
            Ok(answer) => Outcome::Answered(Box::new(answer)),
            Err(error) => classify(error),
        }
    }

    /// The same with an identity that this machine has, as the provider is configured now.
    fn ask_as_machine(
        &self,
        binding: &Binding,
        oauth: &OAuth,
        client: &Client,
        dpop: Option<Dpop<'_>>,
    ) -> Outcome {
        let server = grant::Server {
            issuer: binding.issuer.clone(),
            authorization_endpoint: None,
            token_endpoint: binding.token_endpoint.clone(),
            device_authorization_endpoint: None,
            pushed_authorization_request_endpoint: None,
            pushes: false,
            iss_required: false,
        };
        let scopes = [binding.scopes.join(&oauth.scope_separator.to_string())];
        let request = grant::Request {
            server: &server,
            client,
            scopes: if binding.scopes.is_empty() { &[] } else { &scopes },
            resource: binding.resource.as_deref(),
            parameters: &oauth.parameters,
            dpop,
        };
        let grant = binding.grant;
        let machine = grant::Machine { http: self.http, logins: self.logins, oauth, grant };
        match machine.acquire(&request) {
            Ok(answer) => Outcome::Answered(Box::new(answer)),
            Err(grant::Error::Oauth(error)) => classify(error),
            Err(error) => Outcome::NotAsked(error),
        }
    }

    /// Stores the new tokens and hands them out; when the store fails now, the tokens still work.
    fn keep(
        &self,
        guard: &Guard,
        current: &Record,
        answer: TokenAnswer,
        wanted: Wanted<'_>,
    ) -> Resolved {
        let now = (self.clock)();
        let Credential::OAuth { tokens, binding } = &current.credential else {
            return self.usable(current.clone());
        };
        let tokens = Tokens::from_answer(answer, now, Some(tokens));
        let next = current.succeeded_by(Credential::OAuth { tokens, binding: binding.clone() });
        let tries = ConstantBuilder::new().with_delay(WINNER_VISIBLE).with_max_times(2);
        // A write that was given up is still under way; a second one would only queue behind it.
        let is_over = |error: &store::Error| !matches!(error, store::Error::TimedOut { .. });
        let stored = (|| self.store.save(guard, &next)).retry(tries).when(is_over).call();
        let mut resolved = self.just_made(next, wanted.min_ttl);
        resolved.refreshed = true;
        if let Err(error) = stored {
            resolved.concern = Some(Concern::NotStored(error));
        }
        resolved
    }

    /// Tokens that the server made a moment ago as an answer, however soon they end.
    fn just_made(&self, record: Record, min_ttl: Duration) -> Resolved {
        let mut resolved = self.usable(record);
        if resolved.concern.is_none() {
            resolved.concern = short_lived(&resolved.credential, (self.clock)(), min_ttl);
        }
        resolved
    }

    /// The server says that the grant is over. Another machine may have won a race just now; if not,
    /// the record is marked, never deleted.
    fn end(
        &self,
        guard: &Guard,
        current: Record,
        reason: String,
        wanted: Wanted<'_>,
    ) -> Result<Resolved, Error> {
        std::thread::sleep(WINNER_VISIBLE);
        let stored = self.store.load(wanted.name)?;
        if let Some(winner) = stored.filter(|stored| stored.generation > current.generation) {
            return Ok(self.usable(winner));
        }
        let refused = Refused { at: (self.clock)(), reason: reason.clone() };
        let marked = Record { refreshing: None, refused: Some(refused), ..current };
        self.store.save(guard, &marked)?;
        let name = wanted.name.clone();
        self.or_old_token(marked, Error::Ended { name, reason }, wanted)
    }

    /// A failed refresh is no reason to withhold an access token that lives.
    fn or_old_token(
        &self,
        record: Record,
        error: Error,
        wanted: Wanted<'_>,
    ) -> Result<Resolved, Error> {
        if wanted.force_refresh || !lives(&record, (self.clock)()) {
            return Err(error);
        }
        let expires_at = record.credential.expires_at();
        let mut resolved = self.usable(record);
        resolved.concern = Some(Concern::NotRefreshed { cause: Box::new(error), expires_at });
        Ok(resolved)
    }
}

/// The request that brings new tokens: with the refresh token, else with the client's own
/// credentials where those were the grant.
fn token_request<'a>(
    tokens: &'a Tokens,
    binding: &'a Binding,
    client: &'a Client,
    parameters: &'a BTreeMap<String, String>,
    dpop: Option<Dpop<'a>>,
) -> Option<TokenRequest<'a>> {
    let (endpoint, grant, scopes) = match (&tokens.refresh_token, binding.grant) {
        (Some(refresh_token), _) => {
            (binding.refresh_endpoint(), TokenGrant::RefreshToken { refresh_token }, &[][..])
        }
        (None, Grant::ClientCredentials) => {
            (&binding.token_endpoint, TokenGrant::ClientCredentials, binding.scopes.as_slice())
        }
        (None, _) => return None,
    };
    Some(TokenRequest {
        endpoint,
        client,
        grant,
        scopes,
        resource: binding.resource.as_deref(),
        parameters,
        dpop,
    })
}

/// Whether the access token is good at `now`, however shortly.
fn lives(record: &Record, now: Timestamp) -> bool {
    record
        .credential
        .as_oauth()
        .is_some_and(|(tokens, _)| tokens.freshness(now, Duration::ZERO) != Freshness::Expired)
}

/// Whether what another process has just refreshed still serves: it lives, or the server gives its
/// tokens no time at all.
fn is_as_good_as_new(record: &Record, now: Timestamp) -> bool {
    lives(record, now)
        || record.credential.as_oauth().is_some_and(|(tokens, _)| tokens.ended_when_issued())
}

/// The number of the next sending after one whose answer was lost: the second at once, later ones
/// after growing pauses, so that a server with reuse detection is never stormed.
pub(super) fn next_attempt(
    mark: &Refreshing,
    name: &Name,
    force_refresh: bool,
    now: Timestamp,
) -> Result<u32, Error> {
    let attempts = mark.attempt;
    match due(attempts, mark.started, now).filter(|_| !force_refresh) {
        Some(next) => Err(Error::CutOff { name: name.clone(), attempts, next }),
        None => Ok(attempts.saturating_add(1)),
    }
}

/// When the next request may be sent after `attempts` of which the last was sent at `last`; `None`: now.
fn due(attempts: u32, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let doublings = attempts.checked_sub(2)?.min(8);
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let next = last.saturating_add(pause).unwrap_or(Timestamp::MAX);
    // A last time in the future is a clock set back, not a reason to wait for it.
    (next > now && last <= now).then_some(next)
}

/// The pause after the server said no for the second time: the same request would bring the same.
pub(super) fn pause_after_refusals(
    record: &Record,
    wanted: Wanted<'_>,
    now: Timestamp,
) -> Option<Error> {
    let failing = record.failing.as_ref().filter(|f| f.refused && !wanted.force_refresh)?;
    let (attempts, reason) = (failing.attempts, failing.reason.clone());
    let next = due(attempts, failing.at, now)?;
    Some(Error::Failing { name: wanted.name.clone(), attempts, reason, next })
}

/// The memory of a failed refresh, after that of the ones before it.
pub(super) fn failing_after(before: Option<&Failing>, error: &Error, now: Timestamp) -> Failing {
    let source = match error {
        Error::ClientRefused { source, .. }
        | Error::RequestRefused { source, .. }
        | Error::TryAgain { source, .. }
        | Error::NotAsked { source: grant::Error::IdentityRefused(source), .. } => Some(source),
        _ => None,
    };
    let refused = matches!(source, Some(oauth::Error::Refused { .. }));
    let attempts = before.filter(|before| before.refused == refused).map_or(0, |f| f.attempts);
    let reason = source.map_or_else(|| error.to_string(), ToString::to_string);
    Failing { at: now, attempts: attempts.saturating_add(1), refused, reason: text::clean(&reason) }
}

/// How long to wait before the request may be sent again in this run; `None`: not at all.
pub(super) fn retry_after(error: &Error) -> Option<Duration> {
    match error {
        Error::TryAgain {
            source: oauth::Error::Unavailable { retry_after, not_carried_out: true, .. },
            ..
        } => Some(retry_after.unwrap_or_default()).filter(|asked| *asked <= LONGEST_RETRY_AFTER),
        _ => None,
    }
}

/// RFC 6749 §5.2: which refusals end the sign-in, which name a wrong client or a wrong request, which
/// pass. An error answer says that the refresh token was not used.
pub(super) fn classify(error: oauth::Error) -> Outcome {
    match &error {
        oauth::Error::Refused { code, description, .. } => match code.as_str() {
            "invalid_grant" => Outcome::Ended(reason(description.as_deref())),
            "invalid_client" | "unauthorized_client" => Outcome::ClientRefused(error),
            code => match refused_request(code) {
                Some((what, key)) => Outcome::RequestRefused { what, key, source: error },
                None => Outcome::NotNow(error),
            },
        },
        oauth::Error::NotBound { .. } => Outcome::Ended(error.to_string()),
        oauth::Error::Unavailable { not_carried_out: true, .. } => Outcome::NotNow(error),
        oauth::Error::Http(cause) if !cause.may_have_reached() => Outcome::NotNow(error),
        _ => Outcome::Lost(error),
    }
}

/// What the server refused by this code, and the key in the configuration that says it.
fn refused_request(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code {
        "invalid_scope" => ("the scopes", "scopes"),
        "invalid_target" => ("the resource", "resource"),
        "invalid_dpop_proof" => {
            ("the proof of possession, perhaps for this computer's clock", "dpop")
        }
        "invalid_request" => ("the request for new tokens", "token_endpoint"),
        "unsupported_grant_type" => ("this grant at its token endpoint", "token_endpoint"),
        _ => return None,
    })
}

fn reason(description: Option<&str>) -> String {
    match description {
        Some(said) => format!("the server no longer accepts it ({})", text::clean(said)),
        None => "the server no longer accepts it (revoked, expired or used elsewhere)".into(),
    }
}

/// What is to be said of a token that is new and does not live as long as was asked.
pub fn short_lived(credential: &Credential, now: Timestamp, min_ttl: Duration) -> Option<Concern> {
    let (tokens, _) = credential.as_oauth()?;
    match tokens.freshness(now, min_ttl) {
        // Zero is no lifetime that a person could do anything about.
        _ if tokens.ended_when_issued() => None,
        Freshness::Fresh => None,
        _ => tokens.expires_at.map(Concern::ShortLived),
    }
}
