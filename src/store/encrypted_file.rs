//! The encrypted file store, for machines without a keychain: one sealed file a record, replaced
//! atomically, under a data key of this user. A file that does not open is never taken for absent.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::backend::CredentialStore;
use super::data_key::{self, Passphrase};
use super::error::{Error, Why};
use super::key::Key;
use super::lock::Guard;
use super::seal::DataKey;
use crate::private_file;
use crate::secret::Secret;

/// Longest sealed record read, in bytes: a token of the longest kind, several times over.
const LONGEST: u64 = 1 << 20;
/// Bytes of a trial: more than nearly every record has.
const TRIAL: usize = 32 * 1024;

/// Records as sealed files of one directory.
pub struct EncryptedFile {
    directory: PathBuf,
    locks: PathBuf,
    /// Protect the data key by a passphrase.
    protect: bool,
    passphrase: Passphrase,
    /// Found once a process: a passphrase costs a person's time and 64 MiB.
    key: Mutex<Option<DataKey>>,
}

impl EncryptedFile {
    /// A store in `directory`, which is made at the first write.
    pub fn new(directory: PathBuf, protect: bool, passphrase: Passphrase) -> Self {
        let locks = directory.join("locks");
        Self { directory, locks, protect, passphrase, key: Mutex::new(None) }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.directory.join(key.file_stem() + ".sealed")
    }

    fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        Ok(private_file::read(&self.path(key), LONGEST)?)
    }

    /// The key to read with: it is an error when a record is there and the key is not.
    fn reading_key(&self) -> Result<DataKey, Error> {
        self.cached(|| match data_key::find(&self.directory, &self.passphrase)? {
            Some(key) => Ok(key),
            None => Err(Error::KeyMissing { path: self.directory.join("key") }),
        })
    }

    /// The key to write with, made at the first write by one process alone.
    fn writing_key(&self) -> Result<DataKey, Error> {
        if self.protect && data_key::lies_open(&self.directory) {
            self.forget_key();
        }
        self.cached(|| {
            private_file::make_directory(&self.directory)?;
            let Self { directory, locks, protect, passphrase, .. } = self;
            data_key::find_or_make(directory, locks, *protect, passphrase)
        })
    }

    fn cached(&self, find: impl FnOnce() -> Result<DataKey, Error>) -> Result<DataKey, Error> {
        let mut cached = self.key.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(key) = cached.as_ref() {
            return Ok(key.clone());
        }
        let key = find()?;
        *cached = Some(key.clone());
        Ok(key)
    }

    fn forget_key(&self) {
        *self.key.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    fn unreadable(&self, key: &Key, why: Why) -> Error {
        Error::Unreadable { key: key.to_string(), why, kept: self.file(key) }
    }
}

impl CredentialStore for EncryptedFile {
    fn load(&self, key: &Key) -> Result<Option<Secret>, Error> {
        let Some(sealed) = self.read(key)? else { return Ok(None) };
        let plain = self.reading_key()?.open(&key.to_string(), &sealed);
        let plain = plain.ok_or_else(|| self.unreadable(key, Why::Seal))?;
        text(&plain).map(Some).ok_or_else(|| self.unreadable(key, Why::NotText))
    }

    fn save(&self, _: &Guard, key: &Key, secret: &Secret) -> Result<(), Error> {
        let data_key = self.writing_key()?;
        let sealed = data_key.seal(&key.to_string(), secret.expose().as_bytes());
        Ok(private_file::replace(&self.path(key), &sealed)?)
    }

    fn delete(&self, _: &Guard, key: &Key) -> Result<bool, Error> {
        Ok(private_file::remove(&self.path(key))?)
    }

    fn prove_writable(&self) -> Result<(), Error> {
        self.writing_key()?;
        let trial = self.directory.join(format!("trial-{}", std::process::id()));
        let written = private_file::replace(&trial, &vec![0; TRIAL]);
        private_file::remove(&trial)?;
        Ok(written?)
    }

    fn set_aside(&self, _: &Guard, key: &Key) -> Result<String, Error> {
        let contents = self.read(key)?.unwrap_or_default();
        for number in 1.. {
            let copy = self.directory.join(format!("{}.sealed.corrupt-{number}", key.file_stem()));
            match private_file::read(&copy, LONGEST)? {
                Some(there) if there != contents => continue,
                Some(_) => {}
                None => private_file::replace(&copy, &contents)?,
            }
            return Ok(copy.display().to_string());
        }
        unreachable!("there are always more numbers")
    }

    fn file(&self, key: &Key) -> Option<PathBuf> {
        Some(self.path(key))
    }

    fn locks(&self) -> Result<&Path, Error> {
        // Before anything is made in it.
        private_file::make_directory(&self.directory)?;
        Ok(&self.locks)
    }

    fn describe(&self) -> String {
        format!("encrypted file {}", self.directory.display())
    }
}

/// The opened record; `None` if it is not text.
fn text(plain: &[u8]) -> Option<Secret> {
    std::str::from_utf8(plain).ok().map(Secret::new)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::again;
    use crate::credential::Name;
    use crate::store::data_key::Costs;
    use crate::store::fake::Person;
    use crate::store::lock;

    fn store(directory: &Path) -> EncryptedFile {
        let costs = Costs { memory: 64, passes: 1, lanes: 1 };
        let passphrase = Passphrase { file: None, interact: Person::absent(), costs };
        EncryptedFile::new(directory.join("store"), false, passphrase)
    }

    /// A child that another test forks holds a copy of every lock until it executes its program.
    fn guard(store: &EncryptedFile, key: &Key) -> Guard {
        lock::acquire(store.locks().unwrap(), key, std::time::Duration::from_mins(1)).unwrap()
    }

    fn save(store: &EncryptedFile, key: &Key, text: &str) {
        store.save(&guard(store, key), key, &Secret::new(text)).unwrap();
    }

    #[test]
    fn records_of_every_size_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let name: Name = "a".parse().unwrap();
        let key = Key::Credential(&name);
        assert!(store(directory.path()).load(&key).unwrap().is_none());
        for length in [0, 1, 1280, 1281, 2560, 2561, 65_536, 200_000] {
            let text = "x".repeat(length);
            save(&store(directory.path()), &key, &text);
            let loaded = store(directory.path()).load(&key).unwrap().unwrap();
            assert_eq!(loaded.expose(), text);
        }
        let store = store(directory.path());
        assert!(store.delete(&guard(&store, &key), &key).unwrap());
        assert!(!store.delete(&guard(&store, &key), &key).unwrap());
        assert!(store.load(&key).unwrap().is_none());
    }

    #[test]
    fn nothing_on_disk_shows_the_secret() {
        let directory = tempfile::tempdir().unwrap();
        let name: Name = "a".parse().unwrap();
        save(&store(directory.path()), &Key::Credential(&name), "hunter2");
        for file in fs::read_dir(directory.path().join("store")).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                let found = fs::read(&path).unwrap().windows(7).any(|bytes| bytes == b"hunter2");
                assert!(!found, "{}", path.display());
            }
        }
    }

    #[test]
    fn every_bit_flip_and_truncation_is_an_error_and_leaves_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let name: Name = "a".parse().unwrap();
        let key = Key::Credential(&name);
        let store = store(directory.path());
        save(&store, &key, "{\"format\":1}");
        let path = store.path(&key);
        let sound = fs::read(&path).unwrap();
        let flips = (0..sound.len() * 8).map(|bit| {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            damaged
        });
        let cuts = (0..sound.len()).map(|length| sound[..length].to_vec());
        for damaged in flips.chain(cuts) {
            fs::write(&path, &damaged).unwrap();
            match store.load(&key) {
                Err(Error::Unreadable { why: Why::Seal, kept: Some(kept), .. }) => {
                    assert_eq!(fs::read(kept).unwrap(), damaged);
                }
                _ => panic!("{} bytes were read", damaged.len()),
            }
        }
    }

    #[test]
    fn a_record_under_the_name_of_another_does_not_open() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b): (Name, Name) = ("a".parse().unwrap(), "b".parse().unwrap());
        let store = store(directory.path());
        save(&store, &Key::Credential(&a), "secret of a");
        fs::rename(store.path(&Key::Credential(&a)), store.path(&Key::Credential(&b))).unwrap();
        assert!(matches!(store.load(&Key::Credential(&b)), Err(Error::Unreadable { .. })));
    }

    #[test]
    fn what_is_set_aside_is_copied_once_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let name: Name = "a".parse().unwrap();
        let key = Key::Credential(&name);
        let store = store(directory.path());
        save(&store, &key, "first");
        let guard = guard(&store, &key);
        for (damage, number) in [("one", 1), ("one", 1), ("two", 2), ("one", 1)] {
            fs::write(store.path(&key), damage).unwrap();
            let copy = store.set_aside(&guard, &key).unwrap();
            assert!(copy.ends_with(&format!("credential~a~default.sealed.corrupt-{number}")));
            assert_eq!(fs::read_to_string(copy).unwrap(), damage);
        }
    }

    fn keep_writing(directory: &Path) {
        let name: Name = "a".parse().unwrap();
        let key = Key::Credential(&name);
        let store = store(directory);
        let guard = guard(&store, &key);
        for generation in 0u64.. {
            let text = format!("{generation} {}", "x".repeat(20_000));
            store.save(&guard, &key, &Secret::new(text)).unwrap();
            println!("written {generation}");
        }
    }

    #[test]
    fn a_killed_writer_leaves_the_old_record_or_the_new() {
        use std::io::{BufRead, BufReader};
        if let Some(directory) = again::role() {
            return keep_writing(Path::new(&directory));
        }
        let directory = tempfile::tempdir().unwrap();
        let name: Name = "a".parse().unwrap();
        for round in 0..10 {
            let test = a_killed_writer_leaves_the_old_record_or_the_new;
            let mut child = again::command(test, directory.path())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let said = BufReader::new(child.stdout.take().unwrap());
            let written = said.lines().map_while(Result::ok);
            let seen = written.filter(|line| line.starts_with("written ")).nth(round).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            let stored = store(directory.path()).load(&Key::Credential(&name)).unwrap().unwrap();
            let (generation, filler) = stored.expose().split_once(' ').unwrap();
            let least: u64 = seen.trim_start_matches("written ").parse().unwrap();
            assert!(generation.parse::<u64>().unwrap() >= least);
            assert_eq!(filler.len(), 20_000);
        }
    }
}
