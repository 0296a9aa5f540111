//! From a refusal to an answer: one refresh where a credential is rejected, one sign-in where one is missing or
//! too narrow, a link for the person where the server wants that (`follow`); then once more, and after that no more.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::attempts::MOST_UPGRADES;
use super::offer::{self, Asking, Input};
use super::session::{Session, is_listening};
use super::sign_in::{State, Until};
use super::{Failure, modern};
use crate::forward::{Bring, SignInWish, Standing};
use crate::http::Answer;
use crate::jsonrpc::{METHOD_NOT_FOUND, Message};
use crate::login_signal::{Demand, Refresh, Signal, of_answer, of_message};
use crate::text::clean;

/// How long the address of a sign-in may take: discovery and registration.
const ADDRESS_WAIT: Duration = Duration::from_secs(30);

/// What was tried for one request.
#[derive(Default)]
pub(super) struct Tried {
    renewed: bool,
    /// Sign-ins of the session before the request was sent.
    sign_ins: u64,
    /// Answers that the broker had had before.
    answered: u64,
    signed_in: bool,
    /// The server may have moved to another authorization server.
    moved: bool,
    scopes: BTreeSet<Vec<String>>,
    pub followed: usize,
    /// When the call was repeated for a link first.
    pub followed_since: Option<Instant>,
    /// What the person said to a link of the server's that the host showed.
    pub agreed: Option<bool>,
    /// Links that this request waits for.
    pub links: RefCell<Vec<Rc<OnceCell<bool>>>>,
    /// Elicitations that end with this request.
    pub shown: RefCell<Vec<String>>,
}

/// What comes next.
pub(super) enum Next {
    /// The server's own word stands.
    Pass,
    Again,
    Instead(Result<Message, Failure>),
}

pub(super) type Outcome = Result<Message, Failure>;

impl Session {
    /// The response to a request of the host.
    pub(super) async fn settle(self: &Rc<Self>, request: Message) -> Outcome {
        if let Some(refusal) = self.settings.filter.refusal(&request) {
            return Ok(refusal);
        }
        if offer::calls_tool(&request) && self.sign_in.state() != State::Settled {
            return self.authorize(&request).await;
        }
        let is_waiting = self.sign_in.state() != State::Settled || is_of_neither_era(&request);
        if is_waiting && let Some(done) = self.courtesy(&request) {
            return Ok(done);
        }
        let mut tried = Tried::default();
        let request = match offer::repeated(&request) {
            Some((_, Input::SignIn, false)) => {
                return self.unsettled(&request, "the sign-in was declined");
            }
            Some((request, Input::SignIn, true)) => {
                self.sign_in.wait(Until::Over, self.settings.call_patience).await;
                request
            }
            Some((request, Input::Page, agreed)) => {
                tried.agreed = Some(agreed);
                request
            }
            None => request,
        };
        let outcome = self.try_on(&request, &mut tried).await;
        for name in tried.shown.take() {
            self.host.send(offer::elicitation_complete(&name));
        }
        outcome
    }

    async fn try_on(self: &Rc<Self>, request: &Message, tried: &mut Tried) -> Outcome {
        loop {
            tried.sign_ins = self.attempts.sign_ins();
            tried.answered = self.link.broker().answered();
            let outcome = self.ask(request).await;
            match self.next(&outcome, request, tried).await {
                Next::Pass => return self.completed(outcome, request),
                Next::Again => {}
                Next::Instead(other) => return other,
            }
        }
    }

    async fn next(
        self: &Rc<Self>,
        outcome: &Outcome,
        request: &Message,
        tried: &mut Tried,
    ) -> Next {
        let refusal = match outcome {
            Err(Failure::Refused(refusal)) => Some(refusal.answer.clone()),
            _ => None,
        };
        if let Err(Failure::Trouble(why)) = outcome {
            return Next::Instead(self.troubled(request, why));
        }
        match self.signal(outcome) {
            Signal::Nothing => {
                if outcome.is_ok() {
                    self.attempts.succeeded(request);
                }
                Next::Pass
            }
            Signal::Hint(said) => {
                let said = self.link.broker().concealed(&said);
                self.settings.interact.notice(&format!("{} says: {said}", self.link.title()));
                Next::Pass
            }
            // It was sent before somebody signed in.
            Signal::Missing(_) | Signal::Rejected(..) | Signal::ScopeNeeded(_)
                if self.attempts.sign_ins() != tried.sign_ins =>
            {
                Next::Again
            }
            Signal::Missing(demand) => self.sign_in_once(refusal, &demand, request, tried).await,
            Signal::Rejected(demand, refresh) => {
                self.rejected(refusal, &demand, refresh, request, tried).await
            }
            Signal::ScopeNeeded(demand) => self.step_up(refusal, demand, request, tried).await,
            Signal::Follow(links) => self.follow(outcome, &links, request, tried).await,
        }
    }

    fn signal(&self, outcome: &Outcome) -> Signal {
        let server = self.link.url();
        match outcome {
            Err(Failure::Refused(refusal)) => {
                let answer = &refusal.answer;
                let (status, presented) = (answer.status, refusal.presented);
                of_answer(status, &answer.headers, &answer.body, server, presented)
            }
            Ok(message) | Err(Failure::Error(message)) => {
                match of_message(message.text().as_bytes(), server) {
                    Signal::Missing(demand) if self.link.broker().holds() => {
                        Signal::Rejected(demand, Refresh::Once)
                    }
                    other => other,
                }
            }
            Err(Failure::SignedOut) => Signal::Missing(Demand::default()),
            Err(_) => Signal::Nothing,
        }
    }

    /// Where nothing was presented.
    async fn sign_in_once(
        self: &Rc<Self>,
        refusal: Option<Arc<Answer>>,
        demand: &Demand,
        request: &Message,
        tried: &mut Tried,
    ) -> Next {
        let broker = self.link.broker();
        if let Some(trouble) = broker.trouble() {
            // That of an earlier request may be over.
            let is_own = broker.answered() != tried.answered;
            match if is_own { Err(trouble) } else { broker.instead_of(None).await } {
                Ok(Some(_)) => return Next::Again,
                Ok(None) => {}
                Err(trouble) => return Next::Instead(self.troubled(request, &trouble.0)),
            }
        }
        if std::mem::replace(&mut tried.signed_in, true) || broker.holds_vain().await {
            return self.give_up(refusal, demand, request).await;
        }
        self.sign_in_for(refusal, false, demand, request).await
    }

    /// Where the credential that was presented is refused: at most one refresh, and for a sign-in that has
    /// ended, or was made elsewhere, one more.
    async fn rejected(
        self: &Rc<Self>,
        refusal: Option<Arc<Answer>>,
        demand: &Demand,
        refresh: Refresh,
        request: &Message,
        tried: &mut Tried,
    ) -> Next {
        let broker = self.link.broker();
        // Over HTTP that was tried before the refusal came here.
        if refusal.is_none()
            && refresh == Refresh::Once
            && !std::mem::replace(&mut tried.renewed, true)
        {
            match broker.other_than_held().await {
                Ok(true) => return Next::Again,
                Ok(false) => {}
                Err(trouble) => return Next::Instead(self.troubled(request, &trouble.0)),
            }
        }
        match broker.standing().await {
            Standing::Key => self.give_up(refusal, demand, request).await,
            Standing::Token { .. } if refresh == Refresh::Never => {
                self.give_up(refusal, demand, request).await
            }
            // A new token is refused: only that another server gives them now would explain it.
            Standing::Token { is_renewable: true } => {
                self.sign_in_elsewhere(refusal, demand, request, tried).await
            }
            Standing::Token { .. } if tried.signed_in || self.attempts.is_vain(request) => {
                self.sign_in_elsewhere(refusal, demand, request, tried).await
            }
            Standing::Nobody | Standing::Token { .. } => {
                self.sign_in_once(refusal, demand, request, tried).await
            }
        }
    }

    async fn sign_in_elsewhere(
        self: &Rc<Self>,
        refusal: Option<Arc<Answer>>,
        demand: &Demand,
        request: &Message,
        tried: &mut Tried,
    ) -> Next {
        let is_tried = std::mem::replace(&mut tried.moved, true);
        if refusal.is_none()
            || is_tried
            || self.attempts.moves_again()
            || self.link.broker().holds_vain().await
        {
            return self.give_up(refusal, demand, request).await;
        }
        match self.sign_in_for(refusal.clone(), true, demand, request).await {
            Next::Again => Next::Again,
            _ => self.give_up(refusal, demand, request).await,
        }
    }

    /// RFC 6750 §3.1 `insufficient_scope`: the same scopes are asked for once.
    async fn step_up(
        self: &Rc<Self>,
        refusal: Option<Arc<Answer>>,
        demand: Demand,
        request: &Message,
        tried: &mut Tried,
    ) -> Next {
        let mut scopes = demand.scopes.clone();
        scopes.sort_unstable();
        if !tried.scopes.insert(scopes.clone()) {
            self.refused_scopes.borrow_mut().insert(scopes.clone());
        }
        let is_refused = self.refused_scopes.borrow().contains(&scopes);
        if is_refused || tried.scopes.len() > MOST_UPGRADES || !self.attempts.may_upgrade(request) {
            return self.give_up_scopes(refusal, &demand, request).await;
        }
        if !self.sign_in.is_pending() {
            self.attempts.upgrade(request);
        }
        self.sign_in_for(refusal, false, &demand, request).await
    }

    /// The server's own refusal stands, if it has words that a host knows; the person hears what there is to do.
    async fn give_up(
        &self,
        refusal: Option<Arc<Answer>>,
        demand: &Demand,
        request: &Message,
    ) -> Next {
        self.link.broker().note_vain().await;
        let title = self.link.title();
        let said = demand.said.as_ref().map_or(String::new(), |said| format!(" ({said})"));
        let login = self.link.login_name();
        let line =
            format!("{title} still refuses the sign-in{said}; another one: authctl login {login}");
        self.stand(refusal, &line, request)
    }

    /// The same for scopes that no sign-in has brought.
    async fn give_up_scopes(
        &self,
        refusal: Option<Arc<Answer>>,
        demand: &Demand,
        request: &Message,
    ) -> Next {
        self.link.broker().note_vain().await;
        let (title, login) = (self.link.title(), self.link.login_name());
        let scopes = clean(&demand.scopes.join(" "));
        let option = match scopes.as_str() {
            scopes if scopes.is_empty() || scopes.contains('\'') => String::new(),
            scopes => format!(" --scope '{scopes}'"),
        };
        let line = format!(
            "{title} still refuses the sign-in, which lacks a scope ({scopes}); another one: authctl login {login}{option}"
        );
        self.stand(refusal, &line, request)
    }

    fn stand(&self, refusal: Option<Arc<Answer>>, line: &str, request: &Message) -> Next {
        let line = self.link.broker().concealed(line);
        self.warn_once(&line);
        let Some(answer) = refusal else { return Next::Pass };
        let own = Message::read(String::from_utf8_lossy(&answer.body));
        let advised = own.ok().filter(Message::is_error).and_then(|own| advised(&own, &line));
        Next::Instead(match advised {
            Some(error) if offer::greeting_signed_out(request, &self.link.title()).is_none() => {
                Err(Failure::Error(error))
            }
            _ => self.troubled(request, &line),
        })
    }

    /// The credential cannot be had for now: a host that is just greeting is greeted, so that it stays.
    pub(super) fn troubled(&self, request: &Message, why: &str) -> Outcome {
        self.has_stand_in.set(true);
        if let Some(greeting) = offer::greeting_signed_out(request, &self.link.title()) {
            self.has_own_greeting.set(true);
            return Ok(greeting);
        }
        let result = (request.method() == Some("tools/call"))
            .then(|| offer::tool_result(request, why, true))
            .flatten();
        result.ok_or_else(|| Failure::Trouble(why.to_owned()))
    }

    /// Begins a sign-in, and waits for it as long as this request can. One that fails leaves the server's words.
    async fn sign_in_for(
        self: &Rc<Self>,
        refusal: Option<Arc<Answer>>,
        only_elsewhere: bool,
        demand: &Demand,
        request: &Message,
    ) -> Next {
        if let Some(done) = self.courtesy(request) {
            return Next::Instead(Ok(done));
        }
        let asking = self.asking(Some(request));
        let bring = if asking == Asking::Tool { self.settings.bring } else { Bring::Shown };
        self.sign_in.begin(SignInWish { refusal, bring, only_elsewhere });
        if let Some(greeting) = offer::greeting_signed_out(request, &self.link.title()) {
            self.has_stand_in.set(true);
            self.has_own_greeting.set(true);
            return Next::Instead(Ok(greeting));
        }
        let (until, patience) = match asking {
            Asking::Result => (Until::Address, ADDRESS_WAIT),
            Asking::Request => (Until::Over, self.patience(request)),
            Asking::Tool => (Until::OverOrUnopened, self.patience(request)),
        };
        match self.sign_in.wait(until, patience).await {
            State::Settled => {
                self.attempts.signed_in_for(request);
                Next::Again
            }
            State::Failed(why) => {
                let said = demand.said.as_ref().map(|said| self.link.broker().concealed(said));
                let said = said.map_or(String::new(), |said| format!("{said}\n"));
                Next::Instead(self.unsettled(request, &format!("{said}{why}")))
            }
            State::Pending(address) => {
                let text = self.sign_in_text();
                let asked = address.filter(|_| asking == Asking::Result).and_then(|address| {
                    offer::input_required(request, Input::SignIn, &text, &address.url)
                });
                Next::Instead(asked.map_or_else(|| self.unsettled(request, &text), Ok))
            }
        }
    }

    fn patience(&self, request: &Message) -> Duration {
        match request.method() {
            _ if is_listening(request) => Duration::from_hours(7 * 24),
            Some(method) if method.ends_with("/list") => self.settings.list_patience,
            _ => self.settings.call_patience,
        }
    }

    /// What a request gets that could not wait any longer.
    fn unsettled(&self, request: &Message, why: &str) -> Outcome {
        if let Some(list) = offer::list(request, &self.link.title()) {
            self.has_stand_in.set(true);
            return Ok(list);
        }
        if request.method() == Some("tools/call") {
            self.has_stand_in.set(true);
            return offer::tool_result(request, why, true).ok_or_else(|| Failure::failed(why));
        }
        Err(Failure::failed(why))
    }

    fn sign_in_text(&self) -> String {
        let title = self.link.title();
        match self.sign_in.state() {
            State::Pending(Some(address)) => format!(
                "Sign in to {title} first: open {} in a browser. Then try again.",
                address.url
            ),
            State::Failed(why) => format!("The sign-in to {title} failed: {why}"),
            _ => format!(
                "Sign in to {title} first, then try again: authctl login {}",
                self.link.login_name()
            ),
        }
    }

    /// The tool that gives the link.
    async fn authorize(self: &Rc<Self>, request: &Message) -> Outcome {
        self.sign_in.resume();
        self.sign_in.begin(SignInWish {
            refusal: None,
            bring: Bring::Shown,
            only_elsewhere: false,
        });
        let state = self.sign_in.wait(Until::Address, ADDRESS_WAIT).await;
        let (text, is_error) = match state {
            State::Settled => (format!("Signed in to {}.", self.link.title()), false),
            State::Failed(_) => (self.sign_in_text(), true),
            State::Pending(_) => (self.sign_in_text(), false),
        };
        self.has_stand_in.set(true);
        offer::tool_result(request, &text, is_error).ok_or_else(|| Failure::failed(text))
    }

    /// What the host gets of the server's word.
    fn completed(&self, outcome: Outcome, request: &Message) -> Outcome {
        let response = match outcome? {
            // What the own greeting promised is there, if only empty.
            unknown if self.has_own_greeting.get() && is_unknown_method(&unknown) => {
                offer::list(request, &self.link.title()).unwrap_or(unknown)
            }
            response => response,
        };
        if self.sign_in.state() == State::Settled {
            self.stand_in_ends();
        }
        if request.method() != Some("tools/list") {
            return Ok(response);
        }
        let response = self.settings.filter.listed(response);
        if self.wants_sign_in()
            && let Some(listed) = offer::with_tool(&response, &self.link.title())
        {
            self.has_stand_in.set(true);
            return Ok(listed);
        }
        Ok(response)
    }

    /// Whether the person is still wanted. A credential may be there a moment before the sign-in that brought
    /// it says that it is over.
    fn wants_sign_in(&self) -> bool {
        match self.sign_in.state() {
            State::Settled => false,
            State::Pending(_) => !self.link.broker().holds(),
            State::Failed(_) => true,
        }
    }
}

/// An error of the server's, which says as well what there is to do.
fn advised(error: &Message, line: &str) -> Option<Message> {
    let mut value = error.to_value();
    let said = clean(value["error"]["message"].as_str().unwrap_or_default());
    value["error"]["message"] = format!("{said}; {line}").into();
    Message::read(value.to_string()).ok()
}

/// Asks whether anybody is there, and needs nobody else for that.
fn is_of_neither_era(request: &Message) -> bool {
    request.method() == Some("ping") && !modern::is_modern(request)
}

fn is_unknown_method(response: &Message) -> bool {
    response.is_error() && response.member("error")["code"] == METHOD_NOT_FOUND
}
