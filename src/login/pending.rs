//! The grants that wait for a person, and the record by which a login can be finished later: made before
//! the person is asked, taken out when the answer comes, once.

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::client::Known;
use super::dpop::NewKey;
use super::endpoints::Endpoints;
use super::turn::ended_grant;
use super::{Error, Login, Method, Wish};
use crate::credential::{Binding, FORMAT, Grant, Name};
use crate::grant::{self, Invitation, Opening, RedirectListener, Waiting};
use crate::headless::{Browser, Headless};
use crate::oauth::{self, AuthorizationRequest, DeviceAuthorization, TokenAnswer};
use crate::secret::Secret;
use crate::store::{self, Awaited, Ended, PendingKey, PendingRecord};

/// How long a person may take while the login waits.
pub(super) const BROWSER_WAIT: Duration = Duration::from_mins(10);

/// How long a login that waits for a redirect can be finished.
const REDIRECT_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// And as long as its address lives on for so much.
const WORTH_OPENING: SignedDuration = SignedDuration::from_secs(20);

/// How long whoever has the answer may take to finish: a token request and a save.
const FINISHING: SignedDuration = SignedDuration::from_mins(1);

/// Between two looks at what another process does.
const PAUSE: Duration = Duration::from_millis(50);

/// A login that waits is offered again as long as so much is left of it.
const WORTH_OFFERING: SignedDuration = SignedDuration::from_mins(2);

/// One login, when all but the person's part is known.
#[derive(Clone, Copy)]
pub(super) struct Begun<'a> {
    pub(super) wish: &'a Wish<'a>,
    pub(super) known: &'a Known,
    pub(super) endpoints: &'a Endpoints,
    pub(super) binding: &'a Binding,
    pub(super) request: &'a grant::Request<'a>,
    pub(super) new_key: Option<&'a NewKey>,
}

/// A failure of the grant, which its caller explains, or of the login around it.
pub(super) enum Failure {
    Grant(grant::Error),
    Login(Error),
}

impl From<grant::Error> for Failure {
    fn from(error: grant::Error) -> Self {
        Self::Grant(error)
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::Login(error.into())
    }
}

impl Login<'_> {
    /// Whether a login only asks, and leaves the answer to another command: there is neither a person at
    /// a terminal nor a browser to count on. `--browser` counts on one wherever there can be one.
    pub(super) fn is_deferred(&self, wish: &Wish<'_>) -> bool {
        self.is_background()
            && !wish.is_brought
            && match self.surroundings.without_browser() {
                None => false,
                Some(Headless::NoTerminal) => !is_by_browser(wish),
                Some(_) => true,
            }
    }

    /// Why the redirect may not reach this process, where a person can do something about it.
    pub(super) fn why_paste(&self, wish: &Wish<'_>) -> Option<String> {
        match self.surroundings.headless {
            Some(reason) => Some(reason.to_string()),
            None => (!wish.open_browser).then(|| "no browser is opened here".to_owned()),
        }
    }

    /// RFC 6749 §4.1, with a listener for the redirect and a prompt for a pasted one.
    pub(super) fn by_redirect(
        &self,
        begun: Begun<'_>,
        listener: RedirectListener,
    ) -> Result<TokenAnswer, Failure> {
        let wish = begun.wish;
        self.offer_again(begun)?;
        let asked = grant::authorization_request(self.http, begun.request, listener.redirect_uri());
        let asked = self.http.block_on(asked)?;
        let why_paste = self.why_paste(wish).filter(|_| !self.is_background());
        let kept = if why_paste.is_some() || wish.is_elsewhere || self.is_deferred(wish) {
            Some(self.keep(begun, awaited_redirect(&asked), REDIRECT_LIFE, asked.expires_in)?)
        } else {
            None
        };
        let kept = self.unless_deferred(wish, kept)?;
        let later = kept.as_ref().map(|record| later(wish.name, record.expires_at));
        let opening = self.opening(wish);
        if opening == Opening::Printed {
            self.interact.print_url(&asked.url);
        }
        let invitation = Invitation {
            open_browser: opening == Opening::Browser,
            paste: why_paste.as_deref(),
            code_alone: begun.endpoints.pkce_checked,
            later: later.as_deref(),
        };
        self.wait(wish.name, kept.as_ref(), BROWSER_WAIT, |waiting| {
            self.http.block_on(grant::authorization_code(
                self.http,
                self.interact,
                listener,
                begun.request,
                &asked,
                &invitation,
                waiting,
            ))
        })
    }

    /// Whether to open a browser here: where one can be counted on, or was asked for. `BROWSER=echo` is
    /// obeyed, and opens none.
    pub(super) fn opening(&self, wish: &Wish<'_>) -> Opening {
        if !wish.open_browser {
            Opening::Nothing
        } else if self.surroundings.browser == Browser::Printed && !wish.is_brought {
            Opening::Printed
        } else if wish.is_brought
            || self.surroundings.without_browser().is_none()
            || is_by_browser(wish)
        {
            Opening::Browser
        } else {
            Opening::Nothing
        }
    }

    /// RFC 8628.
    pub(super) fn by_device(&self, begun: Begun<'_>) -> Result<TokenAnswer, Failure> {
        let wish = begun.wish;
        self.offer_again(begun)?;
        let device = self.http.block_on(grant::device_authorization(self.http, begun.request))?;
        let life = SignedDuration::try_from(device.expires_in).unwrap_or(REDIRECT_LIFE);
        let kept = if !self.is_background() || self.is_deferred(wish) {
            Some(self.keep(begun, awaited_confirmation(&device), life, None)?)
        } else {
            None
        };
        let kept = self.unless_deferred(wish, kept)?;
        grant::show_code(self.interact, &device)?;
        let later = kept.as_ref().map(|record| later(wish.name, record.expires_at));
        let later = later.map_or(String::new(), |later| format!("; {later}"));
        let minutes = device.expires_in.as_secs().div_ceil(60);
        let wait = format!("Waiting for you, {minutes} minutes at most");
        self.interact.notice(&if self.interact.is_attended() {
            format!("{wait}; Ctrl-C gives up{later}.")
        } else {
            format!("{wait}.")
        });
        self.wait(wish.name, kept.as_ref(), device.expires_in, |waiting| {
            let poll =
                grant::device_code(self.http, self.interact, begun.request, &device, waiting);
            self.http.block_on(poll)
        })
    }

    /// A login that only asks ends here.
    fn unless_deferred(
        &self,
        wish: &Wish<'_>,
        kept: Option<PendingRecord>,
    ) -> Result<Option<PendingRecord>, Failure> {
        match kept {
            Some(record) if self.is_deferred(wish) => {
                Err(Failure::Login(Error::Unfinished(Box::new(record))))
            }
            kept => Ok(kept),
        }
    }

    /// Who asks again without a terminal is given the same question, not one more.
    fn offer_again(&self, begun: Begun<'_>) -> Result<(), Failure> {
        if !self.is_deferred(begun.wish) {
            return Ok(());
        }
        let now = (self.clock)();
        for entry in self.store.pending_entries(begun.wish.name) {
            if entry.answered_at.is_some()
                && entry.ended.is_none()
                && begun.wish.is_met_by_any()
                && let Some(ended @ Ended::SignedIn) = self.came_to(&entry.flow)
            {
                let name = begun.wish.name.clone();
                return Err(Failure::Login(Error::EndedElsewhere { name, ended }));
            }
            if entry.is_live(now + WORTH_OFFERING)
                && let Ok(Some(record)) = self.store.load_pending(&entry.flow)
                && record.binding == *begun.binding
                && record.new_client.is_none()
                && record.url_expires_at.is_none_or(|end| end > now + WORTH_OPENING)
                && !begun.known.is_new
            {
                return Err(Failure::Login(Error::Unfinished(Box::new(record))));
            }
        }
        Ok(())
    }

    fn keep(
        &self,
        begun: Begun<'_>,
        awaited: Awaited,
        life: SignedDuration,
        url_life: Option<Duration>,
    ) -> Result<PendingRecord, store::Error> {
        let started_at = (self.clock)();
        self.store.forget_expired(started_at);
        let record = PendingRecord {
            format: FORMAT,
            flow: awaited.flow(),
            provider: begun.wish.name.provider().to_owned(),
            account: begun.wish.name.account().to_owned(),
            started_at,
            expires_at: started_at.saturating_add(life).unwrap_or(Timestamp::MAX),
            binding: begun.binding.clone(),
            iss_required: begun.endpoints.server.iss_required,
            pkce_checked: begun.endpoints.pkce_checked,
            new_client: begun.known.is_new.then(|| begun.known.record.clone()),
            dpop: begun
                .new_key
                .map(|new| PendingKey { key: new.kept.clone(), required: new.required }),
            keep_id_token: begun.wish.keep_id_token,
            url_expires_at: url_life.and_then(|life| started_at.checked_add(life).ok()),
            awaited,
        };
        self.store.save_pending(&record)?;
        Ok(record)
    }

    /// Lets `grant` wait for the person, until another process finished the flow or wants the turn.
    fn wait(
        &self,
        name: &Name,
        kept: Option<&PendingRecord>,
        most: Duration,
        grant: impl FnOnce(&Waiting<'_>) -> Result<TokenAnswer, grant::Error>,
    ) -> Result<TokenAnswer, Failure> {
        let flow = kept.map(|record| record.flow.as_str());
        let failed = RefCell::new(None);
        let ended = || self.store.pending_entry(flow?)?.ended;
        let is_called_off =
            || self.is_background() && self.store.is_asked_to_yield(name) || ended().is_some();
        let claim = || {
            let Some(flow) = flow else { return true };
            let claimed = self.store.claim_pending(flow, (self.clock)());
            claimed.unwrap_or_else(|error| {
                failed.replace(Some(error));
                false
            })
        };
        let answer = grant(&Waiting {
            most,
            is_shared: flow.is_some(),
            is_called_off: &is_called_off,
            claim: &claim,
        });
        match answer {
            Err(grant::Error::CalledOff) => {
                if let Some(error) = failed.take() {
                    return Err(error.into());
                }
                let name = name.clone();
                Err(Failure::Login(match flow.and_then(|flow| self.came_to(flow)) {
                    Some(ended) => Error::EndedElsewhere { name, ended },
                    None if is_called_off() => {
                        claim();
                        Error::SteppedBack
                    }
                    None => Error::EndedElsewhere { name, ended: Ended::Failed },
                }))
            }
            answer => match kept {
                Some(record) => self.settle(name, record, answer),
                None => Ok(answer?),
            },
        }
    }

    /// What came of a flow. One that another process finishes is waited for; `None`: nobody has its
    /// answer, or whoever had it was cut off.
    pub(super) fn came_to(&self, flow: &str) -> Option<Ended> {
        let mut is_said = false;
        loop {
            let entry = self.store.pending_entry(flow)?;
            let age = (self.clock)().duration_since(entry.answered_at?);
            if entry.ended.is_some() || !(SignedDuration::ZERO..FINISHING).contains(&age) {
                return entry.ended;
            }
            if !std::mem::replace(&mut is_said, true) {
                self.interact
                    .notice("Another authctl has the answer; waiting for what comes of it.");
            }
            thread::sleep(PAUSE);
        }
    }

    /// Says what came of the flows that a login here began, once the credential has its place.
    pub(super) fn settle_begun(&self, name: &Name, began_at: Timestamp, ended: Ended) {
        for entry in self.store.pending_entries(name) {
            if entry.started_at >= began_at && entry.answered_at.is_some() {
                self.store.settle_pending(&entry.flow, ended);
            }
        }
    }

    /// Says why a flow failed. One for which nobody came can still be finished, and so can one whose code
    /// never left this machine. Of a success nobody should hear before it is saved.
    pub(super) fn settle(
        &self,
        name: &Name,
        record: &PendingRecord,
        answer: Result<TokenAnswer, grant::Error>,
    ) -> Result<TokenAnswer, Failure> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error @ grant::Error::TimedOut { .. }) => Err(error.into()),
            Err(source) if was_not_sent(record, &source) => {
                self.store.save_pending(record)?;
                Err(Failure::Login(Error::NotSent { name: name.clone(), source }))
            }
            Err(error) => {
                self.store.settle_pending(&record.flow, ended_grant(&error));
                Err(error.into())
            }
        }
    }
}

/// Whether a code is as good as before.
fn was_not_sent(record: &PendingRecord, error: &grant::Error) -> bool {
    let is_code = record.binding.grant == Grant::AuthorizationCode;
    is_code
        && matches!(error, grant::Error::Oauth(oauth::Error::Http(error)) if !error.may_have_reached())
}

/// `--browser`.
fn is_by_browser(wish: &Wish<'_>) -> bool {
    wish.method == Method::Grant(Grant::AuthorizationCode)
}

fn later(name: &Name, expires_at: Timestamp) -> String {
    let until = expires_at.strftime("%H:%M UTC");
    format!("authctl login {name} --resume can finish it until {until}")
}

fn awaited_redirect(asked: &AuthorizationRequest) -> Awaited {
    Awaited::Redirect {
        url: Secret::new(asked.url.as_str()),
        state: asked.state.clone(),
        code_verifier: asked.code_verifier.clone(),
        redirect_uri: asked.redirect_uri.clone(),
    }
}

fn awaited_confirmation(device: &DeviceAuthorization) -> Awaited {
    Awaited::Confirmation {
        device_code: device.device_code.clone(),
        user_code: device.user_code.clone(),
        verification_uri: device.verification_uri.clone(),
        verification_uri_complete: device.verification_uri_complete.clone(),
        interval: device.interval.as_secs(),
    }
}
