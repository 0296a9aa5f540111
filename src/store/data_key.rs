//! Where the data key of the encrypted store is: in a file of this user (`key`), or wrapped by a
//! passphrase through Argon2id (`key.wrapped`). A wrapped key is always honoured; the choice of the
//! user decides only what is made first, and wraps a key that lay open.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::Error;
use super::lock;
use super::seal::{DataKey, random};
use crate::interact::{Interact, Unanswered};
use crate::private_file;
use crate::secret::Secret;

/// Longest key file read, in bytes.
const LONGEST: u64 = 4096;
/// Longest passphrase read from a file, in bytes.
const LONGEST_PASSPHRASE: u64 = 4096;
/// How often a person may mistype.
const TRIES: usize = 3;
/// What the wrapped key is sealed for.
const LABEL: &str = "data key";

/// Who knows the passphrase.
pub struct Passphrase {
    /// A file that has it, named by the environment.
    pub file: Option<PathBuf>,
    /// The person, otherwise.
    pub interact: Arc<dyn Interact>,
    /// For a key that is wrapped anew.
    pub costs: Costs,
}

/// What one guess at the passphrase costs: parameters of Argon2id.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// KiB.
    pub memory: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl Costs {
    /// RFC 9106 §4, the second recommended option, in one lane.
    pub const STRONG: Self = Self { memory: 64 * 1024, passes: 3, lanes: 1 };
}

/// `key.wrapped`, as JSON. The costs stand beside the salt, so that they can rise later.
#[derive(Serialize, Deserialize)]
struct Wrapped {
    format: u32,
    /// As in [`Costs`].
    memory: u32,
    passes: u32,
    lanes: u32,
    /// Base64.
    salt: String,
    /// The sealed data key, base64.
    key: String,
}

/// More memory than any authctl writes, in KiB: a damaged file must not ask for all there is.
const MOST_MEMORY: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 64;

/// The data key of the store in `directory`, if one was ever made.
pub fn find(directory: &Path, passphrase: &Passphrase) -> Result<Option<DataKey>, Error> {
    let wrapped = wrapped_path(directory);
    if let Some(stored) = private_file::read(&wrapped, LONGEST)? {
        return unwrap(&wrapped, &stored, passphrase).map(Some);
    }
    read_plain(directory)
}

/// The data key, made when missing, and wrapped when `protect` is set. One process makes it, under a lock
/// in `locks`; a person is asked before that lock is taken.
pub fn find_or_make(
    directory: &Path,
    locks: &Path,
    protect: bool,
    passphrase: &Passphrase,
) -> Result<DataKey, Error> {
    let wrapped = wrapped_path(directory);
    if !wrapped.exists() {
        if !protect && let Some(key) = read_plain(directory)? {
            return Ok(key);
        }
        let chosen = if protect { Some(passphrase.choose(&wrapped)?) } else { None };
        let _lock = lock::acquire_plain(locks, "key")?;
        if !wrapped.exists() {
            return make(directory, chosen.as_ref(), passphrase.costs);
        }
    }
    find(directory, passphrase)?.ok_or_else(|| missing(directory))
}

fn make(directory: &Path, chosen: Option<&Secret>, costs: Costs) -> Result<DataKey, Error> {
    let plain = read_plain(directory)?;
    let there = plain.is_some();
    let key = match plain {
        Some(key) => key,
        None if has_records(directory)? => return Err(missing(directory)),
        None => DataKey::random(),
    };
    if let Some(passphrase) = chosen {
        wrap(directory, &key, passphrase, costs)?;
        private_file::remove(&plain_path(directory))?;
    } else if !there {
        write_plain(directory, &key)?;
    }
    Ok(key)
}

/// Whether the key lies open although the user asked for a passphrase.
pub fn lies_open(directory: &Path) -> bool {
    plain_path(directory).exists() && !wrapped_path(directory).exists()
}

fn plain_path(directory: &Path) -> PathBuf {
    directory.join("key")
}

fn wrapped_path(directory: &Path) -> PathBuf {
    directory.join("key.wrapped")
}

fn missing(directory: &Path) -> Error {
    Error::KeyMissing { path: plain_path(directory) }
}

fn has_records(directory: &Path) -> Result<bool, Error> {
    let listed = fs::read_dir(directory).map_err(|source| private_file::Error::Io {
        action: "list",
        path: directory.to_owned(),
        source,
    })?;
    Ok(listed.flatten().any(|file| file.path().extension().is_some_and(|e| e == "sealed")))
}

fn read_plain(directory: &Path) -> Result<Option<DataKey>, Error> {
    let path = plain_path(directory);
    let Some(stored) = private_file::read_unexposed(&path, LONGEST)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let key = STANDARD.decode(stored.trim_ascii()).map(Zeroizing::new).ok();
    match key.and_then(|key| DataKey::from_bytes(&key)) {
        Some(key) => Ok(Some(key)),
        None => Err(Error::KeyDamaged { path }),
    }
}

fn write_plain(directory: &Path, key: &DataKey) -> Result<(), Error> {
    let text = Zeroizing::new(STANDARD.encode(key.as_bytes()) + "\n");
    Ok(private_file::replace(&plain_path(directory), text.as_bytes())?)
}

fn wrap(directory: &Path, key: &DataKey, passphrase: &Secret, costs: Costs) -> Result<(), Error> {
    let path = wrapped_path(directory);
    let salt: [u8; 16] = random();
    let outer = derive(passphrase, &salt, costs).ok_or(Error::KeyDamaged { path: path.clone() })?;
    let Costs { memory, passes, lanes } = costs;
    let wrapped = Wrapped {
        format: 1,
        memory,
        passes,
        lanes,
        salt: STANDARD.encode(salt),
        key: STANDARD.encode(outer.seal(LABEL, key.as_bytes())),
    };
    let json = serde_json::to_vec(&wrapped).unwrap_or_default(); // strings and numbers: cannot fail
    Ok(private_file::replace(&path, &json)?)
}

fn unwrap(path: &Path, stored: &[u8], passphrase: &Passphrase) -> Result<DataKey, Error> {
    let damaged = || Error::KeyDamaged { path: path.to_owned() };
    let wrapped: Wrapped = serde_json::from_slice(stored).map_err(|_| damaged())?;
    let salt = STANDARD.decode(&wrapped.salt).map_err(|_| damaged())?;
    let sealed = STANDARD.decode(&wrapped.key).map_err(|_| damaged())?;
    if wrapped.memory > MOST_MEMORY || wrapped.passes > MOST_PASSES {
        return Err(damaged());
    }
    let Wrapped { memory, passes, lanes, .. } = wrapped;
    let costs = Costs { memory, passes, lanes };
    for _ in 0..passphrase.tries() {
        let given = passphrase.ask(path)?;
        let outer = derive(&given, &salt, costs).ok_or_else(damaged)?;
        if let Some(key) = outer.open(LABEL, &sealed) {
            return DataKey::from_bytes(&key).ok_or_else(damaged);
        }
        passphrase.interact.warn("that passphrase does not open the store");
    }
    Err(Error::WrongPassphrase { path: path.to_owned() })
}

/// Argon2id; `None` for costs that it does not know.
fn derive(passphrase: &Secret, salt: &[u8], costs: Costs) -> Option<DataKey> {
    let Costs { memory, passes, lanes } = costs;
    let params = argon2::Params::new(memory, passes, lanes, Some(32)).ok()?;
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut key = Zeroizing::new([0u8; 32]);
    argon.hash_password_into(passphrase.expose().as_bytes(), salt, key.as_mut_slice()).ok()?;
    DataKey::from_bytes(key.as_slice())
}

impl Passphrase {
    /// A file says the same thing however often it is asked.
    fn tries(&self) -> usize {
        if self.file.is_some() { 1 } else { TRIES }
    }

    fn ask(&self, path: &Path) -> Result<Secret, Error> {
        match &self.file {
            Some(file) => read_passphrase(file),
            None => self.prompt("Passphrase of the credential store:", path),
        }
    }

    /// A new passphrase; a person gives it twice.
    fn choose(&self, path: &Path) -> Result<Secret, Error> {
        if let Some(file) = &self.file {
            return read_passphrase(file);
        }
        for _ in 0..TRIES {
            let first = self.prompt("New passphrase of the credential store:", path)?;
            let second = self.prompt("The same again:", path)?;
            if first.expose().is_empty() {
                self.interact.warn("an empty passphrase protects nothing");
            } else if first.expose() == second.expose() {
                return Ok(first);
            } else {
                self.interact.warn("the two differ");
            }
        }
        Err(Error::WrongPassphrase { path: path.to_owned() })
    }

    fn prompt(&self, prompt: &str, path: &Path) -> Result<Secret, Error> {
        let needed = |source| Error::PassphraseNeeded { path: path.to_owned(), source };
        if !self.interact.can_ask() {
            return Err(needed(Unanswered::NoTerminal));
        }
        self.interact.ask_secret(prompt).map_err(needed)
    }
}

/// The passphrase in a file, without one line break at its end. The file is the one that the user named,
/// often another user's (a mounted secret, a link), so that it is read as it is.
fn read_passphrase(path: &Path) -> Result<Secret, Error> {
    let unread = |source| Error::PassphraseFile { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(unread)?;
    file.take(LONGEST_PASSPHRASE).read_to_string(&mut text).map_err(unread)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let passphrase = line.strip_suffix('\r').unwrap_or(line);
    if passphrase.is_empty() {
        return Err(unread(io::Error::new(io::ErrorKind::InvalidData, "it is empty")));
    }
    Ok(Secret::new(passphrase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fake::Person;

    /// As cheap as Argon2 goes: these tests are about files.
    const CHEAP: Costs = Costs { memory: 64, passes: 1, lanes: 1 };

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap() }
        }

        fn make(&self, protect: bool, person: &Arc<Person>) -> Result<DataKey, Error> {
            let locks = self.directory.path().join("locks");
            find_or_make(self.directory.path(), &locks, protect, &asking(person))
        }

        fn find(&self, person: &Arc<Person>) -> Result<Option<DataKey>, Error> {
            find(self.directory.path(), &asking(person))
        }

        fn has(&self, name: &str) -> bool {
            self.directory.path().join(name).exists()
        }
    }

    fn asking(person: &Arc<Person>) -> Passphrase {
        let interact: Arc<dyn Interact> = Arc::<Person>::clone(person);
        Passphrase { file: None, interact, costs: CHEAP }
    }

    #[test]
    fn the_key_is_made_once_and_only_its_user_may_read_it() {
        let place = Place::new();
        let person = Person::absent();
        assert!(place.find(&person).unwrap().is_none());
        let key = place.make(false, &person).unwrap();
        assert_eq!(place.make(false, &person).unwrap().as_bytes(), key.as_bytes());
        assert_eq!(place.find(&person).unwrap().unwrap().as_bytes(), key.as_bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(place.directory.path().join("key")).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn many_first_users_make_one_key() {
        let place = Place::new();
        let keys: Vec<DataKey> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| place.make(false, &Person::absent()).unwrap()))
                .collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| key.as_bytes() == keys[0].as_bytes()));
    }

    #[test]
    fn a_wrapped_key_needs_its_passphrase() {
        let place = Place::new();
        let key = place.make(true, &Person::answering(&["correct", "correct"])).unwrap();
        assert!(place.has("key.wrapped") && !place.has("key"));
        let found = place.find(&Person::answering(&["correct"])).unwrap().unwrap();
        assert_eq!(found.as_bytes(), key.as_bytes());
        // Whatever the configuration says by now.
        let found = place.make(false, &Person::answering(&["correct"])).unwrap();
        assert_eq!(found.as_bytes(), key.as_bytes());
    }

    #[test]
    fn a_person_may_mistype_a_passphrase_twice() {
        let place = Place::new();
        place.make(true, &Person::answering(&["correct", "correct"])).unwrap();
        assert!(place.find(&Person::answering(&["w1", "w2", "correct"])).unwrap().is_some());
        let wrong = Person::answering(&["w1", "w2", "w3", "correct"]);
        assert!(matches!(place.find(&wrong), Err(Error::WrongPassphrase { .. })));
        let nobody = place.find(&Person::absent());
        assert!(matches!(nobody, Err(Error::PassphraseNeeded { .. })));
    }

    #[test]
    fn a_new_passphrase_is_given_twice_and_is_not_empty() {
        let place = Place::new();
        let person = Person::answering(&["a", "b", "", "", "good", "good"]);
        place.make(true, &person).unwrap();
        assert_eq!(person.heard().len(), 2);
        assert!(place.find(&Person::answering(&["good"])).unwrap().is_some());
    }

    #[test]
    fn a_key_that_lay_open_is_wrapped_when_the_user_asks_for_it() {
        let place = Place::new();
        let key = place.make(false, &Person::absent()).unwrap();
        let wrapped = place.make(true, &Person::answering(&["p", "p"])).unwrap();
        assert_eq!(wrapped.as_bytes(), key.as_bytes());
        assert!(place.has("key.wrapped") && !place.has("key"));
    }

    #[test]
    fn a_lost_key_is_not_replaced_while_records_need_it() {
        let place = Place::new();
        fs::write(place.directory.path().join("credential~a~default.sealed"), "sealed").unwrap();
        let made = place.make(false, &Person::absent());
        assert!(matches!(made, Err(Error::KeyMissing { .. })));
        assert!(!place.has("key"));
    }

    #[test]
    fn damaged_keys_are_told_from_missing_ones() {
        let place = Place::new();
        place.make(false, &Person::absent()).unwrap();
        fs::write(place.directory.path().join("key"), "c2hvcnQ=\n").unwrap();
        assert!(matches!(place.find(&Person::absent()), Err(Error::KeyDamaged { .. })));

        let place = Place::new();
        place.make(true, &Person::answering(&["p", "p"])).unwrap();
        let path = place.directory.path().join("key.wrapped");
        let greedy =
            fs::read_to_string(&path).unwrap().replace("\"memory\":64,", "\"memory\":4294967295,");
        fs::write(&path, greedy).unwrap();
        let found = place.find(&Person::answering(&["p"]));
        assert!(matches!(found, Err(Error::KeyDamaged { .. })));
    }

    #[test]
    fn a_passphrase_file_answers_without_a_person() {
        let place = Place::new();
        let file = place.directory.path().join("passphrase");
        let from_file =
            || Passphrase { file: Some(file.clone()), interact: Person::absent(), costs: CHEAP };
        let locks = place.directory.path().join("locks");
        let missing = find_or_make(place.directory.path(), &locks, true, &from_file());
        assert!(matches!(missing, Err(Error::PassphraseFile { .. })));
        fs::write(&file, "\n").unwrap();
        let empty = find_or_make(place.directory.path(), &locks, true, &from_file());
        assert!(matches!(empty, Err(Error::PassphraseFile { .. })));
        fs::write(&file, "from a file\r\n").unwrap();
        find_or_make(place.directory.path(), &locks, true, &from_file()).unwrap();
        assert!(place.find(&Person::answering(&["from a file"])).unwrap().is_some());
        fs::write(&file, "another\n").unwrap();
        let wrong = find(place.directory.path(), &from_file());
        assert!(matches!(wrong, Err(Error::WrongPassphrase { .. })));
    }
}
