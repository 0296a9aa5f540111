//! gh's `hosts.yml`, where the token stands when gh was told to keep it in the open: one host a key, and under
//! it the active user's token, or one for every user.

use saphyr_parser::{Event, Parser};

use super::{Literal, Malformed, Sign, Way};
use crate::secret::Secret;

const STAYS: &str =
    "gh reads this file itself: gh auth logout takes it out, and authctl exec runs gh without it";

pub fn literals(text: &str) -> Result<Vec<Literal>, Malformed> {
    let scalars = scalars(text)?;
    let value = |path: &[&str]| {
        scalars.iter().find(|(other, _)| *other == path).map(|(_, value)| value.as_str())
    };
    let mut found = Vec::new();
    for (path, token) in &scalars {
        let (host, user) = match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [host, "oauth_token"] => (host, None),
            [host, "users", user, "oauth_token"] => (host, Some(user)),
            _ => continue,
        };
        // The active user's is the one that no account needs to be named for.
        let account = user.filter(|user| value(&[host, "user"]) != Some(*user));
        if !token.is_empty() {
            found.push(Literal {
                at: path.clone(),
                sign: Sign::Host { host: host.to_owned(), account: account.map(str::to_lowercase) },
                secret: Secret::new(token.clone()),
                way: Way::Stays(STAYS),
            });
        }
    }
    Ok(found)
}

/// Every text of nested mappings with the keys that lead to it. No alias is followed, and a key that
/// stands twice is refused.
fn scalars(text: &str) -> Result<Vec<(Vec<String>, String)>, Malformed> {
    let mut found: Vec<(Vec<String>, String)> = Vec::new();
    // For each open mapping or sequence: the key that waits for its value.
    let mut open: Vec<Option<String>> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(error.marker().line()))?;
        match event {
            Event::MappingStart(..) => open.push(None),
            Event::SequenceStart(..) | Event::Alias(_) => return Err(syntax(span.start.line())),
            Event::MappingEnd => {
                open.pop();
                if let Some(key) = open.last_mut() {
                    *key = None;
                }
            }
            Event::Scalar(value, ..) => take(value.into_owned(), &mut open, &mut found)?,
            _ => {}
        }
    }
    Ok(found)
}

fn take(
    value: String,
    open: &mut [Option<String>],
    found: &mut Vec<(Vec<String>, String)>,
) -> Result<(), Malformed> {
    let Some(key) = open.last_mut() else { return Ok(()) };
    if key.is_none() {
        *key = Some(value);
        return Ok(());
    }
    let path: Vec<String> = open.iter().flatten().cloned().collect();
    if found.iter().any(|(other, _)| *other == path) {
        return Err(Malformed::Repeated(crate::text::clean(&path.join("."))));
    }
    if let Some(key) = open.last_mut() {
        *key = None;
    }
    found.push((path, value));
    Ok(())
}

fn syntax(line: usize) -> Malformed {
    Malformed::Syntax { what: "gh's hosts.yml", line: Some(line), column: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "github.com:\n    git_protocol: https\n    users:\n        Octocat:\n            oauth_token: gho_1\n        Mona-Work:\n            oauth_token: \"gho_2\"\n        keyed: \n    user: Octocat\n    oauth_token: gho_1\nghe.example.com:\n    user: me\n    oauth_token: ghp_3\n";

    #[test]
    fn every_user_of_every_host_is_found() {
        let found: Vec<_> = literals(HOSTS)
            .unwrap()
            .iter()
            .map(|found| (found.sign.clone(), found.secret.expose().to_owned()))
            .collect();
        let sign = |host: &str, account: Option<&str>| Sign::Host {
            host: host.into(),
            account: account.map(str::to_owned),
        };
        assert_eq!(
            found,
            [
                (sign("github.com", None), "gho_1".into()),
                (sign("github.com", Some("mona-work")), "gho_2".into()),
                (sign("github.com", None), "gho_1".into()),
                (sign("ghe.example.com", None), "ghp_3".into()),
            ]
        );
    }

    #[test]
    fn what_is_no_hosts_file_is_refused() {
        for text in ["a: &x [*x]\n", "a:\n  b: &c d\n  e: *c\n", "- a\n", "a: {b", "a:\n\t- b\n"] {
            assert!(literals(text).is_err(), "{text:?}");
        }
        let twice = "a:\n  oauth_token: x\n  oauth_token: y\n";
        assert!(literals(twice).is_err());
        assert!(literals("").unwrap().is_empty());
    }
}
