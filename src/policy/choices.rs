//! What a person chose when `exec` asked, remembered for one program in one project. The program is
//! the file that runs, not the name that was typed; programs that run other programs are never
//! remembered, since the answer would be given to whatever comes next.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::digest::sha256;
use crate::private_file;

/// The file of one choice. Program and project stand in it, too: the name of the file is only their
/// hash, and `--with` lists must not be handed to any other pair.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    program: String,
    project: String,
    with: Vec<String>,
}

/// The remembered values of `--with` for `program` (resolved) in `project` ([`project_root`]).
/// `state` is the state directory.
pub fn recall(state: &Path, program: &Path, project: &Path) -> Result<Option<Vec<String>>, Error> {
    if !can_remember(program) {
        return Ok(None);
    }
    let (Some(program), Some(project)) = (program.to_str(), project.to_str()) else {
        return Ok(None);
    };
    let found: Option<Choice> = super::read(&file(state, program, project))?;
    Ok(found.filter(|c| c.program == program && c.project == project).map(|choice| choice.with))
}

/// Remembers a choice, in place of an earlier one. Ask [`can_remember`] first: nothing is written for
/// a program that runs others.
pub fn remember(
    state: &Path,
    program: &Path,
    project: &Path,
    with: &[String],
) -> Result<(), Error> {
    if !can_remember(program) {
        return Ok(());
    }
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| Error::NotText { path: path.to_owned() })
    };
    let choice = Choice { program: text(program)?, project: text(project)?, with: with.to_vec() };
    super::write(&file(state, &choice.program, &choice.project), &choice)
}

/// Forgets the choice for this pair, if there is one.
pub fn forget(state: &Path, program: &Path, project: &Path) -> Result<(), Error> {
    if let (Some(program), Some(project)) = (program.to_str(), project.to_str()) {
        private_file::remove(&file(state, program, project))?;
    }
    Ok(())
}

/// The nearest of `directory` and its ancestors that holds a repository or an `authctl.toml`; the
/// directory itself where none does.
pub fn project_root(directory: &Path) -> PathBuf {
    const MARKS: [&str; 4] = [".git", ".jj", ".hg", "authctl.toml"];
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let root = directory.ancestors().find(|at| MARKS.iter().any(|mark| at.join(mark).exists()));
    root.unwrap_or(&directory).to_owned()
}

fn file(state: &Path, program: &str, project: &str) -> PathBuf {
    // No path has a NUL, so no two pairs make the same text.
    let pair = format!("{program}\0{project}");
    state.join("choices").join(sha256(pair.as_bytes()) + ".json")
}

/// Whether a choice for this program may be remembered: it is not a shell, an interpreter or a
/// launcher, by the name of the file or of what a link leads to.
pub fn can_remember(program: &Path) -> bool {
    let target = program.canonicalize();
    let names = [Some(program), target.as_deref().ok()].into_iter().flatten();
    names.filter_map(Path::file_name).all(|name| !runs_others(&name.to_string_lossy()))
}

/// Knows `python3.12`, `npx.cmd` and `npx-cli.js` by `python` and `npx`.
fn runs_others(file_name: &str) -> bool {
    let name = file_name.to_ascii_lowercase();
    let name =
        EXTENSIONS.iter().find_map(|extension| name.strip_suffix(extension)).unwrap_or(&name);
    let name = name.strip_suffix("-cli").unwrap_or(name);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '_'));
    [name, bare].iter().any(|name| RUN_OTHERS.contains(name))
}

const EXTENSIONS: [&str; 8] = [".exe", ".cmd", ".bat", ".ps1", ".com", ".js", ".mjs", ".cjs"];

/// Shells, interpreters, and programs whose arguments say which program runs.
const RUN_OTHERS: &[&str] = &[
    // shells
    "sh",
    "bash",
    "rbash",
    "dash",
    "ash",
    "zsh",
    "fish",
    "ksh",
    "mksh",
    "oksh",
    "yash",
    "csh",
    "tcsh",
    "nu",
    "elvish",
    "xonsh",
    "osh",
    "ysh",
    "oil",
    "pwsh",
    "powershell",
    "cmd",
    "busybox",
    "toybox",
    // interpreters
    "python",
    "pythonw",
    "pypy",
    "ipython",
    "py",
    "node",
    "nodejs",
    "deno",
    "bun",
    "tsx",
    "ts-node",
    "ruby",
    "irb",
    "jruby",
    "perl",
    "php",
    "lua",
    "luajit",
    "tclsh",
    "wish",
    "expect",
    "java",
    "jshell",
    "kotlin",
    "scala",
    "groovy",
    "clojure",
    "bb",
    "rscript",
    "r",
    "julia",
    "octave",
    "guile",
    "racket",
    "awk",
    "gawk",
    "mawk",
    "nawk",
    "osascript",
    "dotnet",
    "mono",
    "wine",
    "elixir",
    "erl",
    "escript",
    "ghci",
    "runghc",
    "ocaml",
    "swift",
    "electron",
    // package runners and version managers
    "npx",
    "npm",
    "pnpm",
    "pnpx",
    "yarn",
    "yarnpkg",
    "bunx",
    "corepack",
    "volta",
    "fnm",
    "nvm",
    "nodenv",
    "uv",
    "uvx",
    "pip",
    "pipx",
    "pipenv",
    "poetry",
    "pdm",
    "hatch",
    "rye",
    "pixi",
    "conda",
    "mamba",
    "micromamba",
    "tox",
    "nox",
    "pyenv",
    "cargo",
    "rustup",
    "go",
    "bundle",
    "bundler",
    "gem",
    "rake",
    "rbenv",
    "rvm",
    "composer",
    "mix",
    "sbt",
    "mvn",
    "gradle",
    "ant",
    "mise",
    "rtx",
    "asdf",
    "direnv",
    "nix",
    "nix-shell",
    "nix-env",
    "guix",
    "devbox",
    "flox",
    "brew",
    "snap",
    "flatpak",
    // task runners
    "make",
    "gmake",
    "ninja",
    "just",
    "task",
    "turbo",
    "nx",
    "lerna",
    "bazel",
    "bazelisk",
    "buck",
    "foreman",
    "honcho",
    "overmind",
    "hivemind",
    "pm2",
    "nodemon",
    "entr",
    "watchexec",
    "watch",
    "pre-commit",
    // wrappers
    "authctl",
    "env",
    "sudo",
    "sudoedit",
    "doas",
    "pkexec",
    "su",
    "runuser",
    "nice",
    "ionice",
    "chrt",
    "taskset",
    "nohup",
    "setsid",
    "setpriv",
    "timeout",
    "time",
    "stdbuf",
    "unbuffer",
    "script",
    "xargs",
    "parallel",
    "find",
    "fd",
    "fdfind",
    "tmux",
    "screen",
    "zellij",
    "dtach",
    "abduco",
    "strace",
    "ltrace",
    "gdb",
    "lldb",
    "rr",
    "perf",
    "valgrind",
    "unshare",
    "nsenter",
    "chroot",
    "bwrap",
    "firejail",
    "systemd-run",
    "systemd-nspawn",
    "dbus-run-session",
    "dbus-launch",
    "xvfb-run",
    "faketime",
    "fakeroot",
    "proot",
    "rlwrap",
    "tsocks",
    "torsocks",
    "proxychains",
    "ssh",
    "mosh",
    "docker",
    "podman",
    "nerdctl",
    "kubectl",
    "vagrant",
    "wsl",
    "start",
    "open",
    "xdg-open",
    "git",
    "vim",
    "nvim",
    "emacs",
    "emacsclient",
    "code",
    "op",
    "doppler",
    "infisical",
    "chamber",
    "aws-vault",
    "teller",
    "dotenv",
    "dotenvx",
    "varlock",
    "envchain",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn list(with: &[&str]) -> Vec<String> {
        with.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_choice_holds_for_its_program_in_its_project() {
        let state = tempfile::tempdir().unwrap();
        let at = |program: &str, project: &str| {
            recall(state.path(), program.as_ref(), project.as_ref()).unwrap()
        };
        let (agent, project) = (Path::new("/opt/agent"), Path::new("/home/me/project"));
        assert_eq!(at("/opt/agent", "/home/me/project"), None);
        remember(state.path(), agent, project, &list(&["github:work", "openai=KEY"])).unwrap();
        let expected = list(&["github:work", "openai=KEY"]);
        assert_eq!(at("/opt/agent", "/home/me/project"), Some(expected));
        assert_eq!(at("/opt/other", "/home/me/project"), None);
        assert_eq!(at("/opt/agent", "/home/me/other"), None);
        forget(state.path(), agent, project).unwrap();
        forget(state.path(), agent, project).unwrap();
        assert_eq!(recall(state.path(), agent, project).unwrap(), None);
        remember(state.path(), agent, project, &[]).unwrap();
        assert_eq!(at("/opt/agent", "/home/me/project"), Some(vec![]));
    }

    #[test]
    fn a_file_of_another_pair_gives_nothing() {
        let state = tempfile::tempdir().unwrap();
        let (agent, project) = (Path::new("/opt/agent"), Path::new("/p"));
        remember(state.path(), agent, project, &list(&["github"])).unwrap();
        let other = file(state.path(), "/opt/other", "/p");
        std::fs::rename(file(state.path(), "/opt/agent", "/p"), other).unwrap();
        assert_eq!(recall(state.path(), "/opt/other".as_ref(), project).unwrap(), None);
    }

    #[test]
    fn programs_that_run_others_are_never_remembered() {
        for name in [
            "sh",
            "bash",
            "python3",
            "python3.12",
            "node",
            "npx",
            "npx-cli.js",
            "npx.cmd",
            "PowerShell.exe",
            "env",
            "sudo",
            "uvx",
            "ruby3.3",
            "perl5.36.0",
            "lua5.4",
            "php8.2",
            "node-22",
            "git",
            "authctl",
            "java",
            "make",
            "bun",
            "pnpm.cjs",
        ] {
            assert!(!can_remember(&Path::new("/nowhere").join(name)), "{name}");
        }
        for name in
            ["claude", "codex", "gemini", "agent", "my-shell-tool", "printenv", "fish-agent"]
        {
            assert!(can_remember(&Path::new("/nowhere").join(name)), "{name}");
        }
        let state = tempfile::tempdir().unwrap();
        remember(state.path(), "/bin/sh".as_ref(), "/p".as_ref(), &list(&["github"])).unwrap();
        assert!(!state.path().join("choices").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_shell_is_a_shell() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("agent");
        std::fs::write(directory.path().join("dash"), "").unwrap();
        std::os::unix::fs::symlink("dash", &link).unwrap();
        assert!(!can_remember(&link));
    }

    #[test]
    fn the_project_is_the_nearest_repository() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let deep = home.join("project/a/b");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(project_root(&deep), deep);
        std::fs::create_dir(home.join("project/.git")).unwrap();
        assert_eq!(project_root(&deep), home.join("project"));
        std::fs::write(home.join("project/a/authctl.toml"), "").unwrap();
        assert_eq!(project_root(&deep), home.join("project/a"));
    }
}
