//! WhatsApp's client version: fetched once for all accounts, and the last good value kept.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of WhatsApp's web client that live links claim to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientVersion(pub u32, pub u32, pub u32);

impl fmt::Display for ClientVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}
