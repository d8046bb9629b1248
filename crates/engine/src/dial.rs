//! The door to the sandbox: a pipe of bytes made in this process, the server key that it must prove, and its media host.

use bytes::Bytes;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Opens connections to the simulated network.
pub trait Dial: Send + Sync {
    /// A new connection. It is closed from either side by dropping its half.
    fn dial(&self) -> BytePipe;
}

/// Two directions of raw bytes; message borders carry no meaning.
#[derive(Debug)]
pub struct BytePipe {
    /// From the client to the network.
    pub outgoing: mpsc::Sender<Bytes>,
    /// From the network to the client; `None` means that the network closed.
    pub incoming: mpsc::Receiver<Bytes>,
}

/// The sandbox's media host: where files of sandbox accounts go up and come down.
pub trait MediaDoor: Send + Sync {
    /// One HTTP exchange, without a connection to anywhere: `path_and_query` begins with `/`. Reads all of `body`, answers
    /// status and body. Called on threads that may wait.
    ///
    /// # Errors
    /// When there was no exchange; every status is `Ok`.
    fn exchange(
        &self,
        method: &str,
        path_and_query: &str,
        headers: &[(String, String)],
        body: &mut dyn Read,
    ) -> io::Result<(u16, Box<dyn Read + Send>)>;
}

/// A media host that is not there, for links that carry no files.
#[cfg(test)]
pub(crate) struct NoFiles;

#[cfg(test)]
impl MediaDoor for NoFiles {
    fn exchange(&self, _: &str, _: &str, _: &[(String, String)], _: &mut dyn Read) -> io::Result<(u16, Box<dyn Read + Send>)> {
        Err(io::Error::other("there is no media host"))
    }
}

/// How sandbox accounts reach the sandbox.
#[derive(Clone)]
pub struct SandboxDoor {
    /// Makes the connections.
    pub dial: Arc<dyn Dial>,
    /// The sandbox's static Noise key (X25519, public). A sandbox account talks only to who proves to hold it.
    pub pinned_key: [u8; 32],
    /// Carries files.
    pub media: Arc<dyn MediaDoor>,
}

impl fmt::Debug for SandboxDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SandboxDoor")
    }
}
