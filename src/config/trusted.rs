//! Reads the file that decides where credentials go. It may be a link, since people keep their
//! configuration elsewhere and some systems generate it; but links and file belong to this user or to
//! root, and nobody else can write to the file.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::Error;
use crate::private_file::{self, is_trusted};

/// The contents of `path`, or `None` where nothing is.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(target) = private_file::follow(path)? else {
        return Ok(None);
    };
    let failed = |action: &'static str| {
        let path = target.clone();
        move |source| Error::Io { action, path, source }
    };
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // NOFOLLOW: the links have been followed. NONBLOCK: opening a FIFO must not wait for a writer.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    }
    let file = options.open(&target).map_err(failed("open"))?;
    check_file(&target, &file.metadata().map_err(failed("look at"))?)?;
    let mut contents = Vec::new();
    file.take(limit + 1).read_to_end(&mut contents).map_err(failed("read"))?;
    if contents.len() as u64 > limit {
        return Err(Error::TooLarge { path: target, limit });
    }
    Ok(Some(contents))
}

/// Refuses a file whose directory lets other users put another file in its place. Where the directory
/// is sticky, as `/tmp` is, they cannot.
pub fn check_place(path: &Path) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let failed = |source| Error::Io { action: "look at", path: directory.to_owned(), source };
    let metadata = fs::metadata(directory).map_err(failed)?;
    if others_may_write(&metadata) && !is_sticky(&metadata) {
        let what = "is a directory where other users can write (chmod go-w mends that)";
        return Err(Error::Trap { path: directory.to_owned(), what });
    }
    Ok(())
}

fn check_file(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let what = if !metadata.is_file() {
        "is not a regular file"
    } else if !is_trusted(metadata) {
        "belongs to another user"
    } else if has_second_name(metadata) {
        "has a second name (a hard link)"
    } else if others_may_write(metadata) {
        "can be written by other users (chmod go-w mends that)"
    } else {
        return Ok(());
    };
    Err(Error::Trap { path: path.to_owned(), what })
}

/// A file of this user under two names may be another one of their files, linked here by a stranger.
/// Root's are excepted: package stores link equal files together.
#[cfg(unix)]
fn has_second_name(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink() > 1 && metadata.uid() != 0
}

/// The group may write only where it is the owner's own, as systems with a umask of 002 arrange it.
#[cfg(unix)]
fn others_may_write(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let by_group = metadata.mode() & 0o020 != 0 && metadata.gid() != metadata.uid();
    metadata.mode() & 0o002 != 0 || by_group
}

#[cfg(unix)]
fn is_sticky(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o1000 != 0
}

#[cfg(not(unix))]
fn is_sticky(_: &fs::Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn has_second_name(_: &fs::Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn others_may_write(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{read as read_to, *};

    const LIMIT: u64 = 1024 * 1024;

    fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
        read_to(path, LIMIT)
    }

    fn refusal(path: &Path) -> String {
        read(path).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_file_is_read_and_a_missing_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        assert!(read(&path).unwrap().is_none());
        fs::write(&path, "store = 'file'").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"store = 'file'");
    }

    #[test]
    fn links_of_this_user_are_followed_also_through_links() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("dotfiles")).unwrap();
        fs::write(at("dotfiles/config.toml"), "x").unwrap();
        symlink("dotfiles/config.toml", at("second")).unwrap();
        symlink(at("second"), at("config.toml")).unwrap();
        assert_eq!(read(&at("config.toml")).unwrap().unwrap(), b"x");
        symlink("loop", at("loop")).unwrap();
        assert!(refusal(&at("loop")).contains("without end"));
        symlink("nothing", at("dangling")).unwrap();
        assert!(
            refusal(&at("dangling")).contains("nothing"),
            "a dangling link is a mistake to name"
        );
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_also_behind_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("target");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
        let link = directory.path().join("config.toml");
        symlink(&path, &link).unwrap();
        for place in [&path, &link] {
            assert!(refusal(place).contains("chmod"), "{}", refusal(place));
        }
    }

    #[test]
    fn what_is_no_plain_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        assert!(refusal(directory.path()).contains("regular file"));
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(refusal(&fifo).contains("regular file"));
    }

    #[test]
    fn a_large_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        fs::write(&path, vec![b'#'; 1024 * 1024]).unwrap();
        assert!(read(&path).is_ok());
        fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(matches!(read(&path), Err(Error::TooLarge { .. })));
    }
}
