//! Browser, then poll: a session is started, the person goes to its page with any browser, and the server
//! is asked until it gives the key or says no.

use std::time::Duration;

use tokio::time::Instant;

use super::device_code::{Pace, Verdict};
use super::{Error, Opening, browser, host_of};
use crate::config::BrowserPoll;
use crate::http::Http;
use crate::interact::Interact;
use crate::oauth::{self, KeySession, Progress};
use crate::secret::Secret;

/// Gets a key from a session that is asked about for at most `wait`.
///
/// # Errors
/// `Denied`, `Expired`, `TimedOut`, `Oauth`: of failures that may pass only the last, at the end.
pub async fn browser_poll(
    http: &Http,
    interact: &dyn Interact,
    flow: &BrowserPoll,
    opening: Opening,
    wait: Duration,
) -> Result<Secret, Error> {
    let session = KeySession::start(http, &flow.start).await?;
    let url = session.page(&flow.page)?;
    browser::send_to(interact, &url, browser::ANYWHERE, opening);
    let ends = Instant::now() + wait;
    let host = || host_of(&flow.start);
    let mut pace = Pace::new(flow.interval);
    let mut outage = None;
    let mut is_ready = flow.ready.is_none();
    loop {
        if pace.pause() >= ends.saturating_duration_since(Instant::now()) {
            let minutes = wait.as_secs().div_ceil(60).max(1);
            return Err(outage.map_or(Error::TimedOut { minutes }, Error::Oauth));
        }
        tokio::time::sleep(pace.pause()).await;
        match ask(http, flow, &session, &mut is_ready).await {
            Ok(Progress::Key(key)) => return Ok(key),
            Ok(Progress::Denied) => return Err(Error::Denied { host: host(), description: None }),
            Ok(Progress::Expired) => return Err(Error::Expired { host: host() }),
            Ok(Progress::Pending | Progress::Ready) => {
                pace.answered();
                outage = None;
            }
            Err(error) => {
                let Verdict::Outage(retry_after) = Verdict::of(&error) else {
                    return Err(error.into());
                };
                if outage.is_none() {
                    interact.notice(&format!("{error}; trying again."));
                }
                pace.back_off(retry_after);
                outage = Some(error);
            }
        }
    }
}

/// One question: whether the person is done and, once they are, for the key.
async fn ask(
    http: &Http,
    flow: &BrowserPoll,
    session: &KeySession,
    is_ready: &mut bool,
) -> Result<Progress, oauth::Error> {
    let bearer = flow.bearer.as_deref();
    if let Some(ready) = flow.ready.as_ref().filter(|_| !*is_ready) {
        match session.ready(http, &ready.address, &ready.member, bearer).await? {
            Progress::Ready => *is_ready = true,
            other => return Ok(other),
        }
    }
    session.exchange(http, &flow.exchange, &flow.answer, bearer).await
}
