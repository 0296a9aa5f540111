//! The process edge: run, and leave with the exit code that `run` decided.

use std::process::ExitCode;

fn main() -> ExitCode {
    authctl::run()
}
