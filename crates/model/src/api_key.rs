//! The shape of an API key: `sk_<prefix>_<secret>`.
//!
//! The prefix (12 characters) is shown in lists and finds the row; the secret (32 random bytes, base64url) is
//! shown once and kept only as an HMAC. The shape is checked before anything is looked up.

use std::net::IpAddr;

/// Length of the prefix, in characters.
pub const PREFIX_CHARS: usize = 12;
/// Length of the secret part, in characters: 32 bytes in base64url without padding.
pub const SECRET_CHARS: usize = 43;

/// A key as a caller sends it, split but not yet believed. Debug hides the secret.
pub struct Presented<'a> {
    /// Finds the row.
    pub prefix: &'a str,
    /// Proves the key.
    pub secret: &'a str,
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Splits a key; `None` when it can't be one of ours.
#[must_use]
pub fn split(key: &str) -> Option<Presented<'_>> {
    let rest = key.strip_prefix("sk_")?;
    let (prefix, secret) = rest.split_at_checked(PREFIX_CHARS)?;
    let secret = secret.strip_prefix('_')?;
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let sound = prefix.bytes().all(|b| b.is_ascii_alphanumeric()) && secret.len() == SECRET_CHARS && secret.bytes().all(alphabet);
    sound.then_some(Presented { prefix, secret })
}

/// Joins the parts of a new key.
#[must_use]
pub fn join(prefix: &str, secret: &str) -> String {
    format!("sk_{prefix}_{secret}")
}

/// Whether `address` lies in one of the `allowed` networks (CIDR or single addresses); an empty list allows all.
/// IPv4 addresses mapped into IPv6 count as IPv4.
#[must_use]
pub fn allows(allowed: &[ipnet::IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    allowed.is_empty() || allowed.iter().any(|network| network.contains(&address))
}

/// Reads one entry of an allow-list.
#[must_use]
pub fn parse_network(text: &str) -> Option<ipnet::IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(ipnet::IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_split_as_it_was_joined() {
        let secret = "A".repeat(SECRET_CHARS);
        let key = join("abcdef123456", &secret);
        let parts = split(&key).expect("key");
        assert_eq!((parts.prefix, parts.secret), ("abcdef123456", secret.as_str()));
        for wrong in ["", "sk_", "sk_abcdef123456", &key[..key.len() - 1], &format!("{key}A"), &key.replace("sk_", "pk_"), "sk_ééééééé_x"]
        {
            assert!(split(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn networks_and_single_addresses_are_allowed() {
        let allowed: Vec<_> = ["10.0.0.0/8", "192.168.1.7", "2001:db8::/32"].iter().filter_map(|t| parse_network(t)).collect();
        assert_eq!(allowed.len(), 3);
        for (address, expected) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("192.168.1.8", false), ("2001:db8::1", true), ("2001:db9::1", false)]
        {
            assert_eq!(allows(&allowed, address.parse().expect("ip")), expected, "{address}");
        }
        assert!(allows(&[], "8.8.8.8".parse().expect("ip")));
    }
}
