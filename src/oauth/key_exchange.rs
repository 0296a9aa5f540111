//! What servers do that give keys rather than tokens: JSON out and in, by nobody's standard. The checks
//! are those of every other answer.

use serde_json::{Map, Value, json};
use url::form_urlencoded::byte_serialize;

use super::Error;
use super::document::Document;
use crate::http::{Answer, Http, Reach, Request};
use crate::secret::Secret;

/// Sends a code with its verifier (RFC 7636) and gives the key, which is the member `answer`.
pub async fn exchange_code_for_key(
    http: &Http,
    endpoint: &str,
    code: &Secret,
    code_verifier: &Secret,
    answer: &str,
) -> Result<Secret, Error> {
    let body = json!({
        "code": code.expose(),
        "code_verifier": code_verifier.expose(),
        "code_challenge_method": "S256",
    });
    let mut response = http.send(Request::post_json(endpoint, &body)?).await?;
    response.never_shown = vec![code.clone(), code_verifier.clone()];
    key(&Document::of_success(&response)?, answer)
}

fn key(document: &Document, member: &str) -> Result<Secret, Error> {
    let text = document.required_text(member)?;
    let unfit = |unfit| document.malformed(&format!("{member}: {unfit}"));
    Secret::parse_token(text).map_err(unfit)
}

/// A session that was started for the browser: the texts that its addresses are filled with.
pub struct KeySession {
    members: Map<String, Value>,
    reach: Reach,
    host: String,
}

/// How far the person has come.
#[derive(Debug)]
pub enum Progress {
    Pending,
    Ready,
    Key(Secret),
    Expired,
    Denied,
}

impl KeySession {
    /// Starts one.
    pub async fn start(http: &Http, endpoint: &str) -> Result<Self, Error> {
        let answer = http.send(Request::post_json(endpoint, &json!({}))?).await?;
        let document = Document::of_success(&answer)?;
        let reach = if answer.is_from_public() { Reach::Public } else { Reach::Named };
        Ok(Self { members: document.fields().clone(), reach, host: answer.host().to_owned() })
    }

    /// The page that `template` means: one of this session's own naming is as acceptable as an endpoint in
    /// a server's metadata.
    pub fn page(&self, template: &str) -> Result<url::Url, Error> {
        let own = template.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let text = match own {
            Some(member) => self.text(member)?.to_owned(),
            None => self.fill(template)?,
        };
        crate::http::parse_url(&text)
            .and_then(|url| crate::http::check_reach(&url, self.reach).map(|()| url))
            .map_err(|error| self.malformed(&format!("its page: {error}")))
    }

    /// Asks whether the person is done: `member` is true then.
    pub async fn ready(
        &self,
        http: &Http,
        template: &str,
        member: &str,
        bearer: Option<&str>,
    ) -> Result<Progress, Error> {
        let request = self.with_bearer(Request::get(&self.fill(template)?)?, bearer)?;
        let answer = self.send(http, request).await?;
        let document = Document::of_success(&answer)?;
        Ok(if document.flag(member)? { Progress::Ready } else { progress(&document)? })
    }

    /// Asks for the key, which is the member `answer`.
    pub async fn exchange(
        &self,
        http: &Http,
        template: &str,
        answer: &str,
        bearer: Option<&str>,
    ) -> Result<Progress, Error> {
        let request = Request::post_json(&self.fill(template)?, &json!({}))?;
        let response = self.send(http, self.with_bearer(request, bearer)?).await?;
        // Not yet: accepted, or in conflict with a person who is still at it.
        if matches!(response.status, 202 | 409) {
            return Ok(Progress::Pending);
        }
        let document = Document::of_success(&response)?;
        match document.value(answer) {
            Some(_) => Ok(Progress::Key(key(&document, answer)?)),
            None if document.value("status").is_some() => progress(&document),
            None => Err(document.malformed(&format!("it has no {answer}"))),
        }
    }

    async fn send(&self, http: &Http, request: Request) -> Result<Answer, Error> {
        let mut answer = http.send(request).await?;
        let texts = self.members.values().filter_map(Value::as_str);
        answer.never_shown = texts.filter(|text| text.len() > 7).map(Secret::new).collect();
        Ok(answer)
    }

    fn with_bearer(&self, request: Request, bearer: Option<&str>) -> Result<Request, Error> {
        let Some(member) = bearer else { return Ok(request) };
        let value = Secret::new(format!("Bearer {}", self.text(member)?));
        Ok(request.secret_header("authorization", &value)?)
    }

    /// `template` with each `{member}` replaced, percent-encoded.
    fn fill(&self, template: &str) -> Result<String, Error> {
        let mut parts = template.split('{');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (member, rest) = part.split_once('}').unwrap_or((part, ""));
            let text = self.text(member)?;
            // A part that goes up or nowhere would make it another address.
            if matches!(text, "." | "..") {
                return Err(self.malformed(&format!("its {member} cannot stand in an address")));
            }
            let encoded: String = byte_serialize(text.as_bytes()).collect();
            filled.push_str(&encoded.replace('+', "%20"));
            filled.push_str(rest);
        }
        Ok(filled)
    }

    fn text(&self, member: &str) -> Result<&str, Error> {
        let text = self.members.get(member).and_then(Value::as_str);
        let text = text.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.malformed(&format!("it has no {member}")))
    }

    fn malformed(&self, what: &str) -> Error {
        Error::Malformed { host: self.host.clone(), what: what.to_owned() }
    }
}

/// What a `status` says, where there is one.
fn progress(document: &Document) -> Result<Progress, Error> {
    match document.text("status")? {
        None | Some("pending") => Ok(Progress::Pending),
        Some("expired") => Ok(Progress::Expired),
        Some("cancelled" | "canceled" | "denied") => Ok(Progress::Denied),
        Some(other) => Err(document.malformed(&format!("its status is {}", document.quote(other)))),
    }
}
