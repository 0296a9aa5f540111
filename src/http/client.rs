//! The client itself: the runtime it runs on, its deadlines and limits, the proxy or the direct way,
//! and the reading of its errors.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::runtime::Runtime;
use url::Url;

use super::address::{Class, Reach, Resolver, class, is_loopback};
use super::failure::{failure, innermost};
use super::nonces::{DPOP_NONCE, Nonces};
use super::proxies::Proxies;
use super::request::check_reach;
use super::{Answer, Error, Exchange, Request};
use crate::signals;
use crate::text::clean;

/// Deadlines and limits of every request.
struct Limits {
    /// Name lookup, TCP and TLS together.
    connect: Duration,
    /// Everything, to the last byte of the answer.
    total: Duration,
    /// Bytes of body.
    body: usize,
}

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(10), total: Duration::from_secs(30), body: 1 << 20 };

/// The ways out, a client each: what the resolver may answer differs.
#[derive(Clone, Copy)]
enum Route {
    Named,
    Public,
    /// Through a proxy, which resolves the name itself: only literals can be checked.
    Proxied,
}

/// Whose request it is.
#[derive(Clone, Copy)]
enum Use {
    Own,
    Streaming,
}

/// How long a connection may wait for its next request: less than the five seconds after which Node's
/// servers close theirs.
const IDLE: Duration = Duration::from_secs(3);

/// The outbound side, cheap to make: runtime and client are built when first asked for.
pub struct Http {
    limits: Limits,
    runtime: OnceLock<Runtime>,
    /// For requests of authctl's own: read whole, each on a connection of its own.
    clients: [OnceLock<reqwest::Client>; 3],
    /// For those that it passes on: connections are used again, and bodies may take their time.
    streaming: [OnceLock<reqwest::Client>; 3],
    proxies: Proxies,
    /// Hosts that only a public server's document named.
    confined: Mutex<BTreeSet<String>>,
    /// What servers want to see in the next proof of possession.
    pub nonces: Nonces,
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Http {
    pub fn new() -> Self {
        Self::with_limits(LIMITS)
    }

    fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            runtime: OnceLock::new(),
            clients: Default::default(),
            streaming: Default::default(),
            proxies: Proxies::default(),
            confined: Mutex::default(),
            nonces: Nonces::default(),
        }
    }

    /// Runs a future to its end on the own runtime, which is made when first asked for. Not to be
    /// called from inside a future.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let make = || {
            // Fails only where the system has no descriptors left; then nothing here can go on.
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                // A lookup's thread may outlive the section that a signal has to wait for.
                .on_thread_start(signals::leave_to_main_thread)
                .build()
                .unwrap_or_else(|error| panic!("no runtime: {error}"))
        };
        self.runtime.get_or_init(make).block_on(future)
    }

    /// From now on, requests to the host of `url` reach public addresses only: a public server's
    /// document named it.
    pub fn confine(&self, url: &Url) {
        let mut confined = self.confined.lock().unwrap_or_else(PoisonError::into_inner);
        confined.extend(url.host_str().map(str::to_owned));
    }

    /// Sends a request and reads the whole answer. A redirect is an answer like any other.
    pub async fn send(&self, request: Request) -> Result<Answer, Error> {
        self.exchange(request, Use::Own).await?.read(self.limits.body).await
    }

    /// Sends a request and comes back with the head of its answer, however long that takes.
    pub async fn open(&self, request: Request) -> Result<Exchange, Error> {
        self.exchange(request, Use::Streaming).await
    }

    async fn exchange(&self, request: Request, purpose: Use) -> Result<Exchange, Error> {
        let host = request.host();
        if let Some(name) = request.unfit {
            return Err(Error::BadHeader { host, name });
        }
        let reach = if self.is_confined(&request.url) { Reach::Public } else { Reach::Named };
        check_reach(&request.url, reach)?;
        let route = self.route(&request.url, reach);
        let sent = self
            .client(route, purpose)?
            .request(request.method, request.url.clone())
            .headers(request.headers)
            .body(request.body)
            .send()
            .await;
        let response =
            sent.map_err(|error| match (failure(&host, &error), self.proxy(&request.url)) {
                (Error::Unreachable { host, reason }, Some(proxy)) => {
                    Error::Unreachable { host, reason: format!("{proxy}: {reason}") }
                }
                (other, _) => other,
            })?;
        let from_public = match (route, response.remote_addr()) {
            (Route::Named, Some(peer)) => class(peer.ip()) == Class::Public,
            (Route::Proxied, _) => check_reach(&request.url, Reach::Public).is_ok(),
            _ => true,
        };
        let exchange = Exchange::new(response, host, from_public)?;
        self.nonces.note(&request.url, exchange.header(DPOP_NONCE));
        Ok(exchange)
    }

    /// Whether requests to the host of `url` reach public addresses only.
    pub fn is_confined(&self, url: &Url) -> bool {
        let confined = self.confined.lock().unwrap_or_else(PoisonError::into_inner);
        url.host_str().is_some_and(|host| confined.contains(host))
    }

    fn route(&self, url: &Url, reach: Reach) -> Route {
        match reach {
            _ if self.proxy(url).is_some() => Route::Proxied,
            Reach::Named => Route::Named,
            Reach::Public => Route::Public,
        }
    }

    /// The proxy that requests to `url` go through, and who named it; nothing but its host: the rest may be
    /// secret.
    fn proxy(&self, url: &Url) -> Option<String> {
        if url.host().is_some_and(|host| is_loopback(&host)) {
            return None;
        }
        let target = url.as_str().parse().ok()?;
        let proxy = self.proxies.to(&target)?;
        let at = proxy.uri().authority().map(|it| clean(it.as_str())).unwrap_or_default();
        let at = at.rsplit('@').next().unwrap_or_default();
        let from = proxy_variable(url).map(|name| format!(" ({name})")).unwrap_or_default();
        Some(format!("through the proxy {at}{from}"))
    }

    fn client(&self, route: Route, purpose: Use) -> Result<&reqwest::Client, Error> {
        let clients = match purpose {
            Use::Own => &self.clients,
            Use::Streaming => &self.streaming,
        };
        let slot = &clients[route as usize];
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = build(route, purpose, &self.limits)?;
        Ok(slot.get_or_init(|| client))
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // A name lookup that hangs cannot be cancelled; the process does not wait for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The variable that names the proxy for `url`, in the order in which they are looked for.
fn proxy_variable(url: &Url) -> Option<&'static str> {
    let own = if url.scheme() == "http" {
        ["HTTP_PROXY", "http_proxy"]
    } else {
        ["HTTPS_PROXY", "https_proxy"]
    };
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    own.into_iter().chain(["ALL_PROXY", "all_proxy"]).find(is_set)
}

/// Builds a client with the system's roots, else with the bundled ones. Roots that the user named
/// are never replaced.
fn build(route: Route, purpose: Use, limits: &Limits) -> Result<reqwest::Client, Error> {
    // Only the first call installs; a later one finds the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let error = match builder(route, purpose, limits).build() {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    if ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some()) {
        return Err(Error::NoRoots { reason: innermost(&error) });
    }
    let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| reqwest::Certificate::from_der(der).ok());
    let client = builder(route, purpose, limits).tls_certs_only(bundled).build();
    client.map_err(|error| Error::Setup { reason: innermost(&error) })
}

fn builder(route: Route, purpose: Use, limits: &Limits) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("authctl/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(limits.connect)
        .http2_max_header_list_size(64 * 1024);
    let builder = match purpose {
        // A refresh token sent into a connection that died while idle may be spent and lost: each
        // request has a connection of its own.
        Use::Own => builder.timeout(limits.total).pool_max_idle_per_host(0),
        Use::Streaming => builder.pool_idle_timeout(IDLE),
    };
    match route {
        Route::Named => builder.no_proxy().dns_resolver(Arc::new(Resolver(Reach::Named))),
        Route::Public => builder.no_proxy().dns_resolver(Arc::new(Resolver(Reach::Public))),
        Route::Proxied => builder,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::super::fake::{Server, response, untrusted};
    use super::*;
    use crate::secret::Secret;

    fn get(http: &Http, url: &str) -> Result<Answer, Error> {
        http.block_on(http.send(Request::get(url)?))
    }

    /// Own waits in milliseconds; bodies up to 1,000 bytes.
    fn limited(connect: u64, total: u64) -> Http {
        let [connect, total] = [connect, total].map(Duration::from_millis);
        Http::with_limits(Limits { connect, total, body: 1000 })
    }

    #[test]
    fn it_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Http>();
    }

    #[test]
    fn an_answer_comes_back_whole() {
        let server = Server::json(200, r#"{"a":1}"#);
        let answer = get(&Http::new(), &server.url("/x?y=1")).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, br#"{"a":1}"#.as_slice()));
        assert_eq!(answer.host(), server.host());
        assert!(answer.is_json() && !answer.is_from_public());
        let received = &server.received()[0];
        assert_eq!(received.line, "GET /x?y=1");
        assert_eq!(received.header("accept"), Some("application/json"));
        let agent = concat!("authctl/", env!("CARGO_PKG_VERSION"));
        assert_eq!(received.header("user-agent"), Some(agent));
        assert_eq!(received.header("accept-encoding"), None);
    }

    #[test]
    fn secrets_go_where_they_were_put() {
        let server = Server::json(200, "{}");
        let http = Http::new();
        let request = || Request::get(&server.url("/")).unwrap();
        let key = Secret::new("k1");
        http.block_on(http.send(request().basic("us%3Aer", &Secret::new("p%20w")))).unwrap();
        http.block_on(http.send(request().secret_header("X-Api-Key", &key).unwrap())).unwrap();
        let received = server.received();
        assert_eq!(received[0].header("authorization"), Some("Basic dXMlM0FlcjpwJTIwdw=="));
        assert_eq!(received[1].header("x-api-key"), Some("k1"));
    }

    #[test]
    fn an_unfit_header_is_refused_before_anything_is_sent() {
        let server = Server::json(200, "{}");
        let http = Http::new();
        let request = Request::get(&server.url("/")).unwrap();
        let refusal = http.block_on(http.send(request.header("accept", "hunter2\r\nx: y")));
        let refusal = refusal.err().unwrap();
        assert!(matches!(refusal, Error::BadHeader { .. }), "{refusal:?}");
        assert!(!format!("{refusal} {refusal:?}").contains("hunter2"));
        assert!(server.received().is_empty());
    }

    #[test]
    fn a_redirect_is_an_answer_and_is_not_followed() {
        let target = Server::json(200, "{}");
        let location = format!("location: {}\r\n", target.url("/"));
        for status in [301, 302, 303, 307, 308] {
            let answer = response(status, &location, "");
            let server = Server::new(move |_| answer.clone());
            let http = Http::new();
            let request = Request::post_form(&server.url("/"), &[("refresh_token", "r1")]).unwrap();
            let answer = http.block_on(http.send(request)).unwrap();
            assert_eq!(answer.status, status);
            assert_eq!(server.received().len(), 1);
        }
        assert!(target.received().is_empty());
    }

    #[test]
    fn a_longer_body_than_allowed_is_refused_whatever_its_length_header_says() {
        let body = "x".repeat(1001);
        let plain = response(200, "", &body);
        let chunked = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{body}\r\n0\r\n\r\n"
        );
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        for bytes in [plain, chunked.into_bytes(), endless.into_bytes()] {
            let server = Server::new(move |_| bytes.clone());
            let refusal = get(&limited(30_000, 30_000), &server.url("/")).err().unwrap();
            assert_eq!(refusal, Error::TooLarge { host: server.host(), limit: 1000 });
            assert!(refusal.may_have_reached());
        }
    }

    #[test]
    fn longer_headers_than_allowed_are_refused() {
        let one = format!("x-long: {}\r\n", "x".repeat(64 * 1024));
        let many = format!("x-long: {}\r\n", "x".repeat(8000)).repeat(90);
        for headers in [one, many] {
            let server = Server::new(move |_| response(200, &headers, "{}"));
            let refusal = get(&Http::new(), &server.url("/")).err().unwrap();
            assert!(matches!(refusal, Error::TooLarge { .. }), "{refusal:?}");
        }
    }

    #[test]
    fn a_stall_ends_and_says_whether_the_request_was_sent() {
        let silent = Server::with(|_, _| {
            loop {
                std::thread::park();
            }
        });
        let refusal = get(&limited(30_000, 300), &silent.url("/")).err().unwrap();
        assert_eq!(refusal, Error::TimedOut { host: silent.host(), sent: true });

        let half = Server::with(|stream, _| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").unwrap();
            loop {
                std::thread::park();
            }
        });
        let refusal = get(&limited(30_000, 300), &half.url("/")).err().unwrap();
        assert_eq!(refusal, Error::TimedOut { host: half.host(), sent: true });

        // A listener that never speaks TLS.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let refusal = get(&limited(300, 30_000), &format!("https://{host}/")).err().unwrap();
        assert_eq!(refusal, Error::TimedOut { host, sent: false });
    }

    #[test]
    fn a_server_that_is_not_there_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        drop(listener);
        let refusal = get(&Http::new(), &format!("http://{host}/?code=hunter2")).err().unwrap();
        assert!(matches!(refusal, Error::Unreachable { .. }), "{refusal:?}");
        assert!(!refusal.may_have_reached());
        assert!(refusal.to_string().contains(&host), "{refusal}");
        assert!(!refusal.to_string().contains("hunter2"));
        assert!(refusal.to_string().contains("refused"), "{refusal}");
    }

    #[test]
    fn a_connection_that_breaks_may_have_reached_the_server() {
        let nothing = Server::with(|_, _| {});
        let cut = Server::new(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec());
        for server in [nothing, cut] {
            let refusal = get(&Http::new(), &server.url("/")).err().unwrap();
            assert_eq!(refusal, Error::Interrupted { host: server.host() });
            assert!(refusal.may_have_reached());
        }
    }

    #[test]
    fn what_is_no_web_server_is_said_to_be_none() {
        let server = Server::new(|_| b"SSH-2.0-OpenSSH\r\n\r\n".to_vec());
        let refusal = get(&Http::new(), &server.url("/")).err().unwrap();
        assert_eq!(refusal, Error::NotHttp { host: server.host() });
        assert!(refusal.may_have_reached());
    }

    #[test]
    fn a_server_without_tls_gets_no_request() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let refusal = get(&Http::new(), &format!("https://{host}/")).err().unwrap();
        assert!(matches!(refusal, Error::Certificate { .. }), "{refusal:?}");
        assert!(!refusal.may_have_reached());
    }

    #[test]
    fn a_certificate_that_nobody_vouches_for_ends_it_before_anything_is_sent() {
        let (host, requests) = untrusted();
        let refusal = get(&Http::new(), &format!("https://{host}/?code=hunter2")).err().unwrap();
        let Error::Certificate { reason, .. } = &refusal else { panic!("{refusal:?}") };
        assert!(reason.contains("certificate"), "{reason}");
        assert!(!refusal.may_have_reached());
        assert!(requests.recv().is_err(), "a request was sent");
    }

    #[test]
    fn hosts_that_strangers_named_are_not_looked_for_on_this_machine() {
        let server = Server::json(200, "{}");
        let http = Http::new();
        let port = server.url("").rsplit_once(':').unwrap().1.to_owned();
        for host in ["127.0.0.1", "localhost", "2130706433", "0177.1", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{port}/");
            assert!(!matches!(get(&http, &url), Err(Error::ForbiddenAddress { .. })), "{host}");
        }
        let before = server.received().len();
        for host in ["127.0.0.1", "localhost", "2130706433", "0177.1", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{port}/");
            http.confine(&Url::parse(&url).unwrap());
            let refusal = get(&http, &url).err().unwrap();
            assert!(matches!(refusal, Error::ForbiddenAddress { .. }), "{host}: {refusal:?}");
        }
        assert_eq!(server.received().len(), before);
    }

    #[test]
    fn a_name_is_judged_by_the_address_it_has() {
        let http = Http::new();
        // A name that the resolver finds on this machine, over the route for public hosts.
        let client = http.client(Route::Public, Use::Own).unwrap();
        let error =
            http.block_on(async { client.get("https://localhost:1/").send().await }).unwrap_err();
        let refusal = failure("localhost:1", &error);
        assert!(matches!(refusal, Error::ForbiddenAddress { .. }), "{refusal:?}");
    }

    #[test]
    fn metadata_services_are_not_asked_even_when_named() {
        for url in ["https://169.254.169.254/", "https://[fe80::1]/", "https://2852039166/"] {
            let refusal = get(&Http::new(), url).err().unwrap();
            assert!(matches!(refusal, Error::ForbiddenAddress { .. }), "{url}: {refusal:?}");
        }
    }
}
