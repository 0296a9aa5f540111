//! The certificate authority of one run. It vouches for the hosts whose requests this proxy may read, and
//! for no others; its keys are made here and are gone with the process.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SerialNumber,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig, ServerSessionMemoryCache};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{SignatureScheme, version};
use zeroize::Zeroize;

/// How people see the authority who look into the bundle.
const NAME: &str = "authctl, this run only";
/// Clocks differ: certificates are valid from this long before they are made.
const BACKDATED: Duration = Duration::from_hours(1);
/// A run is shorter, and clients refuse server certificates of more than 398 days.
const VALID: Duration = Duration::from_hours(365 * 24);
/// TLS sessions that can be resumed, for each host.
const SESSIONS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot make a key")]
    Key(#[from] rustls::Error),
}

/// The authority, and what it says of each host.
pub struct Authority {
    vouching: Arc<Vouching>,
    pem: String,
    /// By the host that a client asked to be connected to.
    configs: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    /// A new authority for the hosts of `is_bound`, which takes a name in lower case or an address
    /// without brackets, and no port.
    pub fn new(is_bound: impl Fn(&str) -> bool + Send + Sync + 'static) -> Result<Self, Error> {
        let (own, leaf) = (Key::generate()?, Key::generate()?);
        let mut about = about(NAME);
        about.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        about.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = pem(about.self_signed(&own)?.der());
        let vouching = Vouching {
            issuer: Issuer::new(about, own),
            leaf,
            is_bound: Box::new(is_bound),
            known: Mutex::default(),
        };
        Ok(Self { vouching: Arc::new(vouching), pem, configs: Mutex::default() })
    }

    /// The authority's certificate (RFC 7468 §5).
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// What a client is met with that asked to be connected to `host`: a certificate for the name that it
    /// says in its hello, else for that host (RFC 6066 §3: an address is never said); HTTP/2 or HTTP/1.1
    /// (RFC 7301). `None` if the host is not bound.
    pub fn server_config(&self, host: &str) -> Option<Arc<ServerConfig>> {
        let host = canonical(host);
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(&host) {
            return Some(config.clone());
        }
        self.vouching.certificate(&host)?;
        let config = Arc::new(self.new_config(&host)?);
        configs.insert(host, config.clone());
        Some(config)
    }

    fn new_config(&self, host: &str) -> Option<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = [&version::TLS13, &version::TLS12];
        let asked = Asked { vouching: self.vouching.clone(), host: host.to_owned() };
        let builder =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions);
        let mut config = builder.ok()?.with_no_client_auth().with_cert_resolver(Arc::new(asked));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        Some(config)
    }
}

/// The keys, and the certificates made so far.
struct Vouching {
    issuer: Issuer<'static, Key>,
    /// One for all hosts: whoever could take one could take all.
    leaf: Key,
    is_bound: Box<dyn Fn(&str) -> bool + Send + Sync>,
    known: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Vouching {
    /// The certificate for a canonical name or address, made when first asked for, if it is bound.
    fn certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        if !(self.is_bound)(host) {
            return None;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificate) = known.get(host) {
            return Some(certificate.clone());
        }
        let der = self.sign(host).ok()?.der().clone();
        let certificate = Arc::new(CertifiedKey::new(vec![der], self.leaf.signs.clone()));
        known.insert(host.to_owned(), certificate.clone());
        Some(certificate)
    }

    /// Names and addresses stand in the alternative name alone (RFC 9525 §2).
    fn sign(&self, host: &str) -> Result<Certificate, rcgen::Error> {
        let mut about = about(NAME);
        about.subject_alt_names = CertificateParams::new(vec![host.to_owned()])?.subject_alt_names;
        about.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        about.use_authority_key_identifier_extension = true;
        about.distinguished_name = DistinguishedName::new();
        about.signed_by(&self.leaf, &self.issuer)
    }
}

/// A client that asked to be connected to a host.
struct Asked {
    vouching: Arc<Vouching>,
    host: String,
}

impl ResolvesServerCert for Asked {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(name) => self.vouching.certificate(&canonical(name)),
            None => self.vouching.certificate(&self.host),
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({:?})", self.host)
    }
}

/// A host in lower case, without the brackets of an address and the dot at the end of a name.
fn canonical(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase(),
    }
}

/// What all certificates here have: when they are valid, a number of their own, and that they are for
/// servers.
fn about(name: &str) -> CertificateParams {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATED);
    let mut about = CertificateParams::default();
    about.not_before = start;
    about.not_after = start + VALID;
    about.serial_number = Some(serial());
    about.distinguished_name = DistinguishedName::new();
    about.distinguished_name.push(DnType::CommonName, name);
    about.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    about
}

/// 126 random bits, positive and of full length (RFC 5280 §4.1.2.2).
fn serial() -> SerialNumber {
    let mut bytes = [0; 16];
    // The system's generator fails only where there is none; then no key can be made either.
    getrandom::fill(&mut bytes).unwrap_or_else(|error| panic!("no random numbers: {error}"));
    bytes[0] = bytes[0] & 0x3f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// A certificate as text (RFC 7468 §5).
pub(super) fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .filter_map(|start| text.get(start..text.len().min(start + 64)))
        .collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// A P-256 key. Only the TLS library holds it; the serialised form is wiped at once.
struct Key {
    signs: Arc<dyn SigningKey>,
    public: Vec<u8>,
}

impl Key {
    fn generate() -> Result<Self, Error> {
        let mut pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialized_der()));
        let signs = rustls::crypto::ring::sign::any_ecdsa_type(&der);
        let public = pair.public_key_raw().to_owned();
        pair.zeroize();
        Ok(Self { signs: signs?, public })
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signer = self.signs.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
        let signature = signer.and_then(|signer| signer.sign(message).ok());
        signature.ok_or(rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{
        ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection, Stream,
        SupportedProtocolVersion,
    };

    use super::*;

    fn authority() -> Authority {
        Authority::new(|host| {
            ["api.example.com", "b.example.com", "127.0.0.1", "::1"].contains(&host)
        })
        .unwrap()
    }

    /// A client that trusts this authority alone.
    fn client(authority: &Authority, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        client_of(authority, alpn, &[&version::TLS13, &version::TLS12])
    }

    fn client_of(
        authority: &Authority,
        alpn: &[&[u8]],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// Connects to `connect` and greets the server as `name`: what both agreed on, or why not.
    fn shake(
        authority: &Authority,
        config: &Arc<ClientConfig>,
        connect: &str,
        name: &str,
    ) -> Result<(ClientConnection, ServerConnection), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let met = authority.server_config(connect).ok_or("not bound")?;
        let other_end = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut connection = ServerConnection::new(met).unwrap();
            let mut heard = [0; 5];
            let mut stream = Stream::new(&mut connection, &mut socket);
            stream.read_exact(&mut heard).map_err(|error| error.to_string())?;
            stream.write_all(&heard).map_err(|error| error.to_string())?;
            Ok::<_, String>(connection)
        });
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(config.clone(), name).unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        let mut stream = Stream::new(&mut connection, &mut socket);
        let mut heard = [0; 5];
        let talk = stream.write_all(b"hello").and_then(|()| stream.read_exact(&mut heard));
        drop(socket);
        let served = other_end.join().unwrap();
        talk.map_err(|error| error.to_string())?;
        Ok((connection, served?))
    }

    #[test]
    fn clients_that_trust_it_meet_the_host_they_asked_for() {
        let authority = authority();
        for (alpn, agreed) in [(&b"h2"[..], "h2"), (b"http/1.1", "http/1.1")] {
            let config = client(&authority, &[alpn]);
            let hosts = [
                ("api.example.com", "api.example.com"),
                ("API.example.com.", "api.example.com"),
                ("127.0.0.1", "127.0.0.1"),
                ("[::1]", "::1"),
                // The name in the hello comes before the host that was connected to.
                ("api.example.com", "b.example.com"),
            ];
            for (connect, name) in hosts {
                let (client, _) = shake(&authority, &config, connect, name).unwrap();
                assert_eq!(client.alpn_protocol(), Some(agreed.as_bytes()), "{connect} {name}");
            }
        }
    }

    #[test]
    fn both_versions_of_tls_are_spoken_and_sessions_resumed() {
        let authority = authority();
        for spoken in [&version::TLS12, &version::TLS13] {
            let config = client_of(&authority, &[], &[spoken]);
            let host = "api.example.com";
            let (first, _) = shake(&authority, &config, host, host).unwrap();
            assert_eq!(first.protocol_version(), Some(spoken.version));
            let (second, _) = shake(&authority, &config, host, host).unwrap();
            assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed));
        }
    }

    #[test]
    fn hosts_that_are_not_bound_have_no_certificate() {
        let authority = authority();
        let config = client(&authority, &[]);
        for host in ["evil.example", "sub.api.example.com", "127.0.0.2", "*.example.com", ""] {
            assert!(authority.server_config(host).is_none(), "{host}");
        }
        let refusal = shake(&authority, &config, "api.example.com", "evil.example").err().unwrap();
        assert!(refusal.contains("AccessDenied"), "{refusal}");
    }

    #[test]
    fn other_runs_do_not_count() {
        let (one, other) = (authority(), authority());
        let config = client(&other, &[]);
        let refusal = shake(&one, &config, "api.example.com", "api.example.com").err().unwrap();
        assert!(refusal.contains("certificate"), "{refusal}");
    }

    #[test]
    fn a_certificate_is_made_once_and_has_a_number_of_its_own() {
        let authority = authority();
        let certificate = |host| authority.vouching.certificate(host).unwrap();
        let first = certificate("api.example.com");
        assert!(Arc::ptr_eq(&first, &certificate("api.example.com")));
        assert_ne!(first.cert, certificate("::1").cert);
        let config = |host| authority.server_config(host).unwrap();
        assert!(Arc::ptr_eq(&config("api.example.com"), &config("API.example.com")));
        assert_ne!(serial(), serial());
        assert_eq!(serial().len(), 16);
    }

    /// The answer of openssl about certificates in PEM.
    fn openssl(arguments: &[&str]) -> String {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    #[test]
    fn openssl_finds_nothing_to_object_to() {
        if Command::new("openssl").arg("version").output().is_err() {
            println!("skipped: there is no openssl");
            return;
        }
        let (authority, other) = (authority(), authority());
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        let (bundle, own) = (path("bundle.pem"), path("own.pem"));
        // As in a run inside a run: two authorities of one name.
        let both = format!("{}{}", other.certificate_pem(), authority.certificate_pem());
        std::fs::write(&bundle, both).unwrap();
        std::fs::write(&own, authority.certificate_pem()).unwrap();
        for (host, option) in [
            ("api.example.com", "-verify_hostname"),
            ("::1", "-verify_ip"),
            ("127.0.0.1", "-verify_ip"),
        ] {
            let leaf = path("leaf.pem");
            let certificate = authority.vouching.certificate(host).unwrap();
            std::fs::write(&leaf, pem(&certificate.cert[0])).unwrap();
            let purpose = ["-x509_strict", "-purpose", "sslserver", option, host];
            let arguments = [&["verify", "-CAfile", &bundle][..], &purpose, &[&leaf]].concat();
            assert!(openssl(&arguments).contains("leaf.pem: OK"), "{}", openssl(&arguments));
            let elsewhere = ["verify", "-CAfile", &bundle, "-verify_hostname", "b.example", &leaf];
            assert!(openssl(&elsewhere).contains("mismatch"), "{}", openssl(&elsewhere));
        }
        let shown = openssl(&["x509", "-in", &own, "-noout", "-text"]);
        for part in [NAME, "CA:TRUE, pathlen:0", "Certificate Sign", "prime256v1"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }
}
