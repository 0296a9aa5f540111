//! Files that belong to one user: made with mode 0600 in directories of mode 0700 whatever the umask,
//! replaced atomically and durably, and read only when they are what they seem (a regular file of
//! this user with one name). Nothing else in the crate writes files of its own.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

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
    match fs::create_dir(path) {
        Ok(()) => restrict(path, 0o700)?,
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
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(directory)
        .map_err(failed("write in", directory))?;
    restrict(file.path(), 0o600)?;
    file.write_all(contents).map_err(failed("write", path))?;
    file.as_file().sync_all().map_err(failed("write", path))?;
    file.persist(path).map_err(|error| failed("write", path)(error.error))?;
    sync_directory(directory)
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
/// with several names are refused, never opened for longer than the look at them takes.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open(path, fs::OpenOptions::new().read(true))? else {
        return Ok(None);
    };
    let mut contents = Vec::new();
    file.take(limit + 1).read_to_end(&mut contents).map_err(failed("read", path))?;
    if contents.len() as u64 > limit {
        return Err(Error::TooLarge { path: path.to_owned(), limit });
    }
    Ok(Some(contents))
}

/// Opens `path` for locking, made with mode 0600 when missing, and under the same rules as [`read`].
pub fn open_lock(path: &Path) -> Result<File, Error> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let missing = !path.exists();
    let file = open(path, &mut options)?
        .ok_or_else(|| failed("open", path)(io::Error::from(io::ErrorKind::NotFound)))?;
    if missing {
        restrict(path, 0o600)?; // a umask may have taken even the owner's bits
    }
    Ok(file)
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

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(failed("set the mode of", path))
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: u32) -> Result<(), Error> {
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
fn sync_directory(_: &Path) -> Result<(), Error> {
    Ok(()) // Windows has no such call: the rename is in the journal
}
