//! Which tools of a server the host may see and call.

use serde_json::Value;
use wildmatch::WildMatch;

use crate::jsonrpc::{INVALID_PARAMS, INVALID_REQUEST, Members, Message};

/// Patterns of tool names: what is denied is never allowed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    allow: Vec<WildMatch>,
    deny: Vec<WildMatch>,
}

impl Filter {
    /// `*` stands for any text, `?` for one character. Without patterns to allow, all are.
    pub fn new(allow: &[String], deny: &[String]) -> Self {
        let read = |patterns: &[String]| patterns.iter().map(|text| WildMatch::new(text)).collect();
        Self { allow: read(allow), deny: read(deny) }
    }

    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    fn admits(&self, tool: &str) -> bool {
        let matches = |patterns: &[WildMatch]| patterns.iter().any(|it| it.matches(tool));
        !matches(&self.deny) && (self.allow.is_empty() || matches(&self.allow))
    }

    /// The error for a call of a tool that the host may not have. It reads like that for one which is not there.
    pub fn refusal(&self, request: &Message) -> Option<Message> {
        if self.is_open() || request.method() != Some("tools/call") {
            return None;
        }
        if is_ambiguous(request) {
            let what = "a member is there twice";
            return Some(Message::error(request.id(), INVALID_REQUEST, what, None));
        }
        let name = request.member("params")["name"].as_str().unwrap_or_default().to_owned();
        if self.admits(&name) {
            return None;
        }
        let what = format!("Unknown tool: {}", crate::text::clean(&name));
        Some(Message::error(request.id(), INVALID_PARAMS, &what, None))
    }

    /// A list of tools without those that the host may not have; as it was, where that is all.
    pub fn listed(&self, response: Message) -> Message {
        if self.is_open() {
            return response;
        }
        let mut value = response.to_value();
        let Some(tools) = value["result"]["tools"].as_array_mut() else { return response };
        let before = tools.len();
        tools.retain(|tool| matches!(&tool["name"], Value::String(name) if self.admits(name)));
        if tools.len() == before {
            return response;
        }
        Message::read(value.to_string()).unwrap_or(response)
    }
}

/// Whether a member of the call is there twice: servers differ in which one they believe.
fn is_ambiguous(call: &Message) -> bool {
    let message = Members::of(call);
    let params = message.object("params");
    [&message, &params, &params.object("arguments")].iter().any(|members| members.has_repeated())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jsonrpc::Id;

    fn filter(allow: &[&str], deny: &[&str]) -> Filter {
        let owned =
            |patterns: &[&str]| patterns.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(allow), &owned(deny))
    }

    fn call(tool: &str) -> Message {
        Message::request(&Id::number(1), "tools/call", &json!({"name": tool}))
    }

    #[test]
    fn a_list_and_a_call_agree() {
        let filter = filter(&["get_*", "list"], &["get_secret*"]);
        let list = Message::read(
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get_a"},{"name":"get_secrets"},{"name":"list"},{"name":"delete"},{}],"x":1}}"#,
        );
        let listed = filter.listed(list.unwrap());
        let left = json!({"tools": [{"name": "get_a"}, {"name": "list"}], "x": 1});
        assert_eq!(listed.member("result"), left);
        for (tool, admitted) in
            [("get_a", true), ("get_secrets", false), ("delete", false), ("", false)]
        {
            assert_eq!(filter.refusal(&call(tool)).is_none(), admitted, "{tool}");
        }
    }

    #[test]
    fn a_call_that_can_be_read_in_two_ways_is_refused() {
        for (params, is_refused) in [
            (r#"{"name":"get_a","name":"drop"}"#, true),
            (r#"{"name":"get_a","n\u0061me":"get_a"}"#, true),
            (r#"{"name":"get_a","arguments":{},"arguments":{}}"#, true),
            (r#"{"name":"get_a","arguments":{"x":1,"x":2}}"#, true),
            (r#"{"name":"get_a","arguments":{"x":1,"y":{"x":2}}}"#, false),
        ] {
            let call =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            let call = Message::read(call).unwrap();
            let refusal = filter(&["get_*"], &[]).refusal(&call);
            assert_eq!(refusal.is_some(), is_refused, "{params}");
            assert!(refusal.is_none_or(|it| it.text().contains("-32600")), "{params}");
            assert!(filter(&[], &[]).refusal(&call).is_none());
        }
    }

    #[test]
    fn what_needs_no_change_keeps_its_text() {
        let text = r#"{"jsonrpc":"2.0", "id":1, "result":{ "tools":[ {"name":"get_a"} ]}}"#;
        let list = || Message::read(text).unwrap();
        assert_eq!(filter(&[], &[]).listed(list()).text(), text);
        assert_eq!(filter(&["*"], &["x"]).listed(list()).text(), text);
    }
}
