//! A network of a test's own, whose link, addresses and names are in our hands, by the namespaces of Linux.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::real_parts::{missing, present};

/// Runs the test that calls this in a network of its own; `false` in the process that only waits for that.
pub fn is_inside() -> bool {
    const INSIDE: &str = "AUTHCTL_TEST_OWN_NETWORK";
    if std::env::var_os(INSIDE).is_some() {
        link("up");
        return true;
    }
    if !present(&["unshare", "ip"]) || !has_namespaces() {
        return false;
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let mut command = Command::new("unshare");
    command.arg("-rnm").arg(std::env::current_exe().unwrap()).args([&test, "--exact"]);
    let output =
        command.args(["--nocapture", "--test-threads=1"]).env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
    false
}

pub fn has_namespaces() -> bool {
    let allowed = Command::new("unshare").args(["-rnm", "true"]).status().unwrap().success();
    if !allowed {
        missing("user namespaces");
    }
    allowed
}

pub fn link(direction: &str) {
    ip(&["link", "set", "lo", direction]);
}

/// From now on this address is one of the machine's.
pub fn own(address: IpAddr) {
    ip(&["address", "add", &address.to_string(), "dev", "lo"]);
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "{arguments:?}");
}

/// A name server that knows the addresses of every name, and changes its mind.
pub struct Names(Arc<Mutex<Vec<Ipv4Addr>>>);

impl Names {
    /// The only one there is; `directory` is for its files.
    pub fn serve(directory: &Path) -> Self {
        for (place, contents) in
            [("/etc/resolv.conf", "nameserver 127.0.0.1\n"), ("/etc/nsswitch.conf", "hosts: dns\n")]
        {
            let file = directory.join(Path::new(place).file_name().unwrap());
            std::fs::write(&file, contents).unwrap();
            let mut mount = Command::new("mount");
            assert!(mount.arg("--bind").arg(&file).arg(place).status().unwrap().success());
        }
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        let addresses = Arc::<Mutex<Vec<Ipv4Addr>>>::default();
        let known = Arc::clone(&addresses);
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, asker)) = socket.recv_from(&mut question) {
                let answer = answer(&question[..length], &known.lock().unwrap());
                let _ = socket.send_to(&answer, asker);
            }
        });
        Self(addresses)
    }

    /// From now on every name has these addresses, for no time at all.
    pub fn are(&self, addresses: &[Ipv4Addr]) {
        *self.0.lock().unwrap() = addresses.to_vec();
    }
}

/// The answer to one question (RFC 1035 §4.1): its addresses where it is for those of IPv4, else none.
fn answer(question: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    const HEADER: usize = 12;
    let name = question[HEADER..].iter().position(|byte| *byte == 0).unwrap();
    let end = HEADER + name + 5;
    let is_for_four = question[end - 4..end] == [0, 1, 0, 1];
    let addresses = if is_for_four { addresses } else { &[] };
    let count = u8::try_from(addresses.len()).unwrap();
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(&question[HEADER..end]);
    for address in addresses {
        // The name by its place in the question, A, IN, no time to live, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}
