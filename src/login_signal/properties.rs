//! What holds for whatever a server sends.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::fixtures::*;
use super::*;

/// What a signal shows is clean and short, and its links are fit to open.
fn assert_presentable(signal: &Signal) {
    let (texts, found) = match signal {
        Signal::Nothing => return,
        Signal::Hint(text) => (vec![text.clone()], Invitations::default()),
        Signal::Follow(found) => {
            assert!(!found.is_empty());
            (Vec::new(), found.clone())
        }
        Signal::Missing(demand) | Signal::Rejected(demand, _) | Signal::ScopeNeeded(demand) => {
            (demand.said.iter().cloned().collect(), demand.invitations.clone())
        }
    };
    let messages = found.links.iter().map(|it| it.message.clone());
    let reasons = found.dropped.iter().map(ToString::to_string);
    for text in texts.into_iter().chain(messages).chain(reasons) {
        assert!(text.chars().count() <= 600 && !text.chars().any(char::is_control), "{text:?}");
    }
    for link in found.links.iter().map(|it| it.link.to_string()) {
        assert!(link.chars().all(|c| c.is_ascii_graphic()), "{link}");
        assert!(crate::http::parse_url(&link).is_ok(), "{link}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(of_message(&bytes, &server()), Signal::Nothing);
        assert_presentable(&of_answer(401, &HeaderMap::new(), &bytes, &server(), true));
    }

    #[test]
    fn mutated_fixtures_are_no_harm(
        fixture in 0..FIXTURES.len(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, ".{0,6}|\"|\\\\|\\}|\\]"), 1..6),
        status in prop::sample::select(vec![200u16, 400, 401, 403, 500]),
        presented: bool,
    ) {
        let mut bytes = FIXTURES[fixture].as_bytes().to_vec();
        for (at, length, instead) in cuts {
            let start = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, instead.into_bytes());
        }
        assert_presentable(&of_message(&bytes, &server()));
        assert_presentable(&of_answer(status, &HeaderMap::new(), &bytes, &server(), presented));
    }

    #[test]
    fn any_text_in_a_refusal_is_presentable(text in "\\PC{0,40}|.{0,40}|https?://.{0,30}|\\[auth\\]\\(https://.{0,20}\\)") {
        let quoted = serde_json::to_string(&text).unwrap();
        for message in [
            rpc_error(-32603, &text),
            result(true, &text),
            adcp(&format!(r#"{{"code":"AUTH_MISSING","message":{quoted}}}"#)),
            adcp(&format!(r#"{{"code":"AUTHORIZATION_REQUIRED","message":{quoted},"details":{{"authorization_url":{quoted}}}}}"#)),
            ELICITATION.replace("\"https://mcp.example.com/connect?elicitationId=550e8400-e29b-41d4-a716-446655440000\"", &quoted),
        ] {
            assert_presentable(&of_message(message.as_bytes(), &server()));
        }
        redacted(&text);
        if let Ok(value) = HeaderValue::from_str(&text) {
            let headers = HeaderMap::from_iter([(HeaderName::from_static("www-authenticate"), value)]);
            assert_presentable(&of_answer(401, &headers, b"", &server(), false));
        }
    }

    #[test]
    fn the_session_never_shows_in_a_log(session in "[A-Za-z0-9]{12,40}") {
        let text = GATEWAY_ERROR.replace("498d4287-a059-4b5f-8ed7-6be9f488f608", &session);
        let signal = of_message(text.as_bytes(), &server());
        prop_assert!(matches!(signal, Signal::Follow(_)));
        let logged = format!("{signal:?}");
        prop_assert!(!logged.contains(&session));
        prop_assert!(!redacted(&text).contains(&session));
    }
}
