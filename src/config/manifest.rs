//! `authctl.toml`: which credentials the programs of a directory ask for. It comes from whoever wrote the
//! directory's files, so it names providers, accounts and variables and nothing else: no destination,
//! command, helper, provider or scope can be said in it, and it counts for nothing until a person has
//! approved just these bytes at just this place (`policy`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::file::{Document, Problem};
use super::{Config, Error, trusted, value};
use crate::credential::{self, Name};
use crate::digest::sha256;

/// The name of the file.
pub const FILE: &str = "authctl.toml";
/// Longest manifest read, in bytes: it is shown to a person before it counts.
const LIMIT: u64 = 16 * 1024;

/// A manifest as it was read once: what it asks for is what these bytes say, and the hash is theirs.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Without links in its directory.
    pub path: PathBuf,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
    pub asked: Asked,
}

/// What a manifest asks for, in the words of the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// As after `--with`: NAME, or NAME=VARIABLE.
    pub with: Vec<String>,
    /// As after `--env-header`: VARIABLE=NAME.
    pub env_header: Vec<String>,
    /// By provider: the account that a name without one means.
    pub accounts: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    with: Vec<Spanned<String>>,
    #[serde(default)]
    env_header: Vec<Spanned<String>>,
    #[serde(default)]
    accounts: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// The manifest nearest to `directory`: there or in a directory above, but neither above `home` nor on
/// another file system.
pub fn nearest_manifest(directory: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let directory = directory.canonicalize().ok()?;
    let home = home.and_then(|home| home.canonicalize().ok());
    let device = device(&directory);
    for at in directory.ancestors().take_while(|at| self::device(at) == device) {
        let candidate = at.join(FILE);
        if fs::symlink_metadata(&candidate).is_ok() {
            return Some(candidate);
        }
        if home.as_deref() == Some(at) {
            break;
        }
    }
    None
}

#[cfg(unix)]
fn device(directory: &Path) -> Option<u64> {
    fs::metadata(directory).ok().map(|metadata| std::os::unix::fs::MetadataExt::dev(&metadata))
}

#[cfg(not(unix))]
fn device(_: &Path) -> Option<u64> {
    None
}

impl Manifest {
    /// Reads and checks the manifest at `path`, under the rules for `config.toml`: it belongs to this
    /// user or root, and nobody else can write it or put another in its place.
    pub fn read(path: &Path, config: &Config) -> Result<Self, Error> {
        trusted::check_place(path)?;
        let missing = || Error::Io {
            action: "find",
            path: path.to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        let bytes = trusted::read(path, LIMIT)?.ok_or_else(missing)?;
        let sha256 = sha256(&bytes);
        let text = super::text_of(path, bytes)?;
        let asked = parse(&Document { file: path, text: &text }, config)?;
        Ok(Self { path: path.to_owned(), sha256, asked })
    }
}

fn parse(document: &Document<'_>, config: &Config) -> Result<Asked, Error> {
    let file: File = document.read()?;
    let check = Check { document, config };
    for asked in &file.with {
        let (name, variable) = match asked.get_ref().split_once('=') {
            Some((name, variable)) => (name, Some(variable)),
            None => (asked.get_ref().as_str(), None),
        };
        check.name_in(asked, name, variable)?;
    }
    for asked in &file.env_header {
        let Some((variable, name)) = asked.get_ref().split_once('=') else {
            return Err(document.wrong(&Problem::new(asked.span(), "is not VARIABLE=NAME")));
        };
        check.name_in(asked, name, Some(variable))?;
    }
    for (provider, account) in &file.accounts {
        check.provider(provider, provider.get_ref())?;
        if !credential::is_part(account.get_ref()) {
            let what = "is not an account, such as work";
            return Err(document.wrong(&Problem::new(account.span(), what)));
        }
    }
    check.rivals(&file)?;
    let texts = |list: Vec<Spanned<String>>| list.into_iter().map(Spanned::into_inner).collect();
    let pair = |(provider, account): (Spanned<String>, Spanned<String>)| {
        (provider.into_inner(), account.into_inner())
    };
    Ok(Asked {
        with: texts(file.with),
        env_header: texts(file.env_header),
        accounts: file.accounts.into_iter().map(pair).collect(),
    })
}

/// How variables end that say where programs go, through whom, and what they run.
const STEERING: [&str; 11] = [
    "_URL",
    "_URI",
    "_HOST",
    "_ENDPOINT",
    "_REGISTRY",
    "_WRAPPER",
    "FLAGS",
    "_PROXY",
    "_COMMAND",
    "_API_BASE",
    "_INDEX",
];

struct Check<'a> {
    document: &'a Document<'a>,
    config: &'a Config,
}

impl Check<'_> {
    fn name_in(
        &self,
        place: &Spanned<String>,
        name: &str,
        variable: Option<&str>,
    ) -> Result<(), Error> {
        let wrong = |what: String| self.document.wrong(&Problem::new(place.span(), what));
        let name: Name = name.parse().map_err(|e: credential::BadName| wrong(e.to_string()))?;
        self.provider(place, name.provider())?;
        match variable {
            Some(variable) => self.variable(&name, variable).map_err(wrong),
            None => Ok(()),
        }
    }

    fn provider(&self, place: &Spanned<String>, id: &str) -> Result<(), Error> {
        match self.config.provider(id) {
            Ok(_) => Ok(()),
            Err(Error::UnknownProvider { name, nearest }) => {
                let line = self.document.line(place.span().start);
                let file = self.document.file.to_owned();
                Err(Error::UnknownInManifest { file, line, name, nearest })
            }
            Err(other) => Err(other),
        }
    }

    /// A variable that the programs of another provider read would send the credential there.
    fn variable(&self, name: &Name, variable: &str) -> Result<(), String> {
        value::check_variable(variable).map_err(|error| error.to_string())?;
        let reads = |provider: &&super::Provider| {
            provider.variables().any(|own| own.eq_ignore_ascii_case(variable))
        };
        let own = self.config.provider(name.provider()).ok();
        if own.as_ref().is_some_and(reads) {
            return Ok(());
        }
        match self.config.providers().find(reads) {
            Some(other) => Err(format!(
                "{variable} is read by programs of {}, which would send the credential there; a \
                 manifest cannot hand {name} over in it",
                other.id
            )),
            None if self.steers(variable) => Err(format!(
                "{variable} tells programs where to go, what to run or who runs them; a manifest \
                 cannot hand {name} over in it"
            )),
            None => Ok(()),
        }
    }

    /// Whether its name says that it leads programs somewhere, or it is the mark of an agent.
    fn steers(&self, variable: &str) -> bool {
        let upper = variable.to_ascii_uppercase();
        let is_steering = |end: &str| upper.ends_with(end) || upper == end.trim_start_matches('_');
        let mut markers = self.config.agents().flat_map(|agent| &agent.markers);
        STEERING.into_iter().any(is_steering)
            || markers.any(|marker| marker.variable.eq_ignore_ascii_case(variable))
    }

    /// Two credentials cannot go into one variable.
    fn rivals(&self, file: &File) -> Result<(), Error> {
        let mut taken: Vec<(&str, &str)> = Vec::new();
        let with = file.with.iter().map(|asked| {
            let typed = asked.get_ref();
            let (name, variable) =
                typed.split_once('=').unwrap_or((typed, self.only_variable(typed)));
            (asked, name, variable)
        });
        let headers = file.env_header.iter().map(|asked| {
            let (variable, name) = asked.get_ref().split_once('=').unwrap_or_default();
            (asked, name, variable)
        });
        for (asked, name, variable) in
            with.chain(headers).filter(|(.., variable)| !variable.is_empty())
        {
            match taken.iter().find(|(other, _)| *other == variable) {
                Some((_, other)) if *other != name => {
                    let what =
                        format!("{other} and {name} cannot both be handed over in {variable}");
                    return Err(self.document.wrong(&Problem::new(asked.span(), what)));
                }
                _ => taken.push((variable, name)),
            }
        }
        Ok(())
    }

    /// The variable of a provider whose every kind of credential goes into the same one; else nothing.
    fn only_variable(&self, name: &str) -> &str {
        let id = name.split(':').next().unwrap_or_default();
        let Ok(provider) = self.config.provider(id) else { return "" };
        let mut firsts = provider.schemes.iter().map(|scheme| scheme.variables.first());
        let first = firsts.next().flatten();
        first.filter(|first| firsts.all(|other| other == Some(*first))).map_or("", String::as_str)
    }
}

impl Asked {
    /// One line for each thing that is asked for, for people; equal lines mean the same.
    pub fn lines(&self) -> Vec<String> {
        let with = self.with.iter().map(|asked| match asked.split_once('=') {
            Some((name, variable)) => format!("{name} in {variable}"),
            None => asked.clone(),
        });
        let headers = self.env_header.iter().map(|asked| {
            let (variable, name) = asked.split_once('=').unwrap_or(("", asked));
            format!("{name} as a header in {variable}")
        });
        let accounts = self.accounts.iter();
        let accounts = accounts.map(|(provider, account)| format!("{provider} as {account}"));
        with.chain(headers).chain(accounts).map(|line| crate::text::clean(&line)).collect()
    }

    /// Whether it asks for any credential, rather than only naming accounts.
    pub fn hands_over(&self) -> bool {
        !self.with.is_empty() || !self.env_header.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Asked, Error> {
        parse(&Document { file: Path::new("authctl.toml"), text }, &Config::default())
    }

    fn refusal(text: &str) -> String {
        asked(text).unwrap_err().to_string()
    }

    #[test]
    fn names_accounts_and_variables_can_be_asked_for() {
        let asked = asked(
            "with = [\"github\", \"groq=MY_KEY\"]\nenv_header = [\"AUTH=openai:me\"]\n\
             [accounts]\ngithub = \"work\"\n",
        )
        .unwrap();
        assert_eq!(
            asked.lines(),
            ["github", "groq in MY_KEY", "openai:me as a header in AUTH", "github as work"]
        );
        assert!(asked.hands_over());
        assert!(!super::tests::asked("[accounts]\ngithub = \"work\"\n").unwrap().hands_over());
    }

    /// The manual page, whose first example is a manifest.
    const PAGE: &str = include_str!("../../man/authctl.toml.5");

    #[test]
    fn the_manual_page_names_every_key_and_its_example_loads() {
        let message = refusal("nothing = 1\n");
        let keys: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        assert_eq!(keys, ["with", "env_header", "accounts"], "{message}");
        assert!(keys.iter().all(|key| PAGE.contains(&format!(".It Ic {key}\n"))));
        let example = PAGE.split(".Bd -literal -offset indent\n").nth(1).unwrap();
        assert!(asked(example.split(".Ed").next().unwrap()).unwrap().hands_over());
    }

    #[test]
    fn whatever_else_is_said_is_an_error_with_its_place() {
        for (text, said) in [
            ("wiht = []\n", "authctl.toml:1: wiht: unknown key `wiht`; did you mean `with`?"),
            ("with = [\n\"groq\",\n\"Groq\"]\n", "authctl.toml:3: with: \"Groq\" is not a name"),
            ("with = [\"acme\"]\n", "authctl.toml:1: there is no provider acme"),
            ("[accounts]\nacme = \"x\"\n", "authctl.toml:2: there is no provider acme"),
            ("[accounts]\ngroq = \"a b\"\n", "authctl.toml:2: accounts.groq: is not an account"),
            ("with = [\"groq=PATH\"]\n", "authctl.toml:1: with: PATH steers programs"),
            ("with = [\"groq=A-B\"]\n", "authctl.toml:1: with: \"A-B\" is not a variable name"),
            ("env_header = [\"groq\"]\n", "authctl.toml:1: env_header: is not VARIABLE=NAME"),
            ("with = \"groq\"\n", "authctl.toml:1: with: invalid type"),
        ] {
            let message = refusal(text);
            assert!(message.starts_with(said), "{message}");
        }
    }

    #[test]
    fn nothing_goes_into_a_variable_that_is_sent_elsewhere() {
        for text in ["with = [\"github=OPENAI_API_KEY\"]", "env_header = [\"openai_api_key=groq\"]"]
        {
            let message = refusal(text);
            assert!(message.contains("is read by programs of openai"), "{message}");
        }
        assert!(asked("with = [\"openai=OPENAI_API_KEY\"]").is_ok());
    }

    #[test]
    fn nothing_goes_into_a_variable_that_steers_or_marks() {
        for variable in [
            "OPENAI_BASE_URL",
            "DATABASE_URI",
            "OLLAMA_HOST",
            "X_ENDPOINT",
            "NPM_CONFIG_REGISTRY",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "my_proxy",
            "X_COMMAND",
            "OPENAI_API_BASE",
            "UV_DEFAULT_INDEX",
            "HOST",
            "CLAUDECODE",
        ] {
            let message = refusal(&format!("with = [\n\"groq={variable}\"]"));
            assert!(message.starts_with("authctl.toml:2: with: "), "{message}");
        }
        assert!(asked("with = [\"groq=MY_HOST_KEY\"]").is_ok());
    }

    #[test]
    fn two_credentials_cannot_want_one_variable() {
        for text in [
            "with = [\"github=MYV\",\n\"xai=MYV\"]",
            "with = [\"groq\",\n\"groq:work\"]",
            "with = [\"github=MYV\"]\nenv_header = [\"MYV=xai\"]",
        ] {
            let message = refusal(text);
            assert!(message.starts_with("authctl.toml:2: "), "{message}");
            assert!(message.contains("cannot both be handed over in "), "{message}");
        }
        assert!(asked("with = [\"github=A\", \"github=B\", \"github=A\", \"groq\"]").is_ok());
    }

    #[test]
    fn the_nearest_manifest_counts_up_to_the_home() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let deep = root.join("home/project/src");
        fs::create_dir_all(&deep).unwrap();
        let nearest = || nearest_manifest(&deep, Some(&root.join("home")));
        fs::write(root.join(FILE), "").unwrap();
        assert_eq!(nearest(), None, "above the home");
        fs::write(root.join("home").join(FILE), "").unwrap();
        assert_eq!(nearest(), Some(root.join("home").join(FILE)));
        fs::write(root.join("home/project").join(FILE), "").unwrap();
        assert_eq!(nearest(), Some(root.join("home/project").join(FILE)));
        assert_eq!(nearest_manifest(&root.join("missing"), None), None);
    }
}
