//! The refresh protocol: lock, re-read, journal, ask, store, unlock. Written so that a crash, a lost
//! answer, a full disk or a second process at any point leaves either the old or the new tokens,
//! and the refresh token is never sent twice without need (RFC 9700 §4.14.2: a server that sees it
//! twice ends the sign-in).

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{BlockingRetryable, ConstantBuilder, ExponentialBuilder, Retryable};
use jiff::{SignedDuration, Timestamp};

use super::{Concern, Error, Resolved, Resolver, Verdict, Wanted};
use crate::credential::{
    Binding, Credential, Freshness, Grant, Name, Record, Refreshing, Refused, Tokens,
};
use crate::oauth::{self, TokenAnswer, TokenGrant, TokenRequest};
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
/// After two sendings without an answer: the first pause, doubled each time up to the longest.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// What a request to the token endpoint came to, as far as the record is concerned.
enum Outcome {
    Answered(Box<TokenAnswer>),
    /// The sign-in is over.
    Ended(String),
    /// Our client or a parameter is not accepted; the refresh token was not used up.
    ClientRefused(oauth::Error),
    /// Certainly not carried out.
    NotNow(oauth::Error),
    /// May have been carried out; the answer is lost.
    Lost(oauth::Error),
}

impl Resolver<'_> {
    /// Refreshes what `seen` holds, unless another process has done it meanwhile.
    pub(super) fn refresh(&self, seen: &Record, wanted: Wanted<'_>) -> Result<Resolved, Error> {
        let key = Key::Credential(wanted.name);
        let guard = match self.store.lock(&key, LOCK_WAIT) {
            Ok(guard) => guard,
            Err(store::Error::Busy { .. }) => return self.without_lock(wanted),
            Err(error) => return self.or_old_token(seen.clone(), error.into(), wanted),
        };
        let Some(current) = self.store.load(wanted.name)? else {
            return Err(Error::NotSignedIn(wanted.name.clone())); // signed out meanwhile
        };
        let current = self.wait_for_foreign_refresh(current, wanted.name)?;
        // A forced refresh is served by any that began after the caller asked.
        let adopted = current.generation > seen.generation;
        let unforced = Wanted { force_refresh: wanted.force_refresh && !adopted, ..wanted };
        match self.judge(&current, unforced) {
            Verdict::Use => Ok(self.usable(current)),
            Verdict::SignIn(reason) => Err(Error::Ended { name: wanted.name.clone(), reason }),
            Verdict::Refresh => self.refresh_locked(&guard, current, unforced),
        }
    }

    /// The lock stayed with somebody else: what is stored now must do.
    fn without_lock(&self, wanted: Wanted<'_>) -> Result<Resolved, Error> {
        let record = self.store.load(wanted.name)?;
        match record {
            Some(record) if matches!(self.judge(&record, wanted), Verdict::Use) => {
                Ok(self.usable(record))
            }
            _ => Err(Error::Busy(wanted.name.clone())),
        }
    }

    /// A mark of another lock domain may be a refresh under way on another machine: it gets its time.
    fn wait_for_foreign_refresh(&self, record: Record, name: &Name) -> Result<Record, Error> {
        let Some(mark) = &record.refreshing else { return Ok(record) };
        if mark.lock_domain == self.store.lock_domain()? {
            return Ok(record);
        }
        let left =
            mark.started.saturating_add(FOREIGN_REFRESH).map_or(SignedDuration::ZERO, |end| {
                end.duration_since((self.clock)()).min(FOREIGN_REFRESH)
            });
        let polls = usize::try_from(left.as_secs()).unwrap_or(0);
        let looks = ConstantBuilder::new().with_delay(FOREIGN_POLL).with_max_times(polls);
        let look = || {
            let now = self.store.load(name)?.ok_or_else(|| Error::NotSignedIn(name.clone()))?;
            if now.refreshing.is_some() { Err(Error::Busy(name.clone())) } else { Ok(now) }
        };
        match look.retry(looks).when(|error| matches!(error, Error::Busy(_))).call() {
            Err(Error::Busy(_)) => Ok(record),
            other => other,
        }
    }

    fn refresh_locked(
        &self,
        guard: &Guard,
        current: Record,
        wanted: Wanted<'_>,
    ) -> Result<Resolved, Error> {
        let now = (self.clock)();
        let attempt = match &current.refreshing {
            None => 1,
            // A refresh was cut off. The access token is good while it lives; then one more try.
            Some(_) if !wanted.force_refresh && lives(&current, now) => {
                return Ok(self.usable(current));
            }
            Some(mark) => next_attempt(mark, wanted, now)?,
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
        match self.ask(&current) {
            Outcome::Answered(answer) => Ok(self.keep(guard, &current, *answer, wanted)),
            Outcome::Ended(reason) => self.end(guard, current, reason, wanted),
            Outcome::ClientRefused(source) => {
                self.store.save(guard, &Record { refreshing: None, ..current.clone() })?;
                let name = wanted.name.clone();
                self.or_old_token(current, Error::ClientRefused { name, source }, wanted)
            }
            Outcome::NotNow(source) => {
                self.store.save(guard, &Record { refreshing: None, ..current.clone() })?;
                let name = wanted.name.clone();
                self.or_old_token(current, Error::TryAgain { name, source }, wanted)
            }
            // The mark stays: whoever comes next knows that the token may be spent.
            Outcome::Lost(source) => {
                let name = wanted.name.clone();
                self.or_old_token(current, Error::TryAgain { name, source }, wanted)
            }
        }
    }

    /// Sends the refresh request, again only after a definite refusal to carry it out.
    fn ask(&self, record: &Record) -> Outcome {
        let no_parameters = BTreeMap::new();
        let request = record
            .credential
            .as_oauth()
            .and_then(|(tokens, binding)| token_request(tokens, binding, &no_parameters));
        let Some(request) = request else {
            return Outcome::Ended("there is nothing to refresh it with".into());
        };
        let policy = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(Duration::from_secs(1))
            .with_max_times(2);
        let send = || oauth::request_tokens(self.http, &request);
        let answer = self.http.block_on(async {
            send.retry(policy)
                .when(is_definitely_not_done)
                .adjust(|error, pause| pause.map(|pause| pause.max(retry_after(error))))
                .await
        });
        match answer {
            Ok(answer) => Outcome::Answered(Box::new(answer)),
            Err(error) => classify(error),
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
        let mut resolved = self.usable(next);
        if let Err(error) = stored {
            resolved.concern = Some(Concern::NotStored(error));
        } else if resolved.concern.is_none() {
            resolved.concern = short_lived(&resolved.credential, now, wanted.min_ttl);
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
    parameters: &'a BTreeMap<String, String>,
) -> Option<TokenRequest<'a>> {
    let (grant, scopes) = match (&tokens.refresh_token, binding.grant) {
        (Some(refresh_token), _) => (TokenGrant::RefreshToken { refresh_token }, &[][..]),
        (None, Grant::ClientCredentials) => {
            (TokenGrant::ClientCredentials, binding.scopes.as_slice())
        }
        (None, _) => return None,
    };
    Some(TokenRequest {
        endpoint: &binding.token_endpoint,
        client: &binding.client,
        grant,
        scopes,
        resource: binding.resource.as_deref(),
        parameters,
    })
}

/// Whether the access token is good at `now`, however shortly.
fn lives(record: &Record, now: Timestamp) -> bool {
    record
        .credential
        .as_oauth()
        .is_some_and(|(tokens, _)| tokens.freshness(now, Duration::ZERO) != Freshness::Expired)
}

/// The number of the next sending after one whose answer was lost: the second at once, later ones
/// after growing pauses, so that a server with reuse detection is never stormed.
fn next_attempt(mark: &Refreshing, wanted: Wanted<'_>, now: Timestamp) -> Result<u32, Error> {
    let attempts = mark.attempt;
    if attempts >= 2 && !wanted.force_refresh {
        let doublings = (attempts - 2).min(8);
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        let next = mark.started.saturating_add(pause).unwrap_or(Timestamp::MAX);
        // A start in the future is a clock set back, not a reason to wait for it.
        if next > now && mark.started <= now {
            return Err(Error::CutOff { name: wanted.name.clone(), attempts, next });
        }
    }
    Ok(attempts.saturating_add(1))
}

/// Whether the server said that it did not carry out the request: 429, 503, or an error answer that
/// says so. Any other 5xx may come from a proxy in front, after the server rotated the token.
fn is_definitely_not_done(error: &oauth::Error) -> bool {
    matches!(error, oauth::Error::Unavailable { status: 0..=499 | 503, .. })
}

fn retry_after(error: &oauth::Error) -> Duration {
    match error {
        oauth::Error::Unavailable { retry_after, .. } => retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

/// RFC 6749 §5.2: which refusals end the sign-in, which name a wrong client, which pass.
fn classify(error: oauth::Error) -> Outcome {
    match &error {
        oauth::Error::Refused { code, description, .. } => match code.as_str() {
            "invalid_grant" => Outcome::Ended(reason(description.as_deref())),
            "unsupported_grant_type" | "invalid_request" => Outcome::Ended(
                "the authorization server does not refresh, although it gave a refresh token"
                    .into(),
            ),
            "temporarily_unavailable" | "slow_down" => Outcome::NotNow(error),
            "server_error" => Outcome::Lost(error),
            _ => Outcome::ClientRefused(error),
        },
        _ if is_definitely_not_done(&error) => Outcome::NotNow(error),
        oauth::Error::Http(cause) if !cause.may_have_reached() => Outcome::NotNow(error),
        _ => Outcome::Lost(error),
    }
}

fn reason(description: Option<&str>) -> String {
    match description {
        Some(said) => format!("the server no longer accepts it ({})", text::clean(said)),
        None => "the server no longer accepts it (revoked, expired or used elsewhere)".into(),
    }
}

fn short_lived(credential: &Credential, now: Timestamp, min_ttl: Duration) -> Option<Concern> {
    let (tokens, _) = credential.as_oauth()?;
    match tokens.freshness(now, min_ttl) {
        Freshness::Fresh => None,
        _ => tokens.expires_at.map(Concern::ShortLived),
    }
}
