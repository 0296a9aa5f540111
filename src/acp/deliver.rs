//! Handing over: each grant goes down its ladder until a way works. What the agent gets is a proxy's address and
//! what opens it, where it takes that; else the credential itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::advertised::Kind;
use super::hook::Hook;
use super::parameter::Parameter;
use super::ways::{self, Way};
use super::{Grant, Lent, Relay};
use crate::config::InBandShape;
use crate::private_file::TemporaryDirectory;
use crate::secret::{Secret, conceal};
use crate::text::clean_to;

/// How long an agent may think about a key.
const AUTHENTICATE_WAIT: Duration = Duration::from_secs(20);
/// How long it may take to go to another address: some start a part of theirs anew.
const PROVIDER_WAIT: Duration = Duration::from_mins(1);

/// Where a grant stands.
pub struct Standing {
    grant: RefCell<Rc<Grant>>,
    /// Somebody is signed in, as far as is known.
    pub holds: Cell<bool>,
    /// The way that works.
    pub way: Cell<Option<Way>>,
    /// Those that were tried with this credential.
    pub tried: RefCell<Vec<Way>>,
    /// What the agent was started with.
    pub started: Cell<Option<Way>>,
    /// The credential itself, where the agent has it.
    pub given: RefCell<Option<Secret>>,
    /// Where its helper asks.
    pub hook: RefCell<Option<Hook>>,
    /// What it was started with beside, since it wants that.
    pub parameter: RefCell<Option<Parameter>>,
    /// The file of that.
    pub folder: RefCell<Option<TemporaryDirectory>>,
}

impl Standing {
    pub fn new(grant: &Grant) -> Self {
        Self {
            holds: Cell::new(grant.held),
            grant: RefCell::new(Rc::new(grant.clone())),
            way: Cell::default(),
            tried: RefCell::default(),
            started: Cell::default(),
            given: RefCell::default(),
            hook: RefCell::default(),
            parameter: RefCell::default(),
            folder: RefCell::default(),
        }
    }

    pub fn grant(&self) -> Rc<Grant> {
        self.grant.borrow().clone()
    }

    /// Whether the agent has the use of it.
    pub fn serves(&self) -> bool {
        self.holds.get() && self.way.get().is_some()
    }

    /// All ways are open again.
    pub fn begin_anew(&self) {
        self.tried.borrow_mut().clear();
        self.way.set(None);
    }
}

impl Relay {
    /// Whether authctl has nothing to do with the agent's credentials.
    pub(super) fn is_own(&self) -> bool {
        self.standings.is_empty() || matches!(self.settings.forced, Some(Way::Profile | Way::Own))
    }

    /// Whether nobody has to sign in.
    pub(super) fn is_served(&self) -> bool {
        let holds = self.standings.iter().any(|standing| standing.holds.get());
        !self.is_own() && holds && !self.is_signed_out.get()
    }

    /// Looks again where nobody was signed in.
    pub(super) async fn look_again(&self) {
        for standing in self.standings.iter().filter(|standing| !standing.holds.get()) {
            standing.holds.set(self.settings.supply.holds(&standing.grant().name).await);
        }
    }

    /// An agent whose command line said nothing may be known by its name. That says how it takes what it may
    /// have, and nothing about what that is.
    pub(super) async fn learn(&self) {
        let Some(name) = self.advertised.borrow().name.clone() else { return };
        for standing in &self.standings {
            let grant = standing.grant();
            if ways::is_known(&grant) {
                continue;
            }
            if let Some(known) = self.settings.supply.known(&name, &grant.ways.provider).await {
                let own = known.variables.first().filter(|_| grant.waits).cloned();
                let variable = own.or(grant.variable.clone());
                let grant = Grant { ways: known, variable, ..(*grant).clone() };
                *standing.grant.borrow_mut() = Rc::new(grant);
            }
        }
    }

    /// Hands over all that is there: whether the agent got anything.
    pub(super) async fn deliver_all(self: &Rc<Self>) -> bool {
        if self.is_own() || self.is_signed_out.get() {
            return false;
        }
        let mut is_delivered = false;
        // A start for one takes from the others what they were given before.
        while let Some(standing) = self.standings.iter().find(|standing| self.is_due(standing)) {
            is_delivered |= self.deliver(standing).await;
        }
        is_delivered
    }

    fn is_due(&self, standing: &Standing) -> bool {
        standing.holds.get() && standing.way.get().is_none() && self.next(standing).is_some()
    }

    fn next(&self, standing: &Standing) -> Option<Way> {
        let advertised = self.advertised.borrow().clone();
        let ladder = ways::ladder(&standing.grant(), &advertised, self.settings.forced);
        let is_open = |way: &Way| self.successor.is_none() || !way.needs_start();
        ladder.into_iter().filter(is_open).find(|way| !standing.tried.borrow().contains(way))
    }

    /// Goes on down the ladder: whether there was a way.
    pub(super) async fn deliver(self: &Rc<Self>, standing: &Standing) -> bool {
        let is_delivered = self.descend(standing).await;
        // With or without a credential: the editor has them open.
        self.restore_sessions().await;
        is_delivered
    }

    async fn descend(self: &Rc<Self>, standing: &Standing) -> bool {
        while let Some(way) = self.next(standing).filter(|_| !self.is_ending()) {
            standing.tried.borrow_mut().push(way);
            match self.go(standing, way).await {
                Ok(()) => {
                    standing.way.set(Some(way));
                    self.epoch.set(self.epoch.get() + 1);
                    let (title, grant) = (&self.settings.title, standing.grant());
                    self.say(&format!("{title} uses {} ({way})", grant.name));
                    return true;
                }
                Err(_) if self.is_ending() => {}
                Err(why) => self.say(&format!("the way {way} did not work: {why}")),
            }
        }
        false
    }

    async fn go(self: &Rc<Self>, standing: &Standing, way: Way) -> Result<(), String> {
        match way {
            Way::ProvidersSet => self.set_provider(&standing.grant()).await,
            Way::Gateway => self.set_gateway(standing).await,
            Way::InBand => self.give_in_band(standing).await,
            Way::BaseUrl | Way::Helper | Way::Variable => self.give_at_start(standing, way).await,
            Way::Profile | Way::Own => Err("it is the agent's own".to_owned()),
        }
    }

    async fn set_provider(&self, grant: &Grant) -> Result<(), String> {
        let Some(set) = &grant.ways.providers_set else { return Err(unknown()) };
        let params = json!({
            "providerId": set.id,
            "apiType": set.api_type,
            "baseUrl": format!("{}{}", grant.lent.url, set.path),
            "headers": headers(&grant.lent),
        });
        self.ask_agent("providers/set", &params, PROVIDER_WAIT).await
    }

    async fn set_gateway(self: &Rc<Self>, standing: &Standing) -> Result<(), String> {
        let grant = standing.grant();
        let Some(gateway) = &grant.ways.gateway else { return Err(unknown()) };
        let url = format!("{}{}", grant.lent.url, gateway.path);
        let meta = json!({"gateway": {"baseUrl": url, "headers": headers(&grant.lent)}});
        self.authenticate(&gateway.method, Some(&meta), PROVIDER_WAIT).await?;
        self.restart_if_due(&gateway.method, standing).await
    }

    async fn give_in_band(self: &Rc<Self>, standing: &Standing) -> Result<(), String> {
        let grant = standing.grant();
        let Some(in_band) = &grant.ways.in_band else { return Err(unknown()) };
        let secret = self.possess(standing, Way::InBand).await?;
        let key = match in_band.shape {
            InBandShape::Text => json!(secret.expose()),
            InBandShape::ApiKey => json!({"apiKey": secret.expose()}),
        };
        let meta = json!({"api-key": key});
        self.authenticate(&in_band.method, Some(&meta), AUTHENTICATE_WAIT).await?;
        self.restart_if_due(&in_band.method, standing).await
    }

    /// An agent that keeps what it was told itself, and heeds that from its next start on.
    async fn restart_if_due(
        self: &Rc<Self>,
        method: &str,
        standing: &Standing,
    ) -> Result<(), String> {
        // In a chain, somebody else starts it.
        if self.successor.is_none() && self.advertised.borrow().requires_restart(method) {
            self.restart(Some(standing)).await?;
        }
        Ok(())
    }

    /// What it was started with, or is now; some agents want to be told as well.
    async fn give_at_start(self: &Rc<Self>, standing: &Standing, way: Way) -> Result<(), String> {
        let has_key = way != Way::Variable || standing.given.borrow().is_some();
        let is_started = standing.started.get() == Some(way) && has_key;
        // What it wants beside comes with the same start.
        if self.adds_parameter(standing, way) || !is_started {
            self.prepare();
            standing.started.set(Some(way));
            self.restart(Some(standing)).await?;
        }
        if let Some(id) = self.satisfied(standing) {
            self.authenticate(&id, None, AUTHENTICATE_WAIT).await?;
        }
        Ok(())
    }

    /// Whether there is something on its command line that it was not started with.
    fn adds_parameter(&self, standing: &Standing, way: Way) -> bool {
        if self.satisfied(standing).is_some() {
            return false;
        }
        let Some(parameter) = self.parameter(standing, way) else { return false };
        standing.parameter.replace(Some(parameter.clone())).as_ref() != Some(&parameter)
    }

    /// A new start for one is one for all that need it.
    fn prepare(&self) {
        for standing in self.standings.iter().filter(|standing| self.is_due(standing)) {
            if let Some(way) = self.next(standing).filter(|way| way.needs_start()) {
                standing.started.set(Some(way));
            }
        }
    }

    /// The method that the agent is to be told, now that it has what that wants.
    fn satisfied(&self, standing: &Standing) -> Option<String> {
        let (grant, advertised) = (standing.grant(), self.advertised.borrow().clone());
        let known = grant.ways.authenticate.iter().find(|id| advertised.has_method(id));
        // Until 2026-07, agents said which variables a method wants.
        let set: Vec<&String> = grant.variable.iter().chain(&grant.ways.variables).collect();
        let has_all = |names: &[String]| names.iter().all(|name| set.contains(&name));
        let mut methods = advertised.methods.iter();
        let legacy = methods.find(|method| {
            method.kind == Kind::Variables
                && !method.variables.is_empty()
                && has_all(&method.variables)
        });
        known.or(legacy.map(|method| &method.id)).cloned()
    }

    /// The credential itself.
    pub(super) async fn possess(&self, standing: &Standing, way: Way) -> Result<Secret, String> {
        let grant = standing.grant();
        let name = &grant.name;
        let found = self.settings.supply.possess(name, way).await.map_err(|trouble| trouble.0)?;
        standing.holds.set(found.is_some());
        let secret = found.ok_or_else(|| format!("nobody is signed in to {name}"))?;
        *standing.given.borrow_mut() = Some(secret.clone());
        Ok(secret)
    }

    /// What no word of authctl's repeats, whoever said it first.
    pub(super) fn hidden(&self) -> Vec<Secret> {
        let mut hidden = Vec::new();
        for standing in &self.standings {
            let lent = &standing.grant().lent;
            hidden.extend(standing.given.borrow().clone());
            hidden.push(lent.stand_in.clone());
            hidden.extend(lent.headers.iter().map(|(_, value)| value.clone()));
        }
        hidden
    }

    async fn authenticate(
        &self,
        id: &str,
        meta: Option<&Value>,
        patience: Duration,
    ) -> Result<(), String> {
        let dialect = self.advertised.borrow().dialect;
        let mut params = json!({"methodId": id});
        if let Some(meta) = meta {
            params["_meta"] = meta.clone();
        }
        self.ask_agent(dialect.login(), &params, patience).await
    }

    async fn ask_agent(
        &self,
        method: &str,
        params: &Value,
        patience: Duration,
    ) -> Result<(), String> {
        let agent = self.agent.borrow().clone().ok_or("the agent has ended")?;
        let answer = agent.ask(method, params, patience).await.map_err(|why| why.to_string())?;
        if !answer.is_error() {
            return Ok(());
        }
        let error = answer.member("error");
        let said = conceal(error["message"].as_str().unwrap_or("it refused"), &self.hidden());
        Err(clean_to(&said, 300))
    }
}

fn headers(lent: &Lent) -> Value {
    let headers = lent.headers.iter();
    let headers = headers.map(|(name, value)| (name.clone(), json!(value.expose())));
    Value::Object(headers.collect::<Map<_, _>>())
}

fn unknown() -> String {
    "it is not known of this agent".to_owned()
}
