//! The streams of changes that a modern host listens to, fed by what a server with a handshake says by itself.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::jsonrpc::{Id, Message, rewritten};
use crate::mcp::meta::SUBSCRIPTION_ID;

const UPDATED: &str = "notifications/resources/updated";

/// Lists that can change: of what in the capabilities, the filter's name for it, and the notification.
const LISTS: [(&str, &str, &str); 3] = [
    ("tools", "toolsListChanged", "notifications/tools/list_changed"),
    ("prompts", "promptsListChanged", "notifications/prompts/list_changed"),
    ("resources", "resourcesListChanged", "notifications/resources/list_changed"),
];

/// Which notifications a stream carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names of the filter.
    lists: BTreeSet<&'static str>,
    pub resources: BTreeSet<String>,
}

impl Filter {
    /// What a host asks for, of what the server has.
    pub fn of(request: &Message, capabilities: &Value) -> Self {
        let asked = request.member("params")["notifications"].take();
        let lists = LISTS
            .iter()
            .filter(|(of, name, _)| asked[name] == true && capabilities[of]["listChanged"] == true);
        let uris = asked["resourceSubscriptions"].as_array().into_iter().flatten();
        let uris = uris.filter(|_| capabilities["resources"]["subscribe"] == true);
        Self {
            lists: lists.map(|(_, name, _)| *name).collect(),
            resources: uris.filter_map(|uri| uri.as_str().map(str::to_owned)).collect(),
        }
    }

    fn to_value(&self) -> Value {
        let mut value = json!({});
        for list in &self.lists {
            value[list] = true.into();
        }
        if !self.resources.is_empty() {
            value["resourceSubscriptions"] = json!(self.resources);
        }
        value
    }

    /// A server may say of a part that the resource has changed.
    fn takes(&self, message: &Message) -> bool {
        let method = message.method();
        if method == Some(UPDATED) {
            let params = message.member("params");
            let uri = params["uri"].as_str().unwrap_or_default();
            return self.resources.iter().any(|resource| uri.starts_with(resource.as_str()));
        }
        LISTS.iter().any(|(_, list, of)| method == Some(of) && self.lists.contains(list))
    }
}

/// Whether a notification tells of a change.
pub fn is_change(message: &Message) -> bool {
    let method = message.method();
    method == Some(UPDATED) || LISTS.iter().any(|(_, _, of)| method == Some(of))
}

/// All streams that are open.
#[derive(Default)]
pub struct Subscriptions(RefCell<Vec<Stream>>);

struct Stream {
    id: Id,
    filter: Filter,
    events: mpsc::UnboundedSender<Message>,
}

impl Subscriptions {
    /// Opens a stream; what it carries begins with the acknowledgment.
    pub fn open(&self, id: &Id, filter: Filter) -> mpsc::UnboundedReceiver<Message> {
        let (events, stream) = mpsc::unbounded_channel();
        let acknowledged = json!({"notifications": filter.to_value()});
        let method = "notifications/subscriptions/acknowledged";
        let _ = events.send(marked(&Message::notification(method, Some(&acknowledged)), id));
        self.0.borrow_mut().push(Stream { id: id.clone(), filter, events });
        stream
    }

    /// Ends a stream; gives the resources of which nobody wants to hear any more.
    pub fn end(&self, id: &Id) -> Vec<String> {
        let mut streams = self.0.borrow_mut();
        let Some(index) = streams.iter().position(|stream| stream.id == *id) else {
            return Vec::new();
        };
        let ended = streams.remove(index).filter.resources.into_iter();
        ended
            .filter(|uri| !streams.iter().any(|stream| stream.filter.resources.contains(uri)))
            .collect()
    }

    /// Whether a stream carries news of a resource.
    pub fn has(&self, uri: &str) -> bool {
        self.0.borrow().iter().any(|stream| stream.filter.resources.contains(uri))
    }

    /// Passes a change to all who want to hear of it.
    pub fn tell(&self, change: &Message) {
        for stream in self.0.borrow().iter().filter(|stream| stream.filter.takes(change)) {
            let _ = stream.events.send(marked(change, &stream.id));
        }
    }
}

/// A notification with the stream that it came by.
fn marked(message: &Message, id: &Id) -> Message {
    rewritten(message, |message| {
        message.edit("params", |params| {
            params.edit("_meta", |meta| meta.set(SUBSCRIPTION_ID, id.to_string()));
        });
    })
}
