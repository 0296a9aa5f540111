//! What the command line says of requests: the same as `[proxy."NAME"]` in the configuration, for every
//! credential of this run.

use clap::Args;
use hyper::header::{HeaderName, HeaderValue};

use crate::commands::headers::{self, Typed};
use crate::config::{ProxyRule, RequestPattern};
use crate::context::Context;
use crate::error::CommandError;

#[derive(Debug, Default, Args)]
#[group(skip)]
pub struct Arguments {
    /// Send only these requests, as in 'GET /v1/*' or '* api.example.com/v1/*'; * stands for any text
    #[arg(long, value_name = "REQUEST", value_parser = pattern, help_heading = REQUESTS)]
    allow: Vec<RequestPattern>,

    /// Never send these requests
    #[arg(long, value_name = "REQUEST", value_parser = pattern, help_heading = REQUESTS)]
    deny: Vec<RequestPattern>,

    /// Header of each request, as in 'X-Team: blue'; ${NAME} stands for a variable of the environment
    #[arg(long = "header", value_name = "HEADER: VALUE", value_parser = headers::parse, help_heading = REQUESTS)]
    headers: Vec<Typed>,

    /// Header whose value is another stored credential, as in X-Api-Key=NAME
    #[arg(long = "secret-header", value_name = "HEADER=NAME", value_parser = headers::parse_secret, help_heading = REQUESTS)]
    secret_headers: Vec<Typed>,

    /// Header that tells the server the id of the credential, which is stable and not secret
    #[arg(long, value_name = "HEADER", value_parser = headers::checked, help_heading = REQUESTS)]
    id_header: Option<String>,
}

/// Heading of what is said of the requests of a proxy.
const REQUESTS: &str = "Requests through the proxy";

fn pattern(typed: &str) -> Result<RequestPattern, String> {
    RequestPattern::parse(typed).ok_or_else(|| "it is written like 'GET /v1/*'".to_owned())
}

impl Arguments {
    /// Refuses what only a proxy does.
    pub fn refuse(&self) -> Result<(), CommandError> {
        let typed = [
            ("--allow", !self.allow.is_empty()),
            ("--deny", !self.deny.is_empty()),
            ("--header", !self.headers.is_empty()),
            ("--secret-header", !self.secret_headers.is_empty()),
            ("--id-header", self.id_header.is_some()),
        ];
        match typed.iter().find(|(_, is_typed)| *is_typed) {
            Some((option, _)) => Err(CommandError::usage(format!("{option} needs --proxy"))
                .hint("authctl exec --proxy --with NAME -- COMMAND")),
            None => Ok(()),
        }
    }

    /// A credential that goes to servers of others is named for one credential, not for all at once.
    pub fn check(&self, credentials: usize) -> Result<(), CommandError> {
        let Some((header, name)) = self.secret_headers.first().filter(|_| credentials > 1) else {
            return Ok(());
        };
        let what =
            "--secret-header needs one credential in --with: it would go to the servers of all";
        Err(CommandError::usage(what).hint(format!(
            "[proxy.\"NAME\"] secret_headers = {{ {header} = \"{name}\" }} in config.toml"
        )))
    }

    /// What is written about a credential, with what is typed: only what is allowed by the last, and nothing that
    /// either denies.
    pub fn over(&self, context: &Context, written: ProxyRule) -> Result<ProxyRule, CommandError> {
        let mut rule = written;
        if !self.allow.is_empty() {
            rule.allow.clone_from(&self.allow);
        }
        rule.deny.extend_from_slice(&self.deny);
        for (header, name) in &self.secret_headers {
            let name = context.name(name)?.name;
            rule.secret_headers.insert(header.to_ascii_lowercase(), name);
        }
        rule.id_header = self.id_header.clone().or(rule.id_header);
        Ok(rule)
    }

    /// The headers of each request that are no credentials.
    pub fn headers(
        &self,
        rule: &ProxyRule,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, CommandError> {
        let all = headers::plain(&self.headers, &rule.headers)?.into_iter();
        let parse = |(name, value): (String, crate::secret::Secret)| {
            let (header, value) = (name.parse(), HeaderValue::from_str(value.expose()));
            let (Ok(header), Ok(mut value)) = (header, value) else {
                return Err(CommandError::usage(format!("the header {name} has an unfit value")));
            };
            value.set_sensitive(true);
            Ok((header, value))
        };
        all.map(parse).collect()
    }
}
