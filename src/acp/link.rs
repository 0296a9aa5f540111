//! Links that an agent has the editor show to a person (ACP v1, elicitation, URL mode): those that lead to a web
//! page. An editor that opened another one would run what the agent has chosen.

use url::Url;

use crate::jsonrpc::{Members, Message};
use crate::text::clean_to;

/// The scheme of a link that no editor is to get; `None` where the request is fit to pass.
pub fn unfit(request: &Message) -> Option<String> {
    if request.method() != Some("elicitation/create") {
        return None;
    }
    let params = request.member("params");
    let is_told_twice = Members::of(request).object("params").has_repeated();
    if params["mode"] != "url" && !is_told_twice {
        return None;
    }
    let address = params["url"].as_str().unwrap_or_default();
    let url = Url::parse(address);
    let is_page = url.as_ref().is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    // Of a member that is there twice, an editor may take the other one.
    (!is_page || is_told_twice)
        .then(|| url.map_or("no address".into(), |it| clean_to(it.scheme(), 40)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_pages_are_fit() {
        let is_fit = |params: &str| {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{{{params}}}}}"#
            );
            unfit(&Message::read(text).unwrap()).is_none()
        };
        for fit in [
            r#""mode":"url","url":"https://a.example/x""#,
            r#""mode":"url","url":"HTTP://127.0.0.1:1/""#,
            r#""mode":"form","url":"javascript:x""#,
            r#""mode":"form""#,
        ] {
            assert!(is_fit(fit), "{fit}");
        }
        for unfit in [
            r#""mode":"url","url":"javascript:alert(1)""#,
            r#""mode":"url","url":" java\nscript:alert(1)""#,
            r#""m\u006fde":"url","url":"file:///etc/passwd""#,
            r#""mode":"url","url":"vscode://x/y""#,
            r#""mode":"url","url":"/relative""#,
            r#""mode":"url","url":7"#,
            r#""mode":"url""#,
            r#""mode":"url","mode":"form","url":"javascript:x""#,
            r#""mode":"url","url":"javascript:x","url":"https://a.example/""#,
        ] {
            assert!(!is_fit(unfit), "{unfit}");
        }
    }
}
