//! Session ids in foreign text. Whoever knows one is signed in, so logs have hashes in their place.

use crate::digest;

/// Names, in any case, of what is a session: whoever has its value is signed in.
const SESSIONS: [&str; 4] = ["mcp_session", "mcp-session-id", "session_id", "sessionid"];

/// `text` with hashes in place of session ids: for logs and stderr.
pub fn redacted(text: &str) -> String {
    let mut shown = String::new();
    let mut done = 0;
    for (at, sign) in text.match_indices(['=', ':', '%']) {
        let Some(start) = session_start(text, at, sign).filter(|start| *start >= done) else {
            continue;
        };
        let value = &text[start..];
        let end = value.find(|c| !is_of_session(c)).unwrap_or(value.len());
        shown.push_str(&text[done..start]);
        if end > 0 {
            shown.push_str(&hash(&value[..end]));
        }
        done = start + end;
    }
    shown + &text[done..]
}

/// Where the value begins if what stands before the sign is the name of a session.
fn session_start(text: &str, at: usize, sign: &str) -> Option<usize> {
    let (before, after) = text.split_at(at);
    let sign = if sign == "%" { "%3D" } else { sign };
    let is_sign = after.get(..sign.len()).is_some_and(|it| it.eq_ignore_ascii_case(sign));
    let name = before.trim_end_matches(is_filler);
    let ends_in = |session: &str| {
        let tail = name.len().checked_sub(session.len()).and_then(|start| name.get(start..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(session))
    };
    if !is_sign || !SESSIONS.iter().any(|session| ends_in(session)) {
        return None;
    }
    let rest = &after[sign.len()..];
    Some(text.len() - rest.trim_start_matches(is_filler).len())
}

/// What may stand between a name, its sign and its value: blanks, and quotes of JSON, escaped or not.
fn is_filler(c: char) -> bool {
    matches!(c, ' ' | '"' | '\'' | '\\')
}

fn is_of_session(c: char) -> bool {
    c.is_alphanumeric() || "-._~%+/:=".contains(c)
}

/// Enough to tell two values apart.
pub fn hash(value: &str) -> String {
    format!("#{}", &digest::sha256(value.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_redacted_in_any_text() {
        for text in [
            "GET /message?sessionId=SECRET-1 failed",
            "[auth](http://h/oauth/authorize?mcp_session=SECRET-1)",
            "Mcp-Session-Id: SECRET-1\r\n",
            r#"{"sessionId":"SECRET-1"}"#,
            r#"{\"session_id\" : \"SECRET-1\"}"#,
            "redirect=http%3A%2F%2Fh%3Fmcp_session%3DSECRET-1",
            "MCP_SESSION=SECRET-1&sessionid=SECRET-1",
            "é sessionId=SECRET-1 é",
        ] {
            let shown = redacted(text);
            assert!(!shown.contains("SECRET") && shown.contains('#'), "{shown}");
            assert_eq!(shown.matches('é').count(), text.matches('é').count());
        }
        for text in
            ["", "sessionId", "sessionId=", "a=b", "obsession=x", "no sessions: none", "100%"]
        {
            assert_eq!(redacted(text), text);
        }
        assert_ne!(redacted("sessionId=a"), redacted("sessionId=b"));
    }
}
