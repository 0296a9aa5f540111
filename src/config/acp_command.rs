//! What a command line starts: a program by its file name, or a package that a launcher fetches or finds.
//! Which agent that is, is said elsewhere; a word that could be anything is nothing here.

use std::ffi::{OsStr, OsString};

/// What is started, without versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// By the name of its file, without `.exe`, `.js` and the like.
    Program(String),
    /// A package of npm.
    Npm(String),
    /// A package or module of Python, as PEP 503 writes names.
    Python(String),
}

/// What these words start; `None` where a launcher does not say.
pub fn started(program: &OsStr, arguments: &[OsString]) -> Option<Started> {
    let words: Vec<&str> = [Some(program.to_str()?)]
        .into_iter()
        .chain(arguments.iter().map(|word| word.to_str()))
        .map_while(|word| word)
        .collect();
    of_words(&words)
}

fn of_words(words: &[&str]) -> Option<Started> {
    let (program, rest) = words.split_first()?;
    let name = file_name(program);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    match (bare, rest) {
        ("env", rest) => of_words(after_assignments(rest)?),
        ("npx" | "bunx" | "pnpx", rest)
        | ("pnpm" | "yarn", ["dlx", rest @ ..])
        | ("npm", ["exec" | "x", rest @ ..])
        | ("bun", ["x", rest @ ..]) => npm(rest),
        ("uvx", rest) | ("uv", ["tool", "run", rest @ ..]) | ("pipx", ["run", rest @ ..]) => {
            python(rest)
        }
        ("uv", ["run", rest @ ..]) => of_words(unless_option(rest)?),
        ("python" | "py", ["-m", module, ..]) => Some(Started::Python(normalised(module))),
        ("deno", ["run", rest @ ..]) => {
            let module = rest.iter().find_map(|word| word.strip_prefix("npm:"))?;
            Some(Started::Npm(without_version(module)))
        }
        ("node" | "nodejs" | "bun" | "tsx" | "python" | "py", rest) => script(rest),
        _ => Some(Started::Program(name)),
    }
}

/// `NAME=VALUE` words, as `env` takes them.
fn after_assignments<'a, 'b>(words: &'a [&'b str]) -> Option<&'a [&'b str]> {
    let first = words.iter().position(|word| !word.contains('='))?;
    unless_option(&words[first..])
}

fn unless_option<'a, 'b>(words: &'a [&'b str]) -> Option<&'a [&'b str]> {
    words.first().filter(|word| !word.starts_with('-')).map(|_| words)
}

/// The package that npx and its like start: the one that is named apart, else the first word.
fn npm(words: &[&str]) -> Option<Started> {
    let named = option(words, &["-p", "--package"], &["-c", "--call", "-w", "--workspace"])?;
    Some(Started::Npm(without_version(named)))
}

/// The same for uvx and pipx.
fn python(words: &[&str]) -> Option<Started> {
    const WITH_VALUE: [&str; 18] = [
        "-p",
        "--python",
        "--with",
        "--with-editable",
        "--with-requirements",
        "-w",
        "--index",
        "--default-index",
        "-i",
        "--index-url",
        "--extra-index-url",
        "-f",
        "--find-links",
        "--directory",
        "--project",
        "--config-file",
        "--cache-dir",
        "--pip-args",
    ];
    let named = option(words, &["--from", "--spec"], &WITH_VALUE)?;
    let name = named.split(['=', '<', '>', '!', '~', '[', '@', ' ', ';']).next()?;
    Some(Started::Python(normalised(name)))
}

/// The value of one of the options `wanted`, else the first word that is no option.
fn option<'a>(words: &[&'a str], wanted: &[&str], with_value: &[&str]) -> Option<&'a str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if wanted.contains(word) {
            return words.next().copied();
        }
        if let Some((name, value)) = word.split_once('=')
            && wanted.contains(&name)
        {
            return Some(value);
        }
        if with_value.contains(word) {
            words.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// The program or package that a script belongs to: by the folder of packages that it is in, else by its name.
fn script(words: &[&str]) -> Option<Started> {
    let path = words.iter().find(|word| !word.starts_with('-'))?.replace('\\', "/");
    let Some((_, inside)) = path.rsplit_once("node_modules/") else {
        return Some(Started::Program(file_name(&path)));
    };
    let mut parts = inside.split('/');
    match (parts.next()?, parts.next()) {
        (".bin", Some(name)) => Some(Started::Program(file_name(name))),
        (scope, Some(name)) if scope.starts_with('@') => {
            Some(Started::Npm(format!("{scope}/{name}")))
        }
        (name, _) => Some(Started::Npm(name.to_owned())),
    }
}

/// The last part of a path, without what systems and languages add to it.
fn file_name(path: &str) -> String {
    const ENDINGS: [&str; 8] = [".exe", ".cmd", ".bat", ".ps1", ".js", ".mjs", ".cjs", ".py"];
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let ending = ENDINGS.iter().find(|ending| name.to_ascii_lowercase().ends_with(**ending));
    let name = &name[..name.len() - ending.map_or(0, |ending| ending.len())];
    name.to_owned()
}

/// `@scope/name@1.2` and `npm:name@latest` without what follows the name.
fn without_version(package: &str) -> String {
    let package = package.strip_prefix("npm:").unwrap_or(package);
    let end = package.char_indices().skip(1).find(|(_, c)| *c == '@').map(|(at, _)| at);
    package[..end.unwrap_or(package.len())].to_owned()
}

/// A name as PEP 503 compares it.
pub fn normalised(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Started> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        started(&words[0], &words[1..])
    }

    fn program(name: &str) -> Started {
        Started::Program(name.into())
    }

    fn npm(name: &str) -> Started {
        Started::Npm(name.into())
    }

    fn python(name: &str) -> Started {
        Started::Python(name.into())
    }

    #[test]
    fn a_program_is_known_by_its_file() {
        assert_eq!(of("codex-acp"), Some(program("codex-acp")));
        assert_eq!(of("/opt/bin/codex-acp --x"), Some(program("codex-acp")));
        assert_eq!(of(r"C:\tools\gemini.CMD --acp"), Some(program("gemini")));
        assert_eq!(of("env A=b C=d kimi acp"), Some(program("kimi")));
        assert_eq!(of("env -S kimi"), None);
    }

    #[test]
    fn a_package_is_known_by_what_its_launcher_fetches() {
        assert_eq!(of("npx -y @x/codex-acp@2.6.0"), Some(npm("@x/codex-acp")));
        assert_eq!(of("npx.cmd --yes cline@latest --acp"), Some(npm("cline")));
        assert_eq!(of("npx -p @google/gemini-cli@1 gemini --acp"), Some(npm("@google/gemini-cli")));
        assert_eq!(of("npx --package=@google/gemini-cli gemini"), Some(npm("@google/gemini-cli")));
        assert_eq!(of("bunx pi-acp"), Some(npm("pi-acp")));
        assert_eq!(of("bun x pi-acp"), Some(npm("pi-acp")));
        assert_eq!(of("pnpm dlx pi-acp@0.0.34"), Some(npm("pi-acp")));
        assert_eq!(of("npm exec -- pi-acp"), Some(npm("pi-acp")));
        assert_eq!(of("deno run -A npm:pi-acp@1"), Some(npm("pi-acp")));
        assert_eq!(of("uvx kimi_CLI==1.49.0 acp"), Some(python("kimi-cli")));
        assert_eq!(of("uvx --from kimi-cli==1.49.0 kimi acp"), Some(python("kimi-cli")));
        assert_eq!(of("uvx --python 3.12 --with x crow-cli@1 acp"), Some(python("crow-cli")));
        assert_eq!(of("uv tool run crow-cli acp"), Some(python("crow-cli")));
        assert_eq!(of("pipx run --spec mistral-vibe[x] vibe-acp"), Some(python("mistral-vibe")));
        assert_eq!(of("python3.12 -m deepagents_acp"), Some(python("deepagents-acp")));
        assert_eq!(of("npx"), None);
        assert_eq!(of("uvx --from"), None);
    }

    #[test]
    fn a_script_is_known_by_its_package_or_its_name() {
        assert_eq!(of("node /a/node_modules/@x/y/dist/index.js"), Some(npm("@x/y")));
        assert_eq!(of("node /a/node_modules/@x/y/node_modules/z/index.js"), Some(npm("z")));
        assert_eq!(
            of("node --no-warnings ./node_modules/.bin/codex-acp"),
            Some(program("codex-acp"))
        );
        assert_eq!(of("node path/to/claude-agent-acp.mjs"), Some(program("claude-agent-acp")));
        assert_eq!(of("python /venv/bin/kimi acp"), Some(program("kimi")));
        assert_eq!(of("uv run gptme-acp"), Some(program("gptme-acp")));
        assert_eq!(of("uv run --with x gptme-acp"), None);
        assert_eq!(of("node"), None);
    }
}
