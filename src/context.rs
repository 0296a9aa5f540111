//! What every command is handed: how to talk, where things are, the configuration, the store and the
//! HTTP client. Each is made when it is first asked for, so that a command pays for what it uses.

mod acquire;

use std::cell::{Cell, OnceCell};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::audit::{Entry, Log, Page};
use crate::config::{self, Config, Manifest, Provider, StoreChoice};
use crate::credential::{self, Name};
use crate::error::{CommandError, Kind, chain};
use crate::headless::Surroundings;
use crate::http::{Http, parse_url};
use crate::interact::Interact;
use crate::login::Login;
use crate::paths::{self, Paths};
use crate::policy::{self, Standing};
use crate::resolve::Resolver;
use crate::store::{self, Choice, Store};
use crate::ui::{Manner, Ui};

/// The global flags, as typed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub manner: Manner,
    /// `--account`: for every name that gives none.
    pub account: Option<String>,
}

/// A name as typed, and whether an account was named with it: given credentials stand for the
/// default account only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: Name,
    pub account_named: bool,
}

impl Named {
    /// Whether a stored credential is meant: one account, or all of a provider where none was named.
    pub fn covers(&self, name: &Name) -> bool {
        if self.account_named {
            self.name == *name
        } else {
            self.name.provider() == name.provider()
        }
    }
}

/// Everything a command works with.
pub struct Context {
    options: Options,
    pub ui: Arc<Ui>,
    pub http: Http,
    /// Builds the description of the command line, for completions and man pages.
    pub command_line: fn() -> clap::Command,
    paths: OnceCell<Paths>,
    config: OnceCell<Config>,
    store: OnceCell<Store>,
    /// A store that a person chose during this run.
    chosen: OnceCell<Store>,
    /// How many sign-ins are being followed to the one that they begin with.
    chain: Cell<u8>,
    manifest: OnceCell<Option<(Manifest, Standing)>>,
    /// Whether it was said that the audit log cannot be written.
    is_log_warned: Cell<bool>,
}

impl Context {
    pub fn new(options: Options, command_line: fn() -> clap::Command) -> Self {
        Self {
            ui: Arc::new(Ui::new(options.manner)),
            options,
            http: Http::new(),
            command_line,
            paths: OnceCell::new(),
            config: OnceCell::new(),
            store: OnceCell::new(),
            chosen: OnceCell::new(),
            chain: Cell::new(0),
            manifest: OnceCell::new(),
            is_log_warned: Cell::new(false),
        }
    }

    /// The flags that it was made of.
    pub fn options(&self) -> Options {
        self.options.clone()
    }

    pub fn paths(&self) -> Result<&Paths, CommandError> {
        get_or_try_init(&self.paths, || Ok(Paths::from_environment()?))
    }

    pub fn config(&self) -> Result<&Config, CommandError> {
        get_or_try_init(&self.config, || {
            let paths = self.paths()?;
            Ok(Config::load(&paths.config_file(), &paths.servers_file())?)
        })
    }

    pub fn provider(&self, name: &Name) -> Result<&Provider, CommandError> {
        Ok(self.config()?.provider(name.provider())?)
    }

    /// The store of the configuration, or of `AUTHCTL_STORE`; opened when it is first read.
    pub fn store(&self) -> Result<&Store, CommandError> {
        if let Some(store) = self.chosen.get() {
            return Ok(store);
        }
        get_or_try_init(&self.store, || {
            let interact: Arc<dyn Interact> = self.ui.clone();
            Ok(Store::new(self.store_choice()?, self.paths()?, interact))
        })
    }

    fn store_choice(&self) -> Result<Choice, CommandError> {
        match environment(paths::STORE).as_deref() {
            Some("keychain") => self.choice(StoreChoice::Keychain),
            Some("file") => self.choice(StoreChoice::File),
            Some(other) => Err(CommandError::usage(format!(
                "{} is {:?}; it can be keychain or file",
                paths::STORE,
                crate::text::clean(other)
            ))),
            None => self.choice(self.config()?.store.unwrap_or(StoreChoice::Keychain)),
        }
    }

    /// Uses this store from now on, for the first time it is asked for.
    pub fn choose_store(&self, choice: StoreChoice) -> Result<(), CommandError> {
        let choice = self.choice(choice)?;
        let interact: Arc<dyn Interact> = self.ui.clone();
        self.chosen
            .set(Store::new(choice, self.paths()?, interact))
            .map_err(|_| CommandError::new(Kind::Failed, "the store was chosen twice"))
    }

    fn choice(&self, choice: StoreChoice) -> Result<Choice, CommandError> {
        Ok(match choice {
            StoreChoice::Keychain => Choice::Keychain,
            StoreChoice::File => Choice::File { passphrase: self.config()?.passphrase },
        })
    }

    /// Whether somebody chose the store, rather than getting the default.
    pub fn store_is_chosen(&self) -> Result<bool, CommandError> {
        Ok(environment(paths::STORE).is_some() || self.config()?.store.is_some())
    }

    /// The id of a credential that the environment gives: given with it, else random and kept for the
    /// provider, so that it stays the same while the key is replaced.
    pub fn given_id(&self, provider: &Provider) -> Result<String, CommandError> {
        if let Some(id) = environment(&crate::inject::id_variable(&provider.id)) {
            return Ok(crate::text::clean(&id));
        }
        Ok(store::given_id(&self.paths()?.state, &provider.id))
    }

    /// The coding agent that runs this process, if its marks are in the environment.
    pub fn agent_at_the_keyboard(&self) -> Result<Option<String>, CommandError> {
        let agent = policy::at_keyboard(self.config()?, &raw_environment);
        Ok(agent.map(|agent| agent.title.clone()))
    }

    /// The audit log, whether or not it is switched on.
    pub fn log(&self) -> Result<Log, CommandError> {
        let rule = &self.config()?.log;
        let file = match &rule.file {
            Some(file) => file.clone(),
            None => self.paths()?.audit_file(),
        };
        Ok(Log::new(file, rule.max_bytes))
    }

    /// Adds a line to the audit log, with the agent at the keyboard and the working directory. What
    /// cannot be written is said once, and stops nothing.
    pub fn record(&self, entry: Entry) {
        if self.keeps_log() {
            self.record_page(&self.placed(entry).into());
        }
    }

    /// A line with what all of them say.
    pub fn placed(&self, entry: Entry) -> Entry {
        let directory = std::env::current_dir().ok();
        let directory = directory.map(|directory| directory.to_string_lossy().into_owned());
        Entry { agent: self.agent_at_the_keyboard().ok().flatten(), directory, ..entry }
    }

    /// Whether lines are written at all. A configuration that cannot be read is an error of the command itself.
    pub fn keeps_log(&self) -> bool {
        self.config().is_ok_and(|config| config.log.enabled)
    }

    /// Several lines at once, which have what all of them say.
    pub fn record_page(&self, page: &Page) {
        let Ok(log) = self.log() else { return };
        if let Err(error) = log.append(page)
            && !self.is_log_warned.replace(true)
        {
            self.ui.warn(&format!("the audit log is not written: {}", chain(&error)));
        }
    }

    pub fn resolver(&self) -> Result<Resolver<'_>, CommandError> {
        let store = self.store()?;
        Ok(Resolver { store, http: &self.http, logins: self, clock: Timestamp::now })
    }

    pub fn login(&self) -> Result<Login<'_>, CommandError> {
        Ok(Login {
            store: self.store()?,
            http: &self.http,
            interact: self.ui.as_ref(),
            logins: self,
            clock: Timestamp::now,
            surroundings: Surroundings::look(
                &raw_environment,
                &|path| path.exists(),
                self.ui.can_ask(),
            ),
        })
    }

    /// The manifest nearest to the working directory, and whether a person approved it. Read once: what
    /// was approved is what is used.
    pub fn manifest(&self) -> Result<Option<&(Manifest, Standing)>, CommandError> {
        let found = get_or_try_init(&self.manifest, || {
            let Some(path) = manifest_path() else { return Ok(None) };
            let manifest = Manifest::read(&path, self.config()?)?;
            let standing = policy::standing(&self.paths()?.state, &manifest)?;
            Ok(Some((manifest, standing)))
        })?;
        Ok(found.as_ref())
    }

    /// Whether there is a manifest here, and nothing was ever approved at its place.
    pub fn has_new_manifest(&self) -> Result<bool, CommandError> {
        let Some(path) = manifest_path() else { return Ok(false) };
        Ok(policy::approval(&self.paths()?.state, &path)?.is_none())
    }

    /// The account that the directory's manifest names for a provider. One that was never approved
    /// counts for nothing, whatever is wrong with it; one that changed stops what it would change.
    fn account_from_manifest(&self, provider: &str) -> Result<Option<String>, CommandError> {
        let Some(path) = manifest_path() else { return Ok(None) };
        let Some(approval) = policy::approval(&self.paths()?.state, &path)? else {
            self.warn_of_unapproved_account(provider);
            return Ok(None);
        };
        let Some((manifest, standing)) = self.manifest()? else { return Ok(None) };
        let account = manifest.asked.accounts.get(provider);
        if account == approval.asked.accounts.get(provider) {
            return Ok(account.cloned());
        }
        match policy::Error::of(manifest, standing) {
            Some(error) => Err(error.into()),
            None => Ok(account.cloned()),
        }
    }

    fn warn_of_unapproved_account(&self, provider: &str) {
        if let Ok(Some((manifest, _))) = self.manifest()
            && let Some(account) = manifest.asked.accounts.get(provider)
        {
            let path = crate::text::clean_to(&manifest.path.to_string_lossy(), 1_000);
            self.ui.warn(&format!(
                "{path} names the account {account} for {provider}, and is not approved; \
                 authctl trust shows it"
            ));
        }
    }

    /// `--account`, as typed.
    pub fn account(&self) -> Option<&str> {
        self.options.account.as_deref()
    }

    /// `--account` alone means nothing: there is no name that it could complete.
    pub fn refuse_account_alone(&self) -> Result<(), CommandError> {
        match &self.options.account {
            None => Ok(()),
            Some(account) => {
                Err(CommandError::usage("--account completes a name, and none is given")
                    .hint(format!("authctl status PROVIDER:{}", crate::text::clean(account))))
            }
        }
    }

    /// The credential that a name as typed means: its own account, else `--account`, else
    /// `AUTHCTL_ACCOUNT`, else that of the directory's manifest, else `default`. Only the command line can
    /// name the default account: elsewhere it means that none is named.
    pub fn name(&self, typed: &str) -> Result<Named, CommandError> {
        if let Ok(url) = parse_url(typed)
            && let Some(provider) = self.config()?.at(&url)
        {
            return self.name(&provider.id);
        }
        let name: Name = typed.parse()?;
        if typed.contains(':') {
            return Ok(Named { name, account_named: true });
        }
        if let Some(account) = &self.options.account {
            return Ok(Named { name: name.with_account(account)?, account_named: true });
        }
        let account = match account_from_environment(name.provider())? {
            Some(account) => Some(account),
            None => self.account_from_manifest(name.provider())?,
        };
        let name = account.map_or(Ok(name.clone()), |account| name.with_account(&account))?;
        let account_named = !name.is_default_account();
        Ok(Named { name, account_named })
    }
}

/// A working directory that is gone has no manifest.
fn manifest_path() -> Option<PathBuf> {
    config::nearest_manifest(&std::env::current_dir().ok()?, paths::home().as_deref())
}

/// `AUTHCTL_ACCOUNT` is one account for all providers (`work`), or a list (`github:work,openai:me`). One
/// that cannot be read is an error: the default account would be another person's.
fn account_from_environment(provider: &str) -> Result<Option<String>, CommandError> {
    let value = environment(paths::ACCOUNT).unwrap_or_default();
    let (mut own, mut for_all) = (None, None);
    for entry in value.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (named, account) = entry.split_once(':').unwrap_or((provider, entry));
        if !credential::is_part(named) || !credential::is_part(account) {
            return Err(CommandError::usage(format!(
                "{} is {:?}; it can be an account (work) or a list (github:work,openai:me)",
                paths::ACCOUNT,
                crate::text::clean(&value)
            )));
        }
        match entry.contains(':') {
            true if named == provider => own = Some(account.to_owned()),
            true => {}
            false => for_all = Some(account.to_owned()),
        }
    }
    Ok(own.or(for_all))
}

/// A variable of this process that is set and not empty. One that is not text is not taken for one that
/// is missing: whoever reads it refuses what it cannot be.
pub fn environment(variable: &str) -> Option<String> {
    raw_environment(variable).map(|value| value.to_string_lossy().into_owned())
}

/// The same for the code that must see values which are not text.
pub fn raw_environment(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}

/// The working directory, or an error that says so.
pub fn working_directory() -> Result<PathBuf, CommandError> {
    std::env::current_dir().map_err(|error| {
        CommandError::new(Kind::Failed, format!("cannot tell the working directory: {error}"))
    })
}

/// `OnceCell::get_or_try_init`, which the standard library keeps unstable.
fn get_or_try_init<T>(
    cell: &OnceCell<T>,
    make: impl FnOnce() -> Result<T, CommandError>,
) -> Result<&T, CommandError> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}
