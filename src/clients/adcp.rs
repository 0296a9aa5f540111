//! `~/.adcp/config.json`: the agents that the adcp command line knows, each with its token.

use serde_json::Value;

use super::json::{entries, object_at, parse};
use super::{Literal, Malformed, Reference, Sign, Way, is_stand_in};
use crate::secret::Secret;

const SIGN_IN: &str = "a sign-in belongs to the client that made it: sign in again with authctl";

pub fn literals(text: &str) -> Result<Vec<Literal>, Malformed> {
    let root = parse(text)?;
    let agents = root.object_value().and_then(|top| top.object_value("agents"));
    let Some(agents) = agents else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (alias, agent) in entries(&agents)? {
        if let Some(agent_node) = agents.object_value(&alias) {
            entries(&agent_node)?;
        }
        let agent = agent.unwrap_or_default();
        for (key, way) in [("auth_token", Way::Remove), ("auth_token_env", Way::Remove)] {
            found.extend(literal(&alias, &[key], agent.get(key), way));
        }
        let tokens = agent.pointer("/oauth_tokens/refresh_token");
        let tokens = tokens.or_else(|| agent.pointer("/oauth_tokens/access_token"));
        found.extend(literal(&alias, &["oauth_tokens"], tokens, Way::Useless(SIGN_IN)));
        let client = agent.pointer("/oauth_client_credentials/client_secret");
        found.extend(literal(&alias, &["oauth_client_credentials"], client, Way::Useless(SIGN_IN)));
    }
    Ok(found)
}

fn literal(alias: &str, keys: &[&str], value: Option<&Value>, way: Way) -> Option<Literal> {
    let value = value?.as_str().filter(|value| !is_stand_in(value))?;
    let at = ["agents", alias].iter().chain(keys).map(|key| (*key).to_owned()).collect();
    let sign = Sign::Provider { provider: "adcp", account: alias.to_lowercase() };
    Some(Literal { at, sign, secret: Secret::new(value), way })
}

pub fn refer(text: &str, references: &[Reference<'_>]) -> Result<String, Malformed> {
    let root = parse(text)?;
    for reference in references {
        let gone = || Malformed::Gone(reference.at.join("."));
        let (key, above) = reference.at.split_last().ok_or_else(gone)?;
        object_at(&root, above)?.get(key).ok_or_else(gone)?.remove();
    }
    Ok(root.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_and_the_agent_stays() {
        let text = "{\n  \"agents\": {\n    \"Shop\": {\n      \"url\": \"https://x.example\",\n      \"auth_token\": \"sk-1\"\n    }\n  }\n}\n";
        let found = literals(text).unwrap();
        assert_eq!(found[0].sign, Sign::Provider { provider: "adcp", account: "shop".into() });
        let after = refer(
            text,
            &[Reference { at: &found[0].at, way: Way::Remove, with: "adcp:shop".into() }],
        )
        .unwrap();
        assert_eq!(
            after,
            "{\n  \"agents\": {\n    \"Shop\": {\n      \"url\": \"https://x.example\"\n    }\n  }\n}\n"
        );
    }
}
