//! What a host sees of a sign-in: a greeting before its server has spoken, lists while the server cannot be
//! asked, a link to open in the host's own way, or a tool that gives the link.

use serde_json::{Map, Value, json};
use url::Url;

use super::era::{self, Hello};
use super::{MODERN, modern};
use crate::jsonrpc::{Id, Members, Message, rewritten};

/// The tool that a signed-out session has.
pub const AUTHORIZE: &str = "authorize";
/// The same where the server has one of that name.
const OWN_AUTHORIZE: &str = "authctl_authorize";

/// What a host can do about a link (MCP 2025-11-25 client/elicitation; 2026-07-28 patterns/mrtr).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// `elicitation/create` at any time.
    Request,
    /// `input_required` as the result of a call.
    Result,
    /// Not at all: it gets a tool.
    Tool,
}

/// How the host that sent `message` can be asked to open a link.
pub fn asking(hello: &Hello, message: &Message) -> Asking {
    match hello {
        Hello::Legacy(hello) => {
            let capabilities = &hello.member("params")["capabilities"];
            if capabilities["elicitation"]["url"].is_object() {
                Asking::Request
            } else {
                Asking::Tool
            }
        }
        Hello::Modern(_) => {
            let capabilities =
                &message.member("params")["_meta"]["io.modelcontextprotocol/clientCapabilities"];
            let can_repeat =
                matches!(message.method(), Some("tools/call" | "prompts/get" | "resources/read"));
            if can_repeat && capabilities["elicitation"]["url"].is_object() {
                Asking::Result
            } else {
                Asking::Tool
            }
        }
    }
}

/// The response to `initialize` or `server/discover` while nobody is signed in. `None` for any other request.
pub fn greeting_signed_out(request: &Message, title: &str) -> Option<Message> {
    greeting(request, title, &format!("Calls need a sign-in to {title} first."))
}

/// The same while the server cannot be asked for another reason.
pub fn greeting(request: &Message, title: &str, instructions: &str) -> Option<Message> {
    let id = request.id()?;
    let info = json!({"name": title, "version": env!("CARGO_PKG_VERSION")});
    let capabilities = json!({
        "tools": {"listChanged": true},
        "prompts": {"listChanged": true},
        "resources": {"listChanged": true},
    });
    let result = match request.method()? {
        "initialize" => json!({
            "protocolVersion": era::asked_version(request),
            "capabilities": capabilities,
            "serverInfo": info,
            "instructions": instructions,
        }),
        "server/discover" => json!({
            "resultType": "complete",
            "supportedVersions": [MODERN],
            "capabilities": capabilities,
            "instructions": instructions,
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": info},
        }),
        _ => return None,
    };
    Some(Message::result(id, &result))
}

/// The list that stands for the server's while it cannot be asked: empty, but for the tool that mends it.
pub fn list(request: &Message, title: &str) -> Option<Message> {
    let (member, items) = match request.method()? {
        "tools/list" => ("tools", json!([tool(AUTHORIZE, title)])),
        "prompts/list" => ("prompts", json!([])),
        "resources/list" => ("resources", json!([])),
        "resources/templates/list" => ("resourceTemplates", json!([])),
        _ => return None,
    };
    let mut result = json!({member: items});
    if modern::is_modern(request) {
        result["resultType"] = "complete".into();
        result["ttlMs"] = 0.into();
        result["cacheScope"] = "private".into();
    }
    Some(Message::result(request.id()?, &result))
}

/// The server's own list of tools, and the one that signs in.
pub fn with_tool(response: &Message, title: &str) -> Option<Message> {
    let mut response = response.to_value();
    let tools = response["result"]["tools"].as_array_mut()?;
    let taken = tools.iter().any(|tool| tool["name"] == AUTHORIZE);
    tools.push(tool(if taken { OWN_AUTHORIZE } else { AUTHORIZE }, title));
    Message::read(response.to_string()).ok()
}

fn tool(name: &str, title: &str) -> Value {
    json!({
        "name": name,
        "title": format!("Sign in to {title}"),
        "description": format!(
            "Gives the link with which the user signs in to {title}. The other tools appear, or work, once \
             that is done: show the link to the user, wait, then go on."
        ),
        "inputSchema": {"type": "object", "properties": {}, "additionalProperties": false},
    })
}

/// Whether `request` calls the tool that [`list`] and [`with_tool`] name.
pub fn calls_tool(request: &Message) -> bool {
    request.method() == Some("tools/call")
        && matches!(request.member("params")["name"].as_str(), Some(AUTHORIZE | OWN_AUTHORIZE))
}

/// A text as the result of a tool call, for the model to read and to tell.
pub fn tool_result(request: &Message, text: &str, is_error: bool) -> Option<Message> {
    let mut result = json!({"content": [{"type": "text", "text": text}], "isError": is_error});
    if modern::is_modern(request) {
        result["resultType"] = "complete".into();
    }
    Some(Message::result(request.id()?, &result))
}

/// `elicitation/create` in URL mode (MCP 2025-11-25).
pub fn elicitation(id: &Id, elicitation: &str, message: &str, url: &Url) -> Message {
    let params = json!({
        "mode": "url",
        "elicitationId": elicitation,
        "url": url.as_str(),
        "message": message,
    });
    Message::request(id, "elicitation/create", &params)
}

/// The host may close what it shows for that elicitation.
pub fn elicitation_complete(elicitation: &str) -> Message {
    let params = json!({"elicitationId": elicitation});
    Message::notification("notifications/elicitation/complete", Some(&params))
}

/// The host need not answer what it was asked.
pub fn no_longer_asked(id: &Id) -> Message {
    let params = json!({"requestId": id.to_value()});
    Message::notification("notifications/cancelled", Some(&params))
}

/// What a link is for: the key of the one input that is asked for, and the state that comes back with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    SignIn,
    /// A page of the server's.
    Page,
}

impl Input {
    const ALL: [Self; 2] = [Self::SignIn, Self::Page];

    fn key(self) -> &'static str {
        match self {
            Self::SignIn => "authctl_sign_in",
            Self::Page => "authctl_page",
        }
    }

    /// Whether `state` is of this one's; and what it brings back.
    fn brought_by(self, state: &str) -> Option<(Self, Members<'static>)> {
        match state.strip_prefix(self.key())? {
            "" => Some((self, Members::default())),
            carried => Some((self, Members::read(carried)?.into_owned())),
        }
    }
}

/// A result that wants the link opened before the call is repeated (MCP 2026-07-28).
pub fn input_required(
    request: &Message,
    input: Input,
    message: &str,
    url: &Url,
) -> Option<Message> {
    let key = input.key();
    let params = json!({"mode": "url", "url": url.as_str(), "message": message});
    let result = json!({
        "resultType": "input_required",
        "inputRequests": {key: {"method": "elicitation/create", "params": params}},
        "requestState": format!("{key}{}", carried(request)),
    });
    Some(Message::result(request.id()?, &result))
}

/// Members with which a host goes on with what the server asked it.
const GOES_ON: [&str; 2] = ["requestState", "inputResponses"];

/// What `request` itself goes on with, which the state brings back: as JSON, or nothing.
fn carried(request: &Message) -> String {
    let params = Members::of(request).object("params");
    let mut carried = Members::default();
    for (name, text) in params.iter().filter(|(name, _)| GOES_ON.contains(name)) {
        carried.set(name, text);
    }
    if carried.iter().next().is_none() { String::new() } else { carried.to_string() }
}

/// A call that is repeated after [`input_required`]: as the server is to see it, what it was asked for, and
/// whether the person agreed to open the link.
pub fn repeated(request: &Message) -> Option<(Message, Input, bool)> {
    if !Input::ALL.iter().any(|input| request.text().contains(input.key())) {
        return None;
    }
    let params = Members::of(request).object("params");
    let state: String = params.value_of("requestState")?;
    let (input, carried) = Input::ALL.into_iter().find_map(|input| input.brought_by(&state))?;
    let answers: Value = params.value_of("inputResponses").unwrap_or_default();
    let answer = &answers[input.key()];
    let agreed = [&answer["action"], &answer["result"]["action"]].contains(&&json!("accept"));
    let request = rewritten(request, |request| {
        request.edit("params", |params| {
            for name in GOES_ON {
                params.remove(name);
            }
            for (name, text) in carried.iter() {
                params.set(name, text.to_owned());
            }
        });
    });
    Some((request, input, agreed))
}

/// The notifications that have a host ask for its lists again.
pub fn changed(subscription: Option<&Id>) -> Vec<Message> {
    ["tools", "prompts", "resources"]
        .iter()
        .map(|list| {
            let method = format!("notifications/{list}/list_changed");
            let meta = subscription.map(|id| {
                let mut meta = Map::new();
                let key = "io.modelcontextprotocol/subscriptionId".to_owned();
                meta.insert(key, id.to_value());
                json!({"_meta": meta})
            });
            Message::notification(&method, meta.as_ref())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(params: &str) -> Message {
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params}}}}}"#);
        Message::read(text).unwrap()
    }

    /// `sent` answered with a link, and repeated once the person has `action`ed it.
    fn repeated_after(sent: &Message, action: &str) -> (Message, Input, bool) {
        let url = Url::parse("https://example.com/x").unwrap();
        let asked = input_required(sent, Input::SignIn, "go", &url).unwrap();
        let state = asked.member("result")["requestState"].clone();
        let answers = json!({Input::SignIn.key(): {"action": action}});
        let again = request(&format!(
            r#""name":"t","n":1.50,"requestState":{state},"inputResponses":{answers}"#
        ));
        repeated(&again).unwrap()
    }

    #[test]
    fn a_link_takes_nothing_away_from_what_a_call_goes_on_with() {
        let plain = request(r#""name":"t","n":1.50"#);
        assert_eq!(repeated_after(&plain, "accept"), (plain.clone(), Input::SignIn, true));
        assert_eq!(repeated_after(&plain, "decline"), (plain, Input::SignIn, false));
        for state in [r#""a \u00e9\"{}authctl_page""#, r#""authctl_sign_in{""#] {
            let going_on = request(&format!(
                r#""name":"t","n":1.50,"requestState":{state},"inputResponses":{{"a":{{"x":1.50}}}}"#
            ));
            assert_eq!(repeated_after(&going_on, "accept"), (going_on, Input::SignIn, true));
        }
        assert!(repeated(&request(r#""requestState":"authctl_sign_ins""#)).is_none());
        assert!(repeated(&request(r#""requestState":"authctl""#)).is_none());
    }
}
