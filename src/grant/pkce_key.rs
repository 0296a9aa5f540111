//! A key for a code, with PKCE (OpenRouter's exchange): the browser comes back to a path that nobody can
//! guess, and the code it brings is worthless without the verifier. There is no client and no state: the
//! path is the state, and a code that somebody else put there fails at the exchange.

use std::time::Duration;

use url::Url;

use super::authorization_code::{
    ask_for_address, close, done_page, failed_page, pasted_answer, refused,
};
use super::{Error, Opening, RedirectListener, browser};
use crate::config::PkceKey;
use crate::http::{self, Http};
use crate::interact::Interact;
use crate::listen::{Answer, Listener, RedirectRule};
use crate::oauth::{self, Pkce, RedirectError};
use crate::secret::Secret;

/// Gets a key through the browser. Waits at most `wait` for it to come back, or for what a person pastes
/// where `paste` says why it may not come back.
///
/// # Errors
/// `Denied`, `TimedOut`, `Redirect`, `Listen`, `Oauth`.
pub async fn pkce_key(
    http: &Http,
    interact: &dyn Interact,
    flow: &PkceKey,
    opening: Opening,
    paste: Option<&str>,
    wait: Duration,
) -> Result<Secret, Error> {
    let path = format!("/{}", Secret::random().expose());
    let rule = RedirectRule { port: None, path, host: "localhost".to_owned() };
    let listener = RedirectListener::bind(&rule, None)?;
    let pkce = Pkce::new();
    let url = page(flow, &pkce, listener.redirect_uri())?;
    let host = http::host_of(&url);
    let uri = listener.redirect_uri().to_owned();
    let (sockets, callback) = listener.into_parts();
    let mut listener = Listener::start(sockets).map_err(Error::Listen)?;
    let place = if paste.is_some() { browser::ANYWHERE } else { browser::HERE };
    browser::send_to(interact, &url, place, opening);
    let question = paste.and_then(|why| ask_for_address(interact, why, &uri));
    let read = |text: &str| oauth::read_pasted_stateless(text, &uri);
    let answer = tokio::select! {
        answer = came_back(&mut listener, &callback) => answer,
        answer = pasted_answer(interact, question, read) => answer,
        () = tokio::time::sleep(wait) => {
            return Err(Error::TimedOut { minutes: wait.as_secs().div_ceil(60).max(1) });
        }
    };
    match answer {
        Ok(code) => {
            let (verifier, answer) = (&pkce.code_verifier, &flow.answer);
            let asked = oauth::exchange_code_for_key(http, &flow.exchange, &code, verifier, answer);
            let (key, ()) = tokio::join!(asked, close(listener, &callback, done_page(&host)));
            Ok(key?)
        }
        Err(reason) => {
            let error = refused(host.clone(), reason);
            close(listener, &callback, failed_page(&host, &error)).await;
            Err(error)
        }
    }
}

/// The address for the browser.
fn page(flow: &PkceKey, pkce: &Pkce, callback: &str) -> Result<Url, Error> {
    let mut url = http::parse_url(&flow.page).map_err(oauth::Error::from)?;
    url.query_pairs_mut()
        .append_pair(&flow.callback, callback)
        .append_pair("code_challenge", &pkce.code_challenge)
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(&flow.parameters);
    Ok(url)
}

/// Waits for the browser at the one path. Whatever else comes is answered and forgotten.
async fn came_back(listener: &mut Listener, callback: &str) -> Result<Secret, RedirectError> {
    loop {
        let get = listener.next().await;
        let Some(query) = get.query.as_ref().filter(|_| get.path == callback) else {
            get.answer(Answer::NotFound);
            continue;
        };
        let outcome = oauth::read_stateless_redirect(query.expose());
        get.answer(Answer::SeeOther(super::authorization_code::DONE));
        return outcome;
    }
}
