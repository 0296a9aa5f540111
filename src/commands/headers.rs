//! Headers that a bridge or a proxy adds to each request: as text, with variables of the environment in it, or with
//! another stored credential as the value.

use std::collections::BTreeMap;
use std::time::Duration;

use super::given;
use super::purpose::Purpose;
use crate::config::{is_mcp_extra, is_secret_header};
use crate::context::{Context, environment};
use crate::credential::Name;
use crate::error::CommandError;
use crate::secret::Secret;
use crate::text::clean;

pub type Typed = (String, String);

/// `X-Team: blue`
pub fn parse(typed: &str) -> Result<Typed, String> {
    let (name, value) = typed.split_once(':').ok_or("it is written like 'X-Team: blue'")?;
    Ok((checked(name)?, value.trim().to_owned()))
}

/// `X-Api-Key=NAME`
pub fn parse_secret(typed: &str) -> Result<Typed, String> {
    let (name, credential) = typed.split_once('=').ok_or("it is written like X-Api-Key=NAME")?;
    Ok((checked(name)?, credential.trim().to_owned()))
}

/// The name of a header that can be set.
pub fn checked(name: &str) -> Result<String, String> {
    let name = name.trim();
    if is_mcp_extra(name) {
        return Ok(name.to_owned());
    }
    Err(format!("{} is not the name of a header that can be set here", clean(name)))
}

/// Headers with their texts; a typed one wins over a written one.
pub fn plain(
    typed: &[Typed],
    written: &BTreeMap<String, String>,
) -> Result<Vec<(String, Secret)>, CommandError> {
    let mut headers = Vec::new();
    for (header, text) in written {
        put(&mut headers, header, filled(header, text)?);
    }
    for (header, text) in typed {
        refuse_secret(header, text)?;
        put(&mut headers, header, filled(header, text)?);
    }
    Ok(headers)
}

/// Adds those whose values are other credentials, as these are now.
pub fn add_stored(
    context: &Context,
    headers: &mut Vec<(String, Secret)>,
    typed: &[Typed],
    written: &BTreeMap<String, Name>,
) -> Result<(), CommandError> {
    for (header, name) in written {
        put(headers, header, stored(context, &name.to_string())?);
    }
    for (header, name) in typed {
        put(headers, header, stored(context, name)?);
    }
    Ok(())
}

/// A command line can be read by every program here; a variable cannot.
fn refuse_secret(header: &str, text: &str) -> Result<(), CommandError> {
    if !is_secret_header(header) || text.contains("${") {
        return Ok(());
    }
    let what = "is a header that cannot be set here: its value is a secret";
    Err(CommandError::usage(format!("{} {what}", clean(header)))
        .hint("authctl login URL --with-key  (keeps it)")
        .hint(format!("--header '{}: ${{VARIABLE}}'", clean(header))))
}

fn put(headers: &mut Vec<(String, Secret)>, name: &str, value: Secret) {
    headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value));
}

/// The text with each `${VARIABLE}` replaced by what the environment has for it.
fn filled(header: &str, text: &str) -> Result<Secret, CommandError> {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, (variable, after))) =
        rest.split_once("${").and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        value.push_str(before);
        value.push_str(&environment(variable).ok_or_else(|| unset(header, variable))?);
        rest = after;
    }
    value.push_str(rest);
    if value.chars().any(|c| c.is_control() && c != '\t') {
        let header = clean(header);
        let what = "has a line break or another control character in its value";
        return Err(CommandError::usage(format!("the header {header} {what}")));
    }
    Ok(Secret::new(value))
}

fn unset(header: &str, variable: &str) -> CommandError {
    let (header, variable) = (clean(header), clean(variable));
    CommandError::usage(format!(
        "the header {header} needs the variable {variable}, which is not set"
    ))
}

/// The bare secret of a further credential.
fn stored(context: &Context, typed: &str) -> Result<Secret, CommandError> {
    let named = context.name(typed)?;
    let provider = context.provider(&named.name)?;
    let purpose = Purpose::mcp();
    let resolved =
        given::resolve(context, &named, provider, Duration::ZERO, false, Some(&purpose))?;
    Ok(resolved.credential.secret().clone())
}
