//! Files that belong to one user: made with mode 0600 in directories of mode 0700 whatever the umask,
//! replaced atomically and durably, and read only when they are what they seem (a regular file of
//! this user with one name). Whatever authctl keeps is written here; `generate` alone writes elsewhere,
//! into the directory that it is given.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} {what}; authctl does not follow such a file")]
    Trap { path: PathBuf, what: &'static str },
    #[error("{path} can be read or written by other users")]
    Exposed { path: PathBuf },
    #[error("{path} is read-only")]
    ReadOnly { path: PathBuf },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
}

impl Error {
    /// Whether the disk, a quota or a file-size limit is exhausted.
    pub fn is_full(&self) -> bool {
        matches!(self, Error::Io { source, .. } if matches!(source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge))
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// Makes `path` and its missing parents with mode 0700, and checks that it is a directory of this user.
pub fn make_directory(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => return check_directory(path, &metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("look at", path)(error)),
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        make_directory(parent)?;
    }
    match create_private(path) {
        Ok(()) => {}
        // Another authctl was faster; what it made is checked like any other.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("make the directory", path)(error)),
    }
    let metadata = fs::symlink_metadata(path).map_err(failed("look at", path))?;
    check_directory(path, &metadata)
}

fn check_directory(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let trap = |what| Err(Error::Trap { path: path.to_owned(), what });
    if metadata.is_symlink() {
        // A link that this user made (dotfile managers do) leads where this user wants.
        let target = fs::metadata(path).map_err(failed("look at", path))?;
        if !owned(metadata) || !owned(&target) {
            return trap("is a link that belongs to another user");
        }
        if others_may_write(&target) {
            return trap("leads where other users can write");
        }
        return if target.is_dir() { Ok(()) } else { trap("is not a directory") };
    }
    if !metadata.is_dir() {
        return trap("is not a directory");
    }
    if !owned(metadata) {
        return trap("belongs to another user");
    }
    if others_may_write(metadata) {
        return trap("can be written by other users");
    }
    Ok(())
}

/// Replaces `path` by `contents`: temporary file beside it, fsync, rename, fsync of the directory. Readers
/// see the old or the new contents, also after a power cut.
pub fn replace(path: &Path, contents: &[u8]) -> Result<(), Error> {
    replace_with(path, contents, |file| restrict(file, path))
}

/// Refuses a file whose mode says that nobody is to write it. Replacing it would work, for root writing as well.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.permissions().readonly() => {
            Err(Error::ReadOnly { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The same for a file of another program: it keeps its mode.
pub fn replace_of_another(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let permissions = fs::symlink_metadata(path).map_err(failed("look at", path))?.permissions();
    replace_with(path, contents, |file| {
        file.set_permissions(permissions).map_err(failed("set the mode of", path))
    })
}

/// The beginning of a temporary file's name.
const TEMPORARY: &str = ".authctl-new-";
/// How old a temporary file is that nobody will give its name any more.
const STALE: Duration = Duration::from_mins(5);

fn replace_with(
    path: &Path,
    contents: &[u8],
    set_mode: impl FnOnce(&File) -> Result<(), Error>,
) -> Result<(), Error> {
    let file = beside(path, contents, set_mode)?;
    persist(file, path).map_err(failed("write", path))?;
    sync_directory(directory_of(path))
}

/// Writes a file of a name that is free, in the same way; whether it was free.
pub fn create(path: &Path, contents: &[u8]) -> Result<bool, Error> {
    let file = beside(path, contents, |file| restrict(file, path))?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_directory(directory_of(path)).map(|()| true),
        Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("write", path)(error.error)),
    }
}

fn directory_of(path: &Path) -> &Path {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    directory.unwrap_or(Path::new("."))
}

/// A temporary file beside `path` that has the contents durably. Until it is whole, nobody else can read it; its
/// mode is set last. What a process left here that was killed goes.
fn beside(
    path: &Path,
    contents: &[u8],
    set_mode: impl FnOnce(&File) -> Result<(), Error>,
) -> Result<tempfile::NamedTempFile, Error> {
    let directory = directory_of(path);
    sweep(directory);
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(directory)
        .map_err(failed("write in", directory))?;
    // Says that its writer lives. Where locks are not to be had, its age alone does.
    let _ = file.as_file().try_lock();
    file.write_all(contents).map_err(failed("write", path))?;
    set_mode(file.as_file())?;
    file.as_file().sync_all().map_err(failed("write", path))?;
    Ok(file)
}

/// Removes the temporary files of writers that were killed. What cannot be removed is no reason not to write.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let is_ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(TEMPORARY);
    for entry in entries.flatten().filter(|entry| is_ours(&entry.file_name())) {
        if is_stale(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_stale(path: &Path) -> bool {
    let Ok(Some(file)) = open(path, fs::OpenOptions::new().read(true)) else { return false };
    let age = file.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
    matches!(age, Ok(Ok(age)) if age > STALE) && file.try_lock().is_ok()
}

/// Renames `file` to `path`. On Windows that fails for as long as a reader has `path` open, and a lock would keep
/// readers out.
fn persist(mut file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    if cfg!(windows) {
        file.as_file().unlock()?;
    }
    let mut tries = if cfg!(windows) { 100 } else { 1 };
    loop {
        tries -= 1;
        match file.persist(path) {
            Ok(_) => return Ok(()),
            Err(failed) if tries > 0 && failed.error.kind() == io::ErrorKind::PermissionDenied => {
                file = failed.file;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(failed) => return Err(failed.error),
        }
    }
}

/// A directory for this run alone, among the system's temporary ones; it goes with what it holds.
pub struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    pub fn new() -> Result<Self, Error> {
        let place = std::env::temp_dir();
        let number = getrandom::u64().map_err(|error| {
            failed("make a directory in", &place)(std::io::Error::other(error.to_string()))
        })?;
        let path = place.join(format!("authctl-{number:016x}"));
        create_private(&path).map_err(failed("make the directory", &path))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a new file that is read during this run alone: neither atomic nor durable.
pub fn write_for_run(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed("write", path))?;
    restrict(&file, path)?;
    file.write_all(contents).map_err(failed("write", path))
}

/// Removes `path` durably; whether it was there.
pub fn remove(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(path.parent().unwrap_or(Path::new("."))).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

/// The contents of `path`, or `None` where nothing is. Links, FIFOs, other users' files and files
/// with several names are refused, never opened for longer than the look at them takes. A file that
/// other users can open is closed to them.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open(path, fs::OpenOptions::new().read(true))? else {
        return Ok(None);
    };
    if is_exposed(&file) {
        let _ = restrict(&file, path); // on a read-only disk it stays as it is
    }
    contents(file, path, limit).map(Some)
}

/// The contents of a file of another program of this user, under the same rules; its mode stays.
pub fn read_of_another(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    open(path, fs::OpenOptions::new().read(true))?
        .map(|file| contents(file, path, limit))
        .transpose()
}

/// The same as [`read`] for a file that is worthless once others could open it: that is refused.
pub fn read_unexposed(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    match open(path, fs::OpenOptions::new().read(true))? {
        Some(file) if is_exposed(&file) => Err(Error::Exposed { path: path.to_owned() }),
        Some(file) => contents(file, path, limit).map(Some),
        None => Ok(None),
    }
}

fn contents(file: File, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut contents = Vec::new();
    file.take(limit + 1).read_to_end(&mut contents).map_err(failed("read", path))?;
    if contents.len() as u64 > limit {
        return Err(Error::TooLarge { path: path.to_owned(), limit });
    }
    Ok(contents)
}

/// Where the links at `path` lead, each of them made by this user or by root, who may do anything; `None` where
/// nothing is. The file at their end is for whoever opens it to judge.
pub fn follow(path: &Path) -> Result<Option<PathBuf>, Error> {
    let mut target = path.to_owned();
    for _ in 0..16 {
        let metadata = match fs::symlink_metadata(&target) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && target == path => {
                return Ok(None);
            }
            Err(error) => return Err(failed("look at", &target)(error)),
        };
        if !metadata.is_symlink() {
            return Ok(Some(target));
        }
        if !is_trusted(&metadata) {
            return Err(Error::Trap { path: target, what: "is a link of another user" });
        }
        let next = fs::read_link(&target).map_err(failed("look at", &target))?;
        target = directory_of(&target).join(next);
    }
    Err(Error::Trap { path: path.to_owned(), what: "is a link to links without end" })
}

/// Opens `path` for locking, made with mode 0600 when missing, and under the same rules as [`read`].
pub fn open_lock(path: &Path) -> Result<File, Error> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = open(path, &mut options)?
        .ok_or_else(|| failed("open", path)(io::Error::from(io::ErrorKind::NotFound)))?;
    restrict(&file, path)?;
    Ok(file)
}

/// Opens `path` for writing at its end, made with mode 0600 when missing, and under the same rules.
pub fn open_end(path: &Path) -> Result<File, Error> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = open(path, &mut options)?
        .ok_or_else(|| failed("open", path)(io::Error::from(io::ErrorKind::NotFound)))?;
    restrict(&file, path)?;
    Ok(file)
}

/// Opens `path` for reading from its start, under the same rules; `None` where nothing is.
pub fn open_start(path: &Path) -> Result<Option<File>, Error> {
    open(path, fs::OpenOptions::new().read(true))
}

/// Gives a file another name beside it, in place of what has that name; whether it was there.
pub fn rename(from: &Path, to: &Path) -> Result<bool, Error> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("rename", from)(error)),
    }
}

fn open(path: &Path, options: &mut fs::OpenOptions) -> Result<Option<File>, Error> {
    let trap = |what| Err(Error::Trap { path: path.to_owned(), what });
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // NONBLOCK: opening a FIFO must not wait for a writer before it can be refused.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    }
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) if path.is_symlink() => return trap("is a link"),
        Err(_) if fs::symlink_metadata(path).is_ok_and(|metadata| !owned(&metadata)) => {
            return trap("belongs to another user");
        }
        Err(error) => return Err(failed("open", path)(error)),
    };
    let metadata = file.metadata().map_err(failed("look at", path))?;
    if !metadata.is_file() {
        return trap("is not a regular file");
    }
    if !owned(&metadata) {
        return trap("belongs to another user");
    }
    if names(&metadata) > 1 {
        return trap("has a second name (a hard link)");
    }
    Ok(Some(file))
}

/// Makes a directory that no other user can enter at any moment, and gives the owner the bits back
/// that a umask may have taken.
#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new().mode(0o700).create(path)?;
    let made = fs::symlink_metadata(path)?;
    if made.is_dir() && made.permissions().mode() & 0o777 != 0o700 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir(path) // the profile's access list already names this user alone
}

/// Whether other users can open it.
#[cfg(unix)]
fn is_exposed(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &File) -> bool {
    false
}

/// Mode 0600: gives the owner the bits back that a umask may have taken.
#[cfg(unix)]
fn restrict(file: &File, path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(failed("look at", path))?;
    if metadata.permissions().mode() & 0o777 == 0o600 {
        return Ok(());
    }
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed("set the mode of", path))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn restrict(_: &File, _: &Path) -> Result<(), Error> {
    Ok(()) // the profile's access list already names this user alone
}

#[cfg(unix)]
fn owned(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn owned(_: &fs::Metadata) -> bool {
    true
}

/// Whether it belongs to this user or to root.
#[cfg(unix)]
pub fn is_trusted(metadata: &fs::Metadata) -> bool {
    owned(metadata) || std::os::unix::fs::MetadataExt::uid(metadata) == 0
}

#[cfg(not(unix))]
pub fn is_trusted(metadata: &fs::Metadata) -> bool {
    owned(metadata)
}

#[cfg(unix)]
fn others_may_write(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.mode() & 0o022 != 0
}

#[cfg(not(unix))]
fn others_may_write(_: &fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn names(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn names(_: &fs::Metadata) -> u64 {
    1
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> Result<(), Error> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("write in", directory))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn sync_directory(_: &Path) -> Result<(), Error> {
    Ok(()) // Windows has no such call: the rename is in the journal
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;
    use crate::again;

    const LIMIT: u64 = 1024;

    fn place() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    fn trap<T>(outcome: Result<T, Error>) -> &'static str {
        match outcome {
            Err(Error::Trap { what, .. }) => what,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was followed"),
        }
    }

    /// Gives `path` to another user, where the tests run as root.
    fn give_away(path: &Path) -> bool {
        let given = chown(path, Some(65534), Some(65534)).is_ok();
        if !given {
            println!("skipped: only root can give a file away");
        }
        given
    }

    #[test]
    fn contents_are_replaced_whole_and_leave_no_other_file() {
        let place = place();
        let path = place.path().join("file");
        assert_eq!(read(&path, LIMIT).unwrap(), None);
        replace(&path, b"long contents").unwrap();
        replace(&path, b"short").unwrap();
        assert_eq!(read(&path, LIMIT).unwrap().unwrap(), b"short");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap());
    }

    /// A file as a writer leaves it that was killed `minutes` ago.
    fn leave(place: &tempfile::TempDir, name: &str, minutes: u64) -> (PathBuf, File) {
        let path = place.path().join(name);
        let file = File::create(&path).unwrap();
        let then = std::time::SystemTime::now() - Duration::from_mins(minutes);
        file.set_modified(then).unwrap();
        (path, file)
    }

    #[test]
    fn what_a_killed_writer_left_goes_with_the_next_write() {
        let place = place();
        let (old, _) = leave(&place, ".authctl-new-a1B2c3", 6);
        let (young, _) = leave(&place, ".authctl-new-d4E5f6", 4);
        let (living, lock) = leave(&place, ".authctl-new-g7H8i9", 60);
        lock.lock().unwrap();
        let (foreign, _) = leave(&place, ".new-a1B2c3", 60);
        let link = place.path().join(".authctl-new-link00");
        symlink(&foreign, &link).unwrap();
        replace(&place.path().join("file"), b"x").unwrap();
        assert!(!old.exists());
        assert!(young.exists() && living.exists() && foreign.exists() && link.is_symlink());
        lock.unlock().unwrap();
        create(&place.path().join("other"), b"x").unwrap();
        assert!(!living.exists() && young.exists());
    }

    /// In a process of its own, which is killed by its own writing: larger than files may become.
    fn write_too_much(path: &Path) {
        use rustix::process::{Resource, Rlimit, setrlimit};
        setrlimit(Resource::Fsize, Rlimit { current: Some(4096), maximum: Some(4096) }).unwrap();
        let _ = replace_of_another(path, &[b'x'; 8192]);
    }

    #[test]
    fn a_half_written_file_is_for_nobody_else_to_read() {
        if let Some(role) = again::role() {
            return write_too_much(Path::new(&role));
        }
        let place = place();
        let path = place.path().join("file");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let role = path.to_str().unwrap();
        let output =
            again::command(a_half_written_file_is_for_nobody_else_to_read, role).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        let left = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path());
        let left: Vec<PathBuf> = left.filter(|left| *left != path).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!((mode(&left[0]), mode(&path)), (0o600, 0o644));
        replace_of_another(&path, b"y").unwrap();
        assert_eq!(mode(&path), 0o644);
    }

    #[test]
    fn a_name_that_is_taken_is_not_written_over() {
        let place = place();
        let path = place.path().join("file");
        assert!(create(&path, b"first").unwrap());
        assert!(!create(&path, b"second").unwrap());
        assert_eq!((read(&path, LIMIT).unwrap().unwrap(), mode(&path)), (b"first".into(), 0o600));
        symlink("nothing", place.path().join("link")).unwrap();
        assert!(!create(&place.path().join("link"), b"second").unwrap());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_for_one_run_goes_with_it_and_writes_over_nothing() {
        let directory = TemporaryDirectory::new().unwrap();
        let (place, path) = (directory.path().to_owned(), directory.path().join("file"));
        write_for_run(&path, b"first").unwrap();
        assert!(write_for_run(&path, b"second").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        drop(directory);
        assert!(!place.exists());
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let place = place();
        let path = place.path().join("file");
        replace(&path, &[0; 1024]).unwrap();
        assert_eq!(read(&path, LIMIT).unwrap().unwrap().len(), 1024);
        replace(&path, &[0; 1025]).unwrap();
        assert!(matches!(read(&path, LIMIT), Err(Error::TooLarge { .. })));
    }

    /// In a process of its own, whose umask this changes.
    fn make_under_umask(umask: &str, place: &Path) {
        let umask = u32::from_str_radix(umask, 8).unwrap();
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        make_directory(&place.join("a/b")).unwrap();
        replace(&place.join("a/b/file"), b"x").unwrap();
        open_lock(&place.join("a/b/lock")).unwrap();
        open_lock(&place.join("a/b/lock")).unwrap();
        write_for_run(&place.join("a/b/run"), b"x").unwrap();
        let directory = TemporaryDirectory::new().unwrap();
        assert_eq!(mode(directory.path()), 0o700);
        assert_eq!(read(&place.join("a/b/file"), LIMIT).unwrap().unwrap(), b"x");
    }

    #[test]
    fn modes_are_right_under_any_umask() {
        if let Some(role) = again::role() {
            let (umask, place) = role.to_str().unwrap().split_once(' ').unwrap();
            return make_under_umask(umask, Path::new(place));
        }
        for umask in ["000", "022", "077", "777"] {
            let place = place();
            let role = format!("{umask} {}", place.path().display());
            let output = again::command(modes_are_right_under_any_umask, role).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            for (name, expected) in [
                ("a", 0o700),
                ("a/b", 0o700),
                ("a/b/file", 0o600),
                ("a/b/lock", 0o600),
                ("a/b/run", 0o600),
            ] {
                assert_eq!(mode(&place.path().join(name)), expected, "{name}, umask {umask}");
            }
        }
    }

    #[test]
    fn a_file_that_others_can_open_is_closed_or_refused() {
        let place = place();
        let path = place.path().join("file");
        replace(&path, b"x").unwrap();
        assert_eq!(read_unexposed(&path, LIMIT).unwrap().unwrap(), b"x");
        for open in [0o640, 0o604, 0o620, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            assert!(matches!(read_unexposed(&path, LIMIT), Err(Error::Exposed { .. })));
            assert_eq!(mode(&path), open);
            assert_eq!(read(&path, LIMIT).unwrap().unwrap(), b"x");
            assert_eq!(mode(&path), 0o600);
        }
    }

    #[test]
    fn links_are_not_followed() {
        let place = place();
        let (target, link) = (place.path().join("target"), place.path().join("link"));
        fs::write(&target, "victim").unwrap();
        symlink(&target, &link).unwrap();
        assert_eq!(trap(read(&link, LIMIT)), "is a link");
        assert_eq!(trap(open_lock(&link)), "is a link");
        // A link into nothing would be made where it points.
        fs::remove_file(&target).unwrap();
        assert_eq!(trap(open_lock(&link)), "is a link");
        assert!(!target.exists());
        // A write takes the place of the link itself.
        fs::write(&target, "victim").unwrap();
        replace(&link, b"ours").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"victim");
        assert_eq!(read(&link, LIMIT).unwrap().unwrap(), b"ours");
    }

    #[test]
    fn a_file_with_a_second_name_is_refused_and_a_write_leaves_that_name_alone() {
        let place = place();
        let (path, second) = (place.path().join("file"), place.path().join("second"));
        fs::write(&path, "victim").unwrap();
        fs::hard_link(&path, &second).unwrap();
        assert_eq!(trap(read(&path, LIMIT)), "has a second name (a hard link)");
        assert_eq!(trap(open_lock(&path)), "has a second name (a hard link)");
        replace(&path, b"ours").unwrap();
        assert_eq!(fs::read(&second).unwrap(), b"victim");
    }

    #[test]
    fn a_fifo_is_refused_without_waiting_for_its_other_end() {
        let place = place();
        let path = place.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(trap(read(&path, LIMIT)), "is not a regular file");
        assert_eq!(trap(open_lock(&path)), "is not a regular file");
    }

    #[test]
    fn another_users_file_is_refused() {
        let place = place();
        let path = place.path().join("file");
        fs::write(&path, "planted").unwrap();
        if give_away(&path) {
            assert_eq!(trap(read(&path, LIMIT)), "belongs to another user");
            assert_eq!(trap(open_lock(&path)), "belongs to another user");
        }
    }

    #[test]
    fn another_users_directory_is_refused() {
        let place = place();
        let path = place.path().join("directory");
        fs::create_dir(&path).unwrap();
        make_directory(&path).unwrap();
        if give_away(&path) {
            assert_eq!(trap(make_directory(&path)), "belongs to another user");
        }
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let place = place();
        let path = place.path().join("directory");
        fs::create_dir(&path).unwrap();
        for mode in [0o770, 0o707, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(trap(make_directory(&path)), "can be written by other users");
        }
    }

    #[test]
    fn what_is_no_directory_is_refused() {
        let place = place();
        let path = place.path().join("file");
        fs::write(&path, "").unwrap();
        assert_eq!(trap(make_directory(&path)), "is not a directory");
    }

    #[test]
    fn a_link_to_a_directory_counts_only_if_both_are_this_users() {
        let place = place();
        let (target, link) = (place.path().join("target"), place.path().join("link"));
        fs::create_dir(&target).unwrap();
        symlink(&target, &link).unwrap();
        make_directory(&link).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(trap(make_directory(&link)), "leads where other users can write");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).unwrap();
        if give_away(&target) {
            assert_eq!(trap(make_directory(&link)), "is a link that belongs to another user");
        }
        let planted = place.path().join("planted");
        symlink(place.path(), &planted).unwrap();
        if std::os::unix::fs::lchown(&planted, Some(65534), None).is_ok() {
            assert_eq!(trap(make_directory(&planted)), "is a link that belongs to another user");
        }
    }

    #[test]
    fn exhausted_space_is_told_apart() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(failed("write", Path::new("/x"))(kind.into()).is_full());
        }
        assert!(!failed("write", Path::new("/x"))(io::ErrorKind::NotFound.into()).is_full());
    }
}
