//! Whether a server takes a credential: one cheap authenticated call, for `status --check` and
//! `provider check` alike.

use serde_json::Value;

use crate::audit::{Entry, Event, Outcome};
use crate::config::{Scheme, Verify, VerifyMethod};
use crate::context::Context;
use crate::credential::Name;
use crate::error::{CommandError, Kind};
use crate::http::{Answer, DPOP_NONCE, Request, parse_url};
use crate::inject;
use crate::resolve::{Resolved, Source};
use crate::secret::conceal;
use crate::text::clean;

/// Makes the call, and writes down that the credential was sent.
pub fn verify(
    context: &Context,
    name: &Name,
    scheme: &Scheme,
    call: &Verify,
    resolved: &Resolved,
) -> Result<(), CommandError> {
    let tried = attempt(context, name, scheme, call, resolved);
    let outcome = if tried.is_ok() { Outcome::Done } else { Outcome::Failed };
    let url = parse_url(&call.url)?;
    context.record(Entry {
        name: Some(name.to_string()),
        id: Some(resolved.id.clone()),
        hosts: url.host().map(|host| host.to_string()).into_iter().collect(),
        source: match &resolved.source {
            Source::Given(variable) => Some(variable.clone()),
            Source::Stored | Source::Acquired => None,
        },
        reason: tried.as_ref().err().map(|error| error.message().to_owned()),
        ..Entry::new(Event::Check, outcome)
    });
    tried
}

/// 401 means that the credential is not taken any more, 403 that it is, but not for this;
/// nothing but 2xx is good, and where the entry names a member of the answer, nothing but `true` in it.
fn attempt(
    context: &Context,
    name: &Name,
    scheme: &Scheme,
    call: &Verify,
    resolved: &Resolved,
) -> Result<(), CommandError> {
    let mut answer = ask(context, scheme, call, resolved)?;
    // A server may want its nonce in the proof first (RFC 9449 §9).
    if answer.status == 401 && resolved.credential.is_bound() && answer.header(DPOP_NONCE).is_some()
    {
        answer = ask(context, scheme, call, resolved)?;
    }
    judge(&answer, call.member.as_deref(), name, resolved)
}

fn ask(
    context: &Context,
    scheme: &Scheme,
    call: &Verify,
    resolved: &Resolved,
) -> Result<Answer, CommandError> {
    let target = parse_url(&call.url)?;
    let nonce = context.http.nonces.newest(&target);
    let (method, mut request) = match call.method {
        VerifyMethod::Get => ("GET", Request::get(&call.url)?),
        VerifyMethod::Post => ("POST", Request::post_form(&call.url, &[])?),
    };
    for (header, value) in &call.headers {
        request = request.named_header(header, value)?;
    }
    let headers = inject::headers(scheme, &resolved.credential, method, &target, nonce.as_deref())?;
    for (header, value) in &headers {
        request = request.secret_header(header, value)?;
    }
    let mut answer = context.http.block_on(context.http.send(request))?;
    answer.never_shown = headers.into_iter().map(|(_, value)| value).collect();
    Ok(answer)
}

fn judge(
    answer: &Answer,
    member: Option<&str>,
    name: &Name,
    resolved: &Resolved,
) -> Result<(), CommandError> {
    let said = reason(answer, resolved).map_or(String::new(), |said| format!(": {said}"));
    let failure = |kind, what: &str| {
        CommandError::new(kind, format!("{} answers {}{what}", answer.host(), answer.status))
    };
    let refused = || {
        failure(Kind::LoginRequired, &format!(" to this credential{said}")).hint(
            match &resolved.source {
                Source::Given(variable) => format!("replace what {variable} gives"),
                Source::Stored | Source::Acquired => format!("authctl login {name}"),
            },
        )
    };
    match answer.status {
        200..=299 => match member.map(|member| is_true(answer, member)) {
            None | Some(Some(true)) => Ok(()),
            Some(Some(false)) => Err(refused()),
            Some(None) => Err(failure(Kind::Failed, ", and does not say whether that is good")),
        },
        401 => Err(refused()),
        // Nothing is proved by a redirect; many lead to a page for signing in.
        300..=399 => Err(failure(Kind::Failed, ", a redirect")),
        429 | 500..=599 => Err(failure(Kind::TryAgain, &said)
            .hint(format!("authctl status {name} --check  (tries again)"))),
        _ => Err(failure(Kind::Failed, &said)),
    }
}

fn is_true(answer: &Answer, member: &str) -> Option<bool> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    body.get(member)?.as_bool()
}

/// What the server says about it, in one of the usual members, without the credential.
fn reason(answer: &Answer, resolved: &Resolved) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let members = ["/error/message", "/error_description", "/message", "/detail", "/error"];
    let said = members.iter().find_map(|member| body.pointer(member)?.as_str())?;
    let said = conceal(said, &answer.never_shown);
    Some(clean(&conceal(&said, &inject::secrets(&resolved.credential))))
}
