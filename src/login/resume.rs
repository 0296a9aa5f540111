//! Finishing a login that waits for its answer: the pasted redirect, or the confirmation of a device
//! code, in whatever process comes later. Which flow is meant is decided by the state of the redirect; a
//! code alone only by being the answer to the one flow that waits.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Read};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::pending::Failure;
use super::{Error, Login, Outcome};
use crate::config::Provider;
use crate::credential::{Credential, Grant, Name, Tokens};
use crate::grant::{self, Request, Server, Waiting};
use crate::http::{host_of, parse_url};
use crate::oauth::{
    self, Client, DeviceAuthorization, Dpop, DpopKey, Expected, PasteError, RedirectError,
    TokenAnswer,
};
use crate::secret::{MAX_TOKEN, Secret};
use crate::signals;
use crate::store::{Awaited, Ended, Key, PendingEntry, PendingRecord, WRITE_WAIT};
use crate::text::clean;

/// Longest line read: an address around the longest code.
const LONGEST: usize = MAX_TOKEN + 4096;

/// How long standard input is waited for that nothing here asks for.
const UNASKED: Duration = Duration::from_secs(2);

/// Where the answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The question at the terminal.
    Asked,
    /// One line of standard input.
    Piped,
}

/// Why a login cannot be finished.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    #[error("none waits for an answer")]
    NoneWaits,
    #[error("it was begun at {begun_at} and had to be finished by {expired_at}")]
    Expired { begun_at: Timestamp, expired_at: Timestamp },
    #[error("its answer was used already, and the sign-in {}", came_to(*.0))]
    Used(Ended),
    /// With the flow; what comes of it is not known yet.
    #[error("another authctl has its answer")]
    Taken(String),
    #[error("its answer was used already, by an authctl that was cut off before it was done")]
    CutOff,
    /// The state is that of a login under another name.
    #[error("that redirect belongs to a sign-in to {0}")]
    Other(Name),
    #[error(
        "{0} of its sign-ins wait, and a code alone does not say which is meant; the whole address does"
    )]
    Several(usize),
    #[error("nothing came on standard input; the address where the browser ended is read from it")]
    NothingPiped,
    #[error("cannot read standard input: {0}")]
    Stdin(io::Error),
    #[error("no answer came in time")]
    NoAnswer,
    #[error("{0}")]
    Paste(PasteError),
}

fn came_to(ended: Ended) -> &'static str {
    match ended {
        Ended::SignedIn => "succeeded",
        Ended::Denied => "was declined",
        Ended::Unanswered | Ended::Failed => "failed",
    }
}

impl Why {
    /// Whether only a new login helps.
    pub fn is_over(&self) -> bool {
        matches!(self, Why::NoneWaits | Why::Expired { .. } | Why::NoAnswer | Why::CutOff)
    }

    /// A slip of whoever pasted, who may try again.
    fn is_slip(&self) -> bool {
        matches!(self, Why::Used(_) | Why::Other(_) | Why::Several(_) | Why::Paste(_))
    }
}

impl Login<'_> {
    /// Finishes a login to `name` that waits for its answer.
    pub fn resume(
        &self,
        name: &Name,
        provider: &Provider,
        answer: Answer,
    ) -> Result<Outcome, Error> {
        let asked_at = (self.clock)();
        let outcome = self.resume_newest(name, provider, answer, asked_at);
        self.or_adopted(name, asked_at, outcome)
    }

    /// Waits for another process that has the answer to this login, and takes its success over.
    fn or_adopted(
        &self,
        name: &Name,
        asked_at: Timestamp,
        outcome: Result<Outcome, Error>,
    ) -> Result<Outcome, Error> {
        let Err(Error::Resume { why: Why::Taken(flow), .. }) = &outcome else { return outcome };
        // Under this lock it is written down who has it.
        drop(self.store.lock(&Key::Pending(flow), WRITE_WAIT)?);
        let ended = self.came_to(flow);
        if ended == Some(Ended::SignedIn)
            && let Some(adopted) = self.adopt_newer(name, asked_at)?
        {
            return Ok(adopted);
        }
        Err(no(name, ended.map_or(Why::CutOff, Why::Used)))
    }

    fn resume_newest(
        &self,
        name: &Name,
        provider: &Provider,
        answer: Answer,
        now: Timestamp,
    ) -> Result<Outcome, Error> {
        self.store.forget_expired(now);
        let entries = self.store.pending_entries(name);
        let live: Vec<&PendingEntry> = entries.iter().filter(|entry| entry.is_live(now)).collect();
        let Some(newest) = live.first() else {
            if let Some(owner) = self.other_owner(answer, now) {
                return Err(no(name, Why::Other(owner)));
            }
            return Err(no(name, entries.first().map_or(Why::NoneWaits, |entry| gone(entry, now))));
        };
        let device = live.iter().find(|entry| is_device(entry));
        let has_redirect = live.iter().any(|entry| !is_device(entry));
        match answer {
            // The newest counts, unless something is piped in.
            Answer::Asked if is_device(newest) => self.resume_device(name, provider, &newest.flow),
            Answer::Asked => self.resume_asking(name, provider, &live),
            Answer::Piped => match (piped(has_redirect, time_left(&live, now)), device) {
                (Ok(text), _) => self.resume_with(name, provider, &live, &text),
                (Err(Why::NothingPiped), Some(device)) => {
                    self.resume_device(name, provider, &device.flow)
                }
                (Err(why), _) => Err(no(name, why)),
            },
        }
    }

    /// Whose login a piped redirect finishes, where only others wait. No answer may be on its way.
    fn other_owner(&self, answer: Answer, now: Timestamp) -> Option<Name> {
        let is_wanted = answer == Answer::Piped && !self.store.newest_pending(now).is_empty();
        let text = piped(is_wanted, UNASKED).ok()?;
        let flow = crate::store::flow_of(&oauth::pasted_state(text.expose())?);
        self.store.pending_entry(&flow).filter(|entry| entry.is_live(now))?.name()
    }

    // -------------------------------------------------------------------------------- redirects

    /// Asks until the answer is one; slips are said, and end nothing.
    fn resume_asking(
        &self,
        name: &Name,
        provider: &Provider,
        live: &[&PendingEntry],
    ) -> Result<Outcome, Error> {
        self.show_address_of(live)?;
        let asked_at = (self.clock)();
        loop {
            let text = self.ask_for_answer(name, time_left(live, (self.clock)()))?;
            let outcome = self.resume_with(name, provider, live, &text);
            match self.or_adopted(name, asked_at, outcome) {
                Err(Error::Resume { why: Why::Paste(PasteError::Empty), .. }) => {}
                Err(Error::Resume { why, .. }) if why.is_slip() => {
                    self.interact.warn(&format!("{why}. The sign-in still waits."));
                }
                result => return result,
            }
        }
    }

    fn ask_for_answer(&self, name: &Name, most: Duration) -> Result<Secret, Error> {
        let mut question = self.interact.ask_meanwhile("Address or code (not shown)")?;
        let typed = grant::typed_line(question.as_mut());
        let line = self.http.block_on(async { tokio::time::timeout(most, typed).await });
        Ok(line.map_err(|_| no(name, Why::NoAnswer))??)
    }

    /// What is to be opened, for whoever has lost the first command's output: of the newest one.
    fn show_address_of(&self, live: &[&PendingEntry]) -> Result<(), Error> {
        let Some(newest) = live.iter().find(|entry| !is_device(entry)) else { return Ok(()) };
        let record = self.store.load_pending(&newest.flow)?;
        if let Some(record) = record
            && let Awaited::Redirect { url, redirect_uri, .. } = &record.awaited
            && let Ok(url) = parse_url(url.expose())
        {
            match record.url_expires_at.filter(|end| *end <= (self.clock)()) {
                Some(end) => self.interact.show(&format!(
                    "The address to open was good until {}; where it was opened in time, the sign-in \
                     can still be finished. Otherwise begin anew: authctl login {}",
                    end.strftime("%H:%M:%S UTC"),
                    record.shown_name()
                )),
                None => grant::show_address(self.interact, &url, grant::ANYWHERE),
            }
            self.interact.show(&format!(
                "The browser ends at an address that begins with {redirect_uri}; paste that address here."
            ));
        }
        Ok(())
    }

    /// Finishes the flow to which `text` is the answer.
    fn resume_with(
        &self,
        name: &Name,
        provider: &Provider,
        live: &[&PendingEntry],
        text: &Secret,
    ) -> Result<Outcome, Error> {
        let flow = self.flow_of_answer(name, live, text)?;
        let record = self.record(name, &flow)?;
        let Awaited::Redirect { state, redirect_uri, code_verifier, .. } = &record.awaited else {
            return Err(no(name, Why::Paste(RedirectError::ForeignState.into())));
        };
        let expected = Expected {
            state,
            redirect_uri,
            issuer: record.binding.issuer.as_deref(),
            iss_required: record.iss_required,
            code_alone: record.pkce_checked,
        };
        let code = match oauth::read_pasted(text.expose(), &expected) {
            Ok(code) => Ok(code),
            Err(PasteError::Redirect(answer))
                if PasteError::Redirect(answer.clone()).is_answer() =>
            {
                Err(answer)
            }
            Err(slip) => return Err(no(name, Why::Paste(slip))),
        };
        let asker = Asker::of(name, &record, provider)?;
        self.claim(name, &flow)?;
        record.binding.confine(self.http);
        let request = &asker.request(&record);
        let answer = match code {
            Ok(code) => {
                let exchange =
                    grant::exchange(self.http, request, redirect_uri, code_verifier, &code);
                self.http.block_on(exchange)
            }
            Err(reason) => Err(grant::refused(host(&record), reason)),
        };
        self.finish(name, &record, answer)
    }

    /// The flow that is meant: that of the state, or the only one that waits for a code.
    fn flow_of_answer(
        &self,
        name: &Name,
        live: &[&PendingEntry],
        text: &Secret,
    ) -> Result<String, Error> {
        if let Some(state) = oauth::pasted_state(text.expose()) {
            return Ok(crate::store::flow_of(&state));
        }
        let mut redirects = live.iter().filter(|entry| !is_device(entry));
        match (redirects.next(), redirects.count()) {
            (Some(only), 0) => Ok(only.flow.clone()),
            (Some(_), others) => Err(no(name, Why::Several(others + 1))),
            (None, _) => {
                let newest = self.store.pending_entries(name).into_iter().next();
                Err(no(name, newest.map_or(Why::NoneWaits, |entry| gone(&entry, (self.clock)()))))
            }
        }
    }

    /// The record of a flow, if it can be finished under this name.
    fn record(&self, name: &Name, flow: &str) -> Result<PendingRecord, Error> {
        let entry = self.store.pending_entry(flow);
        let Some(record) = self.store.load_pending(flow)? else {
            let why = match entry {
                Some(entry) if entry.name().as_ref() == Some(name) => gone(&entry, (self.clock)()),
                _ => Why::Paste(RedirectError::ForeignState.into()),
            };
            return Err(no(name, why));
        };
        match record.name() {
            Ok(owner) if owner == *name => {}
            Ok(owner) => return Err(no(name, Why::Other(owner))),
            Err(_) => return Err(no(name, Why::NoneWaits)),
        }
        if record.expires_at <= (self.clock)() {
            let (begun_at, expired_at) = (record.started_at, record.expires_at);
            return Err(no(name, Why::Expired { begun_at, expired_at }));
        }
        Ok(record)
    }

    /// Takes the flow for this process: whoever comes second is told so.
    fn claim(&self, name: &Name, flow: &str) -> Result<(), Error> {
        self.store.prove_writable()?; // or the answer would be spent for nothing
        if self.store.claim_pending(flow, (self.clock)())? {
            return Ok(());
        }
        Err(no(name, Why::Taken(flow.to_owned())))
    }

    // ---------------------------------------------------------------------------------- devices

    fn resume_device(
        &self,
        name: &Name,
        provider: &Provider,
        flow: &str,
    ) -> Result<Outcome, Error> {
        let record = self.record(name, flow)?;
        let device = device(&record, (self.clock)())
            .ok_or_else(|| no(name, Why::Paste(RedirectError::ForeignState.into())))?;
        self.store.prove_writable()?;
        record.binding.confine(self.http);
        let failed = |source| Error::Grant { name: name.clone(), source };
        grant::show_code(self.interact, &device).map_err(failed)?;
        let ended = || self.store.pending_entry(flow).and_then(|entry| entry.ended);
        let waiting = Waiting {
            most: device.expires_in,
            is_shared: true,
            is_called_off: &|| ended().is_some(),
            claim: &|| self.store.claim_pending(flow, (self.clock)()).unwrap_or_default(),
        };
        let asker = Asker::of(name, &record, provider)?;
        let request = &asker.request(&record);
        let poll = grant::device_code(self.http, self.interact, request, &device, &waiting);
        let answer = self.http.block_on(poll);
        if matches!(answer, Err(grant::Error::CalledOff)) {
            return Err(no(name, Why::Taken(flow.to_owned())));
        }
        self.finish(name, &record, answer)
    }

    // -------------------------------------------------------------------------------------- end

    fn finish(
        &self,
        name: &Name,
        record: &PendingRecord,
        answer: Result<TokenAnswer, grant::Error>,
    ) -> Result<Outcome, Error> {
        let mut answer = self.settle(name, record, answer).map_err(|failure| match failure {
            Failure::Login(error) => error,
            Failure::Grant(source) => Error::Grant { name: name.clone(), source },
        })?;
        if !record.keep_id_token {
            answer.id_token = None;
        }
        let tokens = Tokens::from_answer(answer, (self.clock)(), None);
        let tokens = match &record.dpop {
            Some(kept) => tokens.bound_to(kept.key.clone()),
            None => tokens,
        };
        let credential = Credential::OAuth { tokens, binding: record.binding.clone() };
        let outcome = self.save_or_give_back(name, credential);
        let ended = if outcome.is_ok() { Ended::SignedIn } else { Ended::Failed };
        self.store.settle_pending(&record.flow, ended);
        if let Some(client) = &record.new_client {
            self.remember(client)?;
        }
        outcome
    }
}

fn is_device(entry: &PendingEntry) -> bool {
    entry.grant == Grant::DeviceCode
}

fn no(name: &Name, why: Why) -> Error {
    Error::Resume { name: name.clone(), why }
}

/// Why a flow that is known has no answer to wait for.
fn gone(entry: &PendingEntry, now: Timestamp) -> Why {
    match entry.answered_at {
        None if entry.expires_at <= now => {
            Why::Expired { begun_at: entry.started_at, expired_at: entry.expires_at }
        }
        // Forgotten by a logout.
        None if entry.ended.is_some() => Why::NoneWaits,
        // Taken by another process, perhaps a moment ago.
        _ => Why::Taken(entry.flow.clone()),
    }
}

/// Who we are at the token endpoint, with the keys that prove it.
struct Asker {
    server: Server,
    client: Client,
    dpop_key: Option<DpopKey>,
    no_parameters: BTreeMap<String, String>,
}

impl Asker {
    /// A key that cannot be read is found out before the flow is spent.
    fn of(name: &Name, record: &PendingRecord, provider: &Provider) -> Result<Self, Error> {
        let failed = |source| Error::Grant { name: name.clone(), source };
        let binding = &record.binding;
        let issuer = binding.issuer.as_deref();
        let client = match provider.schemes.iter().find_map(|scheme| scheme.oauth.as_ref()) {
            Some(oauth) => grant::with_key(&binding.client, oauth, issuer, &binding.token_endpoint),
            None => Ok(binding.client.clone()),
        };
        let unfit = |source| grant::Error::ClientKey { place: "the store".to_owned(), source };
        let dpop_key = record.dpop.as_ref().map(|kept| DpopKey::read(&kept.key)).transpose();
        Ok(Self {
            server: Server {
                issuer: binding.issuer.clone(),
                authorization_endpoint: None,
                token_endpoint: binding.token_endpoint.clone(),
                device_authorization_endpoint: None,
                pushed_authorization_request_endpoint: None,
                pushes: false,
                iss_required: record.iss_required,
            },
            client: client.map_err(failed)?,
            dpop_key: dpop_key.map_err(unfit).map_err(failed)?,
            no_parameters: BTreeMap::new(),
        })
    }

    /// The request that is being answered, as far as the token endpoint has to know it.
    fn request<'a>(&'a self, record: &'a PendingRecord) -> Request<'a> {
        let required = record.dpop.as_ref().is_some_and(|kept| kept.required);
        Request {
            server: &self.server,
            client: &self.client,
            scopes: &[],
            resource: record.binding.resource.as_deref(),
            parameters: &self.no_parameters,
            dpop: self.dpop_key.as_ref().map(|key| Dpop { key, required }),
        }
    }
}

/// The code as far as it still lives.
fn device(record: &PendingRecord, now: Timestamp) -> Option<DeviceAuthorization> {
    let Awaited::Confirmation {
        device_code,
        user_code,
        verification_uri,
        verification_uri_complete,
        interval,
    } = &record.awaited
    else {
        return None;
    };
    Some(DeviceAuthorization {
        device_code: device_code.clone(),
        user_code: user_code.clone(),
        verification_uri: verification_uri.clone(),
        verification_uri_complete: verification_uri_complete.clone(),
        expires_in: Duration::try_from(record.expires_at.duration_since(now)).ok()?,
        interval: Duration::from_secs(*interval),
    })
}

/// The host at which the person signed in.
fn host(record: &PendingRecord) -> String {
    let Awaited::Redirect { url, .. } = &record.awaited else { return String::new() };
    parse_url(url.expose())
        .map_or_else(|_| clean(&record.binding.token_endpoint), |url| host_of(&url))
}

fn time_left(live: &[&PendingEntry], now: Timestamp) -> Duration {
    let last = live.iter().map(|entry| entry.expires_at).max().unwrap_or(now);
    Duration::try_from(last.duration_since(now)).unwrap_or_default()
}

/// One line of standard input, where there is a login that could use it. Whoever keeps the pipe open
/// without a word is not waited for longer than that.
fn piped(is_wanted: bool, most: Duration) -> Result<Secret, Why> {
    if !is_wanted || io::stdin().is_terminal() {
        return Err(Why::NothingPiped);
    }
    let (sender, line) = mpsc::channel();
    thread::spawn(move || {
        signals::leave_to_main_thread();
        // The buffer has its full size from the beginning: growing would leave copies behind.
        let mut line = zeroize::Zeroizing::new(String::with_capacity(LONGEST + 1));
        let read = io::stdin().lock().take(LONGEST as u64).read_line(&mut line);
        let _ = sender.send(read.map(|_| Secret::new(line.trim())));
    });
    match line.recv_timeout(most) {
        Ok(Ok(line)) if !line.expose().is_empty() => Ok(line),
        Ok(Ok(_)) => Err(Why::NothingPiped),
        Ok(Err(error)) => Err(Why::Stdin(error)),
        Err(_) => Err(Why::NoAnswer),
    }
}
