//! RFC 6749 §4.1 with PKCE, pushed first where the server wants it (RFC 9126), through the person's own browser (RFC 8252): show the URL, wait for the
//! redirect, exchange the code once while the browser gets its closing page.

use std::time::Duration;

use hyper::StatusCode;

use super::{Error, RedirectListener, Request, Waiting, browser, typed_line};
use crate::http::{self, Http};
use crate::interact::{Interact, Typing};
use crate::listen::{Answer, Listener, Page, Tone};
use crate::oauth::{
    self, AuthorizationRequest, DpopKey, PasteError, RedirectError, TokenAnswer, TokenGrant,
    TokenRequest,
};
use crate::secret::Secret;

/// Where the browser ends: an address without code or state.
pub(super) const DONE: &str = "/done";

/// Longest address that every way to a browser keeps whole, in bytes.
const LONGEST_ADDRESS: usize = 2000;

/// How long the listener stays for the closing page; afterwards its port is free.
const LINGER: Duration = Duration::from_millis(900);

/// How the person is asked.
#[derive(Clone, Copy)]
pub struct Invitation<'a> {
    pub open_browser: bool,
    /// Whether the answer may also be pasted at the terminal, and why; `None`: the browser of this
    /// machine will bring it.
    pub paste: Option<&'a str>,
    /// The server is known to check PKCE: a pasted code may come alone.
    pub code_alone: bool,
    /// How to go on later.
    pub later: Option<&'a str>,
}

/// The request that the browser is sent with (RFC 6749 §4.1.1): whole or, where the server wants that or
/// takes it and the request is long, pushed first (RFC 9126).
///
/// # Errors
/// `Unsupported` (no authorization endpoint), `Pushed`, `Oauth`.
pub async fn authorization_request(
    http: &Http,
    request: &Request<'_>,
    redirect_uri: &str,
) -> Result<AuthorizationRequest, Error> {
    let server = request.server;
    let endpoint = server.authorization_endpoint.as_deref();
    let endpoint = request.needs(endpoint, "authorization endpoint")?;
    let key = request.dpop.map(|dpop| dpop.key);
    let asked = oauth::authorization_request(
        endpoint,
        &request.client.client_id,
        redirect_uri,
        request.scopes,
        request.resource,
        request.parameters,
        key.map(DpopKey::thumbprint).as_deref(),
    )?;
    let push_endpoint = server.pushed_authorization_request_endpoint.as_deref();
    let is_long = asked.url.as_str().len() > LONGEST_ADDRESS;
    if !server.pushes && (!is_long || push_endpoint.is_none()) {
        return Ok(asked);
    }
    let push_endpoint = request.needs(push_endpoint, "pushed authorization request endpoint")?;
    oauth::push(http, push_endpoint, request.client, asked, endpoint, key)
        .await
        .map_err(Error::Pushed)
}

/// Signs in through the browser. The URL is always shown; the browser is opened only if the invitation
/// says so. The answer is the first that comes: the redirect, or what a person pastes.
///
/// # Errors
/// `Denied`, `TimedOut`, `Redirect`, `Listen`, `CalledOff`, `Oauth`.
pub async fn authorization_code(
    http: &Http,
    interact: &dyn Interact,
    listener: RedirectListener,
    request: &Request<'_>,
    asked: &AuthorizationRequest,
    invitation: &Invitation<'_>,
    waiting: &Waiting<'_>,
) -> Result<TokenAnswer, Error> {
    let host = http::host_of(&asked.url);
    let (sockets, callback) = listener.into_parts();
    let mut listener = Listener::start(sockets).map_err(Error::Listen)?;
    let question = invite(interact, asked, invitation);
    let (answer, is_pasted) = tokio::select! {
        answer = redirect(&mut listener, &callback, request, &asked.state) => (answer, false),
        answer = pasted(interact, question, request, asked, invitation) => (answer, true),
        () = waiting.called_off() => {
            // A browser that is on its way here comes to a page.
            if waiting.is_shared {
                close(listener, &callback, failed_page(&host, &Error::CalledOff)).await;
            }
            return Err(Error::CalledOff);
        }
        () = tokio::time::sleep(waiting.most) => {
            return Err(Error::TimedOut { minutes: waiting.most.as_secs().div_ceil(60).max(1) });
        }
    };
    let answer = waiting.claim().and(answer.map_err(|reason| refused(host.clone(), reason)));
    let page = match &answer {
        Ok(_) => done_page(&host),
        Err(error) => failed_page(&host, error),
    };
    let exchange = async {
        let code = answer?;
        exchange(http, request, &asked.redirect_uri, &asked.code_verifier, &code).await
    };
    if is_pasted {
        drop(listener);
        return exchange.await;
    }
    let (answer, ()) = tokio::join!(exchange, close(listener, &callback, page));
    answer
}

/// Shows the address, opens the browser or the question for what it ended with.
fn invite(
    interact: &dyn Interact,
    asked: &AuthorizationRequest,
    invitation: &Invitation<'_>,
) -> Option<Box<dyn Typing>> {
    let url = &asked.url;
    let place = if invitation.paste.is_some() { browser::ANYWHERE } else { browser::HERE };
    browser::show_address(interact, url, place);
    if let Some(seconds) = asked.expires_in.map(|time| time.as_secs()) {
        interact.notice(&format!(
            "The address is good for {seconds} s; later, run the same command again."
        ));
    }
    let (is_open, browser) = browser::open(interact, url, invitation.open_browser);
    let later = invitation.later.map_or(String::new(), |later| format!("; {later}"));
    browser::wait_for_person(
        interact,
        &format!("{browser}Waiting for you; Ctrl-C gives up{later}."),
    );
    let is_missing = invitation.open_browser && !is_open;
    let why = invitation.paste.or(is_missing.then_some("no browser was started here"));
    why.and_then(|why| ask_for_address(interact, why, &asked.redirect_uri))
}

/// The question beside the listener, where somebody can be asked.
pub(super) fn ask_for_address(
    interact: &dyn Interact,
    why: &str,
    redirect_uri: &str,
) -> Option<Box<dyn Typing>> {
    if !interact.can_ask() {
        return None;
    }
    interact.show(&format!(
        "Since {why}, the browser may end at a page that cannot be reached: its address begins with \
         {redirect_uri}, and pasted here it will do."
    ));
    interact.ask_meanwhile("Address or code (not shown)").ok()
}

/// What a person pastes, until it is an answer. Slips are said, and end nothing. Without a question, or
/// once the terminal is gone, there is only the browser to wait for.
async fn pasted(
    interact: &dyn Interact,
    question: Option<Box<dyn Typing>>,
    request: &Request<'_>,
    asked: &AuthorizationRequest,
    invitation: &Invitation<'_>,
) -> Result<Secret, RedirectError> {
    let awaited = oauth::Expected {
        state: &asked.state,
        redirect_uri: &asked.redirect_uri,
        issuer: request.server.issuer.as_deref(),
        iss_required: request.server.iss_required,
        code_alone: invitation.code_alone,
    };
    pasted_answer(interact, question, |text| oauth::read_pasted(text, &awaited)).await
}

/// The same, by the rules of `read`.
pub(super) async fn pasted_answer(
    interact: &dyn Interact,
    mut question: Option<Box<dyn Typing>>,
    read: impl Fn(&str) -> Result<Secret, PasteError>,
) -> Result<Secret, RedirectError> {
    while let Some(asking) = question.as_deref_mut()
        && let Ok(line) = typed_line(asking).await
    {
        match read(line.expose()) {
            Ok(code) => return Ok(code),
            Err(PasteError::Redirect(answer))
                if PasteError::Redirect(answer.clone()).is_answer() =>
            {
                return Err(answer);
            }
            Err(PasteError::Empty) => {}
            Err(slip) => interact.warn(&format!("{slip}. The sign-in still waits.")),
        }
    }
    std::future::pending().await
}

/// Waits for the redirect that carries our state. Whatever else comes is answered and forgotten: a
/// forged redirect neither ends nor completes the sign-in.
async fn redirect(
    listener: &mut Listener,
    callback: &str,
    request: &Request<'_>,
    state: &Secret,
) -> Result<Secret, RedirectError> {
    let server = request.server;
    loop {
        let get = listener.next().await;
        let Some(query) = get.query.as_ref().filter(|_| get.path == callback) else {
            get.answer(Answer::NotFound);
            continue;
        };
        let issuer = server.issuer.as_deref();
        match oauth::read_redirect(query.expose(), state, issuer, server.iss_required) {
            Err(RedirectError::ForeignState) => get.answer(Answer::Page(foreign_page())),
            outcome => {
                get.answer(Answer::SeeOther(DONE));
                return outcome;
            }
        }
    }
}

/// Sends the code to the token endpoint, once: it is spent by that, whatever comes back.
pub async fn exchange(
    http: &Http,
    request: &Request<'_>,
    redirect_uri: &str,
    code_verifier: &Secret,
    code: &Secret,
) -> Result<TokenAnswer, Error> {
    let grant = TokenGrant::AuthorizationCode { code, redirect_uri, code_verifier };
    let exchange = TokenRequest {
        endpoint: &request.server.token_endpoint,
        client: request.client,
        grant,
        scopes: &[],
        resource: request.resource,
        parameters: &std::collections::BTreeMap::new(),
        dpop: request.dpop,
    };
    Ok(oauth::request_tokens(http, &exchange).await?)
}

/// Serves the closing page once, for at most [`LINGER`], and leaves the port.
pub(super) async fn close(mut listener: Listener, callback: &str, page: Page) {
    let closing = async {
        loop {
            let get = listener.next().await;
            if get.path == DONE && get.query.is_none() {
                return get.answer_and_close(Answer::Page(page)).await;
            }
            // A browser may send the redirect twice; the second comes to the same end.
            let again = get.path == callback;
            get.answer(if again { Answer::SeeOther(DONE) } else { Answer::NotFound });
        }
    };
    let _ = tokio::time::timeout(LINGER, closing).await;
}

/// What an answer that is no code means; `access_denied` is a person's no.
pub fn refused(host: String, reason: RedirectError) -> Error {
    match reason {
        RedirectError::Refused { code, description } if code == "access_denied" => {
            Error::Denied { host, description }
        }
        reason => Error::Redirect { host, reason },
    }
}

// ------------------------------------------------------------------------------------------- pages

pub(super) fn done_page(host: &str) -> Page {
    let answered =
        format!("{host} has answered, and authctl finishes the sign-in in your terminal.");
    Page::new(StatusCode::OK, Tone::Good, "Done here: you can close this tab", &[&answered])
}

pub(super) fn failed_page(host: &str, error: &Error) -> Page {
    let (title, said) = match error {
        Error::Denied { .. } => {
            ("Access was not given", format!("{host} says that the request was declined."))
        }
        Error::CalledOff => return elsewhere_page(),
        _ => ("The sign-in did not work", format!("What {host} sent back cannot be used.")),
    };
    let rest = "Nothing was stored. You can close this tab; your terminal says how to go on.";
    Page::new(StatusCode::OK, Tone::Bad, title, &[&said, rest])
}

fn elsewhere_page() -> Page {
    let sentences = [
        "Another authctl has the answer to this sign-in.",
        "You can close this tab; your terminal says what came of it.",
    ];
    Page::new(StatusCode::CONFLICT, Tone::Bad, "Nothing is waiting here any more", &sentences)
}

fn foreign_page() -> Page {
    let sentences = [
        "This address belongs to an older or a foreign sign-in, and nothing was done with it.",
        "If a sign-in is waiting in your terminal, it is still waiting: open the address shown there.",
    ];
    Page::new(
        StatusCode::BAD_REQUEST,
        Tone::Bad,
        "This is not the sign-in that waits here",
        &sentences,
    )
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::super::Server;
    use super::super::fake::{Form, Person, Scripted, asking, get, raw};
    use url::Url;

    use super::*;
    use crate::listen::RedirectRule;

    const TOKENS: &str = r#"{"access_token":"at-1","token_type":"Bearer","expires_in":60}"#;
    const CODE: &str = "SplxlOBeZQQYbYS6WxSbIA";

    /// What the browser was asked to open.
    struct Opened {
        parameters: Form,
        port: u16,
    }

    impl Opened {
        fn new(url: &Url) -> Self {
            let parameters: Form = url.query_pairs().into_owned().collect();
            let port = Url::parse(&parameters["redirect_uri"]).unwrap().port().unwrap();
            Self { parameters, port }
        }

        /// The target of a redirect with our state.
        fn redirect(&self, rest: &str) -> String {
            format!("/callback?state={}&{rest}", self.parameters["state"])
        }

        /// Follows a redirect as a browser does; both answers.
        fn follow(&self, rest: &str) -> [String; 2] {
            let answer = get(self.port, &self.redirect(rest));
            let location = header(&answer, "location").unwrap_or_default();
            [get(self.port, &location), answer]
        }
    }

    fn header(answer: &str, name: &str) -> Option<String> {
        let lines = answer.split("\r\n").take_while(|line| !line.is_empty());
        let mut pairs = lines.filter_map(|line| line.split_once(": "));
        pairs.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    /// Signs in at `server`; `visit` is what the browser does. Its result comes along.
    fn sign_in<T: Send + 'static>(
        server: &Server,
        visit: impl Fn(Opened) -> T + Send + Sync + 'static,
    ) -> (Result<TokenAnswer, Error>, T, Person) {
        let (send, visited) = mpsc::channel();
        let visit = std::sync::Arc::new(visit);
        let person = Person::browsing(move |url| {
            let (send, visit) = (send.clone(), std::sync::Arc::clone(&visit));
            std::thread::spawn(move || send.send(visit(Opened::new(&url))));
        });
        let outcome = run(server, &person, true, Duration::from_mins(2));
        (outcome, visited.recv().unwrap(), person)
    }

    fn run(
        server: &Server,
        person: &Person,
        open_browser: bool,
        wait: Duration,
    ) -> Result<TokenAnswer, Error> {
        let http = Http::new();
        let listener = RedirectListener::bind(&RedirectRule::default(), None).unwrap();
        let port = listener.port();
        let invitation = Invitation { open_browser, paste: None, code_alone: true, later: None };
        let waiting =
            Waiting { most: wait, is_shared: false, is_called_off: &|| false, claim: &|| true };
        let outcome = asking(server, |request| {
            http.block_on(async {
                let uri = listener.redirect_uri();
                let asked = authorization_request(&http, request, uri).await?;
                authorization_code(&http, person, listener, request, &asked, &invitation, &waiting)
                    .await
            })
        });
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "port {port} is open");
        outcome
    }

    #[test]
    fn a_code_is_exchanged_once_and_the_browser_ends_at_a_clean_page() {
        let scripted = Scripted::answering([(200, TOKENS)]);
        let (outcome, (opened, [page, redirect]), person) =
            sign_in(&scripted.described(), |opened| {
                let icon = get(opened.port, "/favicon.ico");
                assert!(icon.starts_with("HTTP/1.1 404"), "{icon}");
                let answers = opened.follow(&format!("code={CODE}"));
                (opened, answers)
            });
        assert_eq!(outcome.unwrap().access_token.expose(), "at-1");

        let asked = &opened.parameters;
        let parameter = |name: &str| asked.get(name).map(String::as_str);
        assert_eq!(parameter("response_type"), Some("code"));
        assert_eq!(parameter("client_id"), Some("our-client"));
        assert_eq!(parameter("scope"), Some("read write"));
        assert_eq!(parameter("resource"), Some("https://api.example/v1"));
        assert_eq!(parameter("prompt"), Some("consent"));
        assert_eq!(parameter("code_challenge_method"), Some("S256"));

        let requests = scripted.requests();
        let [(path, form)] = &requests[..] else { panic!("{} requests", requests.len()) };
        assert_eq!((path.as_str(), form["code"].as_str()), ("/token", CODE));
        assert_eq!(form["redirect_uri"], asked["redirect_uri"]);
        assert_eq!(form["resource"], "https://api.example/v1");
        assert!(!form.contains_key("prompt"));
        let hash = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(hash), asked["code_challenge"]);

        assert!(redirect.starts_with("HTTP/1.1 303"), "{redirect}");
        assert_eq!(header(&redirect, "location").unwrap(), "/done");
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("close this tab"), "{page}");
        for answer in [&page, &redirect] {
            assert_eq!(header(answer, "cache-control").unwrap(), "no-store");
            assert_eq!(header(answer, "referrer-policy").unwrap(), "no-referrer");
            assert!(!answer.contains(CODE) && !answer.contains(&asked["state"]));
        }
        let url = person.opened.lock().unwrap()[0].to_string();
        assert!(person.said().contains(&url));
        assert!(!person.said().contains(CODE) && !person.said().contains("at-1"));
    }

    #[test]
    fn ten_thousand_forged_redirects_neither_end_nor_complete_the_sign_in() {
        let scripted = Scripted::answering([(200, TOKENS)]);
        let (outcome, accepted, _) = sign_in(&scripted.described(), |opened| {
            let forge = |count: usize| {
                let state = &opened.parameters["state"];
                let cut = &state[..state.len() - 1];
                let target = match count % 8 {
                    0 => "/callback?code=forged".to_owned(),
                    1 => format!("/callback?code=forged&state={count}"),
                    2 => format!("/callback?code=forged&state={cut}"),
                    3 => format!("/callback?code=forged&state={state}x"),
                    4 => format!("/callback?code=forged&state=x&state={state}"),
                    5 => "/callback?error=access_denied&state=forged".to_owned(),
                    6 => "/callback?state=&iss=https://evil.example&code=forged".to_owned(),
                    _ => format!("/callback?{}", "%00&=&code&state".repeat(20)),
                };
                get(opened.port, &target)
            };
            let refused = &|count| usize::from(forge(count).starts_with("HTTP/1.1 400"));
            let accepted = std::thread::scope(|scope| {
                let forgers: Vec<_> = (0..4)
                    .map(|part| (part..10_000).step_by(4))
                    .map(|counts| scope.spawn(move || counts.map(refused).sum::<usize>()))
                    .collect();
                let refused = forgers.into_iter().map(|forger| forger.join().unwrap());
                10_000 - refused.sum::<usize>()
            });
            opened.follow("code=genuine");
            accepted
        });
        assert_eq!(accepted, 0);
        assert_eq!(outcome.unwrap().access_token.expose(), "at-1");
        let requests = scripted.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].1["code"], "genuine");
    }

    #[test]
    fn strangers_do_not_stop_a_sign_in() {
        let scripted = Scripted::answering([(200, TOKENS)]);
        let (outcome, answers, _) = sign_in(&scripted.described(), |opened| {
            let port = opened.port;
            let idle: Vec<_> = (0..200)
                .map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap())
                .collect();
            let mut noise = vec![0; 1 << 20];
            getrandom::fill(&mut noise).unwrap();
            raw(port, &noise);
            let target = opened.redirect("code=stolen");
            let rebound = format!("GET {target} HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n");
            assert!(raw(port, rebound.as_bytes()).starts_with("HTTP/1.1 421"));
            let host = format!("Host: 127.0.0.1:{port}");
            let posted = format!("POST {target} HTTP/1.1\r\n{host}\r\nContent-Length: 0\r\n\r\n");
            assert!(raw(port, posted.as_bytes()).starts_with("HTTP/1.1 405"));
            let huge = "Content-Length: 9000000000000000000";
            let huge = format!("GET {target} HTTP/1.1\r\n{host}\r\n{huge}\r\n\r\n");
            assert!(raw(port, huge.as_bytes()).starts_with("HTTP/1.1 400"));
            let answers = opened.follow("code=genuine");
            drop(idle);
            answers
        });
        assert_eq!(outcome.unwrap().access_token.expose(), "at-1");
        assert!(answers[0].starts_with("HTTP/1.1 200"), "{}", answers[0]);
        assert_eq!(scripted.requests()[0].1["code"], "genuine");
    }

    #[test]
    fn a_declined_request_is_told_from_a_failure_and_nothing_is_exchanged() {
        let scripted = Scripted::answering([]);
        let (outcome, [page, _], _) = sign_in(&scripted.described(), |opened| {
            opened.follow("error=access_denied&error_description=no%1b%5b31m")
        });
        match outcome.unwrap_err() {
            Error::Denied { host, description } => {
                assert!(host.starts_with("127.0.0.1"));
                assert_eq!(description.as_deref(), Some("no\u{fffd}[31m"));
            }
            other => panic!("{other}"),
        }
        assert!(page.contains("Access was not given") && !page.contains("31m"), "{page}");
        assert!(scripted.requests().is_empty());
    }

    #[test]
    fn an_answer_of_another_issuer_is_not_acted_upon() {
        let scripted = Scripted::answering([]);
        let server = Server { iss_required: true, ..scripted.described() };
        for rest in ["code=mixed", "code=mixed&iss=https://evil.example", "code=a&code=b"] {
            let (outcome, [page, _], _) = sign_in(&server, |opened| opened.follow(rest));
            assert!(matches!(outcome, Err(Error::Redirect { .. })), "{outcome:?}");
            assert!(page.contains("did not work") && !page.contains("evil"), "{page}");
        }
        assert!(scripted.requests().is_empty());

        let issuer = server.issuer.clone().unwrap();
        let (outcome, _, _) =
            sign_in(&server, move |opened| opened.follow(&format!("code=ours&iss={issuer}")));
        assert!(matches!(outcome, Err(Error::Oauth(oauth::Error::Unavailable { .. }))));
        assert_eq!(scripted.requests().len(), 1, "one exchange, not retried");
    }

    #[test]
    fn the_second_of_two_redirects_ends_at_the_same_page() {
        let scripted = Scripted::answering([(200, TOKENS)]);
        let (outcome, [page, _], _) = sign_in(&scripted.described(), |opened| {
            get(opened.port, &opened.redirect("code=one"));
            opened.follow("code=one")
        });
        assert!(outcome.is_ok() && page.starts_with("HTTP/1.1 200"));
        assert_eq!(scripted.requests().len(), 1);
    }

    #[test]
    fn without_an_answer_the_wait_ends_and_the_browser_stays_closed_unless_asked_for() {
        let scripted = Scripted::answering([]);
        let person = Person::default();
        let outcome = run(&scripted.described(), &person, false, Duration::from_millis(50));
        assert!(matches!(outcome, Err(Error::TimedOut { minutes: 1 })));
        assert!(person.opened.lock().unwrap().is_empty());
        assert!(person.said().contains("/authorize?response_type=code"), "{}", person.said());
    }

    #[test]
    fn a_server_without_the_endpoint_is_named() {
        let scripted = Scripted::answering([]);
        let server = Server { authorization_endpoint: None, ..scripted.described() };
        let outcome = run(&server, &Person::default(), true, Duration::ZERO);
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }));
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}
