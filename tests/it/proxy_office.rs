//! The way out of a network with a proxy of its own: what goes through it, what does not, and what it never hears.
//!
//! | id | promise | test |
//! |---|---|---|
//! | S4 | no credential takes another way than the person's | `hosts_of_no_proxy_…`, `an_office_that_…`, `authctl_itself_…` |

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::real_parts::{present, skipped};
use crate::support::authorization_server::AuthorizationServer;
use crate::support::hostile::tls::{Authority, GOOD, Leaf, Manner};
use crate::support::lending::{KEY, Lending, config};
use crate::support::origin::Origin;
use crate::support::own_network::{self, Names};
use crate::support::sandbox::Sandbox;

const USER: &str = "me:pass@word";

/// A proxy that wants a password, and connects whoever has it to where they want.
struct Office {
    port: u16,
    /// Of each request that had the password.
    heads: Arc<Mutex<Vec<String>>>,
    /// Everything that came in the clear, whoever said it.
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Office {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heads, heard) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
        let office = Self { port, heads: Arc::clone(&heads), heard: Arc::clone(&heard) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (heads, heard) = (Arc::clone(&heads), Arc::clone(&heard));
                // Who breaks off does.
                thread::spawn(move || serve(client, &heads, &heard));
            }
        });
        office
    }

    fn url(&self, user: &str) -> String {
        format!("http://{user}@127.0.0.1:{}", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(
    mut client: TcpStream,
    heads: &Mutex<Vec<String>>,
    everything: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    everything.lock().unwrap().extend_from_slice(&head);
    let head = String::from_utf8_lossy(&head).into_owned();
    if !head.contains(&format!("Basic {}\r\n", STANDARD.encode(USER))) {
        let refusal = "HTTP/1.1 407 No\r\nproxy-authenticate: Basic realm=\"office\"\r\n\
                       content-length: 0\r\nconnection: close\r\n\r\n";
        return client.write_all(refusal.as_bytes());
    }
    heads.lock().unwrap().push(head.clone());
    let target = head.split(' ').nth(1).unwrap().trim_start_matches("http://");
    let mut server = TcpStream::connect(target.split('/').next().unwrap())?;
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    } else {
        server.write_all(head.as_bytes())?;
    }
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut down, &mut client);
        client.shutdown(Shutdown::Write)
    });
    let _ = std::io::copy(&mut up, &mut server);
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
    Ok(())
}

/// An address of this machine that is not its loopback, which no proxy is ever asked for.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// Origins at an address of the network: one that is bound to a credential, and others.
struct Network {
    address: IpAddr,
    authority: Authority,
    bound: Origin,
    other: Origin,
    plain: Origin,
}

impl Network {
    fn start() -> Option<Self> {
        if !present(&["openssl", "curl"]) {
            return None;
        }
        let Some(address) = own_address() else {
            skipped("this machine has no address but its loopback's");
            return None;
        };
        let authority = Authority::new();
        let name: &'static str = Box::leak(format!("IP:{address}").into_boxed_str());
        let leaf = Leaf { name, ..GOOD };
        let bound = Origin::at(address, Some((&authority, leaf)));
        bound.wants("authorization", &format!("Bearer {KEY}"));
        let other = Origin::at(address, Some((&authority, leaf)));
        let plain = Origin::at(address, None);
        Some(Self { address, authority, bound, other, plain })
    }

    fn sandbox(&self, office: &str, no_proxy: &str) -> Sandbox {
        let mut sandbox = Sandbox::new();
        sandbox.write_config(&config(&[("acme", &self.bound.url())]));
        sandbox.env("AUTHCTL_ACME_TOKEN", KEY).env("SSL_CERT_FILE", self.authority.file());
        sandbox.env("HTTPS_PROXY", office).env("http_proxy", office).env("NO_PROXY", no_proxy);
        sandbox
    }

    /// Every way through the proxy that a command has, with what curl says of each.
    fn visit(&self, sandbox: &Sandbox) -> (Vec<(String, String)>, String) {
        let lending = Lending::exec(sandbox, &["--with", "acme"]);
        let urls = [
            format!("{}/acme/reverse", lending.variables["AUTHCTL_PROXY_URL"]),
            format!("{}/joined", self.bound.url()),
            format!("{}/open/tunnel", self.other.url()),
            format!("{}/open/plain", self.plain.url()),
        ];
        let said = urls.map(|url| {
            let mut curl = sandbox.program("curl");
            curl.env_clear().envs(&lending.variables);
            curl.args(["-sS", "--max-time", "30", "-w", "|%{http_code}|%{http_connect}"]);
            let key = format!("Authorization: Bearer {}", lending.variables["ACME_API_KEY"]);
            if !url.contains("/open/") {
                curl.args(["-H", &key]);
            }
            let output = sandbox.start({
                curl.arg(&url);
                curl
            });
            let output = output.finish();
            (url, format!("{}{}", output.stdout, output.stderr))
        });
        (said.into(), lending.end().stderr)
    }
}

#[test]
fn hosts_of_no_proxy_are_reached_directly_and_all_others_by_the_office() {
    let Some(network) = Network::start() else { return };
    let address = network.address;
    let (own, network_of_it) = (address.to_string(), format!("{address}/24"));
    let direct = [own.clone(), format!("other.example, {own}"), network_of_it, "*".into()];
    let by_office = ["", "other.example", "192.0.2.200", "example"].map(str::to_owned);
    for (is_direct, no_proxy) in
        direct.into_iter().map(|it| (true, it)).chain(by_office.into_iter().map(|it| (false, it)))
    {
        let office = Office::start();
        let sandbox = network.sandbox(&office.url("me:pass%40word"), &no_proxy);
        let (said, stderr) = network.visit(&sandbox);
        for (url, said) in said {
            assert!(said.starts_with("here you are|200"), "{no_proxy:?} {url}: {said}: {stderr}");
        }
        let heads = office.heads();
        if is_direct {
            assert_eq!(heads, Vec::<String>::new(), "{no_proxy:?}");
            continue;
        }
        let begins = |line: String| heads.iter().filter(|head| head.starts_with(&line)).count();
        let connect = |origin: &Origin| begins(format!("CONNECT {address}:{} ", origin.port()));
        // A connection by the path may be used again for one that is joined.
        assert!((1..=2).contains(&connect(&network.bound)), "{no_proxy:?}: {heads:?}");
        assert_eq!(connect(&network.other), 1, "{no_proxy:?}: {heads:?}");
        assert_eq!(begins(format!("GET {}/open/plain ", network.plain.url())), 1, "{heads:?}");
        let heard = String::from_utf8_lossy(&office.heard.lock().unwrap()).into_owned();
        assert!(!heard.contains(KEY), "the office heard the key");
    }
    for seen in network.plain.seen() {
        assert_eq!(seen.value("authorization"), None);
    }
    for seen in network.bound.seen() {
        assert_eq!(seen.values("authorization"), [format!("Bearer {KEY}")]);
        assert_eq!(seen.value("proxy-authorization"), None);
    }
}

#[test]
fn an_office_that_refuses_the_password_is_named_and_gets_nothing_else() {
    let Some(network) = Network::start() else { return };
    let office = Office::start();
    let sandbox = network.sandbox(&office.url("me:secret-but-wrong"), "");
    let (said, stderr) = network.visit(&sandbox);
    for (url, said) in &said[..2] {
        assert!(said.contains("upstream_") && said.contains("|502|"), "{url}: {said}");
        assert!(said.contains(&format!("127.0.0.1:{}", office.port)), "{url}: {said}");
    }
    assert!(said[2].1.contains("|000|502"), "{said:?}");
    assert!(said[3].1.contains("|407|"), "{said:?}");
    assert!(stderr.contains(&format!("127.0.0.1:{}", office.port)), "{stderr}");
    for text in said.iter().map(|(_, said)| said).chain([&stderr]) {
        assert!(!text.contains("secret-but-wrong"), "{text}");
    }
    for origin in [&network.bound, &network.other, &network.plain] {
        assert!(origin.seen().is_empty());
    }
    assert!(!String::from_utf8_lossy(&office.heard.lock().unwrap()).contains(KEY));
}

// ------------------------------------------------------------------------------- what is reached without it

/// Servers of one address, which has a name too.
struct Direct {
    authority: Authority,
    login: AuthorizationServer,
    front: String,
    api: Origin,
}

impl Direct {
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 7);
    const NAME: &str = "login.office.example";
    const SECRET: &str = "a secret of robots";

    fn start() -> Self {
        let authority = Authority::new();
        let leaf = Leaf { name: "DNS:login.office.example,IP:10.9.8.7", ..GOOD };
        let login = AuthorizationServer::start();
        login.register("robot", Some(Self::SECRET));
        let own = Self::ADDRESS.into();
        let front = authority.serve_at(own, leaf, Manner::Honest, &login.issuer());
        let api = Origin::at(own, Some((&authority, leaf)));
        Self { authority, login, front, api }
    }

    fn sandbox(&self, host: &str) -> Sandbox {
        let mut sandbox = Sandbox::new();
        let port = self.front.rsplit_once(':').unwrap().1;
        sandbox.write_config(&format!(
            "[provider.demo]\nbase_url = \"https://{host}:{}\"\n\
             [provider.demo.oauth]\ngrants = [\"client_credentials\"]\nclient_id = \"robot\"\n\
             authentication = \"client_secret_basic\"\nvariables = [\"DEMO_TOKEN\"]\n\
             token_endpoint = \"https://{host}:{port}/token\"\n",
            self.api.port()
        ));
        sandbox.env("SSL_CERT_FILE", self.authority.file());
        sandbox
    }

    /// A sign-in, a new token and a request through the proxy: how many of them came by way of the office.
    fn visit(&self, sandbox: &Sandbox, office: &Office) -> usize {
        let secret = sandbox.path("tmp/secret");
        std::fs::write(&secret, Self::SECRET).unwrap();
        let file = secret.to_str().unwrap();
        let before = self.login.grants("client_credentials");
        let login = ["login", "demo", "--client-credentials", "--client-secret-file", file];
        sandbox.run(login).success();
        sandbox.run(["token", "demo", "--refresh"]).success();
        assert_eq!(self.login.grants("client_credentials"), before + 2);
        let lending = Lending::proxy(sandbox, &["--with", "demo"]);
        assert_eq!(lending.get("/demo/open/x").status, 200);
        office.heads().iter().filter(|head| head.starts_with("CONNECT ")).count()
    }
}

#[test]
fn authctl_itself_and_its_proxy_agree_on_what_is_direct() {
    if !present(&["openssl", "mount"]) || !own_network::is_inside() {
        return;
    }
    own_network::own(Direct::ADDRESS.into());
    let servers = Direct::start();
    let home = Sandbox::new();
    let names = Names::serve(&home.path("tmp"));
    names.are(&[Direct::ADDRESS]);
    let direct = [
        (Direct::NAME, "NO_PROXY", "*"),
        (Direct::NAME, "no_proxy", "other.example, *"),
        (Direct::NAME, "NO_PROXY", "login.office.example"),
        (Direct::NAME, "no_proxy", "other.example , .office.example"),
        (Direct::NAME, "NO_PROXY", "OFFICE.example,"),
        ("10.9.8.7", "NO_PROXY", "*"),
        ("10.9.8.7", "no_proxy", " * "),
        ("10.9.8.7", "NO_PROXY", "10.9.8.7"),
        ("10.9.8.7", "no_proxy", "192.0.2.1,10.0.0.0/8"),
    ];
    let by_office = [
        (Direct::NAME, "NO_PROXY", ""),
        (Direct::NAME, "no_proxy", "fice.example,login,other.example"),
        (Direct::NAME, "NO_PROXY", "*.office.example"),
        (Direct::NAME, "NO_PROXY", "10.9.8.7,10.0.0.0/8"),
        ("10.9.8.7", "NO_PROXY", "10.9.8.0/30"),
        ("10.9.8.7", "no_proxy", "10.9.8.*,10.9.8.70,login.office.example"),
    ];
    let cases = direct.iter().map(|case| (case, 0)).chain(by_office.iter().map(|case| (case, 3)));
    let variables = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    for (((host, name, value), tunnels), variable) in cases.zip(variables.iter().cycle()) {
        let office = Office::start();
        let mut sandbox = servers.sandbox(host);
        sandbox.env(variable, office.url("me:pass%40word")).env(name, value);
        assert_eq!(servers.visit(&sandbox, &office), tunnels, "{variable} {host} {name}={value:?}");
    }
}
