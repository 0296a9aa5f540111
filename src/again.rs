//! For tests: what would change or end the process of all tests happens in one of its own, which is the
//! same test started again in a role.

use std::any::type_name;
use std::ffi::{OsStr, OsString};
use std::process::Command;

const ROLE: &str = "AUTHCTL_TEST_ROLE";

/// A command that starts `test` again, which finds `role` by [`role`].
pub fn command<T>(_: T, role: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", name::<T>()]).env(ROLE, role);
    command
}

/// What this process was started for; `None` in that of all tests.
pub fn role() -> Option<OsString> {
    std::env::var_os(ROLE)
}

/// The name of a test by its function.
fn name<T>() -> &'static str {
    let (_, name) = type_name::<T>().split_once("::").unwrap();
    name
}
