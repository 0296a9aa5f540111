//! `authctl proxy`: a local address for each server, where programs send requests with a key of this run, and
//! from where they go on with the credential.

mod beside;
mod bundle;
mod child;
mod desk;
mod lend;
mod scribe;
mod serve;
mod typed;
mod watch;

use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Args;
use serde_json::json;

use super::complete;
use super::handing::{self, Handings};
use super::holding::quiet;
use super::purpose::Purpose;
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::listen::Sockets;
use crate::proxy::{Bundle, Route};
use crate::secret::Secret;
use crate::signals;
pub use beside::{Beside, Offer};
pub use child::{Wish, run as run_child};
use lend::Missing;
use serve::{Running, Start};
pub use typed::Arguments as Typed;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  authctl proxy --with audiostack\n  authctl proxy --with openai,github:work --port 8899\n  curl -H \"Authorization: Bearer $KEY\" http://127.0.0.1:8899/github:work/user"
)]
pub struct Arguments {
    /// Credentials that requests get, joined by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', required = true, add = complete::stored())]
    with: Vec<String>,

    /// Listen on this port instead of any free one
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// As a forward proxy, reach no host but those of the credentials
    #[arg(long)]
    strict: bool,

    /// Also take the key in the path, /~KEY/NAME/…, for clients that can send none
    #[arg(long)]
    secret_in_path: bool,

    #[command(flatten)]
    typed: typed::Arguments,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    // Requests have nobody to ask.
    let options = quiet(context);
    let handings =
        Handings { list: handing::parse(context, &arguments.with, &[])?, manifest: None };
    let purpose = Purpose::proxy();
    let loans =
        lend::loans(context, &options, &handings, &purpose, (&arguments.typed, Missing::Said))?;
    let routes = lend::routes(&loans);
    let sockets = Sockets::bind(arguments.port).map_err(|error| unbound(arguments.port, &error))?;
    let key = Secret::random();
    let key_shown = key.clone();
    let program = purpose.program.as_ref().map(|program| program.to_string_lossy().into_owned());
    let authority = lend::authority(&loans)?;
    let bundle = bundle::write(context, &authority)?;
    let start = Start {
        options,
        authority: authority.into(),
        command_line: context.command_line,
        loans,
        key,
        takes_secret_in_path: arguments.secret_in_path,
        is_strict: arguments.strict,
        says_strays: true,
        program,
    };
    announce(context, arguments, sockets.port(), &key_shown, &routes, &bundle)?;
    let running = Running::start(start, sockets);
    context.http.block_on(signals::asked_to_end());
    running.end()?;
    Ok(ExitCode::SUCCESS)
}

fn unbound(port: Option<u16>, error: &io::Error) -> CommandError {
    match (port, error.kind()) {
        (Some(port), io::ErrorKind::AddrInUse) => CommandError::new(
            Kind::Failed,
            format!("another program listens on port {port} of this computer"),
        )
        .hint("authctl proxy --with NAME  (takes a free one)"),
        (port, _) => {
            let port = port.map(|port| format!(" on port {port}")).unwrap_or_default();
            CommandError::new(
                Kind::Failed,
                format!("cannot listen{port} on this computer: {error}"),
            )
        }
    }
}

/// The one place where the key is printed.
fn announce(
    context: &Context,
    arguments: &Arguments,
    port: u16,
    key: &Secret,
    routes: &[Rc<Route>],
    bundle: &Bundle,
) -> Result<(), CommandError> {
    let url = format!("http://127.0.0.1:{port}");
    let key = key.expose();
    let before = if arguments.secret_in_path { format!("/~{key}") } else { String::new() };
    let lines = routes.iter().map(|route| {
        let upstream = &route.upstream;
        let upstream = format!("{}://{}{}", upstream.scheme, upstream.authority, upstream.path);
        (format!("{url}{before}/{}", route.name), upstream)
    });
    if context.ui.is_json() {
        let routes: Vec<_> = lines
            .zip(routes)
            .map(|((url, upstream), route)| json!({"name": route.name, "url": url, "upstream": upstream}))
            .collect();
        // One line, which whoever started it can wait for.
        let proxy = bundle::proxy_url(port, &Secret::new(key));
        let roots = bundle.variables().first().map(|(_, file)| file.to_string_lossy().into_owned());
        let line = json!({
            "version": 1, "url": url, "key": key, "routes": routes, "https_proxy": proxy, "ca_file": roots,
        });
        return Ok(context.ui.data(&format!("{line}\n"))?);
    }
    let mut text: Vec<String> =
        lines.map(|(url, upstream)| format!("{url} is {upstream}")).collect();
    text.push(format!("Authorization: Bearer {key}"));
    text.push(format!("HTTPS_PROXY={}", bundle::proxy_url(port, &Secret::new(key))));
    let roots = bundle.variables().iter().filter(|(name, _)| *name == "SSL_CERT_FILE");
    text.extend(roots.map(|(variable, file)| format!("{variable}={}", file.display())));
    let text = format!("{}\n", text.join("\n"));
    Ok(context.ui.data(&text)?)
}
