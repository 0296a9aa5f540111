//! Whether a server takes a credential: one cheap authenticated call, for `status --check` and
//! `provider check` alike.

use serde_json::Value;

use crate::config::Scheme;
use crate::context::Context;
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::http::{Answer, Request};
use crate::inject;
use crate::resolve::{Resolved, Source};
use crate::secret::conceal;
use crate::text::clean;

/// Calls `url` (the scheme's `verify`). 401 means that the credential is not taken any more, 403 that it
/// is, but not for this; nothing but 2xx is good.
pub fn verify(
    context: &Context,
    name: &Name,
    scheme: &Scheme,
    url: &str,
    resolved: &Resolved,
) -> Result<(), CommandError> {
    let (header, value) = inject::header(scheme, &resolved.credential)?;
    let request = Request::get(url)?.secret_header(&header, &value)?;
    let answer = context.http.block_on(context.http.send(request))?;
    judge(&answer, name, resolved)
}

fn judge(answer: &Answer, name: &Name, resolved: &Resolved) -> Result<(), CommandError> {
    let said = reason(answer, resolved).map_or(String::new(), |said| format!(": {said}"));
    let failure = |kind, what: &str| {
        CommandError::new(kind, format!("{} answers {}{what}", answer.host(), answer.status))
    };
    match answer.status {
        200..=299 => Ok(()),
        401 => Err(failure(Kind::LoginRequired, &format!(" to this credential{said}")).hint(
            match &resolved.source {
                Source::Given(variable) => format!("replace what {variable} gives"),
                Source::Stored | Source::Acquired => format!("authctl login {name}"),
            },
        )),
        // Nothing is proved by a redirect; many lead to a page for signing in.
        300..=399 => Err(failure(Kind::Failed, ", a redirect")),
        429 | 500..=599 => Err(failure(Kind::TryAgain, &said)
            .hint(format!("authctl status {name} --check  (tries again)"))),
        _ => Err(failure(Kind::Failed, &said)),
    }
}

/// What the server says about it, in one of the usual members, without the credential.
fn reason(answer: &Answer, resolved: &Resolved) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let members = ["/error/message", "/error_description", "/message", "/detail", "/error"];
    let said = members.iter().find_map(|member| body.pointer(member)?.as_str())?;
    Some(clean(&conceal(said, &inject::secrets(&resolved.credential))))
}
