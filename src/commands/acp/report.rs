//! What the doctor found, for people and as JSON; and the list of the agents that are known.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::agent::Agent;
use super::binding::Said;
use super::models::Listing;
use super::withheld;
use crate::acp::{Grant, Heard, Way};
use crate::config::{AcpAgent, Helper};
use crate::context::Context;
use crate::error::CommandError;
use crate::text::{clean, clean_to};

/// What is missing, and the command that mends it.
pub struct Trouble {
    what: String,
    mend: Option<String>,
}

impl Trouble {
    pub fn new(what: String, mend: Option<String>) -> Self {
        Self { what, mend }
    }
}

/// A credential that the agent may have, and the ways that are open, best first.
pub struct Credential {
    pub grant: Grant,
    pub is_held: bool,
    pub ladder: Vec<Way>,
    /// Where it has the provider's models listed.
    pub listing: Option<Listing>,
}

pub struct Report<'a> {
    pub agent: &'a Agent<'a>,
    pub able: &'a Heard,
    pub plain: Option<&'a Heard>,
    pub said: Said,
    pub credentials: Vec<Credential>,
    pub withheld: Vec<String>,
    pub missing: Vec<Trouble>,
    /// The agent that an unknown one calls itself.
    pub alike: Option<String>,
}

/// Why an agent gets nothing, where that is to be mended.
pub fn nothing(agent: &Agent<'_>) -> Option<Trouble> {
    match agent.known {
        Some(AcpAgent { login_only: Some(_), .. }) => None,
        _ => Some(Trouble::new(
            format!("no credential is bound to {}", agent.title()),
            Some(format!("authctl acp doctor --with NAME -- {}", agent.line())),
        )),
    }
}

impl Report<'_> {
    pub fn show(&self, context: &Context) -> Result<(), CommandError> {
        if context.ui.is_json() {
            context.ui.json(&self.as_json())?;
        } else {
            context.ui.data(&self.as_text())?;
        }
        Ok(())
    }

    // ---------------------------------------------------------------------------------------- text

    fn as_text(&self) -> String {
        let mut rows: Vec<(&str, String)> = vec![("agent", self.who()), ("offers", self.offers())];
        if let Some(plain) = self.plain {
            let ids = ids(plain);
            rows.push(("", format!("to an editor without capabilities: {}", list(&ids))));
        }
        if let Some(session) = &self.able.session {
            let said = match session {
                Ok(()) => "opens, which proves no sign-in".to_owned(),
                Err(refusal) => format!("refused without a credential: {refusal}"),
            };
            rows.push(("session", said));
        }
        for credential in &self.credentials {
            rows.extend(credential.rows(self.said));
        }
        if let Some(why) = self.agent.known.and_then(|known| known.login_only.as_ref()) {
            rows.push(("way", format!("own: its own sign-in alone, since {why}")));
        }
        let removed = withheld::present(&self.withheld);
        if !removed.is_empty() {
            let said =
                format!("{} from what it inherits; --keep-env keeps one", removed.join(", "));
            rows.push(("removed", said));
        }
        rows.extend(self.notes().into_iter().map(|note| ("note", note)));
        for trouble in &self.missing {
            rows.push(("missing", trouble.what.clone()));
            rows.extend(trouble.mend.iter().map(|mend| ("", mend.clone())));
        }
        table(&rows)
    }

    fn who(&self) -> String {
        let info = self.able.info();
        let name = clean(info["name"].as_str().unwrap_or("without a name"));
        let version = clean(info["version"].as_str().unwrap_or_default());
        let known = match self.agent.known {
            Some(known) => format!("{} (acp_agent.{})", known.title, known.id),
            None => format!("{}, which authctl does not know", self.agent.title()),
        };
        format!("{known}; it calls itself {}", format!("{name} {version}").trim_end())
    }

    fn offers(&self) -> String {
        let mut offers = ids(self.able);
        if self.able.advertised.has_providers {
            offers.insert(0, "providers/set".into());
        }
        list(&offers)
    }

    fn notes(&self) -> Vec<String> {
        let Some(known) = self.agent.known else {
            let said = |id: &String| {
                format!(
                    "it calls itself what acp_agent.{id} does: that says how it takes what you name, and gives it nothing"
                )
            };
            return self.alike.iter().map(said).chain(self.second_start()).collect();
        };
        let mut notes: Vec<String> = known.note.iter().cloned().collect();
        let ignored = known.ignores.iter().filter(|name| std::env::var_os(name).is_some());
        notes.extend(
            ignored.map(|name| format!("{name} is set, and {} does not read it", known.title)),
        );
        notes.extend(known.not_tried.iter().map(|why| format!("nobody has seen it run: {why}")));
        notes
    }

    /// What spares an agent that nobody knows its second start.
    fn second_start(&self) -> Option<String> {
        let mut waiting = self
            .credentials
            .iter()
            .filter(|it| it.grant.waits && it.ladder.first() == Some(&Way::Variable));
        let grant = &waiting.next()?.grant;
        let (name, variable) = (&grant.name, grant.variable.as_deref()?);
        Some(format!(
            "it is started without the key, and anew with it, since it is not known before it speaks; --with {name}={variable} hands it over at the first start"
        ))
    }

    // ---------------------------------------------------------------------------------------- JSON

    fn as_json(&self) -> Value {
        let info = self.able.info();
        let methods = self.able.advertised.methods.iter();
        json!({
            "version": 1,
            "agent": {
                "id": self.agent.known.map(|known| &known.id),
                "title": self.agent.title(),
                "name": info["name"].as_str(),
                "version": info["version"].as_str(),
                "protocol": self.able.hello["protocolVersion"],
            },
            "methods": methods.map(|method| json!({
                "id": method.id,
                "kind": method.kind.as_str(),
                "takes_key": method.takes_key,
            })).collect::<Vec<_>>(),
            "methods_without_capabilities": self.plain.map(ids),
            "takes_providers": self.able.advertised.has_providers,
            "session": self.able.session.as_ref().map(|session| json!({
                "opened": session.is_ok(),
                "refusal": session.as_ref().err(),
            })),
            "bound_by": self.said.as_str(),
            "credentials": self.credentials.iter().map(Credential::as_json).collect::<Vec<_>>(),
            "own_sign_in": self.agent.known.and_then(|known| known.login_only.as_ref()),
            "withheld": withheld::present(&self.withheld),
            "notes": self.notes(),
            "missing": self.missing.iter().map(|trouble| json!({
                "what": trouble.what,
                "mend": trouble.mend,
            })).collect::<Vec<_>>(),
        })
    }
}

impl Credential {
    fn rows(&self, said: Said) -> Vec<(&'static str, String)> {
        let why = match said {
            Said::CommandLine => "named on the command line",
            Said::Project => "bound in this project",
            Said::Everywhere => "bound everywhere",
            Said::FirstUse => "to be bound at the first use",
            Said::Nobody => "what it would take first",
        };
        let held = if self.is_held { "signed in" } else { "nobody is signed in" };
        let mut rows = vec![("credential", format!("{}: {why}; {held}", self.grant.name))];
        let Some((best, rest)) = self.ladder.split_first() else { return rows };
        rows.push(("way", format!("{best}: {}", self.how(*best))));
        if !rest.is_empty() {
            let rest: Vec<String> = rest.iter().map(Way::to_string).collect();
            rows.push(("", format!("else {}", rest.join(", "))));
        }
        rows.push(("secret", visible(*best).1.to_owned()));
        rows.extend(self.listing.iter().map(|it| ("models", format!("listed by GET {}", it.path))));
        if let Some(mend) = self.forbidden() {
            let what = "authctl's proxy refuses that by your rules: the agent then has the models that it knows itself";
            rows.extend([("warning", what.to_owned()), ("", mend.to_owned())]);
        }
        rows
    }

    /// What lets the listing of models pass, where it does not.
    fn forbidden(&self) -> Option<&str> {
        let is_by_proxy = self.ladder.first().is_some_and(|way| way.is_by_proxy());
        self.listing.as_ref().filter(|_| is_by_proxy)?.mend.as_deref()
    }

    fn how(&self, way: Way) -> String {
        let variable = self.grant.variable.as_deref().unwrap_or_default();
        let ways = &self.grant.ways;
        match way {
            Way::ProvidersSet => "it takes the address of authctl's own proxy while it runs".into(),
            Way::Gateway => "it takes the address of authctl's own proxy at its sign-in".into(),
            Way::BaseUrl => {
                let base_url = ways.base_url.as_ref().map_or("", |it| it.variable.as_str());
                format!("it takes the address of authctl's own proxy from {base_url}")
            }
            Way::Helper => {
                format!(
                    "it runs a command that authctl answers, by {}",
                    helper(ways.helper.as_ref())
                )
            }
            Way::InBand => "it takes the key itself at its sign-in, while it runs".into(),
            Way::Variable => format!("it takes the key itself from {variable}, at its start"),
            Way::Profile | Way::Own => "its own sign-in".into(),
        }
    }

    fn as_json(&self) -> Value {
        let best = self.ladder.first();
        json!({
            "name": self.grant.name,
            "signed_in": self.is_held,
            "way": best.map(Way::to_string),
            "ways": self.ladder.iter().map(Way::to_string).collect::<Vec<_>>(),
            "visible": best.map(|way| visible(*way).0),
            "models": self.listing.as_ref().map(|listing| json!({
                "request": format!("GET {}", listing.path),
                "mend": self.forbidden(),
            })),
        })
    }
}

/// Where the agent takes the command of its helper from.
fn helper(helper: Option<&Helper>) -> String {
    match helper {
        Some(Helper::Variable(variable)) => variable.clone(),
        Some(Helper::Meta(path)) => format!("_meta.{} of a session", path.join(".")),
        None => String::new(),
    }
}

/// Where the secret could be seen, as a word and for people.
fn visible(way: Way) -> (&'static str, &'static str) {
    match way {
        Way::ProvidersSet | Way::Gateway | Way::BaseUrl => {
            ("nowhere", "nowhere outside authctl: what the agent gets is worth nothing elsewhere")
        }
        Way::Helper | Way::InBand => ("memory", "in the agent's memory"),
        Way::Variable => {
            ("environment", "in the environment of the agent and of every tool that it runs")
        }
        Way::Profile | Way::Own => ("disk", "in the agent's own files"),
    }
}

fn ids(heard: &Heard) -> Vec<String> {
    heard.advertised.methods.iter().map(|method| clean_to(&method.id, 80)).collect()
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "nothing".into() } else { words.join(", ") }
}

fn table(rows: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (label, text) in rows {
        let _ = writeln!(out, "{label:11} {}", clean_to(text, 1_000));
    }
    out
}

// --------------------------------------------------------------------------------------- known agents

/// Lists the agents that are known.
pub fn list_known(context: &Context) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    if context.ui.is_json() {
        let agents: Vec<Value> = config.acp_agents().map(known_json).collect();
        context.ui.json(&json!({ "version": 1, "agents": agents }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = config.acp_agents().map(|agent| agent.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for agent in config.acp_agents() {
        let takes: Vec<&str> = agent.providers.iter().map(|it| it.provider.as_str()).collect();
        let said = match (&agent.login_only, &agent.not_tried) {
            (Some(_), _) => "its own sign-in alone".to_owned(),
            (None, Some(_)) if takes.is_empty() => "not tried".to_owned(),
            (None, Some(_)) => format!("{} (not tried)", takes.join(", ")),
            (None, None) => takes.join(", "),
        };
        let line = format!("{:width$}  {}: {said}", agent.id, agent.title);
        let _ = writeln!(out, "{}", clean_to(&line, 1_000));
    }
    context.ui.data(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn known_json(agent: &AcpAgent) -> Value {
    json!({
        "id": agent.id,
        "title": agent.title,
        "commands": agent.commands,
        "packages": agent.packages,
        "names": agent.names,
        "providers": agent.providers.iter().map(|it| &it.provider).collect::<Vec<_>>(),
        "models": agent.providers.iter().filter_map(|it| Some((&it.provider, it.models.as_ref()?))).collect::<BTreeMap<_, _>>(),
        "login": agent.login,
        "login_only": agent.login_only,
        "not_tried": agent.not_tried,
        "note": agent.note,
    })
}
