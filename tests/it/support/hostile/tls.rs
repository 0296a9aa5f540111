//! TLS in front of the scripted server: certificates made by the openssl of the machine, and manners
//! that a client must not accept.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A certificate authority that nobody knows but who is told.
pub struct Authority {
    directory: tempfile::TempDir,
}

/// What is written in a certificate.
#[derive(Debug, Clone, Copy)]
pub struct Leaf {
    /// `subjectAltName`
    pub name: &'static str,
    /// `extendedKeyUsage`
    pub usage: &'static str,
    /// From when to when.
    pub life: [&'static str; 2],
    pub self_signed: bool,
}

pub const GOOD: Leaf = Leaf {
    name: "IP:127.0.0.1",
    usage: "serverAuth",
    life: ["20200101000000Z", "20491231235959Z"],
    self_signed: false,
};

/// How the server behaves once it is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// The answer has no length and ends without `close_notify`: it could have been cut anywhere.
    Truncates,
    /// Speaks TLS 1.0 only.
    OldProtocol,
}

impl Authority {
    pub fn new() -> Self {
        let authority = Self { directory: tempfile::tempdir().unwrap() };
        let ca = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n\
                  default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n\
                  [req]\ndistinguished_name=n\n[n]\n";
        std::fs::write(authority.path("ca.conf"), ca).unwrap();
        std::fs::write(authority.path("index"), "").unwrap();
        std::fs::write(authority.path("serial"), "01\n").unwrap();
        authority.openssl(
            "req -config ca.conf -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
             -keyout ca.key -out ca.pem -days 30 -subj /CN=authority \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        );
        authority
    }

    /// For `SSL_CERT_FILE`.
    pub fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.directory.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What a server needs to show a certificate like `leaf`.
    pub fn config(&self, leaf: Leaf) -> Arc<ServerConfig> {
        let extensions = format!(
            "subjectAltName={}\nextendedKeyUsage={}\nbasicConstraints=CA:FALSE\n",
            leaf.name, leaf.usage
        );
        std::fs::write(self.path("leaf.ext"), extensions).unwrap();
        self.openssl(
            "req -config ca.conf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
             -keyout leaf.key -out leaf.csr -subj /CN=leaf",
        );
        let signer = if leaf.self_signed {
            "-selfsign -keyfile leaf.key"
        } else {
            "-cert ca.pem -keyfile ca.key"
        };
        let [from, to] = leaf.life;
        self.openssl(&format!(
            "ca -config ca.conf -batch -notext -in leaf.csr -out leaf.pem -extfile leaf.ext {signer} \
             -startdate {from} -enddate {to}"
        ));
        let certificate = CertificateDer::from_pem_file(self.path("leaf.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path("leaf.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }

    /// Serves `backend` under a certificate like `leaf`; hands back the origin.
    pub fn serve(&self, leaf: Leaf, manner: Manner, backend: &str) -> String {
        self.serve_at(Ipv4Addr::LOCALHOST.into(), leaf, manner, backend)
    }

    /// The same at another address of this machine.
    pub fn serve_at(&self, own: IpAddr, leaf: Leaf, manner: Manner, backend: &str) -> String {
        let config = self.config(leaf);
        let listener = TcpListener::bind((own, 0)).unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let backend = backend.replace("http://", "");
        // Ends with the test's process: nothing waits for it.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (config, backend) = (Arc::clone(&config), backend.clone());
                thread::spawn(move || relay(connection?, config, manner, &backend));
            }
        });
        origin
    }
}

fn relay(
    mut connection: TcpStream,
    config: Arc<ServerConfig>,
    manner: Manner,
    backend: &str,
) -> io::Result<()> {
    if manner == Manner::OldProtocol {
        // Whatever it greets with, the answer is too old.
        let _ = connection.read(&mut [0; 4096])?;
        return connection.write_all(&old_hello());
    }
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(session, connection);
    let request = read_request(&mut tls)?;
    let mut behind = TcpStream::connect(backend)?;
    behind.write_all(&request)?;
    let mut answer = Vec::new();
    behind.read_to_end(&mut answer)?;
    if manner == Manner::Truncates {
        let text = String::from_utf8(answer).map_err(io::Error::other)?;
        answer = text.replace("content-length:", "x-length:").into_bytes();
    }
    tls.write_all(&answer)?;
    if manner == Manner::Honest {
        tls.conn.send_close_notify();
    }
    tls.flush()
}

fn read_request(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        request.extend_from_slice(line.as_bytes());
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok([request, body].concat())
}

/// A TLS 1.0 ServerHello with ECDHE-RSA-AES128-SHA.
fn old_hello() -> Vec<u8> {
    let head = [0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    [&head[..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat()
}
