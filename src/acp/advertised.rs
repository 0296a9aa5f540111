//! What an agent says in its answer to `initialize`. Its texts are its own: they decide nothing about who gets
//! which credential.

use serde_json::Value;

use super::dialect::Dialect;
use super::parameter::Parameter;
use crate::jsonrpc::Message;

/// The part of the answer that concerns signing in.
#[expect(clippy::struct_excessive_bools, reason = "each is a capability of its own")]
#[derive(Debug, Clone, Default)]
pub struct Advertised {
    pub dialect: Dialect,
    pub methods: Vec<Method>,
    /// `providers/set` is there (unstable).
    pub has_providers: bool,
    pub has_logout: bool,
    pub has_status: bool,
    pub can_load: bool,
    pub can_resume: bool,
    /// What it calls itself.
    pub name: Option<String>,
}

/// One way to sign in, as the agent describes it.
#[derive(Debug, Clone)]
pub struct Method {
    pub id: String,
    pub kind: Kind,
    /// `_meta["api-key"]` is there.
    pub takes_key: bool,
    /// Variables that a method of the type `env_var` wants (until 2026-07).
    pub variables: Vec<String>,
    /// What a method of the type `startParam` wants (a draft).
    pub parameter: Option<Parameter>,
    /// What it was given counts from the next start on (a draft).
    pub requires_restart: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By `authenticate`.
    Agent,
    /// By running the agent's command again in a terminal.
    Terminal,
    /// Of older agents: with variables.
    Variables,
    /// Of a draft: with a parameter of its command line.
    Parameter,
    /// Of a type that is not known.
    Other,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Agent => "agent",
            Kind::Terminal => "terminal",
            Kind::Variables => "env_var",
            Kind::Parameter => "start_param",
            Kind::Other => "other",
        }
    }
}

impl Advertised {
    pub fn of(answer: &Message) -> Self {
        let result = answer.member("result");
        let dialect = Dialect::of_version(&result["protocolVersion"]);
        let capabilities = &result[dialect.agent_capabilities()];
        let auth = &capabilities["auth"];
        let methods = result["authMethods"].as_array();
        let info = [&result["agentInfo"], &result["info"]];
        let name = info.into_iter().find_map(|info| info["name"].as_str()).map(str::to_owned);
        let methods: Vec<Method> =
            methods.into_iter().flatten().filter_map(|it| Method::of(it, dialect)).collect();
        Self {
            dialect,
            has_providers: is_there(&capabilities["providers"]),
            has_logout: is_there(&auth["logout"]) || dialect == Dialect::V2 && !methods.is_empty(),
            has_status: is_there(&auth["status"]),
            can_load: capabilities["loadSession"] == true,
            can_resume: is_there(&capabilities["sessionCapabilities"]["resume"]),
            name,
            methods,
        }
    }

    pub fn method(&self, id: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.id == id)
    }

    /// Whether `authenticate` takes this id.
    pub fn has_method(&self, id: &str) -> bool {
        self.method(id).is_some_and(|method| method.kind != Kind::Terminal)
    }

    pub fn requires_restart(&self, id: &str) -> bool {
        self.method(id).is_some_and(|method| method.requires_restart)
    }

    pub fn takes_key(&self, id: &str) -> bool {
        self.method(id).is_some_and(|method| method.takes_key)
    }
}

impl Method {
    /// `None`: it has no id, so that nobody can call it.
    pub fn of(value: &Value, dialect: Dialect) -> Option<Self> {
        let id = value[dialect.method_id()].as_str().or(value["id"].as_str())?;
        let kind = match value["type"].as_str() {
            None | Some("agent") => Kind::Agent,
            Some("terminal") => Kind::Terminal,
            Some("env_var" | "envVar") => Kind::Variables,
            Some("startParam" | "start_param") => Kind::Parameter,
            Some(_) => Kind::Other,
        };
        let named = value["vars"].as_array().into_iter().flatten();
        let named = named.filter(|it| it["optional"] != true).map(|it| &it["name"]);
        let variables = named.chain([&value["varName"]]).filter_map(Value::as_str);
        Some(Self {
            id: id.to_owned(),
            kind,
            takes_key: is_there(&value["_meta"]["api-key"]),
            variables: variables.map(str::to_owned).collect(),
            parameter: Parameter::of(value),
            requires_restart: requires_restart(value),
        })
    }
}

/// As the draft has it, and as gateways of today say it in `_meta`.
fn requires_restart(method: &Value) -> bool {
    let meta = &method["_meta"];
    let all = [method, meta, &meta["gateway"], &meta["api-key"]];
    let words = all.iter().flat_map(|it| [&it["requiresRestart"], &it["restartRequired"]]);
    words.into_iter().any(|said| *said == true || *said == "true")
}

/// Capabilities are objects, or `true`.
fn is_there(value: &Value) -> bool {
    value.is_object() || *value == true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn method(value: &Value) -> Method {
        Method::of(value, Dialect::V1).unwrap()
    }

    fn answered(result: &Value) -> Advertised {
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": result});
        Advertised::of(&Message::read(answer.to_string()).unwrap())
    }

    #[test]
    fn methods_are_read_in_every_form_that_agents_use() {
        for (name, kind) in [
            (json!(null), Kind::Agent),
            (json!("agent"), Kind::Agent),
            (json!("terminal"), Kind::Terminal),
            (json!("env_var"), Kind::Variables),
            (json!("envVar"), Kind::Variables),
            (json!("startParam"), Kind::Parameter),
            (json!("start_param"), Kind::Parameter),
            (json!("later"), Kind::Other),
        ] {
            assert_eq!(method(&json!({"id": "x", "type": name})).kind, kind, "{name}");
        }
        let vars = json!([{"name": "KEY"}, {"name": "URL", "optional": true}, {"label": "x"}]);
        assert_eq!(method(&json!({"id": "x", "vars": vars})).variables, ["KEY"]);
        assert_eq!(method(&json!({"id": "x", "varName": "KEY"})).variables, ["KEY"]);
        for (key, is_taken) in [(json!({}), true), (json!(true), true), (json!(false), false)] {
            let meta = json!({"id": "x", "_meta": {"api-key": key}});
            assert_eq!(method(&meta).takes_key, is_taken, "{key}");
        }
        assert!(!method(&json!({"id": "x"})).takes_key);
    }

    #[test]
    fn a_method_is_known_by_its_id_alone() {
        let of = |value: Value, dialect| Method::of(&value, dialect).map(|method| method.id);
        assert_eq!(of(json!({"id": "x"}), Dialect::V1).as_deref(), Some("x"));
        assert_eq!(of(json!({"methodId": "x", "id": "y"}), Dialect::V2).as_deref(), Some("x"));
        assert_eq!(of(json!({"id": "y"}), Dialect::V2).as_deref(), Some("y"));
        assert_eq!(of(json!({"name": "x", "id": 5}), Dialect::V1), None);
    }

    #[test]
    fn a_new_start_is_asked_for_in_several_places() {
        let is_due = |members: Value| {
            let mut value = json!({"id": "x"});
            value.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            method(&value).requires_restart
        };
        assert!(is_due(json!({"requiresRestart": true})));
        assert!(is_due(json!({"restartRequired": "true"})));
        assert!(is_due(json!({"_meta": {"requiresRestart": true}})));
        assert!(is_due(json!({"_meta": {"gateway": {"restartRequired": true}}})));
        assert!(is_due(json!({"_meta": {"api-key": {"requiresRestart": "true"}}})));
        assert!(!is_due(json!({"requiresRestart": false, "_meta": {"requiresRestart": "no"}})));
    }

    #[test]
    fn capabilities_and_names_are_read_in_both_versions() {
        let auth = json!({"logout": true, "status": {}});
        let one = json!({"agentCapabilities": {"auth": auth}, "agentInfo": {"name": "a"}});
        let one = answered(&one);
        assert!(one.has_logout && one.has_status && !one.has_providers);
        assert_eq!(one.name.as_deref(), Some("a"));
        let can = json!({"providers": {}, "auth": {"status": false}});
        let two = json!({
            "protocolVersion": 2,
            "info": {"name": "b"},
            "capabilities": can,
            "authMethods": [{"methodId": "x"}],
        });
        let two = answered(&two);
        assert!(two.has_logout, "whoever has methods has a sign-out");
        assert!(two.has_providers && !two.has_status);
        assert_eq!(two.name.as_deref(), Some("b"));
        assert!(!answered(&json!({"protocolVersion": 2})).has_logout);
        assert!(!answered(&json!({"authMethods": [{"id": "x"}]})).has_logout);
    }
}
