//! What the login around a grant decides while the grant waits for its person: how long, whether the
//! wait is over for another reason, and who has the answer to a request that can be answered once.

use std::time::Duration;

use super::Error;
use crate::interact::{Typing, Unanswered};
use crate::secret::Secret;

/// Between two looks at what may have changed outside this process.
const LOOK: Duration = Duration::from_millis(200);

/// Between two looks at the keyboard.
const LOOK_AT_KEYS: Duration = Duration::from_millis(40);

/// The login's part of a wait.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    /// For the person, at most.
    pub most: Duration,
    /// Whether another process may wait for the same answer.
    pub is_shared: bool,
    /// Whether nobody should wait any longer: another process signs in, or has finished this very flow.
    pub is_called_off: &'a dyn Fn() -> bool,
    /// Takes the answer for this process; `false` when it has been taken already.
    pub claim: &'a dyn Fn() -> bool,
}

impl Waiting<'_> {
    /// Ends when the wait is called off.
    pub(super) async fn called_off(&self) {
        while !(self.is_called_off)() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// To be called once there is an answer, before it is used.
    pub(super) fn claim(&self) -> Result<(), Error> {
        if (self.claim)() { Ok(()) } else { Err(Error::CalledOff) }
    }
}

/// The next line that a person types.
///
/// # Errors
/// `Unanswered` when the terminal is gone.
pub async fn typed_line(question: &mut dyn Typing) -> Result<Secret, Unanswered> {
    loop {
        if let Some(line) = question.line()? {
            return Ok(line);
        }
        tokio::time::sleep(LOOK_AT_KEYS).await;
    }
}
