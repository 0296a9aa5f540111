//! Which addresses a request may go to, judged on the address connected to: for names in the
//! resolver, for literals before connecting. A stranger's document must not send us to the machine's
//! own services, to a private network or to a cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

/// Which addresses a request may go to. Link-local and metadata addresses: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// The user named the host: private and loopback addresses are fine.
    #[default]
    Named,
    /// A public server's document named it: no private or loopback address.
    Public,
}

/// What an address is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Public,
    /// Loopback, private and other networks that are not the internet.
    Private,
    /// Link-local, cloud metadata, unspecified, multicast: nothing to ask there.
    Never,
}

/// Services that clouds put at addresses outside the link-local ranges.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
];

impl Reach {
    pub(super) fn allows(self, address: IpAddr) -> bool {
        match class(address) {
            Class::Public => true,
            Class::Private => self == Reach::Named,
            Class::Never => false,
        }
    }
}

/// The class of an address; an IPv4 address inside an IPv6 one is judged as what it is.
pub(super) fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => embedded(v6).map_or_else(|| class_v6(v6), class_v4),
    }
}

fn class_v4(v4: Ipv4Addr) -> Class {
    let [a, b, c, _] = v4.octets();
    if v4.is_link_local() || v4.is_multicast() || a == 0 || METADATA_V4.contains(&v4) {
        return Class::Never;
    }
    let carrier_nat = a == 100 && b & 0xc0 == 64;
    let benchmark = a == 198 && b & 0xfe == 18;
    let protocol = [a, b, c] == [192, 0, 0];
    let reserved = a >= 240 || protocol || benchmark || v4.is_documentation();
    if v4.is_private() || v4.is_loopback() || carrier_nat || reserved {
        return Class::Private;
    }
    Class::Public
}

fn class_v6(v6: Ipv6Addr) -> Class {
    let link_local = v6.is_unicast_link_local();
    if link_local || v6.is_multicast() || v6.is_unspecified() || METADATA_V6.contains(&v6) {
        return Class::Never;
    }
    // Global unicast is 2000::/3; documentation prefixes are cut out of it.
    let documentation = matches!(v6.segments(), [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..]);
    if v6.segments()[0] & 0xe000 == 0x2000 && !documentation {
        Class::Public
    } else {
        Class::Private
    }
}

/// The IPv4 address in a mapped (`::ffff:`), compatible (`::`), NAT64 (`64:ff9b::`) or 6to4
/// (`2002:`) address.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        // `::` and `::1` are IPv6's own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(from(high, low))
        }
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

/// Whether the host is this machine by its spelling: 127/8, `::1` or `localhost`.
pub(super) fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(v4) => v4.is_loopback(),
        Host::Ipv6(v6) => v6.to_canonical().is_loopback(),
    }
}

/// The resolver's refusal, found again in the chain of the client's error.
#[derive(Debug, thiserror::Error)]
#[error("the address {0} is not allowed")]
pub(super) struct Forbidden(pub IpAddr);

/// The system's resolver, with the forbidden addresses taken out of its answer.
pub(super) struct Resolver(pub Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(
            async move { Ok(Box::new(look_up(name.as_str(), reach).await?.into_iter()) as Addrs) },
        )
    }
}

/// The addresses of a name that may be connected to.
pub(super) async fn look_up(
    name: &str,
    reach: Reach,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let found: Vec<_> = tokio::net::lookup_host((name, 0)).await?.collect();
    let own = name == "localhost";
    // Plain http to `localhost` is allowed because it stays on the machine: it has to.
    let allowed = |ip: IpAddr| reach.allows(ip) && (!own || ip.to_canonical().is_loopback());
    let refused = found.iter().map(SocketAddr::ip).find(|ip| !allowed(*ip));
    let addresses: Vec<_> = found.into_iter().filter(|a| allowed(a.ip())).collect();
    match refused {
        Some(address) if addresses.is_empty() => Err(Forbidden(address).into()),
        _ => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_of(text: &str) -> Class {
        class(text.parse().unwrap())
    }

    #[test]
    fn link_local_metadata_and_senseless_addresses_are_never_reached() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::ffff:0.0.0.0",
        ] {
            assert_eq!(class_of(address), Class::Never, "{address}");
        }
    }

    #[test]
    fn private_and_loopback_addresses_are_reached_only_when_named() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.0.1",
            "198.18.0.1",
            "198.19.0.1",
            "192.0.2.1",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "2001:db8::1",
            "4000::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
        ] {
            assert_eq!(class_of(address), Class::Private, "{address}");
            let ip: IpAddr = address.parse().unwrap();
            assert!(Reach::Named.allows(ip) && !Reach::Public.allows(ip), "{address}");
        }
    }

    #[test]
    fn the_internet_is_public() {
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert_eq!(class_of(address), Class::Public, "{address}");
        }
    }

    #[tokio::test]
    async fn the_resolver_takes_out_what_is_not_allowed() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refusal = Resolver(Reach::Public).resolve(name()).await.err().unwrap();
        assert!(refusal.downcast_ref::<Forbidden>().is_some(), "{refusal}");
        let found = Resolver(Reach::Named).resolve(name()).await.ok().unwrap();
        assert!(found.map(|address| address.ip()).all(|ip| ip.is_loopback()));
    }
}
