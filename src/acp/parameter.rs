//! What an agent wants on its command line: `startParam`, a draft of ACP that was never merged (PR #330).

use serde_json::Value;

/// A start parameter, by its option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// The same for everybody, with its value.
    Word(String),
    /// It names the variable that has the key.
    Variable(String),
    /// It names the file that has the key.
    File(String),
    /// It is the key.
    Key(String),
}

/// Longest option and value.
const LONGEST: usize = 200;

impl Parameter {
    /// Of a method that is one.
    pub fn of(method: &Value) -> Option<Self> {
        if !matches!(method["type"].as_str()?, "startParam" | "start_param") {
            return None;
        }
        let name = method["paramName"].as_str().or(method["param_name"].as_str())?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > LONGEST || !name.chars().all(is_plain) {
            return None;
        }
        let option = if name.starts_with('-') { name.to_owned() } else { format!("--{name}") };
        let folded = name.to_ascii_lowercase().replace('_', "-");
        let ends = |words: &[&str]| words.iter().any(|word| folded.ends_with(word));
        match method["value"].as_str() {
            Some(value) if value.len() > LONGEST || value.chars().any(char::is_control) => None,
            Some(value) => Some(Self::Word(format!("{option}={value}"))),
            None if method["secret"] == false => Some(Self::Word(option)),
            None if ends(&["-env", "-env-var", "-variable"]) => Some(Self::Variable(option)),
            None if ends(&["-file", "-path"]) => Some(Self::File(option)),
            None => Some(Self::Key(option)),
        }
    }

    pub fn option(&self) -> &str {
        match self {
            Self::Word(option)
            | Self::Variable(option)
            | Self::File(option)
            | Self::Key(option) => option,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(members: &Value) -> Option<Parameter> {
        let mut method = json!({"id": "x", "type": "startParam"});
        method.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        Parameter::of(&method)
    }

    #[test]
    fn its_form_says_what_stands_there() {
        let name = |name: &str| of(&json!({"paramName": name}));
        assert_eq!(name("OPEN_AI_KEY"), Some(Parameter::Key("--OPEN_AI_KEY".into())));
        assert_eq!(name("--api-key"), Some(Parameter::Key("--api-key".into())));
        assert_eq!(name("--key-env"), Some(Parameter::Variable("--key-env".into())));
        assert_eq!(name("KEY_FILE"), Some(Parameter::File("--KEY_FILE".into())));
        let fixed = of(&json!({"paramName": "--auth", "value": "openai"}));
        assert_eq!(fixed, Some(Parameter::Word("--auth=openai".into())));
        let flag = of(&json!({"paramName": "--key", "secret": false}));
        assert_eq!(flag, Some(Parameter::Word("--key".into())));
    }

    #[test]
    fn what_is_no_option_is_nothing() {
        for name in ["", "a b", "a=b", "a;b", "a\u{1b}", "ä", &"x".repeat(201)] {
            assert_eq!(of(&json!({"paramName": name})), None, "{name:?}");
        }
        assert_eq!(of(&json!({"paramName": "--x", "value": "a\nb"})), None);
        assert_eq!(of(&json!({"paramName": 1})), None);
        assert_eq!(Parameter::of(&json!({"type": "agent", "paramName": "--x"})), None);
    }
}
