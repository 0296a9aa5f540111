//! What a client runs to reach a server: a command, which may be authctl's.

use url::Url;

/// What a client runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub command: String,
    pub args: Vec<String>,
}

/// The command of authctl that an entry runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    Mcp,
    Exec,
}

impl Through {
    pub fn as_str(self) -> &'static str {
        match self {
            Through::Mcp => "mcp",
            Through::Exec => "exec",
        }
    }
}

impl Entry {
    pub fn through(&self) -> Option<Through> {
        if !is_authctl(&self.command) {
            return None;
        }
        match self.args.first().map(String::as_str) {
            Some("mcp") => Some(Through::Mcp),
            Some("exec") => Some(Through::Exec),
            _ => None,
        }
    }

    /// Where it leads, in a few words: a host or a program. The rest of an address may be a secret.
    pub fn target(&self) -> Option<String> {
        if self.through().is_none() {
            return Some(file_name(&self.command).to_owned());
        }
        let behind = self.args.iter().skip_while(|arg| *arg != "--").nth(1);
        let program = behind.map(|program| file_name(program).to_owned());
        program.or_else(|| self.args.iter().find_map(|arg| origin(arg)))
    }
}

/// Whether a command is authctl, by its name or by the one that the running program has.
pub fn is_authctl(command: &str) -> bool {
    let name = file_name(command);
    let own = std::env::current_exe().ok();
    matches!(name, "authctl" | "authctl.exe")
        || own.is_some_and(|own| own.file_name().is_some_and(|own| own == name))
}

/// The last part of a path of any platform.
pub fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

/// Scheme, host and port of an address.
pub fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(Url::has_host)?;
    Some(url.origin().ascii_serialization())
}
