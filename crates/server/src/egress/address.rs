//! Which addresses are public, and which others the operator allows.
//!
//! IPv6 is judged the other way round than IPv4: of its space only `2000::/3` was ever given out, so everything else
//! is refused without a list, and inside it the parts that are not hosts or that wrap an IPv4 address.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 that is not public (IANA special-purpose registry, and multicast and reserved space).
const REFUSED_V4: &[Ipv4Net] = &[
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 31, 196, 0, 24),
    v4(192, 52, 193, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(192, 175, 48, 0, 24),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// All of IPv6 that was given out to hosts.
const UNICAST_V6: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// What of it is not public: protocol assignments with Teredo (`2001::/23`), documentation, 6to4, AS112, SRv6.
const REFUSED_V6: &[Ipv6Net] = &[
    v6([0x2001, 0, 0, 0], 23),
    v6([0x2001, 0x0db8, 0, 0], 32),
    v6([0x2002, 0, 0, 0], 16),
    v6([0x2620, 0x004f, 0x8000, 0], 48),
    v6([0x3fff, 0, 0, 0], 20),
];

/// The well-known prefix of NAT64: the last 32 bits are an IPv4 address, which the network's gateway connects to.
const NAT64: Ipv6Net = v6([0x0064, 0xff9b, 0, 0], 96);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d]: [u16; 4], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// Whether an address is one of the public Internet. Addresses that wrap an IPv4 address never are.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => !REFUSED_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => UNICAST_V6.contains(&ip) && !REFUSED_V6.iter().any(|net| net.contains(&ip)),
    }
}

/// What may be connected to: the public Internet and the operator's exceptions.
#[derive(Debug, Default)]
pub(super) struct Allowed(Vec<IpNet>);

impl Allowed {
    pub(super) fn new(exceptions: Vec<IpNet>) -> Self {
        Self(exceptions)
    }

    /// Judges one address. Where the operator allows NAT64, because the machine has no other way to IPv4, the address
    /// behind the gateway is judged as well.
    pub(super) fn permits(&self, address: IpAddr) -> bool {
        if let IpAddr::V6(ip) = address
            && NAT64.contains(&ip)
        {
            let [.., a, b, c, d] = ip.octets();
            return self.excepts(address) && self.permits(IpAddr::V4(Ipv4Addr::new(a, b, c, d)));
        }
        is_public(address) || self.excepts(address)
    }

    /// Whether the names of this machine itself may be used.
    pub(super) fn permits_loopback(&self) -> bool {
        self.excepts(Ipv4Addr::LOCALHOST.into()) || self.excepts(Ipv6Addr::LOCALHOST.into())
    }

    fn excepts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}
