//! The door at which an agent's credential helper asks: a socket of this run, for one credential. It opens to
//! processes of this user that were started below this one, and to nobody once the run is over.

use std::io;
use std::path::Path;

use super::Pending;
use crate::private_file::TemporaryDirectory;
use crate::secret::Secret;

/// What a helper gets, or why it gets nothing.
pub type Answer = Result<Secret, String>;

pub struct Hook {
    command: String,
    /// What listens.
    task: tokio::task::AbortHandle,
    /// Goes with its socket.
    _folder: TemporaryDirectory,
}

impl Hook {
    /// The shell command that prints the credential.
    pub fn command(&self) -> &str {
        &self.command
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// For the shell, as one word.
#[cfg(unix)]
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(unix)]
mod door {
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream as Blocking;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{UnixListener, UnixStream};
    use tokio::task::spawn_local;
    use tokio::time::sleep;

    use super::{Answer, Hook, Path, Pending, Secret, TemporaryDirectory, io, quoted};
    use crate::caller;

    /// How long a helper waits: a credential may have to be renewed first.
    const PATIENCE: Duration = Duration::from_mins(1);
    /// Before the next helper is let in, where that failed.
    const PAUSE: Duration = Duration::from_millis(100);
    /// What stands before a credential, and before a reason.
    const GIVEN: u8 = b'+';
    const REFUSED: u8 = b'-';

    impl Hook {
        /// Listens; `program` is this one, `answer` is asked for each helper that comes.
        pub fn open(
            program: &str,
            answer: impl Fn() -> Pending<'static, Answer> + 'static,
        ) -> io::Result<Self> {
            let folder = TemporaryDirectory::new().map_err(io::Error::other)?;
            let path = folder.path().join("key");
            let listener = UnixListener::bind(&path)?;
            let words = [program, "acp", "helper"].map(quoted).join(" ");
            let command = format!("{words} {}", quoted(&path.to_string_lossy()));
            let task = spawn_local(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) if is_of_this_run(&stream) => {
                            spawn_local(serve(stream, answer()));
                        }
                        Ok(_) => {}
                        // Out of file descriptors, say: that passes.
                        Err(_) => sleep(PAUSE).await,
                    }
                }
            });
            Ok(Self { command, task: task.abort_handle(), _folder: folder })
        }
    }

    /// Another program of the same user gets nothing here, as far as the system tells whose child it is.
    fn is_of_this_run(stream: &UnixStream) -> bool {
        let Ok(peer) = stream.peer_cred() else { return false };
        let is_user = peer.uid() == rustix::process::geteuid().as_raw();
        is_user && peer.pid().is_none_or(caller::is_below_this)
    }

    async fn serve(mut stream: UnixStream, answer: Pending<'static, Answer>) {
        let answer = answer.await;
        let (first, text) = match &answer {
            Ok(secret) => (GIVEN, secret.expose()),
            Err(why) => (REFUSED, why.as_str()),
        };
        // Whoever asked may have gone.
        let _ = stream.write_all(&[first]).await;
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    /// What a helper does.
    pub fn fetch(path: &Path) -> io::Result<Answer> {
        let mut stream = Blocking::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.flush()?;
        stream.shutdown(Shutdown::Write)?;
        let mut said = zeroize::Zeroizing::new(Vec::new());
        stream.read_to_end(&mut said)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match said.split_first() {
            Some((&GIVEN, secret)) => Ok(Ok(Secret::new(text(secret)))),
            Some((&REFUSED, why)) => Ok(Err(text(why))),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

#[cfg(unix)]
pub use door::fetch;

#[cfg(not(unix))]
impl Hook {
    pub fn open(_: &str, _: impl Fn() -> Pending<'static, Answer> + 'static) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(unix))]
pub fn fetch(_: &Path) -> io::Result<Answer> {
    Err(io::ErrorKind::Unsupported.into())
}
