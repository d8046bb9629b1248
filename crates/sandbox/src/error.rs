//! What can go wrong in the sandbox, in one type: it has one wall.

use std::net::SocketAddr;

/// Why the sandbox did not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store on disk cannot be used.
    #[error("the sandbox's state: {0}")]
    State(String),
    /// A file of the data folder cannot be used.
    #[error("{path}: {source}")]
    File {
        /// Which file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Keys or certificates cannot be made or read.
    #[error("keys: {0}")]
    Keys(String),
    /// What was given cannot be read: a number, a QR text, a body.
    #[error("{0}")]
    Invalid(String),
    /// Something asked for is not there: an account, a device, a reference.
    #[error("not known: {0}")]
    Unknown(String),
    /// Something was asked for that cannot be done; the text says why.
    #[error("{0}")]
    Refused(String),
    /// A peer broke the protocol; its connection is closed.
    #[error("protocol: {0}")]
    Protocol(String),
}

impl From<fjall::Error> for Error {
    fn from(error: fjall::Error) -> Self {
        Error::State(error.to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::State(error.to_string())
    }
}
