//! URLs as callers write them: read once, in the way that the HTTP client reads them, and judged.
//!
//! Reading turns every spelling of an IPv4 address (decimal, octal, hexadecimal, short, full-width, with a dot behind)
//! into the one with four numbers, so the judgement sees what would be connected to.

use super::address::Allowed;
use super::error::EgressRefusal;
use reqwest::Url;
use std::net::IpAddr;

/// Longest URL.
const LONGEST: usize = 2048;

/// Ports of other protocols, whose servers could be made to read a request as commands (a part of the list that
/// browsers keep).
const OTHER_PROTOCOLS: &[u16] = &[
    0, 7, 9, 19, 20, 21, 22, 23, 25, 53, 69, 110, 111, 119, 123, 135, 137, 138, 139, 143, 161, 179, 389, 445, 465, 512, 513, 514, 515, 587,
    636, 873, 993, 995, 1433, 1521, 2049, 2379, 3306, 3389, 5060, 5432, 5900, 6379, 6667, 9042, 11211, 27017,
];

/// Reads and judges a URL; its fragment is left out, for it is never sent.
pub(super) fn check(text: &str, allowed: &Allowed) -> Result<Url, EgressRefusal> {
    if text.len() > LONGEST {
        return Err(EgressRefusal::TooLong);
    }
    let url = Url::parse(text.trim()).map_err(|_| EgressRefusal::NotAUrl)?;
    judge(url, allowed)
}

/// Judges a URL that was read, as each hop of a redirect is.
pub(super) fn judge(mut url: Url, allowed: &Allowed) -> Result<Url, EgressRefusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(EgressRefusal::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EgressRefusal::Userinfo);
    }
    if url.port().is_some_and(|port| OTHER_PROTOCOLS.contains(&port)) {
        return Err(EgressRefusal::Port);
    }
    let host = url.host_str().ok_or(EgressRefusal::NotAUrl)?;
    let permitted = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => allowed.permits(address),
        Err(_) => !is_this_machine(host) || allowed.permits_loopback(),
    };
    if !permitted {
        return Err(EgressRefusal::NotPublic);
    }
    url.set_fragment(None);
    Ok(url)
}

/// Names that mean this machine everywhere (RFC 6761); told at once, not only when they are resolved.
fn is_this_machine(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost")
}
