//! What the tests of this folder put in the place of people and keychains.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use keyring_core::api::{CredentialApi, CredentialStoreApi};
use keyring_core::{Credential, CredentialStore, Entry, Error};

use super::keychain::Open;
use crate::interact::{Interact, Unanswered};
use crate::secret::Secret;

/// Somebody who answers questions from a list, or nobody at all.
pub struct Person {
    answers: Option<Mutex<VecDeque<String>>>,
    heard: Mutex<Vec<String>>,
}

impl Person {
    pub fn absent() -> Arc<Self> {
        Arc::new(Self { answers: None, heard: Mutex::default() })
    }

    pub fn answering(answers: &[&str]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        Arc::new(Self { answers: Some(Mutex::new(answers)), heard: Mutex::default() })
    }

    /// Notices and warnings, in order.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn hear(&self, line: &str) {
        self.heard.lock().unwrap().push(line.to_owned());
    }
}

impl Interact for Person {
    fn notice(&self, line: &str) {
        self.hear(line);
    }

    fn warn(&self, line: &str) {
        self.hear(line);
    }

    fn show(&self, line: &str) {
        self.hear(line);
    }

    fn can_ask(&self) -> bool {
        self.answers.is_some()
    }

    fn columns(&self) -> Option<usize> {
        None
    }

    fn ask_secret(&self, _: &str) -> Result<Secret, Unanswered> {
        let answers = self.answers.as_ref().ok_or(Unanswered::NoTerminal)?;
        answers.lock().unwrap().pop_front().map(Secret::new).ok_or(Unanswered::Interrupted)
    }

    fn ask_line(&self, _: &str) -> Result<String, Unanswered> {
        Err(Unanswered::NoTerminal)
    }

    fn confirm(&self, _: &str, _: bool) -> Result<bool, Unanswered> {
        Err(Unanswered::NoTerminal)
    }

    fn choose(&self, _: &str, _: &[String]) -> Result<Vec<usize>, Unanswered> {
        Err(Unanswered::NoTerminal)
    }

    fn open_url(&self, _: &url::Url) -> bool {
        false
    }
}

/// What the next call of a [`Memory`] does instead of its work.
pub enum Fault {
    Fails(Error),
    Panics,
    /// It waits until the other end speaks or goes away, then does its work.
    Waits(Receiver<()>),
}

/// A keychain in memory, which outlives the connections to it.
#[derive(Default)]
pub struct Memory {
    pub items: Mutex<HashMap<String, Vec<u8>>>,
    pub faults: Mutex<VecDeque<Fault>>,
    /// Connections made.
    pub opened: Mutex<usize>,
    pub limit: Option<usize>,
}

impl Memory {
    /// What opens it, as often as one likes.
    pub fn opener(self: &Arc<Self>) -> Arc<Open> {
        let memory = Arc::clone(self);
        Arc::new(move || {
            *memory.opened.lock().unwrap() += 1;
            let store: Arc<CredentialStore> = Arc::new(Opened(Arc::clone(&memory)));
            Ok(store)
        })
    }

    pub fn next(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    fn meet_fault(&self) -> keyring_core::Result<()> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => Ok(()),
            Some(Fault::Fails(error)) => Err(error),
            Some(Fault::Panics) => panic!("a keychain that panics, as a test wants it"),
            Some(Fault::Waits(released)) => {
                let _ = released.recv();
                Ok(())
            }
        }
    }
}

struct Opened(Arc<Memory>);

impl CredentialStoreApi for Opened {
    fn vendor(&self) -> String {
        "test".into()
    }

    fn id(&self) -> String {
        "test".into()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        _: Option<&HashMap<&str, &str>>,
    ) -> keyring_core::Result<Entry> {
        let item = Item { memory: Arc::clone(&self.0), name: format!("{service} {user}") };
        Ok(Entry::new_with_credential(Arc::new(item)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn debug_fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened")
    }
}

struct Item {
    memory: Arc<Memory>,
    name: String,
}

impl CredentialApi for Item {
    fn set_secret(&self, secret: &[u8]) -> keyring_core::Result<()> {
        self.memory.meet_fault()?;
        if self.memory.limit.is_some_and(|limit| secret.len() > limit) {
            return Err(Error::TooLong("secret".into(), 2560));
        }
        self.memory.items.lock().unwrap().insert(self.name.clone(), secret.to_vec());
        Ok(())
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        self.memory.meet_fault()?;
        self.memory.items.lock().unwrap().get(&self.name).cloned().ok_or(Error::NoEntry)
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        self.memory.meet_fault()?;
        let removed = self.memory.items.lock().unwrap().remove(&self.name);
        removed.map(drop).ok_or(Error::NoEntry)
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn debug_fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Item")
    }
}
