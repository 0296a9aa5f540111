//! The token endpoint: client authentication, the grants, and the life of tokens.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::super::dpop;
use super::super::http::{self, Answer, Request};
use super::{DEVICE_CODE, Family, Person, Refusal, State, parameter};

impl State {
    pub fn token(&mut self, request: &Request) -> Result<Value, Refusal> {
        let form = request.form();
        self.check_unique("token", &form);
        if request.header("content-type") != Some("application/x-www-form-urlencoded") {
            self.complain(format!("token: content type {:?}", request.header("content-type")));
        }
        if request.header("accept") != Some("application/json") {
            self.complain(format!("token: accept {:?}", request.header("accept")));
        }
        let client = self.authenticate(request, &form)?;
        match parameter(&form, "grant_type").as_str() {
            "authorization_code" => self.redeem_code(&client, &form),
            "refresh_token" => self.refresh(&client, &form),
            "client_credentials" => self.client_credentials(&client, &form),
            DEVICE_CODE => self.poll(&client, &form),
            other => {
                self.complain(format!("token: grant_type {other:?}"));
                Err(Refusal(400, "unsupported_grant_type"))
            }
        }
    }

    /// RFC 6749 §2.3.1: Basic with both parts form-encoded, or the body; never both.
    pub fn authenticate(
        &mut self,
        request: &Request,
        form: &[(String, String)],
    ) -> Result<String, Refusal> {
        let in_body = (parameter(form, "client_id"), parameter(form, "client_secret"));
        let (id, secret) = match request.header("authorization") {
            None => in_body,
            Some(header) => {
                if !in_body.1.is_empty() {
                    self.complain("token: a client secret in two places".into());
                }
                basic(header).ok_or(Refusal(401, "invalid_client"))?
            }
        };
        match self.clients.get(&id) {
            Some(client) if client.secret.clone().unwrap_or_default() == secret => Ok(id),
            _ => Err(Refusal(401, "invalid_client")),
        }
    }

    /// Takes the proof of a request, if it has one (RFC 9449 §5, §8).
    pub fn prove(&mut self, request: &Request) -> Result<(), Refusal> {
        self.proven = None;
        if request.header("dpop").is_none() {
            return Ok(());
        }
        let proof = match dpop::verify(request, &format!("{}{}", self.issuer, request.path)) {
            Ok(proof) => proof,
            Err(what) => {
                self.complain(what);
                return Err(Refusal(400, "invalid_dpop_proof"));
            }
        };
        if self.proofs.contains(&proof.jti) || proof.ath.is_some() {
            self.complain("a proof that was seen before, or for a token".into());
        }
        self.proofs.push(proof.jti);
        if self.rules.nonce.is_some() && proof.nonce.as_deref() != self.rules.nonce {
            return Err(Refusal(400, "use_dpop_nonce"));
        }
        self.proven = Some(proof.jkt);
        Ok(())
    }

    fn redeem_code(&mut self, client: &str, form: &[(String, String)]) -> Result<Value, Refusal> {
        self.check_resource("token", form);
        let invalid = Refusal(400, "invalid_grant");
        // A code is good for one use, also for a failed one.
        let Some(code) = self.codes.remove(&parameter(form, "code")) else {
            self.complain("token: an unknown or used code".into());
            return Err(invalid);
        };
        let verifier = parameter(form, "code_verifier");
        let hash = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
        let is_right = code.client == client
            && code.redirect_uri == parameter(form, "redirect_uri")
            && (43..=128).contains(&verifier.len())
            && code.challenge == URL_SAFE_NO_PAD.encode(hash);
        if !is_right {
            self.complain("token: a code with the wrong client, redirect URI or verifier".into());
            return Err(invalid);
        }
        // RFC 9449 §10.
        if !code.dpop_jkt.is_empty() && self.proven.as_ref() != Some(&code.dpop_jkt) {
            self.complain("token: a code that is bound to another key".into());
            return Err(invalid);
        }
        Ok(self.grant(client, &code.scope, true))
    }

    fn client_credentials(
        &mut self,
        client: &str,
        form: &[(String, String)],
    ) -> Result<Value, Refusal> {
        self.check_resource("token", form);
        if self.clients[client].secret.is_none() {
            return Err(Refusal(400, "unauthorized_client"));
        }
        // RFC 6749 §4.4.3: no refresh token.
        Ok(self.grant(client, &parameter(form, "scope"), false))
    }

    fn refresh(&mut self, client: &str, form: &[(String, String)]) -> Result<Value, Refusal> {
        self.check_resource("token", form);
        let token = parameter(form, "refresh_token");
        let holder = self.families.iter().position(|family| family.refresh.contains(&token));
        let Some(index) = holder.filter(|index| self.families[*index].client == client) else {
            return Err(Refusal(400, "invalid_grant"));
        };
        if self.families[index].jkt.is_some() && self.families[index].jkt != self.proven {
            self.complain("token: a refresh without proof of its key".into());
            return Err(Refusal(400, "invalid_dpop_proof"));
        }
        if let Some(answer) = self.within_grace(index, &token) {
            return Ok(answer);
        }
        if self.families[index].refresh.last() != Some(&token) {
            self.reuses += 1;
            self.families[index].revoked = true;
        }
        if self.families[index].revoked {
            return Err(Refusal(400, "invalid_grant"));
        }
        let rotates = self.rules.rotates;
        Ok(self.issue(index, rotates))
    }

    /// The same answer again for the last token but one, as servers with a grace time give it.
    fn within_grace(&self, family: usize, token: &str) -> Option<Value> {
        let family = &self.families[family];
        let (answer, made) = family.answer.as_ref()?;
        let is_last_but_one = family.refresh.iter().rev().nth(1).is_some_and(|own| own == token);
        let in_time = made.elapsed() < self.rules.grace?;
        (is_last_but_one && in_time && !family.revoked).then(|| answer.clone())
    }

    /// RFC 8628 §3.5.
    fn poll(&mut self, client: &str, form: &[(String, String)]) -> Result<Value, Refusal> {
        let device_code = parameter(form, "device_code");
        let approves = self.rules.person == Person::SaysYes;
        let Some(device) = self.devices.get_mut(&device_code).filter(|d| d.client == client) else {
            return Err(Refusal(400, "invalid_grant"));
        };
        let since = device.last_poll.replace(Instant::now()).map(|last| last.elapsed());
        if since.is_some_and(|since| since < device.interval) {
            let interval = device.interval;
            self.complain(format!("token: polled after {since:?}, not {interval:?}"));
            return Err(Refusal(400, "slow_down"));
        }
        if let Some(code) = self.rules.device_answers.pop_front() {
            if code == "slow_down" {
                device.interval += Duration::from_secs(5);
            }
            return Err(Refusal(400, code));
        }
        if !device.approved && !approves {
            return Err(Refusal(400, "authorization_pending"));
        }
        let scope = device.scope.clone();
        self.devices.remove(&device_code);
        Ok(self.grant(client, &scope, true))
    }

    fn grant(&mut self, client: &str, scope: &str, with_refresh_token: bool) -> Value {
        let scope = self.rules.grants_scopes.clone().unwrap_or_else(|| scope.to_owned());
        self.families.push(Family {
            client: client.into(),
            scope,
            access: Vec::new(),
            refresh: Vec::new(),
            answer: None,
            revoked: false,
            jkt: self.proven.clone(),
        });
        self.issue(self.families.len() - 1, with_refresh_token)
    }

    /// RFC 6749 §5.1.
    fn issue(&mut self, family: usize, with_refresh_token: bool) -> Value {
        let access = self.secret("access");
        let refresh = with_refresh_token.then(|| self.secret("refresh"));
        let life = self.rules.expires_in;
        let refresh_life = self.rules.refresh_expires_in.filter(|_| refresh.is_some());
        let family = &mut self.families[family];
        let end = life.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        family.access.push((access.clone(), end));
        family.refresh.extend(refresh.clone());
        let is_bound = family.jkt.is_some() && self.rules.binds;
        let token_type = if is_bound { "DPoP" } else { "Bearer" };
        let mut answer = json!({ "access_token": access, "token_type": token_type });
        if let Some(seconds) = life {
            answer["expires_in"] = json!(seconds);
        }
        if let Some(refresh) = refresh {
            answer["refresh_token"] = json!(refresh);
        }
        if let Some(seconds) = refresh_life {
            answer["refresh_token_expires_in"] = json!(seconds);
        }
        if !family.scope.is_empty() {
            answer["scope"] = json!(family.scope);
        }
        family.answer = Some((answer.clone(), Instant::now()));
        answer
    }

    pub fn accepts(&self, token: &str) -> bool {
        let lives = |(other, end): &(String, Option<Instant>)| {
            other == token && end.is_none_or(|end| Instant::now() < end)
        };
        self.families.iter().any(|family| !family.revoked && family.access.iter().any(lives))
    }

    /// The thumbprint that a living access token is bound to.
    pub fn bound_to(&self, token: &str) -> Option<String> {
        let holds = |family: &&Family| family.access.iter().any(|(other, _)| other == token);
        let family = self.families.iter().find(holds)?;
        self.accepts(token).then(|| family.jkt.clone()).flatten()
    }

    /// A value that no other run and no other place of this one has.
    pub fn secret(&mut self, kind: &str) -> String {
        self.issued += 1;
        let mut random = [0; 24];
        getrandom::fill(&mut random).unwrap();
        format!("{kind}-{}-{}", self.issued, URL_SAFE_NO_PAD.encode(random))
    }

    pub fn token_answer(&mut self, answer: Result<Value, Refusal>) -> Answer {
        let is_good = answer.is_ok();
        let answer = match answer {
            Ok(answer) => {
                Answer::json(if answer.get("request_uri").is_some() { 201 } else { 200 }, &answer)
            }
            Err(Refusal(status, code)) => {
                let status = if self.rules.errors_as_200 { 200 } else { status };
                let description = format!("refused: {code}");
                Answer::json(status, &json!({ "error": code, "error_description": description }))
            }
        };
        if is_good && self.rules.next_nonce.is_some() {
            self.rules.nonce = self.rules.next_nonce;
        }
        let answer = match self.rules.nonce {
            Some(nonce) => answer.header("dpop-nonce", nonce),
            None => answer,
        };
        answer.header("cache-control", "no-store")
    }
}

/// Name and password of a Basic header, each form-decoded.
fn basic(header: &str) -> Option<(String, String)> {
    let text = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |part: &str| http::pairs(format!("x={part}").as_bytes())[0].1.clone();
    Some((decode(id), decode(secret)))
}
