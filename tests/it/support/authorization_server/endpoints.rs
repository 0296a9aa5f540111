//! The other endpoints: authorization, device authorization, registration, revocation.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::http::{Answer, Request};
use super::{Client, Code, Device, Person, RedirectIssuer, Refusal, State, parameter};

impl State {
    /// RFC 6749 §4.1.1, as the browser sends it.
    pub fn authorize(&mut self, query: &[(String, String)]) -> Answer {
        self.check_unique("authorize", query);
        if !parameter(query, "client_secret").is_empty() {
            self.complain("authorize: a client_secret".into());
        }
        let pushed = match self.pushed_request(query) {
            Ok(pushed) => pushed,
            Err(refusal) => return refusal,
        };
        let query = pushed.as_deref().unwrap_or(query);
        let get = |name| parameter(query, name);
        let redirect_uri = get("redirect_uri");
        let client = self.clients.get(&get("client_id")).cloned();
        let Some(client) = client.filter(|client| client.allows(&redirect_uri)) else {
            self.complain(format!("authorize: client {:?}, {redirect_uri:?}", get("client_id")));
            return Answer::new(400, "text/plain", "unknown client or redirect URI");
        };
        drop(client);
        self.check_authorization_request(query);
        let code = self.secret("code");
        let mut back = url::Url::parse(&redirect_uri).unwrap();
        {
            let mut pairs = back.query_pairs_mut();
            if self.rules.person == Person::SaysNo {
                pairs.append_pair("error", "access_denied");
            } else {
                pairs.append_pair("code", &code);
            }
            pairs.append_pair("state", &get("state"));
            match &self.rules.redirect_issuer {
                RedirectIssuer::Own => pairs.append_pair("iss", &self.issuer),
                RedirectIssuer::Other(issuer) => pairs.append_pair("iss", issuer),
                RedirectIssuer::Missing => &mut pairs,
            };
        }
        let code_is_for = Code {
            client: get("client_id"),
            redirect_uri,
            challenge: get("code_challenge"),
            scope: get("scope"),
            dpop_jkt: get("dpop_jkt"),
        };
        self.codes.insert(code, code_is_for);
        Answer::empty(302).header("location", back.as_str())
    }

    /// The request that the browser's address refers to, if it does; used once (RFC 9126 §4).
    fn pushed_request(
        &mut self,
        query: &[(String, String)],
    ) -> Result<Option<Vec<(String, String)>>, Answer> {
        let request_uri = parameter(query, "request_uri");
        if request_uri.is_empty() {
            if self.rules.requires_push {
                self.complain("authorize: a request that was not pushed".into());
            }
            return Ok(None);
        }
        let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
        if names != ["client_id", "request_uri"] {
            self.complain(format!("authorize: beside request_uri: {names:?}"));
        }
        let pushed = self.pushed.remove(&request_uri);
        match pushed.filter(|_| self.rules.request_expires_in > 0) {
            Some(pushed) if parameter(&pushed, "client_id") == parameter(query, "client_id") => {
                Ok(Some(pushed))
            }
            _ => Err(Answer::new(400, "text/plain", "This request_uri has expired.")),
        }
    }

    /// RFC 9126 §2.
    pub fn push(&mut self, request: &Request) -> Result<Value, Refusal> {
        let form = request.form();
        self.check_unique("par", &form);
        let client = self.authenticate(request, &form)?;
        if parameter(&form, "client_id") != client || !parameter(&form, "request_uri").is_empty() {
            self.complain(format!("par: {form:?}"));
        }
        self.check_authorization_request(&form);
        // RFC 9449 §10.1: both ways to name the key name the same one.
        let jkt = parameter(&form, "dpop_jkt");
        if self.proven.as_ref().is_some_and(|proven| *proven != jkt) {
            return Err(Refusal(400, "invalid_dpop_proof"));
        }
        let request_uri = format!("urn:ietf:params:oauth:request_uri:{}", self.secret("request"));
        self.pushed.insert(request_uri.clone(), form);
        let expires_in = self.rules.request_expires_in;
        Ok(json!({ "request_uri": request_uri, "expires_in": expires_in }))
    }

    fn check_authorization_request(&mut self, query: &[(String, String)]) {
        let get = |name| parameter(query, name);
        let rules = [
            ("response_type is code", get("response_type") == "code"),
            ("code_challenge_method is S256", get("code_challenge_method") == "S256"),
            // RFC 7636 §4.2: SHA-256 in base64url.
            ("code_challenge has 43 characters", get("code_challenge").len() == 43),
            // 128 bits in base64url.
            ("state has at least 22 characters", get("state").len() >= 22),
            ("no code_verifier", get("code_verifier").is_empty()),
        ];
        for (rule, holds) in rules {
            if !holds {
                self.complain(format!("authorize: not true that {rule}"));
            }
        }
        self.check_resource("authorize", query);
    }

    /// RFC 8628 §3.1.
    pub fn device(&mut self, request: &Request) -> Result<Value, Refusal> {
        let form = request.form();
        self.check_unique("device", &form);
        self.check_resource("device", &form);
        let client = self.authenticate(request, &form)?;
        let device_code = self.secret("device");
        let user_code = format!("WDJB-{:04}", self.issued);
        let interval = Duration::from_secs(self.rules.interval);
        let device = Device {
            client,
            user_code: user_code.clone(),
            scope: parameter(&form, "scope"),
            approved: false,
            last_poll: None,
            interval,
        };
        self.devices.insert(device_code.clone(), device);
        let page = format!("{}/device", self.issuer);
        Ok(json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={user_code}"),
            "expires_in": self.rules.device_expires_in,
            "interval": self.rules.interval,
        }))
    }

    /// What the person does at `verification_uri`.
    pub fn approve(&mut self, query: &[(String, String)]) -> Answer {
        let user_code = parameter(query, "user_code");
        match self.devices.values_mut().find(|device| device.user_code == user_code) {
            Some(device) => {
                device.approved = true;
                Answer::new(200, "text/plain", "You may close this page.")
            }
            None => Answer::new(404, "text/plain", "No such code."),
        }
    }

    /// RFC 7591 §3.1.
    pub fn registration(&mut self, request: &Request) -> Answer {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let texts = |name: &str| -> Vec<String> {
            let values = asked[name].as_array().into_iter().flatten();
            values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let redirect_uris = texts("redirect_uris");
        let grant_types = texts("grant_types");
        let redirects = grant_types.iter().any(|grant| grant == "authorization_code");
        if redirects == redirect_uris.is_empty() || asked["client_name"].as_str().is_none() {
            self.complain(format!("register: {asked}"));
            return Answer::json(400, &json!({ "error": "invalid_client_metadata" }));
        }
        let id = format!("client-{}", self.clients.len() + 1);
        let method = asked["token_endpoint_auth_method"].as_str().unwrap_or("client_secret_basic");
        let secret = (method != "none").then(|| self.secret("client-secret"));
        let mut answer = json!({
            "client_id": id,
            "redirect_uris": redirect_uris,
            "grant_types": grant_types,
            "token_endpoint_auth_method": method,
        });
        if let Some(secret) = &secret {
            answer["client_secret"] = json!(secret);
            answer["client_secret_expires_at"] = json!(0);
        }
        self.clients.insert(id, Client { secret, redirect_uris });
        Answer::json(201, &answer)
    }

    /// RFC 7009 §2.1: the tokens of the whole grant go; an unknown token is no error.
    pub fn revoke(&mut self, request: &Request) -> Answer {
        let form = request.form();
        self.check_unique("revoke", &form);
        if let Err(Refusal(status, code)) = self.authenticate(request, &form) {
            return Answer::json(status, &json!({ "error": code }));
        }
        let token = parameter(&form, "token");
        for family in &mut self.families {
            if family.refresh.contains(&token) || family.access.iter().any(|(t, _)| *t == token) {
                family.revoked = true;
            }
        }
        Answer::empty(200)
    }
}

impl Client {
    fn allows(&self, redirect_uri: &str) -> bool {
        let Ok(uri) = url::Url::parse(redirect_uri) else { return false };
        let is_loopback = uri.scheme() == "http"
            && matches!(uri.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        let is_known = self.redirect_uris.is_empty()
            || self.redirect_uris.iter().any(|known| known == redirect_uri);
        is_loopback && is_known
    }
}
