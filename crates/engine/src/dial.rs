//! The door to the sandbox: a pipe of bytes made in this process, and the server key that it must prove.

use bytes::Bytes;
use std::fmt;
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

/// How sandbox accounts reach the sandbox.
#[derive(Clone)]
pub struct SandboxDoor {
    /// Makes the connections.
    pub dial: Arc<dyn Dial>,
    /// The sandbox's static Noise key (X25519, public). A sandbox account talks only to who proves to hold it.
    pub pinned_key: [u8; 32],
}

impl fmt::Debug for SandboxDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SandboxDoor")
    }
}
