//! This process keeps what it knows and what it writes: nobody of the same user may trace or dump it, a
//! crash leaves no core, and a file-size limit does not end it halfway. A program that it is replaced
//! by gets the person's own core limit back.

/// Makes the process not dumpable (Linux), sets the soft core limit to 0, and makes a write beyond the
/// file-size limit an error instead of a death by XFSZ. Called once, before any secret is read. A
/// system that refuses is no reason to stop: secrets are as safe there as any other program's.
pub fn harden() {
    platform::forbid_dumps();
    platform::forbid_cores();
    platform::survive_file_limit();
}

/// Gives the soft core limit back that the process was started with. Called right before exec, which
/// makes a process dumpable again by itself.
pub fn restore_core_limit() {
    platform::restore_cores();
}

#[cfg(unix)]
mod platform {
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, OnceLock};

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// The limit that the process was started with.
    static CORE_LIMIT: OnceLock<Rlimit> = OnceLock::new();

    pub fn forbid_dumps() {
        #[cfg(target_os = "linux")]
        let _ =
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }

    pub fn forbid_cores() {
        let limit = getrlimit(Resource::Core);
        CORE_LIMIT.get_or_init(|| limit);
        // Only the soft limit: a hard one could never be given back.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: limit.maximum });
    }

    pub fn survive_file_limit() {
        // The handler does nothing; that there is one makes the write fail. Exec takes it away.
        let seen = Arc::new(AtomicBool::new(false));
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen);
    }

    pub fn restore_cores() {
        if let Some(limit) = CORE_LIMIT.get() {
            let _ = setrlimit(Resource::Core, *limit);
        }
    }
}

#[cfg(not(unix))]
mod platform {
    // Windows: reading another process needs a right that error reporting alone has by default.
    pub fn forbid_dumps() {}
    pub fn forbid_cores() {}
    pub fn survive_file_limit() {}
    pub fn restore_cores() {}
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::path::PathBuf;
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, dumpable_behavior, getrlimit, setrlimit};

    use super::*;
    use crate::again;

    #[test]
    fn a_hardened_process_is_not_dumpable_and_gives_the_limit_back() {
        if again::role().is_some() {
            let before = getrlimit(Resource::Core);
            harden();
            let soft = getrlimit(Resource::Core).current;
            println!("dumpable {:?}, soft {soft:?}", dumpable_behavior().unwrap());
            restore_core_limit();
            println!("given back {}", getrlimit(Resource::Core) == before);
            return;
        }
        let test = a_hardened_process_is_not_dumpable_and_gives_the_limit_back;
        let output = again::command(test, "hardened").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("dumpable NotDumpable, soft Some(0)"), "{said}");
        assert!(said.contains("given back true"), "{said}");
    }

    fn write_beyond_a_limit(file: &std::path::Path) {
        harden();
        crate::private_file::replace(file, b"old").unwrap();
        let maximum = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current: Some(1000), maximum }).unwrap();
        let error = crate::private_file::replace(file, &[b'x'; 2000]).unwrap_err();
        assert!(error.is_full(), "{error}");
    }

    #[test]
    fn a_file_limit_is_an_error_and_the_old_contents_stay() {
        if let Some(file) = again::role().map(PathBuf::from) {
            return write_beyond_a_limit(&file);
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let test = a_file_limit_is_an_error_and_the_old_contents_stay;
        let output = again::command(test, &file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(std::fs::read(&file).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_crash_leaves_no_core() {
        if again::role().is_some() {
            harden();
            std::process::abort();
        }
        let directory = tempfile::tempdir().unwrap();
        let test = again::command(a_crash_leaves_no_core, "crashes");
        let status = Command::new("sh")
            .args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$0\" \"$@\""])
            .arg(test.get_program())
            .args(test.get_args())
            .envs(test.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(directory.path())
            .output()
            .unwrap()
            .status;
        assert_eq!(status.signal(), Some(6));
        assert!(!status.core_dumped());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
