//! A sign-in that goes on: one for each credential, whoever waits for it. Those who no longer wait leave it to the
//! next ones, for its link stays good.

use std::rc::Rc;

use tokio::sync::{oneshot, watch};
use tokio::task::spawn_local;

use super::Relay;
use crate::forward::{Address, Bring};

pub struct Going {
    name: String,
    address: watch::Sender<Option<Address>>,
    outcome: watch::Sender<Option<Result<(), String>>>,
}

impl Going {
    /// Where the person signs in, once that is known.
    pub async fn address(&self) -> Address {
        let mut address = self.address.subscribe();
        loop {
            if let Some(address) = &*address.borrow_and_update() {
                return address.clone();
            }
            // The sender lives as long as `self`.
            let _ = address.changed().await;
        }
    }

    /// Whether that is known.
    pub fn is_addressed(&self) -> bool {
        self.address.borrow().is_some()
    }

    /// How it ended.
    pub async fn outcome(&self) -> Result<(), String> {
        let mut outcome = self.outcome.subscribe();
        loop {
            if let Some(outcome) = &*outcome.borrow_and_update() {
                return outcome.clone();
            }
            let _ = outcome.changed().await;
        }
    }
}

impl Relay {
    /// The sign-in for this credential that goes on, or a new one.
    pub(super) fn going(self: &Rc<Self>, name: &str, bring: Bring) -> Rc<Going> {
        let mut current = self.going.borrow_mut();
        if let Some(going) = &*current
            && going.name == name
            && going.outcome.borrow().is_none()
        {
            return going.clone();
        }
        let (address, outcome) = (watch::Sender::new(None), watch::Sender::new(None));
        let going = Rc::new(Going { name: name.to_owned(), address, outcome });
        *current = Some(going.clone());
        spawn_local(self.clone().carry(going.clone(), bring));
        going
    }

    async fn carry(self: Rc<Self>, going: Rc<Going>, bring: Bring) {
        let (tell, address) = oneshot::channel();
        let outcome = self.settings.supply.sign_in(&going.name, bring, tell);
        tokio::pin!(outcome);
        let outcome = tokio::select! {
            outcome = &mut outcome => outcome,
            Ok(address) = address => {
                going.address.send_replace(Some(address));
                outcome.await
            }
        };
        going.outcome.send_replace(Some(outcome.map_err(|trouble| trouble.0)));
    }
}
