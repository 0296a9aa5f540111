//! Starting the agent, and starting it anew for a credential that it takes no other way: its handshake is
//! replayed and its sessions are restored, so that the editor sees nothing of it.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::Relay;
use super::advertised::Advertised;
use super::agent::{Agent, Silence};
use super::deliver::Standing;
use super::outfit::{Worth, dress, is_typed};
use super::sessions::Session;
use super::ways::{self, Way};
use crate::jsonrpc::{INTERNAL_ERROR, Id, Message};
use crate::launch::{self, Ending};

/// How long a restart waits for answers that are on their way.
const OPEN_WAIT: Duration = Duration::from_secs(30);
/// How long a new agent may take to say what it is: the slowest known takes 18 s.
const GREETING_WAIT: Duration = Duration::from_mins(1);
/// How long it may take to bring a session back.
const SESSION_WAIT: Duration = Duration::from_mins(1);
/// How long it may take to set something there.
const SETTING_WAIT: Duration = Duration::from_secs(20);

/// ACP v1, errors.
const RESOURCE_NOT_FOUND: i64 = -32002;

/// Why something is not as it was before a new start.
#[derive(Debug, thiserror::Error)]
enum Loss {
    #[error("the agent refuses it")]
    Refused,
    #[error("it cannot be resumed")]
    NoWay,
    #[error(transparent)]
    Silent(#[from] Silence),
}

impl Relay {
    /// The first start, with all that can be given only then.
    pub(super) async fn start(self: &Rc<Self>) -> Result<(), launch::Error> {
        for standing in &self.standings {
            standing.started.set(ways::at_start(&standing.grant(), self.settings.forced));
        }
        self.launch().await
    }

    async fn launch(self: &Rc<Self>) -> Result<(), launch::Error> {
        let command = self.outfit().await;
        let relay = self.clone();
        let agent =
            Agent::start(&command, Box::new(move |agent, found| relay.from_agent(agent, found)))?;
        *self.agent.borrow_mut() = Some(agent.clone());
        let relay = self.clone();
        spawn_local(async move {
            agent.wait().await;
            relay.agent_has_ended(&agent);
        });
        Ok(())
    }

    /// The command with the variables and words of the ways that need a start.
    async fn outfit(self: &Rc<Self>) -> launch::Command {
        let mut command = self.settings.command.clone();
        for standing in &self.standings {
            match self.worth(standing).await {
                Some(Ok(worth)) => {
                    dress(&mut command, &standing.grant(), &worth);
                    self.add_parameter(&mut command, standing);
                }
                Some(Err(why)) => self.say(&why),
                None => {}
            }
        }
        command
    }

    fn add_parameter(&self, command: &mut launch::Command, standing: &Standing) {
        match standing.word() {
            Ok(Some(word)) if !is_typed(&command.arguments, &word) => {
                command.arguments.push(word.into());
            }
            Ok(_) => {}
            Err(why) => self.say(&why),
        }
    }

    async fn worth(self: &Rc<Self>, standing: &Standing) -> Option<Result<Worth, String>> {
        let way = standing.started.get();
        if way != Some(Way::Helper) {
            standing.hook.take();
        }
        match way? {
            Way::BaseUrl => Some(Ok(Worth::Address)),
            Way::Helper => Some(self.helper(standing).map(Worth::Helper)),
            Way::Variable if standing.holds.get() => {
                Some(self.possess(standing, Way::Variable).await.map(Worth::Key))
            }
            _ => None,
        }
    }

    /// Replaces the agent, for the sake of one credential or of its own sign-in. Its sessions are still to be
    /// restored.
    pub(super) async fn restart(
        self: &Rc<Self>,
        standing: Option<&Standing>,
    ) -> Result<(), String> {
        if self.successor.is_some() {
            return Err("somebody else starts the agent".to_owned());
        }
        if self.is_ending() {
            return Err("the agent is to end".to_owned());
        }
        self.hold();
        let name = standing.map(|standing| standing.grant().name.clone());
        let what = name.as_deref().unwrap_or("its own sign-in");
        self.say(&format!("{} is started anew for {what}", self.settings.title));
        let _ = timeout(OPEN_WAIT, self.open.emptied()).await;
        self.is_restarting.set(true);
        let old = self.agent.borrow().clone();
        if let Some(old) = old {
            old.end(Ending::Closed).await;
        }
        self.agent.take();
        self.fail_open();
        self.agent_is_gone();
        let others =
            self.standings.iter().filter(|other| name.as_ref() != Some(&other.grant().name));
        others.filter(|other| other.way.get().is_some()).for_each(Standing::begin_anew);
        self.is_unrestored.set(true);
        let launched = self.launch().await;
        self.is_restarting.set(false);
        if let Err(error) = launched {
            self.give_up();
            return Err(error.to_string());
        }
        self.greet_again().await
    }

    /// Starts the agent anew after a sign-in of its own which it says counts from then on. Then the editor gets
    /// its answer.
    pub(super) async fn log_in_anew(self: Rc<Self>, id: Id, answer: Message) {
        let turn = self.turn.lock().await;
        let restarted = self.restart(None).await;
        let answer = match restarted {
            Ok(()) => {
                self.deliver_all().await;
                self.restore_sessions().await;
                answer
            }
            Err(why) => Message::error(Some(&id), INTERNAL_ERROR, &why, None),
        };
        self.to_editor(answer);
        self.release();
        drop(turn);
        self.push_status();
    }

    /// What the old agent did not answer.
    fn fail_open(&self) {
        let what =
            format!("{} was started anew before it answered; try again", self.settings.title);
        for id in self.open.drain() {
            self.to_editor(Message::error(Some(&id), INTERNAL_ERROR, &what, None));
        }
    }

    async fn greet_again(&self) -> Result<(), String> {
        let Some(hello) = self.hello.borrow().clone() else { return Ok(()) };
        let agent = self.agent.borrow().clone().ok_or("the agent has ended")?;
        let answer = agent.ask("initialize", &hello.member("params"), GREETING_WAIT).await;
        let answer = answer.map_err(|why| why.to_string())?;
        if answer.is_error() {
            return Err("it refuses the handshake that it took before".to_owned());
        }
        *self.advertised.borrow_mut() = Rc::new(Advertised::of(&answer));
        Ok(())
    }

    /// Brings the editor's sessions back after a new start. What the agent tells of them again is not told the
    /// editor again.
    pub(super) async fn restore_sessions(&self) {
        if !self.is_unrestored.take() {
            return;
        }
        let sessions = self.sessions.borrow().list();
        for (id, session) in sessions {
            self.retold.borrow_mut().insert(id.clone());
            let restored = self.restore(&id, session).await;
            self.retold.borrow_mut().remove(&id);
            if let Err(why) = restored {
                match why {
                    // All is over, and that is said.
                    Loss::Silent(Silence::Ended) => self.sessions.borrow_mut().forget(&id),
                    _ => self.sessions.borrow_mut().lose(&id, &why.to_string()),
                }
                self.say(&format!("a session is lost by the new start of the agent: {why}"));
            }
        }
    }

    async fn restore(&self, id: &str, session: Session) -> Result<(), Loss> {
        let advertised = self.advertised.borrow().clone();
        let method = match () {
            () if advertised.can_resume => "session/resume",
            () if advertised.can_load => "session/load",
            () => return Err(Loss::NoWay),
        };
        let mut params = session.params;
        if let Some(meta) = self.helper_meta(params["_meta"].clone()) {
            params["_meta"] = meta;
        }
        self.ask_again(method, &params, SESSION_WAIT).await?;
        for setting in session.settings {
            let set = self.ask_again(setting.method, &setting.params, SETTING_WAIT).await;
            if let Err(why) = set {
                self.sessions.borrow_mut().forget_setting(id, &setting);
                self.say(&format!("{} is not as it was in a session: {why}", setting.method));
            }
        }
        Ok(())
    }

    /// The answer to a request that wants something done in a session which is lost, with what there is to do.
    pub(super) fn lost_session(&self, id: &Id, request: &Message) -> Option<Message> {
        let sessions = self.sessions.borrow();
        let why = sessions.why_lost(request)?;
        let title = &self.settings.title;
        let first =
            if self.is_signed_out.get() { "you have signed out here: sign in, and " } else { "" };
        let what = format!(
            "this session is lost since {title} was started anew ({why}); {first}start a new session"
        );
        Some(Message::error(Some(id), RESOURCE_NOT_FOUND, &what, None))
    }

    /// Asks the new agent what the editor asked an earlier one.
    async fn ask_again(
        &self,
        method: &str,
        params: &Value,
        patience: Duration,
    ) -> Result<(), Loss> {
        let agent = self.agent.borrow().clone().ok_or(Silence::Ended)?;
        match agent.ask(method, params, patience).await {
            Ok(answer) if !answer.is_error() => Ok(()),
            Ok(_) => Err(Loss::Refused),
            Err(why) => Err(why.into()),
        }
    }
}
