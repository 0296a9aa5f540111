//! What calls have led to without success: a server that refuses whatever it is shown does not get one sign-in
//! after the other.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use crate::jsonrpc::Message;

/// Most sign-ins in a row for more scopes for the same operation.
pub const MOST_UPGRADES: usize = 3;

#[derive(Default)]
pub struct Attempts {
    sign_ins: Cell<u64>,
    /// Operations that were refused, signed in for, and have not succeeded since.
    signed_in_for: RefCell<BTreeSet<String>>,
    /// Nothing has succeeded since the last sign-in.
    is_unproven: Cell<bool>,
    /// It was tried whether another authorization server is in charge.
    has_moved: Cell<bool>,
    /// Sign-ins for more scopes.
    upgrades: RefCell<BTreeMap<String, usize>>,
}

impl Attempts {
    /// Somebody has signed in.
    pub fn signed_in(&self) {
        self.sign_ins.set(self.sign_ins.get() + 1);
        self.is_unproven.set(true);
    }

    /// How often somebody has.
    pub fn sign_ins(&self) -> u64 {
        self.sign_ins.get()
    }

    /// Somebody has signed in for that request, which is sent again.
    pub fn signed_in_for(&self, request: &Message) {
        self.signed_in_for.borrow_mut().insert(operation(request));
    }

    /// The server does what it is asked.
    pub fn succeeded(&self, request: &Message) {
        self.is_unproven.set(false);
        self.has_moved.set(false);
        let operation = operation(request);
        self.signed_in_for.borrow_mut().remove(&operation);
        self.upgrades.borrow_mut().remove(&operation);
    }

    /// Whether a sign-in was of no use to that request.
    pub fn is_vain(&self, request: &Message) -> bool {
        self.is_unproven.get() || self.signed_in_for.borrow().contains(&operation(request))
    }

    /// Whether another authorization server was looked for already; from now on it was.
    pub fn moves_again(&self) -> bool {
        self.has_moved.replace(true)
    }

    /// Whether the request may still ask for more scopes.
    pub fn may_upgrade(&self, request: &Message) -> bool {
        let upgrades = self.upgrades.borrow();
        upgrades.get(&operation(request)).is_none_or(|count| *count < MOST_UPGRADES)
    }

    /// A sign-in for more scopes begins.
    pub fn upgrade(&self, request: &Message) {
        *self.upgrades.borrow_mut().entry(operation(request)).or_default() += 1;
    }
}

/// Method and tool.
fn operation(request: &Message) -> String {
    let method = request.method().unwrap_or_default();
    let name = &request.member("params")["name"];
    format!("{method} {}", name.as_str().unwrap_or_default())
}
