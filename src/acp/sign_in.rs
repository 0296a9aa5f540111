//! Signing in from inside the editor: by a link that it shows, by a browser where it asked for a sign-in itself,
//! else by a command that the person is told.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::MutexGuard;
use tokio::time::sleep;

use super::Relay;
use super::advertised::Kind;
use super::deliver::Standing;
use super::going::Going;
use super::handshake::{Face, OWN_METHOD, OWN_TERMINAL, Wanted};
use super::recovery::{cancelled, next_step, required};
use crate::forward::{Address, Bring};
use crate::jsonrpc::{INVALID_PARAMS, Id, Message};
use crate::text::clean;

/// Longer than a person takes who has begun.
const PATIENCE: Duration = Duration::from_mins(15);

impl Relay {
    /// What the editor is to see.
    pub(super) fn face(&self, is_served: bool) -> Face {
        let wanted = if self.is_own() { None } else { self.standings.first() };
        Face {
            is_served,
            wanted: wanted.map(|standing| Wanted {
                name: standing.grant().name.clone(),
                title: standing.grant().title.clone(),
            }),
            editor_can: self.editor_can.borrow().clone(),
            program: self.settings.command.program.to_string_lossy().into_owned(),
            typed: self.typed(),
            own_command: self.settings.own_command.clone(),
        }
    }

    fn typed(&self) -> Vec<String> {
        let arguments = self.settings.command.arguments.iter();
        arguments.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    /// Has the person sign in for the editor's request `id`. `is_asked`: that is what the request is about.
    pub(super) async fn sign_in(
        self: &Rc<Self>,
        standing: &Standing,
        id: &Id,
        is_asked: bool,
    ) -> Result<(), String> {
        let shows = self.editor_can.borrow().show_links;
        if !shows && !is_asked {
            return Err(next_step(standing));
        }
        let bring = if shows { Bring::Shown } else { Bring::Browser };
        let going = self.going(&standing.grant().name, bring);
        let outcome = tokio::select! {
            outcome = going.outcome() => outcome,
            why = self.show(standing, id, &going), if shows => Err(why),
            step = self.tell(standing, &going), if !shows => return Err(step),
            () = self.cancellation(id) => Err("it was cancelled".to_owned()),
            () = sleep(PATIENCE) => Err("nobody has signed in".to_owned()),
        };
        if shows && going.is_addressed() {
            let complete = json!({"elicitationId": elicitation(id)});
            self.to_editor(Message::notification("elicitation/complete", Some(&complete)));
        }
        outcome.map_err(|why| format!("{}; {}", clean(&why), next_step(standing)))?;
        standing.holds.set(true);
        standing.begin_anew();
        Ok(())
    }

    /// Shows the link, and comes back when the person says no.
    async fn show(&self, standing: &Standing, id: &Id, going: &Going) -> String {
        let address = going.address().await;
        let grant = standing.grant();
        let title = &grant.title;
        let agent = &self.settings.title;
        let answer = self.ask_editor(
            "elicitation/create",
            &json!({
                "mode": "url",
                "requestId": id.to_value(),
                "elicitationId": elicitation(id),
                "url": address.url.as_str(),
                "message": format!(
                    "Sign in to {title}, for {agent} (authctl keeps the credential){}",
                    besides(&address, &grant.name)
                ),
            }),
        );
        match answer.await {
            Ok(answer) if answer.member("result")["action"] == "accept" => pending().await,
            Ok(answer) if answer.is_error() => "the editor cannot show the link".to_owned(),
            Ok(_) => "the sign-in was declined".to_owned(),
            Err(_) => pending().await,
        }
    }

    /// What a person is to do whose editor shows no links, where no browser came up by itself.
    async fn tell(&self, standing: &Standing, going: &Going) -> String {
        let address = going.address().await;
        if address.is_opened {
            return pending().await;
        }
        let besides = besides(&address, &standing.grant().name);
        format!("open {} in a browser{besides}; then try again", address.url)
    }

    /// The turn of a request, unless the editor cancels it before.
    pub(super) async fn turn_of(&self, id: &Id) -> Option<MutexGuard<'_, ()>> {
        tokio::select! {
            turn = self.turn.lock() => Some(turn),
            () = self.cancellation(id) => None,
        }
    }

    async fn cancellation(&self, id: &Id) {
        loop {
            let mut cancelling = pin!(self.cancelling.notified());
            cancelling.as_mut().enable();
            if self.is_cancelled(id) {
                return;
            }
            cancelling.await;
        }
    }

    /// Whether a request to sign in is authctl's to answer: its own method, one for terminals, or one that has
    /// been seen to.
    pub(super) fn answers_login(&self, request: &Message) -> bool {
        let params = request.member("params");
        let Some(method) = params["methodId"].as_str() else { return false };
        if [OWN_METHOD, OWN_TERMINAL].contains(&method) {
            return true;
        }
        let advertised = self.advertised.borrow();
        if advertised.method(method).is_some_and(|it| it.kind == Kind::Terminal) {
            return true;
        }
        params["_meta"].is_null() && self.is_served() && self.is_ours(method)
    }

    /// Whether authctl itself uses the method.
    fn is_ours(&self, method: &str) -> bool {
        self.standings.iter().filter(|standing| standing.serves()).any(|standing| {
            let grant = standing.grant();
            let ways = &grant.ways;
            ways.authenticate.iter().any(|id| id == method)
                || ways.gateway.as_ref().is_some_and(|it| it.method == method)
                || ways.in_band.as_ref().is_some_and(|it| it.method == method)
        })
    }

    /// Answers such a request.
    pub(super) async fn log_in(self: Rc<Self>, id: Id, request: Message) {
        let params = request.member("params");
        let method = params["methodId"].as_str().unwrap_or_default();
        let is_own = [OWN_METHOD, OWN_TERMINAL].contains(&method);
        let Some(turn) = self.turn_of(&id).await else {
            return self.to_editor(cancelled(&id, "authenticate"));
        };
        self.look_again().await;
        let answer = if is_own {
            self.log_in_by_authctl(&id).await
        } else if self.is_served() {
            Ok(())
        } else {
            let what =
                format!("{} signs in by this method in a terminal only", self.settings.title);
            Err(Message::error(Some(&id), INVALID_PARAMS, &what, None))
        };
        self.to_editor(answer.err().unwrap_or_else(|| Message::result(&id, &json!({}))));
        self.release();
        drop(turn);
        self.push_status();
    }

    async fn log_in_by_authctl(self: &Rc<Self>, id: &Id) -> Result<(), Message> {
        let Some(first) = self.standings.first() else {
            return Err(required(id, &self.settings.advice));
        };
        if self.is_signed_out.replace(false) {
            self.standings.iter().for_each(Standing::begin_anew);
        }
        if !self.standings.iter().any(|standing| standing.holds.get()) {
            let signed_in = self.sign_in(first, id, true).await;
            if self.is_cancelled(id) {
                return Err(cancelled(id, "authenticate"));
            }
            signed_in.map_err(|step| required(id, &step))?;
        }
        self.deliver_all().await;
        if self.standings.iter().any(Standing::serves) {
            return Ok(());
        }
        Err(required(id, &next_step(first)))
    }

    /// Whether something is to be done before a session is opened.
    pub(super) fn prepares_session(&self, request: &Message) -> bool {
        self.wants_sign_in() || super::servers::wants_headers(request)
    }

    /// Opens a session for which somebody has to sign in first, or whose servers need credentials.
    pub(super) async fn open_session(self: Rc<Self>, id: Id, request: Message) {
        let request = match self.with_headers(request).await {
            Ok(request) => request,
            Err(why) => {
                return self.to_editor(Message::error(Some(&id), INVALID_PARAMS, &why, None));
            }
        };
        let method = request.method().unwrap_or_default().to_owned();
        if !self.wants_sign_in() {
            return self.pass(id, &method, request);
        }
        let Some(turn) = self.turn_of(&id).await else {
            return self.to_editor(cancelled(&id, &method));
        };
        match self.sign_in_first(&id).await {
            Ok(()) => self.pass(id, &method, request),
            Err(answer) => self.to_editor(answer),
        }
        self.release();
        drop(turn);
        self.push_status();
    }

    /// Whether no session is opened as things are.
    fn wants_sign_in(&self) -> bool {
        let gates = self.standings.iter().any(|standing| standing.grant().gates);
        gates && !self.is_own() && !self.is_served() && !self.is_signed_out.get()
    }

    async fn sign_in_first(self: &Rc<Self>, id: &Id) -> Result<(), Message> {
        self.look_again().await;
        if self.wants_sign_in()
            && let Some(first) = self.standings.first()
        {
            let signed_in = self.sign_in(first, id, false).await;
            if self.is_cancelled(id) {
                return Err(cancelled(id, "session/new"));
            }
            signed_in.map_err(|step| required(id, &step))?;
        }
        self.deliver_all().await;
        Ok(())
    }
}

/// What is to be known of an address beside it.
fn besides(address: &Address, name: &str) -> String {
    match &address.code {
        Some(code) => format!(". The code to enter or to find there: {code}"),
        None if address.is_elsewhere => format!(
            ". Where the last page does not load, its address finishes this in a terminal: authctl login {name} --resume"
        ),
        None => String::new(),
    }
}

/// The name of the link that belongs to a request.
fn elicitation(id: &Id) -> String {
    format!("authctl-{}", id.to_string().trim_matches('"'))
}
