//! Binding: 127.0.0.1 and `[::1]` on one port, with std sockets, so that the port is ours before a
//! client is registered and before any runtime exists.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

/// How often another random port is tried when the other family already uses the one we got.
const TRIES: usize = 20;

/// Listening sockets of one port. Browsers that come before [`super::Listener::start`] wait in the
/// system's queue.
#[derive(Debug)]
pub struct Sockets {
    port: u16,
    bound: Vec<TcpListener>,
}

impl Sockets {
    /// Binds `port`, or any free one. Fails with `AddrInUse` when another program has the port in
    /// either family: it could catch redirects that are meant for us.
    pub fn bind(port: Option<u16>) -> io::Result<Self> {
        let Some(port) = port else {
            return bind_any();
        };
        bind_both(port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn into_inner(self) -> Vec<TcpListener> {
        self.bound
    }
}

fn bind_any() -> io::Result<Sockets> {
    for _ in 1..TRIES {
        match bind_both(0) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    bind_both(0)
}

fn bind_both(port: u16) -> io::Result<Sockets> {
    let four = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let port = four.local_addr()?.port();
    let mut bound = vec![four];
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
        Ok(six) => bound.push(six),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        Err(_) => {} // a machine without IPv6
    }
    Ok(Sockets { port, bound })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_share_one_port_and_no_other_address_listens() {
        let sockets = Sockets::bind(None).unwrap();
        for socket in &sockets.bound {
            let address = socket.local_addr().unwrap();
            assert_eq!(address.port(), sockets.port());
            assert!(address.ip().is_loopback());
        }
    }

    #[test]
    fn a_port_that_another_program_has_in_one_family_is_taken() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        assert_eq!(Sockets::bind(Some(port)).unwrap_err().kind(), io::ErrorKind::AddrInUse);

        let Ok(other) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            return; // no IPv6 here
        };
        let port = other.local_addr().unwrap().port();
        assert_eq!(Sockets::bind(Some(port)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
