//! What an agent may have: what was typed, else what it is known to take and the store has; and the proxy that
//! lends it.

use std::path::PathBuf;

use super::agent::Agent;
use super::binding::Said;
use super::overlay::Overlay;
use super::{Wish, binding, copies, withheld};
use crate::acp::{Grant, Lent, Way};
use crate::commands::handing::{Handing, Handings};
use crate::commands::proxy::Beside;
use crate::commands::purpose::Purpose;
use crate::config::AcpProvider;
use crate::context::Context;
use crate::credential;
use crate::error::{CommandError, Kind};
use crate::interact::Interact;
use crate::launch;
use crate::private_file;
use crate::secret::Secret;
use crate::text;

/// The header that opens the proxy, which no agent overwrites.
pub const KEY_HEADER: &str = "x-authctl-key";

pub struct Grants {
    /// The agent, for people.
    pub title: String,
    pub list: Vec<Grant>,
    /// Variables that the agent does not inherit.
    pub withheld: Vec<String>,
    /// What to do where there is nothing for it.
    pub advice: String,
    beside: Option<Beside>,
    /// The profile for a run in which the agent gets a key itself.
    overlay: Option<Overlay>,
    /// The variable and the folder of a profile that is kept for an account.
    profile: Option<(String, PathBuf)>,
}

impl Grants {
    /// `is_terminal`: it runs at one, perhaps for its own sign-in, which goes into its own profile.
    pub fn find(
        context: &Context,
        agent: &Agent<'_>,
        wish: &Wish,
        is_terminal: bool,
    ) -> Result<Self, CommandError> {
        let (title, program) = (agent.title(), agent.program());
        let advice = advice(agent);
        // Where nobody has said anything and nothing is there, a sign-in is for what it takes best.
        let (list, is_guess) = if matches!(wish.way, Some(Way::Own | Way::Profile)) {
            (Vec::new(), false)
        } else {
            let bound = binding::settled(context, agent, &wish.with)?;
            (bound.list, bound.said == Said::Nobody)
        };
        let profile = match wish.way {
            Some(Way::Profile) => Some(profile(context, agent)?),
            _ => None,
        };
        let withheld = withheld::withheld(context, agent, !list.is_empty(), &wish.keep_env)?;
        if list.is_empty() {
            return Ok(Self {
                title,
                list: Vec::new(),
                withheld,
                advice,
                beside: None,
                overlay: None,
                profile,
            });
        }
        let handings = Handings { list, manifest: None };
        let located = launch::locate(program);
        let beside = Beside::start(context, &handings, &Purpose::exec(program), located)?;
        let overlay = match (agent.known, wish.way) {
            (Some(known), None | Some(Way::InBand | Way::Variable)) if !is_terminal => {
                Overlay::make(context, known)?
            }
            _ => None,
        };
        let mut found = Vec::new();
        for handing in &handings.list {
            let grant = grant(context, agent, handing, wish.way, &beside)?;
            found.extend(grant.map(|grant| Grant { gates: !is_guess, ..grant }));
        }
        if let Some(overlay) = &overlay {
            for grant in &mut found {
                overlay.guard(grant);
            }
        }
        Ok(Self { title, list: found, withheld, advice, beside: Some(beside), overlay, profile })
    }

    /// What the agent is started with in any case.
    pub fn set(&self, forced: Option<Way>) -> Vec<(String, Secret)> {
        let overlay = self.overlay.as_ref().filter(|_| forced == Some(Way::InBand));
        let of = |it: &Overlay| (it.variable.clone(), Secret::new(it.folder.to_string_lossy()));
        let kept = self.profile.iter();
        let kept = kept.map(|(name, folder)| (name.clone(), Secret::new(folder.to_string_lossy())));
        overlay.map(of).into_iter().chain(kept).collect()
    }

    /// Ends the proxy, and the profile of this run.
    pub fn end(self, context: &Context) {
        if let Some(overlay) = self.overlay {
            overlay.end(context);
        }
        if let Some(Err(error)) = self.beside.map(Beside::end) {
            context.ui.warn(error.message());
        }
    }
}

fn grant(
    context: &Context,
    agent: &Agent<'_>,
    handing: &Handing,
    forced: Option<Way>,
    beside: &Beside,
) -> Result<Option<Grant>, CommandError> {
    let name = &handing.named.name;
    let Some(offer) = beside.offer(name) else { return Ok(None) };
    let (ways, variable) = taken(context, agent, handing, forced)?;
    let variable = variable.or(offer.variable.clone());
    Ok(Some(Grant {
        name: name.to_string(),
        title: context.provider(name)?.title.clone(),
        ways,
        variable,
        lent: Lent {
            url: offer.url.clone(),
            headers: vec![(KEY_HEADER.to_owned(), offer.stand_in.clone())],
            stand_in: offer.stand_in.clone(),
        },
        home: context.provider(name)?.base_url.clone(),
        held: offer.is_held,
        gates: true,
        waits: waits(agent, handing),
    }))
}

/// Whether an agent is asked for its name before it gets anything: where nobody has said which variable it takes.
pub fn waits(agent: &Agent<'_>, handing: &Handing) -> bool {
    agent.known.is_none() && handing.form.variable().is_none()
}

/// A folder of the agent's own for each account, where its own sign-in stays.
fn profile(context: &Context, agent: &Agent<'_>) -> Result<(String, PathBuf), CommandError> {
    let known = agent.known.and_then(|known| Some((known, known.profile.as_ref()?)));
    let found = known.and_then(|(known, profile)| Some((&known.id, profile.variable.clone()?)));
    let Some((id, variable)) = found else {
        return Err(CommandError::usage(format!(
            "{} is not known to take its profile from a variable",
            agent.title()
        )));
    };
    let account = context.account().unwrap_or("default");
    if !credential::is_part(account) {
        return Err(CommandError::usage(format!("{} is not an account", text::clean(account))));
    }
    let folder = context.paths()?.state.join("acp").join(id).join(account);
    private_file::make_directory(&folder).map_err(|error| {
        CommandError::new(Kind::Failed, format!("cannot make {}: {error}", folder.display()))
    })?;
    context.ui.notice(&format!(
        "authctl: {} has its own sign-in and settings in {} ({variable})",
        agent.title(),
        folder.display()
    ));
    Ok((variable, folder))
}

/// How the agent takes a credential, and the variable for it where that is not its kind's. One that writes keys down
/// gets none while it runs, but at a start with a profile of that run; unless that way is `forced`.
pub fn taken(
    context: &Context,
    agent: &Agent<'_>,
    handing: &Handing,
    forced: Option<Way>,
) -> Result<(AcpProvider, Option<String>), CommandError> {
    let name = &handing.named.name;
    let known = agent.ways(name.provider());
    let mut ways = known.unwrap_or_else(|| AcpProvider::unknown(name.provider()));
    if context.provider(name)?.base_url.is_none() {
        (ways.providers_set, ways.gateway, ways.base_url) = (None, None, None);
    }
    if forced.is_none() && agent.known.is_some_and(copies::writes_down) {
        ways.in_band = None;
    }
    let chosen = handing.form.variable().map(str::to_owned);
    let variable = chosen.or_else(|| ways.variables.first().cloned());
    Ok((ways, variable))
}

/// The command that helps an agent for which there is nothing.
fn advice(agent: &Agent<'_>) -> String {
    let line = agent.line();
    let none =
        || format!("no credential is for {}: authctl acp --with NAME -- {line}", agent.title());
    let Some(known) = agent.known else { return none() };
    match (&known.login_only, &known.login, known.providers.first()) {
        (Some(_), Some(login), _) => format!("{} has a sign-in of its own: {login}", known.title),
        (_, _, Some(first)) => {
            format!("sign in with: authctl login {} (then try again)", first.provider)
        }
        _ => none(),
    }
}
