//! Whether an agent's answer says that somebody has to sign in. ACP has a code for it (-32000); agents use
//! others as well.

use serde_json::Value;

use crate::jsonrpc::{INTERNAL_ERROR, Message};

/// ACP v1, errors.
pub const AUTH_REQUIRED: i64 = -32000;

/// Codes that some agents take over from their provider.
const HTTP: [i64; 2] = [401, 403];

/// Words by which an error that is called internal is known.
const WORDS: [&str; 15] = [
    "authentication required",
    "not authenticated",
    "authentication failed",
    "authentication_error",
    "unauthenticated",
    "unauthorized",
    "not logged in",
    "please log in",
    "login required",
    "sign in",
    "invalid api key",
    "incorrect api key",
    "api key",
    "api_key",
    "no credentials",
];
/// The same as a number of its own.
const UNAUTHORIZED: &str = "401";

/// Whether the answer is an error about signing in.
pub fn is_about_sign_in(answer: &Message) -> bool {
    answer.is_error() && of_error(&answer.member("error"))
}

fn of_error(error: &Value) -> bool {
    let data = &error["data"];
    if data["envVars"].is_array() || data["authMethods"].is_array() {
        return true;
    }
    match error["code"].as_i64() {
        Some(AUTH_REQUIRED) => true,
        Some(code) if HTTP.contains(&code) => true,
        Some(INTERNAL_ERROR) => has_words(&error["message"]) || has_words(data),
        _ => false,
    }
}

/// In a text, or in the texts of an object's members.
fn has_words(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let text = text.to_ascii_lowercase();
            let mut numbers = text.split(|letter: char| !letter.is_ascii_alphanumeric());
            WORDS.iter().any(|word| text.contains(word)) || numbers.any(|it| it == UNAUTHORIZED)
        }
        Value::Object(members) => members.values().any(has_words),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn agents_say_it_in_many_ways() {
        for error in [
            json!({"code": -32000, "message": "Authentication required"}),
            json!({"code": 401, "message": "{\"error\": \"x\"}"}),
            json!({"code": -32603, "message": "Internal error", "data": {"details": "Invalid API key"}}),
            json!({"code": -32603, "message": "x", "data": {"envVars": ["OPENAI_API_KEY"]}}),
            json!({"code": -32603, "message": "x", "data": {"status": "HTTP 401: no"}}),
            json!({"code": -32001, "message": "x", "data": {"authMethods": []}}),
        ] {
            assert!(of_error(&error), "{error}");
        }
        for error in [
            json!({"code": -32603, "message": "Internal error"}),
            json!({"code": -32603, "message": "line 4012", "data": {"requestId": "req_a401f"}}),
            json!({"code": -32602, "message": "no api key in the parameters"}),
            json!({"code": -32002, "message": "Resource not found"}),
            json!(null),
        ] {
            assert!(!of_error(&error), "{error}");
        }
    }
}
