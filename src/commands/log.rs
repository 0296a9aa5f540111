//! `authctl log`: what was handed out, to whom and when, as the audit log has it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde_json::json;

use super::complete;
use crate::audit::{Entry, Event, Follower, Listing, Outcome};
use crate::context::Context;
use crate::credential::Name;
use crate::error::CommandError;
use crate::interact::Interact;
use crate::text;
use crate::ui::{BAD, FAINT};

/// Between two looks at the end of the log.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl log github --since 2d\n  authctl log --program claude --json\n  authctl log --follow"
)]
pub struct Arguments {
    /// Only this provider, or provider:account
    #[arg(add = complete::stored())]
    name: Option<String>,

    /// Only what is younger than this, as in 90m, 12h, 7d, 2026-11-21 or 2026-11-21T09:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,

    /// Only this program: its path, or the name of its file
    #[arg(long, value_name = "PROGRAM")]
    program: Option<String>,

    /// How many of the newest lines; 0 for all of them
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 50)]
    lines: usize,

    /// Go on with what happens from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
}

/// What is looked for.
struct Filter<'a> {
    /// As typed: without an account, all of the provider's.
    name: Option<(Name, bool)>,
    since: Option<Timestamp>,
    program: Option<&'a str>,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    if arguments.follow && context.ui.is_json() {
        return Err(CommandError::usage(
            "--follow prints lines for people, and --json one document",
        ));
    }
    let filter = Filter {
        name: arguments.name.as_deref().map(parse_name).transpose()?,
        since: arguments.since,
        program: arguments.program.as_deref(),
    };
    let log = context.log()?;
    let enabled = context.config()?.log.enabled;
    let (mut listing, follower) = log.read()?;
    listing.entries.retain(|entry| filter.matches(entry));
    if arguments.lines > 0 {
        let older = listing.entries.len().saturating_sub(arguments.lines);
        listing.entries.drain(..older);
    }
    if context.ui.is_json() {
        context.ui.json(&json!({
            "version": 1,
            "file": text::clean_to(&log.file().to_string_lossy(), 1_000),
            "enabled": enabled,
            "entries": listing.entries,
            "unreadable": listing.unreadable,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(context, &listing)?;
    if !enabled {
        context.ui.warn("the log is switched off (log.enabled in config.toml)");
    } else if listing.entries.is_empty() && !arguments.follow {
        context.ui.notice("Nothing is in the log.");
    }
    if arguments.follow {
        follow(context, &filter, follower)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn follow(
    context: &Context,
    filter: &Filter<'_>,
    mut follower: Follower,
) -> Result<(), CommandError> {
    loop {
        std::thread::sleep(POLL);
        let mut listing = follower.more()?;
        listing.entries.retain(|entry| filter.matches(entry));
        print(context, &listing)?;
    }
}

// ------------------------------------------------------------------------------------------- filter

fn parse_name(typed: &str) -> Result<(Name, bool), CommandError> {
    Ok((typed.parse()?, typed.contains(':')))
}

/// A time that has passed: how long ago, a day, or a moment.
fn parse_since(typed: &str) -> Result<Timestamp, String> {
    let ago = typed.parse::<Span>().ok().filter(|span| !span.is_negative());
    if let Some(ago) = ago {
        let days = SpanRelativeTo::days_are_24_hours();
        let since =
            ago.to_duration(days).ok().and_then(|ago| Timestamp::now().checked_sub(ago).ok());
        return since.ok_or_else(|| "that is before all calendars".to_owned());
    }
    let moment = typed.parse::<Timestamp>().ok();
    let day = || typed.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok();
    moment.or_else(|| day().map(|day| day.timestamp())).ok_or_else(|| {
        "a time is written like 90m, 12h, 7d, 2026-11-21 or 2026-11-21T09:00:00Z".into()
    })
}

impl Filter<'_> {
    fn matches(&self, entry: &Entry) -> bool {
        self.since.is_none_or(|since| entry.time >= since)
            && self.name.as_ref().is_none_or(|asked| is_of(entry, asked))
            && self.program.is_none_or(|program| is_program(entry, program))
    }
}

fn is_of(entry: &Entry, (asked, account_named): &(Name, bool)) -> bool {
    let name: Option<Name> = entry.name.as_ref().and_then(|name| name.parse().ok());
    name.is_some_and(|name| {
        if *account_named { name == *asked } else { name.provider() == asked.provider() }
    })
}

fn is_program(entry: &Entry, asked: &str) -> bool {
    entry.program.as_deref().is_some_and(|program| {
        program == asked || Path::new(program).file_name().is_some_and(|name| name == asked)
    })
}

// -------------------------------------------------------------------------------------------- lines

fn print(context: &Context, listing: &Listing) -> Result<(), CommandError> {
    let lines: String = listing.entries.iter().map(line).collect();
    context.ui.data(&lines)?;
    if listing.unreadable > 0 {
        let lines = if listing.unreadable == 1 { "line" } else { "lines" };
        context.ui.warn(&format!(
            "{} {lines} of the log cannot be read and are left out",
            listing.unreadable
        ));
    }
    Ok(())
}

fn line(entry: &Entry) -> String {
    let name = entry.name.as_deref().unwrap_or("-");
    let what = match entry.outcome {
        Outcome::Done => done(entry),
        outcome => format!("{BAD}{}{BAD:#}{}", outcome.as_str(), because(entry)),
    };
    let agent =
        entry.agent.as_ref().map_or(String::new(), |agent| format!("  {FAINT}{agent}{FAINT:#}"));
    format!(
        "{FAINT}{:.0}{FAINT:#}  {:<10}  {name:<16}  {what}{agent}\n",
        entry.time,
        entry.event.as_str()
    )
}

fn done(entry: &Entry) -> String {
    let program = entry.program.as_deref().unwrap_or("an unknown program");
    let source = entry.source.as_ref().map_or(String::new(), |source| format!(" ({source})"));
    match entry.event {
        Event::Exec => {
            let variable = entry.variable.as_deref().unwrap_or("its environment");
            format!("to {program} in {variable}{source}")
        }
        Event::Token => format!("printed for {program}{source}"),
        Event::Mcp => format!("sent to {} for {program}{source}", entry.hosts.join(", ")),
        Event::Proxy => {
            let method = entry.method.as_deref().unwrap_or_default();
            let path = entry.path.as_deref().unwrap_or_default();
            let status = entry.status.map(|status| format!(": {status}")).unwrap_or_default();
            format!("sent with {method} {}{path}{status}", entry.hosts.join(", "))
        }
        Event::Check => format!("taken by {}{source}", entry.hosts.join(", ")),
        Event::Refresh => "refreshed".into(),
        Event::Login => match &entry.source {
            Some(file) => format!("imported from {file}"),
            None => "signed in".into(),
        },
        Event::Logout => format!("signed out{}", because(entry)),
        Event::Trust | Event::Permission => {
            format!("{}{source}", entry.reason.as_deref().unwrap_or("changed"))
        }
    }
}

fn because(entry: &Entry) -> String {
    let program = match (&entry.program, entry.event) {
        (Some(program), Event::Exec | Event::Token | Event::Mcp) => format!(" for {program}"),
        _ => String::new(),
    };
    let reason = entry.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    format!("{program}{reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_have_passed_are_written_in_three_ways() {
        let start = Timestamp::now();
        let ago = |typed: &str| {
            let since = parse_since(typed).unwrap().duration_since(start);
            (since - jiff::SignedDuration::from_secs(30)).abs()
        };
        assert_eq!(ago("90m").as_mins(), 90);
        assert_eq!(ago("7d").as_hours(), 7 * 24);
        assert_eq!(ago("1w").as_hours(), 7 * 24);
        let at = |typed: &str| parse_since(typed).unwrap().to_string();
        assert_eq!(at("2026-11-21"), "2026-11-21T00:00:00Z");
        assert_eq!(at("2026-11-21T09:00:00Z"), "2026-11-21T09:00:00Z");
        for bad in ["", "soon", "-1h", "1y9999999", "99999y", "2026-13-01"] {
            assert!(parse_since(bad).is_err(), "{bad}");
        }
    }
}
