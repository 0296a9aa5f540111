//! `initialize`, both ways: the agent is told what authctl can serve beside what the editor can, and the editor
//! sees the ways to sign in that are of use, by which authctl is not gone round.

use serde_json::{Value, json};

use super::Grant;
use super::advertised::{Advertised, Kind, Method};
use super::dialect::Dialect;
use super::ways;
use crate::jsonrpc::{Members, Message, rewritten};
use crate::text::clean;

/// The method by which an editor has authctl sign in.
pub const OWN_METHOD: &str = "authctl";
/// The same in a terminal.
pub const OWN_TERMINAL: &str = "authctl-terminal";
/// The variable that makes a run of authctl in a terminal a sign-in.
pub const LOGIN: &str = "AUTHCTL_ACP_LOGIN";

/// What an editor says that it can do.
#[expect(clippy::struct_excessive_bools, reason = "each is a capability of its own")]
#[derive(Debug, Clone, Default)]
pub struct EditorCan {
    pub run_terminal: bool,
    /// `_meta["terminal-auth"]`, from before that was in the protocol.
    pub run_terminal_meta: bool,
    pub show_links: bool,
    /// It speaks of signing in at all.
    pub sign_in: bool,
}

impl EditorCan {
    pub fn of(hello: &Message) -> Self {
        let params = hello.member("params");
        let dialect = Dialect::of_version(&params["protocolVersion"]);
        let can = &params[dialect.client_capabilities()];
        let terminal = &can["auth"]["terminal"];
        Self {
            run_terminal: *terminal == true || terminal.is_object(),
            run_terminal_meta: can["_meta"]["terminal-auth"] == true,
            show_links: can["elicitation"]["url"].is_object(),
            sign_in: can["auth"].is_object(),
        }
    }
}

/// The editor's words, and that authctl has a gateway where the agent may know what that is.
pub fn to_agent(hello: Message, grants: &[Grant]) -> Message {
    // One that is not known yet may have one.
    if grants.iter().all(|grant| ways::is_known(grant) && grant.ways.gateway.is_none()) {
        return hello;
    }
    let version = &hello.member("params")["protocolVersion"];
    let capabilities = Dialect::of_version(version).client_capabilities();
    rewritten(&hello, |message| {
        message.edit("params", |params| {
            params.edit(capabilities, |can| {
                can.edit("auth", |auth| auth.edit("_meta", |meta| meta.set("gateway", "true")));
            });
        });
    })
}

/// What the editor is to see in place of the agent's own methods.
pub struct Face {
    /// Nobody has to sign in.
    pub is_served: bool,
    /// Whom authctl would sign in; `None`: it has nothing to do with that.
    pub wanted: Option<Wanted>,
    pub editor_can: EditorCan,
    /// The program of the agent, as typed.
    pub program: String,
    /// Its arguments.
    pub typed: Vec<String>,
    /// How this authctl was started, up to the agent's command.
    pub own_command: Vec<String>,
}

/// A credential that is missing.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    pub title: String,
}

/// The agent's words with other methods.
pub fn to_editor(answer: &Message, advertised: &Advertised, face: &Face) -> Message {
    let methods = face.methods(answer, advertised);
    let capabilities = advertised.dialect.agent_capabilities();
    let answers_status = advertised.dialect == Dialect::V1 && !advertised.has_status;
    rewritten(answer, |message| {
        message.edit("result", |result| {
            result.set("authMethods", format!("[{}]", methods.join(",")));
            if answers_status && (face.is_served || face.wanted.is_some()) {
                result.edit(capabilities, |can| can.edit("auth", |auth| auth.set("status", "{}")));
            }
        });
    })
}

impl Face {
    /// As JSON texts.
    fn methods(&self, answer: &Message, advertised: &Advertised) -> Vec<String> {
        if self.is_served {
            return Vec::new();
        }
        match &self.wanted {
            Some(wanted) => vec![self.own_method(wanted, advertised.dialect).to_string()],
            None => self.methods_of_agent(answer, advertised.dialect),
        }
    }

    fn methods_of_agent(&self, answer: &Message, dialect: Dialect) -> Vec<String> {
        let members = Members::of(answer);
        let result = members.object("result");
        let texts: Vec<Box<serde_json::value::RawValue>> =
            result.value_of("authMethods").unwrap_or_default();
        texts.iter().filter_map(|text| self.method_of_agent(text.get(), dialect)).collect()
    }

    /// A method that the editor can run. A command of the agent's choice becomes authctl's own.
    fn method_of_agent(&self, text: &str, dialect: Dialect) -> Option<String> {
        let value: Value = serde_json::from_str(text).ok()?;
        let method = Method::of(&value, dialect)?;
        let meta = &value["_meta"]["terminal-auth"];
        if method.kind == Kind::Terminal && !self.editor_can.run_terminal && meta.is_null() {
            return None;
        }
        let mut members = Members::read(text)?;
        if members.text_of("env").is_some() {
            members.set_value("env", &harmless(&value["env"]));
        }
        if !meta.is_null() {
            let own = self.own_terminal_auth(meta);
            if own.is_none() && method.kind != Kind::Terminal {
                return None;
            }
            members.edit("_meta", |inner| match own {
                Some(own) => inner.set("terminal-auth", own.to_string()),
                None => inner.remove("terminal-auth"),
            });
        }
        Some(members.to_string())
    }

    /// The agent's own program with the arguments that it wants, by way of authctl; `None`: another program.
    fn own_terminal_auth(&self, meta: &Value) -> Option<Value> {
        let command = meta["command"].as_str()?;
        let words: Vec<&str> = meta["args"].as_array()?.iter().filter_map(Value::as_str).collect();
        let is_program = |word: &str| file_name(word) == file_name(&self.program);
        // A script comes behind its interpreter.
        let rest = match words.split_first() {
            _ if is_program(command) => &words[..],
            Some((script, rest)) if is_program(script) => rest,
            _ => return None,
        };
        let (program, before) = self.own_command.split_first()?;
        let mut args: Vec<&str> = before.iter().map(String::as_str).collect();
        args.extend(["--", &self.program]);
        args.extend(rest);
        let mut own = meta.clone();
        own["command"] = json!(program);
        own["args"] = json!(args);
        if !meta["env"].is_null() {
            own["env"] = harmless(&meta["env"]);
        }
        Some(own)
    }

    fn own_method(&self, wanted: &Wanted, dialect: Dialect) -> Value {
        let login = format!("authctl login {}", wanted.name);
        let name = format!("Sign in to {} (authctl)", clean(&wanted.title));
        let (id, terminal) = if self.editor_can.run_terminal || self.editor_can.run_terminal_meta {
            (OWN_TERMINAL, true)
        } else {
            (OWN_METHOD, false)
        };
        let description = format!("authctl keeps the credential. The same in a terminal: {login}");
        let mut method = json!({dialect.method_id(): id, "name": name, "description": description});
        if dialect == Dialect::V2 {
            method["type"] = json!("agent");
        }
        if terminal && self.editor_can.run_terminal {
            method["type"] = json!("terminal");
            method["env"] = match dialect {
                Dialect::V1 => json!({LOGIN: wanted.name}),
                Dialect::V2 => json!([{"name": LOGIN, "value": wanted.name}]),
            };
        }
        if terminal
            && self.editor_can.run_terminal_meta
            && let Some((program, before)) = self.own_command.split_first()
        {
            let mut args: Vec<&str> = before.iter().map(String::as_str).collect();
            args.extend(["--", &self.program]);
            args.extend(self.typed.iter().map(String::as_str));
            let env = json!({LOGIN: wanted.name});
            let meta = json!({"command": program, "args": args, "env": env, "label": name});
            method["_meta"] = json!({"terminal-auth": meta});
        }
        method
    }
}

/// Variables of the agent's choice for a run of authctl, without those that authctl itself, the loader or a TLS
/// library heeds: an object, or a list of pairs (v2).
fn harmless(env: &Value) -> Value {
    match env {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !is_heeded(name));
            Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        Value::Array(pairs) => {
            let is_kept = |pair: &&Value| pair["name"].as_str().is_some_and(|it| !is_heeded(it));
            Value::Array(pairs.iter().filter(is_kept).cloned().collect())
        }
        _ => json!({}),
    }
}

fn is_heeded(name: &str) -> bool {
    const BEGINNINGS: [&str; 7] =
        ["AUTHCTL_", "LD_", "DYLD_", "XDG_", "SSL_CERT_", "DBUS_", "GLIBC_"];
    const NAMES: [&str; 5] = ["PATH", "HOME", "BROWSER", "USERPROFILE", "APPDATA"];
    let name = name.to_ascii_uppercase();
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || NAMES.contains(&&*name)
        || name.ends_with("_PROXY")
}

/// The last part of a path, without the ending of a script.
fn file_name(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    [".js", ".mjs", ".cjs", ".exe", ".cmd"]
        .iter()
        .find_map(|it| name.strip_suffix(it))
        .unwrap_or(name)
}
