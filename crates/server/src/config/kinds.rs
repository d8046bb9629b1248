//! Types of settings that the standard library has no serde form for.
//!
//! Apart from the table of settings, so that the table stays a table.

use sanasend_model::api_key::parse_network;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The set of defaults that a server starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Trying things out: readable logs, cookies and links over plain HTTP.
    #[default]
    Development,
    /// Serving people: JSON logs, HTTPS assumed in front.
    Production,
}

impl Profile {
    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
        }
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// When files of incoming messages are fetched from WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaFetch {
    /// When somebody asks for one.
    OnDemand,
    /// All of them, soon after they came.
    Always,
}

/// A network (`10.0.0.0/8`) or one address (`192.168.1.7`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr(pub ipnet::IpNet);

impl Cidr {
    /// The addresses of this machine itself.
    #[must_use]
    pub fn loopback() -> Vec<Self> {
        use std::net::{Ipv4Addr, Ipv6Addr};
        let of = |address: std::net::IpAddr, bits| ipnet::IpNet::new_assert(address, bits);
        vec![Self(of(Ipv4Addr::LOCALHOST.into(), 8).trunc()), Self(of(Ipv6Addr::LOCALHOST.into(), 128))]
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let network = parse_network(&text).map(Cidr);
        network.ok_or_else(|| serde::de::Error::custom("must be a network like 10.0.0.0/8 or an address like 192.168.1.7"))
    }
}

/// Most messages of the days of a warm-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DayCaps(pub Vec<u32>);

impl<'de> Deserialize<'de> for DayCaps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A list in a variable holds texts.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Cap {
            Number(u32),
            Text(String),
        }
        let refuse = || serde::de::Error::custom("must be a list of at most 90 numbers from 1 to 1000000, like [20, 40, 60]");
        let caps = Vec::<Cap>::deserialize(deserializer).map_err(|_| refuse())?;
        let number = |cap: Cap| match cap {
            Cap::Number(number) => Some(number),
            Cap::Text(text) => text.parse().ok(),
        };
        let caps: Option<Vec<u32>> = caps.into_iter().map(number).collect();
        caps.filter(|caps| caps.len() <= 90 && caps.iter().all(|cap| (1..=1_000_000).contains(cap))).map(Self).ok_or_else(refuse)
    }
}

/// A secret setting: shown as `[hidden]` wherever settings are shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[hidden]")
    }
}
