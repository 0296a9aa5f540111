//! `authctl acp --print-config`: what an editor's configuration needs to start an agent through authctl. It is
//! printed, and no file is touched.

use std::fmt::Write;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::Wish;
use super::agent::Agent;
use crate::commands::client_file;
use crate::context::Context;
use crate::error::CommandError;
use crate::interact::Interact;

/// Editors whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Editor {
    /// For agent_servers in settings.json
    Zed,
    /// For ~/.jetbrains/acp.json
    Jetbrains,
    /// For codecompanion.nvim
    Neovim,
}

/// The entry of an agent.
struct Entry {
    /// As the editor shows it; never that of an agent which the editor treats in its own way.
    name: String,
    command: String,
    arguments: Vec<String>,
}

pub fn run(
    context: &Context,
    editor: Editor,
    agent: &Agent<'_>,
    wish: &Wish,
) -> Result<ExitCode, CommandError> {
    let entry = Entry::of(context, agent, wish)?;
    let (text, place) = match editor {
        Editor::Zed => (entry.as_json(true), "settings.json (zed: open settings file)"),
        Editor::Jetbrains => (entry.as_json(false), "~/.jetbrains/acp.json"),
        Editor::Neovim => (entry.as_lua(), "the set-up of codecompanion.nvim"),
    };
    context.ui.data(&text)?;
    context.ui.notice(&format!("For {place}; beside what stands there."));
    if agent.known.is_none() && wish.with.is_empty() {
        context.ui.warn(&format!(
            "authctl does not know {}, which gets no credential without --with NAME",
            agent.title()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

impl Entry {
    fn of(context: &Context, agent: &Agent<'_>, wish: &Wish) -> Result<Self, CommandError> {
        let mut arguments = vec!["acp".to_owned()];
        let mut option = |name: &str, value: &str| {
            arguments.extend([name.to_owned(), value.to_owned()]);
        };
        if let Some(account) = context.account() {
            option("--account", account);
        }
        if !wish.with.is_empty() {
            option("--with", &wish.with.join(","));
        }
        for variable in &wish.keep_env {
            option("--keep-env", variable);
        }
        if let Some(way) = wish.way {
            option("--way", &way.to_string());
        }
        arguments.push("--".to_owned());
        for word in agent.command {
            let word = word.to_str().ok_or_else(|| {
                CommandError::usage(
                    "an editor's configuration cannot hold a word that is not Unicode",
                )
            })?;
            arguments.push(word.to_owned());
        }
        let account = context.account().map(|account| format!(", {account}")).unwrap_or_default();
        let name = format!("{} (authctl{account})", agent.title());
        Ok(Self { name, command: client_file::program(false), arguments })
    }

    /// One entry serves both; Zed tells apart who wrote it.
    fn as_json(&self, is_zed: bool) -> String {
        let mut entry = json!({ "command": self.command, "args": self.arguments, "env": {} });
        if let (true, Some(members)) = (is_zed, entry.as_object_mut()) {
            members.insert("type".into(), Value::from("custom"));
        }
        let servers = json!({ "agent_servers": { self.name.clone(): entry } });
        serde_json::to_string_pretty(&servers).unwrap_or_default() + "\n"
    }

    /// An adapter whose sign-in is authctl's.
    fn as_lua(&self) -> String {
        let mut words = lua(&self.command);
        for argument in &self.arguments {
            let _ = write!(words, ", {}", lua(argument));
        }
        let name = lua(&self.name);
        format!(
            r#"require("codecompanion").setup({{
  adapters = {{
    acp = {{
      [{name}] = function()
        local helpers = require("codecompanion.adapters.acp.helpers")
        return {{
          name = {name},
          formatted_name = {name},
          type = "acp",
          roles = {{ llm = "assistant", user = "user" }},
          opts = {{ vision = true }},
          commands = {{ default = {{ {words} }} }},
          defaults = {{ mcpServers = {{}}, timeout = 60000 }},
          parameters = {{
            protocolVersion = 1,
            clientCapabilities = {{ fs = {{ readTextFile = true, writeTextFile = true }} }},
            clientInfo = {{ name = "CodeCompanion.nvim", version = "1.0.0" }},
          }},
          handlers = {{
            setup = function() return true end,
            auth = function() return true end,
            form_messages = function(self, messages, capabilities)
              return helpers.form_messages(self, messages, capabilities)
            end,
            on_exit = function() end,
          }},
        }}
      end,
    }},
  }},
}})
"#
        )
    }
}

/// A text as Lua writes it (Lua 5.1 manual §2.1).
fn lua(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => {
                let _ = write!(quoted, "\\{:03}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_lua_cannot_end_early() {
        assert_eq!(lua("a b"), "\"a b\"");
        assert_eq!(lua("\" .. os.exit() .. \""), "\"\\\" .. os.exit() .. \\\"\"");
        assert_eq!(lua("\\\n1é"), "\"\\\\\\0101é\"");
    }
}
