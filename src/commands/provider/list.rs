//! `authctl provider list`: every provider in a line.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::show::{as_json, way};
use crate::config::{Provider, Source};
use crate::context::Context;
use crate::error::CommandError;
use crate::ui::FAINT;

pub fn run(context: &Context) -> Result<ExitCode, CommandError> {
    let providers: Vec<&Provider> = context.config()?.providers().collect();
    if context.ui.is_json() {
        let providers: Vec<Value> = providers.into_iter().map(as_json).collect();
        context.ui.json(&json!({ "version": 1, "providers": providers }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = providers.iter().map(|provider| provider.id.len()).max().unwrap_or(0);
    let title = providers.iter().map(|p| p.title.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for provider in providers {
        let ways: Vec<&str> = provider.schemes.iter().map(way).collect();
        let own = match provider.source {
            Source::Catalog => "",
            Source::File { .. } => "  (config.toml)",
            Source::Servers { .. } => "  (found)",
        };
        let _ = writeln!(
            text,
            "{:width$}  {:title$}  {FAINT}{}{own}{FAINT:#}",
            provider.id,
            provider.title,
            ways.join(", ")
        );
    }
    context.ui.data(&text)?;
    Ok(ExitCode::SUCCESS)
}
