//! Links that a server wants a person to open before it does what it was asked: the session stays, the person
//! is brought there in the host's way, and the call is repeated for a while.

use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::Failure;
use super::offer::{self, Asking, Input};
use super::session::Session;
use super::settle::{Next, Outcome, Tried};
use crate::forward::Bring;
use crate::jsonrpc::Message;
use crate::login_signal::{Invitation, Invitations, Link};

/// When a call is repeated after its link was opened: nobody says when the person is done there.
const FOLLOWED: [Duration; 4] = [
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(12),
    Duration::from_secs(24),
];

/// How long no further page of a server is opened unasked: it decides itself how many links it gives.
const BETWEEN_TABS: Duration = Duration::from_mins(5);

impl Session {
    /// A link of the server's: the session stays, and the call may succeed once the person was there.
    pub(super) async fn follow(
        self: &Rc<Self>,
        outcome: &Outcome,
        links: &Invitations,
        request: &Message,
        tried: &mut Tried,
    ) -> Next {
        let is_refused = matches!(outcome, Ok(message) if message.is_error() || is_failed(message))
            || outcome.is_err();
        if tried.followed == 0 {
            if let Some(asked) = self.page_required(links, request, tried) {
                return Next::Instead(Ok(asked));
            }
            let is_brought = match tried.agreed {
                Some(agreed) => agreed,
                None => self.bring_to(links, request, tried).await,
            };
            if !is_brought {
                return self.shown(outcome, links, request);
            }
        }
        let begun = *tried.followed_since.get_or_insert_with(Instant::now);
        let is_in_time = |wait: &Duration| begun.elapsed() + *wait <= self.settings.call_patience;
        let wait = FOLLOWED.get(tried.followed).filter(|wait| is_refused && is_in_time(wait));
        let Some(wait) = wait else { return self.shown(outcome, links, request) };
        tried.followed += 1;
        tokio::time::sleep(*wait).await;
        Next::Again
    }

    /// The server's word stands; where it has none for a host, the link is told.
    fn shown(&self, outcome: &Outcome, links: &Invitations, request: &Message) -> Next {
        let (Err(failure @ Failure::Refused(_)), Some(id)) = (outcome, request.id()) else {
            return Next::Pass;
        };
        match links.links.first().filter(|_| failure.own_word(id).is_none()) {
            Some(first) => {
                let text = format!("{} {}", self.invitation(first), first.link);
                Next::Instead(self.troubled(request, &text))
            }
            None => Next::Pass,
        }
    }

    /// The question that a host without a session of its own is asked as a result.
    fn page_required(
        &self,
        links: &Invitations,
        request: &Message,
        tried: &Tried,
    ) -> Option<Message> {
        if tried.agreed.is_some() || self.asking(Some(request)) != Asking::Result {
            return None;
        }
        let invitation = links.links.first()?;
        let said = self.invitation(invitation);
        offer::input_required(request, Input::Page, &said, invitation.link.url())
    }

    /// Brings the person to the links, the way the host can: whether anybody goes there now.
    async fn bring_to(&self, links: &Invitations, request: &Message, tried: &Tried) -> bool {
        for dropped in &links.dropped {
            self.warn_once(&dropped.to_string());
        }
        let mut brought = false;
        for invitation in &links.links {
            let link = self.waited_for(&invitation.link);
            let asking = self.asking(Some(request));
            brought |= *link.get_or_init(|| self.bring_to_one(invitation, asking, tried)).await;
            tried.links.borrow_mut().push(link);
        }
        brought
    }

    /// All requests that wait for a link at one time share it: one tab, one question.
    fn waited_for(&self, link: &Link) -> Rc<OnceCell<bool>> {
        let mut links = self.links.borrow_mut();
        links.retain(|_, waiting| waiting.strong_count() > 0);
        let known = links.get(link.as_str()).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let new = Rc::new(OnceCell::new());
            links.insert(link.as_str().to_owned(), Rc::downgrade(&new));
            new
        })
    }

    /// A link is a stranger's text: only one of the server's own origin is opened unasked.
    async fn bring_to_one(&self, invitation: &Invitation, asking: Asking, tried: &Tried) -> bool {
        let said = self.invitation(invitation);
        let link = &invitation.link;
        match asking {
            // The host reads the error itself.
            Asking::Request if invitation.elicitation_id.is_some() => false,
            Asking::Request => {
                let shown = self.show(&said, link.url());
                tried.shown.borrow_mut().push(shown.name);
                let agreed = timeout(self.settings.call_patience, shown.agreed).await;
                if agreed.is_err() {
                    self.host.send(offer::no_longer_asked(&shown.id));
                }
                agreed == Ok(Some(true))
            }
            _ if link.is_own() && self.settings.bring == Bring::Browser && self.may_open() => {
                self.link.broker().open(link.url().clone()).await
            }
            _ => {
                self.warn_once(&format!("{said} {link}"));
                false
            }
        }
    }

    /// Whether a page may be opened that nobody asked for; from now on none, for a while.
    fn may_open(&self) -> bool {
        let opened = self.opened.get();
        let is_free = opened.is_none_or(|opened| opened.elapsed() >= BETWEEN_TABS);
        if is_free {
            self.opened.set(Some(Instant::now()));
        }
        is_free
    }

    /// What a link is, for the person: whose, above all.
    fn invitation(&self, invitation: &Invitation) -> String {
        let title = self.link.title();
        let said = if invitation.link.is_own() {
            format!("{title} asks you to open this page. {}", invitation.message)
        } else {
            let origin = invitation.link.origin();
            format!(
                "{title} asks you to open a page of {origin}, which is not its own. {}",
                invitation.message
            )
        };
        said.trim().to_owned()
    }
}

/// A result that says of itself that it is an error (MCP, `CallToolResult`).
fn is_failed(message: &Message) -> bool {
    message.member("result")["isError"] == true
}
