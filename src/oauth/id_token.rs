//! Whose login it is, as an ID token says (OpenID Connect Core §2). It came from the token endpoint over
//! TLS, so that its signature need not be checked (§3.1.3.7), and it is used for display alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::text;

/// The e-mail address of the person, else the name they chose, else the server's own word (`sub`).
pub fn subject(id_token: &str) -> Option<String> {
    let payload = id_token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let told = |claim: &str| claims[claim].as_str().filter(|told| !told.is_empty());
    let whose = told("email").or_else(|| told("preferred_username")).or_else(|| told("sub"))?;
    Some(text::clean(whose))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(claims: &Value) -> Option<String> {
        subject(&format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string())))
    }

    #[test]
    fn the_most_telling_claim_names_the_person() {
        let all =
            json!({ "sub": "248289", "preferred_username": "ann", "email": "ann@example.com" });
        assert_eq!(of(&all).as_deref(), Some("ann@example.com"));
        let empty = json!({ "sub": "248289", "preferred_username": "ann", "email": "" });
        assert_eq!(of(&empty).as_deref(), Some("ann"));
        assert_eq!(of(&json!({ "sub": "248289", "email": 1 })).as_deref(), Some("248289"));
    }

    #[test]
    fn what_is_no_token_names_nobody_and_what_is_foreign_is_cleaned() {
        for unfit in ["", "a.b.c", "e30.e30.x", "e30.WzFd.x", "abc"] {
            assert_eq!(subject(unfit), None, "{unfit}");
        }
        let named = of(&json!({ "sub": format!("a\u{1b}[31m{}", "b".repeat(1000)) })).unwrap();
        assert!(!named.contains('\u{1b}') && named.chars().count() < 1000, "{named}");
    }
}
