//! What a child trusts: the roots that it would trust without us and the authority of this run, in
//! private files that go with the run, and the variables by which programs are told of such files.

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls_native_certs::{load_certs_from_paths, load_native_certs};

use super::authority::pem;
use crate::private_file::{self, TemporaryDirectory};

/// Variables that name all that a program trusts.
const REPLACING: [&str; 19] = [
    "SSL_CERT_FILE",                      // OpenSSL, Go, rustls, Ruby, httpx, uv, .NET
    "CURL_CA_BUNDLE",                     // curl, Python requests
    "REQUESTS_CA_BUNDLE",                 // Python requests, Azure CLI, conda, Poetry
    "PIP_CERT",                           // pip
    "HTTPLIB2_CA_CERTS",                  // Python httplib2, of Google's clients
    "WEBSOCKET_CLIENT_CA_BUNDLE",         // Python websocket-client
    "GIT_SSL_CAINFO",                     // git
    "CARGO_HTTP_CAINFO",                  // cargo
    "AWS_CA_BUNDLE",                      // AWS CLI and SDKs
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", // gcloud
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",   // gRPC, but for Go and Java
    "NIX_SSL_CERT_FILE",                  // Nix and what it packages
    "BUNDLE_SSL_CA_CERT",                 // Ruby's bundler
    "COMPOSER_CAFILE",                    // PHP's composer
    "HEX_CACERTS_PATH",                   // Elixir's and Erlang's hex
    "PERL_LWP_SSL_CA_FILE",               // Perl LWP
    "JULIA_SSL_CA_ROOTS_PATH",            // Julia
    "SYSTEM_CERTIFICATE_PATH",            // Haskell
    "CODEX_CA_CERTIFICATE",               // Codex, before SSL_CERT_FILE
];

/// Variables that name what a program trusts beside its own roots.
const ADDING: [&str; 2] = [
    "NODE_EXTRA_CA_CERTS", // Node, Bun and what runs on them
    "DENO_CERT",           // Deno
];

/// Variables like those of the first list, for programs that follow another one where they are not
/// set, and may refuse to start where they are (Yarn before 4).
const ONLY_IF_SET: [&str; 6] = [
    "npm_config_cafile",
    "NPM_CONFIG_CAFILE",
    "YARN_HTTPS_CA_FILE_PATH",
    "YARN_CA_FILE_PATH",
    "HTTPS_CA_FILE",      // Perl LWP, second to its own
    "NIX_GIT_SSL_CAINFO", // git of Nix, before git's own
];

/// The files in which systems keep their roots as text. Windows and macOS keep them elsewhere.
#[cfg(not(any(windows, target_vendor = "apple")))]
const SYSTEM: [&str; 10] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Arch, Gentoo, NixOS
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",   // their older releases
    "/etc/ssl/ca-bundle.pem",             // openSUSE
    "/etc/ssl/cert.pem",                  // Alpine, OpenBSD, FreeBSD
    "/etc/ssl/certs/ca-bundle.crt",       // NixOS
    "/usr/local/etc/ssl/cert.pem",        // FreeBSD
    "/etc/openssl/certs/ca-certificates.crt", // NetBSD
    "/etc/certs/ca-certificates.crt",     // Solaris
    "/data/data/com.termux/files/usr/etc/tls/cert.pem", // Termux
];
#[cfg(any(windows, target_vendor = "apple"))]
const SYSTEM: [&str; 0] = [];

/// No bundle is longer.
const LIMIT: u64 = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] private_file::Error),
    #[error("{variable} names {path}, in which no certificates can be read")]
    NoRoots { variable: &'static str, path: PathBuf },
}

/// The files of one run. They are gone when this is dropped.
pub struct Bundle {
    _directory: TemporaryDirectory,
    variables: Vec<(&'static str, PathBuf)>,
    unread: Vec<(&'static str, PathBuf)>,
}

impl Bundle {
    /// Writes the files for the authority with this certificate; `variable` is the environment that the
    /// child would have without us.
    pub fn write(
        authority: &str,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let named = Named::collect(&set);
        let mut all = roots(&set)?;
        all.extend_from_slice(&named.replacing);
        all.extend_from_slice(&named.adding);
        all.extend_from_slice(authority.as_bytes());
        let extra = [&named.adding, authority.as_bytes()].concat();
        let directory = TemporaryDirectory::new()?;
        let write = |name: &str, contents: &[u8]| {
            let path = directory.path().join(name);
            private_file::write_for_run(&path, contents).map(|()| path)
        };
        let (all, extra) = (write("roots.pem", &all)?, write("extra.pem", &extra)?);
        let further = ONLY_IF_SET.iter().filter(|name| set(name).is_some());
        let replacing = REPLACING.iter().chain(further).map(|name| (*name, all.clone()));
        let adding = ADDING.iter().map(|name| (*name, extra.clone()));
        let variables = replacing.chain(adding).collect();
        Ok(Self { _directory: directory, variables, unread: named.unread })
    }

    /// Variables of the child, with the file that each names.
    pub fn variables(&self) -> &[(&'static str, PathBuf)] {
        &self.variables
    }

    /// Variables that named a file or directory without certificates, which is left out.
    pub fn unread(&self) -> &[(&'static str, PathBuf)] {
        &self.unread
    }
}

/// The certificates in the files that the variables named before.
#[derive(Default)]
struct Named {
    replacing: Vec<u8>,
    adding: Vec<u8>,
    unread: Vec<(&'static str, PathBuf)>,
}

impl Named {
    /// Each file once; that of `SSL_CERT_FILE` is among the roots already.
    fn collect(set: &impl Fn(&str) -> Option<OsString>) -> Self {
        let mut named = Self::default();
        let mut seen: HashSet<PathBuf> = set("SSL_CERT_FILE").map(place).into_iter().collect();
        let replacing =
            REPLACING.iter().chain(&ONLY_IF_SET).filter(|name| **name != "SSL_CERT_FILE");
        for name in replacing {
            named.read(name, set, &mut seen, |named| &mut named.replacing);
        }
        seen.clear(); // what programs trust beside their own roots stays that
        for name in &ADDING {
            named.read(name, set, &mut seen, |named| &mut named.adding);
        }
        named
    }

    fn read(
        &mut self,
        name: &'static str,
        set: &impl Fn(&str) -> Option<OsString>,
        seen: &mut HashSet<PathBuf>,
        into: impl Fn(&mut Self) -> &mut Vec<u8>,
    ) {
        let Some(value) = set(name) else { return };
        if is_system(Path::new(&value)) {
            return;
        }
        let path = place(value);
        if !seen.insert(path.clone()) || is_system(&path) {
            return;
        }
        match certificates_at(&path) {
            Some(found) => into(self).extend_from_slice(&found),
            None => self.unread.push((name, path)),
        }
    }
}

/// Whether the system keeps its roots there.
fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path == Path::new(system))
}

/// One name for each file.
fn place(value: OsString) -> PathBuf {
    let path = PathBuf::from(value);
    fs::canonicalize(&path).unwrap_or(path)
}

/// The roots that programs trust here: those that the person named (`SSL_CERT_FILE`, `SSL_CERT_DIR`), and
/// no others then; else the system's; else Mozilla's, which are part of this program.
fn roots(set: &impl Fn(&str) -> Option<OsString>) -> Result<Vec<u8>, Error> {
    let named = [("SSL_CERT_FILE", set("SSL_CERT_FILE")), ("SSL_CERT_DIR", set("SSL_CERT_DIR"))];
    if named.iter().any(|(_, value)| value.is_some()) {
        return named_roots(named);
    }
    let system = SYSTEM.iter().find_map(|path| certificates_at(Path::new(path)));
    Ok(system.or_else(stored_roots).unwrap_or_else(|| {
        webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .flat_map(|der| pem(der).into_bytes())
            .collect()
    }))
}

fn named_roots(named: [(&'static str, Option<OsString>); 2]) -> Result<Vec<u8>, Error> {
    let file = named[0].1.as_ref().map(Path::new);
    let around = file.filter(|file| is_system(file)).and_then(Path::parent).map(Path::to_owned);
    let mut all = Vec::new();
    for (variable, value) in named {
        let Some(value) = value else { continue };
        // The system's file is made of the hundreds of files around it.
        if around.as_deref() == Some(Path::new(&value)) {
            continue;
        }
        let mut found = Vec::new();
        for path in env::split_paths(&value) {
            found.extend(certificates_at(&path).unwrap_or_default());
        }
        if found.is_empty() {
            return Err(Error::NoRoots { variable, path: value.into() });
        }
        all.extend(found);
    }
    Ok(all)
}

/// The roots of a system that does not keep them in a file.
fn stored_roots() -> Option<Vec<u8>> {
    as_text(&load_native_certs())
}

/// The certificates in a file, or in the files of a directory; `None` where there are none.
fn certificates_at(path: &Path) -> Option<Vec<u8>> {
    let metadata = fs::metadata(path).ok()?;
    if metadata.is_dir() {
        return as_text(&load_certs_from_paths(None, Some(path)));
    }
    if !metadata.is_file() || metadata.len() > LIMIT {
        return None;
    }
    let mut text = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default() + 1);
    File::open(path).ok()?.take(LIMIT).read_to_end(&mut text).ok()?;
    let found = if is_system(path) { whole(text) } else { certificates(&text) };
    Some(found).filter(|found| !found.is_empty())
}

/// What a system keeps holds nothing else, and is not looked through; empty if that is not so.
fn whole(mut text: Vec<u8>) -> Vec<u8> {
    if !str::from_utf8(&text).is_ok_and(|text| text.contains("-----BEGIN CERTIFICATE-----")) {
        return Vec::new();
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text
}

fn as_text(read: &rustls_native_certs::CertificateResult) -> Option<Vec<u8>> {
    let text: Vec<u8> = read.certs.iter().flat_map(|der| pem(der).into_bytes()).collect();
    Some(text).filter(|text| !text.is_empty())
}

/// The certificates of a text (RFC 7468 §5) without what stands around them, which may be a key.
fn certificates(text: &[u8]) -> Vec<u8> {
    let mut found = Vec::with_capacity(text.len());
    let mut begun = None;
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        if line == b"-----BEGIN CERTIFICATE-----" {
            found.truncate(begun.unwrap_or(found.len()));
            begun = Some(found.len());
        }
        if begun.is_some() {
            found.extend_from_slice(line);
            found.push(b'\n');
        }
        if line == b"-----END CERTIFICATE-----" {
            begun = None;
        }
    }
    found.truncate(begun.unwrap_or(found.len()));
    found
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const OURS: &str = "-----BEGIN CERTIFICATE-----\nb3Vycw==\n-----END CERTIFICATE-----\n";

    fn block(content: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
    }

    /// What was inherited, in files of their own: (variable, contents).
    struct Inherited {
        place: tempfile::TempDir,
        environment: HashMap<String, OsString>,
    }

    impl Inherited {
        fn new(files: &[(&str, &str)]) -> Self {
            let place = tempfile::tempdir().unwrap();
            let mut environment = HashMap::new();
            for (variable, contents) in files {
                let path = place.path().join(variable);
                fs::write(&path, contents).unwrap();
                environment.insert((*variable).to_owned(), path.into_os_string());
            }
            Self { place, environment }
        }

        fn bundle(&self) -> Result<Bundle, Error> {
            Bundle::write(OURS, |name| self.environment.get(name).cloned())
        }
    }

    fn contents(bundle: &Bundle, variable: &str) -> String {
        let (_, path) = bundle.variables().iter().find(|(name, _)| *name == variable).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn roots_that_were_named_come_first_and_no_others_with_them() {
        let inherited = Inherited::new(&[("SSL_CERT_FILE", &block("bmFtZWQ="))]);
        let bundle = inherited.bundle().unwrap();
        for variable in REPLACING {
            assert_eq!(contents(&bundle, variable), block("bmFtZWQ=") + OURS, "{variable}");
        }
        for variable in ADDING {
            assert_eq!(contents(&bundle, variable), OURS, "{variable}");
        }
        assert!(bundle.variables().iter().all(|(name, _)| !ONLY_IF_SET.contains(name)));
    }

    #[test]
    fn whatever_was_named_stays_trusted() {
        let files = [
            ("SSL_CERT_FILE", "MQ=="),
            ("REQUESTS_CA_BUNDLE", "Mg=="),
            ("npm_config_cafile", "Mw=="),
            ("NODE_EXTRA_CA_CERTS", "NA=="),
        ];
        let blocks = files.map(|(variable, content)| (variable, block(content)));
        let files: Vec<(&str, &str)> = blocks.iter().map(|(name, text)| (*name, &**text)).collect();
        let mut inherited = Inherited::new(&files);
        // A second name of the same file adds nothing.
        let same = inherited.environment["REQUESTS_CA_BUNDLE"].clone();
        inherited.environment.insert("CURL_CA_BUNDLE".into(), same);
        inherited.environment.insert("AWS_CA_BUNDLE".into(), OsString::new());
        let bundle = inherited.bundle().unwrap();
        let expected = ["MQ==", "Mg==", "Mw==", "NA=="].map(block).concat() + OURS;
        assert_eq!(contents(&bundle, "SSL_CERT_FILE"), expected);
        assert_eq!(contents(&bundle, "npm_config_cafile"), expected);
        assert_eq!(contents(&bundle, "NODE_EXTRA_CA_CERTS"), block("NA==") + OURS);
        assert!(bundle.unread().is_empty());
    }

    #[test]
    fn only_certificates_are_taken_over() {
        let mixed = format!(
            "# comment\r\n-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n{}-----BEGIN CERTIFICATE-----\r\nY3V0\n",
            block("Z29vZA==").replace('\n', "\r\n")
        );
        assert_eq!(certificates(mixed.as_bytes()), block("Z29vZA==").as_bytes());
        let cut = format!("-----BEGIN CERTIFICATE-----\nY3V0\n{}", block("Z29vZA=="));
        assert_eq!(certificates(cut.as_bytes()), block("Z29vZA==").as_bytes());
        assert_eq!(certificates(b"\xff\xfe"), b"");
    }

    #[test]
    fn named_roots_that_cannot_be_read_are_not_replaced_by_others() {
        let mut inherited = Inherited::new(&[("SSL_CERT_FILE", "nothing")]);
        let refusal = inherited.bundle().err().unwrap().to_string();
        assert!(refusal.starts_with("SSL_CERT_FILE names /"), "{refusal}");
        inherited.environment.insert("SSL_CERT_FILE".into(), "/nonexistent/roots.pem".into());
        assert!(matches!(inherited.bundle(), Err(Error::NoRoots { .. })));
        inherited.environment.remove("SSL_CERT_FILE");
        inherited.environment.insert("SSL_CERT_DIR".into(), "/nonexistent".into());
        let refusal = inherited.bundle().err().unwrap().to_string();
        assert!(refusal.starts_with("SSL_CERT_DIR names /nonexistent"), "{refusal}");
    }

    #[test]
    fn further_files_that_cannot_be_read_are_named() {
        let mut inherited = Inherited::new(&[("SSL_CERT_FILE", &block("MQ=="))]);
        let nowhere = inherited.place.path().join("nowhere.pem");
        inherited.environment.insert("PIP_CERT".into(), nowhere.clone().into());
        let bundle = inherited.bundle().unwrap();
        assert_eq!(bundle.unread(), [("PIP_CERT", nowhere)]);
        assert_eq!(contents(&bundle, "PIP_CERT"), block("MQ==") + OURS);
    }

    #[test]
    fn the_files_of_a_directory_are_read() {
        let place = tempfile::tempdir().unwrap();
        let certificate = pem(&webpki_root_certs::TLS_SERVER_ROOT_CERTS[0]);
        // As c_rehash names them.
        fs::write(place.path().join("0a1b2c3d.0"), &certificate).unwrap();
        let directory = place.path().as_os_str().to_owned();
        let bundle =
            Bundle::write(OURS, |name| (name == "SSL_CERT_DIR").then(|| directory.clone()));
        assert_eq!(contents(&bundle.unwrap(), "SSL_CERT_FILE"), certificate + OURS);
    }

    #[test]
    fn without_a_word_the_systems_roots_are_trusted() {
        let bundle = Bundle::write(OURS, |_| None).unwrap();
        let all = contents(&bundle, "SSL_CERT_FILE");
        assert!(all.matches("BEGIN CERTIFICATE").count() > 10, "{all}");
        assert!(all.ends_with(OURS));
    }

    #[cfg(unix)]
    #[test]
    fn the_files_are_private_and_go_with_the_run() {
        use std::os::unix::fs::MetadataExt;
        let bundle = Inherited::new(&[("SSL_CERT_FILE", &block("MQ=="))]).bundle().unwrap();
        let path = bundle.variables()[0].1.clone();
        let directory = path.parent().unwrap().to_owned();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
        drop(bundle);
        assert!(!directory.exists());
    }
}
