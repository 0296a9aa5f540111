//! A file of another program that is changed: read under the rules of `private_file`, shown as a difference
//! without its secrets, and replaced whole, after a backup, if it is still what was read.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::clients::{Format, mask};
use crate::context::{Context, environment};
use crate::digest::sha256;
use crate::error::{CommandError, Kind};
use crate::private_file;
use crate::text::clean_to;
use crate::ui::{BAD, FAINT, GOOD};

/// Largest file read, in bytes: Claude Code keeps its history beside the servers.
pub const LIMIT: u64 = 16 * 1024 * 1024;
/// How many backups of a file are looked at.
const EARLIER: usize = 16;
/// Longest line of a difference that is shown, in characters.
const LINE: usize = 300;

/// What became of a replacement.
#[derive(Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Done; with the backup of what was there.
    Done(Option<PathBuf>),
    /// Another program was faster: the file is what that one made of it.
    Changed,
}

/// Which programs run with a person's credentials is for a person to say.
pub fn refuse_agents(context: &Context) -> Result<(), CommandError> {
    match context.agent_at_the_keyboard()? {
        None => Ok(()),
        Some(agent) => Err(CommandError::new(
            Kind::Failed,
            format!("{agent} is running this command; only a person can change these files"),
        )
        .hint("the same with --dry-run shows what would change")),
    }
}

/// The file behind the path by which a program knows a person's own file: dotfile managers put links there, and
/// those of this person are followed. What is written goes where they lead, and they stay.
pub fn behind(path: &Path) -> Result<PathBuf, CommandError> {
    let error = match private_file::follow(path) {
        Ok(file) => return Ok(file.unwrap_or_else(|| path.to_owned())),
        Err(error) => error,
    };
    match &error {
        private_file::Error::Io { path: missing, source, .. }
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Err(dangling(path, missing))
        }
        _ => Err(error.into()),
    }
}

/// A link to nothing: what is missing is made where there is a place for it, or the link goes.
fn dangling(path: &Path, missing: &Path) -> CommandError {
    let has_place = missing.parent().is_some_and(Path::is_dir);
    let (path, missing) = (path.display(), missing.display());
    let what = format!("{path} is a link to {missing}, and nothing is there");
    let error = CommandError::new(Kind::Failed, what);
    let error = if has_place { error.hint(format!("touch {missing}")) } else { error };
    error.hint(format!("rm {path}  (removes the link)"))
}

/// Refuses a project's file in a directory that leads out of the project: whoever made the project would choose
/// where it is written.
pub fn check_inside(project: &Path, path: &Path) -> Result<(), CommandError> {
    let is_there = |place: &&Path| place.symlink_metadata().is_ok();
    let place = path.parent().and_then(|place| place.ancestors().find(is_there));
    let Some(place) = place else { return Ok(()) };
    let there = place.canonicalize();
    let inner = project.canonicalize();
    if matches!((&there, &inner), (Ok(there), Ok(inner)) if there.starts_with(inner)) {
        return Ok(());
    }
    let place = place.display();
    let there = there.map_or_else(|_| "nothing".to_owned(), |there| there.display().to_string());
    let what = format!("{place} leads to {there}, which is not in this project");
    Err(CommandError::new(Kind::Failed, what).hint(format!("rm {place}  (removes the link)")))
}

/// A path for people, and where its links lead.
pub fn shown(path: &Path, file: &Path) -> String {
    if path == file {
        return path.display().to_string();
    }
    format!("{} (a link to {})", path.display(), file.display())
}

/// The text of a file of this user that is no link and has no second name; `None` where nothing is. `instead` is
/// what to do with the file that a link leads to.
pub fn read(
    path: &Path,
    instead: &dyn Fn(&Path) -> String,
) -> Result<Option<String>, CommandError> {
    let bytes = private_file::read_of_another(path, LIMIT).map_err(|error| {
        let Ok(target) = std::fs::read_link(path) else { return CommandError::from(error) };
        // A relative one is meant from the link's directory.
        let target = path.parent().map_or(target.clone(), |place| place.join(&target));
        match std::fs::metadata(&target) {
            Ok(metadata) if metadata.is_file() => CommandError::from(error).hint(instead(&target)),
            Err(none) if none.kind() == std::io::ErrorKind::NotFound => dangling(path, &target),
            _ => {
                CommandError::from(error).hint(format!("rm {}  (removes the link)", path.display()))
            }
        }
    })?;
    let text = bytes.map(String::from_utf8).transpose();
    text.map_err(|_| CommandError::usage(format!("{} is not UTF-8 text", path.display())))
}

/// Writes `after` where `before` was read. Two of authctl take turns; what any other program wrote since is
/// left alone.
pub fn replace(
    context: &Context,
    path: &Path,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<Replaced, CommandError> {
    let state = &context.paths()?.state;
    private_file::make_directory(state)?;
    let lock = private_file::open_lock(&state.join("client-files.lock"))?;
    lock.lock().map_err(|error| {
        CommandError::new(Kind::Failed, format!("cannot lock the clients' files: {error}"))
    })?;
    private_file::check_writable(path)?;
    let there = private_file::read_of_another(path, LIMIT)?;
    if there.as_deref() != before.map(str::as_bytes) {
        return Ok(Replaced::Changed);
    }
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (Some(before), None) => {
            let backup = back_up(context, path, before.as_bytes())?;
            private_file::remove(path)?;
            return Ok(Replaced::Done(Some(backup)));
        }
        (None, after) => return make(path, after.unwrap_or_default()),
    };
    let backup = back_up(context, path, before.as_bytes())?;
    private_file::replace_of_another(path, after.as_bytes())?;
    Ok(Replaced::Done(Some(backup)))
}

/// Makes a file where none was.
fn make(path: &Path, text: &str) -> Result<Replaced, CommandError> {
    if let Some(directory) =
        path.parent().filter(|place| !place.as_os_str().is_empty() && !place.exists())
    {
        private_file::make_directory(directory)?;
    }
    let is_made = private_file::create(path, text.as_bytes())?;
    Ok(if is_made { Replaced::Done(None) } else { Replaced::Changed })
}

/// What would change in a file, as a unified difference without colours in which only keys and `shown` are to be read.
pub fn difference(
    path: &Path,
    format: Format,
    before: Option<&str>,
    after: Option<&str>,
    shown: &dyn Fn(&str) -> bool,
) -> String {
    let masked = |text: &str| match format {
        // There the lines that stay are of no use either.
        Format::Dotenv | Format::Gh => mask_lines(text),
        _ => mask(format, text, shown),
    };
    let (old, new) = (masked(before.unwrap_or_default()), masked(after.unwrap_or_default()));
    let path = path.display().to_string();
    let from = before.map_or("/dev/null", |_| &path);
    let to = after.map_or("/dev/null", |_| &path);
    let lines = similar::TextDiff::from_lines(&old, &new);
    let mut text = String::new();
    for line in lines.unified_diff().context_radius(3).header(from, to).to_string().lines() {
        let indent = line.len() - line.trim_start().len();
        let (indent, line) = line.split_at(indent);
        let line = inner_blanks_kept(line);
        let _ = writeln!(text, "{indent}{line}");
    }
    text
}

/// A difference in colours, for a terminal.
pub fn painted(difference: &str) -> String {
    let mut text = String::new();
    for line in difference.lines() {
        let style = match line.as_bytes().first() {
            _ if line.starts_with("---") || line.starts_with("+++") => FAINT,
            Some(b'+') => GOOD,
            Some(b'-') => BAD,
            _ => anstyle::Style::new(),
        };
        let _ = writeln!(text, "{style}{line}{style:#}");
    }
    text
}

/// A line of a difference, cleaned; the blanks after its first character are its indentation.
fn inner_blanks_kept(line: &str) -> String {
    let (mark, rest) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
    let indent = &rest[..rest.len() - rest.trim_start_matches([' ', '\t']).len()];
    format!("{mark}{indent}{}", clean_to(rest, LINE))
}

/// Lines of `.env`: the names, and what authctl put there.
fn mask_lines(text: &str) -> String {
    let line = |line: &str| match line.split_once('=') {
        _ if line.starts_with("# ") && line.contains(": authctl exec --with ") => line.to_owned(),
        Some((name, _)) => format!("{name}=…"),
        None if line.trim().is_empty() => String::new(),
        None => "…".to_owned(),
    };
    text.lines().map(line).fold(String::new(), |text, line| text + &line + "\n")
}

/// What an entry runs as authctl: a project's file is for other machines too. Elsewhere the path by which a
/// person finds it, since programs that no shell starts have another PATH; not the one that it leads to,
/// which the next upgrade may take away. Blanks in a command are torn apart by some clients on Windows.
pub fn program(is_shared: bool) -> String {
    const NAME: &str = "authctl";
    let own = std::env::current_exe().ok();
    let found = own.as_deref().and_then(on_path);
    let is_found = found.is_some();
    let path = found.or(own).and_then(|path| path.into_os_string().into_string().ok());
    let fits = |path: &String| !is_shared && (!is_found || !path.contains(' '));
    path.filter(fits).unwrap_or_else(|| NAME.to_owned())
}

/// The first authctl in PATH, if it is this one.
fn on_path(own: &Path) -> Option<PathBuf> {
    let name = format!("authctl{}", std::env::consts::EXE_SUFFIX);
    let path = environment("PATH")?;
    let places = std::env::split_paths(&path).filter(|place| place.is_absolute());
    let found = places.map(|place| place.join(&name)).find(|file| file.is_file());
    let found = found?;
    (found.canonicalize().ok()? == own.canonicalize().ok()?).then_some(found)
}

/// What a file was before its changes, the last one first, as far as the backups are still there.
pub fn earlier(context: &Context, path: &Path) -> Result<Vec<String>, CommandError> {
    let directory = context.paths()?.data.join("backups");
    let mark = format!("-{}-", digest_of(path));
    let Ok(entries) = std::fs::read_dir(&directory) else { return Ok(Vec::new()) };
    let mut found: Vec<(String, u32, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((when, _)) = name.split_once(&mark) else { continue };
        let Some((time, number)) = when.split_once('-') else { continue };
        found.push((time.to_owned(), number.parse().unwrap_or_default(), entry.path()));
    }
    found.sort();
    let texts = found.iter().rev().take(EARLIER).filter_map(|(_, _, backup)| {
        String::from_utf8(private_file::read(backup, LIMIT).ok()??).ok()
    });
    Ok(texts.collect())
}

/// Tells the backups of one file from those of another one that has its name.
fn digest_of(path: &Path) -> String {
    sha256(path.as_os_str().as_encoded_bytes())[..8].to_owned()
}

/// Keeps the contents of a file where only this user can read them, apart from any project.
pub fn back_up(context: &Context, path: &Path, contents: &[u8]) -> Result<PathBuf, CommandError> {
    let directory = context.paths()?.data.join("backups");
    private_file::make_directory(&directory)?;
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{}-{}", digest_of(path), name.trim_start_matches('.'));
    let mut number = 1_u32;
    loop {
        let backup = directory.join(format!("{now}-{number}-{name}"));
        // Another import may take the name at any moment.
        if private_file::create(&backup, contents)? {
            return Ok(backup);
        }
        number += 1;
    }
}
